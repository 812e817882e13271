import type { SnapshotFrom } from 'xstate';
import { rwsem } from '../../../machines/index.js';
import { actor, defineSystem, explore, invariant } from '../../../src/index.js';
import { exclusion, heldBy } from '../exclusion.js';
import { type Line, type Probe, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ lock: actor(rwsem), p: probe(), q: probe(), r: probe(), s: probe() });
const locked = [{ type: 'locked' }];
const held = (system: Rig): unknown => {
  const { writer, readers } = system.context('lock');
  return { writer, readers };
};

test('readers share', () => {
  const system = rig();
  expect(system.say('q', 'lock', 'down_read')).toEqual(locked);
  expect(system.say('p', 'lock', 'down_read')).toEqual(locked);
  expect(held(system)).toEqual({ writer: null, readers: ['p', 'q'] });
});

test('a writer is alone', () => {
  const system = rig();
  expect(system.say('p', 'lock', 'down_write')).toEqual(locked);
  expect(system.say('q', 'lock', 'down_write')).toEqual([]);
  expect(system.say('r', 'lock', 'down_read')).toEqual([]);
  expect(held(system)).toEqual({ writer: 'p', readers: [] });
});

test('a writer waits until the last reader has gone', () => {
  const system = rig();
  system.say('p', 'lock', 'down_read');
  system.say('q', 'lock', 'down_read');
  system.say('r', 'lock', 'down_write');
  system.say('p', 'lock', 'up_read');
  expect(system.heard('r')).toEqual([]);
  system.say('q', 'lock', 'up_read');
  expect(system.heard('r')).toEqual(locked);
  expect(held(system)).toEqual({ writer: 'r', readers: [] });
});

test('a waiting writer holds back readers that come later', () => {
  const system = rig();
  system.say('p', 'lock', 'down_read');
  system.say('q', 'lock', 'down_write');
  expect(system.say('r', 'lock', 'down_read')).toEqual([]);
  system.say('p', 'lock', 'up_read');
  expect([system.heard('q'), system.heard('r')]).toEqual([locked, []]);
  system.say('q', 'lock', 'up_write');
  expect(system.heard('r')).toEqual(locked);
});

test('after a writer come all readers up to the next writer, together', () => {
  const system = new Rig({ lock: actor(rwsem), p: probe(), q: probe(), r: probe(), s: probe(), t: probe() });
  system.say('p', 'lock', 'down_write');
  for (const reader of ['r', 'q']) system.say(reader, 'lock', 'down_read');
  system.say('s', 'lock', 'down_write');
  system.say('t', 'lock', 'down_read');
  system.say('p', 'lock', 'up_write');
  expect(system.context('lock')).toEqual({
    writer: null,
    readers: ['q', 'r'],
    waiters: [
      { who: 's', write: true },
      { who: 't', write: false },
    ],
  });
  expect(['q', 'r', 's', 't'].map((name) => system.heard(name).length)).toEqual([1, 1, 0, 0]);
});

test('after a writer comes the next writer alone', () => {
  const system = rig();
  for (const writer of ['p', 'q', 'r']) system.say(writer, 'lock', 'down_write');
  system.say('p', 'lock', 'up_write');
  expect(system.context('lock')).toEqual({ writer: 'q', readers: [], waiters: [{ who: 'r', write: true }] });
  expect([system.heard('q'), system.heard('r')]).toEqual([locked, []]);
});

describe('a writer that downgrades', () => {
  test('reads: others may read with it, nobody may write', () => {
    const system = rig();
    system.say('p', 'lock', 'down_write');
    expect(system.say('p', 'lock', 'downgrade_write')).toEqual([]);
    expect(held(system)).toEqual({ writer: null, readers: ['p'] });
    expect([system.say('q', 'lock', 'down_read'), system.say('r', 'lock', 'down_write')]).toEqual([locked, []]);
    expect(held(system)).toEqual({ writer: null, readers: ['p', 'q'] });
  });

  test('is joined by all readers up to the next writer', () => {
    const system = rig();
    system.say('r', 'lock', 'down_write');
    for (const reader of ['q', 'p']) system.say(reader, 'lock', 'down_read');
    system.say('s', 'lock', 'down_write');
    system.say('r', 'lock', 'downgrade_write');
    expect(system.context('lock')).toEqual({ writer: null, readers: ['p', 'q', 'r'], waiters: [{ who: 's', write: true }] });
    expect(['p', 'q', 's'].map((name) => system.heard(name))).toEqual([locked, locked, []]);
  });

  test('is joined by all that wait where no writer does', () => {
    const system = rig();
    system.say('p', 'lock', 'down_write');
    system.say('q', 'lock', 'down_read');
    system.say('p', 'lock', 'downgrade_write');
    expect(system.context('lock')).toEqual({ writer: null, readers: ['p', 'q'], waiters: [] });
    expect(system.heard('q')).toEqual(locked);
  });

  test('lets no writer in, nor readers behind it, until it has released as a reader', () => {
    const system = rig();
    system.say('p', 'lock', 'down_write');
    system.say('q', 'lock', 'down_write');
    system.say('r', 'lock', 'down_read');
    system.say('p', 'lock', 'downgrade_write');
    expect([system.heard('q'), system.heard('r'), held(system)]).toEqual([[], [], { writer: null, readers: ['p'] }]);
    system.say('p', 'lock', 'up_read');
    expect([system.heard('q'), system.heard('r'), held(system)]).toEqual([locked, [], { writer: 'q', readers: [] }]);
  });

  test('writes no more: up_write is a bug', () => {
    const system = rig();
    for (const message of ['down_write', 'downgrade_write', 'up_write']) system.say('p', 'lock', message);
    expect(system.bugs()).toEqual(['BUG: semaphore released by a path that does not hold it']);
  });
});

