import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/**
 * A page-table entry. `special`: core mm holds no reference on this pfn; `devmap`: the struct page may vanish; `protnone`: maps
 * a page that no CPU may access; `exclusive`: nobody else may map the private page that was here (pte_swp_exclusive). `devexcl`: a
 * device has the page for itself, with an atomic operation under way maybe; `write`: the writable type of entry, 5.14 to 6.14.
 * `devpriv`: the page is in the memory of a device, where no CPU reaches it.
 */
export type Pte =
  | { kind: 'none' }
  | { kind: 'present'; pfn: number; write: boolean; dirty: boolean; devmap: boolean; special: boolean }
  | { kind: 'protnone'; pfn: number; dirty: boolean }
  | { kind: 'swap'; slot: number; exclusive?: boolean }
  | { kind: 'migration'; pfn: number; write: boolean; exclusive?: boolean }
  | { kind: 'devexcl'; pfn: number; write?: boolean }
  | { kind: 'devpriv'; pfn: number; write: boolean };

export type PresentPte = Extract<Pte, { kind: 'present' }>;
export type DevexclPte = Extract<Pte, { kind: 'devexcl' }>;
/** `table`: the page-table page that a hardware walk went through; null for another reader, and where tables are not modelled. */
export type PteReply = { type: 'pte'; pte: Pte; table: Address | null };
/** `pte`: of a huge leaf, the translation of its first page. */
export type PmdReply = { type: 'pmd'; kind: 'table' | 'huge' | 'none'; table: Address | null; pte?: PresentPte };

/** What to flush (flush_tlb_info). `gen`: the generation that this flush brings a TLB to. */
export interface FlushRequest {
  mm: Address;
  vpns: number[] | 'all';
  /** Page tables go too: upper levels must not stay cached, not even on a lazy CPU. */
  freedTables: boolean;
  gen: number;
}

/** Ptes of a page-table page. */
const PTRS_PER_PTE = 512;
/** The number of the page-table page that holds the pte of `vpn`. */
export const pmdIndex = (vpn: number): number => Math.floor(vpn / PTRS_PER_PTE);
/** The first virtual page that it maps. */
export const pmdStart = (vpn: number): number => pmdIndex(vpn) * PTRS_PER_PTE;

/** The address of the actor that is page frame `pfn`. */
export const pageAt = (pfn: number): Address => `page${pfn}`;

/** A present pte of a file or device page; a dax pte up to 6.16 carries devmap and special. */
export const presentPte = (pfn: number, flags: Partial<Omit<PresentPte, 'kind' | 'pfn'>> = {}): PresentPte => ({
  kind: 'present',
  pfn,
  write: true,
  dirty: false,
  devmap: false,
  special: false,
  ...flags,
});

/** A pte without access maps its page all the same. */
export const mappingPte = (pte: Pte): Pte => (pte.kind === 'protnone' ? presentPte(pte.pfn, { write: false, dirty: pte.dirty }) : pte);

const none: Pte = { kind: 'none' };

/** What a VMA says of a virtual page. */
export interface Area {
  /** The file's page cache, or the swap cache for anonymous memory. */
  mapping: Address;
  index: number;
  anonymous: boolean;
  /** A private mapping of a file: a store goes to a copy. */
  private?: boolean;
  /** VM_READ (or VM_EXEC) and VM_WRITE. */
  read: boolean;
  write: boolean;
}

interface Context {
  /** Keyed by virtual page number. */
  ptes: Record<string, Pte>;
  /** Page-table pages by number; null: none. Tables that nobody frees need not be listed. */
  pmds: Record<string, Address | null>;
  /** Page-table pages by number in whose place a huge PMD maps the range. Its ptes are kept per page all the same, and a walk finds them. */
  huge: number[];
  /** Virtual page numbers that a VMA covers. */
  vmas: number[];
  /** What they say of it, where a fault handler asks; of one that munmap has taken out, as the rmap still finds it. */
  areas: Record<string, Area>;
  /** CPUs that may hold translations of it (mm_cpumask). */
  cpumask: Address[];
  /** mm.context.tlb_gen (x86). */
  tlbGen: number;
  /** Gathers under way (mm.tlb_flush_pending). */
  tlbFlushPending: number;
  /** tlb_flush_batched: batches of deferred flushes begun, and of these the ones known to be flushed. */
  tlbFlushBatched: { pending: number; flushed: number };
  hasPinned: boolean;
  writeProtectSeq: number;
  /** Who is told of every pte that is set; null: nobody. */
  observer: Address | null;
}

