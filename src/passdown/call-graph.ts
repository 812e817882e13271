import { isFields } from '../system/canonical.js';
import { didYouMean } from '../system/nearest.js';
import { Names } from './names.js';
import { type Numbers, numbersIn } from './numbered.js';
import { CallGraphError, Problems } from './problems.js';
import { type Fields, type Kind, Shape, shown } from './shape.js';

/** A parameter from which a function has a mapping: `struct address_space *`, or `struct file *` (then `name->f_mapping`). */
export interface MappingParameter {
  name: string;
  type: 'mapping' | 'file';
  /** Known not to be the mapping of the page at hand: the source of a splice, the other file of a reflink. Default: not known. */
  other?: boolean;
  /** A `file` of a stacked filesystem, whose pages belong to the mapping of the file below. */
  stacked?: boolean;
}

/** A function of the call graph. */
export interface GraphFunction {
  /** What calls and slots name it by; unique. A static function whose name others have too is told apart here (`name@file`). */
  id: string;
  /** Where it is defined, as `file:line`. */
  at?: string;
  /** Belongs to the filesystems (the set S of the algorithm), whose functions are looked into. Default: yes. */
  fs?: boolean;
  /** Its body reads `page->mapping`. */
  uses?: boolean;
  /** Its only task is to hand out `page->mapping` of its argument (page_mapping()): who calls it uses the mapping. False: somebody has looked, and it is none. */
  accessor?: boolean;
  /** The parameters that give it a mapping as it is. */
  has?: readonly MappingParameter[];
}

/** A place where one function calls another, or whatever a slot holds; several between the same two are several. */
export type CallSite = {
  caller: string;
  file?: string;
  line: number;
  /** Which of the caller's parameters ({@link MappingParameter}) is the mapping of the page that is passed here, where there are several. */
  mapping?: string;
} & ({ callee: string } | { slot: string });

/** A member of a table of functions (`address_space_operations.read_folio`): all that may stand in it have one type. */
export interface Slot {
  id: string;
  functions: readonly string[];
}

/** What `passdownMapping` works on. */
export interface CallGraph {
  format: 'shootdown.call-graph/1';
  functions: readonly GraphFunction[];
  slots?: readonly Slot[];
  calls: readonly CallSite[];
}

const format = 'shootdown.call-graph/1';

/** The fields of each kind of object, as `schemas/call-graph.schema.json` has them. Those with `!` have to be there. */
export const shapes = {
  graph: { format: 'text!', functions: 'list!', slots: 'list', calls: 'list!' },
  function: { id: 'text!', at: 'text', fs: 'flag', uses: 'flag', accessor: 'flag', has: 'list' },
  parameter: { name: 'text!', type: 'type!', other: 'flag', stacked: 'flag' },
  slot: { id: 'text!', functions: 'list!' },
  call: { caller: 'text!', callee: 'text', slot: 'text', file: 'text', line: 'line!', mapping: 'text' },
} as const satisfies Record<string, Record<string, Kind | `${Kind}!`>>;

const shape = {
  graph: new Shape(shapes.graph),
  function: new Shape(shapes.function),
  parameter: new Shape(shapes.parameter),
  slot: new Shape(shapes.slot),
  call: new Shape(shapes.call),
};

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Something of each thing, such as a field; undefined for what is no object. */
const column = (things: readonly unknown[], of: (thing: Fields) => unknown): unknown[] => things.map((thing) => (isFields(thing) ? of(thing) : undefined));

/** A list of things that have ids. */
class Named {
  readonly names: Names;

  constructor(
    private readonly what: string,
    readonly list: readonly unknown[],
  ) {
    this.names = new Names(list.length);
  }

  /** Where the id stands already, or -1. */
  add(id: unknown, place: number): number {
    return typeof id === 'string' ? this.names.add(id, place) : -1;
  }

  /** Tells of a name that is none of theirs. What is no name at all has been told of. */
  unknown(id: unknown, problems: Problems, path: string): void {
    if (typeof id !== 'string' || id === '') return;
    const ids = (): string[] => column(this.list, ({ id: given }) => given).filter((given) => typeof given === 'string');
    problems.add(path, `there is no ${this.what} ${shown(id)}`, () => didYouMean(id, ids()));
  }
}

/** Tells of a name that was there already. */
function once(before: number | undefined, name: unknown, path: (place: number) => string, place: number, problems: Problems, hint = ''): void {
  if (before !== undefined && before >= 0) problems.add(path(place), `${shown(name)} is ${path(before)} too${hint}`);
}

/** {@link once} for names of which there are few. */
function distinct(names: readonly unknown[], path: (place: number) => string, problems: Problems): void {
  const places = new Map<unknown, number>();
  for (const [place, name] of names.entries()) {
    if (typeof name !== 'string') continue;
    once(places.get(name), name, path, place, problems);
    if (!places.has(name)) places.set(name, place);
  }
}

