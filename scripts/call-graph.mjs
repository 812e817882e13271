// The call graph of a C tree for `shootdown passdown`, from cscope's cross-reference and the sources: `node scripts/call-graph.mjs ROOT DIR... > graph.json`.
// docs/passdown.md has the options. What is left out, and what had to be chosen, is counted on standard error.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

const usage = `node scripts/call-graph.mjs [OPTION]... ROOT DIR... > graph.json
  --uses REGEX         what reads the mapping of a page
  --accessor NAME      a function that hands it out; repeatable, in place of the usual ones
  --source TYPE=FIELD  a parameter 'struct TYPE *x' gives a mapping: x->FIELD; repeatable
  --keep PATH          functions in there that read the mapping of a page themselves have it from there; repeatable
  --except PATH        leave out this file or folder; repeatable
  --xref FILE          a cross-reference that is there already (cscope -bck)`;
/** Reads of the field; `page->mapping = x` is none. */
const usesPageMapping = '(?:page|folio)->mapping\\b(?!\\s*=[^=])';
const accessorNames = ['page_mapping', 'folio_mapping', 'page_file_mapping', 'folio_file_mapping', 'folio_flush_mapping', 'folio_inode'];
/** A type of a table of functions. */
const table = 'struct\\s+(\\w+_(?:ops|operations)(?:_struct)?)\\b\\s*';
/** What stands beside a function's name and looks like a function to cscope. */
const annotation = /^__(?:attribute__|acquires|cond_acquires|releases|must_hold|printf|scanf|section|aligned|alloc_size|free)$/;

class Refusal extends Error {}

const counts = new Map();
const count = (what) => counts.set(what, (counts.get(what) ?? 0) + 1);
const listed = (map, key) => map.get(key) ?? map.set(key, []).get(key);

const isIn = (file, paths) => paths.some((path) => file === path || file.startsWith(`${path}/`));

function sourceFiles(root, folders, except) {
  const found = folders.flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)));
  const files = found.filter((file) => /\.[ch]$/.test(file) && !isIn(file, except));
  if (files.length === 0) throw new Refusal(`there is no C source in ${folders.join(', ')} of '${root}'`);
  return [...new Set(files)].sort();
}

