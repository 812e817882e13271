import { addressSpace, contextSwitch, cpu, folio, LOADED_MM_SWITCHING, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  mm?: string | null;
  machine?: typeof contextSwitch;
}

/** A CPU that has `mm` loaded and its page cached, or nothing of either. */
function rig({ mm = 'mm', machine = contextSwitch }: Setup = {}): Rig {
  const space = (pfn: number, cpumask: string[]) => actor(addressSpace, { input: { ptes: { 0: presentPte(pfn) }, vmas: [], cpumask } });
  const page = (pfn: number) => actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal' } });
  const system = new Rig({
    mm: space(4, mm === null ? [] : ['cpu']),
    other: space(6, []),
    page4: page(4),
    page6: page(6),
    net: answers(),
    cpu: actor(cpu, { input: { mm, interconnect: 'net' }, choices: ['interrupt'] }),
    switch: actor(machine, { input: { cpu: 'cpu' } }),
    p: probe(),
    q: probe(),
  });
  return mm === null ? system : system.take('cpu', { type: 'fill', vpn: 0 });
}
const call = (system: Rig, next: string | null): Rig => {
  system.say('p', 'switch', { type: 'call', next });
  return system;
};
const switchTo = (system: Rig, ...nexts: (string | null)[]): Rig => {
  for (const next of nexts) call(system, next).settle('switch');
  return system;
};
/** The address space is flushed by another CPU: this one is left out. */
const flushed = (system: Rig, mm = 'mm'): Rig => {
  system.say('q', mm, { type: 'pte.get_and_clear', vpn: 0 });
  system.say('q', mm, 'tlb_gen.inc');
  return system;
};
const ipi: Message = { type: 'ipi', request: { function: 'flush_tlb_func', mm: 'mm', vpns: [0], freedTables: false, gen: 2 }, initiator: 'flush' };
const access = (system: Rig): unknown => system.say('q', 'cpu', { type: 'access', vpn: 0, write: false })[0]?.type;
const cached = (system: Rig): string[] => Object.keys(system.context('cpu').tlb);
const maskOf = (system: Rig, mm: string): unknown => system.context(mm).cpumask;
const loadedMm = (system: Rig): unknown => system.say('q', 'cpu', 'loaded_mm.read')[0]?.mm;
const saidAfter = (system: Rig, before: string[]): string[] => system.said('switch').slice(before.length);
/** All that it says in a switch to this. */
const talk = (system: Rig, next: string | null): string[] => {
  const before = system.said('switch');
  return saidAfter(switchTo(system, next), before);
};

describe('to a kernel thread', () => {
  test('it borrows what is loaded, lazily: one step, interrupts as they are', () => {
    const system = rig();
    expect(talk(system, 'kthread')).toEqual(['cpu: loaded_mm.read', 'cpu: is_lazy.set', 'p: return']);
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: true, ctxs: { mm: 1 } });
    expect([cached(system), maskOf(system, 'mm')]).toEqual([['mm/0'], ['cpu']]);
  });
});

