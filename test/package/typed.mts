import { actor, type CheckResult, check, defineSystem, invariant, type Signed, speaker } from 'shootdown';
import { assign, type SnapshotFrom, setup } from 'xstate';

type Event = { type: 'step' } | Signed<{ type: 'ball' }>;
const { tell } = speaker<{ to: string; hits: number }, Event>();
const player = setup({
  types: { context: {} as { to: string; hits: number }, events: {} as Event, input: {} as { to: string } },
  guards: { tired: ({ context }) => context.hits >= 2 },
  actions: { serve: tell(({ context }) => context.to, { type: 'ball' }), hit: assign({ hits: ({ context }) => context.hits + 1 }) },
}).createMachine({
  id: 'player',
  context: ({ input }) => ({ to: input.to, hits: 0 }),
  initial: 'waiting',
  states: {
    waiting: {
      tags: ['rest'],
      on: {
        ball: [
          { guard: 'tired', target: 'resting' },
          { target: 'turn', actions: 'hit' },
        ],
      },
    },
    turn: { on: { step: { target: 'waiting', actions: 'serve' } } },
    resting: { tags: ['rest'] },
  },
});
const first = setup({ types: { events: {} as Event }, actions: { serve: speaker<object, Event>().tell('b', { type: 'ball' }) } }).createMachine({
  id: 'first',
  initial: 'turn',
  states: { turn: { on: { step: { target: 'done', actions: 'serve' } } }, done: { tags: ['rest'] } },
});

const system = defineSystem({
  id: 'ping-pong',
  actors: { a: actor(player, { input: { to: 'b' } }), b: actor(player, { input: { to: 'a' } }), first: actor(first) },
  properties: [
    invariant<{ a: SnapshotFrom<typeof player>; b: SnapshotFrom<typeof player> }>('one ball', 'only one of them has the ball', {
      actors: ['a', 'b'],
      holds: ({ a, b }) => !(a.matches('turn') && b.matches('turn')),
    }),
  ],
});
const result: CheckResult = await check(system);
if (result.verdict !== 'holds') throw new Error(`got ${result.verdict}`);
console.log('TypeScript: ok');
