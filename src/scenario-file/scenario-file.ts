import { isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, type Scalar } from 'yaml';
import type { Case, Expected, Scenario, Variant } from '../scenarios/scenario.js';
import { ShootdownError, UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import type { System } from '../system/system.js';
import { Checker, Fault, offsetOf } from './checker.js';
import { among, type CommonFields, commonNames, type Family, must } from './family.js';
import { Misfit, type Path } from './problem.js';
import { changed } from './safeguards.js';
import { families, scenarioSchema } from './schema.js';

/** Longer ones are refused before they are read. */
export const mostCharacters = 1 << 20;

/** A file's text and its one document. */
interface Parsed {
  value: CommonFields & { scenario: string };
  /** Where a value stands, or what holds it. */
  offsetAt: (path: Path) => number;
}

/** Nothing, or comments only. */
const isEmpty = (contents: unknown): boolean => contents === null || (isScalar(contents) && contents.value === null);

function parse(source: string): Parsed {
  if (source.length > mostCharacters) throw new Fault(0, `the file has more than ${mostCharacters} characters`);
  const documents = parseAllDocuments(source, { prettyErrors: false, uniqueKeys: true, strict: true });
  const [document, second] = 'empty' in documents ? [] : documents;
  const problem = document && (document.errors[0] ?? document.warnings[0]);
  if (problem) throw new Fault(problem.pos[0], `this is no YAML: ${problem.message.split('\n')[0]}`);
  if (!document || isEmpty(document.contents)) throw new Fault(0, `the file is empty; it names a scenario: ${[...families.keys()].join(', ')}`);
  if (second)
    throw new Fault(second.contents ? offsetOf(second.contents as Node) : second.range[0], 'a second document begins here; a file holds one scenario');
  const { contents } = document;
  new Checker(scenarioSchema).check(contents as Node);
  const offsetAt = (path: Path): number => {
    let node = contents as Node;
    for (const part of path) {
      const inner = isMap(node)
        ? node.items.find(({ key }) => String((key as Scalar).value) === String(part))?.value
        : isSeq(node)
          ? node.items[Number(part)]
          : null;
      if (!isNode(inner)) break;
      node = inner;
    }
    return offsetOf(node);
  };
  return { value: document.toJS() as Parsed['value'], offsetAt };
}

/** The properties that are judged: those that were asked, the others of which a BUG state or a deadlock may tell all the same. */
function asked(system: System, { ask, expect = {} }: CommonFields): System {
  const names = system.properties.map(({ name }) => name);
  const known = (name: string, path: Path): void =>
    must(names.includes(name), path, () => `there is no property '${name}'${didYouMean(name, names)} (there are ${among(names)})`);
  for (const [at, name] of (ask ?? []).entries()) known(name, ['ask', at]);
  for (const name of Object.keys(expect)) {
    known(name, ['expect', name]);
    must(ask?.includes(name) ?? true, ['expect', name], `'ask' does not name ${name}`);
  }
  if (!ask) return system;
  return { ...system, properties: system.properties.filter(({ name, kind }) => ask.includes(name) || kind === 'bug' || kind === 'deadlock') };
}

/** What is asked is expected to hold, unless it is expected not to. */
function expectations({ ask, expect = {} }: CommonFields): Pick<Variant, 'expected' | 'others'> {
  if (!ask) return { expected: expect };
  return { expected: { ...Object.fromEntries(ask.map((name): [string, Expected] => [name, 'holds'])), ...expect }, others: null };
}

function composed(path: string, value: Parsed['value']): Case {
  const { scenario, refuse, system: build } = families.get(value.scenario) as Family;
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => !(commonNames as readonly string[]).includes(key)));
  refuse(own);
  const system = asked(changed(build(path, own), value), value);
  const variant: Variant = {
    id: path,
    row: '',
    summary: value.title ?? scenario.title,
    source: path,
    ...expectations(value),
    system: () => system,
  };
  return { id: path, scenario: scenario as Scenario, variant, parameters: {}, system };
}

/**
 * The system that a scenario file composes, with what the file expects of it.
 * @param path What the file, and the system, is called.
 * @throws {UsageError} `PATH:LINE:COLUMN: ...` for whatever is wrong with it.
 */
export function readScenarioFile(path: string, source: string): Case {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (const { index } of source.matchAll(/\n/g)) lines.addNewLine(index + 1);
  const wrong = (offset: number, message: string): UsageError => {
    const { line, col } = lines.linePos(offset);
    return new UsageError(`${path}:${line}:${col}: ${message.replace(/\p{Cc}/gu, ' ')}`);
  };
  let parsed: Parsed | null = null;
  try {
    parsed = parse(source);
    return composed(path, parsed.value);
  } catch (error) {
    if (error instanceof Fault) throw wrong(error.offset, error.message);
    if (error instanceof Misfit) throw wrong(parsed?.offsetAt(error.path) ?? 0, error.message);
    if (error instanceof ShootdownError) throw wrong(parsed?.offsetAt(['threads']) ?? 0, error.message);
    throw error;
  }
}
