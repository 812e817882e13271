import type { Subject } from '../check/check.js';
import { subjectOf } from '../check/check.js';
import { build, type Scenario, type Variant } from '../scenarios/scenario.js';
import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import { fits, isGlob } from './glob.js';
import type { Io } from './io.js';
import { type ModulePath, modulePath, systemsOf } from './modules.js';
import type { Given } from './options.js';
import { isScenarioFile, scenarioIn } from './scenario-files.js';

/** Something to check, and where it stands in a table. */
export interface Target {
  subject: Subject;
  /** What it is listed under: its scenario's id or its file's path. */
  group: string;
  /** The scenario's question, or what a scenario file says that it asks; null for a module. */
  question: string | null;
  /** Its name within the group. */
  name: string;
}

export interface Resolved {
  targets: Target[];
  /** Variants that were named by a pattern only and do not go with a `--param`: they fix it to another value, or their scenario has no such parameter. */
  leftOut: string[];
}

interface Named {
  scenario: Scenario;
  variant: Variant;
  /** True if it was named by its own id. */
  exactly: boolean;
}

export interface World {
  io: Io;
  scenarios: readonly Scenario[];
}

/** A name that begins like the one given is near, however much longer it is. */
function nearest(name: string, known: readonly { id: string }[]): string {
  const names = known.map(({ id }) => id);
  const longer = names.find((candidate) => candidate.startsWith(name));
  return longer === undefined ? didYouMean(name, names) : `; did you mean '${longer}'?`;
}

const variantsOf = (scenario: Scenario): Named[] => scenario.variants.map((variant) => ({ scenario, variant, exactly: false }));
const idOf = ({ scenario, variant }: Named): string => `${scenario.id}/${variant.id}`;

function byPattern(scenarios: readonly Scenario[], pattern: string): Named[] {
  const found = pattern.includes('/')
    ? scenarios.flatMap(variantsOf).filter((named) => fits(pattern, idOf(named)))
    : scenarios.filter(({ id }) => fits(pattern, id)).flatMap(variantsOf);
  if (found.length === 0) throw new UsageError(`nothing matches '${pattern}' ('shootdown list' shows what there is)`);
  return found;
}

function byName(scenarios: readonly Scenario[], what: string): Named[] {
  const [id = '', ...rest] = what.split('/');
  const scenario = scenarios.find((candidate) => candidate.id === id);
  if (!scenario) throw new UsageError(`there is no scenario '${id}'${nearest(id, scenarios)}`);
  if (rest.length === 0) return variantsOf(scenario);
  const name = rest.join('/');
  const variant = scenario.variants.find((candidate) => candidate.id === name);
  if (!variant) throw new UsageError(`scenario '${id}' has no variant '${name}'${nearest(name, scenario.variants)}`);
  return [{ scenario, variant, exactly: true }];
}

/** Whether what a pattern named goes with the parameters given, as far as their names and the variant's fixed and least values say. */
const goesWith = ({ scenario, variant }: Named, given: Given): boolean =>
  Object.entries(given).every(
    ([name, value]) =>
      scenario.parameters[name] !== undefined &&
      (variant.fixed?.[name] === undefined || String(variant.fixed[name]) === value) &&
      !(Number(value) < (variant.least?.[name] ?? Number.NEGATIVE_INFINITY)),
  );

function refuseParameters({ path }: ModulePath, given: Given): void {
  const name = Object.keys(given)[0];
  if (name !== undefined) throw new UsageError(`'${path}' takes no parameters, so '${name}' cannot be set; only scenarios have parameters`);
}

function fromScenarioFile({ io }: World, { path, wanted }: ModulePath): Target {
  if (wanted !== null) throw new UsageError(`'${path}' is one scenario, without parts such as '#${wanted}'`);
  const found = scenarioIn(io, path);
  return { subject: subjectOf(found), group: path, question: found.variant.summary, name: found.scenario.id };
}

async function fromModule({ io }: World, what: string, { path, wanted }: ModulePath): Promise<Target[]> {
  const systems = await systemsOf(io, path);
  const chosen = wanted === null ? systems : systems.filter(({ id }) => (isGlob(wanted) ? fits(wanted, id) : id === wanted));
  if (chosen.length === 0)
    throw new UsageError(
      wanted !== null && isGlob(wanted) ? `nothing matches '${what}'` : `'${path}' exports no system with the id '${wanted}'${nearest(wanted ?? '', systems)}`,
    );
  const target = (system: (typeof systems)[number]): Target => ({
    subject: { id: systems.length === 1 ? path : `${path}#${system.id}`, system, case: null },
    group: path,
    question: null,
    name: system.id,
  });
  return chosen.map(target);
}

function built(named: readonly Named[], given: Given): Resolved {
  const fitting = named.filter((one) => one.exactly || goesWith(one, given));
  // When nothing goes with the parameters, building the first says why.
  const targets = (fitting.length > 0 ? fitting : named.slice(0, 1)).map(
    ({ scenario, variant }): Target => ({
      subject: subjectOf(build(scenario, variant, given)),
      group: scenario.id,
      question: scenario.question,
      name: variant.id,
    }),
  );
  return { targets, leftOut: fitting.length > 0 ? named.filter((one) => !fitting.includes(one)).map(idOf) : [] };
}

/**
 * What the words of a command name: scenarios, variants, patterns of either, modules, scenario files; without words every scenario.
 * @throws {UsageError} for a word that names nothing, and for parameters that do not go with what it names.
 */
export async function resolveWhat(world: World, words: readonly string[], given: Given): Promise<Resolved> {
  const { io, scenarios } = world;
  const all: Resolved = { targets: [], leftOut: [] };
  const named: Named[] = words.length === 0 ? scenarios.flatMap(variantsOf) : [];
  const files: Target[] = [];
  for (const word of words) {
    const known = !isScenarioFile(word) && scenarios.some(({ id }) => id === word.split('/')[0]);
    const path = known ? null : modulePath(io, word);
    if (path) {
      refuseParameters(path, given);
      files.push(...(isScenarioFile(path.path) ? [fromScenarioFile(world, path)] : await fromModule(world, word, path)));
    } else named.push(...(isGlob(word) ? byPattern(scenarios, word) : byName(scenarios, word)));
  }
  if (named.length > 0) Object.assign(all, built(distinct(named), given));
  const seen = new Set<string>();
  return { ...all, targets: [...all.targets, ...files].filter(({ subject }) => !seen.has(subject.id) && seen.add(subject.id)) };
}

/** Each variant once, in the order of first mention; named exactly if it ever was. */
function distinct(named: readonly Named[]): Named[] {
  const byId = new Map<string, Named>();
  for (const one of named) byId.set(idOf(one), { ...one, exactly: one.exactly || (byId.get(idOf(one))?.exactly ?? false) });
  return [...byId.values()];
}

/**
 * The one subject that a word names.
 * @throws {UsageError} as {@link resolveWhat}, and when it names several.
 */
export async function resolveOne(world: World, word: string, given: Given, command: string): Promise<Target> {
  const { targets } = await resolveWhat(world, [word], given);
  const [first, second] = targets;
  if (!first) throw new UsageError(`'${word}' has no variants`);
  if (second) throw new UsageError(`'${word}' names ${targets.length} systems and '${command}' takes one, such as '${first.subject.id}'`);
  return first;
}
