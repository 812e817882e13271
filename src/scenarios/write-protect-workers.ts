import { deviceCopies } from '../../machines/devices/device-copies.js';
import { secondaryMmu } from '../../machines/devices/secondary-mmu.js';
import { allocPages } from '../../machines/paths/alloc-pages.js';
import { anonFault } from '../../machines/paths/anon-fault.js';
import { archTlbbatchFlush } from '../../machines/paths/arch-tlbbatch-flush.js';
import { deviceAccess } from '../../machines/paths/device-access.js';
import { deviceCopy } from '../../machines/paths/device-copy.js';
import { directIo } from '../../machines/paths/direct-io.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { fsync } from '../../machines/paths/fsync.js';
import { intervalInvalidate } from '../../machines/paths/interval-invalidate.js';
import { ksmScan } from '../../machines/paths/ksm-scan.js';
import { madviseFree } from '../../machines/paths/madvise-free.js';
import { mmuNotifierInvalidate } from '../../machines/paths/mmu-notifier-invalidate.js';
import { clearRefs, mwriteprotectRange } from '../../machines/paths/mwriteprotect-range.js';
import { putPage } from '../../machines/paths/put-page.js';
import { type Candidate, shrinkFolioList } from '../../machines/paths/shrink-folio-list.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import type { RmapItem } from '../../machines/paths/try-to-unmap.js';
import { unmergeKsmPage } from '../../machines/paths/unmerge-ksm-page.js';
import { userAccess } from '../../machines/paths/user-access.js';
import { userFault } from '../../machines/paths/user-fault.js';
import { UsageError } from '../system/errors.js';
import { type ActorSpec, actor } from '../system/system.js';
import { closure, cpuAt, entries } from './common.js';
import {
  DEVICE,
  fileOf,
  framesOf,
  hasFiles,
  indexOf,
  itemsOf,
  mmapLockOf,
  type Place,
  type ProtectCall,
  type ProtectCell,
  type ProtectSetup,
  type ProtectThread,
  ptlOf,
  spacesOf,
  tablesOf,
} from './write-protect-setup.js';

export type Actors = Record<string, ActorSpec>;

/** Somebody who runs on a CPU: a thread, or the driver's worker. */
export interface Worker {
  n: number;
  lane: string;
  mm: string | null;
  /** Address spaces that its paths work on. */
  spaces: readonly string[];
  /** Which paths it needs. */
  paths: readonly string[];
  /** What it does: its task, or what holds pins. */
  acts: readonly [string, ActorSpec] | null;
  /** Its loads and stores go through a store buffer. */
  stores: boolean;
  /** Its user code stores. */
  storing: boolean;
  /** What it takes are pins (FOLL_PIN). */
  pin: boolean;
  /** The file that it writes to. */
  file: string | null;
  walks: readonly number[];
}

const needs: Record<ProtectCall['do'], string> = {
  load: 'access',
  store: 'access',
  unmerge: 'unmerge',
  madvise_free: 'madvise_free',
  clear_refs: 'clear_refs',
  clear_refs_5_10: 'clear_refs_5_10',
  uffd_wp: 'uffd_wp',
  fork: 'fork',
  replicate: 'replicate',
  ksm_scan: 'ksm_scan',
  reclaim: 'shrink',
  write: 'write',
  writeback: 'writeback',
  fsync: 'fsync',
  truncate: 'truncate',
  merge_files: 'merge_files',
  kpageflags: 'kpageflags',
};

const calls: Record<string, readonly string[]> = {
  access: ['fault'],
  fault: ['pte_fault'],
  pte_fault: ['anon_fault', 'alloc_pages', 'put_page', 'flush', 'notifier', 'break'],
  anon_fault: ['alloc_pages', 'put_page'],
  break: ['alloc_pages', 'put_page', 'flush', 'notifier'],
  notifier: ['put_device'],
  direct_io: ['gup_fast', 'put_page'],
  gup_fast: ['gup_slow', 'put_page'],
  gup_slow: ['pte_fault'],
  write_protect: ['flush', 'notifier'],
  replace: ['flush', 'notifier', 'put_page'],
  merge_one: ['write_protect', 'replace'],
  break_cow: ['pte_fault'],
  ksm_scan: ['merge_one', 'break_cow', 'put_page'],
  unmerge: ['pte_fault'],
  madvise_free: ['flush', 'notifier'],
  clear_refs: ['flush', 'notifier'],
  clear_refs_5_10: ['flush', 'notifier'],
  uffd_wp: ['flush', 'notifier'],
  fork: ['flush', 'notifier', 'alloc_pages', 'put_page'],
  shrink: ['unmap', 'arch_flush', 'put_page'],
  unmap: ['notifier'],
  write: ['alloc_pages', 'put_page', 'break'],
  writeback: ['put_page', 'flush', 'notifier'],
  fsync: ['writeback', 'put_page'],
  truncate: ['put_page', 'flush', 'notifier'],
  merge_files: ['write_protect', 'replace', 'put_page', 'flush', 'notifier'],
  replicate: ['write_protect', 'alloc_pages', 'put_page', 'flush', 'notifier'],
  device_copy: ['pte_fault', 'write_protect', 'put_page', 'put_device'],
};

