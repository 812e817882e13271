import type { SnapshotFrom } from 'xstate';
import { drains, folio, type StoreOrdering, storeBuffer } from '../../../machines/index.js';
import { actor, defineSystem, explore, leadsTo } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (ordering: StoreOrdering, size?: number): Rig =>
  new Rig({
    x: answers(),
    y: answers(),
    z: answers(),
    buffer: actor(storeBuffer, { input: { ordering, ...(size === undefined ? {} : { size }) }, choices: drains(4) }),
    p: probe(),
    q: probe(),
  });
const write = (value: number): Message => ({ type: 'cell.write', value });
const say = (system: Rig, message: Message | string): Message[] => system.say('p', 'buffer', message);
const store = (system: Rig, location: string, value: number): Rig => {
  expect(say(system, { type: 'store', location, to: location, message: write(value) })).toEqual([]);
  return system;
};
/** Stores one after the other, and barriers: `x1 y2 | x3`. */
const stores = (system: Rig, text: string): Rig => {
  for (const word of text.split(' ')) {
    if (word === '|') expect(say(system, 'store.barrier')).toEqual([]);
    else store(system, word.charAt(0), Number(word.slice(1)));
  }
  return system;
};
const drain = (system: Rig, entry: number): Rig => system.take('buffer', { type: 'drain', entry });
const load = (system: Rig, location: string): Message[] => say(system, { type: 'load', location });
const fence = (system: Rig): Message[] => say(system, 'fence');
/** What is in it, in the words of {@link stores}. */
const kept = (system: Rig): string =>
  (system.context('buffer').entries as ('barrier' | { location: string; message: Message })[])
    .map((entry) => (entry === 'barrier' ? '|' : `${entry.location}${entry.message.value}`))
    .join(' ');
/** Which entries can leave. */
const leaving = (system: Rig): number[] => [0, 1, 2, 3].filter((entry) => system.can('buffer', { type: 'drain', entry }));
const delivered = (system: Rig): string[] => system.said('buffer').filter((said) => said.includes('cell.write'));
const memory = [{ type: 'load.memory' }];
const fenced = [{ type: 'fenced' }];
const forwarded = (value: number): Message[] => [{ type: 'load.forwarded', message: write(value) }];

describe('sc: nothing is buffered', () => {
  test('a store is in memory at once', () => {
    const system = stores(rig('sc'), 'x1 y2');
    expect(delivered(system)).toEqual(['x: cell.write {"value":1}', 'y: cell.write {"value":2}']);
    expect([kept(system), leaving(system), load(system, 'x'), fence(system)]).toEqual(['', [], memory, fenced]);
  });

  test('a barrier has nothing to keep apart', () => {
    expect(kept(stores(rig('sc'), 'x1 | y2'))).toBe('');
  });
});

describe('tso: first in, first out', () => {
  test('a store waits until it leaves, and is told to whom it is for, as it came', () => {
    const system = store(rig('tso'), 'x', 1);
    expect([system.heard('x'), kept(system), leaving(system)]).toEqual([[], 'x1', [0]]);
    drain(system, 0);
    expect([system.heard('x'), kept(system), leaving(system)]).toEqual([[write(1)], '', []]);
  });

  test('only the oldest can leave, whatever its location', () => {
    const system = stores(rig('tso', 3), 'x1 y2 x3');
    for (const left of ['y2 x3', 'x3', '']) {
      expect(leaving(system)).toEqual([0]);
      expect(kept(drain(system, 0))).toBe(left);
    }
    expect(delivered(system)).toEqual(['x: cell.write {"value":1}', 'y: cell.write {"value":2}', 'x: cell.write {"value":3}']);
  });

  test('a barrier takes no place', () => {
    const system = stores(rig('tso'), 'x1 | y2');
    expect([kept(system), delivered(system)]).toEqual(['x1 y2', []]);
  });

  test.each([
    [undefined, 'x1 y2', 'y2 z3'],
    [1, 'x1', 'z3'],
    [3, 'x1 y2 y4', 'y2 y4 z3'],
  ])('where it is full the oldest store makes room (size: %s)', (size, before, after) => {
    const system = stores(rig('tso', size), before);
    expect(delivered(system)).toEqual([]);
    store(system, 'z', 3);
    expect([kept(system), delivered(system)]).toEqual([after, ['x: cell.write {"value":1}']]);
  });
});

