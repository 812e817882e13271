import type { SnapshotFrom } from 'xstate';
import { lufDebug } from '../../machines/debug/luf-debug.js';
import type { lufRules } from '../../machines/debug/luf-rules.js';
import { asidKey, cpu } from '../../machines/hardware/cpu.js';
import { type Area, addressSpace, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { type Broken, coherence } from '../../machines/memory/coherence.js';
import { folio } from '../../machines/memory/folio.js';
import { lufBatch } from '../../machines/memory/luf-batch.js';
import { type FreeBlock, pageAllocator } from '../../machines/memory/page-allocator.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { allocPages } from '../../machines/paths/alloc-pages.js';
import { anonFault } from '../../machines/paths/anon-fault.js';
import { archTlbbatchFlush } from '../../machines/paths/arch-tlbbatch-flush.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { copyPageRange } from '../../machines/paths/copy-page-range.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { flushTlbBatchedPending } from '../../machines/paths/flush-tlb-batched-pending.js';
import { genericPerformWrite } from '../../machines/paths/generic-perform-write.js';
import { handlePteFault } from '../../machines/paths/handle-pte-fault.js';
import { lufFlush } from '../../machines/paths/luf-flush.js';
import { migratePages } from '../../machines/paths/migrate-pages.js';
import { mmap } from '../../machines/paths/mmap.js';
import { mprotect } from '../../machines/paths/mprotect.js';
import { munmap } from '../../machines/paths/munmap.js';
import { newSlab } from '../../machines/paths/new-slab.js';
import { putPage } from '../../machines/paths/put-page.js';
import { remoteWrite } from '../../machines/paths/remote-write.js';
import { revalidateMapping } from '../../machines/paths/revalidate-mapping.js';
import { type Candidate, shrinkFolioList } from '../../machines/paths/shrink-folio-list.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import { tryToUnmap } from '../../machines/paths/try-to-unmap.js';
import { uprobeWrite } from '../../machines/paths/uprobe-write.js';
import { uprobeWriteOpcode } from '../../machines/paths/uprobe-write-opcode.js';
import { userAccess } from '../../machines/paths/user-access.js';
import { userFault } from '../../machines/paths/user-fault.js';
import { zap } from '../../machines/paths/zap.js';
import { folioLock } from '../../machines/sync/folio-lock.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { invariant, type Property, possibility } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { cpuAt, entries, interconnectOf, speculation } from './common.js';
import { UAF } from './kernel-properties.js';

type Actors = Record<string, ActorSpec>;

/** What a thread does, call by call. */
export type LufCall =
  | { do: 'load' | 'store'; vpn: number }
  | { do: 'reclaim' | 'migrate'; cell: string; more?: string[] }
  | { do: 'write'; cell: string }
  | { do: 'slab'; order?: number; content?: string }
  | { do: 'munmap'; vpn: number }
  | { do: 'mmap'; vpn: number; cell: string }
  | { do: 'mprotect'; vpn: number; read: boolean }
  | { do: 'fork'; vpn: number }
  | { do: 'uprobe' | 'uprobe_write'; vpn: number }
  | { do: 'luf_flush' }
  | { do: 'remote_write'; cell: string }
  | { do: 'lock_file'; cell: string }
  | { do: 'switch'; next: string };

/** A thread, on a CPU of its own. */
export interface LufThread {
  /** Its address space; null: a kernel thread with none. */
  mm: string | null;
  program: readonly LufCall[];
  /** It never returns to user, even if it borrows an address space. */
  kernel?: boolean;
  /** Its program begins anew when it ends, for as long as it likes: nothing waits for it. */
  repeats?: boolean;
  /** What the diagram calls it, where its calls do not say it. */
  name?: string;
}

/** A page of memory: of a file, or private; and where it is mapped. */
export interface LufCell {
  /** `file`: shared mapping of a file; `text`: private mapping of a file, never stored to; `anonymous`: private memory. */
  kind: 'file' | 'text' | 'anonymous';
  /** The frame that holds it at first; null: it is on disk. */
  pfn: number | null;
  /** Where a VMA maps it: address space to page. */
  at: Readonly<Record<string, readonly number[]>>;
  /** Its ptes at first. Default: read-only and clean. */
  pte?: 'none' | 'read-only' | 'writable';
  /** VM_WRITE; default: yes, but for text. */
  writable?: boolean;
  /** References that somebody else holds, a driver's pin for instance. */
  pinned?: number;
  /** PageAnonExclusive. */
  exclusive?: boolean;
  /** Which slot of its file; default 0. */
  index?: number;
  /** The file; default: one of its own. */
  file?: string;
}

/** A debug mode beside the protocol, and how its properties are named. */
export interface DebugMode {
  name: string;
  machine: typeof lufDebug | typeof lufRules;
}

/** Which threads there are, and which machines they run. */
export interface LufSetup {
  /** The kernel puts flushes off. */
  luf: boolean;
  threads: readonly LufThread[];
  cells: Readonly<Record<string, LufCell>>;
  /** Frames that are free at first. */
  free: readonly (number | FreeBlock)[];
  buddy?: readonly FreeBlock[];
  /** CPUs contend for the zone's lock. */
  zoneLock?: boolean;
  /** Free pages go to the buddy allocator. */
  drains?: boolean;
  /** Address spaces without a VMA. */
  otherSpaces?: readonly string[];
  /** What is owed at first. */
  debts?: { ugen: number; debts: { cpu: string; ugen: number }[] };
  debug: DebugMode | null;
  lufBatch: typeof lufBatch;
  pageAllocator: typeof pageAllocator;
  tryToUnmap: typeof tryToUnmap;
  shrinkFolioList: typeof shrinkFolioList;
  migratePages: typeof migratePages;
  allocPages: typeof allocPages;
  handlePteFault: typeof handlePteFault;
  genericPerformWrite: typeof genericPerformWrite;
  uprobeWriteOpcode: typeof uprobeWriteOpcode;
  /** A page that is freed by its last reference needs what is owed by then. */
  keysOnPut: boolean;
  /** revalidation pays what is owed. */
  revalidationPays: boolean;
}

/** Strict LUF: only read-only ptes, recorded under the lock, paid before anything changes. */
export const strictLuf: LufSetup = {
  luf: true,
  threads: [],
  cells: {},
  free: [],
  debug: null,
  lufBatch,
  pageAllocator,
  tryToUnmap,
  shrinkFolioList,
  migratePages,
  allocPages,
  handlePteFault,
  genericPerformWrite,
  uprobeWriteOpcode,
  keysOnPut: true,
  revalidationPays: true,
};

const DEBUG = 'luf_debug';
const fileOf = (name: string, { kind, file }: LufCell): string => (kind === 'anonymous' ? 'swap' : (file ?? `file_${name}`));
const frameOf = (block: number | FreeBlock): number[] => (typeof block === 'number' ? [block] : block.pfns);
const spacesOf = ({ cells, threads, otherSpaces = [] }: LufSetup): string[] =>
  [...new Set([...otherSpaces, ...entries(cells).flatMap(([, { at }]) => Object.keys(at)), ...threads.flatMap(({ mm }) => (mm === null ? [] : [mm]))])].sort();
const placesOf = (setup: LufSetup): { name: string; cell: LufCell; mm: string; vpn: number }[] =>
  entries(setup.cells).flatMap(([name, cell]) => entries(cell.at).flatMap(([mm, vpns]) => vpns.map((vpn) => ({ name, cell, mm, vpn }))));
/** Its slot in the file; a private page gets one in swap when it is swapped out. */
const indexOf = ({ cells }: LufSetup, name: string): number => (cells[name] as LufCell).index ?? 0;
const isWritable = ({ kind, writable }: LufCell): boolean => writable ?? kind !== 'text';
const areaOf = (setup: LufSetup, name: string): Area => {
  const cell = setup.cells[name] as LufCell;
  return {
    mapping: fileOf(name, cell),
    index: indexOf(setup, name),
    anonymous: cell.kind === 'anonymous',
    private: cell.kind === 'text',
    read: true,
    write: isWritable(cell),
  };
};
const isMapped = ({ pfn, pte }: LufCell): boolean => pfn !== null && pte !== 'none';
const framesOf = ({ cells, free, buddy = [] }: LufSetup): number[] =>
  [...new Set([...entries(cells).flatMap(([, { pfn }]) => (pfn === null ? [] : [pfn])), ...[...free, ...buddy].flatMap(frameOf)])].sort((a, b) => a - b);

function candidateOf(setup: LufSetup, name: string): Candidate {
  const cell = setup.cells[name] as LufCell;
  const items = entries(cell.at).flatMap(([mm, vpns]) => vpns.map((vpn) => ({ mm, vpn, ptl: `ptl_${mm}` })));
  const forked = setup.threads.some(({ program }) => program.some((call) => call.do === 'fork'));
  const inChild = forked && cell.kind === 'anonymous' ? items.map((item) => ({ ...item, mm: 'child', ptl: 'ptl_child' })) : [];
  return {
    pfn: cell.pfn as number,
    mapping: fileOf(name, cell),
    index: indexOf(setup, name),
    anonymous: cell.kind === 'anonymous',
    items: [...items, ...inChild],
  };
}

const laneOf = (thread: LufThread, n: number): string => {
  const names: Partial<Record<LufCall['do'], string>> = { write: 'write(2)', reclaim: 'kswapd', slab: 'kmalloc', lock_file: 'nfs', switch: 'schedule' };
  return `CPU ${n} (${thread.name ?? [...new Set(thread.program.map((call) => names[call.do] ?? call.do))].join(', ')})`;
};

/** A path of thread n, with the paths that it calls. */
const needs: Record<LufCall['do'], readonly string[]> = {
  load: ['access'],
  store: ['access'],
  reclaim: ['shrink'],
  migrate: ['migrate'],
  write: ['write'],
  slab: ['slab'],
  munmap: ['munmap'],
  mmap: ['mmap'],
  mprotect: ['mprotect'],
  fork: ['fork'],
  uprobe: ['uprobe'],
  uprobe_write: ['uprobe_write'],
  luf_flush: ['luf_flush'],
  remote_write: ['remote_write'],
  lock_file: ['lock_file'],
  switch: ['switch'],
};
const calls: Record<string, readonly string[]> = {
  access: ['fault'],
  fault: ['pte_fault'],
  pte_fault: ['anon_fault', 'alloc_pages', 'put_page', 'flush', 'luf_flush'],
  anon_fault: ['alloc_pages', 'put_page'],
  alloc_pages: ['luf_flush'],
  luf_flush: ['arch_flush'],
  shrink: ['unmap', 'arch_flush', 'put_page'],
  migrate: ['unmap', 'arch_flush', 'put_page', 'alloc_pages'],
  write: ['alloc_pages', 'put_page', 'luf_flush'],
  slab: ['alloc_pages'],
  munmap: ['zap'],
  zap: ['flush', 'put_page', 'batched_pending'],
  batched_pending: ['flush'],
  mprotect: ['flush', 'batched_pending'],
  fork: ['flush'],
  uprobe_write: ['pte_fault', 'put_page', 'flush'],
  uprobe: ['pte_fault', 'alloc_pages', 'put_page', 'flush'],
  lock_file: ['zap_folio', 'arch_flush', 'put_page', 'luf_flush'],
};

function closure(paths: readonly string[]): string[] {
  const all = new Set<string>();
  const add = (path: string): void => {
    if (all.has(path)) return;
    all.add(path);
    for (const callee of calls[path] ?? []) add(callee);
  };
  for (const path of paths) add(path);
  return [...all];
}

function callOf(setup: LufSetup, n: number, call: LufCall): ProgramCall {
  const to = (path: string, given: Record<string, unknown> = {}): ProgramCall => ({ path: `${path}${n}`, arguments: given });
  switch (call.do) {
    case 'load':
    case 'store':
      return to('access', { vpn: call.vpn, write: call.do === 'store' });
    case 'reclaim':
      return to('shrink', { candidates: [call.cell, ...(call.more ?? [])].map((cell) => candidateOf(setup, cell)) });
    case 'migrate':
      return to('migrate', { candidate: candidateOf(setup, call.cell) });
    case 'write':
      return to('write', { index: indexOf(setup, call.cell), cell: call.cell });
    case 'slab':
      return to('slab', { order: call.order ?? 0, content: call.content ?? 'slab' });
    case 'munmap':
      return to('munmap', { vpns: [call.vpn] });
    case 'mmap':
      return to('mmap', { vpn: call.vpn, area: areaOf(setup, call.cell), cell: call.cell });
    case 'mprotect':
      return to('mprotect', { vpn: call.vpn, read: call.read, write: false });
    case 'fork':
      return to('fork', { vpn: call.vpn });
    case 'uprobe':
    case 'uprobe_write':
      return to(call.do, { vpn: call.vpn, cell: placesOf(setup).find(({ vpn, cell }) => vpn === call.vpn && cell.kind === 'text')?.name });
    case 'luf_flush':
      return to('luf_flush');
    case 'remote_write':
      return to('remote_write', { index: indexOf(setup, call.cell), cell: call.cell });
    case 'lock_file':
      return to('lock_file', { index: indexOf(setup, call.cell), cell: call.cell, items: candidateOf(setup, call.cell).items });
    case 'switch':
      return to('switch', { next: call.next });
  }
}

/** The file that a thread's call is about. */
const fileUsed = (setup: LufSetup, { program }: LufThread): string => {
  const call = program.find((candidate) => candidate.do === 'write' || candidate.do === 'lock_file' || candidate.do === 'remote_write');
  return call && 'cell' in call ? fileOf(call.cell, setup.cells[call.cell] as LufCell) : '';
};

/** The paths of thread n, those that it calls through others included. */
function threadActors(setup: LufSetup, n: number, thread: LufThread): Actors {
  const lane = laneOf(thread, n);
  const on = cpuAt(n);
  const mm = thread.mm ?? '';
  const me = `task${n}`;
  const debug = setup.debug === null ? null : DEBUG;
  const ptl = `ptl_${mm}`;
  const mmapLock = `mmap_lock_${mm}`;
  const folioLocks = Object.fromEntries(framesOf(setup).map((pfn) => [pfn, `folio_lock${pfn}`]));
  const batch = setup.luf ? 'luf_batch' : null;
  const pays = setup.luf ? `luf_flush${n}` : null;
  const at = (path: string): string => `${path}${n}`;
  const shared = { folioLocks, allocPages: at('alloc_pages'), putPage: at('put_page') };
  const unmapping = { folioLocks, tryToUnmap: at('unmap'), archFlush: at('arch_flush'), putPage: at('put_page') };
  const make: Record<string, () => ActorSpec> = {
    access: () =>
      actor(userAccess, {
        lane,
        input: { cpu: on, fault: at('fault'), debug: thread.kernel ? null : debug, task: me },
        ...(thread.repeats ? { choices: [], environment: ['step' as const], path: false } : {}),
      }),
    fault: () => actor(userFault, { lane, input: { mm, mmapLock, handler: at('pte_fault') } }),
    pte_fault: () =>
      actor(setup.handlePteFault, {
        lane,
        input: { mm, ptl, ...shared, anonFault: at('anon_fault'), flush: at('flush'), lufFlush: pays, debug, task: me },
      }),
    anon_fault: () =>
      actor(anonFault, { lane, input: { mm, ptl, allocator: 'allocator', putPage: at('put_page'), allocPages: at('alloc_pages'), debug, task: me } }),
    alloc_pages: () =>
      actor(setup.allocPages, {
        lane,
        input: { cpu: on, allocator: 'allocator', lufFlush: pays, debug, task: me, ...(setup.zoneLock ? { zoneLock: 'zone_lock' } : {}) },
      }),
    put_page: () => actor(putPage, { lane, input: { allocator: 'allocator', ...(batch === null || !setup.keysOnPut ? {} : { lufBatch: batch }) } }),
    flush: () => actor(flushTlb, { lane, input: { cpu: on, mm, interconnect: 'interconnect', kind: 'ipi' } }),
    arch_flush: () => actor(archTlbbatchFlush, { lane, input: { cpu: on, interconnect: 'interconnect', task: me, debug } }),
    luf_flush: () => actor(lufFlush, { lane, input: { lufBatch: 'luf_batch', archFlush: at('arch_flush') } }),
    unmap: () => actor(setup.tryToUnmap, { lane, input: { lufBatch: batch, debug } }),
    zap_folio: () => actor(tryToUnmap, { lane, input: { lufBatch: null, debug } }),
    shrink: () => actor(setup.shrinkFolioList, { lane, input: { ...unmapping, lufBatch: batch, allocator: 'allocator', debug } }),
    migrate: () => actor(setup.migratePages, { lane, input: { ...unmapping, allocPages: at('alloc_pages'), lufBatch: batch, allocator: 'allocator', debug } }),
    write: () =>
      actor(setup.genericPerformWrite, {
        lane,
        input: { mapping: fileUsed(setup, thread), ...shared, coherence: 'coherence', lufFlush: pays, debug, task: me },
      }),
    slab: () => actor(newSlab, { lane, input: { allocPages: at('alloc_pages') } }),
    zap: () =>
      actor(zap, {
        lane,
        input: { cpu: on, mm, ptl, flush: at('flush'), putPage: at('put_page'), batchedPending: at('batched_pending'), file: true },
      }),
    munmap: () => actor(munmap, { lane, input: { mm, mmapLock, zap: at('zap'), coherence: 'coherence', debug } }),
    mmap: () => actor(mmap, { lane, input: { mm, mmapLock, coherence: 'coherence' } }),
    batched_pending: () => actor(flushTlbBatchedPending, { lane, input: { mm, flush: at('flush') } }),
    mprotect: () =>
      actor(mprotect, { lane, input: { mm, mmapLock, ptl, flush: at('flush'), batchedPending: at('batched_pending'), coherence: 'coherence', debug } }),
    fork: () => actor(copyPageRange, { lane, input: { mm, mmapLock, ptl, flush: at('flush'), child: 'child', coherence: 'coherence' } }),
    uprobe: () =>
      actor(setup.uprobeWriteOpcode, { lane, input: { mm, mmapLock, ptl, ...shared, fault: at('pte_fault'), flush: at('flush'), coherence: 'coherence' } }),
    uprobe_write: () =>
      actor(uprobeWrite, { lane, input: { mm, mmapLock, ptl, fault: at('pte_fault'), putPage: at('put_page'), flush: at('flush'), coherence: 'coherence' } }),
    remote_write: () => actor(remoteWrite, { lane, input: { mapping: fileUsed(setup, thread), coherence: 'coherence' } }),
    lock_file: () =>
      actor(revalidateMapping, {
        lane,
        input: {
          mapping: fileUsed(setup, thread),
          ...unmapping,
          tryToUnmap: at('zap_folio'),
          coherence: 'coherence',
          lufFlush: setup.revalidationPays ? pays : null,
          debug,
        },
      }),
    switch: () => actor(contextSwitch, { lane, input: { cpu: on } }),
  };
  const paths = closure(thread.program.flatMap((call) => needs[call.do])).filter((path) => path !== 'luf_flush' || setup.luf);
  // A callee is declared before its caller, as it is defined in C.
  return {
    ...Object.fromEntries(paths.reverse().map((path) => [at(path), (make[path] as () => ActorSpec)()])),
    [me]: actor(task, {
      lane,
      input: {
        program: thread.program.map((call) => callOf(setup, n, call)),
        debug: thread.kernel || mm === '' ? null : debug,
        repeats: thread.repeats ?? false,
      },
    }),
  };
}

function cpus(setup: LufSetup): Actors {
  return Object.fromEntries(
    setup.threads.map((thread, n) => {
      const walks = thread.program.some((call) => call.do === 'load');
      const vpns = [...new Set(thread.program.flatMap((call) => (call.do === 'load' || call.do === 'store' ? [call.vpn] : [])))];
      return [
        cpuAt(n),
        actor(cpu, {
          lane: laneOf(thread, n),
          input: { mm: thread.mm, interconnect: 'interconnect', ...(setup.debug === null ? {} : { observer: DEBUG }) },
          choices: ['interrupt'],
          environment: speculation(walks ? vpns : []),
        }),
      ];
    }),
  );
}

function memory(setup: LufSetup): Actors {
  const observer = setup.debug === null ? {} : { observer: DEBUG };
  const places = placesOf(setup);
  const files = [...new Set(entries(setup.cells).map(([name, cell]) => fileOf(name, cell)))].sort();
  const spaces = [...spacesOf(setup), ...(setup.threads.some(({ program }) => program.some((call) => call.do === 'fork')) ? ['child'] : [])];
  return {
    coherence: actor(coherence, {
      input: {
        cells: Object.fromEntries(Object.keys(setup.cells).map((name) => [name, `${name}.v0`])),
        places: Object.fromEntries(places.map(({ name, cell, mm, vpn }) => [asidKey(mm, vpn), { cell: name, read: true, write: isWritable(cell) }])),
      },
    }),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [pageAt(pfn), actor(folio, { input: frame(setup, pfn) })])),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [`folio_lock${pfn}`, actor(folioLock)])),
    ...Object.fromEntries(
      files.map((file) => {
        const own = entries(setup.cells).filter(([name, cell]) => fileOf(name, cell) === file);
        const cached = own.filter(([, { kind, pfn }]) => kind !== 'anonymous' && pfn !== null);
        return [
          file,
          actor(pageCache, {
            input: {
              folios: Object.fromEntries(cached.map(([name, { pfn }]) => [indexOf(setup, name), pfn])),
              stored: Object.fromEntries(own.filter(([, { kind }]) => kind !== 'anonymous').map(([name]) => [indexOf(setup, name), `${name}.v0`])),
              ...observer,
            },
          }),
        ];
      }),
    ),
    ...Object.fromEntries(
      spaces.flatMap((mm) => {
        const own = places.filter((place) => place.mm === mm || mm === 'child');
        const mapped = mm === 'child' ? [] : own.filter(({ cell }) => isMapped(cell));
        return [
          [
            mm,
            actor(addressSpace, {
              input: {
                ptes: Object.fromEntries(mapped.map(({ vpn, cell }) => [vpn, pteOf(cell)])),
                vmas: own.map(({ vpn }) => vpn).sort(),
                areas: Object.fromEntries(own.map(({ name, vpn }) => [vpn, areaOf(setup, name)])),
                cpumask: setup.threads.flatMap((thread, n) => (thread.mm === mm ? [cpuAt(n)] : [])),
                ...observer,
              },
            }),
          ],
          [`mmap_lock_${mm}`, actor(rwsem)],
          [`ptl_${mm}`, actor(spinlock)],
        ];
      }),
    ),
    allocator: actor(setup.pageAllocator, {
      input: { free: [...setup.free], buddy: [...(setup.buddy ?? [])] },
      ...(setup.drains ? { environment: ['drain_pages' as const], lane: 'kernel' } : { choices: [] }),
    }),
    ...(setup.luf ? { luf_batch: actor(setup.lufBatch, { input: setup.debts ?? {} }) } : {}),
    ...(setup.zoneLock ? { zone_lock: actor(spinlock) } : {}),
  };
}

