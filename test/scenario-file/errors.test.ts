import { readFileSync } from 'node:fs';
import { readScenarioFile } from '../../src/scenario-file/scenario-file.js';

const path = 'my-race.yaml';
const families = 'gup-unbind, tlb-shootdown, luf, mmu-notifier, device-exclusive, write-protect, compound-page';

function problem(text: string): string {
  try {
    readScenarioFile(path, text);
  } catch (error) {
    expect((error as Error).name).toBe('UsageError');
    return (error as Error).message;
  }
  return 'nothing wrong';
}

const base = `scenario: tlb-shootdown
threads:
  - program: [{ do: store, page: 0 }]
  - program: [{ do: munmap }]
`;
const names = 'scenario, $schema, title, without, with, ask, expect, threads, flush, pages, backing, tables, batchSize, asksDontneed';

test('the file that the errors are made from is right, with a byte order mark, CRLF and an end of document too', () => {
  for (const text of [base, `\ufeff${base}`, base.replaceAll('\n', '\r\n'), `${base}...\n`, `%YAML 1.2\n---\n${base}`])
    expect(problem(text)).toBe('nothing wrong');
});

describe('what is no scenario file', () => {
  test.each([
    ['', `1:1: the file is empty; it names a scenario: ${families}`],
    ['# a comment\n', `1:1: the file is empty; it names a scenario: ${families}`],
    ['---\n', `1:1: the file is empty; it names a scenario: ${families}`],
    ['luf', "1:1: the file takes a map of names and values, not 'luf'"],
    ['- a', '1:1: the file takes a map of names and values, not a list'],
    ['\n# here\ntitle: x', `3:1: a scenario file needs 'scenario': ${families}`],
    [`${base}---\n${base}`, '6:1: a second document begins here; a file holds one scenario'],
    [`${base}pages: 1\nflush: "ipi\n`, '7:1: this is no YAML: Missing closing "quote'],
    [`${base}pages: 1\npages: 2\n`, '6:1: this is no YAML: Map keys must be unique'],
    ['threads:\n\t- a', '2:1: this is no YAML: Tabs are not allowed as indentation'],
    [`${base}flush: !ipi ipi`, '5:8: this is no YAML: Unresolved tag: !ipi'],
    [`${base}without: &a [cpu.mayFlushRange]\nwith: *a`, "6:7: anchors and aliases are no part of the format; write out what '*a' stands for"],
    ['x'.repeat(2 ** 20 + 1), '1:1: the file has more than 1048576 characters'],
  ])('%#', (text, message) => {
    expect(problem(text)).toBe(`${path}:${message}`);
  });

  test('lists nested beyond the stack', () => {
    expect(problem('['.repeat(100_000))).toMatch(/^my-race\.yaml:1:\d+: this is no YAML: /);
  });
});

