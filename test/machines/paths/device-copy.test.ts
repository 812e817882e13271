import {
  type Copy,
  deviceCopies,
  deviceCopy,
  folio,
  folioLock,
  mmuNotifier,
  mutex,
  type Pte,
  presentPte,
  protectionRecord,
  putPage,
  rwsem,
  secondaryMmu,
  spinlock,
} from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const readOnly: Pte = presentPte(4, { write: false });
const none: Pte = { kind: 'none' };
const record = { record: 'record4', stable: false };

interface Setup {
  mode?: 'copy' | 'combine';
  retries?: number;
  /** What the pte holds; one after the other where its table is a stand-in. */
  ptes?: Pte[];
  /** null: no VMA. */
  area?: { write: boolean } | 'not modelled' | null;
  page?: Partial<{ refcount: number; mapcount: number; anonExclusive: boolean; protection: { record: string; stable: boolean } }>;
  copies?: Copy[];
  protects?: boolean;
  writeProtect?: ActorSpec;
  faults?: boolean[];
  invalidating?: boolean[];
  retry?: boolean[];
  wait?: boolean;
  /** Pages of the device. */
  memory?: (number | null)[];
  notifier?: ActorSpec;
}

/** Page 4 is at page 3 of the process, which has a second page table; the device has pages 7 and 8. */
function rig(setup: Setup = {}): Rig {
  const { mode = 'copy', ptes = [readOnly], area = { write: true }, page = {}, copies = [], memory = [7, 8] } = setup;
  const frame = (pfn: number) => actor(folio, { input: { pfn, idle: 0, zone: 'normal', refcount: 0, device: 'gpu' } });
  const vma = { type: 'vma', result: area === null ? 'none' : 'found', ...(area === null || area === 'not modelled' ? {} : { area }) };
  const system = new Rig({
    p: answers({ 'vma.find': [vma], 'pte.read': ptes.map((pte) => ({ type: 'pte', pte, table: null })) }),
    ptl_p: actor(spinlock),
    mmap_lock: actor(rwsem),
    page4: actor(folio, { input: { pfn: 4, idle: 0, zone: 'normal', refcount: 1, mapcount: 1, content: 'bytes', anonExclusive: true, ...page } }),
    page7: frame(7),
    page8: frame(8),
    lock4: actor(folioLock),
    record4: actor(protectionRecord),
    mn:
      setup.notifier ??
      answers({
        'mn.insert': [{ type: 'mn.inserted' }],
        'mn.read_begin': (setup.invalidating ?? [false]).map((invalidating) => ({ type: 'mn.read', invalidating })),
        'mn.read_retry': (setup.retry ?? [false]).map((retry) => ({ type: 'mn.checked', retry })),
        'mn.wait': [{ type: 'mn.released' }],
        'mn.remove': [{ type: 'mn.removed', wait: setup.wait ?? false }],
      }),
    fault: returns(...(setup.faults ?? [true]).map((ok) => ({ ok }))),
    protect: setup.writeProtect ?? returns({ ok: setup.protects ?? true, ptes: [readOnly, null] }),
    memory: answers({ alloc_page: memory.map((pfn) => ({ type: 'page', pfn })) }),
    put: actor(putPage, { input: {} }),
    put_device: actor(putPage, { input: {} }),
    mutex: actor(mutex),
    copies: actor(deviceCopies),
    gpu: actor(secondaryMmu, { input: { mm: 'p' } }),
    path: actor(deviceCopy, {
      input: {
        mode,
        mmapLock: 'mmap_lock',
        tables: [
          { mm: 'p', ptl: 'ptl_p' },
          { mm: 'p1', ptl: 'ptl_p1' },
        ],
        ...{ notifier: 'mn', driver: 'gpu_driver', fault: 'fault', folioLocks: { 4: 'lock4' }, writeProtect: 'protect', deviceMemory: 'memory' },
        ...{ putPage: 'put', putDevicePage: 'put_device', mutex: 'mutex', copies: 'copies', mmu: 'gpu' },
        ...(setup.retries === undefined ? {} : { retries: setup.retries }),
      },
    }),
    cpu: probe(),
    other: probe(),
  });
  for (const copy of copies) system.say('other', 'record4', { type: 'record.add_copy', copy });
  return system;
}
const start = (system: Rig, more: object = {}): Rig => {
  system.say('cpu', 'path', { type: 'call', vpn: 3, ...more });
  return system;
};
const called = (setup?: Setup, more?: object): Rig => start(rig(setup), more).settle();
const protectedPage = { protection: record };
const replica: Copy = { mm: 'p1', vpn: 3, pfn: 9 };
const own: Copy = { mm: 'gpu', vpn: 3, pfn: 8 };
const combiner: Copy = { mm: 'gpu1', vpn: 3, pfn: 4 };

