import { type AnyMachineSnapshot, type AnyStateMachine, assign, createMachine, type EventObject, fromTransition, initialTransition, transition } from 'xstate';
import { actor, defineSystem, explore, ModelError, type System } from '../../src/index.js';
import { type AnySnapshot, identityKey } from '../../src/system/view.js';
import { liveEqualsExplored, naiveEqualsExplorer } from '../laws.js';
import { machine, single } from '../systems/small.js';

/**
 * A local state is everything that can decide what an actor does next. Each system here has two local states that differ
 * in one thing only: a key that leaves the thing out merges them, and misses a state, a violation, or what comes after.
 */
function expectDistinct(system: System, numbers: { states: number; bug: number | null }): void {
  const found = naiveEqualsExplorer(system);
  expect(found.states).toBe(numbers.states);
  expect(found.violated.BUG ?? null).toBe(numbers.bug);
  liveEqualsExplored(system, 1, 200);
}

const reach = (logic: AnyStateMachine, ...events: (string | EventObject)[]): AnySnapshot => {
  let [snapshot] = initialTransition(logic);
  for (const event of events) [snapshot] = transition(logic, snapshot, typeof event === 'string' ? { type: event } : event);
  return snapshot;
};
const key = (snapshot: AnySnapshot, waiting: string[] = []): string => identityKey(snapshot, waiting, 'a');

const BUG = { tags: ['BUG'] };

