import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type DevexclPte, mappingPte, type Pte, type PteReply, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** flush_tlb_batched_pending. */
  batchedPending: Address;
  /** Who is told when the rights are withdrawn; null: nobody. */
  coherence: Address | null;
  debug: Address | null;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** remove_device_exclusive_entry, for row D12f. */
  restoreExclusive?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  read: boolean;
  write: boolean;
  pte: Pte;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; read: boolean; write: boolean }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>;

type Present = Extract<Pte, { kind: 'present' }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, read: true, write: true, pte: none };

/**
 * mprotect (mm/mprotect.c, 6.12) of one page: under mmap_lock and the page-table lock the pte is taken, changed and put back, and
 * flushed before the system call returns; a pte never becomes writable here, but may stay so. A pte that reclaim has cleared may have
 * a flush to come: flush_tlb_batched_pending. Secondary MMUs are told before the page-table lock is taken, and again before the flush.
 * A device-exclusive entry stays: the rights are looked up when it is restored. Called with the page and its new rights. Domain table
 * part 2, 1a, 1e; rows L11, D11, D12f, D15.
 */
export const mprotect = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'vma').result === 'found',
    /** mprotect_fixup returns at once. What areas do not tell, as VM_EXEC, may change all the same: then all else goes its way. */
    changesNothing: ({ context, event }) => {
      const { area } = received(event, 'vma');
      return area !== undefined && area.read === context.read && area.write === context.write;
    },
    hasNotifier: ({ context }) => context.notifier !== null,
    isDevexcl: ({ event }) => received(event, 'pte').pte.kind === 'devexcl',
    /** Up to 6.14 an entry of the writable type becomes one that is read-only. */
    demotesDevexcl: () => false,
    /** Row D12f: it is restored under the folio lock first, for which the page-table lock is dropped. */
    restoresDevexcl: () => false,
    needsFlush: ({ context }) => context.pte.kind === 'present',
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isMigration: ({ event }) => received(event, 'pte').pte.kind === 'migration',
    /** A page in the memory of a device; the device itself was told. */
    isWritableDevpriv: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devpriv' && pte.write;
    },
    staysReadable: ({ context }) => context.read,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, read, write } = received(event, 'call');
      return { caller: from, vpn, read, write };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    protectVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.protect', vpns: [context.vpn], read: context.read, write: context.write }),
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
    callBatched: tell(({ context }) => context.batchedPending, { type: 'call' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => mappingPte(received(event, 'pte').pte) }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, dirty, write } = context.pte as Present;
        return { type: 'pte.set', vpn: context.vpn, pte: presentPte(pfn, { write: write && context.write, dirty }) };
      },
    ),
    noteEntry: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    setReadExclusive: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: { ...context.pte, write: false } }),
    ),
    callRestore: tell(
      ({ context }) => context.restoreExclusive as Address,
      ({ context }) => ({ type: 'call', vpn: context.vpn, pfn: (context.pte as DevexclPte).pfn }),
    ),
    forgetPte: assign({ pte: none }),
    setReadEntry: tell(
      ({ context }) => context.mm,
      ({ context, event }) => ({ type: 'pte.set', vpn: context.vpn, pte: { ...received(event, 'pte').pte, write: false } }),
    ),
    setNone: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, dirty } = context.pte as Present;
        return { type: 'pte.set', vpn: context.vpn, pte: { kind: 'protnone', pfn, dirty } };
      },
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    allow: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.allow', mm: context.mm, vpn: context.vpn, read: context.read, write: context.write }),
    ),
    withdraw: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.protect', mm: context.mm, vpn: context.vpn, read: context.read, write: context.write }),
    ),
    observeWithdrawal: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.withdrawn', mm: context.mm, vpns: [context.vpn] }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'mprotect',
  context: ({ input }) => ({ notifier: null, restoreExclusive: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'mprotect_fixup' } } },
    mprotect_fixup: {
      description: 'The VMA has the new rights; it had them before: nothing to do; no VMA: -ENOMEM',
      on: {
        step: { actions: 'findVma' },
        vma: [
          { guard: 'changesNothing', target: 'mmap_write_unlock_unchanged' },
          { guard: 'found', target: 'change_protection', actions: ['protectVma', 'allow'] },
          { target: 'mmap_write_unlock_failed' },
        ],
      },
    },
    change_protection: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'They drop the page; what they fault in later has the new rights',
      entry: 'callStart',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
    mmap_write_unlock_unchanged: {
      description: 'Returns; these were the rights',
      on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } },
    },
    mmap_write_unlock_failed: { description: 'Returns; nothing has changed', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'flush_tlb_batched_pending' } } },
    flush_tlb_batched_pending: {
      description: 'A flush that reclaim has put into a batch is done now',
      entry: 'callBatched',
      on: { return: { target: 'change_pte_range' } },
    },
    change_pte_range: {
      description: 'Is there a pte?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapping', target: 'ptep_modify_prot_start' },
          { guard: 'isMigration', target: 'unlock_unchanged', actions: 'setReadEntry' },
          { guard: 'isWritableDevpriv', target: 'unlock_unchanged', actions: 'setReadEntry' },
          { guard: 'isDevexcl', target: 'is_device_exclusive_entry', actions: 'noteEntry' },
          { target: 'unlock_unchanged' },
        ],
      },
    },
    is_device_exclusive_entry: {
      description: 'A device may have the page for itself: the entry stays',
      always: [
        { guard: 'restoresDevexcl', target: 'unlock_to_restore' },
        { guard: 'demotesDevexcl', target: 'unlock_unchanged', actions: 'setReadExclusive' },
        { target: 'unlock_unchanged' },
      ],
    },
    unlock_to_restore: { description: 'Row D12f: drops the page-table lock', on: { step: { target: 'remove_device_exclusive_entry', actions: 'unlockPtl' } } },
    remove_device_exclusive_entry: {
      description: 'Row D12f: sleeps until the folio is unlocked, and makes the pte present; then looks again',
      entry: 'callRestore',
      on: { return: { target: 'pte_offset_map_lock', actions: 'forgetPte' } },
    },
    unlock_unchanged: { description: 'No pte, so nothing to flush', on: { step: { target: 'ptes_changed', actions: 'unlockPtl' } } },
    ptep_modify_prot_start: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'ptep_modify_prot_commit', actions: 'notePte' } },
    },
    ptep_modify_prot_commit: {
      description: 'Puts it back with the rights that are left',
      on: {
        step: [
          { guard: 'staysReadable', target: 'ptes_changed', actions: ['setPte', 'unlockPtl'] },
          { target: 'ptes_changed', actions: ['setNone', 'unlockPtl'] },
        ],
      },
    },
    ptes_changed: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'tlb_end_vma' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEnd', on: { return: { target: 'tlb_end_vma' } } },
    tlb_end_vma: { description: 'Is there anything to flush?', always: [{ guard: 'needsFlush', target: 'flush_tlb_range' }, { target: 'mmap_write_unlock' }] },
    flush_tlb_range: { description: 'Before the system call returns', entry: 'callFlush', on: { return: { target: 'mmap_write_unlock' } } },
    mmap_write_unlock: {
      description: 'Returns: the rights are withdrawn',
      on: { step: { target: 'idle', actions: ['unlockMm', 'withdraw', 'observeWithdrawal', 'return', 'forget'] } },
    },
  },
});
