import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

interface Context {
  ref: Address;
  rcu: Address;
  switchLock: Address;
  /** The callback that completes the switch, after a grace period. */
  callback: Address;
  caller: Address;
}

type Event =
  | { type: 'step' }
  | Call
  | Signed<{ type: 'locked' }>
  | Signed<{ type: 'ref.word'; mode: 'percpu' | 'atomic'; dead: boolean }>
  | Signed<{ type: 'ref.count'; value: number }>;

const { tell } = speaker<Context, Event>();

/**
 * percpu_ref_kill_and_confirm (lib/percpu-refcount.c, 6.12), under the global switch lock: K1 to K3. A reference that is
 * in atomic mode already is not switched, and then no grace period stands between kill and release.
 */
export const percpuRefKill = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { ref: Address; rcu: Address; switchLock: Address; callback: Address } },
  guards: { isAtomic: ({ event }) => received(event, 'ref.word').mode === 'atomic' },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from }),
    lock: tell(({ context }) => context.switchLock, { type: 'lock' }),
    unlock: tell(({ context }) => context.switchLock, { type: 'unlock' }),
    // spin_lock_irqsave: to RCU, interrupts that are off are a read section.
    irqsOff: tell(({ context }) => context.rcu, { type: 'rcu.read_lock' }),
    irqsOn: tell(({ context }) => context.rcu, { type: 'rcu.read_unlock' }),
    setDead: tell(({ context }) => context.ref, { type: 'ref.set_dead' }),
    load: tell(({ context }) => context.ref, { type: 'ref.load' }),
    setAtomic: tell(({ context }) => context.ref, { type: 'ref.set_atomic' }),
    callRcu: tell(
      ({ context }) => context.rcu,
      ({ context }) => ({ type: 'call_rcu', callback: context.callback }),
    ),
    putInitial: tell(({ context }) => context.ref, { type: 'ref.sub_and_test', n: 1 }),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign({ caller: '' }),
  },
}).createMachine({
  id: 'percpu_ref_kill',
  context: ({ input }) => ({ ...input, caller: '' }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'percpu_ref_kill', actions: 'remember' } } },
    percpu_ref_kill: {
      description: 'K1: takes the switch lock, interrupts off, and sets DEAD',
      on: { step: { target: 'spin_on_switch_lock', actions: ['irqsOff', 'lock'] } },
    },
    spin_on_switch_lock: {
      description: 'Spins while another switch or kill holds the lock; K1 follows with it',
      on: { locked: { target: '__percpu_ref_switch_mode', actions: 'setDead' } },
    },
    __percpu_ref_switch_mode: {
      description: 'K2: sets ATOMIC, takes a reference for the switch and asks for a callback after a grace period; nothing of it if ATOMIC is set',
      on: {
        step: { actions: 'load' },
        'ref.word': [
          { guard: 'isAtomic', target: 'percpu_ref_put' },
          { target: 'percpu_ref_put', actions: ['setAtomic', 'callRcu'] },
        ],
      },
    },
    percpu_ref_put: {
      description: 'K3: puts the initial reference, drops the lock and returns',
      on: { step: { actions: 'putInitial' }, 'ref.count': { target: 'idle', actions: ['unlock', 'irqsOn', 'return', 'forget'] } },
    },
  },
});
