import type { AnyFlushRequest } from '../../../machines/hardware/cpu.js';
import {
  addressSpace,
  coherence,
  cpu,
  drains,
  type FlushRequest,
  folio,
  LOADED_MM_SWITCHING,
  type Pte,
  presentPte,
  type StoreOrdering,
  storeBuffer,
  type TlbEntry,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  mm?: string | null;
  ptes?: Record<string, Pte>;
  rcu?: boolean;
  /** The page-table page of the first ptes; undefined: not modelled. */
  table?: string;
  cached?: { mm: string; tlb: Record<string, TlbEntry> };
  /** Somebody is told what the TLB has dropped. */
  observed?: boolean;
  /** Its stores go through a store buffer, `buffer`. */
  buffered?: StoreOrdering;
  machine?: typeof cpu;
  others?: Actors;
}
const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal' } }) });
const rig = ({
  mm = 'mm',
  ptes = { 0: presentPte(4), 1: presentPte(5) },
  rcu = false,
  table,
  cached,
  observed,
  buffered,
  machine = cpu,
  others,
}: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, pmds: table === undefined ? {} : { 0: table }, vmas: [], cpumask: ['cpu', 'cpu1'] } }),
    other: actor(addressSpace, { input: { ptes: { 0: presentPte(6) }, vmas: [], cpumask: ['cpu', 'cpu1'] } }),
    ...page(4),
    ...page(5),
    ...page(6),
    ...page(9),
    table0: answers(),
    net: answers(),
    rcu: answers(),
    observer: answers(),
    ...(buffered ? { buffer: actor(storeBuffer, { input: { ordering: buffered }, choices: drains(2) }) } : {}),
    cpu: actor(machine, {
      input: {
        mm,
        interconnect: 'net',
        ...(rcu ? { rcu: 'rcu' } : {}),
        ...(observed ? { observer: 'observer' } : {}),
        ...(buffered ? { storeBuffer: 'buffer' } : {}),
        ...(cached ? { cached } : {}),
      },
      choices: ['interrupt'],
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const fill = (system: Rig, ...vpns: number[]): Rig => {
  for (const vpn of vpns) system.take('cpu', { type: 'fill', vpn });
  return system;
};
const tell = (system: Rig, ...messages: (Message | string)[]): Rig => {
  for (const message of messages) system.say('p', 'cpu', message);
  return system;
};
/** Flushes begin: the address space goes on to a later generation. */
const nextGen = (system: Rig, times = 1): Rig => {
  for (let time = 0; time < times; time++) system.say('p', 'mm', 'tlb_gen.inc');
  return system;
};
const request = (gen: number, vpns: FlushRequest['vpns'] = 'all', differs: Partial<FlushRequest> = {}): FlushRequest => ({
  mm: 'mm',
  vpns,
  freedTables: false,
  gen,
  ...differs,
});
/** What is loaded, whatever that is. */
const whatIsLoaded: AnyFlushRequest = { mm: null, vpns: 'all', freedTables: false, gen: 0 };
const ipi = (flush: AnyFlushRequest, initiator = 'flush'): Message => ({ type: 'ipi', request: { function: 'flush_tlb_func', ...flush }, initiator });
const tableSync = (initiator = 'zap'): Message => ({ type: 'ipi', request: { function: 'tlb_remove_table_smp_sync' }, initiator });
const local = (flush: AnyFlushRequest): Message => ({ type: 'flush_tlb_func', request: flush });
const remoteFlush = (system: Rig, flush: AnyFlushRequest): Rig => tell(system, ipi(flush)).take('cpu', 'interrupt');
const invalidate = (flush: FlushRequest): Message => ({ type: 'tlb.invalidate', request: flush });
const ack = (initiator: string): Message => ({ type: 'ipi.ack', initiator });
const writeCr3 = (mm: string | null, gen: number | null): Message => ({ type: 'cr3.write', mm, gen });
const writeLoadedMm = (mm: string | null): Message => ({ type: 'loaded_mm.write', mm });
const load = (system: Rig, mm: string | null, gen: number | null): Rig => tell(system, writeCr3(mm, gen), writeLoadedMm(mm));

const access = (system: Rig, vpn: number, write = false): Message[] => system.say('p', 'cpu', { type: 'access', vpn, write });
const entry = (pfn: number, dirty = false): TlbEntry => ({ pfn, write: true, dirty });
const tlb = (system: Rig): unknown => system.context('cpu').tlb;
const cached = (system: Rig): string[] => Object.keys(system.context('cpu').tlb);
const tables = (system: Rig): unknown => system.context('cpu').tables;
const gens = (system: Rig): unknown => system.context('cpu').ctxs;
const maskOf = (system: Rig, mm: string): unknown => system.context(mm).cpumask;
const readsOfGen = (system: Rig): string[] => system.said('cpu').filter((said) => said.includes('tlb_gen.read'));
const accessOf = (vpn: number, write = false): object => ({ type: 'memory.access', mm: 'mm', vpn, write, user: 'p' });
const done = (vpn: number, pfn: number, write = false): Message[] => [{ type: 'access.done', vpn, pfn, write }];
const value = (differs: object): Message => ({ type: 'memory.value', user: 'p', write: false, value: null, ...differs });
const fault = (vpn: number): Message[] => [{ type: 'access.fault', result: 'fault', vpn }];

describe('interrupts', () => {
  test('an IPI is latched, then taken: it flushes and acknowledges', () => {
    const system = nextGen(fill(rig(), 0));
    expect(system.can('cpu', 'interrupt')).toBe(false);
    tell(system, ipi(request(2)));
    expect([tlb(system), system.heard('net')]).toEqual([{ 'mm/0': entry(4) }, []]);
    system.take('cpu', 'interrupt');
    expect([tlb(system), system.heard('net')]).toEqual([{}, [ack('flush')]]);
    expect(system.context('cpu')).toMatchObject({ pending: [], flush: null });
    expect(system.can('cpu', 'interrupt')).toBe(false);
  });

  test('IPIs are taken one by one, in the order in which they came', () => {
    const system = nextGen(fill(rig(), 0, 1));
    tell(system, ipi(request(2, [0]), 'first'));
    system.take('cpu', 'interrupt');
    nextGen(system);
    tell(system, tableSync('second'), ipi(request(3, [1]), 'third'));
    expect([cached(system), system.heard('net')]).toEqual([['mm/1'], [ack('first')]]);
    system.take('cpu', 'interrupt');
    expect([cached(system), system.heard('net')]).toEqual([['mm/1'], [ack('first'), ack('second')]]);
    system.take('cpu', 'interrupt');
    expect([cached(system), system.heard('net')]).toEqual([[], [ack('first'), ack('second'), ack('third')]]);
  });

  test('while they are off an IPI waits; it is taken afterwards', () => {
    const system = nextGen(fill(rig(), 0));
    tell(system, 'irq.save', ipi(request(2)));
    expect(system.can('cpu', 'interrupt')).toBe(false);
    expect([cached(system), system.heard('net')]).toEqual([['mm/0'], []]);
    tell(system, 'irq.restore');
    expect(system.can('cpu', 'interrupt')).toBe(true);
    system.take('cpu', 'interrupt');
    expect([cached(system), system.heard('net')]).toEqual([[], [ack('flush')]]);
  });

  test.each([
    ['flush_tlb_func', ipi(request(1))],
    ['tlb_remove_table_smp_sync', tableSync()],
  ])('what was latched before they were off waits too (%s)', (_, message) => {
    const system = tell(rig(), message, 'irq.save');
    expect([system.can('cpu', 'interrupt'), system.heard('net')]).toEqual([false, []]);
  });

  test('tlb_remove_table_smp_sync does nothing: that it ran is told', () => {
    const system = nextGen(fill(rig({ table: 'table0' }), 0));
    const before = system.context('cpu');
    tell(system, tableSync()).take('cpu', 'interrupt');
    expect(system.context('cpu')).toEqual(before);
    expect(system.heard('net')).toEqual([ack('zap')]);
  });

  test('local_irq_save nests: the outermost restore puts them on again', () => {
    const system = rig();
    const off = ['irq.save', 'irq.save', 'irq.restore', 'irq.restore', 'irq.save'].map((message) =>
      tell(system, message).at('cpu').includes('interrupts.disabled'),
    );
    expect(off).toEqual([true, true, true, false, true]);
    expect(system.context('cpu').irqDepth).toBe(1);
  });

  test('to RCU, interrupts that are off are one read section, however deep', () => {
    const system = tell(rig({ rcu: true }), 'irq.save', 'irq.save', 'irq.restore');
    expect(system.said('cpu')).toEqual(['rcu: rcu.read_lock']);
    tell(system, 'irq.restore');
    expect(system.said('cpu')).toEqual(['rcu: rcu.read_lock', 'rcu: rcu.read_unlock']);
    tell(system, 'irq.save', 'irq.restore');
    expect(system.said('cpu').slice(2)).toEqual(['rcu: rcu.read_lock', 'rcu: rcu.read_unlock']);
  });

  test('a CPU that has no RCU tells nobody', () => {
    expect(tell(rig(), 'irq.save', 'irq.restore').said('cpu')).toEqual([]);
  });
});

describe('flush_tlb_func', () => {
  test('one generation is owed: it drops the pages asked for, and no others', () => {
    const system = remoteFlush(nextGen(fill(rig(), 0, 1)), request(2, [1, 7]));
    expect([cached(system), gens(system)]).toEqual([['mm/0'], { mm: 2 }]);
  });

  test('one generation is owed, of everything: it drops everything', () => {
    const system = remoteFlush(nextGen(fill(rig(), 0, 1)), request(2));
    expect([cached(system), gens(system)]).toEqual([[], { mm: 2 }]);
  });

  test.each([
    ['the request is not the last one', 2],
    ['nor is the one before it carried out', 3],
  ])('two generations are owed: it drops everything, and is at the later one (%s)', (_, gen) => {
    const system = remoteFlush(nextGen(fill(rig(), 0, 1), 2), request(gen, [1]));
    expect([cached(system), gens(system)]).toEqual([[], { mm: 3 }]);
  });

  test('a request that a later flush has carried out already drops nothing, and is acknowledged', () => {
    const system = remoteFlush(nextGen(rig(), 2), request(3));
    expect(readsOfGen(system)).toEqual(['mm: tlb_gen.read']);
    fill(system, 0);
    for (const gen of [2, 3]) remoteFlush(system, request(gen));
    expect([cached(system), gens(system), system.heard('net')]).toEqual([['mm/0'], { mm: 3 }, [ack('flush'), ack('flush'), ack('flush')]]);
    expect(readsOfGen(system)).toEqual(['mm: tlb_gen.read']);
  });

  test('where the address space is at the generation of the TLB nothing is owed', () => {
    const system = remoteFlush(fill(rig(), 0), request(2));
    expect([cached(system), gens(system), system.heard('net')]).toEqual([['mm/0'], { mm: 1 }, [ack('flush')]]);
  });

  test('a range that took the TLB to the generation of the address space would leave the next request undone', () => {
    const hasty = cpu.provide({ guards: { mayFlushRange: ({ context }) => context.flush?.request.vpns !== 'all' } });
    const left = [cpu, hasty].map((machine) => {
      const system = nextGen(fill(rig({ machine }), 0, 1), 2);
      for (const flush of [request(2, [0]), request(3, [1])]) remoteFlush(system, flush);
      return [cached(system), gens(system), system.heard('net')];
    });
    const acks = [ack('flush'), ack('flush')];
    expect(left).toEqual([
      [[], { mm: 3 }, acks],
      [['mm/1'], { mm: 3 }, acks],
    ]);
  });

  test('in whatever order two requests come, none of their pages stays cached', () => {
    for (const order of [
      [request(2, [0]), request(3, [1])],
      [request(3, [1]), request(2, [0])],
    ]) {
      const system = nextGen(fill(rig(), 0, 1), 2);
      for (const flush of order) remoteFlush(system, flush);
      expect([cached(system), gens(system)]).toEqual([[], { mm: 3 }]);
    }
  });

  test.each<[string, FlushRequest]>([
    ['a range', request(2, [7])],
    ['everything', request(2)],
  ])('upper levels go too, tables freed or not (%s)', (_, flush) => {
    const system = nextGen(fill(rig({ table: 'table0' }), 0));
    expect(tables(system)).toEqual({ 'mm/0': 'table0' });
    expect(tables(remoteFlush(system, flush))).toEqual({});
  });

  test('what another address space has cached stays', () => {
    const kept = { mm: 'other', tlb: { 0: entry(6), 1: entry(7) } };
    const system = nextGen(fill(rig({ cached: kept }), 0, 1));
    expect(tlb(remoteFlush(system, request(2)))).toEqual({ 'other/0': entry(6), 'other/1': entry(7) });
    expect(gens(system)).toEqual({ mm: 2, other: 1 });
  });

  test.each([
    ['another one', 'other', 1],
    ['none', null, null],
  ])('F4: a CPU that has %s loaded takes itself out of the mask, and flushes nothing', (_, mm, gen) => {
    const system = nextGen(load(fill(rig(), 0), mm, gen));
    remoteFlush(system, request(2));
    expect([maskOf(system, 'mm'), maskOf(system, 'other')]).toEqual([['cpu1'], ['cpu', 'cpu1']]);
    expect([cached(system), readsOfGen(system), system.heard('net')]).toEqual([['mm/0'], [], [ack('flush')]]);
    expect(system.context('cpu')).toMatchObject({ cr3: mm, loadedMm: mm, flush: null });
  });

  test.each([
    ['behind', 2],
    ['up to date', 1],
  ])('F4: a lazy CPU leaves the address space, %s or not, and flushes nothing', (_, gen) => {
    const system = nextGen(tell(fill(rig(), 0), 'is_lazy.set'), gen - 1);
    remoteFlush(system, request(gen));
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false, ctxs: { mm: 1 }, tlb: { 'mm/0': entry(4) }, flush: null });
    expect([maskOf(system, 'mm'), system.heard('net')]).toEqual([['cpu', 'cpu1'], [ack('flush')]]);
    expect([system.can('cpu', { type: 'fill', vpn: 1 }), access(system, 0)]).toEqual([false, fault(0)]);
  });

  test('a lazy CPU that has another address space loaded stays lazy', () => {
    const system = nextGen(tell(load(rig(), 'other', 1), 'is_lazy.set'));
    remoteFlush(system, request(2));
    expect(system.context('cpu')).toMatchObject({ cr3: 'other', loadedMm: 'other', lazy: true });
    expect(maskOf(system, 'mm')).toEqual(['cpu1']);
  });

  test('a local flush works at once, interrupts on or off, and is acknowledged by nobody', () => {
    const system = nextGen(fill(rig(), 0, 1));
    tell(system, local(request(2, [0])));
    expect([cached(system), gens(system)]).toEqual([['mm/1'], { mm: 2 }]);
    tell(nextGen(system), 'irq.save', local(request(3)));
    expect([cached(system), gens(system), system.heard('net')]).toEqual([[], { mm: 3 }, []]);
  });

  test('a local flush leaves pending IPIs pending; they then find it done', () => {
    const system = nextGen(fill(rig(), 0));
    tell(system, ipi(request(2, [0])), local(request(2, [0])));
    expect([cached(system), system.heard('net'), system.can('cpu', 'interrupt')]).toEqual([[], [], true]);
    fill(system, 0).take('cpu', 'interrupt');
    expect([cached(system), system.heard('net'), system.context('cpu').pending]).toEqual([['mm/0'], [ack('flush')], []]);
  });

  test.each([
    ['another one', 'other', 1],
    ['none', null, null],
  ])('a local flush of what is not loaded does nothing (%s is)', (_, mm, gen) => {
    const system = tell(nextGen(load(fill(rig(), 0), mm, gen)), local(request(2)));
    expect([cached(system), system.said('cpu').slice(1), maskOf(system, 'mm')]).toEqual([['mm/0'], [], ['cpu', 'cpu1']]);
  });

  test('a lazy CPU leaves the address space in a local flush too', () => {
    const system = tell(nextGen(rig()), 'is_lazy.set', local(request(2)));
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false });
    expect(system.said('cpu')).toEqual([]);
  });
});

