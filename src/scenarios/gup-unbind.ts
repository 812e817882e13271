import { daxFault } from '../../machines/paths/dax-fault.js';
import { gupFast } from '../../machines/paths/gup-fast.js';
import { memunmapPages510 } from '../../machines/paths/memunmap-pages.js';
import { putPage } from '../../machines/paths/put-page.js';
import { truncate } from '../../machines/paths/truncate.js';
import { unbind, unbindDevdax, unbindWithoutUnmap } from '../../machines/paths/unbind.js';
import { type GupUnbindSetup, gupUnbindSystem, reference } from './gup-unbind-system.js';
import type { Parameters, Scenario, Variant } from './scenario.js';

type Changes = Partial<GupUnbindSetup>;

/** fsdax up to 5.17: page pins hold pgmap.ref, nothing is unmapped at unbind; gup uses FOLL_GET. */
const fsdax517: Changes = { base: 1, pinsHoldPagemap: true, pin: false, unbind: unbindWithoutUnmap, memunmap: memunmapPages510 };
/** The same with threads in gup-fast that never end. */
const looping: Changes = { ...fsdax517, loops: true };
/** devdax up to 5.17: the same, after faults are blocked and mappings zapped. */
const devdax517: Changes = { ...fsdax517, unbind: unbindDevdax };
/** Truncation of a dax file up to 6.14. */
const truncation: Changes = { base: 1, removal: 'truncate' };
/** The protocol that is meant to be safe, with a thread that faults. */
const target: Changes = { user: true };
/** Where the page is not mapped at first, faults run against the unbind; a mapped page is reached too. */
const unmapped: Parameters = { mapped: 0 };

const withoutRecheck = gupFast.provide({ guards: { rechecksAfterGrab: () => false } });
const checkThenGet = gupFast.provide({ guards: { rechecksAfterGrab: () => false, checksBeforeGrab: () => true } });
const putsPagemapEarly = gupFast.provide({ guards: { holdsPagemapUntilGrab: () => false } });

const safe = { I1: 'holds', I2: 'holds', I6: 'holds', I11: 'holds' } as const;
const safeTruncation = { I1: 'holds', I6: 'holds', I11: 'holds', I12: 'holds' } as const;

function variant(id: string, summary: string, expected: Variant['expected'], changes: Changes, defaults: Parameters = {}): Variant {
  const row = id.split('.')[0] as string;
  const violated = Object.values(expected).includes('violated');
  const given = (name: 'flush' | 'ref' | 'gups'): Parameters => (changes[name] === undefined ? {} : { [name]: changes[name] });
  return {
    id,
    row,
    summary,
    source: `domain table 2.A, row ${row}`,
    expected,
    // What a row is about, and what its era implies, cannot be set from outside; nor, for one that breaks, where it starts.
    fixed: {
      ...given('flush'),
      ...given('ref'),
      ...given('gups'),
      base: changes.base ?? reference.base,
      ...(violated ? { mapped: changes.mapped === false ? 0 : 1 } : {}),
    },
    defaults,
    system: ({ flush, ref, mapped, gups }: Parameters) =>
      gupUnbindSystem(`gup-unbind/${id}`, {
        ...reference,
        ...changes,
        flush: flush as GupUnbindSetup['flush'],
        ref: ref as GupUnbindSetup['ref'],
        mapped: mapped === 1,
        gups: Number(gups),
      }),
  };
}

