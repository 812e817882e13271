import fc from 'fast-check';
import { stringify } from 'yaml';
import { check, subjectOf } from '../../src/check/check.js';
import { explore } from '../../src/explore/explorer.js';
import { readScenarioFile } from '../../src/scenario-file/scenario-file.js';
import { families, scenarioSchema } from '../../src/scenario-file/schema.js';
import { build, type Case, scenarios } from '../../src/scenarios/index.js';
import { isMachine } from '../../src/system/logic.js';
import { fittingTo } from './documents.js';

const read = (text: string): Case => readScenarioFile('my-race.yaml', text);

/** A shipped variant. */
function shipped(id: string): Case {
  const [name, variant] = id.split('/');
  const scenario = scenarios.find((one) => one.id === name);
  const found = scenario?.variants.find((one) => one.id === variant);
  if (!scenario || !found) throw new Error(`no variant ${id}`);
  return build(scenario, found);
}

const cells = 'cells: { x: { kind: anonymous, pfn: 0, at: { p: [0] } }, y: { kind: anonymous, pfn: 1, at: { q: [0] } } }\nstable: [1]\nfree: 2';
const reclaimed = 'cells: { f: { kind: file, pfn: 0, at: { p: [0] } } }\ndebug: seed';
const reader = '{ mm: p, program: [{ do: load, vpn: 0 }], repeats: true }';

/** Files that say what a shipped variant says. */
const twins: [variant: string, text: string][] = [
  ['tlb-shootdown/B0', 'scenario: tlb-shootdown\nthreads:\n  - program: [{ do: store, page: 0 }]\n  - program: [{ do: munmap }]'],
  [
    'tlb-shootdown/B7',
    `scenario: tlb-shootdown
threads: [{ program: [{ do: store, page: 0 }] }, { program: [{ do: madvise }] }, { program: [{ do: madvise }] }]
asksDontneed: true
without: [unmap_page_range.isNested]`,
  ],
  [
    'tlb-shootdown/B3.switching',
    `scenario: tlb-shootdown
threads:
  - { program: [{ do: switch, next: mm }, { do: store, page: 0 }], switchedAway: true }
  - program: [{ do: munmap }]
without: [flush_tlb_mm_range.isSwitching]`,
  ],
  ['gup-unbind/A8', 'scenario: gup-unbind\nuser: true\nmapped: false'],
  ['gup-unbind/A8d', 'scenario: gup-unbind\nuser: true\nwith: [unbind.looksBeforeUnmap]'],
  ['gup-unbind/A3.ipi', 'scenario: gup-unbind\nbase: 1\nremoval: truncate\nwithout: [gup_fast.rechecksAfterGrab]'],
  [
    'gup-unbind/A11',
    `scenario: gup-unbind
base: 1
pinsHoldPagemap: true
pin: false
memunmap: memunmap_pages_5_10
without: [unbind.waitsForIdle, memunmap_pages_5_10.waitsBeforeRemove]`,
  ],
  ['compound-page/D0', 'scenario: compound-page\npins: [2, 3, 4, 5]\nwork: [truncate]'],
  ['compound-page/D5', 'scenario: compound-page\nmemory: base\ndevmap: true\npins: [0, 1, 2, 3]\nwith: [gup_fast.takesLeafWhole]'],
  ['compound-page/D10.larger', 'scenario: compound-page\npins: null\nwork: [memunmap]\nbase: { taken: 2, put: 8 }'],
  [
    'write-protect/W0',
    `scenario: write-protect
${cells}
threads:
  - { mm: null, program: [{ do: ksm_scan, at: { mm: p, vpn: 0 } }] }
  - { mm: p, program: [{ do: store, vpn: 0 }, { do: load, vpn: 0 }] }`,
  ],
  [
    'write-protect/W1.replaced',
    `scenario: write-protect
${cells}
threads:
  - { mm: null, program: [{ do: ksm_scan, at: { mm: p, vpn: 0 } }] }
  - { mm: p, program: [], pins: { vpn: 0, access: write, get: true } }
without: [write_protect_page.countsAfterClear]`,
  ],
  [
    'luf/L3',
    `scenario: luf
${reclaimed}
threads: [{ mm: null, program: [{ do: reclaim, cell: f }] }, ${reader}, { mm: null, program: [{ do: slab }] }]
without: [alloc_pages.mustFlush]`,
  ],
  [
    'luf/L11.strict',
    `scenario: luf
${reclaimed}
threads: [{ mm: null, program: [{ do: reclaim, cell: f }] }, ${reader}, { mm: p, program: [{ do: mprotect, vpn: 0, read: false }] }]`,
  ],
  [
    'mmu-notifier/N5.ends',
    `scenario: mmu-notifier
gpus: { gpu0: { program: [] } }
guest: { program: [{ do: write, vpn: 0 }] }
threads: [{ mm: null, program: [{ do: oom_reap, vpn: 0 }] }]`,
  ],
  [
    'mmu-notifier/N1',
    'scenario: mmu-notifier\ngpus: { gpu0: { program: [{ do: read, vpn: 0 }] } }\nthreads: [{ mm: p, program: [{ do: dontneed, vpn: 0 }] }]\nwithout: [nouveau_range_fault.mustWait]',
  ],
  [
    'device-exclusive/D20',
    'scenario: device-exclusive\ngpus: { gpu0: { program: [{ do: atomic, vpn: 0 }] } }\nthreads: [{ mm: p, program: [{ do: store, vpn: 0 }, { do: store, vpn: 0 }] }]\nwithout: [make_device_exclusive.flushes]',
  ],
];

