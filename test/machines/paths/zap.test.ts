import { assign } from 'xstate';
import {
  addressSpace,
  folio,
  folioLock,
  type Pte,
  pageCache,
  pageTable,
  presentPte,
  rcu,
  spinlock,
  tlbRemoveTableRcu,
  type UnlinkVma,
  zap,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  ptes?: Record<string, Pte>;
  machine?: typeof zap;
  batchSize?: number;
  file?: boolean;
  freeing?: 'rcu' | 'sync';
  batchedPending?: 'batched';
  notifier?: 'notifier';
  mapsHuge?: boolean;
  /** Ranges that a huge leaf maps. */
  huge?: number[];
  others?: Actors;
}

const tables = { rcu: 'rcu', callback: 'callback', interconnect: 'interconnect', cpus: ['cpu0', 'cpu1', 'cpu2'] };
const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, mapcount: 1, idle: 0, zone: 'normal' } }) });

const rig = ({ ptes = {}, machine = zap, others = {}, freeing, huge = [], ...input }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2, 3], cpumask: [], pmds: { 0: 'table0', 1: 'table1' }, huge } }),
    ptl: actor(spinlock),
    ...page(4),
    ...page(5),
    ...page(6),
    table0: actor(pageTable),
    table1: actor(pageTable),
    mapping: actor(pageCache, { input: { blocks: {}, mappers: 1 } }),
    cpu0: answers(),
    interconnect: answers({ 'ipi.wait': [{ type: 'ipi.done' }] }),
    rcu: answers(),
    callback: answers(),
    flush: returns(),
    put: returns(),
    put_device: returns(),
    batched: returns(),
    notifier: returns({ ok: true }),
    restore: returns(),
    lock4: actor(folioLock),
    zap: actor(machine, {
      input: {
        ...{ cpu: 'cpu0', mm: 'mm', ptl: 'ptl', flush: 'flush', putPage: 'put', folioLocks: { 4: 'lock4' }, restoreExclusive: 'restore' },
        putDevicePage: 'put_device',
        ...input,
        ...(freeing ? { freeing, tables } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
type Asks = { event?: 'UNMAP' | 'CLEAR'; blockable?: boolean };
const call = (system: Rig, vpns: number[], unlink?: UnlinkVma, asks: Asks = {}): Rig => {
  system.say('p', 'zap', { type: 'call', vpns, ...(unlink ? { unlink } : {}), ...asks });
  return system;
};
const unmapped = (setup: Setup, vpns: number[], unlink?: UnlinkVma, asks?: Asks): Rig => call(rig(setup), vpns, unlink, asks).settle();
const devmap = (pfn: number): Pte => presentPte(pfn, { devmap: true, special: true });
const dirty = (pfn: number): Pte => presentPte(pfn, { dirty: true });
/** What it said to these. */
const told = (system: Rig, ...to: string[]): string[] => system.said('zap').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('mm').tlbFlushPending).toBe(0);
  expect(system.context('zap')).toMatchObject({ caller: '', unlink: null, vpns: [], pte: { kind: 'none' } });
  expect(system.context('zap')).toMatchObject({
    cleared: [],
    batch: [],
    delayed: [],
    freedTables: false,
    tableBatch: [],
    forced: false,
    notification: null,
    ok: true,
  });
  expect([system.at('zap'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

describe('Z3 to Z6: the ptes', () => {
  test('an ordinary page: its map count goes before the flush, its reference after', () => {
    const system = unmapped({ ptes: { 0: presentPte(4) } }, [0]);
    expect(system.said('zap')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":0}',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'mm: gather.read',
      'flush: call {"vpns":[0],"freedTables":false}',
      'put: call {"pfn":4,"pinned":false}',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expect(system.context('mm').ptes[0]).toEqual({ kind: 'none' });
    expect(system.context('page4')).toMatchObject({ mapcount: 0, refcount: 1 });
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['devmap and special', devmap(4)],
    ['special', presentPte(4, { special: true })],
  ])('a pte that is %s is cleared and flushed; its struct page is not touched', (_, pte) => {
    const system = unmapped({ ptes: { 0: pte } }, [0]);
    expect([system.heard('page4'), system.heard('put'), system.heard('flush')]).toEqual([[], [], [{ type: 'call', vpns: [0], freedTables: false }]]);
    expect(system.context('mm').ptes[0]).toEqual({ kind: 'none' });
    expectAtRest(system);
  });

  test('ptes that are none need no flush', () => {
    const system = unmapped({}, [0, 1]);
    expect([system.heard('flush'), system.heard('put')]).toEqual([[], []]);
    expectAtRest(system);
  });

  test('a swap entry is cleared; there is nothing to flush, and no page', () => {
    const system = unmapped({ ptes: { 0: { kind: 'swap', slot: 4 } } }, [0]);
    expect([system.context('mm').ptes[0], system.heard('flush'), system.heard('put'), system.heard('page4')]).toEqual([{ kind: 'none' }, [], [], []]);
    expectAtRest(system);
  });

  test('many pages: one lock, one flush for those that were there, then the references in order', () => {
    const system = unmapped({ ptes: { 0: presentPte(5), 2: presentPte(4), 3: devmap(5) } }, [0, 1, 2, 3]);
    expect(system.said('zap').filter((said) => !said.includes('get_and_clear'))).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'page5: folio.remove_rmap',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'mm: gather.read',
      'flush: call {"vpns":[0,2,3],"freedTables":false}',
      'put: call {"pfn":5,"pinned":false}',
      'put: call {"pfn":4,"pinned":false}',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expectAtRest(system);
  });

  test.each([true, false])('a pte without access maps its page all the same (dirty: %s)', (dirty) => {
    const system = unmapped({ ptes: { 0: { kind: 'protnone', pfn: 4, dirty } }, file: true }, [0]);
    expect(told(system, 'page4', 'flush', 'put')).toEqual([
      ...(dirty ? ['page4: folio.mark_dirty'] : ['page4: folio.remove_rmap']),
      'flush: call {"vpns":[0],"freedTables":false}',
      ...(dirty ? ['page4: folio.remove_rmap'] : []),
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expect([system.context('mm').ptes[0], system.context('page4').dirty]).toEqual([{ kind: 'none' }, dirty]);
    expectAtRest(system);
  });

  test('it spins while another has the page-table lock, and holds it over all ptes', () => {
    const system = rig({ ptes: { 0: presentPte(4), 1: presentPte(5) } });
    system.say('p', 'ptl', 'lock');
    call(system, [0, 1]).settle();
    expect([system.at('zap'), system.can('zap', 'step'), system.context('mm').tlbFlushPending]).toEqual(['spin_on_ptl', false, 1]);
    system.say('p', 'ptl', 'unlock');
    while (system.at('zap') !== 'pte_unmap_unlock') {
      expect(system.context('ptl').owner).toBe('zap');
      system.take('zap', 'step');
    }
    expectAtRest(system.settle());
  });

  test('row B10: it leaves interrupts alone, or else has them off as long as it wants the page-table lock', () => {
    const ptes = { 0: presentPte(4), 1: presentPte(5) };
    expect(told(unmapped({ ptes, batchSize: 1 }, [0, 1]), 'cpu0')).toEqual([]);
    const system = unmapped({ ptes, batchSize: 1, machine: zap.provide({ guards: { disablesIrqs: () => true } }) }, [0, 1]);
    const pass = (vpn: number): string[] => [
      'cpu0: irq.save',
      'ptl: lock',
      `flush: call {"vpns":[${vpn}],"freedTables":false}`,
      'ptl: unlock',
      'cpu0: irq.restore',
    ];
    expect(told(system, 'cpu0', 'ptl', 'flush')).toEqual([...pass(0), ...pass(1)]);
    expectAtRest(system);
  });

  test('row B12: a page that is not in the range is freed without a flush, a full batch too', () => {
    const machine = zap.provide({ actions: { widen: assign({}) } });
    expect(told(unmapped({ ptes: { 0: presentPte(4) }, machine }, [0]), 'flush', 'put')).toEqual(['put: call {"pfn":4,"pinned":false}']);
    const system = unmapped({ ptes: { 0: presentPte(4) }, machine, batchSize: 1 }, [0]);
    expect(told(system, 'ptl', 'flush', 'put')).toEqual(['ptl: lock', 'ptl: unlock', 'put: call {"pfn":4,"pinned":false}']);
    expectAtRest(system);
  });
});

describe('Z2: flushes that reclaim has put into a batch', () => {
  const deferring: Setup = { ptes: { 0: presentPte(4), 1: presentPte(5) }, batchedPending: 'batched' };

  test('are done under the page-table lock, before any pte is looked at', () => {
    const system = unmapped(deferring, [0, 1]);
    expect(told(system, 'ptl', 'batched', 'mm', 'flush')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'batched: call',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":1}',
      'ptl: unlock',
      'mm: gather.read',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'mm: gather.end',
    ]);
    expectAtRest(system);
  });

  test('are waited for, with the lock held', () => {
    const system = unmapped({ ...deferring, others: { batched: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner]).toEqual(['flush_tlb_batched_pending', false, 'zap']);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
    system.say('p', 'zap', 'return');
    expect(system.settle().context('mm').ptes[0]).toEqual({ kind: 'none' });
    expectAtRest(system);
  });

  test('are asked for anew in every pass that has the lock, and not while another has it', () => {
    const system = unmapped({ ...deferring, batchSize: 1 }, [0, 1]);
    const pass = ['ptl: lock', 'batched: call', 'ptl: unlock'];
    expect(told(system, 'ptl', 'batched')).toEqual([...pass, ...pass]);
    expectAtRest(system);
    const waiting = rig(deferring);
    waiting.say('p', 'ptl', 'lock');
    expect(call(waiting, [0]).settle().heard('batched')).toEqual([]);
    waiting.say('p', 'ptl', 'unlock');
    expect(waiting.settle().heard('batched')).toEqual([{ type: 'call' }]);
  });

  test("are nobody's concern where none are put off", () => {
    expect(unmapped({ ptes: { 0: presentPte(4) } }, [0]).heard('batched')).toEqual([]);
  });
});

describe('Z5: dirty pages', () => {
  const ptes = { 0: dirty(4), 1: presentPte(5) };

  test('of a file: the dirty bit goes to the folio at once, the map count only after a flush under the page-table lock', () => {
    const system = unmapped({ ptes, file: true }, [0, 1]);
    expect(system.said('zap')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":0}',
      'page4: folio.mark_dirty',
      'mm: pte.get_and_clear {"vpn":1}',
      'page5: folio.remove_rmap',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'put: call {"pfn":4,"pinned":false}',
      'put: call {"pfn":5,"pinned":false}',
      'mm: gather.read',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expect([system.context('page4'), system.context('page5')]).toMatchObject([
      { dirty: true, mapcount: 0 },
      { dirty: false, mapcount: 0 },
    ]);
    expectAtRest(system);
  });

  test('of a file: while the flush is under way they are mapped and dirty', () => {
    const system = unmapped({ ptes: { 0: dirty(4), 1: dirty(5) }, file: true, others: { flush: answers() } }, [0, 1]);
    const pages = (): unknown => [4, 5].map((pfn) => [system.context(`page${pfn}`).mapcount, system.context(`page${pfn}`).dirty]);
    expect([system.at('zap'), system.context('ptl').owner, system.can('zap', 'step')]).toEqual(['tlb_flush_mmu_tlbonly', 'zap', false]);
    expect(pages()).toEqual([
      [1, true],
      [1, true],
    ]);
    system.say('p', 'zap', 'return');
    system.stepTo('zap', 'pte_unmap_unlock');
    expect(pages()).toEqual([
      [0, true],
      [0, true],
    ]);
    expectAtRest(system.settle());
  });

  test('of no file: they are pages like any other', () => {
    const system = unmapped({ ptes }, [0, 1]);
    expect(told(system, 'ptl', 'page4', 'flush')).toEqual([
      'ptl: lock',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'flush: call {"vpns":[0,1],"freedTables":false}',
    ]);
    expect(system.context('page4').dirty).toBe(false);
    expectAtRest(system);
  });

  const walkBeforeClear = (machine: typeof zap, state: string): Rig => {
    const system = call(rig({ ptes: { 0: presentPte(4) }, file: true, machine }), [0]).stepTo('zap', state);
    system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true, table: null });
    return system.settle();
  };

  test('Z3: a D bit that the walker sets until the exchange is seen', () => {
    const system = walkBeforeClear(zap, 'ptep_get_and_clear');
    expect([system.context('page4').dirty, system.context('mm').ptes[0]]).toEqual([true, { kind: 'none' }]);
    expectAtRest(system);
  });

  test('row B13: between a load and a store it is lost', () => {
    const system = walkBeforeClear(zap.provide({ guards: { exchangesPte: () => false } }), 'pte_clear');
    expect(told(system, 'mm').slice(1, 3)).toEqual(['mm: pte.read {"vpn":0}', 'mm: pte.clear {"vpn":0}']);
    expect([system.context('page4').dirty, system.context('mm').ptes[0]]).toEqual([false, { kind: 'none' }]);
    expectAtRest(system);
  });
});

describe('Z7 and Z8: a full batch', () => {
  const ptes = { 0: presentPte(4), 1: presentPte(5), 2: presentPte(6) };

  test('is flushed under the page-table lock and freed after the unlock; then comes the next pass', () => {
    const system = unmapped({ ptes, batchSize: 2 }, [0, 1, 2]);
    expect(system.said('zap')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":0}',
      'page4: folio.remove_rmap',
      'mm: pte.get_and_clear {"vpn":1}',
      'page5: folio.remove_rmap',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":4,"pinned":false}',
      'put: call {"pfn":5,"pinned":false}',
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":2}',
      'page6: folio.remove_rmap',
      'ptl: unlock',
      'mm: gather.read',
      'flush: call {"vpns":[2],"freedTables":false}',
      'put: call {"pfn":6,"pinned":false}',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expectAtRest(system);
  });

  test('holds the page-table lock while it is flushed, and not while it is freed', () => {
    const system = unmapped({ ptes, batchSize: 1, others: { flush: answers(), put: answers() } }, [0, 1]);
    expect([system.at('zap'), system.context('ptl').owner, system.heard('put')]).toEqual(['tlb_flush_mmu_tlbonly', 'zap', []]);
    system.say('p', 'zap', 'return');
    system.settle();
    expect([system.at('zap'), system.context('ptl').owner, system.can('zap', 'step')]).toEqual(['free_flushed_page', null, false]);
    expect(system.context('mm').ptes[1]).toEqual(presentPte(5));
    system.say('p', 'zap', 'return');
    expect(system.settle().context('mm').ptes[1]).toEqual({ kind: 'none' });
  });

  test('with the last page is flushed once, and freed once', () => {
    const system = unmapped({ ptes, batchSize: 1 }, [0]);
    const pass = ['ptl: lock', 'flush: call {"vpns":[0],"freedTables":false}', 'ptl: unlock', 'put: call {"pfn":4,"pinned":false}'];
    expect(told(system, 'ptl', 'flush', 'put')).toEqual(pass);
    expectAtRest(system);
  });

  test('has no room taken by ptes that stand for no reference', () => {
    const system = unmapped({ ptes: { 0: devmap(6), 2: presentPte(4), 3: devmap(6) }, batchSize: 1 }, [0, 1, 2, 3]);
    expect(told(system, 'ptl', 'flush', 'put')).toEqual([
      'ptl: lock',
      'flush: call {"vpns":[0,2],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":4,"pinned":false}',
      'ptl: lock',
      'ptl: unlock',
      'flush: call {"vpns":[3],"freedTables":false}',
    ]);
    expectAtRest(system);
  });

  test('with a dirty page of a file drops its map count between the flush and the unlock', () => {
    const system = unmapped({ ptes: { 0: dirty(4), 1: presentPte(5) }, batchSize: 1, file: true }, [0, 1]);
    expect(told(system, 'ptl', 'flush', 'put', 'page4').slice(0, 6)).toEqual([
      'ptl: lock',
      'page4: folio.mark_dirty',
      'flush: call {"vpns":[0],"freedTables":false}',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expectAtRest(system);
  });
});

describe('Z9 and Z10: the VMA goes', () => {
  const file = { mapping: 'mapping' };
  const driver = { mapping: 'mapping', pfnmap: true };

  test('the file forgets the mapping after the ptes are cleared and before the last flush', () => {
    const system = unmapped({ ptes: { 0: presentPte(4) } }, [0], file);
    expect(told(system, 'ptl', 'mapping', 'flush', 'put')).toEqual([
      'ptl: lock',
      'ptl: unlock',
      'mapping: mapping.unlink',
      'flush: call {"vpns":[0],"freedTables":false}',
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expect(system.context('mapping').mappers).toBe(0);
    expectAtRest(system);
  });

  test.each<[string, UnlinkVma | undefined]>([
    ['of an anonymous VMA', { mapping: null }],
    ['of a VMA that stays', undefined],
  ])('there is no file to tell about pages %s', (_, unlink) => {
    const system = unmapped({ ptes: { 0: presentPte(4) } }, [0], unlink);
    expect([system.heard('mapping'), system.heard('flush')]).toEqual([[], [{ type: 'call', vpns: [0], freedTables: false }]]);
    expectAtRest(system);
  });

  test("Z9: a driver's VMA is flushed before the file forgets it, and not again", () => {
    const system = unmapped({ ptes: { 0: devmap(4), 1: devmap(5) } }, [0, 1], driver);
    expect(told(system, 'ptl', 'mapping', 'flush')).toEqual([
      'ptl: lock',
      'ptl: unlock',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'mapping: mapping.unlink',
    ]);
    expectAtRest(system);
  });

  test("Z9: the file knows a driver's VMA as long as the flush is under way", () => {
    const system = unmapped({ ptes: { 0: devmap(4) }, others: { flush: answers() } }, [0], driver);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('mapping').mappers]).toEqual(['tlb_free_vmas', false, 1]);
    system.say('p', 'zap', 'return');
    expect(system.settle().context('mapping').mappers).toBe(0);
    expectAtRest(system);
  });

  test("Z9: a driver's VMA without ptes needs no flush", () => {
    expect(told(unmapped({}, [0], driver), 'mapping', 'flush')).toEqual(['mapping: mapping.unlink']);
  });

  test('without Z9 the file forgets it before the flush', () => {
    const system = unmapped({ ptes: { 0: devmap(4) }, machine: zap.provide({ guards: { flushesPfnmap: () => false } }) }, [0], driver);
    expect(told(system, 'mapping', 'flush')).toEqual(['mapping: mapping.unlink', 'flush: call {"vpns":[0],"freedTables":false}']);
    expectAtRest(system);
  });
});

test('a dirty pte of a driver (special) marks no folio, whatever it maps', () => {
  const system = unmapped({ ptes: { 0: presentPte(4, { special: true, dirty: true }) }, file: true }, [0]);
  expect([system.heard('page4'), system.heard('put')]).toEqual([[], []]);
});

describe('Z10 and Z13: page-table pages', () => {
  const ptes = { 0: presentPte(4) };
  const one: UnlinkVma = { mapping: 'mapping', tables: [0] };
  const two: UnlinkVma = { mapping: null, tables: [0, 512] };
  const sync = 'interconnect: ipi.send {"to":["cpu1","cpu2"],"request":{"function":"tlb_remove_table_smp_sync"}}';
  const wait = 'interconnect: ipi.wait';

  test('direct: unlinked one by one, and freed right after the pages', () => {
    const system = unmapped({ ptes }, [0], { ...two, mapping: 'mapping' });
    expect(told(system, 'mapping', 'mm', 'flush', 'put', 'table0', 'table1', 'rcu', 'interconnect')).toEqual([
      'mm: gather.begin',
      'mm: pte.get_and_clear {"vpn":0}',
      'mapping: mapping.unlink',
      'mm: pmd.clear {"vpn":0}',
      'mm: pmd.clear {"vpn":512}',
      'mm: gather.read',
      'flush: call {"vpns":[0],"freedTables":true}',
      'put: call {"pfn":4,"pinned":false}',
      'table0: table.free',
      'table1: table.free',
      'mm: gather.end',
    ]);
    expect(system.context('mm').pmds).toEqual({ 0: null, 1: null });
    expect([system.at('table0'), system.at('table1')]).toEqual(['freed', 'freed']);
    expectAtRest(system);
  });

  test('one that is gone already is passed over', () => {
    const system = unmapped({ ptes }, [0], { mapping: null, tables: [0, 1] });
    expect([system.said('zap').filter((said) => said.includes('pmd')), system.heard('table0')]).toEqual([
      ['mm: pmd.clear {"vpn":0}', 'mm: pmd.clear {"vpn":1}'],
      [{ type: 'table.free' }],
    ]);
    expectAtRest(system);
  });

  test('rcu: handed over as one batch after the flush, before the pages are freed', () => {
    const system = unmapped({ ptes, freeing: 'rcu' }, [0], two);
    expect(told(system, 'flush', 'put', 'table0', 'table1', 'rcu', 'callback', 'interconnect')).toEqual([
      'flush: call {"vpns":[0],"freedTables":true}',
      'callback: tables {"tables":["table0","table1"]}',
      'rcu: call_rcu {"callback":"callback"}',
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expect([system.at('table0'), system.at('table1')]).toEqual(['in_use', 'in_use']);
    expectAtRest(system);
  });

  test('rcu: they are freed once the readers that were there are gone', () => {
    const system = rig({ ptes, freeing: 'rcu', others: { rcu: actor(rcu, { choices: ['grace_period'] }), callback: actor(tlbRemoveTableRcu) } });
    system.say('p', 'rcu', 'rcu.read_lock');
    call(system, [0], one).settle();
    expect(system.at('table0')).toBe('in_use');
    expectAtRest(system);
    system.say('p', 'rcu', 'rcu.read_unlock');
    expect(system.settle().at('table0')).toBe('freed');
  });

  test('rcu: without tables there is nothing to hand over', () => {
    const system = unmapped({ ptes, freeing: 'rcu' }, [0], { mapping: null });
    expect(told(system, 'rcu', 'callback', 'flush')).toEqual(['flush: call {"vpns":[0],"freedTables":false}']);
    expectAtRest(system);
  });

  test('sync: each is invalidated, then freed after an IPI to every other CPU, all before the pages', () => {
    const system = unmapped({ ptes, freeing: 'sync' }, [0], two);
    expect(told(system, 'mm', 'flush', 'put', 'table0', 'table1', 'rcu', 'callback', 'interconnect')).toEqual([
      'mm: gather.begin',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: pmd.clear {"vpn":0}',
      'flush: call {"vpns":[0],"freedTables":true}',
      sync,
      wait,
      'table0: table.free',
      'mm: pmd.clear {"vpn":512}',
      'flush: call {"vpns":[],"freedTables":true}',
      sync,
      wait,
      'table1: table.free',
      'mm: gather.read',
      'put: call {"pfn":4,"pinned":false}',
      'mm: gather.end',
    ]);
    expectAtRest(system);
  });

  test('sync: no IPI before the invalidation is over, no free before every CPU has answered', () => {
    const system = unmapped({ ptes, freeing: 'sync', others: { flush: answers(), interconnect: answers() } }, [0], one);
    expect([system.at('zap'), system.can('zap', 'step'), system.heard('interconnect')]).toEqual(['tlb_table_invalidate', false, []]);
    system.say('p', 'zap', 'return');
    system.settle();
    expect([system.at('zap'), system.can('zap', 'step'), system.at('table0')]).toEqual(['csd_lock_wait', false, 'in_use']);
    expect(told(system, 'interconnect')).toEqual([sync, wait]);
    system.say('p', 'zap', 'ipi.done');
    expect(system.settle().at('table0')).toBe('freed');
    expectAtRest(system);
  });

  test('row B14: without the invalidation the flush comes after the table is freed', () => {
    const system = unmapped({ ptes, freeing: 'sync', machine: zap.provide({ guards: { invalidatesTable: () => false } }) }, [0], one);
    expect(told(system, 'flush', 'put', 'table0', 'interconnect')).toEqual([
      sync,
      wait,
      'table0: table.free',
      'flush: call {"vpns":[0],"freedTables":true}',
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expectAtRest(system);
  });

  test('they are flushed even where no pte was cleared', () => {
    const system = unmapped({}, [0], one);
    expect(told(system, 'flush', 'put', 'table0')).toEqual(['flush: call {"vpns":[],"freedTables":true}', 'table0: table.free']);
    expectAtRest(system);
  });

  test("a driver's are flushed apart from its pages", () => {
    const system = unmapped({ ptes: { 0: devmap(4) } }, [0], { ...one, pfnmap: true });
    expect(told(system, 'mapping', 'flush', 'table0')).toEqual([
      'flush: call {"vpns":[0],"freedTables":false}',
      'mapping: mapping.unlink',
      'flush: call {"vpns":[],"freedTables":true}',
      'table0: table.free',
    ]);
    expectAtRest(system);
  });
});

describe('Z11: another gather under way', () => {
  const nested = (setup: Setup, vpns: number[], unlink?: UnlinkVma): Rig => {
    const system = rig(setup);
    system.say('p', 'mm', 'gather.begin');
    return call(system, vpns, unlink).settle();
  };

  test('everything is flushed, whoever cleared it, page tables too', () => {
    const system = nested({ ptes: { 1: presentPte(4) } }, [0, 1]);
    expect(told(system, 'flush', 'put')).toEqual(['flush: call {"vpns":"all","freedTables":true}', 'put: call {"pfn":4,"pinned":false}']);
    expect(system.context('mm').tlbFlushPending).toBe(1);
    system.say('p', 'mm', 'gather.end');
    expectAtRest(system);
  });

  test('even where every pte was none already', () => {
    expect(nested({}, [0]).heard('flush')).toEqual([{ type: 'call', vpns: 'all', freedTables: true }]);
  });

  test('even after a full batch was flushed', () => {
    const system = nested({ ptes: { 0: presentPte(4) }, batchSize: 1 }, [0]);
    expect(told(system, 'flush')).toEqual(['flush: call {"vpns":[0],"freedTables":false}', 'flush: call {"vpns":"all","freedTables":true}']);
  });

  test('it frees no table of its own for that', () => {
    const system = nested({ freeing: 'rcu' }, [0]);
    expect(told(system, 'flush', 'rcu', 'callback', 'table0')).toEqual(['flush: call {"vpns":"all","freedTables":true}']);
  });

  test('one that is over by then does not count', () => {
    const system = rig({ ptes: { 0: presentPte(4) } });
    system.say('p', 'mm', 'gather.begin');
    call(system, [0, 1]).stepTo('zap', 'mm_tlb_flush_nested');
    system.say('p', 'mm', 'gather.end');
    expect(system.settle().heard('flush')).toEqual([{ type: 'call', vpns: [0], freedTables: false }]);
    expectAtRest(system);
  });

  test('row B7: who does not look returns without a flush although the ptes may be cached', () => {
    const system = nested({ machine: zap.provide({ guards: { isNested: () => false } }) }, [0]);
    expect([system.heard('flush'), system.heard('p').at(-1)]).toEqual([[], { type: 'return', ok: true }]);
  });
});

describe('Z12 before Z14', () => {
  test('no reference goes while the flush is under way', () => {
    const system = unmapped({ ptes: { 0: presentPte(4) }, others: { flush: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.heard('put')]).toEqual(['tlb_flush_mmu', false, []]);
    system.say('p', 'zap', 'return');
    expect(system.heard('put')).toHaveLength(1);
    expectAtRest(system.settle());
  });

  test('the gather is under way until the last page is freed', () => {
    const system = unmapped({ ptes: { 0: presentPte(4) }, others: { put: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('mm').tlbFlushPending]).toEqual(['free_pages_and_swap_cache', false, 1]);
    system.say('p', 'zap', 'return');
    expectAtRest(system.settle());
  });

  test('row B1: the pages go before the flush, the tables do not', () => {
    const machine = zap.provide({ guards: { flushesBeforeFree: () => false } });
    const system = unmapped({ ptes: { 0: presentPte(4), 1: presentPte(5) }, machine }, [0, 1], { mapping: null, tables: [0] });
    expect(told(system, 'put', 'flush', 'table0')).toEqual([
      'put: call {"pfn":4,"pinned":false}',
      'put: call {"pfn":5,"pinned":false}',
      'flush: call {"vpns":[0,1],"freedTables":true}',
      'table0: table.free',
    ]);
    expectAtRest(system);
  });

  test('row B2: it flushes with the ptes still there, and then clears them without another flush', () => {
    const machine = zap.provide({ guards: { clearsBeforeFlush: () => false, needsFlush: () => false } });
    const system = unmapped({ ptes: { 0: presentPte(4) }, machine, others: { flush: answers() } }, [0, 1]);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('mm').ptes[0]]).toEqual(['flush_before_clear', false, presentPte(4)]);
    system.say('p', 'zap', 'return');
    system.settle();
    expect(told(system, 'flush', 'mm', 'put')).toEqual([
      'mm: gather.begin',
      'flush: call {"vpns":[0,1]}',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":1}',
      'mm: gather.read',
      'put: call {"pfn":4,"pinned":false}',
      'mm: gather.end',
    ]);
    expectAtRest(system);
  });
});

describe('secondary MMUs', () => {
  const mirrored: Setup = { ptes: { 0: presentPte(4), 1: presentPte(5) }, notifier: 'notifier' };
  const range = (phase: string, event: string, vpns: number[], more = ''): string =>
    `notifier: call {"phase":"${phase}","event":"${event}","owner":null,"vpns":${JSON.stringify(vpns)}${more}}`;

  test('are told of all pages within the gather, before the lock and after it; the flush comes later', () => {
    const system = unmapped(mirrored, [0, 1]);
    expect(told(system, 'mm', 'ptl', 'notifier', 'flush', 'put')).toEqual([
      'mm: gather.begin',
      range('start', 'CLEAR', [0, 1]),
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":0}',
      'mm: pte.get_and_clear {"vpn":1}',
      'ptl: unlock',
      range('end', 'CLEAR', [0, 1]),
      'mm: gather.read',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'put: call {"pfn":4,"pinned":false}',
      'put: call {"pfn":5,"pinned":false}',
      'mm: gather.end',
    ]);
    expectAtRest(system);
  });

  test('hear what the caller says: UNMAP from munmap, whose VMA goes after the end', () => {
    const system = unmapped(mirrored, [0], { mapping: 'mapping', pfnmap: true, tables: [0] }, { event: 'UNMAP' });
    expect(told(system, 'ptl', 'notifier', 'flush', 'mapping')).toEqual([
      range('start', 'UNMAP', [0]),
      'ptl: lock',
      'ptl: unlock',
      range('end', 'UNMAP', [0]),
      'flush: call {"vpns":[0],"freedTables":false}',
      'mapping: mapping.unlink',
      'flush: call {"vpns":[],"freedTables":true}',
    ]);
    expectAtRest(system);
  });

  test('are told once, whatever the number of passes, and also where there is nothing', () => {
    const both = [range('start', 'CLEAR', [0, 1]), range('end', 'CLEAR', [0, 1])];
    expect(told(unmapped({ ...mirrored, batchSize: 1 }, [0, 1]), 'notifier')).toEqual(both);
    const system = unmapped({ notifier: 'notifier' }, [0, 1]);
    expect(told(system, 'notifier')).toEqual(both);
    expectAtRest(system);
  });

  test('hold it up: no lock is taken before start returns, and the flush waits for the end', () => {
    const system = unmapped({ ...mirrored, others: { notifier: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.heard('ptl')]).toEqual(['mmu_notifier_invalidate_range_start', false, []]);
    system.say('p', 'zap', { type: 'return', ok: true });
    system.settle();
    expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner, system.heard('flush')]).toEqual([
      'mmu_notifier_invalidate_range_end',
      false,
      null,
      [],
    ]);
    system.say('p', 'zap', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test('row B2 tells them before the flush', () => {
    const machine = zap.provide({ guards: { clearsBeforeFlush: () => false } });
    expect(told(unmapped({ ...mirrored, machine }, [0]), 'notifier', 'flush', 'ptl').slice(0, 3)).toEqual([
      range('start', 'CLEAR', [0]),
      'flush: call {"vpns":[0]}',
      'ptl: lock',
    ]);
  });

  describe('one of which would have to sleep', () => {
    const asked = { event: 'UNMAP' as const, blockable: false };
    const start = range('start', 'UNMAP', [0], ',"blockable":false');

    test('refuse who may not: nothing is cleared, the gather ends, and there is no end to tell', () => {
      const system = unmapped({ ...mirrored, others: { notifier: returns({ ok: false }, { ok: true }) } }, [0], undefined, asked);
      expect(system.said('zap')).toEqual(['mm: gather.begin', start, 'mm: gather.read', 'mm: gather.end', 'p: return {"ok":false}']);
      expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
      expectAtRest(system, false);
      call(system, [0], undefined, asked).settle();
      expect(told(system, 'notifier')).toEqual([start, start, range('end', 'UNMAP', [0])]);
      expect(system.context('mm').ptes[0]).toEqual({ kind: 'none' });
      expectAtRest(system);
    });

    test('refuse who may not: another gather that has cleared ptes is flushed for all the same', () => {
      const system = rig({ ...mirrored, others: { notifier: returns({ ok: false }) } });
      system.say('p', 'mm', 'gather.begin');
      expect(told(call(system, [0], undefined, asked).settle(), 'flush')).toEqual(['flush: call {"vpns":"all","freedTables":true}']);
      system.say('p', 'mm', 'gather.end');
      expectAtRest(system, false);
    });
  });

  test('of which there are none are not asked, whoever may not sleep', () => {
    const system = unmapped({ ptes: { 0: presentPte(4) } }, [0], undefined, { blockable: false });
    expect(system.heard('notifier')).toEqual([]);
    expectAtRest(system);
  });
});

describe('zap_nonpresent_ptes: a device-exclusive entry', () => {
  const ptes: Record<string, Pte> = { 0: { kind: 'devexcl', pfn: 4, write: true } };
  const put = 'put: call {"pfn":4,"pinned":false}';
  const atEnd = ['ptl: unlock', 'mm: gather.read', 'mm: gather.end', 'p: return {"ok":true}'];
  const old = zap.provide({ guards: { keepsMapcount: () => false } });

  test('is cleared; map count and reference go under the lock, and nothing is flushed', () => {
    const system = unmapped({ ptes }, [0]);
    expect(system.said('zap')).toEqual(['mm: gather.begin', 'ptl: lock', 'mm: pte.get_and_clear {"vpn":0}', 'page4: folio.remove_rmap', put, ...atEnd]);
    expect([system.context('mm').ptes[0], system.context('page4').mapcount]).toEqual([{ kind: 'none' }, 0]);
    expectAtRest(system);
  });

  test('up to 6.14 stands for no map count', () => {
    const system = unmapped({ ptes, machine: old }, [0]);
    expect(system.said('zap')).toEqual(['mm: gather.begin', 'ptl: lock', 'mm: pte.get_and_clear {"vpn":0}', put, ...atEnd]);
    expectAtRest(system);
  });

  test('among others: only they are flushed, and go with the batch', () => {
    const system = unmapped({ ptes: { ...ptes, 1: presentPte(5), 2: presentPte(6) }, batchSize: 1 }, [1, 0, 2]);
    expect(told(system, 'ptl', 'flush', 'put')).toEqual([
      'ptl: lock',
      'flush: call {"vpns":[1],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":5,"pinned":false}',
      'ptl: lock',
      put,
      'flush: call {"vpns":[2],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":6,"pinned":false}',
    ]);
    expect([0, 1, 2].map((vpn) => system.context('mm').ptes[vpn].kind)).toEqual(['none', 'none', 'none']);
    expectAtRest(system);
  });

  test('while its reference goes the page-table lock is held', () => {
    const system = unmapped({ ptes, others: { put: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner]).toEqual(['folio_put', false, 'zap']);
    system.say('p', 'zap', 'return');
    expectAtRest(system.settle());
  });

  describe('row D12: the folio is locked under the page-table lock', () => {
    const machine = zap.provide({ guards: { locksDevexclUnderPtl: () => true } });

    test('from before the entry is cleared until its map count is gone', () => {
      const system = unmapped({ ptes, machine }, [0]);
      expect(told(system, 'ptl', 'lock4', 'mm', 'page4', 'put').slice(1)).toEqual([
        'ptl: lock',
        'mm: pte.read {"vpn":0}',
        'lock4: lock',
        'mm: pte.get_and_clear {"vpn":0}',
        'page4: folio.remove_rmap',
        'lock4: unlock',
        put,
        'ptl: unlock',
        'mm: gather.read',
        'mm: gather.end',
      ]);
      expect(system.context('lock4').owner).toBe(null);
      expectAtRest(system);
    });

    test('while a driver has it, zap waits with the page-table lock held', () => {
      const system = rig({ ptes, machine });
      system.say('p', 'lock4', 'lock');
      call(system, [0]).settle();
      expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner]).toEqual(['folio_wait_locked', false, 'zap']);
      system.say('p', 'lock4', 'unlock');
      expectAtRest(system.settle());
    });

    test('other ptes need no folio lock', () => {
      const system = unmapped({ ptes: { 0: presentPte(4) }, machine }, [0, 1]);
      expect(system.heard('lock4')).toEqual([]);
      expectAtRest(system);
    });
  });

  describe('row D12f: it is restored first', () => {
    const machine = zap.provide({ guards: { restoresDevexcl: () => true } });
    const restore = 'restore: call {"vpn":0,"pfn":4}';
    const cleared = ['mm: pte.read {"vpn":0}', 'mm: pte.get_and_clear {"vpn":0}'];

    test('without the page-table lock; then it is looked at again, and is a page like others', () => {
      const system = unmapped({ ptes, machine, notifier: 'notifier', others: { restore: answers() } }, [0]);
      expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner]).toEqual(['remove_device_exclusive_entry', false, null]);
      expect(system.context('mm').ptes[0]).toEqual(ptes[0]);
      system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(4) });
      system.say('p', 'zap', 'return');
      system.settle();
      expect(told(system, 'mm', 'ptl', 'restore', 'flush', 'put').slice(1)).toEqual([
        'ptl: lock',
        'mm: pte.read {"vpn":0}',
        'ptl: unlock',
        restore,
        'ptl: lock',
        ...cleared,
        'ptl: unlock',
        'mm: gather.read',
        'flush: call {"vpns":[0],"freedTables":false}',
        put,
        'mm: gather.end',
      ]);
      expect(told(system, 'notifier')).toHaveLength(2);
      expectAtRest(system);
    });

    test('again, if a device has it again by then; and not, if it is gone', () => {
      const system = unmapped({ ptes, machine, others: { restore: answers() } }, [0]);
      system.say('p', 'zap', 'return');
      system.settle();
      expect([system.at('zap'), told(system, 'restore')]).toEqual(['remove_device_exclusive_entry', [restore, restore]]);
      system.say('p', 'mm', { type: 'pte.clear', vpn: 0 });
      system.say('p', 'zap', 'return');
      expect(told(system.settle(), 'flush', 'put', 'page4')).toEqual([]);
      expectAtRest(system);
    });

    test('what was cleared before is flushed for as for any lock that is dropped: a dirty page of a file', () => {
      const system = unmapped({ ptes: { ...ptes, 1: dirty(5) }, machine, file: true, others: { restore: answers() } }, [1, 0]);
      expect(told(system, 'ptl', 'flush', 'page5', 'put', 'restore')).toEqual([
        'ptl: lock',
        'page5: folio.mark_dirty',
        'flush: call {"vpns":[1],"freedTables":false}',
        'page5: folio.remove_rmap',
        'ptl: unlock',
        'put: call {"pfn":5,"pinned":false}',
        restore,
      ]);
    });
  });
});

describe('zap_nonpresent_ptes: a page in the memory of a device', () => {
  const ptes: Record<string, Pte> = { 0: { kind: 'devpriv', pfn: 4, write: true } };
  const put = 'put_device: call {"pfn":4,"pinned":false}';

  test('is cleared; map count and reference go under the lock, and nothing is flushed', () => {
    const system = unmapped({ ptes }, [0]);
    expect(system.said('zap')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'mm: pte.get_and_clear {"vpn":0}',
      'page4: folio.remove_rmap',
      put,
      'ptl: unlock',
      'mm: gather.read',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expect([system.context('mm').ptes[0], system.context('page4').mapcount]).toEqual([{ kind: 'none' }, 0]);
    expectAtRest(system);
  });

  test('among others: each goes where it belongs, and only the others are flushed', () => {
    const system = unmapped({ ptes: { ...ptes, 1: presentPte(5) } }, [0, 1]);
    expect(told(system, 'put_device', 'flush', 'put')).toEqual([put, 'flush: call {"vpns":[1],"freedTables":false}', 'put: call {"pfn":5,"pinned":false}']);
    expectAtRest(system);
  });

  test('while its reference goes the page-table lock is held', () => {
    const system = unmapped({ ptes, others: { put_device: answers() } }, [0]);
    expect([system.at('zap'), system.can('zap', 'step'), system.context('ptl').owner]).toEqual(['folio_put_private', false, 'zap']);
    system.say('p', 'zap', 'return');
    expectAtRest(system.settle());
  });

  test.each<[string, typeof zap]>([
    ['before 6.15', zap.provide({ guards: { keepsMapcount: () => false } })],
    ['in row D12', zap.provide({ guards: { locksDevexclUnderPtl: () => true } })],
    ['in row D12f', zap.provide({ guards: { restoresDevexcl: () => true } })],
  ])('is no device-exclusive entry: %s it is the same', (_, machine) => {
    const system = unmapped({ ptes, machine }, [0]);
    expect(told(system, 'page4', 'put_device', 'lock4', 'restore')).toEqual(['page4: folio.remove_rmap', put]);
    expectAtRest(system);
  });
});

describe('zap_huge_pmd: a huge leaf', () => {
  const leaf = (pfn: number, flags: Partial<typeof plain> = {}): Pte => ({ ...plain, ...flags, pfn });
  const plain = presentPte(4);
  const huge = (flags: Partial<typeof plain> = {}): Setup => ({
    ptes: { 0: leaf(4, flags), 1: leaf(5, flags), 512: presentPte(6) },
    huge: [0],
    mapsHuge: true,
  });

  test('stands for one reference and one map count, and is flushed as a whole', () => {
    const system = unmapped(huge(), [0, 1]);
    expect(system.said('zap')).toEqual([
      'mm: gather.begin',
      'ptl: lock',
      'mm: pmd.read {"vpn":0}',
      'mm: pmd.get_and_clear {"vpn":0}',
      'page4: folio.remove_rmap',
      'ptl: unlock',
      'mm: gather.read',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'put: call {"pfn":4,"pinned":false}',
      'mm: gather.end',
      'p: return {"ok":true}',
    ]);
    expect([system.context('mm').huge, system.heard('page5')]).toEqual([[], []]);
    expectAtRest(system);
  });

  test.each<[string, number[], string[], number[]]>([
    ['before', [0, 1, 512], ['pmd.read {"vpn":0}', 'pmd.get_and_clear {"vpn":0}', 'pmd.read {"vpn":512}', 'pte.get_and_clear {"vpn":512}'], [4, 6]],
    ['after', [512, 0, 1], ['pmd.read {"vpn":512}', 'pte.get_and_clear {"vpn":512}', 'pmd.read {"vpn":0}', 'pmd.get_and_clear {"vpn":0}'], [6, 4]],
  ])('%s a table: each is looked at, under one lock and with one flush', (_, vpns, accesses, pfns) => {
    const system = unmapped(huge(), vpns);
    expect(told(system, 'mm', 'flush', 'put')).toEqual([
      'mm: gather.begin',
      ...accesses.map((access) => `mm: ${access}`),
      'mm: gather.read',
      `flush: call {"vpns":${JSON.stringify(vpns)},"freedTables":false}`,
      ...pfns.map((pfn) => `put: call {"pfn":${pfn},"pinned":false}`),
      'mm: gather.end',
    ]);
    expectAtRest(system);
  });

  test('takes one place in the batch', () => {
    const system = unmapped({ ...huge(), batchSize: 1 }, [0, 1, 512]);
    expect(told(system, 'ptl', 'flush', 'put')).toEqual([
      'ptl: lock',
      'flush: call {"vpns":[0,1],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":4,"pinned":false}',
      'ptl: lock',
      'flush: call {"vpns":[512],"freedTables":false}',
      'ptl: unlock',
      'put: call {"pfn":6,"pinned":false}',
    ]);
    expectAtRest(system);
  });

  test('of a dirty page of a file: the dirty bit goes to the folio; the map count does not wait for the flush', () => {
    const system = unmapped({ ...huge({ dirty: true }), file: true }, [0, 1]);
    expect(told(system, 'page4', 'ptl', 'flush')).toEqual([
      'ptl: lock',
      'page4: folio.remove_rmap',
      'page4: folio.mark_dirty',
      'ptl: unlock',
      'flush: call {"vpns":[0,1],"freedTables":false}',
    ]);
    expect(system.context('page4')).toMatchObject({ dirty: true, mapcount: 0 });
    expectAtRest(system);
  });

  test('of no file: a dirty one is like others', () => {
    const system = unmapped(huge({ dirty: true }), [0, 1]);
    expect([told(system, 'page4'), system.context('page4').dirty]).toEqual([['page4: folio.remove_rmap'], false]);
    expectAtRest(system);
  });

  test('that is special is cleared and flushed; its struct page is not touched', () => {
    const system = unmapped(huge({ special: true, devmap: true }), [0, 1]);
    expect([system.heard('page4'), system.heard('put'), system.heard('flush')]).toEqual([[], [], [{ type: 'call', vpns: [0, 1], freedTables: false }]]);
    expect(system.context('mm').huge).toEqual([]);
    expectAtRest(system);
  });

  test('is not looked for where nobody says that there may be one', () => {
    const system = unmapped({ ...huge(), mapsHuge: false }, [0]);
    expect(told(system, 'mm').slice(1, 2)).toEqual(['mm: pte.get_and_clear {"vpn":0}']);
    expectAtRest(system);
  });

  test('where none is, the ptes go as ever, in row B13 too', () => {
    const machine = zap.provide({ guards: { exchangesPte: () => false } });
    const system = unmapped({ ptes: { 0: presentPte(4) }, mapsHuge: true, machine }, [0]);
    expect(told(system, 'mm').slice(1, 4)).toEqual(['mm: pmd.read {"vpn":0}', 'mm: pte.read {"vpn":0}', 'mm: pte.clear {"vpn":0}']);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(zap)).toEqual([]);
});