test('with init_mm loaded a kernel thread borrows nothing, and the CPU is not lazy', () => {
  const system = rig({ mm: null });
  expect(talk(system, 'kthread')).toEqual(['cpu: loaded_mm.read', 'p: return']);
  expect(switchTo(system, null).context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
});

describe('within one address space', () => {
  test('nothing is to do: interrupts off and on', () => {
    const system = flushed(rig());
    expect(talk(system, 'mm')).toEqual(['cpu: irq.save', 'cpu: loaded_mm.read', 'cpu: is_lazy.read', 'cpu: irq.restore', 'p: return']);
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', ctxs: { mm: 1 } });
  });

  test('nor from init_mm to init_mm', () => {
    const system = rig({ mm: null });
    expect(talk(system, null)).toEqual(['cpu: irq.save', 'cpu: loaded_mm.read', 'cpu: is_lazy.read', 'cpu: irq.restore', 'p: return']);
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
  });

  test('out of lazy mode: lazy no more, then how far has it been flushed?', () => {
    expect(talk(switchTo(rig(), 'kthread'), 'mm')).toEqual([
      'cpu: irq.save',
      'cpu: loaded_mm.read',
      'cpu: is_lazy.read',
      'cpu: is_lazy.clear',
      'mm: tlb_gen.read',
      'cpu: cr3.write {"mm":"mm","gen":1}',
      'cpu: loaded_mm.write {"mm":"mm"}',
      'cpu: irq.restore',
      'p: return',
    ]);
  });

  test('out of lazy mode: what was not flushed meanwhile stays cached', () => {
    const system = switchTo(rig(), 'kthread', 'mm');
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: false, ctxs: { mm: 1 } });
    expect([cached(system), access(system)]).toEqual([['mm/0'], 'access.done']);
  });

  test('B5: out of lazy mode a CPU makes up for the flushes that left it out; one that does not look keeps a stale entry', () => {
    const after = [contextSwitch, contextSwitch.provide({ guards: { comparesGen: () => false } })].map((machine) => {
      const system = switchTo(flushed(switchTo(rig({ machine }), 'kthread')), 'mm');
      return [system.context('cpu').lazy, system.context('cpu').ctxs, access(system)];
    });
    expect(after).toEqual([
      [false, { mm: 2 }, 'access.fault'],
      [false, { mm: 1 }, 'access.done'],
    ]);
  });

  test('a lazy CPU that an IPI took out of the address space comes back as from another one', () => {
    const system = flushed(switchTo(rig(), 'kthread'));
    system.say('q', 'cpu', ipi);
    system.take('cpu', 'interrupt');
    expect(loadedMm(system)).toBeNull();
    switchTo(system, 'mm');
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: false, ctxs: { mm: 2 }, tlb: {} });
  });
});

describe('to another address space', () => {
  test('first SWITCHING, then into the mask, then the generation, then the tables, then loaded_mm', () => {
    expect(talk(rig(), 'other')).toEqual([
      'cpu: irq.save',
      'cpu: loaded_mm.read',
      'cpu: is_lazy.read',
      `cpu: loaded_mm.write {"mm":"${LOADED_MM_SWITCHING}"}`,
      'other: cpumask.set {"cpu":"cpu"}',
      'other: tlb_gen.read',
      'cpu: cr3.write {"mm":"other","gen":1}',
      'cpu: loaded_mm.write {"mm":"other"}',
      'cpu: irq.restore',
      'p: return',
    ]);
  });

  test('the bit of the one that is left stays, and so do its entries', () => {
    const system = switchTo(rig(), 'other');
    expect([maskOf(system, 'mm'), maskOf(system, 'other'), cached(system)]).toEqual([['cpu'], ['cpu'], ['mm/0']]);
    expect(system.context('cpu')).toMatchObject({ cr3: 'other', loadedMm: 'other', lazy: false, ctxs: { mm: 1, other: 1 } });
  });

  test('F4: the next IPI finds the bit out of date, and clears it', () => {
    const system = flushed(switchTo(rig(), 'other'));
    system.say('q', 'cpu', ipi);
    system.take('cpu', 'interrupt');
    expect([maskOf(system, 'mm'), maskOf(system, 'other'), cached(system)]).toEqual([[], ['cpu'], ['mm/0']]);
    expect(maskOf(switchTo(system, 'mm'), 'mm')).toEqual(['cpu']);
  });

  test('from a lazy CPU: lazy no more, before loaded_mm changes', () => {
    const system = switchTo(rig(), 'kthread');
    expect(talk(system, 'other').slice(0, 5)).toEqual([
      'cpu: irq.save',
      'cpu: loaded_mm.read',
      'cpu: is_lazy.read',
      'cpu: is_lazy.clear',
      `cpu: loaded_mm.write {"mm":"${LOADED_MM_SWITCHING}"}`,
    ]);
    expect(system.context('cpu')).toMatchObject({ cr3: 'other', loadedMm: 'other', lazy: false });
  });

  test('from init_mm', () => {
    const system = switchTo(rig({ mm: null }), 'mm');
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', ctxs: { mm: 1 } });
    expect([maskOf(system, 'mm'), access(system)]).toEqual([['cpu'], 'access.done']);
  });

  test.each([
    ['used again, if nothing was flushed meanwhile', false, { mm: 1, other: 1 }, 'access.done'],
    ['dropped, if something was', true, { mm: 2, other: 1 }, 'access.fault'],
  ])('what was left cached is, on the way back, %s', (_, flushes, ctxs, answer) => {
    const system = switchTo(rig(), 'other');
    if (flushes) flushed(system);
    switchTo(system, 'mm');
    expect([system.context('cpu').ctxs, access(system)]).toEqual([ctxs, answer]);
  });

  test('from the first write to the last, loaded_mm is SWITCHING, whatever CR3 is', () => {
    const system = call(rig(), 'other');
    const seen: unknown[] = [];
    while (system.at('switch') !== 'idle') {
      seen.push([system.at('switch'), loadedMm(system), system.context('cpu').cr3]);
      system.take('switch', 'step');
    }
    expect(seen).toEqual([
      ['local_irq_disable', 'mm', 'mm'],
      ['write_switching', 'mm', 'mm'],
      ['cpumask_set_cpu', LOADED_MM_SWITCHING, 'mm'],
      ['read_tlb_gen', LOADED_MM_SWITCHING, 'mm'],
      ['load_new_mm_cr3', LOADED_MM_SWITCHING, 'mm'],
      ['write_loaded_mm', LOADED_MM_SWITCHING, 'other'],
      ['local_irq_enable', 'other', 'other'],
    ]);
  });

  test('IPIs wait from its first step to its last', () => {
    const system = call(rig(), 'other');
    system.take('switch', 'step').say('q', 'cpu', ipi);
    while (system.at('switch') !== 'idle') {
      expect(system.can('cpu', 'interrupt')).toBe(false);
      system.take('switch', 'step');
    }
    expect([system.can('cpu', 'interrupt'), system.heard('net')]).toEqual([true, []]);
  });
});

