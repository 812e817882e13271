import { secondaryMmu } from '../../machines/devices/secondary-mmu.js';
import { allocPages } from '../../machines/paths/alloc-pages.js';
import { anonFault } from '../../machines/paths/anon-fault.js';
import { archTlbbatchFlush } from '../../machines/paths/arch-tlbbatch-flush.js';
import { changeProtNuma } from '../../machines/paths/change-prot-numa.js';
import { deviceAccess } from '../../machines/paths/device-access.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { flushTlbBatchedPending } from '../../machines/paths/flush-tlb-batched-pending.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { handlePteFault } from '../../machines/paths/handle-pte-fault.js';
import { kvmInvalidate } from '../../machines/paths/kvm-invalidate.js';
import { kvmPageFault } from '../../machines/paths/kvm-page-fault.js';
import { madvise } from '../../machines/paths/madvise.js';
import { migratePages } from '../../machines/paths/migrate-pages.js';
import { migrateVma } from '../../machines/paths/migrate-vma.js';
import { munmap } from '../../machines/paths/munmap.js';
import { newSlab } from '../../machines/paths/new-slab.js';
import { oomReap } from '../../machines/paths/oom-reap.js';
import { putPage } from '../../machines/paths/put-page.js';
import { type Candidate, shrinkFolioList } from '../../machines/paths/shrink-folio-list.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import { tryToUnmap } from '../../machines/paths/try-to-unmap.js';
import { userAccess } from '../../machines/paths/user-access.js';
import { userFault } from '../../machines/paths/user-fault.js';
import { type ActorSpec, actor } from '../system/system.js';
import { closure, cpuAt, entries } from './common.js';
import { deviceFramesOf, forks, framesOf, type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, ownerOf, vpnsOf } from './mmu-notifier-setup.js';

export type Actors = Record<string, ActorSpec>;

/** Somebody who runs on a CPU: a thread, a driver's worker, the thread that is a guest's CPU. */
export interface Worker {
  n: number;
  lane: string;
  mm: string | null;
  /** Which paths it needs. */
  paths: readonly string[];
  task: ActorSpec | null;
  /** The driver that it works for. */
  gpu?: string;
  walks: readonly number[];
}

const needs: Record<MirrorCall['do'], readonly string[]> = {
  load: ['access'],
  store: ['access'],
  munmap: ['munmap'],
  dontneed: ['madvise'],
  oom_reap: ['oom_reap'],
  numa_scan: ['numa_scan'],
  fork: ['fork'],
  mprotect_none: ['mprotect'],
  mprotect_read: ['mprotect'],
  mprotect_write: ['mprotect'],
  reclaim: ['shrink'],
  migrate: ['migrate'],
  to_device: ['to_device'],
  slab: ['slab'],
};
const calls: Record<string, readonly string[]> = {
  access: ['fault'],
  fault: ['pte_fault'],
  pte_fault: ['anon_fault', 'alloc_pages', 'put_page', 'flush', 'restore', 'notifier', 'to_ram'],
  anon_fault: ['alloc_pages', 'put_page'],
  restore: ['notifier', 'put_page'],
  munmap: ['zap'],
  madvise: ['zap'],
  oom_reap: ['zap'],
  zap: ['flush', 'put_page', 'batched_pending', 'notifier', 'restore', 'put_device'],
  batched_pending: ['flush'],
  mprotect: ['flush', 'batched_pending', 'notifier', 'restore'],
  numa_scan: ['flush', 'notifier'],
  fork: ['flush', 'notifier'],
  shrink: ['unmap', 'arch_flush', 'put_page'],
  migrate: ['unmap', 'arch_flush', 'put_page', 'alloc_pages'],
  unmap: ['notifier'],
  slab: ['alloc_pages'],
  range_fault: ['pte_fault'],
  atomic_range_fault: ['make_exclusive', 'put_page', 'restore', 'fault'],
  make_exclusive: ['pte_fault', 'flush', 'put_page', 'notifier'],
  kvm_page_fault: ['gup', 'put_page'],
  gup: ['pte_fault'],
  to_device: ['migrate_vma'],
  to_ram: ['migrate_vma', 'alloc_pages', 'put_device'],
  migrate_vma: ['flush', 'notifier', 'put_page', 'put_device', 'unmap', 'arch_flush'],
};

/** Paths that lead to the memory of a device and back. */
const devicePaths = ['to_device', 'to_ram', 'migrate_vma', 'put_device'];

function candidateOf(vpn: number): Candidate {
  return { pfn: vpn, mapping: 'swap', index: vpn, anonymous: true, items: [{ mm: 'p', vpn, ptl: 'ptl_p' }] };
}

