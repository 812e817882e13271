import type { ExploreLimits } from '../explore/explorer.js';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';

/** How far to search. Without limits, to the end. */
export interface SearchOptions extends ExploreLimits {
  /** Ends the search; what it left undecided is a failure. */
  signal?: AbortSignal;
}

export interface ViolateOptions extends SearchOptions {
  /** Steps that the shortest counterexample may have. */
  within?: number;
}

export interface ReplayOptions {
  /** A property that the run violates: an invariant or a BUG at some step, any other where the run ends. */
  violating?: string;
}

export interface LeadToOptions<A extends string = string> extends SearchOptions {
  /** The actors that the predicates read. Default: all, which takes more memory. */
  actors?: readonly A[];
  /** What is to come, in words: for the diagram. */
  description?: string;
}

type Check = (value: unknown) => string | null;

const number =
  (what: string, fits: (value: number) => boolean): Check =>
  (value) =>
    typeof value === 'number' && fits(value) ? null : what;
const checks: Readonly<Record<string, Check>> = {
  maxStates: number('a whole number from 1 up', (value) => Number.isInteger(value) && value >= 1),
  maxSeconds: number('a number of seconds above 0', (value) => value > 0),
  maxMemory: number('a number of bytes from 1 up', (value) => value >= 1),
  within: number('a whole number of steps from 0 up', (value) => Number.isInteger(value) && value >= 0),
  signal: (value) => (typeof value === 'object' && value !== null && 'aborted' in value ? null : 'an AbortSignal'),
  violating: (value) => (typeof value === 'string' ? null : 'the name of a property'),
  actors: (value) => (Array.isArray(value) && value.every((name) => typeof name === 'string') ? null : 'a list of names of actors'),
  description: (value) => (typeof value === 'string' ? null : 'a text'),
};

export const searchOptions = ['maxStates', 'maxSeconds', 'maxMemory', 'signal'] as const;

const shown = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : typeof value === 'object' && value !== null ? 'an object' : String(value);

/** @throws {UsageError} for an option that the matcher does not have, and for a value that it cannot have. */
export function optionsFrom<T extends object>(asker: string, given: unknown, known: readonly string[]): T {
  if (given === undefined) return {} as T;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new UsageError(`${asker} takes options as an object, not ${shown(given)}`);
  for (const [name, value] of Object.entries(given)) {
    if (!known.includes(name)) throw new UsageError(`${asker} has no option '${name}'${didYouMean(name, known)} (it has ${known.join(', ')})`);
    const wanted = value === undefined ? null : (checks[name] as Check)(value);
    if (wanted !== null) throw new UsageError(`${asker}: option '${name}' takes ${wanted}, not ${shown(value)}`);
  }
  return given as T;
}
