import { newParameter, OwnMappings } from './arguments.js';
import type { CallGraph, CallSite, GraphFunction } from './call-graph.js';
import { diagnosticsOf } from './diagnostics.js';
import { FixedPoint } from './fixed-point.js';
import { accessor, inFs, listLength, NumberedGraph, owns, uses } from './numbered.js';
import type { ChangedSlot, Clash, NewParameter, Passdown, RewrittenBody, RewrittenSite, Root } from './passdown.js';
import { Places } from './place.js';
import { unsourced } from './unsourced.js';

/** Names and numbers of one graph, and what is asked of both. */
class Reader {
  readonly graph: CallGraph;
  readonly own: OwnMappings;
  readonly places: Places;
  private readonly converted: FixedPoint;
  /** Per function: 1 if its body is one to be rewritten. */
  private readonly needs: Uint8Array;

  constructor(readonly numbered: NumberedGraph) {
    this.graph = numbered.graph;
    this.own = new OwnMappings(this.graph.functions);
    this.places = new Places(numbered);
    const { callers, targets, kinds } = this.numbered;
    const needs = kinds.map((kind) => (kind & uses ? 1 : 0));
    for (let call = 0; call < targets.length; call++) if ((kinds[targets[call] as number] as number) & accessor) needs[callers[call] as number] = 1;
    this.needs = needs.map((need, at) => (((kinds[at] as number) & (inFs | accessor)) === inFs ? need : 0));
    // Who has a mapping needs none, and nor does an accessor, whose calls are replaced.
    const fixed = kinds.map((kind) => (kind & (accessor | owns) ? 1 : 0));
    this.converted = new FixedPoint(this.numbered, this.needs, fixed);
  }

  private function(at: number): GraphFunction {
    return this.graph.functions[at] as GraphFunction;
  }

  private has(at: number, kind: number): boolean {
    return ((this.numbered.kinds[at] as number) & kind) !== 0;
  }

  private why(point: number): string {
    const reason = this.converted.reason(point);
    if (reason === null) return 'uses';
    return `${reason.calls ? 'calls' : 'slot'} ${this.numbered.ids[reason.point]}`;
  }

  parameters(): NewParameter[] {
    const found: NewParameter[] = [];
    for (const [at, { id, at: place = null }] of this.graph.functions.entries()) if (this.converted.has(at)) found.push({ id, at: place, why: this.why(at) });
    return found;
  }

  slots(): ChangedSlot[] {
    const { functions, members, sites } = this.numbered;
    return (this.graph.slots ?? []).flatMap(({ id }, at) => {
      const point = functions + at;
      if (!this.converted.has(point)) return [];
      let changing = 0;
      for (let index = members.start[at] as number; index < (members.start[at + 1] as number); index++)
        if (this.converted.has(members.items[index] as number)) changing++;
      return [{ id, functions: changing, callSites: listLength(sites, point) }];
    });
  }

  callSites(): RewrittenSite[] {
    const { callers, targets, functions, ids } = this.numbered;
    const found: RewrittenSite[] = [];
    for (let call = 0; call < targets.length; call++) {
      const target = targets[call] as number;
      if (!this.converted.has(target)) continue;
      const by = callers[call] as number;
      const name = ids[target] as string;
      const from = this.converted.has(by) ? 'new parameter' : this.has(by, owns) ? 'own parameter' : null;
      found.push({
        call,
        file: this.places.file(call),
        line: this.places.line(call),
        caller: ids[by] as string,
        callee: target < functions ? name : null,
        slot: target < functions ? null : name,
        argument: this.argument(by, from, call),
        from,
      });
    }
    return found;
  }

  private argument(by: number, from: RewrittenSite['from'], call: number): string | null {
    if (from === 'new parameter') return newParameter;
    return from === null ? null : this.own.of(by, (this.graph.calls[call] as CallSite).mapping).argument;
  }

  bodies(): RewrittenBody[] {
    const { callers, targets, ids } = this.numbered;
    const bodies = new Map<number, RewrittenBody & { accessors: RewrittenBody['accessors'][number][] }>();
    for (const [number, { id, at = null }] of this.graph.functions.entries()) {
      if (this.needs[number] === 0) continue;
      const from = this.has(number, owns) ? 'own parameter' : 'new parameter';
      const argument = from === 'own parameter' ? this.own.of(number).argument : newParameter;
      bodies.set(number, { id, at, from, argument, reads: this.has(number, uses), accessors: [] });
    }
    for (let call = 0; call < targets.length; call++) {
      const target = targets[call] as number;
      if (!this.has(target, accessor)) continue;
      const by = callers[call] as number;
      const body = bodies.get(by);
      const [file, line] = [this.places.file(call), this.places.line(call)];
      body?.accessors.push({ call, file, line, accessor: ids[target] as string, argument: this.argument(by, body.from, call) });
    }
    return [...bodies.values()];
  }

  roots(): Root[] {
    const { slotsOf, ids } = this.numbered;
    const names = (points: ArrayLike<number>): string[] => Array.from(points, (point) => ids[point] as string);
    return unsourced(this.numbered, this.converted).map(({ functions, circle }) => {
      const first = functions[0] as number;
      const { id, at = null } = this.function(first);
      const slots = circle ? [] : names(slotsOf.items.subarray(slotsOf.start[first], slotsOf.start[first + 1]));
      return { id, at, slots, circle: circle ? names(functions) : [] };
    });
  }

  clashes(): Clash[] {
    const { functions, members, ids, kinds } = this.numbered;
    return (this.graph.slots ?? []).flatMap(({ id }, at) => {
      const own = members.items.subarray(members.start[at], members.start[at + 1]);
      const names = (is: (kind: number) => boolean): string[] =>
        Array.from(
          own.filter((member) => is(kinds[member] as number)),
          (member) => ids[member] as string,
        );
      const changes = this.converted.has(functions + at);
      const having = names((kind) => (kind & owns) !== 0);
      const accessors = names((kind) => (kind & (owns | accessor)) === accessor);
      const clash = (having.length > 0 && having.length < own.length) || (changes && accessors.length > 0);
      return clash ? [{ slot: id, changes, with: having, without: names((kind) => (kind & (owns | accessor)) === 0), accessors }] : [];
    });
  }
}

/** {@link passdownMapping} of a graph whose names have been looked up. */
export function passdownOf(numbered: NumberedGraph): Passdown {
  const reader = new Reader(numbered);
  const parts = {
    parameters: reader.parameters(),
    slots: reader.slots(),
    callSites: reader.callSites(),
    bodies: reader.bodies(),
    roots: reader.roots(),
    clashes: reader.clashes(),
  };
  return { ...parts, diagnostics: diagnosticsOf(reader, parts) };
}

/**
 * Which functions have to get a parameter `mapping`, so that no filesystem reads `page->mapping`, and what all has to be rewritten for it:
 * `passdown_mapping()` of the mail "Generic page write protection" (Glisse, linux-mm, January 2020), with its six gaps filled or reported.
 * A least fixed point, in time linear in functions, calls and slots.
 * @param graph As `callGraphFrom` returns it: what names something unknown is refused, nothing else is checked here.
 */
export const passdownMapping = (graph: CallGraph): Passdown => passdownOf(new NumberedGraph(graph));
