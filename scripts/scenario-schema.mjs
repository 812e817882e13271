// Writes schemas/scenario.schema.json, the schema by which 'shootdown check FILE.yaml' checks, for editors. Needs a build.
//   node scripts/scenario-schema.mjs [FOLDER OF THE BUILD]
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = resolve(process.argv[2] ?? join(root, 'dist', 'esm'));
const { scenarioSchema } = await import(pathToFileURL(join(build, 'src', 'scenario-file', 'schema.js')).href);
const path = join(root, 'schemas', 'scenario.schema.json');
writeFileSync(path, JSON.stringify(scenarioSchema, null, 2));
execFileSync(process.execPath, [join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome'), 'format', '--write', path], { cwd: root, stdio: 'inherit' });
