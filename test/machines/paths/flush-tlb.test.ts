import { addressSpace, cpu, flushTlb, interconnect, LOADED_MM_SWITCHING, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const cpus = ['cpu0', 'cpu1', 'cpu2'];

interface Setup {
  mask?: string[];
  kind?: 'ipi' | 'broadcast';
  machine?: typeof flushTlb;
}

/** Three CPUs with two pages and their table cached, of which those in the mask are known to; it flushes from cpu0. */
function rig({ mask = cpus, kind = 'ipi', machine = flushTlb }: Setup = {}): Rig {
  const flush = (on: string) => actor(machine, { input: { cpu: on, mm: 'mm', interconnect: 'net', kind } });
  const system = new Rig({
    mm: actor(addressSpace, { input: { ptes: { 0: presentPte(4), 1: presentPte(5) }, pmds: { 0: 'table0' }, vmas: [], cpumask: mask } }),
    table0: answers(),
    ...(Object.fromEntries(cpus.map((name) => [name, actor(cpu, { input: { mm: 'mm', interconnect: 'net' }, choices: ['interrupt'] })])) as Actors),
    net: actor(interconnect, { input: { cpus }, choices: cpus.map((to) => ({ type: 'deliver' as const, to })) }),
    flush: flush('cpu0'),
    flush1: flush('cpu1'),
    p: probe(),
    q: probe(),
  });
  for (const name of cpus) for (const vpn of [0, 1]) system.take(name, { type: 'fill', vpn });
  return system;
}
const call = (system: Rig, vpns: number[] | 'all' = [0], freedTables?: boolean): Rig => {
  system.say('p', 'flush', { type: 'call', vpns, ...(freedTables === undefined ? {} : { freedTables }) });
  return system;
};
const loadOther = (system: Rig, name: string): Rig => {
  system.say('p', name, { type: 'cr3.write', mm: 'other', gen: 1 });
  system.say('p', name, { type: 'loaded_mm.write', mm: 'other' });
  return system;
};
const beLazy = (system: Rig, name: string): Rig => {
  system.say('p', name, 'is_lazy.set');
  return system;
};
const cached = (system: Rig): string[] => cpus.map((name) => Object.keys(system.context(name).tlb).join(' '));
const tables = (system: Rig): unknown[] => cpus.map((name) => Object.values(system.context(name).tables).join());
const gens = (system: Rig): unknown[] => cpus.map((name) => system.context(name).ctxs.mm);
const returned = (system: Rig): boolean => system.heard('p').length > 0;
const ipisTo = (system: Rig): string[] => cpus.filter((name) => system.heard(name).some(({ type }) => type === 'ipi'));
const [both, second, none] = ['mm/0 mm/1', 'mm/1', ''];
const request = '{"mm":"mm","vpns":[0],"freedTables":false,"gen":2}';

test('F2: nobody else in the mask: only the local flush', () => {
  const system = call(rig({ mask: ['cpu0'] })).settle();
  expect(system.said('flush')).toEqual([
    'mm: tlb_gen.inc',
    'mm: cpumask.read',
    'cpu0: loaded_mm.read',
    `cpu0: flush_tlb_func {"request":${request}}`,
    'p: return',
  ]);
  expect([cached(system), gens(system), system.context('mm').tlbGen]).toEqual([[second, both, both], [2, 1, 1], 2]);
});

test.each([[['cpu0']], [[]]])(
  'F2: nobody else in the mask, and another address space loaded here: nothing is flushed, but the generation is new (%j)',
  (mask) => {
    const system = call(loadOther(rig({ mask }), 'cpu0'), [0], true).settle();
    expect(system.said('flush')).toEqual(['mm: tlb_gen.inc', 'mm: cpumask.read', 'cpu0: loaded_mm.read', 'p: return']);
    expect([cached(system), gens(system), system.context('mm').tlbGen]).toEqual([[both, both, both], [1, 1, 1], 2]);
  },
);

test('F2: nobody else in the mask: a lazy CPU is flushed too, and leaves the address space', () => {
  const system = call(beLazy(rig({ mask: ['cpu0'] }), 'cpu0')).settle();
  expect([returned(system), cached(system)]).toEqual([true, [both, both, both]]);
  expect(system.context('cpu0')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
});

test('F1 to F4: a new generation, the mask, its own CPU, CPU by CPU with its IPI, the local flush, the wait', () => {
  expect(call(rig()).settle().said('flush')).toEqual([
    'mm: tlb_gen.inc',
    'mm: cpumask.read',
    'cpu0: loaded_mm.read',
    'cpu0: is_lazy.read',
    'cpu1: loaded_mm.read',
    'cpu1: is_lazy.read',
    'net: ipi.send {"to":["cpu1"],"request":{"function":"flush_tlb_func","mm":"mm","vpns":[0],"freedTables":false,"gen":2}}',
    'cpu2: loaded_mm.read',
    'cpu2: is_lazy.read',
    'net: ipi.send {"to":["cpu2"],"request":{"function":"flush_tlb_func","mm":"mm","vpns":[0],"freedTables":false,"gen":2}}',
    `cpu0: flush_tlb_func {"request":${request}}`,
    'net: ipi.wait',
    'p: return',
  ]);
});

test('F4: it returns when every target in the mask has run the function; then none has the page cached', () => {
  const system = call(rig()).settle('flush');
  expect([system.at('flush'), system.can('flush', 'step')]).toEqual(['csd_lock_wait', false]);
  expect(cached(system)).toEqual([second, both, both]);
  for (const name of ['cpu2', 'cpu1']) {
    system.take('net', { type: 'deliver', to: name });
    expect(returned(system)).toBe(false);
    system.take(name, 'interrupt');
  }
  expect([returned(system), cached(system), system.at('flush')]).toEqual([true, [second, second, second], 'idle']);
});

test('a flush of everything drops everything', () => {
  expect(cached(call(rig(), 'all').settle())).toEqual([none, none, none]);
});

test('F1: every flush has a generation of its own, to which it takes each TLB', () => {
  const system = rig();
  for (const [vpn, gen] of [
    [0, 2],
    [1, 3],
  ] as const) {
    call(system, [vpn]).settle();
    expect([system.context('mm').tlbGen, gens(system)]).toEqual([gen, [gen, gen, gen]]);
  }
  expect([cached(system), system.heard('p')]).toEqual([
    [none, none, none],
    [{ type: 'return' }, { type: 'return' }],
  ]);
});

test('two flushes at once from two CPUs: both return, and nothing of either is cached anywhere', () => {
  const system = call(rig(), [0]).stepTo('flush', 'flush_tlb_func');
  system.say('q', 'flush1', { type: 'call', vpns: [1] });
  system.settle('flush1').settle();
  expect([system.heard('p'), system.heard('q')]).toEqual([[{ type: 'return' }], [{ type: 'return' }]]);
  expect([cached(system), gens(system)]).toEqual([
    [none, none, none],
    [3, 3, 3],
  ]);
});

test('F4: a target with interrupts off holds it up', () => {
  const system = rig({ mask: ['cpu0', 'cpu1'] });
  system.say('p', 'cpu1', 'irq.save');
  call(system).settle();
  expect([returned(system), system.at('flush')]).toEqual([false, 'csd_lock_wait']);
  system.say('p', 'cpu1', 'irq.restore');
  expect(returned(system.settle())).toBe(true);
});

test('F3: a lazy CPU is left out, and keeps its entries and its generation', () => {
  const system = call(beLazy(rig(), 'cpu1')).settle();
  expect([returned(system), cached(system), gens(system)]).toEqual([true, [second, both, second], [2, 1, 2]]);
  expect([ipisTo(system), system.context('cpu1')]).toEqual([['cpu2'], expect.objectContaining({ cr3: 'mm', lazy: true })]);
});

test('F3: when all others are lazy nobody is sent an IPI', () => {
  const system = call(beLazy(rig({ mask: ['cpu0', 'cpu1'] }), 'cpu1')).settle('flush');
  expect([returned(system), cached(system), system.heard('net')]).toEqual([true, [second, both, both], []]);
});

test('F3: a CPU in the mask that has another address space loaded is left out, and stays in the mask', () => {
  const system = call(loadOther(rig(), 'cpu1')).settle();
  expect([returned(system), cached(system), ipisTo(system), system.context('mm').cpumask]).toEqual([true, [second, both, second], ['cpu2'], cpus]);
});

describe('F3: its own CPU, others in the mask', () => {
  const saidTo = (system: Rig, name: string): string[] => system.said('flush').filter((said) => said.startsWith(name));

  test('is asked nothing, and not flushed, where it is not in the mask', () => {
    const system = call(loadOther(rig({ mask: ['cpu1', 'cpu2'] }), 'cpu0')).settle();
    expect([returned(system), saidTo(system, 'cpu0'), cached(system)]).toEqual([true, [], [both, second, second]]);
  });

  test('is left out where it has another address space loaded, and stays in the mask; the others are flushed', () => {
    const system = call(loadOther(rig(), 'cpu0')).settle();
    expect([returned(system), saidTo(system, 'cpu0')]).toEqual([true, ['cpu0: loaded_mm.read']]);
    expect([cached(system), gens(system), system.context('mm').cpumask]).toEqual([[both, second, second], [1, 2, 2], cpus]);
  });

  test('is left out where it is lazy, and keeps its entries and its generation; the others are waited for', () => {
    const system = call(beLazy(rig({ mask: ['cpu0', 'cpu1'] }), 'cpu0')).settle('flush');
    expect([returned(system), system.at('flush')]).toEqual([false, 'csd_lock_wait']);
    system.settle();
    expect([returned(system), saidTo(system, 'cpu0')]).toEqual([true, ['cpu0: loaded_mm.read', 'cpu0: is_lazy.read']]);
    expect([cached(system), gens(system)]).toEqual([
      [both, second, both],
      [1, 2, 1],
    ]);
    expect(system.context('cpu0')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: true });
  });

  test('when all are lazy nothing is flushed, and nobody is waited for', () => {
    const system = call(beLazy(beLazy(rig({ mask: ['cpu0', 'cpu1'] }), 'cpu0'), 'cpu1')).settle('flush');
    expect([returned(system), system.heard('net'), gens(system), system.context('mm').tlbGen]).toEqual([true, [], [1, 1, 1], 2]);
  });

  test('is flushed unseen where page tables were freed: a lazy one leaves the address space', () => {
    const system = call(beLazy(rig({ mask: ['cpu0', 'cpu1'] }), 'cpu0'), [0], true).settle();
    const freed = '{"mm":"mm","vpns":[0],"freedTables":true,"gen":2}';
    expect([returned(system), saidTo(system, 'cpu0')]).toEqual([true, [`cpu0: flush_tlb_func {"request":${freed}}`]]);
    expect(system.context('cpu0')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
  });

  test('is not flushed where it is not in the mask, page tables freed or not', () => {
    const system = call(loadOther(rig({ mask: ['cpu1'] }), 'cpu0'), [0], true).settle();
    expect([returned(system), saidTo(system, 'cpu0'), tables(system)]).toEqual([true, [], ['table0', '', 'table0']]);
  });
});

describe('F3: a CPU in the middle of a switch', () => {
  const switching = (machine: typeof flushTlb): Rig => {
    const system = rig({ mask: ['cpu0', 'cpu1'], machine });
    for (const message of ['irq.save', { type: 'loaded_mm.write', mm: LOADED_MM_SWITCHING }]) {
      system.say('p', 'cpu1', typeof message === 'string' ? { type: message } : message);
    }
    return call(system).settle();
  };
  const arrive = (system: Rig): Rig => {
    system.say('p', 'cpu1', { type: 'loaded_mm.write', mm: 'mm' });
    system.say('p', 'cpu1', 'irq.restore');
    return system.settle();
  };

  test('is waited for: it may be on its way to this address space', () => {
    const system = switching(flushTlb);
    expect([returned(system), system.at('flush'), ipisTo(system)]).toEqual([false, 'csd_lock_wait', ['cpu1']]);
    arrive(system);
    expect([returned(system), cached(system)]).toEqual([true, [second, second, both]]);
  });

  test('keeps a stale entry if it is taken for one that has another address space', () => {
    const system = switching(flushTlb.provide({ guards: { isSwitching: () => false } }));
    expect([returned(system), ipisTo(system)]).toEqual([true, []]);
    expect(cached(arrive(system))).toEqual([second, both, both]);
  });
});

describe('F3: where page tables were freed', () => {
  const flushed = (machine: typeof flushTlb): Rig => {
    return call(beLazy(loadOther(rig({ machine }), 'cpu2'), 'cpu1'), [0], true).settle();
  };

  test('every CPU in the mask is asked, unseen: a lazy one leaves the address space, one that has another takes itself out of the mask', () => {
    const system = flushed(flushTlb);
    expect([returned(system), ipisTo(system)]).toEqual([true, ['cpu1', 'cpu2']]);
    expect(system.context('cpu1')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
    expect([system.context('mm').cpumask, system.context('cpu0').tables]).toEqual([['cpu0', 'cpu1'], {}]);
    expect(system.said('flush').filter((said) => said.includes('.read'))).toEqual(['mm: cpumask.read']);
    expect(system.can('cpu1', { type: 'evict_table', vpn: 0 })).toBe(false);
  });

  test('a lazy CPU that is left out goes on walking a table that is freed', () => {
    const system = flushed(flushTlb.provide({ guards: { reachesEveryCpu: () => false } }));
    expect([returned(system), ipisTo(system), tables(system)]).toEqual([true, [], ['', 'table0', 'table0']]);
    expect([system.context('cpu1').cr3, system.can('cpu1', { type: 'evict_table', vpn: 0 })]).toEqual(['mm', true]);
  });

  test('tables are freed only where the caller says so', () => {
    const freed = [undefined, false, true].map(
      (freedTables) =>
        call(rig({ kind: 'broadcast' }), [0], freedTables)
          .settle()
          .heard('net')[0]?.request,
    );
    expect(freed).toEqual([false, false, true].map((freedTables) => ({ mm: 'mm', vpns: [0], freedTables, gen: 2 })));
  });
});

describe('F4: two CPUs flush each other', () => {
  const eachOther = (machine: typeof flushTlb): Rig => {
    const system = call(rig({ mask: ['cpu0', 'cpu1'], machine }), [0]);
    system.say('q', 'flush1', { type: 'call', vpns: [1] });
    return system.settle('flush').settle('flush1').settle();
  };

  test('with interrupts on each answers while it waits', () => {
    const system = eachOther(flushTlb);
    expect([system.at('flush'), system.at('flush1'), cached(system)]).toEqual(['idle', 'idle', [none, none, both]]);
  });

  test('with interrupts off they wait for each other for ever', () => {
    const system = eachOther(flushTlb.provide({ guards: { sendsWithIrqsOn: () => false } }));
    expect([system.at('flush'), system.at('flush1'), returned(system)]).toEqual(['csd_lock_wait', 'csd_lock_wait', false]);
    expect(system.live.enabled()).toEqual([]);
  });

  test('interrupts that it puts off it puts on again before it returns', () => {
    const system = call(rig({ mask: ['cpu0', 'cpu1'], machine: flushTlb.provide({ guards: { sendsWithIrqsOn: () => false } }) })).settle();
    expect(system.said('flush').filter((said) => !said.startsWith('mm'))).toEqual([
      'cpu0: irq.save',
      'cpu0: loaded_mm.read',
      'cpu0: is_lazy.read',
      'cpu1: loaded_mm.read',
      'cpu1: is_lazy.read',
      'net: ipi.send {"to":["cpu1"],"request":{"function":"flush_tlb_func","mm":"mm","vpns":[0],"freedTables":false,"gen":2}}',
      `cpu0: flush_tlb_func {"request":${request}}`,
      'net: ipi.wait',
      'cpu0: irq.restore',
      'p: return',
    ]);
  });
});

test('F4: the last target may be faster than the local flush, which is done all the same', () => {
  const system = call(rig({ mask: ['cpu0', 'cpu1'] })).stepTo('flush', 'flush_tlb_func');
  system.take('net', { type: 'deliver', to: 'cpu1' }).take('cpu1', 'interrupt');
  expect([returned(system), cached(system)]).toEqual([false, [both, second, both]]);
  system.settle('flush');
  expect([returned(system), cached(system)]).toEqual([true, [second, second, both]]);
});

describe('F4: a target may run the function before the next CPU is decided about', () => {
  const early = (): Rig => {
    const system = call(rig()).stepTo('flush', 'csd_queue_cpu').take('flush', 'step');
    system.take('net', { type: 'deliver', to: 'cpu1' }).take('cpu1', 'interrupt');
    expect([system.at('flush'), system.context('flush').mask, cached(system)]).toEqual(['should_flush_tlb', ['cpu2'], [both, second, both]]);
    return system;
  };

  test('the next one is asked and waited for all the same', () => {
    const system = early().settle('flush');
    expect([returned(system), system.at('flush'), cached(system)]).toEqual([false, 'csd_lock_wait', [second, second, both]]);
    system.take('net', { type: 'deliver', to: 'cpu2' }).take('cpu2', 'interrupt');
    expect([returned(system), cached(system)]).toEqual([true, [second, second, second]]);
  });

  test('where the next one is left out, nobody is waited for any more', () => {
    const system = beLazy(early(), 'cpu2').settle('flush');
    expect([returned(system), ipisTo(system), cached(system)]).toEqual([true, ['cpu1'], [second, second, both]]);
  });
});

test('F3: where page tables were freed too, CPUs are asked one by one', () => {
  const system = call(rig(), [0], true).stepTo('flush', 'csd_queue_cpu').take('flush', 'step');
  expect([system.at('flush'), system.context('flush').mask]).toEqual(['csd_queue_cpu', ['cpu2']]);
  system.take('net', { type: 'deliver', to: 'cpu1' }).take('cpu1', 'interrupt');
  expect(tables(system)).toEqual(['table0', '', 'table0']);
  expect([returned(system.settle()), tables(system)]).toEqual([true, ['', '', '']]);
});

describe('a broadcast', () => {
  test('drops the entries of every CPU, lazy or with interrupts off, in one step', () => {
    const system = rig({ mask: ['cpu0'], kind: 'broadcast' });
    system.say('p', 'cpu1', 'irq.save');
    system.say('p', 'cpu2', 'is_lazy.set');
    call(system).settle('flush');
    expect([returned(system), cached(system)]).toEqual([true, [second, second, second]]);
    expect(system.said('flush')).toEqual(['mm: tlb_gen.inc', `net: tlbi {"request":${request}}`, 'p: return']);
  });

  test.each([
    [false, ['table0', 'table0', 'table0']],
    [true, ['', '', '']],
  ])('drops upper levels where page tables were freed (%s)', (freedTables, left) => {
    expect(tables(call(rig({ kind: 'broadcast' }), [0], freedTables).settle())).toEqual(left);
  });
});

test.each<Setup>([{ mask: cpus }, { mask: ['cpu0'] }, { kind: 'broadcast' }])('one flush remembers nothing of the one before (%j)', (setup) => {
  const system = call(rig(setup), [0], true).settle('flush').settle();
  expect(system.context('flush')).toMatchObject({
    mask: [],
    queued: false,
    local: false,
    caller: '',
    request: { mm: '', vpns: [], freedTables: false, gen: 0 },
  });
  call(system, [1]).settle();
  expect([cached(system)[0], system.heard('p')]).toEqual([none, [{ type: 'return' }, { type: 'return' }]]);
  expect(system.context('mm').tlbGen).toBe(3);
});

test('every transition was taken', () => {
  expect(untaken(flushTlb)).toEqual([]);
});
