import { addressSpace, coherence, folio, folioLock, type Pte, presentPte, putPage, rwsem, spinlock, uprobeWriteOpcode } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const OLD = 4;
const COPY = 5;
const VPN = 2;
const ACTOR = 'uprobe';
const text = presentPte(OLD, { write: false });
const none: Pte = { kind: 'none' };
/** Row L18: what is not present is filled, too. */
const fills = uprobeWriteOpcode.provide({ guards: { demandsPresent: () => false } });

const page = (pfn: number, counts: { refcount: number; mapcount?: number }) =>
  actor(folio, { input: { pfn, idle: 0, zone: 'normal', content: 't.v0', ...counts } });

interface Setup {
  pte?: Pte;
  machine?: typeof uprobeWriteOpcode;
  notified?: boolean;
  others?: Actors;
}
/** The instruction is in frame 4, which the page cache and one pte refer to; frame 5 has just been allocated. */
const rig = ({ pte = text, machine = uprobeWriteOpcode, notified = false, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { [VPN]: pte }, vmas: [VPN], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    page4: page(OLD, pte.kind === 'present' || pte.kind === 'protnone' ? { refcount: 2, mapcount: 1 } : { refcount: 1 }),
    page5: page(COPY, { refcount: 1 }),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    coherence: actor(coherence, { input: { cells: { t: 't.v0' }, places: {} } }),
    fault: answers(),
    alloc: returns({ pfns: [COPY] }),
    put: returns(),
    flush: returns(),
    notifier: returns({ ok: true }),
    uprobe: actor(machine, {
      input: {
        mm: 'mm',
        mmapLock: 'mmap_lock',
        ptl: 'ptl',
        folioLocks: { [OLD]: 'lock4', [COPY]: 'lock5' },
        fault: 'fault',
        allocPages: 'alloc',
        putPage: 'put',
        flush: 'flush',
        coherence: 'coherence',
        ...(notified ? { notifier: 'notifier' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', ACTOR, { type: 'call', vpn: VPN, cell: 't' });
  return system;
};
const said = (system: Rig): string[] => system.said(ACTOR);
const set = (system: Rig, pte: Pte): Message[] => system.say('p', 'mm', { type: 'pte.set', vpn: VPN, pte });
const putPages = (system: Rig): unknown[] => system.heard('put').map(({ pfn }) => pfn);

/** It has returned, holds no lock and remembers nothing. */
function expectAtRest(system: Rig): void {
  expect([system.at(ACTOR), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context(ACTOR)).toMatchObject({ caller: '', vpn: -1, cell: '', old: -1, pte: none, copy: -1, value: '' });
  expect(system.context('mmap_lock')).toEqual({ writer: null, readers: [], waiters: [] });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect(system.context(lock)).toEqual({ owner: null, waiters: [] });
}

const toCopy = ['mmap_lock: down_write', 'mm: pte.read {"vpn":2}', 'page4: folio.ref_inc', 'alloc: call'];
const filled = ['coherence: write.begin {"cell":"t"}', 'page5: memory.write {"value":"t.v1"}'];
const toCheck = ['lock4: lock', 'ptl: lock', 'mm: pte.read {"vpn":2}'];
const replaced = [
  'mm: pte.get_and_clear {"vpn":2}',
  'flush: call {"vpns":[2]}',
  'page5: folio.add_rmap',
  'mm: pte.set {"vpn":2,"pte":{"kind":"present","pfn":5,"write":false,"dirty":false,"devmap":false,"special":false}}',
  'page4: folio.remove_rmap',
  'ptl: unlock',
  'lock4: unlock',
];
const putOld = 'put: call {"pfn":4,"pinned":false}';
const putCopy = 'put: call {"pfn":5,"pinned":false}';
const done = ['mmap_lock: up_write', 'coherence: write.complete {"cell":"t","value":"t.v1"}', 'p: return'];
const failing = ['mmap_lock: up_write', 'p: return'];

describe('a page that is mapped', () => {
  test('is copied, and replaced: clear, flush, set; then both references of the old one go', () => {
    const system = call(rig()).settle();
    expect(said(system)).toEqual([...toCopy, ...filled, ...toCheck, ...replaced, putOld, putOld, ...done]);
    expect(system.context('mm').ptes[VPN]).toEqual(presentPte(COPY, { write: false }));
    expectAtRest(system);
  });

  test('belongs to the page cache only then, and the copy with the breakpoint to its mapping', () => {
    const system = call(rig({ others: { put: actor(putPage, { input: {} }) } })).settle();
    expect([system.context('page4'), system.context('page5')]).toMatchObject([
      { mapcount: 0, refcount: 1, content: 't.v0' },
      { mapcount: 1, refcount: 1, content: 't.v1' },
    ]);
    expectAtRest(system);
  });

  test('has its breakpoint in force only when all is done', () => {
    const system = call(rig()).stepTo(ACTOR, 'mmap_write_unlock');
    expect(system.context('coherence').cells.t).toEqual({ values: ['t.v0', 't.v1'], completed: 0, observed: 0 });
    expect([system.context('mmap_lock').writer, system.heard('p')]).toEqual([ACTOR, []]);
    expect(system.take(ACTOR, 'step').context('coherence').cells.t.completed).toBe(1);
  });

  test('row L18: its pte is none while it is flushed, under all locks', () => {
    const system = call(rig({ others: { flush: answers() } })).settle();
    expect([system.at(ACTOR), system.can(ACTOR, 'step'), system.context('mm').ptes[VPN]]).toEqual(['flush_tlb_page', false, none]);
    expect([system.context('mmap_lock').writer, system.context('ptl').owner, system.context('lock4').owner]).toEqual([ACTOR, ACTOR, ACTOR]);
    system.say('p', ACTOR, 'return');
    expectAtRest(system.settle());
  });

  test('is released by the time that the references go', () => {
    const system = call(rig({ others: { put: answers() } })).settle();
    expect([system.at(ACTOR), system.context('ptl').owner, system.context('lock4').owner]).toEqual(['drop_old', null, null]);
    system.say('p', ACTOR, 'return');
    expect([system.at(ACTOR), putPages(system), system.context('mmap_lock').writer]).toEqual(['put_old', [OLD, OLD], ACTOR]);
    system.say('p', ACTOR, 'return');
    expectAtRest(system.settle());
  });

  test('can be done again at once', () => {
    const system = call(rig()).settle();
    set(system, text);
    const before = said(system).length;
    expect(said(call(system).settle()).slice(before)).toEqual(
      said(system)
        .slice(0, before)
        .map((line) => line.replace('t.v1', 't.v2')),
    );
    expectAtRest(system);
    expect(system.heard('p').filter(({ type }) => type === 'return')).toHaveLength(2);
  });
});

describe('it waits', () => {
  test.each([
    ['mmap_lock', 'down_read', 'up_read', 'wait_for_mmap_lock'],
    ['lock4', 'lock', 'unlock', 'folio_wait_lock'],
    ['ptl', 'lock', 'unlock', 'spin_on_ptl'],
  ])('while another has %s', (lock, take, release, state) => {
    const system = rig();
    system.say('p', lock, take);
    call(system).settle();
    expect([system.at(ACTOR), system.can(ACTOR, 'step'), system.context('mm').ptes[VPN]]).toEqual([state, false, text]);
    system.say('p', lock, release);
    expectAtRest(system.settle());
    expect(system.context('mm').ptes[VPN]).toEqual(presentPte(COPY, { write: false }));
  });
});

describe('a page that is not mapped', () => {
  test.each<Pte>([none, { kind: 'swap', slot: 0 }, { kind: 'migration', pfn: OLD, write: false }])('is faulted in, and then replaced (%j)', (pte) => {
    const system = call(rig({ pte })).settle();
    expect([system.at(ACTOR), system.heard('fault')]).toEqual(['handle_mm_fault', [{ type: 'call', vpn: VPN, write: false }]]);
    expect([system.context('mmap_lock').writer, system.context('ptl').owner, system.heard('alloc')]).toEqual([ACTOR, null, []]);
    set(system, text);
    system.say('p', 'page4', 'folio.add_rmap');
    system.say('p', ACTOR, { type: 'return', ok: true });
    system.settle();
    expect(said(system)).toEqual([
      ...toCopy.slice(0, 2),
      'fault: call {"vpn":2,"write":false}',
      ...toCopy.slice(1),
      ...filled,
      ...toCheck,
      ...replaced,
      putOld,
      putOld,
      ...done,
    ]);
    expectAtRest(system);
  });

  test('is faulted in once more if it is taken away again', () => {
    const system = call(rig({ pte: none })).settle();
    system.say('p', ACTOR, { type: 'return', ok: true });
    system.settle();
    expect([system.at(ACTOR), system.heard('fault').length, system.heard('alloc')]).toEqual(['handle_mm_fault', 2, []]);
  });

  test.each([{ ok: false }, {}])('that cannot be faulted in: registration fails (%j)', (result) => {
    const system = call(rig({ pte: none, others: { fault: returns(result) } })).stepTo(ACTOR, 'mmap_write_unlock_failed');
    expect([system.context('mmap_lock').writer, system.heard('p')]).toEqual([ACTOR, []]);
    system.settle();
    expect(said(system)).toEqual([...toCopy.slice(0, 2), 'fault: call {"vpn":2,"write":false}', ...failing]);
    expect(system.context('coherence').cells.t).toEqual({ values: ['t.v0'], completed: 0, observed: 0 });
    expectAtRest(system);
  });

  test('a page without access (PROT_NONE) is mapped: it is replaced without a fault', () => {
    const system = call(rig({ pte: { kind: 'protnone', pfn: OLD, dirty: false }, others: { fault: returns({ ok: true }) } })).settle();
    const without = (lines: string[]): string[] => lines.filter((line) => !line.includes('pte.set'));
    expect(without(said(system))).toEqual([...toCopy, ...filled, ...toCheck, ...without(replaced), putOld, putOld, ...done]);
    expect([system.heard('fault'), system.context('mm').ptes[VPN].pfn]).toEqual([[], COPY]);
    expectAtRest(system);
  });
});

describe('-EAGAIN: the pte has changed while the copy was made', () => {
  const gone: Pte[] = [none, presentPte(6), { kind: 'swap', slot: 0 }, { kind: 'migration', pfn: OLD, write: false }];

  test.each(gone)('both pages are given back, and it starts anew (%j)', (pte) => {
    const system = call(rig()).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, pte);
    system.stepTo(ACTOR, 'again');
    expect([system.context('ptl').owner, system.context('lock4').owner, system.heard('flush')]).toEqual([ACTOR, ACTOR, []]);
    system.take(ACTOR, 'step');
    expect(system.at(ACTOR)).toBe('get_user_page_vma_remote');
    expect(said(system).slice(-4)).toEqual(['ptl: unlock', 'lock4: unlock', putCopy, putOld]);
    expect([system.context(ACTOR).old, system.context(ACTOR).copy, system.context('mmap_lock').writer]).toEqual([-1, -1, ACTOR]);
    expect(system.context('mm').ptes[VPN]).toEqual(pte);
    set(system, text);
    expectAtRest(system.settle());
    expect(putPages(system)).toEqual([COPY, OLD, OLD, OLD]);
  });

  test('holds no page-table lock and no folio lock while it gives them back', () => {
    const system = call(rig({ others: { put: answers() } })).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, none);
    system.stepTo(ACTOR, 'put_copy');
    expect([system.context('ptl').owner, system.context('lock4').owner, putPages(system)]).toEqual([null, null, [COPY]]);
    system.say('p', ACTOR, 'return');
    expect([system.at(ACTOR), putPages(system)]).toEqual(['put_old_again', [COPY, OLD]]);
  });
});

describe('without memory for the copy', () => {
  const failed = (): Rig => call(rig({ others: { alloc: returns({ pfns: [] }) } })).settle();

  test('nothing is replaced, and it is at rest', () => {
    const system = failed();
    expect([system.context('mm').ptes[VPN], system.heard('flush'), system.heard('page5'), system.heard('ptl')]).toEqual([text, [], [], []]);
    expect(system.context('coherence').cells.t.values).toEqual(['t.v0']);
    expectAtRest(system);
    expectAtRest(call(system).settle());
  });

  test('an answer without pages is none either', () => {
    expectAtRest(call(rig({ others: { alloc: returns() } })).settle());
  });

  test('the reference of the old page is given back, with mmap_lock held', () => {
    const system = call(rig({ others: { alloc: returns({ pfns: [] }), put: answers() } })).settle();
    expect([system.at(ACTOR), putPages(system), system.context('mmap_lock').writer]).toEqual(['put_old_failed', [OLD], ACTOR]);
    system.say('p', ACTOR, 'return');
    expect(said(system.settle())).toEqual([...toCopy, putOld, ...failing]);
    expectAtRest(system);
  });

  test('no write completes, also of a round that ended with -EAGAIN', () => {
    const system = call(rig({ others: { alloc: returns({ pfns: [COPY] }, { pfns: [] }) } })).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, none);
    system.stepTo(ACTOR, 'get_user_page_vma_remote');
    set(system, text);
    expect(system.settle().context('coherence').cells.t).toMatchObject({ values: ['t.v0', 't.v1'], completed: 0 });
    expect([said(system).slice(-3), putPages(system)]).toEqual([
      [putOld, ...failing],
      [COPY, OLD, OLD],
    ]);
    expectAtRest(system);
  });

  test('row L18: with a plain set of what is none there is no page to give back', () => {
    const system = call(rig({ pte: none, machine: fills, others: { alloc: returns({ pfns: [] }) } })).settle();
    expect([said(system), system.heard('put')]).toEqual([[...toCopy.filter((line) => !line.includes('ref_inc')), ...failing], []]);
    expectAtRest(system);
  });
});

describe('row L18: with a plain set of what is none', () => {
  test('the copy is mapped without a fault and without a flush, and no folio is locked', () => {
    const system = call(rig({ pte: none, machine: fills })).settle();
    expect(said(system)).toEqual([
      ...toCopy.filter((line) => !line.includes('ref_inc')),
      ...filled,
      ...toCheck.slice(1),
      ...replaced.slice(2, 4),
      'ptl: unlock',
      ...done,
    ]);
    expect([system.heard('flush'), system.heard('fault'), system.heard('put')]).toEqual([[], [], []]);
    expect(system.context('mm').ptes[VPN]).toEqual(presentPte(COPY, { write: false }));
    expectAtRest(system);
  });

  test('a page that is mapped is cleared and flushed as ever', () => {
    const system = call(rig({ machine: fills })).settle();
    expect(said(system)).toEqual(said(call(rig()).settle()));
  });

  test.each<Pte>([text, presentPte(6), { kind: 'migration', pfn: OLD, write: false }])(
    'a pte that was filled meanwhile is left; it starts anew (%j)',
    (pte) => {
      const system = call(rig({ pte: none, machine: fills })).stepTo(ACTOR, 'page_vma_mapped_walk');
      set(system, pte);
      system.stepTo(ACTOR, 'filled').take(ACTOR, 'step');
      expect([system.at(ACTOR), said(system).slice(-2), system.context('mm').ptes[VPN]]).toEqual(['get_user_page_vma_remote', ['ptl: unlock', putCopy], pte]);
      expect([system.context(ACTOR).copy, system.context('ptl').owner]).toEqual([-1, null]);
      set(system, none);
      expectAtRest(system.settle());
      expect(putPages(system)).toEqual([COPY]);
    },
  );
});

describe('secondary MMUs', () => {
  const start = 'notifier: call {"phase":"start","event":"CLEAR","owner":null,"vpns":[2]}';
  const end = start.replace('start', 'end');
  const order = (system: Rig): string[] => said(system).filter((line) => /^(notifier|ptl|lock4|flush|put): /.test(line));

  test('are told with the folio locked, before the page-table lock is taken and after it is dropped', () => {
    const system = call(rig({ notified: true })).settle();
    expect(order(system)).toEqual(['lock4: lock', start, 'ptl: lock', 'flush: call {"vpns":[2]}', 'ptl: unlock', end, 'lock4: unlock', putOld, putOld]);
    expect(system.context('mm').ptes[VPN]).toEqual(presentPte(COPY, { write: false }));
    expectAtRest(system);
  });

  test('are told of the end too where the pte has changed; then it starts anew', () => {
    const system = call(rig({ notified: true })).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, none);
    system.stepTo(ACTOR, 'again').stepTo(ACTOR, 'get_user_page_vma_remote');
    expect(order(system)).toEqual(['lock4: lock', start, 'ptl: lock', 'ptl: unlock', end, 'lock4: unlock', putCopy, putOld]);
    set(system, text);
    expectAtRest(system.settle());
    expect(system.heard('notifier')).toHaveLength(4);
  });

  test('hold it up with the folio locked, and without the page-table lock', () => {
    const system = call(rig({ notified: true, others: { notifier: answers() } })).settle();
    const held = (): unknown => [system.at(ACTOR), system.can(ACTOR, 'step'), system.context('ptl').owner, system.context('lock4').owner];
    expect([held(), system.context('mm').ptes[VPN]]).toEqual([['mmu_notifier_invalidate_range_start', false, null, ACTOR], text]);
    system.say('p', ACTOR, { type: 'return', ok: true });
    system.settle();
    expect([held(), system.context('mm').ptes[VPN].pfn]).toEqual([['mmu_notifier_invalidate_range_end', false, null, ACTOR], COPY]);
    system.say('p', ACTOR, { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test('row L18 tells them too, without a folio lock', () => {
    const system = call(rig({ pte: none, machine: fills, notified: true })).settle();
    expect([order(system), system.heard('page4')]).toEqual([[start, 'ptl: lock', 'ptl: unlock', end], []]);
    expectAtRest(system);
  });

  test('row L18: filled meanwhile, the end is told, and it starts anew', () => {
    const system = call(rig({ pte: none, machine: fills, notified: true })).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, text);
    system.stepTo(ACTOR, 'filled').take(ACTOR, 'step');
    expect([system.at(ACTOR), order(system)]).toEqual(['get_user_page_vma_remote', [start, 'ptl: lock', 'ptl: unlock', end, putCopy]]);
    set(system, none);
    expectAtRest(system.settle());
  });
});

describe('a device-exclusive entry', () => {
  const entry: Pte = { kind: 'devexcl', pfn: OLD };

  test('is not present: the fault restores it, and then the page is replaced', () => {
    const system = call(rig({ pte: entry })).settle();
    expect([system.at(ACTOR), system.heard('fault'), system.heard('page4')]).toEqual(['handle_mm_fault', [{ type: 'call', vpn: VPN, write: false }], []]);
    set(system, text);
    system.say('p', 'page4', 'folio.add_rmap');
    system.say('p', ACTOR, { type: 'return', ok: true });
    expectAtRest(system.settle());
    expect(system.context('mm').ptes[VPN].pfn).toBe(COPY);
  });

  test('made while the copy was made: it starts anew', () => {
    const system = call(rig()).stepTo(ACTOR, 'page_vma_mapped_walk');
    set(system, entry);
    system.stepTo(ACTOR, 'get_user_page_vma_remote');
    expect([said(system).slice(-4), system.context('mm').ptes[VPN]]).toEqual([['ptl: unlock', 'lock4: unlock', putCopy, putOld], entry]);
  });
});

test('every transition was taken', () => {
  expect(untaken(uprobeWriteOpcode)).toEqual([]);
});