describe('flush_tlb_func of whatever is loaded (arch_tlbbatch_flush)', () => {
  test('drops everything of that, upper levels too, and is at its generation; the request has none', () => {
    const system = remoteFlush(nextGen(fill(rig({ table: 'table0' }), 0, 1), 2), whatIsLoaded);
    expect([cached(system), tables(system), gens(system)]).toEqual([[], {}, { mm: 3 }]);
    expect([system.heard('net'), system.context('cpu').flush]).toEqual([[ack('flush')], null]);
  });

  test('is for one generation what it is for many', () => {
    const system = remoteFlush(nextGen(fill(rig(), 0, 1)), whatIsLoaded);
    expect([cached(system), gens(system)]).toEqual([[], { mm: 2 }]);
  });

  test('always asks how much is owed; nothing may be', () => {
    const system = remoteFlush(fill(rig(), 0), whatIsLoaded);
    expect([cached(system), gens(system), readsOfGen(system), system.heard('net')]).toEqual([['mm/0'], { mm: 1 }, ['mm: tlb_gen.read'], [ack('flush')]]);
  });

  test('leaves what another address space has cached, and its bit in the mask: that is left to the next switch', () => {
    const system = nextGen(fill(load(fill(rig(), 0), 'other', 1), 0));
    system.say('p', 'other', 'tlb_gen.inc');
    remoteFlush(system, whatIsLoaded);
    expect([cached(system), gens(system)]).toEqual([['mm/0'], { mm: 1, other: 2 }]);
    expect([maskOf(system, 'mm'), maskOf(system, 'other')]).toEqual([
      ['cpu', 'cpu1'],
      ['cpu', 'cpu1'],
    ]);
    expect(cached(load(system, 'mm', 2))).toEqual([]);
  });

  test('does nothing where init_mm is loaded, and is acknowledged', () => {
    const system = remoteFlush(nextGen(load(fill(rig(), 0), null, null)), whatIsLoaded);
    expect([cached(system), readsOfGen(system), system.heard('net')]).toEqual([['mm/0'], [], [ack('flush')]]);
  });

  test('takes a lazy CPU out of the address space, and flushes nothing', () => {
    const system = remoteFlush(nextGen(tell(fill(rig(), 0), 'is_lazy.set')), whatIsLoaded);
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, lazy: false, ctxs: { mm: 1 }, tlb: { 'mm/0': entry(4) } });
    expect(system.heard('net')).toEqual([ack('flush')]);
  });

  test('works locally at once, and is acknowledged by nobody', () => {
    const system = tell(nextGen(fill(rig(), 0)), local(whatIsLoaded));
    expect([cached(system), gens(system), system.heard('net')]).toEqual([[], { mm: 2 }, []]);
  });
});

