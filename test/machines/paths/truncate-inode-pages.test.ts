import {
  addressSpace,
  folio,
  folioLock,
  type Pte,
  pageCache,
  presentPte,
  protectionRecord,
  putPage,
  spinlock,
  truncateInodePages,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** What the two ptes of f's mappers hold; each pte of page 4 counts. */
  ptes?: Record<number, Pte>;
  /** Nothing stands there. */
  empty?: boolean;
  /** Page 4 is protected, and stands in these files. */
  owners?: string[];
  dirty?: boolean;
  notified?: boolean;
  machine?: typeof truncateInodePages;
  others?: Actors;
}
const items = [0, 1].map((vpn) => ({ mm: 'mm', vpn, ptl: 'ptl' }));

function rig({ ptes = {}, empty = false, owners = [], dirty = false, notified = false, machine = truncateInodePages, others = {} }: Setup): Rig {
  const mapcount = Object.values(ptes).filter((pte) => 'pfn' in pte && pte.pfn === 4).length;
  const files = owners.length > 0 ? owners : ['f'];
  const system = new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: (empty ? 0 : files.length) + mapcount, mapcount, idle: 0, zone: 'normal', mapping: 'f' } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal', mapping: 'f' } }),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    record4: actor(protectionRecord),
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: [] } }),
    ptl: actor(spinlock),
    ...Object.fromEntries(['f', 'g', 'h'].map((file) => [file, actor(pageCache, { input: { folios: { 2: files.includes(file) && !empty ? 4 : null } } })])),
    put: actor(putPage, { input: {} }),
    flush: returns(),
    notifier: returns({ ok: true }),
    truncate: actor(machine, {
      input: {
        ...{ folioLocks: { 4: 'lock4', 5: 'lock5' }, mappers: { f: { 2: items } }, putPage: 'put', flush: { mm: 'flush' } },
        ...(notified ? { notifiers: { mm: 'notifier' } } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
  for (const mapping of owners) system.say('p', 'record4', { type: 'record.add_slot', slot: { mapping, index: 2 } });
  if (owners.length > 0) system.say('p', 'page4', { type: 'folio.protect', record: 'record4', stable: true });
  if (dirty) system.say('p', 'page4', 'folio.mark_dirty');
  return system;
}
const call = (system: Rig): Rig => {
  system.say('p', 'truncate', { type: 'call', mapping: 'f', index: 2 });
  return system;
};
const truncated = (setup: Setup = {}): Rig => call(rig(setup)).settle();
const slots = (system: Rig): unknown => ['f', 'g', 'h'].map((file) => system.context(file).folios[2]);
const pageOf = (system: Rig, pfn = 4): unknown => {
  const { refcount, mapcount, mapping, dirty, protection } = system.context(`page${pfn}`);
  return { refcount, mapcount, mapping, dirty, protected: protection !== null };
};
const freed = { refcount: 0, mapcount: 0, mapping: null, dirty: false, protected: false };
const shared = { refcount: 1, mapcount: 0, mapping: 'g', dirty: false, protected: false };
/** Where it waits, and who has the page-table lock and the folio lock. */
const waits = (system: Rig): unknown => [system.at('truncate'), system.can('truncate', 'step'), system.context('ptl').owner, system.context('lock4').owner];
function expectAtRest(system: Rig): void {
  expect(system.context('truncate')).toMatchObject({ caller: '', mapping: '', index: -1, pfn: -1, record: null, items: [], mapped: null });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect([lock, system.context(lock)]).toEqual([lock, { owner: null, waiters: [] }]);
  expect([system.at('truncate'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const put = (pfn = 4): string => `put: call {"pfn":${pfn},"pinned":false}`;
const look = (vpn: number): string[] => ['ptl: lock', `mm: pte.read {"vpn":${vpn}}`];
const skip = [...look(0), 'ptl: unlock', ...look(1), 'ptl: unlock'];
const unmap = (vpn: number, dirty = false): string[] => [
  ...[...look(vpn), `mm: pte.get_and_clear {"vpn":${vpn}}`, ...(dirty ? ['page4: folio.mark_dirty'] : []), `flush: call {"vpns":[${vpn}]}`],
  ...['page4: folio.remove_rmap', 'ptl: unlock', put()],
];
const slot = 'f: slot.read {"index":2}';
const find = (pfn = 4): string[] => [slot, ...['folio.try_get', 'folio.wait_writeback', 'folio.mapping'].map((type) => `page${pfn}: ${type}`)];
const found = (pfn = 4): string[] => find(pfn).toSpliced(2, 0, `lock${pfn}: lock`);
const counts = 'page4: page.read';
const remove = ['page4: folio.clean', 'f: slot.delete {"index":2}', 'page4: folio.set_mapping {"mapping":null}', 'page4: folio.ref_dec'];
const end = ['lock4: unlock', put(), 'p: return'];
const lists = 'record4: record.lists {"mapping":"f","index":2}';
const part = ['f: slot.delete {"index":2}', 'record4: record.remove_slot {"slot":{"mapping":"f","index":2}}'];
const alone = ['page4: folio.unprotect', 'page4: folio.set_mapping {"mapping":"g"}', 'record4: record.clear'];
const gone = ['lock4: unlock', put()];

describe('a page that nobody shares', () => {
  test('unmapped, found, locked, looked at again; then it leaves the page cache, and is free', () => {
    const system = truncated({ ptes: { 1: presentPte(4) } });
    expect(system.said('truncate')).toEqual([...skip.slice(0, 3), ...unmap(1), ...found(), counts, ...remove, ...end]);
    expect([slots(system), pageOf(system), system.at('page4')]).toEqual([[null, null, null], freed, 'free']);
    expectAtRest(system);
  });

  test('what is dirty, in a pte or in the folio, is lost with it', () => {
    const system = truncated({ ptes: { 0: presentPte(4, { dirty: true }) }, dirty: true });
    expect(system.said('truncate')).toEqual([...unmap(0, true), ...skip.slice(3), ...found(), counts, ...remove, ...end]);
    expect(pageOf(system)).toEqual(freed);
    expectAtRest(system);
  });

  test('mapped again before it is locked: unmapped once more, that page only', () => {
    const system = call(rig({})).stepTo('truncate', 'folio_wait_writeback');
    system.say('p', 'page4', 'folio.ref_inc');
    system.say('p', 'page4', 'folio.add_rmap');
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(5) });
    system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte: presentPte(4) });
    expect(system.settle().said('truncate')).toEqual([...skip, ...found(), counts, ...skip.slice(0, 3), ...unmap(1), ...remove, ...end]);
    expect([system.context('mm').ptes, pageOf(system)]).toEqual([{ 0: presentPte(5), 1: { kind: 'none' } }, freed]);
    expectAtRest(system);
  });

  test('nothing there: only unmapped', () => {
    const system = truncated({ empty: true });
    expect(system.said('truncate')).toEqual([...skip, slot, 'p: return']);
    expectAtRest(system);
  });

  test('whatever page is mapped there goes at first; a swap entry stays', () => {
    const swap: Pte = { kind: 'swap', slot: 1 };
    const system = rig({ ptes: { 0: { kind: 'protnone', pfn: 5, dirty: false }, 1: swap } });
    system.say('p', 'page5', 'folio.ref_inc');
    system.say('p', 'page5', 'folio.add_rmap');
    call(system).settle();
    expect([system.context('mm').ptes, pageOf(system, 5)]).toEqual([
      { 0: { kind: 'none' }, 1: swap },
      { ...shared, mapping: 'f' },
    ]);
    expectAtRest(system);
  });

  test('secondary MMUs are told of each place, before the page-table lock is taken and after it is dropped', () => {
    const system = truncated({ ptes: { 0: presentPte(4) }, notified: true });
    const told = (vpn: number, phase: string): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [vpn] })}`;
    expect(system.said('truncate').slice(0, 14)).toEqual([told(0, 'start'), ...unmap(0), told(0, 'end'), told(1, 'start'), ...skip.slice(3), told(1, 'end')]);
    expectAtRest(system);
  });
});

describe('a page that others share', () => {
  test("stays the other file's, alone and unprotected", () => {
    const system = truncated({ owners: ['f', 'g'], ptes: { 0: presentPte(4, { write: false }) } });
    expect(system.said('truncate')).toEqual([
      ...[...unmap(0), ...skip.slice(3), ...found(), lists, counts],
      ...[...part, ...alone, 'page4: folio.ref_dec', ...end],
    ]);
    expect([slots(system), pageOf(system), system.context('record4').slots]).toEqual([[null, 4, null], shared, []]);
    expectAtRest(system);
  });

  test('stays protected where several are left', () => {
    const system = truncated({ owners: ['f', 'g', 'h'] });
    expect(system.said('truncate')).toEqual([...skip, ...found(), lists, counts, ...part, 'page4: folio.ref_dec', ...end]);
    expect([slots(system), pageOf(system)]).toEqual([[null, 4, 4], { ...shared, refcount: 2, mapping: 'f', protected: true }]);
    expectAtRest(system);
  });

  test('stays dirty: whose bytes are not on the disk is not known', () => {
    expect(pageOf(truncated({ owners: ['f', 'g'], dirty: true }))).toEqual({ ...shared, dirty: true });
  });

  test('another process that maps it by the other file keeps its pte', () => {
    const system = rig({ owners: ['f', 'g'] });
    system.say('p', 'page4', 'folio.ref_inc');
    system.say('p', 'page4', 'folio.add_rmap');
    expect(call(system).settle().said('truncate')).toEqual([...skip, ...found(), lists, counts, ...skip, ...part, ...alone, 'page4: folio.ref_dec', ...end]);
    expect(pageOf(system)).toEqual({ ...shared, refcount: 2, mapcount: 1 });
    expectAtRest(system);
  });

  test('row W14: who does not know records takes it for truncated by somebody else, and looks for it for ever', () => {
    const system = call(rig({ owners: ['f', 'g'], machine: truncateInodePages.provide({ guards: { knowsRecord: () => false } }) }));
    for (let round = 0; round < 3; round++) system.stepTo('truncate', 'unlock_gone').take('truncate', 'step').settle('put');
    expect(system.said('truncate')).toEqual([...skip, ...[0, 1, 2].flatMap(() => [...found(), ...gone])]);
    expect([system.at('truncate'), slots(system)]).toEqual(['find_get_entries', [4, 4, null]]);
  });
});

describe("a page that is not the file's any more when it is locked", () => {
  const waiting = (setup: Setup): Rig => {
    const system = rig(setup);
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect(waits(system)).toEqual(['folio_wait_lock', false, null, 'p']);
    return system;
  };

  test('truncated by somebody else: looks again, and finds nothing', () => {
    const system = waiting({});
    system.say('p', 'f', { type: 'slot.delete', index: 2 });
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: null });
    system.say('p', 'page4', 'folio.ref_dec');
    system.say('p', 'lock4', 'unlock');
    expect(system.settle().said('truncate')).toEqual([...skip, ...found(), ...gone, slot, 'p: return']);
    expect(pageOf(system)).toEqual(freed);
    expectAtRest(system);
  });

  test('its protection was broken: the copy goes', () => {
    const system = waiting({ owners: ['f', 'g', 'h'] });
    system.say('p', 'record4', { type: 'record.remove_slot', slot: { mapping: 'f', index: 2 } });
    system.say('p', 'f', { type: 'slot.replace', index: 2, pfn: 5 });
    system.say('p', 'page4', 'folio.ref_dec');
    system.say('p', 'lock4', 'unlock');
    system.settle();
    expect(system.said('truncate').slice(skip.length, -7)).toEqual([...found(), lists, ...gone, ...found(5), 'page5: page.read']);
    expect([slots(system), pageOf(system, 5), pageOf(system)]).toEqual([[null, 4, 4], freed, { ...shared, refcount: 2, mapping: 'f', protected: true }]);
    expectAtRest(system);
  });

  test('being taken away: looks again', () => {
    const system = rig({});
    system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    call(system).stepTo('truncate', 'find_get_entries').take('truncate', 'step');
    expect([system.at('truncate'), system.context('truncate').pfn, system.said('truncate')]).toEqual([
      'find_get_entries',
      -1,
      [...skip, slot, 'page4: folio.try_get'],
    ]);
    system.say('p', 'f', { type: 'slot.delete', index: 2 });
    expectAtRest(system.settle());
  });
});

describe('it waits', () => {
  test('for the end of writeback, with the folio locked', () => {
    const system = rig({});
    system.say('p', 'page4', 'folio.start_writeback');
    expect([waits(call(system).settle()), slots(system)]).toEqual([
      ['wait_on_writeback', false, null, 'truncate'],
      [4, null, null],
    ]);
    system.say('p', 'page4', 'folio.end_writeback');
    expect(slots(system.settle())).toEqual([null, null, null]);
    expectAtRest(system);
  });

  test('for secondary MMUs and for the page-table lock; for the flush under it', () => {
    const system = truncated({ ptes: { 0: presentPte(4) }, notified: true, others: { notifier: answers(), flush: answers() } });
    expect(waits(system)).toEqual(['mmu_notifier_invalidate_range_start', false, null, null]);
    system.say('p', 'ptl', 'lock');
    system.say('p', 'truncate', { type: 'return', ok: true });
    expect(waits(system.settle())).toEqual(['spin_on_ptl', false, 'p', null]);
    system.say('p', 'ptl', 'unlock');
    expect(waits(system.settle())).toEqual(['flush_tlb_page', false, 'truncate', null]);
    system.say('p', 'truncate', 'return');
    expect(waits(system.settle())).toEqual(['mmu_notifier_invalidate_range_end', false, null, null]);
    for (let calls = 0; calls < 3; calls++) {
      system.say('p', 'truncate', { type: 'return', ok: true });
      system.settle();
    }
    expectAtRest(system);
  });
});

test('it can be called again: nothing is there any more; of a file that nobody maps too', () => {
  const system = call(truncated()).settle();
  expect(system.said('truncate')).toEqual([...skip, ...found(), counts, ...remove, ...end, ...skip, slot, 'p: return']);
  system.say('p', 'truncate', { type: 'call', mapping: 'g', index: 2 });
  expect(system.settle().said('truncate').slice(-2)).toEqual(['g: slot.read {"index":2}', 'p: return']);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(truncateInodePages)).toEqual([]);
});
