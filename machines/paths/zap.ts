import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  flush: Address;
  putPage: Address;
}

interface Context extends Input {
  caller: Address;
  /** Pages that it was called with. */
  range: number[];
  /** Pages not looked at yet. */
  vpns: number[];
  /** Range to flush. */
  cleared: number[];
  /** Ordinary pages whose reference is dropped after the flush. */
  batch: number[];
}

type Event = { type: 'step' } | Call<{ vpns: number[] }> | Return | Signed<PteReply> | Signed<{ type: 'locked' } | { type: 'gathers'; pending: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', range: [] as number[], vpns: [] as number[], cleared: [] as number[], batch: [] as number[] };

/**
 * unmap_page_range with its mmu_gather (mm/memory.c, mm/mmu_gather.c; 6.12, 7.3), Z1 to Z15: clear the ptes under the
 * page-table lock, flush, and only then drop the pages' references. Device ptes that are special hold none: up to 6.16
 * the struct page of a dax pte is never touched here.
 */
export const zap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** vm_normal_page: a pte that stands for a reference and a mapcount. */
    isNormal: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && !pte.special;
    },
    present: ({ event }) => received(event, 'pte').pte.kind === 'present',
    morePtes: ({ context }) => context.vpns.length > 0,
    /** Safeguard (Z11): ptes that another gather has cleared look like none to this one, and may be cached still. */
    isNested: ({ event }) => received(event, 'gathers').pending > 1,
    hasCleared: ({ context }) => context.cleared.length > 0,
    hasBatch: ({ context }) => context.batch.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, range: vpns, vpns };
    }),
    gatherBegin: tell(({ context }) => context.mm, { type: 'gather.begin' }),
    readGathers: tell(({ context }) => context.mm, { type: 'gather.read' }),
    widen: assign({ cleared: ({ context }) => context.range }),
    gatherEnd: tell(({ context }) => context.mm, { type: 'gather.end' }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    clear: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpns[0] }),
    ),
    noteCleared: assign({ cleared: ({ context }) => [...context.cleared, context.vpns[0] as number], vpns: ({ context }) => context.vpns.slice(1) }),
    noteNormal: assign({
      batch: ({ context, event }) => {
        const { pte } = received(event, 'pte');
        return pte.kind === 'present' ? [...context.batch, pte.pfn] : context.batch;
      },
    }),
    skip: assign({ vpns: ({ context }) => context.vpns.slice(1) }),
    removeRmap: tell(({ context }) => pageAt(context.batch.at(-1) as number), { type: 'folio.remove_rmap' }),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: context.cleared }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.batch[0], pinned: false }),
    ),
    dropFirst: assign({ batch: ({ context }) => context.batch.slice(1) }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'unmap_page_range',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'tlb_gather_mmu', actions: 'remember' } } },
    tlb_gather_mmu: { description: 'Z1: one more gather is under way', on: { step: { target: 'pte_offset_map_lock', actions: 'gatherBegin' } } },
    pte_offset_map_lock: { description: 'Z2: takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get_and_clear' } } },
    ptep_get_and_clear: {
      description: 'Z3, Z4: exchanges the pte with none, widens the range to flush',
      on: {
        step: { actions: 'clear' },
        pte: [
          { guard: 'isNormal', target: 'folio_remove_rmap_pte', actions: ['noteCleared', 'noteNormal'] },
          { guard: 'present', target: 'next_pte', actions: 'noteCleared' },
          { target: 'next_pte', actions: 'skip' },
        ],
      },
    },
    folio_remove_rmap_pte: {
      description: 'Z5, Z6: drops the mapcount; the reference goes into the batch',
      on: { step: { target: 'next_pte', actions: 'removeRmap' } },
    },
    next_pte: { description: 'Goes on with the next pte', always: [{ guard: 'morePtes', target: 'ptep_get_and_clear' }, { target: 'pte_unmap_unlock' }] },
    pte_unmap_unlock: { description: 'Z8: drops the page-table lock', on: { step: { target: 'mm_tlb_flush_nested', actions: 'unlockPtl' } } },
    mm_tlb_flush_nested: {
      description: 'Z11: another gather is under way on this mm: everything in the range is flushed, whoever cleared it',
      on: {
        step: { actions: 'readGathers' },
        gathers: [
          { guard: 'isNested', target: 'tlb_flush_mmu', actions: 'widen' },
          { guard: 'hasCleared', target: 'tlb_flush_mmu' },
          { target: 'tlb_finish_mmu' },
        ],
      },
    },
    tlb_flush_mmu: { description: 'Z12: flushes what was cleared', entry: 'callFlush', on: { return: { target: 'tlb_batch_pages_flush' } } },
    tlb_batch_pages_flush: {
      description: 'Z14: after the flush the references go',
      always: [{ guard: 'hasBatch', target: 'free_pages_and_swap_cache' }, { target: 'tlb_finish_mmu' }],
    },
    free_pages_and_swap_cache: {
      description: 'Z14: page by page',
      entry: 'callPut',
      on: { return: { target: 'tlb_batch_pages_flush', actions: 'dropFirst' } },
    },
    tlb_finish_mmu: { description: 'Z15: the gather is over', on: { step: { target: 'idle', actions: ['gatherEnd', 'return', 'forget'] } } },
  },
});
