import type { PropertyResult } from '../explore/explorer.js';
import type { LocalState, LocalTables } from '../explore/local.js';
import { count, thousands } from '../format/text.js';
import { type Eventuality, type Property, type PropertyKind, violatedBy } from '../property/property.js';
import type { System, SystemActor } from '../system/system.js';
import { type Condition, Forest, type Region, rowsOf, type Tree } from './forest.js';

/** What is said of all runs: from each state of `when` (of any, where it is null) one of `reach` follows, if runs are weakly fair choice by choice. */
export interface Following {
  when: Region | null;
  reach: Region;
}

/** A property in terms of local state numbers. */
export interface Claim {
  name: string;
  kind: PropertyKind;
  description: string;
  /** States that violate it; or in which a step is possible that does. */
  never: Region;
  /** Deadlock freedom only: where some path may not rest. It is violated if no fair choice changes anything there. */
  stuck: Region | null;
  /** Eventualities only. */
  following: Following | null;
  /** What the search said; null if it does not judge such a property. */
  violated: boolean | null;
  /** What was left out of it, and why; null if nothing was. */
  leftOut: string | null;
}

/** So many combinations of local states are tried of a predicate. */
const mostTuples = 2 ** 20;
/** So many parts may a region have. */
const mostParts = 2000;

type Outcome = { region: Region; leftOut: string | null };
type Snapshots = Record<string, unknown>;

/** The states in which a predicate is true, by trying all combinations of local states of the actors that it reads. */
class Predicates {
  private readonly forest: Forest;

  constructor(
    private readonly system: System,
    private readonly tables: LocalTables,
  ) {
    this.forest = new Forest(tables.states.map(({ length }) => length));
  }

  /** A predicate that throws is false: the search has tried all combinations that come to pass, and there it did not. */
  region(addresses: readonly string[], holds: (snapshots: Snapshots) => boolean): Outcome {
    const actors = this.system.actors.filter(({ address }) => addresses.includes(address));
    const tuples = actors.reduce((product, { index }) => product * this.statesOf(index).length, 1);
    if (tuples > mostTuples)
      return { region: [], leftOut: `its actors have ${count(tuples, 'combination')} of local states; at most ${thousands(mostTuples)} are tried` };
    const snapshots: Snapshots = {};
    const judged = (): Tree | null => {
      try {
        return holds(snapshots) ? this.forest.leaf([]) : null;
      } catch {
        return null;
      }
    };
    const tree = this.tried(actors, 0, snapshots, judged);
    const region: (readonly Condition[])[] = [];
    for (const { reads } of rowsOf(tree))
      if (region.push(reads) > mostParts) return { region: [], leftOut: `it takes more than ${thousands(mostParts)} conditions to say` };
    return { region, leftOut: null };
  }

  private tried(actors: readonly SystemActor[], from: number, snapshots: Snapshots, judged: () => Tree | null): Tree | null {
    const actor = actors[from];
    if (!actor) return judged();
    const cases = this.statesOf(actor.index).map(({ snapshot }, id) => {
      snapshots[actor.address] = snapshot;
      return [id, this.tried(actors, from + 1, snapshots, judged)] as const;
    });
    return this.forest.branch(actor.index, cases);
  }

  private statesOf(actor: number): readonly LocalState[] {
    return this.tables.states[actor] as LocalState[];
  }
}

/** Where one of some actors is in a local state that fits. */
function anywhere(tables: LocalTables, actors: readonly SystemActor[], fits: (state: LocalState) => boolean): Region {
  const region = actors.flatMap(({ index }): Region => {
    const states = tables.states[index] as LocalState[];
    const ids = states.flatMap((state, id) => (fits(state) ? [id] : []));
    if (ids.length === states.length) return [[]];
    return ids.length > 0 ? [[{ actor: index, ids }]] : [];
  });
  return region.some((part) => part.length === 0) ? [[]] : region;
}

function followingOf(predicates: Predicates, { actors, when, reach }: Eventuality): { following: Following | null; leftOut: string | null } {
  const reached = predicates.region(actors, reach);
  const premise = when ? predicates.region(actors, when) : null;
  const leftOut = reached.leftOut ?? premise?.leftOut ?? null;
  return { following: leftOut === null ? { when: premise?.region ?? null, reach: reached.region } : null, leftOut };
}

/** What is said of a property besides where BUG states violate it. */
function own(property: Property, predicates: Predicates, paths: () => Region): Partial<Claim> & { region?: Region } {
  switch (property.kind) {
    case 'bug':
      return {};
    case 'deadlock':
      return { stuck: paths() };
    case 'invariant':
      return predicates.region(property.actors, (snapshots) => (property.when?.(snapshots) ?? true) && !property.holds(snapshots));
    case 'eventuality':
      return { ...followingOf(predicates, property), violated: null };
    case 'possibility':
      return { violated: null, leftOut: 'it says that something can be reached from every such state, which is no property of runs' };
  }
}

/** @param passing Where steps begin that pass through BUG states which violate the property of this name. */
export function claimsOf(system: System, tables: LocalTables, results: readonly PropertyResult[], passing: (name: string) => Region): Claim[] {
  const predicates = new Predicates(system, tables);
  const paths = system.actors.filter(({ path }) => path);
  return system.properties.map((property, index): Claim => {
    const { name, kind, description } = property;
    const charged = anywhere(tables, system.actors, ({ bugs }) => bugs.some(({ tags }) => violatedBy(system.properties, tags).includes(name)));
    const { region = [], ...said } = own(property, predicates, () => anywhere(tables, paths, ({ rests }) => !rests));
    const never = [...charged, ...passing(name), ...region];
    return { name, kind, description, never, stuck: null, following: null, violated: results[index]?.violation !== null, leftOut: null, ...said };
  });
}
