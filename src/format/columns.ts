import type { LiveStep } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';
import { laneOf, type SystemActor } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import { actingBefore } from './before.js';
import { doing, type StepName, uneventful } from './doing.js';
import { loopMark } from './lasso.js';
import { count } from './text.js';
import { row, wrap } from './wrap.js';

/** How a schedule is drawn in columns. */
export interface ColumnsOptions {
  /** Fold uneventful stretches before the loop (default). */
  fold?: boolean;
  /** Characters a line; default 75, what a commit message has room for. */
  width?: number;
  /** Steps before those that repeat for ever, if some do; a line marks where they begin. */
  loop?: number | null;
  /** What a step does, where the state before it does not say it. */
  name?: StepName;
}

interface Cell {
  column: number;
  text: string;
}

/** The titles of the columns, which of them a step stands in, and how its actor is named there. */
interface Columns {
  titles: string[];
  place: (actor: SystemActor) => { column: number; prefix: string };
}

/** More columns than this, and actors without a lane get none of their own. */
const most = 3;
/** More columns than this are too narrow for many a cell. */
const roomy = 2;
const narrowest = 12;

const widthOf = (columns: number, total: number): number => Math.floor((total - gapOf(columns) * (columns - 1)) / columns);
const gapOf = (columns: number): number => (columns > 2 ? 2 : 4);

function arrange({ system, steps }: Replay, total: number): Columns {
  const acting = new Set(steps.map(({ choice }) => choice.actor));
  const used = new Set([...acting].map(laneOf));
  const homeless = system.actors.filter((actor) => actor.lane === null && acting.has(actor)).map(({ address }) => address);
  let lanes = [...new Set(system.actors.flatMap(({ lane }) => (lane === null ? [] : [lane])))];
  // Nobody draws an idle CPU when that makes the others narrow.
  if (lanes.length + homeless.length > roomy) lanes = lanes.filter((lane) => used.has(lane));
  const titles = lanes.length + homeless.length <= most ? [...lanes, ...homeless] : lanes;
  if (titles.length === 0 || widthOf(titles.length, total) < narrowest)
    return { titles: ['all actors'], place: (actor) => ({ column: 0, prefix: `${laneOf(actor)}: ` }) };
  return {
    titles,
    place: (actor) => {
      const column = titles.indexOf(laneOf(actor));
      const named = column < 0 || (actor.lane !== null && !actor.path);
      return { column: Math.max(column, 0), prefix: named ? `${actor.address}: ` : '' };
    },
  };
}

const shortestFolded = 4;

/** Keeps the first and the last of each long run of uneventful steps of one lane, of the steps before one. */
function fold(steps: readonly LiveStep[], cells: readonly Cell[], to: number): Cell[] {
  const quiet = uneventful(steps);
  const lane = (at: number): string => laneOf((steps[at] as LiveStep).choice.actor);
  const kept: Cell[] = [];
  for (let at = 0; at < to; ) {
    let end = at + 1;
    while (quiet[at] && end < to && quiet[end] && lane(end) === lane(at)) end++;
    const run = cells.slice(at, end);
    const [first, last] = [run[0] as Cell, run.at(-1) as Cell];
    if (run.length >= shortestFolded) kept.push(first, { column: first.column, text: `... (${count(run.length - 2, 'step')})` }, last);
    else kept.push(...run);
    at = end;
  }
  return kept;
}

/**
 * A schedule as kernel developers draw it in commit messages: a column per CPU, time running down.
 * @param ending What the last line says after `=> ` (see `violationText`); null for no such line.
 */
export function columns(replay: Replay, ending: string | null, options: ColumnsOptions = {}): string {
  const { fold: folding = true, width: total = 75 } = options;
  const length = replay.steps.length;
  const loop = Math.min(options.loop ?? length, length);
  const { titles, place } = arrange(replay, total);
  const width = widthOf(titles.length, total);
  const gap = gapOf(titles.length);
  const before = actingBefore(replay);
  const cells = replay.steps.map((step, at): Cell => {
    const { column, prefix } = place(step.choice.actor);
    return { column, text: prefix + doing(step, before[at] as AnySnapshot, options.name) };
  });
  const drawn = (shown: readonly Cell[]): string[] =>
    shown.flatMap(({ column, text }) =>
      row(
        titles.map((_, at) => (at === column ? text : '')),
        width,
        gap,
      ),
    );
  return [
    ...row(titles, width, gap),
    titles.map(() => '-'.repeat(width)).join(' '.repeat(gap)),
    ...drawn(folding ? fold(replay.steps, cells, loop) : cells.slice(0, loop)),
    ...(loop < length ? [loopMark(loop, length, titles.length * (width + gap) - gap)] : []),
    // What goes round is what there is to see, however few take part.
    ...drawn(cells.slice(loop)),
    ...(ending === null ? [] : wrap(`=> ${ending}`, total, 3)),
  ].join('\n');
}
