import { assign, type SnapshotFrom } from 'xstate';
import { interconnect } from '../../actors/interconnect.js';
import { asidKey, cpu, isAsid } from '../../machines/hardware/cpu.js';
import { addressSpace } from '../../machines/memory/address-space.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { pointer } from '../trace/event.js';
import type { Demand, Scene } from '../trace/protocol.js';
import type { World } from '../trace/worlds.js';
import { listener } from './task.js';

// The CPUs, their TLBs and the address spaces, as the rules about flushes and those about pages know them.

export type CpuContext = SnapshotFrom<typeof cpu>['context'];
type MmContext = SnapshotFrom<typeof addressSpace>['context'];

/** mm_cpumask follows from what is loaded, see {@link learnMask}: so switches of different CPUs share nothing. */
const switchAlone = contextSwitch.provide({ actions: { setMask: assign({}) } });

export const group = 'shootdown';
export const net = 'interconnect';
/** Padded, so that they sort as the kernel walks them. */
export const cpuAt = (number: number | string): string => `cpu${String(number).padStart(4, '0')}`;
export const mmAt = (text: string | undefined): string => `mm:${pointer(text)}`;
export const switchOf = (number: number): string => `context_switch:${cpuAt(number)}`;
/** What is loaded on a CPU before the log shows it. It is no address space. */
export const UNKNOWN = 'unknown';
export const isKernel = (text: string | undefined): boolean => pointer(text).startsWith('ffffffff') || pointer(text) === '0';

export const cpuIn = (scene: Scene, world: World, address: string): CpuContext => scene.cast.context(world, address);
export const mmIn = (scene: Scene, world: World, address: string): MmContext => scene.cast.context(world, address);

export function joinCpu(scene: Scene, number: number): string {
  const address = cpuAt(number);
  scene.join(UNKNOWN, listener);
  scene.join(net, interconnect, { cpus: [] });
  scene.join(address, cpu, { mm: UNKNOWN, interconnect: net });
  scene.join(switchOf(number), switchAlone, { cpu: address });
  return address;
}

export function joinMm(scene: Scene, address: string): string {
  scene.join(address, addressSpace, { ptes: {}, vmas: [], cpumask: [] });
  return address;
}

/** Where it is not known what a CPU has loaded, it is this address space, lazily or not, or another one. */
export const guess = (scene: Scene, on: string, mm: string): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { loadedMm } = cpuIn(scene, world, on);
    if (loadedMm !== UNKNOWN) return [world];
    return [
      scene.cast.learn(world, on, { loadedMm: mm, cr3: mm, lazy: false }),
      scene.cast.learn(world, on, { loadedMm: mm, cr3: mm, lazy: true }),
      scene.cast.learn(world, on, { lazy: false }),
    ];
  },
});

/** Where it is not known to which generation a CPU's entries of an address space are flushed, it is one of these. */
export const guessGen = (scene: Scene, on: string, mm: string, gens: (world: World) => number[]): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { ctxs } = cpuIn(scene, world, on);
    if (ctxs[mm] !== undefined) return [world];
    return gens(world).map((known) => scene.cast.learn(world, on, { ctxs: { ...ctxs, [mm]: known } }));
  },
});

/**
 * When exactly a CPU enters and leaves mm_cpumask depends on the kernel, and each flush that sends anything shows the
 * mask. Until then it is those CPUs that have the address space loaded for certain.
 */
export const learnMask = (scene: Scene, mm: string, without?: string): Demand => ({
  kind: 'learn',
  worlds: (world) => [
    scene.cast.learn(world, mm, { cpumask: scene.cast.addresses('cpu').filter((on) => on !== without && cpuIn(scene, world, on).loadedMm === mm) }),
  ],
});

/** Virtual pages that stand for all in a task's gather, which its next flush is taken to cover, and for all whose flush it owes. */
export const gatheredBy = (pid: number): number => 2 * pid;
export const owedBy = (pid: number): number => 2 * pid + 1;

/** TLB fills have no events: whoever has the address space loaded may have the page cached. */
export const mayCache = (scene: Scene, mm: string, vpn: number): Extract<Demand, { kind: 'learn' }> => ({
  kind: 'learn',
  worlds: (world) => [
    scene.cast.addresses('cpu').reduce((next, on) => {
      const { loadedMm, tlb } = cpuIn(scene, next, on);
      return loadedMm === mm ? scene.cast.learn(next, on, { tlb: { ...tlb, [asidKey(mm, vpn)]: { pfn: vpn, write: true, dirty: true } } }) : next;
    }, world),
  ],
});

/** No CPU knows anything of this address space. */
export const withoutMm = (scene: Scene, world: World, mm: string): World =>
  scene.cast.addresses('cpu').reduce((next, on) => {
    const { ctxs, tlb } = cpuIn(scene, next, on);
    const { [mm]: _, ...others } = ctxs;
    return scene.cast.learn(next, on, { ctxs: others, tlb: Object.fromEntries(Object.entries(tlb).filter(([key]) => !isAsid(key, mm))) });
  }, world);

/** A CPU that may use what it has cached of this address space has none of this page. */
export const isFlushedIn = ({ loadedMm, lazy, tlb }: CpuContext, mm: string, vpn: number): boolean =>
  loadedMm !== mm || lazy || tlb[asidKey(mm, vpn)] === undefined;

export const isFlushed = (scene: Scene, world: World, mm: string, vpn: number): boolean =>
  scene.cast.addresses('cpu').every((on) => isFlushedIn(cpuIn(scene, world, on), mm, vpn));
