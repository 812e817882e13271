import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  /** flush_tlb_mm_range of its task, by address space. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
  /** The store buffer of its CPU; default: stores are seen by everybody in the order in which they are made. */
  storeBuffer?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  pfn: number;
  /** The page is to be shared: PageAnonExclusive goes. Copies that are only read leave it. */
  shares: boolean;
  /** Still to be protected. */
  items: RmapItem[];
  /** What is left in each pte so far; null: it did not map the page. */
  ptes: (Pte | null)[];
  pte: Pte;
  exclusive: boolean;
  ok: boolean;
}

interface Counts {
  refcount: number;
  mapcount: number;
  exclusive?: boolean;
  pinned?: boolean;
  file?: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; items: RmapItem[]; shares: boolean }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'page.counts' } & Counts>
  | Signed<{ type: 'locked' } | { type: 'gathers'; pending: number } | { type: 'fenced' }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = {
  caller: '',
  pfn: -1,
  shares: false,
  items: [] as RmapItem[],
  ptes: [] as (Pte | null)[],
  pte: none,
  exclusive: false,
  ok: true,
};
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
/** Read-only and clean. */
const protectedPte = (pte: Pte): Pte => {
  if (pte.kind === 'present') return { ...pte, write: false, dirty: false };
  return pte.kind === 'protnone' ? { ...pte, dirty: false } : pte;
};
const isDirty = (pte: Pte): boolean => (pte.kind === 'present' || pte.kind === 'protnone') && pte.dirty;

/**
 * write_protect_page (mm/ksm.c, 6.12), step 3 of domain table part 2, 1f, for each pte that maps the page: it is cleared and flushed, so
 * that gup-fast backs off or its reference counts already; then nobody may hold a reference but mappings, a cache, and the caller; the
 * page stops being exclusive, and the pte comes back read-only and clean. In the kernel there is one pte; several are a proposal. The
 * caller holds the folio lock and one reference. Returns `{ ok, ptes }`; ptes that were protected before one that could not be stay so.
 * Rows W1 to W3, W7, W15.
 */
