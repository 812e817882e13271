// docs/luf.md: what LUF breaks, what its debug mode sees of it, and what would close the gaps. Everything in it is computed.

import { lufDebugChanges } from '../dist/esm/machines/index.js';
import { check, subjectOf } from '../dist/esm/src/check/check.js';
import { lengthText } from '../dist/esm/src/format/lasso.js';
import { build, changedName, closingChanges, scenarios } from '../dist/esm/src/scenarios/index.js';
import { unfolded } from './unfolded.mjs';

const invariants = ['I1', 'I2', 'I3w', 'I3s', 'I4'];
const luf = scenarios.find(({ id }) => id === 'luf');
/** Enough for all but a few; there what is not found by then stays undecided. */
const limit = 200_000;
/** What is said to hold is explored to the end. */
const limitFor = (variant) => (invariants.some((name) => variant.expected[name] === 'violated') ? 2 * limit : 20 * limit);

const run = (variant, debug, maxStates = limit) =>
  check(subjectOf(build(luf, variant, variant.fixed?.debug === undefined ? { debug } : {})), { all: true, maxStates });
const of = (result, name) => result.properties.find((property) => property.name === name);
const steps = (property) => property?.counterexample?.length;
const isUndecided = (property) => property?.verdict === 'inconclusive';
const row = (...cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');
const list = (ids) => (ids.length > 0 ? ids.join(', ') : 'none');

/** What a debug mode does on one variant. */
function judged(result, mode) {
  const [complete, sound, silent] = ['complete', 'sound', 'silent'].map((name) => of(result, `${mode}.${name}`));
  const breaks = invariants.some((name) => of(result, name).verdict === 'violated');
  return {
    breaks,
    misses: complete.verdict === 'violated',
    catches: breaks && complete.verdict === 'holds',
    late: complete.verdict === 'violated' && silent.verdict === 'violated',
    cries: sound.verdict === 'violated',
    complete,
    sound,
    silent,
  };
}

function verdict({ breaks, misses, catches, cries, complete, sound, silent, late }) {
  const parts = [];
  if (misses) parts.push(`**misses** it in ${steps(complete)} steps${late ? ', warns on other ways' : ''}`);
  if (catches) parts.push('**catches** it');
  if (isUndecided(complete)) parts.push('undecided');
  if (cries) parts.push(`**cries wolf** in ${steps(sound)} steps`);
  else if (isUndecided(sound) && silent.verdict === 'violated') parts.push('false alarms undecided');
  return parts.length > 0 ? parts.join('; ') : breaks ? '' : 'silent, rightly';
}

/** The WARN? column of the domain table. */
function said({ expected }) {
  if (expected['seed.complete'] === 'violated') return expected['seed.silent'] === 'violated' ? 'WARN (late)' : 'miss';
  if (expected['seed.sound'] === 'violated') return 'false';
  return expected['seed.silent'] === 'holds' ? 'ok-silent' : '';
}

const broken = (result) =>
  [...invariants, 'deadlock']
    .filter((name) => of(result, name).verdict === 'violated')
    .map((name) => `${name === 'deadlock' ? 'P' : name} in ${steps(of(result, name))}`)
    .join(', ') || (result.exploration.limit === null ? 'holds' : 'undecided');

/** A shortest schedule, to be unfolded. */
const schedule = (variant, property, title) =>
  unfolded(`${variant.id}: ${title} (${lengthText(property.counterexample.length, property.counterexample.lasso)})`, property);

/** A result that another page has, if it is of all states and so says the same. */
const whole = (result, most) => (result?.exploration.exhausted && result.exploration.states < most ? result : undefined);

/** @param {Awaited<ReturnType<typeof import('./scenario-page.mjs').results>>} known results of all variants, by id. */
export async function lufPage(known) {
  const variants = luf.variants;
  const results = new Map();
  for (const variant of variants) {
    const most = limitFor(variant);
    results.set(variant.id, whole(known.get(`${luf.id}/${variant.id}`), most) ?? (await run(variant, 'seed', most)));
  }
  const listened = variants.filter(({ fixed }) => fixed === undefined);
  const seed = new Map(listened.map((variant) => [variant.id, judged(results.get(variant.id), 'seed')]));
  const having = (what) => listened.filter(({ id }) => seed.get(id)[what]);
  const breaking = having('breaks');
  const [misses, catches, cries] = ['misses', 'catches', 'cries'].map(having);

  const closing = [];
  for (const [id, changes] of Object.entries(closingChanges)) {
    const variant = variants.find((candidate) => candidate.id === id);
    const after = await run(variant, changedName(changes), 5 * limit);
    const { complete, sound } = judged(after, 'changed');
    const asked = id === 'L21' ? of(after, 'changed.lists') : seed.get(id).misses ? complete : sound;
    const outcome =
      asked.verdict === 'holds'
        ? 'closed'
        : isUndecided(asked)
          ? `no gap in the first ${after.exploration.states.toLocaleString('en')} states`
          : `not closed: ${steps(asked)} steps`;
    const alarm = sound.verdict === 'violated' ? `a false alarm in ${steps(sound)} steps` : isUndecided(sound) ? 'undecided' : 'none';
    closing.push([id, changes.map((name) => `\`${name}\``).join(' and '), outcome, alarm]);
  }

  const all = [];
  const rules = [];
  for (const variant of listened) {
    all.push([variant.id, verdict(judged(await run(variant, 'changed'), 'changed'))]);
    const [literal, exempting] = [judged(await run(variant, 'rules', limit / 4), 'rules'), judged(await run(variant, 'rules-exempting', limit / 4), 'rules')];
    rules.push([variant.id, verdict(literal), verdict(exempting)]);
  }

  return `# LUF: does lazy unmap flush hold, and does its debug mode see what it should?

Written by \`npm run docs\` from what the explorer finds; nothing here is typed by hand but the sentences around it.

LUF puts off the TLB flush of pages that reclaim or migration has unmapped, if all their ptes were read-only, until something changes that a stale
translation would show. On the list a reviewer asked for rules that can tell when something goes wrong, and the author answered with a debug mode in five steps:
*do you think it works for what we want?* Both are machines here: \`machines/paths\` has reclaim, migration, faults, writes and the allocator,
\`machines/debug/luf-debug.ts\` the debug mode, which only listens. Each row below takes one rule out of a LUF that keeps them all (\`.strict\`).

## Does LUF hold?

The steps are the length of the shortest schedule. I1: a frame is used through a translation from before its new owner; I2: a store after the kernel has sampled the
frame; I3w, I3s: an old value after a write has completed, or after the new one was read; I4: a right that was withdrawn; P: deadlock.

${table(
  ['row', 'what is changed', 'violated', 'states'],
  variants.map((variant) => {
    const result = results.get(variant.id);
    return [
      variant.id,
      variant.summary,
      broken(result),
      `${result.exploration.limit === null ? '' : 'first '}${result.exploration.states.toLocaleString('en')}`,
    ];
  }),
)}

## Does the debug mode work for what we want?

${misses.length === 0 ? 'Yes.' : 'No.'} Of the ${breaking.length} variants that break something it warns in time on ${catches.length} (${list(catches.map(({ id }) => id))}) and misses ${misses.length}:
a schedule breaks the invariant with no WARN before it. On ${cries.length} it cries wolf: a WARN fires, and nothing is violated on any continuation. The last column is what was
expected from reading the code; where it says nothing, it was not asked. On a variant that breaks something a WARN is false, too, when the TLB has dropped the entry by itself by then; where LUF holds there
is no such excuse: ${list(cries.filter(({ id }) => !seed.get(id).breaks).map(({ id }) => id))}.

${table(
  ['row', 'violated', 'the debug mode', 'expected'],
  listened.map((variant) => [variant.id, broken(results.get(variant.id)), verdict(seed.get(variant.id)), said(variant)]),
)}

${luf.variants
  .filter((variant) => of(results.get(variant.id), 'seed.lists')?.verdict === 'violated')
  .map(({ id }) => id)
  .join(', ')}: step 1 adds a node to a list while it is in one, which corrupts the list.

### What it misses

${misses.map((variant) => schedule(variant, seed.get(variant.id).complete, variant.summary)).join('\n\n')}

### What it cries wolf about

${cries.map((variant) => schedule(variant, seed.get(variant.id).sound, variant.summary)).join('\n\n')}

## The smallest change that closes each gap

${table(
  ['change', 'says'],
  Object.entries(lufDebugChanges).map(([name, { says }]) => [`\`${name}\``, says]),
)}

Each was tried: the variant explored with the debug mode so changed (\`--param debug=seed+check-alloc\`). Where two are named, neither does alone.

${table(['row', 'change', 'outcome', 'false alarms with it'], closing)}

### All changes at once

${table(['row', 'the debug mode with all changes'], all)}

## The reviewer's two rules

H1: a LUF'd PTE cannot be rewritten until after a flush. H2: a LUF'd page's position in the page cache cannot be replaced until after a flush. Read literally, and with an exemption for
read-only ptes and pages with the same bytes.

${table(['row', 'H1 and H2, literally', 'with the exemption'], rules)}
`;
}
