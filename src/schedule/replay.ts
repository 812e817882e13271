import type { Lasso, Violation } from '../explore/explorer.js';
import { type LiveOptions, type LiveStep, LiveSystem } from '../live/live.js';
import { type Eventuality, violatedBy } from '../property/property.js';
import { InternalError } from '../system/errors.js';
import { type Choice, choiceAt, type System } from '../system/system.js';
import { rests } from '../system/view.js';
import { LiveCourse } from './course.js';
import { type JudgedLasso, judge, judgeLasso } from './lasso.js';

/** A schedule as it ran live. */
export interface Replay {
  system: System;
  steps: LiveStep[];
  live: LiveSystem;
}

/**
 * Replays a schedule (choice numbers) on live XState.
 * @throws {ScheduleError} with the step at which it does not fit.
 */
export function replay(system: System, schedule: readonly number[], options: LiveOptions = {}): Replay {
  const live = new LiveSystem(system, options);
  const steps = schedule.map((index, at) => live.take(choiceAt(system, index, at + 1)));
  return { system, steps, live };
}

/** A counterexample as it ran live. */
export interface Confirmed extends Replay {
  /** Of an eventuality: why it goes on for ever, and fairly so. */
  lasso: JudgedLasso | null;
}

/** Whether the last step entered a BUG state that violates the property. */
export const entersBug = ({ system, live }: Pick<Replay, 'system' | 'live'>, name: string): boolean =>
  live.bugs().some(({ tags }) => violatedBy(system.properties, tags).includes(name));

/**
 * Whether the live system, as it is now, violates the property (a BUG: whether one was entered in the last step). Of a
 * possibility a live run shows that its premise is met and that it is not reached here; that nothing further
 * reaches it is the explorer's word. An eventuality is violated by a run that can repeat its last steps for ever, which is
 * costly to find out.
 */
export function violatesNow({ system, live, steps }: Replay, name: string): boolean {
  const property = system.properties.find((candidate) => candidate.name === name);
  if (entersBug({ system, live }, name)) return true;
  switch (property?.kind) {
    case 'invariant': {
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
      return (property.when?.(snapshots) ?? true) && !property.holds(snapshots);
    }
    case 'possibility': {
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
      return property.when(snapshots) && !property.reach(snapshots);
    }
    case 'eventuality':
      return judgeLasso({ system, live, steps }, property) !== null;
    case 'deadlock': {
      const moves = live.enabled().some((choice) => choice.fair && changes(system, steps, choice.index));
      return !moves && system.actors.some(({ path, address }) => path && !rests(live.snapshot(address)));
    }
    default:
      return false;
  }
}

/** Whether a choice after these steps changes any state: tried on a fresh run, since a live system cannot go back. */
function changes(system: System, steps: readonly LiveStep[], choice: number): boolean {
  const { live } = replay(
    system,
    steps.map((step) => step.choice.index),
  );
  const before = live.identity().join('\n');
  live.take(system.choices[choice] as Choice);
  const after = live.identity().join('\n');
  live.stop();
  return before !== after;
}

/** The lasso of a counterexample as live XState judges it. @throws {InternalError} when it is none. */
function confirmLasso(run: Replay, property: Eventuality, { stem, cures, untried }: Lasso): JudgedLasso {
  const judged = judge(new LiveCourse(run), property, stem);
  if ('refused' in judged) throw new InternalError(`${run.system.id}: the counterexample of '${property.name}' does not violate it live: it ${judged.refused}`);
  return { ...judged, cures, untried };
}

/**
 * Replays a counterexample and makes sure that it is one.
 * @throws {InternalError} when explorer and live run disagree.
 */
export function confirm(system: System, { property: name, schedule, lasso }: Violation): Confirmed {
  let run: Replay;
  try {
    run = replay(system, schedule);
  } catch (error) {
    throw new InternalError(`${system.id}: the counterexample of '${name}' does not run live: ${error instanceof Error ? error.message : String(error)}`);
  }
  const property = system.properties.find((candidate) => candidate.name === name);
  if (lasso && property?.kind === 'eventuality') return { ...run, lasso: confirmLasso(run, property, lasso) };
  // Without a lasso it is a BUG state that violates an eventuality.
  const violated = property?.kind === 'eventuality' ? entersBug(run, name) : violatesNow(run, name);
  if (!violated) throw new InternalError(`${system.id}: the counterexample of '${name}' does not violate it live`);
  return { ...run, lasso: null };
}
