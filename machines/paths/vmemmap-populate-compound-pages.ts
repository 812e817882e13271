import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { pageAt } from '../memory/address-space.js';
import type { VmemmapConfig } from '../memory/vmemmap.js';

/** Pfns whose struct pages need memory, and the first pfn of the pagemap's range. */
interface Range {
  start: number;
  nr: number;
  first: number;
  /** There is a dev_pagemap. Default: yes. */
  pgmap?: boolean;
}

/** A page of the vmemmap to populate: with a frame of its own, or with the one that tail struct pages share. */
interface Populate {
  vpage: number;
  reuse: boolean;
}

interface Input {
  vmemmap: Address;
  allocator: Address;
  config: VmemmapConfig;
  /** The first frame of memory, which an entry of zeros names (row E15); default: such an entry is noticed. */
  firstFrame?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  /** What is still to be populated. */
  left: Populate[];
  /** The page of the vmemmap before the range, whose frame all of it shares; null: the range has frames of its own. */
  previous: number | null;
  /** The frame of the page that was last populated with one of its own: of tails, where one is reused. */
  tail: Address | null;
  /** What was allocated for the first of those left. */
  frame: Address | null;
}

type Event = { type: 'step' } | Call<Range> | Signed<{ type: 'vmemmap.pte'; frame: Address | null } | { type: 'page'; pfn: number | null }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', left: [] as Populate[], previous: null, tail: null, frame: null };

/** Addresses from `start` to before `end`, in units, in strides of `by`. */
function addresses(start: number, end: number, by: number): number[] {
  return Array.from({ length: Math.max(0, Math.ceil((end - start) / by)) }, (_, stride) => start + stride * by);
}

/** vmemmap_populate_range: the pages of the vmemmap at these addresses, all onto the frame that is reused. */
const rangeOf = ({ page }: VmemmapConfig, start: number, end: number): Populate[] =>
  addresses(start, end, page).map((addr) => ({ vpage: Math.floor(addr / page), reuse: true }));

/** reuse_compound_section: the range lies within a compound that is larger than it, and not at its beginning. */
const isInsideCompound = (config: VmemmapConfig, { start, nr, first }: Range): boolean => (start - first) % config.nr !== 0 && config.nr > nr;

/** What the kernel populates for these pfns, by its arithmetic with addresses (units): per compound a head page, a page of tails, and the rest. */
function populatesOf(config: VmemmapConfig, range: Range): Populate[] {
  const { structPage, page } = config;
  const start = range.start * structPage;
  const end = start + range.nr * structPage;
  if (isInsideCompound(config, range)) return rangeOf(config, start, end);
  const size = Math.min(end - start, config.nr * structPage);
  return addresses(start, end, size).flatMap((addr) => [
    { vpage: Math.floor(addr / page), reuse: false },
    { vpage: Math.floor((addr + page) / page), reuse: false },
    ...rangeOf(config, addr + 2 * page, addr + size),
  ]);
}

/** compound_section_tail_page: the page of the vmemmap before the range, where all of the range is tails of a compound that began before. */
const previousOf = (config: VmemmapConfig, range: Range): number | null =>
  isInsideCompound(config, range) ? Math.floor((range.start * config.structPage - config.page) / config.page) : null;

/**
 * vmemmap_populate_compound_pages, the generic one (mm/sparse-vmemmap.c, 6.12): per compound one frame for the head's page of the
 * vmemmap and one for the first page of tails, which the other pages of tails share. It writes ptes of init_mm whatever the architecture,
 * and takes no altmap. Called with pfns and the first pfn of the pagemap's range; returns whether there was memory. With less than two
 * pages of the vmemmap per compound "the first page of tails" is one of the next compound, or beyond the range. Domain table: 1.g, 1.h;
 * rows E0, E1, E4 to E8, E11, E15.
 */
