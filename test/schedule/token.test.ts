import fc from 'fast-check';
import { ScheduleError } from '../../src/index.js';
import { formatToken, isToken, parseToken, type Token } from '../../src/schedule/token.js';
import { refusal } from '../systems/refused.js';
import { lostUpdate } from '../systems/small.js';

const digit = fc.constantFrom(...'0123456789abcdef');
const digest = fc.array(digit, { minLength: 8, maxLength: 8 }).map((digits) => digits.join(''));
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('gup-unbind/A1', 'a~b', 'a,b=c', '%2F', "it's (not) easy!*", './models/lock.js'),
);
const tokens: fc.Arbitrary<Token> = fc.record({
  name: text.filter((name) => name !== ''),
  parameters: fc.dictionary(
    text.filter((name) => name !== '' && !name.includes('=') && name !== '__proto__'),
    text,
    { maxKeys: 3, noNullPrototype: true },
  ),
  digest,
  schedule: fc.array(fc.oneof(fc.nat(3), fc.nat(200), fc.nat(0xffff)), { maxLength: 40 }),
});

const [example = ''] = [formatToken({ name: 'gup-unbind/A1', parameters: { cpus: '2' }, digest: lostUpdate().digest, schedule: [0, 1, 0, 1, 129, 65535] })];

describe('a token', () => {
  test('gives back what went in', () => {
    fc.assert(
      fc.property(tokens, (token) => {
        const written = formatToken(token);
        expect(isToken(written)).toBe(true);
        expect(parseToken(written)).toEqual(token);
        // A shell, a URL and a double click take it as one word.
        expect(written).toMatch(/^sd1:[\w./~,=%-]+$/);
      }),
      { seed: 20264, numRuns: 2000 },
    );
  });

  test('cuts the digest to 8 digits, and does not depend on the order of the parameters', () => {
    const schedule = [1];
    expect(parseToken(formatToken({ name: 'x', parameters: {}, digest: '0123456789abcdef', schedule })).digest).toBe('01234567');
    expect(formatToken({ name: 'x', parameters: { a: '1', b: '2' }, digest: '01234567', schedule })).toBe(
      formatToken({ name: 'x', parameters: { b: '2', a: '1' }, digest: '01234567', schedule }),
    );
  });

  test('of an empty schedule', () => {
    expect(parseToken(formatToken({ name: 'x', parameters: {}, digest: '01234567', schedule: [] })).schedule).toEqual([]);
  });
});

/** What becomes of a text: refused by a ScheduleError of one line, or read as a token. */
function outcome(damaged: string): 'refused' | Token {
  try {
    return parseToken(damaged);
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
    expect(error.message).not.toContain('\n');
    expect(error.step).toBeNull();
    return 'refused';
  }
}

describe('damage', () => {
  const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~,=%/:. é'];

  test('every change of one character of a token is refused', () => {
    for (let at = 0; at < example.length; at++)
      for (const other of alphabet)
        if (example[at] !== other) expect([at, other, outcome(example.slice(0, at) + other + example.slice(at + 1))]).toEqual([at, other, 'refused']);
  });

  test('every lost character, every doubled one, every two that changed places', () => {
    for (let at = 0; at < example.length; at++) {
      expect([at, outcome(example.slice(0, at) + example.slice(at + 1))]).toEqual([at, 'refused']);
      expect([at, outcome(example.slice(0, at) + example[at] + example.slice(at))]).toEqual([at, 'refused']);
      if (example[at] !== example[at + 1] && at + 1 < example.length)
        expect([at, outcome(`${example.slice(0, at)}${example[at + 1]}${example[at]}${example.slice(at + 2)}`)]).toEqual([at, 'refused']);
    }
  });

  test('every truncation', () => {
    for (let length = 0; length < example.length; length++) expect([length, outcome(example.slice(0, length))]).toEqual([length, 'refused']);
    for (let start = 1; start < example.length; start++) expect([start, outcome(example.slice(start))]).toEqual([start, 'refused']);
  });

  test('of random tokens: the check has 16 bits, so that about one change in 65,536 goes unnoticed, and none throws anything else', () => {
    let changed = 0;
    let unnoticed = 0;
    fc.assert(
      fc.property(tokens, fc.nat(), fc.constantFrom(...alphabet), (token, place, other) => {
        const written = formatToken(token);
        const at = place % written.length;
        if (written[at] === other) return;
        changed++;
        if (outcome(written.slice(0, at) + other + written.slice(at + 1)) !== 'refused') unnoticed++;
      }),
      { seed: 20265, numRuns: 5000 },
    );
    expect(changed).toBeGreaterThan(4000);
    expect(unnoticed).toBeLessThanOrEqual(2);
  });
});

describe('the messages', () => {
  test.each([
    ['nonsense', "ScheduleError: 'nonsense' is no schedule token (one begins with 'sd1:')"],
    [example.replace('sd1:', 'sd2:'), "ScheduleError: token 'sd2:...' is of another version; this program reads 'sd1:'"],
    [example.slice(0, 25), "ScheduleError: the token is malformed: it should read 'sd1:NAME~DIGEST~CHOICES~CHECK'; was it cut off in copying?"],
    [example.replace('gup', 'gap'), 'ScheduleError: the token is damaged: its check digits do not fit; copy it again'],
  ])('%s', (damaged, message) => {
    expect(refusal(() => parseToken(damaged))).toBe(message);
  });
});
