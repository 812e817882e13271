import { assign, setup } from 'xstate';
import { received, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** The block behind each file offset; null: none (a hole, or given back to the filesystem). */
  blocks: Record<string, number | null>;
  /** VMAs that map the file (i_mmap). */
  mappers: number;
}

type Event = Signed<{ type: 'mapping.mapped' } | { type: 'mapping.unlink' } | { type: 'block.read'; index: number } | { type: 'block.free'; index: number }>;

const { reply } = speaker<Context, Event>();

/**
 * A file's mapping (struct address_space) on a dax filesystem: which block stands behind each offset, and whether any
 * VMA maps the file. Domain table: dax_break_layout, rows A3, A4, A10; invariant I12.
 */
export const pageCache = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { blocks: Record<string, number | null>; mappers: number } },
  actions: {
    replyMapped: reply(({ context }) => ({ type: 'mapping.state', state: context.mappers > 0 ? 'mapped' : 'unmapped' })),
    unlink: assign({ mappers: ({ context }) => context.mappers - 1 }),
    replyBlock: reply(({ context, event }) => ({ type: 'block', pfn: context.blocks[received(event, 'block.read').index] ?? null })),
    free: assign({ blocks: ({ context, event }) => ({ ...context.blocks, [received(event, 'block.free').index]: null }) }),
  },
}).createMachine({
  id: 'mapping',
  description: 'struct address_space of a dax file',
  context: ({ input }) => input,
  on: {
    'mapping.mapped': { actions: 'replyMapped', description: 'mapping_mapped()' },
    'mapping.unlink': { actions: 'unlink', description: 'Z10: unlink_file_vma' },
    'block.read': { actions: 'replyBlock', description: 'iomap_begin: offset to block' },
    'block.free': { actions: 'free', description: 'the filesystem may give the block to another file' },
  },
});
