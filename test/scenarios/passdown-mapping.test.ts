import fc from 'fast-check';
import type { SnapshotFrom } from 'xstate';
import { addMappingParameter, type cFunction } from '../../machines/index.js';
import {
  type CallGraph,
  type CallSite,
  explore,
  type GraphFunction,
  type Invariant,
  LiveSystem,
  type MappingParameter,
  passdownMapping,
  randomChoices,
  type System,
} from '../../src/index.js';
import { passdownGraphs, passdownLacks, passdownSystem, siteName } from '../../src/scenarios/index.js';

type Logic = typeof addMappingParameter;

/** What is violated and what is never put to the test, in all orders. */
function searched(system: System) {
  const { properties, unreached, exhausted } = explore(system, { stop: () => false });
  expect(exhausted).toBe(true);
  const names = (some: typeof properties): string[] => some.map(({ name }) => name);
  return {
    violated: names(properties.filter(({ violation }) => violation)),
    untested: names(properties.filter(({ kind, evaluations }) => kind === 'invariant' && evaluations === 0)),
    unreached,
  };
}

describe('on the graph that has all of it', () => {
  test.each([
    ['PB', ['terminates', 'a'], ['types', 'c']],
    ['PC', ['a', 'N', 'types'], []],
    ['PD', ['c'], []],
    ['PE', ['b'], []],
  ] as const)('%s violates what it violates on its own', (row, violated, untested) => {
    const found = searched(passdownSystem(row, { graph: passdownGraphs.all, addMappingParameter: passdownLacks[row] }));
    expect([found.violated, found.untested]).toEqual([violated, untested]);
  });
});

test.each(['cycle', 'self'] as const)('PB comes to an end in no order (%s)', (graph) => {
  const { unreached } = searched(passdownSystem('PB', { graph: passdownGraphs[graph], addMappingParameter: passdownLacks.PB }));
  expect(unreached).toContain('passdown_mapping: passed_down');
});

/** What makes the states finitely many is not at work where the parameter is added first. */
test.each(Object.entries(passdownGraphs))('PA never activates what is under way (%s)', (_, graph) => {
  expect(searched(passdownSystem('PA', { graph })).unreached).toContain('add_mapping_parameter: add_mapping_parameter --always[0]-->');
});

test('a call graph has to say which of several mappings is that of the page', () => {
  const graph = { ...passdownGraphs.two, calls: passdownGraphs.two.calls.map(({ mapping: _, ...site }) => site as CallSite) };
  expect(() => passdownSystem('two', { graph })).toThrow(
    new Error('vfs_dedupe_file_range_compare:81: which mapping of vfs_dedupe_file_range_compare is that of the page?'),
  );
});

/** The least fixed point as its definition says: until nothing changes. */
function leastFixedPoint({ functions, slots = [], calls }: CallGraph): string[] {
  const mapped = new Set(functions.flatMap(({ id, has = [] }) => (has.length > 0 ? [id] : [])));
  const found = new Set(functions.flatMap(({ id, fs, uses }) => (fs !== false && uses && !mapped.has(id) ? [id] : [])));
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    const changed = slots.filter((slot) => slot.functions.some((id) => found.has(id)));
    const callers = calls.filter((site) => ('slot' in site ? changed.some(({ id }) => id === site.slot) : found.has(site.callee))).map(({ caller }) => caller);
    for (const id of [...callers, ...changed.flatMap((slot) => slot.functions)]) if (!mapped.has(id)) found.add(id);
  }
  return [...found].sort();
}

/** Functions, slots and calls at random: circles, calls of oneself and several calls between the same two among them. */
function graphs(most: { functions: number; slots: number; calls: number }): fc.Arbitrary<CallGraph> {
  const parameter: fc.Arbitrary<readonly MappingParameter[]> = fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.constant([{ name: 'file', type: 'file' as const }]) },
    {
      weight: 1,
      arbitrary: fc.constant([
        { name: 'mapping', type: 'mapping' as const },
        { name: 'dest', type: 'file' as const },
      ]),
    },
  );
  const func = fc.record({ fs: fc.boolean(), uses: fc.boolean(), has: parameter });
  return fc.array(func, { minLength: 2, maxLength: most.functions }).chain((drawn) => {
    const functions: GraphFunction[] = drawn.map((fields, at) => ({ id: `f${at}`, ...fields }));
    const ids = functions.map(({ id }) => id);
    const slots = fc.array(fc.subarray(ids, { minLength: 1 }), { maxLength: most.slots });
    return slots.chain((members) => {
      const named = members.map((functions, at) => ({ id: `slot${at}`, functions }));
      const call = fc.record({ caller: fc.constantFrom(...functions), to: fc.constantFrom(...ids, ...named.map(({ id }) => id)), which: fc.nat({ max: 1 }) });
      return fc.array(call, { maxLength: most.calls }).map(
        (calls): CallGraph => ({
          format: 'shootdown.call-graph/1',
          functions,
          slots: named,
          calls: calls.map(({ caller: { id, has = [] }, to, which }, at) => ({
            caller: id,
            line: at + 1,
            ...(has.length > 0 ? { mapping: has[which % has.length]?.name as string } : {}),
            ...(to.startsWith('slot') ? { slot: to } : { callee: to }),
          })),
        }),
      );
    });
  });
}

