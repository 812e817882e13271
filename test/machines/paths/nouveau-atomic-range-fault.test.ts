import {
  addressSpace,
  folio,
  folioLock,
  makeDeviceExclusive,
  mmuNotifier,
  mutex,
  nouveauAtomicRangeFault,
  presentPte,
  putPage,
  rwsem,
  secondaryMmu,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Guards = NonNullable<Parameters<typeof nouveauAtomicRangeFault.provide>[0]['guards']>;
const without = (guards: Guards): typeof nouveauAtomicRangeFault => nouveauAtomicRangeFault.provide({ guards });

interface Setup {
  machine?: typeof nouveauAtomicRangeFault;
  /** What each make_device_exclusive returns; default: page 4. */
  made?: object[];
  others?: Actors;
}

/** The driver of a GPU; what it calls is told beforehand, what it locks and asks is real. */
const rig = ({ machine = nouveauAtomicRangeFault, made = [{ ok: true, pfn: 4 }], others = {} }: Setup = {}): Rig =>
  new Rig({
    mn: actor(mmuNotifier),
    mmap_lock: actor(rwsem),
    mutex: actor(mutex),
    gpu: actor(secondaryMmu, { input: { mm: 'mm' } }),
    lock4: answers(),
    make: returns(...made),
    restore: returns(),
    fault: returns({ ok: true }),
    put: returns(),
    path: actor(machine, {
      input: {
        ...{ mmapLock: 'mmap_lock', notifier: 'mn', driver: 'driver', makeExclusive: 'make', fault: 'fault', restoreExclusive: 'restore' },
        ...{ folioLocks: { 4: 'lock4' }, putPage: 'put', mutex: 'mutex', mmu: 'gpu' },
      },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'path', { type: 'call', vpn: 3 });
  return system;
};
const served = (setup: Setup = {}): Rig => call(rig(setup)).settle('path');
const isServed = (system: Rig): boolean => (system.live.snapshot('path') as unknown as { tags: Set<string> }).tags.has('served');
/** Somebody else's invalidation: to its beginning, to the moment when its end holds the lock of the subscriptions, to its end. */
const begin = (system: Rig, vpn = 3): unknown => system.say('q', 'mn', { type: 'mn.invalidate_start', vpns: [vpn] });
const setSeq = (system: Rig): unknown => system.say('q', 'mn', { type: 'mn.set_seq', sub: 'path' });
const end = (system: Rig): unknown => system.say('q', 'mn', 'mn.invalidate_end');
const unlockSubs = (system: Rig): unknown => system.say('q', 'mn', 'mn.inv_end_unlock');
function invalidate(system: Rig): void {
  begin(system);
  setSeq(system);
  end(system);
  unlockSubs(system);
}
const ptes = (system: Rig): unknown => system.context('gpu').ptes;
const mapped = { 3: { pfn: 4, write: true, atomic: true } };

function expectAtRest(system: Rig, ok = true): void {
  expect(system.context('path')).toMatchObject({ sub: 'path', caller: '', vpn: -1, pfn: -1, ok: false });
  expect([system.at('path'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
  expect([system.context('mutex'), system.context('mmap_lock')]).toEqual([
    { owner: null, waiters: [] },
    { writer: null, readers: [], waiters: [] },
  ]);
  expect(system.context('mn')).toEqual({ active: 0, odd: false, subs: [], waiters: [], spinning: [] });
}

const insert = 'mn: mn.insert {"sub":"path","driver":"driver","vpns":[3]}';
const [readBegin, readRetry, readForget, remove, free] = ['read_begin', 'read_retry', 'read_forget', 'remove', 'free'].map(
  (what) => `mn: mn.${what} {"sub":"path"}`,
) as [string, string, string, string, string];
const wait = 'mn: mn.wait';
const [lockMm, unlockMm, lockMutex, unlockMutex] = ['mmap_lock: down_read', 'mmap_lock: up_read', 'mutex: lock', 'mutex: unlock'] as const;
const make = 'make: call {"vpn":3}';
const map = 'gpu: mmu.map {"vpn":3,"pfn":4,"write":true,"atomic":true}';
const unlock = 'lock4: unlock {"owner":"make"}';
const put = 'put: call {"pfn":4,"pinned":false}';
const restore = 'restore: call {"vpn":3,"pfn":4}';
const [returned, refused] = ['p: return {"ok":true}', 'p: return {"ok":false}'] as const;

const exclusive = [lockMm, make, unlockMm];
const check = [lockMutex, readRetry];
const maps = [map, unlockMutex, unlock, put];
const removes = [remove, free, returned];
const whole = [insert, readBegin, ...exclusive, ...check, ...maps, ...removes];

describe('a page that is to be had', () => {
  test('E1 to E11 in order: the notifier, the sequence number, the page; the check and the mapping under the mutex; then all is let go', () => {
    const system = served();
    expect([system.said('path'), ptes(system)]).toEqual([whole, mapped]);
    expectAtRest(system);
  });

  test('step by step; it is served from the moment that the device has it mapped', () => {
    const system = call(rig());
    const places: [string, boolean][] = [];
    while (system.at('path') !== 'idle') {
      places.push([system.at('path'), isServed(system)]);
      system.take('path', 'step');
    }
    expect(places).toEqual([
      ['mmu_interval_notifier_insert', false],
      ['mmu_interval_read_begin', false],
      ['mmap_read_lock', false],
      ['mmap_read_unlock', false],
      ['mutex_lock', false],
      ['mmu_interval_read_retry', false],
      ['nvif_object_ioctl', false],
      ['mutex_unlock', true],
      ['folio_unlock', false],
      ['mmu_interval_notifier_remove', false],
    ]);
  });

  test('is mapped while the folio is locked: it is unlocked only after the mutex is dropped, and put after that', () => {
    const system = call(rig()).stepTo('path', 'mutex_unlock');
    expect([ptes(system), system.heard('lock4'), system.heard('put'), system.context('mutex').owner]).toEqual([mapped, [], [], 'path']);
    expect(system.take('path', 'step').at('path')).toBe('folio_unlock');
    expect([system.heard('lock4'), system.context('mutex').owner]).toEqual([[], null]);
  });

  test('it can be called again', () => {
    const system = served();
    expect(call(system).settle('path').said('path')).toEqual([...whole, ...whole]);
    expectAtRest(system);
  });

  test('with make_device_exclusive as it is, nothing stays held: the entry has its reference, and the folio is unlocked', () => {
    const system = served({
      others: {
        mm: actor(addressSpace, {
          input: {
            ptes: { 3: presentPte(4) },
            vmas: [3],
            cpumask: [],
            areas: { 3: { mapping: 'swap', index: 3, anonymous: true, read: true, write: true } },
          },
        }),
        ptl: actor(spinlock),
        page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: true } }),
        lock4: actor(folioLock),
        flush: returns(),
        notifier: returns({ ok: true }),
        put: actor(putPage, { input: {} }),
        make: actor(makeDeviceExclusive, {
          input: { mm: 'mm', ptl: 'ptl', folioLocks: { 4: 'lock4' }, fault: 'fault', flush: 'flush', notifier: 'notifier', putPage: 'put', owner: 'gpu' },
        }),
      },
    });
    system.settle();
    expectAtRest(system);
    expect([system.context('mm').ptes[3], ptes(system)]).toEqual([{ kind: 'devexcl', pfn: 4, write: true }, mapped]);
    const { refcount, mapcount } = system.context('page4');
    const nobody = { owner: null, waiters: [] };
    expect([{ refcount, mapcount }, system.context('lock4'), system.context('ptl')]).toEqual([{ refcount: 1, mapcount: 1 }, nobody, nobody]);
  });
});

describe('no page to be had', () => {
  const failing = { made: [{ ok: false }] };

  test('it forgets what it has read, takes its notifier out and says so; no mutex, nothing mapped', () => {
    const system = served(failing);
    expect([system.said('path'), ptes(system)]).toEqual([[insert, readBegin, ...exclusive, readForget, remove, free, refused], {}]);
    expectAtRest(system, false);
    call(system).settle('path');
    expectAtRest(system, false);
  });

  test('that too is being served', () => {
    const system = call(rig(failing)).stepTo('path', 'fault_cancelled');
    expect([isServed(system), system.context('mmap_lock').readers]).toEqual([true, []]);
  });

  test('in the second round: the page of the first is not let go twice', () => {
    const system = call(rig({ made: [{ ok: true, pfn: 4 }, { ok: false }] })).stepTo('path', 'mutex_lock');
    invalidate(system);
    system.settle('path');
    expect([system.heard('lock4').length, system.heard('put').length]).toEqual([1, 1]);
    expectAtRest(system, false);
  });
});

describe('what is waited for', () => {
  test('make_device_exclusive, under mmap_lock', () => {
    const system = served({ others: { make: answers() } });
    expect([system.at('path'), system.can('path', 'step'), system.context('mmap_lock').readers, system.context('mutex').owner]).toEqual([
      'make_device_exclusive',
      false,
      ['path'],
      null,
    ]);
    system.say('q', 'path', { type: 'return', ok: true, pfn: 4 });
    system.settle('path');
    expectAtRest(system);
  });

  test('mmap_lock, while somebody writes', () => {
    const system = rig();
    system.say('q', 'mmap_lock', 'down_write');
    call(system).settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.heard('make')]).toEqual(['wait_for_mmap_lock', false, []]);
    system.say('q', 'mmap_lock', 'up_write');
    system.settle('path');
    expectAtRest(system);
  });

  test('the mutex, with the folio locked and without mmap_lock', () => {
    const system = rig();
    system.say('q', 'mutex', 'lock');
    call(system).settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.context('mmap_lock').readers, system.heard('lock4')]).toEqual([
      'wait_for_mutex',
      false,
      [],
      [],
    ]);
    system.say('q', 'mutex', 'unlock');
    system.settle('path');
    expectAtRest(system);
  });

  test('put_page, before the notifier goes', () => {
    const system = served({ others: { put: answers() } });
    expect([system.at('path'), system.can('path', 'step'), system.context('mn').subs.length]).toEqual(['folio_put', false, 1]);
    system.say('q', 'path', 'return');
    system.settle('path');
    expectAtRest(system);
  });
});

