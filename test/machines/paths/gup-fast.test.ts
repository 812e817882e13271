import { addressSpace, devPagemap, folio, gupFast, type Pte, pageTable, presentPte, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { isOfLeaf } from '../compounds.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  ptes?: Record<string, Pte>;
  /** Page-table pages by number; one that nobody frees need not be listed. */
  pmds?: Record<string, string | null>;
  pin?: boolean;
  /** null: FOLL_FAST_ONLY. */
  slow?: null;
  gup?: typeof gupFast;
  /** Replaces any of the actors around it. */
  others?: Actors;
}

const pagemap = (name: string): { pgmap: string; tryget: string; put: string } => ({ pgmap: name, tryget: `${name}.tryget`, put: `${name}.put` });
const pagemaps = { 4: pagemap('a'), 5: pagemap('a'), 6: pagemap('b') };

function rig({ ptes = { 0: presentPte(4), 1: presentPte(5), 2: presentPte(6) }, pmds = {}, pin = true, slow, gup = gupFast, others = {} }: Setup = {}): Rig {
  const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0 } }) });
  return new Rig({
    cpu: answers(),
    mm: actor(addressSpace, { input: { ptes, pmds, vmas: [0, 1, 2], cpumask: [] } }),
    ...page(4),
    ...page(5),
    ...page(6),
    table0: actor(pageTable),
    table1: actor(pageTable),
    a: actor(devPagemap, { input: { pages: [] } }),
    b: actor(devPagemap, { input: { pages: [] } }),
    'a.tryget': returns({ ok: true }),
    'a.put': returns(),
    'b.tryget': returns({ ok: true }),
    'b.put': returns(),
    slow: returns({ pages: [77] }),
    put_page: actor(putPage, { input: {} }),
    gup: actor(gup, { input: { cpu: 'cpu', mm: 'mm', pagemaps, putPage: 'put_page', slow: slow === null ? null : 'slow', pin } }),
    p: probe(),
    ...others,
  });
}

const call = (system: Rig, ...vpns: number[]): Rig => {
  system.say('p', 'gup', { type: 'call', vpns });
  return system;
};
const returned = (system: Rig): unknown => system.heard('p').map(({ pages }) => pages);
const slowCalls = (system: Rig): unknown => system.heard('slow').map(({ vpns }) => vpns);
const counts = (system: Rig, pfn: number): number[] => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).pincount];
const saidTo = (system: Rig, to: string): string[] => system.said('gup').filter((said) => said.startsWith(to));
/** Everything it does without locks is one section with interrupts off. */
const oneSection = (system: Rig): void => expect(saidTo(system, 'cpu')).toEqual(['cpu: irq.save', 'cpu: irq.restore']);
/** An mm in which a fork may run: what its sequence count reads, one after the other. */
const forking = (...values: number[]): Actors => ({
  mm: answers({
    'seqcount.read': values.map((value) => ({ type: 'seqcount', value })),
    'pmd.read': [{ type: 'pmd', kind: 'table', table: null }],
    'pte.read': [4, 4, 5, 5].map((pfn): Message => ({ type: 'pte', pte: presentPte(pfn), table: null })),
  }),
});
const devmap = (pfn: number): Pte => presentPte(pfn, { devmap: true, special: true });

