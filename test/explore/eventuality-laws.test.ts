import fc from 'fast-check';
import type { Eventualities } from '../../src/explore/eventuality.js';
import { Explorer } from '../../src/explore/explorer.js';
import { type Assumption, alwaysEventually, explore, leadsTo, type System, type Violation } from '../../src/index.js';
import { isSmall, lassoStands, naiveEqualsExplorer } from '../laws.js';
import { graph } from '../systems/graphs.js';
import { build, mixed, type Snapshots, systemPlans } from '../systems/random.js';

type Views = { a: { value: string } };

const events = ['e0', 'e1', 'e2', 'env'] as const;
const most = 7;
/** A state more or less anywhere, or (below 0) the choice is not possible there. */
const target = fc.integer({ min: -2, max: most - 1 });
const plans = fc
  .record({
    // Per state, where each of four events leads. What leads where it comes from changes nothing.
    targets: fc.array(fc.tuple(target, target, target, target), { minLength: 2, maxLength: most }),
    // The environment has one, or two of them.
    fair: fc.constantFrom(2, 3),
    when: fc.option(fc.uniqueArray(fc.nat(most - 1), { minLength: 1, maxLength: 3 }), { freq: 3 }),
    reach: fc.uniqueArray(fc.nat(most - 1), { minLength: 1, maxLength: 2 }),
  })
  .map(({ targets, ...rest }) => ({ ...rest, targets: targets.map((row) => row.map((to) => (to < 0 ? -1 : to % targets.length))) }));
type Plan = { targets: number[][]; fair: number; when: number[] | null; reach: number[] };

const numberOf = ({ value }: Views['a']): number => Number(value.slice(1));

function systemOf({ targets, fair, when, reach }: Plan): System {
  const states = Object.fromEntries(
    targets.map((row, state) => [`s${state}`, Object.fromEntries(row.flatMap((to, event) => (to < 0 ? [] : [[events[event] as string, `s${to}`]])))]),
  );
  const spec = { actors: ['a'] as const, reach: ({ a }: Views) => reach.includes(numberOf(a)) };
  const property = when === null ? alwaysEventually<Views>('E', '', spec) : leadsTo<Views>('E', '', { ...spec, when: ({ a }) => when.includes(numberOf(a)) });
  return graph(states, [property], events.slice(fair));
}

const violationOf = (system: System): Violation | null =>
  explore(system, { stop: () => false }).properties.find(({ kind }) => kind === 'eventuality')?.violation ?? null;

/** Where the number of a choice leads from a state, if that changes anything. */
const step = (system: System, { targets }: Plan, state: number, choice: number): number | null => {
  const to = targets[state]?.[events.indexOf(system.choices[choice]?.event.type as (typeof events)[number])] ?? -1;
  return to < 0 || to === state ? null : to;
};

/** The states that steps lead to from some states, these included, through states that satisfy `within`. */
function reachable(system: System, plan: Plan, from: readonly number[], within: (state: number) => boolean = () => true): Set<number> {
  const found = new Set(from.filter(within));
  for (const state of found)
    for (const { index } of system.choices) {
      const to = step(system, plan, state, index);
      if (to !== null && within(to)) found.add(to);
    }
  return found;
}

/**
 * Whether no fair run violates the eventuality when something more is assumed of all runs, by going through all sets of states: those
 * that a run can stay in, for ever and fairly, visiting all of them again and again.
 */
function holdsUnder(system: System, plan: Plan, assumed: Assumption | null): boolean {
  const { reach, when } = plan;
  const asking = [...reachable(system, plan, [0])].filter((state) => when?.includes(state) ?? true);
  const pending = [...reachable(system, plan, asking, (state) => !reach.includes(state))];
  for (let set = 1; set < 1 << pending.length; set++) {
    const states = pending.filter((_, index) => set & (1 << index));
    const inside = (state: number, choice: number): boolean => states.includes(step(system, plan, state, choice) ?? -1);
    const usable = system.choices.filter(({ index }) => assumed?.kind !== 'finite' || assumed.choice !== index);
    const connected = states.every((start) => {
      const found = new Set([start]);
      for (const state of found) for (const { index } of usable) if (inside(state, index)) found.add(step(system, plan, state, index) as number);
      return found.size === states.length;
    });
    const fair = system.choices.every(({ index, fair }) => {
      const owed = states.filter((state) => step(system, plan, state, index) !== null);
      const taken = states.some((state) => inside(state, index));
      const assumption = assumed?.choice === index ? assumed.kind : null;
      if (assumption === 'strong') return taken || owed.length === 0;
      return !(fair || assumption === 'weak') || taken || owed.length < states.length;
    });
    if (connected && fair) return false;
  }
  return true;
}

const assumptionsOf = (system: System): Assumption[] =>
  system.choices.flatMap(({ index, fair }): Assumption[] =>
    fair
      ? [{ kind: 'strong', choice: index }]
      : [
          { kind: 'weak', choice: index },
          { kind: 'finite', choice: index },
        ],
  );

/** The loop uses a step that another choice would make, too. */
const hasTwins = (system: System, plan: Plan, { schedule, lasso }: Violation): boolean => {
  let state = 0;
  return schedule.some((choice, at) => {
    const from = state;
    state = step(system, plan, from, choice) as number;
    return at >= (lasso?.stem ?? 0) && system.choices.filter(({ index }) => step(system, plan, from, index) === state).length > 1;
  });
};

