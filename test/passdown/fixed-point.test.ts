import fc from 'fast-check';
import { type CallGraph, type CallSite, callGraphFrom } from '../../src/passdown/call-graph.js';
import type { Diagnostic, Passdown } from '../../src/passdown/passdown.js';
import { passdownMapping } from '../../src/passdown/passdown-mapping.js';
import { graphs } from './graphs.js';
import { naively } from './naive.js';

const runs = { numRuns: 1000 };
const idsOf = (things: readonly { id: string }[]): string[] => things.map(({ id }) => id).sort();

test('the functions, slots, sites with their arguments, bodies and roots are those of the definition', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const naive = naively(graph);
      const found = passdownMapping(graph);
      expect(idsOf(found.parameters)).toEqual([...naive.converted].sort());
      expect(idsOf(found.slots)).toEqual([...naive.slots].sort());
      // As lists, not sets: each site once and no other.
      expect(found.callSites.map(({ call, argument }) => [call, argument])).toEqual([...naive.sites]);
      expect(idsOf(found.bodies)).toEqual([...naive.bodies].sort());
      expect(found.roots.flatMap(({ id, circle }) => (circle.length > 0 ? circle : [id])).sort()).toEqual([...naive.roots].sort());
    }),
    runs,
  );
});

test('the random graphs have what they are for', () => {
  const seen = { changed: 0, roots: 0, circles: 0, clashes: 0, several: 0 };
  const gaps = new Set<string>();
  for (const graph of fc.sample(graphs, { numRuns: 1000, seed: 1 })) {
    const { slots, roots, clashes, diagnostics, callSites } = passdownMapping(callGraphFrom(graph));
    if (slots.length > 0) seen.changed++;
    if (roots.length > 0) seen.roots++;
    if (roots.some(({ circle }) => circle.length > 1)) seen.circles++;
    if (clashes.length > 0) seen.clashes++;
    if (new Set(callSites.map(({ caller, callee }) => `${caller} ${callee}`)).size < callSites.length) seen.several++;
    for (const { gap, kind } of diagnostics) gaps.add(`${gap} ${kind}`);
  }
  for (const times of Object.values(seen)) expect(times).toBeGreaterThan(20);
  expect([...gaps].sort()).toEqual(['g1 problem', 'g2 information', 'g2 problem', 'g3 problem', 'g4 problem', 'g5 problem', 'g6 problem']);
});

/** A result without what depends on the order of the graph: numbers of calls, which reason of several is given, where a sentence begins. */
function withoutOrder(graph: CallGraph, { parameters, slots, callSites, bodies, roots, clashes, diagnostics }: Passdown): unknown {
  const place = (call: number): CallSite => graph.calls[call] as CallSite;
  const sorted = (things: readonly unknown[]): string[] => things.map((thing) => JSON.stringify(thing)).sort();
  const members = (clash: Passdown['clashes'][number]): unknown => ({
    ...clash,
    with: [...clash.with].sort(),
    without: [...clash.without].sort(),
    accessors: [...clash.accessors].sort(),
  });
  const about = ({ gap, kind, function: of, slot, call }: Diagnostic): unknown => [
    gap,
    kind,
    gap === 'g5' ? null : of,
    slot,
    gap === 'g2' || call === null ? null : place(call),
  ];
  return {
    parameters: idsOf(parameters),
    slots: sorted(slots),
    callSites: sorted(callSites.map(({ call, ...site }) => [place(call), site])),
    bodies: sorted(bodies.map(({ accessors, ...body }) => [body, sorted(accessors.map(({ call, ...site }) => [place(call), site]))])),
    roots: sorted(roots.map(({ slots: own, circle, ...root }) => (circle.length > 0 ? [...circle].sort() : [root, [...own].sort()]))),
    clashes: sorted(clashes.map(members)),
    diagnostics: sorted(diagnostics.map(about)),
  };
}

const shuffled = <T>(things: readonly T[]): fc.Arbitrary<T[]> => fc.shuffledSubarray([...things], { minLength: things.length });

