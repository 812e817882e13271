import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';
import type { RecordContents } from '../memory/protection-record.js';

/** Where a folio may be mapped, as the rmap walk finds it. */
export interface RmapItem {
  mm: Address;
  vpn: number;
  ptl: Address;
}

/** What the walk has left to flush: by the batch, or put off by LUF. */
export interface UnmapResult {
  /** CPUs that the batch must flush. */
  cpus: Address[];
  /** A dirty pte was among them, so that a store may still come. */
  writable: boolean;
  /** CPUs whose flush is put off. */
  lazyCpus: Address[];
}

interface Input {
  /** The table of flushes that are put off; null: a kernel without LUF. */
  lufBatch: Address | null;
  debug: Address | null;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
  /** A page may be protected, and its record knows where it is mapped (rmap_walk_ksm); default: none is. */
  asksRecord?: boolean;
}

interface Context extends Required<Input> {
  caller: Address;
  pfn: number;
  mapping: Address | null;
  index: number;
  /** What is left in place of each pte. */
  leaves: 'none' | 'swap' | 'migration';
  items: RmapItem[];
  pte: Pte;
  mask: Address[];
  /** tlb_ubc_ro: CPUs of read-only ptes. */
  readOnly: Address[];
  /** CPUs of the others. */
  others: Address[];
  writable: boolean;
  /** PageAnonExclusive, which goes into the entry. */
  exclusive: boolean;
  /** The debt is recorded after the lock is dropped. */
  late: boolean;
  /** Where its flush was put off so far. */
  places: { mm: Address; vpn: number }[];
  /** A writable pte was among them. */
  anyWrite: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; mapping: Address | null; index: number; leaves: Context['leaves']; items: RmapItem[] }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'page.counts'; exclusive?: boolean }>
  | Signed<{ type: 'folio.mapping'; record: Address | null } | RecordContents>
  | Signed<{ type: 'locked' } | { type: 'tlb_gen'; gen: number } | { type: 'cpumask'; cpus: Address[] }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = {
  caller: '',
  pfn: -1,
  mapping: null,
  index: -1,
  leaves: 'none' as const,
  items: [] as RmapItem[],
  pte: none,
  mask: [] as Address[],
  readOnly: [] as Address[],
  others: [] as Address[],
  writable: false,
  late: false,
  exclusive: false,
  places: [] as { mm: Address; vpn: number }[],
  anyWrite: false,
};
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
const notifierOf = (context: Context): Address | null => context.notifiers[item(context).mm] ?? null;
const union = (a: Address[], b: Address[]): Address[] => [...new Set([...a, ...b])].sort();
const qualifies = ({ others, lufBatch }: Context): boolean => lufBatch !== null && others.length === 0;

/**
 * try_to_unmap and try_to_migrate with TTU_BATCH_FLUSH (mm/rmap.c, 6.12), R4b to R4f, pte by pte: clear under the
 * page-table lock, take a generation, note who must be flushed, leave a swap or migration entry. With LUF the flush of
 * read-only ptes is put off, and recorded under the lock. Called with the folio and where it may be mapped; returns what
 * is left to flush ({@link UnmapResult}). Place by place secondary MMUs are told, before the page-table lock is taken and after it is
 * dropped. Since 6.15 a device-exclusive entry is a mapping like others, but that there is nothing to flush. Domain table part 2, 1a,
 * 1b, 1e; rows L2, L10 to L12, L17.
 */
