import { assign, createMachine, fromCallback, fromObservable, fromPromise, fromTransition, setup, spawnChild, stopChild } from 'xstate';
import { actor, bug, deadlockFree, defineSystem, invariant, type Property } from '../../src/index.js';
import { acting, refusal } from '../systems/refused.js';
import { machine, single } from '../systems/small.js';

const custom = (where: string, name: string): string =>
  `ModelError: machine 'm' (actor 'a'), ${where}: action '${name}' is custom code, whose effects cannot be explored; use assign, sendTo, raise or enqueueActions, or let the outside world be a choice`;

describe('before anything runs, a system refuses', () => {
  test.each([
    ['promises', fromPromise(async () => 1)],
    ['callbacks', fromCallback(() => {})],
    ['observables', fromObservable(() => ({ subscribe: () => ({ unsubscribe: () => {} }) }))],
  ])('%s', (_, logic) => {
    expect(refusal(() => defineSystem({ id: 's', actors: { a: actor(logic) } }))).toBe(
      "ModelError: actor 'a': this kind of actor logic (a promise, callback or observable) has effects outside the system; use a state machine or fromTransition, and let the outside world be a choice",
    );
  });

  test('invoke', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: { s: { initial: 'inner', states: { inner: { invoke: { src: fromPromise(async () => 1), id: 'load' } } } } },
    });
    expect(refusal(() => single(logic))).toBe(
      "ModelError: machine 'm' (actor 'a'), state 's.inner': invoke of 'xstate.invoke.0.m.s.inner' starts another actor, which cannot be explored; make it an actor of the system",
    );
  });

  test('invoke, by name', () => {
    const logic = setup({ actors: { loader: fromPromise(async () => 1) } }).createMachine({
      id: 'm',
      initial: 's',
      states: { s: { invoke: { src: 'loader' } } },
    });
    expect(refusal(() => single(logic as never))).toBe(
      "ModelError: machine 'm' (actor 'a'), state 's': invoke of 'loader' starts another actor, which cannot be explored; make it an actor of the system",
    );
  });

  test.each([
    ['spawnChild', spawnChild(createMachine({}))],
    ['stopChild', stopChild('x')],
  ])('%s', (name, action) => {
    expect(refusal(() => single(acting([action])))).toBe(
      `ModelError: machine 'm' (actor 'a'), state 's': 'xstate.${name}' starts or stops another actor, which cannot be explored; a system's actors are fixed, so make it an actor of the system`,
    );
  });

  test.each([
    ['on a transition', acting(['log']), "state 's'"],
    ['on entry', machine({ id: 'm', initial: 's', states: { s: { entry: 'log' } } }), "state 's'"],
    ['on exit', machine({ id: 'm', initial: 's', states: { s: { exit: ['log'] } } }), "state 's'"],
    ['on always', machine({ id: 'm', initial: 's', states: { s: { always: { target: 't', actions: { type: 'log' } } }, t: {} } }), "state 's'"],
    ['on after', machine({ id: 'm', initial: 's', states: { s: { after: { 10: { actions: 'log' } } } } }), "state 's'"],
    ['of the machine', machine({ id: 'm', on: { step: { actions: { type: 'log', params: { n: 1 } } } } }), "state 'm'"],
  ])('a custom action by name, %s', (_, logic, where) => {
    expect(refusal(() => single(logic.provide({ actions: { log: () => {} } })))).toBe(custom(where, 'log'));
  });

  test('a custom action in place', () => {
    expect(refusal(() => single(acting([() => {}])))).toBe(custom("state 's'", '(inline)'));
    expect(refusal(() => single(acting(function print() {})))).toBe(custom("state 's'", 'print'));
  });

  test('an action without implementation', () => {
    expect(refusal(() => single(acting(['flush'])))).toBe(
      "ModelError: machine 'm' (actor 'a'), state 's': action 'flush' has no implementation; add it to setup({ actions }) or provide it",
    );
  });

  test("a BUG state with 'always'", () => {
    const logic = machine({ id: 'm', initial: 's', states: { s: {}, bad: { tags: ['BUG'], always: 's' } } });
    expect(refusal(() => single(logic))).toBe(
      "ModelError: machine 'm' (actor 'a'), state 'bad': a state tagged BUG must not be left by an 'always' transition; nobody would see it",
    );
  });

  test('an actor that is named as the scheduler', () => {
    expect(refusal(() => defineSystem({ id: 's', actors: { scheduler: actor(machine({})) } }))).toBe(
      "ModelError: system 's': no actor can be named 'scheduler', the name of what takes the choices",
    );
  });

  const holds = (): boolean => true;
  test.each<[string, Property[], string]>([
    [
      'an invariant over an actor that is not there',
      [invariant('I', '', { actors: ['a', 'b'] as never, holds })],
      "system 's': invariant 'I' reads 'b', which is no actor of the system",
    ],
    [
      'an invariant over an actor with the name of an object method',
      [invariant('I', '', { actors: ['toString'] as never, holds })],
      "system 's': invariant 'I' reads 'toString', which is no actor of the system",
    ],
    ['two properties of one name', [bug('X', ''), invariant('X', '', { actors: ['a'] as never, holds })], "system 's' has two properties named 'X'"],
    [
      'an invariant with the name of the deadlock property',
      [invariant('deadlock', '', { actors: ['a'] as never, holds })],
      "system 's' has two properties named 'deadlock'",
    ],
    [
      'two deadlock properties, one of which would never be checked',
      [deadlockFree('one'), deadlockFree('two')],
      "system 's' has 2 properties of kind deadlock ('one', 'two'); one says it all",
    ],
  ])('%s', (_, properties, message) => {
    expect(refusal(() => single(machine({ id: 'm' }), {}, { id: 's', properties }))).toBe(`ModelError: ${message}`);
  });
});

test('what can be explored is not refused', () => {
  const logic = machine({
    id: 'm',
    initial: 's',
    context: {},
    states: { s: { entry: assign({}), tags: ['rest'], on: { step: { actions: ['named', { type: 'named' }] } } }, bad: { tags: ['BUG'] } },
  });
  expect(single(logic.provide({ actions: { named: assign({}) } })).choices.map(({ event }) => event)).toEqual([{ type: 'step' }]);
  expect(defineSystem({ id: 's', actors: { a: actor(fromTransition((n: number) => n, 0)) } }).choices).toEqual([]);
});
