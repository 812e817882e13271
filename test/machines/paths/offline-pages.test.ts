import { memSection } from '../../../machines/memory/mem-section.js';
import { offlinePages } from '../../../machines/paths/offline-pages.js';
import { pfnWalker } from '../../../machines/paths/pfn-walker.js';
import { rwsem } from '../../../machines/sync/rwsem.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (others: Actors = {}): Rig =>
  new Rig({
    section1: actor(memSection, { input: { subsection: 8, active: [1], early: false, present: true, online: true } }),
    mem_hotplug_lock: actor(rwsem),
    remove_section: returns(),
    offline: actor(offlinePages, { input: { hotplugLock: 'mem_hotplug_lock', removeSection: 'remove_section' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'offline', { type: 'call', section: 'section1', subsections: [1], start: 8, nr: 8, whole: true });
  return system;
};
const lock = 'mem_hotplug_lock: down_write';
const unlock = 'mem_hotplug_lock: up_write';
const first = [lock, 'section1: section.set_offline', unlock];
const remove = 'remove_section: call {"section":"section1","subsections":[1],"start":8,"nr":8,"whole":true}';
const removed = [...first, lock, remove, unlock, 'p: return'];

test('the section is offline under the lock, and removed under it again', () => {
  const system = call(rig()).settle();
  expect(system.said('offline')).toEqual(removed);
  expect([system.context('section1').online, system.context('mem_hotplug_lock').writer]).toEqual([false, null]);
});

test('it sleeps while others hold the lock', () => {
  const system = rig();
  system.say('p', 'mem_hotplug_lock', 'down_read');
  call(system).settle();
  expect([system.at('offline'), system.can('offline', 'step'), system.context('section1').online]).toEqual(['wait_for_mem_hotplug_lock', false, true]);
  system.say('p', 'mem_hotplug_lock', 'up_read');
  expect(system.settle().said('offline')).toEqual(removed);
});

test('one access at a time', () => {
  const system = call(rig());
  const places = [system.at('offline')];
  while (system.can('offline', 'step')) places.push(system.take('offline', 'step').at('offline'));
  expect(places).toEqual(['mem_hotplug_begin', 'offline_mem_sections', 'memory_offline', 'try_remove_memory', 'mem_hotplug_done', 'idle']);
});

describe('between the two nobody holds the lock', () => {
  test('it sleeps again while others hold it then: the section stays', () => {
    const system = call(rig()).stepTo('offline', 'try_remove_memory');
    expect(system.context('mem_hotplug_lock').writer).toBe(null);
    system.say('p', 'mem_hotplug_lock', 'down_read');
    system.settle();
    expect([system.at('offline'), system.can('offline', 'step'), system.heard('remove_section')]).toEqual(['wait_to_remove', false, []]);
    system.say('p', 'mem_hotplug_lock', 'up_read');
    expect(system.settle().said('offline')).toEqual(removed);
    expect(system.context('mem_hotplug_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  });

  const page8 = answers({ 'page.head': [{ type: 'page.head', head: 8 }], 'page.read': [{ type: 'page.counts', refcount: 1, mapcount: 0, idle: true }] });
  test.each([
    ['pfn_valid reads it: its struct page is still there', 'valid', 1],
    ['pfn_to_online_page passes it by', 'online', 0],
  ] as const)('a walker that waited for it gets in, and holds up the removal; one that asks %s', (_, gate, seen) => {
    const walker = actor(pfnWalker, { input: { gate, sectionSize: 8, hotplugLock: 'mem_hotplug_lock' } });
    const system = call(rig({ page8, walker, q: probe() })).stepTo('offline', 'memory_offline');
    system.say('q', 'walker', { type: 'call', pfns: [8] });
    system.take('walker', 'step').take('offline', 'step').take('offline', 'step');
    expect([system.at('offline'), system.context('mem_hotplug_lock').readers]).toEqual(['wait_to_remove', ['walker']]);
    system.stepTo('walker', 'put_online_mems');
    expect([system.heard('page8').length, system.heard('remove_section')]).toEqual([2 * seen, []]);
    expect(system.settle().said('offline')).toEqual(removed);
    expect(system.heard('q').at(-1)).toEqual({ type: 'return', seen });
  });
});

test('it can be called again', () => {
  const system = call(call(rig()).settle()).settle();
  expect(system.said('offline')).toEqual([...removed, ...removed]);
  expect([system.at('offline'), system.context('offline')]).toMatchObject(['idle', { caller: '', range: null }]);
});

test('every transition was taken', () => {
  expect(untaken(offlinePages)).toEqual([]);
});
