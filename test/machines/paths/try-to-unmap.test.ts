import { addressSpace, folio, lufBatch, type Pte, presentPte, protectionRecord, type RmapItem, spinlock, tryToUnmap } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** Of address space `mm`. */
  ptes?: Record<string, Pte>;
  /** Of address space `mn`. */
  others?: Record<string, Pte>;
  machine?: typeof tryToUnmap;
  luf?: boolean;
  debug?: boolean;
  /** Of page 4: PageAnonExclusive. */
  exclusive?: boolean;
  /** Address spaces that somebody mirrors. */
  notified?: string[];
  /** Pages may be protected: of page 4, whose record has these places. */
  record?: RmapItem[] | null;
}

const readOnly = (flags = {}): Pte => presentPte(4, { write: false, ...flags });
const writable = (flags = {}): Pte => presentPte(4, flags);
const dirty = { dirty: true };
const none: Pte = { kind: 'none' };
const mapsPage4 = (pte: Pte): boolean => 'pfn' in pte && pte.kind !== 'migration' && pte.pfn === 4;

/** Page 4 in two address spaces; its references: of each mapping, of its cache, and of the caller. */
function rig(setup: Setup = {}): Rig {
  const { ptes = { 0: readOnly() }, others = {}, machine = tryToUnmap, luf = false, debug = false, exclusive = false, notified = [], record } = setup;
  const protection = record ? { protection: { record: 'record4', stable: true } } : {};
  const mapcount = [...Object.values(ptes), ...Object.values(others)].filter(mapsPage4).length;
  const space = (of: Record<string, Pte>, cpumask: string[]) => actor(addressSpace, { input: { ptes: of, vmas: [], cpumask } });
  return new Rig({
    mm: space(ptes, ['cpu1']),
    mn: space(others, ['cpu0', 'cpu1', 'cpu2']),
    ptl_mm: actor(spinlock),
    ptl_mn: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: mapcount + 2, mapcount, idle: 0, zone: 'normal', anonExclusive: exclusive, ...protection } }),
    record4: actor(protectionRecord, { input: { items: record ?? [] } }),
    luf_batch: actor(lufBatch, { input: {} }),
    debug: answers(),
    notifier_mm: returns({ ok: true }),
    notifier_mn: returns({ ok: true }),
    unmap: actor(machine, {
      input: {
        lufBatch: luf ? 'luf_batch' : null,
        debug: debug ? 'debug' : null,
        ...(record === undefined ? {} : { asksRecord: true }),
        notifiers: Object.fromEntries(notified.map((mm) => [mm, `notifier_${mm}`])),
      },
    }),
    p: probe(),
    q: probe(),
  } satisfies Actors);
}
const item = (vpn: number, mm = 'mm'): RmapItem => ({ mm, vpn, ptl: `ptl_${mm}` });
const call = (system: Rig, items: RmapItem[] = [item(0)], leaves = 'none'): Rig => {
  system.say('p', 'unmap', { type: 'call', pfn: 4, mapping: 'file', index: 7, leaves, items });
  return system;
};
const unmapped = (setup: Setup = {}, items?: RmapItem[], leaves?: string): Rig => call(rig(setup), items, leaves).settle();
const result = (system: Rig): Message | undefined => system.heard('p').at(-1);
const batched = (...cpus: string[]): Message => ({ type: 'return', cpus, writable: false, lazyCpus: [] });
const putOff = (...lazyCpus: string[]): Message => ({ type: 'return', cpus: [], writable: false, lazyCpus });
const told = (system: Rig, ...to: string[]): string[] => system.said('unmap').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
const counts = (system: Rig): unknown => {
  const { mapcount, refcount } = system.context('page4');
  return { mapcount, refcount };
};
const pending = (system: Rig, mm = 'mm'): unknown => system.context(mm).tlbFlushBatched;
const debts = (system: Rig): unknown => system.context('luf_batch').debts;
function expectAtRest(system: Rig): void {
  const { lufBatch: _batch, debug: _debug, notifiers: _notifiers, asksRecord: _asksRecord, ...context } = system.context('unmap');
  expect(context).toEqual({
    caller: '',
    pfn: -1,
    mapping: null,
    index: -1,
    leaves: 'none',
    items: [],
    pte: none,
    mask: [],
    readOnly: [],
    others: [],
    writable: false,
    late: false,
    exclusive: false,
    places: [],
    anyWrite: false,
  });
  for (const ptl of ['ptl_mm', 'ptl_mn']) expect(system.context(ptl)).toEqual({ owner: null, waiters: [] });
  expect([system.at('unmap'), system.bugs()]).toEqual(['idle', []]);
}

