import type { Address } from '../system/message.js';

/** The kinds of properties. */
export type PropertyKind = 'bug' | 'invariant' | 'possibility' | 'eventuality' | 'deadlock';

/**
 * No actor enters a state tagged `BUG` (the model's BUG_ON or WARN_ON). A BUG state that also carries names of
 * properties as tags violates those; one that names none violates the system's property `BUG`.
 */
export interface Bug {
  kind: 'bug';
  name: string;
  description: string;
}

/** A predicate on the snapshots of the actors it names. It may read nothing else. */
// biome-ignore lint/suspicious/noExplicitAny: the snapshots' types are the author's; the engine only passes them on
export interface Invariant<S = any> {
  kind: 'invariant';
  name: string;
  description: string;
  actors: readonly Address[];
  /** The premise: states that do not meet it do not put the invariant to the test. */
  when?: (snapshots: S) => boolean;
  holds: (snapshots: S) => boolean;
}

/**
 * From every state that meets the premise some continuation reaches a state in which something holds; in CTL: AG (when -> EF reach).
 * Choices of the environment are continuations like any other. It reads only the actors it names.
 */
// biome-ignore lint/suspicious/noExplicitAny: as for an invariant
export interface Possibility<S = any> {
  kind: 'possibility';
  name: string;
  description: string;
  actors: readonly Address[];
  when: (snapshots: S) => boolean;
  /** May hold in the very state that meets the premise. */
  reach: (snapshots: S) => boolean;
}

/**
 * On every fair run, whenever the premise is met, a state comes (that one, or a later one) in which something holds: the premise
 * leads to it. Without a premise: always, eventually. It reads only the actors it names. A run is weakly fair, choice by choice: no
 * choice that is fair stays possible for ever, and able to change something, without being taken; choices of the environment need never be.
 */
// biome-ignore lint/suspicious/noExplicitAny: as for an invariant
export interface Eventuality<S = any> {
  kind: 'eventuality';
  name: string;
  description: string;
  actors: readonly Address[];
  when?: (snapshots: S) => boolean;
  reach: (snapshots: S) => boolean;
}

/** Every path can go on or is where it may rest (a state tagged `rest`, or done). */
export interface DeadlockFreedom {
  kind: 'deadlock';
  name: string;
  description: string;
}

/** What must hold of a system. */
export type Property = Bug | Invariant | Possibility | Eventuality | DeadlockFreedom;

/**
 * An invariant. `S` maps the addresses it reads to their snapshots' types:
 * `invariant<{ mm: SnapshotFrom<typeof addressSpace> }>('I2', 'no pte ...', { actors: ['mm'], holds: ({ mm }) => ... })`.
 */
export function invariant<S extends object>(
  name: string,
  description: string,
  spec: { actors: readonly (keyof S & Address)[]; when?: (snapshots: S) => boolean; holds: (snapshots: S) => boolean },
): Invariant<S> {
  return { kind: 'invariant', name, description, ...spec };
}

/** A possibility, such as that after a warning something can still go wrong. `S` as for {@link invariant}. */
export function possibility<S extends object>(
  name: string,
  description: string,
  spec: { actors: readonly (keyof S & Address)[]; when: (snapshots: S) => boolean; reach: (snapshots: S) => boolean },
): Possibility<S> {
  return { kind: 'possibility', name, description, ...spec };
}

/** An eventuality: whenever `when` holds, `reach` holds then or later. `S` as for {@link invariant}. */
export function leadsTo<S extends object>(
  name: string,
  description: string,
  spec: { actors: readonly (keyof S & Address)[]; when: (snapshots: S) => boolean; reach: (snapshots: S) => boolean },
): Eventuality<S> {
  return { kind: 'eventuality', name, description, ...spec };
}

/** An eventuality: `reach` holds again and again, for ever. `S` as for {@link invariant}. */
export function alwaysEventually<S extends object>(
  name: string,
  description: string,
  spec: { actors: readonly (keyof S & Address)[]; reach: (snapshots: S) => boolean },
): Eventuality<S> {
  return { kind: 'eventuality', name, description, ...spec };
}

/** What is said of a possibility that is violated. */
export const outOfReach = ({ description }: Possibility): string => `${description} (no continuation reaches it)`;

/** Names a group of BUG states: those whose tags contain `name`. */
export const bug = (name: string, description: string): Bug => ({ kind: 'bug', name, description });

/** Deadlock freedom under another name than `deadlock`. */
export const deadlockFree = (name: string, description = 'every path can go on, or is where it may rest'): DeadlockFreedom => ({
  kind: 'deadlock',
  name,
  description,
});

/** The properties that a BUG state with these tags violates: all that it names, or `BUG` if it names none. */
export function violatedBy(properties: readonly Property[], tags: readonly string[]): string[] {
  const named = properties.flatMap(({ name }) => (name !== 'BUG' && tags.includes(name) ? [name] : []));
  return named.length > 0 ? named : ['BUG'];
}
