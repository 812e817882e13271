import { assign } from 'xstate';
import { actor, defineSystem, explore, type System, speaker } from '../../src/index.js';
import { type LiveMessage, LiveSystem } from '../../src/live/live.js';
import { labelOf } from '../../src/system/system.js';
import { liveEqualsExplored, naiveEqualsExplorer } from '../laws.js';
import { refusal } from '../systems/refused.js';
import { machine, single } from '../systems/small.js';

const { tell } = speaker<Record<string, never>, { type: string; from: string }>();
const value = (live: LiveSystem, address = 'a'): unknown => (live.snapshot(address) as { value?: unknown }).value;
const offered = (live: LiveSystem): string[] => live.enabled().map(labelOf);
const take = (live: LiveSystem, label: string): void => void live.take(live.enabled().find((choice) => labelOf(choice) === label) as never);

const timed = machine({
  id: 'm',
  initial: 'idle',
  states: {
    idle: { on: { step: 'armed' } },
    armed: { tags: ['rest'], after: { 10: 'short', 500: 'long' }, on: { disarm: 'idle', again: { target: 'armed', reenter: true } } },
    short: { tags: ['rest'] },
    long: { tags: ['rest'] },
  },
});
const system = (): System => single(timed, { choices: ['step', 'disarm', 'again'] });

describe('when timers are choices', () => {
  test('each that runs is one, and no order between them is assumed', () => {
    const live = new LiveSystem(system());
    expect(offered(live)).toEqual(['a: step']);
    take(live, 'a: step');
    expect(offered(live)).toEqual(['a: disarm', 'a: again', 'a: xstate.after.10.m.armed', 'a: xstate.after.500.m.armed']);
    take(live, 'a: xstate.after.500.m.armed');
    expect([value(live), offered(live)]).toEqual(['long', []]);
  });

  test('leaving the state stops them, re-entering starts them anew', () => {
    const live = new LiveSystem(system());
    take(live, 'a: step');
    take(live, 'a: disarm');
    expect(offered(live)).toEqual(['a: step']);
    take(live, 'a: step');
    take(live, 'a: again');
    expect(offered(live)).toHaveLength(4);
    take(live, 'a: xstate.after.10.m.armed');
    expect(value(live)).toBe('short');
  });

  test('nothing fires by itself', () => {
    jest.useFakeTimers();
    const live = new LiveSystem(system());
    take(live, 'a: step');
    jest.advanceTimersByTime(10_000);
    expect(value(live)).toBe('armed');
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  test('timers of several actors, restarted crosswise, are told apart', () => {
    const two = defineSystem({ id: 's', actors: { a: actor(timed, { choices: ['step', 'again'] }), b: actor(timed, { choices: ['step', 'again'] }) } });
    const live = new LiveSystem(two);
    for (const label of ['a: step', 'b: step', 'a: again', 'b: again', 'b: xstate.after.10.m.armed']) take(live, label);
    expect([value(live, 'a'), value(live, 'b')]).toEqual(['armed', 'short']);
    take(live, 'a: xstate.after.500.m.armed');
    expect([value(live, 'a'), value(live, 'b')]).toEqual(['long', 'short']);
    expect(liveEqualsExplored(two, 1, 300)).toBe(300);
  });

  test('a timer that is started twice without being stopped is one', () => {
    // A transition to the history of its own region enters the state again without leaving it.
    const again = machine({
      id: 'm',
      initial: 's',
      states: { s: { initial: 'x', states: { x: { after: { 10: { actions: assign({}) } }, on: { again: '#h' } }, h: { id: 'h', type: 'history' } } } },
    });
    const two = defineSystem({ id: 's', actors: { a: actor(again, { choices: ['again'] }), b: actor(again, { choices: ['again'] }) } });
    expect(liveEqualsExplored(two, 1, 300)).toBe(300);
  });

  test('exploring sees the same, a timer that is stopped included', () => {
    expect(naiveEqualsExplorer(system())).toEqual({ states: 4, transitions: 5, depth: 2, violated: {} });
    expect(explore(system()).localStates).toEqual([{ actor: 'a', states: 4 }]);
  });
});

describe('when timers are real', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test('they fire by themselves, the shorter first, and are no choices', () => {
    const live = new LiveSystem(system(), { timers: 'real' });
    take(live, 'a: step');
    expect(offered(live)).toEqual(['a: disarm', 'a: again']);
    jest.advanceTimersByTime(9);
    expect(value(live)).toBe('armed');
    jest.advanceTimersByTime(1);
    expect([value(live), offered(live)]).toEqual(['short', []]);
  });

  test('leaving the state stops them, and so does stopping the system', () => {
    const live = new LiveSystem(system(), { timers: 'real' });
    take(live, 'a: step');
    take(live, 'a: disarm');
    expect(jest.getTimerCount()).toBe(0);
    take(live, 'a: step');
    expect(jest.getTimerCount()).toBe(2);
    live.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('a delayed choice cannot be taken', () => {
    const live = new LiveSystem(system(), { timers: 'real' });
    take(live, 'a: step');
    const delayed = live.system.choices.find((choice) => choice.delayed);
    expect(refusal(() => live.take(delayed as never))).toBe("ScheduleError: step 2: 'a: xstate.after.10.m.armed' is not possible, a is in 'armed'");
  });

  test('what follows from a timer is told as messages; a thousand ticks are not one endless step', () => {
    const ticking = machine({ id: 'm', initial: 's', states: { s: { after: { 10: { target: 's', reenter: true, actions: tell('b', { type: 'tick' }) } } } } });
    const clock = defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b' })), a: actor(ticking) }, limits: { cascade: 50 } });
    const live = new LiveSystem(clock, { timers: 'real' });
    const messages: LiveMessage[] = [];
    live.messages.subscribe((message) => messages.push(message));
    jest.advanceTimersByTime(10_000);
    expect(messages.filter(({ event }) => event.type === 'tick')).toHaveLength(1000);
    live.stop();
  });

  test('an actor that fails in a timer is an error of the next step', () => {
    const failing = machine({ id: 'm', initial: 's', states: { s: { after: { 10: { actions: tell('nobody', { type: 'x' }) } } } } });
    const ready = machine({ id: 'b', on: { step: { actions: assign({}) } } });
    const live = new LiveSystem(defineSystem({ id: 's', actors: { a: actor(failing), b: actor(ready, { choices: ['step'] }) } }), { timers: 'real' });
    jest.advanceTimersByTime(10);
    expect(refusal(() => live.take(live.system.choices.find(({ event }) => event.type === 'step') as never))).toContain(
      "'a' speaks to 'nobody', which is no actor of this system or has finished",
    );
  });
});
