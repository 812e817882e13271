import { useMemo } from 'react';
import { activeIds, chartOf } from '../src/inspect/chart.js';
import { isMachine } from '../src/system/logic.js';
import type { SystemActor } from '../src/system/system.js';
import { isMachineSnapshot } from '../src/system/view.js';
import { Chart } from './Chart.js';
import type { Store } from './store.js';

/** The statechart of one actor, as it is after the steps so far. */
export function ActorChart({
  store,
  actor,
  machines,
  onChoose,
}: {
  store: Store;
  actor: SystemActor;
  machines: readonly SystemActor[];
  onChoose: (address: string) => void;
}) {
  const chart = useMemo(() => (isMachine(actor.logic) ? chartOf(actor.logic) : null), [actor]);
  const snapshot = store.walk.snapshot(actor, store.at);
  if (!chart || !isMachineSnapshot(snapshot)) return null;
  const taken = store.at > 0 ? store.walk.takenBy(actor, store.at) : null;
  return (
    <section className="actor-chart" aria-label="Statechart">
      <label>
        Actor{' '}
        <select value={actor.address} onChange={({ target }) => onChoose(target.value)}>
          {machines.map(({ address }) => (
            <option key={address}>{address}</option>
          ))}
        </select>
      </label>
      <Chart chart={chart} active={activeIds(snapshot.value, chart)} taken={taken} title={actor.address} />
    </section>
  );
}