describe('invalidations', () => {
  test('one under way is waited for before mmap_lock is taken', () => {
    const system = rig();
    begin(system);
    call(system).settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.said('path')]).toEqual(['wait_event', false, [insert, readBegin, wait]]);
    end(system);
    unlockSubs(system);
    system.settle('path');
    expect(system.said('path').slice(3)).toEqual(whole.slice(2));
    expectAtRest(system);
  });

  const round = [readBegin, ...exclusive, ...check];

  test.each(['mmap_read_lock', 'mmap_read_unlock', 'mutex_lock', 'mmu_interval_read_retry'])(
    'one since the sequence number was read (at %s): mutex, folio and page are let go, and all begins again',
    (place) => {
      const system = call(rig()).stepTo('path', place);
      invalidate(system);
      system.settle('path');
      expect(system.said('path')).toEqual([insert, ...round, unlockMutex, unlock, put, ...round, ...maps, ...removes]);
      expect(ptes(system)).toEqual(mapped);
      expectAtRest(system);
    },
  );

  test('one that began since and is not over: the next round waits for its end, holding nothing', () => {
    const system = call(rig()).stepTo('path', 'mutex_lock');
    begin(system);
    setSeq(system);
    system.settle('path');
    expect([system.at('path'), system.context('path').pfn, system.context('mutex').owner, ptes(system)]).toEqual(['wait_event', -1, null, {}]);
    expect([system.heard('lock4').length, system.heard('put').length]).toEqual([1, 1]);
    end(system);
    unlockSubs(system);
    system.settle('path');
    expectAtRest(system);
  });

  test('one that its own callback has filtered is no reason to try again', () => {
    const system = call(rig()).stepTo('path', 'mutex_lock');
    begin(system);
    end(system);
    unlockSubs(system);
    expect(system.settle('path').said('path')).toEqual(whole);
    expectAtRest(system);
  });

  test('one that is under way when the notifier is taken out: it is freed only at the end', () => {
    const system = call(rig()).stepTo('path', 'mmu_interval_notifier_remove');
    begin(system);
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.said('path').slice(-2)]).toEqual(['wait_event_removed', false, [remove, wait]]);
    expect([system.heard('p'), system.context('mn').subs[0]]).toEqual([[], expect.objectContaining({ where: 'deferred_remove', freed: false })]);
    end(system);
    expect([system.at('path'), system.heard('p')]).toEqual(['wait_event_removed', []]);
    unlockSubs(system);
    expect(system.said('path').slice(-2)).toEqual([free, returned]);
    expectAtRest(system);
  });
});

