import { endlessStep, type Hop } from '../system/endless.js';
import type { Choice, System } from '../system/system.js';
import type { BugReport, LocalTables, LocalTransition } from './local.js';

/** A message as it was delivered within a step. */
export interface Delivery {
  to: number;
  message: number;
  before: number;
  after: number;
}

/** What one step does, given the local states that it reads. */
export interface StepResult {
  /** Actors in the order in which the step first consulted them, with the local state found: all that the step reads. */
  reads: { actor: number; id: number }[];
  /** New local states of the actors that changed. */
  writes: Map<number, number>;
  bugs: BugReport[];
  deliveries: Delivery[];
}

/**
 * Runs one step on interned local states, in XState's own delivery order: a message is delivered as soon as the sender's
 * macrostep has ended, depth first; a message to an actor that is still processing waits in its mailbox.
 */
export class Cascade {
  private reads: { actor: number; id: number }[] = [];
  private current = new Map<number, number>();
  private busy = new Set<number>();
  private mailboxes = new Map<number, number[]>();
  private bugs: BugReport[] = [];
  private deliveries: Delivery[] = [];

  constructor(
    private readonly system: System,
    private readonly tables: LocalTables,
  ) {}

  /** A choice taken where `idOf` gives the local states; null when it is not enabled there. @throws {ModelError} */
  step(choice: Choice, message: number, idOf: (actor: number) => number): StepResult | null {
    this.reset();
    const { actor } = choice;
    const row = this.tables.choice(actor, this.consult(actor.index, idOf), message, choice.delayed);
    if (row) {
      this.busy.add(actor.index);
      this.apply(actor.index, message, row, idOf);
      this.drain(actor.index, idOf);
    }
    return row && this.result();
  }

  /** The first local states of all actors, with what they send on starting. */
  start(): StepResult {
    this.reset();
    const initial = this.system.actors.map((actor) => this.tables.initial(actor));
    const idOf = (actor: number): number => (initial[actor] as LocalTransition).next;
    for (const [actor, row] of initial.entries()) {
      this.current.set(actor, row.next);
      // An actor that has not started yet keeps its messages in the mailbox.
      this.busy.add(actor);
    }
    for (const [actor, row] of initial.entries()) {
      this.bugs.push(...row.bugs);
      for (const { to, message } of row.sends) this.deliver(to, message, idOf);
      this.drain(actor, idOf);
    }
    return this.result();
  }

  private reset(): void {
    this.reads = [];
    this.current = new Map();
    this.busy.clear();
    this.mailboxes.clear();
    this.bugs = [];
    this.deliveries = [];
  }

  private result(): StepResult {
    const before = new Map(this.reads.map(({ actor, id }) => [actor, id]));
    const writes = new Map([...this.current].filter(([actor, id]) => before.get(actor) !== id));
    return { reads: this.reads, writes, bugs: this.bugs, deliveries: this.deliveries };
  }

  private consult(actor: number, idOf: (actor: number) => number): number {
    const known = this.current.get(actor);
    if (known !== undefined) return known;
    const id = idOf(actor);
    this.reads.push({ actor, id });
    this.current.set(actor, id);
    return id;
  }

  private deliver(to: number, message: number, idOf: (actor: number) => number): void {
    if (this.busy.has(to)) {
      const mailbox = this.mailboxes.get(to) ?? [];
      this.mailboxes.set(to, mailbox);
      mailbox.push(message);
      return;
    }
    this.busy.add(to);
    this.process(to, message, idOf);
    this.drain(to, idOf);
  }

  private drain(actor: number, idOf: (actor: number) => number): void {
    for (let next = this.mailboxes.get(actor)?.shift(); next !== undefined; next = this.mailboxes.get(actor)?.shift()) this.process(actor, next, idOf);
    this.busy.delete(actor);
  }

  private process(actor: number, message: number, idOf: (actor: number) => number): void {
    const state = this.consult(actor, idOf);
    const receiver = this.system.actors[actor];
    if (receiver) this.apply(actor, message, this.tables.transition(receiver, state, message), idOf);
  }

  private apply(actor: number, message: number, row: LocalTransition, idOf: (actor: number) => number): void {
    this.deliveries.push({ to: actor, message, before: this.current.get(actor) as number, after: row.next });
    if (this.deliveries.length > this.system.limits.cascade) throw endlessStep(this.hops(), this.system.limits);
    this.current.set(actor, row.next);
    this.bugs.push(...row.bugs);
    for (const send of row.sends) this.deliver(send.to, send.message, idOf);
  }

  private hops(): Hop[] {
    return this.deliveries.map(({ to, message }) => {
      const { type, from } = this.tables.messages[message] as { type: string; from?: string };
      return { from: from ?? 'scheduler', to: this.system.actors[to]?.address as string, type };
    });
  }
}
