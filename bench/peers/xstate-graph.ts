import type { ActorLogic, EventObject, Snapshot } from 'xstate';
import { getAdjacencyMap } from 'xstate/graph';
import { Cascade } from '../../src/explore/cascade.js';
import { Coverage } from '../../src/explore/coverage.js';
import { LocalTables } from '../../src/explore/local.js';
import type { System } from '../../src/system/system.js';

type Whole = Snapshot<undefined> & { context: { ids: number[] } };
type Taken = EventObject & { type: 'choice'; index: number };

/**
 * The peer that XState ships, on a system: `getAdjacencyMap` walks one actor, so the whole system is wrapped as one. Its
 * transitions are looked up in our tables, so that what is measured is the walk; on XState's own transitions it would take longer.
 */
export function withXstateGraph(system: System): { states: number; transitions: number; seconds: number } {
  const tables = new LocalTables(system, new Coverage(system));
  const cascade = new Cascade(system, tables);
  const messages = system.choices.map((choice) => tables.message(choice.event));
  const initial = cascade.start().writes;
  const snapshot = (ids: number[]): Whole => ({ status: 'active', output: undefined, error: undefined, context: { ids } });
  const logic: ActorLogic<Whole, Taken> = {
    getInitialSnapshot: () => snapshot(system.actors.map(({ index }) => initial.get(index) as number)),
    transition: ({ context: { ids } }, { index }) => {
      const choice = system.choices[index];
      const result = choice ? cascade.step(choice, messages[index] as number, (actor) => ids[actor] as number) : null;
      return snapshot(ids.map((id, actor) => result?.writes.get(actor) ?? id));
    },
    getPersistedSnapshot: (state) => state,
  };
  let transitions = 0;
  const enabled = ({ context: { ids } }: Whole): Taken[] => {
    const taken = system.choices.filter(({ actor, index, delayed }) => tables.choice(actor, ids[actor.index] as number, messages[index] as number, delayed));
    transitions += taken.length;
    return taken.map(({ index }) => ({ type: 'choice', index }));
  };
  const started = performance.now();
  const map = getAdjacencyMap(logic, {
    events: enabled,
    serializeState: ({ context }) => context.ids.join(),
    serializeEvent: ({ index }) => String(index),
    limit: Number.POSITIVE_INFINITY,
  });
  return { states: Object.keys(map).length, transitions, seconds: (performance.now() - started) / 1000 };
}
