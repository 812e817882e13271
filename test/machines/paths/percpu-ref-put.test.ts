import { BIAS, percpuRef, percpuRefPut, rcu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = ({ inRcu, atomic = false }: { inRcu?: boolean; atomic?: boolean } = {}): Rig =>
  new Rig({
    ref: actor(percpuRef, { input: { cpus: ['cpu0', 'cpu1'], atomic } }),
    rcu: actor(rcu),
    put: actor(percpuRefPut, { input: { cpu: 'cpu1', rcu: 'rcu', ref: 'ref', ...(inRcu === undefined ? {} : { inRcu }) } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'put', 'call');
  return system;
};
const returned = [{ type: 'return', ok: true }];

test('in per-CPU mode it subtracts from the counter of its CPU, within a read section; zero is not noticed', () => {
  const system = call(rig()).settle();
  expect(system.said('put')).toEqual([
    'rcu: rcu.read_lock',
    'ref: ref.load',
    'ref: ref.this_cpu_add {"cpu":"cpu1","n":-1}',
    'rcu: rcu.read_unlock',
    'p: return {"ok":true}',
  ]);
  expect(system.context('ref')).toMatchObject({ pcpu: { cpu0: 0, cpu1: -1 }, count: BIAS + 1, released: 0 });
  expect(system.context('put').caller).toBe('');
});

test('in atomic mode it subtracts and tests: zero calls release', () => {
  const system = call(rig({ atomic: true })).settle();
  expect(system.said('put')).toContain('ref: ref.sub_and_test {"n":1}');
  expect([system.context('ref').count, system.context('ref').released, system.heard('p')]).toEqual([0, 1, returned]);
  expect(system.context('rcu').readers).toEqual({});
});

test('its _rcu form leaves the read section to the caller', () => {
  const system = call(rig({ inRcu: true })).settle();
  expect([system.heard('p'), system.heard('rcu'), system.context('put').caller]).toEqual([returned, [], '']);
});

test('DEAD without ATOMIC, in the middle of a kill, counts as atomic', () => {
  const system = rig();
  system.say('p', 'ref', 'ref.set_dead');
  call(system).settle();
  expect(system.context('ref')).toMatchObject({ count: BIAS, pcpu: { cpu0: 0, cpu1: 0 } });
});

test('the mode that the word named is used, even if it has changed meanwhile', () => {
  const system = call(rig()).stepTo('put', 'this_cpu_dec');
  system.say('p', 'ref', 'ref.set_atomic');
  system.settle();
  expect([system.context('ref').pcpu, system.heard('p').at(-1)]).toEqual([{ cpu0: 0, cpu1: -1 }, returned[0]]);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefPut)).toEqual([]);
});
