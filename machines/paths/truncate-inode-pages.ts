import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type PresentPte, type PteReply, pageAt } from '../memory/address-space.js';
import type { RecordContents } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  folioLocks: Record<string, Address>;
  /** i_mmap: which ptes may map a place of a file. */
  mappers: Record<Address, Record<string, RmapItem[]>>;
  putPage: Address;
  /** flush_tlb_page of its task, by address space. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
}

interface Context extends Required<Input> {
  caller: Address;
  mapping: Address;
  index: number;
  /** The page that stands there; -1: not looked up yet. */
  pfn: number;
  /** page->mapping leads to it; null: the page is this file's alone. */
  record: Address | null;
  /** Ptes not looked at yet. */
  items: RmapItem[];
  /** The page that is unmapped, and whether its pte was dirty. */
  mapped: { pfn: number; dirty: boolean } | null;
}

type Event =
  | { type: 'step' }
  | Call<{ mapping: Address; index: number }>
  | Return
  | Signed<PteReply>
  | Signed<RecordContents>
  | Signed<{ type: 'slot'; pfn: number | null } | { type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'writeback.ended' }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'record.listed'; listed: boolean }>
  | Signed<{ type: 'page.counts'; mapcount: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', mapping: '', index: -1, pfn: -1, record: null, items: [] as RmapItem[], mapped: null };
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
const notifierOf = (context: Context): Address | null => context.notifiers[item(context).mm] ?? null;
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;
const mappersOf = ({ mappers, mapping, index }: Context): RmapItem[] => mappers[mapping]?.[index] ?? [];
const unmappedPage = ({ mapped }: Context): number => mapped?.pfn as number;

/**
 * Truncation of one page of a file: unmap_mapping_range and truncate_inode_pages_range (mm/truncate.c, mm/memory.c, 6.12). The page is
 * unmapped, found, locked, looked at again, and unmapped once more, since it may have been faulted in meanwhile; then it leaves the
 * page cache. One that was truncated by somebody else is looked for again until the place is empty. A page that others share stays
 * theirs, and as dirty as it is. Called with the place. Domain table, part 2, 1f (U1); row W14.
 */
export const truncateInodePages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    allUnmapped: ({ context }) => context.items.length === 0,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    /** unmap_mapping_range takes whatever is mapped there, unmap_mapping_folio the one page. */
    isMapped: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && (context.pfn === -1 || pte.pfn === context.pfn);
    },
    isDirty: ({ context }) => context.mapped?.dirty === true,
    isFound: ({ context }) => context.pfn !== -1,
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    /** Safeguard (row W14): a protected page has a record where its mapping was; it has not been truncated for that. */
    knowsRecord: ({ event }) => received(event, 'folio.mapping').record !== null,
    isSameMapping: ({ context, event }) => received(event, 'folio.mapping').mapping === context.mapping,
    isListed: ({ event }) => received(event, 'record.listed').listed,
    isMappedAgain: ({ event }) => received(event, 'page.counts').mapcount > 0,
    isProtected: ({ context }) => context.record !== null,
    isSharedStill: ({ event }) => received(event, 'record.contents').slots.length > 1,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, mapping, index } = received(event, 'call');
      return { caller: from, mapping, index, items: mappersOf({ ...context, mapping, index }) };
    }),
    callStart: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    callEnd: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [item(context).vpn] }),
    ),
    lockPtl: tell(({ context }) => item(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => item(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: item(context).vpn }),
    ),
    clearPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: item(context).vpn }),
    ),
    notePte: assign({
      mapped: ({ event }) => {
        const { pfn, dirty } = mappingPte(received(event, 'pte').pte) as PresentPte;
        return { pfn, dirty };
      },
    }),
    markDirty: tell(({ context }) => pageAt(unmappedPage(context)), { type: 'folio.mark_dirty' }),
    callFlush: tell(
      ({ context }) => context.flush[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [item(context).vpn] }),
    ),
    removeRmap: tell(({ context }) => pageAt(unmappedPage(context)), { type: 'folio.remove_rmap' }),
    callPutMapped: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: unmappedPage(context), pinned: false }),
    ),
    nextItem: assign({ items: ({ context }) => context.items.slice(1), mapped: null }),
    allItems: assign({ items: ({ context }) => mappersOf(context) }),
    readSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.index }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    forgetPage: assign({ pfn: -1, record: null }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    askMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mapping' }),
    noteRecord: assign({ record: ({ event }) => received(event, 'folio.mapping').record }),
    askRecord: tell(
      ({ context }) => context.record as Address,
      ({ context }) => ({ type: 'record.lists', mapping: context.mapping, index: context.index }),
    ),
    waitWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_writeback' }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    cancelDirty: tell(({ context }) => pageAt(context.pfn), { type: 'folio.clean' }),
    deleteSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.delete', index: context.index }),
    ),
    clearMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.set_mapping', mapping: null }),
    removeSlot: tell(
      ({ context }) => context.record as Address,
      ({ context }) => ({ type: 'record.remove_slot', slot: { mapping: context.mapping, index: context.index } }),
    ),
    unprotect: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unprotect' }),
    giveToLast: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'folio.set_mapping', mapping: received(event, 'record.contents').slots[0]?.mapping ?? null }),
    ),
    clearRecord: tell(({ context }) => context.record as Address, { type: 'record.clear' }),
    putCache: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'truncate_inode_pages',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'unmap_mapping_range', actions: 'remember' } } },
    unmap_mapping_range: {
      description: 'The next place where a page of the file may be mapped',
      always: [
        { guard: 'allUnmapped', target: 'unmapped' },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'pte_offset_map_lock' },
      ],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'Secondary MMUs drop the page here',
      entry: 'callStart',
      on: { return: { target: 'pte_offset_map_lock' } },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'zap_pte_range' } } },
    zap_pte_range: {
      description: 'Is a page mapped here?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isMapped', target: 'ptep_get_and_clear' }, { target: 'pte_unmap_unlock' }] },
    },
    ptep_get_and_clear: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'folio_mark_dirty', actions: 'notePte' } },
    },
    folio_mark_dirty: {
      description: 'D goes to the folio',
      always: [{ guard: 'isDirty', target: 'flush_tlb_page', actions: 'markDirty' }, { target: 'flush_tlb_page' }],
    },
    flush_tlb_page: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'folio_remove_rmap_pte' } } },
    folio_remove_rmap_pte: { description: 'Drops the mapping, and the lock', on: { step: { target: 'put_mapped', actions: ['removeRmap', 'unlockPtl'] } } },
    put_mapped: { description: 'And its reference', entry: 'callPutMapped', on: { return: { target: 'place_done' } } },
    pte_unmap_unlock: { description: 'Nothing to unmap here', on: { step: { target: 'place_done', actions: 'unlockPtl' } } },
    place_done: {
      description: 'The notification is over, and the next place',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'unmap_mapping_range', actions: 'nextItem' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'unmap_mapping_range', actions: 'nextItem' } },
    },
    unmapped: {
      description: 'Before the page is looked for, or with the page locked',
      always: [{ guard: 'isFound', target: 'filemap_remove_folio' }, { target: 'find_get_entries' }],
    },
    find_get_entries: {
      description: 'Which page stands there? None: done',
      on: {
        step: { actions: 'readSlot' },
        slot: [
          { guard: 'isInCache', target: 'folio_try_get', actions: 'noteSlot' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    folio_try_get: {
      description: 'A folio that is being taken away has no reference to add to: looks again',
      entry: 'tryGet',
      on: { 'folio.got': { target: 'folio_lock' }, 'folio.frozen': { target: 'find_get_entries', actions: 'forgetPage' } },
    },
    folio_lock: { description: 'Locks it', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'folio_wait_writeback' } } },
    folio_wait_writeback: { description: 'Is it under writeback?', on: { step: { target: 'wait_on_writeback', actions: 'waitWriteback' } } },
    wait_on_writeback: { description: 'Sleeps, with the folio locked', on: { 'writeback.ended': { target: 'truncate_inode_folio' } } },
    truncate_inode_folio: {
      description: 'Is it this mapping still? Else somebody else has truncated it',
      entry: 'askMapping',
      on: {
        'folio.mapping': [
          { guard: 'knowsRecord', target: 'record_lists', actions: 'noteRecord' },
          { guard: 'isSameMapping', target: 'folio_mapped' },
          { target: 'unlock_gone' },
        ],
      },
    },
    record_lists: {
      description: 'A protected page: the record says whose it is',
      entry: 'askRecord',
      on: { 'record.listed': [{ guard: 'isListed', target: 'folio_mapped' }, { target: 'unlock_gone' }] },
    },
    unlock_gone: { description: 'Looks again, to make sure that all is gone', on: { step: { target: 'put_gone', actions: 'unlockFolio' } } },
    put_gone: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'find_get_entries', actions: 'forgetPage' } } },
    folio_mapped: {
      description: 'Was it mapped again meanwhile? From here the folio lock keeps faults away',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isMappedAgain', target: 'unmap_mapping_range', actions: 'allItems' }, { target: 'filemap_remove_folio' }] },
    },
    filemap_remove_folio: {
      description: "A page that is this file's alone loses what is dirty, too; of one that is shared the file just drops its part",
      always: [{ guard: 'isProtected', target: 'record_remove_slot' }, { target: 'page_cache_delete' }],
    },
    page_cache_delete: {
      description: "The slot is empty, and the page nobody's",
      on: { step: { target: 'folio_unlock', actions: ['cancelDirty', 'deleteSlot', 'clearMapping', 'putCache'] } },
    },
    record_remove_slot: {
      description: 'The slot is empty, and the record forgets the file; a page with one owner left is his alone',
      on: {
        step: { actions: ['deleteSlot', 'removeSlot'] },
        'record.contents': [
          { guard: 'isSharedStill', target: 'folio_unlock', actions: 'putCache' },
          { target: 'folio_unlock', actions: ['unprotect', 'giveToLast', 'clearRecord', 'putCache'] },
        ],
      },
    },
    folio_unlock: { description: 'Who sleeps on it looks again', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