describe('a file composes what a variant does', () => {
  test.each(twins)('%s', async (id, text) => {
    const [variant, file] = [shipped(id), read(text)];
    expect(file.system.actors.map(({ address, input, lane }) => [address, input, lane])).toEqual(
      variant.system.actors.map(({ address, input, lane }) => [address, input, lane]),
    );
    if (!/^with/m.test(text)) expect(file.system.digest).toBe(variant.system.digest);
    // N5.ends has a listener of its own that refuses.
    if (id === 'mmu-notifier/N5.ends') return;
    const limits = { all: true, maxStates: 30_000 };
    const [expected, found] = await Promise.all([check(subjectOf(variant), limits), check(subjectOf(file), limits)]);
    const verdicts = (result: typeof found) => result.properties.map(({ name, verdict, counterexample }) => [name, verdict, counterexample?.length]);
    expect(verdicts(found)).toEqual(verdicts(expected));
    expect(found.exploration.states).toBe(expected.exploration.states);
  });

  test('of every family', () => {
    expect(new Set(twins.map(([id]) => id.split('/')[0]))).toEqual(new Set(families.keys()));
  });
});

const race = 'scenario: tlb-shootdown\nthreads:\n  - program: [{ do: store, page: 0 }]\n  - program: [{ do: munmap }]\n';
const early = `${race}without: [unmap_page_range.flushesBeforeFree]\n`;

describe('safeguards', () => {
  test('what is out and what is in changes the digest, its order does not', () => {
    const digest = (more: string): string => read(race + more).system.digest;
    const digests = ['', 'without: [cpu.mayFlushRange]', 'with: [cpu.mayFlushRange]', 'without: [unmap_page_range.widen]'].map(digest);
    expect(new Set(digests).size).toBe(digests.length);
    expect(digest('without: [cpu.mayFlushRange, unmap_page_range.widen]')).toBe(digest('without: [unmap_page_range.widen, cpu.mayFlushRange]'));
    expect(digest('without: []')).toBe(digest(''));
  });

  test('an action does nothing', async () => {
    const { verdict, properties } = await check(subjectOf(read(`${race}without: [unmap_page_range.widen]\nexpect: { I3: violated }`)));
    expect(verdict).toBe('violated');
    expect(properties.find(({ name }) => name === 'I3')?.verdict).toBe('violated');
  });

  test('in every actor that runs the machine', () => {
    const { system } = read('scenario: gup-unbind\nbase: 1\ngups: 2\nwithout: [gup_fast.needsPagemap]');
    const guards = system.actors.flatMap(({ logic }) =>
      isMachine(logic) && logic.id === 'gup_fast' ? [(logic.implementations.guards as unknown as Record<string, () => boolean>).needsPagemap?.()] : [],
    );
    expect(guards).toEqual([false, false]);
  });
});

