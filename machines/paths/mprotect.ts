import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  flush: Address;
  /** flush_tlb_batched_pending. */
  batchedPending: Address;
  /** Who is told when the rights are withdrawn; null: nobody. */
  coherence: Address | null;
  debug: Address | null;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  read: boolean;
  write: boolean;
  pte: Pte;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; read: boolean; write: boolean }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none' }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, read: true, write: true, pte: none };

/**
 * mprotect (mm/mprotect.c, 6.12) of one page, which stays or becomes read-only, or loses all access: under mmap_lock and the page-table lock the pte is taken,
 * changed and put back, and flushed before the system call returns. A pte that reclaim has cleared may have a flush to
 * come: flush_tlb_batched_pending. Called with the page and its new rights. Domain table, part 2, 1a; row L11.
 */
export const mprotect = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'vma').result === 'found',
    isMapping: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isMigration: ({ event }) => received(event, 'pte').pte.kind === 'migration',
    staysReadable: ({ context }) => context.read,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, read, write } = received(event, 'call');
      return { caller: from, vpn, read, write };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    protectVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.protect', vpns: [context.vpn], read: context.read, write: context.write }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    callBatched: tell(({ context }) => context.batchedPending, { type: 'call' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    notePte: assign({ pte: ({ event }) => mappingPte(received(event, 'pte').pte) }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, dirty } = context.pte as Extract<Pte, { kind: 'present' }>;
        return { type: 'pte.set', vpn: context.vpn, pte: presentPte(pfn, { write: false, dirty }) };
      },
    ),
    setReadEntry: tell(
      ({ context }) => context.mm,
      ({ context, event }) => ({ type: 'pte.set', vpn: context.vpn, pte: { ...received(event, 'pte').pte, write: false } }),
    ),
    setNone: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { pfn, dirty } = context.pte as Extract<Pte, { kind: 'present' }>;
        return { type: 'pte.set', vpn: context.vpn, pte: { kind: 'protnone', pfn, dirty } };
      },
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    allow: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.allow', mm: context.mm, vpn: context.vpn, read: context.read, write: context.write }),
    ),
    withdraw: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.protect', mm: context.mm, vpn: context.vpn, read: context.read, write: context.write }),
    ),
    observeWithdrawal: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.withdrawn', mm: context.mm, vpns: [context.vpn] }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'mprotect',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'mprotect_fixup' } } },
    mprotect_fixup: {
      description: 'The VMA has the new rights; no VMA: -ENOMEM',
      on: {
        step: { actions: 'findVma' },
        vma: [{ guard: 'found', target: 'pte_offset_map_lock', actions: ['protectVma', 'allow'] }, { target: 'mmap_write_unlock_failed' }],
      },
    },
    mmap_write_unlock_failed: { description: 'Returns; nothing has changed', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'flush_tlb_batched_pending' } } },
    flush_tlb_batched_pending: {
      description: 'A flush that reclaim has put into a batch is done now',
      entry: 'callBatched',
      on: { return: { target: 'change_pte_range' } },
    },
    change_pte_range: {
      description: 'Is there a pte?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isMapping', target: 'ptep_modify_prot_start' },
          { guard: 'isMigration', target: 'unlock_unchanged', actions: 'setReadEntry' },
          { target: 'unlock_unchanged' },
        ],
      },
    },
    unlock_unchanged: { description: 'No pte, so nothing to flush', on: { step: { target: 'mmap_write_unlock', actions: 'unlockPtl' } } },
    ptep_modify_prot_start: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'ptep_modify_prot_commit', actions: 'notePte' } },
    },
    ptep_modify_prot_commit: {
      description: 'Puts it back with fewer rights',
      on: {
        step: [
          { guard: 'staysReadable', target: 'flush_tlb_range', actions: ['setPte', 'unlockPtl'] },
          { target: 'flush_tlb_range', actions: ['setNone', 'unlockPtl'] },
        ],
      },
    },
    flush_tlb_range: { description: 'Before the system call returns', entry: 'callFlush', on: { return: { target: 'mmap_write_unlock' } } },
    mmap_write_unlock: {
      description: 'Returns: the rights are withdrawn',
      on: { step: { target: 'idle', actions: ['unlockMm', 'withdraw', 'observeWithdrawal', 'return', 'forget'] } },
    },
  },
});
