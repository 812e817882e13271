import { addressSpace, folio, type Pte, presentPte, spinlock } from '../../../machines/index.js';
import { setPmdMigrationEntry } from '../../../machines/paths/set-pmd-migration-entry.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  machine?: typeof setPmdMigrationEntry;
  exclusive?: boolean;
  write?: boolean;
  huge?: boolean;
  others?: Actors;
}

const vpns = [512, 513];
/** The folio is mapped by a leaf, and migration holds a reference. */
const rig = ({ machine = setPmdMigrationEntry, exclusive = true, write = true, huge = true, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, {
      input: { ptes: { 512: presentPte(4, { write }), 513: presentPte(5, { write }) }, vmas: vpns, cpumask: [], huge: huge ? [1] : [] },
    }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 2, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: exclusive, nr: 2 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0, zone: 'normal', tail: { head: 4 } } }),
    flush: returns(),
    set: actor(machine, { input: { mm: 'mm', ptl: 'ptl', flush: 'flush' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'set', { type: 'call', vpn: 512, vpns });
  return system;
};
const pin = (system: Rig): Rig => {
  system.say('p', 'page4', { type: 'folio.get', refs: 1 });
  system.say('p', 'page4', { type: 'folio.pin', refs: 1 });
  return system;
};
const message = (to: string, type: string, fields: object): string => `${to}: ${type} ${JSON.stringify(fields)}`;
const entry = (vpn: number, pte: Pte): string => message('mm', 'pte.set', { vpn, pte });
const leaf = message('mm', 'pmd.set_leaf', { vpn: 512, pte: presentPte(4), nr: 2 });
const begin = ['ptl: lock', 'mm: pmd.read {"vpn":512}', 'mm: pmd.get_and_clear {"vpn":512}'];
const flush = 'flush: call {"vpns":[512,513]}';
const end = (ok: boolean): string[] => ['ptl: unlock', `p: return {"ok":${ok}}`];
const entries = (write: boolean, exclusive?: true): string[] => [
  entry(512, { kind: 'migration', pfn: 4, write, ...(exclusive ? { exclusive } : {}) }),
  entry(513, { kind: 'migration', pfn: 5, write, ...(exclusive ? { exclusive } : {}) }),
];
const unmapped = ['page4: folio.remove_rmap', 'page4: folio.ref_dec'];
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('set')).toMatchObject({ caller: '', vpn: -1, vpns: [], leaf: presentPte(-1), exclusive: false, ok: false });
  expect([system.at('set'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}
const looksFirst = setPmdMigrationEntry.provide({ guards: { flushesBeforeLook: () => false } });

test('an exclusive folio: cleared, flushed, looked at, shared; then the entries, all at once', () => {
  const system = call(rig()).settle();
  expect(system.said('set')).toEqual([
    ...begin,
    flush,
    'page4: page.read',
    'page4: folio.set_exclusive {"exclusive":false}',
    ...entries(true, true),
    ...unmapped,
    ...end(true),
  ]);
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 0, anonExclusive: false });
  expect(system.context('mm').huge).toEqual([]);
  expectAtRest(system, true);
});

test('one that is exclusive and pinned is mapped again as it was', () => {
  const system = call(pin(rig())).settle();
  expect(system.said('set')).toEqual([...begin, flush, 'page4: page.read', leaf, ...end(false)]);
  expect(system.context('page4')).toMatchObject({ refcount: 3, mapcount: 1, anonExclusive: true });
  expect(system.context('mm')).toMatchObject({ huge: [1], ptes: { 512: presentPte(4), 513: presentPte(5) } });
  expectAtRest(system, false);
});

test.each([false, true])('one that is not exclusive has nothing to lose (pinned: %s)', (pinned) => {
  const system = rig({ exclusive: false, write: false });
  call(pinned ? pin(system) : system).settle();
  expect(system.said('set')).toEqual([...begin, flush, 'page4: page.read', ...entries(false), ...unmapped, ...end(true)]);
  expectAtRest(system, true);
});

test('what a CPU stores until the leaf is cleared comes back with it', () => {
  const system = call(pin(rig())).stepTo('set', 'pmdp_huge_get_and_clear');
  system.say('p', 'mm', { type: 'pte.walk', vpn: 512, write: true, table: null });
  expect(system.settle().context('mm').ptes[512]).toEqual(presentPte(4, { dirty: true }));
  expectAtRest(system, false);
});

test('a pin that comes between the clear and the look is seen', () => {
  expect(pin(call(rig()).stepTo('set', 'folio_maybe_dma_pinned')).settle().said('set')).toContain(leaf);
});

test('while the flush is under way the leaf is gone, and nothing was looked at', () => {
  const system = call(rig({ others: { flush: answers() } })).settle();
  expect([system.at('set'), system.can('set', 'step'), system.context('ptl').owner]).toEqual(['pmdp_invalidate', false, 'set']);
  expect([system.heard('page4'), system.context('mm').huge]).toEqual([[], []]);
  pin(system).say('p', 'set', 'return');
  system.settle();
  expect(system.context('page4').anonExclusive).toBe(true);
  expectAtRest(system, false);
});

test('where no leaf is there it does nothing', () => {
  const system = call(rig({ huge: false })).settle();
  expect(system.said('set')).toEqual(['ptl: lock', 'mm: pmd.read {"vpn":512}', ...end(false)]);
  expect(system.heard('page4')).toEqual([]);
  expectAtRest(system, false);
});

test('called again it finds the leaf gone', () => {
  const system = call(call(rig()).settle()).settle();
  expect(system.context('page4')).toMatchObject({ refcount: 1, mapcount: 0 });
  expectAtRest(system, false);
});

test('it spins while another has the page-table lock', () => {
  const system = rig();
  system.say('p', 'ptl', 'lock');
  call(system).settle();
  expect([system.at('set'), system.can('set', 'step'), system.heard('mm')]).toEqual(['spin_on_ptl', false, []]);
  system.say('p', 'ptl', 'unlock');
  expectAtRest(system.settle(), true);
});

describe('row D9: the flush comes after the look', () => {
  test('the folio is shared before the flush', () => {
    const system = call(rig({ machine: looksFirst })).settle();
    expect(system.said('set')).toEqual([
      ...begin,
      'page4: page.read',
      'page4: folio.set_exclusive {"exclusive":false}',
      ...entries(true, true),
      ...unmapped,
      flush,
      ...end(true),
    ]);
    expectAtRest(system, true);
  });

  test('a pin that comes with the flush finds the folio shared', () => {
    const system = call(rig({ machine: looksFirst, others: { flush: answers() } })).settle();
    expect([system.at('set'), system.can('set', 'step'), system.context('ptl').owner]).toEqual(['try_to_unmap_flush', false, 'set']);
    expect(pin(system).context('page4')).toMatchObject({ pincount: 1, anonExclusive: false });
    system.say('p', 'set', 'return');
    expectAtRest(system.settle(), true);
  });

  test('one that is pinned is mapped again, and flushed all the same', () => {
    const system = call(pin(rig({ machine: looksFirst }))).settle();
    expect(system.said('set')).toEqual([...begin, 'page4: page.read', leaf, flush, ...end(false)]);
    expectAtRest(system, false);
  });
});

test('every transition was taken', () => {
  expect(untaken(setPmdMigrationEntry)).toEqual([]);
});
