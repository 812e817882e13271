import type { PropertyVerdict } from '../check/check.js';
import type { Safeguard, SafeguardTrials, Trial } from '../check/safeguards.js';
import { lengthText } from './lasso.js';
import { noColours, type Palette } from './table.js';
import { count } from './text.js';
import { wrap } from './wrap.js';

/** What is said beside the table gets no less than this. */
const leastText = 40;
const gap = '  ';

const nameOf = ({ machine, name }: Safeguard): string => `${machine}.${name}`;
const list = (safeguards: readonly Safeguard[]): string => safeguards.map(nameOf).join(', ');
const answer = (value: boolean): string => (value ? 'yes' : 'no');

/** `yes -> no`: what it answers as it is, and what it always answers instead. */
function change({ safeguard, answers, as }: Trial): string {
  if (safeguard.kind === 'action') return 'left out';
  return `${answers.length === 0 ? '?' : answers.map(answer).join('/')} -> ${as.map(answer).join(', ')}`;
}

function verdictText({ verdict, counterexample }: PropertyVerdict): string {
  if (counterexample) return `broken in ${lengthText(counterexample.length, counterexample.lasso)}`;
  return verdict === 'holds' ? 'holds' : 'undecided';
}

/** The properties that do not hold somewhere: only these have a column. */
function columnsOf({ reference, trials }: SafeguardTrials): number[] {
  const all = [reference.properties, ...trials.map(({ properties }) => properties)];
  return [...reference.properties.keys()].filter((index) => all.some((properties) => (properties[index]?.verdict ?? 'holds') !== 'holds'));
}

function table(answered: SafeguardTrials, columns: readonly number[], width: number, palette: Palette): string[] {
  const { bold, red, green, yellow } = palette;
  const rows = answered.trials.filter(({ error }) => error === null);
  if (rows.length === 0) return [];
  const paint = (cell: string): ((text: string) => string) =>
    cell.startsWith('broken') ? red : cell === 'holds' ? green : cell === 'undecided' ? yellow : (text) => text;
  const heading = ['safeguard', 'answers', ...columns.map((index) => answered.reference.properties[index]?.name ?? '')];
  const cells = rows.map((trial) => [
    nameOf(trial.safeguard),
    change(trial),
    ...columns.map((index) => verdictText(trial.properties[index] as PropertyVerdict)),
  ]);
  const widths = heading.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[], painted: boolean): string =>
    row.map((cell, column) => (painted ? paint(cell) : bold)(cell.padEnd(widths[column] as number))).join(gap);
  const left = 2 + widths.reduce((sum, one) => sum + one + gap.length, 0);
  const said = (text: string | null): string[] => wrap(text ?? '', Math.max(width - left, leastText), 0);
  return [
    `  ${line(heading, false)}${gap}${bold('what it sees to')}`,
    ...rows.flatMap(({ safeguard }, at) =>
      said(safeguard.text).map((text, part) => (part === 0 ? `  ${line(cells[at] as string[], true)}${gap}${text}` : `${' '.repeat(left)}${text}`).trimEnd()),
    ),
    '',
  ];
}

function referenceText({ subject, properties, exploration }: SafeguardTrials['reference']): string {
  const kept = properties.filter(({ verdict }) => verdict === 'holds').map(({ name }) => name);
  const others = properties.filter(({ verdict }) => verdict !== 'holds').map((property) => `${property.name} ${verdictText(property)}`);
  const limit = exploration.limit === null ? '' : `, limit reached: ${exploration.limit}`;
  return `as it is: ${[kept.length > 0 ? `${kept.join(', ')} ${kept.length === 1 ? 'holds' : 'hold'}` : '', ...others].filter(Boolean).join('; ')} (${count(exploration.states, 'state')}${limit})${
    subject.case ? `; ${subject.case.variant.summary}` : ''
  }`;
}

