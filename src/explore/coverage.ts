import type { AnyStateNode } from 'xstate';
import { isMachine, nameOf, stateNodes } from '../system/logic.js';
import type { System, SystemActor } from '../system/system.js';
import { type AnySnapshot, isMachineSnapshot, placeOf } from '../system/view.js';

type Transition = { source: AnyStateNode; target?: readonly AnyStateNode[] | undefined; eventType: string };

/** Which states and transitions of each machine some schedule reached. Machines used by several actors count once. */
export class Coverage {
  private readonly states = new Map<string, Set<string>>();
  private readonly transitions = new Set<string>();
  private readonly dropped = new Set<string>();

  constructor(private readonly system: System) {}

  entered(actor: SystemActor, snapshot: AnySnapshot): void {
    if (!isMachine(actor.logic) || !isMachineSnapshot(snapshot)) return;
    const seen = this.states.get(actor.logic.id) ?? new Set();
    this.states.set(actor.logic.id, seen);
    for (const node of snapshot._nodes) seen.add(nameOf(node));
  }

  taken(actor: SystemActor, transitions: readonly unknown[], snapshot: AnySnapshot): void {
    this.entered(actor, snapshot);
    if (!isMachine(actor.logic)) return;
    for (const transition of transitions as readonly Transition[]) {
      this.transitions.add(this.nameOfTransition(transition));
      // A state that is left at once by an `always` transition is in no snapshot.
      this.states.get(actor.logic.id)?.add(nameOf(transition.source));
    }
  }

  ignored(actor: SystemActor, snapshot: AnySnapshot, type: string): void {
    this.dropped.add(`${actor.address}: ${type} in ${placeOf(snapshot)}`);
  }

  /** Messages that reached an actor in a state that does not handle them, as XState allows. */
  ignoredMessages(): string[] {
    return [...this.dropped].sort();
  }

  /** `machine: state` and `machine: state --event-->` (with its position where an event has several) that no schedule reached; BUG states are left out. */
  unreached(actors: readonly SystemActor[] = this.system.actors): string[] {
    const missing = new Set<string>();
    for (const { logic } of actors) {
      if (!isMachine(logic)) continue;
      const seen = this.states.get(logic.id) ?? new Set();
      for (const node of stateNodes(logic)) {
        if (node.tags.includes('BUG') || node.type === 'history') continue;
        if (!seen.has(nameOf(node))) missing.add(`${logic.id}: ${nameOf(node)}`);
        else for (const name of this.transitionsOf(node)) if (!this.transitions.has(name)) missing.add(name);
      }
    }
    return [...missing];
  }

  /** All transitions of the actors' machines, by name; those into BUG states are left out. */
  transitionsIn(actors: readonly SystemActor[]): string[] {
    const machines = actors.flatMap(({ logic }) => (isMachine(logic) ? [logic] : []));
    return [...new Set(machines.flatMap(stateNodes).flatMap((node) => this.transitionsOf(node)))];
  }

  /** Transitions that some schedule took. */
  reached(): string[] {
    return [...this.transitions].sort();
  }

  private transitionsOf(node: AnyStateNode): string[] {
    const all = [...node.transitions.values()].flat().concat(node.always ?? []) as Transition[];
    return all.filter((transition) => !transition.target?.some((target) => target.tags.includes('BUG'))).map((transition) => this.nameOfTransition(transition));
  }

  private nameOfTransition(transition: Transition): string {
    const { source, eventType } = transition;
    const siblings = (eventType === '' ? (source.always ?? []) : (source.transitions.get(eventType) ?? [])) as Transition[];
    const which = siblings.length > 1 ? `[${siblings.indexOf(transition)}]` : '';
    return `${source.machine.id}: ${nameOf(source)} --${eventType || 'always'}${which}-->`;
  }
}
