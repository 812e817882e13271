import { task } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

test('a task calls the paths of its program in order, each when the last has returned', () => {
  const program = [{ path: 'first', arguments: { vpn: 3 } }, { path: 'second' }, { path: 'first', arguments: { vpn: 4 } }];
  const system = new Rig({ first: returns(), second: answers(), p: probe(), task: actor(task, { input: { program } }) });
  expect([system.at('task'), system.said('task')]).toEqual(['in_call', ['first: call {"vpn":3}', 'second: call']]);
  system.say('p', 'task', 'return');
  expect(system.said('task')).toEqual(['first: call {"vpn":3}', 'second: call', 'first: call {"vpn":4}']);
  expect([system.at('task'), system.context('task')]).toEqual(['exited', { program: [], debug: null, repeats: false }]);
});

test('one that repeats calls the first path after the last, for ever', () => {
  const program = [{ path: 'first', arguments: { vpn: 3 } }, { path: 'second' }];
  const system = new Rig({ first: answers(), second: answers(), p: probe(), task: actor(task, { input: { program, repeats: true } }) });
  for (let time = 0; time < 4; time++) system.say('p', 'task', 'return');
  expect(system.said('task')).toEqual(['first: call {"vpn":3}', 'second: call', 'first: call {"vpn":3}', 'second: call', 'first: call {"vpn":3}']);
  expect([system.at('task'), system.context('task').program]).toEqual(['in_call', program]);
});

test('a debug mode is told of every return to user code, before the next call; without one nobody is', () => {
  const program = [{ path: 'first' }, { path: 'first' }];
  const said = ['debug', null].map((debug) => {
    const system = new Rig({ first: answers(), debug: answers(), p: probe(), task: actor(task, { input: { program, debug } }) });
    system.say('p', 'task', 'return');
    system.say('p', 'task', 'return');
    expect(system.at('task')).toBe('exited');
    return system.said('task');
  });
  expect(said).toEqual([
    ['first: call', 'debug: luf.return_to_user', 'first: call', 'debug: luf.return_to_user'],
    ['first: call', 'first: call'],
  ]);
});

test('one without a program has nothing to do', () => {
  const system = new Rig({ task: actor(task, { input: { program: [] } }) });
  expect([system.at('task'), system.live.snapshot('task').status]).toEqual(['exited', 'active']);
});

test('every transition was taken', () => {
  expect(untaken(task)).toEqual([]);
});
