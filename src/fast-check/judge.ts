import type { BugReport } from '../explore/local.js';
import { type Property, violatedBy } from '../property/property.js';
import { matters, type State, type Taken, type Walker } from './walker.js';

/** Which of some properties a walk violates, as far as the walk itself shows it: possibilities and eventualities are not judged. */
export class Judge {
  private readonly known = new Map<string, boolean>();

  constructor(
    private readonly walker: Walker,
    private readonly properties: readonly Property[],
  ) {}

  /** @param bugs BUG states that the last step entered. */
  violated(state: State, bugs: readonly BugReport[]): boolean {
    return this.properties.some((property) => this.isCharged(property, bugs) || this.isBroken(property, state));
  }

  /** Where nothing fair changes anything. */
  stuck(state: State): boolean {
    const { walker } = this;
    const { actors, choices } = walker.system;
    if (!this.properties.some(({ kind }) => kind === 'deadlock') || !actors.some((actor) => actor.path && !walker.rests(state, actor))) return false;
    return !choices.some(({ fair, index }) => fair && matters(walker.take(state, index) ?? nothing));
  }

  private isCharged({ name }: Property, bugs: readonly BugReport[]): boolean {
    return bugs.some(({ tags }) => violatedBy(this.walker.system.properties, tags).includes(name));
  }

  /** Evaluated once for each tuple of local states that it reads. */
  private isBroken(property: Property, state: State): boolean {
    if (property.kind !== 'invariant') return false;
    const read = this.walker.system.actors.filter(({ address }) => property.actors.includes(address));
    const key = `${property.name} ${read.map(({ index }) => state[index]).join()}`;
    let broken = this.known.get(key);
    if (broken === undefined) {
      const snapshots = Object.fromEntries(read.map((actor) => [actor.address, this.walker.snapshot(state, actor)]));
      broken = (property.when?.(snapshots) ?? true) && !property.holds(snapshots);
      this.known.set(key, broken);
    }
    return broken;
  }
}

const nothing: Taken = { state: [], reads: new Set(), writes: new Set(), bugs: [], error: null };
