import { folio, newSlab } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: 'old' } }) });

const rig = (...allocated: number[][]): Rig =>
  new Rig({
    ...page(4),
    ...page(5),
    ...page(6),
    alloc_pages: allocated.length > 0 ? returns(...allocated.map((pfns) => ({ pfns }))) : answers(),
    slab: actor(newSlab, { input: { allocPages: 'alloc_pages' } }),
    p: probe(),
  });
const call = (system: Rig, given: { order?: number; content: string } = { content: 'objects' }): Rig => {
  system.say('p', 'slab', { type: 'call', ...given });
  return system;
};
const contents = (system: Rig): unknown => [4, 5, 6].map((pfn) => system.context(`page${pfn}`).content);
function expectAtRest(system: Rig): void {
  expect([system.at('slab'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context('slab')).toMatchObject({ caller: '', order: 0, content: '', pfns: [] });
}

test('a page of its own: what the kernel keeps there is written once the allocator has handed it out', () => {
  const system = call(rig());
  expect([system.at('slab'), system.can('slab', 'step'), contents(system)]).toEqual(['alloc_slab_page', false, ['old', 'old', 'old']]);
  system.say('p', 'slab', { type: 'return', pfns: [4] });
  expect([system.at('slab'), contents(system)]).toEqual(['setup_object', ['old', 'old', 'old']]);
  expect(system.settle().said('slab')).toEqual(['alloc_pages: call {"order":0}', 'page4: memory.write {"value":"objects"}', 'p: return']);
  expect(contents(system)).toEqual(['objects', 'old', 'old']);
  expectAtRest(system);
});

test('several: page by page', () => {
  const system = call(rig([4, 5, 6]), { order: 1, content: 'ptes' });
  expect(contents(system.take('slab', 'step'))).toEqual(['ptes', 'old', 'old']);
  expect(contents(system.take('slab', 'step'))).toEqual(['ptes', 'ptes', 'old']);
  expect([system.at('slab'), system.heard('p')]).toEqual(['setup_object', []]);
  expect(contents(system.take('slab', 'step'))).toEqual(['ptes', 'ptes', 'ptes']);
  expect(system.heard('alloc_pages')).toEqual([{ type: 'call', order: 1 }]);
  expectAtRest(system);
});

test('no memory: nothing is written', () => {
  const system = call(rig([])).settle();
  expect([system.said('slab'), contents(system)]).toEqual([
    ['alloc_pages: call {"order":0}', 'p: return'],
    ['old', 'old', 'old'],
  ]);
  expectAtRest(system);
});

test('it can be called again, and remembers nothing of the call before', () => {
  const system = call(call(rig([4, 5], [6]), { order: 1, content: 'ptes' }).settle()).settle();
  expect([contents(system), system.heard('alloc_pages')]).toEqual([
    ['ptes', 'ptes', 'objects'],
    [
      { type: 'call', order: 1 },
      { type: 'call', order: 0 },
    ],
  ]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(newSlab)).toEqual([]);
});
