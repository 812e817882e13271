import type { CheckResult, PropertyVerdict } from '../check/check.js';
import type { Expected } from '../scenarios/scenario.js';

/** How a verdict compares with what was expected of it. */
export type Outcome = 'as expected' | 'unexpected' | 'inconclusive';

/** Nobody states a verdict for a system of their own: it is expected to hold. */
export const expectationOf = (result: CheckResult): Expected => (result.subject.case ? result.expected : 'holds');

/** The same for one of its properties. */
export const expectationFor = (result: CheckResult, property: PropertyVerdict): Expected => (result.subject.case ? property.expected : 'holds');

/** What became of a result: exactly one of the three, whatever its properties. An open question that was decided is as expected. */
export function outcomeOf(result: CheckResult): Outcome {
  if (result.unexpected || (result.subject.case === null && result.verdict === 'violated')) return 'unexpected';
  return result.verdict === 'inconclusive' || !result.asExpected ? 'inconclusive' : 'as expected';
}

export interface Summary {
  checked: number;
  asExpected: number;
  unexpected: number;
  inconclusive: number;
}

export function summarise(results: readonly CheckResult[]): Summary {
  const of = (outcome: Outcome): number => results.filter((result) => outcomeOf(result) === outcome).length;
  return { checked: results.length, asExpected: of('as expected'), unexpected: of('unexpected'), inconclusive: of('inconclusive') };
}
