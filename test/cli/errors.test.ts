import type { Variant } from '../../src/scenarios/scenario.js';
import { call } from './call.js';
import { lockScenario } from './lock.js';

/** Every wrong call gives one line on standard error, nothing on standard output, and exit code 2. */
test.each([
  ['', "name a command: list, check, show, run, replay, trace, passdown, vmemmap, diff, safeguards, export or inspect ('shootdown --help' explains them)"],
  [
    'help nothing',
    "name a command: list, check, show, run, replay, trace, passdown, vmemmap, diff, safeguards, export or inspect ('shootdown --help' explains them)",
  ],
  ['chek', "unknown command 'chek'; did you mean 'check'?"],
  ['check --jso', "unknown option '--jso'; did you mean '--json'?"],
  ['check --max', "unknown option '--max'"],
  ['check --serif out.sarif', "unknown option '--serif'; did you mean '--sarif'?"],
  ['check lok', "there is no scenario 'lok'; did you mean 'lock'?"],
  ['check LOCK', "there is no scenario 'LOCK'; did you mean 'lock'?"],
  ['check something-else', "there is no scenario 'something-else'"],
  ['check lock/brokn', "scenario 'lock' has no variant 'brokn'; did you mean 'broken'?"],
  ['check lock/b', "scenario 'lock' has no variant 'b'; did you mean 'broken'?"],
  ['check lock/', "scenario 'lock' has no variant ''; did you mean 'safe'?"],
  ['check lock gup-*', "nothing matches 'gup-*' ('shootdown list' shows what there is)"],
  ['check lock/x*', "nothing matches 'lock/x*' ('shootdown list' shows what there is)"],
  ['check lock --param', "option '--param <name=value>' argument missing"],
  ['check lock --param how', "option '--param' takes name=value, not 'how'"],
  ['check lock --param =1', "option '--param' takes name=value, not '=1'"],
  ['check lock --param hw=write', "lock/safe: there is no parameter 'hw'; did you mean 'how'? (the scenario has how, rounds)"],
  ['check lock --param how=wrte', "lock/safe: 'wrte' is no value of parameter 'how'; did you mean 'write'? (it takes exchange, write)"],
  ['check lock --param rounds=9', "lock/safe: parameter 'rounds' takes a whole number from 1 to 3, not '9'"],
  ['check lock/safe --param how=write', "lock/safe: parameter 'how' is 'exchange' in this variant and cannot be set to 'write'"],
  ['check --max-states 0', "option '--max-states' takes a whole number from 1, not '0'"],
  ['check --max-states many', "option '--max-states' takes a whole number from 1, not 'many'"],
  ['check --max-states -1', "option '--max-states' takes a whole number from 1, not '-1'"],
  ['check --max-seconds soon', "option '--max-seconds' takes a number of seconds above 0, not 'soon'"],
  ['check --max-seconds 0', "option '--max-seconds' takes a number of seconds above 0, not '0'"],
  ['check --max-memory lots', "option '--max-memory' takes a size such as '512M' or '2G', not 'lots'"],
  ['check --max-memory 12X', "option '--max-memory' takes a size such as '512M' or '2G', not '12X'"],
  ['check --json --first', "option '--first' prints text and cannot be combined with '--json'"],
  ['check --json --verbose', "option '--verbose' prints text and cannot be combined with '--json'"],
  ['check --junit /nowhere/out.xml', "cannot write '/nowhere/out.xml': no such file or directory"],
  ['check --junit test', "cannot write 'test': illegal operation on a directory"],
  ['check --sarif /nowhere/out.sarif', "cannot write '/nowhere/out.sarif': no such file or directory"],
  ['check --sarif test', "cannot write 'test': illegal operation on a directory"],
  ['check --sarif', "option '--sarif <file>' argument missing"],
  ['list lock', "too many arguments for 'list'. Expected 0 arguments but got 1."],
  ['show', "missing required argument 'what'"],
  ['show lock', "'lock' names 2 systems and 'show' takes one, such as 'lock/safe'"],
  ['show lock/safe lock/broken', "too many arguments for 'show'. Expected 1 argument but got 2."],
  [
    'show lock/safe --format colums',
    "there is no format 'colums'; did you mean 'columns'? (the formats are columns, steps, times, mermaid, plantuml, shiviz, perfetto, itf, json)",
  ],
  ['show lock/safe --format columns,', "there is no format '' (the formats are columns, steps, times, mermaid, plantuml, shiviz, perfetto, itf, json)"],
  ['show lock/safe --property mutx', "lock/safe has no property 'mutx'; did you mean 'mutex'? (it has BUG, mutex, deadlock)"],
  ['diff lock/safe', "missing required argument 'b'"],
  ['diff lock/safe lock', "'lock' names 2 systems and 'diff' takes one, such as 'lock/safe'"],
  ['diff lock/safe lock/brokn', "scenario 'lock' has no variant 'brokn'; did you mean 'broken'?"],
  ['diff lock/safe lock/broken --all --json', "option '--json' cannot be used with option '--all'"],
  ['diff lock/safe lock/broken --param how=write', "lock/safe: parameter 'how' is 'exchange' in this variant and cannot be set to 'write'"],
  ['safeguards', "missing required argument 'what'"],
  ['safeguards lock', "lock/safe: its machines name no safeguards; '--guards' takes out every named guard"],
  ['safeguards lok', "there is no scenario 'lok'; did you mean 'lock'?"],
  ['safeguards lock/*', "'lock/*' names 2 systems and 'safeguards' takes one, such as 'lock/safe'"],
  ['safeguards lock --of brokn', "scenario 'lock' has no variant 'brokn'; did you mean 'broken'?"],
  ['safeguards lock/safe --of safe', "option '--of' chooses a variant of a scenario, and 'lock/safe' is not one"],
  ['safeguards lock --guards --only careful.fre', "lock/safe has no guard 'careful.fre'; did you mean 'careful.free'?"],
  ['safeguards lock --guards --only x*', "lock/safe has no guard 'x*'"],
  ['export lock/safe', "required option '--to <language>' not specified"],
  ['export lock/safe --to promla', "there is no language 'promla'; did you mean 'promela'? (the languages are promela, tla)"],
  ['export lock --to tla', "'lock' names 2 systems and 'export' takes one, such as 'lock/safe'"],
  ['export lock/safe --to tla --out lock.pml', "'lock.pml' is neither a directory nor a name for a module of TLA+, such as 'lock_safe.tla'"],
  [
    'export lock/safe --to tla --out test/lock-safe.tla',
    "'test/lock-safe.tla' is neither a directory nor a name for a module of TLA+, such as 'test/lock_safe.tla'",
  ],
  ['export lock/safe --to promela --out /nowhere/lock.pml', "cannot write '/nowhere/lock.pml': no such file or directory"],
  ['run lock/*', "'lock/*' names 2 systems and 'run' takes one, such as 'lock/safe'"],
  ['run lock/safe --schedule rondom:1', "'rondom:1' is no schedule; did you mean 'random'? (it takes random:SEED, round-robin, a token or a file)"],
  ['run lock/safe --schedule random', "'random' needs a seed, a whole number from 0 to 4294967295: 'random:1'"],
  ['run lock/safe --schedule random:x', "'random:x' needs a seed, a whole number from 0 to 4294967295: 'random:1'"],
  ['run lock/safe --schedule random:99999999999', "'random:99999999999' needs a seed, a whole number from 0 to 4294967295: 'random:1'"],
  ['run lock/safe --steps 1.5', "option '--steps' takes a whole number from 1 to 50000, not '1.5'"],
  ['replay nothing', "'nothing' is neither a schedule token (it begins with 'sd1:') nor a file"],
  ['replay test', "cannot read 'test': illegal operation on a directory"],
  ['replay package.json', "'package.json' is JSON, but not a document of the format 'shootdown.schedule/1' with a token"],
  ['replay jest.config.json', "'jest.config.json' is JSON, but not a document of the format 'shootdown.schedule/1' with a token"],
  ['replay scripts/build.mjs', "'scripts/build.mjs' holds no schedule: neither a token (it begins with 'sd1:') nor a document of 'show --format json'"],
  ['replay sd2:lock/safe~00000000~AA~0000', "token 'sd2:...' is of another version; this program reads 'sd1:'"],
  ['replay sd1:lock/safe~0000', "the token is malformed: it should read 'sd1:NAME~DIGEST~CHOICES~CHECK'; was it cut off in copying?"],
  ['replay sd1:lock/safe~00000000~AA~0000', 'the token is damaged: its check digits do not fit; copy it again'],
  ['check ./nowhere.mjs', "there is no module './nowhere.mjs'"],
  ['check nowhere.ts', "there is no module 'nowhere.ts'"],
  ['check ./test', "'./test' is a directory, not a module"],
  ['check test/', "'test/' is a directory, not a module"],
])('shootdown %s', async (words, line) => {
  expect(await call(words.split(' ').filter((word) => word !== ''))).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
});

test('an internal error says so, and shows its stack only when asked', async () => {
  const [variant] = lockScenario.variants;
  const failing = {
    ...lockScenario,
    variants: [
      {
        ...(variant as Variant),
        system: () => {
          throw new TypeError('broken\nin two');
        },
      },
    ],
  };
  const line = 'shootdown: internal error: broken in two (a defect of shootdown, not of your system; SHOOTDOWN_DEBUG=1 shows where)\n';
  expect(await call(['check'], {}, [failing])).toEqual({ code: 2, out: '', err: line });
  const { err } = await call(['check'], { env: { SHOOTDOWN_DEBUG: '1' } }, [failing]);
  expect(err.startsWith(`${line}TypeError: broken\nin two\n    at `)).toBe(true);
});

test('help and version are no errors', async () => {
  expect(await call(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
  const help = await call(['--help']);
  expect(help).toMatchObject({ code: 0, err: '' });
  for (const command of ['list', 'check', 'show', 'run', 'replay']) {
    expect(help.out).toContain(`  ${command} `);
    expect(await call([command, '--help'])).toMatchObject({ code: 0, err: '' });
  }
});
