import fc from 'fast-check';
import type { Result, Run } from 'sarif';
import type { AnyStateNode } from 'xstate';
import { type CheckOptions, type CheckResult, check, type Subject, subjectOf } from '../../src/check/check.js';
import { type Places, sarif } from '../../src/format/sarif.js';
import { message, plainText } from '../../src/format/sarif-text.js';
import { build, type Scenario, type Variant } from '../../src/scenarios/scenario.js';
import { actor, defineSystem } from '../../src/system/system.js';
import { lockScenario, lockSystem } from '../cli/lock.js';
import { machine } from '../systems/small.js';
import { waiting } from '../systems/waiting.js';
import { drawn } from './drawn.js';
import { readSarif } from './sarif-shape.js';

const [safe, broken] = lockScenario.variants as [Variant, Variant];

/** Places that say which state was asked for. */
const places: Places = {
  bases: { HERE: { uri: 'file:///here/' } },
  placeOf: (_: Subject, node: AnyStateNode | null) => ({
    uri: node ? `${node.machine.id}/${node.path.join('/')}` : 'none',
    base: 'HERE',
    region: { startLine: 1, startColumn: 1 },
  }),
};
const written = (results: readonly CheckResult[], incomplete: readonly string[] = []): Run =>
  readSarif(sarif(results, { version: '1.2.3', places, incomplete }));
const checked = (variant: Variant, options: CheckOptions = {}, scenario: Scenario = lockScenario): Promise<CheckResult> =>
  check(subjectOf(build(scenario, variant)), options);
const own = (id: string, atomic: boolean): Subject => ({ id: `./lock.mjs#${id}`, system: lockSystem(id, atomic), case: null });
const brief = ({ results = [] }: Run): (string | undefined)[][] => results.map(({ level, ruleId, message: { text } }) => [level, ruleId, text]);
const placeOf = ({ locations }: Result): string | undefined => locations?.[0]?.physicalLocation?.artifactLocation?.uri;

test('what came out as expected is no result; its rules say what was asked', async () => {
  const run = written([await checked(safe), await checked(broken)]);
  expect(run.results).toEqual([]);
  expect(run.tool.driver).toMatchObject({ name: 'Shootdown', version: '1.2.3' });
  expect(run.tool.driver.rules?.map(({ id }) => id)).toEqual(['lock/BUG', 'lock/mutex', 'lock/deadlock', 'inconclusive', 'unexpected-verdict']);
  expect(run.tool.driver.rules?.[1]).toMatchObject({
    shortDescription: { text: 'one path at a time is in the critical section' },
    fullDescription: { text: 'Can both paths be in the critical section? one path at a time is in the critical section' },
    defaultConfiguration: { level: 'error' },
    properties: { tags: ['concurrency', 'invariant'] },
  });
  expect(run.properties).toEqual({ summary: { checked: 2, asExpected: 2, unexpected: 0, inconclusive: 0 } });
  expect(run.invocations).toEqual([{ executionSuccessful: true }]);
});

