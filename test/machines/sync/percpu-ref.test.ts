import { BIAS, percpuRef } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Input = NonNullable<Parameters<typeof actor<typeof percpuRef>>[1]>['input'];
const rig = (input: Partial<NonNullable<Input>> = {}): Rig =>
  new Rig({ ref: actor(percpuRef, { input: { cpus: ['cpu0', 'cpu1'], ...input } }), p: probe(), q: probe() });
const word = (mode: string, dead = false): object => ({ type: 'ref.word', mode, dead });
const count = (value: number): object => ({ type: 'ref.count', value });
const sub = (n: number): { type: string; n: number } => ({ type: 'ref.sub_and_test', n });

describe('how it begins', () => {
  test('in per-CPU mode, with the bias and the initial reference', () => {
    const system = rig({ base: 3 });
    expect(system.say('p', 'ref', 'ref.load')).toEqual([word('percpu')]);
    expect(system.context('ref')).toEqual({ pcpu: { cpu0: 3, cpu1: 0 }, count: BIAS + 1, dead: false, released: 0, exited: false, waiters: [] });
  });

  test('without a bias, if that is left out (row C2)', () => {
    expect(rig({ bias: 0 }).context('ref').count).toBe(1);
  });

  test('in atomic mode, as a request queue before it is registered', () => {
    const system = rig({ base: 2, atomic: true });
    expect(system.say('p', 'ref', 'ref.load')).toEqual([word('atomic')]);
    expect(system.context('ref')).toMatchObject({ pcpu: null, count: 3, dead: false });
  });

  test.each([
    [2, 0],
    [0, 1],
  ])('killed, in atomic mode: without the initial reference (base %i: released %i times)', (base, released) => {
    const system = rig({ base, dead: true });
    expect(system.say('p', 'ref', 'ref.load')).toEqual([word('atomic', true)]);
    expect(system.context('ref')).toMatchObject({ pcpu: null, count: base, dead: true, released });
  });
});

describe('per-CPU mode', () => {
  test('adds go to the counter of that CPU, and zero is not noticed', () => {
    const system = rig({ base: 1 });
    system.say('p', 'ref', { type: 'ref.this_cpu_add', cpu: 'cpu1', n: 1 });
    system.say('p', 'ref', { type: 'ref.this_cpu_add', cpu: 'cpu1', n: -2 });
    expect(system.context('ref')).toMatchObject({ pcpu: { cpu0: 1, cpu1: -1 }, count: BIAS + 1, released: 0 });
    expect(system.say('q', 'ref', { type: 'ref.read_cpu', cpu: 'cpu1' })).toEqual([{ type: 'ref.cpu', value: -1 }]);
  });

  test('DEAD alone leaves the mode as it is', () => {
    const system = rig();
    system.say('p', 'ref', 'ref.set_dead');
    expect(system.say('p', 'ref', 'ref.load')).toEqual([word('percpu', true)]);
  });
});

describe('the switch to atomic mode', () => {
  const switching = (): Rig => {
    const system = rig({ base: 2 });
    system.say('p', 'ref', 'ref.set_dead');
    system.say('p', 'ref', 'ref.set_atomic');
    return system;
  };

  test('K2: the word says atomic at once, and the switch holds a reference', () => {
    const system = switching();
    expect(system.say('q', 'ref', 'ref.load')).toEqual([word('atomic', true)]);
    expect(system.context('ref').count).toBe(BIAS + 2);
  });

  test('whoever loaded the word before still adds to its CPU', () => {
    const system = switching();
    system.say('q', 'ref', { type: 'ref.this_cpu_add', cpu: 'cpu1', n: 1 });
    expect(system.context('ref').pcpu).toEqual({ cpu0: 2, cpu1: 1 });
  });

  test('the bias keeps the count above zero; without the last reference there is no release', () => {
    const system = switching();
    expect(system.say('q', 'ref', sub(3))).toEqual([count(BIAS - 1)]);
    expect(system.context('ref').released).toBe(0);
  });

  test('K4 to K7: sum less bias, confirmed, area freed, and the hold of the switch may be the last', () => {
    const system = switching();
    system.say('p', 'ref', sub(1));
    expect(system.say('p', 'ref', { type: 'ref.add', n: 2 - BIAS })).toEqual([count(3)]);
    system.say('p', 'ref', 'ref.confirm');
    expect(system.at('ref')).toBe('atomic');
    system.say('p', 'ref', 'ref.free_percpu');
    expect(system.context('ref').pcpu).toBeNull();
    system.say('p', 'ref', sub(2));
    expect(system.say('p', 'ref', sub(1))).toEqual([count(0)]);
    expect(system.context('ref').released).toBe(1);
  });

  test('an add that leads to zero does not release', () => {
    const system = switching();
    system.say('p', 'ref', { type: 'ref.add', n: -BIAS - 2 });
    expect(system.context('ref')).toMatchObject({ count: 0, released: 0 });
  });
});

