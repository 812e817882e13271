import { disk } from '../../machines/devices/disk.js';
import type { DevicePte } from '../../machines/devices/secondary-mmu.js';
import { cpu } from '../../machines/hardware/cpu.js';
import type { Area } from '../../machines/memory/address-space.js';
import { breakFileProtection } from '../../machines/paths/break-file-protection.js';
import { breakProtection } from '../../machines/paths/break-protection.js';
import { copyPageRange } from '../../machines/paths/copy-page-range.js';
import { deviceCopyInvalidate } from '../../machines/paths/device-copy-invalidate.js';
import { genericPerformWrite } from '../../machines/paths/generic-perform-write.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { gupSlow } from '../../machines/paths/gup-slow.js';
import { handlePteFault } from '../../machines/paths/handle-pte-fault.js';
import { mergeFilePages } from '../../machines/paths/merge-file-pages.js';
import { replacePage } from '../../machines/paths/replace-page.js';
import { replicatePage } from '../../machines/paths/replicate-page.js';
import { stablePageFlags } from '../../machines/paths/stable-page-flags.js';
import { truncateInodePages } from '../../machines/paths/truncate-inode-pages.js';
import { tryToMergeOnePage } from '../../machines/paths/try-to-merge-one-page.js';
import { type RmapItem, tryToUnmap } from '../../machines/paths/try-to-unmap.js';
import { writeProtectPage } from '../../machines/paths/write-protect-page.js';
import { writeback } from '../../machines/paths/writeback.js';
import { entries } from './common.js';

/** What a thread does, call by call. `at`: a virtual page of an address space. */
export type ProtectCall =
  | { do: 'load' | 'store' | 'unmerge' | 'madvise_free' | 'clear_refs' | 'clear_refs_5_10' | 'uffd_wp' | 'fork' | 'replicate'; vpn: number }
  | { do: 'ksm_scan'; at: Place; other?: Place }
  | { do: 'reclaim' | 'write' | 'writeback' | 'fsync' | 'truncate'; cell: string }
  | { do: 'merge_files'; into: string; from: string }
  | { do: 'kpageflags'; pfn: number };

export interface Place {
  mm: string;
  vpn: number;
}

/** A thread, on a CPU of its own. */
export interface ProtectThread {
  /** Its address space (of a replicated process: its page table on the node of its CPU); null: a kernel thread. */
  mm: string | null;
  program: readonly ProtectCall[];
  /** In place of a program: pins a page with FOLL_PIN (`get`: only takes a reference, FOLL_GET), lets a device read or write it, and gives it back. */
  pins?: { vpn: number; access: 'read' | 'write'; get?: boolean };
  repeats?: boolean;
  name?: string;
}

/** A page of memory: of a file, or private; and where it is mapped. Several may share a frame. */
export interface ProtectCell {
  kind: 'file' | 'anonymous';
  /** The frame that holds it at first; null: it is on disk. */
  pfn: number | null;
  at: Readonly<Record<string, readonly number[]>>;
  /** Its ptes at first. Default: writable and dirty, for private pages; read-only, for pages of files. */
  pte?: 'none' | 'read-only' | 'writable';
  /** PageAnonExclusive. Default: what is private and not shared is. */
  exclusive?: boolean;
  /** PG_dirty. */
  dirty?: boolean;
  /** Page tables that map a replica at first, in this frame; the others then map the page read-only. */
  replicas?: Readonly<Record<string, number>>;
}

/** A device with memory of its own, that has copies of pages to read (`copy`), or has CPUs kept from storing to pages that it writes (`combine`). */
export interface ProtectDevice {
  program: readonly { do: 'read' | 'write' | 'atomic'; vpn: number }[];
  mode: 'copy' | 'combine';
  ptes?: Readonly<Record<number, DevicePte>>;
  /** Page frames of its memory. */
  memory: number;
}

export type Ordering = 'sc' | 'tso' | 'weak';

/** Which threads there are, and which machines they run. */
export interface ProtectSetup {
  threads: readonly ProtectThread[];
  cells: Readonly<Record<string, ProtectCell>>;
  /** Frames whose bytes several share at first. */
  stable: readonly number[];
  /** Frames that are free at first, beyond those of the cells. */
  free: number;
  device: ProtectDevice | null;
  ordering: Ordering;
  /** Whether a store ever retires is asked, too. */
  asksStored: boolean;
  /** I/O errors at most. */
  errors: number;
  cpu: typeof cpu;
  /** How remote TLBs are flushed. */
  flush: 'ipi' | 'broadcast';
  /** TLB generations count; who tries again for ever then has no end of states. */
  generations: boolean;
  disk: typeof disk;
  writeProtect: typeof writeProtectPage;
  replacePage: typeof replacePage;
  tryToMerge: typeof tryToMergeOnePage;
  gupFast: typeof gupFast;
  gupSlow: typeof gupSlow;
  handlePteFault: typeof handlePteFault;
  genericPerformWrite: typeof genericPerformWrite;
  mergeFilePages: typeof mergeFilePages;
  breakFileProtection: typeof breakFileProtection;
  truncateInodePages: typeof truncateInodePages;
  stablePageFlags: typeof stablePageFlags;
  tryToUnmap: typeof tryToUnmap;
  writeback: typeof writeback;
  copyPageRange: typeof copyPageRange;
  replicatePage: typeof replicatePage;
  breakProtection: typeof breakProtection;
  deviceCopyInvalidate: typeof deviceCopyInvalidate;
}

