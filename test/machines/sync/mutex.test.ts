import { mutex } from '../../../machines/index.js';
import { actor, defineSystem, explore } from '../../../src/index.js';
import { exclusion } from '../exclusion.js';
import { type Line, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ lock: actor(mutex), p: probe(), q: probe(), r: probe() });
const locked = [{ type: 'locked' }];
const result = (result: 'locked' | 'busy'): unknown => [{ type: 'trylock.result', result }];
const free = { owner: null, waiters: [] };

test('a mutex that nobody has is granted at once, again and again', () => {
  const system = rig();
  for (const who of ['p', 'q', 'p']) {
    expect([system.say(who, 'lock', 'lock'), system.context('lock')]).toEqual([locked, { owner: who, waiters: [] }]);
    system.say(who, 'lock', 'unlock');
    expect([system.at('lock'), system.context('lock')]).toEqual(['unlocked', free]);
  }
});

test('who sleeps is served in the order of arrival', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect([system.say('r', 'lock', 'lock'), system.say('q', 'lock', 'lock')]).toEqual([[], []]);
  system.say('p', 'lock', 'unlock');
  expect([system.heard('r'), system.heard('q'), system.context('lock')]).toEqual([locked, [], { owner: 'r', waiters: ['q'] }]);
  system.say('r', 'lock', 'unlock');
  system.say('q', 'lock', 'unlock');
  expect([system.at('lock'), system.bugs()]).toEqual(['unlocked', []]);
});

test('who may not sleep gets it, or goes without', () => {
  const system = rig();
  expect([system.say('p', 'lock', 'trylock'), system.say('q', 'lock', 'trylock')]).toEqual([result('locked'), result('busy')]);
  expect(system.context('lock')).toEqual({ owner: 'p', waiters: [] });
});

test.each([
  ['nobody has', []],
  ['another has', ['q']],
  ['it only waits for', ['q', 'p']],
])('to unlock a mutex that %s is a bug', (_, askers) => {
  const system = rig();
  for (const asker of askers) system.say(asker, 'lock', 'lock');
  system.say('p', 'lock', 'unlock');
  expect(system.bugs()).toEqual(['BUG: mutex unlocked by a path that has not locked it']);
});

test('in all interleavings of three probes one at most has it, and each gets it', () => {
  const script: Line[] = [
    { to: 'lock', message: { type: 'lock' }, until: 'locked' },
    { to: 'lock', message: { type: 'unlock' } },
  ];
  const probes = ['p', 'q', 'r'];
  const system = defineSystem({
    id: 'mutex',
    actors: { lock: actor(mutex), ...Object.fromEntries(probes.map((name) => [name, probe(script)])) },
    properties: [exclusion(probes)],
  });
  const { exhausted, properties, ignoredMessages } = explore(system);
  expect([exhausted, properties.map(({ name, violation }) => [name, violation]), ignoredMessages]).toEqual([
    true,
    [
      ['BUG', null],
      ['exclusion', null],
      ['deadlock', null],
    ],
    [],
  ]);
});

test('every transition was taken', () => {
  expect(untaken(mutex)).toEqual([]);
});
