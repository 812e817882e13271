import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  mapping: Address;
  folioLocks: Record<string, Address>;
  allocPages: Address;
  putPage: Address;
  coherence: Address;
  lufFlush: Address | null;
  debug: Address | null;
  task: Address;
  /** break_protection of its task; default: no page is protected by a record, and page->mapping of a page in a cache is its mapping. */
  breakProtection?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  index: number;
  /** What the file holds there (see coherence). */
  cell: string;
  pfn: number;
  /** What was written. */
  value: string;
}

type Event =
  | { type: 'step' }
  | Call<{ index: number; cell: string }>
  | Return<{ pfns?: number[]; ok?: boolean }>
  | Signed<{ type: 'slot'; pfn: number | null } | { type: 'slot.added'; result: 'added' | 'exists' } | { type: 'stored'; value: string | null }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'locked' } | { type: 'write.value'; value: string }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'record.listed'; listed: boolean }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', index: -1, cell: '', pfn: -1, value: '' };
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;

/**
 * write(2) to a file: generic_perform_write (mm/filemap.c, 6.12). write_begin finds the page or reads it, and locks it; the
 * bytes are copied; write_end unlocks it. With LUF what is owed is paid before the copy. Called with the offset; the
 * write has completed when it returns. Domain table, part 2, 1b; rows L0, L8, L8a, L8b.
 */
