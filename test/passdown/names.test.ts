import fc from 'fast-check';
import { Names } from '../../src/passdown/names.js';

/** Few letters, and pairs of which a hash that multiplies by 31 makes the same: many names, and many of one hash. */
const name = fc.array(fc.constantFrom('Aa', 'BB', 'a', 'é', '\u{1f980}'), { maxLength: 6 }).map((parts) => parts.join(''));

test('names have the numbers that a Map would give them', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 60 }), fc.array(fc.oneof(name, fc.constantFrom(undefined, null, 3))), (added, asked) => {
      const names = new Names(added.length);
      const map = new Map<unknown, number>();
      for (const [number, one] of added.entries()) {
        expect(names.add(one, number)).toBe(map.get(one) ?? -1);
        if (!map.has(one)) map.set(one, number);
      }
      const all = [...asked, ...added];
      expect([...names.numbers(all)]).toEqual(all.map((one) => map.get(one) ?? -1));
    }),
    { numRuns: 500 },
  );
});

test('more names than are looked up at once', () => {
  const added = Array.from({ length: 5000 }, (_, at) => `name_${at}`);
  const names = new Names(added.length);
  for (const [number, one] of added.entries()) names.add(one, number);
  expect([...names.numbers([...added].reverse())]).toEqual(added.map((_, at) => 4999 - at));
});
