import {
  type Area,
  addressSpace,
  coherence,
  copyPageRange,
  folio,
  folioLock,
  handlePteFault,
  migratePages,
  type Pte,
  pageCache,
  presentPte,
  putPage,
  rwsem,
  spinlock,
  task,
  tryToUnmap,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  judged?: boolean;
  notified?: boolean;
  childTask?: string;
  area?: Area;
  page4?: object;
  /** What the allocator hands out, call by call: a pinned page is looked for. */
  allocated?: number[][];
  machine?: typeof copyPageRange;
  others?: Actors;
}

const rig = ({ pte, judged = false, notified = false, childTask, area, page4, allocated, machine = copyPageRange, others = {} }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: pte ? { 3: pte } : {}, vmas: [3], cpumask: [], ...(area ? { areas: { 3: area } } : {}) } }),
    child: actor(addressSpace, { input: { ptes: {}, vmas: [3], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: true, ...page4 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal' } }),
    lock4: actor(folioLock),
    alloc: returns(...(allocated ?? []).map((pfns) => ({ pfns }))),
    put: actor(putPage, { input: {} }),
    notifier: returns({ ok: true }),
    flush: returns(),
    coherence: actor(coherence, { input: { cells: { x: 'x.v0' }, places: { 'mm/3': { cell: 'x', read: true, write: true } } } }),
    fork: actor(machine, {
      input: {
        ...{ mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: 'flush', child: 'child', coherence: judged ? 'coherence' : null },
        ...{ folioLocks: { 4: 'lock4' }, ...(notified ? { notifier: 'notifier' } : {}), ...(childTask ? { childTask } : {}) },
        ...(allocated ? { allocPages: 'alloc', putPage: 'put' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, vpn = 3): Rig => {
  system.say('p', 'fork', { type: 'call', vpn });
  return system;
};
const forked = (setup: Setup): Rig => call(rig(setup)).settle();
/** Of the parent and of the child. */
const ptes = (system: Rig): Pte[] => [system.context('mm').ptes[3], system.context('child').ptes[3]];
const page = (system: Rig): unknown => {
  const { refcount, mapcount, anonExclusive } = system.context('page4');
  return { refcount, mapcount, anonExclusive };
};
function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('fork')).toMatchObject({ caller: '', vpn: -1, pte: { kind: 'none' }, writable: false, dirty: false, ok: true });
  expect(system.context('fork')).toMatchObject({ prealloc: null, copied: false });
  expect([system.context('mmap_lock'), system.context('ptl'), system.context('lock4').owner]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
    null,
  ]);
  expect([system.at('fork'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

const readOnly = presentPte(4, { write: false });
const begin = ['mmap_lock: down_write', 'ptl: lock', 'mm: pte.read {"vpn":3}'];
const wrprotect = 'mm: pte.wrprotect {"vpn":3}';
const set = (of: string, pte: Pte): string => `${of}: pte.set ${JSON.stringify({ vpn: 3, pte })}`;
const end = ['ptl: unlock', 'flush: call {"vpns":[3]}', 'mmap_lock: up_write', 'p: return {"ok":true}'];

describe('a page that is there', () => {
  test('is shared from here: a reference and a mapping more, and read-only in both; the parent is flushed before the child runs', () => {
    const system = forked({ pte: presentPte(4) });
    expect(system.said('fork')).toEqual([
      ...begin,
      'page4: folio.ref_inc',
      'page4: folio.add_rmap',
      'page4: folio.set_exclusive {"exclusive":false}',
      wrprotect,
      set('child', readOnly),
      ...end,
    ]);
    expect([ptes(system), page(system)]).toEqual([[readOnly, readOnly], { refcount: 2, mapcount: 2, anonExclusive: false }]);
    expectAtRest(system);
  });

  test('is not exclusive any more when the child can see it', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('fork', 'set_pte_at');
    expect([ptes(system), page(system), system.context('ptl').owner]).toEqual([
      [readOnly, undefined],
      { refcount: 2, mapcount: 2, anonExclusive: false },
      'fork',
    ]);
  });

  test('is dirty for both: the parent may drop its pte without a look at D, when it copies', () => {
    const dirty = presentPte(4, { write: false, dirty: true });
    expect(ptes(forked({ pte: presentPte(4, { dirty: true }) }))).toEqual([dirty, dirty]);
  });

  test('was read-only already: shared all the same', () => {
    const system = forked({ pte: readOnly });
    expect([ptes(system), page(system)]).toEqual([[readOnly, readOnly], { refcount: 2, mapcount: 2, anonExclusive: false }]);
    expectAtRest(system);
  });

  test('a D bit that the walker sets until the pte is read-only is kept, and the child has it too', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('fork', 'ptep_set_wrprotect');
    system.say('p', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    const dirty = presentPte(4, { write: false, dirty: true });
    expect(ptes(system.settle())).toEqual([dirty, dirty]);
    expectAtRest(system);
  });

  test.each([true, false])('without access, after mprotect, is a page all the same: a reference and a mapping more (dirty: %s)', (dirty) => {
    const without: Pte = { kind: 'protnone', pfn: 4, dirty };
    const system = forked({ pte: without });
    expect([ptes(system), page(system)]).toEqual([[without, without], { refcount: 2, mapcount: 2, anonExclusive: false }]);
    expectAtRest(system);
  });
});

describe('no page', () => {
  test('no pte: nothing is copied', () => {
    const system = forked({});
    expect([system.said('fork'), ptes(system)]).toEqual([
      [...begin, ...end],
      [undefined, undefined],
    ]);
    expectAtRest(system);
  });

  test.each([{}, { exclusive: true }])('a swap entry: both have it, and neither alone (%j)', (whose) => {
    const entry: Pte = { kind: 'swap', slot: 5 };
    const system = forked({ pte: { ...entry, ...whose } });
    expect(system.said('fork')).toEqual([...begin, set('mm', entry), set('child', entry), ...end]);
    expect([ptes(system), system.heard('page4')]).toEqual([[entry, entry], []]);
    expectAtRest(system);
  });

  test.each([{ write: true }, { write: false }, { write: true, exclusive: true }])(
    'a migration entry: both are restored read-only, and to neither alone; the page is left to the migration (%j)',
    (before) => {
      const system = forked({ pte: { kind: 'migration', pfn: 4, ...before } });
      const entry: Pte = { kind: 'migration', pfn: 4, write: false };
      expect(system.said('fork')).toEqual([...begin, set('mm', entry), set('child', entry), ...end]);
      expect(ptes(system)).toEqual([entry, entry]);
      expect(page(system)).toMatchObject({ refcount: 1, mapcount: 1 });
      expectAtRest(system);
    },
  );
});

describe('a private page that is not mapped when it is copied is shared all the same: who stores to it has a copy', () => {
  const area = { mapping: 'swap', index: 5, anonymous: true, read: true, write: true };
  const folioLocks = { 4: 'lock4', 5: 'lock5', 6: 'lock6' };
  const space = (pte?: Pte) => actor(addressSpace, { input: { ptes: pte ? { 3: pte } : {}, vmas: [3], areas: { 3: area }, cpumask: [] } });
  const fresh = (pfn: number) => actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal' } });
  const fault = (mm: string, ptl: string) =>
    actor(handlePteFault, {
      input: {
        ...{ mm, ptl, folioLocks, allocPages: 'alloc_copy', putPage: 'put', anonFault: 'anon', flush: 'flush', lufFlush: null, debug: null },
        task: mm,
      },
    });
  const whole = (pte: Pte, cached: Record<string, number>): Rig =>
    rig({
      others: {
        mm: space(pte),
        child: space(),
        ptl_child: actor(spinlock),
        page5: fresh(5),
        page6: fresh(6),
        lock4: actor(folioLock),
        lock5: actor(folioLock),
        lock6: actor(folioLock),
        swap: actor(pageCache, { input: { folios: cached } }),
        anon: returns(),
        arch_flush: returns(),
        allocator: answers(),
        alloc_target: returns({ pfns: [5] }),
        alloc_copy: returns({ pfns: [6] }),
        put: actor(putPage, { input: {} }),
        unmap: actor(tryToUnmap, { input: { lufBatch: null, debug: null } }),
        migrate: actor(migratePages, {
          input: {
            ...{ folioLocks, tryToUnmap: 'unmap', archFlush: 'arch_flush', allocPages: 'alloc_target', putPage: 'put', lufBatch: null },
            ...{ allocator: 'allocator', debug: null },
          },
        }),
        fault_parent: fault('mm', 'ptl'),
        fault_child: fault('child', 'ptl_child'),
      },
    });
  /** The parent stores (a fault more where the first leaves the pte read-only), the child loads. */
  function frames(system: Rig): unknown {
    for (const [path, write] of [['fault_parent', true] as const, ['fault_parent', true] as const, ['fault_child', false] as const]) {
      system.say('p', path, { type: 'call', vpn: 3, write });
      system.settle();
    }
    return ptes(system).map((pte) => (pte.kind === 'present' ? { kind: pte.kind, pfn: pte.pfn, write: pte.write } : pte));
  }

  test('a swap entry, the page in the swap cache', () => {
    const system = whole({ kind: 'swap', slot: 5, exclusive: true }, { 5: 4 });
    for (const message of [{ type: 'folio.remove_rmap' }, { type: 'folio.set_exclusive', exclusive: false }]) system.say('p', 'page4', message);
    call(system).settle();
    expect(frames(system)).toEqual([
      { kind: 'present', pfn: 6, write: true },
      { kind: 'present', pfn: 4, write: false },
    ]);
  });

  test('a migration entry', () => {
    const system = whole(presentPte(4), {});
    const items = [
      { mm: 'mm', vpn: 3, ptl: 'ptl' },
      { mm: 'child', vpn: 3, ptl: 'ptl_child' },
    ];
    system.say('p', 'migrate', { type: 'call', candidate: { pfn: 4, mapping: 'swap', index: 5, anonymous: true, items } });
    system.stepTo('migrate', 'try_to_migrate').settle('unmap');
    expect(ptes(system)[0]).toEqual({ kind: 'migration', pfn: 4, write: true, exclusive: true });
    call(system).settle('fork');
    system.settle();
    expect([system.context('page5').anonExclusive, system.bugs()]).toEqual([false, []]);
    expect(frames(system)).toEqual([
      { kind: 'present', pfn: 6, write: true },
      { kind: 'present', pfn: 5, write: false },
    ]);
  });
});

describe('locks', () => {
  test('while the flush is under way mmap_lock is held and the page-table lock is not; the child does not run', () => {
    const system = forked({ pte: presentPte(4), judged: true, others: { flush: answers() } });
    expect([system.at('fork'), system.can('fork', 'step'), system.heard('p'), system.heard('coherence')]).toEqual(['flush_tlb_mm', false, [], []]);
    expect([system.context('mmap_lock').writer, system.context('ptl').owner]).toEqual(['fork', null]);
    system.say('p', 'fork', 'return');
    expectAtRest(system.settle());
  });

  test('it sleeps while others hold mmap_lock', () => {
    const system = rig({ pte: presentPte(4) });
    system.say('p', 'mmap_lock', 'down_read');
    call(system).settle();
    expect([system.at('fork'), system.can('fork', 'step'), system.context('ptl').owner]).toEqual(['wait_for_mmap_lock', false, null]);
    system.say('p', 'mmap_lock', 'up_read');
    expect(ptes(system.settle())).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });

  test('it spins while another has the page-table lock, and copies what is there by then', () => {
    const system = rig({ pte: presentPte(4) });
    system.say('p', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('fork'), system.can('fork', 'step'), system.context('mmap_lock').writer]).toEqual(['spin_on_ptl', false, 'fork']);
    const entry: Pte = { kind: 'swap', slot: 5 };
    system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: entry });
    system.say('p', 'ptl', 'unlock');
    expect([ptes(system.settle()), page(system)]).toEqual([[entry, entry], { refcount: 1, mapcount: 1, anonExclusive: true }]);
    expectAtRest(system);
  });
});

test("from here on the child's page is its own: who judges is told when fork returns", () => {
  const system = forked({ pte: presentPte(4), judged: true });
  expect(system.said('fork').slice(-3)).toEqual(['mmap_lock: up_write', 'coherence: place.fork {"mm":"mm","vpn":3,"child":"child"}', 'p: return {"ok":true}']);
  expect(system.context('coherence').places['child/3']).toMatchObject({ cell: 'child/3', read: true, write: true });
  expectAtRest(system);
});

describe("the child's first thread", () => {
  const waiting = (pte: Pte = presentPte(4)): Rig =>
    rig({
      ...{ pte, judged: true, childTask: 'task' },
      others: { task: actor(task, { input: { program: [{ path: 'first' }], isNew: true } }), first: answers() },
    });

  test('runs when mmap_lock is dropped, and who judges knows of the child', () => {
    const system = call(waiting()).stepTo('fork', 'mmap_write_unlock');
    expect([system.at('task'), system.heard('first'), ptes(system)]).toEqual(['not_forked', [], [readOnly, readOnly]]);
    system.take('fork', 'step');
    expect([system.at('task'), system.said('fork').slice(-4)]).toEqual([
      'in_call',
      ['mmap_lock: up_write', 'coherence: place.fork {"mm":"mm","vpn":3,"child":"child"}', 'task: wake_up_new_task', 'p: return {"ok":true}'],
    ]);
    expectAtRest(system);
  });

  test('never runs when fork fails', () => {
    const system = waiting({ kind: 'devexcl', pfn: 4, write: true });
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([system.at('task'), system.heard('task'), system.heard('coherence')]).toEqual(['not_forked', [], []]);
    system.say('p', 'lock4', 'unlock');
    expectAtRest(system, false);
  });
});

test('it can be called again', () => {
  const system = call(forked({ pte: presentPte(4) }), 5).settle();
  expect([system.context('child').ptes, system.heard('p')]).toEqual([
    { 3: readOnly },
    [
      { type: 'return', ok: true },
      { type: 'return', ok: true },
    ],
  ]);
  expectAtRest(system);
});

const start = 'notifier: call {"phase":"start","event":"PROTECTION_PAGE","owner":null,"vpns":[3]}';
const told = (system: Rig, ...to: string[]): string[] => system.said('fork').filter((said) => to.some((name) => said.startsWith(`${name}: `)));

describe('secondary MMUs', () => {
  test.each<[string, Pte | undefined]>([
    ['a page', presentPte(4)],
    ['a swap entry', { kind: 'swap', slot: 5 }],
    ['no pte', undefined],
  ])('are told before the page-table lock is taken, and again before the flush (%s)', (_, pte) => {
    const system = forked({ notified: true, ...(pte ? { pte } : {}) });
    expect(told(system, 'mmap_lock', 'notifier', 'ptl', 'flush')).toEqual([
      'mmap_lock: down_write',
      start,
      'ptl: lock',
      'ptl: unlock',
      start.replace('start', 'end'),
      'flush: call {"vpns":[3]}',
      'mmap_lock: up_write',
    ]);
    expectAtRest(system);
  });

  test('hold it up under mmap_lock, without the page-table lock', () => {
    const system = forked({ pte: presentPte(4), notified: true, others: { notifier: answers() } });
    const held = (): unknown => [system.at('fork'), system.can('fork', 'step'), system.context('mmap_lock').writer, system.context('ptl').owner];
    expect([held(), ptes(system)]).toEqual([
      ['mmu_notifier_invalidate_range_start', false, 'fork', null],
      [presentPte(4), undefined],
    ]);
    system.say('p', 'fork', { type: 'return', ok: true });
    system.settle();
    expect([held(), ptes(system)]).toEqual([
      ['mmu_notifier_invalidate_range_end', false, 'fork', null],
      [readOnly, readOnly],
    ]);
    system.say('p', 'fork', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });
});

describe('a device-exclusive entry of the parent', () => {
  const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };
  const entry: Pte = { kind: 'devexcl', pfn: 4, write: true };
  const find = ['lock4: trylock', 'mm: vma.find {"vpn":3}', 'page4: page.read'];
  const old = copyPageRange.provide({ guards: { keepsMapcount: () => false } });

  test('is restored under both locks, and then shared like any page', () => {
    const system = forked({ pte: entry, area });
    expect(system.said('fork')).toEqual([
      ...begin,
      ...find,
      set('mm', presentPte(4)),
      'lock4: unlock',
      'page4: folio.ref_inc',
      'page4: folio.add_rmap',
      'page4: folio.set_exclusive {"exclusive":false}',
      wrprotect,
      set('child', readOnly),
      ...end,
    ]);
    expect([ptes(system), page(system)]).toEqual([[readOnly, readOnly], { refcount: 2, mapcount: 2, anonExclusive: false }]);
    expectAtRest(system);
  });

  test('of a folio that is dirty: the pte is dirty, and so is that of the child', () => {
    const system = rig({ pte: entry, area });
    system.say('p', 'page4', 'folio.mark_dirty');
    call(system).settle();
    const both = presentPte(4, { write: false, dirty: true });
    expect(told(system, 'mm')).toContain(set('mm', presentPte(4, { dirty: true })));
    expect(ptes(system)).toEqual([both, both]);
    expectAtRest(system);
  });

  test('of a folio that is dirty, where the VMA allows no store: the pte is clean', () => {
    const system = rig({ pte: entry, area: { ...area, write: false } });
    system.say('p', 'page4', 'folio.mark_dirty');
    expect(ptes(call(system).settle())).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });

  test('up to 6.14: its map count, which went when the entry was made, comes back', () => {
    const system = forked({ pte: entry, area, machine: old, page4: { mapcount: 0 } });
    expect(told(system, 'page4', 'mm', 'lock4').slice(1, 6)).toEqual([...find, 'page4: folio.add_rmap', set('mm', presentPte(4))]);
    expect(page(system)).toEqual({ refcount: 2, mapcount: 2, anonExclusive: false });
    expectAtRest(system);
  });

  test.each<[string, Pte, Area | undefined]>([
    ['the VMA allows no store', entry, { ...area, write: false }],
    ['it is of the readable type', { ...entry, write: false }, area],
    ['nothing is known of the VMA', entry, undefined],
  ])('is restored read-only where %s', (_, pte, of) => {
    const system = forked({ pte, ...(of ? { area: of } : {}) });
    expect(told(system, 'mm')).toContain(set('mm', readOnly));
    expect(ptes(system)).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });

  test('of the only type that there is since 6.15 is restored as the VMA says', () => {
    expect(told(forked({ pte: { kind: 'devexcl', pfn: 4 }, area }), 'mm')).toContain(set('mm', presentPte(4)));
  });

  test('the page-table lock is held all the time, the folio lock until it is present', () => {
    const system = call(rig({ pte: entry, area })).stepTo('fork', 'restore_exclusive_pte');
    expect([system.context('ptl').owner, system.context('lock4').owner, ptes(system)[0]]).toEqual(['fork', 'fork', entry]);
    system.take('fork', 'step');
    expect([system.at('fork'), system.context('ptl').owner, system.context('lock4').owner, ptes(system)[0]]).toEqual([
      'ptep_set_wrprotect',
      'fork',
      null,
      presentPte(4),
    ]);
  });

  test('while a driver has the folio locked, fork fails: -EBUSY, nothing has changed, and there is no child', () => {
    const system = rig({ pte: entry, area, notified: true, judged: true });
    system.say('p', 'lock4', 'lock');
    call(system).stepTo('fork', 'mmap_write_unlock_failed').settle();
    expect(system.said('fork').filter((said) => !said.startsWith('notifier'))).toEqual([
      ...begin,
      'lock4: trylock',
      'ptl: unlock',
      'flush: call {"vpns":[3]}',
      'mmap_lock: up_write',
      'p: return {"ok":false}',
    ]);
    expect(told(system, 'notifier')).toEqual([start, start.replace('start', 'end')]);
    expect([ptes(system), page(system), system.heard('coherence')]).toEqual([[entry, undefined], { refcount: 1, mapcount: 1, anonExclusive: true }, []]);
    system.say('p', 'lock4', 'unlock');
    expectAtRest(system, false);
    expect(ptes(call(system).settle())).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });
});

describe('a page in the memory of a device', () => {
  const shared: Pte = { kind: 'devpriv', pfn: 4, write: false };

  test.each([true, false])('is shared like any, with no folio lock: both entries are read-only (before: write %s)', (write) => {
    const system = forked({ pte: { ...shared, write } });
    expect(system.said('fork')).toEqual([
      ...begin,
      'page4: folio.ref_inc',
      'page4: folio.add_rmap',
      'page4: folio.set_exclusive {"exclusive":false}',
      set('mm', shared),
      set('child', shared),
      ...end,
    ]);
    expect([ptes(system), page(system)]).toEqual([[shared, shared], { refcount: 2, mapcount: 2, anonExclusive: false }]);
    expectAtRest(system);
  });
});

describe('a page that may be pinned is looked for', () => {
  const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };
  const setup: Setup = { pte: presentPte(4), area, page4: { content: 'x.v0' }, allocated: [[5]] };
  const pin = (system: Rig): Rig => {
    for (const message of ['folio.try_get', 'folio.pin']) system.say('p', 'page4', message);
    return system;
  };
  const pinned = (more: Setup = {}): Rig => call(pin(rig({ ...setup, ...more }))).settle();
  const asks = 'page4: page.read';
  const again = ['ptl: unlock', 'alloc: call', 'ptl: lock', 'mm: pte.read {"vpn":3}', asks];
  const copyPte = presentPte(5, { dirty: true });
  const copying = [
    'mm: vma.find {"vpn":3}',
    ...['page4: memory.read {"sample":false}', 'page5: memory.write {"value":"x.v0"}', 'page5: folio.add_rmap'],
    ...['page5: folio.set_exclusive {"exclusive":true}', set('child', copyPte)],
  ];
  const sharing = ['page4: folio.ref_inc', 'page4: folio.add_rmap', 'page4: folio.set_exclusive {"exclusive":false}', wrprotect, set('child', readOnly)];

  test('it is copied for the child at once: the pte of the parent stays as it is, and the child has a page of its own', () => {
    const system = pinned();
    expect(system.said('fork')).toEqual([...begin, asks, ...again, ...copying, ...end]);
    expect([ptes(system), page(system)]).toEqual([[presentPte(4), copyPte], { refcount: 2, mapcount: 1, anonExclusive: true }]);
    expect(system.context('page5')).toMatchObject({ refcount: 1, mapcount: 1, anonExclusive: true, content: 'x.v0' });
    expectAtRest(system);
  });

  test('memory is allocated without the page-table lock; mmap_lock is kept', () => {
    const system = pinned({ others: { alloc: answers() } });
    expect([system.at('fork'), system.can('fork', 'step'), system.context('ptl').owner, system.context('mmap_lock').writer]).toEqual([
      ...['folio_prealloc', false, null, 'fork'],
    ]);
  });

  test('no memory: there is no child, and nothing has changed', () => {
    const system = pinned({ allocated: [[]], childTask: 'p' });
    expect(system.said('fork')).toEqual([...begin, asks, 'ptl: unlock', 'alloc: call', ...end.slice(1, -1), 'p: return {"ok":false}']);
    expect([ptes(system), page(system)]).toEqual([[presentPte(4), undefined], { refcount: 2, mapcount: 1, anonExclusive: true }]);
    expectAtRest(system, false);
  });

  test('where the VMA allows no store, nor does the pte of the child', () => {
    expect(ptes(pinned({ pte: readOnly, area: { ...area, write: false } }))).toEqual([readOnly, presentPte(5, { write: false, dirty: true })]);
  });

  test.each<[string, Setup, string[]]>([
    ['is not pinned', {}, []],
    ['is pinned, but shared already', { page4: { refcount: 3, mapcount: 2, anonExclusive: false } }, ['folio.pin']],
  ])('one that %s is shared, in one step with the look', (_, more, messages) => {
    const system = rig({ ...setup, ...more });
    for (const message of messages) system.say('p', 'page4', message);
    expect(call(system).stepTo('fork', 'folio_try_dup_anon_rmap_pte').take('fork', 'step').at('fork')).toBe('set_pte_at');
    expect(system.settle().said('fork')).toEqual([...begin, asks, ...sharing, ...end]);
    expect([ptes(system), system.heard('alloc')]).toEqual([[readOnly, readOnly], []]);
    expectAtRest(system);
  });

  test.each<[string, string]>([
    ['unpinned', 'folio.unpin'],
    ['swapped out', 'pte'],
  ])('one that is %s while memory is allocated: no copy, and the memory goes back', (_, message) => {
    const system = call(pin(rig(setup)))
      .stepTo('fork', 'copy_pte_range')
      .stepTo('fork', 'pte_unmap_unlock_again')
      .take('fork', 'step');
    expect(system.at('fork')).toBe('copy_pte_range');
    const entry: Pte = { kind: 'swap', slot: 1 };
    if (message === 'pte') system.say('p', 'mm', { type: 'pte.set', vpn: 3, pte: entry });
    else system.say('p', 'page4', message);
    system.settle();
    expect(system.said('fork').slice(-5)).toEqual(['ptl: unlock', 'put: call {"pfn":5,"pinned":false}', ...end.slice(1)]);
    expect([ptes(system), system.at('page5')]).toEqual([message === 'pte' ? [entry, entry] : [readOnly, readOnly], 'free']);
    expectAtRest(system);
  });

  test('an entry that is restored is looked at, too', () => {
    const system = forked({ ...setup, pte: { kind: 'devexcl', pfn: 4, write: true } });
    expect(system.said('fork').filter((said) => said === asks)).toHaveLength(2);
    expect(ptes(system)).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });

  test('a store of the parent that comes after the copy is not that of the child: the copy is its own from the moment it was made', () => {
    const system = call(pin(rig({ ...setup, judged: true })))
      .stepTo('fork', 'folio_try_dup_anon_rmap_pte')
      .stepTo('fork', 'copy_pte_range');
    system.stepTo('fork', 'copy_present_page').take('fork', 'step');
    const access = { write: true, mm: 'mm', vpn: 3, user: null };
    system.say('p', 'coherence', { type: 'memory.accessed', access, cpu: 'cpu', pfn: 4, content: 'x.v0', sampled: false, free: false });
    expect(
      system
        .settle()
        .said('fork')
        .filter((said) => said.startsWith('coherence')),
    ).toEqual(['coherence: place.fork {"mm":"mm","vpn":3,"child":"child"}']);
    expectAtRest(system);
    const read = { write: false, mm: 'child', vpn: 3, user: null };
    system.say('p', 'coherence', { type: 'memory.accessed', access: read, cpu: 'cpu', pfn: 5, content: 'x.v0', sampled: false, free: false });
    expect([system.context('coherence').broken, system.context('coherence').cells.x.values]).toEqual([[], ['x.v0', 'x.v1']]);
  });

  test('it can be called again: for a page that is there now, and shared', () => {
    const system = pinned();
    system.say('p', 'page4', 'folio.unpin');
    call(system).settle();
    expect(ptes(system)).toEqual([readOnly, readOnly]);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(copyPageRange)).toEqual([]);
});
