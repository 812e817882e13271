import { allocPages, type FreeBlock, folio, pageAllocator, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  free?: (number | FreeBlock)[];
  luf?: boolean;
  zoneLock?: boolean;
  debug?: boolean;
  machine?: typeof allocPages;
  others?: Actors;
}
const page = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 0, idle: 0, zone: 'normal' } }) });

const rig = ({ free = [4], luf = true, zoneLock = false, debug = false, machine = allocPages, others = {} }: Setup): Rig =>
  new Rig({
    ...page(4),
    ...page(5),
    ...page(6),
    ...page(7),
    cpu0: answers(),
    zone_lock: actor(spinlock),
    allocator: actor(pageAllocator, { input: { free }, choices: [] }),
    luf_flush: returns(),
    debug: answers(),
    alloc: actor(machine, {
      input: {
        cpu: 'cpu0',
        allocator: 'allocator',
        lufFlush: luf ? 'luf_flush' : null,
        debug: debug ? 'debug' : null,
        task: 'task0',
        ...(zoneLock ? { zoneLock: 'zone_lock' } : {}),
      },
    }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, order?: number): Rig => {
  system.say('p', 'alloc', { type: 'call', ...(order === undefined ? {} : { order }) });
  return system;
};
const allocated = (setup: Setup, order?: number): Rig => call(rig(setup), order).settle();
const places = (system: Rig): string[] => [4, 5, 6, 7].map((pfn) => system.at(`page${pfn}`));
function expectAtRest(system: Rig, pfns: number[]): void {
  expect(system.context('alloc')).toMatchObject({ caller: '', order: 0, pfns: [], lufKey: null });
  expect(system.context('zone_lock')).toEqual({ owner: null, waiters: [] });
  expect([system.at('alloc'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', pfns }, []]);
}

const owing: FreeBlock = { pfns: [4], lufKey: 7 };
const take = 'allocator: alloc_page {"order":0}';
const prep = 'page4: folio.prep_new';
const flush = 'luf_flush: call {"upTo":7}';
const none = 'p: return {"pfns":[]}';
const one = 'p: return {"pfns":[4]}';
const lock = ['cpu0: irq.save', 'zone_lock: lock'];
const unlock = ['zone_lock: unlock', 'cpu0: irq.restore'];

describe('the free list', () => {
  test('a page that owes nothing is prepared for its new owner, with one reference', () => {
    const system = allocated({});
    expect(system.said('alloc')).toEqual([take, prep, one]);
    expect([places(system), system.context('page4').refcount, system.context('allocator').free]).toEqual([['present', 'free', 'free', 'free'], 1, []]);
    expectAtRest(system, [4]);
  });

  test('is empty: no page', () => {
    const system = allocated({ free: [] });
    expect(system.said('alloc')).toEqual([take, none]);
    expectAtRest(system, []);
  });

  test('has no block of that order: no page, and those that are there stay', () => {
    const system = allocated({ free: [4, 5] }, 1);
    expect([system.said('alloc'), places(system)]).toEqual([
      ['allocator: alloc_page {"order":1}', none],
      ['free', 'free', 'free', 'free'],
    ]);
    expectAtRest(system, []);
  });

  test('a block of two: both are prepared', () => {
    const system = allocated({ free: [{ pfns: [4, 5], lufKey: 7 }] }, 1);
    expect(system.said('alloc')).toEqual(['allocator: alloc_page {"order":1}', flush, prep, 'page5: folio.prep_new', 'p: return {"pfns":[4,5]}']);
    expect(places(system)).toEqual(['present', 'present', 'free', 'free']);
    expectAtRest(system, [4, 5]);
  });

  test('a block of four: all are prepared', () => {
    const system = allocated({ free: [{ pfns: [4, 5, 6, 7], lufKey: null }] }, 2);
    expect(system.said('alloc')).toEqual([
      'allocator: alloc_page {"order":2}',
      ...[4, 5, 6, 7].map((pfn) => `page${pfn}: folio.prep_new`),
      'p: return {"pfns":[4,5,6,7]}',
    ]);
    expect([places(system), [4, 5, 6, 7].map((pfn) => system.context(`page${pfn}`).refcount)]).toEqual([Array(4).fill('present'), [1, 1, 1, 1]]);
    expectAtRest(system, [4, 5, 6, 7]);
  });
});

describe('row L3: a page that owes a flush', () => {
  test('is paid for up to its own generation before it has an owner', () => {
    const system = allocated({ free: [owing], others: { luf_flush: answers() } });
    expect([system.at('alloc'), system.can('alloc', 'step'), places(system)[0], system.context('allocator').free]).toEqual(['luf_flush', false, 'free', []]);
    expect([system.said('alloc'), system.heard('p')]).toEqual([[take, flush], []]);
    system.say('p', 'alloc', 'return');
    expect(system.settle().said('alloc')).toEqual([take, flush, prep, one]);
    expectAtRest(system, [4]);
  });

  test('the first generation is owed like any other', () => {
    expect(allocated({ free: [{ pfns: [4], lufKey: 0 }] }).said('alloc')).toEqual([take, 'luf_flush: call {"upTo":0}', prep, one]);
  });

  test('a kernel without LUF pays nothing', () => {
    const system = allocated({ free: [owing], luf: false });
    expect(system.said('alloc')).toEqual([take, prep, one]);
    expectAtRest(system, [4]);
  });

  test('with the safeguard out it is handed out unpaid', () => {
    const system = allocated({ free: [owing], machine: allocPages.provide({ guards: { mustFlush: () => false } }) });
    expect([system.said('alloc'), system.heard('luf_flush')]).toEqual([[take, prep, one], []]);
    expectAtRest(system, [4]);
  });
});

describe("the zone's lock", () => {
  test('interrupts are off as long as it wants or has the lock', () => {
    const system = allocated({ zoneLock: true });
    expect(system.said('alloc')).toEqual([...lock, take, ...unlock, prep, one]);
    expectAtRest(system, [4]);
  });

  test('it spins while another CPU has it, with interrupts off', () => {
    const system = rig({ zoneLock: true });
    system.say('p', 'zone_lock', 'lock');
    call(system).settle();
    expect([system.at('alloc'), system.can('alloc', 'step'), system.heard('cpu0')]).toEqual(['spin_on_zone_lock', false, [{ type: 'irq.save' }]]);
    expect([system.heard('allocator'), system.context('zone_lock').waiters]).toEqual([[], ['alloc']]);
    system.say('p', 'zone_lock', 'unlock');
    expectAtRest(system.settle(), [4]);
    expect(system.heard('cpu0')).toEqual([{ type: 'irq.save' }, { type: 'irq.restore' }]);
  });

  test('without a page it drops the lock all the same', () => {
    const system = allocated({ zoneLock: true, free: [] });
    expect(system.said('alloc')).toEqual([...lock, take, ...unlock, none]);
    expectAtRest(system, []);
  });

  test('row L16: what is owed is paid without the lock, and with interrupts on', () => {
    const system = allocated({ zoneLock: true, free: [owing], others: { luf_flush: answers() } });
    expect([system.at('alloc'), system.context('zone_lock').owner]).toEqual(['luf_flush', null]);
    expect(system.said('alloc')).toEqual([...lock, take, ...unlock, flush]);
    system.say('p', 'alloc', 'return');
    expectAtRest(system.settle(), [4]);
  });

  describe('row L16, without the safeguard', () => {
    const machine = allocPages.provide({ guards: { mustFlushLocked: ({ context }) => context.lufKey !== null } });

    test('it is paid under the lock with interrupts off, and once', () => {
      const system = allocated({ zoneLock: true, free: [owing], machine, others: { luf_flush: answers() } });
      expect([system.at('alloc'), system.can('alloc', 'step'), system.context('zone_lock').owner]).toEqual(['luf_takeoff_locked', false, 'alloc']);
      expect(system.said('alloc')).toEqual([...lock, take, flush]);
      system.say('p', 'alloc', 'return');
      expect(system.settle().said('alloc')).toEqual([...lock, take, flush, ...unlock, prep, one]);
      expectAtRest(system, [4]);
    });

    test('what owes nothing is not paid for', () => {
      const system = allocated({ zoneLock: true, machine });
      expect(system.heard('luf_flush')).toEqual([]);
      expectAtRest(system, [4]);
    });
  });
});

test('a debug mode hears of the pages when they have an owner', () => {
  const system = call(rig({ free: [owing], debug: true })).stepTo('alloc', 'prep_new_page');
  expect([system.heard('debug'), system.context('alloc').lufKey]).toEqual([[], null]);
  expect(system.settle().said('alloc').slice(-3)).toEqual([prep, 'debug: luf.alloc {"pfns":[4],"task":"task0"}', one]);
});

test('of a block it hears once, of both pages', () => {
  const both = 'debug: luf.alloc {"pfns":[4,5],"task":"task0"}';
  const said = allocated({ free: [{ pfns: [4, 5], lufKey: null }], debug: true }, 1).said('alloc');
  expect(said.slice(1)).toEqual([prep, 'page5: folio.prep_new', both, 'p: return {"pfns":[4,5]}']);
});

test('it can be called again: the debt of one page is not that of the next', () => {
  const system = call(allocated({ free: [owing, 5] })).settle();
  expect([system.heard('luf_flush'), places(system)]).toEqual([[{ type: 'call', upTo: 7 }], ['present', 'present', 'free', 'free']]);
  expectAtRest(system, [5]);
});

test('every transition was taken', () => {
  expect(untaken(allocPages)).toEqual([]);
});
