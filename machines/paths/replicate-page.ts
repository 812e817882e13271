import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';
import { recordAt } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

/** The page table of a process for one NUMA node, with its lock; the first one, of node 0, maps the page itself, others may map a copy. */
export type NodeTable = Omit<RmapItem, 'vpn'>;

interface Input {
  /** Of the process: one for all its page tables. */
  mmapLock: Address;
  /** In the order of the nodes. */
  tables: NodeTable[];
  /** flush_tlb_mm_range of its task, by page table. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by page table; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
  folioLocks: Record<string, Address>;
  allocPages: Address;
  putPage: Address;
  /** write_protect_page. */
  writeProtect: Address;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  pfn: number;
  /** The copy. */
  replica: number;
  /** What write_protect_page has left in each table; null: the page is not mapped there. */
  ptes: (Pte | null)[];
  /** The table that is looked at. */
  node: number;
  placed: boolean;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; pfn: number }>
  | Return<{ pfns?: number[]; ok?: boolean; ptes?: (Pte | null)[] }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'memory.content'; value: string | null }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'page.counts'; exclusive?: boolean; protection?: 'stable' | 'record' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, replica: -1, ptes: [] as (Pte | null)[], node: 1, placed: false, ok: false };
const tableOf = ({ tables, node }: Context): NodeTable => tables[node] as NodeTable;
const notifierOf = (context: Context): Address | null => context.notifiers[tableOf(context).mm] ?? null;

/**
 * A copy of a private page on each other NUMA node, which is only read (a proposal: Glisse, 2018 and 2020; no kernel has it). The process
 * has a page table for each node; a copy needs the page write-protected in all of them, and takes its place in all but the first. The
 * page stays exclusive to the process. page->mapping of the page and of the copy is the record from before the first pte is protected:
 * a store that faults looks at it under the page-table lock, and comes to break_protection, which waits for the folio lock. One copy
 * serves all other nodes: there are two. Called with the page; returns `{ ok }`, not ok when it has given up. Domain table, part 2,
 * 1f, Uses; rows W11, W16.
 */
