import fc from 'fast-check';
import { holdsAlong, type ScheduleKind, schedules, violates } from '../../src/fast-check/index.js';
import { matters, type Taken, Walker } from '../../src/fast-check/walker.js';
import { actor, alwaysEventually, defineSystem, ModelError, type System, UsageError } from '../../src/index.js';
import { LiveSystem } from '../../src/live/live.js';
import { build, systemPlans } from '../systems/random.js';
import { lamps, lostUpdate, machine, pingPong, twoLocks, wheel } from '../systems/small.js';

const kinds: readonly ScheduleKind[] = ['random', 'fair', 'towards'];

/** Systems that start; those with a possibility or an eventuality included. */
function startsWell(system: System): boolean {
  try {
    Walker.of(system);
    return true;
  } catch (error) {
    if (error instanceof ModelError) return false;
    throw error;
  }
}

const withSchedule = (kind: ScheduleKind, length: number): fc.Arbitrary<{ system: System; schedule: readonly number[] }> =>
  systemPlans()
    .map(build)
    .filter(startsWell)
    .chain((system) => schedules(system, { kind, length }).map((schedule) => ({ system, schedule })));

test.each(kinds)('%s schedules of random systems fit, on the tables and live, and no step of them comes to nothing', (kind) => {
  let steps = 0;
  fc.assert(
    fc.property(withSchedule(kind, 12), ({ system, schedule }) => {
      expect(schedule.length).toBeLessThanOrEqual(12);
      const walked = Walker.of(system).walk(schedule) as Taken[];
      expect(walked.every(matters)).toBe(true);
      // A model that is wrong is wrong in the last step, for live XState as well.
      const fails = walked.at(-1)?.error !== undefined && walked.at(-1)?.error !== null;
      const live = new LiveSystem(system);
      const take = (index: number) => live.take(system.choices[index] as System['choices'][number]);
      for (const index of fails ? schedule.slice(0, -1) : schedule) take(index);
      if (fails) expect(() => take(schedule.at(-1) as number)).toThrow(ModelError);
      live.stop();
      steps += schedule.length;
    }),
    { seed: 1201, numRuns: 100 },
  );
  expect(steps).toBeGreaterThan(200);
});

test('a fair schedule takes what stays enabled, and able to change something, within twice as many steps as there are fair choices', () => {
  let longest = 0;
  const system = defineSystem({
    id: 'wheels',
    actors: {
      ...Object.fromEntries([...Array(6).keys()].map((n) => [`wheel${n}`, actor(wheel(5), { choices: ['turn'] })])),
      outside: actor(wheel(7), { environment: ['turn'] }),
    },
  });
  fc.assert(
    fc.property(schedules(system, { kind: 'fair', length: 80 }), (schedule) => {
      expect(schedule).toHaveLength(80);
      for (const { index, fair } of system.choices) {
        if (!fair) continue;
        const taken = [-1, ...schedule.flatMap((choice, at) => (choice === index ? [at] : [])), schedule.length];
        for (const [n, at] of taken.entries()) longest = Math.max(longest, at - (taken[n - 1] ?? -1));
      }
    }),
    { seed: 1202, numRuns: 200 },
  );
  expect(longest).toBeLessThanOrEqual(12);
  // It is fairness that holds it down: at random, somebody waits longer.
  expect(longest).toBeGreaterThan(6);
  const random = fc.sample(schedules(system, { length: 80 }), { seed: 1203, numRuns: 50 });
  expect(random.some((schedule) => schedule.slice(0, 20).every((choice) => choice !== 0))).toBe(true);
});

test('the same seed gives the same schedules, whatever was asked before', () => {
  const system = lostUpdate();
  for (const kind of kinds) {
    const sample = () => fc.sample(schedules(system, { kind }), { seed: 7, numRuns: 20 });
    expect(sample()).toEqual(sample());
    expect(fc.sample(schedules(lostUpdate(), { kind }), { seed: 7, numRuns: 20 })).toEqual(sample());
  }
});