describe('what is asked and expected', () => {
  const outcome = async (text: string) => {
    const result = await check(subjectOf(read(text)));
    const { asExpected, unexpected, properties } = result;
    return { asExpected, unexpected, properties: Object.fromEntries(properties.map(({ name, verdict, expected }) => [name, `${verdict}/${expected}`])) };
  };

  test('nothing said: all is asked, and expected to hold', async () => {
    expect(await outcome(race)).toMatchObject({ asExpected: true, properties: { I3: 'holds/holds', I6: 'holds/holds', I11: 'holds/holds' } });
    expect(await outcome(early)).toMatchObject({ asExpected: false, unexpected: true, properties: { I3: 'violated/holds' } });
  });

  test('a violation expected: of the others nothing is', async () => {
    expect(await outcome(`${early}expect: { I3: violated }`)).toMatchObject({
      asExpected: true,
      properties: { I3: 'violated/violated', I6: 'inconclusive/null' },
    });
    expect(await outcome(`${race}expect: { I3: violated }`)).toMatchObject({ asExpected: false, unexpected: true, properties: { I3: 'holds/violated' } });
  });

  test('what is asked and not expected otherwise is to hold, and is decided', async () => {
    expect(await outcome(`${early}ask: [I3, I6]\nexpect: { I3: violated }`)).toMatchObject({
      asExpected: true,
      properties: { I3: 'violated/violated', I6: 'holds/holds', I11: 'holds/null' },
    });
    expect(await outcome(`${early}ask: [I3]`)).toMatchObject({ asExpected: false, unexpected: true });
  });

  test('a BUG state that nobody asked about ends a search; one to the end decides what was asked', async () => {
    const subject = subjectOf(read(`${early}ask: [I6]`));
    const [short, whole] = [await check(subject), await check(subject, { all: true })];
    expect(short).toMatchObject({ asExpected: false, unexpected: false });
    expect(whole).toMatchObject({ asExpected: true, unexpected: false });
    expect(whole.properties.map(({ name, verdict, expected }) => [name, verdict, expected])).toContainEqual(['I3', 'violated', null]);
  });

  test('invariants that are not asked are not looked at', () => {
    const notifier = 'scenario: mmu-notifier\ngpus: { gpu0: { program: [{ do: read, vpn: 0 }] } }\nthreads: [{ mm: p, program: [{ do: dontneed, vpn: 0 }] }]\n';
    const names = (text: string): string[] => read(text).system.properties.map(({ name }) => name);
    expect(names(notifier)).toEqual(['BUG', 'I1', 'I4', 'I5', 'I6', 'UAF', 'locked', 'I11', 'P']);
    expect(names(`${notifier}ask: [I6]`)).toEqual(['BUG', 'I5', 'I6', 'UAF', 'I11']);
    expect(read(`${notifier}ask: [I6]`).system.digest).toBe(read(notifier).system.digest);
  });
});

test('a file says what it asks, or its scenario does', () => {
  expect(read(`${race}title: What then?`).variant.summary).toBe('What then?');
  expect(read(race)).toMatchObject({
    id: 'my-race.yaml',
    parameters: {},
    system: { id: 'my-race.yaml' },
    variant: { summary: 'TLB shootdown and mmu_gather' },
  });
});

describe('whatever the schema allows is refused in a line or can be explored', () => {
  test.each([...families.keys()])('%s', (id) => {
    fc.assert(
      fc.property(fittingTo(scenarioSchema.$defs?.[id] ?? {}, scenarioSchema), (document) => {
        let found: Case;
        try {
          found = read(stringify(document, { aliasDuplicateObjects: false }));
        } catch (error) {
          expect((error as Error).name).toBe('UsageError');
          expect((error as Error).message).toMatch(/^my-race\.yaml:\d+:\d+: [^\n]+$/);
          return;
        }
        explore(found.system, { maxStates: 100 });
      }),
      { seed: 42, numRuns: 60 },
    );
  });
});
