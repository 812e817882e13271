import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

/** Why a range is invalidated (enum mmu_notifier_event). Domain table, part 2, 1d. */
export type NotifierEvent = 'UNMAP' | 'CLEAR' | 'PROTECTION_VMA' | 'PROTECTION_PAGE' | 'SOFT_DIRTY' | 'RELEASE' | 'MIGRATE' | 'EXCLUSIVE';

/** struct mmu_notifier_range. `owner`: the cookie of who invalidates, so that its own driver can tell. */
export interface NotifierRange {
  event: NotifierEvent;
  owner: string | null;
  vpns: number[];
}

/** What a callback is called with. Not `blockable`: it may not sleep, and says so if it would have to. */
export type NotifierCall = NotifierRange & { phase: 'start' | 'end'; sub: Address | null; blockable: boolean };

/** A struct mmu_notifier of the list: this task's paths for its two callbacks; `end` null: it has none. */
export interface Listener {
  start: Address;
  end: Address | null;
}

interface Input {
  /** The address space's interval notifiers. */
  notifier: Address;
  /** By driver: this task's path for the callback of its interval notifiers. */
  intervals: Record<string, Address>;
  /** In the order of the list. */
  listeners: Listener[];
}

interface Context extends Input {
  caller: Address;
  phase: 'start' | 'end';
  range: NotifierRange;
  blockable: boolean;
  /** The tree has been asked. */
  entered: boolean;
  /** Subscriptions whose callback is still to be called. */
  subs: { sub: Address; driver: string }[];
  /** Listeners still to be called, by place in the list. */
  listener: number;
  /** A callback would have had to sleep. */
  failed: boolean;
}

type Event =
  | { type: 'step' }
  | Call<NotifierRange & { phase: 'start' | 'end'; blockable?: boolean }>
  | Return<{ ok: boolean }>
  | Signed<{ type: 'mn.invalidating'; subs: Context['subs'] } | { type: 'mn.ended'; released: boolean } | { type: 'mn.unlocked' }>;

const { tell } = speaker<Context, Event>();
const idle = {
  caller: '',
  phase: 'start' as const,
  range: { event: 'UNMAP' as const, owner: null, vpns: [] },
  blockable: true,
  entered: false,
  subs: [],
  listener: 0,
  failed: false,
};
const listenerOf = ({ listeners, listener }: Context): Listener => listeners[listener] as Listener;
const callOf = ({ phase, range, blockable }: Context, sub: Address | null): { type: 'call' } & NotifierCall => ({
  type: 'call',
  phase,
  sub,
  ...range,
  blockable,
});

/**
 * mmu_notifier_invalidate_range_start and _end (mm/mmu_notifier.c, 6.12): tells who mirrors an address space that a range changes.
 * Between the two, ptes may be changed. Start returns `ok: false` only to a caller that may not sleep (mmu_notifier_invalidate_range_start_nonblock);
 * that caller must not call end. The address space has, or had, interval notifiers (has_itree). Domain table, part 2, 1d.
 */
