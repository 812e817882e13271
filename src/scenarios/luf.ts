import { lufDebug, lufDebugChanges } from '../../machines/debug/luf-debug.js';
import { lufRules, lufRulesExempting } from '../../machines/debug/luf-rules.js';
import { lufBatch } from '../../machines/memory/luf-batch.js';
import { pageAllocator } from '../../machines/memory/page-allocator.js';
import { allocPages } from '../../machines/paths/alloc-pages.js';
import { genericPerformWrite } from '../../machines/paths/generic-perform-write.js';
import { handlePteFault } from '../../machines/paths/handle-pte-fault.js';
import { shrinkFolioList } from '../../machines/paths/shrink-folio-list.js';
import { tryToUnmap } from '../../machines/paths/try-to-unmap.js';
import { uprobeWriteOpcode } from '../../machines/paths/uprobe-write-opcode.js';
import type { Guards } from './common.js';
import { type DebugMode, type LufCall, type LufSetup, type LufThread, lufSystem, strictLuf } from './luf-system.js';
import type { Expected, Parameters, Scenario, Variant } from './scenario.js';

const load = (vpn = 0): LufCall => ({ do: 'load', vpn });
const store = (vpn = 0): LufCall => ({ do: 'store', vpn });
export const user = (...program: LufCall[]): LufThread => ({ mm: 'p', program });
export const kernel = (...program: LufCall[]): LufThread => ({ mm: null, program });
/** Reads a page again and again: through what its TLB has kept, if it did. */
const reader: LufThread = { mm: 'p', program: [load()], repeats: true };

/** One page of a file, in frame 0, mapped read-only. */
const f = { f: { kind: 'file', pfn: 0, at: { p: [0] } } } as const;
/** A private page that nobody shares, in frame 0, read-only as after a swap-in. */
const x = { x: { kind: 'anonymous', pfn: 0, at: { p: [0] }, exclusive: true } } as const;

const plain = { luf: false };
const reclaimed = { cells: f, threads: [kernel({ do: 'reclaim', cell: 'f' }), reader] };
const written = { ...reclaimed, threads: [...reclaimed.threads, user({ do: 'write', cell: 'f' })], free: [1] };
const reused = (use: LufThread): Partial<LufSetup> => ({ ...reclaimed, threads: [...reclaimed.threads, use], free: [] });
const slab: LufThread = kernel({ do: 'slab' });

const faults = (guards: Guards<typeof handlePteFault>): Partial<LufSetup> => ({ handlePteFault: handlePteFault.provide({ guards: guards as never }) });
const unmaps = (guards: Guards<typeof tryToUnmap>): Partial<LufSetup> => ({ tryToUnmap: tryToUnmap.provide({ guards: guards as never }) });
const writes = (guards: Guards<typeof genericPerformWrite>): Partial<LufSetup> => ({
  genericPerformWrite: genericPerformWrite.provide({ guards: guards as never }),
});
const shrinks = (guards: Guards<typeof shrinkFolioList>): Pick<LufSetup, 'shrinkFolioList'> => ({
  shrinkFolioList: shrinkFolioList.provide({ guards: guards as never }),
});

/** Version 12 pays for a fault when the pte is visible. */
export const paysAtEnd = faults({ mustFlushBeforeSet: () => false, mustFlushAtEnd: ({ context }) => context.area?.write === true });
const neverPays = faults({ mustFlushBeforeSet: () => false });

const safe: Record<string, Expected> = { I1: 'holds', I2: 'holds', I3w: 'holds', I3s: 'holds', I4: 'holds', UAF: 'holds', BUG: 'holds', deadlock: 'holds' };
const missed: Record<string, Expected> = { 'seed.complete': 'violated' };
const falseAlarm: Record<string, Expected> = { ...safe, 'seed.complete': 'holds', 'seed.sound': 'violated' };
/** Nothing is violated and nothing said. Of its lists, which may be corrupt all the same, see row L21. */
const silent: Record<string, Expected> = { ...safe, 'seed.complete': 'holds', 'seed.silent': 'holds' };

/**
 * The smallest changes found that close what the seed's debug mode gets wrong, by variant: with them no violation is without a WARN
 * before it, or (L14 to L15a) no WARN without a violation to come.
 */
