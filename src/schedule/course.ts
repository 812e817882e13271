import { LiveSystem } from '../live/live.js';
import type { Choice, System, SystemActor } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import type { Replay } from './replay.js';

/** A schedule with the states along its way, as far as a loop in it asks of them. State n is the one after step n; state 0 the first. */
export interface Course {
  readonly system: System;
  /** The choices taken. */
  readonly taken: readonly Choice[];
  snapshot(actor: SystemActor, at: number): AnySnapshot;
  /** Equal keys, equal states. */
  key(at: number): number | string;
  isEnabled(choice: Choice, at: number): boolean;
  /** Whether an enabled choice would change anything. */
  changes(choice: Choice, at: number): boolean;
}

/**
 * The course of a live run. What a live system cannot say of the past, it is run again for: once for all states, once more for what
 * was enabled where the last state was before, and once for each choice that is tried.
 */
export class LiveCourse implements Course {
  readonly system: System;
  readonly taken: readonly Choice[];
  /** Per state, each actor's snapshot. */
  private readonly snapshots: (readonly AnySnapshot[])[];
  private keys: readonly number[] | null = null;
  /** Per key, the numbers of the choices enabled. */
  private menus: ReadonlyMap<number, ReadonlySet<number>> | null = null;
  /** What trials came to, by choice and key. */
  private readonly tried = new Map<string, boolean>();

  constructor({ system, steps, live }: Replay) {
    this.system = system;
    this.taken = steps.map(({ choice }) => choice);
    const start = system.actors.map(({ address }) => live.snapshot(address));
    for (const { changed } of [...steps].reverse()) for (const { actor, before } of changed) start[actor.index] = before;
    this.snapshots = [start];
    for (const { changed } of steps) {
      const next = [...(this.snapshots.at(-1) as AnySnapshot[])];
      for (const { actor, after } of changed) next[actor.index] = after;
      this.snapshots.push(next);
    }
  }

  snapshot({ index }: SystemActor, at: number): AnySnapshot {
    return this.snapshots[at]?.[index] as AnySnapshot;
  }

  key(at: number): number {
    this.keys ??= this.numbered();
    return this.keys[at] as number;
  }

  isEnabled(choice: Choice, at: number): boolean {
    this.menus ??= this.menusFrom(this.firstLike(this.taken.length));
    const menu = this.menus.get(this.key(at));
    if (!menu) throw new RangeError(`state ${at} is before all that the last state can close a loop with`);
    return menu.has(choice.index);
  }

  changes(choice: Choice, at: number): boolean {
    const name = `${choice.index} ${this.key(at)}`;
    const known = this.tried.get(name);
    if (known !== undefined) return known;
    const live = this.rerun(this.firstLike(at));
    const before = live.identity().join('\n');
    live.take(choice);
    const changed = live.identity().join('\n') !== before;
    live.stop();
    this.tried.set(name, changed);
    return changed;
  }

  private firstLike(at: number): number {
    const key = this.key(at);
    return (this.keys as readonly number[]).indexOf(key);
  }

  private numbered(): number[] {
    const numbers = new Map<string, number>();
    const keys: number[] = [];
    const note = (live: LiveSystem): void => {
      const identity = live.identity().join('\n');
      if (!numbers.has(identity)) numbers.set(identity, numbers.size);
      keys.push(numbers.get(identity) as number);
    };
    this.rerun(this.taken.length, note).stop();
    return keys;
  }

  private menusFrom(from: number): Map<number, ReadonlySet<number>> {
    const menus = new Map<number, ReadonlySet<number>>();
    const note = (live: LiveSystem, at: number): void => {
      if (at >= from && !menus.has(this.key(at))) menus.set(this.key(at), new Set(live.enabled().map(({ index }) => index)));
    };
    this.rerun(this.taken.length, note).stop();
    return menus;
  }

  /** A fresh run of the first steps; `visit` sees it in each of its states. */
  private rerun(steps: number, visit: (live: LiveSystem, at: number) => void = () => {}): LiveSystem {
    const live = new LiveSystem(this.system);
    visit(live, 0);
    for (let at = 0; at < steps; at++) {
      live.take(this.taken[at] as Choice);
      visit(live, at + 1);
    }
    return live;
  }
}
