import fc from 'fast-check';
import type { AnyMachineSnapshot } from 'xstate';
import { pageAt, type VmemmapConfig, vmemmapCanOptimize, vmemmapPagesOf } from '../../machines/index.js';
import { sparseRemoveSection } from '../../machines/paths/sparse-remove-section.js';
import { check, subjectOf } from '../../src/check/check.js';
import { Explorer } from '../../src/explore/explorer.js';
import { type AgreementCase, architectures, explore, LiveSystem, labelOf, type System, vmemmap } from '../../src/index.js';
import { build, scenarios, type VmemmapPredicate, type VmemmapSetup, vmemmapPredicates, vmemmapReference, vmemmapSystem } from '../../src/scenarios/index.js';
import { changedVmemmap, decided, type VmemmapChanges } from '../../src/scenarios/vmemmap-system.js';
import type { Choice } from '../../src/system/system.js';

type Architecture = (typeof architectures)[number];

/** Units of a page of the vmemmap. */
const page = 8;
/** What is wrong of struct pages; the others are about what they cost. */
const wrongs = ['I3', 'I6', 'I9', 'I9.write', 'I9.head', 'I10', 'I10.leak', 'BUG', 'I11'];

const systemOf = (...changes: VmemmapChanges[]): System => vmemmapSystem('changed', changedVmemmap(...changes));
const caseOf = (id: string, debugVm = 0) => {
  const scenario = scenarios.find((one) => id.startsWith(`${one.id}/`));
  const variant = scenario?.variants.find((one) => `${scenario.id}/${one.id}` === id);
  if (!scenario || !variant) throw new Error(`no ${id}`);
  return build(scenario, variant, { debug_vm: debugVm });
};

/** What is wrong with a system, however it runs; it is small. */
function wrongOf(system: System, asked: readonly string[] = wrongs): string[] {
  const { exhausted, limit, properties } = explore(system, { stop: (violated) => asked.some((name) => violated.has(name)), maxStates: 20_000 });
  const violated = properties.flatMap(({ name, violation }) => (violation && asked.includes(name) ? [name] : []));
  if (!exhausted && violated.length === 0) throw new Error(`'${system.id}' was not explored: ${limit}`);
  return violated;
}

/** The shortest schedule that violates a property, run live to its last step. */
async function counterexampleOf(id: string, property: string, debugVm = 0) {
  const { properties } = await check(subjectOf(caseOf(id, debugVm)));
  const replay = properties.find(({ name }) => name === property)?.counterexample?.replay;
  if (!replay) throw new Error(`${id} does not violate ${property}`);
  const { live, steps } = replay;
  return {
    live,
    choices: steps.map(({ choice }) => labelOf(choice)),
    last: steps.at(-1),
    fault: contextOf(live, 'vmemmap').fault,
    ptes: contextOf(live, 'vmemmap').ptes as Record<string, { frame: string; write: boolean }>,
    bolted: contextOf(live, 'vmemmap').bolted,
  };
}

const snapshotOf = (live: LiveSystem, address: string): AnyMachineSnapshot => live.snapshot(address) as AnyMachineSnapshot;
const contextOf = (live: LiveSystem, address: string): AnyMachineSnapshot['context'] => snapshotOf(live, address).context;
const addressesOf = ({ system }: LiveSystem, is: RegExp): string[] => system.actors.flatMap(({ address }) => (is.test(address) ? [address] : []));
const bugsOf = (live: LiveSystem): string[] => live.bugs().map(({ key }) => key);

/** CPU 1 goes on, with grace periods where it waits for them, until `is`, or nothing is left to do. */
function goOn(live: LiveSystem, is: (live: LiveSystem) => boolean = () => false): LiveSystem {
  for (let steps = 0; !is(live); steps++) {
    if (steps === 2000) throw new Error('it goes on for ever');
    const fair = live.enabled().filter((choice) => choice.fair);
    const choice = fair.find(({ event }) => event.type === 'step') ?? fair[0];
    if (snapshotOf(live, 'work').value === 'exited' || choice === undefined) break;
    live.take(choice as Choice);
  }
  return live;
}
const isProbed = (live: LiveSystem): boolean => snapshotOf(live, 'dax').value === 'alive';

