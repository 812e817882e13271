import type { Replay } from '../schedule/replay.js';
import type { AnySnapshot } from '../system/view.js';

/** Per step, the acting actor's snapshot before it: what its next change starts from, or what it has at the end. */
export function actingBefore({ steps, live }: Replay): AnySnapshot[] {
  const upcoming = new Map<string, AnySnapshot>();
  const before: AnySnapshot[] = [];
  for (let at = steps.length - 1; at >= 0; at--) {
    const step = steps[at] as Replay['steps'][number];
    for (const change of step.changed) upcoming.set(change.actor.address, change.before);
    const { address } = step.choice.actor;
    before[at] = upcoming.get(address) ?? live.snapshot(address);
  }
  return before;
}
