import { assign, setup } from 'xstate';
import { subjectOf } from '../../src/check/check.js';
import { type Difference, diff } from '../../src/check/diff.js';
import type { RowDifference } from '../../src/explore/tables-diff.js';
import { actor, defineSystem, invariant, type SystemConfig } from '../../src/index.js';
import { scenarios } from '../../src/scenarios/index.js';
import { build } from '../../src/scenarios/scenario.js';
import { lockSystem } from '../cli/lock.js';
import { cell, writer } from '../systems/small.js';

const subject = (config: Partial<SystemConfig>) => ({ id: 's', system: defineSystem({ id: 's', actors: {}, ...config }), case: null });
const lock = (atomic: boolean) => ({ id: `lock/${atomic}`, system: lockSystem(`lock/${atomic}`, atomic), case: null });
const variant = (id: string) => {
  const scenario = scenarios.find((one) => id.startsWith(`${one.id}/`));
  const found = scenario?.variants.find((one) => `${scenario.id}/${one.id}` === id);
  if (!scenario || !found) throw new Error(`there is no variant ${id}`);
  return subjectOf(build(scenario, found));
};

const nothing = { onlyA: [], onlyB: [] };
const none = { actors: nothing, machines: [], code: [], inputs: [], choices: nothing, properties: [] };

const swappedOnly = ({ onlyA, onlyB }: { onlyA: readonly string[]; onlyB: readonly string[] }) => ({ onlyA: onlyB, onlyB: onlyA });
const swap = <T extends { a: unknown; b: unknown }>(one: T) => ({ ...one, a: one.b, b: one.a });
/** What the other order of the two should give. The exact times of the searches are not part of it. */
const swapped = ({ a: _a, b: _b, actors, choices, machines, inputs, properties, tables, code }: Difference) => ({
  actors: swappedOnly(actors),
  choices: swappedOnly(choices),
  machines: machines.map(swap),
  inputs: inputs.map(swap),
  properties: properties.map(swap),
  code,
  tables: { ...tables, differences: tables.differences.map(swap) },
});
const rowsOf = ({ differences }: Difference['tables']) =>
  differences.map(({ actor: address, place, message, a, b }: RowDifference) => [address, place, message?.type ?? null, a?.place ?? null, b?.place ?? null]);

const small = ['gup-unbind/A3.ipi', 'gup-unbind/A4.broadcast', 'tlb-shootdown/B0', 'tlb-shootdown/B1', 'tlb-shootdown/B12', 'write-protect/W0.file_sync'];

test.each(small)('%s is no other than itself', async (id) => {
  const { tables, a: _a, b: _b, ...rest } = await diff(variant(id), variant(id));
  expect(rest).toEqual(none);
  expect(tables.differences).toEqual([]);
  expect(tables.rows).toBeGreaterThan(20);
});

test.each([
  ['gup-unbind/A3.broadcast', 'gup-unbind/A4.broadcast'],
  ['tlb-shootdown/B0', 'tlb-shootdown/B0.self'],
  ['tlb-shootdown/B0', 'tlb-shootdown/B12'],
  ['tlb-shootdown/B1', 'write-protect/W0.file_sync'],
])('%s against %s is the mirror image of the other way round', async (first, second) => {
  const { a: _a, b: _b, ...rest } = await diff(variant(second), variant(first));
  expect(rest).toEqual(swapped(await diff(variant(first), variant(second))));
  expect(rest.tables.differences.length + rest.actors.onlyA.length).toBeGreaterThan(0);
});

test('rows are matched by actor, state and message: B12 leaves out one action', async () => {
  const { code, properties, tables } = await diff(variant('tlb-shootdown/B0'), variant('tlb-shootdown/B12'));
  expect(code).toEqual([{ machine: 'unmap_page_range', kind: 'action', name: 'widen' }]);
  expect(properties).toEqual([{ name: 'I3', a: expect.objectContaining({ verdict: 'holds', steps: null }), b: expect.objectContaining({ steps: 11 }) }]);
  const elsewhere = tables.differences.filter(({ a, b, actor: address }) => a && b && address === 'zap1');
  expect(elsewhere).toHaveLength(1);
  for (const { a, b } of elsewhere) {
    expect(a?.context).toMatchObject({ cleared: [0] });
    expect(b?.context).toEqual(expect.objectContaining({ cleared: [] }));
  }
});

