import { addressSpace, cpu, type Pte, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  mm?: string | null;
  ptes?: Record<string, Pte>;
  rcu?: boolean;
}
const rig = ({ mm = 'mm', ptes = { 0: presentPte(4), 1: presentPte(5) }, rcu = false }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [], cpumask: [] } }),
    page4: answers(),
    page5: answers(),
    net: answers(),
    rcu: answers(),
    cpu: actor(cpu, { input: { mm, interconnect: 'net', ...(rcu ? { rcu: 'rcu' } : {}) }, choices: ['interrupt'] }),
    p: probe(),
  });
const fill = (system: Rig, vpn: number): Rig => system.take('cpu', { type: 'fill', vpn });
const access = (system: Rig, vpn: number, write = false): Message[] => system.say('p', 'cpu', { type: 'access', vpn, write });
const ipi = (vpns: number[] | 'all', initiator = 'flush'): Message => ({ type: 'ipi', request: { vpns }, initiator });
const entry = (pfn: number, dirty = false): object => ({ pfn, write: true, dirty });
const tlb = (system: Rig): unknown => system.context('cpu').tlb;
const accessOf = (write: boolean): object => ({ type: 'memory.access', write });
const done = [{ type: 'access.done' }];
const fault = [{ type: 'access.fault' }];

describe('interrupts', () => {
  test('an IPI is latched, then taken: it flushes and acknowledges', () => {
    const system = fill(rig(), 0);
    expect(system.can('cpu', 'interrupt')).toBe(false);
    system.say('p', 'cpu', ipi('all'));
    expect(tlb(system)).toEqual({ 0: entry(4) });
    system.take('cpu', 'interrupt');
    expect(tlb(system)).toEqual({});
    expect(system.heard('net')).toEqual([{ type: 'ipi.ack', initiator: 'flush' }]);
    expect(system.context('cpu').pending).toEqual([]);
    expect(system.can('cpu', 'interrupt')).toBe(false);
  });

  test('it drops the pages asked for, and no others', () => {
    const system = fill(fill(rig(), 0), 1);
    system.say('p', 'cpu', ipi([1, 7]));
    system.take('cpu', 'interrupt');
    expect(tlb(system)).toEqual({ 0: entry(4) });
  });

  test('IPIs are taken one by one, in the order in which they came', () => {
    const system = fill(fill(rig(), 0), 1);
    system.say('p', 'cpu', ipi([0], 'first'));
    system.say('p', 'cpu', ipi([1], 'second'));
    system.take('cpu', 'interrupt');
    expect([tlb(system), system.heard('net')]).toEqual([{ 1: entry(5) }, [{ type: 'ipi.ack', initiator: 'first' }]]);
    system.take('cpu', 'interrupt');
    expect([tlb(system), system.heard('net').at(-1)]).toEqual([{}, { type: 'ipi.ack', initiator: 'second' }]);
  });

  test('while they are off an IPI waits; it is taken afterwards', () => {
    const system = fill(rig(), 0);
    system.say('p', 'cpu', 'irq.save');
    system.say('p', 'cpu', ipi('all'));
    expect(system.can('cpu', 'interrupt')).toBe(false);
    expect([tlb(system), system.heard('net')]).toEqual([{ 0: entry(4) }, []]);
    system.say('p', 'cpu', 'irq.restore');
    expect(system.can('cpu', 'interrupt')).toBe(true);
    system.take('cpu', 'interrupt');
    expect([tlb(system), system.heard('net')]).toEqual([{}, [{ type: 'ipi.ack', initiator: 'flush' }]]);
  });

  test('what was latched before they were off waits too', () => {
    const system = rig();
    system.say('p', 'cpu', ipi('all'));
    system.say('p', 'cpu', 'irq.save');
    expect(system.can('cpu', 'interrupt')).toBe(false);
  });

  test('local_irq_save nests: the outermost restore puts them on again', () => {
    const system = rig();
    const off: boolean[] = [];
    for (const message of ['irq.save', 'irq.save', 'irq.restore', 'irq.restore', 'irq.save']) {
      system.say('p', 'cpu', message);
      off.push(system.at('cpu').includes('interrupts.disabled'));
    }
    expect(off).toEqual([true, true, true, false, true]);
    expect(system.context('cpu').irqDepth).toBe(1);
  });

  test('to RCU, interrupts that are off are one read section, however deep', () => {
    const system = rig({ rcu: true });
    for (const message of ['irq.save', 'irq.save', 'irq.restore']) system.say('p', 'cpu', message);
    expect(system.said('cpu')).toEqual(['rcu: rcu.read_lock']);
    system.say('p', 'cpu', 'irq.restore');
    expect(system.said('cpu')).toEqual(['rcu: rcu.read_lock', 'rcu: rcu.read_unlock']);
    for (const message of ['irq.save', 'irq.restore']) system.say('p', 'cpu', message);
    expect(system.said('cpu').slice(2)).toEqual(['rcu: rcu.read_lock', 'rcu: rcu.read_unlock']);
  });

  test('a CPU that has no RCU tells nobody', () => {
    const system = rig();
    for (const message of ['irq.save', 'irq.restore']) system.say('p', 'cpu', message);
    expect(system.said('cpu')).toEqual([]);
  });
});