/** What lies where software finds the struct page of a pfn. */
function cellOf(live: LiveSystem, pfn: number, structPage: number): AnyMachineSnapshot {
  const vpage = Math.floor((pfn * structPage) / page);
  return snapshotOf(live, `${contextOf(live, 'vmemmap').ptes[vpage].frame}+${pfn * structPage - vpage * page}`);
}
const headOf = ({ context: { tail } }: AnyMachineSnapshot, pfn: number): number => (tail === null ? pfn : 'head' in tail ? tail.head : pfn - (pfn % tail.mask));

describe('what the library says of agreement is so in the miniature', () => {
  interface Question {
    structPage: number;
    nr: number;
    altmap: boolean;
    architecture: Architecture;
    populate: AgreementCase['populate'];
    init: AgreementCase['init'];
  }
  /** A device, and what comes after it. */
  interface Device {
    compounds: number;
    boot: 'none' | 'neighbour';
  }

  /** Struct pages and compounds as large, in pages. */
  function said({ structPage, nr, altmap, architecture, populate, init }: Question): AgreementCase {
    const [basePage] = architecture.basePages as [number];
    const { agreement } = vmemmap({ architecture: architecture.id, basePage, compound: basePage * nr, structPage: (basePage * structPage) / page, altmap });
    return agreement.cases.find((one) => one.populate === populate && one.init === init) as AgreementCase;
  }

  /** Each frame goes back to whom it was taken from. */
  const byAddress = sparseRemoveSection.provide({
    guards: { returnsToAltmap: ({ context: { altmap, frames } }) => altmap !== null && /^altmap/.test(frames[0] ?? '') },
  });

  const deviceOf = ({ structPage, nr: compound, altmap, architecture, populate, init }: Question, { compounds, boot }: Device): System => {
    const nr = compounds * compound;
    return systemOf(
      {
        translation: architecture.translation,
        nr,
        section: nr,
        subsection: nr,
        boot,
        work: ['probe', 'walk', 'remove'],
        config: { structPage, page, nr: compound, altmap },
      },
      architecture.returnsToAltmap ? {} : { removeSection: byAddress },
      decided(
        () => populate === 'dedup',
        () => init === 'dedup',
      ),
    );
  };

  /** A page of the vmemmap is removed with all that is in it: the device has its pages for itself. */
  const devicesOf = ({ structPage, nr }: Question): Device[] =>
    [...new Set([16 / nr, 2, 1])]
      .filter((compounds) => compounds * nr <= 16)
      .flatMap((compounds) => [
        { compounds, boot: 'none' as const },
        ...((compounds * nr * structPage) % page === 0 ? [{ compounds, boot: 'neighbour' as const }] : []),
      ]);

  // 'altmap' is what is wrong where RAM is used although there is an altmap, and RAM is given back as RAM.
  const asked = [...wrongs, 'altmap'];
  /** Right: on each device. */
  const agrees = (question: Question, devices = devicesOf(question)): boolean =>
    devices.every((device) => wrongOf(deviceOf(question, device), asked).length === 0) === said(question).correct;

  const questions: fc.Arbitrary<Question> = fc.record({
    structPage: fc.constantFrom(2, 3, 4),
    nr: fc.constantFrom(1, 2, 4, 8, 16),
    altmap: fc.boolean(),
    architecture: fc.constantFrom(...architectures),
    populate: fc.constantFrom('dedup' as const, 'full' as const),
    init: fc.constantFrom('dedup' as const, 'full' as const),
  });

  test('right on each device, or wrong on some, seed 5230', () => {
    const counts = { right: 0, wrong: 0 };
    const law = fc.property(questions, fc.nat(), (question, nth) => {
      const { correct } = said(question);
      counts[correct ? 'right' : 'wrong']++;
      const devices = devicesOf(question);
      // What is right is right on each: one will do.
      expect(agrees(question, correct ? devices.slice(nth % devices.length).slice(0, 1) : devices)).toBe(true);
    });
    fc.assert(law, { seed: 5230, numRuns: 100 });
    expect(Math.min(counts.right, counts.wrong)).toBeGreaterThan(20);
  });

  const [x86] = architectures as [Architecture];
  const plain: Question = { structPage: 4, nr: 8, altmap: false, architecture: x86, populate: 'full', init: 'full' };

  test.each<[string, Partial<Question>]>([
    ['the crash', { architecture: architectures.find(({ id }) => id === 'powerpc-hash') as Architecture, populate: 'dedup', init: 'dedup' }],
    ['tails that nobody writes', { init: 'dedup' }],
    ['tails past the end', { structPage: 2, nr: 2, init: 'dedup' }],
    ['a page of the vmemmap outside the range', { structPage: 2, nr: 2, populate: 'dedup' }],
    ['tails that are written again', { populate: 'dedup' }],
    ['fields that mix', { structPage: 3, populate: 'dedup', init: 'dedup' }],
  ])('%s', (_, more) => expect(agrees({ ...plain, ...more })).toBe(true));

  test('who disagrees is noticed', () => {
    expect(wrongOf(deviceOf({ ...plain, init: 'dedup' }, { compounds: 2, boot: 'none' }))).toEqual(['I9']);
  });

  test('of a single page memmap_init_zone_device does not ask compound_nr_pages', () => {
    expect(agrees({ ...plain, nr: 1, init: 'dedup' })).toBe(true);
  });

  // Three struct pages of three halves of a page fill a page and a half of the vmemmap: none stands for another.
  test('struct pages that straddle do not mix where nothing is shared', () => {
    expect(agrees({ ...plain, structPage: 3, nr: 4, populate: 'dedup', init: 'dedup' })).toBe(true);
  });
});

