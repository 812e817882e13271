import { folioLock } from '../../../machines/index.js';
import { actor, defineSystem, explore } from '../../../src/index.js';
import { exclusion } from '../exclusion.js';
import { type Line, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ lock: actor(folioLock), p: probe(), q: probe(), r: probe() });
const locked = [{ type: 'locked' }];
const result = (result: 'locked' | 'busy'): unknown => [{ type: 'trylock.result', result }];
const free = { owner: null, waiters: [] };

test('a folio that nobody has locked is granted at once', () => {
  const system = rig();
  expect(system.say('p', 'lock', 'lock')).toEqual(locked);
  expect([system.at('lock'), system.context('lock')]).toEqual(['locked', { owner: 'p', waiters: [] }]);
});

test('it is free after unlock, again and again', () => {
  const system = rig();
  for (const probe of ['p', 'q', 'p']) {
    expect(system.say(probe, 'lock', 'lock')).toEqual(locked);
    expect(system.say(probe, 'lock', 'unlock')).toEqual([]);
    expect([system.at('lock'), system.context('lock'), system.bugs()]).toEqual(['unlocked', free, []]);
  }
});

test('who waits is served in the order of arrival', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect([system.say('r', 'lock', 'lock'), system.say('q', 'lock', 'lock')]).toEqual([[], []]);
  expect(system.context('lock')).toEqual({ owner: 'p', waiters: ['r', 'q'] });
  system.say('p', 'lock', 'unlock');
  expect([system.heard('r'), system.heard('q'), system.context('lock')]).toEqual([locked, [], { owner: 'r', waiters: ['q'] }]);
  system.say('r', 'lock', 'unlock');
  expect([system.heard('r'), system.heard('q'), system.context('lock')]).toEqual([locked, locked, { owner: 'q', waiters: [] }]);
  system.say('q', 'lock', 'unlock');
  expect([system.at('lock'), system.context('lock'), system.bugs()]).toEqual(['unlocked', free, []]);
});

test('who asks twice waits for itself', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  expect(system.say('p', 'lock', 'lock')).toEqual([]);
  expect(system.context('lock')).toEqual({ owner: 'p', waiters: ['p'] });
});

describe('R1: folio_trylock', () => {
  test('takes a folio that is free', () => {
    const system = rig();
    expect(system.say('p', 'lock', 'trylock')).toEqual(result('locked'));
    expect([system.at('lock'), system.context('lock')]).toEqual(['locked', { owner: 'p', waiters: [] }]);
    system.say('p', 'lock', 'unlock');
    expect(system.context('lock')).toEqual(free);
  });

  test.each(['lock', 'trylock'])('goes without where another has it (by %s), and does not wait', (how) => {
    const system = rig();
    system.say('p', 'lock', how);
    expect(system.say('q', 'lock', 'trylock')).toEqual(result('busy'));
    expect(system.context('lock')).toEqual({ owner: 'p', waiters: [] });
    system.say('p', 'lock', 'unlock');
    expect([system.heard('q'), system.context('lock')]).toEqual([result('busy'), free]);
  });

  test('goes without where it has it itself', () => {
    const system = rig();
    system.say('p', 'lock', 'lock');
    expect(system.say('p', 'lock', 'trylock')).toEqual(result('busy'));
    expect(system.context('lock')).toEqual({ owner: 'p', waiters: [] });
  });

  test('does not get it before those who wait', () => {
    const system = rig();
    system.say('p', 'lock', 'trylock');
    system.say('q', 'lock', 'lock');
    system.say('p', 'lock', 'unlock');
    expect(system.heard('q')).toEqual(locked);
    expect(system.say('r', 'lock', 'trylock')).toEqual(result('busy'));
    expect(system.context('lock')).toEqual({ owner: 'q', waiters: [] });
  });
});

test.each([
  ['nobody has locked', []],
  ['another has locked', ['q']],
  ['it only waits for', ['q', 'p']],
])('to unlock a folio that %s is a bug', (_, askers) => {
  const system = rig();
  for (const asker of askers) system.say(asker, 'lock', 'lock');
  expect(system.say('p', 'lock', 'unlock')).toEqual([]);
  expect(system.bugs()).toEqual(['BUG: folio unlocked by a path that has not locked it']);
});

test('to unlock it after a trylock that failed is a bug', () => {
  const system = rig();
  system.say('q', 'lock', 'lock');
  for (const message of ['trylock', 'unlock']) system.say('p', 'lock', message);
  expect(system.bugs()).toEqual(['BUG: folio unlocked by a path that has not locked it']);
});

describe('a path that returns a folio locked', () => {
  test('leaves the unlock to its caller, who names it', () => {
    const system = rig();
    for (const who of ['p', 'r']) system.say(who, 'lock', 'lock');
    system.say('q', 'lock', { type: 'unlock', owner: 'p' });
    expect([system.context('lock'), system.heard('r'), system.bugs()]).toEqual([{ owner: 'r', waiters: [] }, locked, []]);
    system.say('q', 'lock', { type: 'unlock', owner: 'r' });
    expect([system.at('lock'), system.context('lock'), system.bugs()]).toEqual(['unlocked', free, []]);
  });

  test.each(['q', 'r'])('and has not locked it (%s): a bug', (owner) => {
    const system = rig();
    system.say('p', 'lock', 'lock');
    system.say('p', 'lock', { type: 'unlock', owner });
    expect(system.bugs()).toEqual(['BUG: folio unlocked by a path that has not locked it']);
  });
});

test('in all interleavings of three probes one at most has it locked, and each gets it', () => {
  const script: Line[] = [
    { to: 'lock', message: { type: 'lock' }, until: 'locked' },
    { to: 'lock', message: { type: 'unlock' } },
  ];
  const system = defineSystem({
    id: 'folio_lock',
    actors: { lock: actor(folioLock), p: probe(script), q: probe([...script, ...script]), r: probe(script) },
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
  expect(untaken(folioLock)).toEqual([]);
});
