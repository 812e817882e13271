import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  allocator: Address;
  putPage: Address;
  /** The VMA's pages belong to nobody else; default true. */
  anonymous?: boolean;
  /** alloc_pages as a path of its own; default: the allocator answers at once. */
  allocPages?: Address;
  debug?: Address | null;
  task?: Address;
}

interface Context extends Required<Omit<Input, 'allocPages'>> {
  allocPages: Address | null;
  caller: Address;
  vpn: number;
  pfn: number;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ pfns?: number[] }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'page'; pfn: number | null }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, ok: false };

/**
 * handle_mm_fault where there is no pte (do_pte_missing, do_anonymous_page; mm/memory.c, 6.12), under mmap_lock: a fresh
 * page, and a pte for it if there is still none. Returns `{ ok }`; not ok is SIGBUS or out of memory.
 */
export const anonFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isAnonymous: ({ context }) => context.anonymous,
    asksPath: ({ context }) => context.allocPages !== null,
    gotPages: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    gotPage: ({ event }) => received(event, 'page').pfn !== null,
    isMapped: ({ event }) => received(event, 'pte').pte.kind !== 'none',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    callAlloc: tell(({ context }) => context.allocPages as Address, { type: 'call' }),
    notePfns: assign({ pfn: ({ event }) => received(event, 'return').pfns?.[0] ?? -1 }),
    clearPage: tell(({ context }) => pageAt(context.pfn), { type: 'memory.write', value: 'zero' }),
    observeMkwrite: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.mkwrite', pfn: context.pfn, mapping: null, index: -1, task: context.task }),
    ),
    alloc: tell(({ context }) => context.allocator, { type: 'alloc_page' }),
    notePfn: assign({ pfn: ({ event }) => received(event, 'page').pfn ?? -1 }),
    prepNew: tell(({ event }) => pageAt(received(event, 'page').pfn as number), { type: 'folio.prep_new' }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    addRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.add_rmap' }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.pfn) }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'do_pte_missing',
  context: ({ input }) => ({ anonymous: true, debug: null, task: '', ...input, allocPages: input.allocPages ?? null, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isAnonymous', target: 'do_anonymous_page', actions: 'remember' },
          { target: 'do_fault', actions: 'remember' },
        ],
      },
    },
    do_fault: {
      description: 'A file that was truncated, or a page that its driver took back: SIGBUS',
      on: { step: { target: 'idle', actions: ['return', 'forget'] } },
    },
    do_anonymous_page: { description: 'A fresh page', always: [{ guard: 'asksPath', target: 'alloc_pages' }, { target: 'alloc_anon_folio' }] },
    alloc_pages: {
      description: 'The allocator, step by step',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPages', target: 'clear_user_highpage', actions: 'notePfns' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    clear_user_highpage: {
      description: 'Zeroes it; the entry is computed here already',
      on: { step: { target: 'pte_offset_map_lock', actions: ['clearPage', 'observeMkwrite'] } },
    },
    alloc_anon_folio: {
      description: 'A fresh page, zeroed',
      on: {
        step: { actions: 'alloc' },
        page: [
          { guard: 'gotPage', target: 'pte_offset_map_lock', actions: ['notePfn', 'prepNew'] },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'vmf_pte_changed' } } },
    vmf_pte_changed: {
      description: 'Empty still? Else another thread was faster, and the page goes back',
      on: {
        step: { actions: 'readPte' },
        pte: [{ guard: 'isMapped', target: 'folio_put', actions: ['unlockPtl', 'succeed'] }, { target: 'folio_add_new_anon_rmap' }],
      },
    },
    folio_put: { description: 'Gives the page back', entry: 'callPut', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
    folio_add_new_anon_rmap: { description: 'The first mapping of the page', on: { step: { target: 'set_pte_at', actions: 'addRmap' } } },
    set_pte_at: {
      description: 'From here the hardware can walk to it',
      on: { step: { target: 'idle', actions: ['setPte', 'unlockPtl', 'succeed', 'return', 'forget'] } },
    },
  },
});
