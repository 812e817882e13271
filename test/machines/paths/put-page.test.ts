import { folio, lufBatch, pageAllocator, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Input {
  putPagemap?: string;
  allocator?: string;
  lufBatch?: string;
  compounds?: boolean;
}

/** Two references and a pin on page 4. */
function rig(input: Input, logic = putPage): Rig {
  const system = new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: 2, idle: 0, zone: input.allocator ? 'normal' : 'device' } }),
    put_pagemap: returns({ ok: true }),
    allocator: actor(pageAllocator, { input: { free: [7] } }),
    batch: actor(lufBatch, { input: { ugen: 3 } }),
    put: actor(logic, { input }),
    p: probe(),
  });
  system.say('p', 'page4', 'folio.pin');
  return system;
}
const call = (system: Rig, pinned: boolean): Rig => {
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false, refs: 1 });
  system.say('p', 'put', { type: 'call', pfn: 4, pinned });
  system.settle();
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false, refs: 1 });
  return system;
};

test('put_page drops a reference', () => {
  const system = call(rig({}), false);
  expect(system.said('put')).toEqual(['page4: folio.put', 'p: return']);
  expect(system.context('page4')).toMatchObject({ refcount: 1, pincount: 1 });
});

test('unpin_user_page takes the pin back first', () => {
  const system = call(rig({}), true);
  expect(system.said('put')).toEqual(['page4: folio.unpin', 'page4: folio.put', 'p: return']);
  expect(system.context('page4')).toMatchObject({ refcount: 1, pincount: 0 });
});

test('up to 5.17 the last reference of a page, and no other, drops that of the pagemap', () => {
  const system = call(rig({ putPagemap: 'put_pagemap' }), false);
  expect(system.heard('put_pagemap')).toEqual([]);
  call(system, false);
  expect(system.said('put').slice(-3)).toEqual(['page4: folio.put', 'put_pagemap: call', 'p: return']);
  expect(system.heard('put_pagemap')).toHaveLength(1);
});

test('since 5.18 the last reference of a page drops nothing', () => {
  const system = call(call(rig({}), false), false);
  expect([system.context('page4').refcount, system.heard('put_pagemap')]).toEqual([0, []]);
});

describe('a page that goes to the allocator', () => {
  const freeList = (system: Rig): unknown[] =>
    system.context('allocator').free.map(({ pfns, lufKey }: { pfns: number[]; lufKey: number | null }) => [pfns, lufKey]);

  test('goes there when its last reference has gone, and owes no flush', () => {
    const system = call(rig({ allocator: 'allocator' }), false);
    expect([system.said('put'), freeList(system)]).toEqual([['page4: folio.put', 'p: return'], [[[7], null]]]);
    call(system, false);
    expect(system.said('put').slice(2)).toEqual(['page4: folio.put', 'allocator: free_page {"pfn":4,"lufKey":null}', 'p: return']);
    expect([system.at('page4'), freeList(system)]).toEqual([
      'free',
      [
        [[4], null],
        [[7], null],
      ],
    ]);
  });

  test('with LUF it owes all flushes that are put off by now', () => {
    const system = call(rig({ allocator: 'allocator', lufBatch: 'batch' }), false);
    expect(system.heard('batch')).toEqual([]);
    call(system, false);
    expect(system.said('put').slice(2)).toEqual(['page4: folio.put', 'batch: luf_batch.ugen', 'allocator: free_page {"pfn":4,"lufKey":3}', 'p: return']);
    expect([freeList(system)[0], system.at('put')]).toEqual([[[4], 3], 'idle']);
  });

  test('is free and on the list in one step', () => {
    const system = call(rig({ allocator: 'allocator', lufBatch: 'batch' }), false);
    system.say('p', 'put', { type: 'call', pfn: 4, pinned: false });
    expect([system.at('page4'), freeList(system)]).toEqual(['present', [[[7], null]]]);
    system.take('put', 'step');
    expect([system.at('page4'), freeList(system)[0]]).toEqual(['free', [[4], 3]]);
  });

  test('without an allocator goes nowhere, LUF or not', () => {
    const system = call(call(rig({ lufBatch: 'batch' }), false), false);
    expect([system.heard('batch'), freeList(system)]).toEqual([[], [[[7], null]]]);
  });
});

