import { type AnyActorRef, assign, cancel, emit, enqueueActions, fromTransition, log, raise, sendParent, sendTo } from 'xstate';
import { actor, defineSystem, explore, invariant, post, type Signed, type System, speaker } from '../../src/index.js';
import { acting, refusal } from '../systems/refused.js';
import { machine, single } from '../systems/small.js';

type Event = Signed<{ type: string }>;
const { tell, reply } = speaker<{ n: number }, Event>();

const onStep = "ModelError: machine 'm' (actor 'a'), state 's', on 'step': ";
const inState = "ModelError: machine 'm' (actor 'a'), state 's': ";
const inNext = "ModelError: machine 'm' (actor 'a'), state 't': ";
const starting = "ModelError: machine 'm' (actor 'a'), on starting: ";
const instead = ' cannot be explored; use assign, sendTo, raise or enqueueActions';
const plain = "; an explored actor's state is plain JSON data";
const chance = '; time and randomness must come as events or choices';

/** What exploring says, without the number of steps that led there. */
const refused = (system: System): string => refusal(() => explore(system)).replace(/ \[after \d+ steps?\]$/, '');

class Page {
  pfn = 0;
}
const cycle: Record<string, unknown> = {};
cycle.self = cycle;

describe('a context is plain data: exploring refuses', () => {
  test.each<[string, unknown, string]>([
    ['a Map', new Map(), 'context.x is a Map'],
    ['a Set', new Set(), 'context.x is a Set'],
    ['a Date', new Date(0), 'context.x is a Date'],
    ['a BigInt', 1n, 'context.x is a bigint'],
    ['undefined', undefined, 'context.x is undefined (use null, or leave the field out)'],
    ['NaN', Number.NaN, 'context.x is NaN'],
    ['infinity', Number.POSITIVE_INFINITY, 'context.x is Infinity'],
    ['-0', -0, 'context.x is -0 (use 0)'],
    ['a class instance', new Page(), 'context.x is a Page'],
    ['an Error', new Error('x'), 'context.x is an Error'],
    ['a function', () => 1, 'context.x is a function'],
    ['a symbol', Symbol('x'), 'context.x is a symbol'],
    ['a symbol key', { [Symbol('x')]: 1 }, 'context.x is an object with symbol keys'],
    ['a cycle', cycle, 'context.x.self is part of a cycle'],
    ['something within arrays and objects', [{ pages: [0, undefined] }], 'context.x[0].pages[1] is undefined (use null, or leave the field out)'],
  ])('%s', (_, value, what) => {
    expect(refused(single(acting([assign({ x: () => value })])))).toBe(`${inNext}${what}${plain}`);
    expect(refused(single(machine({ id: 'm', initial: 's', context: () => ({ x: value }), states: { s: {} } })))).toBe(`${inState}${what}${plain}`);
  });

  test('a Map in logic without states', () => {
    expect(refused(defineSystem({ id: 's', actors: { a: actor(fromTransition((state: object) => state, { x: new Map() })) } }))).toBe(
      `ModelError: actor 'a': context.x is a Map${plain}`,
    );
  });

  test('an output that is not plain data', () => {
    const logic = machine({ id: 'm', initial: 's', states: { s: { type: 'final' } }, output: () => new Date(0) });
    expect(refused(single(logic))).toBe(`${inState}snapshot.output is a Date${plain}`);
  });
});

