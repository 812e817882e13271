import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

export interface LockContext {
  owner: Address | null;
  /** In the order of arrival. */
  waiters: Address[];
}

export type LockEvent = Signed<{ type: 'lock' } | { type: 'trylock' } | { type: 'unlock'; owner?: Address }>;

const { tell, reply } = speaker<LockContext, LockEvent>();

/** A sleeping lock with one owner; of a mutex too. */
const shape = setup({
  types: { context: {} as LockContext, events: {} as LockEvent },
  guards: {
    contended: ({ context }) => context.waiters.length > 0,
    isForeign: ({ context, event }) => context.owner !== (event.type === 'unlock' && event.owner !== undefined ? event.owner : event.from),
  },
  actions: {
    own: assign({ owner: ({ event }) => event.from }),
    queue: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    grant: reply({ type: 'locked' }),
    succeed: reply({ type: 'trylock.result', result: 'locked' }),
    fail: reply({ type: 'trylock.result', result: 'busy' }),
    handOver: assign({ owner: ({ context }) => context.waiters[0] ?? null, waiters: ({ context }) => context.waiters.slice(1) }),
    grantNext: tell(({ context }) => context.owner as Address, { type: 'locked' }),
    release: assign({ owner: null }),
  },
});

export { shape as sleepingLock };

/**
 * PG_locked of one folio (mm/filemap.c): a sleeping lock. `lock` is answered by `locked`, at once or when it is handed
 * over; `trylock` by `trylock.result` at once. A path that returns a folio locked leaves the unlock to its caller, who
 * then names the `owner`. Domain table, part 2, 0.1.
 */
export const folioLock = shape.createMachine({
  id: 'folio_lock',
  context: { owner: null, waiters: [] },
  initial: 'unlocked',
  states: {
    unlocked: {
      description: 'Nobody has it',
      on: {
        lock: { target: 'locked', actions: ['own', 'grant'] },
        trylock: { target: 'locked', actions: ['own', 'succeed'] },
        unlock: { target: 'bad_unlock' },
      },
    },
    locked: {
      description: 'Held; who else asks sleeps, or goes without',
      on: {
        lock: { actions: 'queue' },
        trylock: { actions: 'fail' },
        unlock: [
          { guard: 'isForeign', target: 'bad_unlock' },
          { guard: 'contended', actions: ['handOver', 'grantNext'] },
          { target: 'unlocked', actions: 'release' },
        ],
      },
    },
    bad_unlock: { tags: ['BUG'], description: 'BUG: folio unlocked by a path that has not locked it' },
  },
});
