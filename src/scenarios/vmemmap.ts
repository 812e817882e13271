import { vmemmapCanOptimize } from '../../machines/memory/vmemmap.js';
import { addMemory } from '../../machines/paths/add-memory.js';
import { sparseRemoveSection } from '../../machines/paths/sparse-remove-section.js';
import { vmemmapPopulateCompoundPages } from '../../machines/paths/vmemmap-populate-compound-pages.js';
import type { Guards } from './common.js';
import type { Parameters, Scenario, Variant } from './scenario.js';
import { unaware } from './vmemmap-predicates.js';
import { changedVmemmap, decided, type VmemmapChanges, type VmemmapSetup, vmemmapSystem } from './vmemmap-system.js';

type Changes = VmemmapChanges;

const always = (): boolean => true;
const never = (): boolean => false;

/** A compound of which there are several in one page of the vmemmap, as of 2M on 64K. */
const small: Changes = { config: { structPage: 2, nr: 2 } };
/** A struct page of a size that is no power of two: it straddles pages of the vmemmap. */
const odd: Changes = { config: { structPage: 3 } };
const altmap: Changes = { config: { altmap: true } };
/** The device is in a section of which boot has made the rest. */
const early: Changes = { nr: 8, section: 16, subsection: 8, boot: 'part' };
const hash: Changes = { translation: 'hash', config: { override: false } };
/** Part of the memory is where no mm has a top-level entry yet. */
const topLevel: Changes = { translation: 'top-level' };
const system: Changes = { nr: 8, section: 8, subsection: 8, config: { pgmap: false, nr: 1 }, walker: { gate: 'online', pfns: [7] } };
const used: Changes = { work: ['probe', 'walk'] };
/** Probed by the function of the architecture, and about to go. */
const leaving: Changes = { probed: true, work: ['remove'], config: { wanted: false } };
const walked = (gate: NonNullable<VmemmapSetup['walker']>['gate'], locks = false): Changes => ({ walker: { gate, locks, pfns: [15] } });

const removedBy = (guards: NonNullable<Guards<typeof sparseRemoveSection>>): Changes => ({ removeSection: sparseRemoveSection.provide({ guards }) });

type Expectation = Pick<Variant, 'expected' | 'others'>;
const violates = (...names: string[]): Expectation => ({ expected: Object.fromEntries(names.map((name) => [name, 'violated'])) });
/** These are violated and all others hold: nothing is wrong, but something is not gained, or not prevented. */
const only = (...names: string[]): Expectation => ({ ...violates(...names), others: 'holds' });
const safe = only();

function variant(id: string, summary: string, expectation: Expectation, ...changes: Changes[]): Variant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: `domain table 2.E, row ${row}`,
    ...expectation,
    system: ({ debug_vm: debugVm }: Parameters) => vmemmapSystem(`vmemmap/${id}`, { ...changedVmemmap(...changes), debugVm: debugVm === 1 }),
  };
}

