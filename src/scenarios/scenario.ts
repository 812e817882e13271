import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import type { System } from '../system/system.js';

/** What a parameter can be: one of a few words, or a whole number within bounds. */
export type ParameterSpec =
  | { description: string; default: string; values: readonly string[] }
  | { description: string; default: number; min: number; max: number };

export type Parameters = Readonly<Record<string, string | number>>;
export type Expected = 'holds' | 'violated' | null;

/** One way to build a scenario's protocol, with the verdict that is expected of it. */
export interface Variant {
  /** `A3.broadcast`: the row's id, and what tells it from the row's other variants. */
  id: string;
  /** The row of the domain table. */
  row: string;
  /** What was changed against the reference, and what becomes of it. */
  summary: string;
  /** Where the expectation comes from. */
  source: string;
  /** Expected verdict per property: named ones as given, all others `others`. */
  expected: Readonly<Record<string, Expected>>;
  /** What is expected of the properties not named. Default: `holds` if no property is expected to be violated, else nothing. */
  others?: Expected;
  /** Parameters that make this variant what it is. They cannot be set from outside. */
  fixed?: Parameters;
  /** Least values of parameters with which this variant is what it is, where they are above the scenario's. */
  least?: Readonly<Record<string, number>>;
  /** Defaults that differ from the scenario's. */
  defaults?: Parameters;
  system: (parameters: Parameters) => System;
}

/** A question about a protocol. */
export interface Scenario {
  id: string;
  title: string;
  question: string;
  parameters: Readonly<Record<string, ParameterSpec>>;
  variants: readonly Variant[];
}

/** A variant with its parameters settled. */
export interface Case {
  id: string;
  scenario: Scenario;
  variant: Variant;
  parameters: Parameters;
  system: System;
}

function valueFor(name: string, spec: ParameterSpec, text: string | number, where: string): string | number {
  if ('values' in spec) {
    if (!spec.values.includes(String(text)))
      throw new UsageError(
        `${where}: '${text}' is no value of parameter '${name}'${didYouMean(String(text), spec.values)} (it takes ${spec.values.join(', ')})`,
      );
    return String(text);
  }
  const value = Number(text);
  if (!/^-?\d+$/.test(String(text)) || value < spec.min || value > spec.max)
    throw new UsageError(`${where}: parameter '${name}' takes a whole number from ${spec.min} to ${spec.max}, not '${text}'`);
  return value;
}

/** A variant's parameters when nothing is set from outside. */
export const parametersOf = (scenario: Scenario, variant: Variant): Parameters => ({
  ...Object.fromEntries(Object.entries(scenario.parameters).map(([name, spec]) => [name, spec.default])),
  ...variant.defaults,
  ...variant.fixed,
});

/**
 * Builds a variant with `given` parameters over its defaults.
 * @throws {UsageError} for a parameter that the scenario does not have, the variant fixes, or whose value cannot be.
 */
export function build(scenario: Scenario, variant: Variant, given: Readonly<Record<string, string | number>> = {}): Case {
  const id = `${scenario.id}/${variant.id}`;
  const names = Object.keys(scenario.parameters);
  const parameters: Record<string, string | number> = { ...parametersOf(scenario, variant) };
  for (const [name, text] of Object.entries(given)) {
    const spec = scenario.parameters[name];
    if (!spec)
      throw new UsageError(
        `${id}: there is no parameter '${name}'${didYouMean(name, names)}${names.length > 0 ? ` (the scenario has ${names.join(', ')})` : ''}`,
      );
    const value = valueFor(name, spec, text, id);
    const fixed = variant.fixed?.[name];
    if (fixed !== undefined && fixed !== value)
      throw new UsageError(`${id}: parameter '${name}' is '${fixed}' in this variant and cannot be set to '${value}'`);
    const least = variant.least?.[name];
    if (least !== undefined && Number(value) < least) throw new UsageError(`${id}: parameter '${name}' is at least ${least} in this variant, not '${value}'`);
    parameters[name] = value;
  }
  return { id, scenario, variant, parameters, system: variant.system(parameters) };
}

/** The verdict expected of a property of a variant; null: it is an open question, or the row says nothing of it. */
export function expectedOf(variant: Variant, property: string): Expected {
  const named = variant.expected[property];
  if (named !== undefined) return named;
  if (variant.others !== undefined) return variant.others;
  return Object.values(variant.expected).some((verdict) => verdict !== 'holds') ? null : 'holds';
}

/** The verdict expected of the variant: violated if that of a property is; null if none is known. */
export function expectedVerdict(variant: Variant): Expected {
  const all = Object.values(variant.expected);
  if (all.includes('violated')) return 'violated';
  return all.includes(null) ? null : 'holds';
}
