import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type PmdReply, type PresentPte, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  flush: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  /** The virtual pages of the leaf, in order. */
  vpns: number[];
  /** The leaf as it was: of its first page, the head of the folio. */
  leaf: PresentPte;
  exclusive: boolean;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; vpns: number[] }>
  | Return
  | Signed<PmdReply>
  | Signed<{ type: 'locked' } | { type: 'page.counts'; pinned?: boolean; exclusive?: boolean }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, vpns: [] as number[], leaf: presentPte(-1), exclusive: false, ok: false };
const headOf = ({ leaf }: Context): Address => pageAt(leaf.pfn);

/**
 * set_pmd_migration_entry (mm/huge_memory.c, 6.12) with folio_try_share_anon_rmap_pmd (include/linux/rmap.h): takes an anonymous folio out
 * of the huge pmd that maps it, unless it is exclusive and pinned. The entry is not of the pmd here, but of each page, all set at once;
 * that the folio was exclusive goes into them. The caller holds a reference of the folio of its own. Called with a virtual page and with
 * all that the leaf maps; returns `{ ok }`, false also where no leaf is. Domain table, 1a (Dekker on the pin count), row D9.
 */
export const setPmdMigrationEntry = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isHuge: ({ event }) => received(event, 'pmd').kind === 'huge',
    /** Safeguard (row D9): who pins without locks, interrupts off, and has seen the leaf is done with it when the flush by IPI returns. */
    flushesBeforeLook: () => true,
    /** Safeguard (I5): a page that is pinned stays exclusive, or its owner's next store would go to a copy. */
    isBusy: ({ event }) => {
      const { exclusive, pinned } = received(event, 'page.counts');
      return exclusive === true && pinned === true;
    },
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, vpns } = received(event, 'call');
      return { caller: from, vpn, vpns };
    }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.read', vpn: context.vpn }),
    ),
    clearLeaf: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.get_and_clear', vpn: context.vpn }),
    ),
    noteLeaf: assign({ leaf: ({ event }) => received(event, 'pmd').pte as PresentPte }),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    readCounts: tell(({ context }) => headOf(context), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: true }),
    restoreLeaf: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.set_leaf', vpn: context.vpn, pte: context.leaf, nr: context.vpns.length }),
    ),
    share: tell(({ context }) => headOf(context), { type: 'folio.set_exclusive', exclusive: false }),
    setEntries: enqueueActions(({ enqueue, context }) => {
      for (const [index, vpn] of context.vpns.entries()) {
        const entry = { kind: 'migration', pfn: context.leaf.pfn + index, write: context.leaf.write, ...(context.exclusive ? { exclusive: true } : {}) };
        enqueue(tell(context.mm, { type: 'pte.set', vpn, pte: entry }));
      }
    }),
    removeRmap: tell(({ context }) => headOf(context), { type: 'folio.remove_rmap' }),
    putMapping: tell(({ context }) => headOf(context), { type: 'folio.ref_dec' }),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'set_pmd_migration_entry',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'page_vma_mapped_walk', actions: 'remember' } } },
    page_vma_mapped_walk: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pmd' } } },
    check_pmd: {
      description: 'Is it mapped by a leaf?',
      entry: 'readPmd',
      on: { pmd: [{ guard: 'isHuge', target: 'pmdp_huge_get_and_clear' }, { target: 'spin_unlock' }] },
    },
    pmdp_huge_get_and_clear: {
      description: 'pmdp_invalidate: reads and clears the leaf, in one access',
      on: {
        step: { actions: 'clearLeaf' },
        pmd: [
          { guard: 'flushesBeforeLook', target: 'pmdp_invalidate', actions: 'noteLeaf' },
          { target: 'folio_maybe_dma_pinned', actions: 'noteLeaf' },
        ],
      },
    },
    pmdp_invalidate: { description: 'Flushes, before the look', entry: 'callFlush', on: { return: { target: 'folio_maybe_dma_pinned' } } },
    folio_maybe_dma_pinned: {
      description: 'folio_try_share_anon_rmap_pmd: after the leaf, with a full barrier between: exclusive, and pinned?',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isBusy', target: 'set_pmd_at' },
          { guard: 'isExclusive', target: 'clear_anon_exclusive', actions: 'noteExclusive' },
          { target: 'make_migration_entry' },
        ],
      },
    },
    set_pmd_at: { description: 'Pinned: the leaf as it was', on: { step: { target: 'tlb_flushed', actions: 'restoreLeaf' } } },
    clear_anon_exclusive: { description: 'From here others may map it, too', on: { step: { target: 'make_migration_entry', actions: 'share' } } },
    make_migration_entry: {
      description: 'The entry: who faults on it waits; the mapping and its reference go',
      on: { step: { target: 'tlb_flushed', actions: ['setEntries', 'removeRmap', 'putMapping', 'succeed'] } },
    },
    tlb_flushed: {
      description: 'Row D9: no flush has been made yet',
      always: [{ guard: 'flushesBeforeLook', target: 'spin_unlock' }, { target: 'try_to_unmap_flush' }],
    },
    try_to_unmap_flush: { description: 'Row D9: the flush that was put off', entry: 'callFlush', on: { return: { target: 'spin_unlock' } } },
    spin_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'idle', actions: ['unlockPtl', 'return', 'forget'] } } },
  },
});
