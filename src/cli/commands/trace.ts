import { resolve } from 'node:path';
import { fromEvent, takeUntil } from 'rxjs';
import { validationDocument, validationText } from '../../format/validation.js';
import { protocols } from '../../protocols/index.js';
import { UsageError } from '../../system/errors.js';
import { didYouMean } from '../../system/nearest.js';
import { traceLines } from '../../trace/read.js';
import { validate } from '../../trace/validate.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { LimitOptions } from '../options.js';
import { around } from './around.js';

export interface TraceFlags extends LimitOptions {
  as?: string;
  cpus?: number[];
  around?: number;
  lines?: number;
  explore?: boolean;
  json?: boolean;
  from?: number;
  to?: number;
  verbose?: boolean;
}

/** How to get a log in which there is something to check. */
const recordLine = (): string =>
  `trace-cmd record ${[...new Set(protocols.flatMap(({ events }) => events))].map((event) => `-e ${event}`).join(' ')}; trace-cmd report`;

/** `trace`: does the model allow what a running kernel did? */
export async function trace(context: Context, log: string, flags: TraceFlags): Promise<number> {
  const { io, palette } = context;
  const own = protocols.filter(({ id }) => flags.as === undefined || id === flags.as);
  const chosen = own.length > 0 ? own : protocols.filter(({ scenarios }) => scenarios?.includes(flags.as as string));
  if (chosen.length === 0) {
    const ids = [...new Set(protocols.flatMap(({ id, scenarios = [] }) => [id, ...scenarios]))];
    throw new UsageError(`there is no protocol or scenario '${flags.as}'${didYouMean(flags.as as string, ids)} (there are ${ids.join(', ')})`);
  }
  if (flags.from !== undefined && flags.to !== undefined && flags.to < flags.from) throw new UsageError(`option '--to' is before '--from'`);
  const { from, to, cpus } = flags;
  const alone = flags.around === undefined ? (['explore', 'lines'] as const) : (['from', 'to', 'cpus'] as const);
  for (const name of alone)
    if (flags[name] !== undefined)
      throw new UsageError(`option '--${name}' ${flags.around === undefined ? "needs '--around'" : "cannot be combined with '--around'"}`);
  const lines = traceLines(log === '-' ? io.stdin() : resolve(io.cwd, log), log === '-' ? 'standard input' : log);
  if (flags.around !== undefined) return around(context, log, lines, chosen, { ...flags, around: flags.around });
  const options = { ...(cpus === undefined ? {} : { cpus }), ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  const validation = await validate(lines.pipe(takeUntil(fromEvent(io.signal, 'abort'))), chosen, options);
  if (validation.read === 0) throw new UsageError(`'${log}' has no line of an ftrace log; record one with: ${recordLine()}`);
  if (flags.json) io.stdout(`${JSON.stringify(validationDocument(log, validation), null, 2)}\n`);
  else io.stdout(validationText(log, validation, palette, flags.verbose === true));
  if (validation.events === 0) io.stderr(`shootdown: '${log}' has no event that is looked at; record some with: ${recordLine()}\n`);
  return { accepted: exitCodes.asExpected, rejected: exitCodes.unexpected, inconclusive: exitCodes.inconclusive }[validation.verdict];
}
