import { kvm } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ kvm: actor(kvm), p: probe(), q: probe() });
const tell = (system: Rig, what: string, who = 'p'): Message[] => system.say(who, 'kvm', `kvm.${what}`);
const seq = [{ type: 'kvm.seq' }];
const checked = (retry: boolean): Message[] => [{ type: 'kvm.checked', retry }];

test('nothing happens between look and check: the fault goes on', () => {
  const system = rig();
  expect([tell(system, 'read_seq'), tell(system, 'retry')]).toEqual([seq, checked(false)]);
  expect(system.context('kvm')).toEqual({ inProgress: 0, readers: [] });
});

test('an invalidation is under way, whether it began before the look or after', () => {
  const system = rig();
  tell(system, 'read_seq');
  tell(system, 'begin', 'q');
  expect(tell(system, 'retry')).toEqual(checked(true));
  tell(system, 'read_seq');
  expect(tell(system, 'retry')).toEqual(checked(true));
});

test('an invalidation has ended since the look', () => {
  const system = rig();
  tell(system, 'begin', 'q');
  for (const who of ['q', 'p']) tell(system, 'read_seq', who);
  expect(system.context('kvm')).toEqual({ inProgress: 1, readers: ['p', 'q'] });
  tell(system, 'end', 'q');
  expect([tell(system, 'retry'), system.context('kvm')]).toEqual([checked(true), { inProgress: 0, readers: [] }]);
  tell(system, 'read_seq');
  expect(tell(system, 'retry')).toEqual(checked(false));
});

test('two invalidations at once: both must end', () => {
  const system = rig();
  for (const what of ['begin', 'begin', 'end']) tell(system, what, 'q');
  tell(system, 'read_seq');
  expect(tell(system, 'retry')).toEqual(checked(true));
  tell(system, 'end', 'q');
  tell(system, 'read_seq');
  expect(tell(system, 'retry')).toEqual(checked(false));
});

test('a look is good for one check; a later look counts anew', () => {
  const system = rig();
  tell(system, 'read_seq');
  tell(system, 'read_seq');
  expect([system.context('kvm').readers, tell(system, 'retry'), tell(system, 'retry')]).toEqual([['p'], checked(false), checked(true)]);
});

test('an end without a beginning is a bug', () => {
  const system = rig();
  for (const what of ['begin', 'end']) tell(system, what);
  expect(system.bugs()).toEqual([]);
  tell(system, 'end');
  expect(system.bugs()).toEqual(['BUG: mmu_invalidate_in_progress goes below zero']);
});

test('every transition was taken', () => {
  expect(untaken(kvm)).toEqual([]);
});
