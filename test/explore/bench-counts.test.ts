import { tlbShootdown } from '../../bench/tlb-shootdown.js';
import { explore } from '../../src/index.js';

/** Counts that SPIN, TLC and a hand-written search agree on: N, P, K, T, states, transitions, depth. */
const published: [number, number, number, number, number, number, number][] = [
  [2, 1, 1, 1, 117, 226, 12],
  [2, 1, 2, 2, 336, 697, 19],
  [2, 2, 1, 1, 449, 981, 18],
  [2, 2, 2, 2, 1523, 3599, 25],
  [3, 1, 1, 1, 2759, 8624, 19],
  [3, 2, 1, 1, 23143, 80440, 26],
  [3, 1, 2, 2, 23148, 79026, 33],
  [4, 1, 1, 1, 73587, 323405, 26],
];

test.each(published)('(%i,%i,%i,%i) has the published numbers of states and transitions, and depth', (N, P, K, T, states, transitions, depth) => {
  const found = explore(tlbShootdown({ N, P, K, T }));
  expect({ states: found.states, transitions: found.transitions, depth: found.depth, exhausted: found.exhausted }).toEqual({
    states,
    transitions,
    depth,
    exhausted: true,
  });
  expect(found.properties.filter(({ violation }) => violation)).toEqual([]);
});

test.each([
  [1, 2, 1, 1, 7, 'NoDeadRef'],
  [1, 3, 1, 1, 7, 'NoDeadRef'],
  [1, 3, 1, 2, 6, 'NoStaleUse'],
  [2, 2, 1, 1, 8, 'NoDeadRef'],
  [2, 3, 1, 1, 9, 'NoDeadRef'],
  [2, 3, 2, 1, 9, 'NoDeadRef'],
] as const)('mutant %i at (%i,%i,%i) is broken in %i steps: %s', (bug, N, P, K, length, property) => {
  const found = explore(tlbShootdown({ N, P, K, T: K, bug }));
  const violation = found.properties.find((candidate) => candidate.violation)?.violation;
  expect(violation?.schedule).toHaveLength(length);
  expect(violation?.property.startsWith(property)).toBe(true);
});
