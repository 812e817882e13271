import { addressSpace, folio, presentPte, spinlock } from '../../../machines/index.js';
import { insertFolioPmd } from '../../../machines/paths/insert-folio-pmd.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pmds?: Record<string, string | null>;
  huge?: number[];
  insert?: typeof insertFolioPmd;
  others?: Actors;
}

const rig = ({ pmds = { 0: null }, huge = [], insert = insertFolioPmd, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: huge.includes(0) ? { 0: presentPte(8) } : {}, vmas: [0, 1, 2, 3], cpumask: [], pmds, huge } }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, nr: 4 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0, tail: { head: 4 } } }),
    insert: actor(insert, { input: { mm: 'mm', ptl: 'ptl' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, pfn = 4, nr = 4): Rig => {
  system.say('p', 'insert', { type: 'call', vpn: 0, pfn, nr });
  return system;
};
function expectAtRest(system: Rig): void {
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('insert')).toMatchObject({ caller: '', vpn: -1, pfn: -1, nr: 0, head: -1 });
  expect([system.at('insert'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok: true }, []]);
}

test('up to 6.14 the struct page is not looked at', () => {
  const system = call(rig({ insert: insertFolioPmd.provide({ guards: { refersToFolio: () => false } }) })).settle();
  expect(system.said('insert')).toEqual([
    'ptl: lock',
    'mm: pmd.read {"vpn":0}',
    `mm: pmd.set_leaf ${JSON.stringify({ vpn: 0, pte: presentPte(4), nr: 4 })}`,
    'ptl: unlock',
    'p: return {"ok":true}',
  ]);
  expectAtRest(system);
});

test('one reference, one mapcount and one leaf for the folio, under the page-table lock', () => {
  const system = call(rig()).settle();
  expect(system.said('insert')).toEqual([
    'ptl: lock',
    'mm: pmd.read {"vpn":0}',
    'page4: page.head',
    'page4: folio.get',
    'page4: folio.add_rmap',
    `mm: pmd.set_leaf ${JSON.stringify({ vpn: 0, pte: presentPte(4), nr: 4 })}`,
    'ptl: unlock',
    'p: return {"ok":true}',
  ]);
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 1 });
  expect(system.context('mm')).toMatchObject({ huge: [0], ptes: { 0: presentPte(4), 3: presentPte(7) } });
  expectAtRest(system);
});

test('the folio is held and counted before anybody can find it', () => {
  const system = call(rig()).stepTo('insert', 'set_pmd_at');
  expect([system.context('page4').refcount, system.context('page4').mapcount, system.context('mm').huge]).toEqual([1, 1, []]);
});

test('what it maps may begin at a tail: the head is told', () => {
  const system = call(rig(), 5, 2).settle();
  expect(system.heard('page5')).toEqual([{ type: 'page.head' }]);
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 1 });
  expectAtRest(system);
});

test.each<[string, Setup]>([
  ['a leaf', { huge: [0] }],
  ['a table', { pmds: { 0: 'table0' } }],
])('where another fault has put %s there, it leaves it', (_, setup) => {
  const system = rig(setup);
  const before = system.context('mm');
  expect(call(system).settle().said('insert')).toEqual(['ptl: lock', 'mm: pmd.read {"vpn":0}', 'ptl: unlock', 'p: return {"ok":true}']);
  expect([system.context('mm'), system.heard('page4')]).toEqual([before, []]);
  expectAtRest(system);
});

test('called again it finds its own leaf', () => {
  const system = call(call(rig()).settle()).settle();
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 1 });
  expectAtRest(system);
});

test('it spins while another has the page-table lock, and looks only then', () => {
  const system = rig();
  system.say('p', 'ptl', 'lock');
  call(system).settle();
  expect([system.at('insert'), system.can('insert', 'step'), system.heard('mm')]).toEqual(['spin_on_ptl', false, []]);
  system.say('p', 'mm', { type: 'pmd.set_leaf', vpn: 0, pte: presentPte(4), nr: 4 });
  system.say('p', 'ptl', 'unlock');
  expect(system.settle().heard('page4')).toEqual([]);
  expectAtRest(system);
});

test('row D8: a struct page that nobody has initialised is touched first when its head is looked up', () => {
  const others = { page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, uninitialised: true } }) };
  const system = call(rig({ others })).stepTo('insert', 'page_folio');
  expect(system.bugs()).toEqual([]);
  system.take('insert', 'step');
  expect(system.bugs()).toEqual(['BUG: struct page used that nobody has initialised']);
});

test('every transition was taken', () => {
  expect(untaken(insertFolioPmd)).toEqual([]);
});
