import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  /** handle_mm_fault, to break copy-on-write. */
  fault: Address;
  putPage: Address;
  flush: Address;
  coherence: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  cell: string;
  pfn: number;
  value: string;
  /** The pte gives access; else the VMA does not (PROT_NONE), and it stays so. */
  accessible: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; cell: string }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'page.counts'; exclusive?: boolean } | { type: 'write.value'; value: string }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, cell: '', pfn: -1, value: '', accessible: true };
type Present = Extract<Pte, { kind: 'present' }>;

/**
 * Registering a uprobe since 6.16: uprobe_write, __uprobe_write (kernel/events/uprobes.c). GUP with FOLL_WRITE and FOLL_FORCE gives
 * an anonymous page that nobody shares; under the page-table lock its pte is cleared and flushed, the breakpoint is
 * written in place, and the pte set again. Called with the page. Domain table, part 2, 1c.
 */
export const uprobeWrite = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
    faultedIn: ({ event }) => received(event, 'return').ok === true,
    isUnchanged: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, cell } = received(event, 'call');
      return { caller: from, vpn, cell };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePage: assign(({ event }) => {
      const { pte } = received(event, 'pte');
      return { pfn: (mappingPte(pte) as Present).pfn, accessible: pte.kind === 'present' };
    }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: true }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    beginWrite: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.begin', cell: context.cell }),
    ),
    write: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'write.value').value }),
    ),
    noteValue: assign({ value: ({ event }) => received(event, 'write.value').value }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: context.vpn,
        pte: context.accessible ? presentPte(context.pfn, { write: false, dirty: true }) : { kind: 'protnone', pfn: context.pfn, dirty: true },
      }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    complete: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.complete', cell: context.cell, value: context.value }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'uprobe_write',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'register_for_each_vma takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'get_user_page_vma_remote' } } },
    get_user_page_vma_remote: {
      description: 'GUP for a store, forced: what is mapped here?',
      on: { step: { actions: 'readPte' }, pte: [{ guard: 'isMapping', target: 'can_follow_write_pte', actions: 'notePage' }, { target: 'handle_mm_fault' }] },
    },
    can_follow_write_pte: {
      description: 'A private page that nobody shares, or copy-on-write must be broken first',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isExclusive', target: 'folio_walk_start', actions: 'get' }, { target: 'handle_mm_fault' }] },
    },
    handle_mm_fault: {
      description: 'Maps a page, or a copy',
      entry: 'callFault',
      on: { return: [{ guard: 'faultedIn', target: 'get_user_page_vma_remote' }, { target: 'mmap_write_unlock_failed' }] },
    },
    folio_walk_start: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Is the page mapped here still? Else anew',
      entry: 'readPte',
      on: { pte: [{ guard: 'isUnchanged', target: 'check_exclusive' }, { target: 'folio_walk_end' }] },
    },
    check_exclusive: {
      description: 'And nobody shares it still? Else anew',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isExclusive', target: 'ptep_clear_flush' }, { target: 'folio_walk_end' }] },
    },
    folio_walk_end: { description: 'Drops the lock', on: { step: { target: 'put_again', actions: 'unlockPtl' } } },
    put_again: { description: 'Its reference', entry: 'callPut', on: { return: { target: 'get_user_page_vma_remote' } } },
    ptep_clear_flush: { description: 'Clears the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: {
      description: 'IPIs under the page-table lock: what any TLB has of this address goes, of older pages too',
      entry: 'callFlush',
      on: { return: { target: 'copy_to_page' } },
    },
    copy_to_page: {
      description: 'Writes the breakpoint in place; a write barrier',
      on: { step: { actions: 'beginWrite' }, 'write.value': { target: 'set_pte_at', actions: ['write', 'noteValue'] } },
    },
    set_pte_at: { description: 'Maps it again, dirty', on: { step: { target: 'folio_put', actions: ['setPte', 'unlockPtl'] } } },
    folio_put: { description: 'Its reference', entry: 'callPut', on: { return: { target: 'mmap_write_unlock' } } },
    mmap_write_unlock_failed: { description: 'Not registered', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
    mmap_write_unlock: {
      description: 'Registered: whoever executes the instruction now must hit the breakpoint',
      on: { step: { target: 'idle', actions: ['unlockMm', 'complete', 'return', 'forget'] } },
    },
  },
});
