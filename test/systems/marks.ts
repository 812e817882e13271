import { type Eventuality, leadsTo, type System } from '../../src/index.js';
import { machine, single } from './small.js';

/** Per state, where its events lead. */
export type Edges = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Marks {
  /** States that meet the premise; default: all. */
  when?: readonly string[];
  /** States in which what should come is there; default: none. */
  reach?: readonly string[];
  /** Events that need never come. */
  environment?: readonly string[];
}

type Views = { a: { value: string } };

/** An eventuality `P` on the states of actor `a`. */
export const marked = ({ when, reach = [] }: Marks): Eventuality =>
  leadsTo<Views>('P', 'it comes', { actors: ['a'], when: ({ a }) => when?.includes(a.value) ?? true, reach: ({ a }) => reach.includes(a.value) });

/** A graph as a system of one actor, `a`, which starts in the first state; its choices are the events in the order of first mention. */
export function graph(edges: Edges, marks: Marks = {}): System {
  const { environment = [] } = marks;
  const events = [...new Set(Object.values(edges).flatMap((on) => Object.keys(on)))];
  const logic = machine({
    id: 'graph',
    initial: Object.keys(edges)[0],
    states: Object.fromEntries(Object.entries(edges).map(([state, on]) => [state, { on }])),
  });
  return single(logic, { choices: events.filter((event) => !environment.includes(event)), environment, path: false }, { properties: [marked(marks)] });
}

/** The numbers of choices named by their events. */
export const along = ({ choices }: System, ...events: string[]): number[] =>
  events.map((type) => {
    const found = choices.find(({ event }) => event.type === type);
    if (!found) throw new Error(`no choice '${type}'`);
    return found.index;
  });
