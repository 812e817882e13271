import fc from 'fast-check';
import { canonical, deepFreeze, fingerprint, NotPlainData } from '../../src/system/canonical.js';

/** What JSON can hold: -0 becomes 0 on the way. */
const json = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)));

describe('canonical text', () => {
  test('is JSON of the same value', () => {
    fc.assert(
      fc.property(json, (value) => expect(JSON.parse(canonical(value))).toEqual(value)),
      { seed: 20270, numRuns: 1000 },
    );
  });

  test('is the same for values that differ in the order of keys only', () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, inner]) => [key, shuffled(inner)]),
      );
    };
    fc.assert(
      fc.property(json, (value) => expect(canonical(shuffled(value))).toBe(canonical(value))),
      { seed: 20271, numRuns: 1000 },
    );
  });

  test('is another one for another value', () => {
    fc.assert(
      fc.property(json, json, (one, other) => {
        const same = canonical(one) === canonical(other);
        if (same) expect(one).toEqual(other);
        else expect(one).not.toEqual(other);
      }),
      { seed: 20272, numRuns: 1000 },
    );
  });

  test.each<[string, unknown, unknown]>([
    ['a number and its text', 1, '1'],
    ['null and its text', null, 'null'],
    ['an array and an object with its indices', ['a'], { 0: 'a' }],
    ['an empty array and an empty object', [], {}],
    ['a missing field and null', {}, { a: null }],
    ['keys with quotes', { 'a":1,"b': 1 }, { a: 1, b: 1 }],
    ['nesting', { a: { b: 1 } }, { a: {}, b: 1 }],
  ])('tells apart %s', (_, one, other) => {
    expect(canonical(one)).not.toBe(canonical(other));
  });

  test('of an array with a hole is refused, as JSON would make null of it', () => {
    const holed: number[] = [1];
    holed[2] = 2;
    expect(() => canonical(holed)).toThrow(new NotPlainData('value[1]', 'undefined (use null, or leave the field out)'));
  });

  test('does not mistake a value that occurs twice for a cycle', () => {
    const page = { pfn: 1 };
    expect(canonical({ a: page, b: [page, page] })).toBe('{"a":{"pfn":1},"b":[{"pfn":1},{"pfn":1}]}');
  });
});

test('freezing goes all the way down, through what is frozen already', () => {
  const inner = { list: [1] };
  const value = deepFreeze({ a: Object.freeze({ inner }), b: [inner] });
  expect([value, value.a, inner, inner.list].every(Object.isFrozen)).toBe(true);
});

test('fingerprints of texts that differ in one place differ', () => {
  const text = 'the same statecharts run in three ways, and must mean the same in all three';
  const all = [...text].map((character, at) => `${text.slice(0, at)}${String.fromCharCode(character.charCodeAt(0) + 1)}${text.slice(at + 1)}`);
  expect(new Set([text, ...all].map(fingerprint)).size).toBe(text.length + 1);
  for (const each of all) expect(fingerprint(each)).toMatch(/^[0-9a-f]{16}$/);
});