describe('the rule of 7.3 is right', () => {
  interface Geometry {
    /** Of a struct page, in units, and of a compound, in pages. */
    sizes: [number, number];
    compounds: number;
    /** Pages of a subsection; subsections of a section, or with `part` what is of boot time. */
    subsection: number;
    section: number;
    translation: VmemmapSetup['translation'];
    altmap: boolean;
    wanted: boolean;
    debugVm: boolean;
    boot: VmemmapSetup['boot'];
    heads: VmemmapSetup['heads'];
  }

  function setupOf({
    sizes: [structPage, compound],
    compounds,
    translation,
    altmap,
    wanted,
    debugVm,
    boot,
    heads,
    ...geometry
  }: Geometry): VmemmapChanges | null {
    const nr = compound * compounds;
    const { subsection } = geometry;
    // The device is made of whole subsections, a subsection of whole pages of the vmemmap.
    if (nr > 32 || nr % subsection !== 0 || (subsection * structPage) % page !== 0) return null;
    const section = boot === 'part' ? nr + geometry.section * subsection : geometry.section * subsection;
    // Addresses of frames begin after those of struct pages.
    if (section > 64) return null;
    return {
      ...{ translation, nr, section, subsection, debugVm, boot, heads, work: ['probe', 'walk', 'remove'] },
      config: { structPage, page, nr: compound, altmap, wanted: wanted && translation !== 'zero-valid', override: translation !== 'hash' },
    };
  }

  const either = fc.boolean();
  const any = {
    sizes: fc.constantFrom(
      ...([
        [2, 2],
        [2, 4],
        [2, 8],
        [3, 8],
        [4, 2],
        [4, 4],
        [4, 8],
      ] as [number, number][]),
    ),
    compounds: fc.integer({ min: 1, max: 3 }),
    subsection: fc.constantFrom(2, 4, 8, 16),
    section: fc.constantFrom(1, 1, 2, 4),
    translation: fc.constantFrom<VmemmapSetup['translation']>('init_mm', 'init_mm', 'hash', 'top-level', 'zero-valid'),
    altmap: either,
    wanted: either,
    debugVm: either,
    boot: fc.constantFrom<VmemmapSetup['boot']>('none', 'neighbour', 'part'),
    heads: fc.constantFrom<VmemmapSetup['heads']>('pointer', 'mask'),
  };
  /** Tails share frames: compounds of four pages of the vmemmap, or of eight. */
  const shared = {
    ...any,
    sizes: fc.constantFrom(
      ...([
        [4, 8],
        [2, 16],
        [4, 16],
      ] as [number, number][]),
    ),
    translation: fc.constantFrom<VmemmapSetup['translation']>('init_mm', 'top-level'),
    altmap: fc.constant(false),
    wanted: fc.constant(true),
  };
  const geometries = fc
    .oneof(fc.record<Geometry>(any), fc.record<Geometry>(shared))
    .map(setupOf)
    .filter((setup) => setup !== null);

  /** What is left when the device is gone. */
  function leftOf(system: System, boot: VmemmapSetup['boot']): string[] {
    const live = goOn(new LiveSystem(system), isProbed);
    const probed = isProbed(live);
    goOn(live);
    const left = [
      ...(probed ? [] : ['not probed']),
      ...(snapshotOf(live, 'work').value === 'exited' ? [] : ['work']),
      ...addressesOf(live, /^page1\d\d$/).filter((frame) => snapshotOf(live, frame).value !== 'free'),
      ...addressesOf(live, /^page[89]\d$/).filter((frame) => snapshotOf(live, frame).value !== 'present' || contextOf(live, frame).refcount !== 1),
      ...addressesOf(live, /^altmap$/).filter((altmap) => contextOf(live, altmap).allocated !== 0),
      ...addressesOf(live, /^section/).filter((section) => {
        const { present, active } = contextOf(live, section);
        return boot === 'part' ? !present || active.length !== 1 : present || active.length !== 0;
      }),
    ];
    live.stop();
    return left;
  }

  test('on each geometry, and nothing is left, seed 5231', () => {
    const seen = { shared: 0, sections: 0, larger: 0, part: 0, neighbour: 0, altmap: 0 };
    const law = fc.property(geometries, (changes) => {
      const { config, section, nr, boot } = changedVmemmap(changes);
      if (vmemmapCanOptimize(config)) seen.shared++;
      if (vmemmapCanOptimize(config) && section < nr) seen.sections++;
      if (vmemmapCanOptimize(config) && section < config.nr) seen.larger++;
      if (boot !== 'none') seen[boot]++;
      if (config.altmap) seen.altmap++;
      const system = systemOf(changes);
      expect(wrongOf(system, [...wrongs, ...(config.altmap && boot !== 'part' ? ['altmap'] : [])])).toEqual([]);
      expect(leftOf(system, boot)).toEqual([]);
    });
    fc.assert(law, { seed: 5231, numRuns: 70 });
    expect(Object.entries(seen).filter(([, times]) => times < 3)).toEqual([]);
  });

  const neighbour: VmemmapChanges = { boot: 'neighbour', work: ['probe', 'walk', 'remove'], config: { structPage: 2, nr: 2 } };

  test('hash entries, and a neighbour in use', () => {
    expect(wrongOf(systemOf({ ...neighbour, translation: 'hash', config: { ...neighbour.config, override: false } }))).toEqual([]);
  });

  test('top levels, and a neighbour in use', () => {
    expect(wrongOf(systemOf({ ...neighbour, translation: 'top-level' }))).toEqual([]);
  });

  test('init_mm, and a neighbour in use', () => {
    expect(wrongOf(systemOf(neighbour))).toEqual([]);
  });

  test('what is left is noticed', () => {
    const keeps = sparseRemoveSection.provide({ guards: { returnsToAltmap: () => false } });
    expect(leftOf(systemOf({ removeSection: keeps, config: { altmap: true } }), 'none')).toEqual(['altmap']);
    expect(leftOf(systemOf({ work: ['probe'] }), 'none')).toEqual(['page100', 'page101', 'page102', 'page103', 'section0']);
  });
});

