import type { Property } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import { isSystem, type System } from '../system/system.js';
import { type Subject, subjectOf } from './check.js';

/** A variant with its parameters settled, as `build` returns it. */
type Case = NonNullable<Subject['case']>;

/** What programs give to be asked about: a system, a subject of `check`, or a variant of a scenario. */
export type Checkable = System | Subject | Case;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value instanceof Promise) return 'a promise (await it first)';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'another object' : `a ${typeof value}`;
}

/** @throws {UsageError} when it is nothing that can be checked. */
export function subjectFrom(received: unknown, asker: string): Subject {
  if (isSystem(received)) return { id: received.id, system: received, case: null };
  if (isObject(received) && isSystem(received.system) && typeof received.id === 'string') {
    if ('variant' in received) return subjectOf(received as unknown as Case);
    return { id: received.id, system: received.system, case: (received.case ?? null) as Case | null };
  }
  throw new UsageError(`${asker} takes a system (from defineSystem), a variant of a scenario (from build) or a subject of check, not ${kindOf(received)}`);
}

/** @throws {UsageError} when the system has no property of that name. */
export function propertyNamed({ id, system }: Subject, name: unknown): Property {
  const property = system.properties.find((candidate) => candidate.name === name);
  if (property) return property;
  const names = system.properties.map((candidate) => candidate.name);
  if (typeof name !== 'string') throw new UsageError(`a property is asked for by its name (${id} has ${names.join(', ')}), not by ${kindOf(name)}`);
  throw new UsageError(`${id} has no property '${name}'${didYouMean(name, names)} (it has ${names.join(', ')})`);
}

/** @throws {UsageError} when the system has no actor of that name. */
export function actorNamed({ id, system }: Subject, address: unknown): System['actors'][number] {
  const actor = system.actors.find((candidate) => candidate.address === address);
  if (actor) return actor;
  const names = system.actors.map((candidate) => candidate.address);
  if (typeof address !== 'string') throw new UsageError(`an actor is asked for by its name (${id} has ${names.join(', ')}), not by ${kindOf(address)}`);
  throw new UsageError(`${id} has no actor '${address}'${didYouMean(address, names)} (it has ${names.join(', ')})`);
}
