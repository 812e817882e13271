import type { CheckResult } from '../check/check.js';
import type { Found } from '../format/violation.js';
import { type Expected, expectedOf } from '../scenarios/scenario.js';
import { type Replay, violatesNow } from '../schedule/replay.js';
import { bugNodes, rests } from '../system/view.js';
import type { Target } from './resolve.js';

/** What the live system violates as it is now, in the explorer's words; null if nothing. Deadlock is costly to find out. */
export function violationNow(run: Replay, { deadlock }: { deadlock: boolean }): Found | null {
  const { system, live } = run;
  const property = system.properties.find(({ kind, name }) => (kind !== 'deadlock' || deadlock) && violatesNow(run, name));
  if (!property) return null;
  const entered = system.actors.flatMap(({ address }) =>
    bugNodes(live.snapshot(address)).map((node) => ({ address, text: node.description ?? node.key, tags: node.tags })),
  );
  const bug = entered.find(({ tags }) => tags.includes(property.name)) ?? (property.name === 'BUG' ? entered[0] : undefined);
  if (bug) return { property: property.name, message: `${bug.address}: ${bug.text}` };
  if (property.kind !== 'deadlock') return { property: property.name, message: property.description };
  const stuck = system.actors.filter(({ path, address }) => path && !rests(live.snapshot(address))).map(({ address }) => address);
  return { property: property.name, message: `deadlock: ${stuck.join(', ')} cannot go on` };
}

/** What is expected of a property of a target: of one's own system, that it holds. */
export const expectationAt = ({ subject }: Target, property: string): Expected => (subject.case ? expectedOf(subject.case.variant, property) : 'holds');

/** A counterexample as {@link Found}. */
export const foundIn = (property: CheckResult['properties'][number]): Found => ({ property: property.name, message: property.counterexample?.message ?? '' });
