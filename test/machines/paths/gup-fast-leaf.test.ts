import { addressSpace, devPagemap, folio, gupFast, pageTable, presentPte, putPage } from '../../../machines/index.js';
import type { PresentPte } from '../../../machines/memory/address-space.js';
import { actor } from '../../../src/index.js';
import { isOfLeaf } from '../compounds.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Bits = Partial<Pick<PresentPte, 'write' | 'devmap' | 'special' | 'dirty'>>;
interface Setup {
  /** Of all translations. */
  bits?: Bits;
  /** Ranges of 512 pages that a leaf maps; of any other a page table does. */
  huge?: number[];
  pmds?: Record<string, string | null>;
  /** Each page is a folio of its own. */
  base?: boolean;
  pin?: boolean;
  gup?: typeof gupFast;
  /** Replaces any of the actors around it. */
  others?: Actors;
}
type Guards = NonNullable<NonNullable<Parameters<typeof gupFast.provide>[0]>['guards']>;
const changed = (guards: Guards): typeof gupFast => gupFast.provide({ guards });

const far = 512;
const pfns: Record<number, number> = { 0: 4, 1: 5, 2: 6, 3: 7, [far]: 8, [far + 1]: 9 };
const pagemap = (name: string): { pgmap: string; tryget: string; put: string } => ({ pgmap: name, tryget: `${name}.tryget`, put: `${name}.put` });
const pagemaps = { 4: pagemap('a'), 5: pagemap('a'), 6: pagemap('b'), 7: pagemap('b'), 8: pagemap('a'), 9: pagemap('a') };

/** Pages 4 to 7 are one folio, pages 8 and 9 another; each is mapped by a leaf. */
function rig({ bits = {}, huge = [0, 1], pmds = {}, base = false, pin = true, gup = gupFast, others = {} }: Setup = {}): Rig {
  const ptes = Object.fromEntries(Object.entries(pfns).map(([vpn, pfn]) => [vpn, presentPte(pfn, bits)]));
  const page = (pfn: number, head: number, nr: number): Actors => {
    const own = { refcount: 1, ...(base ? {} : { nr }) };
    return { [`page${pfn}`]: actor(folio, { input: { pfn, idle: 0, ...(pfn === head || base ? own : { refcount: 0, tail: { head } }) } }) };
  };
  return new Rig({
    cpu: answers(),
    mm: actor(addressSpace, { input: { ptes, pmds, huge, vmas: [], cpumask: [] } }),
    ...Object.assign({}, ...[4, 5, 6, 7].map((pfn) => page(pfn, 4, 4)), ...[8, 9].map((pfn) => page(pfn, 8, 2))),
    table0: actor(pageTable),
    table1: actor(pageTable),
    a: actor(devPagemap, { input: { pages: [] } }),
    b: actor(devPagemap, { input: { pages: [] } }),
    'a.tryget': returns({ ok: true }),
    'a.put': returns(),
    'b.tryget': returns({ ok: true }),
    'b.put': returns(),
    slow: returns({ pages: [77] }),
    put_page: actor(putPage, { input: { compounds: true } }),
    gup: actor(gup, { input: { cpu: 'cpu', mm: 'mm', pagemaps, putPage: 'put_page', slow: 'slow', pin } }),
    p: probe(),
    ...others,
  });
}

const call = (system: Rig, ...vpns: number[]): Rig => {
  system.say('p', 'gup', { type: 'call', vpns });
  return system;
};
const callToRead = (system: Rig, ...vpns: number[]): Rig => {
  system.say('p', 'gup', { type: 'call', vpns, write: false });
  return system;
};
const returned = (system: Rig): unknown => system.heard('p').flatMap(({ type, pages }) => (type === 'return' ? [pages] : []));
const slowCalls = (system: Rig): unknown => system.heard('slow').map(({ vpns }) => vpns);
/** References and pins: `2/1`. */
const counts = (system: Rig, ...which: number[]): string[] =>
  which.map((pfn) => `${system.context(`page${pfn}`).refcount}/${system.context(`page${pfn}`).pincount}`);
