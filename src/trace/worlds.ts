import type { AnyActorLogic, AnyMachineSnapshot, AnyStateNode } from 'xstate';
import { Cascade, type StepResult } from '../explore/cascade.js';
import { Coverage } from '../explore/coverage.js';
import { type BugReport, type LocalState, LocalTables } from '../explore/local.js';
import type { Address } from '../system/message.js';
import { defineSystem, type System, type SystemActor } from '../system/system.js';
import { type AnySnapshot, placeOf } from '../system/view.js';

/**
 * One state of all actors that the lines read so far allow. `marks` are notes of the mapping about it (an address space's
 * generation when a call began), which belong to the state as its actors do.
 */
export interface World {
  readonly ids: readonly number[];
  readonly marks: Readonly<Record<string, string>>;
}

/** A choice or a message from outside. */
export interface Message {
  type: string;
  [field: string]: unknown;
}

/** A choice that the log does not show: it may be taken at any time. */
export interface Hidden {
  /** Hidden choices of one group may come before what a demand of that group asks for. */
  group: string;
  actor: Address;
  event: Message;
  /** Where it may be taken, if not everywhere. */
  where?: (world: World) => boolean;
}

export interface Taken {
  world: World;
  /** Numbers of the actors that it depended on, and of those that it changed. */
  reads: readonly number[];
  writes: readonly number[];
  /** Messages delivered, in order. */
  deliveries: () => { to: Address; event: { type: string; from?: string } }[];
  bugs: readonly BugReport[];
  /** What decided: for each message the guards that were asked, `!` before those that said no. */
  decisions: () => string[];
}

/**
 * A system that grows: an actor joins when a log first shows what it stands for. Its transitions are XState's own, found
 * through the explorer's tables.
 */
export class Cast {
  private readonly actors: SystemActor[] = [];
  private readonly byAddress = new Map<Address, SystemActor>();
  private readonly coverage: Coverage;
  private readonly tables: LocalTables;
  private readonly cascade: Cascade;
  private readonly steps = new Map<string, (StepResult | null)[]>();
  /** Numbers of messages by the object: the same one is taken again and again. */
  private readonly numbers = new WeakMap<object, number>();
  /** Local states of actors when they joined. */
  private readonly first: number[] = [];

  constructor() {
    const empty = defineSystem({ id: 'trace', actors: {} });
    const system: System = { ...empty, actors: this.actors, limits: { cascade: 1000, localStates: Number.MAX_SAFE_INTEGER } };
    this.coverage = new Coverage(system);
    this.tables = new LocalTables(system, this.coverage);
    this.cascade = new Cascade(system, this.tables);
  }

  has(address: Address): boolean {
    return this.byAddress.has(address);
  }

  /** Lets an actor join; who speaks on starting cannot, since there would be nobody whom the log shows to listen. */
  join(address: Address, logic: AnyActorLogic, input?: unknown): void {
    const actor: SystemActor = { index: this.actors.length, address, logic, input, path: false, lane: null };
    this.actors.push(actor);
    this.byAddress.set(address, actor);
    this.tables.admit(actor);
    this.first.push(this.tables.initial(actor).next);
  }

  indexOf(address: Address): number {
    return this.actorOf(address).index;
  }

  /** Addresses that begin so. */
  addresses(prefix: string): Address[] {
    return [...this.byAddress.keys()].filter((address) => address.startsWith(prefix));
  }

  /** How many actors there are. */
  get size(): number {
    return this.actors.length;
  }

  snapshot(world: World, address: Address): AnySnapshot {
    return this.local(world, address).snapshot;
  }

  // biome-ignore lint/suspicious/noExplicitAny: of any machine; the mapping knows which
  context(world: World, address: Address): any {
    return this.snapshot(world, address).context;
  }

  /** The innermost states. */
  at(world: World, address: Address): string {
    return placeOf(this.snapshot(world, address));
  }

  rests(world: World, address: Address): boolean {
    return this.local(world, address).rests;
  }

  /** The world with some of an actor's context as given: what the log has just shown of something that was unknown. */
  learn(world: World, address: Address, fields: object): World {
    const actor = this.actorOf(address);
    const snapshot = this.snapshot(world, address);
    const learnt = Object.assign(Object.create(Object.getPrototypeOf(snapshot)), snapshot, { context: { ...(snapshot.context as object), ...fields } });
    return this.with(world, new Map([[actor.index, this.tables.internSnapshot(actor, learnt)]]));
  }

