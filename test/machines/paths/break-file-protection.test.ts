import {
  addressSpace,
  breakFileProtection,
  folio,
  folioLock,
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

interface Setup {
  /** Files that page 4 stands in. */
  owners?: string[];
  /** What the two ptes of f's mappers hold; each pte of page 4 counts. */
  ptes?: Record<number, Pte>;
  dirty?: boolean;
  /** What the allocator hands out, call by call. */
  allocated?: number[][];
  notified?: boolean;
  machine?: typeof breakFileProtection;
  others?: Actors;
}
type Machine = typeof breakFileProtection;
const items = [0, 1].map((vpn) => ({ mm: 'mm', vpn, ptl: 'ptl' }));
const readOnly = presentPte(4, { write: false });
const maps = (pte: Pte): boolean => (pte.kind === 'present' || pte.kind === 'protnone') && pte.pfn === 4;

/** As alloc_pages hands it out. */
const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: 'zero' } }) });
const breaker = (machine: Machine, notified = false): Actors => ({
  break: actor(machine, {
    input: {
      ...{ folioLocks: { 4: 'lock4', 5: 'lock5' }, mappers: { f: { 2: items } }, allocPages: 'alloc_pages', putPage: 'put', flush: { mm: 'flush' } },
      ...(notified ? { notifiers: { mm: 'notifier' } } : {}),
    },
  }),
});

