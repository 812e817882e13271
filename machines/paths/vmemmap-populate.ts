import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  vmemmap: Address;
  allocator: Address;
  /** Memory of the device that its struct pages are kept in; null: they are kept in RAM. */
  altmap: Address | null;
  /** The MMU looks the vmemmap up in bolted hash entries, not in the tables of init_mm (powerpc without radix). */
  hash: boolean;
}

interface Context extends Input {
  caller: Address;
  /** Pages of the vmemmap that are still to be looked at. */
  vpages: number[];
  /** What was allocated for the first of them. */
  frame: Address | null;
}

type Event =
  | { type: 'step' }
  | Call<{ vpages: number[] }>
  | Signed<{ type: 'vmemmap.pte'; frame: Address | null } | { type: 'altmap.frame'; frame: Address | null } | { type: 'page'; pfn: number | null }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpages: [] as number[], frame: null };

/**
 * vmemmap_populate, the architecture's function (arch/x86/mm/init_64.c, arch/powerpc/mm/init_64.c, 6.12): gives each page of the vmemmap
 * that has no frame one of its own, where this architecture's MMU finds it. Called with pages of the vmemmap; returns whether there was
 * memory; what was mapped before it ran out stays. With an altmap that is used up there is no other memory, as on x86. Domain table:
 * 1.h; rows E1, E11.
 */
export const vmemmapPopulate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    morePages: ({ context }) => context.vpages.length > 0,
    isMapped: ({ event }) => received(event, 'vmemmap.pte').frame !== null,
    hasAltmap: ({ context }) => context.altmap !== null,
    gotFrame: ({ event }) => received(event, 'altmap.frame').frame !== null,
    gotPage: ({ event }) => received(event, 'page').pfn !== null,
    isHash: ({ context }) => context.hash,
    /** Safeguard (row E11): every mm gets the top-level entries of init_mm. Hash entries are no mm's. */
    syncsTopLevel: ({ context }) => !context.hash,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpages } = received(event, 'call');
      return { caller: from, vpages };
    }),
    readPte: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.read_pte', vpage: context.vpages[0] }),
    ),
    askAltmap: tell(({ context }) => context.altmap as Address, { type: 'altmap.alloc' }),
    askAllocator: tell(({ context }) => context.allocator, { type: 'alloc_page' }),
    prepPage: tell(({ event }) => pageAt(received(event, 'page').pfn as number), { type: 'folio.prep_new' }),
    notePage: assign({ frame: ({ event }) => pageAt(received(event, 'page').pfn as number) }),
    noteFrame: assign({ frame: ({ event }) => received(event, 'altmap.frame').frame }),
    setPte: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.set_pte', vpage: context.vpages[0], frame: context.frame, fresh: true }),
    ),
    bolt: tell(
      ({ context }) => context.vmemmap,
      ({ context }) => ({ type: 'vmemmap.bolt', vpage: context.vpages[0], frame: context.frame, fresh: true }),
    ),
    nextPage: assign({ vpages: ({ context }) => context.vpages.slice(1), frame: null }),
    sync: tell(({ context }) => context.vmemmap, { type: 'vmemmap.sync_pgds' }),
    returnDone: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnFailed: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'vmemmap_populate',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'next_page', actions: 'remember' } } },
    next_page: {
      description: 'vmemmap_populate_range: page by page',
      always: [
        { guard: 'morePages', target: 'vmemmap_pte_populate' },
        { guard: 'syncsTopLevel', target: 'sync_global_pgds' },
        { target: 'idle', actions: ['returnDone', 'forget'] },
      ],
    },
    vmemmap_pte_populate: {
      description: 'Is the page mapped already? (vmemmap_populated on powerpc)',
      on: {
        step: { actions: 'readPte' },
        'vmemmap.pte': [{ guard: 'isMapped', target: 'next_page', actions: 'nextPage' }, { target: 'vmemmap_alloc_block_buf' }],
      },
    },
    vmemmap_alloc_block_buf: {
      description: 'A frame for struct pages: from the altmap if there is one, else of RAM. No memory: what was mapped stays',
      on: {
        step: [{ guard: 'hasAltmap', actions: 'askAltmap' }, { actions: 'askAllocator' }],
        'altmap.frame': [
          { guard: 'gotFrame', target: 'vmemmap_set_entry', actions: 'noteFrame' },
          { target: 'idle', actions: ['returnFailed', 'forget'] },
        ],
        page: [
          { guard: 'gotPage', target: 'vmemmap_set_entry', actions: ['prepPage', 'notePage'] },
          { target: 'idle', actions: ['returnFailed', 'forget'] },
        ],
      },
    },
    vmemmap_set_entry: {
      description: 'Where does the MMU look?',
      always: [{ guard: 'isHash', target: 'hash__vmemmap_create_mapping' }, { target: 'set_pte_at' }],
    },
    set_pte_at: { description: 'Maps the frame in the tables of init_mm', on: { step: { target: 'next_page', actions: ['setPte', 'nextPage'] } } },
    hash__vmemmap_create_mapping: {
      description: 'Maps the frame by a bolted hash entry; the tables of init_mm say nothing of it',
      on: { step: { target: 'next_page', actions: ['bolt', 'nextPage'] } },
    },
    sync_global_pgds: {
      description: 'Copies new top-level entries of init_mm to every mm (x86)',
      on: { step: { target: 'idle', actions: ['sync', 'returnDone', 'forget'] } },
    },
  },
});
