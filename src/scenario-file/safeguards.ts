import { withoutSafeguard } from '../check/safeguards.js';
import { fingerprint } from '../system/canonical.js';
import { isMachine } from '../system/logic.js';
import { didYouMean } from '../system/nearest.js';
import type { System } from '../system/system.js';
import { among, type CommonFields, must } from './family.js';
import type { Path } from './problem.js';

type Implementations = Record<'guards' | 'actions', Readonly<Record<string, unknown>>>;

/** The machines of a system, by id. */
function machinesOf({ actors }: System): Map<string, Implementations> {
  return new Map(actors.flatMap(({ logic }) => (isMachine(logic) ? [[logic.id, logic.implementations as unknown as Implementations] as const] : [])));
}

/** What a name stands for. @throws {Misfit} for a machine or a safeguard that is not there. */
function found(system: System, named: string, path: Path, kinds: readonly ('guard' | 'action')[]) {
  const [machine = '', name = ''] = named.split('.');
  const machines = machinesOf(system);
  const implementations = machines.get(machine);
  const ids = [...machines.keys()].sort();
  must(implementations !== undefined, path, () => `no actor of this scenario runs a machine '${machine}'${didYouMean(machine, ids)} (they run ${among(ids)})`);
  const kind = kinds.find((one) => Object.hasOwn(implementations[`${one}s`], name));
  const guards = Object.keys(implementations.guards).sort();
  // Some have dozens.
  const hint = didYouMean(name, guards) || ` (it has ${among(guards)})`;
  must(kind !== undefined, path, () => `machine '${machine}' has no guard '${name}'${hint}`);
  return { machine, name, kind, text: null };
}

/**
 * The system without, and with, what a file says, in every actor that runs the machine.
 * @throws {Misfit} for names that are not there, and for one that is both in and out.
 */
export function changed(system: System, { without = [], with: also = [] }: CommonFields): System {
  if (without.length + also.length === 0) return system;
  let changing = system;
  for (const [at, named] of without.entries()) changing = withoutSafeguard(changing, found(system, named, ['without', at], ['guard', 'action']), false);
  for (const [at, named] of also.entries()) {
    must(!without.includes(named), ['with', at], `'${named}' is in 'without' too`);
    changing = withoutSafeguard(changing, found(system, named, ['with', at], ['guard']), true);
  }
  // A machine's digest is that of its statechart, which does not tell what its guards say.
  return { ...changing, digest: fingerprint(JSON.stringify([system.digest, [...without].sort(), [...also].sort()])) };
}