describe('R4b to R4f: a kernel without LUF', () => {
  test('one pte, step by step: cleared, a generation, the mask, pending, then mapping and reference, all under the page-table lock', () => {
    const system = unmapped();
    expect(system.said('unmap')).toEqual([
      'ptl_mm: lock',
      'mm: pte.read {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: tlb_gen.inc',
      'mm: cpumask.read',
      'mm: tlb_flush_batched.inc',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'p: return {"cpus":["cpu1"],"writable":false,"lazyCpus":[]}',
    ]);
    expect([system.context('mm').ptes[0], system.context('mm').tlbGen, pending(system)]).toEqual([none, 2, { pending: 1, flushed: 0 }]);
    expect([counts(system), system.context('page4').dirty]).toEqual([{ mapcount: 0, refcount: 2 }, false]);
    expectAtRest(system);
  });

  test('it holds the page-table lock from the first look to the last put', () => {
    const system = call(rig({ ptes: { 0: writable(dirty) } }), [item(0)], 'swap').take('unmap', 'step');
    const states: string[] = [];
    while (system.at('unmap') !== 'idle') {
      states.push(system.at('unmap'));
      expect(system.context('ptl_mm').owner).toBe('unmap');
      system.take('unmap', 'step');
    }
    expect(states).toEqual(['ptep_get_and_clear', 'inc_mm_tlb_gen', 'mm_cpumask', 'set_pte_at', 'folio_remove_rmap_pte']);
    expectAtRest(system);
  });

  test('it spins while another has the page-table lock', () => {
    const system = rig();
    system.say('q', 'ptl_mm', 'lock');
    call(system).settle();
    expect([system.at('unmap'), system.can('unmap', 'step'), system.context('mm').ptes[0]]).toEqual(['spin_on_ptl', false, readOnly()]);
    system.say('q', 'ptl_mm', 'unlock');
    expect(result(system.settle())).toEqual(batched('cpu1'));
    expectAtRest(system);
  });

  test('nowhere mapped: nothing to flush', () => {
    const system = unmapped({}, []);
    expect(system.said('unmap')).toEqual(['p: return {"cpus":[],"writable":false,"lazyCpus":[]}']);
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['maps another page', presentPte(5)],
    ['is none', none],
    ['is a swap entry', { kind: 'swap', slot: 4 }],
    ['is a migration entry of the page', { kind: 'migration', pfn: 4, write: false }],
  ])('a pte that %s by now is left as it is, and the lock dropped', (_, pte) => {
    const system = unmapped({ ptes: { 0: pte } });
    expect(system.said('unmap')).toEqual(['ptl_mm: lock', 'mm: pte.read {"vpn":0}', 'ptl_mm: unlock', 'p: return {"cpus":[],"writable":false,"lazyCpus":[]}']);
    expect([system.context('mm').ptes[0], system.context('mm').tlbGen, pending(system), system.heard('page4')]).toEqual([
      pte,
      1,
      { pending: 0, flushed: 0 },
      [],
    ]);
    expectAtRest(system);
  });

  test('a pte that changes while it spins is looked at when it has the lock', () => {
    const system = rig();
    system.say('q', 'ptl_mm', 'lock');
    call(system).settle();
    system.say('q', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(5) });
    system.say('q', 'ptl_mm', 'unlock');
    system.settle();
    expect([system.context('mm').ptes[0], result(system)]).toEqual([presentPte(5), batched()]);
    expectAtRest(system);
  });

  test('several places: one lock each, and the CPUs of all', () => {
    const system = unmapped({ ptes: { 0: readOnly(), 1: presentPte(5) }, others: { 3: writable() } }, [item(0), item(1), item(3, 'mn')]);
    expect(told(system, 'ptl_mm', 'ptl_mn', 'page4')).toEqual([
      'ptl_mm: lock',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'ptl_mm: lock',
      'ptl_mm: unlock',
      'ptl_mn: lock',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mn: unlock',
    ]);
    expect([result(system), counts(system)]).toEqual([batched('cpu0', 'cpu1', 'cpu2'), { mapcount: 0, refcount: 2 }]);
    expect([system.context('mm').tlbGen, system.context('mn').tlbGen, pending(system), pending(system, 'mn')]).toEqual([
      2,
      2,
      { pending: 1, flushed: 0 },
      { pending: 1, flushed: 0 },
    ]);
    expectAtRest(system);
  });

  test.each<[string, Pte, boolean]>([
    ['writable and dirty', writable(dirty), true],
    ['read-only and dirty', readOnly(dirty), true],
    ['writable and clean: a store through it looks at the pte first', writable(), false],
  ])('a pte that is %s', (_, pte, stores) => {
    const system = unmapped({ ptes: { 0: pte } });
    expect(result(system)).toEqual({ ...batched('cpu1'), writable: stores });
    expect(system.context('page4').dirty).toBe(stores);
  });

  test('one dirty pte makes the whole batch writable', () => {
    const items = [item(0), item(1), item(2)];
    expect(result(unmapped({ ptes: { 0: writable(), 1: writable(dirty), 2: writable() } }, items))).toEqual({ ...batched('cpu1'), writable: true });
  });

  test('R4c: a D bit that the walker sets until the exchange is seen', () => {
    const system = call(rig({ ptes: { 0: writable() } })).stepTo('unmap', 'ptep_get_and_clear');
    system.say('q', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null });
    system.settle();
    expect([system.context('page4').dirty, result(system)]).toEqual([true, { ...batched('cpu1'), writable: true }]);
    expectAtRest(system);
  });

  test('R4d: a CPU that comes into the mask until it is read is in the batch', () => {
    const system = call(rig()).stepTo('unmap', 'mm_cpumask');
    system.say('q', 'mm', { type: 'cpumask.set', cpu: 'cpu2' });
    expect(result(system.settle())).toEqual(batched('cpu1', 'cpu2'));
  });
});