const saidTo = (system: Rig, to: string): string[] => system.said('gup').filter((said) => said.startsWith(to));
/** What it does between the first look at a pmd and the end of the section without interrupts. */
const walk = (system: Rig): string[] => {
  const said = system.said('gup');
  return said.slice(said.indexOf('cpu: irq.save') + 1, said.indexOf('cpu: irq.restore'));
};
const puts = (system: Rig): unknown => system.heard('put_page').flatMap(({ type, ...put }) => (type === 'call' ? [put] : []));
/** Everything it does without locks is one section with interrupts off; it is over, and nothing is left of it. */
function expectOver(system: Rig): void {
  expect([saidTo(system, 'cpu'), system.at('gup'), system.bugs()]).toEqual([['cpu: irq.save', 'cpu: irq.restore'], 'idle', []]);
  expect(system.context('gup')).toMatchObject({ caller: '', vpns: [], table: null, pte: { kind: 'none' }, pages: [], held: null, head: -1 });
  expect(system.context('gup')).toMatchObject({ leaf: null, refs: 1, grab: 1, leafStart: 0, pinned: false });
}
const clear = (system: Rig, vpn: number): Rig => {
  system.say('p', 'mm', { type: 'pmd.get_and_clear', vpn });
  return system;
};
/** It comes to this state once more, with a step in between. */
const stepAgainTo = (system: Rig, state: string): Rig => system.take('gup', 'step').stepTo('gup', state);
const readPmd = (vpn: number): string => `mm: pmd.read {"vpn":${vpn}}`;
const readPte = (vpn: number): string => `mm: pte.read {"vpn":${vpn}}`;

describe('a huge leaf', () => {
  test('is taken at once: as many references of the head as pages are asked for, then the pmd again', () => {
    const system = call(rig({ pin: false }), 0, 1, 2, 3).settle();
    expect(walk(system)).toEqual([readPmd(0), 'page4: page.head', 'page4: folio.try_get {"refs":4}', 'page4: page.head', readPmd(0)]);
    expect([returned(system), slowCalls(system), counts(system, 4, 5, 6, 7)]).toEqual([[[4, 5, 6, 7]], [], ['5/0', '0/0', '0/0', '0/0']]);
    expectOver(system);
  });

  test('is pinned as often, before the pmd is read again', () => {
    const system = call(rig(), 0, 1, 2, 3).settle();
    expect(walk(system)).toEqual([
      readPmd(0),
      'page4: page.head',
      'page4: folio.try_get {"refs":4}',
      'page4: page.head',
      'page4: folio.pin {"refs":4}',
      readPmd(0),
    ]);
    expect(system.said('gup').slice(-3)).toEqual(['cpu: irq.restore', 'mm: seqcount.read', 'p: return {"pages":[4,5,6,7]}']);
    expect(counts(system, 4, 5)).toEqual(['5/4', '0/0']);
    expectOver(system);
  });

  test.each<[number[], number[], string]>([
    [[1, 2], [5, 6], '{"refs":2}'],
    [[3], [7], ''],
    [[0], [4], ''],
  ])('is taken in part, where %j are asked for: the head is looked up of the first of them', (vpns, pages, refs) => {
    const system = call(rig(), ...vpns).settle();
    const look = `page${pages[0]}: page.head`;
    expect(saidTo(system, 'page')).toEqual([look, `page4: folio.try_get ${refs}`.trim(), look, `page4: folio.pin ${refs}`.trim()]);
    expect([returned(system), counts(system, 4)]).toEqual([[pages], [`${1 + vpns.length}/${vpns.length}`]]);
    expectOver(system);
  });

  test('after another, in one call and one section', () => {
    const system = call(rig({ pin: false }), 2, 3, far, far + 1).settle();
    const taken = (page: number, head: number, vpn: number): string[] => [
      ...[readPmd(vpn), `page${page}: page.head`, `page${head}: folio.try_get {"refs":2}`, `page${page}: page.head`, readPmd(vpn)],
    ];
    expect(walk(system)).toEqual([...taken(6, 4, 2), ...taken(8, 8, far)]);
    expect([returned(system), counts(system, 4, 8)]).toEqual([[[6, 7, 8, 9]], ['3/0', '3/0']]);
    expectOver(system);
  });

  test('before a page table: pages from there come one by one, each pte is read again', () => {
    const system = call(rig({ pin: false, huge: [0], pmds: { 1: 'table1' } }), 0, 1, far, far + 1).settle();
    const pte = (vpn: number, page: number): string[] => [
      ...['table1: table.read', readPte(vpn), `page${page}: page.head`, 'page8: folio.try_get', `page${page}: page.head`],
      ...[readPmd(vpn), 'table1: table.read', readPte(vpn)],
    ];
    expect(walk(system).slice(5)).toEqual([readPmd(far), ...pte(far, 8), ...pte(far + 1, 9)]);
    expect([returned(system), counts(system, 4, 8)]).toEqual([[[4, 5, 8, 9]], ['3/0', '3/0']]);
    expectOver(system);
  });

  test('after a page table: which is not touched any more', () => {
    const system = call(rig({ pin: false, huge: [1], pmds: { 0: 'table0' } }), 0, far, far + 1).settle();
    expect(walk(system).slice(-5)).toEqual([readPmd(far), 'page8: page.head', 'page8: folio.try_get {"refs":2}', 'page8: page.head', readPmd(far)]);
    expect([saidTo(system, 'table0'), returned(system)]).toEqual([Array(2).fill('table0: table.read'), [[4, 8, 9]]]);
    expectOver(system);
  });

  test('can be taken twice: nothing is remembered', () => {
    const system = rig();
    for (const refcount of [3, 5]) {
      call(system, 1, 2).settle();
      expect([system.context('gup').leaf, system.context('gup').refs, counts(system, 4)]).toEqual([null, 1, [`${refcount}/${refcount - 1}`]]);
    }
    expect(returned(system)).toEqual(Array(2).fill([5, 6]));
  });
});

