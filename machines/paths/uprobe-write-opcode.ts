import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  /** handle_mm_fault, for what is not mapped. */
  fault: Address;
  allocPages: Address;
  putPage: Address;
  flush: Address;
  coherence: Address;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  cell: string;
  /** The page that holds the instruction, and its pte. */
  old: number;
  pte: Pte;
  /** Its copy, with the breakpoint in it. */
  copy: number;
  /** What the copy holds. */
  value: string;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; cell: string }>
  | Return<{ pfns?: number[]; ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'write.value'; value: string }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, cell: '', old: -1, pte: none, copy: -1, value: '' };
const lockOf = (context: Context): Address => context.folioLocks[context.old] as Address;

/**
 * Registering a uprobe, up to 6.14: uprobe_write_opcode with __replace_page (kernel/events/uprobes.c, 6.12). The page is
 * faulted in, copied with the breakpoint, and replaced under the page-table lock if it is there still: clear, flush, set. Called
 * with the page. Secondary MMUs are told before the page-table lock is taken and after it is dropped; a device-exclusive entry is not
 * present, and restored by the fault. Domain table part 2, 1c; row L18.
 */
export const uprobeWriteOpcode = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    faultedIn: ({ event }) => received(event, 'return').ok === true,
    /** Safeguard (row L18): only what is present can be cleared and flushed. */
    demandsPresent: () => true,
    isUnchanged: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.old;
    },
    hasNotifier: ({ context }) => context.notifier !== null,
    isMapped: ({ context }) => context.old >= 0,
    isFilled: ({ event }) => received(event, 'pte').pte.kind !== 'none',
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, cell } = received(event, 'call');
      return { caller: from, vpn, cell };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    noteOld: assign(({ event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return { pte, old: (pte as Extract<Pte, { kind: 'present' }>).pfn };
    }),
    get: tell(({ event }) => pageAt((mappingPte(received(event, 'pte').pte) as Extract<Pte, { kind: 'present' }>).pfn), { type: 'folio.ref_inc' }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: false }),
    ),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    noteCopy: assign({ copy: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    beginWrite: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.begin', cell: context.cell }),
    ),
    noteValue: assign({ value: ({ event }) => received(event, 'write.value').value }),
    writeCopy: tell(
      ({ context }) => pageAt(context.copy),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'write.value').value }),
    ),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
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
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    addRmap: tell(({ context }) => pageAt(context.copy), { type: 'folio.add_rmap' }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.copy, { write: false }) }),
    ),
    removeOldRmap: inform(({ context }) => (context.old >= 0 ? pageAt(context.old) : null), { type: 'folio.remove_rmap' }),
    callPutOld: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.old, pinned: false }),
    ),
    forgetOld: assign({ old: -1, copy: -1 }),
    callPutCopy: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.copy, pinned: false }),
    ),
    complete: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.complete', cell: context.cell, value: context.value }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'uprobe_write_opcode',
  context: ({ input }) => ({ notifier: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'register_for_each_vma takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'get_user_page_vma_remote' } } },
    get_user_page_vma_remote: {
      description: 'The page that holds the instruction, with a reference; if it is not mapped, it is faulted in',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isMapping', target: 'alloc_page_vma', actions: ['get', 'noteOld'] },
          { guard: 'demandsPresent', target: 'handle_mm_fault' },
          { target: 'alloc_page_vma' },
        ],
      },
    },
    handle_mm_fault: {
      description: 'Maps it, or cannot',
      entry: 'callFault',
      on: { return: [{ guard: 'faultedIn', target: 'get_user_page_vma_remote' }, { target: 'mmap_write_unlock_failed' }] },
    },
    alloc_page_vma: {
      description: 'A page for the copy',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPage', target: 'copy_highpage', actions: 'noteCopy' },
          { guard: 'isMapped', target: 'put_old_failed' },
          { target: 'mmap_write_unlock_failed' },
        ],
      },
    },
    copy_highpage: {
      description: 'Copies the page, with the breakpoint in it',
      on: { step: { actions: 'beginWrite' }, 'write.value': { target: 'replace_page', actions: ['writeCopy', 'noteValue'] } },
    },
    replace_page: { description: '__replace_page', always: [{ guard: 'isMapped', target: 'folio_lock' }, { target: 'invalidate_start' }] },
    folio_lock: { description: 'Locks the old page', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'invalidate_start' } } },
    invalidate_start: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'page_vma_mapped_walk' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the old page', entry: 'callStart', on: { return: { target: 'page_vma_mapped_walk' } } },
    page_vma_mapped_walk: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Is the old page mapped here still? Else -EAGAIN',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'ptep_clear_flush' },
          { guard: 'isMapped', target: 'again' },
          { guard: 'isFilled', target: 'filled' },
          { target: 'set_pte_at' },
        ],
      },
    },
    again: {
      description: 'Drops the locks, and starts anew',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'invalidate_end_unused', actions: 'unlockPtl' },
          { target: 'put_copy', actions: ['unlockPtl', 'unlockFolio'] },
        ],
      },
    },
    filled: {
      description: 'Row L18: filled meanwhile: starts anew',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'invalidate_end_unused', actions: 'unlockPtl' },
          { target: 'put_copy_filled', actions: 'unlockPtl' },
        ],
      },
    },
    invalidate_end_unused: {
      description: 'The notification was for nothing',
      entry: 'callEnd',
      on: { return: [{ guard: 'isMapped', target: 'folio_unlock_unused' }, { target: 'put_copy_filled' }] },
    },
    folio_unlock_unused: { description: 'Unlocks the old page', on: { step: { target: 'put_copy', actions: 'unlockFolio' } } },
    put_copy_filled: {
      description: 'The copy is free again',
      entry: 'callPutCopy',
      on: { return: { target: 'get_user_page_vma_remote', actions: 'forgetOld' } },
    },
    put_copy: { description: 'The copy is free again', entry: 'callPutCopy', on: { return: { target: 'put_old_again' } } },
    put_old_again: {
      description: 'Its reference of the old page',
      entry: 'callPutOld',
      on: { return: { target: 'get_user_page_vma_remote', actions: 'forgetOld' } },
    },
    ptep_clear_flush: { description: 'Clears the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: {
      description: 'IPIs under the page-table lock: what any TLB has of this address goes, of older pages too',
      entry: 'callFlush',
      on: { return: { target: 'set_pte_at' } },
    },
    set_pte_at: {
      description: 'Maps the copy',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end', actions: ['addRmap', 'setPte', 'removeOldRmap', 'unlockPtl'] },
          { guard: 'isMapped', target: 'drop_old', actions: ['addRmap', 'setPte', 'removeOldRmap', 'unlockPtl', 'unlockFolio'] },
          { target: 'mmap_write_unlock', actions: ['addRmap', 'setPte', 'unlockPtl'] },
        ],
      },
    },
    mmu_notifier_invalidate_range_end: {
      description: 'They may fault in the copy',
      entry: 'callEnd',
      on: { return: [{ guard: 'isMapped', target: 'folio_unlock' }, { target: 'mmap_write_unlock' }] },
    },
    folio_unlock: { description: 'Unlocks the old page', on: { step: { target: 'drop_old', actions: 'unlockFolio' } } },
    drop_old: { description: "The mapping's reference of the old page", entry: 'callPutOld', on: { return: { target: 'put_old' } } },
    put_old: { description: 'Its own reference', entry: 'callPutOld', on: { return: { target: 'mmap_write_unlock' } } },
    put_old_failed: { description: 'No memory: its own reference', entry: 'callPutOld', on: { return: { target: 'mmap_write_unlock_failed' } } },
    mmap_write_unlock_failed: { description: 'Not registered', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
    mmap_write_unlock: {
      description: 'Registered: whoever executes the instruction now must hit the breakpoint',
      on: { step: { target: 'idle', actions: ['unlockMm', 'complete', 'return', 'forget'] } },
    },
  },
});
