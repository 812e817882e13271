import { Arbitrary, type Random, type Stream, stream, Value } from 'fast-check';
import { type Checkable, propertyNamed, subjectFrom } from '../check/subject.js';
import type { Property } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import { Judge } from './judge.js';
import { type ScheduleOptions, scheduleOptions } from './options.js';
import { simpler } from './shrinks.js';
import { Walker } from './walker.js';
import { adverseWalk, fairWalk, randomWalk } from './walks.js';

/** Choice numbers, in the order in which they are taken. */
export type Schedule = readonly number[];

/** Runs of which `towards` returns the first that violates; the last if none does. */
const attempts = 20;

type Make = (random: Random) => Schedule;

class Schedules extends Arbitrary<Schedule> {
  constructor(
    private readonly walker: Walker,
    private readonly length: number,
    private readonly make: Make,
  ) {
    super();
  }

  override generate(random: Random): Value<Schedule> {
    return new Value(this.make(random), undefined);
  }

  /** Any schedule that fits, and is no longer than asked for. */
  override canShrinkWithoutContext(value: unknown): value is Schedule {
    return Array.isArray(value) && value.length <= this.length && this.walker.walk(value) !== null;
  }

  override shrink(schedule: Schedule): Stream<Value<Schedule>> {
    return stream(simpler(this.walker, schedule)).map((simple) => new Value(simple, undefined));
  }
}

/** What a walk can show to be violated. @throws {UsageError} for a property of which only all states, or an endless run, tell. */
function shownByWalks(id: string, property: Property): Property {
  if (property.kind === 'possibility' || property.kind === 'eventuality')
    throw new UsageError(
      `${id}: '${property.name}' is of kind ${property.kind}, of which no beginning of a run tells; schedules go towards a bug, an invariant or a deadlock`,
    );
  return property;
}

/**
 * Schedules that fit: each choice is enabled when it is taken, and something comes of it.
 * - `random`: each choice that is enabled is alike likely.
 * - `fair`: the same, but a fair choice that stays enabled, and able to change something, is taken within twice as many steps as the system has
 *   fair choices.
 * - `towards`: against the system. Threads have random priorities that change a few times; of up to 20 such runs, on the explorer's tables, the
 *   first that violates the property, or else the last.
 *
 * A schedule shrinks to simpler ones that fit: steps are left out, and independent ones (neither changes an actor that the other consults) change
 * places. What it shrinks to is locally minimal: no single step can be left out.
 * @throws {UsageError} for an option that cannot be, or a property that the system does not have.
 */
export function schedules(system: Checkable, options: ScheduleOptions = {}): Arbitrary<Schedule> {
  const subject = subjectFrom(system, 'schedules');
  const { kind, length, property } = scheduleOptions(options);
  const properties = property === null ? subject.system.properties : [shownByWalks(subject.id, propertyNamed(subject, property))];
  const walker = Walker.of(subject.system);
  if (kind === 'random') return new Schedules(walker, length, (random) => randomWalk(walker, length, random).schedule);
  if (kind === 'fair') return new Schedules(walker, length, (random) => fairWalk(walker, length, random).schedule);
  const judge = new Judge(walker, properties);
  return new Schedules(walker, length, (random) => {
    let horizon = length;
    for (let attempt = 1; ; attempt++) {
      const { schedule, violates } = adverseWalk(walker, length, horizon, random, judge);
      if (violates || attempt === attempts) return schedule;
      // Priorities are to change while something happens.
      horizon = Math.max(schedule.length, 1);
    }
  });
}
