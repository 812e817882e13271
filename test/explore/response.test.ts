import fc from 'fast-check';
import { LiveSystem, leadsTo, longestResponse, type System, UsageError } from '../../src/index.js';
import { graph } from '../systems/graphs.js';

type Views = { a: { value: string } };
type Plan = { targets: number[][]; when: number[]; reach: number[] };

const events = ['counted', 'free', 'free too'] as const;
const most = 7;
const target = fc.integer({ min: -2, max: most - 1 });
const plans: fc.Arbitrary<Plan> = fc
  .record({
    targets: fc.array(fc.tuple(target, target, target), { minLength: 2, maxLength: most }),
    when: fc.uniqueArray(fc.nat(most - 1), { minLength: 1, maxLength: 3 }),
    reach: fc.uniqueArray(fc.nat(most - 1), { minLength: 1, maxLength: 2 }),
  })
  .map(({ targets, ...rest }) => ({ ...rest, targets: targets.map((row) => row.map((to) => (to < 0 ? -1 : to % targets.length))) }));

const numberOf = ({ value }: Views['a']): number => Number(value.slice(1));
const counts = ({ event }: { event: { type: string } }): boolean => event.type === 'counted';

function systemOf({ targets, when, reach }: Plan): System {
  const states = Object.fromEntries(
    targets.map((row, state) => [`s${state}`, Object.fromEntries(row.flatMap((to, event) => (to < 0 ? [] : [[events[event] as string, `s${to}`]])))]),
  );
  const property = leadsTo<Views>('E', '', { actors: ['a'], when: ({ a }) => when.includes(numberOf(a)), reach: ({ a }) => reach.includes(numberOf(a)) });
  return graph(states, [property], events);
}

/** By looking ahead further and further: whoever can take more counted steps than there are states can take as many as he likes. */
function naively({ targets, when, reach }: Plan): number | null {
  const reachable = new Set([0]);
  for (const state of reachable) for (const to of targets[state] ?? []) if (to >= 0) reachable.add(to);
  let ahead = targets.map(() => 0);
  for (let round = 0; round < targets.length * (targets.length + 1); round++)
    ahead = targets.map((row) =>
      Math.max(0, ...row.flatMap((to, event) => (to < 0 ? [] : [(events[event] === 'counted' ? 1 : 0) + (reach.includes(to) ? 0 : (ahead[to] as number))]))),
    );
  const starts = [...reachable].filter((state) => when.includes(state) && !reach.includes(state));
  const longest = Math.max(0, ...starts.map((state) => ahead[state] as number));
  return longest > targets.length ? null : longest;
}

// A step that changes nothing is none.
const withoutIdleSteps = (plan: Plan): Plan => ({ ...plan, targets: plan.targets.map((row, state) => row.map((to) => (to === state ? -1 : to))) });

test('the longest response is that of a naive search, and a live run takes as long', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const system = systemOf(plan);
      const { steps, schedule, stem, limit } = longestResponse(system, 'E', counts);
      expect(limit).toBeNull();
      expect(steps).toBe(naively(withoutIdleSteps(plan)));
      if (steps === null || steps === 0) return;
      const live = new LiveSystem(system);
      for (const choice of schedule.slice(0, stem)) live.take(system.choices[choice] as never);
      expect(plan.when).toContain(numberOf(live.snapshot('a') as never));
      for (const choice of schedule.slice(stem)) {
        expect(plan.reach).not.toContain(numberOf(live.snapshot('a') as never));
        live.take(system.choices[choice] as never);
      }
      expect(schedule.slice(stem).filter((choice) => counts(system.choices[choice] as never))).toHaveLength(steps);
    }),
    { numRuns: 600, seed: 20_261_121 },
  );
});

test('no run takes longer', () => {
  fc.assert(
    fc.property(plans, fc.array(fc.nat(999), { maxLength: 60 }), (plan, picks) => {
      const system = systemOf(plan);
      const { steps } = longestResponse(system, 'E', counts);
      if (steps === null) return;
      const live = new LiveSystem(system);
      let taken = 0;
      let pending = false;
      for (const pick of picks) {
        const state = numberOf(live.snapshot('a') as never);
        if (plan.reach.includes(state)) pending = false;
        else if (!pending && plan.when.includes(state)) {
          pending = true;
          taken = 0;
        }
        const enabled = live.enabled();
        const choice = enabled[pick % enabled.length];
        if (!choice) return;
        const before = JSON.stringify(live.snapshot('a'));
        live.take(choice);
        if (pending && counts(choice) && JSON.stringify(live.snapshot('a')) !== before) taken++;
        if (pending) expect(taken).toBeLessThanOrEqual(steps);
      }
    }),
    { numRuns: 300, seed: 20_261_122 },
  );
});

test('what can be put off for ever has no longest response', () => {
  const { steps, schedule } = longestResponse(
    systemOf({
      targets: [
        [1, -1, -1],
        [0, 2, -1],
        [-1, -1, -1],
      ],
      when: [0],
      reach: [2],
    }),
    'E',
    counts,
  );
  expect(steps).toBeNull();
  expect(schedule).toEqual([]);
});

test('what others do meanwhile, even for ever, is not counted', () => {
  expect(
    longestResponse(
      systemOf({
        targets: [
          [2, 1, -1],
          [-1, 0, -1],
          [-1, -1, -1],
        ],
        when: [0],
        reach: [2],
      }),
      'E',
      counts,
    ).steps,
  ).toBe(1);
});

test('a limit leaves it open, and unknown names are told', () => {
  const system = systemOf({
    targets: [
      [1, -1, -1],
      [2, -1, -1],
      [-1, -1, -1],
    ],
    when: [0],
    reach: [2],
  });
  expect(longestResponse(system, 'E', counts, { maxStates: 1 })).toMatchObject({ steps: null, limit: '1 states' });
  expect(() => longestResponse(system, 'F', counts)).toThrow(UsageError);
  expect(() => longestResponse(system, 'F', counts)).toThrow("has no eventuality 'F'");
});
