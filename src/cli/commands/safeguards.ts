import { safeguards as texts } from '../../../machines/safeguards.js';
import { type Safeguard, type SafeguardTrials, safeguardsOf, trySafeguards } from '../../check/safeguards.js';
import { safeguardsJson, safeguardsText } from '../../format/safeguards.js';
import { expectedVerdict } from '../../scenarios/scenario.js';
import { UsageError } from '../../system/errors.js';
import { didYouMean } from '../../system/nearest.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import { fits, isGlob } from '../glob.js';
import type { Given, LimitOptions } from '../options.js';
import { Progress } from '../progress.js';
import { resolveOne, type Target } from '../resolve.js';
import { limitsOf } from './check.js';

export interface SafeguardsFlags extends LimitOptions {
  of?: string;
  only?: string;
  guards?: boolean;
  json?: boolean;
  param?: Given;
}

/** A scenario stands for the first of its variants that is expected to hold. */
async function targetOf(context: Context, what: string, { of, param = {} }: SafeguardsFlags): Promise<Target> {
  const scenario = context.scenarios.find(({ id }) => id === what);
  if (!scenario) {
    if (of !== undefined) throw new UsageError(`option '--of' chooses a variant of a scenario, and '${what}' is not one`);
    return resolveOne(context, what, param, 'safeguards');
  }
  const variant = of ?? scenario.variants.find((one) => expectedVerdict(one) === 'holds')?.id;
  if (variant === undefined) throw new UsageError(`scenario '${what}' has no variant that is expected to hold; choose one with '--of'`);
  return resolveOne(context, `${what}/${variant}`, param, 'safeguards');
}

const nameOf = ({ machine, name }: Safeguard): string => `${machine}.${name}`;

/** What `--only` says of a safeguard. @throws {UsageError} where nothing is left. */
function chosen({ subject }: Target, { only, guards = false }: SafeguardsFlags): (safeguard: Safeguard) => boolean {
  const all = safeguardsOf(subject.system, texts, guards);
  if (all.length === 0)
    throw new UsageError(
      guards ? `${subject.id}: its machines have no named guards` : `${subject.id}: its machines name no safeguards; '--guards' takes out every named guard`,
    );
  const wanted = (safeguard: Safeguard): boolean => only === undefined || (isGlob(only) ? fits(only, nameOf(safeguard)) : nameOf(safeguard) === only);
  if (!all.some(wanted)) throw new UsageError(`${subject.id} has no ${guards ? 'guard' : 'safeguard'} '${only}'${didYouMean(only ?? '', all.map(nameOf))}`);
  return wanted;
}

const isLimited = ({ reference, trials, untried }: SafeguardTrials): boolean =>
  reference.exploration.limit !== null || untried.length > 0 || trials.some(({ limit }) => limit !== null);

/** `safeguards`: what breaks without which safeguard. Returns the exit code. */
export async function safeguards(context: Context, what: string, flags: SafeguardsFlags): Promise<number> {
  const { io, palette } = context;
  const target = await targetOf(context, what, flags);
  const wanted = chosen(target, flags);
  const progress = new Progress(io, target.subject.id);
  const answered = await trySafeguards(target.subject, {
    ...limitsOf(flags),
    texts,
    wanted,
    all: flags.guards ?? false,
    signal: io.signal,
    progress: (_, explorer) => progress.tell(explorer),
  }).finally(() => progress.end());
  io.stdout(flags.json ? safeguardsJson(answered) : safeguardsText(answered, { palette, width: io.columns }));
  return isLimited(answered) ? exitCodes.inconclusive : exitCodes.asExpected;
}
