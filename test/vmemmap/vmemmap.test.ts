import fc from 'fast-check';
import { UsageError } from '../../src/system/errors.js';
import { type Architecture, architectures } from '../../src/vmemmap/architectures.js';
import { type VmemmapQuestion, vmemmap } from '../../src/vmemmap/vmemmap.js';

const K = 2 ** 10;
const M = 2 ** 20;
const G = 2 ** 30;
const T = 2 ** 40;
const asked: VmemmapQuestion = { architecture: 'x86_64', basePage: 4 * K, compound: 2 * M };
const ask = (more: Partial<VmemmapQuestion> = {}) => vmemmap({ ...asked, ...more });
const unmet = (more: Partial<VmemmapQuestion>): string[] =>
  ask(more)
    .why.filter(({ holds }) => !holds)
    .map(({ condition }) => condition);

test('2M compounds on x86_64, in full', () => {
  const dedup = { devdax: { kept: 2, freed: 6 }, hugetlb: { kept: 1, freed: 7 }, savingPerTiB: { saved: 12 * G, of: 16 * G } };
  expect(ask()).toEqual({
    architecture: 'x86_64',
    kernel: '7.3',
    basePage: 4096,
    compound: 2 * M,
    structPage: 64,
    altmap: false,
    optimises: true,
    why: [
      { condition: 'the architecture opts in', holds: true, text: 'ARCH_WANT_OPTIMIZE_DAX_VMEMMAP is selected' },
      { condition: 'the size of struct page is a power of two', holds: true, text: '64 bytes' },
      { condition: 'no altmap', holds: true, text: 'the struct pages are in system memory' },
      { condition: 'more than 2 vmemmap pages for a compound', holds: true, text: '8' },
    ],
    structPages: 512,
    memmapBytes: 32 * K,
    vmemmapPages: 8,
    possible: dedup,
    applies: dedup,
    device: null,
    initialised: 128,
    agreement: {
      case: 'dedup/dedup',
      cases: [
        { case: 'dedup/dedup', populate: 'dedup', init: 'dedup', initialised: 128, correct: true, result: 'correct' },
        { case: 'full/full', populate: 'full', init: 'full', initialised: 512, correct: true, result: 'correct' },
        {
          case: 'full/dedup',
          populate: 'full',
          init: 'dedup',
          initialised: 128,
          correct: false,
          result: 'struct pages 128 to 511 of each compound hold poison (DEBUG_VM) or what boot left there: a garbage head, a wrong refcount',
        },
        {
          case: 'dedup/full',
          populate: 'dedup',
          init: 'full',
          initialised: 512,
          correct: true,
          result: 'slow but safe: 384 writes put the same values into the same frame again (a fault if tails were mapped read-only)',
        },
      ],
    },
  });
});

/** Frames are kept and freed; devdax and hugetlb; null: not even possible. */
test.each<[number, number, number, number, number, [number, number] | null, [number, number] | null, number]>([
  [4 * K, 2 * M, 512, 32 * K, 8, [2, 6], [1, 7], 12 * G],
  [4 * K, G, 262144, 16 * M, 4096, [2, 4094], [1, 4095], (16 * G * 4094) / 4096],
  [16 * K, 2 * M, 128, 8 * K, 0.5, null, null, 0],
  [16 * K, 32 * M, 2048, 128 * K, 8, [2, 6], [1, 7], 3 * G],
  [64 * K, 2 * M, 32, 2 * K, 1 / 32, null, null, 0],
  [64 * K, 512 * M, 8192, 512 * K, 8, [2, 6], [1, 7], 0.75 * G],
  [64 * K, G, 16384, M, 16, [2, 14], [1, 15], 0.875 * G],
  [64 * K, 16 * G, 262144, 16 * M, 256, [2, 254], [1, 255], (G * 254) / 256],
])('pages of %i, compounds of %i bytes: what is possible', (basePage, compound, structPages, memmapBytes, vmemmapPages, devdax, hugetlb, saved) => {
  const frames = (given: [number, number] | null) => given && { kept: given[0], freed: given[1] };
  // arm64 has all these pages, and shares nothing.
  const answer = ask({ architecture: 'arm64', basePage, compound });
  expect(answer).toMatchObject({ structPages, memmapBytes, vmemmapPages, optimises: false, initialised: structPages });
  const of = (T / basePage) * 64;
  expect(answer.possible).toEqual({ devdax: frames(devdax), hugetlb: frames(hugetlb), savingPerTiB: { saved, of } });
  expect(answer.applies).toEqual({ devdax: null, hugetlb: null, savingPerTiB: { saved: 0, of } });
});

