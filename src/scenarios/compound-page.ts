import { gupFast } from '../../machines/paths/gup-fast.js';
import { insertFolioPmd } from '../../machines/paths/insert-folio-pmd.js';
import { setPmdMigrationEntry } from '../../machines/paths/set-pmd-migration-entry.js';
import { truncate } from '../../machines/paths/truncate.js';
import { unpinUserPageRange } from '../../machines/paths/unpin-user-page-range.js';
import { range } from './common.js';
import { type CompoundPageSetup, compoundPageSystem, compoundReference } from './compound-page-system.js';
import type { Parameters, Scenario, Variant } from './scenario.js';

/** What a variant changes; which pages are pinned depends on how many a folio has. */
type Changes = Partial<Omit<CompoundPageSetup, 'pins'>> & { pins?: ((subpages: number) => number[]) | null };

/** From within F0 to within F1. */
const across = (subpages: number): number[] => range(subpages, subpages / 2);
const first = (subpages: number): number[] => range(subpages);
/** A page whose struct page is in the second page of the vmemmap, of which the third and the fourth can be the same. */
const tail = (subpages: number): number[] => [subpages / 4];

const truncated: Changes = { pins: across, work: ['truncate'] };
const thp: Changes = { memory: 'anonymous', pins: () => [1], mapped: 'ptes', work: ['split', 'munmap'], unpin: null };
const migrated: Changes = { memory: 'anonymous', pins: first, work: ['share'] };
/** Up to 6.16: a leaf over base pages, taken page by page. */
const baseLeaf: Changes = { memory: 'base', devmap: true, pins: first };
const probed: Changes = { mapped: 'none', pins: () => [1], unpin: null };
const publish = insertFolioPmd.provide({ guards: { refersToFolio: () => false } });
const removed: Changes = { pins: null, work: ['memunmap'] };

const lateHead = gupFast.provide({ guards: { looksUpHeadAgain: () => false } });
const latePin = gupFast.provide({ guards: { pinsBeforeRecheck: () => false } });
const deferred = setPmdMigrationEntry.provide({ guards: { flushesBeforeLook: () => false } });

const safe = {};

function variant(id: string, summary: string, expected: Variant['expected'], changes: Changes): Variant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: `domain table 2.D, row ${row}`,
    expected,
    fixed: changes.flush === undefined ? {} : { flush: changes.flush },
    system: ({ flush, subpages }: Parameters) =>
      compoundPageSystem(`compound-page/${id}`, {
        ...compoundReference,
        ...changes,
        flush: flush as CompoundPageSetup['flush'],
        subpages: Number(subpages),
        pins: changes.pins === null ? null : (changes.pins ?? across)(Number(subpages)),
        ...(row === 'D10' ? { base: basesOf(id, Number(subpages)) } : {}),
      }),
  };
}

/** One reference of the pagemap for each of two folios, or for each of their pages. */
function basesOf(id: string, subpages: number): CompoundPageSetup['base'] {
  const [compounds, pages] = [2, 2 * subpages];
  if (id === 'D10.smaller') return { taken: pages, put: compounds };
  if (id === 'D10.larger') return { taken: compounds, put: pages };
  return { taken: compounds, put: compounds };
}

