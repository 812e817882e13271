import { and, assign, not, setup } from 'xstate';
import { subjectOf } from '../../src/check/check.js';
import { type SafeguardTrials, safeguardsOf, trySafeguards, withoutSafeguard } from '../../src/check/safeguards.js';
import { actor, defineSystem, explore, invariant, type System } from '../../src/index.js';
import { build } from '../../src/scenarios/scenario.js';
import { lockScenario, lockSystem } from '../cli/lock.js';

const lock = subjectOf(build(lockScenario, lockScenario.variants[0] as (typeof lockScenario.variants)[number]));
const told = ({ trials }: SafeguardTrials) =>
  trials.map(({ safeguard, answers, as, outcome, properties }) => [
    safeguard.name,
    answers,
    as,
    outcome,
    properties.flatMap(({ name, counterexample }) => (counterexample ? [`${name} ${counterexample.length}`] : [])),
  ]);

/** Counts to three, and up to a bound that `below` and `bounded` (made of others) keep. */
const counter = setup({
  types: { context: {} as { count: number; asked: number }, events: {} as { type: 'step' } },
  guards: {
    below: ({ context }) => context.count < 3,
    bounded: and(['below', not('never')]),
    never: () => false,
    spare: () => true,
    data: ({ context }) => (context as unknown as { of: { what: string } }).of?.what === 'x',
    broken: ({ context }) => context.asked >= 0,
  },
  actions: { add: assign({ count: ({ context }) => context.count + 1 }), note: assign({ asked: 0 }) },
}).createMachine({
  id: 'counter',
  context: { count: 0, asked: 0 },
  initial: 'counting',
  states: {
    counting: {
      on: {
        step: [
          { guard: 'data', actions: assign({ count: () => undefined as never }) },
          { guard: 'bounded', actions: ['add', 'note'] },
          { guard: 'broken', target: 'done' },
        ],
      },
    },
    done: { tags: ['rest'] },
  },
});
const counting: System = defineSystem({
  id: 'counting',
  actors: { counter: actor(counter) },
  properties: [invariant('bound', 'no more than three', { actors: ['counter'], holds: ({ counter: { context } }) => context.count <= 3 })],
  limits: { localStates: 10 },
});
const texts = { counter: { bounded: 'keeps the bound', add: 'adds', unknown: 'is no guard any more' }, other: { below: 'of no machine here' } };
const subject = { id: 'counting', system: counting, case: null };

test('safeguards are those that are told of, with their texts; all adds the other guards', () => {
  expect(safeguardsOf(counting, texts)).toEqual([
    { machine: 'counter', name: 'bounded', kind: 'guard', text: 'keeps the bound' },
    { machine: 'counter', name: 'add', kind: 'action', text: 'adds' },
  ]);
  expect(safeguardsOf(counting, texts, true).map(({ name, text }) => [name, text])).toEqual([
    ['bounded', 'keeps the bound'],
    ['add', 'adds'],
    ['below', null],
    ['never', null],
    ['spare', null],
    ['data', null],
    ['broken', null],
  ]);
  expect(safeguardsOf(lock.system, texts)).toEqual([]);
});

test('a guard is tried with the answers that it does not always give anyway; what is never asked is not tried', async () => {
  const tried = await trySafeguards(subject, { texts, all: true });
  expect(tried.reference.verdict).toBe('holds');
  expect(told(tried)).toEqual([
    ['bounded', [false, true], [true], 'does not run', []],
    ['add', [], [], 'deadlock', ['deadlock 0']],
    ['below', [false, true], [true], 'does not run', []],
    ['never', [false], [true], 'holds', []],
    ['data', [false], [true], 'does not run', []],
    ['broken', [true], [false], 'deadlock', ['deadlock 3']],
  ]);
  expect(tried.unasked.map(({ name }) => name)).toEqual(['spare']);
  expect(tried.trials.map(({ error }) => error)).toEqual([
    expect.stringContaining("'counter' has more than 10 local states"),
    null,
    expect.stringContaining("'counter' has more than 10 local states"),
    null,
    expect.stringContaining('context.count is undefined'),
    null,
  ]);
});

test('no that makes a difference is not taken for all that yes does, unless it is unsafe', async () => {
  const tried = await trySafeguards(lock, { texts: {}, all: true });
  expect(told(tried)).toEqual([
    ['free', [false, true], [false], 'deadlock', ['deadlock 1']],
    ['free', [false, true], [true], 'broken', ['BUG 4', 'mutex 2']],
  ]);
});

test('a subject that is violated already is not broken by what violates it too', async () => {
  const broken = { id: 'lock/broken', system: lockSystem('lock/broken', false), case: null };
  const { reference, trials } = await trySafeguards(broken, { texts: { careless: { free: 'the lock is free' } } });
  expect(reference.properties.filter(({ verdict }) => verdict === 'violated').map(({ name }) => name)).toEqual(['BUG', 'mutex']);
  expect(trials.map(({ as, outcome }) => [as, outcome])).toEqual([[[false], 'deadlock']]);
});

test('the system without a safeguard leaves the other machines alone', () => {
  const [free] = safeguardsOf(lock.system, {}, true);
  if (!free) throw new Error('no guard');
  const { properties } = explore(withoutSafeguard(lock.system, free, true), { stop: () => false });
  expect(properties.filter(({ violation }) => violation).map(({ name }) => name)).toEqual(['BUG', 'mutex']);
  expect(withoutSafeguard(lock.system, { ...free, machine: 'other' }, true)).toEqual(lock.system);
});

test('limits and interruptions are told, and nothing is called unasked because of them', async () => {
  const limited = await trySafeguards(lock, { texts: {}, all: true, maxStates: 2 });
  expect(limited.reference.exploration.limit).toBe('2 states');
  expect(limited.trials.map(({ as, outcome, limit }) => [as, outcome, limit])).toEqual([
    [[false], 'undecided', '2 states'],
    [[true], 'undecided', '2 states'],
  ]);
  const interrupted = await trySafeguards(lock, { texts: {}, all: true, signal: AbortSignal.abort() });
  expect(interrupted.trials).toEqual([]);
  expect(interrupted.untried.map(({ name }) => name)).toEqual(['free']);
});
