import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type ScheduleKind, schedules, violates } from '../../src/fast-check/index.js';
import { build, type Case, scenarios } from '../../src/scenarios/index.js';

/** A row of the table in docs/property-tests.md: of 20 seeds, the schedules that it took in the middle one, and in the worst. */
interface Row {
  id: string;
  property: string;
  median: number;
  worst: number;
}

const page = readFileSync(join(__dirname, '..', '..', 'docs', 'property-tests.md'), 'utf8');
const rows = [...page.matchAll(/^\| `([\w-]+\/[\w.-]+)` \| `([\w.]+)` \| (\d+) \| (\d+) \|$/gm)].map(
  ([, id = '', property = '', median, worst]): Row => ({ id, property, median: Number(median), worst: Number(worst) }),
);

function caseOf(id: string): Case {
  const [scenario, variant] =
    scenarios.flatMap((each) => each.variants.map((variant) => [each, variant] as const)).find(([each, { id: of }]) => `${each.id}/${of}` === id) ?? [];
  if (!scenario || !variant) throw new Error(`there is no variant ${id}`);
  return build(scenario, variant);
}

/** How many schedules were drawn until one violated the property; infinite if none of `most` did. */
function drawn(found: Case, property: string, kind: ScheduleKind, seed: number, most: number): number {
  const isViolated = violates(found, { property, on: 'tables' });
  const options = kind === 'towards' ? { kind, property } : { kind };
  const { failed, numRuns } = fc.check(
    fc.property(schedules(found, options), (schedule) => !isViolated(schedule)),
    { seed, numRuns: most, endOnFailure: true },
  );
  return failed ? numRuns : Number.POSITIVE_INFINITY;
}

const seeds = [...Array(20).keys()].map((n) => n + 1);

test('the page has a row for each of 20 broken variants', () => {
  expect(rows).toHaveLength(20);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(20);
  for (const { id, property } of rows) expect(caseOf(id).variant.expected[property]).toBe('violated');
});

test.each(rows.map((row) => [row.id, row] as const))('%s is found within as many schedules as the page says', (id, { property, median, worst }) => {
  const found = caseOf(id);
  const all = seeds.map((seed) => drawn(found, property, 'towards', seed, worst)).sort((a, b) => a - b);
  expect(all[seeds.length / 2]).toBeLessThanOrEqual(median);
  expect(all.at(-1)).toBeLessThanOrEqual(worst);
});

test('what the page says is not found at once is not', () => {
  expect(page).toContain('`tlb-shootdown/B15`');
  expect(drawn(caseOf('tlb-shootdown/B15'), 'I3', 'towards', 1, 20)).toBe(Number.POSITIVE_INFINITY);
});
