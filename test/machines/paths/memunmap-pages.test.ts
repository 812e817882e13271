import { devPagemap, memunmapPages, memunmapPages510, percpuRef, rcu, rwsem } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (logic: typeof memunmapPages | typeof memunmapPages510, others: Actors = {}): Rig =>
  new Rig({
    page4: answers(),
    page5: answers(),
    pgmap: actor(devPagemap, { input: { pages: ['page4', 'page5'] } }),
    ref: answers({ 'ref.sub_and_test': [{ type: 'ref.count', value: 0 }], 'ref.wait': [{ type: 'ref.released' }] }),
    kill: returns(),
    put_page: returns(),
    rcu: actor(rcu, { choices: ['grace_period'] }),
    memunmap: actor(logic, { input: { pgmap: 'pgmap', ref: 'ref', kill: 'kill', putPage: 'put_page', rcu: 'rcu', pfns: [4, 5] } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'memunmap', 'call');
  return system;
};
const end = ['pgmap: xa_erase', 'rcu: synchronize_rcu', 'p: return'];

describe('since 5.18', () => {
  const begin = ['kill: call', 'ref: ref.sub_and_test {"n":2}', 'ref: ref.wait'];

  test('kill, put the base references at once, wait, remove, erase, wait for RCU', () => {
    const system = call(rig(memunmapPages)).settle();
    expect(system.said('memunmap')).toEqual([...begin, 'pgmap: remove_pages', ...end]);
    expect([system.heard('page4'), system.heard('page5'), system.heard('put_page')]).toEqual([[{ type: 'page.remove' }], [{ type: 'page.remove' }], []]);
  });

  test('nothing is removed before the last reference of the pagemap is gone', () => {
    const system = call(rig(memunmapPages, { ref: actor(percpuRef, { input: { cpus: [], base: 2, atomic: true } }) })).settle();
    expect([system.at('memunmap'), system.can('memunmap', 'step'), system.said('memunmap')]).toEqual(['wait_for_done', false, begin]);
    system.say('p', 'ref', { type: 'ref.sub_and_test', n: 1 });
    expect(system.settle().heard('page4')).toEqual([{ type: 'page.remove' }]);
  });

  test('it returns after lookups that found the pagemap are over', () => {
    const system = rig(memunmapPages);
    system.say('p', 'rcu', 'rcu.read_lock');
    call(system).settle();
    expect([system.at('memunmap'), system.heard('p')]).toEqual(['wait_rcu_gp', []]);
    system.say('p', 'rcu', 'rcu.read_unlock');
    expect(system.settle().heard('p').at(-1)).toEqual({ type: 'return' });
    expect(system.context('memunmap')).toMatchObject({ caller: '', left: [] });
  });
});

describe('where the vmemmap is modelled', () => {
  const sections = [
    { section: 'section0', subsections: [1], start: 4, nr: 4, whole: false },
    { section: 'section1', subsections: [2, 3], start: 8, nr: 8, whole: true },
  ];
  const sectionRig = (): Rig =>
    rig(memunmapPages, {
      remove_section: returns(),
      mem_hotplug_lock: actor(rwsem),
      memunmap: actor(memunmapPages, {
        input: {
          ...{ pgmap: 'pgmap', ref: 'ref', kill: 'kill', putPage: 'put_page', rcu: 'rcu', pfns: [4, 8] },
          removeMemory: { path: 'remove_section', hotplugLock: 'mem_hotplug_lock', sections },
        },
      }),
    });
  const begin = ['kill: call', 'ref: ref.sub_and_test {"n":2}', 'ref: ref.wait', 'mem_hotplug_lock: down_write'];
  const remove = [
    'remove_section: call {"section":"section0","subsections":[1],"start":4,"nr":4,"whole":false}',
    'remove_section: call {"section":"section1","subsections":[2,3],"start":8,"nr":8,"whole":true}',
    'mem_hotplug_lock: up_write',
  ];

  test('memory goes section by section, under the lock; the pagemap is not told to remove pages', () => {
    const system = call(sectionRig()).settle();
    expect(system.said('memunmap')).toEqual([...begin, ...remove, ...end]);
    expect([system.heard('page4'), system.context('mem_hotplug_lock').writer]).toEqual([[], null]);
  });

  test('it sleeps while others hold the lock', () => {
    const system = sectionRig();
    system.say('p', 'mem_hotplug_lock', 'down_read');
    call(system).settle();
    expect([system.at('memunmap'), system.can('memunmap', 'step'), system.said('memunmap')]).toEqual(['wait_for_mem_hotplug_lock', false, begin]);
    system.say('p', 'mem_hotplug_lock', 'up_read');
    expect(system.settle().said('memunmap')).toEqual([...begin, ...remove, ...end]);
  });

  test('it can be called again', () => {
    const system = call(call(sectionRig()).settle()).settle();
    expect(system.said('memunmap')).toEqual([...begin, ...remove, ...end, ...begin, ...remove, ...end]);
    expect([system.at('memunmap'), system.context('memunmap')]).toMatchObject(['idle', { caller: '', left: [], sections: [] }]);
  });
});

describe('up to 5.17', () => {
  const begin = ['kill: call', 'put_page: call {"pfn":4,"pinned":false}', 'put_page: call {"pfn":5,"pinned":false}'];

  test('kill, drop the base reference of page after page, wait for the queue, remove, erase, wait for RCU', () => {
    const system = call(rig(memunmapPages510)).settle();
    expect(system.said('memunmap')).toEqual([...begin, 'ref: ref.wait', 'pgmap: remove_pages', ...end]);
    expect(system.context('memunmap')).toMatchObject({ caller: '', left: [] });
  });

  test('nothing is removed before the last bio and the last page are done', () => {
    const system = call(rig(memunmapPages510, { ref: actor(percpuRef, { input: { cpus: [], atomic: true } }) })).settle();
    expect([system.at('memunmap'), system.heard('page4')]).toEqual(['wait_for_zero', []]);
    system.say('p', 'ref', { type: 'ref.sub_and_test', n: 1 });
    expect(system.settle().heard('page4')).toEqual([{ type: 'page.remove' }]);
  });

  test('A11: the wait may come after the memory has gone', () => {
    const system = call(rig(memunmapPages510.provide({ guards: { waitsBeforeRemove: () => false } }))).settle();
    expect(system.said('memunmap')).toEqual([...begin, 'pgmap: remove_pages', 'ref: ref.wait', ...end]);
  });
});

test('every transition was taken', () => {
  expect([untaken(memunmapPages), untaken(memunmapPages510)]).toEqual([[], []]);
});
