import { assign, enqueueActions, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  pfn: number;
  refcount: number;
  pincount: number;
  mapcount: number;
  /** The reference count of an idle page: 1 up to 6.14, 0 since 6.15 for dax. */
  idle: number;
  /** Who sleeps until the page is idle (wait_var_event). */
  waiters: Address[];
}

type Event =
  | Signed<{ type: 'page.head' } | { type: 'page.read' } | { type: 'page.remove' }>
  | Signed<{ type: 'folio.try_get' } | { type: 'folio.get' } | { type: 'folio.put' }>
  | Signed<{ type: 'folio.pin' } | { type: 'folio.unpin' }>
  | Signed<{ type: 'folio.add_rmap' } | { type: 'folio.remove_rmap' }>
  | Signed<{ type: 'folio.wait_idle' }>
  | Signed<{ type: 'memory.access'; write: boolean }>;

const { tell, reply } = speaker<Context, Event>();

/** Nobody but mappings (where each holds a reference) refers to it. */
const isIdle = ({ refcount, mapcount, idle }: Context): boolean => refcount - mapcount === idle;

/**
 * A page of memory and its struct page (an order-0 folio): reference count, pin count, map count. After remove_pages the
 * struct page is absent, and so is the memory: any touch is a bug. FOLL_PIN's bias of 1024 references is counted apart,
 * as `pincount`. Domain table: G8, Z5, Z14, U4, U6; invariants I1, I2, I6.
 */
export const folio = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { pfn: number; refcount: number; mapcount?: number; idle: number } },
  guards: {
    frozen: ({ context }) => context.refcount === 0,
    unreferenced: ({ context }) => context.refcount <= 0,
    unpinned: ({ context }) => context.pincount <= 0,
    isIdle: ({ context }) => isIdle(context),
    becomesIdle: ({ context }) => isIdle({ ...context, refcount: context.refcount - 1 }) && context.waiters.length > 0,
  },
  actions: {
    replyHead: reply(({ context }) => ({ type: 'page.head', head: context.pfn })),
    replyCounts: reply(({ context }) => ({ type: 'page.counts', refcount: context.refcount, mapcount: context.mapcount, idle: isIdle(context) })),
    get: assign({ refcount: ({ context }) => context.refcount + 1 }),
    put: assign({ refcount: ({ context }) => context.refcount - 1 }),
    replyGot: reply(({ context }) => ({ type: 'folio.got', refcount: context.refcount })),
    replyFrozen: reply({ type: 'folio.frozen' }),
    replyPut: reply(({ context }) => ({ type: 'folio.put', refcount: context.refcount })),
    pin: assign({ pincount: ({ context }) => context.pincount + 1 }),
    unpin: assign({ pincount: ({ context }) => context.pincount - 1 }),
    addRmap: assign({ mapcount: ({ context }) => context.mapcount + 1 }),
    removeRmap: assign({ mapcount: ({ context }) => context.mapcount - 1 }),
    await: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    wakeAll: enqueueActions(({ enqueue, context }) => {
      for (const waiter of context.waiters) enqueue(tell(waiter, { type: 'page.idle' }));
      enqueue.assign({ waiters: [] });
    }),
    replyIdle: reply({ type: 'page.idle' }),
  },
}).createMachine({
  id: 'page',
  context: ({ input }) => ({ pincount: 0, mapcount: 0, waiters: [], ...input }),
  initial: 'present',
  states: {
    present: {
      description: 'The struct page is mapped and initialised, and the memory is there',
      on: {
        'page.head': { actions: 'replyHead', description: 'G8a: compound_head' },
        'page.read': { actions: 'replyCounts' },
        'folio.try_get': [{ guard: 'frozen', actions: 'replyFrozen' }, { actions: ['get', 'replyGot'] }],
        'folio.get': { actions: ['get', 'replyGot'] },
        'folio.put': [
          { guard: 'unreferenced', target: 'refcount_underflow' },
          { guard: 'becomesIdle', actions: ['put', 'wakeAll', 'replyPut'] },
          { actions: ['put', 'replyPut'] },
        ],
        'folio.pin': { actions: 'pin', description: 'G8d' },
        'folio.unpin': [{ guard: 'unpinned', target: 'refcount_underflow' }, { actions: 'unpin' }],
        'folio.add_rmap': { actions: 'addRmap' },
        'folio.remove_rmap': { actions: 'removeRmap', description: 'Z5' },
        'folio.wait_idle': [{ guard: 'isIdle', actions: 'replyIdle' }, { actions: 'await' }],
        'page.remove': { target: 'removed', description: 'U6: remove_pages takes struct page and memory away' },
        'memory.access': { description: 'A load, a store or DMA' },
      },
    },
    removed: {
      description: 'After remove_pages: neither struct page nor memory exist',
      on: {
        'page.head': { target: 'struct_page_accessed' },
        'page.read': { target: 'struct_page_accessed' },
        'folio.try_get': { target: 'struct_page_accessed' },
        'folio.get': { target: 'struct_page_accessed' },
        'folio.put': { target: 'struct_page_accessed' },
        'folio.pin': { target: 'struct_page_accessed' },
        'folio.unpin': { target: 'struct_page_accessed' },
        'folio.add_rmap': { target: 'struct_page_accessed' },
        'folio.remove_rmap': { target: 'struct_page_accessed' },
        'folio.wait_idle': { target: 'struct_page_accessed' },
        'memory.access': { target: 'memory_accessed' },
      },
    },
    struct_page_accessed: { tags: ['BUG', 'I1'], description: 'BUG: struct page accessed after remove_pages' },
    memory_accessed: { tags: ['BUG', 'I2'], description: 'BUG: device memory accessed after remove_pages' },
    refcount_underflow: { tags: ['BUG', 'I6'], description: 'BUG: page reference count goes below zero' },
  },
});
