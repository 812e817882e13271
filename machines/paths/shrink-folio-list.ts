import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';
import type { RmapItem, UnmapResult } from './try-to-unmap.js';

/** A folio that reclaim, or migration, may take. */
export interface Candidate {
  pfn: number;
  /** Its page cache, or the swap cache for anonymous memory. */
  mapping: Address;
  index: number;
  anonymous: boolean;
  items: RmapItem[];
}

/** A frame to be freed, and the generation of the flush that it still needs. */
export interface FreeFrame {
  pfn: number;
  lufKey: number | null;
}

interface Input {
  folioLocks: Record<string, Address>;
  tryToUnmap: Address;
  archFlush: Address;
  putPage: Address;
  lufBatch: Address | null;
  allocator: Address;
  debug: Address | null;
}

interface Context extends Input {
  caller: Address;
  candidates: Candidate[];
  /** tlb_ubc: CPUs that the batch must flush. */
  cpus: Address[];
  writable: boolean;
  /** The flush of the folio at hand is put off. */
  lazy: boolean;
  /** Before R8: frames that wait for the flush. */
  frames: FreeFrame[];
}

type Event =
  | { type: 'step' }
  | Call<{ candidates: Candidate[] }>
  | Return<Partial<UnmapResult>>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'trylock.result'; result: 'locked' | 'busy' }>
  | Signed<
      | { type: 'slot'; pfn: number | null }
      | { type: 'swap.slot'; index: number | null }
      | { type: 'swap.added'; index: number }
      | { type: 'memory.content'; value: string | null }
      | { type: 'ugen'; ugen: number }
    >
  | Signed<{ type: 'page.counts'; mapcount: number; dirty?: boolean } | { type: 'folio.ref_freeze'; result: 'frozen' | 'busy' }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', candidates: [] as Candidate[], cpus: [] as Address[], writable: false, lazy: false, frames: [] as FreeFrame[] };
const at = ({ candidates }: Context): Candidate => candidates[0] as Candidate;
const page = (context: Context): Address => pageAt(at(context).pfn);
const lock = (context: Context): Address => context.folioLocks[at(context).pfn] as Address;

/**
 * shrink_folio_list (mm/vmscan.c, 6.12), R1 to R9, folio by folio: unmap with the flush put into a batch, write out what is
 * dirty after a flush, take it out of the page cache, unlock; flush the batch; free. With LUF the flush of folios whose
 * ptes were read-only is put off, and frames are freed with the generation that they may owe. Called with the folios.
 * Domain table, part 2, 1a; rows L0, L0a, L0b.
 */
