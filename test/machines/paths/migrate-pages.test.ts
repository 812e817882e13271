import {
  type Area,
  addressSpace,
  type Candidate,
  folio,
  folioLock,
  lufBatch,
  migratePages,
  type Pte,
  pageAllocator,
  pageCache,
  presentPte,
  putPage,
  spinlock,
  tryToUnmap,
} from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  /** What maps page 4, at virtual pages 0 and 1. */
  ptes?: Record<string, Pte>;
  kind?: 'file' | 'anonymous' | 'swap cache';
  /** What the slot holds. */
  slot?: number | null;
  /** References of page 4 that somebody else holds. */
  pinned?: number;
  exclusive?: boolean;
  luf?: boolean;
  alloc?: ActorSpec;
  arch?: ActorSpec;
  areas?: Record<string, Area>;
  machine?: typeof migratePages;
  /** try_to_migrate. */
  unmap?: typeof tryToUnmap;
}

const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const writable = (pfn: number): Pte => presentPte(pfn);
const entry = (write = false): Pte => ({ kind: 'migration', pfn: 4, write });
const exclusiveEntry: Pte = { kind: 'migration', pfn: 4, write: false, exclusive: true };
const noAccess = (pfn: number): Pte => ({ kind: 'protnone', pfn, dirty: false });
const none: Pte = { kind: 'none' };