/** The moment at which the end of another invalidation holds the lock of the subscriptions. */
describe("somebody else's end holds the lock of the subscriptions", () => {
  const holding = (system: Rig): Rig => {
    // A subscription of another driver, so that the sequence number was odd.
    system.say('q', 'mn', { type: 'mn.insert', sub: 'other', driver: 'other', vpns: [7] });
    begin(system, 7);
    end(system);
    expect(system.at('mn')).toBe('mn_itree_inv_end');
    return system;
  };

  test.each([
    ['mmu_interval_notifier_insert', 'spin_to_insert', insert],
    ['mmu_interval_read_begin', 'spin_to_read', readBegin],
    ['mmu_interval_notifier_remove', 'spin_to_remove', remove],
  ])('%s asks once and spins; a step does nothing until the answer comes', (place, spins, asked) => {
    const system = call(rig()).stepTo('path', place);
    holding(system).take('path', 'step');
    const said = system.said('path');
    expect([system.at('path'), said.at(-1), system.can('path', 'step'), system.context('mn').spinning.length]).toEqual([spins, asked, false, 1]);
    expect(() => system.take('path', 'step')).toThrow();
    expect([system.at('path'), system.said('path')]).toEqual([spins, said]);
    unlockSubs(system);
    expect(system.settle('path').said('path')).toEqual(whole);
    system.say('q', 'mn', { type: 'mn.remove', sub: 'other' });
    expectAtRest(system);
  });

  test('the check is made without that lock, under the mutex', () => {
    const system = holding(call(rig()).stepTo('path', 'mmu_interval_read_retry')).take('path', 'step');
    expect([system.at('path'), system.at('mn')]).toEqual(['nvif_object_ioctl', 'mn_itree_inv_end']);
  });
});

