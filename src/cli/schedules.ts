import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Subject } from '../check/check.js';
import type { Found } from '../format/violation.js';
import { LiveSystem } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';
import { isToken, parseToken, type Token } from '../schedule/token.js';
import { messageOf, ScheduleError, UsageError } from '../system/errors.js';
import { choiceAt, type System } from '../system/system.js';
import { isSystemError, systemMessage } from './failure.js';
import type { Io } from './io.js';
import { violationNow } from './violations.js';

function tokenIn(text: string, path: string): Token {
  if (isToken(text)) return parseToken(text);
  if (!text.startsWith('{'))
    throw new UsageError(`'${path}' holds no schedule: neither a token (it begins with 'sd1:') nor a document of 'show --format json'`);
  let document: { format?: unknown; token?: unknown };
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`'${path}' is not valid JSON: ${messageOf(error)}`);
  }
  if (document.format !== 'shootdown.schedule/1' || typeof document.token !== 'string')
    throw new UsageError(`'${path}' is JSON, but not a document of the format 'shootdown.schedule/1' with a token`);
  return parseToken(document.token);
}

/**
 * The schedule that a token, or a file with one in it (as text, or in a JSON document), stands for.
 * @throws {UsageError} when there is no such file, or no schedule in it. @throws {ScheduleError} for a damaged token.
 */
export function readSchedule(io: Io, tokenOrFile: string): Token {
  if (isToken(tokenOrFile)) return parseToken(tokenOrFile);
  let text: string;
  try {
    text = readFileSync(resolve(io.cwd, tokenOrFile), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new UsageError(`'${tokenOrFile}' is neither a schedule token (it begins with 'sd1:') nor a file`);
    throw new UsageError(`cannot read '${tokenOrFile}': ${isSystemError(error) ? systemMessage(error) : messageOf(error)}`);
  }
  return tokenIn(text.trim(), tokenOrFile);
}

/** What to say when a schedule was recorded on another model of what goes by the same name; null if it was not. */
export const changedSince = ({ name, digest }: Token, { id, system }: Subject): string | null =>
  name !== id || system.digest.startsWith(digest)
    ? null
    : `${id} has changed since this schedule was recorded (model ${digest}, now ${system.digest.slice(0, 8)}); running it all the same`;

/** A schedule as far as it could be run. */
export interface Played extends Replay {
  /** The first violation along the way, and the step (0: the start) after which it was there. */
  found: Found | null;
  foundAt: number;
  /** Why it does not go on; null if it fits to the end. */
  misfit: ScheduleError | null;
}

/** Notes the first violation of a run, if the run is at one now. `deadlock`: looks for one, and for a loop, which is costly. */
export function look(run: Played, deadlock: boolean): void {
  if (run.found) return;
  run.found = violationNow(run, { deadlock });
  run.foundAt = run.steps.length;
}

/** Runs a schedule live, as far as it fits. A deadlock and a loop are looked for at the end only. */
export function play(system: System, schedule: readonly number[]): Played {
  const live = new LiveSystem(system);
  const run: Played = { system, live, steps: [], found: null, foundAt: 0, misfit: null };
  look(run, false);
  for (const [at, index] of schedule.entries()) {
    try {
      run.steps.push(live.take(choiceAt(system, index, at + 1)));
    } catch (error) {
      if (!(error instanceof ScheduleError)) throw error;
      run.misfit = error;
      return run;
    }
    look(run, false);
  }
  look(run, true);
  return run;
}
