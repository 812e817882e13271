// The tables of docs/vmemmap.md: what touches which struct page first, which rule is right where, and what comes of what is left out. All is computed but the words.

import { architectures } from '../dist/esm/src/index.js';
import { vmemmapPredicates, vmemmapReference } from '../dist/esm/src/scenarios/index.js';
import { accesses, leftOutRows, list, run, scenarioOf, table, touches, touchOf, violations } from './struct-pages.mjs';

/** Where in a struct page a store begins. Its units are words: the last is word 7 in a struct page of 64 bytes. A load says nothing of that. */
function beginOf({ event, offset }) {
  const { structPage } = vmemmapReference.config;
  if (!['page.init', 'page.poison'].includes(event)) return '';
  if (offset !== 0 && offset !== structPage - 1) throw new Error(`a store at ${offset} of ${structPage} begins neither at the first word nor at the last`);
  return offset === 0 ? ', from the first word on' : ', from the last word on';
}

const placeOf = ({ pfn }) => {
  const { nr } = vmemmapReference.config;
  const at = pfn % nr;
  return `pfn ${pfn}: ${at === 0 ? 'head' : `tail ${at}`} of compound ${Math.floor(pfn / nr)}`;
};

async function touchRows() {
  const { config, nr } = vmemmapReference;
  const pages = (nr * config.structPage) / config.page;
  const rows = [];
  for (const [id, what] of [
    ['E1', 'hash MMU, generic code populates'],
    ['E11', 'x86, a top-level entry in init_mm only'],
    ['E3', 'populated in full, initialised as if shared'],
  ]) {
    for (const debug of [0, 1]) {
      const result = await run('vmemmap', id, { debug_vm: debug });
      const touch = touchOf(result.properties.find(({ name }) => name === 'I9'));
      rows.push([
        `${id}: ${what}`,
        debug === 1 ? 'yes' : 'no',
        `${touch.length} steps`,
        `\`${touch.who}\`, at \`${touch.where}\``,
        placeOf(touch),
        `${accesses[touch.event]}${beginOf(touch)}`,
        touches[touch.state],
        `${touch.inInitMm} of ${pages}`,
        `${touch.found} of ${pages}`,
      ]);
    }
  }
  return rows;
}

/** What those who ask whether there is a struct page were told, at the moment when one is touched that is not there or not written. */
async function askedRows() {
  const rows = [];
  for (const id of ['E12', 'E12.pagemap', 'E12.memory_failure', 'E12.add', 'E12.early']) {
    const result = await run('vmemmap', id);
    const property = result.properties.find(({ name }) => name === 'I9');
    const touch = touchOf(property);
    const { live, system } = property.counterexample.replay;
    const { present, online } = live.snapshot('section0').context;
    const device = system.actors.some(({ address }) => address === 'pgmap');
    const found = device && live.snapshot('pgmap').value === 'registered' && !live.snapshot('ref').context.dead;
    rows.push([
      id,
      result.subject.case.variant.summary,
      `${touch.length} steps`,
      present ? 'yes' : 'no',
      device ? (found ? 'yes' : 'no') : 'none',
      online ? 'yes' : 'no',
      touches[touch.state],
    ]);
  }
  return rows;
}

/** The address of the oops on POWER9, taken apart. */
function oops() {
  const [address, base, size] = [0xc00c000100400038n, 0xc00c000000000000n, 64n];
  const hex = (value) => `0x${value.toString(16)}`;
  const pfn = (address - base) / size;
  const byte = (address - base) % size;
  const aligned = pfn & -pfn;
  const line = (sum, means) => `${sum.padEnd(44)}${means}`;
  return [
    '```',
    line(`${hex(address)} = ${hex(base)}`, 'where the vmemmap begins'),
    line(`                   + ${hex(pfn)} * ${size}`, `struct pages before that of pfn ${hex(pfn)}`),
    line(`                   + ${hex(byte)}`, `word ${byte / 8n} of ${size / 8n}, counted from 0`),
    '```',
    '',
    `Pfn ${hex(pfn)} is a multiple of ${hex(aligned)}. So it is the first page of a compound for any alignment of the device up to ${(aligned * 65536n) / 2n ** 30n}G with pages of 64K, and its struct page is a head.`,
  ].join('\n');
}