describe('a broadcast invalidation', () => {
  test('works at once, interrupts on or off, and is acknowledged by nobody', () => {
    const system = tell(fill(rig(), 0, 1), 'irq.save', invalidate(request(2, [0])));
    expect(cached(system)).toEqual(['mm/1']);
    expect(cached(tell(system, invalidate(request(3))))).toEqual([]);
    expect(system.said('cpu')).toHaveLength(2);
  });

  test('works whatever is loaded, by the entries of its address space, and leaves those of others', () => {
    const system = fill(load(fill(rig(), 0, 1), 'other', 1), 0);
    expect(cached(tell(system, invalidate(request(2, [0]))))).toEqual(['mm/1', 'other/0']);
    expect(cached(tell(system, invalidate(request(3))))).toEqual(['other/0']);
    expect(cached(tell(system, invalidate(request(2, [0], { mm: 'other' }))))).toEqual([]);
  });

  test('works on a lazy CPU, and leaves it lazy', () => {
    const system = tell(fill(rig(), 0), 'is_lazy.set', invalidate(request(2)));
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', loadedMm: 'mm', lazy: true, tlb: {} });
  });

  test.each<[string, FlushRequest, object]>([
    ['of a range keeps them', request(2, [0]), { 'mm/0': 'table0' }],
    ['of a range whose tables are freed drops them', request(2, [0], { freedTables: true }), {}],
    ['of everything drops them', request(2), {}],
    ['of another address space keeps them', request(2, 'all', { mm: 'other', freedTables: true }), { 'mm/0': 'table0' }],
  ])('upper levels: one %s', (_, flush, left) => {
    expect(tables(tell(fill(rig({ table: 'table0' }), 0), invalidate(flush)))).toEqual(left);
  });
});

