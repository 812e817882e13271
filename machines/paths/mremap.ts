import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { Pte, PteReply } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
}

interface Context extends Input {
  caller: Address;
  from: number;
  to: number;
  pte: Pte;
}

type Event = { type: 'step' } | Call<{ vpn: number; newVpn: number }> | Return | Signed<PteReply> | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', from: -1, to: -1, pte: none };

/**
 * mremap of one page (move_ptes; mm/mremap.c, 4.20 to 6.12): mmap_lock for writing, a new VMA, the pte moved under the
 * page-table lock and its old address flushed, the old VMA away. Reverse-map walkers (truncation, reclaim) do not take
 * mmap_lock: they find the page at its new address as soon as the page-table lock is free. Row B15.
 */
export const mremap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isNone: ({ event }) => received(event, 'pte').pte.kind === 'none',
    /** A swap or migration entry: no TLB can hold it. */
    isNotPresent: ({ context }) => context.pte.kind !== 'present',
    /** Safeguard (eb66ae030829): whoever frees the page through its new address flushes that address only. */
    flushesUnderPtl: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, newVpn } = received(event, 'call');
      return { caller: from, from: vpn, to: newVpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    linkNew: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.link', vpns: [context.to] }),
    ),
    unlinkOld: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.unlink', vpns: [context.from] }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    clear: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.from }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    set: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.to, pte: context.pte }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.from] }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'mremap',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'copy_vma' } } },
    copy_vma: { description: 'The VMA at the new address', on: { step: { target: 'pte_offset_map_lock', actions: 'linkNew' } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get_and_clear' } } },
    ptep_get_and_clear: {
      description: 'Takes the pte from the old address; nothing there: nothing to move',
      on: {
        step: { actions: 'clear' },
        pte: [
          { guard: 'isNone', target: 'pte_unmap_unlock' },
          { target: 'set_pte_at', actions: 'notePte' },
        ],
      },
    },
    set_pte_at: {
      description: 'And stores it at the new one',
      on: {
        step: [
          { guard: 'isNotPresent', target: 'pte_unmap_unlock', actions: 'set' },
          { guard: 'flushesUnderPtl', target: 'flush_tlb_range', actions: 'set' },
          { target: 'pte_unmap_unlock_early', actions: 'set' },
        ],
      },
    },
    flush_tlb_range: { description: 'Flushes the old address, under the page-table lock', entry: 'callFlush', on: { return: { target: 'pte_unmap_unlock' } } },
    pte_unmap_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'do_vmi_munmap', actions: 'unlockPtl' } } },
    pte_unmap_unlock_early: {
      description: 'Row B15: drops the page-table lock before the flush',
      on: { step: { target: 'flush_tlb_range_late', actions: 'unlockPtl' } },
    },
    flush_tlb_range_late: { description: 'Row B15: flushes the old address', entry: 'callFlush', on: { return: { target: 'do_vmi_munmap' } } },
    do_vmi_munmap: { description: 'The VMA at the old address goes', on: { step: { target: 'mmap_write_unlock', actions: 'unlinkOld' } } },
    mmap_write_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