/** Paths of which a thread that works on several address spaces has one for each. */
const perSpace = ['pte_fault', 'anon_fault', 'break_cow'];

/** There is something that only a record stands for. */
const hasRecords = (setup: ProtectSetup): boolean => hasFiles(setup) || setup.device !== null || tablesOf(setup, 'p').length > 1;

/** Paths that nobody can come to. */
const without = (setup: ProtectSetup): string[] => [...(setup.device === null ? ['notifier', 'put_device'] : []), ...(hasRecords(setup) ? [] : ['break'])];

function candidateOf(setup: ProtectSetup, name: string): Candidate {
  const { pfn } = setup.cells[name] as ProtectCell;
  return { pfn: pfn as number, mapping: 'swap', index: indexOf(setup, name), anonymous: true, items: itemsOf(setup, name) };
}

const itemAt = ({ mm, vpn }: Place): RmapItem => ({ mm, vpn, ptl: ptlOf(mm) });
const slotOf = (setup: ProtectSetup, name: string) => ({ mapping: fileOf(name, setup.cells[name] as ProtectCell), index: indexOf(setup, name) });

function callOf(setup: ProtectSetup, n: number, call: ProtectCall): ProgramCall {
  const to = (given: Record<string, unknown>): ProgramCall => ({ path: `${needs[call.do]}${n}`, arguments: given });
  switch (call.do) {
    case 'load':
    case 'store':
      return to({ vpn: call.vpn, write: call.do === 'store' });
    case 'ksm_scan':
      return to({ item: itemAt(call.at), other: call.other ? itemAt(call.other) : null });
    case 'reclaim':
      return to({ candidates: [candidateOf(setup, call.cell)] });
    case 'write':
      return to({ index: indexOf(setup, call.cell), cell: call.cell });
    case 'writeback':
    case 'fsync':
    case 'truncate':
      return to(slotOf(setup, call.cell));
    case 'merge_files':
      return to({ into: slotOf(setup, call.into), other: slotOf(setup, call.from) });
    case 'kpageflags':
      return to({ pfn: call.pfn });
    case 'replicate':
      return to({ vpn: call.vpn, pfn: Object.values(setup.cells).find(({ at }) => at.p?.includes(call.vpn))?.pfn });
    default:
      return to({ vpn: call.vpn });
  }
}

const names: Partial<Record<ProtectCall['do'], string>> = {
  ksm_scan: 'ksmd',
  reclaim: 'kswapd',
  write: 'write(2)',
  unmerge: 'madvise',
  madvise_free: 'madvise',
  clear_refs_5_10: 'clear_refs',
  uffd_wp: 'userfaultfd',
  merge_files: 'merge',
};
const threadName = ({ program, pins, name }: ProtectThread): string =>
  name ?? (pins ? `${pins.get ? 'get' : 'pin'} to ${pins.access}` : [...new Set(program.map((call) => names[call.do] ?? call.do))].join(', '));

/** The file that a thread writes to by write(2). */
function fileWritten(setup: ProtectSetup, { program }: ProtectThread): string | null {
  const files = [...new Set(program.flatMap((call) => (call.do === 'write' ? [fileOf(call.cell, setup.cells[call.cell] as ProtectCell)] : [])))];
  if (files.length > 1) throw new UsageError(`a thread writes to ${files.join(' and ')}; give each file a thread of its own`);
  return files[0] ?? null;
}

