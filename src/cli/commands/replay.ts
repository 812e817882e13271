import { changedSince, type Played, play } from '../../check/play.js';
import { violationText } from '../../format/violation.js';
import { ScheduleError } from '../../system/errors.js';
import type { Context } from '../context.js';
import type { FormatName } from '../options.js';
import { inFormats } from '../print.js';
import { resolveOne } from '../resolve.js';
import { readSchedule } from '../schedules.js';
import { leftOpen } from '../violations.js';
import { codeFor } from './run.js';

/** What the last line says: the violation, and where it was if not at the end. */
function ending(played: Played): string | null {
  const { system, steps, found, foundAt } = played;
  if (!found) return `nothing violated${leftOpen(played)}`;
  const text = violationText(system, found);
  return foundAt === steps.length ? text : `after step ${foundAt}: ${text}`;
}

/**
 * `replay`: runs a recorded schedule live and prints it. Returns the exit code.
 * @throws {ScheduleError} when it does not fit the model any more, after printing the steps that did.
 */
export async function replay(context: Context, tokenOrFile: string, { format }: { format: readonly FormatName[] }): Promise<number> {
  const { io, note } = context;
  const token = readSchedule(io, tokenOrFile);
  const target = await resolveOne(context, token.name, token.parameters, 'replay');
  const changed = changedSince(token, target.subject);
  if (changed !== null) note(`${changed}; running it all the same`);
  const played = play(target.subject.system, token.schedule);
  io.stdout(inFormats({ target, replay: played, found: played.found, ending: played.misfit ? null : ending(played) }, format));
  if (played.misfit)
    throw new ScheduleError(
      `the schedule does not fit ${target.subject.id}${changed === null ? '' : ' any more'}: ${played.misfit.message}`,
      played.misfit.step,
    );
  return codeFor(target, played.found);
}
