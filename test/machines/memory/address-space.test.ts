import { type Area, addressSpace, type Pte, pageAt, presentPte } from '../../../machines/index.js';
import { mappingPte, pmdIndex, pmdStart } from '../../../machines/memory/address-space.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Pmds = Record<string, string | null>;
interface Differs {
  areas?: Record<string, Area>;
  observer?: string;
  huge?: number[];
}
const rig = (ptes: Record<string, Pte> = {}, pmds?: Pmds, differs: Differs = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2], cpumask: ['cpu0'], ...(pmds ? { pmds } : {}), ...differs } }),
    observer: answers(),
    p: probe(),
    cpu0: probe(),
    cpu1: probe(),
  });
const none: Pte = { kind: 'none' };
const pte = (value: Pte, table: string | null = null): object => ({ type: 'pte', pte: value, table });
const walk = (system: Rig, vpn: number, write: boolean, table: string | null = null): unknown => system.say('p', 'mm', { type: 'pte.walk', vpn, write, table });

test('a page frame is an actor; a pte is writable, clean and ordinary unless it says otherwise', () => {
  expect(pageAt(7)).toBe('page7');
  expect(presentPte(7)).toEqual({ kind: 'present', pfn: 7, write: true, dirty: false, devmap: false, special: false });
  expect(presentPte(7, { devmap: true, write: false })).toMatchObject({ devmap: true, write: false, special: false });
});

test('a pte without access maps its page all the same, read-only and as dirty as it was; no other changes', () => {
  const readOnly = presentPte(4, { write: false });
  expect([true, false].map((dirty) => mappingPte({ kind: 'protnone', pfn: 4, dirty }))).toEqual([{ ...readOnly, dirty: true }, readOnly]);
  const others: Pte[] = [none, presentPte(4, { dirty: true, devmap: true }), { kind: 'swap', slot: 4, exclusive: true }, { kind: 'devexcl', pfn: 4 }];
  expect(others.map(mappingPte)).toEqual(others);
});

test('a pte is read as it is; one never set is none', () => {
  const system = rig({ 0: presentPte(4) });
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 0 })).toEqual([pte(presentPte(4))]);
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 1 })).toEqual([pte(none)]);
  expect(system.context('mm').ptes).toEqual({ 0: presentPte(4) });
});

test('a pte is set', () => {
  const system = rig();
  expect(system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte: presentPte(5) })).toEqual([]);
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 1 })).toEqual([pte(presentPte(5))]);
});

describe('an observer', () => {
  test('is told of every pte that is set, and by whom; not of those that are cleared', () => {
    const system = rig({}, undefined, { observer: 'observer' });
    const set: Pte[] = [presentPte(5), none, { kind: 'protnone', pfn: 5, dirty: true }];
    for (const pte of set) system.say('cpu0', 'mm', { type: 'pte.set', vpn: 1, pte });
    for (const type of ['pte.get_and_clear', 'pte.clear']) system.say('p', 'mm', { type, vpn: 1 });
    expect(system.heard('observer')).toEqual(set.map((pte) => ({ type: 'luf.pte_set', vpn: 1, pte, by: 'cpu0' })));
  });

  test('is not needed', () => {
    const system = rig();
    system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte: presentPte(5) });
    expect([system.heard('observer'), system.said('mm')]).toEqual([[], []]);
  });
});

describe('get_and_clear is an exchange', () => {
  test('it returns what it replaced by none', () => {
    const system = rig({ 0: presentPte(4) });
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(presentPte(4))]);
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(none)]);
  });

  test('it sees a D bit that the walker set after the pte was last read', () => {
    const system = rig({ 0: presentPte(4) });
    system.say('p', 'mm', { type: 'pte.read', vpn: 0 });
    walk(system, 0, true);
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(presentPte(4, { dirty: true }))]);
  });
});

