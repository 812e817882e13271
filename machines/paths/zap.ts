import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type PmdReply, type PresentPte, type Pte, type PteReply, pageAt, pmdIndex } from '../memory/address-space.js';

interface Input {
  /** The CPU it runs on. */
  cpu: Address;
  mm: Address;
  ptl: Address;
  flush: Address;
  putPage: Address;
  /** put_page of a page of a device's own memory, which goes back to its driver; default: no page is there. */
  putDevicePage?: Address | null;
  /** flush_tlb_batched_pending; default: nobody defers flushes. */
  batchedPending?: Address;
  /** Pages that a batch takes; a full one is flushed and freed before the next pass. Default: as many as there are. */
  batchSize?: number;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** Row D12. */
  folioLocks?: Record<string, Address>;
  /** remove_device_exclusive_entry, for row D12f. */
  restoreExclusive?: Address | null;
  /** It unmaps a file: the dirty bit of a pte goes to the folio, which is unlinked from the pte only after the flush. */
  file?: boolean;
  /** A pmd may map a folio of several pages; default: none does. */
  mapsHuge?: boolean;
  /**
   * How page-table pages are freed: `rcu` by a callback after a grace period; `sync` each at once, after an IPI that every
   * CPU has answered, as when there is no memory for a batch; `direct` with the pages, right after the flush.
   */
  freeing?: 'rcu' | 'sync' | 'direct';
  /** For `rcu` and `sync`. */
  tables?: { rcu: Address; callback: Address; interconnect: Address; cpus: Address[] };
}

/** What munmap asks for besides: the VMA goes. */
export interface UnlinkVma {
  /** The file whose mapping ends; null: anonymous. */
  mapping: Address | null;
  /** VM_PFNMAP: its pages belong to a driver. */
  pfnmap?: boolean;
  /** Page-table pages that nothing else uses go too: a virtual page number in each. */
  tables?: number[];
}

/** How secondary MMUs are told: munmap, and the OOM reaper, which may not sleep for them, say UNMAP; all others CLEAR. */
interface Notification {
  event: 'UNMAP' | 'CLEAR';
  blockable: boolean;
  vpns: number[];
}

interface Context extends Required<Omit<Input, 'tables' | 'batchedPending'>> {
  batchedPending: Address | null;
  tables: Input['tables'] | null;
  caller: Address;
  unlink: UnlinkVma | null;
  /** Pages not looked at yet. */
  vpns: number[];
  /** null: nobody is told. */
  notification: Notification | null;
  /** Secondary MMUs have dropped what is cleared here; false: one of them would have had to sleep for it. */
  ok: boolean;
  pte: Pte;
  /** Range to flush. */
  cleared: number[] | 'all';
  /** Ordinary pages whose reference is dropped after the flush. */
  batch: number[];
  /** Of these, the ones whose mapcount is dropped after the flush too (delayed rmap). */
  delayed: number[];
  freedTables: boolean;
  tableBatch: Address[];
  /** The flush of this pass was forced: the batch is freed before the next. */
  forced: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpns: number[]; unlink?: UnlinkVma; event?: Notification['event']; blockable?: boolean }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply | PmdReply>
  | Signed<{ type: 'locked' } | { type: 'gathers'; pending: number } | { type: 'ipi.done' }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const gather = { cleared: [] as number[], batch: [] as number[], delayed: [] as number[], freedTables: false, tableBatch: [] as Address[], forced: false };
const idle = { caller: '', unlink: null, vpns: [] as number[], notification: null, ok: true, pte: none, ...gather };
const pfnOf = ({ pte }: Context): number => (pte.kind === 'present' || pte.kind === 'devexcl' || pte.kind === 'devpriv' ? pte.pfn : -1);
const lockOf = (context: Context): Address => context.folioLocks[pfnOf(context)] as Address;
const vpnOf = ({ vpns }: Context): number => vpns[0] as number;
const isOfLeaf = (context: Context, vpn: number): boolean => pmdIndex(vpn) === pmdIndex(vpnOf(context));

