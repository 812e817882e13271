import type { InputFrom, SnapshotFrom } from 'xstate';
import { daxDevice } from '../../machines/devices/dax-device.js';
import { devPagemap } from '../../machines/devices/dev-pagemap.js';
import { cpu } from '../../machines/hardware/cpu.js';
import { addressSpace, pageAt } from '../../machines/memory/address-space.js';
import { folio } from '../../machines/memory/folio.js';
import { memSection, sectionAt } from '../../machines/memory/mem-section.js';
import { pageAllocator } from '../../machines/memory/page-allocator.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { structPage } from '../../machines/memory/struct-page.js';
import { vmemAltmap } from '../../machines/memory/vmem-altmap.js';
import { structPageAt, type VmemmapConfig, vmemmap, vmemmapPagesOf } from '../../machines/memory/vmemmap.js';
import { addMemory } from '../../machines/paths/add-memory.js';
import { daxFault } from '../../machines/paths/dax-fault.js';
import { directIo } from '../../machines/paths/direct-io.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { memmapInitZoneDevice } from '../../machines/paths/memmap-init-zone-device.js';
import { memremapPages, type SectionRange, sectionRange } from '../../machines/paths/memremap-pages.js';
import { memunmapPages } from '../../machines/paths/memunmap-pages.js';
import { offlinePages } from '../../machines/paths/offline-pages.js';
import { percpuRefGet } from '../../machines/paths/percpu-ref-get.js';
import { percpuRefKill } from '../../machines/paths/percpu-ref-kill.js';
import { percpuRefPut } from '../../machines/paths/percpu-ref-put.js';
import { percpuRefSwitch } from '../../machines/paths/percpu-ref-switch.js';
import { pfnWalker } from '../../machines/paths/pfn-walker.js';
import { putPage } from '../../machines/paths/put-page.js';
import { sparseAddSection } from '../../machines/paths/sparse-add-section.js';
import { sparseRemoveSection } from '../../machines/paths/sparse-remove-section.js';
import { type ProgramCall, task } from '../../machines/paths/task.js';
import { unbind, unbindWithoutUnmap } from '../../machines/paths/unbind.js';
import { unpinUserPageRange } from '../../machines/paths/unpin-user-page-range.js';
import { vmemmapPopulate } from '../../machines/paths/vmemmap-populate.js';
import { vmemmapPopulateCompoundPages } from '../../machines/paths/vmemmap-populate-compound-pages.js';
import { zap } from '../../machines/paths/zap.js';
import { percpuRef } from '../../machines/sync/percpu-ref.js';
import { rcu } from '../../machines/sync/rcu.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { bug, invariant, type Property } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { entries, interconnectOf, range } from './common.js';
import { I3, I6, I9, I11 } from './kernel-properties.js';

type Actors = Record<string, ActorSpec>;

/** What CPU 1 does with the memory: of a device, or of the system. `remove` is the whole of an unbind, `sections` only the part that takes struct pages away. */
export type VmemmapWork = 'probe' | 'remove' | 'sections' | 'add' | 'offline' | 'walk';

/** Memory whose struct pages come and go. Sizes of struct pages and of pages of the vmemmap are in units. */
export interface VmemmapSetup {
  /** How the MMU finds the vmemmap. `zero-valid`: in init_mm, where an entry of zeros is valid (s390). */
  translation: 'init_mm' | 'hash' | 'top-level' | 'zero-valid';
  config: VmemmapConfig;
  /** Pages of the memory, from pfn 0 on, and of a section and a subsection. */
  nr: number;
  section: number;
  subsection: number;
  /** Sections are added in this order; default: ascending. */
  order: number[] | null;
  /** The device has been probed already, with a frame for each page of the vmemmap. */
  probed: boolean;
  /** Memory of boot time: `part` of the section that the memory is added to; pages after its end; none. */
  boot: 'part' | 'neighbour' | 'none';
  /** CONFIG_DEBUG_VM. */
  debugVm: boolean;
  heads: 'pointer' | 'mask';
  work: readonly VmemmapWork[];
  /** What a walker on CPU 0 asks for before it reads the struct page of a pfn; null: nobody walks. */
  walker: { gate: 'none' | 'valid' | 'online' | 'pagemap' | 'memory_failure'; locks?: boolean; pfns: readonly number[] } | null;
  /** Pages of the device that a thread on CPU 0 faults in and pins; null: nobody does. */
  pins: readonly number[] | null;
  /** Pages of the vmemmap that CPU 0 may walk to by itself. */
  speculates: readonly number[];
  populate: typeof vmemmapPopulate;
  populateCompound: typeof vmemmapPopulateCompoundPages;
  addSection: typeof sparseAddSection;
  removeSection: typeof sparseRemoveSection;
  init: typeof memmapInitZoneDevice;
  addMemory: typeof addMemory;
}

