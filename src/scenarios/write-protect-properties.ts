import type { SnapshotFrom } from 'xstate';
import type { disk } from '../../machines/devices/disk.js';
import type { secondaryMmu } from '../../machines/devices/secondary-mmu.js';
import { asidKey, type cpu } from '../../machines/hardware/cpu.js';
import { type addressSpace, pageAt } from '../../machines/memory/address-space.js';
import type { Broken, coherence } from '../../machines/memory/coherence.js';
import type { folio } from '../../machines/memory/folio.js';
import type { pageCache } from '../../machines/memory/page-cache.js';
import type { directIo } from '../../machines/paths/direct-io.js';
import type { fsync } from '../../machines/paths/fsync.js';
import type { shrinkFolioList } from '../../machines/paths/shrink-folio-list.js';
import type { userAccess } from '../../machines/paths/user-access.js';
import { bug, invariant, leadsTo, type Property, possibility } from '../property/property.js';
import { cpuAt, entries } from './common.js';
import { I11, UAF } from './kernel-properties.js';
import {
  DEVICE,
  fileOf,
  framesOf,
  mmapLockOf,
  type ProtectCall,
  type ProtectCell,
  type ProtectSetup,
  type ProtectThread,
  placesOf,
  spacesOf,
} from './write-protect-setup.js';
import type { Worker } from './write-protect-workers.js';

type Watched = Record<string, unknown>;
const brokenIn = (snapshots: Watched): Broken[] => (snapshots.coherence as SnapshotFrom<typeof coherence>).context.broken;
const folioIn = (snapshots: Watched, pfn: number): SnapshotFrom<typeof folio> => snapshots[pageAt(pfn)] as SnapshotFrom<typeof folio>;
const spaceIn = (snapshots: Watched, mm: string): SnapshotFrom<typeof addressSpace> => snapshots[mm] as SnapshotFrom<typeof addressSpace>;

const says = {
  I1: 'no access goes through a translation to a frame that was handed to a new owner',
  I3w: 'after a write has completed no later read returns older data',
  I4: 'no access uses a right that was withdrawn',
};

/** Some page is shared, or may come to be. */
const shares = ({ stable, threads }: ProtectSetup): boolean =>
  stable.length > 0 || threads.some(({ program }) => program.some((call) => call.do === 'ksm_scan' || call.do === 'merge_files'));

/** I7: who has a shared page mapped has not written anything else there. */
function writesKept(setup: ProtectSetup): Property {
  const spaces = spacesOf(setup);
  return invariant<Watched>('I7.lost', 'no completed write is lost by merging: a shared page holds what each of its owners has written last', {
    actors: ['coherence', ...spaces, ...framesOf(setup).map(pageAt)],
    when: (snapshots) => framesOf(setup).some((pfn) => folioIn(snapshots, pfn).context.protection?.stable),
    holds: (snapshots) => {
      const { cells, places } = (snapshots.coherence as SnapshotFrom<typeof coherence>).context;
      return spaces.every((mm) =>
        entries(spaceIn(snapshots, mm).context.ptes).every(([vpn, pte]) => {
          const cell = cells[places[asidKey(mm, Number(vpn))]?.cell ?? ''];
          if (pte.kind !== 'present' || cell === undefined) return true;
          const { content, protection } = folioIn(snapshots, pte.pfn).context;
          return !protection?.stable || content === cell.values[cell.completed];
        }),
      );
    },
  });
}

/** Frames that may be read at a virtual page: by ptes, TLBs and devices. */
function readable(setup: ProtectSetup, workers: readonly Worker[], snapshots: Watched, spaces: readonly string[], vpn: number): number[] {
  const found = new Set<number>();
  for (const mm of spaces) {
    const pte = spaceIn(snapshots, mm).context.ptes[vpn];
    if (pte?.kind === 'present') found.add(pte.pfn);
    for (const { n } of workers) {
      const entry = (snapshots[cpuAt(n)] as SnapshotFrom<typeof cpu>).context.tlb[asidKey(mm, vpn)];
      if (entry) found.add(entry.pfn);
    }
  }
  const mapped = setup.device === null ? undefined : (snapshots[DEVICE] as SnapshotFrom<typeof secondaryMmu>).context.ptes[vpn];
  if (mapped) found.add(mapped.pfn);
  return [...found];
}

