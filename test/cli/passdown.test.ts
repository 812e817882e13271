import { constants } from 'node:buffer';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { CallGraph } from '../../src/passdown/call-graph.js';
import { passdownMapping } from '../../src/passdown/passdown-mapping.js';
import { file, graph, mapping } from '../passdown/graphs.js';
import { type Called, call } from './call.js';

const folder = mkdtempSync(join(tmpdir(), 'shootdown-cli-passdown-'));
afterAll(() => rmSync(folder, { recursive: true }));
const piped = (content: string | Buffer) => ({ stdin: () => Readable.from([Buffer.from(content)]) });
const passdown = (given: CallGraph, ...options: string[]): Promise<Called> => call(['passdown', '-', ...options], piped(JSON.stringify(given)));

const settled = graph(
  [{ id: 'low', at: 'fs/low.c:10', uses: true }, { id: 'middle', at: 'fs/low.c:20' }, { id: 'x' }, { id: 'top', at: 'fs/top.c:30', has: [file()] }],
  ['middle low', 'top middle', 'top [ops.x]'],
  [{ id: 'ops.x', functions: ['x', 'low'] }],
);

test('nothing to settle by hand: 0', async () => {
  expect(await passdown(settled)).toEqual({
    code: 0,
    err: '',
    out: `3 functions get a parameter 'mapping'
  fs/low.c
    10 low (uses)
    20 middle (calls low)
  file not known
    - x (slot ops.x)

1 slot changes its type
  ops.x: 2 functions and 1 call site together

3 call sites pass it
  fs/low.c:1 middle -> low (mapping)
  fs/top.c:2 top -> middle (file->f_mapping)
  fs/top.c:3 top -> ops.x (file->f_mapping)

1 body reads it instead of page->mapping
  fs/low.c:10 low: page->mapping -> mapping

-: 3 functions, 1 slot, 3 call sites, 1 body; nothing to settle by hand
`,
  });
});

test('something to settle by hand: 1, and the diagnostics by gap', async () => {
  const { code, out, err } = await passdown(
    graph([{ id: 'low', uses: true }, { id: 'copy', has: [file('in'), file('out')] }, { id: 'get', accessor: true }, { id: 'asks' }], ['copy low', 'asks get']),
  );
  expect({ code, err }).toEqual({ code: 1, err: '' });
  expect(out).toContain('\n  line 1 copy -> low (?)\n');
  expect(out).toContain('\n  asks: get() at line 2 -> mapping\n');
  expect(out).toContain("\ng2: accessors\n  line 2, calls[1]: for information: 'asks' reads page->mapping only by way of 'get'");
  expect(out).toContain("\n\ng4: mappings that may not be the one of the page\n  line 1, calls[0]: 'copy' has several mappings in scope ('in', 'out')");
  expect(out).toContain("\n\ng5: roots without a source\n  'asks' gets the parameter");
  expect(out).toMatch(/\n-: 2 functions, 0 slots, 1 call site, 2 bodies; 2 to settle by hand\n$/);
});

test('what is only information leaves nothing to settle: 0', async () => {
  const { code, out } = await passdown(graph([{ id: 'asks' }, { id: 'get', accessor: true }, { id: 'top', has: [mapping()] }], ['asks get', 'top asks']));
  expect(code).toBe(0);
  expect(out).toContain('for information');
});

test('nothing to do', async () => {
  expect(await passdown(graph([{ id: 'a' }], []))).toEqual({
    code: 0,
    err: '',
    out: '-: 0 functions, 0 slots, 0 call sites, 0 bodies; nothing to settle by hand\n',
  });
});

/** A function that is called from so many, each with a parameter too few or too many. */
const wide = (callers: number): CallGraph => {
  const own = Array.from({ length: callers }, (_, at) => `f${at}`);
  return graph(
    [{ id: 'low', at: 'fs/low.c:1', uses: true }, ...own.map((id, at) => ({ id, at: `fs/${id}.c:${at + 1}` }))],
    own.map((id) => `${id} low`),
  );
};