export const vmemmapReference: VmemmapSetup = {
  translation: 'init_mm',
  config: { wanted: true, override: true, hugetlb: true, structPage: 4, page: 8, nr: 8, altmap: false, pgmap: true },
  nr: 16,
  section: 16,
  subsection: 16,
  order: null,
  probed: false,
  boot: 'none',
  debugVm: false,
  heads: 'pointer',
  work: ['probe', 'remove'],
  walker: null,
  pins: null,
  speculates: [],
  populate: vmemmapPopulate,
  populateCompound: vmemmapPopulateCompoundPages,
  addSection: sparseAddSection,
  removeSection: sparseRemoveSection,
  init: memmapInitZoneDevice,
  addMemory,
};

/** What a variant changes; of the configuration only what it says. */
export type VmemmapChanges = Partial<Omit<VmemmapSetup, 'config'>> & { config?: Partial<VmemmapConfig> };

/** A setup with changes, the later over the earlier. */
export function changedVmemmap(...changes: VmemmapChanges[]): VmemmapSetup {
  const { config: _, ...rest } = Object.assign({}, ...changes) as VmemmapChanges;
  return { ...vmemmapReference, ...rest, config: { ...vmemmapReference.config, ...Object.assign({}, ...changes.map(({ config }) => config)) } };
}

/** Which struct pages share frames, as the two who must agree on it decide. */
export const decided = (populate: (config: VmemmapConfig) => boolean, init: (config: VmemmapConfig) => boolean = populate): VmemmapChanges => ({
  addSection: sparseAddSection.provide({ guards: { canOptimize: ({ context }) => populate(context.asked) } }),
  init: memmapInitZoneDevice.provide({ guards: { optimizes: ({ context }) => init(context.config) } }),
});

/** Page frames that the page allocator has, and those in which struct pages are since boot. */
const ramFrame = 100;
const bootFrame = 500;
/** The first frame of memory, which an entry of zeros names. */
const firstFrame = 'page0_frame';

/** Of a device, not of the system. */
const isDevice = (setup: VmemmapSetup): boolean => setup.probed || does(setup, 'probe');
const does = ({ work }: VmemmapSetup, ...some: VmemmapWork[]): boolean => work.some((each) => some.includes(each));
const sectionsOf = ({ nr, section }: VmemmapSetup): number[] => range(Math.ceil(nr / section));
/** Struct pages that init may write too many. */
const overrun = ({ config }: VmemmapSetup): number => Math.max(0, 2 * Math.floor(config.page / config.structPage) - config.nr);
const bootPfns = (setup: VmemmapSetup): number[] =>
  setup.boot === 'none' ? [] : setup.boot === 'part' ? range(setup.section) : range(overrun(setup), setup.nr);
/** Pages that were in use since boot, and stay so. */
const ramPfns = (setup: VmemmapSetup): number[] => bootPfns(setup).filter((pfn) => pfn >= setup.nr);
const allPfns = (setup: VmemmapSetup): number[] => range(Math.max(setup.nr + overrun(setup), ...bootPfns(setup).map((pfn) => pfn + 1)));

/** Where in a frame struct pages may begin. */
const offsetsOf = ({ config: { structPage: size, page } }: VmemmapSetup): number[] =>
  page % size === 0 ? range(page / size).map((n) => n * size) : range(page);
const bootVpages = (setup: VmemmapSetup): number[] => [...new Set(bootPfns(setup).flatMap((pfn) => vmemmapPagesOf(setup.config, pfn, 1)))];
const bootFrameOf = (vpage: number): string => pageAt(bootFrame + vpage);
const vpagesOf = ({ config, nr }: VmemmapSetup): number[] => vmemmapPagesOf(config, 0, nr);
/** Frames for struct pages of the memory: one for each page of the vmemmap, and one more. */
const ramFrames = (setup: VmemmapSetup): number[] => range(vpagesOf(setup).length + 1, ramFrame);
const isTaken = (setup: VmemmapSetup, frame: number): boolean => setup.probed && frame - ramFrame < vpagesOf(setup).length;
const altmapFrames = (setup: VmemmapSetup): string[] => (setup.config.altmap ? vpagesOf(setup).map((n) => `altmap${n}`) : []);