describe('R4e: what is left in place', () => {
  test.each<[string, Pte, Pte]>([
    ['none', writable(dirty), none],
    ['swap', writable(dirty), { kind: 'swap', slot: 7 }],
    ['swap', readOnly(), { kind: 'swap', slot: 7 }],
    ['migration', writable(), { kind: 'migration', pfn: 4, write: true }],
    ['migration', writable(dirty), { kind: 'migration', pfn: 4, write: true }],
    ['migration', readOnly(), { kind: 'migration', pfn: 4, write: false }],
  ])('%s for %j', (leaves, pte, left) => {
    const system = unmapped({ ptes: { 0: pte } }, [item(0)], leaves);
    expect([system.context('mm').ptes[0], counts(system)]).toEqual([left, { mapcount: 0, refcount: 2 }]);
    expect(system.context('page4').dirty).toBe(pte.kind === 'present' && pte.dirty);
    expectAtRest(system);
  });

  test('D goes to the folio, then it is shared, then the entry is set, then mapping and reference go', () => {
    const system = unmapped({ ptes: { 0: writable(dirty) } }, [item(0)], 'swap');
    expect(system.said('unmap').slice(5)).toEqual([
      'mm: tlb_flush_batched.inc',
      'page4: folio.mark_dirty',
      'page4: page.read',
      'page4: folio.set_exclusive {"exclusive":false}',
      'mm: pte.set {"vpn":0,"pte":{"kind":"swap","slot":7}}',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'p: return {"cpus":["cpu1"],"writable":true,"lazyCpus":[]}',
    ]);
  });

  test('where no entry is left nobody asks whether it is exclusive', () => {
    const system = unmapped({ ptes: { 0: writable(dirty) }, exclusive: true });
    expect(told(system, 'page4')).toEqual(['page4: folio.mark_dirty', 'page4: folio.remove_rmap', 'page4: folio.ref_dec']);
    expectAtRest(system);
  });

  describe('folio_try_share_anon_rmap_pte: an exclusive page', () => {
    test.each<[string, Pte, Pte]>([
      ['swap', writable(dirty), { kind: 'swap', slot: 7, exclusive: true }],
      ['swap', readOnly(), { kind: 'swap', slot: 7, exclusive: true }],
      ['migration', writable(), { kind: 'migration', pfn: 4, write: true, exclusive: true }],
      ['migration', readOnly(), { kind: 'migration', pfn: 4, write: false, exclusive: true }],
    ])('is exclusive in the %s entry, and nowhere else (%j)', (leaves, pte, left) => {
      const system = unmapped({ ptes: { 0: pte }, exclusive: true }, [item(0)], leaves);
      expect([system.context('mm').ptes[0], system.context('page4').anonExclusive]).toEqual([left, false]);
      expectAtRest(system);
    });

    test('is none any more before the entry stands, with the page-table lock held', () => {
      const system = call(rig({ exclusive: true }), [item(0)], 'migration').stepTo('unmap', 'set_pte_at');
      expect([system.context('page4').anonExclusive, system.context('mm').ptes[0], system.context('ptl_mm').owner]).toEqual([false, none, 'unmap']);
    });

    test('does not make another place exclusive', () => {
      const system = unmapped({ ptes: { 0: readOnly() }, others: { 3: readOnly() }, exclusive: true }, [item(0), item(3, 'mn')], 'swap');
      expect([system.context('mm').ptes[0], system.context('mn').ptes[3]]).toEqual([
        { kind: 'swap', slot: 7, exclusive: true },
        { kind: 'swap', slot: 7 },
      ]);
      expectAtRest(system);
    });
  });
});

