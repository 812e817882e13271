import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, counterexampleOf } from 'shootdown';
import { fickle, hasty, twoPhaseCommit } from './two-phase-commit.mjs';

/** Distinct states as others count them, see README.md. */
const published = new Map([
  [3, 288],
  [5, 8_832],
  [6, 50_816],
]);

for (const [count, states] of published)
  test(`${count} resource managers: consistent in each of ${states} states`, async () => {
    const { verdict, exploration } = await check(twoPhaseCommit('protocol', count));
    assert.equal(verdict, 'holds');
    assert.equal(exploration.states, states);
  });

test('TLC searches 11 levels, the first of which is the initial state', async () => {
  const { exploration } = await check(twoPhaseCommit('protocol', 3));
  assert.equal(exploration.depth + 1, 11);
});

for (const mutant of [hasty, fickle])
  test(`${mutant.id}: one commits, another aborts`, async () => {
    const found = counterexampleOf(await check(mutant));
    assert.equal(found?.name, 'TCConsistent');
    assert.match(found.counterexample.message, /aborted while another has committed/);
  });
