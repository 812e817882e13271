import type { Subject } from '../check/check.js';
import { changedSince, type Played, play } from '../check/play.js';
import { judging } from '../property/judging.js';
import type { Property } from '../property/property.js';
import { isToken, parseToken } from '../schedule/token.js';
import { UsageError } from '../system/errors.js';
import type { System } from '../system/system.js';

/** A schedule, and what to say if it was recorded on another model of what goes by the same name. */
export interface Recorded {
  schedule: readonly number[];
  changed: string | null;
}

/** @throws {ScheduleError} for a damaged token. @throws {UsageError} for what is neither token nor schedule. */
export function recordedFrom(given: unknown, subject: Subject): Recorded {
  if (typeof given === 'string' && isToken(given)) {
    const token = parseToken(given);
    const changed = changedSince(token, subject);
    return { schedule: token.schedule, changed: changed && `${changed}.` };
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
export const playFor = (system: System, schedule: readonly number[], violating: Property | null): Played =>
  violating ? play(judgingOne(system, violating), schedule, (name) => name === violating.name) : play(system, schedule, null);
