import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Observable, takeWhile } from 'rxjs';
import { count } from '../../format/text.js';
import { type Found, violationText } from '../../format/violation.js';
import { LiveSystem } from '../../live/live.js';
import { randomChoices, roundRobin } from '../../live/strategies.js';
import type { Replay } from '../../schedule/replay.js';
import { isToken, type Token } from '../../schedule/token.js';
import { UsageError } from '../../system/errors.js';
import { didYouMean } from '../../system/nearest.js';
import type { Choice } from '../../system/system.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { Given } from '../options.js';
import { inFormats, tokenFor } from '../print.js';
import { resolveOne, type Target } from '../resolve.js';
import { changedSince, play, readSchedule } from '../schedules.js';
import { expectationAt, violationNow } from '../violations.js';

export interface RunFlags {
  schedule: string;
  /** Default: 1000, or as many as a recorded schedule has. */
  steps?: number;
  param?: Given;
}

const defaultSteps = 1000;
/** A scheduler that decides as it goes; null for what names a recorded schedule. */
function schedulerOf(text: string): ((live: LiveSystem, steps: number) => Observable<Choice>) | null {
  if (text === 'round-robin') return roundRobin;
  const [, seed] = /^random(?::(.*))?$/.exec(text) ?? [];
  if (seed === undefined && text !== 'random') return null;
  if (!/^\d{1,10}$/.test(seed ?? '') || Number(seed) > 0xffffffff)
    throw new UsageError(`'${text}' needs a seed, a whole number from 0 to 4294967295: 'random:1'`);
  return (live, steps) => randomChoices(live, Number(seed), steps);
}

/** Runs until something is violated, nothing more can happen, or the steps are used up. */
function runLive(target: Target, choose: (live: LiveSystem, steps: number) => Observable<Choice>, steps: number): Replay & { found: Found | null } {
  const { system } = target.subject;
  const live = new LiveSystem(system);
  const run: Replay & { found: Found | null } = { system, live, steps: [], found: null };
  live.steps.subscribe((step) => run.steps.push(step));
  const goesWell = (): boolean => {
    run.found = violationNow(run, { deadlock: false });
    return run.found === null;
  };
  live.run(choose(live, steps).pipe(takeWhile(goesWell)));
  run.found ??= violationNow(run, { deadlock: true });
  return run;
}

/** @throws {UsageError} for what is no schedule at all. */
function recordedSchedule({ io, note }: Context, text: string, target: Target): Token {
  if (!isToken(text) && !existsSync(resolve(io.cwd, text)))
    throw new UsageError(
      `'${text}' is no schedule${didYouMean(text.split(':')[0] as string, ['random', 'round-robin'])} (it takes random:SEED, round-robin, a token or a file)`,
    );
  const token = readSchedule(io, text);
  const changed = changedSince(token, target.subject);
  if (changed !== null) note(changed);
  return token;
}

/** The exit code for a schedule along which `found` was violated. */
export const codeFor = (target: Target, found: Found | null): number =>
  found && expectationAt(target, found.property) === 'holds' ? exitCodes.unexpected : exitCodes.asExpected;

/** `run`: runs one target live under a scheduler, and says whether anything was violated along the way. Returns the exit code. */
export async function run(context: Context, what: string, flags: RunFlags): Promise<number> {
  const { io } = context;
  const target = await resolveOne(context, what, flags.param ?? {}, 'run');
  const scheduler = schedulerOf(flags.schedule);
  const played = scheduler
    ? { ...runLive(target, scheduler, flags.steps ?? defaultSteps), misfit: null }
    : play(target.subject.system, recordedSchedule(context, flags.schedule, target).schedule.slice(0, flags.steps));
  const { found, steps, live } = played;
  const stopped = live.enabled().length === 0 ? ', after which nothing more can happen' : '';
  const ending = found ? violationText(played.system, found) : `nothing violated in ${count(steps.length, 'step')}${stopped}`;
  const shown = { target, replay: played, found, ending, fold: false };
  io.stdout(`${inFormats(shown, ['columns'])}\nshootdown replay '${tokenFor(shown)}'\n`);
  if (played.misfit) throw played.misfit;
  return codeFor(target, found);
}
