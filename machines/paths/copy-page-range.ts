import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type DevexclPte, mappingPte, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** The address space of the new process, with no pte yet. */
  child: Address;
  /** The child's first thread, which runs from then on; default: it has none that matters. */
  childTask?: Address | null;
  coherence: Address | null;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** For device-exclusive entries. */
  folioLocks?: Record<string, Address>;
  /** For a page that may be pinned: where its copy comes from, and goes to if it is not needed. Default: it is not looked at. */
  allocPages?: Address | null;
  putPage?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  pte: Pte;
  /** What the VMA allows, where an entry is restored, and whether the folio is dirty. */
  writable: boolean;
  dirty: boolean;
  /** A page for the copy; null: none yet. */
  prealloc: number | null;
  /** The child has its own page. */
  copied: boolean;
  /** false: -EBUSY, or -ENOMEM. */
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ pfns?: number[] }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>
  | Signed<{ type: 'page.counts'; dirty?: boolean; exclusive?: boolean; pinned?: boolean } | { type: 'memory.content'; value: string | null }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, pte: none, writable: false, dirty: false, prealloc: null as number | null, copied: false, ok: true };
/** An entry that a device has the page for itself is restored, and then one of these. */
type Mapping = Extract<Pte, { kind: 'present' | 'protnone' | 'devexcl' | 'devpriv' }>;
const lockOf = (context: Context): Address => context.folioLocks[(context.pte as Mapping).pfn] as Address;
const copyAt = ({ prealloc }: Context): Address => pageAt(prealloc as number);
/** An entry as two processes have it. */
const shared = (pte: Pte): Pte => {
  if (pte.kind === 'migration') return { kind: 'migration', pfn: pte.pfn, write: false };
  if (pte.kind === 'devpriv') return { ...pte, write: false };
  return pte.kind === 'swap' ? { kind: 'swap', slot: pte.slot } : pte;
};

/**
 * fork of one private page: dup_mmap, copy_page_range, copy_present_pte (kernel/fork.c, mm/memory.c, 6.12). The parent's pte
 * becomes read-only, the child gets the same; a flush of the parent before mmap_lock is dropped makes that true for its
 * TLBs. Swap and migration entries are copied, and that of a page in the memory of a device, which is shared like any. Secondary MMUs are told before, since the parent loses the right to write, and after.
 * A device-exclusive entry of the parent is restored, under the folio lock, and copied like any pte; while a driver has the folio
 * locked, fork fails. An exclusive page that may be pinned stays the parent's: the child gets a copy at once (since 5.19). Called with the
 * page; returns `{ ok }`. Domain table part 2, 1b (row L7, anonymous form), 1e; rows D14, D21; I8.
 */
