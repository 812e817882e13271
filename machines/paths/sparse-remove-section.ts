import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type VmemmapConfig, vmemmapPagesOf } from '../memory/vmemmap.js';

interface Input {
  vmemmap: Address;
  putPage: Address;
  /** What the removed memory's struct pages may have been taken from; null: RAM only. */
  altmap: Address | null;
  config: VmemmapConfig;
}

/** What to remove from which section; `whole`: it is all of the section. */
interface Removal {
  section: Address;
  subsections: number[];
  /** Pfns. */
  start: number;
  nr: number;
  whole: boolean;
}

interface Context extends Input, Omit<Removal, 'whole'> {
  caller: Address;
  /** No subsection of the section is left. */
  empty: boolean;
  /** Boot made the section's struct pages. */
  early: boolean;
  /** Pages of the vmemmap that are still to be unmapped. */
  left: number[];
  /** Frames that were found and are still to be freed. */
  frames: Address[];
  flushed: boolean;
}

type Event =
  | { type: 'step' }
  | Call<Removal>
  | Return
  | Signed<{ type: 'section.cleared'; empty: boolean; early: boolean } | { type: 'vmemmap.pte'; frame: Address | null }>;

const { tell } = speaker<Context, Event>();
const idle = {
  ...{ caller: '', section: '', subsections: [] as number[], start: 0, nr: 0, empty: false, early: false },
  ...{ left: [] as number[], frames: [] as Address[], flushed: false },
};

/** Addresses of frames of RAM, which the page allocator hands out; others are the device's. */
const ram = /^page(\d+)$/;

/**
 * sparse_remove_section (section_deactivate of mm/sparse.c, vmemmap_free of arch/x86/mm/init_64.c, 6.12): takes pfns out of a section, and
 * the memory of their struct pages back. A whole early section's (free_map_bootmem) goes the same way, but never to the altmap. Called
 * with the section and the pfns. Domain table: 1.h; rows E6, E8, E10, E13.
 */
