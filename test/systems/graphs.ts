import type { AnyStateMachine } from 'xstate';
import type { Property, System } from '../../src/index.js';
import { machine, single } from './small.js';

/** Per state, where events lead from it. */
export type Arrows = Record<string, Record<string, string>>;

/** A machine from its arrows, which begins in the first state. All rest. */
export const arrows = (states: Arrows): AnyStateMachine =>
  machine({ id: 'm', initial: Object.keys(states)[0], states: Object.fromEntries(Object.entries(states).map(([name, on]) => [name, { on, tags: ['rest'] }])) });

/** A system of one actor, `a`, that has all events as choices: the fair ones in the order of their first arrow, then those of the environment. */
export function graph(states: Arrows, properties: Property[], environment: readonly string[] = []): System {
  const events = [...new Set(Object.values(states).flatMap((on) => Object.keys(on)))];
  return single(arrows(states), { choices: events.filter((event) => !environment.includes(event)), environment }, { properties });
}
