import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { mappingPte, type Pte, type PteReply, pageAt } from '../memory/address-space.js';
import type { RecordContents, RecordSlot } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  disk: Address;
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
  pfn: number;
  /** Where the bytes of the page belong: one place, or all that share it. */
  places: RecordSlot[];
  /** Ptes that may be writable or dirty still. */
  items: RmapItem[];
  pte: Pte;
}

type Event =
  | { type: 'step' }
  | Call<{ mapping: Address; index: number }>
  | Return
  | Signed<PteReply>
  | Signed<RecordContents>
  | Signed<{ type: 'slot'; pfn: number | null } | { type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'writeback.ended' }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'page.counts'; dirty?: boolean }>
  | Signed<{ type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', mapping: '', index: -1, pfn: -1, places: [] as RecordSlot[], items: [] as RmapItem[], pte: none };
const item = ({ items }: Context): RmapItem => items[0] as RmapItem;
const notifierOf = (context: Context): Address | null => context.notifiers[item(context).mm] ?? null;
/** A hint of NUMA balancing stays one. */
const cleaned = (pte: Pte): Pte => (pte.kind === 'present' ? { ...pte, write: false, dirty: false } : ({ ...pte, dirty: false } as Pte));
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;

/**
 * Writeback of one page of a file: folio_prepare_writeback, folio_clear_dirty_for_io, folio_mkclean (mm/page-writeback.c, mm/rmap.c, 6.12), and
 * the writes of __block_write_full_folio. Called with the place; returns when they are submitted.
 *
 * A protected page is written to every place that its record lists, by one write each, all of them before the page can be clean: which
 * owner's bytes made it dirty is not known, and none may be lost. Its ptes are read-only and clean, so that none is looked at.
 * Domain table, part 2, 1f (U1, U3), rows W8, W14.
 */
export const writeback = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    /** Safeguard (row W14): a protected page has a record where its mapping was; it has not been truncated for that. */
    knowsRecord: ({ event }) => received(event, 'folio.mapping').record !== null,
    isSameMapping: ({ context, event }) => received(event, 'folio.mapping').mapping === context.mapping,
    isListed: ({ context, event }) =>
      received(event, 'record.contents').slots.some(({ mapping, index }) => mapping === context.mapping && index === context.index),
    /**
     * Safeguard: a page that is not this file's any more may have been copied when its protection was broken, and the dirty bytes are
     * in the copy then. 6.12 knows truncation only, and skips it.
     */
    looksAgain: () => true,
    isDirty: ({ event }) => received(event, 'page.counts').dirty === true,
    allCleaned: ({ context }) => context.items.length === 0,
    hasNotifier: ({ context }) => notifierOf(context) !== null,
    needsCleaning: ({ context, event }) => {
      const pte = mappingPte(received(event, 'pte').pte);
      return pte.kind === 'present' && pte.pfn === context.pfn && (pte.write || pte.dirty);
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, mapping, index } = received(event, 'call');
      return { caller: from, mapping, index };
    }),
    readSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.index }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    askMapping: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mapping' }),
    readRecord: tell(({ event }) => received(event, 'folio.mapping').record as Address, { type: 'record.read' }),
    noteOwn: assign(({ context: { mapping, index, mappers } }) => ({ places: [{ mapping, index }], items: mappers[mapping]?.[index] ?? [] })),
    noteShared: assign({ places: ({ event }) => received(event, 'record.contents').slots }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    waitWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_writeback' }),
    callStart: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'PROTECTION_PAGE', owner: null, vpns: [item(context).vpn] }),
    ),
    callEnd: tell(
      ({ context }) => notifierOf(context) as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'PROTECTION_PAGE', owner: null, vpns: [item(context).vpn] }),
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
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    callFlush: tell(
      ({ context }) => context.flush[item(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [item(context).vpn] }),
    ),
    setClean: tell(
      ({ context }) => item(context).mm,
      ({ context }) => ({ type: 'pte.set', vpn: item(context).vpn, pte: cleaned(context.pte) }),
    ),
    nextItem: assign({ items: ({ context }) => context.items.slice(1), pte: none }),
    clean: tell(({ context }) => pageAt(context.pfn), { type: 'folio.clean' }),
    startWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.start_writeback' }),
    readBytes: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    submit: enqueueActions(({ enqueue, context, event }) => {
      const { value } = received(event, 'memory.content');
      for (const { mapping, index } of context.places) enqueue(tell(context.disk, { type: 'bio.submit', pfn: context.pfn, mapping, index, value }));
    }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    forgetPage: assign({ pfn: -1 }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'writeback',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'writeback_get_folio', actions: 'remember' } } },
    writeback_get_folio: {
      description: 'Which page stands there? Looks, and takes a reference',
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
      on: { 'folio.got': { target: 'folio_lock' }, 'folio.frozen': { target: 'writeback_get_folio', actions: 'forgetPage' } },
    },
    folio_lock: { description: 'Locks it', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'folio_prepare_writeback' } } },
    folio_prepare_writeback: {
      description: 'Is it this mapping still?',
      entry: 'askMapping',
      on: {
        'folio.mapping': [
          { guard: 'knowsRecord', target: 'record_read', actions: 'readRecord' },
          { guard: 'isSameMapping', target: 'folio_test_dirty', actions: 'noteOwn' },
          { target: 'unlock_gone' },
        ],
      },
    },
    record_read: {
      description: 'A protected page: the record says whose it is',
      on: { 'record.contents': [{ guard: 'isListed', target: 'folio_test_dirty', actions: 'noteShared' }, { target: 'unlock_gone' }] },
    },
    unlock_gone: {
      description: 'It was taken away meanwhile: looks again; 6.12 takes it for truncated',
      on: {
        step: [
          { guard: 'looksAgain', target: 'put_gone', actions: 'unlockFolio' },
          { target: 'folio_put', actions: 'unlockFolio' },
        ],
      },
    },
    put_gone: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'writeback_get_folio', actions: 'forgetPage' } } },
    folio_test_dirty: {
      description: 'Did somebody else write it?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isDirty', target: 'folio_wait_writeback' }, { target: 'unlock_clean' }] },
    },
    unlock_clean: { description: 'Nothing to write', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_wait_writeback: {
      description: 'Dirty again while it is under writeback: the writes must not overtake each other',
      on: { step: { target: 'wait_on_writeback', actions: 'waitWriteback' } },
    },
    wait_on_writeback: { description: 'Sleeps, with the folio locked', on: { 'writeback.ended': { target: 'folio_mkclean' } } },
    folio_mkclean: {
      description: 'The next place where it may be mapped',
      always: [
        { guard: 'allCleaned', target: 'folio_clear_dirty_for_io' },
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' },
        { target: 'page_vma_mapped_walk' },
      ],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'Secondary MMUs may not store any more',
      entry: 'callStart',
      on: { return: { target: 'page_vma_mapped_walk' } },
    },
    page_vma_mapped_walk: {
      description: 'PVMW_SYNC: takes the page-table lock, whatever is there',
      on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } },
    },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'check_pte' } } },
    check_pte: {
      description: 'Does it map the page, writable or dirty?',
      entry: 'readPte',
      on: { pte: [{ guard: 'needsCleaning', target: 'ptep_clear' }, { target: 'page_vma_mapped_walk_done' }] },
    },
    ptep_clear: {
      description: 'Takes the pte, in one access, since the walker may set D',
      on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page', actions: 'notePte' } },
    },
    flush_tlb_page: { description: 'Who stores now, faults', entry: 'callFlush', on: { return: { target: 'set_pte_at' } } },
    set_pte_at: { description: 'Read-only and clean', on: { step: { target: 'page_vma_mapped_walk_done', actions: 'setClean' } } },
    page_vma_mapped_walk_done: { description: 'Drops the page-table lock', on: { step: { target: 'place_done', actions: 'unlockPtl' } } },
    place_done: {
      description: 'The notification is over, and the next place',
      always: [
        { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end' },
        { target: 'folio_mkclean', actions: 'nextItem' },
      ],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may fault again',
      entry: 'callEnd',
      on: { return: { target: 'folio_mkclean', actions: 'nextItem' } },
    },
    folio_clear_dirty_for_io: {
      description: 'Clean from here: what is stored now makes it dirty again',
      on: { step: { target: 'folio_start_writeback', actions: 'clean' } },
    },
    folio_start_writeback: {
      description: 'Under writeback, and unlocked',
      on: { step: { target: 'submit_bh', actions: ['startWriteback', 'unlockFolio'] } },
    },
    submit_bh: {
      description: 'Each buffer is submitted, with the place that it goes to; the device reads the bytes',
      on: { step: { actions: 'readBytes' }, 'memory.content': { target: 'folio_put', actions: 'submit' } },
    },
    folio_put: {
      description: 'Gives the reference back; the write holds none',
      entry: 'callPut',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
