import type { Property } from '../property/property.js';
import { type Expected, expectedOf } from '../scenarios/scenario.js';
import { LiveCourse } from '../schedule/course.js';
import { isOpen } from '../schedule/lasso.js';
import { type Replay, violatesNow } from '../schedule/replay.js';
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

/** What is expected of a property of a target: of one's own system, that it holds. */
export const expectationAt = ({ subject }: Target, property: string): Expected => (subject.case ? expectedOf(subject.case.variant, property) : 'holds');