describe('what the schema does not allow', () => {
  test.each([
    [base.replace('tlb-shootdown', 'tlb-shotdown'), `1:11: there is no scenario 'tlb-shotdown'; did you mean 'tlb-shootdown'? (${families})`],
    [base.replace('tlb-shootdown', '[luf]'), `1:11: 'scenario' takes one of ${families}, not a list`],
    [base.replace('munmap', 'munmpa'), "4:21: there is no path 'munmpa'; did you mean 'munmap'? (store, gup, munmap, mremap, truncate, switch, madvise)"],
    [base.replace('do: munmap', 'doo: munmap'), "4:15: a call needs 'do': store, gup, munmap, mremap, truncate, switch, madvise"],
    [base.replace('{ do: munmap }', 'munmap'), "4:15: an item of 'program' takes a map of names and values, not 'munmap'"],
    [base.replace(', page: 0', ''), "3:15: a call needs 'page'"],
    [base.replace('page: 0', 'pge: 0'), "3:28: a call has no 'pge'; did you mean 'page'? (it has do, page)"],
    [base.replace('page: 0', 'page: 9'), "3:34: 'page' takes a whole number from 0 to 3, not '9'"],
    [base.replace('page: 0', 'page: 0.5'), "3:34: 'page' takes a whole number from 0 to 3, not '0.5'"],
    [base.replace('page: 0', 'page: one'), "3:34: 'page' takes a whole number from 0 to 3, not 'one'"],
    [base.replace('page: 0', 'page'), "3:28: 'page' takes a whole number from 0 to 3, not nothing"],
    [`${base}flsh: ipi`, `5:1: a file for tlb-shootdown has no 'flsh'; did you mean 'flush'? (it has ${names})`],
    [`${base}__proto__: {}`, `5:1: a file for tlb-shootdown has no '__proto__' (it has ${names})`],
    [`${base}flush: ipl`, "5:8: there is no flush 'ipl'; did you mean 'ipi'? (ipi, broadcast)"],
    [`${base}flush:`, "5:7: 'flush' takes one of ipi, broadcast, not nothing"],
    [`${base}asksDontneed: yes`, "5:15: 'asksDontneed' takes true or false, not 'yes'"],
    [`${base}pages: 99999999999999999999`, "5:8: 'pages' takes a whole number from 1 to 4, not '99999999999999999999'"],
    [`${base}title: ''`, "5:8: 'title' takes a text that is not empty, not ''"],
    ['scenario: tlb-shootdown', "1:1: a file for tlb-shootdown needs 'threads'"],
    ['scenario: tlb-shootdown\nthreads: []', "2:10: 'threads' is empty; it takes at least 1"],
    [`${base}${'  - program: []\n'.repeat(5)}`, "9:5: 'threads' takes at most 6, not 7"],
    [
      `${base}without: [unmap_page_range]`,
      "5:11: an item of 'without' takes the name of a safeguard (machine.name, such as gup_fast.rechecksAfterGrab), not 'unmap_page_range'",
    ],
    [`${base}without: [cpu.mayFlushRange, cpu.mayFlushRange]`, "5:30: 'without' has 'cpu.mayFlushRange' twice"],
    [`${base}expect: { I3: violted }`, "5:15: there is no verdict 'violted'; did you mean 'violated'? (holds, violated)"],
    [`${base}flush: "a\\u001b[31m\\nb"`, "5:8: there is no flush 'a [31m b' (ipi, broadcast)"],
    ['scenario: luf\nthreads: []\ncells: { F: {} }', "2:10: 'threads' is empty; it takes at least 1"],
    ['scenario: luf\ncells: { F: {} }\nthreads: [{ mm: p, program: [] }]', "2:10: 'F' is no name of a cell (small letters and digits)"],
    [
      'scenario: luf\ncells: {}\nfree: [one]\nthreads: [{ mm: p, program: [] }]',
      "3:8: an item of 'free' takes a whole number from 0 to 15, or a map of names and values, not 'one'",
    ],
  ])('%#', (text, message) => {
    expect(problem(text)).toBe(`${path}:${message}`);
  });
});

describe('machines, guards and properties that are not there', () => {
  const machines =
    'cpu, do_pte_missing, exc_page_fault, flush_tlb_mm_range, mm, munmap, page, page_allocator, put_page, rcu, rwsem, spinlock, task, unmap_page_range, user_access';
  test.each([
    [
      `${base}without: [unmap_page_rnage.isNested]`,
      `5:11: no actor of this scenario runs a machine 'unmap_page_rnage'; did you mean 'unmap_page_range'? (they run ${machines})`,
    ],
    [
      `${base}without:\n  - cpu.mayFlushRange\n  - gup_fast.rechecksAfterGrab`,
      `7:5: no actor of this scenario runs a machine 'gup_fast' (they run ${machines})`,
    ],
    [`${base}without: [constructor.name]`, `5:11: no actor of this scenario runs a machine 'constructor' (they run ${machines})`],
    [`${base}with: [unmap_page_range.isNestd]`, "5:8: machine 'unmap_page_range' has no guard 'isNestd'; did you mean 'isNested'?"],
    [`${base}without: [put_page.constructor]`, "5:11: machine 'put_page' has no guard 'constructor' (it has "],
    [`${base}with: [unmap_page_range.widen]`, "5:8: machine 'unmap_page_range' has no guard 'widen'"],
    [`${base}without: [cpu.mayFlushRange]\nwith: [cpu.mayFlushRange]`, "6:8: 'cpu.mayFlushRange' is in 'without' too"],
    [`${base}ask: [I3, I33]`, "5:11: there is no property 'I33'; did you mean 'I3'? (there are BUG, I3, I6, UAF, I11)"],
    [`${base}expect:\n  I3: holds\n  I4: holds`, "7:7: there is no property 'I4'; did you mean 'I3'? (there are BUG, I3, I6, UAF, I11)"],
    [`${base}ask: [I3]\nexpect: { I6: holds }`, "6:15: 'ask' does not name I6"],
  ])('%#', (text, message) => {
    const said = problem(text);
    expect(said.startsWith(`${path}:${message}`) ? message : said).toBe(message);
    expect(said).not.toContain('\n');
  });
});

const thread = (program: string, mm = 'p'): string => `  - { mm: ${mm}, program: [${program}] }\n`;
const lufFile = (threads: string, more = ''): string =>
  `scenario: luf\ncells:\n  f: { kind: file, pfn: 0, at: { p: [0] } }\n  x: { kind: anonymous, pfn: null, at: { p: [1], q: [0] } }\n  t: { kind: text, pfn: 2, at: { p: [2] } }\n${more}threads:\n${threads}`;
