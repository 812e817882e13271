import { spinlock } from '../../../machines/index.js';
import { actor, defineSystem, explore } from '../../../src/index.js';
import { exclusion } from '../exclusion.js';
import { type Line, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ lock: actor(spinlock), p: probe(), q: probe(), r: probe() });
const locked = [{ type: 'locked' }];

test('a free lock is granted at once', () => {
  const system = rig();
  expect(system.say('p', 'lock', 'lock')).toEqual(locked);
  expect(system.context('lock')).toEqual({ owner: 'p', waiters: [] });
});

test('a lock that nobody waits for is free after unlock', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect(system.say('p', 'lock', 'unlock')).toEqual([]);
  expect(system.context('lock')).toEqual({ owner: null, waiters: [] });
  expect(system.say('q', 'lock', 'lock')).toEqual(locked);
});

test('who waits is served in the order of arrival', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect(system.say('r', 'lock', 'lock')).toEqual([]);
  expect(system.say('q', 'lock', 'lock')).toEqual([]);
  expect(system.heard('r')).toEqual([]);
  system.say('p', 'lock', 'unlock');
  expect([system.heard('r'), system.heard('q')]).toEqual([locked, []]);
  system.say('r', 'lock', 'unlock');
  expect(system.heard('q')).toEqual(locked);
  expect(system.context('lock')).toEqual({ owner: 'q', waiters: [] });
});

test('who asks twice waits for itself', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect(system.say('p', 'lock', 'lock')).toEqual([]);
});

test.each([
  ['nobody holds', []],
  ['another holds', ['q']],
  ['it only waits for', ['q', 'p']],
])('to release a lock that %s is a bug', (_, askers) => {
  const system = rig();
  for (const asker of askers) system.say(asker, 'lock', 'lock');
  system.say('p', 'lock', 'unlock');
  expect(system.bugs()).toEqual(['BUG: spin lock released by a path that does not hold it']);
});

test('in all interleavings of three probes one at most holds the lock, and each gets it', () => {
  const script: Line[] = [
    { to: 'lock', message: { type: 'lock' }, until: 'locked' },
    { to: 'lock', message: { type: 'unlock' } },
  ];
  const system = defineSystem({
    id: 'spinlock',
    actors: { lock: actor(spinlock), p: probe(script), q: probe([...script, ...script]), r: probe(script) },
    properties: [exclusion(['p', 'q', 'r'])],
  });
  const { exhausted, properties, ignoredMessages } = explore(system);
  expect(exhausted).toBe(true);
  expect(properties.map(({ name, violation }) => [name, violation])).toEqual([
    ['BUG', null],
    ['exclusion', null],
    ['deadlock', null],
  ]);
  expect(ignoredMessages).toEqual([]);
});

test('every transition was taken', () => {
  expect(untaken(spinlock)).toEqual([]);
});
