import { alwaysEventually, type Eventuality, type Exploration, explore, leadsTo, type System, type Violation } from '../src/index.js';
import { lassoStands, naiveEqualsExplorer } from './laws.js';

export type Views = { a: { value: string } };

/** Whenever actor `a` is in one of `when`, it comes to one of `reach`. */
export const comes = (when: readonly string[], reach: readonly string[], name = 'E'): Eventuality =>
  leadsTo<Views>(name, 'what waits goes on', { actors: ['a'], when: ({ a }) => when.includes(a.value), reach: ({ a }) => reach.includes(a.value) });
export const recurs = (reach: readonly string[], name = 'E'): Eventuality =>
  alwaysEventually<Views>(name, 'it comes again', { actors: ['a'], reach: ({ a }) => reach.includes(a.value) });
export const neverComes = alwaysEventually('E', '', { actors: [], reach: () => false });

export const all = { stop: () => false };
export const propertyOf = (exploration: Exploration, name = 'E'): Exploration['properties'][number] =>
  exploration.properties.find((each) => each.name === name) as Exploration['properties'][number];
export const withProperty = (system: System, property: Eventuality): System => ({ ...system, properties: [...system.properties, property] });

export interface Told {
  stem: string;
  loop: string;
  cures: string[];
}

/** In words: events, or `actor: event` where there are several actors. */
export function told(system: System, { schedule, lasso }: Violation): Told {
  const name = (choice: number): string => {
    const { actor: owner, event } = system.choices[choice] as System['choices'][number];
    return system.actors.length > 1 ? `${owner.address}: ${event.type}` : event.type;
  };
  const words = (part: readonly number[]): string => part.map(name).join(', ');
  const at = lasso?.stem ?? schedule.length;
  return {
    stem: words(schedule.slice(0, at)),
    loop: words(schedule.slice(at)),
    cures: (lasso?.cures ?? []).map(({ kind, choice }) => `${kind} ${name(choice)}`),
  };
}

/** What was found of an eventuality, once explorer and naive twin agree and the lasso was found to stand on live XState. */
export function judged(system: System, name = 'E'): 'holds' | Told {
  naiveEqualsExplorer(system);
  const exploration = explore(system, all);
  const { violation } = propertyOf(exploration, name);
  expect(exploration.exhausted).toBe(true);
  if (!violation) return 'holds';
  lassoStands(system, violation);
  expect(violation.lasso?.untried).toBe(0);
  return told(system, violation);
}
