import type { Arbitrary } from 'fast-check';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import { shown } from './options.js';
import { type LufProgram, lufPrograms } from './programs-luf.js';
import { type MmuNotifierProgram, mmuNotifierPrograms } from './programs-mmu-notifier.js';
import { type TlbShootdownProgram, tlbShootdownPrograms } from './programs-tlb-shootdown.js';
import { type WriteProtectProgram, writeProtectPrograms } from './programs-write-protect.js';

/** Which threads there are, and what they do, by scenario. */
export interface Programs {
  'tlb-shootdown': TlbShootdownProgram;
  luf: LufProgram;
  'mmu-notifier': MmuNotifierProgram;
  'write-protect': WriteProtectProgram;
}

const kinds: { readonly [K in keyof Programs]: () => Arbitrary<Programs[K]> } = {
  'tlb-shootdown': tlbShootdownPrograms,
  luf: lufPrograms,
  'mmu-notifier': mmuNotifierPrograms,
  'write-protect': writeProtectPrograms,
};

/**
 * Programs for the threads of a scenario's systems, as plain data: the part of a setup that says who does what. The other part, the machines, comes
 * from the reference setup: `tlbShootdownSystem('random', { ...shootdownReference, ...program })`, and likewise `writeProtectSystem` with `protection`,
 * `mirrorSystem` with `mirror`, `lufSystem` with `strictLuf`. What the model leaves out is not asked of it.
 * @throws {UsageError} for a scenario that takes no programs.
 */
export function programs<K extends keyof Programs>(kind: K): Arbitrary<Programs[K]> {
  const names = Object.keys(kinds);
  if (!Object.hasOwn(kinds, kind))
    throw new UsageError(`programs takes ${names.join(', ')}, not ${shown(kind)}${typeof kind === 'string' ? didYouMean(kind, names) : ''}`);
  return kinds[kind]();
}
