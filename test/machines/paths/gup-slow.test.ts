import { type Area, addressSpace, devPagemap, folio, gupSlow, type Pte, presentPte, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  ptes?: Record<string, Pte>;
  pin?: boolean;
  unshares?: boolean | undefined;
  gup?: typeof gupSlow;
  areas?: Record<string, Area>;
  others?: Actors;
}

const pagemaps = { 4: { pgmap: 'a', tryget: 'a.tryget', put: 'a.put' }, 5: { pgmap: 'a', tryget: 'a.tryget', put: 'a.put' } };
const page = (pfn: number, refcount = 1): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount, idle: 0 } }) });

const rig = ({ ptes = { 0: presentPte(4), 1: presentPte(5) }, pin = true, unshares, gup = gupSlow, areas = {}, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], areas, cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    ...page(4),
    ...page(5),
    a: actor(devPagemap, { input: { pages: [] } }),
    'a.tryget': returns({ ok: true }),
    'a.put': returns(),
    fault: returns({ ok: false }),
    gup: actor(gup, {
      input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', pagemaps, fault: 'fault', pin, ...(unshares === undefined ? {} : { unshares }) },
    }),
    p: probe(),
    ...others,
  });

const call = (system: Rig, ...vpns: number[]): Rig => {
  system.say('p', 'gup', { type: 'call', vpns });
  return system;
};
const returned = (system: Rig): unknown => system.heard('p').map(({ pages }) => pages);
const counts = (system: Rig, pfn: number): number[] => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).pincount];
/** It holds no lock and no pagemap any more, and can be called again. */
function expectAtRest(system: Rig): void {
  expect(system.context('mmap_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('gup')).toMatchObject({ caller: '', vpns: [], write: false, pages: [], pfn: -1, head: -1, unshare: false, held: null });
  expect(system.heard('a.put')).toHaveLength(system.heard('a.tryget').length);
  expect(system.said('gup').filter((said) => said === 'mmap_lock: down_read')).toHaveLength(1);
  expect(system.at('gup')).toBe('idle');
}
const devmap = (pfn: number): Pte => presentPte(pfn, { devmap: true, special: true });

test('each page is looked up and referenced under the page-table lock, within mmap_lock', () => {
  const system = call(rig(), 0).settle();
  expect(system.said('gup')).toEqual([
    'mmap_lock: down_read',
    'mm: vma.find {"vpn":0}',
    'ptl: lock',
    'mm: pte.read {"vpn":0}',
    'page4: page.head',
    'page4: folio.try_get',
    'page4: folio.pin',
    'ptl: unlock',
    'mmap_lock: up_read',
    'p: return {"pages":[4]}',
  ]);
  expect(counts(system, 4)).toEqual([2, 1]);
  expectAtRest(system);
});

test('a get without a pin takes only a reference; several pages come in the order asked for', () => {
  const system = call(rig({ pin: false }), 1, 0).settle();
  expect(returned(system)).toEqual([[5, 4]]);
  expect([counts(system, 4), counts(system, 5)]).toEqual([
    [2, 0],
    [2, 0],
  ]);
  expectAtRest(system);
});

describe('tails of a folio', () => {
  const compound = (head: object = {}): Actors => ({
    page4: actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, nr: 2, ...head } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0, tail: { head: 4 } } }),
  });

  test.each([true, false])('references and pins go to the head, looked up of each page; the pages are those of the ptes (pin: %s)', (pin) => {
    const system = call(rig({ pin, others: compound() }), 1, 0).settle();
    const taken = (page: number): string[] => [`page${page}: page.head`, 'page4: folio.try_get', ...(pin ? ['page4: folio.pin'] : [])];
    expect(system.said('gup').filter((said) => said.startsWith('page'))).toEqual([...taken(5), ...taken(4)]);
    expect([returned(system), counts(system, 4), counts(system, 5)]).toEqual([[[5, 4]], [3, pin ? 2 : 0], [0, 0]]);
    expectAtRest(system);
  });

  test('a head that nobody holds gives none', () => {
    const system = call(rig({ others: compound({ refcount: 0 }) }), 1).settle();
    expect([returned(system), counts(system, 4), counts(system, 5)]).toEqual([[[]], [0, 0], [0, 0]]);
    expectAtRest(system);
  });

  test('a devmap tail: its pagemap is held until the head is', () => {
    const system = call(rig({ ptes: { 1: presentPte(5, { devmap: true, special: true }) }, pin: false, others: compound() }), 1).settle();
    expect(system.said('gup').filter((said) => /^(a|page)/.test(said))).toEqual([
      ...['a: xa_load', 'a.tryget: call', 'page5: page.head', 'page4: folio.try_get', 'a.put: call'],
    ]);
    expectAtRest(system);
  });

  // It asks the tail: page->mapping, and a record that stands there, are in the head. A fault does not change that: it asks for ever.
  test('a pin to read takes one of a file', () => {
    const ptes = { 1: presentPte(5, { write: false }) };
    const system = call(rig({ ptes, unshares: true, others: compound({ mapping: 'file' }) }), 1).settle();
    expect([returned(system), counts(system, 4), system.heard('fault')]).toEqual([[[5]], [2, 1], []]);
  });
});

