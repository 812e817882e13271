import { check, subjectOf } from '../../src/check/check.js';
import { scenarios } from '../../src/scenarios/index.js';
import { build } from '../../src/scenarios/scenario.js';
import { protectSafeguards, writeProtectScenario } from '../../src/scenarios/write-protect.js';
import { call } from './call.js';

const ask = (words: string) => call(['safeguards', ...words.split(' ')], {}, scenarios);

interface PropertyDocument {
  name: string;
  verdict: string;
  steps: number | null;
}
interface SafeguardDocument {
  machine: string;
  name: string;
  kind: string;
  text: string | null;
  answers: boolean[];
  as: boolean[];
  outcome: string;
  properties: PropertyDocument[];
  error: string | null;
}
interface Document {
  format: string;
  id: string;
  parameters: object;
  reference: { properties: PropertyDocument[]; states: number; limit: string | null };
  safeguards: SafeguardDocument[];
  unasked: { machine: string; name: string }[];
  untried: object[];
}

async function document(words: string): Promise<Document> {
  const { code, out, err } = await ask(`${words} --json`);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out);
}

/** What is violated without each, in how many steps. */
const broken = ({ safeguards }: Document) =>
  Object.fromEntries(
    safeguards.map(({ machine, name, properties }) => [
      `${machine}.${name}`,
      properties.filter(({ verdict }) => verdict === 'violated').map(({ name: property, steps }) => `${property} ${steps}`),
    ]),
  );

test('the lock: every guard', async () => {
  expect(await call(['safeguards', 'lock', '--guards'])).toEqual({
    code: 0,
    err: '',
    out: `lock/safe, as it is: BUG, mutex, deadlock hold (8 states); the lock is taken by one exchange

  safeguard     answers        BUG                mutex              deadlock          what it sees to
  careful.free  no/yes -> no   holds              holds              broken in 1 step
  careful.free  no/yes -> yes  broken in 4 steps  broken in 2 steps  holds

1 safeguard: without 1 a property breaks
`,
  });
});

test('unbind of a dax device (A8): what rows A8b and A8c go without', async () => {
  const found = await document('gup-unbind/A8 --param gups=0 --only handle_mm_fault.*');
  expect(found).toMatchObject({ format: 'shootdown.safeguards/1', id: 'gup-unbind/A8', parameters: { gups: 0, flush: 'ipi' }, untried: [] });
  expect(broken(found)['handle_mm_fault.daxAlive']?.map((text) => text.split(' ')[0])).toEqual(['I1', 'I11', 'I2']);
  const srcu = await document('gup-unbind --of A8 --param gups=0 --only unbind.*');
  expect(broken(srcu)).toEqual({ 'unbind.waitsForSrcu': ['I1 27', 'I11 30', 'I2 31'], 'unbind.unmapsMappings': ['I2 28'], 'unbind.waitsForIdle': [] });
  expect(srcu.safeguards[0]).toMatchObject({
    kind: 'guard',
    text: 'faults that passed the check of DAXDEV_ALIVE are over before anything is unmapped',
    answers: [true],
    as: [false],
    outcome: 'broken',
    error: null,
  });
});

test('TLB shootdown (B0), which is the first that is expected to hold: rows B1 and B12', async () => {
  const { code, out, err } = await ask('tlb-shootdown');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.split('\n').slice(0, 3)).toEqual([
    'tlb-shootdown/B0, as it is: BUG, I3, I6, UAF, I11 hold (136 states); reference: clear, flush, free',
    '',
    '  safeguard                           answers    I3                  I11                 what it sees to',
  ]);
  const rows = out.split('\n').filter((line) => /^ {2}unmap_page_range\./.test(line));
  expect(rows.map((line) => line.trim().split(/ {2,}/).slice(0, 5).join(' | '))).toEqual([
    'unmap_page_range.clearsBeforeFlush | yes -> no | holds | holds | a flush that comes before the clear can',
    'unmap_page_range.exchangesPte | yes -> no | holds | holds | the walker may set D between a load and',
    'unmap_page_range.flushesPfnmap | no -> yes | holds | holds | once the VMA is unlinked its driver',
    'unmap_page_range.flushesBeforeFree | yes -> no | broken in 10 steps | holds | nothing is freed that a TLB still',
    'unmap_page_range.isNested | no -> yes | holds | holds | ptes that another gather has cleared',
    'unmap_page_range.widen | left out | broken in 11 steps | holds | what is not in the range is not flushed',
  ]);
  expect(out).toContain(`
Whichever is taken out, these hold:
  BUG, I6, UAF

Never asked here, so that nothing changes without them:
  page_allocator.canDrainMerging, flush_tlb_mm_range.isSwitching, unmap_page_range.invalidatesTable

13 safeguards: without 2 a property breaks, without 1 there is a deadlock, without 7 no verdict changes, 3 never asked
`);
});

const variantOf = (id: string) => writeProtectScenario.variants.find((variant) => variant.id === id) as (typeof writeProtectScenario.variants)[number];

test.each(['W2', 'W8.wait', 'W9', 'W1.file'])('write protection: the same as variant %s, which goes without one', async (without) => {
  const row = protectSafeguards.find((one) => one.without === without) as (typeof protectSafeguards)[number];
  const found = await document(`write-protect/${row.of} --only ${row.guard}`);
  const variant = variantOf(without);
  const { properties } = await check(subjectOf(build(writeProtectScenario, variant)), { all: true });
  const expected = properties.flatMap(({ name, counterexample }) => (counterexample ? [`${name} ${counterexample.length}`] : []));
  expect(broken(found)).toEqual({ [row.guard]: expected });
  expect(expected.map((text) => text.split(' ')[0])).toEqual(expect.arrayContaining(Object.keys(variant.expected)));
  expect(found.reference.properties.every(({ verdict }) => verdict === 'holds')).toBe(true);
});

test('a guard without which a machine does not run is told of with its error', async () => {
  const { out } = await ask('write-protect/W0 --only alloc_pages.*');
  expect(out).toMatch(/\nDoes not run:\n {2}alloc_pages\.mustFlush \(always yes\): machine 'alloc_pages'/);
  expect(out).toMatch(/\n1 safeguard: 1 cannot be replaced so\n$/);
  const [one] = (await document('write-protect/W0 --only alloc_pages.*')).safeguards;
  expect(one).toMatchObject({ outcome: 'does not run', properties: [], error: expect.stringContaining("speaks to 'null'") });
});

test('a limit that is hit is exit code 3, and verdicts are undecided', async () => {
  const { code, out } = await ask('tlb-shootdown --only unmap_page_range.flushesBeforeFree --max-states 20');
  expect(code).toBe(3);
  expect(out).toContain('limit reached: 20 states');
  expect(out).toMatch(/flushesBeforeFree +\? -> no +(undecided +){5}nothing is freed/);
  expect(out).toMatch(/\n1 safeguard: 1 undecided\n$/);
});

test('a Ctrl-C leaves what is not tried', async () => {
  const { code, out } = await call(['safeguards', 'lock', '--guards'], { signal: AbortSignal.abort() });
  expect(code).toBe(3);
  expect(out).toMatch(/\nNot tried, since it was interrupted:\n {2}careful\.free\n/);
});

test('colours on a terminal', async () => {
  const { out } = await call(['safeguards', 'lock', '--guards'], { stdoutIsTTY: true });
  expect(out).toContain('\u001b[31mbroken in 2 steps\u001b[39m');
  expect(out).toContain('\u001b[32mholds            \u001b[39m');
});
