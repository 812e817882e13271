import {
  type Area,
  addressSpace,
  folio,
  folioLock,
  type Pte,
  presentPte,
  putPage,
  removeDeviceExclusiveEntry,
  removeDeviceExclusiveEntry514,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Guards = NonNullable<Parameters<typeof removeDeviceExclusiveEntry.provide>[0]['guards']>;
const without = (guards: Guards): typeof removeDeviceExclusiveEntry => removeDeviceExclusiveEntry.provide({ guards });
const old = without(removeDeviceExclusiveEntry514);
const area: Area = { mapping: 'swap', index: 3, anonymous: true, read: true, write: true };
const entry: Pte = { kind: 'devexcl', pfn: 4, write: true };

interface Setup {
  pte?: Pte;
  of?: Area | null;
  machine?: typeof removeDeviceExclusiveEntry;
  owner?: string;
  /** PG_dirty. */
  dirty?: boolean;
  others?: Actors;
}

const rig = ({ pte = entry, of = area, machine = removeDeviceExclusiveEntry, owner, dirty = false, others = {} }: Setup = {}): Rig => {
  const system = new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: pte }, vmas: of ? [3] : [], cpumask: [], ...(of ? { areas: { 3: of } } : {}) } }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: true } }),
    lock4: actor(folioLock),
    notifier: returns({ ok: true }),
    put: actor(putPage, { input: { allocator: 'allocator' } }),
    allocator: answers(),
    restore: actor(machine, {
      input: { mm: 'mm', ptl: 'ptl', folioLocks: { 4: 'lock4' }, notifier: 'notifier', putPage: 'put', ...(owner === undefined ? {} : { owner }) },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
  if (dirty) system.say('q', 'page4', 'folio.mark_dirty');
  return system;
};
const call = (system: Rig): Rig => {
  system.say('p', 'restore', { type: 'call', vpn: 3, pfn: 4 });
  return system;
};
const restored = (setup: Setup = {}): Rig => call(rig(setup)).settle();
const pteIn = (system: Rig): Pte => system.context('mm').ptes[3];
const setPte = (system: Rig, pte: Pte): unknown => system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte });
const page = (system: Rig): unknown => {
  const { refcount, mapcount } = system.context('page4');
  return { refcount, mapcount };
};
const returned: Message = { type: 'return' };

