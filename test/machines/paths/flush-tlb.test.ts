import { addressSpace, cpu, flushTlb, interconnect, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const cpus = ['cpu0', 'cpu1', 'cpu2'];

/** Three CPUs with the page cached, of which those in the mask are known to; it flushes from cpu0. */
function rig(mask: string[], kind: 'ipi' | 'broadcast' = 'ipi'): Rig {
  const system = new Rig({
    mm: actor(addressSpace, { input: { ptes: { 0: presentPte(4), 1: presentPte(5) }, vmas: [], cpumask: mask } }),
    ...(Object.fromEntries(cpus.map((name) => [name, actor(cpu, { input: { mm: 'mm', interconnect: 'net' }, choices: ['interrupt'] })])) as Actors),
    net: actor(interconnect, { input: { cpus }, choices: cpus.map((to) => ({ type: 'deliver' as const, to })) }),
    flush: actor(flushTlb, { input: { cpu: 'cpu0', mm: 'mm', interconnect: 'net', kind } }),
    p: probe(),
  });
  for (const name of cpus) for (const vpn of [0, 1]) system.take(name, { type: 'fill', vpn });
  return system;
}
const call = (system: Rig, vpns: number[] | 'all' = [0]): Rig => {
  system.say('p', 'flush', { type: 'call', vpns });
  return system;
};
const cached = (system: Rig): string[] => cpus.map((name) => Object.keys(system.context(name).tlb).join(','));
const returned = (system: Rig): boolean => system.heard('p').length > 0;

test('nobody else in the mask: only the local flush', () => {
  const system = call(rig(['cpu0'])).settle();
  expect(system.said('flush')).toEqual(['mm: tlb_gen.inc', 'mm: cpumask.read', 'cpu0: tlb.invalidate {"request":{"vpns":[0]}}', 'p: return']);
  expect(cached(system)).toEqual(['1', '0,1', '0,1']);
  expect(system.context('mm').tlbGen).toBe(2);
});

test('it returns when every target in the mask has run the function; then none has the page cached', () => {
  const system = call(rig(cpus)).settle('flush');
  expect([system.at('flush'), system.can('flush', 'step')]).toEqual(['csd_lock_wait', false]);
  expect(cached(system)).toEqual(['1', '0,1', '0,1']);
  for (const name of ['cpu2', 'cpu1']) {
    system.take('net', { type: 'deliver', to: name });
    expect(returned(system)).toBe(false);
    system.take(name, 'interrupt');
  }
  expect([returned(system), cached(system), system.at('flush')]).toEqual([true, ['1', '1', '1'], 'idle']);
  expect(system.said('flush')).toContain('net: ipi.send {"to":["cpu1","cpu2"],"request":{"vpns":[0]}}');
});

test('a flush of everything drops everything', () => {
  expect(cached(call(rig(cpus), 'all').settle())).toEqual(['', '', '']);
});

test('a target with interrupts off holds it up', () => {
  const system = rig(['cpu0', 'cpu1']);
  system.say('p', 'cpu1', 'irq.save');
  call(system).settle();
  expect([returned(system), system.at('flush')]).toEqual([false, 'csd_lock_wait']);
  system.say('p', 'cpu1', 'irq.restore');
  expect(returned(system.settle())).toBe(true);
});

test('F3: a lazy CPU is left out, and keeps its entries', () => {
  const system = rig(cpus);
  system.say('p', 'cpu1', 'lazy.enter');
  call(system).settle();
  expect([returned(system), cached(system)]).toEqual([true, ['1', '0,1', '1']]);
  expect(system.heard('cpu1').filter(({ type }) => type === 'ipi')).toEqual([]);
});

test('F3: when all others are lazy nobody is sent an IPI', () => {
  const system = rig(['cpu0', 'cpu1']);
  system.say('p', 'cpu1', 'lazy.enter');
  call(system).settle('flush');
  expect([returned(system), cached(system), system.heard('net')]).toEqual([true, ['1', '0,1', '0,1'], []]);
});

test('the last target may be faster than the local flush, which is done all the same', () => {
  const system = call(rig(['cpu0', 'cpu1'])).stepTo('flush', 'flush_tlb_func');
  system.take('net', { type: 'deliver', to: 'cpu1' }).take('cpu1', 'interrupt');
  expect([returned(system), cached(system)]).toEqual([false, ['0,1', '1', '0,1']]);
  system.settle('flush');
  expect([returned(system), cached(system)]).toEqual([true, ['1', '1', '0,1']]);
});

test('a broadcast drops the entries of every CPU, lazy or with interrupts off, in one step', () => {
  const system = rig(['cpu0'], 'broadcast');
  system.say('p', 'cpu1', 'irq.save');
  system.say('p', 'cpu2', 'lazy.enter');
  call(system).settle('flush');
  expect([returned(system), cached(system)]).toEqual([true, ['1', '1', '1']]);
  expect(system.said('flush')).toEqual(['mm: tlb_gen.inc', 'net: tlbi {"request":{"vpns":[0]}}', 'p: return']);
});

test.each<[string[], 'ipi' | 'broadcast']>([
  [cpus, 'ipi'],
  [['cpu0'], 'ipi'],
  [['cpu0'], 'broadcast'],
])('one flush remembers nothing of the one before (mask: %j, %s)', (mask, kind) => {
  const system = call(rig(mask, kind)).settle('flush').settle();
  expect(system.context('flush')).toMatchObject({ mask: [], targets: [], caller: '', request: { vpns: [] } });
  call(system, [1]).settle();
  expect(cached(system)[0]).toBe('');
  expect(system.heard('p')).toHaveLength(2);
});

test('every transition was taken', () => {
  expect(untaken(flushTlb)).toEqual([]);
});
