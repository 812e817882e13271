// Runs every example of the docs and writes down what it printed; with --check it only compares. Needs a build.
//   ```js NAME     a file of the example       ```console     commands ($ npx shootdown ..., $ node NAME) and what they print
//   ```js          (in src/index.ts) a program, whose output stands in the next ``` fence
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from '../dist/esm/src/check/check.js';
import { traceLines, validate } from '../dist/esm/src/index.js';
import { protocols } from '../dist/esm/src/protocols/index.js';
import { build, scenarios } from '../dist/esm/src/scenarios/index.js';

import { lufPage } from './luf-page.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
// Inside the package, so that the examples' imports of 'shootdown' find it.
const place = join(root, '.docs');
const checking = process.argv.includes('--check');

function run(args) {
  try {
    return execFileSync(process.execPath, args, { cwd: place, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
  } catch (error) {
    // A command that finds something exits with 1; its output is what the example shows.
    if (error.status !== 1) throw error;
    return error.stdout;
  }
}

// How long it took is not the example's point.
const timeless = (text) => text.replace(/ +\d+\.\d\d s\b/g, '   0.00 s');

function shell(line) {
  const words = line.match(/'[^']*'|\S+/g).map((word) => word.replace(/^'|'$/g, ''));
  if (words[0] === 'node') return run(words.slice(1));
  if (words[0] !== 'npx' || words[1] !== 'shootdown') throw new Error(`an example runs '${line}', which is not 'npx shootdown ...'`);
  return timeless(run([join(root, 'bin', 'shootdown.js'), ...words.slice(2)]));
}

const transcript = (body) =>
  body
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => `${line}\n${shell(line.slice(2))}`)
    .join('\n');

function markdown(text) {
  return text.replace(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm, (fence, language, name, body) => {
    if (language === 'js' && name) writeFileSync(join(place, name), body);
    return language === 'console' ? `\`\`\`console\n${transcript(body).trimEnd()}\n\`\`\`` : fence;
  });
}

function comment(text) {
  return text.replace(/( \* ```js\n)([\s\S]*?)( \* ```\n \*\n \* prints\n \*\n \* ```\n)[\s\S]*?( \* ```\n)/, (_, open, program, between, close) => {
    writeFileSync(join(place, 'example.mjs'), program.replace(/^ \* ?/gm, ''));
    const output = execFileSync(process.execPath, [join(place, 'example.mjs')], { encoding: 'utf8' })
      .trimEnd()
      .split('\n');
    return open + program + between + output.map((line) => ` * ${line}`.trimEnd()).join('\n') + '\n' + close;
  });
}

/** The table of all variants: what was changed, the verdict, what it rests on. */
async function scenarioPage() {
  const page = ['# Scenarios', '', 'Written by `npm run docs` from what the explorer finds. Steps are the length of the shortest counterexample.', ''];
  for (const scenario of scenarios) {
    page.push(`## ${scenario.id}: ${scenario.title}`, '', `*${scenario.question}*`, '', '| parameter | means | default |', '|---|---|---|');
    for (const [name, spec] of Object.entries(scenario.parameters))
      page.push(`| \`${name}\` | ${spec.description} (${'values' in spec ? spec.values.join(', ') : `${spec.min} to ${spec.max}`}) | ${spec.default} |`);
    page.push('', '| variant | what it is | verdict | states |', '|---|---|---|---:|');
    for (const variant of scenario.variants) {
      const { system } = build(scenario, variant);
      const result = await check({ id: `${scenario.id}/${variant.id}`, system, case: build(scenario, variant) });
      const broken = result.properties
        .filter(({ counterexample }) => counterexample)
        .map(({ name, counterexample }) => `${name} in ${counterexample.length} steps`);
      const holding = result.properties.filter(({ verdict, expected }) => verdict === 'holds' && expected === 'holds').map(({ name }) => name);
      const verdict = broken.length > 0 ? `violated: ${broken.join(', ')}${holding.length > 0 ? `; holds: ${holding.join(', ')}` : ''}` : result.verdict;
      page.push(`| ${variant.id} | ${variant.summary} | ${verdict} | ${result.exploration.states.toLocaleString('en')} |`);
    }
    page.push('');
  }
  page.push('## Properties', '', '| name | says |', '|---|---|');
  const properties = new Map(
    scenarios.flatMap((scenario) =>
      scenario.variants.flatMap((variant) => build(scenario, variant).system.properties.map(({ name, description }) => [name, description])),
    ),
  );
  for (const [name, description] of properties) page.push(`| ${name} | ${description} |`);
  return `${page.join('\n')}\n`;
}

/** What came out for each log. */
async function findingsPage(text) {
  const folder = join(root, 'test', 'logs');
  const logs = readdirSync(folder).sort();
  const rows = [];
  const asked = new Map();
  for (const log of logs) {
    const { verdict, lines, events, possible, properties } = await validate(traceLines(join(folder, log)), protocols);
    for (const { name, description, asked: times } of properties) asked.set(name, [description, (asked.get(name)?.[1] ?? 0) + times]);
    const tested = properties.filter(({ asked: times }) => times > 0).map(({ name }) => name);
    rows.push(
      `| ${log.replace('.txt.gz', '')} | ${verdict} | ${lines.toLocaleString('en')} | ${events.toLocaleString('en')} | ${possible} | ${tested.join(' ')} |`,
    );
  }
  const table = ['| log | verdict | lines | events checked | possible states at most | put to the test |', '|---|---|---:|---:|---:|---|', ...rows].join('\n');
  const list = [
    '| property | says | lines that asked |',
    '|---|---|---:|',
    ...[...asked].map(([name, [says, times]]) => `| ${name} | ${says} | ${times.toLocaleString('en')} |`),
  ].join('\n');
  const filled = (whole, name, body) =>
    whole.replace(new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- /${name} -->)`), (_, open, close) => open + body + close);
  return filled(filled(text, 'logs', table), 'properties', list);
}

rmSync(place, { recursive: true, force: true });
mkdirSync(place, { recursive: true });
// Examples name the logs as one does from the project's root.
symlinkSync(join(root, 'test'), join(place, 'test'));
const pages = [
  'README.md',
  'src/index.ts',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && !['scenarios.md', 'luf.md'].includes(name))
    .map((name) => `docs/${name}`),
];
const wanted = new Map(pages.map((page) => [page, (page.endsWith('.ts') ? comment : markdown)(readFileSync(join(root, page), 'utf8'))]));
wanted.set('docs/scenarios.md', await scenarioPage());
wanted.set('docs/luf.md', await lufPage());
wanted.set('docs/findings.md', await findingsPage(wanted.get('docs/findings.md')));
const stale = [];
for (const [page, text] of wanted) {
  let now = '';
  try {
    now = readFileSync(join(root, page), 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  if (now === text) continue;
  stale.push(page);
  if (!checking) writeFileSync(join(root, page), text);
}
rmSync(place, { recursive: true, force: true });
if (checking && stale.length > 0) {
  console.error(`not what the examples print: ${stale.join(', ')}; 'npm run docs' writes it anew`);
  process.exitCode = 1;
}
