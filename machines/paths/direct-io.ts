import { assign, setup } from 'xstate';
import { type Address, received, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Context {
  gup: Address;
  putPage: Address;
  /** Gives all of them back at once (unpin_user_page_range_dirty_lock), as RDMA does with a memory region; null: page by page. */
  putPages: Address | null;
  /** The buffer. */
  vpns: number[];
  /** FOLL_PIN instead of FOLL_GET. */
  pin: boolean;
  /** What the device does with the buffer; null: it writes, and gup is not told (see gup_fast). */
  access: 'read' | 'write' | null;
  /** Called between pinning and DMA, as by a process that unbinds its own device (row A13); null: nothing. */
  meanwhile: Address | null;
  /** Pages pinned for it. */
  pages: number[];
}

type Event = { type: 'step' } | { type: 'again' } | Return<{ pages?: number[] }>;

const { tell } = speaker<Context, Event>();

/**
 * A thread that reads with O_DIRECT into a user buffer: pins it, lets the disk write into it, unpins it; or has it read by a device.
 * Whoever holds pins is recognised by its `pages` (invariants I2, I12). The choice `again` is the next system call.
 */
export const directIo = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as { gup: Address; putPage: Address; putPages?: Address; vpns: number[]; pin: boolean; access?: 'read' | 'write'; meanwhile?: Address },
  },
  guards: {
    putsAtOnce: ({ context }) => context.putPages !== null,
    hasPages: ({ context }) => context.pages.length > 0,
    doesMore: ({ context }) => context.meanwhile !== null,
    gotPages: ({ event }) => (received(event, 'return').pages ?? []).length > 0,
  },
  actions: {
    callGup: tell(
      ({ context }) => context.gup,
      ({ context }) => ({ type: 'call', vpns: context.vpns, ...(context.access === null ? {} : { write: context.access === 'write' }) }),
    ),
    notePages: assign({ pages: ({ event }) => received(event, 'return').pages ?? [] }),
    callMeanwhile: tell(({ context }) => context.meanwhile as Address, { type: 'call' }),
    access: tell(
      ({ context }) => pageAt(context.pages[0] as number),
      ({ context }) => ({ type: 'memory.access', write: context.access !== 'read' }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pages[0], pinned: context.pin }),
    ),
    callPutPages: tell(
      ({ context }) => context.putPages as Address,
      ({ context }) => ({ type: 'call', pages: context.pages }),
    ),
    dropAll: assign({ pages: [] }),
    // From the call on the pin is put_page's to give back.
    dropFirst: assign({ pages: ({ context }) => context.pages.slice(1) }),
  },
}).createMachine({
  id: 'direct_io',
  context: ({ input }) => ({ access: null, putPages: null, ...input, meanwhile: input.meanwhile ?? null, pages: [] }),
  initial: 'pin_user_pages_fast',
  states: {
    pin_user_pages_fast: {
      description: 'Pins the buffer',
      entry: 'callGup',
      on: { return: [{ guard: 'gotPages', target: 'pinned', actions: 'notePages' }, { target: 'done' }] },
    },
    pinned: { description: 'Holds pins of the buffer', always: [{ guard: 'doesMore', target: 'meanwhile' }, { target: 'dma' }] },
    meanwhile: { description: 'Does something else while it holds the pins', entry: 'callMeanwhile', on: { return: { target: 'dma' } } },
    dma: { description: 'The device writes into the first page, or reads it', on: { step: { target: 'unpin', actions: 'access' } } },
    unpin: {
      description: 'At once, or page by page',
      always: [{ guard: 'putsAtOnce', target: 'unpin_user_page_range_dirty_lock' }, { guard: 'hasPages', target: 'unpin_user_page' }, { target: 'done' }],
    },
    unpin_user_page_range_dirty_lock: { description: 'Folio by folio', entry: ['callPutPages', 'dropAll'], on: { return: { target: 'done' } } },
    unpin_user_page: { description: 'Gives the pin back', entry: ['callPut', 'dropFirst'], on: { return: { target: 'unpin' } } },
    done: { tags: ['rest'], description: 'The system call has returned', on: { again: { target: 'pin_user_pages_fast' } } },
  },
});