describe('an ordinary page', () => {
  test('is taken without locks, interrupts off: a reference, then the pte again', () => {
    const system = call(rig({ pin: false }), 0).settle();
    expect(system.said('gup')).toEqual([
      'cpu: irq.save',
      'mm: pmd.read {"vpn":0}',
      'mm: pte.read {"vpn":0}',
      'page4: page.head',
      'page4: folio.try_get',
      'page4: page.head',
      'mm: pte.read {"vpn":0}',
      'cpu: irq.restore',
      'p: return {"pages":[4]}',
    ]);
    expect(counts(system, 4)).toEqual([2, 0]);
    expect(system.at('gup')).toBe('idle');
  });

  test('is pinned between two looks at the sequence count, before the pte is read again', () => {
    const system = call(rig(), 0).settle();
    expect(system.said('gup')).toEqual([
      'mm: has_pinned.set',
      'mm: seqcount.read',
      'cpu: irq.save',
      'mm: pmd.read {"vpn":0}',
      'mm: pte.read {"vpn":0}',
      'page4: page.head',
      'page4: folio.try_get',
      'page4: page.head',
      'page4: folio.pin',
      'mm: pte.read {"vpn":0}',
      'cpu: irq.restore',
      'mm: seqcount.read',
      'p: return {"pages":[4]}',
    ]);
    expect(counts(system, 4)).toEqual([2, 1]);
  });

  test('after the other: all in one section, in the order asked for', () => {
    const system = call(rig(), 2, 0, 1).settle();
    expect(returned(system)).toEqual([[6, 4, 5]]);
    oneSection(system);
  });

  test.each([
    [true, presentPte(4), [4]],
    [false, presentPte(4), [4]],
    [true, presentPte(4, { special: true }), [77]],
  ])('it can be called again, and remembers nothing (pin: %s, %j)', (pin, pte, pages) => {
    const system = rig({ pin, ptes: { 0: pte } });
    for (let round = 1; round <= 2; round++) {
      call(system, 0).settle();
      expect(returned(system)).toEqual(Array(round).fill(pages));
      expect(system.context('gup')).toMatchObject({ caller: '', vpns: [], table: null, pages: [], held: null, seq: 0, head: -1, pte: { kind: 'none' } });
    }
  });
});

describe('what it does not get without locks it leaves to the slow path', () => {
  test('everything when the upper levels are not there', () => {
    const system = call(rig({ pin: false, pmds: { 0: null } }), 0, 1).settle();
    expect([slowCalls(system), returned(system)]).toEqual([[[0, 1]], [[77]]]);
    oneSection(system);
  });

  test.each<[string, Pte]>([
    ['none', { kind: 'none' }],
    ['special', presentPte(4, { special: true })],
    ['read-only', presentPte(4, { write: false })],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
    ['a swap entry', { kind: 'swap', slot: 1 }],
  ])('a pte that is %s, without touching a struct page', (_, pte) => {
    const system = call(rig({ ptes: { 0: pte } }), 0).settle();
    expect([slowCalls(system), returned(system)]).toEqual([[[0]], [[77]]]);
    expect(saidTo(system, 'page')).toEqual([]);
    expect(saidTo(system, 'mm: seqcount')).toHaveLength(2);
  });

  test('the rest, when it got some: those stay in front', () => {
    const system = call(rig({ ptes: { 0: presentPte(4) }, pin: false }), 0, 1, 2).settle();
    expect([slowCalls(system), returned(system)]).toEqual([[[1, 2]], [[4, 77]]]);
    expect(counts(system, 4)).toEqual([2, 0]);
  });

  test('a page that nobody holds: the try-get fails', () => {
    const system = call(rig({ others: { page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0 } }) } }), 0).settle();
    expect([slowCalls(system), counts(system, 4)]).toEqual([[[0]], [0, 0]]);
  });

  test('and returns what it got when the slow path gets nothing', () => {
    const system = call(rig({ ptes: { 0: presentPte(4) }, others: { slow: returns() } }), 0, 1).settle();
    expect(returned(system)).toEqual([[4]]);
  });
});

describe('G9: when the pte is not what it was', () => {
  test.each([
    [true, 'the pin too'],
    [false, 'only a reference'],
  ])('the page is put (pin: %s)', (pin) => {
    const system = call(rig({ pin }), 0).stepTo('gup', 'ptep_get_lockless_again');
    expect(counts(system, 4)).toEqual([2, pin ? 1 : 0]);
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(5) });
    system.settle();
    expect(system.heard('put_page')[0]).toEqual({ type: 'call', pfn: 4, pinned: pin });
    expect([counts(system, 4), slowCalls(system)]).toEqual([[1, 0], [[0]]]);
  });

  test('a D bit that the walker set counts as a change', () => {
    const system = call(rig(), 0).stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null });
    expect(slowCalls(system.settle())).toEqual([[0]]);
  });

  test('pages before it are kept', () => {
    const system = call(rig(), 0, 1).stepTo('gup', 'ptep_get_lockless_again').take('gup', 'step').stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 1 });
    expect(slowCalls(system.settle())).toEqual([[1]]);
    expect([counts(system, 4), counts(system, 5)]).toEqual([
      [2, 1],
      [1, 0],
    ]);
  });
});