export const vmemmapPopulateCompoundPages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isInsideCompound: ({ context }) => context.previous !== null,
    hasNoPagemap: ({ event }) => received(event, 'call').pgmap === false,
    /** Row E15: nobody looks whether the entry is there, only whether there is a table. */
    takesZeroEntry: ({ context }) => context.firstFrame !== null,
    morePages: ({ context }) => context.left.length > 0,
    isMapped: ({ event }) => received(event, 'vmemmap.pte').frame !== null,
    isOwn: ({ context }) => context.left[0]?.reuse === false,
    gotPage: ({ event }) => received(event, 'page').pfn !== null,
    /** Safeguard (row E8): each pte holds a reference of its frame, for each will be put. */
    takesReference: () => true,
    /** Row E4: as hugetlb does since 7.3, what shares a frame is mapped read-only. */
    mapsTailsReadOnly: () => false,
    /** Safeguard (row E11): since 6659d0279980 (2025) the generic code sees to the other mms too. */
    syncsTopLevel: () => true,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, ...range } = received(event, 'call');
      return { caller: from, left: populatesOf(context.config, range), previous: previousOf(context.config, range) };
    }),
    readPrevious: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.read_pte', vpage: context.previous }),
    ),
    readPte: tell(
      ({ context }) => context.vmemmap,
      // vmemmap_pud_populate and the others make tables of zeros on the way.
      ({ context }) => ({ type: 'vmemmap.read_pte', vpage: context.left[0]?.vpage, makesTables: true }),
    ),
    noteFirstFrame: assign({ tail: ({ context }) => context.firstFrame }),
    noteTail: assign({ tail: ({ event }) => received(event, 'vmemmap.pte').frame }),
    noteMapped: assign({ tail: ({ context, event }) => (context.left[0]?.reuse ? context.tail : received(event, 'vmemmap.pte').frame) }),
    askAllocator: tell(({ context }) => context.allocator, { type: 'alloc_page' }),
    prepPage: tell(({ event }) => pageAt(received(event, 'page').pfn as number), { type: 'folio.prep_new' }),
    notePage: assign({ frame: ({ event }) => pageAt(received(event, 'page').pfn as number) }),
    getPage: tell(({ context }) => context.tail as Address, { type: 'folio.ref_inc' }),
    setFresh: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.set_pte', vpage: context.left[0]?.vpage, frame: context.frame, fresh: true }),
    ),
    setReused: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.set_pte', vpage: context.left[0]?.vpage, frame: context.tail }),
    ),
    setReadOnly: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.set_pte', vpage: context.left[0]?.vpage, frame: context.tail, write: false }),
    ),
    noteSet: assign({ tail: ({ context }) => context.frame, frame: null }),
    nextPage: assign({ left: ({ context }) => context.left.slice(1) }),
    sync: tell(({ context }) => context.vmemmap, { type: 'vmemmap.sync_pgds' }),
    returnDone: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnFailed: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'vmemmap_populate_compound_pages',
  context: ({ input }) => ({ firstFrame: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'hasNoPagemap', target: 'null_pointer_dereference' },
          { target: 'reuse_compound_section', actions: 'remember' },
        ],
      },
    },
    reuse_compound_section: {
      description: 'Do all struct pages of the range belong to tails of a compound that began before it?',
      always: [{ guard: 'isInsideCompound', target: 'compound_section_tail_page' }, { target: 'next_page' }],
    },
    compound_section_tail_page: {
      description: 'Row E15: the page before the range is taken for one of tails of the same compound: sections must be added in order',
      on: {
        step: { actions: 'readPrevious' },
        'vmemmap.pte': [
          { guard: 'isMapped', target: 'next_page', actions: 'noteTail' },
          { guard: 'takesZeroEntry', target: 'next_page', actions: 'noteFirstFrame' },
          { target: 'idle', actions: ['returnFailed', 'forget'] },
        ],
      },
    },
    next_page: {
      description: 'Per compound: the head, then the first page of tails, then the others, which share its frame',
      always: [
        { guard: 'morePages', target: 'vmemmap_pte_populate' },
        { guard: 'syncsTopLevel', target: 'arch_sync_kernel_mappings' },
        { target: 'idle', actions: ['returnDone', 'forget'] },
      ],
    },
    vmemmap_pte_populate: {
      description: 'Is there a pte already? Then it stays as it is',
      on: {
        step: { actions: 'readPte' },
        'vmemmap.pte': [
          { guard: 'isMapped', target: 'next_page', actions: ['noteMapped', 'nextPage'] },
          { guard: 'isOwn', target: 'vmemmap_alloc_block' },
          { target: 'reuse_page' },
        ],
      },
    },
    vmemmap_alloc_block: {
      description: 'A frame of RAM; no memory: what was mapped stays',
      on: {
        step: { actions: 'askAllocator' },
        page: [
          { guard: 'gotPage', target: 'set_pte_at', actions: ['prepPage', 'notePage'] },
          { target: 'idle', actions: ['returnFailed', 'forget'] },
        ],
      },
    },
    reuse_page: { description: 'Row E8: does the pte hold a reference?', always: [{ guard: 'takesReference', target: 'get_page' }, { target: 'set_pte_at' }] },
    get_page: { description: 'A reference of the frame for one more pte', on: { step: { target: 'set_pte_at', actions: 'getPage' } } },
    set_pte_at: {
      description: 'Maps the frame in the tables of init_mm',
      on: {
        step: [
          { guard: 'isOwn', target: 'next_page', actions: ['setFresh', 'noteSet', 'nextPage'] },
          { guard: 'mapsTailsReadOnly', target: 'next_page', actions: ['setReadOnly', 'nextPage'] },
          { target: 'next_page', actions: ['setReused', 'nextPage'] },
        ],
      },
    },
    arch_sync_kernel_mappings: {
      description: 'Copies new top-level entries of init_mm to every mm',
      on: { step: { target: 'idle', actions: ['sync', 'returnDone', 'forget'] } },
    },
    null_pointer_dereference: { tags: ['BUG', 'NULL'], description: 'BUG: pgmap_vmemmap_nr(NULL): memory of the system has no pagemap' },
  },
});
