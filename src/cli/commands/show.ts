import { counterexampleOf } from '../../check/check.js';
import { propertyNamed } from '../../check/subject.js';
import { exploreAsync } from '../../explore/explorer.js';
import { count } from '../../format/text.js';
import { type Found, foundIn } from '../../format/violation.js';
import { confirm, type Replay } from '../../schedule/replay.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { FormatName, Given, LimitOptions } from '../options.js';
import { inFormats } from '../print.js';
import { Progress } from '../progress.js';
import { resolveOne, type Target } from '../resolve.js';
import { expectationAt } from '../violations.js';
import { exitCode, explored, limitsOf } from './check.js';

export interface ShowFlags extends LimitOptions {
  format: readonly FormatName[];
  property?: string;
  param?: Given;
}

/** What a search for one counterexample found. */
interface Search {
  found: Found | null;
  replay: Replay | null;
  exhausted: boolean;
  limit: string | null;
  states: number;
  code: number;
}

async function searchAny(context: Context, target: Target, flags: ShowFlags): Promise<Search> {
  const result = await explored(context, target, flags);
  const property = counterexampleOf(result);
  const { exhausted, limit, states } = result.exploration;
  return { found: property && foundIn(property), replay: property?.counterexample?.replay ?? null, exhausted, limit, states, code: exitCode([result]) };
}

async function searchFor({ io }: Context, target: Target, name: string, flags: ShowFlags): Promise<Search> {
  const { system } = target.subject;
  propertyNamed(target.subject, name);
  const progress = new Progress(io, target.subject.id);
  const exploration = await exploreAsync(system, {
    ...limitsOf(flags),
    signal: io.signal,
    progress: progress.tell,
    stop: (violated) => violated.has(name),
  }).finally(() => progress.end());
  const violation = exploration.properties.find((property) => property.name === name)?.violation ?? null;
  const { exhausted, limit, states } = exploration;
  const verdict = violation ? 'violated' : exhausted ? 'holds' : null;
  const expected = expectationAt(target, name);
  const code = verdict === null ? exitCodes.inconclusive : expected === null || expected === verdict ? exitCodes.asExpected : exitCodes.unexpected;
  const confirmed = violation && confirm(system, violation);
  const found = violation && { property: name, message: violation.message, lasso: confirmed?.lasso ?? null };
  return { found, replay: confirmed, exhausted, limit, states, code };
}

/** `show`: the shortest counterexample of one target. Returns the exit code: how the verdict compares with what is expected. */
export async function show(context: Context, what: string, flags: ShowFlags): Promise<number> {
  const { io } = context;
  const target = await resolveOne(context, what, flags.param ?? {}, 'show');
  const search = flags.property === undefined ? await searchAny(context, target, flags) : await searchFor(context, target, flags.property, flags);
  if (search.replay) io.stdout(inFormats({ target, replay: search.replay, found: search.found }, flags.format));
  else {
    const subject = flags.property === undefined ? target.subject.id : `${target.subject.id}: ${flags.property}`;
    io.stdout(
      search.exhausted
        ? `${subject} holds: no counterexample in ${count(search.states, 'state')}, which are all\n`
        : `${subject}: no counterexample in ${count(search.states, 'state')}, inconclusive (${search.limit === 'interrupted' ? '' : 'limit: '}${search.limit})\n`,
    );
  }
  return search.code;
}
