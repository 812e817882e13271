import { type CheckResult, check, counterexampleOf, subjectOf, tokenOf } from '../../src/check/check.js';
import { alwaysEventually, leadsTo } from '../../src/property/property.js';
import { build, type Expected, type Scenario, type Variant } from '../../src/scenarios/scenario.js';
import { replay, violatesNow } from '../../src/schedule/replay.js';
import { parseToken } from '../../src/schedule/token.js';
import type { System } from '../../src/system/system.js';
import { atomicWriter, lamps, lostUpdate, twoLocks } from '../systems/small.js';
import { waiting } from '../systems/waiting.js';

const variant = (id: string, expected: Record<string, Expected>, rest: Partial<Variant> = {}): Variant => ({
  id,
  row: id,
  summary: '',
  source: '',
  expected,
  system: () => lostUpdate(),
  ...rest,
});
const scenario = (...variants: Variant[]): Scenario => ({
  id: 'counting',
  title: '',
  question: '',
  parameters: { cpus: { description: '', default: 2, min: 1, max: 4 }, mode: { description: '', default: 'fast', values: ['fast', 'slow'] } },
  variants,
});
const checked = (tested: Variant, options = {}): Promise<CheckResult> => check(subjectOf(build(scenario(tested), tested)), options);
const verdicts = ({ verdict, asExpected, unexpected }: CheckResult): unknown => ({ verdict, asExpected, unexpected });

describe('a verdict', () => {
  test('holds when all states were seen and nothing is violated', async () => {
    const result = await check(lostUpdate(atomicWriter));
    expect(verdicts(result)).toEqual({ verdict: 'holds', asExpected: true, unexpected: false });
    expect(result.properties.map(({ name, verdict, counterexample }) => [name, verdict, counterexample])).toEqual([
      ['BUG', 'holds', null],
      ['sum', 'holds', null],
      ['deadlock', 'holds', null],
    ]);
    expect(result.exploration.exhausted).toBe(true);
  });

  test('is violated with a counterexample that was replayed live, whose token replays too', async () => {
    const system = lostUpdate();
    const result = await check(system);
    const { counterexample } = counterexampleOf(result) ?? {};
    expect([counterexample?.length, counterexample?.message]).toEqual([4, 'two writers that have finished left 2 in the cell']);
    const { name, parameters, digest, schedule } = parseToken(counterexample?.token ?? '');
    expect([name, parameters, digest]).toEqual(['lost-update', {}, system.digest.slice(0, 8)]);
    expect(violatesNow(replay(lostUpdate(), schedule), 'sum')).toBe(true);
  });

  test('of a system with several violations names each, and shows the shortest first', async () => {
    const result = await check(twoLocks(true), { all: true });
    expect(result.properties.map(({ name, verdict }) => `${name}: ${verdict}`)).toEqual(['BUG: holds', 'deadlock: violated']);
    expect(counterexampleOf(result)?.name).toBe('deadlock');
    expect(counterexampleOf(await check(lamps(2)))).toBeNull();
  });
});

describe('an expectation', () => {
  test.each<[string, Variant, unknown]>([
    ['that comes true: violated', variant('v', { sum: 'violated' }), { verdict: 'violated', asExpected: true, unexpected: false }],
    ['that comes true: holds', variant('v', {}, { system: () => lostUpdate(atomicWriter) }), { verdict: 'holds', asExpected: true, unexpected: false }],
    [
      'that does not: violated, but holds',
      variant('v', { sum: 'violated' }, { system: () => lostUpdate(atomicWriter) }),
      { verdict: 'holds', asExpected: false, unexpected: true },
    ],
    ['that does not: holds, but violated', variant('v', { sum: 'holds' }), { verdict: 'violated', asExpected: false, unexpected: true }],
    [
      'that does not: another property is violated than the one that should',
      variant('v', { sum: 'violated', deadlock: 'holds' }, { system: () => twoLocks(true) }),
      { verdict: 'violated', asExpected: false, unexpected: true },
    ],
    ['that is an open question', variant('v', { sum: null }), { verdict: 'violated', asExpected: true, unexpected: false }],
  ])('%s', async (_, tested, expected) => {
    expect(verdicts(await checked(tested))).toEqual(expected);
  });

  test('that a limit left undecided neither came true nor failed', async () => {
    expect(verdicts(await checked(variant('v', { sum: 'holds' }), { maxStates: 2 }))).toEqual({
      verdict: 'inconclusive',
      asExpected: false,
      unexpected: false,
    });
    expect(verdicts(await checked(variant('v', { sum: 'violated' }), { maxStates: 2 }))).toEqual({
      verdict: 'inconclusive',
      asExpected: false,
      unexpected: false,
    });
  });

  test('that a property holds takes all states, even when another is violated as expected', async () => {
    const result = await checked(variant('v', { sum: 'violated', deadlock: 'holds' }));
    expect(result.exploration.exhausted).toBe(true);
    expect(result.properties.map(({ name, verdict, expected }) => [name, verdict, expected])).toEqual([
      ['BUG', 'holds', null],
      ['sum', 'violated', 'violated'],
      ['deadlock', 'holds', 'holds'],
    ]);
    const stopped = await checked(variant('v', { sum: 'violated' }));
    expect(stopped.exploration.exhausted).toBe(false);
  });
});

