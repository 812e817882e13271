import fc from 'fast-check';
import { promela } from '../../src/export/promela.js';
import { isSmall } from '../laws.js';
import { build, systemPlans } from '../systems/random.js';
import { searched, systems, tabled } from './models.js';
import { missingForSpin, spin } from './spin.js';

const missing = missingForSpin();
// Where all tests have to run, SPIN has to be.
const withSpin = missing === null || process.env.CI ? test : test.skip;
if (missing) console.warn(`what SPIN makes of the models is not tested: there is no '${missing}' (apt-get install -y spin gcc)`);

withSpin.each(systems)('SPIN finds the states of %s: %i', (_, states, system) => {
  expect(spin(promela(tabled(system())), ['-A'])).toEqual({ states, errors: 0, schedule: [] });
});

withSpin.each(systems.slice(0, 2))('SPIN finds violated what is violated in %s', (_, __, system) => {
  const tables = tabled(system());
  const { properties } = searched(system()).result();
  for (const claim of tables.claims) {
    const { errors, schedule } = spin(promela({ ...tables, claims: [claim] }), []);
    const violated = properties.find(({ name }) => name === claim.name)?.violation !== null;
    expect({ name: claim.name, violated: errors > 0 }).toEqual({ name: claim.name, violated });
    if (violated) expect(schedule).toContain(`violated: ${claim.name}`);
  }
});

withSpin(
  'SPIN finds the states of random systems, and that something is violated where it is',
  () => {
    fc.assert(
      fc.property(systemPlans(), (plan) => {
        const system = build(plan);
        fc.pre(isSmall(system));
        const result = searched(system).result();
        const model = promela(tabled(system));
        expect(spin(model, ['-A'])).toMatchObject({ states: result.states, errors: 0 });
        expect(spin(model, []).errors > 0).toBe(result.properties.some(({ violation }) => violation));
      }),
      { numRuns: 20, seed: 11 },
    );
  },
  300_000,
);
