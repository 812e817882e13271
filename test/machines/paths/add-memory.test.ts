import { folio } from '../../../machines/memory/folio.js';
import { memSection } from '../../../machines/memory/mem-section.js';
import { addMemory } from '../../../machines/paths/add-memory.js';
import { pfnWalker } from '../../../machines/paths/pfn-walker.js';
import { rwsem } from '../../../machines/sync/rwsem.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (logic: typeof addMemory = addMemory, others: Actors = {}): Rig =>
  new Rig({
    page8: answers(),
    page9: answers(),
    section1: actor(memSection, { input: { subsection: 8, active: [1], early: false, present: true, online: false } }),
    mem_hotplug_lock: actor(rwsem),
    add_section: returns({ ok: true }),
    add: actor(logic, { input: { hotplugLock: 'mem_hotplug_lock', addSection: 'add_section' } }),
    p: probe(),
    ...others,
  });
const range = { section: 'section1', subsections: [1], start: 8, nr: 2, whole: false };
const call = (system: Rig): Rig => {
  system.say('p', 'add', { type: 'call', ...range });
  return system;
};

const lock = 'mem_hotplug_lock: down_write';
const unlock = 'mem_hotplug_lock: up_write';
const section = 'add_section: call {"section":"section1","subsections":[1],"start":8,"nr":2,"whole":false,"first":8,"pgmap":false,"altmap":false}';
const init = ['page8: page.init {"refcount":1}', 'page9: page.init {"refcount":1}'];
const online = 'section1: section.set_online';
const first = [lock, section, unlock];
const added = [...first, lock, ...init, online, unlock, 'p: return {"ok":true}'];

test('the section is added under the lock; under it again every struct page is written, and then it is online', () => {
  const system = call(rig()).settle();
  expect(system.said('add')).toEqual(added);
  expect([system.context('section1').online, system.context('mem_hotplug_lock').writer]).toEqual([true, null]);
});

test('one access at a time', () => {
  const system = call(rig());
  const places = [system.at('add')];
  while (system.can('add', 'step')) places.push(system.take('add', 'step').at('add'));
  expect(places).toEqual([
    ...['mem_hotplug_begin', 'memory_added', 'memory_block_online', '__init_single_page', '__init_single_page'],
    ...['online_mem_sections', 'mem_hotplug_done', 'idle'],
  ]);
});

test('present does not mean online: in between struct pages are written, one a step', () => {
  const system = call(rig()).stepTo('add', '__init_single_page').take('add', 'step');
  expect([system.heard('page8').length, system.heard('page9').length, system.context('section1').online]).toEqual([1, 0, false]);
});

test('row E12: without the safeguard the section is online before its struct pages are written', () => {
  const system = call(rig(addMemory.provide({ guards: { initialisesBeforeOnline: () => false } }))).settle();
  expect(system.said('add')).toEqual([...first, lock, online, ...init, unlock, 'p: return {"ok":true}']);
});

test('it sleeps while others hold the lock', () => {
  const system = rig();
  system.say('p', 'mem_hotplug_lock', 'down_read');
  call(system).settle();
  expect([system.at('add'), system.can('add', 'step'), system.heard('add_section')]).toEqual(['wait_for_mem_hotplug_lock', false, []]);
  system.say('p', 'mem_hotplug_lock', 'up_read');
  expect(system.settle().said('add')).toEqual(added);
});

describe('between the two nobody holds the lock', () => {
  test('it sleeps again while others hold it then: no struct page is written', () => {
    const system = call(rig()).stepTo('add', 'memory_block_online');
    expect(system.context('mem_hotplug_lock').writer).toBe(null);
    system.say('p', 'mem_hotplug_lock', 'down_read');
    system.settle();
    expect([system.at('add'), system.can('add', 'step'), system.said('add')]).toEqual(['wait_to_online', false, [...first, lock]]);
    system.say('p', 'mem_hotplug_lock', 'up_read');
    expect(system.settle().said('add')).toEqual(added);
    expect(system.context('mem_hotplug_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  });

  const uninitialised = (pfn: number) => actor(folio, { input: { pfn, refcount: 0, idle: 0, zone: 'normal', uninitialised: true } });
  /** A walker that has waited for the lock from when the section was added, and has it now. */
  function walking(gate: 'valid' | 'online'): Rig {
    const walker = actor(pfnWalker, { input: { gate, sectionSize: 8, hotplugLock: 'mem_hotplug_lock' } });
    const system = call(rig(addMemory, { page8: uninitialised(8), page9: uninitialised(9), walker, q: probe() })).stepTo('add', 'memory_added');
    system.say('q', 'walker', { type: 'call', pfns: [8, 9] });
    system.take('walker', 'step');
    expect([system.at('walker'), system.can('walker', 'step')]).toEqual(['wait_for_mem_hotplug_lock', false]);
    system.take('add', 'step').take('add', 'step');
    expect([system.at('add'), system.context('mem_hotplug_lock').readers]).toEqual(['wait_to_online', ['walker']]);
    return system;
  }

  test('row E12: a walker that asks pfn_valid gets in, and finds a struct page that nobody has written', () => {
    const system = walking('valid').stepTo('walker', 'page_folio');
    expect(system.bugs()).toEqual([]);
    system.take('walker', 'step');
    expect(system.bugs()).toEqual(['BUG: struct page used that nobody has initialised']);
    expect(system.said('walker').slice(-2)).toEqual(['section1: section.pfn_valid {"pfn":8}', 'page8: page.head']);
  });

  test('row E12: one that asks pfn_to_online_page passes them by, and finds them when they are online', () => {
    const system = walking('online').settle();
    expect([system.heard('q').at(-1), system.at('add'), system.bugs()]).toEqual([{ type: 'return', seen: 0 }, 'idle', []]);
    system.say('q', 'walker', { type: 'call', pfns: [8, 9] });
    expect([system.settle().heard('q').at(-1), system.bugs()]).toEqual([{ type: 'return', seen: 2 }, []]);
  });
});

test('no memory for struct pages: nothing is written, nothing is online, the lock is let go; a later call may do', () => {
  const system = call(rig(addMemory, { add_section: returns({ ok: false }, { ok: true }) })).settle();
  expect(system.said('add')).toEqual([lock, section, unlock, 'p: return {"ok":false}']);
  expect([system.context('section1').online, system.context('mem_hotplug_lock').writer]).toEqual([false, null]);
  expect(call(system).settle().said('add').slice(4)).toEqual(added);
});

test('it can be called again', () => {
  const system = call(call(rig()).settle()).settle();
  expect(system.said('add')).toEqual([...added, ...added]);
  expect([system.at('add'), system.context('add')]).toMatchObject(['idle', { caller: '', range: null, left: [], ok: false }]);
});

test('every transition was taken', () => {
  expect(untaken(addMemory)).toEqual([]);
});
