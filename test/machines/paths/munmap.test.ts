import { addressSpace, munmap, rwsem, type UnlinkVma } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (unlink?: UnlinkVma, told: { coherence?: string; debug?: string } = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [0, 1, 2], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    zap: answers(),
    coherence: answers(),
    debug: answers(),
    munmap: actor(munmap, { input: { mm: 'mm', mmapLock: 'mmap_lock', zap: 'zap', ...told, ...(unlink ? { unlink } : {}) } }),
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
    'zap: call {"vpns":[0,1],"unlink":{"mapping":null},"event":"UNMAP"}',
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
  expect(system.heard('zap')).toEqual([{ type: 'call', vpns: [0], unlink: { mapping: 'mapping', pfnmap: true, tables: [0] }, event: 'UNMAP' }]);
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
    { type: 'call', vpns: [0], unlink: { mapping: 'mapping' }, event: 'UNMAP' },
    { type: 'call', vpns: [1], unlink: { mapping: 'mapping' }, event: 'UNMAP' },
  ]);
  expect(system.heard('p').filter(({ type }) => type === 'return')).toHaveLength(2);
});

describe('who asks for it is told that the access is withdrawn', () => {
  const told = { coherence: 'coherence', debug: 'debug' };
  const unmapped = (system: Rig, vpns: number[]): Rig => {
    system.say('p', 'munmap', { type: 'call', vpns });
    system.settle();
    system.say('p', 'munmap', 'return');
    return system.settle();
  };

  test('when it returns, and not before', () => {
    const system = rig(undefined, told);
    system.say('p', 'munmap', { type: 'call', vpns: [1] });
    system.settle();
    system.say('p', 'munmap', 'return');
    expect([system.at('munmap'), system.heard('coherence'), system.heard('debug')]).toEqual(['mmap_write_unlock', [], []]);
    system.take('munmap', 'step');
    expect(system.said('munmap').slice(-4)).toEqual([
      'mmap_lock: up_write',
      'coherence: place.unmap {"mm":"mm","vpns":[1]}',
      'debug: luf.withdrawn {"mm":"mm","vpns":[1]}',
      'p: return',
    ]);
  });

  test('each by itself, at every call', () => {
    const system = unmapped(unmapped(rig(undefined, { debug: 'debug' }), [0]), [1]);
    expect([system.heard('coherence'), system.heard('debug')]).toEqual([[], [0, 1].map((vpn) => ({ type: 'luf.withdrawn', mm: 'mm', vpns: [vpn] }))]);
    expect(unmapped(rig(undefined, { coherence: 'coherence' }), [2]).heard('debug')).toEqual([]);
  });

  test('of all pages at once', () => {
    const system = unmapped(rig(undefined, told), [0, 1]);
    expect(system.heard('coherence')).toEqual([{ type: 'place.unmap', mm: 'mm', vpns: [0, 1] }]);
    expect(system.heard('debug')).toEqual([{ type: 'luf.withdrawn', mm: 'mm', vpns: [0, 1] }]);
  });
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
