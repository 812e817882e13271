// Writes docs/api from the docstrings of the public entry points; --check only compares, --missing lists what has no docstring.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application, makeRecursiveVisitor, ReflectionKind } from 'typedoc';

const root = fileURLToPath(new URL('../..', import.meta.url));
const here = join(root, 'packages', 'api-reference');
const target = join(root, 'docs', 'api');

/** The entry points: what is imported, from which file, on which page, and what it is. */
const pages = [
  ['shootdown', 'src/index.ts', 'shootdown', 'Systems, properties, the explorer, live runs, schedules and their formats, logs.'],
  ['shootdown/jest', 'src/jest/index.ts', 'jest', 'Matchers for Jest and Vitest.'],
  ['shootdown/fast-check', 'src/fast-check/index.ts', 'fast-check', 'Arbitraries of schedules and programs, for property tests.'],
  ['shootdown/scenarios', 'src/scenarios/index.ts', 'scenarios', 'What is shipped: scenarios, variants, and the systems that they are built from.'],
  ['shootdown/protocols', 'src/protocols/index.ts', 'protocols', 'How the lines of a log move the machines.'],
  ['shootdown/machines', 'machines/index.ts', 'machines', "The kernel's objects and paths, by name."],
].filter(([, file]) => existsSync(join(root, file)));
const machines = 'machines';

const note = '<!-- Written by packages/api-reference/write.mjs from the docstrings. -->\n\n';

async function converted() {
  const app = await Application.bootstrapWithPlugins({
    entryPoints: pages.map(([, file]) => join(root, file)),
    tsconfig: join(here, 'tsconfig.json'),
    plugin: ['typedoc-plugin-markdown'],
    name: 'shootdown',
    basePath: root,
    readme: 'none',
    // The project's own compiler checks types.
    skipErrorChecking: true,
    logLevel: 'Error',
    // Nothing that changes with the place or the commit.
    disableSources: true,
    disableGit: true,
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    outputFileStrategy: 'modules',
    hidePageHeader: true,
    hideBreadcrumbs: true,
    hidePageTitle: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    typeDeclarationFormat: 'table',
    useCodeBlocks: true,
    expandObjects: false,
    expandParameters: false,
  });
  const project = await app.convert();
  if (!project) throw new Error('the entry points could not be read');
  for (const module of project.children ?? []) module.name = pageOf(module.name);
  return { app, project };
}

/** The page of a module as TypeDoc names it: `src`, `src/jest`, `machines`. */
function pageOf(name) {
  const found = pages.find(([, file]) => file === `${name}/index.ts`) ?? pages.find(([, , page]) => page === name);
  if (!found) throw new Error(`'${name}' is no entry point`);
  return found[2];
}

/** A machine's type is its whole config, inferred: pages of it. What is left of two machines is the same. */
function shorten(project) {
  const visitor = makeRecursiveVisitor({
    reference(type) {
      if (type.name === 'StateMachine') type.typeArguments = undefined;
    },
  });
  const unions = makeRecursiveVisitor({
    union(type) {
      type.types = type.types.filter((one, index) => type.types.findIndex((other) => other.toString() === one.toString()) === index);
    },
  });
  for (const { type } of Object.values(project.reflections))
    if (typeof type?.visit === 'function') {
      type.visit(visitor);
      type.visit(unions);
    }
}

const textOf = (comment) => (comment?.summary ?? []).map(({ text }) => text).join('');
const commentOf = (reflection) => reflection.comment ?? reflection.signatures?.[0]?.comment ?? reflection.type?.declaration?.signatures?.[0]?.comment;

const abbreviated = /(?:\b(?:e\.g|i\.e|vs|cf|resp|no|mm)|\b[A-Z])$/;

/** The first sentence: up to a full stop with a blank and a capital behind it, or to the end of the paragraph. */
function sentence(comment) {
  const paragraph = textOf(comment).split(/\n\s*\n/)[0];
  const text = paragraph.replace(/\s+/g, ' ').trim();
  const stops = [...text.matchAll(/\.(?= [A-Z`])/g)].map(({ index }) => text.slice(0, index));
  const first = stops.find((before) => !abbreviated.test(before));
  return first === undefined ? text : `${first}.`;
}

const cell = (text) => text.replaceAll('|', '\\|');
const table = (head, rows) =>
  [`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`)].join('\n');

function machinePage(module) {
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  const rows = (of) =>
    (module.children ?? [])
      .filter(of)
      .sort(byName)
      .map((child) => [`\`${child.name}\``, sentence(commentOf(child))]);
  const isType = ({ kind }) => (kind & (ReflectionKind.Interface | ReflectionKind.TypeAlias)) !== 0;
  return [
    '# shootdown/machines\n',
    'The machines are read in their sources, where each state has a description; the names of files are those of the machines.\n',
    table(
      ['machine or function', 'is'],
      rows((child) => !isType(child)),
    ),
    '\n## Types\n',
    table(['type', 'is'], rows(isType)),
    '',
  ].join('\n');
}

const readme = () =>
  [
    '# API',
    '',
    'Every public function and type, by what is imported.',
    '',
    table(
      ['import', 'has'],
      pages.map(([name, , page, has]) => [`[${name}](${page}.md)`, has]),
    ),
    '',
  ].join('\n');

/** The pages by the name of the file. */
async function written() {
  const { app, project } = await converted();
  shorten(project);
  const files = new Map([['README.md', readme()]]);
  const module = project.children?.find(({ name }) => name === machines);
  if (module) {
    files.set(`${machines}.md`, machinePage(module));
    project.removeReflection(module);
  }
  const place = mkdtempSync(join(tmpdir(), 'api-'));
  try {
    app.options.setValue('outputs', [{ name: 'markdown', path: place }]);
    await app.generateOutputs(project);
    for (const [name, , page] of pages.filter((entry) => entry[2] !== machines))
      files.set(`${page}.md`, `# ${name}\n\n${readFileSync(join(place, `${page}.md`), 'utf8').trim()}\n`);
  } finally {
    rmSync(place, { recursive: true });
  }
  return new Map([...files].map(([name, text]) => [name, note + text]));
}

/** `page: name` of what has no docstring. */
function undocumented(project) {
  const missing = [];
  for (const module of project.children ?? [])
    for (const child of module.children ?? []) {
      if (child.kind === ReflectionKind.Reference) continue;
      if (textOf(commentOf(child)) === '') missing.push(`${module.name}: ${ReflectionKind.singularString(child.kind).toLowerCase()} ${child.name}`);
    }
  return missing.sort();
}

function compare(files) {
  const there = existsSync(target) ? readdirSync(target) : [];
  const stale = [...files].filter(([name, text]) => !there.includes(name) || readFileSync(join(target, name), 'utf8') !== text).map(([name]) => name);
  return [...stale, ...there.filter((name) => !files.has(name))];
}

if (process.argv.includes('--missing')) {
  console.log(undocumented((await converted()).project).join('\n'));
} else {
  const files = await written();
  const stale = compare(files);
  if (!process.argv.includes('--check')) {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    for (const [name, text] of files) writeFileSync(join(target, name), text);
  } else if (stale.length > 0) {
    console.error(`not what the docstrings say: ${stale.map((name) => `docs/api/${name}`).join(', ')}; 'npm run api' writes it anew`);
    process.exitCode = 1;
  }
}