describe('LUF: the flush of read-only ptes', () => {
  test('is put off, and recorded under the page-table lock before mapping and reference go', () => {
    const system = unmapped({ luf: true });
    expect(system.said('unmap')).toEqual([
      'ptl_mm: lock',
      'mm: pte.read {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: tlb_gen.inc',
      'mm: cpumask.read',
      'mm: tlb_flush_batched.inc',
      'luf_batch: luf_batch.record {"cpus":["cpu1"]}',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'p: return {"cpus":[],"writable":false,"lazyCpus":["cpu1"]}',
    ]);
    expect([debts(system), pending(system)]).toEqual([[{ cpu: 'cpu1', ugen: 1 }], { pending: 1, flushed: 0 }]);
    expectAtRest(system);
  });

  test('of several places is put off for the CPUs of all', () => {
    const system = unmapped({ luf: true, ptes: { 0: readOnly() }, others: { 3: readOnly(dirty) } }, [item(0), item(3, 'mn')]);
    expect([result(system), system.context('page4').dirty]).toEqual([putOff('cpu0', 'cpu1', 'cpu2'), true]);
    expect(debts(system)).toEqual([
      { cpu: 'cpu0', ugen: 2 },
      { cpu: 'cpu1', ugen: 1 },
      { cpu: 'cpu1', ugen: 2 },
      { cpu: 'cpu2', ugen: 2 },
    ]);
    expectAtRest(system);
  });

  test.each<[string, RmapItem[]]>([
    ['before it', [item(3, 'mn'), item(0)]],
    ['after it', [item(0), item(3, 'mn')]],
  ])('is not put off where a writable pte comes %s: the whole folio goes into the batch', (_, items) => {
    const system = unmapped({ luf: true, ptes: { 0: readOnly() }, others: { 3: writable(dirty) } }, items);
    expect(result(system)).toEqual({ ...batched('cpu0', 'cpu1', 'cpu2'), writable: true });
    // What was recorded for its read-only pte stays so until somebody pays.
    expect(debts(system)).toEqual([{ cpu: 'cpu1', ugen: 1 }]);
    expectAtRest(system);
  });

  test.each<[string, Pte, boolean]>([
    ['writable', writable(), false],
    ['writable and dirty', writable(dirty), true],
  ])('of a pte that is %s is not put off', (_, pte, stores) => {
    const system = unmapped({ luf: true, ptes: { 0: pte } });
    expect([result(system), debts(system)]).toEqual([{ ...batched('cpu1'), writable: stores }, []]);
    expectAtRest(system);
  });

  test.each(['swap', 'migration'])('is put off as well where a %s entry is left', (leaves) => {
    const system = unmapped({ luf: true }, [item(0)], leaves);
    expect([result(system), system.context('mm').ptes[0]]).toEqual([putOff('cpu1'), expect.objectContaining({ kind: leaves })]);
    expectAtRest(system);
  });

  test('of a page that is mapped nowhere is none', () => {
    const system = unmapped({ luf: true, ptes: {} });
    expect([result(system), debts(system)]).toEqual([putOff(), []]);
    expectAtRest(system);
  });

  test('the debt is there before anybody else can have the page-table lock', () => {
    const system = call(rig({ luf: true })).take('unmap', 'step');
    system.say('q', 'ptl_mm', 'lock');
    while (!system.heard('q').some(({ type }) => type === 'locked')) system.take('unmap', 'step');
    expect([debts(system), pending(system)]).toEqual([[{ cpu: 'cpu1', ugen: 1 }], { pending: 1, flushed: 0 }]);
  });
});

