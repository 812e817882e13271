import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** Batches of page-table pages handed over, the first of them first; each waits for its own grace period. */
  batches: Address[][];
  /** Pages of the batch whose grace period is over. */
  tables: Address[];
}

type Event = { type: 'step' } | Signed<{ type: 'tables'; tables: Address[] }> | Signed<{ type: 'rcu.callback' }>;

const { tell } = speaker<Context, Event>();

/** tlb_remove_table_rcu (mm/mmu_gather.c, 6.12): the RCU callback that frees batches of page-table pages. Domain table: Z13. */
export const tlbRemoveTableRcu = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: { moreTables: ({ context }) => context.tables.length > 0 },
  actions: {
    queue: assign({ batches: ({ context, event }) => [...context.batches, received(event, 'tables').tables] }),
    takeBatch: assign(({ context }) => ({ tables: [...context.tables, ...(context.batches[0] ?? [])], batches: context.batches.slice(1) })),
    free: tell(({ context }) => context.tables[0] as Address, { type: 'table.free' }),
    next: assign({ tables: ({ context }) => context.tables.slice(1) }),
  },
}).createMachine({
  id: 'tlb_remove_table_rcu',
  context: { batches: [], tables: [] },
  initial: 'waiting',
  on: { tables: { actions: 'queue' } },
  states: {
    waiting: { tags: ['rest'], description: 'Not called', on: { 'rcu.callback': { target: 'next_table', actions: 'takeBatch' } } },
    next_table: { description: 'Is there a page left?', always: [{ guard: 'moreTables', target: 'tlb_remove_table_free' }, { target: 'waiting' }] },
    tlb_remove_table_free: {
      description: 'Z13: frees the pages of the batch, one by one',
      on: { step: { target: 'next_table', actions: ['free', 'next'] }, 'rcu.callback': { actions: 'takeBatch' } },
    },
  },
});
