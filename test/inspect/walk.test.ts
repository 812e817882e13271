import fc from 'fast-check';
import { check } from '../../src/check/check.js';
import { distanceBy } from '../../src/inspect/distance.js';
import { rowsOf } from '../../src/inspect/rows.js';
import { sentenceOf } from '../../src/inspect/sentence.js';
import { Walk } from '../../src/inspect/walk.js';
import { build, scenarios } from '../../src/scenarios/index.js';
import { replay, violatesNow } from '../../src/schedule/replay.js';
import type { Choice, System } from '../../src/system/system.js';
import { identityKey } from '../../src/system/view.js';

function systemOf(id: string): System {
  const [scenario, variant] = id.split('/');
  const found = scenarios.find((each) => each.id === scenario);
  const one = found?.variants.find((each) => each.id === variant);
  if (!found || !one) throw new Error(id);
  return build(found, one).system;
}

const ids = ['gup-unbind/A1', 'tlb-shootdown/B5', 'percpu-ref/C1'];
const systems = new Map(ids.map((id) => [id, systemOf(id)]));
const picks = fc.array(fc.nat(1000), { maxLength: 60 });

/** Takes enabled choices as the numbers say. */
function walked(system: System, numbers: readonly number[]): Walk {
  const walk = new Walk(system);
  for (const number of numbers) {
    const enabled = walk.enabled();
    if (enabled.length === 0) break;
    walk.take(enabled[number % enabled.length] as Choice);
  }
  return walk;
}

test.each(ids)('%s: a walk is what live XState does, step by step, with what can happen next and what holds', (id) => {
  const system = systems.get(id) as System;
  fc.assert(
    fc.property(picks, fc.nat(60), (numbers, cut) => {
      const walk = walked(system, numbers);
      const at = Math.min(cut, walk.length);
      const run = replay(system, walk.schedule.slice(0, at));
      const { live } = run;
      expect(system.actors.map((actor) => identityKey(walk.snapshot(actor, at), [], actor.address))).toEqual(live.identity());
      expect(walk.enabled(at).map(({ index }) => index)).toEqual(live.enabled().map(({ index }) => index));
      for (const { property, truth } of walk.truths(at))
        expect([property.name, truth === 'violated']).toEqual([property.name, violatesNow(run, property.name)]);
      if (at > 0) {
        const step = walk.stepAt(at);
        const other = run.steps[at - 1];
        expect(step.messages.flatMap(({ from, to, event }) => (from ? [[from.address, to.address, event.type]] : [])).sort()).toEqual(
          other?.messages.flatMap(({ from, to, event }) => (from ? [[from, to, event.type]] : [])).sort(),
        );
        expect(step.changed.map(({ actor }) => actor.address).sort()).toEqual(
          other?.changed.flatMap(({ actor, before, after }) => (identityKey(before, [], '') === identityKey(after, [], '') ? [] : [actor.address])).sort(),
        );
      }
      live.stop();
    }),
    { numRuns: 25 },
  );
});

test('it goes back and forth, and leaves the way where another choice is taken', () => {
  const walk = walked(systems.get('gup-unbind/A1') as System, [0, 1, 2, 3, 4, 5]);
  const { schedule } = walk;
  const key = walk.key(3);
  const other = walk.enabled(3).find(({ index }) => index !== schedule[3]) as Choice;
  walk.take(other, 3);
  expect([walk.length, walk.key(3), walk.schedule]).toEqual([4, key, [...schedule.slice(0, 3), other.index]]);
  walk.load(schedule);
  expect([walk.schedule, walk.key(3)]).toEqual([schedule, key]);
});

test('a schedule that does not fit says where; what fits stays', () => {
  const walk = new Walk(systems.get('gup-unbind/A1') as System);
  const [first] = walk.enabled() as [Choice];
  const impossible = walk.system.choices.find((choice) => !walk.enabled().includes(choice)) as Choice;
  expect(() => walk.load([first.index, impossible.index, 9999])).toThrow(/^step 2: /);
  expect(walk.schedule).toEqual([first.index]);
  expect(() => walk.load([9999])).toThrow("step 1: choice 9999 is not one of this system's");
});

test.each(ids)('%s: along the shortest counterexample the distance falls by one a step', async (id) => {
  const system = systems.get(id) as System;
  const { properties } = await check(system);
  const shortest = properties.flatMap(({ counterexample }) => (counterexample ? [counterexample.replay.steps.map(({ choice }) => choice)] : []))[0] as Choice[];
  const walk = new Walk(system);
  walk.load(shortest.map(({ index }) => index));
  for (const [at, choice] of shortest.entries()) {
    if (at < shortest.length - 6 && at > 0) continue;
    expect(distanceBy(walk, choice, at, { maxStates: 300_000 })).toMatchObject({ kind: 'violation', steps: shortest.length - at });
  }
});

test('where nothing can go wrong any more the distance says so; where there was no room, how far it looked', () => {
  const walk = new Walk(systemOf('gup-unbind/A3.ipi'));
  const [first] = walk.enabled() as [Choice];
  expect(distanceBy(walk, first, 0, {})).toEqual({ kind: 'none' });
  expect(distanceBy(walk, first, 0, { maxStates: 5 })).toMatchObject({ kind: 'beyond' });
});

test('what an actor did last in a step is a transition of its machine', () => {
  const walk = walked(systems.get('tlb-shootdown/B5') as System, [0, 1, 2, 3, 4, 5, 6, 7]);
  for (let number = 1; number <= walk.length; number++) {
    const { actor } = walk.stepAt(number).choice;
    const taken = walk.takenBy(actor, number);
    expect(taken === null || taken.source.startsWith('id' in actor.logic ? String(actor.logic.id) : '')).toBe(true);
    expect(taken === null || taken.index >= 0).toBe(true);
  }
});

test('rows: every step once, in order; stretches that concern nobody else are folded', () => {
  const walk = walked(systems.get('gup-unbind/A1') as System, Array(60).fill(0));
  const steps = (fold: boolean, open: number[] = []) =>
    rowsOf(walk, { fold, open: new Set(open) }).flatMap((row) =>
      row.kind === 'step' ? [row.number] : Array.from({ length: row.to - row.from + 1 }, (_, at) => row.from + at),
    );
  const all = Array.from({ length: walk.length }, (_, at) => at + 1);
  expect([steps(false), steps(true)]).toEqual([all, all]);
  for (const row of rowsOf(walk, { fold: true, open: new Set() }))
    if (row.kind === 'fold') expect(rowsOf(walk, { fold: true, open: new Set([row.from]) })).toContainEqual({ kind: 'step', number: row.to });
});

test('a step in words', () => {
  const walk = walked(systems.get('gup-unbind/A1') as System, [1, 1]);
  expect(sentenceOf(walk, 1)).toMatch(/^Step 1: CPU \d \(\w+\), \S+: .+\.$/);
});
