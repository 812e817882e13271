import type { Eventuality, Possibility } from '../property/property.js';
import { ModelError, messageOf } from '../system/errors.js';
import type { SystemActor } from '../system/system.js';
import type { Searched } from './graph.js';

/** What can be true of a property in a state: these, added up. */
export const premise = 1;
/** What is to be reached holds there. */
export const reached = 2;

/** What is true of a property in which states; evaluated once for each tuple of the local states that it reads. */
export class Truths {
  /** Distinct states of what it reads that met the premise. */
  evaluations = 0;
  private readonly actors: readonly number[];
  /** Its decision tree over the actors that it reads; a leaf if it reads none, 0 while that is not known. */
  private root = 0;

  constructor(
    private readonly searched: Searched,
    private readonly spec: Possibility | Eventuality,
  ) {
    this.actors = spec.actors.map((address) => searched.system.actors.find((actor) => actor.address === address)?.index as number);
  }

  /** {@link premise} and {@link reached}, added up, of a state. */
  in(state: number): number {
    const { store, trees } = this.searched;
    const at = state * store.width;
    if (this.root === 0 && this.actors[0] !== undefined) this.root = trees.node(this.actors[0]);
    const known = trees.find(this.root, store.words, at);
    if (known !== 0) return ~known;
    const reads = this.actors.map((actor) => ({ actor, id: store.packing.read(store.words, at, actor) }));
    const truth = this.evaluate(reads);
    if (reads.length > 0) trees.insert(this.root, reads, truth);
    else this.root = ~truth;
    if (truth & premise) this.evaluations++;
    return truth;
  }

  private evaluate(reads: readonly { actor: number; id: number }[]): number {
    const { spec } = this;
    const { system, tables } = this.searched;
    const snapshots = Object.fromEntries(
      reads.map(({ actor, id }) => {
        const owner = system.actors[actor] as SystemActor;
        return [owner.address, tables.local(owner, id).snapshot];
      }),
    );
    try {
      return ((spec.when?.(snapshots) ?? true) ? premise : 0) + (spec.reach(snapshots) ? reached : 0);
    } catch (error) {
      throw new ModelError(`system '${system.id}': ${spec.kind} '${spec.name}' threw: ${messageOf(error)}`);
    }
  }
}
