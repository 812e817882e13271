import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CallGraph, callGraphFrom } from '../../src/passdown/call-graph';
import { passdownMapping } from '../../src/passdown/passdown-mapping';

const script = join(__dirname, '..', '..', 'scripts', 'call-graph.mjs');
const fixture = join(__dirname, '..', 'fixtures', 'call-graph');
const tree = join(fixture, 'tree');
/** Recorded: what `cscope -b -c -u -k -i - -f cscope.out` of cscope 15.9 makes of the tree's files. */
const xref = join(fixture, 'cscope.out');
const folders = ['fs', 'mm', 'include'];

function run(words: readonly string[], env: NodeJS.ProcessEnv = process.env): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [script, ...words], { encoding: 'utf8', env });
}

function graphWith(...options: string[]): CallGraph {
  const { status, stdout, stderr } = run([...options, '--xref', xref, tree, ...folders]);
  expect([status, stderr.includes('functions')]).toEqual([0, true]);
  return callGraphFrom(JSON.parse(stdout));
}

const graph = graphWith();
const of = (id: string, within = graph) => within.functions.find((one) => one.id === id);
const calls = (caller: string, within = graph) =>
  within.calls.filter((call) => call.caller === caller).map((call) => `${call.line} ${'slot' in call ? `slot ${call.slot}` : call.callee}`);

describe('functions', () => {
  test('stand where they are defined, and those under fs/ are of the filesystems', () => {
    expect(of('toy_map')).toEqual({ id: 'toy_map', at: 'fs/toy/inode.c:12' });
    expect(of('reclaim')).toEqual({ id: 'reclaim', at: 'mm/filemap.c:16', fs: false });
  });

  test('of one name are told apart by their file', () => {
    expect(graph.functions.filter(({ id }) => /^(check|mm_sync)/.test(id)).map(({ id }) => id)).toEqual([
      'check@fs/doll/file.c',
      'check@fs/toy/inode.c',
      'mm_sync@mm/nosync.c',
      'mm_sync@mm/sync.c',
    ]);
  });

  test('use the mapping where they read it: not in comments, texts and macros, and not by setting it', () => {
    expect(graph.functions.filter(({ uses }) => uses).map(({ id }) => id)).toEqual(['check@fs/toy/inode.c', 'folio_mapping', 'filemap_drop']);
    expect(graph.functions.filter(({ accessor }) => accessor).map(({ id }) => id)).toEqual(['folio_mapping']);
  });

  test('have what their own parameters point to, not what those of a parameter do', () => {
    const has = graph.functions.flatMap((one) => (one.has ?? []).map(({ name, type }) => `${one.id} ${name} ${type}`));
    expect(has).toEqual([
      'get_block file file',
      'doll_read_folio file file',
      'toy_read_folio file file',
      'toy_open mapping mapping',
      'filemap_read file file',
      'filemap_read mapping mapping',
    ]);
  });

  test('in two branches of the preprocessor are one', () => {
    expect(of('toy_sync')?.at).toBe('fs/toy/inode.c:26');
    expect(calls('toy_sync')).toEqual(['28 check@fs/toy/inode.c', '33 toy_map']);
  });

  test('that a macro defines are named by it, those with a type are not', () => {
    expect(calls('SYSCALL_DEFINE1(toy)')).toEqual(['64 toy_sync']);
    expect(of('TOY_NR')).toEqual({ id: 'TOY_NR', at: 'fs/toy/inode.c:67' });
  });
});

