import type { Eventuality } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import type { Choice, System } from '../system/system.js';
import { begins, Components, outside, unseen } from './components.js';
import { type ExploreLimits, Explorer } from './explorer.js';
import { StateGraph } from './graph.js';
import { premise, reached, Truths } from './truths.js';

/** How long what should come can take. */
export interface Response {
  /** Counted steps between the premise and what should come, at most; null: there is no most, or a limit came first. */
  steps: number | null;
  /** Which limit ended the search; then nothing is known. */
  limit: string | null;
  /** States in which it has not come yet. */
  pending: number;
  /** A schedule that takes the most: `stem` steps to where the premise is met, then on to where it has come. Empty where there is no most. */
  schedule: number[];
  stem: number;
}

function eventualityOf(system: System, name: string): Eventuality {
  const found = system.properties.find((property) => property.name === name);
  const names = system.properties.flatMap((property) => (property.kind === 'eventuality' ? [property.name] : []));
  if (found?.kind === 'eventuality') return found;
  const known = names.length > 0 ? `${didYouMean(name, names)} (it has ${names.join(', ')})` : ' (it has none)';
  throw new UsageError(`system '${system.id}' has no eventuality '${name}'${known}`);
}

/**
 * The longest way through a part of a graph whose components are known: a component that has a counted step within it has no longest
 * one. Components are gone through from the last to the first, so that where a step leads is known.
 */
class Longest {
  /** Per state, the most counted steps from its component on. */
  readonly most: Int32Array;
  endless = false;
  private readonly order: Int32Array;

  constructor(
    private readonly graph: StateGraph,
    private readonly marks: Int32Array,
    private readonly counted: Uint8Array,
  ) {
    this.most = new Int32Array(graph.end);
    // The search for components completes a component when all that its steps lead to are complete, and numbers them downwards.
    const seen = Int32Array.from(marks.keys()).filter((state) => this.isPending(state));
    this.order = seen.sort((a, b) => this.componentOf(b) - this.componentOf(a));
  }

  get pending(): number {
    return this.order.length;
  }

  isPending(state: number): boolean {
    return (this.marks[state] as number) > 0 && this.marks[state] !== outside;
  }

  /** The lowest bit says whether it is fair. */
  componentOf(state: number): number {
    return (this.marks[state] as number) & ~1;
  }

  run(): void {
    for (let from = 0; from < this.order.length && !this.endless; ) {
      let end = from;
      while (end < this.order.length && this.componentOf(this.order[end] as number) === this.componentOf(this.order[from] as number)) end++;
      this.judge(this.order.subarray(from, end));
      from = end;
    }
  }

  private judge(component: Int32Array): void {
    const { most } = this;
    let best = 0;
    for (const state of component)
      for (const [choice, to] of this.stepsOf(state)) {
        if (this.isPending(to) && this.componentOf(to) === this.componentOf(state)) this.endless ||= this.counted[choice] === 1;
        else best = Math.max(best, this.through(choice, to));
      }
    for (const state of component) most[state] = best;
  }

  stepsOf(state: number): [choice: number, to: number][] {
    const count = this.graph.expand(state);
    return Array.from({ length: count }, (_, index) => [this.graph.choices[index] as number, this.graph.ends[index] as number]);
  }

  through(choice: number, to: number): number {
    return (this.counted[choice] as number) + (this.isPending(to) ? (this.most[to] as number) : 0);
  }

  /** A way from a state that takes the most, on to where nothing is counted any more. */
  wayFrom(start: number): number[] {
    const way: number[] = [];
    for (let state = start; this.isPending(state) && (this.most[state] as number) > 0; ) {
      const { choices, to } = this.leaving(state);
      way.push(...choices);
      state = to;
    }
    return way;
  }

  /** The shortest way within a component to a step out of it by which the most are taken. */
  private leaving(start: number): { choices: number[]; to: number } {
    const before = new Map<number, { state: number; choice: number }>([[start, { state: -1, choice: -1 }]]);
    for (const state of before.keys())
      for (const [choice, to] of this.stepsOf(state)) {
        const within = this.isPending(to) && this.componentOf(to) === this.componentOf(state);
        if (within && !before.has(to)) before.set(to, { state, choice });
        if (within || this.through(choice, to) !== this.most[start]) continue;
        const choices = [choice];
        for (let at = state; at !== start; at = before.get(at)?.state as number) choices.unshift(before.get(at)?.choice as number);
        return { choices, to };
      }
    return { choices: [], to: -1 };
  }
}

/**
 * Bounded response: how many steps of some kind there can be at most between the premise of an eventuality and what should come, over
 * all runs, fair or not. Steps of others are not counted: they may take as long as they like. Whether it comes at all is what the
 * eventuality itself says.
 *
 * @param property Name of an eventuality of the system.
 * @param counts Which choices are counted when they are taken: those of a CPU, of an actor.
 * @throws {UsageError} if the system has no such eventuality.
 */
export function longestResponse(system: System, property: string, counts: (choice: Choice) => boolean, limits: ExploreLimits = {}): Response {
  const spec = eventualityOf(system, property);
  const counted = Uint8Array.from(system.choices, (choice) => (counts(choice) ? 1 : 0));
  const explorer = new Explorer(system, { ...limits, stop: () => false });
  while (!explorer.finished) explorer.slice();
  const { limit } = explorer.result();
  const none = { steps: null, limit, pending: 0, schedule: [], stem: 0 };
  if (limit !== null) return none;
  const graph = new StateGraph(explorer.searched, explorer.states);
  const truths = new Truths(explorer.searched, spec);
  const marks = new Int32Array(graph.end);
  for (let state = 0; state < graph.end; state++) {
    const truth = truths.in(state);
    marks[state] = truth & reached ? outside : truth & premise ? begins : unseen;
  }
  const starts = Int32Array.from(marks.keys()).filter((state) => marks[state] === begins);
  const components = new Components(graph, marks, new Int32Array(0));
  while (!components.done) components.advance(graph.end);
  const longest = new Longest(graph, marks, counted);
  longest.run();
  if (longest.endless) return { ...none, pending: longest.pending };
  if (starts.length === 0) return { ...none, steps: 0 };
  const start = starts.reduce((best, state) => ((longest.most[state] as number) > (longest.most[best] as number) ? state : best));
  const stem = explorer.scheduleTo(start);
  return { steps: longest.most[start] as number, limit, pending: longest.pending, schedule: [...stem, ...longest.wayFrom(start)], stem: stem.length };
}
