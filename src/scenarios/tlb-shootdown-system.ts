import type { SnapshotFrom } from 'xstate';
import { cpu } from '../../machines/hardware/cpu.js';
import { addressSpace, type PresentPte, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { folio } from '../../machines/memory/folio.js';
import { pageAllocator } from '../../machines/memory/page-allocator.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { pageTable } from '../../machines/memory/page-table.js';
import { anonFault } from '../../machines/paths/anon-fault.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { madvise } from '../../machines/paths/madvise.js';
import { mremap } from '../../machines/paths/mremap.js';
import { munmap } from '../../machines/paths/munmap.js';
import { putPage } from '../../machines/paths/put-page.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import { tlbRemoveTableRcu } from '../../machines/paths/tlb-remove-table-rcu.js';
import { truncatePagecache } from '../../machines/paths/truncate-pagecache.js';
import { userAccess } from '../../machines/paths/user-access.js';
import { userFault } from '../../machines/paths/user-fault.js';
import { zap } from '../../machines/paths/zap.js';
import { rcu } from '../../machines/sync/rcu.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { invariant, type Property } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { cpuAt, interconnectOf, range, speculation } from './common.js';
import { I3, I4, I6, I11, UAF } from './kernel-properties.js';

type Actors = Record<string, ActorSpec>;

/** What a thread does, call by call. `store`: to a page; `switch`: what the CPU runs next. */
export type Call =
  | { do: 'store'; page: number }
  | { do: 'gup' }
  | { do: 'switch'; next: 'mm' | 'init_mm' | 'kthread' }
  | { do: 'munmap' }
  | { do: 'madvise'; pages?: number[] }
  | { do: 'mremap' }
  | { do: 'truncate' };

/** One CPU and the thread that runs on it. */
export interface Thread {
  program: readonly Call[];
  /** The CPU has another address space loaded at first, and this one's entries in the TLB from before. */
  switchedAway?: boolean;
  /** Machines of this thread that differ from the setup's. */
  zap?: typeof zap;
}

/** Which threads there are, and which machines they run. */
export interface TlbShootdownSetup {
  flush: 'ipi' | 'broadcast';
  /** CPU n runs thread n. */
  threads: readonly Thread[];
  pages: number;
  /** What the pages belong to. `file`: clean pages of a file; `pfnmap`: pages of a driver, in special ptes. */
  backing: 'anonymous' | 'file' | 'pfnmap';
  /** What becomes of the page-table page when munmap leaves it empty; `kept`: other mappings use it. */
  tables: 'kept' | 'rcu' | 'sync' | 'direct';
  /** Pages that a batch of the gather takes. */
  batchSize?: number;
  /** After madvise has returned no translation of before may be left. */
  asksDontneed?: boolean;
  cpu: typeof cpu;
  flushTlb: typeof flushTlb;
  zap: typeof zap;
  contextSwitch: typeof contextSwitch;
  mremap: typeof mremap;
}

export const shootdownReference: TlbShootdownSetup = {
  flush: 'ipi',
  threads: [],
  pages: 1,
  backing: 'anonymous',
  tables: 'kept',
  cpu,
  flushTlb,
  zap,
  contextSwitch,
  mremap,
};

const TABLE = 'table0';
const has = ({ program }: Thread, ...calls: Call['do'][]): boolean => program.some((call) => calls.includes(call.do));

/** Page n of the range is at virtual page n, file offset n, page frame n; mremap moves it behind the others. */
const pagesOf = (setup: TlbShootdownSetup): number[] => range(setup.pages);
const movedTo = (setup: TlbShootdownSetup, page: number): number => setup.pages + page;
/** After madvise a store faults a fresh page in, and a gup as many as the range has. */
const freshPages = (setup: TlbShootdownSetup): number[] =>
  setup.threads.some((thread) => has(thread, 'madvise')) ? range(faultsOf(setup)).map((n) => setup.pages + n) : [];
const faultsOf = (setup: TlbShootdownSetup): number =>
  setup.threads.flatMap(({ program }) => program.flatMap((call) => (call.do === 'store' ? [0] : call.do === 'gup' ? pagesOf(setup) : []))).length;

const laneOf = (setup: TlbShootdownSetup, n: number): string => {
  const names = { store: 'user', gup: 'gup_fast', switch: 'schedule', munmap: 'munmap', madvise: 'madvise', mremap: 'mremap', truncate: 'truncate' } as const;
  const program = setup.threads[n]?.program ?? [];
  return `CPU ${n} (${[...new Set(program.map((call) => names[call.do]))].join(', ')})`;
};

const callOf = (setup: TlbShootdownSetup, n: number, call: Call): ProgramCall => {
  const path = `${call.do}${n}`;
  switch (call.do) {
    case 'store':
      return { path, arguments: { vpn: call.page, write: true } };
    case 'switch':
      return { path, arguments: { next: call.next === 'init_mm' ? null : call.next } };
    case 'mremap':
      return { path, arguments: { vpn: 0, newVpn: movedTo(setup, 0) } };
    case 'truncate':
      return { path, arguments: { index: 0, pfn: 0, vpns: setup.threads.some((thread) => has(thread, 'mremap')) ? [0, movedTo(setup, 0)] : [0] } };
    case 'madvise':
      return { path, arguments: { vpns: call.pages ?? pagesOf(setup) } };
    default:
      return { path, arguments: { vpns: pagesOf(setup) } };
  }
};

/** The paths of a thread, those that it calls through others included. */
function threadActors(setup: TlbShootdownSetup, n: number, thread: Thread): Actors {
  const lane = laneOf(setup, n);
  const on = cpuAt(n);
  const faults = has(thread, 'store', 'gup');
  const zaps = has(thread, 'munmap', 'madvise', 'truncate');
  const needs = (wanted: boolean, actors: () => Actors): Actors => (wanted ? actors() : {});
  return {
    ...needs(faults || zaps, () => ({ [`put_page${n}`]: actor(putPage, { lane, input: {} }) })),
    ...needs(faults, () => ({
      [`handle_mm_fault${n}`]: actor(anonFault, {
        lane,
        input: { mm: 'mm', ptl: 'ptl', allocator: 'allocator', putPage: `put_page${n}`, anonymous: setup.backing === 'anonymous' },
      }),
    })),
    ...needs(has(thread, 'store'), () => ({
      [`fault${n}`]: actor(userFault, { lane, input: { mm: 'mm', mmapLock: 'mmap_lock', handler: `handle_mm_fault${n}` } }),
      [`store${n}`]: actor(userAccess, { lane, input: { cpu: on, fault: `fault${n}` } }),
    })),
    ...needs(has(thread, 'gup'), () => ({
      [`gup_slow${n}`]: actor(gupSlow, {
        lane,
        input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', pagemaps: {}, fault: `handle_mm_fault${n}`, pin: false },
      }),
      [`gup${n}`]: actor(gupFast, { lane, input: { cpu: on, mm: 'mm', pagemaps: {}, putPage: `put_page${n}`, slow: `gup_slow${n}`, pin: false } }),
    })),
    ...needs(has(thread, 'switch'), () => ({ [`switch${n}`]: actor(setup.contextSwitch, { lane, input: { cpu: on } }) })),
    ...needs(zaps || has(thread, 'mremap'), () => ({
      [`flush${n}`]: actor(setup.flushTlb, { lane, input: { cpu: on, mm: 'mm', interconnect: 'interconnect', kind: setup.flush } }),
    })),
    ...needs(zaps, () => ({
      [`zap${n}`]: actor(thread.zap ?? setup.zap, {
        lane,
        input: {
          cpu: on,
          mm: 'mm',
          ptl: 'ptl',
          flush: `flush${n}`,
          putPage: `put_page${n}`,
          ...(setup.batchSize === undefined ? {} : { batchSize: setup.batchSize }),
          file: setup.backing === 'file',
          ...(setup.tables === 'kept'
            ? {}
            : { freeing: setup.tables, tables: { rcu: 'rcu', callback: 'tlb_remove_table_rcu', interconnect: 'interconnect', cpus: cpusOf(setup) } }),
        },
      }),
    })),
    ...needs(has(thread, 'munmap'), () => ({
      [`munmap${n}`]: actor(munmap, {
        lane,
        input: {
          mm: 'mm',
          mmapLock: 'mmap_lock',
          zap: `zap${n}`,
          unlink: {
            mapping: setup.backing === 'anonymous' ? null : 'mapping',
            pfnmap: setup.backing === 'pfnmap',
            tables: setup.tables === 'kept' ? [] : [0],
          },
        },
      }),
    })),
    ...needs(has(thread, 'madvise'), () => ({ [`madvise${n}`]: actor(madvise, { lane, input: { mmapLock: 'mmap_lock', zap: `zap${n}` } }) })),
    ...needs(has(thread, 'mremap'), () => ({
      [`mremap${n}`]: actor(setup.mremap, { lane, input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: `flush${n}` } }),
    })),
    ...needs(has(thread, 'truncate'), () => ({
      [`truncate${n}`]: actor(truncatePagecache, { lane, input: { mapping: 'mapping', zap: `zap${n}`, putPage: `put_page${n}` } }),
    })),
    ...needs(thread.program.length > 0, () => ({
      [`task${n}`]: actor(task, { lane, input: { program: thread.program.map((call) => callOf(setup, n, call)) } }),
    })),
  };
}

