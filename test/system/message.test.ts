import { assign, fromTransition } from 'xstate';
import { actor, actorAt, defineSystem, post, received, type System, speaker } from '../../src/index.js';
import { LiveSystem } from '../../src/live/live.js';
import { Stepper } from '../laws.js';
import { machine } from '../systems/small.js';

type Event = { type: string; from: string };
const { tell, reply, inform, forward } = speaker<{ page: number }, Event>();

/** What `b` receives when `a` takes its only choice: live, and in the explorer's tables. */
function heard(system: System): unknown[] {
  const live = new LiveSystem(system);
  const stepper = new Stepper(system);
  const [choice] = system.choices;
  if (!choice) throw new Error('no choice');
  const messages = live.take(choice).messages.flatMap(({ to, event }) => (to === 'b' ? [event] : []));
  stepper.take(choice);
  expect(stepper.deliveries().flatMap(({ to, event }) => (to === 'b' ? [event] : []))).toEqual(messages);
  return messages;
}
const speaking = (actions: unknown): System =>
  defineSystem({
    id: 's',
    actors: {
      b: actor(machine({ id: 'b', on: { ask: { actions: reply({ type: 'answer' }) } } })),
      a: actor(machine({ id: 'a', context: { page: 7 }, on: { hit: { actions }, answer: { actions: reply({ type: 'thanks' }) } } }), {
        choices: [{ type: 'hit', from: 'b' }] as never,
      }),
    },
  });

describe('a machine speaks', () => {
  test('to an address, and signs', () => {
    expect(heard(speaking(tell('b', { type: 'hello' })))).toEqual([{ type: 'hello', from: 'a' }]);
  });

  test('to an address and with a message that depend on context and event', () => {
    const action = tell(
      ({ event }) => event.from,
      ({ context, event }) => ({ type: `after ${event.type}`, page: context.page }),
    );
    expect(heard(speaking(action))).toEqual([{ type: 'after hit', page: 7, from: 'a' }]);
  });

  test('to the sender of what it handles', () => {
    expect(heard(speaking(reply(({ context }) => ({ type: 'page', page: context.page }))))).toEqual([{ type: 'page', page: 7, from: 'a' }]);
  });

  test('with the context as it is at that action, not at the end of the transition', () => {
    const next = assign({ page: ({ context }: { context: { page: number } }) => context.page + 1 });
    const page = tell('b', ({ context }) => ({ type: 'page', page: context.page }));
    expect(heard(speaking([page, next, page]))).toEqual([
      { type: 'page', page: 7, from: 'a' },
      { type: 'page', page: 8, from: 'a' },
    ]);
  });

  describe('to an observer', () => {
    const hello = { type: 'hello', from: 'a' };

    test('which is told like any other', () => {
      expect(heard(speaking(inform('b', { type: 'hello' })))).toEqual([hello]);
    });

    test('or, where there is none, to nobody', () => {
      expect(heard(speaking(inform(null, { type: 'hello' })))).toEqual([]);
    });

    test('which may depend on context and event, like the message', () => {
      const told = [7, 8].map((page) =>
        heard(
          speaking(
            inform(
              ({ context, event }) => (context.page === page ? event.from : null),
              ({ context, event }) => ({ type: `after ${event.type}`, page: context.page }),
            ),
          ),
        ),
      );
      expect(told).toEqual([[{ type: 'after hit', page: 7, from: 'a' }], []]);
    });

    test('in its turn among other actions, with the context as it is there', () => {
      const next = assign({ page: ({ context }: { context: { page: number } }) => context.page + 1 });
      const page = inform('b', ({ context }) => ({ type: 'page', page: context.page }));
      const before = heard(speaking([tell('b', { type: 'first' }), page, inform(null, { type: 'never' }), next, page, tell('b', { type: 'last' })]));
      expect(before.map((message) => [(message as Event).type, (message as { page?: number }).page])).toEqual([
        ['first', undefined],
        ['page', 7],
        ['page', 8],
        ['last', undefined],
      ]);
    });
  });

  describe('for another', () => {
    test('whose message it passes on, signed as it came', () => {
      expect(heard(speaking(forward('b', ({ event }) => event)))).toEqual([{ type: 'hit', from: 'b' }]);
    });

    test('with an address and a message that depend on context and event', () => {
      const action = forward(
        ({ event }) => event.from,
        ({ context, event }) => ({ type: `page ${context.page}`, from: `${event.from}'s` }),
      );
      expect(heard(speaking(action))).toEqual([{ type: 'page 7', from: "b's" }]);
    });

    test('to whom the answer goes', () => {
      expect(heard(speaking(forward('b', { type: 'ask', from: 'b' })))).toEqual([
        { type: 'ask', from: 'b' },
        { type: 'answer', from: 'b' },
      ]);
    });

    test('in its turn among other actions, with the context as it is there', () => {
      const next = assign({ page: ({ context }: { context: { page: number } }) => context.page + 1 });
      const page = forward('b', ({ context }) => ({ type: 'page', from: `p${context.page}` }));
      expect(heard(speaking([tell('b', { type: 'first' }), page, next, page]))).toEqual([
        { type: 'first', from: 'a' },
        { type: 'page', from: 'p7' },
        { type: 'page', from: 'p8' },
      ]);
    });

    test('but not to an address that nobody has', () => {
      expect(() => heard(speaking(forward('nobody', ({ event }) => event)))).toThrow("'a' speaks to 'nobody', which is no actor of this system");
    });
  });

  test('and is answered within the same step', () => {
    expect(heard(speaking(tell('b', { type: 'ask' })))).toEqual([
      { type: 'ask', from: 'a' },
      { type: 'thanks', from: 'a' },
    ]);
  });
});

test('logic without states posts in the same form', () => {
  const logic = fromTransition((n: number, event: { type: string }, scope) => {
    if (event.type === 'hit') post(scope, 'b', { type: 'hello' });
    return n;
  }, 0);
  expect(heard(defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b' })), a: actor(logic, { choices: ['hit'] }) } }))).toEqual([
    { type: 'hello', from: 'a' },
  ]);
});

test('an event of another type than expected is an error', () => {
  const event = { type: 'pte', mapped: true } as { type: 'pte'; mapped: boolean } | { type: 'ack' };
  expect(received(event, 'pte').mapped).toBe(true);
  expect(() => received(event, 'ack')).toThrow(new Error("expected 'ack', not 'pte'"));
});

test('there is no actor at an address that nobody has', () => {
  expect(() => actorAt({ get: () => undefined }, 'b', { id: 'a' })).toThrow(new Error("'a' speaks to 'b', which is no actor of this system or has finished"));
});