describe('in random graphs with several steps between the same states', () => {
  test('explorer, naive twin and a search of all sets of states agree, the lasso stands, and the cures are all that there are', () => {
    const seen = { holds: 0, empty: 0, loops: 0, longer: 0, stems: 0, twins: 0, strong: 0, weak: 0, finite: 0, incurable: 0 };
    fc.assert(
      fc.property(plans, (plan) => {
        const system = systemOf(plan);
        naiveEqualsExplorer(system);
        const violation = violationOf(system);
        expect(violation === null).toBe(holdsUnder(system, plan, null));
        if (!violation?.lasso) {
          seen.holds++;
          return;
        }
        const { stem, cures, untried } = violation.lasso;
        const length = lassoStands(system, violation);
        seen[length === 0 ? 'empty' : 'loops']++;
        if (length > 2) seen.longer++;
        if (stem > 0) seen.stems++;
        if (hasTwins(system, plan, violation)) seen.twins++;
        expect([cures, untried]).toEqual([assumptionsOf(system).filter((assumed) => holdsUnder(system, plan, assumed)), 0]);
        for (const { kind } of cures) seen[kind]++;
        if (cures.length === 0) seen.incurable++;
      }),
      { seed: 20283, numRuns: 800 },
    );
    for (const [what, count] of Object.entries(seen)) expect([what, count, count > 25]).toEqual([what, count, true]);
  }, 120_000);

  test('the result is the same whatever the size of the slices', () => {
    let violated = 0;
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 9 }), (plan, size) => {
        const explorer = new Explorer(systemOf(plan), { stop: () => false });
        // The search first, without what comes after it.
        const inside = explorer as unknown as { head: number; expandUntil(end: number): void; eventualities: Eventualities };
        while (inside.head < explorer.states) inside.expandUntil(explorer.states);
        for (let slices = 0; !explorer.finished; slices++) {
          inside.eventualities.slice(size, explorer.states);
          expect(slices).toBeLessThan(1000);
        }
        const sliced = explorer.result().properties.find(({ name }) => name === 'E');
        expect(sliced).toEqual(explore(systemOf(plan), { stop: () => false }).properties.find(({ name }) => name === 'E'));
        if (sliced?.violation) violated++;
      }),
      { seed: 20284, numRuns: 200 },
    );
    expect(violated).toBeGreaterThan(60);
  });
});

test('what is violated in the part of a random graph that a limit lets be seen is violated', () => {
  const seen = { found: 0, open: 0, cut: 0 };
  fc.assert(
    fc.property(plans, fc.integer({ min: 1, max: most - 1 }), (plan, maxStates) => {
      const system = systemOf(plan);
      const { exhausted, limit, properties } = explore(system, { stop: () => false, maxStates });
      if (exhausted) return;
      expect(limit).toBe(`${maxStates} states`);
      const violation = properties.find(({ name }) => name === 'E')?.violation ?? null;
      const whole = violationOf(system);
      if (violation) {
        seen.found++;
        lassoStands(system, violation);
        expect(whole?.lasso?.stem).toBeLessThanOrEqual(violation.lasso?.stem as number);
      } else seen[whole ? 'cut' : 'open']++;
    }),
    { seed: 20286, numRuns: 300 },
  );
  for (const [what, count] of Object.entries(seen)) expect([what, count, count > 15]).toEqual([what, count, true]);
});

test('in random systems of several actors explorer and naive twin agree, and the lassos stand', () => {
  const specs = fc.array(fc.record({ left: fc.nat(2), right: fc.nat(2), when: fc.nat(3), reach: fc.nat(2) }), { minLength: 1, maxLength: 3 });
  const seen = { systems: 0, asked: 0, violated: 0, stems: 0, loops: 0, cures: 0 };
  fc.assert(
    fc.property(systemPlans(3), specs, (plan, asked) => {
      const plain = build(plan);
      const at = (index: number): string => plain.actors[index % plain.actors.length]?.address as string;
      const properties = asked.map(({ left, right, when, reach }, index) => {
        const spec = { actors: [at(left), at(right)], reach: (snapshots: Snapshots) => mixed(snapshots) % 3 === reach };
        // One in four has no premise.
        if (when === 3) return alwaysEventually<Snapshots>(`Q${index}`, '', spec);
        return leadsTo<Snapshots>(`Q${index}`, '', { ...spec, when: (snapshots) => mixed(snapshots) % 5 !== when });
      });
      const system = { ...plain, properties: [...plain.properties, ...properties] };
      if (!isSmall(system)) return;
      naiveEqualsExplorer(system);
      seen.systems++;
      for (const { kind, evaluations, violation } of explore(system, { stop: () => false }).properties) {
        if (kind !== 'eventuality' || evaluations === 0) continue;
        seen.asked++;
        if (!violation?.lasso) continue;
        seen.violated++;
        if (lassoStands(system, violation) > 0) seen.loops++;
        if (violation.lasso.stem > 0) seen.stems++;
        if (violation.lasso.cures.length > 0) seen.cures++;
      }
    }),
    { seed: 20285, numRuns: 400 },
  );
  // The law was put to the test: both verdicts, often enough, and not only at the start.
  expect(seen.systems).toBeGreaterThan(200);
  expect(seen.asked - seen.violated).toBeGreaterThan(80);
  expect(seen.violated).toBeGreaterThan(80);
  expect(seen.stems).toBeGreaterThan(80);
  expect(seen.loops).toBeGreaterThan(40);
  expect(seen.cures).toBeGreaterThan(15);
}, 120_000);
