import type { Found } from '../format/violation.js';
import { LiveSystem } from '../live/live.js';
import { outOfReach, type Property } from '../property/property.js';
import { judgeLasso } from '../schedule/lasso.js';
import { entersBug, type Replay, violatesNow } from '../schedule/replay.js';
import type { Token } from '../schedule/token.js';
import { ScheduleError } from '../system/errors.js';
import { choiceAt, type System } from '../system/system.js';
import { bugNodes, rests } from '../system/view.js';
import type { Subject } from './check.js';

/** A state that can be looked at after every step: BUG states, invariants, possibilities (violated for certain only where nothing more can happen). */
function violatedAtOnce(run: Replay, { kind, name }: Property): boolean {
  if (kind === 'invariant') return violatesNow(run, name);
  return kind === 'possibility' && run.live.enabled().length === 0 ? violatesNow(run, name) : entersBug(run, name);
}

function messageFor({ system, live }: Replay, property: Property): string {
  const entered = system.actors.flatMap(({ address }) =>
    bugNodes(live.snapshot(address)).map((node) => ({ address, text: node.description ?? node.key, tags: node.tags })),
  );
  const bug = entered.find(({ tags }) => tags.includes(property.name)) ?? (property.name === 'BUG' ? entered[0] : undefined);
  if (bug) return `${bug.address}: ${bug.text}`;
  if (property.kind === 'possibility') return outOfReach(property);
  if (property.kind !== 'deadlock') return property.description;
  const stuck = system.actors.filter(({ path, address }) => path && !rests(live.snapshot(address))).map(({ address }) => address);
  return `deadlock: ${stuck.join(', ')} cannot go on`;
}

/** What is costly to find out: a deadlock, and, where there is none, a loop that violates an eventuality. */
function violatedAtEnd(run: Replay): Found | null {
  const { properties } = run.system;
  const deadlock = properties.find(({ kind, name }) => kind === 'deadlock' && violatesNow(run, name));
  if (deadlock) return { property: deadlock.name, message: messageFor(run, deadlock) };
  for (const property of properties) {
    const lasso = property.kind === 'eventuality' ? judgeLasso(run, property) : null;
    if (lasso) return { property: property.name, message: property.description, lasso };
  }
  return null;
}

/** What the live system violates as it is now, in the explorer's words; null if nothing. `deadlock`: looks for one, and for a loop, which is costly. */
export function violationNow(run: Replay, { deadlock }: { deadlock: boolean }): Found | null {
  const property = run.system.properties.find((candidate) => violatedAtOnce(run, candidate));
  if (property) return { property: property.name, message: messageFor(run, property) };
  return deadlock ? violatedAtEnd(run) : null;
}

/** What to say when a schedule was recorded on another model of what goes by the same name; null if it was not. */
export const changedSince = ({ name, digest }: Pick<Token, 'name' | 'digest'>, { id, system }: Subject): string | null =>
  name !== id || system.digest.startsWith(digest)
    ? null
    : `${id} has changed since this schedule was recorded (model ${digest}, now ${system.digest.slice(0, 8)})`;

/** A schedule as far as it could be run. */
export interface Played extends Replay {
  /** The first violation along the way that was looked for, and the step (0: the start) after which it was there. */
  found: Found | null;
  foundAt: number;
  /** Why it does not go on; null if it fits to the end. */
  misfit: ScheduleError | null;
}

/** Which properties a violation is looked for of; null: none is. */
export type Wanted = ((property: string) => boolean) | null;

const any: Wanted = () => true;

/** Notes the first violation of a run, if the run is at one now. `deadlock`: looks for one, and for a loop, which is costly. */
export function look(run: Played, deadlock: boolean, wanted: Wanted = any): void {
  if (run.found || !wanted) return;
  const found = violationNow(run, { deadlock });
  if (found && wanted(found.property)) Object.assign(run, { found, foundAt: run.steps.length });
}

/** Runs a schedule live, as far as it fits. A deadlock and a loop are looked for at the end only. */
export function play(system: System, schedule: readonly number[], wanted: Wanted = any): Played {
  const live = new LiveSystem(system);
  const run: Played = { system, live, steps: [], found: null, foundAt: 0, misfit: null };
  look(run, false, wanted);
  for (const [at, index] of schedule.entries()) {
    try {
      run.steps.push(live.take(choiceAt(system, index, at + 1)));
    } catch (error) {
      if (!(error instanceof ScheduleError)) throw error;
      run.misfit = error;
      return run;
    }
    look(run, false, wanted);
  }
  look(run, true, wanted);
  return run;
}
