import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

interface Context {
  cpu: Address;
  rcu: Address;
  ref: Address;
  inRcu: boolean;
  caller: Address;
}

type Event = { type: 'step' } | Call | Signed<{ type: 'ref.word'; mode: 'percpu' | 'atomic'; dead: boolean }> | Signed<{ type: 'ref.count'; value: number }>;

const { tell } = speaker<Context, Event>();

/**
 * percpu_ref_put (include/linux/percpu-refcount.h, 6.12): subtract from this CPU's counter in per-CPU mode, where zero is
 * never noticed; subtract and test in atomic mode, where zero calls `release`.
 */
export const percpuRefPut = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { cpu: Address; rcu: Address; ref: Address; inRcu?: boolean } },
  guards: {
    inRcu: ({ context }) => context.inRcu,
    /** DEAD without ATOMIC, in the middle of a kill, counts as atomic. */
    isPercpu: ({ event }) => received(event, 'ref.word').mode === 'percpu' && !received(event, 'ref.word').dead,
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from }),
    lock: tell(({ context }) => context.rcu, { type: 'rcu.read_lock' }),
    unlock: tell(({ context }) => context.rcu, { type: 'rcu.read_unlock' }),
    load: tell(({ context }) => context.ref, { type: 'ref.load' }),
    decCpu: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.this_cpu_add', cpu: context.cpu, n: -1 }),
    ),
    subAndTest: tell(({ context }) => context.ref, { type: 'ref.sub_and_test', n: 1 }),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign({ caller: '' }),
  },
}).createMachine({
  id: 'percpu_ref_put',
  context: ({ input }) => ({ inRcu: false, ...input, caller: '' }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'inRcu', target: '__ref_is_percpu', actions: 'remember' },
          { target: 'rcu_read_lock', actions: 'remember' },
        ],
      },
    },
    rcu_read_lock: { description: 'From here a grace period that begins cannot end', on: { step: { target: '__ref_is_percpu', actions: 'lock' } } },
    __ref_is_percpu: {
      description: 'Loads percpu_count_ptr once',
      on: { step: { actions: 'load' }, 'ref.word': [{ guard: 'isPercpu', target: 'this_cpu_dec' }, { target: 'atomic_long_sub_and_test' }] },
    },
    this_cpu_dec: { description: "A plain subtraction from this CPU's counter", on: { step: { target: 'rcu_read_unlock', actions: 'decCpu' } } },
    atomic_long_sub_and_test: { description: 'Zero calls release', on: { step: { actions: 'subAndTest' }, 'ref.count': { target: 'rcu_read_unlock' } } },
    rcu_read_unlock: {
      description: 'Leaves the read section and returns',
      always: { guard: 'inRcu', target: 'idle', actions: ['return', 'forget'] },
      on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } },
    },
  },
});
