import {
  addressSpace,
  coherence,
  flushTlbBatchedPending,
  folio,
  folioLock,
  migratePages,
  mprotect,
  type Pte,
  pageCache,
  presentPte,
  putPage,
  rwsem,
  spinlock,
  tryToUnmap,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  /** Somebody judges, and a debug mode listens. */
  watched?: boolean;
  notified?: boolean;
  machine?: typeof mprotect;
  others?: Actors;
}
const area = { mapping: 'file', index: 0, anonymous: false, read: true, write: true };

const rig = ({ pte, watched = false, notified = false, machine = mprotect, others = {} }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: pte ? { 3: pte } : {}, vmas: [3], areas: { 3: area }, cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    flush: returns(),
    batched_pending: returns(),
    coherence: actor(coherence, { input: { cells: { f: 'f.v0' }, places: { 'mm/3': { cell: 'f', read: true, write: true } } } }),
    debug: answers(),
    notifier: returns({ ok: true }),
    restore: returns(),
    mprotect: actor(machine, {
      input: {
        mm: 'mm',
        mmapLock: 'mmap_lock',
        ptl: 'ptl',
        flush: 'flush',
        batchedPending: 'batched_pending',
        coherence: watched ? 'coherence' : null,
        debug: watched ? 'debug' : null,
        restoreExclusive: 'restore',
        ...(notified ? { notifier: 'notifier' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, read = true, write = false): Rig => {
  system.say('p', 'mprotect', { type: 'call', vpn: 3, read, write });
  return system;
};
const changed = (setup: Setup, read = true): Rig => call(rig(setup), read).settle();
const pte = (system: Rig): unknown => system.context('mm').ptes[3];
const told = (system: Rig, ...to: string[]): string[] => system.said('mprotect').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
function expectAtRest(system: Rig): void {
  expect(system.context('mprotect')).toMatchObject({ caller: '', vpn: -1, read: true, write: true, pte: { kind: 'none' } });
  expect([system.context('mmap_lock'), system.context('ptl')]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
  ]);
  expect([system.at('mprotect'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const find = ['mmap_lock: down_write', 'mm: vma.find {"vpn":3}'];
const begin = (read: boolean): string[] => [
  ...find,
  `mm: vma.protect {"vpns":[3],"read":${read},"write":false}`,
  'ptl: lock',
  'batched_pending: call',
  'mm: pte.read {"vpn":3}',
];
const taken = 'mm: pte.get_and_clear {"vpn":3}';
const set = (to: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte: to })}`;
const flush = 'flush: call {"vpns":[3]}';

describe('a pte that is there', () => {
  test('to read-only: taken, put back without the right to write, and flushed before the system call returns', () => {
    const system = changed({ pte: presentPte(4) });
    expect(system.said('mprotect')).toEqual([
      ...begin(true),
      taken,
      set(presentPte(4, { write: false })),
      'ptl: unlock',
      flush,
      'mmap_lock: up_write',
      'p: return',
    ]);
    expect([pte(system), system.context('mm').areas[3]]).toEqual([presentPte(4, { write: false }), { ...area, write: false }]);
    expectAtRest(system);
  });

  test('to no access: the page stays mapped, and nobody may access it', () => {
    const system = changed({ pte: presentPte(4, { dirty: true }) }, false);
    const without: Pte = { kind: 'protnone', pfn: 4, dirty: true };
    expect(system.said('mprotect')).toEqual([...begin(false), taken, set(without), 'ptl: unlock', flush, 'mmap_lock: up_write', 'p: return']);
    expect([pte(system), system.context('mm').areas[3]]).toEqual([without, { ...area, read: false, write: false }]);
    expectAtRest(system);
  });

  test.each<[boolean, Pte]>([
    [true, presentPte(4, { write: false, dirty: true })],
    [false, { kind: 'protnone', pfn: 4, dirty: true }],
  ])('a D bit that the walker sets until the pte is taken is kept (stays readable: %s)', (read, kept) => {
    const system = call(rig({ pte: presentPte(4) }), read).stepTo('mprotect', 'ptep_modify_prot_start');
    system.say('p', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(pte(system.settle())).toEqual(kept);
  });

  test('between the two steps the walker finds nothing there', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('mprotect', 'ptep_modify_prot_commit');
    expect([pte(system), system.context('ptl').owner]).toEqual([{ kind: 'none' }, 'mprotect']);
    expect(pte(system.settle())).toEqual(presentPte(4, { write: false }));
  });

  test('while the flush is under way mmap_lock is held, the page-table lock is not, and the rights are not withdrawn yet', () => {
    const system = changed({ pte: presentPte(4), watched: true, others: { flush: answers() } }, false);
    expect([system.at('mprotect'), system.can('mprotect', 'step'), system.heard('p')]).toEqual(['flush_tlb_range', false, []]);
    expect([system.context('mmap_lock').writer, system.context('ptl').owner, system.context('coherence').places['mm/3'].read]).toEqual([
      'mprotect',
      null,
      true,
    ]);
    system.say('p', 'mprotect', 'return');
    expect(system.settle().context('coherence').places['mm/3']).toMatchObject({ read: false, write: false });
    expectAtRest(system);
  });
});

describe('a page without access', () => {
  test.each<[string, boolean, boolean, Pte]>([
    ['that may be read again: its pte is present', true, false, presentPte(4, { write: false })],
    ['that may be read again keeps its D bit', true, true, presentPte(4, { write: false, dirty: true })],
    ['stays so', false, true, { kind: 'protnone', pfn: 4, dirty: true }],
  ])('%s', (_, read, dirty, to) => {
    const system = changed({ pte: { kind: 'protnone', pfn: 4, dirty } }, read);
    expect(system.said('mprotect')).toEqual([...begin(read), taken, set(to), 'ptl: unlock', flush, 'mmap_lock: up_write', 'p: return']);
    expect([pte(system), system.context('mm').areas[3]]).toEqual([to, { ...area, read, write: false }]);
    expectAtRest(system);
  });
});

describe('no VMA', () => {
  test('-ENOMEM: nothing has changed, nothing is flushed, and nobody is told of rights', () => {
    const system = rig({ pte: presentPte(4), watched: true });
    system.say('p', 'mm', { type: 'vma.unlink', vpns: [3] });
    call(system, false).settle();
    expect(system.said('mprotect')).toEqual([...find, 'mmap_lock: up_write', 'p: return']);
    expect([pte(system), system.context('mm').areas[3], system.heard('coherence'), system.heard('debug')]).toEqual([presentPte(4), area, [], []]);
    expectAtRest(system);
  });

  test('mmap_lock is held until it returns; then it can be called again', () => {
    const system = rig({ pte: presentPte(4) });
    system.say('p', 'mm', { type: 'vma.unlink', vpns: [3] });
    call(system).stepTo('mprotect', 'mmap_write_unlock_failed');
    expect([system.context('mmap_lock').writer, system.heard('p'), system.heard('ptl')]).toEqual(['mprotect', [], []]);
    expectAtRest(system.settle());
    system.say('p', 'mm', { type: 'vma.link', vpns: [3], areas: { 3: area } });
    expect(pte(call(system).settle())).toEqual(presentPte(4, { write: false }));
    expectAtRest(system);
  });
});

describe('nothing present', () => {
  test.each<[string, Pte | undefined]>([
    ['no pte', undefined],
    ['a swap entry', { kind: 'swap', slot: 1 }],
  ])('%s: the VMA has the new rights; the pte is left alone and nothing flushed', (_, before) => {
    const system = changed(before ? { pte: before } : {}, false);
    expect(system.said('mprotect')).toEqual([...begin(false), 'ptl: unlock', 'mmap_lock: up_write', 'p: return']);
    expect([pte(system), system.context('mm').areas[3].read]).toEqual([before, false]);
    expectAtRest(system);
  });

  test.each([{}, { exclusive: true }])('a migration entry: what it is restored to may not be written; whose page it is stays (%j)', (whose) => {
    const system = changed({ pte: { kind: 'migration', pfn: 4, write: true, ...whose } });
    const entry: Pte = { kind: 'migration', pfn: 4, write: false, ...whose };
    expect(system.said('mprotect')).toEqual([...begin(true), set(entry), 'ptl: unlock', 'mmap_lock: up_write', 'p: return']);
    expect(pte(system)).toEqual(entry);
    expectAtRest(system);
  });
});

describe('a page that is migrated meanwhile', () => {
  const zone = { idle: 0, zone: 'normal' as const };
  const migration: Actors = {
    page4: actor(folio, { input: { pfn: 4, refcount: 2, mapcount: 1, ...zone } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, ...zone } }),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    file: actor(pageCache, { input: { folios: { 0: 4 } } }),
    unmap: actor(tryToUnmap, { input: { lufBatch: null, debug: null } }),
    arch_flush: returns(),
    alloc_pages: returns({ pfns: [5] }),
    put_page: actor(putPage, { input: {} }),
    allocator: answers(),
    migrate: actor(migratePages, {
      input: {
        ...{ folioLocks: { 4: 'lock4', 5: 'lock5' }, tryToUnmap: 'unmap', archFlush: 'arch_flush', allocPages: 'alloc_pages', putPage: 'put_page' },
        ...{ lufBatch: null, allocator: 'allocator', debug: null },
      },
    }),
  };
  const protectedMeanwhile = (read: boolean): Rig => {
    const system = rig({ pte: presentPte(4), others: migration });
    const candidate = { pfn: 4, mapping: 'file', index: 0, anonymous: false, items: [{ mm: 'mm', vpn: 3, ptl: 'ptl' }] };
    system.say('p', 'migrate', { type: 'call', candidate });
    system.stepTo('migrate', 'try_to_migrate').settle('unmap');
    return call(system, read).settle('mprotect').settle();
  };

  test.each<[string, boolean, Pte]>([
    ['read-only', true, presentPte(5, { write: false })],
    ['without access', false, { kind: 'protnone', pfn: 5, dirty: false }],
  ])('is mapped %s where it is now', (_, read, mapped) => {
    expect(pte(protectedMeanwhile(read))).toEqual(mapped);
  });
});

describe('row L11: flush_tlb_batched_pending', () => {
  test('it is called under the page-table lock, before the look at the pte, and waited for', () => {
    const system = changed({ pte: presentPte(4), others: { batched_pending: answers() } });
    expect([system.at('mprotect'), system.can('mprotect', 'step'), system.context('ptl').owner]).toEqual(['flush_tlb_batched_pending', false, 'mprotect']);
    expect(system.said('mprotect')).toEqual(begin(true).slice(0, 5));
    system.say('p', 'mprotect', 'return');
    expectAtRest(system.settle());
  });

  test.each<[string, number, object[]]>([
    ['a flush that reclaim has put off is done although the pte is gone', 1, [{ type: 'call', vpns: 'all' }]],
    ['with none put off there is nothing to flush', 0, []],
  ])('%s', (_, batches, flushes) => {
    const system = rig({ others: { batched_pending: actor(flushTlbBatchedPending, { input: { mm: 'mm', flush: 'flush' } }) } });
    for (let batch = 0; batch < batches; batch++) system.say('p', 'mm', 'tlb_flush_batched.inc');
    call(system, false).settle();
    expect(system.heard('flush')).toEqual(flushes);
    expect(system.context('mm').tlbFlushBatched).toEqual({ pending: batches, flushed: batches });
    expectAtRest(system);
  });
});

const allow = 'coherence: place.allow {"mm":"mm","vpn":3,"read":true,"write":false}';

test('who judges is told of what is allowed with the new rights of the VMA: a fault may use them before mprotect returns', () => {
  const system = rig({ pte: { kind: 'swap', slot: 1 }, watched: true });
  system.say('p', 'coherence', { type: 'place.protect', mm: 'mm', vpn: 3, read: false, write: false });
  call(system).stepTo('mprotect', 'pte_offset_map_lock');
  expect(system.said('mprotect').slice(2)).toEqual([begin(true)[2], allow]);
  expect([system.context('coherence').places['mm/3'], system.heard('p')]).toEqual([{ cell: 'f', read: true, write: false, formerly: [] }, []]);
  system.settle();
  expectAtRest(system);
});

test('who judges, and a debug mode, are told of what is withdrawn when the system call returns, not before', () => {
  const system = call(rig({ pte: presentPte(4), watched: true })).stepTo('mprotect', 'mmap_write_unlock');
  expect(told(system, 'coherence', 'debug')).toEqual([allow]);
  system.take('mprotect', 'step');
  expect(system.said('mprotect').slice(-4)).toEqual([
    'mmap_lock: up_write',
    'coherence: place.protect {"mm":"mm","vpn":3,"read":true,"write":false}',
    'debug: luf.withdrawn {"mm":"mm","vpns":[3]}',
    'p: return',
  ]);
  expect(system.context('coherence').places['mm/3']).toMatchObject({ read: true, write: false });
  expectAtRest(system);
});

test('it sleeps while others hold mmap_lock: the rights are as they were', () => {
  const system = rig({ pte: presentPte(4) });
  system.say('p', 'mmap_lock', 'down_read');
  call(system).settle();
  expect([system.at('mprotect'), system.can('mprotect', 'step'), system.context('mm').areas[3].write]).toEqual(['wait_for_mmap_lock', false, true]);
  system.say('p', 'mmap_lock', 'up_read');
  expect(pte(system.settle())).toEqual(presentPte(4, { write: false }));
  expectAtRest(system);
});

test('it spins while another has the page-table lock, and then takes what is there by then', () => {
  const system = rig({ pte: presentPte(4) });
  system.say('p', 'ptl', 'lock');
  call(system).settle();
  expect([system.at('mprotect'), system.can('mprotect', 'step'), system.heard('batched_pending')]).toEqual(['spin_on_ptl', false, []]);
  system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: presentPte(5) });
  system.say('p', 'ptl', 'unlock');
  expect(pte(system.settle())).toEqual(presentPte(5, { write: false }));
  expectAtRest(system);
});

test('it can be called again: what was read-only loses the rest', () => {
  const system = call(changed({ pte: presentPte(4) }), false).settle();
  expect([pte(system), system.heard('p'), system.heard('flush')]).toEqual([
    { kind: 'protnone', pfn: 4, dirty: false },
    [{ type: 'return' }, { type: 'return' }],
    [
      { type: 'call', vpns: [3] },
      { type: 'call', vpns: [3] },
    ],
  ]);
  expectAtRest(system);
});

const unchanging = mprotect.provide({ guards: { changesNothing: () => false } });
const start = 'notifier: call {"phase":"start","event":"PROTECTION_VMA","owner":null,"vpns":[3]}';
const end = start.replace('start', 'end');
const close = ['mmap_lock: up_write', 'p: return'];

describe('the rights that are there already', () => {
  test('mprotect_fixup returns at once: nobody is told, no lock is taken, nothing is flushed', () => {
    const system = call(rig({ pte: presentPte(4), watched: true, notified: true }), true, true);
    system.stepTo('mprotect', 'mmap_write_unlock_unchanged');
    expect([system.context('mmap_lock').writer, system.heard('p')]).toEqual(['mprotect', []]);
    expect(system.settle().said('mprotect')).toEqual([...find, ...close]);
    expectAtRest(system);
    expect(pte(call(system).settle())).toEqual(presentPte(4, { write: false }));
    expectAtRest(system);
  });

  test('after a round that has taken them away nothing is left to do', () => {
    const system = call(changed({ pte: presentPte(4) })).settle();
    expect([system.heard('flush').length, system.heard('ptl').length]).toEqual([1, 2]);
    expectAtRest(system);
  });

  test.each<Pte>([presentPte(4, { dirty: true }), presentPte(4, { write: false })])(
    'where another right changes, secondary MMUs are told, and the pte is as it was (%j)',
    (before) => {
      const system = call(rig({ pte: before, notified: true, machine: unchanging }), true, true).settle();
      expect(told(system, 'notifier', 'flush')).toEqual([start, end, flush]);
      expect([pte(system), system.context('mm').areas[3]]).toEqual([before, area]);
      expectAtRest(system);
    },
  );
});

describe('secondary MMUs', () => {
  const loud = { pte: presentPte(4), notified: true };
  const order = (system: Rig): string[] => told(system, 'mm', 'ptl', 'notifier', 'flush').map((said) => said.replace(/ \{"(vpn|pte).*/, ''));

  test('are told when the VMA has its rights, before the page-table lock is taken; and again before the flush', () => {
    const system = changed(loud);
    expect(order(system)).toEqual([
      'mm: vma.find',
      'mm: vma.protect',
      start,
      'ptl: lock',
      'mm: pte.read',
      'mm: pte.get_and_clear',
      'mm: pte.set',
      'ptl: unlock',
      end,
      'flush: call',
    ]);
    expectAtRest(system);
  });

  test.each<[string, Pte | undefined]>([
    ['no pte', undefined],
    ['a swap entry', { kind: 'swap', slot: 1 }],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
    ['a device-exclusive entry', { kind: 'devexcl', pfn: 4, write: true }],
    ['the entry of a page in the memory of a device', { kind: 'devpriv', pfn: 4, write: true }],
  ])('are told of %s too, although nothing is flushed', (_, before) => {
    const system = changed({ notified: true, ...(before ? { pte: before } : {}) });
    expect(told(system, 'ptl', 'notifier', 'flush')).toEqual([start, 'ptl: lock', 'ptl: unlock', end]);
    expectAtRest(system);
  });

  test('hold it up, under mmap_lock and without the page-table lock', () => {
    const system = changed({ ...loud, others: { notifier: answers() } });
    const held = (): unknown => [system.at('mprotect'), system.can('mprotect', 'step'), system.context('mmap_lock').writer, system.context('ptl').owner];
    expect([held(), pte(system)]).toEqual([['mmu_notifier_invalidate_range_start', false, 'mprotect', null], presentPte(4)]);
    system.say('p', 'mprotect', { type: 'return', ok: true });
    system.settle();
    expect([held(), system.heard('flush')]).toEqual([['mmu_notifier_invalidate_range_end', false, 'mprotect', null], []]);
    system.say('p', 'mprotect', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test('are told nothing where there is no VMA', () => {
    const system = rig(loud);
    system.say('p', 'mm', { type: 'vma.unlink', vpns: [3] });
    expect(call(system).settle().heard('notifier')).toEqual([]);
    expectAtRest(system);
  });
});

describe('a device-exclusive entry', () => {
  const entry: Pte = { kind: 'devexcl', pfn: 4, write: true };
  const demotes = mprotect.provide({ guards: { demotesDevexcl: () => true } });
  const restores = mprotect.provide({ guards: { restoresDevexcl: () => true } });

  test('stays as it is: the rights are looked up when it is restored', () => {
    const system = changed({ pte: entry });
    expect(system.said('mprotect')).toEqual([...begin(true), 'ptl: unlock', ...close]);
    expect([pte(system), system.context('mm').areas[3].write]).toEqual([entry, false]);
    expectAtRest(system);
  });

  test.each([true, false])('up to 6.14 becomes one of the readable type, whatever the new rights (write: %s)', (write) => {
    const machine = demotes.provide({ guards: { changesNothing: () => false } });
    const system = call(rig({ pte: entry, machine }), true, write).settle();
    expect([pte(system), system.heard('flush')]).toEqual([{ ...entry, write: false }, []]);
    expectAtRest(system);
  });

  describe('row D12f: is restored first', () => {
    const restore = 'restore: call {"vpn":3,"pfn":4}';

    test('without the page-table lock; then it is looked at again, and changed like any pte', () => {
      const system = changed({ pte: entry, notified: true, machine: restores, others: { restore: answers() } });
      expect([system.at('mprotect'), system.can('mprotect', 'step'), system.context('ptl').owner, system.context('mmap_lock').writer]).toEqual([
        'remove_device_exclusive_entry',
        false,
        null,
        'mprotect',
      ]);
      system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: presentPte(4) });
      system.say('p', 'mprotect', 'return');
      expect([system.at('mprotect'), system.context('mprotect').pte]).toEqual(['pte_offset_map_lock', { kind: 'none' }]);
      system.settle();
      expect(told(system, 'ptl', 'notifier', 'restore', 'batched_pending', 'flush')).toEqual([
        start,
        'ptl: lock',
        'batched_pending: call',
        'ptl: unlock',
        restore,
        'ptl: lock',
        'batched_pending: call',
        'ptl: unlock',
        end,
        flush,
      ]);
      expect(pte(system)).toEqual(presentPte(4, { write: false }));
      expectAtRest(system);
    });

    test('again, if a device has it again by then; gone, there is nothing to flush', () => {
      const system = changed({ pte: entry, machine: restores, others: { restore: answers() } });
      system.say('p', 'mprotect', 'return');
      expect(told(system.settle(), 'restore')).toEqual([restore, restore]);
      system.say('p', 'mm', { type: 'pte.clear', vpn: 3 });
      system.say('p', 'mprotect', 'return');
      expect(system.settle().heard('flush')).toEqual([]);
      expectAtRest(system);
    });
  });
});

describe('a page in the memory of a device', () => {
  const entry: Pte = { kind: 'devpriv', pfn: 4, write: true };

  test.each([true, false])('becomes read-only, whatever the new rights (write: %s); nothing is flushed', (write) => {
    const machine = mprotect.provide({ guards: { changesNothing: () => false } });
    const system = call(rig({ pte: entry, machine }), true, write).settle();
    expect([pte(system), system.heard('flush')]).toEqual([{ ...entry, write: false }, []]);
    expectAtRest(system);
  });

  test('one that is read-only is left alone', () => {
    const system = changed({ pte: { ...entry, write: false } });
    expect(system.said('mprotect')).toEqual([...begin(true), 'ptl: unlock', ...close]);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(mprotect)).toEqual([]);
});