/** The text of cscope's cross-reference: uncompressed (-c), of these files only (-k: no headers of this machine). */
function crossReference(root, files) {
  const place = mkdtempSync(join(tmpdir(), 'call-graph-'));
  const xref = join(place, 'cscope.out');
  try {
    const run = spawnSync('cscope', ['-b', '-c', '-u', '-k', '-i', '-', '-f', xref], { cwd: root, input: files.join('\n'), encoding: 'utf8' });
    if (run.error?.code === 'ENOENT')
      throw new Refusal("there is no cscope here (package 'cscope'); --xref FILE reads a cross-reference that 'cscope -bck' made elsewhere");
    if (run.error || run.status !== 0) throw new Refusal(`cscope failed: ${run.error?.message ?? run.stderr}`);
    return readFileSync(xref, 'latin1');
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** What is before `->` or `.` at a place of the cross-reference: x of x->, x[...]-> and x(...)->, or ''. */
function ownerOf(lines, at) {
  let text = '';
  for (let from = at - 1; from > at - 20 && !/^\d+ /.test(lines[from]); from--) text = lines[from].replace(/^\t./, '') + text;
  text = text.replace(/(?:->|\.)$/, '');
  for (let longer = ''; longer !== text; ) {
    longer = text;
    text = text.replace(/(?:\([^()[\]]*\)|\[[^()[\]]*\])$/, '');
  }
  return /\w*$/.exec(text)[0];
}

/**
 * Function bodies of a cross-reference, each { name, file, line, end, calls: [{ name, line, by }] }; `by`: null where the function is named itself,
 * else whose member it is.
 * Its lines: `\t@file`; `number text` begins a line of the source, then symbols and the text between them take turns. Marks of symbols: $ a function is
 * defined, } it ends, ` a call, # a macro is defined, ) it ends.
 */
function bodiesOf(xref) {
  if (!/^cscope 15 .* -c /.test(xref)) throw new Refusal("the cross-reference is not one of cscope 15, uncompressed ('cscope -bck')");
  const bodies = [];
  let [file, line, body, macro] = ['', 0, null, false];
  const lines = xref.split('\n');
  for (let at = 1; at < lines.length; at++) {
    const text = lines[at];
    if (text[0] !== '\t') {
      const number = /^(\d+) /.exec(text);
      if (number) line = Number(number[1]);
      continue;
    }
    const name = text.slice(2);
    if (text[1] === '@') [file, body, macro] = [name, null, false];
    else if (text[1] === '#') macro = true;
    else if (text[1] === ')') macro = false;
    else if (macro) continue;
    else if (text[1] === '$' && !annotation.test(name)) body = { name, file, line, end: line, calls: [] };
    else if (text[1] === '}' && body) {
      bodies.push({ ...body, end: line });
      body = null;
    } else if (text[1] === '`' && body) body.calls.push({ name, line, by: /(?:->|\.)$/.test(lines[at - 1]) ? ownerOf(lines, at) : null });
  }
  return bodies;
}

/** A source without comments, texts and directives; every line stays where it is. */
function bare(text) {
  const blank = (part) => part.replace(/[^\n]+/g, ' ');
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, blank).replace(/^[ \t]*#(?:.*\\\n)*.*/gm, blank);
}

/** The text in a pair of brackets, which opens at `from`. */
function bracketed(text, from, open, close) {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === open) depth++;
    else if (text[at] === close && --depth === 0) return text.slice(from + 1, at);
  }
  return text.slice(from + 1);
}

/** The parameters that give a mapping. `sources`: struct types that do, and the field that has it, '' if they are one. */
function mappingsIn(parameters, sources) {
  let flat = parameters;
  while (/\([^()]*\)/.test(flat)) flat = flat.replace(/\([^()]*\)/g, ' ');
  return [...flat.matchAll(/\bstruct\s+(\w+)\s*\*\s*(?:(?:const|__\w+)\s+)*(\w+)\s*(?:,|$)/g)].flatMap(([, type, name]) => {
    const field = sources.get(type);
    return field === undefined ? [] : [{ name: field === '' ? name : `${name}->${field}`, type: type === 'file' ? 'file' : 'mapping' }];
  });
}

/** What can be called in a function without being a function: its parameters. */
const namesIn = (parameters) => new Set(parameters.replace(/\b(?:struct|union|enum)\s+\w+/g, ' ').match(/\w+/g));

/** What the cross-reference does not tell of a body, from its source; nothing if it is not there. */
function defined(body, text, starts, { uses, sources }) {
  const [from, to] = [starts[body.line - 1], starts[body.end] ?? text.length];
  const found = new RegExp(`\\b${body.name}\\s*\\((?!\\s*\\*)`).exec(text.slice(from, to));
  if (!found) {
    count('functions that cscope mistakes (a parameter that is a function, a macro), left out');
    return [];
  }
  const at = from + found.index;
  const parameters = bracketed(text, text.indexOf('(', at), '(', ')');
  const before = text.slice(Math.max(text.lastIndexOf(';', at), text.lastIndexOf('}', at)) + 1, at);
  // A macro that defines functions (SYSCALL_DEFINE3): what it defines is named in its first argument.
  const name = /^[A-Z][A-Z0-9_]+$/.test(body.name) && /^\s*(?:static\s+)?$/.test(before) ? `${body.name}(${parameters.split(',')[0].trim()})` : body.name;
  const has = mappingsIn(parameters.trim(), sources);
  return [{ ...body, name, pointers: namesIn(parameters), hidden: /\bstatic\b/.test(before), has, uses: uses.test(text.slice(from, to)) }];
}

