import { intervalInvalidate } from '../../machines/paths/interval-invalidate.js';
import { makeDeviceExclusive, makeDeviceExclusiveRange } from '../../machines/paths/make-device-exclusive.js';
import { mmuNotifierInvalidate, type NotifierEvent } from '../../machines/paths/mmu-notifier-invalidate.js';
import { mprotect } from '../../machines/paths/mprotect.js';
import { nouveauAtomicRangeFault } from '../../machines/paths/nouveau-atomic-range-fault.js';
import { removeDeviceExclusiveEntry, removeDeviceExclusiveEntry514 } from '../../machines/paths/remove-device-exclusive-entry.js';
import { svmmInvalidate } from '../../machines/paths/svmm-invalidate.js';
import { zap } from '../../machines/paths/zap.js';
import type { Guards } from './common.js';
import { type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, mirror } from './mmu-notifier-setup.js';
import { mirrorSystem } from './mmu-notifier-system.js';
import type { Expected, Parameters, Scenario, Variant } from './scenario.js';

type Changes = Partial<MirrorSetup>;
type Kernel = 'new' | 'old';
type CallbackEvent = { type: string; event?: NotifierEvent; owner?: string | null };

const user = (...program: MirrorCall[]): MirrorThread => ({ mm: 'p', program });
const kernel = (...program: MirrorCall[]): MirrorThread => ({ mm: null, program });
const on = (what: Exclude<MirrorCall['do'], 'slab'>, vpn = 0): MirrorCall => ({ do: what, vpn });
const touching = (what: 'load' | 'store'): MirrorThread => ({ mm: 'p', program: [on(what)], repeats: true });

/** One GPU that does so many atomics on the first page. */
const atomics = (count = 1): Mirror => ({ program: Array.from({ length: count }, () => ({ do: 'atomic', vpn: 0 }) as const) });
const oneGpu = { gpus: { gpu0: atomics() } };

const drives = (guards: Guards<typeof nouveauAtomicRangeFault>) => nouveauAtomicRangeFault.provide({ guards: guards as never });
const makes = (guards: Guards<typeof makeDeviceExclusive>) => makeDeviceExclusive.provide({ guards: guards as never });
const restores = (guards: Guards<typeof removeDeviceExclusiveEntry>) => removeDeviceExclusiveEntry.provide({ guards: guards as never });
const seq = (guards: Guards<typeof intervalInvalidate>) => intervalInvalidate.provide({ guards: guards as never });
const drops = (guards: Guards<typeof svmmInvalidate>) => svmmInvalidate.provide({ guards: guards as never });

/** Either callback of a driver: the one that sets the sequence number, and the one that drops its mappings. */
const callbacks = (guards: Guards<typeof intervalInvalidate> & Guards<typeof svmmInvalidate>): Changes => ({
  intervalInvalidate: seq(guards),
  svmmInvalidate: drops(guards),
});
const ignoring = (kind: 'PROTECTION_VMA' | 'PROTECTION_PAGE'): Changes =>
  callbacks({ ignores: ({ event }: { event: CallbackEvent }) => event.type === 'call' && event.event === kind });

/** A driver whose callbacks both filter the EXCLUSIVE that it has asked for. */
const filtersOwn = callbacks({
  isOwn: ({ context, event }: { context: { cookie: string }; event: CallbackEvent }) => event.event === 'EXCLUSIVE' && event.owner === context.cookie,
});

/** What differs up to 6.14. */
export function asOld(setup: MirrorSetup): MirrorSetup {
  const keepsMapcount = (): boolean => false;
  return {
    ...setup,
    keepsMapcount: false,
    makeDeviceExclusive: setup.makeDeviceExclusive.provide({ guards: makeDeviceExclusiveRange }),
    removeDeviceExclusiveEntry: setup.removeDeviceExclusiveEntry.provide({ guards: removeDeviceExclusiveEntry514 }),
    ownRestore: setup.ownRestore?.provide({ guards: removeDeviceExclusiveEntry514 }) ?? null,
    zap: setup.zap.provide({ guards: { keepsMapcount } }),
    mprotect: setup.mprotect.provide({ guards: { demotesDevexcl: () => true } }),
    copyPageRange: setup.copyPageRange.provide({ guards: { keepsMapcount } }),
  };
}

