import { BIAS, percpuRef, percpuRefKill, rcu, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (atomic = false): Rig =>
  new Rig({
    lock: actor(spinlock),
    ref: actor(percpuRef, { input: { cpus: ['cpu0'], base: 1, atomic } }),
    callback: answers(),
    rcu: actor(rcu, { choices: ['grace_period'] }),
    kill: actor(percpuRefKill, { input: { ref: 'ref', rcu: 'rcu', switchLock: 'lock', callback: 'callback' } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'kill', 'call');
  return system;
};
const end = ['ref: ref.sub_and_test {"n":1}', 'lock: unlock', 'rcu: rcu.read_unlock', 'p: return {"ok":true}'];

test('K1 to K3, under the switch lock with interrupts off: DEAD, ATOMIC and a callback, the initial reference', () => {
  const system = call(rig()).settle('kill');
  expect(system.said('kill')).toEqual([
    'rcu: rcu.read_lock',
    'lock: lock',
    'ref: ref.set_dead',
    'ref: ref.load',
    'ref: ref.set_atomic',
    'rcu: call_rcu {"callback":"callback"}',
    ...end,
  ]);
  // The hold of the switch makes up for the initial reference.
  expect(system.context('ref')).toMatchObject({ count: BIAS + 1, dead: true, released: 0 });
  expect([system.at('ref'), system.context('lock').owner, system.context('rcu').readers]).toEqual(['switching', null, {}]);
  expect(system.context('kill').caller).toBe('');
});

test('the callback runs after a grace period, not before', () => {
  const system = rig();
  system.say('p', 'rcu', 'rcu.read_lock');
  call(system).settle();
  expect(system.heard('callback')).toEqual([]);
  system.say('p', 'rcu', 'rcu.read_unlock');
  expect(system.settle().heard('callback')).toEqual([{ type: 'rcu.callback' }]);
});

test('the grace period also waits until its own interrupts are on again', () => {
  const system = call(rig()).stepTo('kill', 'percpu_ref_put');
  expect(system.can('rcu', 'grace_period')).toBe(false);
  system.take('kill', 'step');
  expect(system.can('rcu', 'grace_period')).toBe(true);
});

test('a reference that is atomic already is not switched: no grace period', () => {
  const system = call(rig(true)).settle();
  expect(system.said('kill')).toEqual(['rcu: rcu.read_lock', 'lock: lock', 'ref: ref.set_dead', 'ref: ref.load', ...end]);
  expect(system.context('ref')).toMatchObject({ count: 1, dead: true });
  expect(system.heard('callback')).toEqual([]);
});

test('a second kill does not switch again, and puts the initial reference again (row C5)', () => {
  const system = call(call(rig()).settle('kill')).settle();
  expect(system.heard('callback')).toHaveLength(1);
  expect(system.context('ref').count).toBe(BIAS);
});

test('it spins while another switch or kill holds the lock; DEAD comes with it', () => {
  const system = rig();
  system.say('p', 'lock', 'lock');
  call(system).settle('kill');
  expect([system.at('kill'), system.can('kill', 'step'), system.context('ref').dead]).toEqual(['spin_on_switch_lock', false, false]);
  system.say('p', 'lock', 'unlock');
  expect(system.context('ref').dead).toBe(true);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefKill)).toEqual([]);
});
