import { assign } from 'xstate';
import { cpu } from '../../machines/hardware/cpu.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { mremap } from '../../machines/paths/mremap.js';
import { zap } from '../../machines/paths/zap.js';
import type { Parameters, Scenario, Variant } from './scenario.js';
import { type Call, shootdownReference, type Thread, type TlbShootdownSetup, tlbShootdownSystem } from './tlb-shootdown-system.js';

/** What a variant changes. `threads`: those of the first CPUs, for a number of pages; further CPUs run `user`. */
interface Changes extends Partial<Omit<TlbShootdownSetup, 'threads' | 'pages'>> {
  threads: (pages: number) => readonly Thread[];
  /** Smallest number of pages with which it is what it is. */
  minPages?: number;
  /** It is the same however munmap frees the page table. */
  anyTables?: boolean;
  /** The number of pages is part of what it is. */
  pages?: number;
}

const store = (page: number): Call => ({ do: 'store', page });
const schedule = (next: 'mm' | 'init_mm' | 'kthread'): Call => ({ do: 'switch', next });
const thread = (...program: Call[]): Thread => ({ program });
/** Stores to every page of the range. */
const user = (pages: number): Thread => thread(...Array.from({ length: pages }, (_, page) => store(page)));
const munmap: Thread = thread({ do: 'munmap' });
const madvise: Thread = thread({ do: 'madvise' });
const gup: Thread = thread({ do: 'gup' });

const userAndMunmap: Changes = { threads: (pages) => [user(pages), munmap] };
const comesBack: Changes = { threads: () => [{ program: [schedule('mm'), store(0)], switchedAway: true }, munmap], flush: 'ipi' };
const lazy: Changes = { threads: () => [thread(schedule('kthread'), schedule('mm'), store(0)), munmap], flush: 'ipi' };
const lazyTables: Changes = { threads: () => [thread(schedule('kthread')), munmap], flush: 'ipi', tables: 'rcu' };
const twoRanges: Changes = {
  threads: () => [thread(store(0), store(1)), thread({ do: 'madvise', pages: [0] }), thread({ do: 'madvise', pages: [1] })],
  flush: 'ipi',
  pages: 2,
};
const twoMadvise: Changes = { threads: () => [thread(store(0)), madvise, madvise], asksDontneed: true };
const eachOther: Changes = {
  threads: () => [thread({ do: 'madvise', pages: [0] }), thread({ do: 'madvise', pages: [1] })],
  flush: 'ipi',
  pages: 2,
};
const walkers: Changes = { threads: () => [gup, munmap] };
const fileUnmap: Changes = { threads: (pages) => [user(pages), munmap], backing: 'file' };
const moved: Changes = { threads: () => [thread(store(0), store(0)), thread({ do: 'mremap' }), thread({ do: 'truncate' })], backing: 'file', pages: 1 };
const driver: Changes = { threads: () => [thread(store(0)), munmap, thread({ do: 'truncate' })], backing: 'pfnmap', pages: 1 };

const safe = { I3: 'holds', I6: 'holds', UAF: 'holds', I11: 'holds' } as const;
const safeTables = { ...safe, I4: 'holds' } as const;
const stale = { I3: 'violated' } as const;

function variant(id: string, summary: string, expected: Variant['expected'], changes: Changes, source?: string): Variant {
  const row = id.split('.')[0] as string;
  const { threads, pages, minPages, anyTables, ...rest } = changes;
  const needed = threads(pages ?? minPages ?? 1).length;
  return {
    id,
    row,
    summary,
    source: source ?? `domain table 2.B, row ${row}`,
    expected,
    fixed: {
      ...(rest.flush === undefined ? {} : { flush: rest.flush }),
      ...(anyTables ? {} : { tables: rest.tables ?? shootdownReference.tables }),
      ...(pages === undefined ? {} : { pages }),
    },
    defaults: { cpus: needed, ...(minPages === undefined ? {} : { pages: minPages }) },
    least: { ...(needed > 2 ? { cpus: needed } : {}), ...(minPages === undefined ? {} : { pages: minPages }) },
    system: (parameters: Parameters) => {
      const count = Number(parameters.pages);
      const given = threads(count);
      const further = Array.from({ length: Number(parameters.cpus) - given.length }, () => thread(store(0)));
      return tlbShootdownSystem(`tlb-shootdown/${id}`, {
        ...shootdownReference,
        ...rest,
        threads: [...given, ...further],
        pages: count,
        flush: parameters.flush as TlbShootdownSetup['flush'],
        tables: parameters.tables as TlbShootdownSetup['tables'],
      });
    },
  };
}

