import { memSection } from '../../../machines/memory/mem-section.js';
import type { VmemmapConfig } from '../../../machines/memory/vmemmap.js';
import { sparseAddSection } from '../../../machines/paths/sparse-add-section.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** Struct pages of 2 units, pages of 8: 16 pfns have four pages of the vmemmap. */
  config?: Partial<VmemmapConfig>;
  /** Subsections, of 16 pfns each, that are there. */
  active?: number[];
  early?: boolean;
  present?: boolean;
  debugVm?: boolean;
  machine?: typeof sparseAddSection;
  others?: Actors;
}

const base: VmemmapConfig = { wanted: true, override: true, hugetlb: true, structPage: 2, page: 8, nr: 16, altmap: false, pgmap: true };

const rig = ({ config, active = [], early = false, present = false, debugVm = false, machine = sparseAddSection, others = {} }: Setup): Rig =>
  new Rig({
    section1: actor(memSection, { input: { subsection: 16, active, early, present, online: false } }),
    vmemmap: answers(),
    populate: returns({ ok: true }),
    populate_compound: returns({ ok: true }),
    add: actor(machine, {
      input: { vmemmap: 'vmemmap', populate: 'populate', populateCompound: 'populate_compound', config: { ...base, ...config }, debugVm },
    }),
    p: probe(),
    ...others,
  });
const part = { section: 'section1', subsections: [2], start: 32, nr: 16, first: 32, whole: false };
const whole = { section: 'section1', subsections: [2, 3], start: 32, nr: 32, first: 0, whole: true };
const call = (system: Rig, asked: object = part): Rig => {
  system.say('p', 'add', { type: 'call', ...asked });
  return system;
};
const added = (setup: Setup, asked?: object): Rig => call(rig(setup), asked).settle();

const fill = 'section1: section.fill {"subsections":[2]}';
const begin = [fill, 'section1: section.read'];
const compound = 'populate_compound: call {"start":32,"nr":16,"first":32}';
const each = 'populate: call {"vpages":[8,9,10,11]}';
const poison = 'vmemmap: vmemmap.poison {"vpages":[8,9,10,11]}';
const end = ['section1: section.set_present', 'p: return {"ok":true}'];
const failed = ['section1: section.clear {"subsections":[2]}', 'p: return {"ok":false}'];

