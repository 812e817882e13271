import { assign, setup } from 'xstate';
import { received, type Signed, speaker } from '../../src/system/message.js';

/** A free block of 2^order page frames; `lufKey`: the generation of the deferred flush that it still needs, null: none. */
export interface FreeBlock {
  pfns: number[];
  lufKey: number | null;
}

interface Context {
  /** Page frames to hand out, in this order; the last freed comes first (the lists of a CPU, pcp). */
  free: FreeBlock[];
  /** Blocks of the buddy allocator, which merges them. */
  buddy: FreeBlock[];
}

type Event = Signed<{ type: 'alloc_page'; order?: number }> | Signed<{ type: 'free_page'; pfn: number; lufKey: number | null }> | { type: 'drain_pages' };

const { reply } = speaker<Context, Event>();

const orderOf = ({ pfns }: FreeBlock): number => Math.log2(pfns.length);
const buddyOf = ({ pfns }: FreeBlock): number => (pfns[0] as number) ^ pfns.length;
const fits = (order: number) => (block: FreeBlock) => orderOf(block) === order;
const found = ({ free, buddy }: Context, order: number): FreeBlock | undefined => free.find(fits(order)) ?? buddy.find(fits(order));
const orderAsked = (event: Event): number => received(event, 'alloc_page').order ?? 0;
const without = (blocks: FreeBlock[], block: FreeBlock | undefined): FreeBlock[] => blocks.filter((other) => other !== block);

/** The key of two merged blocks: the later flush pays for the earlier, so the larger. */
const mergedKey = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b));

/** The block that is longest in the list goes to the buddy allocator (free_pcppages_bulk). */
function drained({ free, buddy }: Context, merge: (own: number | null, neighbour: number | null) => number | null): Context {
  const block = free.at(-1) as FreeBlock;
  const neighbour = buddy.find((other) => other.pfns[0] === buddyOf(block) && other.pfns.length === block.pfns.length);
  const merged = neighbour ? { pfns: [...block.pfns, ...neighbour.pfns].sort((a, b) => a - b), lufKey: merge(block.lufKey, neighbour.lufKey) } : block;
  return { free: without(free, block), buddy: [...without(buddy, neighbour), merged] };
}

/**
 * The page allocator: what is freed goes to the CPU's list (pcp), from where the choice `drain_pages` gives it to the
 * buddy allocator, which merges it with its neighbour if that is free. Domain table, part 2, 0.1, R9, row L4. Scenarios
 * that judge stale accesses by quarantine never free a page to it (see folio).
 */
export const pageAllocator = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { free: (number | FreeBlock)[]; buddy?: FreeBlock[] } },
  guards: {
    isEmpty: ({ context, event }) => found(context, orderAsked(event)) === undefined,
    canDrain: ({ context }) => context.free.length > 0,
    /** Safeguard (row L4): a merged block owes what its parts owe. */
    canDrainMerging: ({ context }) => context.free.length > 0,
  },
  actions: {
    replyPage: reply(({ context, event }) => {
      const block = found(context, orderAsked(event)) as FreeBlock;
      return {
        type: 'page',
        pfn: block.pfns[0],
        ...(block.lufKey === null ? {} : { lufKey: block.lufKey }),
        ...(orderAsked(event) > 0 ? { pfns: block.pfns } : {}),
      };
    }),
    replyNone: reply({ type: 'page', pfn: null }),
    take: assign(({ context, event }) => {
      const block = found(context, orderAsked(event));
      return { free: without(context.free, block), buddy: without(context.buddy, block) };
    }),
    put: assign({
      free: ({ context, event }) => {
        const { pfn, lufKey } = received(event, 'free_page');
        return [{ pfns: [pfn], lufKey }, ...context.free];
      },
    }),
    drain: assign(({ context }) => drained(context, mergedKey)),
    drainForgetting: assign(({ context }) => drained(context, (_, neighbour) => neighbour)),
  },
}).createMachine({
  id: 'page_allocator',
  description: 'alloc_pages: hands out free page frames',
  context: ({ input }) => ({
    free: input.free.map((block) => (typeof block === 'number' ? { pfns: [block], lufKey: null } : block)),
    buddy: input.buddy ?? [],
  }),
  on: {
    alloc_page: [{ guard: 'isEmpty', actions: 'replyNone' }, { actions: ['replyPage', 'take'] }],
    free_page: { actions: 'put', description: 'R9: free_unref_page' },
    drain_pages: [
      { guard: 'canDrainMerging', actions: 'drain', description: "drain_pages, __free_one_page: from the CPU's list to the buddy allocator" },
      { guard: 'canDrain', actions: 'drainForgetting', description: 'Row L4: the merged block keeps the key of the neighbour only' },
    ],
  },
});
