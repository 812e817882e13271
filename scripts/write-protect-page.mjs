// docs/write-protect.md: what write protection of pages relies on, which kernels need what, and how long a break can take. Verdicts, steps and states are computed.

import { check, subjectOf } from '../dist/esm/src/check/check.js';
import { lengthText } from '../dist/esm/src/format/lasso.js';
import { longestResponse } from '../dist/esm/src/index.js';
import { build, protection, scenarios, writeProtectSystem } from '../dist/esm/src/scenarios/index.js';
import { protectSafeguards } from '../dist/esm/src/scenarios/write-protect.js';
import { unfolded } from './unfolded.mjs';

const scenario = scenarios.find(({ id }) => id === 'write-protect');
const variantOf = (id) => scenario.variants.find((variant) => variant.id === id);
const row = (...cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(...head), row(...head.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');
const number = (count) => count.toLocaleString('en');

/** What a guard sees to, in words. */
const means = {
  'write_protect_page.countsAfterClear': 'references are counted when the pte is cleared and flushed: from then on gup-fast finds no pte to take the page by',
  'merge_file_pages.isKpageUnreferenced': 'of the page that stays references are counted even where no pte has to be protected: a pin outlives ptes',
  'merge_file_pages.isUnreferenced': 'the same of the page that goes',
  'gup_fast.rechecksAfterGrab': 'gup-fast reads the pte again when it has the reference',
  'copy_page_range.mustCopy': 'fork copies a page that is pinned, instead of sharing it',
  'write_protect_page.flushesAtProtect': 'TLBs are flushed when the pte is protected: from then on no CPU can store',
  'cpu.drainsOnInterrupt': 'an interrupt empties the store buffer before a flush is acknowledged',
  'write_protect_page.heedsPendingFlushes': 'a pte that looks protected is flushed all the same while others have flushes pending',
  'try_to_merge_one_page.comparesAgain': 'the bytes are compared again when nobody can change them any more',
  'merge_file_pages.comparesAgain': 'the same for pages of files',
  'replace_page.testsUnchanged': 'the pte is replaced only if it is as the protection has left it: a fault may have put a copy there',
  'gup_fast.notAccessible': 'gup-fast takes no page to write to by a read-only pte',
  'gup_slow.isReadOnly': 'where the pte is read-only gup has a write fault handled first, which copies',
  'gup_fast.mustUnshare': 'gup-fast takes no page to read that others share: a copy that comes later would not be the pinned page',
  'gup_slow.mustUnshare': 'the slow path has such a page unshared first',
  'write_protect_page.hasBarriers': 'gup-fast must not see the pte come back before it sees that the page is not exclusive any more',
  'disk.reportsByBuffer': 'the buffer_head says which file has lost bytes',
  'break_file_protection.waitsForWriteback': 'writes of the shared page end before its owner gets a copy: his fsync looks at the copy alone',
  'writeback.looksAgain': 'who writes back, and finds the page in another place, looks up the file again: its dirty bytes may be in a copy',
  'generic_perform_write.breaksProtection': 'write(2) copies a page whose bytes others share',
  'break_protection.revokesBeforeWritable': 'copies on other nodes are gone from ptes and TLBs before a pte becomes writable',
  'break_file_protection.unmapsFirst': 'the ptes of the owner are gone before his own page is in the file',
  'replicate_page.copiesAfterProtect': 'the replica is copied when nobody can store any more',
  'break_protection.notifies': 'devices are notified before a CPU may store',
  'break_protection.notifiesBeforeLock': 'devices are notified before the folio is locked: a driver may need that lock',
  'handle_pte_fault.knowsRecord': 'a fault does not take a page whose `page->mapping` is a record for truncated',
  'generic_perform_write.knowsRecord': 'the same in write(2)',
  'truncate_inode_pages.knowsRecord': 'the same in truncate(2)',
  'writeback.knowsRecord': 'the same in writeback',
  'try_to_unmap.knowsRecord': 'the rmap walk of reclaim asks the record who maps the page',
  'stable_page_flags.knowsRecord': '/proc/kpageflags does not take a record for a mapping',
  'write_protect_page.notifies': 'devices are notified before the pte is protected',
};

/** What is so when a property is violated. */
const broken = {
  I3w: 'older data is read after a write has completed',
  I5: 'a CPU stores between load and store of a device',
  I7: 'a page whose bytes are shared changes',
  'I7.lost': 'a completed write is lost',
  I8: 'the address maps another page than the one that is pinned',
  I9: 'copies that can be read differ',
  I11: 'deadlock',
  reclaimed: 'from there on no schedule swaps the page out',
  fsync: 'fsync says that all is well after an error',
  durable: 'fsync has returned, and the bytes are not on the disk',
  BUG: 'the record is used as a mapping',
};

/** The five uses of the mail, with variants that go wrong there. */
const uses = [
  ['1', 'functions of filesystems', ['W9', 'W14', 'W14.write', 'W14.truncate', 'W14.sync']],
  ['2', 'walks to all ptes of a page', ['W14.rmap']],
  ['3', 'the block layer, when I/O fails', ['W8']],
  ['4', 'debugging (procfs)', ['W14.kpageflags']],
  ['5', 'GUP', ['W6', 'W6.slow', 'W6r', 'W6r.slow']],
];

const timed = ['W0', 'W0.again', 'W0.shared', 'W0.file_store', 'W12.notified', 'W16', 'W16.threads'];
/** Whether the store ever retires, where P holds. */
const endless = {
  'W0.stored': 'KSM protects the page again before the CPU comes back to the store',
  'W12.stored': 'the device wants its copy again before the CPU comes back to the store',
};

function inWords(variant, { name }) {
  const says = build(scenario, variant).system.properties.find((property) => property.name === name);
  const words = says.kind === 'eventuality' ? `never: ${says.description}` : broken[name];
  if (!words) throw new Error(`${variant.id}: there are no words for a violated ${name}`);
  return `${words} (${name})`;
}

const violations = ({ properties }) => properties.filter(({ counterexample }) => counterexample);
const held = ({ exploration }) => `holds, ${number(exploration.states)} states`;
const steps = ({ counterexample: { length, lasso } }) => lengthText(length, lasso);

/** A verdict in a cell: what is violated and in how many steps, or of how many states it holds. */
const outcome = (result) =>
  violations(result)
    .map((property) => `${property.name} in ${steps(property)}`)
    .join(', ') || held(result);

/** A variant with something changed that is no parameter of it. */
const tried = ({ id, changes }, more) => check(writeProtectSystem(`write-protect/${id}`, { ...protection, ...changes, ...more }));

function safeguardRow(resultOf, { guard, without, of }) {
  const variant = variantOf(without);
  const violated = violations(resultOf(without));
  const kept = resultOf(of);
  if (!means[guard]) throw new Error(`there are no words for ${guard}`);
  if (violated.length === 0 || violations(kept).length > 0) throw new Error(`${guard} makes no difference between ${of} and ${without}`);
  return [
    `\`${guard}\``,
    means[guard],
    without,
    violated.map((property) => inWords(variant, property)).join('; '),
    violated.map(steps).join('; '),
    `${of}: ${held(kept)}`,
  ];
}

async function kernelRows(resultOf) {
  const sinceWriteLock = ({ program, ...thread }) => ({
    ...thread,
    program: program.map((call) => (call.do === 'clear_refs_5_10' ? { ...call, do: 'clear_refs' } : call)),
  });
  const softDirty = await tried(variantOf('W3'), { threads: variantOf('W3').changes.threads.map(sinceWriteLock) });
  const early = 'references are counted before the flush (W1)';
  const current = '6.12';
  const unheeded = 'pending flushes are not heeded (W3)';
  const unread = 'gup-fast does not read the pte again (W1.recheck)';
  const undrained = 'an interrupt leaves the store buffer as it is (W2.drain)';
  return [
    [early, 'FOLL_GET', current, outcome(resultOf('W1'))],
    [early, 'FOLL_PIN', 'up to 5.18', outcome(resultOf('W1.5.18'))],
    [early, 'FOLL_PIN', 'since 5.19', outcome(resultOf('W1.pin'))],
    [unheeded, 'soft-dirty', 'up to 5.10', outcome(resultOf('W3'))],
    [unheeded, 'soft-dirty', '5.11 to 5.18', outcome(softDirty)],
    [unheeded, 'userfaultfd', 'up to 5.18', outcome(resultOf('W3.uffd'))],
    [unheeded, 'userfaultfd', 'since 5.19', outcome(resultOf('W3.6.12'))],
    [unread, 'flushes by broadcast', current, outcome(resultOf('W1.recheck'))],
    [unread, 'flushes by IPI', current, outcome(await tried(variantOf('W1.recheck'), { flush: 'ipi' }))],
    [undrained, 'x86-TSO, flushes by IPI', current, outcome(resultOf('W2.drain'))],
    [undrained, 'x86-TSO, flushes by broadcast', current, outcome(await tried(variantOf('W2.drain'), { ordering: 'tso', flush: 'broadcast' }))],
  ];
}

async function barrierRows() {
  const orderings = ['sc', 'tso', 'weak'];
  const rows = [];
  for (const [what, id] of [
    ['without barriers', 'W7'],
    ['with barriers', 'W7.barriers'],
  ]) {
    const cells = [];
    for (const ordering of orderings) cells.push(outcome(await tried(variantOf(id), { ordering })));
    rows.push([what, ...cells]);
  }
  return table(['', ...orderings], rows);
}

/** How many steps may come before what an eventuality promises: of the CPU that waits for it, and of all. */
function responseRows(resultOf, id) {
  const { system } = build(scenario, variantOf(id));
  const { states } = resultOf(id).exploration;
  const asked = system.properties.filter(({ kind, name }) => kind === 'eventuality' && (!(id in endless) || name === 'stored'));
  // Threads that do the same and take as long are told of together.
  const lanes = new Map();
  for (const { name, description, actors } of asked) {
    const { lane } = system.actors.find(({ address }) => address === actors[0]);
    const most = (counts) => longestResponse(system, name, ({ actor, fair }) => fair && counts(actor)).steps ?? 'no bound';
    const key = JSON.stringify([description, most((actor) => actor.lane === lane), most(() => true)]);
    lanes.set(key, [...(lanes.get(key) ?? []), lane]);
  }
  return [...lanes].map(([key, all]) => {
    const [description, own, of] = JSON.parse(key);
    return [id, description, all.join(', '), own, of, number(states)];
  });
}

const useRow = (resultOf) => (id, at, what) => {
  const { summary, lacks } = variantOf(id);
  return [at, what, `\`${lacks.guard.split('.')[0]}\``, id, summary, outcome(resultOf(id))];
};

/** The shortest counterexample of a variant, to be unfolded. A result that is on record has none to show. */
async function shortest(id) {
  const variant = variantOf(id);
  const [property] = violations(await check(subjectOf(build(scenario, variant))));
  return unfolded(`${id}: ${variant.summary} (${steps(property)})`, property);
}

/** @param {Awaited<ReturnType<typeof import('./scenario-page.mjs').results>>} known results of all variants, by id. */
export async function writeProtectPage(known) {
  const resultOf = (id) => known.get(`${scenario.id}/${id}`);
  const loops = Object.entries(endless).map(([id, why]) => {
    const property = violations(resultOf(id)).find(({ name }) => name === 'stored');
    if (!property) throw new Error(`${id}: the store retires`);
    return `${id}: ${why}; the run that was found has ${steps(property)}.`;
  });
  return `# Write protection of pages: what it relies on

Written by \`npm run docs\` from what the explorer finds: verdicts, steps and states are computed, and the sentences around them typed.

The mail "Generic page write protection" (Jérôme Glisse, linux-mm, January 2020) wants to write-protect any page as KSM does it with private ones: for deduplication of pages of files,
for copies on each NUMA node that are only read, and for copies in the memory of a device. The protection can be broken at any time *in reasonable time*, so that nobody who has to
write is kept waiting more than necessary. It needs a pointer in \`struct page\`, and the one that KSM uses is \`page->mapping\` in pages of files, which may therefore not be relied on any more
where it is used today, in five ways. Functions of filesystems get the mapping from their callers, walks to all ptes of a page find them as KSM's do, the block layer finds what the filesystem has stored
for it (in the buffer_head), debugging output says that a page is protected, and GUP for writing breaks the protection, while a page that GUP has is not protected. A page that nobody has
protected keeps \`page->mapping\` as it is, so that without the feature nothing can regress.

## What is modelled

- **KSM as in 6.12**: the scan, \`write_protect_page\`, the second comparison, \`replace_page\`, and \`break_ksm\`; beside it stores, gup fast and slow (FOLL_GET, FOLL_PIN), fork, swapping out, MADV_FREE, soft-dirty
  and userfaultfd. What changed in 5.11 and in 5.19 can be taken out.
- **Pages of files** that several files share (\`merge_file_pages\`, \`break_file_protection\`), with write(2), faults, writeback with errors of the disk, fsync, truncate and \`/proc/kpageflags\`.
- **Replicas**: a page table for each of two NUMA nodes, and a copy on the second (\`replicate_page\`). **Copies in the memory of a device**, and write-combining as the proposal has it: the device writes to the page itself, and its
  writes look atomic because no CPU may store there (\`device_copy\`). Both are of private pages, and a store takes them back (\`break_protection\`).

All but the first is a proposal (2018, 2020), and in no kernel: what the machines do there is one way to do it. \`page->mapping\` of a protected page leads to a record of who has a part in it (\`protection_record\`).

**What is not:** the unstable tree is only a hint, which the scan is given; the stable tree is searched in order of insertion, and a page that is stable already stays. All pages are of one size. Two pages of one file are not merged.
Reclaim takes private pages only, those that KSM shares too, but none that files share. There is no i_size: nobody stores to the file that is truncated. MADV_FREE takes each page for used, and
nobody handles the faults of userfaultfd: a store goes on. *Weak* ordering is of stores only: they pass each other, and loads do not.

## Safeguards

Each was taken out, and nothing else: the two variants of a row differ in this guard. The steps are those of the shortest schedule (where
something never comes, of a shortest way to a loop that can go on for ever);
\`shootdown show write-protect/W2\` prints it.

${table(
  ['safeguard', 'what it sees to', 'row, without it', 'what breaks', 'in', 'with it'],
  protectSafeguards.map((safeguard) => safeguardRow(resultOf, safeguard)),
)}

## Which kernel needs it

${table(['what is missing', 'beside', 'kernel', 'verdict'], await kernelRows(resultOf))}

- **Counting after the flush.** Since 5.19 the pins of an exclusive page are looked at when it stops being exclusive, after the flush, and so FOLL_PIN is caught there. A reference by FOLL_GET is not a pin, and up to 5.18
  nobody asks for pins: there the order is all there is.
- **Pending flushes.** A CPU may store through its TLB while the pte looks read-only and clean: MADV_FREE has made it clean, something else read-only, and neither has flushed yet. clear_refs (soft-dirty) holds mmap_lock for writing
  since 5.11, so that KSM, which reads it, comes before or after. Since 5.19 a page that was mapped writable is exclusive, and that alone leads to the flush.
- **The second look of gup-fast.** It walks with interrupts off, which keeps an IPI waiting, and with it the flush, until the reference counts. The second look matters only where flushes are broadcast.
- **The store buffer.** A store that has retired may not be in memory yet when its CPU acknowledges a flush. x86 empties the buffer before an interrupt's handler runs; a broadcast waits for such stores.

Barriers of \`write_protect_page\` around PageAnonExclusive, against a pin to read (W7). Ordering ${scenario.parameters.ordering.description}:

${await barrierRows()}

## page->mapping: the five uses

In W14, W14.write, W14.truncate and W14.sync the page looks truncated, is looked for again, and is found again, for ever. In fsync that is how the machine does it: writeback of 6.12 would
skip the page instead, and leave it dirty.

${table(
  ['use', 'by whom', 'machine', 'variant', 'what it is', 'verdict'],
  uses.flatMap(([at, what, ids]) => ids.map((id) => useRow(resultOf)(id, at, what))),
)}

How the first is done, the mapping passed down to whoever reads \`page->mapping\`, is an algorithm of the same mail: see [passdown.md](passdown.md).

## In reasonable time

From the fault on, how many steps can there be at most until what should come has come, over all runs? First those of the CPU that waits for it (its interrupts count, TLB fills and evictions do not), whatever
the others do meanwhile; then those of all.

${table(
  ['variant', 'what should come', 'of', 'steps of its CPU', 'of all', 'states'],
  [...timed, ...Object.keys(endless)].flatMap((id) => responseRows(resultOf, id)),
)}

- W0.again has no bound for all: KSM can scan as often as it likes while the other CPU does not move at all. That CPU itself is done after as many steps as the table says.
- A page that may be written is not a store that has retired. Nobody promises that: who protects the page again can be faster each time, without any unfair scheduler. ${loops.join(' ')}

## Two counterexamples

W7: the pte comes back before the flag has changed. gup-fast finds the page exclusive still, and pins it; then it is replaced.

${await shortest('W7')}

W8: the page becomes one that files share while it is written. When the write fails, \`page->mapping\` is a record, nobody is told, and fsync says that all is well.

${await shortest('W8')}
`;
}
