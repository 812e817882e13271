import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { Area, PresentPte, PteReply } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** mmu_notifier_invalidate_range of its task; null: nobody mirrors the address space. */
  notifier: Address | null;
  /** flush_tlb_batched_pending; default: nobody defers flushes. */
  batchedPending?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  /** The pte that was there; null: none that could become a hint. */
  pte: PresentPte | null;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pte: null };

/**
 * The scan of NUMA balancing, of one page: task_numa_work, change_prot_numa, change_protection (kernel/sched/fair.c, mm/mempolicy.c,
 * mm/mprotect.c; 6.12). A present pte loses all access, so that the next one tells who uses the page; other ptes stay as they are, a
 * device-exclusive entry too. Secondary MMUs are told in any case, before the page-table lock is taken: of an entry that stays it is a
 * notification of nothing. The task does not wait for mmap_lock in the kernel, and comes again later. Called with the page.
 */
export const changeProtNuma = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** vma_is_accessible. */
    isAccessible: ({ event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && (area === undefined || area.read || area.write);
    },
    hasNotifier: ({ context }) => context.notifier !== null,
    defersFlushes: ({ context }) => context.batchedPending !== null,
    /** vm_normal_folio, and none of a device. */
    isNormal: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && !pte.special && !pte.devmap;
    },
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
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'PROTECTION_VMA', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'PROTECTION_VMA', owner: null, vpns: [context.vpn] }),
    ),
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
    setNone: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, dirty } = context.pte as PresentPte;
        return { type: 'pte.set', vpn: context.vpn, pte: { kind: 'protnone', pfn, dirty } };
      },
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'change_prot_numa',
  context: ({ input }) => ({ batchedPending: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'task_numa_work', actions: 'remember' } } },
    task_numa_work: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Not now, while somebody writes', on: { locked: { target: 'vma_is_accessible' } } },
    vma_is_accessible: {
      description: 'No VMA, or one without access: nothing to scan',
      on: {
        step: { actions: 'findVma' },
        vma: [{ guard: 'isAccessible', target: 'change_protection' }, { target: 'mmap_read_unlock' }],
      },
    },
    change_protection: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'They drop the page, although its rights stay as they are',
      entry: 'callStart',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
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
      on: { pte: [{ guard: 'isNormal', target: 'ptep_modify_prot_start' }, { target: 'pte_unmap_unlock' }] },
    },
    ptep_modify_prot_start: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'ptep_modify_prot_commit', actions: 'notePte' } },
    },
    ptep_modify_prot_commit: {
      description: 'Puts it back without access',
      on: { step: { target: 'ptes_changed', actions: ['setNone', 'unlockPtl'] } },
    },
    pte_unmap_unlock: { description: 'It stays as it is', on: { step: { target: 'ptes_changed', actions: 'unlockPtl' } } },
    ptes_changed: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'tlb_finish_mmu' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEnd', on: { return: { target: 'tlb_finish_mmu' } } },
    tlb_finish_mmu: {
      description: 'Is there anything to flush?',
      always: [{ guard: 'needsFlush', target: 'flush_tlb_range' }, { target: 'mmap_read_unlock' }],
    },
    flush_tlb_range: { description: 'The hint is there for every CPU', entry: 'callFlush', on: { return: { target: 'mmap_read_unlock' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
