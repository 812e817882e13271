import fc from 'fast-check';
import { check, subjectOf } from '../../src/check/check.js';
import { explore, LiveSystem, labelOf } from '../../src/index.js';
import { build, changedName, closingChanges, debugModes, scenarios } from '../../src/scenarios/index.js';
import type { Case, Scenario, Variant } from '../../src/scenarios/scenario.js';

const luf = scenarios.find(({ id }) => id === 'luf') as Scenario;
const variantOf = (id: string): Variant => luf.variants.find((variant) => variant.id === id) as Variant;
const built = (id: string, debug: string): Case => build(luf, variantOf(id), { debug });
/** Variants that a debug mode can listen to. */
const listened = luf.variants.filter(({ fixed, row }) => fixed?.debug === undefined && row !== 'free').map(({ id }) => id);
/** Most states with all debug modes. The others are explored in docs/luf.md. */
const large = ['L6', 'L6.strict', 'L7.anonymous', 'L8', 'L8.strict', 'L13', 'L13.strict', 'L15', 'L15a'];
const small = listened.filter((id) => !large.includes(id));

const protocol = (live: LiveSystem, system: Case['system']): string =>
  system.actors
    .filter(({ address }) => address !== 'luf_debug')
    .map(({ address }) => {
      const { value, context } = live.snapshot(address) as { value?: unknown; context: Record<string, unknown> };
      // Whom it tells is the one thing that differs.
      const { debug: _debug, observer: _observer, ...rest } = context;
      return JSON.stringify([address, value, rest]);
    })
    .join('\n');

test.each(['seed', 'changed', 'rules'])('debug mode %s only listens: with it and without, a schedule does the same', (mode) => {
  const schedule = fc.tuple(fc.constantFrom(...listened), fc.array(fc.nat(), { maxLength: 60 }));
  fc.assert(
    fc.property(schedule, ([id, picks]) => {
      const [one, other] = [built(id, 'none').system, built(id, mode).system];
      const [alone, watched] = [new LiveSystem(one), new LiveSystem(other)];
      for (const pick of picks) {
        const choices = alone.enabled();
        expect(watched.enabled().map(labelOf)).toEqual(choices.map(labelOf));
        if (choices.length === 0) break;
        const at = pick % choices.length;
        alone.take(choices[at] as (typeof choices)[number]);
        watched.take(watched.enabled()[at] as (typeof choices)[number]);
        expect(protocol(watched, other)).toBe(protocol(alone, one));
      }
      alone.stop();
      watched.stop();
    }),
    { seed: 61, numRuns: 30 },
  );
});

test('a debug mode adds no state to the protocol: what is violated, and how soon, is the same', async () => {
  for (const id of small) {
    const [without, withSeed] = [await check(subjectOf(built(id, 'none')), { all: true }), await check(subjectOf(built(id, 'seed')), { all: true })];
    for (const { name, verdict, counterexample } of without.properties) {
      const same = withSeed.properties.find((property) => property.name === name);
      expect([id, name, same?.verdict, same?.counterexample?.length]).toEqual([id, name, verdict, counterexample?.length]);
    }
  }
});

const missed = listened.filter((id) => variantOf(id).expected['seed.complete'] === 'violated');

test('every gap has a change that is said to close it', () => {
  expect(missed.filter((id) => closingChanges[id] === undefined)).toEqual([]);
  expect(Object.keys(closingChanges).filter((id) => variantOf(id) === undefined)).toEqual([]);
});

const verdictOf = (id: string, mode: string, name: string): boolean => {
  const { properties, exhausted } = explore(built(id, mode).system, { stop: (violated) => violated.has(name) });
  const property = properties.find((candidate) => candidate.name === name);
  expect(exhausted || property?.violation).toBeTruthy();
  return property?.violation === null;
};

test.each(missed.filter((id) => small.includes(id)))('%s: the change closes the gap, and no part of it does alone', (id) => {
  const changes = closingChanges[id] as readonly string[];
  expect(verdictOf(id, changedName(changes), 'changed.complete')).toBe(true);
  for (const left of changes) {
    const others = changes.filter((change) => change !== left);
    const [mode, name] = others.length > 0 ? [changedName(others), 'changed'] : ['seed', 'seed'];
    expect([left, verdictOf(id, mode, `${name}.complete`)]).toEqual([left, false]);
  }
});

test('L14: with its change the debug mode does not cry wolf; L21: its lists are whole', () => {
  expect(verdictOf('L14', changedName(closingChanges.L14 as readonly string[]), 'changed.sound')).toBe(true);
  expect(verdictOf('L21', changedName(closingChanges.L21 as readonly string[]), 'changed.lists')).toBe(true);
});

test.each(small)('%s: with all changes nothing is violated without a WARN', (id) => {
  expect(verdictOf(id, 'changed', 'changed.complete')).toBe(true);
});

test('L19: H1 and H2 cry wolf on migration; exempting read-only ptes and equal bytes they do not', () => {
  expect(verdictOf('L19', 'rules', 'rules.sound')).toBe(false);
  expect(verdictOf('L19', 'rules-exempting', 'rules.silent')).toBe(true);
});

test('every debug mode can be built with a variant', () => {
  for (const mode of Object.keys(debugModes)) expect(built('L3', mode).system.actors.some(({ address }) => address === 'luf_debug')).toBe(mode !== 'none');
});
