import type { SnapshotFrom } from 'xstate';
import { type Invariant, invariant } from '../../src/index.js';
import type { Probe } from './probe.js';

type Snapshots = Record<string, SnapshotFrom<Probe>>;

/** How a probe holds a lock: by the release that it says next, when it does not wait any more. */
export function heldBy(snapshot: SnapshotFrom<Probe> | undefined): 'no' | 'read' | 'write' {
  const release = snapshot?.value === 'speaking' ? snapshot.context.script[0]?.message.type : undefined;
  if (release === 'up_read') return 'read';
  return release === 'unlock' || release === 'up_write' ? 'write' : 'no';
}

/** One writer, or any number of readers. Put to the test where somebody holds the lock. */
export const exclusion = (probes: readonly string[]): Invariant<Snapshots> =>
  invariant<Snapshots>('exclusion', 'who writes is alone', {
    actors: probes,
    when: (snapshots) => probes.some((probe) => heldBy(snapshots[probe]) !== 'no'),
    holds: (snapshots) => {
      const held = probes.map((probe) => heldBy(snapshots[probe])).filter((how) => how !== 'no');
      return held.length <= 1 || !held.includes('write');
    },
  });
