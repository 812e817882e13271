import { readdirSync, readFileSync } from 'node:fs';
import { check, subjectOf } from '../../src/check/check.js';
import { readScenarioFile } from '../../src/scenario-file/scenario-file.js';

const folder = 'examples/races';
const files = readdirSync(folder).sort();
const textOf = (file: string): string => readFileSync(`${folder}/${file}`, 'utf8');

test('there are ten, of six scenarios', () => {
  expect(files).toHaveLength(10);
  expect(files.filter((file) => !file.endsWith('.yaml'))).toEqual([]);
  expect(new Set(files.map((file) => readScenarioFile(file, textOf(file)).scenario.id)).size).toBeGreaterThanOrEqual(6);
});

describe.each(files)('%s', (file) => {
  test('names its schema, and says in a comment and in its title what it asks', () => {
    const [schema, ...lines] = textOf(file).split('\n');
    expect(schema).toBe('# yaml-language-server: $schema=../../schemas/scenario.schema.json');
    const comment = lines.slice(
      0,
      lines.findIndex((line) => !line.startsWith('#')),
    );
    expect(comment.join('\n').length).toBeGreaterThan(200);
    expect(textOf(file)).toMatch(/^title: .*\?$/m);
    expect(textOf(file)).toMatch(/^expect:$/m);
  });

  test('comes out as it says', async () => {
    const found = readScenarioFile(file, textOf(file));
    const { asExpected, exploration, properties, vacuous } = await check(subjectOf(found));
    const verdicts = Object.fromEntries(properties.filter(({ name }) => name in found.variant.expected).map(({ name, verdict }) => [name, verdict]));
    expect(verdicts).toEqual(found.variant.expected);
    expect(asExpected).toBe(true);
    // What holds was put to the test, in all states.
    if (Object.values(verdicts).includes('holds')) expect([exploration.exhausted, vacuous]).toEqual([true, []]);
  });

  test('what it leaves out makes the difference', async () => {
    const { without, with: also, ...rest } = sections(textOf(file));
    if (!without && !also) return;
    const whole = readScenarioFile(file, Object.values({ ...rest, expect: '', ask: '' }).join('\n'));
    const { properties, exploration } = await check(subjectOf(whole), { all: true, maxStates: 100_000 });
    const expected = Object.entries(readScenarioFile(file, textOf(file)).variant.expected).filter(([, verdict]) => verdict === 'violated');
    expect(exploration.exhausted).toBe(true);
    // The kernel of unbind-during-direct-io lacks two safeguards besides, by which it fails in another way.
    for (const [name] of expected) expect([name, properties.find((property) => property.name === name)?.verdict]).toEqual([name, 'holds']);
  });
});

/** A file's text by its keys. */
function sections(text: string): Record<string, string> {
  const parts = text.split(/^(?=\w+:)/m).filter((part) => !part.startsWith('#'));
  return Object.fromEntries(parts.map((part) => [part.slice(0, part.indexOf(':')), part]));
}
