import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  lufBatch: Address;
  archFlush: Address;
}

interface Context extends Input {
  caller: Address;
  upTo: number | null;
  cpus: Address[];
  /** What was recorded last when the flush began. */
  ugen: number;
}

type Event = { type: 'step' } | Call<{ upTo?: number }> | Return | Signed<{ type: 'owed'; cpus: Address[]; ugen: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', upTo: null, cpus: [] as Address[], ugen: 0 };

/**
 * luf_flush (RFC version 12): pays what is owed, everything or up to a generation, before something changes that a stale
 * translation must not show. A generation that another task has paid needs no IPI. Domain table, part 2, 1b.
 */
export const lufFlush = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: { nothingOwed: ({ event }) => received(event, 'owed').cpus.length === 0 },
  actions: {
    remember: assign(({ event }) => {
      const { from, upTo } = received(event, 'call');
      return { caller: from, upTo: upTo ?? null };
    }),
    readOwed: tell(
      ({ context }) => context.lufBatch,
      ({ context }) => ({ type: 'luf_batch.owed', upTo: context.upTo }),
    ),
    noteOwed: assign(({ event }) => {
      const { cpus, ugen } = received(event, 'owed');
      return { cpus, ugen };
    }),
    callFlush: tell(
      ({ context }) => context.archFlush,
      ({ context }) => ({ type: 'call', cpus: context.cpus }),
    ),
    pay: tell(
      ({ context }) => context.lufBatch,
      ({ context }) => ({ type: 'luf_batch.paid', cpus: context.cpus, ugen: context.ugen }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'luf_flush',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'ugen_before', actions: 'remember' } } },
    ugen_before: {
      description: 'Is anything owed that is not paid yet?',
      on: {
        step: { actions: 'readOwed' },
        owed: [
          { guard: 'nothingOwed', target: 'idle', actions: ['return', 'forget'] },
          { target: 'try_to_unmap_flush', actions: 'noteOwed' },
        ],
      },
    },
    try_to_unmap_flush: { description: 'Flushes the CPUs that owe it', entry: 'callFlush', on: { return: { target: 'ugen_done' } } },
    ugen_done: { description: 'Marks them paid, up to the generation at the start', on: { step: { target: 'idle', actions: ['pay', 'return', 'forget'] } } },
  },
});
