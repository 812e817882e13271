import type { SnapshotFrom } from 'xstate';
import { kvm } from '../../machines/devices/kvm.js';
import type { secondaryMmu } from '../../machines/devices/secondary-mmu.js';
import { asidKey, cpu } from '../../machines/hardware/cpu.js';
import { addressSpace, type Pte, pageAt, presentPte } from '../../machines/memory/address-space.js';
import { type Broken, coherence } from '../../machines/memory/coherence.js';
import { folio } from '../../machines/memory/folio.js';
import { pageAllocator } from '../../machines/memory/page-allocator.js';
import { pageCache } from '../../machines/memory/page-cache.js';
import type { nouveauAtomicRangeFault } from '../../machines/paths/nouveau-atomic-range-fault.js';
import { folioLock } from '../../machines/sync/folio-lock.js';
import { mutex } from '../../machines/sync/mutex.js';
import { rwsem } from '../../machines/sync/rwsem.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { bug, invariant, leadsTo, type Property } from '../property/property.js';
import { actor, defineSystem, type System } from '../system/system.js';
import { cpuAt, entries, interconnectOf, speculation } from './common.js';
import { I11, UAF } from './kernel-properties.js';
import { area, cellOf, deviceFramesOf, forks, framesOf, type MirrorSetup, ownerOf, systemFramesOf, vpnsOf } from './mmu-notifier-setup.js';
import { type Actors, deviceThread, driversOf, pageTableOf, pathsOf, type Worker, workersOf } from './mmu-notifier-workers.js';
import { cpuWithoutGenerations, mmWithoutGenerations } from './without-generations.js';

const isMapped = (kind: MirrorSetup['pages'][number]): boolean => kind === 'present' || kind === 'readonly';

function pteOf(kind: MirrorSetup['pages'][number], pfn: number): Pte {
  if (kind === 'none') return { kind: 'none' };
  return kind === 'devexcl' ? { kind: 'devexcl', pfn, write: true } : presentPte(pfn, { write: kind === 'present', dirty: kind === 'present' });
}

/** The state of a frame at first: a page of the process, or free. */
function frame(setup: MirrorSetup, pfn: number) {
  const kind = setup.pages[pfn];
  const device = deviceFramesOf(setup).includes(pfn) ? { device: ownerOf(setup) as string } : {};
  const common = { pfn, idle: 0, zone: 'normal' as const, coherence: 'coherence', ...device };
  if (kind === undefined || kind === 'none') return { ...common, refcount: 0, content: 'free' };
  return { ...common, refcount: 1, mapcount: isMapped(kind) || setup.keepsMapcount ? 1 : 0, content: 'zero', anonExclusive: true };
}

function memory(setup: MirrorSetup, workers: readonly Worker[]): Actors {
  const vpns = vpnsOf(setup);
  const spaces = forks(setup) ? ['p', 'child'] : ['p'];
  const areas = Object.fromEntries(vpns.map((vpn) => [vpn, area(vpn)]));
  return {
    coherence: actor(coherence, {
      input: {
        // As after MADV_DONTNEED, so that what is read then is what the page has held.
        cells: Object.fromEntries(vpns.map((vpn) => [cellOf(vpn), 'zero'])),
        places: Object.fromEntries(vpns.map((vpn) => [asidKey('p', vpn), { cell: cellOf(vpn), read: true, write: true }])),
      },
    }),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [pageAt(pfn), actor(folio, { input: frame(setup, pfn) })])),
    ...Object.fromEntries(framesOf(setup).map((pfn) => [`folio_lock${pfn}`, actor(folioLock)])),
    swap: actor(pageCache, { input: { folios: {}, stored: {} } }),
    ...Object.fromEntries(
      spaces.flatMap((mm) => [
        [
          mm,
          actor(setup.generations ? addressSpace : mmWithoutGenerations, {
            input: {
              ptes: mm === 'p' ? Object.fromEntries(setup.pages.flatMap((kind, vpn) => (kind === 'none' ? [] : [[vpn, pteOf(kind, vpn)]]))) : {},
              vmas: vpns,
              areas,
              cpumask: workers.flatMap((worker) => (worker.mm === mm ? [cpuAt(worker.n)] : [])),
              ...(mm === 'p' && setup.huge ? { huge: [0] } : {}),
            },
          }),
        ],
        [`mmap_lock_${mm}`, actor(rwsem)],
        [`ptl_${mm}`, actor(spinlock)],
      ]),
    ),
    mmu_notifier_p: actor(setup.mmuNotifier),
    ...Object.fromEntries(driversOf(setup).map((gpu) => [`mutex_${gpu}`, actor(mutex)])),
    ...(setup.guest === null ? {} : { kvm: actor(kvm), kvm_mmu_lock: actor(spinlock) }),
    allocator: actor(pageAllocator, {
      input: { free: systemFramesOf(setup).filter((pfn) => setup.pages[pfn] === undefined || setup.pages[pfn] === 'none'), buddy: [] },
      choices: [],
    }),
    ...(ownerOf(setup) === null
      ? {}
      : { [`memory_${ownerOf(setup)}`]: actor(pageAllocator, { input: { free: deviceFramesOf(setup), buddy: [] }, choices: [] }) }),
  };
}