const idle = { caller: '', vpn: -1, combines: false, left: 0, pfn: -1, copy: -1, stale: null, next: 'return', ok: false };
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('path')).toMatchObject(idle);
  expect([system.at('path'), system.heard('cpu').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
  expect(['ptl_p', 'lock4', 'mutex'].map((lock) => system.context(lock).owner)).not.toContain('path');
  expect(system.context('mmap_lock').readers).toEqual([]);
}
/** The device has nothing, and nobody a reference but the mapping. */
function expectRefused(system: Rig, protection: object | null = null): void {
  expectAtRest(system, false);
  expect([system.context('gpu').ptes, system.at('page7'), system.context('copies').copies]).toEqual([{}, 'free', []]);
  expect([system.context('page4').refcount, system.context('page4').protection]).toEqual([1, protection]);
}
function expectCopied(system: Rig, copies: Copy[] = [{ ...own, pfn: 7 }]): void {
  expectAtRest(system, true);
  expect(system.context('gpu').ptes).toEqual({ 3: { pfn: 7, write: false, atomic: false } });
  expect([system.context('page7').content, system.context('page7').refcount]).toEqual(['bytes', 1]);
  expect(system.context('copies').copies).toEqual([{ vpn: 3, pfn: 4, copy: 7 }]);
  expect([system.context('record4').copies, system.context('page4').refcount, system.context('page4').protection]).toEqual([copies, 1, record]);
}

const insert = 'mn: mn.insert {"sub":"path","driver":"gpu_driver","vpns":[3]}';
const [readBegin, readRetry] = ['mn: mn.read_begin {"sub":"path"}', 'mn: mn.read_retry {"sub":"path"}'] as const;
const [remove, free, wait] = ['mn: mn.remove {"sub":"path"}', 'mn: mn.free {"sub":"path"}', 'mn: mn.wait'] as const;
const [lockMm, unlockMm, lockMutex, unlockMutex] = ['mmap_lock: down_read', 'mmap_lock: up_read', 'mutex: lock', 'mutex: unlock'] as const;
const readPte = 'p: pte.read {"vpn":3}';
const [lockPtl, unlockPtl] = ['ptl_p: lock', 'ptl_p: unlock'] as const;
const enter = [lockMm, 'p: vma.find {"vpn":3}'];
const follow = [lockPtl, readPte, 'page4: folio.ref_inc', unlockPtl, 'lock4: trylock', 'page4: page.read'];
const missing = [lockPtl, readPte, unlockPtl];
const fault = 'fault: call {"vpn":3,"write":true}';
const items = [
  { mm: 'p', vpn: 3, ptl: 'ptl_p' },
  { mm: 'p1', vpn: 3, ptl: 'ptl_p1' },
];
const protect = [
  'record4: record.clear',
  'page4: folio.protect {"record":"record4","stable":false}',
  `protect: call ${JSON.stringify({ pfn: 4, items, shares: false })}`,
];
const look = [readBegin, readPte];
const copy = ['memory: alloc_page', 'page7: folio.prep_new', 'page4: memory.read {"sample":false}', 'page7: memory.write {"value":"bytes","device":"gpu"}'];
const check = [lockMutex, readRetry];
const readCopies = 'copies: copies.read {"vpns":[3]}';
const addCopy = (pfn: number): string => `record4: record.add_copy {"copy":{"mm":"gpu","vpn":3,"pfn":${pfn}}}`;
const mapCopy = ['gpu: mmu.map {"vpn":3,"pfn":7,"write":false,"atomic":false}', 'copies: copies.add {"vpn":3,"pfn":4,"copy":7}'];
const mapPage = ['gpu: mmu.map {"vpn":3,"pfn":4,"write":true,"atomic":true}', addCopy(4), 'page4: folio.mark_dirty'];
const release = ['lock4: unlock', 'put: call {"pfn":4,"pinned":false}'];
const out = (ok: boolean): string[] => [unlockMm, remove, free, `cpu: return {"ok":${ok}}`];
const putCopy = 'put_device: call {"pfn":7,"pinned":false}';
const readRecord = 'record4: record.read';
const unprotect = 'page4: folio.unprotect';

describe('a copy', () => {
  test('the page is protected, then the sequence noted, the bytes copied, the sequence checked and the copy mapped', () => {
    const system = called();
    const course = [insert, ...enter, ...follow, ...protect, ...look, ...copy, ...check, readCopies, ...mapCopy, addCopy(7), unlockMutex];
    expect(system.said('path')).toEqual([...course, ...release, ...out(true)]);
    expectCopied(system);
    expect(system.context('page4').dirty).toBe(false);
  });

  test('the call may ask for what the input does not', () => {
    expectCopied(called({ mode: 'combine' }, { mode: 'copy' }));
  });

  test('where areas are not modelled, any may be stored to', () => {
    expectCopied(called({ area: 'not modelled' }));
  });

  test('is served from the moment that it is mapped', () => {
    const system = start(rig()).stepTo('path', 'mutex_unlock');
    expect([...(system.live.snapshot('path') as unknown as { tags: Set<string> }).tags]).toEqual(['served']);
    expect([system.context('lock4').owner, system.context('mutex').owner]).toEqual(['path', 'path']);
  });

  test('of a page that is protected for copies, one more is made, with no notification', () => {
    const system = called({ page: protectedPage, copies: [replica] });
    const course = [insert, ...enter, ...follow, readRecord, ...look, ...copy, ...check, readCopies, ...mapCopy, addCopy(7), unlockMutex];
    expect(system.said('path')).toEqual([...course, ...release, ...out(true)]);
    expectCopied(system, [replica, { ...own, pfn: 7 }]);
  });

  test('takes the place of one that the device has dropped since', () => {
    const system = called({ page: protectedPage, copies: [own] });
    expect(system.said('path')).toContain('record4: record.remove_copy {"copy":{"mm":"gpu","vpn":3,"pfn":8}}');
    expectCopied(system);
  });

  test('is no second one, where another worker of the driver was faster', () => {
    const system = rig({ page: protectedPage, copies: [own] });
    system.say('other', 'copies', { type: 'copies.add', vpn: 3, pfn: 4, copy: 8 });
    start(system).settle();
    expect(system.said('path').slice(16)).toEqual([...check, readCopies, unlockMutex, putCopy, readRecord, ...release, ...out(true)]);
    expectAtRest(system, true);
    expect([system.context('gpu').ptes, system.at('page7'), system.context('page4').protection, system.context('record4').copies]).toEqual([
      {},
      'free',
      record,
      [own],
    ]);
  });

  test('is not for stores', () => {
    const system = called({}, { write: true });
    expect(system.said('path')).toEqual(['cpu: return {"ok":false}']);
    expectRefused(system);
  });

  test('twice in a row', () => {
    const system = called();
    system.say('other', 'copies', { type: 'copies.take', vpns: [3] });
    system.say('other', 'page7', 'folio.put');
    start(system).settle();
    expectAtRest(system, true);
    expect(system.context('gpu').ptes).toEqual({ 3: { pfn: 8, write: false, atomic: false } });
    expect([system.context('record4').copies, system.context('page4').refcount]).toEqual([[own], 1]);
  });
});

describe('combining', () => {
  const combine: Setup = { mode: 'combine' };

  test.each<[string, Setup, object]>([
    ['by input', combine, {}],
    ['by the call', {}, { mode: 'combine' }],
    ['for a store', combine, { write: true }],
  ])('%s: the device gets the page itself, to store to, and its record says so', (_, setup, more) => {
    const system = called(setup, more);
    const course = [insert, ...enter, ...follow, ...protect, ...look, ...check, ...mapPage, unlockMutex];
    expect(system.said('path')).toEqual([...course, ...release, ...out(true)]);
    expect([system.context('gpu').ptes, system.context('copies').copies]).toEqual([{ 3: { pfn: 4, write: true, atomic: true } }, []]);
    expect([system.context('page4').refcount, system.context('page4').dirty, system.context('page4').protection]).toEqual([1, true, record]);
    expectAtRest(system, true);
  });

  test('needs no notification for a page that is protected for nobody any more', () => {
    const system = called({ ...combine, page: protectedPage });
    expect(system.said('path').slice(3)).toEqual([...follow, readRecord, ...look, ...check, ...mapPage, unlockMutex, ...release, ...out(true)]);
  });
});

describe('what is in the way is settled by a fault, like that of a store', () => {
  const settle = [...release, fault];

  test.each<[string, Setup, boolean]>([
    ['a device stores to what is to be copied', { page: protectedPage, copies: [combiner] }, true],
    ['there are copies of what is to be stored to', { mode: 'combine', page: protectedPage, copies: [replica] }, true],
    ['even of its own', { mode: 'combine', page: protectedPage, copies: [own] }, true],
    ['the page is shared', { page: { anonExclusive: false } }, false],
    ['the page is shared, by KSM', { page: { anonExclusive: false, protection: { ...record, stable: true } } }, false],
  ])('%s', (_, setup, reads) => {
    const system = start(rig({ ...setup, faults: [true] })).stepTo('path', 'folio_put_to_fault');
    // What the fault does.
    system.say('other', 'page4', 'folio.unprotect');
    system.say('other', 'page4', { type: 'folio.set_exclusive', exclusive: true });
    system.settle();
    const course = [...follow, ...(reads ? [readRecord] : []), ...settle, ...follow, ...protect, ...look];
    expect(system.said('path').slice(3, 3 + course.length)).toEqual(course);
    expectAtRest(system, true);
    expect(system.context('page4').refcount).toBe(1);
  });

  test('if it is not settled then: not now', () => {
    const system = called({ page: { anonExclusive: false } });
    expect(system.said('path').slice(3)).toEqual([...follow, ...settle, ...follow, ...release, ...out(false)]);
    expectRefused(system);
  });

  test('at once, where it may not begin anew', () => {
    const system = called({ retries: 0, page: protectedPage, copies: [combiner] });
    expect(system.said('path').slice(3)).toEqual([...follow, readRecord, ...release, ...out(false)]);
    expectRefused(system, record);
  });

  test('a page that is not there is faulted in', () => {
    const system = called({ ptes: [none, { kind: 'protnone', pfn: 4, dirty: false }, readOnly] });
    expect(system.said('path').slice(1, 12)).toEqual([...enter, ...missing, fault, ...missing, fault, lockPtl]);
    expectCopied(system);
  });

  test('a fault that fails cancels that of the device', () => {
    const system = called({ ptes: [none], faults: [false] });
    expect(system.said('path')).toEqual([insert, ...enter, ...missing, fault, ...out(false)]);
    expectRefused(system);
  });
});

describe('it gives up', () => {
  test.each<[string, Setup]>([
    ['no VMA', { area: null }],
    ['one that may not be stored to', { area: { write: false } }],
  ])('%s', (_, setup) => {
    const system = called(setup);
    expect(system.said('path')).toEqual([insert, ...enter, ...out(false)]);
    expectRefused(system);
  });

  test('where the folio is locked', () => {
    const system = rig();
    system.say('other', 'lock4', 'lock');
    start(system).settle();
    expect(system.said('path').slice(3)).toEqual([...follow.slice(0, -1), release[1], ...out(false)]);
    expectRefused(system);
  });

  test('where somebody else refers to the page: nobody has a part in it then', () => {
    const system = called({ protects: false });
    expect(system.said('path').slice(3)).toEqual([...follow, ...protect, readRecord, unprotect, ...release, ...out(false)]);
    expectRefused(system);
  });

  test.each<[string, Setup, string[], object | null]>([
    ['fresh protection goes', {}, [...protect, ...look, 'memory: alloc_page', readRecord, unprotect], null],
    ["others' stays", { page: protectedPage, copies: [replica] }, [readRecord, ...look, 'memory: alloc_page', readRecord], record],
  ])('without memory of the device: %s', (_, setup, course, protection) => {
    const system = called({ ...setup, memory: [null] });
    expect(system.said('path').slice(9)).toEqual([...course, ...release, ...out(false)]);
    expectRefused(system, protection);
  });
});

describe('something comes in between', () => {
  const again = [...enter, ...follow, readRecord, ...look];

  test('an invalidation that is under way is waited for with nothing locked; the page stays protected', () => {
    const system = start(rig({ invalidating: [true, false] })).stepTo('path', 'mmu_interval_read_begin');
    system.take('path', 'step').stepTo('path', 'folio_put').settle();
    const first = [...follow, ...protect, readBegin, ...release, unlockMm, wait];
    expect(system.said('path').slice(3)).toEqual([
      ...first,
      ...again,
      ...copy,
      ...check,
      readCopies,
      ...mapCopy,
      addCopy(7),
      unlockMutex,
      ...release,
      ...out(true),
    ]);
    expectCopied(system);
  });

  test('the page has gone before the sequence was noted', () => {
    const system = called({ ptes: [readOnly, presentPte(5), readOnly] });
    expect(system.said('path').slice(3, 24)).toEqual([...follow, ...protect, ...look, ...release, unlockMm, ...again.slice(0, 7)]);
    expectCopied(system);
  });

  test('an invalidation since then: the copy was for nothing', () => {
    const system = called({ retry: [true, false], memory: [7, 7] });
    const first = [...follow, ...protect, ...look, ...copy, ...check, unlockMutex, putCopy, ...release, unlockMm];
    expect(system.said('path').slice(3, 3 + first.length + again.length)).toEqual([...first, ...again]);
    expectCopied(system);
  });

  test('again and again: it gives up, and nobody has a part in the page', () => {
    const system = called({ retry: [true] });
    const last = [...copy.map((text) => text.replace('page7', 'page8')), ...check, unlockMutex, putCopy.replace('7', '8'), readRecord, unprotect];
    expect(system.said('path').slice(-last.length - 6)).toEqual([...last, ...release, ...out(false)]);
    expectRefused(system);
    expect(system.at('page8')).toBe('free');
  });

  test.each<[string, Setup]>([
    ['invalidated', { retry: [true] }],
    ['being invalidated', { invalidating: [true] }],
    ['gone', { ptes: [readOnly, none] }],
  ])('it may have no second round: %s', (_, setup) => {
    const system = called({ ...setup, retries: 0 });
    expect(system.said('path').slice(-8)).toEqual([readRecord, unprotect, ...release, ...out(false)]);
    expectRefused(system);
  });
});

describe('it waits', () => {
  test.each([
    ['mmap_lock', 'down_write', 'up_write', 'wait_for_mmap_lock'],
    ['ptl_p', 'lock', 'unlock', 'spin_on_ptl'],
    ['mutex', 'lock', 'unlock', 'wait_for_mutex'],
  ])('for %s', (lock, take, give, state) => {
    const system = rig();
    system.say('other', lock, take);
    start(system).settle();
    expect([system.at('path'), system.can('path', 'step')]).toEqual([state, false]);
    system.say('other', lock, give);
    expectCopied(system.settle());
  });

  test('until who invalidates does not look at its subscription any more', () => {
    const system = called({ wait: true });
    expect(system.said('path').slice(-4)).toEqual([remove, wait, free, 'cpu: return {"ok":true}']);
    expectCopied(system);
  });
});

describe('with the subscriptions of the process', () => {
  const sub = { sub: 'path', driver: 'gpu_driver' };
  /** Its own notification, as write_protect_page makes it. */
  const notify = (system: Rig): void => {
    system.say('other', 'mn', { type: 'mn.invalidate_start', vpns: [3] });
    system.say('other', 'mn', { type: 'mn.set_seq', sub: 'path' });
  };
  const over = (system: Rig): void => {
    system.say('other', 'mn', 'mn.invalidate_end');
    system.say('other', 'mn', 'mn.inv_end_unlock');
  };
  const protectedBy = (system: Rig): Rig => {
    system.say('protect', 'path', { type: 'return', ok: true, ptes: [readOnly, null] });
    return system;
  };
  const live = (): Rig => start(rig({ notifier: actor(mmuNotifier), writeProtect: probe() })).stepTo('path', 'write_protect_page');

  test('its own notification does not make it begin anew', () => {
    const system = live();
    notify(system);
    over(system);
    expectCopied(protectedBy(system).settle());
    expect(system.said('path').filter((text) => text === readBegin)).toHaveLength(1);
    expect(system.context('mn').subs).toEqual([]);
  });

  test('one who breaks the protection has notified, and waits for the folio lock: it gets it', () => {
    const system = live();
    notify(system);
    system.say('other', 'lock4', 'lock');
    protectedBy(system).settle();
    expect([system.at('path'), system.can('path', 'step')]).toEqual(['wait_event', false]);
    expect([system.context('lock4').owner, system.context('mmap_lock').readers, system.context('mn').subs]).toEqual([
      'other',
      [],
      [expect.objectContaining({ ...sub, current: true })],
    ]);
    system.say('other', 'page4', 'folio.unprotect');
    system.say('other', 'lock4', 'unlock');
    over(system);
    protectedBy(system.settle());
    expectCopied(system.settle());
  });

  test('one who comes later makes it begin anew', () => {
    const system = protectedBy(live()).stepTo('path', 'mutex_lock');
    notify(system);
    over(system);
    system.settle();
    expect(system.said('path').filter((text) => text === readRetry)).toHaveLength(2);
    expectAtRest(system, true);
  });
});

test('every transition was taken', () => {
  expect(untaken(deviceCopy)).toEqual([]);
});
