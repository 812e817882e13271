import { enqueueActions, setup } from 'xstate';
import type { Address, Signed } from '../../src/system/message.js';
import { speaker } from '../../src/system/message.js';

/** How a thread reaches the pagemap of a page: its entry in pgmap_array, and the thread's own paths to get and put a reference. */
export interface PagemapUse {
  pgmap: Address;
  tryget: Address;
  put: Address;
}

interface Context {
  /** The pages that it describes. */
  pages: Address[];
  /** Whether it was in the xarray at first (default); false: a probe inserts it. */
  registered?: boolean;
}

type Event = Signed<{ type: 'xa_load' } | { type: 'xa_store' } | { type: 'xa_erase' } | { type: 'remove_pages' }>;

const { tell, reply } = speaker<Context, Event>();

/**
 * A dev_pagemap and its entry in pgmap_array (mm/memremap.c): found by pfn from when it is stored until it is erased. Its
 * percpu_ref is an actor of its own. Domain table: 1.g (build order), G7c, U6, U7. It stands for any object that is found in an xarray
 * under RCU (row C7).
 */
export const devPagemap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Context },
  guards: { isUnregistered: ({ context }) => context.registered === false },
  actions: {
    replyFound: reply({ type: 'xa', result: 'found' }),
    replyNone: reply({ type: 'xa', result: 'none' }),
    removePages: enqueueActions(({ enqueue, context }) => {
      for (const page of context.pages) enqueue(tell(page, { type: 'page.remove' }));
    }),
  },
}).createMachine({
  id: 'dev_pagemap',
  context: ({ input }) => input,
  initial: 'initialised',
  on: { remove_pages: { actions: 'removePages', description: 'remove_pfn_range_from_zone, arch_remove_memory: struct pages and memory go' } },
  states: {
    initialised: {
      description: 'A story begins before the probe, or after',
      always: [{ guard: 'isUnregistered', target: 'erased' }, { target: 'registered' }],
    },
    registered: {
      description: 'In the xarray: a pfn finds it',
      on: { xa_load: { actions: 'replyFound' }, xa_store: { description: 'Itself again' }, xa_erase: 'erased' },
    },
    erased: {
      description: 'Not yet found, or no longer; a lookup that began earlier may still use it until RCU is over',
      on: { xa_load: { actions: 'replyNone' }, xa_store: { target: 'registered', description: 'pagemap_range: xa_store_range of pgmap_array' } },
    },
  },
});