function expectAtRest(system: Rig): void {
  expect(system.context('restore')).toMatchObject({ caller: '', vpn: -1, pfn: -1, area: null, pte: { kind: 'none' }, dirty: false });
  expect([system.at('restore'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', returned, []]);
  const free = { owner: null, waiters: [] };
  expect([system.context('ptl'), system.context('lock4')]).toEqual([free, free]);
}

const [tryGet, readFolio, addRmap] = ['folio.try_get', 'page.read', 'folio.add_rmap'].map((type) => `page4: ${type}`) as [string, string, string];
const [lock, unlock, lockPtl, unlockPtl] = ['lock4: lock', 'lock4: unlock', 'ptl: lock', 'ptl: unlock'] as const;
const [readPte, findVma] = ['mm: pte.read {"vpn":3}', 'mm: vma.find {"vpn":3}'] as const;
const setTo = (pte: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte })}`;
const put = 'put: call {"pfn":4,"pinned":false}';
const notify = (phase: 'start' | 'end', event = 'CLEAR', owner: string | null = null): string =>
  `notifier: call ${JSON.stringify({ phase, event, owner, vpns: [3] })}`;
const whole = [
  ...[tryGet, lock, notify('start'), lockPtl, readPte, findVma, readFolio, setTo(presentPte(4))],
  ...[unlockPtl, unlock, put, notify('end'), 'p: return'],
];
const exclusive = (said: string): string => said.replace('"CLEAR"', '"EXCLUSIVE"');

describe('an entry', () => {
  test('becomes a present pte: reference, folio lock, everybody drops it, and only then the page-table lock; the end comes last', () => {
    const system = restored();
    expect(system.said('restore')).toEqual(whole);
    expect([pteIn(system), page(system)]).toEqual([presentPte(4), { refcount: 1, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('step by step, and what it holds where', () => {
    const system = call(rig());
    const places: unknown[] = [];
    while (system.at('restore') !== 'folio_put') {
      const held = [system.context('ptl').owner, system.context('lock4').owner].map((owner, which) => (owner === 'restore' ? ['ptl', 'folio'][which] : ''));
      places.push([system.at('restore'), held.filter(Boolean).join(' '), system.context('page4').refcount, pteIn(system).kind]);
      system.take('restore', 'step');
    }
    expect(places).toEqual([
      ['folio_try_get', '', 1, 'devexcl'],
      ['folio_lock', '', 2, 'devexcl'],
      ['pte_offset_map_lock', 'folio', 2, 'devexcl'],
      ['restore_exclusive_pte', 'ptl folio', 2, 'devexcl'],
      ['pte_unmap_unlock', 'ptl folio', 2, 'present'],
      ['folio_unlock', 'folio', 2, 'present'],
    ]);
    expect(system.heard('notifier').filter(({ phase }) => phase === 'end')).toEqual([]);
    expectAtRest(system.settle());
  });

  test('of a folio that is dirty: the pte is dirty too', () => {
    expect(pteIn(restored({ dirty: true }))).toEqual(presentPte(4, { dirty: true }));
  });

  test.each<[string, Pte, Area | null]>([
    ['the VMA may not be written now', entry, { ...area, write: false }],
    ['there is no VMA', entry, null],
    ['it is of the readable type', { ...entry, write: false }, area],
  ])('is restored read-only, and clean, where %s', (_, pte, of) => {
    const system = restored({ pte, of, dirty: true });
    expect(pteIn(system)).toEqual(presentPte(4, { write: false }));
    expectAtRest(system);
  });

  test('of the only type that there is since 6.15 is restored as the VMA says', () => {
    expect(pteIn(restored({ pte: { kind: 'devexcl', pfn: 4 } }))).toEqual(presentPte(4));
  });

  test('may be restored again', () => {
    const system = restored();
    setPte(system, entry);
    call(system).settle();
    expect([system.said('restore'), pteIn(system), page(system)]).toEqual([[...whole, ...whole], presentPte(4), { refcount: 1, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('on behalf of an owner, where a fix names him', () => {
    const system = restored({ owner: 'gpu' });
    expect(system.heard('notifier').map(({ event, owner }) => [event, owner])).toEqual([
      ['CLEAR', 'gpu'],
      ['CLEAR', 'gpu'],
    ]);
  });
});

describe('what is waited for', () => {
  test('the folio lock, which a driver has until the device has mapped the page: nobody is told before', () => {
    const system = rig();
    system.say('q', 'lock4', 'lock');
    call(system).settle();
    expect([system.at('restore'), system.can('restore', 'step'), page(system), system.heard('notifier')]).toEqual([
      'wait_for_folio_lock',
      false,
      { refcount: 2, mapcount: 1 },
      [],
    ]);
    system.say('q', 'lock4', 'unlock');
    expect(pteIn(system.settle())).toEqual(presentPte(4));
    expectAtRest(system);
  });

  test('the secondary MMUs: without the page-table lock, the folio locked; at the end nothing is held', () => {
    const system = restored({ others: { notifier: answers() } });
    const held = (): unknown => [system.at('restore'), system.can('restore', 'step'), pteIn(system).kind, system.context('ptl').owner];
    expect([held(), system.context('lock4').owner]).toEqual([['invalidate_clear', false, 'devexcl', null], 'restore']);
    system.say('q', 'restore', { type: 'return', ok: true });
    system.settle();
    expect([held(), system.context('lock4').owner, page(system)]).toEqual([['end_clear', false, 'present', null], null, { refcount: 1, mapcount: 1 }]);
    system.say('q', 'restore', { type: 'return', ok: true });
    expectAtRest(system);
  });

  test('the page-table lock', () => {
    const system = rig();
    system.say('q', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('restore'), system.can('restore', 'step'), system.context('lock4').owner]).toEqual(['spin_on_ptl', false, 'restore']);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle());
  });
});

describe('the entry has changed meanwhile', () => {
  test.each<[string, Pte]>([
    ['somebody has restored it', presentPte(4)],
    ['zap has taken it', { kind: 'none' }],
    ['it is that of another page', { ...entry, pfn: 5 }],
    ['it is being migrated', { kind: 'migration', pfn: 4, write: true }],
  ])('%s: nothing is set; locks, reference and notification are undone', (_, pte) => {
    const system = rig();
    system.say('q', 'lock4', 'lock');
    call(system).settle();
    setPte(system, pte);
    system.say('q', 'lock4', 'unlock');
    system.settle();
    expect(system.said('restore')).toEqual([tryGet, lock, notify('start'), lockPtl, readPte, unlockPtl, unlock, put, notify('end'), 'p: return']);
    expect([pteIn(system), page(system)]).toEqual([pte, { refcount: 1, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('the page is free: the entry has gone before it; nothing is touched', () => {
    const system = rig();
    setPte(system, { kind: 'none' });
    for (const message of ['folio.remove_rmap', 'folio.put']) system.say('q', 'page4', message);
    call(system).settle();
    expect([system.said('restore'), system.at('page4'), pteIn(system)]).toEqual([[tryGet, 'p: return'], 'free', { kind: 'none' }]);
    expectAtRest(system);
  });

  test('its reference is the last: the page is free when it is given back, unlocked by then', () => {
    const system = call(rig()).stepTo('restore', 'folio_lock');
    setPte(system, { kind: 'none' });
    for (const message of ['folio.remove_rmap', 'folio.put']) system.say('q', 'page4', message);
    expect([system.at('page4'), system.stepTo('restore', 'folio_put').context('lock4').owner]).toEqual(['present', null]);
    expect(system.settle().at('page4')).toBe('free');
    expectAtRest(system);
  });
});

describe('up to 6.14', () => {
  test('EXCLUSIVE, of nobody; the entry is no mapping, and one of the writable type is dirty', () => {
    const system = restored({ machine: old });
    expect(system.said('restore')).toEqual(
      whole
        .filter((said) => said !== readFolio)
        .map(exclusive)
        .flatMap((said) => (said === setTo(presentPte(4)) ? [addRmap, setTo(presentPte(4, { dirty: true }))] : [said])),
    );
    expect(page(system)).toEqual({ refcount: 1, mapcount: 2 });
    expectAtRest(system);
  });

  test.each<[string, Pte, Area, Pte]>([
    [
      'of the writable type, the VMA may not be written now: dirty all the same',
      entry,
      { ...area, write: false },
      presentPte(4, { write: false, dirty: true }),
    ],
    ['of the readable type: neither writable nor dirty', { ...entry, write: false }, area, presentPte(4, { write: false })],
  ])('%s', (_, pte, of, after) => {
    const system = restored({ machine: old, pte, of, dirty: true });
    expect(pteIn(system)).toEqual(after);
    expectAtRest(system);
  });

  test('the secondary MMUs are waited for', () => {
    const system = restored({ machine: old, others: { notifier: answers() } });
    expect([system.at('restore'), system.can('restore', 'step')]).toEqual(['invalidate_exclusive', false]);
    system.say('q', 'restore', { type: 'return', ok: true });
    expect([system.settle().at('restore'), system.can('restore', 'step')]).toEqual(['end_exclusive', false]);
    system.say('q', 'restore', { type: 'return', ok: true });
    expectAtRest(system);
  });
});

describe('row D18: no reference', () => {
  const machine = without({ takesReference: () => false });

  test('else the same', () => {
    const system = restored({ machine });
    expect(system.said('restore')).toEqual(whole.filter((said) => said !== tryGet && said !== put));
    expect([pteIn(system), page(system)]).toEqual([presentPte(4), { refcount: 1, mapcount: 1 }]);
    expectAtRest(system);
  });

  test('the folio of a page that is free gets locked', () => {
    const system = rig({ machine });
    setPte(system, { kind: 'none' });
    for (const message of ['folio.remove_rmap', 'folio.put']) system.say('q', 'page4', message);
    call(system).stepTo('restore', 'pte_offset_map_lock');
    expect([system.at('page4'), system.context('lock4').owner]).toEqual(['free', 'restore']);
    expectAtRest(system.settle());
  });
});

test('every transition was taken', () => {
  expect(untaken(removeDeviceExclusiveEntry)).toEqual([]);
});
