import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  mapping: Address;
  folioLocks: Record<string, Address>;
  tryToUnmap: Address;
  archFlush: Address;
  putPage: Address;
  coherence: Address;
  /** Pays what was put off for the file; null: a kernel without LUF, or without this hook. */
  lufFlush: Address | null;
  debug: Address | null;
}

interface Context extends Input {
  caller: Address;
  index: number;
  cell: string;
  items: RmapItem[];
  pfn: number;
  cpus: Address[];
  /** What the server had when it granted the lock. */
  value: string | null;
}

type Event =
  | { type: 'step' }
  | Call<{ index: number; cell: string; items: RmapItem[] }>
  | Return<{ cpus?: Address[]; lazyCpus?: Address[] }>
  | Signed<
      { type: 'stored'; value: string | null } | { type: 'slot'; pfn: number | null } | { type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' }
    >
  | Signed<{ type: 'page.counts'; dirty?: boolean } | { type: 'memory.content'; value: string | null }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', index: -1, cell: '', items: [] as RmapItem[], pfn: -1, cpus: [] as Address[], value: null };
const page = ({ pfn }: Context): Address => pageAt(pfn);

/**
 * A network file system takes a file lock and finds that the file has changed at the server: nfs_revalidate_mapping
 * (fs/nfs/inode.c), invalidate_inode_pages2 (mm/truncate.c, 6.12). Pages that are in the cache are unmapped, flushed and
 * dropped; of pages that are not nothing is known. When it returns, no later read may show what was there before; that is for files that this
 * host does not write at the same time. Domain
 * table, part 2, 1c; row L9.
 */
export const revalidateMapping = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    isStillThere: ({ context, event }) => received(event, 'slot').pfn === context.pfn,
    owesFlush: ({ context }) => context.cpus.length > 0,
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    /** Safeguard (row L9): a page that is not in the cache may be in a TLB. */
    mustFlush: ({ context }) => context.lufFlush !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, index, cell, items } = received(event, 'call');
      return { caller: from, index, cell, items };
    }),
    readSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.index }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    readStored: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'stored.read', index: context.index }),
    ),
    noteStored: assign({ value: ({ event }) => received(event, 'stored').value }),
    tryGet: tell(({ context }) => page(context), { type: 'folio.try_get' }),
    lockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'lock' }),
    unlockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'unlock' }),
    callUnmap: tell(
      ({ context }) => context.tryToUnmap,
      ({ context }) => ({ type: 'call', pfn: context.pfn, mapping: context.mapping, index: context.index, leaves: 'none', items: context.items }),
    ),
    noteCpus: assign({
      cpus: ({ event }) => {
        const { cpus = [], lazyCpus = [] } = received(event, 'return');
        return [...new Set([...cpus, ...lazyCpus])].sort();
      },
    }),
    callFlush: tell(
      ({ context }) => context.archFlush,
      ({ context }) => ({ type: 'call', cpus: context.cpus }),
    ),
    readCounts: tell(({ context }) => page(context), { type: 'page.read' }),
    sample: tell(({ context }) => page(context), { type: 'memory.read', sample: true }),
    writeOut: tell(
      ({ context }) => context.mapping,
      ({ context, event }) => ({ type: 'stored.write', index: context.index, value: received(event, 'memory.content').value }),
    ),
    clean: tell(({ context }) => page(context), { type: 'folio.clean' }),
    deleteSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.delete', index: context.index }),
    ),
    dropCacheReference: tell(({ context }) => page(context), { type: 'folio.ref_dec' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callLufFlush: tell(({ context }) => context.lufFlush as Address, { type: 'call' }),
    observeContent: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.content', mapping: context.mapping, index: context.index }),
    ),
    complete: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.complete', cell: context.cell, value: context.value as string }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nfs_revalidate_mapping',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'nfs4_proc_lock', actions: 'remember' } } },
    nfs4_proc_lock: {
      description: 'The server grants the lock: what it has by now must be seen, since who wrote it has given the lock back',
      on: { step: { actions: 'readStored' }, stored: { target: 'find_lock_entries', actions: 'noteStored' } },
    },
    find_lock_entries: {
      description: 'invalidate_inode_pages2: is there a page in the cache?',
      on: { step: { actions: 'readSlot' }, slot: [{ guard: 'isInCache', target: 'folio_try_get', actions: 'noteSlot' }, { target: 'invalidated' }] },
    },
    folio_try_get: {
      description: 'A folio that is being taken away: looks again',
      entry: 'tryGet',
      on: { 'folio.got': { target: 'folio_lock' }, 'folio.frozen': { target: 'find_lock_entries' } },
    },
    folio_lock: { description: 'Locks it', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'check_mapping' } } },
    check_mapping: {
      description: 'Is it this mapping still?',
      entry: 'readSlot',
      on: { slot: [{ guard: 'isStillThere', target: 'unmap_mapping_folio' }, { target: 'unlock_gone' }] },
    },
    unmap_mapping_folio: {
      description: 'Unmaps it wherever it is mapped',
      entry: 'callUnmap',
      on: { return: { target: 'unmapped', actions: 'noteCpus' } },
    },
    unmapped: { description: 'What the ptes owe', always: [{ guard: 'owesFlush', target: 'flush_tlb' }, { target: 'folio_test_dirty' }] },
    flush_tlb: { description: 'IPIs', entry: 'callFlush', on: { return: { target: 'folio_test_dirty' } } },
    folio_test_dirty: {
      description: 'What was written here and not yet there is written out first',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isDirty', target: 'nfs_wb_folio' }, { target: 'invalidate_complete_folio2' }] },
    },
    nfs_wb_folio: {
      description: 'The server gets it',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'invalidate_complete_folio2', actions: ['writeOut', 'clean'] } },
    },
    invalidate_complete_folio2: {
      description: 'Out of the cache, whoever else refers to it',
      on: { step: { target: 'unlock_gone', actions: ['deleteSlot', 'dropCacheReference'] } },
    },
    unlock_gone: { description: 'Unlocks it', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: { description: 'Gives the reference back, which may free it', entry: 'callPut', on: { return: { target: 'invalidated' } } },
    invalidated: {
      description: 'LUF: a page that is not in the cache may be in a TLB',
      always: [{ guard: 'mustFlush', target: 'luf_flush' }, { target: 'nfs_lock_return' }],
    },
    luf_flush: { description: 'Pays what is owed', entry: 'callLufFlush', on: { return: { target: 'nfs_lock_return' } } },
    nfs_lock_return: {
      description: 'The lock is held: from here on the file is as the server has it',
      on: { step: { target: 'idle', actions: ['observeContent', 'complete', 'return', 'forget'] } },
    },
  },
});