test('when nobody waits it is free again', () => {
  const system = rig();
  system.say('p', 'lock', 'down_write');
  system.say('p', 'lock', 'up_write');
  system.say('q', 'lock', 'down_read');
  system.say('q', 'lock', 'up_read');
  expect(system.context('lock')).toEqual({ writer: null, readers: [], waiters: [] });
});

test.each([
  ['up_read', 'nobody holds', null],
  ['up_write', 'nobody holds', null],
  ['up_read', 'it writes', 'down_write'],
  ['up_write', 'it reads', 'down_read'],
  ['downgrade_write', 'nobody holds', null],
  ['downgrade_write', 'it reads', 'down_read'],
])('%s of a semaphore that %s is a bug', (release, _, before) => {
  const system = rig();
  if (before) system.say('p', 'lock', before);
  system.say('p', 'lock', release);
  expect(system.bugs()).toEqual(['BUG: semaphore released by a path that does not hold it']);
});

const lines = (kind: 'read' | 'write'): Line[] => [
  { to: 'lock', message: { type: `down_${kind}` }, until: 'locked' },
  { to: 'lock', message: { type: `up_${kind}` } },
];

test('in all interleavings of two readers and two writers who writes is alone, and everybody gets it', () => {
  const names = ['p', 'q', 'r', 's'];
  const shared = {
    ...exclusion(names),
    name: 'never shared',
    holds: (snapshots: Record<string, never>) => names.filter((name) => heldBy(snapshots[name]) === 'read').length < 2,
  };
  const system = defineSystem({
    id: 'rwsem',
    actors: {
      lock: actor(rwsem),
      p: probe(lines('read')),
      q: probe([...lines('read'), ...lines('write')]),
      r: probe(lines('write')),
      s: probe(lines('write')),
    },
    properties: [exclusion(names), shared],
  });
  const { exhausted, properties, ignoredMessages } = explore(system, { stop: () => false });
  expect(exhausted).toBe(true);
  expect(properties.map(({ name, violation }) => [name, violation === null])).toEqual([
    ['BUG', true],
    ['exclusion', true],
    // Readers do share: that they never do is wrong.
    ['never shared', false],
    ['deadlock', true],
  ]);
  expect(ignoredMessages).toEqual([]);
});

test('in all interleavings of a writer that downgrades with a reader and a writer who writes is alone, and everybody gets it', () => {
  const names = ['p', 'q', 'r'];
  type Snapshots = Record<string, SnapshotFrom<Probe>>;
  const writes = ({ p }: Snapshots): boolean => p?.value === 'speaking' && p.context.script[0]?.message.type === 'downgrade_write';
  const reads = ({ p, q }: Snapshots): boolean => heldBy(p) === 'read' && heldBy(q) === 'read';
  const system = defineSystem({
    id: 'rwsem',
    actors: {
      lock: actor(rwsem),
      p: probe([
        { to: 'lock', message: { type: 'down_write' }, until: 'locked' },
        { to: 'lock', message: { type: 'downgrade_write' } },
        { to: 'lock', message: { type: 'up_read' } },
      ]),
      q: probe(lines('read')),
      r: probe(lines('write')),
    },
    properties: [
      exclusion(names),
      invariant<Snapshots>('before', 'until it downgrades it is alone', {
        actors: names,
        when: writes,
        holds: ({ q, r }) => heldBy(q) === 'no' && heldBy(r) === 'no',
      }),
      invariant<Snapshots>('never shared', 'nobody reads with it', {
        actors: names,
        when: (snapshots) => heldBy(snapshots.p) === 'read',
        holds: (snapshots) => !reads(snapshots),
      }),
    ],
  });
  const { exhausted, properties, ignoredMessages } = explore(system, { stop: () => false });
  expect(exhausted).toBe(true);
  expect(properties.map(({ name, violation }) => [name, violation === null])).toEqual([
    ['BUG', true],
    ['exclusion', true],
    ['before', true],
    // The reader does join it: that it never does is wrong.
    ['never shared', false],
    ['deadlock', true],
  ]);
  expect(ignoredMessages).toEqual([]);
});

test('every transition was taken', () => {
  expect(untaken(rwsem)).toEqual([]);
});