describe('without a safeguard', () => {
  const dropped = (...what: string[]): string[] => whole.filter((said) => !what.includes(said));

  test.each<[boolean, string[]]>([
    [true, dropped(insert, readBegin, readRetry, remove, free)],
    [false, [...exclusive, refused]],
  ])('row D1: no notifier (a page is had: %s)', (ok, said) => {
    const system = served({ machine: without({ usesNotifier: () => false }), made: [{ ok, pfn: 4 }] });
    expect([system.said('path'), system.heard('mn')]).toEqual([said, []]);
    expectAtRest(system, ok);
    call(system).settle('path');
    expectAtRest(system, ok);
  });

  test('row D2: the folio is unlocked before the mutex is taken, once, and put at the end', () => {
    const machine = without({ keepsFolioLocked: () => false });
    const system = served({ machine });
    expect(system.said('path')).toEqual([insert, readBegin, ...exclusive, unlock, ...check, map, unlockMutex, put, ...removes]);
    expectAtRest(system);
    const again = call(rig({ machine })).stepTo('path', 'mutex_lock');
    invalidate(again);
    again.settle('path');
    const round = [readBegin, ...exclusive, unlock, ...check];
    expect(again.said('path')).toEqual([insert, ...round, unlockMutex, put, ...round, map, unlockMutex, put, ...removes]);
    expectAtRest(again);
  });

  test('row D7: checked before the mutex is taken, and not after', () => {
    const machine = without({ checksUnderMutex: () => false });
    const system = call(rig({ machine })).stepTo('path', 'mmu_interval_read_retry_early');
    invalidate(system);
    system.settle('path');
    const round = [readBegin, ...exclusive, readRetry];
    expect(system.said('path')).toEqual([insert, ...round, unlock, put, ...round, lockMutex, ...maps, ...removes]);
    expectAtRest(system);
    const late = call(rig({ machine })).stepTo('path', 'mutex_lock_late');
    invalidate(late);
    expect([late.settle('path').heard('make').length, ptes(late)]).toEqual([1, mapped]);
  });

  test('row D7: it sleeps while a callback has the mutex, and maps what it has checked before', () => {
    const system = call(rig({ machine: without({ checksUnderMutex: () => false }) })).stepTo('path', 'mutex_lock_late');
    system.say('q', 'mutex', 'lock');
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step')]).toEqual(['wait_for_mutex_late', false]);
    invalidate(system);
    system.say('q', 'mutex', 'unlock');
    expect([ptes(system.settle('path')), system.heard('make').length]).toEqual([mapped, 1]);
    expectAtRest(system);
  });

  test.each<[boolean, string[]]>([
    [true, [...exclusive, insert, lockMutex, ...maps, ...removes]],
    [false, [...exclusive, refused]],
  ])("row D11: Xu's order: the notifier is inserted when the page is exclusive, and nothing is checked (a page is had: %s)", (ok, said) => {
    const system = served({ machine: without({ insertsLate: () => true }), made: [{ ok, pfn: 4 }] });
    expect(system.said('path')).toEqual(said);
    expectAtRest(system, ok);
  });

  test("row D11: it spins while somebody else's end holds the lock of the subscriptions", () => {
    const system = call(rig({ machine: without({ insertsLate: () => true }) })).stepTo('path', 'mmu_interval_notifier_insert_late');
    system.say('q', 'mn', { type: 'mn.insert', sub: 'other', driver: 'other', vpns: [7] });
    begin(system, 7);
    end(system);
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step')]).toEqual(['spin_to_insert_late', false]);
    unlockSubs(system);
    system.settle('path').say('q', 'mn', { type: 'mn.remove', sub: 'other' });
    expectAtRest(system);
  });

  test.each<[boolean, string[]]>([
    [true, [insert, readBegin, lockMutex, ...exclusive, readRetry, ...maps, ...removes]],
    [false, [insert, readBegin, lockMutex, ...exclusive, unlockMutex, readForget, remove, free, refused]],
  ])('row D13: one mutex over all of it (a page is had: %s)', (ok, said) => {
    const system = served({ machine: without({ locksMutexEarly: () => true }), made: [{ ok, pfn: 4 }] });
    expect(system.said('path')).toEqual(said);
    expectAtRest(system, ok);
  });

  test('row D13: who tries again drops it; it sleeps while another has it', () => {
    const system = call(rig({ machine: without({ locksMutexEarly: () => true }) })).stepTo('path', 'mmu_interval_read_retry');
    invalidate(system);
    system.take('path', 'step').take('path', 'step');
    system.say('q', 'mutex', 'lock');
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.heard('lock4').length]).toEqual(['wait_for_mutex_early', false, 1]);
    system.say('q', 'mutex', 'unlock');
    system.settle('path');
    expectAtRest(system);
  });

  test('row D19: who tries again keeps the folio locked, and its reference', () => {
    const system = call(rig({ machine: without({ unlocksOnRetry: () => false }) })).stepTo('path', 'mutex_lock');
    invalidate(system);
    system.stepTo('path', 'mmap_read_lock');
    expect([system.said('path').slice(-3), system.heard('lock4'), system.heard('put')]).toEqual([[readRetry, unlockMutex, readBegin], [], []]);
    system.settle('path');
    expectAtRest(system);
  });
});

