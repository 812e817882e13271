import { type Area, addressSpace, folio, folioLock, madviseFree, type Pte, presentPte, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  vmas?: number[];
  area?: Area;
  /** Of the folio. */
  dirty?: boolean;
  mapcount?: number;
  notified?: boolean;
  defers?: boolean;
  others?: Actors;
}
const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };

function rig({ pte = presentPte(4, { dirty: true }), vmas = [3], area: of, dirty = false, mapcount = 1, notified, defers, others = {} }: Setup = {}): Rig {
  const system = new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: pte }, vmas, cpumask: [], ...(of ? { areas: { 3: of } } : {}) } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: mapcount, mapcount, idle: 0, zone: 'normal' } }),
    lock4: actor(folioLock),
    flush: returns(),
    batched: returns(),
    notifier: returns({ ok: true }),
    it: actor(madviseFree, {
      input: {
        ...{ mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', folioLocks: { 4: 'lock4' }, flush: 'flush' },
        ...(notified ? { notifier: 'notifier' } : {}),
        ...(defers ? { batchedPending: 'batched' } : {}),
      },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
  if (dirty) system.say('q', 'page4', 'folio.mark_dirty');
  return system;
}
const call = (system: Rig): Rig => {
  system.say('p', 'it', { type: 'call', vpn: 3 });
  return system;
};
const done = (setup?: Setup): Rig => call(rig(setup)).settle();
const state = (system: Rig): unknown => [system.context('mm').ptes[3], system.context('page4').dirty];
function expectAtRest(system: Rig): void {
  expect(system.context('it')).toMatchObject({ caller: '', vpn: -1, pte: null });
  expect([system.context('mmap_lock'), system.context('ptl'), system.context('lock4'), system.context('mm').tlbFlushPending]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
    { owner: null, waiters: [] },
    0,
  ]);
  expect([system.at('it'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const clean = presentPte(4);
const find = ['mmap_lock: down_read', 'mm: vma.find {"vpn":3}'];
const begin = 'mm: gather.begin';
const look = ['ptl: lock', 'mm: pte.read {"vpn":3}'];
const counts = 'page4: page.read';
const take = 'mm: pte.get_and_clear {"vpn":3}';
const set = (pte: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte })}`;
const unlock = 'ptl: unlock';
const ask = 'mm: gather.read';
const flush = 'flush: call {"vpns":[3]}';
const close = ['mm: gather.end', 'mmap_lock: up_read', 'p: return'];
const notify = (phase: 'start' | 'end'): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [3] })}`;
const trylock = ['lock4: trylock', counts];

describe('a private page', () => {
  test('its pte becomes clean and stays writable, under mmap_lock for reading; the flush comes at the end of the gather', () => {
    const system = done();
    expect(system.said('it')).toEqual([...find, begin, ...look, counts, take, set(clean), unlock, ask, flush, ...close]);
    expect(state(system)).toEqual([clean, false]);
    expectAtRest(system);
  });

  test('until the flush has returned a CPU may store without D in the pte; the gather is under way', () => {
    const system = done({ others: { flush: answers() } });
    expect([state(system), system.context('mm').tlbFlushPending, system.context('ptl').owner, system.context('mmap_lock').readers]).toEqual([
      ...[[clean, false], 1, null, ['it']],
    ]);
    expect(system.can('it', 'step')).toBe(false);
    system.say('q', 'it', 'return');
    expectAtRest(system.settle());
  });

  test('a D that the walker sets until the pte is taken goes, too', () => {
    const system = call(rig({ pte: clean })).stepTo('it', 'clear_young_dirty_ptes');
    system.say('q', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(state(system.settle())).toEqual([clean, false]);
    expectAtRest(system);
  });

  test('one that is read-only stays so', () => {
    expect(state(done({ pte: presentPte(4, { write: false, dirty: true }), area }))).toEqual([presentPte(4, { write: false }), false]);
  });

  test('whose folio is dirty: that becomes clean first, under its lock', () => {
    const system = done({ dirty: true });
    expect(system.said('it')).toEqual([
      ...[...find, begin, ...look, counts, ...trylock, 'page4: folio.clean', 'lock4: unlock', take, set(clean), unlock, ask, flush, ...close],
    ]);
    expect(state(system)).toEqual([clean, false]);
    expectAtRest(system);
  });
});

describe('a page that stays as it is', () => {
  const dirty = presentPte(4, { dirty: true });

  test('its dirty folio is locked by another', () => {
    const system = rig({ dirty: true });
    system.say('q', 'lock4', 'lock');
    expect(call(system).settle().said('it')).toEqual([...find, begin, ...look, counts, 'lock4: trylock', unlock, ask, ...close]);
    expect(state(system)).toEqual([dirty, true]);
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system);
  });

  test('others map its dirty folio, too', () => {
    const system = done({ dirty: true, mapcount: 2 });
    expect(system.said('it')).toEqual([...find, begin, ...look, counts, ...trylock, 'lock4: unlock', unlock, ask, ...close]);
    expect(state(system)).toEqual([dirty, true]);
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['nothing', { kind: 'none' }],
    ['a swap entry', { kind: 'swap', slot: 1 }],
    ['a page of a driver', presentPte(4, { special: true })],
    ['a page of a device', presentPte(4, { devmap: true })],
  ])('%s is there', (_, pte) => {
    const system = done({ pte });
    expect(system.said('it')).toEqual([...find, begin, ...look, unlock, ask, ...close]);
    expect(state(system)).toEqual([pte, false]);
    expectAtRest(system);
  });
});

test.each<[string, Setup]>([
  ['no VMA', { vmas: [] }],
  ['a mapping of a file', { area: { ...area, anonymous: false } }],
])('%s: nothing is dropped, and there is no gather', (_, setup) => {
  const system = done(setup);
  expect(system.said('it')).toEqual([...find, 'mmap_lock: up_read', 'p: return']);
  expectAtRest(system);
});

test.each(['present', 'gone'])('another gather is under way: everything is flushed (the page is %s)', (there) => {
  const system = rig(there === 'gone' ? { pte: { kind: 'none' } } : {});
  system.say('q', 'mm', 'gather.begin');
  expect(call(system).settle().said('it').slice(-5)).toEqual([ask, 'flush: call {"vpns":"all"}', ...close]);
  system.say('q', 'mm', 'gather.end');
  expectAtRest(system);
});

describe('it waits', () => {
  test('for mmap_lock and the page-table lock; others may read mmap_lock beside it', () => {
    const system = rig();
    system.say('q', 'mmap_lock', 'down_write');
    system.say('q', 'ptl', 'lock');
    expect([call(system).settle().at('it'), system.can('it', 'step')]).toEqual(['wait_for_mmap_lock', false]);
    system.say('q', 'mmap_lock', 'up_write');
    system.say('q', 'mmap_lock', 'down_read');
    expect([system.settle().at('it'), system.can('it', 'step')]).toEqual(['spin_on_ptl', false]);
    system.say('q', 'ptl', 'unlock');
    system.say('q', 'mmap_lock', 'up_read');
    expectAtRest(system.settle());
  });

  test('for secondary MMUs, before the page-table lock is taken and before the flush', () => {
    const system = done({ notified: true, others: { notifier: answers() } });
    expect([system.at('it'), system.can('it', 'step'), system.context('ptl').owner]).toEqual(['mmu_notifier_invalidate_range_start', false, null]);
    system.say('q', 'it', { type: 'return', ok: true });
    expect([system.settle().at('it'), system.can('it', 'step'), system.heard('flush')]).toEqual(['mmu_notifier_invalidate_range_end', false, []]);
    system.say('q', 'it', { type: 'return', ok: true });
    expect(system.settle().said('it')).toEqual([
      ...[...find, begin, notify('start'), ...look, counts, take, set(clean), unlock, notify('end'), ask, flush, ...close],
    ]);
    expectAtRest(system);
  });

  test('for a flush that reclaim has put off, under the page-table lock', () => {
    const system = done({ defers: true, others: { batched: answers() } });
    expect([system.at('it'), system.can('it', 'step'), system.context('ptl').owner]).toEqual(['flush_tlb_batched_pending', false, 'it']);
    system.say('q', 'it', 'return');
    expectAtRest(system.settle());
  });
});

test('it can be called again', () => {
  const system = done();
  call(system).settle();
  expect(system.heard('p')).toHaveLength(2);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(madviseFree)).toEqual([]);
});
