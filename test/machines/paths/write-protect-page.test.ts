import {
  addressSpace,
  folio,
  gupFast,
  madviseFree,
  mwriteprotectRange,
  type Pte,
  presentPte,
  putPage,
  rwsem,
  spinlock,
  storeBuffer,
  writeProtectPage,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Guards = NonNullable<Parameters<typeof writeProtectPage.provide>[0]['guards']>;
const without = (guards: Guards): typeof writeProtectPage => writeProtectPage.provide({ guards });
const off = (): boolean => false;

interface Setup {
  pte?: Pte;
  page4?: object;
  /** The pte of a second address space. */
  second?: Pte;
  notified?: boolean;
  ordering?: 'buffer' | 'weak';
  machine?: typeof writeProtectPage;
  others?: Actors;
}

const writable = presentPte(4, { dirty: true });
const readOnly = presentPte(4, { write: false });
const none: Pte = { kind: 'none' };
const space = (pte: Pte | undefined, vpn: number): Actors[string] =>
  actor(addressSpace, { input: { ptes: pte ? { [vpn]: pte } : {}, vmas: [vpn], cpumask: [] } });

/** The caller, p, has one of the references. */
const rig = ({ pte = writable, page4 = {}, second, notified = false, ordering, machine = writeProtectPage, others = {} }: Setup): Rig =>
  new Rig({
    mm: space(pte, 3),
    mm2: space(second, 7),
    ptl: actor(spinlock),
    ptl2: actor(spinlock),
    page4: actor(folio, {
      input: { pfn: 4, refcount: second ? 3 : 2, mapcount: second ? 2 : 1, idle: 0, zone: 'normal', anonExclusive: !second, ...page4 },
    }),
    flush: returns(),
    flush2: returns(),
    notifier: returns({ ok: true }),
    buffer: ordering === 'weak' ? actor(storeBuffer, { input: { ordering: 'weak' } }) : answers({ fence: [{ type: 'fenced' }] }),
    protect: actor(machine, {
      input: {
        flush: { mm: 'flush', mm2: 'flush2' },
        ...(notified ? { notifiers: { mm: 'notifier' } } : {}),
        ...(ordering ? { storeBuffer: 'buffer' } : {}),
      },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const first = { mm: 'mm', vpn: 3, ptl: 'ptl' };
const other = { mm: 'mm2', vpn: 7, ptl: 'ptl2' };
const call = (system: Rig, items = [first], shares = true): Rig => {
  system.say('p', 'protect', { type: 'call', pfn: 4, items, shares });
  return system;
};
const done = (setup: Setup, items?: (typeof first)[], shares?: boolean): Rig => call(rig(setup), items, shares).settle();
const pteOf = (system: Rig): Pte => system.context('mm').ptes[3];
const page = (system: Rig): unknown => {
  const { refcount, mapcount, dirty, anonExclusive } = system.context('page4');
  return { refcount, mapcount, dirty, anonExclusive };
};
const answered = (system: Rig): Message | undefined => system.heard('p').at(-1);
const returned = (ok: boolean, ...ptes: (Pte | null)[]): Message => ({ type: 'return', ok, ptes });
function expectAtRest(system: Rig, answer: Message): void {
  expect(system.context('protect')).toMatchObject({ caller: '', pfn: -1, shares: false, items: [], ptes: [], pte: none, exclusive: false, ok: true });
  expect([system.context('ptl'), system.context('ptl2')]).toEqual([
    { owner: null, waiters: [] },
    { owner: null, waiters: [] },
  ]);
  expect([system.at('protect'), answered(system), system.bugs()]).toEqual(['idle', answer, []]);
}

const lock = 'ptl: lock';
const unlock = 'ptl: unlock';
const look = 'mm: pte.read {"vpn":3}';
const counts = 'page4: page.read';
const gathers = 'mm: gather.read';
const clear = 'mm: pte.get_and_clear {"vpn":3}';
const flush = 'flush: call {"vpns":[3]}';
const share = 'page4: folio.set_exclusive {"exclusive":false}';
const markDirty = 'page4: folio.mark_dirty';
const set = (pte: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte })}`;
const notify = (phase: 'start' | 'end'): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [3] })}`;
const answer = (message: Message): string => {
  const { type, ...fields } = message;
  return `p: ${type} ${JSON.stringify(fields)}`;
};
const good = returned(true, readOnly);
const bad = returned(false);
const whole = [lock, look, counts, clear, flush, counts, counts, share, markDirty, set(readOnly), unlock, answer(good)];

describe('a page that is mapped writable', () => {
  test('step 3 in order: the pte goes and is flushed, then the references, pins, the flag, D, and a read-only pte', () => {
    const system = done({});
    expect(system.said('protect')).toEqual(whole);
    expect([pteOf(system), page(system)]).toEqual([readOnly, { refcount: 2, mapcount: 1, dirty: true, anonExclusive: false }]);
    expectAtRest(system, good);
  });

  test('step by step, and what others see of it', () => {
    const system = call(rig({}));
    const seen: unknown[] = [];
    while (system.at('protect') !== 'idle') {
      seen.push([system.at('protect'), system.context('ptl').owner, pteOf(system).kind, system.context('page4').anonExclusive]);
      system.take('protect', 'step');
    }
    expect(seen).toEqual([
      ['page_vma_mapped_walk', null, 'present', true],
      ['ptep_clear_flush', 'protect', 'present', true],
      ['folio_ref_count', 'protect', 'none', true],
      ['folio_try_share_anon_rmap_pte', 'protect', 'none', true],
      ['clear_page_anon_exclusive', 'protect', 'none', true],
      ['set_pte_at', 'protect', 'none', false],
      ['pte_unmap_unlock', 'protect', 'present', false],
    ]);
  });

  test('of which copies are made, that are only read: it stays exclusive', () => {
    const system = done({}, [first], false);
    expect(system.said('protect')).toEqual([lock, look, counts, clear, flush, counts, markDirty, set(readOnly), unlock, answer(good)]);
    expect(page(system)).toEqual({ refcount: 2, mapcount: 1, dirty: true, anonExclusive: true });
    expectAtRest(system, good);
  });

  test('that is clean: the folio does not become dirty', () => {
    const system = done({ pte: presentPte(4) });
    expect(system.said('protect')).toEqual(whole.filter((said) => said !== markDirty));
    expect(page(system)).toMatchObject({ dirty: false });
  });

  test('a D that the walker sets until the pte is taken goes to the folio', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('protect', 'ptep_clear_flush');
    system.say('q', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(page(system.settle())).toMatchObject({ dirty: true });
    expectAtRest(system, good);
  });

  test('of a file: its cache has a reference, too', () => {
    const system = done({ page4: { refcount: 3, mapping: 'file', anonExclusive: false } });
    expect(system.said('protect')).toEqual([lock, look, counts, clear, flush, counts, markDirty, set(readOnly), unlock, answer(good)]);
    expectAtRest(system, good);
  });

  test('it can be called again', () => {
    const system = done({});
    system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte: writable });
    system.say('q', 'page4', { type: 'folio.set_exclusive', exclusive: true });
    expect(call(system).settle().said('protect')).toEqual([...whole, ...whole]);
    expectAtRest(system, good);
  });
});

describe('a page that looks protected', () => {
  test('stays as it is: no flush, and nobody counts', () => {
    const system = done({ pte: readOnly, page4: { refcount: 9, anonExclusive: false } });
    expect(system.said('protect')).toEqual([lock, look, counts, gathers, unlock, answer(good)]);
    expectAtRest(system, good);
  });

  test('is taken all the same while others have flushes pending, and those are asked for under the lock', () => {
    const system = rig({ pte: readOnly, page4: { anonExclusive: false } });
    system.say('q', 'mm', 'gather.begin');
    expect(call(system).settle().said('protect')).toEqual([lock, look, counts, gathers, clear, flush, counts, set(readOnly), unlock, answer(good)]);
    expectAtRest(system, good);
  });

  test.each<[string, Pte, boolean]>([
    ['is dirty', presentPte(4, { write: false, dirty: true }), false],
    ['is exclusive', readOnly, true],
  ])('but %s: taken', (_, pte, anonExclusive) => {
    const system = done({ pte, page4: { anonExclusive } });
    expect(system.said('protect').slice(2, 5)).toEqual([counts, clear, flush]);
    expect([pteOf(system), page(system)]).toEqual([readOnly, { refcount: 2, mapcount: 1, dirty: !anonExclusive, anonExclusive: false }]);
    expectAtRest(system, good);
  });

  test.each([true, false])('without access, a hint of NUMA balancing: it comes back as one, clean (dirty: %s)', (dirty) => {
    const system = done({ pte: { kind: 'protnone', pfn: 4, dirty } });
    const left: Pte = { kind: 'protnone', pfn: 4, dirty: false };
    expect([pteOf(system), page(system)]).toEqual([left, { refcount: 2, mapcount: 1, dirty, anonExclusive: false }]);
    expectAtRest(system, returned(true, left));
  });
});

describe('a page that somebody uses', () => {
  test.each<[string, object]>([
    ['has a reference more than it should', { refcount: 3 }],
    ['of a file has, too', { refcount: 4, mapping: 'file', anonExclusive: false }],
  ])('%s: the pte comes back as it was', (_, page4) => {
    const system = done({ page4 });
    expect(system.said('protect')).toEqual([lock, look, counts, clear, flush, counts, set(writable), unlock, answer(bad)]);
    expect([pteOf(system), page(system)]).toMatchObject([writable, { anonExclusive: !('mapping' in page4), dirty: false }]);
    expectAtRest(system, bad);
  });

  test('is pinned after the count, by one who has seen the pte before: the pte comes back', () => {
    const system = call(rig({})).stepTo('protect', 'folio_try_share_anon_rmap_pte');
    for (const message of ['folio.try_get', 'folio.pin']) system.say('q', 'page4', message);
    expect(system.settle().said('protect')).toEqual([lock, look, counts, clear, flush, counts, counts, set(writable), unlock, answer(bad)]);
    expect([pteOf(system), page(system)]).toEqual([writable, { refcount: 3, mapcount: 1, dirty: false, anonExclusive: true }]);
    expectAtRest(system, bad);
  });
});

test.each<[string, Pte]>([
  ['nothing', none],
  ['another page', presentPte(5)],
  ['a swap entry', { kind: 'swap', slot: 1 }],
  ['a device-exclusive entry', { kind: 'devexcl', pfn: 4, write: true }],
])('%s is there: skipped', (_, pte) => {
  const system = done({ pte });
  expect(system.said('protect')).toEqual([lock, look, unlock, answer(returned(true, null))]);
  expectAtRest(system, returned(true, null));
});

describe('several ptes', () => {
  test('one after the other, each with its own locks and flushes', () => {
    const shared = { second: readOnly, page4: { anonExclusive: false } };
    const system = done({ ...shared, second: presentPte(4) }, [first, other]);
    expect(system.said('protect')).toEqual([
      ...[lock, look, counts, clear, flush, counts, markDirty, set(readOnly), unlock],
      ...['ptl2: lock', 'mm2: pte.read {"vpn":7}', counts, 'mm2: pte.get_and_clear {"vpn":7}', 'flush2: call {"vpns":[7]}', counts],
      ...[`mm2: pte.set ${JSON.stringify({ vpn: 7, pte: readOnly })}`, 'ptl2: unlock', answer(returned(true, readOnly, readOnly))],
    ]);
    expectAtRest(system, returned(true, readOnly, readOnly));
  });

  test('one that is skipped leaves its place in the answer', () => {
    expectAtRest(done({ pte: none, second: readOnly }, [first, other]), returned(true, null, readOnly));
  });

  test('where the second is in use the first stays protected', () => {
    const system = call(rig({ second: writable }), [first, other]).stepTo('protect', 'pte_unmap_unlock');
    system.say('q', 'page4', 'folio.try_get');
    expect([pteOf(system.settle()), system.context('mm2').ptes[7]]).toEqual([readOnly, writable]);
    expectAtRest(system, returned(false, readOnly));
  });

  test('none at all', () => {
    const system = done({}, []);
    expect(system.said('protect')).toEqual([answer(returned(true))]);
    expectAtRest(system, returned(true));
  });
});

describe('secondary MMUs', () => {
  test('are told before the lock is taken, and after it is dropped; of another address space nobody is', () => {
    const system = done({ notified: true, second: readOnly }, [first, other]);
    expect(system.said('protect').filter((said) => /notifier|ptl/.test(said))).toEqual([
      ...[notify('start'), lock, unlock, notify('end')],
      ...['ptl2: lock', 'ptl2: unlock'],
    ]);
    expectAtRest(system, returned(true, readOnly, readOnly));
  });

  test('are told of the end also where the page is in use, or is not there', () => {
    expect(
      done({ notified: true, page4: { refcount: 3 } })
        .said('protect')
        .slice(-3),
    ).toEqual([unlock, notify('end'), answer(bad)]);
    expect(done({ notified: true, pte: none }).said('protect').slice(-3)).toEqual([unlock, notify('end'), answer(returned(true, null))]);
  });

  test('hold it up, without the page-table lock', () => {
    const system = done({ notified: true, others: { notifier: answers() } });
    const held = (): unknown => [system.at('protect'), system.can('protect', 'step'), pteOf(system), system.context('ptl').owner];
    expect(held()).toEqual(['mmu_notifier_invalidate_range_start', false, writable, null]);
    system.say('q', 'protect', { type: 'return', ok: true });
    system.settle();
    expect(held()).toEqual(['mmu_notifier_invalidate_range_end', false, readOnly, null]);
    system.say('q', 'protect', { type: 'return', ok: true });
    expectAtRest(system, good);
  });
});

describe('it waits', () => {
  test('while another has the page-table lock; what is there by then counts', () => {
    const system = rig({});
    system.say('q', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('protect'), system.can('protect', 'step'), system.said('protect')]).toEqual(['spin_on_ptl', false, [lock]]);
    system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte: none });
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle(), returned(true, null));
  });

  test('for the flush, with the pte gone and the page-table lock held', () => {
    const system = done({ others: { flush: answers() } });
    expect([system.at('protect'), system.can('protect', 'step'), pteOf(system), system.context('ptl').owner]).toEqual([
      'flush_tlb_page',
      false,
      none,
      'protect',
    ]);
    system.say('q', 'protect', 'return');
    expectAtRest(system.settle(), good);
  });
});

