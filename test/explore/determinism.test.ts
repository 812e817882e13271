import { tlbShootdown } from '../../bench/tlb-shootdown.js';
import { type Exploration, explore, exploreAsync, type System } from '../../src/index.js';
import { lostUpdate, twoLocks } from '../systems/small.js';

/** All that a search found and did, without how long it took. */
const receipt = ({ system, seconds: _seconds, ...rest }: Exploration): unknown => ({ id: system.id, digest: system.digest, ...rest });
const all = { stop: () => false };

describe('the same system gives the same result', () => {
  test.each([
    ['lost update', () => lostUpdate()],
    ['two locks, crosswise', () => twoLocks(true)],
    ['a small benchmark', () => tlbShootdown({ N: 2, P: 1, K: 1, T: 1 })],
  ])('200 times: %s', (_, build) => {
    const first = receipt(explore(build(), all));
    for (let time = 0; time < 200; time++) expect(receipt(explore(build(), all))).toEqual(first);
  });

  test('on the same system object, explored again and again', () => {
    const system = tlbShootdown({ N: 2, P: 2, K: 1, T: 1, bug: 1 });
    const first = receipt(explore(system, all));
    for (let time = 0; time < 20; time++) expect(receipt(explore(system, all))).toEqual(first);
  });

  test.each<[string, () => System]>([
    ['the benchmark', () => tlbShootdown({ N: 3, P: 1, K: 1, T: 1 })],
    ['a mutant of it', () => tlbShootdown({ N: 3, P: 1, K: 1, T: 2, bug: 1 })],
  ])('whether it gives way to the event loop or not: %s', async (_, build) => {
    expect(receipt(await exploreAsync(build(), all))).toEqual(receipt(explore(build(), all)));
  });

  test('in a search that stops at the first violation, too', () => {
    const first = receipt(explore(tlbShootdown({ N: 2, P: 2, K: 1, T: 1, bug: 1 })));
    for (let time = 0; time < 20; time++) expect(receipt(explore(tlbShootdown({ N: 2, P: 2, K: 1, T: 1, bug: 1 })))).toEqual(first);
  });
});

test('a search that stops early finds the same shortest counterexample as one that does not', () => {
  for (const build of [() => lostUpdate(), () => twoLocks(true), () => tlbShootdown({ N: 2, P: 2, K: 1, T: 1, bug: 1 })]) {
    const early = explore(build()).properties.find(({ violation }) => violation)?.violation;
    const late = explore(build(), all).properties.find(({ name }) => name === early?.property)?.violation;
    expect(late).toEqual(early);
  }
});
