import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  /** Of the address space that the device mirrors. */
  mmapLock: Address;
  /** mmu_notifier_subscriptions of that address space. */
  notifier: Address;
  /** Which driver's callback is told. */
  driver: string;
  makeExclusive: Address;
  /** fixup_user_fault, which takes mmap_lock itself; for the fix that restores an entry before the read section. */
  fault: Address;
  /** remove_device_exclusive_entry; for the fix that restores in the retry branch. */
  restoreExclusive: Address;
  folioLocks: Record<string, Address>;
  putPage: Address;
  mutex: Address;
  /** The device's page table. */
  mmu: Address;
}

interface Context extends Input {
  /** Its subscription: it is called like the path itself. */
  sub: Address;
  caller: Address;
  vpn: number;
  pfn: number;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ ok?: boolean; pfn?: number }>
  | Signed<{ type: 'mn.inserted' } | { type: 'mn.read'; invalidating: boolean } | { type: 'mn.released' }>
  | Signed<{ type: 'mn.checked'; retry: boolean } | { type: 'mn.removed'; wait: boolean } | { type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, ok: false };

/**
 * nouveau_atomic_range_fault (drivers/gpu/drm/nouveau/nouveau_svm.c; 5.14 on): a device wants to do atomics on a page of a process. E1
 * to E11 of domain table part 2, 1e: an interval notifier; then, until no invalidation came in between, make_device_exclusive under
 * mmap_lock, and the device's pte under the driver's mutex, with the folio locked all along. Called with the page; returns `{ ok }`. It
 * has served the device in states tagged `served`: mapped, or refused. The second after which the driver gives up is left out.
 */
