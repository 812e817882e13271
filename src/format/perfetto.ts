import type { LiveStep } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';
import { labelOf, type SystemActor } from '../system/system.js';
import { type AnySnapshot, placeOf } from '../system/view.js';
import { actingBefore } from './before.js';
import { becameText, changesOf, whereOf } from './changes.js';
import { doing, takingPart } from './doing.js';
import { type Handling, handlingsOf } from './handlings.js';
import { brief, inFull } from './text.js';

/** An event of Chrome's trace event format. Times (`ts`, `dur`) are in microseconds. */
interface TraceEvent {
  ph: 'M' | 'X' | 's' | 'f' | 'i';
  name: string;
  pid: number;
  tid?: number;
  ts?: number;
  [field: string]: unknown;
}

/** A thread of a process. */
interface Track {
  pid: number;
  tid: number;
}

/** How long a step is drawn, in microseconds: step n begins at n milliseconds. */
const stepLength = 1000;
const laneless = 'actors without a lane';

/** A process for each lane, a thread for each actor; no number stands for both. */
function tracksOf(actors: readonly SystemActor[]): { tracks: Map<string, Track>; names: TraceEvent[] } {
  const lanes = [...new Set([...actors.flatMap(({ lane }) => lane ?? []), ...(actors.some(({ lane }) => lane === null) ? [laneless] : [])])];
  const tracks = new Map(actors.map(({ address, lane }, at) => [address, { pid: lanes.indexOf(lane ?? laneless) + 1, tid: lanes.length + at + 1 }]));
  const meta = (name: string, track: Partial<Track> & Pick<Track, 'pid'>, args: object): TraceEvent => ({ ph: 'M', name, ...track, args });
  const processes = lanes.flatMap((name, at) => {
    const track = { pid: at + 1 };
    return [meta('process_name', track, { name }), meta('process_sort_index', track, { sort_index: at + 1 })];
  });
  return { tracks, names: [...processes, ...[...tracks].map(([name, track]) => meta('thread_name', track, { name }))] };
}

/** What a step changed, as one line for each thing. */
const changesIn = (step: LiveStep): Record<string, string> => Object.fromEntries(changesOf(step).map((change) => [whereOf(change), becameText(change)]));

interface Told {
  step: LiveStep;
  before: AnySnapshot;
  handlings: readonly Handling[];
  tracks: ReadonlyMap<string, Track>;
  /** The number of its first flow. */
  flow: number;
}

/** A step: a slice of its actor, in which the messages it leads to are slices of those who get them, with an arrow from the slice in which each was sent. */
function eventsOf({ step, before, handlings, tracks, flow }: Told): TraceEvent[] {
  const start = step.number * stepLength;
  const at = (slot: number): number => start + Math.floor((slot * stepLength) / handlings.length);
  const track = (handling: number): Track => tracks.get(handlings[handling]?.to as string) as Track;
  const args = { state: placeOf(before), choice: labelOf(step.choice), changes: changesIn(step) };
  const slices = handlings.map(({ event }, slot): TraceEvent => {
    if (slot === 0) return { ph: 'X', cat: 'step', name: doing(step, before), ...track(0), ts: start, dur: stepLength, args };
    const says = brief(event);
    const name = says === '' ? event.type : `${event.type} ${says}`;
    return { ph: 'X', cat: 'message', name, ...track(slot), ts: at(slot), dur: at(slot + 1) - at(slot), args: { message: inFull(event) } };
  });
  const arrows = handlings.flatMap(({ event, cause }, slot): TraceEvent[] => {
    if (cause === null) return [];
    const same = { cat: 'message', name: event.type, id: flow + slot };
    return [
      { ph: 's', ...same, ...track(cause), ts: at(cause) },
      { ph: 'f', bp: 'e', ...same, ...track(slot), ts: at(slot) },
    ];
  });
  return [...slices, ...arrows];
}

/**
 * A schedule in Chrome's trace event format, for Perfetto: lanes as processes, actors as threads, a millisecond for each step.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function perfetto(replay: Replay, ending: string | null, loop: number | null = null): string {
  const { system, steps } = replay;
  const { tracks, names } = tracksOf(takingPart(system.actors, steps));
  const before = actingBefore(replay);
  let flow = 1;
  const events = handlingsOf(replay).flatMap((handlings, at) => {
    const told = { step: steps[at] as LiveStep, before: before[at] as AnySnapshot, handlings, tracks, flow };
    flow += handlings.length;
    return eventsOf(told);
  });
  const anywhere: Track = tracks.get(steps.at(-1)?.choice.actor.address ?? '') ?? [...tracks.values()][0] ?? { pid: 1, tid: 1 };
  const mark = (cat: string, name: string, step: number): TraceEvent => ({ ph: 'i', s: 'g', cat, name, ...anywhere, ts: step * stepLength });
  const marks = [
    ...(loop !== null && loop < steps.length ? [mark('loop', 'from here on, for ever', loop + 1)] : []),
    ...(ending === null ? [] : [mark('ending', ending, steps.length + 1)]),
  ];
  // Stable: a slice stays before the arrows at its beginning, which belong to the slice that began last.
  const timed = [...events, ...marks].sort((one, other) => (one.ts as number) - (other.ts as number));
  return `{"displayTimeUnit": "ms", "traceEvents": [\n${[...names, ...timed].map((event) => JSON.stringify(event)).join(',\n')}\n]}`;
}
