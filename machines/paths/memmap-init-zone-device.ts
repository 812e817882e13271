import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { pageAt } from '../memory/address-space.js';
import { sectionAt } from '../memory/mem-section.js';
import { type VmemmapConfig, vmemmapCanOptimize } from '../memory/vmemmap.js';

interface Input {
  config: VmemmapConfig;
  /** Pfns of a section. */
  sectionSize: number;
  /** What a tail holds: the address of its head, or since 7.3 a mask from which it follows. */
  heads: 'pointer' | 'mask';
  /** Reference count of an idle page of a device: 0 since 6.15, before that 1 unless the memory is private. */
  idle: number;
}

interface Context extends Input {
  caller: Address;
  /** The head in hand, or the page where there are no compounds; and where the range ends. */
  pfn: number;
  end: number;
  /** Struct pages of a compound to write, the head's included. */
  write: number;
  /** The tail in hand: struct pages after the head. */
  tail: number;
}

type Event = { type: 'step' } | Call<{ start: number; nr: number }> | Signed<{ type: 'section'; early: boolean }>;

const { tell } = speaker<Context, Event>();

/** VMEMMAP_RESERVE_NR: pages of the vmemmap of a compound that are its own. */
const RESERVED = 2;
const idle = { caller: '', pfn: 0, end: 0, write: 0, tail: 0 };
const tailOf = ({ pfn, tail }: Context): Address => pageAt(pfn + tail);
/** mm_zero_struct_page begins with the last word. */
const init = ({ config }: Context, refcount: number) => ({ type: 'page.init', refcount, offset: config.structPage - 1 });

/**
 * memmap_init_zone_device (mm/mm_init.c, 6.12): writes the struct pages of a device, compound by compound: the head, and all tails, or
 * where tails share frames only what two pages of the vmemmap hold (compound_nr_pages). That is no number of pages of the compound:
 * where the compound has fewer, it runs past its end (row E5). Rows D8, E1, E3, E4.
 */
export const memmapInitZoneDevice = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as { config: VmemmapConfig; sectionSize: number; heads?: Input['heads']; idle?: number },
  },
  guards: {
    isDone: ({ context }) => context.pfn >= context.end,
    isCompound: ({ context }) => context.config.nr > 1,
    /** Most tails share their frames, and need not be written: not where the memmap is of boot time (compound_nr_pages; section_activate). */
    optimizes: ({ context, event }) => vmemmapCanOptimize(context.config) && !received(event, 'section').early,
    isFirstTail: ({ context }) => context.tail === 1,
    moreTails: ({ context }) => context.tail < context.write,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, start, nr } = received(event, 'call');
      return { caller: from, pfn: start, end: start + nr };
    }),
    initHead: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => init(context, context.idle),
    ),
    readSection: tell(({ context }) => sectionAt(Math.floor(context.pfn / context.sectionSize)), { type: 'section.read' }),
    writeReserved: assign({ write: ({ context: { config } }) => RESERVED * Math.floor(config.page / config.structPage), tail: 1 }),
    writeAll: assign({ write: ({ context }) => context.config.nr, tail: 1 }),
    prepTail: enqueueActions(({ enqueue, context }) => {
      enqueue(tell(tailOf(context), init(context, 0)));
      const head = context.heads === 'mask' ? { mask: context.config.nr } : { head: context.pfn };
      enqueue(tell(tailOf(context), { type: 'page.prep_tail', ...head }));
    }),
    nextTail: assign({ tail: ({ context }) => context.tail + 1 }),
    prepHead: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'page.prep_head', nr: context.config.nr }),
    ),
    nextHead: assign({ pfn: ({ context }) => context.pfn + context.config.nr, write: 0, tail: 0 }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'memmap_init_zone_device',
  context: ({ input }) => ({ heads: 'pointer', idle: 0, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'next_compound', actions: 'remember' } } },
    next_compound: {
      description: 'Head by head; page by page where there are no compounds',
      always: [{ guard: 'isDone', target: 'idle', actions: ['return', 'forget'] }, { target: '__init_single_page' }],
    },
    __init_single_page: {
      description: 'The first touch of a struct page of the compound: it is zeroed from its last word on (row E1)',
      on: {
        step: [
          { guard: 'isCompound', target: 'compound_nr_pages', actions: 'initHead' },
          { target: 'next_compound', actions: ['initHead', 'nextHead'] },
        ],
      },
    },
    compound_nr_pages: {
      description: 'Guesses from the same facts as the populating did how many struct pages there are to write (row E3)',
      on: {
        step: { actions: 'readSection' },
        section: [
          { guard: 'optimizes', target: 'memmap_init_compound', actions: 'writeReserved' },
          { target: 'memmap_init_compound', actions: 'writeAll' },
        ],
      },
    },
    memmap_init_compound: {
      description: 'Tail by tail, be it of this compound or past its end (row E5)',
      always: [
        { guard: 'moreTails', target: 'prep_compound_tail' },
        { target: 'next_compound', actions: 'nextHead' },
      ],
    },
    prep_compound_tail: {
      description: '__init_single_page, prep_compound_tail: from here the struct page says whose tail it is',
      on: {
        step: [
          { guard: 'isFirstTail', target: 'prep_compound_head', actions: ['prepTail', 'nextTail'] },
          { target: 'memmap_init_compound', actions: ['prepTail', 'nextTail'] },
        ],
      },
    },
    prep_compound_head: {
      description: 'The order of the compound: after the first tail, which holds it and would be zeroed otherwise',
      on: { step: { target: 'memmap_init_compound', actions: 'prepHead' } },
    },
  },
});