export const nouveauAtomicRangeFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (row D1): an interval notifier, read before and checked after. */
    usesNotifier: () => true,
    /** Row D11: the notifier is inserted when the page is exclusive, while the folio lock keeps faults away. */
    insertsLate: () => false,
    /** Of the open questions, a fix: what has to be faulted in is faulted in before the read section. */
    faultsInFirst: () => false,
    isInvalidating: ({ event }) => received(event, 'mn.read').invalidating,
    /** Row D13: one mutex for all of it. */
    locksMutexEarly: () => false,
    ok: ({ event }) => received(event, 'return').ok === true,
    /** Safeguard (row D2): the folio stays locked until the device has mapped it. */
    keepsFolioLocked: () => true,
    /** Safeguard (row D7): the check is made under the mutex that callbacks take. */
    checksUnderMutex: () => true,
    mustRetry: ({ event }) => received(event, 'mn.checked').retry,
    /** Safeguard (row D19; since b3fefbb30a16): whoever tries again lets go of the page first. */
    unlocksOnRetry: () => true,
    /** Of the open questions, a fix: the entry that was made in vain is taken back before the next round. */
    restoresOnRetry: () => false,
    mustWait: ({ event }) => received(event, 'mn.removed').wait,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    insert: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.insert', sub: context.sub, driver: context.driver, vpns: [context.vpn] }),
    ),
    readBegin: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_begin', sub: context.sub }),
    ),
    wait: tell(({ context }) => context.notifier, { type: 'mn.wait' }),
    readRetry: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_retry', sub: context.sub }),
    ),
    readForget: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_forget', sub: context.sub }),
    ),
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
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: true }),
    ),
    callMakeExclusive: tell(
      ({ context }) => context.makeExclusive,
      ({ context }) => ({ type: 'call', vpn: context.vpn }),
    ),
    notePage: assign({ pfn: ({ event }) => received(event, 'return').pfn as number }),
    lockMutex: tell(({ context }) => context.mutex, { type: 'lock' }),
    unlockMutex: tell(({ context }) => context.mutex, { type: 'unlock' }),
    map: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.map', vpn: context.vpn, pfn: context.pfn, write: true, atomic: true }),
    ),
    unlockFolio: tell(
      ({ context }) => context.folioLocks[context.pfn] as Address,
      ({ context }) => ({ type: 'unlock', owner: context.makeExclusive }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    callRestore: tell(
      ({ context }) => context.restoreExclusive,
      ({ context }) => ({ type: 'call', vpn: context.vpn, pfn: context.pfn }),
    ),
    forgetPage: assign({ pfn: -1 }),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nouveau_atomic_range_fault',
  context: ({ input, self }) => ({ ...input, sub: self.id, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'fault', actions: 'remember' } } },
    fault: {
      description: 'The device wants the page',
      always: [{ guard: 'insertsLate', target: 'round' }, { guard: 'usesNotifier', target: 'mmu_interval_notifier_insert' }, { target: 'round' }],
    },
    mmu_interval_notifier_insert: {
      description: 'E1: from here on it is told of every change of the range',
      on: { step: { target: 'spin_to_insert', actions: 'insert' } },
    },
    spin_to_insert: { description: 'E1: spins while an invalidation ends', on: { 'mn.inserted': { target: 'round' } } },
    round: {
      description: 'One round of its loop',
      always: [{ guard: 'faultsInFirst', target: 'fixup_user_fault' }, { target: 'read_section' }],
    },
    fixup_user_fault: {
      description: 'A fix: what is missing or exclusive is faulted in before the read section',
      entry: 'callFault',
      on: { return: { target: 'read_section' } },
    },
    read_section: {
      description: 'E2: begins with the sequence number',
      always: [
        { guard: 'insertsLate', target: 'exclusive_section' },
        { guard: 'usesNotifier', target: 'mmu_interval_read_begin' },
        { target: 'exclusive_section' },
      ],
    },
    mmu_interval_read_begin: {
      description: 'E2: which sequence number? Where an invalidation is under way, it waits for its end',
      on: { step: { target: 'spin_to_read', actions: 'readBegin' } },
    },
    spin_to_read: {
      description: 'E2: spins while an invalidation ends',
      on: { 'mn.read': [{ guard: 'isInvalidating', target: 'wait_event', actions: 'wait' }, { target: 'exclusive_section' }] },
    },
    wait_event: { description: 'E2: sleeps until the sequence number has changed', on: { 'mn.released': { target: 'exclusive_section' } } },
    exclusive_section: {
      description: 'E3: the page, locked and exclusive',
      always: [{ guard: 'locksMutexEarly', target: 'mutex_lock_early' }, { target: 'mmap_read_lock' }],
    },
    mutex_lock_early: { description: 'Row D13: takes the mutex', on: { step: { target: 'wait_for_mutex_early', actions: 'lockMutex' } } },
    wait_for_mutex_early: { description: 'Row D13: sleeps while a callback has it', on: { locked: { target: 'mmap_read_lock' } } },
    mmap_read_lock: { description: 'E3: takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'E3: sleeps while somebody writes', on: { locked: { target: 'make_device_exclusive' } } },
    make_device_exclusive: {
      description: 'E4 to E7',
      entry: 'callMakeExclusive',
      on: { return: [{ guard: 'ok', target: 'mmap_read_unlock', actions: 'notePage' }, { target: 'mmap_read_unlock_failed' }] },
    },
    mmap_read_unlock_failed: {
      description: 'E8: no page to be had',
      on: {
        step: [
          { guard: 'locksMutexEarly', target: 'mutex_unlock_failed', actions: 'unlockMm' },
          { target: 'fault_cancelled', actions: 'unlockMm' },
        ],
      },
    },
    mutex_unlock_failed: { description: 'Row D13: drops the mutex', on: { step: { target: 'fault_cancelled', actions: 'unlockMutex' } } },
    fault_cancelled: {
      tags: ['served'],
      description: 'E8: refused; whoever called it cancels the fault of the device (nouveau_svm_fault_cancel_fault)',
      on: {
        step: [
          { guard: 'insertsLate', target: 'idle', actions: ['return', 'forget'] },
          { guard: 'usesNotifier', target: 'mmu_interval_notifier_remove', actions: 'readForget' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    mmap_read_unlock: { description: 'E8: drops mmap_lock; the folio stays locked', on: { step: { target: 'page_is_exclusive', actions: 'unlockMm' } } },
    page_is_exclusive: {
      description: 'E9: to be mapped, if nothing came in between',
      always: [
        { guard: 'insertsLate', target: 'mmu_interval_notifier_insert_late' },
        { guard: 'keepsFolioLocked', target: 'map_section' },
        { target: 'folio_unlock_early' },
      ],
    },
    mmu_interval_notifier_insert_late: {
      description: 'Row D11: what came before this is not known',
      on: { step: { target: 'spin_to_insert_late', actions: 'insert' } },
    },
    spin_to_insert_late: { description: 'Row D11: spins while an invalidation ends', on: { 'mn.inserted': { target: 'map_section' } } },
    folio_unlock_early: { description: 'Row D2: unlocks the folio', on: { step: { target: 'map_section', actions: 'unlockFolio' } } },
    map_section: {
      description: 'E9: under the mutex that callbacks take',
      always: [{ guard: 'locksMutexEarly', target: 'check' }, { guard: 'checksUnderMutex', target: 'mutex_lock' }, { target: 'mmu_interval_read_retry_early' }],
    },
    mmu_interval_read_retry_early: {
      description: 'Row D7: checks before it takes the mutex',
      on: { step: { actions: 'readRetry' }, 'mn.checked': [{ guard: 'mustRetry', target: 'let_go' }, { target: 'mutex_lock_late' }] },
    },
    mutex_lock_late: { description: 'Row D7: takes the mutex', on: { step: { target: 'wait_for_mutex_late', actions: 'lockMutex' } } },
    wait_for_mutex_late: { description: 'Row D7: sleeps while a callback has it', on: { locked: { target: 'nvif_object_ioctl' } } },
    mutex_lock: { description: "E9: takes the driver's mutex", on: { step: { target: 'wait_for_mutex', actions: 'lockMutex' } } },
    wait_for_mutex: { description: 'E9: sleeps while a callback has it', on: { locked: { target: 'check' } } },
    check: {
      description: 'E9: has the range changed?',
      always: [
        { guard: 'insertsLate', target: 'nvif_object_ioctl' },
        { guard: 'usesNotifier', target: 'mmu_interval_read_retry' },
        { target: 'nvif_object_ioctl' },
      ],
    },
    mmu_interval_read_retry: {
      description: 'E9: an invalidation since E2: the page may be gone',
      on: { step: { actions: 'readRetry' }, 'mn.checked': [{ guard: 'mustRetry', target: 'mutex_unlock_retry' }, { target: 'nvif_object_ioctl' }] },
    },
    mutex_unlock_retry: { description: 'E9: drops the mutex', on: { step: { target: 'let_go', actions: 'unlockMutex' } } },
    let_go: {
      description: 'E9: the next round begins without the page',
      always: [
        { guard: 'restoresOnRetry', target: 'folio_unlock_restore' },
        { guard: 'unlocksOnRetry', target: 'folio_unlock_retry' },
        { target: 'round', actions: 'forgetPage' },
      ],
    },
    folio_unlock_restore: {
      description: 'A fix: unlocks the folio, and keeps the reference',
      on: { step: { target: 'restore_mmap_read_lock', actions: 'unlockFolio' } },
    },
    restore_mmap_read_lock: { description: 'A fix: takes mmap_lock for reading', on: { step: { target: 'wait_to_restore', actions: 'lockMm' } } },
    wait_to_restore: { description: 'Sleeps while somebody writes', on: { locked: { target: 'remove_device_exclusive_entry' } } },
    remove_device_exclusive_entry: {
      description: 'A fix: takes the entry back, if it is there still',
      entry: 'callRestore',
      on: { return: { target: 'restore_mmap_read_unlock' } },
    },
    restore_mmap_read_unlock: { description: 'A fix: drops mmap_lock', on: { step: { target: 'folio_put_retry', actions: 'unlockMm' } } },
    folio_unlock_retry: {
      description: 'E9: unlocks the folio: whoever waits may restore the pte',
      on: {
        step: [{ guard: 'keepsFolioLocked', target: 'folio_put_retry', actions: 'unlockFolio' }, { target: 'folio_put_retry' }],
      },
    },
    folio_put_retry: {
      description: 'E9: gives the reference back, and begins again',
      entry: 'callPut',
      on: { return: { target: 'round', actions: 'forgetPage' } },
    },
    nvif_object_ioctl: {
      description: 'E10: the device may do atomics on it from here',
      on: { step: { target: 'mutex_unlock', actions: ['map', 'succeed'] } },
    },
    mutex_unlock: { tags: ['served'], description: 'E10: drops the mutex', on: { step: { target: 'release_page', actions: 'unlockMutex' } } },
    release_page: {
      description: 'E11: the page is let go',
      always: [{ guard: 'keepsFolioLocked', target: 'folio_unlock' }, { target: 'folio_put' }],
    },
    folio_unlock: { description: 'E11: unlocks the folio', on: { step: { target: 'folio_put', actions: 'unlockFolio' } } },
    folio_put: {
      description: 'E11: gives the reference back; the entry has its own',
      entry: 'callPut',
      on: {
        return: [
          { guard: 'insertsLate', target: 'mmu_interval_notifier_remove' },
          { guard: 'usesNotifier', target: 'mmu_interval_notifier_remove' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    mmu_interval_notifier_remove: {
      description: 'E11: the notifier of the process stays, and goes on dropping what the device has mapped',
      on: { step: { target: 'spin_to_remove', actions: 'remove' } },
    },
    spin_to_remove: {
      description: 'E11: spins while an invalidation ends',
      on: {
        'mn.removed': [
          { guard: 'mustWait', target: 'wait_event_removed', actions: 'wait' },
          { target: 'idle', actions: ['free', 'return', 'forget'] },
        ],
      },
    },
    wait_event_removed: {
      description: 'E11: sleeps until nobody looks at the subscription any more',
      on: { 'mn.released': { target: 'idle', actions: ['free', 'return', 'forget'] } },
    },
  },
});