describe('the TLB', () => {
  test('a local or broadcast invalidation works at once, interrupts on or off, and is acknowledged by nobody', () => {
    const system = fill(fill(rig(), 0), 1);
    system.say('p', 'cpu', 'irq.save');
    system.say('p', 'cpu', { type: 'tlb.invalidate', request: { vpns: [0] } });
    expect(tlb(system)).toEqual({ 1: entry(5) });
    system.say('p', 'cpu', { type: 'tlb.invalidate', request: { vpns: 'all' } });
    expect(tlb(system)).toEqual({});
    expect(system.heard('net')).toEqual([]);
  });

  test('a speculative walk fills in a present pte; it touches neither page nor D bit, and asks nobody', () => {
    const system = fill(rig(), 0);
    expect(tlb(system)).toEqual({ 0: entry(4) });
    expect(system.said('cpu')).toEqual(['mm: pte.walk {"vpn":0,"write":false}']);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
    expect(system.context('cpu').walk).toBeNull();
  });

  test('it goes on while interrupts are off', () => {
    const system = rig();
    system.say('p', 'cpu', 'irq.save');
    expect(tlb(fill(system, 0))).toEqual({ 0: entry(4) });
  });

  test.each<[string, Pte]>([
    ['none', { kind: 'none' }],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
  ])('it finds nothing in a pte that is %s', (_, pte) => {
    const system = fill(rig({ ptes: { 0: pte } }), 0);
    expect(tlb(system)).toEqual({});
    expect(system.at('cpu')).toContain('mmu.ready');
  });

  test('it needs tables, and fills what is not cached', () => {
    expect(rig({ mm: null }).can('cpu', { type: 'fill', vpn: 0 })).toBe(false);
    const system = fill(rig(), 0);
    expect(system.can('cpu', { type: 'fill', vpn: 0 })).toBe(false);
    expect(system.can('cpu', { type: 'fill', vpn: 1 })).toBe(true);
  });

  test('an entry outlives its pte until it is flushed or evicted', () => {
    const system = fill(fill(rig(), 0), 1);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(tlb(system)).toEqual({ 0: entry(4), 1: entry(5) });
    system.take('cpu', { type: 'evict', vpn: 0 });
    expect(tlb(system)).toEqual({ 1: entry(5) });
    expect(system.can('cpu', { type: 'evict', vpn: 0 })).toBe(false);
  });
});

