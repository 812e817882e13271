import { addressSpace, mremap, type Pte, presentPte, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const none: Pte = { kind: 'none' };
const page = presentPte(4);

/** The flush returns when the test says so. */
const rig = (logic = mremap, ptes: Record<string, Pte> = { 1: page }): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    flush: answers(),
    mremap: actor(logic, { input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: 'flush' } }),
    p: probe(),
    walker: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'mremap', { type: 'call', vpn: 1, newVpn: 5 });
  return system;
};
const flushed = (system: Rig): Rig => {
  system.say('p', 'mremap', 'return');
  return system.settle();
};
const ptes = (system: Rig): Pte[] => [1, 5].map((vpn) => system.context('mm').ptes[vpn] ?? none);
const locks = (system: Rig): unknown => [system.context('mmap_lock').writer, system.context('ptl').owner];
const flushesLate = mremap.provide({ guards: { flushesUnderPtl: () => false } });

const begin = ['mmap_lock: down_write', 'mm: vma.link {"vpns":[5]}', 'ptl: lock', 'mm: pte.get_and_clear {"vpn":1}'];
const set = 'mm: pte.set {"vpn":5,"pte":{"kind":"present","pfn":4,"write":true,"dirty":false,"devmap":false,"special":false}}';
const flush = 'flush: call {"vpns":[1]}';
const end = ['mm: vma.unlink {"vpns":[1]}', 'mmap_lock: up_write', 'p: return'];

test('the pte moves, and its old address is flushed before the page-table lock is dropped', () => {
  const system = call(rig()).settle();
  expect([system.at('mremap'), system.can('mremap', 'step')]).toEqual(['flush_tlb_range', false]);
  expect([ptes(system), locks(system)]).toEqual([
    [none, page],
    ['mremap', 'mremap'],
  ]);
  expect(flushed(system).said('mremap')).toEqual([...begin, set, flush, 'ptl: unlock', ...end]);
  expect([ptes(system), locks(system)]).toEqual([
    [none, page],
    [null, null],
  ]);
  expect(system.context('mremap')).toMatchObject({ caller: '', from: -1, to: -1, pte: none });
});

test('the VMA at the new address comes first, the one at the old address goes last', () => {
  const system = call(rig()).settle();
  expect(system.context('mm').vmas).toEqual([0, 1, 5]);
  expect(flushed(system).context('mm').vmas).toEqual([0, 5]);
});

test('who waits for the page-table lock finds the page at its new address, after the flush', () => {
  const system = call(rig()).settle();
  expect(system.say('walker', 'ptl', 'lock')).toEqual([]);
  flushed(system);
  expect([system.heard('walker'), system.context('ptl').owner]).toEqual([[{ type: 'locked' }], 'walker']);
});

test('the pte keeps what the walker has set until it is taken', () => {
  const system = call(rig()).stepTo('mremap', 'ptep_get_and_clear');
  system.say('p', 'mm', { type: 'pte.walk', vpn: 1, write: true, table: null });
  expect(ptes(system.settle())).toEqual([none, presentPte(4, { dirty: true })]);
});

test('with nothing there nothing is moved and nothing flushed; the VMA moves', () => {
  const system = call(rig(mremap, {})).settle();
  expect(system.said('mremap')).toEqual([...begin, 'ptl: unlock', ...end]);
  expect([ptes(system), system.context('mm').vmas, locks(system)]).toEqual([
    [none, none],
    [0, 5],
    [null, null],
  ]);
});

test.each<[string, Pte]>([
  ['swap', { kind: 'swap', slot: 3 }],
  ['migration', { kind: 'migration', pfn: 4, write: true }],
])('a %s entry moves; no TLB can hold it, so nothing is flushed', (_, pte) => {
  const system = call(rig(mremap, { 1: pte })).settle();
  expect([ptes(system), locks(system), system.heard('flush')]).toEqual([[none, pte], [null, null], []]);
});

test('it sleeps while others hold mmap_lock, readers too', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_read');
  call(system).settle();
  expect([system.at('mremap'), system.can('mremap', 'step'), system.context('mm').vmas]).toEqual(['wait_for_mmap_lock', false, [0, 1]]);
  system.say('p', 'mmap_lock', 'up_read');
  expect(system.settle().at('mremap')).toBe('flush_tlb_range');
});

test('it spins while another has the page-table lock, and takes the pte as it is then', () => {
  const system = rig();
  system.say('walker', 'ptl', 'lock');
  call(system).settle();
  expect([system.at('mremap'), system.can('mremap', 'step'), ptes(system)]).toEqual(['spin_on_ptl', false, [page, none]]);
  system.say('walker', 'mm', { type: 'pte.get_and_clear', vpn: 1 });
  system.say('walker', 'ptl', 'unlock');
  expect(ptes(system.settle())).toEqual([none, none]);
  expect(system.heard('flush')).toEqual([]);
});

describe('B15: with the flush after the page-table lock', () => {
  test('the page can be found at its new address while the old one may be cached', () => {
    const system = call(rig(flushesLate)).settle();
    expect([system.at('mremap'), ptes(system), locks(system)]).toEqual(['flush_tlb_range_late', [none, page], ['mremap', null]]);
    expect(system.say('walker', 'ptl', 'lock')).toEqual([{ type: 'locked' }]);
  });

  test('it does the same otherwise', () => {
    const system = flushed(call(rig(flushesLate)).settle());
    expect(system.said('mremap')).toEqual([...begin, set, 'ptl: unlock', flush, ...end]);
    expect([system.context('mm').vmas, locks(system)]).toEqual([
      [0, 5],
      [null, null],
    ]);
  });
});

test('every transition was taken', () => {
  expect(untaken(mremap)).toEqual([]);
});