test.each<[string, number[], boolean, boolean, string]>([
  ['x86_64', [4 * K], true, true, 'dedup/dedup'],
  ['powerpc-radix', [64 * K, 4 * K], true, false, 'dedup/dedup'],
  ['powerpc-hash', [64 * K, 4 * K], false, false, 'full/full'],
  ['riscv64', [4 * K], true, true, 'dedup/dedup'],
  ['arm64', [4 * K, 16 * K, 64 * K], false, false, 'full/full'],
  ['loongarch', [16 * K, 4 * K, 64 * K], false, true, 'full/full'],
  ['s390', [4 * K], false, false, 'full/full'],
  ['sparc64', [8 * K], false, false, 'full/full'],
])('%s', (architecture, basePages, devdax, hugetlb, agreement) => {
  expect(architectures.find(({ id }) => id === architecture)?.basePages).toEqual(basePages);
  for (const basePage of basePages) {
    const answer = ask({ architecture, basePage, compound: G });
    expect([answer.optimises, answer.applies.devdax !== null, answer.applies.hugetlb !== null, answer.agreement.case]).toEqual([
      devdax,
      devdax,
      hugetlb,
      agreement,
    ]);
    expect(answer.initialised).toBe(devdax ? (2 * basePage) / 64 : G / basePage);
  }
});

test('there are eight architectures, each with its kernel and source', () => {
  expect(architectures).toHaveLength(8);
  expect(new Set(architectures.map(({ id }) => id)).size).toBe(8);
  for (const { kernel, source, mapped, populated } of architectures)
    expect({ kernel, source, mapped, populated }).toEqual({
      kernel: '7.3',
      source: expect.stringContaining('arch/'),
      mapped: expect.stringMatching(/./),
      populated: expect.stringMatching(/./),
    });
});

describe('what is known of an architecture', () => {
  test('a section for each size of base page', () => {
    for (const { basePages, sections } of architectures) {
      expect(sections).toHaveLength(basePages.length);
      for (const section of sections) expect(Math.log2(section) % 1).toBe(0);
    }
    expect(Object.fromEntries(architectures.map(({ id, sections }) => [id, sections.map((section) => section / M)]))).toEqual({
      x86_64: [128],
      'powerpc-radix': [16, 16],
      'powerpc-hash': [16, 16],
      riscv64: [128],
      arm64: [128, 128, 512],
      loongarch: [512, 512, 512],
      s390: [256],
      sparc64: [1024],
    });
  });

  const where = (is: (architecture: Architecture) => boolean): string[] => architectures.filter(is).map(({ id }) => id);

  test('generic code maps what the MMU finds, or it is said what becomes of it', () => {
    expect(where(({ translation }) => translation === 'hash')).toEqual(['powerpc-hash']);
    expect(where(({ translation }) => translation === 'zero-valid')).toEqual(['s390']);
    expect(where(({ translation, generic }) => (translation === 'init_mm') !== (generic === null))).toEqual([]);
    // Nobody shares in generic code where it maps nothing.
    expect(where(({ generic, devdax: { selected, override } }) => generic !== null && selected && override?.holds !== false)).toEqual([]);
  });

  test('where an altmap is given all frames back', () => {
    expect(where(({ returnsToAltmap }) => returnsToAltmap)).toEqual(['riscv64', 'arm64', 's390']);
  });

  test('where there is ZONE_DEVICE: wherever devdax shares, at last', () => {
    expect(where(({ zoneDevice }) => zoneDevice.includes('6.3'))).toEqual(['x86_64', 'powerpc-radix', 'powerpc-hash', 'arm64']);
    expect(where(({ zoneDevice }) => zoneDevice.includes('6.12'))).toEqual(['x86_64', 'powerpc-radix', 'powerpc-hash', 'riscv64', 'arm64']);
    expect(where(({ zoneDevice, devdax }) => devdax.selected && !zoneDevice.includes('6.12'))).toEqual([]);
  });

  test('what was selected in 6.3, and what the draft would select', () => {
    expect(where(({ selected63 }) => selected63.hugetlb)).toEqual(['x86_64', 'riscv64', 'loongarch', 's390']);
    expect(where(({ selected63 }) => selected63.draft)).toEqual(['x86_64', 'arm64', 'loongarch', 's390']);
  });
});

