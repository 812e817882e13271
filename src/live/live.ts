import { type Observable, Subject, tap } from 'rxjs';
import { type AnyActorLogic, type AnyActorRef, type AnyStateNode, createActor, createMachine, type InspectionEvent, spawnChild } from 'xstate';
import { scheduler } from '../../actors/scheduler.js';
import { endlessActor, endlessStep } from '../system/endless.js';
import { ModelError, messageOf, ScheduleError } from '../system/errors.js';
import { type Choice, labelOf, type System, type SystemActor, schedulerAddress } from '../system/system.js';
import { type AnySnapshot, bugNodes, identityKey, initialBugNodes, isMachineSnapshot, placeOf, whereIs } from '../system/view.js';

/** A message as a live actor received it. `from` is null for what the scheduler sends. */
export interface LiveMessage {
  /** The step (counted from 1) it belongs to; 0 while the system starts. */
  step: number;
  from: string | null;
  to: string;
  event: { type: string };
}

/** One step of a live system: the choice, its messages in the order of sending (one to an actor that is busy waits in its mailbox), and the snapshots that changed. */
export interface LiveStep {
  /** Counted from 1. */
  number: number;
  choice: Choice;
  messages: LiveMessage[];
  changed: { actor: SystemActor; before: AnySnapshot; after: AnySnapshot }[];
}

/** How a system runs live. */
export interface LiveOptions {
  /** XState's own inspector callback or observer, passed through. */
  inspect?: ((event: InspectionEvent) => void) | { next?: (event: InspectionEvent) => void };
  /**
   * `choices` (default): delayed transitions wait to be chosen, as when exploring. `real`: XState's timers run, and
   * `after` is no choice.
   */
  timers?: 'choices' | 'real';
}

/** An event that XState has scheduled. */
type Scheduled = { event: { type: string }; source: AnyActorRef };

/** Timers that fire when told to. XState notes a scheduled event just before it starts the timer: that is how they are told apart. */
class ChosenTimers {
  private readonly running = new Map<Scheduled, () => void>();
  constructor(private readonly scheduled: () => Scheduled[]) {}
  readonly setTimeout = (fire: () => void): Scheduled | undefined => {
    const event = this.scheduled().find((candidate) => !this.running.has(candidate));
    if (event) this.running.set(event, fire);
    return event;
  };
  readonly clearTimeout = (event: Scheduled): void => {
    this.running.delete(event);
  };
  fire(event: Scheduled): void {
    const fire = this.running.get(event);
    this.running.delete(event);
    fire?.();
  }
}

/** A system running in XState's own runtime. Nothing moves but by {@link LiveSystem.take} or a stream of choices. */
export class LiveSystem {
  readonly steps: Observable<LiveStep>;
  readonly messages: Observable<LiveMessage>;
  private readonly steps$ = new Subject<LiveStep>();
  private readonly messages$ = new Subject<LiveMessage>();
  private readonly refs = new Map<string, AnyActorRef>();
  private readonly timers = new ChosenTimers(() => this.scheduled());
  private readonly root: AnyActorRef & { start(): unknown };
  private taken = 0;
  private current: LiveMessage[] = [];
  private failure: unknown = null;
  /** Messages that an actor was sent and has not processed yet. */
  private readonly unprocessed = new Map<string, LiveMessage[]>();
  private microsteps = 0;
  private entered = new Set<AnyStateNode>();

  constructor(
    readonly system: System,
    private readonly options: LiveOptions = {},
  ) {
    this.steps = this.steps$.asObservable();
    this.messages = this.messages$.asObservable();
    const start = (logic: AnyActorLogic, address: string, input: unknown) => spawnChild(logic, { id: address, systemId: address, input });
    const root = createMachine({
      id: system.id,
      entry: [...system.actors.map(({ logic, address, input }) => start(logic, address, input)), start(scheduler, schedulerAddress, undefined)],
    });
    const clock = options.timers === 'real' ? this.realTimers() : this.timers;
    this.root = createActor(root, { clock, inspect: (event) => this.observe(event) }) as never;
    this.root.subscribe({ error: (error) => this.fail(error) });
    for (const { logic } of system.actors) for (const node of initialBugNodes(logic)) this.entered.add(node);
    this.root.start();
    this.raise();
  }

