import { assign } from 'xstate';
import { actor, deadlockFree, defineSystem, explore, type System, speaker } from '../../src/index.js';
import { confirm } from '../../src/schedule/replay.js';
import { naiveEqualsExplorer } from '../laws.js';
import { machine, single, twoLocks } from '../systems/small.js';

/** The schedule of the first deadlock, in choice labels' events; null if there is none. Both searches and the live run have to agree. */
function deadlock(system: System): { schedule: string[]; message: string } | null {
  naiveEqualsExplorer(system);
  const violation = explore(system, { stop: () => false }).properties.find(({ kind }) => kind === 'deadlock')?.violation;
  if (!violation) return null;
  confirm(system, violation).live.stop();
  return { schedule: violation.schedule.map((index) => system.choices[index]?.event.type as string), message: violation.message };
}

describe('a deadlock is', () => {
  test('a state without any choice, where a path may not rest', () => {
    const logic = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'waiting' } }, waiting: { on: { reply: 's' } } } });
    expect(deadlock(single(logic))).toEqual({ schedule: ['step'], message: 'deadlock: a cannot go on' });
  });

  test('not a state in which every path rests or is done', () => {
    const resting = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'end' } }, end: { tags: ['rest'] } } });
    const done = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'end' } }, end: { type: 'final' } } });
    expect([deadlock(single(resting)), deadlock(single(done))]).toEqual([null, null]);
  });

  test('not a state in which an actor that is no path waits', () => {
    const idle = machine({ id: 'm', initial: 's', states: { s: { on: { ipi: 't' } }, t: {} } });
    expect(deadlock(single(idle, { choices: ['ipi'] }))).toBeNull();
    expect(deadlock(single(idle, { choices: ['ipi'], path: true }))).toEqual({ schedule: ['ipi'], message: 'deadlock: a cannot go on' });
  });

  test('a state in which only one of the paths cannot go on, once the other has finished', () => {
    const waiting = machine({ id: 'w', initial: 's', states: { s: { on: { reply: 't' } }, t: { tags: ['rest'] } } });
    const steps = machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } });
    expect(deadlock(defineSystem({ id: 's', actors: { w: actor(waiting, { path: true }), p: actor(steps) } }))).toEqual({
      schedule: ['step'],
      message: 'deadlock: w cannot go on',
    });
  });

  test('a state in which each step polls and changes nothing', () => {
    expect(deadlock(twoLocks(true))).toEqual({ schedule: ['step', 'step'], message: 'deadlock: p0, p1 cannot go on' });
    expect(deadlock(twoLocks(false))).toBeNull();
  });

  test('a state whose only step assigns what is there already, or re-enters the state', () => {
    const same = machine({ id: 'm', context: { n: 0 }, initial: 's', states: { s: { on: { step: { actions: assign({ n: 0 }) } } } } });
    const again = machine({ id: 'm', initial: 's', states: { s: { on: { step: { target: 's', reenter: true } } } } });
    for (const logic of [same, again]) {
      expect(deadlock(single(logic))).toEqual({ schedule: [], message: 'deadlock: a cannot go on' });
      // The step is enabled and is counted: it is no progress all the same.
      expect(explore(single(logic), { stop: () => false }).transitions).toBe(1);
    }
  });

  test('not a state from which a step leads on and back again', () => {
    const swings = machine({
      id: 'm',
      context: { n: 0 },
      initial: 's',
      states: { s: { on: { step: { actions: assign({ n: ({ context }) => 1 - context.n }) } } } },
    });
    expect(deadlock(single(swings))).toBeNull();
  });

  test('a state that only the environment can change', () => {
    const logic = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'waiting' } }, waiting: { on: { signal: 's' } } } });
    expect(deadlock(single(logic, { environment: ['signal'] }))).toEqual({ schedule: ['step'], message: 'deadlock: a cannot go on' });
    expect(deadlock(single(logic, { choices: ['step', 'signal'] }))).toBeNull();
  });

  test('not a state in which a timer runs, unless its firing changes nothing', () => {
    const timer = machine({ id: 'm', initial: 's', states: { s: { on: { step: 'waiting' } }, waiting: { after: { 10: 'end' } }, end: { tags: ['rest'] } } });
    expect(deadlock(single(timer))).toBeNull();
    const once = machine({ id: 'm', initial: 's', states: { s: { on: { step: 's' }, after: { 10: {} } } } });
    // The timer goes off: that changes the state, and then nothing does.
    expect(deadlock(single(once))?.schedule).toEqual(['xstate.after.10.m.s']);
  });

  test('found where the step that would help speaks to others without an effect', () => {
    const { tell } = speaker<Record<string, never>, { type: string }>();
    const deaf = machine({ id: 'deaf', initial: 's', states: { s: { on: { hello: {} } } } });
    const calls = machine({ id: 'm', initial: 's', states: { s: { on: { step: { actions: tell('deaf', { type: 'hello' }) } } } } });
    expect(deadlock(defineSystem({ id: 's', actors: { deaf: actor(deaf), p: actor(calls) } }))).toEqual({ schedule: [], message: 'deadlock: p cannot go on' });
  });

  test('reported under the name that the system gives it', () => {
    const logic = machine({ id: 'm', initial: 's', states: { s: { on: { reply: 's' } } } });
    const found = explore(single(logic, { path: true }, { properties: [deadlockFree('no hang')] }));
    expect(found.properties.map(({ name, violation }) => [name, violation?.schedule])).toEqual([
      ['BUG', undefined],
      ['no hang', []],
    ]);
  });
});