describe('the TLB', () => {
  test('a speculative walk fills in a present pte; it touches neither page nor D bit, and asks nobody', () => {
    const system = fill(rig(), 0);
    expect(tlb(system)).toEqual({ 'mm/0': entry(4) });
    expect(system.said('cpu')).toEqual(['mm: pte.walk {"vpn":0,"write":false,"table":null}']);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
    expect(system.context('cpu').walk).toBeNull();
  });

  test('it goes on while interrupts are off', () => {
    expect(cached(fill(tell(rig(), 'irq.save'), 0))).toEqual(['mm/0']);
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
    const system = fill(rig(), 0, 1);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(tlb(system)).toEqual({ 'mm/0': entry(4), 'mm/1': entry(5) });
    system.take('cpu', { type: 'evict', vpn: 0 });
    expect(tlb(system)).toEqual({ 'mm/1': entry(5) });
    expect(system.can('cpu', { type: 'evict', vpn: 0 })).toBe(false);
  });

  test('entries are tagged: a page of one address space is not found under the number of another', () => {
    const system = load(fill(rig(), 0), 'other', 1);
    expect(system.can('cpu', { type: 'evict', vpn: 0 })).toBe(false);
    expect(access(system, 0)).toEqual(done(0, 6));
    expect(tlb(system)).toEqual({ 'mm/0': entry(4), 'other/0': entry(6) });
    system.take('cpu', { type: 'evict', vpn: 0 });
    expect(tlb(system)).toEqual({ 'mm/0': entry(4) });
  });
});

