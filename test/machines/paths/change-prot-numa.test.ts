import { type Area, addressSpace, changeProtNuma, folio, handlePteFault, type Pte, presentPte, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  area?: Area | null;
  notified?: boolean;
  defers?: boolean;
  others?: Actors;
}
const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };

const rig = ({ pte, area: of = area, notified = true, defers = false, others = {} }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: pte ? { 3: pte } : {}, vmas: [3], cpumask: [], areas: of ? { 3: of } : {} } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    flush: returns(),
    batched: returns(),
    notifier: returns({ ok: true }),
    scan: actor(changeProtNuma, {
      input: {
        ...{ mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: 'flush', notifier: notified ? 'notifier' : null },
        ...(defers ? { batchedPending: 'batched' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, vpn = 3): Rig => {
  system.say('p', 'scan', { type: 'call', vpn });
  return system;
};
const scanned = (setup: Setup, vpn?: number): Rig => call(rig(setup), vpn).settle();
const pte = (system: Rig): Pte => system.context('mm').ptes[3];
/** Where it waits, and who holds the locks meanwhile. */
const waits = (system: Rig): unknown => [system.at('scan'), system.can('scan', 'step'), system.context('mmap_lock').readers, system.context('ptl').owner];
function expectAtRest(system: Rig): void {
  expect(system.context('scan')).toMatchObject({ caller: '', vpn: -1, pte: null });
  expect([system.context('mmap_lock'), system.context('ptl')]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
  ]);
  expect([system.at('scan'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const start = 'notifier: call {"phase":"start","event":"PROTECTION_VMA","owner":null,"vpns":[3]}';
const end = start.replace('start', 'end');
const find = ['mmap_lock: down_read', 'mm: vma.find {"vpn":3}'];
const close = ['mmap_lock: up_read', 'p: return'];
const look = 'mm: pte.read {"vpn":3}';
const flush = 'flush: call {"vpns":[3]}';
const hint = (dirty = false): Pte => ({ kind: 'protnone', pfn: 4, dirty });
const set = `mm: pte.set ${JSON.stringify({ vpn: 3, pte: hint() })}`;
const taken = 'mm: pte.get_and_clear {"vpn":3}';

describe('a page that is present', () => {
  test('loses all access: told, taken, put back, told again, flushed, all under mmap_lock for reading', () => {
    const system = scanned({ pte: presentPte(4) });
    expect(system.said('scan')).toEqual([...find, start, 'ptl: lock', look, taken, set, 'ptl: unlock', end, flush, ...close]);
    expect(pte(system)).toEqual(hint());
    expectAtRest(system);
  });

  test('keeps the D bit that the walker sets until the pte is taken', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('scan', 'ptep_modify_prot_start');
    system.say('p', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(pte(system.settle())).toEqual(hint(true));
  });

  test.each<[string, Setup]>([
    ['nobody mirrors the address space', { notified: false }],
    ['areas are not modelled', { area: null }],
    ['only loads are allowed', { area: { ...area, write: false } }],
    ['only stores are allowed', { area: { ...area, read: false } }],
  ])('also where %s', (_, setup) => {
    const system = scanned({ pte: presentPte(4), ...setup });
    expect([pte(system), system.heard('notifier').length]).toEqual([hint(), setup.notified === false ? 0 : 2]);
    expectAtRest(system);
  });

  test('a flush that reclaim has put off is done first, under the page-table lock', () => {
    const system = scanned({ pte: presentPte(4), defers: true, others: { batched: answers() } });
    expect([waits(system), pte(system)]).toEqual([['flush_tlb_batched_pending', false, ['scan'], 'scan'], presentPte(4)]);
    system.say('p', 'scan', 'return');
    expect(pte(system.settle())).toEqual(hint());
    expectAtRest(system);
  });
});

describe('a notification of nothing', () => {
  test.each<[string, Pte | undefined]>([
    ['a device-exclusive entry', { kind: 'devexcl', pfn: 4, write: true }],
    ['a hint that is there already', hint(true)],
    ['a swap entry', { kind: 'swap', slot: 1 }],
    ['no pte', undefined],
    ['a page of a driver', presentPte(4, { special: true })],
    ['a page of a device', presentPte(4, { devmap: true })],
  ])('%s stays as it is; secondary MMUs were told all the same', (_, before) => {
    const system = scanned(before ? { pte: before } : {});
    expect(system.said('scan')).toEqual([...find, start, 'ptl: lock', look, 'ptl: unlock', end, ...close]);
    expect(pte(system)).toEqual(before);
    expectAtRest(system);
  });
});

test.each<[string, Setup, number]>([
  ['without a VMA', { pte: presentPte(4) }, 7],
  ['in a VMA without access', { pte: presentPte(4), area: { ...area, read: false, write: false } }, 3],
])('%s there is nothing to scan, and nobody is told', (_, setup, vpn) => {
  const system = scanned(setup, vpn);
  expect(system.said('scan')).toEqual(['mmap_lock: down_read', `mm: vma.find {"vpn":${vpn}}`, ...close]);
  expectAtRest(system);
});

describe('it waits', () => {
  test('while somebody writes mmap_lock, and runs beside others that read it', () => {
    const system = rig({ pte: presentPte(4) });
    system.say('p', 'mmap_lock', 'down_write');
    call(system).settle();
    expect([system.at('scan'), system.can('scan', 'step'), system.heard('notifier')]).toEqual(['wait_for_mmap_lock', false, []]);
    system.say('p', 'mmap_lock', 'up_write');
    expectAtRest(system.settle());
    const beside = rig({ pte: presentPte(4) });
    beside.say('p', 'mmap_lock', 'down_read');
    expect(pte(call(beside).settle())).toEqual(hint());
  });

  test('for secondary MMUs, without the page-table lock', () => {
    const system = scanned({ pte: presentPte(4), others: { notifier: answers() } });
    expect([waits(system), pte(system)]).toEqual([['mmu_notifier_invalidate_range_start', false, ['scan'], null], presentPte(4)]);
    system.say('p', 'scan', { type: 'return', ok: true });
    expect([waits(system.settle()), system.heard('flush')]).toEqual([['mmu_notifier_invalidate_range_end', false, ['scan'], null], []]);
    system.say('p', 'scan', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test('while another has the page-table lock; what is there by then counts', () => {
    const system = rig({ pte: presentPte(4) });
    system.say('p', 'ptl', 'lock');
    call(system).settle();
    expect(waits(system)).toEqual(['spin_on_ptl', false, ['scan'], 'p']);
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: { kind: 'devexcl', pfn: 4 } });
    system.say('p', 'ptl', 'unlock');
    expect([pte(system.settle()), system.heard('flush')]).toEqual([{ kind: 'devexcl', pfn: 4 }, []]);
    expectAtRest(system);
  });

  test('for the flush, under mmap_lock', () => {
    const system = scanned({ pte: presentPte(4), others: { flush: answers() } });
    expect([waits(system), system.heard('p')]).toEqual([['flush_tlb_range', false, ['scan'], null], []]);
    system.say('p', 'scan', 'return');
    expectAtRest(system.settle());
  });
});

test('the fault that a hint causes makes the page as it was, for the next scan', () => {
  const fault = { mm: 'mm', ptl: 'ptl', folioLocks: {}, allocPages: 'flush', putPage: 'flush', anonFault: 'flush', flush: 'flush', lufFlush: null };
  const others = {
    page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: true } }),
    fault: actor(handlePteFault, { input: { ...fault, debug: null, task: 'task' } }),
  };
  const system = scanned({ pte: presentPte(4, { dirty: true }), others });
  for (let round = 0; round < 2; round++) {
    system.say('p', 'fault', { type: 'call', vpn: 3, write: false });
    expect(pte(system.settle())).toEqual(presentPte(4, { dirty: true }));
    expect(pte(call(system).settle())).toEqual(hint(true));
    expectAtRest(system);
  }
  expect(system.heard('notifier')).toHaveLength(6);
});

test('every transition was taken', () => {
  expect(untaken(changeProtNuma)).toEqual([]);
});
