import { LiveSystem } from '../live/live.js';
import { recorded } from '../live/strategies.js';
import { violatedBy } from '../property/property.js';
import type { System } from '../system/system.js';
import { rests } from '../system/view.js';

/** What the naive search finds; the explorer must find the same. */
export interface NaiveResult {
  states: number;
  transitions: number;
  depth: number;
  /** Per violated property, the length of a shortest schedule. */
  violated: Map<string, number>;
}

/**
 * The explorer's naive twin, for small systems: breadth-first over live XState systems, one run from the start for every
 * transition, states told apart by their JSON text. It shares nothing with the explorer but the system and the word for
 * an actor's state, and is as slow as it is simple.
 */
export function exploreNaively(system: System, limit = 10_000): NaiveResult {
  const violated = new Map<string, number>();
  const seen = new Set<string>();
  let level: number[][] = [];
  let transitions = 0;
  let depth = 0;

  const visit = (live: LiveSystem, schedule: number[], next: number[][]): void => {
    const note = (name: string): void => void (violated.has(name) || violated.set(name, schedule.length));
    for (const { tags } of live.bugs()) for (const name of violatedBy(system.properties, tags)) note(name);
    const key = live.identity().join('\n');
    if (seen.has(key)) return;
    if (seen.add(key).size > limit) throw new Error(`more than ${limit} states: too many for the naive search`);
    next.push(schedule);
    for (const property of system.properties) {
      if (property.kind !== 'invariant') continue;
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
      if ((property.when?.(snapshots) ?? true) && !property.holds(snapshots)) note(property.name);
    }
  };

  const rerun = (schedule: number[]): LiveSystem => {
    const live = new LiveSystem(system);
    live.run(recorded(live, schedule));
    return live;
  };

  const start = new LiveSystem(system);
  visit(start, [], level);
  start.stop();
  for (; level.length > 0; depth++) {
    const next: number[][] = [];
    for (const schedule of level) {
      const here = rerun(schedule);
      const before = here.identity().join('\n');
      let progress = false;
      for (const choice of here.enabled()) {
        transitions++;
        const live = rerun([...schedule, choice.index]);
        progress ||= choice.fair && live.identity().join('\n') !== before;
        visit(live, [...schedule, choice.index], next);
        live.stop();
      }
      const stuck = system.actors.filter((actor) => actor.path && !rests(here.snapshot(actor.address)));
      const deadlock = system.properties.find(({ kind }) => kind === 'deadlock')?.name as string;
      if (!progress && stuck.length > 0 && !violated.has(deadlock)) violated.set(deadlock, schedule.length);
      here.stop();
    }
    level = next;
  }
  return { states: seen.size, transitions, depth: depth - 1, violated };
}
