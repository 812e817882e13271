import { type AnyActorRef, type EventObject, enqueueActions, type MachineContext, sendTo } from 'xstate';

/** The name under which an actor is registered in its system. */
export type Address = string;

/** A message as it arrives: signed with the sender's address. */
export type Signed<M> = M & { from: Address };

type Args<C extends MachineContext, E extends EventObject> = { context: C; event: E };
type Of<A, T> = T | ((args: A) => T);
const resolve = <A, T>(of: Of<A, T>, args: A): T => (typeof of === 'function' ? (of as (args: A) => T)(args) : of);

/** Anything with a `get`: XState's actor system, live or explored. */
type Directory = { get(address: string): AnyActorRef | undefined };

/**
 * The actor registered as `address`.
 * @throws {Error} when there is none. XState's own `sendTo(undefined, ...)` would deliver to the sender instead.
 */
export function actorAt(system: Directory, address: Address, self: { id: string }): AnyActorRef {
  const actor = system.get(address);
  if (!actor) throw new Error(`'${self.id}' speaks to '${address}', which is no actor of this system or has finished`);
  return actor;
}

/**
 * The ways in which a machine with this context and these events speaks.
 * - `tell(to, message)`: an action that sends `message` to the actor registered as `to`, signed with the sender's address
 *   in `from`. Both may be functions of `{ context, event }`.
 * - `reply(message)`: the same, to the sender of the message being handled.
 * - `inform(observer, message)`: tells an observer, or nobody where there is none (null).
 * - `forward(to, message)`: passes on a message of another, signed as it came.
 */
export function speaker<C extends MachineContext, E extends EventObject>() {
  const tell = <M extends EventObject>(to: Of<Args<C, E>, Address>, message: Of<Args<C, E>, M>) =>
    sendTo<C, E, undefined, AnyActorRef, E>(
      ({ context, event, system, self }) => actorAt(system, resolve(to, { context, event }), self),
      ({ context, event, self }: Args<C, E> & { self: AnyActorRef }) => ({ ...resolve(message, { context, event }), from: self.id }),
    );
  const reply = <M extends EventObject>(message: Of<Args<C, E>, M>) => tell<M>(({ event }) => (event as E & { from: Address }).from, message);
  const inform = <M extends EventObject>(observer: Of<Args<C, E>, Address | null>, message: Of<Args<C, E>, M>) =>
    enqueueActions<C, E, undefined, E, never, never, never, never, EventObject>(({ context, event, enqueue }) => {
      const to = resolve(observer, { context, event });
      if (to !== null) enqueue(tell(to, message));
    });
  const forward = <M extends Signed<EventObject>>(to: Of<Args<C, E>, Address>, message: Of<Args<C, E>, M>) =>
    sendTo<C, E, undefined, AnyActorRef, E>(
      ({ context, event, system, self }) => actorAt(system, resolve(to, { context, event }), self),
      ({ context, event }: Args<C, E>) => resolve(message, { context, event }),
    );
  return { tell, reply, inform, forward };
}

/** The event as one of the type named: for guards and actions, which see the union. @throws {Error} when it is of another type. */
export function received<E extends EventObject, T extends E['type']>(event: E, ...types: T[]): Extract<E, { type: T }> {
  if (!(types as string[]).includes(event.type)) throw new Error(`expected '${types.join("' or '")}', not '${event.type}'`);
  return event as Extract<E, { type: T }>;
}

/** Sends from actor logic that is no statechart (`fromTransition`), in the same form as {@link tell}. */
export function post(scope: { self: { id: string }; system: Directory }, to: Address, message: EventObject): void {
  actorAt(scope.system, to, scope.self).send({ ...message, from: scope.self.id });
}