const safety: Record<string, Expected> = { I1: 'holds', I4: 'holds', I5: 'holds', I6: 'holds', UAF: 'holds', locked: 'holds', BUG: 'holds', I11: 'holds' };
const safe: Record<string, Expected> = { ...safety, P: 'holds' };
/** Nothing is unsafe, and the device is never served. */
const livelock: Record<string, Expected> = { ...safety, P: 'violated' };
/** Is it served? Nobody says. */
const open: Record<string, Expected> = { ...safety, P: null };

function variant(id: string, summary: string, expected: Record<string, Expected>, changes: Changes, fixed: { kernel?: Kernel } = {}): Variant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: row.startsWith('Q') ? `domain text, part 2, 1e, open question ${row}` : `domain table 2.C, row ${row}`,
    expected,
    others: null,
    fixed,
    system: ({ kernel: era }: Parameters) => {
      const setup = { ...mirror, ...changes };
      return mirrorSystem(`device-exclusive/${id}`, era === 'old' ? asOld(setup) : setup);
    },
  };
}

const dontneed = { ...oneGpu, threads: [user(on('dontneed'))] };
const late = { ...dontneed, atomicRangeFault: drives({ insertsLate: () => true }) };
const ownRestore = restores({ notifiesClear: () => false });
/** The page is part of a huge PMD; nobody but the device wants it. */
const huge = { ...oneGpu, huge: true };
/** What an invalidation that changes nothing leaves: the entry is there, and the device has nothing mapped. */
const left: Changes = { ...oneGpu, pages: ['devexcl'] };
/** The device wants the page again, and somebody else has it invalidated meanwhile, though nothing changes. */
const again = { gpus: { gpu0: atomics(2) }, threads: [user(on('numa_scan'))] };

/** What was proposed, or suggests itself, for the open questions. */
export const fixes: [name: string, summary: string, changes: Changes][] = [
  ['looks', 'an entry that is there already is taken over as it is, before GUP', { makeDeviceExclusive: makes({ takesOverEntry: () => true }) }],
  ['before', 'the page is faulted in before the read section begins', { atomicRangeFault: drives({ faultsInFirst: () => true }) }],
  ['retry', 'who has to try again takes the entry back first', { atomicRangeFault: drives({ restoresOnRetry: () => true }) }],
  ['owner', 'the restore by GUP names the owner, and his callback filters it', { ownRestore }],
];