describe('the atomic counter', () => {
  const atomic = (base = 1): Rig => rig({ base, atomic: true });

  test('is incremented unless it is zero, dead or not', () => {
    const system = atomic(0);
    system.say('p', 'ref', 'ref.set_dead');
    expect(system.say('p', 'ref', 'ref.inc_not_zero')).toEqual([{ type: 'ref.got' }]);
    expect(system.say('p', 'ref', sub(2))).toEqual([count(0)]);
    expect(system.say('p', 'ref', 'ref.inc_not_zero')).toEqual([{ type: 'ref.zero' }]);
    expect(system.say('p', 'ref', 'ref.read')).toEqual([count(0)]);
  });

  test('release runs once, when the last reference goes, and tells everybody who waits', () => {
    const system = atomic();
    expect(system.say('p', 'ref', 'ref.wait')).toEqual([]);
    expect(system.say('q', 'ref', 'ref.wait')).toEqual([]);
    expect(system.say('q', 'ref', sub(1))).toEqual([count(1)]);
    expect(system.heard('p')).toEqual([]);
    expect(system.say('q', 'ref', sub(1))).toEqual([{ type: 'ref.released' }, count(0)]);
    expect(system.heard('p')).toEqual([{ type: 'ref.released' }]);
    expect(system.context('ref')).toMatchObject({ released: 1, waiters: [] });
  });

  test('who waits after release goes on at once', () => {
    const system = atomic(0);
    system.say('p', 'ref', sub(1));
    expect(system.say('p', 'ref', 'ref.wait')).toEqual([{ type: 'ref.released' }]);
  });

  test('a second release is a bug', () => {
    const system = atomic(0);
    system.say('p', 'ref', sub(1));
    system.say('p', 'ref', { type: 'ref.add', n: 1 });
    system.say('p', 'ref', sub(1));
    expect(system.bugs()).toEqual(['BUG: percpu_ref released twice']);
  });

  test('it never goes below zero', () => {
    const system = atomic();
    system.say('p', 'ref', sub(3));
    expect(system.bugs()).toEqual(['BUG: percpu_ref count goes below zero']);
  });

  test('below zero after release is an underflow, not a second release', () => {
    const system = atomic(0);
    system.say('p', 'ref', sub(1));
    system.say('p', 'ref', sub(1));
    expect(system.bugs()).toEqual(['BUG: percpu_ref count goes below zero']);
  });
});

describe('percpu_ref_exit', () => {
  test('takes per-CPU area and data block away; the pointer says so, and the word keeps the final count', () => {
    const system = rig();
    expect(system.say('p', 'ref', 'ref.data')).toEqual([{ type: 'ref.data', present: true }]);
    system.say('p', 'ref', 'ref.exit');
    expect(system.say('p', 'ref', 'ref.data')).toEqual([{ type: 'ref.data', present: false, count: BIAS + 1 }]);
    expect(system.context('ref')).toMatchObject({ pcpu: null, exited: true });
  });

  test('the word can still be loaded, and DEAD set', () => {
    const system = rig();
    system.say('p', 'ref', 'ref.exit');
    system.say('p', 'ref', 'ref.set_dead');
    expect(system.say('p', 'ref', 'ref.load')).toEqual([word('percpu', true)]);
    expect(system.bugs()).toEqual([]);
  });

  const touches = [
    { type: 'ref.this_cpu_add', cpu: 'cpu0', n: 1 },
    { type: 'ref.read_cpu', cpu: 'cpu0' },
    { type: 'ref.inc_not_zero' },
    { type: 'ref.add', n: 1 },
    sub(1),
    { type: 'ref.read' },
  ];
  test.each(touches)('$type after it is a use after free', (touch) => {
    const system = rig();
    system.say('p', 'ref', 'ref.exit');
    expect(system.say('q', 'ref', touch)).toEqual([]);
    expect(system.bugs()).toEqual(['BUG: percpu_ref counters used after percpu_ref_exit freed them']);
  });

  test.each(touches.slice(0, 2))('$type after K6, which frees the per-CPU area alone, is one too', (touch) => {
    const system = rig({ atomic: true });
    system.say('p', 'ref', 'ref.free_percpu');
    system.say('q', 'ref', touch);
    expect(system.bugs()).toEqual(['BUG: percpu_ref counters used after percpu_ref_exit freed them']);
  });
});

test('every transition was taken', () => {
  expect(untaken(percpuRef)).toEqual([]);
});
