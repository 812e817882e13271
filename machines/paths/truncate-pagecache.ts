import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  mapping: Address;
  zap: Address;
  putPage: Address;
}

interface Context extends Input {
  caller: Address;
  index: number;
  pfn: number;
  vpns: number[];
}

type Event = { type: 'step' } | Call<{ index: number; pfn: number; vpns: number[] }> | Return | Signed<{ type: 'mapping.state'; state: 'mapped' | 'unmapped' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', index: -1, pfn: -1, vpns: [] as number[] };

/**
 * truncate_pagecache (mm/truncate.c, 6.12), and a driver that takes back a page that it had mapped with remap_pfn_range:
 * unmap wherever the file is mapped, then drop the file's own reference. Called with the page, and where it may be
 * mapped. Rows B15 and Z9.
 */
export const truncatePagecache = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: { mapped: ({ event }) => received(event, 'mapping.state').state === 'mapped' },
  actions: {
    remember: assign(({ event }) => {
      const { from, index, pfn, vpns } = received(event, 'call');
      return { caller: from, index, pfn, vpns };
    }),
    askMapped: tell(({ context }) => context.mapping, { type: 'mapping.mapped' }),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    delete: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'block.free', index: context.index }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'truncate_pagecache',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'unmap_mapping_range', actions: 'remember' } } },
    unmap_mapping_range: {
      description: 'Does any VMA map the file? (i_mmap)',
      on: { step: { actions: 'askMapped' }, 'mapping.state': [{ guard: 'mapped', target: 'zap_page_range_single' }, { target: 'delete_from_page_cache' }] },
    },
    zap_page_range_single: {
      description: 'Clears, flushes, drops the references of the mappings',
      entry: 'callZap',
      on: { return: { target: 'delete_from_page_cache' } },
    },
    delete_from_page_cache: { description: 'The file has no such page any more', on: { step: { target: 'folio_put', actions: 'delete' } } },
    folio_put: {
      description: "The file's own reference, which is the last one",
      entry: 'callPut',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
