import type { DevicePte } from '../../machines/devices/secondary-mmu.js';
import type { Area } from '../../machines/memory/address-space.js';
import { mmuNotifier } from '../../machines/memory/mmu-notifier.js';
import { copyPageRange } from '../../machines/paths/copy-page-range.js';
import { intervalInvalidate } from '../../machines/paths/interval-invalidate.js';
import { makeDeviceExclusive } from '../../machines/paths/make-device-exclusive.js';
import { migrateToRam } from '../../machines/paths/migrate-to-ram.js';
import { mmuNotifierInvalidate } from '../../machines/paths/mmu-notifier-invalidate.js';
import { mprotect } from '../../machines/paths/mprotect.js';
import { nouveauAtomicRangeFault } from '../../machines/paths/nouveau-atomic-range-fault.js';
import { nouveauDmemMigrateVma } from '../../machines/paths/nouveau-dmem-migrate-vma.js';
import { nouveauRangeFault } from '../../machines/paths/nouveau-range-fault.js';
import { removeDeviceExclusiveEntry } from '../../machines/paths/remove-device-exclusive-entry.js';
import { svmmInvalidate } from '../../machines/paths/svmm-invalidate.js';
import { zap } from '../../machines/paths/zap.js';
import { entries } from './common.js';

/** What a thread of the process, or of the kernel, does with a page of the process. */
export type MirrorCall =
  | { do: 'load' | 'store' | 'munmap' | 'dontneed' | 'oom_reap' | 'numa_scan' | 'fork' | 'mprotect_none' | 'mprotect_read' | 'mprotect_write'; vpn: number }
  | { do: 'reclaim' | 'migrate'; vpn: number }
  /** Asks the driver of the device that has memory to move the page there (nouveau: the ioctl SVM_BIND). */
  | { do: 'to_device'; vpn: number }
  | { do: 'slab' };

/** A thread, on a CPU of its own. */
export interface MirrorThread {
  /** `p`, the process that devices mirror; `child`, which it forks; null: a kernel thread. */
  mm: 'p' | 'child' | null;
  program: readonly MirrorCall[];
  /** After the last call comes the first, if it likes. */
  repeats?: boolean;
}

export interface DeviceCall {
  do: 'read' | 'write' | 'atomic';
  vpn: number;
}

/** A device that mirrors the process, with its driver; or a guest that runs in the process. */
export interface Mirror {
  program: readonly DeviceCall[];
  repeats?: boolean;
  /** The owner that it gives to make_device_exclusive and whose notifications it filters. Default: its own name. */
  cookie?: string;
  /** What it has mapped at first. */
  ptes?: Readonly<Record<number, DevicePte>>;
  /** How many page frames of memory of its own it has, free at first; one device of a system may have some. Default: none. */
  memory?: number;
}

/** Which threads and devices there are, and which machines they run. */
export interface MirrorSetup {
  threads: readonly MirrorThread[];
  gpus: Readonly<Record<string, Mirror>>;
  guest: Mirror | null;
  /** Pages of the process, page n in frame n, private to it; how the pte of each is at first. */
  pages: readonly ('none' | 'present' | 'readonly' | 'devexcl')[];
  /** A huge PMD maps them. */
  huge: boolean;
  /** Frames that are free at first, beyond those of the pages. */
  free: number;
  /** How often the OOM reaper tries; 10 in the kernel. */
  oomAttempts: number;
  mmuNotifier: typeof mmuNotifier;
  invalidate: typeof mmuNotifierInvalidate;
  intervalInvalidate: typeof intervalInvalidate;
  svmmInvalidate: typeof svmmInvalidate;
  rangeFault: typeof nouveauRangeFault;
  atomicRangeFault: typeof nouveauAtomicRangeFault;
  makeDeviceExclusive: typeof makeDeviceExclusive;
  removeDeviceExclusiveEntry: typeof removeDeviceExclusiveEntry;
  /** What the drivers' own faults restore with, if it differs; the owner is passed to it then. */
  ownRestore: typeof removeDeviceExclusiveEntry | null;
  zap: typeof zap;
  mprotect: typeof mprotect;
  copyPageRange: typeof copyPageRange;
  toDevice: typeof nouveauDmemMigrateVma;
  toRam: typeof migrateToRam;
  /** TLB generations count; a driver that tries again for ever then has no end of states. */
  generations: boolean;
  /** Drivers name their cookie as the owner of exclusive access; else nobody. */
  namesOwner: boolean;
  /** A device-exclusive entry that is there at first stands for a mapcount (6.15 on). */
  keepsMapcount: boolean;
}

export const mirror: MirrorSetup = {
  threads: [],
  gpus: {},
  guest: null,
  pages: ['present'],
  huge: false,
  free: 1,
  oomAttempts: 2,
  mmuNotifier,
  invalidate: mmuNotifierInvalidate,
  intervalInvalidate,
  svmmInvalidate,
  rangeFault: nouveauRangeFault,
  atomicRangeFault: nouveauAtomicRangeFault,
  makeDeviceExclusive,
  removeDeviceExclusiveEntry,
  ownRestore: null,
  zap,
  mprotect,
  copyPageRange,
  toDevice: nouveauDmemMigrateVma,
  toRam: migrateToRam,
  generations: false,
  namesOwner: true,
  keepsMapcount: true,
};

export const vpnsOf = ({ pages }: MirrorSetup): number[] => [...pages.keys()];
export const systemFramesOf = ({ pages, free }: MirrorSetup): number[] => [...Array(pages.length + free).keys()];
/** The device that has memory of its own, and its page frames, which come last. */
export const ownerOf = ({ gpus }: MirrorSetup): string | null => entries(gpus).find(([, { memory = 0 }]) => memory > 0)?.[0] ?? null;
export const deviceFramesOf = (setup: MirrorSetup): number[] =>
  [...Array(setup.gpus[ownerOf(setup) ?? '']?.memory ?? 0).keys()].map((n) => systemFramesOf(setup).length + n);
export const framesOf = (setup: MirrorSetup): number[] => [...systemFramesOf(setup), ...deviceFramesOf(setup)];
export const cellOf = (vpn: number): string => `x${vpn}`;
export const area = (vpn: number): Area => ({ mapping: 'swap', index: vpn, anonymous: true, read: true, write: true });
export const forks = ({ threads }: MirrorSetup): boolean => threads.some(({ mm, program }) => mm === 'child' || program.some((call) => call.do === 'fork'));