describe('a page-table page that may be freed', () => {
  const pmds = { 0: 'table0' };
  const reads = (system: Rig): string[] => system.said('gup').filter((said) => /^(mm: p[mt][de]|table)/.test(said));
  const readPmd = 'mm: pmd.read {"vpn":0}';
  const readPte = ['table0: table.read', 'mm: pte.read {"vpn":0}'];

  test('is touched with each look at a pte, and G9 looks at the pmd again before it touches it again', () => {
    const system = call(rig({ pmds, pin: false }), 0).settle();
    expect(system.said('gup')).toEqual([
      'cpu: irq.save',
      readPmd,
      ...readPte,
      'page4: page.head',
      'page4: folio.try_get',
      'page4: page.head',
      readPmd,
      ...readPte,
      'cpu: irq.restore',
      'p: return {"pages":[4]}',
    ]);
  });

  test('is looked up once for the pages in it, and again with the second look at each', () => {
    const system = call(rig({ pmds }), 0, 1).settle();
    const second = ['table0: table.read', 'mm: pte.read {"vpn":1}'];
    expect(reads(system)).toEqual([readPmd, ...readPte, readPmd, ...readPte, ...second, 'mm: pmd.read {"vpn":1}', ...second]);
    expect(returned(system)).toEqual([[4, 5]]);
    oneSection(system);
  });

  test('is another one for a page further on', () => {
    const far = 512;
    const system = call(rig({ ptes: { 0: presentPte(4), [far]: presentPte(5) }, pmds: { 0: 'table0', 1: 'table1' } }), 0, far).settle();
    const readFar = ['table1: table.read', `mm: pte.read {"vpn":${far}}`];
    const readFarPmd = `mm: pmd.read {"vpn":${far}}`;
    expect(reads(system)).toEqual([readPmd, ...readPte, readPmd, ...readPte, readFarPmd, ...readFar, readFarPmd, ...readFar]);
    expect(returned(system)).toEqual([[4, 5]]);
  });

  test('is not touched when it is unlinked already', () => {
    expect(reads(call(rig({ pmds: { 0: null } }), 0).settle())).toEqual([readPmd]);
  });

  test.each([
    [true, 'the pin too'],
    [false, 'only a reference'],
  ])('G9: when it was unlinked meanwhile the page is put, and it is not touched again (pin: %s)', (pin) => {
    const system = call(rig({ pmds, pin }), 0).stepTo('gup', 'pmdp_get_again');
    expect(counts(system, 4)).toEqual([2, pin ? 1 : 0]);
    system.say('p', 'mm', { type: 'pmd.clear', vpn: 0 });
    system.settle();
    expect(reads(system)).toEqual([readPmd, ...readPte, readPmd]);
    expect(system.heard('put_page')[0]).toEqual({ type: 'call', pfn: 4, pinned: pin });
    expect([counts(system, 4), slowCalls(system)]).toEqual([[1, 0], [[0]]]);
    oneSection(system);
  });

  test('G9: when another one is in its place the page is put too, though the pte is the same', () => {
    const mm = answers({
      'pmd.read': ['table0', 'table1'].map((table): Message => ({ type: 'pmd', kind: 'table', table })),
      'pte.read': [{ type: 'pte', pte: presentPte(4), table: null }],
    });
    const system = call(rig({ pin: false, others: { mm } }), 0).settle();
    expect([counts(system, 4), slowCalls(system)]).toEqual([[1, 0], [[0]]]);
    expect(system.heard('table1')).toEqual([]);
  });

  test('G9: the same one with another pte in it: the page is put', () => {
    const system = call(rig({ pmds }), 0).stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect([slowCalls(system.settle()), counts(system, 4)]).toEqual([[[0]], [1, 0]]);
  });

  test.each(['ptep_get_lockless', 'ptep_get_lockless_again'])('I4: freed too early, it is found out (%s)', (state) => {
    const system = call(rig({ pmds }), 0).stepTo('gup', state);
    system.say('p', 'table0', 'table.free');
    expect(system.take('gup', 'step').bugs()).toEqual(['BUG: a walker reads ptes from a page-table page that was freed']);
  });
});

