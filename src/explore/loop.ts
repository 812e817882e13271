import { InternalError } from '../system/errors.js';
import type { StateGraph } from './graph.js';
import { Ints } from './ints.js';

/** How much of a task is left for this slice. A generator that has used it up yields. */
export interface Pace {
  left: number;
}

/** Pairs of a state and what is still owed that are gone through for a shortest loop; beyond, a short one is put together. */
const mostPairs = 200_000;

/** A breadth-first search through part of the graph, in which each state has the way to it. */
export class Ways {
  readonly states: Ints;
  /** Per entry of `states`, the entry before it on the way; -1 where a way begins. */
  private readonly before: Ints;
  private readonly met: Uint8Array;

  constructor(private readonly graph: StateGraph) {
    this.states = new Ints(graph.end);
    this.before = new Ints(graph.end);
    this.met = new Uint8Array(Math.ceil(graph.end / 8));
  }

  get bytes(): number {
    return this.states.bytes + this.before.bytes + this.met.byteLength;
  }

  /** Begins anew. */
  clear(): void {
    this.states.length = 0;
    this.before.length = 0;
    this.met.fill(0);
  }

  /** Adds a state unless it was met before. Returns whether it was not. */
  meet(state: number, before: number): boolean {
    const byte = this.met[state >>> 3] as number;
    const bit = 1 << (state & 7);
    if (byte & bit) return false;
    this.met[state >>> 3] = byte | bit;
    this.states.push(state);
    this.before.push(before);
    return true;
  }

  /** The states on the way to an entry, itself included. */
  wayTo(entry: number): number[] {
    const way: number[] = [];
    for (let at = entry; at >= 0; at = this.before.items[at] as number) way.push(this.states.items[at] as number);
    return way.reverse();
  }

  /** Choices that lead along a way. */
  choicesAlong(way: readonly number[]): number[] {
    return way.slice(1).map((state, index) => this.graph.between(way[index] as number, state));
  }
}

/**
 * Finds a loop from a state of a fair component back to it, within the component, that is fair to every choice; none is needed where
 * nothing is owed. It is a shortest one, unless there are too many combinations of what is still owed to go through.
 */
export class Loops {
  private readonly component: number;
  /** Fair choices that are owed where the loop begins; each has its bit in what is still owed. */
  private readonly owed: readonly number[];
  /** Per state gone through, those of them that are owed there. */
  private readonly owedAt = new Map<number, bigint>();

  constructor(
    private readonly graph: StateGraph,
    private readonly marks: Int32Array,
    fairChoices: Int32Array,
    private readonly start: number,
    private readonly pace: Pace,
  ) {
    this.component = marks[start] as number;
    this.owed = [...fairChoices].filter((choice) => graph.owes(start, choice));
  }

  /** The loop's choices. `ways` serves to find it where it cannot be a shortest one. */
  *find(ways: Ways): Generator<void, number[]> {
    if (this.owed.length === 0) return [];
    return (yield* this.shortest()) ?? (yield* this.patched(ways));
  }

  /** The choices still owed after a step to a state, of those that were before. */
  private stillOwed(before: bigint, choice: number, to: number): bigint {
    const taken = this.owed.indexOf(choice);
    const left = taken < 0 ? before : before & ~(1n << BigInt(taken));
    if (left === 0n) return left;
    let there = this.owedAt.get(to);
    if (there === undefined) {
      there = this.owed.reduce((bits, owed, index) => (this.graph.owes(to, owed) ? bits | (1n << BigInt(index)) : bits), 0n);
      this.owedAt.set(to, there);
    }
    return left & there;
  }

  private get all(): bigint {
    return (1n << BigInt(this.owed.length)) - 1n;
  }

  private *shortest(): Generator<void, number[] | null> {
    const { graph, marks, component, start, pace } = this;
    const { choices, ends } = graph;
    const pairs = [{ state: start, owed: this.all, before: -1, choice: -1 }];
    const met = new Map([[this.all, new Set([start])]]);
    for (let at = 0; at < pairs.length && pairs.length < mostPairs; at++) {
      const { state, owed } = pairs[at] as (typeof pairs)[number];
      const count = graph.expand(state);
      for (let index = 0; index < count; index++) {
        const to = ends[index] as number;
        const choice = choices[index] as number;
        if (marks[to] !== component) continue;
        const left = this.stillOwed(owed, choice, to);
        const known = met.get(left) ?? new Set();
        if (known.has(to)) continue;
        met.set(left, known.add(to));
        pairs.push({ state: to, owed: left, before: at, choice });
        if (left === 0n && to === start) {
          const loop: number[] = [];
          for (let pair = pairs[pairs.length - 1]; pair && pair.before >= 0; pair = pairs[pair.before]) loop.push(pair.choice);
          return loop.reverse();
        }
      }
      if (--pace.left <= 0) yield;
    }
    return null;
  }

  /** From each place to the nearest that is fair to one choice more, and back to the start in the end. */
  private *patched(ways: Ways): Generator<void, number[]> {
    const loop: number[] = [];
    let owed = this.all;
    let here = this.start;
    while (owed !== 0n || here !== this.start) {
      const part = yield* this.stretch(ways, here, owed);
      for (const { choice, to } of part) {
        owed = this.stillOwed(owed, choice, to);
        loop.push(choice);
        here = to;
      }
    }
    return loop;
  }

  private *stretch(ways: Ways, from: number, owed: bigint): Generator<void, { choice: number; to: number }[]> {
    const { graph, marks, component, start, pace } = this;
    const { choices, ends } = graph;
    ways.clear();
    ways.meet(from, -1);
    for (let at = 0; at < ways.states.length; at++) {
      const state = ways.states.items[at] as number;
      const count = graph.expand(state);
      for (let index = 0; index < count; index++) {
        const to = ends[index] as number;
        const choice = choices[index] as number;
        if (marks[to] !== component) continue;
        if (owed === 0n ? to === start : this.stillOwed(owed, choice, to) !== owed) {
          const way = ways.wayTo(at);
          return [...ways.choicesAlong(way).map((each, index) => ({ choice: each, to: way[index + 1] as number })), { choice, to }];
        }
        ways.meet(to, at);
      }
      if (--pace.left <= 0) yield;
    }
    throw new InternalError(`state ${from} is not in a fair component`);
  }
}