describe('of a folio of several pages', () => {
  /** Pages 4 to 7, with as many references and pins of the head as said. */
  function compound(input: Input, held: number): Rig {
    const zone = input.allocator ? 'normal' : 'device';
    const tails = [5, 6, 7].map((pfn) => [`page${pfn}`, actor(folio, { input: { pfn, refcount: 0, idle: 0, zone, tail: { head: 4 } } })]);
    const system = new Rig({
      page4: actor(folio, { input: { pfn: 4, refcount: held, idle: 0, zone, nr: 4 } }),
      ...Object.fromEntries(tails),
      put_pagemap: returns({ ok: true }),
      allocator: actor(pageAllocator, { input: { free: [] } }),
      batch: actor(lufBatch, { input: { ugen: 3 } }),
      put: actor(putPage, { input }),
      p: probe(),
    });
    system.say('p', 'page4', { type: 'folio.pin', refs: held });
    return system;
  }
  const put = (system: Rig, pfn: number, more: { pinned?: boolean; refs?: number } = {}): string[] => {
    const before = system.said('put').length;
    system.say('p', 'put', { type: 'call', pfn, pinned: false, ...more });
    system.settle();
    expect([system.context('put'), system.at('put')]).toEqual([expect.objectContaining({ caller: '', pfn: 0, pinned: false, refs: 1 }), 'idle']);
    return system.said('put').slice(before);
  };
  const counts = (system: Rig, pfn = 4): number[] => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).pincount];

  test('the head is looked up where there may be any, and gets what a tail is put', () => {
    const system = compound({ compounds: true }, 3);
    expect(put(system, 6)).toEqual(['page6: page.head', 'page4: folio.put', 'p: return']);
    expect(counts(system)).toEqual([2, 3]);
    expect(put(system, 6, { pinned: true })).toEqual(['page6: page.head', 'page4: folio.unpin', 'page4: folio.put', 'p: return']);
    expect([counts(system), counts(system, 6)]).toEqual([
      [1, 2],
      [0, 0],
    ]);
    expect(put(system, 4, { pinned: true })).toEqual(['page4: page.head', 'page4: folio.unpin', 'page4: folio.put', 'p: return']);
    expect(system.bugs()).toEqual([]);
  });

  test('it is looked up in a step of its own', () => {
    const system = compound({ compounds: true }, 3);
    system.say('p', 'put', { type: 'call', pfn: 6, pinned: false });
    expect([system.at('put'), system.heard('page6')]).toEqual(['page_folio', []]);
    system.take('put', 'step');
    expect([system.at('put'), counts(system)]).toEqual(['put_page', [3, 3]]);
  });

  test.each([true, false])('several references go at once, and are one by the next call (head looked up: %s)', (compounds) => {
    const system = compound({ compounds }, 4);
    const look = compounds ? ['page4: page.head'] : [];
    expect(put(system, 4, { pinned: true, refs: 3 })).toEqual([...look, 'page4: folio.unpin {"refs":3}', 'page4: folio.put {"refs":3}', 'p: return']);
    expect(counts(system)).toEqual([1, 1]);
    expect(put(system, 4)).toEqual([...look, 'page4: folio.put', 'p: return']);
    expect([counts(system), system.bugs()]).toEqual([[0, 1], []]);
  });

  test.each<[string, object, number[]]>([
    ['row D1: page by page of what was taken once', {}, [4, 5]],
    ['row D3: more of the folio than was taken', { refs: 2 }, [4]],
  ])('%s: below zero', (_, more, pfns) => {
    const system = compound({ compounds: true }, 1);
    for (const pfn of pfns) {
      system.settle();
      expect(system.bugs()).toEqual([]);
      system.say('p', 'put', { type: 'call', pfn, pinned: false, ...more });
    }
    system.stepTo('put', 'put_page').take('put', 'step');
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });

  test('where nobody looks up the head, a tail has nothing to put', () => {
    const system = compound({}, 3);
    system.say('p', 'put', { type: 'call', pfn: 6, pinned: false });
    expect([system.take('put', 'step').bugs(), system.heard('page6')]).toEqual([['BUG: page reference count goes below zero'], [{ type: 'folio.put' }]]);
  });

  test('up to 5.17 the last references, put at once, drop that of the pagemap', () => {
    const system = compound({ compounds: true, putPagemap: 'put_pagemap' }, 4);
    put(system, 5, { refs: 3 });
    expect(system.heard('put_pagemap')).toEqual([]);
    expect([put(system, 5).slice(-2), system.heard('put_pagemap')]).toEqual([['put_pagemap: call', 'p: return'], [{ type: 'call' }]]);
  });

  test.each<[string, Input, number | null]>([
    ['', {}, null],
    [', with LUF too', { lufBatch: 'batch' }, 3],
  ])('goes to the allocator with the last references, its tails with it%s', (_, input, lufKey) => {
    const system = compound({ compounds: true, allocator: 'allocator', ...input }, 4);
    expect(put(system, 7, { refs: 4 }).slice(-2)).toEqual([`allocator: free_page {"pfn":4,"lufKey":${lufKey}}`, 'p: return']);
    expect([4, 5, 6, 7].map((pfn) => system.at(`page${pfn}`))).toEqual(Array(4).fill('free'));
  });
});

test('A12: a hook may drop the reference of the pagemap with every put', () => {
  const system = call(rig({ putPagemap: 'put_pagemap' }, putPage.provide({ guards: { dropsPagemap: () => true } })), true);
  expect(system.heard('put_pagemap')).toHaveLength(1);
});

test('every transition was taken', () => {
  expect(untaken(putPage)).toEqual([]);
});