/** Rows E0 to E15. */
export const vmemmapScenario: Scenario = {
  id: 'vmemmap',
  title: 'Struct pages of a device: populated, initialised, shared and taken away',
  question: 'Is every struct page that somebody reaches mapped, initialised, and its head the real one?',
  parameters: {
    debug_vm: { description: '1: fresh struct pages are poisoned (CONFIG_DEBUG_VM)', default: 0, min: 0, max: 1 },
  },
  variants: [
    variant('E0', 'one predicate for both; tables of init_mm; tails share frames', safe),
    variant('E0.used', 'the same while a process faults pages in, pins and unpins them; unbind waits for it', safe, { pins: [7, 8] }),
    variant('E0.top-level', 'the same where each mm has a top level of its own, which is kept in step', safe, topLevel),
    variant('E0.hash', 'bolted hash entries: the predicate says no', only('sharing'), hash),
    variant('E0.altmap', 'struct pages in memory of the device: the predicate says no', safe, altmap),
    variant('E0.small', 'compounds smaller than two pages of the vmemmap: the predicate says no', safe, small),
    variant('E0.odd', 'struct pages of a size that is no power of two: the predicate says no', only('sharing'), odd),
    variant('E1', 'hash entries, and generic code populates init_mm', violates('I9'), hash, decided(unaware)),
    variant('E2', 'hash entries; the shift is forced to 0: no compounds', only('compounds', 'sharing'), hash, { config: { nr: 1, override: false } }),
    variant('E3', 'populated in full, initialised as if tails shared frames', violates('I9'), used, decided(never, always)),
    variant('E3.early', 'the same since the section is of boot time and its memmap is there', violates('I9.head'), early, used, decided(vmemmapCanOptimize)),
    variant('E3.asks', 'compound_nr_pages asks whether the section is of boot time', only('sharing'), early, used),
    variant('E4', 'tails share frames, all are initialised', safe, used, decided(vmemmapCanOptimize, never)),
    variant('E4.readonly', 'the same, with tails mapped read-only', violates('I9.write'), used, decided(vmemmapCanOptimize, never), {
      populateCompound: vmemmapPopulateCompoundPages.provide({ guards: { mapsTailsReadOnly: () => true } }),
    }),
    variant(
      'E5',
      'small compounds, populated and initialised as if they had tails to share; memory in use comes after',
      violates('I9.head'),
      small,
      { boot: 'neighbour' },
      decided(unaware),
    ),
    variant('E5.end', 'the same, with nothing after', violates('I9'), small, decided(unaware)),
    variant('E6', 'tails share frames of RAM although there is an altmap, to which all is given back', violates('I10', 'altmap'), altmap, decided(always)),
    variant('E6.x86', 'the same where RAM is given back as RAM', only('altmap'), altmap, decided(always), removedBy({ returnsToAltmap: () => false })),
    variant('E7', 'struct pages of a size that is no power of two share frames', violates('I9'), odd, used, decided(always)),
    variant('E8', 'a frame that is mapped again takes no reference', violates('I10'), {
      populateCompound: vmemmapPopulateCompoundPages.provide({ guards: { takesReference: () => false } }),
    }),
    variant('E10', 'a frame is freed, then its pte cleared, then flushed; somebody reads struct pages without asking', violates('I3'), leaving, walked('none')),
    variant('E10.online', 'the same with memory of the system, and a reader who asks whether it is online', violates('I3'), system, {
      work: ['add', 'offline'],
    }),
    variant('E10.locked', 'and holds mem_hotplug_lock while he reads', safe, system, {
      work: ['add', 'offline'],
      walker: { gate: 'online', locks: true, pfns: [7] },
    }),
    variant('E10.device', 'pages of a device are never online', safe, leaving, walked('online')),
    variant(
      'E10.order',
      'cleared, flushed, then freed; somebody reads struct pages without asking',
      { expected: { I9: 'violated', I3: 'holds', I10: 'holds' } },
      leaving,
      walked('none'),
      removedBy({ freesBeforeClear: () => false }),
    ),
    variant(
      'E10.flush',
      'cleared, freed, then flushed; a TLB entry is still used',
      violates('I3'),
      leaving,
      walked('none'),
      { speculates: [7] },
      removedBy({ freesBeforeClear: () => false, flushesBeforeFree: () => false }),
    ),
    variant('E11', 'a new top-level entry is in init_mm only', violates('I9'), topLevel, {
      populateCompound: vmemmapPopulateCompoundPages.provide({ guards: { syncsTopLevel: () => false } }),
    }),
    variant('E11.arch', 'the function of the architecture populates, and sees to the other mms', only('sharing'), topLevel, decided(never), {
      populateCompound: vmemmapPopulateCompoundPages.provide({ guards: { syncsTopLevel: () => false } }),
    }),
    variant('E12', 'a walker asks pfn_valid between present and initialised', violates('I9'), walked('valid'), { work: ['probe'] }),
    variant('E12.online', 'a walker asks pfn_to_online_page', safe, walked('online'), { work: ['probe'] }),
    variant('E12.pagemap', 'a walker asks get_dev_pagemap', violates('I9'), walked('pagemap'), { work: ['probe'] }),
    variant('E12.memory_failure', 'a walker asks pfn_valid, then get_dev_pagemap, as memory_failure does', violates('I9'), walked('memory_failure'), {
      work: ['probe'],
    }),
    variant('E12.add', 'memory of the system is added; a walker asks pfn_valid', violates('I9'), system, {
      work: ['add'],
      walker: { gate: 'valid', locks: true, pfns: [7] },
    }),
    variant('E12.added', 'memory of the system is added; a walker asks pfn_to_online_page', safe, system, { work: ['add'] }),
    variant('E12.early', 'memory of the system is online before its struct pages are initialised', violates('I9'), system, {
      work: ['add'],
      addMemory: addMemory.provide({ guards: { initialisesBeforeOnline: () => false } }),
    }),
    variant(
      'E13',
      'memory over a hole in a section of boot time is removed with its memmap, and added again',
      violates('I9'),
      early,
      { work: ['probe', 'sections', 'probe'] },
      removedBy({ keepsBootMemmap: () => false }),
    ),
    variant('E13.kept', 'the memmap of a section of boot time stays', safe, early, {
      work: ['probe', 'sections', 'probe'],
    }),
    variant('E15', 'compounds larger than a section, whose sections are added out of order', violates('I9'), used, {
      section: 4,
      subsection: 4,
      order: [0, 1, 3, 2],
    }),
    variant('E15.order', 'compounds larger than a section, added in order', safe, used, { section: 4, subsection: 4 }),
  ],
};