test('an unexpected violation is an error with its diagram, its steps by lane, and the command that replays it', async () => {
  const run = written([await checked({ ...broken, expected: { mutex: 'holds' } })]);
  const [result] = run.results as [Result];
  const token = "shootdown replay 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f'";
  const sentence = 'lock/broken: mutex is violated in 4 steps, expected to hold: one path at a time is in the critical section.';
  expect(brief(run)).toEqual([['error', 'lock/mutex', `${sentence} Replay it: ${token}`]]);
  expect(result.message.markdown).toBe(
    drawn(`
      ${sentence}

      \`\`\`text
      CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      read_lock: word 0
                                             read_lock: word 0
      write_lock
                                             write_lock
      => mutex violated: one path at a time is in the critical section
      \`\`\`

      \`\`\`text
      ${token}
      \`\`\``),
  );
  expect(placeOf(result)).toBe('careless/write_lock');
  const { threadFlows = [] } = result.codeFlows?.[0] ?? {};
  expect(threadFlows.map(({ id, locations }) => [id, locations.map(({ location }) => location?.message?.text)])).toEqual([
    ['CPU 0 (a)', ['1. a: read_lock; a -> lock: read; lock -> a: lock word 0', '3. a: write_lock; a -> lock: set']],
    ['CPU 1 (b)', ['2. b: read_lock; b -> lock: read; lock -> b: lock word 0', '4. b: write_lock; b -> lock: set']],
  ]);
  expect(threadFlows[0]?.locations[1]).toMatchObject({
    executionOrder: 3,
    location: { logicalLocations: [{ name: 'write_lock', fullyQualifiedName: 'careless.write_lock' }] },
    state: { lock: { text: 'held' }, a: { text: 'critical' } },
  });
  expect(result.partialFingerprints).toEqual({ 'subjectAndRule/v1': 'lock/broken lock/mutex' });
  expect(result.properties).toEqual({
    id: 'lock/broken',
    parameters: { how: 'write', rounds: 1 },
    property: 'mutex',
    verdict: 'violated',
    expected: 'holds',
    steps: 4,
    loop: null,
    token: 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f',
  });
});

test('what holds and should not is an error without steps', async () => {
  const run = written([await checked({ ...safe, expected: { mutex: 'violated' } })]);
  expect(brief(run)).toEqual([
    ['error', 'lock/mutex', 'lock/safe: mutex holds in all of 8 states, expected to be violated: one path at a time is in the critical section.'],
  ]);
  expect(run.results?.[0]).not.toHaveProperty('codeFlows');
  expect(placeOf((run.results as [Result])[0])).toBe('none');
});

test('a verdict that is expected of no property in particular is reported as a whole', async () => {
  const result = await checked({ ...safe, expected: { gone: 'violated' } });
  expect(brief(written([result]))).toEqual([['error', 'unexpected-verdict', 'lock/safe: holds, expected: violated.']]);
});

test('an open question that came out violated is a note; what the table says nothing of is nothing', async () => {
  const all = { all: true };
  expect(brief(written([await checked({ ...broken, expected: { mutex: null } }, all)])).map(([level, rule]) => [level, rule])).toEqual([
    ['note', 'lock/BUG'],
    ['note', 'lock/mutex'],
  ]);
  // BUG is violated too, and not named.
  expect(brief(written([await checked(broken, all)]))).toEqual([]);
  const asked = await checked({ ...broken, expected: { mutex: 'violated', BUG: null } }, all);
  expect(brief(written([asked])).map(([level, rule]) => [level, rule])).toEqual([['note', 'lock/BUG']]);
  expect(placeOf((written([asked]).results as [Result])[0])).toBe('lock/bad_unlock');
});

test('a limit is a warning that says which and what is undecided', async () => {
  const run = written([await checked(safe, { maxStates: 2 })]);
  expect(brief(run)).toEqual([['warning', 'inconclusive', 'lock/safe: undecided after 3 states: BUG, mutex, deadlock (limit reached: 2 states).']]);
});

test('of a system of one’s own each violated property is an error', async () => {
  const results = [await check(own('one', false), { all: true }), await check(own('two', true))];
  const run = written(results);
  expect(brief(run).map(([level, rule, text]) => [level, rule, text?.split(':')[1]])).toEqual([
    ['error', 'one/BUG', ' BUG is violated in 6 steps'],
    ['error', 'one/mutex', ' mutex is violated in 4 steps'],
  ]);
  expect(run.tool.driver.rules?.map(({ id }) => id)).toEqual(
    ['one', 'two'].flatMap((id) => ['BUG', 'mutex', 'deadlock'].map((name) => `${id}/${name}`)).concat('inconclusive', 'unexpected-verdict'),
  );
});

