import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';

interface Context {
  tryget: Address;
  put: Address;
  /** Where the object is looked up first; null: it is at hand. */
  hash: Address | null;
  rcu: Address;
  got: boolean;
}

type Event = { type: 'step' } | { type: 'again' } | Return<{ ok: boolean }> | Signed<{ type: 'xa'; result: 'found' | 'none' }>;

const { tell } = speaker<Context, Event>();

/**
 * A user of a percpu_ref: takes a reference, uses what it protects, puts it; with the choice `again`, once more. Rows C0 to C13;
 * invariant I7 looks at `holding`.
 */
export const percpuRefUser = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { tryget: Address; put: Address; rcu: Address; hash?: Address } },
  guards: {
    looksUp: ({ context }) => context.hash !== null,
    found: ({ event }) => received(event, 'xa').result === 'found',
    lookedUpAndOk: ({ context, event }) => context.hash !== null && received(event, 'return').ok,
    hasReference: ({ context }) => context.got,
    ok: ({ event }) => received(event, 'return').ok,
    /** Safeguard: the reference is put on every way out, errors too. */
    putsReference: () => true,
  },
  actions: {
    rcuLock: tell(({ context }) => context.rcu, { type: 'rcu.read_lock' }),
    rcuUnlock: tell(({ context }) => context.rcu, { type: 'rcu.read_unlock' }),
    lookUp: tell(({ context }) => context.hash as Address, { type: 'xa_load' }),
    callTryget: tell(({ context }) => context.tryget, { type: 'call' }),
    callPut: tell(({ context }) => context.put, { type: 'call' }),
    got: assign({ got: true }),
    forget: assign({ got: false }),
  },
}).createMachine({
  id: 'percpu_ref_user',
  context: ({ input: { hash = null, ...input } }) => ({ ...input, hash, got: false }),
  initial: 'start',
  states: {
    start: { description: 'Has the object, or has to find it first', always: [{ guard: 'looksUp', target: 'rcu_read_lock' }, { target: 'percpu_ref_tryget' }] },
    rcu_read_lock: { description: 'What is found stays in memory until rcu_read_unlock', on: { step: { target: 'xa_load', actions: 'rcuLock' } } },
    xa_load: {
      description: 'Looks the object up',
      on: { step: { actions: 'lookUp' }, xa: [{ guard: 'found', target: 'percpu_ref_tryget' }, { target: 'rcu_read_unlock' }] },
    },
    percpu_ref_tryget: {
      description: 'Takes a reference, unless that is refused',
      entry: 'callTryget',
      on: {
        return: [
          { guard: 'lookedUpAndOk', target: 'rcu_read_unlock', actions: 'got' },
          { guard: 'looksUp', target: 'rcu_read_unlock' },
          { guard: 'ok', target: 'using' },
          { target: 'done' },
        ],
      },
    },
    rcu_read_unlock: {
      description: 'From here only the reference protects the object',
      on: {
        step: [
          { guard: 'hasReference', target: 'using', actions: 'rcuUnlock' },
          { target: 'done', actions: 'rcuUnlock' },
        ],
      },
    },
    using: {
      tags: ['holding'],
      description: 'Uses what the reference protects',
      on: { step: [{ guard: 'putsReference', target: 'percpu_ref_put' }, { target: 'done' }] },
    },
    percpu_ref_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: 'done' } },
    done: { tags: ['rest'], description: 'Finished', on: { again: { target: 'start', actions: 'forget' } } },
  },
});
