import type { CheckResult } from '../check/check.js';
import type { Found } from '../format/violation.js';
import { outOfReach, type Property } from '../property/property.js';
import { type Expected, expectedOf } from '../scenarios/scenario.js';
import { entersBug, type Replay, violatesNow } from '../schedule/replay.js';
import { bugNodes, rests } from '../system/view.js';
import type { Target } from './resolve.js';

/** How a run leaves what is to stay possible: whether it can still be reached, only the explorer says. Empty if nothing is open. */
export function leftOpen(run: Replay): string {
  const open = run.system.properties.filter(({ kind, name }) => kind === 'possibility' && violatesNow(run, name)).map(({ name }) => name);
  return open.length > 0 ? `; not reached here: ${open.join(', ')}` : '';
}

/**
 * What the live system violates as it is now, in the explorer's words; null if nothing. Deadlock is costly to find out. A
 * possibility is violated for certain only where nothing more can happen.
 */
export function violationNow(run: Replay, { deadlock }: { deadlock: boolean }): Found | null {
  const { system, live } = run;
  const isViolated = ({ kind, name }: Property): boolean =>
    kind === 'possibility' && live.enabled().length > 0 ? entersBug(run, name) : (kind !== 'deadlock' || deadlock) && violatesNow(run, name);
  const property = system.properties.find(isViolated);
  if (!property) return null;
  const entered = system.actors.flatMap(({ address }) =>
    bugNodes(live.snapshot(address)).map((node) => ({ address, text: node.description ?? node.key, tags: node.tags })),
  );
  const bug = entered.find(({ tags }) => tags.includes(property.name)) ?? (property.name === 'BUG' ? entered[0] : undefined);
  if (bug) return { property: property.name, message: `${bug.address}: ${bug.text}` };
  if (property.kind === 'possibility') return { property: property.name, message: outOfReach(property) };
  if (property.kind !== 'deadlock') return { property: property.name, message: property.description };
  const stuck = system.actors.filter(({ path, address }) => path && !rests(live.snapshot(address))).map(({ address }) => address);
  return { property: property.name, message: `deadlock: ${stuck.join(', ')} cannot go on` };
}

/** What is expected of a property of a target: of one's own system, that it holds. */
export const expectationAt = ({ subject }: Target, property: string): Expected => (subject.case ? expectedOf(subject.case.variant, property) : 'holds');

/** A counterexample as {@link Found}. */
export const foundIn = (property: CheckResult['properties'][number]): Found => ({ property: property.name, message: property.counterexample?.message ?? '' });
