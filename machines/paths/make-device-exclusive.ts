import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, mappingPte, type PmdReply, type Pte, type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  /** handle_mm_fault, called by GUP under the caller's mmap_lock. */
  fault: Address;
  flush: Address;
  /** mmu_notifier_invalidate_range of this task. */
  notifier: Address;
  putPage: Address;
  /** Whose notifications the driver's own callback filters; null: the driver names nobody. */
  owner: string | null;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  pfn: number;
  pte: Pte;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply | PmdReply>
  | Signed<{ type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, pfn: -1, pte: none };
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;
const isWritable = (pte: Pte): boolean => pte.kind === 'present' && pte.write;
/** The page is mapped by it, in whatever way. */
const maps = (pte: Pte, pfn: number): boolean => (pte.kind === 'present' || pte.kind === 'protnone') && pte.pfn === pfn;

/**
 * make_device_exclusive (mm/rmap.c; 6.15), E4 to E7 of domain table part 2, 1e: under the caller's mmap_lock GUP brings the page in
 * writable (a huge PMD is split, a device-exclusive entry restored by a fault), its folio is locked, other secondary MMUs drop it, and
 * the pte becomes a device-exclusive entry. Returns `{ ok, pfn }` with the folio locked (in this path's name) and referenced.
 * 5.14 to 6.14, make_device_exclusive_range, differs by {@link makeDeviceExclusiveRange}.
 */
