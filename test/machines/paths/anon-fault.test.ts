import { addressSpace, anonFault, folio, type Pte, pageAllocator, presentPte, putPage, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = ({ free = [7], anonymous }: { free?: number[]; anonymous?: boolean } = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [3], cpumask: [] } }),
    ptl: actor(spinlock),
    allocator: actor(pageAllocator, { input: { free } }),
    page7: actor(folio, { input: { pfn: 7, refcount: 0, idle: 0, zone: 'normal' } }),
    page8: actor(folio, { input: { pfn: 8, refcount: 0, idle: 0, zone: 'normal' } }),
    put_page: actor(putPage, { input: {} }),
    fault: actor(anonFault, {
      input: { mm: 'mm', ptl: 'ptl', allocator: 'allocator', putPage: 'put_page', ...(anonymous === undefined ? {} : { anonymous }) },
    }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'fault', { type: 'call', vpn: 3 });
  return system;
};
const pte = (system: Rig): unknown => system.context('mm').ptes[3];
const returned = (system: Rig): unknown => system.heard('p').flatMap(({ type, ok }) => (type === 'return' ? [ok] : []));
const owner = (system: Rig): unknown => system.context('ptl').owner;

test('a fresh page: prepared, its mapping counted, and only then mapped, under the page-table lock', () => {
  const system = call(rig()).settle();
  expect(system.said('fault')).toEqual([
    'allocator: alloc_page',
    'page7: folio.prep_new',
    'ptl: lock',
    'mm: pte.read {"vpn":3}',
    'page7: folio.add_rmap',
    'mm: pte.set {"vpn":3,"pte":{"kind":"present","pfn":7,"write":true,"dirty":false,"devmap":false,"special":false}}',
    'ptl: unlock',
    'p: return {"ok":true}',
  ]);
  expect(system.context('page7')).toMatchObject({ refcount: 1, mapcount: 1, dirty: false, written: false });
  expect([system.context('allocator').free, owner(system)]).toEqual([[], null]);
  expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, pfn: -1, ok: false });
});

test('the page-table lock is held from the look at the pte until it is set', () => {
  const system = call(rig()).stepTo('fault', 'vmf_pte_changed');
  expect(owner(system)).toBe('fault');
  expect(owner(system.stepTo('fault', 'set_pte_at'))).toBe('fault');
  expect(owner(system.take('fault', 'step'))).toBeNull();
});

test('a VMA of a file or a driver: SIGBUS, and no page is taken', () => {
  const system = call(rig({ anonymous: false })).settle();
  expect([system.said('fault'), system.context('allocator').free]).toEqual([['p: return {"ok":false}'], [7]]);
});

test('out of memory: the page table is left alone', () => {
  const system = call(rig({ free: [] })).settle();
  expect([system.said('fault'), pte(system)]).toEqual([['allocator: alloc_page', 'p: return {"ok":false}'], undefined]);
});

test.each<[string, Pte]>([
  ['another page', presentPte(8)],
  ['a migration entry', { kind: 'migration', pfn: 8, write: true }],
])('when another thread was faster (%s) the page goes back, and the access may run again', (_, theirs) => {
  const system = rig();
  system.say('p', 'ptl', 'lock');
  call(system).settle();
  expect([system.at('fault'), system.can('fault', 'step'), system.context('page7').refcount]).toEqual(['spin_on_ptl', false, 1]);
  system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: theirs });
  system.say('p', 'ptl', 'unlock');
  system.settle();
  expect([system.at('page7'), pte(system), owner(system), returned(system)]).toEqual(['free', theirs, null, [true]]);
  expect(system.said('fault').slice(-4)).toEqual(['mm: pte.read {"vpn":3}', 'ptl: unlock', 'put_page: call {"pfn":7,"pinned":false}', 'p: return {"ok":true}']);
});

test('it can be called again: with the pte there, the access may run at once', () => {
  const system = call(call(rig({ free: [7, 8] })).settle()).settle();
  expect([returned(system), pte(system), system.at('page8')]).toEqual([[true, true], presentPte(7), 'free']);
});

test('every transition was taken', () => {
  expect(untaken(anonFault)).toEqual([]);
});