/** All copies of a page of the replicated process, or of the one that a device has copies of, are equal. */
function replicasEqual(setup: ProtectSetup, workers: readonly Worker[]): Property[] {
  const spaces = spacesOf(setup).filter((mm) => mmapLockOf(mm) === 'mmap_lock_p' && mm !== 'child');
  const copies = setup.device?.mode === 'copy' && setup.device.program.some((call) => call.do === 'read');
  if (spaces.length < 2 && !copies) return [];
  const vpns = [...new Set(placesOf(setup).flatMap(({ mm, vpn }) => (mm === 'p' ? [vpn] : [])))];
  const found = (snapshots: Watched): number[][] => vpns.map((vpn) => readable(setup, workers, snapshots, spaces, vpn));
  return [
    invariant<Watched>('I9', 'all replicas of a page are equal while any of them may be read', {
      actors: [...spaces, ...workers.map(({ n }) => cpuAt(n)), ...(setup.device === null ? [] : [DEVICE]), ...framesOf(setup).map(pageAt)],
      when: (snapshots) => found(snapshots).some((frames) => frames.length > 1),
      holds: (snapshots) => found(snapshots).every((frames) => new Set(frames.map((pfn) => folioIn(snapshots, pfn).context.content)).size <= 1),
    }),
  ];
}

/** I8: while a page is pinned through an address, no other is mapped there. */
function pinsKept({ threads }: ProtectSetup): Property[] {
  const holders = threads.flatMap(({ pins, mm }, n) => (pins && mm !== null ? [{ holder: `direct_io${n}`, mm, vpn: pins.vpn }] : []));
  if (holders.length === 0) return [];
  const pagesOf = (snapshots: Watched, holder: string): number[] => (snapshots[holder] as SnapshotFrom<typeof directIo>).context.pages;
  return [
    invariant<Watched>('I8', 'a page that is pinned through an address stays the page that the address maps', {
      actors: [...new Set(holders.flatMap(({ holder, mm }) => [holder, mm]))],
      when: (snapshots) => holders.some(({ holder }) => pagesOf(snapshots, holder).length > 0),
      holds: (snapshots) =>
        holders.every(({ holder, mm, vpn }) => {
          const pte = spaceIn(snapshots, mm).context.ptes[vpn];
          return pagesOf(snapshots, holder).every((pfn) => pte?.kind !== 'present' || pte.pfn === pfn);
        }),
    }),
  ];
}

/** Paths that have to come to an end. */
const returning: Readonly<Record<string, string>> = { write: 'write(2)', fsync: 'fsync(2)', truncate: 'truncate(2)' };

/** In reasonable time: who stores gets a page that he may write; system calls on files return. */
function served(workers: readonly Worker[]): Property[] {
  const asking = workers.flatMap(({ n, mm, walks, paths, storing }) => [
    ...(storing && mm !== null ? [{ path: `access${n}`, store: { mm, vpn: walks[0] as number } }] : []),
    ...Object.keys(returning).flatMap((call) => (paths.includes(call) ? [{ path: `${call}${n}`, call: returning[call] as string }] : [])),
  ]);
  return asking.map(({ path, ...what }) => {
    const name = asking.length === 1 ? 'P' : `P.${path}`;
    const access = (snapshots: Watched) => snapshots[path] as SnapshotFrom<typeof userAccess>;
    if ('call' in what)
      return leadsTo<Watched>(name, `${what.call} returns`, {
        actors: [path],
        when: (snapshots) => access(snapshots).value !== ('idle' as string),
        reach: (snapshots) => access(snapshots).value === 'idle',
      });
    const { mm, vpn } = what.store;
    return leadsTo<Watched>(name, 'a write fault leads to a page that may be written', {
      actors: [path, mm],
      when: (snapshots) => access(snapshots).value === 'handle_mm_fault' && access(snapshots).context.write,
      reach: (snapshots) => {
        const pte = spaceIn(snapshots, mm).context.ptes[vpn];
        return access(snapshots).value === 'idle' || (pte?.kind === 'present' && pte.write);
      },
    });
  });
}

/** Nobody promises it: whoever protects the page again may be faster, again and again. */
function stored({ asksStored }: ProtectSetup, workers: readonly Worker[]): Property[] {
  const paths = asksStored ? workers.flatMap(({ n, storing }) => (storing ? [`access${n}`] : [])) : [];
  const access = (snapshots: Watched, path: string) => snapshots[path] as SnapshotFrom<typeof userAccess>;
  return paths.map((path) =>
    leadsTo<Watched>(paths.length === 1 ? 'stored' : `stored.${path}`, 'a store that faults retires', {
      actors: [path],
      when: (snapshots) => access(snapshots, path).value === 'handle_mm_fault' && access(snapshots, path).context.write,
      reach: (snapshots) => access(snapshots, path).value === 'idle',
    }),
  );
}

