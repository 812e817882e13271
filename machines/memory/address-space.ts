import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** A page-table entry. `special`: core mm holds no reference on this pfn; `devmap`: the struct page may vanish. */
export type Pte =
  | { kind: 'none' }
  | { kind: 'present'; pfn: number; write: boolean; dirty: boolean; devmap: boolean; special: boolean }
  | { kind: 'swap'; slot: number }
  | { kind: 'migration'; pfn: number; write: boolean }
  | { kind: 'devexcl'; pfn: number };

export type PresentPte = Extract<Pte, { kind: 'present' }>;
export type PteReply = { type: 'pte'; pte: Pte };

/** Which translations a flush drops. */
export interface FlushRequest {
  vpns: number[] | 'all';
}

/** The address of the actor that is page frame `pfn`. */
export const pageAt = (pfn: number): Address => `page${pfn}`;

/** A present pte of a file or device page; a dax pte up to 6.16 carries devmap and special. */
export const presentPte = (pfn: number, flags: Partial<Omit<PresentPte, 'kind' | 'pfn'>> = {}): PresentPte => ({
  kind: 'present',
  pfn,
  write: true,
  dirty: false,
  devmap: false,
  special: false,
  ...flags,
});

const none: Pte = { kind: 'none' };

interface Context {
  /** Keyed by virtual page number. */
  ptes: Record<string, Pte>;
  /** Virtual page numbers that a VMA covers. */
  vmas: number[];
  /** CPUs that may hold translations of it (mm_cpumask). */
  cpumask: Address[];
  /** mm.context.tlb_gen (x86). */
  tlbGen: number;
  /** Gathers under way (mm.tlb_flush_pending). */
  tlbFlushPending: number;
  hasPinned: boolean;
  writeProtectSeq: number;
}

type Event =
  | Signed<{ type: 'pte.read'; vpn: number } | { type: 'pte.walk'; vpn: number; write: boolean }>
  | Signed<{ type: 'pte.get_and_clear'; vpn: number } | { type: 'pte.set'; vpn: number; pte: Pte }>
  | Signed<{ type: 'pmd.read'; vpn: number } | { type: 'vma.find'; vpn: number } | { type: 'vma.unlink'; vpns: number[] }>
  | Signed<{ type: 'tlb_gen.inc' } | { type: 'cpumask.read' } | { type: 'cpumask.set'; cpu: Address } | { type: 'cpumask.clear'; cpu: Address }>
  | Signed<{ type: 'gather.begin' } | { type: 'gather.end' } | { type: 'gather.read' }>
  | Signed<{ type: 'has_pinned.set' } | { type: 'seqcount.read' }>;

const { reply } = speaker<Context, Event>();

/** What a hardware walk leaves in the pte: a store sets D. */
const walked = (pte: Pte, write: boolean): Pte => (write && pte.kind === 'present' && pte.write ? { ...pte, dirty: true } : pte);
const pteOf = (context: Context, vpn: number): Pte => context.ptes[vpn] ?? none;

/**
 * One address space (mm_struct): page table, VMAs, mm_cpumask and TLB generation. Every read or write of a pte is one
 * atomic access. Its locks (mmap_lock, the page-table lock) are actors of their own, since paths wait for them.
 */
export const addressSpace = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { ptes: Record<string, Pte>; vmas: number[]; cpumask: Address[] } },
  actions: {
    replyPte: reply(({ context, event }) => {
      const { vpn } = received(event, 'pte.read', 'pte.get_and_clear');
      return { type: 'pte', pte: pteOf(context, vpn) };
    }),
    replyWalked: reply(({ context, event }) => {
      const { vpn, write } = received(event, 'pte.walk');
      return { type: 'pte', pte: walked(pteOf(context, vpn), write) };
    }),
    markWalked: assign({
      ptes: ({ context, event }) => {
        const { vpn, write } = received(event, 'pte.walk');
        const before = pteOf(context, vpn);
        const after = walked(before, write);
        return after === before ? context.ptes : { ...context.ptes, [vpn]: after };
      },
    }),
    clear: assign({ ptes: ({ context, event }) => ({ ...context.ptes, [received(event, 'pte.get_and_clear').vpn]: none }) }),
    set: assign({
      ptes: ({ context, event }) => {
        const { vpn, pte } = received(event, 'pte.set');
        return { ...context.ptes, [vpn]: pte };
      },
    }),
    replyPmd: reply({ type: 'pmd', kind: 'table' }),
    replyVma: reply(({ context, event }) => ({ type: 'vma', result: context.vmas.includes(received(event, 'vma.find').vpn) ? 'found' : 'none' })),
    unlink: assign({ vmas: ({ context, event }) => context.vmas.filter((vpn) => !received(event, 'vma.unlink').vpns.includes(vpn)) }),
    nextGen: assign({ tlbGen: ({ context }) => context.tlbGen + 1 }),
    replyGen: reply(({ context }) => ({ type: 'tlb_gen', gen: context.tlbGen })),
    replyCpumask: reply(({ context }) => ({ type: 'cpumask', cpus: context.cpumask })),
    setCpu: assign({ cpumask: ({ context, event }) => [...new Set([...context.cpumask, received(event, 'cpumask.set').cpu])].sort() }),
    clearCpu: assign({ cpumask: ({ context, event }) => context.cpumask.filter((cpu) => cpu !== received(event, 'cpumask.clear').cpu) }),
    gatherBegin: assign({ tlbFlushPending: ({ context }) => context.tlbFlushPending + 1 }),
    gatherEnd: assign({ tlbFlushPending: ({ context }) => context.tlbFlushPending - 1 }),
    replyGathers: reply(({ context }) => ({ type: 'gathers', pending: context.tlbFlushPending })),
    setPinned: assign({ hasPinned: true }),
    replySeq: reply(({ context }) => ({ type: 'seqcount', value: context.writeProtectSeq })),
  },
}).createMachine({
  id: 'mm',
  description: 'struct mm_struct with its page table; one atomic access a message',
  context: ({ input }) => ({ ...input, tlbGen: 1, tlbFlushPending: 0, hasPinned: false, writeProtectSeq: 0 }),
  on: {
    'pte.read': { actions: 'replyPte', description: 'READ_ONCE of a pte' },
    'pte.walk': { actions: ['markWalked', 'replyWalked'], description: 'the hardware walker: sets D for a store, by a locked update' },
    'pte.get_and_clear': { actions: ['replyPte', 'clear'], description: 'Z3: an exchange, since the walker may set D in between' },
    'pte.set': { actions: 'set' },
    'pmd.read': { actions: 'replyPmd' },
    'vma.find': { actions: 'replyVma' },
    'vma.unlink': { actions: 'unlink' },
    'tlb_gen.inc': { actions: ['nextGen', 'replyGen'], description: 'F1' },
    'cpumask.read': { actions: 'replyCpumask', description: 'F2' },
    'cpumask.set': { actions: 'setCpu' },
    'cpumask.clear': { actions: 'clearCpu' },
    'gather.begin': { actions: 'gatherBegin', description: 'Z1: tlb_flush_pending++' },
    'gather.end': { actions: 'gatherEnd', description: 'Z15: tlb_flush_pending--' },
    'gather.read': { actions: 'replyGathers', description: 'Z11: mm_tlb_flush_nested' },
    'has_pinned.set': { actions: 'setPinned', description: 'G1' },
    'seqcount.read': { actions: 'replySeq', description: 'G2, G14' },
  },
});
