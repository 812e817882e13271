import { actor, defineSystem, invariant, speaker } from 'shootdown';
import { assign, setup } from 'xstate';

const shared = speaker();
const counter = setup({
  actions: {
    value: shared.reply(({ context }) => ({ type: 'value', value: context.value })),
    set: assign({ value: ({ event }) => event.value }),
  },
}).createMachine({ id: 'counter', context: { value: 0 }, on: { read: { actions: 'value' }, write: { actions: 'set' } } });

/** Who finds it held asks again. */
const lock = setup({ actions: { granted: shared.reply({ type: 'granted' }) } }).createMachine({
  id: 'lock',
  initial: 'free',
  states: { free: { on: { lock: { target: 'held', actions: 'granted' } } }, held: { on: { unlock: 'free' } } },
});

const talk = speaker();
const thread = setup({
  guards: { locks: ({ context }) => context.locks },
  actions: {
    lock: talk.tell('lock', { type: 'lock' }),
    unlock: talk.tell('lock', { type: 'unlock' }),
    read: talk.tell('counter', { type: 'read' }),
    note: assign({ seen: ({ event }) => event.value }),
    write: talk.tell('counter', ({ context }) => ({ type: 'write', value: context.seen + 1 })),
  },
}).createMachine({
  id: 'thread',
  context: ({ input }) => ({ seen: 0, locks: input.locks }),
  initial: 'begin',
  states: {
    begin: { always: [{ guard: 'locks', target: 'lock' }, { target: 'load' }] },
    lock: { on: { step: { actions: 'lock' }, granted: 'load' } },
    load: { on: { step: { actions: 'read' }, value: { target: 'store', actions: 'note' } } },
    store: {
      on: {
        step: [
          { guard: 'locks', target: 'unlock', actions: 'write' },
          { target: 'done', actions: 'write' },
        ],
      },
    },
    unlock: { on: { step: { target: 'done', actions: 'unlock' } } },
    done: { tags: 'rest' },
  },
});

/** Two threads add one to a counter, each by a load and a store of its own. */
export const adders = (locks) =>
  defineSystem({
    id: locks ? 'locked' : 'unlocked',
    actors: {
      counter: actor(counter),
      lock: actor(lock),
      a: actor(thread, { input: { locks }, lane: 'CPU 0 (add)' }),
      b: actor(thread, { input: { locks }, lane: 'CPU 1 (add)' }),
    },
    properties: [
      invariant('sum', 'both additions count', {
        actors: ['counter', 'a', 'b'],
        when: ({ a, b }) => a.value === 'done' && b.value === 'done',
        holds: ({ counter }) => counter.context.value === 2,
      }),
    ],
  });