describe('each condition can be the only one that does not hold', () => {
  test.each<[string, Partial<VmemmapQuestion>]>([
    ['the architecture opts in', { architecture: 'arm64' }],
    ['its own vmemmap_can_optimize() agrees', { architecture: 'powerpc-hash' }],
    ['the size of struct page is a power of two', { structPage: 72 }],
    ['no altmap', { altmap: true }],
    ['more than 2 vmemmap pages for a compound', { compound: 512 * K }],
  ])('%s', (condition, more) => {
    expect(unmet(more)).toEqual([condition]);
    expect(ask(more)).toMatchObject({ optimises: false, applies: { devdax: null }, agreement: { case: 'full/full' } });
  });

  test('two vmemmap pages are not enough for devdax, and four are', () => {
    expect(ask({ compound: 512 * K }).possible).toMatchObject({ devdax: null, hugetlb: { kept: 1, freed: 1 } });
    expect(ask({ compound: M }).possible).toMatchObject({ devdax: { kept: 2, freed: 2 }, hugetlb: { kept: 1, freed: 3 } });
    expect(ask({ compound: 256 * K }).possible).toMatchObject({ devdax: null, hugetlb: null });
  });

  test('a compound of one base page, and a struct page as large as it', () => {
    expect(ask({ compound: 4 * K })).toMatchObject({ structPages: 1, vmemmapPages: 1 / 64, optimises: false });
    expect(ask({ compound: 8 * K, structPage: 4 * K })).toMatchObject({ structPages: 2, vmemmapPages: 2, optimises: false });
    expect(ask({ compound: 16 * K, structPage: 4 * K })).toMatchObject({ vmemmapPages: 4, optimises: true, initialised: 2 });
  });

  test('an altmap and an architecture do not change what sizes allow', () => {
    expect(ask({ altmap: true }).possible).toEqual(ask().possible);
    expect(ask({ altmap: true }).applies).toMatchObject({ hugetlb: { kept: 1, freed: 7 }, savingPerTiB: { saved: 0, of: 16 * G } });
  });
});

