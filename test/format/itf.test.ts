import fc from 'fast-check';
import { assign } from 'xstate';
import { itf, itfValue } from '../../src/format/itf.js';
import { LiveSystem } from '../../src/live/live.js';
import { replay } from '../../src/schedule/replay.js';
import { actor, defineSystem } from '../../src/system/system.js';
import { placeOf } from '../../src/system/view.js';
import { machine } from '../systems/small.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { machineRoom, play } from './machines.js';
import { wanderings } from './wander.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const isObject = (value: Json | undefined): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value);
const name = /^[A-Za-z_][A-Za-z0-9_]*$/;

const list = (value: Json | undefined): boolean => Array.isArray(value) && value.every(isExpression);
const pairs = (value: Json | undefined): boolean => Array.isArray(value) && value.every((pair) => list(pair) && (pair as Json[]).length === 2);

/** The special forms, each an object with one field. */
const forms: Record<string, (value: Json | undefined) => boolean> = {
  '#bigint': (value) => typeof value === 'string' && /^-?[0-9]+$/.test(value),
  '#tup': list,
  '#set': list,
  '#map': pairs,
  '#unserializable': (value) => typeof value === 'string',
};

/** An expression as ADR-015 has it (revision 2025-11-11): JSON's numbers and null are none. */
function isExpression(value: Json | undefined): boolean {
  if (typeof value === 'boolean' || typeof value === 'string') return true;
  if (!isObject(value)) return list(value);
  const [[key, inner] = ['', undefined], ...others] = Object.entries(value);
  const form = Object.hasOwn(forms, key) && others.length === 0 ? forms[key] : undefined;
  if (form) return form(inner);
  // A record: in Apalache it has at least one field, and names of TLA+. With a tag and a value it would be a variant.
  const keys = Object.keys(value).sort();
  return keys.length > 0 && keys.join() !== 'tag,value' && keys.every((field) => name.test(field) && isExpression(value[field]));
}

/** The trace object of ADR-015. */
function trace(document: Json): { vars: string[]; states: { [key: string]: Json }[]; loop?: number; meta: { [key: string]: Json } } {
  if (!isObject(document)) throw new Error('the document is no object');
  const { '#meta': meta, vars, states, loop, ...rest } = document;
  expect(Object.keys(rest)).toEqual([]);
  if (!isObject(meta) || !Array.isArray(vars) || !Array.isArray(states)) throw new Error('the document lacks a part');
  expect(new Set(vars).size).toBe(vars.length);
  for (const variable of vars) expect(variable).toMatch(name);
  for (const [index, state] of states.entries()) {
    if (!isObject(state) || !isObject(state['#meta'])) throw new Error(`state ${index} is none`);
    expect(state['#meta'].index).toBe(index);
    expect(
      Object.keys(state)
        .filter((key) => key !== '#meta')
        .sort(),
    ).toEqual([...vars].sort());
    expect(vars.filter((variable) => !isExpression(state[variable as string]))).toEqual([]);
  }
  if (loop !== undefined) expect(Number.isInteger(loop) && (loop as number) >= 0 && (loop as number) < states.length).toBe(true);
  return { vars: vars as string[], states: states as { [key: string]: Json }[], meta, ...(loop === undefined ? {} : { loop: loop as number }) };
}

/** What a value stands for. */
function decoded(value: Json): unknown {
  if (Array.isArray(value)) return value.map(decoded);
  if (!isObject(value)) return value;
  if ('#bigint' in value) return Number(value['#bigint']);
  if ('#tup' in value) return null;
  if ('#unserializable' in value) return Number(value['#unserializable']);
  const entries = ('#map' in value ? value['#map'] : Object.entries(value)) as [string, Json][];
  return Object.fromEntries(entries.map(([key, inner]) => [key, decoded(inner)]));
}

const read = (document: object): ReturnType<typeof trace> => trace(JSON.parse(JSON.stringify(document)));
const head = { id: 'room', ending: null, loop: null };

test('a state for each place of the schedule, with the choice that led to it', () => {
  const { vars, states, meta, loop } = read(
    itf(play(machineRoom({ paths: { 'a.1': 'A' } }), 'a.1', 'a.1', 'cpu0 fill', 'a.1'), { ...head, ending: 'BUG: late' }),
  );
  expect(meta).toEqual({
    format: 'ITF',
    'format-description': 'https://apalache-mc.org/docs/adr/015adr-trace.html',
    source: 'room',
    description: 'BUG: late',
    actors: { memory: 'memory', a_1: 'a.1', cpu0: 'cpu0' },
  });
  expect([vars, loop]).toEqual([['memory', 'a_1', 'cpu0'], undefined]);
  expect(states.map((state) => state['#meta'])).toEqual([
    { index: 0 },
    { index: 1, action: 'a.1: step', actor: 'a.1' },
    { index: 2, action: 'a.1: step', actor: 'a.1' },
    { index: 3, action: 'cpu0: fill {"vpn":0,"write":false}', actor: 'cpu0' },
    { index: 4, action: 'a.1: step', actor: 'a.1' },
  ]);
  const pte = { kind: 'present', pfn: { '#bigint': '0' }, devmap: true, write: false };
  expect(states[0]?.memory).toEqual({ state: 'memory', context: { pte, log: [] } });
  expect(states[4]?.memory).toEqual({ state: 'memory', context: { pte: { ...pte, pfn: { '#bigint': '7' }, write: true }, log: [{ '#bigint': '7' }] } });
  expect(states.map(({ a_1 }) => isObject(a_1) && a_1.state)).toEqual(['local_work', 'ptep_get_lockless_of_a_pmd', 'set_pte_at', 'set_pte_at', 'nested.end']);
  expect(states[0]?.cpu0).toEqual({ state: 'on', context: { '#map': [] } });
});

