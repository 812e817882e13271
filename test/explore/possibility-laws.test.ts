import fc from 'fast-check';
import { Packing } from '../../src/explore/packing.js';
import { Batch, batchSize, noParent, StateStore } from '../../src/explore/store.js';
import { explore, possibility } from '../../src/index.js';
import { confirm } from '../../src/schedule/replay.js';
import { isSmall, naiveEqualsExplorer } from '../laws.js';
import { build, mixed, type Snapshots, systemPlans } from '../systems/random.js';
import { machine, single } from '../systems/small.js';

type Views = { a: { value: string } };

test('the visited table finds the number of each of many states, and of no others', () => {
  const store = new StateStore(new Packing([20, 20]), 1);
  const batch = new Batch(2);
  const words = (state: number): Int32Array => {
    const packed = new Int32Array(2);
    for (const [actor, id] of [state, state % 7].entries()) store.packing.write(packed, 0, actor, id);
    return packed;
  };
  const count = 200 * batchSize;
  for (let state = 0; state < count; state++) {
    batch.words.set(words(state), batch.count * 2);
    batch.enter(store.hash(batch.words, batch.count * 2), noParent, 0);
    if (batch.count === batchSize) store.addAll(batch);
  }
  let wrong = 0;
  for (let state = 0; state < count; state++) if (store.find(words(state), 0) !== state) wrong++;
  for (let state = count; state < 2 * count; state++) if (store.find(words(state), 0) !== -1) wrong++;
  expect([store.count, wrong]).toEqual([count, 0]);
});

describe('in random graphs a possibility is judged', () => {
  const size = 9;
  const subset = fc.uniqueArray(fc.nat(size - 1), { minLength: 1, maxLength: 3 });
  const plans = fc.record({
    // Per state, where each of three events leads; -1: it is not taken.
    targets: fc.array(fc.tuple(fc.integer({ min: -1, max: size - 1 }), fc.integer({ min: -1, max: size - 1 }), fc.integer({ min: -4, max: size - 1 })), {
      minLength: size,
      maxLength: size,
    }),
    when: subset,
    reach: subset,
  });
  const events = ['e0', 'e1', 'e2'];
  const nameOf = (state: number): string => `s${state}`;

  /** Per state that can be got to, in the order in which a breadth-first search finds it, the schedule. */
  function found(targets: readonly (readonly number[])[], start: number): Map<number, number[]> {
    const schedules = new Map([[start, [] as number[]]]);
    for (const [state, schedule] of schedules)
      for (const [event, to] of (targets[state] ?? []).entries()) if (to >= 0 && !schedules.has(to)) schedules.set(to, [...schedule, event]);
    return schedules;
  }

  test('as a search from each state judges it, with the same counterexample', () => {
    const seen = { holds: 0, violated: 0, unmet: 0 };
    fc.assert(
      fc.property(plans, ({ targets, when, reach }) => {
        const all = [...found(targets, 0)];
        const asked = all.filter(([state]) => when.includes(state));
        const lost = asked.filter(([state]) => ![...found(targets, state).keys()].some((to) => reach.includes(to)));
        const states = Object.fromEntries(
          targets.map((row, state) => [
            `s${state}`,
            { tags: ['rest'], on: Object.fromEntries(row.flatMap((to, event) => (to < 0 ? [] : [[events[event] as string, `s${to}`]]))) },
          ]),
        );
        const logic = machine({ id: 'm', initial: 's0', states });
        const spec = possibility<Views>('P', '', {
          actors: ['a'],
          when: ({ a }) => when.map(nameOf).includes(a.value),
          reach: ({ a }) => reach.map(nameOf).includes(a.value),
        });
        const system = single(logic, { choices: ['e0', 'e1'], environment: ['e2'] }, { properties: [spec] });
        const exploration = explore(system, { stop: () => false });
        const property = exploration.properties.find(({ name }) => name === 'P');
        expect([exploration.exhausted, exploration.states]).toEqual([true, all.length]);
        expect([property?.evaluations, property?.violation?.schedule ?? null]).toEqual([asked.length, lost[0]?.[1] ?? null]);
        seen[asked.length === 0 ? 'unmet' : lost.length > 0 ? 'violated' : 'holds']++;
      }),
      { seed: 20282, numRuns: 600 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(40);
  });
});

describe('the explorer and its naive twin judge alike', () => {
  const specs = fc.array(fc.record({ left: fc.nat(2), right: fc.nat(2), when: fc.nat(2), reach: fc.nat(3) }), { minLength: 1, maxLength: 3 });
  test('in random systems: same verdicts, same shortest lengths, and the counterexamples run live', () => {
    const seen = { systems: 0, asked: 0, violated: 0, later: 0 };
    fc.assert(
      fc.property(systemPlans(3), specs, (plan, asked) => {
        const plain = build(plan);
        const at = (index: number): string => plain.actors[index % plain.actors.length]?.address as string;
        const properties = asked.map((spec, index) =>
          possibility<Snapshots>(`Q${index}`, '', {
            actors: [at(spec.left), at(spec.right)],
            when: (snapshots) => mixed(snapshots) % 3 === spec.when,
            reach: (snapshots) => mixed(snapshots) % 4 === spec.reach,
          }),
        );
        const system = { ...plain, properties: [...plain.properties, ...properties] };
        if (!isSmall(system)) return;
        naiveEqualsExplorer(system);
        seen.systems++;
        for (const { kind, evaluations, violation } of explore(system, { stop: () => false }).properties) {
          if (kind !== 'possibility' || evaluations === 0) continue;
          seen.asked++;
          if (violation) {
            confirm(system, violation).live.stop();
            seen.violated++;
            if (violation.schedule.length > 0) seen.later++;
          }
        }
      }),
      { seed: 20281, numRuns: 400 },
    );
    // The law was put to the test: both verdicts, often enough, and not only at the start.
    expect(seen.systems).toBeGreaterThan(200);
    expect(seen.asked - seen.violated).toBeGreaterThan(80);
    expect(seen.violated).toBeGreaterThan(80);
    expect(seen.later).toBeGreaterThan(40);
  }, 120_000);
});
