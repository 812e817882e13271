import type { CheckResult, PropertyVerdict, Verdict } from '../check/check.js';
import type { Expected } from '../scenarios/scenario.js';
import { expectationFor, expectationOf, outcomeOf, type Summary, summarise } from './outcome.js';

/** What `check --json` prints: a contract with other people's scripts. */
export interface CheckDocument {
  format: 'shootdown.check/1';
  results: ResultDocument[];
  summary: Summary;
}

interface ResultDocument {
  id: string;
  /** Null, like variant and row, for a system from somebody's own module. */
  scenario: string | null;
  variant: string | null;
  row: string | null;
  parameters: Readonly<Record<string, string | number>>;
  verdict: Verdict;
  expected: Expected;
  asExpected: boolean;
  properties: {
    name: string;
    kind: string;
    verdict: Verdict;
    expected: Expected;
    evaluations: number;
    /** `loop`: steps before those that repeat for ever; as many as `length`: nothing more happens. Null for all but eventualities. */
    counterexample: { length: number; loop: number | null; token: string } | null;
  }[];
  states: number;
  transitions: number;
  depth: number;
  seconds: number;
  bytesPerState: number;
  unreached: string[];
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

const propertyDocument = (result: CheckResult, property: PropertyVerdict): ResultDocument['properties'][number] => ({
  name: property.name,
  kind: property.kind,
  verdict: property.verdict,
  expected: expectationFor(result, property),
  evaluations: property.evaluations,
  counterexample: property.counterexample && {
    length: property.counterexample.length,
    loop: property.counterexample.lasso?.stem ?? null,
    token: property.counterexample.token,
  },
});

function resultDocument(result: CheckResult): ResultDocument {
  const { subject, exploration } = result;
  return {
    id: subject.id,
    scenario: subject.case?.scenario.id ?? null,
    variant: subject.case?.variant.id ?? null,
    row: subject.case?.variant.row ?? null,
    parameters: subject.case?.parameters ?? {},
    verdict: result.verdict,
    expected: expectationOf(result),
    asExpected: outcomeOf(result) === 'as expected',
    properties: result.properties.map((property) => propertyDocument(result, property)),
    states: exploration.states,
    transitions: exploration.transitions,
    depth: exploration.depth,
    seconds: rounded(exploration.seconds, 3),
    bytesPerState: rounded(exploration.bytesPerState, 1),
    unreached: exploration.unreached,
  };
}

/** The document of some results. */
export const checkDocument = (results: readonly CheckResult[]): CheckDocument => ({
  format: 'shootdown.check/1',
  results: results.map(resultDocument),
  summary: summarise(results),
});