function cpus(setup: MirrorSetup, workers: readonly Worker[]): Actors {
  return Object.fromEntries(
    workers.map(({ n, lane, mm, walks }) => [
      cpuAt(n),
      actor(setup.generations ? cpu : cpuWithoutGenerations, {
        lane,
        input: { mm, interconnect: 'interconnect' },
        choices: ['interrupt'],
        environment: speculation(walks),
      }),
    ]),
  );
}

type Watched = Record<string, unknown>;
const mmOf = ({ p }: Watched): SnapshotFrom<typeof addressSpace> => p as SnapshotFrom<typeof addressSpace>;
const brokenIn = (snapshots: Watched): Broken[] => (snapshots.coherence as SnapshotFrom<typeof coherence>).context.broken;
const isLocked = (snapshots: Watched, pfn: number): boolean => (snapshots[`folio_lock${pfn}`] as SnapshotFrom<typeof folioLock>).context.owner !== null;

const I5 = bug('I5', 'between load and store of a device atomic nobody else touches the page');

function properties(setup: MirrorSetup, workers: readonly Worker[]): Property[] {
  const mirrors = [...driversOf(setup), ...(setup.guest === null ? [] : ['guest'])];
  const faulting = workers.flatMap(({ n, paths, gpu }) =>
    gpu === undefined
      ? []
      : ['range_fault', 'atomic_range_fault', 'kvm_page_fault'].flatMap((path) => (paths.includes(path) ? [{ gpu, path: `${path}${n}` }] : [])),
  );
  const stateOf = (snapshots: Watched, path: string) => snapshots[path] as SnapshotFrom<typeof nouveauAtomicRangeFault>;
  return [
    invariant<Watched>('I1', 'no access goes through a translation to a frame that was handed to a new owner', {
      actors: ['coherence'],
      holds: (snapshots) => !brokenIn(snapshots).includes('I1'),
    }),
    invariant<Watched>('I4', 'no access uses a right that was withdrawn', { actors: ['coherence'], holds: (snapshots) => !brokenIn(snapshots).includes('I4') }),
    I5,
    invariant<Watched>('I6', 'what a device has mapped at an address is what the process has there', {
      actors: ['p', ...mirrors, ...(ownerOf(setup) === null ? [] : framesOf(setup).map((pfn) => `folio_lock${pfn}`))],
      when: (snapshots) => mirrors.some((name) => Object.keys((snapshots[name] as SnapshotFrom<typeof secondaryMmu>).context.ptes).length > 0),
      holds: (snapshots) =>
        mirrors.every((name) =>
          entries((snapshots[name] as SnapshotFrom<typeof secondaryMmu>).context.ptes).every(([vpn, { pfn }]) => {
            const pte = mmOf(snapshots).context.ptes[vpn];
            // On its way to the device or back the page is in two places, both locked.
            if (ownerOf(setup) !== null && (pte?.kind === 'migration' || pte?.kind === 'none')) return isLocked(snapshots, pfn);
            return (pte?.kind === 'present' || pte?.kind === 'devexcl' || pte?.kind === 'devpriv') && pte.pfn === pfn;
          }),
        ),
    }),
    UAF,
    invariant<Watched>('locked', 'no page is free while its folio is locked', {
      actors: framesOf(setup).flatMap((pfn) => [pageAt(pfn), `folio_lock${pfn}`]),
      holds: (snapshots) =>
        framesOf(setup).every((pfn) => (snapshots[pageAt(pfn)] as SnapshotFrom<typeof folio>).value !== 'free' || !isLocked(snapshots, pfn)),
    }),
    I11,
    ...faulting.map(({ gpu, path }) =>
      leadsTo<Watched>(faulting.length === 1 ? 'P' : `P.${path}`, `a fault of ${gpu} is served: the page is mapped, or refused`, {
        actors: [path],
        when: (snapshots) => stateOf(snapshots, path).value !== 'idle',
        reach: (snapshots) => stateOf(snapshots, path).hasTag('served') || stateOf(snapshots, path).value === 'idle',
      }),
    ),
  ];
}

/**
 * A process whose memory devices mirror (HMM, device-exclusive access) and a guest runs in, with threads that change its mappings: what
 * the scenarios of MMU notifiers and of device-exclusive access are built from.
 */
export function mirrorSystem(id: string, setup: MirrorSetup): System {
  const workers = workersOf(setup);
  const devices = [...entries(setup.gpus), ...(setup.guest === null ? [] : [['guest', setup.guest] as const])];
  const workerOf = (name: string): Worker => workers.find(({ gpu }) => gpu === name) as Worker;
  return defineSystem({
    id,
    actors: {
      ...memory(setup, workers),
      ...cpus(setup, workers),
      interconnect: interconnectOf(workers.map(({ n }) => cpuAt(n))),
      ...Object.fromEntries(devices.map(([name, device]) => [name, pageTableOf(name, device, workerOf(name))])),
      ...Object.assign({}, ...workers.map((worker) => pathsOf(setup, worker))),
      ...Object.assign({}, ...devices.map(([name, device]) => deviceThread(name, device, workerOf(name)))),
    },
    properties: properties(setup, workers),
    limits: { localStates: 1 << 16 },
  });
}
