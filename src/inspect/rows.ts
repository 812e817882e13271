import { laneOf } from '../system/system.js';
import type { Walk } from './walk.js';

/** A row of the lanes: a step, or a stretch that is folded. */
export type Row = { kind: 'step'; number: number } | { kind: 'fold'; from: number; to: number };

const shortestFolded = 5;

const laneAt = (walk: Walk, number: number): string => laneOf(walk.stepAt(number).choice.actor);

/** Whether a step speaks to nobody but its own actor, or changes nothing at all. */
function isIdle(walk: Walk, number: number): boolean {
  const { choice, messages, changed } = walk.stepAt(number);
  const own = choice.actor.index;
  return messages.every(({ from, to }) => (from === null || from.index === own) && to.index === own) && changed.every(({ actor }) => actor.index === own);
}

/**
 * The rows of a walk. With `fold`, stretches of one lane that concern nobody else are one row each; one that holds a step of `open` is
 * not folded. A stretch does not reach across the beginning of a loop, which is after step `loop`, and the first step of one is shown.
 */
export function rowsOf(walk: Walk, { fold, open, loop = null }: { fold: boolean; open: ReadonlySet<number>; loop?: number | null }): Row[] {
  const rows: Row[] = [];
  for (let number = 1; number <= walk.length; ) {
    let end = number;
    if (fold && isIdle(walk, number) && number - 1 !== loop)
      while (end < walk.length && end !== loop && isIdle(walk, end + 1) && laneAt(walk, end + 1) === laneAt(walk, number)) end++;
    const isOpen = (): boolean => Array.from({ length: end - number + 1 }, (_, at) => number + at).some((step) => open.has(step));
    if (end - number + 1 >= shortestFolded && !isOpen()) rows.push({ kind: 'fold', from: number, to: end });
    else for (let step = number; step <= end; step++) rows.push({ kind: 'step', number: step });
    number = end + 1;
  }
  return rows;
}