const protectFile = (threads: string, more = ''): string =>
  `scenario: write-protect\ncells:\n  x: { kind: anonymous, pfn: 0, at: { p: [0] } }\n  f: { kind: file, pfn: 1, at: { q: [0] } }\n${more}threads:\n${threads}`;
const mirrorFile = (threads: string, more = ''): string => `scenario: mmu-notifier\npages: [present, none]\n${more}threads:\n${threads}`;
const unbindFile = (more: string): string => `scenario: gup-unbind\n${more}`;
const folioFile = (more: string): string => `scenario: compound-page\n${more}`;

describe('threads and pages that do not go together', () => {
  test.each([
    [base.replace('page: 0', 'page: 1'), '1', "there is no page 1: 'pages' is 1, counted from 0"],
    [base.replace('do: munmap', 'do: madvise, pages: [0, 2]'), '2', "there is no page 2: 'pages' is 1, counted from 0"],
    [base.replace('munmap', 'truncate'), 'truncate', "truncate needs a file: 'backing' file or pfnmap"],
    [
      base.replace('{ do: munmap }', '{ do: switch, next: kthread }, { do: munmap }'),
      'munmap',
      "CPU 1 does not have the address space loaded here; put { do: switch, next: mm } before 'munmap'",
    ],
    [`${base}    switchedAway: true`, 'munmap', "CPU 1 does not have the address space loaded here; put { do: switch, next: mm } before 'munmap'"],
    [unbindFile('pages: 2'), '2', "the second page is told by its pagemap, which gup looks at only with 'base' 1"],
    [unbindFile('pinsHoldPagemap: true'), 'true', "pages hold a reference of the pagemap only with 'base' 1"],
    [unbindFile('gups: 0'), '0', "there is no thread of the process: give it 'gups', 'user' or 'munmap'"],
    [unbindFile('gups: 2\nremoval: self'), 'self', "'self' is the removal of one thread that pins; 'gups' is 2"],
    [unbindFile('loops: true\nremoval: self'), 'true', "a thread that removes its own device ('removal' self) does it once"],
    [unbindFile('user: true\ngups: 0\nloops: true'), 'true', "no thread is in gup-fast: 'gups' is 0"],
    [folioFile('pins: [8]'), '8', 'there is no page 8: two folios of 4 pages have 0 to 7'],
    [folioFile('pins: null'), 'null', "nobody pins and CPU 1 has no work: give it 'work'"],
    [folioFile('pins: [0]\nmemory: anonymous\ndevmap: true'), 'true', "anonymous memory is no device's, so its ptes carry no devmap bit"],
    [folioFile('pins: [0]\nmemory: anonymous\ntails: shared'), 'shared', 'only struct pages of a device share frames here'],
    [
      folioFile('pins: [0]\ncontent: boot'),
      'boot',
      "pages are mapped after their struct pages are initialised; with 'mapped' none, 'work' can map them before",
    ],
    [folioFile('pins: [0]\nwork: [publish]'), '[publish', "publish maps what is not mapped: 'mapped' none"],
    [lufFile(thread('{ do: load, vpn: 5 }')), '5', 'no cell is at page 5 of p (cells are at p 0, p 1, q 0, p 2)'],
    [lufFile(thread('{ do: load, vpn: 0 }', 'null')), 'load', "'load' is a call of a process; this thread has 'mm' null"],
    [lufFile(thread('', 'r')), 'r', "no cell is mapped in 'r', and 'otherSpaces' does not name it"],
    [lufFile(thread('{ do: reclaim, cell: g }', 'null')), 'g', "there is no cell 'g' (there are f, x, t)"],
    [lufFile(thread('{ do: reclaim, cell: x }', 'null')), 'x', "cell 'x' is on disk ('pfn' null), with nothing to reclaim"],
    [lufFile(thread('{ do: reclaim, cell: f, more: [x] }', 'null')), 'x', "cell 'x' is on disk ('pfn' null), with nothing to reclaim"],
    [lufFile(thread('{ do: write, cell: x }')), 'x', "'write' needs a cell of kind file; 'x' is of kind anonymous"],
    [lufFile(thread('{ do: uprobe, vpn: 0 }')), '0', "'uprobe' needs a page of text; cell 'f' is of kind file"],
    [lufFile(thread('{ do: store, vpn: 2 }')), '2', "cell 't' is not mapped for writing"],
    [lufFile(thread('{ do: switch, next: s }')), 's', "there is no address space 's' (there are p, q)"],
    [lufFile(thread('{ do: luf_flush }'), 'luf: false\n'), 'luf_flush', "nothing is put off with 'luf' false, so there is no luf_flush"],
    [lufFile(thread(''), 'free: [1, 0]\n'), '0', "frame 0 is that of cell 'f' already"],
    [lufFile(thread(''), 'debts: { ugen: 1, debts: [{ cpu: cpu1, ugen: 1 }] }\n'), 'cpu1', 'no thread runs on cpu1'],
    [
      lufFile(thread('{ do: write, cell: f }, { do: remote_write, cell: g }')).replace('threads:', '  g: { kind: file, pfn: 1, at: {} }\nthreads:'),
      '{ mm:',
      'a thread writes to one file, not to f and g; give each a thread of its own',
    ],
    [lufFile(thread('')).replace('q: [0]', 'p: [0]').replace('p: [1], ', ''), '{ p:', "'f' is at p 0 already"],
    [protectFile(thread('{ do: store, vpn: 1 }')), '1', 'no cell is at page 1 of p (cells are at p 0, q 0)'],
    [protectFile(thread('', 'child')), 'child', 'nobody forks, so there is no child'],
    [protectFile(thread('{ do: fork, vpn: 0 }', 'q')), 'fork', 'it is the process p that forks'],
    [protectFile(thread('{ do: write, cell: x }')), 'x', "'write' needs a cell of kind file; 'x' is of kind anonymous"],
    [protectFile(thread('{ do: reclaim, cell: f }', 'null')), 'f', "'reclaim' needs a cell of kind anonymous; 'f' is of kind file"],
    [protectFile(thread('{ do: ksm_scan, at: { mm: q, vpn: 0 } }', 'null')), '{ mm:', "'ksm_scan' needs a cell of kind anonymous; 'f' is of kind file"],
    [protectFile(thread('{ do: kpageflags, pfn: 7 }', 'null')), '7', 'no cell is in frame 7'],
    [protectFile(thread('{ do: replicate, vpn: 0 }', 'null')), '0', "cell 'x' is mapped on one node only; add p_node1 to its 'at'"],
    [
      protectFile('  - { mm: p, program: [{ do: load, vpn: 0 }], pins: { vpn: 0, access: read } }\n'),
      '{ vpn:',
      "a thread pins in place of a program: leave 'program' empty",
    ],
    [protectFile('  - { mm: null, program: [], pins: { vpn: 0, access: read } }\n'), 'null', "'pins' is a call of a process; this thread has 'mm' null"],
    [protectFile(thread(''), 'stable: [4]\n'), '4', 'no cell is in frame 4'],
    [protectFile(thread('')).replace('pfn: 1', 'pfn: 0'), '0', "frame 0 is that of several cells, so it belongs in 'stable'"],
    [
      protectFile(thread(''), 'device: { mode: copy, memory: 1, program: [], ptes: { 0: { pfn: 1, write: true, atomic: false } } }\n'),
      '1',
      'page 0 of p is not in frame 1 at first',
    ],
    [mirrorFile(thread('{ do: load, vpn: 2 }')), '2', "there is no page 2: 'pages' has 2, counted from 0"],
    [mirrorFile(thread('{ do: migrate, vpn: 1 }', 'null')), '1', 'page 1 is not there at first, so there is nothing to migrate'],
    [mirrorFile(thread('{ do: dontneed, vpn: 0 }', 'null')), 'dontneed', "'dontneed' is a call of a process; this thread has 'mm' null"],
    [mirrorFile(thread('{ do: to_device, vpn: 0 }')), 'to_device', "no device has memory: give one 'memory'"],
    [mirrorFile(thread('', 'child')), 'child', 'p does not fork, so there is no child'],
    [
      mirrorFile(thread('{ do: slab }', 'null'), 'guest: { program: [{ do: atomic, vpn: 0 }] }\n'),
      'atomic',
      'atomics are those of devices; a guest reads and writes',
    ],
    [
      mirrorFile(thread('{ do: slab }', 'null'), 'gpus: { gpu0: { program: [], memory: 1 }, gpu1: { program: [], memory: 1 } }\n'),
      '1',
      'gpu0 has memory already; one device of a system may',
    ],
    [
      mirrorFile(thread('{ do: slab }', 'null'), 'gpus: { gpu0: { program: [], ptes: { 0: { pfn: 1, write: true, atomic: false } } } }\n'),
      '1',
      'page 0 of the process is not in frame 1 at first',
    ],
  ])('%#', (text, at, message) => {
    const [, line, column, said] = /^my-race\.yaml:(\d+):(\d+): (.*)$/.exec(problem(text)) ?? [];
    expect(said).toBe(message);
    const rest = text.split('\n')[Number(line) - 1]?.slice(Number(column) - 1);
    expect(rest?.slice(0, at.length)).toBe(at);
  });
});

test('the documentation shows errors as they are', () => {
  const page = readFileSync('docs/scenario-files.md', 'utf8');
  const shown = "my-race.yaml:4:21: there is no path 'munmpa'; did you mean 'munmap'? (store, gup, munmap, mremap, truncate, switch, madvise)";
  expect(problem(base.replace('munmap', 'munmpa'))).toBe(shown);
  expect(page).toContain(`shootdown: ${shown}`);
});
