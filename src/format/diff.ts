import type { Difference, OnlyIn, PropertySide, Side } from '../check/diff.js';
import type { RowDifference, RowOutcome } from '../explore/tables-diff.js';
import { canonical } from '../system/canonical.js';
import { noColours, type Palette } from './table.js';
import { count, fieldsOf, inFull, plain, thousands } from './text.js';

/** So many outcomes of a group of rows are told one by one. */
const mostOutcomes = 3;
const absent = '-';

const fieldsIn = (context: unknown): Record<string, unknown> =>
  typeof context === 'object' && context !== null && !Array.isArray(context) ? (context as Record<string, unknown>) : {};
const isSame = (a: unknown, b: unknown): boolean => (a === undefined || b === undefined ? a === b : canonical(a) === canonical(b));

/** The fields of a context that are not as they were. */
function changed(before: unknown, after: unknown): string[] {
  const [from, to] = [fieldsIn(before), fieldsIn(after)];
  return [...new Set([...Object.keys(from), ...Object.keys(to)])].filter((name) => !isSame(from[name], to[name])).sort();
}

/** Where a row leads and what it sends, in few words: `record, sends folio.get to page0`. */
function briefly({ place, sends, bugs }: RowOutcome): string {
  const said = sends.map(({ to, event }) => `${event.type} to ${to}`);
  return [place, ...(said.length > 0 ? [`sends ${said.join(' and ')}`] : []), ...bugs.map((bug) => `BUG ${bug}`)].join(', ');
}

/** The same with all fields that change. */
function wholly({ place, context, sends, bugs }: RowOutcome, before: unknown): string {
  const fields = changed(before, context).map((name) => `${name}: ${plain(fieldsIn(context)[name])}`);
  const said = sends.map(({ to, event }) => `${inFull(event)} to ${to}`);
  return [
    fields.length > 0 ? `${place} {${fields.join(', ')}}` : place,
    ...(said.length > 0 ? [`sends ${said.join(' and ')}`] : []),
    ...bugs.map((bug) => `BUG ${bug}`),
  ].join(', ');
}

/** The outcomes of some rows in one of the systems. */
function outcomesText(outcomes: readonly (RowOutcome | null)[]): string {
  const texts = [...new Set(outcomes.map((outcome) => (outcome ? briefly(outcome) : absent)))].sort();
  // That a row is not there is the least of what can be said of some.
  const told = texts.length > 1 ? texts.filter((text) => text !== absent) : texts;
  const more = told.length - mostOutcomes;
  return `${told.slice(0, mostOutcomes).join(' or ')}${more > 0 ? ` or ${more} more` : ''}`;
}

const stateText = ({ place }: RowDifference): string => (place === '' ? '' : ` [${place}]`);
const onType = ({ message }: RowDifference): string =>
  message === null ? 'start' : `${message.type}${Object.keys(fieldsOf(message)).length > 0 ? ' {…}' : ''}`;
const onMessage = ({ message }: RowDifference): string => {
  if (message === null) return 'start';
  const { from } = message as { from?: string };
  return `${inFull(message)}${from === undefined ? '' : ` from ${from}`}`;
};

/** What the outcomes that look alike differ in. */
function insideText(rows: readonly RowDifference[]): string {
  const alike = rows.filter(({ a, b }) => a && b && briefly(a) === briefly(b));
  const fields = [...new Set(alike.flatMap(({ a, b }) => changed(a?.context, b?.context)))].sort();
  const messages = alike.some(({ a, b }) => canonical(a?.sends) !== canonical(b?.sends));
  const parts = [...(fields.length > 0 ? [`other ${fields.join(', ')}`] : []), ...(messages ? ['other messages'] : [])];
  return alike.length === 0 ? '' : parts.length > 0 ? `, ${parts.join(', ')}` : ', another local state';
}

const leadsElsewhere = ({ a, b }: RowDifference): boolean => a !== null && b !== null;
/** A mark before a line that tells where the systems part: what only one has follows from that. */
const mark = (rows: readonly RowDifference[]): string => (rows.some(leadsElsewhere) ? '* ' : '  ');

/** How many rows a line stands for, and how many of these only one system has. */
function rowsText(rows: readonly RowDifference[]): string {
  const [onlyA, onlyB] = [rows.filter(({ b }) => b === null).length, rows.filter(({ a }) => a === null).length];
  const only = (number: number, where: string): string[] => (number === 0 ? [] : [number === rows.length ? `only in ${where}` : `${number} only in ${where}`]);
  return `(${[`${count(rows.length, 'row')}${insideText(rows)}`, ...only(onlyA, 'A'), ...only(onlyB, 'B')].join(', ')})`;
}

/** Rows by actor, place and type of message. */
function groupsOf(rows: readonly RowDifference[]): RowDifference[][] {
  const groups = new Map<string, RowDifference[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.actor, row.place, row.message?.type ?? null]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.keys()].sort().map((key) => groups.get(key) as RowDifference[]);
}

