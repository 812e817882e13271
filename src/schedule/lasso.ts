import type { AnyStateNode } from 'xstate';
import type { Assumption } from '../explore/explorer.js';
import type { Eventuality } from '../property/property.js';
import { nameOf } from '../system/logic.js';
import { type Choice, labelOf } from '../system/system.js';
import { type AnySnapshot, isMachineSnapshot, placeOf, rests } from '../system/view.js';
import { type Course, LiveCourse } from './course.js';
import type { Replay } from './replay.js';

/** Why a loop does not owe a fair choice, so that it may be repeated for ever. Steps are those of the schedule, counted from 1. */
export type Obligation = { choice: Choice } & (
  | {
      /** It is taken, and changes something. */
      why: 'taken';
      steps: readonly number[];
    }
  | {
      /** It is not possible there (`disabled`), or would change nothing there (`idle`). */
      why: 'disabled' | 'idle';
      /** After this step; the first such state of the loop. */
      after: number;
      /** Where the actor is then, in the parallel regions that could take the choice. */
      place: string;
      /** Whether it may stay there: it has finished, or is at rest. */
      rests: boolean;
    }
  | {
      /** It is possible all along, would change something all along, and is never taken: nobody has to wait for ever for this. */
      why: 'owed';
    }
);

/** A schedule that ends with steps that can be repeated for ever, and fairly so, without what should come. */
export interface JudgedLasso {
  /** Steps before the loop. */
  stem: number;
  /** Steps of the loop; 0: nothing fair is owed at the end, and the run stays as it is. */
  length: number;
  /** Of each fair choice of the system, in its order. None is owed. */
  obligations: readonly Obligation[];
  /** Each of them alone, assumed of every run, would make the property hold; null: nobody has searched for them. */
  cures: readonly Assumption[] | null;
  /** Assumptions that the search did not try. */
  untried: number;
}

/**
 * The state from which on there is none with what should come, if the premise was met there or later; null if nothing is open at the
 * end of the schedule.
 */
function openSince(course: Pick<Course, 'system' | 'taken' | 'snapshot'>, { actors, when = () => true, reach }: Eventuality): number | null {
  const read = course.system.actors.filter(({ address }) => actors.includes(address));
  let met = false;
  let at = course.taken.length;
  for (; at >= 0; at--) {
    const snapshots = Object.fromEntries(read.map((actor) => [actor.address, course.snapshot(actor, at)]));
    if (reach(snapshots)) break;
    met ||= when(snapshots);
  }
  return met ? at + 1 : null;
}

/** Whether the premise was met and what should come has not come, up to the end of the schedule. */
export const isOpen = (course: Pick<Course, 'system' | 'taken' | 'snapshot'>, property: Eventuality): boolean => openSince(course, property) !== null;

/** Where a loop that ends with the schedule may begin: the latest place first; the end itself (no loop) last. A loop in which nothing changes is none. */
function* stems(course: Course, since: number): Generator<number> {
  const end = course.taken.length;
  const last = course.key(end);
  let moved = false;
  for (let at = end - 1; at >= since; at--) {
    if (course.key(at) !== last) moved = true;
    else if (moved) yield at;
  }
  yield end;
}

/** Where an actor is, as far as it matters to a choice: of parallel regions those that could take it at all. */
function placeFor(snapshot: AnySnapshot, { event }: Choice): string {
  if (!isMachineSnapshot(snapshot)) return placeOf(snapshot);
  const takes = (node: AnyStateNode): boolean =>
    (node.parent?.type !== 'parallel' || node.events.includes(event.type)) && (node.parent === undefined || takes(node.parent));
  const places = snapshot._nodes.filter((node) => Object.keys(node.states).length === 0 && takes(node));
  return places.length > 0 ? places.map(nameOf).join(', ') : placeOf(snapshot);
}

/** Why the loop from state `stem` to the end of the schedule does not owe a fair choice, or that it does. */
function obligationOf(course: Course, choice: Choice, stem: number): Obligation {
  const end = course.taken.length;
  const taken: number[] = [];
  let idle: number | undefined;
  for (let at = stem; at < end; at++) {
    if (course.taken[at] !== choice) continue;
    if (course.key(at) !== course.key(at + 1)) taken.push(at + 1);
    else idle ??= at;
  }
  if (taken.length > 0) return { choice, why: 'taken', steps: taken };
  // Where no step is, the run stays in the one state that there is.
  const states = Array.from({ length: Math.max(end - stem, 1) }, (_, at) => stem + at);
  const at = (why: 'disabled' | 'idle', after: number): Obligation => {
    const snapshot = course.snapshot(choice.actor, after);
    return { choice, why, after, place: placeFor(snapshot, choice), rests: rests(snapshot) };
  };
  const disabled = states.find((state) => !course.isEnabled(choice, state));
  if (disabled !== undefined) return at('disabled', disabled);
  idle ??= states.find((state) => !course.changes(choice, state));
  return idle === undefined ? { choice, why: 'owed' } : at('idle', idle);
}

/** The same of every fair choice. */
const obligationsOf = (course: Course, stem: number): Obligation[] =>
  course.system.choices.filter(({ fair }) => fair).map((choice) => obligationOf(course, choice, stem));

/** Why a schedule is no lasso that violates an eventuality: in words that complete 'the counterexample ...'. */
export interface Refusal {
  refused: string;
}

/** Judges the loop that begins after `stem` steps. */
function judgeLoop(course: Course, since: number, stem: number): JudgedLasso | Refusal {
  const length = course.taken.length - stem;
  if (length < 0) return { refused: `has ${course.taken.length} steps, and its loop cannot begin after ${stem}` };
  if (course.key(stem) !== course.key(course.taken.length)) return { refused: `does not close: after its last step it is not as after step ${stem}` };
  if (stem < since) return { refused: `loops through the state after step ${since - 1}, in which what should come has come` };
  const obligations = obligationsOf(course, stem);
  const owed = obligations.find(({ why }) => why === 'owed');
  if (owed) return { refused: length > 0 ? `is not fair: its loop owes '${labelOf(owed.choice)}'` : `does not end there: '${labelOf(owed.choice)}' is owed` };
  return { stem, length, obligations, cures: null, untried: 0 };
}

/**
 * Judges the schedule of a course: whether it ends with a loop that violates the eventuality, and why that is fair. Without `stem` the
 * loop is looked for, the shortest first.
 */
export function judge(course: Course, property: Eventuality, stem?: number): JudgedLasso | Refusal {
  const since = openSince(course, property);
  if (since === null) return { refused: 'leaves nothing open: what should come has come, or its premise was not met' };
  if (stem !== undefined) return judgeLoop(course, since, stem);
  let last: Refusal = { refused: '' };
  for (const candidate of stems(course, since)) {
    const judged = judgeLoop(course, since, candidate);
    if (!('refused' in judged)) return judged;
    last = judged;
  }
  return last;
}

/** Judges a live run as {@link judge} does, from its schedule and what XState makes of it alone; null if it violates nothing. */
export function judgeLasso(run: Replay, property: Eventuality, stem?: number): JudgedLasso | null {
  const judged = judge(new LiveCourse(run), property, stem);
  return 'refused' in judged ? null : judged;
}
