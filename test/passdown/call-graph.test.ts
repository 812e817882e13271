import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { callGraphFrom, shapes } from '../../src/passdown/call-graph.js';
import { CallGraphError } from '../../src/passdown/problems.js';
import { UsageError } from '../../src/system/errors.js';
import { graphs } from './graphs.js';

const format = 'shootdown.call-graph/1';
const a = { id: 'a', at: 'fs/a.c:1', has: [{ name: 'file', type: 'file' }] };
const call = { caller: 'a', callee: 'a', line: 1 };
const good = { format, functions: [a], calls: [call] };

/** What is wrong with a value: `path: message`. */
function problems(value: unknown): string[] {
  try {
    callGraphFrom(value);
  } catch (error) {
    expect(error).toBeInstanceOf(CallGraphError);
    expect(error).toBeInstanceOf(UsageError);
    return (error as CallGraphError).problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  }
  return [];
}

test('a call graph is returned as it is', () => {
  expect(callGraphFrom(good)).toBe(good);
  fc.assert(
    fc.property(graphs, (graph) => {
      expect(callGraphFrom(graph)).toBe(graph);
    }),
  );
});

test.each<[string, unknown, string[]]>([
  ['a list', [], ['an object is wanted, not an array']],
  ['null', null, ['an object is wanted, not null']],
  ['a text', 'graph', ["an object is wanted, not 'graph'"]],
  ['nothing in it', {}, ['format: is missing: a string that is not empty', 'functions: is missing: an array', 'calls: is missing: an array']],
  ['another format', { ...good, format: 'shootdown.check/1' }, ["format: 'shootdown.call-graph/1' is wanted, not 'shootdown.check/1'"]],
  ['no functions', { ...good, functions: [], calls: [] }, ['functions: there is none']],
  ['functions that are no list', { format, functions: {}, calls: [] }, ['functions: an array is wanted, not an object']],
  ['an unknown field', { ...good, function: [] }, ["function: there is no such field; did you mean 'functions'?"]],
  ['a function that is none', { ...good, functions: [a, 'b'] }, ["functions[1]: an object is wanted, not 'b'"]],
  ['a function without id', { ...good, functions: [a, {}] }, ['functions[1].id: is missing: a string that is not empty']],
  ['an empty id', { ...good, functions: [a, { id: '' }] }, ["functions[1].id: a string that is not empty is wanted, not ''"]],
  [
    'fields of the wrong type',
    { ...good, functions: [a, { id: 'b', at: 3, fs: 'no', uses: 1, accessor: null, has: {} }] },
    [
      'functions[1].at: a string that is not empty is wanted, not 3',
      "functions[1].fs: true or false is wanted, not 'no'",
      'functions[1].uses: true or false is wanted, not 1',
      'functions[1].accessor: true or false is wanted, not null',
      'functions[1].has: an array is wanted, not an object',
    ],
  ],
  [
    'an unknown field of a function',
    { ...good, functions: [{ ...a, acessor: true }] },
    ["functions[0].acessor: there is no such field; did you mean 'accessor'?"],
  ],
  [
    'parameters',
    {
      ...good,
      functions: [
        {
          id: 'a',
          has: [
            { name: 'f', type: 'File' },
            { type: 'file', stack: true },
            { name: 'f', type: 'mapping' },
          ],
        },
      ],
    },
    [
      "functions[0].has[0].type: 'mapping' or 'file' is wanted, not 'File'",
      "functions[0].has[1].stack: there is no such field; did you mean 'stacked'?",
      'functions[0].has[1].name: is missing: a string that is not empty',
      "functions[0].has[2].name: 'f' is functions[0].has[0].name too",
    ],
  ],
  [
    'two functions of one id',
    { ...good, functions: [a, { id: 'b' }, a, { id: 'b' }] },
    [
      "functions[2].id: 'a' is functions[0].id too; static functions of one name are told apart by their file ('a@fs/a.c')",
      "functions[3].id: 'b' is functions[1].id too; static functions of one name are told apart by their file ('b@fs/ext4/inode.c')",
    ],
  ],
  [
    'slots',
    { ...good, slots: [{ id: 's', functions: ['a', 'A', 'a', 7] }, { id: 's', functions: [] }, { id: 't', functions: 'a' }, 4] },
    [
      "slots[0].functions[1]: there is no function 'A'; did you mean 'a'?",
      'slots[0].functions[3]: the id of a function is wanted, not 7',
      "slots[0].functions[2]: 'a' is slots[0].functions[0] too",
      "slots[1].id: 's' is slots[0].id too",
      "slots[2].functions: an array is wanted, not 'a'",
      'slots[3]: an object is wanted, not 4',
    ],
  ],
  ['an unknown caller', { ...good, calls: [{ ...call, caller: 'ab' }] }, ["calls[0].caller: there is no function 'ab'; did you mean 'a'?"]],
  ['an unknown callee', { ...good, calls: [call, { ...call, callee: 'printk' }] }, ["calls[1].callee: there is no function 'printk'"]],
  [
    'an unknown slot',
    { ...good, slots: [{ id: 'ops.read', functions: [] }], calls: [{ caller: 'a', slot: 'ops.reed', line: 1 }] },
    ["calls[0].slot: there is no slot 'ops.reed'; did you mean 'ops.read'?"],
  ],
  ['a slot where there are none', { ...good, calls: [{ caller: 'a', slot: 's', line: 1 }] }, ["calls[0].slot: there is no slot 's'"]],
  [
    'a function where a slot should be',
    { ...good, slots: [{ id: 'b', functions: [] }], calls: [{ caller: 'a', slot: 'a', line: 1 }] },
    ["calls[0].slot: there is no slot 'a'; did you mean 'b'?"],
  ],
  ['neither callee nor slot', { ...good, calls: [{ caller: 'a', line: 1 }] }, ['calls[0]: it has neither callee nor slot']],
  ['both', { ...good, slots: [{ id: 's', functions: ['a'] }], calls: [{ ...call, slot: 's' }] }, ['calls[0]: it has both callee and slot']],
  ['a callee that is no text', { ...good, calls: [{ ...call, callee: 5 }] }, ['calls[0].callee: a string that is not empty is wanted, not 5']],
  ['no line', { ...good, calls: [{ caller: 'a', callee: 'a' }] }, ['calls[0].line: is missing: a whole number from 1']],
  ['line 0', { ...good, calls: [{ ...call, line: 0 }] }, ['calls[0].line: a whole number from 1 is wanted, not 0']],
  ['half a line', { ...good, calls: [{ ...call, line: 1.5 }] }, ['calls[0].line: a whole number from 1 is wanted, not 1.5']],
  [
    'a mapping that the caller has not',
    { ...good, calls: [{ ...call, mapping: 'fle' }] },
    ["calls[0].mapping: the caller 'a' has 'file', and no 'fle'; did you mean 'file'?"],
  ],
  [
    'a mapping of a caller that has none',
    { ...good, functions: [a, { id: 'b' }], calls: [{ ...call, caller: 'b', mapping: 'file' }] },
    ["calls[0].mapping: the caller 'b' has no mapping, and so no 'file'"],
  ],
  ['a call that is none', { ...good, calls: [null] }, ['calls[0]: an object is wanted, not null']],
])('%s', (_, value, expected) => {
  expect(problems(value)).toEqual(expected);
});

