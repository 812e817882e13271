import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { type ParserPlugin, parse } from '@babel/parser';
import type { File, Node, ObjectExpression, ObjectProperty } from '@babel/types';
import type { AnyStateNode } from 'xstate';

/** A stretch of one line. Lines and columns are counted from 1; `end` is the column after it. */
export interface Stretch {
  file: string;
  line: number;
  column: number;
  end: number;
}

/** A machine as it is written: an object with its id and its states. */
interface Written {
  file: string;
  /** Null: it has none, and XState calls it `(machine)`. */
  id: string | null;
  config: ObjectExpression;
}

/** What XState calls a machine without an id. */
const nameless = '(machine)';
const typescript = ['.ts', '.mts', '.cts', '.tsx'];
const javascript = ['.js', '.mjs', '.cjs', '.jsx'];
/** As a source names it, and as it may be called on disk before it is compiled. */
const compiledFrom: Readonly<Record<string, readonly string[]>> = { '.js': ['.ts', '.tsx'], '.mjs': ['.mts'], '.cjs': ['.cts'], '.jsx': ['.tsx'] };
/** A module that imports more files than this is not searched. */
const mostFiles = 500;

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === 'string';

/** A node and all below it. */
function* nodes(root: Node): Generator<Node> {
  const left: Node[] = [root];
  for (let node = left.pop(); node; node = left.pop()) {
    yield node;
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) left.push(...value.filter(isNode));
      else if (isNode(value)) left.push(value);
    }
  }
}

/** Without what TypeScript writes around it. */
function bare(node: unknown): Node | null {
  if (!isNode(node)) return null;
  return node.type === 'TSAsExpression' || node.type === 'TSSatisfiesExpression' || node.type === 'TSTypeAssertion' || node.type === 'TSNonNullExpression'
    ? bare(node.expression)
    : node;
}

function textOf(node: unknown): string | null {
  const literal = bare(node);
  if (literal?.type === 'StringLiteral') return literal.value;
  return literal?.type === 'TemplateLiteral' && literal.expressions.length === 0 ? (literal.quasis[0]?.value.cooked ?? null) : null;
}

/** A property's key as it is written; null if it is computed. */
function keyOf(property: ObjectExpression['properties'][number]): string | null {
  if (property.type === 'SpreadElement') return null;
  const { key, computed } = property;
  if (key.type === 'Identifier' && !computed) return key.name;
  return key.type === 'NumericLiteral' ? String(key.value) : textOf(key);
}

/** The one property of an object with this key, if nothing that follows it could replace it. */
function property(object: ObjectExpression, name: string): ObjectProperty | null {
  const keys = object.properties.map(keyOf);
  const at = keys.indexOf(name);
  const found = object.properties[at];
  if (found?.type !== 'ObjectProperty' || keys.slice(at + 1).some((key) => key === null || key === name)) return null;
  return found;
}

function objectAt(object: ObjectExpression, name: string): ObjectExpression | null {
  const value = bare(property(object, name)?.value);
  return value?.type === 'ObjectExpression' ? value : null;
}

const isOpen = (object: ObjectExpression): boolean => object.properties.some((one) => keyOf(one) === null);

/** Whether this can be the text of the machine: it has the same states, as far as it writes them down. */
function fits({ config, id }: Written, { machine }: AnyStateNode): boolean {
  if ((id ?? nameless) !== machine.id) return false;
  const actual = Object.keys(machine.root.states);
  const states = objectAt(config, 'states');
  if (!states) return actual.length === 0 || isOpen(config) || config.properties.some((one) => keyOf(one) === 'states');
  const written = states.properties.map(keyOf).filter((key) => key !== null);
  return written.every((key) => actual.includes(key)) && (isOpen(states) || actual.every((key) => written.includes(key)));
}

function stretch(file: string, { loc }: Node): Stretch | null {
  if (!loc) return null;
  const { start, end } = loc;
  return { file, line: start.line, column: start.column + 1, end: (end.line === start.line ? end.column : start.column + 1) + 1 };
}

/** Where a state of it is written: as deep as it is written down. */
function placeIn({ file, config }: Written, path: readonly string[]): Stretch | null {
  let found: Node = property(config, 'id') ?? config;
  let object: ObjectExpression | null = config;
  for (const name of path) {
    const states: ObjectExpression | null = object && objectAt(object, 'states');
    const state: ObjectProperty | null = states && property(states, name);
    if (!states || !state) break;
    found = state.key;
    object = objectAt(states, name);
  }
  return stretch(file, found);
}

