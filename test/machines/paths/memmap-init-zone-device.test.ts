import { folio } from '../../../machines/memory/folio.js';
import { memSection } from '../../../machines/memory/mem-section.js';
import { structPage } from '../../../machines/memory/struct-page.js';
import { type VmemmapConfig, vmemmap } from '../../../machines/memory/vmemmap.js';
import { memmapInitZoneDevice } from '../../../machines/paths/memmap-init-zone-device.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Logic = typeof memmapInitZoneDevice;

/** Compounds of 16 pages: 4 pages of the vmemmap, of 8 units, with 4 struct pages each. */
const config: VmemmapConfig = { wanted: true, override: true, hugetlb: true, structPage: 2, page: 8, nr: 16, altmap: false, pgmap: true };
const range = (first: number, nr: number): number[] => Array.from({ length: nr }, (_, index) => first + index);
const pages = (first: number, nr: number): Actors => Object.fromEntries(range(first, nr).map((pfn) => [`page${pfn}`, answers()]));
const section = (early: boolean): Actors[string] => answers({ 'section.read': [{ type: 'section', early, present: true, online: false, active: [] }] });

interface Options {
  heads?: 'pointer' | 'mask';
  idle?: number;
  early?: boolean;
  logic?: Logic;
}
const rig = (changes: Partial<VmemmapConfig>, { early = false, logic = memmapInitZoneDevice, ...input }: Options = {}): Rig =>
  new Rig({
    ...pages(32, 40),
    section2: section(early),
    section3: section(false),
    section4: section(false),
    init: actor(logic, { input: { config: { ...config, ...changes }, sectionSize: 16, ...input } }),
    p: probe(),
  });
const call = (system: Rig, start: number, nr: number): Rig => {
  system.say('p', 'init', { type: 'call', start, nr });
  return system;
};
const said = (system: Rig): string[] => system.said('init');

const head = (pfn: number, refcount = 0): string => `page${pfn}: page.init {"refcount":${refcount},"offset":1}`;
const tail = (pfn: number, of: number): string[] => [head(pfn), `page${pfn}: page.prep_tail {"head":${of}}`];
/** A compound of `nr` pages of which `written` struct pages are written. */
const compound = (pfn: number, nr: number, written: number): string[] => [
  head(pfn),
  `section${Math.floor(pfn / 16)}: section.read`,
  ...tail(pfn + 1, pfn),
  `page${pfn}: page.prep_head {"nr":${nr}}`,
  ...range(pfn + 2, written - 2).flatMap((one) => tail(one, pfn)),
];

describe('compounds', () => {
  test('where tails share frames, two pages of the vmemmap are written per compound: head, first tail, order, other tails', () => {
    const system = call(rig({}), 32, 32).settle();
    expect(said(system)).toEqual([...compound(32, 16, 8), ...compound(48, 16, 8), 'p: return']);
  });

  test('one struct page per step', () => {
    const system = call(rig({}), 32, 16);
    const places = range(0, 5).map(() => [system.at('init'), said(system.take('init', 'step')).length]);
    expect(places).toEqual([
      ['__init_single_page', 1],
      ['compound_nr_pages', 2],
      ['prep_compound_tail', 4],
      ['prep_compound_head', 5],
      ['prep_compound_tail', 7],
    ]);
  });

  test.each<[string, Partial<VmemmapConfig>, Options]>([
    ['the architecture does not share them', { wanted: false }, {}],
    ['there is an altmap', { altmap: true }, {}],
    ['the memmap is that of boot (early section)', {}, { early: true }],
    ['row E4: the predicate is taken out', {}, { logic: memmapInitZoneDevice.provide({ guards: { optimizes: () => false } }) }],
  ])('all are written where %s', (_, changes, options) => {
    expect(said(call(rig(changes, options), 32, 16).settle())).toEqual([...compound(32, 16, 16), 'p: return']);
  });

  test('each section is asked for itself', () => {
    const system = call(rig({}, { early: true }), 32, 32).settle();
    expect(said(system)).toEqual([...compound(32, 16, 16), ...compound(48, 16, 8), 'p: return']);
  });

  test('row E3: a predicate that does not look at the section leaves tails of a boot memmap unwritten', () => {
    const logic = memmapInitZoneDevice.provide({ guards: { optimizes: () => true } });
    expect(said(call(rig({}, { early: true, logic }), 32, 16).settle())).toEqual([...compound(32, 16, 8), 'p: return']);
  });

  test('row E5: where the compound has fewer pages than are written, its neighbours are written over', () => {
    const logic = memmapInitZoneDevice.provide({ guards: { optimizes: ({ context }) => context.config.nr > 1 } });
    const system = call(rig({ nr: 4 }, { logic }), 32, 8).settle();
    expect(said(system)).toEqual([...compound(32, 4, 8), ...compound(36, 4, 8), 'p: return']);
    expect(system.heard('page43')).toEqual([
      { type: 'page.init', refcount: 0, offset: 1 },
      { type: 'page.prep_tail', head: 36 },
    ]);
    expect(system.heard('page44')).toEqual([]);
  });

  test('since 7.3 tails hold a mask', () => {
    const system = call(rig({ nr: 2 }, { heads: 'mask' }), 32, 2).settle();
    expect(said(system).slice(2, 4)).toEqual([head(33), 'page33: page.prep_tail {"mask":2}']);
  });

  test('up to 6.14 an idle head has one reference, a tail none', () => {
    const system = call(rig({ nr: 2 }, { idle: 1 }), 32, 2).settle();
    expect(said(system)).toEqual([head(32, 1), ...compound(32, 2, 2).slice(1), 'p: return']);
  });
});