test('where nothing can change, a schedule ends', () => {
  expect(new Set(fc.sample(schedules(lostUpdate()), { seed: 1, numRuns: 20 }).map(({ length }) => length))).toEqual(new Set([4]));
  expect(fc.sample(schedules(lamps(2), { length: 5 }), { seed: 1, numRuns: 5 }).map(({ length }) => length)).toEqual([5, 5, 5, 5, 5]);
  const idle = defineSystem({ id: 'idle', actors: { a: actor(machine({ id: 'idle' })) } });
  expect(fc.sample(schedules(idle), { seed: 1, numRuns: 2 })).toEqual([[], []]);
});

describe('towards', () => {
  const firstFound = (system: System, kind: ScheduleKind): number => {
    const found = fc.sample(schedules(system, { kind }), { seed: 1, numRuns: 50 }).findIndex(violates(system));
    return found < 0 ? Number.POSITIVE_INFINITY : found;
  };

  test.each([
    ['a lost update', lostUpdate()],
    ['a deadlock', twoLocks(true)],
  ])('%s is found by the first schedule, which ends there', (_, system) => {
    expect(firstFound(system, 'towards')).toBe(0);
    const [schedule = []] = fc.sample(schedules(system, { kind: 'towards' }), { seed: 1, numRuns: 1 });
    expect(violates(system)(schedule)).toBe(true);
    expect(violates(system)(schedule.slice(0, -1))).toBe(false);
  });

  test('a property that holds is not found violated', () => {
    expect(firstFound(twoLocks(false), 'towards')).toBe(Number.POSITIVE_INFINITY);
  });
});

test('a model that fails in a step is found, and shrunk, like a violation', () => {
  const system = pingPong(20);
  const told = fc.check(fc.property(schedules(system), holdsAlong(system)), { seed: 1 });
  expect(told.failed).toBe(true);
  expect(told.counterexample).toEqual([[expect.any(Number)]]);
  expect(told.errorInstance).toBeInstanceOf(ModelError);
  expect((told.errorInstance as Error).message).toMatch(/a step does not end.*\n\nToken: sd1:ping-pong~/s);
});

describe('what cannot be asked for', () => {
  const system = lostUpdate();
  const waits = defineSystem({
    id: 'waits',
    actors: { a: actor(wheel(2), { choices: ['turn'] }) },
    properties: [alwaysEventually<{ a: unknown }>('turns', 'it turns', { actors: ['a'], reach: () => true })],
  });

  test.each<[string, () => unknown, string]>([
    ['no length', () => schedules(system, { length: 0 }), "schedules: option 'length' takes a whole number of steps from 1 up, not 0"],
    ['half a step', () => schedules(system, { length: 2.5 }), "schedules: option 'length' takes a whole number of steps from 1 up, not 2.5"],
    [
      'an unknown kind',
      () => schedules(system, { kind: 'unfair' as never }),
      "schedules: option 'kind' takes random, fair, towards, not 'unfair'; did you mean 'fair'?",
    ],
    [
      'an unknown option',
      () => schedules(system, { lenght: 3 } as never),
      "schedules has no option 'lenght'; did you mean 'length'? (it has kind, length, property)",
    ],
    ['no options', () => schedules(system, 5 as never), 'schedules takes options as an object, not 5'],
    [
      'an unknown property',
      () => schedules(system, { kind: 'towards', property: 'sums' }),
      "lost-update has no property 'sums'; did you mean 'sum'? (it has BUG, sum, deadlock)",
    ],
    [
      'a property to no end',
      () => schedules(system, { property: 'sum' }),
      "schedules: option 'property' is for kind 'towards'; a random schedule goes towards none",
    ],
    [
      'what only endless runs violate',
      () => schedules(waits, { kind: 'towards', property: 'turns' }),
      "waits: 'turns' is of kind eventuality, of which no beginning of a run tells; schedules go towards a bug, an invariant or a deadlock",
    ],
    [
      'no system',
      () => schedules({} as never),
      'schedules takes a system (from defineSystem), a variant of a scenario (from build) or a subject of check, not another object',
    ],
  ])('%s', (_, ask, message) => {
    expect(ask).toThrow(UsageError);
    expect(ask).toThrow(message);
  });
});
