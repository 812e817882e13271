import fc from 'fast-check';
import { holdsAlong, ScheduleViolation, schedules, violates } from '../../src/fast-check/index.js';
import { actor, alwaysEventually, defineSystem, parseToken, possibility, replay, ScheduleError, UsageError } from '../../src/index.js';
import { build as buildCase, scenarios } from '../../src/scenarios/index.js';
import { lamps, lostUpdate, twoLocks, wheel } from '../systems/small.js';

const violation = (run: () => unknown): ScheduleViolation => {
  try {
    run();
  } catch (error) {
    if (error instanceof ScheduleViolation) return error;
    throw error;
  }
  throw new Error('nothing is violated');
};

test('a schedule along which everything holds passes; one that violates something is told as a diagram, with a token that replays it', () => {
  const system = lostUpdate();
  expect(holdsAlong(system)([0, 0, 1, 1])).toBeUndefined();
  const { message, property, schedule, token } = violation(() => holdsAlong(system)([0, 1, 0, 1]));
  expect([property, schedule]).toEqual(['sum', [0, 1, 0, 1]]);
  expect(message).toBe(
    `lost-update: sum is violated after 4 steps

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
                                       reading: value 0
writing
                                       writing
=> sum violated: two writers that have finished left 2 in the cell

Token: ${token}
replay(system, parseToken('${token}').schedule)`,
  );
  expect(replay(system, parseToken(token).schedule).steps).toHaveLength(4);
});

test('only what comes before the violation is told', () => {
  const system = defineSystem({ ...turning(3), id: 'turns' });
  expect(violation(() => holdsAlong(system)([0, 0, 0, 0, 0])).schedule).toEqual([0, 0]);
  expect(violates(system)([0, 0, 0])).toBe(true);
  expect(violates(system)([0])).toBe(false);
});

/** A wheel that must not be at 2. */
function turning(size: number): Pick<Parameters<typeof defineSystem>[0], 'actors' | 'properties'> {
  return {
    actors: { a: actor(wheel(size), { choices: ['turn'] }) },
    properties: [
      {
        kind: 'invariant',
        name: 'not at 2',
        description: 'the wheel is not at 2',
        actors: ['a'],
        holds: ({ a }: { a: { context: { at: number } } }) => a.context.at !== 2,
      },
      alwaysEventually<{ a: { context: { at: number } } }>('comes to 7', 'the wheel comes to 7', { actors: ['a'], reach: ({ a }) => a.context.at === 7 }),
      possibility<{ a: unknown }>('can', 'something can be', { actors: ['a'], when: () => true, reach: () => false }),
    ],
  };
}

test('of several properties the one asked for is judged', () => {
  const system = defineSystem({ ...turning(3), id: 'turns' });
  expect(violates(system, 'deadlock')([0, 0, 0])).toBe(false);
  expect(violates(system, 'not at 2')([0, 0, 0])).toBe(true);
  // A loop, as an endless run: found at the end of the schedule.
  expect(violation(() => holdsAlong(system, 'comes to 7')([0, 0, 0])).message).toContain('comes to 7 violated');
  expect(violates(system, { property: 'comes to 7' })([0, 0])).toBe(false);
});

test.each<[string, ReturnType<typeof lostUpdate>, string]>([
  ['an invariant', lostUpdate(), 'sum'],
  ['a deadlock', twoLocks(true), 'deadlock'],
])('%s is judged alike, live and on the tables', (_, system, property) => {
  let violated = 0;
  fc.assert(
    fc.property(schedules(system, { length: 8 }), (schedule) => {
      const live = violates(system, property)(schedule);
      expect(violates(system, { property, on: 'tables' })(schedule)).toBe(live);
      if (live) violated++;
    }),
    { seed: 1220, numRuns: 40 },
  );
  expect(violated).toBeGreaterThan(0);
  expect(violated).toBeLessThan(40);
});

test('fc.assert fails with the diagram and the token', () => {
  const run = (): void => fc.assert(fc.property(schedules(lostUpdate()), holdsAlong(lostUpdate())), { seed: 1, includeErrorInReport: true });
  expect(run).toThrow(/Counterexample: \[\[(0,1|1,0)[\s\S]*=> sum violated: two writers[\s\S]*Token: sd1:lost-update~/);
});

test('the token of a shipped variant is for the command line', () => {
  const scenario = scenarios.find(({ id }) => id === 'percpu-ref');
  const variant = scenario?.variants.find(({ id }) => id === 'C6');
  if (!scenario || !variant) throw new Error('no such variant');
  const found = buildCase(scenario, variant);
  const told = fc.check(fc.property(schedules(found), holdsAlong(found, { on: 'tables' })), { seed: 1 });
  expect((told.errorInstance as Error).message).toMatch(/\n\nToken: (sd1:percpu-ref\/C6,users=2~\S+)\nnpx shootdown replay '\1'$/);
});

test('a schedule that does not fit is refused where it stops fitting', () => {
  const run = (): void => holdsAlong(lostUpdate())([0, 0, 0]);
  expect(run).toThrow(ScheduleError);
  expect(run).toThrow("step 3: 'w0: step' is not possible, w0 is in 'finished'");
  expect(() => violates(lostUpdate(), { on: 'tables' })([0, 0, 0])).toThrow(ScheduleError);
  expect(() => violates(lostUpdate())([9])).toThrow("step 1: choice 9 is not one of this system's 2");
});

test.each<[string, () => unknown, string]>([
  ['an unknown property', () => holdsAlong(lostUpdate(), 'sums'), "lost-update has no property 'sums'; did you mean 'sum'? (it has BUG, sum, deadlock)"],
  [
    'a possibility',
    () => violates(defineSystem({ ...turning(3), id: 'turns' }), 'can'),
    "turns: 'can' is a possibility, and no single run shows that it is violated",
  ],
  [
    'an eventuality on the tables',
    () => violates(defineSystem({ ...turning(3), id: 'turns' }), { property: 'comes to 7', on: 'tables' }),
    "turns: 'comes to 7' is of kind eventuality, which the tables alone do not show; leave out on: 'tables'",
  ],
  ['an unknown option', () => holdsAlong(lamps(1), { at: 'live' } as never), "holdsAlong has no option 'at'; did you mean 'on'? (it has property, on)"],
  ['an unknown engine', () => violates(lamps(1), { on: 'paper' as never }), "violates: option 'on' takes live or tables, not 'paper'"],
  ['neither name nor options', () => holdsAlong(lamps(1), 3 as never), 'holdsAlong takes the name of a property, or options as an object, not 3'],
])('%s is refused at once', (_, ask, message) => {
  expect(ask).toThrow(UsageError);
  expect(ask).toThrow(message);
});
