import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';
import type { SectionRange } from './memremap-pages.js';

interface Input {
  hotplugLock: Address;
  addSection: Address;
}

interface Context extends Input {
  caller: Address;
  /** What it adds; null between calls. */
  range: SectionRange | null;
  /** Pages whose struct pages are still to be written. */
  left: number[];
  ok: boolean;
}

type Event = { type: 'step' } | Call<SectionRange> | Return<{ ok?: boolean }> | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();

const idle = { caller: '', range: null as SectionRange | null, left: [] as number[], ok: false };
const rangeOf = ({ range }: Context): SectionRange => range as SectionRange;
const pfnsOf = ({ start, nr }: SectionRange): number[] => Array.from({ length: nr }, (_, index) => start + index);

/**
 * add_memory_resource and online_pages (mm/memory_hotplug.c, 6.12), as one: memory of the system, which has no pagemap, is added and
 * becomes usable. It is online, which is what walkers ask for, only when its struct pages are written (row E12). Returns `{ ok }`.
 */
export const addMemory = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    ok: ({ event }) => received(event, 'return').ok === true,
    /** Safeguard (row E12): whoever sees that a section is online may read its struct pages. */
    initialisesBeforeOnline: () => true,
    moreToInit: ({ context }) => context.left.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { type: _, from, ...range } = received(event, 'call');
      return { caller: from, range, left: pfnsOf(range) };
    }),
    lock: tell(({ context }) => context.hotplugLock, { type: 'down_write' }),
    unlock: tell(({ context }) => context.hotplugLock, { type: 'up_write' }),
    callAdd: tell(
      ({ context }) => context.addSection,
      ({ context }) => ({ type: 'call', ...rangeOf(context), first: rangeOf(context).start, pgmap: false, altmap: false }),
    ),
    noteAdded: assign({ ok: true }),
    init: tell(({ context }) => pageAt(context.left[0] as number), { type: 'page.init', refcount: 1 }),
    nextPage: assign({ left: ({ context }) => context.left.slice(1) }),
    setOnline: tell(({ context }) => rangeOf(context).section, { type: 'section.set_online' }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'add_memory_resource',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mem_hotplug_begin', actions: 'remember' } } },
    mem_hotplug_begin: { description: 'Takes mem_hotplug_lock', on: { step: { target: 'wait_for_mem_hotplug_lock', actions: 'lock' } } },
    wait_for_mem_hotplug_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'sparse_add_section' } } },
    sparse_add_section: {
      description: 'arch_add_memory: populates the vmemmap, and says that the section is present',
      entry: 'callAdd',
      on: {
        return: [{ guard: 'ok', target: 'memory_added', actions: 'noteAdded' }, { target: 'mem_hotplug_done' }],
      },
    },
    memory_added: {
      description: 'Lets mem_hotplug_lock go between the two: the section is present, its struct pages are not written yet',
      on: { step: { target: 'memory_block_online', actions: 'unlock' } },
    },
    memory_block_online: { description: 'Takes it again', on: { step: { target: 'wait_to_online', actions: 'lock' } } },
    wait_to_online: { description: 'Sleeps while others hold it', on: { locked: { target: 'move_pfn_range_to_zone' } } },
    move_pfn_range_to_zone: {
      description: 'online_pages: the struct pages are written, and then the section is online',
      always: [{ guard: 'initialisesBeforeOnline', target: 'memmap_init_range' }, { target: 'online_mem_sections' }],
    },
    memmap_init_range: {
      description: 'Page by page',
      always: [
        { guard: 'moreToInit', target: '__init_single_page' },
        { guard: 'initialisesBeforeOnline', target: 'online_mem_sections' },
        { target: 'mem_hotplug_done' },
      ],
    },
    __init_single_page: {
      description: 'Writes a struct page',
      on: { step: { target: 'memmap_init_range', actions: ['init', 'nextPage'] } },
    },
    online_mem_sections: {
      description: 'SECTION_IS_ONLINE: from here pfn_to_online_page finds its pages',
      on: {
        step: [
          { guard: 'initialisesBeforeOnline', target: 'mem_hotplug_done', actions: 'setOnline' },
          { target: 'memmap_init_range', actions: 'setOnline' },
        ],
      },
    },
    mem_hotplug_done: { description: 'Lets mem_hotplug_lock go', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
