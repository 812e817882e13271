import type { ArtifactLocation, Invocation, Location, Log, Region, ReportingDescriptor, Result } from 'sarif';
import type { AnyStateNode } from 'xstate';
import type { CheckResult, PropertyVerdict, Subject } from '../check/check.js';
import type { PropertyKind } from '../property/property.js';
import { lengthText } from './lasso.js';
import { expectationFor, expectationOf, outcomeOf, summarise } from './outcome.js';
import { codeFlow, type Locate, logicalName, stateOf } from './sarif-flow.js';
import { message, plainText } from './sarif-text.js';
import { count } from './text.js';
import { diagram } from './violation.js';

/** Where something is written. */
export interface Place {
  /** Of a file: relative to the base of that name, or (without one) whole. */
  uri: string;
  base: string | null;
  region: Region;
}

/** Where the states of machines are written. */
export interface Places {
  bases: Readonly<Record<string, ArtifactLocation>>;
  /** The place of a state or, without one or where it is not known, as near to it as is known. */
  placeOf(subject: Subject, node: AnyStateNode | null): Place;
}

export interface SarifOptions {
  /** The program's. */
  version: string;
  places: Places;
  /** Why not everything was checked that should have been, in words. */
  incomplete?: readonly string[];
}

/** Something that is reported. The rules of properties are named `SCENARIO/PROPERTY` or `SYSTEM/PROPERTY`. */
interface Finding {
  rule: string;
  level: 'error' | 'warning' | 'note';
  property: PropertyVerdict | null;
  sentence: string;
}

const inconclusive = 'inconclusive';
const unexpected = 'unexpected-verdict';

const ownerOf = ({ case: found, system }: Subject): string => found?.scenario.id ?? system.id;
const nameOf = ({ case: found, id, system }: Subject): string => (found ? id : system.id);
const ruleOf = (subject: Subject, property: PropertyVerdict): string => `${ownerOf(subject)}/${property.name}`;

/** Whether the table of variants asks what this property's verdict is; of those that it does not name it says nothing. */
const isOpen = (result: CheckResult, { name, expected }: PropertyVerdict): boolean =>
  expected === null && (expectationOf(result) === null || result.subject.case?.variant.expected[name] === null);

/** What there is to report of a property; nothing where it came out as expected. */
function findingOf(result: CheckResult, property: PropertyVerdict): Finding[] {
  const { subject, exploration } = result;
  const expected = expectationFor(result, property);
  const finding = (level: Finding['level'], says: string): Finding[] => [
    { rule: ruleOf(subject, property), level, property, sentence: `${nameOf(subject)}: ${property.name} ${says}.` },
  ];
  const { counterexample } = property;
  if (counterexample) {
    const how = `is violated in ${lengthText(counterexample.length, counterexample.lasso)}`;
    if (expected === 'holds') return finding('error', `${how}${subject.case ? ', expected to hold' : ''}: ${counterexample.message}`);
    if (isOpen(result, property)) return finding('note', `${how}, which was an open question: ${counterexample.message}`);
  }
  if (property.verdict === 'holds' && expected === 'violated')
    return finding('error', `holds in all of ${count(exploration.states, 'state')}, expected to be violated: ${property.description}`);
  return [];
}

/** What there is to report of a variant or system. */
function findingsOf(result: CheckResult): Finding[] {
  const found = result.properties.flatMap((property) => findingOf(result, property));
  const outcome = outcomeOf(result);
  const whole = (rule: string, level: Finding['level'], says: string): Finding => ({
    rule,
    level,
    property: null,
    sentence: `${nameOf(result.subject)}: ${says}.`,
  });
  if (outcome === 'inconclusive') {
    const { limit, states } = result.exploration;
    const why = limit === null ? 'not decided' : limit === 'interrupted' ? limit : `limit reached: ${limit}`;
    const open = result.properties.filter(({ verdict }) => verdict === 'inconclusive').map(({ name }) => name);
    found.push(whole(inconclusive, 'warning', `undecided after ${count(states, 'state')}: ${open.join(', ')} (${why})`));
  }
  if (outcome === 'unexpected' && !found.some(({ level }) => level === 'error'))
    found.push(whole(unexpected, 'error', `${result.verdict}, expected: ${result.expected}`));
  return found;
}

/** What a property of each kind asks, for those who meet one for the first time. */
const kinds: Record<PropertyKind, string> = {
  bug: 'No state tagged BUG may be entered, whatever the order in which the actors take their steps.',
  invariant: 'It must hold in every state that some order of the steps reaches. The result shows a shortest order that reaches a state in which it does not.',
  possibility:
    'From every state that meets the premise, some continuation must reach what the property names. The result shows how to get to a state from which none does.',
  eventuality:
    'On every fair run, what the property names must come at last. The result shows steps that can be repeated for ever without it, although nobody is kept waiting unfairly.',
  deadlock: 'Some actor must be able to go on until all are done or at rest. The result shows how to get to a state in which nobody can.',
};
const reading =
  "The columns of a diagram are CPUs (or lanes), with time running down. 'shootdown replay TOKEN' runs the schedule again, 'shootdown inspect TOKEN' opens it in the inspector.";
