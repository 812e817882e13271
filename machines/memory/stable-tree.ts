import { assign, setup } from 'xstate';
import { received, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** In the order of insertion. */
  pfns: number[];
}

type Event = Signed<{ type: 'tree.read' } | { type: 'tree.insert'; pfn: number } | { type: 'tree.remove'; pfn: number }>;

const { reply } = speaker<Context, Event>();

/**
 * KSM's stable tree (root_stable_tree, mm/ksm.c, 6.12): the write-protected pages that others may be merged into, by page frame. It is
 * ordered by their bytes there; here who searches goes through all of them. Only the KSM thread looks at it. A page that was freed is
 * still listed until a search finds that out. Domain table, part 2, 1f.
 */
export const stableTree = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Partial<Context> },
  actions: {
    replyPfns: reply(({ context }) => ({ type: 'tree.nodes', pfns: context.pfns })),
    insert: assign({ pfns: ({ context, event }) => [...new Set([...context.pfns, received(event, 'tree.insert').pfn])] }),
    remove: assign({ pfns: ({ context, event }) => context.pfns.filter((pfn) => pfn !== received(event, 'tree.remove').pfn) }),
  },
}).createMachine({
  id: 'stable_tree',
  description: 'The pages that KSM shares',
  context: ({ input }) => ({ pfns: [], ...input }),
  on: {
    'tree.read': { actions: 'replyPfns' },
    'tree.insert': { actions: 'insert', description: 'stable_tree_insert' },
    'tree.remove': { actions: 'remove', description: 'remove_node_from_stable_tree' },
  },
});
