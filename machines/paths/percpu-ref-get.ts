import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

export type GetMode = 'tryget' | 'tryget_live';

interface Context {
  cpu: Address;
  rcu: Address;
  ref: Address;
  mode: GetMode;
  /** The `_rcu` form: the caller is in a read section already (interrupts off count). */
  inRcu: boolean;
  caller: Address;
  got: boolean;
}

type Event =
  | { type: 'step' }
  | Call
  | Signed<{ type: 'ref.word'; mode: 'percpu' | 'atomic'; dead: boolean }>
  | Signed<{ type: 'ref.got' } | { type: 'ref.zero' }>;

const { tell } = speaker<Context, Event>();

/**
 * percpu_ref_tryget and percpu_ref_tryget_live, and their `_rcu` forms (include/linux/percpu-refcount.h, 6.12): the word
 * is loaded once, and the counter that it names is touched in a later step. Returns `{ ok }`.
 */
export const percpuRefGet = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as { cpu: Address; rcu: Address; ref: Address; mode: GetMode; inRcu?: boolean },
  },
  guards: {
    inRcu: ({ context }) => context.inRcu,
    /** DEAD without ATOMIC, in the middle of a kill, counts as atomic. */
    isPercpu: ({ event }) => received(event, 'ref.word').mode === 'percpu' && !received(event, 'ref.word').dead,
    /** Safeguard of tryget_live: a dead reference is not taken. A plain tryget does not look. */
    isDying: ({ context, event }) => context.mode === 'tryget_live' && received(event, 'ref.word').dead,
    /** Safeguard: the result of the atomic increment reaches the caller unharmed (it was once squeezed into an int). */
    resultFits: () => true,
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from, got: false }),
    lock: tell(({ context }) => context.rcu, { type: 'rcu.read_lock' }),
    unlock: tell(({ context }) => context.rcu, { type: 'rcu.read_unlock' }),
    load: tell(({ context }) => context.ref, { type: 'ref.load' }),
    incCpu: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.this_cpu_add', cpu: context.cpu, n: 1 }),
    ),
    incAtomic: tell(({ context }) => context.ref, { type: 'ref.inc_not_zero' }),
    got: assign({ got: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.got }),
    ),
    forget: assign({ caller: '', got: false }),
  },
}).createMachine({
  id: 'percpu_ref_tryget',
  context: ({ input }) => ({ inRcu: false, ...input, caller: '', got: false }),
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
      description: 'Loads percpu_count_ptr once; the mode it names is used from here on',
      on: {
        step: { actions: 'load' },
        'ref.word': [{ guard: 'isPercpu', target: 'this_cpu_inc' }, { guard: 'isDying', target: 'rcu_read_unlock' }, { target: 'atomic_long_inc_not_zero' }],
      },
    },
    this_cpu_inc: {
      description: "A plain add to this CPU's counter, even if the mode has changed meanwhile",
      on: { step: { target: 'rcu_read_unlock', actions: ['incCpu', 'got'] } },
    },
    atomic_long_inc_not_zero: {
      description: 'Adds one unless the counter is zero',
      on: {
        step: { actions: 'incAtomic' },
        'ref.got': [{ guard: 'resultFits', target: 'rcu_read_unlock', actions: 'got' }, { target: 'rcu_read_unlock' }],
        'ref.zero': { target: 'rcu_read_unlock' },
      },
    },
    rcu_read_unlock: {
      description: 'Leaves the read section and returns',
      always: { guard: 'inRcu', target: 'idle', actions: ['return', 'forget'] },
      on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } },
    },
  },
});