describe('weak: stores pass each other', () => {
  test('to different locations', () => {
    const system = stores(rig('weak'), 'x1 y2');
    expect(leaving(system)).toEqual([0, 1]);
    drain(system, 1);
    expect([kept(system), leaving(system), delivered(system)]).toEqual(['x1', [0], ['y: cell.write {"value":2}']]);
  });

  test('not to the same location', () => {
    const system = stores(rig('weak', 4), 'x1 x2 y3 y4');
    expect(leaving(system)).toEqual([0, 2]);
    expect([kept(drain(system, 2)), leaving(system)]).toEqual(['x1 x2 y4', [0, 2]]);
    expect([kept(drain(system, 0)), leaving(system)]).toEqual(['x2 y4', [0, 1]]);
  });

  test('not across a barrier, until all that came before it has left', () => {
    const system = stores(rig('weak', 4), 'x1 y2 | z3 x4');
    expect([kept(system), leaving(system)]).toEqual(['x1 y2 | z3 x4', [0, 1]]);
    expect([kept(drain(system, 1)), leaving(system)]).toEqual(['x1 | z3 x4', [0]]);
    expect([kept(drain(system, 0)), leaving(system)]).toEqual(['z3 x4', [0, 1]]);
  });

  test('a barrier that nothing is before, or that follows another, is none', () => {
    expect(kept(stores(rig('weak'), '| | x1 | | y2'))).toBe('x1 | y2');
  });

  test('a barrier does not count as a store; where it is full the oldest makes room, and a barrier behind it goes with it', () => {
    const system = stores(rig('weak'), 'x1 | y2 |');
    expect([kept(system), delivered(system)]).toEqual(['x1 | y2 |', []]);
    store(system, 'z', 3);
    expect([kept(system), leaving(system), delivered(system)]).toEqual(['y2 | z3', [0], ['x: cell.write {"value":1}']]);
  });
});

describe.each<StoreOrdering>(['tso', 'weak'])('%s', (ordering) => {
  test('a load finds the newest store to its location; it stays where it is', () => {
    const system = stores(rig(ordering, 3), 'x1 y2 x3');
    expect([load(system, 'x'), load(system, 'y'), load(system, 'z')]).toEqual([forwarded(3), forwarded(2), memory]);
    expect([kept(system), system.heard('x')]).toEqual(['x1 y2 x3', []]);
  });

  test('what has left is loaded from memory', () => {
    const system = drain(stores(rig(ordering), 'x1 y2'), 0);
    expect([load(system, 'x'), load(system, 'y')]).toEqual([memory, forwarded(2)]);
  });

  test('a fence empties it in the order in which stores came, then answers', () => {
    const system = stores(rig(ordering, 4), 'x1 y2 | z3 x4');
    expect(fence(system)).toEqual(fenced);
    expect(system.said('buffer')).toEqual([
      'x: cell.write {"value":1}',
      'y: cell.write {"value":2}',
      'z: cell.write {"value":3}',
      'x: cell.write {"value":4}',
      'p: fenced',
    ]);
    expect([kept(system), leaving(system)]).toEqual(['', []]);
  });

  test('an empty one is fenced at once', () => {
    const system = rig(ordering);
    expect([fence(system), system.said('buffer')]).toEqual([fenced, ['p: fenced']]);
  });

  test('it answers whoever asks', () => {
    const system = store(rig(ordering), 'x', 1);
    expect(system.say('q', 'buffer', { type: 'load', location: 'x' })).toEqual(forwarded(1));
    expect([system.say('q', 'buffer', 'fence'), system.heard('p')]).toEqual([fenced, []]);
  });

  test('a store to memory is signed by the buffer; the answer of a page goes no further', () => {
    const system = new Rig({
      page4: actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, zone: 'normal' } }),
      buffer: actor(storeBuffer, { input: { ordering }, choices: drains(2) }),
      p: probe(),
    });
    const message = { type: 'memory.access', mm: 'mm', vpn: 0, write: true, user: 'p' };
    say(system, { type: 'store', location: 'page4', to: 'page4', message });
    expect(system.context('page4').written).toBe(false);
    drain(system, 0);
    expect(system.context('page4').written).toBe(true);
    expect(system.said('buffer')).toEqual([`page4: memory.access {"mm":"mm","vpn":0,"write":true,"user":"p"}`]);
    expect(system.heard('buffer').slice(1)).toEqual([{ type: 'memory.value', user: 'p', vpn: 0, pfn: 4, write: true, value: null }]);
    expect([kept(system), system.heard('p')]).toEqual(['', []]);
  });
});

test('there is a choice for each place; those of an empty place are not possible', () => {
  expect(drains(2)).toEqual([
    { type: 'drain', entry: 0 },
    { type: 'drain', entry: 1 },
  ]);
  expect(drains(0)).toEqual([]);
  expect(leaving(store(rig('weak'), 'x', 1))).toEqual([0]);
});

test('a store does not stay for ever: to leave is fair', () => {
  const line = { to: 'buffer', message: { type: 'store', location: 'x', to: 'x', message: write(1) } };
  const system = defineSystem({
    id: 'store',
    actors: { x: answers(), buffer: actor(storeBuffer, { input: { ordering: 'tso' }, choices: drains(2) }), p: probe([line, line]) },
    properties: [
      leadsTo<{ buffer: SnapshotFrom<typeof storeBuffer> }>('drained', 'what is in the buffer leaves it', {
        actors: ['buffer'],
        when: ({ buffer }) => buffer.context.entries.length > 0,
        reach: ({ buffer }) => buffer.context.entries.length === 0,
      }),
    ],
  });
  const { properties, exhausted } = explore(system);
  expect([exhausted, properties.filter(({ violation }) => violation !== null)]).toEqual([true, []]);
});

test('every transition was taken', () => {
  expect(untaken(storeBuffer)).toEqual([]);
});