function checkParameters(has: readonly unknown[], problems: Problems, path: string): void {
  for (const [at, parameter] of has.entries()) shape.parameter.check(parameter, problems, path, at);
  if (has.length > 1)
    distinct(
      column(has, ({ name }) => name),
      (place) => `${path}[${place}].name`,
      problems,
    );
}

/** How a static function can be named apart from another of its name. */
function apart({ id, at }: Fields): string {
  const file = typeof at === 'string' ? at.replace(/:\d+$/, '') : 'fs/ext4/inode.c';
  return `static functions of one name are told apart by their file ('${String(id)}@${file}')`;
}

function checkFunctions(given: unknown, problems: Problems): Named {
  const functions = new Named('function', listOf(given));
  if (Array.isArray(given) && given.length === 0) problems.add('functions', 'there is none');
  for (const [at, value] of functions.list.entries()) {
    if (!shape.function.check(value, problems, 'functions', at)) continue;
    if (value.has !== undefined) checkParameters(listOf(value.has), problems, `functions[${at}].has`);
    once(functions.add(value.id, at), value.id, (place) => `functions[${place}].id`, at, problems, `; ${apart(value)}`);
  }
  return functions;
}

function checkMembers(members: readonly unknown[], functions: Named, problems: Problems, path: string): void {
  const numbers = functions.names.numbers(members);
  for (const [at, member] of members.entries()) {
    if (typeof member !== 'string' || member === '') problems.add(`${path}[${at}]`, `the id of a function is wanted, not ${shown(member)}`);
    else if (numbers[at] === -1) functions.unknown(member, problems, `${path}[${at}]`);
  }
  distinct(members, (place) => `${path}[${place}]`, problems);
}

function checkSlots(list: readonly unknown[], functions: Named, problems: Problems): Named {
  const slots = new Named('slot', list);
  for (const [at, value] of list.entries()) {
    if (!shape.slot.check(value, problems, 'slots', at)) continue;
    checkMembers(listOf(value.functions), functions, problems, `slots[${at}].functions`);
    once(slots.add(value.id, at), value.id, (place) => `slots[${place}].id`, at, problems);
  }
  return slots;
}

/** That the parameter which a call names as the page's mapping is one of its caller's. */
function checkMapping({ caller, mapping }: Fields, { has: given }: Fields, problems: Problems, path: string): void {
  if (typeof mapping !== 'string' || mapping === '') return;
  const has = column(listOf(given), ({ name }) => name);
  if (has.includes(mapping)) return;
  const those = has.length > 0 ? `has ${has.map(shown).join(', ')}, and no` : 'has no mapping, and so no';
  problems.add(path, `the caller ${shown(caller)} ${those} ${shown(mapping)}`, () =>
    didYouMean(
      mapping,
      has.filter((name) => typeof name === 'string'),
    ),
  );
}

function checkCalls(calls: readonly unknown[], functions: Named, slots: Named, problems: Problems): Numbers {
  const numbers = numbersIn(calls as Fields[], functions.names, slots.names);
  const { callers, callees, through } = numbers;
  for (let at = 0; at < calls.length; at++) {
    const value = calls[at];
    if (!shape.call.check(value, problems, 'calls', at)) continue;
    const { callee, slot } = value;
    const caller = callers[at] as number;
    if (caller < 0) functions.unknown(value.caller, problems, `calls[${at}].caller`);
    if (callee === undefined && slot === undefined) problems.add(`calls[${at}]`, 'it has neither callee nor slot');
    if (callee !== undefined && slot !== undefined) problems.add(`calls[${at}]`, 'it has both callee and slot');
    if (callee !== undefined && callees[at] === -1) functions.unknown(callee, problems, `calls[${at}].callee`);
    if (slot !== undefined && through[at] === -1) slots.unknown(slot, problems, `calls[${at}].slot`);
    if (value.mapping !== undefined && caller >= 0) checkMapping(value, functions.list[caller] as Fields, problems, `calls[${at}].mapping`);
  }
  return numbers;
}

/** A call graph, and the numbers of what it names. See {@link callGraphFrom}. */
export function numberedFrom(value: unknown, where: string): { graph: CallGraph; numbers: Numbers } {
  const problems = new Problems();
  if (!shape.graph.check(value, problems)) throw new CallGraphError(where, problems.found);
  if (typeof value.format === 'string' && value.format !== format) problems.add('format', `'${format}' is wanted, not ${shown(value.format)}`);
  const functions = checkFunctions(value.functions, problems);
  const slots = checkSlots(listOf(value.slots), functions, problems);
  const numbers = checkCalls(listOf(value.calls), functions, slots, problems);
  if (problems.found.length > 0) throw new CallGraphError(where, problems.found);
  return { graph: value as unknown as CallGraph, numbers };
}

/**
 * Makes sure that a value, such as what JSON.parse returns, is a call graph. It is returned as it is.
 * @param where What it is called in messages.
 * @throws {CallGraphError} with all that is wrong with it.
 */
export const callGraphFrom = (value: unknown, where = 'the value'): CallGraph => numberedFrom(value, where).graph;
