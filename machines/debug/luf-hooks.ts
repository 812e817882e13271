import type { Address, Signed } from '../../src/system/message.js';
import type { Pte } from '../memory/address-space.js';

/** One link of the debug lists: this CPU's flush was skipped when this folio was unmapped here. */
export interface LufRecord {
  cpu: Address;
  /** The frame that this CPU may still have cached. */
  pfn: number;
  /** The frame whose list it is in: the same, or a copy of it. */
  listed: number;
  mapping: Address | null;
  index: number;
  mm: Address;
  vpn: number;
  /** Tasks whose flush of this CPU began after it was made, and is under way. */
  flushing: Address[];
}

interface Unmapped {
  pfn: number;
  mapping: Address | null;
  index: number;
  /** Where it was mapped. */
  places: { mm: Address; vpn: number }[];
  /** CPUs that may have it cached. */
  cpus: Address[];
}

/**
 * What the paths tell a debug mode. It only listens. `luf.unmap`: a pte was cleared whose flush is put off, if the others
 * qualify; under its lock. `luf.skip`: the folio is unmapped, and its flush is skipped.
 */
export type LufHook =
  | Signed<{ type: 'luf.skip'; write: boolean } & Unmapped>
  | Signed<{ type: 'luf.unmap' } & Unmapped>
  | Signed<{ type: 'luf.flush_begin'; cpus: Address[]; task: Address } | { type: 'luf.flushed'; cpus: Address[]; task: Address }>
  | Signed<{ type: 'luf.tlb_flushed'; mm: Address }>
  | Signed<{ type: 'luf.mkwrite'; pfn: number; mapping: Address | null; index: number; task: Address }>
  | Signed<{ type: 'luf.return_to_user'; task?: Address }>
  | Signed<{ type: 'luf.content'; mapping: Address; index: number }>
  | Signed<{ type: 'luf.write_end'; mapping: Address; task: Address } | { type: 'luf.written'; mapping: Address; task: Address }>
  | Signed<{ type: 'luf.alloc'; pfns: number[] } | { type: 'luf.cleared'; pfn: number } | { type: 'luf.copied'; source: number; copy: number }>
  | Signed<{ type: 'luf.pte_set'; vpn: number; pte: Pte } | { type: 'luf.slot_set'; index: number; pfn: number }>
  | Signed<{ type: 'luf.withdrawn'; mm: Address; vpns: number[] }>;

/** The records of a skipped flush, one a CPU and place. */
export const recordsOf = ({ cpus, pfn, mapping, index, places }: Unmapped): LufRecord[] =>
  cpus.flatMap((cpu) => places.map(({ mm, vpn }) => ({ cpu, pfn, listed: pfn, mapping, index, mm, vpn, flushing: [] })));

const key = ({ cpu, mm, vpn, pfn, listed }: LufRecord): string => `${cpu} ${mm} ${vpn} ${pfn} ${listed}`;

/** Links more records, each once. */
export function linked(records: readonly LufRecord[], more: readonly LufRecord[]): LufRecord[] {
  const all = new Map([...records, ...more].map((record) => [key(record), record]));
  return [...all.keys()].sort().map((name) => all.get(name) as LufRecord);
}
