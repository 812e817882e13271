import type { AnyMachineSnapshot } from 'xstate';
import type { Snapshots } from './goal.js';
import type { LeadToOptions, ReplayOptions, SearchOptions, ViolateOptions } from './options.js';

/** What `toLeadTo` is asked, as `leadsTo` takes it. */
export interface LeadTo<A extends string, S> {
  actors: readonly A[];
  when: (snapshots: S) => boolean;
  reach: (snapshots: S) => boolean;
  /** What is to come, in words: for the diagram. */
  description?: string;
}

/**
 * The matchers, as `expect(system)` has them. Each explores, so each has to be awaited. Snapshots are of any machine, unless a
 * predicate says of which: `({ mm }: { mm: SnapshotFrom<typeof addressSpace> }) => ...`.
 */
export interface SystemMatchers {
  /** Every property holds in every state, or the ones named do. With `.not`: one of them is violated. */
  toHold(options?: SearchOptions): Promise<void>;
  toHold(properties: string | readonly string[], options?: SearchOptions): Promise<void>;

  /** The property (or any) has a counterexample, of at most `within` steps if that is given. With `.not`: it has none such. */
  toViolate(options?: ViolateOptions): Promise<void>;
  toViolate(property: string, options?: ViolateOptions): Promise<void>;

  /** The token or schedule fits step by step to its end, and violates the property if one is given. With `.not`: it does not fit, or violates nothing. */
  toReplay(schedule: string | readonly number[], options?: ReplayOptions): Promise<void>;

  /** Some schedule brings the actor to the state, or to where the predicate on its snapshot is true. With `.not`: none does. */
  toReach<S = AnyMachineSnapshot>(actor: string, where: string | ((snapshot: S) => boolean), options?: SearchOptions): Promise<void>;
  toReach<A extends string, S extends Record<A, unknown> = Snapshots<A>>(
    actors: readonly A[],
    where: (snapshots: S) => boolean,
    options?: SearchOptions,
  ): Promise<void>;

  /** No schedule ends where a path can neither go on nor rest. With `.not`: one does. */
  toBeDeadlockFree(options?: SearchOptions): Promise<void>;

  /** On every fair run, whenever `when` is true, `reach` is true then or later. With `.not`: a fair run shows otherwise. */
  toLeadTo<A extends string, S extends Record<A, unknown> = Snapshots<A>>(asked: LeadTo<A, S>, options?: SearchOptions): Promise<void>;
  toLeadTo<A extends string = string, S extends Record<A, unknown> = Snapshots<A>>(
    when: (snapshots: S) => boolean,
    reach: (snapshots: S) => boolean,
    options?: LeadToOptions<A>,
  ): Promise<void>;
}

declare global {
  /** Of `@types/jest`. Vitest's `expect` has what is declared here, too. */
  namespace jest {
    // biome-ignore lint/complexity/noBannedTypes: all declarations of an interface have the same type parameters
    interface Matchers<R, T = {}> extends SystemMatchers {}
  }
}

// biome-ignore lint/suspicious/noTsIgnore: where the module is, there is no error to expect
/** @ts-ignore Of `@jest/globals`: without that, there is no such module, and nobody asks for it. */
declare module 'expect' {
  interface Matchers<R extends void | Promise<void>, T = unknown> extends SystemMatchers {}
}
