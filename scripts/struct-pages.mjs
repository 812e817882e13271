// What the tables of docs/vmemmap.md and docs/compound-pages.md have in common: what touches a struct page last, and what comes of what is left out.

import { check, subjectOf } from '../dist/esm/src/check/check.js';
import { lengthText } from '../dist/esm/src/format/lasso.js';
import { build, scenarios } from '../dist/esm/src/scenarios/index.js';

const row = (...cells) => `| ${cells.join(' | ')} |`;
export const table = (head, rows) => [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');
const number = (count) => count.toLocaleString('en');
export const list = (items) => (items.length > 0 ? items.join(', ') : 'nowhere');
export const scenarioOf = (wanted) => scenarios.find(({ id }) => id === wanted);
const caseOf = (scenario, id, parameters) => {
  const variant = scenarioOf(scenario).variants.find((each) => each.id === id);
  if (!variant) throw new Error(`there is no ${scenario}/${id}`);
  return build(scenarioOf(scenario), variant, parameters);
};
/** Results by what was asked: several tables tell of the same. */
const known = new Map();
export function run(scenario, id, parameters = {}, options = {}) {
  const key = JSON.stringify([scenario, id, parameters, options]);
  if (!known.has(key)) known.set(key, check(subjectOf(caseOf(scenario, id, parameters)), options));
  return known.get(key);
}

const steps = ({ counterexample: { length, lasso } }) => lengthText(length, lasso);
const holds = (result) => `holds, ${number(result.exploration.states)} states`;
/** Who waits for an actor that a BUG has stopped waits for ever: such a deadlock says nothing new. */
export const violations = ({ properties }) =>
  properties.filter(({ counterexample, name, expected }) => counterexample && (name !== 'I11' || expected === 'violated' || expected === 'holds'));
export const outcome = (result) =>
  violations(result)
    .map((property) => `${property.name} in ${steps(property)}`)
    .join(', ') || holds(result);

// What was touched

/** States in which the struct page that is touched is not what it should be, in words. */
export const touches = {
  page_fault: 'not mapped where this CPU looks',
  foreign_memory: 'mapped by an entry of zeros, to the first frame of memory',
  write_fault: 'mapped read-only',
  fields_mixed: 'in a frame that was laid out for another place: fields of several mix',
  uninitialised_struct_page: 'not written yet',
};

/** What was done, by the message. */
export const accesses = {
  'page.init': 'the store that zeroes it',
  'page.poison': 'the memset of poison',
  'page.prep_tail': 'the store that makes it a tail',
  'page.head': 'the load of its head',
  'page.read': 'the load of its reference count',
};

/** The touch with which a counterexample ends: who, in which state, of which struct page, and what was mapped at that moment. */
export function touchOf({ counterexample: { replay, length } }) {
  const { live, system } = replay;
  const last = replay.steps.at(-1);
  const { value, context } = live.snapshot('vmemmap');
  const sent = last.messages.find(({ to, event }) => to === 'vmemmap' && event.type === 'vmemmap.access')?.event;
  const fault = context.fault ?? { pfn: sent.pfn, by: sent.from, event: sent.event.type, offset: sent.event.offset ?? 0 };
  const state = context.fault ? value : last.changed.map(({ after }) => after.value).find((after) => after in touches);
  if (!(state in touches && fault.event in accesses)) throw new Error(`${system.id}: there are no words for ${state}, ${fault.event}`);
  const by = last.changed.find(({ actor }) => actor.address === fault.by)?.before ?? live.snapshot(fault.by);
  const { logic } = system.actors.find(({ address }) => address === fault.by);
  return { ...fault, length, state, who: logic.id, where: String(by.value), ...mappedIn(context, fault.by) };
}

/** Pages of the vmemmap that are mapped: in tables of init_mm, and where the CPU of who touched it looks. */
function mappedIn({ translation, ptes, bolted, slot, slots, threads }, by) {
  const { mm } = threads[by.split('.')[0]];
  const inTables = Object.keys(ptes).map(Number);
  const found = { init_mm: inTables, hash: Object.keys(bolted), 'top-level': inTables.filter((vpage) => slots[mm]?.includes(Math.floor(vpage / slot))) };
  return { inInitMm: inTables.length, found: found[translation].length };
}

// What comes of what is left out

/** What is violated, in words. */
const broken = {
  I3: 'a struct page is read in a frame that was freed',
  I5: 'a page is pinned, but the pin is not in its folio, or the folio is shared all the same',
  I6: 'a reference count goes below zero',
  I9: 'the struct page of one page counts for another',
  'I9.write': 'a struct page is written through a read-only mapping',
  'I9.head': 'a struct page names a wrong head',
  I10: 'a frame is freed while ptes still lead to it',
  I11: 'somebody waits for ever',
  I12: 'a block is given back to the filesystem while its page is pinned',
};
/** What is not gained, though nothing breaks. */
const gains = { compounds: 'compounds', sharing: 'shared tails', altmap: 'memory of the altmap' };

/** What breaks, in words; of a struct page that is touched, which, and by whom. */
function broke(scenario, property) {
  if (!broken[property.name]) throw new Error(`there are no words for a violated ${property.name}`);
  const bugs = property.counterexample.replay.live.bugs().map(({ key }) => key);
  if (bugs.includes('altmap_underflow')) return 'frames of RAM are given back to the altmap, more than it has handed out (I10)';
  if (scenario === 'vmemmap' && property.name === 'I9') {
    const touch = touchOf(property);
    return `a struct page is touched that is ${touches[touch.state]}: of pfn ${touch.pfn}, by \`${touch.who}\` at \`${touch.where}\` (I9)`;
  }
  if (bugs.includes('uninitialised_struct_page')) return `a struct page is touched that is ${touches.uninitialised_struct_page} (I9)`;
  return `${broken[property.name]} (${property.name})`;
}

const isGain = ({ name }) => name in gains;

/** How the partner comes out, in which what the variant violates holds, or which has what the variant does not gain. */
async function partnerText(scenario, properties, partner) {
  const [id, parameters = {}] = [partner].flat();
  const result = await run(scenario, id, parameters, { all: true });
  const better = properties.filter(({ name }) => result.properties.find((property) => property.name === name)?.verdict === 'holds').map(({ name }) => name);
  const lacks = properties.filter((property) => !isGain(property) && !better.includes(property.name));
  if (lacks.length > 0 || better.length === 0) throw new Error(`${scenario}/${id} is no better than what is compared with it`);
  const named = [id, ...Object.values(parameters)].join(', ');
  const states = `${number(result.exploration.states)} states`;
  const won = better.filter((name) => name in gains).map((name) => gains[name]);
  const whole = violations(result).every(isGain);
  return `${named}: ${whole ? '' : `${better.join(', ')} `}holds, ${states}${won.length > 0 ? `; has ${won.join(', ')}` : ''}`;
}

/** A row of each variant that violates anything. */
export async function leftOutRows(scenario, partners) {
  const rows = [];
  for (const { id, summary } of scenarioOf(scenario).variants) {
    const result = await run(scenario, id);
    const violated = violations(result);
    if (violated.length === 0) continue;
    const breaks = violated.filter((property) => !isGain(property));
    const expected = violated.filter((property) => property.expected === 'violated');
    if (!partners[id]) throw new Error(`${scenario}/${id} has nobody to be compared with`);
    rows.push([
      id,
      summary,
      breaks.map((property) => broke(scenario, property)).join('; ') || 'nothing',
      breaks.map(steps).join('; ') || holds(result),
      ...(scenario === 'vmemmap'
        ? [
            violated
              .filter(isGain)
              .map(({ name }) => gains[name])
              .join(', '),
          ]
        : []),
      await partnerText(scenario, expected, partners[id]),
    ]);
  }
  return rows;
}
