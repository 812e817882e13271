import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** A struct mmu_interval_notifier: who wants to hear of changes to a range. */
export interface Subscription {
  sub: Address;
  /** Whose callback is called. */
  driver: Address;
  vpns: number[];
  /** While the tree may not change, inserts and removes are put off; who is to be removed is still in the tree. */
  where: 'tree' | 'deferred_insert' | 'deferred_remove';
  /** Its sequence number is the current one. */
  current: boolean;
  /** Who has read its sequence number since it last changed, sorted. */
  readers: Address[];
  /** Who waits, or will, until it is out of the tree. */
  remover: Address | null;
  /** Its driver has freed it. */
  freed: boolean;
}

interface Context {
  /** active_invalidate_ranges: invalidations under way, of whatever range. */
  active: number;
  /** invalidate_seq is odd: some monitored range is being invalidated, and the tree may not change. */
  odd: boolean;
  /** In the order of insertion. */
  subs: Subscription[];
  /** Who sleeps in the wait queue. */
  waiters: Address[];
  /** Who spins on subscriptions->lock, with what it wants. */
  spinning: Event[];
}

type Event = Signed<
  | { type: 'mn.insert'; sub: Address; driver: Address; vpns: number[] }
  | { type: 'mn.remove'; sub: Address }
  | { type: 'mn.free'; sub: Address }
  | { type: 'mn.read_begin'; sub: Address }
  | { type: 'mn.read_retry'; sub: Address }
  | { type: 'mn.read_forget'; sub: Address }
  | { type: 'mn.wait' }
  | { type: 'mn.seq_released' }
  | { type: 'mn.invalidate_start'; vpns: number[] }
  | { type: 'mn.set_seq'; sub: Address }
  | { type: 'mn.invalidate_end' }
  | { type: 'mn.inv_end_unlock' }
>;

const { tell, reply } = speaker<Context, Event>();

const named = (event: Event): Address => (event as { sub: Address }).sub;
const found = ({ subs }: Context, event: Event): Subscription | undefined => subs.find(({ sub }) => sub === named(event));
const change = ({ subs }: Context, event: Event, how: (sub: Subscription) => Partial<Subscription>): Subscription[] =>
  subs.map((sub) => (sub.sub === named(event) ? { ...sub, ...how(sub) } : sub));
const without = (addresses: Address[], address: Address): Address[] => addresses.filter((other) => other !== address);
const overlapping = ({ subs }: Context, vpns: number[]): Subscription[] =>
  subs.filter((sub) => sub.where !== 'deferred_insert' && sub.vpns.some((vpn) => vpns.includes(vpn)));

const inserted = (event: Event, where: Subscription['where'], current: boolean): Subscription => {
  const { sub, driver, vpns } = received(event, 'mn.insert');
  return { sub, driver, vpns, where, current, readers: [], remover: null, freed: false };
};

/**
 * The interval notifiers of one address space (struct mmu_notifier_subscriptions, mm/mmu_notifier.c; 6.12). Of sequence numbers
 * it keeps what is asked of them: whether a subscription's is the current one, and whether it is still the one that somebody
 * has read. subscriptions->lock is held for one message at a time, but for the end of the last invalidation, where it is
 * held between the step that makes the sequence number even and the one that applies what was deferred. Domain table, part 2, 1d.
 */