describe('safeguards taken out', () => {
  test('row L2: a writable and dirty pte is put off like a read-only one', () => {
    const machine = tryToUnmap.provide({ guards: { isWritable: () => false } });
    const system = unmapped({ luf: true, machine, ptes: { 0: writable(dirty) } });
    expect([result(system), debts(system), system.context('page4').dirty]).toEqual([putOff('cpu1'), [{ cpu: 'cpu1', ugen: 1 }], true]);
    expectAtRest(system);
  });

  test('rows L10, L11: the address space does not say that a flush is to come', () => {
    const machine = tryToUnmap.provide({ guards: { marksPending: () => false } });
    const system = unmapped({ luf: true, machine });
    expect([pending(system), debts(system), result(system)]).toEqual([{ pending: 0, flushed: 0 }, [{ cpu: 'cpu1', ugen: 1 }], putOff('cpu1')]);
    expectAtRest(system);
  });

  test('row L12: the next one with the page-table lock sees neither debt nor pending flush; both are recorded after the lock is dropped', () => {
    const machine = tryToUnmap.provide({ guards: { recordsUnderPtl: () => false, marksPending: () => false } });
    const system = call(rig({ luf: true, machine })).stepTo('unmap', 'luf_record');
    expect([system.context('ptl_mm').owner, debts(system), pending(system)]).toEqual([null, [], { pending: 0, flushed: 0 }]);
    system.settle();
    expect(system.said('unmap').slice(5)).toEqual([
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'mm: tlb_flush_batched.inc',
      'luf_batch: luf_batch.record {"cpus":["cpu1"]}',
      'p: return {"cpus":[],"writable":false,"lazyCpus":["cpu1"]}',
    ]);
    expectAtRest(system);
  });

  test('row L12: each place is recorded for itself, a writable one not at all', () => {
    const machine = tryToUnmap.provide({ guards: { recordsUnderPtl: () => false, marksPending: () => false } });
    const system = unmapped({ luf: true, machine, ptes: { 0: readOnly(), 1: writable() }, others: { 3: readOnly() } }, [item(0), item(1), item(3, 'mn')]);
    expect(told(system, 'luf_batch', 'ptl_mm', 'ptl_mn')).toEqual([
      'ptl_mm: lock',
      'ptl_mm: unlock',
      'luf_batch: luf_batch.record {"cpus":["cpu1"]}',
      'ptl_mm: lock',
      'ptl_mm: unlock',
      'ptl_mn: lock',
      'ptl_mn: unlock',
      'luf_batch: luf_batch.record {"cpus":["cpu0","cpu1","cpu2"]}',
    ]);
    expectAtRest(system);
  });

  test('row L17: no generation is taken, so that a switch back finds nothing newer', () => {
    const system = unmapped({ luf: true, machine: tryToUnmap.provide({ guards: { takesGen: () => false } }) });
    expect([system.context('mm').tlbGen, told(system, 'mm')]).toEqual([
      1,
      ['mm: pte.read {"vpn":0}', 'mm: pte.get_and_clear {"vpn":0}', 'mm: cpumask.read', 'mm: tlb_flush_batched.inc'],
    ]);
    expect([result(system), debts(system)]).toEqual([putOff('cpu1'), [{ cpu: 'cpu1', ugen: 1 }]]);
    expectAtRest(system);
  });

  test('row L17: what the pte was is known all the same', () => {
    const machine = tryToUnmap.provide({ guards: { takesGen: () => false } });
    const system = unmapped({ luf: true, machine, ptes: { 0: writable(dirty) } }, [item(0)], 'migration');
    expect([result(system), system.context('page4').dirty]).toEqual([{ ...batched('cpu1'), writable: true }, true]);
    expect(system.context('mm').ptes[0]).toEqual({ kind: 'migration', pfn: 4, write: true });
    expectAtRest(system);
  });
});

