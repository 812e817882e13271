import {
  addressSpace,
  disk,
  folio,
  folioLock,
  type Pte,
  pageCache,
  presentPte,
  protectionRecord,
  putPage,
  spinlock,
  writeback,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** What the two ptes that may map the place hold. */
  ptes?: Record<number, Pte>;
  cached?: number | null;
  dirty?: boolean;
  /** Page 4 is protected, and stands in these files. */
  owners?: string[];
  notified?: boolean;
  machine?: typeof writeback;
  others?: Actors;
}
const page = (pfn: number): Actors => ({
  [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: `v${pfn}`, mapping: 'f' } }),
  [`lock${pfn}`]: actor(folioLock),
});
const items = [0, 1].map((vpn) => ({ mm: 'mm', vpn, ptl: 'ptl' }));

function rig({ ptes = {}, cached = 4, dirty = true, owners = [], notified = false, machine = writeback, others = {} }: Setup): Rig {
  const system = new Rig({
    ...page(4),
    ...page(5),
    record4: actor(protectionRecord),
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: [] } }),
    ptl: actor(spinlock),
    f: actor(pageCache, { input: { folios: { 2: cached } } }),
    g: actor(pageCache, { input: { folios: { 2: 4 } } }),
    disk: actor(disk, { input: {} }),
    put: actor(putPage, { input: {} }),
    flush: returns(),
    notifier: returns({ ok: true }),
    writeback: actor(machine, {
      input: {
        ...{ disk: 'disk', folioLocks: { 4: 'lock4', 5: 'lock5' }, mappers: { f: { 2: items } }, putPage: 'put', flush: { mm: 'flush' } },
        ...(notified ? { notifiers: { mm: 'notifier' } } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
  if (dirty) system.say('p', 'page4', 'folio.mark_dirty');
  for (const mapping of owners) system.say('p', 'record4', { type: 'record.add_slot', slot: { mapping, index: 2 } });
  if (owners.length > 0) system.say('p', 'page4', { type: 'folio.protect', record: 'record4', stable: true });
  return system;
}
const call = (system: Rig): Rig => {
  system.say('p', 'writeback', { type: 'call', mapping: 'f', index: 2 });
  return system;
};
const written = (setup: Setup): Rig => call(rig(setup)).settle();
const queue = (system: Rig): unknown => system.context('disk').queue;
const bio = (pfn: number, mapping = 'f'): object => ({ pfn, mapping, index: 2, value: `v${pfn}` });
const pageOf = (system: Rig, pfn = 4): unknown => {
  const { dirty, writeback: of } = system.context(`page${pfn}`);
  return { dirty, writeback: of !== null };
};
const ptesOf = (system: Rig): unknown => system.context('mm').ptes;
/** Where it waits, and who has the page-table lock and the folio lock. */
const waits = (system: Rig): unknown => [system.at('writeback'), system.can('writeback', 'step'), system.context('ptl').owner, system.context('lock4').owner];
function expectAtRest(system: Rig): void {
  expect(system.context('writeback')).toMatchObject({ caller: '', mapping: '', index: -1, pfn: -1, places: [], items: [], pte: { kind: 'none' } });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect([lock, system.context(lock)]).toEqual([lock, { owner: null, waiters: [] }]);
  expect([4, 5].map((pfn) => system.context(`page${pfn}`).refcount)).toEqual([1, 1]);
  expect([system.at('writeback'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const look = 'f: slot.read {"index":2}';
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const get = (pfn: number): string[] => [look, `page${pfn}: folio.try_get`, `lock${pfn}: lock`, `page${pfn}: folio.mapping`];
const dirty = (pfn: number): string[] => [`page${pfn}: page.read`, `page${pfn}: folio.wait_writeback`];
const skipped = ['ptl: lock', 'mm: pte.read {"vpn":0}', 'ptl: unlock', 'ptl: lock', 'mm: pte.read {"vpn":1}', 'ptl: unlock'];
const start = (pfn: number): string[] => [
  `page${pfn}: folio.clean`,
  `page${pfn}: folio.start_writeback`,
  `lock${pfn}: unlock`,
  `page${pfn}: memory.read {"sample":false}`,
];
const submit = (pfn: number, mapping = 'f'): string => `disk: bio.submit ${JSON.stringify(bio(pfn, mapping))}`;
const end = (pfn: number): string[] => [put(pfn), 'p: return'];
const gone = ['lock4: unlock', put(4)];

describe("a page that is this file's alone", () => {
  test('dirty: under the folio lock it becomes clean and is under writeback; then it is unlocked, read and submitted', () => {
    const system = written({});
    expect(system.said('writeback')).toEqual([...get(4), ...dirty(4), ...skipped, ...start(4), submit(4), ...end(4)]);
    expect([queue(system), pageOf(system)]).toEqual([[bio(4)], { dirty: false, writeback: true }]);
    expectAtRest(system);
  });

  test('clean: nothing is written', () => {
    const system = written({ dirty: false });
    expect([system.said('writeback'), queue(system)]).toEqual([[...get(4), 'page4: page.read', 'lock4: unlock', ...end(4)], []]);
    expectAtRest(system);
  });

  test('none there: nothing to do', () => {
    const system = written({ cached: null });
    expect(system.said('writeback')).toEqual([look, 'p: return']);
    expectAtRest(system);
  });

  test('dirty again while it is under writeback: waits, with the folio locked, so that writes do not overtake each other', () => {
    const system = written({});
    system.say('p', 'page4', 'folio.mark_dirty');
    call(system).settle();
    expect([waits(system), queue(system)]).toEqual([['wait_on_writeback', false, null, 'writeback'], [bio(4)]]);
    system.take('disk', 'end_bio').settle();
    expect([queue(system), pageOf(system), system.context('f').stored]).toEqual([[bio(4)], { dirty: false, writeback: true }, { 2: 'v4' }]);
    expectAtRest(system);
  });

  test('a store to the page after it is clean makes it dirty again', () => {
    const system = call(rig({})).stepTo('writeback', 'folio_start_writeback');
    system.say('p', 'page4', 'folio.mark_dirty');
    expect(pageOf(system.settle())).toEqual({ dirty: true, writeback: true });
  });
});

describe('folio_mkclean', () => {
  const clean = presentPte(4, { write: false });
  test.each<[string, Pte, Pte]>([
    ['writable', presentPte(4), clean],
    ['writable and dirty', presentPte(4, { dirty: true }), clean],
    ['dirty', presentPte(4, { write: false, dirty: true }), clean],
    ['a dirty hint of NUMA balancing', { kind: 'protnone', pfn: 4, dirty: true }, { kind: 'protnone', pfn: 4, dirty: false }],
  ])('%s: taken, flushed, set read-only and clean, all under the page-table lock', (_, before, after) => {
    const system = written({ ptes: { 0: before } });
    expect(system.said('writeback').slice(6, 12)).toEqual([
      'ptl: lock',
      'mm: pte.read {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":0}',
      'flush: call {"vpns":[0]}',
      `mm: pte.set ${JSON.stringify({ vpn: 0, pte: after })}`,
      'ptl: unlock',
    ]);
    expect(ptesOf(system)).toEqual({ 0: after });
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['read-only and clean', clean],
    ['another page', presentPte(5, { dirty: true })],
    ['a swap entry', { kind: 'swap', slot: 1 }],
  ])('%s: stays as it is', (_, pte) => {
    const system = written({ ptes: { 0: pte, 1: pte } });
    expect([ptesOf(system), system.heard('flush'), system.said('writeback').slice(6, 12)]).toEqual([{ 0: pte, 1: pte }, [], skipped]);
    expectAtRest(system);
  });

  test('a D bit that the walker sets until the pte is taken does not survive: the bytes are read later', () => {
    const system = call(rig({ ptes: { 0: presentPte(4) } })).stepTo('writeback', 'ptep_clear');
    system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null });
    expect([ptesOf(system.settle()), pageOf(system)]).toEqual([{ 0: clean }, { dirty: false, writeback: true }]);
  });

  test('every place is looked at, and secondary MMUs are told of each: the page may not be stored to', () => {
    const system = written({ ptes: { 0: presentPte(4), 1: presentPte(4) }, notified: true });
    const told = (vpn: number, phase: string): object => ({ type: 'call', phase, event: 'PROTECTION_PAGE', owner: null, vpns: [vpn] });
    expect(system.heard('notifier')).toEqual([told(0, 'start'), told(0, 'end'), told(1, 'start'), told(1, 'end')]);
    expect(ptesOf(system)).toEqual({ 0: clean, 1: clean });
    expectAtRest(system);
  });

  test('waits for secondary MMUs without the page-table lock, for the flush with it, and spins while another has it', () => {
    const system = written({ ptes: { 0: presentPte(4) }, notified: true, others: { notifier: answers(), flush: answers() } });
    expect(waits(system)).toEqual(['mmu_notifier_invalidate_range_start', false, null, 'writeback']);
    system.say('p', 'ptl', 'lock');
    system.say('p', 'writeback', { type: 'return', ok: true });
    expect(waits(system.settle())).toEqual(['spin_on_ptl', false, 'p', 'writeback']);
    system.say('p', 'ptl', 'unlock');
    expect([waits(system.settle()), ptesOf(system)]).toEqual([['flush_tlb_page', false, 'writeback', 'writeback'], { 0: { kind: 'none' } }]);
    system.say('p', 'writeback', 'return');
    expect(waits(system.settle())).toEqual(['mmu_notifier_invalidate_range_end', false, null, 'writeback']);
  });
});

describe("a page that is not this file's any more", () => {
  /** Page 4 is locked by p while writeback has looked it up. */
  const waiting = (setup: Setup = {}): Rig => {
    const system = rig(setup);
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([waits(system), system.context('page4').refcount]).toEqual([['folio_wait_lock', false, null, 'p'], 2]);
    return system;
  };
  const unlock = (system: Rig): Rig => {
    system.say('p', 'lock4', 'unlock');
    return system.settle();
  };

  test('truncated: unlocks, gives the reference back, and finds the slot empty', () => {
    const system = waiting();
    system.say('p', 'f', { type: 'slot.delete', index: 2 });
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: null });
    expect(unlock(system).said('writeback')).toEqual([...get(4), ...gone, look, 'p: return']);
    expectAtRest(system);
  });

  test('its protection was broken: the copy is as dirty, and is written', () => {
    const system = waiting({ owners: ['f', 'g'] });
    system.say('p', 'record4', { type: 'record.remove_slot', slot: { mapping: 'f', index: 2 } });
    system.say('p', 'f', { type: 'slot.replace', index: 2, pfn: 5 });
    system.say('p', 'page5', 'folio.mark_dirty');
    expect(unlock(system).said('writeback')).toEqual([
      ...[...get(4), 'record4: record.read', ...gone],
      ...[...get(5), ...dirty(5), ...skipped, ...start(5), submit(5), ...end(5)],
    ]);
    expect(queue(system)).toEqual([bio(5)]);
    expectAtRest(system);
  });

  test('6.12 takes it for truncated: the dirty bytes of the copy are not written', () => {
    const system = waiting({ machine: writeback.provide({ guards: { looksAgain: () => false } }) });
    system.say('p', 'f', { type: 'slot.replace', index: 2, pfn: 5 });
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: 'g' });
    system.say('p', 'page5', 'folio.mark_dirty');
    expect(unlock(system).said('writeback')).toEqual([...get(4), ...gone, 'p: return']);
    expect([queue(system), pageOf(system, 5)]).toEqual([[], { dirty: true, writeback: false }]);
    expectAtRest(system);
  });

  test('being taken away: looks again, until the slot is empty', () => {
    const system = rig({});
    system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    call(system).take('writeback', 'step');
    expect([system.at('writeback'), system.context('writeback').pfn, system.said('writeback')]).toEqual([
      'writeback_get_folio',
      -1,
      [look, 'page4: folio.try_get'],
    ]);
    system.say('p', 'page4', { type: 'folio.unfreeze', refcount: 1 });
    system.say('p', 'f', { type: 'slot.delete', index: 2 });
    expectAtRest(system.settle());
  });
});

describe('a protected page', () => {
  test('that is dirty is written to every place that shares it, and no pte is looked at', () => {
    const system = written({ owners: ['g', 'f'], ptes: { 0: presentPte(4, { write: false }) }, notified: true });
    expect(system.said('writeback')).toEqual([...get(4), 'record4: record.read', ...dirty(4), ...start(4), submit(4, 'g'), submit(4), ...end(4)]);
    expect([queue(system), system.heard('notifier')]).toEqual([[bio(4, 'g'), bio(4)], []]);
    expectAtRest(system);
    system.take('disk', 'end_bio');
    expect(pageOf(system)).toEqual({ dirty: false, writeback: true });
    system.take('disk', 'end_bio');
    expect([pageOf(system), system.context('f').stored, system.context('g').stored]).toEqual([{ dirty: false, writeback: false }, { 2: 'v4' }, { 2: 'v4' }]);
  });

  test('that is clean is not written', () => {
    const system = written({ owners: ['f', 'g'], dirty: false });
    expect([system.said('writeback'), queue(system)]).toEqual([[...get(4), 'record4: record.read', 'page4: page.read', 'lock4: unlock', ...end(4)], []]);
    expectAtRest(system);
  });

  test('row W14: who does not know records looks for it for ever', () => {
    const machine = writeback.provide({ guards: { knowsRecord: () => false } });
    const system = call(rig({ owners: ['f', 'g'], machine }));
    for (let round = 0; round < 3; round++) system.stepTo('writeback', 'unlock_gone').take('writeback', 'step').settle('put');
    expect(system.said('writeback')).toEqual([0, 1, 2].flatMap(() => [...get(4), ...gone]));
    expect([system.at('writeback'), queue(system)]).toEqual(['writeback_get_folio', []]);
  });
});

test('every transition was taken', () => {
  expect(untaken(writeback)).toEqual([]);
});
