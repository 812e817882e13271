import { memunmapPages510, unbindDevdax } from '../../machines/index.js';
import { check, subjectOf } from '../../src/check/check.js';
import { UsageError } from '../../src/index.js';
import { build, type Case, expectedVerdict, gupUnbindSystem, reference, scenarios } from '../../src/scenarios/index.js';

const cases = scenarios.flatMap((scenario) => scenario.variants.map((variant) => [`${scenario.id}/${variant.id}`, build(scenario, variant)] as const));

/** Every row of the domain tables. There are no B4, B8, C8, E9, E14, and of part 2 no D5 and D16; Z9 is a step of the gather; Q1 and Q2 are questions of the text. */
const rows: Record<string, string[]> = {
  'gup-unbind': ['A0', 'A0d', 'A1', 'A2', 'A3', 'A3z', 'A4', 'A5', 'A6', 'A7', 'A8', 'A8a', 'A8b', 'A8c', 'A8d', 'A9', 'A9b', 'A10', 'A11', 'A12', 'A13'],
  'tlb-shootdown': ['B0', 'B1', 'B2', 'B3', 'B5', 'B5t', 'B6', 'B7', 'B9', 'B10', 'B11', 'B12', 'B13', 'B14', 'B15', 'Z9'],
  luf: [
    ...['L0', 'L0a', 'L0b', 'L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8', 'L8a', 'L8b', 'L9', 'L10', 'L11', 'L12', 'L13', 'L14', 'L15', 'L15a'],
    ...['L16', 'L17', 'L18', 'L19', 'L20', 'L21'],
  ],
  'luf-free': ['free'],
  'device-exclusive': [
    ...['D0', 'D1', 'D2', 'D3', 'D4', 'D6a', 'D6b', 'D7', 'D8', 'D9', 'D10', 'D11', 'D12', 'D12f', 'D13', 'D14', 'D15', 'D17', 'D18', 'D19', 'D20', 'D21'],
    ...['Q1', 'Q2'],
  ],
  'mmu-notifier': ['N0', 'N1', 'N2', 'N3', 'N4', 'N5', 'N6'],
  'write-protect': ['W0', 'W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W6r', 'W7', 'W8', 'W9', 'W10', 'W11', 'W12', 'W13', 'W14', 'W15', 'W16'],
  'passdown-mapping': ['PA', 'PB', 'PC', 'PD', 'PE'],
  'compound-page': ['D0', 'D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7', 'D8', 'D9', 'D10', 'D11'],
  vmemmap: ['E0', 'E1', 'E2', 'E3', 'E4', 'E5', 'E6', 'E7', 'E8', 'E10', 'E11', 'E12', 'E13', 'E15'],
  'vmemmap-predicates': ['unaware', 'shift0', 'rework', 'enabled', 'merged', 'override'],
  'percpu-ref': ['C0', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C9', 'C10', 'C11', 'C12', 'C13'],
};

test.each(Object.entries(rows))('%s has a variant for every row of its table', (id, expected) => {
  const scenario = scenarios.find((candidate) => candidate.id === id);
  expect([...new Set(scenario?.variants.map(({ row }) => row))]).toEqual(expected);
});

test.each(scenarios.map((scenario) => [scenario.id, scenario] as const))(
  '%s: variants have unique names, a summary, a source and an expectation',
  (_, { variants }) => {
    expect(new Set(variants.map(({ id }) => id)).size).toBe(variants.length);
    for (const variant of variants) {
      expect(variant.summary).not.toBe('');
      expect(variant.source).toContain(variant.row);
      // What no row says is an open question.
      if (!Object.values(variant.expected).includes(null)) expect(expectedVerdict(variant)).not.toBeNull();
      const names = cases.find(([, found]) => found.variant === variant)?.[1].system.properties.map(({ name }) => name);
      expect(Object.keys(variant.expected).filter((name) => !names?.includes(name))).toEqual([]);
    }
  },
);

// Each counterexample is replayed on live XState within `check`, which throws if it does not violate there too.
test.each(cases)('%s has the verdict of the table', async (_, found: Case) => {
  const result = await check(subjectOf(found));
  const judged = result.properties.filter(({ expected }) => expected !== null).map(({ name, verdict }) => [name, verdict]);
  expect(judged).toEqual(result.properties.filter(({ expected }) => expected !== null).map(({ name, expected }) => [name, expected]));
  if (result.expected !== null) expect(result.verdict).toBe(result.expected);
  expect(result.asExpected).toBe(true);
  // A verdict on a question that was never asked is worth nothing.
  const silent = result.properties.some(({ name, verdict }) => name.endsWith('.silent') && verdict === 'holds');
  // Only a debug mode that warns can warn for nothing.
  // A device that is never served maps nothing, and an fsync that does not return promises nothing.
  const unserved = result.verdict === 'violated' && result.exploration.exhausted;
  expect(result.vacuous.filter((text) => !(silent && /\.sound: /.test(text)) && !(unserved && /^(I6|durable): /.test(text)))).toEqual([]);
  if (result.verdict === 'holds') expect(result.exploration.ignoredMessages).toEqual([]);
  const { states, transitions, depth } = result.exploration;
  const lengths = Object.fromEntries(result.properties.flatMap(({ name, counterexample }) => (counterexample ? [[name, counterexample.length]] : [])));
  expect({ states, transitions, depth, lengths }).toMatchSnapshot();
});

const safe = (id: string): [string, Case] => {
  const scenario = scenarios.find((candidate) => id.startsWith(`${candidate.id}/`));
  const variant = scenario?.variants.find((candidate) => `${scenario.id}/${candidate.id}` === id);
  if (!scenario || !variant) throw new Error(`no ${id}`);
  return [id, build(scenario, variant)];
};

/** Parameters that must not change a verdict. */
test.each([
  ['gup-unbind/A0', { flush: 'broadcast' }],
  ['gup-unbind/A0', { gups: 2 }],
  ['gup-unbind/A0d', { flush: 'broadcast' }],
  ['gup-unbind/A0d', { mapped: 0 }],
  ['gup-unbind/A0d', { ref: 'atomic' }],
  ['gup-unbind/A0d', { gups: 2 }],
  ['gup-unbind/A3.ipi', { gups: 2 }],
  ['gup-unbind/A3.ipi', { mapped: 0 }],
  ['gup-unbind/A3z', { gups: 2 }],
  ['gup-unbind/A3z', { flush: 'broadcast' }],
  ['gup-unbind/A4.ipi', { gups: 2 }],
  ['gup-unbind/A6.percpu', { gups: 2 }],
  ['gup-unbind/A6.percpu', { flush: 'broadcast' }],
  ['gup-unbind/A8', { flush: 'broadcast' }],
  ['gup-unbind/A8', { mapped: 0 }],
  ['gup-unbind/A8', { flush: 'broadcast', mapped: 0 }],
  ['gup-unbind/A8', { flush: 'broadcast', gups: 2 }],
  ['gup-unbind/A8a.ipi', { mapped: 0 }],
  ['gup-unbind/A10.scan', { flush: 'broadcast' }],
  ['tlb-shootdown/B0', { cpus: 4 }],
  ['tlb-shootdown/B0', { cpus: 3, pages: 4 }],
  ['tlb-shootdown/B0', { flush: 'broadcast', cpus: 3, pages: 2 }],
  ['tlb-shootdown/B0', { tables: 'rcu', cpus: 3 }],
  ['tlb-shootdown/B0', { tables: 'sync', cpus: 3 }],
  ['tlb-shootdown/B0', { tables: 'direct', cpus: 3 }],
  ['tlb-shootdown/B0', { tables: 'rcu', flush: 'broadcast' }],
  ['tlb-shootdown/B0', { tables: 'sync', flush: 'broadcast' }],
  ['tlb-shootdown/B0', { tables: 'direct', flush: 'broadcast' }],
  ['tlb-shootdown/B0.self', { flush: 'broadcast', pages: 2 }],
  ['tlb-shootdown/B0.batch', { flush: 'broadcast' }],
  ['tlb-shootdown/B0.batch', { cpus: 3, pages: 3 }],
  ['tlb-shootdown/B1', { flush: 'broadcast', pages: 2 }],
  ['tlb-shootdown/B2', { flush: 'broadcast', cpus: 3 }],
  ['tlb-shootdown/B3.mask-first', { cpus: 3 }],
  ['tlb-shootdown/B3.mask-first', { pages: 2 }],
  ['tlb-shootdown/B5.compare', { cpus: 3 }],
  ['tlb-shootdown/B5.compare', { pages: 2 }],
  ['tlb-shootdown/B5t.all', { cpus: 3 }],
  ['tlb-shootdown/B7', { flush: 'broadcast' }],
  ['tlb-shootdown/B7.nested', { flush: 'broadcast' }],
  ['tlb-shootdown/B9', { cpus: 3 }],
  ['tlb-shootdown/B9.irqs-on', { cpus: 3 }],
  ['tlb-shootdown/B10', { cpus: 3 }],
  ['tlb-shootdown/B10.irqs-on', { cpus: 3 }],
  ['tlb-shootdown/B11.rcu', { cpus: 3 }],
  ['tlb-shootdown/B11.sync', { cpus: 3 }],
  ['tlb-shootdown/B11.ipi', { cpus: 3 }],
  ['tlb-shootdown/B12', { flush: 'broadcast' }],
  ['tlb-shootdown/B13', { flush: 'broadcast' }],
  ['tlb-shootdown/B13.exchange', { flush: 'broadcast', pages: 2 }],
  ['tlb-shootdown/B13.exchange', { cpus: 3 }],
  ['tlb-shootdown/B14', { flush: 'broadcast' }],
  ['tlb-shootdown/B14.invalidate', { flush: 'broadcast', cpus: 3 }],
  ['tlb-shootdown/B15', { flush: 'broadcast' }],
  ['tlb-shootdown/B15.flush', { flush: 'broadcast' }],
  ['tlb-shootdown/Z9', { flush: 'broadcast' }],
  ['tlb-shootdown/Z9.flush', { flush: 'broadcast' }],
  ['compound-page/D0', { flush: 'broadcast' }],
  ['compound-page/D0', { subpages: '8' }],
  ['compound-page/D0.pages', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D1', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D2', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D3', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D4.broadcast', { subpages: '8' }],
  ['compound-page/D4.ipi', { subpages: '8' }],
  ['compound-page/D4.again', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D4.devdax', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D5', { subpages: '8' }],
  ['compound-page/D5.pages', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D6', { subpages: '8' }],
  ['compound-page/D6.head', { subpages: '8' }],
  ['compound-page/D7.pointer', { subpages: '8' }],
  ['compound-page/D7.mask', { subpages: '8' }],
  ['compound-page/D8.poison', { subpages: '8' }],
  ['compound-page/D8.boot', { flush: 'broadcast' }],
  ['compound-page/D8.init', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D9.broadcast', { subpages: '8' }],
  ['compound-page/D9.ipi', { subpages: '8' }],
  ['compound-page/D9.deferred', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D9.before', { flush: 'broadcast', subpages: '8' }],
  ['compound-page/D10.smaller', { subpages: '8' }],
  ['compound-page/D11', { flush: 'broadcast', subpages: '8' }],
  ...(['E0', 'E0.hash', 'E1', 'E2', 'E3', 'E4', 'E4.readonly', 'E5', 'E6', 'E7', 'E8', 'E11', 'E12', 'E13', 'E15'] as const).map(
    (id) => [`vmemmap/${id}`, { debug_vm: 1 }] as const,
  ),
  ['luf/L1', { debug: 'none' }],
  ['luf/L9.strict', { debug: 'none' }],
  ['luf/L18', { debug: 'rules' }],
  ['percpu-ref/C0.tryget_live', { users: 3 }],
  ['percpu-ref/C0.tryget', { users: 3 }],
  ['percpu-ref/C7.unhash-first', { users: 3 }],
] as const)('%s with %o has the same verdict', async (id, parameters) => {
  const [, { scenario, variant }] = safe(id);
  const result = await check(subjectOf(build(scenario, variant, parameters)));
  expect(result.asExpected).toBe(true);
  expect(result.exploration.exhausted || result.verdict === 'violated').toBe(true);
});

test('what tells variants of a row apart is one parameter or one safeguard', () => {
  const flips: [string, string, string][] = [
    ['gup-unbind/A3.broadcast', 'gup-unbind/A3.ipi', 'flush'],
    ['gup-unbind/A4.broadcast', 'gup-unbind/A4.ipi', 'flush'],
    ['gup-unbind/A6.atomic', 'gup-unbind/A6.percpu', 'ref'],
    ['gup-unbind/A8a.broadcast', 'gup-unbind/A8a.ipi', 'flush'],
    ['gup-unbind/A9b.ordinary', 'gup-unbind/A9b.devmap', 'base'],
    ['tlb-shootdown/B11', 'tlb-shootdown/B11.ipi', 'flush'],
    ['tlb-shootdown/B11', 'tlb-shootdown/B11.rcu', 'tables'],
    ['tlb-shootdown/B11', 'tlb-shootdown/B11.sync', 'tables'],
  ];
  for (const [one, other, name] of flips) {
    const [a, b] = [safe(one)[1], safe(other)[1]].map(({ parameters }) => JSON.parse(JSON.stringify({ ...parameters, mapped: 1 })));
    expect(Object.keys(a).filter((key) => a[key] !== b[key])).toEqual([name]);
  }
});

test.each(['ipi', 'broadcast'] as const)('devdax up to 5.17 is safe beside a munmap whose gather clears the pte first (%s)', async (flush) => {
  const devdax = { base: 1, pinsHoldPagemap: true, pin: false, unbind: unbindDevdax, memunmap: memunmapPages510, munmap: true, flush } as const;
  expect((await check(gupUnbindSystem('nested', { ...reference, ...devdax }))).verdict).toBe('holds');
});

test.each([
  ['tlb-shootdown/B0', { cpus: 0 }, "parameter 'cpus' takes a whole number from 2 to 6, not '0'"],
  ['tlb-shootdown/B0', { cpus: 7 }, "parameter 'cpus' takes a whole number from 2 to 6, not '7'"],
  ['tlb-shootdown/B0', { pages: 5 }, "parameter 'pages' takes a whole number from 1 to 4, not '5'"],
  ['tlb-shootdown/B0', { pages: 'two' }, "parameter 'pages' takes a whole number from 1 to 4, not 'two'"],
  ['tlb-shootdown/B0', { tables: 'rcy' }, "'rcy' is no value of parameter 'tables'; did you mean 'rcu'? (it takes kept, rcu, sync, direct)"],
  ['tlb-shootdown/B0', { ref: 'atomic' }, "there is no parameter 'ref' (the scenario has flush, cpus, pages, tables)"],
  ['tlb-shootdown/B1', { tables: 'rcu' }, "parameter 'tables' is 'kept' in this variant and cannot be set to 'rcu'"],
  ['tlb-shootdown/B3', { flush: 'broadcast' }, "parameter 'flush' is 'ipi' in this variant and cannot be set to 'broadcast'"],
  ['tlb-shootdown/B6', { cpus: 2 }, "parameter 'cpus' is at least 3 in this variant, not '2'"],
  ['tlb-shootdown/B0.batch', { pages: 1 }, "parameter 'pages' is at least 2 in this variant, not '1'"],
])('%s refuses %o', (id, parameters, message) => {
  const [, { scenario, variant }] = safe(id);
  expect(() => build(scenario, variant, parameters as never)).toThrow(new UsageError(`${id}: ${message}`));
});