describe('an eventuality', () => {
  const never = { ...lostUpdate(), id: 'never' };
  const ends = leadsTo<{ w0: { value: unknown } }>('ends', 'a writer that has finished begins again', {
    actors: ['w0'],
    when: ({ w0 }) => w0.value === 'finished',
    reach: ({ w0 }) => w0.value === 'reading',
  });
  const withEnds = (system = never): System => ({ ...system, properties: [...system.properties, ends] });
  const found = ({ properties }: CheckResult): unknown[] => properties.map(({ name, verdict }) => `${name}: ${verdict}`);

  test('that is violated has a lasso, and a token that replays it', async () => {
    const result = await check(withEnds(lostUpdate(atomicWriter)));
    const { name, counterexample } = counterexampleOf(result) ?? {};
    expect([name, counterexample?.length, counterexample?.lasso?.length]).toEqual(['ends', counterexample?.lasso?.stem, 0]);
    expect(counterexample?.message).toBe(ends.description);
    const { schedule } = parseToken(counterexample?.token ?? '');
    expect(violatesNow(replay(withEnds(lostUpdate(atomicWriter)), schedule), 'ends')).toBe(true);
    const loop = counterexampleOf(await check(waiting(2)));
    expect([loop?.name, loop?.counterexample?.length, loop?.counterexample?.lasso?.stem]).toEqual(['unbinds', 6, 2]);
    expect((await check(waiting(1))).verdict).toBe('holds');
  });

  test('of somebody’s own system is judged when nothing else is violated, or when the search goes on all the same', async () => {
    expect(found(await check(withEnds()))).toEqual(['BUG: inconclusive', 'sum: violated', 'deadlock: inconclusive', 'ends: inconclusive']);
    expect(found(await check(withEnds(), { all: true }))).toEqual(['BUG: holds', 'sum: violated', 'deadlock: holds', 'ends: violated']);
  });

  test('of which something is expected is judged, whatever else is violated first', async () => {
    const system = (): System => withEnds();
    const result = await checked(variant('v', { sum: 'violated', ends: 'violated' }, { system }));
    expect([found(result), verdicts(result)]).toEqual([
      ['BUG: holds', 'sum: violated', 'deadlock: holds', 'ends: violated'],
      { verdict: 'violated', asExpected: true, unexpected: false },
    ]);
    expect((await checked(variant('v', { sum: 'violated', ends: 'holds' }, { system }))).unexpected).toBe(true);
    expect(found(await checked(variant('v', { sum: 'violated' }, { system })))).toContain('ends: inconclusive');
  });

  test('is never put to the test when no state meets its premise; without a premise every state does', async () => {
    const premise = { ...ends, when: () => false };
    const always = alwaysEventually<{ w0: { value: unknown } }>('always', 'it ends', { actors: ['w0'], reach: ({ w0 }) => w0.value === 'finished' });
    const system = lostUpdate(atomicWriter);
    const result = await check({ ...system, properties: [...system.properties, premise, always] });
    expect(found(result)).toEqual(['BUG: holds', 'sum: holds', 'deadlock: holds', 'ends: holds', 'always: holds']);
    expect(result.vacuous).toEqual(['ends: no state meets its premise']);
  });
});

describe('the token of a schedule', () => {
  const tested = variant('v', {}, { fixed: { mode: 'slow' } });
  const subject = subjectOf(build(scenario(tested), tested, { cpus: 3 }));

  test('names the variant, and the parameters that are not fixed by it', () => {
    expect(parseToken(tokenOf(subject, [1, 0]))).toMatchObject({ name: 'counting/v', parameters: { cpus: '3' }, schedule: [1, 0] });
  });

  test("holds the system's digest, which changes with the model", () => {
    expect(parseToken(tokenOf(subject, [])).digest).toBe(lostUpdate().digest.slice(0, 8));
    expect(lostUpdate().digest).toBe(lostUpdate().digest);
    expect(
      new Set([lostUpdate().digest, lostUpdate(atomicWriter).digest, lamps(1).digest, lamps(2).digest, twoLocks(true).digest, twoLocks(false).digest]).size,
    ).toBe(6);
  });
});
