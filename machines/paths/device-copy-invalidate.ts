import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { DeviceCopy } from '../devices/device-copies.js';
import type { NotifierCall } from './mmu-notifier-invalidate.js';

interface Input {
  /** The driver's mutex. */
  mutex: Address;
  /** The device's page table. */
  mmu: Address;
  /** What the driver keeps of its copies. */
  copies: Address;
  /** put_page of this task for pages of the device. */
  putDevicePage: Address;
  /** For row W13; default: none. */
  folioLocks?: Record<string, Address>;
}

interface Context extends Required<Input> {
  caller: Address;
  vpns: number[];
  blockable: boolean;
  /** Row W13: pages whose folio is still to be locked, and those that are. */
  toLock: number[];
  folios: number[];
  /** Copies that the device does not use any more. */
  dropped: DeviceCopy[];
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<NotifierCall>
  | Return
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'mmu.unmapped' }>
  | Signed<{ type: 'copies.listed'; copies: DeviceCopy[] }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[], blockable: true, toLock: [] as number[], folios: [] as number[], dropped: [] as DeviceCopy[], ok: true };

/**
 * The callback of a driver whose device has read-only copies of pages of a process, or stores to pages that CPUs only read (a proposal:
 * Glisse, 2018 and 2020), one for the whole process: under the driver's mutex it drops the device's mappings, and the copies are free when
 * no access uses them. What the sequence number says, the driver's interval callback has changed before. It has no end callback. Called
 * by mmu_notifier_invalidate_range. Domain table, part 2, 1d, 1f; rows W12, W13.
 */
export const deviceCopyInvalidate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Row W13: it locks the folio of a page that it has a copy of, which who breaks the protection may have locked. */
    needsFolioLock: () => false,
    mayNotSleep: ({ context }) => !context.blockable,
    allLocked: ({ context }) => context.toLock.length === 0,
    isLocked: ({ event }) => received(event, 'trylock.result').result === 'locked',
    hasDropped: ({ context }) => context.dropped.length > 0,
    hasFolios: ({ context }) => context.folios.length > 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns, blockable } = received(event, 'call');
      return { caller: from, vpns, blockable };
    }),
    readCopies: tell(
      ({ context }) => context.copies,
      ({ context }) => ({ type: 'copies.read', vpns: context.vpns }),
    ),
    listFolios: assign({ toLock: ({ event }) => [...new Set(received(event, 'copies.listed').copies.map(({ pfn }) => pfn))] }),
    lockFolio: tell(({ context }) => context.folioLocks[context.toLock[0] as number] as Address, { type: 'lock' }),
    trylockFolio: tell(({ context }) => context.folioLocks[context.toLock[0] as number] as Address, { type: 'trylock' }),
    noteFolio: assign(({ context }) => ({ toLock: context.toLock.slice(1), folios: [...context.folios, context.toLock[0] as number] })),
    unlockFolios: enqueueActions(({ enqueue, context }) => {
      for (const pfn of context.folios) enqueue(tell(context.folioLocks[pfn] as Address, { type: 'unlock' }));
    }),
    lock: tell(({ context }) => context.mutex, { type: 'lock' }),
    trylock: tell(({ context }) => context.mutex, { type: 'trylock' }),
    unlock: tell(({ context }) => context.mutex, { type: 'unlock' }),
    unmap: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.unmap', vpns: context.vpns }),
    ),
    takeCopies: tell(
      ({ context }) => context.copies,
      ({ context }) => ({ type: 'copies.take', vpns: context.vpns }),
    ),
    noteDropped: assign({ dropped: ({ event }) => received(event, 'copies.listed').copies }),
    callPut: tell(
      ({ context }) => context.putDevicePage,
      ({ context }) => ({ type: 'call', pfn: context.dropped[0]?.copy, pinned: false }),
    ),
    nextDropped: assign({ dropped: ({ context }) => context.dropped.slice(1) }),
    fail: assign({ ok: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'device_copy_invalidate',
  context: ({ input }) => ({ folioLocks: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'needsFolioLock', target: 'find_device_copies', actions: 'remember' },
          { target: 'lock', actions: 'remember' },
        ],
      },
    },
    find_device_copies: {
      description: 'Row W13: which pages has the device copies of?',
      on: { step: { actions: 'readCopies' }, 'copies.listed': { target: 'next_folio', actions: 'listFolios' } },
    },
    next_folio: {
      description: 'Row W13: folio by folio',
      always: [{ guard: 'allLocked', target: 'lock' }, { guard: 'mayNotSleep', target: 'folio_trylock' }, { target: 'folio_lock' }],
    },
    folio_lock: { description: 'Row W13: locks it', on: { step: { target: 'wait_for_folio_lock', actions: 'lockFolio' } } },
    wait_for_folio_lock: { description: 'Row W13: sleeps while another has it', on: { locked: { target: 'next_folio', actions: 'noteFolio' } } },
    folio_trylock: {
      description: 'Row W13: may not sleep: locks it if nobody has it',
      on: {
        step: { actions: 'trylockFolio' },
        'trylock.result': [
          { guard: 'isLocked', target: 'next_folio', actions: 'noteFolio' },
          { target: 'done', actions: 'fail' },
        ],
      },
    },
    lock: { description: "The driver's mutex", always: [{ guard: 'mayNotSleep', target: 'mutex_trylock' }, { target: 'mutex_lock' }] },
    mutex_lock: { description: 'Takes it', on: { step: { target: 'wait_for_mutex', actions: 'lock' } } },
    wait_for_mutex: { description: 'Sleeps while a fault of the device is being served', on: { locked: { target: 'unmap_range' } } },
    mutex_trylock: {
      description: 'May not sleep: takes the mutex if it is free',
      on: {
        step: { actions: 'trylock' },
        'trylock.result': [
          { guard: 'isLocked', target: 'unmap_range' },
          { target: 'done', actions: 'fail' },
        ],
      },
    },
    unmap_range: { description: "Drops the device's mappings", on: { step: { target: 'wait_for_device', actions: 'unmap' } } },
    wait_for_device: { description: 'Until the device uses none of them any more', on: { 'mmu.unmapped': { target: 'take_copies' } } },
    take_copies: {
      description: 'Which of them were copies?',
      entry: 'takeCopies',
      on: { 'copies.listed': { target: 'mutex_unlock', actions: 'noteDropped' } },
    },
    mutex_unlock: { description: 'Drops the mutex', on: { step: { target: 'next_copy', actions: 'unlock' } } },
    next_copy: { description: 'Copy by copy', always: [{ guard: 'hasDropped', target: 'put_device_page' }, { target: 'done' }] },
    put_device_page: {
      description: 'The page of the device is free again',
      entry: 'callPut',
      on: { return: { target: 'next_copy', actions: 'nextDropped' } },
    },
    done: {
      description: 'Returns; row W13: drops the folio locks first',
      always: [
        { guard: 'hasFolios', target: 'folio_unlock' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    folio_unlock: { description: 'Row W13: drops the folio locks', on: { step: { target: 'idle', actions: ['unlockFolios', 'return', 'forget'] } } },
  },
});
