import { coherence, folio, folioLock, pageCache, putPage, revalidateMapping } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const PATH = 'revalidate';
/** The server has f.v1 by now; this host has read f.v0. */
const items = [{ mm: 'mm', vpn: 0, ptl: 'ptl' }];

interface Setup {
  /** The frame in the slot; null: the page is not in the cache. */
  pfn?: number | null;
  /** References of frame 4: the cache has one, this path takes one. */
  refcount?: number;
  machine?: typeof revalidateMapping;
  luf?: boolean;
  debug?: boolean;
  others?: Actors;
}
const page = (pfn: number, refcount: number) => actor(folio, { input: { pfn, refcount, idle: 0, zone: 'normal', content: 'f.v0' } });

function rig({ pfn = 4, refcount = 1, machine = revalidateMapping, luf = true, debug = true, others = {} }: Setup = {}): Rig {
  const system = new Rig({
    file: actor(pageCache, { input: { folios: { 0: pfn }, stored: { 0: 'f.v0' } } }),
    coherence: actor(coherence, { input: { cells: { f: 'f.v0' }, places: {} } }),
    page4: page(4, refcount),
    page5: page(5, 1),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    unmap: returns({ cpus: [], writable: false, lazyCpus: [] }),
    arch_flush: returns(),
    put: actor(putPage, { input: {} }),
    luf_flush: returns(),
    debug: answers(),
    revalidate: actor(machine, {
      input: {
        mapping: 'file',
        folioLocks: { 4: 'lock4', 5: 'lock5' },
        tryToUnmap: 'unmap',
        archFlush: 'arch_flush',
        putPage: 'put',
        coherence: 'coherence',
        lufFlush: luf ? 'luf_flush' : null,
        debug: debug ? 'debug' : null,
      },
    }),
    p: probe(),
    ...others,
  });
  system.say('p', 'coherence', { type: 'write.begin', cell: 'f' });
  system.say('p', 'file', { type: 'stored.write', index: 0, value: 'f.v1' });
  return system;
}
const call = (system: Rig): Rig => {
  system.say('p', PATH, { type: 'call', index: 0, cell: 'f', items });
  return system;
};
const said = (system: Rig): string[] => system.said(PATH);
const unmaps = (result: object): Actors => ({ unmap: returns(result) });
const cell = (system: Rig): unknown => system.context('coherence').cells.f;
const returned = (system: Rig): number => system.heard('p').filter(({ type }) => type === 'return').length;

