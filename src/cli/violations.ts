import type { Found } from '../format/violation.js';
import { outOfReach, type Property } from '../property/property.js';
import { type Expected, expectedOf } from '../scenarios/scenario.js';
import { LiveCourse } from '../schedule/course.js';
import { isOpen, judgeLasso } from '../schedule/lasso.js';
import { entersBug, type Replay, violatesNow } from '../schedule/replay.js';
import { bugNodes, rests } from '../system/view.js';
import type { Target } from './resolve.js';

/**
 * What a run leaves open: what is to stay possible and is not reached here (whether it still can be, only the explorer says), and what
 * is to come and has not (a run that does not end with a loop says nothing of that). Empty if nothing is open.
 */
export function leftOpen(run: Replay): string {
  const isLeft = (property: Property): boolean =>
    property.kind === 'possibility' ? violatesNow(run, property.name) : property.kind === 'eventuality' && isOpen(new LiveCourse(run), property);
  const open = run.system.properties.filter(isLeft).map(({ name }) => name);
  return open.length > 0 ? `; not reached here: ${open.join(', ')}` : '';
}

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

/** What is expected of a property of a target: of one's own system, that it holds. */
export const expectationAt = ({ subject }: Target, property: string): Expected => (subject.case ? expectedOf(subject.case.variant, property) : 'holds');
