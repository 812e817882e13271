import type { AnyActorLogic, AnyMachineSnapshot, AnyStateNode } from 'xstate';
import { Cascade, type StepResult } from '../explore/cascade.js';
import { Coverage } from '../explore/coverage.js';
import { type BugReport, type LocalState, LocalTables } from '../explore/local.js';
import type { Address } from '../system/message.js';
import { defineSystem, type System, type SystemActor } from '../system/system.js';
import { type AnySnapshot, placeOf } from '../system/view.js';

/**
 * One state of all actors that the lines read so far allow: where it differs from what all of them agree on, as numbers of
 * actors and of their local states in turn, sorted. `marks` are notes of the mapping about it (an address space's
 * generation when a call began), which belong to the state as its actors do.
 */
export interface World {
  readonly differs: readonly number[];
  readonly marks: Readonly<Record<string, string>>;
  /** Equal worlds have equal keys; made when asked for. */
  key?: string;
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

/** A step that a possible state of the model has taken. */
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

const nobody = defineSystem({ id: 'trace', actors: {} });

/** A row of a table of tables, made when first asked for. */
function rowOf<T>(table: T[][], index: number, id: number, make: () => T): T {
  const rows = table[index] as T[];
  rows[id] ??= make();
  return rows[id];
}

/** All keys and strings in a value. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    yield key;
    yield* textsIn(inner);
  }
}

/** What a step does: decided, or by the local state of one actor more. */
type Branch = Fork | { result: StepResult | null };
interface Fork {
  actor: number;
  next: Map<number, Branch>;
}

/** How many messages and steps are remembered before all are forgotten. */
const remembered = 50_000;

/**
 * A system that grows and shrinks: an actor joins when a log first shows what it stands for, and leaves when nothing is
 * known of it any more. Its transitions are XState's own, found through the explorer's tables.
 */
export class Cast {
  private actors: SystemActor[] = [];
  private readonly byAddress = new Map<Address, SystemActor>();
  private readonly byPrefix = new Map<string, Address[]>();
  private readonly logics = new Map<AnyActorLogic, SystemActor>();
  private readonly coverage: Coverage;
  private tables!: LocalTables;
  private cascade!: Cascade;
  /** By actor, local state and message. */
  private steps: Map<number, Branch>[][] = [];
  private learnt: Map<string, number>[][] = [];
  private stepsKnown = 0;
  /** Numbers of messages: by the object, where the same one is taken again and again, and by their text. */
  private numbersOf = new WeakMap<object, number>();
  private numbers = new Map<string, number>();
  /** The local state that each actor has when it joins. */
  private firsts: number[] = [];
  /** The local state that all worlds have, but for where they differ. */
  private common: number[] = [];
  /** Actors that somebody has asked for since {@link unheard} was last asked. */
  private readonly heard = new Set<Address>();
  private joined = 0;

  constructor() {
    this.coverage = new Coverage(this.systemOf([]));
    this.reset();
  }

  has(address: Address): boolean {
    return this.byAddress.has(address);
  }

  /** Lets an actor join; who speaks on starting cannot, since there would be nobody whom the log shows to listen. */
  join(address: Address, logic: AnyActorLogic, input?: unknown): void {
    this.heard.add(address);
    if (this.byAddress.has(address)) return;
    this.joined++;
    const actor = this.admit({ index: this.actors.length, address, logic, input, path: false, lane: null });
    this.common.push(this.firstOf(actor));
    for (const [prefix, addresses] of this.byPrefix) if (address.startsWith(prefix)) addresses.push(address);
  }

  indexOf(address: Address): number {
    return this.actorOf(address).index;
  }

  /** Addresses that begin so, in the order of joining. */
  addresses(prefix: string): readonly Address[] {
    const known = this.byPrefix.get(prefix);
    if (known) return known;
    const found = [...this.byAddress.keys()].filter((address) => address.startsWith(prefix));
    this.byPrefix.set(prefix, found);
    return found;
  }

  /** How many actors have joined so far. */
  get size(): number {
    return this.joined;
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
    const from = this.idIn(world, actor.index);
    const known = rowOf(this.learnt, actor.index, from, () => new Map<string, number>());
    const key = JSON.stringify(fields);
    let id = known.get(key);
    if (id === undefined) {
      const { snapshot } = this.tables.local(actor, from);
      const context = { ...(snapshot.context as object), ...fields };
      id = this.tables.internSnapshot(actor, Object.assign(Object.create(Object.getPrototypeOf(snapshot)), snapshot, { context }));
      known.set(key, id);
    }
    return this.with(world, new Map([[actor.index, id]]));
  }

