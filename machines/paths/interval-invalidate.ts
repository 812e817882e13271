import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { NotifierCall, NotifierRange } from './mmu-notifier-invalidate.js';

interface Input {
  /** What the driver signs its own invalidations with. */
  cookie: string;
  /** The driver's mutex. */
  mutex: Address;
  notifier: Address;
  /** The device's page table, if it is this callback that drops mappings; null: the driver's list notifier does. */
  mmu: Address | null;
}

interface Context extends Input {
  caller: Address;
  sub: Address;
  range: NotifierRange;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<NotifierCall>
  | Return
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'mmu.unmapped' }>;

const { tell, reply } = speaker<Context, Event>();
const idle = { caller: '', sub: '', range: { event: 'UNMAP' as const, owner: null, vpns: [] }, ok: true };

/**
 * The callback of a driver's interval notifiers (nouveau_svm_range_invalidate, drivers/gpu/drm/nouveau/nouveau_svm.c, 6.12; with `mmu`,
 * that of a plain HMM mirror): under the driver's mutex it makes the subscription's sequence number the current one, so that
 * who has read an older one reads again. Runs in the context of the task that invalidates. Domain table, part 2, 1d.
 */
export const intervalInvalidate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /**
     * Safeguard (row D3): that the driver itself makes a page exclusive is no reason to read again. Its own MIGRATE is one: what was
     * read before may name the page that has gone.
     */
    isOwn: ({ context, event }) => {
      const { event: kind, owner } = received(event, 'call');
      return kind === 'EXCLUSIVE' && owner === context.cookie;
    },
    /** Row D15: ignores PROTECTION_VMA; row D14: ignores PROTECTION_PAGE. */
    ignores: () => false,
    mayNotSleep: ({ event }) => !received(event, 'call').blockable,
    /** Safeguard (row D8): who holds the mutex and has found nothing changed is done before the sequence number is. */
    takesMutex: () => true,
    isLocked: ({ event }) => received(event, 'trylock.result').result === 'locked',
    /** Safeguard (row D10): who has not set the sequence number says so. */
    admitsFailure: () => true,
    /** Safeguard (row N2). */
    storesSeq: () => true,
    unmaps: ({ context }) => context.mmu !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, sub, event: kind, owner, vpns } = received(event, 'call');
      return { caller: from, sub: sub ?? '', range: { event: kind, owner, vpns } };
    }),
    passOver: reply({ type: 'return', ok: true }),
    lock: tell(({ context }) => context.mutex, { type: 'lock' }),
    trylock: tell(({ context }) => context.mutex, { type: 'trylock' }),
    unlock: tell(({ context }) => context.mutex, { type: 'unlock' }),
    setSeq: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.set_seq', sub: context.sub }),
    ),
    unmap: tell(
      ({ context }) => context.mmu as Address,
      ({ context }) => ({ type: 'mmu.unmap', vpns: context.range.vpns }),
    ),
    fail: assign({ ok: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nouveau_svm_range_invalidate',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isOwn', actions: 'passOver', description: 'its own request for exclusive access' },
          { guard: 'ignores', actions: 'passOver' },
          { guard: 'mayNotSleep', target: 'mutex_trylock', actions: 'remember' },
          { guard: 'takesMutex', target: 'mutex_lock', actions: 'remember' },
          { target: 'set_seq_unlocked', actions: 'remember' },
        ],
      },
    },
    mutex_lock: { description: "Takes the driver's mutex", on: { step: { target: 'wait_for_mutex', actions: 'lock' } } },
    wait_for_mutex: { description: 'Sleeps while a fault of the device is being served', on: { locked: { target: 'mmu_interval_set_seq' } } },
    mutex_trylock: {
      description: 'May not sleep: takes the mutex if it is free',
      on: {
        step: { actions: 'trylock' },
        'trylock.result': [
          { guard: 'isLocked', target: 'mmu_interval_set_seq' },
          { guard: 'admitsFailure', target: 'idle', actions: ['fail', 'return', 'forget'] },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    mmu_interval_set_seq: {
      description: 'What was read before this is out of date',
      always: [{ guard: 'storesSeq', target: 'set_seq' }, { guard: 'unmaps', target: 'unmap_range' }, { target: 'mutex_unlock' }],
    },
    set_seq: {
      description: 'Stores the sequence number of this invalidation',
      on: {
        step: [
          { guard: 'unmaps', target: 'unmap_range', actions: 'setSeq' },
          { target: 'mutex_unlock', actions: 'setSeq' },
        ],
      },
    },
    unmap_range: { description: "Drops the device's mappings", on: { step: { target: 'wait_for_device', actions: 'unmap' } } },
    wait_for_device: { description: 'Until the device uses none of them any more', on: { 'mmu.unmapped': { target: 'mutex_unlock' } } },
    mutex_unlock: { description: 'Drops the mutex and returns', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
    set_seq_unlocked: {
      description: 'Row D8: stores the sequence number while somebody else may hold the mutex',
      on: {
        step: [
          { guard: 'unmaps', target: 'unmap_unlocked', actions: 'setSeq' },
          { target: 'idle', actions: ['setSeq', 'return', 'forget'] },
        ],
      },
    },
    unmap_unlocked: {
      description: 'Row D8: drops mappings, and somebody may put one there that it has just dropped',
      on: { step: { target: 'wait_unlocked', actions: 'unmap' } },
    },
    wait_unlocked: {
      description: 'Row D8: until the device uses none of them any more',
      on: { 'mmu.unmapped': { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
