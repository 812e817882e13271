import { tlbShootdownScenario } from '../scenarios/tlb-shootdown.js';
import { type Call, shootdownReference, type Thread, type TlbShootdownSetup, tlbShootdownSystem } from '../scenarios/tlb-shootdown-system.js';
import { eachCall, type Family, must } from './family.js';
import { calls, flag, list, record, whole, word } from './json-schema.js';

type Said = Pick<TlbShootdownSetup, 'threads'> & Partial<TlbShootdownSetup>;

const mostPages = 4;
const page = whole(0, mostPages - 1, 'of the range, from 0');

const call = calls<Call['do']>({
  store: { page },
  gup: {},
  switch: { next: word('address space', ['mm', 'init_mm', 'kthread'], 'what the CPU runs next') },
  munmap: {},
  madvise: { 'pages?': list(page, { description: 'default: all', minItems: 1, uniqueItems: true }) },
  mremap: {},
  truncate: {},
});

/** Who has another address space loaded has to come back before a call of the process. */
function refuseElsewhere({ threads }: Said): void {
  for (const [n, { program, switchedAway = false }] of threads.entries()) {
    let here = !switchedAway;
    for (const [at, call] of program.entries()) {
      if (call.do === 'switch') here = call.next === 'mm';
      else
        must(
          here,
          ['threads', n, 'program', at, 'do'],
          `CPU ${n} does not have the address space loaded here; put { do: switch, next: mm } before '${call.do}'`,
        );
    }
  }
}

export const tlbShootdown: Family<Said> = {
  scenario: tlbShootdownScenario,
  fields: {
    threads: list(
      record('thread', { program: list(call), 'switchedAway?': flag('the CPU has another address space loaded at first, and entries of this one in its TLB') }),
      { description: 'of one process; CPU n runs thread n', minItems: 1, maxItems: 6 },
    ),
    'flush?': word('flush', ['ipi', 'broadcast'], 'how remote TLBs are flushed; default: ipi'),
    'pages?': whole(1, mostPages, 'of the range; default: 1'),
    'backing?': word('backing', ['anonymous', 'file', 'pfnmap'], 'what the pages belong to; default: anonymous'),
    'tables?': word('way', ['kept', 'rcu', 'sync', 'direct'], 'how munmap frees the page table; default: kept, since others use it'),
    'batchSize?': whole(1, mostPages, 'pages that a batch of the gather takes'),
    'asksDontneed?': flag('adds the property DONTNEED: after madvise has returned no translation of before is left'),
  },
  refuse: (said) => {
    const { pages = 1, backing = 'anonymous' } = said;
    eachCall<Call, Thread>(said.threads, (call, path) => {
      const named = call.do === 'store' ? [call.page] : call.do === 'madvise' ? (call.pages ?? []) : [];
      for (const [at, one] of named.entries())
        must(one < pages, [...path, ...(call.do === 'store' ? ['page'] : ['pages', at])], `there is no page ${one}: 'pages' is ${pages}, counted from 0`);
      must(call.do !== 'truncate' || backing !== 'anonymous', [...path, 'do'], "truncate needs a file: 'backing' file or pfnmap");
    });
    refuseElsewhere(said);
  },
  system: (id, said) => tlbShootdownSystem(id, { ...shootdownReference, ...said }),
};