const cpusOf = (setup: TlbShootdownSetup): string[] => setup.threads.map((_, n) => cpuAt(n));

/** Anonymous memory has been written to; pages of a file are clean. */
const pteOf = (setup: TlbShootdownSetup, pfn: number): PresentPte => presentPte(pfn, { dirty: setup.backing !== 'file', special: setup.backing === 'pfnmap' });

function cpus(setup: TlbShootdownSetup): Actors {
  return Object.fromEntries(
    setup.threads.map((thread, n) => {
      // Who only removes stays in the kernel: what its own CPU has cached nobody uses.
      const walks = has(thread, 'store', 'switch');
      const { pfn, write, dirty } = pteOf(setup, 0);
      return [
        cpuAt(n),
        actor(setup.cpu, {
          lane: laneOf(setup, n),
          input: {
            mm: thread.switchedAway ? null : 'mm',
            interconnect: 'interconnect',
            rcu: 'rcu',
            ...(thread.switchedAway ? { cached: { mm: 'mm', tlb: { 0: { pfn, write, dirty } } } } : {}),
          },
          choices: ['interrupt'],
          environment: walks ? [...speculation(pagesOf(setup)), ...(setup.tables === 'kept' ? [] : [{ type: 'evict_table' as const, vpn: 0 }])] : [],
        }),
      ];
    }),
  );
}

