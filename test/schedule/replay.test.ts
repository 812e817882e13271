import fc from 'fast-check';
import { explore, InternalError, ModelError, ScheduleError, type System } from '../../src/index.js';
import { LiveSystem } from '../../src/live/live.js';
import { recorded } from '../../src/live/strategies.js';
import { confirm, replay, violatesNow } from '../../src/schedule/replay.js';
import { formatToken, parseToken } from '../../src/schedule/token.js';
import { build, systemPlans } from '../systems/random.js';
import { refusal } from '../systems/refused.js';
import { lostUpdate, twoLocks } from '../systems/small.js';

/**
 * The third law: what the search recorded is what happens. Every counterexample, through its token and back, runs live and
 * violates its property in its last step, and (being a shortest one) not before. Returns how many there were.
 */
function recordedIsReplayed(system: System): number {
  const { properties } = explore(system, { stop: () => false, maxStates: 3000 });
  const found = properties.flatMap(({ violation }) => (violation ? [violation] : []));
  for (const violation of found) {
    const token = formatToken({ name: 'random', parameters: {}, digest: system.digest, schedule: violation.schedule });
    const { schedule } = parseToken(token);
    expect(schedule).toEqual(violation.schedule);
    const run = confirm(system, { ...violation, schedule });
    expect(run.steps.map(({ choice }) => choice.index)).toEqual(violation.schedule);
    run.live.stop();
    if (schedule.length === 0) continue;
    const shorter = replay(system, schedule.slice(0, -1));
    expect(violatesNow(shorter, violation.property)).toBe(false);
    shorter.live.stop();
  }
  return found.length;
}

test('counterexamples of random systems are confirmed live, and are not violations a step earlier', () => {
  let confirmed = 0;
  fc.assert(
    fc.property(systemPlans(), (plan) => {
      try {
        confirmed += recordedIsReplayed(build(plan));
      } catch (error) {
        // A model that fails has no counterexamples.
        if (!(error instanceof ModelError)) throw error;
      }
    }),
    { seed: 20263, numRuns: 400 },
  );
  expect(confirmed).toBeGreaterThan(200);
}, 60_000);

test.each([
  ['lost update', lostUpdate(), 1],
  ['two locks, crosswise', twoLocks(true), 1],
  ['two locks', twoLocks(false), 0],
])('the violations of %s are confirmed', (_, system, violations) => {
  expect(recordedIsReplayed(system)).toBe(violations);
});

describe('a counterexample', () => {
  const system = lostUpdate();
  const [violation] = explore(system, { stop: () => false }).properties.flatMap((property) => (property.violation ? [property.violation] : []));
  if (!violation) throw new Error('no violation');

  test('has its last step and its last state', () => {
    const { steps, live } = confirm(system, violation);
    expect(steps.map(({ number, choice, changed }) => [number, choice.actor.address, changed.map(({ actor }) => actor.address)])).toEqual([
      [1, 'w0', ['w0']],
      [2, 'w1', ['w1']],
      [3, 'w0', ['cell', 'w0']],
      [4, 'w1', ['cell', 'w1']],
    ]);
    expect([live.snapshot('cell').context, live.snapshot('w0'), live.snapshot('w1')]).toMatchObject([
      { value: 1 },
      { value: 'finished' },
      { value: 'finished' },
    ]);
  });

  test('that stops short of the violation is not confirmed', () => {
    const short = { ...violation, schedule: violation.schedule.slice(0, -1) };
    expect(() => confirm(system, short)).toThrow(new InternalError("lost-update: the counterexample of 'sum' does not violate it live"));
  });

  test('of another property is not confirmed', () => {
    expect(() => confirm(system, { ...violation, property: 'deadlock' })).toThrow(InternalError);
    expect(() => confirm(system, { ...violation, property: 'BUG' })).toThrow(InternalError);
    expect(() => confirm(system, { ...violation, property: 'no such property' })).toThrow(InternalError);
  });

  test('that does not run is not confirmed', () => {
    const [first = 0] = violation.schedule;
    expect(() => confirm(system, { ...violation, schedule: [first, first, first] })).toThrow(
      new InternalError("lost-update: the counterexample of 'sum' does not run live: step 3: 'w0: step' is not possible, w0 is in 'finished'"),
    );
  });
});

describe('a schedule that does not fit', () => {
  test('a choice that is not enabled: says which step, and where the actor is', () => {
    const run = (): unknown => replay(lostUpdate(), [0, 0, 0]);
    expect(refusal(run)).toBe("ScheduleError: step 3: 'w0: step' is not possible, w0 is in 'finished'");
    expect(run).toThrow(expect.objectContaining({ step: 3 }));
  });

  test('a choice that the system does not have', () => {
    const run = (): unknown => replay(lostUpdate(), [0, 7]);
    expect(refusal(run)).toBe("ScheduleError: step 2: choice 7 is not one of this system's 2");
    expect(run).toThrow(ScheduleError);
  });
});

test('replay and a recorded stream of choices do the same', () => {
  const system = lostUpdate();
  const live = new LiveSystem(system);
  live.run(recorded(live, [0, 1, 1]));
  expect(live.identity()).toEqual(replay(system, [0, 1, 1]).live.identity());
});
