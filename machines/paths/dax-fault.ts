import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  mapping: Address;
  invalidateLock: Address;
  dax: Address;
  srcu: Address;
  /** Up to 6.16: ptes carry the devmap (and special) bits. */
  devmap: boolean;
  /** Since 6.15: each mapping holds a reference of the page. */
  refPerMapping: boolean;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  pfn: number;
  head: number;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'dax.state'; state: 'alive' | 'dead' } | { type: 'block'; pfn: number | null }>
  | Signed<{ type: 'page.head'; head: number } | { type: 'folio.got' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, head: -1, ok: false };

/**
 * handle_mm_fault on a dax mapping (fs/dax.c, drivers/dax/device.c; 5.10 to 7.3): inside the SRCU section dax_srcu it
 * looks whether the device is alive, finds the block, and inserts a pte. Domain table 0.1 FAULT, 1.e, rows A8b, A8c.
 * Returns `{ ok }`; not ok is SIGBUS.
 */
export const daxFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard: a device on its way out hands out no page. */
    daxAlive: ({ event }) => received(event, 'dax.state').state === 'alive',
    hasBlock: ({ event }) => received(event, 'block').pfn !== null,
    isMapped: ({ event }) => received(event, 'pte').pte.kind !== 'none',
    refPerMapping: ({ context }) => context.refPerMapping,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockInvalidate: tell(({ context }) => context.invalidateLock, { type: 'down_read' }),
    unlockInvalidate: tell(({ context }) => context.invalidateLock, { type: 'up_read' }),
    srcuLock: tell(({ context }) => context.srcu, { type: 'rcu.read_lock' }),
    srcuUnlock: tell(({ context }) => context.srcu, { type: 'rcu.read_unlock' }),
    askAlive: tell(({ context }) => context.dax, { type: 'dax.alive' }),
    readBlock: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'block.read', index: context.vpn }),
    ),
    notePfn: assign({ pfn: ({ event }) => received(event, 'block').pfn ?? -1 }),
    touch: tell(({ context }) => pageAt(context.pfn), { type: 'page.head' }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    get: tell(({ context }) => pageAt(context.head), { type: 'folio.get' }),
    addRmap: tell(({ context }) => pageAt(context.head), { type: 'folio.add_rmap' }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.pfn, { devmap: context.devmap, special: context.devmap }) }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'handle_mm_fault',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'filemap_invalidate_lock_shared', actions: 'remember' } } },
    filemap_invalidate_lock_shared: { description: 'Keeps truncation away', on: { step: { target: 'wait_for_invalidate_lock', actions: 'lockInvalidate' } } },
    wait_for_invalidate_lock: { description: 'Sleeps while a truncation runs', on: { locked: { target: 'dax_read_lock' } } },
    dax_read_lock: { description: 'Enters the SRCU section dax_srcu', on: { step: { target: 'dax_alive', actions: 'srcuLock' } } },
    dax_alive: {
      description: 'Is the device still there?',
      on: { step: { actions: 'askAlive' }, 'dax.state': [{ guard: 'daxAlive', target: 'iomap_begin' }, { target: 'dax_read_unlock' }] },
    },
    iomap_begin: {
      description: 'Which block is at this offset?',
      on: { step: { actions: 'readBlock' }, block: [{ guard: 'hasBlock', target: 'dax_associate_entry', actions: 'notePfn' }, { target: 'dax_read_unlock' }] },
    },
    dax_associate_entry: {
      description: 'Writes mapping and index into the struct page',
      on: { step: { actions: 'touch' }, 'page.head': { target: 'pte_offset_map_lock', actions: 'noteHead' } },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'insert_page' } } },
    insert_page: {
      description: 'Empty still?',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isMapped', target: 'dax_read_unlock', actions: ['unlockPtl', 'succeed'] },
          { guard: 'refPerMapping', target: 'folio_get' },
          { target: 'set_pte_at' },
        ],
      },
    },
    folio_get: {
      description: 'Since 6.15: the reference of the mapping',
      on: { step: { actions: 'get' }, 'folio.got': { target: 'set_pte_at', actions: 'addRmap' } },
    },
    set_pte_at: {
      description: 'vmf_insert_mixed, or vmf_insert_page_mkwrite since 6.15: from here the hardware can walk to it',
      on: {
        step: { target: 'dax_read_unlock', actions: ['setPte', 'unlockPtl', 'succeed'] },
      },
    },
    dax_read_unlock: {
      description: 'Leaves the SRCU section',
      on: { step: { target: 'filemap_invalidate_unlock_shared', actions: 'srcuUnlock' } },
    },
    filemap_invalidate_unlock_shared: {
      description: 'Lets truncation in again and returns',
      on: { step: { target: 'idle', actions: ['unlockInvalidate', 'return', 'forget'] } },
    },
  },
});