const outcomes: readonly (readonly [Trial['outcome'], (number: number) => string])[] = [
  ['broken', (number) => `without ${number} a property breaks`],
  ['deadlock', (number) => `without ${number} there is a deadlock`],
  ['undecided', (number) => `${number} undecided`],
  ['does not run', (number) => `${number} cannot be replaced so`],
  ['holds', (number) => `without ${number} no verdict changes`],
];

/** Each safeguard counts once, as the first of these that it is. */
function summary({ trials, unasked, untried }: SafeguardTrials): string {
  const byName = new Map<string, Trial['outcome'][]>();
  for (const { safeguard, outcome } of trials) byName.set(nameOf(safeguard), [...(byName.get(nameOf(safeguard)) ?? []), outcome]);
  const first = [...byName.values()].map((own) => outcomes.find(([outcome]) => own.includes(outcome))?.[0]);
  const parts = outcomes.flatMap(([outcome, words]) => {
    const number = first.filter((one) => one === outcome).length;
    return number > 0 ? [words(number)] : [];
  });
  if (unasked.length > 0) parts.push(`${unasked.length} never asked`);
  if (untried.length > 0) parts.push(`${untried.length} not tried`);
  return `${count(first.length + unasked.length + untried.length, 'safeguard')}: ${parts.join(', ')}`;
}

/** What breaks without which safeguard, for people. `width` is the terminal's. */
export function safeguardsText(answered: SafeguardTrials, { palette = noColours, width = 100 }: { palette?: Palette; width?: number } = {}): string {
  const { bold, dim } = palette;
  const { reference, trials, unasked, untried } = answered;
  const columns = columnsOf(answered);
  const rest = reference.properties.filter((_, index) => !columns.includes(index)).map(({ name }) => name);
  const limits = [...new Set(trials.flatMap(({ limit }) => (limit === null ? [] : [limit])))];
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [title, ...lines.flatMap((text) => wrap(text, width - 2, 0).map((one) => `  ${one}`)), ''];
  return [
    ...wrap(`${reference.subject.id}, ${referenceText(reference)}`, width).map((text, at) =>
      at === 0 ? text.replace(reference.subject.id, bold(reference.subject.id)) : text,
    ),
    '',
    ...table(answered, columns, width, palette),
    ...section('Whichever is taken out, these hold:', rest.length > 0 && trials.some(({ error }) => error === null) ? [rest.join(', ')] : []),
    ...section(
      'Does not run:',
      trials.flatMap(({ safeguard, as, error }) => (error === null ? [] : [`${nameOf(safeguard)} (always ${as.map(answer).join(', ')}): ${error}`])),
    ),
    ...section('Never asked here, so that nothing changes without them:', unasked.length > 0 ? [list(unasked)] : []),
    ...section('Not tried, since it was interrupted:', untried.length > 0 ? [list(untried)] : []),
    ...section('Undecided where a search ended early:', limits.length > 0 ? [`limit reached: ${limits.join(', ')}`] : []),
    dim(summary(answered)),
    '',
  ].join('\n');
}

const propertyDocument = ({ name, kind, verdict, counterexample }: PropertyVerdict): object => ({
  name,
  kind,
  verdict,
  steps: counterexample?.length ?? null,
  loop: counterexample?.lasso?.stem ?? null,
  message: counterexample?.message ?? null,
});

/** The same as one JSON document. */
export function safeguardsJson({ reference, trials, unasked, untried }: SafeguardTrials): string {
  const { subject, properties, exploration } = reference;
  const document = {
    format: 'shootdown.safeguards/1',
    id: subject.id,
    parameters: subject.case?.parameters ?? {},
    reference: { properties: properties.map(propertyDocument), states: exploration.states, limit: exploration.limit },
    safeguards: trials.map(({ safeguard, answers, as, outcome, properties: own, states, limit, error }) => ({
      ...safeguard,
      answers,
      as,
      outcome,
      properties: own.map(propertyDocument),
      states,
      limit,
      error,
    })),
    unasked,
    untried,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
