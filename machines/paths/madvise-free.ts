import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type PresentPte, type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  flush: Address;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** flush_tlb_batched_pending; default: nobody defers flushes. */
  batchedPending?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  /** The pte that was there; null: none that is made clean. */
  pte: PresentPte | null;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>
  | Signed<{ type: 'page.counts'; mapcount: number; dirty?: boolean } | { type: 'gathers'; pending: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pte: null as PresentPte | null };
const pageOf = ({ pte }: Context): number => (pte as PresentPte).pfn;
const lockOf = (context: Context): Address => context.folioLocks[pageOf(context)] as Address;

/**
 * madvise(MADV_FREE) of one private page: madvise_free_single_vma (mm/madvise.c, 6.12). Its bytes may be dropped, as long as nobody stores
 * to it: folio and pte become clean, under mmap_lock for reading, and the flush comes at the end of the gather: until then a CPU stores
 * through a translation that has D, and leaves none in the pte. The accessed bit is not modelled: each page was used. Called with the page.
 * Domain table part 2, row W3.
 */
export const madviseFree = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isAnonymous: ({ event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && area?.anonymous !== false;
    },
    hasNotifier: ({ context }) => context.notifier !== null,
    defersFlushes: ({ context }) => context.batchedPending !== null,
    /** vm_normal_folio, and none of a device. */
    isNormal: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && !pte.special && !pte.devmap;
    },
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    isShared: ({ event }) => received(event, 'page.counts').mapcount !== 1,
    /** Z11: what another gather has changed may be cached still. */
    isNested: ({ event }) => received(event, 'gathers').pending > 1,
    needsFlush: ({ context }) => context.pte !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    beginGather: tell(({ context }) => context.mm, { type: 'gather.begin' }),
    readGathers: tell(({ context }) => context.mm, { type: 'gather.read' }),
    endGather: tell(({ context }) => context.mm, { type: 'gather.end' }),
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    callBatched: tell(({ context }) => context.batchedPending as Address, { type: 'call' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte as PresentPte }),
    skip: assign({ pte: null }),
    readCounts: tell(({ context }) => pageAt(pageOf(context)), { type: 'page.read' }),
    trylockFolio: tell(({ context }) => lockOf(context), { type: 'trylock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    cleanFolio: tell(({ context }) => pageAt(pageOf(context)), { type: 'folio.clean' }),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    setClean: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: { ...(context.pte as PresentPte), dirty: false } }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    callFlushAll: tell(({ context }) => context.flush, { type: 'call', vpns: 'all' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'madvise_free_single_vma',
  context: ({ input }) => ({ notifier: null, batchedPending: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'vma_is_anonymous' } } },
    vma_is_anonymous: {
      description: 'No private memory: nothing is dropped',
      entry: 'findVma',
      on: { vma: [{ guard: 'isAnonymous', target: 'tlb_gather_mmu' }, { target: 'mmap_read_unlock' }] },
    },
    tlb_gather_mmu: { description: 'tlb_flush_pending++', on: { step: { target: 'walk_page_range', actions: 'beginGather' } } },
    walk_page_range: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the page', entry: 'callStart', on: { return: { target: 'pte_offset_map_lock' } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: {
      description: 'Spins while another has it',
      on: { locked: [{ guard: 'defersFlushes', target: 'flush_tlb_batched_pending' }, { target: 'madvise_free_pte_range' }] },
    },
    flush_tlb_batched_pending: {
      description: 'A flush that reclaim has put into a batch is done now',
      entry: 'callBatched',
      on: { return: { target: 'madvise_free_pte_range' } },
    },
    madvise_free_pte_range: {
      description: 'Is it present?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isNormal', target: 'folio_test_dirty', actions: 'notePte' }, { target: 'pte_unmap_unlock' }] },
    },
    folio_test_dirty: {
      description: 'Is the folio dirty, too?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isDirty', target: 'folio_trylock' }, { target: 'clear_young_dirty_ptes' }] },
    },
    folio_trylock: {
      description: 'A locked folio stays as it is',
      on: {
        step: { actions: 'trylockFolio' },
        'trylock.result': [
          { guard: 'gotLock', target: 'folio_mapcount' },
          { target: 'pte_unmap_unlock', actions: 'skip' },
        ],
      },
    },
    folio_mapcount: {
      description: 'Does anybody else map it?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isShared', target: 'folio_unlock' }, { target: 'folio_clear_dirty' }] },
    },
    folio_unlock: { description: 'Yes: it stays as it is', on: { step: { target: 'pte_unmap_unlock', actions: ['unlockFolio', 'skip'] } } },
    folio_clear_dirty: { description: 'No: it is clean', on: { step: { target: 'clear_young_dirty_ptes', actions: ['cleanFolio', 'unlockFolio'] } } },
    clear_young_dirty_ptes: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'set_pte_at', actions: 'notePte' } },
    },
    set_pte_at: { description: 'Puts it back clean', on: { step: { target: 'ptes_changed', actions: ['setClean', 'unlockPtl'] } } },
    pte_unmap_unlock: { description: 'It stays as it is', on: { step: { target: 'ptes_changed', actions: 'unlockPtl' } } },
    ptes_changed: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'tlb_finish_mmu' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEnd', on: { return: { target: 'tlb_finish_mmu' } } },
    tlb_finish_mmu: {
      description: 'Another gather under way: everything is flushed; else what was made clean',
      on: {
        step: { actions: 'readGathers' },
        gathers: [{ guard: 'isNested', target: 'flush_tlb_mm' }, { guard: 'needsFlush', target: 'flush_tlb_range' }, { target: 'dec_tlb_flush_pending' }],
      },
    },
    flush_tlb_mm: { description: 'Everything', entry: 'callFlushAll', on: { return: { target: 'dec_tlb_flush_pending' } } },
    flush_tlb_range: { description: 'From here on a store is seen in the pte', entry: 'callFlush', on: { return: { target: 'dec_tlb_flush_pending' } } },
    dec_tlb_flush_pending: { description: 'tlb_flush_pending--', on: { step: { target: 'mmap_read_unlock', actions: 'endGather' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
