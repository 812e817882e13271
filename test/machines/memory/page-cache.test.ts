import { pageCache } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ mapping: actor(pageCache, { input: { blocks: { 0: 5, 1: null, 2: 0 }, mappers: 2 } }), p: probe() });

test('a file is mapped until its last VMA is unlinked', () => {
  const system = rig();
  const state = (): unknown => system.say('p', 'mapping', 'mapping.mapped');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'mapped' }]);
  system.say('p', 'mapping', 'mapping.unlink');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'mapped' }]);
  system.say('p', 'mapping', 'mapping.unlink');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'unmapped' }]);
});

test('an offset has a block, or is a hole', () => {
  const system = rig();
  const block = (index: number): unknown => system.say('p', 'mapping', { type: 'block.read', index });
  expect([0, 1, 2, 3].map(block)).toEqual([5, null, 0, null].map((pfn) => [{ type: 'block', pfn }]));
});

test('a block that was freed is not found again; the others are', () => {
  const system = rig();
  expect(system.say('p', 'mapping', { type: 'block.free', index: 0 })).toEqual([]);
  expect(system.say('p', 'mapping', { type: 'block.read', index: 0 })).toEqual([{ type: 'block', pfn: null }]);
  expect(system.context('mapping').blocks).toEqual({ 0: null, 1: null, 2: 0 });
});

test('every transition was taken', () => {
  expect(untaken(pageCache)).toEqual([]);
});
