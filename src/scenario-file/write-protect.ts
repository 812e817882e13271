import { writeProtectScenario } from '../scenarios/write-protect.js';
import { type ProtectCall, type ProtectCell, type ProtectSetup, type ProtectThread, protection } from '../scenarios/write-protect-setup.js';
import { writeProtectSystem } from '../scenarios/write-protect-system.js';
import { eachCall, type Family, must } from './family.js';
import { calls, flag, list, name, orNull, record, table, text, whole, word } from './json-schema.js';
import { cellName, mustBeCell, mustBeMapped, mustHaveSpace, pfn, placesAt, refuseTwice, vpn } from './memory.js';
import type { Path } from './problem.js';

type Said = Pick<ProtectSetup, 'threads' | 'cells'> & Partial<ProtectSetup>;
type Cells = ProtectSetup['cells'];

const space = name('address space', '^([a-z]|child)(_node[1-9])?$', "a letter, or 'child' after a fork; with _node1 its page table on another node");
const place = record('place', { mm: space, vpn });
const ofFile = { cell: cellName };

const call = calls<ProtectCall['do']>({
  load: { vpn },
  store: { vpn },
  unmerge: { vpn },
  madvise_free: { vpn },
  clear_refs: { vpn },
  clear_refs_5_10: { vpn },
  uffd_wp: { vpn },
  fork: { vpn },
  replicate: { vpn },
  ksm_scan: { at: place, 'other?': place },
  reclaim: ofFile,
  write: ofFile,
  writeback: ofFile,
  fsync: ofFile,
  truncate: ofFile,
  merge_files: { into: cellName, from: cellName },
  kpageflags: { pfn },
});

const device = record(
  'device',
  {
    mode: word('mode', ['copy', 'combine'], 'has copies of pages to read, or has CPUs kept from storing to pages that it writes'),
    program: list(record('access', { do: word('access', ['read', 'write', 'atomic']), vpn }), { maxItems: 4 }),
    memory: whole(0, 4, 'page frames of its memory'),
    'ptes?': table(
      name('page', '^[0-7]$', 'a virtual page'),
      record('pte', { pfn, write: flag('may write'), atomic: flag('may do atomics') }),
      'what it has mapped at first',
    ),
  },
  'that mirrors p',
);

/** Of a call, what it says of cells and pages is there. */
function refuseCall({ cells, threads }: Said, call: ProtectCall, path: Path, { mm }: ProtectThread): void {
  const mustBe = (kind: ProtectCell['kind'], cell: string, key: string): void => {
    mustBeCell(cells, cell, [...path, key]);
    must(cells[cell]?.kind === kind, [...path, key], `'${call.do}' needs a cell of kind ${kind}; '${cell}' is of kind ${cells[cell]?.kind}`);
  };
  switch (call.do) {
    case 'ksm_scan':
      for (const key of ['at', 'other'] as const) {
        const where = call[key];
        if (where) mustBe('anonymous', mustBeMapped(cells, where.mm, where.vpn, [...path, key]), key);
      }
      return;
    case 'replicate': {
      const cell = mustBeMapped(cells, 'p', call.vpn, [...path, 'vpn']);
      must(
        Object.keys(cells[cell]?.at ?? {}).some((other) => other.startsWith('p_')),
        [...path, 'vpn'],
        `cell '${cell}' is mapped on one node only; add p_node1 to its 'at'`,
      );
      return;
    }
    case 'reclaim':
      mustBe('anonymous', call.cell, 'cell');
      must(cells[call.cell]?.pfn !== null, [...path, 'cell'], `cell '${call.cell}' is on disk ('pfn' null), with nothing to reclaim`);
      return;
    case 'merge_files':
      mustBe('file', call.into, 'into');
      mustBe('file', call.from, 'from');
      return;
    case 'kpageflags':
      must(
        Object.values(cells).some((cell) => cell.pfn === call.pfn),
        [...path, 'pfn'],
        `no cell is in frame ${call.pfn}`,
      );
      return;
    case 'write':
    case 'writeback':
    case 'fsync':
    case 'truncate':
      mustBe('file', call.cell, 'cell');
      return;
    default:
      mustHaveSpace(mm, call.do, [...path, 'do']);
      must(call.do !== 'fork' || mm === 'p', [...path, 'do'], 'it is the process p that forks');
      must(
        call.do !== 'fork' || !threads.some(({ mm: other, program }) => other === 'child' && program.some(({ do: what }) => what === 'fork')),
        [...path, 'do'],
        'the child does not fork',
      );
      mustBeMapped(cells, mm === 'child' ? 'p' : mm, call.vpn, [...path, 'vpn']);
  }
}

