import { pageCache } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ mapping: actor(pageCache, { input: { blocks: { 0: 5, 1: null, 2: 0 }, mappers: 2 } }), p: probe() });
/** Page 4 is in slot 0; what is stored behind slots 0 and 1. */
const cache = (observer?: string): Rig =>
  new Rig({
    mapping: actor(pageCache, { input: { folios: { 0: 4 }, stored: { 0: 'a.v0', 1: 'b.v0' }, ...(observer ? { observer } : {}) } }),
    observer: answers(),
    p: probe(),
  });

test('a file is mapped until its last VMA is unlinked', () => {
  const system = rig();
  const state = (): unknown => system.say('p', 'mapping', 'mapping.mapped');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'mapped' }]);
  system.say('p', 'mapping', 'mapping.unlink');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'mapped' }]);
  system.say('p', 'mapping', 'mapping.unlink');
  expect(state()).toEqual([{ type: 'mapping.state', state: 'unmapped' }]);
});

test('an offset has a block, or is a hole', () => {
  const system = rig();
  const block = (index: number): unknown => system.say('p', 'mapping', { type: 'block.read', index });
  expect([0, 1, 2, 3].map(block)).toEqual([5, null, 0, null].map((pfn) => [{ type: 'block', pfn }]));
});

test('a block that was freed is not found again; the others are', () => {
  const system = rig();
  expect(system.say('p', 'mapping', { type: 'block.free', index: 0 })).toEqual([]);
  expect(system.say('p', 'mapping', { type: 'block.read', index: 0 })).toEqual([{ type: 'block', pfn: null }]);
  expect(system.context('mapping').blocks).toEqual({ 0: null, 1: null, 2: 0 });
});

test('without an input it is empty', () => {
  const system = new Rig({ mapping: actor(pageCache, { input: {} }), p: probe() });
  const told = ['mapping.mapped', 'block.read', 'slot.read', 'stored.read'].flatMap((type) => system.say('p', 'mapping', { type, index: 0 }));
  expect(told).toEqual([
    { type: 'mapping.state', state: 'unmapped' },
    { type: 'block', pfn: null },
    { type: 'slot', pfn: null },
    { type: 'stored', value: null },
  ]);
});

describe('a slot', () => {
  const slot = (system: Rig, index: number): unknown => system.say('p', 'mapping', { type: 'slot.read', index });
  const holds = (pfn: number | null): object[] => [{ type: 'slot', pfn }];
  const add = (system: Rig, index: number, pfn: number): unknown => system.say('p', 'mapping', { type: 'slot.add', index, pfn });

  test('holds a page, or none', () => {
    const system = cache();
    expect([slot(system, 0), slot(system, 1)]).toEqual([holds(4), holds(null)]);
  });

  test('that is empty is filled; one that is not stays as it is', () => {
    const system = cache();
    expect([add(system, 1, 0), slot(system, 1)]).toEqual([[{ type: 'slot.added', result: 'added' }], holds(0)]);
    expect([add(system, 1, 6), slot(system, 1)]).toEqual([[{ type: 'slot.added', result: 'exists' }], holds(0)]);
    expect(slot(system, 0)).toEqual(holds(4));
  });

  test('M4: gets another page in one go', () => {
    const system = cache();
    expect(system.say('p', 'mapping', { type: 'slot.replace', index: 0, pfn: 7 })).toEqual([]);
    expect(slot(system, 0)).toEqual(holds(7));
  });

  test('R6: is emptied, and can be filled again', () => {
    const system = cache();
    expect(system.say('p', 'mapping', { type: 'slot.delete', index: 0 })).toEqual([]);
    expect([slot(system, 0), add(system, 0, 8), slot(system, 0)]).toEqual([holds(null), [{ type: 'slot.added', result: 'added' }], holds(8)]);
  });

  test('an observer is told when it is filled or replaced, and by whom', () => {
    const system = cache('observer');
    add(system, 1, 5);
    add(system, 1, 6);
    system.say('p', 'mapping', { type: 'slot.replace', index: 0, pfn: 7 });
    system.say('p', 'mapping', { type: 'slot.delete', index: 0 });
    expect(system.heard('observer')).toEqual([
      { type: 'luf.slot_set', index: 1, pfn: 5, by: 'p' },
      { type: 'luf.slot_set', index: 0, pfn: 7, by: 'p' },
    ]);
  });

  test('without an observer nobody is told', () => {
    const system = cache();
    add(system, 1, 5);
    system.say('p', 'mapping', { type: 'slot.replace', index: 0, pfn: 7 });
    expect([system.heard('observer'), system.said('mapping')]).toEqual([[], ['p: slot.added {"result":"added"}']]);
  });
});

