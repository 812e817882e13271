import { unpinUserPageRange } from '../../machines/paths/unpin-user-page-range.js';
import { compoundPageScenario } from '../scenarios/compound-page.js';
import { type CompoundPageSetup, compoundPageSystem, compoundReference, type Work } from '../scenarios/compound-page-system.js';
import { type Family, must } from './family.js';
import { flag, list, orNull, record, whole, word } from './json-schema.js';

const unpinning = { [unpinUserPageRange.id]: unpinUserPageRange };
type Said = Pick<CompoundPageSetup, 'pins'> & Partial<Omit<CompoundPageSetup, 'unpin'>> & { unpin?: string | null };

const works: Record<Work, null> = { munmap: null, truncate: null, split: null, share: null, init: null, initF1: null, publish: null, memunmap: null };
const mostPages = 16;

export const compoundPage: Family<Said> = {
  scenario: compoundPageScenario,
  fields: {
    'flush?': word('flush', ['ipi', 'broadcast'], 'how remote TLBs are flushed; default: ipi'),
    'subpages?': word('size', [4, 8], 'pages of each of the two folios; default: 4'),
    'memory?': word(
      'memory',
      ['compound', 'base', 'anonymous'],
      'of a device, each folio a compound or base pages each for itself; or anonymous; default: compound',
    ),
    'devmap?': flag('up to 6.16: leaves carry the devmap bit, the pagemap is taken first, and an idle page has a count of 1; default: false'),
    'mapped?': word('mapping', ['leaf', 'ptes', 'none'], 'how they are mapped at first: each folio by a huge leaf, page by page, or not at all; default: leaf'),
    'tails?': word(
      'place',
      ['own', 'shared', 'crossed'],
      'where tail struct pages are: each in its place; of one folio in the same frame; of both folios; default: own',
    ),
    'heads?': word('link', ['pointer', 'mask'], 'what a tail holds; default: pointer'),
    'content?': word('content', ['initialised', 'poison', 'boot'], 'what the struct pages hold at first; default: initialised'),
    pins: orNull(
      list(whole(0, mostPages - 1), {
        description: 'pages that CPU 0 pins, those of the second folio after those of the first; null: nobody pins',
        minItems: 1,
        uniqueItems: true,
      }),
    ),
    'pin?': flag('FOLL_PIN instead of FOLL_GET; default: true'),
    'work?': list(word('work', Object.keys(works)), {
      description: 'what CPU 1 does, with the first folio where it does not say otherwise',
      maxItems: 3,
      uniqueItems: true,
    }),
    'base?': record(
      'count',
      { taken: whole(0, mostPages), put: whole(0, mostPages) },
      'references of the pagemap that were taken when it was made, and that removal puts; default: 2 and 2',
    ),
    'unpin?': word('machine', [...Object.keys(unpinning), null], 'how pins are given back; null: page by page'),
  },
  refuse: (said) => {
    const { subpages, pins, work, memory, devmap, tails, content, mapped } = { ...compoundReference, ...said };
    for (const [at, pin] of (pins ?? []).entries())
      must(pin < 2 * subpages, ['pins', at], `there is no page ${pin}: two folios of ${subpages} pages have 0 to ${2 * subpages - 1}`);
    must(pins !== null || work.length > 0, ['pins'], "nobody pins and CPU 1 has no work: give it 'work'");
    must(!devmap || memory !== 'anonymous', ['devmap'], "anonymous memory is no device's, so its ptes carry no devmap bit");
    must(tails === 'own' || memory !== 'anonymous', ['tails'], 'only struct pages of a device share frames here');
    must(
      content === 'initialised' || mapped === 'none',
      ['content'],
      "pages are mapped after their struct pages are initialised; with 'mapped' none, 'work' can map them before",
    );
    must(mapped === 'none' || !work.includes('publish'), ['work'], "publish maps what is not mapped: 'mapped' none");
  },
  system: (id, { unpin = unpinUserPageRange.id, ...said }) =>
    compoundPageSystem(id, { ...compoundReference, ...said, unpin: unpin === null ? null : (unpinning[unpin] as CompoundPageSetup['unpin']) }),
};
