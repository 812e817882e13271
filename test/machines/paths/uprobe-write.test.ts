import {
  type Area,
  addressSpace,
  coherence,
  folio,
  folioLock,
  handlePteFault,
  type Pte,
  pageCache,
  presentPte,
  putPage,
  rwsem,
  spinlock,
  uprobeWrite,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const PFN = 4;
const COPY = 5;
const VPN = 2;
const ACTOR = 'uprobe';
const mapped = (pfn: number): Pte => presentPte(pfn, { write: false });
/** With the breakpoint in it. */
const probed = (pfn: number): Pte => presentPte(pfn, { write: false, dirty: true });
const none: Pte = { kind: 'none' };

interface Counts {
  refcount: number;
  mapcount?: number;
  anonExclusive?: boolean;
}
const own: Counts = { refcount: 1, mapcount: 1, anonExclusive: true };
const page = (pfn: number, counts: Counts) => actor(folio, { input: { pfn, idle: 0, zone: 'normal', content: 't.v0', ...counts } });

interface Setup {
  pte?: Pte;
  page4?: Counts;
  others?: Actors;
}
/** The instruction is in frame 4, a private page that one pte refers to; frame 5 has just been allocated. */
const rig = ({ pte = mapped(PFN), page4 = own, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { [VPN]: pte }, vmas: [VPN], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    page4: page(PFN, page4),
    page5: page(COPY, { refcount: 1 }),
    coherence: actor(coherence, { input: { cells: { t: 't.v0' }, places: {} } }),
    fault: answers(),
    put: actor(putPage, { input: {} }),
    flush: returns(),
    uprobe: actor(uprobeWrite, {
      input: { mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', fault: 'fault', putPage: 'put', flush: 'flush', coherence: 'coherence' },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', ACTOR, { type: 'call', vpn: VPN, cell: 't' });
  return system;
};
const said = (system: Rig): string[] => system.said(ACTOR);
const set = (system: Rig, pte: Pte): Message[] => system.say('p', 'mm', { type: 'pte.set', vpn: VPN, pte });
const pte = (system: Rig): unknown => system.context('mm').ptes[VPN];
const counts = (system: Rig, pfn: number): unknown => {
  const { refcount, mapcount, content } = system.context(`page${pfn}`);
  return { refcount, mapcount, content };
};
/** The fault handler has mapped frame 5, which nobody shares. */
const faultedIn = (system: Rig): Rig => {
  system.say('p', 'page5', 'folio.add_rmap');
  system.say('p', 'page5', { type: 'folio.set_exclusive', exclusive: true });
  set(system, mapped(COPY));
  system.say('p', ACTOR, { type: 'return', ok: true });
  return system;
};

/** It has returned, holds no lock and remembers nothing. */
function expectAtRest(system: Rig): void {
  expect([system.at(ACTOR), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context(ACTOR)).toMatchObject({ caller: '', vpn: -1, cell: '', pfn: -1, value: '' });
  expect(system.context('mmap_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  expect(system.context('ptl')).toEqual({ owner: null, waiters: [] });
}

const look = 'mm: pte.read {"vpn":2}';
const begin = ['mmap_lock: down_write', look];
const fault = 'fault: call {"vpn":2,"write":true}';
const read = (pfn: number): string => `page${pfn}: page.read`;
const get = (pfn: number): string[] => [read(pfn), `page${pfn}: folio.ref_inc`];
const lockPtl = ['ptl: lock', look];
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const written = (pfn: number): string[] => [
  read(pfn),
  'mm: pte.get_and_clear {"vpn":2}',
  'flush: call {"vpns":[2]}',
  'coherence: write.begin {"cell":"t"}',
  `page${pfn}: memory.write {"value":"t.v1"}`,
  `mm: pte.set ${JSON.stringify({ vpn: VPN, pte: probed(pfn) })}`,
  'ptl: unlock',
  put(pfn),
];
const done = ['mmap_lock: up_write', 'coherence: write.complete {"cell":"t","value":"t.v1"}', 'p: return'];
const failing = ['mmap_lock: up_write', 'p: return'];

describe('a page that nobody shares', () => {
  test('is written in place: cleared, flushed, written, mapped again, dirty; its reference goes', () => {
    const system = call(rig()).settle();
    expect(said(system)).toEqual([...begin, ...get(PFN), ...lockPtl, ...written(PFN), ...done]);
    expect([pte(system), counts(system, PFN), system.heard('fault')]).toEqual([probed(PFN), { refcount: 1, mapcount: 1, content: 't.v1' }, []]);
    expectAtRest(system);
  });

  test('has its breakpoint in force only when all is done', () => {
    const system = call(rig({ others: { put: returns() } })).stepTo(ACTOR, 'mmap_write_unlock');
    expect(system.context('coherence').cells.t).toEqual({ values: ['t.v0', 't.v1'], completed: 0, observed: 0 });
    expect([system.context('mmap_lock').writer, system.context('ptl').owner, system.heard('p')]).toEqual([ACTOR, null, []]);
    expect(system.take(ACTOR, 'step').context('coherence').cells.t.completed).toBe(1);
  });

  test('is not mapped, and not written yet, while it is flushed, under both locks', () => {
    const system = call(rig({ others: { flush: answers() } })).settle();
    expect([system.at(ACTOR), system.can(ACTOR, 'step'), pte(system)]).toEqual(['flush_tlb_page', false, none]);
    expect([system.context('mmap_lock').writer, system.context('ptl').owner]).toEqual([ACTOR, ACTOR]);
    expect(counts(system, PFN)).toEqual({ refcount: 2, mapcount: 1, content: 't.v0' });
    system.say('p', ACTOR, 'return');
    expect(pte(system.settle())).toEqual(probed(PFN));
    expectAtRest(system);
  });

  test('is written before it is mapped again', () => {
    const system = call(rig()).stepTo(ACTOR, 'set_pte_at');
    expect([pte(system), counts(system, PFN), system.context('ptl').owner]).toEqual([none, { refcount: 2, mapcount: 1, content: 't.v1' }, ACTOR]);
  });

  test('loses its reference without the page-table lock, with mmap_lock held', () => {
    const system = call(rig({ others: { put: answers() } })).settle();
    expect([system.at(ACTOR), system.can(ACTOR, 'step'), system.heard('put')]).toEqual(['folio_put', false, [{ type: 'call', pfn: PFN, pinned: false }]]);
    expect([system.context('ptl').owner, system.context('mmap_lock').writer, pte(system)]).toEqual([null, ACTOR, probed(PFN)]);
    system.say('p', ACTOR, 'return');
    expectAtRest(system.settle());
  });

  test('can be written again at once', () => {
    const system = call(rig()).settle();
    const before = said(system);
    expect(said(call(system).settle()).slice(before.length)).toEqual(before.map((line) => line.replace('t.v1', 't.v2')));
    expect(counts(system, PFN)).toEqual({ refcount: 1, mapcount: 1, content: 't.v2' });
    expectAtRest(system);
    expect(system.heard('p').filter(({ type }) => type === 'return')).toHaveLength(2);
  });
});

describe('it waits', () => {
  test.each([
    ['mmap_lock', 'down_read', 'up_read', 'wait_for_mmap_lock'],
    ['ptl', 'lock', 'unlock', 'spin_on_ptl'],
  ])('while another has %s', (lock, take, release, state) => {
    const system = rig();
    system.say('p', lock, take);
    call(system).settle();
    expect([system.at(ACTOR), system.can(ACTOR, 'step'), pte(system)]).toEqual([state, false, mapped(PFN)]);
    system.say('p', lock, release);
    expect(pte(system.settle())).toEqual(probed(PFN));
    expectAtRest(system);
  });
});

describe('a page that is not mapped', () => {
  test.each<Pte>([none, { kind: 'swap', slot: 0 }, { kind: 'migration', pfn: PFN, write: false }])(
    'is faulted in as for a store, and then written (%j)',
    (before) => {
      const system = call(rig({ pte: before })).settle();
      expect([system.at(ACTOR), system.can(ACTOR, 'step'), system.heard('fault')]).toEqual([
        'handle_mm_fault',
        false,
        [{ type: 'call', vpn: VPN, write: true }],
      ]);
      expect([system.context('mmap_lock').writer, system.context('ptl').owner, pte(system)]).toEqual([ACTOR, null, before]);
      expect(said(faultedIn(system).settle())).toEqual([...begin, fault, look, ...get(COPY), ...lockPtl, ...written(COPY), ...done]);
      expect([pte(system), counts(system, COPY)]).toEqual([probed(COPY), { refcount: 1, mapcount: 1, content: 't.v1' }]);
      expectAtRest(system);
    },
  );

  test('is faulted in once more if it is taken away again', () => {
    const system = call(rig({ pte: none, others: { fault: answers({ call: [{ type: 'return', ok: true }] }) } })).stepTo(ACTOR, 'get_user_page_vma_remote');
    system.take(ACTOR, 'step').take(ACTOR, 'step');
    expect([system.at(ACTOR), said(system)]).toEqual(['get_user_page_vma_remote', [...begin, fault, look, fault]]);
  });

  test.each([{ ok: false }, {}])('that cannot be faulted in: not registered, nothing written (%j)', (result) => {
    const system = call(rig({ pte: none, others: { fault: returns(result) } })).stepTo(ACTOR, 'mmap_write_unlock_failed');
    expect([system.context('mmap_lock').writer, system.heard('p')]).toEqual([ACTOR, []]);
    expect(said(system.settle())).toEqual([...begin, fault, ...failing]);
    expect(system.context('coherence').cells.t).toEqual({ values: ['t.v0'], completed: 0, observed: 0 });
    expectAtRest(system);
    expect(said(call(system).settle()).slice(5)).toEqual([...begin, fault, ...failing]);
    expectAtRest(system);
  });

  test('a page without access (PROT_NONE) is mapped: it is written without a fault', () => {
    const system = call(rig({ pte: { kind: 'protnone', pfn: PFN, dirty: false }, others: { fault: returns({ ok: true }) } })).settle();
    expect([system.heard('fault'), counts(system, PFN)]).toEqual([[], { refcount: 1, mapcount: 1, content: 't.v1' }]);
    expectAtRest(system);
  });
});

describe('a page that others may have too', () => {
  const cow: Counts = { refcount: 2, mapcount: 2 };

  test('is not written: the fault breaks copy-on-write, and the copy is', () => {
    const system = call(rig({ page4: cow })).settle();
    expect([system.at(ACTOR), said(system), system.context('ptl').owner]).toEqual(['handle_mm_fault', [...begin, read(PFN), fault], null]);
    expect(said(faultedIn(system).settle()).slice(4)).toEqual([look, ...get(COPY), ...lockPtl, ...written(COPY), ...done]);
    expect([pte(system), counts(system, PFN), counts(system, COPY)]).toEqual([
      probed(COPY),
      { refcount: 2, mapcount: 2, content: 't.v0' },
      { refcount: 1, mapcount: 1, content: 't.v1' },
    ]);
    expectAtRest(system);
  });

  test('without memory for the copy: not registered; no reference is left', () => {
    const system = call(rig({ page4: cow, others: { fault: returns({ ok: false }) } })).settle();
    expect([said(system), pte(system)]).toEqual([[...begin, read(PFN), fault, ...failing], mapped(PFN)]);
    expect(counts(system, PFN)).toEqual({ refcount: 2, mapcount: 2, content: 't.v0' });
    expectAtRest(system);
  });

  test('a page of the text of a file, with the fault handler of the kernel: mapped, copied, and written in place', () => {
    const text: Area = { mapping: 'file', index: 0, anonymous: false, private: true, read: true, write: false };
    const system = call(
      rig({
        page4: { refcount: 1 },
        others: {
          mm: actor(addressSpace, { input: { ptes: {}, vmas: [VPN], areas: { [VPN]: text }, cpumask: [] } }),
          file: actor(pageCache, { input: { folios: { 0: PFN } } }),
          lock4: actor(folioLock),
          alloc: returns({ pfns: [COPY] }),
          anon_fault: answers(),
          fault: actor(handlePteFault, {
            input: {
              ...{ mm: 'mm', ptl: 'ptl', folioLocks: { [PFN]: 'lock4' }, allocPages: 'alloc', putPage: 'put', anonFault: 'anon_fault' },
              ...{ flush: 'flush', lufFlush: null, debug: null, task: 'task0' },
            },
          }),
        },
      }),
    ).settle();
    expect(said(system)).toEqual([...begin, fault, look, read(PFN), fault, look, ...get(COPY), ...lockPtl, ...written(COPY), ...done]);
    expect([pte(system), counts(system, PFN), counts(system, COPY)]).toEqual([
      probed(COPY),
      { refcount: 1, mapcount: 0, content: 't.v0' },
      { refcount: 1, mapcount: 1, content: 't.v1' },
    ]);
    expectAtRest(system);
  });
});

describe('-EAGAIN: the pte has changed before the page-table lock was taken', () => {
  test.each<Pte>([none, mapped(COPY), { kind: 'swap', slot: 0 }, { kind: 'migration', pfn: PFN, write: false }])(
    'the lock is dropped, the reference given back, and it looks anew (%j)',
    (changed) => {
      const system = call(rig()).stepTo(ACTOR, 'folio_walk_start');
      set(system, changed);
      system.stepTo(ACTOR, 'folio_walk_end');
      expect([system.context('ptl').owner, system.heard('flush'), pte(system)]).toEqual([ACTOR, [], changed]);
      system.take(ACTOR, 'step').settle('put');
      expect([system.at(ACTOR), said(system)]).toEqual(['get_user_page_vma_remote', [...begin, ...get(PFN), ...lockPtl, 'ptl: unlock', put(PFN)]]);
      expect([system.context('ptl').owner, system.context('mmap_lock').writer, counts(system, PFN)]).toEqual([
        null,
        ACTOR,
        { refcount: 1, mapcount: 1, content: 't.v0' },
      ]);
      set(system, mapped(PFN));
      expect(said(system.settle()).slice(8)).toEqual([look, ...get(PFN), ...lockPtl, ...written(PFN), ...done]);
      expect(counts(system, PFN)).toEqual({ refcount: 1, mapcount: 1, content: 't.v1' });
      expectAtRest(system);
    },
  );

  test('the reference goes without the page-table lock; no write has begun', () => {
    const system = call(rig({ others: { put: answers() } })).stepTo(ACTOR, 'folio_walk_start');
    set(system, none);
    system.stepTo(ACTOR, 'put_again');
    expect([system.can(ACTOR, 'step'), system.context('ptl').owner, system.context('mmap_lock').writer]).toEqual([false, null, ACTOR]);
    expect(system.context('coherence').cells.t.values).toEqual(['t.v0']);
    system.say('p', ACTOR, 'return');
    expect(system.at(ACTOR)).toBe('get_user_page_vma_remote');
  });

  test('a page that is not exclusive any more is not written, though it is mapped here still', () => {
    const system = call(rig()).stepTo(ACTOR, 'folio_walk_start');
    system.say('p', 'page4', { type: 'folio.set_exclusive', exclusive: false });
    system.settle();
    expect([system.at(ACTOR), counts(system, PFN)]).toEqual(['handle_mm_fault', { refcount: 1, mapcount: 1, content: 't.v0' }]);
  });
});

describe('a device-exclusive entry', () => {
  const entry: Pte = { kind: 'devexcl', pfn: PFN, write: true };

  test('is not present: the fault restores it, and then the page is written in place', () => {
    const system = call(rig({ pte: entry })).settle();
    expect([system.at(ACTOR), system.heard('fault'), system.heard('page4')]).toEqual(['handle_mm_fault', [{ type: 'call', vpn: VPN, write: true }], []]);
    set(system, mapped(PFN));
    system.say('p', ACTOR, { type: 'return', ok: true });
    system.settle();
    expect([pte(system), counts(system, PFN)]).toEqual([probed(PFN), { refcount: 1, mapcount: 1, content: 't.v1' }]);
  });

  test('made after GUP: nothing is written, and it starts anew', () => {
    const system = call(rig()).stepTo(ACTOR, 'folio_walk_start');
    set(system, entry);
    system.settle();
    expect([system.at(ACTOR), pte(system), counts(system, PFN), system.context('ptl').owner]).toEqual([
      'handle_mm_fault',
      entry,
      { refcount: 1, mapcount: 1, content: 't.v0' },
      null,
    ]);
  });
});

test('every transition was taken', () => {
  expect(untaken(uprobeWrite)).toEqual([]);
});
