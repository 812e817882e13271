import { assign, raise } from 'xstate';
import { actor, type Choice, defineSystem, explore, type System, speaker } from '../../src/index.js';
import { LiveSystem } from '../../src/live/live.js';
import { refusal } from '../systems/refused.js';
import { machine, pingPong, single } from '../systems/small.js';

const lastTen = Array(5).fill('left -> right: ping; right -> left: ping').join('; ');

describe('a step that does not end', () => {
  test('names the actors and the last ten messages', () => {
    expect(refusal(() => explore(pingPong()))).toBe(
      `ModelError: a step does not end: after 1000 messages 'right' and 'left' still answer each other (the last ten: ${lastTen}); wait for a choice somewhere in between [after 0 steps]`,
    );
  });

  test('is found by the bound that the system sets', () => {
    expect(refusal(() => explore(pingPong(20)))).toContain('after 20 messages');
  });

  test('does not run on for ever live either', () => {
    const live = new LiveSystem(pingPong());
    const [choice] = live.enabled();
    expect(refusal(() => live.take(choice as never))).toBe(
      `ModelError: system 'ping-pong', live, step 1: a step does not end: after 1000 messages 'right' and 'left' still answer each other (the last ten: ${lastTen}); wait for a choice somewhere in between`,
    );
  });

  test.each([
    ["'always' transitions", machine({ id: 'm', initial: 's', states: { s: { on: { step: 'a' } }, a: { always: 'b' }, b: { always: 'a' } } })],
    [
      'raised events',
      machine({
        id: 'm',
        initial: 's',
        on: { again: { actions: raise({ type: 'again' }) } },
        states: { s: { on: { step: { actions: raise({ type: 'again' }) } } } },
      }),
    ],
  ])('because of %s within one actor names it', (_, logic) => {
    const where =
      /machine 'm' \(actor 'a'\), state '[abs]': one event leads to more than 1000 microsteps; 'always' transitions or raised events go round in a circle/;
    expect(refusal(() => explore(single(logic)))).toMatch(where);
    const live = new LiveSystem(single(logic));
    expect(refusal(() => live.take(live.enabled()[0] as never))).toMatch(where);
  });

  test('on starting', () => {
    const logic = machine({ id: 'm', initial: 'a', states: { a: { always: 'b' }, b: { always: 'a' } } });
    expect(refusal(() => explore(single(logic)))).toContain('one event leads to more than 1000 microsteps');
    expect(refusal(() => new LiveSystem(single(logic)))).toContain('one event leads to more than 1000 microsteps');
  });

  test('is not one that is merely long', () => {
    const chain = machine({
      id: 'm',
      context: { n: 0 },
      on: {
        step: { actions: raise({ type: 'go' }) },
        go: {
          guard: ({ context }: { context: { n: number } }) => context.n < 998,
          actions: [assign({ n: ({ context }) => context.n + 1 }), raise({ type: 'go' })],
        },
      },
    });
    expect(explore(single(chain, { path: false })).states).toBe(2);
  });
});

describe('the bound is exact, explored and live', () => {
  type Context = { n: number };
  const left = ({ context }: { context: Context }): boolean => context.n > 0;
  const less = assign({ n: ({ context }: { context: Context }) => context.n - 1 });
  /** A step of 1 + `more` messages. */
  const messages = (more: number): System => {
    const next = speaker<Context, { type: string; from: string }>().tell('a', { type: 'next' });
    const on = {
      step: { guard: left, actions: next },
      next: [{ guard: ({ context }: { context: Context }) => context.n > 1, actions: [less, next] }, { actions: less }],
    };
    return single(machine({ id: 'm', context: { n: more }, on }), { path: false }, { limits: { cascade: 20 } });
  };
  /** A step of 1 + `more` microsteps. */
  const microsteps = (more: number): System => {
    const states = { s: { on: { step: 'down' } }, down: { always: { guard: left, actions: less } } };
    return single(machine({ id: 'm', context: { n: more }, initial: 's', states }), { path: false }, { limits: { cascade: 20 } });
  };
  const run = (system: System): void => {
    const live = new LiveSystem(system);
    live.take(live.enabled()[0] as Choice);
  };

  test.each([
    ['messages', messages, 'a step does not end'],
    ['microsteps', microsteps, 'one event leads to more than 20 microsteps'],
  ])('20 %s are none too many, 21 are', (_, build, message) => {
    expect(explore(build(19)).states).toBe(2);
    run(build(19));
    expect(refusal(() => explore(build(20)))).toContain(message);
    expect(refusal(() => run(build(20)))).toContain(message);
  });
});

describe('an actor whose local states grow without bound', () => {
  const counting = machine({ id: 'm', context: { pages: 1, count: 0 }, on: { hit: { actions: assign({ count: ({ context }) => context.count + 1 }) } } });

  test('is named, with the field that grows', () => {
    expect(refusal(() => explore(defineSystem({ id: 's', actors: { idle: actor(machine({ id: 'i' })), a: actor(counting, { choices: ['hit'] }) } })))).toBe(
      "ModelError: actor 'a' has more than 4096 local states; its context field 'count' took 4096 values: bound it, or raise limits.localStates of the system [after 4095 steps]",
    );
  });

  test('is found by the bound that the system sets', () => {
    expect(refusal(() => explore(single(counting, { choices: ['hit'] }, { limits: { localStates: 10 } })))).toBe(
      "ModelError: actor 'a' has more than 10 local states; its context field 'count' took 10 values: bound it, or raise limits.localStates of the system [after 9 steps]",
    );
  });
});