describe('two local states that differ only in', () => {
  test('the state value, nested', () => {
    const logic = machine({
      id: 'm',
      initial: 'outer',
      states: {
        outer: { initial: 'one', states: { one: { on: { next: 'two' } }, two: { on: { next: 'three' } }, three: { on: { next: '#bad' } } } },
        bad: { id: 'bad', ...BUG },
      },
    });
    expectDistinct(single(logic, { choices: ['next'], path: false }), { states: 4, bug: 3 });
  });

  test('the context', () => {
    const logic = machine({
      id: 'm',
      context: { n: 0 },
      initial: 's',
      states: {
        s: {
          on: {
            next: [
              { guard: ({ context }: { context: { n: number } }) => context.n === 2, target: 'bad' },
              { actions: assign({ n: ({ context }) => context.n + 1 }) },
            ],
          },
        },
        bad: BUG,
      },
    });
    expectDistinct(single(logic, { choices: ['next'] }), { states: 4, bug: 3 });
  });

  test.each(['shallow', 'deep'] as const)('the %s history', (history) => {
    const logic = machine({
      id: 'm',
      initial: 'on',
      states: {
        on: { initial: 'one', states: { one: { on: { next: 'two' } }, two: { on: { hit: '#bad' } }, h: { type: 'history', history } }, on: { leave: 'off' } },
        off: { on: { back: 'on.h' } },
        bad: { id: 'bad', ...BUG },
      },
    });
    // Remembering nothing: one, two. Remembering one: off, one, two. Remembering two: off, two, bad.
    expectDistinct(single(logic, { choices: ['next', 'leave', 'back', 'hit'] }), { states: 8, bug: 2 });
    expect(key(reach(logic, 'leave'))).not.toBe(key(reach(logic, 'next', 'leave')));
  });

  test('the output', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: { s: { on: { end: 'end' } }, end: { type: 'final', output: ({ event }: { event: { with: number } }) => event.with } },
      output: ({ event }: { event: { output: number } }) => event.output,
    });
    expect(key(reach(logic, { type: 'end', with: 1 } as EventObject))).not.toBe(key(reach(logic, { type: 'end', with: 2 } as EventObject)));
    expectDistinct(
      single(logic, {
        choices: [
          { type: 'end', with: 1 },
          { type: 'end', with: 2 },
        ] as never,
      }),
      { states: 3, bug: null },
    );
  });

  test('the status', () => {
    const active = reach(machine({ id: 'm' }));
    expect(key({ ...active, status: 'done' } as AnySnapshot)).not.toBe(key(active));
    const end = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'end' } }, end: { type: 'final' } } });
    const found = explore(single(end));
    expect([found.states, found.transitions, found.exhausted]).toEqual([2, 1, true]);
    expect(found.properties.filter(({ violation }) => violation)).toEqual([]);
  });

  test('the error', () => {
    const active = reach(machine({ id: 'm' }));
    expect(key({ ...active, error: 'x' } as never)).not.toBe(key(active));
  });

  test('the delayed events that wait', () => {
    // The timer of `slow` goes on while the inner state comes and goes; once it has fired, nothing but its absence is left of it.
    const logic = machine({
      id: 'm',
      initial: 'slow',
      states: { slow: { after: { 10: { actions: assign({}) } }, on: { again: { target: 'slow', reenter: true } } } },
    });
    const system = single(logic, { choices: ['again'] });
    expect(explore(system).localStates).toEqual([{ actor: 'a', states: 2 }]);
    expectDistinct(system, { states: 2, bug: null });
    expect(key(reach(logic), ['xstate.after.10.m.slow'])).not.toBe(key(reach(logic)));
  });

  test('the order in which parallel regions were entered, where `always` lets it decide', () => {
    const half = (name: string): object => ({
      initial: 'one',
      states: {
        one: { on: { [name]: 'two' } },
        two: { always: { guard: ({ context }: { context: { go: boolean } }) => context.go, target: 'three', actions: assign({ last: name }) } },
        three: {},
      },
    });
    const logic = machine({
      id: 'm',
      type: 'parallel',
      context: { go: false, last: '' },
      on: { go: { actions: assign({ go: true }) } },
      states: { A: half('a'), B: half('b') },
    });
    const choices = ['a', 'b', 'go'];
    expect(reach(logic, 'a', 'b', 'go').context).not.toEqual(reach(logic, 'b', 'a', 'go').context);
    expect(key(reach(logic, 'a', 'b'))).not.toBe(key(reach(logic, 'b', 'a')));
    const system = single(logic, { choices });
    naiveEqualsExplorer(system);
    expect(liveEqualsExplored(system, 1, 300)).toBe(300);
  });

  test('a state node that a transition to its own history left out', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: {
        s: {
          type: 'parallel',
          tags: ['tag'],
          states: {
            A: { initial: 'one', states: { one: { on: { own: '#h' } } } },
            B: { initial: 'one', states: { one: { on: { self: '#m.s' } } } },
            h: { id: 'h', type: 'history', history: 'deep' },
          },
        },
      },
    });
    const [left, whole] = [reach(logic, 'own'), reach(logic, 'self')] as AnyMachineSnapshot[];
    expect([left?.value, left?.hasTag('tag'), whole?.hasTag('tag')]).toEqual([whole?.value, false, true]);
    expect(key(left as AnySnapshot)).not.toBe(key(whole as AnySnapshot));
    const system = single(logic, { choices: ['own', 'self'] });
    naiveEqualsExplorer(system);
    expect(liveEqualsExplored(system, 1, 300)).toBe(300);
  });

  test('the children', () => {
    const active = reach(machine({ id: 'm' }));
    expect(key({ ...active, children: { child: {} } } as never)).not.toBe(key(active));
  });

  test('the context of logic without states', () => {
    const logic = fromTransition((n: number) => Math.min(n + 1, 3), 0);
    const found = explore(defineSystem({ id: 's', actors: { a: actor(logic, { choices: [{ type: 'next' }] as never }) } }));
    expect([found.states, found.transitions]).toEqual([4, 3]);
  });
});

describe('two snapshots are the same local state', () => {
  test('when their contexts differ in the order of keys only', () => {
    const [snapshot] = initialTransition(createMachine({ id: 'm', context: { n: { a: 1, b: 2 } } }));
    expect(key({ ...snapshot, context: { n: { b: 2, a: 1 } } } as AnySnapshot)).toBe(key(snapshot));
  });

  test('when they remember the same states in another order', () => {
    const logic = machine({
      id: 'm',
      initial: 'on',
      states: {
        on: {
          type: 'parallel',
          on: { leave: 'off' },
          states: {
            A: { initial: 'one', states: { one: { on: { a: 'two' } }, two: {} } },
            B: { initial: 'one', states: { one: { on: { b: 'two' } }, two: {} } },
            h: { type: 'history', history: 'deep' },
          },
        },
        off: { on: { back: 'on.h' } },
      },
    });
    expect(key(reach(logic, 'a', 'b', 'leave'))).toBe(key(reach(logic, 'b', 'a', 'leave')));
  });
});

test('a snapshot that is not plain data has no key, and the message says where', () => {
  const logic = machine({ id: 'm', initial: 's', context: { when: new Date(0) }, states: { s: {} } });
  expect(() => key(reach(logic))).toThrow(
    new ModelError("machine 'm' (actor 'a'), state 's': context.when is a Date; an explored actor's state is plain JSON data"),
  );
});
