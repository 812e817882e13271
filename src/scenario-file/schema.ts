import { compoundPage } from './compound-page.js';
import { commonDefinitions, type Family, familySchema } from './family.js';
import { gupUnbind } from './gup-unbind.js';
import { ref, type Schema } from './json-schema.js';
import { luf } from './luf.js';
import { deviceExclusive, mmuNotifier } from './mmu-notifier.js';
import { tlbShootdown } from './tlb-shootdown.js';
import { writeProtect } from './write-protect.js';

/** The scenarios whose setups a file can compose, by id. */
// biome-ignore lint/suspicious/noExplicitAny: each says of its own setup what it wants; the schema holds files to it
export const families: ReadonlyMap<string, Family<any>> = new Map(
  // biome-ignore lint/suspicious/noExplicitAny: as above
  ([gupUnbind, tlbShootdown, luf, mmuNotifier, deviceExclusive, writeProtect, compoundPage] as Family<any>[]).map((family) => [family.scenario.id, family]),
);

/** What schemas/scenario.schema.json says; files are held to this very object. */
export const scenarioSchema: Schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'scenario file',
  description:
    "A race composed of the shipped machines, for 'shootdown check FILE'. That names, pages and threads go together is checked by the command, not here.",
  oneOf: [...families.keys()].map(ref),
  $defs: {
    ...Object.fromEntries([...families].map(([id, family]) => [id, familySchema(family)])),
    ...Object.assign({}, ...[...families.values()].map(({ definitions = {} }) => definitions)),
    ...commonDefinitions,
  },
};
