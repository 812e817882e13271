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
  expect([system.at('task'), system.context('task')]).toEqual(['exited', { program: [], debug: null, repeats: false, pauses: false, isNew: false }]);
});

test('one that repeats calls the first path after the last, for ever', () => {
  const program = [{ path: 'first', arguments: { vpn: 3 } }, { path: 'second' }];
  const system = new Rig({ first: answers(), second: answers(), p: probe(), task: actor(task, { input: { program, repeats: true } }) });
  for (let time = 0; time < 4; time++) system.say('p', 'task', 'return');
  expect(system.said('task')).toEqual(['first: call {"vpn":3}', 'second: call', 'first: call {"vpn":3}', 'second: call', 'first: call {"vpn":3}']);
  expect([system.at('task'), system.context('task').program]).toEqual(['in_call', program]);
});

test('one that pauses is in user code after each call, for as long as it likes', () => {
  const program = [{ path: 'first' }, { path: 'second' }];
  const system = new Rig({
    ...{ first: answers(), second: answers(), p: probe(), debug: answers() },
    task: actor(task, { input: { program, pauses: true, debug: 'debug' }, environment: ['again'] }),
  });
  expect([system.at('task'), system.can('task', 'again')]).toEqual(['in_call', false]);
  system.say('p', 'task', 'return');
  const { tags } = system.live.snapshot('task') as unknown as { tags: Set<string> };
  expect([system.at('task'), [...tags], system.said('task')]).toEqual(['in_user', ['rest'], ['first: call', 'debug: luf.return_to_user']]);
  expect(system.take('task', 'again').said('task')).toEqual(['first: call', 'debug: luf.return_to_user', 'second: call']);
  system.say('p', 'task', 'return');
  expect(system.at('task')).toBe('in_user');
  expect([system.take('task', 'again').at('task'), system.can('task', 'again'), system.said('task').length]).toEqual(['exited', false, 4]);
});

test('one that pauses and repeats goes through the same states for ever', () => {
  const program = [{ path: 'first', arguments: { vpn: 3 } }, { path: 'second' }];
  const system = new Rig({
    ...{ first: returns(), second: returns() },
    task: actor(task, { input: { program, repeats: true, pauses: true }, environment: ['again'] }),
  });
  const said = ['first: call {"vpn":3}', 'second: call'];
  const seen: unknown[] = [[system.at('task'), system.context('task').program]];
  for (let round = 0; round < 4; round++) {
    system.take('task', 'again');
    seen.push([system.at('task'), system.context('task').program]);
  }
  const [first, second] = [program, [program[1], program[0]]];
  expect(seen).toEqual([second, first, second, first, second].map((left) => ['in_user', left]));
  expect(system.said('task')).toEqual([...said, ...said, ...said.slice(0, 1)]);
});

test('one that is to be forked does nothing until its parent wakes it, and rests', () => {
  const program = [{ path: 'first' }];
  const system = new Rig({ first: returns(), p: probe(), task: actor(task, { input: { program, isNew: true } }) });
  const { tags } = system.live.snapshot('task') as unknown as { tags: Set<string> };
  expect([system.at('task'), [...tags], system.said('task')]).toEqual(['not_forked', ['rest'], []]);
  system.say('p', 'task', 'wake_up_new_task');
  expect([system.at('task'), system.said('task')]).toEqual(['exited', ['first: call']]);
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
