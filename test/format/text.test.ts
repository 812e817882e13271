import { brief, choiceText, count, inFull, plain, thousands } from '../../src/format/text.js';
import { wrap } from '../../src/format/wrap.js';
import { machineRoom } from './machines.js';

test.each([
  [{ type: 'pte', pte: { kind: 'present', pfn: 0, devmap: true, write: false } }, 'present, pfn 0, devmap'],
  [{ type: 'ok', from: 'mm' }, ''],
  [{ type: 'refs', refs: 0, dead: null }, 'refs 0'],
  [{ type: 'cpumask', cpus: ['cpu0', 'cpu1'] }, 'cpus [cpu0, cpu1]'],
  [{ type: 'deep', a: { b: { c: 1 } } }, 'b {c: 1}'],
])('%j in brief: %s', (event, text) => {
  expect(brief(event)).toBe(text);
});

test('a message in full leaves the signature out and quotes what is no word', () => {
  expect(inFull({ type: 'a', from: 'b' } as { type: string })).toBe('a');
  expect(inFull({ type: 'say', words: 'two words', list: [1, null] } as { type: string })).toBe('say {words: "two words", list: [1, null]}');
  expect(plain(undefined)).toBe('(absent)');
});

test('choices', () => {
  expect(machineRoom().choices.map(choiceText)).toEqual(['step', 'step', 'interrupt', 'fill vpn 0', 'after 1000']);
});

test('numbers', () => {
  expect([thousands(1), thousands(1407239), thousands(123456)]).toEqual(['1', '1,407,239', '123,456']);
  expect([count(1, 'step'), count(1000, 'step')]).toEqual(['1 step', '1,000 steps']);
});

test('long words are cut where they have a seam', () => {
  expect(wrap('finish_dying_now and go', 10)).toEqual(['finish_', '  dying_', '  now and', '  go']);
  expect(wrap('abcdefghijkl', 5)).toEqual(['abcde', '  fgh', '  ijk', '  l']);
  expect(wrap('', 5)).toEqual(['']);
});