test('G8c: when the head has changed the reference is put, without a pin, and the head looked up again', () => {
  const heads = [8, 9, 9, 9].map((head): Message => ({ type: 'page.head', head }));
  const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0 } }) });
  const system = call(rig({ others: { page4: answers({ 'page.head': heads }), ...page(8), ...page(9) } }), 0).settle();
  expect(saidTo(system, 'page')).toEqual([
    'page4: page.head',
    'page8: folio.try_get',
    'page4: page.head',
    'page4: page.head',
    'page9: folio.try_get',
    'page4: page.head',
    'page9: folio.pin',
  ]);
  expect(system.heard('put_page')[0]).toEqual({ type: 'call', pfn: 8, pinned: false });
  expect([counts(system, 8), counts(system, 9), returned(system)]).toEqual([[1, 0], [2, 1], [[4]]]);
  oneSection(system);
});

describe('the fork race', () => {
  test('G2: while a fork copies, everything is left to the slow path; interrupts stay on', () => {
    const system = call(rig({ others: forking(7) }), 0, 1).settle();
    expect([slowCalls(system), returned(system)]).toEqual([[[0, 1]], [[77]]]);
    expect(system.said('gup').slice(0, -1)).toEqual(['mm: has_pinned.set', 'mm: seqcount.read', 'slow: call {"vpns":[0,1]}']);
  });

  test('G14: after a fork everything is unpinned, the last page first, then left to the slow path', () => {
    const system = call(rig({ others: forking(6, 8) }), 0, 1).settle();
    const puts = system.heard('put_page').flatMap(({ type, pfn, pinned }) => (type === 'call' ? [[pfn, pinned]] : []));
    expect(puts).toEqual([
      [5, true],
      [4, true],
    ]);
    expect([counts(system, 4), counts(system, 5)]).toEqual([
      [1, 0],
      [1, 0],
    ]);
    expect([slowCalls(system), returned(system)]).toEqual([[[0, 1]], [[77]]]);
  });

  test('G14: without a fork since G2 the pages stay', () => {
    const system = call(rig({ others: forking(6, 6) }), 0, 1).settle();
    expect([returned(system), slowCalls(system)]).toEqual([[[4, 5]], []]);
  });

  test('G14: a fork that is still under way has moved the count too', () => {
    expect(slowCalls(call(rig({ others: forking(6, 7) }), 0).settle())).toEqual([[0]]);
  });

  test('G14: with nothing gathered there is nothing to unpin', () => {
    const mm = answers({
      'seqcount.read': [2, 4].map((value): Message => ({ type: 'seqcount', value })),
      'pmd.read': [{ type: 'pmd', kind: 'none', table: null }],
    });
    const system = call(rig({ others: { mm } }), 0).settle();
    expect([system.heard('put_page'), slowCalls(system)]).toEqual([[], [[0]]]);
  });

  test('a get without a pin does not look at the count', () => {
    expect(saidTo(call(rig({ pin: false }), 0).settle(), 'mm: seqcount')).toEqual([]);
  });
});

