import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vmemmap } from '../../src/vmemmap/vmemmap.js';

const root = join(__dirname, '..', '..');
const kept = join(root, 'docs', 'images');
const fresh = mkdtempSync(join(tmpdir(), 'shootdown-vmemmap-pictures-'));
afterAll(() => rmSync(fresh, { recursive: true }));
const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'vmemmap-pictures.mjs'), fresh]);
const names = ['vmemmap-1g-4k.svg', 'vmemmap-2m-4k.svg', 'vmemmap-512m-64k.svg'];
const read = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8');

test('the pictures in docs are those that the script makes', () => {
  expect(status).toBe(0);
  expect(readdirSync(fresh).sort()).toEqual(names);
  expect(
    readdirSync(kept)
      .filter((name) => name.startsWith('vmemmap-'))
      .sort(),
  ).toEqual(names);
  for (const name of names) expect(read(kept, name)).toBe(read(fresh, name));
});

test.each([
  ['vmemmap-2m-4k.svg', 4096, 2 ** 21],
  ['vmemmap-1g-4k.svg', 4096, 2 ** 30],
  ['vmemmap-512m-64k.svg', 65536, 2 ** 29],
])('%s shows what is computed', (name, basePage, compound) => {
  const { structPages, vmemmapPages, possible } = vmemmap({ architecture: 'arm64', basePage, compound });
  const picture = read(kept, name);
  const n = (value = 0): string => value.toLocaleString('en');
  expect(picture).toContain(`${n(structPages)} struct pages of 64 bytes fill ${n(vmemmapPages)} vmemmap pages.`);
  expect(picture).toContain(`${n(vmemmapPages)} frames before; after, ${n(possible.devdax?.kept)} are kept and ${n(possible.devdax?.freed)} are freed.`);
  // The frame of page 1 has a reference for each pte.
  expect(picture).toContain(`>refcount ${n(vmemmapPages - 1)}<`);
  expect(picture.match(/>freed</g)).toHaveLength(vmemmapPages > 8 ? 4 : vmemmapPages - 2);
  expect(picture).toContain(`>to ${n(structPages - 1)}<`);
  for (const tag of ['title', 'desc']) expect(picture).toMatch(new RegExp(`<${tag} id="[\\w-]+">[^<]+</${tag}>`));
});
