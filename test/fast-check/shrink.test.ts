import fc from 'fast-check';
import { type Schedule, schedules, violates } from '../../src/fast-check/index.js';
import { simpler } from '../../src/fast-check/shrinks.js';
import { independent, type State, Walker } from '../../src/fast-check/walker.js';
import { actor, defineSystem, explore, ModelError, type System } from '../../src/index.js';
import { build, systemPlans } from '../systems/random.js';
import { lamps, lostUpdate, twoLocks, wheel } from '../systems/small.js';

type Fails = (schedule: Schedule) => boolean;

const withoutStep = (schedule: Schedule, at: number): number[] => schedule.filter((_, other) => other !== at);
const without = (schedule: Schedule): number[][] => schedule.map((_, at) => withoutStep(schedule, at));

/** What a schedule that fails shrinks to, as fast-check does it; null if none of the runs fails. */
function shrunk(system: System, fails: Fails, seed: number, numRuns = 100): Schedule | null {
  const { failed, counterexample } = fc.check(
    fc.property(schedules(system, { length: 30 }), (schedule) => !fails(schedule)),
    { seed, numRuns },
  );
  return failed ? ((counterexample as [Schedule])[0] as Schedule) : null;
}

/** The law: what a schedule shrinks to fits and fails, and leaves no single step out that could be left out. */
function expectLocallyMinimal(system: System, fails: Fails, schedule: Schedule): void {
  const walker = Walker.of(system);
  expect(walker.walk(schedule)).not.toBeNull();
  expect(fails(schedule)).toBe(true);
  expect(without(schedule).filter((shorter) => walker.walk(shorter) !== null && fails(shorter))).toEqual([]);
}

/** Something that a schedule does, and that shrinking has to keep: its last choice after another one that it takes. */
const doing = (schedule: Schedule, middle: number): Fails => {
  const [first, last] = [schedule[middle % schedule.length], schedule.at(-1)];
  return (candidate) => candidate.indexOf(first as number) >= 0 && candidate.slice(candidate.indexOf(first as number) + 1).includes(last as number);
};

test('shrunk schedules of random systems fit, and are locally minimal', () => {
  let shrinks = 0;
  let removed = 0;
  fc.assert(
    fc.property(systemPlans(), fc.nat(), (plan, seed) => {
      const system = build(plan);
      try {
        const arbitrary = schedules(system, { length: 15 });
        const [schedule = []] = fc.sample(arbitrary, { seed, numRuns: 1 });
        const fails = doing(schedule, seed);
        if (!fails(schedule)) return;
        const { counterexample } = fc.check(
          fc.property(arbitrary, (candidate) => !fails(candidate)),
          { examples: [[schedule]], numRuns: 1 },
        );
        const [simplest] = counterexample as [Schedule];
        shrinks++;
        removed += schedule.length - simplest.length;
        expectLocallyMinimal(system, fails, simplest);
      } catch (error) {
        // A model that cannot start has no schedules.
        if (!(error instanceof ModelError)) throw error;
      }
    }),
    { seed: 1210, numRuns: 200, endOnFailure: true },
  );
  expect(shrinks).toBeGreaterThan(20);
  expect(removed).toBeGreaterThan(100);
});

test('what is offered in place of a schedule fits, and is simpler: shorter, or with fewer changes of column', () => {
  let offered = 0;
  const system = lostUpdate();
  const walker = Walker.of(system);
  const lanes = (schedule: Schedule): string[] => schedule.map((choice) => system.choices[choice]?.actor.lane ?? '');
  const changes = (schedule: Schedule): number => lanes(schedule).filter((lane, at, all) => at > 0 && lane !== all[at - 1]).length;
  fc.assert(
    fc.property(schedules(system), (schedule) => {
      for (const candidate of simpler(walker, schedule)) {
        offered++;
        expect(walker.walk(candidate)).not.toBeNull();
        expect(candidate.length < schedule.length || (candidate.length === schedule.length && changes(candidate) < changes(schedule))).toBe(true);
      }
    }),
    { seed: 1211, numRuns: 30 },
  );
  expect(offered).toBeGreaterThan(100);
});

test('independent steps come to the same in either order', () => {
  let pairs = 0;
  const end = (walker: Walker, state: State, ...choices: number[]): State | undefined =>
    choices.reduce<State | undefined>((at, choice) => at && walker.take(at, choice)?.state, state);
  const plans = systemPlans().chain((plan) => fc.record({ plan: fc.constant(plan), picks: fc.array(fc.nat(), { maxLength: 15 }) }));
  fc.assert(
    fc.property(plans, ({ plan, picks }) => {
      let walker: Walker;
      try {
        walker = Walker.of(build(plan));
      } catch (error) {
        if (error instanceof ModelError) return;
        throw error;
      }
      let state = walker.start;
      for (const pick of picks) {
        const enabled = walker.enabled(state);
        for (const a of enabled)
          for (const b of enabled) {
            const [first, second] = [walker.take(state, a), walker.take(state, b)];
            if (a >= b || !first || !second || first.error || second.error || !independent(first, second)) continue;
            pairs++;
            expect(end(walker, state, a, b)).toEqual(end(walker, state, b, a));
          }
        const step = enabled.length > 0 ? walker.take(state, enabled[pick % enabled.length] as number) : null;
        if (!step || step.error) return;
        ({ state } = step);
      }
    }),
    { seed: 1212, numRuns: 150 },
  );
  expect(pairs).toBeGreaterThan(200);
});

test.each<[string, System, string]>([
  ['a lost update', lostUpdate(), 'sum'],
  ['a deadlock', twoLocks(true), 'deadlock'],
])('%s shrinks to a schedule as short as the shortest', (_, system, property) => {
  const { properties } = explore(system, { stop: () => false });
  const shortest = properties.find(({ name }) => name === property)?.violation?.schedule.length;
  for (const seed of [1, 2, 3]) {
    const schedule = shrunk(system, violates(system, property), seed) as Schedule;
    expect(schedule).toHaveLength(shortest as number);
    expectLocallyMinimal(system, violates(system, property), schedule);
  }
});

test('what has nothing to do with a failure goes, and what is left is put in order', () => {
  const system = defineSystem({
    id: 'three wheels',
    actors: { a: actor(wheel(9), { choices: ['turn'] }), b: actor(wheel(9), { choices: ['turn'] }), c: actor(wheel(9), { choices: ['turn'] }) },
  });
  const turns = (schedule: Schedule, index: number): number => schedule.filter((choice) => choice === index).length;
  const schedule = shrunk(system, (candidate) => turns(candidate, 0) >= 3 && turns(candidate, 1) >= 2, 5) as Schedule;
  expect([...schedule].sort()).toEqual([0, 0, 0, 1, 1]);
  // One column after the other.
  expect(schedule.filter((choice, at) => at > 0 && choice !== schedule[at - 1])).toHaveLength(1);
});

test('a schedule of somebody else shrinks, too, if it fits', () => {
  const arbitrary = schedules(lamps(2), { length: 5 });
  expect(arbitrary.canShrinkWithoutContext([0, 1, 0])).toBe(true);
  expect(arbitrary.canShrinkWithoutContext([0, 2])).toBe(false);
  expect(arbitrary.canShrinkWithoutContext([0, 0, 0, 0, 0, 0])).toBe(false);
  expect(arbitrary.canShrinkWithoutContext('0')).toBe(false);
  const { counterexample } = fc.check(
    fc.property(arbitrary, (schedule) => !schedule.includes(1)),
    { examples: [[[0, 1, 0]]], numRuns: 1 },
  );
  expect(counterexample).toEqual([[1]]);
});
