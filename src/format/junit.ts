import { type CheckResult, counterexampleOf, type PropertyVerdict } from '../check/check.js';
import { lengthText } from './lasso.js';
import { expectationOf, outcomeOf } from './outcome.js';
import { diagram } from './violation.js';

/** What XML 1.0 has no way to write, not even escaped. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\t': '&#9;', '\n': '&#10;', '\r': '&#13;' };
const inText = (text: string): string => text.replace(unwritable, '\ufffd').replace(/[&<>\r]/g, (character) => escapes[character] as string);
const inAttribute = (text: string): string => text.replace(unwritable, '\ufffd').replace(/[&<>"\t\n\r]/g, (character) => escapes[character] as string);

function element(name: string, attributes: Readonly<Record<string, string | number>>, content: readonly string[] | string = []): string {
  const head = [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${inAttribute(String(value))}"`)].join(' ');
  if (typeof content === 'string') return `<${head}>${inText(content)}</${name}>`;
  if (content.length === 0) return `<${head}/>`;
  // A line that begins with a tag is ours: within texts `<` is escaped.
  return [`<${head}>`, ...content.map((inner) => `  ${inner.replace(/\n( *)</g, '\n  $1<')}`), `</${name}>`].join('\n');
}

const timeOf = (results: readonly CheckResult[]): string => results.reduce((sum, { exploration }) => sum + exploration.seconds, 0).toFixed(3);

/** The property, and of a lasso how its steps divide. */
const nameOf = ({ name, counterexample }: PropertyVerdict): string =>
  counterexample?.lasso ? `${name} in ${lengthText(counterexample.length, counterexample.lasso)}` : name;

function failure(result: CheckResult): string {
  const found = counterexampleOf(result);
  const expected = expectationOf(result);
  const message = `${result.verdict}${expected === null ? '' : `, expected: ${expected}`}${found ? ` (${nameOf(found)})` : ''}`;
  const text = violated(result);
  return text === '' ? element('failure', { message, type: result.verdict }) : element('failure', { message, type: result.verdict }, text);
}

/** The counterexample as a diagram, with the token that replays it. */
function violated(result: CheckResult): string {
  const found = counterexampleOf(result);
  if (!found?.counterexample) return '';
  return `${diagram(found)}\n\nshootdown replay '${found.counterexample.token}'\n`;
}

function testcase(result: CheckResult, suite: string): string {
  const attributes = { name: result.subject.case?.variant.id ?? result.subject.id, classname: `shootdown.${suite}`, time: timeOf([result]) };
  const outcome = outcomeOf(result);
  if (outcome === 'unexpected') return element('testcase', attributes, [failure(result)]);
  if (outcome === 'inconclusive')
    return element('testcase', attributes, [element('skipped', { message: `inconclusive: ${result.exploration.limit ?? 'not decided'}` })]);
  return element('testcase', attributes);
}

const counts = (results: readonly CheckResult[]): Record<string, string | number> => ({
  tests: results.length,
  failures: results.filter((result) => outcomeOf(result) === 'unexpected').length,
  errors: 0,
  skipped: results.filter((result) => outcomeOf(result) === 'inconclusive').length,
  time: timeOf(results),
});

/** The results as JUnit's XML: a suite per scenario (or module), a test case per variant. */
export function junit(results: readonly CheckResult[]): string {
  const suites = new Map<string, CheckResult[]>();
  for (const result of results) {
    const name = result.subject.case?.scenario.id ?? (result.subject.id.split('#')[0] as string);
    suites.set(name, [...(suites.get(name) ?? []), result]);
  }
  const bodies = [...suites].map(([name, inside]) =>
    element(
      'testsuite',
      { name, ...counts(inside) },
      inside.map((result) => testcase(result, name)),
    ),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('testsuites', { name: 'shootdown', ...counts(results) }, bodies)}\n`;
}
