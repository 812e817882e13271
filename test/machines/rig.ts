import type { AnyActorRef, AnyMachineSnapshot, AnyStateMachine, AnyStateNode } from 'xstate';
import { type ActorSpec, defineSystem, LiveSystem, type System } from '../../src/index.js';
import { nameOf, stateNodes } from '../../src/system/logic.js';
import { placeOf } from '../../src/system/view.js';
import type { Message } from './probe.js';

// biome-ignore lint/suspicious/noExplicitAny: as in SystemConfig
export type Actors = Record<string, ActorSpec<any>>;

type Transition = { source: AnyStateNode; eventType: string; target?: readonly AnyStateNode[] | undefined };
const taken = new Set<string>();

const nextOf = ({ source, eventType }: Transition): Transition[] =>
  (eventType === '' ? (source.always ?? []) : (source.transitions.get(eventType) ?? [])) as Transition[];

function nameOfTransition(transition: Transition): string {
  const { source, eventType, target } = transition;
  const siblings = nextOf(transition);
  const which = siblings.length > 1 ? `[${siblings.indexOf(transition)}]` : '';
  return `${source.machine.id}: ${nameOf(source)} --${eventType || 'always'}${which}--> ${target?.map(nameOf).join(', ') ?? ''}`.trim();
}

/** Transitions of a machine that no rig of this test file has taken, those into BUG states included. */
export function untaken(machine: AnyStateMachine): string[] {
  const all = stateNodes(machine).flatMap((node) => [...[...node.transitions.values()].flat(), ...(node.always ?? [])] as Transition[]);
  return all.map(nameOfTransition).filter((name) => !taken.has(name));
}

const unsigned = ({ from: _, ...message }: Message): Message => message;

function text(to: string, message: Message): string {
  const { type, ...fields } = unsigned(message);
  return Object.keys(fields).length > 0 ? `${to}: ${type} ${JSON.stringify(fields)}` : `${to}: ${type}`;
}

const messageOf = (message: Message | string): Message => (typeof message === 'string' ? { type: message } : message);

/** A small system running in XState, moved by hand: an object or a path under test, and what stands around it. */
export class Rig {
  readonly live: LiveSystem;
  private readonly system: System;
  private readonly sent: { to: string; event: Message }[] = [];

  constructor(actors: Actors) {
    this.system = defineSystem({ id: 'rig', actors });
    this.live = new LiveSystem(this.system, {
      inspect: (event) => {
        if (event.type === '@xstate.microstep') for (const transition of event._transitions) taken.add(nameOfTransition(transition));
        // The scheduler does not sign.
        if (event.type === '@xstate.event' && 'from' in event.event) this.sent.push({ to: (event.actorRef as AnyActorRef).id, event: event.event });
      },
    });
  }

  /** Takes a choice, one of the system's or any other. @throws {ScheduleError} when it is not possible. */
  take(address: string, choice: Message | string): this {
    const actor = this.system.actors.find((candidate) => candidate.address === address);
    if (!actor) throw new Error(`no actor '${address}'`);
    this.live.take({ index: -1, actor, event: messageOf(choice), fair: true, delayed: false });
    return this.demandPlainData();
  }

  /** Whether a machine can take a choice. */
  can(address: string, choice: Message | string): boolean {
    return (this.live.snapshot(address) as AnyMachineSnapshot).can(messageOf(choice));
  }

  /** A probe says something; returns what it hears within this step, signatures left out. */
  say(probe: string, to: string, message: Message | string): Message[] {
    const before = this.heard(probe).length;
    this.take(probe, { type: 'say', to, message: messageOf(message) });
    return this.heard(probe).slice(before);
  }

  /** Takes the first possible choice of these actors (default: of any) again and again, as long as there is one. */
  settle(...addresses: string[]): this {
    for (let steps = 0; steps < 500; steps++) {
      const choice = this.live.enabled().find(({ actor }) => addresses.length === 0 || addresses.includes(actor.address));
      if (!choice) return this;
      this.live.take(choice);
      this.demandPlainData();
    }
    throw new Error('it does not settle');
  }

  /** Takes `step`s of one actor until it is in this state. */
  stepTo(address: string, state: string): this {
    for (let steps = 0; this.at(address) !== state; steps++) {
      if (steps === 100) throw new Error(`'${address}' does not come to '${state}'`);
      this.take(address, 'step');
    }
    return this;
  }

  /** Where an actor is: its innermost states. */
  at(address: string): string {
    return placeOf(this.live.snapshot(address));
  }

  // biome-ignore lint/suspicious/noExplicitAny: of any actor; tests compare it with literals
  context(address: string): any {
    return this.live.snapshot(address).context;
  }

  /** All that an actor said, in order: `to: type {fields}`. */
  said(from: string): string[] {
    return this.sent.flatMap(({ to, event }) => (event.from === from ? [text(to, event)] : []));
  }

  /** All that an actor heard, in order, signatures left out. */
  heard(by: string): Message[] {
    return this.sent.flatMap(({ to, event }) => (to === by ? [unsigned(event)] : []));
  }

  /** Descriptions of the BUG states that actors are in, or were in at some moment of the last step. */
  bugs(): string[] {
    return this.live.bugs().map(({ description }) => description ?? '');
  }

  /** @throws {ModelError} when the context of an actor is not plain JSON. */
  private demandPlainData(): this {
    this.live.identity();
    return this;
  }
}
