import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Observable, takeWhile } from 'rxjs';
import { changedSince, look, type Played, play, violationNow } from '../../check/play.js';
import { count } from '../../format/text.js';
import { type Found, violationText } from '../../format/violation.js';
import { type InspectorServer, startInspector } from '../../inspect/server.js';
import { steer } from '../../inspect/steer.js';
import { LiveSystem } from '../../live/live.js';
import { randomChoices, roundRobin } from '../../live/strategies.js';
import { isToken, type Token } from '../../schedule/token.js';
import { messageOf, UsageError } from '../../system/errors.js';
import { didYouMean } from '../../system/nearest.js';
import type { Choice } from '../../system/system.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { Given } from '../options.js';
import { inFormats, tokenFor } from '../print.js';
import { resolveOne, type Target } from '../resolve.js';
import { readSchedule } from '../schedules.js';
import { expectationAt, leftOpen } from '../violations.js';
import { builtPage, type Page, portIn, type ServeFlags, untilInterrupted } from './inspect.js';

export interface RunFlags extends ServeFlags {
  schedule: string;
  /** Default: 1000, or as many as a recorded schedule has. */
  steps?: number;
  param?: Given;
  /** Whether the run goes on in the inspector. */
  inspect?: boolean;
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
function runLive(target: Target, choose: (live: LiveSystem, steps: number) => Observable<Choice>, steps: number): Played {
  const { system } = target.subject;
  const live = new LiveSystem(system);
  const run: Played = { system, live, steps: [], found: null, foundAt: 0, misfit: null };
  const noting = live.steps.subscribe((step) => run.steps.push(step));
  const goesWell = (): boolean => {
    run.found = violationNow(run, { deadlock: false });
    return run.found === null;
  };
  live.run(choose(live, steps).pipe(takeWhile(goesWell)));
  noting.unsubscribe();
  run.found ??= violationNow(run, { deadlock: true });
  run.foundAt = run.steps.length;
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
  if (changed !== null) note(`${changed}; running it all the same`);
  return token;
}

/** The exit code for a schedule along which `found` was violated. */
export const codeFor = (target: Target, found: Found | null): number =>
  found && expectationAt(target, found.property) === 'holds' ? exitCodes.unexpected : exitCodes.asExpected;

/** Lets a run go on in the inspector until Ctrl-C; prints all of it once more if it did. */
async function goOn(context: Context, target: Target, run: Played, server: InspectorServer, flags: ServeFlags): Promise<void> {
  const { io, note } = context;
  const ownSteps = run.steps.length;
  steer(run, server.local(target.subject.id), { version: io.version, onStep: () => look(run, false), onRefusal: (error) => note(messageOf(error)) });
  await untilInterrupted(context, server, flags);
  if (run.steps.length === ownSteps) return;
  look(run, true);
  io.stdout(`\n${report(target, run, run.found && run.foundAt < run.steps.length ? `after step ${run.foundAt}: ` : '')}`);
}

/** What was run, how it ended, and how to run it again. */
function report(target: Target, run: Played, when = ''): string {
  const { found, steps, live, system } = run;
  const stopped = live.enabled().length === 0 ? ', after which nothing more can happen' : '';
  const ending = found ? `${when}${violationText(system, found)}` : `nothing violated in ${count(steps.length, 'step')}${stopped}${leftOpen(run)}`;
  const shown = { target, replay: run, found, ending, fold: false };
  return `${inFormats(shown, ['columns'])}\nshootdown replay '${tokenFor(shown)}'\n`;
}

function refuseWithout({ inspect, port, open }: RunFlags): void {
  if (inspect) return;
  if (port !== undefined) throw new UsageError("option '--port' needs '--inspect'");
  if (!open) throw new UsageError("option '--no-open' needs '--inspect'");
}

/** `run`: runs one target live under a scheduler, and says whether anything was violated along the way. Returns the exit code. */
export async function run(context: Context, what: string, flags: RunFlags, page: Page = () => builtPage()): Promise<number> {
  refuseWithout(flags);
  const target = await resolveOne(context, what, flags.param ?? {}, 'run');
  const scheduler = schedulerOf(flags.schedule);
  // What is wrong with the call is said before anything runs.
  const recorded = scheduler ? null : recordedSchedule(context, flags.schedule, target).schedule.slice(0, flags.steps);
  const server = flags.inspect ? await startInspector({ html: page(), ...portIn(flags) }) : null;
  try {
    const played = scheduler ? runLive(target, scheduler, flags.steps ?? defaultSteps) : play(target.subject.system, recorded ?? []);
    context.io.stdout(report(target, played));
    if (played.misfit) throw played.misfit;
    if (server) await goOn(context, target, played, server, flags);
    return codeFor(target, played.found);
  } finally {
    await server?.close();
  }
}
