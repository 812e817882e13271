import { type Checkable, propertyNamed, subjectFrom } from '../check/subject.js';
import { ShootdownError } from '../system/errors.js';
import { optionsFrom, type SearchOptions, searchOptions } from './options.js';
import { search } from './search.js';
import { diagramOf, limitText } from './told.js';

/**
 * The shortest counterexample of a property (or of any) as a diagram, for a snapshot; null if there is none in any state.
 * @throws {UsageError} for an unknown property. @throws {ShootdownError} when a limit was reached before it was decided.
 */
export async function counterexample(system: Checkable, property?: string, options?: SearchOptions): Promise<string | null> {
  const subject = subjectFrom(system, 'counterexample');
  const names = property === undefined ? subject.system.properties.map(({ name }) => name) : [propertyNamed(subject, property).name];
  const found = await search(subject, names, optionsFrom<SearchOptions>('counterexample', options, searchOptions));
  if (found.finding) return diagramOf(found.finding);
  if (found.end === 'limit') throw new ShootdownError(`${subject.id}: ${limitText(found)}`);
  return null;
}