  /** What a choice or a message from outside does; null where the actor does not take it. @throws {ModelError} */
  take(world: World, address: Address, event: { type: string }): Taken | null {
    const actor = this.actorOf(address);
    const message = this.numberOf(event);
    const result = this.step(world, actor, event, message);
    if (!result) return null;
    return {
      world: this.with(world, result.writes),
      reads: result.reads.map(({ actor: index }) => index),
      writes: [...result.writes.keys()],
      bugs: result.bugs,
      deliveries: () =>
        result.deliveries.map(({ to, message: number }) => ({
          to: (this.actors[to] as SystemActor).address,
          event: this.tables.messages[number] as { type: string },
        })),
      decisions: () => this.decisionsOf(result),
    };
  }

  /** What the step does, looked up by the states that it read when it was computed. */
  private step(world: World, actor: SystemActor, event: { type: string }, message: number): StepResult | null {
    const key = `${actor.index} ${this.idIn(world, actor.index)} ${message}`;
    const known = this.steps.get(key) ?? [];
    for (const step of known) if (step === null || step.reads.every(({ actor: index, id }) => this.idIn(world, index) === id)) return step;
    const result = this.cascade.step({ index: -1, actor, event, fair: true, delayed: false }, message, (index) => this.idIn(world, index));
    this.steps.set(key, [...known, result]);
    return result;
  }

  mark(world: World, name: string, value: string | null): World {
    const { [name]: _, ...others } = world.marks;
    return { ids: world.ids, marks: value === null ? others : { ...others, [name]: value } };
  }

  /** Worlds that are equal count once. */
  distinct(worlds: World[]): World[] {
    if (worlds.length <= 1) return worlds;
    const found = new Map<string, World>();
    for (const world of worlds) {
      const key = this.keyOf(world);
      if (!found.has(key)) found.set(key, world);
    }
    return [...found.values()];
  }

  /** Equal worlds have equal keys. */
  keyOf(world: World): string {
    const ids = this.padded(world).join();
    const marks = Object.keys(world.marks);
    return marks.length === 0 ? ids : `${ids}|${JSON.stringify(marks.sort().map((name) => [name, world.marks[name]]))}`;
  }

  /** States and transitions of the machines that no line has made them take. */
  unreached(): string[] {
    return this.coverage.unreached();
  }

  start(): World {
    return { ids: [], marks: {} };
  }

  private numberOf(event: { type: string }): number {
    const known = this.numbers.get(event);
    if (known !== undefined) return known;
    const number = this.tables.message(event);
    this.numbers.set(event, number);
    return number;
  }

  private local(world: World, address: Address): LocalState {
    const actor = this.actorOf(address);
    return this.tables.local(actor, this.idIn(world, actor.index));
  }

  private actorOf(address: Address): SystemActor {
    const actor = this.byAddress.get(address);
    if (!actor) throw new Error(`no actor '${address}'`);
    return actor;
  }

  /** Actors that have joined since a world was made are in their first state there. */
  private idIn(world: World, index: number): number {
    return world.ids[index] ?? (this.first[index] as number);
  }

  private padded(world: World): readonly number[] {
    return world.ids.length === this.first.length ? world.ids : this.first.map((first, index) => world.ids[index] ?? first);
  }

  private with(world: World, writes: ReadonlyMap<number, number>): World {
    if (writes.size === 0) return world;
    const ids = [...this.padded(world)];
    for (const [index, id] of writes) ids[index] = id;
    return { ids, marks: world.marks };
  }

  private decisionsOf({ deliveries }: StepResult): string[] {
    return deliveries.flatMap(({ to, message, before }) => {
      const actor = this.actors[to] as SystemActor;
      const { snapshot } = this.tables.local(actor, before);
      if (!('_nodes' in snapshot)) return [];
      const event = this.tables.messages[message] as { type: string };
      const [chosen] = (snapshot as AnyMachineSnapshot).machine.getTransitionData(snapshot as AnyMachineSnapshot, event);
      return (snapshot as unknown as { _nodes: AnyStateNode[] })._nodes.flatMap((node) => {
        const candidates = node.transitions.get(event.type) ?? [];
        const at = candidates.indexOf(chosen as never);
        return candidates
          .slice(0, at < 0 ? candidates.length : at + 1)
          .flatMap(({ guard }, index) =>
            guard ? [`${actor.address}: ${index === at ? '' : '!'}${typeof guard === 'string' ? guard : (guard as { type: string }).type}`] : [],
          );
      });
    });
  }
}
