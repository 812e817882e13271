import { devPagemap } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig =>
  new Rig({ page4: answers(), page5: answers(), page6: answers(), pgmap: actor(devPagemap, { input: { pages: ['page4', 'page5'] } }), p: probe() });

test('a pfn finds it until it is erased', () => {
  const system = rig();
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
  expect(system.say('p', 'pgmap', 'xa_erase')).toEqual([]);
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'none' }]);
});

test('remove_pages removes each of its pages, and no other', () => {
  const system = rig();
  system.say('p', 'pgmap', 'remove_pages');
  expect(system.said('pgmap')).toEqual(['page4: page.remove', 'page5: page.remove']);
});

test('its pages can be removed before or after it is erased', () => {
  const system = rig();
  system.say('p', 'pgmap', 'remove_pages');
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
  const other = rig();
  other.say('p', 'pgmap', 'xa_erase');
  other.say('p', 'pgmap', 'remove_pages');
  expect(other.heard('page4')).toEqual([{ type: 'page.remove' }]);
});

test('every transition was taken', () => {
  expect(untaken(devPagemap)).toEqual([]);
});
