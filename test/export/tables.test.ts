import { moduleName, Names, runs, wordOf } from '../../src/export/names.js';
import { promela } from '../../src/export/promela.js';
import { mostRows, type Tables, tablesOf } from '../../src/export/tables.js';
import { tla } from '../../src/export/tla.js';
import { actor, bug, defineSystem, invariant, type Property, speaker } from '../../src/index.js';
import { lockSystem } from '../cli/lock.js';
import { machine, single } from '../systems/small.js';
import { Module } from './evaluator.js';
import { searched, tabled } from './models.js';

test('rows say what a step reads and writes, in numbers of local states', () => {
  const { actors, choices, rows } = tabled(lockSystem('lock', true));
  expect(actors.map(({ address, locals, initial }) => ({ address, locals, initial }))).toEqual([
    { address: 'lock', locals: ['free', 'held'], initial: 0 },
    { address: 'a', locals: ['xchg_lock', 'critical', 'done'], initial: 0 },
    { address: 'b', locals: ['xchg_lock', 'critical', 'done'], initial: 0 },
  ]);
  const [lock, a, b] = [0, 1, 2];
  const path = (actor: number) => [
    {
      reads: [
        { actor, ids: [0] },
        { actor: lock, ids: [0] },
      ],
      writes: [
        [lock, 1],
        [actor, 1],
      ],
    },
    {
      reads: [
        { actor, ids: [1] },
        { actor: lock, ids: [1] },
      ],
      writes: [
        [lock, 0],
        [actor, 2],
      ],
    },
  ]; // prettier-ignore
  expect(choices.map((choice) => choice.rows)).toEqual([path(a), path(b)]);
  expect(rows).toBe(4);
});

test('local states after which all is the same are one row, and what does not matter is not read', () => {
  const memory = machine({
    id: 'memory',
    initial: 'a',
    states: { a: { on: { turn: 'b', reset: 'a' } }, b: { on: { turn: 'c', reset: 'a' } }, c: { on: { turn: 'a', reset: 'a' } } },
  });
  const { choices } = tabled(single(memory, { choices: ['turn', 'reset'] }));
  expect(choices[1]?.rows).toEqual([{ reads: [{ actor: 0, ids: [1, 2] }], writes: [[0, 0]] }]);
  const ping = { actions: speaker().tell('memory', { type: 'ping' }) };
  const pinging = machine({ id: 'pinging', initial: 'p', states: { p: { on: { step: { ...ping, target: 'q' } } }, q: {} } });
  const pinged = defineSystem({ id: 'pinged', actors: { memory: actor(memory, { choices: ['turn'] }), pinging: actor(pinging) } });
  // The memory takes no notice, wherever it is.
  expect(tabled(pinged).choices[1]?.rows).toEqual([{ reads: [{ actor: 1, ids: [0] }], writes: [[1, 1]] }]);
});

test('more rows than are exported are refused', () => {
  const system = lockSystem('lock/safe', true);
  expect(tablesOf(searched(system), system, 4).rows).toBe(4);
  expect(() => tablesOf(searched(system), system, 3)).toThrow("the tables of 'lock/safe' have 4 rows, and at most 3 are exported; export a smaller system");
  expect(mostRows).toBeGreaterThan(10_000);
});

test('a BUG state that is left again within its step is a violation where the step begins', () => {
  const falling = machine({
    id: 'falling',
    initial: 'up',
    states: { up: { on: { push: 'fell' } }, fell: { tags: ['BUG', 'fall'], on: { lift: 'down' } }, down: { tags: 'rest' } },
  });
  const tell = (type: string) => speaker().tell('falling', { type });
  const pushing = machine({
    id: 'pushing',
    initial: 'before',
    states: { before: { on: { step: { target: 'after', actions: [tell('push'), tell('lift')] } } }, after: { tags: 'rest' } },
  });
  const system = defineSystem({
    id: 'pushed',
    actors: { falling: actor(falling), pushing: actor(pushing) },
    properties: [bug('fall', 'nobody falls')],
  });
  const tables = tabled(system);
  expect(tables.claims.map(({ name, never, violated }) => ({ name, never, violated }))).toEqual([
    { name: 'BUG', never: [], violated: false },
    {
      name: 'fall',
      never: [
        [{ actor: 0, ids: [1] }],
        [
          { actor: 1, ids: [0] },
          { actor: 0, ids: [0] },
        ],
      ],
      violated: true,
    },
    { name: 'deadlock', never: [], violated: false },
  ]);
});

