import { assign, setup } from 'xstate';
import { type Address, received, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Context {
  allocPages: Address;
  caller: Address;
  order: number;
  /** What the kernel keeps there. */
  content: string;
  pfns: number[];
}

type Event = { type: 'step' } | Call<{ order?: number; content: string }> | Return<{ pfns?: number[] }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', order: 0, content: '', pfns: [] as number[] };

/**
 * The kernel takes pages for itself and writes to them: a slab (new_slab, mm/slub.c, 6.12), a page table. Called with the
 * order and what it puts there. Domain table, part 2, rows L3, L4.
 */
export const newSlab = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { allocPages: Address } },
  guards: {
    gotPages: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    morePages: ({ context }) => context.pfns.length > 1,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, order, content } = received(event, 'call');
      return { caller: from, order: order ?? 0, content };
    }),
    callAlloc: tell(
      ({ context }) => context.allocPages,
      ({ context }) => ({ type: 'call', order: context.order }),
    ),
    notePages: assign({ pfns: ({ event }) => received(event, 'return').pfns ?? [] }),
    write: tell(
      ({ context }) => pageAt(context.pfns[0] as number),
      ({ context }) => ({ type: 'memory.write', value: context.content }),
    ),
    nextPage: assign({ pfns: ({ context }) => context.pfns.slice(1) }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'new_slab',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'alloc_slab_page', actions: 'remember' } } },
    alloc_slab_page: {
      description: 'Pages of its own',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPages', target: 'setup_object', actions: 'notePages' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    setup_object: {
      description: 'Puts objects, or ptes, into them',
      on: {
        step: [
          { guard: 'morePages', actions: ['write', 'nextPage'] },
          { target: 'idle', actions: ['write', 'return', 'forget'] },
        ],
      },
    },
  },
});
