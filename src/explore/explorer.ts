import { outOfReach, type Possibility, type PropertyKind } from '../property/property.js';
import { ModelError } from '../system/errors.js';
import type { Choice, System, SystemActor } from '../system/system.js';
import { Cascade, type StepResult } from './cascade.js';
import { Coverage } from './coverage.js';
import type { Decider } from './decider.js';
import { Eventualities } from './eventuality.js';
import type { Searched } from './graph.js';
import { changes, charged, checked, LeafTable } from './leaves.js';
import { LocalTables } from './local.js';
import { Packing } from './packing.js';
import { Possibilities } from './possibility.js';
import { Batch, batchSize, noParent, StateStore } from './store.js';
import { DecisionTrees } from './trees.js';
import { type Violation, Watch } from './watch.js';

export type { Assumption, Lasso, Violation } from './watch.js';

/** What ends a search that would go on. */
export interface ExploreLimits {
  maxStates?: number;
  maxSeconds?: number;
  /** Bytes, all tables of the search included. */
  maxMemory?: number;
}

/** Limits, and when a search has found enough. */
export interface ExploreOptions extends ExploreLimits {
  /**
   * Asked at each property's first violation, with the names violated so far: true ends the search. Default: at the first.
   * Possibilities and eventualities are judged once all states were seen, so in a search that ends before they are not; with one
   * exception: when `maxStates` ends it, eventualities are judged on what was seen, and what is violated there is violated.
   */
  stop?: (violated: ReadonlySet<string>) => boolean;
}

/** What a search found of one property. */
export interface PropertyResult {
  name: string;
  kind: PropertyKind;
  description: string;
  violation: Violation | null;
  /**
   * How often it was put to the test: distinct states of what it reads for an invariant, a possibility or an eventuality (premise met),
   * BUG states checked for a bug, states for deadlock.
   */
  evaluations: number;
}

/** What a search found, and what it did to find it. */
export interface Exploration {
  system: System;
  /** True if every reachable state was seen, and every possibility and eventuality judged. */
  exhausted: boolean;
  /** The limit that was hit, in words; null when none was. */
  limit: string | null;
  properties: PropertyResult[];
  states: number;
  transitions: number;
  /** The last breadth-first level; the initial state is level 0. */
  depth: number;
  seconds: number;
  bytesPerState: number;
  /** How often XState computed a transition. */
  calls: number;
  localStates: { actor: string; states: number }[];
  treeNodes: number;
  treeLeaves: number;
  unreached: string[];
  ignoredMessages: string[];
}

/** States expanded between two looks at the limits. */
const sliceStates = 4096;
/** Exhaustive breadth-first search over a system's global states. */
export class Explorer {
  readonly tables: LocalTables;
  /** What the search has, for those that go through the graph of its states. */
  readonly searched: Searched;
  private readonly coverage: Coverage;
  private readonly cascade: Cascade;
  private readonly trees: DecisionTrees;
  private readonly leaves: LeafTable;
  private readonly store: StateStore;
  private readonly watch: Watch;
  private readonly possibilities: Possibilities;
  private readonly eventualities: Eventualities;
  private readonly batch: Batch;
  /** By which leaf each state of the batch came about. */
  private readonly batchLeaves = new Int32Array(batchSize);
  private readonly choiceMessages: number[];
  private readonly roots: Int32Array;
  private readonly fair: Uint8Array;
  private readonly deciders: Decider[];

  private head = 0;
  private levelEnd = 1;
  private level = 0;
  private transitions = 0;
  private seconds = 0;
  private limit: string | null = null;