describe('without a safeguard', () => {
  test('row W1: the references are counted while the page can be got at, and not again', () => {
    const system = done({ machine: without({ countsAfterClear: off }) });
    expect(system.said('protect')).toEqual([lock, look, counts, counts, clear, flush, counts, share, markDirty, set(readOnly), unlock, answer(good)]);
    expectAtRest(system, good);
  });

  test('row W1: a reference that comes after the count is not seen', () => {
    const system = call(rig({ machine: without({ countsAfterClear: off }) })).stepTo('protect', 'ptep_clear_flush');
    system.say('q', 'page4', 'folio.try_get');
    expect(page(system.settle())).toMatchObject({ refcount: 3, anonExclusive: false });
    expectAtRest(system, good);
  });

  test('row W1: one that is there before is; the pte has not been touched', () => {
    const system = done({ machine: without({ countsAfterClear: off }), page4: { refcount: 3 } });
    expect(system.said('protect')).toEqual([lock, look, counts, counts, unlock, answer(bad)]);
    expect(pteOf(system)).toEqual(writable);
    expectAtRest(system, bad);
  });

  test('row W2: no flush', () => {
    const system = done({ machine: without({ flushesAtProtect: off }) });
    expect(system.said('protect')).toEqual(whole.filter((said) => said !== flush));
    expectAtRest(system, good);
  });

  test('row W3: pending flushes are not asked for; in 6.12 an exclusive page is taken all the same', () => {
    const machine = without({ heedsPendingFlushes: off });
    const pending = (anonExclusive: boolean): Rig => {
      const system = rig({ pte: readOnly, page4: { anonExclusive }, machine });
      system.say('q', 'mm', 'gather.begin');
      return call(system).settle();
    };
    expect(pending(false).said('protect')).toEqual([lock, look, counts, unlock, answer(good)]);
    expect(pending(true).heard('flush')).toHaveLength(1);
  });

  /** MADV_FREE has taken D away, and userfaultfd the right to write; both still have to flush. */
  function looksProtected(machine: typeof writeProtectPage): Rig {
    const change = { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: 'late' };
    const system = rig({
      machine,
      others: {
        mmap_lock: actor(rwsem),
        late: answers(),
        free: actor(madviseFree, { input: { ...change, folioLocks: {} } }),
        uffd: actor(mwriteprotectRange, { input: change }),
      },
    });
    system.say('q', 'mmap_lock', 'down_read');
    for (const path of ['free', 'uffd']) {
      system.say('q', path, { type: 'call', vpn: 3 });
      system.settle(path);
    }
    expect([pteOf(system), system.context('mm').tlbFlushPending, system.context('mmap_lock').readers]).toEqual([readOnly, 2, ['free', 'q', 'uffd']]);
    return call(system).settle('protect');
  }

  test.each<[string, Guards, number]>([
    ['in 6.12', {}, 1],
    ['in 6.12, without a look at pending flushes', { heedsPendingFlushes: off }, 1],
    ['up to 5.18', { heedsExclusive: off }, 1],
    ['up to 5.18, without a look at pending flushes', { heedsExclusive: off, heedsPendingFlushes: off }, 0],
  ])('row W3: MADV_FREE beside userfaultfd, under the same mmap_lock as KSM, %s', (_, guards, flushes) => {
    const system = looksProtected(without(guards));
    expect(system.heard('flush')).toHaveLength(flushes);
    expect([system.at('protect'), answered(system), pteOf(system)]).toEqual(['idle', good, readOnly]);
  });

  test('up to 5.18 the flag counts for nothing: it is dropped, with no look at pins', () => {
    const machine = without({ heedsExclusive: off });
    const untouched = done({ pte: readOnly, machine });
    expect(untouched.said('protect')).toEqual([lock, look, counts, gathers, share, unlock, answer(good)]);
    expectAtRest(untouched, good);
    const taken = done({ machine });
    expect(taken.said('protect')).toEqual([lock, look, counts, clear, flush, counts, share, markDirty, set(readOnly), unlock, answer(good)]);
    expectAtRest(taken, good);
    expect(done({ pte: readOnly, machine }, [first], false).said('protect')).toEqual([lock, look, counts, gathers, unlock, answer(good)]);
  });

  test('row W15: nobody is told', () => {
    const system = done({ notified: true, machine: without({ notifies: off }) });
    expect([system.said('protect'), system.heard('notifier')]).toEqual([whole, []]);
    expectAtRest(system, good);
  });
});