describe('the paging-structure cache', () => {
  test('the first walk reads every level and caches the table; the next reads the table itself', () => {
    const system = fill(rig({ table: 'table0' }), 0);
    expect([tables(system), system.heard('table0')]).toEqual([{ 'mm/0': 'table0' }, []]);
    fill(system, 1);
    expect(system.said('cpu')).toEqual([
      'mm: pte.walk {"vpn":0,"write":false,"table":null}',
      'table0: table.read',
      'mm: pte.walk {"vpn":1,"write":false,"table":"table0"}',
    ]);
  });

  test.each<[string, (system: Rig) => void]>([
    ['speculative walk', (system) => fill(system, 7)],
    ['access that faults', (system) => access(system, 7)],
    ['load', (system) => access(system, 0)],
    ['store', (system) => access(system, 0, true)],
  ])('every walk fills it, one that finds no pte too (%s)', (_, walk) => {
    const system = rig({ table: 'table0' });
    walk(system);
    expect(tables(system)).toEqual({ 'mm/0': 'table0' });
  });

  test('tables that are not modelled are not cached', () => {
    expect(tables(fill(rig(), 0, 1))).toEqual({});
  });

  test('a hit reads no table', () => {
    const system = fill(rig({ table: 'table0' }), 0);
    expect(access(system, 0)).toEqual(done(0, 4));
    expect(system.heard('table0')).toEqual([]);
  });

  test('a cached table is walked after it was unlinked, until it is dropped; then nothing is found', () => {
    const system = fill(rig({ table: 'table0' }), 0);
    system.say('p', 'mm', { type: 'pmd.clear', vpn: 0 });
    expect(access(system, 1)).toEqual(done(1, 5));
    expect(system.heard('table0')).toEqual([{ type: 'table.read' }]);
    tell(system, invalidate(request(2, [0, 1], { freedTables: true })));
    expect([access(system, 1), tables(system)]).toEqual([fault(1), {}]);
    expect(system.heard('table0')).toHaveLength(1);
  });

  test('it drops a table by itself, that of the pages named; translations stay', () => {
    const system = rig({ table: 'table0' });
    expect(system.can('cpu', { type: 'evict_table', vpn: 0 })).toBe(false);
    fill(system, 0);
    expect([0, 511, 512].map((vpn) => system.can('cpu', { type: 'evict_table', vpn }))).toEqual([true, true, false]);
    system.take('cpu', { type: 'evict_table', vpn: 511 });
    expect([tables(system), cached(system)]).toEqual([{}, ['mm/0']]);
    expect(fill(system, 1).heard('table0')).toEqual([]);
  });

  test('the tables of an address space that is not loaded are neither walked nor dropped', () => {
    const system = load(fill(rig({ table: 'table0' }), 0), 'other', 1);
    expect(system.can('cpu', { type: 'evict_table', vpn: 0 })).toBe(false);
    expect([access(system, 0), system.heard('table0'), tables(system)]).toEqual([done(0, 6), [], { 'mm/0': 'table0' }]);
    expect(load(system, null, null).can('cpu', { type: 'evict_table', vpn: 0 })).toBe(false);
  });
});

describe('an access', () => {
  test('that hits uses the entry without a look at the pte', () => {
    const system = fill(rig(), 0);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(access(system, 0)).toEqual(done(0, 4));
    expect(system.heard('page4')).toEqual([accessOf(0)]);
    expect(system.said('cpu').filter((said) => said.startsWith('mm'))).toHaveLength(1);
  });

  test('that misses walks, fills in and goes to memory', () => {
    const system = rig();
    expect(access(system, 1)).toEqual(done(1, 5));
    expect(tlb(system)).toEqual({ 'mm/1': entry(5) });
    expect([system.heard('page4'), system.heard('page5')]).toEqual([[], [accessOf(1)]]);
    expect(system.context('cpu').walk).toBeNull();
  });

  test('that stores sets D by a locked walk; then it hits', () => {
    const system = rig();
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
    expect(tlb(system)).toEqual({ 'mm/0': entry(4, true) });
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect(system.said('cpu').filter((said) => said.startsWith('mm'))).toEqual(['mm: pte.walk {"vpn":0,"write":true,"table":null}']);
    expect(system.heard('page4')).toEqual([accessOf(0, true), accessOf(0, true)]);
  });

  test('that stores through a clean entry walks once more, to set D', () => {
    const system = fill(rig(), 0);
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
    expect(tlb(system)).toEqual({ 'mm/0': entry(4, true) });
  });

  test('that stores through a clean entry of a pte that is gone faults: nothing is written behind the back of whoever cleared it', () => {
    const system = fill(rig(), 0);
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(access(system, 0, true)).toEqual(fault(0));
    expect(system.heard('page4')).toEqual([]);
  });

  test.each([false, true])('faults when there is no pte (store: %s)', (write) => {
    const system = rig({ ptes: {} });
    expect(access(system, 0, write)).toEqual(fault(0));
    expect([tlb(system), system.context('cpu').walk, system.at('cpu')]).toEqual([{}, null, expect.stringContaining('mmu.ready')]);
  });

  test('to what is read-only loads, and faults when it stores, cached or not', () => {
    const ptes = { 0: presentPte(4, { write: false }) };
    const system = rig({ ptes });
    expect(access(system, 0, true)).toEqual(fault(0));
    expect(access(system, 0)).toEqual(done(0, 4));
    expect(access(system, 0, true)).toEqual(fault(0));
    expect(system.heard('page4')).toEqual([accessOf(0)]);
    expect(system.context('mm').ptes).toEqual(ptes);
  });

  test.each([
    ['that hits', [0]],
    ['that misses', []],
  ])('%s is done when the memory answers', (_, before) => {
    const system = fill(rig({ others: { page4: answers() } }), ...before);
    expect(access(system, 0)).toEqual([]);
    expect([system.heard('page4'), system.at('cpu')]).toEqual([[accessOf(0)], expect.stringContaining('mmu.ready')]);
    expect(system.say('p', 'cpu', value({ vpn: 0, pfn: 4 }))).toEqual(done(0, 4));
  });

  test('tells what it loaded or stored, where contents are modelled', () => {
    const system = rig({ others: { page4: answers() } });
    expect(system.say('p', 'cpu', value({ vpn: 0, pfn: 4, value: 'a.v1' }))).toEqual([{ ...done(0, 4)[0], value: 'a.v1' }]);
    expect(system.say('p', 'cpu', value({ vpn: 0, pfn: 4, value: 'a.v2', write: true }))).toEqual([{ ...done(0, 4, true)[0], value: 'a.v2' }]);
  });

  test('is answered to who made it', () => {
    const system = rig();
    expect(system.say('q', 'cpu', { type: 'access', vpn: 1, write: false })).toEqual(done(1, 5));
    access(system, 0);
    expect([system.heard('p'), system.heard('q')]).toEqual([done(0, 4), done(1, 5)]);
    expect(system.heard('page5')).toEqual([{ type: 'memory.access', mm: 'mm', vpn: 1, write: false, user: 'q' }]);
  });

  test('names the address space that is loaded, not the one that software says is', () => {
    const system = tell(rig(), writeCr3('other', 1));
    access(system, 0);
    expect(system.heard('page6')).toEqual([{ ...accessOf(0), mm: 'other' }]);
  });

  test.each([false, true])('through a pte without access faults (store: %s)', (write) => {
    const ptes: Record<string, Pte> = { 0: { kind: 'protnone', pfn: 4, dirty: false } };
    const system = rig({ ptes });
    expect(access(fill(system, 0), 0, write)).toEqual(fault(0));
    expect([tlb(system), system.heard('page4'), system.context('mm').ptes]).toEqual([{}, [], ptes]);
  });

  test('faults when no tables are loaded', () => {
    const system = rig({ mm: null });
    expect(access(system, 0)).toEqual(fault(0));
    expect(system.said('cpu')).toEqual(['p: access.fault {"result":"fault","vpn":0}']);
  });
});