test('the order of functions, slots, their members and calls does not count', () => {
  const twice = graphs.chain((graph) =>
    fc
      .record({
        functions: shuffled(graph.functions),
        slots: fc.tuple(...(graph.slots ?? []).map(({ id, functions }) => shuffled(functions).map((members) => ({ id, functions: members })))).chain(shuffled),
        calls: shuffled(graph.calls),
      })
      .map((other) => [graph, { ...graph, ...other }] as const),
  );
  fc.assert(
    fc.property(twice, ([graph, other]) => {
      expect(withoutOrder(other, passdownMapping(other))).toEqual(withoutOrder(graph, passdownMapping(graph)));
    }),
    { numRuns: 500 },
  );
});

test('why a function gets the parameter: a reason that is one, and none leads back to itself', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const { parameters, bodies } = passdownMapping(graph);
      const members = new Map((graph.slots ?? []).map(({ id, functions }) => [id, functions]));
      const calls = new Set(graph.calls.map((call) => `${call.caller} ${(call as { slot?: string }).slot ?? (call as { callee: string }).callee}`));
      // Those whose reason is known to be good. A slot's is, if that of some function of it is.
      const good = new Set<string>();
      const holds = (id: string, why: string): boolean => {
        const [verb, name = ''] = why.split(' ');
        if (verb === 'uses') return idsOf(bodies).includes(id);
        const others = members.get(name)?.some((member) => member !== id && good.has(member)) ?? good.has(name);
        return others && (verb === 'slot' ? members.get(name)?.includes(id) === true : calls.has(`${id} ${name}`));
      };
      for (let size = -1; size !== good.size; ) {
        size = good.size;
        for (const { id, why } of parameters) if (holds(id, why)) good.add(id);
      }
      expect([...good].sort()).toEqual(idsOf(parameters));
    }),
    runs,
  );
});

test('each function is converted once at most, each call rewritten once at most, and looked at a fixed number of times whatever the graph', () => {
  /** Each call counts how often its caller is read. */
  function counted(graph: CallGraph): { graph: CallGraph; most: () => number } {
    const reads = graph.calls.map(() => 0);
    const calls = graph.calls.map((call, at) =>
      Object.defineProperty({ ...call }, 'caller', {
        enumerable: true,
        get: () => {
          reads[at] = (reads[at] as number) + 1;
          return call.caller;
        },
      }),
    );
    return { graph: { ...graph, calls }, most: () => Math.max(0, ...reads) };
  }
  fc.assert(
    fc.property(graphs, (graph) => {
      const { graph: counting, most } = counted(graph);
      const { parameters, callSites } = passdownMapping(counting);
      expect(new Set(idsOf(parameters)).size).toBe(parameters.length);
      expect(parameters.length).toBeLessThanOrEqual(graph.functions.length);
      expect(new Set(callSites.map(({ call }) => call)).size).toBe(callSites.length);
      expect(callSites.length).toBeLessThanOrEqual(graph.calls.length);
      expect(most()).toBeLessThanOrEqual(2);
    }),
    runs,
  );
});

test('a chain of calls of any length: nothing recurses', () => {
  const size = 100_000;
  const functions = Array.from({ length: size }, (_, at) => ({ id: `f${at}`, uses: at === 0 }));
  const calls = Array.from({ length: size }, (_, at) => ({ caller: `f${(at + 1) % size}`, callee: `f${at}`, line: 1 }));
  const open = passdownMapping({ format: 'shootdown.call-graph/1', functions, calls: calls.slice(0, -1) });
  expect([open.parameters.length, open.callSites.length, idsOf(open.roots)]).toEqual([size, size - 1, [`f${size - 1}`]]);
  const closed = passdownMapping({ format: 'shootdown.call-graph/1', functions, calls });
  expect([closed.parameters.length, closed.callSites.length, closed.roots.map(({ circle }) => circle.length)]).toEqual([size, size, [size]]);
});
