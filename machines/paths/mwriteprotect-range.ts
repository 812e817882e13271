import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { Area, PresentPte, PteReply } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** flush_tlb_batched_pending; default: nobody defers flushes. */
  batchedPending?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  /** The pte that was there; null: none that is present. */
  pte: PresentPte | null;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'gathers'; pending: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pte: null as PresentPte | null };
const notify = (phase: 'start' | 'end', event: 'PROTECTION_VMA' | 'SOFT_DIRTY') =>
  tell<{ type: string }>(
    ({ context }) => context.notifier as Address,
    ({ context }) => ({ type: 'call', phase, event, owner: null, vpns: [context.vpn] }),
  );

const shape = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'vma').result === 'found',
    hasNotifier: ({ context }) => context.notifier !== null,
    defersFlushes: ({ context }) => context.batchedPending !== null,
    isPresent: ({ event }) => received(event, 'pte').pte.kind === 'present',
    /** Z11: what another gather has changed may be cached still. */
    isNested: ({ event }) => received(event, 'gathers').pending > 1,
    /** pte_needs_flush. */
    needsFlush: ({ context }) => context.pte?.write === true,
    /** Safeguard (row W3): up to 5.10 others who only read may find ptes that are not flushed yet. */
    holdsMmapLockForWriting: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    writeLockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    writeUnlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    beginGather: tell(({ context }) => context.mm, { type: 'gather.begin' }),
    readGathers: tell(({ context }) => context.mm, { type: 'gather.read' }),
    endGather: tell(({ context }) => context.mm, { type: 'gather.end' }),
    callStart: notify('start', 'PROTECTION_VMA'),
    callEnd: notify('end', 'PROTECTION_VMA'),
    callStartSoftDirty: notify('start', 'SOFT_DIRTY'),
    callEndSoftDirty: notify('end', 'SOFT_DIRTY'),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    callBatched: tell(({ context }) => context.batchedPending as Address, { type: 'call' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte as PresentPte }),
    setReadOnly: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: { ...(context.pte as PresentPte), write: false } }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    callFlushAll: tell(({ context }) => context.flush, { type: 'call', vpns: 'all' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
});

/**
 * UFFDIO_WRITEPROTECT of one page: mwriteprotect_range, uffd_wp_range, change_protection (mm/userfaultfd.c, mm/mprotect.c; 6.12). The pte
 * becomes read-only under mmap_lock for reading, and is flushed at the end of the gather: between the two it looks protected and is not.
 * Who handles the faults then is left out: a store makes the pte writable again, or makes a copy. Called with the page. Domain table part 2,
 * row W3.
 */
