import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  mmapLock: Address;
  zap: Address;
}

interface Context extends Input {
  caller: Address;
  vpns: number[];
}

type Event = { type: 'step' } | Call<{ vpns: number[] }> | Return | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[] };

/**
 * madvise(MADV_DONTNEED) (mm/madvise.c, 6.12): zaps a range under mmap_lock for reading, so that others may run beside it.
 * When it has returned, what the range held is gone for every thread. Domain table: Z1, row B7.
 */
export const madvise = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, vpns };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns, event: 'CLEAR' }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'madvise',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'zap_page_range_single' } } },
    zap_page_range_single: { description: 'Clears, flushes, drops references', entry: 'callZap', on: { return: { target: 'mmap_read_unlock' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
