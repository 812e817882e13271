import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  mm: Address;
  /** flush_tlb_mm_range. */
  flush: Address;
}

interface Context extends Input {
  caller: Address;
  pending: number;
  flushed: number;
}

type Event = { type: 'step' } | Call | Return | Signed<{ type: 'tlb_flush_batched'; pending: number; flushed: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', pending: 0, flushed: 0 };

/**
 * flush_tlb_batched_pending (mm/rmap.c, 6.12), called under the page-table lock by who takes rights away: if reclaim has
 * cleared ptes of this address space whose flush is still to come, all of it is flushed. Domain table, part 2, 1a.
 */
export const flushTlbBatchedPending = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (rows L10, L11): ptes that are gone already may be cached still. */
    isPending: ({ event }) => {
      const { pending, flushed } = received(event, 'tlb_flush_batched');
      return pending !== flushed;
    },
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from }),
    readBatched: tell(({ context }) => context.mm, { type: 'tlb_flush_batched.read' }),
    noteBatched: assign(({ event }) => {
      const { pending, flushed } = received(event, 'tlb_flush_batched');
      return { pending, flushed };
    }),
    callFlush: tell(({ context }) => context.flush, { type: 'call', vpns: 'all' }),
    exchange: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'tlb_flush_batched.cmpxchg', pending: context.pending, flushed: context.flushed }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'flush_tlb_batched_pending',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'atomic_read', actions: 'remember' } } },
    atomic_read: {
      description: 'Has a batch begun that is not known to be flushed? Batches begin under the same lock',
      entry: 'readBatched',
      on: {
        tlb_flush_batched: [
          { guard: 'isPending', target: 'flush_tlb_mm', actions: 'noteBatched' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    flush_tlb_mm: { description: 'Flushes the address space, under the page-table lock', entry: 'callFlush', on: { return: { target: 'atomic_cmpxchg' } } },
    atomic_cmpxchg: {
      description: 'Notes that these batches are flushed, unless another has begun',
      on: { step: { target: 'idle', actions: ['exchange', 'return', 'forget'] } },
    },
  },
});
