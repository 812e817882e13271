import type { AnyActorLogic, AnyStateMachine, AnyStateNode } from 'xstate';
import { ModelError } from './errors.js';

export const isMachine = (logic: AnyActorLogic): logic is AnyStateMachine => '__xstatenode' in logic;

/** A machine's state nodes, parents first, in document order. */
export function stateNodes(machine: AnyStateMachine): AnyStateNode[] {
  const below = (node: AnyStateNode): AnyStateNode[] => [node, ...Object.values(node.states).flatMap(below)];
  return below(machine.root);
}

/** A state's name within its machine: `interrupts.enabled`; the machine's id for the root. */
export const nameOf = (node: AnyStateNode): string => (node.path.length > 0 ? node.path.join('.') : node.machine.id);

/** The events of the machine's `after` transitions: when exploring, each is a choice while its timer runs. */
export const delayedEvents = (logic: AnyActorLogic): string[] =>
  isMachine(logic) ? stateNodes(logic).flatMap((node) => [...new Set(node.after.map((transition) => transition.eventType))]) : [];

/** What of a logic goes into a system's digest: the statechart's shape and the names in it, not the text of functions. */
export const outline = (logic: AnyActorLogic): unknown => (isMachine(logic) ? logic.config : 'transition');

const builtin = new Set(['xstate.assign', 'xstate.sendTo', 'xstate.raise', 'xstate.enqueueActions', 'xstate.cancel', 'xstate.emit', 'xstate.log']);

function refuseAction(machine: AnyStateMachine, action: unknown, where: string): void {
  const named = typeof action === 'string' ? action : typeof action === 'object' && action !== null ? (action as { type: string }).type : null;
  const implementation = named === null ? action : machine.implementations.actions[named];
  if (typeof implementation !== 'function')
    throw new ModelError(`${where}: action '${named}' has no implementation; add it to setup({ actions }) or provide it`);
  const type = 'resolve' in implementation ? (implementation as unknown as { type: string }).type : null;
  if (type === null)
    throw new ModelError(
      `${where}: action '${named ?? (implementation.name || '(inline)')}' is custom code, whose effects cannot be explored; use assign, sendTo, raise or enqueueActions, or let the outside world be a choice`,
    );
  if (!builtin.has(type))
    throw new ModelError(
      `${where}: '${type}' starts or stops another actor, which cannot be explored; a system's actors are fixed, so make it an actor of the system`,
    );
}

/**
 * Refuses what the explorer cannot treat faithfully, before anything runs.
 * @throws {ModelError} naming machine, state and construct.
 */
export function refuseUnsupported(logic: AnyActorLogic, address: string): void {
  if (!isMachine(logic)) {
    // fromTransition keeps its reducer in `config` and has no `start`; promises, callbacks and observables do have one.
    if (logic.start || typeof logic.config !== 'function')
      throw new ModelError(
        `actor '${address}': this kind of actor logic (a promise, callback or observable) has effects outside the system; use a state machine or fromTransition, and let the outside world be a choice`,
      );
    return;
  }
  for (const node of stateNodes(logic)) {
    const where = `machine '${logic.id}' (actor '${address}'), state '${nameOf(node)}'`;
    const invoked = node.invoke[0];
    if (invoked) throw new ModelError(`${where}: invoke of '${invoked.src}' starts another actor, which cannot be explored; make it an actor of the system`);
    for (const action of [...node.entry, ...node.exit]) refuseAction(logic, action, where);
    for (const transition of [...node.transitions.values()].flat().concat(node.always ?? []))
      for (const action of transition.actions) refuseAction(logic, action, where);
    if (node.tags.includes('BUG') && node.always)
      throw new ModelError(`${where}: a state tagged BUG must not be left by an 'always' transition; nobody would see it`);
  }
}
