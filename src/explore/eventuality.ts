import type { Eventuality } from '../property/property.js';
import { InternalError } from '../system/errors.js';
import { begins, Components, isFair, outside, unseen } from './components.js';
import { Cures } from './cures.js';
import { type Searched, StateGraph } from './graph.js';
import { Loops, type Pace, Ways } from './loop.js';
import { noParent } from './store.js';
import { premise, reached, Truths } from './truths.js';
import type { Lasso, Violation } from './watch.js';

interface Judged {
  property: number;
  spec: Eventuality;
  truths: Truths;
}

/** States that are gone through again for the cures of one property: so many for each state, and some more. */
const againPerState = 2;
const againAtLeast = 100_000;

/**
 * Judges the eventualities of a system once its states are known, one after the other. An eventuality is violated by a run that meets
 * its premise and goes on for ever, fairly, without what should come: that ends in a fair component of the graph of the states in which
 * it has not come (see {@link Components}), reached through such states from one that meets the premise.
 *
 * States that were not expanded are not in the graph. Steps that lead to them are owed nevertheless, so what is violated without these
 * states is violated.
 */
export class Eventualities {
  readonly violations = new Map<number, Violation>();
  done: boolean;
  /** The most bytes that were in use at a time. */
  bytes = 0;
  private readonly judged: readonly Judged[];
  private readonly pace: Pace = { left: 0 };
  private readonly fair: Uint8Array;
  private readonly fairChoices: Int32Array;
  private work: Generator<void, void> | null = null;
  /** Of the property that is being judged. */
  private marks = new Int32Array(0);
  private states = new Int32Array(0);
  private components: Components | null = null;
  private ways: Ways | null = null;
  private cures: Cures | null = null;

  constructor(
    private readonly searched: Searched,
    private readonly scheduleTo: (state: number) => number[],
  ) {
    const { choices, properties } = searched.system;
    this.judged = properties.flatMap((spec, property) => (spec.kind === 'eventuality' ? [{ property, spec, truths: new Truths(searched, spec) }] : []));
    this.done = this.judged.length === 0;
    this.fair = Uint8Array.from(choices, (choice) => (choice.fair ? 1 : 0));
    this.fairChoices = Int32Array.from(choices.filter(({ fair }) => fair).map(({ index }) => index));
  }

  /** Distinct states of what an eventuality reads that met its premise. */
  evaluationsOf(property: number): number {
    return this.judged.find((judged) => judged.property === property)?.truths.evaluations ?? 0;
  }

  /** Goes on by about so many states. @param expanded How many states were expanded, the first ones of all; the same each time. */
  slice(states: number, expanded: number): void {
    if (this.done) return;
    this.work ??= this.judgeAll(new StateGraph(this.searched, expanded));
    this.pace.left = states;
    this.done = this.work.next().done === true;
    this.count();
  }

  private count(): void {
    const { marks, states, components, ways, cures } = this;
    this.bytes = Math.max(this.bytes, marks.byteLength + states.byteLength + (components?.bytes ?? 0) + (ways?.bytes ?? 0) + (cures?.bytes ?? 0));
  }

  private *judgeAll(graph: StateGraph): Generator<void, void> {
    for (const judged of this.judged) {
      this.marks = new Int32Array(graph.end);
      yield* this.judge(judged, graph);
      this.marks = new Int32Array(0);
      this.states = new Int32Array(0);
    }
  }

  private *judge({ property, spec, truths }: Judged, graph: StateGraph): Generator<void, void> {
    if (!(yield* this.mark(truths))) return;
    this.states = yield* this.fairStates(graph);
    if (this.states.length === 0) return;
    const { stem, loop } = yield* this.lasso(truths, graph);
    const violate = (cures: Lasso['cures'], untried: number): void => {
      const lasso = { stem: stem.length, cures, untried };
      this.violations.set(property, { property: spec.name, schedule: [...stem, ...loop], message: spec.description, lasso });
    };
    // It stands, even if a limit comes before it is known what would cure it.
    violate([], this.fair.length);
    const { found, untried } = yield* this.curesOf(graph);
    violate(found, untried);
  }