export const tryToUnmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    asksRecord: ({ context }) => context.asksRecord,
    /** Safeguard (part 2, 1f, U2): page->mapping of a protected page says nothing of its mappings; the record does. */
    knowsRecord: ({ event }) => received(event, 'folio.mapping').record !== null,
    allWalked: ({ context }) => context.items.length === 0,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    isDevexcl: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devexcl' && pte.pfn === context.pfn;
    },
    /** A page in the memory of a device is migrated like others; reclaim does not know it. */
    isDevpriv: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return context.leaves === 'migration' && pte.kind === 'devpriv' && pte.pfn === context.pfn;
    },
    /** Up to 6.14 a device-exclusive entry stands for a reference, and for no mapcount: the rmap walk leaves it where it is. */
    keepsMapcount: () => true,
    isMapped: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
    /** Safeguard (row L17): who keeps the address space under another PCID compares generations when it comes back. */
    takesGen: () => true,
    /** Safeguard (rows L10, L11): munmap and mprotect must know that a flush is still to come. */
    marksPending: () => true,
    isPlainKernel: ({ context }) => context.lufBatch === null,
    /** Safeguard (row L2): through a writable entry a CPU can still store. */
    isWritable: ({ context }) => context.pte.kind === 'present' && context.pte.write,
    /** Safeguard (row L12): a debt that is recorded after the lock is dropped is not seen by who takes it next. */
    recordsUnderPtl: () => true,
    recordsLate: ({ context }) => context.late,
    isDirtyEntry: ({ context }) => context.leaves !== 'none' && context.pte.kind === 'present' && context.pte.dirty,
    isDirty: ({ context }) => context.pte.kind === 'present' && context.pte.dirty,
    leavesEntry: ({ context }) => context.leaves !== 'none',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, mapping, index, leaves, items } = received(event, 'call');
      return { caller: from, pfn, mapping, index, leaves, items };
    }),
    readMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mapping' }),
    readRecord: tell(({ event }) => received(event, 'folio.mapping').record as Address, { type: 'record.read' }),
    noteItems: assign({ items: ({ event }) => received(event, 'record.contents').items }),
    callStart: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    callEnd: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    noteEntry: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    clearEntry: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.clear', vpn: item(context).vpn }),
    ),
    lockPtl: tell(({ context }) => item(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => item(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: item(context).vpn }),
    ),
    clearPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: item(context).vpn }),
    ),
    notePte: assign({ pte: ({ event }) => mappingPte(received(event, 'pte').pte) }),
    incGen: tell(({ context }) => item(context).mm, { type: 'tlb_gen.inc' }),
    readMask: tell(({ context }) => item(context).mm, { type: 'cpumask.read' }),
    noteMask: assign({ mask: ({ event }) => received(event, 'cpumask').cpus }),
    markPending: tell(({ context }) => item(context).mm, { type: 'tlb_flush_batched.inc' }),
    addReadOnly: assign({ readOnly: ({ context }) => union(context.readOnly, context.mask) }),
    addOthers: assign({
      others: ({ context }) => union(context.others, context.mask),
      writable: ({ context }) => context.writable || (context.pte.kind === 'present' && context.pte.dirty),
    }),
    record: tell(
      ({ context }) => context.lufBatch as Address,
      ({ context }) => ({ type: 'luf_batch.record', cpus: context.mask }),
    ),
    delayRecord: assign({ late: true }),
    addPlace: assign({
      places: ({ context }) => [...context.places, { mm: item(context).mm, vpn: item(context).vpn }],
      anyWrite: ({ context }) => context.anyWrite || (context.pte.kind === 'present' && context.pte.write),
    }),
    observeUnmap: inform(
      ({ context }) => context.debug,
      ({ context }) => {
        const { pfn, mapping, index, mask } = context;
        const { mm, vpn } = item(context);
        return { type: 'luf.unmap', pfn, mapping, index, places: [{ mm, vpn }], cpus: mask };
      },
    ),
    observeSkip: inform(
      ({ context }) => (qualifies(context) && context.places.length > 0 ? context.debug : null),
      ({ context }) => {
        const { pfn, mapping, index, places, readOnly, anyWrite } = context;
        return { type: 'luf.skip', pfn, mapping, index, places, cpus: readOnly, write: anyWrite };
      },
    ),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: ({ event }) => received(event, 'page.counts').exclusive === true }),
    shareFolio: tell(({ context }) => pageAt(context.pfn), { type: 'folio.set_exclusive', exclusive: false }),
    dirtyFolio: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mark_dirty' }),
    setEntry: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: item(context).vpn,
        pte:
          context.leaves === 'swap'
            ? { kind: 'swap', slot: context.index, ...(context.exclusive ? { exclusive: true } : {}) }
            : {
                kind: 'migration',
                pfn: context.pfn,
                write: (context.pte.kind === 'present' || context.pte.kind === 'devpriv') && context.pte.write,
                ...(context.exclusive ? { exclusive: true } : {}),
              },
      }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.remove_rmap' }),
    put: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    nextItem: assign({ items: ({ context }) => context.items.slice(1), pte: none, mask: [], late: false, exclusive: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => {
        const lazy = qualifies(context);
        const result: UnmapResult = {
          cpus: lazy ? [] : union(context.others, context.readOnly),
          writable: context.writable,
          lazyCpus: lazy ? context.readOnly : [],
        };
        return { type: 'return', ...result };
      },
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'try_to_unmap',
  context: ({ input }) => ({ notifiers: {}, asksRecord: false, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'folio_raw_mapping', actions: 'remember' } } },
    folio_raw_mapping: {
      description: 'Who knows where it is mapped?',
      always: [{ guard: 'asksRecord', target: 'folio_test_ksm' }, { target: 'rmap_walk' }],
    },
    folio_test_ksm: {
      description: 'Is it protected? Under the folio lock it stays so, or not',
      entry: 'readMapping',
      on: { 'folio.mapping': [{ guard: 'knowsRecord', target: 'rmap_walk_ksm', actions: 'readRecord' }, { target: 'rmap_walk' }] },
    },
    rmap_walk_ksm: { description: 'The record has all its places', on: { 'record.contents': { target: 'rmap_walk', actions: 'noteItems' } } },
    rmap_walk: {
      description: 'R4: the next place where it may be mapped',
      always: [
        { guard: 'allWalked', target: 'idle', actions: ['observeSkip', 'return', 'forget'] },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'page_vma_mapped_walk' },
      ],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'R4a: secondary MMUs drop the page here',
      entry: 'callStart',
      on: { return: { target: 'page_vma_mapped_walk' } },
    },
    page_vma_mapped_walk: { description: 'R4b: takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'R4b: is the folio mapped here?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapped', target: 'ptep_get_and_clear' },
          { guard: 'isDevexcl', target: 'is_device_exclusive_entry', actions: 'noteEntry' },
          { guard: 'isDevpriv', target: 'pte_clear', actions: 'noteEntry' },
          { target: 'page_vma_mapped_walk_done' },
        ],
      },
    },
    is_device_exclusive_entry: {
      description: 'R4b: does the entry map the folio?',
      always: [{ guard: 'keepsMapcount', target: 'pte_clear' }, { target: 'page_vma_mapped_walk_done' }],
    },
    pte_clear: {
      description: 'R4c: no TLB leads to the page: clears the entry, and notes nobody',
      on: { step: { target: 'leave_entry', actions: 'clearEntry' } },
    },
    ptep_get_and_clear: {
      description: 'R4c: reads and clears the pte, in one access',
      on: {
        step: { actions: 'clearPte' },
        pte: [
          { guard: 'takesGen', target: 'inc_mm_tlb_gen', actions: 'notePte' },
          { target: 'mm_cpumask', actions: 'notePte' },
        ],
      },
    },
    inc_mm_tlb_gen: {
      description: 'R4d: arch_tlbbatch_add_pending takes a generation: who switches to the address space later flushes what it has kept',
      on: { step: { actions: 'incGen' }, tlb_gen: { target: 'mm_cpumask' } },
    },
    mm_cpumask: {
      description: 'R4d: who may have it cached goes into the batch, and the address space has a flush pending',
      on: {
        step: { actions: 'readMask' },
        cpumask: [
          { guard: 'marksPending', target: 'should_defer_flush', actions: ['noteMask', 'markPending'] },
          { target: 'should_defer_flush', actions: 'noteMask' },
        ],
      },
    },
    should_defer_flush: {
      description: 'R4d: read-only, and LUF: put off; else into the batch',
      always: [
        { guard: 'isPlainKernel', target: 'leave_entry', actions: 'addOthers' },
        { guard: 'isWritable', target: 'leave_entry', actions: 'addOthers' },
        { guard: 'recordsUnderPtl', target: 'leave_entry', actions: ['addReadOnly', 'addPlace', 'record', 'observeUnmap'] },
        { target: 'leave_entry', actions: ['addReadOnly', 'addPlace', 'delayRecord', 'observeUnmap'] },
      ],
    },
    leave_entry: {
      description: 'R4e: D goes to the folio; a swap or migration entry, or none',
      always: [
        { guard: 'isDirtyEntry', target: 'folio_try_share_anon_rmap_pte', actions: 'dirtyFolio' },
        { guard: 'isDirty', target: 'folio_remove_rmap_pte', actions: 'dirtyFolio' },
        { guard: 'leavesEntry', target: 'folio_try_share_anon_rmap_pte' },
        { target: 'folio_remove_rmap_pte' },
      ],
    },
    folio_try_share_anon_rmap_pte: {
      description: 'R4e: that it was exclusive is in the entry from here',
      entry: 'readCounts',
      on: { 'page.counts': { target: 'set_pte_at', actions: ['noteExclusive', 'shareFolio'] } },
    },
    set_pte_at: { description: 'R4e: the entry', on: { step: { target: 'folio_remove_rmap_pte', actions: 'setEntry' } } },
    folio_remove_rmap_pte: {
      description: 'R4e, R4f: drops the mapping and its reference, and the page-table lock',
      on: {
        step: [
          { guard: 'recordsLate', target: 'luf_record', actions: ['removeRmap', 'put', 'unlockPtl'] },
          { target: 'place_done', actions: ['removeRmap', 'put', 'unlockPtl'] },
        ],
      },
    },
    luf_record: {
      description: 'Row L12: records the debt only now',
      on: { step: { target: 'place_done', actions: ['markPending', 'record'] } },
    },
    page_vma_mapped_walk_done: { description: 'R4f: not mapped here', on: { step: { target: 'place_done', actions: 'unlockPtl' } } },
    place_done: {
      description: 'R4f: the notification is over, and the next place',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'rmap_walk', actions: 'nextItem' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'R4f: secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'rmap_walk', actions: 'nextItem' } },
    },
  },
});
