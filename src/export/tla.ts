import { count } from '../format/text.js';
import type { Claim } from './claims.js';
import type { Condition, Region, Row } from './forest.js';
import { choiceName, moduleName, Names, runs } from './names.js';
import { notes } from './notes.js';
import type { ChoiceRows, Tables } from './tables.js';

/** A module and the configuration that TLC reads beside it. */
export interface TlaModel {
  name: string;
  module: string;
  config: string;
}

type Variables = ReadonlyMap<number, string>;

/** A definition that the configuration may name. */
interface Definition {
  name: string;
  body: string[];
}

const set = (ids: readonly number[]): string => {
  const [first, ...more] = runs(ids);
  return first && more.length === 0 && first[1] > first[0] ? `${first[0]}..${first[1]}` : `{${ids.join(', ')}}`;
};

const condition = ({ actor, ids }: Condition, variables: Variables): string =>
  ids.length === 1 ? `${variables.get(actor)} = ${ids[0]}` : `${variables.get(actor)} \\in ${set(ids)}`;
const all = (reads: readonly Condition[], variables: Variables): string => reads.map((read) => condition(read, variables)).join(' /\\ ') || 'TRUE';
const any = (region: Region, variables: Variables): string[] => (region.length === 0 ? ['FALSE'] : region.map((part) => `\\/ ${all(part, variables)}`));

const indented = (lines: readonly string[], first: string): string[] => lines.map((line, index) => (index === 0 ? first : ' '.repeat(first.length)) + line);
const defined = ({ name, body }: Definition): string[] => [`${name} ==`, ...indented(body, '  '), ''];
/** Names for what a row leaves alone, by what it writes; few, since rows of one kind write the same. */
class Kept {
  readonly definitions: Definition[] = [];
  private readonly known = new Map<string, string>();

  constructor(
    private readonly names: Names,
    private readonly variables: Variables,
  ) {}

  name(written: readonly number[]): string | null {
    const others = [...this.variables].filter(([actor]) => !written.includes(actor)).map(([, name]) => name);
    if (others.length === 0) return null;
    const key = others.join(', ');
    const name = this.known.get(key) ?? this.names.definition(`Keep_${this.known.size + 1}`);
    if (!this.known.has(key)) this.definitions.push({ name, body: [`UNCHANGED <<${key}>>`] });
    this.known.set(key, name);
    return name;
  }
}

function rowLine({ reads, writes }: Row, kept: Kept, variables: Variables): string {
  const parts = [
    ...reads.map((read) => condition(read, variables)),
    ...writes.map(([actor, id]) => `${variables.get(actor)}' = ${id}`),
    kept.name(writes.map(([actor]) => actor)),
  ];
  return `\\/ ${parts.filter((part) => part !== null).join(' /\\ ')}`;
}

/** Rows that begin with the same condition stand together: a checker looks at it once. */
function action({ rows }: ChoiceRows, kept: Kept, variables: Variables): string[] {
  const groups = new Map<string, Row[]>();
  for (const { reads, writes } of rows) {
    const first = all(reads.slice(0, 1), variables);
    const group = groups.get(first) ?? [];
    groups.set(first, group);
    group.push({ reads: reads.slice(1), writes });
  }
  return [...groups].flatMap(([first, group]) => [
    `\\/ /\\ ${first}`,
    ...indented(
      group.map((row) => rowLine(row, kept, variables)),
      '   /\\ ',
    ),
  ]);
}

const listed = (names: readonly string[], bullet: string, empty: string): string[] => (names.length === 0 ? [empty] : names.map((name) => `${bullet} ${name}`));

