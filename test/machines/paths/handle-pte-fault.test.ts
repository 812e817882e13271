import {
  type Area,
  addressSpace,
  folio,
  folioLock,
  handlePteFault,
  type Pte,
  pageCache,
  presentPte,
  protectionRecord,
  putPage,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Counts {
  refcount: number;
  mapcount?: number;
  anonExclusive?: boolean;
  mapping?: string;
  protection?: { record: string; stable: boolean };
}
interface Setup {
  pte?: Pte;
  area?: Area;
  /** Page 4 is in the slot. */
  cached?: boolean;
  page4?: Counts;
  /** What the allocator hands out, call by call. */
  allocated?: number[][];
  luf?: boolean;
  debug?: boolean;
  notified?: boolean;
  restores?: boolean;
  migrates?: boolean;
  /** Pages may be protected; page->mapping is asked. */
  protects?: boolean;
  machine?: typeof handlePteFault;
  others?: Actors;
}
const file: Area = { mapping: 'file', index: 2, anonymous: false, read: true, write: true };
const anonymous: Area = { ...file, mapping: 'swap', index: 1, anonymous: true };
const page = (pfn: number, counts: Counts): Actors => ({
  [`page${pfn}`]: actor(folio, { input: { pfn, idle: 0, zone: 'normal', content: `v${pfn}`, ...counts } }),
  [`lock${pfn}`]: actor(folioLock),
});

const rig = ({ pte, area = file, cached = false, allocated = [], machine = handlePteFault, ...setup }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: pte ? { 3: pte } : {}, vmas: [3], areas: { 3: area }, cpumask: [] } }),
    ptl: actor(spinlock),
    ...page(4, setup.page4 ?? { refcount: 1 }),
    ...page(5, { refcount: 1 }),
    file: actor(pageCache, { input: { folios: cached ? { 2: 4 } : {}, stored: { 2: 'stored' } } }),
    swap: actor(pageCache, { input: { folios: cached ? { 7: 4 } : {}, stored: { 7: 'swapped' } } }),
    alloc_pages: returns(...allocated.map((pfns) => ({ pfns }))),
    put: actor(putPage, { input: {} }),
    anon_fault: returns({ ok: true }, { ok: false }),
    flush: returns(),
    luf_flush: returns(),
    debug: answers(),
    notifier: returns({ ok: true }),
    restore: returns(),
    migrate: returns(),
    break: returns({ ok: true }),
    record4: actor(protectionRecord),
    fault: actor(machine, {
      input: {
        ...{ mm: 'mm', ptl: 'ptl', folioLocks: { 4: 'lock4', 5: 'lock5' }, allocPages: 'alloc_pages', putPage: 'put', anonFault: 'anon_fault' },
        ...{ flush: 'flush', lufFlush: setup.luf === false ? null : 'luf_flush', debug: setup.debug ? 'debug' : null, task: 'task0' },
        ...{ ...(setup.notified ? { notifier: 'notifier' } : {}), ...(setup.restores ? { restoreExclusive: 'restore' } : {}) },
        ...{ ...(setup.migrates ? { migrateToRam: 'migrate' } : {}), ...(setup.protects ? { breakProtection: 'break' } : {}) },
      },
    }),
    p: probe(),
    ...setup.others,
  });
