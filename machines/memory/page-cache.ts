import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** The block behind each file offset; null: none (a hole, or given back to the filesystem). */
  blocks: Record<string, number | null>;
  /** VMAs that map the file (i_mmap). */
  mappers: number;
  /** i_pages: the page that each slot holds; null: none. */
  folios: Record<string, number | null>;
  /** What is stored on disk, at the server or in swap, where contents are modelled. */
  stored: Record<string, string>;
  /** Who is told when a slot is filled or replaced; null: nobody. */
  observer: Address | null;
  /** AS_EIO: a write to the disk has failed since somebody asked. */
  error: boolean;
}

type Input = Partial<Context>;

type Event =
  | Signed<{ type: 'mapping.mapped' } | { type: 'mapping.unlink' } | { type: 'block.read'; index: number } | { type: 'block.free'; index: number }>
  | Signed<{ type: 'slot.read'; index: number } | { type: 'slot.add'; index: number; pfn: number } | { type: 'slot.replace'; index: number; pfn: number }>
  | Signed<{ type: 'swap.add'; pfn: number } | { type: 'swap.find'; pfn: number }>
  | Signed<{ type: 'slot.delete'; index: number } | { type: 'stored.read'; index: number } | { type: 'stored.write'; index: number; value: string }>
  | Signed<{ type: 'mapping.set_error' } | { type: 'mapping.check_error' }>;

const { reply, inform } = speaker<Context, Event>();
/** The slot that holds a page of the swap cache; undefined: none does. */
const slotOf = ({ folios }: Context, pfn: number): string | undefined => Object.keys(folios).find((index) => folios[index] === pfn);
const neverUsed = ({ folios }: Context): number => Math.max(-1, ...Object.keys(folios).map(Number)) + 1;
const pfnAt = ({ folios }: Context, index: number): number | null => folios[index] ?? null;

/**
 * A file's mapping (struct address_space), or the swap cache: which page each slot of i_pages holds, and what is stored
 * behind it; for a dax filesystem which block stands behind each offset, and whether any VMA maps the file. Each message
 * is an access under the i_pages lock. Domain table: dax_break_layout, rows A3, A4, A10, invariant I12; part 2, R6, M4.
 */
export const pageCache = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isOccupied: ({ context, event }) => pfnAt(context, received(event, 'slot.add').index) !== null,
    isInSwap: ({ context, event }) => slotOf(context, received(event, 'swap.add').pfn) !== undefined,
  },
  actions: {
    replyMapped: reply(({ context }) => ({ type: 'mapping.state', state: context.mappers > 0 ? 'mapped' : 'unmapped' })),
    unlink: assign({ mappers: ({ context }) => context.mappers - 1 }),
    replyBlock: reply(({ context, event }) => ({ type: 'block', pfn: context.blocks[received(event, 'block.read').index] ?? null })),
    free: assign({ blocks: ({ context, event }) => ({ ...context.blocks, [received(event, 'block.free').index]: null }) }),
    replySlot: reply(({ context, event }) => ({ type: 'slot', pfn: pfnAt(context, received(event, 'slot.read').index) })),
    replySwap: reply(({ context, event }) => {
      const index = slotOf(context, received(event, 'swap.add', 'swap.find').pfn);
      return { type: 'swap.slot', index: index === undefined ? null : Number(index) };
    }),
    takeSlot: assign({ folios: ({ context, event }) => ({ ...context.folios, [neverUsed(context)]: received(event, 'swap.add').pfn }) }),
    replyTaken: reply(({ context }) => ({ type: 'swap.added', index: neverUsed(context) })),
    replyExists: reply({ type: 'slot.added', result: 'exists' }),
    replyAdded: reply({ type: 'slot.added', result: 'added' }),
    fill: assign({
      folios: ({ context, event }) => {
        const { index, pfn } = received(event, 'slot.add', 'slot.replace');
        return { ...context.folios, [index]: pfn };
      },
    }),
    observeFill: inform(
      ({ context }) => context.observer,
      ({ event }) => {
        const { index, pfn, from } = received(event, 'slot.add', 'slot.replace');
        return { type: 'luf.slot_set', index, pfn, by: from };
      },
    ),
    delete: assign({ folios: ({ context, event }) => ({ ...context.folios, [received(event, 'slot.delete').index]: null }) }),
    replyStored: reply(({ context, event }) => ({ type: 'stored', value: context.stored[received(event, 'stored.read').index] ?? null })),
    store: assign({
      stored: ({ context, event }) => {
        const { index, value } = received(event, 'stored.write');
        return { ...context.stored, [index]: value };
      },
    }),
    setError: assign({ error: true }),
    replyError: reply(({ context }) => ({ type: 'mapping.error', error: context.error })),
    clearError: assign({ error: false }),
  },
}).createMachine({
  id: 'mapping',
  description: 'struct address_space of a file, or of swap',
  context: ({ input }) => ({ blocks: {}, mappers: 0, folios: {}, stored: {}, observer: null, error: false, ...input }),
  on: {
    'mapping.mapped': { actions: 'replyMapped', description: 'mapping_mapped()' },
    'mapping.unlink': { actions: 'unlink', description: 'Z10: unlink_file_vma' },
    'block.read': { actions: 'replyBlock', description: 'iomap_begin: offset to block' },
    'block.free': { actions: 'free', description: 'the filesystem may give the block to another file' },
    'slot.read': { actions: 'replySlot', description: 'filemap_get_entry' },
    'slot.add': [
      { guard: 'isOccupied', actions: 'replyExists', description: '-EEXIST: somebody was faster' },
      { actions: ['fill', 'replyAdded', 'observeFill'], description: 'filemap_add_folio, add_to_swap_cache' },
    ],
    'swap.find': { actions: 'replySwap', description: 'folio_test_swapcache' },
    'swap.add': [
      { guard: 'isInSwap', actions: 'replySwap', description: 'It is there already' },
      { actions: ['replyTaken', 'takeSlot'], description: 'R3: add_to_swap: a slot that was never used' },
    ],
    'slot.replace': { actions: ['fill', 'observeFill'], description: 'M4: folio_migrate_mapping' },
    'slot.delete': { actions: 'delete', description: 'R6: __filemap_remove_folio, __delete_from_swap_cache' },
    'stored.read': { actions: 'replyStored', description: 'read_folio' },
    'stored.write': { actions: 'store', description: 'writepage; for a remote filesystem the server, too' },
    'mapping.set_error': { actions: 'setError', description: 'mapping_set_error' },
    'mapping.check_error': { actions: ['replyError', 'clearError'], description: 'filemap_check_errors: test and clear' },
  },
});