export const closingChanges: Readonly<Record<string, readonly string[]>> = {
  L2: ['check-writable'],
  'L2.unpaid': ['check-writable'],
  L3: ['check-alloc'],
  'L3.table': ['check-alloc'],
  'L3.cache': ['check-alloc'],
  'L3.user': ['check-alloc'],
  L4: ['check-alloc'],
  L5: ['check-clear'],
  L6: ['warn-at-mkwrite'],
  L7: ['key-by-slot'],
  'L7.reclaim': ['key-by-slot'],
  'L7.anonymous': ['key-by-slot'],
  L8: ['check-content'],
  L8b: ['check-content'],
  L9: ['check-content'],
  L10: ['check-withdrawal'],
  L11: ['check-withdrawal'],
  L12: ['link-at-unmap', 'check-withdrawal'],
  L13: ['unlink-older'],
  L14: ['other-frames'],
  L15: ['other-frames'],
  L15a: ['other-frames'],
  L17: ['track-tlbs', 'check-alloc'],
  L18: ['check-set'],
  L20: ['warn-at-mkwrite'],
  L21: ['link-once'],
};

/** The seed's debug mode with changes. */
export function changedMode(changes: readonly string[]): DebugMode {
  const guards = Object.assign({}, ...changes.map((name) => lufDebugChanges[name]?.guards));
  return { name: 'changed', machine: lufDebug.provide({ guards }) };
}

/** Its name as a value of the parameter `debug`. */
export const changedName = (changes: readonly string[]): string => ['seed', ...changes].join('+');

/** The debug modes that can listen to a variant. `changed`: all changes at once. */
export const debugModes: Readonly<Record<string, DebugMode | null>> = {
  none: null,
  seed: { name: 'seed', machine: lufDebug },
  ...Object.fromEntries(
    [...Object.keys(lufDebugChanges).map((name) => [name]), ...Object.values(closingChanges)].map((changes) => [changedName(changes), changedMode(changes)]),
  ),
  changed: changedMode(Object.keys(lufDebugChanges)),
  rules: { name: 'rules', machine: lufRules },
  'rules-exempting': { name: 'rules', machine: lufRulesExempting },
};

/** Built with any debug mode. */
export type LufVariant = Variant & { setup: Partial<LufSetup> };

function variant(id: string, summary: string, expected: Record<string, Expected>, setup: Partial<LufSetup>, debug = 'seed'): LufVariant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: `domain table 2.A, row ${row}`,
    expected,
    others: null,
    ...(debug === 'seed' ? {} : { fixed: { debug } }),
    setup,
    system: (parameters: Parameters) => lufSystem(`luf/${id}`, { ...strictLuf, ...setup, debug: debugModes[String(parameters.debug)] ?? null }),
  };
}

const stored = { ...reclaimed, threads: [...reclaimed.threads, user(store())], free: [1] };
const migrated = { cells: f, threads: [kernel({ do: 'migrate', cell: 'f' }), reader, user(store())], free: [1] };
const remapped = { cells: f, threads: [kernel({ do: 'migrate', cell: 'f' }), reader], free: [1] };
const swapped = { cells: x, threads: [kernel({ do: 'reclaim', cell: 'x' }), reader, user(store())], free: [1, 2] };
const unpaidAlloc = { allocPages: allocPages.provide({ guards: { mustFlush: () => false } }) };
const initsOnFree = shrinks({ mustInit: ({ context }) => context.frames.length > 0 });
export const flushesBeforeRemoval = shrinks({ mustFlushBeforeRemoval: ({ context }) => context.cpus.length > 0 });
const recordsLate = unmaps({ recordsUnderPtl: () => false, marksPending: () => false });
/** Migration of a private page that is being stored to; its frame goes to the slab. */
const dirtied = {
  cells: { x: { ...x.x, pte: 'writable' as const } },
  threads: [kernel({ do: 'migrate', cell: 'x' }), user(store(), store(), store()), slab],
  free: [1],
};
/** Somebody holds a reference of the page, so that reclaim unmaps it and then leaves it in the swap cache. */
const kept = { cells: { x: { ...x.x, pinned: 1 } }, threads: [kernel({ do: 'reclaim', cell: 'x' }), reader, user(store())] };
const allocating = {
  cells: { ...f, g: { ...f.f, pfn: 3 } },
  threads: [slab, slab],
  free: [
    { pfns: [1], lufKey: 1 },
    { pfns: [2], lufKey: 1 },
  ],
  zoneLock: true,
  debts: {
    ugen: 1,
    debts: [
      { cpu: 'cpu0', ugen: 1 },
      { cpu: 'cpu1', ugen: 1 },
    ],
  },
};