const call = (system: Rig, write = false): Rig => {
  system.say('p', 'fault', { type: 'call', vpn: 3, ...(write ? { write } : {}) });
  return system;
};
const load = (setup: Setup): Rig => call(rig(setup)).settle();
const store = (setup: Setup): Rig => call(rig(setup), true).settle();
const pte = (system: Rig): unknown => system.context('mm').ptes[3];
const counts = (system: Rig, pfn: number): unknown => {
  const { refcount, mapcount } = system.context(`page${pfn}`);
  return { refcount, mapcount };
};
/** Where it waits, and what it holds meanwhile: the page-table lock, the lock of page 4. */
const waits = (system: Rig): unknown => [system.at('fault'), system.can('fault', 'step'), system.context('ptl').owner, system.context('lock4').owner];
function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, write: false, area: null, orig: { kind: 'none' }, pfn: -1 });
  expect(system.context('fault')).toMatchObject({ exclusive: false, unshare: false, ok: false });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect([lock, system.context(lock)]).toEqual([lock, { owner: null, waiters: [] }]);
  expect([system.at('fault'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

const readOnly = presentPte(4, { write: false });
const writable = (pfn: number): Pte => presentPte(pfn, { dirty: true });
/** Pages that are mapped read-only: of a file; private, and nobody else's; private, and mapped by another too. */
const ofFile: Setup = { pte: readOnly, cached: true, page4: { refcount: 2, mapcount: 1 } };
const exclusive: Setup = { pte: readOnly, area: anonymous, page4: { refcount: 1, mapcount: 1, anonExclusive: true } };
const shared: Setup = { pte: readOnly, area: anonymous, page4: { refcount: 2, mapcount: 2 }, allocated: [[5]] };
const swapEntry: Pte = { kind: 'swap', slot: 7 };
const exclusiveEntry: Pte = { ...swapEntry, exclusive: true };
const look = 'mm: pte.read {"vpn":3}';
const begin = ['mm: vma.find {"vpn":3}', look];
const slot = (of: Area = file): string => (of.anonymous ? 'swap: slot.read {"index":7}' : 'file: slot.read {"index":2}');
const get = (of: Area = file): string[] => [slot(of), 'page4: folio.try_get', 'lock4: lock', slot(of)];
const read = [
  slot(),
  'alloc_pages: call',
  'lock5: lock',
  'file: slot.add {"index":2,"pfn":5}',
  'page5: folio.ref_inc',
  'file: stored.read {"index":2}',
  'page5: memory.write {"value":"stored"}',
];
const lockPtl = ['ptl: lock', look];
const flush = 'luf_flush: call';
const set = (to: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte: to })}`;
const map = (pfn: number, write: boolean): string[] => [
  `page${pfn}: folio.add_rmap`,
  set(write ? writable(pfn) : presentPte(pfn, { write })),
  ...(write ? [`page${pfn}: folio.mark_dirty`] : []),
];
const unlock = (pfn: number): string[] => ['ptl: unlock', `lock${pfn}: unlock`];
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const done = 'p: return {"ok":true}';
const failed = 'p: return {"ok":false}';
const mkwrite = (pfn: number, of: Area = file): string => `debug: luf.mkwrite {"pfn":${pfn},"mapping":"${of.mapping}","index":${of.index},"task":"task0"}`;
/** Version 12. */
const paysAtEnd = handlePteFault.provide({ guards: { mustFlushBeforeSet: () => false, mustFlushAtEnd: () => true } });
const neverPays = handlePteFault.provide({ guards: { mustFlushBeforeSet: () => false } });

describe('no pte, a page of a file', () => {
  test('load: in the cache, locked, there still: mapped read-only under the page-table lock; the reference is that of the mapping', () => {
    const system = load({ cached: true });
    expect(system.said('fault')).toEqual([...begin, ...get(), ...lockPtl, ...map(4, false), ...unlock(4), done]);
    expect([pte(system), counts(system, 4), system.context('page4').dirty]).toEqual([readOnly, { refcount: 2, mapcount: 1 }, false]);
    expectAtRest(system);
  });

  test('store: what is owed is paid first; the folio is dirty with the writable pte', () => {
    const system = store({ cached: true, debug: true });
    expect(system.said('fault')).toEqual([...begin, ...get(), ...lockPtl, flush, mkwrite(4), ...map(4, true), ...unlock(4), done]);
    expect([pte(system), counts(system, 4), system.context('page4').dirty]).toEqual([writable(4), { refcount: 2, mapcount: 1 }, true]);
    expectAtRest(system);
  });

  test('not in the cache: a page of its own, locked, into the cache, and read; two references', () => {
    const system = load({ allocated: [[5]] });
    expect(system.said('fault')).toEqual([...begin, ...read, ...lockPtl, ...map(5, false), ...unlock(5), done]);
    expect([system.context('file').folios, system.context('page5').content, counts(system, 5)]).toEqual([{ 2: 5 }, 'stored', { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('out of memory: nothing is mapped', () => {
    const system = load({ allocated: [[]] });
    expect([system.said('fault'), pte(system)]).toEqual([[...begin, slot(), 'alloc_pages: call', failed], undefined]);
    expectAtRest(system, false);
  });

  test('another thread was faster into the cache: the page goes back, and theirs is mapped', () => {
    const system = call(rig({ allocated: [[5]] })).stepTo('fault', 'filemap_add_folio');
    system.say('p', 'file', { type: 'slot.add', index: 2, pfn: 4 });
    system.settle();
    expect(system.said('fault').slice(5)).toEqual([
      'file: slot.add {"index":2,"pfn":5}',
      'lock5: unlock',
      put(5),
      ...get(),
      ...lockPtl,
      ...map(4, false),
      ...unlock(4),
      done,
    ]);
    expect([system.at('page5'), pte(system)]).toEqual(['free', readOnly]);
    expectAtRest(system);
  });

  test('a folio that is being taken away: looks again, until the slot is empty', () => {
    const system = rig({ cached: true, allocated: [[5]] });
    system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    call(system).take('fault', 'step').take('fault', 'step');
    expect([system.at('fault'), system.said('fault')]).toEqual(['filemap_get_folio', [...begin, slot(), 'page4: folio.try_get']]);
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    expect(system.settle().said('fault').slice(4)).toEqual([...read, ...lockPtl, ...map(5, false), ...unlock(5), done]);
    expectAtRest(system);
  });

  test('a folio that was taken away while it waited for its lock: unlocks, gives the reference back, looks at the pte again', () => {
    const system = rig({ cached: true, allocated: [[5]] });
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([waits(system), counts(system, 4)]).toEqual([['folio_wait_lock', false, null, 'p'], { refcount: 2, mapcount: 0 }]);
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    system.say('p', 'lock4', 'unlock');
    expect(system.settle().said('fault')).toEqual([
      ...begin,
      ...get(),
      'lock4: unlock',
      put(4),
      look,
      ...read,
      ...lockPtl,
      ...map(5, false),
      ...unlock(5),
      done,
    ]);
    expect(counts(system, 4)).toEqual({ refcount: 1, mapcount: 0 });
    expectAtRest(system);
  });

  test('another thread was faster to map it: the pte is left alone, the reference goes back, and the access may run', () => {
    const system = rig({ cached: true });
    system.say('p', 'ptl', 'lock');
    call(system, true).settle();
    expect(waits(system)).toEqual(['spin_on_ptl', false, 'p', 'fault']);
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: readOnly });
    system.say('p', 'ptl', 'unlock');
    expect(system.settle().said('fault')).toEqual([...begin, ...get(), ...lockPtl, ...unlock(4), put(4), done]);
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 1, mapcount: 0 }]);
    expectAtRest(system);
  });
});

describe('a swap entry', () => {
  const swapped = { pte: swapEntry, area: anonymous, cached: true };
  const mapped = (write: boolean, noted: string[]): string[] => [
    ...begin,
    ...get(anonymous),
    ...lockPtl,
    'page4: page.read',
    ...noted,
    ...(write ? [flush] : []),
    ...map(4, write),
    ...unlock(4),
    done,
  ];

  test.each([false, true])('that says it: the page is exclusive again; a store maps it writable, when that is paid for (store: %s)', (write) => {
    const system = call(rig({ ...swapped, pte: exclusiveEntry }), write).settle();
    expect([system.said('fault'), pte(system)]).toEqual([mapped(write, ['page4: folio.set_exclusive {"exclusive":true}']), write ? writable(4) : readOnly]);
    expect([counts(system, 4), system.context('page4').anonExclusive]).toEqual([{ refcount: 2, mapcount: 1 }, true]);
    expectAtRest(system);
  });

  test.each([swapEntry, exclusiveEntry])('a page that is exclusive already may be written too (%j)', (entry) => {
    const system = store({ ...swapped, pte: entry, page4: { refcount: 2, anonExclusive: true } });
    expect([system.said('fault'), pte(system)]).toEqual([mapped(true, []), writable(4)]);
    expectAtRest(system);
  });

  test.each<[string, Counts]>([
    ['only the swap cache has', { refcount: 1 }],
    ['is mapped elsewhere', { refcount: 1, mapcount: 1 }],
    ['has a reference more', { refcount: 2 }],
  ])('that others may have too: a page that %s is mapped read-only even for a store, and nothing is paid', (_, page4) => {
    const system = store({ ...swapped, page4 });
    expect([system.said('fault'), pte(system)]).toEqual([mapped(false, []), readOnly]);
    expect([system.context('page4').anonExclusive, system.context('page4').dirty]).toEqual([false, false]);
    expectAtRest(system);
  });

  test('that others may have too: the store that follows has a copy of its own', () => {
    const system = call(store({ ...swapped, allocated: [[5]] }), true).settle();
    expect([pte(system), system.context('page5').content, system.context('page5').anonExclusive]).toEqual([writable(5), 'v4', true]);
    expect([counts(system, 4), counts(system, 5)]).toEqual([
      { refcount: 1, mapcount: 0 },
      { refcount: 1, mapcount: 1 },
    ]);
    expectAtRest(system);
  });

  test.each<[Pte, boolean]>([
    [exclusiveEntry, true],
    [swapEntry, false],
  ])('not in the swap cache: read from swap; whose it is, the entry says (%j)', (entry, own) => {
    const system = store({ ...swapped, pte: entry, cached: false, allocated: [[5]] });
    expect([system.context('page5').content, system.context('page5').anonExclusive, system.context('swap').folios]).toEqual(['swapped', own, { 7: 5 }]);
    expect([pte(system), system.heard('luf_flush').length]).toEqual(own ? [writable(5), 1] : [presentPte(5, { write: false }), 0]);
    expect(counts(system, 5)).toEqual({ refcount: 2, mapcount: 1 });
    expectAtRest(system);
  });

  test('that has lost its owner, by a fork, while the page was read: nothing is mapped', () => {
    const system = call(rig({ ...swapped, pte: exclusiveEntry }), true).stepTo('fault', 'finish_fault');
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: swapEntry });
    expect(system.settle().said('fault').slice(-6)).toEqual([...lockPtl, ...unlock(4), put(4), done]);
    expect([pte(system), counts(system, 4), system.context('page4').anonExclusive]).toEqual([swapEntry, { refcount: 1, mapcount: 0 }, false]);
    expectAtRest(system);
  });
});

describe('neither', () => {
  test('private memory that was never touched: a fresh page, or no memory', () => {
    const system = load({ area: anonymous });
    expect(system.said('fault')).toEqual([...begin, 'anon_fault: call {"vpn":3}', done]);
    expectAtRest(system);
    expectAtRest(call(system, true).settle(), false);
    expect(system.heard('anon_fault')).toEqual([
      { type: 'call', vpn: 3 },
      { type: 'call', vpn: 3 },
    ]);
  });

  test('a migration entry: sleeps until the folio is unlocked, holding nothing, and lets the access run again', () => {
    const entry: Pte = { kind: 'migration', pfn: 4, write: true };
    const system = rig({ pte: entry });
    system.say('p', 'lock4', 'lock');
    call(system, true).settle();
    expect(waits(system)).toEqual(['folio_wait_locked', false, null, 'p']);
    system.say('p', 'lock4', 'unlock');
    expect(system.said('fault')).toEqual([...begin, 'lock4: lock', 'lock4: unlock', done]);
    expect([pte(system), counts(system, 4)]).toEqual([entry, { refcount: 1, mapcount: 0 }]);
    expectAtRest(system);
  });

  test.each<[Pte, boolean]>([
    [readOnly, false],
    [presentPte(4), true],
  ])('a pte that allows the access already (%j)', (before, write) => {
    const system = call(rig({ pte: before }), write).settle();
    expect([system.said('fault'), pte(system)]).toEqual([[...begin, done], before]);
    expectAtRest(system);
  });
});

describe('a store to a read-only pte of a file', () => {
  const told = [...begin, ...lockPtl, 'page4: folio.ref_inc', 'ptl: unlock', 'lock4: lock', ...lockPtl];

  test('the file system is told with the folio locked; then what is owed is paid, and the pte is made writable', () => {
    const system = store({ ...ofFile, debug: true });
    expect(system.said('fault')).toEqual([...told, flush, mkwrite(4), set(writable(4)), 'page4: folio.mark_dirty', ...unlock(4), put(4), done]);
    expect([pte(system), counts(system, 4), system.context('page4').dirty]).toEqual([writable(4), { refcount: 2, mapcount: 1 }, true]);
    expectAtRest(system);
  });

  test('it sleeps on the folio without the page-table lock; a pte that has changed by then is left alone', () => {
    const system = rig(ofFile);
    system.say('p', 'lock4', 'lock');
    call(system, true).settle();
    expect([waits(system), counts(system, 4)]).toEqual([['page_mkwrite', false, null, 'p'], { refcount: 3, mapcount: 1 }]);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 3 });
    system.say('p', 'lock4', 'unlock');
    expect(system.settle().said('fault')).toEqual([...told, ...unlock(4), put(4), done]);
    expect([pte(system), counts(system, 4)]).toEqual([{ kind: 'none' }, { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('it spins on the page-table lock twice; a pte that has changed before the first is left alone', () => {
    const system = rig(ofFile);
    system.say('p', 'ptl', 'lock');
    call(system, true).settle();
    expect(waits(system)).toEqual(['wp_spin_on_ptl', false, 'p', null]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: presentPte(4) });
    system.say('p', 'ptl', 'unlock');
    expect(system.settle().said('fault')).toEqual([...begin, ...lockPtl, 'ptl: unlock', done]);
    expect(pte(system)).toEqual(presentPte(4));
    expectAtRest(system);
  });

  test('the second time with the folio locked', () => {
    const system = call(rig(ofFile), true).stepTo('fault', 'finish_mkwrite_fault');
    system.say('p', 'ptl', 'lock');
    expect(waits(system.settle())).toEqual(['mkwrite_spin_on_ptl', false, 'p', 'fault']);
    system.say('p', 'ptl', 'unlock');
    expect(pte(system.settle())).toEqual(writable(4));
    expectAtRest(system);
  });
});

describe('a store to a read-only pte of private memory', () => {
  const alloc = [...begin, ...lockPtl, 'page4: page.read', 'page4: folio.ref_inc', 'ptl: unlock', 'alloc_pages: call'];
  const copied = [
    ...alloc,
    'page4: memory.read {"sample":false}',
    'page5: memory.write {"value":"v4"}',
    'page5: folio.set_exclusive {"exclusive":true}',
    'debug: luf.copied {"source":4,"copy":5}',
    ...lockPtl,
  ];

  test('that is exclusive: made writable in place, when that is paid for, all under the page-table lock', () => {
    const system = store({ ...exclusive, debug: true });
    expect(system.said('fault')).toEqual([...begin, ...lockPtl, 'page4: page.read', flush, mkwrite(4, anonymous), set(writable(4)), 'ptl: unlock', done]);
    expect([pte(system), counts(system, 4)]).toEqual([writable(4), { refcount: 1, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('that others may map: a copy of its own; the old translation is flushed before the copy is mapped', () => {
    const system = store({ ...shared, debug: true });
    expect(system.said('fault')).toEqual([
      ...copied,
      'mm: pte.get_and_clear {"vpn":3}',
      'flush: call {"vpns":[3]}',
      flush,
      mkwrite(5, anonymous),
      'page5: folio.add_rmap',
      set(writable(5)),
      'page4: folio.remove_rmap',
      'ptl: unlock',
      put(4),
      put(4),
      done,
    ]);
    expect([pte(system), counts(system, 4), counts(system, 5)]).toEqual([writable(5), { refcount: 1, mapcount: 1 }, { refcount: 1, mapcount: 1 }]);
    expect([system.context('page5').anonExclusive, system.context('page5').content]).toEqual([true, 'v4']);
    expectAtRest(system);
  });

  test('while the flush is under way nothing is mapped, and the page-table lock is held', () => {
    const system = store({ ...shared, others: { flush: answers() } });
    expect([waits(system), pte(system), counts(system, 4)]).toEqual([['flush_tlb_page', false, 'fault', null], { kind: 'none' }, { refcount: 3, mapcount: 2 }]);
    system.say('p', 'fault', 'return');
    expect(pte(system.settle())).toEqual(writable(5));
    expectAtRest(system);
  });

  test('out of memory: the reference goes back, the pte stays', () => {
    const system = store({ ...shared, allocated: [[]] });
    expect([system.said('fault'), pte(system)]).toEqual([[...alloc, put(4), failed], readOnly]);
    expect(counts(system, 4)).toEqual({ refcount: 2, mapcount: 2 });
    expectAtRest(system, false);
  });

  test('another thread was faster while it copied: the copy is free again, both references go', () => {
    const system = call(rig({ ...shared, debug: true }), true)
      .stepTo('fault', 'copy_user_folio')
      .stepTo('fault', 'copy_ptl');
    system.say('p', 'ptl', 'lock');
    expect(waits(system.settle())).toEqual(['copy_spin_on_ptl', false, 'p', null]);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 3 });
    system.say('p', 'ptl', 'unlock');
    expect(system.settle().said('fault')).toEqual([...copied, 'ptl: unlock', put(5), put(4), done]);
    expect([pte(system), system.at('page5'), counts(system, 4)]).toEqual([{ kind: 'none' }, 'free', { refcount: 2, mapcount: 2 }]);
    expectAtRest(system);
  });
});

describe('a private mapping of a file', () => {
  const privately: Area = { ...file, private: true };
  const text: Area = { ...privately, write: false };
  /** Pages that are mapped read-only: of the file; a copy, which nobody else has. */
  const ofCache: Setup = { ...ofFile, area: privately, allocated: [[5]] };
  const copyOf = (area: Area): Setup => ({ ...exclusive, area });
  const replaced = [
    ...begin,
    ...lockPtl,
    'page4: page.read',
    'page4: folio.ref_inc',
    'ptl: unlock',
    'alloc_pages: call',
    'page4: memory.read {"sample":false}',
    'page5: memory.write {"value":"v4"}',
    'page5: folio.set_exclusive {"exclusive":true}',
    ...lockPtl,
    'mm: pte.get_and_clear {"vpn":3}',
    'flush: call {"vpns":[3]}',
  ];
  /** What the copy says of itself, and of the page of the file, which keeps its bytes and stays in the cache. */
  const copied = (system: Rig): unknown => {
    const { anonExclusive, content } = system.context('page5');
    return [counts(system, 5), { anonExclusive, content }, counts(system, 4), system.context('page4').content, system.context('file').folios];
  };
  const asCopied = [{ refcount: 1, mapcount: 1 }, { anonExclusive: true, content: 'v4' }, { refcount: 1, mapcount: 0 }, 'v4', { 2: 4 }];

  test.each([false, true])('a page that is not mapped is mapped read-only, also for a store, and nothing is paid (store: %s)', (write) => {
    const system = call(rig({ area: privately, cached: true, debug: true }), write).settle();
    expect(system.said('fault')).toEqual([...begin, ...get(), ...lockPtl, 'page4: page.read', ...map(4, false), ...unlock(4), done]);
    expect([counts(system, 4), system.context('page4').dirty, system.context('page4').anonExclusive]).toEqual([{ refcount: 2, mapcount: 1 }, false, false]);
    expectAtRest(system);
  });

  test('not in the cache: it is read into the cache first', () => {
    const system = store({ area: privately, allocated: [[5]] });
    expect(system.said('fault')).toEqual([...begin, ...read, ...lockPtl, 'page5: page.read', ...map(5, false), ...unlock(5), done]);
    expect(system.context('file').folios).toEqual({ 2: 5 });
    expectAtRest(system);
  });

  test('a store to a page of the file: a copy, writable when that is paid for; the file system is not told', () => {
    const system = store(ofCache);
    expect(system.said('fault')).toEqual([
      ...replaced,
      flush,
      'page5: folio.add_rmap',
      set(writable(5)),
      'page4: folio.remove_rmap',
      'ptl: unlock',
      put(4),
      put(4),
      done,
    ]);
    expect([pte(system), copied(system), system.heard('lock4'), system.context('page4').dirty]).toEqual([writable(5), asCopied, [], false]);
    expectAtRest(system);
  });

  test('a store to a page that is not mapped: mapped first, copied when the store runs again', () => {
    const system = call(store({ area: privately, cached: true, allocated: [[5]] }), true).settle();
    expect([pte(system), copied(system)]).toEqual([writable(5), asCopied]);
    expectAtRest(system);
  });

  test('a store to its copy, read-only again: made writable in place', () => {
    const system = store(copyOf(privately));
    expect(system.said('fault')).toEqual([...begin, ...lockPtl, 'page4: page.read', flush, set(writable(4)), 'ptl: unlock', done]);
    expectAtRest(system);
  });

  test('out of memory: the page of the file stays', () => {
    const system = store({ ...ofCache, allocated: [[]] });
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 2, mapcount: 1 }]);
    expectAtRest(system, false);
  });

  describe('without VM_WRITE, a forced store', () => {
    const ends = ['page4: folio.remove_rmap', 'ptl: unlock', put(4), put(4), done];

    test('leaves a copy that nobody else has, read-only: nothing is paid, and no writable pte is announced', () => {
      const system = store({ ...ofCache, area: text, debug: true });
      const said = system.said('fault').filter((line) => !line.startsWith('debug: luf.copied'));
      expect([said.slice(0, replaced.length), said[replaced.length], said.slice(replaced.length + 2)]).toEqual([replaced, 'page5: folio.add_rmap', ends]);
      expect(system.heard('debug')).toEqual([{ type: 'luf.copied', source: 4, copy: 5 }]);
      expect([pte(system), copied(system)]).toEqual([expect.objectContaining({ kind: 'present', pfn: 5, write: false }), asCopied]);
      expectAtRest(system);
    });

    test('keeps a copy that it has already, read-only', () => {
      const system = store({ ...copyOf(text), debug: true });
      expect([pte(system), counts(system, 4), system.heard('debug')]).toEqual([
        expect.objectContaining({ kind: 'present', pfn: 4, write: false }),
        { refcount: 1, mapcount: 1 },
        [],
      ]);
      expect([system.heard('luf_flush'), system.heard('alloc_pages'), system.context('page4').anonExclusive]).toEqual([[], [], true]);
      expectAtRest(system);
    });

    // wp_page_copy and wp_page_reuse set maybe_mkwrite(pte_mkdirty(entry)): dirty does not hang on VM_WRITE.
    test.each([
      ['copied', { ...ofCache, area: text }],
      ['in place', copyOf(text)],
    ])('leaves it dirty, as any store does (%s)', (_, setup) => {
      expect(pte(store(setup))).toMatchObject({ write: false, dirty: true });
    });
  });
});

describe('LUF: rows L6 and L7', () => {
  const cases: [string, string, Setup, number][] = [
    ['a page that is not mapped', 'luf_flush', { cached: true }, 4],
    ['a page of a file that is mapped read-only', 'mkwrite_luf_flush', ofFile, 4],
    ['a private page in place', 'reuse_luf_flush', exclusive, 4],
    ['a copy', 'copy_luf_flush', shared, 5],
    ['a copy of a page of a file', 'copy_luf_flush', { ...ofFile, area: { ...file, private: true }, allocated: [[5]] }, 5],
  ];
  /** What matters of the order. */
  const order = (system: Rig): string[] =>
    system
      .said('fault')
      .flatMap((said) => (said.includes('pte.set') ? ['set'] : said === flush ? ['pay'] : said === 'p: return {"ok":true}' ? ['return'] : []));

  test.each(cases)('strictly: %s becomes writable only when what is owed is paid, under the page-table lock', (_, state, setup, pfn) => {
    const system = store({ ...setup, others: { luf_flush: answers() } });
    expect([system.at('fault'), system.can('fault', 'step'), system.context('ptl').owner]).toEqual([state, false, 'fault']);
    expect(order(system)).toEqual(['pay']);
    system.say('p', 'fault', 'return');
    expect([pte(system.settle()), order(system)]).toEqual([writable(pfn), ['pay', 'set', 'return']]);
    expectAtRest(system);
  });

  test.each(cases)('a kernel without LUF pays nothing: %s', (_, __, setup, pfn) => {
    const system = store({ ...setup, luf: false });
    expect([pte(system), order(system)]).toEqual([writable(pfn), ['set', 'return']]);
    expectAtRest(system);
  });

  test.each(cases)('with the safeguard out nothing is paid at all: %s', (_, __, setup, pfn) => {
    const system = store({ ...setup, machine: neverPays });
    expect([pte(system), order(system)]).toEqual([writable(pfn), ['set', 'return']]);
    expectAtRest(system);
  });

  test.each(cases)('version 12 pays at the end, without a lock, when others can use the writable pte: %s', (_, __, setup, pfn) => {
    const system = store({ ...setup, machine: paysAtEnd, others: { luf_flush: answers() } });
    expect([waits(system), pte(system), order(system)]).toEqual([['fault_luf_flush', false, null, null], writable(pfn), ['set', 'pay']]);
    system.say('p', 'fault', 'return');
    expect(order(system)).toEqual(['set', 'pay', 'return']);
    expectAtRest(system);
  });

  test('strictly a load pays nothing', () => {
    expect(order(load({ cached: true }))).toEqual(['set', 'return']);
  });

  test('row L15a: the entry is computed before the lock, also when it is not installed then', () => {
    const machine = handlePteFault.provide({ guards: { computesEntryEarly: () => true } });
    const system = call(rig({ cached: true, machine, debug: true }), true).stepTo('fault', 'finish_fault');
    system.say('p', 'ptl', 'lock');
    expect([waits(system.settle()), system.said('fault').slice(-2)]).toEqual([
      ['spin_on_ptl', false, 'p', 'fault'],
      [mkwrite(4), 'ptl: lock'],
    ]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: readOnly });
    system.say('p', 'ptl', 'unlock');
    expect([pte(system.settle()), system.heard('debug').length, order(system)]).toEqual([readOnly, 1, ['return']]);
    expectAtRest(system);
  });

  test('row L15a: a load computes no writable entry', () => {
    const machine = handlePteFault.provide({ guards: { computesEntryEarly: () => true } });
    expect(load({ cached: true, machine, debug: true }).heard('debug')).toEqual([]);
  });
});

test('it can be called again: mapped by a load, made writable by a store', () => {
  const system = call(load({ cached: true }), true).settle();
  expect([pte(system), counts(system, 4)]).toEqual([writable(4), { refcount: 2, mapcount: 1 }]);
  expect(system.heard('p')).toEqual([
    { type: 'return', ok: true },
    { type: 'return', ok: true },
  ]);
  expectAtRest(system);
});

describe('wp_page_copy tells secondary MMUs', () => {
  const start = 'notifier: call {"phase":"start","event":"CLEAR","owner":null,"vpns":[3]}';
  const finish = start.replace('start', 'end');
  const told = (system: Rig): string[] => system.said('fault').filter((said) => /^(notifier|ptl|flush|put|alloc_pages): |pte\.(set|get_and_clear)/.test(said));

  test('with the copy made, before the page-table lock is taken again; and when it is mapped, before the old page goes', () => {
    const system = store({ ...shared, notified: true });
    expect(told(system)).toEqual([
      'ptl: lock',
      'ptl: unlock',
      'alloc_pages: call',
      start,
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":3}',
      'flush: call {"vpns":[3]}',
      set(writable(5)),
      'ptl: unlock',
      finish,
      put(4),
      put(4),
    ]);
    expectAtRest(system);
  });

  test('and is held up by them, without the page-table lock', () => {
    const system = store({ ...shared, notified: true, others: { notifier: answers() } });
    expect([waits(system), pte(system)]).toEqual([['mmu_notifier_invalidate_range_start', false, null, null], readOnly]);
    system.say('p', 'fault', { type: 'return', ok: true });
    expect([waits(system.settle()), pte(system)]).toEqual([['mmu_notifier_invalidate_range_end', false, null, null], writable(5)]);
    expect(counts(system, 4)).toEqual({ refcount: 3, mapcount: 1 });
    system.say('p', 'fault', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test('for nothing where another thread was faster: the end is told all the same', () => {
    const system = call(rig({ ...shared, notified: true }), true)
      .stepTo('fault', 'copy_user_folio')
      .stepTo('fault', 'copy_ptl');
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 3 });
    expect(told(system.settle()).slice(-6)).toEqual([start, 'ptl: lock', 'ptl: unlock', finish, put(5), put(4)]);
    expectAtRest(system);
  });

  test.each<[string, Setup]>([
    ['no memory for a copy', { ...shared, allocated: [[]] }],
    ['an exclusive page, in place', exclusive],
    ['a page of a file, in place', ofFile],
    ['no pte', { cached: true }],
    ['a swap entry', { pte: exclusiveEntry, area: anonymous, cached: true }],
  ])('of a copy only: not of %s', (_, setup) => {
    expect(store({ ...setup, notified: true }).heard('notifier')).toEqual([]);
  });
});

describe('a device-exclusive entry', () => {
  const entry: Pte = { kind: 'devexcl', pfn: 4, write: true };

  test.each([false, true])('is restored, holding nothing, and the access tried again (store: %s)', (write) => {
    const system = call(rig({ pte: entry, area: anonymous, restores: true, others: { restore: answers() } }), write).settle();
    expect([waits(system), system.said('fault')]).toEqual([
      ['remove_device_exclusive_entry', false, null, null],
      [...begin, 'restore: call {"vpn":3,"pfn":4}'],
    ]);
    system.say('p', 'fault', 'return');
    expect([system.settle().said('fault').at(-1), counts(system, 4)]).toEqual([done, { refcount: 1, mapcount: 0 }]);
    expectAtRest(system);
  });

  test('again at the next access, if a device has it again', () => {
    const system = call(store({ pte: entry, area: anonymous, restores: true })).settle();
    expect([system.heard('restore').length, system.heard('p').length]).toEqual([2, 2]);
    expectAtRest(system);
  });

  test('where there are none it is left alone', () => {
    const system = store({ pte: entry, area: anonymous });
    expect([system.said('fault'), system.heard('restore')]).toEqual([[...begin, done], []]);
  });
});

describe('a page in the memory of a device', () => {
  const entry: Pte = { kind: 'devpriv', pfn: 4, write: true };

  test.each([false, true])('is brought back, holding nothing, and the access tried again (store: %s)', (write) => {
    const system = call(rig({ pte: entry, area: anonymous, migrates: true, others: { migrate: answers() } }), write).settle();
    expect([waits(system), system.said('fault')]).toEqual([
      ['migrate_to_ram', false, null, null],
      [...begin, 'migrate: call {"vpn":3,"pfn":4}'],
    ]);
    system.say('p', 'fault', { type: 'return', ok: true });
    expect(system.settle().said('fault').at(-1)).toBe(done);
    expectAtRest(system);
  });

  test('where there is no such device it is left alone', () => {
    const system = store({ pte: entry, area: anonymous });
    expect([system.said('fault'), system.heard('migrate')]).toEqual([[...begin, done], []]);
  });
});

describe('do_numa_page: a pte without access in a VMA that allows it', () => {
  const hint = (dirty: boolean): Pte => ({ kind: 'protnone', pfn: 4, dirty });
  const private4 = (anonExclusive: boolean): Setup => ({ area: anonymous, page4: { refcount: 1, mapcount: 1, anonExclusive } });
  const shared4 = { page4: { refcount: 2, mapcount: 1 } };
  const readOnlyArea = { ...anonymous, write: false };

  test.each<[string, Setup, boolean, boolean]>([
    ['private and exclusive', private4(true), false, true],
    ['private and exclusive, and dirty', private4(true), true, true],
    ['private, and not only its own', private4(false), true, false],
    ['exclusive where the VMA allows no store', { ...private4(true), area: readOnlyArea }, true, false],
    ['of a file, and clean', shared4, false, false],
    ['of a file, and dirty', shared4, true, true],
  ])('gets its access back, and may be written if that needs neither copy nor file system: %s', (_, setup, dirty, write) => {
    const before = setup.page4 as Counts;
    for (const access of [false, true]) {
      const system = call(rig({ ...setup, pte: hint(dirty), debug: true }), access).settle();
      expect(system.said('fault').filter((said) => !said.startsWith('debug'))).toEqual([
        ...begin,
        ...lockPtl,
        'page4: page.read',
        ...(write ? [flush] : []),
        set(presentPte(4, { write, dirty })),
        'ptl: unlock',
        done,
      ]);
      expect([system.heard('debug').length, counts(system, 4)]).toEqual([write ? 1 : 0, { refcount: before.refcount, mapcount: before.mapcount }]);
      expectAtRest(system);
    }
  });

  test('stays read-only where there are copies of the page, though it is exclusive to its process', () => {
    const copied: Setup = { area: anonymous, page4: { refcount: 1, mapcount: 1, anonExclusive: true, protection: { record: 'record4', stable: false } } };
    for (const protects of [true, false]) {
      const system = load({ ...copied, protects, pte: hint(true) });
      expect(pte(system)).toEqual(presentPte(4, { write: !protects, dirty: true }));
      expectAtRest(system);
    }
  });

  test('LUF: what is owed is paid under the page-table lock before it may be written', () => {
    const system = load({ ...private4(true), pte: hint(true), others: { luf_flush: answers() } });
    expect([waits(system), pte(system)]).toEqual([['numa_luf_flush', false, 'fault', null], hint(true)]);
    system.say('p', 'fault', 'return');
    expect(pte(system.settle())).toEqual(presentPte(4, { dirty: true }));
    expectAtRest(system);
  });

  test('it spins while another has the page-table lock; a pte that has changed by then is left alone', () => {
    const system = rig({ ...private4(true), pte: hint(false) });
    system.say('p', 'ptl', 'lock');
    call(system, true).settle();
    expect(waits(system)).toEqual(['numa_spin_on_ptl', false, 'p', null]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: readOnly });
    system.say('p', 'ptl', 'unlock');
    expect([pte(system.settle()), system.said('fault').slice(2)]).toEqual([readOnly, [...lockPtl, 'ptl: unlock', done]]);
    expectAtRest(system);
  });

  test('a store that finds it read-only then is a fault of its own', () => {
    const system = store({ ...private4(false), pte: hint(false), allocated: [[5]] });
    expect(pte(system)).toEqual(readOnly);
    expect(pte(call(system, true).settle())).toEqual(writable(5));
    expectAtRest(system);
  });

  test('in a VMA without access it is no hint (PROT_NONE)', () => {
    const system = load({ ...private4(true), area: { ...readOnlyArea, read: false }, pte: hint(true) });
    expect([pte(system), system.said('fault')]).toEqual([hint(true), [...begin, done]]);
    expectAtRest(system);
  });
});

describe('FAULT_FLAG_UNSHARE', () => {
  const unshare = (setup: Setup): Rig => {
    const system = rig({ luf: false, ...setup });
    system.say('p', 'fault', { type: 'call', vpn: 3, unshare: true });
    return system.settle();
  };
  const stable = { ...shared, page4: { refcount: 2, mapcount: 2, protection: { record: 'record4', stable: true } } };

  test.each<[string, Setup]>([
    ['that others may map', shared],
    ['that KSM shares', stable],
    ['that KSM shares, where pages may be protected for other reasons', { ...stable, protects: true }],
  ])('private memory %s: a copy that is exclusive, and neither writable nor dirty', (_, setup) => {
    const system = unshare(setup);
    expect([pte(system), counts(system, 4), counts(system, 5)]).toEqual([
      presentPte(5, { write: false }),
      { refcount: 1, mapcount: 1 },
      { refcount: 1, mapcount: 1 },
    ]);
    expect([system.context('page5').anonExclusive, system.context('page5').content, system.heard('break')]).toEqual([true, 'v4', []]);
    expectAtRest(system);
  });

  test('a page that is exclusive already stays as it is', () => {
    const system = unshare(exclusive);
    expect(system.said('fault')).toEqual([...begin, ...lockPtl, 'page4: page.read', 'ptl: unlock', done]);
    expect(pte(system)).toEqual(readOnly);
    expectAtRest(system);
  });

  test('so does one that may be written', () => {
    const system = unshare({ ...exclusive, pte: presentPte(4) });
    expect([system.said('fault'), pte(system)]).toEqual([[...begin, done], presentPte(4)]);
    expectAtRest(system);
  });

  test('is forgotten: a store to the same page that follows makes it writable', () => {
    const system = call(unshare(exclusive), true).settle();
    expect(pte(system)).toEqual(writable(4));
    expectAtRest(system);
  });

  test('no memory for the copy', () => {
    const system = unshare({ ...shared, allocated: [[]] });
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 2, mapcount: 2 }]);
    expectAtRest(system, false);
  });
});

describe('a private page that is shared by KSM', () => {
  test.each([true, false])('is copied by a store, never used again in place (pages may be protected for other reasons: %s)', (protects) => {
    const page4 = { refcount: 2, mapcount: 2, protection: { record: 'record4', stable: true } };
    const system = store({ ...shared, page4, protects });
    expect([pte(system), system.context('page5').content, system.heard('break')]).toEqual([writable(5), 'v4', []]);
    expectAtRest(system);
  });
});

describe('a private page of which there are replicas', () => {
  const replicated: Setup = {
    ...exclusive,
    page4: { refcount: 2, mapcount: 2, anonExclusive: true, protection: { record: 'record4', stable: false } },
    protects: true,
  };
  const breaks = 'break: call {"pfn":4,"vpn":3,"mapping":"swap","index":1}';

  test('a store breaks the protection, without the page-table lock, and then the access is tried again', () => {
    const system = store({ ...replicated, others: { break: answers() } });
    expect(waits(system)).toEqual(['break_protection', false, null, null]);
    system.say('p', 'fault', { type: 'return', ok: true });
    expect(system.said('fault')).toEqual([...begin, ...lockPtl, 'page4: page.read', 'ptl: unlock', breaks, done]);
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 2, mapcount: 2 }]);
    expectAtRest(system);
  });

  test('who unshares does so, too', () => {
    const system = rig(replicated);
    system.say('p', 'fault', { type: 'call', vpn: 3, unshare: true });
    expect(system.settle().said('fault').slice(-2)).toEqual([breaks, done]);
    expectAtRest(system);
  });
});

describe('a page of a file, where pages may be protected', () => {
  const plain: Setup = { cached: true, protects: true, page4: { refcount: 1, mapping: 'file' } };
  const stable = { record: 'record4', stable: true };
  const protectedPage: Setup = { ...plain, page4: { refcount: 1, mapping: 'file', protection: stable } };
  const listed = (system: Rig, mapping = 'file'): Rig => {
    system.say('p', 'record4', { type: 'record.add_slot', slot: { mapping, index: 2 } });
    return system;
  };
  const found = [...begin, slot(), 'page4: folio.try_get', 'lock4: lock', 'page4: folio.mapping'];
  const lists = 'record4: record.lists {"mapping":"file","index":2}';
  const breaks = 'break: call {"pfn":4,"vpn":3,"mapping":"file","index":2}';

  test('that is not protected: page->mapping is asked, in place of the slot', () => {
    const system = load(plain);
    expect(system.said('fault')).toEqual([...found, ...lockPtl, ...map(4, false), ...unlock(4), done]);
    expectAtRest(system);
  });

  test('is what page->mapping is asked of: a page in the swap cache has none, and is found by its slot', () => {
    for (const cached of [true, false]) {
      const system = load({ pte: swapEntry, area: anonymous, cached, protects: true, allocated: [[5]] });
      expect([pte(system), system.context(`page${cached ? 4 : 5}`).mapping]).toEqual([presentPte(cached ? 4 : 5, { write: false }), null]);
      expectAtRest(system);
    }
  });

  test('that is read from disk has its mapping from then on', () => {
    const system = load({ ...plain, cached: false, allocated: [[5]] });
    expect(system.said('fault').slice(4, 8)).toEqual([
      'lock5: lock',
      'file: slot.add {"index":2,"pfn":5}',
      'page5: folio.ref_inc',
      'page5: folio.set_mapping {"mapping":"file"}',
    ]);
    expect([system.context('page5').mapping, counts(system, 5)]).toEqual(['file', { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('that was truncated while it waited for the lock: it looks again', () => {
    const system = rig({ ...plain, allocated: [[5]] });
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: null });
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    system.say('p', 'lock4', 'unlock');
    expect(
      system
        .settle()
        .said('fault')
        .slice(found.length, found.length + 4),
    ).toEqual(['lock4: unlock', put(4), look, slot()]);
    expect([pte(system), counts(system, 4)]).toEqual([presentPte(5, { write: false }), { refcount: 1, mapcount: 0 }]);
    expectAtRest(system);
  });

  test('that is protected, and whose record lists the place: a load maps it', () => {
    const system = call(listed(rig(protectedPage))).settle();
    expect(system.said('fault')).toEqual([...found, lists, ...lockPtl, ...map(4, false), ...unlock(4), done]);
    expect([pte(system), counts(system, 4), system.heard('break')]).toEqual([readOnly, { refcount: 2, mapcount: 1 }, []]);
    expectAtRest(system);
  });

  test('a store breaks the protection first, with no lock and no reference; the access is tried again', () => {
    const system = call(listed(rig({ ...protectedPage, others: { break: answers() } })), true).settle();
    expect([waits(system), counts(system, 4)]).toEqual([['break_protection', false, null, null], { refcount: 1, mapcount: 0 }]);
    system.say('p', 'fault', { type: 'return', ok: true });
    expect(system.said('fault')).toEqual([...found, lists, 'lock4: unlock', put(4), breaks, done]);
    expect(pte(system)).toBeUndefined();
    expectAtRest(system);
  });

  test('and there is no page for a copy: the fault fails (VM_FAULT_OOM)', () => {
    const system = call(listed(rig({ ...protectedPage, others: { break: answers() } })), true).settle();
    system.say('p', 'fault', { type: 'return', ok: false });
    expectAtRest(system, false);
  });

  test('a store through a private mapping does not: it will go to a copy', () => {
    const system = call(listed(rig({ ...protectedPage, area: { ...file, private: true } })), true).settle();
    expect([pte(system), system.heard('break'), counts(system, 4)]).toEqual([readOnly, [], { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('whose record does not list the place any more: it looks again', () => {
    const system = call(listed(rig({ ...protectedPage, allocated: [[5]] }), 'other')).stepTo('fault', 'folio_unlock_gone');
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    expect(
      system
        .settle()
        .said('fault')
        .slice(found.length, found.length + 4),
    ).toEqual([lists, 'lock4: unlock', put(4), look]);
    expect([pte(system), counts(system, 4)]).toEqual([presentPte(5, { write: false }), { refcount: 1, mapcount: 0 }]);
    expectAtRest(system);
  });

  test('row W14: one that is protected looks truncated, and is found again and again', () => {
    const blind = handlePteFault.provide({ guards: { knowsRecord: () => false } });
    const system = call(listed(rig({ ...protectedPage, machine: blind })), true);
    for (const _ of [1, 2]) system.stepTo('fault', 'folio_unlock_gone').take('fault', 'step').settle('put').take('fault', 'step');
    const round = ['lock4: lock', 'page4: folio.mapping', 'lock4: unlock', put(4), look];
    expect(system.said('fault')).toEqual([...begin, slot(), 'page4: folio.try_get', ...round, slot(), 'page4: folio.try_get', ...round]);
    expect(counts(system, 4)).toEqual({ refcount: 1, mapcount: 0 });
  });
});

describe('page_mkwrite, where pages may be protected', () => {
  const mapped: Setup = { ...ofFile, luf: false, protects: true, page4: { refcount: 2, mapcount: 1, mapping: 'file' } };
  const told = [...begin, ...lockPtl, 'page4: folio.ref_inc', 'ptl: unlock', 'lock4: lock', 'page4: folio.mapping'];

  test('a page that is not: made writable', () => {
    const system = store(mapped);
    expect(system.said('fault')).toEqual([...told, ...lockPtl, set(writable(4)), 'page4: folio.mark_dirty', ...unlock(4), put(4), done]);
    expect([pte(system), counts(system, 4)]).toEqual([writable(4), { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('a page that is: the protection is broken first, with no lock and no reference', () => {
    const page4 = { refcount: 2, mapcount: 1, mapping: 'file', protection: { record: 'record4', stable: true } };
    const system = store({ ...mapped, page4 });
    expect(system.said('fault')).toEqual([...told, 'lock4: unlock', put(4), 'break: call {"pfn":4,"vpn":3,"mapping":"file","index":2}', done]);
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('a page that was truncated meanwhile: the access is tried again', () => {
    const system = rig(mapped);
    system.say('p', 'lock4', 'lock');
    call(system, true).settle();
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: null });
    system.say('p', 'lock4', 'unlock');
    expect(system.settle().said('fault')).toEqual([...told, 'lock4: unlock', put(4), done]);
    expect([pte(system), counts(system, 4)]).toEqual([readOnly, { refcount: 2, mapcount: 1 }]);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(handlePteFault)).toEqual([]);
});