export const copyPageRange = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isDevexcl: ({ event }) => received(event, 'pte').pte.kind === 'devexcl',
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    /** Up to 6.14 a device-exclusive entry stands for a reference, and for no mapcount. */
    keepsMapcount: () => true,
    hasNotifier: ({ context }) => context.notifier !== null,
    isBusy: ({ context }) => !context.ok,
    copiesPinned: ({ context }) => context.allocPages !== null,
    /** Safeguard (I8): a page that is pinned must stay the one that the address maps, for who stores through it. */
    mustCopy: ({ event }) => {
      const { exclusive, pinned } = received(event, 'page.counts');
      return exclusive === true && pinned === true;
    },
    hasPrealloc: ({ context }) => context.prealloc !== null,
    isUnused: ({ context }) => context.prealloc !== null && !context.copied,
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    isDevpriv: ({ event }) => received(event, 'pte').pte.kind === 'devpriv',
    isEntry: ({ event }) => received(event, 'pte').pte.kind !== 'none',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'PROTECTION_PAGE', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'PROTECTION_PAGE', owner: null, vpns: [context.vpn] }),
    ),
    trylockFolio: tell(({ context }) => lockOf(context), { type: 'trylock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    noteRights: assign({ writable: ({ event }) => received(event, 'vma').area?.write === true }),
    readMapped: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'page.read' }),
    readFolio: tell(({ context }) => pageAt((context.pte as DevexclPte).pfn), { type: 'page.read' }),
    noteDirty: assign({ dirty: ({ event }) => received(event, 'page.counts').dirty === true }),
    restorePte: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, write } = context.pte as DevexclPte;
        const writable = context.writable && write !== false;
        return { type: 'pte.set', vpn: context.vpn, pte: presentPte(pfn, { write: writable, dirty: writable && context.dirty }) };
      },
    ),
    noteBusy: assign({ ok: false }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    callAlloc: tell(({ context }) => context.allocPages as Address, { type: 'call' }),
    notePrealloc: assign({ prealloc: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    callPut: tell(
      ({ context }) => context.putPage as Address,
      ({ context }) => ({ type: 'call', pfn: context.prealloc, pinned: false }),
    ),
    readPage: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'memory.read', sample: false }),
    copyInto: tell(
      ({ context }) => copyAt(context),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    addCopyRmap: tell(({ context }) => copyAt(context), { type: 'folio.add_rmap' }),
    setCopyExclusive: tell(({ context }) => copyAt(context), { type: 'folio.set_exclusive', exclusive: true }),
    setChildCopy: tell(
      ({ context }) => context.child,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.prealloc as number, { write: context.writable, dirty: true }) }),
    ),
    noteCopied: assign({ copied: true }),
    get: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.ref_inc' }),
    addParentRmap: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.add_rmap' }),
    addRmap: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.add_rmap' }),
    shareFolio: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.set_exclusive', exclusive: false }),
    protectParent: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.wrprotect', vpn: context.vpn }),
    ),
    setChild: tell(
      ({ context }) => context.child,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: context.pte.kind === 'present' ? { ...context.pte, write: false } : context.pte }),
    ),
    shareEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: shared(context.pte) }),
    ),
    copyEntry: tell(
      ({ context }) => context.child,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: shared(context.pte) }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    /** A copy is the child's own from the moment it was made. */
    observeFork: inform(
      ({ context }) => (context.copied ? null : context.coherence),
      ({ context }) => ({ type: 'place.fork', mm: context.mm, vpn: context.vpn, child: context.child }),
    ),
    wakeUpNewTask: inform(({ context }) => context.childTask, { type: 'wake_up_new_task' }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'copy_page_range',
  context: ({ input }) => ({ notifier: null, folioLocks: {}, childTask: null, allocPages: null, putPage: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: "Takes the parent's mmap_lock for writing", on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'copy_page_range' } } },
    copy_page_range: {
      description: 'A private mapping: the parent will lose the right to write',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'copy_pte_range' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'Secondary MMUs drop the page', entry: 'callStart', on: { return: { target: 'copy_pte_range' } } },
    copy_pte_range: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'What is there?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapping', target: 'copy_present_ptes', actions: 'notePte' },
          { guard: 'isDevexcl', target: 'folio_trylock', actions: 'notePte' },
          { guard: 'isDevpriv', target: 'copy_device_private', actions: 'notePte' },
          { guard: 'isEntry', target: 'copy_nonpresent_pte', actions: 'notePte' },
          { target: 'pte_unmap_unlock' },
        ],
      },
    },
    copy_present_ptes: {
      description: 'Is a pin looked for?',
      always: [{ guard: 'copiesPinned', target: 'folio_try_dup_anon_rmap_pte' }, { target: 'ptep_set_wrprotect' }],
    },
    folio_try_dup_anon_rmap_pte: {
      description: 'Exclusive, and pinned maybe? Else it is shared from here. One step with that: gup-fast compares write_protect_seq',
      on: {
        step: { actions: 'readMapped' },
        'page.counts': [
          { guard: 'mustCopy', target: 'folio_prealloc_needed' },
          { target: 'wrprotect_parent', actions: ['get', 'addRmap', 'shareFolio'] },
        ],
      },
    },
    wrprotect_parent: {
      description: 'The parent may not store through this pte any more',
      entry: 'protectParent',
      on: { pte: { target: 'set_pte_at', actions: 'notePte' } },
    },
    folio_prealloc_needed: {
      description: 'Is there a page to copy it to?',
      always: [{ guard: 'hasPrealloc', target: 'vm_write' }, { target: 'pte_unmap_unlock_again' }],
    },
    pte_unmap_unlock_again: {
      description: '-EAGAIN: memory is not allocated under the page-table lock',
      on: { step: { target: 'folio_prealloc', actions: 'unlockPtl' } },
    },
    folio_prealloc: {
      description: 'A page; none: -ENOMEM',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPage', target: 'copy_pte_range', actions: 'notePrealloc' },
          { target: 'end_of_ptes', actions: 'noteBusy' },
        ],
      },
    },
    vm_write: {
      description: 'Whether the VMA allows a store',
      entry: 'findVma',
      on: { vma: { target: 'copy_present_page', actions: 'noteRights' } },
    },
    copy_present_page: {
      description: "The bytes, and an exclusive page in the child; the parent's pte stays as it is",
      on: {
        step: { actions: 'readPage' },
        'memory.content': {
          target: 'pte_unmap_unlock',
          actions: ['copyInto', 'observeFork', 'addCopyRmap', 'setCopyExclusive', 'setChildCopy', 'noteCopied'],
        },
      },
    },
    folio_trylock: {
      description: 'try_restore_exclusive_pte: the page-table lock is held, so there is no waiting for a driver: -EBUSY',
      on: {
        step: { actions: 'trylockFolio' },
        'trylock.result': [
          { guard: 'gotLock', target: 'vma_flags' },
          { target: 'pte_unmap_unlock', actions: 'noteBusy' },
        ],
      },
    },
    vma_flags: {
      description: 'Which rights the VMA gives now',
      entry: 'findVma',
      on: { vma: { target: 'folio_test_dirty', actions: 'noteRights' } },
    },
    folio_test_dirty: {
      description: 'A pte that may be written is dirty if the folio is',
      entry: 'readFolio',
      on: { 'page.counts': { target: 'restore_exclusive_pte', actions: 'noteDirty' } },
    },
    restore_exclusive_pte: {
      description: "The parent's pte is present again, and goes on as such",
      on: {
        step: [
          { guard: 'keepsMapcount', target: 'copy_present_ptes', actions: ['restorePte', 'unlockFolio'] },
          { target: 'copy_present_ptes', actions: ['addParentRmap', 'restorePte', 'unlockFolio'] },
        ],
      },
    },
    ptep_set_wrprotect: {
      description: 'The page is shared from here, and the parent may not store through this pte any more',
      on: { step: { actions: ['get', 'addRmap', 'shareFolio', 'protectParent'] }, pte: { target: 'set_pte_at', actions: 'notePte' } },
    },
    set_pte_at: { description: "The child's pte", on: { step: { target: 'pte_unmap_unlock', actions: 'setChild' } } },
    copy_device_private: {
      description: 'A page in the memory of a device: a mapping more, and neither entry allows a store',
      on: { step: { target: 'pte_unmap_unlock', actions: ['get', 'addRmap', 'shareFolio', 'shareEntry', 'copyEntry'] } },
    },
    copy_nonpresent_pte: {
      description: 'A swap or migration entry is copied',
      on: { step: { target: 'pte_unmap_unlock', actions: ['shareEntry', 'copyEntry'] } },
    },
    pte_unmap_unlock: {
      description: 'Drops the page-table lock',
      on: {
        step: [
          { guard: 'isUnused', target: 'folio_put', actions: 'unlockPtl' },
          { target: 'end_of_ptes', actions: 'unlockPtl' },
        ],
      },
    },
    folio_put: { description: 'The page was unpinned meanwhile: no copy', entry: 'callPut', on: { return: { target: 'end_of_ptes' } } },
    end_of_ptes: {
      description: 'The notification is over before the flush',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' }, { target: 'flush_tlb_mm' }],
    },
    mmu_notifier_invalidate_range_end: { description: 'Secondary MMUs may fault again', entry: 'callEnd', on: { return: { target: 'flush_tlb_mm' } } },
    flush_tlb_mm: {
      description: "The parent's TLBs may still store; after a failure too",
      entry: 'callFlush',
      on: { return: [{ guard: 'isBusy', target: 'mmap_write_unlock_failed' }, { target: 'mmap_write_unlock' }] },
    },
    mmap_write_unlock: {
      description: 'The child runs from here',
      on: { step: { target: 'idle', actions: ['unlockMm', 'observeFork', 'wakeUpNewTask', 'return', 'forget'] } },
    },
    mmap_write_unlock_failed: { description: 'There is no child', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
