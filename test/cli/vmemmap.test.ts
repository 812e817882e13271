import { architectures } from '../../src/vmemmap/architectures.js';
import { vmemmap } from '../../src/vmemmap/vmemmap.js';
import { call } from './call.js';

const ask = (words = '') => call(['vmemmap', ...words.split(' ').filter((word) => word !== '')]);

test('without an architecture: what sizes allow, and who does it', async () => {
  const { code, out, err } = await ask();
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(
    out
      .split('\n')
      .slice(1, 20)
      .map((line) => line.trim().split(/ {2,}/).join(' | ')),
  ).toEqual([
    'page | compound | struct pages | memmap | vmemmap pages | devdax | hugetlb | devdax saves per TiB',
    '4K | 2M | 512 | 32 KiB | 8 | 2 / 6 | 1 / 7 | 12 GiB of 16 GiB',
    '4K | 1G | 262,144 | 16 MiB | 4,096 | 2 / 4,094 | 1 / 4,095 | 15.99 GiB of 16 GiB',
    '16K | 2M | 128 | 8 KiB | 0.5 | none possible | none possible | 0',
    '16K | 32M | 2,048 | 128 KiB | 8 | 2 / 6 | 1 / 7 | 3 GiB of 4 GiB',
    '64K | 2M | 32 | 2 KiB | 1/32 | none possible | none possible | 0',
    '64K | 512M | 8,192 | 512 KiB | 8 | 2 / 6 | 1 / 7 | 0.75 GiB of 1 GiB',
    '64K | 1G | 16,384 | 1 MiB | 16 | 2 / 14 | 1 / 15 | 0.875 GiB of 1 GiB',
    '64K | 16G | 262,144 | 16 MiB | 256 | 2 / 254 | 1 / 255 | 0.99 GiB of 1 GiB',
    '',
    'Who shares (Linux 7.3)',
    'architecture | page | devdax | hugetlb | vmemmap is mapped in',
    'x86_64 | 4K | yes | yes | init_mm; new top-level entries are copied to every mm',
    'powerpc-radix | 64K, 4K | yes | no | init_mm',
    'powerpc-hash | 64K, 4K | no | no | bolted hash entries (hash__vmemmap_create_mapping), not init_mm',
    'riscv64 | 4K | yes | yes | init_mm; the top level is allocated beforehand',
    'arm64 | 4K, 16K, 64K | no | no | init_mm',
    'loongarch | 16K, 4K, 64K | no | yes | init_mm; vmemmap_free() is empty',
    's390 | 4K | no | no | init_mm, whose region and segment tables are 16K, and in which an entry of zeros is valid',
  ]);
});

test('one architecture: verdict, conditions, numbers, cases', async () => {
  const { code, out, err } = await ask('powerpc-hash --base-page 64K --compound 1G --device 1T');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toBe(`powerpc-hash, 1G compounds of 64K pages, struct page of 64 bytes: devdax shares no struct pages
  mapped in  bolted hash entries (hash__vmemmap_create_mapping), not init_mm
  populated  __vmemmap_populate(), with a linked list of the blocks behind it
  section    16 MiB

vmemmap_can_optimize (Linux 7.3)
  yes  the architecture opts in                   ARCH_WANT_OPTIMIZE_DAX_VMEMMAP is selected if PPC_RADIX_MMU, in a kernel for both MMUs
  no   its own vmemmap_can_optimize() agrees      only if radix_enabled()
  yes  the size of struct page is a power of two  64 bytes
  yes  no altmap                                  the struct pages are in system memory
  yes  more than 2 vmemmap pages for a compound   16

For each compound
  struct pages              16,384
  memmap                    1 MiB
  vmemmap pages             16
  frames, devdax            none (possible: 2 kept, 14 freed)
  frames, hugetlb           none (possible: 1 kept, 15 freed); ARCH_WANT_OPTIMIZE_HUGETLB_VMEMMAP is not selected
  devdax saves per TiB      0 of 1 GiB (possible: 0.875 GiB of 1 GiB)
  of a device of 1T         0 of 1 GiB
  struct pages initialised  16,384

Populate and init: one predicate decides both, so it is full/full
  dedup/dedup  wrong  no struct page is mapped, unless a block of 16M that is bolted for RAM covers it: ptes in init_mm are filled, which the hash MMU never looks at; the first store faults, in the head struct page (0x38 bytes into one of 64)
* full/full    ok     correct
  full/dedup   wrong  struct pages 2048 to 16383 of each compound hold poison (DEBUG_VM) or what boot left there: a garbage head, a wrong refcount
  dedup/full   wrong  no struct page is mapped, unless a block of 16M that is bolted for RAM covers it: ptes in init_mm are filled, which the hash MMU never looks at; the first store faults, in the head struct page (0x38 bytes into one of 64)
`);
});

test('what is saved of a device, and the section of x86_64', async () => {
  const { out } = await ask('x86_64 --compound 1G --device 4T');
  expect(out).toMatch(/^x86_64, 1G compounds of 4K pages, struct page of 64 bytes: devdax shares tail struct pages\n/);
  expect(out).toContain('\n  section    128 MiB\n');
  expect(out).toContain('\n  of a device of 4T         63.96 GiB of 64 GiB\n');
  expect(out).toContain('\n* dedup/dedup  ok     correct\n');
});

