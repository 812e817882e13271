import { coherence, folio, folioLock, genericPerformWrite, pageCache, protectionRecord, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** The page that the file has cached at the offset; it is mapped nowhere. */
  cached?: number;
  /** What the allocator hands out, call by call. */
  allocated?: number[][];
  luf?: boolean;
  debug?: boolean;
  /** Pages may be protected by a record. */
  protects?: boolean;
  machine?: typeof genericPerformWrite;
  others?: Actors;
}
/** With the reference of the cache, or that of who has just allocated it. */
const page = (pfn: number): Actors => ({
  [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: 'f.v0' } }),
  [`lock${pfn}`]: actor(folioLock),
});

const rig = ({ cached, allocated = [], luf = true, debug = false, protects = false, machine = genericPerformWrite, others = {} }: Setup): Rig =>
  new Rig({
    ...page(4),
    ...page(5),
    file: actor(pageCache, { input: { folios: cached === undefined ? {} : { 2: cached }, stored: { 2: 'f.v0' } } }),
    alloc_pages: returns(...allocated.map((pfns) => ({ pfns }))),
    put: actor(putPage, { input: {} }),
    coherence: actor(coherence, { input: { cells: { f: 'f.v0' }, places: {} } }),
    luf_flush: returns(),
    debug: answers(),
    write: actor(machine, {
      input: {
        mapping: 'file',
        folioLocks: { 4: 'lock4', 5: 'lock5' },
        allocPages: 'alloc_pages',
        putPage: 'put',
        coherence: 'coherence',
        lufFlush: luf ? 'luf_flush' : null,
        debug: debug ? 'debug' : null,
        task: 'task0',
        ...(protects ? { breakProtection: 'break' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'write', { type: 'call', index: 2, cell: 'f' });
  return system;
};
const written = (setup: Setup): Rig => call(rig(setup)).settle();
const told = (system: Rig, ...to: string[]): string[] => system.said('write').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
const cell = (system: Rig): unknown => {
  const { values, completed } = system.context('coherence').cells.f;
  return { values, completed };
};
const untouched = { values: ['f.v0'], completed: 0 };
/** Nobody holds anything, and each page has the references given. */
function expectAtRest(system: Rig, refcounts: Record<number, number>): void {
  expect(system.context('write')).toMatchObject({ caller: '', index: -1, cell: '', pfn: -1, value: '' });
  expect([system.context('lock4'), system.context('lock5')]).toEqual([
    { owner: null, waiters: [] },
    { owner: null, waiters: [] },
  ]);
  for (const [pfn, refcount] of Object.entries(refcounts)) expect([pfn, system.context(`page${pfn}`).refcount]).toEqual([pfn, refcount]);
  expect([system.at('write'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const look = 'file: slot.read {"index":2}';
const get = (pfn: number): string[] => [look, `page${pfn}: folio.try_get`, `lock${pfn}: lock`, look];
const read = (pfn: number): string[] => [
  look,
  'alloc_pages: call',
  `lock${pfn}: lock`,
  `file: slot.add {"index":2,"pfn":${pfn}}`,
  `page${pfn}: folio.ref_inc`,
  'file: stored.read {"index":2}',
  `page${pfn}: memory.write {"value":"f.v0"}`,
];
const flush = 'luf_flush: call';
const copy = (pfn: number, value = 'f.v1'): string[] => [
  'coherence: write.begin {"cell":"f"}',
  `page${pfn}: memory.write {"value":"${value}"}`,
  `page${pfn}: folio.mark_dirty`,
];
const completed = (value = 'f.v1'): string => `coherence: write.complete {"cell":"f","value":"${value}"}`;
const end = (pfn: number, value?: string): string[] => [`lock${pfn}: unlock`, `put: call {"pfn":${pfn},"pinned":false}`, completed(value), 'p: return'];
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;

describe('write_begin', () => {
  test('a page in the cache: a reference, the lock, a look whether it is there still; then what is owed is paid, and the bytes are copied', () => {
    const system = written({ cached: 4 });
    expect(system.said('write')).toEqual([...get(4), flush, ...copy(4), ...end(4)]);
    expect(system.context('page4')).toMatchObject({ content: 'f.v1', dirty: true });
    expect(cell(system)).toEqual({ values: ['f.v0', 'f.v1'], completed: 1 });
    expectAtRest(system, { 4: 1 });
  });

  test('a page that is not in the cache: a new one, locked, into the cache, and the rest of it is read first', () => {
    const system = written({ allocated: [[5]] });
    expect(system.said('write')).toEqual([...read(5), flush, ...copy(5), ...end(5)]);
    expect([system.context('file').folios, system.context('page5').content]).toEqual([{ 2: 5 }, 'f.v1']);
    expectAtRest(system, { 5: 1 });
  });

  test('it is locked from before it is in the cache until the bytes are there', () => {
    const system = call(rig({ allocated: [[5]] })).stepTo('write', 'read_folio');
    expect([system.context('file').folios, system.context('lock5').owner, system.context('page5').refcount]).toEqual([{ 2: 5 }, 'write', 2]);
    expect(system.stepTo('write', 'write_end').context('lock5').owner).toBe('write');
    expect(system.take('write', 'step').context('lock5').owner).toBeNull();
    system.settle();
    expectAtRest(system, { 5: 1 });
  });

  test('out of memory: nothing is written, and nothing completed', () => {
    const system = written({ allocated: [[]] });
    expect([system.said('write'), cell(system)]).toEqual([[look, 'alloc_pages: call', 'p: return'], untouched]);
    expectAtRest(system, { 4: 1, 5: 1 });
  });

  test('another thread was faster into the cache: the page goes back, and theirs is written', () => {
    const system = call(rig({ allocated: [[5]] })).stepTo('write', 'filemap_add_folio');
    system.say('p', 'file', { type: 'slot.add', index: 2, pfn: 4 });
    const exists = [look, 'alloc_pages: call', 'lock5: lock', 'file: slot.add {"index":2,"pfn":5}', 'lock5: unlock', put(5)];
    expect(system.settle().said('write')).toEqual([...exists, ...get(4), flush, ...copy(4), ...end(4)]);
    expect([system.at('page5'), system.context('file').folios, system.context('page4').content]).toEqual(['free', { 2: 4 }, 'f.v1']);
    expectAtRest(system, { 4: 1, 5: 0 });
  });

  test('a page that is being taken away: looks again, until the slot is empty', () => {
    const system = rig({ cached: 4, allocated: [[5]] });
    system.say('p', 'page4', { type: 'folio.freeze', expected: 1 });
    call(system).take('write', 'step');
    expect([system.at('write'), system.said('write')]).toEqual(['write_begin', [look, 'page4: folio.try_get']]);
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    expect(system.settle().said('write').slice(2)).toEqual([...read(5), flush, ...copy(5), ...end(5)]);
    expectAtRest(system, { 4: 0, 5: 1 });
  });

  test.each<[string, number | null]>([
    ['taken away', null],
    ['replaced by another', 5],
  ])('a page that was %s while it waited for the lock: unlocks, gives the reference back, looks again', (_, now) => {
    const system = rig({ cached: 4, allocated: [[5]] });
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    expect([system.at('write'), system.can('write', 'step'), system.context('page4').refcount, cell(system)]).toEqual(['folio_wait_lock', false, 2, untouched]);
    system.say('p', 'file', now === null ? { type: 'slot.delete', index: 2 } : { type: 'slot.replace', index: 2, pfn: now });
    system.say('p', 'lock4', 'unlock');
    system.settle();
    const again = now === null ? read(5) : get(5);
    expect(system.said('write')).toEqual([...get(4), 'lock4: unlock', put(4), ...again, flush, ...copy(5), ...end(5)]);
    expect([system.context('page4').content, system.context('page5').content]).toEqual(['f.v0', 'f.v1']);
    expectAtRest(system, { 4: 1, 5: 1 });
  });
});

describe('LUF: a stale translation still shows what the file held before', () => {
  test('row L8a: what is owed is paid with the folio locked, before anybody can see the new bytes', () => {
    const system = written({ cached: 4, others: { luf_flush: answers() } });
    expect([system.at('write'), system.can('write', 'step'), system.context('lock4').owner]).toEqual(['luf_flush', false, 'write']);
    expect([system.context('page4').content, cell(system)]).toEqual(['f.v0', untouched]);
    system.say('p', 'write', 'return');
    expect(system.settle().context('page4').content).toBe('f.v1');
    expectAtRest(system, { 4: 1 });
  });

  test('a kernel without LUF pays nothing', () => {
    const system = written({ cached: 4, luf: false });
    expect(system.said('write')).toEqual([...get(4), ...copy(4), ...end(4)]);
    expectAtRest(system, { 4: 1 });
  });

  test('with the safeguard out the new bytes are there unpaid', () => {
    const system = written({ cached: 4, machine: genericPerformWrite.provide({ guards: { mustFlushBeforeCopy: () => false } }) });
    expect([system.said('write'), system.heard('luf_flush')]).toEqual([[...get(4), ...copy(4), ...end(4)], []]);
    expectAtRest(system, { 4: 1 });
  });

  test('row L8: the flush comes when the page is unlocked, and before write(2) returns', () => {
    const machine = genericPerformWrite.provide({ guards: { mustFlushBeforeCopy: () => false, mustFlushAfterCopy: () => true } });
    const system = written({ cached: 4, machine, debug: true, others: { luf_flush: answers() } });
    expect([system.at('write'), system.can('write', 'step'), system.context('lock4').owner]).toEqual(['luf_flush_after', false, null]);
    expect([system.context('page4').content, cell(system)]).toEqual(['f.v1', { values: ['f.v0', 'f.v1'], completed: 0 }]);
    system.say('p', 'write', 'return');
    expect(told(system.settle(), 'page4', 'lock4', 'luf_flush', 'debug', 'put', 'coherence').slice(2)).toEqual([
      'coherence: write.begin {"cell":"f"}',
      'debug: luf.content {"mapping":"file","index":2}',
      'page4: memory.write {"value":"f.v1"}',
      'page4: folio.mark_dirty',
      'lock4: unlock',
      'debug: luf.write_end {"mapping":"file","task":"task0"}',
      flush,
      'debug: luf.written {"mapping":"file","task":"task0"}',
      put(4),
      completed(),
    ]);
    expectAtRest(system, { 4: 1 });
  });

  test('row L8b: a file system that reaches no write_end neither pays nor says so', () => {
    const machine = genericPerformWrite.provide({ guards: { mustFlushBeforeCopy: () => false, callsWriteEnd: () => false } });
    const system = written({ cached: 4, machine, debug: true });
    const [begin, ...rest] = copy(4);
    expect(system.said('write')).toEqual([...get(4), begin, 'debug: luf.content {"mapping":"file","index":2}', ...rest, ...end(4)]);
    expectAtRest(system, { 4: 1 });
  });
});

describe('pages may be protected by a record', () => {
  const ask = (pfn: number): string[] => [look, `page${pfn}: folio.try_get`, `lock${pfn}: lock`, `page${pfn}: folio.mapping`];
  const lists = 'record4: record.lists {"mapping":"file","index":2}';
  const callBreak = 'break: call {"pfn":4,"vpn":null,"mapping":"file","index":2}';
  /** Page 4 stands in these files; with several it is protected. */
  const owned = (setup: Setup, ...owners: string[]): Rig => {
    const others = { record4: actor(protectionRecord), break: answers(), ...setup.others };
    const system = rig({ cached: 4, luf: false, protects: true, ...setup, others });
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping: owners[0] as string });
    if (owners.length === 1) return system;
    for (const mapping of owners) system.say('p', 'record4', { type: 'record.add_slot', slot: { mapping, index: 2 } });
    system.say('p', 'page4', { type: 'folio.protect', record: 'record4', stable: true });
    return system;
  };
  /** The file gets page 5 in the place of page 4, and break_protection returns. */
  const breakIt = (system: Rig): Rig => {
    system.say('p', 'record4', { type: 'record.remove_slot', slot: { mapping: 'file', index: 2 } });
    system.say('p', 'page5', { type: 'folio.set_mapping', mapping: 'file' });
    system.say('p', 'file', { type: 'slot.replace', index: 2, pfn: 5 });
    return system;
  };

  test('one that is alone in its file: the page is asked, not the slot', () => {
    const system = call(owned({}, 'file')).settle();
    expect(system.said('write')).toEqual([...ask(4), ...copy(4), ...end(4)]);
    expectAtRest(system, { 4: 1 });
  });

  test.each([
    ['truncated meanwhile', null],
    ["another file's by now", 'other'],
  ])('one that is %s: unlocks, gives the reference back, looks again', (_, mapping) => {
    const system = owned({ allocated: [[5]] }, 'file');
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    system.say('p', 'page4', { type: 'folio.set_mapping', mapping });
    system.say('p', 'file', { type: 'slot.delete', index: 2 });
    system.say('p', 'lock4', 'unlock');
    const added = read(5).toSpliced(5, 0, 'page5: folio.set_mapping {"mapping":"file"}');
    expect(system.settle().said('write')).toEqual([...ask(4), 'lock4: unlock', put(4), ...added, ...copy(5), ...end(5)]);
    expect(system.context('page5').mapping).toBe('file');
    expectAtRest(system, { 4: 1, 5: 1 });
  });

  test('one that others share: locked no more, its protection is broken, then the page is looked up again', () => {
    const system = call(owned({}, 'file', 'other')).settle();
    expect([system.at('write'), system.can('write', 'step')]).toEqual(['break_protection', false]);
    expect([system.context('lock4').owner, system.context('page4').refcount, cell(system)]).toEqual([null, 1, untouched]);
    breakIt(system).say('p', 'write', { type: 'return', ok: true });
    const broken = [...ask(4), lists, 'lock4: unlock', put(4), callBreak];
    expect(system.settle().said('write')).toEqual([...broken, ...ask(5), ...copy(5), ...end(5)]);
    expect([system.context('page4').content, system.context('page5').content]).toEqual(['f.v0', 'f.v1']);
    expectAtRest(system, { 4: 1, 5: 1 });
  });

  test('one that others share, and there is no page for a copy: the write is given up (-ENOMEM), and nothing has changed', () => {
    const system = call(owned({}, 'file', 'other')).settle();
    system.say('p', 'write', { type: 'return', ok: false });
    expect(system.settle().said('write')).toEqual([...ask(4), lists, 'lock4: unlock', put(4), callBreak, 'p: return']);
    expect([system.at('write'), system.context('page4').content, cell(system)]).toEqual(['idle', 'f.v0', untouched]);
    expect(system.context('write')).toMatchObject({ caller: '', index: -1, pfn: -1 });
  });

  test('one that others share, and the file no more: looks again', () => {
    const system = owned({}, 'file', 'other', 'third');
    system.say('p', 'lock4', 'lock');
    call(system).settle();
    breakIt(system).say('p', 'lock4', 'unlock');
    expect(system.settle().said('write')).toEqual([...ask(4), lists, 'lock4: unlock', put(4), ...ask(5), ...copy(5), ...end(5)]);
    expect([system.context('page4').content, system.heard('break')]).toEqual(['f.v0', []]);
    expectAtRest(system, { 4: 1, 5: 1 });
  });

  test('row W9: who does not break the protection changes the bytes of all', () => {
    const machine = genericPerformWrite.provide({ guards: { breaksProtection: () => false } });
    const system = call(owned({ machine }, 'file', 'other')).stepTo('write', 'copy_page_from_iter_atomic');
    expect([system.said('write').at(-1), system.heard('break')]).toEqual([lists, []]);
    expect(system.take('write', 'step').bugs()).toEqual(['BUG: a page whose bytes others share (KSM, deduplication) is stored to']);
  });

  test('row W14: who does not know records takes the page for truncated, and looks for it for ever', () => {
    const machine = genericPerformWrite.provide({ guards: { knowsRecord: () => false } });
    const system = call(owned({ machine }, 'file', 'other'));
    for (let round = 0; round < 3; round++) system.stepTo('write', 'unlock_gone').take('write', 'step').settle('put');
    expect(system.said('write')).toEqual([0, 1, 2].flatMap(() => [...ask(4), 'lock4: unlock', put(4)]));
    expect([system.at('write'), cell(system)]).toEqual(['write_begin', untouched]);
  });
});

test('a debug mode hears of the new content, of write_end, and when write_end is over', () => {
  expect(told(written({ cached: 4, debug: true }), 'luf_flush', 'coherence', 'lock4', 'debug')).toEqual([
    'lock4: lock',
    flush,
    'coherence: write.begin {"cell":"f"}',
    'debug: luf.content {"mapping":"file","index":2}',
    'lock4: unlock',
    'debug: luf.write_end {"mapping":"file","task":"task0"}',
    'debug: luf.written {"mapping":"file","task":"task0"}',
    completed(),
  ]);
});

test('the write has completed when write(2) returns, not when the bytes are there', () => {
  const system = call(rig({ cached: 4 })).stepTo('write', 'write_end');
  system.settle('put').take('write', 'step').settle('put');
  expect([system.at('write'), system.heard('p'), cell(system)]).toEqual(['ksys_write_return', [], { values: ['f.v0', 'f.v1'], completed: 0 }]);
  expect(cell(system.take('write', 'step'))).toEqual({ values: ['f.v0', 'f.v1'], completed: 1 });
  expectAtRest(system, { 4: 1 });
});

test('it completes what it wrote itself, not what another has begun to write since', () => {
  const system = call(rig({ cached: 4 })).stepTo('write', 'write_end');
  system.say('p', 'coherence', { type: 'write.begin', cell: 'f' });
  expect(cell(system.settle())).toEqual({ values: ['f.v0', 'f.v1', 'f.v2'], completed: 1 });
  expectAtRest(system, { 4: 1 });
});

test('it can be called again: the page is in the cache now', () => {
  const system = call(written({ allocated: [[5]] })).settle();
  expect(system.said('write')).toEqual([...read(5), flush, ...copy(5), ...end(5), ...get(5), flush, ...copy(5, 'f.v2'), ...end(5, 'f.v2')]);
  expect(cell(system)).toEqual({ values: ['f.v0', 'f.v1', 'f.v2'], completed: 2 });
  expectAtRest(system, { 5: 1 });
});

test('every transition was taken', () => {
  expect(untaken(genericPerformWrite)).toEqual([]);
});