describe('what comes of populate and init', () => {
  const results = (more: Partial<VmemmapQuestion>): Record<string, string> =>
    Object.fromEntries(ask(more).agreement.cases.map((one) => [one.case, `${one.correct ? 'ok' : 'wrong'}: ${one.result}`]));

  test('hash MMU: whoever shares in generic code maps nothing', () => {
    const found = results({ architecture: 'powerpc-hash', basePage: 64 * K, compound: G });
    expect(found['dedup/dedup']).toContain('wrong: no struct page is mapped');
    expect(found['dedup/full']).toBe(found['dedup/dedup']);
    expect(found['full/dedup']).toContain('wrong: struct pages 2048 to 16383 of each compound');
  });

  test('s390: whoever shares in generic code takes entries of zeros for mapped', () => {
    const found = results({ architecture: 's390' });
    expect(found['dedup/dedup']).toContain('wrong: generic code makes tables of 4K zeros');
    expect(found['dedup/full']).toBe(found['dedup/dedup']);
    expect(found['full/full']).toBe('ok: correct');
  });

  test('2M compounds of 64K pages: 2016 struct pages past the end', () => {
    const found = results({ architecture: 'powerpc-radix', basePage: 64 * K });
    expect(found['full/dedup']).toContain('of the last one 2016 struct pages past the end become tails');
    expect(found['dedup/dedup']).toBe(`${found['full/dedup']}, and a vmemmap page outside the range is mapped`);
    expect(found['dedup/full']).toBe('wrong: a vmemmap page outside the range is mapped');
    expect(found['full/full']).toBe('ok: correct');
  });

  test('exactly two vmemmap pages: all is well, and for nothing', () => {
    expect(Object.values(results({ compound: 512 * K })).every((text) => text.startsWith('ok: correct'))).toBe(true);
  });

  test('what init leaves out, if anything', () => {
    const left = (more: Partial<VmemmapQuestion>) => results(more)['full/dedup'];
    expect(left({ compound: 16 * K, structPage: 2050 })).toContain('struct pages 2 to 3 of');
    expect(left({ compound: 16 * K, structPage: K + 300 })).toContain('past the end');
    expect(left({ compound: 4 * M })).toContain('struct pages 128 to 1023 of');
  });

  test('altmap, and struct pages of 72 bytes', () => {
    const taken = 'wrong: the frames come from system memory although there is an altmap';
    const withAltmap = Object.fromEntries(
      architectures.map(({ id, basePages }) => [id, results({ architecture: id, basePage: basePages[0] as number, altmap: true })]),
    );
    for (const id of ['x86_64', 'powerpc-radix', 'loongarch', 'sparc64']) expect(withAltmap[id]?.['dedup/dedup']).toBe(`${taken}, which is of no use then`);
    for (const id of ['riscv64', 'arm64']) expect(withAltmap[id]?.['dedup/dedup']).toBe(`${taken}, and are given back as if they were of the altmap`);
    // Nothing was mapped that could be given back.
    for (const id of ['powerpc-hash', 's390']) expect(withAltmap[id]?.['dedup/dedup']).not.toContain('altmap');
    for (const found of Object.values(withAltmap)) expect([found['dedup/full'], found['full/full']]).toEqual([found['dedup/dedup'], 'ok: correct']);
    const straddling = results({ structPage: 72 });
    // Struct page 57 begins 8 bytes into the second vmemmap page, 114 begins 16 into the third.
    expect(straddling['dedup/dedup']).toContain('8 bytes further with each page');
    expect(straddling['full/dedup']).toContain('wrong: struct pages 112 to 511 of');
  });
});

test('a device that is asked about', () => {
  expect(ask({ deviceBytes: 2 * T }).device).toEqual({ bytes: 2 * T, saved: 24 * G, of: 32 * G });
  expect(ask({ deviceBytes: 6 * M, altmap: true }).device).toEqual({ bytes: 6 * M, saved: 0, of: 96 * K });
});

