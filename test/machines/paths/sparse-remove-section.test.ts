import { folio } from '../../../machines/memory/folio.js';
import { memSection } from '../../../machines/memory/mem-section.js';
import { pageAllocator } from '../../../machines/memory/page-allocator.js';
import { vmemAltmap } from '../../../machines/memory/vmem-altmap.js';
import { type VmemmapConfig, vmemmap } from '../../../machines/memory/vmemmap.js';
import { putPage } from '../../../machines/paths/put-page.js';
import { sparseRemoveSection } from '../../../machines/paths/sparse-remove-section.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** By page of the vmemmap. */
  mapped?: Record<string, string>;
  /** Of the frames 100 and 101. */
  refcounts?: [number, number];
  translation?: 'init_mm' | 'hash';
  /** Subsections, of 4 pfns each, that are there. */
  active?: number[];
  early?: boolean;
  altmap?: boolean;
  machine?: typeof sparseRemoveSection;
  others?: Actors;
}

/** Two struct pages share a page of the vmemmap: a subsection has two. */
const config: VmemmapConfig = { wanted: true, override: true, hugetlb: true, structPage: 4, page: 8, nr: 4, altmap: false, pgmap: true };
const entries = (mapped: Record<string, string>) => Object.fromEntries(Object.entries(mapped).map(([vpage, frame]) => [vpage, { frame, write: true }]));
const page = (pfn: number, refcount: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount, idle: 0, zone: 'normal' } }) });
const two = { 4: 'page100', 5: 'page101' };

const rig = ({ mapped = two, refcounts = [1, 1], translation = 'init_mm', active = [2], early = false, altmap = false, ...setup }: Setup): Rig =>
  new Rig({
    ...page(100, refcounts[0]),
    ...page(101, refcounts[1]),
    section1: actor(memSection, { input: { subsection: 4, active, early, present: true, online: false } }),
    vmemmap: actor(vmemmap, {
      input: { structPage: 4, page: 8, translation, [translation === 'hash' ? 'bolted' : 'ptes']: entries(mapped) },
      choices: [],
    }),
    allocator: actor(pageAllocator, { input: { free: [] }, choices: [] }),
    altmap: actor(vmemAltmap, { input: { frames: ['altmap0', 'altmap1'] } }),
    put: actor(putPage, { input: { allocator: 'allocator' } }),
    remove: actor(setup.machine ?? sparseRemoveSection, { input: { vmemmap: 'vmemmap', putPage: 'put', altmap: altmap ? 'altmap' : null, config } }),
    p: probe(),
    ...setup.others,
  });
const part = { section: 'section1', subsections: [2], start: 8, nr: 4, whole: false };
const call = (system: Rig, asked: object = part): Rig => {
  system.say('p', 'remove', { type: 'call', ...asked });
  return system;
};
const removed = (setup: Setup): Rig => call(rig(setup)).settle();
/** Up to where the next frame has been put. */
const putNext = (system: Rig): Rig => system.settle('remove').take('put', 'step');
const no = (): boolean => false;

const clear = 'section1: section.clear {"subsections":[2]}';
const last = [clear, 'section1: section.clear_present', 'section1: section.free_usage'];
const read = (vpage: number) => `vmemmap: vmemmap.read_pte {"vpage":${vpage}}`;
const put = (pfn: number) => `put: call {"pfn":${pfn},"pinned":false}`;
const clearPte = (vpage: number) => `vmemmap: vmemmap.clear_pte {"vpage":${vpage}}`;
const free = 'altmap: altmap.free';
const flush = 'vmemmap: vmemmap.flush {"vpages":[4,5]}';
const end = 'p: return';
const isFree = (system: Rig, ...pfns: number[]): boolean[] => pfns.map((pfn) => system.at(`page${pfn}`) === 'free');