function pluginsFor(file: string): ParserPlugin[] {
  const extension = extname(file);
  const language: ParserPlugin[] = typescript.includes(extension) ? ['typescript'] : [];
  return [...language, ...(['.ts', '.mts', '.cts'].includes(extension) ? [] : (['jsx'] as const)), 'decorators', 'explicitResourceManagement'];
}

/** The relative paths that a file imports from. */
function* importsOf(file: File): Generator<string> {
  for (const node of nodes(file)) {
    let from: unknown = null;
    if (node.type === 'ImportDeclaration') from = node.importKind === 'type' ? null : node.source;
    else if (node.type === 'ExportAllDeclaration' || node.type === 'ExportNamedDeclaration') from = node.exportKind === 'type' ? null : node.source;
    else if (node.type === 'CallExpression' && (node.callee.type === 'Import' || (node.callee.type === 'Identifier' && node.callee.name === 'require')))
      from = node.arguments[0];
    else if (node.type === 'TSExternalModuleReference') from = node.expression;
    const path = textOf(from);
    if (path && /^\.{1,2}(\/|$)/.test(path)) yield path;
  }
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();

/** The source file that a relative import names; null for what is no JavaScript or TypeScript. */
function resolved(from: string, path: string): string | null {
  const whole = resolve(dirname(from), path.replace(/[?#].*$/, ''));
  const extension = extname(whole);
  const stem = whole.slice(0, whole.length - extension.length);
  const all = [...javascript, ...typescript];
  const candidates = [
    whole,
    ...(compiledFrom[extension] ?? []).map((other) => stem + other),
    ...all.map((other) => whole + other),
    ...all.map((other) => resolve(whole, `index${other}`)),
  ];
  const found = candidates.find(isFile);
  return found !== undefined && all.includes(extname(found)) ? found : null;
}

const isMachineCall = (node: Node): boolean =>
  node.type === 'CallExpression' &&
  ((node.callee.type === 'Identifier' && node.callee.name === 'createMachine') ||
    (node.callee.type === 'MemberExpression' && node.callee.property.type === 'Identifier' && node.callee.property.name === 'createMachine'));

/** The machines written in a file: whatever has a literal id and states, and what is given to `createMachine`. */
function* machinesOf(file: string, tree: File): Generator<Written> {
  const given = new Set<Node>();
  for (const node of nodes(tree)) {
    const argument = node.type === 'CallExpression' && isMachineCall(node) ? bare(node.arguments[0]) : null;
    if (argument) given.add(argument);
  }
  for (const node of nodes(tree)) {
    if (node.type !== 'ObjectExpression') continue;
    const id = textOf(property(node, 'id')?.value);
    const hasId = node.properties.some((one) => keyOf(one) === 'id');
    if (id !== null ? given.has(node) || property(node, 'states') : given.has(node) && !hasId && !isOpen(node)) yield { file, id, config: node };
  }
}

/**
 * The text of a module and of what it imports by relative paths, searched for the places at which the states of its machines are written.
 * Machines are plain objects that know nothing of that: a place is told only where exactly one fits.
 */
export class Sources {
  private readonly machines: Written[] = [];
  /** Every file was read and understood: what was found once is nowhere else. */
  private complete = true;

  constructor(entry: string) {
    const files = [entry];
    const seen = new Set(files);
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      const tree = this.read(file);
      if (!tree) continue;
      this.machines.push(...machinesOf(file, tree));
      for (const path of importsOf(tree)) {
        const next = resolved(file, path);
        if (next !== null && !seen.has(next)) files.push(next);
        if (next !== null) seen.add(next);
      }
      if (seen.size > mostFiles) this.complete = false;
      if (!this.complete) break;
    }
  }

  /** Where a state is written, or the nearest around it that is; null if that cannot be said for sure. */
  placeOf(node: AnyStateNode): Stretch | null {
    if (!this.complete) return null;
    const [only, ...others] = this.machines.filter((machine) => fits(machine, node));
    return only && others.length === 0 ? placeIn(only, node.path) : null;
  }

  private read(file: string): File | null {
    try {
      return parse(readFileSync(file, 'utf8'), {
        sourceType: 'unambiguous',
        allowReturnOutsideFunction: true,
        plugins: pluginsFor(file),
      });
    } catch {
      this.complete = false;
      return null;
    }
  }
}
