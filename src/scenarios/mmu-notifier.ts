import { mmuNotifier } from '../../machines/memory/mmu-notifier.js';
import { intervalInvalidate } from '../../machines/paths/interval-invalidate.js';
import { mmuNotifierInvalidate } from '../../machines/paths/mmu-notifier-invalidate.js';
import { nouveauRangeFault } from '../../machines/paths/nouveau-range-fault.js';
import { svmmInvalidate } from '../../machines/paths/svmm-invalidate.js';
import { type DeviceCall, type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, mirror } from './mmu-notifier-setup.js';
import { mirrorSystem } from './mmu-notifier-system.js';
import type { Expected, Scenario, Variant } from './scenario.js';

type Changes = Partial<MirrorSetup>;

const user = (...program: MirrorCall[]): MirrorThread => ({ mm: 'p', program });
const kernel = (...program: MirrorCall[]): MirrorThread => ({ mm: null, program });
const on = (what: Exclude<MirrorCall['do'], 'slab'>, vpn = 0): MirrorCall => ({ do: what, vpn });
/** The scan of NUMA balancing on the second page, again and again, for as long as it likes. */
const scanner: MirrorThread = { mm: 'p', program: [on('numa_scan', 1)], repeats: true };
const reaper = kernel(on('oom_reap'));
/** What a device, or a guest, does with the first page. */
const device = (...kinds: DeviceCall['do'][]): Mirror => ({ program: kinds.map((kind) => ({ do: kind, vpn: 0 })) });

const gpu = { gpus: { gpu0: device('read') } };
const guest = { guest: device('write') };
const dontneed = { threads: [user(on('dontneed'))] };
/** Another page, which no device wants; it is not there either, so that to invalidate it changes nothing. */
const another: Changes = { pages: ['present', 'none'], free: 0 };

/** All hold. */
const safe: Record<string, Expected> = {};
/** Nothing is unsafe, and a fault of a device is never served. */
const starves: Record<string, Expected> = { P: 'violated' };

function variant(id: string, summary: string, expected: Record<string, Expected>, changes: Changes, source?: string): Variant {
  const row = id.split('.')[0] as string;
  const isUnsafe = Object.entries(expected).some(([name, verdict]) => verdict === 'violated' && name !== 'P');
  return {
    id,
    row,
    summary,
    source: source ?? `domain table 2.B, row ${row}`,
    expected,
    others: isUnsafe ? null : 'holds',
    system: () => mirrorSystem(`mmu-notifier/${id}`, { ...mirror, ...changes }),
  };
}

const waitsForNobody: Changes = { rangeFault: nouveauRangeFault.provide({ guards: { mustWait: () => false } }) };
/** As nouveau does: its list notifier says no to whoever may not sleep. */
const refuses: Changes = {
  svmmInvalidate: svmmInvalidate.provide({ guards: { refusesNonblocking: ({ event }) => event.type === 'call' && !event.blockable } }),
};
/** A process that uses a GPU and runs a guest; only the guest is busy. */
const reaped: Changes = { gpus: { gpu0: device() }, ...guest, threads: [reaper], ...refuses };
const reapedTree: Changes = { ...gpu, threads: [reaper], ...refuses };