/** Definitions of one name in one file are branches of the preprocessor: one function. */
function merged(bodies) {
  const functions = new Map();
  for (const body of bodies) {
    const known = functions.get(`${body.name}@${body.file}`);
    if (!known) {
      functions.set(`${body.name}@${body.file}`, body);
      continue;
    }
    count('functions that are defined twice in their file, taken as one');
    known.calls.push(...body.calls);
    known.has.push(...body.has.filter(({ name }) => !known.has.some((one) => one.name === name)));
    known.uses ||= body.uses;
  }
  return [...functions.values()];
}

/** Initialisers `.member = name` of tables, and which names are declared as tables. */
function tablesOf(file, text, found) {
  for (const [, type, name] of text.matchAll(new RegExp(`${table}(?:const\\b\\s*)?\\**\\s*(?:const\\s+|__\\w+\\s+)*(\\w+)`, 'g')))
    for (const scope of [file, dirname(file), '']) listed(found.declared, `${scope}:${name}`).push(type);
  for (const match of text.matchAll(new RegExp(`${table}\\w+\\s*(?:\\[[^\\]]*\\]\\s*)*(?:__\\w+\\s*(?:\\([^()]*\\)\\s*)?)*=\\s*(?=\\{)`, 'g')))
    for (const [, member, name] of bracketed(text, match.index + match[0].length, '{', '}').matchAll(/\.(\w+)\s*=\s*&?(\w+)\s*(?=,|\}|$)/g))
      found.members.push({ type: match[1], member, name, file });
}

const folderOf = (file) => dirname(file).split('/');

/** How near a definition is to where its name stands; 0 if it cannot be seen from there. */
function nearness(of, file) {
  if (of.file === file) return 1000;
  const [own, other] = [folderOf(of.file), folderOf(file)];
  const differs = own.findIndex((part, at) => part !== other[at]);
  const common = differs < 0 ? own.length : differs;
  if (!of.hidden) return 100 + common;
  // In a header: of the same part of the tree (fs/xfs), or one for all.
  return of.file.endsWith('.h') && (own[0] === 'include' || common >= Math.min(2, own.length)) ? 1 + common : 0;
}

function resolver(functions) {
  const byName = new Map();
  for (const of of functions) listed(byName, of.name).push(of);
  return (name, file) => {
    const near = (byName.get(name) ?? []).map((of) => ({ of, near: nearness(of, file) })).filter((one) => one.near > 0);
    const most = Math.max(...near.map((one) => one.near));
    const nearest = near.filter((one) => one.near === most);
    if (nearest.length > 1) count('names that are defined in several places equally near, of which the first is taken');
    return nearest[0]?.of;
  };
}

function nameApart(functions) {
  const byName = new Map();
  for (const of of functions) listed(byName, of.name).push(of);
  for (const [name, all] of byName) {
    const global = all.filter((of) => !of.hidden);
    for (const of of all) of.id = all.length === 1 || (global.length === 1 && of === global[0]) ? name : `${name}@${of.file}`;
  }
}

function slotsOf(members, resolve) {
  const slots = new Map();
  for (const { type, member, name, file } of members) {
    const of = resolve(name, file);
    if (of) (slots.get(`${type}.${member}`) ?? slots.set(`${type}.${member}`, new Set()).get(`${type}.${member}`)).add(of.id);
    else if (name !== 'NULL') count('members of tables that are no function of the tree');
  }
  return slots;
}

/** Which slot a call x->member() goes through. */
function slotCalls(slots, declared) {
  const types = new Map();
  for (const id of slots.keys()) listed(types, id.split('.')[1]).push(id.split('.')[0]);
  return ({ name, by }, file) => {
    const all = types.get(name) ?? [];
    const known = [file, dirname(file), ''].map((scope) => all.filter((type) => declared.get(`${scope}:${by}`)?.includes(type)));
    const possible = known.find((types) => types.length > 0) ?? (/op(?:s|erations)?$/.test(by) ? all : []);
    if (possible.length === 1) return `${possible[0]}.${name}`;
    count(possible.length === 0 ? 'calls of members that are in no table of the tree, left out' : 'calls of members whose table is not clear, left out');
    return undefined;
  };
}

