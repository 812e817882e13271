import type { AnyTransitionDefinition } from 'xstate';
import { Cascade, type StepResult } from '../explore/cascade.js';
import { Coverage } from '../explore/coverage.js';
import { LocalTables } from '../explore/local.js';
import { type Eventuality, type Property, violatedBy } from '../property/property.js';
import type { Course } from '../schedule/course.js';
import { isOpen, type JudgedLasso, judge } from '../schedule/lasso.js';
import { ScheduleError } from '../system/errors.js';
import { startingAt } from '../system/starting-at.js';
import { type Choice, choiceAt, labelOf, type System, type SystemActor } from '../system/system.js';
import { type AnySnapshot, isMachineSnapshot, rests } from '../system/view.js';

/** A message of a step, in the order of delivery. `from` is null for what the scheduler sends. */
export interface WalkMessage {
  from: SystemActor | null;
  to: SystemActor;
  event: { type: string };
}

export interface WalkStep {
  choice: Choice;
  messages: readonly WalkMessage[];
  /** Actors that changed. */
  changed: readonly { actor: SystemActor; before: AnySnapshot; after: AnySnapshot }[];
}

export interface PropertyTruth {
  property: Property;
  /**
   * `untested`: the premise is not met. `open`: what is to be possible, or to come, is not there yet; whether it can be, or will, is not
   * seen in one state.
   */
  truth: 'holds' | 'violated' | 'untested' | 'open';
  /** Of an eventuality that is violated: how the schedule so far goes on for ever. */
  lasso: JudgedLasso | null;
}

/**
 * A schedule that can be walked forth and back: the state after each step is kept, as numbers of local states, so that any of them
 * is there at once and any may be left by another choice. Steps are XState's own, from the explorer's tables.
 */
export class Walk {
  private readonly cascade: Cascade;
  private readonly states: (readonly number[])[] = [];
  private readonly results: StepResult[] = [];
  private readonly taken: Choice[] = [];
  private readonly steps: WalkStep[] = [];
  private changesMade = 0;
  private readonly byAddress: ReadonlyMap<string, SystemActor>;
  private readonly messages: number[];

  /** @throws {ModelError} when the system cannot start. */
  constructor(
    readonly system: System,
    private readonly tables: LocalTables = new LocalTables(system, new Coverage(system)),
  ) {
    this.byAddress = new Map(system.actors.map((actor) => [actor.address, actor]));
    this.cascade = new Cascade(system, this.tables);
    this.messages = system.choices.map(({ event }) => this.tables.message(event));
    const start = this.cascade.start();
    this.states.push(system.actors.map(({ index }) => start.writes.get(index) as number));
  }

  /** Another number after every change of the schedule. */
  get revision(): number {
    return this.changesMade;
  }

  get length(): number {
    return this.taken.length;
  }

  /** Choice numbers, as a token has them. */
  get schedule(): number[] {
    return this.taken.map(({ index }) => index);
  }

  /** The choices that can be taken after so many steps. */
  enabled(at = this.length): Choice[] {
    return this.system.choices.filter((choice) => this.step(choice, at) !== null);
  }

  /** Whether a choice would change anything. */
  changes(choice: Choice, at = this.length): boolean {
    const result = this.step(choice, at);
    const before = this.stateAt(at);
    return result !== null && [...result.writes].some(([index, id]) => before[index] !== id);
  }

  /**
   * Takes a choice after so many steps; what came after them is dropped.
   * @throws {ScheduleError} when it is not enabled. @throws {ModelError} when an actor fails.
   */
  take(choice: Choice, at = this.length): WalkStep {
    const result = this.step(choice, at);
    if (!result) throw new ScheduleError(`step ${at + 1}: '${labelOf(choice)}' is not possible`, at + 1);
    this.cut(at);
    const next = [...this.stateAt(at)];
    for (const [index, id] of result.writes) next[index] = id;
    this.states.push(next);
    this.results.push(result);
    this.taken.push(choice);
    const step = this.describe(choice, result, this.stateAt(at));
    this.steps.push(step);
    return step;
  }

  /** Another walk that begins with the same steps. */
  fork(at: number): Walk {
    const other = new Walk(this.system, this.tables);
    other.states.push(...this.states.slice(1, at + 1));
    other.results.push(...this.results.slice(0, at));
    other.taken.push(...this.taken.slice(0, at));
    other.steps.push(...this.steps.slice(0, at));
    return other;
  }

  /** Drops what comes after so many steps. */
  cut(at: number): void {
    this.changesMade++;
    this.states.length = at + 1;
    this.results.length = at;
    this.taken.length = at;
    this.steps.length = at;
  }

  /** Replaces the schedule. @throws {ScheduleError} at the step that does not fit; those before it stay. */
  load(schedule: readonly number[]): void {
    this.cut(0);
    for (const [at, index] of schedule.entries()) this.take(choiceAt(this.system, index, at + 1));
  }

  /** The step with this number, counted from 1. */
  stepAt(number: number): WalkStep {
    const step = this.steps[number - 1];
    if (!step) throw new RangeError(`there is no step ${number}`);
    return step;
  }

  private describe(choice: Choice, result: StepResult, before: readonly number[]): WalkStep {
    const actorOf = (index: number): SystemActor => this.system.actors[index] as SystemActor;
    return {
      choice,
      messages: result.deliveries.map(({ to, message }) => {
        const event = this.tables.messages[message] as { type: string; from?: string };
        return { from: event.from === undefined ? null : (this.byAddress.get(event.from) ?? null), to: actorOf(to), event };
      }),
      changed: [...result.writes].flatMap(([index, id]) =>
        before[index] === id
          ? []
          : [{ actor: actorOf(index), before: this.snapshotOf(actorOf(index), before[index] as number), after: this.snapshotOf(actorOf(index), id) }],
      ),
    };
  }

