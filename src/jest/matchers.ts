import type { Subject } from '../check/check.js';
import type { Played } from '../check/play.js';
import { propertyNamed, subjectFrom } from '../check/subject.js';
import { violationText } from '../format/violation.js';
import { withProperty } from '../property/judging.js';
import type { Property } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import { eventualityFrom, goalFrom } from './goal.js';
import { type LeadToOptions, optionsFrom, type ReplayOptions, type SearchOptions, searchOptions, type ViolateOptions } from './options.js';
import { playFor, recordedFrom } from './play.js';
import { search } from './search.js';
import { allStates, findingText, howLong, limitText, runText } from './told.js';
import { callText, type MatcherContext, type MatcherResult, resultOf, searchText } from './verdict.js';

const allOf = ({ system }: Subject): string[] => system.properties.map(({ name }) => name);

/** The properties named, or null for all of them. */
function namesFrom(asker: string, subject: Subject, given: unknown): string[] | null {
  if (typeof given === 'string') return [propertyNamed(subject, given).name];
  if (!Array.isArray(given)) return null;
  if (given.length === 0) throw new UsageError(`${asker} takes the name of a property, or a list of at least one`);
  return given.map((name) => propertyNamed(subject, name).name);
}

/** Tells `(names, options)` from `(options)`. */
const split = (first: unknown, second: unknown): { named: unknown; given: unknown } =>
  typeof first === 'string' || Array.isArray(first) || second !== undefined ? { named: first, given: second } : { named: undefined, given: first };

async function toHold(this: MatcherContext, received: unknown, first?: unknown, second?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toHold');
  const { named, given } = split(first, second);
  const names = namesFrom('toHold', subject, named);
  const found = await search(subject, names ?? allOf(subject), optionsFrom<SearchOptions>('toHold', given, searchOptions));
  const answer = found.end === 'limit' ? null : found.finding === null;
  return resultOf(this, callText('toHold', [first, second]), answer, () => searchText(subject, names, found, undefined));
}

async function toViolate(this: MatcherContext, received: unknown, first?: unknown, second?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toViolate');
  const { named, given } = split(first, second);
  if (Array.isArray(named)) throw new UsageError('toViolate takes the name of one property; without a name, any will do');
  const names = namesFrom('toViolate', subject, named);
  const options = optionsFrom<ViolateOptions>('toViolate', given, [...searchOptions, 'within']);
  const { within = Number.POSITIVE_INFINITY } = options;
  const found = await search(subject, names ?? allOf(subject), options);
  const answer = found.end === 'limit' ? null : found.finding !== null && found.finding.violation.schedule.length <= within;
  return resultOf(this, callText('toViolate', [first, second]), answer, () => searchText(subject, names, found, options.within));
}

/** Why a recorded schedule does not fit, or what it does. */
function replayText(subject: Subject, { misfit, found, steps, system }: Played, violating: Property | null): { head: string; ending: string | null } {
  if (misfit) return { head: `${subject.id}: the schedule does not fit: ${misfit.message}`, ending: `does not go on: step ${misfit.step} does not fit` };
  const ending = found && violationText(system, found);
  if (found) return { head: `${subject.id}: the schedule fits, and ${found.property} is violated`, ending };
  const rest = violating ? `, but does not violate ${violating.name}` : '';
  return { head: `${subject.id}: the schedule fits${rest}`, ending: `end of the schedule, after ${steps.length === 1 ? '1 step' : `${steps.length} steps`}` };
}

async function toReplay(this: MatcherContext, received: unknown, recorded: unknown, given?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toReplay');
  const { violating } = optionsFrom<ReplayOptions>('toReplay', given, ['violating']);
  const property = violating === undefined ? null : propertyNamed(subject, violating);
  if (property?.kind === 'possibility')
    throw new UsageError(`${subject.id}: '${property.name}' is a possibility, and no single run shows that it is violated; ask toViolate, which looks at all`);
  const { schedule, changed } = recordedFrom(recorded, subject);
  const played = playFor(subject.system, schedule, property);
  const answer = played.misfit === null && (property === null || played.found !== null);
  const call = callText('toReplay', [typeof recorded === 'string' ? recorded : schedule, given]);
  return resultOf(this, call, answer, async () => {
    const { head, ending } = replayText(subject, played, property);
    const run = await runText({ subject, replay: played, found: played.found, ending });
    return [...(changed === null ? [head] : [head, changed]), '', run].join('\n');
  });
}

