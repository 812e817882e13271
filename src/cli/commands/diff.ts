import { diff as differenceOf } from '../../check/diff.js';
import { diffJson, diffText } from '../../format/diff.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { Given, LimitOptions } from '../options.js';
import { Progress } from '../progress.js';
import { resolveOne } from '../resolve.js';
import { limitsOf } from './check.js';

export interface DiffFlags extends LimitOptions {
  all?: boolean;
  json?: boolean;
  param?: Given;
}

/** `diff`: what two systems have and do otherwise. Returns the exit code. */
export async function diff(context: Context, a: string, b: string, flags: DiffFlags): Promise<number> {
  const { io, palette } = context;
  const given = flags.param ?? {};
  const targets = [await resolveOne(context, a, given, 'diff'), await resolveOne(context, b, given, 'diff')] as const;
  const progress = new Progress(io, targets.map(({ subject }) => subject.id).join(', '));
  const [{ subject: subjectA }, { subject: subjectB }] = targets;
  const difference = await differenceOf(subjectA, subjectB, {
    ...limitsOf(flags),
    signal: io.signal,
    progress: (_, explorer) => progress.tell(explorer),
  }).finally(() => progress.end());
  io.stdout(flags.json ? diffJson(difference) : diffText(difference, { palette, all: flags.all ?? false }));
  return difference.a.exploration.limit === null && difference.b.exploration.limit === null ? exitCodes.asExpected : exitCodes.inconclusive;
}