/** Properties that a tree can violate whatever is done: a slot of two types, a circle that nobody calls. */
const beyond = (graph: CallGraph): string[] => {
  const { clashes, roots } = passdownMapping(graph);
  return [...(clashes.length > 0 ? ['types'] : []), ...(roots.some(({ circle }) => circle.length > 0) ? ['c'] : [])];
};

/** What a run in live XState comes to. */
function ran(graph: CallGraph, seed: number, logic: Logic) {
  const system = passdownSystem('random', { graph, addMappingParameter: logic });
  const live = new LiveSystem(system);
  randomChoices(live, seed, 10_000).subscribe((choice) => live.take(choice));
  const snapshots = Object.fromEntries(system.actors.map(({ address }) => [address, live.snapshot(address)]));
  const of = (id: string) => snapshots[id] as SnapshotFrom<typeof cFunction>;
  const calls = graph.calls.map((site) => ({ site: siteName(site), ...of(site.caller).context.calls[siteName(site)] }));
  const converted = (all: readonly { id: string }[]): string[] => all.flatMap(({ id }) => (of(id).value === 'mapping_parameter' ? [id] : []));
  const invariants = system.properties.filter((property): property is Invariant => property.kind === 'invariant');
  return {
    parameters: converted(graph.functions).sort(),
    slots: converted(graph.slots ?? []),
    rewritten: calls.filter(({ rewritten }) => rewritten !== 0).map(({ site, passes, rewritten }) => ({ site, passes, rewritten })),
    reported: (snapshots.add_mapping_parameter as SnapshotFrom<Logic>).context.reported,
    violated: invariants.filter(({ when, holds }) => (when?.(snapshots) ?? true) && !holds(snapshots)).map(({ name }) => name),
    ended: (snapshots.passdown_mapping as SnapshotFrom<typeof cFunction>).value,
  };
}

/** What it has to come to, as the function of the library has it. */
function wanted(graph: CallGraph): ReturnType<typeof ran> {
  const { slots, callSites, roots } = passdownMapping(graph);
  return {
    parameters: leastFixedPoint(graph),
    slots: slots.map(({ id }) => id),
    rewritten: callSites.map(({ call, argument }) => ({ site: siteName(graph.calls[call] as CallSite), passes: argument, rewritten: 1 })),
    reported: roots.flatMap(({ id, circle }) => (circle.length === 0 ? [id] : [])).sort(),
    violated: [],
    ended: 'passed_down' as never,
  };
}

const judged = (graph: CallGraph, found: ReturnType<typeof ran>): ReturnType<typeof ran> => ({
  ...found,
  violated: found.violated.filter((name) => !beyond(graph).includes(name)),
});

const large = fc.record({ graph: graphs({ functions: 7, slots: 2, calls: 12 }), seed: fc.nat() });

test('a live run in any order comes to the least fixed point, with each call rewritten as the library has it', () => {
  fc.assert(
    fc.property(large, ({ graph, seed }) => {
      expect(judged(graph, ran(graph, seed, addMappingParameter))).toEqual(wanted(graph));
    }),
    { seed: 1, numRuns: 100 },
  );
});

test.each(['PC', 'PD', 'PE'] as const)('some run comes to something else where a safeguard is missing (%s)', (row) => {
  const differs = fc.sample(large, { seed: 1, numRuns: 100 }).filter(({ graph, seed }) => {
    const [found, right] = [judged(graph, ran(graph, seed, passdownLacks[row])), wanted(graph)];
    return JSON.stringify(found) !== JSON.stringify(right) && found.violated.length > 0;
  });
  expect(differs.length).toBeGreaterThan(0);
});

test('in all orders of small graphs', () => {
  let slots = 0;
  fc.assert(
    fc.property(graphs({ functions: 4, slots: 1, calls: 5 }), (graph) => {
      slots += passdownMapping(graph).slots.length;
      const { violated } = searched(passdownSystem('random', { graph }));
      expect(violated.filter((name) => !beyond(graph).includes(name))).toEqual([]);
    }),
    { seed: 1, numRuns: 40 },
  );
  expect(slots).toBeGreaterThan(0);
});
