import { type CheckOptions, type CheckResult, check } from '../check/check.js';
import type { Replay } from '../schedule/replay.js';
import type { Moment } from '../trace/moment.js';
import type { Protocol } from '../trace/protocol.js';
import { momentSystem } from './moment.js';

/** A property of the moment's system, or something else that could have happened (then its counterexample is how). */
export interface Explored {
  name: string;
  description: string;
  isPossibility: boolean;
  counterexample: { length: number; replay: Replay } | null;
}

export interface MomentExploration {
  /** One for each possible state that was explored. */
  results: readonly CheckResult[];
  explored: readonly Explored[];
  exhausted: boolean;
}

/** More possible states are not explored one by one. */
const mostStates = 8;

function shortest(results: readonly CheckResult[], name: string): Explored['counterexample'] {
  const found = results.flatMap(({ properties }) =>
    properties.flatMap((property) => (property.name === name && property.counterexample ? [property.counterexample] : [])),
  );
  return found.sort((a, b) => a.length - b.length)[0] ?? null;
}

/** Explores every other order of what a log shows around a line, from each state that is possible there. @throws {ModelError} */
export async function exploreMoment(moment: Moment, protocols: readonly Protocol[], options: Omit<CheckOptions, 'all'> = {}): Promise<MomentExploration> {
  const descriptions = Object.assign({}, ...protocols.map(({ properties }) => properties));
  const systems = moment.states.slice(0, mostStates).map((state) => momentSystem(moment, state, descriptions));
  const results: CheckResult[] = [];
  for (const { system } of systems) results.push(await check(system, { ...options, all: true }));
  const says = new Map(systems.flatMap(({ possibilities }) => possibilities.map(({ property, says: text }) => [property, text] as const)));
  const described = new Map(results.flatMap(({ properties }) => properties.map(({ name, description }) => [name, description] as const)));
  const explored = [...described].map(
    ([name, description]): Explored => ({
      name,
      description: says.get(name) ?? description,
      isPossibility: says.has(name),
      counterexample: shortest(results, name),
    }),
  );
  return { results, explored, exhausted: results.every(({ exploration }) => exploration.exhausted) && systems.length === moment.states.length };
}
