import type { AnyMachineSnapshot } from 'xstate';
import type { Subject } from '../check/check.js';
import { actorNamed } from '../check/subject.js';
import { type Eventuality, type Invariant, invariant, leadsTo } from '../property/property.js';
import { UsageError } from '../system/errors.js';
import { isMachine, nameOf, stateNodes } from '../system/logic.js';
import { didYouMean } from '../system/nearest.js';
import { type AnySnapshot, isMachineSnapshot } from '../system/view.js';
import type { LeadToOptions } from './options.js';

/** Snapshots by the names of their actors. */
export type Snapshots<A extends string = string> = Record<A, AnyMachineSnapshot>;

/** Something that a schedule may reach. */
export interface Goal {
  /** Violated where it is reached. */
  property: Invariant;
  /** `w1 in 'finished'`. */
  text: string;
}

function stateNamed(subject: Subject, address: string, state: string): (snapshot: AnySnapshot) => boolean {
  const { logic } = actorNamed(subject, address);
  if (!isMachine(logic)) throw new UsageError(`'${address}' is no state machine, so it has no state '${state}'; give a predicate on its snapshot`);
  const names = stateNodes(logic).flatMap((node) => (node.path.length > 0 ? [nameOf(node)] : []));
  if (!names.includes(state)) throw new UsageError(`'${address}' (machine '${logic.id}') has no state '${state}'${didYouMean(state, names)}`);
  return (snapshot) => isMachineSnapshot(snapshot) && snapshot._nodes.some((node) => nameOf(node) === state);
}

/** A predicate in words: its name, if it has one. */
const called = (predicate: (...given: never[]) => boolean): string => (predicate.name === '' ? 'the predicate' : predicate.name);

/**
 * @param who An actor, or several.
 * @param where A state of it, or a predicate on its snapshot; of several, on their snapshots by name.
 * @throws {UsageError} for an actor or a state that is not there.
 */
export function goalFrom(subject: Subject, who: unknown, where: unknown): Goal {
  const several = Array.isArray(who);
  const actors = (several ? who : [who]).map((name) => actorNamed(subject, name).address);
  const [first] = actors;
  if (first === undefined) throw new UsageError('toReach takes an actor, or a list of at least one');
  const goal = (text: string, reached: (snapshots: Snapshots) => boolean): Goal => ({
    property: invariant<Snapshots>('toReach', text, { actors, holds: (snapshots) => !reached(snapshots) }),
    text,
  });
  if (typeof where === 'function') {
    const predicate = where as (given: unknown) => boolean;
    return goal(`${actors.join(', ')} as ${called(predicate)} asks for`, (snapshots) => predicate(several ? snapshots : snapshots[first]));
  }
  if (typeof where !== 'string') throw new UsageError('toReach takes the name of a state, or a predicate on the snapshot, as its second argument');
  if (several) throw new UsageError('toReach takes the name of a state for one actor only; give a predicate on the snapshots of several');
  const isThere = stateNamed(subject, first, where);
  return goal(`${first} in '${where}'`, (snapshots) => isThere(snapshots[first] as AnySnapshot));
}

/** @throws {UsageError} for an actor that is not there, and for what is no predicate. */
export function eventualityFrom(subject: Subject, when: unknown, reach: unknown, { actors, description }: LeadToOptions): Eventuality {
  if (typeof when !== 'function' || typeof reach !== 'function')
    throw new UsageError(`toLeadTo takes two predicates on snapshots, when and reach; ${typeof when === 'function' ? 'reach' : 'when'} is none`);
  const addresses = actors?.map((name) => actorNamed(subject, name).address) ?? subject.system.actors.map(({ address }) => address);
  return leadsTo<Snapshots>('toLeadTo', description ?? `what ${called(reach as () => boolean)} asks for`, {
    actors: addresses,
    when: when as (snapshots: Snapshots) => boolean,
    reach: reach as (snapshots: Snapshots) => boolean,
  });
}
