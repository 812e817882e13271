import { nouveauRangeFault, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const pte = (pte: object): Message => ({ type: 'pte', pte, table: null });
const writable = pte(presentPte(3));
const readOnly = pte(presentPte(3, { write: false }));
const none = pte({ kind: 'none' });
const area = (read: boolean, write: boolean): Message => ({ type: 'vma', result: 'found', area: { read, write } });
const locked: Message = { type: 'locked' };

interface Surroundings {
  machine?: typeof nouveauRangeFault;
  vma?: Message;
  ptes?: Message[];
  faults?: boolean[];
  /** What mmu_interval_read_begin finds, mmu_interval_read_retry, and the removal, one after the other. */
  invalidating?: boolean[];
  retry?: boolean[];
  wait?: boolean;
  seq?: boolean[];
}

const rig = (around: Surroundings = {}): Rig =>
  new Rig({
    mm: answers({ 'vma.find': [around.vma ?? area(true, true)], 'pte.read': around.ptes ?? [writable] }),
    mmap_lock: answers({ down_read: [locked] }),
    mn: answers({
      'mn.insert': [{ type: 'mn.inserted' }],
      'mn.read_begin': (around.invalidating ?? [false]).map((invalidating) => ({ type: 'mn.read', invalidating })),
      'mn.read_retry': (around.retry ?? [false]).map((retry) => ({ type: 'mn.checked', retry })),
      'mn.remove': [{ type: 'mn.removed', wait: around.wait ?? false }],
      'mn.seq_released': (around.seq ?? []).map((released) => ({ type: 'mn.seq', released })),
    }),
    mutex: answers({ lock: [locked] }),
    gpu: answers(),
    lock3: answers({ lock: [locked] }),
    fault: returns(...(around.faults ?? []).map((ok) => ({ ok }))),
    path: actor(around.machine ?? nouveauRangeFault, {
      input: {
        mm: 'mm',
        mmapLock: 'mmap_lock',
        notifier: 'mn',
        driver: 'gpu_driver',
        mutex: 'mutex',
        mmu: 'gpu',
        fault: 'fault',
        folioLocks: { 3: 'lock3' },
        devicePages: [3],
      },
    }),
    p: probe(),
  });
const idle = { caller: '', vpn: -1, write: false, area: null, pfn: -1, writable: false, failed: false };
const call = (system: Rig, write: boolean): string[] => {
  const before = system.said('path').length;
  expect([system.at('path'), system.context('path')]).toEqual(['idle', expect.objectContaining(idle)]);
  system.say('p', 'path', { type: 'call', vpn: 9, ...(write ? { write: true } : {}) });
  system.settle('path');
  expect([system.at('path'), system.context('path')]).toEqual(['idle', expect.objectContaining(idle)]);
  return system.said('path').slice(before);
};

const insert = 'mn: mn.insert {"sub":"path","driver":"gpu_driver","vpns":[9]}';
const readBegin = 'mn: mn.read_begin {"sub":"path"}';
const wait = 'mn: mn.wait';
const readRetry = 'mn: mn.read_retry {"sub":"path"}';
const remove = 'mn: mn.remove {"sub":"path"}';
const free = 'mn: mn.free {"sub":"path"}';
const [lockMm, unlockMm, lockMutex, unlockMutex] = ['mmap_lock: down_read', 'mmap_lock: up_read', 'mutex: lock', 'mutex: unlock'] as const;
const findVma = 'mm: vma.find {"vpn":9}';
const readPte = 'mm: pte.read {"vpn":9}';
const lookUp = [lockMm, findVma, readPte, unlockMm];
const map = (write: boolean): string => `gpu: mmu.map {"vpn":9,"pfn":3,"write":${write},"atomic":false}`;
const served = 'p: return {"ok":true}';
const cancelled = 'p: return {"ok":false}';
const [faultRead, faultWrite] = ['fault: call {"vpn":9}', 'fault: call {"vpn":9,"write":true}'] as const;

describe('a page that is there', () => {
  test('is looked up and mapped with the rights of the pte, twice in a row', () => {
    const system = rig();
    const all = [insert, readBegin, ...lookUp, lockMutex, readRetry, map(true), unlockMutex, remove, free, served];
    expect(call(system, false)).toEqual(all);
    expect(call(system, true)).toEqual(all);
  });

  test('is mapped for reading if its pte is', () => {
    expect(call(rig({ ptes: [readOnly] }), false)).toContain(map(false));
  });

  test('step by step; it is served from the moment that it is mapped', () => {
    const system = rig();
    system.say('p', 'path', { type: 'call', vpn: 9 });
    const places = [system.at('path')];
    while (system.at('path') !== 'idle') {
      const { tags } = system.live.snapshot('path') as unknown as { tags: Set<string> };
      if (system.at('path') === 'mutex_unlock') expect([...tags]).toEqual(['served']);
      else expect([...tags]).toEqual([]);
      places.push(system.take('path', 'step').at('path'));
    }
    expect(places).toEqual([
      'mmu_interval_notifier_insert',
      'mmu_interval_read_begin',
      'mmap_read_lock',
      'hmm_vma_handle_pte',
      'mmap_read_unlock',
      'mutex_lock',
      'map',
      'mutex_unlock',
      'mmu_interval_notifier_remove',
      'idle',
    ]);
  });
});

describe('a page that is not there, or not so', () => {
  test.each([
    [false, none, faultRead],
    [true, none, faultWrite],
    [true, readOnly, faultWrite],
    [false, pte({ kind: 'protnone', pfn: 3, dirty: false }), faultRead],
    [true, pte({ kind: 'devexcl', pfn: 3 }), faultWrite],
    [false, pte({ kind: 'swap', slot: 5 }), faultRead],
  ])('store: %s, %j: the fault handler is called, and the pte looked at again', (write, pte, fault) => {
    const said = call(rig({ ptes: [pte, writable], faults: [true] }), write);
    expect(said.slice(2)).toEqual([lockMm, findVma, readPte, fault, readPte, unlockMm, lockMutex, readRetry, map(true), unlockMutex, remove, free, served]);
  });

  test('a fault that fails cancels that of the device', () => {
    const system = rig({ ptes: [none], faults: [false] });
    expect(call(system, true)).toEqual([insert, readBegin, lockMm, findVma, readPte, faultWrite, unlockMm, remove, free, cancelled]);
    expect(call(system, true).at(-1)).toBe(cancelled);
  });

  test('a migration is waited for', () => {
    const migration = pte({ kind: 'migration', pfn: 3, write: true });
    const said = call(rig({ ptes: [migration, readOnly] }), false);
    expect(said.slice(2)).toEqual([
      lockMm,
      findVma,
      readPte,
      'lock3: lock',
      'lock3: unlock',
      readPte,
      unlockMm,
      lockMutex,
      readRetry,
      map(false),
      unlockMutex,
      remove,
      free,
      served,
    ]);
  });
});

describe('a page in the memory of a device', () => {
  const devpriv = (pfn: number, write: boolean): Message => pte({ kind: 'devpriv', pfn, write });

  test.each([
    [false, true],
    [true, true],
    [true, false],
  ])('store: %s, to its own: mapped with the rights of the entry (write: %s), whatever is wanted', (wants, write) => {
    const said = call(rig({ ptes: [devpriv(3, write)] }), wants);
    expect(said).toEqual([insert, readBegin, ...lookUp, lockMutex, readRetry, map(write), unlockMutex, remove, free, served]);
  });

  test("another's comes back to the kernel's memory first", () => {
    const said = call(rig({ ptes: [devpriv(4, true), writable], faults: [true] }), false);
    expect(said.slice(2, 7)).toEqual([lockMm, findVma, readPte, faultRead, readPte]);
  });
});

describe('no right', () => {
  test.each<[string, boolean, Message]>([
    ['no area', false, { type: 'vma', result: 'none' }],
    ['no access', false, area(false, false)],
    ['a stale area that was taken out', true, { type: 'vma', result: 'none', area: { read: true, write: true } }],
  ])('%s: cancelled before the pte is looked at', (_, write, vma) => {
    expect(call(rig({ vma }), write)).toEqual([insert, readBegin, lockMm, findVma, unlockMm, remove, free, cancelled]);
  });

  test('a store where only loads are allowed is cancelled without a fault', () => {
    expect(call(rig({ vma: area(true, false), ptes: [readOnly] }), true)).toEqual([
      insert,
      readBegin,
      lockMm,
      findVma,
      readPte,
      unlockMm,
      remove,
      free,
      cancelled,
    ]);
  });

  test('that too is being served', () => {
    const system = rig({ vma: area(false, false) });
    system.say('p', 'path', { type: 'call', vpn: 9 });
    system.stepTo('path', 'mmap_read_unlock_cancelled');
    expect([...(system.live.snapshot('path') as unknown as { tags: Set<string> }).tags]).toEqual(['served']);
  });

  test('an area that says nothing of rights allows all', () => {
    expect(call(rig({ vma: { type: 'vma', result: 'found' } }), true)).toContain(served);
  });
});

describe('invalidations', () => {
  test('one under way is waited for before mmap_lock is taken', () => {
    const system = rig({ invalidating: [true] });
    system.say('p', 'path', { type: 'call', vpn: 9 });
    system.settle('path');
    expect([system.at('path'), system.said('path')]).toEqual(['wait_event', [insert, readBegin, wait]]);
    system.say('p', 'path', 'mn.released');
    system.settle('path');
    expect(system.said('path').slice(3)).toEqual([...lookUp, lockMutex, readRetry, map(true), unlockMutex, remove, free, served]);
  });

  test('the end of one, which holds the lock of the subscriptions: it asks once, and spins', () => {
    const system = rig({ invalidating: [] });
    system.say('p', 'path', { type: 'call', vpn: 9 });
    system.settle('path');
    expect([system.at('path'), system.said('path')]).toEqual(['spin_to_read', [insert, readBegin]]);
    system.say('p', 'path', { type: 'mn.read', invalidating: false });
    expect(system.at('path')).toBe('mmap_read_lock');
  });

  test('one since: the mutex is dropped, and all begins again, with a new look', () => {
    const said = call(rig({ retry: [true, false], ptes: [writable, readOnly] }), false);
    const round = [readBegin, ...lookUp, lockMutex, readRetry];
    expect(said).toEqual([insert, ...round, unlockMutex, ...round, map(false), unlockMutex, remove, free, served]);
  });

  test('one that is under way when the subscription is removed: it is freed only at its end', () => {
    const system = rig({ wait: true });
    system.say('p', 'path', { type: 'call', vpn: 9 });
    system.settle('path');
    expect([system.at('path'), system.said('path').slice(-2)]).toEqual(['wait_for_removal', [remove, wait]]);
    system.say('p', 'path', 'mn.released');
    expect([system.at('path'), system.said('path').slice(-2)]).toEqual(['idle', [free, served]]);
  });
});

describe('without a safeguard', () => {
  const variant = (guards: NonNullable<Parameters<typeof nouveauRangeFault.provide>[0]['guards']>): typeof nouveauRangeFault =>
    nouveauRangeFault.provide({ guards });

  test('N1: nothing is waited for', () => {
    const said = call(rig({ machine: variant({ mustWait: () => false }), invalidating: [true] }), false);
    expect(said).toEqual([insert, readBegin, ...lookUp, lockMutex, readRetry, map(true), unlockMutex, remove, free, served]);
  });

  test('D1: no check', () => {
    const said = call(rig({ machine: variant({ checksUnderMutex: () => false }), retry: [true] }), false);
    expect(said).toEqual([insert, readBegin, ...lookUp, lockMutex, map(true), unlockMutex, remove, free, served]);
  });

  test.each([true, false])('D1: no subscription at all (the area may be read: %s)', (read) => {
    const said = call(rig({ machine: variant({ subscribes: () => false, checksUnderMutex: () => false }), vma: area(read, read) }), false);
    expect(said).toEqual(read ? [...lookUp, lockMutex, map(true), unlockMutex, served] : [lockMm, findVma, unlockMm, cancelled]);
  });

  test('D7: the check comes before the mutex, and only there', () => {
    const machine = variant({ checksBeforeMutex: () => true, checksUnderMutex: () => false });
    const said = call(rig({ machine, retry: [true, false] }), false);
    const round = [readBegin, ...lookUp, readRetry];
    expect(said).toEqual([insert, ...round, ...round, lockMutex, map(true), unlockMutex, remove, free, served]);
  });

  test('N4: the end of the invalidation is looked for without the lock', () => {
    const system = rig({ machine: variant({ waitsUnderLock: () => false }), wait: true, seq: [false, true] });
    const look = 'mn: mn.seq_released';
    expect(call(system, false).slice(-5)).toEqual([remove, look, look, free, served]);
  });
});

test('every transition was taken', () => {
  expect(untaken(nouveauRangeFault)).toEqual([]);
});