test('systems of one name share their rules', async () => {
  const [one, other] = [own('same', false), own('same', true)];
  const described = { ...other.system, properties: other.system.properties.map((property) => ({ ...property, description: `other ${property.name}` })) };
  const run = written([await check(one), await check({ ...other, id: './other.mjs', system: described })]);
  expect(run.tool.driver.rules?.find(({ id }) => id === 'same/mutex')?.shortDescription?.text).toBe(
    'one path at a time is in the critical section; other mutex',
  );
});

test('a lasso says which steps repeat', async () => {
  const system = waiting(2);
  const run = written([await check(system)]);
  const [result] = run.results as [Result];
  expect(result.message.text).toMatch(/ is violated in \d+ steps \(\d+, then \d+ for ever\): /);
  expect(result.codeFlows?.[0]?.message?.text).toMatch(/^the last \d+ steps repeat for ever$/);
  expect(result.message.markdown).toContain('---- from here on, for ever');
  expect(result.properties?.loop).toBeGreaterThan(0);
});

test('a deadlock is shown where a path is stuck, and a violation from the start on has no steps', async () => {
  const stuck = machine({ id: 'stuck', initial: 'go', states: { go: { on: { step: 'wait' } }, wait: {} } });
  const run = written([await check(defineSystem({ id: 'jam', actors: { a: actor(stuck) } }))]);
  expect(run.results?.map((result) => [result.ruleId, placeOf(result)])).toEqual([['jam/deadlock', 'stuck/wait']]);
  const bad = machine({ id: 'bad', initial: 'oops', states: { oops: { tags: ['BUG'], description: 'never' } } });
  const atOnce = written([await check(defineSystem({ id: 'jam', actors: { a: actor(bad) } }))]);
  expect(atOnce.results?.map((result) => [result.ruleId, placeOf(result), result.properties?.steps])).toEqual([['jam/BUG', 'bad/oops', 0]]);
  expect(atOnce.results?.[0]).not.toHaveProperty('codeFlows');
});

test('a run that did not come to its end says why', () => {
  expect(written([], ['interrupted', '2 {variants} not checked']).invocations).toEqual([
    {
      executionSuccessful: false,
      toolExecutionNotifications: [
        { level: 'error', message: { text: 'interrupted' } },
        { level: 'error', message: { text: '2 {{variants}} not checked' } },
      ],
    },
  ]);
});

describe('texts', () => {
  const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
  const undoubled = (text: string): string => text.replace(/\{\{|\}\}/g, ([brace]) => brace as string);

  test('braces, links and Markdown stand for themselves', () => {
    expect(plainText('a {b: [c](d)}\n e [f]')).toBe('a {{b: \\[c\\](d)}} e \\[f\\]');
    expect(plainText('pte[0] {x}')).toBe('pte[0] {{x}}');
    expect(message({ sentence: 'a_b *c* <d>', diagram: '``` {x}', command: "run 'y'" })).toEqual({
      text: "a_b *c* <d> Replay it: run 'y'",
      markdown: "a\\_b \\*c\\* \\<d\\>\n\n````text\n``` {{x}}\n````\n\n```text\nrun 'y'\n```",
    });
  });

  test('law: a reader gets back what was said', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '(', ')', '\\', '`', '*', '\n', ' ', 'a', '1') }), (text) => {
        const plain = undoubled(plainText(text));
        const linked = /\]\(/.test(text);
        expect(linked ? plain.replace(/\\([\\[\]])/g, '$1') : plain).toBe(oneLine(text));
        // No link is left: each bracket that could close one is escaped.
        expect(plain.replace(/\\[\\[\]]/g, '')).not.toMatch(/\]\(/);
        const { markdown } = message({ sentence: 'x', diagram: text });
        const [, fence = '', inside = ''] = /^x\n\n(`{3,})text\n([\s\S]*)\n\1$/.exec(undoubled(markdown)) ?? [];
        if (text !== '') expect(inside).toBe(text);
        expect(fence === '' || !inside.includes(fence)).toBe(true);
      }),
    );
  });
});