describe('FOLL_FAST_ONLY', () => {
  const forked = (system: Rig): unknown[] => [returned(system), system.heard('slow'), system.at('gup'), system.context('gup').vpns, counts(system, 4)];

  test.each([true, false])('returns what it gets without locks (pin: %s)', (pin) => {
    const system = call(rig({ pin, slow: null, ptes: { 0: presentPte(4) } }), 0, 1).settle();
    expect(forked(system)).toEqual([[[4]], [], 'idle', [], [2, pin ? 1 : 0]]);
    oneSection(system);
  });

  test('G2: nothing while a fork copies, with interrupts on', () => {
    const system = call(rig({ slow: null, others: forking(7) }), 0).settle();
    expect([forked(system), saidTo(system, 'cpu')]).toEqual([[[[]], [], 'idle', [], [1, 0]], []]);
  });

  test('G14: nothing after a fork: what it got is unpinned', () => {
    const system = call(rig({ slow: null, others: forking(6, 8) }), 0, 1).settle();
    expect([forked(system), counts(system, 5)]).toEqual([
      [[[]], [], 'idle', [], [1, 0]],
      [1, 0],
    ]);
    oneSection(system);
  });

  test('G14: without a fork since G2 the pages stay', () => {
    const system = call(rig({ slow: null, others: forking(6, 6) }), 0).settle();
    expect(forked(system)).toEqual([[[4]], [], 'idle', [], [2, 1]]);
  });
});

describe('a devmap page', () => {
  const ptes = { 0: devmap(4), 1: devmap(5), 2: devmap(6) };
  const pagemapCalls = (system: Rig): string[] => system.said('gup').filter((said) => /^[ab]/.test(said));

  test('G7, G12: its pagemap is held from before the struct page is touched until the page is', () => {
    const system = call(rig({ ptes, pin: false }), 0).settle();
    expect(system.said('gup')).toEqual([
      'cpu: irq.save',
      'mm: pmd.read {"vpn":0}',
      'mm: pte.read {"vpn":0}',
      'a: xa_load',
      'a.tryget: call',
      'page4: page.head',
      'page4: folio.try_get',
      'page4: page.head',
      'mm: pte.read {"vpn":0}',
      'a.put: call',
      'cpu: irq.restore',
      'p: return {"pages":[4]}',
    ]);
  });

  test("G12: from then on only the page's own reference protects it", () => {
    const system = call(rig({ ptes }), 0).stepTo('gup', 'ptep_get_lockless_again');
    expect(system.context('gup').held).toEqual(pagemaps[4]);
    expect(system.stepTo('gup', 'local_irq_restore').context('gup').held).toBeNull();
  });

  test('G7b: two pages under one pagemap take one reference of it', () => {
    const system = call(rig({ ptes }), 0, 1).settle();
    expect([pagemapCalls(system), returned(system)]).toEqual([['a: xa_load', 'a.tryget: call', 'a.put: call'], [[4, 5]]]);
  });

  test('G7c: of two pagemaps the first is put before the second is taken', () => {
    const system = call(rig({ ptes }), 0, 2, 1).settle();
    const uses = ['a', 'b', 'a'].flatMap((name) => [`${name}: xa_load`, `${name}.tryget: call`, `${name}.put: call`]);
    expect([pagemapCalls(system), returned(system)]).toEqual([uses, [[4, 6, 5]]]);
    oneSection(system);
  });

  test('G7d: when its pagemap is erased, it goes to the slow path untouched', () => {
    const system = rig({ ptes });
    system.say('p', 'a', 'xa_erase');
    call(system, 0).settle();
    expect([pagemapCalls(system), saidTo(system, 'page'), slowCalls(system)]).toEqual([['a: xa_load'], [], [[0]]]);
  });

  test.each<[string, Actors]>([
    ['is dying', { 'b.tryget': returns({ ok: false }) }],
    ['is erased', { b: answers({ xa_load: [{ type: 'xa', result: 'none' }] }) }],
  ])('G7d: when a pagemap %s, the pages gathered are put, the last one first, and nr goes back', (_, others) => {
    const system = call(rig({ ptes, others }), 0, 1, 2).settle();
    const puts = system.heard('put_page').flatMap(({ type, pfn, pinned }) => (type === 'call' ? [[pfn, pinned]] : []));
    expect(puts).toEqual([
      [5, true],
      [4, true],
    ]);
    expect([counts(system, 4), counts(system, 5), counts(system, 6)]).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect([slowCalls(system), returned(system)]).toEqual([[[0, 1, 2]], [[77]]]);
    expect(system.heard('b.put')).toEqual([]);
    expect(system.heard('a.put')).toHaveLength(1);
  });

  test('G9: when the pte has changed, the page is put before the pagemap', () => {
    const system = call(rig({ ptes, pin: false }), 0).stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    system.settle();
    expect(system.said('gup').slice(-5)).toEqual([
      'put_page: call {"pfn":4,"pinned":false}',
      'a.put: call',
      'cpu: irq.restore',
      'slow: call {"vpns":[0]}',
      'p: return {"pages":[77]}',
    ]);
  });
});

