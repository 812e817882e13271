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
  /** Per violated property, the length of a shortest schedule; of an eventuality, that of a shortest way to where its loop can begin. */
  violated: Map<string, number>;
}

/** A state, with the possibilities and eventualities of the system that it asks for and those that it reaches. */
interface NaiveState {
  depth: number;
  asks: Set<string>;
  reaches: Set<string>;
  /** The choices that change it, and where they lead. */
  steps: { choice: number; to: string }[];
}

type NaiveStates = ReadonlyMap<string, NaiveState>;

/** Per violated possibility, the depth of the first state that asks for it and from which no way leads to a state that reaches it. */
function unreachable(system: System, states: NaiveStates): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, kind } of system.properties) {
    if (kind !== 'possibility') continue;
    const within = new Set([...states].flatMap(([key, { reaches }]) => (reaches.has(name) ? [key] : [])));
    for (let before = -1; before < within.size; ) {
      before = within.size;
      for (const [key, { steps }] of states) if (steps.some(({ to }) => within.has(to))) within.add(key);
    }
    const lost = [...states].filter(([key, { asks }]) => asks.has(name) && !within.has(key)).map(([, { depth }]) => depth);
    if (lost.length > 0) found.set(name, Math.min(...lost));
  }
  return found;
}

/** Of some states, those from which steps within them lead to one of `to`, or that are of these. */
function leadingTo(states: NaiveStates, within: ReadonlySet<string>, to: ReadonlySet<string>): Set<string> {
  const leading = new Set(to);
  for (let before = -1; before < leading.size; ) {
    before = leading.size;
    for (const key of within) if (states.get(key)?.steps.some((step) => leading.has(step.to))) leading.add(key);
  }
  return leading;
}

/** Of some states, those in which a choice is not owed, or from which it leads to one of them. A run that passes there again and again is fair to it. */
const fairTo = (states: NaiveStates, within: ReadonlySet<string>, choice: number): Set<string> =>
  new Set(
    [...within].filter((key) => {
      const step = states.get(key)?.steps.find((taken) => taken.choice === choice);
      return !step || within.has(step.to);
    }),
  );

/**
 * The states in which a fair run can stay for ever where an eventuality has not come: of the greatest set from whose every state steps
 * within it lead to where each fair choice is served (Emerson and Lei's fixed point; a run may also stay in one state for ever), those that
 * lead to one another, or nowhere, and are fair as such.
 */
function fairStates(states: NaiveStates, choices: readonly number[], avoided: string): Set<string> {
  let rest = new Set([...states].flatMap(([key, { reaches }]) => (reaches.has(avoided) ? [] : [key])));
  for (let before = -1; before !== rest.size; ) {
    before = rest.size;
    for (const choice of choices) rest = leadingTo(states, rest, fairTo(states, rest, choice));
  }
  const ahead = new Map([...rest].map((key) => [key, leadingTo(states, rest, new Set([key]))]));
  const together = (key: string): Set<string> => new Set([...rest].filter((other) => ahead.get(key)?.has(other) && ahead.get(other)?.has(key)));
  return new Set([...rest].filter((key) => choices.every((choice) => fairTo(states, together(key), choice).size > 0)));
}

/** Per violated eventuality, the length of a shortest way to a state in which a fair run can stay for ever without what should come since the premise. */
function neverComing(system: System, states: NaiveStates): Map<string, number> {
  const found = new Map<string, number>();
  const choices = system.choices.filter(({ fair }) => fair).map(({ index }) => index);
  for (const { name, kind } of system.properties) {
    if (kind !== 'eventuality') continue;
    const fair = fairStates(states, choices, name);
    const distances = new Map([...states].flatMap(([key, { asks, reaches, depth }]) => (asks.has(name) && !reaches.has(name) ? [[key, depth]] : [])));
    for (let changed = true; changed; ) {
      changed = false;
      for (const [key, distance] of distances)
        for (const { to } of states.get(key)?.steps ?? []) {
          if (states.get(to)?.reaches.has(name) || (distances.get(to) ?? Number.POSITIVE_INFINITY) <= distance + 1) continue;
          distances.set(to, distance + 1);
          changed = true;
        }
    }
    const lasting = [...distances].flatMap(([key, distance]) => (fair.has(key) ? [distance] : []));
    if (lasting.length > 0) found.set(name, Math.min(...lasting));
  }
  return found;
}

/**
 * The explorer's naive twin, for small systems: breadth-first over live XState systems, one run from the start for every
 * transition, states told apart by their JSON text. Possibilities and eventualities are judged on the graph that comes of it, by
 * fixed points over sets of states. It shares nothing with the explorer but the system and the word for
 * an actor's state, and is as slow as it is simple.
 */
export function exploreNaively(system: System, limit = 10_000): NaiveResult {
  const violated = new Map<string, number>();
  const seen = new Map<string, NaiveState>();
  let level: number[][] = [];
  let transitions = 0;
  let depth = 0;

  const visit = (live: LiveSystem, schedule: number[], next: number[][]): void => {
    const state: NaiveState = { depth: schedule.length, asks: new Set(), reaches: new Set(), steps: [] };
    const note = (name: string): void => void (violated.has(name) || violated.set(name, schedule.length));
    for (const { tags } of live.bugs()) for (const name of violatedBy(system.properties, tags)) note(name);
    const key = live.identity().join('\n');
    if (seen.has(key)) return;
    if (seen.set(key, state).size > limit) throw new Error(`more than ${limit} states: too many for the naive search`);
    next.push(schedule);
    for (const property of system.properties) {
      if (property.kind === 'bug' || property.kind === 'deadlock') continue;
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
      if (property.kind !== 'invariant') {
        if (property.when?.(snapshots) ?? true) state.asks.add(property.name);
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
        if (after !== before) seen.get(before)?.steps.push({ choice: choice.index, to: after });
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
  for (const [name, depth] of [...unreachable(system, seen), ...neverComing(system, seen)]) violated.set(name, Math.min(depth, violated.get(name) ?? depth));
  return { states: seen.size, transitions, depth: depth - 1, violated };
}