test('it sleeps while somebody writes, and spins while somebody has the page-table lock', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_write');
  system.say('p', 'ptl', 'lock');
  call(system, 0).take('gup', 'step');
  expect([system.at('gup'), system.can('gup', 'step')]).toEqual(['wait_for_mmap_lock', false]);
  system.say('p', 'mmap_lock', 'up_write');
  system.settle();
  expect([system.at('gup'), system.can('gup', 'step')]).toEqual(['spin_on_ptl', false]);
  system.say('p', 'ptl', 'unlock');
  system.settle();
  expect(system.heard('p').at(-1)).toEqual({ type: 'return', pages: [4] });
});

describe('it returns fewer pages', () => {
  test('none without a VMA: nothing else is asked', () => {
    const system = call(rig(), 7).settle();
    expect(system.said('gup')).toEqual(['mmap_lock: down_read', 'mm: vma.find {"vpn":7}', 'mmap_lock: up_read', 'p: return {"pages":[]}']);
    expectAtRest(system);
  });

  test('those before an address without a VMA', () => {
    expect(returned(call(rig(), 0, 7, 1).settle())).toEqual([[4]]);
  });

  test('those before a page that cannot be faulted in', () => {
    const system = call(rig({ ptes: { 0: presentPte(4) } }), 0, 1).settle();
    expect(returned(system)).toEqual([[4]]);
    expect(system.heard('fault')).toEqual([{ type: 'call', vpn: 1 }]);
    expectAtRest(system);
  });

  test('those before a page that nobody holds', () => {
    const system = call(rig({ others: page(5, 0) }), 0, 1).settle();
    expect([returned(system), counts(system, 5)]).toEqual([[[4]], [0, 0]]);
    expectAtRest(system);
  });

  test('those before a special pte, whose struct page is not touched', () => {
    const system = call(rig({ ptes: { 0: presentPte(4), 1: presentPte(5, { special: true }) } }), 0, 1).settle();
    expect([returned(system), system.heard('page5'), system.heard('fault')]).toEqual([[[4]], [], []]);
    expectAtRest(system);
  });
});

test('what is not there is faulted in without the page-table lock, then looked up again', () => {
  const system = rig({ ptes: {}, others: { fault: answers() } });
  call(system, 0).settle();
  expect([system.at('gup'), system.context('ptl').owner, system.context('mmap_lock').readers]).toEqual(['handle_mm_fault', null, ['gup']]);
  system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(4) });
  system.say('p', 'gup', { type: 'return', ok: true });
  system.settle();
  expect([returned(system), counts(system, 4)]).toEqual([[[4]], [2, 1]]);
  expectAtRest(system);
});

