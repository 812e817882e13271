import { disk } from '../../machines/devices/disk.js';
import { cpu } from '../../machines/hardware/cpu.js';
import { breakFileProtection } from '../../machines/paths/break-file-protection.js';
import { breakProtection } from '../../machines/paths/break-protection.js';
import { copyPageRange } from '../../machines/paths/copy-page-range.js';
import { deviceCopyInvalidate } from '../../machines/paths/device-copy-invalidate.js';
import { genericPerformWrite } from '../../machines/paths/generic-perform-write.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { handlePteFault } from '../../machines/paths/handle-pte-fault.js';
import { mergeFilePages } from '../../machines/paths/merge-file-pages.js';
import { replacePage } from '../../machines/paths/replace-page.js';
import { replicatePage } from '../../machines/paths/replicate-page.js';
import { stablePageFlags } from '../../machines/paths/stable-page-flags.js';
import { truncateInodePages } from '../../machines/paths/truncate-inode-pages.js';
import { tryToMergeOnePage } from '../../machines/paths/try-to-merge-one-page.js';
import { tryToUnmap } from '../../machines/paths/try-to-unmap.js';
import { writeProtectPage } from '../../machines/paths/write-protect-page.js';
import { writeback } from '../../machines/paths/writeback.js';
import type { Guards } from './common.js';
import type { Expected, Parameters, Scenario, Variant } from './scenario.js';
import {
  again,
  aloneStoring,
  aloneSyncing,
  aloneTruncating,
  aloneWriting,
  becoming,
  combining,
  copying,
  f,
  forking,
  g,
  gets,
  kernel,
  ksmd,
  ksmdOfX,
  load,
  merge,
  merged,
  merging,
  mergingFiles,
  mirrored,
  other,
  pending,
  pinnedBroadcast,
  pinnedFile,
  pinnedFileGoes,
  pinnedToRead,
  pins,
  reclaiming,
  replicated,
  replicating,
  store,
  storingAndSyncing,
  syncing,
  syncingBesideWrite,
  truncating,
  user,
  writing,
  writingTwice,
} from './write-protect-programs.js';
import { type Ordering, type ProtectSetup, type ProtectThread, protection } from './write-protect-setup.js';
import { writeProtectSystem } from './write-protect-system.js';

type Changes = Partial<ProtectSetup>;

const protects = (guards: Guards<typeof writeProtectPage>): Changes => ({ writeProtect: writeProtectPage.provide({ guards: guards as never }) });
const faults = (guards: Guards<typeof handlePteFault>): Changes => ({ handlePteFault: handlePteFault.provide({ guards: guards as never }) });
const breaks = (guards: Guards<typeof breakProtection>): Changes => ({ breakProtection: breakProtection.provide({ guards: guards as never }) });

const countsEarly = protects({ countsAfterClear: () => false });
const waitsForFolio = { deviceCopyInvalidate: deviceCopyInvalidate.provide({ guards: { needsFolioLock: () => true } }) };
/** Up to 5.18 there is no PageAnonExclusive. */
const without519 = { heedsExclusive: () => false };

type ProtectVariant = Variant & {
  changes: Changes;
  /** The guard that is taken out, as `machine.guard`, of the variant of the same program that has it. */
  lacks?: { guard: string; of: string };
};

/** Every property holds. */
const safe: Record<string, Expected> = {};

interface More {
  ordering?: Ordering;
  lacks?: { guard: string; of: string };
  /** A question that the table does not ask. */
  beyond?: boolean;
}

function variant(id: string, summary: string, expected: Record<string, Expected>, changes: Changes, more: More = {}): ProtectVariant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: more.beyond ? `domain text, part 2, 1f, beside row ${row}` : `domain table 2.D, row ${row}`,
    expected,
    ...(more.ordering ? { fixed: { ordering: more.ordering } } : {}),
    changes,
    ...(more.lacks ? { lacks: more.lacks } : {}),
    system: ({ ordering }: Parameters) => writeProtectSystem(`write-protect/${id}`, { ...protection, ...changes, ordering: ordering as Ordering }),
  };
}

