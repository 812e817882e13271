import { addressSpace, folio, type Pte, presentPte, spinlock, zap } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (ptes: Record<string, Pte>, others: Actors = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2], cpumask: [] } }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, mapcount: 1, idle: 0 } }),
    flush: returns(),
    put: returns(),
    zap: actor(zap, { input: { mm: 'mm', ptl: 'ptl', flush: 'flush', putPage: 'put' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, ...vpns: number[]): Rig => {
  system.say('p', 'zap', { type: 'call', vpns });
  return system;
};
const devmap = (pfn: number): Pte => presentPte(pfn, { devmap: true, special: true });
function expectAtRest(system: Rig): void {
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('mm').tlbFlushPending).toBe(0);
  expect(system.context('zap')).toMatchObject({ caller: '', range: [], vpns: [], cleared: [], batch: [] });
  expect(system.heard('p').at(-1)).toEqual({ type: 'return' });
}

test('an ordinary page: its map count goes before the flush, its reference after', () => {
  const system = call(rig({ 0: presentPte(4) }), 0).settle();
  expect(system.said('zap')).toEqual([
    'mm: gather.begin',
    'ptl: lock',
    'mm: pte.get_and_clear {"vpn":0}',
    'page4: folio.remove_rmap',
    'ptl: unlock',
    'mm: gather.read',
    'flush: call {"vpns":[0]}',
    'put: call {"pfn":4,"pinned":false}',
    'mm: gather.end',
    'p: return',
  ]);
  expect(system.context('mm').ptes[0]).toEqual({ kind: 'none' });
  expect(system.context('page4')).toMatchObject({ mapcount: 0, refcount: 1 });
  expectAtRest(system);
});

test.each<[string, Pte]>([
  ['devmap and special', devmap(4)],
  ['special', presentPte(4, { special: true })],
])('a pte that is %s is cleared and flushed; its struct page is not touched', (_, pte) => {
  const system = call(rig({ 0: pte }), 0).settle();
  expect([system.heard('page4'), system.heard('put'), system.heard('flush')]).toEqual([[], [], [{ type: 'call', vpns: [0] }]]);
  expect(system.context('mm').ptes[0]).toEqual({ kind: 'none' });
  expectAtRest(system);
});

test('ptes that are none need no flush', () => {
  const system = call(rig({}), 0, 1).settle();
  expect([system.heard('flush'), system.heard('put')]).toEqual([[], []]);
  expectAtRest(system);
});

test('another gather under way: the whole range is flushed, even what was none already', () => {
  const system = rig({ 1: devmap(4) });
  system.say('p', 'mm', { type: 'gather.begin' });
  call(system, 0, 1).settle();
  expect(system.heard('flush')).toEqual([{ type: 'call', vpns: [0, 1] }]);
  expect(system.context('mm').tlbFlushPending).toBe(1);
});

test('many pages: one lock, one flush for those that were there, then the references in order', () => {
  const system = call(rig({ 0: presentPte(5), 2: presentPte(4), 3: devmap(5) }), 0, 1, 2, 3).settle();
  expect(system.said('zap').filter((said) => !said.includes('get_and_clear'))).toEqual([
    'mm: gather.begin',
    'ptl: lock',
    'page5: folio.remove_rmap',
    'page4: folio.remove_rmap',
    'ptl: unlock',
    'mm: gather.read',
    'flush: call {"vpns":[0,2,3]}',
    'put: call {"pfn":5,"pinned":false}',
    'put: call {"pfn":4,"pinned":false}',
    'mm: gather.end',
    'p: return',
  ]);
  expectAtRest(system);
});

test('it spins while another has the page-table lock, and holds it over all ptes', () => {
  const system = rig({ 0: presentPte(4), 1: presentPte(5) });
  system.say('p', 'ptl', 'lock');
  call(system, 0, 1).settle();
  expect([system.at('zap'), system.can('zap', 'step'), system.context('mm').tlbFlushPending]).toEqual(['spin_on_ptl', false, 1]);
  system.say('p', 'ptl', 'unlock');
  while (system.at('zap') !== 'pte_unmap_unlock') {
    expect(system.context('ptl').owner).toBe('zap');
    system.take('zap', 'step');
  }
  expectAtRest(system.settle());
});

test('no reference goes while the flush is under way', () => {
  const system = call(rig({ 0: presentPte(4) }, { flush: answers() }), 0).settle();
  expect([system.at('zap'), system.can('zap', 'step'), system.heard('put')]).toEqual(['tlb_flush_mmu', false, []]);
  system.say('p', 'zap', 'return');
  expect(system.heard('put')).toHaveLength(1);
  expectAtRest(system.settle());
});

test('every transition was taken', () => {
  expect(untaken(zap)).toEqual([]);
});