describe('the crash', () => {
  const { structPage } = vmemmapReference.config;
  const full = [0, 1, 1, 1, 2, 3, 3, 3];
  const framesOf = (ptes: Record<string, { frame: string }>): string[] => Object.values(ptes).map(({ frame }) => frame);

  test('E1: hash entries, and generic code fills init_mm; the first store faults, in the last word of the first head', async () => {
    const { fault, ptes, bolted, live } = await counterexampleOf('vmemmap/E1', 'I9');
    expect(fault).toEqual({ pfn: 0, vpage: 0, by: 'work.init', event: 'page.init', offset: structPage - 1 });
    expect(framesOf(ptes)).toEqual(full.map((frame) => pageAt(100 + frame)));
    expect(bolted).toEqual({});
    expect(bugsOf(live)).toEqual(['page_fault']);
  });

  test('E1 with DEBUG_VM: the poisoning is before it', async () => {
    const { fault, ptes, bolted, choices } = await counterexampleOf('vmemmap/E1', 'I9', 1);
    expect(fault).toEqual({ pfn: 0, vpage: 0, by: 'work.add_section', event: 'page.poison', offset: 0 });
    expect([framesOf(ptes).length, bolted]).toEqual([full.length, {}]);
    expect(choices).not.toContain('work.init: step');
  });

  test.each([
    [0, 'work.init', 'page.init', structPage - 1],
    [1, 'work.add_section', 'page.poison', 0],
  ])('E11, debug_vm %i: the first struct page of the second half, which only init_mm maps', async (debugVm, by, event, offset) => {
    const { fault, ptes, live } = await counterexampleOf('vmemmap/E11', 'I9', debugVm);
    const { slot, slots } = contextOf(live, 'vmemmap');
    expect(fault).toEqual({ pfn: (slot * page) / structPage, vpage: slot, by, event, offset });
    expect([slot, slots]).toEqual([full.length / 2, { init_mm: [0, 1], probe_mm: [0] }]);
    expect(framesOf(ptes)).toEqual(full.map((frame) => pageAt(100 + frame)));
  });

  test('s390: all is taken for mapped, on the first frame of memory', async () => {
    const { fault, ptes, live, choices } = await counterexampleOf('vmemmap-predicates/unaware.s390', 'I9');
    expect(fault).toEqual({ pfn: 0, vpage: 0, by: 'work.init', event: 'page.init', offset: structPage - 1 });
    expect(framesOf(ptes)).toEqual(full.map(() => 'page0_frame'));
    const frames = addressesOf(live, /^page1\d\d$/);
    expect(frames.map((frame) => snapshotOf(live, frame).value)).toEqual(frames.map(() => 'free'));
    expect(contextOf(live, 'page_allocator').free).toHaveLength(frames.length);
    expect(choices.filter((choice) => choice.startsWith('work.populate'))).toHaveLength(full.length + 1);
    expect(bugsOf(live)).toEqual(['foreign_memory']);
  });
});