function threadWorker(setup: ProtectSetup, thread: ProtectThread, n: number): Worker {
  const { mm, program, pins, repeats = false } = thread;
  const lane = `CPU ${n} (${threadName(thread)})`;
  const at = (path: string): string => `${path}${n}`;
  const vpns = [...new Set(program.flatMap((call) => (call.do === 'load' || call.do === 'store' ? [call.vpn] : [])))];
  const storing = program.some((call) => call.do === 'store');
  const acts: readonly [string, ActorSpec] = pins
    ? [
        at('direct_io'),
        actor(directIo, {
          lane,
          input: { gup: at('gup_fast'), putPage: at('put_page'), vpns: [pins.vpn], pin: pins.get !== true, access: pins.access },
          choices: ['step'],
        }),
      ]
    : [
        at('task'),
        actor(task, {
          lane,
          input: { program: program.map((call) => callOf(setup, n, call)), repeats, pauses: repeats, isNew: mm === 'child' },
          ...(repeats ? { environment: ['again' as const] } : {}),
        }),
      ];
  return {
    n,
    lane,
    mm,
    spaces: mm === null ? spacesOf(setup) : [mm],
    paths: closure(calls, pins ? ['gup_fast', 'put_page'] : program.map((call) => needs[call.do]), without(setup)),
    acts,
    stores: setup.ordering !== 'sc' && (storing || program.some((call) => call.do === 'ksm_scan')),
    storing,
    pin: pins?.get !== true,
    file: fileWritten(setup, thread),
    walks: vpns,
  };
}

export function workersOf(setup: ProtectSetup): Worker[] {
  const workers = setup.threads.map((thread, n) => threadWorker(setup, thread, n));
  if (setup.device === null) return workers;
  const n = workers.length;
  const paths = closure(calls, ['device_copy'], without(setup));
  return [
    ...workers,
    { n, lane: `CPU ${n} (driver)`, mm: null, spaces: ['p'], paths, acts: null, stores: false, storing: false, pin: false, file: null, walks: [] },
  ];
}

/** The callbacks of the driver, as they run in a worker that invalidates. */
function callbacks(setup: ProtectSetup, { n, lane }: Worker): Actors {
  const folioLocks = Object.fromEntries(framesOf(setup).map((pfn) => [pfn, `folio_lock${pfn}`]));
  const mutex = `mutex_${DEVICE}`;
  return {
    [`interval${n}`]: actor(intervalInvalidate, { lane, input: { cookie: DEVICE, mutex, notifier: 'mmu_notifier_p', mmu: null } }),
    [`invalidate${n}`]: actor(setup.deviceCopyInvalidate, {
      lane,
      input: { mutex, mmu: DEVICE, copies: `copies_${DEVICE}`, putDevicePage: `put_device${n}`, folioLocks },
    }),
  };
}