function refuseCells(cells: Cells, stable: readonly number[]): void {
  refuseTwice(cells);
  for (const [cell, { at, replicas = {} }] of Object.entries(cells)) {
    must(!Object.hasOwn(at, 'child'), ['cells', cell, 'at'], 'the child gets its pages by the fork');
    for (const mm of Object.keys(replicas))
      must(Object.hasOwn(at, mm), ['cells', cell, 'replicas', mm], `cell '${cell}' is not mapped in ${mm}: add it to 'at'`);
  }
  const frames = Object.values(cells).map((cell) => cell.pfn);
  for (const [at, frame] of stable.entries()) must(frames.includes(frame), ['stable', at], `no cell is in frame ${frame}`);
  for (const [cell, { pfn: frame }] of Object.entries(cells)) {
    const others = Object.values(cells).filter((other) => other.pfn === frame && frame !== null);
    must(others.length < 2 || stable.includes(frame as number), ['cells', cell, 'pfn'], `frame ${frame} is that of several cells, so it belongs in 'stable'`);
    must(new Set(others.map(({ kind }) => kind)).size < 2, ['cells', cell, 'pfn'], `cells of frame ${frame} are of one kind`);
  }
}

export const writeProtect: Family<Said> = {
  scenario: writeProtectScenario,
  fields: {
    threads: list(
      record('thread', {
        mm: orNull(space),
        program: list(call),
        'pins?': record(
          'pin',
          { vpn, access: word('access', ['read', 'write']), 'get?': flag('FOLL_GET instead of FOLL_PIN') },
          'in place of a program: pins a page, lets a device use it, and gives it back',
        ),
        'repeats?': flag('after the last call comes the first, if it likes'),
        'name?': text('what diagrams call it'),
      }),
      { description: "CPU n runs thread n; 'mm' null: a kernel thread", minItems: 1, maxItems: 6 },
    ),
    cells: table(
      cellName,
      record('cell', {
        kind: word('kind', ['file', 'anonymous']),
        pfn: orNull(pfn),
        at: placesAt(space),
        'pte?': word('pte', ['none', 'read-only', 'writable'], 'default: writable and dirty, for private pages; read-only, for pages of files'),
        'exclusive?': flag('PageAnonExclusive; default: what is private and not shared is'),
        'dirty?': flag('PG_dirty'),
        'replicas?': table(space, pfn, 'page tables that map a replica at first, in this frame'),
      }),
      'pages of memory by name: in which frame at first (null: on disk), and where they are mapped',
    ),
    'stable?': list(pfn, { description: 'frames whose bytes several cells share at first', uniqueItems: true }),
    'free?': whole(0, 8, 'frames that are free at first, beyond those of the cells; default: 1'),
    'device?': device,
    'ordering?': word('ordering', ['sc', 'tso', 'weak'], 'of the stores of a CPU; default: sc'),
    'asksStored?': flag('adds the property: a store retires in the end'),
    'errors?': whole(0, 2, 'I/O errors at most; default: 0'),
    'flush?': word('flush', ['ipi', 'broadcast'], 'how remote TLBs are flushed; default: ipi'),
    'generations?': flag('TLB generations count (false where somebody tries again for ever); default: true'),
  },
  refuse: (said) => {
    const { threads, cells, stable = [] } = said;
    refuseCells(cells, stable);
    const forks = threads.some(({ program }) => program.some((call) => call.do === 'fork'));
    for (const [n, { mm, pins, program }] of threads.entries()) {
      must(mm !== 'child' || forks, ['threads', n, 'mm'], 'nobody forks, so there is no child');
      must(mm === null || mm === 'child' || Object.values(cells).some(({ at }) => Object.hasOwn(at, mm)), ['threads', n, 'mm'], `no cell is mapped in '${mm}'`);
      must(!pins || program.length === 0, ['threads', n, 'pins'], "a thread pins in place of a program: leave 'program' empty");
      if (!pins) continue;
      mustHaveSpace(mm, 'pins', ['threads', n, 'mm']);
      mustBeMapped(cells, mm === 'child' ? 'p' : mm, pins.vpn, ['threads', n, 'pins', 'vpn']);
    }
    eachCall<ProtectCall, ProtectThread>(threads, (call, path, thread) => refuseCall(said, call, path, thread));
    for (const [at, access] of (said.device?.program ?? []).entries()) mustBeMapped(cells, 'p', access.vpn, ['device', 'program', at, 'vpn']);
    for (const [page, { pfn: frame }] of Object.entries(said.device?.ptes ?? {})) {
      const cell = mustBeMapped(cells, 'p', Number(page), ['device', 'ptes', page]);
      must(cells[cell]?.pfn === frame, ['device', 'ptes', page, 'pfn'], `page ${page} of p is not in frame ${frame} at first`);
    }
  },
  system: (id, said) => writeProtectSystem(id, { ...protection, ...said }),
};