describe('a CPU with a store buffer', () => {
  const store = (location: string, to: string, message: object): string => `buffer: store ${JSON.stringify({ location, to, message })}`;
  const stores = [
    store('page4.exclusive', 'page4', { type: 'folio.set_exclusive', exclusive: false }),
    store('mm.pte3', 'mm', { type: 'pte.set', vpn: 3, pte: readOnly }),
  ] as [string, string];
  const barrier = 'buffer: store.barrier';
  const fence = 'buffer: fence';

  test('the two plain stores go through it, with a barrier between, and a fence before the lock is dropped', () => {
    const system = done({ ordering: 'buffer' });
    expect(system.said('protect')).toEqual([
      ...[lock, look, counts, clear, flush, counts, counts, stores[0], barrier, markDirty, stores[1], fence, unlock],
      answer(good),
    ]);
    expectAtRest(system, good);
  });

  test('row W7: without the barrier', () => {
    const system = done({ ordering: 'buffer', machine: without({ hasBarriers: off }) });
    expect(system.said('protect')).toEqual([
      ...[lock, look, counts, clear, flush, counts, counts, ...stores.slice(0, 1), markDirty, stores[1], fence, unlock],
      answer(good),
    ]);
    expectAtRest(system, good);
  });

  test('a pte that comes back as it was needs no order', () => {
    const system = done({ ordering: 'buffer', page4: { refcount: 3 } });
    expect(system.said('protect')).toEqual([lock, look, counts, clear, flush, counts, set(writable), fence, unlock, answer(bad)]);
    expectAtRest(system, bad);
  });

  test('it does not drop the lock before the buffer is empty', () => {
    const system = done({ ordering: 'buffer', others: { buffer: answers() } });
    expect([system.at('protect'), system.context('ptl').owner, system.said('protect').at(-1)]).toEqual(['store_buffer_drains', 'protect', fence]);
    system.say('q', 'protect', 'fenced');
    expectAtRest(system, good);
  });

  /** Gup-fast has read the pte and the count is right; then it pins the page, and looks at the pte again when `last` is visible. */
  function pinned(machine: typeof writeProtectPage, drains: number[]): Rig {
    const system = rig({
      pte: readOnly,
      ordering: 'weak',
      machine,
      others: {
        cpu: answers(),
        put: actor(putPage, { input: {} }),
        slow: returns({ pages: [] }),
        gup: actor(gupFast, { input: { cpu: 'cpu', mm: 'mm', pagemaps: {}, putPage: 'put', slow: 'slow', pin: true } }),
      },
    });
    system.say('q', 'gup', { type: 'call', vpns: [3], write: false });
    system.stepTo('gup', 'page_folio');
    call(system).stepTo('protect', 'clear_page_anon_exclusive');
    system.stepTo('gup', 'ptep_get_lockless_again');
    system.stepTo('protect', 'pte_unmap_unlock');
    for (const entry of drains) system.take('buffer', { type: 'drain', entry });
    return system.settle('gup', 'put');
  }

  test('row W7: the pte is visible before the flag is, and a page that others may map from here on is pinned', () => {
    const system = pinned(without({ hasBarriers: off }), [1]);
    expect(system.heard('q').at(-1)).toEqual({ type: 'return', pages: [4] });
    expectAtRest(system.settle(), good);
    expect([system.context('page4').pincount, system.context('page4').anonExclusive]).toEqual([1, false]);
  });

  test('row W7: with the barrier the pte waits for the flag; a pin before that is given up, and after that, too', () => {
    const early = rig({ ordering: 'weak' });
    call(early).stepTo('protect', 'pte_unmap_unlock');
    expect([0, 1, 2].map((entry) => early.can('buffer', { type: 'drain', entry }))).toEqual([true, false, false]);
    for (const drains of [[], [0], [0, 0]]) {
      const system = pinned(writeProtectPage, drains);
      expect([system.heard('slow').length, system.context('page4').pincount, system.context('page4').refcount]).toEqual([1, 0, 2]);
    }
  });
});

test('every transition was taken', () => {
  expect(untaken(writeProtectPage)).toEqual([]);
});
