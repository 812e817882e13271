import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { Area, Pte, PteReply } from '../memory/address-space.js';

interface Input {
  /** The address space that the device mirrors. */
  mm: Address;
  mmapLock: Address;
  /** mmu_notifier_subscriptions of that address space. */
  notifier: Address;
  /** Whose callback the subscription names. */
  driver: string;
  mutex: Address;
  mmu: Address;
  /** handle_mm_fault. */
  fault: Address;
  /** Where a migration entry is waited for; default: nothing is migrated. */
  folioLocks?: Record<string, Address>;
  /** Page frames of the device's own memory; default: it has none. */
  devicePages?: number[];
}

interface Context extends Required<Input> {
  /** Its subscription: it is called like the path itself. */
  sub: Address;
  caller: Address;
  vpn: number;
  write: boolean;
  area: Area | null;
  /** What hmm_range_fault has found. */
  pfn: number;
  writable: boolean;
  failed: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write?: boolean }>
  | Return<{ ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>
  | Signed<{ type: 'mn.inserted' } | { type: 'mn.read'; invalidating: boolean } | { type: 'mn.released' }>
  | Signed<{ type: 'mn.checked'; retry: boolean } | { type: 'mn.removed'; wait: boolean } | { type: 'mn.seq'; released: boolean }>;

const { tell } = speaker<Context, Event>();
const found = { pfn: -1, writable: false };
const idle = { caller: '', vpn: -1, write: false, area: null, ...found, failed: false };

/** The page frame that a pte leads to, present or being migrated. */
const pfnOf = (pte: Pte): number => ('pfn' in pte ? pte.pfn : -1);

/**
 * A fault of a device that mirrors an address space: nouveau_range_fault with hmm_range_fault (drivers/gpu/drm/nouveau/
 * nouveau_svm.c, mm/hmm.c; 6.12). It looks the page up under mmap_lock, with no reference and no page-table lock; that nothing has
 * changed when it writes the device's pte, the sequence of its subscription says, which it checks under the driver's mutex.
 * hmm_range_fault's own early checks of the sequence are left out (the last one sees what they would), and so is the limit of one
 * second. Called with the page and whether it is a store; returns `{ ok }`, not ok when the fault is cancelled. Domain table, part
 * 2, 1d, 1e; rows N1 to N4, N6, D1, D7.
 */
export const nouveauRangeFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (row D1): without a subscription nobody tells that what was looked up is gone. */
    subscribes: () => true,
    /** Safeguard (row N1): while an invalidation is under way the pte is as it was, and soon will not be. */
    mustWait: ({ event }) => received(event, 'mn.read').invalidating,
    /** Safeguard (row N4): who takes the lock of the subscriptions to end an invalidation still uses the subscription. */
    waitsUnderLock: () => true,
    /** Row D7: an invalidation may come between the check and the map. */
    checksBeforeMutex: () => false,
    /** Safeguard (rows D1, D7): what was looked up may be gone. */
    checksUnderMutex: () => true,
    mustRetry: ({ event }) => received(event, 'mn.checked').retry,
    mustWaitForRemoval: ({ event }) => received(event, 'mn.removed').wait,
    isReleased: ({ event }) => received(event, 'mn.seq').released,
    isReadable: ({ event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && area?.read !== false;
    },
    /** hmm_pte_need_fault: a pte without access is not valid. */
    isEnough: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && (!context.write || pte.write);
    },
    /** A page that is in the device's own memory is not faulted in, not even if it may not be stored to. */
    isOwnMemory: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devpriv' && context.devicePages.includes(pte.pfn);
    },
    isMigration: ({ event }) => received(event, 'pte').pte.kind === 'migration',
    mayFault: ({ context }) => !context.write || context.area?.write !== false,
    ok: ({ event }) => received(event, 'return').ok === true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, write } = received(event, 'call');
      return { caller: from, vpn, write: write ?? false };
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
    readSeq: tell(({ context }) => context.notifier, { type: 'mn.seq_released' }),
    readRetry: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.read_retry', sub: context.sub }),
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
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    noteArea: assign({ area: ({ event }) => received(event, 'vma').area ?? null }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePage: assign(({ event }) => {
      const { pte } = received(event, 'pte');
      return { pfn: pfnOf(pte), writable: (pte.kind === 'present' || pte.kind === 'devpriv') && pte.write };
    }),
    noteEntryPfn: assign({ pfn: ({ event }) => pfnOf(received(event, 'pte').pte) }),
    lockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'lock' }),
    unlockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'unlock' }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, ...(context.write ? { write: true } : {}) }),
    ),
    fail: assign({ failed: true }),
    lockMutex: tell(({ context }) => context.mutex, { type: 'lock' }),
    unlockMutex: tell(({ context }) => context.mutex, { type: 'unlock' }),
    map: tell(
      ({ context }) => context.mmu,
      ({ context: { vpn, pfn, writable } }) => ({ type: 'mmu.map', vpn, pfn, write: writable, atomic: false }),
    ),
    forgetPage: assign(found),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: !context.failed }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nouveau_range_fault',
  context: ({ input, self }) => ({ folioLocks: {}, devicePages: [], ...input, sub: self.id, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'subscribes', target: 'mmu_interval_notifier_insert', actions: 'remember' },
          { target: 'mmap_read_lock', actions: 'remember' },
        ],
      },
    },
    mmu_interval_notifier_insert: {
      description: 'Wants to be told of invalidations of this page, before everything',
      on: { step: { target: 'spin_to_insert', actions: 'insert' } },
    },
    spin_to_insert: { description: 'Spins while an invalidation ends', on: { 'mn.inserted': { target: 'mmu_interval_read_begin' } } },
    mmu_interval_read_begin: {
      description: 'Notes the sequence; waits if the page is being invalidated',
      on: { step: { target: 'spin_to_read', actions: 'readBegin' } },
    },
    spin_to_read: {
      description: 'Spins while an invalidation ends',
      on: { 'mn.read': [{ guard: 'mustWait', target: 'wait_event' }, { target: 'mmap_read_lock' }] },
    },
    wait_event: {
      description: 'Sleeps until no invalidation of the address space is under way',
      entry: 'wait',
      on: { 'mn.released': { target: 'mmap_read_lock' } },
    },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'hmm_vma_walk_test' } } },
    hmm_vma_walk_test: {
      description: 'No VMA, or one that may not be read: an error',
      entry: 'findVma',
      on: {
        vma: [
          { guard: 'isReadable', target: 'hmm_vma_handle_pte', actions: 'noteArea' },
          { target: 'mmap_read_unlock_cancelled', actions: 'fail' },
        ],
      },
    },
    hmm_vma_handle_pte: {
      description: 'Looks at the pte without a lock; takes no reference of the page',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isEnough', target: 'mmap_read_unlock', actions: 'notePage' },
          { guard: 'isOwnMemory', target: 'mmap_read_unlock', actions: 'notePage' },
          { guard: 'isMigration', target: 'migration_entry_wait', actions: 'noteEntryPfn' },
          { target: 'hmm_vma_fault' },
        ],
      },
    },
    migration_entry_wait: {
      description: 'Sleeps until the migration unlocks the page, then looks again',
      on: { step: { target: 'folio_wait_locked', actions: 'lockFolio' } },
    },
    folio_wait_locked: { description: 'Sleeps', on: { locked: { target: 'hmm_vma_handle_pte', actions: ['unlockFolio', 'forgetPage'] } } },
    hmm_vma_fault: {
      description: 'A store to an area that may not be written: an error',
      always: [
        { guard: 'mayFault', target: 'handle_mm_fault' },
        { target: 'mmap_read_unlock_cancelled', actions: 'fail' },
      ],
    },
    handle_mm_fault: {
      description: 'The page is not there, or may not be stored to: a fault on behalf of the device; then looks again',
      entry: 'callFault',
      on: {
        return: [
          { guard: 'ok', target: 'hmm_vma_handle_pte' },
          { target: 'mmap_read_unlock_cancelled', actions: 'fail' },
        ],
      },
    },
    mmap_read_unlock: { description: 'Drops mmap_lock: from here the page is only presumed', on: { step: { target: 'looked_up', actions: 'unlockMm' } } },
    looked_up: {
      description: 'What was looked up is to be mapped',
      always: [{ guard: 'checksBeforeMutex', target: 'mmu_interval_check_retry' }, { target: 'mutex_lock' }],
    },
    mmap_read_unlock_cancelled: {
      tags: ['served'],
      description: 'The fault cannot be served, and is cancelled: drops mmap_lock',
      on: { step: { target: 'out', actions: 'unlockMm' } },
    },
    mmu_interval_check_retry: {
      description: 'Row D7: checks the sequence before it takes the mutex',
      on: {
        step: { actions: 'readRetry' },
        'mn.checked': [{ guard: 'mustRetry', target: 'mmu_interval_read_begin', actions: 'forgetPage' }, { target: 'mutex_lock' }],
      },
    },
    mutex_lock: { description: "The driver's mutex: the callback takes it too", on: { step: { target: 'wait_for_mutex', actions: 'lockMutex' } } },
    wait_for_mutex: { description: 'Sleeps while another has it', on: { locked: { target: 'mutex_locked' } } },
    mutex_locked: {
      description: 'Is what was looked up still so?',
      always: [{ guard: 'checksUnderMutex', target: 'mmu_interval_read_retry' }, { target: 'map' }],
    },
    mmu_interval_read_retry: {
      description: 'Has the page been invalidated since the sequence was noted?',
      entry: 'readRetry',
      on: { 'mn.checked': [{ guard: 'mustRetry', target: 'mutex_unlock_again' }, { target: 'map' }] },
    },
    mutex_unlock_again: {
      description: 'It has: from the beginning',
      on: { step: { target: 'mmu_interval_read_begin', actions: ['unlockMutex', 'forgetPage'] } },
    },
    map: { description: "Writes the device's pte (nvif_object_ioctl)", on: { step: { target: 'mutex_unlock', actions: 'map' } } },
    mutex_unlock: { tags: ['served'], description: 'Mapped: drops the mutex', on: { step: { target: 'out', actions: 'unlockMutex' } } },
    out: {
      description: 'The subscription is not needed any more',
      always: [
        { guard: 'subscribes', target: 'mmu_interval_notifier_remove' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    mmu_interval_notifier_remove: {
      description: 'During an invalidation it is taken out only at its end',
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
      description: 'How it waits for the end of the invalidation',
      always: [{ guard: 'waitsUnderLock', target: 'wait_for_removal' }, { target: 'read_seq' }],
    },
    wait_for_removal: {
      description: 'Sleeps until who ends the invalidation has dropped the lock of the subscriptions',
      entry: 'wait',
      on: { 'mn.released': { target: 'idle', actions: ['free', 'return', 'forget'] } },
    },
    read_seq: {
      description: 'Row N4: looks at the sequence without the lock, until it is another',
      on: { step: { actions: 'readSeq' }, 'mn.seq': [{ guard: 'isReleased', target: 'idle', actions: ['free', 'return', 'forget'] }, {}] },
    },
  },
});