export const genericPerformWrite = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    isStillThere: ({ context, event }) => received(event, 'slot').pfn === context.pfn,
    /** Safeguard (row W14): a protected page has a record where its mapping was. */
    knowsRecord: ({ event }) => received(event, 'folio.mapping').record !== null,
    isSameMapping: ({ context, event }) => received(event, 'folio.mapping').mapping === context.mapping,
    /** -ENOMEM: there was no page for a copy. */
    hasNoMemory: ({ event }) => received(event, 'return').ok === false,
    isListed: ({ event }) => received(event, 'record.listed').listed,
    /** Safeguard (row W9): a page whose bytes others share is copied first. */
    breaksProtection: () => true,
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    wasAdded: ({ event }) => received(event, 'slot.added').result === 'added',
    /** Safeguard (rows L8, L8a, L8b): a stale translation still shows what the file held before. */
    mustFlushBeforeCopy: ({ context }) => context.lufFlush !== null,
    /** Row L8: the flush comes when readers may have seen the new bytes (version 11, and the debug mode's step 5). */
    mustFlushAfterCopy: () => false,
    /** Row L8b: iomap file systems, and DAX, write without these calls. */
    callsWriteEnd: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, index, cell } = received(event, 'call');
      return { caller: from, index, cell };
    }),
    readSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.index }),
    ),
    recheckMapping: tell(
      ({ context }) => (context.breakProtection === null ? context.mapping : pageAt(context.pfn)),
      ({ context }) => (context.breakProtection === null ? { type: 'slot.read', index: context.index } : { type: 'folio.mapping' }),
    ),
    askRecord: tell(
      ({ event }) => received(event, 'folio.mapping').record as Address,
      ({ context }) => ({ type: 'record.lists', mapping: context.mapping, index: context.index }),
    ),
    setMapping: inform(
      ({ context }) => (context.breakProtection === null ? null : pageAt(context.pfn)),
      ({ context }) => ({ type: 'folio.set_mapping', mapping: context.mapping }),
    ),
    callBreak: tell(
      ({ context }) => context.breakProtection as Address,
      ({ context }) => ({ type: 'call', pfn: context.pfn, vpn: null, mapping: context.mapping, index: context.index }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    notePfn: assign({ pfn: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    addToCache: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.add', index: context.index, pfn: context.pfn }),
    ),
    readStored: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'stored.read', index: context.index }),
    ),
    fill: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'stored').value }),
    ),
    callLufFlush: tell(({ context }) => context.lufFlush as Address, { type: 'call' }),
    observeContent: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.content', mapping: context.mapping, index: context.index }),
    ),
    beginWrite: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.begin', cell: context.cell }),
    ),
    noteValue: assign({ value: ({ event }) => received(event, 'write.value').value }),
    copy: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'write.value').value }),
    ),
    markDirty: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mark_dirty' }),
    observeWriteEnd: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.write_end', mapping: context.mapping, task: context.task }),
    ),
    observeWritten: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.written', mapping: context.mapping, task: context.task }),
    ),
    complete: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.complete', cell: context.cell, value: context.value }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'generic_perform_write',
  context: ({ input }) => ({ breakProtection: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'write_begin', actions: 'remember' } } },
    write_begin: {
      description: 'Is the page in the page cache? Looks, and takes a reference',
      on: { step: { actions: 'readSlot' }, slot: [{ guard: 'isInCache', target: 'folio_try_get', actions: 'noteSlot' }, { target: 'alloc_pages' }] },
    },
    folio_try_get: {
      description: 'A folio that is being taken away has no reference to add to: looks again',
      entry: 'tryGet',
      on: { 'folio.got': { target: 'lock_folio' }, 'folio.frozen': { target: 'write_begin' } },
    },
    lock_folio: { description: 'Locks it', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'check_mapping' } } },
    check_mapping: {
      description: 'Is it this mapping still?',
      entry: 'recheckMapping',
      on: {
        slot: [{ guard: 'isStillThere', target: 'flush_before_copy' }, { target: 'unlock_gone' }],
        'folio.mapping': [
          { guard: 'knowsRecord', target: 'record_lists', actions: 'askRecord' },
          { guard: 'isSameMapping', target: 'flush_before_copy' },
          { target: 'unlock_gone' },
        ],
      },
    },
    record_lists: {
      description: 'A protected page: the record says whose it is',
      on: { 'record.listed': [{ guard: 'isListed', target: 'protected' }, { target: 'unlock_gone' }] },
    },
    protected: {
      description: 'The protection is broken before the bytes change',
      always: [{ guard: 'breaksProtection', target: 'unlock_protected' }, { target: 'flush_before_copy' }],
    },
    unlock_protected: { description: 'The folio lock is for who breaks it', on: { step: { target: 'put_protected', actions: 'unlockFolio' } } },
    put_protected: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'break_protection' } } },
    break_protection: {
      description: 'The file gets a page of its own; then it is looked up again',
      entry: 'callBreak',
      on: { return: [{ guard: 'hasNoMemory', target: 'idle', actions: ['return', 'forget'] }, { target: 'write_begin' }] },
    },
    unlock_gone: { description: 'It was taken away meanwhile: looks again', on: { step: { target: 'put_gone', actions: 'unlockFolio' } } },
    put_gone: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'write_begin' } } },
    alloc_pages: {
      description: 'A page for it',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPage', target: 'lock_new_folio', actions: 'notePfn' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    lock_new_folio: { description: 'Locks it; nobody else knows it', entry: 'lockFolio', on: { locked: { target: 'filemap_add_folio' } } },
    filemap_add_folio: {
      description: 'Into the page cache; if somebody was faster, with theirs',
      on: {
        step: { actions: 'addToCache' },
        'slot.added': [
          { guard: 'wasAdded', target: 'read_folio', actions: ['get', 'setMapping'] },
          { target: 'put_unused', actions: 'unlockFolio' },
        ],
      },
    },
    put_unused: { description: 'Gives the page back', entry: 'callPut', on: { return: { target: 'write_begin' } } },
    read_folio: {
      description: 'Reads the rest of the page',
      on: { step: { actions: 'readStored' }, stored: { target: 'flush_before_copy', actions: 'fill' } },
    },
    flush_before_copy: {
      description: 'LUF: what is owed is paid with the folio locked, so that nothing new is put off for this file offset',
      always: [{ guard: 'mustFlushBeforeCopy', target: 'luf_flush' }, { target: 'copy_page_from_iter_atomic' }],
    },
    luf_flush: { description: 'Pays what is owed', entry: 'callLufFlush', on: { return: { target: 'copy_page_from_iter_atomic' } } },
    copy_page_from_iter_atomic: {
      description: 'Copies the bytes: who maps the page sees them from here',
      on: {
        step: { actions: 'beginWrite' },
        'write.value': [
          { guard: 'callsWriteEnd', target: 'write_end', actions: ['observeContent', 'copy', 'noteValue', 'markDirty'] },
          { target: 'unlock', actions: ['observeContent', 'copy', 'noteValue', 'markDirty'] },
        ],
      },
    },
    write_end: {
      description: 'The page is up to date and dirty, and is unlocked',
      on: {
        step: [
          { guard: 'mustFlushAfterCopy', target: 'luf_flush_after', actions: ['unlockFolio', 'observeWriteEnd'] },
          { target: 'written', actions: ['unlockFolio', 'observeWriteEnd', 'observeWritten'] },
        ],
      },
    },
    luf_flush_after: { description: 'Row L8: pays what is owed', entry: 'callLufFlush', on: { return: { target: 'written', actions: 'observeWritten' } } },
    unlock: { description: 'Row L8b: unlocks', on: { step: { target: 'written', actions: 'unlockFolio' } } },
    written: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'ksys_write_return' } } },
    ksys_write_return: {
      description: 'write(2) returns: the write has completed',
      on: { step: { target: 'idle', actions: ['complete', 'return', 'forget'] } },
    },
  },
});
