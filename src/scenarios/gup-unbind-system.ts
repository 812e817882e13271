import type { SnapshotFrom } from 'xstate';
import { daxDevice } from '../../machines/devices/dax-device.js';
import { devPagemap, type PagemapUse } from '../../machines/devices/dev-pagemap.js';
import { cpu } from '../../machines/hardware/cpu.js';
import { addressSpace, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { folio } from '../../machines/memory/folio.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { daxFault } from '../../machines/paths/dax-fault.js';
import { directIo } from '../../machines/paths/direct-io.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { memunmapPages, type memunmapPages510 } from '../../machines/paths/memunmap-pages.js';
import { munmap } from '../../machines/paths/munmap.js';
import { type GetMode, percpuRefGet } from '../../machines/paths/percpu-ref-get.js';
import { percpuRefKill } from '../../machines/paths/percpu-ref-kill.js';
import { percpuRefPut } from '../../machines/paths/percpu-ref-put.js';
import { percpuRefSwitch } from '../../machines/paths/percpu-ref-switch.js';
import { putPage } from '../../machines/paths/put-page.js';
import { task } from '../../machines/paths/task.js';
import { truncate } from '../../machines/paths/truncate.js';
import { unbind } from '../../machines/paths/unbind.js';
import { userAccess } from '../../machines/paths/user-access.js';
import { zap } from '../../machines/paths/zap.js';
import { percpuRef } from '../../machines/sync/percpu-ref.js';
import { rcu } from '../../machines/sync/rcu.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { invariant, leadsTo, type Property } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { interconnectOf, speculation } from './common.js';
import { I1, I6, I11 } from './kernel-properties.js';

type Actors = Record<string, ActorSpec>;

/** Which threads there are, and which machines they run. */
export interface GupUnbindSetup {
  flush: 'ipi' | 'broadcast';
  /** Reference count of an idle page: 1 (up to 6.14, ptes carry devmap and special) or 0 (since 6.15, ordinary ptes). */
  base: 0 | 1;
  /** The mode in which pgmap.ref begins: in atomic mode kill implies no grace period. */
  ref: 'percpu' | 'atomic';
  /** Up to 5.17 a page's last put drops its reference of the pagemap, so that pins hold it. */
  pinsHoldPagemap: boolean;
  /** Threads that pin the buffer and do direct I/O on it. */
  gups: number;
  /** Pages of the buffer; a second one belongs to a device that is dying already. */
  pages: 1 | 2;
  /** The pages are mapped when the story begins; else somebody has to fault them in. */
  mapped: boolean;
  /** FOLL_PIN instead of FOLL_GET. */
  pin: boolean;
  /** What takes the page away; `self`: the thread with the pins unbinds its device. */
  removal: 'unbind' | 'truncate' | 'self';
  /** A user thread that touches the page, and faults. */
  user: boolean;
  /** A thread that unmaps the buffer. */
  munmap: boolean;
  /** The threads in gup-fast begin anew, as often as they like. */
  loops: boolean;
  /** How gup takes a reference of the pagemap. */
  tryget: GetMode;
  gupFast: typeof gupFast;
  unbind: typeof unbind;
  memunmap: typeof memunmapPages | typeof memunmapPages510;
  truncate: typeof truncate;
  fault: typeof daxFault;
  putPage: typeof putPage;
}

export const reference: GupUnbindSetup = {
  flush: 'ipi',
  base: 0,
  ref: 'percpu',
  pinsHoldPagemap: false,
  gups: 1,
  pages: 1,
  mapped: true,
  pin: true,
  removal: 'unbind',
  user: false,
  munmap: false,
  loops: false,
  tryget: 'tryget_live',
  gupFast,
  unbind,
  memunmap: memunmapPages,
  truncate,
  fault: daxFault,
  putPage,
};

/** Page n of the buffer is at virtual page n, file offset n, page frame n. */
const pagesOf = (setup: GupUnbindSetup): number[] => [...Array(setup.pages).keys()];
const remover = 'cpu1';

/** Ways of one thread to get and put references of the pagemaps, in one context: with interrupts off or not. */
function pagemapPaths(
  name: string,
  cpuName: string,
  lane: string,
  inRcu: boolean,
  setup: GupUnbindSetup,
): { actors: Actors; uses: Record<string, PagemapUse> } {
  if (setup.base === 0) return { actors: {}, uses: {} };
  const use = (page: number): PagemapUse => ({ pgmap: `pgmap${page}`, tryget: `${name}.tryget${page}`, put: `${name}.put${page}` });
  const actors = pagesOf(setup).flatMap((page) => [
    [use(page).tryget, actor(percpuRefGet, { lane, input: { cpu: cpuName, rcu: 'rcu', ref: `ref${page}`, mode: setup.tryget, inRcu } })] as const,
    [use(page).put, actor(percpuRefPut, { lane, input: { cpu: cpuName, rcu: 'rcu', ref: `ref${page}`, inRcu } })] as const,
  ]);
  return { actors: Object.fromEntries(actors), uses: Object.fromEntries(pagesOf(setup).map((page) => [page, use(page)])) };
}

/** put_page for one thread, with the pagemap's put behind it where pages hold a reference of the pagemap. */
function putPageOf(name: string, cpuName: string, lane: string, setup: GupUnbindSetup): Actors {
  const putPagemap = `${name}.put_dev_pagemap`;
  return {
    ...(setup.pinsHoldPagemap ? { [putPagemap]: actor(percpuRefPut, { lane, input: { cpu: cpuName, rcu: 'rcu', ref: 'ref0' } }) } : {}),
    [`${name}.put_page`]: actor(setup.putPage, { lane, input: setup.pinsHoldPagemap ? { putPagemap } : {} }),
  };
}

const faultOf = (name: string, lane: string, setup: GupUnbindSetup): Actors => ({
  [`${name}.fault`]: actor(setup.fault, {
    lane,
    input: {
      mm: 'mm',
      ptl: 'ptl',
      mapping: 'mapping',
      invalidateLock: 'invalidate_lock',
      dax: 'dax',
      srcu: 'dax_srcu',
      devmap: setup.base === 1,
      refPerMapping: setup.base === 0,
    },
  }),
});

const zapOf = (name: string, cpuName: string, lane: string, setup: GupUnbindSetup): Actors => ({
  [`${name}.flush`]: actor(flushTlb, { lane, input: { cpu: cpuName, mm: 'mm', interconnect: 'interconnect', kind: setup.flush } }),
  [`${name}.zap`]: actor(zap, { lane, input: { cpu: cpuName, mm: 'mm', ptl: 'ptl', flush: `${name}.flush`, putPage: `${name}.put_page` } }),
});

/** A thread that does direct I/O: gup-fast, gup-slow and the fault handler beneath it. */
function ioThread(name: string, cpuName: string, setup: GupUnbindSetup): Actors {
  const lane = `CPU ${cpuName.slice(3)} (gup_fast)`;
  const fast = pagemapPaths(`${name}.gup_fast`, cpuName, lane, true, setup);
  const slow = pagemapPaths(`${name}.gup_slow`, cpuName, lane, false, setup);
  return {
    ...fast.actors,
    ...slow.actors,
    ...putPageOf(name, cpuName, lane, setup),
    ...faultOf(name, lane, setup),
    [`${name}.gup_slow`]: actor(gupSlow, {
      lane,
      input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', pagemaps: slow.uses, fault: `${name}.fault`, pin: setup.pin },
    }),
    [`${name}.gup_fast`]: actor(setup.gupFast, {
      lane,
      input: { cpu: cpuName, mm: 'mm', pagemaps: fast.uses, putPage: `${name}.put_page`, slow: `${name}.gup_slow`, pin: setup.pin },
    }),
    [name]: actor(directIo, {
      lane,
      input: {
        gup: `${name}.gup_fast`,
        putPage: `${name}.put_page`,
        vpns: pagesOf(setup),
        pin: setup.pin,
        ...(setup.removal === 'self' ? { meanwhile: 'unbind' } : {}),
      },
      ...(setup.loops ? { environment: ['again' as const] } : {}),
    }),
  };
}

const userThread = (name: string, cpuName: string, setup: GupUnbindSetup): Actors => {
  const lane = `CPU ${cpuName.slice(3)} (user)`;
  return {
    ...faultOf(name, lane, setup),
    [`${name}.access`]: actor(userAccess, { lane, input: { cpu: cpuName, fault: `${name}.fault` } }),
    [name]: actor(task, { lane, input: { program: [{ path: `${name}.access`, arguments: { vpn: 0, write: false } }] } }),
  };
};

const munmapThread = (name: string, cpuName: string, setup: GupUnbindSetup): Actors => {
  const lane = `CPU ${cpuName.slice(3)} (munmap)`;
  return {
    ...putPageOf(name, cpuName, lane, setup),
    ...zapOf(name, cpuName, lane, setup),
    [`${name}.munmap`]: actor(munmap, { lane, input: { mm: 'mm', mmapLock: 'mmap_lock', unlink: { mapping: 'mapping' }, zap: `${name}.zap` } }),
    [name]: actor(task, { lane, input: { program: [{ path: `${name}.munmap`, arguments: { vpns: [0] } }] } }),
  };
};

const removalLane = (setup: GupUnbindSetup): string => `CPU 1 (${{ truncate: 'truncate', unbind: 'unbind', self: 'unbind, same thread' }[setup.removal]})`;

/** The thread that takes the page away, on CPU 1, with its callbacks. */
function removal(setup: GupUnbindSetup): Actors {
  const lane = removalLane(setup);
  const common = {
    rcu: actor(rcu, { lane, choices: ['grace_period' as const] }),
    dax_srcu: actor(rcu, { lane, choices: ['grace_period' as const] }),
    interconnect: interconnectOf(cpusOf(setup), { lane, delivers: setup.flush === 'ipi' }),
    ...putPageOf('remove', remover, lane, setup),
    ...zapOf('remove', remover, lane, setup),
  };
  if (setup.removal === 'truncate')
    return {
      ...common,
      truncate: actor(setup.truncate, { lane, input: { mapping: 'mapping', invalidateLock: 'invalidate_lock', zap: 'remove.zap' } }),
      remove: actor(task, { lane, input: { program: [{ path: 'truncate', arguments: { index: 0, pfn: 0, vpns: [0] } }] } }),
    };
  return {
    ...common,
    switch_lock: actor(spinlock),
    percpu_ref_switch: actor(percpuRefSwitch, { lane, input: { ref: 'ref0', cpus: cpusOf(setup) } }),
    percpu_ref_kill: actor(percpuRefKill, { lane, input: { ref: 'ref0', rcu: 'rcu', switchLock: 'switch_lock', callback: 'percpu_ref_switch' } }),
    memunmap_pages: actor(setup.memunmap, {
      lane,
      input: { pgmap: 'pgmap0', ref: 'ref0', kill: 'percpu_ref_kill', putPage: 'remove.put_page', rcu: 'rcu', pfns: [0] },
    }),
    unbind: actor(setup.unbind, { lane, input: { dax: 'dax', srcu: 'dax_srcu', zap: 'remove.zap', memunmap: 'memunmap_pages', pfns: [0], vpns: [0] } }),
    ...(setup.removal === 'self' ? {} : { remove: actor(task, { lane, input: { program: [{ path: 'unbind' }] } }) }),
  };
}

/** CPU 1 removes; CPU 0 and those after it run threads of the process. */
const processCpus = (setup: GupUnbindSetup): string[] => {
  const threads = setup.gups + (setup.user ? 1 : 0) + (setup.munmap ? 1 : 0);
  return Array.from({ length: threads }, (_, index) => `cpu${index === 0 ? 0 : index + 1}`);
};
const cpusOf = (setup: GupUnbindSetup): string[] => [...processCpus(setup), remover].sort();

function cpus(setup: GupUnbindSetup): Actors {
  // What TLBs hold makes no difference to threads that go on for ever, and multiplies their states.
  const environment = speculation(setup.loops ? [] : pagesOf(setup));
  return Object.fromEntries(
    cpusOf(setup).map((name) =>
      name === remover
        ? [name, actor(cpu, { lane: removalLane(setup), input: { mm: null, interconnect: 'interconnect' } })]
        : [name, actor(cpu, { lane: laneOf(name, setup), input: { mm: 'mm', interconnect: 'interconnect', rcu: 'rcu' }, choices: ['interrupt'], environment })],
    ),
  );
}

const laneOf = (name: string, setup: GupUnbindSetup): string => {
  const at = processCpus(setup).indexOf(name);
  return `CPU ${name.slice(3)} (${at < setup.gups ? 'gup_fast' : setup.user && at === setup.gups ? 'user' : 'munmap'})`;
};

function memory(setup: GupUnbindSetup): Actors {
  const devmap = setup.base === 1;
  const mappings = setup.base === 0 && setup.mapped ? 1 : 0;
  const pages = pagesOf(setup);
  return {
    ...Object.fromEntries(
      pages.map((pfn) => [pageAt(pfn), actor(folio, { input: { pfn, idle: setup.base, refcount: setup.base + mappings, mapcount: mappings } })]),
    ),
    mm: actor(addressSpace, {
      input: {
        ptes: setup.mapped ? Object.fromEntries(pages.map((pfn) => [pfn, presentPte(pfn, { devmap, special: devmap })])) : {},
        vmas: pages,
        cpumask: processCpus(setup),
      },
    }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    mapping: actor(pageCache, { input: { blocks: Object.fromEntries(pages.map((pfn) => [pfn, pfn])), mappers: 1 } }),
    invalidate_lock: actor(rwsem),
    dax: actor(daxDevice),
    ...Object.fromEntries(
      pages.flatMap((page) => [
        [`pgmap${page}`, actor(devPagemap, { input: { pages: [pageAt(page)] } })],
        [`ref${page}`, actor(percpuRef, { input: { cpus: cpusOf(setup), base: 1, atomic: setup.ref === 'atomic', dead: page > 0 } })],
      ]),
    ),
  };
}

type Page = SnapshotFrom<typeof folio>;
type Watched = Record<string, unknown>;
const pageOf = (snapshots: Watched, pfn: number): Page => snapshots[pageAt(pfn)] as Page;

function properties(setup: GupUnbindSetup, ios: readonly string[]): Property[] {
  const pages = pagesOf(setup);
  const mapping = processCpus(setup);
  const pinned = (snapshots: Watched, pfn: number): boolean => ios.some((io) => (snapshots[io] as SnapshotFrom<typeof directIo>).context.pages.includes(pfn));
  const removed = (snapshots: Watched, pfn: number): boolean => pageOf(snapshots, pfn).value !== 'present';
  const translated = (snapshots: Watched, pfn: number): boolean => {
    const ptes = Object.values((snapshots.mm as SnapshotFrom<typeof addressSpace>).context.ptes);
    const entries = mapping.flatMap((name) => Object.values((snapshots[name] as SnapshotFrom<typeof cpu>).context.tlb));
    return ptes.some((pte) => pte.kind === 'present' && pte.pfn === pfn) || entries.some((entry) => entry.pfn === pfn);
  };
  const survives = invariant<Watched>('I2', 'no pte, TLB entry or live pin of a page survives its removal', {
    actors: ['mm', ...pages.map(pageAt), ...mapping, ...ios],
    when: (snapshots) => pages.some((pfn) => removed(snapshots, pfn)),
    holds: (snapshots) => !pages.some((pfn) => removed(snapshots, pfn) && (translated(snapshots, pfn) || pinned(snapshots, pfn))),
  });
  const freed = invariant<Watched>('I12', 'no block is given back to the filesystem while a pin on its page exists', {
    actors: ['mapping', ...ios],
    when: ({ mapping: file }) => Object.values((file as SnapshotFrom<typeof pageCache>).context.blocks).includes(null),
    holds: (snapshots) => !pages.some((pfn) => (snapshots.mapping as SnapshotFrom<typeof pageCache>).context.blocks[pfn] === null && pinned(snapshots, pfn)),
  });
  const ends = leadsTo<Watched>('I11.progress', 'a removal that has begun comes to its end', {
    actors: ['remove'],
    when: ({ remove }) => (remove as SnapshotFrom<typeof task>).value === 'in_call',
    reach: ({ remove }) => (remove as SnapshotFrom<typeof task>).value === 'exited',
  });
  return [I1, I6, I11, setup.removal === 'truncate' ? freed : survives, ...(setup.loops ? [ends] : [])];
}

/** Threads of one process that pin, touch and unmap a page of a dax device, against what takes the page away. */
export function gupUnbindSystem(id: string, setup: GupUnbindSetup): System {
  const threads = processCpus(setup);
  const ios = threads.slice(0, setup.gups).map((cpuName, index) => ({ name: `io${index}`, cpuName }));
  return defineSystem({
    id,
    actors: {
      ...memory(setup),
      ...cpus(setup),
      ...removal(setup),
      ...Object.assign({}, ...ios.map(({ name, cpuName }) => ioThread(name, cpuName, setup))),
      ...(setup.user ? userThread('user', threads[setup.gups] as string, setup) : {}),
      ...(setup.munmap ? munmapThread('exit', threads.at(-1) as string, setup) : {}),
    },
    properties: properties(
      setup,
      ios.map(({ name }) => name),
    ),
  });
}