describe('who watches', () => {
  const unmap = (vpn: number, mm: string, cpus: string[]): Message => ({ type: 'luf.unmap', pfn: 4, mapping: 'file', index: 7, places: [{ mm, vpn }], cpus });

  test('is told of each pte under the lock, and of the folio at the end of the walk', () => {
    const system = unmapped({ luf: true, debug: true, ptes: { 0: readOnly() }, others: { 3: readOnly() } }, [item(0), item(3, 'mn')]);
    const cpus = ['cpu0', 'cpu1', 'cpu2'];
    const places = [
      { mm: 'mm', vpn: 0 },
      { mm: 'mn', vpn: 3 },
    ];
    expect(system.heard('debug')).toEqual([
      unmap(0, 'mm', ['cpu1']),
      unmap(3, 'mn', cpus),
      { type: 'luf.skip', pfn: 4, mapping: 'file', index: 7, places, cpus, write: false },
    ]);
    expect(system.said('unmap').at(-2)).toContain('debug: luf.skip');
  });

  test('is told of no folio whose flush is not put off', () => {
    const items = [item(0), item(3, 'mn')];
    const system = unmapped({ luf: true, debug: true, ptes: { 0: readOnly() }, others: { 3: writable() } }, items);
    expect(system.heard('debug')).toEqual([unmap(0, 'mm', ['cpu1'])]);
  });

  test.each<[string, Setup]>([
    ['of a kernel without LUF', {}],
    ['of a page that is mapped nowhere', { luf: true, ptes: {} }],
  ])('is told nothing %s', (_, setup) => {
    expect(unmapped({ ...setup, debug: true }).heard('debug')).toEqual([]);
  });

  test('row L12: is told of the pte under the lock, before the debt is recorded', () => {
    const machine = tryToUnmap.provide({ guards: { recordsUnderPtl: () => false, marksPending: () => false } });
    const system = unmapped({ luf: true, debug: true, machine });
    expect(told(system, 'debug', 'ptl_mm', 'luf_batch').map((said) => said.split(' {')[0])).toEqual([
      'ptl_mm: lock',
      'debug: luf.unmap',
      'ptl_mm: unlock',
      'luf_batch: luf_batch.record',
      'debug: luf.skip',
    ]);
    expect(system.heard('debug').at(-1)).toMatchObject({ places: [{ mm: 'mm', vpn: 0 }], cpus: ['cpu1'] });
  });

  test('row L2: is told that a writable pte was among them', () => {
    const machine = tryToUnmap.provide({ guards: { isWritable: () => false } });
    const system = unmapped({ luf: true, debug: true, machine, ptes: { 0: writable(), 1: readOnly() } }, [item(0), item(1)]);
    expect(system.heard('debug').at(-1)).toMatchObject({ type: 'luf.skip', write: true, cpus: ['cpu1'] });
  });
});

test('one walk remembers nothing of the one before', () => {
  const system = unmapped({ luf: true, ptes: { 0: writable(dirty), 1: readOnly() } }, [item(0)]);
  expect(result(system)).toEqual({ ...batched('cpu1'), writable: true });
  expectAtRest(system);
  call(system, [item(1)]).settle();
  expect([result(system), counts(system)]).toEqual([putOff('cpu1'), { mapcount: 0, refcount: 2 }]);
  expectAtRest(system);
});

describe('a pte that no CPU may access (PROT_NONE)', () => {
  const protnone = (pfn: number, isDirty = false): Pte => ({ kind: 'protnone', pfn, dirty: isDirty });

  // page_vma_mapped_walk finds it, since pte_present holds of it.
  test.each<[string, Pte]>([
    ['none', none],
    ['swap', { kind: 'swap', slot: 7 }],
    ['migration', { kind: 'migration', pfn: 4, write: false }],
  ])('maps the page too: it is cleared, and %s left', (leaves, left) => {
    const system = unmapped({ ptes: { 0: protnone(4, true) } }, [item(0)], leaves);
    expect([system.context('mm').ptes[0], counts(system), system.context('page4').dirty]).toEqual([left, { mapcount: 0, refcount: 2 }, true]);
    // Its D was set while stores were allowed; what they left is to be written out after a flush like any other.
    expect([result(system), system.context('mm').tlbGen]).toEqual([{ ...batched('cpu1'), writable: true }, 2]);
    expectAtRest(system);
  });

  test('is read-only: its flush is put off', () => {
    const system = unmapped({ luf: true, ptes: { 0: protnone(4) } });
    expect([result(system), debts(system), counts(system)]).toEqual([putOff('cpu1'), [{ cpu: 'cpu1', ugen: 1 }], { mapcount: 0, refcount: 2 }]);
    expectAtRest(system);
  });

  test('of another page is left as it is', () => {
    const system = unmapped({ ptes: { 0: protnone(5, true) } });
    expect([system.context('mm').ptes[0], system.heard('page4'), result(system)]).toEqual([protnone(5, true), [], batched()]);
    expectAtRest(system);
  });
});

