import type { AnyActorRef, InspectionEvent } from 'xstate';
import { LiveSystem } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';

/** An event that an actor handled within a step. */
export interface Handling {
  to: string;
  event: { type: string };
  /** Which handling of the same step sent it, counted from 0; null for the choice, which is the first. */
  cause: number | null;
}

/**
 * Follows a live system through a step. XState handles an event as soon as it is sent, within the handling that sends it, unless the actor
 * is handling another: then it waits until that is done.
 */
class Following {
  handlings: Handling[] = [];
  /** The handlings under way, the innermost last. */
  private underWay: number[] = [];
  private waiting = new Map<string, Handling[]>();

  constructor(private readonly addresses: ReadonlySet<string>) {}

  /** Begins anew: between steps nobody is handling anything. */
  begins(): void {
    this.handlings = [];
    this.underWay = [];
    this.waiting = new Map();
  }

  readonly see = (inspected: InspectionEvent): void => {
    const { id } = inspected.actorRef as AnyActorRef;
    if (!this.addresses.has(id)) return;
    if (inspected.type === '@xstate.event') this.sent({ to: id, event: inspected.event, cause: this.underWay.at(-1) ?? null });
    if (inspected.type === '@xstate.snapshot') this.handled(id);
  };

  private sent(handling: Handling): void {
    if (this.underWay.some((at) => this.handlings[at]?.to === handling.to)) {
      const queue = this.waiting.get(handling.to) ?? [];
      this.waiting.set(handling.to, queue);
      queue.push(handling);
    } else this.begin(handling);
  }

  private begin(handling: Handling): void {
    this.underWay.push(this.handlings.length);
    this.handlings.push(handling);
  }

  private handled(address: string): void {
    if (this.handlings[this.underWay.at(-1) ?? -1]?.to !== address) return;
    this.underWay.pop();
    const next = this.waiting.get(address)?.shift();
    if (next) this.begin(next);
  }
}

/**
 * Per step, what was handled, in the order in which that began. The messages of a step stand in the order of sending, which does not
 * tell whether an actor spoke before it heard an answer or because of it: the schedule is run again, and watched.
 */
export function handlingsOf({ system, steps }: Pick<Replay, 'system' | 'steps'>): Handling[][] {
  const following = new Following(new Set(system.actors.map(({ address }) => address)));
  const live = new LiveSystem(system, { inspect: following.see });
  const all = steps.map(({ choice }) => {
    following.begins();
    live.take(choice);
    return following.handlings;
  });
  live.stop();
  return all;
}