/** Rows A0 to A13. */
export const gupUnbindScenario: Scenario = {
  id: 'gup-unbind',
  title: 'get_user_pages_fast against dax device removal and truncation',
  question: 'Can gup-fast outlive the device whose page it takes?',
  parameters: {
    flush: { description: 'how remote TLBs are flushed', default: 'ipi', values: ['ipi', 'broadcast'] },
    base: { description: 'reference count of an idle page: 1 up to 6.14, 0 since 6.15', default: 0, min: 0, max: 1 },
    ref: { description: 'mode in which pgmap.ref begins; killing one in atomic mode implies no grace period', default: 'percpu', values: ['percpu', 'atomic'] },
    mapped: { description: '1: the page is mapped at first; 0: a fault maps it', default: 1, min: 0, max: 1 },
    gups: { description: 'threads in gup-fast', default: 1, min: 0, max: 2 },
  },
  variants: [
    variant(
      'A0',
      'reference up to 5.17, fsdax: the pagemap is taken first, pins hold it, nothing is unmapped',
      { I1: 'holds', I2: 'violated', I6: 'holds', I11: 'holds' },
      fsdax517,
    ),
    variant('A0d', 'reference up to 5.17, devdax: faults blocked, zap, kill, pins are waited for', safe, devdax517),
    variant(
      'A1',
      'no pagemap check in gup-fast, ptes not zapped',
      { I1: 'violated' },
      { ...fsdax517, gupFast: gupFast.provide({ guards: { needsPagemap: () => false } }) },
    ),
    variant(
      'A2',
      'plain tryget instead of tryget_live; two threads that pin the page again and again',
      { I1: 'holds', I2: 'violated', I6: 'holds', I11: 'holds', 'I11.progress': 'violated' },
      { ...looping, tryget: 'tryget', gups: 2 },
    ),
    variant(
      'A2.one',
      'plain tryget; one thread that pins the page again and again',
      { I1: 'holds', I2: 'violated', I6: 'holds', I11: 'holds', 'I11.progress': 'holds' },
      { ...looping, tryget: 'tryget', gups: 1 },
    ),
    variant(
      'A2.live',
      'tryget_live; two threads that pin the page again and again',
      { I1: 'holds', I2: 'violated', I6: 'holds', I11: 'holds', 'I11.progress': 'holds' },
      { ...looping, gups: 2 },
    ),
    variant(
      'A3.broadcast',
      'truncate: the pte is not read again after the reference was taken; broadcast flush',
      { I12: 'violated' },
      { ...truncation, flush: 'broadcast', gupFast: withoutRecheck },
    ),
    variant('A3.ipi', 'truncate: the pte is not read again after the reference was taken; flush by IPI', safeTruncation, {
      ...truncation,
      flush: 'ipi',
      gupFast: withoutRecheck,
    }),
    variant('A3z', 'truncate: the same with idle pages at 0: the try-get fails', safeTruncation, { base: 0, removal: 'truncate', gupFast: withoutRecheck }),
    variant(
      'A4.broadcast',
      'truncate: the pte is read again before the reference is taken; broadcast flush',
      { I12: 'violated' },
      { ...truncation, flush: 'broadcast', gupFast: checkThenGet },
    ),
    variant('A4.ipi', 'truncate: the pte is read again before the reference is taken; flush by IPI', safeTruncation, {
      ...truncation,
      flush: 'ipi',
      gupFast: checkThenGet,
    }),
    variant(
      'A5',
      'undo rolls nr back and forgets the puts',
      { I11: 'violated' },
      { ...fsdax517, pages: 2, gupFast: gupFast.provide({ guards: { undoPutsPages: () => false } }) },
    ),
    variant(
      'A5.puts',
      'undo puts what was gathered before the dying pagemap was met',
      { I1: 'holds', I6: 'holds', I11: 'holds', I2: 'violated' },
      { ...fsdax517, pages: 2 },
    ),
    variant(
      'A6.atomic',
      'put_dev_pagemap before try_grab_folio; the reference is in atomic mode',
      { I1: 'violated' },
      { ...fsdax517, ref: 'atomic', gupFast: putsPagemapEarly },
    ),
    variant(
      'A6.percpu',
      'put_dev_pagemap before try_grab_folio; the reference is in per-CPU mode',
      { I1: 'holds', I2: 'violated', I6: 'holds', I11: 'holds' },
      { ...fsdax517, ref: 'percpu', gupFast: putsPagemapEarly },
    ),
    variant(
      'A7',
      '5.18 and later, devdax: a pin does not hold the pagemap and nobody looks for pins',
      { I1: 'violated', I2: 'violated' },
      { base: 1, unbind: unbindDevdax },
    ),
    variant('A8', 'target: block faults, SRCU, zap, flush, wait until idle, kill with its grace period, remove', safe, target, unmapped),
    variant('A8a.broadcast', 'A8 without a grace period in kill; broadcast flush', { I1: 'violated' }, { ...target, ref: 'atomic', flush: 'broadcast' }),
    variant('A8a.ipi', 'A8 without a grace period in kill; flush by IPI', safe, { ...target, ref: 'atomic', flush: 'ipi' }, unmapped),
    variant(
      'A8b',
      'A8 without blocking faults',
      { I1: 'violated', I2: 'violated' },
      { ...target, fault: daxFault.provide({ guards: { daxAlive: () => true } }) },
    ),
    variant(
      'A8c',
      'A8, the device is marked dead but synchronize_srcu is left out',
      { I1: 'violated', I2: 'violated' },
      { ...target, mapped: false, unbind: unbind.provide({ guards: { waitsForSrcu: () => false } }) },
    ),
    variant(
      'A8d',
      'A8 with the look for idle pages before the zap',
      { I2: 'violated' },
      { ...target, unbind: unbind.provide({ guards: { looksBeforeUnmap: () => true } }) },
    ),
    variant('A9', '6.17 and later, a filesystem without holder callback: no zap and no check in gup', { I1: 'violated' }, { unbind: unbindWithoutUnmap }),
    variant(
      'A9b.ordinary',
      'the same without gup: the mapper exits and its zap finds an ordinary pte',
      { I1: 'violated' },
      { unbind: unbindWithoutUnmap, gups: 0, munmap: true },
    ),
    variant(
      'A9b.devmap',
      'up to 6.16: vm_normal_page gives NULL for a devmap pte',
      { I1: 'holds', I2: 'violated' },
      { base: 1, unbind: unbindWithoutUnmap, gups: 0, munmap: true },
    ),
    variant(
      'A10',
      'truncate skips the scan for busy pages when no VMA maps the file',
      { I12: 'violated' },
      { ...truncation, munmap: true, truncate: truncate.provide({ guards: { scansUnmapped: () => false } }) },
    ),
    variant('A10.scan', 'truncate always scans', safeTruncation, { ...truncation, munmap: true }),
    variant(
      'A11',
      'the wait for the last reference comes after arch_remove_memory',
      { I1: 'violated' },
      { ...devdax517, memunmap: memunmapPages510.provide({ guards: { waitsBeforeRemove: () => false } }) },
    ),
    variant(
      'A12',
      'the put hook drops a pagemap reference that the fast path never took',
      { I6: 'violated' },
      { ...fsdax517, putPage: putPage.provide({ guards: { dropsPagemap: () => true } }) },
    ),
    variant('A13', 'a process unbinds its own device while it holds a long-term pin', { I11: 'violated' }, { ...devdax517, removal: 'self' }),
  ],
};
