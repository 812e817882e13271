import { assign, fromTransition } from 'xstate';
import { actor, bug, deadlockFree, defineSystem, type System } from '../../src/index.js';
import { violatedBy } from '../../src/property/property.js';
import { labelOf } from '../../src/system/system.js';
import { machine, single } from '../systems/small.js';

const stepping = machine({ id: 'm', initial: 's', states: { s: { on: { step: 's', ipi: {} }, after: { 10: 's' } } } });
const choices = (system: System): unknown[] => system.choices.map(({ index, event, fair, delayed }) => [index, event, fair ? 'fair' : 'environment', delayed]);

describe('the choices of an actor', () => {
  test('are `step`, if its machine takes one, and its delayed events', () => {
    expect(choices(single(stepping))).toEqual([
      [0, { type: 'step' }, 'fair', false],
      [1, { type: 'xstate.after.10.m.s' }, 'fair', true],
    ]);
    expect(choices(single(machine({ id: 'm' })))).toEqual([]);
    expect(choices(defineSystem({ id: 's', actors: { a: actor(fromTransition((n: number, _: { type: 'step' }) => n, 0)) } }))).toEqual([]);
  });

  test('are those it is given, with those of the environment after them', () => {
    expect(choices(single(stepping, { choices: ['ipi', { type: 'fill', vpn: 0 } as never], environment: ['evict'] }))).toEqual([
      [0, { type: 'ipi' }, 'fair', false],
      [1, { type: 'fill', vpn: 0 }, 'fair', false],
      [2, { type: 'evict' }, 'environment', false],
      [3, { type: 'xstate.after.10.m.s' }, 'fair', true],
    ]);
  });

  test('are numbered through the system, and have a label', () => {
    const system = defineSystem({ id: 's', actors: { a: actor(stepping), b: actor(stepping, { choices: [{ type: 'fill', vpn: 0 } as never] }) } });
    expect(system.choices.map((choice) => [choice.index, labelOf(choice)])).toEqual([
      [0, 'a: step'],
      [1, 'a: xstate.after.10.m.s'],
      [2, 'b: fill {"vpn":0}'],
      [3, 'b: xstate.after.10.m.s'],
    ]);
  });
});

test('an actor is a path if it has the choice `step`, or says so', () => {
  expect(single(stepping).actors[0]).toMatchObject({ path: true, lane: null });
  expect(single(stepping, { choices: ['ipi'] }).actors[0]?.path).toBe(false);
  expect(single(stepping, { choices: ['ipi'], path: true, lane: 'CPU 0' }).actors[0]).toMatchObject({ path: true, lane: 'CPU 0' });
  expect(single(stepping, { path: false }).actors[0]?.path).toBe(false);
});

test('every system has the properties BUG and deadlock freedom, under its own names if it gives some', () => {
  const names = (system: System): string[] => system.properties.map(({ name }) => name);
  expect(names(single(stepping))).toEqual(['BUG', 'deadlock']);
  expect(names(single(stepping, {}, { properties: [bug('I1', '')] }))).toEqual(['BUG', 'I1', 'deadlock']);
  expect(names(single(stepping, {}, { properties: [bug('BUG', 'mine'), deadlockFree('no hang')] }))).toEqual(['BUG', 'no hang']);
});

test('a BUG state violates the properties that its tags name, or BUG', () => {
  const { properties } = single(stepping, {}, { properties: [bug('P', ''), bug('Q', '')] });
  expect([['BUG'], ['BUG', 'P'], ['BUG', 'Q', 'x', 'P'], ['BUG', 'x']].map((tags) => violatedBy(properties, tags))).toEqual([
    ['BUG'],
    ['P'],
    ['P', 'Q'],
    ['BUG'],
  ]);
});

describe('the digest', () => {
  const base = (): System => single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } }), { input: 1 as never });
  test.each<[string, System]>([
    ['a state', single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] }, u: {} } }), { input: 1 as never })],
    ['a target', single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 's' } }, t: { tags: ['rest'] } } }), { input: 1 as never })],
    ['a tag', single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: {} } }), { input: 1 as never })],
    ['an input', single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } }), { input: 2 as never })],
    [
      'a choice',
      single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } }), { input: 1 as never, choices: ['step', 'hit'] }),
    ],
    [
      'an address',
      defineSystem({
        id: 'single',
        actors: { b: actor(machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } }), { input: 1 as never }) },
      }),
    ],
    [
      'a named action',
      single(
        machine({ id: 'm', initial: 's', states: { s: { on: { step: { target: 't', actions: 'x' } } }, t: { tags: ['rest'] } } }).provide({
          actions: { x: assign({}) },
        }),
        { input: 1 as never },
      ),
    ],
  ])('changes with %s', (_, other) => {
    expect(other.digest).not.toBe(base().digest);
  });

  test('is the same for the same model', () => {
    expect(base().digest).toBe(base().digest);
    expect(base().digest).toMatch(/^[0-9a-f]{16}$/);
  });
});