// Which rule is right where

/** What a rule gives up, or gets wrong. */
const gives = {
  unaware: 'It gives up nothing, and asks nobody. Where the MMU does not look at what generic code fills, no struct page is mapped.',
  shift0:
    'It gives up the compounds themselves where the symbol is not selected: one reference count a page again, though tables and sharing have nothing to do with that.',
  rework:
    'It gives up sharing where the draft does not select the symbol, but keeps compounds. Populating and initialising still ask two questions, which agree here.',
  enabled:
    'To populate it asks the symbol alone. It gives up what was asked besides: the altmap, the size of a struct page, and whether there is a pagemap at all.',
  merged:
    'It gives up sharing where hugetlb does not want it, for reasons of its own. It does not ask either whether a compound has more than two pages of the vmemmap.',
  override: 'It gives up sharing only where an architecture has not asked for it.',
};

/** A touch with which it goes wrong, in few words. */
const wrongly = { page_fault: 'faults', foreign_memory: 'writes to the first frame', fields_mixed: 'mixes fields of several' };

const shared = 'shares';
const plain = 'right, nothing shared';
const single = 'right, no compounds';

/** What becomes of the struct pages, in words. */
function verdict(result) {
  const broken = violations(result).map(({ name }) => name);
  const is = (...names) => broken.length === names.length && names.every((name) => broken.includes(name));
  const property = (wanted) => result.properties.find(({ name }) => name === wanted);
  if (is()) return property('sharing') ? shared : 'right';
  if (is('sharing')) return plain;
  if (is('compounds', 'sharing')) return single;
  if (broken.includes('I9')) {
    const touch = touchOf(property('I9'));
    return `**${wrongly[touch.state]}**: struct page ${touch.pfn}, \`${touch.where}\``;
  }
  if (is('I9.head')) return '**wrong head**: tails are written over struct pages in use behind the device';
  if (is('I10', 'altmap')) return '**frames given back to the wrong owner**: RAM to the altmap';
  if (is('BUG') && result.properties.find(({ name }) => name === 'BUG').counterexample.message.includes('NULL')) return '**NULL pointer**: there is no pagemap';
  throw new Error(`${result.subject.id}: there are no words for ${list(broken)}`);
}

const isRight = (text) => !text.startsWith('**');

/** Verdicts by rule, by architecture or special case. */
async function verdicts() {
  const found = new Map();
  const { variants } = scenarioOf('vmemmap-predicates');
  for (const { id: rule } of vmemmapPredicates) found.set(rule, new Map());
  for (const { id, row: rule } of variants) found.get(rule).set(id.slice(rule.length + 1), verdict(await run('vmemmap-predicates', id)));
  return found;
}

const titles = {
  small: 'compounds that fill half a page of the vmemmap, memory in use behind them',
  altmap: 'an altmap',
  odd: 'a struct page whose size is no power of two',
  system: 'memory of the system, which has no pagemap',
};

const isDevice63 = ({ zoneDevice }) => zoneDevice.includes('6.3');

function matrix(found, keys, title, head) {
  return table(
    [head, ...vmemmapPredicates.map(({ id }) => id)],
    keys.map((key) => [title(key), ...vmemmapPredicates.map(({ id }) => found.get(id).get(key))]),
  );
}

