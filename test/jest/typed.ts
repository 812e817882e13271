import { expect as imported } from '@jest/globals';
import type { SnapshotFrom } from 'xstate';
import { subjectOf } from '../../src/check/check.js';
import type { System } from '../../src/index.js';
import { type Checkable, counterexample, matchers, register, type SystemMatchers } from '../../src/jest/index.js';
import type { Case } from '../../src/scenarios/scenario.js';
import type { cell, writer } from '../systems/small.js';

/** Never run: `npm run types` says whether these calls are typed as they should be. */
export async function calls(system: System, built: Case): Promise<void> {
  const all: Checkable[] = [system, built, subjectOf(built)];
  const text: string | null = await counterexample(all[0] as Checkable, 'sum', { maxStates: 10 });
  register(expect);
  register(imported);
  expect.extend(matchers);
  imported.extend(matchers);

  // Of @types/jest, and of @jest/globals.
  const done: Promise<void> = expect(system).toHold();
  await imported(system).toHold('sum', { maxSeconds: 1, signal: new AbortController().signal });
  await expect(system).not.toHold(['sum', 'deadlock']);
  await imported(system).not.toViolate('sum', { within: 4 });
  await expect(system).toViolate({ within: 4 });
  await expect(system).toReplay('sd1:...', { violating: 'sum' });
  await imported(system).toReplay([0, 1]);
  await expect(system).toBeDeadlockFree({ maxStates: 3 });

  await expect(system).toReach('cell', (snapshot) => snapshot.context.value === 2);
  await imported(system).toReach('cell', (snapshot: SnapshotFrom<typeof cell>) => snapshot.context.value === 2);
  await expect(system).toReach(['w0', 'w1'], ({ w0, w1 }) => w0.matches('writing') && w1.matches('writing'));
  await expect(system).toReach(['w0'], ({ w0 }: { w0: SnapshotFrom<typeof writer> }) => w0.context.seen === 1);

  await expect(system).toLeadTo({ actors: ['w0'], when: ({ w0 }) => w0.matches('reading'), reach: ({ w0 }) => w0.hasTag('rest') }, { maxStates: 3 });
  await imported(system).toLeadTo(
    ({ w0 }) => w0.matches('reading'),
    ({ w0 }) => w0.hasTag('rest'),
    { actors: ['w0'], description: 'w0 is done' },
  );
  const asked = { when: ({ w0 }: { w0: SnapshotFrom<typeof writer> }) => w0.context.seen === 1, reach: () => true };
  await expect(system).toLeadTo(asked.when, asked.reach);

  // @ts-expect-error: a step count is a number
  await expect(system).toViolate('sum', { within: 'four' });
  // @ts-expect-error: there is no such option
  await imported(system).toHold({ within: 4 });
  // @ts-expect-error: only actors that are read have snapshots
  await expect(system).toLeadTo({ actors: ['w0'], when: ({ w1 }) => w1.matches('reading'), reach: () => true });
  // @ts-expect-error: a state is of one actor
  await imported(system).toReach(['w0', 'w1'], 'writing');
  // @ts-expect-error: a writer's context has no such field
  await expect(system).toReach('w0', (snapshot: SnapshotFrom<typeof writer>) => snapshot.context.value === 2);
  await Promise.all([done, text]);
}

/** Types and functions name the same matchers. */
export const named: Record<keyof SystemMatchers, unknown> = matchers;
export const typed: Record<keyof typeof matchers, unknown> = {} as SystemMatchers;
