import { type Arbitrary, constantFrom, integer, record } from 'fast-check';
import type { Subject } from '../check/check.js';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';

type Case = NonNullable<Subject['case']>;
type Scenario = Case['scenario'];
type Variant = Case['variant'];
type ParameterSpec = Scenario['parameters'][string];
/** Values of parameters, by name. */
export type ParameterValues = Record<string, string | number>;

function valuesOf(spec: ParameterSpec, least: number | undefined): Arbitrary<string | number> {
  // What shrinks towards the default would be neither the first word nor the smallest number; the simplest system is.
  return 'values' in spec ? constantFrom(...spec.values) : integer({ min: Math.max(spec.min, least ?? spec.min), max: spec.max });
}

function variantOf(scenario: Scenario, variant: Variant | string | undefined): Variant | null {
  if (typeof variant !== 'string') return variant ?? null;
  const found = scenario.variants.find(({ id }) => id === variant);
  if (found) return found;
  const ids = scenario.variants.map(({ id }) => id);
  throw new UsageError(`${scenario.id} has no variant '${variant}'${didYouMean(variant, ids)}`);
}

/**
 * Parameters for a variant of a scenario, as `build` takes them: all that the variant leaves open, within the scenario's bounds. Without a variant,
 * all parameters of the scenario, of which a variant may fix some. They shrink to the first word and the smallest number.
 * @throws {UsageError} for a variant that the scenario does not have.
 */
export function parametersOf(scenario: Scenario, variant?: Variant | string): Arbitrary<ParameterValues> {
  const chosen = variantOf(scenario, variant);
  const open = Object.entries(scenario.parameters).filter(([name]) => chosen?.fixed?.[name] === undefined);
  return record(Object.fromEntries(open.map(([name, spec]) => [name, valuesOf(spec, chosen?.least?.[name])])), { noNullPrototype: true });
}
