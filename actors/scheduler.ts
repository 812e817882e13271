import { type AnyActorRef, fromTransition } from 'xstate';

/** A choice on its way: the actor it is given to, and the event. */
export interface Dispatch {
  type: 'choice';
  address: string;
  event: { type: string };
}

/** The scheduler of a live system: it gives each choice to its actor, and counts them. Nothing else moves a live system. */
export const scheduler = fromTransition(
  (context: { taken: number }, { address, event }: Dispatch, { system }) => {
    (system.get(address) as AnyActorRef).send(event);
    return { taken: context.taken + 1 };
  },
  { taken: 0 },
);