async function toReach(this: MatcherContext, received: unknown, who: unknown, where: unknown, given?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toReach');
  const goal = goalFrom(subject, who, where);
  const options = optionsFrom<SearchOptions>('toReach', given, searchOptions);
  const { system, property } = withProperty(subject.system, goal.property);
  const found = await search({ system }, [property.name], options);
  const answer = found.end === 'limit' ? null : found.finding !== null;
  return resultOf(this, callText('toReach', [who, where, given]), answer, async () => {
    const { finding } = found;
    if (finding) return `${subject.id}: ${goal.text}, reached ${howLong(finding)}\n\n${await findingText(subject, finding, `reached: ${goal.text}`)}`;
    return `${subject.id}: ${goal.text}: ${found.end === 'limit' ? limitText(found) : `not reached ${allStates(found)}`}`;
  });
}

async function toBeDeadlockFree(this: MatcherContext, received: unknown, given?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toBeDeadlockFree');
  const names = subject.system.properties.flatMap(({ kind, name }) => (kind === 'deadlock' ? [name] : []));
  const found = await search(subject, names, optionsFrom<SearchOptions>('toBeDeadlockFree', given, searchOptions));
  const answer = found.end === 'limit' ? null : found.finding === null;
  return resultOf(this, callText('toBeDeadlockFree', [given]), answer, () => searchText(subject, names, found, undefined));
}

/** `when` and `reach` as two functions, or in an object with what else is said of them. */
function askedOf(first: unknown, second: unknown, third: unknown): { when: unknown; reach: unknown; options: LeadToOptions } {
  const leadOptions = [...searchOptions, 'actors', 'description'];
  if (typeof first !== 'object' || first === null) return { when: first, reach: second, options: optionsFrom('toLeadTo', third, leadOptions) };
  const { when, reach, ...said } = first as { when?: unknown; reach?: unknown };
  const asked = optionsFrom<LeadToOptions>('toLeadTo', said, ['actors', 'description']);
  return { when, reach, options: { ...optionsFrom<SearchOptions>('toLeadTo', second, searchOptions), ...asked } };
}

async function toLeadTo(this: MatcherContext, received: unknown, first: unknown, second?: unknown, third?: unknown): Promise<MatcherResult> {
  const subject = subjectFrom(received, 'toLeadTo');
  const { when, reach, options } = askedOf(first, second, third);
  const { actors: _actors, description: _description, ...limits } = options;
  const { system, property } = withProperty(subject.system, eventualityFrom(subject, when, reach, options));
  const found = await search({ system }, [property.name], limits);
  const untested = found.end === 'none' && found.exploration.properties.every(({ name, evaluations }) => name !== property.name || evaluations === 0);
  const answer = found.end === 'limit' || untested ? null : found.finding === null;
  return resultOf(this, callText('toLeadTo', [first, second, third]), answer, async () => {
    const { finding } = found;
    if (finding) return `${subject.id}: ${property.description} need not come, shown ${howLong(finding)}\n\n${await findingText(subject, finding)}`;
    if (found.end === 'limit') return `${subject.id}: ${property.description}: ${limitText(found)}`;
    if (untested) return `${subject.id}: nothing was put to the test: 'when' is not true in any state (${found.exploration.states} seen, which are all)`;
    return `${subject.id}: ${property.description} always comes, ${allStates(found)}`;
  });
}

/** The matchers, for `expect.extend`. */
export const matchers = { toHold, toViolate, toReplay, toReach, toBeDeadlockFree, toLeadTo };