describe('wrprotect is one access', () => {
  const wrprotect = (system: Rig): unknown => system.say('p', 'mm', { type: 'pte.wrprotect', vpn: 0 });

  test('it returns what was writable, and leaves it read-only', () => {
    const system = rig({ 0: presentPte(4), 1: presentPte(5) });
    expect(wrprotect(system)).toEqual([pte(presentPte(4))]);
    expect(wrprotect(system)).toEqual([pte(presentPte(4, { write: false }))]);
    expect(system.context('mm').ptes).toEqual({ 0: presentPte(4, { write: false }), 1: presentPte(5) });
  });

  test('a D bit that the walker set after the pte was last read stays, and is seen', () => {
    const system = rig({ 0: presentPte(4) });
    system.say('p', 'mm', { type: 'pte.read', vpn: 0 });
    walk(system, 0, true);
    expect(wrprotect(system)).toEqual([pte(presentPte(4, { dirty: true }))]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { write: false, dirty: true }));
    expect(walk(system, 0, true)).toEqual([pte(presentPte(4, { write: false, dirty: true }))]);
  });

  test.each<Pte>([none, { kind: 'protnone', pfn: 4, dirty: true }, { kind: 'swap', slot: 3, exclusive: true }, { kind: 'migration', pfn: 4, write: true }])(
    'what is not there stays as it is ($kind)',
    (value) => {
      const system = rig({ 0: value });
      expect([wrprotect(system), system.context('mm').ptes]).toEqual([[pte(value)], { 0: value }]);
    },
  );

  test('an observer is told of no entry that was set', () => {
    const system = rig({ 0: presentPte(4) }, undefined, { observer: 'observer' });
    wrprotect(system);
    expect(system.heard('observer')).toEqual([]);
  });
});

test('a store of none asks nobody: a D bit that the walker has set is gone', () => {
  const system = rig({ 0: presentPte(4), 1: presentPte(5) });
  walk(system, 0, true);
  expect(system.say('p', 'mm', { type: 'pte.clear', vpn: 0 })).toEqual([]);
  expect(system.context('mm').ptes).toEqual({ 0: none, 1: presentPte(5) });
});

