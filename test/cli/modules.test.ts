import { ModelError } from '../../src/system/errors.js';
import { call } from './call.js';
import { lockSystem } from './lock.js';

const path = 'test/fixtures/flag.mjs';
const safe = lockSystem('lock/safe', true);
const broken = lockSystem('lock/broken', false);

/** Checks a module that exports this (the file is there; what it exports is made up). */
const checking = (exported: Record<string, unknown> | (() => never), words = ['check', path, '--json']) =>
  call(words, { importModule: async () => (typeof exported === 'function' ? exported() : exported) });

const ids = async (exported: Record<string, unknown>, what = path): Promise<string[]> => {
  const { out, err } = await checking(exported, ['check', what, '--json']);
  expect(err).toBe('');
  return JSON.parse(out).results.map(({ id }: { id: string }) => id);
};

describe('the systems of a module', () => {
  test('one goes by the path of its module', async () => {
    expect(await ids({ default: safe })).toEqual([path]);
    expect(await ids({ system: safe, default: safe, other: 42 })).toEqual([path]);
  });

  test('several by path and id, wherever they are exported', async () => {
    const both = [`${path}#lock/safe`, `${path}#lock/broken`];
    expect(await ids({ a: safe, b: broken })).toEqual(both);
    expect(await ids({ default: [safe, broken] })).toEqual(both);
    expect(await ids({ systems: { safe, broken } })).toEqual(both);
    expect(await ids({ default: { systems: [safe, broken] } })).toEqual(both);
  });

  test('functions are asked only when there are none, and only those that need no arguments', async () => {
    const never = (): never => {
      throw new Error('not to be called');
    };
    expect(await ids({ make: never, default: safe })).toEqual([path]);
    expect(await ids({ default: () => [safe, broken] })).toEqual([`${path}#lock/safe`, `${path}#lock/broken`]);
    expect(await ids({ make: async () => safe, other: (needed: unknown) => never() || needed, Class: class {} })).toEqual([path]);
  });

  test('of a CommonJS module, whose exports stand under default too', async () => {
    const make = (): unknown => lockSystem('fresh', true);
    expect(await ids({ default: { make }, make, 'module.exports': { make } })).toEqual([path]);
    expect(await ids({ default: make, 'module.exports': make })).toEqual([path]);
  });

  test('one of several can be named, or some by a pattern', async () => {
    const both = { a: safe, b: broken };
    expect(await ids(both, `${path}#lock/broken`)).toEqual([`${path}#lock/broken`]);
    expect(await ids(both, `${path}#lock/*`)).toEqual([`${path}#lock/safe`, `${path}#lock/broken`]);
    expect(await ids({ a: safe }, `${path}#lock/safe`)).toEqual([path]);
  });
});

test('a system of one’s own is expected to hold', async () => {
  const { code, out } = await checking({ default: broken });
  const document = JSON.parse(out);
  expect(document.results[0]).toMatchObject({
    scenario: null,
    variant: null,
    row: null,
    parameters: {},
    verdict: 'violated',
    expected: 'holds',
    asExpected: false,
  });
  expect(document.summary).toEqual({ checked: 1, asExpected: 0, unexpected: 1, inconclusive: 0 });
  expect(code).toBe(1);
  const holding = await checking({ default: safe }, ['check', path]);
  expect(holding.out).toMatch(/^test\/fixtures\/flag\.mjs\n {2}lock\/safe {2}holds .* 8 states .*\n\n1 checked: 1 holds\n$/);
  expect(holding.code).toBe(0);
  expect((await checking({ default: broken }, ['check', path])).out).toMatch(/1 checked: 1 violated\n$/);
});

test('its tokens find it again', async () => {
  const exported = { a: safe, b: broken };
  const { out } = await checking(exported, ['run', `${path}#lock/broken`]);
  const [, token = ''] = /replay '(.*)'/.exec(out) ?? [];
  expect(token).toMatch(/^sd1:test\/fixtures\/flag\.mjs%23lock\/broken~/);
  const replayed = await checking(exported, ['replay', token]);
  expect(replayed).toMatchObject({ code: 1, err: '' });
  expect(replayed.out).toContain('=> mutex violated: one path');
});

describe('what is wrong with a module', () => {
  const failing = (error: unknown) => (): never => {
    throw error;
  };
  const coded = (code: string): Error => Object.assign(new TypeError('Unknown file extension'), { code });
  const ts = 'test/fixtures/typed.ts';

  test.each([
    [{}, path, `'${path}' exports no system (export what defineSystem returns, or a function that returns it)`],
    [{ default: { id: 'x', actors: [] } }, path, `'${path}' exports no system (export what defineSystem returns, or a function that returns it)`],
    [{ a: safe, b: lockSystem('lock/safe', true) }, path, `'${path}' exports two systems with the id 'lock/safe'; give each its own`],
    [{ a: safe, b: broken }, `${path}#lock/sfe`, `'${path}' exports no system with the id 'lock/sfe'; did you mean 'lock/safe'?`],
    [{ a: safe, b: broken }, `${path}#x*`, `nothing matches '${path}#x*'`],
    [failing(new TypeError('no such thing\nas this')), path, `importing '${path}' failed: TypeError: no such thing as this`],
    [failing('a string'), path, `importing '${path}' failed: a string`],
    [failing(new ModelError("machine 'm' (actor 'a'), state 's': no")), path, `${path}: machine 'm' (actor 'a'), state 's': no`],
    [
      failing(coded('ERR_UNKNOWN_FILE_EXTENSION')),
      ts,
      `'${ts}' is TypeScript, which this Node.js cannot import; compile it, or run with a loader (NODE_OPTIONS='--import tsx')`,
    ],
    [failing(coded('ERR_UNKNOWN_FILE_EXTENSION')), './package.json', "'./package.json' is no JavaScript module"],
    [{ make: failing(new RangeError('not today')) }, path, `${path}: its export 'make' was called for a system and threw: not today`],
    [{ make: failing(new ModelError('impure')) }, path, `${path}: impure`],
  ])('%#: one line', async (exported, what, line) => {
    expect(await checking(exported as Record<string, unknown>, ['check', what])).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
  });

  test('parameters, of which it has none', async () => {
    expect(await checking({ default: safe }, ['check', path, '--param', 'cpus=2'])).toEqual({
      code: 2,
      out: '',
      err: `shootdown: '${path}' takes no parameters, so 'cpus' cannot be set; only scenarios have parameters\n`,
    });
  });

  test('an error of another copy of this package counts as one of ours', async () => {
    const foreign = Object.assign(new Error('from elsewhere'), { name: 'ModelError' });
    expect((await checking(failing(foreign), ['check', path])).err).toBe(`shootdown: ${path}: from elsewhere\n`);
  });
});
