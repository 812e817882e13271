import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(__dirname, '..');

interface Import {
  /** The file it stands in, from the project's root. */
  file: string;
  /** What is imported: a file from the project's root, or a package. */
  target: string;
  /** Gone once compiled. */
  typeOnly: boolean;
}

function files(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name).replaceAll('\\', '/'))
    .sort();
}

const statement = /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const call = /\b(?:import|require)\(\s*['"`]([^'"`]+)['"`]/g;

/** Imports of a file, those in comments left out: documentation shows how to import the package. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const target = (path: string): string =>
    path.startsWith('.')
      ? relative(root, resolve(root, dirname(file), path))
          .replaceAll('\\', '/')
          .replace(/\.js$/, '.ts')
      : path;
  const statements = [...text.matchAll(statement)].map(([, type, path = '']) => ({ file, target: target(path), typeOnly: type !== undefined }));
  return [...statements, ...[...text.matchAll(call)].map(([, path = '']) => ({ file, target: target(path), typeOnly: false }))];
}

const imports = (folder: string): Import[] => files(folder).flatMap(importsOf);
const shown = (found: readonly Import[]): string[] => found.map(({ file, target }) => `${file} -> ${target}`);
const isKernel = ({ target }: Import): boolean => target.startsWith('machines/') || target.startsWith('src/scenarios/');

/** Everything that running a file loads, by way of imports that are not only types. */
function loads(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const { target, typeOnly } of importsOf(file)) if (!typeOnly && existsSync(join(root, target)) && target.endsWith('.ts')) loads(target, seen);
  return seen;
}

test('the scan sees imports of all forms', () => {
  expect(imports('src').length).toBeGreaterThan(50);
  const explorer = importsOf('src/explore/explorer.ts');
  expect(explorer).toContainEqual({ file: 'src/explore/explorer.ts', target: 'src/system/system.ts', typeOnly: true });
  expect(explorer).toContainEqual({ file: 'src/explore/explorer.ts', target: 'src/explore/cascade.ts', typeOnly: false });
  expect(importsOf('src/live/live.ts').map(({ target }) => target)).toEqual(expect.arrayContaining(['rxjs', 'xstate', 'actors/scheduler.ts']));
  expect(importsOf('src/index.ts').map(({ target }) => target)).toContain('src/explore/explorer.ts');
});

test('every import of a file of the project leads to one', () => {
  const lost = [...imports('src'), ...imports('machines'), ...imports('actors'), ...imports('bench')].filter(
    ({ target }) => target.endsWith('.ts') && !existsSync(join(root, target)),
  );
  expect(shown(lost)).toEqual([]);
});

/** Only the words in which a scenario states what it expects. */
const isVocabulary = ({ target, typeOnly }: Import): boolean => typeOnly && target === 'src/scenarios/scenario.ts';

test('the engine knows no machine and no scenario', () => {
  const knowing = imports('src').filter(
    (found) =>
      isKernel(found) &&
      !/^src\/(scenarios|protocols|cli|check|jest|scenario-file)\//.test(found.file) &&
      !(found.file.startsWith('src/format/') && isVocabulary(found)),
  );
  expect(shown(knowing)).toEqual([]);
});

test('what checks a system knows what a scenario is, but none of them, and no machine', () => {
  const knowing = imports('src/check').filter((found) => isKernel(found) && found.target !== 'src/scenarios/scenario.ts');
  expect(shown(knowing)).toEqual([]);
});

test('the public entry does not load a machine or a shipped scenario, however indirectly', () => {
  const loaded = [...loads('src/index.ts')];
  expect(loaded).toContain('src/explore/cascade.ts');
  expect(loaded.filter((file) => file.startsWith('machines/') || (file.startsWith('src/scenarios/') && file !== 'src/scenarios/scenario.ts'))).toEqual([]);
});

test('machines know xstate, each other, and how to speak; their index offers the actors of the kernel too', () => {
  const allowed = ({ file, target }: Import): boolean =>
    target === 'xstate' ||
    target.startsWith('machines/') ||
    target === 'src/system/message.ts' ||
    (file === 'machines/index.ts' && target.startsWith('actors/'));
  expect(shown(imports('machines').filter((found) => !allowed(found)))).toEqual([]);
});

test('actors know xstate, rxjs, each other, how to speak, and the types of what machines say', () => {
  const allowed = ({ target, typeOnly }: Import): boolean =>
    ['xstate', 'rxjs', 'src/system/message.ts'].includes(target) || target.startsWith('actors/') || (typeOnly && target.startsWith('machines/'));
  expect(shown(imports('actors').filter((found) => !allowed(found)))).toEqual([]);
});

test('what a system is does not depend on what is done with it', () => {
  const later = imports('src/system').filter(({ target }) => /^src\/(explore|live|schedule|check|format|cli|scenarios)\//.test(target));
  expect(shown(later)).toEqual([]);
});

test('explorer, live run and schedules know nothing of checks, formats and the command line', () => {
  const later = ['src/explore', 'src/live', 'src/schedule', 'src/property']
    .flatMap(imports)
    .filter(({ target }) => /^src\/(check|format|cli|scenarios)\//.test(target));
  expect(shown(later)).toEqual([]);
});

test('the explorer does not run live systems: only its naive twin does', () => {
  expect(shown(imports('src/explore').filter(({ file, target }) => target.startsWith('src/live/') && file !== 'src/explore/naive.ts'))).toEqual([]);
});