export const sparseRemoveSection = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isEmpty: ({ event }) => received(event, 'section.cleared').empty,
    /** Safeguard (row E13, ef69bc9f689d): the struct pages of an early section are never removed in part. */
    keepsBootMemmap: ({ context }) => context.early && !context.empty,
    morePages: ({ context }) => context.left.length > 0,
    moreFrames: ({ context }) => context.frames.length > 0,
    isNone: ({ event }) => received(event, 'vmemmap.pte').frame === null,
    /** Row E10: x86 frees a frame while its pte is still there. */
    freesBeforeClear: () => true,
    /** Safeguard (row E10), where ptes are cleared first: no frame is freed while a TLB may lead to it. */
    flushesBeforeFree: () => true,
    /**
     * Row E6: with an altmap every frame goes back to it, wherever it came from (but free_map_bootmem knows of none). Taken out: as x86
     * does with pages of base size.
     */
    returnsToAltmap: ({ context }) => context.altmap !== null && !(context.early && context.empty),
    isRam: ({ context }) => ram.test(context.frames[0] ?? ''),
    isFlushed: ({ context }) => context.flushed,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, section, subsections, start, nr } = received(event, 'call');
      return { caller: from, section, subsections, start, nr, left: vmemmapPagesOf(context.config, start, nr) };
    }),
    clearMap: tell(
      ({ context }) => context.section,
      ({ context }) => ({ type: 'section.clear', subsections: context.subsections }),
    ),
    noteCleared: assign(({ event }) => {
      const { empty, early } = received(event, 'section.cleared');
      return { empty, early };
    }),
    clearPresent: tell(({ context }) => context.section, { type: 'section.clear_present' }),
    freeUsage: tell(({ context }) => context.section, { type: 'section.free_usage' }),
    readPte: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.read_pte', vpage: context.left[0] }),
    ),
    noteFrame: assign({ frames: ({ context, event }) => [...context.frames, received(event, 'vmemmap.pte').frame as Address] }),
    clearPte: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.clear_pte', vpage: context.left[0] }),
    ),
    nextPage: assign({ left: ({ context }) => context.left.slice(1) }),
    returnToAltmap: tell(({ context }) => context.altmap as Address, { type: 'altmap.free' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: Number(ram.exec(context.frames[0] as Address)?.[1]), pinned: false }),
    ),
    nextFrame: assign({ frames: ({ context }) => context.frames.slice(1) }),
    flush: tell(
      ({ context }) => context.vmemmap,
      ({ context: { config, start, nr } }) => ({ type: 'vmemmap.flush', vpages: vmemmapPagesOf(config, start, nr) }),
    ),
    noteFlushed: assign({ flushed: true }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'section_deactivate',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'clear_subsection_map', actions: 'remember' } } },
    clear_subsection_map: {
      description: 'Takes the marks of the subsections away',
      on: {
        step: { actions: 'clearMap' },
        'section.cleared': [
          { guard: 'isEmpty', target: 'clear_has_mem_map', actions: 'noteCleared' },
          { target: 'depopulate_section_memmap', actions: 'noteCleared' },
        ],
      },
    },
    clear_has_mem_map: {
      description: 'Nothing is left of the section: valid_section() is false from here',
      on: { step: { target: 'kfree_rcu', actions: 'clearPresent' } },
    },
    kfree_rcu: { description: "The section's usage goes", on: { step: { target: 'depopulate_section_memmap', actions: 'freeUsage' } } },
    depopulate_section_memmap: {
      description: 'The struct pages of an early section stay as long as anything of it is left',
      always: [{ guard: 'keepsBootMemmap', target: 'idle', actions: ['return', 'forget'] }, { target: 'next_page' }],
    },
    next_page: { description: 'Page by page of the vmemmap', always: [{ guard: 'morePages', target: 'remove_pte_table' }, { target: 'flush_tlb_all' }] },
    remove_pte_table: {
      description: 'Which frame is mapped there? None: the next page',
      on: {
        step: { actions: 'readPte' },
        'vmemmap.pte': [
          { guard: 'isNone', target: 'next_page', actions: 'nextPage' },
          { guard: 'freesBeforeClear', target: 'free_pagetable', actions: 'noteFrame' },
          { target: 'pte_clear', actions: 'noteFrame' },
        ],
      },
    },
    pte_clear: {
      description: 'Unmaps the page; TLBs may still lead to the frame',
      on: {
        step: [
          { guard: 'freesBeforeClear', target: 'next_page', actions: ['clearPte', 'nextPage'] },
          { guard: 'flushesBeforeFree', target: 'next_page', actions: ['clearPte', 'nextPage'] },
          { target: 'free_pagetable', actions: ['clearPte', 'nextPage'] },
        ],
      },
    },
    flush_tlb_all: { description: 'No TLB leads to the frames any more', on: { step: { target: 'vmemmap_free', actions: ['flush', 'noteFlushed'] } } },
    free_pagetable: {
      description: "Row E6: where does the frame go? Nobody looks whether it was taken from the altmap. A device's frame that is not given back stays",
      always: [
        { guard: 'returnsToAltmap', target: 'vmem_altmap_free' },
        { guard: 'isRam', target: 'free_pages' },
        { target: 'vmemmap_free', actions: 'nextFrame' },
      ],
    },
    vmem_altmap_free: { description: 'The altmap counts one less', on: { step: { target: 'vmemmap_free', actions: ['returnToAltmap', 'nextFrame'] } } },
    free_pages: {
      description: 'Puts the frame: each pte holds a reference',
      entry: 'callPut',
      on: { return: { target: 'vmemmap_free', actions: 'nextFrame' } },
    },
    vmemmap_free: {
      description: 'What is next: a frame, the pte of the frame that was freed, a page, nothing?',
      always: [
        { guard: 'moreFrames', target: 'free_pagetable' },
        { guard: 'isFlushed', target: 'idle', actions: ['return', 'forget'] },
        { guard: 'freesBeforeClear', target: 'pte_clear' },
        { target: 'next_page' },
      ],
    },
  },
});