describe('a hardware walk', () => {
  test('for a load leaves the pte as it is', () => {
    const system = rig({ 0: presentPte(4) });
    expect(walk(system, 0, false)).toEqual([pte(presentPte(4))]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
  });

  test('for a store sets D, and answers with it', () => {
    const system = rig({ 0: presentPte(4) });
    expect(walk(system, 0, true)).toEqual([pte(presentPte(4, { dirty: true }))]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
  });

  test.each<[string, Pte]>([
    ['read-only', presentPte(4, { write: false })],
    ['none', none],
    ['a swap entry', { kind: 'swap', slot: 3 }],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
    ['without access', { kind: 'protnone', pfn: 4, dirty: false }],
  ])('for a store does not set D in one that is %s', (_, value) => {
    const system = rig({ 0: value });
    expect(walk(system, 0, true)).toEqual([pte(value)]);
    expect(system.context('mm').ptes[0]).toEqual(value);
  });
});

test('a page-table page holds 512 ptes', () => {
  expect([0, 511, 512, 1023, 1024].map(pmdIndex)).toEqual([0, 0, 1, 1, 2]);
  expect([0, 511, 512, 1023, 1024].map(pmdStart)).toEqual([0, 0, 512, 512, 1024]);
});

test('where tables are not modelled there is one, without a name', () => {
  const system = rig({ 0: presentPte(4) });
  expect(system.say('p', 'mm', { type: 'pmd.read', vpn: 0 })).toEqual([{ type: 'pmd', kind: 'table', table: null }]);
  expect(walk(system, 0, false)).toEqual([pte(presentPte(4))]);
});

describe('page-table pages', () => {
  const ptes = { 0: presentPte(4), 512: presentPte(5) };
  const pmds = { 0: 'table0', 1: 'table1' };
  const unlinked = (): Rig => rig(ptes, { 0: null, 1: 'table1' });

  test('each holds the ptes of its range', () => {
    const system = rig(ptes, pmds);
    const table = (vpn: number): unknown => system.say('p', 'mm', { type: 'pmd.read', vpn });
    expect(table(511)).toEqual([{ type: 'pmd', kind: 'table', table: 'table0' }]);
    expect(table(512)).toEqual([{ type: 'pmd', kind: 'table', table: 'table1' }]);
    expect(table(1024)).toEqual([{ type: 'pmd', kind: 'table', table: null }]);
  });

  test('Z10: one is unlinked, and who does it learns which; the others stay', () => {
    const system = rig(ptes, pmds);
    expect(system.say('p', 'mm', { type: 'pmd.clear', vpn: 5 })).toEqual([{ type: 'pmd', kind: 'table', table: 'table0' }]);
    expect(system.context('mm').pmds).toEqual({ 0: null, 1: 'table1' });
    expect(system.say('p', 'mm', { type: 'pmd.read', vpn: 0 })).toEqual([{ type: 'pmd', kind: 'none', table: null }]);
    expect(system.say('p', 'mm', { type: 'pmd.clear', vpn: 0 })).toEqual([{ type: 'pmd', kind: 'none', table: null }]);
  });

  test('a hardware walk tells through which one it went', () => {
    const system = rig(ptes, pmds);
    expect(walk(system, 0, false)).toEqual([pte(presentPte(4), 'table0')]);
    expect(walk(system, 512, true)).toEqual([pte(presentPte(5, { dirty: true }), 'table1')]);
    expect(walk(system, 1, false)).toEqual([pte(none, 'table0')]);
  });

  test('who reads a pte otherwise is not told', () => {
    const system = rig(ptes, pmds);
    expect(system.say('p', 'mm', { type: 'pte.read', vpn: 0 })).toEqual([pte(presentPte(4))]);
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(presentPte(4))]);
  });

  test.each([true, false])('a walk from the top finds nothing through one that is unlinked, and changes nothing (store: %s)', (write) => {
    const system = unlinked();
    expect(walk(system, 0, write)).toEqual([pte(none)]);
    expect(system.context('mm').ptes).toEqual(ptes);
  });

  test('a walk through one that the CPU has cached does not see that it is unlinked', () => {
    const system = unlinked();
    expect(walk(system, 0, false, 'table0')).toEqual([pte(presentPte(4), 'table0')]);
    expect(walk(system, 0, true, 'table0')).toEqual([pte(presentPte(4, { dirty: true }), 'table0')]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
  });
});

test('VMAs are found until they are unlinked', () => {
  const system = rig();
  const find = (vpn: number): unknown => system.say('p', 'mm', { type: 'vma.find', vpn })[0]?.result;
  expect([find(1), find(2), find(3)]).toEqual(['found', 'found', 'none']);
  system.say('p', 'mm', { type: 'vma.unlink', vpns: [0, 1] });
  expect([find(1), find(2)]).toEqual(['none', 'found']);
});

test('VMAs are linked, and none twice', () => {
  const system = rig();
  system.say('p', 'mm', { type: 'vma.link', vpns: [11, 2, 9] });
  expect(system.context('mm').vmas).toEqual([0, 1, 2, 9, 11]);
  expect(system.say('p', 'mm', { type: 'vma.find', vpn: 9 })).toEqual([{ type: 'vma', result: 'found' }]);
});

describe('what a VMA says of a page', () => {
  const area = (differs: Partial<Area> = {}): Area => ({ mapping: 'file', index: 3, anonymous: false, read: true, write: true, ...differs });
  const find = (system: Rig, vpn: number): unknown => system.say('p', 'mm', { type: 'vma.find', vpn });
  const found = (own?: Area): object[] => [{ type: 'vma', result: 'found', ...(own ? { area: own } : {}) }];
  const mapped = (): Rig => rig({}, undefined, { areas: { 0: area(), 1: area({ index: 4 }) } });

  test('is told with it, where it says anything', () => {
    const system = mapped();
    expect([find(system, 0), find(system, 1), find(system, 2)]).toEqual([found(area()), found(area({ index: 4 })), found()]);
  });

  test('comes with a new one; of other pages it stays', () => {
    const system = mapped();
    const private_ = area({ mapping: 'swap', anonymous: true });
    system.say('p', 'mm', { type: 'vma.link', vpns: [7], areas: { 7: private_ } });
    expect([find(system, 7), find(system, 0)]).toEqual([found(private_), found(area())]);
  });

  test('mprotect_fixup: new rights for the pages named, and nothing else', () => {
    const system = mapped();
    expect(system.say('p', 'mm', { type: 'vma.protect', vpns: [1, 2], read: true, write: false })).toEqual([]);
    expect([find(system, 0), find(system, 1), find(system, 2)]).toEqual([found(area()), found(area({ index: 4, write: false })), found()]);
    system.say('p', 'mm', { type: 'vma.protect', vpns: [0], read: false, write: false });
    expect(find(system, 0)).toEqual(found(area({ read: false, write: false })));
  });

  test('is found by the rmap when the VMA is gone', () => {
    const system = mapped();
    system.say('p', 'mm', { type: 'vma.unlink', vpns: [0] });
    expect([find(system, 0), find(system, 1)]).toEqual([[{ type: 'vma', result: 'none', area: area() }], found(area({ index: 4 }))]);
  });

  test.each<[string, Area | undefined]>([
    ['that says nothing', undefined],
    ['that says something else', area({ mapping: 'g', write: false })],
  ])('goes when another VMA comes (%s); the others keep theirs', (_, other) => {
    const system = mapped();
    system.say('p', 'mm', { type: 'vma.unlink', vpns: [0] });
    system.say('p', 'mm', { type: 'vma.link', vpns: [0], ...(other ? { areas: { 0: other } } : {}) });
    expect([find(system, 0), find(system, 1)]).toEqual([found(other), found(area({ index: 4 }))]);
  });
});

describe('R4d: flushes that were put into a batch', () => {
  const read = (system: Rig): unknown => system.say('p', 'mm', 'tlb_flush_batched.read');
  const batched = (pending: number, flushed: number): object[] => [{ type: 'tlb_flush_batched', pending, flushed }];
  const begin = (system: Rig): Rig => {
    expect(system.say('p', 'mm', 'tlb_flush_batched.inc')).toEqual([]);
    return system;
  };
  const exchange = (system: Rig, pending: number, flushed: number): Rig => {
    expect(system.say('p', 'mm', { type: 'tlb_flush_batched.cmpxchg', pending, flushed })).toEqual([]);
    return system;
  };

  test('are counted: begun, and known to be flushed', () => {
    const system = rig();
    expect(read(system)).toEqual(batched(0, 0));
    expect(read(begin(begin(system)))).toEqual(batched(2, 0));
    expect(read(exchange(system, 2, 0))).toEqual(batched(2, 2));
    expect(read(begin(system))).toEqual(batched(3, 2));
  });

  test.each([
    ['a new batch has begun', 1, 0],
    ['another has noted a flush', 2, 1],
  ])('are not taken for flushed when %s meanwhile', (_, pending, flushed) => {
    const system = exchange(begin(begin(rig())), pending, flushed);
    expect(read(system)).toEqual(batched(2, 0));
  });
});

test('F1: tlb_gen is incremented, and who does it learns its generation; a read changes nothing', () => {
  const system = rig();
  expect(system.say('p', 'mm', 'tlb_gen.read')).toEqual([{ type: 'tlb_gen', gen: 1 }]);
  expect(system.say('p', 'mm', 'tlb_gen.inc')).toEqual([{ type: 'tlb_gen', gen: 2 }]);
  expect(system.say('p', 'mm', 'tlb_gen.inc')).toEqual([{ type: 'tlb_gen', gen: 3 }]);
  expect(system.say('p', 'mm', 'tlb_gen.read')).toEqual([{ type: 'tlb_gen', gen: 3 }]);
});

test('F2 and F4: mm_cpumask is a set; a CPU takes itself out', () => {
  const system = rig();
  const mask = (): unknown => system.say('p', 'mm', 'cpumask.read');
  for (const cpu of ['cpu2', 'cpu1', 'cpu2']) system.say('p', 'mm', { type: 'cpumask.set', cpu });
  expect(mask()).toEqual([{ type: 'cpumask', cpus: ['cpu0', 'cpu1', 'cpu2'] }]);
  system.say('cpu0', 'mm', 'cpumask.clear');
  expect(mask()).toEqual([{ type: 'cpumask', cpus: ['cpu1', 'cpu2'] }]);
  system.say('cpu0', 'mm', 'cpumask.clear');
  system.say('cpu1', 'mm', 'cpumask.clear');
  expect(mask()).toEqual([{ type: 'cpumask', cpus: ['cpu2'] }]);
});

test('Z1, Z11, Z15: gathers under way are counted', () => {
  const system = rig();
  for (const message of ['gather.begin', 'gather.begin', 'gather.end']) system.say('p', 'mm', message);
  expect(system.say('p', 'mm', 'gather.read')).toEqual([{ type: 'gathers', pending: 1 }]);
  expect(system.context('mm').tlbFlushPending).toBe(1);
  system.say('p', 'mm', 'gather.end');
  expect(system.context('mm').tlbFlushPending).toBe(0);
});

test('G1 and G2: the flag for fork, and its sequence count', () => {
  const system = rig();
  expect(system.context('mm').hasPinned).toBe(false);
  system.say('p', 'mm', 'has_pinned.set');
  expect(system.context('mm').hasPinned).toBe(true);
  expect(system.say('p', 'mm', 'seqcount.read')).toEqual([{ type: 'seqcount', value: 0 }]);
});

describe('a huge PMD', () => {
  const huge = (): Rig => rig({ 0: presentPte(4), 512: presentPte(5) }, { 1: 'table1' }, { huge: [0, 2] });
  const pmd = (system: Rig, vpn: number): unknown => system.say('p', 'mm', { type: 'pmd.read', vpn })[0];

  test('maps the range of a page-table page, and has none; it tells what its first page is, if there is one', () => {
    const system = huge();
    const leaf = { type: 'pmd', kind: 'huge', table: null, pte: presentPte(4) };
    expect([0, 511, 1024].map((vpn) => pmd(system, vpn))).toEqual([leaf, leaf, { type: 'pmd', kind: 'huge', table: null }]);
    expect([pmd(system, 512), pmd(system, 1536)]).toEqual([
      { type: 'pmd', kind: 'table', table: 'table1' },
      { type: 'pmd', kind: 'table', table: null },
    ]);
  });

  test('is walked like a table, by hardware and by software', () => {
    const system = huge();
    expect([walk(system, 0, true), system.say('p', 'mm', { type: 'pte.read', vpn: 0 })]).toEqual([
      [pte(presentPte(4, { dirty: true }))],
      [pte(presentPte(4, { dirty: true }))],
    ]);
  });

  test('is split by whoever says so, without an answer; ptes and other PMDs are as they were', () => {
    const system = huge();
    const before = system.context('mm').ptes;
    expect(system.say('p', 'mm', { type: 'pmd.split', vpn: 5 })).toEqual([]);
    expect([pmd(system, 0), pmd(system, 1024), system.context('mm').huge]).toEqual([
      { type: 'pmd', kind: 'table', table: null },
      { type: 'pmd', kind: 'huge', table: null },
      [2],
    ]);
    for (const vpn of [0, 512]) system.say('p', 'mm', { type: 'pmd.split', vpn });
    expect([system.context('mm').huge, system.context('mm').ptes, system.bugs()]).toEqual([[2], before, []]);
  });
});

describe('a huge leaf', () => {
  const pmd = (system: Rig, vpn: number, type = 'pmd.read'): unknown => system.say('p', 'mm', { type, vpn })[0];
  const set = (system: Rig, vpn: number, nr: number, pte: Pte = presentPte(4)): Rig => {
    expect(system.say('p', 'mm', { type: 'pmd.set_leaf', vpn, pte, nr })).toEqual([]);
    return system;
  };
  const huge = (pte: Pte = presentPte(4)): object => ({ type: 'pmd', kind: 'huge', table: null, pte });
  const nothing = { type: 'pmd', kind: 'none', table: null };
  const read = (system: Rig, ...vpns: number[]): unknown => vpns.flatMap((vpn) => system.say('p', 'mm', { type: 'pte.read', vpn }).map(({ pte }) => pte));

  test.each([0, 1, 511])('maps a run of pages, from the start of the range that %i is in', (vpn) => {
    const system = set(rig(), vpn, 3);
    expect([0, 2, 511].map((vpn) => pmd(system, vpn))).toEqual(Array(3).fill(huge()));
    expect(read(system, 0, 1, 2, 3)).toEqual([presentPte(4), presentPte(5), presentPte(6), none]);
    expect(pmd(system, 512)).toEqual({ type: 'pmd', kind: 'table', table: null });
  });

  test('gives each page the same rights and bits', () => {
    const devmap = presentPte(4, { write: false, devmap: true });
    const system = set(rig(), 512, 2, devmap);
    expect([pmd(system, 513), read(system, 512, 513)]).toEqual([huge(devmap), [devmap, { ...devmap, pfn: 5 }]]);
  });

  test.each<[string, Pmds]>([
    ['an unlinked table', { 0: null, 1: 'table1' }],
    ['a table', { 0: 'table0', 1: 'table1' }],
  ])('comes in the place of %s; the others stay', (_, pmds) => {
    const system = set(rig({ 512: presentPte(9) }, pmds), 0, 2);
    expect([pmd(system, 0), walk(system, 1, false)]).toEqual([huge(), [pte(presentPte(5))]]);
    expect([system.context('mm').pmds, pmd(system, 512), read(system, 512)]).toEqual([
      { 1: 'table1' },
      { type: 'pmd', kind: 'table', table: 'table1' },
      [presentPte(9)],
    ]);
  });

  test('in whatever order they come, their ranges are kept in order', () => {
    expect(set(set(set(rig(), 1024, 1), 0, 1), 512, 1).context('mm').huge).toEqual([0, 1, 2]);
  });

  test('is walked by hardware like ptes, from no table; a store to its first page changes it', () => {
    const system = set(rig(), 0, 2);
    expect([walk(system, 1, false), pmd(system, 0)]).toEqual([[pte(presentPte(5))], huge()]);
    expect([walk(system, 0, true), pmd(system, 1)]).toEqual([[pte(presentPte(4, { dirty: true }))], huge(presentPte(4, { dirty: true }))]);
  });

  test('goes by an exchange: who clears it learns what it was, the D bit too; nobody walks there any more', () => {
    const system = set(set(rig(), 0, 2), 512, 1, presentPte(9));
    walk(system, 0, true);
    expect(pmd(system, 1, 'pmd.get_and_clear')).toEqual(huge(presentPte(4, { dirty: true })));
    expect([pmd(system, 0), pmd(system, 511), pmd(system, 0, 'pmd.get_and_clear')]).toEqual([nothing, nothing, nothing]);
    expect([read(system, 0, 1), walk(system, 0, true), walk(system, 1, false)]).toEqual([[none, none], [pte(none)], [pte(none)]]);
    expect([pmd(system, 512), read(system, 512), system.context('mm').huge]).toEqual([huge(presentPte(9)), [presentPte(9)], [1]]);
  });

  test('can come back, as it was or as another', () => {
    const system = set(rig(), 0, 2);
    pmd(system, 0, 'pmd.get_and_clear');
    expect([pmd(set(system, 0, 2), 0), walk(system, 1, false)]).toEqual([huge(), [pte(presentPte(5))]]);
    pmd(system, 0, 'pmd.get_and_clear');
    expect([pmd(set(system, 0, 1, presentPte(8)), 0), read(system, 0, 1)]).toEqual([huge(presentPte(8)), [presentPte(8), none]]);
  });

  test('that is split is a table with the same translations, each of which can go by itself', () => {
    const system = set(rig(), 0, 3);
    system.say('p', 'mm', { type: 'pmd.split', vpn: 2 });
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 1 });
    expect([pmd(system, 0), read(system, 0, 1, 2)]).toEqual([{ type: 'pmd', kind: 'table', table: null }, [presentPte(4), none, presentPte(6)]]);
  });

  // The D bit goes to the one page only: pmd.get_and_clear does not tell of it, and gup-fast sees no change.
  test('has one D bit: a store to any of its pages sets it', () => {
    const system = set(rig(), 0, 2);
    walk(system, 1, true);
    expect(pmd(system, 0, 'pmd.get_and_clear')).toEqual(huge(presentPte(4, { dirty: true })));
  });

  // The range is listed twice then, and so is a state of its own.
  test('that is set over another is there once', () => {
    expect(set(set(rig(), 0, 2), 0, 2, presentPte(4, { write: false })).context('mm').huge).toEqual([0]);
  });

  // Pages of the longer one stay.
  test('that is set over another takes its place', () => {
    expect(read(set(set(rig(), 0, 2), 0, 1, presentPte(8)), 0, 1)).toEqual([presentPte(8), none]);
  });
});

test('a device-exclusive entry is read as it is, of the writable type or not; the walker finds nothing to set D in', () => {
  const entries: Pte[] = [
    { kind: 'devexcl', pfn: 4 },
    { kind: 'devexcl', pfn: 4, write: true },
    { kind: 'devexcl', pfn: 4, write: false },
  ];
  const system = rig(Object.fromEntries(entries.map((entry, vpn) => [vpn, entry])));
  expect(entries.map((_, vpn) => walk(system, vpn, true))).toEqual(entries.map((entry) => [pte(entry)]));
  expect(entries.map((_, vpn) => system.say('p', 'mm', { type: 'pte.wrprotect', vpn }))).toEqual(entries.map((entry) => [pte(entry)]));
  expect(Object.values(system.context('mm').ptes)).toEqual(entries);
});

test('every transition was taken', () => {
  expect(untaken(addressSpace)).toEqual([]);
});
