import { sleepingLock as shape } from './folio-lock.js';

/**
 * A mutex (kernel/locking/mutex.c), such as the one a driver guards its device's page table with. Asked like a folio lock:
 * `lock` is answered by `locked`, `trylock` by `trylock.result` at once. Domain table, part 2, 0.1.
 */
export const mutex = shape.createMachine({
  id: 'mutex',
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
    bad_unlock: { tags: ['BUG'], description: 'BUG: mutex unlocked by a path that has not locked it' },
  },
});