describe('a huge leaf that it does not get is left to the slow path', () => {
  test('when nobody holds the folio', () => {
    const system = call(rig({ others: { page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, nr: 4 } }) } }), 0, 1).settle();
    expect([slowCalls(system), returned(system), counts(system, 4), puts(system)]).toEqual([[[0, 1]], [[77]], ['0/0'], []]);
    expectOver(system);
  });

  test('when it is read-only, without a touch of the struct page; a call to read may have it', () => {
    const bits = { write: false };
    const [store, read] = [call(rig({ bits, pin: false }), 0, 1).settle(), callToRead(rig({ bits, pin: false }), 0, 1).settle()];
    expect([slowCalls(store), saidTo(store, 'page'), walk(store)]).toEqual([[[0, 1]], [], [readPmd(0)]]);
    expect([slowCalls(read), returned(read), counts(read, 4)]).toEqual([[], [[4, 5]], ['3/0']]);
    for (const system of [store, read]) expectOver(system);
  });

  test('when it is gone: those before it stay', () => {
    const system = call(rig(), 0, 1, far).stepTo('gup', 'pmdp_get_again');
    expect(slowCalls(clear(system, far).settle())).toEqual([[far]]);
    expect([returned(system), counts(system, 4, 8)]).toEqual([[[4, 5, 77]], ['3/2', '1/0']]);
    expectOver(system);
  });

  test('when its first page is not there: it looks at the ptes, which are not either', () => {
    const system = rig();
    system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: { kind: 'protnone', pfn: 4, dirty: false } });
    expect([slowCalls(call(system, 0).settle()), walk(system)]).toEqual([[[0]], [readPmd(0), readPte(0)]]);
    expectOver(system);
  });

  // The leaf is taken for one that has a folio: pmd_special (6.12) is not looked at.
  test('when it is special: core mm holds no reference for it', () => {
    const system = call(rig({ bits: { special: true } }), 0, 1).settle();
    expect([slowCalls(system), saidTo(system, 'page')]).toEqual([[[0, 1]], []]);
  });

  // After sameLeaf nobody asks gup_must_unshare, as gup_fast_pmd_leaf does since 5.19.
  test('when it is read-only, and a pin is not for a page that is exclusive', () => {
    const system = callToRead(rig({ bits: { write: false } }), 0, 1).settle();
    expect([slowCalls(system), counts(system, 4)]).toEqual([[[0, 1]], ['1/0']]);
  });
});

