import { type Invariant, violatedBy } from '../property/property.js';
import { ModelError, messageOf } from '../system/errors.js';
import type { System, SystemActor } from '../system/system.js';
import type { Charge, Check } from './leaves.js';
import type { BugReport, LocalTables } from './local.js';
import type { StateStore } from './store.js';
import type { DecisionTrees } from './trees.js';

/** How a property was first violated: by this schedule (choice numbers), which is a shortest one. */
export interface Violation {
  property: string;
  schedule: readonly number[];
  message: string;
  /** Of an eventuality only: the schedule ends with steps that can be repeated for ever. */
  lasso: Lasso | null;
}

/** How a schedule goes on for ever without what should come, and fairly so. */
export interface Lasso {
  /** Steps before the loop, on a shortest way there. If that is the whole schedule, nothing that is fair is left to happen. */
  stem: number;
  /** Each of them alone, assumed of every run, would make the property hold. */
  cures: readonly Assumption[];
  /** Assumptions that were not tried, since there are too many states to search again. */
  untried: number;
}

/**
 * What could be assumed of a choice beyond weak fairness. `strong`: possible again and again, it is taken. `weak`: of a choice of
 * the environment, what holds for others. `finite`: of a choice of the environment, that it is taken only so often.
 */
export interface Assumption {
  kind: 'strong' | 'weak' | 'finite';
  /** Its number in the system. */
  choice: number;
}

interface Watched {
  property: number;
  spec: Invariant;
  actors: number[];
  /** Its truth for the tuples of local state numbers seen so far. */
  known: Map<string, boolean>;
}

/** Leaves of a check's tree. */
const holds = 0;
const broken = 1;

/** The properties of a system while it is explored: what was violated, and how often each was put to the test. */
export class Watch {
  readonly violations: (Violation | null)[];
  /** Per property: distinct states of what it reads for which its premise was met (invariants only). */
  readonly evaluations: number[];
  /** The search is to end. */
  stopped = false;
  private readonly invariants: Watched[];
  private readonly deadlock: number;
  private readonly paths: SystemActor[];

  constructor(
    private readonly system: System,
    private readonly tables: LocalTables,
    private readonly trees: DecisionTrees,
    private readonly store: StateStore,
    private readonly scheduleTo: (state: number) => number[],
    private readonly stop: (violated: ReadonlySet<string>) => boolean,
  ) {
    this.violations = system.properties.map(() => null);
    this.evaluations = system.properties.map(() => 0);
    this.deadlock = system.properties.findIndex(({ kind }) => kind === 'deadlock');
    this.paths = system.actors.filter((actor) => actor.path);
    this.invariants = system.properties.flatMap((spec, property) => {
      if (spec.kind !== 'invariant') return [];
      const actors = spec.actors.map((address) => system.actors.find((actor) => actor.address === address)?.index as number);
      return [{ property, spec, actors, known: new Map() }];
    });
  }

  /** The invariants that have to be checked after a step that read and wrote this: those it can break, less those that it is seen not to. */
  checksFor(reads: readonly { actor: number; id: number }[], writes: ReadonlyMap<number, number>): Check[] {
    const ids = new Map([...reads.map(({ actor, id }) => [actor, id] as const), ...writes]);
    return this.invariants.flatMap(({ actors }, invariant): Check[] => {
      if (!actors.some((actor) => writes.has(actor))) return [];
      const open = actors.filter((actor) => !ids.has(actor));
      if (open[0] !== undefined) return [{ invariant, open, root: this.trees.node(open[0]) }];
      return this.holds(invariant, (actor) => ids.get(actor) as number) ? [] : [{ invariant, open, root: 0 }];
    });
  }

  /** The properties that BUG states violate. */
  charges(bugs: readonly BugReport[]): Charge[] {
    const { properties } = this.system;
    return bugs.flatMap(({ actor, message, tags }) =>
      violatedBy(properties, tags).map((name) => ({ property: properties.findIndex((property) => property.name === name), message: `${actor}: ${message}` })),
    );
  }

  reportBugs(charges: readonly Charge[], schedule: () => readonly number[]): void {
    for (const { property, message } of charges) if (this.violations[property] === null) this.violate(property, schedule(), message);
  }

  checkAll(state: number): void {
    for (let invariant = 0; invariant < this.invariants.length; invariant++) if (!this.holdsIn(invariant, state)) this.broken(invariant, state);
  }

  check(checks: readonly Check[], state: number): void {
    const { words, width } = this.store;
    for (let i = 0; i < checks.length; i++) {
      const { invariant, open, root } = checks[i] as Check;
      let found = root === 0 ? ~broken : this.trees.find(root, words, state * width);
      if (found === 0) {
        const leaf = this.holdsIn(invariant, state) ? holds : broken;
        const reads = open.map((actor) => ({ actor, id: this.idIn(state, actor) }));
        this.trees.insert(root, reads, leaf);
        found = ~leaf;
      }
      if (found === ~broken) this.broken(invariant, state);
    }
  }

  /** For a state in which no fair choice changes anything. */
  checkDeadlock(state: number): void {
    if (this.violations[this.deadlock] !== null) return;
    const { packing, words, width } = this.store;
    const stuck = this.paths.filter((actor) => !this.tables.local(actor, packing.read(words, state * width, actor.index)).rests);
    if (stuck.length > 0) this.violate(this.deadlock, this.scheduleTo(state), `deadlock: ${stuck.map(({ address }) => address).join(', ')} cannot go on`);
  }

  private idIn(state: number, actor: number): number {
    const { packing, words, width } = this.store;
    return packing.read(words, state * width, actor);
  }

  private holdsIn(invariant: number, state: number): boolean {
    return this.holds(invariant, (actor) => this.idIn(state, actor));
  }

  /** Whether an invariant holds of these local states; evaluated once for each tuple of them. */
  private holds(invariant: number, idOf: (actor: number) => number): boolean {
    const { property, spec, actors, known } = this.invariants[invariant] as Watched;
    const reads = actors.map((actor) => ({ actor, id: idOf(actor) }));
    const key = reads.map(({ id }) => id).join();
    let verdict = known.get(key);
    if (verdict === undefined) {
      verdict = this.evaluate(property, spec, reads);
      known.set(key, verdict);
    }
    return verdict;
  }

  private broken(invariant: number, state: number): void {
    const { property, spec } = this.invariants[invariant] as Watched;
    if (this.violations[property] === null) this.violate(property, this.scheduleTo(state), spec.description);
  }

  private evaluate(property: number, spec: Invariant, reads: readonly { actor: number; id: number }[]): boolean {
    const snapshots = Object.fromEntries(
      reads.map(({ actor, id }) => {
        const owner = this.system.actors[actor] as SystemActor;
        return [owner.address, this.tables.local(owner, id).snapshot];
      }),
    );
    try {
      if (spec.when && !spec.when(snapshots)) return true;
      this.evaluations[property] = (this.evaluations[property] as number) + 1;
      return spec.holds(snapshots);
    } catch (error) {
      throw new ModelError(`system '${this.system.id}': invariant '${spec.name}' threw: ${messageOf(error)}`);
    }
  }

  private violate(property: number, schedule: readonly number[], message: string): void {
    this.violations[property] = { property: this.system.properties[property]?.name as string, schedule, message, lasso: null };
    const violated = new Set(this.violations.flatMap((violation) => (violation ? [violation.property] : [])));
    this.stopped ||= this.stop(violated);
  }
}