function callsOf(functions, resolve, slotOf) {
  return functions.flatMap((caller) =>
    caller.calls.flatMap((call) => {
      const at = { caller: caller.id, line: call.line };
      if (call.by !== null) {
        const slot = slotOf(call, caller.file);
        return slot ? [{ ...at, slot }] : [];
      }
      if (caller.pointers.has(call.name)) {
        count('calls of what a parameter points to, left out');
        return [];
      }
      const callee = resolve(call.name, caller.file);
      if (!callee) count('calls of macros and of functions outside of the tree, left out');
      return callee ? [{ ...at, callee: callee.id }] : [];
    }),
  );
}

function callGraph(xref, root, files, { accessors, keep, ...wanted }) {
  const bodies = new Map();
  for (const body of bodiesOf(xref)) listed(bodies, body.file).push(body);
  const tables = { members: [], declared: new Map() };
  const functions = merged(
    files.flatMap((file) => {
      const text = bare(readFileSync(join(root, file), 'latin1'));
      const starts = [0];
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
      tablesOf(file, text, tables);
      return (bodies.get(file) ?? []).flatMap((body) => defined(body, text, starts, wanted));
    }),
  );
  nameApart(functions);
  const resolve = resolver(functions);
  const slots = slotsOf(tables.members, resolve);
  for (const { file, uses, calls, has } of functions)
    if (has.length === 0 && isIn(file, keep) && (uses || calls.some(({ name }) => accessors.includes(name))))
      has.push({ name: 'page->mapping', type: 'mapping' });
  return {
    format: 'shootdown.call-graph/1',
    functions: functions.map(({ id, name, file, line, uses, has }) => ({
      id,
      at: `${file}:${line}`,
      ...(file.startsWith('fs/') ? {} : { fs: false }),
      ...(uses ? { uses } : {}),
      ...(accessors.includes(name) ? { accessor: true } : {}),
      ...(has.length > 0 ? { has } : {}),
    })),
    slots: [...slots].map(([id, members]) => ({ id, functions: [...members] })),
    calls: callsOf(functions, resolve, slotCalls(slots, tables.declared)),
  };
}

function regex(text) {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new Refusal(`--uses: ${error.message}`);
  }
}

function pair(text) {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new Refusal(`--source wants TYPE=FIELD (inode=i_mapping), not '${text}'`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function main() {
  const paths = { type: 'string', multiple: true, default: [] };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      uses: { type: 'string', default: usesPageMapping },
      accessor: { ...paths, default: accessorNames },
      source: paths,
      keep: paths,
      except: paths,
      xref: { type: 'string' },
    },
  });
  const [root, ...folders] = positionals;
  if (folders.length === 0) throw new Refusal(usage);
  const wanted = {
    uses: regex(values.uses),
    accessors: values.accessor,
    keep: values.keep,
    sources: new Map([['address_space', ''], ['file', ''], ...values.source.map(pair)]),
  };
  const files = sourceFiles(root, folders, values.except);
  const xref = values.xref === undefined ? crossReference(root, files) : readFileSync(values.xref, 'latin1');
  const graph = callGraph(xref, root, files, wanted);
  process.stdout.write(JSON.stringify(graph));
  console.error(`${files.length} files, ${graph.functions.length} functions, ${graph.slots.length} slots, ${graph.calls.length} calls`);
  for (const [what, times] of counts) console.error(`${what}: ${times}`);
}

try {
  main();
} catch (error) {
  console.error(error instanceof Refusal || error.code ? error.message : error);
  process.exitCode = 2;
}
