import type { AnyActorLogic } from 'xstate';
import { isMachine } from './logic.js';
import { type AnySnapshot, isMachineSnapshot } from './view.js';

/** The same logic, beginning where the snapshot is; `context` instead of the snapshot's own, if given. Nothing is entered: entry actions have run. */
export function startingAt(logic: AnyActorLogic, snapshot: AnySnapshot, context: unknown = snapshot.context): AnyActorLogic {
  if (!isMachine(logic) || !isMachineSnapshot(snapshot)) return { ...logic, getInitialSnapshot: () => ({ ...snapshot, context }) };
  const copy = logic.provide({});
  const { value, status, historyValue } = snapshot;
  const resolved = copy.resolveState({ value, status, historyValue, context: context as object } as Parameters<typeof copy.resolveState>[0]);
  // The order in which parallel regions were entered is not in the value.
  const nodes = snapshot._nodes.map(({ id }) => copy.getStateNodeById(id));
  copy.getInitialSnapshot = () =>
    Object.assign(Object.create(Object.getPrototypeOf(resolved)), resolved, { _nodes: nodes, output: snapshot.output, error: snapshot.error });
  return copy;
}