type Input = Pick<Context, 'ptes' | 'vmas' | 'cpumask'> & { pmds?: Context['pmds']; huge?: number[]; areas?: Context['areas']; observer?: Address };

type Event =
  | Signed<{ type: 'pte.read'; vpn: number } | { type: 'pte.walk'; vpn: number; write: boolean; table: Address | null }>
  | Signed<
      | { type: 'pte.get_and_clear'; vpn: number }
      | { type: 'pte.clear'; vpn: number }
      | { type: 'pte.wrprotect'; vpn: number }
      | { type: 'pte.set'; vpn: number; pte: Pte }
    >
  | Signed<
      | { type: 'pmd.read'; vpn: number }
      | { type: 'pmd.clear'; vpn: number }
      | { type: 'pmd.split'; vpn: number }
      | { type: 'pmd.get_and_clear'; vpn: number }
      | { type: 'pmd.set_leaf'; vpn: number; pte: PresentPte; nr: number }
    >
  | Signed<
      | { type: 'vma.find'; vpn: number }
      | { type: 'vma.link'; vpns: number[]; areas?: Context['areas'] }
      | { type: 'vma.protect'; vpns: number[]; read: boolean; write: boolean }
      | { type: 'vma.unlink'; vpns: number[] }
    >
  | Signed<{ type: 'tlb_gen.inc' } | { type: 'tlb_gen.read' } | { type: 'cpumask.read' } | { type: 'cpumask.set'; cpu: Address } | { type: 'cpumask.clear' }>
  | Signed<{ type: 'gather.begin' } | { type: 'gather.end' } | { type: 'gather.read' }>
  | Signed<{ type: 'tlb_flush_batched.inc' } | { type: 'tlb_flush_batched.read' } | { type: 'tlb_flush_batched.cmpxchg'; pending: number; flushed: number }>
  | Signed<{ type: 'has_pinned.set' } | { type: 'seqcount.read' }>;

const { reply, inform } = speaker<Context, Event>();

/** What a hardware walk leaves in the pte: a store sets D. */
const walked = (pte: Pte, write: boolean): Pte => (write && pte.kind === 'present' && pte.write ? { ...pte, dirty: true } : pte);
/** A huge leaf has one D bit. */
const dirtyLeaf = ({ ptes }: Context, within: number): Context['ptes'] =>
  Object.fromEntries(Object.entries(ptes).map(([vpn, pte]) => [vpn, pmdIndex(Number(vpn)) === pmdIndex(within) ? walked(pte, true) : pte]));
const withoutLeaf = ({ ptes }: Context, within: number): Context['ptes'] =>
  Object.fromEntries(Object.entries(ptes).filter(([vpn]) => pmdIndex(Number(vpn)) !== pmdIndex(within)));
const pteOf = (context: Context, vpn: number): Pte => context.ptes[vpn] ?? none;
/** undefined: not modelled. */
const tableOf = (context: Context, vpn: number): Address | null | undefined => context.pmds[pmdIndex(vpn)];
/** What a walk finds: through the table that it has cached, or through the pmd; a table that is unlinked is empty. */
const walkedPte = (context: Context, { vpn, table }: { vpn: number; table: Address | null }): Pte =>
  table === null && tableOf(context, vpn) === null ? none : pteOf(context, vpn);

/**
 * One address space (mm_struct): page table, VMAs, mm_cpumask and TLB generation. Every read or write of a pte is one
 * atomic access. Its locks (mmap_lock, the page-table lock) are actors of their own, since paths wait for them.
 */
