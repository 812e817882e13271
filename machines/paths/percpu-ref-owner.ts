import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';

interface Context {
  ref: Address;
  kill: Address;
  isZero: Address;
  switchLock: Address;
  rcu: Address;
  hash: Address | null;
  /** References taken when the object was set up, put in one go after the kill (percpu_ref_put_many). */
  base: number;
  kills: number;
  /** The counters go too (percpu_ref_exit); else only what the reference protects. */
  exits: boolean;
}

type Event =
  | { type: 'step' }
  | Return<{ ok?: boolean; zero?: boolean }>
  | Signed<{ type: 'locked' } | { type: 'ref.released' } | { type: 'ref.count'; value: number } | { type: 'rcu.callback' }>;

const { tell } = speaker<Context, Event>();

/**
 * The owner of what a percpu_ref protects, taking it down: (unhash, wait for RCU,) kill, put the base references, wait for
 * `release`, percpu_ref_exit, free. Rows C0 to C13; invariant I7 looks at `freed`.
 */
export const percpuRefOwner = setup({
  types: {
    context: {} as Context,
    events: {} as Event,
    input: {} as { ref: Address; kill: Address; isZero: Address; switchLock: Address; rcu: Address; hash?: Address; base?: number; exits?: boolean },
  },
  guards: {
    /** Safeguard: nobody can find the object any more before its counters go. */
    unhashesFirst: ({ context }) => context.hash !== null,
    unhashesLast: () => false,
    /** Safeguard: kill is called once. */
    killsAgain: () => false,
    hasBase: ({ context }) => context.base > 0,
    /** Safeguard: the counters are freed only after release. */
    waitsForRelease: () => true,
    /** Waits by asking percpu_ref_is_zero again and again, instead of for the release callback. */
    polls: () => false,
    exits: ({ context }) => context.exits,
    isZero: ({ event }) => received(event, 'return').zero === true,
    /** Safeguard: whoever waits for a grace period is in no read section. */
    isInsideRcu: () => false,
  },
  actions: {
    rcuLock: tell(({ context }) => context.rcu, { type: 'rcu.read_lock' }),
    unhash: tell(({ context }) => context.hash as Address, { type: 'xa_erase' }),
    synchronize: tell(({ context }) => context.rcu, { type: 'synchronize_rcu' }),
    callKill: tell(({ context }) => context.kill, { type: 'call' }),
    countKill: assign({ kills: ({ context }) => context.kills + 1 }),
    putBase: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.sub_and_test', n: context.base }),
    ),
    wait: tell(({ context }) => context.ref, { type: 'ref.wait' }),
    callIsZero: tell(({ context }) => context.isZero, { type: 'call' }),
    lock: tell(({ context }) => context.switchLock, { type: 'lock' }),
    unlock: tell(({ context }) => context.switchLock, { type: 'unlock' }),
    exit: tell(({ context }) => context.ref, { type: 'ref.exit' }),
  },
}).createMachine({
  id: 'percpu_ref_owner',
  context: ({ input: { hash = null, base = 0, exits = false, ...input } }) => ({ ...input, hash, base, exits, kills: 0 }),
  initial: 'start',
  states: {
    start: {
      description: 'Begins to take the object down',
      always: [{ guard: 'isInsideRcu', target: 'rcu_read_lock' }, { guard: 'unhashesFirst', target: 'xa_erase' }, { target: 'percpu_ref_kill' }],
    },
    rcu_read_lock: { description: 'Enters a read section (it should not be in one)', on: { step: { target: 'percpu_ref_kill', actions: 'rcuLock' } } },
    xa_erase: { description: 'Takes the object out of the table', on: { step: { target: 'synchronize_rcu', actions: 'unhash' } } },
    synchronize_rcu: { description: 'Waits for lookups that may have found it', on: { step: { target: 'wait_rcu_gp', actions: 'synchronize' } } },
    wait_rcu_gp: { description: 'Sleeps until the grace period is over', on: { 'rcu.callback': 'percpu_ref_kill' } },
    percpu_ref_kill: {
      description: 'K1 to K3',
      entry: ['callKill', 'countKill'],
      on: {
        return: [
          { guard: 'killsAgain', target: 'percpu_ref_kill', reenter: true },
          { guard: 'hasBase', target: 'percpu_ref_put_many' },
          { guard: 'waitsForRelease', target: 'wait_for_completion' },
          { target: 'percpu_ref_exit' },
        ],
      },
    },
    percpu_ref_put_many: { description: 'Puts the base references', on: { step: { actions: 'putBase' }, 'ref.count': { target: 'wait_for_completion' } } },
    wait_for_completion: {
      description: 'Waits for release',
      always: { guard: 'polls', target: 'percpu_ref_is_zero' },
      on: { step: { target: 'sleeping', actions: 'wait' } },
    },
    sleeping: {
      description: 'Asleep until release completes the wait',
      on: { 'ref.released': [{ guard: 'exits', target: 'percpu_ref_exit' }, { target: 'kfree' }] },
    },
    percpu_ref_is_zero: {
      description: 'Asks again until the count is zero',
      entry: 'callIsZero',
      on: {
        return: [
          { guard: 'isZero', target: 'kfree' },
          { target: 'percpu_ref_is_zero', reenter: true },
        ],
      },
    },
    percpu_ref_exit: {
      description: 'Under the switch lock, frees the per-CPU area and the data block',
      on: { step: { target: 'spin_on_switch_lock', actions: 'lock' } },
    },
    spin_on_switch_lock: {
      description: 'Spins while another has the lock',
      on: {
        locked: [
          { guard: 'unhashesLast', target: 'xa_erase_late', actions: ['exit', 'unlock'] },
          { target: 'kfree', actions: ['exit', 'unlock'] },
        ],
      },
    },
    xa_erase_late: { description: 'Takes the object out of the table only now', on: { step: { target: 'kfree', actions: 'unhash' } } },
    kfree: { tags: ['freed', 'rest'], description: 'What the reference protected is gone' },
  },
});