/** Rows B0 to B15 (there is no B4, B8), and Z9, the one step of the gather without a row. */
export const tlbShootdownScenario: Scenario = {
  id: 'tlb-shootdown',
  title: 'TLB shootdown and mmu_gather',
  question: 'Is no page and no page table freed that a TLB or a walker still leads to?',
  parameters: {
    flush: { description: 'how remote TLBs are flushed', default: 'ipi', values: ['ipi', 'broadcast'] },
    cpus: { description: 'CPUs, one thread of the process on each', default: 2, min: 2, max: 6 },
    pages: { description: 'pages of the range', default: 1, min: 1, max: 4 },
    tables: {
      description: 'how munmap frees the page table: by RCU, at once after an IPI to all (sync), with the pages (direct), or not, since others use it',
      default: 'kept',
      values: ['kept', 'rcu', 'sync', 'direct'],
    },
  },
  variants: [
    variant('B0', 'reference: clear, flush, free', safe, { ...userAndMunmap, anyTables: true }),
    variant('B0.self', 'reference; the thread that unmaps has touched the page before, and touches it again', safe, {
      threads: () => [thread(store(0)), thread(store(0), { do: 'munmap' }, store(0))],
    }),
    variant('B0.batch', 'reference; the batch takes one page, so that each is flushed under the page-table lock', safe, {
      ...userAndMunmap,
      batchSize: 1,
      minPages: 2,
    }),
    variant('B1', 'the pages are freed before the flush', stale, {
      ...userAndMunmap,
      zap: zap.provide({ guards: { flushesBeforeFree: () => false } }),
    }),
    variant('B2', 'the flush comes before the clear: a walk undoes it', stale, {
      ...userAndMunmap,
      zap: zap.provide({ guards: { clearsBeforeFlush: () => false, needsFlush: () => false } }),
    }),
    variant('B3', 'switching in, a CPU reads tlb_gen before it sets its bit in mm_cpumask', stale, {
      ...comesBack,
      contextSwitch: contextSwitch.provide({ guards: { setsMaskFirst: () => false } }),
    }),
    variant('B3.mask-first', 'switching in, a CPU sets its bit in mm_cpumask, then reads tlb_gen', safe, comesBack),
    variant(
      'B3.switching',
      'who flushes takes a CPU in the middle of a switch for one that has another address space',
      stale,
      { ...comesBack, flushTlb: flushTlb.provide({ guards: { isSwitching: () => false } }) },
      'domain table 1.c, step F3, for row B3; x86/mm: Eliminate window where TLB flushes may be inadvertently skipped (6.15)',
    ),
    variant('B5', 'a CPU that leaves lazy mode does not compare tlb_gen', stale, {
      ...lazy,
      contextSwitch: contextSwitch.provide({ guards: { comparesGen: () => false } }),
    }),
    variant('B5.compare', 'a CPU that leaves lazy mode compares tlb_gen, and flushes if it is behind', safe, lazy),
    variant(
      'B5t',
      'lazy CPUs are left out although page tables are freed (3ef938c35035)',
      { I4: 'violated' },
      { ...lazyTables, flushTlb: flushTlb.provide({ guards: { reachesEveryCpu: () => false } }) },
    ),
    variant('B5t.all', 'where page tables are freed lazy CPUs are flushed too', safeTables, lazyTables),
    variant('B6', 'a flush of a range takes the TLB to the generation of the address space', stale, {
      ...twoRanges,
      cpu: cpu.provide({ guards: { mayFlushRange: ({ context }) => context.flush?.request.vpns !== 'all' } }),
    }),
    variant('B6.full', 'a TLB that is more than one generation behind is flushed wholly', safe, twoRanges),
    variant(
      'B7',
      'no look for a nested gather: a second madvise sees no pte, and returns before the first has flushed',
      { DONTNEED: 'violated', I3: 'holds' },
      { ...twoMadvise, zap: zap.provide({ guards: { isNested: () => false } }) },
    ),
    variant('B7.nested', 'a gather that is not alone flushes everything', { ...safe, DONTNEED: 'holds' }, twoMadvise),
    variant(
      'B9',
      'two CPUs send flush IPIs to each other and wait, both with interrupts off',
      { I11: 'violated' },
      { ...eachOther, flushTlb: flushTlb.provide({ guards: { sendsWithIrqsOn: () => false } }) },
    ),
    variant('B9.irqs-on', 'two CPUs send flush IPIs to each other and wait with interrupts on', safe, eachOther),
    variant(
      'B10',
      'one CPU spins on the page-table lock with interrupts off, its holder waits for an IPI to be answered',
      { I11: 'violated' },
      {
        threads: () => [{ ...madvise, zap: zap.provide({ guards: { disablesIrqs: () => true } }) }, madvise],
        flush: 'ipi',
        batchSize: 1,
      },
    ),
    variant('B10.irqs-on', 'one CPU spins on the page-table lock with interrupts on', safe, { threads: () => [madvise, madvise], flush: 'ipi', batchSize: 1 }),
    variant(
      'B11',
      'the page table is freed right after a broadcast flush, gup-fast walking',
      { I4: 'violated' },
      { ...walkers, flush: 'broadcast', tables: 'direct' },
    ),
    variant('B11.rcu', 'broadcast flush; the page table is freed by RCU', safeTables, { ...walkers, flush: 'broadcast', tables: 'rcu' }),
    variant('B11.sync', 'broadcast flush; the page table is freed after an IPI to every CPU', safeTables, { ...walkers, flush: 'broadcast', tables: 'sync' }),
    variant('B11.ipi', 'the page table is freed right after a flush by IPI', safeTables, { ...walkers, flush: 'ipi', tables: 'direct' }),
    variant('B12', 'the page is in the batch, its address is not in the range to flush', stale, {
      ...userAndMunmap,
      zap: zap.provide({ actions: { widen: assign({}) } }),
    }),
    variant(
      'B13',
      'the pte is cleared by a load and a store',
      { DIRTY: 'violated' },
      { ...fileUnmap, zap: zap.provide({ guards: { exchangesPte: () => false } }) },
    ),
    variant('B13.exchange', 'the pte is cleared by an exchange', { ...safe, DIRTY: 'holds' }, fileUnmap),
    variant(
      'B14',
      'no memory for a table batch: an IPI to every CPU, but no invalidation before the table is freed (0ed1325967ab)',
      { I4: 'violated' },
      { ...userAndMunmap, tables: 'sync', zap: zap.provide({ guards: { invalidatesTable: () => false } }) },
    ),
    variant('B14.invalidate', 'no memory for a table batch: invalidation, an IPI to every CPU, then the table is freed', safeTables, {
      ...userAndMunmap,
      tables: 'sync',
    }),
    variant('B15', 'mremap moves the pte and drops the page-table lock before it flushes (eb66ae030829)', stale, {
      ...moved,
      mremap: mremap.provide({ guards: { flushesUnderPtl: () => false } }),
    }),
    variant('B15.flush', 'mremap flushes the old address before it drops the page-table lock', safe, moved),
    variant(
      'Z9',
      'the VMA of a driver is unlinked before the flush: the driver finds nothing to flush, and frees its page',
      stale,
      { ...driver, zap: zap.provide({ guards: { flushesPfnmap: () => false } }) },
      'domain table 1.c, step Z9 (tlb_free_vmas)',
    ),
    variant('Z9.flush', 'the VMA of a driver is flushed before it is unlinked', safe, driver, 'domain table 1.c, step Z9 (tlb_free_vmas)'),
  ],
};