/** Rows D0 to D11. */
export const compoundPageScenario: Scenario = {
  id: 'compound-page',
  title: 'References of compound pages, taken once for a group of pages',
  question: 'Does every reference of a folio that is taken for several pages come back?',
  parameters: {
    flush: { description: 'how remote TLBs are flushed', default: 'ipi', values: ['ipi', 'broadcast'] },
    subpages: { description: 'pages of a folio', default: '4', values: ['4', '8'] },
  },
  variants: [
    variant('D0', 'a reference for each page of a group at once, given back folio by folio; truncation meanwhile', safe, truncated),
    variant('D0.get', 'the same with FOLL_GET', safe, { ...truncated, pin: false }),
    variant('D0.pages', 'taken at once, given back page by page', safe, { ...truncated, unpin: null }),
    variant(
      'D1',
      'one reference for a group, given back for each page',
      { I6: 'violated', I5: 'violated' },
      {
        pins: first,
        gupFast: gupFast.provide({ guards: { countsEveryPage: () => false } }),
        unpin: unpinUserPageRange.provide({ guards: { groupsByHead: () => false } }),
      },
    ),
    variant(
      'D2',
      'a reference for each page, given back once for the group',
      { I11: 'violated', I6: 'holds', 'I6.leak': 'holds' },
      { ...truncated, unpin: unpinUserPageRange.provide({ guards: { putsAll: () => false } }) },
    ),
    variant(
      'D3',
      'a range that begins within a folio is given back as if it began with it',
      { I6: 'violated' },
      { pins: across, unpin: unpinUserPageRange.provide({ guards: { subtractsIndex: () => false } }) },
    ),
    variant(
      'D4.broadcast',
      'the head is not looked up again; the folio is split meanwhile; broadcast flush',
      { I6: 'violated', I5: 'violated' },
      { ...thp, gupFast: lateHead, flush: 'broadcast' },
    ),
    variant('D4.ipi', 'the head is not looked up again; the folio is split meanwhile; flush by IPI', safe, { ...thp, gupFast: lateHead, flush: 'ipi' }),
    variant('D4.again', 'the head is looked up again; the folio is split meanwhile', safe, thp),
    variant('D4.devdax', 'the head is not looked up again; compounds of a device are never split', safe, {
      pins: across,
      work: ['munmap'],
      gupFast: lateHead,
    }),
    variant(
      'D5',
      'a leaf over base pages is taken as if they were a folio',
      { I6: 'violated' },
      { ...baseLeaf, gupFast: gupFast.provide({ guards: { takesLeafWhole: () => true } }) },
    ),
    variant('D5.pages', 'a leaf over base pages is taken page by page', safe, baseLeaf),
    variant(
      'D6',
      'counters of a page in tail struct pages that share a frame',
      { I9: 'violated' },
      { memory: 'base', mapped: 'ptes', pins: tail, tails: 'shared', unpin: null },
    ),
    variant('D6.head', 'tail struct pages share a frame, counters are in the head', safe, { pins: across, tails: 'shared' }),
    variant(
      'D7.pointer',
      'tails of two compounds in one frame, each with the address of its head; the second is made meanwhile',
      { 'I9.head': 'violated' },
      { pins: tail, tails: 'crossed', work: ['initF1'], unpin: null },
    ),
    variant('D7.mask', 'tails of two compounds in one frame; the head follows from the address of the tail', safe, {
      pins: tail,
      tails: 'crossed',
      heads: 'mask',
      work: ['initF1'],
      unpin: null,
    }),
    variant(
      'D8.poison',
      'mapped before its struct pages are initialised, which hold poison',
      { I9: 'violated' },
      { ...probed, content: 'poison', work: ['publish', 'init'], publish },
    ),
    variant(
      'D8.boot',
      'mapped before its struct pages are initialised, which hold what boot left',
      { 'I9.head': 'violated' },
      { ...probed, content: 'boot', work: ['publish', 'init'], publish },
    ),
    variant('D8.init', 'initialised, then mapped', safe, { ...probed, content: 'poison', work: ['init', 'publish'] }),
    variant(
      'D9.broadcast',
      'pinned after the last look at the leaf; broadcast flush',
      { I5: 'violated' },
      { ...migrated, gupFast: latePin, flush: 'broadcast' },
    ),
    variant('D9.ipi', 'pinned after the last look at the leaf; flush by IPI before pins are looked for', safe, { ...migrated, gupFast: latePin, flush: 'ipi' }),
    variant(
      'D9.deferred',
      'pinned after the last look at the leaf; flush after pins are looked for',
      { I5: 'violated' },
      { ...migrated, gupFast: latePin, share: deferred },
    ),
    variant('D9.before', 'pinned, then the last look at the leaf; flush after pins are looked for', safe, { ...migrated, share: deferred }),
    variant('D10.smaller', 'vmemmap_shift larger at removal than it was: fewer references are put than were taken', { I11: 'violated' }, removed),
    variant('D10.larger', 'vmemmap_shift smaller at removal than it was: more references are put than were taken', { I6: 'violated' }, removed),
    variant('D10.same', 'vmemmap_shift as it was', safe, removed),
    variant(
      'D11',
      'a folio is taken apart without waiting until it is idle',
      { I6: 'violated' },
      { ...truncated, pins: first, truncate: truncate.provide({ guards: { waitsForIdle: () => false } }) },
    ),
  ],
};