describe('G9: when the leaf is not what it was', () => {
  const changes: [string, (system: Rig) => unknown][] = [
    ['it is gone', (system) => clear(system, 0)],
    ['another is in its place', (system) => clear(system, 0).say('p', 'mm', { type: 'pmd.set_leaf', vpn: 0, nr: 2, pte: presentPte(8) })],
    ['it is read-only now', (system) => clear(system, 0).say('p', 'mm', { type: 'pmd.set_leaf', vpn: 0, nr: 4, pte: presentPte(4, { write: false }) })],
    ['it was split', (system) => system.say('p', 'mm', { type: 'pmd.split', vpn: 0 })],
    ['the walker has set its D bit', (system) => system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null })],
  ];

  describe.each([true, false])('(pin: %s)', (pin) => {
    test.each(changes)('all of its references are put at once: %s', (_, change) => {
      const system = call(rig({ pin }), 1, 2, 3).stepTo('gup', 'pmdp_get_again');
      expect(counts(system, 4)).toEqual([pin ? '4/3' : '4/0']);
      change(system);
      system.settle();
      expect(puts(system)).toEqual([{ pfn: 4, pinned: pin, refs: 3 }]);
      expect([counts(system, 4, 5), slowCalls(system), returned(system)]).toEqual([['1/0', '0/0'], [[1, 2, 3]], [[77]]]);
      expectOver(system);
    });
  });

  test('pages of the leaf before it are kept', () => {
    const system = stepAgainTo(call(rig(), 2, 3, far, far + 1).stepTo('gup', 'pmdp_get_again'), 'pmdp_get_again');
    clear(system, far).settle();
    expect([puts(system), slowCalls(system), returned(system)]).toEqual([[{ pfn: 8, pinned: true, refs: 2 }], [[far, far + 1]], [[6, 7, 77]]]);
    expect(counts(system, 4, 8)).toEqual(['3/2', '1/0']);
    expectOver(system);
  });

  test.each<[string, Setup, string]>([
    ['a leaf that changed', {}, 'pmdp_get_again'],
    ['a devmap leaf that changed', { bits: { devmap: true }, base: true }, 'pmdp_get_again'],
    ['a folio that was frozen', {}, 'folio_ref_try_add'],
  ])('nothing is remembered of %s', (_, setup, state) => {
    const system = clear(call(rig(setup), 0, 1).stepTo('gup', state), 0);
    if (state === 'folio_ref_try_add') system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    system.take('gup', 'step').settle('put_page');
    expect([system.at('gup'), system.context('gup')]).toEqual([
      'local_irq_restore',
      expect.objectContaining({ leaf: null, refs: 1, grab: 1, pinned: false, pages: [] }),
    ]);
  });

  test('a change of another leaf is none', () => {
    const system = call(rig(), 0, 1).stepTo('gup', 'pmdp_get_again');
    clear(system, far).settle();
    expect([returned(system), puts(system)]).toEqual([[[4, 5]], []]);
  });
});

test('G8c: a folio that was split meanwhile: its references are put, all at once and unpinned, before the page is tried by itself', () => {
  const system = call(rig(), 1, 2).stepTo('gup', 'page_folio_again');
  clear(system, 0);
  system.say('p', 'page4', { type: 'folio.split', refcount: 1 });
  expect(counts(system, 4, 5)).toEqual(['3/0', '1/0']);
  system.settle();
  expect([puts(system), slowCalls(system)]).toEqual([
    [
      { pfn: 4, pinned: false, refs: 2 },
      { pfn: 5, pinned: true, refs: 2 },
    ],
    [[1, 2]],
  ]);
  expect(counts(system, 4, 5)).toEqual(['1/0', '1/0']);
  expectOver(system);
});

