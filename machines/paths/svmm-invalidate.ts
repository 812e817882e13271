import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { NotifierCall } from './mmu-notifier-invalidate.js';

interface Input {
  /** What the driver signs its own invalidations with. */
  cookie: string;
  /** The driver's mutex. */
  mutex: Address;
  /** The device's page table. */
  mmu: Address;
}

interface Context extends Input {
  caller: Address;
  vpns: number[];
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<NotifierCall>
  | Return
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'mmu.unmapped' }>;

const { tell, reply } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[], ok: true };

/**
 * The callback of a driver's list notifier, one for the whole process (nouveau_svmm_invalidate_range_start,
 * drivers/gpu/drm/nouveau/nouveau_svm.c, 6.12): under the driver's mutex it drops the device's mappings. It is called after the
 * interval callbacks, which have changed the sequence number. It has no end callback. Domain table, part 2, 1d.
 */
export const svmmInvalidate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /**
     * A migration that the driver makes drops the device's mappings itself (nouveau looks at this under the mutex). Its own EXCLUSIVE
     * is not filtered: the plain mapping that the device may have is dropped before the page is its alone.
     */
    isOwn: ({ context, event }) => {
      const { event: kind, owner } = received(event, 'call');
      return kind === 'MIGRATE' && owner === context.cookie;
    },
    /** Row D15: ignores PROTECTION_VMA; row D14: ignores PROTECTION_PAGE. */
    ignores: () => false,
    /** nouveau does not try: to who may not sleep it always says no. */
    refusesNonblocking: () => false,
    mayNotSleep: ({ event }) => !received(event, 'call').blockable,
    /** Safeguard (row D8): who holds the mutex has found nothing changed, and has not mapped yet. */
    takesMutex: () => true,
    isLocked: ({ event }) => received(event, 'trylock.result').result === 'locked',
    /** Safeguard (row D10): who has not dropped the mappings says so. */
    admitsFailure: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, vpns };
    }),
    passOver: reply({ type: 'return', ok: true }),
    refuse: reply({ type: 'return', ok: false }),
    lock: tell(({ context }) => context.mutex, { type: 'lock' }),
    trylock: tell(({ context }) => context.mutex, { type: 'trylock' }),
    unlock: tell(({ context }) => context.mutex, { type: 'unlock' }),
    unmap: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.unmap', vpns: context.vpns }),
    ),
    fail: assign({ ok: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nouveau_svmm_invalidate_range_start',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isOwn', actions: 'passOver', description: 'its own migration' },
          { guard: 'ignores', actions: 'passOver' },
          { guard: 'refusesNonblocking', actions: 'refuse' },
          { guard: 'mayNotSleep', target: 'mutex_trylock', actions: 'remember' },
          { guard: 'takesMutex', target: 'mutex_lock', actions: 'remember' },
          { target: 'invalidate_unlocked', actions: 'remember' },
        ],
      },
    },
    mutex_lock: { description: "Takes the driver's mutex", on: { step: { target: 'wait_for_mutex', actions: 'lock' } } },
    wait_for_mutex: { description: 'Sleeps while a fault of the device is being served', on: { locked: { target: 'nouveau_svmm_invalidate' } } },
    mutex_trylock: {
      description: 'May not sleep: takes the mutex if it is free',
      on: {
        step: { actions: 'trylock' },
        'trylock.result': [
          { guard: 'isLocked', target: 'nouveau_svmm_invalidate' },
          { guard: 'admitsFailure', target: 'idle', actions: ['fail', 'return', 'forget'] },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    nouveau_svmm_invalidate: { description: "Drops the device's mappings", on: { step: { target: 'wait_for_device', actions: 'unmap' } } },
    wait_for_device: { description: 'Until the device uses none of them any more', on: { 'mmu.unmapped': { target: 'mutex_unlock' } } },
    invalidate_unlocked: {
      description: 'Row D8: drops mappings while somebody may be about to make one',
      on: { step: { target: 'wait_unlocked', actions: 'unmap' } },
    },
    wait_unlocked: {
      description: 'Row D8: until the device uses none of them any more',
      on: { 'mmu.unmapped': { target: 'idle', actions: ['return', 'forget'] } },
    },
    mutex_unlock: { description: 'Drops the mutex and returns', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
