import type { Subject } from '../check/check.js';
import { violationNow } from '../cli/violations.js';
import type { Found } from '../format/violation.js';
import { LiveSystem } from '../live/live.js';
import type { Property } from '../property/property.js';
import type { Replay } from '../schedule/replay.js';
import { isToken, parseToken } from '../schedule/token.js';
import { ScheduleError, UsageError } from '../system/errors.js';
import { choiceAt, type System } from '../system/system.js';
import { judging } from './subject.js';

/** A recorded schedule as far as it ran. */
export interface Played extends Replay {
  /** Where and why it does not go on; null if it fits to the end. */
  misfit: ScheduleError | null;
  /** The property asked for, if it was violated. */
  found: Found | null;
}

/** A schedule, and what to say if it was recorded on another model of what goes by the same name. */
export interface Recorded {
  schedule: readonly number[];
  changed: string | null;
}

/** @throws {ScheduleError} for a damaged token. @throws {UsageError} for what is neither token nor schedule. */
export function recordedFrom(given: unknown, { id, system }: Subject): Recorded {
  if (typeof given === 'string' && isToken(given)) {
    const { name, digest, schedule } = parseToken(given);
    const changed =
      name === id && !system.digest.startsWith(digest)
        ? `${id} has changed since this schedule was recorded (model ${digest}, now ${system.digest.slice(0, 8)}).`
        : null;
    return { schedule, changed };
  }
  if (Array.isArray(given) && given.every((index) => Number.isInteger(index))) return { schedule: given as number[], changed: null };
  const what = typeof given === 'string' ? `'${given}'` : Array.isArray(given) ? 'a list with something else in it' : String(given);
  throw new UsageError(`toReplay takes a token (it begins with 'sd1:') or a schedule (a list of choice numbers), not ${what}`);
}

/** The system in which one property alone is judged. Those that BUG states name beside `BUG` are still told from it. */
function judgingOne(system: System, asked: Property): System {
  const others = judging(system, []).properties.filter(({ kind, name }) => kind === 'bug' && name !== asked.name);
  return { ...system, properties: asked.name === 'BUG' ? [asked, ...others] : [asked] };
}

/** Runs a schedule live as far as it fits. An invariant or a BUG is looked for at every step, any other property at the end. */
export function play(system: System, schedule: readonly number[], violating: Property | null): Played {
  const judged = violating ? judgingOne(system, violating) : system;
  const live = new LiveSystem(judged);
  const run: Played = { system: judged, live, steps: [], misfit: null, found: null };
  const look = (atEnd: boolean): void => {
    if (!violating || run.found) return;
    const found = violationNow(run, { deadlock: atEnd });
    if (found?.property === violating.name) run.found = found;
  };
  look(false);
  for (const [at, index] of schedule.entries()) {
    try {
      run.steps.push(live.take(choiceAt(system, index, at + 1)));
    } catch (error) {
      if (!(error instanceof ScheduleError)) throw error;
      run.misfit = error;
      return run;
    }
    look(false);
  }
  look(true);
  return run;
}