  constructor(
    readonly system: System,
    private readonly options: ExploreOptions = {},
  ) {
    const { choices, actors } = system;
    if (choices.length > 0xffff) throw new ModelError(`system '${system.id}' has ${choices.length} choices; at most 65535 can be told apart`);
    this.coverage = new Coverage(system);
    this.tables = new LocalTables(system, this.coverage);
    this.cascade = new Cascade(system, this.tables);
    const packing = Packing.for(actors.map(() => 4));
    this.trees = new DecisionTrees(packing);
    this.leaves = new LeafTable(packing);
    this.store = new StateStore(packing, choices.length);
    this.batch = new Batch(packing.words);
    this.choiceMessages = choices.map((choice) => this.tables.message(choice.event));
    this.roots = Int32Array.from(choices.map((choice) => this.trees.node(choice.actor.index)));
    this.fair = Uint8Array.from(choices.map((choice) => (choice.fair ? 1 : 0)));
    this.deciders = actors.flatMap(({ index }) => {
      const own = choices.filter((choice) => choice.actor.index === index).map((choice) => choice.index);
      return own.length > 0 ? [{ actor: index, choices: own, menus: [] }] : [];
    });
    this.watch = new Watch(system, this.tables, this.trees, this.store, (state) => this.scheduleTo(state), options.stop ?? (() => true));
    const { tables, store, trees, leaves, roots, deciders } = this;
    this.searched = { system, tables, store, trees, leaves, roots, deciders };
    this.possibilities = new Possibilities(this.searched);
    this.eventualities = new Eventualities(this.searched, (state) => this.scheduleTo(state));
    this.begin();
  }

  get states(): number {
    return this.store.count;
  }

  get depth(): number {
    return this.level;
  }

  get transitionCount(): number {
    return this.transitions;
  }

  /** The exploration is over: everything seen and judged, a limit hit, or stopped at a violation. */
  get finished(): boolean {
    return this.watch.stopped || this.limit !== null || (this.head >= this.store.count && this.possibilities.done && this.eventualities.done);
  }

  /** Ends the search as if a limit was hit. */
  interrupt(reason: string): void {
    if (!this.finished) this.limit = reason;
  }

  /** Expands some thousand states; when there are no more, goes on with the possibilities, then with the eventualities. */
  slice(): void {
    const started = performance.now();
    const end = Math.min(this.head + sliceStates, this.store.count);
    while (this.head < end && !this.finished && this.store.count < this.maxStates) {
      if (this.head === this.levelEnd) {
        this.level++;
        this.levelEnd = this.store.count;
      }
      // A batch is of one level, so that what is found is found in the order of levels.
      this.expandUntil(Math.min(end, this.levelEnd));
    }
    if (this.head >= this.store.count || this.store.count >= this.maxStates) this.judge();
    this.seconds += (performance.now() - started) / 1000;
    this.checkLimits();
  }

  private judge(): void {
    if (this.finished) return;
    if (this.head >= this.store.count && !this.possibilities.done) this.possibilities.slice(sliceStates);
    else this.eventualities.slice(sliceStates, this.head);
  }

  result(): Exploration {
    const { system, store, coverage, watch } = this;
    const exhausted = !watch.stopped && this.limit === null && this.finished;
    return {
      system,
      exhausted,
      limit: this.limit,
      properties: system.properties.map((property, index) => ({
        name: property.name,
        kind: property.kind,
        description: property.description,
        violation: this.violationOf(index),
        evaluations: this.evaluationsOf(property.kind, index),
      })),
      states: store.count,
      transitions: this.transitions,
      depth: this.level,
      seconds: this.seconds,
      bytesPerState: this.bytes / store.count,
      calls: this.tables.calls,
      localStates: system.actors.map((actor, index) => ({ actor: actor.address, states: (this.tables.states[index] as unknown[]).length })),
      treeNodes: this.trees.nodes,
      treeLeaves: this.leaves.count,
      unreached: coverage.unreached(),
      ignoredMessages: coverage.ignoredMessages(),
    };
  }

  /** The choice numbers that lead from the initial state to state `index`, on a shortest way. */
  scheduleTo(index: number): number[] {
    const { parents, choices } = this.store;
    const schedule: number[] = [];
    for (let at = index; parents[at] !== noParent; at = parents[at] as number) schedule.push(choices[at] as number);
    return schedule.reverse();
  }

