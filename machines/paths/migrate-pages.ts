import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';
import type { Candidate, FreeFrame } from './shrink-folio-list.js';
import type { RmapItem, UnmapResult } from './try-to-unmap.js';

interface Input {
  folioLocks: Record<string, Address>;
  tryToUnmap: Address;
  archFlush: Address;
  allocPages: Address;
  putPage: Address;
  lufBatch: Address | null;
  allocator: Address;
  debug: Address | null;
}

interface Context extends Input {
  caller: Address;
  /** The one folio of the batch. */
  source: Candidate | null;
  target: number;
  cpus: Address[];
  lazy: boolean;
  moved: boolean;
  items: RmapItem[];
  pte: Pte;
  /** The VMA allows access. */
  readable: boolean;
  frame: FreeFrame | null;
}

type Event =
  | { type: 'step' }
  | Call<{ candidate: Candidate }>
  | Return<Partial<UnmapResult> & { pfns?: number[] }>
  | Signed<PteReply | { type: 'vma'; result: 'found' | 'none'; area?: Area }>
  | Signed<{ type: 'locked' } | { type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'trylock.result'; result: 'locked' | 'busy' }>
  | Signed<
      | { type: 'memory.content'; value: string | null }
      | { type: 'ugen'; ugen: number }
      | { type: 'slot'; pfn: number | null }
      | { type: 'swap.slot'; index: number | null }
    >
  | Signed<{ type: 'page.counts'; mapcount: number; dirty?: boolean; exclusive?: boolean } | { type: 'folio.ref_freeze'; result: 'frozen' | 'busy' }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = {
  caller: '',
  source: null,
  target: -1,
  cpus: [] as Address[],
  lazy: false,
  moved: false,
  items: [] as RmapItem[],
  pte: none,
  readable: true,
  frame: null,
};
const from = ({ source }: Context): Candidate => source as Candidate;
const lockOf = (context: Context, pfn: number): Address => context.folioLocks[pfn] as Address;
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
const home = (context: Context): number => (context.moved ? context.target : from(context).pfn);

/**
 * migrate_pages_batch with one folio (mm/migrate.c, 6.12), M1 to M6: unmap to migration entries, flush, move the slot, copy,
 * map the copy, free the source. With LUF the flush is put off if all ptes were read-only. Called with the folio. Domain
 * table, part 2, 1a; rows L2, L6, L7.
 */
