import type { AnyActorLogic } from 'xstate';
import { type Exploration, type ExploreLimits, Explorer, finish } from '../explore/explorer.js';
import { type Tabled, type TablesDifference, tablesDifference } from '../explore/tables-diff.js';
import { canonical } from '../system/canonical.js';
import { isMachine } from '../system/logic.js';
import type { Address } from '../system/message.js';
import { type Choice, labelOf, type System, type SystemActor } from '../system/system.js';
import type { Subject, Verdict } from './check.js';

/** What only one of two systems has. */
export interface OnlyIn {
  onlyA: readonly string[];
  onlyB: readonly string[];
}

/** A guard or an action of a machine, of which the systems have other code. Of what code refers to beyond its text nobody knows. */
export interface OtherCode {
  machine: string;
  kind: 'guard' | 'action';
  name: string;
}

/** What became of a property in one of the systems; `steps`: of its shortest counterexample. */
export interface PropertySide {
  kind: string;
  description: string;
  verdict: Verdict;
  steps: number | null;
}

export interface Side {
  subject: Subject;
  exploration: Exploration;
}

/** What two systems have, say and do otherwise. All is in an order that does not depend on which of them is A. */
export interface Difference {
  a: Side;
  b: Side;
  actors: OnlyIn;
  /** Actors with another machine, by its id. */
  machines: readonly { actor: Address; a: string; b: string }[];
  code: readonly OtherCode[];
  inputs: readonly { actor: Address; a: unknown; b: unknown }[];
  choices: OnlyIn;
  properties: readonly { name: string; a: PropertySide | null; b: PropertySide | null }[];
  tables: TablesDifference;
}

export interface DiffOptions extends ExploreLimits {
  signal?: AbortSignal;
  progress?: (subject: Subject, explorer: Explorer) => void;
}

/** Inputs as JSON has them: functions in them do not count, as in a system's digest. */
const inputOf = ({ input }: SystemActor): unknown => JSON.parse(JSON.stringify(input ?? null));
const sorted = (texts: Iterable<string>): string[] => [...new Set(texts)].sort();

function onlyIn(a: readonly string[], b: readonly string[]): OnlyIn {
  const [inA, inB] = [new Set(a), new Set(b)];
  return { onlyA: sorted(a).filter((text) => !inB.has(text)), onlyB: sorted(b).filter((text) => !inA.has(text)) };
}

/** Actors that both have. */
function common(a: System, b: System): [SystemActor, SystemActor][] {
  const inB = new Map(b.actors.map((actor) => [actor.address, actor]));
  const pairs = a.actors.flatMap((actor): [SystemActor, SystemActor][] => (inB.has(actor.address) ? [[actor, inB.get(actor.address) as SystemActor]] : []));
  return pairs.sort(([one], [other]) => (one.address < other.address ? -1 : 1));
}

const logicName = (logic: AnyActorLogic): string => (isMachine(logic) ? logic.id : 'no machine');

/** Code as text, with what XState keeps beside it (`assign`, `sendTo`). */
const codeText = (implementation: unknown): string =>
  JSON.stringify([String(implementation), typeof implementation === 'function' ? { ...implementation } : implementation], (_, value: unknown) =>
    typeof value === 'function' ? String(value) : value,
  );

function otherCode([a, b]: readonly [SystemActor, SystemActor]): OtherCode[] {
  if (!isMachine(a.logic) || !isMachine(b.logic) || a.logic.id !== b.logic.id) return [];
  const machine = a.logic.id;
  const [ofA, ofB] = [a.logic.implementations, b.logic.implementations] as unknown as Record<'guards' | 'actions', Record<string, unknown>>[];
  return (['guards', 'actions'] as const).flatMap((kind) => {
    const [inA, inB] = [ofA?.[kind] ?? {}, ofB?.[kind] ?? {}];
    return sorted([...Object.keys(inA), ...Object.keys(inB)])
      .filter((name) => inA[name] !== inB[name] && codeText(inA[name]) !== codeText(inB[name]))
      .map((name): OtherCode => ({ machine, kind: kind === 'guards' ? 'guard' : 'action', name }));
  });
}

const choiceText = (choice: Choice): string => `${labelOf(choice)}${choice.fair ? '' : ' (environment)'}${choice.delayed ? ' (delayed)' : ''}`;

function propertiesOf({ properties, exhausted }: Exploration): Map<string, PropertySide> {
  return new Map(
    properties.map(({ name, kind, description, violation }) => [
      name,
      { kind, description, verdict: violation ? 'violated' : exhausted ? 'holds' : 'inconclusive', steps: violation?.schedule.length ?? null },
    ]),
  );
}

function otherProperties(a: Exploration, b: Exploration): Difference['properties'] {
  const [inA, inB] = [propertiesOf(a), propertiesOf(b)];
  return sorted([...inA.keys(), ...inB.keys()])
    .map((name) => ({ name, a: inA.get(name) ?? null, b: inB.get(name) ?? null }))
    .filter((both) => canonical(both.a) !== canonical(both.b));
}

/**
 * Explores two systems to their ends (whatever they violate), and compares what they are made of and what was reached.
 * @throws {ModelError}
 */
export async function diff(a: Subject, b: Subject, { signal, progress, ...limits }: DiffOptions = {}): Promise<Difference> {
  const explored = async (subject: Subject): Promise<Side & Tabled> => {
    const explorer = new Explorer(subject.system, { ...limits, stop: () => false });
    const told = progress && { progress: (searching: Explorer) => progress(subject, searching) };
    const exploration = await finish(explorer, { ...(signal && { signal }), ...told });
    return { subject, exploration, system: subject.system, tables: explorer.tables };
  };
  const [sideA, sideB] = [await explored(a), await explored(b)];
  const pairs = common(a.system, b.system);
  const code = new Map(pairs.flatMap(otherCode).map((one) => [canonical({ ...one }), one]));
  return {
    a: { subject: a, exploration: sideA.exploration },
    b: { subject: b, exploration: sideB.exploration },
    actors: onlyIn(
      a.system.actors.map(({ address }) => address),
      b.system.actors.map(({ address }) => address),
    ),
    machines: pairs.map(([one, other]) => ({ actor: one.address, a: logicName(one.logic), b: logicName(other.logic) })).filter((both) => both.a !== both.b),
    code: [...code.keys()].sort().map((key) => code.get(key) as OtherCode),
    inputs: pairs.map(([one, other]) => ({ actor: one.address, a: inputOf(one), b: inputOf(other) })).filter((both) => canonical(both.a) !== canonical(both.b)),
    choices: onlyIn(a.system.choices.map(choiceText), b.system.choices.map(choiceText)),
    properties: otherProperties(sideA.exploration, sideB.exploration),
    tables: tablesDifference(sideA, sideB),
  };
}