/** The paths of a worker, a callee before its caller, as it is defined in C. */
export function pathsOf(setup: ProtectSetup, worker: Worker): Actors {
  const { n, lane, file, pin } = worker;
  const on = cpuAt(n);
  const spaces = worker.spaces;
  const own = worker.mm ?? 'p';
  const at = (path: string): string => `${path}${n}`;
  const of = (path: string, mm: string): string => (spaces.length > 1 ? `${path}${n}.${mm}` : at(path));
  const has = (path: string): boolean => worker.paths.includes(path);
  // Who changes a file takes it out of every address space that maps it.
  const flushed = hasFiles(setup) ? spacesOf(setup) : [...new Set(spaces.flatMap((mm) => tablesOf(setup, mm)))];
  const flush = Object.fromEntries(flushed.map((mm) => [mm, `flush${n}.${mm}`]));
  const notifier = (mm: string): string | null => (mm === 'p' && has('notifier') ? at('notifier') : null);
  const notifiers: Record<string, string> = has('notifier') ? { p: at('notifier') } : {};
  const folioLocks = Object.fromEntries(framesOf(setup).map((pfn) => [pfn, `folio_lock${pfn}`]));
  const mmapLocks = Object.fromEntries(spaces.map((mm) => [mm, mmapLockOf(mm)]));
  const mappers = Object.fromEntries(
    entries(setup.cells).flatMap(([name, cell]) => (cell.kind === 'file' ? [[fileOf(name, cell), { [indexOf(setup, name)]: itemsOf(setup, name) }]] : [])),
  );
  const tables = tablesOf(setup, 'p').map((mm) => ({ mm, ptl: ptlOf(mm) }));
  const ofSpace = { mm: own, mmapLock: mmapLockOf(own), ptl: ptlOf(own), flush: flush[own] as string, notifier: notifier(own) };
  const ofFiles = { folioLocks, mappers, putPage: at('put_page'), flush, notifiers };
  const storeBuffer = worker.stores ? `store_buffer${n}` : null;
  const make: Record<string, (mm: string) => ActorSpec> = {
    access: () => actor(userAccess, { lane, input: { cpu: on, fault: at('fault') } }),
    fault: () => actor(userFault, { lane, input: { mm: own, mmapLock: mmapLockOf(own), handler: at('pte_fault') } }),
    pte_fault: (mm) =>
      actor(setup.handlePteFault, {
        lane,
        input: {
          mm,
          ptl: ptlOf(mm),
          folioLocks,
          allocPages: at('alloc_pages'),
          putPage: at('put_page'),
          anonFault: of('anon_fault', mm),
          flush: flush[mm] as string,
          lufFlush: null,
          debug: null,
          task: at('task'),
          notifier: notifier(mm),
          breakProtection: has('break') ? at('break') : null,
        },
      }),
    anon_fault: (mm) =>
      actor(anonFault, { lane, input: { mm, ptl: ptlOf(mm), allocator: 'allocator', putPage: at('put_page'), allocPages: at('alloc_pages') } }),
    break: () =>
      hasFiles(setup)
        ? actor(setup.breakFileProtection, { lane, input: { ...ofFiles, allocPages: at('alloc_pages') } })
        : actor(setup.breakProtection, { lane, input: { mm: own, ptl: ptlOf(own), tables, flush, notifiers, folioLocks, putPage: at('put_page') } }),
    alloc_pages: () => actor(allocPages, { lane, input: { cpu: on, allocator: 'allocator', lufFlush: null, debug: null, task: at('task') } }),
    put_page: () => actor(putPage, { lane, input: { allocator: 'allocator' } }),
    put_device: () => actor(putPage, { lane, input: { allocator: `memory_${DEVICE}` } }),
    arch_flush: () => actor(archTlbbatchFlush, { lane, input: { cpu: on, interconnect: 'interconnect', task: at('task'), debug: null } }),
    notifier: () =>
      actor(mmuNotifierInvalidate, {
        lane,
        input: { notifier: 'mmu_notifier_p', intervals: { [DEVICE]: at('interval') }, listeners: [{ start: at('invalidate'), end: null }] },
      }),
    gup_fast: () => actor(setup.gupFast, { lane, input: { cpu: on, mm: own, pagemaps: {}, putPage: at('put_page'), slow: at('gup_slow'), pin } }),
    gup_slow: () =>
      actor(setup.gupSlow, {
        lane,
        input: { mm: own, mmapLock: mmapLockOf(own), ptl: ptlOf(own), pagemaps: {}, fault: at('pte_fault'), pin, unshares: true },
      }),
    write_protect: () => actor(setup.writeProtect, { lane, input: { flush, notifiers, storeBuffer } }),
    replace: () => actor(setup.replacePage, { lane, input: { flush, notifiers, putPage: at('put_page') } }),
    merge_one: () => actor(setup.tryToMerge, { lane, input: { mmapLocks, folioLocks, writeProtect: at('write_protect'), replacePage: at('replace') } }),
    break_cow: (mm) => actor(unmergeKsmPage, { lane, input: { mm, mmapLock: mmapLockOf(mm), ptl: ptlOf(mm), fault: of('pte_fault', mm), forWriting: false } }),
    ksm_scan: () =>
      actor(ksmScan, {
        lane,
        input: {
          stableTree: 'stable_tree',
          mmapLocks,
          folioLocks,
          mergeOne: at('merge_one'),
          breakCow: Object.fromEntries(spaces.map((mm) => [mm, of('break_cow', mm)])),
          putPage: at('put_page'),
        },
      }),
    unmerge: () => actor(unmergeKsmPage, { lane, input: { mm: own, mmapLock: mmapLockOf(own), ptl: ptlOf(own), fault: at('pte_fault') } }),
    madvise_free: () => actor(madviseFree, { lane, input: { ...ofSpace, folioLocks } }),
    clear_refs: () => actor(clearRefs, { lane, input: ofSpace }),
    clear_refs_5_10: () => actor(clearRefs.provide({ guards: { holdsMmapLockForWriting: () => false } }), { lane, input: ofSpace }),
    uffd_wp: () => actor(mwriteprotectRange, { lane, input: ofSpace }),
    fork: () =>
      actor(setup.copyPageRange, {
        lane,
        input: {
          mm: own,
          mmapLock: mmapLockOf(own),
          ptl: ptlOf(own),
          flush: flush[own] as string,
          child: 'child',
          childTask: childTaskOf(setup),
          coherence: 'coherence',
          notifier: notifier(own),
          folioLocks,
          allocPages: at('alloc_pages'),
          putPage: at('put_page'),
        },
      }),
    shrink: () =>
      actor(shrinkFolioList, {
        lane,
        input: {
          folioLocks,
          tryToUnmap: at('unmap'),
          archFlush: at('arch_flush'),
          putPage: at('put_page'),
          lufBatch: null,
          allocator: 'allocator',
          debug: null,
        },
      }),
    unmap: () => actor(setup.tryToUnmap, { lane, input: { lufBatch: null, debug: null, notifiers, asksRecord: true } }),
    write: () =>
      actor(setup.genericPerformWrite, {
        lane,
        input: {
          mapping: file as string,
          folioLocks,
          allocPages: at('alloc_pages'),
          putPage: at('put_page'),
          coherence: 'coherence',
          lufFlush: null,
          debug: null,
          task: at('task'),
          breakProtection: at('break'),
        },
      }),
    writeback: () => actor(setup.writeback, { lane, input: { ...ofFiles, disk: 'disk' } }),
    fsync: () => actor(fsync, { lane, input: { writeback: at('writeback'), putPage: at('put_page') } }),
    truncate: () => actor(setup.truncateInodePages, { lane, input: ofFiles }),
    merge_files: () => actor(setup.mergeFilePages, { lane, input: { ...ofFiles, writeProtect: at('write_protect'), replacePage: at('replace') } }),
    kpageflags: () => actor(setup.stablePageFlags, { lane }),
    replicate: () =>
      actor(setup.replicatePage, {
        lane,
        input: {
          mmapLock: mmapLockOf('p'),
          tables,
          flush,
          notifiers,
          folioLocks,
          allocPages: at('alloc_pages'),
          putPage: at('put_page'),
          writeProtect: at('write_protect'),
        },
      }),
    device_copy: () =>
      actor(deviceCopy, {
        lane,
        input: {
          mode: setup.device?.mode ?? 'copy',
          mmapLock: mmapLockOf('p'),
          tables,
          notifier: 'mmu_notifier_p',
          driver: DEVICE,
          fault: at('pte_fault'),
          folioLocks,
          writeProtect: at('write_protect'),
          deviceMemory: `memory_${DEVICE}`,
          putPage: at('put_page'),
          putDevicePage: at('put_device'),
          mutex: `mutex_${DEVICE}`,
          copies: `copies_${DEVICE}`,
          mmu: DEVICE,
        },
      }),
  };
  const paths = worker.paths.flatMap((path): [string, ActorSpec][] => {
    if (path === 'flush')
      return flushed.map((mm) => [flush[mm] as string, actor(flushTlb, { lane, input: { cpu: on, mm, interconnect: 'interconnect', kind: setup.flush } })]);
    const made = make[path] as (mm: string) => ActorSpec;
    return perSpace.includes(path) ? spaces.map((mm) => [of(path, mm), made(mm)]) : [[at(path), made(own)]];
  });
  return {
    ...(has('notifier') ? callbacks(setup, worker) : {}),
    ...Object.fromEntries(paths),
    ...(worker.acts === null ? {} : Object.fromEntries([worker.acts])),
  };
}

/** The thread of the child, which runs once it is forked. */
const childTaskOf = ({ threads }: ProtectSetup): string | null => {
  const n = threads.findIndex(({ mm }) => mm === 'child');
  return n < 0 ? null : `task${n}`;
};

/** The device: its page table, what its driver keeps of its copies, and its thread. */
export function deviceActors({ device }: ProtectSetup, workers: readonly Worker[]): Actors {
  const driver = workers.find(({ paths }) => paths.includes('device_copy'));
  if (device === null || driver === undefined) return {};
  const lane = 'GPU 0';
  const fault = `device_copy${driver.n}`;
  return {
    [DEVICE]: actor(secondaryMmu, { lane, input: { mm: 'p', ptes: device.ptes ?? {} } }),
    [`copies_${DEVICE}`]: actor(deviceCopies),
    [`${DEVICE}.access`]: actor(deviceAccess, { lane, input: { mmu: DEVICE, fault, atomicFault: fault } }),
    [`${DEVICE}.thread`]: actor(task, {
      lane,
      input: { program: device.program.map((call) => ({ path: `${DEVICE}.access`, arguments: { vpn: call.vpn, kind: call.do } })) },
    }),
  };
}