  /** A shortest one: a possibility or an eventuality can also be named by the tags of a BUG state. */
  private violationOf(property: number): Violation | null {
    const seen = this.watch.violations[property] ?? null;
    const endless = this.eventualities.violations.get(property);
    if (endless) return seen && seen.schedule.length <= (endless.lasso?.stem ?? 0) ? seen : endless;
    const state = this.possibilities.violatedAt.get(property);
    if (state === undefined) return seen;
    const schedule = this.scheduleTo(state);
    if (seen && seen.schedule.length <= schedule.length) return seen;
    const spec = this.system.properties[property] as Possibility;
    return { property: spec.name, schedule, message: outOfReach(spec), lasso: null };
  }

  private evaluationsOf(kind: PropertyKind, property: number): number {
    if (kind === 'deadlock') return this.head;
    if (kind === 'bug') return this.transitions;
    if (kind === 'possibility') return this.possibilities.evaluationsOf(property);
    if (kind === 'eventuality') return this.eventualities.evaluationsOf(property);
    return this.watch.evaluations[property] ?? 0;
  }

  private get maxStates(): number {
    return this.options.maxStates ?? Number.POSITIVE_INFINITY;
  }

  private get bytes(): number {
    return this.store.bytes + this.batch.bytes + this.trees.bytes + this.leaves.bytes + this.possibilities.bytes + this.eventualities.bytes;
  }

  private begin(): void {
    const start = this.cascade.start();
    const ids = this.system.actors.map((_, actor) => start.writes.get(actor) as number);
    this.widen(ids.entries());
    for (const [actor, id] of ids.entries()) this.store.packing.write(this.batch.words, 0, actor, id);
    this.batch.enter(this.store.hash(this.batch.words, 0), noParent, 0);
    this.store.addAll(this.batch);
    this.watch.reportBugs(this.watch.charges(start.bugs), () => []);
    this.watch.checkAll(0);
  }

  /** Expands states up to `end`, of one level, as long as the search goes on. */
  private expandUntil(end: number): void {
    const { batch, watch } = this;
    const room = batchSize - this.system.choices.length;
    while (this.head < end && !watch.stopped && this.store.count < this.maxStates) {
      if (batch.count >= room) this.flush();
      this.expand(this.head++);
    }
    this.flush();
  }

  private expand(state: number): void {
    const { store, trees, leaves, batch, batchLeaves, deciders, roots, fair } = this;
    let progress = false;
    for (let d = 0; d < deciders.length; d++) {
      const decider = deciders[d] as Decider;
      const id = store.packing.read(store.words, state * store.width, decider.actor);
      const menu = decider.menus[id] ?? this.menu(state, decider, id);
      this.transitions += menu.length;
      for (let i = 0; i < menu.length; i++) {
        const choice = menu[i] as number;
        let found = trees.findFrom(roots[choice] as number, id, store.words, state * store.width);
        if (found === 0) found = this.grow(state, choice);
        const leaf = ~found;
        const kind = leaves.kind[leaf] as number;
        if (kind & charged) this.watch.reportBugs(leaves.at(leaf).bugs, () => [...this.scheduleTo(state), choice]);
        if (kind & changes) {
          progress ||= fair[choice] === 1;
          if (batch.count === batchSize) this.flush();
          batchLeaves[batch.count] = leaf;
          leaves.apply(leaf, store.words, state * store.width, batch.words, batch.count * store.width);
          batch.enter(store.hash(batch.words, batch.count * store.width), state, choice);
        }
      }
    }
    if (!progress) this.watch.checkDeadlock(state);
  }

  /** The choices that an actor has in one of its local states. */
  private menu(state: number, { actor, choices, menus }: Decider, id: number): readonly number[] {
    const owner = this.system.actors[actor] as SystemActor;
    const enabled = (choice: number): boolean =>
      this.tables.choice(owner, id, this.choiceMessages[choice] as number, this.system.choices[choice]?.delayed ?? false) !== null;
    const menu = this.located(state, () => choices.filter(enabled));
    menus[id] = menu;
    return menu;
  }

