import { assign, setup } from 'xstate';
import type { Address, Signed } from '../../src/system/message.js';
import { speaker } from '../../src/system/message.js';

interface Context {
  /** Page frames that the device sets aside for its memmap, in the order in which they are handed out. */
  frames: Address[];
  /** How many of them are handed out (altmap->alloc). */
  allocated: number;
}

type Event = Signed<{ type: 'altmap.alloc' } | { type: 'altmap.free' }>;

const { reply } = speaker<Context, Event>();

/**
 * A vmem_altmap (include/linux/memremap.h): memory of the device itself for its struct pages. It counts, and knows no frame by
 * its address: what is given back need not have come from it. Domain table, part 1: row E6, invariant I10.
 */
export const vmemAltmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { frames: Address[] } },
  guards: {
    isEmpty: ({ context }) => context.allocated === context.frames.length,
    isUnused: ({ context }) => context.allocated === 0,
  },
  actions: {
    replyFrame: reply(({ context }) => ({ type: 'altmap.frame', frame: context.frames[context.allocated] as Address })),
    replyNone: reply({ type: 'altmap.frame', frame: null }),
    countUp: assign({ allocated: ({ context }) => context.allocated + 1 }),
    countDown: assign({ allocated: ({ context }) => context.allocated - 1 }),
  },
}).createMachine({
  id: 'vmem_altmap',
  context: ({ input }) => ({ frames: input.frames, allocated: 0 }),
  initial: 'reserved',
  states: {
    reserved: {
      description: 'Frames are handed out one after the other',
      on: {
        'altmap.alloc': [
          { guard: 'isEmpty', actions: 'replyNone' },
          { actions: ['replyFrame', 'countUp'], description: 'altmap_alloc_block_buf: vmem_altmap_next_pfn' },
        ],
        'altmap.free': [
          { guard: 'isUnused', target: 'altmap_underflow' },
          { actions: 'countDown', description: 'vmem_altmap_free: a number only' },
        ],
      },
    },
    altmap_underflow: { tags: ['BUG', 'I10'], description: 'BUG: more frames are given back to the altmap than it has handed out' },
  },
});