describe('B3: a flush between the mask and the generation', () => {
  /** The CPU comes back to an address space that it still has cached; an IPI has found its bit out of date. */
  const comingBack = (machine: typeof contextSwitch, state: string): Rig => {
    const system = switchTo(rig({ machine }), 'other');
    system.say('q', 'cpu', ipi);
    system.take('cpu', 'interrupt');
    return flushed(call(system, 'mm').stepTo('switch', state));
  };

  test('finds the CPU in the mask, and its generation is read', () => {
    const system = comingBack(contextSwitch, 'read_tlb_gen');
    expect(maskOf(system, 'mm')).toEqual(['cpu']);
    expect([system.settle('switch').context('cpu').ctxs, access(system)]).toEqual([{ mm: 2, other: 1 }, 'access.fault']);
  });

  test('is missed by a CPU that reads the generation first: no bit yet, and a stale entry', () => {
    const hasty = contextSwitch.provide({ guards: { setsMaskFirst: () => false } });
    const system = comingBack(hasty, 'cpumask_set_cpu');
    expect(maskOf(system, 'mm')).toEqual([]);
    expect([system.settle('switch').context('cpu').ctxs, access(system)]).toEqual([{ mm: 1, other: 1 }, 'access.done']);
    expect([maskOf(system, 'mm'), loadedMm(system)]).toEqual([['cpu'], 'mm']);
  });
});

describe('to init_mm', () => {
  test('no tables, no mask, no generation', () => {
    const system = rig();
    expect(talk(system, null)).toEqual([
      'cpu: irq.save',
      'cpu: loaded_mm.read',
      'cpu: is_lazy.read',
      `cpu: loaded_mm.write {"mm":"${LOADED_MM_SWITCHING}"}`,
      'cpu: cr3.write {"mm":null,"gen":null}',
      'cpu: loaded_mm.write {"mm":null}',
      'cpu: irq.restore',
      'p: return',
    ]);
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, ctxs: { mm: 1 } });
    expect([cached(system), maskOf(system, 'mm'), access(system)]).toEqual([['mm/0'], ['cpu'], 'access.fault']);
  });

  test('from a lazy CPU: lazy no more', () => {
    expect(switchTo(rig(), 'kthread', null).context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
  });
});

test.each<[string | null]>([['kthread'], ['mm'], ['other'], [null]])('it remembers nothing of the switch before (%s)', (next) => {
  const system = switchTo(rig(), next);
  expect([system.at('switch'), system.context('switch')]).toEqual(['idle', { cpu: 'cpu', caller: '', next: null, gen: null }]);
  expect(switchTo(system, 'other', 'mm').heard('p')).toEqual([{ type: 'return' }, { type: 'return' }, { type: 'return' }]);
});

test('every transition was taken', () => {
  expect(untaken(contextSwitch)).toEqual([]);
});
