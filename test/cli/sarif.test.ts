import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Location, Run } from 'sarif';
import { createMachine } from 'xstate';
import { scenarios } from '../../src/scenarios/index.js';
import type { Scenario, Variant } from '../../src/scenarios/scenario.js';
import { actor, defineSystem } from '../../src/system/system.js';
import { readSarif } from '../format/sarif-shape.js';
import { type Called, call } from './call.js';
import { lockScenario, lockSystem } from './lock.js';

const [safe, broken] = lockScenario.variants as [Variant, Variant];
const unexpected: Scenario[] = [{ ...lockScenario, variants: [safe, { ...broken, expected: { mutex: 'holds' } }] }];

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'shootdown-')));
afterAll(() => rmSync(directory, { recursive: true }));
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(directory, 'project-'));
});
const at = (name: string): string => join(folder, name);
const read = (name = 'out.sarif'): Run => readSarif(readFileSync(at(name), 'utf8'));
const addressOf = (location: Location | undefined): string => {
  const { artifactLocation = {}, region = {} } = location?.physicalLocation ?? {};
  return `${artifactLocation.uriBaseId ?? ''} ${artifactLocation.uri}:${region.startLine}`;
};
const addresses = ({ results = [] }: Run): string[] => results.map(({ locations }) => addressOf(locations?.[0]));

/** A module whose system gets stuck in its second state; its text is what is searched. */
const jam = 'const m = createMachine({\n  id: "jam",\n  initial: "go",\n  states: {\n    go: { on: { step: "stuck" } },\n    stuck: {},\n  },\n});\n';
const jamMachine = createMachine({ id: 'jam', initial: 'go', states: { go: { on: { step: 'stuck' } }, stuck: {} } });
const jamSystem = (id: string) => defineSystem({ id, actors: { a: actor(jamMachine) } });
const checking = (words: readonly string[], exported: Record<string, unknown> = { default: jamSystem('jam') }, cwd = folder): Promise<Called> =>
  call(['check', ...words], { cwd, importModule: async () => exported });

describe('together with --junit', () => {
  test('both are written at the end, and replace what was there', async () => {
    for (const name of ['out.sarif', 'out.xml']) writeFileSync(at(name), 'what was there before, and is longer than nothing'.repeat(1000));
    const then: string[] = [];
    const stdout = (): void => void then.push(readFileSync(at('out.sarif'), 'utf8').slice(0, 8));
    expect(await call(['check', '--junit', at('out.xml'), '--sarif', at('out.sarif')], { stdout, cwd: folder }, unexpected)).toMatchObject({
      code: 1,
      err: '',
    });
    expect(new Set(then)).toEqual(new Set(['what was']));
    expect(read().results?.map(({ ruleId, level }) => [ruleId, level])).toEqual([['lock/mutex', 'error']]);
    expect(readFileSync(at('out.xml'), 'utf8')).toContain('<testsuites name="shootdown" tests="2" failures="1"');
  });

  test('one full disk loses neither the results nor the other report', async () => {
    const { code, out, err } = await call(['check', '--junit', '/dev/full', '--sarif', at('out.sarif')], { cwd: folder }, unexpected);
    expect(out).toContain('2 checked: 1 as expected, 1 UNEXPECTED\n');
    expect({ code, err }).toEqual({ code: 2, err: "shootdown: cannot write '/dev/full': no space left on device\n" });
    expect(read().results).toHaveLength(1);
    const both = await call(['check', '--junit', '/dev/full', '--sarif', '/dev/full']);
    const full = "cannot write '/dev/full': no space left on device";
    expect([both.code, both.err]).toEqual([2, `shootdown: ${full}; ${full}\n`]);
  });

  test('one that cannot be opened leaves the other as it was', async () => {
    const wrong = "shootdown: cannot write '/nowhere/out.sarif': no such file or directory\n";
    expect(await call(['check', '--junit', at('new.xml'), '--sarif', '/nowhere/out.sarif'])).toEqual({ code: 2, out: '', err: wrong });
    expect(existsSync(at('new.xml'))).toBe(false);
    writeFileSync(at('old.xml'), 'old');
    await call(['check', '--junit', at('old.xml'), '--sarif', '/nowhere/out.sarif']);
    expect(readFileSync(at('old.xml'), 'utf8')).toBe('old');
  });

  test('one file for both is refused, however it is named', async () => {
    writeFileSync(at('old'), 'old');
    symlinkSync(at('old'), at('link'));
    for (const [one, other] of [
      ['new', 'new'],
      ['new', './new'],
      ['old', 'link'],
    ] as const) {
      const { code, out, err } = await call(['check', '--junit', one, '--sarif', other], { cwd: folder });
      const line = `shootdown: options '--junit' and '--sarif' name one file, '${other}'; give each its own\n`;
      expect({ code, out, err }).toEqual({ code: 2, out: '', err: line });
    }
    expect(existsSync(at('new'))).toBe(false);
    expect(readFileSync(at('old'), 'utf8')).toBe('old');
    expect(await call(['check', '--junit', '/dev/null', '--sarif', '/dev/null'])).toMatchObject({ code: 0, err: '' });
  });
});

test('a wrong call does not touch it', async () => {
  expect(await call(['check', 'lok', '--sarif', at('out.sarif')])).toMatchObject({ code: 2 });
  expect(existsSync(at('out.sarif'))).toBe(false);
});

