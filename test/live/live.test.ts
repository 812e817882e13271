import type { InspectionEvent } from 'xstate';
import { assign, fromTransition } from 'xstate';
import { actor, defineSystem, ModelError, post, ScheduleError, type System, speaker } from '../../src/index.js';
import { type LiveMessage, type LiveStep, LiveSystem } from '../../src/live/live.js';
import { randomChoices, recorded, roundRobin } from '../../src/live/strategies.js';
import { type Choice, labelOf } from '../../src/system/system.js';
import { refusal } from '../systems/refused.js';
import { lamps, lostUpdate, machine, single, twoLocks } from '../systems/small.js';

const choice = ({ choices }: System, label: string): Choice => {
  const found = choices.find((candidate) => labelOf(candidate) === label);
  if (!found) throw new Error(`no choice '${label}'`);
  return found;
};
const contextOf = (live: LiveSystem, address: string): unknown => live.snapshot(address).context;
const { tell } = speaker<Record<string, never>, { type: string; from: string }>();

describe('a live system', () => {
  test('moves only by the choices it is given', () => {
    const system = lostUpdate();
    const live = new LiveSystem(system);
    expect(live.enabled().map(labelOf)).toEqual(['w0: step', 'w1: step']);
    const step = live.take(choice(system, 'w0: step'));
    expect([step.number, labelOf(step.choice)]).toEqual([1, 'w0: step']);
    expect(step.messages).toEqual([
      { step: 1, from: null, to: 'w0', event: { type: 'step' } },
      { step: 1, from: 'w0', to: 'cell', event: { type: 'read', from: 'w0' } },
      { step: 1, from: 'cell', to: 'w0', event: { type: 'value', value: 0, from: 'cell' } },
    ]);
    expect(
      step.changed.map(({ actor, before, after }) => [actor.address, (before as { value?: unknown }).value, (after as { value?: unknown }).value]),
    ).toEqual([['w0', 'reading', 'writing']]);
    expect(live.snapshot('w1')).toMatchObject({ value: 'reading' });
  });

  test('tells its steps and messages as they happen, the messages of its start included', () => {
    const hello = machine({ id: 'hello', entry: tell('b', { type: 'hello' }), on: { step: { actions: tell('b', { type: 'again' }) } } });
    const system = defineSystem({ id: 's', actors: { b: actor(machine({ id: 'b' })), a: actor(hello) } });
    const live = new LiveSystem(system);
    const steps: LiveStep[] = [];
    const messages: LiveMessage[] = [];
    const ended: string[] = [];
    live.steps.subscribe({ next: (step) => steps.push(step), complete: () => ended.push('steps') });
    live.messages.subscribe({ next: (message) => messages.push(message), complete: () => ended.push('messages') });
    live.take(choice(system, 'a: step'));
    live.take(choice(system, 'a: step'));
    live.stop();
    expect(steps.map(({ number }) => number)).toEqual([1, 2]);
    expect(messages.map(({ step, from, to, event }) => [step, from, to, event.type])).toEqual([
      [1, null, 'a', 'step'],
      [1, 'a', 'b', 'again'],
      [2, null, 'a', 'step'],
      [2, 'a', 'b', 'again'],
    ]);
    expect(ended).toEqual(['steps', 'messages']);
  });

  test("passes XState's inspection events through", () => {
    const events: InspectionEvent[] = [];
    const system = lostUpdate();
    const live = new LiveSystem(system, { inspect: (event) => events.push(event) });
    live.take(choice(system, 'w0: step'));
    const of = (type: string): InspectionEvent[] => events.filter((event) => event.type === type);
    expect(of('@xstate.actor').map(({ actorRef }) => (actorRef as { id?: string }).id)).toEqual(expect.arrayContaining(['cell', 'w0', 'w1', 'scheduler']));
    const sent = of('@xstate.event').flatMap((event) => (event.type === '@xstate.event' && !event.event.type.startsWith('xstate.') ? [event.event.type] : []));
    expect(sent).toEqual(['choice', 'step', 'read', 'value']);
    expect(of('@xstate.snapshot').length).toBeGreaterThan(0);
    expect(of('@xstate.microstep').length).toBeGreaterThan(0);
    expect(new Set(events.map(({ rootId }) => rootId)).size).toBe(1);
    // An observer hears the same.
    const heard: string[] = [];
    new LiveSystem(lostUpdate(), { inspect: { next: ({ type }) => heard.push(type) } }).take(choice(system, 'w0: step'));
    expect(heard).toEqual(events.map(({ type }) => type));
  });

  test('is one XState actor system, whose actors find each other by address', () => {
    const seen: unknown[] = [];
    new LiveSystem(lostUpdate(), {
      inspect: (event) => event.type === '@xstate.actor' && seen.push((event.actorRef as unknown as { system: unknown }).system),
    });
    expect(seen.length).toBe(5);
    expect(new Set(seen).size).toBe(1);
  });

  test('refuses a choice that is not enabled, and stays as it is', () => {
    const system = lostUpdate();
    const live = new LiveSystem(system);
    const [w0] = [choice(system, 'w0: step')];
    live.take(w0);
    live.take(w0);
    const before = live.identity();
    expect(live.enabled().map(labelOf)).toEqual(['w1: step']);
    expect(() => live.take(w0)).toThrow(new ScheduleError("step 3: 'w0: step' is not possible, w0 is in 'finished'"));
    expect(live.identity()).toEqual(before);
    expect(live.take(choice(system, 'w1: step')).number).toBe(3);
  });

  test('refuses a choice of an actor that has finished', () => {
    const system = single(machine({ id: 'm', initial: 's', states: { s: { on: { step: 'end' } }, end: { type: 'final' } } }));
    const live = new LiveSystem(system);
    live.take(choice(system, 'a: step'));
    expect(live.enabled()).toEqual([]);
    expect(refusal(() => live.take(choice(system, 'a: step')))).toBe("ScheduleError: step 2: 'a: step' is not possible, a is in 'end'");
  });

  test('offers a choice of logic without states where it would do something, and asks without doing it', () => {
    const logic = fromTransition((count: number, event: { type: string }, scope) => {
      if (event.type === 'call') post(scope, 'b', { type: 'hello' });
      if (event.type === 'self') scope.self.send({ type: 'up' });
      return event.type === 'up' ? Math.min(count + 1, 1) : count;
    }, 0);
    const heard = machine({ id: 'b', context: { heard: 0 }, on: { hello: { actions: assign({ heard: ({ context }) => context.heard + 1 }) } } });
    const system = defineSystem({ id: 's', actors: { b: actor(heard), a: actor(logic, { choices: ['up', 'call', 'self', 'nothing'] }) } });
    const live = new LiveSystem(system);
    expect(live.enabled().map(labelOf)).toEqual(['a: up', 'a: call', 'a: self']);
    live.take(choice(system, 'a: up'));
    expect(live.enabled().map(labelOf)).toEqual(['a: call', 'a: self']);
    expect(contextOf(live, 'b')).toEqual({ heard: 0 });
    live.take(choice(system, 'a: call'));
    expect(contextOf(live, 'b')).toEqual({ heard: 1 });
  });
});