describe('R4a: secondary MMUs', () => {
  const range = (phase: string, vpn: number, mm = 'mm'): string => `notifier_${mm}: call {"phase":"${phase}","event":"CLEAR","owner":null,"vpns":[${vpn}]}`;

  test.each<[string, Pte]>([
    ['that maps the page', readOnly()],
    ['that does not', none],
    ['that a device has for itself', { kind: 'devexcl', pfn: 4 }],
  ])('are told of each place before its page-table lock is taken, and after it is dropped: one %s', (_, pte) => {
    const system = unmapped({ ptes: { 0: pte }, notified: ['mm'] });
    expect(told(system, 'notifier_mm', 'ptl_mm')).toEqual([range('start', 0), 'ptl_mm: lock', 'ptl_mm: unlock', range('end', 0)]);
    expectAtRest(system);
  });

  test('each address space has its own, or none', () => {
    const setup: Setup = { ptes: { 0: readOnly(), 1: readOnly() }, others: { 3: readOnly() } };
    const items = [item(0), item(3, 'mn'), item(1)];
    const system = unmapped({ ...setup, notified: ['mm', 'mn'] }, items);
    expect(told(system, 'notifier_mm', 'notifier_mn')).toEqual([
      range('start', 0),
      range('end', 0),
      range('start', 3, 'mn'),
      range('end', 3, 'mn'),
      range('start', 1),
      range('end', 1),
    ]);
    expect(result(system)).toEqual(batched('cpu0', 'cpu1', 'cpu2'));
    expectAtRest(system);
    const one = unmapped({ ...setup, notified: ['mn'] }, items);
    expect(told(one, 'notifier_mm', 'notifier_mn')).toEqual([range('start', 3, 'mn'), range('end', 3, 'mn')]);
    expectAtRest(one);
  });

  test('hold it up without the page-table lock; the entry stands when the end is told', () => {
    const system = rig({ ptes: { 0: writable() }, notified: ['mm'], machine: tryToUnmap });
    call(system, [item(0)], 'migration').stepTo('unmap', 'folio_remove_rmap_pte');
    expect([system.context('ptl_mm').owner, told(system, 'notifier_mm')]).toEqual(['unmap', [range('start', 0)]]);
    system.settle();
    expect([system.said('unmap').slice(-3), system.context('mm').ptes[0]]).toEqual([
      ['ptl_mm: unlock', range('end', 0), 'p: return {"cpus":["cpu1"],"writable":false,"lazyCpus":[]}'],
      { kind: 'migration', pfn: 4, write: true },
    ]);
    expectAtRest(system);
  });

  test('row L12: the debt is recorded before the end is told', () => {
    const machine = tryToUnmap.provide({ guards: { recordsUnderPtl: () => false, marksPending: () => false } });
    const system = unmapped({ luf: true, machine, notified: ['mm'] });
    expect(told(system, 'notifier_mm', 'ptl_mm', 'luf_batch')).toEqual([
      range('start', 0),
      'ptl_mm: lock',
      'ptl_mm: unlock',
      'luf_batch: luf_batch.record {"cpus":["cpu1"]}',
      range('end', 0),
    ]);
    expectAtRest(system);
  });
});