  /** The world with an actor as it was when it joined: something new has its address. */
  anew(world: World, address: Address): World {
    const actor = this.actorOf(address);
    return this.with(world, new Map([[actor.index, this.firstOf(actor)]]));
  }

  /** What a choice or a message from outside does; null where the actor does not take it. @throws {ModelError} */
  take(world: World, address: Address, event: { type: string }): Taken | null {
    const actor = this.actorOf(address);
    const result = this.step(world, actor, event);
    if (!result) return null;
    return {
      world: this.with(world, result.writes),
      reads: result.reads.map(({ actor: index }) => index),
      writes: [...result.writes.keys()],
      bugs: result.bugs,
      deliveries: () =>
        result.deliveries.map(({ to, message }) => ({
          to: (this.actors[to] as SystemActor).address,
          event: this.tables.messages[message] as { type: string },
        })),
      decisions: () => this.decisionsOf(result),
    };
  }

  /** What the step does, looked up by the states that it reads, one after the other. */
  private step(world: World, actor: SystemActor, event: { type: string }): StepResult | null {
    const message = this.numberOf(event);
    const rows = rowOf(this.steps, actor.index, this.idIn(world, actor.index), () => new Map<number, Branch>());
    let branch = rows.get(message);
    while (branch && 'next' in branch) branch = branch.next.get(this.idIn(world, branch.actor));
    if (branch) return branch.result;
    const result = this.cascade.step({ index: -1, actor, event, fair: true, delayed: false }, message, (index) => this.idIn(world, index));
    this.stepsKnown++;
    // The first read is the actor itself, by whose state the row was found.
    const reads = result?.reads.slice(1) ?? [];
    let [at, key] = [rows, message];
    for (const { actor: index, id } of reads) {
      const inner = at.get(key) ?? { actor: index, next: new Map<number, Branch>() };
      at.set(key, inner);
      [at, key] = [(inner as Fork).next, id];
    }
    at.set(key, { result });
    return result;
  }

  mark(world: World, name: string, value: string | null): World {
    const { [name]: _, ...others } = world.marks;
    return { differs: world.differs, marks: value === null ? others : { ...others, [name]: value } };
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
    if (world.key !== undefined) return world.key;
    const marks = Object.keys(world.marks);
    const key = `${world.differs.join()}|${marks.length === 0 ? '' : JSON.stringify(marks.sort().map((name) => [name, world.marks[name]]))}`;
    world.key = key;
    return key;
  }

  /** The same worlds, with what all of them agree on said once. Worlds from before are void. */
  agree(worlds: readonly World[]): World[] {
    const [first] = worlds;
    if (!first || worlds.every(({ differs }) => differs.length === 0)) return [...worlds];
    const agreed = new Map<number, number>();
    const candidates = new Set(worlds.flatMap(({ differs }) => differs.filter((_, at) => at % 2 === 0)));
    for (const index of candidates) {
      const id = this.idIn(first, index);
      if (worlds.every((world) => this.idIn(world, index) === id)) agreed.set(index, id);
    }
    if (agreed.size === 0) return [...worlds];
    for (const [index, id] of agreed) this.common[index] = id;
    return worlds.map(({ differs, marks }) => ({ differs: differs.filter((_, at) => !agreed.has(differs[at - (at % 2)] as number)), marks }));
  }

  /** Messages and steps that are remembered. */
  get remembers(): number {
    return this.tables.messages.length + this.stepsKnown;
  }

  /** Whether so much is remembered that {@link renew} is worth its while. */
  get isFull(): boolean {
    return this.remembers > remembered;
  }

  /** Actors that nobody has asked for since this was last asked. */
  unheard(): Address[] {
    const found = [...this.byAddress.keys()].filter((address) => !this.heard.has(address));
    this.heard.clear();
    return found;
  }

