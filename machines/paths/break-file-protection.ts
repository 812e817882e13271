import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type PteReply, pageAt } from '../memory/address-space.js';
import type { RecordContents } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  folioLocks: Record<string, Address>;
  /** i_mmap: which ptes may map a place of a file. */
  mappers: Record<Address, Record<string, RmapItem[]>>;
  allocPages: Address;
  putPage: Address;
  /** flush_tlb_page of its task, by address space. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
}

interface Context extends Required<Input> {
  caller: Address;
  /** The page whose bytes are shared. */
  pfn: number;
  /** The owner who wants bytes of his own. */
  mapping: Address;
  index: number;
  copy: number;
  record: Address;
  /** His ptes not looked at yet. */
  items: RmapItem[];
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; vpn: number | null; mapping: Address; index: number }>
  | Return<{ pfns?: number[] }>
  | Signed<PteReply>
  | Signed<RecordContents>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'writeback.ended' }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'record.listed'; listed: boolean }>
  | Signed<{ type: 'memory.content'; value: string | null } | { type: 'page.counts'; dirty?: boolean }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', pfn: -1, mapping: '', index: -1, copy: -1, record: '', items: [] as RmapItem[] };
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
const notifierOf = (context: Context): Address | null => context.notifiers[item(context).mm] ?? null;
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;

/**
 * Gives one owner of a page of files that is shared a page of his own, before he stores to it: a proposal (Glisse 2018, 2020), and no
 * function of the kernel. Under the folio lock of the page that is shared: copy, take the owner's ptes away, put the copy into his
 * slot, take him out of the record; when one owner is left, the page is his alone, and protected no more. Called with the page and
 * the owner's place by who holds no lock of it; returns `{ ok }`, false only without memory. The caller looks the page up
 * again: somebody else may have been faster. Domain table, part 2, 1f; rows W9, W14, invariants I3w, I7.
 */