test.each<[Partial<VmemmapQuestion>, string]>([
  [{ architecture: 'x86-64' }, "there is no architecture 'x86-64'; did you mean 'x86_64'? (the architectures are x86_64, powerpc-radix, "],
  [{ architecture: 'm68k' }, "there is no architecture 'm68k' (the architectures are "],
  [{ basePage: 5000 }, 'a base page is a power of two, such as 4K or 2M, not 5000B'],
  [{ basePage: 0 }, 'a base page is a power of two, such as 4K or 2M, not 0'],
  [{ basePage: Number.NaN }, 'a base page is a power of two, such as 4K or 2M, not NaN'],
  [{ basePage: 64 * K }, 'x86_64 has no base pages of 64K; it has 4K'],
  [{ architecture: 'arm64', basePage: 8 * K }, 'arm64 has no base pages of 8K; it has 4K, 16K, 64K'],
  [{ compound: 3 * M }, 'a compound is a power of two, such as 4K or 2M, not 3M'],
  [{ compound: 2 ** 40 + 1 }, 'a compound is a power of two, such as 4K or 2M, not 1099511627777B'],
  [{ compound: -2 }, 'a compound is a power of two, such as 4K or 2M, not -2'],
  [{ compound: 0.5 }, 'a compound is a power of two, such as 4K or 2M, not 0.5'],
  [{ compound: 2 * K }, 'a compound of 2K is smaller than a base page of 4K; take 4K or more'],
  [{ compound: 2 * T }, 'a compound of 2T is larger than any; take 1T or less'],
  ...[0, -64, 64.5, 4097, Number.NaN].map((structPage): [Partial<VmemmapQuestion>, string] => [
    { structPage },
    `a struct page has a whole number of bytes, from 1 to those of a base page (4096), not ${structPage}`,
  ]),
  [{ deviceBytes: 3 * M }, 'a device is a number of whole compounds of 2M, not 3M'],
  [{ deviceBytes: 0 }, 'a device is a number of whole compounds of 2M, not 0'],
])('%j is refused in one line', (more, message) => {
  const refused = (): unknown => ask(more);
  expect(refused).toThrow(UsageError);
  expect(refused).toThrow(message);
  expect(refused).not.toThrow('\n');
});

describe('whatever is asked', () => {
  const questions = fc
    .tuple(
      fc.constantFrom(...architectures),
      fc.nat({ max: 2 }),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 1, max: 4096 }),
      fc.nat({ max: 8 }),
      fc.boolean(),
    )
    .map(([{ id, basePages }, base, order, odd, shift, altmap]): VmemmapQuestion => {
      const basePage = basePages[base % basePages.length] as number;
      return { architecture: id, basePage, compound: basePage * 2 ** order, structPage: odd % 3 === 0 ? odd : 2 ** (shift + 4), altmap };
    });

  test('frames add up, and no more is saved than there is', () => {
    fc.assert(
      fc.property(questions, (question) => {
        const { vmemmapPages, memmapBytes, possible, applies, basePage, structPages } = vmemmap(question);
        expect(memmapBytes).toBe(structPages * (question.structPage as number));
        for (const dedup of [possible, applies]) {
          for (const frames of [dedup.devdax, dedup.hugetlb]) {
            if (frames === null) continue;
            expect(frames.kept + frames.freed).toBe(vmemmapPages);
            expect(frames.freed).toBeGreaterThan(0);
          }
          const { saved, of } = dedup.savingPerTiB;
          expect(saved).toBeGreaterThanOrEqual(0);
          expect(saved).toBeLessThan(of);
          expect(saved / of).toBeCloseTo(dedup.devdax === null ? 0 : (dedup.devdax.freed * basePage) / memmapBytes, 12);
        }
      }),
    );
  });

  test('the verdict is that of all conditions, and decides both populate and init', () => {
    const verdicts = new Set<boolean>();
    fc.assert(
      fc.property(questions, (question) => {
        const { optimises, why, applies, possible, agreement, initialised } = vmemmap(question);
        verdicts.add(optimises);
        expect(optimises).toBe(why.every(({ holds }) => holds));
        expect(applies.devdax).toEqual(optimises ? possible.devdax : null);
        if (optimises) expect(applies.devdax).not.toBeNull();
        const own = agreement.cases.find((one) => one.case === agreement.case);
        expect(own).toMatchObject({ initialised, correct: true, populate: own?.init });
      }),
    );
    expect(verdicts.size).toBe(2);
  });

  test('a larger compound never saves less', () => {
    fc.assert(
      fc.property(
        questions.filter(({ compound }) => compound < T),
        (question) => {
          const [small, large] = [vmemmap(question), vmemmap({ ...question, compound: question.compound * 2 })];
          for (const which of ['possible', 'applies'] as const) expect(large[which].savingPerTiB.saved).toBeGreaterThanOrEqual(small[which].savingPerTiB.saved);
          expect(Number(large.optimises)).toBeGreaterThanOrEqual(Number(small.optimises));
        },
      ),
    );
  });
});