describe('a devmap leaf', () => {
  const bits: Bits = { devmap: true };
  const one = '1/0';

  test('is taken page by page, under one reference of the pagemap; the pmd is read again once, at the end', () => {
    const system = call(rig({ bits, base: true, pin: false }), 0, 1).settle();
    const taken = (page: number): string[] => [`page${page}: page.head`, `page${page}: folio.try_get`, `page${page}: page.head`];
    expect(walk(system)).toEqual([readPmd(0), 'a: xa_load', 'a.tryget: call', ...taken(4), ...taken(5), readPmd(1), 'a.put: call']);
    expect([returned(system), counts(system, 4, 5), slowCalls(system)]).toEqual([[[4, 5]], ['2/0', '2/0'], []]);
    expectOver(system);
  });

  test('is pinned page by page, each before the next is taken', () => {
    const system = call(rig({ bits, base: true }), 0, 1).settle();
    const taken = (page: number): string[] => [...[`page${page}: page.head`, `page${page}: folio.try_get`, `page${page}: page.head`, `page${page}: folio.pin`]];
    expect(saidTo(system, 'page')).toEqual([...taken(4), ...taken(5)]);
    expect([returned(system), counts(system, 4, 5)]).toEqual([[[4, 5]], ['2/1', '2/1']]);
    expectOver(system);
  });

  test('of a compound gives the head a reference for each page', () => {
    const system = call(rig({ bits }), 0, 1).settle();
    expect(saidTo(system, 'page4: folio')).toEqual(['page4: folio.try_get', 'page4: folio.pin', 'page4: folio.try_get', 'page4: folio.pin']);
    expect([returned(system), counts(system, 4, 5)]).toEqual([[[4, 5]], ['3/2', '0/0']]);
    expectOver(system);
  });

  test('may lie under two pagemaps: the first is put before the second is taken', () => {
    const system = call(rig({ bits, base: true }), 1, 2, 3).settle();
    expect(system.said('gup').filter((said) => /^[ab]/.test(said))).toEqual([
      ...['a', 'b'].flatMap((name) => [`${name}: xa_load`, `${name}.tryget: call`, `${name}.put: call`]),
    ]);
    expect(returned(system)).toEqual([[5, 6, 7]]);
    expectOver(system);
  });

  test.each([true, false])('that has changed: its pages are put, the last one first, before the pagemap (pin: %s)', (pin) => {
    const system = call(rig({ bits, base: true, pin }), 0, 1, 2).stepTo('gup', 'pmdp_get_again');
    expect(counts(system, 4, 5, 6)).toEqual(Array(3).fill(pin ? '2/1' : '2/0'));
    clear(system, 0).settle();
    expect(puts(system)).toEqual([6, 5, 4].map((pfn) => ({ pfn, pinned: pin })));
    expect(walk(system).slice(-4)).toEqual([...[6, 5, 4].map((pfn) => `put_page: call {"pfn":${pfn},"pinned":${pin}}`), 'b.put: call']);
    expect([counts(system, 4, 5, 6), slowCalls(system), returned(system)]).toEqual([[one, one, one], [[0, 1, 2]], [[77]]]);
    expectOver(system);
  });

  test('that has changed: one page of it is put alone', () => {
    const system = call(rig({ bits, base: true }), 1).stepTo('gup', 'pmdp_get_again');
    clear(system, 0).settle();
    expect([puts(system), counts(system, 5), slowCalls(system)]).toEqual([[{ pfn: 5, pinned: true }], [one], [[1]]]);
    expectOver(system);
  });

  test('that has changed: those of a compound go back to the head', () => {
    const system = call(rig({ bits }), 0, 1).stepTo('gup', 'pmdp_get_again');
    clear(system, 0).settle();
    expect([puts(system), counts(system, 4, 5)]).toEqual([[4, 4].map((pfn) => ({ pfn, pinned: true })), [one, '0/0']]);
    expectOver(system);
  });

  test('that has changed: pages of the leaf before it are kept', () => {
    const system = stepAgainTo(call(rig({ bits, base: true }), 0, 1, far, far + 1).stepTo('gup', 'pmdp_get_again'), 'pmdp_get_again');
    expect(system.context('gup').leafStart).toBe(2);
    clear(system, far).settle();
    expect([puts(system), slowCalls(system), returned(system)]).toEqual([[9, 8].map((pfn) => ({ pfn, pinned: true })), [[far, far + 1]], [[4, 5, 77]]]);
    expect(counts(system, 4, 5, 8, 9)).toEqual(['2/1', '2/1', one, one]);
    expectOver(system);
  });

  test.each<[string, number[], number, number[]]>([
    ['the first', [0, 1, 2], 4, []],
    ['the third', [0, 1, 2], 6, [5, 4]],
  ])('nobody holds %s of its pages: those before it are put, the last one first', (_, vpns, pfn, expected) => {
    const frozen = { [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 0, idle: 0 } }) };
    const system = call(rig({ bits, base: true, others: frozen }), ...vpns).settle();
    expect([puts(system), slowCalls(system), walk(system).at(-1)]).toEqual([
      expected.map((pfn) => ({ pfn, pinned: true })),
      [vpns],
      expect.stringContaining('.put: call'),
    ]);
    expect(counts(system, ...[4, 5, 6].filter((other) => other !== pfn), pfn)).toEqual([one, one, '0/0']);
    expectOver(system);
  });

  test('G7d: when the pagemap of a page is dying, those before it are put, too', () => {
    const system = call(rig({ bits, base: true, others: { 'b.tryget': returns({ ok: false }) } }), 0, 1, 2).settle();
    expect([puts(system), slowCalls(system), returned(system)]).toEqual([[5, 4].map((pfn) => ({ pfn, pinned: true })), [[0, 1, 2]], [[77]]]);
    expect([counts(system, 4, 5, 6), system.heard('a.put').length, system.heard('b.put').length]).toEqual([[one, one, one], 1, 0]);
    expectOver(system);
  });

  test('that is read-only is not touched; a call to read may have it, without a question who shares it', () => {
    const readOnly = { ...bits, write: false };
    const [store, read] = [call(rig({ bits: readOnly, base: true }), 0).settle(), callToRead(rig({ bits: readOnly, base: true }), 0).settle()];
    expect([slowCalls(store), saidTo(store, 'a'), saidTo(store, 'page')]).toEqual([[[0]], [], []]);
    expect([returned(read), saidTo(read, 'page4: page.read')]).toEqual([[[4]], []]);
    for (const system of [store, read]) expectOver(system);
  });
});

