import { from, Observable } from 'rxjs';
import { type Choice, choiceAt } from '../system/system.js';
import type { LiveSystem } from './live.js';

/** A stream of choices that asks the system what is possible before each; it ends with the system, or after `steps`. */
function asking(live: LiveSystem, steps: number, pick: (enabled: readonly Choice[]) => Choice): Observable<Choice> {
  return new Observable((subscriber) => {
    for (let taken = 0; taken < steps && !subscriber.closed; taken++) {
      const enabled = live.enabled();
      if (enabled.length === 0) break;
      subscriber.next(pick(enabled));
    }
    subscriber.complete();
  });
}

/** The mulberry32 generator: numbers in [0, 1) from a 32-bit seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Any enabled choice, all alike likely; the same seed gives the same run. */
export function randomChoices(live: LiveSystem, seed: number, steps: number): Observable<Choice> {
  const next = randomNumbers(seed);
  return asking(live, steps, (enabled) => enabled[Math.floor(next() * enabled.length)] as Choice);
}

/** The next enabled choice after the last one taken, in the system's order. */
export function roundRobin(live: LiveSystem, steps: number): Observable<Choice> {
  let last = -1;
  return asking(live, steps, (enabled) => {
    const choice = enabled.find(({ index }) => index > last) ?? (enabled[0] as Choice);
    last = choice.index;
    return choice;
  });
}

/** A recorded schedule. @throws {ScheduleError} for a number that is no choice of the system. */
export const recorded = (live: LiveSystem, schedule: readonly number[]): Observable<Choice> =>
  from(schedule.map((index, at) => choiceAt(live.system, index, at + 1)));
