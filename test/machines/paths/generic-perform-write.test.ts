import { coherence, folio, folioLock, genericPerformWrite, pageCache, putPage } from '../../../machines/index.js';
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
  machine?: typeof genericPerformWrite;
  others?: Actors;
}
/** With the reference of the cache, or that of who has just allocated it. */
const page = (pfn: number): Actors => ({
  [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 1, idle: 0, zone: 'normal', content: 'f.v0' } }),
  [`lock${pfn}`]: actor(folioLock),
});

const rig = ({ cached, allocated = [], luf = true, debug = false, machine = genericPerformWrite, others = {} }: Setup): Rig =>
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