  /** An actor's snapshot now. */
  snapshot(address: string): AnySnapshot {
    return this.refs.get(address)?.getSnapshot() as AnySnapshot;
  }

  /** Each actor's local state as text, in the system's order: equal texts, equal states. */
  identity(): string[] {
    return this.system.actors.map(({ address }) => identityKey(this.snapshot(address), this.waiting(address), address));
  }

  /** The delayed events of an actor whose timers run. */
  private waiting(address: string): string[] {
    const ref = this.refs.get(address);
    return this.scheduled().flatMap(({ event, source }) => (source === ref ? [event.type] : []));
  }

  private scheduled(): Scheduled[] {
    return Object.values(this.root.system.getSnapshot()._scheduledEvents);
  }

  /** The BUG states that actors are in, or were in at some moment of the last step. */
  bugs(): AnyStateNode[] {
    return [...new Set([...this.entered, ...this.system.actors.flatMap(({ address }) => bugNodes(this.snapshot(address)))])];
  }

  /** The choices that can be taken now. */
  enabled(): Choice[] {
    return this.system.choices.filter((choice) => this.isEnabled(choice));
  }

  /**
   * Takes one step.
   * @throws {ScheduleError} when the choice is not enabled.
   * @throws {ModelError} when an actor fails: speaks to nobody, to one that has finished, or throws. So does every later step.
   */
  take(choice: Choice): LiveStep {
    this.raise();
    if (!this.isEnabled(choice))
      throw new ScheduleError(
        `step ${this.taken + 1}: '${labelOf(choice)}' is not possible, ${choice.actor.address} is in '${placeOf(this.snapshot(choice.actor.address))}'`,
        this.taken + 1,
      );
    const before = this.system.actors.map(({ address }) => this.snapshot(address));
    this.taken++;
    this.current = [];
    this.entered = new Set();
    if (choice.delayed) this.timers.fire(this.timerOf(choice) as Scheduled);
    else (this.root.system.get(schedulerAddress) as AnyActorRef).send({ type: 'choice', address: choice.actor.address, event: choice.event });
    this.raise();
    const changed = this.system.actors.flatMap((actor, index) => {
      const after = this.snapshot(actor.address);
      return after === before[index] ? [] : [{ actor, before: before[index] as AnySnapshot, after }];
    });
    const step = { number: this.taken, choice, messages: this.current, changed };
    this.steps$.next(step);
    return step;
  }

  /** Feeds a stream of choices to the scheduler actor, each as it comes. Errors of a step end the stream and are thrown. */
  run(choices: Observable<Choice>): void {
    let failure: unknown = null;
    const subscription = choices.pipe(tap((choice) => this.take(choice))).subscribe({ error: (error) => (failure = error) });
    if (failure) {
      subscription.unsubscribe();
      throw failure;
    }
  }

  /** Stops all actors. */
  stop(): void {
    (this.root as unknown as { stop(): void }).stop();
    this.steps$.complete();
    this.messages$.complete();
  }

  private isEnabled(choice: Choice): boolean {
    const snapshot = this.snapshot(choice.actor.address);
    if (snapshot.status !== 'active') return false;
    if (choice.delayed) return this.options.timers !== 'real' && this.timerOf(choice) !== undefined;
    if (isMachineSnapshot(snapshot)) return snapshot.can(choice.event as never);
    return this.changesSomething(choice, snapshot);
  }

