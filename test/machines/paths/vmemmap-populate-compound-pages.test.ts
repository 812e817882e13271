import { folio } from '../../../machines/memory/folio.js';
import { pageAllocator } from '../../../machines/memory/page-allocator.js';
import { type VmemmapConfig, vmemmap } from '../../../machines/memory/vmemmap.js';
import { vmemmapPopulateCompoundPages } from '../../../machines/paths/vmemmap-populate-compound-pages.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** Struct pages of 2 units, pages of 8: a compound of 16 has four pages of the vmemmap. */
  config?: Partial<VmemmapConfig>;
  free?: number[];
  mapped?: Record<string, string>;
  translation?: 'init_mm' | 'hash' | 'top-level';
  /** What an entry of zeros names. */
  firstFrame?: string;
  zeroIsValid?: boolean;
  machine?: typeof vmemmapPopulateCompoundPages;
}
interface Range {
  start: number;
  nr: number;
  first?: number;
}

const base: VmemmapConfig = { wanted: true, override: true, hugetlb: true, structPage: 2, page: 8, nr: 16, altmap: false, pgmap: true };
const cells = (frame: string): Actors => Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((offset) => [`${frame}+${offset}`, answers()]));
const frames = [100, 101, 102, 103];
const frame = (pfn: number): Actors => ({
  [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 0, idle: 0, zone: 'normal' } }),
  ...cells(`page${pfn}`),
});
const used = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal' } }), ...cells(`page${pfn}`) });
const entries = (mapped: Record<string, string>, write = true) =>
  Object.fromEntries(Object.entries(mapped).map(([vpage, to]) => [vpage, { frame: to, write }]));

function rig({
  config = {},
  free = frames,
  mapped = {},
  translation = 'init_mm',
  firstFrame,
  zeroIsValid = false,
  machine = vmemmapPopulateCompoundPages,
}: Setup = {}): Rig {
  const { structPage, page, ...others } = { ...base, ...config };
  return new Rig({
    ...Object.assign({}, ...frames.map(frame)),
    ...used(200),
    ...used(201),
    allocator: actor(pageAllocator, { input: { free }, choices: [] }),
    vmemmap: actor(vmemmap, {
      input: {
        ...{ structPage, page, translation, slot: 4, ptes: entries(mapped), threads: { task0: { cpu: 'cpu0', mm: 'mm0' } } },
        ...(firstFrame ? { firstFrame, zeroIsValid } : {}),
      },
      choices: [],
    }),
    populate: actor(machine, {
      input: { vmemmap: 'vmemmap', allocator: 'allocator', config: { structPage, page, ...others }, ...(firstFrame ? { firstFrame } : {}) },
    }),
    p: probe(),
  });
}
const call = (system: Rig, { start, nr, first = 0 }: Range): Rig => {
  system.say('p', 'populate', { type: 'call', start, nr, first });
  return system.settle();
};
const populated = (setup: Setup, range: Range): Rig => call(rig(setup), range);

/** Looks at a page to populate, for which it makes the tables. */
const read = (vpage: number) => `vmemmap: vmemmap.read_pte {"vpage":${vpage},"makesTables":true}`;
/** Looks at the page before the range, for which it makes none. */
const readPrevious = (vpage: number) => `vmemmap: vmemmap.read_pte {"vpage":${vpage}}`;
const own = (vpage: number, pfn: number) => [
  read(vpage),
  'allocator: alloc_page',
  `page${pfn}: folio.prep_new`,
  `vmemmap: vmemmap.set_pte {"vpage":${vpage},"frame":"page${pfn}","fresh":true}`,
];
const setReused = (vpage: number, pfn: number, more = '') => `vmemmap: vmemmap.set_pte {"vpage":${vpage},"frame":"page${pfn}"${more}}`;
const reused = (vpage: number, pfn: number) => [read(vpage), `page${pfn}: folio.ref_inc`, setReused(vpage, pfn)];
const sync = 'vmemmap: vmemmap.sync_pgds';
const done = [sync, 'p: return {"ok":true}'];
const failed = 'p: return {"ok":false}';
const mapOf = (system: Rig): Record<string, string> =>
  Object.fromEntries(Object.entries(system.context('vmemmap').ptes as Record<string, { frame: string }>).map(([vpage, { frame }]) => [vpage, frame]));
const refcounts = (system: Rig, ...pfns: number[]): number[] => pfns.map((pfn) => system.context(`page${pfn}`).refcount);

