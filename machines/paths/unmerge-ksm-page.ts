import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, mappingPte, type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  /** handle_mm_fault of its task. */
  fault: Address;
  /** Whether it holds mmap_lock for writing; default: yes, as MADV_UNMERGEABLE. KSM itself (break_cow) reads. */
  forWriting?: boolean;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  pfn: number;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ ok: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'page.counts'; protection?: 'stable' | 'record' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, ok: true };

/**
 * break_ksm of one page (mm/ksm.c, 6.12), called by unmerge_ksm_pages for MADV_UNMERGEABLE, under mmap_lock for writing, and by break_cow,
 * which undoes a merge, under mmap_lock for reading: as long as the pte maps a stable page, a fault is made for it that unshares. The page
 * comes back exclusive, and read-only. Called with the page; returns `{ ok }`, not ok without memory for the copy. Domain table part 2, 1f.
 */
export const unmergeKsmPage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isForWriting: ({ context }) => context.forWriting,
    found: ({ event }) => received(event, 'vma').result === 'found',
    isPresent: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    isStable: ({ event }) => received(event, 'page.counts').protection === 'stable',
    ok: ({ event }) => received(event, 'return').ok,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    readLockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    writeLockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    readUnlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    writeUnlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePfn: assign({
      pfn: ({ event }) => {
        const pte = mappingPte(received(event, 'pte').pte);
        return pte.kind === 'present' ? pte.pfn : -1;
      },
    }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, unshare: true }),
    ),
    fail: assign({ ok: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'break_ksm',
  context: ({ input }) => ({ forWriting: true, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_lock', actions: 'remember' } } },
    mmap_lock: {
      description: 'Takes mmap_lock, for writing or for reading',
      on: {
        step: [
          { guard: 'isForWriting', target: 'wait_for_mmap_lock', actions: 'writeLockMm' },
          { target: 'wait_for_mmap_lock', actions: 'readLockMm' },
        ],
      },
    },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'find_mergeable_vma' } } },
    find_mergeable_vma: {
      description: 'No VMA: nothing to break',
      entry: 'findVma',
      on: { vma: [{ guard: 'found', target: 'folio_walk_start' }, { target: 'mmap_unlock' }] },
    },
    folio_walk_start: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'What is mapped there?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isPresent', target: 'folio_test_ksm', actions: 'notePfn' }, { target: 'folio_walk_end' }] },
    },
    folio_test_ksm: {
      description: 'A stable page?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isStable', target: 'folio_walk_end_stable' }, { target: 'folio_walk_end' }] },
    },
    folio_walk_end_stable: { description: 'Yes: drops the page-table lock', on: { step: { target: 'handle_mm_fault', actions: 'unlockPtl' } } },
    handle_mm_fault: {
      description: 'FAULT_FLAG_UNSHARE: a copy; it may have found that something else had changed, so look again',
      entry: 'callFault',
      on: {
        return: [
          { guard: 'ok', target: 'folio_walk_start' },
          { target: 'mmap_unlock', actions: 'fail' },
        ],
      },
    },
    folio_walk_end: { description: 'No: drops the page-table lock', on: { step: { target: 'mmap_unlock', actions: 'unlockPtl' } } },
    mmap_unlock: {
      description: 'Drops mmap_lock and returns',
      on: {
        step: [
          { guard: 'isForWriting', target: 'idle', actions: ['writeUnlockMm', 'return', 'forget'] },
          { target: 'idle', actions: ['readUnlockMm', 'return', 'forget'] },
        ],
      },
    },
  },
});