describe('an access', () => {
  test('that hits uses the entry without a look at the pte', () => {
    const system = fill(rig(), 0);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(access(system, 0)).toEqual(done);
    expect(system.heard('page4')).toEqual([accessOf(false)]);
    expect(system.said('cpu').filter((said) => said.startsWith('mm'))).toHaveLength(1);
  });

  test('that misses walks, fills in and goes to memory', () => {
    const system = rig();
    expect(access(system, 1)).toEqual(done);
    expect(tlb(system)).toEqual({ 1: entry(5) });
    expect([system.heard('page4'), system.heard('page5')]).toEqual([[], [accessOf(false)]]);
    expect(system.context('cpu').walk).toBeNull();
  });

  test('that stores sets D by a locked walk; then it hits', () => {
    const system = rig();
    expect(access(system, 0, true)).toEqual(done);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
    expect(tlb(system)).toEqual({ 0: entry(4, true) });
    access(system, 0, true);
    expect(system.said('cpu').filter((said) => said.startsWith('mm'))).toEqual(['mm: pte.walk {"vpn":0,"write":true}']);
    expect(system.heard('page4')).toEqual([accessOf(true), accessOf(true)]);
  });

  test('that stores through a clean entry walks once more, to set D', () => {
    const system = fill(rig(), 0);
    expect(access(system, 0, true)).toEqual(done);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
    expect(tlb(system)).toEqual({ 0: entry(4, true) });
  });

  test('that stores through a clean entry of a pte that is gone faults: nothing is written behind the back of whoever cleared it', () => {
    const system = fill(rig(), 0);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(access(system, 0, true)).toEqual(fault);
    expect(system.heard('page4')).toEqual([]);
  });

  test.each([false, true])('faults when there is no pte (store: %s)', (write) => {
    const system = rig({ ptes: {} });
    expect(access(system, 0, write)).toEqual(fault);
    expect([tlb(system), system.context('cpu').walk, system.at('cpu')]).toEqual([{}, null, expect.stringContaining('mmu.ready')]);
  });

  test('to what is read-only loads, and faults when it stores, cached or not', () => {
    const ptes = { 0: presentPte(4, { write: false }) };
    const system = rig({ ptes });
    expect(access(system, 0, true)).toEqual(fault);
    expect(access(system, 0)).toEqual(done);
    expect(access(system, 0, true)).toEqual(fault);
    expect(system.heard('page4')).toEqual([accessOf(false)]);
    expect(system.context('mm').ptes).toEqual(ptes);
  });

  test('faults when no tables are loaded', () => {
    const system = rig({ mm: null });
    expect(access(system, 0)).toEqual(fault);
    expect(system.said('cpu')).toEqual(['p: access.fault']);
  });
});

describe('which tables are loaded', () => {
  test('lazy mode is entered and left, and can be read', () => {
    const system = fill(rig(), 0);
    const mode = (): unknown => system.say('p', 'cpu', 'lazy.read');
    expect(mode()).toEqual([{ type: 'tlb_state', mode: 'running' }]);
    system.say('p', 'cpu', 'lazy.enter');
    expect(mode()).toEqual([{ type: 'tlb_state', mode: 'lazy' }]);
    system.say('p', 'cpu', 'lazy.leave');
    expect(mode()).toEqual([{ type: 'tlb_state', mode: 'running' }]);
    expect(tlb(system)).toEqual({ 0: entry(4) });
  });

  test('a lazy CPU keeps its entries and goes on walking', () => {
    const system = fill(rig(), 0);
    system.say('p', 'cpu', 'lazy.enter');
    expect(tlb(fill(system, 1))).toEqual({ 0: entry(4), 1: entry(5) });
  });

  test('switch_mm loads other tables, drops every entry, and is lazy no more', () => {
    const system = fill(rig(), 0);
    system.say('p', 'cpu', 'lazy.enter');
    system.say('p', 'cpu', { type: 'switch_mm', mm: null });
    expect(system.context('cpu')).toMatchObject({ loadedMm: null, lazy: false, tlb: {} });
    expect(access(system, 0)).toEqual(fault);
    system.say('p', 'cpu', { type: 'switch_mm', mm: 'mm' });
    expect(access(system, 0)).toEqual(done);
  });
});

test('every transition was taken', () => {
  expect(untaken(cpu)).toEqual([]);
});