export const breakFileProtection = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    isProtected: ({ event }) => received(event, 'folio.mapping').record !== null,
    isListed: ({ event }) => received(event, 'record.listed').listed,
    /**
     * Safeguard: the old page's writes end before the copy can be written to the same place, and before the owner's fsync looks at the
     * copy alone.
     */
    waitsForWriteback: () => true,
    /** The owner's bytes may not be on the disk yet. */
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    /** Safeguard (I3w): once the copy is in the slot somebody can store to it, and who reads through a stale translation would not see it. */
    unmapsFirst: () => true,
    allUnmapped: ({ context }) => context.items.length === 0,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    isMapped: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
    isSharedStill: ({ event }) => received(event, 'record.contents').slots.length > 1,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, pfn, mapping, index } = received(event, 'call');
      return { caller: from, pfn, mapping, index, items: context.mappers[mapping]?.[index] ?? [] };
    }),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    noteCopy: assign({ copy: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    askMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mapping' }),
    noteRecord: assign({ record: ({ event }) => received(event, 'folio.mapping').record as Address }),
    askRecord: tell(
      ({ context }) => context.record,
      ({ context }) => ({ type: 'record.lists', mapping: context.mapping, index: context.index }),
    ),
    waitWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_writeback' }),
    readBytes: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    copyInto: tell(
      ({ context }) => pageAt(context.copy),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    markCopyDirty: tell(({ context }) => pageAt(context.copy), { type: 'folio.mark_dirty' }),
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
    callFlush: tell(
      ({ context }) => context.flush[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [item(context).vpn] }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.remove_rmap' }),
    nextItem: assign({ items: ({ context }) => context.items.slice(1) }),
    setMapping: tell(
      ({ context }) => pageAt(context.copy),
      ({ context }) => ({ type: 'folio.set_mapping', mapping: context.mapping }),
    ),
    replaceSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.replace', index: context.index, pfn: context.copy }),
    ),
    removeSlot: tell(
      ({ context }) => context.record,
      ({ context }) => ({ type: 'record.remove_slot', slot: { mapping: context.mapping, index: context.index } }),
    ),
    unprotect: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unprotect' }),
    giveToLast: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'folio.set_mapping', mapping: received(event, 'record.contents').slots[0]?.mapping ?? null }),
    ),
    clearRecord: tell(({ context }) => context.record, { type: 'record.clear' }),
    putCache: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callPutCopy: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.copy, pinned: false }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnNoMemory: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'break_file_protection',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'alloc_pages', actions: 'remember' } } },
    alloc_pages: {
      description: 'A page for the copy, before any lock is taken; its reference is that of the page cache later',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPage', target: 'folio_try_get', actions: 'noteCopy' },
          { target: 'idle', actions: ['returnNoMemory', 'forget'] },
        ],
      },
    },
    folio_try_get: {
      description: 'A reference of the page that is shared, if it is there still',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': { target: 'folio_lock' },
        'folio.frozen': { target: 'put_copy' },
      },
    },
    folio_lock: {
      description: 'Locks it: who breaks, maps, writes or truncates comes one after the other',
      on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } },
    },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'folio_mapping' } } },
    folio_mapping: {
      description: 'Is it protected still?',
      entry: 'askMapping',
      on: { 'folio.mapping': [{ guard: 'isProtected', target: 'record_lists', actions: 'noteRecord' }, { target: 'unlock_faster' }] },
    },
    record_lists: {
      description: 'Has the owner a part in it still?',
      entry: 'askRecord',
      on: { 'record.listed': [{ guard: 'isListed', target: 'before_copy' }, { target: 'unlock_faster' }] },
    },
    unlock_faster: { description: 'Somebody was faster: unlocks', on: { step: { target: 'put_faster', actions: 'unlockFolio' } } },
    put_faster: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'put_copy' } } },
    put_copy: { description: 'The copy is free again', entry: 'callPutCopy', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
    before_copy: {
      description: 'Is it under writeback?',
      always: [{ guard: 'waitsForWriteback', target: 'folio_wait_writeback' }, { target: 'copy_user_folio' }],
    },
    folio_wait_writeback: {
      description: 'Asks to be woken when its writes have ended',
      on: { step: { target: 'wait_on_writeback', actions: 'waitWriteback' } },
    },
    wait_on_writeback: { description: 'Sleeps, with the folio locked', on: { 'writeback.ended': { target: 'copy_user_folio' } } },
    copy_user_folio: {
      description: 'Copies the bytes, which nobody changes',
      on: { step: { actions: 'readBytes' }, 'memory.content': { target: 'folio_test_dirty', actions: 'copyInto' } },
    },
    folio_test_dirty: {
      description: 'The copy is as dirty as the page: it must reach the disk if the owner never stores',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isDirty', target: 'copy_ready', actions: 'markCopyDirty' }, { target: 'copy_ready' }] },
    },
    copy_ready: {
      description: 'First the ptes, then the slot',
      always: [{ guard: 'unmapsFirst', target: 'rmap_walk' }, { target: 'slot_replace' }],
    },
    rmap_walk: {
      description: "The next of the owner's ptes; who faults meanwhile sleeps on the folio lock",
      always: [
        { guard: 'allUnmapped', target: 'unmapped' },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'page_vma_mapped_walk' },
      ],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'Secondary MMUs drop the page here',
      entry: 'callStart',
      on: { return: { target: 'page_vma_mapped_walk' } },
    },
    page_vma_mapped_walk: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Is the page mapped here?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isMapped', target: 'ptep_clear' }, { target: 'page_vma_mapped_walk_done' }] },
    },
    ptep_clear: { description: 'Takes the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: {
      description: 'IPIs under the page-table lock: nobody reads the old page through it',
      entry: 'callFlush',
      on: { return: { target: 'folio_remove_rmap_pte' } },
    },
    folio_remove_rmap_pte: {
      description: 'Drops the mapping, and the lock',
      on: { step: { target: 'put_mapped', actions: ['removeRmap', 'unlockPtl'] } },
    },
    put_mapped: { description: 'And its reference', entry: 'callPut', on: { return: { target: 'place_done' } } },
    page_vma_mapped_walk_done: { description: 'Not mapped here', on: { step: { target: 'place_done', actions: 'unlockPtl' } } },
    place_done: {
      description: 'The notification is over, and the next place',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'rmap_walk', actions: 'nextItem' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'rmap_walk', actions: 'nextItem' } },
    },
    unmapped: { description: 'The slot, if that was not first', always: [{ guard: 'unmapsFirst', target: 'slot_replace' }, { target: 'folio_unlock' }] },
    slot_replace: {
      description: 'The copy is the page of this place, and the record forgets the owner; a page with one owner left is his alone',
      on: {
        step: { actions: ['setMapping', 'replaceSlot', 'removeSlot'] },
        'record.contents': [
          { guard: 'isSharedStill', target: 'slot_replaced', actions: 'putCache' },
          { target: 'slot_replaced', actions: ['unprotect', 'giveToLast', 'clearRecord', 'putCache'] },
        ],
      },
    },
    slot_replaced: { description: 'The ptes, if they were not first', always: [{ guard: 'unmapsFirst', target: 'folio_unlock' }, { target: 'rmap_walk' }] },
    folio_unlock: { description: 'Who sleeps on the old page looks again', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