test('lists of more than 40 lines are cut', async () => {
  const { out } = await passdown(wide(41));
  const sections = out.split('\n\n').map((section) => section.split('\n'));
  // A file and a function in it take two lines.
  expect(sections[0]).toHaveLength(42);
  expect(sections[0]?.at(-1)).toBe('  and 22 more; --json has all');
  expect(sections[1]).toHaveLength(42);
  expect(sections[1]?.at(-1)).toBe('  and 1 more; --json has all');
  expect(sections[3]?.[0]).toBe('g5: roots without a source');
  expect(sections[3]?.at(-1)).toBe('  and 1 more; --json has all');
  expect((await passdown(wide(40))).out.match(/more; --json has all/g)).toHaveLength(1);
  expect((await passdown(wide(19))).out).not.toContain('--json');
});

test('--json prints all of it as one document', async () => {
  const given = wide(2500);
  const { code, out, err } = await passdown(given, '--json');
  expect({ code, err }).toEqual({ code: 1, err: '' });
  expect(JSON.parse(out)).toEqual({
    format: 'shootdown.passdown/1',
    graph: '-',
    summary: { parameters: 2501, slots: 0, callSites: 2500, bodies: 1, roots: 2500, clashes: 0, problems: 2500, information: 0 },
    ...passdownMapping(given),
  });
  expect(JSON.parse((await passdown(settled, '--json')).out)).toMatchObject({
    slots: [{ id: 'ops.x', functions: 2, callSites: 1 }],
    callSites: [{ call: 0, caller: 'middle', callee: 'low', slot: null, file: 'fs/low.c', line: 1, argument: 'mapping', from: 'new parameter' }, {}, {}],
    diagnostics: [],
  });
});

test('a long document waits for who reads it, and ends when nobody does any more', async () => {
  const content = JSON.stringify(wide(25_000));
  let flushed = 0;
  const flush = async (): Promise<void> => void flushed++;
  const whole = await call(['passdown', '-', '--json'], { ...piped(content), flush });
  // The last one is at the end of every command.
  expect([flushed > 1, whole.code, JSON.parse(whole.out).roots.length]).toEqual([true, 1, 25_000]);
  const gone = await call(['passdown', '-', '--json'], { ...piped(content), flush, signal: AbortSignal.abort('output lost') });
  expect([gone.code, gone.err, gone.out.length < whole.out.length]).toEqual([3, '', true]);
});

test('a file, plain or gzip', async () => {
  for (const [name, content] of [
    ['graph.json', JSON.stringify(settled)],
    ['graph.json.gz', gzipSync(JSON.stringify(settled))],
  ] as const) {
    writeFileSync(join(folder, name), content);
    const { code, out } = await call(['passdown', name], { cwd: folder });
    expect(code).toBe(0);
    expect(out).toContain(`\n${name}: 3 functions, 1 slot`);
  }
});

test('a file that is too large is refused by its size', async () => {
  const path = join(folder, 'sparse.json');
  writeFileSync(path, '');
  truncateSync(path, constants.MAX_STRING_LENGTH + 2 ** 20);
  const { code, out, err } = await call(['passdown', path]);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^shootdown: '.*sparse\.json' has \d+ MB, and \d+ MB are the most .*NODE_OPTIONS=--max-old-space-size.*\n$/);
});

test.each<[string[], string, string]>([
  [['none.json'], '', "there is no file 'none.json'"],
  [['test'], '', "'test' is a directory, not a call graph"],
  [['-'], '', "'standard input' is empty"],
  [['-'], '{\n  "format": "x" }}', "'standard input' is not valid JSON at line 2, column 18: "],
  [['-'], '{"format":"shootdown.call-graph/1","functions":[],"calls":[]}', "'standard input' is no call graph: functions: there is none"],
  [
    ['-'],
    JSON.stringify({ ...settled, calls: [{ caller: 'midle', callee: 'low', line: 0 }] }),
    "'standard input' is no call graph: (1) calls[0].line: a whole number from 1 is wanted, not 0 (2) calls[0].caller: there is no function 'midle'; did you mean 'middle'?",
  ],
  [[], '', "missing required argument 'file'"],
  [['-', '--jsn'], '', "unknown option '--jsn'; did you mean '--json'?"],
])('%j is refused in one line', async (argv, content, message) => {
  const { code, out, err } = await call(['passdown', ...argv], piped(content));
  expect({ code, out, lines: err.split('\n').length }).toEqual({ code: 2, out: '', lines: 2 });
  expect(err).toContain(`shootdown: ${message}`);
});
