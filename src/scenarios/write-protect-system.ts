import { asidKey } from '../../machines/hardware/cpu.js';
import { drains, storeBuffer } from '../../machines/hardware/store-buffer.js';
import { addressSpace, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { coherence } from '../../machines/memory/coherence.js';
import { folio } from '../../machines/memory/folio.js';
import { mmuNotifier } from '../../machines/memory/mmu-notifier.js';
import { pageAllocator } from '../../machines/memory/page-allocator.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import { protectionRecord, recordAt } from '../../machines/memory/protection-record.js';
import { stableTree } from '../../machines/memory/stable-tree.js';
import { folioLock } from '../../machines/sync/folio-lock.js';
import { mutex } from '../../machines/sync/mutex.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { cpuAt, entries, interconnectOf, speculation } from './common.js';
import { cpuWithoutGenerations, mmWithoutGenerations } from './without-generations.js';
import { properties } from './write-protect-properties.js';
import {
  areaOf,
  DEVICE,
  deviceFramesOf,
  fileOf,
  framesOf,
  freeFramesOf,
  indexOf,
  itemsOf,
  mmapLockOf,
  type ProtectCell,
  type ProtectSetup,
  placesOf,
  ptlOf,
  spacesOf,
} from './write-protect-setup.js';
import { type Actors, deviceActors, pathsOf, type Worker, workersOf } from './write-protect-workers.js';

// A CPU that reads between load and store of a device that combines finds the page as it was before.
const folioToStore = folio.provide({
  guards: {
    breaksAtomic: ({ context, event }) =>
      context.atomic !== null && context.atomic !== event.from && (event.type === 'memory.write' || (event.type === 'memory.access' && event.write)),
  },
});

const first = 'v0';
/** What the disk has of a page that is dirty at first. */
const outdated = 'old';
const isMapped = ({ pfn, pte }: ProtectCell): boolean => pfn !== null && pte !== 'none';
function pteOf({ pfn, kind, replicas = {}, pte = kind === 'anonymous' ? 'writable' : 'read-only' }: ProtectCell, mm: string, isStable: boolean) {
  const write = pte === 'writable' && !isStable && Object.keys(replicas).length === 0;
  return presentPte(replicas[mm] ?? (pfn as number), { write, dirty: write });
}

/** A frame: one that cells are in, or a free one. */
function frame(setup: ProtectSetup, pfn: number) {
  const device = deviceFramesOf(setup).includes(pfn) ? { device: DEVICE } : {};
  const common = { pfn, idle: 0, zone: 'normal' as const, coherence: 'coherence', ...device };
  const cells = entries(setup.cells).filter(([, cell]) => cell.pfn === pfn);
  const [, original] = entries(setup.cells).find(([, { replicas = {} }]) => Object.values(replicas).includes(pfn)) ?? [];
  const under = (owner: ProtectCell) => ({ protection: { record: recordAt(owner.pfn as number), stable: false } });
  if (original) {
    const tables = Object.values(original.replicas ?? {}).filter((replica) => replica === pfn).length;
    return { ...common, refcount: tables, mapcount: tables, content: first, ...under(original) };
  }
  if (cells.length === 0) return { ...common, refcount: 0, content: 'free' };
  const places = cells.flatMap(([, cell]) => (isMapped(cell) ? entries(cell.at).flatMap(([mm, vpns]) => (cell.replicas?.[mm] === undefined ? vpns : [])) : []));
  const mapcount = places.length;
  const files = cells.filter(([, { kind }]) => kind === 'file');
  const stable = setup.stable.includes(pfn);
  const [name, cell] = cells[0] as [string, ProtectCell];
  return {
    ...common,
    refcount: mapcount + files.length,
    mapcount,
    content: first,
    anonExclusive: cell.kind === 'anonymous' && !stable && (cell.exclusive ?? cells.length === 1),
    dirty: cells.some(([, { dirty }]) => dirty),
    ...(cell.kind === 'file' ? { mapping: fileOf(name, cell) } : {}),
    ...(cell.replicas ? under(cell) : {}),
    ...(stable ? { protection: { record: recordAt(pfn), stable: true } } : {}),
  };
}

/** Who has a part in a frame that is protected at first. */
function record(setup: ProtectSetup, pfn: number) {
  const own = entries(setup.cells).filter(([, cell]) => cell.pfn === pfn);
  const cells = setup.stable.includes(pfn) ? own : [];
  return {
    copies: own.flatMap(([, { at, replicas = {} }]) => entries(replicas).flatMap(([mm, replica]) => (at[mm] ?? []).map((vpn) => ({ mm, vpn, pfn: replica })))),
    items: cells.flatMap(([name, { kind }]) => (kind === 'anonymous' ? itemsOf(setup, name) : [])),
    slots: cells.flatMap(([name, cell]) => (cell.kind === 'file' ? [{ mapping: fileOf(name, cell), index: indexOf(setup, name) }] : [])),
  };
}

function memory(setup: ProtectSetup, workers: readonly Worker[]): Actors {
  const places = placesOf(setup);
  const cells = entries(setup.cells);
  const files = [...new Set(cells.map(([name, cell]) => fileOf(name, cell)))].sort();
  const runs = (path: string): boolean => workers.some(({ paths }) => paths.includes(path));
  return {
    coherence: actor(coherence, {
      input: {
        cells: Object.fromEntries(cells.map(([name]) => [name, first])),
        places: Object.fromEntries(places.map(({ name, mm, vpn }) => [asidKey(mm, vpn), { cell: name, read: true, write: true }])),
      },
    }),
    ...Object.fromEntries(
      framesOf(setup).map((pfn) => [pageAt(pfn), actor(setup.device?.mode === 'combine' ? folioToStore : folio, { input: frame(setup, pfn) })]),
    ),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [`folio_lock${pfn}`, actor(folioLock)])),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [recordAt(pfn), actor(protectionRecord, { input: record(setup, pfn) })])),
    ...(runs('ksm_scan') ? { stable_tree: actor(stableTree, { input: { pfns: [...setup.stable] } }) } : {}),
    ...Object.fromEntries(
      files.map((file) => {
        const own = cells.filter(([name, cell]) => fileOf(name, cell) === file && cell.kind === 'file');
        return [
          file,
          actor(pageCache, {
            input: {
              folios: Object.fromEntries(own.flatMap(([name, { pfn }]) => (pfn === null ? [] : [[indexOf(setup, name), pfn]]))),
              stored: Object.fromEntries(own.map(([name, { dirty }]) => [indexOf(setup, name), dirty ? outdated : first])),
            },
          }),
        ];
      }),
    ),
    ...Object.fromEntries(
      spacesOf(setup).flatMap((mm) => {
        const own = places.filter((place) => place.mm === mm);
        // A child has the VMAs of its parent.
        const areas = mm === 'child' ? places.filter((place) => place.mm === 'p') : own;
        return [
          [
            mm,
            actor(setup.generations ? addressSpace : mmWithoutGenerations, {
              input: {
                ptes: Object.fromEntries(
                  own.flatMap(({ vpn, cell }) => (isMapped(cell) ? [[vpn, pteOf(cell, mm, setup.stable.includes(cell.pfn as number))]] : [])),
                ),
                vmas: areas.map(({ vpn }) => vpn).sort(),
                areas: Object.fromEntries(areas.map(({ name, vpn }) => [vpn, areaOf(setup, name)])),
                cpumask: workers.flatMap((worker) => (worker.mm === mm ? [cpuAt(worker.n)] : [])),
              },
            }),
          ],
          ...(mmapLockOf(mm) === `mmap_lock_${mm}` ? [[mmapLockOf(mm), actor(rwsem)] as const] : []),
          [ptlOf(mm), actor(spinlock)],
        ];
      }),
    ),
    allocator: actor(pageAllocator, { input: { free: freeFramesOf(setup), buddy: [] }, choices: [] }),
    ...(setup.device === null
      ? {}
      : {
          mmu_notifier_p: actor(mmuNotifier),
          [`mutex_${DEVICE}`]: actor(mutex),
          [`memory_${DEVICE}`]: actor(pageAllocator, { input: { free: deviceFramesOf(setup), buddy: [] }, choices: [] }),
        }),
    ...(runs('writeback')
      ? {
          disk: actor(setup.disk, {
            lane: 'disk',
            input: { errors: setup.errors },
            choices: ['end_bio'],
            ...(setup.errors > 0 ? { environment: ['end_bio_error' as const] } : {}),
          }),
        }
      : {}),
  };
}

