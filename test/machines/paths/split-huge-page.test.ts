import { addressSpace, folio, mutex, type Pte, presentPte, putPage, spinlock } from '../../../machines/index.js';
import { splitHugePage } from '../../../machines/paths/split-huge-page.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  ptes?: Record<string, Pte>;
  /** Of the head. */
  refcount?: number;
  others?: Actors;
}

const before: Record<string, Pte> = { 0: presentPte(4, { dirty: true }), 1: presentPte(5, { write: false }) };
/** A folio of pages 4 and 5, with a reference for each pte that maps it. */
const rig = ({ ptes = before, refcount = 2, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2], cpumask: [] } }),
    ptl: actor(spinlock),
    lock: actor(mutex),
    page4: actor(folio, { input: { pfn: 4, refcount, mapcount: 2, idle: 0, zone: 'normal', nr: 2 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0, zone: 'normal', tail: { head: 4 } } }),
    page6: actor(folio, { input: { pfn: 6, refcount: 1, mapcount: 1, idle: 0, zone: 'normal' } }),
    flush: returns(),
    put: actor(putPage, { input: {} }),
    split: actor(splitHugePage, { input: { mm: 'mm', ptl: 'ptl', folioLock: 'lock', flush: 'flush', putPage: 'put' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, vpns = [0, 1]): Rig => {
  system.say('p', 'split', { type: 'call', pfn: 4, vpns });
  return system;
};
const set = (vpn: number, pte: Pte): string => `mm: pte.set ${JSON.stringify({ vpn, pte })}`;
const head = ['page4: folio.try_get', 'lock: lock', 'page4: folio.nr_pages'];
const unmap = (vpn: number, pfn: number, write: boolean): string[] => [
  'ptl: lock',
  `mm: pte.read {"vpn":${vpn}}`,
  `mm: pte.get_and_clear {"vpn":${vpn}}`,
  `flush: call {"vpns":[${vpn}]}`,
  set(vpn, { kind: 'migration', pfn, write }),
  'page4: folio.remove_rmap',
  'page4: folio.ref_dec',
  'ptl: unlock',
];
const remap = (vpn: number, home: number, pte = before[vpn] as Pte): string[] => [
  'ptl: lock',
  `mm: pte.read {"vpn":${vpn}}`,
  `page${home}: folio.ref_inc`,
  `page${home}: folio.add_rmap`,
  set(vpn, pte),
  'ptl: unlock',
];
const freeze = 'page4: folio.freeze {"expected":1}';
const divide = [freeze, 'page4: folio.split {"refcount":1}', 'page4: folio.unfreeze {"refcount":1}'];
const puts = (...pfns: number[]): string[] => pfns.map((pfn) => `put: call {"pfn":${pfn},"pinned":false}`);
const counts = (system: Rig, pfn: number): unknown => {
  const { refcount, mapcount, nr, tail } = system.context(`page${pfn}`);
  return { refcount, mapcount, nr, tail };
};
const single = { refcount: 1, mapcount: 1, nr: 1, tail: null };
function expectAtRest(system: Rig, ok: boolean): void {
  expect([system.context('ptl'), system.context('lock')]).toEqual([
    { owner: null, waiters: [] },
    { owner: null, waiters: [] },
  ]);
  expect(system.context('split')).toMatchObject({ caller: '', pfn: -1, nr: 0, vpns: [], pte: { kind: 'none' }, places: [], ok: false, held: [] });
  expect([system.at('split'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

test('unmapped place by place, frozen, taken apart; then each page is mapped for its own folio, by the same pte', () => {
  const system = call(rig()).settle();
  expect(system.said('split')).toEqual([
    ...head,
    ...unmap(0, 4, true),
    ...unmap(1, 5, false),
    ...divide,
    ...remap(0, 4),
    ...remap(1, 5),
    'lock: unlock',
    ...puts(4, 5),
    'p: return {"ok":true}',
  ]);
  expect([counts(system, 4), counts(system, 5)]).toEqual([single, single]);
  expect(system.context('mm').ptes).toEqual(before);
  expectAtRest(system, true);
});

test('while it is frozen nobody gets a reference, and each tail has one before the head', () => {
  const system = call(rig()).stepTo('split', 'split_huge_page_tail');
  expect(system.say('p', 'page4', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
  system.stepTo('split', 'folio_ref_unfreeze');
  expect([counts(system, 4), counts(system, 5)]).toEqual([
    { refcount: 0, mapcount: 0, nr: 1, tail: null },
    { refcount: 1, mapcount: 0, nr: 1, tail: null },
  ]);
});

test('while a flush is under way the pte is none, and the page-table lock held', () => {
  const system = call(rig({ others: { flush: answers() } })).settle();
  expect([system.at('split'), system.can('split', 'step'), system.context('ptl').owner]).toEqual(['ptep_clear_flush', false, 'split']);
  expect([system.context('mm').ptes[0], counts(system, 4)]).toEqual([{ kind: 'none' }, { refcount: 3, mapcount: 2, nr: 2, tail: null }]);
  system.say('p', 'split', 'return');
  system.settle();
  system.say('p', 'split', 'return');
  expectAtRest(system.settle(), true);
});

describe('somebody else holds a reference', () => {
  test('it is mapped again as it was, and stays one folio', () => {
    const system = call(rig({ refcount: 3 })).settle();
    expect(system.said('split')).toEqual([
      ...head,
      ...unmap(0, 4, true),
      ...unmap(1, 5, false),
      freeze,
      ...remap(0, 4),
      ...remap(1, 4),
      'lock: unlock',
      ...puts(4),
      'p: return {"ok":false}',
    ]);
    expect(counts(system, 4)).toEqual({ refcount: 3, mapcount: 2, nr: 2, tail: null });
    expect(counts(system, 5)).toEqual({ refcount: 0, mapcount: 0, nr: 1, tail: { head: 4 } });
    expect(system.context('mm').ptes).toEqual(before);
    expectAtRest(system, false);
  });

  test('when it is given back, it can be split', () => {
    const system = call(rig({ refcount: 3 })).settle();
    system.say('p', 'page4', 'folio.put');
    call(system).settle();
    expect([counts(system, 4), counts(system, 5)]).toEqual([single, single]);
    expectAtRest(system, true);
  });

  test('one that comes before the freeze is seen', () => {
    const system = call(rig()).stepTo('split', 'folio_ref_freeze');
    system.say('p', 'page4', 'folio.try_get');
    expectAtRest(system.settle(), false);
  });
});

describe('what is not there', () => {
  test('a folio without references is on its way out', () => {
    const others = { page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, nr: 2 } }) };
    const system = call(rig({ others })).settle();
    expect(system.said('split')).toEqual(['page4: folio.try_get', 'p: return {"ok":false}']);
    expectAtRest(system, false);
  });

  test('one that was split before is left alone', () => {
    const system = call(call(rig()).settle()).settle();
    expect(system.said('split').slice(-6)).toEqual([...head, 'lock: unlock', ...puts(4), 'p: return {"ok":false}']);
    expect([counts(system, 4), system.context('mm').ptes]).toEqual([single, before]);
    expectAtRest(system, false);
  });

  test.each<[string, Pte]>([
    ['none', { kind: 'none' }],
    ['another page', presentPte(6)],
    ['a swap entry', { kind: 'swap', slot: 4 }],
  ])('where there is %s by now, nothing is done; the other places are', (_, pte) => {
    const system = call(rig({ ptes: { 0: before[0] as Pte, 1: before[1] as Pte, 2: pte } }), [2, 0, 1]).settle();
    expect(system.said('split').slice(3, 6)).toEqual(['ptl: lock', 'mm: pte.read {"vpn":2}', 'ptl: unlock']);
    expect([system.context('mm').ptes, counts(system, 6)]).toEqual([{ ...before, 2: pte }, single]);
    expectAtRest(system, true);
  });

  test('a pte without access maps its page all the same, and comes back', () => {
    const ptes: Record<string, Pte> = { 0: { kind: 'protnone', pfn: 4, dirty: true }, 1: before[1] as Pte };
    const system = call(rig({ ptes })).settle();
    expect(system.said('split')).toContain(set(0, { kind: 'migration', pfn: 4, write: false }));
    expect(system.context('mm').ptes).toEqual(ptes);
    expectAtRest(system, true);
  });

  test.each<[string, Pte]>([
    ['unmapped', { kind: 'none' }],
    ['mapped to another page', presentPte(6)],
  ])('an entry that was %s meanwhile stays so; its page is freed', (_, pte) => {
    const system = call(rig()).stepTo('split', 'folio_ref_freeze');
    system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte });
    system.settle();
    expect([system.context('mm').ptes, counts(system, 4)]).toEqual([{ 0: before[0], 1: pte }, single]);
    expect([system.at('page5'), system.context('page5').refcount]).toEqual(['free', 0]);
    expectAtRest(system, true);
  });

  test('an entry that was write-protected meanwhile comes back read-only', () => {
    const system = call(rig()).stepTo('split', 'folio_ref_freeze');
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: { kind: 'migration', pfn: 4, write: false } });
    expect(system.settle().context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true, write: false }));
    expectAtRest(system, true);
  });
});