export const mmuNotifier = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: {
    isInvalidating: ({ context }) => context.odd,
    /** Safeguard (row N3): a range that nobody monitors may be the very one that is monitored now. */
    mayBeAffected: ({ context }) => context.active > 0,
    /** Removed before its insert was applied. */
    isDeferredInsert: ({ context, event }) => found(context, event)?.where === 'deferred_insert',
    /** A reader sleeps until the sequence number that it read is not the current one, a remover until its subscription is out. */
    mustWait: ({ context, event }) => context.subs.some(({ current, readers, remover }) => (current && readers.includes(event.from)) || remover === event.from),
    /** Who removes asks under the lock, which the end still holds, whether the sequence number has changed (319561669a59, row N4). */
    mustSpin: ({ context, event }) => context.subs.some(({ remover }) => remover === event.from),
    walksOverFreed: ({ context }) => context.subs.some(({ freed, where }) => freed && where !== 'deferred_insert'),
    appliesFreed: ({ context }) => context.subs.some(({ freed, where }) => freed && where !== 'tree'),
    monitors: ({ context, event }) => overlapping(context, received(event, 'mn.invalidate_start').vpns).length > 0,
    endsAll: ({ context }) => context.active === 1 && context.odd,
    isOver: ({ context }) => context.active === 0,
  },
  actions: {
    insert: assign({ subs: ({ context, event }) => [...context.subs, inserted(event, 'tree', false)] }),
    insertInvalidating: assign({ odd: true, subs: ({ context, event }) => [...context.subs, inserted(event, 'tree', true)] }),
    deferInsert: assign({ subs: ({ context, event }) => [...context.subs, inserted(event, 'deferred_insert', true)] }),
    replyInserted: reply({ type: 'mn.inserted' }),
    remove: assign({ subs: ({ context, event }) => context.subs.filter(({ sub }) => sub !== named(event)) }),
    deferRemove: assign({ subs: ({ context, event }) => change(context, event, () => ({ where: 'deferred_remove', remover: event.from })) }),
    replyRemoved: reply({ type: 'mn.removed', wait: false }),
    replyWait: reply({ type: 'mn.removed', wait: true }),
    markFreed: assign({ subs: ({ context, event }) => change(context, event, () => ({ freed: true })) }),
    beginRead: assign({
      subs: ({ context, event }) => change(context, event, ({ readers }) => ({ readers: [...without(readers, event.from), event.from].sort() })),
    }),
    replyRead: reply(({ context, event }) => ({ type: 'mn.read', invalidating: found(context, event)?.current ?? false })),
    replyChecked: reply(({ context, event }) => ({ type: 'mn.checked', retry: found(context, event)?.readers.includes(event.from) !== true })),
    forgetReader: assign({ subs: ({ context, event }) => change(context, event, ({ readers }) => ({ readers: without(readers, event.from) })) }),
    sleep: assign({ waiters: ({ context, event }) => [...context.waiters, event.from].sort() }),
    replyReleased: reply({ type: 'mn.released' }),
    replySeq: reply(({ context, event }) => ({ type: 'mn.seq', released: !context.odd || !context.subs.some(({ remover }) => remover === event.from) })),
    start: assign({ active: ({ context }) => context.active + 1 }),
    makeOdd: assign({ odd: true }),
    replyInvalidating: reply(({ context, event }) => ({
      type: 'mn.invalidating',
      subs: overlapping(context, received(event, 'mn.invalidate_start').vpns).map(({ sub, driver }) => ({ sub, driver })),
    })),
    setSeq: assign({ subs: ({ context, event }) => change(context, event, ({ current }) => (current ? {} : { current: true, readers: [] })) }),
    end: assign({ active: ({ context }) => context.active - 1 }),
    replyEnded: reply({ type: 'mn.ended', released: false }),
    makeEven: assign({ odd: false, subs: ({ context }) => context.subs.map((sub) => ({ ...sub, current: false })) }),
    replyLast: reply({ type: 'mn.ended', released: true }),
    /** Who spins asks once: its steps change nothing until it is answered. */
    spin: assign({
      spinning: ({ context, event }) => (context.spinning.some(({ from }) => from === event.from) ? context.spinning : [...context.spinning, event]),
    }),
    applyDeferred: assign({
      subs: ({ context }) => context.subs.filter(({ where }) => where !== 'deferred_remove').map((sub) => ({ ...sub, where: 'tree' as const })),
    }),
    replyUnlocked: reply({ type: 'mn.unlocked' }),
    wakeAll: enqueueActions(({ enqueue, context }) => {
      for (const waiter of context.waiters) enqueue(tell(waiter, { type: 'mn.released' }));
      enqueue.assign({ waiters: [] });
    }),
    serveNext: enqueueActions(({ enqueue, context }) => {
      for (const event of context.spinning) enqueue.raise(event);
      enqueue.assign({ spinning: [] });
    }),
  },
}).createMachine({
  id: 'mmu_notifier',
  context: { active: 0, odd: false, subs: [], waiters: [], spinning: [] },
  initial: 'unlocked',
  on: {
    'mn.read_retry': { actions: ['replyChecked', 'forgetReader'], description: "Under the driver's mutex, not under this lock" },
    'mn.read_forget': { actions: 'forgetReader', description: 'The read section is over' },
    'mn.set_seq': { actions: 'setSeq', description: 'mmu_interval_set_seq, from a callback' },
    'mn.seq_released': { actions: 'replySeq', description: 'Row N4: has invalidate_seq changed since the remove? Looks without the lock' },
    'mn.free': { actions: 'markFreed', description: 'The driver frees a subscription; if it has been taken out, nothing refers to it' },
  },
  states: {
    unlocked: {
      description: 'subscriptions->lock is free, or held for the one message that is being handled',
      on: {
        'mn.insert': [
          { guard: 'isInvalidating', actions: ['deferInsert', 'replyInserted'], description: 'the tree may not change' },
          { guard: 'mayBeAffected', actions: ['insertInvalidating', 'replyInserted'] },
          { actions: ['insert', 'replyInserted'] },
        ],
        'mn.remove': [
          { guard: 'isDeferredInsert', actions: ['remove', 'replyRemoved'] },
          { guard: 'isInvalidating', actions: ['deferRemove', 'replyWait'], description: 'the tree may not change' },
          { actions: ['remove', 'replyRemoved'] },
        ],
        'mn.read_begin': { actions: ['beginRead', 'replyRead'] },
        'mn.wait': [{ guard: 'mustWait', actions: 'sleep' }, { actions: 'replyReleased' }],
        'mn.invalidate_start': [
          { guard: 'walksOverFreed', target: 'used_after_free', actions: ['start', 'replyInvalidating'] },
          { guard: 'monitors', actions: ['start', 'makeOdd', 'replyInvalidating'] },
          { actions: ['start', 'replyInvalidating'] },
        ],
        'mn.invalidate_end': [
          { guard: 'isOver', target: 'bad_end' },
          { guard: 'endsAll', target: 'mn_itree_inv_end', actions: ['end', 'makeEven', 'replyLast'] },
          { actions: ['end', 'replyEnded'] },
        ],
      },
    },
    mn_itree_inv_end: {
      description: 'The last invalidation has ended: the sequence number is even, the lock still held, and the deferred list not yet looked at',
      on: {
        'mn.insert': { actions: 'spin' },
        'mn.remove': { actions: 'spin' },
        'mn.read_begin': { actions: 'spin' },
        'mn.invalidate_start': { actions: 'spin' },
        'mn.wait': [
          { guard: 'mustSpin', actions: 'spin', description: 'mmu_interval_seq_released' },
          { actions: 'replyReleased', description: 'mmu_interval_read_begin looks without the lock' },
        ],
        'mn.inv_end_unlock': [
          { guard: 'appliesFreed', target: 'used_after_free', actions: ['replyUnlocked', 'wakeAll'] },
          { target: 'unlocked', actions: ['applyDeferred', 'replyUnlocked', 'wakeAll', 'serveNext'] },
        ],
      },
    },
    used_after_free: { tags: ['BUG', 'UAF'], description: 'BUG: use after free of a subscription' },
    bad_end: { tags: ['BUG'], description: 'BUG: an invalidation ends that has not begun' },
  },
});
