import { useMemo, useState } from 'react';
import type { SystemActor } from '../src/system/system.js';
import type { Store } from './store.js';

/** Those that act on a CPU first, CPU by CPU, then what they speak to. */
function inOrder(actors: readonly SystemActor[]): string[] {
  const lanes = [...new Set(actors.map(({ lane }) => lane))].filter((lane) => lane !== null).sort();
  const rank = ({ lane, path }: SystemActor): number => (lane === null ? 2 * lanes.length + 1 : 2 * lanes.indexOf(lane) + (path ? 0 : 1));
  return [...actors].sort((one, other) => rank(one) - rank(other)).map(({ address }) => address);
}

/** Who takes part in the schedule: acts, changes, or is spoken to. */
function involved(store: Store): ReadonlySet<string> {
  const found = new Set<string>();
  for (let number = 1; number <= store.walk.length; number++) {
    const { choice, messages, changed } = store.walk.stepAt(number);
    found.add(choice.actor.address);
    for (const { to } of messages) found.add(to.address);
    for (const { actor } of changed) found.add(actor.address);
  }
  return found;
}

/** Which actors have a lane, and in which order. */
export function useOrder(store: Store) {
  const { actors } = store.walk.system;
  const all = useMemo(() => inOrder(actors), [actors]);
  const [order, setOrder] = useState<readonly string[]>(all);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [onlyInvolved, setOnlyInvolved] = useState(true);
  const [known, setKnown] = useState(all);
  if (known.join() !== all.join()) {
    setKnown(all);
    setOrder(all);
    setHidden(new Set());
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: the walk is one object whose steps change with its revision
  const part = useMemo(() => (onlyInvolved && store.walk.length > 0 ? involved(store) : null), [store.walk, store.walk.revision, onlyInvolved]);
  const partKey = part === null ? null : [...part].sort().join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says who takes part
  const lanes = useMemo(
    () => order.flatMap((address) => (hidden.has(address) || part?.has(address) === false ? [] : actors.filter((actor) => actor.address === address))),
    [order, hidden, actors, partKey],
  );
  return { order, setOrder, hidden, setHidden, onlyInvolved, setOnlyInvolved, lanes };
}

/** Shows, hides and moves lanes. */
export function Arrange({ order, setOrder, hidden, setHidden, onlyInvolved, setOnlyInvolved, lanes }: ReturnType<typeof useOrder>) {
  const move = (address: string, by: number): void => {
    const at = order.indexOf(address);
    const next = order.filter((each) => each !== address);
    next.splice(Math.max(0, at + by), 0, address);
    setOrder(next);
  };
  return (
    <details className="arrange">
      <summary>
        Lanes shown ({lanes.length} of {order.length})
      </summary>
      <label>
        <input type="checkbox" checked={onlyInvolved} onChange={({ target }) => setOnlyInvolved(target.checked)} /> only who takes part
      </label>
      <ul>
        {order.map((address) => (
          <li key={address}>
            <label>
              <input
                type="checkbox"
                checked={!hidden.has(address)}
                onChange={({ target }) => setHidden(new Set(target.checked ? [...hidden].filter((each) => each !== address) : [...hidden, address]))}
              />{' '}
              {address}
            </label>
            <button type="button" aria-label={`Move ${address} to the left`} onClick={() => move(address, -1)}>
              ←
            </button>
            <button type="button" aria-label={`Move ${address} to the right`} onClick={() => move(address, 1)}>
              →
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
