import type { CallGraph, CallSite, GraphFunction } from '../../src/passdown/call-graph.js';

/** The least fixed point and what follows from it, written as the definition has it: everything is gone through until nothing changes. */
export interface Naive {
  converted: Set<string>;
  slots: Set<string>;
  /** Numbers of the calls that are rewritten, with what is passed; null: not known. */
  sites: Map<number, string | null>;
  bodies: Set<string>;
  roots: Set<string>;
}

const slotOf = (call: CallSite): string | undefined => (call as { slot?: string }).slot;
const calleeOf = (call: CallSite): string | undefined => (call as { callee?: string }).callee;
const hasOwn = ({ has = [] }: GraphFunction): boolean => has.length > 0;

/** All that `from` leads to in one step or more. */
function reach(from: string, steps: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  const found = new Set<string>();
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const at of [from, ...found]) for (const to of steps.get(at) ?? []) found.add(to);
  }
  return found;
}

export function naively({ functions, slots = [], calls }: CallGraph): Naive {
  const byId = new Map(functions.map((of) => [of.id, of]));
  const named = (id: string): GraphFunction => byId.get(id) as GraphFunction;
  const uses = (of: GraphFunction): boolean =>
    of.uses === true || calls.some((call) => call.caller === of.id && calleeOf(call) !== undefined && named(calleeOf(call) as string).accessor === true);
  const may = (of: GraphFunction): boolean => !hasOwn(of) && !of.accessor;
  const bodies = functions.filter((of) => of.fs !== false && !of.accessor && uses(of));

  const converted = new Set(bodies.filter(may).map(({ id }) => id));
  const changed = new Set<string>();
  const reached = (call: CallSite): boolean => (slotOf(call) === undefined ? converted.has(calleeOf(call) as string) : changed.has(slotOf(call) as string));
  for (let size = -1; size !== converted.size + changed.size; ) {
    size = converted.size + changed.size;
    for (const { id, functions: members } of slots) {
      if (members.some((member) => converted.has(member))) changed.add(id);
      if (changed.has(id)) for (const member of members) if (may(named(member))) converted.add(member);
    }
    for (const call of calls) if (reached(call) && may(named(call.caller))) converted.add(call.caller);
  }

  const argument = ({ caller, mapping }: CallSite): string | null => {
    if (converted.has(caller)) return 'mapping';
    const { has = [] } = named(caller);
    const candidates = mapping === undefined ? has.filter(({ other }) => !other) : has.filter(({ name }) => name === mapping);
    const [only] = candidates;
    return only && candidates.length === 1 ? (only.type === 'file' ? `${only.name}->f_mapping` : only.name) : null;
  };
  const sites = new Map(calls.flatMap((call, at): [number, string | null][] => (reached(call) ? [[at, argument(call)]] : [])));

  const callersOf = (id: string): string[] =>
    calls.filter((call) => calleeOf(call) === id || slots.some((slot) => slot.id === slotOf(call) && slot.functions.includes(id))).map(({ caller }) => caller);
  const steps = new Map([...converted].map((id) => [id, new Set(callersOf(id))]));
  const isRoot = (id: string): boolean => [...reach(id, steps)].every((above) => converted.has(above) && reach(above, steps).has(id));
  return { converted, slots: changed, sites, bodies: new Set(bodies.map(({ id }) => id)), roots: new Set([...converted].filter(isRoot)) };
}
