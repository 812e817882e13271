import { ShootdownError } from '../system/errors.js';
import { hasMapping } from './arguments.js';
import type { CallGraph, GraphFunction } from './call-graph.js';
import { Names } from './names.js';

/** Lists one after the other: that of `group` is `items[start[group]]` to before `items[start[group + 1]]`. */
export interface Lists {
  start: Int32Array;
  items: Int32Array;
}

/** What has which key, by counting: linear, and each list in the order of the input. `of`: what stands in the lists; without, the places in `keys`. */
function grouped(keys: Int32Array, groups: number, of?: Int32Array): Lists {
  const start = new Int32Array(groups + 1);
  for (const key of keys) start[key + 1] = (start[key + 1] as number) + 1;
  for (let group = 0; group < groups; group++) start[group + 1] = (start[group + 1] as number) + (start[group] as number);
  const next = start.slice(0, groups);
  const items = new Int32Array(keys.length);
  for (let at = 0; at < keys.length; at++) {
    const key = keys[at] as number;
    const place = next[key] as number;
    items[place] = of ? (of[at] as number) : at;
    next[key] = place + 1;
  }
  return { start, items };
}

export const listLength = ({ start }: Lists, group: number): number => (start[group + 1] as number) - (start[group] as number);

/** The numbers of functions and slots, each from 0, and of what calls name; -1: there is no such name, or none at all. */
export interface Numbers {
  functions: Names;
  slots: Names;
  callers: Int32Array;
  callees: Int32Array;
  through: Int32Array;
}

type Named = readonly (Partial<Record<'caller' | 'callee' | 'slot', unknown>> | null)[];

/** Looks up the names in calls, which need not be what they should be. */
export const numbersIn = (calls: Named, functions: Names, slots: Names): Numbers => ({
  functions,
  slots,
  callers: functions.numbers(calls.map((call) => call?.caller)),
  callees: functions.numbers(calls.map((call) => call?.callee)),
  through: slots.numbers(calls.map((call) => call?.slot)),
});

function namesOf(things: readonly { id: string }[]): Names {
  const names = new Names(things.length);
  for (const [at, { id }] of things.entries()) names.add(id, at);
  return names;
}

function refuse(what: string): never {
  throw new ShootdownError(`${what} ('callGraphFrom' checks all of a call graph)`);
}

/** What is known of a function from the start, in one byte: it belongs to the filesystems, reads `page->mapping`, is an accessor, has a mapping. */
export const [inFs, uses, accessor, owns] = [1, 2, 4, 8];

const kindOf = (of: GraphFunction): number => (of.fs === false ? 0 : inFs) | (of.uses ? uses : 0) | (of.accessor ? accessor : 0) | (hasMapping(of) ? owns : 0);

/** A call graph in numbers: functions from 0 in their order, and after them the slots; together they are its points. */
export class NumberedGraph {
  readonly functions: number;
  readonly points: number;
  /** Per point its name. */
  readonly ids: readonly string[];
  /** Per function what it is: {@link inFs} and so on. */
  readonly kinds: Uint8Array;
  /** Per call: the function that it stands in, and the point that is called. */
  readonly callers: Int32Array;
  readonly targets: Int32Array;
  /** Per point: the calls of it. */
  readonly sites: Lists;
  /** Per function: the slots that it is in. */
  readonly slotsOf: Lists;
  /** Per slot (from 0): its functions. */
  readonly members: Lists;

  constructor(
    readonly graph: CallGraph,
    numbers: Numbers = numbersIn(graph.calls, namesOf(graph.functions), namesOf(graph.slots ?? [])),
  ) {
    const slots = graph.slots ?? [];
    this.functions = graph.functions.length;
    this.points = this.functions + slots.length;
    this.ids = [...graph.functions, ...slots].map(({ id }) => id);
    this.kinds = Uint8Array.from(graph.functions, kindOf);
    this.callers = numbers.callers;
    if (this.callers.includes(-1)) refuse(`calls[${this.callers.indexOf(-1)}] has a caller that is none of the functions`);
    this.targets = numbers.callees.map((callee, at) => (callee >= 0 ? callee : this.functions + (numbers.through[at] as number)));
    if (numbers.callees.some((callee, at) => callee < 0 && numbers.through[at] === -1)) refuse('a call calls none of the functions and slots');
    this.sites = grouped(this.targets, this.points);
    const members = slots.flatMap(({ functions }) => functions);
    const member = numbers.functions.numbers(members);
    if (member.includes(-1)) refuse(`a slot has a function '${members[member.indexOf(-1)]}', which is none of them`);
    const slot = Int32Array.from(slots.flatMap(({ functions }, at) => functions.map(() => at)));
    const point = slot.map((at) => at + this.functions);
    this.slotsOf = grouped(member, this.functions, point);
    this.members = grouped(slot, slots.length, member);
  }
}
