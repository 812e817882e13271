import { percpuRef, percpuRefIsZero, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (atomic: boolean, logic = percpuRefIsZero): Rig =>
  new Rig({
    lock: actor(spinlock),
    ref: actor(percpuRef, { input: { cpus: ['cpu0'], atomic } }),
    is_zero: actor(logic, { input: { ref: 'ref', switchLock: 'lock' } }),
    p: probe(),
  });
const ask = (system: Rig): unknown => {
  expect(system.context('is_zero')).toMatchObject({ caller: '', zero: false });
  system.say('p', 'is_zero', 'call');
  const answer = system.settle().heard('p').at(-1);
  expect(system.context('is_zero')).toMatchObject({ caller: '', zero: false });
  return answer;
};
const answer = (zero: boolean): object => ({ type: 'return', zero });
const unlocked = percpuRefIsZero.provide({ guards: { takesSwitchLock: () => false } });

test('in per-CPU mode nobody knows: not zero', () => {
  const system = rig(false);
  expect(ask(system)).toEqual(answer(false));
  expect(system.said('is_zero')).toEqual(['ref: ref.load', 'p: return {"zero":false}']);
});

test('in atomic mode pointer and count are read under the switch lock', () => {
  const system = rig(true);
  expect(ask(system)).toEqual(answer(false));
  expect(system.said('is_zero')).toEqual(['ref: ref.load', 'lock: lock', 'ref: ref.data', 'ref: ref.read', 'lock: unlock', 'p: return {"zero":false}']);
  expect(system.context('lock').owner).toBeNull();
});

test('zero is zero, each time it is asked', () => {
  const system = rig(true);
  system.say('p', 'ref', { type: 'ref.sub_and_test', n: 1 });
  expect([ask(system), ask(system)]).toEqual([answer(true), answer(true)]);
});

test('DEAD without ATOMIC, in the middle of a kill, counts as atomic', () => {
  const system = rig(false);
  system.say('p', 'ref', 'ref.set_dead');
  expect(ask(system)).toEqual(answer(false));
  expect(system.said('is_zero')).toContain('ref: ref.read');
});

test.each([
  [0, true],
  [1, false],
])('after percpu_ref_exit, which keeps the final count of %i, it answers %s without the data block', (count, zero) => {
  const system = rig(true);
  if (count === 0) system.say('p', 'ref', { type: 'ref.sub_and_test', n: 1 });
  system.say('p', 'ref', 'ref.exit');
  expect(ask(system)).toEqual(answer(zero));
  expect([system.bugs(), system.heard('ref').some(({ type }) => type === 'ref.read'), system.context('lock').owner]).toEqual([[], false, null]);
});

test('it spins while another has the lock', () => {
  const system = rig(true);
  system.say('p', 'lock', 'lock');
  system.say('p', 'is_zero', 'call');
  system.settle();
  expect([system.at('is_zero'), system.can('is_zero', 'step')]).toEqual(['spin_on_switch_lock', false]);
  system.say('p', 'lock', 'unlock');
  expect(system.settle().heard('p').at(-1)).toEqual(answer(false));
});

test('C13: without the lock the data block can go between pointer and count', () => {
  const system = rig(true, unlocked);
  expect(ask(system)).toEqual(answer(false));
  expect(system.heard('lock')).toEqual([]);
  system.say('p', 'is_zero', 'call');
  system.stepTo('is_zero', 'atomic_long_read');
  system.say('p', 'ref', 'ref.exit');
  system.take('is_zero', 'step');
  expect(system.bugs()).toEqual(['BUG: percpu_ref counters used after percpu_ref_exit freed them']);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefIsZero)).toEqual([]);
});