/** Strict LUF, then the same with one safeguard out. */
function pair(
  id: string,
  summary: string,
  expected: Record<string, Expected>,
  strict: Partial<LufSetup>,
  without: Partial<LufSetup>,
  kept: string,
  strictly: Record<string, Expected> = silent,
): LufVariant[] {
  return [variant(id, summary, { ...missed, ...expected }, { ...strict, ...without }), variant(`${id}.strict`, kept, strictly, strict)];
}

const variants: readonly LufVariant[] = [
  variant(
    'L0',
    'plain kernel, batched reclaim: the slot is gone before the flush',
    { I1: 'holds', I2: 'holds', I3w: 'violated', I4: 'holds' },
    { ...written, ...plain },
    'none',
  ),
  variant('L0.reuse', 'plain kernel, batched reclaim: the frame is handed out only after the flush', safe, { ...reused(slab), ...plain }, 'none'),
  variant('L0a', 'plain kernel; the flush comes before __remove_mapping', safe, { ...written, ...plain, ...flushesBeforeRemoval }, 'none'),
  variant(
    'L0b',
    'plain kernel; the flush comes after the slot is gone, before the folio is unlocked',
    { I3w: 'violated' },
    { ...written, ...plain, ...shrinks({ mustFlushBeforeUnlock: ({ context }) => context.cpus.length > 0 }) },
    'none',
  ),
  variant('L1', 'strict LUF: a file page is reclaimed, read anew, and written with write(2)', silent, written),
  variant('L1.store', 'strict LUF: a file page is reclaimed, read anew, and stored to', silent, stored),
  variant('L1.migrate', 'strict LUF: a file page is migrated and stored to', silent, migrated),
  variant('L1.anonymous', 'strict LUF: a private page is reclaimed, swapped in and stored to', silent, swapped),
  variant('L2', 'writable and dirty ptes are not excluded', { I2: 'violated', I1: 'holds', ...missed }, { ...dirtied, ...unmaps({ isWritable: () => false }) }),
  variant(
    'L2.unpaid',
    'writable and dirty ptes are not excluded, and no flush at allocation: the store reaches the next owner',
    { I1: 'violated', I2: 'violated', ...missed },
    { ...dirtied, ...unmaps({ isWritable: () => false }), ...unpaidAlloc },
  ),
  variant('L2.strict', 'writable ptes are flushed before the copy', silent, dirtied),
  ...pair(
    'L3',
    'no flush at allocation: the frame goes to the slab',
    { I1: 'violated' },
    reused(slab),
    unpaidAlloc,
    'the frame goes to the slab when it is paid for',
  ),
  variant(
    'L3.table',
    'no flush at allocation: the frame becomes a page table',
    { I1: 'violated', ...missed },
    {
      ...reused(kernel({ do: 'slab', content: 'ptes' })),
      ...unpaidAlloc,
    },
  ),
  variant(
    'L3.cache',
    'no flush at allocation: the frame goes to the page cache of another file',
    { I1: 'violated', ...missed },
    {
      ...reused({ mm: 'q', program: [load(1)], name: 'load of g' }),
      cells: { ...f, g: { kind: 'file', pfn: null, at: { q: [1] } } },
      ...unpaidAlloc,
    },
  ),
  variant(
    'L3.user',
    'no flush at allocation: the frame becomes a writable user page',
    { I1: 'violated', ...missed, 'seed.silent': 'violated' },
    {
      ...reused({ mm: 'q', program: [store(1)], name: 'store to y' }),
      cells: { ...f, y: { kind: 'anonymous', pfn: null, at: { q: [1] } } },
      ...unpaidAlloc,
    },
  ),
  ...pair(
    'L4',
    'the key is lost when the buddy allocator merges blocks',
    { I1: 'violated' },
    { ...reused(kernel({ do: 'slab', order: 1 })), buddy: [{ pfns: [1], lufKey: null }], drains: true },
    { pageAllocator: pageAllocator.provide({ guards: { canDrainMerging: () => false } }) },
    'a merged block owes what its parts owe',
  ),
  variant('L5', 'the free path clears the frame while the flush is owed', { I3w: 'violated', ...missed }, { ...reclaimed, ...initsOnFree }),
  variant('L5.excluded', 'with init_on_free nothing is put off', silent, {
    ...reclaimed,
    ...initsOnFree,
    ...unmaps({ isPlainKernel: () => true }),
  }),
  ...pair(
    'L6',
    'the writable pte is visible, and the flush comes at the end of the fault (version 12)',
    { I3w: 'violated', I3s: 'violated' },
    { ...migrated, threads: [...migrated.threads, user(store(), load())] },
    paysAtEnd,
    'the flush comes before the writable pte, under the page-table lock',
  ),
  variant('L7', 'no flush when a pte becomes writable: a page that was migrated', { I3w: 'violated', ...missed }, { ...migrated, ...neverPays }),
  variant(
    'L7.reclaim',
    'no flush when a pte becomes writable: a page that was reclaimed and read anew',
    { I3w: 'violated', ...missed },
    { ...stored, ...neverPays },
  ),
  variant(
    'L7.anonymous',
    'no flush when a pte becomes writable: a private page that was reclaimed and swapped in',
    { I3w: 'violated', ...missed },
    { ...swapped, ...neverPays },
  ),
  variant(
    'L7.copy',
    'no flush when a pte becomes writable: a private page shared with the child, reclaimed and copied: ptep_clear_flush flushes the address',
    falseAlarm,
    { ...swapped, cells: { x: { kind: 'anonymous', pfn: 0, at: { p: [0], c: [0] } } }, ...neverPays },
  ),
  ...pair(
    'L8',
    'the flush comes after the copy (version 11; step 5)',
    { I3w: 'holds', I3s: 'violated' },
    {
      ...written,
      cells: { f: { ...f.f, at: { p: [0, 1] } } },
      threads: [kernel({ do: 'reclaim', cell: 'f' }), { ...reader, program: [load(0), load(1)] }, user({ do: 'write', cell: 'f' })],
    },
    writes({ mustFlushBeforeCopy: () => false, mustFlushAfterCopy: () => true }),
    'the flush comes before the copy',
  ),
  variant('L8a', 'the flush comes between write_begin and the copy (version 12)', silent, { ...written, ...paysAtEnd }),
  variant(
    'L8b',
    'a write that reaches neither write_begin nor write_end (iomap, DAX)',
    { I3w: 'violated', ...missed },
    {
      ...written,
      ...writes({ mustFlushBeforeCopy: () => false, callsWriteEnd: () => false }),
    },
  ),
  ...pair(
    'L9',
    'the content changes at the server: revalidation finds no page in the cache',
    { I3w: 'violated' },
    {
      ...reclaimed,
      threads: [kernel({ do: 'reclaim', cell: 'f' }, { do: 'remote_write', cell: 'f' }), reader, user({ do: 'lock_file', cell: 'f' })],
      free: [1],
    },
    { revalidationPays: false },
    'the content changes at the server; revalidation pays what is owed',
  ),
  ...pair(
    'L10',
    'munmap, and mmap of another file, without a flush pending',
    { I4: 'violated' },
    {
      cells: { ...f, g: { kind: 'file', pfn: 1, at: {} } },
      threads: [...reclaimed.threads, user({ do: 'munmap', vpn: 0 }, { do: 'mmap', vpn: 0, cell: 'g' })],
    },
    unmaps({ marksPending: () => false }),
    'munmap flushes what reclaim has left pending',
  ),
  ...pair(
    'L11',
    'mprotect PROT_NONE without a flush pending',
    { I4: 'violated' },
    { ...reclaimed, threads: [...reclaimed.threads, user({ do: 'mprotect', vpn: 0, read: false })] },
    unmaps({ marksPending: () => false }),
    'mprotect flushes what reclaim has left pending',
  ),
  variant(
    'L12',
    'the debt is recorded after the page-table lock is dropped: munmap',
    { I4: 'violated', ...missed },
    {
      ...reclaimed,
      threads: [...reclaimed.threads, user({ do: 'munmap', vpn: 0 })],
      ...recordsLate,
    },
  ),
  ...pair(
    'L13',
    'a flush pays what is owed when it ends, not when it began',
    { I3w: 'violated' },
    {
      ...reclaimed,
      threads: [...reclaimed.threads, user({ do: 'write', cell: 'f' }), kernel({ do: 'luf_flush' })],
      free: [1],
      debts: {
        ugen: 1,
        debts: [
          { cpu: 'cpu1', ugen: 1 },
          { cpu: 'cpu3', ugen: 1 },
        ],
      },
    },
    { lufBatch: lufBatch.provide({ guards: { paysUpToStart: () => false } }) },
    'a flush pays what was owed when it began',
    falseAlarm,
  ),
  variant('L14', 'the same folio is mapped writable again, without a flush', falseAlarm, { ...kept, ...neverPays }),
  variant('L15', 'another task has paid already, so that the flush is left out', falseAlarm, {
    ...kept,
    threads: [kernel({ do: 'reclaim', cell: 'x' }, { do: 'luf_flush' }), reader, user(store())],
    ...paysAtEnd,
  }),
  variant('L15a', 'the entry is computed, and its installation is given up', falseAlarm, {
    ...kept,
    threads: [...kept.threads, user(store())],
    ...faults({ computesEntryEarly: () => true }),
  }),
  variant(
    'L16',
    'the debt is paid in the allocator with interrupts off',
    { deadlock: 'violated' },
    { ...allocating, allocPages: allocPages.provide({ guards: { mustFlushLocked: ({ context }) => context.lufKey !== null } }) },
    'none',
  ),
  variant('L16.strict', 'the debt is paid in the allocator with interrupts on, and no lock held', safe, allocating, 'none'),
  ...pair(
    'L17',
    'the generation is not taken at the unmap: an address space that is kept under another PCID',
    { I1: 'violated' },
    {
      cells: f,
      threads: [kernel({ do: 'reclaim', cell: 'f' }), user(load(), { do: 'switch', next: 'q' }, { do: 'switch', next: 'p' }, load()), slab],
      otherSpaces: ['q'],
    },
    unmaps({ takesGen: () => false }),
    'the switch finds the generation newer',
  ),
  ...pair(
    'L18',
    'a uprobe fills an empty pte with a plain set',
    { I3w: 'violated' },
    {
      cells: { t: { kind: 'text', pfn: 0, at: { p: [0] } } },
      threads: [kernel({ do: 'reclaim', cell: 't' }), { ...reader, name: 'execute' }, user({ do: 'uprobe', vpn: 0 })],
      free: [1, 2],
    },
    { uprobeWriteOpcode: uprobeWriteOpcode.provide({ guards: { demandsPresent: () => false } }) },
    'a uprobe faults the page in, clears, flushes and sets',
  ),
  variant('L18.6.16', 'a uprobe of 6.16 and later: the page is made private, cleared, flushed, written in place and set', silent, {
    cells: { t: { kind: 'text', pfn: 0, at: { p: [0] } } },
    threads: [kernel({ do: 'reclaim', cell: 't' }), { ...reader, name: 'execute' }, user({ do: 'uprobe_write', vpn: 0 })],
    free: [1, 2],
  }),
  variant('L19', 'LUF on migration, read-only throughout', silent, remapped),
  variant('L19.rules', 'LUF on migration: H1 and H2 read literally', { ...safe, 'rules.sound': 'violated' }, remapped, 'rules'),
  variant(
    'L20',
    'no flush when a pte becomes writable, for a kernel thread that stores',
    { I3w: 'violated', ...missed },
    {
      ...migrated,
      threads: [...migrated.threads.slice(0, 2), { ...user(store()), kernel: true, name: 'io_uring SQPOLL' }],
      ...neverPays,
    },
  ),
  variant(
    'L21',
    'two folios of one file are skipped for one CPU',
    { ...safe, 'seed.lists': 'violated' },
    {
      cells: { ...f, h: { kind: 'file', pfn: 1, at: { p: [1] }, file: 'file_f', index: 1 } },
      threads: [kernel({ do: 'reclaim', cell: 'f', more: ['h'] }), user(load(0), load(1), load(0))],
      free: [2, 3],
    },
  ),
];

export const lufScenario: Scenario = {
  id: 'luf',
  title: 'lazy unmap flush',
  question: 'If the TLB flush of read-only pages is put off until something changes, can anybody see that it was? And does a debug mode see it?',
  parameters: {
    debug: { description: 'the debug mode that listens', default: 'seed', values: Object.keys(debugModes) },
  },
  variants,
};
