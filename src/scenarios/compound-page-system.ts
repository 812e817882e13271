import type { SnapshotFrom } from 'xstate';
import { devPagemap, type PagemapUse } from '../../machines/devices/dev-pagemap.js';
import { cpu } from '../../machines/hardware/cpu.js';
import { addressSpace, type Pte, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { folio, type Tail } from '../../machines/memory/folio.js';
import { memSection, sectionAt } from '../../machines/memory/mem-section.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { structPage } from '../../machines/memory/struct-page.js';
import { structPageAt, type VmemmapConfig, vmemmap } from '../../machines/memory/vmemmap.js';
import { directIo } from '../../machines/paths/direct-io.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { insertFolioPmd } from '../../machines/paths/insert-folio-pmd.js';
import { memmapInitZoneDevice } from '../../machines/paths/memmap-init-zone-device.js';
import { memunmapPages } from '../../machines/paths/memunmap-pages.js';
import { munmap } from '../../machines/paths/munmap.js';
import { percpuRefGet } from '../../machines/paths/percpu-ref-get.js';
import { percpuRefKill } from '../../machines/paths/percpu-ref-kill.js';
import { percpuRefPut } from '../../machines/paths/percpu-ref-put.js';
import { percpuRefSwitch } from '../../machines/paths/percpu-ref-switch.js';
import { putPage } from '../../machines/paths/put-page.js';
import { setPmdMigrationEntry } from '../../machines/paths/set-pmd-migration-entry.js';
import { splitHugePage } from '../../machines/paths/split-huge-page.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import { truncate } from '../../machines/paths/truncate.js';
import { unpinUserPageRange } from '../../machines/paths/unpin-user-page-range.js';
import { zap } from '../../machines/paths/zap.js';
import { mutex } from '../../machines/sync/mutex.js';
import { percpuRef } from '../../machines/sync/percpu-ref.js';
import { rcu } from '../../machines/sync/rcu.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { bug, invariant, type Property } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { entries, interconnectOf, range } from './common.js';
import { I3, I6, I9, I11, UAF } from './kernel-properties.js';

type Actors = Record<string, ActorSpec>;

/** What CPU 1 does: with the folio F0, or with F1 where it says so. */
export type Work = 'munmap' | 'truncate' | 'split' | 'share' | 'init' | 'initF1' | 'publish' | 'memunmap';

/** Two folios, F0 and F1, of so many pages each; CPU 0 pins some of them, CPU 1 works. */
export interface CompoundPageSetup {
  flush: 'ipi' | 'broadcast';
  /** Pages of a folio. */
  subpages: number;
  /** Of a device, each folio a compound (devdax, or fsdax by one fault), or base pages each for itself (vmemmap_shift 0); or anonymous. */
  memory: 'compound' | 'base' | 'anonymous';
  /** Up to 6.16: leaves carry the devmap bit, the pagemap is taken first, and an idle page has a count of 1. */
  devmap: boolean;
  /** How they are mapped at first: each folio by a huge leaf, page by page, or not at all. */
  mapped: 'leaf' | 'ptes' | 'none';
  /** Where tail struct pages are: each in its place; of one folio in the same frame; of both folios. */
  tails: 'own' | 'shared' | 'crossed';
  /** What a tail holds. */
  heads: 'pointer' | 'mask';
  /** What the struct pages hold at first: what they should; poison (DEBUG_VM); what boot left there, pages of order 0. */
  content: 'initialised' | 'poison' | 'boot';
  /** Pages that are pinned: from 0 to 2 * subpages - 1; null: nobody pins. */
  pins: readonly number[] | null;
  /** FOLL_PIN instead of FOLL_GET. */
  pin: boolean;
  work: readonly Work[];
  /** References of the pagemap that were taken when it was made, and that removal puts. */
  base: { taken: number; put: number };
  gupFast: typeof gupFast;
  /** null: page by page. */
  unpin: typeof unpinUserPageRange | null;
  truncate: typeof truncate;
  share: typeof setPmdMigrationEntry;
  publish: typeof insertFolioPmd;
}

export const compoundReference: CompoundPageSetup = {
  flush: 'ipi',
  subpages: 4,
  memory: 'compound',
  devmap: false,
  mapped: 'leaf',
  tails: 'own',
  heads: 'pointer',
  content: 'initialised',
  pins: null,
  pin: true,
  work: [],
  base: { taken: 2, put: 2 },
  gupFast,
  unpin: unpinUserPageRange,
  truncate,
  share: setPmdMigrationEntry,
  publish: insertFolioPmd,
};

const folios = [0, 1];
/** Virtual pages of two leaves that are neighbours in what is asked for. */
const leafStart = 512;

const headOf = ({ subpages }: CompoundPageSetup, page: number): number => page - (page % subpages);
const vpnOf = ({ subpages }: CompoundPageSetup, page: number): number => Math.floor(page / subpages) * leafStart + (page % subpages);
const pagesOf = (setup: CompoundPageSetup): number[] => range(folios.length * setup.subpages);
const sharesTails = ({ tails }: CompoundPageSetup): boolean => tails !== 'own';

/** A vmemmap of four pages for each folio, the last two of which could be the second. */
const configOf = ({ subpages }: CompoundPageSetup): VmemmapConfig => ({
  wanted: true,
  override: true,
  hugetlb: true,
  structPage: 32 / subpages,
  page: 8,
  nr: subpages,
  altmap: false,
  pgmap: true,
});

/** The frames behind the vmemmap of a folio: its head's, and that of tails. */
const framesOf = ({ tails }: CompoundPageSetup, which: number): [string, string] => [
  `page${100 + 2 * which}`,
  `page${101 + (tails === 'crossed' ? 0 : 2 * which)}`,
];

/** The actor that holds what the struct page of a page says. */
function cellOf(setup: CompoundPageSetup, page: number): string {
  if (!sharesTails(setup)) return pageAt(page);
  const { structPage: size, page: length, nr } = configOf(setup);
  const vpage = Math.floor(((page % nr) * size) / length);
  const [head, tails] = framesOf(setup, Math.floor(page / nr));
  return structPageAt(vpage === 0 ? head : tails, (page * size) % length);
}

/** What refers to each head, or to each page where there are no compounds, when the story begins. */
function contentOf(
  setup: CompoundPageSetup,
  page: number,
): { refcount: number; mapcount: number; nr?: number; tail?: Tail; anonExclusive?: boolean; uninitialised?: boolean } {
  const { memory, devmap, mapped, heads, content, subpages } = setup;
  if (content === 'poison') return { refcount: 0, mapcount: 0, uninitialised: true };
  if (content === 'boot') return { refcount: 1, mapcount: 0 };
  const idle = devmap ? 1 : 0;
  const isHead = page === headOf(setup, page);
  if (memory === 'base') return { refcount: idle + (devmap || mapped === 'none' ? 0 : 1), mapcount: devmap || mapped === 'none' ? 0 : 1 };
  if (!isHead) return { refcount: 0, mapcount: 0, tail: heads === 'pointer' ? { head: headOf(setup, page) } : { mask: subpages } };
  const mappings = devmap || mapped === 'none' ? 0 : mapped === 'leaf' ? 1 : subpages;
  // Who migrates a folio has a reference of its own.
  const held = page === 0 && setup.work.includes('share') ? 1 : 0;
  return { refcount: idle + mappings + held, mapcount: mappings, nr: subpages, ...(memory === 'anonymous' ? { anonExclusive: true } : {}) };
}

function structPages(setup: CompoundPageSetup): Actors {
  const idle = setup.devmap ? 1 : 0;
  const zone = setup.memory === 'anonymous' ? ('normal' as const) : ('device' as const);
  const page = (pfn: number) => actor(folio, { input: { pfn, idle, zone, ...contentOf(setup, pfn) } });
  const all = pagesOf(setup);
  if (!sharesTails(setup)) return Object.fromEntries(all.map((pfn) => [pageAt(pfn), page(pfn)]));
  const { structPage: size, page: length, nr } = configOf(setup);
  const pagesOfMap = (nr * size) / length;
  const ptes = Object.fromEntries(
    folios.flatMap((which) =>
      range(pagesOfMap).map((vpage) => [which * pagesOfMap + vpage, { frame: framesOf(setup, which)[vpage === 0 ? 0 : 1], write: true }] as const),
    ),
  );
  const cells = [...new Map(all.toReversed().map((pfn) => [cellOf(setup, pfn), pfn] as const))];
  const frames = [...new Set(folios.flatMap((which) => framesOf(setup, which)))];
  return {
    ...Object.fromEntries(frames.map((frame) => [frame, actor(folio, { input: { pfn: Number(frame.slice(4)), idle: 0, zone: 'normal', refcount: 1 } })])),
    ...Object.fromEntries(cells.map(([cell, pfn]) => [cell, page(pfn)])),
    vmemmap: actor(vmemmap, { input: { structPage: size, page: length, translation: 'init_mm', ptes } }),
    ...Object.fromEntries(all.map((pfn) => [pageAt(pfn), actor(structPage, { input: { pfn } })])),
  };
}

function memory(setup: CompoundPageSetup): Actors {
  const mappedPages = setup.mapped === 'none' ? [] : pagesOf(setup);
  const pte = (page: number): Pte => presentPte(page, { devmap: setup.devmap, special: setup.devmap });
  return {
    ...structPages(setup),
    mm: actor(addressSpace, {
      input: {
        ptes: Object.fromEntries(mappedPages.map((page) => [vpnOf(setup, page), pte(page)])),
        vmas: pagesOf(setup).map((page) => vpnOf(setup, page)),
        cpumask: ['cpu0'],
        huge: setup.mapped === 'leaf' ? folios : [],
        pmds: setup.mapped === 'none' ? { 0: null, 1: null } : {},
      },
    }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
  };
}

const ioLane = ({ pin }: CompoundPageSetup): string => `CPU 0 (${pin ? 'pin' : 'get'}_user_pages_fast)`;
const workLane = (setup: CompoundPageSetup): string => {
  if (setup.work.length === 0) return ioLane(setup);
  const names: Record<Work, string> = {
    munmap: 'munmap',
    truncate: 'truncate',
    split: 'split_huge_page',
    share: 'migrate',
    init: 'probe',
    initF1: 'probe',
    publish: 'fault',
    memunmap: 'memunmap_pages',
  };
  return `CPU 1 (${[...new Set(setup.work.map((each) => names[each]))].join(', ')})`;
};

/** CPU 0: pins, lets the device write, gives back. */
function io(setup: CompoundPageSetup): Actors {
  if (setup.pins === null) return {};
  const lane = ioLane(setup);
  const use: PagemapUse = { pgmap: 'pgmap', tryget: 'io.tryget', put: 'io.put' };
  const inRcu = { cpu: 'cpu0', rcu: 'rcu', ref: 'ref', inRcu: true };
  return {
    ...(setup.devmap
      ? { 'io.tryget': actor(percpuRefGet, { lane, input: { ...inRcu, mode: 'tryget_live' } }), 'io.put': actor(percpuRefPut, { lane, input: inRcu }) }
      : {}),
    'io.put_page': actor(putPage, { lane, input: { compounds: setup.memory !== 'base' } }),
    'io.gup_fast': actor(setup.gupFast, {
      lane,
      input: {
        cpu: 'cpu0',
        mm: 'mm',
        pagemaps: setup.devmap ? Object.fromEntries(pagesOf(setup).map((page) => [page, use])) : {},
        putPage: 'io.put_page',
        slow: null,
        pin: setup.pin,
      },
    }),
    ...(setup.unpin ? { 'io.unpin': actor(setup.unpin, { lane, input: { pin: setup.pin } }) } : {}),
    io: actor(directIo, {
      lane,
      input: {
        gup: 'io.gup_fast',
        putPage: 'io.put_page',
        ...(setup.unpin ? { putPages: 'io.unpin' } : {}),
        vpns: setup.pins.map((page) => vpnOf(setup, page)),
        pin: setup.pin,
      },
    }),
  };
}

const callOf = (setup: CompoundPageSetup, work: Work): ProgramCall => {
  const { subpages } = setup;
  const vpns = range(subpages);
  switch (work) {
    case 'munmap':
      return { path: 'work.munmap', arguments: { vpns: setup.mapped === 'ptes' ? [1] : vpns } };
    case 'truncate':
      return { path: 'work.truncate', arguments: { index: 0, pfn: 0, vpns } };
    case 'split':
      return { path: 'work.split', arguments: { pfn: 0, vpns } };
    case 'share':
      return { path: 'work.share', arguments: { vpn: 0, vpns } };
    case 'init':
      return { path: 'work.init', arguments: { start: 0, nr: subpages } };
    case 'initF1':
      return { path: 'work.init', arguments: { start: subpages, nr: subpages } };
    case 'publish':
      return { path: 'work.publish', arguments: { vpn: 0, pfn: 0, nr: subpages } };
    case 'memunmap':
      return { path: 'work.memunmap' };
  }
};

/** CPU 1, with the callbacks of RCU. */
function worker(setup: CompoundPageSetup): Actors {
  const lane = workLane(setup);
  const does = (...some: Work[]): boolean => setup.work.some((each) => some.includes(each));
  const needs = (wanted: boolean, actors: () => Actors): Actors => (wanted ? actors() : {});
  return {
    ...needs(does('munmap', 'truncate', 'split', 'memunmap'), () => ({ 'work.put_page': actor(putPage, { lane, input: { compounds: true } }) })),
    ...needs(does('munmap', 'truncate', 'split', 'share'), () => ({
      'work.flush': actor(flushTlb, { lane, input: { cpu: 'cpu1', mm: 'mm', interconnect: 'interconnect', kind: setup.flush } }),
    })),
    ...needs(does('munmap', 'truncate'), () => ({
      'work.zap': actor(zap, { lane, input: { cpu: 'cpu1', mm: 'mm', ptl: 'ptl', flush: 'work.flush', putPage: 'work.put_page', mapsHuge: true } }),
    })),
    ...needs(does('munmap'), () => ({ 'work.munmap': actor(munmap, { lane, input: { mm: 'mm', mmapLock: 'mmap_lock', zap: 'work.zap' } }) })),
    ...needs(does('truncate'), () => ({
      mapping: actor(pageCache, { input: { blocks: { 0: 0 }, mappers: 1 } }),
      invalidate_lock: actor(rwsem),
      'work.truncate': actor(setup.truncate, {
        lane,
        input: { mapping: 'mapping', invalidateLock: 'invalidate_lock', zap: 'work.zap', resetsOrder: true },
      }),
    })),
    ...needs(does('split'), () => ({
      folio_lock: actor(mutex),
      'work.split': actor(splitHugePage, { lane, input: { mm: 'mm', ptl: 'ptl', folioLock: 'folio_lock', flush: 'work.flush', putPage: 'work.put_page' } }),
    })),
    ...needs(does('share'), () => ({ 'work.share': actor(setup.share, { lane, input: { mm: 'mm', ptl: 'ptl', flush: 'work.flush' } }) })),
    ...needs(does('init', 'initF1'), () => ({
      [sectionAt(0)]: actor(memSection, { input: { subsection: 2 * setup.subpages, active: [0], early: false, present: true, online: false } }),
      'work.init': actor(memmapInitZoneDevice, {
        lane,
        input: {
          config: { ...configOf(setup), wanted: sharesTails(setup) },
          sectionSize: 2 * setup.subpages,
          heads: setup.heads,
          idle: setup.devmap ? 1 : 0,
        },
      }),
    })),
    ...needs(does('publish'), () => ({ 'work.publish': actor(setup.publish, { lane, input: { mm: 'mm', ptl: 'ptl' } }) })),
    ...needs(does('memunmap') || setup.devmap, () => ({
      rcu: actor(rcu, { lane, choices: ['grace_period' as const] }),
      ref: actor(percpuRef, { input: { cpus: ['cpu0', 'cpu1'], base: setup.base.taken } }),
      pgmap: actor(devPagemap, { input: { pages: pagesOf(setup).map(pageAt) } }),
    })),
    ...needs(does('memunmap'), () => ({
      switch_lock: actor(spinlock),
      'work.switch': actor(percpuRefSwitch, { lane, input: { ref: 'ref', cpus: ['cpu0', 'cpu1'] } }),
      'work.kill': actor(percpuRefKill, { lane, input: { ref: 'ref', rcu: 'rcu', switchLock: 'switch_lock', callback: 'work.switch' } }),
      'work.memunmap': actor(memunmapPages, {
        lane,
        input: { pgmap: 'pgmap', ref: 'ref', kill: 'work.kill', putPage: 'work.put_page', rcu: 'rcu', pfns: range(setup.base.put) },
      }),
    })),
    ...needs(setup.work.length > 0, () => ({ work: actor(task, { lane, input: { program: setup.work.map((each) => callOf(setup, each)) } }) })),
  };
}

function cpus(setup: CompoundPageSetup): Actors {
  const names = setup.work.length > 0 ? ['cpu0', 'cpu1'] : ['cpu0'];
  return {
    interconnect: interconnectOf(names, { lane: workLane(setup), delivers: setup.flush === 'ipi' }),
    cpu0: actor(cpu, {
      lane: ioLane(setup),
      input: { mm: 'mm', interconnect: 'interconnect', ...(setup.devmap ? { rcu: 'rcu' } : {}) },
      choices: ['interrupt'],
    }),
    ...(setup.work.length > 0 ? { cpu1: actor(cpu, { lane: workLane(setup), input: { mm: null, interconnect: 'interconnect' } }) } : {}),
  };
}

type Watched = Record<string, unknown>;
type StructPage = SnapshotFrom<typeof folio>;
type Gup = SnapshotFrom<typeof gupFast>;
const at = <T>(snapshots: Watched, address: string): T => snapshots[address] as T;
const pinnedBy = (snapshots: Watched): number[] => at<SnapshotFrom<typeof directIo>>(snapshots, 'io').context.pages;

/** States of gup-fast from where it has looked up the head until it is done with the page. */
const usesHead = ['folio_ref_try_add', 'page_folio_again', 'try_grab_folio_fast', 'folio_pin', 'pmdp_get_again', 'ptep_get_lockless_again', 'folio_pin_late'];

function pinProperties(setup: CompoundPageSetup): Property[] {
  const cells = [...new Set(pagesOf(setup).map((page) => cellOf(setup, page)))];
  const cell = (snapshots: Watched, page: number): StructPage => at(snapshots, cellOf(setup, page));
  const head = (snapshots: Watched, page: number): StructPage => {
    const { tail } = cell(snapshots, page).context;
    return tail === null ? cell(snapshots, page) : cell(snapshots, 'head' in tail ? tail.head : page - (page % tail.mask));
  };
  // A folio that is taken apart, or freed, has no head to be found; then the try-get, or the second look, must fail.
  const ends = setup.work.some((work) => work === 'split' || work === 'truncate' || (work === 'munmap' && setup.memory === 'anonymous'));
  const pinned = invariant<Watched>('I5', 'a page that a thread has pinned has the pin in its folio, which nobody shares meanwhile', {
    actors: ['io', ...cells],
    when: (snapshots) => pinnedBy(snapshots).length > 0,
    holds: (snapshots) => {
      const pages = pinnedBy(snapshots);
      return pages.every((page) => {
        const { context } = head(snapshots, page);
        const together = pages.filter((other) => head(snapshots, other) === head(snapshots, page)).length;
        return (
          (!setup.pin || context.pincount >= together) &&
          context.refcount - context.idle - context.mapcount >= together &&
          (setup.memory !== 'anonymous' || context.anonExclusive || !setup.pin)
        );
      });
    },
  });
  const real = invariant<Watched>('I9.head', 'whoever looks up the head of a page finds the real one', {
    actors: ['io.gup_fast'],
    when: (snapshots) => usesHead.includes(String(at<Gup>(snapshots, 'io.gup_fast').value)),
    holds: (snapshots) => {
      const { context } = at<Gup>(snapshots, 'io.gup_fast');
      return context.pte.kind === 'present' && context.head === headOf(setup, context.pte.pfn);
    },
  });
  const own = invariant<Watched>('I9', 'what the struct page of a page counts is about that page', {
    actors: ['io', ...cells],
    holds: (snapshots) =>
      pagesOf(setup).every((page) => cell(snapshots, page).context.pincount === 0 || headOf(setup, page) === page || pinnedBy(snapshots).includes(page)),
  });
  const base = setup.memory === 'base';
  return [pinned, ...(base || ends ? [] : [real]), ...(base && sharesTails(setup) ? [own] : [I9])];
}

function leakProperty(setup: CompoundPageSetup): Property {
  const cells = [...new Set(pagesOf(setup).map((page) => cellOf(setup, page)))];
  const threads = [...(setup.pins ? ['io'] : []), ...(setup.work.length > 0 ? ['work'] : [])];
  return invariant<Watched>('I6.leak', 'when all is done each page has its base count: no reference and no pin is left', {
    actors: [...threads, ...cells],
    when: (snapshots) => threads.every((thread) => ['done', 'exited'].includes(String(at<SnapshotFrom<typeof task>>(snapshots, thread).value))),
    holds: (snapshots) =>
      cells.every((address) => {
        const { value, context } = at<StructPage>(snapshots, address);
        return (
          value !== 'present' ||
          context.tail !== null ||
          (context.pincount === 0 && context.refcount === context.idle + context.mapcount + (address === pageAt(0) && setup.work.includes('share') ? 1 : 0))
        );
      }),
  });
}

function properties(setup: CompoundPageSetup): Property[] {
  const freed = invariant<Watched>('I12', 'no block is given back to the filesystem while a pin on its page exists', {
    actors: ['mapping', 'io'],
    holds: (snapshots) =>
      at<SnapshotFrom<typeof pageCache>>(snapshots, 'mapping').context.blocks[0] !== null || !pinnedBy(snapshots).some((page) => page < setup.subpages),
  });
  return [
    ...(setup.memory === 'anonymous' ? [I3, UAF] : []),
    I6,
    ...(setup.pins ? pinProperties(setup) : []),
    ...(setup.content === 'initialised' && setup.tails !== 'crossed' && !setup.work.includes('memunmap') ? [leakProperty(setup)] : []),
    ...(setup.work.includes('memunmap') ? [bug('I7', 'the pagemap is released once')] : []),
    ...(setup.work.includes('truncate') && setup.pins ? [freed] : []),
    I11,
  ];
}

/** Two folios of a few pages, pinned on one CPU; what the other does with them meanwhile. */
export function compoundPageSystem(id: string, setup: CompoundPageSetup): System {
  const actors = { ...memory(setup), ...cpus(setup), ...io(setup), ...worker(setup) };
  return defineSystem({
    id,
    actors: Object.fromEntries(entries(actors).sort(([, a], [, b]) => Number(isTask(a)) - Number(isTask(b)))),
    properties: properties(setup),
  });
}

/** Who speaks on starting comes after those whom it speaks to. */
const isTask = ({ logic }: ActorSpec): boolean => logic === task || logic === directIo;
