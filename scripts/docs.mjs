// Runs every example of the docs and writes down what it printed; with --check it only compares. Needs a build.
//   ```js NAME     a file of the example       ```console     commands ($ npx shootdown ..., $ node NAME) and what they print
//   ```js          (in src/index.ts) a program, whose output stands in the next ``` fence
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { traceLines, validate } from '../dist/esm/src/index.js';
import { protocols } from '../dist/esm/src/protocols/index.js';
import { compoundTables } from './compound-page.mjs';
import { lufPage } from './luf-page.mjs';
import { results, scenarioPage } from './scenario-page.mjs';
import { vmemmapTables } from './vmemmap-tables.mjs';
import { writeProtectPage } from './write-protect-page.mjs';

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
const timeless = (text) => text.replace(/ +\d+(?:\.\d+)? s(?= |$)/gm, '   0.00 s');

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

/** A page with something else between two markers of this name. */
function filled(whole, name, body) {
  const between = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- /${name} -->)`);
  if (!between.test(whole)) throw new Error(`a page has no place for '${name}'`);
  return whole.replace(between, (_, open, close) => open + body + close);
}
const allFilled = (whole, bodies) => Object.entries(bodies).reduce((text, [name, body]) => filled(text, name, body), whole);

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
  return allFilled(text, { logs: table, properties: list });
}

rmSync(place, { recursive: true, force: true });
mkdirSync(place, { recursive: true });
// Examples name the logs as one does from the project's root.
symlinkSync(join(root, 'test'), join(place, 'test'));
const pages = [
  'README.md',
  'src/index.ts',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && !['scenarios.md', 'luf.md', 'write-protect.md'].includes(name))
    .map((name) => `docs/${name}`),
];
const wanted = new Map(pages.map((page) => [page, (page.endsWith('.ts') ? comment : markdown)(readFileSync(join(root, page), 'utf8'))]));
const found = await results({ checking });
wanted.set('docs/scenarios.md', scenarioPage(found));
wanted.set('docs/luf.md', await lufPage(found));
wanted.set('docs/write-protect.md', await writeProtectPage(found));
wanted.set('docs/vmemmap.md', allFilled(wanted.get('docs/vmemmap.md'), await vmemmapTables()));
wanted.set('docs/compound-pages.md', allFilled(wanted.get('docs/compound-pages.md'), await compoundTables()));
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
