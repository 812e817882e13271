import { InternalError } from '../system/errors.js';
import type { System } from '../system/system.js';
import type { Decider } from './decider.js';
import { changes, type LeafTable } from './leaves.js';
import type { LocalTables } from './local.js';
import { Lookups, type StateStore } from './store.js';
import type { DecisionTrees } from './trees.js';

/** What a search has when it has expanded its states. */
export interface Searched {
  system: System;
  tables: LocalTables;
  store: StateStore;
  trees: DecisionTrees;
  leaves: LeafTable;
  roots: Int32Array;
  deciders: readonly Decider[];
}

/**
 * The states that a search has expanded, and the steps between them; a step that changes nothing is none. A step is told by its choice:
 * several may lead from one state to the same other one. Nothing is stored: steps are found in the decision trees, their ends in the
 * visited table.
 */
export class StateGraph {
  /** Of the steps that {@link expand} found: their choices, and where they end. */
  readonly choices: Int32Array;
  readonly ends: Int32Array;
  private readonly looked: Lookups;
  private readonly single: Int32Array;
  /** Per choice, which decider has it. The choices of an actor follow on each other. */
  private readonly deciderOf: Uint16Array;

  /** @param end How many states were expanded: those with lower numbers. The others are not in the graph. */
  constructor(
    private readonly searched: Searched,
    readonly end: number,
  ) {
    const { length } = searched.system.choices;
    this.choices = new Int32Array(length);
    this.looked = new Lookups(Math.max(length, 1), searched.store.width);
    this.ends = this.looked.hashes;
    this.single = new Int32Array(searched.store.width);
    this.deciderOf = new Uint16Array(length);
    for (const [index, decider] of searched.deciders.entries()) for (const choice of decider.choices) this.deciderOf[choice] = index;
  }

  /** Finds a state's steps by choice `from` and later ones, and returns how many there are. */
  expand(state: number, from = 0): number {
    const { end, looked, choices, ends, deciderOf } = this;
    const { store, trees, leaves, roots, deciders } = this.searched;
    if (from >= deciderOf.length) return 0;
    const { words, packing, width } = store;
    const at = state * width;
    let count = 0;
    for (let d = deciderOf[from] as number; d < deciders.length; d++) {
      const { actor, menus } = deciders[d] as Decider;
      const id = packing.read(words, at, actor);
      const menu = menus[id] as readonly number[];
      for (let i = 0; i < menu.length; i++) {
        const choice = menu[i] as number;
        if (choice < from) continue;
        const leaf = ~trees.findFrom(roots[choice] as number, id, words, at);
        if (((leaves.kind[leaf] as number) & changes) === 0) continue;
        leaves.apply(leaf, words, at, looked.words, count * width);
        choices[count++] = choice;
      }
    }
    looked.count = count;
    store.findAll(looked);
    let within = 0;
    for (let i = 0; i < count; i++) {
      const to = ends[i] as number;
      if (to < 0) this.fail(state);
      if (to >= end) continue;
      ends[within] = to;
      choices[within++] = choices[i] as number;
    }
    return within;
  }

  /** Whether a choice is possible in a state and changes it. */
  owes(state: number, choice: number): boolean {
    return this.leafOf(state, choice) >= 0;
  }

  /** Where a choice leads from a state; -1 if it is not possible there, changes nothing, or leads out of the graph. */
  after(state: number, choice: number): number {
    const { store, leaves } = this.searched;
    const leaf = this.leafOf(state, choice);
    if (leaf < 0) return -1;
    leaves.apply(leaf, store.words, state * store.width, this.single, 0);
    const to = store.find(this.single, 0);
    if (to < 0) this.fail(state);
    return to < this.end ? to : -1;
  }

  /** The first choice that leads from one state to another. */
  between(state: number, to: number): number {
    const index = this.ends.subarray(0, this.expand(state)).indexOf(to);
    if (index < 0) throw new InternalError(`${this.searched.system.id}: no step leads from state ${state} to state ${to}`);
    return this.choices[index] as number;
  }

  private fail(state: number): never {
    throw new InternalError(`${this.searched.system.id}: a successor of state ${state} was never seen`);
  }

  /** The leaf of a choice where it changes something, else -1. In a state that was expanded, no tree ends before its leaf unless the choice is not possible. */
  private leafOf(state: number, choice: number): number {
    const { store, trees, leaves, roots } = this.searched;
    const found = trees.find(roots[choice] as number, store.words, state * store.width);
    return found !== 0 && (leaves.kind[~found] as number) & changes ? ~found : -1;
  }
}