describe('the swap cache', () => {
  const add = (system: Rig, pfn: number): unknown => system.say('p', 'mapping', { type: 'swap.add', pfn });
  const find = (system: Rig, pfn: number): unknown => system.say('p', 'mapping', { type: 'swap.find', pfn });
  const slot = (index: number | null): object[] => [{ type: 'swap.slot', index }];
  const added = (index: number): object[] => [{ type: 'swap.added', index }];

  test('tells in which slot a page is, if it is in one; page 0 and slot 0 are like any other', () => {
    const system = new Rig({ mapping: actor(pageCache, { input: { folios: { 0: 4, 1: null, 2: 0 } } }), p: probe() });
    expect([4, 0, 5].map((pfn) => find(system, pfn))).toEqual([slot(0), slot(2), slot(null)]);
    expect(system.context('mapping').folios).toEqual({ 0: 4, 1: null, 2: 0 });
  });

  test('R3: a page gets a slot, which is then found', () => {
    const system = cache();
    expect([add(system, 5), find(system, 5), find(system, 4)]).toEqual([added(1), slot(1), slot(0)]);
    expect(system.context('mapping').folios).toEqual({ 0: 4, 1: 5 });
  });

  test('R3: one that is in a slot stays there', () => {
    const system = cache();
    expect([add(system, 4), add(system, 5), add(system, 5)]).toEqual([slot(0), added(1), slot(1)]);
    expect(system.context('mapping').folios).toEqual({ 0: 4, 1: 5 });
  });

  test('R3: a slot that was emptied is not used again, since entries may name it yet', () => {
    const system = cache();
    system.say('p', 'mapping', { type: 'slot.delete', index: 0 });
    expect([find(system, 4), add(system, 5), add(system, 4)]).toEqual([slot(null), added(1), added(2)]);
    expect(system.context('mapping').folios).toEqual({ 0: null, 1: 5, 2: 4 });
  });

  test('no observer is told: no slot gets other bytes', () => {
    const system = cache('observer');
    add(system, 5);
    expect(system.heard('observer')).toEqual([]);
  });
});

test('what is stored is read and written slot by slot, whatever is in the cache', () => {
  const system = cache();
  const stored = (index: number): unknown => system.say('p', 'mapping', { type: 'stored.read', index });
  expect(system.say('p', 'mapping', { type: 'stored.write', index: 1, value: 'b.v1' })).toEqual([]);
  expect([0, 1, 2].map(stored)).toEqual(['a.v0', 'b.v1', null].map((value) => [{ type: 'stored', value }]));
  expect(system.context('mapping').folios).toEqual({ 0: 4 });
});

describe('an error of a write', () => {
  const check = (system: Rig): unknown => system.say('p', 'mapping', 'mapping.check_error');
  const error = (of: boolean): object[] => [{ type: 'mapping.error', error: of }];

  test('is told to who asks first, and to nobody else', () => {
    const system = cache();
    expect(check(system)).toEqual(error(false));
    expect(system.say('p', 'mapping', 'mapping.set_error')).toEqual([]);
    expect([check(system), check(system)]).toEqual([error(true), error(false)]);
  });

  test('two errors are told as one; nothing else changes', () => {
    const system = cache();
    system.say('p', 'mapping', 'mapping.set_error');
    system.say('p', 'mapping', 'mapping.set_error');
    expect([check(system), check(system)]).toEqual([error(true), error(false)]);
    expect(system.context('mapping')).toMatchObject({ folios: { 0: 4 }, stored: { 0: 'a.v0', 1: 'b.v0' }, error: false });
  });
});

test('every transition was taken', () => {
  expect(untaken(pageCache)).toEqual([]);
});
