import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { type AnyStateMachine, createMachine } from 'xstate';
import * as shipped from '../../machines/index.js';
import { Sources } from '../../src/cli/sources.js';
import { stateNodes } from '../../src/system/logic.js';

const directory = mkdtempSync(join(tmpdir(), 'shootdown-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Where the states of a machine are found in these files, the first of which is the module: `state` to `file:line:text`. */
function found(files: Record<string, string>, machine: AnyStateMachine): Record<string, string | null> {
  const folder = mkdtempSync(join(directory, 'module-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const sources = new Sources(join(folder, Object.keys(files)[0] as string));
  const said = stateNodes(machine).map((node): [string, string | null] => {
    const place = sources.placeOf(node);
    const line = place && readFileSync(place.file, 'utf8').split('\n')[place.line - 1];
    return [node.path.join('.'), place && `${relative(folder, place.file)}:${place.line}:${line?.slice(place.column - 1, place.end - 1)}`];
  });
  return Object.fromEntries(said);
}

const config = { id: 'm', initial: 'a', states: { a: { on: { go: 'b' } }, b: { initial: 'c', states: { c: {} } } } } as const;
const machine = createMachine(config) as AnyStateMachine;
const text = `createMachine({
  id: 'm',
  initial: 'a',
  states: {
    a: { on: { go: 'b' } },
    'b': {
      initial: 'c',
      states: { c: {} },
    },
  },
})`;
const places = (file: string, first = 1): Record<string, string> => ({
  '': `${file}:${first + 1}:id: 'm'`,
  a: `${file}:${first + 4}:a`,
  b: `${file}:${first + 5}:'b'`,
  'b.c': `${file}:${first + 7}:c`,
});
const nowhere = { '': null, a: null, b: null, 'b.c': null };

test('a state is found by its machine’s id and the way to it', () => {
  expect(found({ 'm.mjs': `export const m = ${text};` }, machine)).toEqual(places('m.mjs'));
  expect(found({ 'm.mjs': `const s = setup({});\nexport const m = s.${text};` }, machine)).toEqual(places('m.mjs', 2));
  expect(found({ 'm.cjs': `exports.m = ${text}; return;` }, machine)).toEqual(places('m.cjs'));
});

test('in what the module imports by relative paths too, under the name that it has on disk', () => {
  const importing: [string, string, string][] = [
    ['m.mjs', "import { m } from './sub/machine.mjs';", 'sub/machine.mjs'],
    ['m.mjs', "export * from './machine.mjs';", 'machine.mjs'],
    ['m.mjs', "export { m } from './machine.mjs?x=1';", 'machine.mjs'],
    ['m.mjs', "const { m } = await import('./machine.mjs');", 'machine.mjs'],
    ['m.cjs', "const { m } = require('./machine');", 'machine.cjs'],
    ['m.cjs', "const { m } = require('./sub');", 'sub/index.js'],
    ['m.ts', "import { m } from './machine.js';", 'machine.ts'],
    ['m.mts', "import { m } from './machine.mjs';", 'machine.mts'],
    ['m.ts', "import machine = require('./machine');", 'machine.ts'],
  ];
  for (const [entry, statement, file] of importing)
    expect([statement, found({ [entry]: statement, [file]: `export const m = ${text};` }, machine)]).toEqual([statement, places(file)]);
  // Round in circles, and through another.
  const round = { 'a.mjs': "import './b.mjs';", 'b.mjs': "import './a.mjs'; import './c.mjs';", 'c.mjs': `${text};` };
  expect(found(round, machine)).toEqual(places('c.mjs'));
  expect(found({ 'm.ts': "import type { m } from './machine.js';", 'machine.ts': `${text};` }, machine)).toEqual(nowhere);
  expect(found({ 'm.mjs': "import 'machine';", 'machine.mjs': `${text};` }, machine)).toEqual(nowhere);
});

test('through what TypeScript and templates write around it, and as an object of its own', () => {
  expect(found({ 'm.ts': `const m: unknown = ${text.replace(/\)$/, ' as const satisfies object)')};` }, machine)).toEqual(places('m.ts'));
  expect(found({ 'm.mjs': `export const config = ${text.slice('createMachine('.length, -1)};` }, machine)).toEqual(places('m.mjs'));
  expect(found({ 'm.mjs': `${text.replace("'m'", '`m`')};` }, machine)).toEqual({ ...places('m.mjs'), '': 'm.mjs:2:id: `m`' });
});

test('a machine without an id is found where it is the only one with its states', () => {
  const anonymous = createMachine({ initial: 'a', states: { a: {}, b: {} } }) as AnyStateMachine;
  const written = "createMachine({ initial: 'a', states: { a: {}, b: {} } })";
  expect(found({ 'm.mjs': `${written}; createMachine({ states: { x: {} } });` }, anonymous).b).toBe('m.mjs:1:b');
  expect(found({ 'm.mjs': `${written};\n${written};` }, anonymous).b).toBeNull();
  // With an id that is not known here it may be another.
  expect(found({ 'm.mjs': "createMachine({ id: name, initial: 'a', states: { a: {}, b: {} } })" }, anonymous).b).toBeNull();
});

describe('nothing is said of', () => {
  test('two machines that both fit', () => {
    expect(found({ 'm.mjs': `${text};\n${text};` }, machine)).toEqual(nowhere);
    expect(found({ 'm.mjs': `import './other.mjs';\n${text};`, 'other.mjs': text }, machine)).toEqual(nowhere);
  });

  test('a machine of that id with other states', () => {
    expect(found({ 'm.mjs': text.replace("a: { on: { go: 'b' } }", 'z: {}') }, machine)).toEqual(nowhere);
    expect(found({ 'm.mjs': text.replace("a: { on: { go: 'b' } },", '') }, machine)).toEqual(nowhere);
    expect(found({ 'm.mjs': `${text};\n${text.replace("a: { on: { go: 'b' } }", 'z: {}')};` }, machine)).toEqual(places('m.mjs'));
  });

  test('an id that is computed', () => {
    expect(found({ 'm.mjs': text.replace("'m'", 'name') }, machine)).toEqual(nowhere);
  });

  test('a module that cannot be read to its end', () => {
    expect(found({ 'm.mjs': `import './broken.mjs';\n${text};`, 'broken.mjs': 'const const' }, machine)).toEqual(nowhere);
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`f${at}.mjs`, '']));
    const importing = Object.keys(many)
      .map((name) => `import './${name}';`)
      .join(' ');
    expect(found({ 'm.mjs': `${importing}\n${text};`, ...many }, machine)).toEqual(nowhere);
  });
});

test('what may come from elsewhere is told as the nearest around it', () => {
  const spread = text.replace("'b': {", '...more,\n    b: {');
  // A spread before it cannot replace it; what stands before the spread may be replaced.
  expect(found({ 'm.mjs': spread }, machine)).toEqual({ '': "m.mjs:2:id: 'm'", a: "m.mjs:2:id: 'm'", b: 'm.mjs:7:b', 'b.c': 'm.mjs:9:c' });
  expect(found({ 'm.mjs': text.replace('{ c: {} }', 'inner') }, machine)).toEqual({ ...places('m.mjs'), 'b.c': "m.mjs:6:'b'" });
  expect(found({ 'm.mjs': "createMachine({ id: 'm', initial: 'a', states })" }, machine)).toEqual({
    '': "m.mjs:1:id: 'm'",
    a: "m.mjs:1:id: 'm'",
    b: "m.mjs:1:id: 'm'",
    'b.c': "m.mjs:1:id: 'm'",
  });
  expect(found({ 'm.mjs': text.replace('a: {', "['a']: {") }, machine)).toMatchObject({ a: "m.mjs:5:'a'" });
});

test('law: of the shipped machines each state is told at its own name, or at one around it', () => {
  const entry = join(__dirname, '..', '..', 'machines', 'index.ts');
  const sources = new Sources(entry);
  const machines = [...new Set(Object.values(shipped as Record<string, unknown>))].filter(
    (value): value is AnyStateMachine => typeof value === 'object' && value !== null && '__xstatenode' in value,
  );
  expect(machines.length).toBeGreaterThan(50);
  let [exact, all] = [0, 0];
  for (const node of machines.flatMap(stateNodes)) {
    const place = sources.placeOf(node);
    all++;
    if (!place) continue;
    const line = readFileSync(place.file, 'utf8').split('\n')[place.line - 1] as string;
    const written = line.slice(place.column - 1, place.end - 1).replace(/^(id: )?'(.*)'$/, '$2');
    expect([node.machine.id, ...node.path]).toContain(written);
    if (written === node.key) exact++;
  }
  expect(exact / all).toBeGreaterThan(0.95);
});
