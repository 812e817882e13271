import { begins, Components, outside } from './components.js';
import type { StateGraph } from './graph.js';
import type { Pace } from './loop.js';
import type { Assumption } from './watch.js';

/** What is known of the fair components and one choice. */
interface Candidate {
  choice: number;
  /** In some component it is taken: it leads from one of its states to another. */
  takenInOne: boolean;
  takenInAll: boolean;
  /** In each component it is owed in some state. */
  owedInAll: boolean;
  /** It is owed in every state of all components. */
  owedAllOver: boolean;
}

/**
 * Finds the assumptions each of which, made of every run, leaves none that stays in fair components; see {@link Assumption}. Such a run
 * stays in a component that was fair before, so no other states have to be looked at; and often none at all: where a choice is weakly fair
 * that was not, the components stay what they are, and so they do under each assumption that says nothing of some component.
 */
export class Cures {
  /** In the order of the choices. */
  readonly found: Assumption[] = [];
  /** Assumptions that were not tried. */
  untried = 0;
  private search: Components | null = null;

  /**
   * @param marks As the search for components left them. They are used up.
   * @param states The states of the fair components, one component after the other.
   * @param most States that may be gone through anew, for all assumptions together.
   */
  constructor(
    private readonly graph: StateGraph,
    private readonly marks: Int32Array,
    private readonly states: Int32Array,
    private readonly fair: Uint8Array,
    private readonly fairChoices: Int32Array,
    private readonly pace: Pace,
    private most: number,
  ) {}

  get bytes(): number {
    return this.search?.bytes ?? 0;
  }

  *run(): Generator<void, void> {
    for (const candidate of yield* this.candidates()) {
      const { choice } = candidate;
      if (this.fair[choice] === 0) {
        if (!candidate.takenInOne && candidate.owedAllOver) this.found.push({ kind: 'weak', choice });
        else if (candidate.takenInAll && (yield* this.isCure({ kind: 'finite', choice }))) this.found.push({ kind: 'finite', choice });
      } else if (!candidate.takenInOne && candidate.owedInAll && (yield* this.isCure({ kind: 'strong', choice }))) this.found.push({ kind: 'strong', choice });
    }
  }

  /** The choices whose assumptions can make a difference to every fair component. */
  private *candidates(): Generator<void, Candidate[]> {
    const { states, marks, pace, fair } = this;
    let open = [...fair.keys()].map((choice) => ({ choice, takenInOne: false, takenInAll: true, owedInAll: true, owedAllOver: true }));
    for (let from = 0, to = 0; from < states.length && open.length > 0; from = to) {
      const seen = open.map((candidate) => ({ candidate, taken: false, owed: false }));
      for (; to < states.length && marks[states[to] as number] === marks[states[from] as number]; to++) {
        for (const each of seen) this.look(states[to] as number, each);
        if (--pace.left <= 0) yield;
      }
      for (const { candidate, taken, owed } of seen) {
        candidate.takenInAll &&= taken;
        candidate.owedInAll &&= owed;
      }
      open = open.filter(({ choice, takenInOne, takenInAll, owedInAll, owedAllOver }) =>
        fair[choice] === 1 ? !takenInOne && owedInAll : takenInAll || (!takenInOne && owedAllOver),
      );
    }
    return open;
  }

  private look(state: number, each: { candidate: Candidate; taken: boolean; owed: boolean }): void {
    const { graph, marks } = this;
    const { candidate } = each;
    const { choice } = candidate;
    // Then nothing more can be learnt of it in this component.
    if (each.taken) return;
    if (!graph.owes(state, choice)) {
      candidate.owedAllOver = false;
      return;
    }
    each.owed = true;
    const to = graph.after(state, choice);
    if (to < 0 || marks[to] !== marks[state]) return;
    each.taken = true;
    candidate.takenInOne = true;
  }

  /** Searches the fair components again, without what the assumption excludes. */
  private *isCure({ kind, choice }: Assumption): Generator<void, boolean> {
    const { graph, marks, states, pace } = this;
    // What was not tried is told, even if it would have been cheap.
    if (this.untried > 0 || states.length > this.most) {
      this.untried++;
      return false;
    }
    marks.fill(outside);
    for (const state of states) {
      if (kind === 'finite' || !graph.owes(state, choice)) marks[state] = begins;
      if (--pace.left <= 0) yield;
    }
    const search = new Components(graph, marks, this.fairChoices, kind === 'finite' ? choice : -1);
    this.search = search;
    while (!search.done && search.fair.length === 0) {
      pace.left -= search.advance(pace.left);
      if (pace.left <= 0) yield;
    }
    this.most -= search.seen;
    this.search = null;
    return search.fair.length === 0;
  }
}