  /** Logic without states cannot say what it takes: it is asked on the side whether the choice would do something. */
  private changesSomething(choice: Choice, snapshot: AnySnapshot): boolean {
    let sends = 0;
    const other = { send: () => sends++ };
    const scope = { self: { id: choice.actor.address, ...other }, system: { get: () => other } };
    const after = choice.actor.logic.transition(snapshot, choice.event, scope as never) as AnySnapshot;
    return sends > 0 || identityKey(after, [], choice.actor.address) !== identityKey(snapshot, [], choice.actor.address);
  }

  private timerOf(choice: Choice): Scheduled | undefined {
    return this.scheduled().find(({ event, source }) => event.type === choice.event.type && source === this.refs.get(choice.actor.address));
  }

  private observe(event: InspectionEvent): void {
    const ref = event.actorRef as AnyActorRef;
    if (event.type === '@xstate.actor') {
      this.microsteps = 0;
      // XState shows a new actor before it has its `systemId`; its options have it already.
      const { systemId } = (ref as unknown as { options: { systemId?: string } }).options;
      const actor = this.system.actors.find(({ address }) => address === systemId);
      if (actor && !this.refs.has(actor.address)) {
        this.refs.set(actor.address, ref);
        ref.subscribe({ error: (error) => this.fail(error) });
      }
    }
    const { inspect } = this.options;
    if (typeof inspect === 'function') inspect(event);
    else inspect?.next?.(event);
    if (this.refs.get(ref.id) === ref) this.follow(event, ref);
  }

  /** XState's timers; each that fires begins a step of its own. */
  private realTimers(): { setTimeout(fire: () => void, ms: number): unknown; clearTimeout(id: never): void } {
    const begin = (): void => {
      this.current = [];
      this.entered = new Set();
    };
    return { setTimeout: (fire, ms) => setTimeout(() => [begin(), fire()], ms), clearTimeout: (id) => clearTimeout(id) };
  }

  /** Follows an actor of the system through a step. @throws {ModelError} into the actor when the step would not end. */
  private follow(event: InspectionEvent, { id }: AnyActorRef): void {
    if (event.type === '@xstate.event') this.note(event, id);
    if (event.type === '@xstate.snapshot' && event.event.type !== 'xstate.init') this.unprocessed.get(id)?.shift();
    if (event.type === '@xstate.event' || event.type === '@xstate.snapshot') this.microsteps = 0;
    if (event.type !== '@xstate.microstep') return;
    const snapshot = event.snapshot as AnySnapshot;
    for (const node of bugNodes(snapshot)) this.entered.add(node);
    if (++this.microsteps > this.system.limits.cascade) throw endlessActor(whereIs(snapshot, id), this.system.limits);
  }

  private note(event: InspectionEvent & { type: '@xstate.event' }, to: string): void {
    if (event.event.type === 'xstate.init') return;
    const source = event.sourceRef as AnyActorRef | undefined;
    const from = (event.event as { from?: string }).from ?? (source && this.refs.get(source.id) === source ? source.id : null);
    const message = { step: this.taken, from, to, event: event.event };
    this.current.push(message);
    const queue = this.unprocessed.get(to) ?? [];
    this.unprocessed.set(to, queue);
    queue.push(message);
    this.messages$.next(message);
    if (this.current.length > this.system.limits.cascade)
      throw endlessStep(
        this.current.map((sent) => ({ from: sent.from ?? 'scheduler', to: sent.to, type: sent.event.type })),
        this.system.limits,
      );
  }

  private fail(error: unknown): void {
    this.failure ??= error;
  }

  private raise(): void {
    // XState drops what is left in the mailbox of an actor that finishes.
    for (const [lost] of this.unprocessed.values())
      if (lost) this.fail(new Error(`'${lost.from ?? schedulerAddress}' sends '${lost.event.type}' to '${lost.to}', which has finished`));
    if (this.failure) throw new ModelError(`system '${this.system.id}', live, step ${this.taken}: ${messageOf(this.failure)}`);
  }
}
