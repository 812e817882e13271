import { count, thousands } from '../format/text.js';
import type { Claim } from './claims.js';
import { oneLine } from './names.js';
import type { Tables } from './tables.js';

const verdict = ({ violated }: Claim): string => (violated === null ? '' : violated ? ' (violated)' : ' (holds)');

/** What a reader of any model has to know, as lines. `why` says why a property is not in the model; null if it is. */
export function notes({ system, states, rows, actors, constant, choices, claims }: Tables, why: (claim: Claim) => string | null): string[] {
  const left = claims.flatMap((claim) => {
    const reason = why(claim);
    return reason === null ? [] : [`  ${claim.name} (${claim.kind}): ${reason}`];
  });
  const idle = choices.filter((choice) => choice.rows.length === 0).map(({ choice }) => `${choice.actor.address} ${choice.event.type}`);
  const lines = [
    `${system.id}, written by 'shootdown export'.`,
    '',
    'An actor is the number of its local state. A step is one choice, taken whole: with all messages that follow from it. Each row below',
    'says what a choice does where the actors that it reaches are in these local states; they come from a search of all states.',
    `${count(actors.length, 'actor')}, ${count(choices.length, 'choice')}, ${count(rows, 'row')}, ${count(states, 'state')}.`,
    '',
    'Properties, with what the search found:',
    ...claims.map((claim) => `  ${claim.name} (${claim.kind}): ${claim.description}${verdict(claim)}`),
    ...(left.length > 0 ? ['', 'Not in the model, or not the whole of it:', ...left] : []),
    ...(constant.length > 0 ? ['', `Actors that stay in their one local state, and are left out: ${constant.join(', ')}`] : []),
    ...(idle.length > 0 ? ['', `Choices that never change anything, and are left out: ${idle.join(', ')}`] : []),
  ];
  return lines.map(oneLine);
}

export const sizes = ({ actors, choices, rows, states }: Tables): string =>
  `${count(actors.length, 'actor')}, ${count(choices.length, 'choice')}, ${count(rows, 'row')}, ${thousands(states)} states`;
