import { canonical, isFields } from '../system/canonical.js';
import type { Address } from '../system/message.js';
import type { System, SystemActor } from '../system/system.js';
import { type AnySnapshot, identityOf, placeOf } from '../system/view.js';
import type { LocalState, LocalTables, LocalTransition } from './local.js';

/** What a message does in a local state: the state that it leads to, the messages that are sent, the BUG states entered. */
export interface RowOutcome {
  place: string;
  /** Without the fields that never change. */
  context: unknown;
  sends: readonly { to: Address; event: { type: string } }[];
  bugs: readonly string[];
}

/** A row of which one of the systems only has it, or where both have it and it leads elsewhere. */
export interface RowDifference {
  actor: Address;
  place: string;
  context: unknown;
  /** Null: the actor's start, in no state yet. */
  message: { type: string } | null;
  a: RowOutcome | null;
  b: RowOutcome | null;
}

export interface TablesDifference {
  /** Rows that one of the systems has, or both, of the actors that both have. */
  rows: number;
  /** By actor, place, state and message. */
  differences: readonly RowDifference[];
}

/** A system with the tables that a search has filled. */
export interface Tabled {
  system: System;
  tables: LocalTables;
}

interface Row {
  actor: Address;
  place: string;
  context: unknown;
  message: { type: string } | null;
  /** Equal keys: the same actor in the same local state gets the same message. */
  key: string;
  outcome: RowOutcome;
  outcomeKey: string;
}

/** A local state as it is compared: atomic states in the order of their names, context without what is always the same. */
interface Seen {
  place: string;
  context: unknown;
  key: string;
}

const snapshotsOf = ({ tables }: Tabled, { index }: SystemActor): AnySnapshot[] => (tables.states[index] as LocalState[]).map(({ snapshot }) => snapshot);

/** Fields of an actor's context that have one value in all its local states: what it was given, not what it has come to. */
function settings(tabled: Tabled, actor: SystemActor): Set<string> {
  const contexts = snapshotsOf(tabled, actor).map(({ context }) => context);
  if (!contexts.every(isFields)) return new Set();
  const [first = {}] = contexts;
  return new Set(Object.keys(first).filter((name) => new Set(contexts.map((context) => (name in context ? canonical(context[name]) : ''))).size === 1));
}

/** What is seen of each local state of an actor, made once. */
function seenIn({ tables }: Tabled, actor: SystemActor, leftOut: ReadonlySet<string>): (state: number) => Seen {
  const known = new Map<number, Seen>();
  const look = (state: number): Seen => {
    const { snapshot, waiting } = tables.local(actor, state);
    const { context: whole = null, ...rest } = identityOf(snapshot, waiting);
    const context = isFields(whole) ? Object.fromEntries(Object.entries(whole).filter(([name]) => !leftOut.has(name))) : whole;
    return { place: placeOf(snapshot).split(', ').sort().join(', '), context, key: canonical([rest, context]) };
  };
  return (state) => {
    const seen = known.get(state) ?? look(state);
    known.set(state, seen);
    return seen;
  };
}

function* rowsOf({ system, tables }: Tabled, actor: SystemActor, seen: (state: number) => Seen): Generator<Row> {
  const { address } = actor;
  const outcomeOf = ({ next, sends, bugs }: LocalTransition): Pick<Row, 'outcome' | 'outcomeKey'> => {
    const { place, context, key } = seen(next);
    const sent = sends.map(({ to, message }) => ({ to: (system.actors[to] as SystemActor).address, event: tables.messages[message] as { type: string } }));
    const outcome = { place, context, sends: sent, bugs: bugs.map(({ state }) => state) };
    return { outcome, outcomeKey: `${key} ${canonical(sent)} ${canonical(outcome.bugs)}` };
  };
  yield { actor: address, place: '', context: null, message: null, key: '', ...outcomeOf(tables.initial(actor)) };
  for (const { state, message, row } of tables.rowsSoFar(actor)) {
    const { place, context, key } = seen(state);
    const event = tables.messages[message] as { type: string };
    yield { actor: address, place, context, message: event, key: JSON.stringify([place, key, event.type, canonical(event)]), ...outcomeOf(row) };
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The rows of one actor, which both have. */
function ofActor(address: Address, ...both: readonly [Tabled, Tabled]): TablesDifference {
  const actors = both.map(({ system }) => system.actors.find((one) => one.address === address) as SystemActor);
  const [ofA, ofB] = both.map((tabled, side) => settings(tabled, actors[side] as SystemActor)) as [Set<string>, Set<string>];
  const leftOut = new Set([...ofA].filter((name) => ofB.has(name)));
  const [inA, inB] = both.map((tabled, side) => {
    const actor = actors[side] as SystemActor;
    return new Map([...rowsOf(tabled, actor, seenIn(tabled, actor, leftOut))].map((row) => [row.key, row]));
  }) as [Map<string, Row>, Map<string, Row>];
  const keys = [...new Set([...inA.keys(), ...inB.keys()])].sort(byText);
  const differences = keys.flatMap((key): RowDifference[] => {
    const [rowA, rowB] = [inA.get(key), inB.get(key)];
    if (rowA?.outcomeKey === rowB?.outcomeKey) return [];
    const { actor, place, context, message } = (rowA ?? rowB) as Row;
    return [{ actor, place, context, message, a: rowA?.outcome ?? null, b: rowB?.outcome ?? null }];
  });
  return { rows: keys.length, differences };
}

/**
 * What the actors that two systems have in common do otherwise, row by row of their local transition tables: those rows that a search has
 * reached. Local states are the same where place, context and what else makes a state are; fields of a context that never change are part
 * of what the actor was given, and do not count.
 */
export function tablesDifference(a: Tabled, b: Tabled): TablesDifference {
  const common = new Set(b.system.actors.map(({ address }) => address));
  const addresses = a.system.actors.flatMap(({ address }) => (common.has(address) ? [address] : [])).sort(byText);
  const each = addresses.map((address) => ofActor(address, a, b));
  return { rows: each.reduce((sum, { rows }) => sum + rows, 0), differences: each.flatMap(({ differences }) => differences) };
}
