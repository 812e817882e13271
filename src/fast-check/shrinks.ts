import { type Choice, laneOf } from '../system/system.js';
import { independent, type State, type Taken, type Walker } from './walker.js';

/** How often another column of the diagram goes on. */
const switches = (lanes: readonly string[]): number => lanes.filter((lane, at) => at > 0 && lane !== lanes[at - 1]).length;

/** The schedule with the steps that `keeps` names, and that fit; those that do not fit any more are left out, too. */
function kept(walker: Walker, schedule: readonly number[], keeps: (at: number) => boolean): number[] {
  const left: number[] = [];
  let state: State = walker.start;
  for (const [at, choice] of schedule.entries()) {
    const step = keeps(at) ? walker.take(state, choice) : null;
    if (!step) continue;
    left.push(choice);
    if (step.error) break;
    ({ state } = step);
  }
  return left;
}

/** Halves, quarters, ... of the schedule, as [from, to). */
function* chunks(length: number): Generator<[number, number]> {
  for (let size = Math.ceil(length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0)
    for (let from = 0; from < length; from += size) yield [from, Math.min(from + size, length)];
}

/** Per step, what to leave out together with it: the steps of its actor from there on; the next one of its actor. */
function* companies(system: Walker['system'], schedule: readonly number[]): Generator<(at: number) => boolean> {
  const actorAt = (at: number): number => system.choices[schedule[at] as number]?.actor.index as number;
  for (const start of schedule.keys()) {
    yield (at) => at < start || actorAt(at) !== actorAt(start);
    const second = schedule.findIndex((_, at) => at > start && actorAt(at) === actorAt(start));
    if (second > 0) yield (at) => at !== start && at !== second;
  }
}

/** Shorter schedules: beginnings first, since what goes wrong early needs no more; then with steps left out, many first. */
function* shorter(walker: Walker, schedule: readonly number[]): Generator<readonly number[]> {
  const { length } = schedule;
  for (let cut = length; cut >= 1; cut = cut > 1 ? Math.floor(cut / 2) : 0) yield schedule.slice(0, length - cut);
  for (const [from, to] of chunks(length)) yield kept(walker, schedule, (at) => at < from || at >= to);
  for (const keeps of companies(walker.system, schedule)) yield kept(walker, schedule, keeps);
}

/** The same steps in another order, in which they belong to one column for longer: a step goes before others that it is independent of. */
function* calmer(walker: Walker, schedule: readonly number[], steps: readonly Taken[]): Generator<readonly number[]> {
  const { choices } = walker.system;
  const lanes = schedule.map((choice) => laneOf((choices[choice] as Choice).actor));
  const moved = <T>(list: readonly T[], from: number, to: number): T[] => {
    const rest = list.filter((_, at) => at !== from);
    return [...rest.slice(0, to), list[from] as T, ...rest.slice(to)];
  };
  const now = switches(lanes);
  for (let from = 1; from < schedule.length; from++)
    for (let to = from - 1; to >= 0 && independent(steps[to] as Taken, steps[from] as Taken); to--)
      if (switches(moved(lanes, from, to)) < now) yield moved(schedule, from, to);
}

/**
 * Schedules that fit and are simpler: shorter ones, and of the same length those that change less often from one column to another. A
 * schedule of which none of these fails is locally minimal: each single step was left out alone.
 */
export function* simpler(walker: Walker, schedule: readonly number[]): Generator<readonly number[]> {
  const steps = walker.walk(schedule);
  if (!steps) return;
  const seen = new Set<string>();
  const isNew = (candidate: readonly number[]): boolean => seen.size < seen.add(candidate.join()).size;
  for (const candidate of shorter(walker, schedule)) if (isNew(candidate)) yield candidate;
  for (const candidate of calmer(walker, schedule, steps)) if (isNew(candidate) && walker.walk(candidate)) yield candidate;
}
