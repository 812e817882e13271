import { debugModes, lufScenario } from '../scenarios/luf.js';
import { type LufCall, type LufSetup, type LufThread, lufSystem, strictLuf } from '../scenarios/luf-system.js';
import { among, eachCall, type Family, must } from './family.js';
import { calls, flag, list, name, orNull, record, type Schema, table, text, whole, word } from './json-schema.js';
import { cellName, mustBeCell, mustBeMapped, mustHaveSpace, pfn, placesAt, refuseTwice, vpn } from './memory.js';
import type { Path } from './problem.js';

type Said = Pick<LufSetup, 'threads' | 'cells'> & Partial<Omit<LufSetup, 'debug'>> & { debug?: string };

const space = name('address space', '^[a-z]$', 'a letter');
const key = orNull(whole(0, 9, 'of what is owed for it'));
const block = record('block', { pfns: list(pfn, { minItems: 1, uniqueItems: true }), lufKey: key });
const onDisk = ['write', 'remote_write', 'lock_file'] as const;

const call = calls<LufCall['do']>({
  load: { vpn },
  store: { vpn },
  reclaim: { cell: cellName, 'more?': list(cellName) },
  migrate: { cell: cellName, 'more?': list(cellName) },
  write: { cell: cellName },
  slab: { 'order?': whole(0, 1), 'content?': text('what the frame holds then') },
  munmap: { vpn },
  mmap: { vpn, cell: cellName },
  mprotect: { vpn, read: flag('whether it leaves the right to read') },
  fork: { vpn },
  uprobe: { vpn },
  uprobe_write: { vpn },
  luf_flush: {},
  remote_write: { cell: cellName },
  lock_file: { cell: cellName },
  switch: { next: space },
});

const debts: Schema = record(
  'debt',
  { ugen: whole(0, 9), debts: list(record('debt', { cpu: name('CPU', '^cpu[0-5]$', 'cpu0 to cpu5'), ugen: whole(0, 9) })) },
  'what is owed at first',
);

function refuseCell({ cells }: Said, call: LufCall, cell: string, path: Path): void {
  mustBeCell(cells, cell, path);
  const { kind, pfn: frame } = cells[cell] as LufSetup['cells'][string];
  if (call.do === 'reclaim' || call.do === 'migrate') must(frame !== null, path, `cell '${cell}' is on disk ('pfn' null), with nothing to ${call.do}`);
  if ((onDisk as readonly string[]).includes(call.do)) must(kind === 'file', path, `'${call.do}' needs a cell of kind file; '${cell}' is of kind ${kind}`);
}

/** Calls that name a page, which is mapped unless the thread has mapped it itself. */
function refusePage({ cells, threads }: Said, call: LufCall & { vpn: number }, path: Path, { mm }: LufThread): void {
  mustHaveSpace(mm, call.do, [...path, 'do']);
  const maps = threads.some((thread) => thread.mm === mm && thread.program.some((one) => one.do === 'mmap' && one.vpn === call.vpn));
  if (call.do === 'mmap' || (maps && !call.do.startsWith('uprobe'))) return;
  const cell = mustBeMapped(cells, mm, call.vpn, [...path, 'vpn']);
  const isText = cells[cell]?.kind === 'text';
  must(!call.do.startsWith('uprobe') || isText, [...path, 'vpn'], () => `'${call.do}' needs a page of text; cell '${cell}' is of kind ${cells[cell]?.kind}`);
  must(call.do !== 'store' || (cells[cell]?.writable ?? !isText), [...path, 'vpn'], `cell '${cell}' is not mapped for writing`);
}

function refuseFrames({ cells, free = [], buddy = [], debts: owed, threads }: Said): void {
  const seen = new Map<number, string>();
  const take = (frame: number, who: string, path: Path): void => {
    must(!seen.has(frame), path, () => `frame ${frame} is ${seen.get(frame)} already`);
    seen.set(frame, who);
  };
  for (const [cell, { pfn: frame }] of Object.entries(cells)) if (frame !== null) take(frame, `that of cell '${cell}'`, ['cells', cell, 'pfn']);
  for (const [name, blocks] of Object.entries({ free, buddy }))
    for (const [at, one] of blocks.entries()) for (const frame of typeof one === 'number' ? [one] : one.pfns) take(frame, 'free', [name, at]);
  for (const [at, { cpu }] of (owed?.debts ?? []).entries())
    must(Number(cpu.slice(3)) < threads.length, ['debts', 'debts', at, 'cpu'], `no thread runs on ${cpu}`);
}