describe('a devmap page', () => {
  const ptes = { 0: devmap(4), 1: devmap(5) };
  const withoutLocks = (system: Rig): string[] => system.said('gup').filter((said) => !/lock|^mm:|^p:/.test(said));

  test('is touched while its pagemap is held, which is given back once the page itself is', () => {
    const system = call(rig({ ptes, pin: false }), 0, 1).settle();
    const each = (pfn: number): string[] => ['a: xa_load', 'a.tryget: call', `page${pfn}: page.head`, `page${pfn}: folio.try_get`, 'a.put: call'];
    expect(withoutLocks(system)).toEqual([...each(4), ...each(5)]);
    expect(returned(system)).toEqual([[4, 5]]);
    expectAtRest(system);
  });

  test.each<[string, Actors]>([
    ['is dying', { 'a.tryget': returns({ ok: false }) }],
    ['is erased', { a: answers({ xa_load: [{ type: 'xa', result: 'none' }] }) }],
  ])('whose pagemap %s is not touched', (_, others) => {
    const system = call(rig({ ptes, others }), 0, 1).settle();
    expect([returned(system), system.heard('page4'), system.heard('a.put')]).toEqual([[[]], [], []]);
    expect([system.context('ptl').owner, system.context('mmap_lock').readers]).toEqual([null, []]);
  });

  test('that nobody holds: the pagemap is given back on the way out', () => {
    const system = call(rig({ ptes, others: page(4, 0) }), 0).settle();
    expect([returned(system), withoutLocks(system).at(-1)]).toEqual([[[]], 'a.put: call']);
    expectAtRest(system);
  });
});

describe('a device-exclusive entry', () => {
  test.each([false, true])('is not present: the fault restores it, and then it is looked up again (write: %s)', (write) => {
    const system = rig({ ptes: { 0: { kind: 'devexcl', pfn: 4, write: true } }, pin: false, others: { fault: answers() } });
    system.say('p', 'gup', { type: 'call', vpns: [0], write });
    system.settle();
    expect([system.at('gup'), system.context('ptl').owner, system.heard('fault')]).toEqual([
      'handle_mm_fault',
      null,
      [{ type: 'call', vpn: 0, ...(write ? { write } : {}) }],
    ]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(4) });
    system.say('p', 'gup', { type: 'return', ok: true });
    expect([returned(system.settle()), counts(system, 4)]).toEqual([[[4]], [2, 0]]);
    expectAtRest(system);
  });
});

describe('FOLL_WRITE', () => {
  const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };
  const readOnly = presentPte(4, { write: false });
  const store = (system: Rig, ...vpns: number[]): Rig => {
    system.say('p', 'gup', { type: 'call', vpns, write: true });
    return system.settle();
  };

  test('a page that may be written is taken as for a load', () => {
    const system = store(rig({ areas: { 0: area } }), 0);
    expect([returned(system), system.heard('fault')]).toEqual([[[4]], []]);
    expectAtRest(system);
  });

  test('one that is read-only goes through the fault, which breaks copy-on-write; its struct page is not touched before', () => {
    const system = store(rig({ ptes: { 0: readOnly }, areas: { 0: area }, others: { fault: answers() } }), 0);
    expect([system.at('gup'), system.context('ptl').owner, system.heard('page4'), system.heard('fault')]).toEqual([
      'handle_mm_fault',
      null,
      [],
      [{ type: 'call', vpn: 0, write: true }],
    ]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(5) });
    system.say('p', 'gup', { type: 'return', ok: true });
    expect(returned(system.settle())).toEqual([[5]]);
    expectAtRest(system);
  });

  test('a load takes it as it is, and the right asked for is forgotten', () => {
    const system = store(rig({ ptes: { 0: readOnly }, areas: { 0: area } }), 0);
    expectAtRest(system);
    call(system, 0).settle();
    expect([returned(system), system.heard('fault')]).toEqual([[[], [4]], [{ type: 'call', vpn: 0, write: true }]]);
  });

  test('a VMA that allows no store gives none', () => {
    const system = store(rig({ areas: { 0: area, 1: { ...area, write: false } } }), 0, 1);
    expect([returned(system), system.heard('fault')]).toEqual([[[4]], []]);
    expectAtRest(system);
  });
});

