import fc from 'fast-check';
import type { Explorer } from '../../src/explore/explorer.js';
import { tablesOf } from '../../src/export/tables.js';
import { tla } from '../../src/export/tla.js';
import type { Eventuality, System, SystemActor } from '../../src/index.js';
import { isSmall } from '../laws.js';
import { build, systemPlans } from '../systems/random.js';
import { Module, type State } from './evaluator.js';
import { searched, systems, variant } from './models.js';

/** The name that a definition has for a property. */
const defined = (name: string): string => `${name.slice(0, 1).toUpperCase()}${name.slice(1).replace(/\W/g, '_')}_holds`;

/** The module of a system has the states of its search, and says the same of each property. */
function agrees(system: System): { explorer: Explorer; module: Module; states: State[] } {
  const explorer = searched(system);
  const tables = tablesOf(explorer, system);
  expect(tables.claims.filter(({ kind, leftOut }) => kind !== 'possibility' && leftOut !== null)).toEqual([]);
  const model = tla(tables);
  const module = new Module(model.module);
  const states = module.states();
  const { properties, states: all } = explorer.result();
  expect(states.length).toBe(all);
  expect(states.every(module.invariant('TypeOK'))).toBe(true);
  for (const { name, kind, violation } of properties) {
    if (kind === 'bug' && system.properties.find((property) => property.name === name)?.kind !== 'bug') continue;
    const found = module.names.includes(defined(name)) && states.some((state) => !module.invariant(defined(name))(state));
    expect({ name, violated: found }).toEqual({ name, violated: violation !== null });
  }
  const listed = model.config.split('\n').filter((line) => line.startsWith('  '));
  expect(module.names).toEqual(expect.arrayContaining(listed.map((line) => line.trim())));
  return { explorer, module, states };
}

test.each(systems)('%s: the module has its %i states, and violates what it violates', (_, states, system) => {
  expect(agrees(system()).states.length).toBe(states);
});

test('random systems: the module has their states, and violates what they violate', () => {
  fc.assert(
    fc.property(systemPlans(), (plan) => {
      const system = build(plan);
      fc.pre(isSmall(system));
      agrees(system);
    }),
    { numRuns: 100, seed: 7 },
  );
});

test.each(['passdown-mapping/PA.self', 'percpu-ref/C4.one', 'mmu-notifier/N6.one'])(
  '%s: the eventuality is met and reached where its functions say',
  (name) => {
    const system = variant(name);
    const { explorer, module } = agrees(system);
    const property = system.properties.find(({ kind }) => kind === 'eventuality') as Eventuality;
    const { when, reach } = module.following(defined(property.name));
    const { store, tables } = explorer.searched;
    const moving = system.actors.filter(({ index }) => (tables.states[index] as unknown[]).length > 1);
    const idIn = (state: number, { index }: SystemActor): number => store.packing.read(store.words, state * store.width, index);
    const seen = new Set<string>();
    for (let state = 0; state < store.count; state++) {
      const snapshots = Object.fromEntries(
        system.actors
          .filter(({ address }) => property.actors.includes(address))
          .map((actor) => [actor.address, tables.local(actor, idIn(state, actor)).snapshot]),
      );
      const expected = [property.when?.(snapshots) ?? null, property.reach(snapshots)];
      const vector = moving.map((actor) => idIn(state, actor));
      expect([when?.(vector) ?? null, reach(vector)]).toEqual(expected);
      seen.add(String(expected));
    }
    expect(seen.size).toBeGreaterThan(1);
  },
);