export const migratePages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    isMapped: ({ event }) => received(event, 'page.counts').mapcount > 0,
    owesFlush: ({ context }) => context.cpus.length > 0,
    isAnonymous: ({ context }) => from(context).anonymous,
    gotFrozen: ({ event }) => received(event, 'folio.ref_freeze').result === 'frozen',
    isInSwap: ({ event }) => received(event, 'swap.slot').index !== null,
    isInSlot: ({ context, event }) => received(event, 'slot').pfn === from(context).pfn,
    noItems: ({ context }) => context.items.length === 0,
    isEntry: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'migration' && pte.pfn === from(context).pfn;
    },
    hasMoved: ({ context }) => context.moved,
    /** Safeguard: an earlier pass, or another path, may have unmapped it without a flush, and this one found no pte. */
    takesKey: ({ context }) => context.lufBatch !== null && context.moved,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from: caller, candidate } = received(event, 'call');
      return { caller, source: candidate };
    }),
    isolate: tell(({ context }) => pageAt(from(context).pfn), { type: 'folio.try_get' }),
    trylock: tell(({ context }) => lockOf(context, from(context).pfn), { type: 'trylock' }),
    unlock: tell(({ context }) => lockOf(context, from(context).pfn), { type: 'unlock' }),
    callPutSource: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: from(context).pfn, pinned: false }),
    ),
    callPutTarget: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.target, pinned: false }),
    ),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    noteTarget: assign({ target: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    lockTarget: tell(({ context }) => lockOf(context, context.target), { type: 'lock' }),
    unlockTarget: tell(({ context }) => lockOf(context, context.target), { type: 'unlock' }),
    callUnmap: tell(
      ({ context }) => context.tryToUnmap,
      ({ context }) => {
        const { pfn, mapping, index, anonymous, items } = from(context);
        return { type: 'call', pfn, mapping: anonymous ? null : mapping, index, leaves: 'migration', items };
      },
    ),
    noteUnmapped: assign({
      cpus: ({ event }) => received(event, 'return').cpus ?? [],
      lazy: ({ event }) => (received(event, 'return').lazyCpus ?? []).length > 0,
    }),
    callFlush: tell(
      ({ context }) => context.archFlush,
      ({ context }) => ({ type: 'call', cpus: context.cpus }),
    ),
    readCounts: tell(({ context }) => pageAt(from(context).pfn), { type: 'page.read' }),
    findSwap: tell(
      ({ context }) => from(context).mapping,
      ({ context }) => ({ type: 'swap.find', pfn: from(context).pfn }),
    ),
    noteSlot: assign({ source: ({ context, event }) => ({ ...from(context), index: received(event, 'swap.slot').index as number }) }),
    readSlot: tell(
      ({ context }) => from(context).mapping,
      ({ context }) => ({ type: 'slot.read', index: from(context).index }),
    ),
    noteFlags: inform(({ context, event }) => (received(event, 'page.counts').dirty === true ? pageAt(context.target) : null), { type: 'folio.mark_dirty' }),
    restoreExclusive: inform(({ context }) => (context.pte.kind === 'migration' && context.pte.exclusive ? pageAt(home(context)) : null), {
      type: 'folio.set_exclusive',
      exclusive: true,
    }),
    freezeAnon: tell(({ context }) => pageAt(from(context).pfn), { type: 'folio.freeze', expected: 1 }),
    freezeCached: tell(({ context }) => pageAt(from(context).pfn), { type: 'folio.freeze', expected: 2 }),
    replaceSlot: tell(
      ({ context }) => from(context).mapping,
      ({ context }) => ({ type: 'slot.replace', index: from(context).index, pfn: context.target }),
    ),
    getTarget: tell(({ context }) => pageAt(context.target), { type: 'folio.ref_inc' }),
    noteMoved: assign({ moved: true }),
    sample: tell(({ context }) => pageAt(from(context).pfn), { type: 'memory.read', sample: true }),
    copy: tell(
      ({ context }) => pageAt(context.target),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    observeCopy: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.copied', source: from(context).pfn, copy: context.target }),
    ),
    restoreItems: assign({ items: ({ context }) => from(context).items }),
    lockPtl: tell(({ context }) => item(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => item(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: item(context).vpn }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    getHome: tell(({ context }) => pageAt(home(context)), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(home(context)), { type: 'folio.add_rmap' }),
    findVma: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'vma.find', vpn: item(context).vpn }),
    ),
    noteVma: assign({ readable: ({ event }) => received(event, 'vma').area?.read !== false }),
    setPte: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: item(context).vpn,
        pte: context.readable
          ? presentPte(home(context), { write: context.pte.kind === 'migration' && context.pte.write })
          : { kind: 'protnone', pfn: home(context), dirty: false },
      }),
    ),
    nextItem: assign({ items: ({ context }) => context.items.slice(1), pte: none }),
    readUgen: tell(({ context }) => context.lufBatch as Address, { type: 'luf_batch.ugen' }),
    takeLazyFrame: assign({ frame: ({ context, event }) => ({ pfn: from(context).pfn, lufKey: received(event, 'ugen').ugen }) }),
    takeFrame: assign({ frame: ({ context }) => ({ pfn: from(context).pfn, lufKey: null }) }),
    freeFrame: tell(({ context }) => pageAt((context.frame as FreeFrame).pfn), { type: 'folio.free' }),
    listFrame: tell(
      ({ context }) => context.allocator,
      ({ context }) => ({ type: 'free_page', ...context.frame }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'migrate_pages',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'isolate_lru_folio', actions: 'remember' } } },
    isolate_lru_folio: {
      description: 'M1: off the LRU, with a reference',
      on: {
        step: { actions: 'isolate' },
        'folio.got': { target: 'alloc_migration_target' },
        'folio.frozen': { target: 'idle', actions: ['return', 'forget'] },
      },
    },
    alloc_migration_target: {
      description: 'M1: a page to move to; none: stay',
      entry: 'callAlloc',
      on: { return: [{ guard: 'gotPage', target: 'folio_trylock', actions: 'noteTarget' }, { target: 'putback_movable_page' }] },
    },
    putback_movable_page: {
      description: 'Back to the LRU',
      entry: 'callPutSource',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
    folio_trylock: {
      description: 'M1: locks the source; if somebody has it, not now',
      on: {
        step: { actions: 'trylock' },
        'trylock.result': [{ guard: 'gotLock', target: 'folio_mapping' }, { target: 'put_unused' }],
      },
    },
    folio_mapping: {
      description: 'M1: a page of a file that was truncated meanwhile has no mapping; the lock keeps it so',
      always: [{ guard: 'isAnonymous', target: 'folio_evictable' }, { target: 'check_mapping' }],
    },
    check_mapping: {
      description: 'M1: is it this file still?',
      entry: 'readSlot',
      on: { slot: [{ guard: 'isInSlot', target: 'lock_target' }, { target: 'unlock_source' }] },
    },
    folio_evictable: {
      description: 'M1: a private page that nobody maps any more, or a frame that is none by now, stays',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isMapped', target: 'lock_target' }, { target: 'unlock_source' }] },
    },
    unlock_source: { description: 'Not moved: unlocks', on: { step: { target: 'put_unused', actions: 'unlock' } } },
    lock_target: { description: 'M1: locks the target, which nobody else knows', entry: 'lockTarget', on: { locked: { target: 'try_to_migrate' } } },
    try_to_migrate: {
      description: 'M2: migration entries in place of the ptes',
      entry: 'callUnmap',
      on: { return: { target: 'batch', actions: 'noteUnmapped' } },
    },
    batch: { description: 'M3: what the batch owes', always: [{ guard: 'owesFlush', target: 'try_to_unmap_flush' }, { target: 'folio_mapped' }] },
    try_to_unmap_flush: { description: 'M3: an IPI, before the copy', entry: 'callFlush', on: { return: { target: 'folio_mapped' } } },
    folio_mapped: {
      description: 'M4: mapped still: give up',
      entry: 'readCounts',
      on: {
        'page.counts': [{ guard: 'isMapped', target: 'remove_migration_ptes', actions: 'restoreItems' }, { target: 'folio_expected_ref_count' }],
      },
    },
    folio_expected_ref_count: {
      description: 'M4: an anonymous page that is not in the swap cache has no slot',
      always: [{ guard: 'isAnonymous', target: 'test_swapcache' }, { target: 'migrate_mapping' }],
    },
    test_swapcache: {
      description: 'M4: is it in the swap cache? The folio is locked, so it stays so',
      entry: 'findSwap',
      on: { 'swap.slot': [{ guard: 'isInSwap', target: 'migrate_mapping', actions: 'noteSlot' }, { target: 'migrate_anon' }] },
    },
    migrate_anon: {
      description: 'M4: nobody else refers to it',
      on: {
        step: { actions: 'freezeAnon' },
        'folio.ref_freeze': [
          { guard: 'gotFrozen', target: 'folio_migrate_flags', actions: 'noteMoved' },
          { target: 'remove_migration_ptes', actions: 'restoreItems' },
        ],
      },
    },
    migrate_mapping: {
      description: 'M4: nobody else refers to it: the slot is replaced, in one go under the i_pages lock',
      on: {
        step: { actions: 'freezeCached' },
        'folio.ref_freeze': [
          { guard: 'gotFrozen', target: 'folio_migrate_flags', actions: ['getTarget', 'replaceSlot', 'noteMoved'] },
          { target: 'remove_migration_ptes', actions: 'restoreItems' },
        ],
      },
    },
    folio_migrate_flags: {
      description: 'M4: its flags go to the target, now that nobody can change them',
      entry: 'readCounts',
      on: { 'page.counts': { target: 'folio_copy', actions: 'noteFlags' } },
    },
    folio_copy: {
      description: 'M4: copies the bytes',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'remove_migration_ptes', actions: ['copy', 'observeCopy', 'restoreItems'] } },
    },
    remove_migration_ptes: {
      description: 'M5: place by place, a pte again',
      always: [{ guard: 'noItems', target: 'moved' }, { target: 'page_vma_mapped_walk' }],
    },
    page_vma_mapped_walk: { description: 'M5: takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'M5: is the entry there still?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isEntry', target: 'vma_page_prot', actions: 'notePte' },
          { target: 'remove_migration_ptes', actions: ['unlockPtl', 'nextItem'] },
        ],
      },
    },
    vma_page_prot: {
      description: 'M5: what the VMA allows by now',
      entry: 'findVma',
      on: { vma: { target: 'remove_migration_pte', actions: 'noteVma' } },
    },
    remove_migration_pte: {
      description: 'M5: maps the copy, or the source where it has not moved',
      on: { step: { target: 'remove_migration_ptes', actions: ['getHome', 'addRmap', 'restoreExclusive', 'setPte', 'unlockPtl', 'nextItem'] } },
    },
    moved: {
      description: 'M6: which frame is free now?',
      always: [
        { guard: 'takesKey', target: 'fold_unmap_luf' },
        { guard: 'hasMoved', target: 'unlock_both', actions: 'takeFrame' },
        { target: 'put_source_locked' },
      ],
    },
    fold_unmap_luf: {
      description: 'The source is freed with the generation that it owes',
      entry: 'readUgen',
      on: { ugen: { target: 'unlock_both', actions: 'takeLazyFrame' } },
    },
    unlock_both: {
      description: 'M6: unlocks; who waits for the migration looks again',
      on: { step: { target: 'put_target', actions: ['unlockTarget', 'unlock'] } },
    },
    put_target: { description: 'M6: the reference of the allocation', entry: 'callPutTarget', on: { return: { target: 'free_unref_folios' } } },
    put_source_locked: { description: 'Not moved: unlocks both', on: { step: { target: 'put_unused', actions: ['unlockTarget', 'unlock'] } } },
    put_unused: { description: 'Not moved: the target is free again', entry: 'callPutTarget', on: { return: { target: 'putback_movable_page' } } },
    free_unref_folios: {
      description: 'M6: to the free list of this CPU',
      on: { step: { target: 'idle', actions: ['freeFrame', 'listFrame', 'return', 'forget'] } },
    },
  },
});
