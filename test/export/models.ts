import { Explorer } from '../../src/explore/explorer.js';
import { searchable, type Tables, tablesOf } from '../../src/export/tables.js';
import type { System } from '../../src/index.js';
import { build, scenarios } from '../../src/scenarios/index.js';
import { lockSystem } from '../cli/lock.js';

/** A search to the end, as the export does it. */
export function searched(system: System): Explorer {
  const explorer = new Explorer(searchable(system), { stop: () => false });
  while (!explorer.finished) explorer.slice();
  return explorer;
}

export const tabled = (system: System): Tables => tablesOf(searched(system), system);

export function variant(name: string): System {
  const [id, of] = name.split('/');
  const scenario = scenarios.find((one) => one.id === id);
  const found = scenario?.variants.find((one) => one.id === of);
  if (!scenario || !found) throw new Error(`there is no ${name}`);
  return build(scenario, found, {}).system;
}

/** Systems of the tests, by name, with their numbers of states. */
export const systems: readonly [name: string, states: number, system: () => System][] = [
  ['lock/safe', 8, () => lockSystem('lock/safe', true)],
  ['lock/broken', 19, () => lockSystem('lock/broken', false)],
  ['gup-unbind/A1', 4644, () => variant('gup-unbind/A1')],
  ['tlb-shootdown/B1', 162, () => variant('tlb-shootdown/B1')],
  ['percpu-ref/C1', 10747, () => variant('percpu-ref/C1')],
  ['compound-page/D3', 22, () => variant('compound-page/D3')],
  ['passdown-mapping/PB.self', 224, () => variant('passdown-mapping/PB.self')],
];
