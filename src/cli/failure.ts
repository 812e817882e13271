import { getSystemErrorMap } from 'node:util';
import { CommanderError } from 'commander';
import { messageOf } from '../system/errors.js';

export const exitCodes = { asExpected: 0, unexpected: 1, wrongCall: 2, inconclusive: 3 } as const;

// By name: a user's module may come with its own copy of this package, whose classes are others.
const callersToFix = ['ShootdownError', 'UsageError', 'ModelError', 'ScheduleError'];

export const isCallersToFix = (error: unknown): error is Error => callersToFix.includes((error as Error | null)?.name as string);

export const isSystemError = (error: unknown): error is NodeJS.ErrnoException => typeof (error as NodeJS.ErrnoException | null)?.errno === 'number';

/** What the operating system says, in its own words: `no such file or directory`. */
export const systemMessage = (error: NodeJS.ErrnoException): string => getSystemErrorMap().get(error.errno as number)?.[1] ?? error.message;

/** Commander's messages in our form: one line, without `error:`, the suggestion at the end. */
const fromCommander = (message: string): string =>
  message
    .replace(/^error: /, '')
    .replace(/\s*\n\(Did you mean one of (.*)\?\)$/, '; did you mean one of $1?')
    .replace(/\s*\n\(Did you mean (.*)\?\)$/, "; did you mean '$1'?");

/** The line that tells of an error, without the program's name; null for what is no error, such as help. */
export function failureLine(error: unknown): string | null {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return null;
    return error.code === 'commander.help'
      ? "name a command: list, check, show, run, replay, trace, passdown, vmemmap, diff, safeguards, export or inspect ('shootdown --help' explains them)"
      : fromCommander(error.message);
  }
  if (isCallersToFix(error)) return error.message;
  if (isSystemError(error)) return `cannot write to standard output: ${systemMessage(error)}`;
  // Typed arrays that cannot be allocated: the tables of a search that has no limit.
  if (error instanceof RangeError && /allocation failed|Invalid typed array length/.test(error.message))
    return 'out of memory; set a limit with --max-states or --max-memory';
  return `internal error: ${messageOf(error)} (a defect of shootdown, not of your system; SHOOTDOWN_DEBUG=1 shows where)`;
}

export const isInternal = (error: unknown): boolean => !(error instanceof CommanderError) && !isCallersToFix(error) && !isSystemError(error);