describe('a device-exclusive entry', () => {
  const entry = (pfn = 4): Pte => ({ kind: 'devexcl', pfn, write: true });
  const old = tryToUnmap.provide({ guards: { keepsMapcount: () => false } });

  test('is a mapping: cleared, and mapping and reference dropped; no TLB leads to it, so there is nobody to flush', () => {
    const system = unmapped({ ptes: { 0: entry() } });
    expect(system.said('unmap')).toEqual([
      'ptl_mm: lock',
      'mm: pte.read {"vpn":0}',
      'mm: pte.clear {"vpn":0}',
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'p: return {"cpus":[],"writable":false,"lazyCpus":[]}',
    ]);
    expect([system.context('mm').tlbGen, pending(system), counts(system)]).toEqual([1, { pending: 0, flushed: 0 }, { mapcount: 0, refcount: 2 }]);
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['swap', { kind: 'swap', slot: 7, exclusive: true }],
    ['migration', { kind: 'migration', pfn: 4, write: false, exclusive: true }],
  ])('leaves a %s entry, read-only, which says whose page it is', (leaves, left) => {
    const system = unmapped({ ptes: { 0: entry() }, exclusive: true }, [item(0)], leaves);
    expect([system.context('mm').ptes[0], system.context('page4').anonExclusive, system.context('page4').dirty]).toEqual([left, false, false]);
    expectAtRest(system);
  });

  test('LUF: there is no flush to put off', () => {
    const system = unmapped({ luf: true, debug: true, ptes: { 0: entry() } });
    expect([result(system), debts(system), system.heard('debug')]).toEqual([putOff(), [], []]);
    expectAtRest(system);
  });

  test.each<[string, typeof tryToUnmap, Pte]>([
    ['of another page is left as it is', tryToUnmap, entry(5)],
    ['up to 6.14 is no mapping, and left as it is', old, entry()],
  ])('%s', (_, machine, pte) => {
    const system = unmapped({ machine, ptes: { 0: pte, 1: readOnly() } }, [item(0), item(1)]);
    expect([system.context('mm').ptes, result(system)]).toEqual([{ 0: pte, 1: none }, batched('cpu1')]);
    expect(told(system, 'page4')).toEqual(['page4: folio.remove_rmap', 'page4: folio.ref_dec']);
    expectAtRest(system);
  });
});

describe('a page in the memory of a device', () => {
  const entry = (write: boolean, pfn = 4): Pte => ({ kind: 'devpriv', pfn, write });

  test.each([true, false])('try_to_migrate leaves a migration entry with the rights it had (write: %s); there is nobody to flush', (write) => {
    const system = unmapped({ ptes: { 0: entry(write) }, exclusive: true }, [item(0)], 'migration');
    expect(system.said('unmap')).toEqual([
      'ptl_mm: lock',
      'mm: pte.read {"vpn":0}',
      'mm: pte.clear {"vpn":0}',
      'page4: page.read',
      'page4: folio.set_exclusive {"exclusive":false}',
      `mm: pte.set ${JSON.stringify({ vpn: 0, pte: { kind: 'migration', pfn: 4, write, exclusive: true } })}`,
      'page4: folio.remove_rmap',
      'page4: folio.ref_dec',
      'ptl_mm: unlock',
      'p: return {"cpus":[],"writable":false,"lazyCpus":[]}',
    ]);
    expectAtRest(system);
  });

  test.each<[string, Pte, string]>([
    ['another page of the device is left as it is', entry(true, 5), 'migration'],
    ['reclaim does not know it', entry(true), 'swap'],
  ])('%s', (_, pte, leaves) => {
    const system = unmapped({ ptes: { 0: pte } }, [item(0)], leaves);
    expect([system.context('mm').ptes[0], told(system, 'page4')]).toEqual([pte, []]);
    expectAtRest(system);
  });
});

describe('a page that may be protected', () => {
  const both = { ptes: { 0: readOnly() }, others: { 3: readOnly() } };

  test('and is: its record has all places, whatever the caller knows', () => {
    const system = unmapped({ ...both, record: [item(0), item(3, 'mn')] }, [item(0)]);
    expect(system.said('unmap').slice(0, 2)).toEqual(['page4: folio.mapping', 'record4: record.read']);
    expect([system.context('mm').ptes[0], system.context('mn').ptes[3], system.context('page4').mapcount]).toEqual([none, none, 0]);
    expectAtRest(system);
  });

  test('and is not: the places are those of the call', () => {
    const system = unmapped({ ...both, record: null }, [item(0)]);
    expect([system.context('mm').ptes[0], system.context('mn').ptes[3], system.context('page4').mapcount]).toEqual([none, readOnly(), 1]);
    expectAtRest(system);
  });

  test('the safeguard: without it the places of others are not found', () => {
    const machine = tryToUnmap.provide({ guards: { knowsRecord: () => false } });
    const system = unmapped({ ...both, machine, record: [item(0), item(3, 'mn')] }, [item(0)]);
    expect([system.context('mm').ptes[0], system.context('mn').ptes[3], system.context('page4').mapcount]).toEqual([none, readOnly(), 1]);
  });
});

test('every transition was taken', () => {
  expect(untaken(tryToUnmap)).toEqual([]);
});
