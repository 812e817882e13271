import { type Subject, tokenOf } from '../check/check.js';
import { violationNow } from '../check/play.js';
import { type Checkable, propertyNamed, subjectFrom } from '../check/subject.js';
import { drawing, type Found, violationText } from '../format/violation.js';
import { LiveSystem } from '../live/live.js';
import { judging } from '../property/judging.js';
import type { Property, PropertyKind } from '../property/property.js';
import type { Replay } from '../schedule/replay.js';
import { ModelError, ShootdownError, UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import { choiceAt, type System } from '../system/system.js';
import { Judge } from './judge.js';
import { shown } from './options.js';
import type { Schedule } from './schedules.js';
import { Walker } from './walker.js';

/** A schedule violates a property. The message has the diagram, and a token that replays it. */
export class ScheduleViolation extends ShootdownError {
  override name = 'ScheduleViolation';
  constructor(
    message: string,
    /** The name of the property. */
    readonly property: string,
    /** The steps up to the violation. */
    readonly schedule: Schedule,
    /** That schedule in one word. */
    readonly token: string,
  ) {
    super(message);
  }
}

export interface AlongOptions {
  /** Default: any property of the system. */
  property?: string;
  /**
   * `live` (default): every schedule runs on live XState. `tables`: it is judged on the explorer's tables first, some ten times as fast, and runs live
   * where these say that something is violated; bugs, invariants and deadlocks only.
   */
  on?: 'live' | 'tables';
}

interface Run {
  subject: Subject;
  replay: Replay;
  found: Found | null;
}

/** What is asked about, and the system in which nothing else is judged. */
interface Asked {
  subject: Subject;
  judged: System;
  name: string | null;
  /** Whether a schedule may violate anything, so that it has to run live. */
  suspects: (schedule: Schedule) => boolean;
}

const judgedByWalks: ReadonlySet<PropertyKind> = new Set(['bug', 'invariant', 'deadlock']);

/** Whether a schedule violates one of the properties on the tables, or does not fit: what is wrong with it, the live run says. */
function suspicion(system: System, properties: readonly Property[]): (schedule: Schedule) => boolean {
  const walker = Walker.of(system);
  const judge = new Judge(walker, properties);
  return (schedule) => {
    if (judge.violated(walker.start, walker.startBugs)) return true;
    const steps = walker.walk(schedule);
    if (!steps || steps.some(({ state, bugs, error }) => error !== null || judge.violated(state, bugs))) return true;
    return judge.stuck(steps.at(-1)?.state ?? walker.start);
  };
}

function optionsOf(asker: string, given: unknown): AlongOptions {
  if (typeof given === 'string') return { property: given };
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new UsageError(`${asker} takes the name of a property, or options as an object, not ${shown(given)}`);
  for (const name of Object.keys(given))
    if (!known.includes(name)) throw new UsageError(`${asker} has no option '${name}'${didYouMean(name, known)} (it has ${known.join(', ')})`);
  const { on = 'live' } = given as AlongOptions;
  if (on !== 'live' && on !== 'tables') throw new UsageError(`${asker}: option 'on' takes live or tables, not ${shown(on)}`);
  return given;
}

const known = ['property', 'on'];

function askedOf(asker: string, given: Checkable, wanted: string | AlongOptions): Asked {
  const subject = subjectFrom(given, asker);
  const { property, on = 'live' } = optionsOf(asker, wanted);
  const asked = property === undefined ? null : propertyNamed(subject, property);
  const onTables = (subject.system.properties as readonly Property[]).filter((each) => judgedByWalks.has(each.kind) && (asked === null || each === asked));
  if (on === 'tables' && onTables.length === 0)
    throw new UsageError(`${subject.id}: '${property}' is of kind ${asked?.kind}, which the tables alone do not show; leave out on: 'tables'`);
  const suspects = on === 'tables' ? suspicion(subject.system, onTables) : () => true;
  if (asked === null) return { subject, judged: subject.system, name: null, suspects };
  const { name, kind } = asked;
  if (kind === 'possibility')
    throw new UsageError(`${subject.id}: '${name}' is a possibility, and no single run shows that it is violated; explore the system instead`);
  return { subject, judged: judging(subject.system, [name]), name, suspects };
}

/** How to see a schedule again. */
const again = ({ case: found }: Subject, token: string): string =>
  [`Token: ${token}`, found ? `npx shootdown replay '${token}'` : `replay(system, parseToken('${token}').schedule)`].join('\n');

/** To see whether anything can go on, choices are tried. What is wrong with one of those is not of this schedule. */
function lookAround(replay: Replay): Found | null {
  try {
    return violationNow(replay, { deadlock: true });
  } catch (error) {
    if (error instanceof ModelError) return violationNow(replay, { deadlock: false });
    throw error;
  }
}

/** Runs a schedule live, to the first violation. @throws {ScheduleError} when it does not fit. @throws {ModelError} */
function run({ subject, judged, name }: Asked, schedule: Schedule): Run {
  const live = new LiveSystem(judged);
  const replay: Replay = { system: judged, live, steps: [] };
  const look = (atEnd: boolean): Found | null => {
    const found = atEnd ? lookAround(replay) : violationNow(replay, { deadlock: false });
    return found && (name === null || found.property === name) ? found : null;
  };
  try {
    let found = look(schedule.length === 0);
    for (const [at, index] of schedule.entries()) {
      if (found) break;
      replay.steps.push(live.take(choiceAt(judged, index, at + 1)));
      found = look(at + 1 === schedule.length);
    }
    return { subject, replay, found };
  } catch (error) {
    // What is wrong with the model is found as a violation is: it has a schedule, too.
    if (error instanceof ModelError) error.message = `${error.message}\n\n${again(subject, tokenOf(subject, schedule.slice(0, replay.steps.length + 1)))}`;
    throw error;
  }
}

function violationOf({ subject, replay, found }: Run & { found: Found }): ScheduleViolation {
  const schedule = replay.steps.map(({ choice }) => choice.index);
  const token = tokenOf(subject, schedule);
  const diagram = drawing(replay, found, violationText(replay.system, found));
  const head = `${subject.id}: ${found.property} is violated after ${schedule.length === 1 ? '1 step' : `${schedule.length} steps`}`;
  return new ScheduleViolation([head, diagram, again(subject, token)].join('\n\n'), found.property, schedule, token);
}

/**
 * For `fc.property`: runs a schedule on live XState, and throws where the property (default: any) is violated. Invariants and BUG states are looked for
 * after every step; deadlocks, and loops without what should come, at the end. Of a possibility no single run tells.
 *
 * `fc.assert(fc.property(schedules(system), holdsAlong(system)))`
 * @throws {UsageError} at once, for a property that the system does not have.
 */
export function holdsAlong(system: Checkable, asked: string | AlongOptions = {}): (schedule: Schedule) => void {
  const what = askedOf('holdsAlong', system, asked);
  return (schedule) => {
    if (!what.suspects(schedule)) return;
    const done = run(what, schedule);
    done.replay.live.stop();
    if (done.found) throw violationOf({ ...done, found: done.found });
  };
}

/**
 * Whether a schedule, run on live XState, violates the property (default: any).
 * @throws {UsageError} at once, for a property that the system does not have.
 */
export function violates(system: Checkable, asked: string | AlongOptions = {}): (schedule: Schedule) => boolean {
  const what = askedOf('violates', system, asked);
  return (schedule) => {
    if (!what.suspects(schedule)) return false;
    const { replay, found } = run(what, schedule);
    replay.live.stop();
    return found !== null;
  };
}
