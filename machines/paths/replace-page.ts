import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  /** flush_tlb_mm_range of its task, by address space. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
  putPage: Address;
}

interface Context extends Required<Input> {
  caller: Address;
  item: RmapItem;
  pfn: number;
  kpfn: number;
  /** What write_protect_page has left. */
  pte: Pte;
  /** The page that the pte mapped when it was taken; null: none. */
  replaced: number | null;
  ok: boolean;
}

type Event = { type: 'step' } | Call<{ item: RmapItem; pfn: number; kpfn: number; pte: Pte }> | Return | Signed<PteReply> | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const nowhere: RmapItem = { mm: '', vpn: -1, ptl: '' };
const idle = { caller: '', item: nowhere, pfn: -1, kpfn: -1, pte: none, replaced: null as number | null, ok: false };
const notifierOf = ({ notifiers, item }: Context): Address | null => notifiers[item.mm] ?? null;

/**
 * replace_page (mm/ksm.c, 6.12), step 5 of domain table part 2, 1f: where a pte maps a page that is write-protected, it maps from here on
 * another one with the same bytes. The caller holds the folio lock of the page that goes, and a reference of both. Returns `{ ok }`. Row W5.
 */
export const replacePage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    isUnchanged: ({ context, event }) => JSON.stringify(received(event, 'pte').pte) === JSON.stringify(context.pte),
    /** Safeguard (row W5): a fault may have put a copy in the place of the page, which was stored to since. */
    testsUnchanged: () => true,
    hasReplaced: ({ context }) => context.replaced !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, item, pfn, kpfn, pte } = received(event, 'call');
      return { caller: from, item, pfn, kpfn, pte };
    }),
    callStart: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.item.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.item.vpn] }),
    ),
    lockPtl: tell(({ context }) => context.item.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.item.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.item.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.item.vpn }),
    ),
    get: tell(({ context }) => pageAt(context.kpfn), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(context.kpfn), { type: 'folio.add_rmap' }),
    clearPte: tell(
      ({ context }) => context.item.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.item.vpn }),
    ),
    noteReplaced: assign({
      replaced: ({ event }) => {
        const pte = mappingPte(received(event, 'pte').pte);
        return pte.kind === 'present' ? pte.pfn : null;
      },
    }),
    callFlush: tell(
      ({ context }) => context.flush[context.item.mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [context.item.vpn] }),
    ),
    setPte: tell(
      ({ context }) => context.item.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.item.vpn, pte: presentPte(context.kpfn, { write: false }) }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.replaced as number), { type: 'folio.remove_rmap' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.replaced, pinned: false }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'replace_page',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mm_find_pmd', actions: 'remember' } } },
    mm_find_pmd: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'pte_offset_map_lock' }],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'They drop the page',
      entry: 'callStart',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'Is the pte as it was left?',
      entry: 'readPte',
      on: {
        pte: [{ guard: 'isUnchanged', target: 'ptep_clear_flush' }, { guard: 'testsUnchanged', target: 'pte_unmap_unlock' }, { target: 'ptep_clear_flush' }],
      },
    },
    ptep_clear_flush: {
      description: 'The page that stays has one more mapping; takes the pte',
      on: { step: { actions: ['get', 'addRmap', 'clearPte'] }, pte: { target: 'flush_tlb_page', actions: 'noteReplaced' } },
    },
    flush_tlb_page: {
      description: 'IPIs under the page-table lock: nobody reads the page that goes, which may be handed out',
      entry: 'callFlush',
      on: { return: { target: 'set_pte_at' } },
    },
    set_pte_at: { description: 'Maps the page that stays, read-only', on: { step: { target: 'folio_remove_rmap_pte', actions: 'setPte' } } },
    folio_remove_rmap_pte: {
      description: 'Drops the mapping of the page that goes, and the page-table lock',
      on: {
        step: [
          { guard: 'hasReplaced', target: 'folio_put', actions: ['removeRmap', 'unlockPtl', 'succeed'] },
          { target: 'out_mn', actions: ['unlockPtl', 'succeed'] },
        ],
      },
    },
    folio_put: { description: "The mapping's reference of it", entry: 'callPut', on: { return: { target: 'out_mn' } } },
    pte_unmap_unlock: { description: 'Another thread was faster: nothing is replaced', on: { step: { target: 'out_mn', actions: 'unlockPtl' } } },
    out_mn: {
      description: 'The notification is over',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