describe('calls', () => {
  test('are of the static function of the same file first', () => {
    expect(calls('doll_read_folio')).toEqual(['13 check@fs/doll/file.c']);
  });

  test('are not of what a parameter points to, of macros, or of functions in headers of another filesystem', () => {
    expect(calls('toy_map')).toEqual(['15 toy_block', '15 nr_pages']);
    expect(calls('get_block')).toEqual([]);
  });

  test('of several that are equally near are of the first', () => {
    expect(calls('toy_read_folio')).toEqual(['40 toy_sync', '40 mm_sync@mm/nosync.c']);
  });

  test('go through the slot of the table that their owner is declared as', () => {
    expect(calls('filemap_read')).toEqual(['6 slot address_space_operations.read_folio', '7 slot address_space_operations.read_folio']);
    expect(calls('doll_open')).toEqual(['23 slot toy_operations.open', '23 get_block']);
  });

  test('are left out where the owner is no table, or may be of several', () => {
    expect(calls('reclaim')).toEqual(['21 filemap_drop', '22 slot file_operations.open', '26 mm_sync@mm/nosync.c']);
  });

  test('are of a function that is annotated, too', () => {
    expect(calls('toy_invalidate')).toEqual(['45 toy_forget']);
  });

  test('are not those of a macro that is defined in between', () => {
    expect(calls('TOY_NR')).toEqual(['70 nr_pages']);
  });
});

test('slots are the members of tables with the functions of the tree in them', () => {
  expect(graph.slots).toEqual([
    { id: 'address_space_operations.read_folio', functions: ['doll_read_folio', 'toy_read_folio'] },
    { id: 'file_operations.open', functions: ['doll_open'] },
    { id: 'address_space_operations.invalidate', functions: ['toy_invalidate'] },
    { id: 'toy_operations.open', functions: ['toy_open'] },
    { id: 'toy_operations.invalidate', functions: ['toy_invalidate'] },
  ]);
});

test('what is left out or chosen is counted', () => {
  expect(
    run(['--xref', xref, tree, ...folders])
      .stderr.trim()
      .split('\n'),
  ).toEqual([
    '7 files, 21 functions, 5 slots, 20 calls',
    'functions that cscope mistakes (a parameter that is a function, a macro), left out: 1',
    'functions that are defined twice in their file, taken as one: 1',
    'members of tables that are no function of the tree: 1',
    'calls of macros and of functions outside of the tree, left out: 5',
    'calls of what a parameter points to, left out: 1',
    'names that are defined in several places equally near, of which the first is taken: 2',
    'calls of members that are in no table of the tree, left out: 2',
    'calls of members whose table is not clear, left out: 1',
  ]);
});

test('the graph is one for passdown', () => {
  expect(passdownMapping(graph).parameters.map(({ id, why }) => `${id}: ${why}`)).toEqual([
    'check@fs/doll/file.c: uses',
    'check@fs/toy/inode.c: uses',
    'toy_sync: calls check@fs/toy/inode.c',
    'SYSCALL_DEFINE1(toy): calls toy_sync',
  ]);
});

describe('options', () => {
  test('--uses: what reads the mapping', () => {
    const { functions } = graphWith('--uses', 'folio_unlock\\(');
    expect(functions.filter(({ uses }) => uses).map(({ id }) => id)).toEqual(['toy_forget']);
  });

  test('--accessor: in place of the usual ones', () => {
    const { functions } = graphWith('--accessor', 'toy_block', '--accessor', 'nr_pages');
    expect(functions.filter(({ accessor }) => accessor).map(({ id }) => id)).toEqual(['toy_block', 'nr_pages']);
  });

  test('--source: another type that gives a mapping', () => {
    expect(of('toy_open', graphWith('--source', 'inode=i_mapping'))?.has).toEqual([
      { name: 'inode->i_mapping', type: 'mapping' },
      { name: 'mapping', type: 'mapping' },
    ]);
  });

  test('--keep: who reads the mapping there has it', () => {
    const kept = graphWith('--keep', 'mm/filemap.c', '--keep', 'fs/doll');
    const own = [{ name: 'page->mapping', type: 'mapping' }];
    expect([of('filemap_drop', kept)?.has, of('check@fs/doll/file.c', kept)?.has]).toEqual([own, own]);
    expect([of('reclaim', kept)?.has, of('check@fs/toy/inode.c', kept)?.has]).toEqual([undefined, undefined]);
  });

  test('--except: files and folders that are left out', () => {
    const { functions } = graphWith('--except', 'mm/nosync.c', '--except', 'fs/doll');
    expect(functions.map(({ id }) => id).filter((id) => /^(check|mm_sync|doll)/.test(id))).toEqual(['check', 'mm_sync']);
  });
});

