import { assign, setup } from 'xstate';
import { type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** Page frames to hand out, in this order. */
  free: number[];
}

type Event = Signed<{ type: 'alloc_page' }>;

const { reply } = speaker<Context, Event>();

/** The page allocator, as far as page faults need it. What is freed is not handed out again (see folio: a quarantine). */
export const pageAllocator = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { free: number[] } },
  guards: { isEmpty: ({ context }) => context.free.length === 0 },
  actions: {
    replyPage: reply(({ context }) => ({ type: 'page', pfn: context.free[0] })),
    replyNone: reply({ type: 'page', pfn: null }),
    take: assign({ free: ({ context }) => context.free.slice(1) }),
  },
}).createMachine({
  id: 'page_allocator',
  description: 'alloc_pages: hands out free page frames',
  context: ({ input }) => input,
  on: { alloc_page: [{ guard: 'isEmpty', actions: 'replyNone' }, { actions: ['replyPage', 'take'] }] },
});
