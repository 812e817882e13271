import { addressSpace, archTlbbatchFlush, cpu, interconnect, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const cpus = ['cpu0', 'cpu1', 'cpu2'];

/** Three CPUs with two pages of one address space cached, whose generation was taken since; batches are flushed from cpu0 and cpu1. */
function rig(debug: string | null = null): Rig {
  const flush = (on: string) => actor(archTlbbatchFlush, { input: { cpu: on, interconnect: 'net', task: `task_${on}`, debug } });
  const space = (pfn: number) => actor(addressSpace, { input: { ptes: { 0: presentPte(pfn), 1: presentPte(pfn + 1) }, vmas: [], cpumask: cpus } });
  const system = new Rig({
    mm: space(4),
    other: space(6),
    ...(Object.fromEntries(cpus.map((name) => [name, actor(cpu, { input: { mm: 'mm', interconnect: 'net' }, choices: ['interrupt'] })])) as Actors),
    net: actor(interconnect, { input: { cpus }, choices: cpus.map((to) => ({ type: 'deliver' as const, to })) }),
    flush: flush('cpu0'),
    flush1: flush('cpu1'),
    debug: answers(),
    p: probe(),
    q: probe(),
  });
  for (const name of cpus) for (const vpn of [0, 1]) system.take(name, { type: 'fill', vpn });
  return takeGen(system);
}
/** R4d, which every unmap does. */
const takeGen = (system: Rig, mm = 'mm'): Rig => {
  system.say('q', mm, 'tlb_gen.inc');
  return system;
};
const call = (system: Rig, batch = cpus): Rig => {
  system.say('p', 'flush', { type: 'call', cpus: batch });
  return system;
};
const beLazy = (system: Rig, name: string): Rig => {
  system.say('q', name, 'is_lazy.set');
  return system;
};
const cached = (system: Rig): string[] => cpus.map((name) => Object.keys(system.context(name).tlb).join(' '));
const gens = (system: Rig): unknown[] => cpus.map((name) => system.context(name).ctxs.mm);
const ipisTo = (system: Rig): string[] => cpus.filter((name) => system.heard(name).some(({ type }) => type === 'ipi'));
const answered = (system: Rig, name: string): Rig => system.take('net', { type: 'deliver', to: name }).take(name, 'interrupt');
const returned = [{ type: 'return' }];
const [both, none] = ['mm/0 mm/1', ''];
const request = '"mm":null,"vpns":"all","freedTables":false,"gen":0';
const ipiTo = (name: string): string => `net: ipi.send {"to":["${name}"],"request":{"function":"flush_tlb_func",${request}}}`;
const flushOwn = `cpu0: flush_tlb_func {"request":{${request}}}`;
function expectAtRest(system: Rig): void {
  expect([system.at('flush'), system.bugs()]).toEqual(['idle', []]);
  expect(system.context('flush')).toMatchObject({ caller: '', cpus: [], mask: [], queued: false, local: false });
}

test('nobody in the batch: it returns at once', () => {
  const system = call(rig(), []);
  expect([system.said('flush'), system.heard('p'), cached(system)]).toEqual([['p: return'], returned, [both, both, both]]);
  expectAtRest(system);
});

test('its own CPU only: the local flush, no IPI', () => {
  const system = call(rig(), ['cpu0']).settle();
  expect([system.said('flush'), system.heard('net')]).toEqual([[flushOwn, 'p: return'], []]);
  expect([cached(system), gens(system)]).toEqual([
    [none, both, both],
    [2, 1, 1],
  ]);
  expectAtRest(system);
});

test('its own CPU only: a lazy one is flushed too, and leaves the address space', () => {
  const system = call(beLazy(rig(), 'cpu0'), ['cpu0']).settle();
  expect([system.said('flush'), system.heard('p')]).toEqual([[flushOwn, 'p: return'], returned]);
  expect(system.context('cpu0')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
});

test('others: each is asked and sent an IPI that names no address space, and then waited for', () => {
  const system = call(rig(), ['cpu1', 'cpu2']).settle();
  expect(system.said('flush')).toEqual(['cpu1: is_lazy.read', ipiTo('cpu1'), 'cpu2: is_lazy.read', ipiTo('cpu2'), 'net: ipi.wait', 'p: return']);
  expect([cached(system), gens(system)]).toEqual([
    [both, none, none],
    [1, 2, 2],
  ]);
  expectAtRest(system);
});

test('F4: it returns when every target has run the function, not before', () => {
  const system = call(rig()).settle('flush');
  expect([system.at('flush'), system.can('flush', 'step'), cached(system)]).toEqual(['csd_lock_wait', false, [none, both, both]]);
  for (const name of ['cpu2', 'cpu1']) {
    expect(system.heard('p')).toEqual([]);
    answered(system, name);
  }
  expect([system.heard('p'), cached(system)]).toEqual([returned, [none, none, none]]);
  expectAtRest(system);
});

test('F4: a target with interrupts off holds it up', () => {
  const system = rig();
  system.say('q', 'cpu1', 'irq.save');
  call(system, ['cpu1']).settle();
  expect([system.at('flush'), system.heard('p')]).toEqual(['csd_lock_wait', []]);
  system.say('q', 'cpu1', 'irq.restore');
  expect(system.settle().heard('p')).toEqual(returned);
});

test('F3: a lazy CPU is left out, and keeps its entries and its generation', () => {
  const system = call(beLazy(rig(), 'cpu1'), ['cpu1', 'cpu2']).settle();
  expect([ipisTo(system), cached(system), gens(system)]).toEqual([['cpu2'], [both, both, none], [1, 1, 2]]);
  expect([system.heard('p'), system.context('cpu1')]).toEqual([returned, expect.objectContaining({ cr3: 'mm', lazy: true })]);
  expectAtRest(system);
});

test('F3: when all others are lazy nobody is sent an IPI, and nobody is waited for', () => {
  const system = call(beLazy(beLazy(rig(), 'cpu1'), 'cpu2'), ['cpu1', 'cpu2']).settle('flush');
  expect([system.said('flush'), cached(system)]).toEqual([
    ['cpu1: is_lazy.read', 'cpu2: is_lazy.read', 'p: return'],
    [both, both, both],
  ]);
  expectAtRest(system);
});

test('R8: flushed is what is loaded; what is kept of another address space is left to its generation', () => {
  const system = rig();
  system.say('q', 'cpu1', { type: 'cr3.write', mm: 'other', gen: 1 });
  system.say('q', 'cpu1', { type: 'loaded_mm.write', mm: 'other' });
  system.take('cpu1', { type: 'fill', vpn: 0 });
  call(takeGen(system, 'other'), ['cpu1']).settle();
  expect([system.heard('p'), system.context('cpu1')]).toEqual([returned, expect.objectContaining({ ctxs: { mm: 1, other: 2 } })]);
  expect(cached(system)[1]).toBe(both);
  // The switch back compares.
  system.say('q', 'cpu1', { type: 'cr3.write', mm: 'mm', gen: system.context('mm').tlbGen });
  expect(cached(system)[1]).toBe(none);
});

test('row L17: it drops nothing where the unmap has taken no generation', () => {
  const system = call(rig(), ['cpu1']).settle();
  system.take('cpu1', { type: 'fill', vpn: 0 });
  call(system, ['cpu1']).settle();
  expect([cached(system)[1], system.heard('p')]).toEqual(['mm/0', [...returned, ...returned]]);
});

test('a target may run the function before the next CPU is decided about', () => {
  const system = call(rig(), ['cpu1', 'cpu2']).stepTo('flush', 'csd_queue_cpu').take('flush', 'step');
  answered(system, 'cpu1');
  expect([system.at('flush'), system.context('flush').mask, cached(system)]).toEqual(['tlb_is_not_lazy', ['cpu2'], [both, none, both]]);
  system.settle('flush');
  expect([system.at('flush'), system.heard('p')]).toEqual(['csd_lock_wait', []]);
  answered(system, 'cpu2');
  expect([system.heard('p'), cached(system)]).toEqual([returned, [both, none, none]]);
  expectAtRest(system);
});

test('a target may run the function before it is waited for', () => {
  const system = call(rig(), ['cpu1', 'cpu2']).stepTo('flush', 'csd_queue_cpu').take('flush', 'step');
  answered(beLazy(system, 'cpu2'), 'cpu1').settle('flush');
  expect([system.heard('p'), ipisTo(system), cached(system)]).toEqual([returned, ['cpu1'], [both, none, both]]);
  expectAtRest(system);
});

test('two batches at once from two CPUs: both return, each answers the other while it waits', () => {
  const system = call(rig(), ['cpu0', 'cpu1']);
  system.say('q', 'flush1', { type: 'call', cpus: ['cpu0', 'cpu1'] });
  system.settle('flush').settle('flush1');
  expect([system.at('flush'), system.at('flush1')]).toEqual(['csd_lock_wait', 'csd_lock_wait']);
  system.settle();
  expect([system.heard('p'), system.heard('q').at(-1), cached(system)]).toEqual([returned, { type: 'return' }, [none, none, both]]);
  expectAtRest(system);
});

describe('who watches', () => {
  const told = (system: Rig): string[] => system.said('flush').filter((said) => said.startsWith('debug'));
  const message = (type: string, batch: string[]): string => `debug: ${type} ${JSON.stringify({ cpus: batch, task: 'task_cpu0' })}`;

  test('is told at the start, and when all CPUs of the batch have answered', () => {
    const system = call(rig('debug')).settle('flush');
    expect(told(system)).toEqual([message('luf.flush_begin', cpus)]);
    answered(system, 'cpu1');
    expect(told(system)).toHaveLength(1);
    answered(system, 'cpu2');
    expect(told(system)).toEqual([message('luf.flush_begin', cpus), message('luf.flushed', cpus)]);
    expect(system.said('flush').slice(-2)).toEqual([message('luf.flushed', cpus), 'p: return']);
  });

  test('is told of an empty batch as well', () => {
    expect(call(rig('debug'), []).said('flush')).toEqual([message('luf.flush_begin', []), message('luf.flushed', []), 'p: return']);
  });

  test('may be absent', () => {
    expect(told(call(rig()).settle())).toEqual([]);
  });
});

test.each([[['cpu0']], [['cpu1', 'cpu2']], [cpus]])('one flush remembers nothing of the one before (%j)', (batch) => {
  const system = call(rig(), batch).settle();
  expectAtRest(system);
  call(takeGen(system), ['cpu0']).settle();
  expect([cached(system)[0], gens(system)[0]]).toEqual([none, 3]);
  expect([system.heard('p'), system.said('flush').slice(-2)]).toEqual([
    [...returned, ...returned],
    [flushOwn, 'p: return'],
  ]);
  expectAtRest(system);
});

describe('its own CPU, others in the batch', () => {
  test('is flushed as well', () => {
    const system = call(rig()).settle();
    expect([system.said('flush').filter((said) => said === flushOwn), cached(system)]).toEqual([[flushOwn], [none, none, none]]);
  });

  const asked = (name: string): string => `${name}: is_lazy.read`;

  test.each([[['cpu0', 'cpu1', 'cpu2']], [['cpu1', 'cpu0', 'cpu2']]])(
    'comes last, wherever it stands in %j: asked when the last IPI is sent, flushed before the wait',
    (batch) => {
      const system = call(rig(), batch).settle();
      expect(system.said('flush')).toEqual([asked('cpu1'), ipiTo('cpu1'), asked('cpu2'), ipiTo('cpu2'), asked('cpu0'), flushOwn, 'net: ipi.wait', 'p: return']);
      expectAtRest(system);
    },
  );

  // smp_call_function_many_cond asks of its own CPU, too, whether it is lazy; only alone in the mask it is flushed unasked.
  test('is left out where it is lazy, and keeps its entries and its generation', () => {
    const system = call(beLazy(rig(), 'cpu0'), ['cpu0', 'cpu1']).settle();
    expect([system.heard('p'), cached(system), gens(system)]).toEqual([returned, [both, none, both], [1, 2, 1]]);
    expect(system.context('cpu0')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: true });
    expect(system.said('flush')).toEqual([asked('cpu1'), ipiTo('cpu1'), asked('cpu0'), 'net: ipi.wait', 'p: return']);
    expectAtRest(system);
  });

  test('is flushed alone where all others are lazy: no IPI, no wait', () => {
    const system = call(beLazy(rig(), 'cpu1'), ['cpu0', 'cpu1']).settle('flush');
    expect([system.said('flush'), cached(system)]).toEqual([
      [asked('cpu1'), asked('cpu0'), flushOwn, 'p: return'],
      [none, both, both],
    ]);
    expectAtRest(system);
  });

  test('nobody is flushed where all are lazy, its own CPU included', () => {
    const system = call(beLazy(beLazy(rig(), 'cpu0'), 'cpu1'), ['cpu0', 'cpu1']).settle('flush');
    expect([system.said('flush'), cached(system)]).toEqual([
      [asked('cpu1'), asked('cpu0'), 'p: return'],
      [both, both, both],
    ]);
    expectAtRest(system);
  });

  test('its entries go while the others have not answered yet', () => {
    const system = call(rig()).stepTo('flush', 'flush_tlb_func');
    expect([ipisTo(system), cached(system)]).toEqual([[], [both, both, both]]);
    system.take('flush', 'step');
    expect([system.at('flush'), cached(system), system.heard('p')]).toEqual(['csd_lock_wait', [none, both, both], []]);
    expectAtRest(system.settle());
  });
});

test('every transition was taken', () => {
  expect(untaken(archTlbbatchFlush)).toEqual([]);
});