  /** Adds the batch to the visited table and looks at what is new. */
  private flush(): void {
    const { batch, store, leaves, batchLeaves } = this;
    const first = store.count;
    const added = store.addAll(batch);
    for (let i = 0; i < added; i++) {
      const leaf = batchLeaves[batch.fresh[i] as number] as number;
      if ((leaves.kind[leaf] as number) & checked) this.watch.check(leaves.at(leaf).checks, first + i);
    }
  }

  /** Computes a step that no tree knows yet, and returns its leaf as a branch value. */
  private grow(state: number, choice: number): number {
    const { store } = this;
    const idOf = (actor: number): number => store.packing.read(store.words, state * store.width, actor);
    const result = this.located(state, () =>
      this.cascade.step(this.system.choices[choice] as Choice, this.choiceMessages[choice] as number, idOf),
    ) as StepResult;
    this.widen(result.writes);
    const leaf = this.leaves.add({ writes: result.writes, bugs: this.watch.charges(result.bugs), checks: this.watch.checksFor(result.reads, result.writes) });
    this.trees.insert(this.roots[choice] as number, result.reads, leaf);
    return ~leaf;
  }

  /** Adds to a model's error how many steps lead to it. */
  private located<T>(state: number, run: () => T): T {
    try {
      return run();
    } catch (error) {
      const { length } = this.scheduleTo(state);
      if (error instanceof ModelError) error.message = `${error.message} [after ${length} ${length === 1 ? 'step' : 'steps'}]`;
      throw error;
    }
  }

  /** Makes room for local state numbers that their fields cannot hold. */
  private widen(ids: Iterable<[number, number]>): void {
    if (this.store.packing.holds(ids)) return;
    const packing = Packing.for(this.tables.states.map(({ length }) => length));
    // What waits is packed as before.
    this.flush();
    this.store.repack(packing);
    this.trees.repack(packing);
    this.leaves.repack(packing);
    this.batch.reset(packing.words);
  }

  private checkLimits(): void {
    const { maxSeconds = Number.POSITIVE_INFINITY, maxMemory = Number.POSITIVE_INFINITY } = this.options;
    if (this.finished) return;
    if (this.store.count >= this.maxStates && this.eventualities.done) this.limit = `${this.maxStates} states`;
    else if (this.seconds >= maxSeconds) this.limit = `${maxSeconds} seconds`;
    else if (this.bytes >= maxMemory) this.limit = `${maxMemory} bytes of memory`;
  }
}

/** Explores to the end, or to a limit. */
export function explore(system: System, options: ExploreOptions = {}): Exploration {
  const explorer = new Explorer(system, options);
  while (!explorer.finished) explorer.slice();
  return explorer.result();
}

export interface Attended {
  /** Interrupts the search. */
  signal?: AbortSignal;
  /** Told how far it is. */
  progress?: (explorer: Explorer) => void;
}

/** Goes on with a search to its end, giving way to the event loop now and then. */
export async function finish(explorer: Explorer, { signal, progress }: Attended = {}): Promise<Exploration> {
  let told = performance.now();
  while (!explorer.finished) {
    explorer.slice();
    if (signal?.aborted) explorer.interrupt('interrupted');
    if (performance.now() - told > 50) {
      progress?.(explorer);
      // Browsers have no setImmediate.
      await new Promise((resolve) => (typeof setImmediate === 'function' ? setImmediate(resolve) : setTimeout(resolve)));
      told = performance.now();
    }
  }
  return explorer.result();
}

/** The same as {@link explore}, giving way to the event loop now and then. */
export const exploreAsync = async (system: System, options: ExploreOptions & Attended = {}): Promise<Exploration> =>
  finish(new Explorer(system, options), options);
