/**
 * Matchers for Jest and Vitest. Importing this registers them with the global `expect`, if there is one.
 *
 * ```js
 * import 'shootdown/jest';
 *
 * test('both additions count', async () => {
 *   await expect(race).toHold('sum');
 * });
 * ```
 *
 * @packageDocumentation
 */
import { matchers } from './matchers.js';

export type { Checkable } from '../check/subject.js';
export { counterexample } from './counterexample.js';
export type { Snapshots } from './goal.js';
export { matchers } from './matchers.js';
export type { LeadToOptions, ReplayOptions, SearchOptions, ViolateOptions } from './options.js';
export type { LeadTo, SystemMatchers } from './types.js';
export type { MatcherContext, MatcherResult } from './verdict.js';

/** An `expect` that can be taught matchers. */
export interface Extensible {
  extend(added: typeof matchers): unknown;
}

/** Teaches an `expect` the matchers: one that is imported, where there is no global one. */
export function register(expect: Extensible): void {
  expect.extend(matchers);
}

// Neither `@jest/globals` nor `vitest` is imported: each refuses to be loaded under the other.
const { expect } = globalThis as { expect?: Partial<Extensible> };
if (typeof expect?.extend === 'function') register(expect as Extensible);
