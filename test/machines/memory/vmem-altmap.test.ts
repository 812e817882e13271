import { vmemAltmap } from '../../../machines/memory/vmem-altmap.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ altmap: actor(vmemAltmap, { input: { frames: ['altmap0', 'altmap1'] } }), p: probe() });
const alloc = (system: Rig): Message[] => system.say('p', 'altmap', 'altmap.alloc');
const free = (system: Rig): Rig => {
  expect(system.say('p', 'altmap', 'altmap.free')).toEqual([]);
  return system;
};
const frame = (address: string | null): Message[] => [{ type: 'altmap.frame', frame: address }];

test('its frames are handed out in order, then there are none', () => {
  const system = rig();
  expect([alloc(system), alloc(system), alloc(system), alloc(system)]).toEqual([frame('altmap0'), frame('altmap1'), frame(null), frame(null)]);
  expect(system.context('altmap')).toEqual({ frames: ['altmap0', 'altmap1'], allocated: 2 });
});

test('what is given back is handed out again', () => {
  const system = rig();
  alloc(system);
  alloc(system);
  free(system);
  expect(system.context('altmap').allocated).toBe(1);
  expect(alloc(system)).toEqual(frame('altmap1'));
});

test('all may be given back', () => {
  const system = rig();
  alloc(system);
  expect(free(system).bugs()).toEqual([]);
  expect([system.at('altmap'), system.context('altmap').allocated]).toEqual(['reserved', 0]);
});

test('E6, I10: to give back a frame that did not come from it is a bug, when the count is below zero', () => {
  const system = rig();
  alloc(system);
  expect(free(free(system)).bugs()).toEqual(['BUG: more frames are given back to the altmap than it has handed out']);
  expect(system.at('altmap')).toBe('altmap_underflow');
});

test('every transition was taken', () => {
  expect(untaken(vmemAltmap)).toEqual([]);
});
