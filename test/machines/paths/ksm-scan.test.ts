import {
  addressSpace,
  folio,
  folioLock,
  ksmScan,
  type Pte,
  presentPte,
  protectionRecord,
  putPage,
  replacePage,
  rwsem,
  spinlock,
  stableTree,
  tryToMergeOnePage,
  writeProtectPage,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** Ptes of the two address spaces. */
  ptes?: [Pte, Pte];
  vmas?: number[];
  page4?: object;
  page5?: object;
  /** Page 6, which is in the stable tree. */
  page6?: object;
  tree?: number[];
  /** What try_to_merge_one_page says, one after the other. */
  merges?: boolean[];
  others?: Actors;
}

const at = (mm: string): { mm: string; vpn: number; ptl: string } => ({ mm, vpn: 3, ptl: `ptl_${mm}` });
const [own, other] = [at('a'), at('b')];
const writable = (pfn: number): Pte => presentPte(pfn, { dirty: true });
const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const none: Pte = { kind: 'none' };
const page = (pfn: number, of: object): Actors[string] =>
  actor(folio, { input: { pfn, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', content: 'v0', anonExclusive: true, ...of } });
const stable6 = { anonExclusive: false, protection: { record: 'record6', stable: true } };

function rig({ ptes = [writable(4), writable(5)], vmas = [3], page4 = {}, page5 = {}, page6 = stable6, tree = [], merges = [true], others = {} }: Setup): Rig {
  const space = (pte: Pte): Actors[string] => actor(addressSpace, { input: { ptes: { 3: pte }, vmas, cpumask: [] } });
  return new Rig({
    a: space(ptes[0]),
    b: space(ptes[1]),
    mmap_a: actor(rwsem),
    mmap_b: actor(rwsem),
    ptl_a: actor(spinlock),
    ptl_b: actor(spinlock),
    page4: page(4, page4),
    page5: page(5, page5),
    page6: page(6, page6),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    lock6: actor(folioLock),
    record4: actor(protectionRecord),
    record6: actor(protectionRecord),
    tree: actor(stableTree, { input: { pfns: tree } }),
    merge: returns(...merges.map((ok) => ({ ok }))),
    cow: returns({ ok: true }),
    put: actor(putPage, { input: {} }),
    ksm: actor(ksmScan, {
      input: {
        ...{ stableTree: 'tree', mmapLocks: { a: 'mmap_a', b: 'mmap_b' }, folioLocks: { 4: 'lock4', 5: 'lock5', 6: 'lock6' } },
        ...{ mergeOne: 'merge', breakCow: { a: 'cow' }, putPage: 'put' },
      },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
}
const call = (system: Rig, of: typeof other | null = other): Rig => {
  system.say('p', 'ksm', { type: 'call', item: own, other: of });
  return system;
};
const done = (setup: Setup, of?: typeof other | null): Rig => call(rig(setup), of).settle();
const counts = (system: Rig): number[] => [4, 5, 6].map((pfn) => system.context(`page${pfn}`).refcount);
const free = { writer: null, readers: [], waiters: [] };
const unlocked = { owner: null, waiters: [] };
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('ksm')).toMatchObject({
    ...{ caller: '', item: { mm: '', vpn: -1, ptl: '' }, other: null, pfn: null, otherPfn: null, looksAtOther: false, mapped: -1 },
    ...{ stable: [], content: null, ok: false },
  });
  expect([system.context('mmap_a'), system.context('mmap_b')]).toEqual([free, free]);
  for (const lock of ['ptl_a', 'ptl_b', 'lock4', 'lock5', 'lock6']) expect([lock, system.context(lock)]).toEqual([lock, unlocked]);
  expect([system.at('ksm'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

const look = (mm: string, ...page: string[]): string[] => [
  ...[`mmap_${mm}: down_read`, `${mm}: vma.find {"vpn":3}`, `ptl_${mm}: lock`, `${mm}: pte.read {"vpn":3}`],
  ...[...page, `ptl_${mm}: unlock`, `mmap_${mm}: up_read`],
];
const got = (pfn: number): string[] => [`page${pfn}: page.read`, `page${pfn}: folio.ref_inc`];
const search = 'tree: tree.read';
const read = (pfn: number): string => `page${pfn}: memory.read {"sample":false}`;
const compare = (pfn: number): string[] => [read(4), read(pfn)];
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const merge = (item: object, pfn: number, kpfn: number | null): string => `merge: call ${JSON.stringify({ item, pfn, kpfn })}`;
const add = (record: number, item: object): string => `record${record}: record.add_item ${JSON.stringify({ item })}`;
const back = (ok: boolean): string => `p: return {"ok":${ok}}`;
const remove = 'tree: tree.remove {"pfn":6}';
const stable = ['page6: folio.try_get', 'page6: page.read'];
const found = [...look('a', ...got(4)), search];

describe('a stable page has the same bytes', () => {
  test('it is put in the place of the page, and its record gets the place', () => {
    const system = done({ tree: [6] });
    expect(system.said('ksm')).toEqual([
      ...[...found, ...stable, ...compare(6), merge(own, 4, 6)],
      ...['lock6: lock', add(6, own), 'lock6: unlock', put(6), put(4), back(true)],
    ]);
    expect([system.context('record6').items, counts(system), system.context('tree').pfns]).toEqual([[own], [1, 1, 1], [6]]);
    expectAtRest(system, true);
  });

  test('the merge does not succeed: the references go back', () => {
    const system = done({ tree: [6], merges: [false] });
    expect(system.said('ksm')).toEqual([...found, ...stable, ...compare(6), merge(own, 4, 6), put(6), put(4), back(false)]);
    expect([system.context('record6').items, counts(system)]).toEqual([[], [1, 1, 1]]);
    expectAtRest(system, false);
  });

  test('others may change the page meanwhile: no lock is held while the bytes are compared', () => {
    const system = call(rig({ tree: [6] }))
      .stepTo('ksm', 'memcmp_stable_page')
      .take('ksm', 'step');
    expect([system.context('mmap_a'), system.context('ptl_a'), system.context('lock4'), system.heard('merge').length]).toEqual([free, unlocked, unlocked, 1]);
  });
});

describe('a page of the tree that is not taken', () => {
  test('has other bytes', () => {
    const system = done({ tree: [6], page6: { ...stable6, content: 'v9' } }, null);
    expect(system.said('ksm')).toEqual([...found, ...stable, ...compare(6), put(6), put(4), back(false)]);
    expect([counts(system), system.context('tree').pfns]).toEqual([[1, 1, 1], [6]]);
    expectAtRest(system, false);
  });

  test('was freed: the tree forgets it', () => {
    const system = done({ tree: [6], page6: { refcount: 0, mapcount: 0 } }, null);
    expect(system.said('ksm')).toEqual([...found, 'page6: folio.try_get', remove, put(4), back(false)]);
    expect(system.context('tree').pfns).toEqual([]);
    expectAtRest(system, false);
  });

  test('was freed, and handed out again: the tree forgets it', () => {
    const system = done({ tree: [6], page6: {} }, null);
    expect(system.said('ksm')).toEqual([...found, ...stable, put(6), remove, put(4), back(false)]);
    expect([counts(system), system.context('tree').pfns]).toEqual([[1, 1, 1], []]);
    expectAtRest(system, false);
  });

  test('the next one is', () => {
    const system = done({ tree: [5, 6], page5: { refcount: 0, mapcount: 0 } }, null);
    expect(system.said('ksm').slice(found.length, found.length + 3)).toEqual(['page5: folio.try_get', 'tree: tree.remove {"pfn":5}', 'page6: folio.try_get']);
    expect([system.heard('merge')[0], system.context('tree').pfns]).toEqual([{ type: 'call', item: own, pfn: 4, kpfn: 6 }, [6]]);
    expectAtRest(system, true);
  });
});

describe('the unstable tree has a page with the same bytes', () => {
  const both = [...found, ...look('b', ...got(5)), ...compare(5)];

  test('the page becomes stable, and is put in the place of the other; then the tree and the record have it', () => {
    const system = done({ merges: [true, true] });
    system.say('q', 'record4', { type: 'record.read' });
    expect(system.said('ksm')).toEqual([
      ...[...both, merge(own, 4, null), merge(other, 5, 4), put(5)],
      ...['lock4: lock', 'tree: tree.insert {"pfn":4}', 'record4: record.clear', add(4, other), add(4, own), 'lock4: unlock', put(4), back(true)],
    ]);
    expect([system.context('record4').items, counts(system), system.context('tree').pfns]).toEqual([[other, own], [1, 1, 1], [4]]);
    expectAtRest(system, true);
  });

  test('the page does not become stable: the references go back', () => {
    const system = done({ merges: [false] });
    expect(system.said('ksm')).toEqual([...both, merge(own, 4, null), put(5), put(4), back(false)]);
    expect(counts(system)).toEqual([1, 1, 1]);
    expectAtRest(system, false);
  });

  test('the other does not give way: a stable page with one mapping is broken', () => {
    const system = done({ merges: [true, false] });
    expect(system.said('ksm')).toEqual([...both, merge(own, 4, null), merge(other, 5, 4), 'cow: call {"vpn":3}', put(5), put(4), back(false)]);
    expect([system.context('tree').pfns, counts(system)]).toEqual([[], [1, 1, 1]]);
    expectAtRest(system, false);
  });

  test('it has other bytes by now', () => {
    const system = done({ page5: { content: 'v9' } });
    expect(system.said('ksm')).toEqual([...both, put(5), put(4), back(false)]);
    expectAtRest(system, false);
  });
});

describe('no other page', () => {
  test.each<[string, Setup, string[]]>([
    ['nothing is mapped there', { ptes: [writable(4), none] }, []],
    ['it is the same page, after a fork', { ptes: [readOnly(4), readOnly(4)] }, ['page4: page.read']],
    ['it is of a file', { page5: { mapping: 'file' } }, ['page5: page.read']],
    ['it is stable', { page5: { protection: { record: 'record5', stable: true } } }, ['page5: page.read']],
  ])('%s', (_, setup, reads) => {
    const system = done(setup);
    expect(system.said('ksm')).toEqual([...found, ...look('b', ...reads), put(4), back(false)]);
    expect(counts(system)[0]).toBe(1);
    expectAtRest(system, false);
  });

  test('the unstable tree has none', () => {
    const system = done({}, null);
    expect(system.said('ksm')).toEqual([...found, put(4), back(false)]);
    expectAtRest(system, false);
  });
});

describe('no page to merge', () => {
  test.each<[string, Setup, string[]]>([
    ['nothing is mapped there', { ptes: [none, writable(5)] }, []],
    ['a swap entry is there', { ptes: [{ kind: 'swap', slot: 1 }, writable(5)] }, []],
    ['it is of a file', { page4: { mapping: 'file' } }, ['page4: page.read']],
    ['it is stable already', { page4: { protection: { record: 'record4', stable: true } } }, ['page4: page.read']],
    ['it is protected for replicas', { page4: { protection: { record: 'record4', stable: false } } }, ['page4: page.read']],
  ])('%s', (_, setup, reads) => {
    const system = done(setup);
    expect(system.said('ksm')).toEqual([...look('a', ...reads), back(false)]);
    expect(counts(system)).toEqual([1, 1, 1]);
    expectAtRest(system, false);
  });

  test('there is no VMA', () => {
    const system = done({ vmas: [] });
    expect(system.said('ksm')).toEqual(['mmap_a: down_read', 'a: vma.find {"vpn":3}', 'mmap_a: up_read', back(false)]);
    expectAtRest(system, false);
  });
});

describe('it waits', () => {
  const waits = (system: Rig): unknown => [system.at('ksm'), system.can('ksm', 'step')];

  test.each<[string, string, string, string]>([
    ['while somebody writes mmap_lock', 'mmap_a', 'down_write', 'wait_for_mmap_lock'],
    ['while another has the page-table lock', 'ptl_a', 'lock', 'spin_on_ptl'],
    ['while another has the new stable page locked', 'lock4', 'lock', 'wait_for_page'],
  ])('%s', (_, lock, take, state) => {
    const system = rig({ merges: [true, true] });
    system.say('q', lock, take);
    expect(waits(call(system).settle())).toEqual([state, false]);
    system.say('q', lock, take === 'lock' ? 'unlock' : 'up_write');
    expectAtRest(system.settle(), true);
  });

  test('while another has the stable page locked', () => {
    const system = rig({ tree: [6] });
    system.say('q', 'lock6', 'lock');
    expect(waits(call(system).settle())).toEqual(['wait_for_ksm_page', false]);
    system.say('q', 'lock6', 'unlock');
    expectAtRest(system.settle(), true);
  });
});

describe('with the paths that it calls', () => {
  const paths: Actors = {
    flush: returns(),
    protect: actor(writeProtectPage, { input: { flush: { a: 'flush', b: 'flush' } } }),
    replace: actor(replacePage, { input: { flush: { a: 'flush', b: 'flush' }, putPage: 'put' } }),
    merge: actor(tryToMergeOnePage, {
      input: { mmapLocks: { a: 'mmap_a', b: 'mmap_b' }, folioLocks: { 4: 'lock4', 5: 'lock5' }, writeProtect: 'protect', replacePage: 'replace' },
    }),
  };
  const ptes = (system: Rig): Pte[] => [system.context('a').ptes[3], system.context('b').ptes[3]];
  const content = (system: Rig, message: Message): Message[] => system.say('q', 'page5', message);

  test('two pages become one, and the other is free', () => {
    const system = done({ others: paths });
    expect([ptes(system), counts(system)]).toEqual([
      [readOnly(4), readOnly(4)],
      [2, 0, 1],
    ]);
    expect(system.context('page4')).toMatchObject({ mapcount: 2, anonExclusive: false, dirty: true, protection: { record: 'record4', stable: true } });
    expectAtRest(system, true);
  });

  test('a third page is merged into that one', () => {
    const system = done({ others: paths, tree: [6], ptes: [writable(4), readOnly(6)] });
    expect([ptes(system), counts(system), system.context('record6').items]).toEqual([[readOnly(6), readOnly(6)], [0, 1, 2], [own]]);
    expectAtRest(system, true);
  });

  test('a store to the other that comes after the first look is not lost', () => {
    const system = call(rig({ others: paths }))
      .stepTo('ksm', 'memcmp_pages')
      .take('ksm', 'step');
    content(system, { type: 'memory.write', value: 'v1' });
    system.settle();
    expect(ptes(system)).toEqual([readOnly(4), readOnly(5)]);
    expect(system.heard('cow')).toEqual([{ type: 'call', vpn: 3 }]);
    expectAtRest(system, false);
  });
});

test('it can be called again', () => {
  const system = done({ merges: [true, true, false] });
  system.say('q', 'a', { type: 'pte.set', vpn: 3, pte: none });
  call(system).settle();
  expect(system.heard('p')).toEqual([
    { type: 'return', ok: true },
    { type: 'return', ok: false },
  ]);
  expectAtRest(system, false);
});

test('every transition was taken', () => {
  expect(untaken(ksmScan)).toEqual([]);
});
