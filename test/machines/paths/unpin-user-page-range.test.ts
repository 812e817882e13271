import { folio } from '../../../machines/index.js';
import { unpinUserPageRange } from '../../../machines/paths/unpin-user-page-range.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  machine?: typeof unpinUserPageRange;
  pin?: boolean;
  dirty?: boolean;
}

/** Folios of four pages, from 0 and from 4 on, and page 8 for itself. */
const page = (pfn: number): Actors => {
  const head = pfn - (pfn % 4);
  const compound = pfn === 8 ? {} : pfn === head ? { nr: 4 } : { tail: { head } };
  return { [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 0, idle: 0, ...compound } }) };
};
const rig = ({ machine = unpinUserPageRange, pin = true, dirty }: Setup = {}): Rig =>
  new Rig({
    ...Object.assign({}, ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map(page)),
    unpin: actor(machine, { input: { pin, ...(dirty === undefined ? {} : { dirty }) } }),
    p: probe(),
  });
/** As gup took them: per folio, all at once. */
const taken = (setup: Setup, refs: Record<number, number>): Rig => {
  const system = rig(setup);
  for (const [head, count] of Object.entries(refs)) {
    system.say('p', `page${head}`, { type: 'folio.get', refs: count });
    if (setup.pin !== false) system.say('p', `page${head}`, { type: 'folio.pin', refs: count });
  }
  return system;
};
const call = (system: Rig, pages: number[]): Rig => {
  system.say('p', 'unpin', { type: 'call', pages });
  return system;
};
const counts = (system: Rig, ...pfns: number[]): number[][] =>
  pfns.map((pfn) => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).pincount]);