type Content = InputFrom<typeof folio>;
const unwritten = (pfn: number): Content => ({ pfn, idle: 0, refcount: 0, uninitialised: true });
/** The struct page of a page of the device, once it is probed. */
function probedContent({ config: { nr } }: VmemmapSetup, pfn: number): Content {
  const head = pfn - (pfn % nr);
  return { pfn, idle: 0, refcount: 0, ...(pfn === head ? { nr } : { tail: { head } }) };
}

/** Page frames, and the struct pages that can be in them. */
function frames(setup: VmemmapSetup): Actors {
  const { structPage: size, page } = setup.config;
  const cells = (frame: string, content: (offset: number) => Content): [string, ActorSpec][] =>
    offsetsOf(setup).map((offset) => [structPageAt(frame, offset), actor(folio, { input: content(offset) })]);
  const pfnAt = (vpage: number, offset: number): number => (vpage * page + offset) / size;
  const own = (frame: number) => (offset: number) => (isTaken(setup, frame) ? probedContent(setup, pfnAt(frame - ramFrame, offset)) : unwritten(frame));
  const ram = (pfn: number, refcount: number): [string, ActorSpec] => [pageAt(pfn), actor(folio, { input: { pfn, idle: 0, zone: 'normal', refcount } })];
  return {
    ...Object.fromEntries(ramFrames(setup).flatMap((frame) => [ram(frame, isTaken(setup, frame) ? 1 : 0), ...cells(pageAt(frame), own(frame))])),
    ...Object.fromEntries(
      altmapFrames(setup).flatMap((frame, pfn) => [
        [frame, actor(folio, { input: { pfn, idle: 1, refcount: 1 } })] as [string, ActorSpec],
        ...cells(frame, () => unwritten(pfn)),
      ]),
    ),
    ...Object.fromEntries(
      bootVpages(setup).flatMap((vpage) => [
        ram(bootFrame + vpage, 1),
        ...cells(bootFrameOf(vpage), (offset) => ({ pfn: pfnAt(vpage, offset), idle: 0, refcount: 1 })),
      ]),
    ),
    page_allocator: actor(pageAllocator, { input: { free: ramFrames(setup).filter((frame) => !isTaken(setup, frame)) } }),
    ...(setup.config.altmap ? { altmap: actor(vmemAltmap, { input: { frames: altmapFrames(setup) } }) } : {}),
  };
}

function memory(setup: VmemmapSetup): Actors {
  const { translation, config, boot, subsection } = setup;
  const mapped = setup.probed ? vpagesOf(setup).map((vpage) => [vpage, pageAt(ramFrame + vpage)] as const) : [];
  const boots = bootVpages(setup).map((vpage) => [vpage, bootFrameOf(vpage)] as const);
  const initial = Object.fromEntries([...mapped, ...boots].map(([vpage, frame]) => [vpage, { frame, write: true }]));
  // Each top-level entry maps half of the memory, whose first half others have used before, as they have what is mapped.
  const half = vpagesOf(setup).length / 2;
  const slots = [...new Set([0, ...Object.keys(initial).map((vpage) => Math.floor(Number(vpage) / half))])].sort((a, b) => a - b);
  return {
    ...frames(setup),
    vmemmap: actor(vmemmap, {
      input: {
        structPage: config.structPage,
        page: config.page,
        translation: translation === 'zero-valid' ? 'init_mm' : translation,
        firstFrame,
        zeroIsValid: translation === 'zero-valid',
        ...(translation === 'top-level' ? { slot: half, slots: { init_mm: slots, probe_mm: slots } } : {}),
        ...(translation === 'hash' ? { bolted: initial } : { ptes: initial }),
        threads: { work: { cpu: 'cpu1', mm: 'probe_mm' }, walker: { cpu: 'cpu0', mm: 'init_mm' }, io: { cpu: 'cpu0', mm: 'init_mm' } },
      },
      environment: setup.speculates.flatMap((vpage) => [
        { type: 'fill' as const, cpu: 'cpu0', vpage },
        { type: 'evict' as const, cpu: 'cpu0', vpage },
      ]),
    }),
    ...Object.fromEntries(allPfns(setup).map((pfn) => [pageAt(pfn), actor(structPage, { input: { pfn } })])),
    ...Object.fromEntries(
      sectionsOf(setup).map((number) => {
        const early = boot === 'part';
        const active = [
          ...(setup.probed ? range(setup.section / subsection, (number * setup.section) / subsection) : []),
          ...(early ? [setup.nr / subsection] : []),
        ];
        return [sectionAt(number), actor(memSection, { input: { subsection, active, early, present: early || setup.probed, online: early } })];
      }),
    ),
    [firstFrame]: actor(folio, { input: { pfn: 0, idle: 0, zone: 'normal', refcount: 1 } }),
    mem_hotplug_lock: actor(rwsem),
  };
}