export const mmuNotifierInvalidate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isEnd: ({ event }) => received(event, 'call').phase === 'end',
    /** Safeguard (row D9): a driver may count on it that its sequence number has changed when its list notifier drops mappings. */
    intervalsFirst: () => true,
    hasSub: ({ context }) => context.subs.length > 0,
    hasListener: ({ context }) => context.listener < context.listeners.length,
    hasNoEnd: ({ context }) => context.listener < context.listeners.length && listenerOf(context).end === null,
    ok: ({ event }) => received(event, 'return').ok,
    maySleep: ({ context }) => context.blockable,
    hasFailed: ({ context }) => context.failed,
    /** Safeguard (row N5): listeners whose start has succeeded expect their end. */
    endsListeners: ({ context }) => context.failed,
    /** Safeguard: the tree has counted this invalidation. Where a listener refuses, 6.12 does not give it its end (scenario N5.tree). */
    endsIntervals: ({ context }) => context.entered,
    entersLate: ({ context }) => !context.entered,
    released: ({ event }) => received(event, 'mn.ended').released,
    isStart: ({ context }) => context.phase === 'start',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, phase, event: kind, owner, vpns, blockable } = received(event, 'call');
      return { caller: from, phase, range: { event: kind, owner, vpns }, blockable: blockable ?? true };
    }),
    startIntervals: tell(
      ({ context }) => context.notifier,
      ({ context }) => ({ type: 'mn.invalidate_start', vpns: context.range.vpns }),
    ),
    noteSubs: assign({ entered: true, subs: ({ event }) => received(event, 'mn.invalidating').subs }),
    callInterval: tell(
      ({ context }) => context.intervals[context.subs[0]?.driver ?? ''] as Address,
      ({ context }) => callOf(context, context.subs[0]?.sub ?? null),
    ),
    nextSub: assign({ subs: ({ context }) => context.subs.slice(1) }),
    callStart: tell(
      ({ context }) => listenerOf(context).start,
      ({ context }) => callOf(context, null),
    ),
    callEnd: tell(
      ({ context }) => listenerOf(context).end as Address,
      ({ context }) => ({ ...callOf(context, null), phase: 'end' }),
    ),
    nextListener: assign({ listener: ({ context }) => context.listener + 1 }),
    firstListener: assign({ listener: 0 }),
    noteFailure: assign({ failed: true }),
    endIntervals: tell(({ context }) => context.notifier, { type: 'mn.invalidate_end' }),
    unlock: tell(({ context }) => context.notifier, { type: 'mn.inv_end_unlock' }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: !context.failed }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'mmu_notifier_invalidate_range',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isEnd', target: 'mn_itree_inv_end', actions: 'remember' },
          { guard: 'intervalsFirst', target: 'mn_itree_inv_start_range', actions: 'remember' },
          { target: 'next_listener', actions: 'remember' },
        ],
      },
    },
    mn_itree_inv_start_range: {
      description: 'One more invalidation; a subscription that overlaps makes the sequence number odd',
      on: { step: { actions: 'startIntervals' }, 'mn.invalidating': { target: 'mn_itree_invalidate', actions: 'noteSubs' } },
    },
    mn_itree_invalidate: {
      description: 'Goes on with the next subscription that overlaps, then with the list',
      always: [{ guard: 'hasSub', target: 'invalidate' }, { target: 'next_listener' }],
    },
    invalidate: {
      description: 'The callback of one subscription',
      entry: 'callInterval',
      on: {
        return: [
          { guard: 'ok', target: 'mn_itree_invalidate', actions: 'nextSub' },
          { guard: 'maySleep', target: 'failed_blockable' },
          { target: 'mn_itree_inv_end', actions: 'noteFailure', description: 'out_would_block' },
        ],
      },
    },
    next_listener: {
      description: 'mn_hlist_invalidate_range_start: all listeners are called, even after one has failed',
      always: [
        { guard: 'hasListener', target: 'invalidate_range_start' },
        { guard: 'endsListeners', target: 'next_end', actions: 'firstListener' },
        { guard: 'hasFailed', target: 'would_block' },
        { guard: 'entersLate', target: 'mn_itree_inv_start_range' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    invalidate_range_start: {
      description: 'The start callback of one listener',
      entry: 'callStart',
      on: {
        return: [
          { guard: 'ok', target: 'next_listener', actions: 'nextListener' },
          { guard: 'maySleep', target: 'failed_blockable' },
          { target: 'next_listener', actions: ['noteFailure', 'nextListener'] },
        ],
      },
    },
    mn_itree_inv_end: {
      description: 'One invalidation less; the last one makes the sequence number even and keeps the lock',
      on: {
        step: { actions: 'endIntervals' },
        'mn.ended': [{ guard: 'released', target: 'spin_unlock' }, { target: 'mn_hlist_invalidate_end' }],
      },
    },
    spin_unlock: {
      description: 'Applies deferred inserts and removes, unlocks, and wakes who waits',
      on: { step: { actions: 'unlock' }, 'mn.unlocked': { target: 'mn_hlist_invalidate_end' } },
    },
    mn_hlist_invalidate_end: {
      description: 'After a start that has failed there is nothing else to end',
      always: [{ guard: 'isStart', target: 'idle', actions: ['return', 'forget'] }, { target: 'next_end' }],
    },
    next_end: {
      description: 'Goes on with the next listener that has an end callback',
      always: [
        { guard: 'hasNoEnd', target: 'next_end', actions: 'nextListener' },
        { guard: 'hasListener', target: 'invalidate_range_end' },
        { guard: 'hasFailed', target: 'would_block' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    invalidate_range_end: {
      description: 'The end callback of one listener',
      entry: 'callEnd',
      on: { return: { target: 'next_end', actions: 'nextListener' } },
    },
    would_block: {
      description: 'The caller gets -EAGAIN, and must not call end',
      always: [
        { guard: 'endsIntervals', target: 'mn_itree_inv_end' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    failed_blockable: { tags: ['BUG'], description: 'WARN_ON: a callback fails although it may sleep' },
  },
});
