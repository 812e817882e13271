import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { pageAt } from '../memory/address-space.js';
import type { RecordSlot } from '../memory/protection-record.js';

/** A write under way: which page, what was read from it, and the place of a file that it goes to, which the buffer_head keeps. */
export interface Bio extends RecordSlot {
  pfn: number;
  value: string;
}

interface Context {
  /** In the order of submission. */
  queue: Bio[];
  /** Places whose last write has failed: what they should hold is not on the disk. */
  failed: RecordSlot[];
  /** Writes that may fail yet. */
  errors: number;
}

type Event =
  | { type: 'end_bio' }
  | { type: 'end_bio_error' }
  | Signed<{ type: 'bio.submit' } & Bio>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null }>;

const { tell, inform } = speaker<Context, Event>();

const bioOf = ({ queue }: Context): Bio => queue[0] as Bio;
const isAt = ({ mapping, index }: RecordSlot, other: RecordSlot): boolean => mapping === other.mapping && index === other.index;
const without = (places: RecordSlot[], place: RecordSlot): RecordSlot[] => places.filter((other) => !isAt(other, place));

/**
 * A block device with the end of its I/O (end_buffer_async_write, mark_buffer_write_io_error; fs/buffer.c, 6.12). The choice
 * `end_bio` completes the first write of the queue, `end_bio_error`, of the world outside, fails it. A page is under writeback
 * until all its buffers are written. In 6.12 the mapping that is told of an error is the page's at the end of the I/O; the
 * proposal (Glisse 2018, 2020) keeps it in the buffer_head. Domain table, part 2, 1f (U3), row W8.
 */
export const disk = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { errors?: number } },
  guards: {
    isBusy: ({ context }) => context.queue.length > 0,
    canFail: ({ context }) => context.queue.length > 0 && context.errors > 0,
    /** Safeguard (row W8): page->mapping may have become a record since the write was submitted. */
    reportsByBuffer: () => true,
    hasMapping: ({ event }) => received(event, 'folio.mapping').mapping !== null,
  },
  actions: {
    queue: assign({
      queue: ({ context, event }) => {
        const { pfn, mapping, index, value } = received(event, 'bio.submit');
        return [...context.queue, { pfn, mapping, index, value }];
      },
    }),
    store: tell(
      ({ context }) => bioOf(context).mapping,
      ({ context }) => ({ type: 'stored.write', index: bioOf(context).index, value: bioOf(context).value }),
    ),
    noteStored: assign({ failed: ({ context }) => without(context.failed, bioOf(context)) }),
    noteFailed: assign(({ context }) => {
      const { mapping, index } = bioOf(context);
      return { failed: [...without(context.failed, { mapping, index }), { mapping, index }], errors: context.errors - 1 };
    }),
    askPage: tell(({ context }) => pageAt(bioOf(context).pfn), { type: 'folio.mapping' }),
    reportToBuffer: tell(({ context }) => bioOf(context).mapping, { type: 'mapping.set_error' }),
    reportToPage: tell(({ event }) => received(event, 'folio.mapping').mapping as Address, { type: 'mapping.set_error' }),
    endWriteback: inform(
      ({ context }) => {
        const [{ pfn }, ...others] = context.queue as [Bio, ...Bio[]];
        return others.some((other) => other.pfn === pfn) ? null : pageAt(pfn);
      },
      { type: 'folio.end_writeback' },
    ),
    next: assign({ queue: ({ context }) => context.queue.slice(1) }),
  },
}).createMachine({
  id: 'disk',
  context: ({ input }) => ({ queue: [], failed: [], errors: input.errors ?? 1 }),
  initial: 'running',
  states: {
    running: {
      description: 'Writes are queued; the first one may end at any moment',
      on: {
        'bio.submit': { actions: 'queue', description: 'submit_bh' },
        end_bio: { guard: 'isBusy', actions: ['store', 'noteStored', 'endWriteback', 'next'], description: 'It is on the disk' },
        end_bio_error: { guard: 'canFail', target: 'mark_buffer_write_io_error', actions: 'noteFailed', description: 'It is not' },
      },
    },
    mark_buffer_write_io_error: {
      description: 'Which file has lost bytes? What the buffer_head stores',
      always: [{ guard: 'reportsByBuffer', target: 'running', actions: ['reportToBuffer', 'endWriteback', 'next'] }, { target: 'folio_mapping' }],
    },
    folio_mapping: {
      description: 'Row W8: what the page says now; of one that is protected, or was truncated, nobody is told',
      entry: 'askPage',
      on: {
        'folio.mapping': [
          { guard: 'hasMapping', target: 'running', actions: ['reportToPage', 'endWriteback', 'next'] },
          { target: 'running', actions: ['endWriteback', 'next'] },
        ],
      },
    },
  },
});