describe('a pin for reading, since 5.19', () => {
  const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
  const pinToRead = (setup: Setup, page4: object = {}): Rig => {
    const system = rig({
      ptes: { 0: readOnly(4) },
      unshares: true,
      ...setup,
      others: { page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, ...page4 } }), fault: answers(), ...setup.others },
    });
    system.say('p', 'gup', { type: 'call', vpns: [0], write: false });
    return system.settle();
  };
  const stable = { protection: { record: 'record4', stable: true } };
  const unshare = [{ type: 'call', vpn: 0, unshare: true }];

  test.each<[string, object]>([
    ['that is exclusive', { anonExclusive: true }],
    ['of a file', { mapping: 'file' }],
  ])('takes a page %s, when it has asked it under the page-table lock', (_, page4) => {
    const system = pinToRead({}, page4);
    expect(system.said('gup').slice(3, -3)).toEqual([
      'mm: pte.read {"vpn":0}',
      'page4: page.read',
      'page4: page.head',
      'page4: folio.try_get',
      'page4: folio.pin',
    ]);
    expect([returned(system), system.heard('fault')]).toEqual([[[4]], []]);
    expectAtRest(system);
  });

  test.each<[string, object]>([
    ['private, and not exclusive', {}],
    ['that KSM shares', stable],
    ['of a file that is shared with another file', { mapping: 'file', ...stable }],
  ])('a page %s is unshared by a fault first, without the page-table lock; then it looks again', (_, page4) => {
    const system = pinToRead({}, page4);
    expect([system.at('gup'), system.can('gup', 'step'), system.context('ptl').owner, system.heard('fault'), counts(system, 4)]).toEqual([
      ...['handle_mm_fault', false, null, unshare, [1, 0]],
    ]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: readOnly(5) });
    system.say('p', 'page5', { type: 'folio.set_exclusive', exclusive: true });
    system.say('p', 'gup', { type: 'return', ok: true });
    expect([returned(system.settle()), counts(system, 5), system.heard('fault')]).toEqual([[[5]], [2, 1], unshare]);
    expectAtRest(system);
  });

  test('a page that is gone after that is faulted in as any', () => {
    const system = pinToRead({});
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: { kind: 'none' } });
    system.say('p', 'gup', { type: 'return', ok: true });
    expect(system.settle().heard('fault')).toEqual([...unshare, { type: 'call', vpn: 0 }]);
    system.say('p', 'gup', { type: 'return', ok: false });
    expect(returned(system.settle())).toEqual([[]]);
    expectAtRest(system);
  });

  test('no memory for the copy: no page', () => {
    const system = pinToRead({ others: { fault: returns({ ok: false }) } });
    expect([returned(system), system.heard('fault'), counts(system, 4)]).toEqual([[[]], unshare, [1, 0]]);
    expectAtRest(system);
  });

  test.each<[string, Setup]>([
    ['the pte is writable', { ptes: { 0: presentPte(4) } }],
    ['it takes a reference only', { pin: false }],
    ['up to 5.18', { unshares: false }],
    ['it is not said', { unshares: undefined }],
    ['row W6r', { gup: gupSlow.provide({ guards: { mustUnshare: () => false } }) }],
  ])('%s: the page is taken, shared or not', (_, setup) => {
    const system = pinToRead(setup, stable);
    expect([returned(system), system.heard('fault')]).toEqual([[[4]], []]);
    expectAtRest(system);
  });

  test('for a store the fault is one for a store', () => {
    const system = pinToRead({}, stable);
    system.say('p', 'gup', { type: 'return', ok: false });
    system.settle();
    system.say('p', 'gup', { type: 'call', vpns: [0], write: true });
    expect(system.settle().heard('fault')).toEqual([...unshare, { type: 'call', vpn: 0, write: true }]);
  });
});

test('every transition was taken', () => {
  expect(untaken(gupSlow)).toEqual([]);
});
