import { madvise, rwsem } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig =>
  new Rig({
    mmap_lock: actor(rwsem),
    zap: answers(),
    madvise: actor(madvise, { input: { mmapLock: 'mmap_lock', zap: 'zap' } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'madvise', { type: 'call', vpns: [2, 3] });
  return system.settle();
};
const round = ['mmap_lock: down_read', 'zap: call {"vpns":[2,3],"event":"CLEAR"}', 'mmap_lock: up_read', 'p: return'];

test('a range is zapped with mmap_lock held for reading; it returns after that', () => {
  const system = call(rig());
  expect([system.at('madvise'), system.can('madvise', 'step')]).toEqual(['zap_page_range_single', false]);
  expect(system.context('mmap_lock')).toMatchObject({ readers: ['madvise'], writer: null });
  expect(system.heard('p')).toEqual([]);
  system.say('p', 'madvise', 'return');
  expect(system.settle().said('madvise')).toEqual(round);
  expect(system.context('mmap_lock').readers).toEqual([]);
  expect(system.context('madvise')).toMatchObject({ caller: '', vpns: [] });
});

test('while it zaps, others may read mmap_lock, but nobody may write', () => {
  const system = call(rig());
  expect(system.say('p', 'mmap_lock', 'down_read')).toEqual([{ type: 'locked' }]);
  system.say('p', 'mmap_lock', 'up_read');
  expect(system.say('p', 'mmap_lock', 'down_write')).toEqual([]);
  system.say('p', 'madvise', 'return');
  expect(system.settle().context('mmap_lock').writer).toBe('p');
});

test('it runs beside others that read', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_read');
  expect(call(system).at('madvise')).toBe('zap_page_range_single');
});

test('it sleeps while somebody writes', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_write');
  call(system);
  expect([system.at('madvise'), system.can('madvise', 'step'), system.heard('zap')]).toEqual(['wait_for_mmap_lock', false, []]);
  system.say('p', 'mmap_lock', 'up_write');
  expect(system.settle().heard('zap')).toEqual([{ type: 'call', vpns: [2, 3], event: 'CLEAR' }]);
});

test('it can be called again', () => {
  const system = call(rig());
  system.say('p', 'madvise', 'return');
  call(system.settle());
  system.say('p', 'madvise', 'return');
  expect(system.settle().said('madvise')).toEqual([...round, ...round]);
});

test('every transition was taken', () => {
  expect(untaken(madvise)).toEqual([]);
});
