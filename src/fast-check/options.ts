import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';

/** How a schedule is made; see `schedules`. */
export type ScheduleKind = 'random' | 'fair' | 'towards';

export interface ScheduleOptions {
  /** Default: `random`. */
  kind?: ScheduleKind;
  /** Most steps that a schedule has; default 100. It has fewer where nothing can change any more. */
  length?: number;
  /** What `towards` goes towards: a property of the system. Default: any. */
  property?: string;
}

const kinds: readonly ScheduleKind[] = ['random', 'fair', 'towards'];
const known = ['kind', 'length', 'property'];
const defaultLength = 100;

export const shown = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : Array.isArray(value) ? 'a list' : typeof value === 'object' && value !== null ? 'an object' : String(value);

/** @throws {UsageError} for an option that there is not, and for a value that it cannot have. */
export function scheduleOptions(given: unknown): { kind: ScheduleKind; length: number; property: string | null } {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new UsageError(`schedules takes options as an object, not ${shown(given)}`);
  for (const name of Object.keys(given))
    if (!known.includes(name)) throw new UsageError(`schedules has no option '${name}'${didYouMean(name, known)} (it has ${known.join(', ')})`);
  const { kind = 'random', length = defaultLength, property } = given as ScheduleOptions;
  if (!kinds.includes(kind))
    throw new UsageError(`schedules: option 'kind' takes ${kinds.join(', ')}, not ${shown(kind)}${typeof kind === 'string' ? didYouMean(kind, kinds) : ''}`);
  if (!Number.isInteger(length) || length < 1) throw new UsageError(`schedules: option 'length' takes a whole number of steps from 1 up, not ${shown(length)}`);
  if (property !== undefined && kind !== 'towards')
    throw new UsageError(`schedules: option 'property' is for kind 'towards'; a ${kind} schedule goes towards none`);
  return { kind, length, property: property ?? null };
}