function expectAtRest(system: Rig, ok: boolean): void {
  const { config, ...context } = system.context('add');
  expect(context).toMatchObject({ caller: '', section: '', subsections: [], start: 0, nr: 0, first: 0, whole: false, asked: config });
  expect([system.at('add'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

describe('sparse_add_section', () => {
  test('marks the subsections, has struct pages made, and makes the section present', () => {
    const system = added({});
    expect(system.said('add')).toEqual([...begin, compound, ...end]);
    expect(system.context('section1')).toMatchObject({ active: [2], present: true, early: false });
    expectAtRest(system, true);
  });

  test('with DEBUG_VM overwrites them before the section is present', () => {
    const system = added({ debugVm: true });
    expect(system.said('add')).toEqual([...begin, compound, poison, ...end]);
    expectAtRest(system, true);
  });

  test('takes one access at a time', () => {
    const system = call(rig({ debugVm: true }));
    const places = [system.at('add')];
    while (system.can('add', 'step')) places.push(system.take('add', 'step').at('add'));
    expect(places).toEqual(['fill_subsection_map', 'section_activate', 'page_init_poison', 'sparse_init_one_section', 'idle']);
  });

  test('all of a section: its subsections, and the first pfn of the range, are passed on', () => {
    const system = added({ debugVm: true }, whole);
    expect(system.said('add')).toEqual([
      'section1: section.fill {"subsections":[2,3]}',
      'section1: section.read',
      'populate_compound: call {"start":32,"nr":32,"first":0}',
      'vmemmap: vmemmap.poison {"vpages":[8,9,10,11,12,13,14,15]}',
      ...end,
    ]);
    expectAtRest(system, true);
  });

  test('subsections that are there already: -EEXIST, and nothing changes', () => {
    const system = added({ active: [2], present: true });
    expect(system.said('add')).toEqual([fill, 'p: return {"ok":false}']);
    expect([system.context('section1').active, system.heard('populate_compound')]).toEqual([[2], []]);
    expectAtRest(system, false);
  });

  test('can be called again for another part', () => {
    const system = call(added({}), { ...part, subsections: [3], start: 48 }).settle();
    expect([system.context('section1').active, system.heard('populate_compound')[1]]).toEqual([[2, 3], { type: 'call', start: 48, nr: 16, first: 32 }]);
    expectAtRest(system, true);
  });
});

describe('who populates', () => {
  test.each<[string, Partial<VmemmapConfig>]>([
    ['an architecture that does not ask for it', { wanted: false }],
    ['an architecture that says no (hash MMU)', { override: false }],
    ['struct pages of a size that is no power of two', { structPage: 3 }],
    ['hot-added memory, without a pagemap', { pgmap: false }],
    ['an altmap', { altmap: true }],
    ['base pages', { nr: 1 }],
    ['two pages of the vmemmap per compound', { nr: 8 }],
  ])("%s: the architecture's code does", (_, config) => {
    const system = added({ config });
    expect([system.heard('populate_compound'), system.heard('populate')]).toEqual([
      [],
      [{ type: 'call', vpages: config.structPage === 3 ? [12, 13, 14, 15, 16, 17] : [8, 9, 10, 11] }],
    ]);
    expectAtRest(system, true);
  });

  test.each([
    ['no pagemap', { pgmap: false }],
    ['an altmap', { altmap: true }],
  ])('a caller with %s overrides the configuration, for that call', (_, asked) => {
    const system = call(added({}, { ...part, ...asked }), { ...part, subsections: [3], start: 48 }).settle();
    expect(system.said('add').filter((line) => line.startsWith('populate'))).toEqual([each, 'populate_compound: call {"start":48,"nr":16,"first":32}']);
    expectAtRest(system, true);
  });

  test('a caller with a pagemap, and without an altmap, overrides it too', () => {
    const system = added({ config: { pgmap: false, altmap: true } }, { ...part, pgmap: true, altmap: false });
    expect(system.said('add')).toEqual([...begin, compound, ...end]);
  });

  test('row E1: without the test of the architecture the generic code does', () => {
    const machine = sparseAddSection.provide({ guards: { canOptimize: () => true } });
    expect(added({ config: { override: false }, machine }).said('add')).toEqual([...begin, compound, ...end]);
  });

  test('where nobody looks whether there is a pagemap, the generic code is told that there is none', () => {
    const machine = sparseAddSection.provide({ guards: { canOptimize: () => true } });
    const told = 'populate_compound: call {"start":32,"nr":16,"first":32,"pgmap":false}';
    expect(added({ machine }, { ...part, pgmap: false }).said('add')).toEqual([...begin, told, ...end]);
    expect(added({ config: { pgmap: false }, machine }).said('add')).toEqual([...begin, told, ...end]);
  });

  test('the section is not present before it returns', () => {
    const system = call(rig({ others: { populate_compound: answers() } })).settle();
    expect([system.at('add'), system.can('add', 'step'), system.context('section1').present]).toEqual(['vmemmap_populate_compound_pages', false, false]);
    system.say('p', 'add', { type: 'return', ok: true });
    expectAtRest(system.settle(), true);
  });
});

describe('without memory the marks are taken back, and the section does not become present', () => {
  test('in the generic code', () => {
    const system = added({ debugVm: true, others: { populate_compound: returns({ ok: false }) } });
    expect(system.said('add')).toEqual([...begin, compound, ...failed]);
    expect(system.context('section1')).toMatchObject({ active: [], present: false });
    expectAtRest(system, false);
  });

  test("in the architecture's", () => {
    const system = added({ config: { nr: 1 }, active: [3], present: true, others: { populate: returns({ ok: false }, { ok: true }) } });
    expect(system.said('add')).toEqual([...begin, each, ...failed]);
    expect(system.context('section1')).toMatchObject({ active: [3], present: true });
    expectAtRest(system, false);
    expectAtRest(call(system).settle(), true);
  });
});

describe('an early section', () => {
  test('row E13: a part of it gets the struct pages of boot, and nobody looks whether they are there', () => {
    const system = added({ early: true, active: [3], present: true });
    expect(system.said('add')).toEqual([...begin, ...end]);
    expect(system.context('section1')).toMatchObject({ active: [2, 3], present: true, early: true });
    expectAtRest(system, true);
  });

  test('with DEBUG_VM those of boot are overwritten', () => {
    expect(added({ early: true, active: [3], present: true, debugVm: true }).said('add')).toEqual([...begin, poison, ...end]);
  });

  test('all of it: struct pages are made', () => {
    const system = added({ early: true }, whole);
    expect(system.heard('populate_compound')).toEqual([{ type: 'call', start: 32, nr: 32, first: 0 }]);
    expectAtRest(system, true);
  });
});

test('every transition was taken', () => {
  expect(untaken(sparseAddSection)).toEqual([]);
});
