import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, timeless } from './call.js';

const race = 'scenario: tlb-shootdown\nthreads:\n  - program: [{ do: store, page: 0 }]\n  - program: [{ do: munmap }]\n';
const early = `${race}title: What if the page is freed first?\nwithout: [unmap_page_range.flushesBeforeFree]\n`;

let cwd = '';
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'shootdown-'));
  mkdirSync(join(cwd, 'folder.yaml'));
  mkdirSync(join(cwd, 'lock'));
  for (const [name, text] of Object.entries({
    'safe.yaml': race,
    'early.yml': early,
    'expected.yaml': `${early}expect:\n  I3: violated\n`,
    'wrong.yaml': race.replace('munmap', 'munmpa'),
    'lock/safe.yaml': race,
    'huge.yaml': '#'.repeat(2 ** 22 + 1),
  }))
    writeFileSync(join(cwd, name), text);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const run = (words: string) => call(words.split(' '), { cwd });

test('check: what a file asks, whether it is as it expects, and the exit code', async () => {
  const { code, out, err } = await run('check safe.yaml expected.yaml');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(timeless(out)).toMatch(
    /^safe\.yaml: TLB shootdown and mmu_gather\n {2}tlb-shootdown {2}holds +as expected .*\n\nexpected\.yaml: What if the page is freed first\?\n {2}tlb-shootdown {2}violated +as expected .* I3 violated in \d+ steps\n\n2 checked: 2 as expected\n$/,
  );
  const unexpected = await run('check early.yml');
  expect(unexpected.code).toBe(1);
  expect(unexpected.out).toContain('UNEXPECTED');
  expect((await run('check safe.yaml --max-states 5')).code).toBe(3);
});

test('check --json goes by the path', async () => {
  const { out } = await run('check expected.yaml --json');
  expect(JSON.parse(out).results[0]).toMatchObject({
    id: 'expected.yaml',
    scenario: 'tlb-shootdown',
    variant: 'expected.yaml',
    parameters: {},
    verdict: 'violated',
    expected: 'violated',
    asExpected: true,
  });
});

test('show, run and replay; a token finds its file again', async () => {
  const shown = await run('show expected.yaml');
  expect(shown).toMatchObject({ code: 0, err: '' });
  expect(shown.out).toContain('=> BUG: a stale translation leads to a page that was freed');
  const played = await run('run safe.yaml --schedule random:3');
  expect(played).toMatchObject({ code: 0, err: '' });
  const [, token = ''] = /replay '(.*)'/.exec(played.out) ?? [];
  expect(token).toMatch(/^sd1:safe\.yaml~[0-9a-f]{8}~/);
  expect(await run(`replay ${token}`)).toMatchObject({ code: 0, err: '' });
  const { out } = await run('check expected.yaml --json');
  const found = JSON.parse(out).results[0].properties.find(({ name }: { name: string }) => name === 'I3').counterexample.token;
  const replayed = await run(`replay ${found}`);
  expect(replayed).toMatchObject({ code: 0, err: '' });
  expect(replayed.out).toContain('=> BUG: a stale translation');
  const recorded = await run(`run expected.yaml --schedule ${found}`);
  expect(recorded.out).toContain('=> BUG: a stale translation');
});

test('a token of a file that has changed is replayed with a remark, even where only a safeguard has', async () => {
  const { out } = await run('check expected.yaml --json');
  const [result] = JSON.parse(out).results;
  const { token } = result.properties.find(({ name }: { name: string }) => name === 'I3').counterexample;
  writeFileSync(join(cwd, 'expected.yaml'), race);
  const { err } = await run(`replay ${token}`);
  expect(err).toMatch(/^shootdown: expected\.yaml has changed since this schedule was recorded \(model [0-9a-f]{8}, now [0-9a-f]{8}\)/);
  writeFileSync(join(cwd, 'expected.yaml'), `${early}expect:\n  I3: violated\n`);
});

test('beside scenarios and in a folder that is named like one', async () => {
  const { code, out } = await run('check lock/safe lock/safe.yaml ./lock/safe.yaml');
  expect(code).toBe(0);
  expect(
    out
      .split('\n')
      .filter((line) => /^\S.*: /.test(line))
      .map((line) => line.split(': ')[0]),
  ).toEqual(['lock', 'lock/safe.yaml', './lock/safe.yaml', '3 checked']);
});

test.each([
  ['check nowhere.yaml', "there is no file 'nowhere.yaml'"],
  ['check ./nowhere.yml', "there is no file './nowhere.yml'"],
  ['check folder.yaml', "'folder.yaml' is a directory, not a scenario file"],
  ['check huge.yaml', "'huge.yaml' has 4194305 bytes, too many for a scenario file"],
  ['check safe.yaml wrong.yaml', "wrong.yaml:4:21: there is no path 'munmpa'; did you mean 'munmap'? (store, gup, munmap, mremap, truncate, switch, madvise)"],
  ['show ./wrong.yaml', "./wrong.yaml:4:21: there is no path 'munmpa'; did you mean 'munmap'? (store, gup, munmap, mremap, truncate, switch, madvise)"],
  ['check safe.yaml --param flush=ipi', "'safe.yaml' takes no parameters, so 'flush' cannot be set; only scenarios have parameters"],
  ['check safe.yaml#I3', "'safe.yaml' is one scenario, without parts such as '#I3'"],
  ['inspect safe.yaml', "the page has the shipped scenarios only, not 'safe.yaml'; a live system of your own is shown by 'shootdown run safe.yaml --inspect'"],
  ['show safe.yaml --property I33', "safe.yaml has no property 'I33'; did you mean 'I3'? (it has BUG, I3, I6, UAF, I11)"],
])('shootdown %s', async (words, line) => {
  expect(await run(words)).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
});