describe('an observer', () => {
  const told = (system: Rig): unknown => system.heard('observer');
  const flushed = (mm: string): object => ({ type: 'luf.tlb_flushed', mm });
  const observed = (): Rig => fill(rig({ observed: true }), 0, 1);

  test.each<[string, (system: Rig) => Rig]>([
    ['by an IPI', (system) => remoteFlush(nextGen(system), request(2))],
    ['for two generations', (system) => remoteFlush(nextGen(system, 2), request(2, [0]))],
    ['locally', (system) => tell(nextGen(system), local(request(2)))],
    ['of whatever is loaded', (system) => remoteFlush(nextGen(system), whatIsLoaded)],
  ])('is told that everything of an address space was dropped (%s)', (_, flush) => {
    expect(told(flush(observed()))).toEqual([flushed('mm')]);
  });

  test.each<[string, (system: Rig) => Rig]>([
    ['a range', (system) => remoteFlush(nextGen(system), request(2, [0]))],
    ['what was done already', (system) => remoteFlush(system, request(1))],
    ['what turns out to be done', (system) => remoteFlush(system, whatIsLoaded)],
    ['a lazy CPU, which drops nothing', (system) => remoteFlush(nextGen(tell(system, 'is_lazy.set')), request(2))],
  ])('is not told of %s', (_, flush) => {
    expect(told(flush(observed()))).toEqual([]);
  });

  test('is told when an address space that is behind is loaded', () => {
    const system = observed();
    expect(told(load(system, 'other', 1))).toEqual([flushed('other')]);
    expect(told(load(system, 'mm', 2))).toEqual([flushed('other'), flushed('mm')]);
    for (const gen of [1, 2]) load(system, 'mm', gen);
    expect(told(load(system, null, null))).toHaveLength(2);
  });

  test('is not needed', () => {
    const system = load(remoteFlush(nextGen(fill(rig(), 0)), request(2)), 'other', 1);
    expect([told(system), cached(system), gens(system)]).toEqual([[], [], { mm: 2, other: 1 }]);
  });
});

describe('which tables are loaded', () => {
  test('an address space is at generation 1 at first, with nothing cached; init_mm has none', () => {
    const loaded = { cr3: 'mm', loadedMm: 'mm', lazy: false, ctxs: { mm: 1 }, tlb: {}, tables: {} };
    expect(rig().context('cpu')).toMatchObject(loaded);
    expect(rig({ mm: null }).context('cpu')).toMatchObject({ ...loaded, cr3: null, loadedMm: null, ctxs: {} });
  });

  test('lazy mode is entered and left, and can be read; entries stay', () => {
    const system = fill(rig(), 0);
    const mode = (): unknown => system.say('p', 'cpu', 'is_lazy.read');
    expect(mode()).toEqual([{ type: 'is_lazy', mode: 'running' }]);
    tell(system, 'is_lazy.set');
    expect(mode()).toEqual([{ type: 'is_lazy', mode: 'lazy' }]);
    tell(system, 'is_lazy.clear');
    expect(mode()).toEqual([{ type: 'is_lazy', mode: 'running' }]);
    expect(tlb(system)).toEqual({ 'mm/0': entry(4) });
  });

  test('a lazy CPU goes on walking', () => {
    expect(cached(fill(tell(fill(rig(), 0), 'is_lazy.set'), 1))).toEqual(['mm/0', 'mm/1']);
  });

  test.each(['mm', 'other', null, LOADED_MM_SWITCHING])('loaded_mm is what was written (%s); the walker goes on with CR3', (mm) => {
    const system = tell(fill(rig(), 0), writeLoadedMm(mm));
    expect(system.say('p', 'cpu', 'loaded_mm.read')).toEqual([{ type: 'loaded_mm', mm }]);
    expect([access(system, 0), access(system, 1)]).toEqual([done(0, 4), done(1, 5)]);
  });

  test('CR3 is what the walker walks; loaded_mm stays as it was', () => {
    const system = tell(rig(), writeCr3('other', 1));
    expect(access(system, 0)).toEqual(done(0, 6));
    expect(system.say('p', 'cpu', 'loaded_mm.read')).toEqual([{ type: 'loaded_mm', mm: 'mm' }]);
  });

  test('without tables nothing is walked and nothing hits; what is cached stays for later', () => {
    const system = tell(fill(rig({ table: 'table0' }), 0), writeCr3(null, null));
    expect([access(system, 0), system.can('cpu', { type: 'fill', vpn: 1 }), system.can('cpu', { type: 'evict', vpn: 0 })]).toEqual([fault(0), false, false]);
    expect(system.context('cpu')).toMatchObject({ cr3: null, ctxs: { mm: 1 }, tlb: { 'mm/0': entry(4) }, tables: { 'mm/0': 'table0' } });
  });

  test('an ASID that is up to date is loaded as it is', () => {
    const system = tell(fill(rig({ table: 'table0' }), 0), writeCr3(null, null), writeCr3('mm', 1));
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', ctxs: { mm: 1 }, tlb: { 'mm/0': entry(4) }, tables: { 'mm/0': 'table0' } });
    system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
    expect(access(system, 0)).toEqual(done(0, 4));
  });

  test('an ASID that is behind is flushed when it is loaded, with its upper levels; others are not', () => {
    const system = load(fill(load(fill(rig({ table: 'table0' }), 0), 'other', 1), 0), 'mm', 3);
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', ctxs: { mm: 3, other: 1 } });
    expect([tlb(system), tables(system)]).toEqual([{ 'other/0': entry(6) }, {}]);
  });

  test('an address space that has no ASID gets one, at the generation given', () => {
    expect(gens(tell(rig(), writeCr3('other', 4)))).toEqual({ mm: 1, other: 4 });
  });

  test.each<[string, number, Message[], string[]]>([
    ['used when it is loaded, if it was not flushed since', 1, done(0, 9), ['other/0', 'other/1']],
    ['dropped when it is loaded, if it was', 2, done(0, 6), ['other/0']],
  ])('what another address space left cached is %s', (_, gen, answer, left) => {
    const system = rig({ cached: { mm: 'other', tlb: { 0: entry(9), 1: entry(9) } } });
    expect(system.context('cpu')).toMatchObject({ cr3: 'mm', ctxs: { mm: 1, other: 1 }, tlb: { 'other/0': entry(9), 'other/1': entry(9) } });
    expect(access(load(system, 'other', gen), 0)).toEqual(answer);
    expect([cached(system), gens(system)]).toEqual([left, { mm: 1, other: gen }]);
  });

  test('init_mm can be loaded while another address space is cached', () => {
    const system = rig({ mm: null, cached: { mm: 'mm', tlb: { 0: entry(4) } } });
    expect(system.context('cpu')).toMatchObject({ cr3: null, loadedMm: null, ctxs: { mm: 1 }, tlb: { 'mm/0': entry(4) } });
    expect(access(system, 0)).toEqual(fault(0));
  });
});

