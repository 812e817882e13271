import type { Random } from 'fast-check';
import { type Choice, laneOf, type System } from '../system/system.js';
import type { Judge } from './judge.js';
import { matters, type State, type Taken, type Walker } from './walker.js';

/** A schedule as it was made, and where it ended. */
export interface Walk {
  schedule: number[];
  /** It ends with a violation of what it was to go towards. */
  violates: boolean;
}

/** Picks among the choices that are enabled; those that came to nothing in this state are offered no more. */
type Pick = (offered: readonly number[], state: State, at: number) => number;

/** Who acts: those of one column of a diagram, a thread on its CPU for instance. */
const actingOf = ({ actor }: Choice): string => laneOf(actor);

/** Each draw of a schedule has likes of its own: a choice that is rare in one is frequent in another (as swarm testing has it, Groce et al., ISSTA 2012). */
function likes({ choices }: System, random: Random): readonly number[] {
  const ofActing = new Map([...new Set(choices.map(actingOf))].map((who) => [who, 1 << random.nextInt(0, 5)]));
  return choices.map((choice) => (ofActing.get(actingOf(choice)) as number) * (choice.fair ? 1 : 1 / (1 << random.nextInt(0, 4))));
}

/** One of the choices, each as likely as it is liked. */
function liked(random: Random, weights: readonly number[], offered: readonly number[]): number {
  let left = random.nextDouble() * offered.reduce((sum, index) => sum + (weights[index] as number), 0);
  for (const index of offered) {
    left -= weights[index] as number;
    if (left < 0) return index;
  }
  return offered.at(-1) as number;
}

const anyOf = <T>(random: Random, list: readonly T[]): T => list[random.nextInt(0, list.length - 1)] as T;

/** The first of the choices picked of which something comes; null if of none. */
function next(walker: Walker, state: State, pick: (offered: readonly number[]) => number): { choice: number; step: Taken } | null {
  const offered = walker.enabled(state);
  while (offered.length > 0) {
    const choice = pick(offered);
    const step = walker.take(state, choice);
    if (step && matters(step)) return { choice, step };
    offered.splice(offered.indexOf(choice), 1);
  }
  return null;
}

/** Goes on for `length` steps, as long as anything can change, and to the first violation at most if somebody judges. */
function go(walker: Walker, length: number, pick: Pick, judge: Judge | null): Walk {
  const schedule: number[] = [];
  let state = walker.start;
  let violates = judge?.violated(state, walker.startBugs) ?? false;
  while (schedule.length < length && !violates) {
    const found = next(walker, state, (offered) => pick(offered, state, schedule.length));
    if (!found) return { schedule, violates: judge?.stuck(state) ?? false };
    schedule.push(found.choice);
    if (found.step.error) break;
    ({ state } = found.step);
    violates = judge?.violated(state, found.step.bugs) ?? false;
  }
  return { schedule, violates };
}

/** At random; how likely each choice is differs from schedule to schedule. */
export function randomWalk(walker: Walker, length: number, random: Random): Walk {
  const weights = likes(walker.system, random);
  return go(walker, length, (offered) => liked(random, weights, offered), null);
}

/**
 * At random, but that a fair choice that has been enabled for as many steps as there are fair choices goes before the younger ones: what
 * stays enabled, and able to change something, is taken within twice as many.
 */
export function fairWalk(walker: Walker, length: number, random: Random): Walk {
  const { choices } = walker.system;
  const weights = likes(walker.system, random);
  const patience = choices.filter(({ fair }) => fair).length;
  /** Since which step each fair choice is enabled; null where it is not. */
  const since: (number | null)[] = choices.map(() => null);
  let seen = -1;
  let last = -1;
  const note = (state: State, at: number): void => {
    const enabled = new Set(walker.enabled(state));
    for (const { index, fair } of choices) since[index] = !fair || !enabled.has(index) ? null : index === last ? at : (since[index] ?? at);
    seen = at;
  };
  const pick: Pick = (offered, state, at) => {
    if (at > seen) note(state, at);
    // What came to nothing is waited for no more.
    for (const { index } of choices) if (since[index] !== null && !offered.includes(index)) since[index] = null;
    const waiting = offered.filter((index) => since[index] !== null && at - (since[index] as number) >= patience);
    const oldest = waiting.reduce<number | null>((a, b) => (a === null || (since[b] as number) < (since[a] as number) ? b : a), null);
    last = oldest ?? liked(random, weights, offered);
    return last;
  };
  return go(walker, length, pick, null);
}

/**
 * Threads have priorities, drawn by lot: the first that can do something acts, and a few times, at steps drawn by lot, the one that acts
 * becomes the last (Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS 2010). The environment comes in between, at random.
 * Ends where what was asked for is violated.
 */
export function adverseWalk(walker: Walker, length: number, horizon: number, random: Random, judge: Judge): Walk {
  const { choices } = walker.system;
  const rank = new Map<string, number>();
  for (const who of new Set(choices.map(actingOf))) rank.set(who, random.nextDouble());
  const turns = new Set(Array.from({ length: random.nextInt(0, mostTurns) }, () => random.nextInt(0, horizon - 1)));
  const outside = random.nextInt(0, 1) === 0 ? 0.1 : 0.4;
  const pick: Pick = (offered, _, at) => {
    const free = offered.filter((index) => !choices[index]?.fair);
    const owed = offered.filter((index) => choices[index]?.fair);
    if (free.length > 0 && (owed.length === 0 || random.nextDouble() < outside)) return anyOf(random, free);
    const rankOf = (index: number): number => rank.get(actingOf(choices[index] as Choice)) as number;
    const best = Math.max(...owed.map(rankOf));
    const first = owed.filter((index) => rankOf(index) === best);
    const choice = anyOf(random, first);
    if (turns.delete(at)) rank.set(actingOf(choices[choice] as Choice), -at);
    return choice;
  };
  return go(walker, length, pick, judge);
}

const mostTurns = 4;
