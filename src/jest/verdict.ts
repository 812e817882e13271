import type { Subject } from '../check/check.js';
import { count } from '../format/text.js';
import type { Search } from './search.js';
import { allStates, findingText, howLong, limitText } from './told.js';

/** What Jest and Vitest give a matcher as `this`, as far as it is needed. */
export interface MatcherContext {
  isNot?: boolean;
}

/** What a matcher returns. */
export interface MatcherResult {
  pass: boolean;
  message: () => string;
}

function shown(argument: unknown): string {
  if (typeof argument === 'string') return `'${argument}'`;
  if (typeof argument === 'function') return argument.name === '' ? 'predicate' : argument.name;
  if (Array.isArray(argument)) return `[${argument.map(shown).join(', ')}]`;
  if (argument instanceof AbortSignal) return 'signal';
  if (typeof argument !== 'object' || argument === null) return String(argument);
  const fields = Object.entries(argument).map(([name, value]) => (typeof value === 'function' ? name : `${name}: ${shown(value)}`));
  return fields.length > 0 ? `{ ${fields.join(', ')} }` : '{}';
}

/** A call as it stands in a test: `toHold('I1', { maxStates: 1000 })`. */
export function callText(matcher: string, given: readonly unknown[]): string {
  const last = given.findLastIndex((argument) => argument !== undefined);
  return `${matcher}(${given
    .slice(0, last + 1)
    .map(shown)
    .join(', ')})`;
}

/** @param answer Null: undecided, which is a failure with `.not`, too. @param text Why it failed. */
export async function resultOf(
  { isNot = false }: MatcherContext,
  call: string,
  answer: boolean | null,
  text: () => string | Promise<string>,
): Promise<MatcherResult> {
  const failed = answer === null || answer === isNot;
  // Without colours: so a snapshot of it is the same on a terminal and elsewhere.
  const message = failed ? `expect(system)${isNot ? '.not' : ''}.${call}\n\n${await text()}` : '';
  return { pass: answer ?? isNot, message: () => message };
}

/** What a search for counterexamples came to, in words. @param names What was asked for; null: everything. */
export async function searchText(subject: Subject, names: readonly string[] | null, search: Search, within: number | undefined): Promise<string> {
  const { id } = subject;
  const { finding, end } = search;
  if (finding) {
    const { property, schedule } = finding.violation;
    const late = within !== undefined && schedule.length > within ? `, not within ${count(within, 'step')}` : '';
    return `${id}: ${property} is violated ${howLong(finding)}${late}\n\n${await findingText(subject, finding)}`;
  }
  const asked = names === null ? id : `${id}: ${names.join(', ')}`;
  if (end === 'limit') return `${asked}: ${limitText(search)}`;
  if (end === 'longer') return `${asked}: no counterexample of at most ${count(within as number, 'step')}`;
  return `${asked}: no counterexample ${allStates(search)}`;
}