describe('a strategy', () => {
  const run = (system: System, strategy: (live: LiveSystem) => Parameters<LiveSystem['run']>[0]): string[] => {
    const live = new LiveSystem(system);
    const taken: string[] = [];
    live.steps.subscribe(({ choice }) => taken.push(labelOf(choice)));
    live.run(strategy(live));
    live.stop();
    return taken;
  };

  test('random: the same seed gives the same run, another seed another', () => {
    const [one, again, other] = [7, 7, 8].map((seed) => run(lamps(3), (live) => randomChoices(live, seed, 50)));
    expect(one).toHaveLength(50);
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
  });

  test('random: all enabled choices come up, about alike', () => {
    const taken = run(lamps(4), (live) => randomChoices(live, 1, 4000));
    for (const lamp of [0, 1, 2, 3]) {
      const times = taken.filter((label) => label === `lamp${lamp}: toggle`).length;
      expect(times).toBeGreaterThan(900);
      expect(times).toBeLessThan(1100);
    }
  });

  test('round robin: the next enabled choice after the last', () => {
    expect(run(lamps(3), (live) => roundRobin(live, 5))).toEqual(['lamp0: toggle', 'lamp1: toggle', 'lamp2: toggle', 'lamp0: toggle', 'lamp1: toggle']);
    expect(run(lostUpdate(), (live) => roundRobin(live, 10))).toEqual(['w0: step', 'w1: step', 'w0: step', 'w1: step']);
  });

  test('recorded: just that', () => {
    expect(run(lostUpdate(), (live) => recorded(live, [1, 1, 0]))).toEqual(['w1: step', 'w1: step', 'w0: step']);
  });

  test('recorded: one that does not fit ends with the error, after the steps that fit', () => {
    const live = new LiveSystem(lostUpdate());
    const taken: number[] = [];
    live.steps.subscribe(({ number }) => taken.push(number));
    expect(refusal(() => live.run(recorded(live, [0, 0, 0, 1])))).toBe("ScheduleError: step 3: 'w0: step' is not possible, w0 is in 'finished'");
    expect(taken).toEqual([1, 2]);
  });

  test('ends where nothing is enabled', () => {
    expect(run(lostUpdate(), (live) => randomChoices(live, 3, 1000))).toHaveLength(4);
    expect(run(twoLocks(false), (live) => roundRobin(live, 1000)).length).toBeGreaterThan(5);
  });
});

