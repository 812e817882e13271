import { addressSpace, daxDevice, daxFault, folio, type Pte, pageCache, presentPte, rcu, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  ptes?: Record<string, Pte>;
  /** Up to 6.14: devmap ptes, no reference per mapping. */
  old?: boolean;
  /** Page 4 is a tail of page 2. */
  tail?: boolean;
}

const rig = ({ ptes = {}, old = false, tail = false }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: [] } }),
    ptl: actor(spinlock),
    page2: actor(folio, { input: { pfn: 2, refcount: 0, idle: 0, nr: 4 } }),
    page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0, ...(tail ? { tail: { head: 2 } } : {}) } }),
    mapping: actor(pageCache, { input: { blocks: { 0: 4, 1: null }, mappers: 1 } }),
    lock: actor(rwsem),
    dax: actor(daxDevice),
    srcu: actor(rcu, { choices: ['grace_period'] }),
    fault: actor(daxFault, {
      input: { mm: 'mm', ptl: 'ptl', mapping: 'mapping', invalidateLock: 'lock', dax: 'dax', srcu: 'srcu', devmap: old, refPerMapping: !old },
    }),
    p: probe(),
  });
const call = (system: Rig, vpn: number): Rig => {
  system.say('p', 'fault', { type: 'call', vpn });
  return system;
};
const counts = (system: Rig, pfn = 4): number[] => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).mapcount];
function expectAtRest(system: Rig): void {
  expect(system.context('lock')).toEqual({ writer: null, readers: [], waiters: [] });
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
  expect(system.context('srcu').readers).toEqual({});
  expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, pfn: -1, head: -1, ok: false });
}

test('inside dax_srcu and the invalidate lock it asks whether the device is alive, finds the block, and maps it', () => {
  const system = call(rig(), 0).settle('fault');
  expect(system.said('fault')).toEqual([
    'lock: down_read',
    'srcu: rcu.read_lock',
    'dax: dax.alive',
    'mapping: block.read {"index":0}',
    'page4: page.head',
    'ptl: lock',
    'mm: pte.read {"vpn":0}',
    'page4: folio.get',
    'page4: folio.add_rmap',
    `mm: pte.set ${JSON.stringify({ vpn: 0, pte: presentPte(4) })}`,
    'ptl: unlock',
    'srcu: rcu.read_unlock',
    'lock: up_read',
    'p: return {"ok":true}',
  ]);
  expect(counts(system)).toEqual([1, 1]);
  expectAtRest(system);
});

describe('of a tail', () => {
  test('the head is looked up before the page-table lock is taken; reference and mapping are counted there, the pte maps the tail', () => {
    const system = call(rig({ tail: true }), 0).settle('fault');
    expect(system.said('fault').slice(4, 10)).toEqual([
      ...['page4: page.head', 'ptl: lock', 'mm: pte.read {"vpn":0}', 'page2: folio.get', 'page2: folio.add_rmap'],
      `mm: pte.set ${JSON.stringify({ vpn: 0, pte: presentPte(4) })}`,
    ]);
    expect([counts(system, 2), counts(system), system.heard('p')]).toEqual([[1, 1], [0, 0], [{ type: 'return', ok: true }]]);
    expectAtRest(system);
  });

  test('up to 6.14 nothing is counted', () => {
    const system = call(rig({ tail: true, old: true }), 0).settle('fault');
    expect([counts(system, 2), counts(system), system.heard('page2')]).toEqual([[0, 0], [0, 0], []]);
    expectAtRest(system);
  });

  test('that is mapped already nothing is counted', () => {
    const system = call(rig({ tail: true, ptes: { 0: presentPte(4) } }), 0).settle('fault');
    expect([counts(system, 2), counts(system), system.heard('p')]).toEqual([[0, 0], [0, 0], [{ type: 'return', ok: true }]]);
    expectAtRest(system);
  });
});

