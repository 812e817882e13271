// The tables of docs/compound-pages.md: what comes of what is left out, and where the kind of flush decides. All is computed but the words.

import { check } from '../dist/esm/src/check/check.js';
import { LiveSystem } from '../dist/esm/src/index.js';
import { compoundPageSystem, compoundReference } from '../dist/esm/src/scenarios/index.js';
import { leftOutRows, outcome, run, table } from './struct-pages.mjs';

/** With whom a variant is compared; with parameters, where that variant takes them. */
const partners = {
  D1: 'D0.pages',
  D2: 'D0',
  D3: 'D0',
  'D4.broadcast': ['D4.again', { flush: 'broadcast' }],
  D5: 'D5.pages',
  D6: 'D6.head',
  'D7.pointer': 'D7.mask',
  'D8.poison': 'D8.init',
  'D8.boot': 'D8.init',
  'D9.broadcast': ['D9.before', { flush: 'broadcast' }],
  'D9.deferred': 'D9.before',
  'D10.smaller': 'D10.same',
  'D10.larger': 'D10.same',
  D11: 'D0',
};

const tried = async (changes) => check(compoundPageSystem('compound-page', { ...compoundReference, ...changes }));
const range = (length) => Array.from({ length }, (_, index) => index);

/** How often CPU 0 changes a reference count, of how many struct pages, when it pins the pages of a folio and gives them back with nobody in its way. */
function references(changes) {
  const live = new LiveSystem(compoundPageSystem('compound-page', { ...compoundReference, ...changes }));
  const counts = [];
  for (;;) {
    const choice = live.enabled().find(({ actor, fair }) => fair && actor.lane.startsWith('CPU 0'));
    if (!choice) break;
    const { messages } = live.take(choice);
    counts.push(...messages.filter(({ to, event }) => /^page\d+$/.test(to) && ['folio.try_get', 'folio.put'].includes(event.type)));
  }
  if (live.snapshot('io').value !== 'done') throw new Error(`CPU 0 stops at ${String(live.snapshot('io').value)}`);
  live.stop();
  return `${counts.length}, of ${new Set(counts.map(({ to }) => to)).size} struct page${new Set(counts.map(({ to }) => to)).size === 1 ? '' : 's'}`;
}

function referenceRows() {
  const base = { memory: 'base', devmap: true };
  return [
    ['up to 6.16: a devmap leaf, page by page; given back page by page', { ...base, unpin: null }],
    ['since 6.17: a leaf of a compound, at once; given back page by page', { unpin: null }],
    ['since 6.17: a leaf of a compound, at once; given back as a range', {}],
  ].map(([what, changes]) => [what, ...[4, 8].map((subpages) => references({ ...changes, subpages, pins: range(subpages) }))]);
}

async function flushRows() {
  const migrated = { memory: 'anonymous', pins: range(compoundReference.subpages), work: ['share'] };
  const of = async (id, parameters) => outcome(await run('compound-page', id, parameters));
  const both = (id) => Promise.all(['ipi', 'broadcast'].map((flush) => of(id, { flush })));
  return [
    ['the head is not looked up again; the folio is split (D4)', await of('D4.ipi'), await of('D4.broadcast'), 'not modelled'],
    ['the head is looked up again (D4.again)', ...(await both('D4.again')), 'not modelled'],
    ['pinned after the last look at the leaf; migration (D9)', await of('D9.ipi'), await of('D9.broadcast'), await of('D9.deferred')],
    [
      'pinned before the last look',
      outcome(await tried({ ...migrated, flush: 'ipi' })),
      outcome(await tried({ ...migrated, flush: 'broadcast' })),
      await of('D9.before'),
    ],
  ];
}

/** What stands between the markers of docs/compound-pages.md, by their names. */
export async function compoundTables() {
  return {
    references: table(['pinning a folio of', '4 pages', '8 pages'], referenceRows()),
    variants: table(
      ['variant', 'what is left out, or done otherwise', 'what breaks', 'in', 'with whom it is compared'],
      await leftOutRows('compound-page', partners),
    ),
    flush: table(['', 'IPI, then the look', 'broadcast, then the look', 'the look, then IPI'], await flushRows()),
  };
}
