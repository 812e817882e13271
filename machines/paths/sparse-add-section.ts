import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type VmemmapConfig, vmemmapCanOptimize, vmemmapPagesOf } from '../memory/vmemmap.js';

interface Input {
  vmemmap: Address;
  /** vmemmap_populate of the architecture. */
  populate: Address;
  /** The generic vmemmap_populate_compound_pages. */
  populateCompound: Address;
  config: VmemmapConfig;
  /** CONFIG_DEBUG_VM. */
  debugVm: boolean;
}

/** What to add to which section; `whole`: it is all of the section. */
interface Addition {
  section: Address;
  subsections: number[];
  /** Pfns. */
  start: number;
  nr: number;
  /** The first pfn of the pagemap's range. */
  first: number;
  whole: boolean;
  /** There is a dev_pagemap, an altmap; default: as the configuration says. */
  pgmap?: boolean;
  altmap?: boolean;
}

interface Context extends Input, Omit<Addition, 'pgmap' | 'altmap'> {
  caller: Address;
  /** The configuration with what the caller said. */
  asked: VmemmapConfig;
}

type Event =
  | { type: 'step' }
  | Call<Addition>
  | Return<{ ok?: boolean }>
  | Signed<{ type: 'section.filled'; result: 'ok' | 'exists' } | { type: 'section'; early: boolean } | { type: 'section.cleared' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', section: '', subsections: [] as number[], start: 0, nr: 0, first: 0, whole: false };
const forgotten = ({ config }: { config: VmemmapConfig }) => ({ ...idle, asked: config });

/**
 * sparse_add_section (mm/sparse.c, section_activate, and populate_section_memmap of mm/sparse-vmemmap.c, 6.12): makes struct pages for
 * pfns that are added to a section. Called with the section and the pfns; returns whether there was memory. When there is none, what was
 * mapped by then stays mapped. Domain table: 1.h; rows E1, E3, E12, E13.
 */
export const sparseAddSection = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isFilled: ({ event }) => received(event, 'section.filled').result === 'ok',
    /** Boot made struct pages for all of an early section, holes included. */
    hasBootMemmap: ({ context, event }) => received(event, 'section').early && !context.whole,
    /** vmemmap_can_optimize: do tail struct pages share frames? */
    canOptimize: ({ context }) => vmemmapCanOptimize(context.asked),
    isPopulated: ({ event }) => received(event, 'return').ok === true,
    poisons: ({ context }) => context.debugVm,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, section, subsections, start, nr, first, whole, pgmap, altmap } = received(event, 'call');
      const { config } = context;
      const asked = { ...config, pgmap: pgmap ?? config.pgmap, altmap: altmap ?? config.altmap };
      return { caller: from, section, subsections, start, nr, first, whole, asked };
    }),
    fill: tell(
      ({ context }) => context.section,
      ({ context }) => ({ type: 'section.fill', subsections: context.subsections }),
    ),
    read: tell(({ context }) => context.section, { type: 'section.read' }),
    callPopulate: tell(
      ({ context }) => context.populate,
      ({ context: { config, start, nr } }) => ({ type: 'call', vpages: vmemmapPagesOf(config, start, nr) }),
    ),
    callPopulateCompound: tell(
      ({ context }) => context.populateCompound,
      ({ context: { start, nr, first, asked } }) => ({ type: 'call', start, nr, first, ...(asked.pgmap ? {} : { pgmap: false }) }),
    ),
    clear: tell(
      ({ context }) => context.section,
      ({ context }) => ({ type: 'section.clear', subsections: context.subsections }),
    ),
    poison: tell(
      ({ context }) => context.vmemmap,
      ({ context: { config, start, nr } }) => ({ type: 'vmemmap.poison', vpages: vmemmapPagesOf(config, start, nr) }),
    ),
    setPresent: tell(({ context }) => context.section, { type: 'section.set_present' }),
    returnDone: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnFailed: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forget: assign(({ context }) => forgotten(context)),
  },
}).createMachine({
  id: 'sparse_add_section',
  context: ({ input }) => ({ ...input, ...forgotten(input) }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'fill_subsection_map', actions: 'remember' } } },
    fill_subsection_map: {
      description: 'Marks the subsections; -EEXIST when one of them is there already',
      on: {
        step: { actions: 'fill' },
        'section.filled': [
          { guard: 'isFilled', target: 'section_activate' },
          { target: 'idle', actions: ['returnFailed', 'forget'] },
        ],
      },
    },
    section_activate: {
      description: 'Row E13: a part of an early section gets the struct pages that boot made; nobody looks whether they are still there',
      on: {
        step: { actions: 'read' },
        section: [{ guard: 'hasBootMemmap', target: 'has_memmap' }, { target: 'vmemmap_can_optimize' }],
      },
    },
    vmemmap_can_optimize: {
      description: '__populate_section_memmap: who populates?',
      always: [{ guard: 'canOptimize', target: 'vmemmap_populate_compound_pages' }, { target: 'vmemmap_populate' }],
    },
    vmemmap_populate_compound_pages: {
      description: 'The generic code: tails of a compound share frames',
      entry: 'callPopulateCompound',
      on: { return: [{ guard: 'isPopulated', target: 'has_memmap' }, { target: 'clear_subsection_map' }] },
    },
    vmemmap_populate: {
      description: "The architecture's: each page of the vmemmap has a frame of its own",
      entry: 'callPopulate',
      on: { return: [{ guard: 'isPopulated', target: 'has_memmap' }, { target: 'clear_subsection_map' }] },
    },
    clear_subsection_map: {
      description: 'No memory: takes the marks back (section_deactivate)',
      on: { step: { actions: 'clear' }, 'section.cleared': { target: 'idle', actions: ['returnFailed', 'forget'] } },
    },
    has_memmap: {
      description: 'Is what struct pages hold overwritten, so that a use before they are initialised shows?',
      always: [{ guard: 'poisons', target: 'page_init_poison' }, { target: 'sparse_init_one_section' }],
    },
    page_init_poison: {
      description: 'DEBUG_VM: the first stores to the struct pages, those of boot included',
      on: { step: { target: 'sparse_init_one_section', actions: 'poison' } },
    },
    sparse_init_one_section: {
      description: 'Row E12: from here pfn_valid() is true, before any struct page is initialised',
      on: { step: { target: 'idle', actions: ['setPresent', 'returnDone', 'forget'] } },
    },
  },
});
