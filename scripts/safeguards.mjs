// Writes machines/safeguards.ts: what the doc comments of machines say of their safeguards, as data; with --check it only compares.
//   node scripts/safeguards.mjs [--check] [FOLDER]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

const checking = process.argv.includes('--check');
const folder = process.argv.slice(2).find((word) => word !== '--check') ?? fileURLToPath(new URL('../machines', import.meta.url));

/** Every call of a file, wherever it stands. */
function* callsIn(value) {
  if (typeof value !== 'object' || value === null) return;
  if (value.type === 'CallExpression') yield value;
  for (const inner of Object.values(value)) yield* callsIn(inner);
}

const calledAs = ({ callee }) => (callee.type === 'MemberExpression' ? callee.property.value : callee.value);
/** The properties of the object that a call is given first. */
const firstOf = (call) => call.arguments[0]?.expression.properties ?? [];
const keyed = (properties, name) => properties.find(({ key }) => key?.value === name)?.value;
const keysOf = (object) => (object?.properties ?? []).flatMap(({ key }) => (key ? [key.value] : []));

const comment = /\/\*\*[\s*]*(Safeguard(?:(?!\*\/)[\s\S])*)\*\/\s*(?:(\w+)\s*[:(])?/g;

/** `Safeguard (row W4), where so: text.` as `text (row W4)`, with what is said before the colon before it. */
function wordsOf(body, where) {
  const line = body.replace(/\s*\n\s*\*?\s*/g, ' ').trim();
  const [, source, when, text] = /^Safeguard(?: \(([^)]*)\))?(?:,? ([^:]*?))?(?:: (.*?))?\.$/.exec(line) ?? [];
  if (text === undefined && source === undefined) throw new Error(`${where}: '${line}' is not of the form 'Safeguard (source): text.'`);
  const said = [when, text].filter(Boolean).join(': ');
  return said === '' ? source : source === undefined ? said : `${said} (${source})`;
}

/** Of one file: by the id of each of its machines, what each safeguard sees to. */
function safeguardsOf(file) {
  const source = readFileSync(join(folder, file), 'utf8');
  const found = [...source.matchAll(comment)];
  if (found.length === 0) return [];
  const calls = [...callsIn(parseSync(source, { syntax: 'typescript' }))];
  const setups = calls.filter((call) => calledAs(call) === 'setup');
  if (setups.length !== 1) throw new Error(`${file} has ${setups.length} setups; safeguards are told of where there is one`);
  const known = ['guards', 'actions'].flatMap((kind) => keysOf(keyed(firstOf(setups[0]), kind)));
  const ids = calls.filter((call) => calledAs(call) === 'createMachine').map((call) => keyed(firstOf(call), 'id')?.value);
  const safeguards = found.map(([, body, name]) => {
    if (!known.includes(name)) throw new Error(`${file}: '${name}', below a comment that begins with 'Safeguard', is no guard or action of its setup`);
    return [name, wordsOf(body, `${file}, ${name}`)];
  });
  return ids.map((id) => [id, safeguards]);
}

const quoted = (text) => (text.includes("'") ? JSON.stringify(text) : `'${text}'`);
const files = readdirSync(folder, { recursive: true })
  .filter((name) => name.endsWith('.ts') && name !== 'safeguards.ts')
  .sort();
const machines = files.flatMap(safeguardsOf).sort(([a], [b]) => (a < b ? -1 : 1));
const twice = machines.find(([id], at) => machines[at - 1]?.[0] === id);
if (twice) throw new Error(`two machines with safeguards have the id '${twice[0]}'`);
const text = `// Written by scripts/safeguards.mjs from the doc comments of the machines.
// biome-ignore-all format: a safeguard a line

/** By machine and the name of a guard or an action: what this safeguard sees to. */
export const safeguards: Readonly<Record<string, Readonly<Record<string, string>>>> = {
${machines.map(([id, own]) => `  ${id}: {\n${own.map(([name, says]) => `    ${name}: ${quoted(says)},\n`).join('')}  },\n`).join('')}};
`;

const path = join(folder, 'safeguards.ts');
if (!checking) writeFileSync(path, text);
else if (readFileSync(path, 'utf8') !== text) {
  console.error("machines/safeguards.ts is not what the machines' comments say; 'node scripts/safeguards.mjs' writes it anew");
  process.exitCode = 1;
}
