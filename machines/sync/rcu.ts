import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** Who is inside a read section, with its nesting: paths under rcu_read_lock, CPUs with interrupts off. */
  readers: Record<Address, number>;
  /** Callbacks and waiters, each with the readers that it still waits for. */
  pending: { to: Address; waitsFor: Address[] }[];
}

type Event =
  | { type: 'grace_period' }
  | Signed<{ type: 'rcu.read_lock' } | { type: 'rcu.read_unlock' } | { type: 'call_rcu'; callback: Address } | { type: 'synchronize_rcu' }>;

const { tell } = speaker<Context, Event>();

const ready = (context: Context): Context['pending'][number] | undefined => context.pending.find(({ waitsFor }) => waitsFor.length === 0);
const queue = (context: Context, to: Address): Context['pending'] => [...context.pending, { to, waitsFor: Object.keys(context.readers).sort() }];
const depth = (context: Context, reader: Address): number => context.readers[reader] ?? 0;

/**
 * Read-copy-update, and as a second actor each SRCU domain. A grace period waits for the read sections that existed when
 * it was asked for, and for no later one: the least that RCU promises. Its end is a choice. CPUs with interrupts off
 * report as readers to RCU and not to SRCU: that is all the difference. Domain table: rules of the waiting mechanisms.
 */
export const rcu = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: {
    readersDone: ({ context }) => ready(context) !== undefined,
    outermost: ({ context, event }) => depth(context, (event as Signed<Event>).from) === 1,
    inside: ({ context, event }) => depth(context, (event as Signed<Event>).from) > 0,
  },
  actions: {
    enter: assign({
      readers: ({ context, event }) => {
        const { from } = event as Signed<Event>;
        return { ...context.readers, [from]: depth(context, from) + 1 };
      },
    }),
    leaveOne: assign({
      readers: ({ context, event }) => {
        const { from } = event as Signed<Event>;
        return { ...context.readers, [from]: depth(context, from) - 1 };
      },
    }),
    leave: assign(({ context, event }) => {
      const { from } = event as Signed<Event>;
      return {
        readers: Object.fromEntries(Object.entries(context.readers).filter(([reader]) => reader !== from)),
        pending: context.pending.map(({ to, waitsFor }) => ({ to, waitsFor: waitsFor.filter((reader) => reader !== from) })),
      };
    }),
    queueCallback: assign({ pending: ({ context, event }) => queue(context, (event as { callback: Address }).callback) }),
    queueWaiter: assign({ pending: ({ context, event }) => queue(context, (event as Signed<Event>).from) }),
    invoke: tell(({ context }) => (ready(context) ?? context.pending[0])?.to as Address, { type: 'rcu.callback' }),
    dequeue: assign({ pending: ({ context }) => context.pending.filter((entry) => entry !== (ready(context) ?? context.pending[0])) }),
  },
}).createMachine({
  id: 'rcu',
  context: { readers: {}, pending: [] },
  initial: 'running',
  states: {
    running: {
      description: 'Grace periods run as they are asked for; the end of one invokes its callback',
      on: {
        grace_period: { guard: 'readersDone', actions: ['invoke', 'dequeue'] },
        'rcu.read_lock': { actions: 'enter' },
        'rcu.read_unlock': [{ guard: 'outermost', actions: 'leave' }, { guard: 'inside', actions: 'leaveOne' }, { target: 'bad_unlock' }],
        call_rcu: { actions: 'queueCallback' },
        synchronize_rcu: { actions: 'queueWaiter' },
      },
    },
    bad_unlock: { tags: ['BUG'], description: 'BUG: rcu_read_unlock without rcu_read_lock' },
  },
});