const reference: readonly Variant[] = [
  variant('N0', 'as in the kernel: a GPU reads and writes beside a thread that stores, and gives the page back (madvise)', safe, {
    gpus: { gpu0: device('read', 'write') },
    threads: [user(on('store'), on('dontneed'))],
  }),
  variant('N0.munmap', 'a GPU reads beside munmap, after which the frame has a new owner', safe, {
    ...gpu,
    threads: [user(on('munmap')), kernel({ do: 'slab' })],
    free: 0,
  }),
  variant('N0.mprotect', 'a GPU writes and reads beside mprotect, which takes the right to write and gives it back', safe, {
    gpus: { gpu0: device('write', 'read') },
    threads: [user(on('mprotect_read'), on('mprotect_write'))],
  }),
  variant('N0.reclaim', 'a GPU reads beside reclaim, and a thread that loads', safe, { ...gpu, threads: [kernel(on('reclaim')), user(on('load'))], free: 2 }),
  variant('N0.migrate', 'a GPU reads beside migration', safe, { ...gpu, threads: [kernel(on('migrate'))] }),
  variant('N0.oom', 'a GPU reads beside the OOM reaper, which may not sleep', safe, { ...gpu, threads: [reaper] }),
  variant('N0.two', 'two GPUs, each with a subscription of its own', safe, { gpus: { gpu0: device('read'), gpu1: device('read') }, ...dontneed }),
  variant('N0.insert', 'two invalidations at once, one of a page that nobody monitors, and the GPU subscribes meanwhile', safe, {
    ...gpu,
    pages: ['present', 'present'],
    threads: [user(on('dontneed')), user(on('dontneed', 1))],
  }),
  variant('N0.remove', 'two invalidations of the page at once, and the GPU subscribes and unsubscribes meanwhile', safe, {
    ...gpu,
    threads: [user(on('dontneed')), user(on('dontneed'))],
  }),
  variant('N0.list', 'the older list of notifiers: a guest (KVM) writes beside madvise', safe, { ...guest, ...dontneed }),
  variant('N0.list.oom', 'the older list: a guest (KVM) writes beside the OOM reaper', safe, { ...guest, threads: [reaper] }),
  variant('N0.both', 'a GPU and a guest in one process', safe, { ...gpu, ...guest, ...dontneed }),
];

/** Rows N0 to N6 of part 2. */
export const mmuNotifierScenario: Scenario = {
  id: 'mmu-notifier',
  title: 'MMU notifiers: a device, or a guest, that mirrors the memory of a process',
  question: 'Does a device ever keep a page that the process has lost, and does it get the page that the process has?',
  parameters: {},
  variants: [
    ...reference,
    variant(
      'N1',
      'mmu_interval_read_begin does not wait for the invalidation that is under way',
      { I6: 'violated' },
      { ...gpu, ...dontneed, ...waitsForNobody },
    ),
    variant(
      'N1.reuse',
      'the same, seen by an access: the frame has a new owner by then',
      { I1: 'violated', I6: 'violated' },
      {
        ...gpu,
        threads: [...dontneed.threads, kernel({ do: 'slab' })],
        free: 0,
        ...waitsForNobody,
      },
    ),
    variant(
      'N2',
      'the callback drops mappings and does not store the sequence number',
      { I6: 'violated' },
      {
        ...gpu,
        ...dontneed,
        intervalInvalidate: intervalInvalidate.provide({ guards: { storesSeq: () => false } }),
      },
    ),
    variant(
      'N3',
      'a subscription that is inserted during an invalidation gets an old sequence number',
      { I6: 'violated' },
      {
        ...gpu,
        ...dontneed,
        mmuNotifier: mmuNotifier.provide({ guards: { mayBeAffected: () => false } }),
      },
    ),
    variant(
      'N4',
      'who removes a subscription looks at the sequence number without the lock',
      { UAF: 'violated' },
      {
        ...gpu,
        ...dontneed,
        rangeFault: nouveauRangeFault.provide({ guards: { waitsUnderLock: () => false } }),
      },
    ),
    variant('N5', 'a listener refuses to sleep for the OOM reaper, and the others, whose start has succeeded, get no end', starves, {
      ...reaped,
      invalidate: mmuNotifierInvalidate.provide({ guards: { endsListeners: () => false } }),
    }),
    variant('N5.ends', 'the same; they get their end', safe, reaped),
    variant(
      'N5.tree',
      'a listener refuses to sleep for the OOM reaper, and the interval tree gets no end: 6.12 as it is, with nouveau',
      { I11: 'violated', P: 'violated' },
      { ...reapedTree, invalidate: mmuNotifierInvalidate.provide({ guards: { endsIntervals: () => false } }) },
      'row N5 with the interval tree in place of the list; __mmu_notifier_invalidate_range_start, 6.12',
    ),
    variant('N5.tree.ends', 'the same; the interval tree gets its end', safe, reapedTree),
    variant('N6', 'two threads invalidate another page for ever, so that at any time an invalidation is under way', starves, {
      ...gpu,
      ...another,
      threads: [scanner, scanner],
    }),
    variant('N6.one', 'the same with one thread: again and again no invalidation is under way', safe, { ...gpu, ...another, threads: [scanner] }),
    variant('N6.list', 'the older list: one thread invalidates another page for ever, and a guest has to try again each time', starves, {
      ...guest,
      ...another,
      threads: [scanner],
    }),
  ],
};
