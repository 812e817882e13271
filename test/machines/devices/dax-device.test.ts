import { daxDevice } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

test('a dax device is alive until it is killed, and stays dead', () => {
  const system = new Rig({ dax: actor(daxDevice), p: probe() });
  const state = (): unknown => system.say('p', 'dax', 'dax.alive');
  expect(state()).toEqual([{ type: 'dax.state', state: 'alive' }]);
  expect(system.say('p', 'dax', 'dax.kill')).toEqual([]);
  expect(state()).toEqual([{ type: 'dax.state', state: 'dead' }]);
  expect(system.say('p', 'dax', 'dax.kill')).toEqual([]);
  expect(state()).toEqual([{ type: 'dax.state', state: 'dead' }]);
});

test('every transition was taken', () => {
  expect(untaken(daxDevice)).toEqual([]);
});