describe('without one of its safeguards', () => {
  const devmaps = { 0: devmap(4), 2: devmap(6) };

  test('A1: a devmap page is touched without its pagemap', () => {
    const system = call(rig({ ptes: devmaps, gup: gupFast.provide({ guards: { needsPagemap: () => false } }) }), 0).settle();
    expect([system.heard('a'), returned(system)]).toEqual([[], [[4]]]);
  });

  test('A3: neither the pmd nor the pte is read again', () => {
    const system = call(rig({ pmds: { 0: 'table0' }, gup: gupFast.provide({ guards: { rechecksAfterGrab: () => false } }) }), 0).settle();
    expect(saidTo(system, 'mm: p')).toEqual(['mm: pmd.read {"vpn":0}', 'mm: pte.read {"vpn":0}']);
    expect(saidTo(system, 'table0')).toEqual(['table0: table.read']);
  });

  const checkThenGet = gupFast.provide({ guards: { rechecksAfterGrab: () => false, checksBeforeGrab: () => true } });
  test.each([
    ['ordinary', presentPte(4)],
    ['devmap', devmap(4)],
  ])('A4: the second look at a pte (%s) comes before the get', (_, pte) => {
    const system = call(rig({ ptes: { 0: pte }, gup: checkThenGet }), 0).settle();
    const order = system.said('gup').filter((said) => /^mm: pte|^page4: folio.try/.test(said));
    expect(order).toEqual(['mm: pte.read {"vpn":0}', 'mm: pte.read {"vpn":0}', 'page4: folio.try_get']);
    const changed = call(rig({ ptes: { 0: pte }, gup: checkThenGet }), 0).stepTo('gup', 'ptep_check_early');
    changed.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect([slowCalls(changed.settle()), saidTo(changed, 'page')]).toEqual([[[0]], []]);
    oneSection(changed);
  });

  test('A5: pages gathered under a dying pagemap are forgotten, not put', () => {
    const system = call(
      rig({ ptes: devmaps, others: { 'b.tryget': returns({ ok: false }) }, gup: gupFast.provide({ guards: { undoPutsPages: () => false } }) }),
      0,
      2,
    ).settle();
    expect([counts(system, 4), slowCalls(system), system.heard('put_page')]).toEqual([[2, 1], [[0, 2]], []]);
  });

  test('A6: the pagemap is given back before the struct page is touched', () => {
    const system = call(rig({ ptes: devmaps, gup: gupFast.provide({ guards: { holdsPagemapUntilGrab: () => false } }) }), 0).settle();
    const order = system.said('gup').filter((said) => /^a\.put|^page4: page/.test(said));
    expect(order).toEqual(['a.put: call', 'page4: page.head', 'page4: page.head']);
  });
});