test('names such as __proto__ and constructor are names like others', () => {
  const ids = ['__proto__', 'constructor', 'toString'];
  const value = JSON.parse(
    JSON.stringify({ format, functions: ids.map((id) => ({ id })), calls: ids.map((caller) => ({ caller, callee: 'hasOwnProperty', line: 1 })) }),
  );
  expect(problems(value)).toEqual(
    [0, 1, 2].map((at) => expect.stringMatching(new RegExp(`^calls\\[${at}\\]\\.callee: there is no function 'hasOwnProperty'`))),
  );
  expect(problems(JSON.parse(`{"format":"${format}","functions":[{"id":"a","__proto__":1}],"calls":[]}`))).toEqual([
    expect.stringContaining('functions[0].__proto__: there is no such field'),
  ]);
});

test('all problems are collected; the message is one line with the first ten', () => {
  const value = { ...good, calls: Array.from({ length: 1234 }, () => ({ ...call, caller: 'b' })) };
  expect(problems(value)).toHaveLength(1234);
  const where = (at: number): string => `(${at + 1}) calls[${at}].caller: there is no function 'b'; did you mean 'a'?`;
  const ten = Array.from({ length: 10 }, (_, at) => where(at)).join(' ');
  expect(() => callGraphFrom(value, "'g.json'")).toThrow(new Error(`'g.json' is no call graph: ${ten} and 1224 more`));
  expect(() => callGraphFrom({ ...value, calls: value.calls.slice(0, 2) })).toThrow(new Error(`the value is no call graph: ${where(0)} ${where(1)}`));
  expect(() => callGraphFrom({ ...value, calls: value.calls.slice(0, 1) })).toThrow(new Error(`the value is no call graph: ${where(0).slice(4)}`));
});

interface Schema {
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean;
  $ref?: string;
  items?: Schema;
  oneOf?: Schema[];
  enum?: string[];
  const?: string;
  minimum?: number;
  $defs?: Record<string, Schema>;
}

test('schemas/call-graph.schema.json has the same fields', () => {
  const schema: Schema = JSON.parse(readFileSync(join(__dirname, '../../schemas/call-graph.schema.json'), 'utf8'));
  const parts: Record<string, Schema> = { graph: schema, ...schema.$defs };
  expect(Object.keys(parts).sort()).toEqual(Object.keys(shapes).sort());
  for (const [name, fields] of Object.entries(shapes)) {
    const { properties = {}, required = [], additionalProperties } = parts[name] as Schema;
    expect(Object.keys(properties)).toEqual(Object.keys(fields));
    expect(required).toEqual(Object.entries(fields).flatMap(([field, kind]) => (kind.endsWith('!') ? [field] : [])));
    expect(additionalProperties).toBe(false);
  }
  expect(parts.call?.oneOf).toEqual([{ required: ['callee'] }, { required: ['slot'] }]);
  expect(parts.graph?.properties?.format?.const).toBe(format);
  expect(parts.call?.properties?.line?.minimum).toBe(1);
});
