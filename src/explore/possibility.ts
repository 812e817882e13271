import { InternalError, ModelError } from '../system/errors.js';
import type { Decider } from './decider.js';
import type { Searched } from './graph.js';
import { changes } from './leaves.js';
import { premise, reached, Truths } from './truths.js';

interface Judged {
  property: number;
  truths: Truths;
  /** Its bit in the marks. */
  bit: number;
}

/**
 * Judges the possibilities of a system once all its states are known: marks the states in which what is to be reached
 * holds, then, pass by pass, those with a marked successor. A pass goes from the last state found to the first, since most
 * steps lead to states found later; steps that lead back take more passes. What is not marked in the end cannot get there.
 */
export class Possibilities {
  /** Per violated property, the first state found that meets the premise and cannot get there. */
  readonly violatedAt = new Map<number, number>();
  private readonly judged: Judged[];
  /** Per state, the possibilities that are known to be within reach, a bit each. */
  private marks = new Uint8Array(0) as Uint8Array | Uint32Array;
  /** The possibilities, a bit each, that not every state with the premise fulfils at once. */
  private asked = 0;
  private phase: 'marking' | 'going back' | 'finding' | 'done';
  private at = 0;
  private marked = false;
  private successor = new Int32Array(0);

  constructor(private readonly searched: Searched) {
    const { system } = searched;
    const specs = system.properties.flatMap((spec, property) => (spec.kind === 'possibility' ? [{ property, spec }] : []));
    if (specs.length > 32) throw new ModelError(`system '${system.id}' has ${specs.length} possibilities; at most 32 can be told apart`);
    this.judged = specs.map(({ property, spec }, index) => ({ property, truths: new Truths(searched, spec), bit: 1 << index }));
    this.phase = specs.length > 0 ? 'marking' : 'done';
  }

  get done(): boolean {
    return this.phase === 'done';
  }

  get bytes(): number {
    return this.marks.byteLength;
  }

  /** Of a possibility: distinct states of what it reads that met its premise. */
  evaluationsOf(property: number): number {
    return this.judged.find((judged) => judged.property === property)?.truths.evaluations ?? 0;
  }

  /** Goes on by so many states. All states have to be in the store. */
  slice(states: number): void {
    const { count } = this.searched.store;
    if (this.phase === 'marking') this.mark(Math.min(this.at + states, count));
    else if (this.phase === 'going back') this.goBack(Math.max(this.at - states, 0));
    else if (this.phase === 'finding') this.find(Math.min(this.at + states, count));
  }

  private begin(): void {
    const { store } = this.searched;
    this.marks = this.judged.length <= 8 ? new Uint8Array(store.count) : new Uint32Array(store.count);
    this.successor = new Int32Array(store.width);
  }

  private mark(end: number): void {
    if (this.at === 0) this.begin();
    for (; this.at < end; this.at++) {
      for (const judged of this.judged) {
        const truth = judged.truths.in(this.at);
        if (truth & reached) this.marks[this.at] = (this.marks[this.at] as number) | judged.bit;
        else if (truth & premise) this.asked |= judged.bit;
      }
    }
    if (end === this.searched.store.count) this.phase = this.asked === 0 ? 'done' : 'going back';
  }

  private goBack(end: number): void {
    const { marks, asked } = this;
    while (this.at > end) {
      const state = --this.at;
      const missing = asked & ~(marks[state] as number);
      if (missing === 0) continue;
      const gained = this.ahead(state, missing);
      if (gained === 0) continue;
      marks[state] = (marks[state] as number) | gained;
      this.marked = true;
    }
    if (end > 0) return;
    if (this.marked) this.at = this.searched.store.count;
    else this.phase = 'finding';
    this.marked = false;
  }

  private find(end: number): void {
    for (; this.at < end; this.at++) {
      const missing = this.asked & ~(this.marks[this.at] as number);
      if (missing === 0) continue;
      for (const judged of this.judged) {
        if ((missing & judged.bit) === 0 || (judged.truths.in(this.at) & premise) === 0) continue;
        this.violatedAt.set(judged.property, this.at);
        this.asked &= ~judged.bit;
      }
    }
    if (end === this.searched.store.count || this.asked === 0) this.phase = 'done';
  }

  /** Which of the wanted marks some successor of a state has. */
  private ahead(state: number, wanted: number): number {
    const { store, trees, leaves, roots, deciders } = this.searched;
    const { marks, successor } = this;
    const { words, width, packing } = store;
    const at = state * width;
    let found = 0;
    for (let d = 0; d < deciders.length; d++) {
      const { actor, menus } = deciders[d] as Decider;
      const id = packing.read(words, at, actor);
      const menu = menus[id] as readonly number[];
      for (let i = 0; i < menu.length; i++) {
        const leaf = ~trees.findFrom(roots[menu[i] as number] as number, id, words, at);
        if (((leaves.kind[leaf] as number) & changes) === 0) continue;
        leaves.apply(leaf, words, at, successor, 0);
        const next = store.find(successor, 0);
        if (next < 0) throw new InternalError(`${this.searched.system.id}: a successor of state ${state} was never seen`);
        found |= (marks[next] as number) & wanted;
        if (found === wanted) return found;
      }
    }
    return found;
  }
}
