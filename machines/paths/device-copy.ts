import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { DeviceCopy } from '../devices/device-copies.js';
import { type Area, type PteReply, pageAt } from '../memory/address-space.js';
import { type Copy, type RecordContents, recordAt } from '../memory/protection-record.js';
import type { NodeTable } from './replicate-page.js';

/** A read-only copy in the memory of the device; or the page itself, which the device alone may store to. */
export type DeviceCopyMode = 'copy' | 'combine';

interface Input {
  /** Where a call does not say it. */
  mode: DeviceCopyMode;
  /** Of the process. */
  mmapLock: Address;
  /** Its page tables; the device mirrors the first one. */
  tables: NodeTable[];
  /** mmu_notifier_subscriptions of the process. */
  notifier: Address;
  /** Whose callback the subscription names. */
  driver: string;
  /** handle_mm_fault: brings the page in, and breaks a protection that is in the way. */
  fault: Address;
  folioLocks: Record<string, Address>;
  /** write_protect_page. */
  writeProtect: Address;
  /** Hands out pages of the device. */
  deviceMemory: Address;
  putPage: Address;
  /** put_page for pages of the device. */
  putDevicePage: Address;
  mutex: Address;
  /** What the driver keeps of its copies. */
  copies: Address;
  mmu: Address;
  /** How often it begins anew when something has come in between; then the device's fault is cancelled. Default: once. */
  retries?: number;
}

