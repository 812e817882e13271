import { distanceBy } from '../../src/inspect/distance.js';
import { rowsOf } from '../../src/inspect/rows.js';
import { type PropertyTruth, Walk } from '../../src/inspect/walk.js';
import { judgeLasso } from '../../src/schedule/lasso.js';
import { replay } from '../../src/schedule/replay.js';
import { actor, type Choice, defineSystem, type System } from '../../src/system/system.js';
import { along, graph, marked } from '../systems/marks.js';
import { machine } from '../systems/small.js';
import { scheduleOf, turns, unbinds, waiting } from '../systems/waiting.js';

function walked(system: System, schedule: readonly number[]): Walk {
  const walk = new Walk(system);
  walk.load(schedule);
  return walk;
}
const truthAt = (walk: Walk, at: number, name: string): PropertyTruth => walk.truths(at).find(({ property }) => property.name === name) as PropertyTruth;

test('an eventuality is open from its premise on, violated where a loop closes, and holds where it comes', () => {
  const system = waiting(2);
  const walk = walked(system, scheduleOf(system, ...turns, 'gup0'));
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((at) => truthAt(walk, at, 'unbinds').truth)).toEqual([
    'untested',
    'untested',
    'open',
    'open',
    'open',
    'open',
    'violated',
    'holds',
  ]);
  expect([walk.loop(6), walk.loop(5), walk.loop()]).toEqual([2, null, null]);
  const run = replay(system, scheduleOf(system, ...turns));
  expect(truthAt(walk, 6, 'unbinds').lasso).toEqual(judgeLasso(run, unbinds));
  expect(walk.truths(6).filter(({ lasso }) => lasso !== null)).toHaveLength(1);
});

test('it stays open when its premise no longer holds, and holds where it comes later', () => {
  const system = graph({ p: { go: 's' }, s: { go: 'q' }, q: { go: 'u' }, u: { go: 'p' } }, { when: ['p'], reach: ['q'] });
  const walk = walked(system, along(system, 'go', 'go', 'go', 'go'));
  expect([0, 1, 2, 3, 4].map((at) => truthAt(walk, at, 'P').truth)).toEqual(['open', 'open', 'holds', 'untested', 'open']);
  const always = graph({ p: { go: 'q' }, q: { go: 'p' } }, { reach: ['q'] });
  const other = walked(always, along(always, 'go', 'go'));
  expect([0, 1, 2].map((at) => truthAt(other, at, 'P').truth)).toEqual(['open', 'holds', 'open']);
});

test('a BUG state that carries its name violates it without a loop', () => {
  const bad = machine({ id: 'bad', initial: 's', states: { s: { on: { go: 'b' } }, b: { tags: ['BUG', 'P'] } } });
  const walk = walked(defineSystem({ id: 'bad', actors: { a: actor(bad, { choices: ['go'] }) }, properties: [marked({ when: [] })] }), [0]);
  expect([truthAt(walk, 0, 'P'), truthAt(walk, 1, 'P')]).toMatchObject([
    { truth: 'untested', lasso: null },
    { truth: 'violated', lasso: null },
  ]);
});

test('a stretch that concerns nobody else ends where a loop begins, and the first step of the loop is shown', () => {
  const ring = machine({
    id: 'ring',
    initial: 's0',
    states: Object.fromEntries([...Array(14).keys()].map((n) => [`s${n}`, { on: { step: `s${n === 13 ? 7 : n + 1}` } }])),
  });
  const system = defineSystem({ id: 'ring', actors: { a: actor(ring) }, properties: [marked({})] });
  const walk = walked(system, Array(14).fill(0));
  expect(walk.loop()).toBe(7);
  const rows = (loop: number | null) => rowsOf(walk, { fold: true, open: new Set(), loop });
  expect(rows(null)).toEqual([{ kind: 'fold', from: 1, to: 14 }]);
  expect(rows(walk.loop())).toEqual([
    { kind: 'fold', from: 1, to: 7 },
    { kind: 'step', number: 8 },
    { kind: 'fold', from: 9, to: 14 },
  ]);
});

test('nothing is called safe while something is open that a search from here does not ask', () => {
  const edges = { p: { go: 's' }, s: { go: 's2', end: 'q' }, s2: { go: 's', end: 'q' }, q: {} };
  const distanceAfter = (system: System, at: number) => distanceBy(walked(system, along(system, 'go', 'go')), system.choices[0] as Choice, at, {});
  const never = graph(edges, { when: [], reach: ['q'] });
  expect(distanceAfter(never, 1)).toEqual({ kind: 'none' });
  const before = graph(edges, { when: ['p'], reach: ['q'] });
  expect(distanceAfter(before, 1)).toMatchObject({ kind: 'beyond' });
});