test('the state after the last one is the first of the loop', () => {
  const system = waiting(2);
  const run = replay(system, scheduleOf(system, ...turns));
  const { loop = 0, states } = read(itf(run, { ...head, loop: 2 }));
  expect([loop, states.length]).toEqual([3, 7]);
  const at = (index: number): object => ({ ...states[index], '#meta': null });
  expect(at(states.length - 1)).toEqual(at(loop - 1));
  expect(at(states.length - 1)).not.toEqual(at(loop));
  // Where nothing more happens, the last state is all of the loop.
  expect(read(itf(run, { ...head, loop: turns.length })).loop).toBe(turns.length);
  expect(read(itf(replay(system, []), { ...head, loop: 0 }))).toMatchObject({ loop: 0, states: [{ '#meta': { index: 0 } }] });
});

test('variables are names of TLA+, one for each actor', () => {
  const logic = machine({ id: 'm' });
  const addresses = ['cpu:0', 'cpu.0', 'cpu_0', '0', '_', 'é', 'IF', 'WF_x', '#meta', '__proto__'];
  const system = defineSystem({ id: 'names', actors: Object.fromEntries(addresses.map((address) => [address, actor(logic)])) });
  const { vars, meta } = read(itf(replay(system, []), head));
  expect(Object.fromEntries(vars.map((variable) => [variable, (meta.actors as Record<string, Json>)[variable]]))).toEqual(
    Object.fromEntries([
      ['actor_0', '0'],
      ['cpu_0', 'cpu:0'],
      ['cpu_0_2', 'cpu.0'],
      ['cpu_0_3', 'cpu_0'],
      ['actor__', '_'],
      ['actor___2', 'é'],
      ['actor_IF', 'IF'],
      ['actor_WF_x', 'WF_x'],
      ['_meta', '#meta'],
      ['__proto__', '__proto__'],
    ]),
  );
});

test('an actor that has finished says what it says in the end', () => {
  const logic = machine({
    id: 'm',
    context: { n: 1 },
    initial: 'run',
    states: { run: { on: { step: { target: 'end', actions: assign({ n: 2 }) } } }, end: { type: 'final' } },
    output: ({ context }: { context: { n: number } }) => ({ n: context.n }),
  });
  const { states } = read(itf(replay(defineSystem({ id: 'ends', actors: { a: actor(logic) } }), [0]), head));
  const n = (number: number): object => ({ n: { '#bigint': String(number) } });
  expect(states.map(({ a }) => a)).toEqual([
    { state: 'run', context: n(1) },
    { state: 'end', context: n(2), output: n(2) },
  ]);
});

test('values that TLA+ has no like of', () => {
  expect(itfValue(1e21)).toEqual({ '#bigint': '1000000000000000000000' });
  expect(itfValue(-3)).toEqual({ '#bigint': '-3' });
  expect(itfValue(0.5)).toEqual({ '#unserializable': '0.5' });
  expect(itfValue(null)).toEqual({ '#tup': [] });
  expect(itfValue({ tag: 'a', value: 'b' })).toEqual({
    '#map': [
      ['tag', 'a'],
      ['value', 'b'],
    ],
  });
  expect(itfValue({ tag: 'a', value: 'b', more: true })).toEqual({ tag: 'a', value: 'b', more: true });
  expect(itfValue({ '0x10': 'page' })).toEqual({ '#map': [['0x10', 'page']] });
});

test('every value is an expression, from which it can be read again', () => {
  const data = fc.jsonValue({ noUnicodeString: false, depthSize: 'medium' } as fc.JsonSharedConstraints);
  const named = fc.letrec((tie) => ({
    value: fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.string(), fc.array(tie('value'), { maxLength: 3 }), tie('record')),
    record: fc.dictionary(fc.constantFrom('tag', 'value', 'pfn', '_', '0', '#map', '#bigint', '__x'), tie('value'), { maxKeys: 3 }),
  })).value as fc.Arbitrary<Json>;
  fc.assert(
    fc.property(fc.oneof(data, named), (value) => {
      // JSON has no negative zero.
      const plain = JSON.parse(JSON.stringify(value));
      const encoded = JSON.parse(JSON.stringify(itfValue(plain)));
      expect(isExpression(encoded)).toBe(true);
      expect(decoded(encoded)).toEqual(plain);
    }),
    { seed: 8, numRuns: 1000 },
  );
});

test('every schedule is a trace of the states it goes through', () => {
  fc.assert(
    fc.property(wanderings, (run) => {
      const { vars, states } = read(itf(run, head));
      const live = new LiveSystem(run.system);
      expect(states).toHaveLength(run.steps.length + 1);
      for (const [at, state] of states.entries()) {
        if (at > 0) live.take((run.steps[at - 1] as (typeof run.steps)[number]).choice);
        for (const variable of vars) {
          const { state: place, context } = state[variable] as { state: Json; context: Json };
          const snapshot = live.snapshot(variable);
          expect([place, decoded(context)]).toEqual([placeOf(snapshot), JSON.parse(JSON.stringify(snapshot.context ?? {}))]);
        }
      }
      live.stop();
    }),
    { seed: 9, numRuns: 100 },
  );
});
