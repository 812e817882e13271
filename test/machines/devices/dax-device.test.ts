import { daxDevice } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (input?: { alive?: boolean }): Rig => new Rig({ dax: actor(daxDevice, input ? { input } : {}), p: probe() });
const stateOf = (system: Rig): unknown => system.say('p', 'dax', 'dax.alive');
const alive = [{ type: 'dax.state', state: 'alive' }];
const dead = [{ type: 'dax.state', state: 'dead' }];

test('a dax device is alive until it is killed, and stays dead', () => {
  const system = rig();
  expect(stateOf(system)).toEqual(alive);
  expect(system.say('p', 'dax', 'dax.kill')).toEqual([]);
  expect(stateOf(system)).toEqual(dead);
  expect(system.say('p', 'dax', 'dax.kill')).toEqual([]);
  expect(stateOf(system)).toEqual(dead);
});

test('one that is being probed is dead until run_dax, and alive from then on', () => {
  const system = rig({ alive: false });
  expect(stateOf(system)).toEqual(dead);
  expect(system.say('p', 'dax', 'dax.run')).toEqual([]);
  expect(stateOf(system)).toEqual(alive);
  expect(system.say('p', 'dax', 'dax.run')).toEqual([]);
  expect(stateOf(system)).toEqual(alive);
});

test('a device that was killed can be probed again', () => {
  const system = rig({ alive: true });
  system.say('p', 'dax', 'dax.kill');
  system.say('p', 'dax', 'dax.run');
  expect(stateOf(system)).toEqual(alive);
});

test('every transition was taken', () => {
  expect(untaken(daxDevice)).toEqual([]);
});