export const shrinkFolioList = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    noneLeft: ({ context }) => context.candidates.length === 0,
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    isAnonymous: ({ context }) => at(context).anonymous,
    isInSlot: ({ context, event }) => received(event, 'slot').pfn === at(context).pfn,
    isInSwap: ({ event }) => received(event, 'swap.slot').index !== null,
    isMapped: ({ event }) => received(event, 'page.counts').mapcount > 0,
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    /** Safeguard (R5): a store through a stale entry would miss what is written out. */
    mustFlushDirty: ({ context }) => context.writable,
    /** Row L0a. */
    mustFlushBeforeRemoval: () => false,
    /** Row L0b. */
    mustFlushBeforeUnlock: () => false,
    owesFlush: ({ context }) => context.cpus.length > 0,
    gotFrozen: ({ event }) => received(event, 'folio.ref_freeze').result === 'frozen',
    /** Safeguard: an earlier pass, or another path, may have unmapped it without a flush, and this one found no pte. */
    takesKey: ({ context, event }) => context.lufBatch !== null && received(event, 'folio.ref_freeze').result === 'frozen',
    hasFrames: ({ context }) => context.frames.length > 0,
    /** Row L5. */
    mustInit: () => false,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, candidates } = received(event, 'call');
      return { caller: from, candidates };
    }),
    isolate: tell(({ context }) => page(context), { type: 'folio.try_get' }),
    trylock: tell(({ context }) => lock(context), { type: 'trylock' }),
    unlock: tell(({ context }) => lock(context), { type: 'unlock' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: at(context).pfn, pinned: false }),
    ),
    readSlot: tell(
      ({ context }) => at(context).mapping,
      ({ context }) => ({ type: 'slot.read', index: at(context).index }),
    ),
    findSwap: tell(
      ({ context }) => at(context).mapping,
      ({ context }) => ({ type: 'swap.find', pfn: at(context).pfn }),
    ),
    noteSlot: assign({
      candidates: ({ context, event }) => [
        { ...at(context), index: received(event, 'swap.slot', 'swap.added').index as number },
        ...context.candidates.slice(1),
      ],
    }),
    addToSwap: tell(
      ({ context }) => at(context).mapping,
      ({ context }) => ({ type: 'swap.add', pfn: at(context).pfn }),
    ),
    get: tell(({ context }) => page(context), { type: 'folio.ref_inc' }),
    markDirty: tell(({ context }) => page(context), { type: 'folio.mark_dirty' }),
    callUnmap: tell(
      ({ context }) => context.tryToUnmap,
      ({ context }) => {
        const { pfn, mapping, index, anonymous, items } = at(context);
        return { type: 'call', pfn, mapping, index, leaves: anonymous ? 'swap' : 'none', items };
      },
    ),
    noteUnmapped: assign(({ context, event }) => {
      const { cpus = [], writable = false, lazyCpus = [] } = received(event, 'return');
      return { cpus: [...new Set([...context.cpus, ...cpus])].sort(), writable: context.writable || writable, lazy: lazyCpus.length > 0 };
    }),
    readCounts: tell(({ context }) => page(context), { type: 'page.read' }),
    callFlush: tell(
      ({ context }) => context.archFlush,
      ({ context }) => ({ type: 'call', cpus: context.cpus }),
    ),
    clearBatch: assign({ cpus: [], writable: false }),
    sample: tell(({ context }) => page(context), { type: 'memory.read', sample: true }),
    writeOut: tell(
      ({ context }) => at(context).mapping,
      ({ context, event }) => ({ type: 'stored.write', index: at(context).index, value: received(event, 'memory.content').value }),
    ),
    clean: tell(({ context }) => page(context), { type: 'folio.clean' }),
    freeze: tell(({ context }) => page(context), { type: 'folio.freeze', expected: 2, clean: true }),
    deleteSlot: tell(
      ({ context }) => at(context).mapping,
      ({ context }) => ({ type: 'slot.delete', index: at(context).index }),
    ),
    readUgen: tell(({ context }) => context.lufBatch as Address, { type: 'luf_batch.ugen' }),
    takeLazyFrame: assign({
      frames: ({ context, event }) => [...context.frames, { pfn: at(context).pfn, lufKey: received(event, 'ugen').ugen }],
    }),
    takeFrame: assign({ frames: ({ context }) => [...context.frames, { pfn: at(context).pfn, lufKey: null }] }),
    nextFolio: assign({ candidates: ({ context }) => context.candidates.slice(1), lazy: false }),
    clear: tell(({ context }) => pageAt(context.frames[0]?.pfn as number), { type: 'memory.write', value: 'zero' }),
    observeClear: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.cleared', pfn: context.frames[0]?.pfn }),
    ),
    freeFrame: tell(({ context }) => pageAt(context.frames[0]?.pfn as number), { type: 'folio.free' }),
    listFrame: tell(
      ({ context }) => context.allocator,
      ({ context }) => ({ type: 'free_page', ...context.frames[0] }),
    ),
    nextFrame: assign({ frames: ({ context }) => context.frames.slice(1) }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'shrink_folio_list',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'next_folio', actions: 'remember' } } },
    next_folio: {
      description: 'The next folio of the list',
      always: [{ guard: 'noneLeft', target: 'end_of_list' }, { target: 'isolate_lru_folio' }],
    },
    isolate_lru_folio: {
      description: 'R1: off the LRU, with a reference',
      on: {
        step: { actions: 'isolate' },
        'folio.got': { target: 'folio_trylock' },
        'folio.frozen': { target: 'next_folio', actions: 'nextFolio' },
      },
    },
    folio_trylock: {
      description: 'R1: somebody has it locked: not now',
      on: {
        step: { actions: 'trylock' },
        'trylock.result': [{ guard: 'gotLock', target: 'folio_test_anon' }, { target: 'folio_putback_lru' }],
      },
    },
    folio_test_anon: {
      description: 'R3: of swap, or of a file',
      always: [{ guard: 'isAnonymous', target: 'folio_test_swapcache' }, { target: 'folio_mapping' }],
    },
    folio_test_swapcache: {
      description: 'R3: in the swap cache already?',
      entry: 'findSwap',
      on: { 'swap.slot': [{ guard: 'isInSwap', target: 'try_to_unmap', actions: 'noteSlot' }, { target: 'folio_evictable' }] },
    },
    folio_evictable: {
      description: 'R3: a private page that nobody maps any more, or a frame that is none by now, is none to swap out',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isMapped', target: 'add_to_swap' }, { target: 'keep_locked' }] },
    },
    folio_mapping: {
      description: 'R3: a page that was truncated meanwhile has no mapping; the lock keeps it so',
      entry: 'readSlot',
      on: { slot: [{ guard: 'isInSlot', target: 'try_to_unmap' }, { target: 'keep_locked' }] },
    },
    add_to_swap: {
      description: 'R3: into the swap cache, and dirty',
      on: { step: { actions: 'addToSwap' }, 'swap.added': { target: 'try_to_unmap', actions: ['noteSlot', 'get', 'markDirty'] } },
    },
    try_to_unmap: {
      description: 'R4: clears the ptes that map it',
      entry: 'callUnmap',
      on: { return: { target: 'folio_mapped', actions: 'noteUnmapped' } },
    },
    folio_mapped: {
      description: 'R5: mapped still: keep it. Dirty: write it out first',
      entry: 'readCounts',
      on: {
        'page.counts': [{ guard: 'isMapped', target: 'keep_locked' }, { guard: 'isDirty', target: 'try_to_unmap_flush_dirty' }, { target: 'before_removal' }],
      },
    },
    try_to_unmap_flush_dirty: {
      description: 'R5: stores may come through stale entries: flush',
      always: [{ guard: 'mustFlushDirty', target: 'flush_dirty' }, { target: 'pageout' }],
    },
    flush_dirty: { description: 'R5: an IPI before the I/O', entry: 'callFlush', on: { return: { target: 'pageout', actions: 'clearBatch' } } },
    pageout: {
      description: 'R5: the I/O reads the frame; it is clean then',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'before_removal', actions: ['writeOut', 'clean'] } },
    },
    before_removal: {
      description: 'Row L0a flushes here',
      always: [{ guard: 'mustFlushBeforeRemoval', target: 'flush_before_removal' }, { target: 'remove_mapping' }],
    },
    flush_before_removal: {
      description: 'Row L0a: before the slot changes',
      entry: 'callFlush',
      on: { return: { target: 'remove_mapping', actions: 'clearBatch' } },
    },
    remove_mapping: {
      description: 'R6: nobody else refers to it, and it is clean: the slot is emptied, in one go under the i_pages lock',
      on: {
        step: { actions: 'freeze' },
        'folio.ref_freeze': [
          { guard: 'takesKey', target: 'fold_unmap_luf', actions: 'deleteSlot' },
          { guard: 'gotFrozen', target: 'removed', actions: ['deleteSlot', 'takeFrame'] },
          { target: 'keep_locked' },
        ],
      },
    },
    fold_unmap_luf: {
      description: 'Its frame is freed with the generation that it owes',
      entry: 'readUgen',
      on: { ugen: { target: 'removed', actions: 'takeLazyFrame' } },
    },
    removed: { description: 'Row L0b flushes here', always: [{ guard: 'mustFlushBeforeUnlock', target: 'flush_before_unlock' }, { target: 'folio_unlock' }] },
    flush_before_unlock: {
      description: 'Row L0b: after the slot has changed, with the folio locked',
      entry: 'callFlush',
      on: { return: { target: 'folio_unlock', actions: 'clearBatch' } },
    },
    folio_unlock: { description: 'R7', on: { step: { target: 'next_folio', actions: ['unlock', 'nextFolio'] } } },
    keep_locked: { description: 'Kept: unlocks', on: { step: { target: 'folio_putback_lru', actions: 'unlock' } } },
    folio_putback_lru: { description: 'Back to the LRU', entry: 'callPut', on: { return: { target: 'next_folio', actions: 'nextFolio' } } },
    end_of_list: {
      description: 'R8: what the batch owes',
      always: [{ guard: 'owesFlush', target: 'try_to_unmap_flush' }, { target: 'free_frames' }],
    },
    try_to_unmap_flush: { description: 'R8: an IPI, and a wait', entry: 'callFlush', on: { return: { target: 'free_frames', actions: 'clearBatch' } } },
    free_frames: {
      description: 'R9: the frames',
      always: [
        { guard: 'mustInit', target: 'free_pages_prepare' },
        { guard: 'hasFrames', target: 'free_unref_folios' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    free_pages_prepare: {
      description: 'Row L5: init_on_free clears the frame',
      on: { step: { target: 'free_unref_folios', actions: ['clear', 'observeClear'] } },
    },
    free_unref_folios: {
      description: 'R9: to the free list of this CPU',
      on: { step: { target: 'free_frames', actions: ['freeFrame', 'listFrame', 'nextFrame'] } },
    },
  },
});
