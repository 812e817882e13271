import fc from 'fast-check';
import { LiveSystem } from '../../src/live/live.js';
import { type Replay, replay } from '../../src/schedule/replay.js';
import type { System } from '../../src/system/system.js';
import { build, systemPlans } from '../systems/random.js';

/** Takes one of the choices that are enabled, as long as there are numbers and no actor fails; then runs that schedule as a replay. */
export function wander(system: System, numbers: readonly number[]): Replay {
  const live = new LiveSystem(system);
  const schedule: number[] = [];
  try {
    for (const number of numbers) {
      const enabled = live.enabled();
      const choice = enabled[number % Math.max(enabled.length, 1)];
      if (!choice) break;
      live.take(choice);
      schedule.push(choice.index);
    }
  } catch {
    // What an actor of a random system cannot do is not the point here.
  }
  live.stop();
  return replay(system, schedule);
}

const starts = (system: System): boolean => {
  try {
    new LiveSystem(system).stop();
    return true;
  } catch {
    return false;
  }
};

/** Random schedules of random systems, some actors of which share lanes. */
export const wanderings: fc.Arbitrary<Replay> = fc
  .record({
    plan: systemPlans(),
    numbers: fc.array(fc.nat(20), { maxLength: 12 }),
    lanes: fc.array(fc.constantFrom(null, 'CPU 0 (gup)', 'CPU 1'), { minLength: 4, maxLength: 4 }),
  })
  .map(({ plan, numbers, lanes }) => {
    const system = build(plan);
    for (const [at, actor] of system.actors.entries()) actor.lane = lanes[at] ?? null;
    return { system, numbers };
  })
  .filter(({ system }) => starts(system))
  .map(({ system, numbers }) => wander(system, numbers));
