import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLock: Address;
  flush: Address;
  putPage: Address;
}

/** Where a page of the folio was mapped, and how. */
interface Place {
  vpn: number;
  pte: Pte;
}

interface Context extends Input {
  caller: Address;
  /** The head. */
  pfn: number;
  /** Pages of the folio. */
  nr: number;
  /** Where it may be mapped, as far as not looked at yet. */
  vpns: number[];
  pte: Pte;
  /** What was unmapped and is to be mapped again. */
  places: Place[];
  ok: boolean;
  /** Pages whose reference it holds. */
  held: number[];
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; vpns: number[] }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'folio.nr_pages'; nr: number }>
  | Signed<{ type: 'folio.ref_freeze'; result: 'frozen' | 'busy' }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', pfn: -1, nr: 0, vpns: [] as number[], pte: none, places: [] as Place[], ok: false, held: [] as number[] };
const vpnOf = ({ vpns }: Context): number => vpns[0] as number;
const placeOf = ({ places }: Context): Place => places[0] as Place;
/** The page that a pte maps; null: none. */
const mapped = (pte: Pte): number | null => {
  const mapping = mappingPte(pte);
  return mapping.kind === 'present' ? mapping.pfn : null;
};
const isOfFolio = ({ pfn, nr }: Context, page: number | null): boolean => page !== null && page >= pfn && page < pfn + nr;
const isWritable = (pte: Pte): boolean => pte.kind === 'present' && pte.write;
/** The folio of the page that was mapped here: after the split the page is its own. */
const home = (context: Context): number => (context.ok ? (mapped(placeOf(context).pte) as number) : context.pfn);
/** Who has write-protected the place meanwhile has changed the entry. */
const restored = ({ pte, places }: Context): Pte => {
  const before = (places[0] as Place).pte;
  return before.kind === 'present' && pte.kind === 'migration' ? { ...before, write: before.write && pte.write } : before;
};

/**
 * split_huge_page (split_huge_page_to_list_to_order; mm/huge_memory.c, 6.12) of an anonymous folio that ptes map: migration entries in
 * place of the ptes (unmap_folio, try_to_migrate_one), each flushed under the page-table lock, which later kernels do once for all before
 * the freeze (try_to_unmap_flush); if nobody else holds a reference, each page becomes a folio of its own; then the ptes come back as they
 * were (remap_page). PageAnonExclusive stays as it is: a pin that keeps it is a reference, too, with which the freeze fails. Called with
 * the head, and with the virtual pages where it may be mapped; returns `{ ok }`. Domain table, 1a (G8c), row D4.
 */
