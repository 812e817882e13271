import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  mapping: Address;
  invalidateLock: Address;
  zap: Address;
  /** Since 6.15: who unmaps a folio of several pages for good takes it apart. Default: there is none. */
  resetsOrder?: boolean;
}

interface Context extends Required<Input> {
  caller: Address;
  /** The offset that goes, the page behind it (of several the head), and where it is mapped. */
  index: number;
  pfn: number;
  vpns: number[];
}

type Event =
  | { type: 'step' }
  | Call<{ index: number; pfn: number; vpns: number[] }>
  | Return
  | Signed<{ type: 'locked' } | { type: 'mapping.state'; state: 'mapped' | 'unmapped' } | { type: 'page.counts'; idle: boolean } | { type: 'page.idle' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', index: -1, pfn: -1, vpns: [] as number[] };

/**
 * Truncation of a dax file (dax_break_layout; fs/dax.c, 5.10 to 7.3): unmap, look whether a page is busy, wait until it
 * is idle and start over; then the folio is taken apart, if it has several pages, and the block is given back to the filesystem.
 * Rows A3, A4, A10, D11; invariant I12.
 */
export const truncate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard: busy pages are looked for even if no VMA maps the file; a pin outlives its mapping. */
    scansUnmapped: () => true,
    mapped: ({ event }) => received(event, 'mapping.state').state === 'mapped',
    /** Safeguard (row D11): who has pinned the folio gives it back as one. */
    waitsForIdle: () => true,
    resetsOrder: ({ context }) => context.resetsOrder,
    isIdle: ({ event }) => received(event, 'page.counts').idle,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, index, pfn, vpns } = received(event, 'call');
      return { caller: from, index, pfn, vpns };
    }),
    lock: tell(({ context }) => context.invalidateLock, { type: 'down_write' }),
    unlock: tell(({ context }) => context.invalidateLock, { type: 'up_write' }),
    askMapped: tell(({ context }) => context.mapping, { type: 'mapping.mapped' }),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    waitIdle: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_idle' }),
    resetOrder: tell(({ context }) => pageAt(context.pfn), { type: 'folio.split', refcount: 0 }),
    freeBlock: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'block.free', index: context.index }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'truncate',
  context: ({ input }) => ({ resetsOrder: false, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'filemap_invalidate_lock', actions: 'remember' } } },
    filemap_invalidate_lock: { description: 'Keeps faults away', on: { step: { target: 'wait_for_invalidate_lock', actions: 'lock' } } },
    wait_for_invalidate_lock: {
      description: 'Sleeps while a fault is under way',
      on: { locked: [{ guard: 'scansUnmapped', target: 'unmap_mapping_pages' }, { target: 'mapping_mapped' }] },
    },
    mapping_mapped: {
      description: 'Row A10, the shortcut: not mapped, so nothing to look for',
      on: { step: { actions: 'askMapped' }, 'mapping.state': [{ guard: 'mapped', target: 'unmap_mapping_pages' }, { target: 'dax_delete_mapping_entry' }] },
    },
    unmap_mapping_pages: {
      description: 'Clears the ptes and flushes',
      entry: 'callZap',
      on: { return: [{ guard: 'waitsForIdle', target: 'dax_busy_page' }, { target: 'dax_delete_mapping_entry' }] },
    },
    dax_busy_page: {
      description: 'Looks at the reference count: more than an idle page has means a pin',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'isIdle', target: 'dax_delete_mapping_entry' }, { target: 'filemap_invalidate_unlock' }],
      },
    },
    filemap_invalidate_unlock: { description: 'Lets faults in while it waits', on: { step: { target: 'wait_var_event', actions: 'unlock' } } },
    wait_var_event: { description: 'Asks to be woken when the page is idle', on: { step: { target: 'sleeping', actions: 'waitIdle' } } },
    sleeping: { description: 'Asleep until the page is idle; then everything from the start', on: { 'page.idle': { target: 'filemap_invalidate_lock' } } },
    dax_delete_mapping_entry: {
      description: 'The file no longer has the folio',
      always: [{ guard: 'resetsOrder', target: 'dax_folio_reset_order' }, { target: 'free_block' }],
    },
    dax_folio_reset_order: {
      description: 'dax_folio_put, since 6.15: each of its pages is a folio of its own, with no reference',
      on: { step: { target: 'free_block', actions: 'resetOrder' } },
    },
    free_block: {
      description: 'The filesystem may give the block to another file',
      on: { step: { target: 'filemap_invalidate_unlock_end', actions: 'freeBlock' } },
    },
    filemap_invalidate_unlock_end: { description: 'Lets faults in and returns', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
