import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { RmapItem } from '../paths/try-to-unmap.js';

/** A place of a page cache that a protected page stands in. */
export interface RecordSlot {
  mapping: Address;
  index: number;
}

/** A copy of a protected page that may be read: on another node (`mm` its page table there), or in the memory of a device. */
export interface Copy {
  mm: Address;
  vpn: number;
  pfn: number;
}

interface Context {
  /** Ptes that map a page which is private (KSM). */
  items: RmapItem[];
  /** Where a page of files stands. */
  slots: RecordSlot[];
  copies: Copy[];
}

type Event =
  | Signed<{ type: 'record.read' } | { type: 'record.lists'; mapping: Address; index: number }>
  | Signed<{ type: 'record.add_item'; item: RmapItem } | { type: 'record.remove_item'; mm: Address; vpn: number }>
  | Signed<{ type: 'record.add_slot'; slot: RecordSlot } | { type: 'record.remove_slot'; slot: RecordSlot }>
  | Signed<{ type: 'record.add_copy'; copy: Copy } | { type: 'record.remove_copy'; copy: Copy } | { type: 'record.clear' }>;

/** What `record.read` and `record.remove_slot` are answered with. */
export type RecordContents = { type: 'record.contents' } & Context;

const { reply } = speaker<Context, Event>();
const same = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);
const isAt = ({ mapping, index }: RecordSlot, other: RecordSlot): boolean => mapping === other.mapping && index === other.index;

/** The address of the record of page frame `pfn`. */
export const recordAt = (pfn: number): Address => `record${pfn}`;

/**
 * What page->mapping of a write-protected page leads to: who has a part in the page. KSM's stable node with its rmap items (struct
 * ksm_stable_node, mm/ksm.c, 6.12), and its generalisation to pages of files and to copies, which is a proposal only. Each message is an
 * access under the lock of the folio, or of the stable tree. Domain table, part 2, 1f.
 */
export const protectionRecord = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Partial<Context> | undefined },
  actions: {
    replyContents: reply(({ context }) => ({ type: 'record.contents', ...context })),
    replyListed: reply(({ context, event }) => {
      const asked = received(event, 'record.lists');
      return { type: 'record.listed', listed: context.slots.some((slot) => isAt(slot, asked)) };
    }),
    // An address has one rmap item.
    addItem: assign({
      items: ({ context, event }) => {
        const { item } = received(event, 'record.add_item');
        return context.items.some((other) => same(other, item)) ? context.items : [...context.items, item];
      },
    }),
    removeItem: assign({
      items: ({ context, event }) => {
        const { mm, vpn } = received(event, 'record.remove_item');
        return context.items.filter((item) => item.mm !== mm || item.vpn !== vpn);
      },
    }),
    addSlot: assign({ slots: ({ context, event }) => [...context.slots, received(event, 'record.add_slot').slot] }),
    removeSlot: assign({ slots: ({ context, event }) => context.slots.filter((slot) => !isAt(slot, received(event, 'record.remove_slot').slot)) }),
    addCopy: assign({ copies: ({ context, event }) => [...context.copies, received(event, 'record.add_copy').copy] }),
    removeCopy: assign({ copies: ({ context, event }) => context.copies.filter((copy) => !same(copy, received(event, 'record.remove_copy').copy)) }),
    clear: assign({ items: [], slots: [], copies: [] }),
  },
}).createMachine({
  id: 'protection_record',
  description: 'Who has a part in a write-protected page',
  context: ({ input }) => ({ items: [], slots: [], copies: [], ...input }),
  on: {
    'record.read': { actions: 'replyContents' },
    'record.lists': { actions: 'replyListed', description: 'Does the page stand in this slot?' },
    'record.add_item': { actions: 'addItem', description: 'stable_tree_append' },
    'record.remove_item': { actions: 'removeItem', description: 'remove_rmap_item_from_tree' },
    'record.add_slot': { actions: 'addSlot' },
    'record.remove_slot': { actions: ['removeSlot', 'replyContents'], description: 'Answered with what is left' },
    'record.add_copy': { actions: 'addCopy' },
    'record.remove_copy': { actions: 'removeCopy' },
    'record.clear': { actions: 'clear', description: 'The protection is broken' },
  },
});