export const makeDeviceExclusive = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isWritableArea: ({ event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && area?.write === true;
    },
    isHuge: ({ event }) => received(event, 'pmd').kind === 'huge',
    /** Safeguard (row D4): what is not huge is not split, and nobody is told so. */
    splitsOnlyHuge: () => true,
    isWritable: ({ event }) => isWritable(received(event, 'pte').pte),
    /** Of the open questions, a fix: an entry that is there already is taken over as it is. */
    takesOverEntry: () => false,
    isEntryTakenOver: ({ event }) => received(event, 'pte').pte.kind === 'devexcl',
    ok: ({ event }) => received(event, 'return').ok === true,
    /** Up to 6.14 a folio that is locked is skipped. */
    waitsForFolioLock: () => true,
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    /** Safeguard (row D17): the mappings of other secondary MMUs go, whoever they belong to. */
    notifiesExclusive: () => true,
    isSameWritable: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && pte.pfn === context.pfn && pte.write;
    },
    isSameEntry: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devexcl' && pte.pfn === context.pfn;
    },
    /** Up to 6.14 the pte becomes an entry, of the readable type, before its right is looked at. */
    checksRightFirst: () => true,
    isSamePage: ({ context, event }) => maps(received(event, 'pte').pte, context.pfn),
    wasWritable: ({ context }) => isWritable(context.pte),
    /** FOLL_TOUCH: the store that GUP stands for may leave no D behind. */
    isClean: ({ context }) => context.pte.kind === 'present' && !context.pte.dirty,
    isTakenOver: ({ context }) => context.pte.kind === 'none',
    /** Up to 6.14 the caller is told that the page was not to be had. */
    triesAgain: () => true,
    /** Safeguard (row D20): no TLB leads to the page any more when the device gets it. */
    flushes: () => true,
    isDirty: ({ context }) => {
      const pte = mappingPte(context.pte);
      return pte.kind === 'present' && pte.dirty;
    },
    /** Up to 6.14 an entry stands for a reference, and for no mapcount. */
    keepsMapcount: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    readPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.read', vpn: context.vpn }),
    ),
    startSplit: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    endSplit: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    splitPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.split', vpn: context.vpn }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePfn: assign({ pfn: ({ event }) => (received(event, 'pte').pte as Extract<Pte, { kind: 'present' | 'devexcl' }>).pfn }),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: true }),
    ),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    trylockFolio: tell(({ context }) => lockOf(context), { type: 'trylock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    startExclusive: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'EXCLUSIVE', owner: context.owner, vpns: [context.vpn] }),
    ),
    endExclusive: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'EXCLUSIVE', owner: context.owner, vpns: [context.vpn] }),
    ),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    markDirty: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mark_dirty' }),
    removeRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.remove_rmap' }),
    setEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: { kind: 'devexcl', pfn: context.pfn, write: isWritable(context.pte) } }),
    ),
    returnPage: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: true, pfn: context.pfn }),
    ),
    returnNothing: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forgetPage: assign({ pfn: -1, pte: none }),
    forgetPte: assign({ pte: none }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'make_device_exclusive',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'find_vma', actions: 'remember' } } },
    find_vma: {
      description: 'E4: GUP for a write needs a VMA that allows it: -EFAULT otherwise',
      on: {
        step: { actions: 'findVma' },
        vma: [
          { guard: 'isWritableArea', target: 'follow_pmd_mask' },
          { target: 'idle', actions: ['returnNothing', 'forget'] },
        ],
      },
    },
    follow_pmd_mask: {
      description: 'E4: FOLL_SPLIT_PMD: is it a huge PMD? Looked at without a lock',
      on: {
        step: { actions: 'readPmd' },
        pmd: [{ guard: 'isHuge', target: 'split_huge_pmd' }, { guard: 'splitsOnlyHuge', target: 'follow_page_pte' }, { target: 'split_huge_pmd' }],
      },
    },
    split_huge_pmd: {
      description: 'E4: __split_huge_pmd: everybody drops the range, before a look under the lock',
      entry: 'startSplit',
      on: { return: { target: 'pmd_lock' } },
    },
    pmd_lock: { description: 'E4: takes the lock of the PMD', on: { step: { target: 'spin_on_pmd_lock', actions: 'lockPtl' } } },
    spin_on_pmd_lock: { description: 'Spins while another has it', on: { locked: { target: '__split_huge_pmd_locked' } } },
    __split_huge_pmd_locked: {
      description: 'E4: a page table in its place, with the same translations',
      on: { step: { target: 'split_huge_pmd_end', actions: ['splitPmd', 'unlockPtl'] } },
    },
    split_huge_pmd_end: { description: 'E4: the split is over', entry: 'endSplit', on: { return: { target: 'follow_page_pte' } } },
    follow_page_pte: { description: 'E4: takes the page-table lock', on: { step: { target: 'spin_on_gup_ptl', actions: 'lockPtl' } } },
    spin_on_gup_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'E4: there, and writable? A device-exclusive entry is not present',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isWritable', target: 'try_grab_folio', actions: ['notePfn', 'notePte'] },
          { guard: 'takesOverEntry', target: 'is_device_exclusive_entry' },
          { target: 'faultin_page', actions: 'unlockPtl' },
        ],
      },
    },
    is_device_exclusive_entry: {
      description: 'A fix: is it an entry already?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isEntryTakenOver', target: 'try_grab_folio', actions: 'notePfn' },
          { target: 'faultin_page', actions: 'unlockPtl' },
        ],
      },
    },
    faultin_page: {
      description: 'E4: handle_mm_fault for a write; then looks again',
      entry: 'callFault',
      on: {
        return: [
          { guard: 'ok', target: 'follow_pmd_mask' },
          { target: 'idle', actions: ['returnNothing', 'forget'] },
        ],
      },
    },
    try_grab_folio: {
      description: 'E4: a reference, under the page-table lock; the folio is dirty from here (FOLL_TOUCH). None to be had: -ENOMEM',
      entry: 'tryGet',
      on: {
        'folio.got': [
          { guard: 'isClean', target: 'pte_unmap_unlock', actions: ['markDirty', 'forgetPte'] },
          { target: 'pte_unmap_unlock', actions: 'forgetPte' },
        ],
        'folio.frozen': { target: 'idle', actions: ['unlockPtl', 'returnNothing', 'forget'] },
      },
    },
    pte_unmap_unlock: { description: 'E4: GUP is done', on: { step: { target: 'folio_lock', actions: 'unlockPtl' } } },
    folio_lock: {
      description: 'E5: locks the folio, so that nobody restores the pte before the device has mapped it',
      on: {
        step: [
          { guard: 'waitsForFolioLock', target: 'wait_for_folio_lock', actions: 'lockFolio' },
          { target: 'trylock_page', actions: 'trylockFolio' },
        ],
      },
    },
    trylock_page: {
      description: 'E5, up to 6.14: a locked page is skipped',
      on: { 'trylock.result': [{ guard: 'gotLock', target: 'invalidate_exclusive' }, { target: 'put_skipped' }] },
    },
    wait_for_folio_lock: { description: 'E5: sleeps while another has it', on: { locked: { target: 'invalidate_exclusive' } } },
    invalidate_exclusive: {
      description: 'E6: the others drop their mappings',
      always: [{ guard: 'notifiesExclusive', target: 'mmu_notifier_invalidate_range_start' }, { target: 'folio_walk_start' }],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'E6: EXCLUSIVE, with the owner; his own callback filters it',
      entry: 'startExclusive',
      on: { return: { target: 'folio_walk_start' } },
    },
    folio_walk_start: { description: 'E7: takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'E7: the same page still, and writable?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isSameWritable', target: 'ptep_get_and_clear' },
          { guard: 'takesOverEntry', target: 'is_same_entry' },
          { guard: 'checksRightFirst', target: 'give_up', actions: 'unlockPtl' },
          { target: 'page_vma_mapped_walk' },
        ],
      },
    },
    page_vma_mapped_walk: {
      description: 'E7, up to 6.14: the page is there, with fewer rights (KSM, NUMA balancing): it is unmapped all the same',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isSamePage', target: 'ptep_get_and_clear' },
          { target: 'give_up', actions: 'unlockPtl' },
        ],
      },
    },
    is_same_entry: {
      description: 'A fix: the same entry still?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isSameEntry', target: 'folio_walk_end' },
          { target: 'give_up', actions: 'unlockPtl' },
        ],
      },
    },
    ptep_get_and_clear: {
      description: 'E7: takes the pte',
      on: {
        step: { actions: 'clearPte' },
        pte: [
          { guard: 'flushes', target: 'flush_tlb_page', actions: 'notePte' },
          { target: 'folio_mark_dirty', actions: 'notePte' },
        ],
      },
    },
    flush_tlb_page: { description: 'E7: IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'folio_mark_dirty' } } },
    folio_mark_dirty: {
      description: 'E7: D goes to the folio',
      always: [{ guard: 'isDirty', target: 'set_pte_at', actions: 'markDirty' }, { target: 'set_pte_at' }],
    },
    set_pte_at: {
      description: 'E7: a device-exclusive entry; from here a CPU faults',
      on: {
        step: [
          { guard: 'keepsMapcount', target: 'folio_walk_end', actions: 'setEntry' },
          { target: 'folio_walk_end', actions: ['setEntry', 'removeRmap'] },
        ],
      },
    },
    folio_walk_end: {
      description: 'E7: drops the page-table lock; up to 6.14 an entry of the readable type is left behind, and the page is not had',
      on: {
        step: [
          { guard: 'isTakenOver', target: 'end_exclusive', actions: 'unlockPtl' },
          { guard: 'wasWritable', target: 'end_exclusive', actions: 'unlockPtl' },
          { target: 'give_up', actions: 'unlockPtl' },
        ],
      },
    },
    end_exclusive: {
      description: 'E7: the notification is over',
      always: [
        { guard: 'notifiesExclusive', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'idle', actions: ['returnPage', 'forget'] },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'E7: returns the page, locked and referenced',
      entry: 'endExclusive',
      on: { return: { target: 'idle', actions: ['returnPage', 'forget'] } },
    },
    give_up: {
      description: 'E7: the page is not what it was',
      always: [{ guard: 'notifiesExclusive', target: 'end_mismatch' }, { target: 'folio_unlock' }],
    },
    end_mismatch: { description: 'E7: the notification is over', entry: 'endExclusive', on: { return: { target: 'folio_unlock' } } },
    folio_unlock: { description: 'E7: unlocks the folio', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: {
      description: 'E7: gives the reference back, and looks again',
      entry: 'callPut',
      on: {
        return: [
          { guard: 'triesAgain', target: 'find_vma', actions: 'forgetPage' },
          { target: 'idle', actions: ['returnNothing', 'forget'] },
        ],
      },
    },
    put_skipped: {
      description: 'E5, up to 6.14: gives the reference back; no page',
      entry: 'callPut',
      on: { return: { target: 'idle', actions: ['returnNothing', 'forget'] } },
    },
  },
});

/**
 * Guards that make it make_device_exclusive_range (mm/rmap.c; 5.14 to 6.14): a locked page is skipped, one that has changed too, but one
 * that has become read-only gets its entry first; and an entry is no mapping.
 */
export const makeDeviceExclusiveRange = {
  waitsForFolioLock: () => false,
  checksRightFirst: () => false,
  triesAgain: () => false,
  keepsMapcount: () => false,
};