/** U2: reclaim finds all who map a page. */
function reclaimable({ threads, cells }: ProtectSetup): Property[] {
  return threads.flatMap(({ program: [call] }, n) => {
    const pfn = call?.do === 'reclaim' ? cells[call.cell]?.pfn : undefined;
    if (typeof pfn !== 'number') return [];
    const path = `shrink${n}`;
    return [
      possibility<Watched>('reclaimed', 'when reclaim begins the page can be swapped out, and be free', {
        actors: [path, pageAt(pfn)],
        when: (snapshots) => (snapshots[path] as SnapshotFrom<typeof shrinkFolioList>).value === 'folio_trylock',
        reach: (snapshots) => folioIn(snapshots, pfn).value === 'free',
      }),
    ];
  });
}

/** Who syncs one file: what fsync has returned is about that one. */
const syncs = (setup: ProtectSetup): { path: string; name: string; file: string }[] =>
  setup.threads.flatMap(({ program }, n) => {
    const [name, ...more] = new Set(program.flatMap((call) => (call.do === 'fsync' ? [call.cell] : [])));
    return name === undefined || more.length > 0 ? [] : [{ path: `fsync${n}`, name, file: fileOf(name, setup.cells[name] as ProtectCell) }];
  });

/** fsync tells of every error since the one before. */
function errorsTold(setup: ProtectSetup): Property[] {
  const syncing = syncs(setup);
  if (syncing.length === 0 || setup.errors === 0) return [];
  const resultOf = (snapshots: Watched, path: string) => (snapshots[path] as SnapshotFrom<typeof fsync>).context.result;
  return [
    invariant<Watched>('fsync', 'fsync does not say that all is well when an error kept something from the disk', {
      actors: ['disk', ...syncing.map(({ path }) => path)],
      when: (snapshots) => syncing.some(({ path }) => resultOf(snapshots, path) !== null),
      holds: (snapshots) =>
        syncing.every(
          ({ path, file }) =>
            resultOf(snapshots, path) !== 'ok' || (snapshots.disk as SnapshotFrom<typeof disk>).context.failed.every(({ mapping }) => mapping !== file),
        ),
    }),
  ];
}

/** What was in a file when fsync began, and has returned without an error, is on the disk. */
function durable(setup: ProtectSetup): Property[] {
  const { threads, cells } = setup;
  const synced = syncs(setup);
  if (synced.length === 0) return [];
  const resultOf = (snapshots: Watched, path: string) => (snapshots[path] as SnapshotFrom<typeof fsync>).context.result;
  const writes = (name: string) => (call: ProtectCall) => (call.do === 'write' && call.cell === name) || (call.do === 'store' && cells[name]?.kind === 'file');
  /** Where it may be written to after fsync has begun, all that can be said is that what was dirty at first is there. */
  const atLeast = (snapshots: Watched, name: string): number => {
    const writers = threads.filter(({ program }) => program.some(writes(name)));
    const syncsLast = ({ program }: ProtectThread): boolean => {
      const after = program.slice(program.findLastIndex(writes(name)) + 1);
      return after.some((call) => call.do === 'fsync' && call.cell === name);
    };
    const known = writers.length <= 1 && writers.every(syncsLast);
    return known ? ((snapshots.coherence as SnapshotFrom<typeof coherence>).context.cells[name]?.completed ?? 0) : 0;
  };
  return [
    invariant<Watched>('durable', 'what was in a file when fsync began is on the disk when it has returned without an error', {
      actors: ['coherence', ...new Set(synced.flatMap(({ path, file }) => [path, file]))],
      when: (snapshots) => synced.some(({ path }) => resultOf(snapshots, path) === 'ok'),
      holds: (snapshots) =>
        synced.every(({ path, name, file }) => {
          const stored = (snapshots[file] as SnapshotFrom<typeof pageCache>).context.stored[0] as string;
          const { values } = (snapshots.coherence as SnapshotFrom<typeof coherence>).context.cells[name] as { values: string[] };
          return resultOf(snapshots, path) !== 'ok' || values.indexOf(stored) >= atLeast(snapshots, name);
        }),
    }),
  ];
}

/** What is asked of a system, as far as it can come up there. */
export function properties(setup: ProtectSetup, workers: readonly Worker[]): Property[] {
  return [
    ...entries(says).map(([name, description]) =>
      invariant<Watched>(name, description, {
        actors: ['coherence'],
        holds: (snapshots) => !brokenIn(snapshots).includes(name as Broken),
      }),
    ),
    ...(shares(setup) ? [writesKept(setup), bug('I7', 'a page whose bytes are shared never changes')] : []),
    ...(setup.device?.mode === 'combine' ? [bug('I5', 'between load and store of a device nobody else stores to the page')] : []),
    ...pinsKept(setup),
    ...replicasEqual(setup, workers),
    ...errorsTold(setup),
    ...durable(setup),
    ...reclaimable(setup),
    UAF,
    bug('I6', 'reference counts never go below zero'),
    I11,
    ...served(workers),
    ...stored(setup, workers),
  ];
}