test('an interrupted run has what it found, and says what is missing', async () => {
  const controller = new AbortController();
  const stdout = (text: string): void => (text.includes('broken') ? controller.abort() : undefined);
  const variants = [{ ...broken, expected: { mutex: 'holds' as const } }, safe];
  const { code } = await call(['check', '--sarif', at('out.sarif')], { stdout, cwd: folder, signal: controller.signal }, [{ ...lockScenario, variants }]);
  expect(code).toBe(1);
  const run = read();
  expect(run.results?.map(({ ruleId }) => ruleId)).toEqual(['lock/mutex']);
  expect(run.invocations).toEqual([
    {
      executionSuccessful: false,
      toolExecutionNotifications: ['interrupted', '1 variant not checked'].map((text) => ({ level: 'error', message: { text } })),
    },
  ]);
});

test('a model that turns out impure is told of in it; that it cannot be written does not hide that', async () => {
  const endless = () => {
    const system = lockSystem('lock/impure', true);
    return { ...system, limits: { ...system.limits, cascade: 1 } };
  };
  const impure = [{ ...lockScenario, variants: [safe, { ...broken, id: 'impure', system: endless }] }];
  const { code, err } = await call(['check', '--sarif', at('out.sarif')], { cwd: folder }, impure);
  expect(code).toBe(2);
  const [first, second] = read().invocations?.[0]?.toolExecutionNotifications ?? [];
  expect(`shootdown: ${first?.message.text}\n`).toBe(err);
  expect(second?.message.text).toBe('1 variant not checked');
  const full = await call(['check', '--sarif', '/dev/full'], {}, impure);
  expect(full).toMatchObject({ code: 2, err: `shootdown: cannot write '/dev/full': no space left on device\n${err}` });
});

describe('where a result is shown', () => {
  test('of a module: the line of the state, from the root of the repository', async () => {
    mkdirSync(at('sub dir'));
    mkdirSync(at('.git'));
    writeFileSync(at('sub dir/jam#1.mjs'), jam);
    expect(await checking(['./jam#1.mjs', '--sarif', '../out.sarif'], undefined, at('sub dir'))).toMatchObject({ code: 1, err: '' });
    const run = read();
    expect(addresses(run)).toEqual(['%SRCROOT% sub%20dir/jam%231.mjs:6']);
    expect(run.results?.[0]?.codeFlows?.[0]?.threadFlows[0]?.locations.map(({ location }) => addressOf(location))).toEqual([
      '%SRCROOT% sub%20dir/jam%231.mjs:5',
    ]);
    expect(run.originalUriBaseIds?.['%SRCROOT%']?.uri).toBe(`${pathToFileURL(folder).href}/`);
  });

  test('without a repository, from the folder; what lies outside has its whole address', async () => {
    mkdirSync(at('in'));
    writeFileSync(at('machine.mjs'), jam);
    writeFileSync(at('in/jam.mjs'), "import '../machine.mjs';");
    writeFileSync(at('in/other.mjs'), '// nothing here');
    await checking(['./jam.mjs', './other.mjs', '--sarif', '../out.sarif'], undefined, at('in'));
    expect(addresses(read())).toEqual([` ${pathToFileURL(at('machine.mjs')).href}:6`, '%SRCROOT% other.mjs:1']);
  });

  test('of a link, where it leads', async () => {
    writeFileSync(at('real.mjs'), jam);
    symlinkSync(at('real.mjs'), at('link.mjs'));
    await checking(['./link.mjs', '--sarif', 'out.sarif']);
    expect(addresses(read())).toEqual(['%SRCROOT% real.mjs:6']);
  });

  test('of several systems of a module, each by its name', async () => {
    writeFileSync(at('jam.mjs'), jam);
    await checking(['./jam.mjs', '--sarif', 'out.sarif'], { one: jamSystem('one'), two: jamSystem('two') });
    expect(read().results?.map(({ ruleId, partialFingerprints }) => [ruleId, partialFingerprints])).toEqual(
      ['one', 'two'].map((id) => [`${id}/deadlock`, { 'subjectAndRule/v1': `./jam.mjs#${id} ${id}/deadlock` }]),
    );
  });

  test('of a scenario: the file that states it, among the sources of the program', async () => {
    await call(['check', '--sarif', at('out.sarif')], { cwd: folder }, unexpected);
    expect(addresses(read())).toEqual(['SHOOTDOWN src/scenarios/lock.ts:1']);
  });

  test('in a checkout of the program: the line of the state, in machines/', async () => {
    const gupUnbind = scenarios.find(({ id }) => id === 'gup-unbind') as Scenario;
    const variant = gupUnbind.variants.find(({ expected }) => Object.values(expected).includes('violated')) as Variant;
    const others = Object.fromEntries(Object.keys(variant.expected).map((name) => [name, 'holds' as const]));
    await call(['check', '--sarif', at('out.sarif')], {}, [{ ...gupUnbind, variants: [{ ...variant, expected: others }] }]);
    const [result] = read().results ?? [];
    const steps = result?.codeFlows?.flatMap(({ threadFlows }) => threadFlows.flatMap(({ locations }) => locations)) ?? [];
    expect(steps.length).toBeGreaterThan(3);
    for (const { location } of steps) {
      expect(addressOf(location)).toMatch(/^%SRCROOT% machines\/.*\.ts:\d+$/);
      const { artifactLocation, region } = location?.physicalLocation ?? {};
      const line = readFileSync(artifactLocation?.uri as string, 'utf8').split('\n')[(region?.startLine ?? 0) - 1];
      expect(line?.trim()).toMatch(new RegExp(`^(${location?.logicalLocations?.[0]?.name}|id): `));
    }
  });
});

test('every shipped scenario is stated in the file of its name', () => {
  for (const { id } of scenarios) expect(readFileSync(join('src', 'scenarios', `${id}.ts`), 'utf8')).toContain(`id: '${id}',`);
});