interface Context extends Required<Input> {
  /** Its subscription: it is called like the path itself. */
  sub: Address;
  caller: Address;
  vpn: number;
  combines: boolean;
  /** How often it may begin anew. */
  left: number;
  pfn: number;
  /** The page of the device. */
  copy: number;
  /** What the record says of this device, which has dropped it since. */
  stale: Copy | null;
  /** What comes when the page is let go. */
  next: 'return' | 'again' | 'wait';
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; mode?: DeviceCopyMode; write?: boolean }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply | RecordContents>
  | Signed<{ type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' }>
  | Signed<
      | { type: 'page.counts'; exclusive?: boolean; protection?: 'stable' | 'record' }
      | { type: 'mn.inserted' }
      | { type: 'mn.read'; invalidating: boolean }
      | { type: 'mn.released' }
      | { type: 'mn.checked'; retry: boolean }
    >
  | Signed<{ type: 'mn.removed'; wait: boolean } | { type: 'page'; pfn: number | null } | { type: 'memory.content'; value: string | null }>
  | Signed<{ type: 'copies.listed'; copies: DeviceCopy[] }>;

const { tell, inform } = speaker<Context, Event>();
const page = { pfn: -1, copy: -1, stale: null as Copy | null, next: 'return' as Context['next'] };
const idle = { caller: '', vpn: -1, combines: false, left: 0, ...page, ok: false };
const first = ({ tables }: Context): NodeTable => tables[0] as NodeTable;
const combines = (context: Context, event: Event): boolean => (received(event, 'call').mode ?? context.mode) === 'combine';
const isOwn = ({ mmu, vpn }: Context, copy: Copy): boolean => copy.mm === mmu && copy.vpn === vpn;
/** What the record is to say: where a device combines it names the page itself. */
const entry = ({ mmu, vpn, pfn, copy, combines }: Context): Copy => ({ mm: mmu, vpn, pfn: combines ? pfn : copy });

/**
 * A device gets a read-only copy of a private page into its memory, or the page itself to store to while CPUs only read it, so that its
 * stores look atomic to them (a proposal: Glisse, 2018 and 2020; no kernel has it). In this order: the folio is locked and the page
 * write-protected, which invalidates it for every device, this one too; then the sequence of the subscription is noted, while no other
 * invalidation is under way; then the pte is looked at again, the bytes are copied, and under the driver's mutex the sequence is checked
 * and the device's pte written. Who breaks the protection notifies first: the check tells. It is never waited for an invalidation under
 * the folio lock, which who invalidates may be waiting for. What is protected already is taken as it is, without a notification, unless a
 * copy is wanted of what a device stores to, or the other way round: a fault breaks that first. Called with the page and the mode, by
 * device_access without; returns `{ ok }`. Domain table, part 2, 1f, Uses; rows W12, W13, W16.
 */
export const deviceCopy = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** A copy is not for stores. */
    isStoreToCopy: ({ context, event }) => received(event, 'call').write === true && !combines(context, event),
    isWritableArea: ({ event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && area?.write !== false;
    },
    isPresent: ({ event }) => received(event, 'pte').pte.kind === 'present',
    isSame: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && pte.pfn === context.pfn;
    },
    ok: ({ event }) => received(event, 'return').ok === true,
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    isUnprotected: ({ event }) => {
      const { exclusive, protection } = received(event, 'page.counts');
      return exclusive === true && protection === undefined;
    },
    hasRecord: ({ event }) => {
      const { exclusive, protection } = received(event, 'page.counts');
      return exclusive === true && protection === 'record';
    },
    /** For a copy, no device may store to the page; to store to it, nobody may have a copy. */
    mayJoin: ({ context, event }) => received(event, 'record.contents').copies.every(({ pfn }) => pfn !== context.pfn && !context.combines),
    /** Who stores breaks the protection again and again, and it comes again and again: without a limit neither need get on. */
    mayBeginAnew: ({ context }) => context.left > 0,
    isInvalidating: ({ event }) => received(event, 'mn.read').invalidating,
    combines: ({ context }) => context.combines,
    gotPage: ({ event }) => received(event, 'page').pfn !== null,
    mustRetry: ({ event }) => received(event, 'mn.checked').retry,
    hasOne: ({ event }) => received(event, 'copies.listed').copies.length > 0,
    hasCopy: ({ context }) => context.copy !== -1,
    /** Nobody has a part in it. */
    hasNoPart: ({ event }) => received(event, 'record.contents').copies.length === 0,
    givesUp: ({ context }) => context.next === 'return',
    waits: ({ context }) => context.next === 'wait',
    triesAgain: ({ context }) => context.next === 'again',
    mustWaitForRemoval: ({ event }) => received(event, 'mn.removed').wait,
  },
  actions: {
    refuse: tell(({ event }) => received(event, 'call').from, { type: 'return', ok: false }),
    remember: assign(({ context, event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn, combines: combines(context, event), left: context.retries };
    }),
    insert: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.insert', sub: context.sub, driver: context.driver, vpns: [context.vpn] }),
    ),
    readBegin: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_begin', sub: context.sub }),
    ),
    readRetry: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_retry', sub: context.sub }),
    ),
    wait: tell(({ context }) => context.notifier, { type: 'mn.wait' }),
    remove: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.remove', sub: context.sub }),
    ),
    free: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.free', sub: context.sub }),
    ),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    findVma: tell(
      ({ context }) => first(context).mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    lockPtl: tell(({ context }) => first(context).ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => first(context).ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => first(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePfn: assign({
      pfn: ({ event }) => {
        const { pte } = received(event, 'pte');
        return pte.kind === 'present' ? pte.pfn : -1;
      },
    }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: true }),
    ),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    trylockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'trylock' }),
    unlockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'unlock' }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    newRecord: tell(({ context }) => recordAt(context.pfn), { type: 'record.clear' }),
    protect: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'folio.protect', record: recordAt(context.pfn), stable: false }),
    ),
    countAnew: assign({ left: ({ context }) => context.left - 1 }),
    unprotect: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unprotect' }),
    callProtect: tell(
      ({ context }) => context.writeProtect,
      ({ context: { pfn, vpn, tables } }) => ({ type: 'call', pfn, items: tables.map(({ mm, ptl }) => ({ mm, vpn, ptl })), shares: false }),
    ),
    readRecord: tell(({ context }) => recordAt(context.pfn), { type: 'record.read' }),
    noteStale: assign({ stale: ({ context, event }) => received(event, 'record.contents').copies.find((copy) => isOwn(context, copy)) ?? null }),
    alloc: tell(({ context }) => context.deviceMemory, { type: 'alloc_page' }),
    noteCopy: assign({ copy: ({ event }) => received(event, 'page').pfn as number }),
    prepNew: tell(({ event }) => pageAt(received(event, 'page').pfn as number), { type: 'folio.prep_new' }),
    readBytes: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    copyInto: tell(
      ({ context }) => pageAt(context.copy),
      ({ context, event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value, device: context.mmu }),
    ),
    lockMutex: tell(({ context }) => context.mutex, { type: 'lock' }),
    unlockMutex: tell(({ context }) => context.mutex, { type: 'unlock' }),
    readCopies: tell(
      ({ context }) => context.copies,
      ({ context }) => ({ type: 'copies.read', vpns: [context.vpn] }),
    ),
    listCopy: inform(
      ({ context }) => (context.combines ? null : context.copies),
      ({ context: { vpn, pfn, copy } }) => ({ type: 'copies.add', vpn, pfn, copy }),
    ),
    forgetStale: inform(
      ({ context }) => (context.stale === null ? null : recordAt(context.pfn)),
      ({ context }) => ({ type: 'record.remove_copy', copy: context.stale }),
    ),
    addCopy: tell(
      ({ context }) => recordAt(context.pfn),
      ({ context }) => ({ type: 'record.add_copy', copy: entry(context) }),
    ),
    markDirty: inform(({ context }) => (context.combines ? pageAt(context.pfn) : null), { type: 'folio.mark_dirty' }),
    map: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.map', vpn: context.vpn, pfn: entry(context).pfn, write: context.combines, atomic: context.combines }),
    ),
    callPutCopy: tell(
      ({ context }) => context.putDevicePage,
      ({ context }) => ({ type: 'call', pfn: context.copy, pinned: false }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    planAgain: assign(({ context: { left } }) => (left > 0 ? { next: 'again', left: left - 1 } : {})),
    planWait: assign(({ context: { left } }) => (left > 0 ? { next: 'wait', left: left - 1 } : {})),
    forgetPage: assign(page),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'device_copy',
  context: ({ input, self }) => ({ retries: 1, ...input, sub: self.id, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isStoreToCopy', actions: 'refuse' },
          { target: 'mmu_interval_notifier_insert', actions: 'remember' },
        ],
      },
    },
    mmu_interval_notifier_insert: {
      description: 'Wants to be told of invalidations of this page, before everything',
      on: { step: { target: 'spin_to_insert', actions: 'insert' } },
    },
    spin_to_insert: { description: 'Spins while an invalidation ends', on: { 'mn.inserted': { target: 'mmap_read_lock' } } },
    mmap_read_lock: { description: 'A round begins: takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_vma' } } },
    find_vma: {
      description: 'The page is to be exclusive, so that the process must be allowed to store to it',
      entry: 'findVma',
      on: { vma: [{ guard: 'isWritableArea', target: 'follow_page_pte' }, { target: 'mmap_read_unlock' }] },
    },
    follow_page_pte: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'Is the page there? Then a reference',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isPresent', target: 'pte_unmap_unlock', actions: ['notePfn', 'get'] },
          { target: 'faultin_page', actions: 'unlockPtl' },
        ],
      },
    },
    faultin_page: {
      description: 'handle_mm_fault for a store: the page is there and exclusive after it, and nobody has a copy; then looks again',
      entry: 'callFault',
      on: { return: [{ guard: 'ok', target: 'follow_page_pte' }, { target: 'mmap_read_unlock' }] },
    },
    pte_unmap_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'folio_trylock', actions: 'unlockPtl' } } },
    folio_trylock: {
      description: 'If somebody has it locked, not now',
      on: { step: { actions: 'trylockFolio' }, 'trylock.result': [{ guard: 'gotLock', target: 'folio_test_protected' }, { target: 'folio_put' }] },
    },
    folio_test_protected: {
      description: 'Who has a part in it?',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'isUnprotected', target: 'set_page_record' }, { guard: 'hasRecord', target: 'record_contents' }, { target: 'is_in_the_way' }],
      },
    },
    record_contents: {
      description: 'CPUs cannot store to it: is what it is protected for in the way?',
      entry: 'readRecord',
      on: {
        'record.contents': [{ guard: 'mayJoin', target: 'mmu_interval_read_begin', actions: 'noteStale' }, { target: 'is_in_the_way' }],
      },
    },
    is_in_the_way: {
      description: 'Not exclusive, or protected for something else',
      always: [{ guard: 'mayBeginAnew', target: 'folio_unlock_to_fault' }, { target: 'folio_unlock' }],
    },
    folio_unlock_to_fault: {
      description: 'Who breaks a protection locks the folio itself',
      on: { step: { target: 'folio_put_to_fault', actions: ['unlockFolio', 'countAnew'] } },
    },
    folio_put_to_fault: {
      description: 'A fault like that of a store settles it',
      entry: 'callPut',
      on: { return: { target: 'faultin_page', actions: 'forgetPage' } },
    },
    set_page_record: {
      description: 'First of all: who stores from here on, and faults, knows by it that the protection has to be broken',
      on: { step: { target: 'write_protect_page', actions: ['newRecord', 'protect'] } },
    },
    write_protect_page: {
      description: 'Read-only in all tables, for every TLB and device; not if somebody else refers to it',
      entry: 'callProtect',
      on: { return: [{ guard: 'ok', target: 'mmu_interval_read_begin' }, { target: 'undo' }] },
    },
    mmu_interval_read_begin: {
      description: 'Notes the sequence, behind its own notification; what the folio lock keeps so need not be checked',
      on: { step: { target: 'spin_to_read', actions: 'readBegin' } },
    },
    spin_to_read: {
      description: 'Spins while an invalidation ends; one that is under way may wait for the folio lock',
      on: { 'mn.read': [{ guard: 'isInvalidating', target: 'undo', actions: 'planWait' }, { target: 'pte_same' }] },
    },
    pte_same: {
      description: 'Is the page still there? From here on the sequence would tell',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isSame', target: 'page_is_protected' },
          { target: 'undo', actions: 'planAgain' },
        ],
      },
    },
    page_is_protected: {
      description: 'A copy, or the page itself',
      always: [{ guard: 'combines', target: 'mutex_lock' }, { target: 'alloc_device_page' }],
    },
    alloc_device_page: {
      description: 'A page of the device, which nobody else knows; none: not now',
      on: {
        step: { actions: 'alloc' },
        page: [{ guard: 'gotPage', target: 'copy_to_device', actions: ['noteCopy', 'prepNew'] }, { target: 'undo' }],
      },
    },
    copy_to_device: {
      description: 'An engine of the device copies the page',
      on: { step: { actions: 'readBytes' }, 'memory.content': { target: 'mutex_lock', actions: 'copyInto' } },
    },
    mutex_lock: { description: "The driver's mutex: the callback takes it too", on: { step: { target: 'wait_for_mutex', actions: 'lockMutex' } } },
    wait_for_mutex: { description: 'Sleeps while another has it', on: { locked: { target: 'mmu_interval_read_retry' } } },
    mmu_interval_read_retry: {
      description: 'Has the page been invalidated since the sequence was noted?',
      entry: 'readRetry',
      on: {
        'mn.checked': [
          { guard: 'mustRetry', target: 'mutex_unlock_undo', actions: 'planAgain' },
          { guard: 'combines', target: 'map' },
          { target: 'find_device_copy' },
        ],
      },
    },
    find_device_copy: {
      description: 'Has another worker of the driver been faster?',
      entry: 'readCopies',
      on: { 'copies.listed': [{ guard: 'hasOne', target: 'mutex_unlock_undo', actions: 'succeed' }, { target: 'map' }] },
    },
    mutex_unlock_undo: { description: 'What was prepared is not needed', on: { step: { target: 'undo', actions: 'unlockMutex' } } },
    map: {
      description: "Writes the device's pte; driver and record know of it",
      on: { step: { target: 'mutex_unlock', actions: ['map', 'listCopy', 'forgetStale', 'addCopy', 'markDirty', 'succeed'] } },
    },
    mutex_unlock: { tags: ['served'], description: 'Mapped: drops the mutex', on: { step: { target: 'folio_unlock', actions: 'unlockMutex' } } },
    undo: { description: 'The page is let go', always: [{ guard: 'hasCopy', target: 'put_device_page' }, { target: 'undone' }] },
    put_device_page: { description: 'The page of the device is free again', entry: 'callPutCopy', on: { return: { target: 'undone' } } },
    undone: {
      description: 'It stays protected for the next round, which then needs no notification of its own',
      always: [{ guard: 'givesUp', target: 'record_is_needed' }, { target: 'folio_unlock' }],
    },
    record_is_needed: {
      description: 'Has anybody else a part in the protection?',
      entry: 'readRecord',
      on: { 'record.contents': [{ guard: 'hasNoPart', target: 'folio_unprotect' }, { target: 'folio_unlock' }] },
    },
    folio_unprotect: {
      description: 'Nobody depends on it: a store may make the pte writable again, without more ado',
      on: { step: { target: 'folio_unlock', actions: 'unprotect' } },
    },
    folio_unlock: { description: 'Who waits to break the protection may do so', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'mmap_read_unlock' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock', on: { step: { target: 'round_over', actions: 'unlockMm' } } },
    round_over: {
      description: 'Again, where something has come in between',
      always: [
        { guard: 'waits', target: 'wait_event', actions: 'forgetPage' },
        { guard: 'triesAgain', target: 'mmap_read_lock', actions: 'forgetPage' },
        { target: 'mmu_interval_notifier_remove' },
      ],
    },
    wait_event: {
      description: 'Sleeps until no invalidation of the address space is under way; nothing is locked',
      entry: 'wait',
      on: { 'mn.released': { target: 'mmap_read_lock' } },
    },
    mmu_interval_notifier_remove: {
      description: 'During an invalidation it is taken out only at its end; the notifier of the process stays',
      on: { step: { target: 'spin_to_remove', actions: 'remove' } },
    },
    spin_to_remove: {
      description: 'Spins while an invalidation ends',
      on: {
        'mn.removed': [
          { guard: 'mustWaitForRemoval', target: 'wait_event_removed' },
          { target: 'idle', actions: ['free', 'return', 'forget'] },
        ],
      },
    },
    wait_event_removed: {
      description: 'Sleeps until nobody looks at the subscription any more',
      entry: 'wait',
      on: { 'mn.released': { target: 'idle', actions: ['free', 'return', 'forget'] } },
    },
  },
});
