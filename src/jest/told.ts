import { type Subject, tokenOf } from '../check/check.js';
import { becameText, changesOf, whereOf } from '../format/changes.js';
import { lengthText } from '../format/lasso.js';
import { count } from '../format/text.js';
import { drawing, type Found, violationText } from '../format/violation.js';
import type { Replay } from '../schedule/replay.js';
import type { Finding, Search } from './search.js';

/** A run to be shown. */
export interface Shown {
  subject: Subject;
  replay: Replay;
  found: Found | null;
  /** The last line of the diagram. */
  ending: string | null;
}

/** What the last step changed, a line each. */
function lastStep({ steps }: Replay): string[] {
  const step = steps.at(-1);
  if (!step) return [];
  const lines = changesOf(step).map((change) => `  ${whereOf(change)}: ${becameText(change)}`);
  return [[`The last step (${step.number}, of ${step.choice.actor.address}) changed${lines.length === 0 ? ' nothing' : ':'}`, ...lines].join('\n')];
}

/** Whether the command line can build the subject again. What it ships is loaded already, if this is a variant of it. */
async function isShipped({ case: found }: Subject): Promise<boolean> {
  if (!found) return false;
  const { scenarios } = await import('../scenarios/index.js');
  return scenarios.some(({ id, variants }) => id === found.scenario.id && variants.some((variant) => variant.id === found.variant.id));
}

/** How to see a run again. */
async function again({ subject, replay }: Shown): Promise<string> {
  const token = tokenOf(
    subject,
    replay.steps.map(({ choice }) => choice.index),
  );
  const how = (await isShipped(subject))
    ? [`npx shootdown replay '${token}'`, `npx shootdown inspect '${token}'`]
    : [`replay(system, parseToken('${token}').schedule)`];
  return [`Token: ${token}`, ...how].join('\n');
}

/** A run in CPU columns, what its last step changed, and how to see it again. */
export async function runText(shown: Shown): Promise<string> {
  const { replay, found, ending } = shown;
  return [drawing(replay, found, ending), ...lastStep(replay), await again(shown)].join('\n\n');
}

const foundIn = ({ violation, replay }: Finding): Found => ({ property: violation.property, message: violation.message, lasso: replay.lasso });

/** `in 4 steps`, or `at the start`. */
export function howLong({ violation: { schedule }, replay: { lasso } }: Finding): string {
  return schedule.length === 0 && lasso === null ? 'at the start' : `in ${lengthText(schedule.length, lasso)}`;
}

/** A counterexample as a diagram alone. */
export function diagramOf(finding: Finding): string {
  const found = foundIn(finding);
  return drawing(finding.replay, found, violationText(finding.replay.system, found));
}

/** A counterexample in full. @param ending The last line, if not what was violated. */
export function findingText(subject: Subject, finding: Finding, ending?: string): Promise<string> {
  const { replay } = finding;
  const found = foundIn(finding);
  return runText({ subject, replay, found, ending: ending ?? violationText(replay.system, found) });
}

const optionFor = (limit: string): string => (limit.endsWith('states') ? 'maxStates' : limit.endsWith('seconds') ? 'maxSeconds' : 'maxMemory');

/** Why a search is inconclusive. */
export function limitText({ exploration: { limit } }: Search): string {
  if (limit === null || limit === 'interrupted') return 'inconclusive: the search was interrupted before every state was seen';
  return `inconclusive: the limit of ${limit} (${optionFor(limit)}) was reached before everything was decided`;
}

/** `in 14 states, which are all`. */
export const allStates = ({ exploration: { states } }: Search): string => `in ${count(states, 'state')}, which are all`;