function rig({ owners = ['f', 'g'], ptes = {}, dirty = false, allocated = [[5]], notified = false, machine = breakFileProtection, others = {} }: Setup): Rig {
  const mapcount = Object.values(ptes).filter(maps).length;
  const system = new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: owners.length + mapcount, mapcount, idle: 0, zone: 'normal', content: 'shared', mapping: 'f' } }),
    ...page(5),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    record4: actor(protectionRecord),
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: [] } }),
    ptl: actor(spinlock),
    ...Object.fromEntries(['f', 'g', 'h'].map((file) => [file, actor(pageCache, { input: { folios: { 2: owners.includes(file) ? 4 : null } } })])),
    alloc_pages: returns(...allocated.map((pfns) => ({ pfns }))),
    put: actor(putPage, { input: {} }),
    flush: returns(),
    notifier: returns({ ok: true }),
    ...breaker(machine, notified),
    p: probe(),
    q: probe(),
    ...others,
  });
  for (const mapping of owners) system.say('p', 'record4', { type: 'record.add_slot', slot: { mapping, index: 2 } });
  if (owners.length > 0) system.say('p', 'page4', { type: 'folio.protect', record: 'record4', stable: true });
  if (dirty) system.say('p', 'page4', 'folio.mark_dirty');
  return system;
}
const call = (system: Rig, vpn: number | null = 0, by = 'p'): Rig => {
  system.say(by, 'break', { type: 'call', pfn: 4, vpn, mapping: 'f', index: 2 });
  return system;
};
const broken = (setup: Setup = {}): Rig => call(rig(setup)).settle();
const slots = (system: Rig): unknown => ['f', 'g', 'h'].map((file) => system.context(file).folios[2]);
const pageOf = (system: Rig, pfn: number): unknown => {
  const { refcount, mapcount, content, mapping, dirty, protection } = system.context(`page${pfn}`);
  return { refcount, mapcount, content, mapping, dirty, protected: protection !== null };
};
const page4 = { refcount: 1, mapcount: 0, content: 'shared', mapping: 'g', dirty: false, protected: false };
const page5 = { refcount: 1, mapcount: 0, content: 'shared', mapping: 'f', dirty: false, protected: false };
/** Where it waits, and who has the page-table lock and the folio lock. */
const waits = (system: Rig): unknown => [system.at('break'), system.can('break', 'step'), system.context('ptl').owner, system.context('lock4').owner];
function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('break')).toMatchObject({ caller: '', pfn: -1, mapping: '', index: -1, copy: -1, record: '', items: [] });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect([lock, system.context(lock)]).toEqual([lock, { owner: null, waiters: [] }]);
  expect([system.at('break'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const take = ['alloc_pages: call', 'page4: folio.try_get', 'lock4: lock', 'page4: folio.mapping'];
const lists = 'record4: record.lists {"mapping":"f","index":2}';
const copy = ['page4: folio.wait_writeback', 'page4: memory.read {"sample":false}', 'page5: memory.write {"value":"shared"}', 'page4: page.read'];
const look = (vpn: number): string[] => ['ptl: lock', `mm: pte.read {"vpn":${vpn}}`];
const skip = (vpn: number): string[] => [...look(vpn), 'ptl: unlock'];
const unmap = (vpn: number): string[] => [
  ...[...look(vpn), `mm: pte.get_and_clear {"vpn":${vpn}}`, `flush: call {"vpns":[${vpn}]}`],
  ...['page4: folio.remove_rmap', 'ptl: unlock', put(4)],
];
const replace = [
  'page5: folio.set_mapping {"mapping":"f"}',
  'f: slot.replace {"index":2,"pfn":5}',
  'record4: record.remove_slot {"slot":{"mapping":"f","index":2}}',
];
const alone = ['page4: folio.unprotect', 'page4: folio.set_mapping {"mapping":"g"}', 'record4: record.clear'];
const dropCache = 'page4: folio.ref_dec';
const end = ['lock4: unlock', put(4), 'p: return {"ok":true}'];
const faster = ['lock4: unlock', put(4), put(5), 'p: return {"ok":true}'];

describe('an owner gets a page of his own', () => {
  test("copied under the folio lock, his ptes taken away, then his slot; the page is the other owner's alone", () => {
    const system = broken({ ptes: { 1: readOnly } });
    expect(system.said('break')).toEqual([...take, lists, ...copy, ...skip(0), ...unmap(1), ...replace, ...alone, dropCache, ...end]);
    expect([slots(system), pageOf(system, 4), pageOf(system, 5)]).toEqual([[5, 4, null], page4, page5]);
    expect([system.context('record4').slots, system.context('mm').ptes]).toEqual([[], { 1: { kind: 'none' } }]);
    expectAtRest(system);
  });

  test('where others share it still, it stays protected', () => {
    const system = broken({ owners: ['f', 'g', 'h'] });
    expect(system.said('break').slice(-8)).toEqual([...skip(1).slice(-1), ...replace, dropCache, ...end]);
    expect([slots(system), pageOf(system, 4)]).toEqual([[5, 4, 4], { ...page4, refcount: 2, mapping: 'f', protected: true }]);
    expect(system.context('record4').slots.map(({ mapping }: { mapping: string }) => mapping)).toEqual(['g', 'h']);
    expectAtRest(system);
  });

  test('by write(2), which has no virtual page, the same', () => {
    const system = call(rig({ ptes: { 0: readOnly } }), null).settle();
    expect([slots(system), pageOf(system, 4), pageOf(system, 5)]).toEqual([[5, 4, null], page4, page5]);
    expectAtRest(system);
  });

  test('of a dirty page the copy is dirty too, and the page stays so: whose bytes are not on the disk is not known', () => {
    const system = broken({ dirty: true });
    expect([pageOf(system, 4), pageOf(system, 5)]).toEqual([
      { ...page4, dirty: true },
      { ...page5, dirty: true },
    ]);
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['another page', presentPte(7)],
    ['a swap entry', { kind: 'swap', slot: 1 }],
  ])('%s that is mapped there stays', (_, pte) => {
    const system = broken({ ptes: { 0: pte } });
    expect([system.context('mm').ptes, system.heard('flush')]).toEqual([{ 0: pte }, []]);
    expectAtRest(system);
  });

  test('a hint of NUMA balancing maps the page, too', () => {
    const system = broken({ ptes: { 0: { kind: 'protnone', pfn: 4, dirty: false } } });
    expect([system.context('mm').ptes, pageOf(system, 4)]).toEqual([{ 0: { kind: 'none' } }, page4]);
    expectAtRest(system);
  });

  test('secondary MMUs are told of each place, before the page-table lock is taken and after it is dropped', () => {
    const system = broken({ ptes: { 0: readOnly }, notified: true });
    const told = (vpn: number, phase: string): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [vpn] })}`;
    const places = [told(0, 'start'), ...unmap(0), told(0, 'end'), told(1, 'start'), ...skip(1), told(1, 'end')];
    expect(system.said('break')).toEqual([...take, lists, ...copy, ...places, ...replace, ...alone, dropCache, ...end]);
    expectAtRest(system);
  });

  test('a file that nobody maps has no ptes to look at', () => {
    const system = rig({ owners: ['f', 'g'] });
    system.say('p', 'break', { type: 'call', pfn: 4, vpn: null, mapping: 'g', index: 2 });
    expect([slots(system.settle()), pageOf(system, 4), system.heard('ptl')]).toEqual([[4, 5, null], { ...page4, mapping: 'f' }, []]);
    expectAtRest(system);
  });

  test('without memory: ok is false, and nothing is touched', () => {
    const system = broken({ allocated: [[]] });
    expect([system.said('break'), slots(system)]).toEqual([
      ['alloc_pages: call', 'p: return {"ok":false}'],
      [4, 4, null],
    ]);
    expectAtRest(system, false);
  });
});

describe('somebody was faster', () => {
  const second = { ...page(6), break2: breaker(breakFileProtection).break as Actors[string] };

  test('the page is not protected any more: unlocks, and the copy is free again', () => {
    const system = rig({});
    system.say('p', 'page4', 'folio.unprotect');
    expect(call(system).settle().said('break')).toEqual([...take, ...faster]);
    expect([slots(system), system.at('page5')]).toEqual([[4, 4, null], 'free']);
    expectAtRest(system);
  });

  test('others share it, but the owner has a page already', () => {
    const system = broken({ owners: ['g', 'h'] });
    expect(system.said('break')).toEqual([...take, lists, ...faster]);
    expect([pageOf(system, 4), system.at('page5')]).toEqual([{ ...page4, refcount: 2, mapping: 'f', protected: true }, 'free']);
    expectAtRest(system);
  });

  test('the page is being taken away', () => {
    const system = rig({});
    system.say('p', 'page4', { type: 'folio.freeze', expected: 2 });
    expect(call(system).settle().said('break')).toEqual(['alloc_pages: call', 'page4: folio.try_get', put(5), 'p: return {"ok":true}']);
    expect(system.at('page5')).toBe('free');
    expectAtRest(system);
  });

  test('two of one owner: the second finds it done', () => {
    const system = rig({ allocated: [[5], [6]], others: second });
    call(system).stepTo('break', 'folio_wait_writeback');
    system.say('q', 'break2', { type: 'call', pfn: 4, vpn: 0, mapping: 'f', index: 2 });
    system.settle('break2', 'put');
    expect([system.at('break2'), system.can('break2', 'step')]).toEqual(['folio_wait_lock', false]);
    expect([slots(system.settle()), system.at('page6'), system.heard('q')]).toEqual([[5, 4, null], 'free', [{ type: 'return', ok: true }]]);
    expectAtRest(system);
  });

  test('two owners: who comes second has the page for himself', () => {
    const system = rig({ allocated: [[5], [6]], others: second });
    call(system).stepTo('break', 'folio_wait_writeback');
    system.say('q', 'break2', { type: 'call', pfn: 4, vpn: 0, mapping: 'g', index: 2 });
    expect([slots(system.settle()), system.at('page6'), pageOf(system, 4)]).toEqual([[5, 4, null], 'free', page4]);
    expect(system.heard('q')).toEqual([{ type: 'return', ok: true }]);
    expectAtRest(system);
  });
});

describe('it waits', () => {
  test('for the folio lock, with a reference and without the bytes', () => {
    const system = rig({});
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([waits(system), system.context('page4').refcount, system.context('page5').content]).toEqual([['folio_wait_lock', false, null, 'p'], 3, 'zero']);
    system.say('p', 'lock4', 'unlock');
    expectAtRest(system.settle());
  });

  test('for the end of writeback, with the folio locked', () => {
    const system = rig({});
    system.say('p', 'page4', 'folio.start_writeback');
    call(system).settle();
    expect([waits(system), slots(system)]).toEqual([
      ['wait_on_writeback', false, null, 'break'],
      [4, 4, null],
    ]);
    system.say('p', 'page4', 'folio.end_writeback');
    expect(slots(system.settle())).toEqual([5, 4, null]);
    expectAtRest(system);
  });

  test('without the safeguard it does not: two pages may be on their way to one place of the disk', () => {
    const system = rig({ machine: breakFileProtection.provide({ guards: { waitsForWriteback: () => false } }) });
    system.say('p', 'page4', 'folio.start_writeback');
    expect([slots(call(system).settle()), system.context('page4').writeback]).toEqual([[5, 4, null], { waiters: [] }]);
    expectAtRest(system);
  });

  test('for secondary MMUs and for the page-table lock; for the flush under it', () => {
    const system = broken({ ptes: { 0: readOnly }, notified: true, others: { notifier: answers(), flush: answers() } });
    expect(waits(system)).toEqual(['mmu_notifier_invalidate_range_start', false, null, 'break']);
    system.say('p', 'ptl', 'lock');
    system.say('p', 'break', { type: 'return', ok: true });
    expect(waits(system.settle())).toEqual(['spin_on_ptl', false, 'p', 'break']);
    system.say('p', 'ptl', 'unlock');
    expect([waits(system.settle()), slots(system)]).toEqual([
      ['flush_tlb_page', false, 'break', 'break'],
      [4, 4, null],
    ]);
    system.say('p', 'break', 'return');
    expect(waits(system.settle())).toEqual(['mmu_notifier_invalidate_range_end', false, null, 'break']);
    for (let calls = 0; calls < 3; calls++) {
      system.say('p', 'break', { type: 'return', ok: true });
      system.settle();
    }
    expectAtRest(system);
  });
});

test('without the safeguard the copy is in the slot while the owner can still read the old page', () => {
  const system = broken({
    ptes: { 0: readOnly },
    machine: breakFileProtection.provide({ guards: { unmapsFirst: () => false } }),
    others: { flush: answers() },
  });
  expect([waits(system), slots(system)]).toEqual([
    ['flush_tlb_page', false, 'break', 'break'],
    [5, 4, null],
  ]);
  system.say('p', 'break', 'return');
  expect(system.settle().said('break')).toEqual([...take, lists, ...copy, ...replace, ...alone, dropCache, ...unmap(0), ...skip(1), ...end]);
  expect([pageOf(system, 4), pageOf(system, 5)]).toEqual([page4, page5]);
  expectAtRest(system);
});

test('it can be called again, for the other owner', () => {
  const system = rig({ owners: ['f', 'g', 'h'], allocated: [[5], [6]], others: page(6) });
  call(system).settle();
  system.say('p', 'break', { type: 'call', pfn: 4, vpn: null, mapping: 'h', index: 2 });
  expect([slots(system.settle()), pageOf(system, 4)]).toEqual([[5, 4, 6], page4]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(breakFileProtection)).toEqual([]);
});