/**
 * unmap_page_range with its mmu_gather (mm/memory.c, mm/mmu_gather.c; 6.12, 7.3), Z1 to Z15: clear the ptes under the
 * page-table lock, flush, and only then drop the pages' references and free page tables. Ptes that are special hold no
 * reference: up to 6.16 the struct page of a dax pte is never touched here. Secondary MMUs are told before the ptes are cleared, and
 * after, within the gather (zap_page_range_single, unmap_vmas). A huge leaf goes as a whole: a range that has only a part of it, for which
 * it would have to be split, is not modelled. Called with the pages, and by munmap with what of the VMA goes;
 * returns `{ ok }`: only who asks them not to sleep is refused. Domain table part 2, 1e (zap), rows D11 to D12f.
 */
export const zap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (Z3, Z12): a flush that comes before the clear can be undone by a walk. */
    clearsBeforeFlush: () => true,
    defersFlushes: ({ context }) => context.batchedPending !== null,
    hasNotifier: ({ context }) => context.notification !== null,
    isStarted: ({ event }) => received(event, 'return').ok !== false,
    /** Row D12: the folio is locked under the page-table lock, as if that were no spinlock. */
    locksDevexclUnderPtl: () => false,
    /** Row D12f: the entry is restored under the folio lock first, for which the page-table lock is dropped. */
    restoresDevexcl: () => false,
    isDevexclEntry: ({ event }) => received(event, 'pte').pte.kind === 'devexcl',
    isDevexcl: ({ context }) => context.pte.kind === 'devexcl',
    isDevpriv: ({ context }) => context.pte.kind === 'devpriv',
    /** Up to 6.14 a device-exclusive entry stands for a reference, and for no mapcount. */
    keepsMapcount: () => true,
    /** Row B10: who holds the lock with interrupts off keeps others waiting for an IPI. */
    disablesIrqs: () => false,
    /** Safeguard (Z3): the walker may set D between a load and a store. */
    exchangesPte: () => true,
    /** vm_normal_page: a pte that stands for a reference and a mapcount. */
    isNormal: ({ context }) => context.pte.kind === 'present' && !context.pte.special,
    isPresent: ({ context }) => context.pte.kind === 'present',
    mapsHuge: ({ context }) => context.mapsHuge,
    isHuge: ({ event }) => received(event, 'pmd').kind === 'huge',
    isDirtyFile: ({ context }) => context.file && context.pte.kind === 'present' && !context.pte.special && context.pte.dirty,
    batchFull: ({ context }) => context.batch.length >= context.batchSize,
    hasDelayed: ({ context }) => context.delayed.length > 0,
    morePtes: ({ context }) => context.vpns.length > 0,
    /** Safeguard (Z9): once the VMA is unlinked its driver cannot find it to flush, and frees the pages. */
    flushesPfnmap: ({ context }) => context.unlink?.pfnmap === true && context.cleared.length > 0,
    unlinksFile: ({ context }) => (context.unlink?.mapping ?? null) !== null,
    moreTables: ({ context }) => (context.unlink?.tables ?? []).length > 0,
    isLinked: ({ event }) => received(event, 'pmd').table !== null,
    hasBatchMemory: ({ context }) => context.freeing !== 'sync',
    /** Safeguard (Z13): hardware walkers do not answer IPIs; what they have cached must be invalidated first. */
    invalidatesTable: () => true,
    /** Safeguard (Z12 before Z14): nothing is freed that a TLB still translates to. */
    flushesBeforeFree: () => true,
    /** Safeguard (Z11): ptes that another gather has cleared look like none to this one, and may be cached still. */
    isNested: ({ event }) => received(event, 'gathers').pending > 1,
    needsFlush: ({ context }) => context.cleared.length > 0 || context.freedTables,
    freesTablesByRcu: ({ context }) => context.freeing === 'rcu' && context.tableBatch.length > 0,
    hasBatch: ({ context }) => context.batch.length > 0,
    mayFreeBatch: ({ context }) => context.forced && context.batch.length > 0,
    hasTableBatch: ({ context }) => context.tableBatch.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns, unlink } = received(event, 'call');
      return { caller: from, vpns, unlink: unlink ?? null };
    }),
    noteNotification: assign({
      notification: ({ context, event }) => {
        const { vpns, event: kind = 'CLEAR', blockable = true } = received(event, 'call');
        return context.notifier === null ? null : { event: kind, blockable, vpns };
      },
    }),
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => {
        const { event, blockable, vpns } = context.notification as Notification;
        return { type: 'call', phase: 'start', event, owner: null, vpns, ...(blockable ? {} : { blockable }) };
      },
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => {
        const { event, vpns } = context.notification as Notification;
        return { type: 'call', phase: 'end', event, owner: null, vpns };
      },
    ),
    noteRefused: assign({ ok: false }),
    gatherBegin: tell(({ context }) => context.mm, { type: 'gather.begin' }),
    readGathers: tell(({ context }) => context.mm, { type: 'gather.read' }),
    widenToAll: assign({ cleared: 'all', freedTables: true }),
    gatherEnd: tell(({ context }) => context.mm, { type: 'gather.end' }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    irqsOff: tell(({ context }) => context.cpu, { type: 'irq.save' }),
    irqsOn: tell(({ context }) => context.cpu, { type: 'irq.restore' }),
    callBatched: tell(({ context }) => context.batchedPending as Address, { type: 'call' }),
    exchange: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: vpnOf(context) }),
    ),
    load: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: vpnOf(context) }),
    ),
    storeNone: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.clear', vpn: vpnOf(context) }),
    ),
    notePte: assign({ pte: ({ event }) => mappingPte(received(event, 'pte').pte) }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    callRestore: tell(
      ({ context }) => context.restoreExclusive as Address,
      ({ context }) => ({ type: 'call', vpn: vpnOf(context), pfn: pfnOf(context) }),
    ),
    callPutEntry: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: pfnOf(context), pinned: false }),
    ),
    callPutPrivate: tell(
      ({ context }) => context.putDevicePage as Address,
      ({ context }) => ({ type: 'call', pfn: pfnOf(context), pinned: false }),
    ),
    forgetPte: assign({ pte: none }),
    /** Safeguard (Z4): what is not in the range is not flushed. */
    widen: assign({ cleared: ({ context }) => (context.cleared === 'all' ? 'all' : [...context.cleared, vpnOf(context)]) }),
    addToBatch: assign({ batch: ({ context }) => [...context.batch, pfnOf(context)] }),
    nextPte: assign({ vpns: ({ context }) => context.vpns.slice(1), pte: none }),
    markDirty: tell(({ context }) => pageAt(pfnOf(context)), { type: 'folio.mark_dirty' }),
    readPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.read', vpn: vpnOf(context) }),
    ),
    exchangeLeaf: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.get_and_clear', vpn: vpnOf(context) }),
    ),
    noteLeaf: assign({ pte: ({ event }) => received(event, 'pmd').pte as PresentPte }),
    widenByLeaf: assign({
      cleared: ({ context }) => (context.cleared === 'all' ? 'all' : [...context.cleared, ...context.vpns.filter((vpn) => isOfLeaf(context, vpn))]),
    }),
    nextLeaf: assign({ vpns: ({ context }) => context.vpns.filter((vpn) => !isOfLeaf(context, vpn)), pte: none }),
    delayRmap: assign({ delayed: ({ context }) => [...context.delayed, pfnOf(context)] }),
    removeRmap: tell(({ context }) => pageAt(pfnOf(context)), { type: 'folio.remove_rmap' }),
    removeDelayedRmap: tell(({ context }) => pageAt(context.delayed[0] as number), { type: 'folio.remove_rmap' }),
    nextDelayed: assign({ delayed: ({ context }) => context.delayed.slice(1) }),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: context.cleared, freedTables: context.freedTables }),
    ),
    callFlushEarly: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    resetRange: assign({ cleared: [], freedTables: false }),
    noteForced: assign({ forced: true }),
    endPass: assign({ forced: false }),
    unlinkFile: tell(({ context }) => context.unlink?.mapping as Address, { type: 'mapping.unlink' }),
    clearPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.clear', vpn: context.unlink?.tables?.[0] }),
    ),
    addTable: assign(({ context, event }) => ({
      freedTables: true,
      tableBatch: [...context.tableBatch, received(event, 'pmd').table as Address],
    })),
    nextPmd: assign({ unlink: ({ context }) => ({ ...(context.unlink as UnlinkVma), tables: context.unlink?.tables?.slice(1) ?? [] }) }),
    syncCpus: tell(
      ({ context }) => context.tables?.interconnect as Address,
      ({ context }) => ({
        type: 'ipi.send',
        to: context.tables?.cpus.filter((cpu) => cpu !== context.cpu),
        request: { function: 'tlb_remove_table_smp_sync' },
      }),
    ),
    waitForCpus: tell(({ context }) => context.tables?.interconnect as Address, { type: 'ipi.wait' }),
    freeTable: tell(({ context }) => context.tableBatch[0] as Address, { type: 'table.free' }),
    nextTable: assign({ tableBatch: ({ context }) => context.tableBatch.slice(1) }),
    handTablesOver: tell(
      ({ context }) => context.tables?.callback as Address,
      ({ context }) => ({ type: 'tables', tables: context.tableBatch }),
    ),
    callRcu: tell(
      ({ context }) => context.tables?.rcu as Address,
      ({ context }) => ({ type: 'call_rcu', callback: context.tables?.callback }),
    ),
    forgetTables: assign({ tableBatch: [] }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.batch[0], pinned: false }),
    ),
    dropFirst: assign({ batch: ({ context }) => context.batch.slice(1) }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'unmap_page_range',
  context: ({ input }) => ({
    batchSize: Number.MAX_SAFE_INTEGER,
    file: false,
    mapsHuge: false,
    freeing: 'direct',
    putDevicePage: null,
    notifier: null,
    folioLocks: {},
    restoreExclusive: null,
    ...input,
    tables: input.tables ?? null,
    batchedPending: input.batchedPending ?? null,
    ...idle,
  }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'tlb_gather_mmu', actions: ['remember', 'noteNotification'] } } },
    tlb_gather_mmu: {
      description: 'Z1: one more gather is under way',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start', actions: 'gatherBegin' },
          { target: 'unmap_single_vma', actions: 'gatherBegin' },
        ],
      },
    },
    mmu_notifier_invalidate_range_start: {
      description: 'Secondary MMUs drop what is to be cleared; one that would have to sleep may refuse who may not',
      entry: 'callStart',
      on: {
        return: [
          { guard: 'isStarted', target: 'unmap_single_vma' },
          { target: 'tlb_finish_mmu', actions: 'noteRefused' },
        ],
      },
    },
    unmap_single_vma: {
      description: 'The ptes; only then the flush',
      always: [{ guard: 'clearsBeforeFlush', target: 'pte_offset_map_lock' }, { target: 'flush_before_clear' }],
    },
    flush_before_clear: {
      description: 'Row B2: flushes what it is about to clear',
      entry: 'callFlushEarly',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
    pte_offset_map_lock: {
      description: 'Z2: takes the page-table lock',
      on: {
        step: [
          { guard: 'disablesIrqs', target: 'spin_on_ptl', actions: ['irqsOff', 'lockPtl'] },
          { target: 'spin_on_ptl', actions: 'lockPtl' },
        ],
      },
    },
    spin_on_ptl: {
      description: 'Spins while another has it',
      on: { locked: [{ guard: 'defersFlushes', target: 'flush_tlb_batched_pending' }, { target: 'zap_pmd_range' }] },
    },
    flush_tlb_batched_pending: {
      description: 'Z2: a flush that reclaim has put into a batch is done now',
      entry: 'callBatched',
      on: { return: { target: 'zap_pmd_range' } },
    },
    zap_pmd_range: {
      description: 'Z2: a table of ptes, or a huge leaf?',
      always: [{ guard: 'mapsHuge', target: 'pmd_trans_huge' }, { target: 'zap_pte_range' }],
    },
    pmd_trans_huge: {
      description: 'The lock keeps it as it is',
      entry: 'readPmd',
      on: { pmd: [{ guard: 'isHuge', target: 'zap_huge_pmd' }, { target: 'zap_pte_range' }] },
    },
    zap_huge_pmd: {
      description: 'Z3: reads and clears the leaf, in one access',
      on: { step: { actions: 'exchangeLeaf' }, pmd: { target: 'tlb_remove_pmd_tlb_entry', actions: 'noteLeaf' } },
    },
    tlb_remove_pmd_tlb_entry: {
      description: 'Z4, Z6: all of it is to be flushed; the folio goes into the batch once',
      always: [
        { guard: 'isNormal', target: 'folio_remove_rmap_pmd', actions: ['widenByLeaf', 'addToBatch'] },
        { target: 'next_pte', actions: ['widenByLeaf', 'nextLeaf'] },
      ],
    },
    folio_remove_rmap_pmd: {
      description: 'Z5: drops the mapcount, one for the leaf, also of a dirty one',
      on: {
        step: [
          { guard: 'isDirtyFile', target: 'folio_mark_dirty_pmd', actions: 'removeRmap' },
          { target: 'next_pte', actions: ['removeRmap', 'nextLeaf'] },
        ],
      },
    },
    folio_mark_dirty_pmd: { description: 'Z5: the dirty bit goes to the folio', on: { step: { target: 'next_pte', actions: ['markDirty', 'nextLeaf'] } } },
    zap_pte_range: {
      description: 'Z3: reads and clears the next pte; rows D12 and D12f look for a device-exclusive entry first',
      always: [
        { guard: 'locksDevexclUnderPtl', target: 'is_device_exclusive_entry' },
        { guard: 'restoresDevexcl', target: 'is_device_exclusive_entry' },
        { target: 'ptep_clear' },
      ],
    },
    is_device_exclusive_entry: {
      description: 'Rows D12, D12f: may a device have the page for itself?',
      entry: 'load',
      on: { pte: [{ guard: 'isDevexclEntry', target: 'lock_device_exclusive', actions: 'notePte' }, { target: 'ptep_clear' }] },
    },
    lock_device_exclusive: {
      description: 'Rows D12, D12f: the device has mapped it when its driver unlocks the folio',
      always: [{ guard: 'restoresDevexcl', target: 'end_of_ptes' }, { target: 'folio_lock' }],
    },
    folio_lock: { description: 'Row D12: locks the folio', on: { step: { target: 'folio_wait_locked', actions: 'lockFolio' } } },
    folio_wait_locked: { description: 'Row D12: sleeps under the page-table lock while another has it locked', on: { locked: { target: 'ptep_clear' } } },
    ptep_clear: {
      description: 'Z3: an exchange, or a load and a store',
      always: [{ guard: 'exchangesPte', target: 'ptep_get_and_clear' }, { target: 'ptep_get' }],
    },
    ptep_get_and_clear: {
      description: 'Z3: in one access, an exchange',
      on: { step: { actions: 'exchange' }, pte: { target: 'zap_present_pte', actions: 'notePte' } },
    },
    ptep_get: { description: 'Row B13: a load first', on: { step: { actions: 'load' }, pte: { target: 'pte_clear', actions: 'notePte' } } },
    pte_clear: { description: 'Row B13: then a store of none', on: { step: { target: 'zap_present_pte', actions: 'storeNone' } } },
    zap_present_pte: {
      description: 'Z4 to Z6: widens the range to flush; an ordinary page goes into the batch, its reference kept',
      always: [
        { guard: 'isDirtyFile', target: 'folio_mark_dirty', actions: ['widen', 'addToBatch'] },
        { guard: 'isNormal', target: 'folio_remove_rmap_pte', actions: ['widen', 'addToBatch'] },
        { guard: 'isPresent', target: 'next_pte', actions: ['widen', 'nextPte'] },
        { guard: 'isDevexcl', target: 'zap_nonpresent_ptes' },
        { guard: 'isDevpriv', target: 'folio_remove_rmap_private' },
        { target: 'next_pte', actions: 'nextPte' },
      ],
    },
    zap_nonpresent_ptes: {
      description: 'A device-exclusive entry: no TLB leads to its page, so there is nothing to flush',
      always: [{ guard: 'keepsMapcount', target: 'folio_remove_rmap_entry' }, { target: 'device_exclusive_locked' }],
    },
    folio_remove_rmap_entry: {
      description: 'Since 6.15 it stands for a mapcount',
      on: { step: { target: 'device_exclusive_locked', actions: 'removeRmap' } },
    },
    device_exclusive_locked: {
      description: 'Row D12 has the folio locked',
      always: [{ guard: 'locksDevexclUnderPtl', target: 'folio_unlock' }, { target: 'folio_put' }],
    },
    folio_unlock: { description: 'Row D12: unlocks the folio', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: {
      description: 'It stands for a reference, which is dropped at once',
      entry: 'callPutEntry',
      on: { return: { target: 'next_pte', actions: 'nextPte' } },
    },
    folio_remove_rmap_private: {
      description: 'A page in the memory of a device: no TLB leads to it either; its entry stands for a mapcount',
      on: { step: { target: 'folio_put_private', actions: 'removeRmap' } },
    },
    folio_put_private: {
      description: 'And for a reference; with the last one the page goes back to the driver',
      entry: 'callPutPrivate',
      on: { return: { target: 'next_pte', actions: 'nextPte' } },
    },
    folio_mark_dirty: {
      description: 'Z5: the dirty bit goes to the folio; its mapcount is dropped after the flush, since the entry may be used until then',
      on: { step: { target: 'next_pte', actions: ['markDirty', 'delayRmap', 'nextPte'] } },
    },
    folio_remove_rmap_pte: { description: 'Z5: drops the mapcount', on: { step: { target: 'next_pte', actions: ['removeRmap', 'nextPte'] } } },
    next_pte: {
      description: 'Goes on with the next pte, unless the batch is full',
      always: [{ guard: 'batchFull', target: 'force_flush' }, { guard: 'morePtes', target: 'zap_pmd_range' }, { target: 'end_of_ptes' }],
    },
    end_of_ptes: { description: 'All ptes are cleared', always: [{ guard: 'hasDelayed', target: 'force_flush' }, { target: 'pte_unmap_unlock' }] },
    force_flush: {
      description: 'Z7: the flush cannot wait: there is no room for more pages, or a mapcount waits for it',
      always: [
        { guard: 'needsFlush', target: 'tlb_flush_mmu_tlbonly', actions: 'noteForced' },
        { target: 'tlb_flush_rmaps', actions: 'noteForced' },
      ],
    },
    tlb_flush_mmu_tlbonly: {
      description: 'Z7: flushes under the page-table lock',
      entry: 'callFlush',
      on: { return: { target: 'tlb_flush_rmaps', actions: 'resetRange' } },
    },
    tlb_flush_rmaps: {
      description: 'Z7: the delayed mapcounts',
      always: [{ guard: 'hasDelayed', target: 'folio_remove_rmap_delayed' }, { target: 'pte_unmap_unlock' }],
    },
    folio_remove_rmap_delayed: { description: 'Z7: drops one', on: { step: { target: 'tlb_flush_rmaps', actions: ['removeDelayedRmap', 'nextDelayed'] } } },
    pte_unmap_unlock: {
      description: 'Z8: drops the page-table lock',
      on: {
        step: [
          { guard: 'disablesIrqs', target: 'end_of_pass', actions: ['unlockPtl', 'irqsOn'] },
          { target: 'end_of_pass', actions: 'unlockPtl' },
        ],
      },
    },
    end_of_pass: {
      description: 'Z8: what a forced flush has covered is freed; then the next pass',
      always: [
        { guard: 'mayFreeBatch', target: 'free_flushed_page' },
        { guard: 'isDevexcl', target: 'remove_device_exclusive_entry' },
        { guard: 'morePtes', target: 'pte_offset_map_lock', actions: 'endPass' },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end', actions: 'endPass' },
        { target: 'ptes_cleared', actions: 'endPass' },
      ],
    },
    remove_device_exclusive_entry: {
      description: 'Row D12f: sleeps until the folio is unlocked, and makes the pte present; then the next pass',
      entry: 'callRestore',
      on: { return: { target: 'end_of_pass', actions: 'forgetPte' } },
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again; what a TLB still has is flushed later',
      entry: 'callEnd',
      on: { return: { target: 'ptes_cleared' } },
    },
    ptes_cleared: {
      description: 'What is left is the flush, and what goes with the VMA',
      always: [{ guard: 'flushesPfnmap', target: 'tlb_free_vmas' }, { target: 'free_pgtables' }],
    },
    free_flushed_page: { description: 'Z8: page by page', entry: 'callPut', on: { return: { target: 'end_of_pass', actions: 'dropFirst' } } },
    tlb_free_vmas: {
      description: 'Z9: a PFNMAP VMA is flushed while its driver can still find it',
      entry: 'callFlush',
      on: { return: { target: 'free_pgtables', actions: 'resetRange' } },
    },
    free_pgtables: {
      description: 'Z10: munmap takes the VMA out of the file',
      always: [{ guard: 'unlinksFile', target: 'unlink_file_vma' }, { target: 'free_pte_range' }],
    },
    unlink_file_vma: { description: 'Z10: the file no longer knows the mapping', on: { step: { target: 'free_pte_range', actions: 'unlinkFile' } } },
    free_pte_range: {
      description: 'Z10: page-table pages that nothing else uses',
      always: [{ guard: 'moreTables', target: 'pmd_clear' }, { target: 'tlb_finish_mmu' }],
    },
    pmd_clear: {
      description: 'Z10: unlinks one',
      on: {
        step: { actions: 'clearPmd' },
        pmd: [
          { guard: 'isLinked', target: 'tlb_remove_table', actions: ['addTable', 'nextPmd'] },
          { target: 'free_pte_range', actions: 'nextPmd' },
        ],
      },
    },
    tlb_remove_table: {
      description: 'Z10: into the table batch; where there is no memory for one, it is freed at once',
      always: [
        { guard: 'hasBatchMemory', target: 'free_pte_range' },
        { guard: 'invalidatesTable', target: 'tlb_table_invalidate' },
        { target: 'tlb_remove_table_sync_one' },
      ],
    },
    tlb_table_invalidate: {
      description: 'Z13: hardware walkers forget it',
      entry: 'callFlush',
      on: { return: { target: 'tlb_remove_table_sync_one', actions: 'resetRange' } },
    },
    tlb_remove_table_sync_one: {
      description: 'Z13: an empty IPI to every CPU: software walkers run with interrupts off',
      on: { step: { target: 'csd_lock_wait', actions: 'syncCpus' } },
    },
    csd_lock_wait: { description: 'Spins until every CPU has answered', entry: 'waitForCpus', on: { 'ipi.done': { target: 'tlb_remove_table_one' } } },
    tlb_remove_table_one: { description: 'Z13: frees the page-table page', on: { step: { target: 'free_pte_range', actions: ['freeTable', 'nextTable'] } } },
    tlb_finish_mmu: {
      description: 'The end of the gather',
      always: [
        { guard: 'flushesBeforeFree', target: 'mm_tlb_flush_nested' },
        { guard: 'hasBatch', target: 'free_before_flush' },
        { target: 'mm_tlb_flush_nested' },
      ],
    },
    free_before_flush: {
      description: 'Row B1: the pages go first',
      entry: 'callPut',
      on: { return: { target: 'tlb_finish_mmu', actions: 'dropFirst' } },
    },
    mm_tlb_flush_nested: {
      description: 'Z11: another gather is under way on this mm: everything is flushed, whoever cleared it',
      on: {
        step: { actions: 'readGathers' },
        gathers: [
          { guard: 'isNested', target: 'tlb_flush_mmu', actions: 'widenToAll' },
          { guard: 'needsFlush', target: 'tlb_flush_mmu' },
          { target: 'tlb_table_flush' },
        ],
      },
    },
    tlb_flush_mmu: { description: 'Z12: flushes what was cleared', entry: 'callFlush', on: { return: { target: 'tlb_table_flush', actions: 'resetRange' } } },
    tlb_table_flush: { description: 'Z13: the table batch', always: [{ guard: 'freesTablesByRcu', target: 'call_rcu' }, { target: 'tlb_batch_pages_flush' }] },
    call_rcu: {
      description: 'Z13: it is freed after a grace period, which waits for gup-fast, since that runs with interrupts off',
      on: { step: { target: 'tlb_batch_pages_flush', actions: ['handTablesOver', 'callRcu', 'forgetTables'] } },
    },
    tlb_batch_pages_flush: {
      description: 'Z14: after the flush the references go, and page tables that are freed as pages are',
      always: [
        { guard: 'hasBatch', target: 'free_pages_and_swap_cache' },
        { guard: 'hasTableBatch', target: 'free_table_page' },
        { target: 'tlb_finish_mmu_end' },
      ],
    },
    free_pages_and_swap_cache: {
      description: 'Z14: page by page',
      entry: 'callPut',
      on: { return: { target: 'tlb_batch_pages_flush', actions: 'dropFirst' } },
    },
    free_table_page: { description: 'Z14: frees the page-table page', on: { step: { target: 'tlb_batch_pages_flush', actions: ['freeTable', 'nextTable'] } } },
    tlb_finish_mmu_end: { description: 'Z15: the gather is over', on: { step: { target: 'idle', actions: ['gatherEnd', 'return', 'forget'] } } },
  },
});
