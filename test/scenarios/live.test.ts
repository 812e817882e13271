import { build, scenarios } from '../../src/scenarios/index.js';
import { liveEqualsExplored } from '../laws.js';

const seed = 20261;
const cases = scenarios.flatMap((scenario) => scenario.variants.map((variant) => [`${scenario.id}/${variant.id}`, build(scenario, variant).system] as const));

test.each(cases)(`%s runs live as it is explored (seed ${seed})`, (_, system) => {
  expect(liveEqualsExplored(system, seed, 500)).toBe(500);
});
