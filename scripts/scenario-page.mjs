// docs/scenarios.md: of every variant what was changed, the verdict and what it rests on; of what never comes about, how that can go on for ever.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { check, subjectOf } from '../dist/esm/src/check/check.js';
import { lengthText } from '../dist/esm/src/format/lasso.js';
import { build, expectedOf, scenarios } from '../dist/esm/src/scenarios/index.js';
import { unfolded } from './unfolded.mjs';

const records = fileURLToPath(new URL('../test/scenarios/__snapshots__/verdicts.test.ts.snap', import.meta.url));

/** What the tests have on record of every variant, having explored it and compared: `{ states, lengths }` by `scenario/variant`. */
function recorded() {
  const entries = readFileSync(records, 'utf8').matchAll(/^exports\[`(\S+) has the verdict of the table 1`\] = `\n([\s\S]*?)\n`;$/gm);
  return new Map([...entries].map(([, id, text]) => [id, JSON.parse(text.replace(/,(?=\s*[}\]])/g, ''))]));
}

/** The result of {@link check} as far as the pages need it, from the record. Counterexamples have a length and nothing else. */
function fromRecord({ variant, system }, { states, lengths }) {
  const isBroken = (name) => name in lengths;
  const any = Object.keys(lengths).length > 0;
  return {
    verdict: any ? 'violated' : 'holds',
    // What ends a search is a violation, if nothing is expected to hold.
    exploration: { states, limit: null, exhausted: !any },
    properties: system.properties.map(({ name, kind }) => ({
      name,
      kind,
      expected: expectedOf(variant, name),
      // The tests see to it that what is expected to hold does.
      verdict: isBroken(name) ? 'violated' : !any || expectedOf(variant, name) === 'holds' ? 'holds' : 'inconclusive',
      counterexample: isBroken(name) ? { length: lengths[name], lasso: null } : null,
    })),
  };
}

const neverComes = ({ kind, counterexample }) => kind === 'eventuality' && counterexample;

/**
 * The result of every variant with its parameters as they are by default, by id. `checking`: taken from the tests' record where there
 * is one; only loops, which are drawn, are looked for again.
 */
export async function results({ checking }) {
  const known = checking ? recorded() : new Map();
  const all = new Map();
  for (const scenario of scenarios) {
    for (const variant of scenario.variants) {
      const found = build(scenario, variant);
      const record = known.get(found.id);
      const told = record && fromRecord(found, record);
      all.set(found.id, told && !told.properties.some(neverComes) ? told : await check(subjectOf(found)));
    }
  }
  return all;
}

function row(variant, result) {
  const broken = result.properties
    .filter(({ counterexample }) => counterexample)
    .map(({ name, counterexample: { length, lasso } }) => `${name} in ${lengthText(length, lasso)}`);
  const holding = result.properties.filter(({ verdict, expected }) => verdict === 'holds' && expected === 'holds').map(({ name }) => name);
  const verdict = broken.length > 0 ? `violated: ${broken.join(', ')}${holding.length > 0 ? `; holds: ${holding.join(', ')}` : ''}` : result.verdict;
  return `| ${variant.id} | ${variant.summary} | ${verdict} | ${result.exploration.states.toLocaleString('en')} |`;
}

/** A run that never brings what should come, to be unfolded; the first of a variant. */
function loop(variant, { properties }) {
  const property = properties.find(neverComes);
  if (!property) return [];
  const { length, lasso } = property.counterexample;
  return [unfolded(`${variant.id}: ${property.name}, ${lengthText(length, lasso)}`, property), ''];
}

const propertiesOf = (scenario) => scenario.variants.flatMap((variant) => build(scenario, variant).system.properties);

/** @param {Awaited<ReturnType<typeof results>>} found */
export function scenarioPage(found) {
  const head = [
    'Written by `npm run docs` from what the explorer finds. Steps are the length of the shortest counterexample; where something never comes about,',
    'they end with a loop that can go on for ever, and the way to it is a shortest one.',
  ];
  const page = ['# Scenarios', '', ...head, ''];
  for (const scenario of scenarios) {
    const resultOf = ({ id }) => found.get(`${scenario.id}/${id}`);
    page.push(`## ${scenario.id}: ${scenario.title}`, '', `*${scenario.question}*`, '', '| parameter | means | default |', '|---|---|---|');
    for (const [name, spec] of Object.entries(scenario.parameters))
      page.push(`| \`${name}\` | ${spec.description} (${'values' in spec ? spec.values.join(', ') : `${spec.min} to ${spec.max}`}) | ${spec.default} |`);
    page.push('', '| variant | what it is | verdict | states |', '|---|---|---|---:|');
    page.push(...scenario.variants.map((variant) => row(variant, resultOf(variant))), '');
    page.push(...scenario.variants.flatMap((variant) => loop(variant, resultOf(variant))));
  }
  page.push('## Properties', '', '| name | says |', '|---|---|');
  const says = new Map(scenarios.flatMap(propertiesOf).map(({ name, description }) => [name, description]));
  for (const [name, description] of says) page.push(`| ${name} | ${description} |`);
  return `${page.join('\n')}\n`;
}
