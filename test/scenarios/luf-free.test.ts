import { explore } from '../../src/index.js';
import { freeSetup, grounds, type lufRuleSets, lufSystem } from '../../src/scenarios/index.js';

const pairs = (names: readonly string[]): [string, string][] => names.flatMap((one, at) => names.slice(at + 1).map((other): [string, string] => [one, other]));
/** Whoever unmaps lazily is one of them: without, there is nothing to find. */
const isLazy = (paths: readonly string[]): boolean => paths.some((path) => /^(reclaim|migrate)/.test(path));

const cases = Object.entries(grounds).flatMap(([name, ground]) =>
  (['strict', 'v12'] as const).flatMap((whose) =>
    pairs(Object.keys(ground.paths))
      .filter(isLazy)
      .map((paths) => [name, whose, paths] as const),
  ),
);

test.each(cases)('%s, %s: %j against each other and a reader violate nothing', (name, whose, paths) => {
  const { exhausted, limit, states, properties, ignoredMessages } = explore(lufSystem('luf-free', freeSetup(grounds[name] as never, whose, paths)), {
    stop: () => false,
    maxStates: 3_000_000,
  });
  expect(properties.flatMap(({ name: property, violation }) => (violation ? [property] : []))).toEqual([]);
  expect(ignoredMessages).toEqual([]);
  expect([exhausted, limit, states > 100]).toEqual([true, null, true]);
});

test.each([
  ['twice', ['reclaim', 'reclaim again', 'slab'], ['I1']],
  ['invalidated', ['reclaim', 'revalidate', 'slab'], ['I1']],
  ['file', ['reclaim', 'migrate', 'slab'], ['I1']],
] as const)('%s: version 12 breaks %j, strict LUF does not', (name, paths, broken) => {
  const violated = (whose: keyof typeof lufRuleSets): string[] =>
    explore(lufSystem('luf-free', freeSetup(grounds[name] as never, whose, paths)), { stop: () => false }).properties.flatMap(
      ({ name: property, violation }) => (violation ? [property] : []),
    );
  expect(violated('v12')).toEqual(broken);
  expect(violated('strict')).toEqual([]);
});
