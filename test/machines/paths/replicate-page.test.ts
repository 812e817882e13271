import { addressSpace, folio, folioLock, type Pte, presentPte, protectionRecord, putPage, replicatePage, rwsem, spinlock } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const readOnly = (pfn = 4): Pte => presentPte(pfn, { write: false });

interface Setup {
  machine?: typeof replicatePage;
  /** Page tables of further nodes, with what they hold. */
  others?: Pte[];
  /** What write_protect_page returns. */
  protects?: { ok: boolean; ptes: (Pte | null)[] };
  pfns?: number[];
  page?: Partial<{ refcount: number; mapcount: number; anonExclusive: boolean; protection: { record: string; stable: boolean } }>;
  notified?: string[];
  writeProtect?: ActorSpec;
}

/** Page 4 is mapped at page 3 by every table; write_protect_page has left its ptes as they stand there. */
function rig({ machine = replicatePage, others = [readOnly()], protects, pfns = [7], page = {}, notified = [], writeProtect }: Setup = {}): Rig {
  const tables = ['p', ...others.map((_, n) => `p${n + 1}`)];
  const pteOf = (n: number): Pte => (n === 0 ? readOnly() : (others[n - 1] as Pte));
  const each = (make: (mm: string, n: number) => [string, ActorSpec][]): Actors => Object.fromEntries(tables.flatMap(make));
  const mapcount = tables.filter((_, n) => JSON.stringify(pteOf(n)) === JSON.stringify(readOnly())).length;
  return new Rig({
    ...each((mm, n) => [
      [mm, actor(addressSpace, { input: { ptes: { 3: pteOf(n) }, vmas: [3], cpumask: [] } })],
      [`ptl_${mm}`, actor(spinlock)],
      [`flush_${mm}`, returns()],
      [`notifier_${mm}`, returns({ ok: true })],
    ]),
    mmap_lock: actor(rwsem),
    lock4: actor(folioLock),
    page4: actor(folio, { input: { pfn: 4, idle: 0, zone: 'normal', refcount: mapcount, mapcount, content: 'bytes', anonExclusive: true, ...page } }),
    page7: actor(folio, { input: { pfn: 7, idle: 0, zone: 'normal', refcount: 1, content: 'old' } }),
    record4: actor(protectionRecord),
    alloc: returns({ pfns }),
    put: actor(putPage, { input: {} }),
    protect: writeProtect ?? returns(protects ?? { ok: true, ptes: tables.map(() => readOnly()) }),
    path: actor(machine, {
      input: {
        mmapLock: 'mmap_lock',
        tables: tables.map((mm) => ({ mm, ptl: `ptl_${mm}` })),
        flush: Object.fromEntries(tables.map((mm) => [mm, `flush_${mm}`])),
        ...(notified.length > 0 ? { notifiers: Object.fromEntries(notified.map((mm) => [mm, `notifier_${mm}`])) } : {}),
        folioLocks: { 4: 'lock4' },
        allocPages: 'alloc',
        putPage: 'put',
        writeProtect: 'protect',
      },
    }),
    p_: probe(),
  });
}
const start = (system: Rig): Rig => {
  system.say('p_', 'path', { type: 'call', vpn: 3, pfn: 4 });
  return system;
};
const called = (setup?: Setup): Rig => start(rig(setup)).settle();
const pte = (system: Rig, mm: string): Pte => system.context(mm).ptes[3];
const counts = (system: Rig, page: string): unknown => {
  const { refcount, mapcount, content, protection, anonExclusive } = system.context(page);
  return { refcount, mapcount, content, protection, anonExclusive };
};
const record4 = { record: 'record4', stable: false };
const idle = { caller: '', vpn: -1, pfn: -1, replica: -1, ptes: [], node: 1, placed: false, ok: false };
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('path')).toMatchObject(idle);
  expect([system.at('path'), system.heard('p_').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
  expect([system.context('mmap_lock').readers, system.context('lock4').owner, system.context('ptl_p').owner]).toEqual([[], null, null]);
}
/** Nothing was changed, and nobody has another reference. */
function expectUndone(system: Rig, ok: boolean, mapcount = 2): void {
  expectAtRest(system, ok);
  expect(counts(system, 'page4')).toEqual({ refcount: mapcount, mapcount, content: 'bytes', protection: null, anonExclusive: true });
  expect([system.at('page7'), system.context('record4').copies]).toEqual(['free', []]);
}

const [lockMm, unlockMm, alloc, trylock, unlock] = ['mmap_lock: down_read', 'mmap_lock: up_read', 'alloc: call', 'lock4: trylock', 'lock4: unlock'] as const;
const [tryGet, read, unprotect] = ['page4: folio.try_get', 'page4: page.read', 'page4: folio.unprotect'] as const;
const mark = ['record4: record.clear', 'page4: folio.protect {"record":"record4","stable":false}'];
const items = (mms: string[]) => mms.map((mm) => ({ mm, vpn: 3, ptl: `ptl_${mm}` }));
const protect = (mms = ['p', 'p1']): string => `protect: call ${JSON.stringify({ pfn: 4, items: items(mms), shares: false })}`;
const copy = ['page4: memory.read {"sample":false}', 'page7: memory.write {"value":"bytes"}', 'page7: folio.protect {"record":"record4","stable":false}'];
const look = (mm: string): string[] => [`ptl_${mm}: lock`, `${mm}: pte.read {"vpn":3}`];
const place = (mm: string): string[] => [
  `${mm}: pte.get_and_clear {"vpn":3}`,
  `flush_${mm}: call {"vpns":[3]}`,
  'page7: folio.ref_inc',
  'page7: folio.add_rmap',
  `record4: record.add_copy {"copy":{"mm":"${mm}","vpn":3,"pfn":7}}`,
  `${mm}: pte.set ${JSON.stringify({ vpn: 3, pte: readOnly(7) })}`,
  'page4: folio.remove_rmap',
  'page4: folio.ref_dec',
  `ptl_${mm}: unlock`,
];
const [put, putReplica] = ['put: call {"pfn":4,"pinned":false}', 'put: call {"pfn":7,"pinned":false}'] as const;
const end = (ok: boolean): string[] => [unlock, put, putReplica, unlockMm, `p_: return {"ok":${ok}}`];
const undo = [unprotect, 'page7: folio.unprotect'];
const notify = (mm: string, phase: 'start' | 'end'): string => `notifier_${mm}: call {"phase":"${phase}","event":"CLEAR","owner":null,"vpns":[3]}`;

describe('a page of two nodes', () => {
  test('gets a copy on the other one: marked, protected everywhere, copied, placed', () => {
    const system = called();
    expect(system.said('path')).toEqual([lockMm, alloc, tryGet, trylock, read, ...mark, protect(), ...copy, ...look('p1'), ...place('p1'), ...end(true)]);
    expectAtRest(system, true);
    expect([pte(system, 'p'), pte(system, 'p1')]).toEqual([readOnly(), readOnly(7)]);
    expect(counts(system, 'page4')).toEqual({ refcount: 1, mapcount: 1, content: 'bytes', protection: record4, anonExclusive: true });
    expect(counts(system, 'page7')).toEqual({ refcount: 1, mapcount: 1, content: 'bytes', protection: record4, anonExclusive: false });
    expect(system.context('record4').copies).toEqual([{ mm: 'p1', vpn: 3, pfn: 7 }]);
  });

  test('is known to be protected before the first pte is, and until its folio is unlocked nobody breaks it', () => {
    const system = start(rig({ writeProtect: probe() })).stepTo('path', 'write_protect_page');
    expect([system.context('page4').protection, system.context('lock4').owner, system.can('path', 'step')]).toEqual([record4, 'path', false]);
    system.say('p_', 'lock4', 'lock');
    system.say('protect', 'path', { type: 'return', ok: true, ptes: [readOnly(), readOnly()] });
    system.stepTo('path', 'folio_unlock');
    expect([pte(system, 'p1'), system.heard('p_')]).toEqual([readOnly(7), []]);
    system.take('path', 'step');
    expect(system.heard('p_')).toEqual([{ type: 'locked' }]);
  });

  test('is copied when it cannot change any more', () => {
    const system = start(rig({ writeProtect: probe() })).stepTo('path', 'write_protect_page');
    system.say('p_', 'page4', { type: 'memory.write', value: 'newer' });
    system.say('protect', 'path', { type: 'return', ok: true, ptes: [readOnly(), readOnly()] });
    expect(system.settle().context('page7').content).toBe('newer');
  });

  test('row W11: a copy made before lacks what was stored meanwhile', () => {
    const machine = replicatePage.provide({ guards: { copiesAfterProtect: () => false } });
    const system = start(rig({ machine, writeProtect: probe() })).stepTo('path', 'write_protect_page');
    expect(system.said('path').slice(5)).toEqual([...mark, ...copy, protect()]);
    system.say('p_', 'page4', { type: 'memory.write', value: 'newer' });
    system.say('protect', 'path', { type: 'return', ok: true, ptes: [readOnly(), readOnly()] });
    expect([system.settle().context('page7').content, pte(system, 'p1')]).toEqual(['bytes', readOnly(7)]);
    expectAtRest(system, true);
  });

  test('what a record has from before is forgotten', () => {
    const system = rig();
    system.say('p_', 'record4', { type: 'record.add_copy', copy: { mm: 'gone', vpn: 9, pfn: 9 } });
    expect(start(system).settle().context('record4').copies).toEqual([{ mm: 'p1', vpn: 3, pfn: 7 }]);
  });

  test('the notifier of a table is told around its change', () => {
    const system = called({ notified: ['p', 'p1'] });
    expect(system.said('path').slice(7)).toEqual([protect(), ...copy, notify('p1', 'start'), ...look('p1'), ...place('p1'), notify('p1', 'end'), ...end(true)]);
  });

  test('a second call finds it protected, and does nothing', () => {
    const system = called();
    const before = system.said('path').length;
    start(system).settle();
    expect(system.said('path').slice(before)).toEqual([lockMm, alloc, tryGet, trylock, read, ...end(true)]);
    expect(system.context('page4').refcount).toBe(1);
    expectAtRest(system, true);
  });
});

describe('tables one by one', () => {
  test('the copy serves all other nodes; one that does not map the page is left out', () => {
    const none: Pte = { kind: 'none' };
    const system = called({ others: [readOnly(), none, readOnly()], protects: { ok: true, ptes: [readOnly(), readOnly(), null, readOnly()] } });
    expect(system.said('path').slice(11)).toEqual([...look('p1'), ...place('p1'), ...look('p3'), ...place('p3'), ...end(true)]);
    expect([pte(system, 'p2'), system.context('page7').refcount, system.context('page7').mapcount]).toEqual([none, 2, 2]);
    expect([system.context('page4').refcount, system.context('page4').mapcount]).toEqual([1, 1]);
  });

  test('a pte that has changed since stays; with no copy placed there is no protection', () => {
    const writable = presentPte(4);
    const system = called({ others: [writable], page: { refcount: 2, mapcount: 2 }, notified: ['p1'] });
    const course = [notify('p1', 'start'), ...look('p1'), 'ptl_p1: unlock', notify('p1', 'end'), ...undo, ...end(false)];
    expect([system.said('path').slice(11), pte(system, 'p1')]).toEqual([course, writable]);
    expectUndone(system, false);
  });

  test('nor where no other node maps the page', () => {
    const system = called({ others: [{ kind: 'none' }], protects: { ok: true, ptes: [readOnly(), null] } });
    expect(system.said('path').slice(11)).toEqual([...undo, ...end(false)]);
    expectUndone(system, false, 1);
  });

  test('the page-table lock is waited for', () => {
    const system = rig();
    system.say('p_', 'ptl_p1', 'lock');
    start(system).settle();
    expect([system.at('path'), system.can('path', 'step')]).toEqual(['spin_on_ptl', false]);
    system.say('p_', 'ptl_p1', 'unlock');
    expectAtRest(system.settle(), true);
  });
});

describe('it gives up', () => {
  test.each<[string, { ok: boolean; ptes: (Pte | null)[] }]>([
    ['somebody else refers to the page', { ok: false, ptes: [readOnly()] }],
    ['node 0 does not map it', { ok: true, ptes: [null, readOnly()] }],
  ])('where it cannot be protected: %s', (_, protects) => {
    const system = called({ protects });
    expect(system.said('path').slice(5)).toEqual([...mark, protect(), ...undo, ...end(false)]);
    expectUndone(system, false);
  });

  test('without memory', () => {
    const system = called({ pfns: [] });
    expect(system.said('path')).toEqual([lockMm, alloc, unlockMm, 'p_: return {"ok":false}']);
    expectAtRest(system, false);
  });

  test('where the page is free', () => {
    const system = called({ page: { refcount: 0, mapcount: 0 } });
    expect(system.said('path')).toEqual([lockMm, alloc, tryGet, putReplica, unlockMm, 'p_: return {"ok":false}']);
    expect(system.at('page7')).toBe('free');
    expectAtRest(system, false);
  });

  test('where the folio is locked', () => {
    const system = rig();
    system.say('p_', 'lock4', 'lock');
    start(system).settle();
    expect(system.said('path')).toEqual([lockMm, alloc, tryGet, trylock, put, putReplica, unlockMm, 'p_: return {"ok":false}']);
    system.say('p_', 'lock4', 'unlock');
    expectUndone(system, false);
  });

  test('where the page is not exclusive to the process', () => {
    const system = called({ page: { anonExclusive: false } });
    expect(system.said('path').slice(4)).toEqual([read, ...end(false)]);
    expect([system.at('page7'), system.context('page4').protection]).toEqual(['free', null]);
    expectAtRest(system, false);
  });

  test('but a page that KSM has is protected well enough', () => {
    const stable = { record: 'record4', stable: true };
    const system = called({ page: { anonExclusive: false, protection: stable } });
    expect([system.said('path').slice(4), system.context('page4').protection]).toEqual([[read, ...end(true)], stable]);
    expectAtRest(system, true);
  });
});

test('it waits for mmap_lock', () => {
  const system = rig();
  system.say('p_', 'mmap_lock', 'down_write');
  start(system).settle();
  expect([system.at('path'), system.can('path', 'step')]).toEqual(['wait_for_mmap_lock', false]);
  system.say('p_', 'mmap_lock', 'up_write');
  expectAtRest(system.settle(), true);
});

test('every transition was taken', () => {
  expect(untaken(replicatePage)).toEqual([]);
});