  /** An actor after so many steps. */
  snapshot(actor: SystemActor, at = this.length): AnySnapshot {
    return this.snapshotOf(actor, this.stateAt(at)[actor.index] as number);
  }

  /** The transition that an actor took last in a step; null: it took none. */
  takenBy(actor: SystemActor, number: number): { source: string; event: string; index: number } | null {
    const deliveries = this.results[number - 1]?.deliveries.filter(({ to }) => to === actor.index) ?? [];
    for (const { message, before } of [...deliveries].reverse()) {
      const snapshot = this.snapshotOf(actor, before);
      if (!isMachineSnapshot(snapshot)) return null;
      const [taken] = snapshot.machine.getTransitionData(snapshot, this.tables.messages[message] as { type: string }) as unknown as AnyTransitionDefinition[];
      if (!taken) continue;
      const siblings = taken.source.transitions.get(taken.eventType) ?? [];
      return { source: taken.source.id, event: taken.eventType, index: siblings.indexOf(taken) };
    }
    return null;
  }

  /** The system that begins after so many steps: its schedules go on where this one ends. Delays (`after`) that run are not taken along. */
  systemFrom(at = this.length): System {
    const actors = this.system.actors.map((actor): SystemActor => ({ ...actor, logic: startingAt(actor.logic, this.snapshot(actor, at)) }));
    const choices = this.system.choices.map((choice): Choice => ({ ...choice, actor: actors[choice.actor.index] as SystemActor }));
    return { ...this.system, actors, choices };
  }

  /** Equal texts, equal states. */
  key(at = this.length): string {
    return this.stateAt(at).join();
  }

  /** Which properties hold after so many steps. */
  truths(at = this.length): PropertyTruth[] {
    return this.system.properties.map((property) => {
      const lasso = property.kind === 'eventuality' ? this.lasso(property, at) : null;
      return { property, truth: lasso ? 'violated' : this.truthOf(property, at), lasso };
    });
  }

  /** Steps before those that can be repeated for ever, if the schedule so far violates an eventuality by them; else null. */
  loop(at = this.length): number | null {
    return this.truths(at).find(({ lasso }) => lasso !== null)?.lasso?.stem ?? null;
  }

  /** How an eventuality is violated when the schedule, after so many steps, goes on for ever with the last of them; null if it is not. */
  private lasso(property: Eventuality, at: number): JudgedLasso | null {
    const judged = judge(this.courseTo(at), property);
    return 'refused' in judged ? null : judged;
  }

  private courseTo(at: number): Course {
    return {
      system: this.system,
      taken: this.taken.slice(0, at),
      snapshot: (actor, state) => this.snapshot(actor, state),
      key: (state) => this.key(state),
      isEnabled: (choice, state) => this.step(choice, state) !== null,
      changes: (choice, state) => this.changes(choice, state),
    };
  }

  private truthOf(property: Property, at: number): PropertyTruth['truth'] {
    switch (property.kind) {
      case 'bug':
        return this.enteredBug(property.name, at) ? 'violated' : 'holds';
      case 'invariant': {
        const snapshots = this.snapshotsOf(property.actors, at);
        if (property.when && !property.when(snapshots)) return 'untested';
        return property.holds(snapshots) ? 'holds' : 'violated';
      }
      case 'possibility': {
        const snapshots = this.snapshotsOf(property.actors, at);
        if (!property.when(snapshots)) return 'untested';
        return property.reach(snapshots) ? 'holds' : 'open';
      }
      case 'eventuality': {
        if (this.enteredBug(property.name, at)) return 'violated';
        if (isOpen(this.courseTo(at), property)) return 'open';
        const snapshots = this.snapshotsOf(property.actors, at);
        const isAnswer = (property.when?.(snapshots) ?? true) || (at > 0 && isOpen(this.courseTo(at - 1), property));
        return isAnswer && property.reach(snapshots) ? 'holds' : 'untested';
      }
      case 'deadlock': {
        const stuck = this.system.actors.some((actor) => actor.path && !rests(this.snapshot(actor, at)));
        return stuck && !this.system.choices.some((choice) => choice.fair && this.changes(choice, at)) ? 'violated' : 'holds';
      }
    }
  }

  private enteredBug(name: string, at: number): boolean {
    const bugs = [
      ...(this.results[at - 1]?.bugs ?? []),
      ...this.system.actors.flatMap((actor) => this.tables.local(actor, this.stateAt(at)[actor.index] as number).bugs),
    ];
    return bugs.some(({ tags }) => violatedBy(this.system.properties, tags).includes(name));
  }

  private snapshotsOf(addresses: readonly string[], at: number): Record<string, AnySnapshot> {
    return Object.fromEntries(
      this.system.actors.filter(({ address }) => addresses.includes(address)).map((actor) => [actor.address, this.snapshot(actor, at)]),
    );
  }

  private step(choice: Choice, at: number): StepResult | null {
    const state = this.stateAt(at);
    return this.cascade.step(choice, this.messages[choice.index] as number, (index) => state[index] as number);
  }

  private stateAt(at: number): readonly number[] {
    const state = this.states[at];
    if (!state) throw new RangeError(`the schedule has ${this.length} steps, not ${at}`);
    return state;
  }

  private snapshotOf(actor: SystemActor, id: number): AnySnapshot {
    return this.tables.local(actor, id).snapshot;
  }
}
