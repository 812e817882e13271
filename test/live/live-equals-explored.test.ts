import fc from 'fast-check';
import { tlbShootdown } from '../../bench/tlb-shootdown.js';
import { liveEqualsExplored } from '../laws.js';
import { build, systemPlans } from '../systems/random.js';
import { lostUpdate, twoLocks } from '../systems/small.js';

describe('a system run live and the same system stepped by the explorer are the same', () => {
  test('random systems, random schedules, more than 100,000 steps', () => {
    let steps = 0;
    let moving = 0;
    fc.assert(
      fc.property(systemPlans(), fc.nat(), (plan, seed) => {
        const taken = liveEqualsExplored(build(plan), seed, 600, 15);
        steps += taken;
        if (taken > 0) moving++;
      }),
      { seed: 20261, numRuns: 450 },
    );
    expect(steps).toBeGreaterThan(100_000);
    expect(moving).toBeGreaterThan(300);
  }, 120_000);

  test.each([
    ['lost update', lostUpdate()],
    ['two locks', twoLocks(false)],
    ['two locks, crosswise', twoLocks(true)],
    ['the benchmark', tlbShootdown({ N: 3, P: 2, K: 1, T: 1 })],
    ['a mutant of the benchmark', tlbShootdown({ N: 3, P: 1, K: 2, T: 2, bug: 2 })],
  ])('%s', (_, system) => {
    expect(liveEqualsExplored(system, 1, 1000)).toBe(1000);
  });
});
