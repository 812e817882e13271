import { build, scenarios } from 'shootdown/scenarios';

/** The system of a variant that ships with the package, such as `percpu-ref/C2`. */
export function variant(what) {
  const [id, row] = what.split('/');
  const scenario = scenarios.find((candidate) => candidate.id === id);
  const found = scenario?.variants.find((candidate) => candidate.id === row);
  if (!found) throw new Error(`there is no variant '${what}'; 'npx shootdown list' names all`);
  return build(scenario, found).system;
}