const references: readonly ProtectVariant[] = [
  variant('W0', 'as in the kernel: KSM merges a page that its process stores to and reads', safe, merging),
  variant('W0.unstable', 'the same where no page is shared yet: the one that is scanned becomes the stable one', safe, {
    ...becoming,
    threads: [ksmdOfX, user(store, load)],
  }),
  variant('W0.again', 'KSM scans again and again', safe, again, { beyond: true }),
  variant('W0.stored', 'the same: does the store ever retire?', { stored: null }, { ...again, asksStored: true }, { beyond: true }),
  variant('W0.shared', 'two processes share a page, and both store to it', safe, { ...merged, threads: [user(store, load), other(store, load)], free: 2 }),
  variant('W0.get', 'a device writes to a page that it holds by FOLL_GET, while KSM merges it', safe, { ...merging, threads: [ksmd, gets] }),
  variant('W0.get_stays', 'the same where that page would be the one that stays', safe, { ...becoming, threads: [ksmdOfX, gets] }),
  variant('W0.pin', 'the same with FOLL_PIN', safe, { ...merging, threads: [ksmd, pins('write')] }),
  variant('W0.pin_broadcast', 'the same with FOLL_PIN, where TLBs are flushed by broadcast', safe, pinnedBroadcast),
  variant('W0.pin_stays', 'the same with FOLL_PIN, where that page would be the one that stays', safe, { ...becoming, threads: [ksmdOfX, pins('write')] }),
  variant('W0.pin_shared', 'a page that is shared already is pinned for writing', safe, { ...merged, threads: [pins('write')], free: 2 }),
  variant('W0.longterm', 'a shared page is pinned for reading, and its process stores', safe, { ...merged, threads: [pins('read'), user(store)], free: 3 }),
  variant('W0.fork', 'the process forks while its page is merged, and both store', safe, {
    ...merging,
    threads: [ksmd, user({ do: 'fork', vpn: 0 }, store), { mm: 'child', program: [store] }],
    free: 3,
  }),
  variant('W0.fork_pinned', 'the process forks while its page is pinned, and stores', safe, forking),
  variant('W0.unmerge', 'MADV_UNMERGEABLE beside a store of the other process', safe, {
    ...merged,
    threads: [user({ do: 'unmerge', vpn: 0 }, load), other(store, load)],
    free: 3,
  }),
  variant('W0.reclaim', 'a shared page is swapped out while its process stores', safe, reclaiming),
  variant('W0.file', 'two files share a page; one is written by write(2), the other is stored to', safe, writing),
  variant('W0.file_twice', 'two files share a page; one is written by two threads, and read through a mapping', safe, writingTwice),
  variant('W0.merge', 'pages of two files are merged beside write(2) and a load', safe, mergingFiles),
  variant('W0.merge_store', 'pages of two files are merged beside write(2) and a store', safe, {
    ...mergingFiles,
    threads: [merge, user({ do: 'write', cell: 'f' }), other(store, load)],
  }),
  variant('W0.merge_pinned', 'pages of two files are merged while a device writes to one that is pinned, and that is written back meanwhile', safe, pinnedFile),
  variant('W0.merge_pinned_goes', 'the same; the page that is pinned would be the one that goes', safe, pinnedFileGoes),
  variant('W0.truncate', 'a file whose page is shared is truncated, while the other file is stored to', safe, truncating),
  variant('W0.sync', 'a file whose page is shared and dirty is written back, written to and synced, and the disk fails', safe, storingAndSyncing, {
    beyond: true,
  }),
  variant('W0.sync_write', 'a file whose page is shared and dirty is synced beside write(2)', safe, syncingBesideWrite, { beyond: true }),
  variant('W0.file_store', 'a page that two files share is stored to', safe, aloneStoring),
  variant('W0.file_write', 'a file whose page is shared is written by write(2)', safe, aloneWriting),
  variant('W0.file_truncate', 'a file whose page is shared is truncated', safe, aloneTruncating),
  variant('W0.file_sync', 'a file whose page is shared and dirty is synced', safe, aloneSyncing),
  variant('W0.kpageflags', '/proc/kpageflags looks at a page that is being merged', safe, {
    cells: { f, g },
    threads: [merge, kernel({ do: 'kpageflags', pfn: 0 })],
  }),
  variant('W0.combine', 'CPUs may not store to a page that a device reads and writes: plain writes of the device look atomic', safe, combining),
];