function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('populate')).toMatchObject({ caller: '', left: [], previous: null, tail: null, frame: null });
  expect([system.at('populate'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

describe('a compound of four pages of the vmemmap', () => {
  test('has a frame for the head, and one for tails, which the others share with a reference each', () => {
    const system = populated({}, { start: 16, nr: 16 });
    expect(system.said('populate')).toEqual([...own(4, 100), ...own(5, 101), ...reused(6, 101), ...reused(7, 101), ...done]);
    expect([mapOf(system), refcounts(system, 100, 101)]).toEqual([{ 4: 'page100', 5: 'page101', 6: 'page101', 7: 'page101' }, [1, 3]]);
    expectAtRest(system, true);
  });

  test('struct pages in fresh frames hold poison; a frame that is reused keeps what it has', () => {
    const system = populated({}, { start: 0, nr: 16 });
    expect([0, 2, 4, 6].map((offset) => [system.heard(`page100+${offset}`), system.heard(`page101+${offset}`)])).toEqual(
      Array(4).fill([[{ type: 'page.poison' }], [{ type: 'page.poison' }]]),
    );
  });

  test('takes one access at a time', () => {
    const system = rig({ config: { nr: 12 } });
    system.say('p', 'populate', { type: 'call', start: 0, nr: 12, first: 0 });
    const places = [system.at('populate')];
    while (system.can('populate', 'step')) places.push(system.take('populate', 'step').at('populate'));
    const fresh = ['vmemmap_pte_populate', 'vmemmap_alloc_block', 'set_pte_at'];
    expect(places).toEqual([...fresh, ...fresh, 'vmemmap_pte_populate', 'get_page', 'set_pte_at', 'arch_sync_kernel_mappings', 'idle']);
  });

  test('after another has frames of its own', () => {
    const system = populated({}, { start: 0, nr: 32 });
    expect(mapOf(system)).toEqual({
      ...{ 0: 'page100', 1: 'page101', 2: 'page101', 3: 'page101' },
      ...{ 4: 'page102', 5: 'page103', 6: 'page103', 7: 'page103' },
    });
    expect(refcounts(system, 100, 101, 102, 103)).toEqual([1, 3, 1, 3]);
    expectAtRest(system, true);
  });
});

describe('what is mapped already stays', () => {
  test('the head', () => {
    const system = populated({ mapped: { 0: 'page200' } }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([read(0), ...own(1, 100), ...reused(2, 100), ...reused(3, 100), ...done]);
    expect(refcounts(system, 200, 100)).toEqual([1, 3]);
  });

  test('the first page of tails: its frame is the one that is shared', () => {
    const system = populated({ mapped: { 1: 'page200' } }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([...own(0, 100), read(1), ...reused(2, 200), ...reused(3, 200), ...done]);
    expect(refcounts(system, 100, 200)).toEqual([1, 3]);
  });

  test('another page of tails: it takes no reference', () => {
    const system = populated({ mapped: { 2: 'page200' } }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([...own(0, 100), ...own(1, 101), read(2), ...reused(3, 101), ...done]);
    expect(refcounts(system, 101, 200)).toEqual([2, 1]);
  });

  test('all of it: called twice, the second time changes nothing', () => {
    const system = populated({}, { start: 0, nr: 16 });
    const before = system.said('populate').length;
    call(system, { start: 0, nr: 16 });
    expect(system.said('populate').slice(before)).toEqual([read(0), read(1), read(2), read(3), ...done]);
    expectAtRest(system, true);
  });
});

describe('reuse_compound_section: a range inside a compound that is larger', () => {
  test('shares the frame of the page before it', () => {
    const system = populated({ mapped: { 0: 'page200', 1: 'page201' } }, { start: 8, nr: 8 });
    expect(system.said('populate')).toEqual([readPrevious(1), ...reused(2, 201), ...reused(3, 201), ...done]);
    expect(refcounts(system, 201)).toEqual([3]);
    expectAtRest(system, true);
  });

  test('a page that is mapped already stays', () => {
    const system = populated({ mapped: { 1: 'page201', 2: 'page200' } }, { start: 8, nr: 8 });
    expect(system.said('populate')).toEqual([readPrevious(1), read(2), ...reused(3, 201), ...done]);
  });

  test('row E15: before which nothing is mapped fails, and maps nothing', () => {
    const system = populated({}, { start: 8, nr: 8 });
    expect([system.said('populate'), mapOf(system)]).toEqual([[readPrevious(1), failed], {}]);
    expectAtRest(system, false);
  });

  test('row E15: out of order it takes what another compound has there', () => {
    const system = populated({ config: { nr: 32 }, mapped: { 3: 'page200' } }, { start: 16, nr: 8 });
    expect(mapOf(system)).toEqual({ 3: 'page200', 4: 'page200', 5: 'page200' });
  });

  test('counted from the beginning of the pagemap: at the beginning of a compound it has frames of its own', () => {
    const system = populated({ mapped: { 1: 'page201' } }, { start: 8, nr: 8, first: 8 });
    expect(system.said('populate')).toEqual([...own(2, 100), ...own(3, 101), ...done]);
  });

  test('sections of one compound, in order: two frames in all', () => {
    const system = call(populated({}, { start: 0, nr: 8 }), { start: 8, nr: 8 });
    expect([mapOf(system), refcounts(system, 100, 101, 102)]).toEqual([{ 0: 'page100', 1: 'page101', 2: 'page101', 3: 'page101' }, [1, 3, 0]]);
    expectAtRest(system, true);
  });

  test('a range that does not begin with a compound, but is as large, goes by its own beginning', () => {
    const system = populated({ mapped: { 1: 'page201' } }, { start: 8, nr: 16 });
    expect(mapOf(system)).toEqual({ 1: 'page201', 2: 'page100', 3: 'page101', 4: 'page101', 5: 'page101' });
  });
});

describe('the arithmetic is that of addresses', () => {
  test('row E5: with half a page per compound, the "first page of tails" is of others, and at the end outside of the range', () => {
    const system = populated({ config: { nr: 2 } }, { start: 0, nr: 8 });
    expect(system.said('populate')).toEqual([
      ...[...own(0, 100), ...own(1, 101)],
      ...[read(0), read(1)],
      ...[read(1), ...own(2, 102)],
      ...[read(1), read(2)],
      ...done,
    ]);
    expect([mapOf(system), refcounts(system, 100, 101, 102)]).toEqual([{ 0: 'page100', 1: 'page101', 2: 'page102' }, [1, 1, 1]]);
    expectAtRest(system, true);
  });

  test('row E5: with one page per compound too', () => {
    expect(mapOf(populated({ config: { nr: 4 } }, { start: 0, nr: 8 }))).toEqual({ 0: 'page100', 1: 'page101', 2: 'page102' });
  });

  test('with two pages per compound nothing is shared', () => {
    const system = populated({ config: { nr: 8 } }, { start: 0, nr: 8 });
    expect(system.said('populate')).toEqual([...own(0, 100), ...own(1, 101), ...done]);
  });

  test('row E7: pages that struct pages straddle are shared all the same', () => {
    const system = populated({ config: { structPage: 3, nr: 8 } }, { start: 0, nr: 8 });
    expect(mapOf(system)).toEqual({ 0: 'page100', 1: 'page101', 2: 'page101' });
  });

  test('a compound that begins within a page: the page of its head is the last one of tails of the compound before', () => {
    const system = populated({ config: { structPage: 2, nr: 10 } }, { start: 0, nr: 20 });
    expect(mapOf(system)).toEqual({ 0: 'page100', 1: 'page101', 2: 'page101', 3: 'page102', 4: 'page102' });
    expect(refcounts(system, 100, 101, 102)).toEqual([1, 2, 2]);
  });
});

describe('without memory', () => {
  test('for the head: nothing is mapped', () => {
    const system = populated({ free: [] }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([read(0), 'allocator: alloc_page', failed]);
    expectAtRest(system, false);
  });

  test('for tails: the head stays mapped', () => {
    const system = populated({ free: [100] }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([...own(0, 100), read(1), 'allocator: alloc_page', failed]);
    expect(mapOf(system)).toEqual({ 0: 'page100' });
    expectAtRest(system, false);
  });
});

describe('row E8: a pte that shares a frame', () => {
  test('with the safeguard out holds no reference of it', () => {
    const machine = vmemmapPopulateCompoundPages.provide({ guards: { takesReference: () => false } });
    const system = populated({ machine }, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([...own(0, 100), ...own(1, 101), read(2), setReused(2, 101), read(3), setReused(3, 101), ...done]);
    expect(refcounts(system, 101)).toEqual([1]);
    expectAtRest(system, true);
  });
});

describe('row E4: tails that are mapped read-only', () => {
  const machine = vmemmapPopulateCompoundPages.provide({ guards: { mapsTailsReadOnly: () => true } });

  test('are those that share a frame; the page by which it is initialised stays writable', () => {
    const system = populated({ machine }, { start: 0, nr: 16 });
    const readOnly = (vpage: number) => [read(vpage), 'page101: folio.ref_inc', setReused(vpage, 101, ',"write":false')];
    expect(system.said('populate')).toEqual([...own(0, 100), ...own(1, 101), ...readOnly(2), ...readOnly(3), ...done]);
    expect(system.context('vmemmap').ptes).toEqual({ ...entries({ 0: 'page100', 1: 'page101' }), ...entries({ 2: 'page101', 3: 'page101' }, false) });
    expectAtRest(system, true);
  });

  test('are all of a range inside a compound', () => {
    const system = populated({ machine, mapped: { 1: 'page201' } }, { start: 8, nr: 8 });
    expect(system.context('vmemmap').ptes).toEqual({ ...entries({ 1: 'page201' }), ...entries({ 2: 'page201', 3: 'page201' }, false) });
  });
});

describe('whatever the MMU looks at, it is init_mm that is written', () => {
  test('row E1: nothing is bolted for the hash MMU', () => {
    const { ptes, bolted } = populated({ translation: 'hash' }, { start: 0, nr: 16 }).context('vmemmap');
    expect([Object.keys(ptes), bolted]).toEqual([['0', '1', '2', '3'], {}]);
  });

  test('row E11: a new top-level entry gets to every mm', () => {
    expect(populated({ translation: 'top-level' }, { start: 16, nr: 16 }).context('vmemmap').slots).toEqual({ init_mm: [1], mm0: [1] });
  });

  test('row E11: with the safeguard out it stays in init_mm', () => {
    const machine = vmemmapPopulateCompoundPages.provide({ guards: { syncsTopLevel: () => false } });
    const system = populated({ translation: 'top-level', machine }, { start: 16, nr: 16 });
    expect([system.said('populate').includes(sync), system.context('vmemmap').slots]).toEqual([false, { init_mm: [1], mm0: [] }]);
    expectAtRest(system, true);
  });
});

const foreignBug = 'BUG: a struct page is touched where an entry of zeros leads: to memory of somebody else';
const initPage = (system: Rig, pfn: number): Rig => {
  system.say('p', 'vmemmap', { type: 'vmemmap.access', pfn, event: { type: 'page.init', refcount: 1 } });
  return system;
};

describe('where an entry of zeros is valid', () => {
  const zero = { firstFrame: 'page200', zeroIsValid: true };

  test('it takes every page for mapped: nothing is allocated, and struct pages are in memory of others', () => {
    const system = populated(zero, { start: 0, nr: 16 });
    expect(system.said('populate')).toEqual([read(0), read(1), read(2), read(3), ...done]);
    expect([mapOf(system), refcounts(system, 200)]).toEqual([{ 0: 'page200', 1: 'page200', 2: 'page200', 3: 'page200' }, [1]]);
    expectAtRest(system, true);
    expect(initPage(system, 0).bugs()).toEqual([foreignBug]);
  });

  test('what is mapped otherwise stays', () => {
    expect(mapOf(populated({ ...zero, mapped: { 1: 'page201' } }, { start: 0, nr: 12 }))).toEqual({ 0: 'page200', 1: 'page201', 2: 'page200' });
  });
});

describe('row E15: where the page before the range is not mapped, and its entry is taken for one all the same', () => {
  const setup = { firstFrame: 'page200' };

  test('tails share the first frame of memory: whoever initialises one writes there', () => {
    const system = populated({ ...setup, mapped: { 0: 'page201' } }, { start: 8, nr: 8 });
    expect(system.said('populate')).toEqual([readPrevious(1), ...reused(2, 200), ...reused(3, 200), ...done]);
    expect([mapOf(system), refcounts(system, 200)]).toEqual([{ 0: 'page201', 2: 'page200', 3: 'page200' }, [3]]);
    expectAtRest(system, true);
    expect(initPage(system, 0).bugs()).toEqual([]);
    expect(initPage(system, 8).bugs()).toEqual([foreignBug]);
  });

  test('where it is mapped, its frame is the one', () => {
    expect(mapOf(populated({ ...setup, mapped: { 1: 'page201' } }, { start: 8, nr: 8 }))).toEqual({ 1: 'page201', 2: 'page201', 3: 'page201' });
  });
});

test('without a pagemap it reads what is not there', () => {
  const system = rig();
  system.say('p', 'populate', { type: 'call', start: 0, nr: 16, first: 0, pgmap: false });
  expect([system.at('populate'), system.bugs()]).toEqual(['null_pointer_dereference', ['BUG: pgmap_vmemmap_nr(NULL): memory of the system has no pagemap']]);
  expect([system.said('populate'), system.can('populate', 'step')]).toEqual([[], false]);
});

test('with a pagemap that is named it does as ever', () => {
  const system = rig();
  system.say('p', 'populate', { type: 'call', start: 0, nr: 16, first: 0, pgmap: true });
  expect(mapOf(system.settle())).toEqual({ 0: 'page100', 1: 'page101', 2: 'page101', 3: 'page101' });
});

test('every transition was taken', () => {
  expect(untaken(vmemmapPopulateCompoundPages)).toEqual([]);
});
