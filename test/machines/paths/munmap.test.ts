import { addressSpace, munmap, pageCache, rwsem } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [0, 1, 2], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    mapping: actor(pageCache, { input: { blocks: {}, mappers: 1 } }),
    zap: answers(),
    munmap: actor(munmap, { input: { mm: 'mm', mmapLock: 'mmap_lock', mapping: 'mapping', zap: 'zap' } }),
    p: probe(),
  });

test('with mmap_lock held for writing: no VMA, no ptes, and the file forgets the mapping', () => {
  const system = rig();
  system.say('p', 'munmap', { type: 'call', vpns: [0, 1] });
  system.settle();
  expect([system.at('munmap'), system.can('munmap', 'step')]).toEqual(['unmap_vmas', false]);
  expect([system.context('mm').vmas, system.context('mapping').mappers, system.context('mmap_lock').writer]).toEqual([[2], 1, 'munmap']);
  system.say('p', 'munmap', 'return');
  system.settle();
  expect(system.said('munmap')).toEqual([
    'mmap_lock: down_write',
    'mm: vma.unlink {"vpns":[0,1]}',
    'zap: call {"vpns":[0,1]}',
    'mapping: mapping.unlink',
    'mmap_lock: up_write',
    'p: return',
  ]);
  expect([system.context('mapping').mappers, system.context('mmap_lock').writer]).toEqual([0, null]);
  expect(system.context('munmap')).toMatchObject({ caller: '', vpns: [] });
});

test('it sleeps while others hold mmap_lock', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_read');
  system.say('p', 'munmap', { type: 'call', vpns: [0] });
  system.settle();
  expect([system.at('munmap'), system.can('munmap', 'step'), system.context('mm').vmas]).toEqual(['wait_for_mmap_lock', false, [0, 1, 2]]);
  system.say('p', 'mmap_lock', 'up_read');
  expect(system.settle().context('mm').vmas).toEqual([1, 2]);
});

test('every transition was taken', () => {
  expect(untaken(munmap)).toEqual([]);
});