const pteOf = (cell: LufCell) => presentPte(cell.pfn as number, { write: cell.pte === 'writable', dirty: cell.pte === 'writable' });

/** A frame: one that a cell is in, or a free one. */
function frame(setup: LufSetup, pfn: number) {
  const found = entries(setup.cells).find(([, cell]) => cell.pfn === pfn);
  const common = { pfn, idle: 0, zone: 'normal' as const, coherence: 'coherence' };
  if (!found) return { ...common, refcount: 0, content: 'free' };
  const [name, cell] = found;
  const mapcount = isMapped(cell) ? Object.values(cell.at).flat().length : 0;
  return {
    ...common,
    refcount: mapcount + (cell.kind === 'anonymous' ? 0 : 1) + (cell.pinned ?? 0),
    mapcount,
    content: `${name}.v0`,
    anonExclusive: cell.exclusive ?? false,
  };
}

type Watched = { coherence: SnapshotFrom<typeof coherence>; luf_debug: SnapshotFrom<typeof lufDebug> };

const says: Record<Broken, string> = {
  I1: 'no access goes through a translation to a frame that was handed to a new owner',
  I2: 'no store reaches a frame through a stale translation after the kernel has sampled it',
  I3w: 'after a write has completed no later read returns older data',
  I3s: 'after anybody has read a new value no later read returns an older one',
  I4: 'no access uses a right that was withdrawn',
};

