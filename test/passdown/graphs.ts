import fc from 'fast-check';
import type { CallGraph, CallSite, GraphFunction, MappingParameter, Slot } from '../../src/passdown/call-graph.js';

/** A call graph of functions and calls alone: `calls` are `caller callee`, or `caller [slot]`; lines count from 1. */
export function graph(functions: readonly GraphFunction[], calls: readonly string[], slots: readonly Slot[] = []): CallGraph {
  return {
    format: 'shootdown.call-graph/1',
    functions,
    slots,
    calls: calls.map((text, at) => {
      const [caller = '', callee = '', mapping] = text.split(' ');
      const named = mapping === undefined ? {} : { mapping };
      return callee.startsWith('[') ? { caller, slot: callee.slice(1, -1), line: at + 1, ...named } : { caller, callee, line: at + 1, ...named };
    }),
  };
}

export const file = (name = 'file'): MappingParameter => ({ name, type: 'file' });
export const mapping = (name = 'mapping'): MappingParameter => ({ name, type: 'mapping' });

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const slotIds = ['s', 't', 'u'];

const parameter = (name: string): fc.Arbitrary<MappingParameter> =>
  fc.record({ name: fc.constant(name), type: fc.constantFrom('mapping' as const, 'file' as const), other: fc.boolean(), stacked: fc.boolean() });

const flag = (often: number): fc.Arbitrary<boolean> => fc.integer({ min: 0, max: 9 }).map((drawn) => drawn < often);

const functionNamed = (id: string): fc.Arbitrary<GraphFunction> =>
  fc.record({
    id: fc.constant(id),
    fs: flag(7),
    uses: flag(3),
    accessor: flag(1),
    has: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.tuple(parameter('x')) },
      { weight: 1, arbitrary: fc.tuple(parameter('x'), parameter('y')) },
    ),
  });

const callIn = (functions: readonly GraphFunction[], slots: readonly Slot[]): fc.Arbitrary<CallSite> =>
  fc.constantFrom(...functions).chain(({ id: caller, has = [] }) => {
    const callee = fc.constantFrom(...functions).map(({ id }) => ({ callee: id }));
    const slot = slots.length > 0 ? fc.constantFrom(...slots).map(({ id }) => ({ slot: id })) : callee;
    const named = has.length > 0 ? fc.option(fc.constantFrom(...has), { nil: undefined }) : fc.constant(undefined);
    return fc
      .tuple(fc.oneof({ weight: 3, arbitrary: callee }, { weight: 1, arbitrary: slot }), fc.integer({ min: 1, max: 99 }), named)
      .map(([target, line, own]): CallSite => ({ caller, line, ...target, ...(own ? { mapping: own.name } : {}) }));
  });

/** Small graphs with everything in them: slots, accessors, functions outside the filesystems, several calls between two, cycles. */
export const graphs: fc.Arbitrary<CallGraph> = fc
  .integer({ min: 1, max: ids.length })
  .chain((size) =>
    fc.tuple(
      fc.tuple(...ids.slice(0, size).map(functionNamed)),
      fc.tuple(...slotIds.map((id) => fc.subarray(ids.slice(0, size)).map((functions): Slot => ({ id, functions })))),
    ),
  )
  .chain(([functions, slots]) =>
    fc.array(callIn(functions, slots), { maxLength: 20 }).map((calls): CallGraph => ({ format: 'shootdown.call-graph/1', functions, slots, calls })),
  );