export const mwriteprotectRange = shape.createMachine({
  id: 'mwriteprotect_range',
  context: ({ input }) => ({ notifier: null, batchedPending: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_vma' } } },
    find_vma: {
      description: 'No VMA: -ENOENT',
      entry: 'findVma',
      on: { vma: [{ guard: 'found', target: 'tlb_gather_mmu' }, { target: 'mmap_read_unlock' }] },
    },
    tlb_gather_mmu: { description: 'tlb_flush_pending++', on: { step: { target: 'change_protection', actions: 'beginGather' } } },
    change_protection: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the page', entry: 'callStart', on: { return: { target: 'pte_offset_map_lock' } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: {
      description: 'Spins while another has it',
      on: { locked: [{ guard: 'defersFlushes', target: 'flush_tlb_batched_pending' }, { target: 'change_pte_range' }] },
    },
    flush_tlb_batched_pending: {
      description: 'A flush that reclaim has put into a batch is done now',
      entry: 'callBatched',
      on: { return: { target: 'change_pte_range' } },
    },
    change_pte_range: {
      description: 'Is it present?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isPresent', target: 'ptep_modify_prot_start' }, { target: 'pte_unmap_unlock' }] },
    },
    ptep_modify_prot_start: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'ptep_modify_prot_commit', actions: 'notePte' } },
    },
    ptep_modify_prot_commit: {
      description: 'Puts it back read-only, with its D',
      on: { step: { target: 'ptes_changed', actions: ['setReadOnly', 'unlockPtl'] } },
    },
    pte_unmap_unlock: { description: 'It stays as it is', on: { step: { target: 'ptes_changed', actions: 'unlockPtl' } } },
    ptes_changed: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'tlb_finish_mmu' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEnd', on: { return: { target: 'tlb_finish_mmu' } } },
    tlb_finish_mmu: {
      description: 'Another gather under way: everything is flushed; else what has lost a right',
      on: {
        step: { actions: 'readGathers' },
        gathers: [{ guard: 'isNested', target: 'flush_tlb_mm' }, { guard: 'needsFlush', target: 'flush_tlb_range' }, { target: 'dec_tlb_flush_pending' }],
      },
    },
    flush_tlb_mm: { description: 'Everything', entry: 'callFlushAll', on: { return: { target: 'dec_tlb_flush_pending' } } },
    flush_tlb_range: { description: 'From here on it is protected', entry: 'callFlush', on: { return: { target: 'dec_tlb_flush_pending' } } },
    dec_tlb_flush_pending: { description: 'tlb_flush_pending--', on: { step: { target: 'mmap_read_unlock', actions: 'endGather' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});

/**
 * Clears the soft-dirty bit of one page: clear_refs_write, clear_soft_dirty (fs/proc/task_mmu.c, 6.12). The pte becomes read-only, so that
 * the next store is noticed, and everything is flushed at the end, since 5.11 under mmap_lock for writing, up to 5.10 for reading
 * (`holdsMmapLockForWriting`). That pages which may be pinned are left out since 5.11 is left out here. Called with the page. Domain table
 * part 2, row W3.
 */
export const clearRefs = shape.createMachine({
  id: 'clear_refs_write',
  context: ({ input }) => ({ notifier: null, batchedPending: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_lock', actions: 'remember' } } },
    mmap_lock: {
      description: 'Takes mmap_lock for writing; up to 5.10 for reading',
      on: {
        step: [
          { guard: 'holdsMmapLockForWriting', target: 'wait_for_mmap_lock', actions: 'writeLockMm' },
          { target: 'wait_for_mmap_lock', actions: 'lockMm' },
        ],
      },
    },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'find_vma' } } },
    find_vma: {
      description: 'No VMA: there is nothing to walk',
      entry: 'findVma',
      on: { vma: [{ guard: 'found', target: 'inc_tlb_flush_pending' }, { target: 'mmap_unlock' }] },
    },
    inc_tlb_flush_pending: { description: 'tlb_flush_pending++', on: { step: { target: 'walk_page_range', actions: 'beginGather' } } },
    walk_page_range: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the page', entry: 'callStartSoftDirty', on: { return: { target: 'pte_offset_map_lock' } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'clear_soft_dirty' } } },
    clear_soft_dirty: {
      description: 'Is it present?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isPresent', target: 'ptep_modify_prot_start' }, { target: 'pte_unmap_unlock' }] },
    },
    ptep_modify_prot_start: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'ptep_modify_prot_commit', actions: 'notePte' } },
    },
    ptep_modify_prot_commit: {
      description: 'Puts it back read-only, with its D',
      on: { step: { target: 'ptes_changed', actions: ['setReadOnly', 'unlockPtl'] } },
    },
    pte_unmap_unlock: { description: 'It stays as it is', on: { step: { target: 'ptes_changed', actions: 'unlockPtl' } } },
    ptes_changed: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'flush_tlb_mm' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEndSoftDirty', on: { return: { target: 'flush_tlb_mm' } } },
    flush_tlb_mm: { description: 'From here on it is protected', entry: 'callFlushAll', on: { return: { target: 'dec_tlb_flush_pending' } } },
    dec_tlb_flush_pending: { description: 'tlb_flush_pending--', on: { step: { target: 'mmap_unlock', actions: 'endGather' } } },
    mmap_unlock: {
      description: 'Drops mmap_lock and returns',
      on: {
        step: [
          { guard: 'holdsMmapLockForWriting', target: 'idle', actions: ['writeUnlockMm', 'return', 'forget'] },
          { target: 'idle', actions: ['unlockMm', 'return', 'forget'] },
        ],
      },
    },
  },
});
