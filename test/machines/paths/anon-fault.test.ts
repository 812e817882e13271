import { addressSpace, anonFault, folio, type Pte, pageAllocator, presentPte, putPage, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  free?: number[];
  anonymous?: boolean;
  /** What alloc_pages returns, where it is a path of its own; undefined: it is none. */
  allocated?: number[];
  debug?: string;
  others?: Actors;
}
const rig = ({ free = [7], anonymous, allocated, debug, others }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [3], cpumask: [] } }),
    ptl: actor(spinlock),
    allocator: actor(pageAllocator, { input: { free } }),
    page7: actor(folio, { input: { pfn: 7, refcount: 0, idle: 0, zone: 'normal' } }),
    page8: actor(folio, { input: { pfn: 8, refcount: 0, idle: 0, zone: 'normal' } }),
    put_page: actor(putPage, { input: {} }),
    alloc_pages: returns({ pfns: allocated ?? [] }),
    debug: answers(),
    fault: actor(anonFault, {
      input: {
        mm: 'mm',
        ptl: 'ptl',
        allocator: 'allocator',
        putPage: 'put_page',
        ...(anonymous === undefined ? {} : { anonymous }),
        ...(allocated ? { allocPages: 'alloc_pages' } : {}),
        ...(debug ? { debug, task: 'thread' } : {}),
      },
    }),
    p: probe(),
    ...others,
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
  expect([system.said('fault'), system.context('allocator').free]).toEqual([['p: return {"ok":false}'], [{ pfns: [7], lufKey: null }]]);
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

describe('with alloc_pages as a path of its own', () => {
  /** A page that alloc_pages has prepared. */
  const prepared = { page7: actor(folio, { input: { pfn: 7, refcount: 1, idle: 0, zone: 'normal', content: 'old' } }) };
  const zeroed = 'page7: memory.write {"value":"zero"}';
  const mkwrite = { type: 'luf.mkwrite', pfn: 7, mapping: null, index: -1, task: 'thread' };

  test('that page is zeroed, and only then mapped; the allocator is not asked', () => {
    const system = call(rig({ allocated: [7], others: prepared })).settle();
    expect(system.said('fault')).toEqual([
      'alloc_pages: call',
      zeroed,
      'ptl: lock',
      'mm: pte.read {"vpn":3}',
      'page7: folio.add_rmap',
      'mm: pte.set {"vpn":3,"pte":{"kind":"present","pfn":7,"write":true,"dirty":false,"devmap":false,"special":false}}',
      'ptl: unlock',
      'p: return {"ok":true}',
    ]);
    expect([system.context('page7').content, system.heard('allocator')]).toEqual(['zero', []]);
    expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, pfn: -1, ok: false });
  });

  test('it waits for the path, and then zeroes', () => {
    const system = call(rig({ allocated: [7], others: { ...prepared, alloc_pages: answers() } }));
    expect([system.at('fault'), system.can('fault', 'step'), system.heard('page7')]).toEqual(['alloc_pages', false, []]);
    system.say('p', 'fault', { type: 'return', pfns: [7] });
    expect([system.at('fault'), system.heard('page7')]).toEqual(['clear_user_highpage', []]);
    expect(system.take('fault', 'step').heard('page7')).toEqual([{ type: 'memory.write', value: 'zero' }]);
  });

  test('out of memory: the page table is left alone; it can be called again', () => {
    const system = call(call(rig({ allocated: [] })).settle()).settle();
    const once = ['alloc_pages: call', 'p: return {"ok":false}'];
    expect([system.said('fault'), pte(system), system.at('fault')]).toEqual([[...once, ...once], undefined, 'idle']);
  });

  test('a debug mode is told of the writable entry when it is computed: before the lock, and for whom', () => {
    const system = call(rig({ allocated: [7], debug: 'debug', others: prepared })).stepTo('fault', 'pte_offset_map_lock');
    expect(system.heard('debug')).toEqual([mkwrite]);
    expect(system.settle().heard('debug')).toHaveLength(1);
  });

  test('a debug mode is told even where another thread was faster; the page goes back', () => {
    const system = rig({ allocated: [7], debug: 'debug', others: prepared });
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: presentPte(8) });
    call(system).settle();
    expect([system.heard('debug'), system.at('page7'), owner(system), returned(system)]).toEqual([[mkwrite], 'free', null, [true]]);
    expect(system.said('fault').slice(-3)).toEqual(['ptl: unlock', 'put_page: call {"pfn":7,"pinned":false}', 'p: return {"ok":true}']);
  });
});

test('it can be called again: with the pte there, the access may run at once', () => {
  const system = call(call(rig({ free: [7, 8] })).settle()).settle();
  expect([returned(system), pte(system), system.at('page8')]).toEqual([[true, true], presentPte(7), 'free']);
});

test('every transition was taken', () => {
  expect(untaken(anonFault)).toEqual([]);
});
