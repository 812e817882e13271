import fc from 'fast-check';
import { zap } from '../../machines/paths/zap.js';
import { holdsAlong, type Programs, parametersOf, programs, schedules } from '../../src/fast-check/index.js';
import { type System, UsageError } from '../../src/index.js';
import {
  build,
  lufSystem,
  mirror,
  mirrorSystem,
  protection,
  type Scenario,
  scenarios,
  shootdownReference,
  strictLuf,
  tlbShootdownSystem,
  writeProtectSystem,
} from '../../src/scenarios/index.js';

const scenarioOf = (id: string): Scenario => scenarios.find((scenario) => scenario.id === id) as Scenario;

describe('parameters', () => {
  test.each(scenarios.filter(({ parameters }) => Object.keys(parameters).length > 0).map((scenario) => [scenario.id, scenario] as const))(
    'of each variant of %s are those that it takes',
    (_, scenario) => {
      for (const variant of scenario.variants) {
        const open = Object.keys(scenario.parameters).filter((name) => variant.fixed?.[name] === undefined);
        for (const parameters of fc.sample(parametersOf(scenario, variant), { seed: 1230, numRuns: 5 })) {
          expect(Object.keys(parameters).sort()).toEqual(open.sort());
          // Without building the system, which for large values takes its time.
          expect(build(scenario, { ...variant, system: () => null as never }, parameters).parameters).toMatchObject(parameters);
        }
      }
    },
  );

  test('are of all values that there are, and shrink to the smallest system', () => {
    const arbitrary = parametersOf(scenarioOf('tlb-shootdown'), 'B0');
    const sampled = fc.sample(arbitrary, { seed: 1, numRuns: 200 });
    expect(new Set(sampled.map(({ cpus }) => cpus))).toEqual(new Set([2, 3, 4, 5, 6]));
    expect(new Set(sampled.map(({ tables }) => tables))).toEqual(new Set(['kept', 'rcu', 'sync', 'direct']));
    const { counterexample } = fc.check(
      fc.property(arbitrary, () => false),
      { seed: 1 },
    );
    expect(counterexample).toEqual([{ flush: 'ipi', cpus: 2, pages: 1, tables: 'kept' }]);
  });

  test('of a scenario as a whole are all; of an unknown variant there are none', () => {
    const [parameters = {}] = fc.sample(parametersOf(scenarioOf('tlb-shootdown')), { seed: 1, numRuns: 1 });
    expect(Object.keys(parameters).sort()).toEqual(['cpus', 'flush', 'pages', 'tables']);
    expect(() => parametersOf(scenarioOf('tlb-shootdown'), 'B99')).toThrow(UsageError);
    expect(() => parametersOf(scenarioOf('tlb-shootdown'), 'B99')).toThrow("tlb-shootdown has no variant 'B99'; did you mean 'B9'?");
  });
});

const systems: { readonly [K in keyof Programs]: (program: Programs[K]) => System } = {
  'tlb-shootdown': (program) => tlbShootdownSystem('random', { ...shootdownReference, ...program }),
  'write-protect': (program) => writeProtectSystem('random', { ...protection, ...program }),
  'mmu-notifier': (program) => mirrorSystem('random', { ...mirror, ...program }),
  luf: (program) => lufSystem('random', { ...strictLuf, ...program }),
};

/** What the programs of a scenario consist of, in words. */
const wordsOf = (program: unknown): string[] => [...JSON.stringify(program).matchAll(/"do":"(\w+)"/g)].map(([, word = '']) => word);

describe.each(Object.keys(systems) as (keyof Programs)[])('random programs of %s', (kind) => {
  const systemOf = systems[kind] as (program: unknown) => System;

  test.each(['random', 'towards'] as const)('violate nothing of the reference along %s schedules', (how) => {
    let steps = 0;
    fc.assert(
      fc.property(programs(kind), fc.nat(), (program, seed) => {
        const system = systemOf(program);
        const judged = holdsAlong(system, { on: 'tables' });
        for (const schedule of fc.sample(schedules(system, { kind: how, length: 60 }), { seed, numRuns: how === 'random' ? 4 : 1 })) {
          steps += schedule.length;
          judged(schedule);
        }
      }),
      { seed: 1231, numRuns: 12 },
    );
    expect(steps).toBeGreaterThan(150);
  });

  test('differ, and can be told apart by what they do', () => {
    const sampled = fc.sample(programs(kind) as fc.Arbitrary<unknown>, { seed: 1232, numRuns: 100 });
    expect(new Set(sampled.map((program) => JSON.stringify(program))).size).toBeGreaterThan(30);
    expect([...new Set(sampled.flatMap(wordsOf))].sort()).toMatchSnapshot();
  });
});

test('a machine that is broken shows along random programs: pages that are freed before the flush', () => {
  const broken = zap.provide({ guards: { flushesBeforeFree: () => false } });
  const runs = programs('tlb-shootdown')
    .map((program) => tlbShootdownSystem('random', { ...shootdownReference, ...program, zap: broken }))
    .chain((system) => schedules(system, { kind: 'towards', property: 'I3', length: 60 }).map((schedule) => ({ system, schedule })));
  const { failed, errorInstance } = fc.check(
    fc.property(runs, ({ system, schedule }) => holdsAlong(system, { property: 'I3', on: 'tables' })(schedule)),
    { seed: 1234, numRuns: 100 },
  );
  expect(failed).toBe(true);
  expect((errorInstance as Error).message).toContain('I3 is violated');
});

test('programs run live as they do on the tables', () => {
  fc.assert(
    fc.property(programs('tlb-shootdown'), fc.nat(), (program, seed) => {
      const system = systems['tlb-shootdown'](program);
      for (const schedule of fc.sample(schedules(system, { kind: 'fair' }), { seed, numRuns: 1 })) holdsAlong(system)(schedule);
    }),
    { seed: 1233, numRuns: 10 },
  );
});

test('a scenario without programs is refused', () => {
  expect(() => programs('tlb-shotdown' as never)).toThrow(UsageError);
  expect(() => programs('tlb-shotdown' as never)).toThrow(
    "programs takes tlb-shootdown, luf, mmu-notifier, write-protect, not 'tlb-shotdown'; did you mean 'tlb-shootdown'?",
  );
});