function expectAtRest(system: Rig): void {
  expect(system.context('remove')).toMatchObject({
    ...{ caller: '', section: '', subsections: [], start: 0, nr: 0, empty: false, early: false },
    ...{ left: [], frames: [], flushed: false },
  });
  expect([system.at('remove'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

describe('the section', () => {
  test('loses its last subsection: it is not present any more, and its usage goes, before struct pages do', () => {
    const system = removed({});
    expect(system.said('remove')).toEqual([...last, read(4), put(100), clearPte(4), read(5), put(101), clearPte(5), flush, end]);
    expect(system.context('section1')).toMatchObject({ active: [], present: false });
    expect([system.context('vmemmap').ptes, isFree(system, 100, 101), system.context('allocator').free]).toEqual([
      {},
      [true, true],
      [
        { pfns: [101], lufKey: null },
        { pfns: [100], lufKey: null },
      ],
    ]);
    expectAtRest(system);
  });

  test('loses another: it stays present, and struct pages of those that stay are left alone', () => {
    const system = removed({ active: [2, 3], mapped: { ...two, 6: 'page102', 7: 'page103' } });
    expect(system.said('remove').slice(0, 2)).toEqual([clear, read(4)]);
    expect(system.context('section1')).toMatchObject({ active: [3], present: true });
    expect(system.context('vmemmap').ptes).toEqual(entries({ 6: 'page102', 7: 'page103' }));
    expectAtRest(system);
  });

  test('one access at a time', () => {
    const system = call(rig({ mapped: { 4: 'altmap0' }, altmap: true }));
    system.say('p', 'altmap', 'altmap.alloc');
    const places = [system.at('remove')];
    while (system.can('remove', 'step')) places.push(system.take('remove', 'step').at('remove'));
    expect(places).toEqual([
      ...['clear_subsection_map', 'clear_has_mem_map', 'kfree_rcu'],
      ...['remove_pte_table', 'vmem_altmap_free', 'pte_clear', 'remove_pte_table', 'flush_tlb_all', 'idle'],
    ]);
  });

  test('is removed part by part', () => {
    const system = removed({ active: [2, 3], mapped: { ...two } });
    expect(
      call(system, { ...part, subsections: [3], start: 12 })
        .settle()
        .said('remove')
        .slice(-6),
    ).toEqual(['section1: section.clear_present', 'section1: section.free_usage', read(6), read(7), 'vmemmap: vmemmap.flush {"vpages":[6,7]}', end]);
    expectAtRest(system);
  });
});

describe('vmemmap_free', () => {
  test('where nothing is mapped there is nothing to free; TLBs are flushed all the same', () => {
    const system = removed({ mapped: { 5: 'page101' } });
    expect(system.said('remove')).toEqual([...last, read(4), read(5), put(101), clearPte(5), flush, end]);
    expectAtRest(system);
  });

  test('a frame that tails share is free with its last pte', () => {
    const system = putNext(call(rig({ mapped: { 4: 'page100', 5: 'page100' }, refcounts: [2, 1] })));
    expect([system.at('page100'), system.context('page100').refcount]).toEqual(['present', 1]);
    expect(isFree(putNext(system), 100)).toEqual([true]);
    expectAtRest(system.settle());
  });

  test('row E8: without a reference per pte the second put is one too many', () => {
    const system = putNext(call(rig({ mapped: { 4: 'page100', 5: 'page100' } })));
    expect([isFree(system, 100), system.context('vmemmap').ptes[5]]).toEqual([[true], { frame: 'page100', write: true }]);
    expect(putNext(system).bugs()).toEqual(['BUG: page reference count goes below zero']);
    expect(system.said('remove').filter((line) => line === put(100))).toHaveLength(2);
  });

  test('of the hash MMU: bolted entries go', () => {
    const system = removed({ translation: 'hash' });
    expect([system.context('vmemmap').bolted, isFree(system, 100, 101)]).toEqual([{}, [true, true]]);
    expectAtRest(system);
  });

  test('the pte is cleared after the put has returned', () => {
    const system = call(rig({ others: { put: answers() } })).settle();
    expect([system.at('remove'), system.can('remove', 'step'), system.context('vmemmap').ptes]).toEqual(['free_pages', false, entries(two)]);
    system.say('p', 'remove', 'return');
    system.settle();
    system.say('p', 'remove', 'return');
    expectAtRest(system.settle());
  });
});

describe('row E10: the order', () => {
  test('of x86: the frame is free while pte and TLB lead to it', () => {
    const system = rig({});
    system.take('vmemmap', { type: 'fill', cpu: 'cpu1', vpage: 4 });
    putNext(call(system));
    expect([isFree(system, 100), system.context('vmemmap').ptes, Object.keys(system.context('vmemmap').tlb)]).toEqual([[true], entries(two), ['cpu1/4']]);
    system.settle();
    expect(system.context('vmemmap').tlb).toEqual({});
    expectAtRest(system);
  });

  test('that is safe: all ptes are cleared, then TLBs are flushed, then frames go', () => {
    const system = removed({ machine: sparseRemoveSection.provide({ guards: { freesBeforeClear: no } }) });
    expect(system.said('remove')).toEqual([...last, read(4), clearPte(4), read(5), clearPte(5), flush, put(100), put(101), end]);
    expect(isFree(system, 100, 101)).toEqual([true, true]);
    expectAtRest(system);
  });

  test('cleared, freed, and flushed at the end', () => {
    const system = removed({ machine: sparseRemoveSection.provide({ guards: { freesBeforeClear: no, flushesBeforeFree: no } }) });
    expect(system.said('remove')).toEqual([...last, read(4), clearPte(4), put(100), read(5), clearPte(5), put(101), flush, end]);
    expect(isFree(system, 100, 101)).toEqual([true, true]);
    expectAtRest(system);
  });

  test.each([
    ['safe', { freesBeforeClear: no }],
    ['third', { freesBeforeClear: no, flushesBeforeFree: no }],
  ])('the %s one can be taken again, and with nothing mapped', (_, guards) => {
    const system = removed({ active: [2, 3], machine: sparseRemoveSection.provide({ guards }) });
    expectAtRest(system);
    expectAtRest(call(system, { ...part, subsections: [3], start: 12 }).settle());
  });
});

describe('with an altmap', () => {
  const mapped = { 4: 'altmap0', 5: 'altmap1' };
  const given = (setup: Setup): Rig => {
    const system = rig({ altmap: true, ...setup });
    for (const frame of Object.values(setup.mapped ?? two)) if (frame.startsWith('altmap')) system.say('p', 'altmap', 'altmap.alloc');
    return call(system).settle();
  };

  test('its frames go back to it', () => {
    const system = given({ mapped });
    expect(system.said('remove')).toEqual([...last, read(4), free, clearPte(4), read(5), free, clearPte(5), flush, end]);
    expect([system.context('altmap').allocated, system.heard('put')]).toEqual([0, []]);
    expectAtRest(system);
  });

  test('row E6: frames of RAM go to it too, which it never had, and they are never freed', () => {
    const system = given({ mapped: two });
    expect([system.at('altmap'), system.bugs()]).toEqual(['altmap_underflow', ['BUG: more frames are given back to the altmap than it has handed out']]);
    expect([system.heard('put'), isFree(system, 100, 101)]).toEqual([[], [false, false]]);
  });

  describe('to which nothing is given back', () => {
    const machine = sparseRemoveSection.provide({ guards: { returnsToAltmap: no } });

    test('frames of RAM are freed, those of the device left', () => {
      const system = given({ mapped: { 4: 'altmap0', 5: 'page101' }, machine });
      expect(system.said('remove')).toEqual([...last, read(4), clearPte(4), read(5), put(101), clearPte(5), flush, end]);
      expect([system.context('altmap').allocated, isFree(system, 101)]).toEqual([1, [true]]);
      expectAtRest(system);
    });

    test('in the safe order too', () => {
      const safe = machine.provide({ guards: { freesBeforeClear: no } });
      const system = given({ mapped: { 4: 'altmap0', 5: 'page101' }, machine: safe });
      expect(system.said('remove')).toEqual([...last, read(4), clearPte(4), read(5), clearPte(5), flush, put(101), end]);
      expectAtRest(system);
    });
  });
});

describe('an early section', () => {
  test('keeps its struct pages as long as anything of it is left', () => {
    const system = removed({ early: true, active: [2, 3] });
    expect([system.said('remove'), system.context('vmemmap').ptes]).toEqual([[clear, end], entries(two)]);
    expect(system.context('section1')).toMatchObject({ active: [3], present: true });
    expectAtRest(system);
  });

  test('row E13: with the safeguard out those of a part are unmapped', () => {
    const machine = sparseRemoveSection.provide({ guards: { keepsBootMemmap: no } });
    const system = removed({ early: true, active: [2, 3], machine });
    expect(system.said('remove')).toEqual([clear, read(4), put(100), clearPte(4), read(5), put(101), clearPte(5), flush, end]);
    expect([system.context('vmemmap').ptes, isFree(system, 100, 101)]).toEqual([{}, [true, true]]);
    expectAtRest(system);
  });

  test('that is empty loses them, and none of them to an altmap', () => {
    const system = removed({ early: true, altmap: true });
    expect(system.said('remove')).toEqual([...last, read(4), put(100), clearPte(4), read(5), put(101), clearPte(5), flush, end]);
    expect([system.heard('altmap'), isFree(system, 100, 101)]).toEqual([[], [true, true]]);
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(sparseRemoveSection)).toEqual([]);
});
