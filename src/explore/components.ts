import type { StateGraph } from './graph.js';
import { Ints } from './ints.js';

/** Marks of states on which a search for components has not been yet: from `begins` it begins. Marks of others are positive. */
export const unseen = 0;
export const begins = -1;
/** No state of the part of the graph that is searched. */
export const outside = 0x7ffffffe;
/** The mark of the states of the first component; the following are less by two each. Those of a fair component are odd: one more. */
const firstComponent = 0x7ffffffc;

/** In place of a choice: there is none left to look at. */
const noMore = 0xffff;

/** Whether a mark, as a search leaves it, is that of a state of a fair component. */
export const isFair = (mark: number): boolean => (mark & 1) === 1;

/**
 * Finds the strongly connected components of a part of the state graph, and which of them are fair: a run that stays in one, or in one
 * of its states if nothing is owed there, can be weakly fair to every choice. That is so when each fair choice is not owed in some state
 * of it (impossible there, or without effect), or leads from some state of it to another.
 *
 * Pearce's variant of Tarjan's algorithm ("A space-efficient algorithm for finding strongly connected components", 2016), with stacks of
 * its own: 4 bytes a state for the marks, and at most 8 for those on the way.
 */
export class Components {
  done = false;
  /** States gone through. */
  seen = 0;
  /** The states of fair components, one component after the other. */
  readonly fair: Ints;
  /** The way from where the search began, and per state of it: the next choice to look at, and in the lowest bit whether the state is known not to be its component's first. */
  private readonly way: Ints;
  private readonly next: Ints;
  /** States that were left, and belong to components that are not complete. */
  private readonly left: Ints;
  private at = 0;
  /** States that were not seen yet. */
  private ahead = 0;
  private component = firstComponent;
  /** Of the component that is complete and being judged: where it begins among those that were left, which of its states comes next, the fair choices that are owed so far. */
  private from = -1;
  private member = 0;
  private readonly owed: Int32Array;
  private owing = 0;

  /**
   * @param marks Per state {@link unseen}, {@link begins} or {@link outside}; the search leaves the mark of its component in each state that it saw.
   * @param fairChoices The numbers of the fair choices.
   * @param without A choice whose steps do not count; -1: none. No fair one.
   */
  constructor(
    private readonly graph: StateGraph,
    private readonly marks: Int32Array,
    private readonly fairChoices: Int32Array,
    private readonly without = -1,
  ) {
    this.fair = new Ints(graph.end);
    this.way = new Ints(graph.end);
    this.next = new Ints(graph.end);
    this.left = new Ints(graph.end);
    this.owed = new Int32Array(fairChoices.length);
    for (let state = 0; state < graph.end; state++) if ((marks[state] as number) <= unseen) this.ahead++;
  }

  /** The marks are not counted. */
  get bytes(): number {
    return this.fair.bytes + this.way.bytes + this.next.bytes + this.left.bytes;
  }

  /** Goes on by about so many states, and returns how many it were. */
  advance(states: number): number {
    let spent = 0;
    while (spent < states && !this.done) {
      if (this.from >= 0) spent += this.judge(states - spent);
      else if (this.way.length > 0) spent += this.go(states - spent);
      else spent += this.begin(states - spent);
    }
    return spent;
  }

  private begin(states: number): number {
    const { marks, graph } = this;
    const start = this.at;
    const end = Math.min(start + states, graph.end);
    while (this.at < end && marks[this.at] !== begins) this.at++;
    if (this.at < end) this.enter(this.at);
    else this.done = end === graph.end;
    return this.at - start + 1;
  }

  private enter(state: number): void {
    this.marks[state] = ++this.seen;
    this.ahead--;
    this.way.push(state);
    this.next.push(0);
  }

  /** Goes on along steps, until so many states were entered or left, or a component is complete. */
  private go(states: number): number {
    const { graph, marks, way, next, without } = this;
    const { choices, ends } = graph;
    let spent = 0;
    while (way.length > 0 && spent < states && this.from < 0) {
      const top = way.length - 1;
      const state = way.items[top] as number;
      let mark = marks[state] as number;
      let later = (next.items[top] as number) & 1;
      let into = -1;
      let then = noMore;
      // Where all states were seen, and it is known that the component goes back to where the search began, the rest of the steps is no news.
      const known = this.ahead === 0 && mark === marks[way.items[0] as number];
      const count = known ? 0 : graph.expand(state, (next.items[top] as number) >>> 1);
      for (let index = 0; index < count; index++) {
        if (choices[index] === without) continue;
        const to = ends[index] as number;
        const other = marks[to] as number;
        if (other <= unseen) {
          if (into >= 0) {
            then = choices[index] as number;
            break;
          }
          into = to;
        } else if (other < mark) {
          mark = other;
          later = 1;
        }
      }
      marks[state] = mark;
      spent++;
      if (into >= 0) {
        next.items[top] = (then << 1) | later;
        this.enter(into);
      } else this.leave(state, later === 1);
    }
    return spent;
  }

  private leave(state: number, later: boolean): void {
    const { marks, way, next, left } = this;
    const mark = marks[state] as number;
    const top = --way.length - 1;
    next.length--;
    left.push(state);
    if (later) {
      const before = way.items[top] as number;
      if (mark >= (marks[before] as number)) return;
      marks[before] = mark;
      next.items[top] = (next.items[top] as number) | 1;
      return;
    }
    let from = left.length - 1;
    while (from > 0 && (marks[left.items[from - 1] as number] as number) >= mark) from--;
    for (let index = from; index < left.length; index++) marks[left.items[index] as number] = this.component;
    this.from = from;
    this.member = from;
    this.owed.set(this.fairChoices);
    this.owing = this.owed.length;
  }

  /** Looks for what is owed all over a component. */
  private judge(states: number): number {
    const { left, owed } = this;
    const start = this.member;
    const end = Math.min(start + states, left.length);
    for (; this.member < end && this.owing > 0; this.member++) {
      const state = left.items[this.member] as number;
      for (let index = this.owing - 1; index >= 0; index--) if (!this.isOwed(state, owed[index] as number)) owed[index] = owed[--this.owing] as number;
    }
    if (this.owing === 0) this.keep();
    if (this.owing === 0 || this.member === left.length) {
      left.length = this.from;
      this.from = -1;
      this.component -= 2;
    }
    return this.member - start;
  }

  /** Whether a choice is owed in a state of the component, and does not stay within it. */
  private isOwed(state: number, choice: number): boolean {
    const { graph, marks, component } = this;
    if (!graph.owes(state, choice)) return false;
    if (this.left.length === this.from + 1) return true;
    const to = graph.after(state, choice);
    return to < 0 || marks[to] !== component;
  }

  private keep(): void {
    const { left, marks, fair, component } = this;
    for (let index = this.from; index < left.length; index++) {
      const state = left.items[index] as number;
      marks[state] = component + 1;
      fair.push(state);
    }
  }
}
