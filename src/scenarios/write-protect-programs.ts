import type { ProtectCell, ProtectSetup, ProtectThread } from './write-protect-setup.js';

// What the variants of `write-protect` run: which pages there are at first, and which threads do what.

type Changes = Partial<ProtectSetup>;

export const user = (...program: ProtectThread['program']): ProtectThread => ({ mm: 'p', program });
export const other = (...program: ProtectThread['program']): ProtectThread => ({ mm: 'q', program });
export const kernel = (...program: ProtectThread['program']): ProtectThread => ({ mm: null, program });
export const store = { do: 'store', vpn: 0 } as const;
export const load = { do: 'load', vpn: 0 } as const;

const x: ProtectCell = { kind: 'anonymous', pfn: 0, at: { p: [0] } };
const y: ProtectCell = { kind: 'anonymous', pfn: 1, at: { q: [0] } };
export const f: ProtectCell = { kind: 'file', pfn: 0, at: { p: [0] } };
export const g: ProtectCell = { kind: 'file', pfn: 1, at: { q: [0] } };
const atX = { mm: 'p', vpn: 0 };
const atY = { mm: 'q', vpn: 0 };
/** Finds the page of y in the stable tree. */
export const ksmd = kernel({ do: 'ksm_scan', at: atX });
/** No page is stable yet: that of x becomes it, and that of y, which is in the unstable tree, is merged with it. */
export const ksmdOfX = kernel({ do: 'ksm_scan', at: atX, other: atY });
export const merging = { cells: { x, y }, stable: [1], threads: [ksmd, user(store, load)], free: 2 };
export const again = { ...merging, threads: [{ ...ksmd, repeats: true }, user(store)], generations: false } satisfies Changes;
export const becoming = { ...merging, stable: [] };
/** One page for both. */
export const merged = { cells: { x, y: { ...y, pfn: 0 } }, stable: [0] };
const mergedFiles = { cells: { f, g: { ...g, pfn: 0 } }, stable: [0] };
export const pins = (access: 'read' | 'write'): ProtectThread => ({ mm: 'p', program: [], pins: { vpn: 0, access } });
/** FOLL_GET: a reference, and no pin. */
export const gets: ProtectThread = { mm: 'p', program: [], pins: { vpn: 0, access: 'write', get: true } };
export const merge = kernel({ do: 'merge_files', into: 'f', from: 'g' });
/** Exclusive and read-only: what a process has not stored to since it was swapped in. */
const readOnly: ProtectCell = { ...x, pte: 'read-only', exclusive: true };
export const pinnedToRead = { cells: { x: readOnly, y }, stable: [1], threads: [ksmd, pins('read')], free: 1 };
/** The process has a page table on each of two nodes. */
const numa = { cells: { x: { ...x, at: { p: [0], p_node1: [0] } } } };
export const replicating = {
  ...numa,
  threads: [kernel({ do: 'replicate', vpn: 0 }), user(store), { mm: 'p_node1', program: [load] }],
  free: 1,
} satisfies Changes;
/** The same, with a copy on node 1. */
export const replicated = {
  cells: { x: { ...x, at: { p: [0], p_node1: [0] }, replicas: { p_node1: 1 } } },
  threads: [user(store), user(store), { mm: 'p_node1', program: [load] }],
} satisfies Changes;
export const copying = {
  cells: { x },
  device: { program: [{ do: 'read', vpn: 0 }], mode: 'copy', memory: 1 },
  threads: [user(store)],
  generations: false,
} satisfies Changes;
export const combining = {
  cells: { x },
  device: { program: [{ do: 'atomic', vpn: 0 }], mode: 'combine', memory: 0 },
  threads: [user(store, load)],
  generations: false,
} satisfies Changes;
export const reclaiming = { ...merged, threads: [kernel({ do: 'reclaim', cell: 'x' }), user(store, load)], free: 2 } satisfies Changes;
/** Stored to when it is pinned, and then forked. */
export const forking = { cells: { x }, threads: [pins('write'), user({ do: 'fork', vpn: 0 }, store)], free: 2 } satisfies Changes;
export const writing = { ...mergedFiles, threads: [user({ do: 'write', cell: 'f' }), other(store, load)], free: 2 } satisfies Changes;
export const writingTwice = {
  ...mergedFiles,
  threads: [user({ do: 'write', cell: 'f' }), user({ do: 'write', cell: 'f' }), user(load, load)],
  free: 2,
} satisfies Changes;
export const mergingFiles = { cells: { f, g }, threads: [merge, user({ do: 'write', cell: 'f' }), other(load)], free: 2 } satisfies Changes;
export const pinnedFile = { cells: { f, g }, threads: [pins('write'), kernel({ do: 'writeback', cell: 'f' }), merge], free: 1 } satisfies Changes;
/** The same; the page that is pinned is the one that goes. */
export const pinnedFileGoes = {
  ...pinnedFile,
  threads: [pins('write'), kernel({ do: 'writeback', cell: 'f' }), kernel({ do: 'merge_files', into: 'g', from: 'f' })],
};
export const truncating = { ...mergedFiles, threads: [kernel({ do: 'truncate', cell: 'f' }), other(store, load)], free: 2 } satisfies Changes;
export const storingAndSyncing = {
  cells: { f: { ...f, dirty: true }, g: { ...g, pfn: 0, dirty: true } },
  stable: [0],
  threads: [kernel({ do: 'writeback', cell: 'f' }), user({ do: 'write', cell: 'f' }, { do: 'fsync', cell: 'f' })],
  free: 2,
  errors: 1,
} satisfies Changes;
export const syncingBesideWrite = {
  ...storingAndSyncing,
  threads: [user({ do: 'fsync', cell: 'f' }), user({ do: 'write', cell: 'f' })],
  errors: 0,
} satisfies Changes;
/** Nobody else takes care of the page that is shared. */
const alone = (thread: ProtectThread): Changes => ({ ...mergedFiles, threads: [thread], free: 2 });
export const aloneStoring = alone(user(store));
export const aloneWriting = alone(user({ do: 'write', cell: 'f' }));
export const aloneTruncating = alone(kernel({ do: 'truncate', cell: 'f' }));
export const aloneSyncing = { ...storingAndSyncing, threads: [user({ do: 'fsync', cell: 'f' })], errors: 0 };
/** TLBs are flushed without interrupts, which gup-fast would keep waiting. */
export const pinnedBroadcast = { ...merging, threads: [ksmd, pins('write')], flush: 'broadcast' } satisfies Changes;
/** A device that may write to the page at first. */
export const mirrored = {
  cells: { x, y },
  threads: [ksmdOfX],
  device: { program: [{ do: 'write', vpn: 0 }], mode: 'copy', memory: 1, ptes: { 0: { pfn: 0, write: true, atomic: false } } },
} satisfies Changes;
export const syncing = { cells: { f: { ...f, dirty: true }, g }, threads: [user({ do: 'fsync', cell: 'f' }), merge], errors: 1 } satisfies Changes;
/** MADV_FREE and something else leave a pte that looks protected, and a TLB that does not know. */
export const pending = (how: 'clear_refs' | 'clear_refs_5_10' | 'uffd_wp'): Changes => ({
  cells: { x, y },
  stable: [1],
  threads: [ksmd, user(store), user({ do: 'madvise_free', vpn: 0 }), user({ do: how, vpn: 0 })],
  free: 1,
  flush: 'broadcast',
  generations: false,
});
