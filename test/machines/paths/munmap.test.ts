import { addressSpace, munmap, rwsem, type UnlinkVma } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (unlink?: UnlinkVma): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [0, 1, 2], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    zap: answers(),
    munmap: actor(munmap, { input: { mm: 'mm', mmapLock: 'mmap_lock', zap: 'zap', ...(unlink ? { unlink } : {}) } }),
    p: probe(),
  });

test('Z1: with mmap_lock held for writing the VMA goes, and then its ptes', () => {
  const system = rig();
  system.say('p', 'munmap', { type: 'call', vpns: [0, 1] });
  system.settle();
  expect([system.at('munmap'), system.can('munmap', 'step')]).toEqual(['unmap_region', false]);
  expect([system.context('mm').vmas, system.context('mmap_lock').writer]).toEqual([[2], 'munmap']);
  system.say('p', 'munmap', 'return');
  system.settle();
  expect(system.said('munmap')).toEqual([
    'mmap_lock: down_write',
    'mm: vma.find {"vpn":0}',
    'mm: vma.unlink {"vpns":[0,1]}',
    'zap: call {"vpns":[0,1],"unlink":{"mapping":null}}',
    'mmap_lock: up_write',
    'p: return',
  ]);
  expect(system.context('mmap_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  expect([system.at('munmap'), system.context('munmap')]).toMatchObject(['idle', { caller: '', vpns: [] }]);
});

test('with no VMA there is nothing to do', () => {
  const system = rig();
  system.say('p', 'munmap', { type: 'call', vpns: [7] });
  expect(system.settle().said('munmap')).toEqual(['mmap_lock: down_write', 'mm: vma.find {"vpn":7}', 'mmap_lock: up_write', 'p: return']);
});

test('what goes with the VMA is told to zap', () => {
  const system = rig({ mapping: 'mapping', pfnmap: true, tables: [0] });
  system.say('p', 'munmap', { type: 'call', vpns: [0] });
  system.settle();
  expect(system.heard('zap')).toEqual([{ type: 'call', vpns: [0], unlink: { mapping: 'mapping', pfnmap: true, tables: [0] } }]);
});

test('what goes with the VMA is the same at the next call', () => {
  const system = rig({ mapping: 'mapping' });
  for (const vpn of [0, 1]) {
    system.say('p', 'munmap', { type: 'call', vpns: [vpn] });
    system.settle();
    system.say('p', 'munmap', 'return');
    system.settle();
  }
  expect(system.heard('zap')).toEqual([
    { type: 'call', vpns: [0], unlink: { mapping: 'mapping' } },
    { type: 'call', vpns: [1], unlink: { mapping: 'mapping' } },
  ]);
  expect(system.heard('p').filter(({ type }) => type === 'return')).toHaveLength(2);
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
