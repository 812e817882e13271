import type { InputFrom } from 'xstate';
import { devPagemap } from '../../../machines/devices/dev-pagemap.js';
import { memSection } from '../../../machines/memory/mem-section.js';
import { pfnWalker } from '../../../machines/paths/pfn-walker.js';
import { rwsem } from '../../../machines/sync/rwsem.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const page = (head: number): Actors[string] =>
  answers({ 'page.head': [{ type: 'page.head', head }], 'page.read': [{ type: 'page.counts', refcount: 1, mapcount: 0, idle: true }] });
/** Of two subsections one is added. */
const section = (early: boolean, online: boolean): Actors[string] =>
  actor(memSection, { input: { subsection: 4, active: [0, 2], early, present: true, online } });
const pgmap = { pgmap: 'pgmap', tryget: 'tryget', put: 'put' };

const rig = (input: Partial<InputFrom<typeof pfnWalker>>, others: Actors = {}): Rig =>
  new Rig({
    page2: page(2),
    page3: page(2),
    page5: page(5),
    page9: page(9),
    section0: section(false, true),
    section1: section(true, false),
    pgmap: actor(devPagemap, { input: { pages: [] } }),
    tryget: returns({ ok: true }),
    put: returns(),
    mem_hotplug_lock: actor(rwsem),
    walker: actor(pfnWalker, { input: { gate: 'none', sectionSize: 8, ...input } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, ...pfns: number[]): Rig => {
  system.say('p', 'walker', { type: 'call', pfns });
  return system;
};
const walk = (input: Partial<InputFrom<typeof pfnWalker>>, pfns: number[], others: Actors = {}): string[] =>
  call(rig(input, others), ...pfns)
    .settle()
    .said('walker');

const read = (pfn: number, head = pfn): string[] => [`page${pfn}: page.head`, `page${head}: page.read`];
const seen = (count: number): string => `p: return {"seen":${count}}`;

test('it reads the head of each page, and then the reference count of that, a step each', () => {
  expect(walk({}, [2, 3])).toEqual([...read(2), ...read(3, 2), seen(2)]);
  const system = call(rig({}), 3);
  expect([system.at('walker'), system.take('walker', 'step').at('walker')]).toEqual(['page_folio', 'page_ref_count']);
});

test('no pfns: nothing is touched', () => {
  expect(walk({}, [])).toEqual([seen(0)]);
});

describe('pfn_valid', () => {
  const ask = (pfn: number): string => `section${Math.floor(pfn / 8)}: section.pfn_valid {"pfn":${pfn}}`;

  test('it skips pages whose subsection is not there', () => {
    expect(walk({ gate: 'valid' }, [2, 5])).toEqual([ask(2), ...read(2), ask(5), seen(1)]);
  });

  test('all pages of an early section are valid, online or not', () => {
    const early = { section0: section(true, false) };
    expect(walk({ gate: 'valid' }, [5], early)).toEqual([ask(5), ...read(5), seen(1)]);
  });

  test('the answer and the read are steps of their own: what was valid may be gone', () => {
    const system = call(rig({ gate: 'valid' }), 2).stepTo('walker', 'page_folio');
    system.say('p', 'section0', 'section.clear_present');
    expect(system.settle().said('walker')).toEqual([ask(2), ...read(2), seen(1)]);
  });
});

test('pfn_to_online_page: it skips pages that are not online', () => {
  const ask = (pfn: number): string => `section${Math.floor(pfn / 8)}: section.pfn_to_online_page {"pfn":${pfn}}`;
  expect(walk({ gate: 'online' }, [2, 5, 9])).toEqual([ask(2), ...read(2), ask(5), ask(9), seen(1)]);
});

describe('get_dev_pagemap', () => {
  const find = ['pgmap: xa_load', 'tryget: call'];

  test('it holds the pagemap of each page while it reads', () => {
    expect(walk({ gate: 'pagemap', pgmap }, [2, 3])).toEqual([...find, ...read(2), 'put: call', ...find, ...read(3, 2), 'put: call', seen(2)]);
  });

  test('a pagemap that is dying: the page is skipped, and nothing put', () => {
    const tryget = returns({ ok: false }, { ok: true });
    expect(walk({ gate: 'pagemap', pgmap }, [2, 3], { tryget })).toEqual([...find, ...find, ...read(3, 2), 'put: call', seen(1)]);
  });

  test('memory_failure asks whether the pfn is valid before', () => {
    expect(walk({ gate: 'memory_failure', pgmap }, [2])).toEqual(['section0: section.pfn_valid {"pfn":2}', ...find, ...read(2), 'put: call', seen(1)]);
  });

  test('no pagemap: no reference is tried', () => {
    const none = actor(devPagemap, { input: { pages: [], registered: false } });
    expect(walk({ gate: 'pagemap', pgmap }, [2, 3], { pgmap: none })).toEqual(['pgmap: xa_load', 'pgmap: xa_load', seen(0)]);
  });
});

describe('get_online_mems', () => {
  const hotplugLock = 'mem_hotplug_lock';

  test('the lock is held for the whole walk', () => {
    expect(walk({ hotplugLock }, [2, 3])).toEqual(['mem_hotplug_lock: down_read', ...read(2), ...read(3, 2), 'mem_hotplug_lock: up_read', seen(2)]);
  });

  test('it sleeps while memory comes or goes', () => {
    const system = rig({ hotplugLock });
    system.say('p', 'mem_hotplug_lock', 'down_write');
    call(system, 2).settle();
    expect([system.at('walker'), system.can('walker', 'step'), system.heard('page2')]).toEqual(['wait_for_mem_hotplug_lock', false, []]);
    system.say('p', 'mem_hotplug_lock', 'up_write');
    system.settle();
    expect(system.heard('p').at(-1)).toEqual({ type: 'return', seen: 1 });
    expect(system.context('mem_hotplug_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  });
});

test('it can be called again', () => {
  const system = call(call(rig({}), 2, 3).settle(), 5).settle();
  expect(system.said('walker')).toEqual([...read(2), ...read(3, 2), seen(2), ...read(5), seen(1)]);
  expect([system.at('walker'), system.context('walker')]).toMatchObject(['idle', { caller: '', pfns: [], head: -1, seen: 0 }]);
});

test('every transition was taken', () => {
  expect(untaken(pfnWalker)).toEqual([]);
});
