import { asOld, deviceExclusiveScenario } from '../scenarios/device-exclusive.js';
import { mmuNotifierScenario } from '../scenarios/mmu-notifier.js';
import { type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, mirror } from '../scenarios/mmu-notifier-setup.js';
import { mirrorSystem } from '../scenarios/mmu-notifier-system.js';
import { eachCall, type Family, must } from './family.js';
import { calls, type Fields, flag, list, name, orNull, record, ref, type Schema, table, text, whole, word } from './json-schema.js';
import { pfn } from './memory.js';
import type { Path } from './problem.js';

type Said = Pick<MirrorSetup, 'threads'> & Partial<MirrorSetup> & { kernel?: 'new' | 'old' };

const mostPages = 3;
const vpn = whole(0, mostPages - 1, 'page of the process');

const call = calls<MirrorCall['do']>({
  load: { vpn },
  store: { vpn },
  munmap: { vpn },
  dontneed: { vpn },
  oom_reap: { vpn },
  numa_scan: { vpn },
  fork: { vpn },
  mprotect_none: { vpn },
  mprotect_read: { vpn },
  mprotect_write: { vpn },
  reclaim: { vpn },
  migrate: { vpn },
  to_device: { vpn },
  slab: {},
});

const access = record('access', { do: word('access', ['read', 'write', 'atomic']), vpn });
const pte = record('pte', { pfn, write: flag('may write'), atomic: flag('may do atomics') });
const device = (what: string, more: Fields = {}): Schema =>
  record(what, {
    program: list(access, { maxItems: 4 }),
    'repeats?': flag('after the last access comes the first, if it likes'),
    'ptes?': table(name('page', `^[0-${mostPages - 1}]$`, 'a page of the process'), pte, 'what it has mapped at first'),
    ...more,
  });

const definitions: Readonly<Record<string, Schema>> = {
  mirrorThreads: list(
    record('thread', {
      mm: orNull(word('address space', ['p', 'child'], 'the process that devices mirror, or the child that it forks; null: a kernel thread')),
      program: list(call),
      'repeats?': flag('after the last call comes the first, if it likes'),
    }),
    { description: 'CPU n runs thread n; drivers and the guest come after', maxItems: 5 },
  ),
  mirrorGpus: table(
    name('device', '^gpu[0-2]$', 'gpu0, gpu1 or gpu2'),
    device('device', {
      'cookie?': text('the owner that it names and whose notifications it filters; default: its name'),
      'memory?': whole(0, 3, 'page frames of memory of its own; one device may have some; default: 0'),
    }),
    'devices that mirror the process, each with its driver; default: none',
  ),
  mirrorGuest: device('guest'),
};

const fields: Fields = {
  threads: ref('mirrorThreads'),
  'gpus?': ref('mirrorGpus'),
  'guest?': ref('mirrorGuest'),
  'pages?': list(word('page', ['none', 'present', 'readonly', 'devexcl']), {
    description: 'the pte of each page of the process at first; page n is in frame n; default: one, present',
    minItems: 1,
    maxItems: mostPages,
  }),
  'huge?': flag('a huge PMD maps them; default: false'),
  'free?': whole(0, 4, 'frames that are free at first, beyond those of the pages; default: 1'),
  'oomAttempts?': whole(1, 10, 'how often the OOM reaper tries; default: 2 (10 in the kernel)'),
  'generations?': flag('TLB generations count; default: false'),
  'namesOwner?': flag('drivers name their cookie as the owner of exclusive access; default: true'),
};

const ofKernel: readonly MirrorCall['do'][] = ['oom_reap', 'reclaim', 'migrate', 'slab'];

function refuseDevice({ pages = mirror.pages }: Said, { program, ptes = {} }: Mirror, path: Path, isGuest: boolean): void {
  for (const [at, { vpn: page, do: what }] of program.entries()) {
    must(page < pages.length, [...path, 'program', at, 'vpn'], `there is no page ${page}: 'pages' has ${pages.length}, counted from 0`);
    must(!isGuest || what !== 'atomic', [...path, 'program', at, 'do'], 'atomics are those of devices; a guest reads and writes');
  }
  for (const [page, { pfn: frame }] of Object.entries(ptes)) {
    must(pages[Number(page)] !== undefined, [...path, 'ptes', page], `there is no page ${page}: 'pages' has ${pages.length}, counted from 0`);
    must(frame === Number(page) && pages[frame] !== 'none', [...path, 'ptes', page, 'pfn'], `page ${page} of the process is not in frame ${frame} at first`);
  }
}

function refuse(said: Said): void {
  const { threads, gpus = {}, guest, pages = mirror.pages } = said;
  const owners = Object.keys(gpus).filter((gpu) => (gpus[gpu]?.memory ?? 0) > 0);
  must(owners.length < 2, ['gpus', owners[1] ?? '', 'memory'], `${owners[0]} has memory already; one device of a system may`);
  must(threads.length + Object.keys(gpus).length + (guest ? 1 : 0) > 0, ['threads'], 'there is no thread, no device and no guest');
  const forks = threads.some(({ mm, program }) => mm === 'p' && program.some((call) => call.do === 'fork'));
  for (const [n, { mm }] of threads.entries()) must(mm !== 'child' || forks, ['threads', n, 'mm'], 'p does not fork, so there is no child');
  eachCall<MirrorCall, MirrorThread>(threads, (call, path, { mm }) => {
    must(mm !== null || ofKernel.includes(call.do), [...path, 'do'], `'${call.do}' is a call of a process; this thread has 'mm' null`);
    must(mm !== 'child' || call.do !== 'fork', [...path, 'do'], 'the child does not fork');
    if (call.do === 'slab') return;
    must(call.vpn < pages.length, [...path, 'vpn'], `there is no page ${call.vpn}: 'pages' has ${pages.length}, counted from 0`);
    if (call.do === 'reclaim' || call.do === 'migrate')
      must(pages[call.vpn] !== 'none', [...path, 'vpn'], `page ${call.vpn} is not there at first, so there is nothing to ${call.do}`);
    must(call.do !== 'to_device' || owners.length > 0, [...path, 'do'], "no device has memory: give one 'memory'");
  });
  for (const [gpu, one] of Object.entries(gpus)) refuseDevice(said, one, ['gpus', gpu], false);
  if (guest) refuseDevice(said, guest, ['guest'], true);
}

export const mmuNotifier: Family<Said> = {
  scenario: mmuNotifierScenario,
  fields,
  definitions,
  refuse,
  system: (id, said) => mirrorSystem(id, { ...mirror, ...said }),
};

export const deviceExclusive: Family<Said> = {
  scenario: deviceExclusiveScenario,
  fields: { ...fields, 'kernel?': word('kernel', ['new', 'old'], 'old: 5.14 to 6.14; new: 6.15 on; default: new') },
  definitions,
  refuse,
  system: (id, { kernel = 'new', ...said }) => {
    const setup = { ...mirror, ...said };
    return mirrorSystem(id, kernel === 'old' ? asOld(setup) : setup);
  },
};