test('up to 6.14 the mapping holds no reference, and the pte is devmap and special', () => {
  const system = call(rig({ old: true }), 0).settle('fault');
  expect(counts(system)).toEqual([0, 0]);
  expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { devmap: true, special: true }));
  expect(system.heard('p')).toEqual([{ type: 'return', ok: true }]);
});

test('of a page that is mapped already it takes no second reference', () => {
  const system = call(rig({ ptes: { 0: presentPte(4) } }), 0).settle('fault');
  expect([counts(system), system.heard('p')]).toEqual([[0, 0], [{ type: 'return', ok: true }]]);
  expect(system.said('fault').some((said) => said.includes('pte.set'))).toBe(false);
  expectAtRest(system);
});

test('one that was mapped by another fault meanwhile counts as mapped', () => {
  const system = call(rig(), 0).stepTo('fault', 'insert_page');
  system.say('p', 'mm', { type: 'pte.set', vpn: 0, pte: presentPte(4) });
  system.settle('fault');
  expect([counts(system), system.heard('p').at(-1)]).toEqual([[0, 0], { type: 'return', ok: true }]);
});

test('a dead device hands out no page', () => {
  const system = rig();
  system.say('p', 'dax', 'dax.kill');
  call(system, 0).settle('fault');
  expect([system.heard('p'), system.heard('page4'), system.context('mm').ptes]).toEqual([[{ type: 'return', ok: false }], [], {}]);
  expectAtRest(system);
});

test('a hole has no page', () => {
  const system = call(rig(), 1).settle('fault');
  expect([system.heard('p'), system.heard('page4'), system.heard('ptl')]).toEqual([[{ type: 'return', ok: false }], [], []]);
  expectAtRest(system);
});

test('A8b: without the check a dead device hands out pages', () => {
  const system = new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [0], cpumask: [] } }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 0, idle: 0 } }),
    mapping: actor(pageCache, { input: { blocks: { 0: 4 }, mappers: 1 } }),
    lock: actor(rwsem),
    dax: actor(daxDevice),
    srcu: actor(rcu),
    fault: actor(daxFault.provide({ guards: { daxAlive: () => true } }), {
      input: { mm: 'mm', ptl: 'ptl', mapping: 'mapping', invalidateLock: 'lock', dax: 'dax', srcu: 'srcu', devmap: false, refPerMapping: true },
    }),
    p: probe(),
  });
  system.say('p', 'dax', 'dax.kill');
  expect(call(system, 0).settle('fault').heard('p')).toEqual([{ type: 'return', ok: true }]);
});

describe('who waits for it', () => {
  test('a truncation waits for the invalidate lock', () => {
    const system = call(rig(), 0).stepTo('fault', 'dax_alive');
    expect(system.say('p', 'lock', 'down_write')).toEqual([]);
    system.settle('fault');
    expect(system.heard('p')).toEqual([{ type: 'locked' }, { type: 'return', ok: true }]);
  });

  test('synchronize_srcu waits until it has inserted the pte', () => {
    const system = call(rig(), 0).stepTo('fault', 'iomap_begin');
    system.say('p', 'dax', 'dax.kill');
    system.say('p', 'srcu', 'synchronize_rcu');
    while (system.at('fault') !== 'dax_read_unlock') {
      expect(system.can('srcu', 'grace_period')).toBe(false);
      system.take('fault', 'step');
    }
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
    expect(system.take('fault', 'step').can('srcu', 'grace_period')).toBe(true);
  });

  test('and it waits for a truncation, and for the page-table lock', () => {
    const system = rig();
    system.say('p', 'lock', 'down_write');
    system.say('p', 'ptl', 'lock');
    call(system, 0).settle('fault');
    expect(system.at('fault')).toBe('wait_for_invalidate_lock');
    system.say('p', 'lock', 'up_write');
    system.settle('fault');
    expect(system.at('fault')).toBe('spin_on_ptl');
    system.say('p', 'ptl', 'unlock');
    expect(system.settle('fault').heard('p').at(-1)).toEqual({ type: 'return', ok: true });
  });
});

test('every transition was taken', () => {
  expect(untaken(daxFault)).toEqual([]);
});