export const splitHugePage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isLarge: ({ event }) => received(event, 'folio.nr_pages').nr > 1,
    allWalked: ({ context }) => context.vpns.length === 0,
    isMapped: ({ context, event }) => isOfFolio(context, mapped(received(event, 'pte').pte)),
    gotFrozen: ({ event }) => received(event, 'folio.ref_freeze').result === 'frozen',
    noPlaces: ({ context }) => context.places.length === 0,
    isEntry: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'migration' && pte.pfn === mapped(placeOf(context).pte);
    },
    holdsPages: ({ context }) => context.held.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, vpns } = received(event, 'call');
      return { caller: from, pfn, vpns, held: [pfn] };
    }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    lockFolio: tell(({ context }) => context.folioLock, { type: 'lock' }),
    unlockFolio: tell(({ context }) => context.folioLock, { type: 'unlock' }),
    readNr: tell(({ context }) => pageAt(context.pfn), { type: 'folio.nr_pages' }),
    noteNr: assign({ nr: ({ event }) => received(event, 'folio.nr_pages').nr }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: vpnOf(context) }),
    ),
    exchange: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: vpnOf(context) }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [vpnOf(context)] }),
    ),
    setEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: vpnOf(context), pte: { kind: 'migration', pfn: mapped(context.pte), write: isWritable(context.pte) } }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.remove_rmap' }),
    putMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    notePlace: assign({ places: ({ context }) => [...context.places, { vpn: vpnOf(context), pte: context.pte }] }),
    nextVpn: assign({ vpns: ({ context }) => context.vpns.slice(1), pte: none }),
    freeze: tell(({ context }) => pageAt(context.pfn), { type: 'folio.freeze', expected: 1 }),
    split: tell(({ context }) => pageAt(context.pfn), { type: 'folio.split', refcount: 1 }),
    unfreeze: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unfreeze', refcount: 1 }),
    noteSplit: assign({ ok: true, held: ({ context }) => Array.from({ length: context.nr }, (_, index) => context.pfn + index) }),
    readEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: placeOf(context).vpn }),
    ),
    getHome: tell(({ context }) => pageAt(home(context)), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(home(context)), { type: 'folio.add_rmap' }),
    restorePte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: placeOf(context).vpn, pte: restored(context) }),
    ),
    nextPlace: assign({ places: ({ context }) => context.places.slice(1), pte: none }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.held[0], pinned: false }),
    ),
    nextHeld: assign({ held: ({ context }) => context.held.slice(1) }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'split_huge_page',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'folio_try_get', actions: 'remember' } } },
    folio_try_get: {
      description: 'A reference of its own, as the callers have (deferred_split_scan); none left: it is on its way out',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': { target: 'folio_lock' },
        'folio.frozen': { target: 'idle', actions: ['return', 'forget'] },
      },
    },
    folio_lock: { description: 'Locks the folio', on: { step: { target: 'folio_wait_locked', actions: 'lockFolio' } } },
    folio_wait_locked: { description: 'Sleeps while another has it', on: { locked: { target: 'folio_test_large' } } },
    folio_test_large: {
      description: 'One that another has split by now is left alone; the lock keeps it as it is',
      entry: 'readNr',
      on: { 'folio.nr_pages': [{ guard: 'isLarge', target: 'unmap_folio', actions: 'noteNr' }, { target: 'folio_unlock' }] },
    },
    unmap_folio: {
      description: 'The next place where a page of it may be mapped',
      always: [{ guard: 'allWalked', target: 'folio_ref_freeze' }, { target: 'page_vma_mapped_walk' }],
    },
    page_vma_mapped_walk: { description: 'try_to_migrate_one: takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Does the pte map a page of the folio?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isMapped', target: 'ptep_get_and_clear' }, { target: 'page_vma_mapped_walk_done' }] },
    },
    page_vma_mapped_walk_done: { description: 'Not mapped here', on: { step: { target: 'unmap_folio', actions: ['unlockPtl', 'nextVpn'] } } },
    ptep_get_and_clear: {
      description: 'ptep_clear_flush: reads and clears the pte, in one access',
      on: { step: { actions: 'exchange' }, pte: { target: 'ptep_clear_flush', actions: 'notePte' } },
    },
    ptep_clear_flush: {
      description: 'Flushes before the entry is there; with IPIs it waits for who walks with interrupts off',
      entry: 'callFlush',
      on: { return: { target: 'set_pte_at' } },
    },
    set_pte_at: { description: 'A migration entry: who faults on it waits', on: { step: { target: 'folio_remove_rmap_pte', actions: 'setEntry' } } },
    folio_remove_rmap_pte: {
      description: 'Drops the mapping and its reference, and the page-table lock',
      on: { step: { target: 'unmap_folio', actions: ['removeRmap', 'putMapping', 'unlockPtl', 'notePlace', 'nextVpn'] } },
    },
    folio_ref_freeze: {
      description: 'Nobody else refers to it? Then nobody can until the end of the split',
      on: { step: { actions: 'freeze' }, 'folio.ref_freeze': [{ guard: 'gotFrozen', target: 'split_huge_page_tail' }, { target: 'remap_page' }] },
    },
    split_huge_page_tail: {
      description: '__split_huge_page: each tail becomes a folio of its own, with one reference',
      on: { step: { target: 'folio_ref_unfreeze', actions: 'split' } },
    },
    folio_ref_unfreeze: {
      description: '__split_huge_page: the head has its reference again',
      on: { step: { target: 'remap_page', actions: ['unfreeze', 'noteSplit'] } },
    },
    remap_page: {
      description: 'remove_migration_ptes: place by place, a pte again',
      always: [{ guard: 'noPlaces', target: 'folio_unlock' }, { target: 'remap_walk' }],
    },
    remap_walk: { description: 'Takes the page-table lock', on: { step: { target: 'remap_spin_on_ptl', actions: 'lockPtl' } } },
    remap_spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_entry' } } },
    check_entry: {
      description: 'Is the entry there still?',
      entry: 'readEntry',
      on: {
        pte: [
          { guard: 'isEntry', target: 'remove_migration_pte', actions: 'notePte' },
          { target: 'remap_page', actions: ['unlockPtl', 'nextPlace'] },
        ],
      },
    },
    remove_migration_pte: {
      description: 'Maps the page again, for its own folio, by the same pte as before',
      on: { step: { target: 'remap_page', actions: ['getHome', 'addRmap', 'restorePte', 'unlockPtl', 'nextPlace'] } },
    },
    folio_unlock: { description: 'Who waits for the migration looks again', on: { step: { target: 'free_page_and_swap_cache', actions: 'unlockFolio' } } },
    free_page_and_swap_cache: {
      description: 'The references that it has: of each page after the split, else of the head',
      always: [
        { guard: 'holdsPages', target: 'put_page' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    put_page: { description: 'Page by page', entry: 'callPut', on: { return: { target: 'free_page_and_swap_cache', actions: 'nextHeld' } } },
  },
});