/** It has returned, holds no lock and remembers nothing. */
function expectAtRest(system: Rig): void {
  expect([system.at(PATH), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context(PATH)).toMatchObject({ caller: '', index: -1, cell: '', items: [], pfn: -1, cpus: [], value: null });
  for (const lock of ['lock4', 'lock5']) expect(system.context(lock)).toEqual({ owner: null, waiters: [] });
}

const granted = 'file: stored.read {"index":0}';
const look = 'file: slot.read {"index":0}';
const locks = ['page4: folio.try_get', 'lock4: lock', look];
const callUnmap = `unmap: call ${JSON.stringify({ pfn: 4, mapping: 'file', index: 0, leaves: 'none', items })}`;
const removed = ['file: slot.delete {"index":0}', 'page4: folio.ref_dec'];
const gives = ['lock4: unlock', 'put: call {"pfn":4,"pinned":false}'];
const clean = 'page4: page.read';
const pays = 'luf_flush: call';
const done = ['debug: luf.content {"mapping":"file","index":0}', 'coherence: write.complete {"cell":"f","value":"f.v1"}', 'p: return'];

describe('a page in the cache', () => {
  test('is unmapped and dropped; what is owed is paid; then the write of the other host is in force', () => {
    const system = call(rig()).settle();
    expect(said(system)).toEqual([granted, look, ...locks, callUnmap, clean, ...removed, ...gives, pays, ...done]);
    expect([system.context('file').folios[0], cell(system)]).toEqual([null, { values: ['f.v0', 'f.v1'], completed: 1, observed: 0 }]);
    expect([system.at('page4'), system.context('page4').refcount, system.heard('arch_flush')]).toEqual(['free', 0, []]);
    expectAtRest(system);
  });

  test.each([
    ['of the batch', { cpus: ['cpu2', 'cpu1'], lazyCpus: [] }, ['cpu1', 'cpu2']],
    ['that LUF would put off', { cpus: [], lazyCpus: ['cpu1'] }, ['cpu1']],
    ['of both, each once', { cpus: ['cpu1'], lazyCpus: ['cpu0', 'cpu1'] }, ['cpu0', 'cpu1']],
  ])('has the CPUs flushed %s, with the folio locked and before it is out of the cache', (_, result, cpus) => {
    const system = call(rig({ others: { ...unmaps(result), arch_flush: answers() } })).settle();
    expect([system.at(PATH), system.can(PATH, 'step'), system.heard('arch_flush')]).toEqual(['flush_tlb', false, [{ type: 'call', cpus }]]);
    expect([system.context('lock4').owner, system.context('file').folios[0], system.context('page4').refcount]).toEqual([PATH, 4, 2]);
    system.say('p', PATH, 'return');
    expect(said(system.settle()).slice(-9)).toEqual([clean, ...removed, ...gives, pays, ...done]);
    expectAtRest(system);
  });

  test('is looked for under its lock once more, and left alone where another took it away', () => {
    const system = call(rig()).stepTo(PATH, 'folio_lock');
    system.say('p', 'file', { type: 'slot.delete', index: 0 });
    system.settle();
    expect(said(system)).toEqual([granted, look, ...locks, ...gives, pays, ...done]);
    expect([system.heard('unmap'), system.context('page4').refcount]).toEqual([[], 1]);
    expectAtRest(system);
  });

  test('that another has put in its place was read after the lock was granted, and stays', () => {
    const system = call(rig()).stepTo(PATH, 'folio_lock');
    system.say('p', 'file', { type: 'slot.replace', index: 0, pfn: 5 });
    system.settle();
    expect([system.heard('unmap'), system.context('file').folios[0], system.context('page4').refcount, system.heard('page5')]).toEqual([[], 5, 1, []]);
    expectAtRest(system);
  });

  test('sleeps while another has it locked', () => {
    const system = rig();
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([system.at(PATH), system.can(PATH, 'step'), system.heard('unmap')]).toEqual(['folio_wait_lock', false, []]);
    system.say('p', 'lock4', 'unlock');
    system.settle();
    expect(system.heard('unmap')).toHaveLength(1);
    expectAtRest(system);
  });

  test('that is being taken away has no reference to give: it looks again', () => {
    const system = rig();
    system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    call(system).take(PATH, 'step').take(PATH, 'step');
    expect([system.at(PATH), said(system)]).toEqual(['find_lock_entries', [granted, look, 'page4: folio.try_get']]);
    expect([system.context('lock4'), system.context('page4').refcount]).toEqual([{ owner: null, waiters: [] }, 0]);
    system.say('p', 'file', { type: 'slot.delete', index: 0 });
    system.settle();
    expect(said(system)).toEqual([granted, look, 'page4: folio.try_get', look, pays, ...done]);
    expectAtRest(system);
  });

  test('that somebody else refers to goes all the same; the reference keeps its memory', () => {
    const system = call(rig({ refcount: 2 })).settle();
    expect(said(system)).toEqual([granted, look, ...locks, callUnmap, clean, ...removed, ...gives, pays, ...done]);
    expect([system.context('file').folios[0], system.context('page4').refcount, system.at('page4')]).toEqual([null, 1, 'present']);
    expect(cell(system)).toEqual({ values: ['f.v0', 'f.v1'], completed: 1, observed: 0 });
    expectAtRest(system);
  });

  test('is locked until it is out of the cache, whose reference goes then', () => {
    const system = call(rig()).stepTo(PATH, 'invalidate_complete_folio2');
    expect([system.context('lock4').owner, system.context('page4').refcount, system.context('file').folios[0]]).toEqual([PATH, 2, 4]);
    system.take(PATH, 'step');
    expect([system.at(PATH), system.context('lock4').owner, system.context('page4').refcount, system.context('file').folios[0]]).toEqual([
      'unlock_gone',
      PATH,
      1,
      null,
    ]);
    expectAtRest(system.settle());
  });
});

describe('a dirty page', () => {
  const dirty = (setup: Setup = {}): Rig => {
    const system = rig(setup);
    system.say('p', 'page4', 'folio.mark_dirty');
    return call(system);
  };

  test('is unmapped, flushed, written out and cleaned, and then dropped', () => {
    const system = dirty({ others: unmaps({ cpus: ['cpu1'] }) }).settle();
    const writes = ['page4: memory.read {"sample":true}', 'file: stored.write {"index":0,"value":"f.v0"}', 'page4: folio.clean'];
    expect(said(system).slice(5, 11)).toEqual([callUnmap, 'arch_flush: call {"cpus":["cpu1"]}', clean, ...writes]);
    expect(said(system).slice(11)).toEqual([...removed, ...gives, pays, ...done]);
    expect([system.context('file').folios[0], system.context('page4').dirty]).toEqual([null, false]);
    expectAtRest(system);
  });

  test('is read with the folio locked: a store that comes now is lost', () => {
    const system = dirty().stepTo(PATH, 'nfs_wb_folio').take(PATH, 'step');
    expect([system.context('page4').sampled, system.context('lock4').owner, system.context('file').folios[0]]).toEqual([true, PATH, 4]);
  });
});

describe('row L9: no page in the cache', () => {
  test('what is owed is paid, since a TLB may have it', () => {
    const system = call(rig({ pfn: null, others: { luf_flush: answers() } })).settle();
    expect([system.at(PATH), system.can(PATH, 'step'), said(system)]).toEqual(['luf_flush', false, [granted, look, pays]]);
    expect([cell(system), system.heard('debug')]).toEqual([{ values: ['f.v0', 'f.v1'], completed: 0, observed: 0 }, []]);
    system.say('p', PATH, 'return');
    expect(said(system.settle())).toEqual([granted, look, pays, ...done]);
    expectAtRest(system);
  });

  test.each<[string, Setup]>([
    ['a kernel without LUF', { luf: false }],
    ['the safeguard out', { machine: revalidateMapping.provide({ guards: { mustFlush: () => false } }) }],
  ])('with %s nothing is paid', (_, setup) => {
    const system = call(rig({ pfn: null, ...setup })).settle();
    expect([said(system), system.heard('luf_flush')]).toEqual([[granted, look, ...done], []]);
    expectAtRest(system);
  });

  test('it is paid once for a page that was in the cache, after that is gone', () => {
    const system = call(rig({ machine: revalidateMapping.provide({ guards: { mustFlush: () => false } }) })).settle();
    expect(said(system)).toEqual([granted, look, ...locks, callUnmap, clean, ...removed, ...gives, ...done]);
    expect(call(rig()).settle().heard('luf_flush')).toEqual([{ type: 'call' }]);
  });
});

test('what must be seen is what the server had when it granted the lock', () => {
  const system = call(rig({ pfn: null })).take(PATH, 'step');
  system.say('p', 'coherence', { type: 'write.begin', cell: 'f' });
  system.say('p', 'file', { type: 'stored.write', index: 0, value: 'f.v2' });
  expect(system.settle().context('coherence').cells.f).toEqual({ values: ['f.v0', 'f.v1', 'f.v2'], completed: 1, observed: 0 });
});

test('without a debug mode nobody is told', () => {
  const system = call(rig({ pfn: null, debug: false })).settle();
  expect([said(system), system.heard('debug')]).toEqual([[granted, look, pays, ...done.slice(1)], []]);
});

test('one call remembers nothing of the one before', () => {
  const system = call(rig({ others: { unmap: returns({ cpus: ['cpu1'] }, {}) } })).settle();
  expectAtRest(system);
  system.say('p', 'file', { type: 'slot.add', index: 0, pfn: 5 });
  call(system).settle();
  expect([system.heard('arch_flush'), system.heard('unmap').map(({ pfn }) => pfn), returned(system)]).toEqual([[{ type: 'call', cpus: ['cpu1'] }], [4, 5], 2]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(revalidateMapping)).toEqual([]);
});