const rangesOf = (setup: VmemmapSetup): SectionRange[] =>
  sectionsOf(setup).map((number) => sectionRange(number, { start: 0, nr: setup.nr, sectionSize: setup.section, subsection: setup.subsection }));

const workLane = ({ work }: VmemmapSetup): string => {
  const names: Record<VmemmapWork, string> = {
    probe: 'memremap_pages',
    remove: 'memunmap_pages',
    sections: 'arch_remove_memory',
    add: 'add_memory',
    offline: 'offline_pages',
    walk: 'page_folio',
  };
  return `CPU 1 (${[...new Set(work.map((each) => names[each]))].join(', ')})`;
};

const callsOf = (setup: VmemmapSetup, work: VmemmapWork): ProgramCall[] => {
  const [first] = rangesOf(setup);
  switch (work) {
    case 'probe':
      return [{ path: 'work.memremap' }];
    case 'remove':
      return [{ path: 'work.unbind' }];
    case 'sections':
      return rangesOf(setup).map((each) => ({ path: 'work.remove', arguments: { ...each } }));
    case 'add':
      return [{ path: 'work.add', arguments: { ...first } }];
    case 'offline':
      return [{ path: 'work.offline', arguments: { ...first } }];
    case 'walk':
      return [{ path: 'work.walk', arguments: { pfns: [...range(setup.nr), ...ramPfns(setup)] } }];
  }
};

/** The reference of the pagemap, and who puts an end to it. */
function pagemap(setup: VmemmapSetup, lane: string): Actors {
  return {
    pgmap: actor(devPagemap, { input: { pages: [], registered: setup.probed } }),
    dax: actor(daxDevice, { input: { alive: setup.probed } }),
    rcu: actor(rcu, { lane, choices: ['grace_period' as const] }),
    dax_srcu: actor(rcu, { lane, choices: ['grace_period' as const] }),
    ref: actor(percpuRef, { input: { cpus: ['cpu0', 'cpu1'], base: setup.probed ? setup.nr / setup.config.nr : 0 } }),
    ...(does(setup, 'remove')
      ? {
          switch_lock: actor(spinlock),
          'work.switch': actor(percpuRefSwitch, { lane, input: { ref: 'ref', cpus: ['cpu0', 'cpu1'] } }),
          'work.kill': actor(percpuRefKill, { lane, input: { ref: 'ref', rcu: 'rcu', switchLock: 'switch_lock', callback: 'work.switch' } }),
          'work.memunmap': actor(memunmapPages, {
            lane,
            input: {
              pgmap: 'pgmap',
              ref: 'ref',
              kill: 'work.kill',
              putPage: 'work.put_page',
              rcu: 'rcu',
              pfns: range(setup.nr / setup.config.nr),
              removeMemory: { path: 'work.remove', hotplugLock: 'mem_hotplug_lock', sections: rangesOf(setup) },
            },
          }),
          'work.unbind': actor(setup.pins ? unbind : unbindWithoutUnmap, {
            lane,
            input: {
              dax: 'dax',
              srcu: 'dax_srcu',
              zap: 'work.zap',
              memunmap: 'work.memunmap',
              pfns: range(setup.nr / setup.config.nr).map((n) => n * setup.config.nr),
              vpns: [...(setup.pins ?? [])],
            },
          }),
        }
      : {}),
  };
}

