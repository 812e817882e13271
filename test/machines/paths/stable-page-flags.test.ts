import { folio, stablePageFlags } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

/** A page of a file; and a private one. */
const rig = (machine: typeof stablePageFlags = stablePageFlags): Rig =>
  new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, zone: 'normal', mapping: 'f' } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal' } }),
    flags: actor(machine),
    p: probe(),
  });
const shown = (system: Rig, pfn: number): unknown => {
  system.say('p', 'flags', { type: 'call', pfn });
  expect([system.at('flags'), system.context('flags').reported]).toEqual(['read_page', null]);
  system.take('flags', 'step');
  expect([system.at('flags'), system.context('flags'), system.heard('p').at(-1)]).toMatchObject(['idle', { caller: '', pfn: -1 }, { type: 'return' }]);
  return system.context('flags').reported;
};
const protect = (stable: boolean): { type: string; record: string; stable: boolean } => ({ type: 'folio.protect', record: 'record', stable });

test('a page is read once, without a lock or a reference', () => {
  const system = rig();
  expect([shown(system, 4), system.said('flags')]).toEqual(['file', ['page4: page.read', 'p: return']]);
  expect(system.context('page4').refcount).toBe(1);
});

test('it tells pages of files, private ones and protected ones apart, of whatever kind, as often as it is asked', () => {
  const system = rig();
  expect([shown(system, 4), shown(system, 5)]).toEqual(['file', 'private']);
  system.say('p', 'page4', protect(true));
  system.say('p', 'page5', protect(false));
  expect([shown(system, 4), shown(system, 5)]).toEqual(['protected', 'protected']);
  system.say('p', 'page4', 'folio.unprotect');
  expect([shown(system, 4), system.bugs()]).toEqual(['file', []]);
});

test('a page that is free by now is private', () => {
  const system = rig();
  system.say('p', 'page5', 'folio.put');
  expect([system.at('page5'), shown(system, 5), system.bugs()]).toEqual(['free', 'private', []]);
});

test('U4: without knowing of records it reads one as if it were a mapping; other pages it shows as before', () => {
  const system = rig(stablePageFlags.provide({ guards: { knowsRecord: () => false } }));
  expect([shown(system, 4), shown(system, 5)]).toEqual(['file', 'private']);
  system.say('p', 'page4', protect(true));
  system.say('p', 'flags', { type: 'call', pfn: 4 });
  expect(system.take('flags', 'step').bugs()).toEqual(['BUG: a protection record is read as if it were a struct address_space']);
});

test('every transition was taken', () => {
  expect(untaken(stablePageFlags)).toEqual([]);
});
