import { type Area, addressSpace, folio, handlePteFault, type Pte, presentPte, putPage, rwsem, spinlock, unmergeKsmPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  stable?: boolean;
  vmas?: number[];
  forWriting?: boolean;
  others?: Actors;
}
const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };

const rig = ({ pte = readOnly(4), stable = true, vmas = [3], forWriting, others = {} }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: pte }, vmas, cpumask: [], areas: { 3: area } } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    page4: actor(folio, {
      input: { pfn: 4, refcount: 2, mapcount: 2, idle: 0, zone: 'normal', content: 'v0', protection: stable ? { record: 'record4', stable: true } : null },
    }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal' } }),
    fault: answers(),
    unmerge: actor(unmergeKsmPage, {
      input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', fault: 'fault', ...(forWriting === undefined ? {} : { forWriting }) },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'unmerge', { type: 'call', vpn: 3 });
  return system;
};
const done = (setup: Setup): Rig => call(rig(setup)).settle();
function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('unmerge')).toMatchObject({ caller: '', vpn: -1, pfn: -1, ok: true });
  expect([system.context('mmap_lock'), system.context('ptl')]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
  ]);
  expect([system.at('unmerge'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}
const setPte = (system: Rig, pte: Pte): unknown => system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte });

const find = 'mm: vma.find {"vpn":3}';
const look = ['ptl: lock', 'mm: pte.read {"vpn":3}'];
const unlock = 'ptl: unlock';
const fault = 'fault: call {"vpn":3,"unshare":true}';
const counts = (pfn: number): string => `page${pfn}: page.read`;

test('a stable page: a fault that unshares, without the page-table lock, and then another look', () => {
  const system = done({});
  expect([system.at('unmerge'), system.can('unmerge', 'step'), system.context('mmap_lock').writer, system.context('ptl').owner]).toEqual([
    'handle_mm_fault',
    false,
    'unmerge',
    null,
  ]);
  setPte(system, readOnly(5));
  system.say('q', 'unmerge', { type: 'return', ok: true });
  expect(system.settle().said('unmerge')).toEqual([
    ...['mmap_lock: down_write', find, ...look, counts(4), unlock, fault],
    ...[...look, counts(5), unlock, 'mmap_lock: up_write', 'p: return {"ok":true}'],
  ]);
  expectAtRest(system);
});

test('break_cow does the same with mmap_lock for reading', () => {
  const system = done({ forWriting: false, stable: false });
  expect(system.said('unmerge')).toEqual(['mmap_lock: down_read', find, ...look, counts(4), unlock, 'mmap_lock: up_read', 'p: return {"ok":true}']);
  expectAtRest(system);
});

test('with the fault handler: the page is exclusive then, and read-only', () => {
  const system = done({
    others: {
      alloc: returns({ pfns: [5] }),
      put: actor(putPage, { input: {} }),
      flush: returns(),
      anon: returns(),
      fault: actor(handlePteFault, {
        input: {
          ...{ mm: 'mm', ptl: 'ptl', folioLocks: {}, allocPages: 'alloc', putPage: 'put', anonFault: 'anon', flush: 'flush' },
          ...{ lufFlush: null, debug: null, task: 'p' },
        },
      }),
    },
  });
  expect([system.context('mm').ptes[3], system.context('page5')]).toMatchObject([
    readOnly(5),
    { anonExclusive: true, content: 'v0', refcount: 1, mapcount: 1 },
  ]);
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 1 });
  expectAtRest(system);
});

test('a fault that has found another change is made again', () => {
  const system = done({});
  for (const _ of [1, 2]) {
    system.say('q', 'unmerge', { type: 'return', ok: true });
    expect(system.settle().at('unmerge')).toBe('handle_mm_fault');
  }
  setPte(system, { kind: 'none' });
  system.say('q', 'unmerge', { type: 'return', ok: true });
  system.settle();
  expect(system.heard('fault')).toHaveLength(3);
  expectAtRest(system);
});

test('without memory for the copy the page stays', () => {
  const system = done({ others: { fault: returns({ ok: false }) } });
  expect(system.said('unmerge').slice(-3)).toEqual([fault, 'mmap_lock: up_write', 'p: return {"ok":false}']);
  expectAtRest(system, false);
  setPte(system, { kind: 'none' });
  expectAtRest(call(system).settle());
});

describe('nothing to do', () => {
  test('no VMA', () => {
    const system = done({ vmas: [] });
    expect(system.said('unmerge')).toEqual(['mmap_lock: down_write', find, 'mmap_lock: up_write', 'p: return {"ok":true}']);
    expectAtRest(system);
  });

  test.each<[string, Setup, string[]]>([
    ['no pte', { pte: { kind: 'none' } }, []],
    ['a swap entry', { pte: { kind: 'swap', slot: 1 } }, []],
    ['a page that is not shared', { stable: false }, [counts(4)]],
    ['a hint of NUMA balancing on one', { stable: false, pte: { kind: 'protnone', pfn: 4, dirty: false } }, [counts(4)]],
  ])('%s', (_, setup, reads) => {
    const system = done(setup);
    expect(system.said('unmerge')).toEqual(['mmap_lock: down_write', find, ...look, ...reads, unlock, 'mmap_lock: up_write', 'p: return {"ok":true}']);
    expectAtRest(system);
  });
});

describe('it waits', () => {
  test('while somebody reads mmap_lock, unless it reads, too', () => {
    const system = rig({ stable: false });
    system.say('q', 'mmap_lock', 'down_read');
    expect([call(system).settle().at('unmerge'), system.can('unmerge', 'step')]).toEqual(['wait_for_mmap_lock', false]);
    system.say('q', 'mmap_lock', 'up_read');
    expectAtRest(system.settle());
    const beside = rig({ stable: false, forWriting: false });
    beside.say('q', 'mmap_lock', 'down_read');
    expect(call(beside).settle().at('unmerge')).toBe('idle');
  });

  test('while another has the page-table lock', () => {
    const system = rig({ stable: false });
    system.say('q', 'ptl', 'lock');
    expect([call(system).settle().at('unmerge'), system.can('unmerge', 'step')]).toEqual(['spin_on_ptl', false]);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle());
  });
});

test('every transition was taken', () => {
  expect(untaken(unmergeKsmPage)).toEqual([]);
});
