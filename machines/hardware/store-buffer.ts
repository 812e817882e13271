import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** How stores leave: at once, as they came, or any that passes no store to its own location and no barrier. */
export type StoreOrdering = 'sc' | 'tso' | 'weak';

/** A store that has retired and is not in memory yet: what is to be told to whom, and to which location it is. */
export interface BufferedStore {
  location: string;
  to: Address;
  message: { type: string; [field: string]: unknown };
}

interface Input {
  ordering: StoreOrdering;
  /** In stores, at least 1; default: 2. A larger one only adds behaviour. */
  size?: number;
}

interface Context extends Required<Input> {
  /** Oldest first; no barrier stands at the front, nor next to another. */
  entries: (BufferedStore | 'barrier')[];
}

type Event =
  | { type: 'drain'; entry: number }
  | Signed<{ type: 'store' } & BufferedStore>
  | Signed<{ type: 'store.barrier' } | { type: 'load'; location: string } | { type: 'fence' } | { type: 'memory.value' }>;

const { tell, reply } = speaker<Context, Event>();

/** The choices of a store buffer: which entry leaves. With 'tso' only the oldest can. */
export const drains = (size: number): { type: 'drain'; entry: number }[] => Array.from({ length: size }, (_, entry) => ({ type: 'drain', entry }));

const isStore = (entry: Context['entries'][number] | undefined): entry is BufferedStore => entry !== undefined && entry !== 'barrier';
const deliver = ({ to, message }: BufferedStore) => tell(to, message);
const newestOf = ({ entries }: Context, location: string): BufferedStore | undefined =>
  entries.filter(isStore).findLast((entry) => entry.location === location);

function mayLeave({ ordering, entries }: Context, index: number): boolean {
  const entry = entries[index];
  if (!isStore(entry)) return false;
  if (ordering === 'tso') return index === 0;
  return entries.slice(0, index).every((earlier) => isStore(earlier) && earlier.location !== entry.location);
}

/** What is left when an entry has gone; a barrier that nothing is before any more goes with it. */
function without(entries: Context['entries'], index: number): Context['entries'] {
  const left = entries.toSpliced(index, 1);
  return left[0] === 'barrier' ? left.slice(1) : left;
}

/**
 * The store buffer of a CPU. A store of this CPU enters it and is in memory only when it has left, by the choice `drain`; loads of
 * this CPU look here first. 'tso' is x86: Sewell, Sarkar, Owens, Zappa Nardelli, Myreen: x86-TSO, CACM 53(7), 2010; Intel SDM, volume
 * 3, 8.2. 'weak' lets stores to different locations pass each other, as SPARC's PSO does, up to a store barrier (smp_wmb,
 * Documentation/memory-barriers.txt); loads are taken in the order of the program, and a store is visible to all others at once, so
 * this is not all that the kernel must be prepared for. 'sc' buffers nothing.
 */
export const storeBuffer = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isUnbuffered: ({ context }) => context.ordering === 'sc',
    isFull: ({ context }) => context.entries.filter(isStore).length >= context.size,
    mayLeave: ({ context, event }) => mayLeave(context, received(event, 'drain').entry),
    separates: ({ context }) => context.ordering === 'weak' && isStore(context.entries.at(-1)),
    holdsLocation: ({ context, event }) => newestOf(context, received(event, 'load').location) !== undefined,
  },
  actions: {
    deliverAtOnce: enqueueActions(({ enqueue, event }) => enqueue(deliver(received(event, 'store')))),
    drainOldest: enqueueActions(({ enqueue, context }) => {
      enqueue(deliver(context.entries[0] as BufferedStore));
      enqueue.assign({ entries: without(context.entries, 0) });
    }),
    append: assign({
      entries: ({ context, event }) => {
        const { location, to, message } = received(event, 'store');
        return [...context.entries, { location, to, message }];
      },
    }),
    appendBarrier: assign({ entries: ({ context }) => [...context.entries, 'barrier' as const] }),
    drainOne: enqueueActions(({ enqueue, context, event }) => {
      const { entry } = received(event, 'drain');
      enqueue(deliver(context.entries[entry] as BufferedStore));
      enqueue.assign({ entries: without(context.entries, entry) });
    }),
    drainAll: enqueueActions(({ enqueue, context }) => {
      for (const entry of context.entries.filter(isStore)) enqueue(deliver(entry));
      enqueue.assign({ entries: [] });
    }),
    replyForwarded: reply(({ context, event }) => ({
      type: 'load.forwarded',
      message: (newestOf(context, received(event, 'load').location) as BufferedStore).message,
    })),
    replyMemory: reply({ type: 'load.memory' }),
    replyFenced: reply({ type: 'fenced' }),
  },
}).createMachine({
  id: 'store_buffer',
  description: 'Stores that have retired and are not in memory yet',
  context: ({ input }) => ({ size: 2, ...input, entries: [] }),
  on: {
    store: [
      { guard: 'isUnbuffered', actions: 'deliverAtOnce' },
      { guard: 'isFull', actions: ['drainOldest', 'append'], description: 'The oldest makes room: a choice that could have come before' },
      { actions: 'append' },
    ],
    'store.barrier': [
      { guard: 'separates', actions: 'appendBarrier', description: 'smp_wmb: nothing that comes later leaves before what is here' },
      { description: 'No reordering to prevent: stores leave in order, or there is none here' },
    ],
    load: [
      { guard: 'holdsLocation', actions: 'replyForwarded', description: 'The newest store to this location; nobody else sees it yet' },
      { actions: 'replyMemory', description: 'Who asks reads the memory, in the same step' },
    ],
    fence: {
      actions: ['drainAll', 'replyFenced'],
      description:
        'mfence, a locked operation, smp_mb, an interrupt: goes on when the buffer is empty. What has to leave leaves within this step: each order and moment that waiting would allow is one in which choices come before it.',
    },
    drain: { guard: 'mayLeave', actions: 'drainOne' },
    'memory.value': { description: 'The answer of a page to a store: that has retired long ago, and nobody waits for it' },
  },
});