/** Rows D0 to D21 of part 2, and the two questions that its text leaves open. */
export const deviceExclusiveScenario: Scenario = {
  id: 'device-exclusive',
  title: 'device-exclusive access: atomics of a GPU on memory of a process',
  question: 'Is the page the device alone has its alone, and does the device ever get it?',
  parameters: {
    kernel: { description: 'old: 5.14 to 6.14 (make_device_exclusive_range); new: 6.15 on (make_device_exclusive)', default: 'new', values: ['new', 'old'] },
  },
  variants: [
    variant('D0', 'as in the kernel: the page mapped by a pte, one GPU, a thread that stores', safe, { ...oneGpu, threads: [user(on('store'))] }),
    variant('D0.reader', 'the same with a thread that reads again and again', safe, { ...oneGpu, threads: [touching('load')] }),
    variant(
      'D0.two',
      'two GPUs that want the page at the same time',
      { ...safety, 'P.atomic_range_fault0': null, 'P.atomic_range_fault1': null },
      { gpus: { gpu0: atomics(), gpu1: atomics() } },
    ),
    variant(
      'D1',
      'no mmu_interval_read_begin, no mmu_interval_read_retry, as in test_hmm',
      { I1: 'violated', I6: 'violated' },
      {
        ...oneGpu,
        threads: [user(on('dontneed')), kernel({ do: 'slab' })],
        free: 0,
        atomicRangeFault: drives({ usesNotifier: () => false }),
      },
    ),
    variant('D2', 'the folio is unlocked before the device has mapped it; a thread reads again and again', livelock, {
      ...oneGpu,
      threads: [touching('load')],
      atomicRangeFault: drives({ keepsFolioLocked: () => false }),
    }),
    variant(
      'D2.before',
      'the same with a driver that faults the page in before the read section: then it takes the thread to keep the device waiting',
      livelock,
      {
        ...oneGpu,
        threads: [touching('load')],
        atomicRangeFault: drives({ keepsFolioLocked: () => false, faultsInFirst: () => true }),
      },
    ),
    variant('D3', 'the driver does not filter its own EXCLUSIVE', livelock, { ...oneGpu, ...callbacks({ isOwn: () => false }) }),
    variant('D4', 'the split helper is called whether there is a huge PMD or not', livelock, {
      ...oneGpu,
      makeDeviceExclusive: makes({ splitsOnlyHuge: () => false }),
    }),
    ...(['old', 'new'] as const).map((era) =>
      variant(
        `D6a.${era}`,
        `the driver names no owner and filters EXCLUSIVE without one; ${era === 'old' ? '5.14 to 6.14' : '6.15 on, where the restore is CLEAR'}`,
        era === 'old' ? { I5: 'violated' } : safe,
        {
          ...oneGpu,
          threads: [user(on('store'))],
          namesOwner: false,
          ...callbacks({ isOwn: ({ event }: { event: CallbackEvent }) => event.type === 'call' && event.event === 'EXCLUSIVE' && event.owner === null }),
        },
        { kernel: era },
      ),
    ),
    variant(
      'D6b',
      'two GPUs with one cookie, and each filters by it',
      { I5: 'violated' },
      {
        gpus: {
          gpu0: { program: [{ do: 'write', vpn: 0 }], cookie: 'nouveau', ptes: { 0: { pfn: 0, write: true, atomic: false } } },
          gpu1: { ...atomics(), cookie: 'nouveau' },
        },
        ...filtersOwn,
      },
    ),
    variant(
      'D7',
      'mmu_interval_read_retry before the mutex is taken',
      { I6: 'violated' },
      {
        ...oneGpu,
        threads: [user(on('munmap'))],
        atomicRangeFault: drives({ checksUnderMutex: () => false }),
      },
    ),
    variant('D8', 'the callbacks do without the mutex', { I6: 'violated' }, { ...dontneed, ...callbacks({ takesMutex: () => false }) }),
    variant(
      'D9',
      'the list notifier, which drops the mappings, is called before the interval notifier',
      { I6: 'violated' },
      {
        ...dontneed,
        invalidate: mmuNotifierInvalidate.provide({ guards: { intervalsFirst: () => false } }),
      },
    ),
    variant(
      'D10',
      'a callback that may not sleep and could not have the mutex says that all is well',
      { I6: 'violated' },
      {
        ...oneGpu,
        threads: [kernel(on('oom_reap'))],
        ...callbacks({ admitsFailure: () => false }),
      },
    ),
    variant('D11.zap', "Xu's order: the notifier is inserted when the page is exclusive; zap as it is", { I6: 'violated' }, late),
    variant('D11.mprotect', 'the same against mprotect', { I4: 'violated' }, { ...late, threads: [user(on('mprotect_read'))] }),
    variant(
      'D12',
      "Xu's order, and zap locks the folio of an exclusive entry under the page-table lock",
      { I11: 'violated' },
      {
        ...late,
        zap: zap.provide({ guards: { locksDevexclUnderPtl: () => true } }),
      },
    ),
    ...(['dontneed', 'mprotect_read'] as const).map((what) =>
      variant(`D12f.${what === 'dontneed' ? 'zap' : 'mprotect'}`, "Xu's order; zap and mprotect drop the page-table lock and restore the entry first", safe, {
        ...late,
        threads: [user(on(what))],
        zap: zap.provide({ guards: { restoresDevexcl: () => true } }),
        mprotect: mprotect.provide({ guards: { restoresDevexcl: () => true } }),
      }),
    ),
    variant(
      'D13',
      'one mutex over all of it; the page is in a huge PMD',
      { I11: 'violated' },
      { ...huge, ...filtersOwn, atomicRangeFault: drives({ locksMutexEarly: () => true }) },
    ),
    variant('D13.quiet', 'the same where nothing has to be split or restored, and nobody else comes', safe, {
      ...oneGpu,
      ...filtersOwn,
      atomicRangeFault: drives({ locksMutexEarly: () => true }),
    }),
    variant(
      'D13.list',
      'the same with a list callback like that of nouveau, which does not filter EXCLUSIVE',
      { I11: 'violated' },
      { ...oneGpu, atomicRangeFault: drives({ locksMutexEarly: () => true }) },
    ),
    variant(
      'D14',
      'fork: the driver ignores PROTECTION_PAGE',
      { I1: 'violated', I5: 'violated' },
      {
        ...oneGpu,
        threads: [user(on('fork')), { mm: 'child', program: [on('load')] }],
        ...ignoring('PROTECTION_PAGE'),
      },
    ),
    variant(
      'D15',
      'mprotect: the driver ignores PROTECTION_VMA',
      { I4: 'violated' },
      { ...oneGpu, threads: [user(on('mprotect_read'))], ...ignoring('PROTECTION_VMA') },
    ),
    variant(
      'D17',
      'nobody is told of the exclusive access: a guest keeps its mapping',
      { I5: 'violated' },
      {
        ...oneGpu,
        guest: { program: [{ do: 'write', vpn: 0 }], ptes: { 0: { pfn: 0, write: true, atomic: false } } },
        makeDeviceExclusive: makes({ notifiesExclusive: () => false }),
      },
    ),
    variant(
      'D18',
      'the fault path locks the folio without a reference',
      { locked: 'violated' },
      {
        pages: ['devexcl'],
        threads: [user(on('load')), user(on('load')), kernel(on('migrate'))],
        removeDeviceExclusiveEntry: restores({ takesReference: () => false }),
      },
    ),
    variant(
      'D19',
      'who has to try again forgets to unlock the folio; the page is in a huge PMD',
      { I11: 'violated' },
      {
        ...huge,
        atomicRangeFault: drives({ unlocksOnRetry: () => false }),
      },
    ),
    variant(
      'D20',
      'the pte becomes an exclusive entry without a TLB flush',
      { I5: 'violated' },
      {
        ...oneGpu,
        threads: [user(on('store'), on('store'))],
        makeDeviceExclusive: makes({ flushes: () => false }),
      },
    ),
    variant('D21', 'fork while the driver has the folio locked: it gets -EBUSY', open, { ...oneGpu, threads: [user(on('fork'))] }),
    variant('Q1', 'the page is in a huge PMD: is one more round enough?', open, huge),
    ...fixes.map(([name, summary, changes]) => variant(`Q1.${name}`, `the same; ${summary}`, open, { ...huge, ...changes })),
    variant('Q2', 'an invalidation that changed nothing has taken the mapping, not the entry, and the device wants the page again', open, left),
    ...fixes.map(([name, summary, changes]) => variant(`Q2.${name}`, `the same; ${summary}`, open, { ...left, ...changes })),
    variant('Q2.scan', 'the device wants the page twice, while NUMA balancing scans it once', open, again),
    ...fixes.map(([name, summary, changes]) => variant(`Q2.scan.${name}`, `the same; ${summary}`, open, { ...again, ...changes })),
  ],
};
