import type { AnyActorLogic, AnyMachineSnapshot, AnyStateMachine, AnyStateNode, Snapshot } from 'xstate';
import { canonical, NotPlainData } from './canonical.js';
import { ModelError } from './errors.js';
import { isMachine, nameOf, stateNodes } from './logic.js';

/** A snapshot of any actor logic; machines add value, tags and state nodes. */
export type AnySnapshot = Snapshot<unknown> & { context?: unknown };

export const isMachineSnapshot = (snapshot: AnySnapshot): snapshot is AnyMachineSnapshot => 'machine' in snapshot && '_nodes' in snapshot;

/** Where an actor is, for messages: its atomic states, `a.b` each; the status for logic without states. */
export function placeOf(snapshot: AnySnapshot): string {
  if (!isMachineSnapshot(snapshot)) return snapshot.status;
  const atomic = snapshot._nodes.filter((node) => Object.keys(node.states).length === 0);
  return atomic.map(nameOf).join(', ');
}

/** Whether a path is where it may rest: in a state tagged `rest`, or not active any more. */
export const rests = (snapshot: AnySnapshot): boolean => snapshot.status !== 'active' || (isMachineSnapshot(snapshot) && snapshot.hasTag('rest'));

/** The BUG states that the actor is in. */
export const bugNodes = (snapshot: AnySnapshot): AnyStateNode[] =>
  isMachineSnapshot(snapshot) ? snapshot._nodes.filter((node) => node.tags.includes('BUG')) : [];

/** The BUG states in which an actor of this logic starts. XState shows where its first microstep led only if the actor stays there. */
export const initialBugNodes = (logic: AnyActorLogic): AnyStateNode[] => (isMachine(logic) ? bugNodes(logic.resolveState({ value: {}, context: {} })) : []);

const eventless = new WeakMap<AnyStateMachine, boolean>();

/** Whether these are the state nodes that a state value stands for. A transition to its own source's history can leave some out. */
function isWhole(nodes: readonly AnyStateNode[]): boolean {
  const active = new Set(nodes);
  return nodes.every(({ parent, type, states }) => {
    const children = Object.values(states).filter((child) => child.type !== 'history');
    const inside = children.filter((child) => active.has(child)).length;
    return (!parent || active.has(parent)) && inside === (type === 'parallel' ? children.length : Math.min(children.length, 1));
  });
}

/**
 * What the value does not tell of the state nodes, as their numbers: XState takes the transitions of parallel regions in
 * the order in which their states were entered, which is not always the machine's. Null where value and machine tell all.
 */
function orderOf({ machine, _nodes }: AnyMachineSnapshot): number[] | null {
  if (!isWhole(_nodes)) return _nodes.map((node) => node.order);
  const always = eventless.get(machine) ?? stateNodes(machine).some((node) => node.always !== undefined);
  eventless.set(machine, always);
  const order = _nodes.filter((node) => node.parent?.type === 'parallel' || (always && Object.keys(node.states).length === 0)).map((node) => node.order);
  return order.some((number, index) => index > 0 && number < (order[index - 1] as number)) ? order : null;
}

/**
 * What makes two snapshots of one actor the same local state: value, context, status, output, error, history and children,
 * the order of parallel regions (where it matters), and the delayed events that wait. As plain data.
 */
export function identityOf(snapshot: AnySnapshot, waiting: readonly string[]): Record<string, unknown> {
  const { status, output, error } = snapshot;
  const identity: Record<string, unknown> = { status };
  if (output !== undefined) identity.output = output;
  if (error !== undefined) identity.error = error;
  if (isMachineSnapshot(snapshot)) {
    identity.value = snapshot.value;
    identity.children = Object.keys(snapshot.children);
    const history = Object.entries(snapshot.historyValue ?? {});
    if (history.length > 0) identity.history = Object.fromEntries(history.map(([key, nodes]) => [key, nodes.map((node) => node.id).sort()]));
    const order = orderOf(snapshot);
    if (order) identity.order = order;
  }
  if (snapshot.context !== undefined) identity.context = snapshot.context;
  if (waiting.length > 0) identity.waiting = [...waiting].sort();
  return identity;
}

/** {@link identityOf} as text. @throws {ModelError} when something in it is not plain data. */
export function identityKey(snapshot: AnySnapshot, waiting: readonly string[], address: string): string {
  const { context, ...rest } = identityOf(snapshot, waiting);
  try {
    return `${canonical(rest, 'snapshot')}${context === undefined ? '' : canonical(context, 'context')}`;
  } catch (error) {
    if (!(error instanceof NotPlainData)) throw error;
    throw new ModelError(`${whereIs(snapshot, address)}: ${error.message}; an explored actor's state is plain JSON data`);
  }
}

/** `machine 'm' (actor 'a'), state 's'`, or `actor 'a'` for logic without states. */
export const whereIs = (snapshot: AnySnapshot, address: string): string =>
  isMachineSnapshot(snapshot) ? `machine '${snapshot.machine.id}' (actor '${address}'), state '${placeOf(snapshot)}'` : `actor '${address}'`;
