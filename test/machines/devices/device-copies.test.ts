import { deviceCopies } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const first = { vpn: 3, pfn: 4, copy: 7 };
const second = { vpn: 5, pfn: 6, copy: 8 };
const third = { vpn: 9, pfn: 6, copy: 2 };
const listed = (...copies: object[]): object[] => [{ type: 'copies.listed', copies }];
const rig = (): Rig => {
  const system = new Rig({ copies: actor(deviceCopies), p: probe() });
  for (const copy of [first, second, third]) system.say('p', 'copies', { type: 'copies.add', ...copy });
  return system;
};

test('it names the copies of some pages, in the order of their making', () => {
  const system = rig();
  expect(system.say('p', 'copies', { type: 'copies.read', vpns: [9, 4, 3] })).toEqual(listed(first, third));
  expect(system.say('p', 'copies', { type: 'copies.read', vpns: [4] })).toEqual(listed());
  expect(system.context('copies')).toEqual({ copies: [first, second, third] });
});

test('who takes them is the only one', () => {
  const system = rig();
  expect(system.say('p', 'copies', { type: 'copies.take', vpns: [5, 9] })).toEqual(listed(second, third));
  expect(system.say('p', 'copies', { type: 'copies.take', vpns: [5, 9] })).toEqual(listed());
  expect(system.context('copies')).toEqual({ copies: [first] });
});

test('every transition was taken', () => {
  expect(untaken(deviceCopies)).toEqual([]);
});
