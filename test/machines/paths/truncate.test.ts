import { folio, pageCache, rwsem, truncate } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  refcount?: number;
  mappers?: number;
  resetsOrder?: boolean;
  logic?: typeof truncate;
}
const rig = ({ refcount = 0, mappers = 1, resetsOrder, logic = truncate }: Setup = {}): Rig =>
  new Rig({
    mapping: actor(pageCache, { input: { blocks: { 2: 4, 3: 5 }, mappers } }),
    lock: actor(rwsem),
    page4: actor(folio, { input: { pfn: 4, refcount, idle: 0, ...(resetsOrder ? { nr: 2 } : {}) } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0, tail: { head: 4 } } }),
    zap: returns(),
    truncate: actor(logic, { input: { mapping: 'mapping', invalidateLock: 'lock', zap: 'zap', ...(resetsOrder === undefined ? {} : { resetsOrder }) } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'truncate', { type: 'call', index: 2, pfn: 4, vpns: [7, 8] });
  return system;
};
const blocks = (system: Rig): unknown => system.context('mapping').blocks;
const round = ['lock: down_write', 'zap: call {"vpns":[7,8]}', 'page4: page.read'];
const end = ['mapping: block.free {"index":2}', 'lock: up_write', 'p: return'];
const skipsUnmapped = truncate.provide({ guards: { scansUnmapped: () => false } });

test('an idle page: unmap, look, and the block goes, while faults are kept away', () => {
  const system = call(rig()).settle();
  expect(system.said('truncate')).toEqual([...round, ...end]);
  expect(blocks(system)).toEqual({ 2: null, 3: 5 });
  expect(system.context('lock').writer).toBeNull();
  expect(system.context('truncate')).toMatchObject({ caller: '', index: -1, pfn: -1, vpns: [] });
});

test('a busy page is waited for with the lock dropped; then everything from the start', () => {
  const system = call(rig({ refcount: 1 })).settle();
  expect([system.at('truncate'), system.can('truncate', 'step'), system.context('lock').writer]).toEqual(['sleeping', false, null]);
  expect(blocks(system)).toEqual({ 2: 4, 3: 5 });
  system.say('p', 'page4', 'folio.put');
  system.settle();
  expect(system.said('truncate')).toEqual([...round, 'lock: up_write', 'page4: folio.wait_idle', ...round, ...end]);
});

test('one that is busy again by then is waited for again', () => {
  const system = call(rig({ refcount: 1 })).settle();
  system.say('p', 'page4', 'folio.put');
  system.say('p', 'page4', 'folio.get');
  system.settle();
  expect([system.at('truncate'), blocks(system)]).toEqual(['sleeping', { 2: 4, 3: 5 }]);
  system.say('p', 'page4', 'folio.put');
  system.settle();
  expect(system.heard('zap').filter(({ type }) => type === 'call')).toHaveLength(3);
  expect(blocks(system)).toEqual({ 2: null, 3: 5 });
});

test('one that became idle before it could sleep does not keep it asleep', () => {
  const system = call(rig({ refcount: 1 })).stepTo('truncate', 'wait_var_event');
  system.say('p', 'page4', 'folio.put');
  expect(blocks(system.settle())).toEqual({ 2: null, 3: 5 });
});

test('it waits for a fault that is under way', () => {
  const system = rig();
  system.say('p', 'lock', 'down_read');
  call(system).settle();
  expect([system.at('truncate'), system.heard('zap')]).toEqual(['wait_for_invalidate_lock', []]);
  system.say('p', 'lock', 'up_read');
  expect(blocks(system.settle())).toEqual({ 2: null, 3: 5 });
});

test.each([0, 1])('it looks for busy pages whether the file is mapped or not (VMAs: %i)', (mappers) => {
  expect(
    call(rig({ refcount: 1, mappers }))
      .settle()
      .at('truncate'),
  ).toBe('sleeping');
});

test('A10: with the shortcut a file that is not mapped is not looked at; one that is mapped is', () => {
  const unmapped = call(rig({ refcount: 1, mappers: 0, logic: skipsUnmapped })).settle();
  expect(unmapped.said('truncate')).toEqual(['lock: down_write', 'mapping: mapping.mapped', ...end]);
  expect(
    call(rig({ refcount: 1, logic: skipsUnmapped }))
      .settle()
      .at('truncate'),
  ).toBe('sleeping');
});

describe('a folio of several pages', () => {
  const split = 'page4: folio.split {"refcount":0}';
  const looksNowhere = truncate.provide({ guards: { waitsForIdle: () => false } });

  test('is taken apart when it is idle, before the block goes', () => {
    const system = call(rig({ resetsOrder: true })).settle();
    expect(system.said('truncate')).toEqual([...round, split, ...end]);
    expect([system.context('page4'), system.context('page5')]).toMatchObject([
      { refcount: 0, nr: 1 },
      { refcount: 0, tail: null },
    ]);
  });

  test('that is pinned stays one until the last pin is gone', () => {
    const system = call(rig({ refcount: 2, resetsOrder: true })).settle();
    system.say('p', 'page4', 'folio.put');
    system.settle();
    expect([system.at('truncate'), system.context('page4').nr, system.context('page5').tail]).toEqual(['sleeping', 2, { head: 4 }]);
    system.say('p', 'page4', 'folio.put');
    system.settle();
    expect(system.said('truncate').slice(-5)).toEqual(['page4: page.read', split, ...end]);
  });

  test('is left whole where nobody takes it apart', () => {
    expect(
      call(rig({ resetsOrder: false }))
        .settle()
        .said('truncate'),
    ).toEqual([...round, ...end]);
  });

  test('row D11: without a look at the references it is taken apart under a pin', () => {
    const system = call(rig({ refcount: 2, resetsOrder: true, logic: looksNowhere })).settle();
    expect(system.said('truncate')).toEqual(['lock: down_write', 'zap: call {"vpns":[7,8]}', split, ...end]);
    expect([system.context('page4').refcount, system.say('p', 'page5', 'page.head')]).toEqual([2, [{ type: 'page.head', head: 5 }]]);
    system.say('p', 'page4', 'folio.put');
    system.say('p', 'page5', 'folio.put');
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });

  test('row D11: nor does a block wait for a page', () => {
    expect(blocks(call(rig({ refcount: 1, logic: looksNowhere })).settle())).toEqual({ 2: null, 3: 5 });
  });

  test('A10: what is not mapped is taken apart, too', () => {
    const system = call(rig({ refcount: 1, mappers: 0, resetsOrder: true, logic: skipsUnmapped })).settle();
    expect(system.said('truncate')).toEqual(['lock: down_write', 'mapping: mapping.mapped', split, ...end]);
  });
});

test('every transition was taken', () => {
  expect(untaken(truncate)).toEqual([]);
});