  /** The states of fair components, one component after the other. */
  private *fairStates(graph: StateGraph): Generator<void, Int32Array<ArrayBuffer>> {
    const { pace } = this;
    const components = new Components(graph, this.marks, this.fairChoices);
    this.components = components;
    while (!components.done) {
      pace.left -= components.advance(pace.left);
      if (pace.left <= 0) yield;
    }
    return this.released(components.fair.items.slice(0, components.fair.length));
  }

  private *lasso(truths: Truths, graph: StateGraph): Generator<void, { stem: number[]; loop: number[] }> {
    const ways = new Ways(graph);
    this.ways = ways;
    const { choices: stem, end } = yield* this.stem(truths, graph, ways);
    const loop = yield* new Loops(graph, this.marks, this.fairChoices, end, this.pace).find(ways);
    return this.released({ stem, loop });
  }

  private *curesOf(graph: StateGraph): Generator<void, Cures> {
    const most = againPerState * graph.end + againAtLeast;
    const cures = new Cures(graph, this.marks, this.states, this.fair, this.fairChoices, this.pace, most);
    this.cures = cures;
    yield* cures.run();
    return this.released(cures);
  }

  /** What was worked with is needed no more. */
  private released<T>(result: T): T {
    this.count();
    this.components = null;
    this.ways = null;
    this.cures = null;
    return result;
  }

  /** Marks where the search for components may go and where it begins. Returns whether it begins at all. */
  private *mark(truths: Truths): Generator<void, boolean> {
    const { marks, pace } = this;
    let any = false;
    for (let state = 0; state < marks.length; state++) {
      const truth = truths.in(state);
      marks[state] = truth & reached ? outside : truth & premise ? begins : unseen;
      any ||= marks[state] === begins;
      if (--pace.left <= 0) yield;
    }
    return any;
  }

  /**
   * The way by which the search came to a fair component first, if it will do: no other is shorter. It often does, and then the graph
   * need not be gone through again.
   */
  private straightStem(truths: Truths): { choices: number[]; end: number } | null {
    const { parents } = this.searched.store;
    // States in the order of their numbers are in the order of their distances.
    const end = this.states.reduce((first, state) => Math.min(first, state));
    for (let at = end; ; at = parents[at] as number) {
      const truth = truths.in(at);
      if (truth & reached) return null;
      if (truth & premise) return { choices: this.scheduleTo(end), end };
      if (parents[at] === noParent) return null;
    }
  }

  /**
   * A shortest way to a state of a fair component that leads, from where it meets the premise, through states in which what should
   * come has not come. States in the order of their numbers are in the order of their distances from the first.
   */
  private *stem(truths: Truths, graph: StateGraph, ways: Ways): Generator<void, { choices: number[]; end: number }> {
    const { marks, pace } = this;
    const straight = this.straightStem(truths);
    if (straight) return straight;
    const { parents } = this.searched.store;
    const { states } = ways;
    const pending = (state: number): boolean => truths.in(state) === premise;
    // The states of one distance are those from `level` on up to `next`; the pending ones of that distance, those of `states` from `at` on.
    for (let level = 0, next = Math.min(1, graph.end), at = 0; level < graph.end || at < states.length; ) {
      for (let state = level; state < next; state++) {
        if (pending(state)) ways.meet(state, -1);
        if (--pace.left <= 0) yield;
      }
      for (const end = states.length; at < end; at++) {
        const state = states.items[at] as number;
        if (isFair(marks[state] as number)) {
          const way = ways.wayTo(at);
          return { choices: [...this.scheduleTo(way[0] as number), ...ways.choicesAlong(way)], end: state };
        }
        const count = graph.expand(state);
        for (let index = 0; index < count; index++) if (marks[graph.ends[index] as number] !== outside) ways.meet(graph.ends[index] as number, at);
        if (--pace.left <= 0) yield;
      }
      level = next;
      while (next < graph.end && (parents[next] as number) < level) next++;
    }
    throw new InternalError(`${this.searched.system.id}: no way leads to a fair component`);
  }
}