export const replicatePage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    isProtected: ({ event }) => received(event, 'page.counts').protection !== undefined,
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
    /** Safeguard (row W11): before it, a store may still come that the copy has not. */
    copiesAfterProtect: () => true,
    /** In the first table too: it is that mapping which keeps the page. */
    isProtectedNow: ({ event }) => {
      const { ok, ptes } = received(event, 'return');
      return ok === true && (ptes?.[0] ?? null) !== null;
    },
    noTables: ({ context }) => context.node >= context.tables.length,
    isPlaced: ({ context }) => context.placed,
    mapsNothing: ({ context }) => (context.ptes[context.node] ?? null) === null,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    isUnchanged: ({ context, event }) => JSON.stringify(received(event, 'pte').pte) === JSON.stringify(context.ptes[context.node]),
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, pfn } = received(event, 'call');
      return { caller: from, vpn, pfn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    noteReplica: assign({ replica: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    trylockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'trylock' }),
    unlockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'unlock' }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    protect: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'folio.protect', record: recordAt(context.pfn), stable: false }),
    ),
    newRecord: tell(({ context }) => recordAt(context.pfn), { type: 'record.clear' }),
    protectReplica: tell(
      ({ context }) => pageAt(context.replica),
      ({ context }) => ({ type: 'folio.protect', record: recordAt(context.pfn), stable: false }),
    ),
    unprotect: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unprotect' }),
    unprotectReplica: tell(({ context }) => pageAt(context.replica), { type: 'folio.unprotect' }),
    callProtect: tell(
      ({ context }) => context.writeProtect,
      ({ context: { pfn, vpn, tables } }) => ({ type: 'call', pfn, items: tables.map(({ mm, ptl }) => ({ mm, vpn, ptl })), shares: false }),
    ),
    notePtes: assign({ ptes: ({ event }) => received(event, 'return').ptes ?? [] }),
    readBytes: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    copyInto: tell(
      ({ context }) => pageAt(context.replica),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    callStart: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    lockPtl: tell(({ context }) => tableOf(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => tableOf(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => tableOf(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    clearPte: tell(
      ({ context }) => tableOf(context).mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush[tableOf(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    getReplica: tell(({ context }) => pageAt(context.replica), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(context.replica), { type: 'folio.add_rmap' }),
    addCopy: tell(
      ({ context }) => recordAt(context.pfn),
      ({ context }) => ({ type: 'record.add_copy', copy: { mm: tableOf(context).mm, vpn: context.vpn, pfn: context.replica } }),
    ),
    setPte: tell(
      ({ context }) => tableOf(context).mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.replica, { write: false }) }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.remove_rmap' }),
    drop: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    notePlaced: assign({ placed: true }),
    nextTable: assign({ node: ({ context }) => context.node + 1 }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callPutReplica: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.replica, pinned: false }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'replicate_page',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'alloc_pages_node' } } },
    alloc_pages_node: {
      description: 'A page on the other node',
      entry: 'callAlloc',
      on: { return: [{ guard: 'gotPage', target: 'folio_try_get', actions: 'noteReplica' }, { target: 'mmap_read_unlock' }] },
    },
    folio_try_get: {
      description: 'A reference of the page; one that is free has none to add to',
      on: { step: { actions: 'tryGet' }, 'folio.got': { target: 'folio_trylock' }, 'folio.frozen': { target: 'put_replica' } },
    },
    folio_trylock: {
      description: 'If somebody has it locked, not now',
      on: {
        step: { actions: 'trylockFolio' },
        'trylock.result': [{ guard: 'gotLock', target: 'folio_test_protected' }, { target: 'put_page' }],
      },
    },
    folio_test_protected: {
      description: 'Protected already: nothing to do. A page that is shared with another process gets copies of its own when it is stored to',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isProtected', target: 'folio_unlock', actions: 'succeed' },
          { guard: 'isExclusive', target: 'set_page_record' },
          { target: 'folio_unlock' },
        ],
      },
    },
    set_page_record: {
      description: 'First of all: who stores from here on, and faults, knows by it that the protection has to be broken',
      on: {
        step: [
          { guard: 'copiesAfterProtect', target: 'write_protect_page', actions: ['newRecord', 'protect'] },
          { target: 'copy_early', actions: ['newRecord', 'protect'] },
        ],
      },
    },
    copy_early: {
      description: 'Row W11: copies what may still be stored to',
      on: { step: { actions: 'readBytes' }, 'memory.content': { target: 'write_protect_page', actions: ['copyInto', 'protectReplica'] } },
    },
    write_protect_page: {
      description: 'Read-only in all tables, for every TLB and device; not if somebody else refers to it',
      entry: 'callProtect',
      on: {
        return: [{ guard: 'isProtectedNow', target: 'write_protected', actions: 'notePtes' }, { target: 'folio_unprotect' }],
      },
    },
    write_protected: {
      description: 'It cannot change until the folio is unlocked',
      always: [{ guard: 'copiesAfterProtect', target: 'copy_user_highpage' }, { target: 'next_table' }],
    },
    copy_user_highpage: {
      description: 'Copies the bytes; the record stands in the copy, too',
      on: { step: { actions: 'readBytes' }, 'memory.content': { target: 'next_table', actions: ['copyInto', 'protectReplica'] } },
    },
    next_table: {
      description: 'Table by table of the other nodes; secondary MMUs first',
      always: [
        { guard: 'noTables', target: 'tables_done' },
        { guard: 'mapsNothing', target: 'next_table', actions: 'nextTable' },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'pte_offset_map_lock' },
      ],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the page', entry: 'callStart', on: { return: { target: 'pte_offset_map_lock' } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'Is it the pte that was protected? Else it stays',
      entry: 'readPte',
      on: { pte: [{ guard: 'isUnchanged', target: 'ptep_clear' }, { target: 'pte_unmap_unlock' }] },
    },
    ptep_clear: { description: 'Takes the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'set_pte_at' } } },
    set_pte_at: {
      description: 'Maps the copy, read-only, and drops the mapping of the page; the record knows of it',
      on: {
        step: {
          target: 'table_done',
          actions: ['getReplica', 'addRmap', 'addCopy', 'setPte', 'removeRmap', 'drop', 'notePlaced', 'unlockPtl'],
        },
      },
    },
    pte_unmap_unlock: { description: 'Somebody was faster: drops the lock', on: { step: { target: 'table_done', actions: 'unlockPtl' } } },
    table_done: {
      description: 'The next table',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'next_table', actions: 'nextTable' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'They may fault in the copy',
      entry: 'callEnd',
      on: { return: { target: 'next_table', actions: 'nextTable' } },
    },
    tables_done: {
      description: 'Is the copy mapped anywhere?',
      always: [{ guard: 'isPlaced', target: 'folio_unlock', actions: 'succeed' }, { target: 'folio_unprotect' }],
    },
    folio_unprotect: {
      description: 'Nobody depends on it: a store may make the pte writable again, without more ado',
      on: { step: { target: 'folio_unlock', actions: ['unprotect', 'unprotectReplica'] } },
    },
    folio_unlock: { description: 'Who waits to break the protection may do so', on: { step: { target: 'put_page', actions: 'unlockFolio' } } },
    put_page: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'put_replica' } } },
    put_replica: {
      description: "The allocation's reference: mappings have their own",
      entry: 'callPutReplica',
      on: { return: { target: 'mmap_read_unlock' } },
    },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