describe('a message is plain data and has a receiver: exploring refuses', () => {
  const speaking = (action: unknown, rest: object = {}): System =>
    defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b' })), a: actor(acting([action], rest)) } });

  test('undefined in a message', () => {
    expect(refused(speaking(tell('b', { type: 'hello', page: undefined })))).toBe(
      `${inState}sends 'hello', in which message.page is undefined (use null, or leave the field out); messages are plain JSON data`,
    );
  });

  test('undefined in a choice', () => {
    expect(refusal(() => explore(single(machine({ id: 'm' }), { choices: [{ type: 'hit', page: undefined } as never] })))).toBe(
      "ModelError: the scheduler: sends 'hit', in which message.page is undefined (use null, or leave the field out); messages are plain JSON data",
    );
  });

  test.each([
    ['with tell', tell('c', { type: 'hello' })],
    // XState would deliver it to the sender.
    ['with plain sendTo', sendTo(({ system }) => system.get('c') as AnyActorRef, { type: 'hello' })],
  ])('a message to nobody, %s', (_, action) => {
    expect(refused(speaking(action))).toBe(`${onStep}'a' speaks to 'c', which is no actor of this system`);
  });

  test('a message to nobody by id, and to a parent', () => {
    expect(refused(speaking(sendTo('b', { type: 'hello' })))).toBe(`${onStep}Unable to send event to actor 'b' from machine 'm'.`);
    expect(refused(speaking(sendParent({ type: 'hello' })))).toBe(`${onStep}Unable to send event to actor '#_parent' from machine 'm'.`);
  });

  test('a message to nobody from logic without states', () => {
    const logic = fromTransition((state: number, _: { type: string }, scope) => {
      post(scope, 'c', { type: 'hello' });
      return state;
    }, 0);
    expect(refused(defineSystem({ id: 's', actors: { a: actor(logic, { choices: ['go'] }) } }))).toBe(
      "ModelError: actor 'a', on 'go': 'a' speaks to 'c', which is no actor of this system",
    );
  });

  test('a reply to the scheduler', () => {
    expect(refused(speaking(reply({ type: 'hello' })))).toBe(`${onStep}'a' speaks to 'undefined', which is no actor of this system`);
  });

  test('a message on starting to an actor that starts later', () => {
    const hello = machine({ id: 'm', entry: tell('b', { type: 'hello' }) });
    expect(refused(defineSystem({ id: 's', actors: { a: actor(hello), b: actor(machine({ id: 'b' })) } }))).toBe(
      `${starting}'a' speaks to 'b' on starting, which starts after it; put 'b' first in the system, or speak on a choice`,
    );
    expect(explore(defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b' })), a: actor(hello) } })).exhausted).toBe(true);
  });

  test.each([
    ['that has finished', [tell('b', { type: 'end' })], 's'],
    ['that finishes before the message arrives', [tell('b', { type: 'end' }), tell('b', { type: 'end' })], 's'],
  ])('a message to an actor %s', (_, actions) => {
    const ending = machine({ id: 'ending', initial: 'on', states: { on: { on: { end: 'off' } }, off: { type: 'final' } } });
    const logic = machine({ id: 'm', initial: 's', states: { s: { tags: ['rest'], on: { step: { actions } } } } });
    expect(refused(defineSystem({ id: 's', actors: { b: actor(ending), a: actor(logic) } }))).toBe(
      "ModelError: machine 'ending' (actor 'b'), state 'off': has finished (done), and 'a' sends it 'end'; end in a state that is not final while others may still speak to it",
    );
  });
});

describe('an actor is pure and on its own: exploring refuses', () => {
  test.each<[string, unknown, string]>([
    ['Math.random', () => Math.random(), 'Math.random() was called'],
    ['Math.random that is only compared', () => Math.random() < 2, 'Math.random() was called'],
    ['Date.now', () => Date.now(), 'Date.now() was called'],
    ['new Date()', () => new Date().getUTCFullYear(), 'new Date() was called'],
    ['Date()', () => Date(), 'Date() was called'],
  ])('%s in an assign', (_, n, what) => {
    expect(refused(single(acting([assign({ n })])))).toBe(`${onStep}${what}${chance}`);
  });

  test('Math.random in a guard, in the initial context, in logic without states', () => {
    const guarded = machine({ id: 'm', initial: 's', states: { s: { on: { step: { guard: () => Math.random() < 2, target: 's' } } } } });
    expect(refused(single(guarded))).toBe(
      `${onStep}Unable to evaluate guard in transition for event 'step' in state node 'm.s': Math.random() was called${chance}`,
    );
    expect(refused(single(machine({ id: 'm', context: () => ({ n: Math.random() }) })))).toBe(`${starting}Math.random() was called${chance}`);
    expect(
      refused(
        defineSystem({
          id: 's',
          actors: {
            a: actor(
              fromTransition(() => Math.random(), 0),
              { choices: [{ type: 'go' }] as never },
            ),
          },
        }),
      ),
    ).toBe(`ModelError: actor 'a', on 'go': Math.random() was called${chance}`);
  });

  test('the dice and the clock are back afterwards', () => {
    const [random, clock] = [Math.random, globalThis.Date];
    refused(single(acting([assign({ n: () => Math.random() })])));
    explore(single(acting([assign({ n: () => new Date(5).getTime() })])));
    expect([Math.random, globalThis.Date]).toEqual([random, clock]);
    expect(new Date(5)).toBeInstanceOf(Date);
  });

  test('a variable outside of the context', () => {
    let count = 0;
    expect(refused(single(acting([assign({ n: () => ++count })])))).toBe(
      `${onStep}two runs on the same state differ; time, randomness and variables outside the context must come as events or choices`,
    );
  });

  test('an assign that writes into the context', () => {
    const writes = assign(({ context }) => {
      (context as { n: number }).n++;
      return {};
    });
    expect(refused(single(acting([writes])))).toBe(`${onStep}Cannot assign to read only property 'n' of object '#<Object>'`);
    const pushes = assign(({ context }) => ({ list: [(context as { list: number[][] }).list[0]?.push(1)] }));
    expect(refused(single(acting([pushes], { context: { list: [[]] } })))).toBe(`${onStep}Cannot add property 0, object is not extensible`);
    expect(refused(single(acting([pushes], { context: { list: Object.freeze([[]]) } })))).toBe(`${onStep}Cannot add property 0, object is not extensible`);
  });

  test('an action that writes into a message', () => {
    const writes = assign({ n: ({ event }: { event: { n: number } }) => ++event.n });
    const logic = machine({ id: 'm', context: { n: 0 }, initial: 's', states: { s: { on: { hit: { actions: writes } } } } });
    expect(refused(single(logic, { choices: [{ type: 'hit', n: 1 } as never] }))).toBe(
      "ModelError: machine 'm' (actor 'a'), state 's', on 'hit': Cannot assign to read only property 'n' of object '#<Object>'",
    );
  });

  test("another actor's snapshot", () => {
    const peek = assign({
      n: ({ system }: { system: { get(address: string): { getSnapshot(): { context: { n: number } } } } }) => system.get('b').getSnapshot().context.n,
    });
    const system = defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b', context: { n: 1 } })), a: actor(acting([peek])) } });
    expect(refused(system)).toBe(`${onStep}'a' reads the snapshot of 'b' directly; actors know of each other by messages only`);
  });

  test.each<[string, unknown, string]>([
    ['raise with a delay', raise({ type: 'later' }, { delay: 10 }), "raise of 'later' with a delay (write it as 'after', which is a choice when exploring)"],
    [
      'sendTo with a delay',
      sendTo(({ self }) => self, { type: 'later' }, { delay: 10 }),
      "sendTo of 'later' with a delay (write it as 'after' and a sendTo without delay)",
    ],
    ['spawn in an assign', assign({ child: ({ spawn }) => spawn(machine({})) }), 'spawn'],
    ['a custom action that is enqueued', enqueueActions(({ enqueue }) => enqueue(function print() {})), "action 'print'"],
    ['spawnChild that is enqueued', enqueueActions(({ enqueue }) => enqueue.spawnChild(machine({}) as never)), 'spawn'],
    ['all actors at once', assign({ n: ({ system }: { system: { getAll(): object } }) => Object.keys(system.getAll()).length } as never), 'system.getAll()'],
  ])('%s', (_, action, construct) => {
    expect(refused(single(acting([action])))).toBe(`${inState}${construct}${instead}`);
  });

  test('a custom action of an initial transition', () => {
    const logic = machine({ id: 'm', initial: { target: 's', actions: [function print() {}] }, states: { s: {} } });
    expect(refused(single(logic))).toBe(`${starting}action 'print'${instead}`);
  });

  test('spawn in the first context', () => {
    const logic = machine({ id: 'm', context: ({ spawn }: { spawn(child: unknown): unknown }) => ({ child: spawn(machine({})) }) });
    expect(refused(single(logic))).toBe(`${starting}spawn${instead}`);
  });

  test('a guard without implementation, and one that throws', () => {
    const guarded = (guard: unknown): System => single(machine({ id: 'm', initial: 's', states: { s: { on: { step: { guard, target: 's' } } } } }));
    expect(refused(guarded('free'))).toBe(
      `${onStep}Unable to evaluate guard 'free' in transition for event 'step' in state node 'm.s': Guard 'free' is not implemented.'.`,
    );
    const throws = (): boolean => {
      throw new Error('no page');
    };
    expect(refused(guarded(throws))).toBe(`${onStep}Unable to evaluate guard in transition for event 'step' in state node 'm.s': no page`);
  });
});

test('an invariant that throws is an error, and neither holds nor is violated', () => {
  const broken = invariant<{ a: { context: { page: { pfn: number } } } }>('I', '', { actors: ['a'], holds: ({ a }) => a.context.page.pfn === 0 });
  expect(refused(single(machine({ id: 'm', context: {} }), {}, { id: 's', properties: [broken] }))).toBe(
    "ModelError: system 's': invariant 'I' threw: Cannot read properties of undefined (reading 'pfn')",
  );
});

test('what changes nothing in the system is explored: emit, log, cancel', () => {
  const found = explore(single(acting([emit({ type: 'x' }), log('x'), cancel('x'), raise({ type: 'r' }), sendTo(({ self }) => self, { type: 'r' })])));
  expect([found.states, found.exhausted]).toEqual([2, true]);
});

test('an error says how many steps lead to it', () => {
  const logic = machine({
    id: 'm',
    context: { n: 0 },
    initial: 's',
    states: { s: { on: { step: { target: 't' } } }, t: { on: { step: { actions: tell('b', { type: 'x' }) } } } },
  });
  expect(refusal(() => explore(single(logic)))).toBe(
    "ModelError: machine 'm' (actor 'a'), state 't', on 'step': 'a' speaks to 'b', which is no actor of this system [after 1 step]",
  );
});
