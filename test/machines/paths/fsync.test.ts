import { folio, fsync, pageCache, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', mapping: 'f' } }) });
const rig = (cached: number | null = 4, others: Actors = {}): Rig =>
  new Rig({
    ...page(4),
    ...page(5),
    f: actor(pageCache, { input: { folios: { 2: cached } } }),
    writeback: returns(),
    put: actor(putPage, { input: {} }),
    fsync: actor(fsync, { input: { writeback: 'writeback', putPage: 'put' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'fsync', { type: 'call', mapping: 'f', index: 2 });
  return system;
};
/** What the user was told. */
function expectAtRest(system: Rig, result: 'ok' | 'EIO'): void {
  expect(system.context('fsync')).toMatchObject({ caller: '', mapping: '', index: -1, pfn: -1, result });
  expect([system.at('fsync'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok: result === 'ok' }, []]);
  expect([system.context('page4').refcount, system.context('page5').refcount]).toEqual([1, 1]);
}
const write = 'writeback: call {"mapping":"f","index":2}';
const look = 'f: slot.read {"index":2}';
const wait = (pfn: number): string[] => [
  `page${pfn}: folio.try_get`,
  `page${pfn}: folio.wait_writeback`,
  `put: call ${JSON.stringify({ pfn, pinned: false })}`,
];
const check = 'f: mapping.check_error';

test('writes out, waits for what stands there then, and asks for errors', () => {
  const system = call(rig()).settle();
  expect(system.said('fsync')).toEqual([write, look, ...wait(4), check, 'p: return {"ok":true}']);
  expectAtRest(system, 'ok');
});

test('sleeps until writeback has ended, with a reference; an error that came meanwhile is told, once', () => {
  const system = rig();
  system.say('p', 'page4', 'folio.start_writeback');
  call(system).settle();
  expect([system.at('fsync'), system.can('fsync', 'step'), system.context('page4').refcount]).toEqual(['wait_on_writeback', false, 2]);
  system.say('p', 'f', 'mapping.set_error');
  system.say('p', 'page4', 'folio.end_writeback');
  expectAtRest(system.settle(), 'EIO');
  call(system);
  expect(system.context('fsync').result).toBeNull();
  expectAtRest(system.settle(), 'ok');
});

test('waits until writeback was started before it looks', () => {
  const system = call(rig(4, { writeback: answers() })).settle();
  expect([system.at('fsync'), system.can('fsync', 'step'), system.said('fsync')]).toEqual(['filemap_fdatawrite_range', false, [write]]);
  system.say('p', 'f', { type: 'slot.replace', index: 2, pfn: 5 });
  system.say('p', 'fsync', 'return');
  expect(system.settle().said('fsync')).toEqual([write, look, ...wait(5), check, 'p: return {"ok":true}']);
  expectAtRest(system, 'ok');
});

test.each([
  ['ok', []],
  ['EIO', ['mapping.set_error']],
] as const)('without a page there is nothing to wait for: %s', (result, before) => {
  const system = rig(null);
  for (const message of before) system.say('p', 'f', message);
  expect(call(system).settle().said('fsync').slice(0, 3)).toEqual([write, look, check]);
  expectAtRest(system, result);
});

test('a page that is being taken away: looks again, until another one stands there', () => {
  const system = rig();
  system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
  call(system).take('fsync', 'step');
  expect([system.at('fsync'), system.said('fsync')]).toEqual(['filemap_fdatawait_range', [write, look, 'page4: folio.try_get']]);
  system.say('p', 'page4', { type: 'folio.unfreeze', refcount: 1 });
  system.say('p', 'f', { type: 'slot.replace', index: 2, pfn: 5 });
  expect(system.settle().said('fsync').slice(3)).toEqual([look, ...wait(5), check, 'p: return {"ok":true}']);
  expectAtRest(system, 'ok');
});

test('every transition was taken', () => {
  expect(untaken(fsync)).toEqual([]);
});
