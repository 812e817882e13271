import type { CheckResult, PropertyVerdict } from '../check/check.js';
import { lengthText } from './lasso.js';
import { count, thousands } from './text.js';

const list = (title: string, items: readonly string[]): string[] =>
  items.length === 0 ? [] : [`${title} (${items.length})`, ...items.map((item) => `  ${item}`)];

function property({ name, verdict, evaluations, counterexample, kind }: PropertyVerdict): string {
  const how = counterexample ? `${verdict} in ${lengthText(counterexample.length, counterexample.lasso)}` : verdict;
  const tested = evaluations === 0 ? 'never tested' : `tested ${thousands(evaluations)} times`;
  return `${name} (${kind}): ${how}, ${tested}`;
}

/** What a verdict rests on: what was seen, how often each property was put to the test, and what no schedule reached. */
export function receipt(result: CheckResult): string {
  const { exploration, vacuous } = result;
  return [
    `${count(exploration.states, 'state')}, ${count(exploration.transitions, 'transition')}, depth ${exploration.depth}, ${exploration.bytesPerState.toFixed(1)} bytes a state, ${exploration.limit === null ? (exploration.exhausted ? 'every state seen' : 'ended at a violation') : `limit: ${exploration.limit}`}`,
    `XState asked ${count(exploration.calls, 'time')}; decision trees: ${thousands(exploration.treeNodes)} nodes, ${thousands(exploration.treeLeaves)} leaves`,
    `local states: ${exploration.localStates.map(({ actor, states }) => `${actor} ${states}`).join(', ')}`,
    ...list('properties', result.properties.map(property)),
    ...list('never tested', vacuous),
    ...list('unreached', exploration.unreached),
    ...list('ignored messages', exploration.ignoredMessages),
  ]
    .map((text) => `      ${text}`)
    .join('\n');
}