test('without compounds every page is written, and no section is asked', () => {
  const system = call(rig({ nr: 1 }, { idle: 1 }), 32, 3).settle();
  expect(said(system)).toEqual([head(32, 1), head(33, 1), head(34, 1), 'p: return']);
});

test('zeroing begins with the last word of the struct page', () => {
  expect(said(call(rig({ nr: 1, structPage: 4 }), 32, 1).settle())[0]).toBe('page32: page.init {"refcount":0,"offset":3}');
});

test('it can be called again', () => {
  const system = call(call(rig({}), 32, 16).settle(), 48, 16).settle();
  expect(said(system)).toEqual([...compound(32, 16, 8), 'p: return', ...compound(48, 16, 8), 'p: return']);
  expect(system.context('init')).toMatchObject({ caller: '', pfn: 0, end: 0, write: 0, tail: 0 });
  expect(system.at('init')).toBe('idle');
});

describe('with struct pages in frames', () => {
  const small = { ...config, nr: 16 };
  const cells = ['f0', 'f1'].flatMap((frame) => [0, 2, 4, 6].map((offset) => `${frame}+${offset}`));
  const cell = actor(folio, { input: { pfn: 0, refcount: 0, idle: 0, uninitialised: true } });
  /** One compound of 16 pages: its struct pages lie in pages 0 to 3 of the vmemmap. */
  const mapped = (frames: string[]): Rig =>
    new Rig({
      f0: answers(),
      f1: answers(),
      ...Object.fromEntries(cells.map((address) => [address, cell])),
      ...Object.fromEntries(range(0, 16).map((pfn) => [`page${pfn}`, actor(structPage, { input: { pfn } })])),
      vmemmap: actor(vmemmap, {
        input: {
          structPage: 2,
          page: 8,
          translation: 'init_mm',
          ptes: Object.fromEntries(frames.map((frame, vpage) => [vpage, { frame, write: true }])),
        },
        choices: [],
      }),
      section0: actor(memSection, { input: { subsection: 16, active: [0], early: false, present: true, online: false } }),
      init: actor(memmapInitZoneDevice, { input: { config: small, sectionSize: 16 } }),
      p: probe(),
    });

  test('every struct page of a compound whose tails share a frame leads to the head', () => {
    const system = call(mapped(['f0', 'f1', 'f1', 'f1']), 0, 16).settle();
    expect(range(0, 16).map((pfn) => system.say('p', `page${pfn}`, 'page.head'))).toEqual(range(0, 16).map(() => [{ type: 'page.head', head: 0 }]));
    expect(system.say('p', 'page0', 'folio.nr_pages')).toEqual([{ type: 'folio.nr_pages', nr: 16 }]);
    expect(system.bugs()).toEqual([]);
  });

  test('row E1: where nothing is mapped, the first touch faults, in the last word of the first head', () => {
    const system = call(mapped([]), 0, 16).take('init', 'step');
    expect(system.bugs()).toEqual(['BUG: a struct page is touched where nothing is mapped']);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 0, vpage: 0, by: 'init', event: 'page.init', offset: 1 });
  });
});

test('every transition was taken', () => {
  expect(untaken(memmapInitZoneDevice)).toEqual([]);
});
