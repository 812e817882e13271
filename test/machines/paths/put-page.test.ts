import { folio, lufBatch, pageAllocator, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Input {
  putPagemap?: string;
  allocator?: string;
  lufBatch?: string;
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
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false });
  system.say('p', 'put', { type: 'call', pfn: 4, pinned });
  system.settle();
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false });
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

test('A12: a hook may drop the reference of the pagemap with every put', () => {
  const system = call(rig({ putPagemap: 'put_pagemap' }, putPage.provide({ guards: { dropsPagemap: () => true } })), true);
  expect(system.heard('put_pagemap')).toHaveLength(1);
});

test('every transition was taken', () => {
  expect(untaken(putPage)).toEqual([]);
});
