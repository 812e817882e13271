import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promela } from '../../src/export/promela.js';
import { tla } from '../../src/export/tla.js';
import { tabled } from '../export/models.js';
import { call } from './call.js';
import { lockSystem } from './lock.js';

const folder = mkdtempSync(join(tmpdir(), 'shootdown-cli-export-'));
afterAll(() => rmSync(folder, { recursive: true }));
const exported = (...words: string[]) => call(['export', ...words], { cwd: folder });
const written = (name: string): string => readFileSync(join(folder, name), 'utf8');
const safe = tabled(lockSystem('lock/safe', true));

test('a model is printed', async () => {
  expect(await exported('lock/safe', '--to', 'promela')).toEqual({ code: 0, out: promela(safe), err: '' });
});

test('what a model of SPIN is', () => {
  expect(promela(tabled(lockSystem('lock/broken', false)))).toMatchSnapshot();
});

test('what a model of TLC is: a module, and behind its end the configuration', async () => {
  const { code, out, err } = await exported('lock/broken', '--to', 'tla');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatchSnapshot();
});

test('a model is written to a file, or to a directory under the name of its system', async () => {
  const says = 'lock/safe, 3 actors, 2 choices, 4 rows, 8 states\n';
  expect(await exported('lock/safe', '--to', 'promela', '--out', 'model')).toEqual({ code: 0, out: `model: ${says}`, err: '' });
  expect(await exported('lock/safe', '--to', 'promela', '--out', '.')).toEqual({ code: 0, out: `lock_safe.pml: ${says}`, err: '' });
  expect(await exported('lock/safe', '--to', 'tla', '--out', '.')).toEqual({ code: 0, out: `lock_safe.tla and lock_safe.cfg: ${says}`, err: '' });
  expect(await exported('lock/safe', '--to', 'tla', '--out', './Lock.tla')).toEqual({ code: 0, out: `./Lock.tla and Lock.cfg: ${says}`, err: '' });
  expect(readdirSync(folder).sort()).toEqual(['Lock.cfg', 'Lock.tla', 'lock_safe.cfg', 'lock_safe.pml', 'lock_safe.tla', 'model']);
  expect([written('model'), written('lock_safe.pml')]).toEqual([promela(safe), promela(safe)]);
  expect([written('Lock.tla'), written('Lock.cfg')]).toEqual([tla(safe, 'Lock').module, tla(safe).config]);
});

test('what is not searched to its end is not exported, and leaves no file', async () => {
  const before = readdirSync(folder);
  const err = 'shootdown: lock/safe is not exported, since not all of its states were seen: 5 states, limit: 5 states\n';
  expect(await exported('lock/safe', '--to', 'promela', '--max-states', '5', '--out', 'none.pml')).toEqual({ code: 3, out: '', err });
  expect(readdirSync(folder)).toEqual(before);
  writeFileSync(join(folder, 'old.pml'), 'old');
  const ended = AbortSignal.abort('SIGINT');
  const stopped = await call(['export', 'lock/safe', '--to', 'promela', '--out', 'old.pml'], { cwd: folder, signal: ended });
  expect(stopped).toEqual({ code: 3, out: '', err: expect.stringMatching(/^shootdown: lock\/safe is not exported, .*, interrupted\n$/) });
  expect(written('old.pml')).toBe('old');
});