export const addressSpace = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    replyPte: reply(({ context, event }) => {
      const { vpn } = received(event, 'pte.read', 'pte.get_and_clear', 'pte.wrprotect');
      return { type: 'pte', pte: pteOf(context, vpn), table: null };
    }),
    replyWalked: reply(({ context, event }) => {
      const walk = received(event, 'pte.walk');
      return { type: 'pte', pte: walked(walkedPte(context, walk), walk.write), table: walk.table ?? tableOf(context, walk.vpn) ?? null };
    }),
    markWalked: assign({
      ptes: ({ context, event }) => {
        const walk = received(event, 'pte.walk');
        const before = walkedPte(context, walk);
        const after = walked(before, walk.write);
        if (after === before) return context.ptes;
        return context.huge.includes(pmdIndex(walk.vpn)) ? dirtyLeaf(context, walk.vpn) : { ...context.ptes, [walk.vpn]: after };
      },
    }),
    clear: assign({ ptes: ({ context, event }) => ({ ...context.ptes, [received(event, 'pte.get_and_clear', 'pte.clear').vpn]: none }) }),
    wrprotect: assign({
      ptes: ({ context, event }) => {
        const { vpn } = received(event, 'pte.wrprotect');
        const pte = pteOf(context, vpn);
        return pte.kind === 'present' ? { ...context.ptes, [vpn]: { ...pte, write: false } } : context.ptes;
      },
    }),
    set: assign({
      ptes: ({ context, event }) => {
        const { vpn, pte } = received(event, 'pte.set');
        return { ...context.ptes, [vpn]: pte };
      },
    }),
    replyPmd: reply(({ context, event }) => {
      const { vpn } = received(event, 'pmd.read', 'pmd.clear', 'pmd.get_and_clear');
      const leaf = pteOf(context, pmdStart(vpn));
      if (context.huge.includes(pmdIndex(vpn))) return { type: 'pmd', kind: 'huge', table: null, ...(leaf.kind === 'present' ? { pte: leaf } : {}) };
      const table = tableOf(context, vpn);
      return { type: 'pmd', kind: table === null ? 'none' : 'table', table: table ?? null };
    }),
    splitPmd: assign({ huge: ({ context, event }) => context.huge.filter((index) => index !== pmdIndex(received(event, 'pmd.split').vpn)) }),
    clearLeaf: assign(({ context, event }) => {
      const { vpn } = received(event, 'pmd.get_and_clear');
      return {
        huge: context.huge.filter((index) => index !== pmdIndex(vpn)),
        ptes: withoutLeaf(context, vpn),
        pmds: { ...context.pmds, [pmdIndex(vpn)]: null },
      };
    }),
    setLeaf: assign(({ context, event }) => {
      const { vpn, pte, nr } = received(event, 'pmd.set_leaf');
      const leaf = Array.from({ length: nr }, (_, n) => [pmdStart(vpn) + n, { ...pte, pfn: pte.pfn + n }]);
      const { [pmdIndex(vpn)]: _, ...pmds } = context.pmds;
      return {
        huge: [...new Set([...context.huge, pmdIndex(vpn)])].sort((a, b) => a - b),
        ptes: { ...withoutLeaf(context, vpn), ...Object.fromEntries(leaf) },
        pmds,
      };
    }),
    clearPmd: assign({ pmds: ({ context, event }) => ({ ...context.pmds, [pmdIndex(received(event, 'pmd.clear').vpn)]: null }) }),
    replyVma: reply(({ context, event }) => {
      const { vpn } = received(event, 'vma.find');
      const area = context.areas[vpn];
      return { type: 'vma', result: context.vmas.includes(vpn) ? 'found' : 'none', ...(area ? { area } : {}) };
    }),
    link: assign({
      vmas: ({ context, event }) => [...new Set([...context.vmas, ...received(event, 'vma.link').vpns])].sort((a, b) => a - b),
      areas: ({ context, event }) => {
        const { vpns, areas } = received(event, 'vma.link');
        return { ...Object.fromEntries(Object.entries(context.areas).filter(([vpn]) => !vpns.includes(Number(vpn)))), ...areas };
      },
    }),
    protect: assign({
      areas: ({ context, event }) => {
        const { vpns, read, write } = received(event, 'vma.protect');
        return Object.fromEntries(Object.entries(context.areas).map(([vpn, area]) => [vpn, vpns.includes(Number(vpn)) ? { ...area, read, write } : area]));
      },
    }),
    observeSet: inform(
      ({ context }) => context.observer,
      ({ event }) => {
        const { vpn, pte, from } = received(event, 'pte.set');
        return { type: 'luf.pte_set', vpn, pte, by: from };
      },
    ),
    beginBatch: assign({ tlbFlushBatched: ({ context: { tlbFlushBatched } }) => ({ ...tlbFlushBatched, pending: tlbFlushBatched.pending + 1 }) }),
    replyBatched: reply(({ context }) => ({ type: 'tlb_flush_batched', ...context.tlbFlushBatched })),
    exchangeBatched: assign({
      tlbFlushBatched: ({ context: { tlbFlushBatched }, event }) => {
        const { pending, flushed } = received(event, 'tlb_flush_batched.cmpxchg');
        return tlbFlushBatched.pending === pending && tlbFlushBatched.flushed === flushed ? { pending, flushed: pending } : tlbFlushBatched;
      },
    }),
    unlink: assign({ vmas: ({ context, event }) => context.vmas.filter((vpn) => !received(event, 'vma.unlink').vpns.includes(vpn)) }),
    nextGen: assign({ tlbGen: ({ context }) => context.tlbGen + 1 }),
    replyGen: reply(({ context }) => ({ type: 'tlb_gen', gen: context.tlbGen })),
    replyCpumask: reply(({ context }) => ({ type: 'cpumask', cpus: context.cpumask })),
    setCpu: assign({ cpumask: ({ context, event }) => [...new Set([...context.cpumask, received(event, 'cpumask.set').cpu])].sort() }),
    clearCpu: assign({ cpumask: ({ context, event }) => context.cpumask.filter((cpu) => cpu !== received(event, 'cpumask.clear').from) }),
    gatherBegin: assign({ tlbFlushPending: ({ context }) => context.tlbFlushPending + 1 }),
    gatherEnd: assign({ tlbFlushPending: ({ context }) => context.tlbFlushPending - 1 }),
    replyGathers: reply(({ context }) => ({ type: 'gathers', pending: context.tlbFlushPending })),
    setPinned: assign({ hasPinned: true }),
    replySeq: reply(({ context }) => ({ type: 'seqcount', value: context.writeProtectSeq })),
  },
}).createMachine({
  id: 'mm',
  description: 'struct mm_struct with its page table; one atomic access a message',
  context: ({ input }) => ({
    pmds: {},
    huge: [],
    areas: {},
    observer: null,
    ...input,
    tlbGen: 1,
    tlbFlushPending: 0,
    tlbFlushBatched: { pending: 0, flushed: 0 },
    hasPinned: false,
    writeProtectSeq: 0,
  }),
  on: {
    'pte.read': { actions: 'replyPte', description: 'READ_ONCE of a pte' },
    'pte.walk': { actions: ['markWalked', 'replyWalked'], description: 'the hardware walker: sets D for a store, by a locked update' },
    'pte.get_and_clear': { actions: ['replyPte', 'clear'], description: 'Z3: an exchange, since the walker may set D in between' },
    'pte.clear': { actions: 'clear', description: 'a store of none, with no look at what was there' },
    'pte.wrprotect': { actions: ['replyPte', 'wrprotect'], description: 'ptep_set_wrprotect: one access, since the walker may set D in between' },
    'pte.set': { actions: ['set', 'observeSet'] },
    'pmd.read': { actions: 'replyPmd' },
    'pmd.clear': { actions: ['replyPmd', 'clearPmd'], description: 'Z10: free_pte_range unlinks the page-table page' },
    'pmd.split': { actions: 'splitPmd', description: '__split_huge_pmd_locked: a page table in its place, with the same translations' },
    'pmd.get_and_clear': { actions: ['replyPmd', 'clearLeaf'], description: 'pmdp_huge_get_and_clear: a huge leaf goes' },
    'pmd.set_leaf': { actions: 'setLeaf', description: 'set_pmd_at: one entry that maps a folio of several pages' },
    'vma.find': { actions: 'replyVma' },
    'vma.link': { actions: 'link' },
    'vma.unlink': { actions: 'unlink' },
    'vma.protect': { actions: 'protect', description: 'mprotect_fixup' },
    'tlb_gen.inc': { actions: ['nextGen', 'replyGen'], description: 'F1' },
    'tlb_gen.read': { actions: 'replyGen' },
    'cpumask.read': { actions: 'replyCpumask', description: 'F2' },
    'cpumask.set': { actions: 'setCpu' },
    'cpumask.clear': { actions: 'clearCpu', description: 'F4: a CPU that has another address space loaded takes itself out' },
    'gather.begin': { actions: 'gatherBegin', description: 'Z1: tlb_flush_pending++' },
    'gather.end': { actions: 'gatherEnd', description: 'Z15: tlb_flush_pending--' },
    'gather.read': { actions: 'replyGathers', description: 'Z11: mm_tlb_flush_nested' },
    'tlb_flush_batched.inc': { actions: 'beginBatch', description: 'R4d: set_tlb_ubc_flush_pending' },
    'tlb_flush_batched.read': { actions: 'replyBatched' },
    'tlb_flush_batched.cmpxchg': { actions: 'exchangeBatched', description: 'fails, harmlessly, where a new batch has begun' },
    'has_pinned.set': { actions: 'setPinned', description: 'G1' },
    'seqcount.read': { actions: 'replySeq', description: 'G2, G14' },
  },
});
