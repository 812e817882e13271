import { slot } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ slot: actor(slot, { input: { name: 'address_space_operations.writepage' } }), p: probe() });

test('its type gets the parameter', () => {
  const system = rig();
  expect(system.say('p', 'slot', 'parameters_contain')).toEqual([{ type: 'no' }]);
  expect(system.say('p', 'slot', 'add_parameter')).toEqual([{ type: 'added', to: 'address_space_operations.writepage' }]);
  expect(system.say('p', 'slot', 'parameters_contain')).toEqual([{ type: 'yes' }]);
  expect([system.at('slot'), system.bugs()]).toEqual(['mapping_parameter', []]);
});

test('to add it twice is a bug', () => {
  const system = rig();
  for (let time = 0; time < 2; time++) system.say('p', 'slot', 'add_parameter');
  expect(system.bugs()).toEqual(['BUG: a parameter for the mapping is added to a type that has one']);
});

test('every transition was taken', () => {
  expect(untaken(slot)).toEqual([]);
});