describe('fixes', () => {
  test('faulted in first: before the sequence number is read, in every round', () => {
    const system = call(rig({ machine: without({ faultsInFirst: () => true }) })).stepTo('path', 'mutex_lock');
    invalidate(system);
    system.settle('path');
    const round = ['fault: call {"vpn":3,"write":true}', readBegin, ...exclusive, ...check];
    expect(system.said('path')).toEqual([insert, ...round, unlockMutex, unlock, put, ...round, ...maps, ...removes]);
    expectAtRest(system);
  });

  test('faulted in first: the fault is waited for', () => {
    const system = served({ machine: without({ faultsInFirst: () => true }), others: { fault: answers() } });
    expect([system.at('path'), system.can('path', 'step'), system.said('path').length]).toEqual(['fixup_user_fault', false, 2]);
  });

  const restores = without({ restoresOnRetry: () => true });

  test('restored on retry: the folio is unlocked, the entry taken back under mmap_lock, and the reference put after that', () => {
    const system = call(rig({ machine: restores })).stepTo('path', 'mutex_lock');
    invalidate(system);
    system.settle('path');
    const round = [readBegin, ...exclusive, ...check];
    const back = [unlockMutex, unlock, lockMm, restore, unlockMm, put];
    expect(system.said('path')).toEqual([insert, ...round, ...back, ...round, ...maps, ...removes]);
    expectAtRest(system);
  });

  test('restored on retry: it waits for mmap_lock, and for the restore', () => {
    const system = call(rig({ machine: restores, others: { restore: answers() } })).stepTo('path', 'mutex_lock');
    invalidate(system);
    system.stepTo('path', 'restore_mmap_read_lock');
    system.say('q', 'mmap_lock', 'down_write');
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.heard('restore')]).toEqual(['wait_to_restore', false, []]);
    system.say('q', 'mmap_lock', 'up_write');
    system.settle('path');
    expect([system.at('path'), system.can('path', 'step'), system.context('mmap_lock').readers]).toEqual(['remove_device_exclusive_entry', false, ['path']]);
    system.say('q', 'path', 'return');
    system.settle('path');
    expectAtRest(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(nouveauAtomicRangeFault)).toEqual([]);
});
