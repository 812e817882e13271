import { type Exploration, type ExploreLimits, type Explorer, exploreAsync, type PropertyResult } from '../explore/explorer.js';
import type { Property, PropertyKind } from '../property/property.js';
import { type Case, type Expected, expectedOf, expectedVerdict } from '../scenarios/scenario.js';
import type { JudgedLasso } from '../schedule/lasso.js';
import { confirm, type Replay } from '../schedule/replay.js';
import { formatToken } from '../schedule/token.js';
import type { System } from '../system/system.js';

/** `holds` if every reachable state was seen; `inconclusive` if a limit came first. */
export type Verdict = 'holds' | 'violated' | 'inconclusive';

/** Something to check: a variant, or a system of somebody's own (then without scenario and expectation). */
export interface Subject {
  id: string;
  system: System;
  case: Case | null;
}

/** What came out for one property. */
export interface PropertyVerdict {
  name: string;
  kind: PropertyResult['kind'];
  description: string;
  verdict: Verdict;
  expected: Expected;
  evaluations: number;
  /** `length` is the number of its steps, those of the loop (of an eventuality's `lasso`) included. */
  counterexample: { length: number; token: string; message: string; lasso: JudgedLasso | null; replay: Replay } | null;
}

/** A verdict with its receipt. */
export interface CheckResult {
  subject: Subject;
  verdict: Verdict;
  expected: Expected;
  /** Everything that an expectation names came out so. */
  asExpected: boolean;
  /** Something came out otherwise; a limit that left it undecided is not that. */
  unexpected: boolean;
  properties: PropertyVerdict[];
  exploration: Exploration;
  /** Properties that were never put to the test, in words. */
  vacuous: string[];
}

/** How far to search, and what to be told meanwhile. */
export interface CheckOptions extends ExploreLimits {
  /** Search to the end, for every property, instead of stopping when what is expected has been decided. */
  all?: boolean;
  signal?: AbortSignal;
  progress?: (explorer: Explorer) => void;
}

export const subjectOf = (found: Case): Subject => ({ id: found.id, system: found.system, case: found });

/** The token of a schedule of this subject. */
export function tokenOf({ id, system, case: found }: Subject, schedule: readonly number[]): string {
  const parameters = Object.fromEntries(
    Object.entries(found?.parameters ?? {})
      .filter(([name]) => found?.variant.fixed?.[name] === undefined)
      .map(([name, value]) => [name, String(value)]),
  );
  return formatToken({ name: id, parameters, digest: system.digest, schedule });
}

const takesAllStates: ReadonlySet<PropertyKind> = new Set(['possibility', 'eventuality']);

/**
 * Ends the search once every expected violation was seen, unless a property is expected to hold: that takes all states. So
 * does a possibility or an eventuality, whichever verdict is expected. A system of somebody's own is searched to the first
 * violation, and these two are judged if there is none.
 */
function stopRule({ case: found, system }: Subject, all: boolean): (violated: ReadonlySet<string>) => boolean {
  if (all) return () => false;
  if (!found) return () => true;
  if (system.properties.some(({ kind, name }) => takesAllStates.has(kind) && expectedOf(found.variant, name) !== null)) return () => false;
  if (expectedVerdict(found.variant) !== 'violated') return () => true;
  const expected = system.properties.map(({ name }) => ({ name, verdict: expectedOf(found.variant, name) }));
  if (expected.some(({ verdict }) => verdict === 'holds')) return () => false;
  return (violated) => expected.every(({ name, verdict }) => verdict !== 'violated' || violated.has(name));
}

const hasPremise = (property: Property): boolean =>
  property.kind === 'invariant' || property.kind === 'possibility' || (property.kind === 'eventuality' && property.when !== undefined);
/** Properties whose premise no state meets. */
const untested = ({ properties }: System, verdicts: readonly PropertyVerdict[]): string[] =>
  verdicts
    .filter(({ evaluations }, index) => evaluations === 0 && hasPremise(properties[index] as Property))
    .map(({ name }) => `${name}: no state meets its premise`);
const verdictOf = (property: PropertyResult, exhausted: boolean): Verdict => (property.violation ? 'violated' : exhausted ? 'holds' : 'inconclusive');

/**
 * Explores a system and judges it. Every counterexample is replayed live before it is believed.
 * @throws {ModelError} for what cannot be explored, {@link InternalError} when live and explored disagree.
 */
export async function check(what: Subject | System, options: CheckOptions = {}): Promise<CheckResult> {
  const subject: Subject = 'system' in what ? what : { id: what.id, system: what, case: null };
  const { all = false, ...limits } = options;
  const exploration = await exploreAsync(subject.system, { ...limits, stop: stopRule(subject, all) });
  const variant = subject.case?.variant;
  const properties = exploration.properties.map((property): PropertyVerdict => {
    const { violation } = property;
    const confirmed = violation && confirm(subject.system, violation);
    return {
      name: property.name,
      kind: property.kind,
      description: property.description,
      verdict: verdictOf(property, exploration.exhausted),
      expected: variant ? expectedOf(variant, property.name) : null,
      evaluations: property.evaluations,
      counterexample: violation &&
        confirmed && {
          length: violation.schedule.length,
          token: tokenOf(subject, violation.schedule),
          message: violation.message,
          lasso: confirmed.lasso,
          replay: confirmed,
        },
    };
  });
  const verdict: Verdict = properties.some((property) => property.verdict === 'violated') ? 'violated' : exploration.exhausted ? 'holds' : 'inconclusive';
  const expected = variant ? expectedVerdict(variant) : null;
  // What is expected of the whole follows from what is expected of its properties, where anything is.
  const asked = properties.filter((property) => property.expected !== null);
  const judged = asked.length > 0 ? asked : [{ verdict, expected }].filter((judgement) => judgement.expected !== null);
  return {
    subject,
    verdict,
    expected,
    asExpected: judged.every((judgement) => judgement.verdict === judgement.expected),
    unexpected: judged.some((judgement) => judgement.verdict !== 'inconclusive' && judgement.verdict !== judgement.expected),
    properties,
    exploration,
    vacuous: exploration.exhausted ? untested(subject.system, properties) : [],
  };
}

/** The counterexample to show: of the first property expected to be violated, else of the shortest found. */
export function counterexampleOf(result: CheckResult): PropertyVerdict | null {
  const violated = result.properties.filter((property) => property.counterexample);
  const shortest = (a: PropertyVerdict, b: PropertyVerdict): number => (a.counterexample?.length ?? 0) - (b.counterexample?.length ?? 0);
  return violated.find((property) => property.expected === 'violated') ?? violated.sort(shortest)[0] ?? null;
}
