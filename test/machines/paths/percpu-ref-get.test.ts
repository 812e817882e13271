import { BIAS, percpuRef, percpuRefGet, rcu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  mode?: 'tryget' | 'tryget_live';
  inRcu?: boolean;
  atomic?: boolean;
  logic?: typeof percpuRefGet;
}
const rig = ({ mode = 'tryget_live', inRcu, atomic = false, logic = percpuRefGet }: Setup = {}): Rig =>
  new Rig({
    ref: actor(percpuRef, { input: { cpus: ['cpu0', 'cpu1'], base: 1, atomic } }),
    rcu: actor(rcu),
    get: actor(logic, { input: { cpu: 'cpu1', rcu: 'rcu', ref: 'ref', mode, ...(inRcu === undefined ? {} : { inRcu }) } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'get', 'call');
  return system;
};
const got = (system: Rig): unknown[] =>
  system
    .settle()
    .heard('p')
    .flatMap(({ type, ok }) => (type === 'return' ? [ok] : []));
const kill = (system: Rig): Rig => {
  system.say('p', 'ref', 'ref.set_dead');
  return system;
};
const modes = ['tryget', 'tryget_live'] as const;

test('before it is called it has nothing', () => {
  expect([rig().context('get').got, rig().at('get')]).toEqual([false, 'idle']);
});

test.each(modes)('%s in per-CPU mode adds to the counter of its CPU, within a read section', (mode) => {
  const system = call(rig({ mode }));
  expect(got(system)).toEqual([true]);
  expect(system.said('get')).toEqual([
    'rcu: rcu.read_lock',
    'ref: ref.load',
    'ref: ref.this_cpu_add {"cpu":"cpu1","n":1}',
    'rcu: rcu.read_unlock',
    'p: return {"ok":true}',
  ]);
  expect(system.context('ref')).toMatchObject({ pcpu: { cpu0: 1, cpu1: 1 }, count: BIAS + 1 });
  expect(system.context('get')).toMatchObject({ caller: '', got: false });
});

test.each(modes)('%s in atomic mode adds to the counter', (mode) => {
  const system = call(rig({ mode, atomic: true }));
  expect([got(system), system.context('ref').count]).toEqual([[true], 3]);
  expect(system.said('get')).toContain('ref: ref.inc_not_zero');
});

test('its _rcu form leaves the read section to the caller', () => {
  const system = call(rig({ inRcu: true }));
  expect([got(system), system.heard('rcu')]).toEqual([[true], []]);
  expect(system.context('get')).toMatchObject({ caller: '', got: false });
});

test.each(modes)('%s fails when the counter is zero', (mode) => {
  const system = rig({ mode, atomic: true });
  system.say('p', 'ref', { type: 'ref.sub_and_test', n: 2 });
  expect([got(call(system)), system.context('ref').count, system.context('rcu').readers]).toEqual([[false], 0, {}]);
});

describe('when the reference is dead', () => {
  test.each([false, true])('tryget_live fails, and adds nothing (atomic: %s)', (atomic) => {
    const system = call(kill(rig({ atomic })));
    expect([got(system), system.heard('ref').filter(({ type }) => type !== 'ref.set_dead')]).toEqual([[false], [{ type: 'ref.load' }]]);
    expect(system.context('rcu').readers).toEqual({});
  });

  test('tryget does not look', () => {
    const system = call(kill(rig({ mode: 'tryget', atomic: true })));
    expect([got(system), system.context('ref').count]).toEqual([[true], 3]);
  });

  test('DEAD without ATOMIC, in the middle of a kill, counts as atomic', () => {
    const system = call(kill(rig({ mode: 'tryget' })));
    expect([got(system), system.context('ref').count, system.context('ref').pcpu]).toEqual([[true], BIAS + 2, { cpu0: 1, cpu1: 0 }]);
  });
});

test('the mode that the word named is used, even if it has changed meanwhile', () => {
  const system = call(rig()).stepTo('get', 'this_cpu_inc');
  system.say('p', 'ref', 'ref.set_dead');
  system.say('p', 'ref', 'ref.set_atomic');
  expect([got(system), system.context('ref').pcpu]).toEqual([[true], { cpu0: 1, cpu1: 1 }]);
});

test('C9: the result of the increment may be lost on the way', () => {
  const system = call(rig({ atomic: true, logic: percpuRefGet.provide({ guards: { resultFits: () => false } }) }));
  expect([got(system), system.context('ref').count]).toEqual([[false], 3]);
});

test('a failed call does not remember the success before', () => {
  const system = call(rig());
  expect(got(system)).toEqual([true]);
  expect(got(call(kill(system)))).toEqual([true, false]);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefGet)).toEqual([]);
});