/** How many stores a CPU may have under way. */
const storesUnderWay = 2;

function cpus(setup: ProtectSetup, workers: readonly Worker[]): Actors {
  return Object.fromEntries(
    workers.flatMap(({ n, lane, mm, walks, stores }): [string, ActorSpec][] => [
      [
        cpuAt(n),
        actor(setup.generations ? setup.cpu : cpuWithoutGenerations, {
          lane,
          input: { mm, interconnect: 'interconnect', ...(stores && mm !== null ? { storeBuffer: `store_buffer${n}` } : {}) },
          choices: ['interrupt'],
          environment: speculation(walks),
        }),
      ],
      ...(stores
        ? [
            [
              `store_buffer${n}`,
              actor(storeBuffer, {
                lane,
                input: { ordering: setup.ordering, size: storesUnderWay },
                choices: drains(setup.ordering === 'weak' ? storesUnderWay : 1),
              }),
            ] as [string, ActorSpec],
          ]
        : []),
    ]),
  );
}

/**
 * Processes whose pages are write-protected, to be shared (KSM, deduplication of files), replicated on another node or copied to a device;
 * with threads that store, write, pin, fork and sync.
 */
export function writeProtectSystem(id: string, setup: ProtectSetup): System {
  const workers = workersOf(setup);
  return defineSystem({
    id,
    actors: {
      ...memory(setup, workers),
      interconnect: interconnectOf(workers.map(({ n }) => cpuAt(n))),
      ...cpus(setup, workers),
      ...Object.assign({}, ...workers.map((worker) => pathsOf(setup, worker))),
      ...deviceActors(setup, workers),
    },
    properties: properties(setup, workers),
    // An interconnect has many.
    limits: { localStates: 1 << 16 },
  });
}