function callOf(n: number, call: MirrorCall): ProgramCall {
  const to = (path: string, given: Record<string, unknown> = {}): ProgramCall => ({ path: `${path}${n}`, arguments: given });
  switch (call.do) {
    case 'load':
    case 'store':
      return to('access', { vpn: call.vpn, write: call.do === 'store' });
    case 'munmap':
      return to('munmap', { vpns: [call.vpn] });
    case 'dontneed':
      return to('madvise', { vpns: [call.vpn] });
    case 'oom_reap':
      return to('oom_reap', { vpns: [call.vpn] });
    case 'numa_scan':
      return to('numa_scan', { vpn: call.vpn });
    case 'fork':
      return to('fork', { vpn: call.vpn });
    case 'mprotect_none':
    case 'mprotect_read':
    case 'mprotect_write':
      return to('mprotect', { vpn: call.vpn, read: call.do !== 'mprotect_none', write: call.do === 'mprotect_write' });
    case 'reclaim':
      return to('shrink', { candidates: [candidateOf(call.vpn)] });
    case 'to_device':
      return to('to_device', { vpn: call.vpn });
    case 'migrate':
      return to('migrate', { candidate: candidateOf(call.vpn) });
    case 'slab':
      return to('slab', { order: 0, content: 'slab' });
  }
}

const names: Partial<Record<MirrorCall['do'], string>> = { dontneed: 'madvise', oom_reap: 'oom_reaper', slab: 'kmalloc', reclaim: 'kswapd' };
const threadName = ({ program }: MirrorThread): string => [...new Set(program.map((call) => names[call.do] ?? call.do))].join(', ');

export function workersOf(setup: MirrorSetup): Worker[] {
  const workers: Worker[] = [];
  const without = ownerOf(setup) === null ? devicePaths : [];
  for (const thread of setup.threads) {
    const n = workers.length;
    const lane = `CPU ${n} (${threadName(thread)})`;
    const program = thread.program.map((call) => callOf(n, call));
    workers.push({
      n,
      lane,
      mm: thread.mm,
      paths: closure(
        calls,
        thread.program.flatMap((call) => needs[call.do]),
        without,
      ),
      task: actor(task, {
        lane,
        input: { program, repeats: thread.repeats ?? false, pauses: thread.repeats ?? false, isNew: thread.mm === 'child' },
        ...(thread.repeats ? { environment: ['again' as const] } : {}),
      }),
      walks: [...new Set(thread.program.flatMap((call) => (call.do === 'load' || call.do === 'store' ? [call.vpn] : [])))],
    });
  }
  for (const [gpu, { program }] of entries(setup.gpus)) {
    const n = workers.length;
    const kinds = program.map((call) => (call.do === 'atomic' ? 'atomic_range_fault' : 'range_fault'));
    workers.push({ n, lane: `CPU ${n} (nouveau, ${gpu})`, mm: null, paths: closure(calls, kinds, without), task: null, gpu, walks: [] });
  }
  if (setup.guest !== null) {
    const n = workers.length;
    workers.push({ n, lane: `CPU ${n} (guest)`, mm: 'p', paths: closure(calls, ['kvm_page_fault'], without), task: null, gpu: 'guest', walks: [] });
  }
  return workers;
}

/** The thread of the child, which runs once it is forked. */
const childTaskOf = ({ threads }: MirrorSetup): string | null => {
  const n = threads.findIndex(({ mm }) => mm === 'child');
  return n < 0 ? null : `task${n}`;
};
export const driversOf = (setup: MirrorSetup): string[] => Object.keys(setup.gpus);
const cookieOf = (setup: MirrorSetup, gpu: string): string => setup.gpus[gpu]?.cookie ?? gpu;

/** The callbacks of the drivers and of KVM, as they run in a worker that invalidates. */
function callbacks(setup: MirrorSetup, { n, lane }: Worker): Actors {
  const drivers = driversOf(setup);
  return {
    ...Object.fromEntries(
      drivers.flatMap((gpu) => {
        const common = { cookie: cookieOf(setup, gpu), mutex: `mutex_${gpu}` };
        return [
          [`interval${n}.${gpu}`, actor(setup.intervalInvalidate, { lane, input: { ...common, notifier: 'mmu_notifier_p', mmu: null } })],
          [`svmm${n}.${gpu}`, actor(setup.svmmInvalidate, { lane, input: { ...common, mmu: gpu } })],
        ];
      }),
    ),
    ...(setup.guest === null
      ? {}
      : {
          [`kvm_invalidate${n}`]: actor(kvmInvalidate, { lane, input: { kvm: 'kvm', mmuLock: 'kvm_mmu_lock', mmu: 'guest' } }),
        }),
  };
}