function groupLine(rows: readonly RowDifference[]): string {
  const [first] = rows as [RowDifference];
  const [inA, inB] = [outcomesText(rows.map(({ a }) => a)), outcomesText(rows.map(({ b }) => b))];
  return `${mark(rows)}${first.actor}${stateText(first)} + ${onType(first)} -> ${inA} | ${inB} ${rowsText(rows)}`;
}

function rowLine(row: RowDifference): string {
  const outcome = (side: RowOutcome | null): string => (side ? wholly(side, row.context) : absent);
  const context = Object.keys(fieldsIn(row.context)).length > 0 ? ` ${plain(row.context)}` : '';
  const state = row.place === '' ? '' : ` [${row.place}${context}]`;
  return `${mark([row])}${row.actor}${state} + ${onMessage(row)} -> ${outcome(row.a)} | ${outcome(row.b)}`;
}

function rowLines(rows: readonly RowDifference[], all: boolean): string[] {
  const lines = all ? rows.map((row) => [row.actor, rowLine(row)] as const) : groupsOf(rows).map((group) => [group[0]?.actor, groupLine(group)] as const);
  return lines.flatMap(([actor, line], at) => (lines[at - 1]?.[0] === actor ? [line] : ['', line]));
}

function propertyText(side: PropertySide | null): string {
  if (side === null) return absent;
  return side.steps === null ? side.verdict : `violated in ${count(side.steps, 'step')}`;
}

const onlyLines = ({ onlyA, onlyB }: OnlyIn): string[] => [...onlyA.map((text) => `only in A: ${text}`), ...onlyB.map((text) => `only in B: ${text}`)];

/** The fields of two inputs that differ. */
function inputLines({ actor, a, b }: Difference['inputs'][number]): string[] {
  const names = changed(a, b);
  const value = (of: unknown, name: string): string => (name in fieldsIn(of) ? plain(fieldsIn(of)[name]) : absent);
  return names.length > 0 ? names.map((name) => `${actor}.${name}: ${value(a, name)} | ${value(b, name)}`) : [`${actor}: ${plain(a)} | ${plain(b)}`];
}

function headLine(name: string, { subject, exploration }: Side, { bold }: Palette): string {
  const limit = exploration.limit === null ? '' : `, limit reached: ${exploration.limit}`;
  const summary = subject.case ? `: ${subject.case.variant.summary}` : '';
  return `${bold(name)}  ${bold(subject.id)}${summary} (${count(exploration.states, 'state')}${limit})`;
}

function summary({ tables: { rows, differences } }: Difference, { bold }: Palette): string {
  const actors = new Set(differences.map(({ actor }) => actor)).size;
  const [onlyA, onlyB] = [differences.filter(({ b }) => b === null).length, differences.filter(({ a }) => a === null).length];
  const parts = [
    [differences.length - onlyA - onlyB, 'with another outcome'],
    [onlyA, 'only in A'],
    [onlyB, 'only in B'],
  ] as const;
  const told = parts.filter(([number]) => number > 0).map(([number, what]) => `${thousands(number)} ${what}`);
  return `${bold(`${thousands(differences.length)} of ${count(rows, 'row')} differ`)}${actors > 0 ? `, in ${count(actors, 'actor')}: ${told.join(', ')}` : ''}`;
}

const legend = `actor [state] + message -> what comes of it in A | in B ('${absent}': it was not reached there); *: both have the row, with another outcome`;

/** What two systems have and do otherwise, for people. `all`: every row, not only groups of them. */
export function diffText(difference: Difference, { palette = noColours, all = false }: { palette?: Palette; all?: boolean } = {}): string {
  const { bold, dim } = palette;
  const { actors, machines, code, inputs, choices, properties, tables } = difference;
  const section = (title: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : [bold(title), ...lines.map((line) => `  ${line}`)]);
  const lines = rowLines(tables.differences, all);
  const made = [
    ...section('actors', onlyLines(actors)),
    ...section(
      'machines',
      machines.map(({ actor, a, b }) => `${actor}: ${a} | ${b}`),
    ),
    ...section(
      'guards and actions',
      code.map(({ machine, kind, name }) => `${machine}.${name} (${kind})`),
    ),
    ...section('inputs', inputs.flatMap(inputLines)),
    ...section('choices', onlyLines(choices)),
    ...section(
      'properties',
      properties.map(({ name, a, b }) => `${name}: ${propertyText(a)} | ${propertyText(b)}`),
    ),
  ];
  return [
    headLine('A', difference.a, palette),
    headLine('B', difference.b, palette),
    '',
    ...(made.length > 0 ? [...made, ''] : []),
    summary(difference, palette),
    ...(lines.length > 0 ? [dim(legend)] : []),
    ...lines,
    '',
  ].join('\n');
}

const sideDocument = ({ subject, exploration }: Side): object => ({
  id: subject.id,
  parameters: subject.case?.parameters ?? {},
  states: exploration.states,
  exhausted: exploration.exhausted,
  limit: exploration.limit,
});

/** The same as one JSON document, with every row. */
export function diffJson({ a, b, tables, ...rest }: Difference): string {
  const { rows, differences } = tables;
  return `${JSON.stringify({ format: 'shootdown.diff/1', a: sideDocument(a), b: sideDocument(b), ...rest, rows, differences }, null, 2)}\n`;
}
