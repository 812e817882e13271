import { pageAllocator } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (...free: number[]): Rig => new Rig({ allocator: actor(pageAllocator, { input: { free } }), p: probe(), q: probe() });

test('page frames are handed out in order, each once, whoever asks', () => {
  const system = rig(7, 3, 5);
  expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 7 }]);
  expect(system.say('q', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 3 }]);
  expect(system.context('allocator')).toEqual({ free: [5] });
  expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 5 }]);
  expect(system.context('allocator')).toEqual({ free: [] });
});

test('page frame 0 is one like any other', () => {
  expect(rig(0).say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 0 }]);
});

test('without free page frames the answer is that there is none', () => {
  const system = rig();
  expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: null }]);
  expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: null }]);
  expect(system.context('allocator')).toEqual({ free: [] });
});

test('every transition was taken', () => {
  expect(untaken(pageAllocator)).toEqual([]);
});