describe('an actor that fails', () => {
  const failing = (actions: unknown, rest: object = {}): System =>
    defineSystem({
      id: 's',
      actors: {
        b: actor(machine({ id: 'b', initial: 'on', states: { on: { on: { end: 'off' } }, off: { type: 'final' } } })),
        a: actor(machine({ id: 'm', on: { step: { actions } }, ...rest })),
      },
    });
  const failure = (system: System, steps = 1): string =>
    refusal(() => {
      const live = new LiveSystem(system);
      for (let taken = 0; taken < steps; taken++) live.take(choice(system, 'a: step'));
    });
  const throws = (): never => {
    throw new Error('no page\nat all');
  };

  test.each<[string, System, number, string]>([
    ['speaks to nobody', failing(tell('c', { type: 'x' })), 1, "step 1: 'a' speaks to 'c', which is no actor of this system or has finished"],
    ['speaks to one that has finished', failing(tell('b', { type: 'end' })), 2, "step 2: 'a' speaks to 'b', which is no actor of this system or has finished"],
    [
      'speaks to one that finishes before',
      failing([tell('b', { type: 'end' }), tell('b', { type: 'x' })]),
      1,
      "step 1: 'a' sends 'x' to 'b', which has finished",
    ],
    ['throws', failing(assign(throws)), 1, 'step 1: no page at all'],
    ['throws on starting', failing([], { entry: assign(throws) }), 0, 'step 0: no page at all'],
    ['throws in its first context', failing([], { context: throws }), 0, 'step 0: no page at all'],
  ])('because it %s makes the step a ModelError', (_, system, steps, message) => {
    expect(failure(system, steps)).toBe(`ModelError: system 's', live, ${message}`);
  });

  test('ends a stream of choices', () => {
    const system = failing(tell('b', { type: 'end' }));
    const live = new LiveSystem(system);
    expect(() => live.run(roundRobin(live, 10))).toThrow(ModelError);
  });

  test('has failed for good', () => {
    const system = defineSystem({
      id: 's',
      actors: {
        a: actor(machine({ id: 'm', on: { step: { actions: assign(throws) } } })),
        b: actor(machine({ id: 'b', on: { step: { actions: assign({}) } } })),
      },
    });
    const live = new LiveSystem(system);
    expect(() => live.take(choice(system, 'a: step'))).toThrow(ModelError);
    expect(refusal(() => live.take(choice(system, 'b: step')))).toBe("ModelError: system 's', live, step 1: no page at all");
  });
});

test('a recorded schedule with a number that is no choice is refused, naming the step', () => {
  const live = new LiveSystem(lostUpdate());
  expect(() => recorded(live, [0, 99])).toThrow("step 2: choice 99 is not one of this system's");
});