function memory(setup: TlbShootdownSetup): Actors {
  const mapped = setup.backing === 'pfnmap' ? 0 : 1;
  const owned = setup.backing === 'anonymous' ? 0 : 1;
  return {
    ...Object.fromEntries(
      pagesOf(setup).map((pfn) => [pageAt(pfn), actor(folio, { input: { pfn, idle: 0, refcount: mapped + owned, mapcount: mapped, zone: 'normal' } })]),
    ),
    ...Object.fromEntries(freshPages(setup).map((pfn) => [pageAt(pfn), actor(folio, { input: { pfn, idle: 0, refcount: 0, zone: 'normal' } })])),
    ...(setup.tables === 'kept' ? {} : { [TABLE]: actor(pageTable) }),
    mm: actor(addressSpace, {
      input: {
        ptes: Object.fromEntries(pagesOf(setup).map((pfn) => [pfn, pteOf(setup, pfn)])),
        pmds: setup.tables === 'kept' ? {} : { 0: TABLE },
        vmas: pagesOf(setup),
        cpumask: setup.threads.flatMap((thread, n) => (thread.switchedAway ? [] : [cpuAt(n)])),
      },
    }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    ...(setup.backing === 'anonymous'
      ? {}
      : { mapping: actor(pageCache, { input: { blocks: Object.fromEntries(pagesOf(setup).map((n) => [n, n])), mappers: 1 } }) }),
    allocator: actor(pageAllocator, { input: { free: freshPages(setup) } }),
  };
}

type Watched = Record<string, unknown>;

function properties(setup: TlbShootdownSetup): Property[] {
  const found: Property[] = [I3, ...(setup.tables === 'kept' ? [] : [I4]), I6, UAF, I11];
  if (setup.asksDontneed) {
    const tasks = setup.threads.flatMap((thread, n) => (has(thread, 'madvise') ? [`task${n}`] : []));
    found.push(
      invariant<Watched>('DONTNEED', 'once madvise(MADV_DONTNEED) has returned, no TLB holds a translation of before', {
        actors: [...tasks, ...cpusOf(setup)],
        when: (snapshots) => tasks.some((name) => (snapshots[name] as SnapshotFrom<typeof task>).value === 'exited'),
        holds: (snapshots) =>
          !cpusOf(setup).some((name) => Object.values((snapshots[name] as SnapshotFrom<typeof cpu>).context.tlb).some(({ pfn }) => pfn < setup.pages)),
      }),
    );
  }
  if (setup.backing === 'file') {
    const tasks = setup.threads.flatMap((thread, n) => (has(thread, 'munmap', 'madvise', 'truncate') ? [`task${n}`] : []));
    const pages = pagesOf(setup).map(pageAt);
    found.push(
      invariant<Watched>('DIRTY', 'a page of a file that was stored to is dirty, or a pte that maps it', {
        actors: ['mm', ...tasks, ...pages],
        when: (snapshots) =>
          tasks.every((name) => (snapshots[name] as SnapshotFrom<typeof task>).value === 'exited') &&
          pages.some((name) => (snapshots[name] as SnapshotFrom<typeof folio>).context.written),
        holds: (snapshots) => {
          const ptes = Object.values((snapshots.mm as SnapshotFrom<typeof addressSpace>).context.ptes);
          return pages.every((name) => {
            const { pfn, written, dirty } = (snapshots[name] as SnapshotFrom<typeof folio>).context;
            return !written || dirty || ptes.some((pte) => pte.kind === 'present' && pte.pfn === pfn && pte.dirty);
          });
        },
      }),
    );
  }
  return found;
}

/** Threads of one process, a CPU each, that touch, unmap, move and drop its pages. */
export function tlbShootdownSystem(id: string, setup: TlbShootdownSetup): System {
  const kernel = 'kernel';
  return defineSystem({
    id,
    actors: {
      ...memory(setup),
      ...cpus(setup),
      rcu: actor(rcu, { lane: kernel, choices: ['grace_period'] }),
      interconnect: interconnectOf(cpusOf(setup), { lane: kernel, delivers: setup.flush === 'ipi' || setup.tables === 'sync' }),
      ...(setup.tables === 'rcu' ? { tlb_remove_table_rcu: actor(tlbRemoveTableRcu, { lane: kernel }) } : {}),
      ...Object.assign({}, ...setup.threads.map((thread, n) => threadActors(setup, n, thread))),
    },
    properties: properties(setup),
  });
}