describe('E5: compounds smaller than two pages of the vmemmap', () => {
  /** Struct pages after the end of the last compound that become tails. */
  const past = (pages: number, structPage: number, nr: number): number => 2 * Math.floor(pages / structPage) - nr;
  const tailsAfter = (live: LiveSystem, end: number, structPage: number): number[] =>
    addressesOf(live, /^page\d+$/).flatMap((address) => {
      const pfn = Number(address.slice(4));
      return pfn >= end && pfn < 80 && cellOf(live, pfn, structPage).context.tail !== null ? [pfn] : [];
    });

  test('so many become tails of the last head as the library counts', () => {
    const live = goOn(new LiveSystem(caseOf('vmemmap-predicates/unaware.small').system), isProbed);
    expect(bugsOf(live)).toEqual([]);
    // All neighbours that there are could be.
    const changed = tailsAfter(live, 16, 2);
    expect(changed).toEqual([16, 17, 18, 19, 20, 21]);
    expect(changed).toHaveLength(past(page, 2, 2));
    expect(changed.map((pfn) => headOf(cellOf(live, pfn, 2), pfn))).toEqual(changed.map(() => 14));
    const real = vmemmap({ architecture: 'powerpc-radix', basePage: 2 ** 16, compound: 2 ** 21 });
    expect(real.agreement.cases.find((one) => one.case === 'full/dedup')?.result).toContain(
      `of the last one ${past(2 ** 16, 64, 32)} struct pages past the end`,
    );
    expect(past(2 ** 16, 64, 32)).toBe(2016);
    // Each was put right by its own init.
    const pfns = Array.from({ length: 16 }, (_, pfn) => pfn);
    expect(pfns.map((pfn) => headOf(cellOf(live, pfn, 2), pfn))).toEqual(pfns.map((pfn) => pfn - (pfn % 2)));
    expect(pfns.map((pfn) => cellOf(live, pfn, 2).context.nr)).toEqual(pfns.map((pfn) => (pfn % 2 === 0 ? 2 : 1)));
  });

  test('and stay so when the device is gone', () => {
    const live = goOn(new LiveSystem(caseOf('vmemmap-predicates/unaware.small').system));
    expect([snapshotOf(live, 'work').value, bugsOf(live)]).toEqual(['exited', []]);
    expect(tailsAfter(live, 16, 2)).toHaveLength(past(page, 2, 2));
  });

  test('with the rule of 7.3 none does', () => {
    const live = goOn(new LiveSystem(caseOf('vmemmap-predicates/override.small').system), isProbed);
    expect(addressesOf(live, /^page(1[6-9]|2[01])$/)).toHaveLength(past(page, 2, 2));
    expect(tailsAfter(live, 16, 2)).toEqual([]);
  });
});