/** Wheels that one choice turns together: 50 states, whatever the number of wheels. */
function convoy(properties: readonly Property[]): Tables {
  const states = Object.fromEntries([...Array(50).keys()].map((n) => [`${n}`, { on: { turn: `${(n + 1) % 50}` } }]));
  const wheel = machine({ id: 'wheel', initial: '0', states });
  const wheels = ['a', 'b', 'c', 'd'];
  const driver = machine({ id: 'driver', on: { go: { actions: wheels.map((to) => speaker().tell(to, { type: 'turn' })) } } });
  return tabled(
    defineSystem({
      id: 'convoy',
      actors: { ...Object.fromEntries(wheels.map((address) => [address, actor(wheel)])), driver: actor(driver, { choices: ['go'] }) },
      properties,
    }),
  );
}

test('an invariant that takes too much to try or to say is left out, and the models say so', () => {
  const at = ({ a, b, c }: Record<string, { value: string }>): number => Number(a?.value) + Number(b?.value) + Number(c?.value);
  const tables = convoy([
    invariant<Record<string, { value: string }>>('few', 'a and b are not both at 7', {
      actors: ['a', 'b'],
      holds: ({ a, b }) => !(a?.value === '7' && b?.value === '7'),
    }),
    invariant<Record<string, { value: string }>>('long', 'not at a multiple of 50', { actors: ['a', 'b', 'c'], holds: (all) => at(all) % 50 !== 0 }),
    invariant<Record<string, { value: string }>>('wide', 'it is said', { actors: ['a', 'b', 'c', 'd'], holds: () => true }),
  ]);
  expect(tables.claims.slice(1, 4).map(({ never, violated, leftOut }) => ({ never, violated, leftOut }))).toEqual([
    {
      never: [
        [
          { actor: 0, ids: [7] },
          { actor: 1, ids: [7] },
        ],
      ],
      violated: true,
      leftOut: null,
    },
    { never: [], violated: true, leftOut: 'it takes more than 2,000 conditions to say' },
    { never: [], violated: false, leftOut: 'its actors have 6,250,000 combinations of local states; at most 1,048,576 are tried' },
  ]);
  for (const model of [promela(tables), tla(tables).module])
    expect(model.split('\n').map((line) => line.replace(/^(?: \*|\\\*) +/, ''))).toEqual(
      expect.arrayContaining([
        'Not in the model, or not the whole of it:',
        'long (invariant): it takes more than 2,000 conditions to say',
        'wide (invariant): its actors have 6,250,000 combinations of local states; at most 1,048,576 are tried',
      ]),
    );
});

test('a system in which nothing happens is a model all the same', () => {
  const stone = machine({ id: 'stone', initial: 'lies', states: { lies: { tags: 'rest' } } });
  const tables = tabled(defineSystem({ id: '1 stone', actors: { stone: actor(stone), other: actor(stone) } }));
  expect(tables.actors.map(({ address }) => address)).toEqual(['stone']);
  expect(new Module(tla(tables).module).states()).toEqual([[0]]);
  expect(promela(tables)).toContain('byte stone = 0;');
  expect(() => tabled(defineSystem({ id: 'none', actors: {} }))).toThrow("'none' has no actors; there is nothing to export");
});

test('identifiers are those of both languages, and each is given once', () => {
  const names = new Names();
  expect(['lock', 'io.put_page', 'io put-page', 'init', 'Next', '0', 'int', 'α'].map((text) => names.variable(text))).toEqual([
    'lock',
    'io_put_page',
    'io_put_page_2',
    'a_init',
    'a_Next',
    'a_0',
    'a_int',
    'a__',
  ]);
  expect(['a: step', 'a: step', '9', 'WF_a'].map((text) => names.definition(text))).toEqual(['A_step', 'A_step_2', 'A_9', 'A_WF_a']);
  expect([wordOf('cpu0: fill vpn 0'), moduleName('lock/safe'), moduleName('1 stone')]).toEqual(['cpu0_fill_vpn_0', 'lock_safe', 'M_1_stone']);
  expect(runs([1, 2, 3, 7, 9, 10])).toEqual([
    [1, 3],
    [7, 7],
    [9, 10],
  ]);
});

test('what names say does not end a comment or a text of the model', () => {
  const states = { 'a */ b': { on: { 'go "%s\\': 'c /* d' } }, 'c /* d': {} };
  const odd = machine({ id: 'odd', initial: 'a */ b', states });
  const system = single(odd, { choices: ['go "%s\\'] }, { properties: [bug('x */ y', 'one\nline')] });
  const model = promela(tabled(system));
  expect(model.match(/\/\*/g)?.length).toBe(model.match(/\*\//g)?.length);
  expect(model).toContain('printf("a: go _%%s_\\n")');
  const module = new Module(tla(tabled(system)).module);
  expect(module.states()).toHaveLength(2);
});