  /**
   * The same worlds without the actors that may leave, and without what was remembered of transitions. Worlds from before
   * are void. Who another actor knows of stays.
   */
  renew(worlds: readonly World[], mayLeave: readonly Address[]): { worlds: World[]; left: Address[] } {
    const [before, tables] = [this.actors, this.tables];
    const snapshotsOf = ({ index }: SystemActor): AnySnapshot[] => {
      const ids = new Set([this.common[index] as number, ...worlds.map((world) => this.idIn(world, index))]);
      return [...ids].map((id) => tables.local(before[index] as SystemActor, id).snapshot);
    };
    const left = new Set(mayLeave);
    const stays = (actor: SystemActor): void => {
      for (const { context } of snapshotsOf(actor)) for (const text of textsIn(context)) if (left.delete(text)) stays(this.byAddress.get(text) as SystemActor);
    };
    for (const actor of before) if (!left.has(actor.address)) stays(actor);
    const staying = before.filter(({ address }) => !left.has(address));
    const states = worlds.map((world) => staying.map(({ index }) => tables.local(before[index] as SystemActor, this.idIn(world, index)).snapshot));
    this.reset();
    const actors = staying.map((actor) => this.admit({ ...actor, index: this.actors.length }));
    const idsOf = (snapshots: readonly AnySnapshot[]): number[] => actors.map((actor, at) => this.tables.internSnapshot(actor, snapshots[at] as AnySnapshot));
    this.common = idsOf(states[0] as AnySnapshot[]);
    const renewed = states.map((snapshots, number) => this.with({ differs: [], marks: (worlds[number] as World).marks }, new Map(idsOf(snapshots).entries())));
    return { worlds: renewed, left: [...left] };
  }

  /** All actors as a world has them; without one, as they were when they joined. */
  actorsIn(world: World | null): Map<Address, { logic: AnyActorLogic; snapshot: AnySnapshot }> {
    const idOf = (actor: SystemActor): number => (world ? this.idIn(world, actor.index) : this.firstOf(actor));
    return new Map(this.actors.map((actor) => [actor.address, { logic: actor.logic, snapshot: this.tables.local(actor, idOf(actor)).snapshot }]));
  }

  /** What the machines were made to do. */
  coverageOf(): { transitions: number; reached: string[]; unreached: string[] } {
    const actors = [...this.logics.values()];
    return { transitions: this.coverage.transitionsIn(actors).length, reached: this.coverage.reached(), unreached: this.coverage.unreached(actors) };
  }

  /** Nothing is known of any actor. Worlds from before are void. */
  start(): World {
    this.common = this.actors.map((actor) => this.firstOf(actor));
    return { differs: [], marks: {} };
  }

  private systemOf(actors: SystemActor[]): System {
    return { ...nobody, actors, limits: { cascade: 1000, localStates: Number.MAX_SAFE_INTEGER } };
  }

  private reset(): void {
    this.actors = [];
    this.byAddress.clear();
    this.byPrefix.clear();
    const system = this.systemOf(this.actors);
    this.tables = new LocalTables(system, this.coverage);
    this.cascade = new Cascade(system, this.tables);
    this.steps = [];
    this.learnt = [];
    this.firsts = [];
    this.stepsKnown = 0;
    this.numbers = new Map();
    this.numbersOf = new WeakMap();
  }

  private admit(actor: SystemActor): SystemActor {
    this.actors.push(actor);
    this.byAddress.set(actor.address, actor);
    if (!this.logics.has(actor.logic)) this.logics.set(actor.logic, actor);
    this.tables.admit(actor);
    this.steps.push([]);
    this.learnt.push([]);
    return actor;
  }

  private firstOf(actor: SystemActor): number {
    this.firsts[actor.index] ??= this.tables.initial(actor).next;
    return this.firsts[actor.index] as number;
  }

  private numberOf(event: { type: string }): number {
    const same = this.numbersOf.get(event);
    if (same !== undefined) return same;
    const text = JSON.stringify(event);
    const number = this.numbers.get(text) ?? this.tables.message(event);
    this.numbers.set(text, number);
    this.numbersOf.set(event, number);
    return number;
  }

  private local(world: World, address: Address): LocalState {
    const actor = this.actorOf(address);
    return this.tables.local(actor, this.idIn(world, actor.index));
  }

  private actorOf(address: Address): SystemActor {
    const actor = this.byAddress.get(address);
    if (!actor) throw new Error(`no actor '${address}'`);
    this.heard.add(address);
    return actor;
  }

  private idIn({ differs }: World, index: number): number {
    for (let at = 0; at < differs.length; at += 2) if (differs[at] === index) return differs[at + 1] as number;
    return this.common[index] as number;
  }

  private with(world: World, writes: ReadonlyMap<number, number>): World {
    let { differs } = world;
    for (const [index, id] of writes) {
      if (this.idIn({ differs, marks: world.marks }, index) === id) continue;
      const pairs = differs.filter((_, at) => differs[at - (at % 2)] !== index);
      if (this.common[index] !== id) {
        let at = 0;
        while (at < pairs.length && (pairs[at] as number) < index) at += 2;
        pairs.splice(at, 0, index, id);
      }
      differs = pairs;
    }
    return differs === world.differs ? world : { differs, marks: world.marks };
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