describe('the frame of tails', () => {
  /** Pages of the vmemmap that a compound fills. */
  const v = vmemmapPagesOf(vmemmapReference.config, 0, vmemmapReference.config.nr).length;
  /** What puts of a frame found, each. */
  function putsOf(live: LiveSystem, frame: string): number[] {
    const found: number[] = [];
    live.messages.subscribe(({ from, event }) => {
      if (from === frame && event.type === 'folio.put') found.push((event as { refcount?: number }).refcount ?? -1);
    });
    return found;
  }
  const refsOf = (live: LiveSystem): number[] => [100, 101, 102, 103].map((frame) => contextOf(live, pageAt(frame)).refcount);
  const down = Array.from({ length: v - 1 }, (_, put) => v - 2 - put);

  test('has a reference for each pte, and the last that goes frees it', () => {
    const live = new LiveSystem(caseOf('vmemmap/E0').system);
    const puts = [100, 101, 102, 103].map((frame) => putsOf(live, pageAt(frame)));
    goOn(live, isProbed);
    expect(refsOf(live)).toEqual([1, v - 1, 1, v - 1]);
    goOn(live);
    expect(puts).toEqual([[0], down, [0], down]);
    expect([100, 101, 102, 103].map((frame) => snapshotOf(live, pageAt(frame)).value)).toEqual(['free', 'free', 'free', 'free']);
  });

  test('for each size of compound, seed 5232', () => {
    const sizes = fc.constantFrom([4, 8], [4, 16], [2, 16], [4, 32], [2, 32]) as fc.Arbitrary<[number, number]>;
    const law = fc.property(sizes, fc.integer({ min: 1, max: 2 }), ([structPage, nr], compounds) => {
      const total = nr * compounds;
      const live = new LiveSystem(systemOf({ nr: total, section: total, subsection: total, config: { structPage, page, nr } }));
      goOn(live, isProbed);
      const pages = (nr * structPage) / page;
      const refs = addressesOf(live, /^page1\d\d$/).flatMap((frame) => (snapshotOf(live, frame).value === 'free' ? [] : [contextOf(live, frame).refcount]));
      expect(refs).toEqual(Array.from({ length: compounds }, () => [1, pages - 1]).flat());
      const puts = putsOf(live, 'page101');
      goOn(live);
      expect(puts).toEqual(Array.from({ length: pages - 1 }, (_, put) => pages - 2 - put));
      live.stop();
    });
    fc.assert(law, { seed: 5232, numRuns: 12 });
  });

  test('E8: without references the first that goes frees it, while others are mapped; the next is a double put', async () => {
    const { live, last, ptes } = await counterexampleOf('vmemmap/E8', 'I10');
    expect(last?.messages).toContainEqual(expect.objectContaining({ from: 'page101', event: expect.objectContaining({ type: 'folio.put', refcount: 0 }) }));
    expect(Object.entries(ptes).flatMap(([vpage, { frame }]) => (frame === 'page101' ? [Number(vpage)] : []))).toEqual([1, 2, 3]);
    expect(bugsOf(live)).toEqual([]);
    const { free } = contextOf(live, 'page_allocator');
    expect(free.map(({ pfns }: { pfns: number[] }) => pfns[0])).toContain(101);
    goOn(live, (now) => bugsOf(now).length > 0);
    expect([snapshotOf(live, 'page101').value, contextOf(live, 'page101').refcount]).toEqual(['refcount_underflow', 0]);
    // The pte of the first is gone, that of the second is not.
    expect(Object.keys(contextOf(live, 'vmemmap').ptes).slice(0, 1)).toEqual(['2']);
    expect(wrongOf(caseOf('vmemmap/E8').system, ['I6'])).toEqual(['I6']);
  });
});