function properties({ debug }: LufSetup): Property[] {
  const invariants = (['I1', 'I2', 'I3w', 'I3s', 'I4'] as const).map((name) =>
    invariant<Watched>(name, says[name], { actors: ['coherence'], holds: (snapshots) => !snapshots.coherence.context.broken.includes(name) }),
  );
  if (debug === null) return [...invariants, UAF];
  const actors = ['coherence', DEBUG] as const;
  const isBroken = (snapshots: Watched): boolean => snapshots.coherence.context.broken.length > 0;
  const hasWarned = (snapshots: Watched): boolean => snapshots.luf_debug.context.warned !== null;
  return [
    ...invariants,
    UAF,
    invariant<Watched>(`${debug.name}.complete`, 'nothing is violated without a WARN before it, or in the same step', {
      actors,
      holds: (snapshots) => !isBroken(snapshots) || hasWarned(snapshots),
    }),
    possibility<Watched>(`${debug.name}.sound`, 'after a WARN something is violated on some continuation, or was', {
      actors,
      when: hasWarned,
      reach: isBroken,
    }),
    invariant<Watched>(`${debug.name}.silent`, 'no WARN fires', { actors: [DEBUG], holds: (snapshots) => !hasWarned(snapshots) }),
    ...(debug.machine.id === lufDebug.id
      ? [
          invariant<Watched>(`${debug.name}.lists`, 'no node is added to a list while it is in one', {
            actors: [DEBUG],
            holds: (snapshots) => !snapshots.luf_debug.context.corrupt,
          }),
        ]
      : []),
  ];
}

/** Reclaim, migration, faults, system calls and allocation, a thread on each CPU, under what may be violated and a debug mode that listens. */
export function lufSystem(id: string, setup: LufSetup): System {
  return defineSystem({
    id,
    actors: {
      ...(setup.debug === null ? {} : { [DEBUG]: actor(setup.debug.machine as typeof lufDebug) }),
      ...memory(setup),
      ...cpus(setup),
      interconnect: interconnectOf(setup.threads.map((_, n) => cpuAt(n))),
      ...Object.assign({}, ...setup.threads.map((thread, n) => threadActors(setup, n, thread))),
    },
    properties: properties(setup),
    // An interconnect and a debug mode have many.
    limits: { localStates: 1 << 16 },
  });
}