export const writeProtectPage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    hasFailed: ({ context }) => !context.ok,
    allProtected: ({ context }) => context.items.length === 0,
    /** Safeguard (row W15), where somebody mirrors the address space: a device may be able to store, too. */
    notifies: ({ context }) => (context.notifiers[item(context).mm] ?? null) !== null,
    isMapped: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
    isWritable: ({ context }) => context.pte.kind === 'present' && context.pte.write,
    isDirty: ({ context }) => isDirty(context.pte),
    /** Since 5.19: a private page that any TLB lets a CPU store to is exclusive, and is not shared while it is pinned. */
    heedsExclusive: ({ context }) => context.exclusive,
    /** Safeguard (row W3): a pte that looks protected may have become so without a flush yet. */
    heedsPendingFlushes: () => true,
    isPending: ({ event }) => received(event, 'gathers').pending > 0,
    /** Safeguard (row W1): from the clear and the flush on gup-fast finds no pte that it could take the page by. */
    countsAfterClear: () => true,
    /** Safeguard (row W2): from here on no TLB lets a CPU store. */
    flushesAtProtect: () => true,
    isExpected: ({ event }) => {
      const { refcount, mapcount, file } = received(event, 'page.counts');
      return refcount === mapcount + 1 + (file ? 1 : 0);
    },
    sharesExclusive: ({ context }) => context.shares && context.exclusive,
    isPinned: ({ event }) => received(event, 'page.counts').pinned === true,
    /** Safeguard (row W7): gup-fast, which reads the pte and then the flag, must not see them change the other way round. */
    hasBarriers: () => true,
    hasStoreBuffer: ({ context }) => context.storeBuffer !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, items, shares } = received(event, 'call');
      return { caller: from, pfn, items, shares };
    }),
    callStart: tell(
      ({ context }) => context.notifiers[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.notifiers[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    lockPtl: tell(({ context }) => item(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => item(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: item(context).vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: true }),
    readGathers: tell(({ context }) => item(context).mm, { type: 'gather.read' }),
    clearPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: item(context).vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [item(context).vpn] }),
    ),
    putBack: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.set', vpn: item(context).vpn, pte: context.pte }),
    ),
    fail: assign({ ok: false }),
    shareFolio: tell(({ context }) => pageAt(context.pfn), { type: 'folio.set_exclusive', exclusive: false }),
    storeExclusive: tell(
      ({ context }) => context.storeBuffer as Address,
      ({ context: { pfn } }) => ({
        type: 'store',
        location: `${pageAt(pfn)}.exclusive`,
        to: pageAt(pfn),
        message: { type: 'folio.set_exclusive', exclusive: false },
      }),
    ),
    orderStores: inform(({ context }) => context.storeBuffer, { type: 'store.barrier' }),
    markDirty: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mark_dirty' }),
    setPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.set', vpn: item(context).vpn, pte: protectedPte(context.pte) }),
    ),
    storePte: tell(
      ({ context }) => context.storeBuffer as Address,
      ({ context }) => {
        const { mm, vpn } = item(context);
        return { type: 'store', location: `${mm}.pte${vpn}`, to: mm, message: { type: 'pte.set', vpn, pte: protectedPte(context.pte) } };
      },
    ),
    fence: tell(({ context }) => context.storeBuffer as Address, { type: 'fence' }),
    noteLeft: assign({ ptes: ({ context }) => [...context.ptes, protectedPte(context.pte)] }),
    noteSkipped: assign({ ptes: ({ context }) => [...context.ptes, null] }),
    nextItem: assign({ items: ({ context }) => context.items.slice(1), pte: none, exclusive: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok, ptes: context.ptes }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'write_protect_page',
  context: ({ input }) => ({ notifiers: {}, storeBuffer: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'next_item', actions: 'remember' } } },
    next_item: {
      description: 'The next pte that may map the page; secondary MMUs first',
      always: [
        { guard: 'hasFailed', target: 'idle', actions: ['return', 'forget'] },
        { guard: 'allProtected', target: 'idle', actions: ['return', 'forget'] },
        { guard: 'notifies', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'page_vma_mapped_walk' },
      ],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the page', entry: 'callStart', on: { return: { target: 'page_vma_mapped_walk' } } },
    page_vma_mapped_walk: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Does it map the page?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapped', target: 'page_anon_exclusive', actions: 'notePte' },
          { target: 'pte_unmap_unlock', actions: 'noteSkipped' },
        ],
      },
    },
    page_anon_exclusive: {
      description: 'Does nobody else map it?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isExclusive', target: 'may_be_stored_to', actions: 'noteExclusive' }, { target: 'may_be_stored_to' }] },
    },
    may_be_stored_to: {
      description: 'Could anybody store to it, or pin it for that?',
      always: [
        { guard: 'isWritable', target: 'entry_to_protect' },
        { guard: 'isDirty', target: 'entry_to_protect' },
        { guard: 'heedsExclusive', target: 'entry_to_protect' },
        { guard: 'heedsPendingFlushes', target: 'mm_tlb_flush_pending' },
        { target: 'entry_is_protected' },
      ],
    },
    mm_tlb_flush_pending: {
      description: 'Has somebody changed ptes that are not flushed yet? Asked under the page-table lock',
      entry: 'readGathers',
      on: { gathers: [{ guard: 'isPending', target: 'entry_to_protect' }, { target: 'entry_is_protected' }] },
    },
    entry_is_protected: {
      description: 'The pte stays as it is; up to 5.18 there is no flag, and so it is dropped here',
      always: [
        { guard: 'sharesExclusive', target: 'pte_unmap_unlock', actions: ['noteLeft', 'shareFolio'] },
        { target: 'pte_unmap_unlock', actions: 'noteLeft' },
      ],
    },
    entry_to_protect: {
      description: 'First the pte, then the count',
      always: [{ guard: 'countsAfterClear', target: 'ptep_clear_flush' }, { target: 'folio_ref_count_early' }],
    },
    folio_ref_count_early: {
      description: 'Row W1: counts while the page can still be got at',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isExpected', target: 'ptep_clear_flush' },
          { target: 'pte_unmap_unlock', actions: 'fail' },
        ],
      },
    },
    ptep_clear_flush: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: {
        step: { actions: 'clearPte' },
        pte: [
          { guard: 'flushesAtProtect', target: 'flush_tlb_page', actions: 'notePte' },
          { target: 'pte_is_cleared', actions: 'notePte' },
        ],
      },
    },
    flush_tlb_page: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'pte_is_cleared' } } },
    pte_is_cleared: {
      description: 'No new reference comes through this pte',
      always: [{ guard: 'countsAfterClear', target: 'folio_ref_count' }, { target: 'nobody_uses_it' }],
    },
    folio_ref_count: {
      description: 'One reference for each mapping, for a cache, and for the caller: anybody else uses the page, and may store to it',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'isExpected', target: 'nobody_uses_it' }, { target: 'set_pte_back' }],
      },
    },
    set_pte_back: { description: 'Somebody uses it: the pte comes back as it was', on: { step: { target: 'pte_unmap_unlock', actions: ['putBack', 'fail'] } } },
    nobody_uses_it: {
      description: 'From here on others may map it',
      always: [{ guard: 'sharesExclusive', target: 'it_was_exclusive' }, { target: 'folio_mark_dirty' }],
    },
    it_was_exclusive: {
      description: 'Up to 5.18 nobody looks at that, nor for pins',
      always: [
        { guard: 'heedsExclusive', target: 'folio_try_share_anon_rmap_pte' },
        { target: 'folio_mark_dirty', actions: 'shareFolio' },
      ],
    },
    folio_try_share_anon_rmap_pte: {
      description: 'Pinned meanwhile, by one who has seen the pte before? Read after the clear (smp_mb)',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'isPinned', target: 'set_pte_back' }, { target: 'clear_page_anon_exclusive' }],
      },
    },
    clear_page_anon_exclusive: {
      description: 'ClearPageAnonExclusive: who pins it to read from here on must unshare it',
      on: {
        step: [
          { guard: 'hasStoreBuffer', target: 'smp_mb_after_atomic', actions: 'storeExclusive' },
          { target: 'smp_mb_after_atomic', actions: 'shareFolio' },
        ],
      },
    },
    smp_mb_after_atomic: {
      description: 'The flag is seen to change before the pte does',
      always: [{ guard: 'hasBarriers', target: 'folio_mark_dirty', actions: 'orderStores' }, { target: 'folio_mark_dirty' }],
    },
    folio_mark_dirty: {
      description: 'D goes to the folio',
      always: [{ guard: 'isDirty', target: 'set_pte_at', actions: 'markDirty' }, { target: 'set_pte_at' }],
    },
    set_pte_at: {
      description: 'Read-only and clean',
      on: {
        step: [
          { guard: 'hasStoreBuffer', target: 'pte_unmap_unlock', actions: ['storePte', 'noteLeft'] },
          { target: 'pte_unmap_unlock', actions: ['setPte', 'noteLeft'] },
        ],
      },
    },
    pte_unmap_unlock: {
      description: 'Drops the page-table lock; whatever was stored before is seen by who takes it next (release)',
      on: {
        step: [
          { guard: 'hasStoreBuffer', target: 'store_buffer_drains', actions: 'fence' },
          { target: 'item_done', actions: 'unlockPtl' },
        ],
      },
    },
    store_buffer_drains: { description: 'Everything is in memory', on: { fenced: { target: 'item_done', actions: 'unlockPtl' } } },
    item_done: {
      description: 'The notification is over, and the next pte',
      always: [
        { guard: 'notifies', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'next_item', actions: 'nextItem' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault the page in again, to read it',
      entry: 'callEnd',
      on: { return: { target: 'next_item', actions: 'nextItem' } },
    },
  },
});