function expectAtRest(system: Rig): void {
  expect([system.at('unpin'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context('unpin')).toMatchObject({ caller: '', pages: [], head: -1, group: 0, refs: 0 });
}
const without = (guard: 'groupsByHead' | 'subtractsIndex' | 'putsAll'): typeof unpinUserPageRange =>
  unpinUserPageRange.provide({ guards: { [guard]: () => false } });

describe('row D0: the references of a folio go at once', () => {
  test('a range that begins in one folio and ends in another', () => {
    const system = call(taken({}, { 0: 2, 4: 3 }), [2, 3, 4, 5, 6]).settle();
    expect(system.said('unpin')).toEqual([
      'page2: page.head',
      'page0: folio.nr_pages',
      'page0: folio.unpin {"refs":2}',
      'page0: folio.put {"refs":2}',
      'page4: page.head',
      'page4: folio.nr_pages',
      'page4: folio.unpin {"refs":3}',
      'page4: folio.put {"refs":3}',
      'p: return',
    ]);
    expect(counts(system, 0, 4)).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expectAtRest(system);
  });

  test.each<[string, number[], number, number]>([
    ['all of one folio', [4, 5, 6, 7], 4, 4],
    ['some pages in the middle', [5, 6], 4, 2],
    ['its last page', [7], 4, 1],
    ['a page for itself', [8], 8, 1],
  ])('%s', (_, pages, head, refs) => {
    const system = call(taken({}, { [head]: refs + 1 }), pages).settle();
    expect(system.said('unpin')).toEqual([
      `page${pages[0]}: page.head`,
      `page${head}: folio.nr_pages`,
      `page${head}: folio.unpin {"refs":${refs}}`,
      `page${head}: folio.put {"refs":${refs}}`,
      'p: return',
    ]);
    expect(counts(system, head)).toEqual([[1, 1]]);
    expectAtRest(system);
  });

  test('FOLL_GET: no pin is taken back', () => {
    const system = call(taken({ pin: false }, { 0: 2, 4: 2 }), [2, 3, 4, 5]).settle();
    expect(system.said('unpin').filter((said) => said.includes('folio.unpin'))).toEqual([]);
    expect(counts(system, 0, 4)).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expectAtRest(system);
  });

  test('make_dirty: each folio once, before it is put', () => {
    const system = call(taken({ dirty: true }, { 0: 2, 4: 1 }), [2, 3, 4]).settle();
    expect(system.said('unpin').filter((said) => /dirty|put/.test(said))).toEqual([
      'page0: folio.mark_dirty',
      'page0: folio.put {"refs":2}',
      'page4: folio.mark_dirty',
      'page4: folio.put {"refs":1}',
    ]);
    expect([0, 3, 4].map((pfn) => system.context(`page${pfn}`).dirty)).toEqual([true, false, true]);
    expectAtRest(system);
  });

  test('one access a step', () => {
    const system = call(taken({ dirty: true }, { 0: 1 }), [3]);
    const states: string[] = [];
    for (; system.at('unpin') !== 'idle'; system.take('unpin', 'step')) states.push(system.at('unpin'));
    expect(states).toEqual(['page_folio', 'folio_nr_pages', 'folio_mark_dirty', 'gup_put_folio']);
  });

  test('who waits for the folio is woken by the last of its pages, not before', () => {
    const system = call(taken({}, { 0: 4 }), [0, 1]);
    system.say('p', 'page0', 'folio.wait_idle');
    system.settle();
    expect(system.heard('p').filter(({ type }) => type === 'page.idle')).toEqual([]);
    call(system, [2, 3]).settle();
    expect(system.heard('p').filter(({ type }) => type === 'page.idle')).toHaveLength(1);
    expectAtRest(system);
  });

  test('the head is looked up after a folio was split, too: each page is put by itself', () => {
    const system = taken({}, { 0: 1 });
    system.say('p', 'page0', { type: 'folio.split', refcount: 1 });
    system.say('p', 'page1', 'folio.pin');
    call(system, [0, 1]).settle();
    expect(counts(system, 0, 1)).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expectAtRest(system);
  });
});

describe('the safeguards', () => {
  test.each([true, false])('row D3: without the index more is put than was taken, and the rest of the range nowhere (pins: %s)', (pin) => {
    const system = call(taken({ machine: without('subtractsIndex'), pin }, { 0: 2, 4: 2 }), [2, 3, 4, 5]).stepTo('unpin', 'gup_put_folio');
    expect(system.context('unpin')).toMatchObject({ head: 0, group: 4 });
    system.take('unpin', 'step');
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });

  test('row D3: at the beginning of a folio nothing is amiss', () => {
    const system = call(taken({ machine: without('subtractsIndex') }, { 0: 4, 4: 1 }), [0, 1, 2, 3, 4]).settle();
    expect(counts(system, 0, 4)).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expectAtRest(system);
  });

  test('row D2: one reference a folio leaves the others', () => {
    const system = call(taken({ machine: without('putsAll') }, { 0: 2, 4: 3 }), [2, 3, 4, 5, 6]).settle();
    expect(counts(system, 0, 4)).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expectAtRest(system);
  });

  test('page by page: each head is looked up, and one reference dropped; that is as good', () => {
    const system = call(taken({ machine: without('groupsByHead'), dirty: true }, { 0: 1, 4: 2 }), [3, 4, 5]).settle();
    const one = (pfn: number, head: number): string[] => [
      `page${pfn}: page.head`,
      `page${head}: folio.mark_dirty`,
      `page${head}: folio.unpin {"refs":1}`,
      `page${head}: folio.put {"refs":1}`,
    ];
    expect(system.said('unpin')).toEqual([...one(3, 0), ...one(4, 4), ...one(5, 4), 'p: return']);
    expect(counts(system, 0, 4)).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expectAtRest(system);
  });

  test('row D1: what was taken once a folio is not there for each page', () => {
    const system = call(taken({ machine: without('groupsByHead') }, { 0: 1 }), [0, 1]).stepTo('unpin', 'gup_put_folio');
    system.take('unpin', 'step');
    expect([counts(system, 0), system.bugs()]).toEqual([[[0, 0]], []]);
    system.stepTo('unpin', 'gup_put_folio').take('unpin', 'step');
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });
});

test('every transition was taken', () => {
  expect(untaken(unpinUserPageRange)).toEqual([]);
});
