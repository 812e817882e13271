import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';
import { type RecordContents, type RecordSlot, recordAt } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  folioLocks: Record<string, Address>;
  /** i_mmap: which ptes may map a place of a file. */
  mappers: Record<Address, Record<string, RmapItem[]>>;
  writeProtect: Address;
  replacePage: Address;
  putPage: Address;
  /** flush_tlb_page of its task, by address space. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by address space; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
}

interface Context extends Required<Input> {
  caller: Address;
  /** The place whose page stays, and the one whose page goes. */
  into: RecordSlot;
  other: RecordSlot;
  kpfn: number;
  pfn: number;
  /** What was read from the page that stays. */
  content: string | null;
  /** The page that stays is shared already. */
  joins: boolean;
  /** Its ptes, all of them read-only and clean. */
  kptes: number;
  /** Those of the page that goes, as they were left. */
  ptes: { item: RmapItem; pte: Pte }[];
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ into: RecordSlot; other: RecordSlot }>
  | Return<{ ok?: boolean; ptes?: (Pte | null)[] }>
  | Signed<PteReply>
  | Signed<RecordContents>
  | Signed<{ type: 'slot'; pfn: number | null } | { type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'writeback.ended' }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'page.counts'; refcount: number; dirty?: boolean }>
  | Signed<{ type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const nowhere: RecordSlot = { mapping: '', index: -1 };
const idle = {
  caller: '',
  into: nowhere,
  other: nowhere,
  kpfn: -1,
  pfn: -1,
  content: null,
  joins: false,
  kptes: 0,
  ptes: [] as Context['ptes'],
  ok: false,
};
const item = ({ ptes }: Context): RmapItem => (ptes[0] as Context['ptes'][number]).item;
const notifierOf = (context: Context): Address | null => context.notifiers[item(context).mm] ?? null;
const lockOf = (context: Context, pfn: number): Address => context.folioLocks[pfn] as Address;
const mappersOf = ({ mappers }: Context, { mapping, index }: RecordSlot): RmapItem[] => mappers[mapping]?.[index] ?? [];

/**
 * Merges two pages of files that hold the same: deduplication as KSM does it, for the page cache. A proposal (Glisse 2018, 2020), and no
 * function of the kernel. Called with the place whose page stays and the one whose page goes; returns `{ ok }`. The page that goes
 * is clean and not under writeback; the one that stays may be either, and may be shared already. Of one file two pages are not
 * merged: who has looked up one place would not notice that the page is the other's alone by now, since it asks for the mapping only.
 * Domain table, part 2, 1f, 2D; rows W1 to W5, W8.
 */
export const mergeFilePages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isOneFile: ({ event }) => {
      const { into, other } = received(event, 'call');
      return into.mapping === other.mapping;
    },
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    isOtherPage: ({ context, event }) => ![null, context.kpfn].includes(received(event, 'slot').pfn),
    isSameContent: ({ context, event }) => received(event, 'memory.content').value === context.content,
    isProtected: ({ event }) => received(event, 'folio.mapping').record !== null,
    isOfInto: ({ context, event }) => received(event, 'folio.mapping').mapping === context.into.mapping,
    isOfOther: ({ context, event }) => received(event, 'folio.mapping').mapping === context.other.mapping,
    mayJoin: ({ context, event }) => {
      const { slots } = received(event, 'record.contents');
      const { into, other } = context;
      return slots.some(({ mapping, index }) => mapping === into.mapping && index === into.index) && slots.every(({ mapping }) => mapping !== other.mapping);
    },
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    ok: ({ event }) => received(event, 'return').ok === true,
    joins: ({ context }) => context.joins,
    /**
     * Safeguard (U5): nobody but its ptes, the page cache and this path refers to it. Of ptes that are read-only and clean
     * already write_protect_page does not ask, and a pin may outlive all ptes.
     */
    isUnreferenced: ({ context, event }) => received(event, 'page.counts').refcount === context.ptes.length + 2,
    /** Safeguard (U5): the same, of the page that stays. */
    isKpageUnreferenced: ({ context, event }) => received(event, 'page.counts').refcount === context.kptes + 2,
    /** Safeguard (row W4): what was compared before could change. */
    comparesAgain: () => true,
    allReplaced: ({ context }) => context.ptes.length === 0,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    isMapped: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from: caller, into, other } = received(event, 'call');
      return { caller, into, other };
    }),
    readInto: tell(
      ({ context }) => context.into.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.into.index }),
    ),
    readOther: tell(
      ({ context }) => context.other.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.other.index }),
    ),
    noteInto: assign({ kpfn: ({ event }) => received(event, 'slot').pfn as number }),
    noteOther: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    getInto: tell(({ context }) => pageAt(context.kpfn), { type: 'folio.try_get' }),
    getOther: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    sampleInto: tell(({ context }) => pageAt(context.kpfn), { type: 'memory.read', sample: false }),
    sampleOther: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    noteContent: assign({ content: ({ event }) => received(event, 'memory.content').value }),
    lockFirst: tell(({ context }) => lockOf(context, Math.min(context.kpfn, context.pfn)), { type: 'lock' }),
    lockSecond: tell(({ context }) => lockOf(context, Math.max(context.kpfn, context.pfn)), { type: 'lock' }),
    unlockInto: tell(({ context }) => lockOf(context, context.kpfn), { type: 'unlock' }),
    unlockOther: tell(({ context }) => lockOf(context, context.pfn), { type: 'unlock' }),
    askInto: tell(({ context }) => pageAt(context.kpfn), { type: 'folio.mapping' }),
    askOther: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mapping' }),
    readRecord: tell(({ event }) => received(event, 'folio.mapping').record as Address, { type: 'record.read' }),
    noteJoins: assign({ joins: true }),
    readOtherCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    readIntoCounts: tell(({ context }) => pageAt(context.kpfn), { type: 'page.read' }),
    waitWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_writeback' }),
    protectOther: tell(
      ({ context }) => context.writeProtect,
      ({ context }) => ({ type: 'call', pfn: context.pfn, items: mappersOf(context, context.other), shares: true }),
    ),
    protectInto: tell(
      ({ context }) => context.writeProtect,
      ({ context }) => ({ type: 'call', pfn: context.kpfn, items: mappersOf(context, context.into), shares: true }),
    ),
    notePtes: assign({
      ptes: ({ context, event }) => {
        const { ptes = [] } = received(event, 'return');
        return mappersOf(context, context.other).flatMap((item, which) => (ptes[which] ? [{ item, pte: ptes[which] }] : []));
      },
    }),
    countPtes: assign({ kptes: ({ event }) => (received(event, 'return').ptes ?? []).filter((pte) => pte !== null).length }),
    setRecord: tell(
      ({ context }) => pageAt(context.kpfn),
      ({ context }) => ({ type: 'folio.protect', record: recordAt(context.kpfn), stable: true }),
    ),
    addInto: tell(
      ({ context }) => recordAt(context.kpfn),
      ({ context }) => ({ type: 'record.add_slot', slot: context.into }),
    ),
    addOther: tell(
      ({ context }) => recordAt(context.kpfn),
      ({ context }) => ({ type: 'record.add_slot', slot: context.other }),
    ),
    callReplace: tell(
      ({ context }) => context.replacePage,
      ({ context }) => ({ type: 'call', item: item(context), pfn: context.pfn, kpfn: context.kpfn, pte: context.ptes[0]?.pte }),
    ),
    nextPte: assign({ ptes: ({ context }) => context.ptes.slice(1) }),
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
    getCache: tell(({ context }) => pageAt(context.kpfn), { type: 'folio.ref_inc' }),
    replaceSlot: tell(
      ({ context }) => context.other.mapping,
      ({ context }) => ({ type: 'slot.replace', index: context.other.index, pfn: context.kpfn }),
    ),
    clearMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.set_mapping', mapping: null }),
    putCache: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_dec' }),
    succeed: assign({ ok: true }),
    callPutOther: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callPutInto: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.kpfn, pinned: false }),
    ),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'merge_file_pages',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called; gives two pages of one file up at once',
      on: {
        call: [
          { guard: 'isOneFile', target: 'idle', actions: ['remember', 'return', 'forget'] },
          { target: 'get_into', actions: 'remember' },
        ],
      },
    },
    get_into: {
      description: 'Which page is to stay? Looks, and takes a reference',
      on: {
        step: { actions: 'readInto' },
        slot: [
          { guard: 'isInCache', target: 'folio_try_get_into', actions: 'noteInto' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    folio_try_get_into: {
      description: 'One that is being taken away is none to merge with',
      entry: 'getInto',
      on: { 'folio.got': { target: 'get_other' }, 'folio.frozen': { target: 'idle', actions: ['return', 'forget'] } },
    },
    get_other: {
      description: 'Which page is to go? Another one, not the same already',
      on: {
        step: { actions: 'readOther' },
        slot: [{ guard: 'isOtherPage', target: 'folio_try_get_other', actions: 'noteOther' }, { target: 'put_into' }],
      },
    },
    folio_try_get_other: {
      description: 'A reference of it',
      entry: 'getOther',
      on: { 'folio.got': { target: 'compare_hint' }, 'folio.frozen': { target: 'put_into' } },
    },
    compare_hint: {
      description: 'Do they hold the same? Both may change meanwhile: a hint',
      on: { step: { actions: 'sampleInto' }, 'memory.content': { target: 'compare_hint_other', actions: 'noteContent' } },
    },
    compare_hint_other: {
      description: 'The second page',
      entry: 'sampleOther',
      on: { 'memory.content': [{ guard: 'isSameContent', target: 'folio_lock_first' }, { target: 'put_other' }] },
    },
    folio_lock_first: { description: 'Locks both, that with the lower frame number first', on: { step: { target: 'wait_for_first', actions: 'lockFirst' } } },
    wait_for_first: { description: 'Sleeps while another has it locked', on: { locked: { target: 'folio_lock_second' } } },
    folio_lock_second: { description: 'Then the other', on: { step: { target: 'wait_for_second', actions: 'lockSecond' } } },
    wait_for_second: { description: 'Sleeps while another has it locked', on: { locked: { target: 'check_into' } } },
    check_into: {
      description: 'Does the page that stays stand there still, alone or shared?',
      entry: 'askInto',
      on: {
        'folio.mapping': [
          { guard: 'isProtected', target: 'read_record', actions: 'readRecord' },
          { guard: 'isOfInto', target: 'check_other' },
          { target: 'unlock_other' },
        ],
      },
    },
    read_record: {
      description: 'Shared already: one more may join, of a file that has no part in it yet',
      on: { 'record.contents': [{ guard: 'mayJoin', target: 'check_other', actions: 'noteJoins' }, { target: 'unlock_other' }] },
    },
    check_other: {
      description: "Does the page that goes stand there still, and is it that file's alone?",
      entry: 'askOther',
      on: { 'folio.mapping': [{ guard: 'isOfOther', target: 'folio_test_dirty' }, { target: 'unlock_other' }] },
    },
    folio_test_dirty: {
      description: "What is dirty goes to the disk first; the owner's writeback sees to it",
      entry: 'readOtherCounts',
      on: { 'page.counts': [{ guard: 'isDirty', target: 'unlock_other' }, { target: 'folio_wait_writeback' }] },
    },
    folio_wait_writeback: {
      description: 'Its writes end before another page stands for the same place of the disk',
      on: { step: { target: 'wait_on_writeback', actions: 'waitWriteback' } },
    },
    wait_on_writeback: { description: 'Sleeps, with both locked', on: { 'writeback.ended': { target: 'write_protect_other' } } },
    write_protect_other: {
      description: 'Nobody stores to the page that goes any more',
      entry: 'protectOther',
      on: { return: [{ guard: 'ok', target: 'count_other', actions: 'notePtes' }, { target: 'unlock_other' }] },
    },
    count_other: {
      description: 'Neither by a pin; and nothing was stored until now that the disk does not know',
      on: {
        step: { actions: 'readOtherCounts' },
        'page.counts': [{ guard: 'isDirty', target: 'unlock_other' }, { guard: 'isUnreferenced', target: 'protect_into' }, { target: 'unlock_other' }],
      },
    },
    protect_into: {
      description: 'A page that is shared already never changes',
      always: [{ guard: 'joins', target: 'pages_identical' }, { target: 'write_protect_into' }],
    },
    write_protect_into: {
      description: 'Nobody stores to the page that stays',
      entry: 'protectInto',
      on: { return: [{ guard: 'ok', target: 'count_into', actions: 'countPtes' }, { target: 'unlock_other' }] },
    },
    count_into: {
      description: 'Neither by a pin; it may be dirty, or under writeback',
      on: {
        step: { actions: 'readIntoCounts' },
        'page.counts': [{ guard: 'isKpageUnreferenced', target: 'pages_identical' }, { target: 'unlock_other' }],
      },
    },
    pages_identical: { description: 'Now neither can change', always: [{ guard: 'comparesAgain', target: 'memcmp_pages' }, { target: 'set_page_record' }] },
    memcmp_pages: {
      description: 'Compares again',
      on: { step: { actions: 'sampleInto' }, 'memory.content': { target: 'memcmp_pages_other', actions: 'noteContent' } },
    },
    memcmp_pages_other: {
      description: 'The second page',
      entry: 'sampleOther',
      on: { 'memory.content': [{ guard: 'isSameContent', target: 'set_page_record' }, { target: 'unlock_other' }] },
    },
    set_page_record: {
      description: 'page->mapping of the page that stays leads to its record, which lists both places',
      on: {
        step: [
          { guard: 'joins', target: 'next_pte', actions: 'addOther' },
          { target: 'next_pte', actions: ['setRecord', 'addInto', 'addOther'] },
        ],
      },
    },
    next_pte: {
      description: 'The next pte of the page that goes',
      always: [{ guard: 'allReplaced', target: 'replace_slot' }, { target: 'replace_page' }],
    },
    replace_page: {
      description: 'It maps the page that stays, unless it has changed',
      entry: 'callReplace',
      on: { return: [{ guard: 'ok', target: 'next_pte', actions: 'nextPte' }, { target: 'unmap_changed' }] },
    },
    unmap_changed: {
      description: 'mprotect, NUMA balancing or munmap has changed the pte: what maps the page still is taken away, to be faulted anew',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'page_vma_mapped_walk' }],
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
    flush_tlb_page: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'folio_remove_rmap_pte' } } },
    folio_remove_rmap_pte: { description: 'Drops the mapping, and the lock', on: { step: { target: 'put_mapped', actions: ['removeRmap', 'unlockPtl'] } } },
    put_mapped: { description: 'And its reference', entry: 'callPutOther', on: { return: { target: 'place_done' } } },
    page_vma_mapped_walk_done: { description: 'Not mapped here any more', on: { step: { target: 'place_done', actions: 'unlockPtl' } } },
    place_done: {
      description: 'The notification is over, and the next pte',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'next_pte', actions: 'nextPte' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'next_pte', actions: 'nextPte' } },
    },
    replace_slot: {
      description: 'The page that stays stands in both places, with a reference for each; the other one in none',
      on: { step: { target: 'unlock_other', actions: ['getCache', 'replaceSlot', 'clearMapping', 'putCache', 'succeed'] } },
    },
    unlock_other: {
      description: 'Merged, or given up: who sleeps on the page that goes looks again',
      on: { step: { target: 'unlock_into', actions: 'unlockOther' } },
    },
    unlock_into: { description: 'The page that stays', on: { step: { target: 'put_other', actions: 'unlockInto' } } },
    put_other: { description: 'Gives the reference back; when merged, it was the last one', entry: 'callPutOther', on: { return: { target: 'put_into' } } },
    put_into: { description: 'And the other', entry: 'callPutInto', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