export const protection: ProtectSetup = {
  threads: [],
  cells: {},
  stable: [],
  free: 1,
  device: null,
  ordering: 'sc',
  asksStored: false,
  errors: 0,
  cpu,
  flush: 'ipi',
  generations: true,
  disk,
  writeProtect: writeProtectPage,
  replacePage,
  tryToMerge: tryToMergeOnePage,
  gupFast,
  gupSlow,
  handlePteFault,
  genericPerformWrite,
  mergeFilePages,
  breakFileProtection,
  truncateInodePages,
  stablePageFlags,
  tryToUnmap,
  writeback,
  copyPageRange,
  replicatePage,
  breakProtection,
  deviceCopyInvalidate,
};

export const DEVICE = 'gpu0';
/** The page tables of a replicated process have one mmap_lock. */
export const mmapLockOf = (mm: string): string => `mmap_lock_${mm.split('_')[0]}`;
export const ptlOf = (mm: string): string => `ptl_${mm}`;
export const fileOf = (name: string, { kind }: ProtectCell): string => (kind === 'anonymous' ? 'swap' : `file_${name}`);
/** Each file has one page; each private page, a slot of its own in swap. */
export const indexOf = ({ cells }: ProtectSetup, name: string): number =>
  (cells[name] as ProtectCell).kind === 'file'
    ? 0
    : Object.keys(cells)
        .filter((other) => cells[other]?.kind === 'anonymous')
        .indexOf(name);
export const forks = ({ threads }: ProtectSetup): boolean => threads.some(({ program }) => program.some((call) => call.do === 'fork'));
export const areaOf = (setup: ProtectSetup, name: string): Area => {
  const cell = setup.cells[name] as ProtectCell;
  return { mapping: fileOf(name, cell), index: indexOf(setup, name), anonymous: cell.kind === 'anonymous', read: true, write: true };
};
export const spacesOf = (setup: ProtectSetup): string[] =>
  [
    ...new Set([
      ...entries(setup.cells).flatMap(([, { at }]) => Object.keys(at)),
      ...setup.threads.flatMap(({ mm }) => (mm === null ? [] : [mm])),
      ...(forks(setup) ? ['child'] : []),
    ]),
  ].sort();
/** Page tables of the same process, that of node 0 first. */
export const tablesOf = (setup: ProtectSetup, mm: string): string[] => spacesOf(setup).filter((other) => mmapLockOf(other) === mmapLockOf(mm));
export const placesOf = (setup: ProtectSetup): { name: string; cell: ProtectCell; mm: string; vpn: number }[] =>
  entries(setup.cells).flatMap(([name, cell]) => entries(cell.at).flatMap(([mm, vpns]) => vpns.map((vpn) => ({ name, cell, mm, vpn }))));
export const itemsOf = (setup: ProtectSetup, name: string): RmapItem[] =>
  placesOf(setup).flatMap((place) => (place.name === name ? [{ mm: place.mm, vpn: place.vpn, ptl: ptlOf(place.mm) }] : []));
const usedFrames = ({ cells }: ProtectSetup): number[] =>
  [...new Set(entries(cells).flatMap(([, { pfn, replicas = {} }]) => [...(pfn === null ? [] : [pfn]), ...Object.values(replicas)]))].sort((a, b) => a - b);
export const freeFramesOf = (setup: ProtectSetup): number[] => {
  const next = Math.max(-1, ...usedFrames(setup)) + 1;
  return [...Array(setup.free).keys()].map((n) => next + n);
};
export const systemFramesOf = (setup: ProtectSetup): number[] => [...usedFrames(setup), ...freeFramesOf(setup)];
/** The page frames of the device, which come last. */
export const deviceFramesOf = (setup: ProtectSetup): number[] => {
  const next = Math.max(-1, ...systemFramesOf(setup)) + 1;
  return [...Array(setup.device?.memory ?? 0).keys()].map((n) => next + n);
};
export const framesOf = (setup: ProtectSetup): number[] => [...systemFramesOf(setup), ...deviceFramesOf(setup)];
/** Somebody may have to break a protection that a record stands for. */
export const hasFiles = ({ cells }: ProtectSetup): boolean => entries(cells).some(([, { kind }]) => kind === 'file');
