import { BIAS, percpuRef, percpuRefSwitch, percpuRefSwitchBiasFirst } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const cpus = ['cpu0', 'cpu1', 'cpu2'];

/** A reference after K3, with these per-CPU counters. */
function killed(logic: typeof percpuRefSwitch | typeof percpuRefSwitchBiasFirst, counters: Record<string, number>): Rig {
  const system = new Rig({ ref: actor(percpuRef, { input: { cpus } }), switch: actor(logic, { input: { ref: 'ref', cpus } }), p: probe() });
  for (const [cpu, n] of Object.entries(counters)) system.say('p', 'ref', { type: 'ref.this_cpu_add', cpu, n });
  for (const message of ['ref.set_dead', 'ref.set_atomic', { type: 'ref.sub_and_test', n: 1 }]) system.say('p', 'ref', message);
  expect([system.at('switch'), system.can('switch', 'step')]).toEqual(['idle', false]);
  system.say('p', 'switch', 'rcu.callback');
  return system;
}
const reads = cpus.map((cpu) => `ref: ref.read_cpu {"cpu":"${cpu}"}`);
const end = ['ref: ref.confirm', 'ref: ref.free_percpu', 'ref: ref.sub_and_test {"n":1}'];

describe('percpu_ref_switch_to_atomic_rcu', () => {
  test('K4 to K7: one load per CPU, the sum less the bias at once, confirm, free, and the hold of the switch', () => {
    const system = killed(percpuRefSwitch, { cpu0: 2, cpu1: -1, cpu2: 1 }).settle();
    expect(system.said('switch')).toEqual([...reads, `ref: ref.add {"n":${2 - BIAS}}`, ...end]);
    expect(system.context('ref')).toMatchObject({ count: 2, pcpu: null, released: 0 });
    expect([system.at('ref'), system.at('switch'), system.context('switch').sum, system.context('switch').cpus]).toEqual(['atomic', 'idle', 0, cpus]);
  });

  test('without users the hold of the switch was the last reference', () => {
    const system = killed(percpuRefSwitch, { cpu0: 1, cpu1: -1 }).stepTo('switch', 'percpu_ref_put');
    expect(system.context('ref')).toMatchObject({ count: 1, released: 0 });
    system.settle();
    expect(system.context('ref')).toMatchObject({ count: 0, released: 1 });
  });

  test.each([
    [-1, 0],
    [-2, -1],
  ])('a sum of %i leaves a count of %i, which it warns of', (sum, count) => {
    const system = killed(percpuRefSwitch, { cpu1: sum }).stepTo('switch', 'count_not_positive');
    expect(system.context('ref').count).toBe(count);
    expect(system.bugs()).toEqual(['WARN_ON: percpu ref <= 0 after switching to atomic']);
  });
});

test('C3: with the bias taken away first, the count says nothing until the last CPU has been added', () => {
  const system = killed(percpuRefSwitchBiasFirst, { cpu0: -1, cpu2: 2 });
  const counts: number[] = [];
  while (system.at('switch') !== 'free_percpu') {
    counts.push(system.context('ref').count);
    system.take('switch', 'step');
  }
  expect(counts).toEqual([BIAS + 1, 1, 0, 0, 2]);
  system.settle();
  expect(system.said('switch')).toEqual([
    `ref: ref.add {"n":${-BIAS}}`,
    ...reads.flatMap((read, index) => [read, `ref: ref.add {"n":${[-1, 0, 2][index]}}`]),
    ...end,
  ]);
  expect(system.context('ref')).toMatchObject({ count: 1, pcpu: null });
  expect([system.at('switch'), system.context('switch').cpus]).toEqual(['idle', cpus]);
});

test('without a bias none is taken away (row C2)', () => {
  const system = new Rig({
    ref: actor(percpuRef, { input: { cpus, base: 1, bias: 0 } }),
    switch: actor(percpuRefSwitch, { input: { ref: 'ref', cpus, bias: 0 } }),
    p: probe(),
  });
  for (const message of ['ref.set_dead', 'ref.set_atomic', { type: 'ref.sub_and_test', n: 1 }]) system.say('p', 'ref', message);
  system.say('p', 'switch', 'rcu.callback');
  expect(system.settle().context('ref').count).toBe(1);
});

test('every transition was taken', () => {
  expect([untaken(percpuRefSwitch), untaken(percpuRefSwitchBiasFirst)]).toEqual([[], []]);
});
