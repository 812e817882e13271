import { type CheckResult, check as checkSubject, counterexampleOf } from '../../check/check.js';
import { lengthText } from '../../format/lasso.js';
import { summarise } from '../../format/outcome.js';
import { receipt } from '../../format/receipt.js';
import { checkDocument } from '../../format/report.js';
import { heading, line, summaryLine } from '../../format/table.js';
import { count } from '../../format/text.js';
import { foundIn } from '../../format/violation.js';
import { messageOf, UsageError } from '../../system/errors.js';
import type { Context } from '../context.js';
import { exitCodes, failureLine, isCallersToFix } from '../failure.js';
import { outputLost } from '../io.js';
import type { Given, LimitOptions } from '../options.js';
import { inFormats } from '../print.js';
import { Progress } from '../progress.js';
import { type ReportFlags, Reports } from '../reports.js';
import { resolveWhat, type Target } from '../resolve.js';

export interface CheckFlags extends LimitOptions, ReportFlags {
  json?: boolean;
  continue?: boolean;
  first?: boolean;
  verbose?: boolean;
  param?: Given;
}

/** A result with what it is a result of. */
interface Checked {
  target: Target;
  result: CheckResult;
}

export const limitsOf = ({ maxStates, maxSeconds, maxMemory }: LimitOptions): LimitOptions => ({
  ...(maxStates === undefined ? {} : { maxStates }),
  ...(maxSeconds === undefined ? {} : { maxSeconds }),
  ...(maxMemory === undefined ? {} : { maxMemory }),
});

/** Explores one target, with progress and Ctrl-C. */
export async function explored({ io }: Context, target: Target, flags: LimitOptions & { continue?: boolean }): Promise<CheckResult> {
  const progress = new Progress(io, target.subject.id);
  try {
    return await checkSubject(target.subject, { ...limitsOf(flags), all: flags.continue ?? false, signal: io.signal, progress: progress.tell });
  } catch (error) {
    throw named(target, error);
  } finally {
    progress.end();
  }
}

/** What is wrong with a model is found out by a search of many; the line says of which. */
const named = ({ subject }: Target, error: unknown): unknown =>
  isCallersToFix(error) && !error.message.includes(`'${subject.id}'`) ? new UsageError(`${subject.id}: ${error.message}`) : error;

export function exitCode(results: readonly CheckResult[], missing = 0): number {
  const { unexpected, inconclusive } = summarise(results);
  if (unexpected > 0) return exitCodes.unexpected;
  return inconclusive > 0 || missing > 0 ? exitCodes.inconclusive : exitCodes.asExpected;
}

/** The table, printed line by line as the verdicts come in. */
class TableWriter {
  private group: string | null = null;

  constructor(
    private readonly context: Context,
    private readonly targets: readonly Target[],
    private readonly verbose: boolean,
  ) {}

  add({ target, result }: Checked): void {
    const { io, palette } = this.context;
    if (target.group !== this.group) io.stdout(`${this.group === null ? '' : '\n'}${heading(target.group, target.question, palette)}\n`);
    this.group = target.group;
    const width = Math.max(...this.targets.filter(({ group }) => group === target.group).map(({ name }) => name.length));
    io.stdout(`${line(result, target.name, width, palette)}\n${this.verbose ? `${receipt(result)}\n` : ''}`);
  }

  end(results: readonly CheckResult[], missing: number): void {
    this.context.io.stdout(`${this.group === null ? '' : '\n'}${summaryLine(results, missing, this.context.palette)}\n`);
  }
}

/** The first counterexample in full. */
function printFirst({ io, palette }: Context, checked: readonly Checked[]): void {
  const first = checked.find(({ result }) => counterexampleOf(result));
  const property = first && counterexampleOf(first.result);
  if (!property?.counterexample || !first) return;
  const { replay, length, token, lasso } = property.counterexample;
  // Of a lasso the way to the loop is a shortest one.
  const title = `${property.name} is violated in ${lengthText(length, lasso)}${lasso ? '' : ', and in no fewer'}`;
  const shown = { target: first.target, replay, found: foundIn(property) };
  io.stdout(`\n${heading(first.target.subject.id, title, palette)}\n\n${inFormats(shown, ['columns'])}\nshootdown replay '${token}'\n`);
}

/** `check`: explores each target and prints the verdicts. Returns the exit code. */
export async function check(context: Context, what: readonly string[], flags: CheckFlags): Promise<number> {
  const { io, note } = context;
  if (flags.json && (flags.first || flags.verbose))
    throw new UsageError(`option '--${flags.first ? 'first' : 'verbose'}' prints text and cannot be combined with '--json'`);
  const { targets, leftOut } = await resolveWhat(context, what, flags.param ?? {});
  if (leftOut.length > 0)
    note(`left out, since the parameters do not go with them: ${leftOut.slice(0, 3).join(', ')}${leftOut.length > 3 ? ` and ${leftOut.length - 3} more` : ''}`);
  const reports = await Reports.open(io, flags, targets);
  const table = flags.json ? null : new TableWriter(context, targets, flags.verbose ?? false);
  const checked: Checked[] = [];
  const results = (): CheckResult[] => checked.map(({ result }) => result);
  // Whatever happens on the way, what was found so far is not lost.
  const conclude = (failed: string | null): void => {
    const missing = targets.length - checked.length;
    if (table) table.end(results(), missing);
    else io.stdout(`${JSON.stringify(checkDocument(results()), null, 2)}\n`);
    if (flags.first) printFirst(context, checked);
    const left = `${count(missing, 'variant')} not checked`;
    if (missing > 0 && io.signal.aborted && io.signal.reason !== outputLost) note(`interrupted; ${left}`);
    reports.write(results(), missing > 0 ? [failed ?? 'interrupted', left] : []);
  };
  try {
    for (const target of targets) {
      if (io.signal.aborted) break;
      checked.push({ target, result: await explored(context, target, flags) });
      table?.add(checked.at(-1) as Checked);
    }
  } catch (error) {
    try {
      conclude(failureLine(error));
    } catch (another) {
      note(messageOf(another));
    }
    throw error;
  }
  conclude(null);
  return exitCode(results(), targets.length - checked.length);
}
