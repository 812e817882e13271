import { Cascade } from '../explore/cascade.js';
import type { Explorer } from '../explore/explorer.js';
import type { BugReport, LocalTables } from '../explore/local.js';
import { thousands } from '../format/text.js';
import { judging } from '../property/judging.js';
import { type Property, violatedBy } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import type { Choice, System, SystemActor } from '../system/system.js';
import { type Claim, claimsOf } from './claims.js';
import { type Condition, Forest, type Row, rowsOf, Trie } from './forest.js';
import { localNames } from './locals.js';

/** An actor whose local state changes. */
export interface TableActor {
  index: number;
  address: string;
  /** What each of its local states is, in words. */
  locals: readonly string[];
  /** The number of its local state in the initial state. */
  initial: number;
}

/** What a choice does: rows that exclude each other. Steps that change nothing are left out. */
export interface ChoiceRows {
  choice: Choice;
  rows: readonly Row[];
}

/** A system as tables of numbers. */
export interface Tables {
  system: System;
  /** Reachable states. */
  states: number;
  rows: number;
  actors: readonly TableActor[];
  /** Addresses of actors with one local state only. */
  constant: readonly string[];
  choices: readonly ChoiceRows[];
  claims: readonly Claim[];
}

/** More rows than that, and tools take too long to compile a model. */
export const mostRows = 20_000;

/**
 * The system to search for its tables: what is judged only when all states are known is not judged. Tags of BUG states can name it
 * nevertheless.
 */
export const searchable = (system: System): System =>
  judging(
    system,
    system.properties.flatMap(({ kind, name }) => (kind === 'possibility' || kind === 'eventuality' ? [] : [name])),
  );

/** Properties that a step violates by BUG states that are left again before it ends. */
function passedThrough(tables: LocalTables, properties: readonly Property[], bugs: readonly BugReport[], after: ReadonlyMap<number, number>): string[] {
  const seen = new Set(
    [...after].flatMap(([actor, id]) => tables.local(tables.system.actors[actor] as SystemActor, id).bugs.flatMap(({ tags }) => violatedBy(properties, tags))),
  );
  return [...new Set(bugs.flatMap(({ tags }) => violatedBy(properties, tags)))].filter((name) => !seen.has(name));
}

/** The steps of a system, each kind of step seen once: found anew by what the search stored of them. */
class Steps {
  /** Per choice. */
  readonly changes: Trie[];
  /** Per property that BUG states violate which no state shows: where steps through them begin, a trie for each choice. */
  readonly passing = new Map<string, Map<number, Trie>>();
  private readonly cascade: Cascade;

  constructor(
    private readonly explorer: Explorer,
    private readonly properties: readonly Property[],
  ) {
    const { system, tables } = explorer;
    this.changes = system.choices.map(() => new Trie());
    this.cascade = new Cascade(system, tables);
    const start = this.cascade.start();
    for (const name of passedThrough(tables, properties, start.bugs, start.writes)) this.pass(name, -1, []);
  }

  /** Goes through all states and adds each leaf of the decision trees once. */
  collect(): void {
    const { store, trees, leaves, roots, deciders } = this.explorer.searched;
    const seen = new Uint8Array(leaves.count);
    for (let state = 0; state < store.count; state++) {
      const at = state * store.width;
      for (const { actor, menus } of deciders) {
        const id = store.packing.read(store.words, at, actor);
        for (const choice of menus[id] as readonly number[]) {
          const leaf = ~trees.findFrom(roots[choice] as number, id, store.words, at);
          if (seen[leaf]) continue;
          seen[leaf] = 1;
          this.add(choice, (of) => store.packing.read(store.words, at, of));
        }
      }
    }
  }

  private add(choice: number, idOf: (actor: number) => number): void {
    const { system, tables } = this.explorer;
    const taken = system.choices[choice] as Choice;
    const step = this.cascade.step(taken, tables.message(taken.event), idOf);
    if (!step) return;
    if (step.writes.size > 0) (this.changes[choice] as Trie).add(step.reads, step.writes);
    const after = new Map([...step.reads.map(({ actor, id }) => [actor, id] as const), ...step.writes]);
    for (const name of passedThrough(tables, this.properties, step.bugs, after)) this.pass(name, choice, step.reads);
  }

  private pass(name: string, choice: number, reads: readonly { actor: number; id: number }[]): void {
    const tries = this.passing.get(name) ?? new Map<number, Trie>();
    this.passing.set(name, tries);
    const trie = tries.get(choice) ?? new Trie();
    tries.set(choice, trie);
    trie.add(reads, []);
  }
}

/**
 * The tables of a system, from a search to the end of what {@link searchable} makes of it.
 * @param most Of rows.
 * @throws {UsageError} if there are more.
 */
export function tablesOf(explorer: Explorer, system: System, most = mostRows): Tables {
  const { tables, searched } = explorer;
  const steps = new Steps(explorer, system.properties);
  steps.collect();
  const counts = tables.states.map(({ length }) => length);
  const forest = new Forest(counts);
  const choices = system.choices.map((choice): ChoiceRows => ({ choice, rows: [...rowsOf((steps.changes[choice.index] as Trie).reduced(forest))] }));
  const rows = choices.reduce((sum, choice) => sum + choice.rows.length, 0);
  if (rows > most)
    throw new UsageError(`the tables of '${system.id}' have ${thousands(rows)} rows, and at most ${thousands(most)} are exported; export a smaller system`);
  const { store } = searched;
  if (system.actors.length === 0) throw new UsageError(`'${system.id}' has no actors; there is nothing to export`);
  const changing = system.actors.filter(({ index }) => (counts[index] as number) > 1);
  // No language has states without variables.
  const moving = changing.length > 0 ? changing : system.actors.slice(0, 1);
  return {
    system,
    states: store.count,
    rows,
    actors: moving.map((actor) => ({
      index: actor.index,
      address: actor.address,
      locals: localNames(tables.states[actor.index] ?? []),
      initial: store.packing.read(store.words, 0, actor.index),
    })),
    constant: system.actors.filter((actor) => !moving.includes(actor)).map(({ address }) => address),
    choices,
    claims: claimsOf(system, tables, explorer.result().properties, (name) =>
      [...(steps.passing.get(name)?.values() ?? [])].flatMap((trie) => [...rowsOf(trie.reduced(forest))].map(({ reads }): readonly Condition[] => reads)),
    ),
  };
}
