import fc from 'fast-check';
import { tlbShootdown } from '../../bench/tlb-shootdown.js';
import { explore, ModelError, type System } from '../../src/index.js';
import { naiveEqualsExplorer } from '../laws.js';
import { build, systemPlans } from '../systems/random.js';
import { atomicWriter, lamps, lostUpdate, twoLocks } from '../systems/small.js';

/** Whether the naive search, which starts anew for every transition, can be asked to do it. A model that fails is not. */
function isSmall(system: System): boolean {
  try {
    return explore(system, { stop: () => false, maxStates: 120 }).exhausted;
  } catch (error) {
    if (error instanceof ModelError) return false;
    throw error;
  }
}

describe('the explorer and its naive twin find the same states, transitions, depth, violations and shortest lengths', () => {
  test('in random systems', () => {
    const seen = { systems: 0, states: 0, branching: 0, violated: new Map<string, number>() };
    fc.assert(
      fc.property(systemPlans(3), (plan) => {
        const system = build(plan);
        if (!isSmall(system)) return;
        const { states, depth, violated } = naiveEqualsExplorer(system);
        seen.systems++;
        seen.states += states;
        if (states > depth + 1) seen.branching++;
        for (const name of Object.keys(violated)) seen.violated.set(name, (seen.violated.get(name) ?? 0) + 1);
      }),
      { seed: 20262, numRuns: 400 },
    );
    // The law was put to the test: enough systems, not all of them trivial, and violations of every kind.
    expect(seen.systems).toBeGreaterThan(200);
    expect(seen.states).toBeGreaterThan(1500);
    expect(seen.branching).toBeGreaterThan(100);
    for (const name of ['BUG', 'P1', 'I0', 'deadlock']) expect(seen.violated.get(name)).toBeGreaterThan(5);
  }, 120_000);

  test.each([
    ['lamps', lamps(4), { states: 16, transitions: 64, depth: 4, violated: {} }],
    ['lost update', lostUpdate(), { states: 13, transitions: 14, depth: 4, violated: { sum: 4 } }],
    ['atomic update', lostUpdate(atomicWriter), { states: 4, transitions: 4, depth: 2, violated: {} }],
    ['two locks', twoLocks(false), { states: 12, transitions: 16, depth: 6, violated: {} }],
    ['two locks, crosswise', twoLocks(true), { states: 13, transitions: 18, depth: 6, violated: { deadlock: 2 } }],
    ['the benchmark', tlbShootdown({ N: 2, P: 1, K: 1, T: 1 }), { states: 117, transitions: 226, depth: 12, violated: {} }],
  ])('in %s', (_, system, expected) => {
    expect(naiveEqualsExplorer(system)).toEqual(expected);
  });
});
