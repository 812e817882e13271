import { devPagemap } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (registered?: boolean): Rig =>
  new Rig({
    page4: answers(),
    page5: answers(),
    page6: answers(),
    pgmap: actor(devPagemap, { input: { pages: ['page4', 'page5'], ...(registered === undefined ? {} : { registered }) } }),
    p: probe(),
  });

test('a pfn finds it until it is erased', () => {
  const system = rig();
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
  expect(system.say('p', 'pgmap', 'xa_erase')).toEqual([]);
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'none' }]);
});

test.each([true, undefined])('it is in the xarray at first (registered: %s)', (registered) => {
  expect(rig(registered).say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
});

test('before the probe stores it no pfn finds it', () => {
  const system = rig(false);
  expect(system.at('pgmap')).toBe('erased');
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'none' }]);
  expect(system.say('p', 'pgmap', 'xa_store')).toEqual([]);
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
});

test('it can be probed, removed and probed again', () => {
  const system = rig(false);
  for (const message of ['xa_store', 'xa_erase']) system.say('p', 'pgmap', message);
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'none' }]);
  for (const message of ['xa_store', 'xa_store']) system.say('p', 'pgmap', message);
  expect(system.say('p', 'pgmap', 'xa_load')).toEqual([{ type: 'xa', result: 'found' }]);
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
