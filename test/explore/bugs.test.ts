import { raise } from 'xstate';
import { actor, bug, defineSystem, explore, type Property, type System, speaker } from '../../src/index.js';
import { confirm } from '../../src/schedule/replay.js';
import { naiveEqualsExplorer } from '../laws.js';
import { machine, single } from '../systems/small.js';

const { tell, reply } = speaker<Record<string, never>, { type: string; from: string }>();

/** Each violated property's schedule and message. The naive search must find the same, and the live run must confirm each. */
function violations(system: System): Record<string, [readonly number[], string]> {
  naiveEqualsExplorer(system);
  const found = explore(system, { stop: () => false }).properties.flatMap(({ violation }) => (violation ? [violation] : []));
  for (const violation of found) confirm(system, violation).live.stop();
  return Object.fromEntries(found.map(({ property, schedule, message }) => [property, [schedule, message]]));
}

test('a BUG that names a property is charged to it, any other to BUG', () => {
  const logic = machine({
    id: 'm',
    initial: 's',
    states: {
      s: { on: { one: 'named', two: 'plain' } },
      named: { tags: ['BUG', 'P'], description: 'refcount fell below zero' },
      plain: { tags: ['BUG', 'other'] },
    },
  });
  const system = single(logic, { choices: ['one', 'two'] }, { properties: [bug('P', 'the count is right')] });
  expect(violations(system)).toEqual({ BUG: [[1], 'a: plain'], P: [[0], 'a: refcount fell below zero'] });
});

test('a BUG that names two properties violates both', () => {
  const logic = machine({ id: 'm', initial: 's', states: { s: { on: { hit: 'bad' } }, bad: { tags: ['BUG', 'Q', 'P'] } } });
  expect(violations(single(logic, { choices: ['hit'] }, { properties: [bug('P', ''), bug('Q', '')] }))).toEqual({ P: [[0], 'a: bad'], Q: [[0], 'a: bad'] });
});

test('a BUG can be charged to an invariant and to the deadlock property', () => {
  const holds: Property = { kind: 'invariant', name: 'I', description: '', actors: ['a'], holds: () => true };
  const logic = machine({ id: 'm', initial: 's', states: { s: { on: { one: 'i', two: 'd' } }, i: { tags: ['BUG', 'I'] }, d: { tags: ['BUG', 'deadlock'] } } });
  expect(violations(single(logic, { choices: ['one', 'two'] }, { properties: [holds] }))).toEqual({ I: [[0], 'a: i'], deadlock: [[1], 'a: d'] });
});

describe('a BUG state counts wherever it is entered', () => {
  test('on starting', () => {
    expect(violations(single(machine({ id: 'm', initial: 'bad', states: { bad: { tags: ['BUG'] } } })))).toEqual({ BUG: [[], 'a: bad'] });
  });

  test('on starting, and left at once by a raised event', () => {
    const logic = machine({
      id: 'm',
      initial: 'outer',
      states: { outer: { initial: 'bad', states: { bad: { tags: ['BUG'], entry: raise({ type: 'go' }), on: { go: '#fine' } } } }, fine: { id: 'fine' } },
    });
    expect(violations(single(logic))).toEqual({ BUG: [[], 'a: bad'] });
  });

  test('left at once by a raised event', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: { s: { on: { hit: 'bad' } }, bad: { tags: ['BUG'], entry: raise({ type: 'go' }), on: { go: 's' } } },
    });
    expect(violations(single(logic, { choices: ['hit'] }))).toEqual({ BUG: [[0], 'a: bad'] });
  });

  test('left again by a message of the same step', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: { s: { on: { hit: { target: 'bad', actions: tell('b', { type: 'ask' }) } } }, bad: { tags: ['BUG'], on: { answer: 's' } } },
    });
    const answers = machine({ id: 'b', on: { ask: { actions: reply({ type: 'answer' }) } } });
    expect(violations(defineSystem({ id: 's', actors: { b: actor(answers), a: actor(logic, { choices: ['hit'] }) } }))).toEqual({ BUG: [[0], 'a: bad'] });
  });

  test('in an actor that another one woke', () => {
    const asks = machine({ id: 'm', initial: 's', states: { s: { on: { hit: { actions: tell('b', { type: 'ask' }) } } } } });
    const breaks = machine({ id: 'b', initial: 's', states: { s: { on: { ask: 'bad' } }, bad: { tags: ['BUG'] } } });
    expect(violations(defineSystem({ id: 's', actors: { b: actor(breaks), a: actor(asks, { choices: ['hit'] }) } }))).toEqual({ BUG: [[0], 'b: bad'] });
  });

  test('in the state of which it is a part: the outer one has the tag', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: { s: { on: { hit: 'bad' } }, bad: { tags: ['BUG'], description: 'use after free', initial: 'x', states: { x: {} } } },
    });
    expect(violations(single(logic, { choices: ['hit'] }))).toEqual({ BUG: [[0], 'a: use after free'] });
  });

  test('in two regions at once, of the same name but with properties of their own', () => {
    const region = (tag: string): object => ({ initial: 's', states: { s: { on: { hit: 'bad' } }, bad: { tags: ['BUG', tag] } } });
    const logic = machine({ id: 'm', type: 'parallel', states: { A: region('P'), B: region('Q') } });
    expect(violations(single(logic, { choices: ['hit'] }, { properties: [bug('P', ''), bug('Q', '')] }))).toEqual({ P: [[0], 'a: bad'], Q: [[0], 'a: bad'] });
  });

  test('but not when a state is only defined', () => {
    expect(violations(single(machine({ id: 'm', initial: 's', states: { s: {}, bad: { tags: ['BUG'] } } })))).toEqual({});
  });
});