test('a search goes to the end whatever is violated, and other machines are told of', async () => {
  const { a, b, machines, code, properties, tables } = await diff(lock(true), lock(false));
  expect([a.exploration.exhausted, b.exploration.exhausted]).toEqual([true, true]);
  expect(machines).toEqual(['a', 'b'].map((address) => ({ actor: address, a: 'careful', b: 'careless' })));
  expect(code).toEqual([]);
  expect(properties.map(({ name, a: inA, b: inB }) => [name, inA?.verdict, inB?.verdict, inB?.steps])).toEqual([
    ['BUG', 'holds', 'violated', 6],
    ['mutex', 'holds', 'violated', 4],
  ]);
  expect(tables.rows).toBe(35);
  expect(rowsOf(tables)).toMatchSnapshot();
});

test('actors, inputs, choices and properties that only one has', async () => {
  const one = subject({ actors: { cell: actor(cell), a: actor(writer), gone: actor(cell) } });
  const other = subject({
    actors: { a: actor(writer, { choices: [], environment: ['step'], input: { speed: 2 } as never }), cell: actor(cell), more: actor(writer) },
    properties: [invariant('small', 'less than three', { actors: ['cell'], holds: () => true })],
  });
  const { actors, inputs, choices, properties, tables } = await diff(one, other);
  expect(actors).toEqual({ onlyA: ['gone'], onlyB: ['more'] });
  expect(inputs).toEqual([{ actor: 'a', a: null, b: { speed: 2 } }]);
  expect(choices).toEqual({ onlyA: ['a: step'], onlyB: ['a: step (environment)', 'more: step'] });
  expect(properties.map(({ name, a, b }) => [name, a?.verdict, b?.verdict])).toEqual([
    ['deadlock', 'holds', 'violated'],
    ['small', undefined, 'holds'],
  ]);
  // The rows of an actor that only one has are not told of.
  expect(new Set(tables.differences.map(({ actor: address }) => address))).toEqual(new Set(['a', 'cell']));
});

/** Counts up to a bound that it is given, with a name that has no effect. */
const counter = setup({
  types: { context: {} as { bound: number; name: string; count: number }, input: {} as { bound: number; name: string }, events: {} as { type: 'step' } },
}).createMachine({
  id: 'counter',
  context: ({ input }) => ({ ...input, count: 0 }),
  initial: 'counting',
  states: {
    counting: {
      tags: ['rest'],
      on: { step: { guard: ({ context }) => context.count < context.bound, actions: assign({ count: ({ context }) => context.count + 1 }) } },
    },
  },
});
const counting = (bound: number, name: string) => subject({ actors: { counter: actor(counter, { input: { bound, name } }) } });

test('what an actor was given and never changes does not make its states others', async () => {
  const named = await diff(counting(2, 'x'), counting(2, 'y'));
  expect(named.inputs).toEqual([{ actor: 'counter', a: { bound: 2, name: 'x' }, b: { bound: 2, name: 'y' } }]);
  expect(named.tables).toEqual({ rows: 3, differences: [] });
  const further = await diff(counting(2, 'x'), counting(3, 'x'));
  expect(further.tables).toEqual({
    rows: 4,
    differences: [
      {
        actor: 'counter',
        place: 'counting',
        context: { count: 2 },
        message: { type: 'step' },
        a: null,
        b: { place: 'counting', context: { count: 3 }, sends: [], bugs: [] },
      },
    ],
  });
});

test('limits hold for each search', async () => {
  const { a, b } = await diff(variant('tlb-shootdown/B0'), variant('tlb-shootdown/B12'), { maxStates: 100 });
  expect([a.exploration.limit, b.exploration.limit]).toEqual(['100 states', null]);
});
