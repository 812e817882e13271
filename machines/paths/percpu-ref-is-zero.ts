import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

interface Context {
  ref: Address;
  switchLock: Address;
  caller: Address;
  zero: boolean;
}

type Event =
  | { type: 'step' }
  | Call
  | Signed<{ type: 'locked' }>
  | Signed<{ type: 'ref.word'; mode: 'percpu' | 'atomic'; dead: boolean }>
  | Signed<{ type: 'ref.data'; present: boolean; count?: number } | { type: 'ref.count'; value: number }>;

const { tell } = speaker<Context, Event>();

/** percpu_ref_is_zero (lib/percpu-refcount.c, 6.12): loads the data block's pointer, then the count in it. Returns `{ zero }`. */
export const percpuRefIsZero = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { ref: Address; switchLock: Address } },
  guards: {
    /** DEAD without ATOMIC, in the middle of a kill, counts as atomic. */
    isPercpu: ({ event }) => received(event, 'ref.word').mode === 'percpu' && !received(event, 'ref.word').dead,
    present: ({ event }) => received(event, 'ref.data').present,
    /** Safeguard: pointer and count are read under the lock under which percpu_ref_exit takes the block away. */
    takesSwitchLock: () => true,
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from, zero: false }),
    loadWord: tell(({ context }) => context.ref, { type: 'ref.load' }),
    lock: tell(({ context }) => context.switchLock, { type: 'lock' }),
    unlock: tell(({ context }) => context.switchLock, { type: 'unlock' }),
    loadData: tell(({ context }) => context.ref, { type: 'ref.data' }),
    read: tell(({ context }) => context.ref, { type: 'ref.read' }),
    note: assign({ zero: ({ event }) => received(event, 'ref.count').value === 0 }),
    noteFinal: assign({ zero: ({ event }) => received(event, 'ref.data').count === 0 }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', zero: context.zero }),
    ),
    forget: assign({ caller: '', zero: false }),
  },
}).createMachine({
  id: 'percpu_ref_is_zero',
  context: ({ input }) => ({ ...input, caller: '', zero: false }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: '__ref_is_percpu', actions: 'remember' } } },
    __ref_is_percpu: {
      description: 'In per-CPU mode nobody knows: not zero',
      on: {
        step: { actions: 'loadWord' },
        'ref.word': [
          { guard: 'isPercpu', target: 'idle', actions: ['return', 'forget'] },
          { guard: 'takesSwitchLock', target: 'spin_lock_irqsave' },
          { target: 'ref_data' },
        ],
      },
    },
    spin_lock_irqsave: { description: 'Takes percpu_ref_switch_lock', on: { step: { actions: 'lock', target: 'spin_on_switch_lock' } } },
    spin_on_switch_lock: { description: 'Spins while another has it', on: { locked: { target: 'ref_data' } } },
    ref_data: {
      description: 'Loads ref->data; after percpu_ref_exit there is none, and the word has the final count',
      on: {
        step: { actions: 'loadData' },
        'ref.data': [
          { guard: 'present', target: 'atomic_long_read' },
          { target: 'spin_unlock_irqrestore', actions: 'noteFinal' },
        ],
      },
    },
    atomic_long_read: {
      description: 'Reads the count through the pointer loaded before',
      on: { step: { actions: 'read' }, 'ref.count': { target: 'spin_unlock_irqrestore', actions: 'note' } },
    },
    spin_unlock_irqrestore: {
      description: 'Drops the lock and returns',
      always: [
        { guard: 'takesSwitchLock', target: 'idle', actions: ['unlock', 'return', 'forget'] },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
  },
});