describe('walkers', () => {
  test('E12.pagemap: between xa_store_range and the first section there is nothing that a pfn could lead to', async () => {
    const { choices, fault, ptes, live } = await counterexampleOf('vmemmap/E12.pagemap', 'I9');
    expect(fault).toEqual({ pfn: 15, vpage: 7, by: 'walker.walk', event: 'page.head', offset: 0 });
    expect(ptes).toEqual({});
    expect(choices.filter((choice) => choice.startsWith('work'))).toEqual(['work.memremap: step']);
    expect(snapshotOf(live, 'pgmap').value).toBe('registered');
    expect(contextOf(live, 'section0')).toMatchObject({ present: false, active: [] });
    expect(snapshotOf(live, 'work.memremap').value).toBe('mem_hotplug_begin');
  });

  test('E12: pfn_valid says yes, and what is there is poison', async () => {
    const { fault, last, live } = await counterexampleOf('vmemmap/E12', 'I9');
    expect(fault).toBeNull();
    expect(contextOf(live, 'section0')).toMatchObject({ present: true, online: false });
    expect(last?.choice.actor.address).toBe('walker.walk');
    expect(bugsOf(live)).toEqual(['uninitialised_struct_page']);
  });

  test('E10.online: asked before offline, read after free; the writer holds the lock for which the walker did not ask', async () => {
    const { choices, live, last } = await counterexampleOf('vmemmap/E10.online', 'I3');
    expect(bugsOf(live)).toEqual(['accessed_after_free']);
    expect(last?.choice.actor.address).toBe('walker.walk');
    expect(last?.messages).toContainEqual(expect.objectContaining({ to: 'page103', event: expect.objectContaining({ type: 'memory.access' }) }));
    expect(choices.indexOf('walker.walk: step')).toBeLessThan(choices.lastIndexOf('work.offline: step'));
    expect(contextOf(live, 'section0')).toMatchObject({ online: false, present: false });
    expect(contextOf(live, 'mem_hotplug_lock')).toMatchObject({ writer: 'work.offline', readers: [] });
  });

  /** In each state of a system in which the walker reads struct pages: is the lock held to write, and is the memory online? */
  function readingIn(system: System): { states: number; written: boolean; online: boolean } {
    const explorer = new Explorer(system, { stop: () => false });
    while (!explorer.finished) explorer.slice();
    const { store, tables } = explorer.searched;
    const found = { states: 0, written: false, online: true };
    const actorOf = (address: string) => system.actors.find((actor) => actor.address === address) as System['actors'][number];
    const [walker, lock, section] = ['walker.walk', 'mem_hotplug_lock', 'section0'].map(actorOf) as [
      System['actors'][number],
      System['actors'][number],
      System['actors'][number],
    ];
    const at = (state: number, actor: System['actors'][number]): AnyMachineSnapshot =>
      tables.local(actor, store.packing.read(store.words, state * store.width, actor.index)).snapshot as AnyMachineSnapshot;
    for (let state = 0; state < explorer.states; state++) {
      if (!['page_folio', 'page_ref_count'].includes(String(at(state, walker).value))) continue;
      found.states++;
      if (at(state, lock).context.writer !== null) found.written = true;
      if (!at(state, section).context.online) found.online = false;
    }
    return found;
  }

  test('E10.locked: while a walker reads, memory stays online', () => {
    expect(readingIn(caseOf('vmemmap/E10.locked').system)).toEqual({ states: expect.any(Number), written: false, online: true });
    expect(readingIn(caseOf('vmemmap/E10.locked').system).states).toBeGreaterThan(2);
    expect(readingIn(caseOf('vmemmap/E10.online').system)).toMatchObject({ written: true, online: false });
  });
});