describe('ptes of the tails of a folio', () => {
  const huge: number[] = [];

  test('are taken one by one; the references go to the head, the pages are those of the ptes', () => {
    const system = call(rig({ huge }), 1, 2).settle();
    const taken = (vpn: number, page: number): string[] => [
      ...[readPte(vpn), `page${page}: page.head`, 'page4: folio.try_get', `page${page}: page.head`, 'page4: folio.pin', readPte(vpn)],
    ];
    expect(walk(system)).toEqual([readPmd(1), ...taken(1, 5), ...taken(2, 6)]);
    expect([returned(system), counts(system, 4, 5, 6)]).toEqual([[[5, 6]], ['3/2', '0/0', '0/0']]);
    expectOver(system);
  });

  test('G9: a pte that has changed: the reference is put where it was taken', () => {
    const system = call(rig({ huge }), 2).stepTo('gup', 'ptep_get_lockless_again');
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 2 });
    system.settle();
    expect([puts(system), counts(system, 4, 6), slowCalls(system)]).toEqual([[{ pfn: 4, pinned: true }], ['1/0', '0/0'], [[2]]]);
    expectOver(system);
  });

  test('G8c: a tail that is a folio of its own meanwhile is taken as one', () => {
    const system = call(rig({ huge }), 2).stepTo('gup', 'page_folio_again');
    system.say('p', 'page4', { type: 'folio.split', refcount: 1 });
    system.settle();
    expect([puts(system), counts(system, 4, 6), returned(system)]).toEqual([[{ pfn: 4, pinned: false }], ['1/0', '2/1'], [[6]]]);
    expectOver(system);
  });

  test('a folio that nobody holds gives none', () => {
    const system = call(rig({ huge, others: { page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, nr: 4 } }) } }), 1).settle();
    expect([slowCalls(system), counts(system, 4, 5), puts(system)]).toEqual([[[1]], ['0/0', '0/0'], []]);
    expectOver(system);
  });

  // It asks the tail: page->mapping, and a record that stands there, are in the head.
  test('a pin to read takes one of a file', () => {
    const page4 = actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, nr: 4, mapping: 'file' } });
    const system = callToRead(rig({ huge, bits: { write: false }, others: { page4 } }), 1).settle();
    expect([returned(system), counts(system, 4)]).toEqual([[[5]], ['2/1']]);
  });
});

describe('the fork race', () => {
  const forking = (values: number[], pmd: Message): Actors => ({
    mm: answers({ 'seqcount.read': values.map((value) => ({ type: 'seqcount', value })), 'pmd.read': [pmd] }),
  });
  const leaf = (bits: Bits = {}): Message => ({ type: 'pmd', kind: 'huge', table: null, pte: presentPte(4, bits) });

  test('G14: pages of a leaf are unpinned one by one, the last one first; all references go back to the head', () => {
    const system = call(rig({ others: forking([6, 8], leaf()) }), 1, 2, 3).settle();
    expect([puts(system), counts(system, 4, 5, 6, 7)]).toEqual([[7, 6, 5].map((pfn) => ({ pfn, pinned: true })), ['1/0', '0/0', '0/0', '0/0']]);
    expect([slowCalls(system), returned(system)]).toEqual([[[1, 2, 3]], [[77]]]);
    expectOver(system);
  });

  test('G14: so are those of a devmap leaf', () => {
    const system = call(rig({ base: true, others: forking([6, 8], leaf({ devmap: true })) }), 0, 1).settle();
    expect([puts(system), counts(system, 4, 5), returned(system)]).toEqual([[5, 4].map((pfn) => ({ pfn, pinned: true })), ['1/0', '1/0'], [[77]]]);
    expectOver(system);
  });

  test('G14: without a fork they stay', () => {
    const system = call(rig({ others: forking([6, 6], leaf()) }), 1, 2, 3).settle();
    expect([returned(system), counts(system, 4), puts(system)]).toEqual([[[5, 6, 7]], ['4/3'], []]);
  });
});

