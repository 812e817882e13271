import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, mappingPte, type PteReply, pageAt } from '../memory/address-space.js';
import { recordAt } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  stableTree: Address;
  /** By address space. */
  mmapLocks: Record<Address, Address>;
  folioLocks: Record<string, Address>;
  /** try_to_merge_one_page of its thread. */
  mergeOne: Address;
  /** break_ksm of its thread (which reads mmap_lock), by address space. */
  breakCow: Record<Address, Address>;
  putPage: Address;
}

interface Context extends Input {
  caller: Address;
  item: RmapItem;
  /** What the unstable tree has under the same checksum. */
  other: RmapItem | null;
  /** The page that each maps, with a reference; null: none that can be merged. */
  pfn: number | null;
  otherPfn: number | null;
  looksAtOther: boolean;
  /** The page that the pte maps which is looked at. */
  mapped: number;
  /** Pages of the stable tree that were not compared yet. */
  stable: number[];
  content: string | null;
  ok: boolean;
}

interface Counts {
  file?: boolean;
  protection?: 'stable' | 'record';
}

type Event =
  | { type: 'step' }
  | Call<{ item: RmapItem; other: RmapItem | null }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'tree.nodes'; pfns: number[] }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | ({ type: 'page.counts' } & Counts) | { type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const nowhere: RmapItem = { mm: '', vpn: -1, ptl: '' };
const idle = {
  caller: '',
  item: nowhere,
  other: null as RmapItem | null,
  pfn: null as number | null,
  otherPfn: null as number | null,
  looksAtOther: false,
  mapped: -1,
  stable: [] as number[],
  content: null as string | null,
  ok: false,
};
const place = ({ item, other, looksAtOther }: Context): RmapItem => (looksAtOther ? (other as RmapItem) : item);
const mmapLockOf = (context: Context): Address => context.mmapLocks[place(context).mm] as Address;
const own = ({ pfn }: Context): number => pfn as number;
const others = ({ otherPfn }: Context): number => otherPfn as number;
const candidate = ({ stable }: Context): number => stable[0] as number;
const lockOf = ({ folioLocks }: Context, pfn: number): Address => folioLocks[pfn] as Address;
const put = (pfnOf: (context: Context) => number) =>
  tell<{ type: string }>(
    ({ context }) => context.putPage,
    ({ context }) => ({ type: 'call', pfn: pfnOf(context), pinned: false }),
  );
const read = (pfnOf: (context: Context) => number) => tell(({ context }) => pageAt(pfnOf(context)), { type: 'memory.read', sample: false });
const addItem = (record: (context: Context) => number, item: (context: Context) => RmapItem) =>
  tell<{ type: string }>(
    ({ context }) => recordAt(record(context)),
    ({ context }) => ({ type: 'record.add_item', item: item(context) }),
  );

/**
 * KSM's thread, with one page whose checksum has not changed: get_mergeable_page, cmp_and_merge_page (mm/ksm.c, 6.12), step 1 of domain
 * table part 2, 1f. It is merged into a stable page with the same bytes, else becomes one itself for the page that the unstable tree has.
 * The bytes are compared without protection, only for a hint. A page that is stable already stays (in the kernel one that a fork has
 * copied is added to the record), and the tree is searched in order of insertion. Called with the place of the page, and what the unstable
 * tree has under the same checksum; returns `{ ok }`: whether it was merged.
 */
export const ksmScan = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'vma').result === 'found',
    isPresent: ({ event }) => mappingPte(received(event, 'pte').pte).kind === 'present',
    /** A private page; the two places are of different pages, as they are not after a fork. */
    isMergeable: ({ context, event }) => {
      const { file, protection } = received(event, 'page.counts');
      return !file && protection === undefined && context.mapped !== context.pfn;
    },
    looksAtOther: ({ context }) => context.looksAtOther,
    hasOther: ({ context }) => context.other !== null,
    hasOtherPage: ({ context }) => context.otherPfn !== null,
    hasPage: ({ context }) => context.pfn !== null,
    hasCandidate: ({ context }) => context.stable.length > 0,
    isStable: ({ event }) => received(event, 'page.counts').protection === 'stable',
    isIdentical: ({ context, event }) => received(event, 'memory.content').value === context.content,
    ok: ({ event }) => received(event, 'return').ok === true,
    isMerged: ({ context }) => context.ok,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, item, other } = received(event, 'call');
      return { caller: from, item, other };
    }),
    lockMm: tell(({ context }) => mmapLockOf(context), { type: 'down_read' }),
    unlockMm: tell(({ context }) => mmapLockOf(context), { type: 'up_read' }),
    findVma: tell(
      ({ context }) => place(context).mm,
      ({ context }) => ({ type: 'vma.find', vpn: place(context).vpn }),
    ),
    lockPtl: tell(({ context }) => place(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => place(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => place(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: place(context).vpn }),
    ),
    noteMapped: assign({
      mapped: ({ event }) => {
        const pte = mappingPte(received(event, 'pte').pte);
        return pte.kind === 'present' ? pte.pfn : -1;
      },
    }),
    readMapped: tell(({ context }) => pageAt(context.mapped), { type: 'page.read' }),
    get: tell(({ context }) => pageAt(context.mapped), { type: 'folio.ref_inc' }),
    notePage: assign(({ context }) => (context.looksAtOther ? { otherPfn: context.mapped } : { pfn: context.mapped })),
    lookAtOther: assign({ looksAtOther: true, mapped: -1 }),
    readTree: tell(({ context }) => context.stableTree, { type: 'tree.read' }),
    noteStable: assign({ stable: ({ event }) => received(event, 'tree.nodes').pfns }),
    tryGetCandidate: tell(({ context }) => pageAt(candidate(context)), { type: 'folio.try_get' }),
    readCandidate: tell(({ context }) => pageAt(candidate(context)), { type: 'page.read' }),
    removeFromTree: tell(
      ({ context }) => context.stableTree,
      ({ context }) => ({ type: 'tree.remove', pfn: candidate(context) }),
    ),
    nextCandidate: assign({ stable: ({ context }) => context.stable.slice(1) }),
    readPage: read(own),
    noteContent: assign({ content: ({ event }) => received(event, 'memory.content').value }),
    readCandidatePage: read(candidate),
    readOtherPage: read(others),
    callPut: put(own),
    callPutCandidate: put(candidate),
    callPutOther: put(others),
    callMerge: tell(
      ({ context }) => context.mergeOne,
      ({ context }) => ({ type: 'call', item: context.item, pfn: context.pfn, kpfn: candidate(context) }),
    ),
    callMakeStable: tell(
      ({ context }) => context.mergeOne,
      ({ context }) => ({ type: 'call', item: context.item, pfn: context.pfn, kpfn: null }),
    ),
    callMergeOther: tell(
      ({ context }) => context.mergeOne,
      ({ context }) => ({ type: 'call', item: context.other, pfn: context.otherPfn, kpfn: context.pfn }),
    ),
    callBreakCow: tell(
      ({ context }) => context.breakCow[context.item.mm] as Address,
      ({ context }) => ({ type: 'call', vpn: context.item.vpn }),
    ),
    lockCandidate: tell(({ context }) => lockOf(context, candidate(context)), { type: 'lock' }),
    unlockCandidate: tell(({ context }) => lockOf(context, candidate(context)), { type: 'unlock' }),
    lockPage: tell(({ context }) => lockOf(context, own(context)), { type: 'lock' }),
    unlockPage: tell(({ context }) => lockOf(context, own(context)), { type: 'unlock' }),
    appendToCandidate: addItem(candidate, ({ item }) => item),
    insertIntoTree: tell(
      ({ context }) => context.stableTree,
      ({ context }) => ({ type: 'tree.insert', pfn: own(context) }),
    ),
    clearRecord: tell(({ context }) => recordAt(own(context)), { type: 'record.clear' }),
    appendOther: addItem(own, ({ other }) => other as RmapItem),
    append: addItem(own, ({ item }) => item),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'cmp_and_merge_page',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'get_mergeable_page', actions: 'remember' } } },
    get_mergeable_page: {
      description: 'What is mapped in this place? Takes mmap_lock for reading',
      on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } },
    },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_mergeable_vma' } } },
    find_mergeable_vma: {
      description: 'Is there a VMA?',
      entry: 'findVma',
      on: { vma: [{ guard: 'found', target: 'folio_walk_start' }, { target: 'mmap_read_unlock' }] },
    },
    mmap_read_unlock: { description: 'No VMA: drops mmap_lock', on: { step: { target: 'got_mergeable_page', actions: 'unlockMm' } } },
    folio_walk_start: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'Which page?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isPresent', target: 'folio_test_anon', actions: 'noteMapped' }, { target: 'folio_walk_end' }] },
    },
    folio_test_anon: {
      description: 'A private one gets a reference',
      entry: 'readMapped',
      on: { 'page.counts': [{ guard: 'isMergeable', target: 'folio_walk_end', actions: ['get', 'notePage'] }, { target: 'folio_walk_end' }] },
    },
    folio_walk_end: {
      description: 'Drops the page-table lock and mmap_lock',
      on: { step: { target: 'got_mergeable_page', actions: ['unlockPtl', 'unlockMm'] } },
    },
    got_mergeable_page: {
      description: 'Is there a page to merge? It may change, and the place map another one, from here on',
      always: [
        { guard: 'hasOtherPage', target: 'memcmp_pages' },
        { guard: 'looksAtOther', target: 'put_page' },
        { guard: 'hasPage', target: 'stable_tree_search' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    stable_tree_search: {
      description: 'Is there a stable page with these bytes?',
      on: { step: { actions: 'readTree' }, 'tree.nodes': { target: 'next_stable_page', actions: 'noteStable' } },
    },
    next_stable_page: {
      description: 'Goes on with the next one',
      always: [{ guard: 'hasCandidate', target: 'ksm_get_folio' }, { target: 'unstable_tree_search_insert' }],
    },
    ksm_get_folio: {
      description: 'Takes a reference of it, unless it was freed',
      on: {
        step: { actions: 'tryGetCandidate' },
        'folio.got': { target: 'folio_stable_node' },
        'folio.frozen': { target: 'next_stable_page', actions: ['removeFromTree', 'nextCandidate'] },
      },
    },
    folio_stable_node: {
      description: 'Is it the stable page still? Else it was freed, and handed out again',
      entry: 'readCandidate',
      on: { 'page.counts': [{ guard: 'isStable', target: 'memcmp_stable_page' }, { target: 'put_stale' }] },
    },
    put_stale: {
      description: 'Gives the reference back; the tree forgets the page',
      entry: 'callPutCandidate',
      on: { return: { target: 'next_stable_page', actions: ['removeFromTree', 'nextCandidate'] } },
    },
    memcmp_stable_page: {
      description: 'The bytes of the page, which can still change',
      on: { step: { actions: 'readPage' }, 'memory.content': { target: 'compare_stable_page', actions: 'noteContent' } },
    },
    compare_stable_page: {
      description: 'The same as in the stable page?',
      entry: 'readCandidatePage',
      on: { 'memory.content': [{ guard: 'isIdentical', target: 'try_to_merge_with_ksm_page' }, { target: 'put_different' }] },
    },
    put_different: {
      description: 'Gives the reference back',
      entry: 'callPutCandidate',
      on: { return: { target: 'next_stable_page', actions: 'nextCandidate' } },
    },
    try_to_merge_with_ksm_page: {
      description: 'The stable page in place of this one',
      entry: 'callMerge',
      on: { return: [{ guard: 'ok', target: 'lock_ksm_page', actions: 'succeed' }, { target: 'put_ksm_page' }] },
    },
    lock_ksm_page: { description: 'Locks the stable page', on: { step: { target: 'wait_for_ksm_page', actions: 'lockCandidate' } } },
    wait_for_ksm_page: { description: 'Sleeps while another has it locked', on: { locked: { target: 'stable_tree_append' } } },
    stable_tree_append: {
      description: 'Its record has this place, too',
      on: { step: { target: 'put_ksm_page', actions: ['appendToCandidate', 'unlockCandidate'] } },
    },
    put_ksm_page: { description: 'Gives the reference of the stable page back', entry: 'callPutCandidate', on: { return: { target: 'put_page' } } },
    unstable_tree_search_insert: {
      description: 'Is there another page that has the same checksum?',
      always: [{ guard: 'hasOther', target: 'get_mergeable_page', actions: 'lookAtOther' }, { target: 'put_page' }],
    },
    memcmp_pages: {
      description: 'The bytes of the page, which can still change',
      on: { step: { actions: 'readPage' }, 'memory.content': { target: 'compare_other_page', actions: 'noteContent' } },
    },
    compare_other_page: {
      description: 'The same as in the other page?',
      entry: 'readOtherPage',
      on: { 'memory.content': [{ guard: 'isIdentical', target: 'try_to_merge_two_pages' }, { target: 'put_tree_page' }] },
    },
    try_to_merge_two_pages: {
      description: 'The page becomes a stable one',
      entry: 'callMakeStable',
      on: { return: [{ guard: 'ok', target: 'merge_tree_page' }, { target: 'put_tree_page' }] },
    },
    merge_tree_page: {
      description: 'In place of the other one, too',
      entry: 'callMergeOther',
      on: { return: [{ guard: 'ok', target: 'put_tree_page', actions: 'succeed' }, { target: 'break_cow' }] },
    },
    break_cow: { description: 'A stable page with one mapping is of no use', entry: 'callBreakCow', on: { return: { target: 'put_tree_page' } } },
    put_tree_page: {
      description: 'Gives the reference of the other page back',
      entry: 'callPutOther',
      on: { return: [{ guard: 'isMerged', target: 'lock_page' }, { target: 'put_page' }] },
    },
    lock_page: { description: 'Locks the new stable page', on: { step: { target: 'wait_for_page', actions: 'lockPage' } } },
    wait_for_page: { description: 'Sleeps while another has it locked', on: { locked: { target: 'stable_tree_insert' } } },
    stable_tree_insert: {
      description: 'The tree has it, and its record both places',
      on: { step: { target: 'put_page', actions: ['insertIntoTree', 'clearRecord', 'appendOther', 'append', 'unlockPage'] } },
    },
    put_page: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