describe('who populates and who initialises must agree', () => {
  const { config } = vmemmapReference;
  const special: Record<string, VmemmapConfig> = {
    small: { ...config, structPage: 2, nr: 2 },
    altmap: { ...config, altmap: true },
    odd: { ...config, structPage: 3 },
    system: { ...config, pgmap: false, nr: 1 },
  };
  const places = [...architectures.map(({ id }) => id), ...Object.keys(special)];

  function disagree(predicate: VmemmapPredicate, place: string): boolean {
    const architecture = architectures.find(({ id }) => id === place);
    const selected = architecture === undefined || predicate.selects(architecture);
    const asked = special[place] ?? config;
    return predicate.populate(asked, selected) !== predicate.init(asked, selected);
  }

  /** Where they do not, though no harm comes of it: init asks only where there are compounds. */
  const harmless: Record<string, string> = {
    'unaware.system': 'nobody initialises memory of the system as compounds',
    'shift0.system': 'nobody initialises memory of the system as compounds',
    'rework.system': 'nobody initialises memory of the system as compounds',
    ...Object.fromEntries(
      ['powerpc-radix', 'powerpc-hash', 'riscv64', 'sparc64'].map((id) => [`shift0.${id}`, 'the driver asks for no compounds (vmemmap_shift = 0)']),
    ),
  };
  const disagreements = vmemmapPredicates.flatMap((predicate) =>
    places.filter((place) => disagree(predicate, place)).map((place) => `${predicate.id}.${place}`),
  );

  test('these disagree; since 6.4 none does', () => {
    expect(disagreements.filter((id) => !harmless[id])).toEqual(['enabled.altmap', 'enabled.odd']);
    expect(Object.keys(harmless).filter((id) => !disagreements.includes(id))).toEqual([]);
    expect(disagreements.filter((id) => /^(merged|override)/.test(id))).toEqual([]);
  });

  test.each(disagreements)('%s', (id) => {
    const wrong = wrongOf(caseOf(`vmemmap-predicates/${id}`).system);
    if (harmless[id]) expect(wrong).toEqual([]);
    else expect(wrong).not.toEqual([]);
  });
});
