import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  cpu: Address;
  allocator: Address;
  /** Pays what a free page owes; null: a kernel without LUF. */
  lufFlush: Address | null;
  /** The zone's lock, where CPUs contend for it; null: pages come from the CPU's own list. */
  zoneLock?: Address;
  debug: Address | null;
  task: Address;
}

interface Context extends Omit<Input, 'zoneLock'> {
  zoneLock: Address | null;
  caller: Address;
  order: number;
  pfns: number[];
  lufKey: number | null;
}

type Event =
  | { type: 'step' }
  | Call<{ order?: number }>
  | Return
  | Signed<{ type: 'locked' } | { type: 'page'; pfn: number | null; pfns?: number[]; lufKey?: number }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', order: 0, pfns: [] as number[], lufKey: null };

/**
 * alloc_pages (mm/page_alloc.c, 6.12) with LUF's way out of the allocator: a page that still owes a flush is handed out
 * only when that is paid. Called with the order; returns the page frames, none when there is no memory. Domain table, part
 * 2, 1b; rows L3, L16.
 */
export const allocPages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    takesZoneLock: ({ context }) => context.zoneLock !== null,
    gotNone: ({ event }) => received(event, 'page').pfn === null,
    /** Row L16: who waits for IPIs must have interrupts on, and hold no lock that the target may spin on. */
    mustFlushLocked: () => false,
    /** Safeguard (row L3): nobody gets a frame that a TLB still leads to. */
    mustFlush: ({ context }) => context.lufFlush !== null && context.lufKey !== null,
    hasPages: ({ context }) => context.pfns.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, order } = received(event, 'call');
      return { caller: from, order: order ?? 0 };
    }),
    irqsOff: tell(({ context }) => context.cpu, { type: 'irq.save' }),
    irqsOn: tell(({ context }) => context.cpu, { type: 'irq.restore' }),
    lockZone: tell(({ context }) => context.zoneLock as Address, { type: 'lock' }),
    unlockZone: tell(({ context }) => context.zoneLock as Address, { type: 'unlock' }),
    take: tell(
      ({ context }) => context.allocator,
      ({ context }) => ({ type: 'alloc_page', order: context.order }),
    ),
    noteTaken: assign(({ event }) => {
      const { pfn, pfns, lufKey } = received(event, 'page');
      return { pfns: pfns ?? [pfn as number], lufKey: lufKey ?? null };
    }),
    callFlush: tell(
      ({ context }) => context.lufFlush as Address,
      ({ context }) => ({ type: 'call', upTo: context.lufKey }),
    ),
    notePaid: assign({ lufKey: null }),
    prepAll: enqueueActions(({ enqueue, context }) => {
      for (const pfn of context.pfns) enqueue(tell(pageAt(pfn), { type: 'folio.prep_new' }));
    }),
    observe: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.alloc', pfns: context.pfns, task: context.task }),
    ),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', pfns: context.pfns }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'alloc_pages',
  context: ({ input }) => ({ ...input, zoneLock: input.zoneLock ?? null, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'get_page_from_freelist', actions: 'remember' } } },
    get_page_from_freelist: {
      description: "From the CPU's own list, or from the zone's",
      always: [{ guard: 'takesZoneLock', target: 'spin_lock_irqsave' }, { target: 'rmqueue' }],
    },
    spin_lock_irqsave: { description: "The zone's lock, with interrupts off", on: { step: { target: 'spin_on_zone_lock', actions: ['irqsOff', 'lockZone'] } } },
    spin_on_zone_lock: { description: 'Spins while another CPU has it', on: { locked: { target: 'rmqueue' } } },
    rmqueue: {
      description: 'Takes a page from the list',
      on: {
        step: { actions: 'take' },
        page: [
          { guard: 'gotNone', target: 'taken' },
          { target: 'taken_page', actions: 'noteTaken' },
        ],
      },
    },
    taken_page: {
      description: 'Does it owe a flush?',
      always: [{ guard: 'mustFlushLocked', target: 'luf_takeoff_locked' }, { target: 'taken' }],
    },
    luf_takeoff_locked: {
      description: 'Row L16: pays with interrupts off, under the lock',
      entry: 'callFlush',
      on: { return: { target: 'taken', actions: 'notePaid' } },
    },
    taken: {
      description: 'Drops the lock',
      always: [{ guard: 'takesZoneLock', target: 'spin_unlock_irqrestore' }, { target: 'luf_takeoff_start' }],
    },
    spin_unlock_irqrestore: { description: 'Interrupts on', on: { step: { target: 'luf_takeoff_start', actions: ['unlockZone', 'irqsOn'] } } },
    luf_takeoff_start: {
      description: 'A page that owes a flush must not be used yet',
      always: [
        { guard: 'mustFlush', target: 'luf_flush' },
        { guard: 'hasPages', target: 'prep_new_page' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    luf_flush: { description: 'Pays what the page owes', entry: 'callFlush', on: { return: { target: 'prep_new_page', actions: 'notePaid' } } },
    prep_new_page: {
      description: 'Its new owner has it from here',
      on: {
        step: { target: 'idle', actions: ['prepAll', 'observe', 'return', 'forget'] },
      },
    },
  },
});