test('a D bit that the walker sets until the exchange comes back', () => {
  const system = call(rig({ ptes: { 0: presentPte(4), 1: before[1] as Pte } })).stepTo('split', 'ptep_get_and_clear');
  system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null });
  expect(system.settle().context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
  expectAtRest(system, true);
});

describe('locks', () => {
  test('it sleeps while another has the folio locked, with its own reference', () => {
    const system = rig();
    system.say('p', 'lock', 'lock');
    call(system).settle();
    expect([system.at('split'), system.can('split', 'step'), system.context('page4').refcount]).toEqual(['folio_wait_locked', false, 3]);
    system.say('p', 'lock', 'unlock');
    expectAtRest(system.settle(), true);
  });

  test.each<[string, string]>([
    ['unmaps', 'page_vma_mapped_walk'],
    ['maps again', 'remap_walk'],
  ])('it spins while another has the page-table lock, when it %s', (_, state) => {
    const system = call(rig()).stepTo('split', state);
    system.say('p', 'ptl', 'lock');
    const entry = system.context('mm').ptes;
    system.settle();
    expect([system.at('split'), system.can('split', 'step'), system.context('mm').ptes]).toEqual([
      state === 'remap_walk' ? 'remap_spin_on_ptl' : 'spin_on_ptl',
      false,
      entry,
    ]);
    system.say('p', 'ptl', 'unlock');
    expectAtRest(system.settle(), true);
  });

  test('it drops the page-table lock between places, and the folio lock at the end only', () => {
    const system = call(rig()).stepTo('split', 'set_pte_at').stepTo('split', 'page_vma_mapped_walk');
    expect([system.context('ptl').owner, system.context('lock').owner]).toEqual([null, 'split']);
    system.stepTo('split', 'folio_unlock');
    expect(system.context('lock').owner).toBe('split');
    expectAtRest(system.settle(), true);
  });

  test('the references go one after the other', () => {
    const system = call(rig({ others: { put: answers() } })).settle();
    expect([system.at('split'), system.can('split', 'step'), system.heard('put')]).toEqual(['put_page', false, [{ type: 'call', pfn: 4, pinned: false }]]);
  });
});

test('every transition was taken', () => {
  expect(untaken(splitHugePage)).toEqual([]);
});
