import { type ExploreLimits, Explorer } from '../explore/explorer.js';
import type { Choice } from '../system/system.js';
import type { PropertyTruth, Walk } from './walk.js';

/** Steps from here to the nearest violation by way of a choice: that many; none at all; or more than could be looked at. */
export type Distance = { kind: 'violation'; steps: number; property: string } | { kind: 'none' } | { kind: 'beyond'; depth: number };

/** Whether a search from the end of a walk asks all that is open there: of an eventuality whose premise was met only before, it does not. */
function isAskedFrom(walk: Walk, { property, truth }: PropertyTruth): boolean {
  if (property.kind !== 'eventuality' || truth !== 'open' || !property.when) return true;
  const read = walk.system.actors.filter(({ address }) => property.actors.includes(address));
  return property.when(Object.fromEntries(read.map((actor) => [actor.address, walk.snapshot(actor)])));
}

/** How far the nearest violation is when this choice is taken after the schedule so far, found by exploring from there. */
export function distanceBy(walk: Walk, choice: Choice, at: number, limits: ExploreLimits): Distance {
  const next = walk.fork(at);
  next.take(choice);
  const truths = next.truths();
  const now = truths.find(({ truth }) => truth === 'violated');
  if (now) return { kind: 'violation', steps: 1, property: now.property.name };
  const explorer = new Explorer(next.systemFrom(), limits);
  while (!explorer.finished) explorer.slice();
  const { properties, exhausted, depth } = explorer.result();
  const found = properties
    .filter(({ violation }) => violation !== null)
    .sort((a, b) => (a.violation?.schedule.length ?? 0) - (b.violation?.schedule.length ?? 0))[0];
  if (found?.violation) return { kind: 'violation', steps: 1 + found.violation.schedule.length, property: found.name };
  return exhausted && truths.every((truth) => isAskedFrom(next, truth)) ? { kind: 'none' } : { kind: 'beyond', depth: depth + 1 };
}
