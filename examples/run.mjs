// Runs the examples as their readers would: each in a folder of its own, with the packed tarball for `shootdown`, and of everything else
// only what its package.json names. Every `$ command` of a README must print what stands below it.
//   node examples/run.mjs PACKAGE PLACE [--write] [NAME...]     PACKAGE: the unpacked tarball; PLACE: an empty folder; --write: write down what was printed
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const installed = join(dirname(here), 'node_modules');
const [packed, place, ...rest] = process.argv.slice(2);
const writes = rest.includes('--write');
const named = rest.filter((word) => word !== '--write');

const manifest = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Puts a package into `folder`/node_modules, and its commands beside it. */
function install(folder, name, from) {
  const to = join(folder, 'node_modules', name);
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(from, to);
  const { bin = {} } = manifest(from);
  const commands = typeof bin === 'string' ? { [name.split('/').at(-1)]: bin } : bin;
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true });
  for (const [command, file] of Object.entries(commands)) symlinkSync(join(to, file), join(folder, 'node_modules', '.bin', command));
}

/** Where the package itself is, with its own dependencies. */
function installShootdown() {
  const folder = join(place, 'installed', 'node_modules', 'shootdown');
  mkdirSync(dirname(folder), { recursive: true });
  cpSync(packed, folder, { recursive: true });
  for (const name of Object.keys(manifest(folder).dependencies)) install(join(place, 'installed'), name, join(installed, name));
  return folder;
}

const environment = { ...process.env, NO_COLOR: '1', npm_config_offline: 'true', npm_config_update_notifier: 'false', npm_config_loglevel: 'error' };
delete environment.FORCE_COLOR;

/** How long it took is not the example's point. */
const timeless = (text) =>
  text
    .replace(/ +\d+(?:\.\d+)? s(?= |$)/gm, '   0.00 s')
    .replace(/ \(\d+(?:\.\d+)? ?m?s\)$/gm, '')
    .replace(/^Time: .*\n/gm, '')
    .replace(/ +$/gm, '');

let failures = 0;
function fails(message) {
  failures++;
  console.error(message);
}

function run(name, folder, command) {
  const { status, stdout } = spawnSync('bash', ['-c', `exec 2>&1; ${command}`], { cwd: folder, encoding: 'utf8', env: environment, timeout: 100_000 });
  if (status !== 0) fails(`${name}: '${command}' ended with ${status}\n${stdout}`);
  // npm says which script it runs.
  return timeless(stdout)
    .replace(/^> .*\n/gm, '')
    .trim();
}

/** A README with what its commands print now. */
function printed(name, folder, readme) {
  let tested = false;
  const text = readme.replace(/^```console\n([\s\S]*?)^```$/gm, (_, body) => {
    const commands = body.split('\n').flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []));
    tested ||= commands.some((command) => /\bnpm (?:--?\S+ )*test\b/.test(command));
    const blocks = commands.map((command) => `$ ${command}\n${run(name, folder, command)}`.trimEnd());
    return `\`\`\`console\n${blocks.join('\n\n')}\n\`\`\``;
  });
  if (!tested) fails(`${name}: its README does not run 'npm test'`);
  return text;
}

const examples = readdirSync(here).filter((name) => existsSync(join(here, name, 'package.json')) && (named.length === 0 || named.includes(name)));
const shootdown = installShootdown();
for (const name of examples) {
  const from = join(here, name);
  const folder = resolve(place, name);
  cpSync(from, folder, { recursive: true, filter: (file) => !['node_modules', 'dist'].includes(file.slice(from.length + 1)) });
  const { dependencies = {}, devDependencies = {} } = manifest(folder);
  for (const dependency of Object.keys({ ...dependencies, ...devDependencies }))
    install(folder, dependency, dependency === 'shootdown' ? shootdown : join(installed, dependency));
  const before = failures;
  const begun = Date.now();
  const readme = readFileSync(join(from, 'README.md'), 'utf8');
  const now = printed(name, folder, readme);
  if (now !== readme && writes) writeFileSync(join(from, 'README.md'), now);
  else if (now !== readme) {
    writeFileSync(join(folder, 'README.now.md'), now);
    const { stdout } = spawnSync('diff', [join(from, 'README.md'), join(folder, 'README.now.md')], { encoding: 'utf8' });
    fails(`${name}: its README does not say what its commands print:\n${stdout}`);
  }
  console.log(`${name}: ${failures === before ? 'ok' : 'FAILED'} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
}
if (examples.length === 0) fails('there are no examples');
process.exitCode = failures === 0 ? 0 : 1;