const variants: readonly ProtectVariant[] = [
  ...references,
  variant(
    'W1',
    'references are counted before the pte is cleared and flushed, and a device writes to a page that it holds by FOLL_GET: it becomes the stable one',
    { I7: 'violated' },
    { ...becoming, threads: [ksmdOfX, gets], ...countsEarly },
    { lacks: { guard: 'write_protect_page.countsAfterClear', of: 'W0.get_stays' } },
  ),
  variant(
    'W1.replaced',
    'the same; the page that is held is the one that is replaced',
    { I8: 'violated' },
    { ...merging, threads: [ksmd, gets], ...countsEarly },
    { lacks: { guard: 'write_protect_page.countsAfterClear', of: 'W0.get' } },
  ),
  variant(
    'W1.5.18',
    'the same with FOLL_PIN, up to 5.18',
    { I7: 'violated' },
    { ...becoming, threads: [ksmdOfX, pins('write')], ...protects({ countsAfterClear: () => false, isPinned: () => false }) },
  ),
  variant('W1.pin', 'the same with FOLL_PIN, since 5.19: where the page stops being exclusive its pins are looked at, after the flush', safe, {
    ...becoming,
    threads: [ksmdOfX, pins('write')],
    ...countsEarly,
  }),
  variant(
    'W1.file',
    'pages of files are merged, and references are counted only where a pte has to be protected',
    { I7: 'violated' },
    { ...pinnedFile, mergeFilePages: mergeFilePages.provide({ guards: { isKpageUnreferenced: () => true } }) },
    { beyond: true, lacks: { guard: 'merge_file_pages.isKpageUnreferenced', of: 'W0.merge_pinned' } },
  ),
  variant(
    'W1.file_goes',
    'the same of the page that goes',
    { I8: 'violated' },
    { ...pinnedFileGoes, mergeFilePages: mergeFilePages.provide({ guards: { isUnreferenced: () => true } }) },
    { beyond: true, lacks: { guard: 'merge_file_pages.isUnreferenced', of: 'W0.merge_pinned_goes' } },
  ),
  variant(
    'W1.recheck',
    'gup-fast does not read the pte again; TLBs are flushed by broadcast',
    { I8: 'violated' },
    { ...pinnedBroadcast, gupFast: gupFast.provide({ guards: { rechecksAfterGrab: () => false } }) },
    { beyond: true, lacks: { guard: 'gup_fast.rechecksAfterGrab', of: 'W0.pin_broadcast' } },
  ),
  variant(
    'W1.fork',
    'fork shares a page that is pinned',
    { I8: 'violated' },
    { ...forking, copyPageRange: copyPageRange.provide({ guards: { mustCopy: () => false } }) },
    { beyond: true, lacks: { guard: 'copy_page_range.mustCopy', of: 'W0.fork_pinned' } },
  ),
  variant(
    'W2',
    'the TLBs are flushed only when the page is replaced',
    { 'I7.lost': 'violated' },
    { ...merging, ...protects({ flushesAtProtect: () => false }) },
    { lacks: { guard: 'write_protect_page.flushesAtProtect', of: 'W0' } },
  ),
  variant('W2.tso', 'x86-TSO: a store that has retired and is not in memory yet, when its CPU is told to flush', safe, merging, {
    ordering: 'tso',
    beyond: true,
  }),
  variant(
    'W2.drain',
    'the same on a CPU whose store buffer is not emptied by an interrupt',
    { 'I7.lost': 'violated' },
    { ...merging, cpu: cpu.provide({ guards: { drainsOnInterrupt: () => false } }) },
    { ordering: 'tso', beyond: true, lacks: { guard: 'cpu.drainsOnInterrupt', of: 'W2.tso' } },
  ),
  variant(
    'W3',
    'no flush where the pte looks protected, though others have flushes pending (MADV_FREE, soft-dirty up to 5.10)',
    { 'I7.lost': 'violated' },
    { ...pending('clear_refs_5_10'), ...protects({ ...without519, heedsPendingFlushes: () => false }) },
    { lacks: { guard: 'write_protect_page.heedsPendingFlushes', of: 'W3.heeded' } },
  ),
  variant(
    'W3.uffd',
    'the same with userfaultfd, up to 5.18',
    { 'I7.lost': 'violated' },
    { ...pending('uffd_wp'), ...protects({ ...without519, heedsPendingFlushes: () => false }) },
  ),
  variant('W3.heeded', 'soft-dirty up to 5.10; pending flushes are heeded', safe, { ...pending('clear_refs_5_10'), ...protects(without519) }),
  variant('W3.6.12', 'pending flushes are not heeded; userfaultfd in 6.12: the page is exclusive, and that alone leads to the flush', safe, {
    ...pending('uffd_wp'),
    ...protects({ heedsPendingFlushes: () => false }),
  }),
  variant(
    'W4',
    'the pages are not compared again when they are protected',
    { 'I7.lost': 'violated' },
    { ...merging, tryToMerge: tryToMergeOnePage.provide({ guards: { comparesAgain: () => false } }) },
    { lacks: { guard: 'try_to_merge_one_page.comparesAgain', of: 'W0' } },
  ),
  variant(
    'W4.file',
    'the same for pages of files',
    { 'I7.lost': 'violated' },
    { ...mergingFiles, mergeFilePages: mergeFilePages.provide({ guards: { comparesAgain: () => false } }) },
    { beyond: true, lacks: { guard: 'merge_file_pages.comparesAgain', of: 'W0.merge' } },
  ),
  variant(
    'W5',
    'the pte is replaced whatever it is by then',
    { 'I7.lost': 'violated' },
    { ...merging, replacePage: replacePage.provide({ guards: { testsUnchanged: () => false } }) },
    { lacks: { guard: 'replace_page.testsUnchanged', of: 'W0' } },
  ),
  variant(
    'W6',
    'gup-fast takes a page to write to by a pte that is read-only',
    { I7: 'violated' },
    {
      ...merged,
      threads: [pins('write')],
      free: 2,
      gupFast: gupFast.provide({ guards: { notAccessible: ({ event }) => event.type === 'pte' && event.pte.kind !== 'present' } }),
    },
    { lacks: { guard: 'gup_fast.notAccessible', of: 'W0.pin_shared' } },
  ),
  variant(
    'W6.slow',
    'the slow path of gup takes a page to write to without a fault',
    { I7: 'violated' },
    { ...merged, threads: [pins('write')], free: 2, gupSlow: gupSlow.provide({ guards: { isReadOnly: () => false } }) },
    { lacks: { guard: 'gup_slow.isReadOnly', of: 'W0.pin_shared' } },
  ),
  variant(
    'W6r',
    'a long-term pin for reading does not unshare',
    { I8: 'violated' },
    {
      ...merged,
      threads: [pins('read'), user(store)],
      free: 3,
      gupFast: gupFast.provide({ guards: { mustUnshare: () => false } }),
    },
    { lacks: { guard: 'gup_fast.mustUnshare', of: 'W0.longterm' } },
  ),
  variant(
    'W6r.slow',
    'the same in the slow path',
    { I8: 'violated' },
    {
      ...merged,
      threads: [pins('read'), user(store)],
      free: 3,
      gupSlow: gupSlow.provide({ guards: { mustUnshare: () => false } }),
    },
    { lacks: { guard: 'gup_slow.mustUnshare', of: 'W0.longterm' } },
  ),
  variant(
    'W7',
    'the exclusive flag is cleared without barriers against gup-fast; weak ordering',
    { I8: 'violated' },
    { ...pinnedToRead, ...protects({ hasBarriers: () => false }) },
    { ordering: 'weak', lacks: { guard: 'write_protect_page.hasBarriers', of: 'W7.barriers' } },
  ),
  ...(['sc', 'tso'] as const).map((ordering) =>
    variant(`W7.${ordering}`, `the same; ordering ${ordering}`, safe, { ...pinnedToRead, ...protects({ hasBarriers: () => false }) }, { ordering }),
  ),
  variant('W7.barriers', 'weak ordering, with the barriers', safe, pinnedToRead, { ordering: 'weak' }),
  variant(
    'W8',
    'a page of a file is merged under writeback, and the end of I/O asks page->mapping where the error goes',
    { fsync: 'violated' },
    { ...syncing, disk: disk.provide({ guards: { reportsByBuffer: () => false } }) },
    { lacks: { guard: 'disk.reportsByBuffer', of: 'W8.buffer' } },
  ),
  variant('W8.buffer', 'the same; the buffer_head has stored the mapping', safe, syncing),
  variant(
    'W8.wait',
    'who breaks the protection does not wait for the writeback of the page that is shared',
    { fsync: 'violated' },
    { ...storingAndSyncing, breakFileProtection: breakFileProtection.provide({ guards: { waitsForWriteback: () => false } }) },
    { beyond: true, lacks: { guard: 'break_file_protection.waitsForWriteback', of: 'W0.sync' } },
  ),
  variant(
    'W8.copy',
    'writeback leaves a page alone that is not in its place of the file any more, as in 6.12',
    { durable: 'violated' },
    { ...syncingBesideWrite, writeback: writeback.provide({ guards: { looksAgain: () => false } }) },
    { beyond: true, lacks: { guard: 'writeback.looksAgain', of: 'W0.sync_write' } },
  ),
  variant(
    'W9',
    'write(2) does not break the protection',
    { I7: 'violated' },
    { ...writing, genericPerformWrite: genericPerformWrite.provide({ guards: { breaksProtection: () => false } }) },
    { lacks: { guard: 'generic_perform_write.breaksProtection', of: 'W0.file' } },
  ),
  variant(
    'W10',
    'the writable pte is set before the replicas are flushed; two threads store',
    { I9: 'violated' },
    { ...replicated, ...breaks({ revokesBeforeWritable: () => false }) },
    { lacks: { guard: 'break_protection.revokesBeforeWritable', of: 'W16.threads' } },
  ),
  variant(
    'W10.file',
    'the page of its own is in the file before the ptes that map the shared one are gone',
    { I3w: 'violated' },
    { ...writingTwice, breakFileProtection: breakFileProtection.provide({ guards: { unmapsFirst: () => false } }) },
    { beyond: true, lacks: { guard: 'break_file_protection.unmapsFirst', of: 'W0.file_twice' } },
  ),
  variant(
    'W11',
    'the replica is copied before the page is protected and flushed',
    { I9: 'violated' },
    { ...replicating, replicatePage: replicatePage.provide({ guards: { copiesAfterProtect: () => false } }) },
    { lacks: { guard: 'replicate_page.copiesAfterProtect', of: 'W16' } },
  ),
  variant(
    'W12',
    'the copy of the device is not invalidated before a CPU may write',
    { I9: 'violated' },
    { ...copying, ...breaks({ notifies: () => false }) },
    { lacks: { guard: 'break_protection.notifies', of: 'W12.notified' } },
  ),
  variant('W12.notified', 'the copy of the device is invalidated first', safe, copying),
  variant('W12.stored', 'the same: does the store ever retire?', { stored: null }, { ...copying, asksStored: true }, { beyond: true }),
  variant(
    'W12.combine',
    'a device that writes to the page itself is not told before a CPU may write',
    { I5: 'violated' },
    { ...combining, ...breaks({ notifies: () => false }) },
    { beyond: true, lacks: { guard: 'break_protection.notifies', of: 'W0.combine' } },
  ),
  variant(
    'W13',
    'who breaks the protection holds the folio lock, and waits for a device whose handler needs it',
    { I11: 'violated' },
    { ...copying, ...waitsForFolio, ...breaks({ notifiesBeforeLock: () => false }) },
    { lacks: { guard: 'break_protection.notifiesBeforeLock', of: 'W13.before' } },
  ),
  variant('W13.before', 'the same handler; the device is notified before the folio is locked', safe, { ...copying, ...waitsForFolio }),
  variant(
    'W14',
    'page->mapping of a protected page differs: a fault takes it for truncated',
    { P: 'violated' },
    { ...aloneStoring, ...faults({ knowsRecord: () => false }) },
    { lacks: { guard: 'handle_pte_fault.knowsRecord', of: 'W0.file_store' } },
  ),
  variant(
    'W14.write',
    'the same in write(2)',
    { P: 'violated' },
    { ...aloneWriting, genericPerformWrite: genericPerformWrite.provide({ guards: { knowsRecord: () => false } }) },
    { lacks: { guard: 'generic_perform_write.knowsRecord', of: 'W0.file_write' } },
  ),
  variant(
    'W14.truncate',
    'the same in truncate(2)',
    { P: 'violated' },
    { ...aloneTruncating, truncateInodePages: truncateInodePages.provide({ guards: { knowsRecord: () => false } }) },
    { lacks: { guard: 'truncate_inode_pages.knowsRecord', of: 'W0.file_truncate' } },
  ),
  variant(
    'W14.sync',
    'the same in fsync(2)',
    { P: 'violated' },
    { ...aloneSyncing, writeback: writeback.provide({ guards: { knowsRecord: () => false } }) },
    { lacks: { guard: 'writeback.knowsRecord', of: 'W0.file_sync' } },
  ),
  variant(
    'W14.rmap',
    'the rmap walk of reclaim takes page->mapping for that of one process: who else maps the page is not found, and it is never free',
    { reclaimed: 'violated' },
    { ...reclaiming, tryToUnmap: tryToUnmap.provide({ guards: { knowsRecord: () => false } }) },
    { beyond: true, lacks: { guard: 'try_to_unmap.knowsRecord', of: 'W0.reclaim' } },
  ),
  variant(
    'W14.kpageflags',
    '/proc/kpageflags takes the record for a mapping',
    { BUG: 'violated' },
    {
      cells: { f, g },
      threads: [merge, kernel({ do: 'kpageflags', pfn: 0 })],
      stablePageFlags: stablePageFlags.provide({ guards: { knowsRecord: () => false } }),
    },
    { beyond: true, lacks: { guard: 'stable_page_flags.knowsRecord', of: 'W0.kpageflags' } },
  ),
  variant(
    'W15',
    'KSM protects without a notification, and a device may write',
    { I7: 'violated' },
    { ...mirrored, ...protects({ notifies: () => false }) },
    { lacks: { guard: 'write_protect_page.notifies', of: 'W15.notified' } },
  ),
  variant('W15.notified', 'the device is notified', safe, mirrored),
  variant('W16', 'replicas on another node; a break notifies, revokes all, flushes, and then lets write', safe, replicating),
  variant('W16.threads', 'two threads of one node store', safe, replicated),
  variant('W16.both', 'both nodes store', safe, {
    ...replicating,
    threads: [replicating.threads[0] as ProtectThread, user(store), { mm: 'p_node1', program: [store, load] }],
  }),
];

/** Each safeguard that a variant goes without, and the variant of the same program that has it. */
export const protectSafeguards: readonly { guard: string; without: string; of: string }[] = variants.flatMap(({ id, lacks }) =>
  lacks ? [{ ...lacks, without: id }] : [],
);

/** Rows W0 to W16 of part 2. */
export const writeProtectScenario: Scenario = {
  id: 'write-protect',
  title: 'write protection of pages: KSM, pages of files, replicas, copies in devices',
  question: 'Can a page that others rely on be changed, or a write be lost, and is the protection broken in reasonable time?',
  parameters: {
    ordering: {
      description: 'of the stores of a CPU: sc (in memory at once), tso (x86: a store buffer), weak (stores to different places pass each other)',
      default: 'sc',
      values: ['sc', 'tso', 'weak'],
    },
  },
  variants,
};
