import { assign, enqueueActions, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  writer: Address | null;
  readers: Address[];
  /** In the order of arrival; a waiting writer holds back later readers. */
  waiters: { who: Address; write: boolean }[];
}

type Event = Signed<{ type: 'down_read' } | { type: 'down_write' } | { type: 'up_read' } | { type: 'up_write' } | { type: 'downgrade_write' }>;

const { tell, reply } = speaker<Context, Event>();

/** A reader-writer semaphore (mmap_lock, invalidate_lock). A path asks with `down_read` or `down_write` and sleeps until `locked`. */
export const rwsem = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: {
    readable: ({ context }) => context.writer === null && context.waiters.length === 0,
    writable: ({ context }) => context.writer === null && context.readers.length === 0,
    reads: ({ context, event }) => context.readers.includes(event.from),
    writes: ({ context, event }) => context.writer === event.from,
  },
  actions: {
    addReader: assign({ readers: ({ context, event }) => [...context.readers, event.from].sort() }),
    setWriter: assign({ writer: ({ event }) => event.from }),
    grant: reply({ type: 'locked' }),
    queueReader: assign({ waiters: ({ context, event }) => [...context.waiters, { who: event.from, write: false }] }),
    queueWriter: assign({ waiters: ({ context, event }) => [...context.waiters, { who: event.from, write: true }] }),
    removeReader: assign({ readers: ({ context, event }) => context.readers.filter((reader) => reader !== event.from) }),
    becomeReader: assign({ writer: null, readers: ({ event }) => [event.from] }),
    removeWriter: assign({ writer: null }),
    /** Grants the longest queue prefix that can hold the lock together: one writer, or readers up to the next writer. */
    grantNext: enqueueActions(({ enqueue, context }) => {
      if (context.writer !== null) return;
      const [first] = context.waiters;
      if (first?.write) {
        if (context.readers.length > 0) return;
        enqueue.assign({ writer: first.who, waiters: context.waiters.slice(1) });
        enqueue(tell(first.who, { type: 'locked' }));
        return;
      }
      const end = context.waiters.findIndex(({ write }) => write);
      const readers = (end < 0 ? context.waiters : context.waiters.slice(0, end)).map(({ who }) => who);
      enqueue.assign({ readers: [...context.readers, ...readers].sort(), waiters: context.waiters.slice(readers.length) });
      for (const reader of readers) enqueue(tell(reader, { type: 'locked' }));
    }),
  },
}).createMachine({
  id: 'rwsem',
  context: { writer: null, readers: [], waiters: [] },
  initial: 'usable',
  states: {
    usable: {
      description: 'Free, held by readers, or held by one writer',
      on: {
        down_read: [{ guard: 'readable', actions: ['addReader', 'grant'] }, { actions: 'queueReader' }],
        down_write: [{ guard: 'writable', actions: ['setWriter', 'grant'] }, { actions: 'queueWriter' }],
        up_read: [{ guard: 'reads', actions: ['removeReader', 'grantNext'] }, { target: 'bad_unlock' }],
        downgrade_write: [{ guard: 'writes', actions: ['becomeReader', 'grantNext'] }, { target: 'bad_unlock' }],
        up_write: [{ guard: 'writes', actions: ['removeWriter', 'grantNext'] }, { target: 'bad_unlock' }],
      },
    },
    bad_unlock: { tags: ['BUG'], description: 'BUG: semaphore released by a path that does not hold it' },
  },
});