describe('cscope', () => {
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'call-graph-test-'));
  });
  afterEach(() => rmSync(place, { recursive: true }));

  /** A command `cscope` that writes down how it is called, and does as told. */
  function standIn(does: string): NodeJS.ProcessEnv {
    const called = JSON.stringify(join(place, 'called.json'));
    const noted = `fs.writeFileSync(${called}, JSON.stringify({ words, folder: process.cwd(), files: fs.readFileSync(0, 'utf8') }));`;
    const text = `#!${process.execPath}\nconst fs = require('node:fs');\nconst words = process.argv.slice(2);\n${noted}\n${does}\n`;
    writeFileSync(join(place, 'cscope'), text, { mode: 0o755 });
    return { ...process.env, PATH: place };
  }

  test('is run on the sources, and its cross-reference is read', () => {
    const env = standIn(`fs.copyFileSync(${JSON.stringify(xref)}, words.at(-1));`);
    const { status, stdout } = run([`${tree}/`, './fs/', 'mm', 'include'], env);
    expect([status, JSON.parse(stdout)]).toEqual([0, graph]);
    const { words, folder, files } = JSON.parse(readFileSync(join(place, 'called.json'), 'utf8'));
    expect(words.slice(0, -1)).toEqual(['-b', '-c', '-u', '-k', '-i', '-', '-f']);
    expect(folder).toBe(tree);
    expect(files.split('\n')).toEqual([
      'fs/doll/file.c',
      'fs/toy/inode.c',
      'fs/toy/toy.h',
      'include/linux/pagemap.h',
      'mm/filemap.c',
      'mm/nosync.c',
      'mm/sync.c',
    ]);
  });

  test.each([
    ['that fails', "console.error('no space'); process.exitCode = 1;", 'cscope failed: no space'],
    ['of another kind', "fs.writeFileSync(words.at(-1), 'cscope 15 /tree 0000000001');", 'the cross-reference is not one of cscope 15, uncompressed'],
  ])('%s is told', (_, does, message) => {
    const { status, stdout, stderr } = run([tree, 'fs'], standIn(does));
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });

  test('that is not there is told', () => {
    const { status, stderr } = run([tree, 'fs'], { ...process.env, PATH: place });
    expect([status, stderr.trim()]).toEqual([
      2,
      "there is no cscope here (package 'cscope'); --xref FILE reads a cross-reference that 'cscope -bck' made elsewhere",
    ]);
  });

  test('is not asked where there is nothing to read', () => {
    mkdirSync(join(place, 'fs'));
    const { status, stderr } = run([place, 'fs'], { ...process.env, PATH: place });
    expect([status, stderr.trim()]).toEqual([2, `there is no C source in fs of '${place}'`]);
  });
});

test.each([
  ['no folder', [tree], 'OPTION'],
  ['a folder that is not there', [tree, 'drivers'], 'no such file or directory'],
  ['an unknown option', ['--use', 'x', tree, 'fs'], "Unknown option '--use'"],
  ['a broken expression', ['--uses', '(', tree, 'fs'], '--uses: Invalid regular expression'],
  ['a source without a field', ['--source', 'inode', tree, 'fs'], "--source wants TYPE=FIELD (inode=i_mapping), not 'inode'"],
  ['a cross-reference that is not there', ['--xref', 'nowhere.out', tree, 'fs'], 'no such file or directory'],
])('%s is refused', (_, words, message) => {
  const { status, stdout, stderr } = run(words);
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain('    at ');
});
