import type { LiveStep } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';
import { laneOf } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import { actingBefore } from './before.js';
import type { ColumnsOptions } from './columns.js';
import { answerTo, doing, spokenIn, uneventful } from './doing.js';
import { loopMark } from './lasso.js';
import { brief, count } from './text.js';
import { wrap } from './wrap.js';

/** Where a block begins and ends, as places in the schedule; `to` is the first that is not in it. */
interface Block {
  from: number;
  to: number;
}

/** A longer run of uneventful steps of one lane keeps its first and its last. */
const longest = 3;

/** Who acts: `CPU 0 (gup_fast), gup`. */
function actorOf({ choice: { actor } }: LiveStep): string {
  return actor.lane === null ? actor.address : `${actor.lane}, ${actor.address}`;
}

/** Runs of uneventful steps of one lane before the loop, and every other step by itself. */
function blocksOf(steps: readonly LiveStep[], loop: number, fold: boolean): Block[] {
  const quiet = fold ? uneventful(steps) : [];
  const lane = (at: number): string => laneOf((steps[at] as LiveStep).choice.actor);
  const blocks: Block[] = [];
  for (let from = 0; from < steps.length; ) {
    let to = from + 1;
    while (quiet[from] && to < loop && quiet[to] && lane(to) === lane(from)) to++;
    blocks.push({ from, to });
    from = to;
  }
  return blocks;
}

/** What is said in a step, without the answer that stands beside what it does and acknowledgements that say nothing. */
function messagesOf(step: LiveStep): string[] {
  const answer = answerTo(step);
  const { address } = step.choice.actor;
  return spokenIn(step).flatMap((message) => {
    const { from, to, event } = message;
    const says = brief(event);
    if (message === answer || (to === address && says === '')) return [];
    return [`${from} -> ${to}: ${says === '' ? event.type : `${event.type} ${says}`}`];
  });
}

const title = ({ from, to }: Block, width: number): string => `[Time ${to - from === 1 ? to : `${from + 1} to ${to}`}] `.padEnd(width, '-');

/**
 * A schedule as mails on memory management tell a race: a block for each moment, with who acts, what it does, and what is said.
 * A step's time is its number.
 * @param ending What the last line says after `=> ` (see `violationText`); null for no such line.
 */
export function times(replay: Replay, ending: string | null, options: ColumnsOptions = {}): string {
  const { fold = true, width = 75, name } = options;
  const { steps } = replay;
  const loop = Math.min(options.loop ?? steps.length, steps.length);
  const before = actingBefore(replay);
  const told = (at: number): string[] => {
    const step = steps[at] as LiveStep;
    const messages = messagesOf(step).flatMap((text) => wrap(text, width - 4).map((line) => `    ${line}`));
    return [...wrap(`${actorOf(step)}: ${doing(step, before[at] as AnySnapshot, name)}`, width), ...messages];
  };
  const block = ({ from, to }: Block): string[] => {
    const places = Array.from({ length: to - from }, (_, at) => from + at);
    const lines = to - from > longest ? [...told(from), `... (${count(to - from - 2, 'step')})`, ...told(to - 1)] : places.flatMap(told);
    return [...(from === loop ? [loopMark(loop, steps.length, width)] : []), title({ from, to }, width), ...lines];
  };
  return [...blocksOf(steps, loop, fold).flatMap(block), ...(ending === null ? [] : wrap(`=> ${ending}`, width, 3))].join('\n');
}