describe('a store buffer', () => {
  const stored = (vpn: number, mm = 'mm'): object => ({ type: 'memory.access', mm, vpn, write: true, user: null });
  const entryOf = (vpn: number, pfn: number): object => ({ location: `page${pfn}`, to: `page${pfn}`, message: stored(vpn) });
  const entries = (system: Rig): unknown => system.context('buffer').entries;
  const drain = (system: Rig): Rig => system.take('buffer', { type: 'drain', entry: 0 });
  /** A store to page 0 is in the buffer; what was said before is left out. */
  const withStore = (setup: Setup = {}): Rig => {
    const system = rig({ buffered: 'tso', ...setup });
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect([entries(system), system.heard('page4')]).toEqual([[entryOf(0, 4)], []]);
    return system;
  };
  /** What the CPU and its store buffer say, in order. */
  const saying = (system: Rig, act: (system: Rig) => void): string[] => {
    const said: string[] = [];
    const listening = system.live.messages.subscribe(({ from, to, event }) => {
      if (from === 'cpu' || from === 'buffer') said.push(`${to}: ${event.type}`);
    });
    act(system);
    listening.unsubscribe();
    return said;
  };
  const drained = ['buffer: fence', 'page4: memory.access', 'cpu: fenced'];

  test.each([
    ['that hits', 1],
    ['that walks', 0],
  ])('takes in a store %s: it has retired, and is in memory when it leaves', (_, before) => {
    const system = rig({ buffered: 'tso' });
    for (let time = 0; time < before; time++) {
      access(system, 0, true);
      drain(system);
    }
    const [writes, walks] = [system.heard('page4').length, system.heard('mm').length];
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect([entries(system), system.heard('page4').length, system.heard('mm').length]).toEqual([[entryOf(0, 4)], writes, walks + (1 - before)]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
    drain(system);
    expect([entries(system), system.heard('page4').slice(writes)]).toEqual([[], [stored(0)]]);
    expect(system.context('page4').written).toBe(true);
    expect([system.context('cpu').translated, system.context('cpu').walk, system.at('cpu')]).toEqual([null, null, expect.stringContaining('mmu.ready')]);
  });

  test('a retired store is answered once: its user hears no more when it is in memory', () => {
    const system = drain(withStore());
    expect([system.heard('p'), system.heard('cpu').filter(({ type }) => type === 'memory.value')]).toEqual([done(0, 4, true), []]);
  });

  test('a store that faults does not enter', () => {
    const system = rig({ buffered: 'tso', ptes: { 0: presentPte(4, { write: false }) } });
    expect([access(system, 0, true), entries(system), system.heard('page4')]).toEqual([fault(0), [], []]);
  });

  test('a load of what is there does not touch the memory, cached or not; another does', () => {
    const system = withStore();
    expect([access(system, 0), system.heard('page4')]).toEqual([done(0, 4), []]);
    system.take('cpu', { type: 'evict', vpn: 0 });
    expect([access(system, 0), system.heard('page4')]).toEqual([done(0, 4), []]);
    expect([access(system, 1), system.heard('page5')]).toEqual([done(1, 5), [accessOf(1)]]);
    drain(system);
    expect([access(system, 0), system.heard('page4')]).toEqual([done(0, 4), [stored(0), accessOf(0)]]);
    expect(system.said('cpu').filter((said) => said.startsWith('buffer: load'))).toEqual([
      'buffer: load {"location":"page4"}',
      'buffer: load {"location":"page4"}',
      'buffer: load {"location":"page5"}',
      'buffer: load {"location":"page4"}',
    ]);
  });

  test('what counts is the page, not the address by which it is reached', () => {
    const system = withStore({ ptes: { 0: presentPte(4), 1: presentPte(4) } });
    expect([access(system, 1), system.heard('page4')]).toEqual([done(1, 4), []]);
  });

  test('accesses are answered to who made them', () => {
    const system = withStore();
    expect(system.say('q', 'cpu', { type: 'access', vpn: 0, write: false })).toEqual(done(0, 4));
    expect(system.say('q', 'cpu', { type: 'access', vpn: 1, write: true })).toEqual(done(1, 5, true));
    expect(system.say('q', 'cpu', { type: 'access', vpn: 1, write: false })).toEqual(done(1, 5));
    expect(system.heard('p')).toEqual(done(0, 4, true));
  });

  test('that is full lets the oldest leave first', () => {
    const system = withStore();
    access(system, 1, true);
    expect(system.heard('page4')).toEqual([]);
    access(system, 1, true);
    expect([entries(system), system.heard('page4'), system.heard('page5')]).toEqual([[entryOf(1, 5), entryOf(1, 5)], [stored(0)], []]);
  });

  test("under 'sc' a store is in memory when it retires", () => {
    const system = rig({ buffered: 'sc' });
    expect([access(system, 0, true), entries(system), system.heard('page4')]).toEqual([done(0, 4, true), [], [stored(0)]]);
    expect([access(system, 0), system.heard('page4')]).toEqual([done(0, 4), [stored(0), accessOf(0)]]);
  });

  test.each([
    ['flush_tlb_func', ipi(request(2)), ['mm: tlb_gen.read', 'net: ipi.ack']],
    ['tlb_remove_table_smp_sync', tableSync(), ['net: ipi.ack']],
  ])('is emptied by an interrupt before its function runs (%s)', (_, message, then) => {
    const system = tell(nextGen(withStore()), message);
    expect(saying(system, () => system.take('cpu', 'interrupt'))).toEqual([...drained, ...then]);
    expect([entries(system), system.context('cpu').pending, system.at('cpu')]).toEqual([[], [], expect.stringContaining('interrupts.enabled')]);
  });

  test('an interrupt that nobody asked for is none', () => {
    expect(withStore().can('cpu', 'interrupt')).toBe(false);
  });

  test('the safeguard: without it a store through a translation that was flushed is in memory after the acknowledgement', () => {
    const careless = cpu.provide({ guards: { drainsOnInterrupt: () => false } });
    const order = [cpu, careless].map((machine) => {
      // Who zaps the page waits for the acknowledgement, and frees the page.
      const system = tell(nextGen(withStore({ machine })), ipi(request(2)));
      system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 });
      system.take('cpu', 'interrupt');
      expect([cached(system), system.heard('net')]).toEqual([[], [ack('flush')]]);
      const left = system.heard('page4').length;
      system.say('p', 'page4', 'folio.put');
      if (system.can('buffer', { type: 'drain', entry: 0 })) drain(system);
      return [left, system.bugs()];
    });
    expect(order).toEqual([
      [1, []],
      [0, ['BUG: a stale translation leads to a page that was freed']],
    ]);
  });

  test.each<[string, Setup, (system: Rig) => void, string[], string[]]>([
    ['a fault', {}, (system) => access(system, 7), ['mm: pte.walk'], ['p: access.fault']],
    ['local_irq_save', {}, (system) => tell(system, 'irq.save'), [], []],
    ['local_irq_save, before RCU is told', { rcu: true }, (system) => tell(system, 'irq.save'), [], ['rcu: rcu.read_lock']],
    ['a flush by a path that runs here', {}, (system) => tell(nextGen(system), local(request(2))), [], ['mm: tlb_gen.read']],
    ['a write to CR3', {}, (system) => tell(system, writeCr3('other', 1)), [], []],
    ['a broadcast', {}, (system) => tell(system, invalidate(request(2))), [], []],
  ])('is emptied by %s', (_, setup, act, before, then) => {
    const system = withStore(setup);
    expect(saying(system, act)).toEqual([...before, ...drained, ...then]);
    expect(entries(system)).toEqual([]);
  });

  test('is asked to be empty by a fault where no tables are loaded, too', () => {
    const system = rig({ buffered: 'tso', mm: null });
    expect(saying(system, () => access(system, 0))).toEqual(['buffer: fence', 'cpu: fenced', 'p: access.fault']);
  });

  test.each<[string, (system: Rig) => void]>([
    ['an eviction', (system) => system.take('cpu', { type: 'evict', vpn: 0 })],
    ['a speculative walk', (system) => fill(system, 1)],
    ['an IPI that is latched', (system) => tell(system, ipi(request(2)))],
    ['local_irq_restore', (system) => tell(system, 'irq.restore')],
  ])('is left alone by %s: what is there is translated already', (name, act) => {
    const system = name === 'local_irq_restore' ? tell(rig({ buffered: 'tso' }), 'irq.save') : rig({ buffered: 'tso' });
    access(system, 0, true);
    act(system);
    expect([entries(system), system.heard('page4')]).toEqual([[entryOf(0, 4)], []]);
    expect(drain(system).heard('page4')).toEqual([stored(0)]);
  });

  test('where contents are judged a store counts when it leaves: it is judged by its address, and its value is in the page', () => {
    const page4 = actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, zone: 'normal', content: 'a.v0', coherence: 'judge' } });
    const judge = actor(coherence, { input: { cells: { a: 'a.v0' }, places: { 'mm/0': { cell: 'a', read: true, write: true } } } });
    const system = rig({ buffered: 'tso', others: { page4, judge } });
    expect(access(system, 0, true)).toEqual(done(0, 4, true));
    expect([system.context('page4').content, system.context('judge').cells.a.values]).toEqual(['a.v0', ['a.v0']]);
    drain(system);
    expect([system.context('page4').content, system.context('judge')]).toMatchObject([
      'a.v1',
      { broken: [], cells: { a: { values: ['a.v0', 'a.v1'], completed: 1 } } },
    ]);
    expect(system.heard('p')).toEqual(done(0, 4, true));
    expect(access(system, 0)).toEqual([{ ...done(0, 4)[0], value: 'a.v1' }]);
    // The right is withdrawn while a store is on its way.
    access(system, 0, true);
    system.say('p', 'judge', { type: 'place.protect', mm: 'mm', vpn: 0, read: true, write: false });
    expect(drain(system).context('judge').broken).toEqual(['I4']);
  });
});

test('every transition was taken', () => {
  expect(untaken(cpu)).toEqual([]);
});
