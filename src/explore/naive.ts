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

/** A state, with the possibilities of the system that it asks for and those that it reaches. */
interface NaiveState {
  depth: number;
  asks: Set<string>;
  reaches: Set<string>;
  next: Set<string>;
}

/** Per violated possibility, the depth of the first state that asks for it and from which no way leads to a state that reaches it. */
function unreachable(system: System, states: ReadonlyMap<string, NaiveState>): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, kind } of system.properties) {
    if (kind !== 'possibility') continue;
    const within = new Set([...states].flatMap(([key, { reaches }]) => (reaches.has(name) ? [key] : [])));
    for (let before = -1; before < within.size; ) {
      before = within.size;
      for (const [key, { next }] of states) if ([...next].some((to) => within.has(to))) within.add(key);
    }
    const lost = [...states].filter(([key, { asks }]) => asks.has(name) && !within.has(key)).map(([, { depth }]) => depth);
    if (lost.length > 0) found.set(name, Math.min(...lost));
  }
  return found;
}

/**
 * The explorer's naive twin, for small systems: breadth-first over live XState systems, one run from the start for every
 * transition, states told apart by their JSON text. It shares nothing with the explorer but the system and the word for
 * an actor's state, and is as slow as it is simple.
 */
export function exploreNaively(system: System, limit = 10_000): NaiveResult {
  const violated = new Map<string, number>();
  const seen = new Map<string, NaiveState>();
  let level: number[][] = [];
  let transitions = 0;
  let depth = 0;

  const visit = (live: LiveSystem, schedule: number[], next: number[][]): void => {
    const state: NaiveState = { depth: schedule.length, asks: new Set(), reaches: new Set(), next: new Set() };
    const note = (name: string): void => void (violated.has(name) || violated.set(name, schedule.length));
    for (const { tags } of live.bugs()) for (const name of violatedBy(system.properties, tags)) note(name);
    const key = live.identity().join('\n');
    if (seen.has(key)) return;
    if (seen.set(key, state).size > limit) throw new Error(`more than ${limit} states: too many for the naive search`);
    next.push(schedule);
    for (const property of system.properties) {
      if (property.kind !== 'invariant' && property.kind !== 'possibility') continue;
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
      if (property.kind === 'possibility') {
        if (property.when(snapshots)) state.asks.add(property.name);
        if (property.reach(snapshots)) state.reaches.add(property.name);
      } else if ((property.when?.(snapshots) ?? true) && !property.holds(snapshots)) note(property.name);
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
        const after = live.identity().join('\n');
        progress ||= choice.fair && after !== before;
        seen.get(before)?.next.add(after);
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
  for (const [name, depth] of unreachable(system, seen)) violated.set(name, Math.min(depth, violated.get(name) ?? depth));
  return { states: seen.size, transitions, depth: depth - 1, violated };
}