function ruleRows(found) {
  const at = (rule, wanted) => architectures.filter(({ id }) => wanted(found.get(rule).get(id))).map(({ id, ...rest }) => (isDevice63(rest) ? id : `${id}*`));
  return vmemmapPredicates.map(({ id, title, source }) => {
    if (!gives[id]) throw new Error(`there are no words for the rule ${id}`);
    const wrong = Object.keys(titles).filter((special) => !isRight(found.get(id).get(special)));
    return [
      `**${id}**: ${title}`,
      source,
      list(at(id, (text) => text === shared)),
      list(at(id, (text) => text === plain)),
      list(at(id, (text) => text === single)),
      list([...at(id, (text) => !isRight(text)), ...wrong.map((special) => `"${special}"`)]),
      gives[id],
    ];
  });
}

/** Says which rules are right everywhere, and what the merged fix cost where there was a device to lose anything. */
function conclusion(found) {
  const right = vmemmapPredicates.filter(({ id }) => [...found.get(id).values()].every(isRight)).map(({ id }) => `**${id}**`);
  if (right.length !== 1) throw new Error(`right everywhere: ${list(right)}; the text says it of one`);
  const lost = architectures.filter((each) => isDevice63(each) && found.get('unaware').get(each.id) === shared && found.get('merged').get(each.id) === plain);
  const crashed = architectures.filter((each) => isDevice63(each) && !isRight(found.get('unaware').get(each.id)));
  const mended = crashed.every(({ id }) => isRight(found.get('merged').get(id)));
  return `Only ${right[0]} is right everywhere. Of the architectures that could have ZONE_DEVICE in 6.3, **unaware** goes wrong on ${list(crashed.map(({ id }) => id))}${mended ? ', which **merged** puts right' : ''}; and with **merged** sharing is lost, where it had worked, on ${list(lost.map(({ id }) => id))}.`;
}

/** With whom a variant is compared. */
const partners = {
  'E0.hash': 'E0',
  'E0.odd': 'E0',
  E1: 'E0.hash',
  E2: 'E0.hash',
  E3: 'E0.used',
  'E3.early': 'E3.asks',
  'E3.asks': 'E0.used',
  'E4.readonly': 'E4',
  E5: 'E0.small',
  'E5.end': 'E0.small',
  E6: 'E0.altmap',
  'E6.x86': 'E0.altmap',
  E7: 'E0.odd',
  E8: 'E0',
  E10: 'E10.device',
  'E10.online': 'E10.locked',
  'E10.order': 'E10.device',
  'E10.flush': 'E10.order',
  E11: 'E0.top-level',
  'E11.arch': 'E0.top-level',
  E12: 'E12.online',
  'E12.pagemap': 'E12.online',
  'E12.memory_failure': 'E12.online',
  'E12.add': 'E12.added',
  'E12.early': 'E12.added',
  E13: 'E13.kept',
  E15: 'E15.order',
};
/** What stands between the markers of docs/vmemmap.md, by their names. */
export async function vmemmapTables() {
  const found = await verdicts();
  const columns = ['variant', 'DEBUG_VM', 'in', 'who', 'struct page', 'touch', 'which is', 'pages of the vmemmap mapped in init_mm', 'where this CPU looks'];
  const star = ({ id, title, ...rest }) => `${title} (${id})${isDevice63({ ...rest }) ? '' : '*'}`;
  return {
    'first-touch': table(columns, await touchRows()),
    oops: oops(),
    matrix: matrix(
      found,
      architectures.map(({ id }) => id),
      (key) => star(architectures.find(({ id }) => id === key)),
      'architecture',
    ),
    'special-cases': matrix(found, Object.keys(titles), (key) => `${titles[key]} ("${key}")`, 'memory'),
    rules: table(['rule', 'from', 'shares on', 'right, nothing shared', 'right, no compounds', 'goes wrong on', 'what it gives up'], ruleRows(found)),
    conclusion: conclusion(found),
    asked: table(['variant', 'what it is', 'in', 'pfn_valid', 'get_dev_pagemap', 'pfn_to_online_page', 'the struct page is'], await askedRows()),
    'in-and-out': table(
      ['variant', 'what is left out, or done otherwise', 'what breaks', 'in', 'not gained', 'with whom it is compared'],
      await leftOutRows('vmemmap', partners),
    ),
  };
}
