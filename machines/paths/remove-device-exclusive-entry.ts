import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  /** mmu_notifier_invalidate_range of this task. */
  notifier: Address;
  putPage: Address;
  /** On whose behalf it is called; null, as in the kernel: nobody is told. */
  owner?: string | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  pfn: number;
  area: Area | null;
  pte: Pte;
  /** What is made present is dirty, as the folio is, or as the type of the entry says. */
  dirty: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; pfn: number }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'locked' }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'page.counts'; dirty?: boolean }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, pfn: -1, area: null, pte: none, dirty: false };
const isWritableEntry = (pte: Pte): boolean => pte.kind === 'devexcl' && pte.write !== false;
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;
const isAllowed = ({ area, pte }: Context): boolean => area?.write === true && isWritableEntry(pte);
const range = (context: Context, event: 'CLEAR' | 'EXCLUSIVE') => ({ event, owner: context.owner, vpns: [context.vpn] });

/**
 * remove_device_exclusive_entry (mm/memory.c; 6.15): a fault of a CPU, or of GUP, on a device-exclusive entry. With a reference, and the
 * folio locked, secondary MMUs drop the page; then the pte is made present again, with the rights that the VMA gives now. Called under
 * mmap_lock with the page and the frame that the entry names; the access is then tried again. Domain table part 2, 1e, E-restore.
 * That of 5.14 to 6.14 differs by {@link removeDeviceExclusiveEntry514}.
 */
export const removeDeviceExclusiveEntry = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (row D18; since 7c7b962938dd): the entry may go meanwhile, and its page with it. */
    takesReference: () => true,
    /** Up to 6.14 the notification is EXCLUSIVE. */
    notifiesClear: () => true,
    isUnchanged: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devexcl' && pte.pfn === context.pfn;
    },
    /** Up to 6.14 an entry stands for a reference, and for no mapcount. */
    keepsMapcount: () => true,
    /** Up to 6.14 an entry of the writable type is dirty, whatever the VMA allows now. */
    asksFolio: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, pfn } = received(event, 'call');
      return { caller: from, vpn, pfn };
    }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    startClear: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'start', ...range(context, 'CLEAR') }),
    ),
    startExclusive: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'start', ...range(context, 'EXCLUSIVE') }),
    ),
    endClear: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'end', ...range(context, 'CLEAR') }),
    ),
    endExclusive: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'call', phase: 'end', ...range(context, 'EXCLUSIVE') }),
    ),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    noteArea: assign({ area: ({ event }) => received(event, 'vma').area ?? null }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    readFolio: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    noteDirty: assign({ dirty: ({ context, event }) => isAllowed(context) && received(event, 'page.counts').dirty === true }),
    noteEntryDirty: assign({ dirty: ({ context }) => isWritableEntry(context.pte) }),
    addRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.add_rmap' }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: context.vpn,
        pte: presentPte(context.pfn, { write: isAllowed(context), dirty: context.dirty }),
      }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'remove_device_exclusive_entry',
  context: ({ input }) => ({ owner: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'page_from_entry', actions: 'remember' } } },
    page_from_entry: {
      description: 'The entry names the page; mmap_lock does not keep it there',
      always: [{ guard: 'takesReference', target: 'folio_try_get' }, { target: 'folio_lock' }],
    },
    folio_try_get: {
      description: 'A reference, unless the page is free by now: then the entry is gone too',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': { target: 'folio_lock' },
        'folio.frozen': { target: 'idle', actions: ['return', 'forget'] },
      },
    },
    folio_lock: {
      description: 'Locks the folio: while a driver has it locked, the entry stays',
      on: { step: { target: 'wait_for_folio_lock', actions: 'lockFolio' } },
    },
    wait_for_folio_lock: { description: 'Sleeps while another has it', on: { locked: { target: 'mmu_notifier_invalidate_range_start' } } },
    mmu_notifier_invalidate_range_start: {
      description: 'Secondary MMUs drop it',
      always: [{ guard: 'notifiesClear', target: 'invalidate_clear' }, { target: 'invalidate_exclusive' }],
    },
    invalidate_clear: { description: 'CLEAR: nobody filters it', entry: 'startClear', on: { return: { target: 'pte_offset_map_lock' } } },
    invalidate_exclusive: {
      description: 'Up to 6.14: EXCLUSIVE, with the owner NULL',
      entry: 'startExclusive',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'The entry still?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isUnchanged', target: 'vma_flags', actions: 'notePte' }, { target: 'pte_unmap_unlock' }] },
    },
    vma_flags: {
      description: 'Which rights the VMA gives now',
      entry: 'findVma',
      on: {
        vma: [
          { guard: 'asksFolio', target: 'folio_test_dirty', actions: 'noteArea' },
          { target: 'restore_exclusive_pte', actions: ['noteArea', 'noteEntryDirty'] },
        ],
      },
    },
    folio_test_dirty: {
      description: 'A pte that may be written is dirty if the folio is, so that the first store need not walk',
      entry: 'readFolio',
      on: { 'page.counts': { target: 'restore_exclusive_pte', actions: 'noteDirty' } },
    },
    restore_exclusive_pte: {
      description: 'A present pte again',
      on: {
        step: [
          { guard: 'keepsMapcount', target: 'pte_unmap_unlock', actions: 'setPte' },
          { target: 'pte_unmap_unlock', actions: ['addRmap', 'setPte'] },
        ],
      },
    },
    pte_unmap_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'folio_unlock', actions: 'unlockPtl' } } },
    folio_unlock: {
      description: 'Unlocks the folio',
      on: {
        step: [
          { guard: 'takesReference', target: 'folio_put', actions: 'unlockFolio' },
          { target: 'mmu_notifier_invalidate_range_end', actions: 'unlockFolio' },
        ],
      },
    },
    folio_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'mmu_notifier_invalidate_range_end' } } },
    mmu_notifier_invalidate_range_end: {
      description: 'The notification is over',
      always: [{ guard: 'notifiesClear', target: 'end_clear' }, { target: 'end_exclusive' }],
    },
    end_clear: { description: 'Devices may fault it in again', entry: 'endClear', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
    end_exclusive: { description: 'Devices may fault it in again', entry: 'endExclusive', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});

/**
 * Guards that make it that of 5.14 to 6.14: it notifies EXCLUSIVE with the owner NULL, puts the mapcount back, and makes a dirty pte of
 * an entry of the writable type.
 */
export const removeDeviceExclusiveEntry514 = { notifiesClear: () => false, keepsMapcount: () => false, asksFolio: () => false };
