import { deedOf } from '../format/doing.js';
import { brief } from '../format/text.js';
import { type AnySnapshot, placeOf } from '../system/view.js';
import type { Walk, WalkStep } from './walk.js';

/** What the acting actor does: where it was for a `step` (in kernel machines, the function), else the choice. */
export function actionOf({ choice }: WalkStep, before: AnySnapshot): string {
  return deedOf(choice, before);
}

/** A step in words, for who does not see the picture. */
export function sentenceOf(walk: Walk, number: number): string {
  const step = walk.stepAt(number);
  const { actor } = step.choice;
  const lane = actor.lane === null ? '' : `${actor.lane}, `;
  const said = step.messages.flatMap(({ from, to, event }) =>
    from === null ? [] : [`${from.address} tells ${to.address} ${[event.type, brief(event)].filter((part) => part !== '').join(' ')}`],
  );
  const moved = step.changed.flatMap((change) => {
    const [before, after] = [placeOf(change.before), placeOf(change.after)];
    return before === after ? [`${change.actor.address} changes`] : [`${change.actor.address} is now in ${after}`];
  });
  return `Step ${number}: ${lane}${actor.address}: ${[actionOf(step, walk.snapshot(actor, number - 1)), ...said, ...moved].join('; ')}.`;
}