/** The paths of a worker, a callee before its caller, as it is defined in C. */
export function pathsOf(setup: MirrorSetup, worker: Worker): Actors {
  const { n, lane, gpu } = worker;
  const on = cpuAt(n);
  const mm = worker.mm === 'child' ? 'child' : 'p';
  const at = (path: string): string => `${path}${n}`;
  const ptl = `ptl_${mm}`;
  const mmapLock = `mmap_lock_${mm}`;
  const folioLocks = Object.fromEntries(framesOf(setup).map((pfn) => [pfn, `folio_lock${pfn}`]));
  const notifier = mm === 'p' ? at('notifier') : null;
  const owner = ownerOf(setup);
  const ofDriver = { folioLocks, mutex: `mutex_${owner}`, mmu: owner as string, migrateVma: at('migrate_vma') };
  const other = mm === 'p' ? 'child' : 'p';
  const unmapping = { folioLocks, tryToUnmap: at('unmap'), archFlush: at('arch_flush'), putPage: at('put_page') };
  const restoring = { mm, ptl, folioLocks, notifier: at('notifier'), putPage: at('put_page') };
  const listeners = [
    ...driversOf(setup).map((name) => ({ start: `svmm${n}.${name}`, end: null })),
    ...(setup.guest === null ? [] : [{ start: `kvm_invalidate${n}`, end: `kvm_invalidate${n}` }]),
  ];
  const make: Record<string, () => ActorSpec> = {
    access: () => actor(userAccess, { lane, input: { cpu: on, fault: at('fault') } }),
    fault: () => actor(userFault, { lane, input: { mm, mmapLock, handler: at('pte_fault') } }),
    pte_fault: () =>
      actor(handlePteFault, {
        lane,
        input: {
          mm,
          ptl,
          folioLocks,
          allocPages: at('alloc_pages'),
          putPage: at('put_page'),
          anonFault: at('anon_fault'),
          flush: at('flush'),
          lufFlush: null,
          debug: null,
          task: at('task'),
          notifier,
          restoreExclusive: at('restore'),
          migrateToRam: owner === null ? null : at('to_ram'),
        },
      }),
    anon_fault: () => actor(anonFault, { lane, input: { mm, ptl, allocator: 'allocator', putPage: at('put_page'), allocPages: at('alloc_pages') } }),
    alloc_pages: () => actor(allocPages, { lane, input: { cpu: on, allocator: 'allocator', lufFlush: null, debug: null, task: at('task') } }),
    put_page: () => actor(putPage, { lane, input: { allocator: 'allocator' } }),
    flush: () => actor(flushTlb, { lane, input: { cpu: on, mm, interconnect: 'interconnect', kind: 'ipi' } }),
    arch_flush: () => actor(archTlbbatchFlush, { lane, input: { cpu: on, interconnect: 'interconnect', task: at('task'), debug: null } }),
    notifier: () =>
      actor(setup.invalidate, {
        lane,
        input: { notifier: 'mmu_notifier_p', intervals: Object.fromEntries(driversOf(setup).map((name) => [name, `interval${n}.${name}`])), listeners },
      }),
    restore: () =>
      gpu !== undefined && setup.ownRestore !== null
        ? actor(setup.ownRestore, { lane, input: { ...restoring, owner: cookieOf(setup, gpu) } })
        : actor(setup.removeDeviceExclusiveEntry, { lane, input: restoring }),
    unmap: () => actor(tryToUnmap, { lane, input: { lufBatch: null, debug: null, notifiers: { p: at('notifier') } } }),
    shrink: () => actor(shrinkFolioList, { lane, input: { ...unmapping, lufBatch: null, allocator: 'allocator', debug: null } }),
    migrate: () => actor(migratePages, { lane, input: { ...unmapping, allocPages: at('alloc_pages'), lufBatch: null, allocator: 'allocator', debug: null } }),
    slab: () => actor(newSlab, { lane, input: { allocPages: at('alloc_pages') } }),
    zap: () =>
      actor(setup.zap, {
        lane,
        input: {
          cpu: on,
          mm,
          ptl,
          flush: at('flush'),
          putPage: at('put_page'),
          putDevicePage: owner === null ? null : at('put_device'),
          batchedPending: at('batched_pending'),
          notifier,
          folioLocks,
          restoreExclusive: at('restore'),
        },
      }),
    batched_pending: () => actor(flushTlbBatchedPending, { lane, input: { mm, flush: at('flush') } }),
    munmap: () => actor(munmap, { lane, input: { mm, mmapLock, zap: at('zap'), coherence: 'coherence' } }),
    madvise: () => actor(madvise, { lane, input: { mmapLock, zap: at('zap') } }),
    oom_reap: () => actor(oomReap, { lane, input: { mmapLock, zap: at('zap'), attempts: setup.oomAttempts } }),
    mprotect: () =>
      actor(setup.mprotect, {
        lane,
        input: {
          mm,
          mmapLock,
          ptl,
          flush: at('flush'),
          batchedPending: at('batched_pending'),
          coherence: 'coherence',
          debug: null,
          notifier,
          restoreExclusive: at('restore'),
        },
      }),
    numa_scan: () => actor(changeProtNuma, { lane, input: { mm, mmapLock, ptl, flush: at('flush'), notifier: at('notifier') } }),
    fork: () =>
      actor(setup.copyPageRange, {
        lane,
        input: { mm, mmapLock, ptl, flush: at('flush'), child: 'child', childTask: childTaskOf(setup), coherence: 'coherence', notifier, folioLocks },
      }),
    range_fault: () =>
      actor(setup.rangeFault, {
        lane,
        input: {
          mm,
          mmapLock,
          notifier: 'mmu_notifier_p',
          driver: gpu as string,
          mutex: `mutex_${gpu}`,
          mmu: gpu as string,
          fault: at('pte_fault'),
          folioLocks,
          devicePages: gpu === owner ? deviceFramesOf(setup) : [],
        },
      }),
    make_exclusive: () =>
      actor(setup.makeDeviceExclusive, {
        lane,
        input: {
          mm,
          ptl,
          folioLocks,
          fault: at('pte_fault'),
          flush: at('flush'),
          notifier: at('notifier'),
          putPage: at('put_page'),
          owner: setup.namesOwner ? cookieOf(setup, gpu as string) : null,
        },
      }),
    atomic_range_fault: () =>
      actor(setup.atomicRangeFault, {
        lane,
        input: {
          mmapLock,
          notifier: 'mmu_notifier_p',
          driver: gpu as string,
          makeExclusive: at('make_exclusive'),
          fault: at('fault'),
          restoreExclusive: at('restore'),
          folioLocks,
          putPage: at('put_page'),
          mutex: `mutex_${gpu}`,
          mmu: gpu as string,
        },
      }),
    put_device: () => actor(putPage, { lane, input: { allocator: `memory_${owner}` } }),
    migrate_vma: () =>
      actor(migrateVma, {
        lane,
        input: {
          mm,
          ptl,
          folioLocks,
          flush: at('flush'),
          notifier,
          owner: cookieOf(setup, owner as string),
          putPage: at('put_page'),
          putDevicePage: at('put_device'),
          others: forks(setup) ? Object.fromEntries(vpnsOf(setup).map((vpn) => [vpn, [{ mm: other, vpn, ptl: `ptl_${other}` }]])) : {},
          tryToUnmap: at('unmap'),
          archFlush: at('arch_flush'),
        },
      }),
    to_device: () => actor(setup.toDevice, { lane, input: { ...ofDriver, mmapLock, deviceMemory: `memory_${owner}` } }),
    to_ram: () => actor(setup.toRam, { lane, input: { ...ofDriver, mm, ptl, allocPages: at('alloc_pages'), putDevicePage: at('put_device') } }),
    gup: () => actor(gupSlow, { lane, input: { mm, mmapLock, ptl, pagemaps: {}, fault: at('pte_fault'), pin: false } }),
    kvm_page_fault: () => actor(kvmPageFault, { lane, input: { kvm: 'kvm', mmuLock: 'kvm_mmu_lock', mmu: 'guest', gup: at('gup'), putPage: at('put_page') } }),
  };
  return {
    ...(worker.paths.includes('notifier') ? callbacks(setup, worker) : {}),
    ...Object.fromEntries(worker.paths.map((path) => [at(path), (make[path] as () => ActorSpec)()])),
    ...(worker.task === null ? {} : { [at('task')]: worker.task }),
  };
}

const deviceLane = (name: string, { lane }: Worker): string => (name === 'guest' ? lane : name.replace(/^gpu(\d*)$/, 'GPU $1'));

/** The page table of a device or of a guest. */
export const pageTableOf = (name: string, { ptes = {} }: Mirror, worker: Worker): ActorSpec =>
  actor(secondaryMmu, { lane: deviceLane(name, worker), input: { mm: 'p', ptes } });

/** The thread of a device or of a guest, which uses its page table. */
export function deviceThread(name: string, { program, repeats = false }: Mirror, worker: Worker): Actors {
  const lane = deviceLane(name, worker);
  const has = (path: string): string | null => (worker.paths.includes(path) ? `${path}${worker.n}` : null);
  return {
    [`${name}.access`]: actor(deviceAccess, {
      lane,
      input: { mmu: name, fault: has('range_fault') ?? has('kvm_page_fault'), atomicFault: has('atomic_range_fault') },
    }),
    [`${name}.thread`]: actor(task, {
      lane,
      input: { program: program.map((call) => ({ path: `${name}.access`, arguments: { vpn: call.vpn, kind: call.do } })), repeats, pauses: repeats },
      ...(repeats ? { environment: ['again' as const] } : {}),
    }),
  };
}