/** What TLC is to look at: states that must not be, deadlocks, and what must follow. */
function properties(claims: readonly Claim[], names: Names, variables: Variables): { invariants: Definition[]; temporal: Definition[] } {
  const invariants: Definition[] = [];
  const temporal: Definition[] = [];
  for (const { name, never, stuck, following } of claims) {
    if (never.length > 0) invariants.push({ name: names.definition(name, '_holds'), body: ['~(', ...any(never, variables).map((line) => `  ${line}`), ' )'] });
    if (stuck && stuck.length > 0)
      invariants.push({
        name: names.definition(name, '_holds'),
        body: ['\\/ ENABLED Fair', '\\/ ~(', ...any(stuck, variables).map((line) => `     ${line}`), '    )'],
      });
    if (!following) continue;
    const reach = ['(', ...any(following.reach, variables).map((line) => `   ${line}`), '  )'];
    const premise = following.when && ['(', ...any(following.when, variables).map((line) => `  ${line}`), ' )'];
    temporal.push({ name: names.definition(name, '_holds'), body: premise ? [...premise, '~>', ...reach] : ['[]<>', ...reach] });
  }
  return { invariants, temporal };
}

const why = ({ leftOut }: Claim): string | null => leftOut;

/** A system as a module of TLA+. `name` is what its file is called. */
export function tla(tables: Tables, name = moduleName(tables.system.id)): TlaModel {
  const { states, actors, choices, claims } = tables;
  const names = new Names();
  for (const own of ['Init', 'Next', 'Fair', 'Fairness', 'Spec', 'TypeOK', name]) names.definition(own);
  const variables: Variables = new Map(actors.map(({ index, address }) => [index, names.variable(address)]));
  const variable = (index: number): string => variables.get(index) as string;
  const actions = choices.filter(({ rows }) => rows.length > 0).map((rows) => ({ ...rows, name: names.definition(choiceName(rows.choice)) }));
  const fair = actions.filter(({ choice }) => choice.fair).map((one) => one.name);
  const kept = new Kept(names, variables);
  const bodies = actions.map((one) => [`\\* ${choiceName(one.choice)}`, ...defined({ name: one.name, body: action(one, kept, variables) })]);
  const { invariants, temporal } = properties(claims, names, variables);
  const module = [
    `---- MODULE ${name} ----`,
    ...[
      ...notes(tables, why),
      '',
      `All ${count(states, 'distinct state')} (-continue: do not stop at what is violated): java -cp tla2tools.jar tlc2.TLC -continue ${name}.tla`,
    ].map((line) => `\\* ${line}`.trimEnd()),
    'EXTENDS Integers',
    '',
    `VARIABLES ${actors.map(({ index }) => variable(index)).join(', ')}`,
    '',
    `vars == <<${[...variables.values()].join(', ')}>>`,
    '',
    ...actors.flatMap(({ index, locals }) => [`\\* ${variable(index)}:`, ...locals.map((text, id) => `\\* ${String(id).padStart(5)} ${text}`)]),
    '',
    ...defined({ name: 'TypeOK', body: actors.map(({ index, locals }) => `/\\ ${variable(index)} \\in 0..${locals.length - 1}`) }),
    ...defined({ name: 'Init', body: actors.map(({ index, initial }) => `/\\ ${variable(index)} = ${initial}`) }),
    ...kept.definitions.flatMap(defined),
    ...bodies.flat(),
    '\\* Choices that are taken if they stay possible.',
    ...defined({ name: 'Fair', body: listed(fair, '\\/', 'FALSE') }),
    ...defined({ name: 'Next', body: listed(['Fair', ...actions.filter(({ choice }) => !choice.fair).map((one) => one.name)], '\\/', 'FALSE') }),
    ...defined({
      name: 'Fairness',
      body: listed(
        fair.map((one) => `WF_vars(${one})`),
        '/\\',
        'TRUE',
      ),
    }),
    ...defined({ name: 'Spec', body: ['Init /\\ [][Next]_vars /\\ Fairness'] }),
    ...[...invariants, ...temporal].flatMap(defined),
    '====',
    '',
  ].join('\n');
  const config = [
    'SPECIFICATION Spec',
    'INVARIANTS',
    ...['TypeOK', ...invariants.map((one) => one.name)].map((one) => `  ${one}`),
    ...(temporal.length > 0 ? ['PROPERTIES', ...temporal.map((one) => `  ${one.name}`)] : []),
    'CHECK_DEADLOCK FALSE',
    '',
  ].join('\n');
  return { name, module, config };
}
