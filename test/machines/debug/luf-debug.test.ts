import { lufDebug, lufDebugChanges, type Pte, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const changed = (...changes: string[]): typeof lufDebug =>
  lufDebug.provide({ guards: Object.assign({}, ...changes.map((name) => lufDebugChanges[name]?.guards)) });
/** The debug mode, with these changes. The probes are tasks, CPUs, an address space (`mm`) and files. */
const rig = (...changes: string[]): Rig =>
  new Rig({
    debug: actor(changed(...changes)),
    ...Object.fromEntries(['kswapd', 'p', 'q', 'cpu1', 'cpu2', 'mm', 'mm2', 'file', 'g'].map((name) => [name, probe()])),
  });

const hook = (system: Rig, message: Message, by = 'kswapd'): Rig => {
  expect(system.say(by, 'debug', message)).toEqual([]);
  return system;
};
interface Skip {
  pfn?: number;
  cpus?: string[];
  mapping?: string | null;
  index?: number;
  write?: boolean;
  places?: { mm: string; vpn: number }[];
}
/** Unless said otherwise: frame 4, slot 0 of `file`, mapped read-only at page 0 of `mm`, which CPU 1 may have cached. */
const unmapped = { pfn: 4, cpus: ['cpu1'], mapping: 'file', index: 0, places: [{ mm: 'mm', vpn: 0 }] };
const skip = (system: Rig, how: Skip = {}): Rig => hook(system, { type: 'luf.skip', ...unmapped, write: false, ...how });
const unmap = (system: Rig, how: Skip = {}): Rig => hook(system, { type: 'luf.unmap', ...unmapped, ...how });
const begin = (system: Rig, cpus: string[], task = 'kswapd'): Rig => hook(system, { type: 'luf.flush_begin', cpus, task });
const flushed = (system: Rig, cpus: string[], task = 'kswapd'): Rig => hook(system, { type: 'luf.flushed', cpus, task });
const mkwrite = (system: Rig, pfn: number, task = 'p', mapping: string | null = 'file', index = 0): Rig =>
  hook(system, { type: 'luf.mkwrite', pfn, mapping, index, task });
const copied = (system: Rig, source: number, copy: number): Rig => hook(system, { type: 'luf.copied', source, copy });
const returns = (system: Rig, task = 'p'): Rig => hook(system, { type: 'luf.return_to_user' }, task);
const setPte = (system: Rig, pte: Pte, vpn = 0, mm = 'mm'): Rig => hook(system, { type: 'luf.pte_set', vpn, pte, by: 'p' }, mm);
const setSlot = (system: Rig, pfn: number, index = 0, file = 'file'): Rig => hook(system, { type: 'luf.slot_set', index, pfn, by: 'p' }, file);

const pending = (system: Rig): Record<string, string[]> => system.context('debug').pending;
const warned = (system: Rig): string | null => system.context('debug').warned;
const corrupt = (system: Rig): boolean => system.context('debug').corrupt;
/** `cpu: frame`, and in whose list where that is another's. */
const records = (system: Rig): string[] =>
  system
    .context('debug')
    .records.map(({ cpu, pfn, listed }: { cpu: string; pfn: number; listed: number }) => `${cpu}: ${pfn}${listed === pfn ? '' : ` as ${listed}`}`);
const atFirst = { records: [], pending: {}, cached: {}, warned: null, corrupt: false };

test('it listens only, and at first has nothing to say', () => {
  const system = rig();
  expect(system.context('debug')).toEqual(atFirst);
  returns(mkwrite(skip(system), 4));
  expect([system.said('debug'), system.at('debug')]).toEqual([[], 'luf_nodes, luf_pending_cpus, slots, warn_on']);
});

describe('step 1: a flush is skipped', () => {
  test('the folio is linked for each CPU and place', () => {
    const place = { pfn: 4, listed: 4, mapping: 'file', index: 0, flushing: [] };
    const places = [
      { mm: 'mm2', vpn: 7 },
      { mm: 'mm', vpn: 0 },
    ];
    expect(skip(rig(), { cpus: ['cpu2', 'cpu1'], places }).context('debug')).toEqual({
      ...atFirst,
      records: [
        { cpu: 'cpu1', mm: 'mm', vpn: 0, ...place },
        { cpu: 'cpu1', mm: 'mm2', vpn: 7, ...place },
        { cpu: 'cpu2', mm: 'mm', vpn: 0, ...place },
        { cpu: 'cpu2', mm: 'mm2', vpn: 7, ...place },
      ],
    });
  });

  test.each<[string, Skip, boolean]>([
    ['row L21: another folio of the file', { pfn: 5, index: 1 }, true],
    ['the same folio', { mapping: null, index: -1 }, true],
    ['a folio of another file', { pfn: 5, mapping: 'g' }, false],
    ['a folio of no file', { pfn: 5, mapping: null, index: -1 }, false],
    ['a folio of the file, for another CPU', { pfn: 5, cpus: ['cpu2'] }, false],
  ])('%s is skipped next: is a node added to a list in which it is?', (_, how, twice) => {
    const system = skip(rig());
    expect([corrupt(system), corrupt(skip(system, how))]).toEqual([false, twice]);
  });

  test('two folios of no file have no node in common', () => {
    const anonymous = { mapping: null, index: -1 };
    expect(corrupt(skip(skip(rig(), anonymous), { ...anonymous, pfn: 5 }))).toBe(false);
  });

  test('row L21: the record is there all the same, and the list stays corrupt', () => {
    const system = skip(skip(rig()), { pfn: 5, index: 1 });
    expect([records(system), corrupt(flushed(system, ['cpu1'])), records(system)]).toEqual([['cpu1: 4', 'cpu1: 5'], true, []]);
  });
});

describe('step 2: try_to_unmap_flush', () => {
  test('unlinks all of the CPUs that were flushed, and of no other', () => {
    const system = skip(skip(rig(), { cpus: ['cpu1', 'cpu2'] }), { pfn: 5, mapping: 'g' });
    expect(records(flushed(system, ['cpu1']))).toEqual(['cpu2: 4']);
    expect(records(flushed(system, ['cpu2']))).toEqual([]);
  });

  test('row L13: also what was linked while the flush was on its way', () => {
    const system = skip(begin(skip(rig()), ['cpu1']), { pfn: 5, mapping: 'g' });
    expect(records(flushed(system, ['cpu1']))).toEqual([]);
  });

  test('takes these CPUs from what is pending for current, and for nobody else', () => {
    const system = skip(rig(), { cpus: ['cpu1', 'cpu2'] });
    mkwrite(mkwrite(system, 4, 'p'), 4, 'q');
    expect(pending(flushed(system, ['cpu1'], 'p'))).toEqual({ p: ['cpu2'], q: ['cpu1', 'cpu2'] });
    expect(pending(flushed(system, ['cpu2', 'cpu1'], 'p'))).toEqual({ q: ['cpu1', 'cpu2'] });
  });
});

describe('steps 3 and 4: pte_mkwrite, and the return to user', () => {
  test('the CPUs of its folio are pending for the task; a WARN if they are still when it returns', () => {
    const system = mkwrite(skip(rig(), { cpus: ['cpu2', 'cpu1'] }), 4);
    expect([pending(system), warned(system)]).toEqual([{ p: ['cpu1', 'cpu2'] }, null]);
    expect(warned(returns(system))).toBe('luf.return_to_user');
  });

  test('more folios add more CPUs', () => {
    const system = skip(skip(rig()), { pfn: 5, mapping: 'g', cpus: ['cpu2'] });
    expect(pending(mkwrite(mkwrite(system, 5), 4))).toEqual({ p: ['cpu1', 'cpu2'] });
  });

  test('a folio without a record makes nothing pending', () => {
    expect(pending(mkwrite(skip(rig()), 5))).toEqual({});
    expect(warned(returns(mkwrite(skip(rig()), 5)))).toBeNull();
  });

  test('with a flush in between nothing is said', () => {
    expect(warned(returns(flushed(mkwrite(skip(rig()), 4), ['cpu1'], 'p')))).toBeNull();
  });

  test('rows L14, L15a: the same folio is mapped writable again, or was to be: a WARN without need', () => {
    expect(warned(returns(mkwrite(skip(rig()), 4)))).toBe('luf.return_to_user');
  });

  test('row L15: the task that is pending is told nothing of a flush by another', () => {
    expect(warned(returns(flushed(mkwrite(skip(rig()), 4), ['cpu1'], 'q')))).toBe('luf.return_to_user');
  });

  test('another task returns without a WARN', () => {
    expect(warned(returns(mkwrite(skip(rig()), 4), 'q'))).toBeNull();
  });

  test('it may be told by another path which task returns', () => {
    const system = mkwrite(skip(rig()), 4);
    const told = (task: string): string | null => warned(hook(system, { type: 'luf.return_to_user', task }, task === 'p' ? 'q' : 'p'));
    expect([told('q'), told('p')]).toEqual([null, 'luf.return_to_user']);
  });

  test('rows L6, L7: a copy in another frame has no record', () => {
    const system = setSlot(copied(skip(rig()), 4, 5), 5);
    expect([pending(mkwrite(system, 5)), warned(returns(system))]).toEqual([{}, null]);
  });
});

describe('step 5: write_end', () => {
  const written = (system: Rig, mapping = 'file'): Rig => hook(system, { type: 'luf.written', mapping, task: 'p' });
  const writeEnd = (mapping = 'file'): Rig => hook(skip(rig(), { cpus: ['cpu1', 'cpu2'] }), { type: 'luf.write_end', mapping, task: 'p' });

  test('all CPUs of the file are pending; a WARN if the flush leaves one', () => {
    expect(pending(writeEnd())).toEqual({ p: ['cpu1', 'cpu2'] });
    expect(warned(written(flushed(writeEnd(), ['cpu1'], 'p')))).toBe('luf.written');
  });

  test('none if it leaves none, or if another file was written', () => {
    expect(warned(written(flushed(writeEnd(), ['cpu1', 'cpu2'], 'p')))).toBeNull();
    expect([pending(writeEnd('g')), warned(written(writeEnd('g'), 'g'))]).toEqual([{}, null]);
  });

  test('what is left is pending when the task returns, too', () => {
    const system = returns(writeEnd());
    expect(warned(written(system))).toBe('luf.return_to_user');
  });
});

test.each<Message>([
  { type: 'luf.unmap', ...unmapped },
  { type: 'luf.flush_begin', cpus: ['cpu1'], task: 'p' },
  { type: 'luf.tlb_flushed', mm: 'mm' },
  { type: 'luf.content', mapping: 'file', index: 0 },
  { type: 'luf.alloc', pfns: [4] },
  { type: 'luf.cleared', pfn: 4 },
  { type: 'luf.copied', source: 4, copy: 5 },
  { type: 'luf.pte_set', vpn: 0, pte: presentPte(5) },
  { type: 'luf.slot_set', index: 0, pfn: 5 },
  { type: 'luf.withdrawn', mm: 'mm', vpns: [0] },
])('the seed has no hook at $type', (message) => {
  const system = skip(rig());
  const before = system.context('debug');
  expect(hook(system, message, 'mm').context('debug')).toEqual(before);
});

/** What each change makes of it, and the seed of the same. */
const changes: Record<string, () => void> = {
  'link-once': () => {
    const twice = (...names: string[]): Rig => skip(skip(rig(...names)), { pfn: 5, index: 1 });
    expect([corrupt(twice()), corrupt(twice('link-once')), records(twice('link-once'))]).toEqual([true, false, ['cpu1: 4', 'cpu1: 5']]);
  },
  'link-at-unmap': () => {
    const early = (...names: string[]): Rig => mkwrite(unmap(rig(...names)), 4);
    expect([pending(early()), pending(early('link-at-unmap'))]).toEqual([{}, { p: ['cpu1'] }]);
    const once = skip(unmap(rig('link-at-unmap')));
    expect([records(once), corrupt(once), records(skip(rig('link-at-unmap')))]).toEqual([['cpu1: 4'], false, []]);
    expect(records(skip(flushed(unmap(rig('link-at-unmap')), ['cpu1'])))).toEqual([]);
  },
  'check-writable': () => {
    const skipped = (write: boolean, ...names: string[]): string | null => warned(skip(rig(...names), { write }));
    expect([skipped(true), skipped(true, 'check-writable'), skipped(false, 'check-writable')]).toEqual([null, 'luf.skip', null]);
    expect(records(skip(rig('check-writable'), { write: true }))).toEqual(['cpu1: 4']);
  },
  'follow-copy': () => {
    const chain = (...names: string[]): Rig => copied(copied(copied(skip(rig(...names)), 4, 5), 5, 6), 7, 8);
    expect([records(chain()), records(chain('follow-copy'))]).toEqual([['cpu1: 4'], ['cpu1: 4', 'cpu1: 4 as 5', 'cpu1: 4 as 6']]);
    expect([4, 5, 6, 7, 8].map((pfn) => pending(mkwrite(chain('follow-copy'), pfn)).p)).toEqual([['cpu1'], ['cpu1'], ['cpu1'], undefined, undefined]);
    expect(warned(returns(mkwrite(chain('follow-copy'), 5)))).toBe('luf.return_to_user');
    expect(records(flushed(chain('follow-copy'), ['cpu1']))).toEqual([]);
  },
  'key-by-slot': () => {
    const anew = (names: string[], ...page: [mapping: string | null, index: number]): unknown => pending(mkwrite(skip(rig(...names)), 5, 'p', ...page));
    expect([anew([], 'file', 0), anew(['key-by-slot'], 'file', 0)]).toEqual([{}, { p: ['cpu1'] }]);
    expect([anew(['key-by-slot'], 'file', 1), anew(['key-by-slot'], 'g', 0)]).toEqual([{}, {}]);
    const nowhere = { mapping: null, index: -1 };
    expect(pending(mkwrite(skip(rig('key-by-slot'), nowhere), 5, 'p', null, -1))).toEqual({});
    const both = skip(skip(rig('key-by-slot')), { pfn: 5, cpus: ['cpu2'] });
    expect(pending(mkwrite(both, 5))).toEqual({ p: ['cpu1', 'cpu2'] });
  },
  'other-frames': () => {
    const again = (...names: string[]): Rig => returns(mkwrite(skip(rig(...names)), 4));
    expect([warned(again()), warned(again('other-frames')), pending(again('other-frames'))]).toEqual(['luf.return_to_user', null, {}]);
    const copy = (...names: string[]): unknown => pending(mkwrite(copied(skip(rig(...names)), 4, 5), 5));
    expect([copy('other-frames'), copy('other-frames', 'follow-copy')]).toEqual([{}, { p: ['cpu1'] }]);
  },
  'warn-at-mkwrite': () => {
    const at = (pfn: number, index: number, ...names: string[]): string | null => warned(mkwrite(copied(skip(rig(...names)), 4, 5), pfn, 'p', 'file', index));
    expect([at(5, 0), at(5, 0, 'warn-at-mkwrite'), at(5, 1, 'warn-at-mkwrite')]).toEqual([null, 'luf.mkwrite', null]);
    expect([at(5, 1, 'warn-at-mkwrite', 'follow-copy'), at(4, 0, 'warn-at-mkwrite', 'follow-copy')]).toEqual(['luf.mkwrite', null]);
    expect(warned(mkwrite(flushed(skip(rig('warn-at-mkwrite')), ['cpu1']), 5))).toBeNull();
  },
  'unlink-older': () => {
    const meanwhile = (...names: string[]): Rig => skip(begin(skip(rig(...names)), ['cpu1']), { pfn: 5, mapping: 'g' });
    expect([records(flushed(meanwhile(), ['cpu1'])), records(flushed(meanwhile('unlink-older'), ['cpu1']))]).toEqual([[], ['cpu1: 5']]);
    const relinked = skip(begin(skip(rig('unlink-older')), ['cpu1']));
    expect(records(flushed(relinked, ['cpu1']))).toEqual(['cpu1: 4']);
    const elsewhere = begin(skip(rig('unlink-older'), { cpus: ['cpu1', 'cpu2'] }), ['cpu1']);
    expect(records(flushed(elsewhere, ['cpu1']))).toEqual(['cpu2: 4']);
  },
  'clear-every-task': () => {
    const cleared = (...names: string[]): unknown => pending(flushed(mkwrite(skip(rig(...names), { cpus: ['cpu1', 'cpu2'] }), 4), ['cpu1'], 'q'));
    expect([cleared(), cleared('clear-every-task')]).toEqual([{ p: ['cpu1', 'cpu2'] }, { p: ['cpu2'] }]);
    expect(warned(returns(flushed(mkwrite(skip(rig('clear-every-task')), 4), ['cpu1'], 'q')))).toBeNull();
  },
  'track-tlbs': () => {
    const both = { cpus: ['cpu1', 'cpu2'], places: [{ mm: 'mm', vpn: 0 }] };
    const told = (by: string, mm: string, ...names: string[]): string[] => records(hook(skip(rig(...names), both), { type: 'luf.tlb_flushed', mm }, by));
    expect([told('cpu1', 'mm'), told('cpu1', 'mm', 'track-tlbs')]).toEqual([['cpu1: 4', 'cpu2: 4'], ['cpu2: 4']]);
    expect(told('cpu1', 'mm2', 'track-tlbs')).toEqual(['cpu1: 4', 'cpu2: 4']);
    const system = flushed(mkwrite(skip(rig('track-tlbs')), 4), ['cpu1'], 'p');
    expect([records(system), pending(system)]).toEqual([['cpu1: 4'], {}]);
  },
  'check-content': () => {
    const content = (mapping: string, index: number, ...names: string[]): string | null =>
      warned(hook(skip(rig(...names)), { type: 'luf.content', mapping, index }));
    expect([content('file', 0), content('file', 0, 'check-content')]).toEqual([null, 'luf.content']);
    expect([content('file', 1, 'check-content'), content('g', 0, 'check-content')]).toEqual([null, null]);
  },
  'check-alloc': () => {
    const alloc = (pfns: number[], ...names: string[]): string | null => warned(hook(skip(rig(...names)), { type: 'luf.alloc', pfns }));
    expect([alloc([5, 4]), alloc([5, 4], 'check-alloc'), alloc([5, 6], 'check-alloc'), alloc([], 'check-alloc')]).toEqual([null, 'luf.alloc', null, null]);
  },
  'check-clear': () => {
    const cleared = (pfn: number, ...names: string[]): string | null => warned(hook(skip(rig(...names)), { type: 'luf.cleared', pfn }));
    expect([cleared(4), cleared(4, 'check-clear'), cleared(5, 'check-clear')]).toEqual([null, 'luf.cleared', null]);
  },
  'check-withdrawal': () => {
    const gone = (mm: string, vpns: number[], ...names: string[]): string | null => warned(hook(skip(rig(...names)), { type: 'luf.withdrawn', mm, vpns }));
    expect([gone('mm', [0]), gone('mm', [0], 'check-withdrawal'), gone('mm', [1, 0], 'check-withdrawal')]).toEqual([null, 'luf.withdrawn', 'luf.withdrawn']);
    expect([gone('mm', [1, 2], 'check-withdrawal'), gone('mm2', [0], 'check-withdrawal')]).toEqual([null, null]);
  },
  'check-set': () => {
    const on = 'check-set';
    const set = (names: string[], ...where: [Pte, number?, string?]): string | null => warned(setPte(skip(rig(...names)), ...where));
    expect([set([], presentPte(5)), set([on], presentPte(5)), set([on], presentPte(4))]).toEqual([null, 'luf.pte_set', null]);
    expect([set([on], presentPte(5), 1), set([on], presentPte(5), 0, 'mm2'), set([on], { kind: 'swap', slot: 5 })]).toEqual([null, null, null]);
    const slot = (...page: [pfn: number, index?: number, file?: string]): string | null => warned(setPte(setSlot(skip(rig(on)), ...page), presentPte(5)));
    expect([slot(5), slot(6), slot(5, 1), slot(5, 0, 'g')]).toEqual([null, 'luf.pte_set', 'luf.pte_set', 'luf.pte_set']);
    const replaced = setSlot(setSlot(skip(rig(on)), 5), 5, 0, 'g');
    expect([replaced.context('debug').cached, warned(setPte(replaced, presentPte(5)))]).toEqual([{ 5: 'g/0' }, 'luf.pte_set']);
    expect(warned(setPte(skip(rig(on), { mapping: null, index: -1 }), presentPte(5)))).toBe('luf.pte_set');
  },
};

describe('changes', () => {
  test.each(Object.entries(changes))('%s', (_, check) => check());

  test('each of them is put to the test, and says what it does', () => {
    expect(Object.keys(lufDebugChanges)).toEqual(Object.keys(changes));
    expect(Object.values(lufDebugChanges).map(({ says }) => says)).toEqual(Object.values(lufDebugChanges).map(() => expect.stringMatching(/\w+ \w+/)));
  });

  test('unlink-older: of two flushes under way each unlinks what was linked before it began', () => {
    const system = begin(skip(rig('unlink-older')), ['cpu1'], 'p');
    begin(skip(system, { pfn: 5, mapping: 'g' }), ['cpu1'], 'q');
    expect(records(flushed(system, ['cpu1'], 'p'))).toEqual(['cpu1: 5']);
    expect(records(flushed(system, ['cpu1'], 'q'))).toEqual([]);
  });

  test('unlink-older: it makes no difference in which order two flushes began', () => {
    const begun = (...tasks: string[]): unknown => tasks.reduce((system, task) => begin(system, ['cpu1'], task), skip(rig('unlink-older'))).context('debug');
    expect(begun('q', 'p', 'q')).toEqual(begun('p', 'q'));
  });

  test('unlink-older: a copy of a record is as old as the record', () => {
    const system = copied(begin(skip(rig('unlink-older', 'follow-copy')), ['cpu1']), 4, 5);
    expect(records(flushed(system, ['cpu1']))).toEqual([]);
  });

  test('track-tlbs goes before unlink-older: the end of a flush unlinks nothing', () => {
    expect(records(flushed(begin(skip(rig('track-tlbs', 'unlink-older')), ['cpu1']), ['cpu1']))).toEqual(['cpu1: 4']);
  });

  test('link-at-unmap, check-writable: the pte that was writable is told of where the flush is skipped', () => {
    const system = skip(unmap(rig('link-at-unmap', 'check-writable')), { write: true });
    expect([warned(system), records(system)]).toEqual(['luf.skip', ['cpu1: 4']]);
  });

  const all = (): Rig => rig(...Object.keys(lufDebugChanges));

  test('all: rows L6, L7: a migrated page becomes writable', () => {
    const system = setSlot(copied(skip(unmap(all())), 4, 5), 5);
    setPte(system, presentPte(5, { write: false }));
    expect([warned(system), warned(mkwrite(system, 5)), pending(system)]).toEqual([null, 'luf.mkwrite', { p: ['cpu1'] }]);
  });

  test('all: rows L14, L15: the same folio again, and a flush by another task', () => {
    const system = returns(mkwrite(skip(unmap(all())), 4));
    expect([warned(system), pending(system), corrupt(system)]).toEqual([null, {}, false]);
  });

  test('all: after the CPU has flushed the address space everything may change', () => {
    const system = skip(unmap(all()));
    expect(records(system)).toEqual(['cpu1: 4']);
    hook(system, { type: 'luf.tlb_flushed', mm: 'mm' }, 'cpu1');
    for (const message of [
      { type: 'luf.alloc', pfns: [4] },
      { type: 'luf.content', mapping: 'file', index: 0 },
    ])
      hook(system, message);
    expect(warned(mkwrite(setPte(system, presentPte(5)), 5))).toBeNull();
  });
});

test('the first WARN is the one that is kept', () => {
  const system = returns(mkwrite(skip(rig('check-clear')), 4));
  expect(warned(hook(system, { type: 'luf.cleared', pfn: 4 }))).toBe('luf.return_to_user');
});

test('every transition was taken', () => {
  expect(untaken(lufDebug)).toEqual([]);
});