export const luf: Family<Said> = {
  scenario: lufScenario,
  fields: {
    threads: list(
      record('thread', {
        mm: orNull(space),
        program: list(call),
        'kernel?': flag('it never returns to user, even if it borrows an address space'),
        'repeats?': flag('its program begins anew when it ends, for as long as it likes: nothing waits for it'),
        'name?': text('what diagrams call it'),
      }),
      { description: "CPU n runs thread n; 'mm' null: a kernel thread", minItems: 1, maxItems: 6 },
    ),
    cells: table(
      cellName,
      record('cell', {
        kind: word(
          'kind',
          ['file', 'text', 'anonymous'],
          'file: shared mapping of a file; text: private mapping of a file, never stored to; anonymous: private memory',
        ),
        pfn: orNull(pfn),
        at: placesAt(space),
        'pte?': word('pte', ['none', 'read-only', 'writable'], 'default: read-only and clean'),
        'writable?': flag('VM_WRITE; default: yes, but for text'),
        'pinned?': whole(0, 4, 'references that somebody else holds'),
        'exclusive?': flag('PageAnonExclusive'),
        'index?': whole(0, 3, 'slot of its file; default: 0'),
        'file?': name('file', '^file_[a-z0-9]+$', 'file_ and small letters; default: one of its own'),
      }),
      'pages of memory by name: in which frame at first (null: on disk), and where they are mapped',
    ),
    'luf?': flag('the kernel puts flushes off; default: true'),
    'free?': list(
      { description: 'a frame, or a block with what is owed for it', oneOf: [pfn, block] },
      { description: 'frames that are free at first; default: none' },
    ),
    'buddy?': list(block, { description: 'blocks of the buddy allocator; default: none' }),
    'zoneLock?': flag("CPUs contend for the zone's lock; default: false"),
    'drains?': flag('free pages go to the buddy allocator; default: false'),
    'otherSpaces?': list(space, { description: 'address spaces without a VMA', uniqueItems: true }),
    'debts?': debts,
    'debug?': word('debug mode', Object.keys(debugModes), 'the debug mode that listens; default: none'),
    'keysOnPut?': flag('a page that is freed by its last reference needs what is owed by then; default: true'),
    'revalidationPays?': flag('revalidation of a network file pays what is owed; default: true'),
  },
  refuse: (said) => {
    const { threads, cells, otherSpaces = [], luf: puts = true } = said;
    refuseTwice(cells);
    refuseFrames(said);
    const spaces = new Set([...otherSpaces, ...Object.values(cells).flatMap(({ at }) => Object.keys(at))]);
    for (const [n, { mm }] of threads.entries())
      must(mm === null || spaces.has(mm), ['threads', n, 'mm'], `no cell is mapped in '${mm}', and 'otherSpaces' does not name it`);
    eachCall<LufCall, LufThread>(threads, (call, path, thread, n) => {
      if ('cell' in call) refuseCell(said, call, call.cell, [...path, 'cell']);
      if ('more' in call) for (const [at, cell] of (call.more ?? []).entries()) refuseCell(said, call, cell, [...path, 'more', at]);
      if ('vpn' in call) refusePage(said, call, path, thread);
      if (call.do === 'switch') must(spaces.has(call.next), [...path, 'next'], `there is no address space '${call.next}' (there are ${among([...spaces])})`);
      must(call.do !== 'luf_flush' || puts, [...path, 'do'], "nothing is put off with 'luf' false, so there is no luf_flush");
      const files = thread.program.flatMap((one) =>
        'cell' in one && (onDisk as readonly string[]).includes(one.do) ? [cells[one.cell]?.file ?? one.cell] : [],
      );
      must(
        new Set(files).size < 2,
        ['threads', n],
        () => `a thread writes to one file, not to ${[...new Set(files)].join(' and ')}; give each a thread of its own`,
      );
    });
  },
  system: (id, { debug = 'none', ...said }) => lufSystem(id, { ...strictLuf, ...said, debug: debugModes[debug] ?? null }),
};
