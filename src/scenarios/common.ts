import { interconnect } from '../../actors/interconnect.js';
import { type ActorSpec, actor } from '../system/system.js';

// What systems of several scenarios are built from.

/** The guards of a machine, as a variant may replace them. */
export type Guards<M extends { provide: (implementations: never) => unknown }> = M extends { provide: (implementations: { guards?: infer G }) => unknown }
  ? G
  : never;

export const entries = <T>(of: Readonly<Record<string, T>>): [string, T][] => Object.entries(of);

/** Whole numbers, from `from` on. */
export const range = (length: number, from = 0): number[] => Array.from({ length }, (_, n) => from + n);

export const cpuAt = (n: number): string => `cpu${n}`;

/** What a CPU may do by itself with the translations of these pages, at any time. */
export const speculation = (vpns: readonly number[]): { type: 'fill' | 'evict'; vpn: number }[] =>
  vpns.flatMap((vpn) => [
    { type: 'fill' as const, vpn },
    { type: 'evict' as const, vpn },
  ]);

/** The interconnect of some CPUs; where it has no IPIs to deliver, that is no choice. */
export const interconnectOf = (cpus: string[], { lane = 'kernel', delivers = true } = {}): ActorSpec =>
  actor(interconnect, { lane, input: { cpus }, choices: delivers ? cpus.map((to) => ({ type: 'deliver' as const, to })) : [] });

/** Paths with those that they call, directly or through others, each after those that it calls, as functions are defined in C. */
export function closure(calls: Readonly<Record<string, readonly string[]>>, paths: readonly string[], without: readonly string[] = []): string[] {
  const all: string[] = [];
  const add = (path: string): void => {
    if (all.includes(path) || without.includes(path)) return;
    for (const callee of calls[path] ?? []) add(callee);
    if (!all.includes(path)) all.push(path);
  };
  for (const path of paths) add(path);
  return all;
}