describe('a pin that is only for reading', () => {
  const readOnly = presentPte(4, { write: false });
  const pinToRead = (setup: Setup, page4: object = {}): Rig => {
    const system = rig({
      ptes: { 0: readOnly },
      others: { page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, ...page4 } }) },
      ...setup,
    });
    system.say('p', 'gup', { type: 'call', vpns: [0], write: false });
    return system;
  };
  const taken = [
    ...['mm: pte.read {"vpn":0}', 'page4: page.head', 'page4: folio.try_get', 'page4: page.head', 'page4: folio.pin', 'mm: pte.read {"vpn":0}'],
    'page4: page.read',
  ];
  const walk = (system: Rig): string[] => system.said('gup').filter((said) => /^page4|pte/.test(said));
  const shared = { protection: { record: 'record4', stable: true } };

  test.each<[string, object]>([
    ['that is exclusive', { anonExclusive: true }],
    ['of a file', { mapping: 'file' }],
  ])('takes a page %s by a read-only pte; it asks the page after it has read the pte again', (_, page4) => {
    const system = pinToRead({}, page4).settle();
    expect([walk(system), returned(system), slowCalls(system), counts(system, 4)]).toEqual([taken, [[4]], [], [2, 1]]);
    oneSection(system);
  });

  test.each<[string, object]>([
    ['private, and not exclusive', {}],
    ['that KSM shares', shared],
    ['of a file that is shared with another file', { mapping: 'file', ...shared }],
    ['of which there are replicas', { anonExclusive: true, protection: { record: 'record4', stable: false } }],
  ])('leaves a page %s to the slow path, and says that it reads', (_, page4) => {
    const system = pinToRead({}, page4).settle();
    expect([walk(system), returned(system), system.heard('slow')]).toEqual([taken, [[77]], [{ type: 'call', vpns: [0], write: false }]]);
    expect([counts(system, 4), system.at('gup')]).toEqual([[1, 0], 'idle']);
    oneSection(system);
  });

  test('asks in a step of its own: who clears the flag in between is seen', () => {
    const system = pinToRead({}, { anonExclusive: true }).stepTo('gup', 'gup_must_unshare');
    system.say('p', 'page4', { type: 'folio.set_exclusive', exclusive: false });
    expect([slowCalls(system.settle()), counts(system, 4)]).toEqual([[[0]], [1, 0]]);
  });

  test('needs no look at the page where the pte is writable, nor for FOLL_GET', () => {
    const writable = pinToRead({ ptes: { 0: presentPte(4) } }).settle();
    const got = pinToRead({ pin: false }).settle();
    expect([walk(writable).includes('page4: page.read'), walk(got).includes('page4: page.read')]).toEqual([false, false]);
    expect([returned(writable), returned(got), counts(writable, 4), counts(got, 4)]).toEqual([[[4]], [[4]], [2, 1], [2, 0]]);
  });

  test('a pte that has changed is not taken, whatever the page says', () => {
    const system = pinToRead({}, { anonExclusive: true }).stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: { ...readOnly, dirty: true } });
    expect([slowCalls(system.settle()), counts(system, 4), walk(system).at(-1)]).toEqual([[[0]], [1, 0], 'mm: pte.read {"vpn":0}']);
  });

  test('is forgotten: a call that says nothing is for a store, which a read-only pte does not allow', () => {
    const system = pinToRead({}, { anonExclusive: true }).settle();
    call(system, 0).settle();
    expect([returned(system), system.heard('slow')]).toEqual([[[4], [77]], [{ type: 'call', vpns: [0] }]]);
    system.say('p', 'gup', { type: 'call', vpns: [0], write: true });
    expect(system.settle().heard('slow').at(-1)).toEqual({ type: 'call', vpns: [0], write: true });
  });

  test('row W6r: a page that others share is pinned', () => {
    const system = pinToRead({ gup: gupFast.provide({ guards: { mustUnshare: () => false } }) }, shared).settle();
    expect([returned(system), counts(system, 4)]).toEqual([[[4]], [2, 1]]);
  });
});

test('every transition was taken, but for those that gup-fast-leaf.test.ts takes', () => {
  expect(untaken(gupFast).filter((transition) => !isOfLeaf(transition))).toEqual([]);
});