test('the section is that of the size of base page', async () => {
  expect((await ask('arm64 --base-page 16K')).out).toContain('\n  section    128 MiB\n');
  expect((await ask('arm64 --base-page 64K --compound 512M')).out).toContain('\n  section    512 MiB\n');
  expect((await ask('sparc64')).out).toContain('\n  section    1 GiB\n');
});

test('struct pages of 72 bytes and an altmap are answered', async () => {
  const { code, out } = await ask('x86_64 --struct-page 72 --altmap');
  expect(code).toBe(0);
  expect(out).toContain('struct page of 72 bytes, altmap: devdax shares no struct pages\n');
  expect(out).toMatch(/\n {2}no {3}the size of struct page is a power of two {2}72 bytes, so that/);
  expect(out).toContain('\n  frames, devdax            none possible\n');
});

test('the base page is the usual one unless it is said', async () => {
  for (const { id, basePages } of architectures) expect(JSON.parse((await ask(`${id} --json`)).out).basePage).toBe(basePages[0]);
});

test('--json prints one document', async () => {
  const one = await ask('x86_64 --compound 1G --struct-page 128 --device 1G --altmap --json');
  expect(JSON.parse(one.out)).toEqual({
    format: 'shootdown.vmemmap/1',
    ...vmemmap({ architecture: 'x86_64', basePage: 4096, compound: 2 ** 30, structPage: 128, deviceBytes: 2 ** 30, altmap: true }),
  });
  const all = JSON.parse((await ask('--json')).out);
  expect(all).toMatchObject({ format: 'shootdown.vmemmap/1', architectures });
  expect(all.sizes).toHaveLength(8);
  expect(all.sizes[4]).toEqual({
    basePage: 65536,
    compound: 2 ** 21,
    structPage: 64,
    structPages: 32,
    memmapBytes: 2048,
    vmemmapPages: 1 / 32,
    possible: { devdax: null, hugetlb: null, savingPerTiB: { saved: 0, of: 2 ** 30 } },
  });
});

test('hugetlb that an architecture does not share, and hugetlb that only it does', async () => {
  expect((await ask('loongarch --base-page 4K')).out).toMatch(
    /frames, devdax {12}none \(possible: 2 kept, 6 freed\)\n {2}frames, hugetlb {11}1 kept, 7 freed\n/,
  );
  expect((await ask('arm64')).out).toContain('none (possible: 1 kept, 7 freed); disabled: to map the struct pages anew is not safe with break-before-make\n');
  expect((await ask('x86_64 --altmap')).out).toMatch(/none \(possible: 2 kept, 6 freed\)\n {2}frames, hugetlb {11}1 kept, 7 freed\n/);
});

test('colours on a terminal', async () => {
  const { out } = await call(['vmemmap', 'x86_64'], { stdoutIsTTY: true });
  expect(out).toContain('\u001b[32mdevdax shares tail struct pages\u001b[39m');
  expect((await call(['vmemmap', 'arm64'], { stdoutIsTTY: true })).out).toContain('\u001b[33mdevdax shares no struct pages\u001b[39m');
});

test.each([
  [
    'x86-64',
    "there is no architecture 'x86-64'; did you mean 'x86_64'? (the architectures are x86_64, powerpc-radix, powerpc-hash, riscv64, arm64, loongarch, s390, sparc64)",
  ],
  ['x86_64 --base-page 64K', 'x86_64 has no base pages of 64K; it has 4K'],
  ['arm64 --base-page 5000', 'a base page is a power of two, such as 4K or 2M, not 5000B'],
  ['x86_64 --compound 3M', 'a compound is a power of two, such as 4K or 2M, not 3M'],
  ['arm64 --base-page 64K --compound 4K', 'a compound of 4K is smaller than a base page of 64K; take 64K or more'],
  ['x86_64 --compound 2T', 'a compound of 2T is larger than any; take 1T or less'],
  ['x86_64 --compound big', "option '--compound' takes a size such as '512M' or '2G', not 'big'"],
  ['x86_64 --struct-page 0', "option '--struct-page' takes a whole number from 1, not '0'"],
  ['x86_64 --struct-page 64.5', "option '--struct-page' takes a whole number from 1, not '64.5'"],
  ['x86_64 --struct-page 8192', 'a struct page has a whole number of bytes, from 1 to those of a base page (4096), not 8192'],
  ['x86_64 --device 3M', 'a device is a number of whole compounds of 2M, not 3M'],
  ['--compound 1G', "'--compound' is about one architecture; name it first, such as 'shootdown vmemmap x86_64'"],
  ['--base-page 64K --json', "'--base-page' is about one architecture; name it first, such as 'shootdown vmemmap x86_64'"],
  ['x86_64 arm64', "too many arguments for 'vmemmap'. Expected 1 argument but got 2."],
  ['x86_64 --jsn', "unknown option '--jsn'; did you mean '--json'?"],
])('vmemmap %s is refused in one line', async (words, line) => {
  expect(await ask(words)).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
});