const undecided =
  'The search hit a limit (--max-states, --max-seconds, --max-memory) or was interrupted before every state was seen. Nothing wrong was found so far.';

const described = (id: string, short: string, full: string, help: string, level: Finding['level'], tags: string[]): ReportingDescriptor => ({
  id,
  shortDescription: { text: plainText(short) },
  fullDescription: { text: plainText(full) },
  help: { text: plainText(help), markdown: message({ sentence: help }).markdown },
  defaultConfiguration: { level },
  properties: { tags: ['concurrency', ...tags], precision: 'very-high', 'problem.severity': level === 'note' ? 'recommendation' : level },
});

/** The rules: what was asked, and whether it was answered. Systems of one name share theirs. */
function rulesOf(results: readonly CheckResult[]): ReportingDescriptor[] {
  const asked = new Map<string, { subject: Subject; property: PropertyVerdict; says: Set<string> }>();
  for (const { subject, properties } of results)
    for (const property of properties) {
      const id = ruleOf(subject, property);
      const rule = asked.get(id) ?? { subject, property, says: new Set() };
      asked.set(id, rule);
      rule.says.add(property.description || property.name);
    }
  return [
    ...[...asked].map(([id, { subject, property, says }]) => {
      const short = [...says].join('; ');
      const full = subject.case ? `${subject.case.scenario.question} ${short}` : `${property.name} of system ${subject.system.id}: ${short}`;
      return described(id, short, full, `${kinds[property.kind]} ${reading}`, 'error', [property.kind]);
    }),
    described(inconclusive, 'every state is seen before a limit is hit', undecided, `${undecided} Raise the limit, or make the system smaller.`, 'warning', []),
    described(unexpected, 'the verdict is the expected one', 'The verdict of a variant is not the one that its scenario states.', reading, 'error', []),
  ];
}

function locationAt(places: Places, subject: Subject, node: AnyStateNode | null): Location {
  const { uri, base, region } = places.placeOf(subject, node);
  return {
    physicalLocation: { artifactLocation: { uri, ...(base === null ? {} : { uriBaseId: base }) }, region },
    ...(node ? { logicalLocations: [{ name: node.key, fullyQualifiedName: logicalName(node) }] } : {}),
  };
}

function resultOf(result: CheckResult, finding: Finding, rules: readonly ReportingDescriptor[], places: Places): Result {
  const { subject } = result;
  const { rule, level, property, sentence } = finding;
  const counterexample = property?.counterexample ?? null;
  const locate: Locate = (node) => locationAt(places, subject, node);
  const flow = counterexample && codeFlow(counterexample, locate);
  return {
    ruleId: rule,
    ruleIndex: rules.findIndex(({ id }) => id === rule),
    level,
    message: message({
      sentence,
      ...(property && counterexample ? { diagram: diagram(property), command: `shootdown replay '${counterexample.token}'` } : {}),
    }),
    locations: [locate(property && counterexample ? stateOf(property, counterexample) : null)],
    ...(flow ? { codeFlows: [flow] } : {}),
    // The same result, wherever the state that it is shown at has gone.
    partialFingerprints: { 'subjectAndRule/v1': `${subject.id} ${rule}` },
    properties: {
      id: subject.id,
      parameters: subject.case?.parameters ?? {},
      property: property?.name ?? null,
      verdict: property?.verdict ?? result.verdict,
      expected: property ? expectationFor(result, property) : expectationOf(result),
      steps: counterexample?.length ?? null,
      loop: counterexample?.lasso?.stem ?? null,
      token: counterexample?.token ?? null,
    },
  };
}

function invocationOf(incomplete: readonly string[]): Invocation {
  if (incomplete.length === 0) return { executionSuccessful: true };
  return { executionSuccessful: false, toolExecutionNotifications: incomplete.map((text) => ({ level: 'error', message: { text: plainText(text) } })) };
}

/** What is wrong, open or undecided among some results as SARIF 2.1.0. What came out as expected is no result there. */
export function sarif(results: readonly CheckResult[], { version, places, incomplete = [] }: SarifOptions): string {
  const rules = rulesOf(results);
  const log: Log = {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'Shootdown', version, semanticVersion: version, rules } },
        invocations: [invocationOf(incomplete)],
        originalUriBaseIds: { ...places.bases },
        columnKind: 'utf16CodeUnits',
        results: results.flatMap((result) => findingsOf(result).map((finding) => resultOf(result, finding, rules, places))),
        properties: { summary: summarise(results) },
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}
