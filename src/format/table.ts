import type { CheckResult, PropertyVerdict } from '../check/check.js';
import { lengthText } from './lasso.js';
import { expectationFor, expectationOf, outcomeOf, summarise } from './outcome.js';
import { count, thousands } from './text.js';

/** How words are marked on a terminal: functions that wrap a text in colour codes, or leave it alone. */
export interface Palette {
  bold: (text: string) => string;
  dim: (text: string) => string;
  green: (text: string) => string;
  red: (text: string) => string;
  yellow: (text: string) => string;
}

const same = (text: string): string => text;
export const noColours: Palette = { bold: same, dim: same, green: same, red: same, yellow: same };

/** A question, above the verdicts of its variants. */
export const heading = (id: string, question: string | null, { bold }: Palette = noColours): string =>
  question === null ? bold(id) : `${bold(id)}: ${question}`;

const openQuestion = 'open question';

function judgement(result: CheckResult): string {
  const outcome = outcomeOf(result);
  if (outcome === 'unexpected') return result.subject.case ? 'UNEXPECTED' : '';
  if (outcome === 'inconclusive') return 'undecided';
  return result.subject.case === null ? '' : expectationOf(result) === null ? openQuestion : outcome;
}

function remark(result: CheckResult, property: PropertyVerdict): string[] {
  const expected = result.subject.case ? expectationFor(result, property) : null;
  const { counterexample } = property;
  if (counterexample)
    return [`${property.name} violated in ${lengthText(counterexample.length, counterexample.lasso)}${expected === 'holds' ? ', expected to hold' : ''}`];
  return expected === 'violated' ? [`${property.name} ${property.verdict === 'holds' ? 'holds' : 'undecided'}, expected to be violated`] : [];
}

function remarks(result: CheckResult): string {
  const { limit } = result.exploration;
  const stopped = limit === null ? [] : [limit === 'interrupted' ? limit : `limit reached: ${limit}`];
  return [...result.properties.flatMap((property) => remark(result, property)), ...stopped, ...result.vacuous.map((text) => `never tested: ${text}`)].join(
    '; ',
  );
}

const seconds = (value: number): string => `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : thousands(Math.round(value))} s`;

/** One line of the table: name, verdict, how it compares with what was expected, size, remarks. `width` is that of the longest name. */
export function line(result: CheckResult, name: string, width: number, { green, red, yellow, dim }: Palette = noColours): string {
  const paint = { 'as expected': green, unexpected: red, inconclusive: yellow }[outcomeOf(result)];
  const size = `${thousands(result.exploration.states).padStart(11)} states ${seconds(result.exploration.seconds).padStart(8)}`;
  return `  ${name.padEnd(width)}  ${paint(result.verdict.padEnd(12))}  ${paint(judgement(result).padEnd(13))}  ${dim(size)}  ${remarks(result)}`.trimEnd();
}

/** The last line: how many verdicts came out how. `missing`: variants that were not checked at all. */
export function summaryLine(results: readonly CheckResult[], missing = 0, { bold, green, red, yellow }: Palette = noColours): string {
  const { checked, asExpected, unexpected, inconclusive } = summarise(results);
  const own = results.length > 0 && results.every(({ subject }) => subject.case === null);
  const open = results.filter((result) => judgement(result) === openQuestion).length;
  const settled = asExpected - open;
  const parts = [
    settled > 0 || checked === 0 ? green(`${settled} ${own ? (settled === 1 ? 'holds' : 'hold') : 'as expected'}`) : '',
    open > 0 ? count(open, openQuestion) : '',
    unexpected > 0 ? red(`${unexpected} ${own ? 'violated' : 'UNEXPECTED'}`) : '',
    inconclusive > 0 ? yellow(`${inconclusive} inconclusive`) : '',
    missing > 0 ? yellow(`${missing} not checked`) : '',
  ];
  return `${bold(`${checked} checked`)}: ${parts.filter((part) => part !== '').join(', ')}`;
}
