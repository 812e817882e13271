import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  owner: Address | null;
  /** In the order of arrival: qspinlock is fair. */
  waiters: Address[];
}

type Event = Signed<{ type: 'lock' } | { type: 'unlock' }>;

const { tell, reply } = speaker<Context, Event>();

/** A spin lock. A path asks with `lock` and spins until it is told `locked`; it never sleeps. */
export const spinlock = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: { contended: ({ context }) => context.waiters.length > 0, isForeign: ({ context, event }) => context.owner !== event.from },
  actions: {
    own: assign({ owner: ({ event }) => event.from }),
    queue: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    grant: reply({ type: 'locked' }),
    handOver: assign({ owner: ({ context }) => context.waiters[0] ?? null, waiters: ({ context }) => context.waiters.slice(1) }),
    grantNext: tell(({ context }) => context.owner as Address, { type: 'locked' }),
    release: assign({ owner: null }),
  },
}).createMachine({
  id: 'spinlock',
  context: { owner: null, waiters: [] },
  initial: 'unlocked',
  states: {
    unlocked: { description: 'Free', on: { lock: { target: 'locked', actions: ['own', 'grant'] }, unlock: { target: 'bad_unlock' } } },
    locked: {
      description: 'Held; who else asks spins in the queue',
      on: {
        lock: { actions: 'queue' },
        unlock: [
          { guard: 'isForeign', target: 'bad_unlock' },
          { guard: 'contended', actions: ['handOver', 'grantNext'] },
          { target: 'unlocked', actions: 'release' },
        ],
      },
    },
    bad_unlock: { tags: ['BUG'], description: 'BUG: spin lock released by a path that does not hold it' },
  },
});
