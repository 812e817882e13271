import type { InputFrom } from 'xstate';
import { devPagemap } from '../../../machines/devices/dev-pagemap.js';
import { memremapPages, sectionRange } from '../../../machines/paths/memremap-pages.js';
import { percpuRef } from '../../../machines/sync/percpu-ref.js';
import { rwsem } from '../../../machines/sync/rwsem.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const input = {
  pgmap: 'pgmap',
  start: 8,
  nr: 32,
  sectionSize: 16,
  subsection: 4,
  hotplugLock: 'mem_hotplug_lock',
  addSection: 'add',
  removeSection: 'remove',
  initZone: 'init',
  ref: 'ref',
  dax: 'dax',
};
const rig = (changes: Partial<InputFrom<typeof memremapPages>> = {}, others: Actors = {}): Rig =>
  new Rig({
    pgmap: actor(devPagemap, { input: { pages: [], registered: false } }),
    mem_hotplug_lock: actor(rwsem),
    add: returns({ ok: true }),
    remove: returns(),
    init: returns(),
    ref: actor(percpuRef, { input: { cpus: ['cpu0'] } }),
    dax: answers(),
    memremap: actor(memremapPages, { input: { ...input, ...changes } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'memremap', 'call');
  return system;
};
const said = (system: Rig): string[] => system.said('memremap');

const ranges = [
  '"section":"section0","subsections":[2,3],"start":8,"nr":8,"whole":false',
  '"section":"section1","subsections":[4,5,6,7],"start":16,"nr":16,"whole":true',
  '"section":"section2","subsections":[8,9],"start":32,"nr":8,"whole":false',
];
const add = (section: number): string => `add: call {${ranges[section]},"first":8}`;
const remove = (section: number): string => `remove: call {${ranges[section]}}`;
const begin = ['pgmap: xa_store', 'mem_hotplug_lock: down_write'];
const init = 'init: call {"start":8,"nr":32}';
const done = ['dax: dax.run', 'p: return {"ok":true}'];
const failed = ['mem_hotplug_lock: up_write', 'pgmap: xa_erase', 'p: return {"ok":false}'];

test('pagemap, sections under the lock, struct pages without it, base references, and the driver goes on', () => {
  const system = call(rig()).settle();
  expect(said(system)).toEqual([...begin, add(0), add(1), add(2), 'mem_hotplug_lock: up_write', init, 'ref: ref.add {"n":32}', ...done]);
  expect(system.at('pgmap')).toBe('registered');
});

test('the pagemap is found before there are struct pages', () => {
  const system = call(rig()).take('memremap', 'step');
  expect([system.at('memremap'), system.at('pgmap'), system.heard('add')]).toEqual(['mem_hotplug_begin', 'registered', []]);
});

test('it sleeps while others hold the lock, and struct pages are written without it', () => {
  const system = rig();
  system.say('p', 'mem_hotplug_lock', 'down_read');
  call(system).settle();
  expect([system.at('memremap'), system.can('memremap', 'step'), system.heard('add')]).toEqual(['wait_for_mem_hotplug_lock', false, []]);
  system.say('p', 'mem_hotplug_lock', 'up_read');
  system.stepTo('memremap', 'percpu_ref_get_many');
  expect(system.context('mem_hotplug_lock')).toMatchObject({ writer: null, waiters: [] });
  expect(system.heard('init')).toHaveLength(1);
});

test('row E15: sections may be added in another order', () => {
  const system = call(rig({ sections: [1, 0, 2] })).settle();
  expect(said(system).slice(2, 5)).toEqual([add(1), add(0), add(2)]);
});

test('a base reference for each compound', () => {
  const system = call(rig({ compound: 8 })).settle();
  expect(said(system)).toContain('ref: ref.add {"n":4}');
  // The bias and the pagemap's own reference come on top.
  expect(system.context('ref').count).toBe(1000 + 1 + 4);
});

test.each<[string, Partial<InputFrom<typeof memremapPages>>, string[]]>([
  ['a reference, no dax device', { dax: null }, ['ref: ref.add {"n":32}', 'p: return {"ok":true}']],
  ['no reference, a dax device', { ref: null }, done],
  ['neither', { ref: null, dax: null }, ['p: return {"ok":true}']],
])('%s', (_, changes, end) => {
  expect(said(call(rig(changes)).settle()).slice(5)).toEqual(['mem_hotplug_lock: up_write', init, ...end]);
});

describe('a section fails', () => {
  const add2 = { add: returns({ ok: true }, { ok: true }, { ok: false }) };

  test('what was added goes again, under the lock, then the pagemap; no struct page is written', () => {
    const system = call(rig({}, add2)).settle();
    expect(said(system)).toEqual([...begin, add(0), add(1), add(2), remove(0), remove(1), ...failed]);
    expect([system.at('pgmap'), system.heard('init'), system.context('mem_hotplug_lock').writer]).toEqual(['erased', [], null]);
  });

  test('the first: nothing is there to go', () => {
    const system = call(rig({}, { add: returns({ ok: false }) })).settle();
    expect(said(system)).toEqual([...begin, add(0), ...failed]);
  });

  test('6.12: nobody takes back what was added', () => {
    const system = call(rig({ removeSection: null }, add2)).settle();
    expect(said(system)).toEqual([...begin, add(0), add(1), add(2), ...failed]);
  });
});

test('it can be called again', () => {
  const system = call(rig({}, { add: returns({ ok: true }, { ok: false }, { ok: true }) })).settle();
  expect(system.context('memremap')).toMatchObject({ caller: '', left: [], added: [] });
  call(system).settle();
  expect(said(system)).toEqual([
    ...[...begin, add(0), add(1), remove(0), ...failed],
    ...[...begin, add(0), add(1), add(2), 'mem_hotplug_lock: up_write', init, 'ref: ref.add {"n":32}', ...done],
  ]);
  expect([system.at('memremap'), system.context('memremap')]).toMatchObject(['idle', { caller: '', left: [], added: [] }]);
});

test('the part of a section: partial ones at both ends, and a subsection that is only touched', () => {
  const sizes = { start: 6, nr: 14, sectionSize: 16, subsection: 4 };
  expect(sectionRange(0, sizes)).toEqual({ section: 'section0', subsections: [1, 2, 3], start: 6, nr: 10, whole: false });
  expect(sectionRange(1, sizes)).toEqual({ section: 'section1', subsections: [4], start: 16, nr: 4, whole: false });
});

test('every transition was taken', () => {
  expect(untaken(memremapPages)).toEqual([]);
});
