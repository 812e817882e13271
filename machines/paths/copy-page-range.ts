import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** The address space of the new process, with no pte yet. */
  child: Address;
  coherence: Address | null;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  pte: Pte;
}

type Event = { type: 'step' } | Call<{ vpn: number }> | Return | Signed<PteReply> | Signed<{ type: 'locked' }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, pte: none };
type Mapping = Extract<Pte, { kind: 'present' | 'protnone' }>;
/** An entry as two processes have it. */
const shared = (pte: Pte): Pte => {
  if (pte.kind === 'migration') return { kind: 'migration', pfn: pte.pfn, write: false };
  return pte.kind === 'swap' ? { kind: 'swap', slot: pte.slot } : pte;
};

/**
 * fork of one private page: dup_mmap, copy_page_range, copy_present_pte (kernel/fork.c, mm/memory.c, 6.12). The parent's pte
 * becomes read-only, the child gets the same; a flush of the parent before mmap_lock is dropped makes that true for its
 * TLBs. Swap and migration entries are copied. Called with the page. Domain table, part 2, 1b (row L7, anonymous form).
 */
export const copyPageRange = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isEntry: ({ event }) => received(event, 'pte').pte.kind !== 'none',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    get: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.add_rmap' }),
    shareFolio: tell(({ context }) => pageAt((context.pte as Mapping).pfn), { type: 'folio.set_exclusive', exclusive: false }),
    protectParent: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.wrprotect', vpn: context.vpn }),
    ),
    setChild: tell(
      ({ context }) => context.child,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: context.pte.kind === 'present' ? { ...context.pte, write: false } : context.pte }),
    ),
    shareEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: shared(context.pte) }),
    ),
    copyEntry: tell(
      ({ context }) => context.child,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: shared(context.pte) }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    observeFork: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.fork', mm: context.mm, vpn: context.vpn, child: context.child }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'copy_page_range',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: "Takes the parent's mmap_lock for writing", on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'copy_pte_range' } } },
    copy_pte_range: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'What is there?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapping', target: 'ptep_set_wrprotect', actions: 'notePte' },
          { guard: 'isEntry', target: 'copy_nonpresent_pte', actions: 'notePte' },
          { target: 'pte_unmap_unlock' },
        ],
      },
    },
    ptep_set_wrprotect: {
      description: 'The page is shared from here, and the parent may not store through this pte any more',
      on: { step: { actions: ['get', 'addRmap', 'shareFolio', 'protectParent'] }, pte: { target: 'set_pte_at', actions: 'notePte' } },
    },
    set_pte_at: { description: "The child's pte", on: { step: { target: 'pte_unmap_unlock', actions: 'setChild' } } },
    copy_nonpresent_pte: {
      description: 'A swap or migration entry is copied',
      on: { step: { target: 'pte_unmap_unlock', actions: ['shareEntry', 'copyEntry'] } },
    },
    pte_unmap_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'flush_tlb_mm', actions: 'unlockPtl' } } },
    flush_tlb_mm: { description: "The parent's TLBs may still store", entry: 'callFlush', on: { return: { target: 'mmap_write_unlock' } } },
    mmap_write_unlock: { description: 'The child runs from here', on: { step: { target: 'idle', actions: ['unlockMm', 'observeFork', 'return', 'forget'] } } },
  },
});
