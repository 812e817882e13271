import { setup } from 'xstate';
import type { Signed } from '../../src/system/message.js';

type Event = Signed<{ type: 'table.read' } | { type: 'table.free' }>;

/**
 * The life of a page-table page (struct ptdesc). Its ptes are the address space's; walkers that hold no lock, the
 * hardware's and gup-fast's, touch it here, and must not once it is free. Domain table: Z10, Z13; invariant I4.
 */
export const pageTable = setup({ types: { events: {} as Event } }).createMachine({
  id: 'page_table',
  initial: 'in_use',
  states: {
    in_use: {
      description: 'Linked, or unlinked and not yet free: an unlinked one is empty',
      on: { 'table.read': { description: 'A walker reads a pte' }, 'table.free': { target: 'freed' } },
    },
    freed: {
      description: 'Back in the page allocator: it may hold anything',
      on: { 'table.read': { target: 'read_after_free' }, 'table.free': { target: 'freed_twice' } },
    },
    read_after_free: { tags: ['BUG', 'I4'], description: 'BUG: a walker reads ptes from a page-table page that was freed' },
    freed_twice: { tags: ['BUG', 'UAF'], description: 'BUG: page-table page freed twice' },
  },
});