function worker(setup: VmemmapSetup): Actors {
  const lane = workLane(setup);
  const { config } = setup;
  const needs = (wanted: boolean, actors: () => Actors): Actors => (wanted ? actors() : {});
  return {
    ...needs(isDevice(setup), () => pagemap(setup, lane)),
    ...needs(does(setup, 'remove', 'sections', 'offline'), () => ({
      'work.put_page': actor(putPage, { lane, input: { allocator: 'page_allocator' } }),
      'work.remove': actor(setup.removeSection, {
        lane,
        input: { vmemmap: 'vmemmap', putPage: 'work.put_page', altmap: config.altmap ? 'altmap' : null, config },
      }),
    })),
    ...needs(does(setup, 'probe', 'add'), () => ({
      'work.populate': actor(setup.populate, {
        lane,
        input: { vmemmap: 'vmemmap', allocator: 'page_allocator', altmap: config.altmap ? 'altmap' : null, hash: setup.translation === 'hash' },
      }),
      'work.populate_compound': actor(setup.populateCompound, { lane, input: { vmemmap: 'vmemmap', allocator: 'page_allocator', config, firstFrame } }),
      'work.add_section': actor(setup.addSection, {
        lane,
        input: { vmemmap: 'vmemmap', populate: 'work.populate', populateCompound: 'work.populate_compound', config, debugVm: setup.debugVm },
      }),
    })),
    ...needs(does(setup, 'probe'), () => ({
      'work.init': actor(setup.init, { lane, input: { config, sectionSize: setup.section, heads: setup.heads } }),
      'work.memremap': actor(memremapPages, {
        lane,
        input: {
          pgmap: 'pgmap',
          start: 0,
          nr: setup.nr,
          sectionSize: setup.section,
          subsection: setup.subsection,
          ...(setup.order ? { sections: setup.order } : {}),
          hotplugLock: 'mem_hotplug_lock',
          addSection: 'work.add_section',
          removeSection: null,
          initZone: 'work.init',
          ref: 'ref',
          compound: config.nr,
          dax: 'dax',
        },
      }),
    })),
    ...needs(does(setup, 'add'), () => ({
      'work.add': actor(setup.addMemory, { lane, input: { hotplugLock: 'mem_hotplug_lock', addSection: 'work.add_section' } }),
    })),
    ...needs(does(setup, 'offline'), () => ({
      'work.offline': actor(offlinePages, { lane, input: { hotplugLock: 'mem_hotplug_lock', removeSection: 'work.remove' } }),
    })),
    ...needs(does(setup, 'walk'), () => ({ 'work.walk': actor(pfnWalker, { lane, input: { gate: 'none', sectionSize: setup.section } }) })),
    work: actor(task, { lane, input: { program: setup.work.flatMap((each) => callsOf(setup, each)) } }),
  };
}

/** CPU 0: starts from page frame numbers. */
function walker(setup: VmemmapSetup): Actors {
  if (setup.walker === null) return {};
  const { gate, locks = false, pfns } = setup.walker;
  const lane = 'CPU 0 (pfn walker)';
  const reference = { cpu: 'cpu0', rcu: 'rcu', ref: 'ref' };
  const getsPagemap = gate === 'pagemap' || gate === 'memory_failure';
  return {
    ...(getsPagemap
      ? {
          'walker.tryget': actor(percpuRefGet, { lane, input: { ...reference, mode: 'tryget_live' } }),
          'walker.put': actor(percpuRefPut, { lane, input: reference }),
        }
      : {}),
    'walker.walk': actor(pfnWalker, {
      lane,
      input: {
        gate,
        sectionSize: setup.section,
        ...(getsPagemap ? { pgmap: { pgmap: 'pgmap', tryget: 'walker.tryget', put: 'walker.put' } } : {}),
        hotplugLock: locks ? 'mem_hotplug_lock' : null,
      },
    }),
    walker: actor(task, { lane, input: { program: [{ path: 'walker.walk', arguments: { pfns } }] } }),
  };
}