/** Page 4, mapped by `mm`, which cpu1 may have cached; page 6 is what it is moved to. */
function rig({
  ptes = { 0: readOnly(4) },
  kind = 'file',
  slot = kind === 'anonymous' ? null : 4,
  pinned = 0,
  exclusive = false,
  luf = false,
  alloc = returns({ pfns: [6] }),
  arch = returns(),
  areas = {},
  machine = migratePages,
  unmap = tryToUnmap,
}: Setup = {}) {
  const entries = Object.values(ptes).filter((pte) => pte.kind === 'devexcl').length;
  const mappings = Object.values(ptes).filter((pte) => (pte.kind === 'present' || pte.kind === 'protnone') && pte.pfn === 4).length;
  /** Up to 6.14 an entry stands for a reference only. */
  const mapcount = mappings + (unmap === tryToUnmap ? entries : 0);
  const refcount = mappings + entries + (slot === 4 ? 1 : 0) + pinned;
  const page = (pfn: number, input: object) => actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: `content of ${pfn}`, ...input } });
  const batch = luf ? 'luf_batch' : null;
  const cache = (of: Setup['kind'][]) => actor(pageCache, { input: { folios: of.includes(kind) ? { 0: slot } : {} } });
  return new Rig({
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1], cpumask: ['cpu1'], areas } }),
    ptl: actor(spinlock),
    page4: page(4, { refcount, mapcount, anonExclusive: exclusive }),
    page6: page(6, {}),
    lock4: actor(folioLock),
    lock6: actor(folioLock),
    file: cache(['file']),
    swap: cache(['anonymous', 'swap cache']),
    luf_batch: actor(lufBatch, { input: {} }),
    allocator: actor(pageAllocator, { input: { free: [] }, choices: [] }),
    alloc,
    arch,
    put: actor(putPage, { input: { allocator: 'allocator', ...(luf ? { lufBatch: 'luf_batch' } : {}) } }),
    unmap: actor(unmap, { input: { lufBatch: batch, debug: null } }),
    debug: answers(),
    migrate: actor(machine, {
      input: {
        folioLocks: { 4: 'lock4', 6: 'lock6' },
        tryToUnmap: 'unmap',
        archFlush: 'arch',
        allocPages: 'alloc',
        putPage: 'put',
        lufBatch: batch,
        allocator: 'allocator',
        debug: 'debug',
      },
    }),
    p: probe(),
    q: probe(),
  });
}
const items = [0, 1].map((vpn) => ({ mm: 'mm', vpn, ptl: 'ptl' }));
const ofFile: Candidate = { pfn: 4, mapping: 'file', index: 0, anonymous: false, items: items.slice(0, 1) };
const anonymous: Candidate = { ...ofFile, mapping: 'swap', anonymous: true };
const call = (system: Rig, candidate = ofFile): Rig => {
  system.say('p', 'migrate', { type: 'call', candidate });
  return system;
};
const migrated = (setup: Setup = {}, candidate?: Candidate): Rig => call(rig(setup), candidate).settle();
/** Up to its step in this state; what it calls is carried out. */
function upTo(system: Rig, state: string): Rig {
  for (let steps = 0; system.at('migrate') !== state; steps++) {
    if (steps === 100) throw new Error(`it does not come to '${state}'`);
    if (system.can('migrate', 'step')) system.take('migrate', 'step');
    else system.settle('unmap', 'put');
  }
  return system;
}
/** What it said to these. */
const told = (system: Rig, ...to: string[]): string[] => system.said('migrate').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
const pte = (system: Rig, vpn = 0): unknown => system.context('mm').ptes[vpn];
/** The frames freed so far, in this order. */
const free = (system: Rig): unknown => system.heard('allocator').map(({ pfn, lufKey }) => ({ pfn, lufKey }));
const freed = (pfn: number, lufKey: number | null = null): unknown => ({ pfn, lufKey });
const slot = (system: Rig, mapping = 'file'): unknown => system.context(mapping).folios[0];
const counts = (system: Rig, pfn: number): unknown => {
  const { refcount, mapcount } = system.context(`page${pfn}`);
  return { refcount, mapcount };
};
const flush = 'arch: call {"cpus":["cpu1"]}';
const putBack = ['put: call {"pfn":6,"pinned":false}', 'put: call {"pfn":4,"pinned":false}', 'p: return'];
const unlockBoth = ['lock6: unlock', 'lock4: unlock'];
function expectAtRest(system: Rig): void {
  expect(system.context('migrate')).toMatchObject({ caller: '', source: null, target: -1, cpus: [], lazy: false, moved: false });
  expect(system.context('migrate')).toMatchObject({ items: [], pte: none, readable: true, frame: null });
  for (const lock of ['lock4', 'lock6', 'ptl']) expect(system.context(lock)).toEqual({ owner: null, waiters: [] });
  expect([system.at('migrate'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}
/** The source is where it was, with these references; the target is free again. */
function expectNotMoved(system: Rig, refcount: number, mapping = 'file'): void {
  expect([slot(system, mapping), pte(system), free(system)]).toEqual([4, readOnly(4), [freed(6)]]);
  expect(counts(system, 4)).toEqual({ refcount, mapcount: 1 });
  expectAtRest(system);
}

describe('M1 to M6: a page of a file', () => {
  test('step by step: both locked, migration entry, flush, slot, copy, pte, both unlocked, source freed', () => {
    const system = migrated();
    expect(system.said('migrate')).toEqual([
      'page4: folio.try_get',
      'alloc: call',
      'lock4: trylock',
      'file: slot.read {"index":0}',
      'lock6: lock',
      'unmap: call {"pfn":4,"mapping":"file","index":0,"leaves":"migration","items":[{"mm":"mm","vpn":0,"ptl":"ptl"}]}',
      flush,
      'page4: page.read',
      'page4: folio.freeze {"expected":2}',
      'page6: folio.ref_inc',
      'file: slot.replace {"index":0,"pfn":6}',
      'page4: page.read',
      'page4: memory.read {"sample":true}',
      'page6: memory.write {"value":"content of 4"}',
      'debug: luf.copied {"source":4,"copy":6}',
      'ptl: lock',
      'mm: pte.read {"vpn":0}',
      'mm: vma.find {"vpn":0}',
      'page6: folio.ref_inc',
      'page6: folio.add_rmap',
      'mm: pte.set {"vpn":0,"pte":{"kind":"present","pfn":6,"write":false,"dirty":false,"devmap":false,"special":false}}',
      'ptl: unlock',
      ...unlockBoth,
      'put: call {"pfn":6,"pinned":false}',
      'page4: folio.free',
      'allocator: free_page {"pfn":4,"lufKey":null}',
      'p: return',
    ]);
    expect([slot(system), pte(system), free(system), system.at('page4')]).toEqual([6, readOnly(6), [freed(4)], 'free']);
    // Of the mapping, and of the page cache.
    expect([counts(system, 6), system.context('page6').content]).toEqual([{ refcount: 2, mapcount: 1 }, 'content of 4']);
    expectAtRest(system);
  });

  test('M3: nothing is moved or copied while the flush is under way; both folios are locked, a migration entry stands there', () => {
    const system = migrated({ ptes: { 0: writable(4) }, arch: answers() });
    expect([system.at('migrate'), system.can('migrate', 'step'), slot(system), system.context('page4').sampled]).toEqual([
      'try_to_unmap_flush',
      false,
      4,
      false,
    ]);
    expect([system.context('lock4').owner, system.context('lock6').owner, pte(system)]).toEqual(['migrate', 'migrate', entry(true)]);
    system.say('q', 'migrate', 'return');
    expect(pte(system.settle())).toEqual(writable(6));
    expectAtRest(system);
  });

  test('M5, M6: who sleeps on the source is woken when the pte maps the copy', () => {
    const system = upTo(call(rig()), 'folio_copy');
    system.say('q', 'lock4', 'lock');
    upTo(system, 'unlock_both');
    expect([system.heard('q'), pte(system)]).toEqual([[], readOnly(6)]);
    system.take('migrate', 'step');
    expect(system.heard('q')).toEqual([{ type: 'locked' }]);
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system.settle());
  });

  test('that nobody maps needs no flush', () => {
    const system = migrated({ ptes: {} });
    expect([system.heard('arch'), slot(system), counts(system, 6), free(system)]).toEqual([[], 6, { refcount: 1, mapcount: 0 }, [freed(4)]]);
    expectAtRest(system);
  });

  test('its flags go with it: dirty', () => {
    const system = migrated({ ptes: { 0: presentPte(4, { dirty: true }) } });
    expect(told(system, 'page6').slice(0, 2)).toEqual(['page6: folio.ref_inc', 'page6: folio.mark_dirty']);
    expect([system.context('page6').dirty, pte(system)]).toEqual([true, writable(6)]);
    expect(migrated().context('page6').dirty).toBe(false);
    expectAtRest(system);
  });

  test('M4: from the freeze on nobody gets a reference of the source', () => {
    const system = upTo(call(rig()), 'folio_copy');
    expect(system.say('q', 'page4', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
  });

  test('M5: it spins while another has the page-table lock', () => {
    const system = upTo(call(rig()), 'page_vma_mapped_walk');
    system.say('q', 'ptl', 'lock');
    system.settle();
    expect([system.at('migrate'), system.can('migrate', 'step'), pte(system)]).toEqual(['spin_on_ptl', false, entry()]);
    system.say('q', 'ptl', 'unlock');
    expect(pte(system.settle())).toEqual(readOnly(6));
    expectAtRest(system);
  });

  test('M5: every place gets a pte with the rights that its entry had', () => {
    const system = migrated({ ptes: { 0: readOnly(4), 1: writable(4) } }, { ...ofFile, items });
    expect([pte(system, 0), pte(system, 1), counts(system, 6)]).toEqual([readOnly(6), writable(6), { refcount: 3, mapcount: 2 }]);
    expectAtRest(system);
  });

  test.each<[string, Pte]>([
    ['none', none],
    ['a pte of another page', readOnly(9)],
    ['the entry of another migration', { kind: 'migration', pfn: 9, write: false }],
  ])('M5: where the entry has become %s it is left as it is', (_, changed) => {
    const system = upTo(call(rig()), 'page_vma_mapped_walk');
    system.say('q', 'mm', { type: 'pte.set', vpn: 0, pte: changed });
    system.settle();
    expect([pte(system), counts(system, 6), free(system)]).toEqual([changed, { refcount: 1, mapcount: 0 }, [freed(4)]]);
    expect(told(system, 'ptl')).toEqual(['ptl: lock', 'ptl: unlock']);
    expectAtRest(system);
  });

  test('M5: an entry that has lost the right to store stays without it', () => {
    const system = upTo(call(rig({ ptes: { 0: writable(4) } })), 'page_vma_mapped_walk');
    system.say('q', 'mm', { type: 'pte.set', vpn: 0, pte: entry(false) });
    expect(pte(system.settle())).toEqual(readOnly(6));
  });

  describe('M5: the rights come from the VMA as it is by then', () => {
    const area: Area = { mapping: 'file', index: 0, anonymous: false, read: true, write: true };
    const protectedMeanwhile = (read: boolean, setup: Setup = {}): Rig => {
      const system = upTo(call(rig({ areas: { 0: area }, ...setup })), 'page_vma_mapped_walk');
      system.say('q', 'mm', { type: 'vma.protect', vpns: [0], read, write: false });
      return system.settle();
    };

    test('it may not be read any more (I4): the pte lets no CPU in', () => {
      const system = protectedMeanwhile(false);
      expect([pte(system), counts(system, 6)]).toEqual([noAccess(6), { refcount: 2, mapcount: 1 }]);
      expectAtRest(system);
    });

    test('nor where the page has not moved', () => {
      const system = protectedMeanwhile(false, { pinned: 1 });
      expect([pte(system), free(system)]).toEqual([noAccess(4), [freed(6)]]);
      expectAtRest(system);
    });

    test('it may still be read', () => {
      expect(pte(protectedMeanwhile(true))).toEqual(readOnly(6));
    });

    test('each place for itself', () => {
      const areas = { 0: { ...area, read: false }, 1: area };
      const system = migrated({ ptes: { 0: readOnly(4), 1: readOnly(4) }, areas }, { ...ofFile, items });
      expect([pte(system, 0), pte(system, 1)]).toEqual([noAccess(6), readOnly(6)]);
      expectAtRest(system);
    });
  });
});

describe('M4: private memory', () => {
  test('that is not in the swap cache: no slot, one reference less', () => {
    const system = migrated({ kind: 'anonymous' }, anonymous);
    expect(told(system, 'unmap', 'page4', 'page6', 'swap')).toEqual([
      'page4: folio.try_get',
      'page4: page.read',
      'unmap: call {"pfn":4,"mapping":null,"index":0,"leaves":"migration","items":[{"mm":"mm","vpn":0,"ptl":"ptl"}]}',
      'page4: page.read',
      'swap: swap.find {"pfn":4}',
      'page4: folio.freeze {"expected":1}',
      'page4: page.read',
      'page4: memory.read {"sample":true}',
      'page6: memory.write {"value":"content of 4"}',
      'page6: folio.ref_inc',
      'page6: folio.add_rmap',
      'page4: folio.free',
    ]);
    expect([pte(system), slot(system, 'swap'), counts(system, 6), free(system)]).toEqual([readOnly(6), null, { refcount: 1, mapcount: 1 }, [freed(4)]]);
    expectAtRest(system);
  });

  test('that is in the swap cache: its slot is replaced, whatever the caller took for it', () => {
    const system = migrated({ kind: 'swap cache' }, { ...anonymous, index: 8 });
    expect(told(system, 'swap')).toEqual(['swap: swap.find {"pfn":4}', 'swap: slot.replace {"index":0,"pfn":6}']);
    expect([system.context('swap').folios, counts(system, 6), free(system)]).toEqual([{ 0: 6 }, { refcount: 2, mapcount: 1 }, [freed(4)]]);
    expectAtRest(system);
  });

  test('whose slot holds another page is in no cache: that slot stays', () => {
    const system = migrated({ kind: 'swap cache', slot: 9 }, anonymous);
    expect([slot(system, 'swap'), counts(system, 6), free(system)]).toEqual([9, { refcount: 1, mapcount: 1 }, [freed(4)]]);
    expectAtRest(system);
  });

  test('that no CPU may access (PROT_NONE) is mapped, and moves as well', () => {
    const area: Area = { mapping: 'swap', index: 0, anonymous: true, read: false, write: false };
    const system = migrated({ kind: 'anonymous', ptes: { 0: noAccess(4) }, areas: { 0: area } }, anonymous);
    expect([pte(system), counts(system, 6), free(system)]).toEqual([noAccess(6), { refcount: 1, mapcount: 1 }, [freed(4)]]);
    expectAtRest(system);
  });

  describe('PageAnonExclusive goes by way of the entry', () => {
    const setup: Setup = { kind: 'anonymous', exclusive: true };
    const exclusive = (system: Rig): unknown => [4, 6].map((pfn) => system.context(`page${pfn}`).anonExclusive);

    test('while the entry stands, neither page has it; the copy has it before the pte stands', () => {
      const system = upTo(call(rig(setup), anonymous), 'remove_migration_pte');
      expect([pte(system), exclusive(system)]).toEqual([exclusiveEntry, [false, false]]);
      system.settle();
      expect([pte(system), exclusive(system)]).toEqual([readOnly(6), [false, true]]);
      expect(told(system, 'page6', 'mm', 'ptl').slice(-5)).toEqual([
        'page6: folio.ref_inc',
        'page6: folio.add_rmap',
        'page6: folio.set_exclusive {"exclusive":true}',
        'mm: pte.set {"vpn":0,"pte":{"kind":"present","pfn":6,"write":false,"dirty":false,"devmap":false,"special":false}}',
        'ptl: unlock',
      ]);
      expectAtRest(system);
    });

    test('a page that does not move has it again', () => {
      const system = migrated({ ...setup, pinned: 1 }, anonymous);
      expect([pte(system), exclusive(system), free(system)]).toEqual([readOnly(4), [true, false], [freed(6)]]);
      expectAtRest(system);
    });

    test('a page that was not exclusive is not', () => {
      const system = migrated({ kind: 'anonymous' }, anonymous);
      expect([pte(system), exclusive(system), told(system, 'page6').filter((said) => said.includes('exclusive'))]).toEqual([readOnly(6), [false, false], []]);
      expectAtRest(system);
    });

    test('an entry that fork has shared meanwhile gives it to nobody', () => {
      const system = upTo(call(rig(setup), anonymous), 'page_vma_mapped_walk');
      system.say('q', 'mm', { type: 'pte.set', vpn: 0, pte: entry() });
      system.settle();
      expect([pte(system), exclusive(system)]).toEqual([readOnly(6), [false, false]]);
      expectAtRest(system);
    });
  });

  test('that nobody maps any more goes: target and source are free', () => {
    const system = upTo(call(rig({ kind: 'anonymous' }), anonymous), 'page_vma_mapped_walk');
    system.say('q', 'mm', { type: 'pte.clear', vpn: 0 });
    expect(free(system.settle())).toEqual([freed(6), freed(4)]);
    expectAtRest(system);
  });

  test('that somebody else refers to stays, and is mapped again', () => {
    const system = migrated({ kind: 'anonymous', pinned: 1 }, anonymous);
    expect([pte(system), counts(system, 4), free(system)]).toEqual([readOnly(4), { refcount: 2, mapcount: 1 }, [freed(6)]]);
    expectAtRest(system);
  });
});

describe('it does not move', () => {
  test('a page that is free by now', () => {
    const system = migrated({ ptes: {}, slot: null });
    expect([system.said('migrate'), system.heard('alloc')]).toEqual([['page4: folio.try_get', 'p: return'], []]);
    expectAtRest(system);
  });

  test.each<[string, ActorSpec]>([
    ['no page', returns({ pfns: [] })],
    ['nothing', returns({})],
  ])('where there is %s to move it to', (_, alloc) => {
    const system = migrated({ alloc });
    expect(system.said('migrate')).toEqual(['page4: folio.try_get', 'alloc: call', 'put: call {"pfn":4,"pinned":false}', 'p: return']);
    expect([pte(system), counts(system, 4), free(system)]).toEqual([readOnly(4), { refcount: 2, mapcount: 1 }, []]);
    expectAtRest(system);
  });

  test('a folio that somebody has locked: both references are given back, no lock taken', () => {
    const system = rig();
    system.say('q', 'lock4', 'trylock');
    call(system).settle();
    expect(system.said('migrate').slice(2)).toEqual(['lock4: trylock', ...putBack]);
    expect([system.context('lock4').owner, system.heard('lock6')]).toEqual(['q', []]);
    system.say('q', 'lock4', 'unlock');
    expectNotMoved(system, 2);
  });

  test('M4: a folio that is mapped elsewhere still: entries become ptes of the source again', () => {
    const system = migrated({ ptes: { 0: readOnly(4), 1: readOnly(4) } });
    expect(system.said('migrate').slice(6)).toEqual([
      flush,
      'page4: page.read',
      'ptl: lock',
      'mm: pte.read {"vpn":0}',
      'mm: vma.find {"vpn":0}',
      'page4: folio.ref_inc',
      'page4: folio.add_rmap',
      'mm: pte.set {"vpn":0,"pte":{"kind":"present","pfn":4,"write":false,"dirty":false,"devmap":false,"special":false}}',
      'ptl: unlock',
      ...unlockBoth,
      ...putBack,
    ]);
    expect([slot(system), pte(system, 0), pte(system, 1), free(system)]).toEqual([4, readOnly(4), readOnly(4), [freed(6)]]);
    expect(counts(system, 4)).toEqual({ refcount: 3, mapcount: 2 });
    expectAtRest(system);
  });

  test('M4: a folio that somebody else refers to: nothing is copied, the slot stays', () => {
    const system = migrated({ pinned: 1 });
    expect([told(system, 'file'), system.context('page4').sampled, system.heard('debug')]).toEqual([['file: slot.read {"index":0}'], false, []]);
    expect(system.said('migrate').slice(-5)).toEqual([...unlockBoth, ...putBack]);
    expectNotMoved(system, 3);
  });

  test('M4: nor one in the swap cache', () => {
    expectNotMoved(migrated({ kind: 'swap cache', pinned: 1 }, anonymous), 3, 'swap');
  });

  test('M4: for a reference that comes after the walk, not for one that goes before the freeze', () => {
    const late = upTo(call(rig()), 'migrate_mapping');
    late.say('q', 'page4', 'folio.try_get');
    expectNotMoved(late.settle(), 3);
    const early = upTo(call(rig({ pinned: 1 })), 'migrate_mapping');
    early.say('q', 'page4', 'folio.put');
    expect([slot(early.settle()), free(early)]).toEqual([6, [freed(4)]]);
    expectAtRest(early);
  });

  test('a writable pte is writable again', () => {
    expect(pte(migrated({ ptes: { 0: writable(4) }, pinned: 1 }))).toEqual(writable(4));
  });

  test.each([null, 9])('M1: a folio that is not in its slot any more (%j): unlocked, the slot stays', (other) => {
    const system = migrated({ slot: other, pinned: 1 });
    expect(system.said('migrate')).toEqual([
      'page4: folio.try_get',
      'alloc: call',
      'lock4: trylock',
      'file: slot.read {"index":0}',
      'lock4: unlock',
      ...putBack,
    ]);
    expect([slot(system), pte(system), counts(system, 4), free(system)]).toEqual([other, readOnly(4), { refcount: 2, mapcount: 1 }, [freed(6)]]);
    expectAtRest(system);
  });

  test('M1: a private page that nobody maps any more: unlocked, both references given back', () => {
    const system = migrated({ kind: 'anonymous', ptes: {}, pinned: 1 }, anonymous);
    expect(system.said('migrate')).toEqual(['page4: folio.try_get', 'alloc: call', 'lock4: trylock', 'page4: page.read', 'lock4: unlock', ...putBack]);
    expect([counts(system, 4), free(system), system.heard('lock6')]).toEqual([{ refcount: 1, mapcount: 0 }, [freed(6)], []]);
    expectAtRest(system);
  });
});

test('the target may be locked for a moment: it waits', () => {
  const system = rig();
  system.say('q', 'lock6', 'lock');
  call(system).settle();
  expect([system.at('migrate'), system.can('migrate', 'step'), pte(system)]).toEqual(['lock_target', false, readOnly(4)]);
  system.say('q', 'lock6', 'unlock');
  expect(pte(system.settle())).toEqual(readOnly(6));
  expectAtRest(system);
});

describe('LUF', () => {
  const debts = (system: Rig): unknown => system.context('luf_batch').debts;

  test('read-only ptes: no IPI; the source is freed with the generation that it owes', () => {
    const system = migrated({ luf: true });
    expect([system.heard('arch'), free(system), debts(system)]).toEqual([[], [freed(4, 1)], [{ cpu: 'cpu1', ugen: 1 }]]);
    expect(told(system, 'luf_batch', 'lock4', 'lock6', 'allocator')).toEqual([
      'lock4: trylock',
      'lock6: lock',
      'luf_batch: luf_batch.ugen',
      ...unlockBoth,
      'allocator: free_page {"pfn":4,"lufKey":1}',
    ]);
    expect(pte(system)).toEqual(readOnly(6));
    expectAtRest(system);
  });

  test('row L2: a writable pte is flushed before the copy, and nothing is recorded', () => {
    const system = migrated({ luf: true, ptes: { 0: writable(4) } });
    expect(told(system, 'arch', 'page4')).toEqual([
      'page4: folio.try_get',
      flush,
      'page4: page.read',
      'page4: folio.freeze {"expected":2}',
      'page4: page.read',
      'page4: memory.read {"sample":true}',
      'page4: folio.free',
    ]);
    expect([free(system), debts(system)]).toEqual([[freed(4, 0)], []]);
    expectAtRest(system);
  });

  test('a folio that does not move leaves its debt in the table', () => {
    const system = migrated({ luf: true, pinned: 1 });
    expect([system.heard('arch'), debts(system), told(system, 'luf_batch')]).toEqual([[], [{ cpu: 'cpu1', ugen: 1 }], []]);
    expect([pte(system), counts(system, 4)]).toEqual([readOnly(4), { refcount: 3, mapcount: 1 }]);
    expectAtRest(system);
  });

  describe('I1: a folio that was unmapped earlier', () => {
    const unmappedEarlier = (machine = migratePages): Rig => {
      const system = rig({ luf: true, machine });
      system.say('q', 'unmap', { type: 'call', pfn: 4, mapping: 'file', index: 0, leaves: 'none', items: ofFile.items });
      return call(system.settle()).settle();
    };

    test('owes what was put off then', () => {
      const system = unmappedEarlier();
      expect([debts(system), free(system)]).toEqual([[{ cpu: 'cpu1', ugen: 1 }], [freed(4, 1)]]);
      expectAtRest(system);
    });

    test('is freed as if it owed nothing, with the safeguard out: only a flush that was put off here gives a generation', () => {
      const machine = migratePages.provide({ guards: { takesKey: ({ context }) => context.lazy && context.moved } });
      const system = unmappedEarlier(machine);
      expect([debts(system), free(system)]).toEqual([[{ cpu: 'cpu1', ugen: 1 }], [freed(4, null)]]);
      expectAtRest(system);
      expect(free(migrated({ luf: true, machine }))).toEqual([freed(4, 1)]);
    });
  });
});

test.each<[string, Setup]>([
  ['moved', {}],
  ['moved, flush put off', { luf: true }],
  ['not moved', { pinned: 1 }],
])('one call remembers nothing of the one before (%s)', (_, setup) => {
  const system = migrated(setup);
  expectAtRest(system);
  const before = system.said('migrate').length;
  system.say('q', 'lock4', 'trylock');
  // The stand-in hands out the target once more.
  if (setup.pinned) system.say('q', 'page6', 'folio.prep_new');
  call(system).settle();
  // After a move it is free: there is nothing to isolate.
  const gone = ['page4: folio.try_get', 'p: return'];
  const busy = ['page4: folio.try_get', 'alloc: call', 'lock4: trylock', ...putBack];
  if (setup.pinned) expect(system.said('migrate').slice(before)).toEqual(busy);
  else expect(system.said('migrate').slice(before)).toEqual(gone);
  system.say('q', 'lock4', 'unlock');
  expectAtRest(system);
});

describe('a device-exclusive entry of the page', () => {
  const devexcl: Pte = { kind: 'devexcl', pfn: 4, write: true };
  const old = tryToUnmap.provide({ guards: { keepsMapcount: () => false } });

  test('is a mapping: the page moves, and is mapped read-only where a device had it for itself; whose it is stays', () => {
    const system = migrated({ ptes: { 0: devexcl }, kind: 'anonymous', exclusive: true }, anonymous);
    expect([pte(system), counts(system, 6), system.context('page6').anonExclusive]).toEqual([readOnly(6), { refcount: 1, mapcount: 1 }, true]);
    expect([free(system), system.at('page4'), system.heard('arch')]).toEqual([[freed(4)], 'free', []]);
    expectAtRest(system);
  });

  test('up to 6.14 is none: a page that nobody maps besides stays where it is', () => {
    const system = migrated({ ptes: { 0: devexcl }, kind: 'anonymous', unmap: old }, anonymous);
    expect([pte(system), counts(system, 4), free(system)]).toEqual([devexcl, { refcount: 1, mapcount: 0 }, [freed(6)]]);
    expectAtRest(system);
  });

  test('up to 6.14 is a reference that nobody accounts for: the page is not frozen, and mapped again where it was', () => {
    const both = { ...anonymous, items };
    const system = migrated({ ptes: { 0: devexcl, 1: readOnly(4) }, kind: 'anonymous', unmap: old }, both);
    expect(told(system, 'page4')).toContain('page4: folio.freeze {"expected":1}');
    expect([pte(system), pte(system, 1), counts(system, 4), free(system)]).toEqual([devexcl, readOnly(4), { refcount: 2, mapcount: 1 }, [freed(6)]]);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(migratePages)).toEqual([]);
});
