import type { Violation } from '../explore/explorer.js';
import { type LiveOptions, type LiveStep, LiveSystem } from '../live/live.js';
import { violatedBy } from '../property/property.js';
import { InternalError } from '../system/errors.js';
import { type Choice, choiceAt, type System } from '../system/system.js';
import { rests } from '../system/view.js';

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

/** Whether the last step entered a BUG state that violates the property. */
export const entersBug = ({ system, live }: Pick<Replay, 'system' | 'live'>, name: string): boolean =>
  live.bugs().some(({ tags }) => violatedBy(system.properties, tags).includes(name));

/**
 * Whether the live system, as it is now, violates the property (a BUG: whether one was entered in the last step). Of a
 * possibility a live run shows that its premise is met and that it is not reached here; that nothing further
 * reaches it is the explorer's word.
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

/**
 * Replays a counterexample and makes sure that it is one.
 * @throws {InternalError} when explorer and live run disagree.
 */
export function confirm(system: System, violation: Violation): Replay {
  let run: Replay;
  try {
    run = replay(system, violation.schedule);
  } catch (error) {
    throw new InternalError(
      `${system.id}: the counterexample of '${violation.property}' does not run live: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (!violatesNow(run, violation.property)) throw new InternalError(`${system.id}: the counterexample of '${violation.property}' does not violate it live`);
  return run;
}