/** CPU 0: a process that maps the device and does direct I/O on it, and what unbind has to do for it. */
function user(setup: VmemmapSetup): Actors {
  if (setup.pins === null) return {};
  const [lane, work] = ['CPU 0 (pin_user_pages_fast)', workLane(setup)];
  const vpns = [...setup.pins];
  return {
    mm: actor(addressSpace, { input: { ptes: {}, vmas: vpns, cpumask: ['cpu0'] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    mapping: actor(pageCache, { input: { blocks: Object.fromEntries(vpns.map((pfn) => [pfn, pfn])), mappers: 1 } }),
    invalidate_lock: actor(rwsem),
    interconnect: interconnectOf(['cpu0', 'cpu1'], { lane: work }),
    cpu0: actor(cpu, { lane, input: { mm: 'mm', interconnect: 'interconnect' }, choices: ['interrupt'] }),
    cpu1: actor(cpu, { lane: work, input: { mm: null, interconnect: 'interconnect' } }),
    'work.put_user_page': actor(putPage, { lane: work, input: { compounds: true } }),
    'work.flush': actor(flushTlb, { lane: work, input: { cpu: 'cpu1', mm: 'mm', interconnect: 'interconnect', kind: 'ipi' } }),
    'work.zap': actor(zap, { lane: work, input: { cpu: 'cpu1', mm: 'mm', ptl: 'ptl', flush: 'work.flush', putPage: 'work.put_user_page' } }),
    'io.fault': actor(daxFault, {
      lane,
      input: { mm: 'mm', ptl: 'ptl', mapping: 'mapping', invalidateLock: 'invalidate_lock', dax: 'dax', srcu: 'dax_srcu', devmap: false, refPerMapping: true },
    }),
    'io.put_page': actor(putPage, { lane, input: { compounds: true } }),
    'io.gup_slow': actor(gupSlow, { lane, input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', pagemaps: {}, fault: 'io.fault', pin: true } }),
    'io.gup_fast': actor(gupFast, { lane, input: { cpu: 'cpu0', mm: 'mm', pagemaps: {}, putPage: 'io.put_page', slow: 'io.gup_slow', pin: true } }),
    'io.unpin': actor(unpinUserPageRange, { lane, input: { pin: true } }),
    io: actor(directIo, { lane, input: { gup: 'io.gup_fast', putPage: 'io.put_page', putPages: 'io.unpin', vpns, pin: true } }),
  };
}

type Watched = Record<string, unknown>;
type Cell = SnapshotFrom<typeof folio>;
const at = <T>(snapshots: Watched, address: string): T => snapshots[address] as T;
type Vmemmap = SnapshotFrom<typeof vmemmap>['context'];
const vmemmapOf = (snapshots: Watched): Vmemmap => at<SnapshotFrom<typeof vmemmap>>(snapshots, 'vmemmap').context;

/** What the struct page of a pfn holds, as software finds it; undefined: nothing is mapped, or not that. */
function cellOf(snapshots: Watched, { config }: VmemmapSetup, pfn: number): Cell | undefined {
  const { ptes, bolted } = vmemmapOf(snapshots);
  const [vpage] = vmemmapPagesOf(config, pfn, 1) as [number];
  const entry = bolted[vpage] ?? ptes[vpage];
  return entry && at<Cell | undefined>(snapshots, structPageAt(entry.frame, pfn * config.structPage - vpage * config.page));
}

const headIn = ({ context: { tail } }: Cell, pfn: number): number => (tail === null ? pfn : 'head' in tail ? tail.head : pfn - (pfn % tail.mask));

/** Frames that struct pages of the memory are in. */
const framesUsed = (snapshots: Watched, setup: VmemmapSetup): Set<string> => {
  const { ptes, bolted } = vmemmapOf(snapshots);
  return new Set(vmemmapPagesOf(setup.config, 0, setup.nr).flatMap((vpage) => (bolted[vpage] ?? ptes[vpage])?.frame ?? []));
};

/** How often each frame is mapped. */
function mappings(snapshots: Watched): Record<string, number> {
  const counts: Record<string, number> = {};
  const { ptes, bolted } = vmemmapOf(snapshots);
  for (const { frame } of [...Object.values(ptes), ...Object.values(bolted)]) counts[frame] = (counts[frame] ?? 0) + 1;
  return counts;
}

function properties(setup: VmemmapSetup, actors: Actors): Property[] {
  const { config, nr } = setup;
  const cells = entries(actors).flatMap(([address]) => (address.includes('+') ? [address] : []));
  const ram = [...ramFrames(setup).map(pageAt), ...bootVpages(setup).map(bootFrameOf)];
  const device = isDevice(setup);
  const isAlive = (snapshots: Watched): boolean => device && at<SnapshotFrom<typeof daxDevice>>(snapshots, 'dax').value === 'alive';
  const head = (pfn: number): number => (pfn < nr && device ? pfn - (pfn % config.nr) : pfn);
  const heads = invariant<Watched>('I9.head', 'every struct page that is in use names the head of its own folio', {
    actors: ['vmemmap', ...cells, ...(device ? ['dax'] : [])],
    holds: (snapshots) =>
      [...(isAlive(snapshots) ? range(nr) : []), ...ramPfns(setup)].every((pfn) => {
        const cell = cellOf(snapshots, setup, pfn);
        return cell === undefined || cell.value !== 'present' || headIn(cell, pfn) === head(pfn);
      }),
  });
  const once = invariant<Watched>('I10', 'a frame behind the vmemmap is given back once, after its last mapping, and to whom it was taken from', {
    actors: ['vmemmap', ...ram, ...(config.altmap ? ['altmap'] : [])],
    holds: (snapshots) => {
      const mapped = mappings(snapshots);
      const states = ram.map((frame) => ({ frame, value: String(at<Cell>(snapshots, frame).value) }));
      // x86 gives a frame back while the pte that is being torn down, and no other, still leads to it.
      return (
        states.every(({ frame, value }) => (value === 'free' ? (mapped[frame] ?? 0) <= 1 : value === 'present' || value === 'accessed_after_free')) &&
        (!config.altmap || at<SnapshotFrom<typeof vmemAltmap>>(snapshots, 'altmap').value !== 'altmap_underflow')
      );
    },
  });
  const all = invariant<Watched>('I10.leak', 'when the memory is gone, so are the frames behind its struct pages', {
    actors: ['work', ...ramFrames(setup).map(pageAt), ...(config.altmap ? ['altmap'] : [])],
    when: ({ work }) => (work as SnapshotFrom<typeof task>).value === 'exited',
    holds: (snapshots) =>
      ramFrames(setup).every((pfn) => at<Cell>(snapshots, pageAt(pfn)).value === 'free') &&
      (!config.altmap || at<SnapshotFrom<typeof vmemAltmap>>(snapshots, 'altmap').context.allocated === 0),
  });
  return [
    I3,
    I6,
    I9,
    bug('I9.write', 'no struct page is written through a read-only mapping'),
    heads,
    once,
    ...(removes(setup) ? [all] : []),
    ...gains(setup, cells, isAlive),
    I11,
  ];
}

const removes = (setup: VmemmapSetup): boolean => setup.work.at(-1) === 'remove' || setup.work.at(-1) === 'sections' || setup.work.at(-1) === 'offline';

/** What is wanted of the struct pages of a device, besides that they are right: a fix may give it up. */
function gains(setup: VmemmapSetup, cells: string[], isAlive: (snapshots: Watched) => boolean): Property[] {
  // A device that is removed without a word to its driver seems to be in use still.
  if (!isDevice(setup) || does(setup, 'sections')) return [];
  const { config, nr } = setup;
  const pages = compoundOf(setup);
  const compounds = invariant<Watched>('compounds', 'a folio of the device has all pages that it maps at once, so that one reference count does for them', {
    actors: ['dax', 'vmemmap', ...cells],
    when: isAlive,
    holds: (snapshots) => range(nr / pages).every((n) => (cellOf(snapshots, setup, n * pages)?.context.nr ?? pages) === pages),
  });
  const sharing = invariant<Watched>('sharing', 'tail struct pages share frames: two are enough for a compound', {
    actors: ['dax', 'vmemmap'],
    when: isAlive,
    holds: (snapshots) => framesUsed(snapshots, setup).size <= (2 * nr) / pages,
  });
  const inDevice = invariant<Watched>('altmap', 'where the device has memory for its struct pages, no RAM is used', {
    actors: ['dax', 'vmemmap'],
    when: isAlive,
    holds: (snapshots) => [...framesUsed(snapshots, setup)].every((frame) => frame.startsWith('altmap')),
  });
  const canShare = (pages * config.structPage) / config.page > 2;
  return [compounds, ...(canShare && !config.altmap && !setup.probed ? [sharing] : []), ...(config.altmap ? [inDevice] : [])];
}

/** Pages that devdax maps at once, whatever a fix makes of vmemmap_shift. */
const compoundOf = ({ config, nr }: VmemmapSetup): number => (config.nr === 1 ? nr / 2 : config.nr);

/** Memory of a device or of the system, whose struct pages are made and removed, and who reads them meanwhile. */
export function vmemmapSystem(id: string, setup: VmemmapSetup): System {
  const actors = { ...memory(setup), ...worker(setup), ...walker(setup), ...user(setup) };
  return defineSystem({ id, actors, properties: properties(setup, actors) });
}