describe('without one of its safeguards', () => {
  test('A3: the pmd of a leaf is not read again', () => {
    const system = call(rig({ gup: changed({ rechecksAfterGrab: () => false }) }), 0, 1).settle();
    expect([saidTo(system, 'mm: pmd'), returned(system), counts(system, 4)]).toEqual([[readPmd(0)], [[4, 5]], ['3/2']]);
    expectOver(system);
  });

  describe('D1: one reference for all pages of a leaf', () => {
    const gup = changed({ countsEveryPage: () => false });

    test('is what it takes', () => {
      const system = call(rig({ gup }), 1, 2, far, far + 1).settle();
      expect([saidTo(system, 'page4: folio'), returned(system)]).toEqual([['page4: folio.try_get', 'page4: folio.pin'], [[5, 6, 8, 9]]]);
      expect(counts(system, 4, 8)).toEqual(['2/1', '2/1']);
      expectOver(system);
    });

    test('is what it puts when the leaf has changed', () => {
      const system = call(rig({ gup }), 1, 2).stepTo('gup', 'pmdp_get_again');
      clear(system, 0).settle();
      expect([puts(system), counts(system, 4), slowCalls(system)]).toEqual([[{ pfn: 4, pinned: true }], ['1/0'], [[1, 2]]]);
      expectOver(system);
    });
  });

  describe('D5: a devmap leaf is taken at once', () => {
    const setup = { bits: { devmap: true }, gup: changed({ takesLeafWhole: () => true }) };

    test('of base pages the first one gets all references, the others none', () => {
      const system = call(rig({ ...setup, base: true }), 0, 1).settle();
      expect(walk(system)).toEqual([
        ...[readPmd(0), 'a: xa_load', 'a.tryget: call'],
        ...['page4: page.head', 'page4: folio.try_get {"refs":2}', 'page4: page.head', 'page4: folio.pin {"refs":2}', readPmd(0), 'a.put: call'],
      ]);
      expect([returned(system), counts(system, 4, 5)]).toEqual([[[4, 5]], ['3/2', '1/0']]);
      expectOver(system);
    });

    test('of a compound that is as good', () => {
      const system = call(rig(setup), 0, 1).settle();
      expect([returned(system), counts(system, 4)]).toEqual([[[4, 5]], ['3/2']]);
      expectOver(system);
    });

    test('when it has changed they are put at once', () => {
      const system = call(rig({ ...setup, base: true }), 0, 1).stepTo('gup', 'pmdp_get_again');
      clear(system, 0).settle();
      expect([puts(system), counts(system, 4, 5)]).toEqual([[{ pfn: 4, pinned: true, refs: 2 }], ['1/0', '1/0']]);
      expectOver(system);
    });

    // The guard does not ask whether it walks a leaf.
    test('a devmap pte is still one page', () => {
      const system = call(rig({ ...setup, huge: [], base: true }), 0, 1).settle();
      expect(saidTo(system, 'page4: folio.try_get')).toEqual(['page4: folio.try_get']);
      expect([returned(system), counts(system, 4, 5)]).toEqual([[[4, 5]], ['2/1', '2/1']]);
    });
  });

  describe('D6: what a tail counts is its own', () => {
    const gup = changed({ countsOnHead: () => false });
    /** A tail whose counter somebody uses. */
    const others = { page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, tail: { head: 4 } } }) };

    test('the head is looked up, and another is counted on: pte', () => {
      const system = call(rig({ gup, others, huge: [] }), 1).settle();
      expect(saidTo(system, 'page')).toEqual(['page5: page.head', 'page5: folio.try_get', 'page5: page.head', 'page5: folio.pin']);
      expect([returned(system), counts(system, 4, 5), puts(system)]).toEqual([[[5]], ['1/0', '2/1'], []]);
      expectOver(system);
    });

    test('the head itself is counted on as ever', () => {
      const system = call(rig({ gup, huge: [] }), 0).settle();
      expect([returned(system), counts(system, 4)]).toEqual([[[4]], ['2/1']]);
    });

    test('a tail whose counter nobody uses gives none', () => {
      const system = call(rig({ gup, huge: [] }), 2).settle();
      expect([slowCalls(system), counts(system, 4, 6)]).toEqual([[[2]], ['1/0', '0/0']]);
    });
  });

  describe('D4: the head is looked up once', () => {
    const gup = changed({ looksUpHeadAgain: () => false });

    test.each([[[0]], [[]]])('(leaves: %j)', (huge: number[]) => {
      const system = call(rig({ gup, huge, pin: false }), 1).settle();
      expect([saidTo(system, 'page'), returned(system)]).toEqual([['page5: page.head', 'page4: folio.try_get'], [[5]]]);
      expectOver(system);
    });

    test('a reference stays with the folio that the page was part of', () => {
      const system = call(rig({ gup, huge: [] }), 1).stepTo('gup', 'folio_ref_try_add');
      system.say('p', 'page4', { type: 'folio.split', refcount: 1 });
      system.settle();
      expect([returned(system), counts(system, 4, 5)]).toEqual([[[5]], ['2/1', '1/0']]);
    });
  });

  describe('D9: the pin count is raised after the last look', () => {
    const gup = changed({ pinsBeforeRecheck: () => false });

    test.each<[string, number[], string, string]>([
      ['at the pte', [], readPte(1), ''],
      ['at the pmd of a leaf', [0], readPmd(1), ' {"refs":2}'],
    ])('%s', (_, huge, look, refs) => {
      const system = call(rig({ gup, huge }), 1, ...(refs ? [2] : [])).stepTo('gup', 'folio_pin_late');
      expect(counts(system, 4)).toEqual([refs ? '3/0' : '2/0']);
      system.settle();
      const order = walk(system);
      expect(order.slice(-3)).toEqual(['page5: page.head', look, `page4: folio.pin${refs}`]);
      expect([returned(system), counts(system, 4)]).toEqual([[refs ? [5, 6] : [5]], [refs ? '3/2' : '2/1']]);
      expectOver(system);
    });

    test.each<[string, number[], string]>([
      ['the pte', [], 'ptep_get_lockless_again'],
      ['the leaf', [0], 'pmdp_get_again'],
    ])('%s has changed: there is no pin to take back', (_, huge, state) => {
      const system = call(rig({ gup, huge }), 1).stepTo('gup', state);
      system.say('p', 'mm', { type: huge.length > 0 ? 'pmd.get_and_clear' : 'pte.get_and_clear', vpn: 1 });
      system.settle();
      expect([puts(system), counts(system, 4), saidTo(system, 'page4: folio.pin')]).toEqual([[{ pfn: 4, pinned: false }], ['1/0'], []]);
      expectOver(system);
    });

    test('that goes for each page: the next one is not pinned before its own last look', () => {
      const system = stepAgainTo(call(rig({ gup, huge: [] }), 1, 2).stepTo('gup', 'ptep_get_lockless_again'), 'ptep_get_lockless_again');
      expect(counts(system, 4)).toEqual(['3/1']);
      system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 2 });
      system.settle();
      expect([puts(system), counts(system, 4), returned(system)]).toEqual([[{ pfn: 4, pinned: false }], ['2/1'], [[5, 77]]]);
      const both = call(rig({ gup, huge: [] }), 1, 2).settle();
      expect([returned(both), counts(both, 4)]).toEqual([[[5, 6]], ['3/2']]);
    });

    test('a reference without a pin is the same', () => {
      const system = call(rig({ gup, pin: false }), 0, 1).settle();
      expect([returned(system), counts(system, 4)]).toEqual([[[4, 5]], ['3/0']]);
      expectOver(system);
    });

    // nextOfLeaf goes on without the pin of the page before; only the last page of the leaf gets one.
    test('of a devmap leaf each page is pinned then, too', () => {
      const system = call(rig({ gup, bits: { devmap: true }, base: true }), 0, 1).settle();
      expect([returned(system), counts(system, 4, 5)]).toEqual([[[4, 5]], ['2/1', '2/1']]);
    });
  });
});

test('every transition that is there for leaves and compounds was taken', () => {
  expect(untaken(gupFast).filter(isOfLeaf)).toEqual([]);
});
