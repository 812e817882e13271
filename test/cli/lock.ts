import { type SnapshotFrom, setup } from 'xstate';
import { invariant } from '../../src/property/property.js';
import type { Scenario } from '../../src/scenarios/scenario.js';
import { type Address, type Signed, speaker } from '../../src/system/message.js';
import { actor, defineSystem, type System } from '../../src/system/system.js';

/** A lock that two paths take: by one atomic exchange, or (broken) by a read and then a write. */
type LockEvent = Signed<{ type: 'read' | 'set' | 'exchange' | 'clear' }>;
const lockTalk = speaker<Record<string, never>, LockEvent>();
const lock = setup({
  types: { events: {} as LockEvent, context: {} as Record<string, never> },
  actions: { free: lockTalk.reply({ type: 'lock', held: false, word: 0 }), held: lockTalk.reply({ type: 'lock', held: true, word: 1 }) },
}).createMachine({
  id: 'lock',
  initial: 'free',
  context: {},
  states: {
    free: { on: { read: { actions: 'free' }, exchange: { target: 'held', actions: 'free' }, set: 'held', clear: 'bad_unlock' } },
    held: { on: { read: { actions: 'held' }, exchange: { actions: 'held' }, set: {}, clear: 'free' } },
    bad_unlock: { tags: ['BUG'], description: 'unlock of a lock that is not held' },
  },
});

type PathEvent = { type: 'step' } | Signed<{ type: 'lock'; held: boolean; word: number }>;
type PathContext = { lock: Address; taken: number };
const { tell } = speaker<PathContext, PathEvent>();
const pathSetup = setup({
  types: { events: {} as PathEvent, context: {} as PathContext, input: {} as { lock: Address } },
  guards: { free: ({ event }) => event.type === 'lock' && !event.held },
  actions: {
    read: tell(({ context }) => context.lock, { type: 'read' }),
    set: tell(({ context }) => context.lock, { type: 'set' }),
    exchange: tell(({ context }) => context.lock, { type: 'exchange' }),
    clear: tell(({ context }) => context.lock, { type: 'clear' }),
  },
});
const end = {
  critical: { on: { step: { target: 'done', actions: 'clear' } } },
  done: { tags: 'rest' },
} as const;
const careful = pathSetup.createMachine({
  id: 'careful',
  initial: 'xchg_lock',
  context: ({ input }) => ({ ...input, taken: 0 }),
  states: { xchg_lock: { on: { step: { actions: 'exchange' }, lock: { guard: 'free', target: 'critical' } } }, ...end },
});
const careless = pathSetup.createMachine({
  id: 'careless',
  initial: 'read_lock',
  context: ({ input }) => ({ ...input, taken: 0 }),
  states: {
    read_lock: { on: { step: { actions: 'read' }, lock: { guard: 'free', target: 'write_lock' } } },
    write_lock: { on: { step: { target: 'critical', actions: 'set' } } },
    ...end,
  },
});

/** Both paths with one way of locking. */
export function lockSystem(id: string, atomic: boolean): System {
  const path = atomic ? careful : careless;
  return defineSystem({
    id,
    actors: {
      lock: actor(lock),
      a: actor(path, { input: { lock: 'lock' }, lane: 'CPU 0 (a)' }),
      b: actor(path, { input: { lock: 'lock' }, lane: 'CPU 1 (b)' }),
    },
    properties: [
      invariant<{ a: SnapshotFrom<typeof careful>; b: SnapshotFrom<typeof careful> }>('mutex', 'one path at a time is in the critical section', {
        actors: ['a', 'b'],
        holds: ({ a, b }) => !(a.matches('critical') && b.matches('critical')),
      }),
    ],
  });
}

/** The scenario that the tests of the command line use. */
export const lockScenario: Scenario = {
  id: 'lock',
  title: 'a lock',
  question: 'Can both paths be in the critical section?',
  parameters: {
    how: { description: 'how the lock is taken', default: 'exchange', values: ['exchange', 'write'] },
    rounds: { description: 'how often (not used)', default: 1, min: 1, max: 3 },
  },
  variants: [
    {
      id: 'safe',
      row: 'L1',
      summary: 'the lock is taken by one exchange',
      source: 'any textbook',
      expected: { mutex: 'holds' },
      fixed: { how: 'exchange' },
      system: () => lockSystem('lock/safe', true),
    },
    {
      id: 'broken',
      row: 'L2',
      summary: 'the lock is read, then written',
      source: 'any textbook',
      expected: { mutex: 'violated' },
      fixed: { how: 'write' },
      system: () => lockSystem('lock/broken', false),
    },
  ],
};
