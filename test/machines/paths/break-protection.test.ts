import {
  addressSpace,
  breakProtection,
  type Copy,
  folio,
  folioLock,
  handlePteFault,
  type Pte,
  presentPte,
  protectionRecord,
  putPage,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const written = (pfn: number): Pte => presentPte(pfn, { dirty: true });
const record = { record: 'record4', stable: false };
const area = { mapping: 'swap', index: 0, anonymous: true, read: true, write: true };
const replica: Copy = { mm: 'p1', vpn: 3, pfn: 7 };

interface Setup {
  machine?: typeof breakProtection;
  /** The table that the fault is in. */
  mm?: 'p' | 'p1';
  ptes?: { p?: Pte; p1?: Pte };
  copies?: Copy[];
  protection?: { record: string; stable: boolean } | null;
  exclusive?: boolean;
  mayWrite?: boolean | null;
  notified?: string[];
  /** Somebody else has a reference of the page. */
  held?: boolean;
}

/** Page 4 is mapped by node 0 at page 3, its copy in page 7 by node 1. */
function rig({ machine = breakProtection, mm = 'p', copies = [replica], protection = record, notified = ['p'], ...setup }: Setup = {}): Rig {
  const ptes = { p: readOnly(4), p1: readOnly(7), ...setup.ptes };
  const of = (pfn: number): number => Object.values(ptes).filter((pte) => 'pfn' in pte && pte.pfn === pfn).length;
  const areas = setup.mayWrite === null ? {} : { 3: { ...area, write: setup.mayWrite ?? true } };
  const frame = { idle: 0, zone: 'normal' as const, content: 'bytes' };
  const exclusive = { anonExclusive: setup.exclusive ?? true };
  const marked = protection ? { protection } : {};
  const system = new Rig({
    p: actor(addressSpace, { input: { ptes: { 3: ptes.p }, vmas: [3], cpumask: [], areas } }),
    p1: actor(addressSpace, { input: { ptes: { 3: ptes.p1 }, vmas: [3], cpumask: [], areas } }),
    ptl_p: actor(spinlock),
    ptl_p1: actor(spinlock),
    lock4: actor(folioLock),
    page4: actor(folio, { input: { ...frame, ...exclusive, ...marked, pfn: 4, refcount: of(4) + (setup.held ? 1 : 0), mapcount: of(4) } }),
    page7: actor(folio, { input: { ...frame, ...marked, pfn: 7, refcount: of(7), mapcount: of(7) } }),
    record4: actor(protectionRecord),
    put: actor(putPage, { input: {} }),
    flush_p: returns(),
    flush_p1: returns(),
    notifier_p: returns({ ok: true }),
    notifier_p1: returns({ ok: true }),
    path: actor(machine, {
      input: {
        ...{ mm, ptl: `ptl_${mm}`, putPage: 'put', folioLocks: { 4: 'lock4', 7: 'lock7' } },
        tables: [
          { mm: 'p', ptl: 'ptl_p' },
          { mm: 'p1', ptl: 'ptl_p1' },
        ],
        flush: { p: 'flush_p', p1: 'flush_p1' },
        ...(notified.length > 0 ? { notifiers: Object.fromEntries(notified.map((of) => [of, `notifier_${of}`])) } : {}),
      },
    }),
    fault: actor(handlePteFault, {
      input: {
        ...{ mm, ptl: `ptl_${mm}`, folioLocks: { 4: 'lock4' }, allocPages: 'alloc', putPage: 'put', anonFault: 'anon', flush: `flush_${mm}` },
        ...{ lufFlush: null, debug: null, task: 'task', breakProtection: 'path' },
      },
    }),
    alloc: returns({ pfns: [] }),
    anon: returns({ ok: false }),
    cpu: probe(),
    other: probe(),
  });
  for (const copy of copies) system.say('cpu', 'record4', { type: 'record.add_copy', copy });
  return system;
}
const start = (system: Rig, pfn = 4): Rig => {
  system.say('cpu', 'path', { type: 'call', pfn, vpn: 3, mapping: 'swap', index: 0 });
  return system;
};
const called = (setup?: Setup, pfn?: number): Rig => start(rig(setup), pfn).settle();
const ptes = (system: Rig): Pte[] => [system.context('p').ptes[3], system.context('p1').ptes[3]];
const counts = (system: Rig, page: string): unknown[] => {
  const { refcount, mapcount, protection } = system.context(page);
  return [refcount, mapcount, protection];
};
const idle = { caller: '', vpn: -1, found: -1, pfn: -1, mayWrite: true, exclusive: false, toTell: [], replicas: [] };
function expectAtRest(system: Rig): void {
  expect(system.context('path')).toMatchObject(idle);
  expect([system.at('path'), system.heard('cpu').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok: true }, []]);
  expect([system.context('lock4').owner, system.context('ptl_p').owner, system.context('ptl_p1').owner]).toEqual([null, null, null]);
}
/** The page is mapped by both tables, and by nobody else; the copy is free. */
function expectBroken(system: Rig): void {
  expectAtRest(system);
  expect([counts(system, 'page4'), system.context('page4').anonExclusive]).toEqual([[2, 2, null], true]);
  expect([system.at('page7'), system.context('record4').copies]).toEqual(['free', []]);
}

const findVma = (mm = 'p'): string => `${mm}: vma.find {"vpn":3}`;
const found = ['page4: folio.try_get', 'page4: folio.mapping'];
const notify = (mm: string, phase: 'start' | 'end'): string => `notifier_${mm}: call {"phase":"${phase}","event":"CLEAR","owner":null,"vpns":[3]}`;
const [lock, unlock] = ['lock4: lock', 'lock4: unlock'] as const;
const contents = ['page4: page.read', 'record4: record.read'];
const look = ['ptl_p1: lock', 'p1: pte.read {"vpn":3}'];
const gone = ['record4: record.remove_copy {"copy":{"mm":"p1","vpn":3,"pfn":7}}', 'ptl_p1: unlock'];
const revoke = [
  ...look,
  'p1: pte.get_and_clear {"vpn":3}',
  'flush_p1: call {"vpns":[3]}',
  'page4: folio.ref_inc',
  'page4: folio.add_rmap',
  `p1: pte.set ${JSON.stringify({ vpn: 3, pte: readOnly(4) })}`,
  'page7: folio.remove_rmap',
  'page7: folio.unprotect',
  ...gone,
  'put: call {"pfn":7,"pinned":false}',
];
const lookAgain = (mm = 'p'): string[] => [`ptl_${mm}: lock`, `${mm}: pte.read {"vpn":3}`];
const setWritable = (mm = 'p'): string => `${mm}: pte.set ${JSON.stringify({ vpn: 3, pte: written(4) })}`;
const over = ['page4: folio.unprotect', 'record4: record.clear'];
const put = (pfn = 4): string => `put: call {"pfn":${pfn},"pinned":false}`;
const returned = 'cpu: return {"ok":true}';
const end = [notify('p', 'end'), put(), returned];

describe('in its order (row W16)', () => {
  test('devices, folio lock, copies, then the pte becomes writable, and nothing is protected any more', () => {
    const system = called();
    const course = [findVma(), ...found, notify('p', 'start'), lock, ...contents, ...revoke, ...lookAgain(), setWritable(), ...over, 'ptl_p: unlock'];
    expect(system.said('path')).toEqual([...course, unlock, ...end]);
    expect(ptes(system)).toEqual([written(4), readOnly(4)]);
    expectBroken(system);
  });

  test('a fault on the copy finds the page by the record', () => {
    const system = called({ mm: 'p1' }, 7);
    const first = [findVma('p1'), 'page7: folio.try_get', 'page7: folio.mapping', 'page4: folio.try_get', put(7)];
    const then = [notify('p', 'start'), lock, ...contents, ...revoke, ...lookAgain('p1'), setWritable('p1'), ...over, 'ptl_p1: unlock', unlock, ...end];
    expect(system.said('path')).toEqual([...first, ...then]);
    expect(ptes(system)).toEqual([readOnly(4), written(4)]);
    expectBroken(system);
  });

  test('the pte of a copy is never seen empty without its lock, nor writable while a TLB leads to a copy', () => {
    const system = start(rig()).stepTo('path', 'ptep_clear');
    system.take('path', 'step');
    expect([system.at('path'), ptes(system), system.context('ptl_p1').owner]).toEqual(['set_pte_at', [readOnly(4), { kind: 'none' }], 'path']);
    system.take('path', 'step');
    expect([ptes(system), system.context('ptl_p1').owner, system.context('page4').protection]).toEqual([[readOnly(4), readOnly(4)], null, record]);
    expectBroken(system.settle());
  });

  test('every notifier of the process is told, in the order of its tables; none where there is none', () => {
    const both = called({ notified: ['p1', 'p'], copies: [] });
    expect(both.said('path').filter((text) => text.startsWith('notifier'))).toEqual([
      notify('p', 'start'),
      notify('p1', 'start'),
      notify('p', 'end'),
      notify('p1', 'end'),
    ]);
    const none = called({ notified: [], copies: [] });
    expect(none.said('path').slice(3)).toEqual([lock, ...contents, ...lookAgain(), setWritable(), ...over, 'ptl_p: unlock', unlock, put(), returned]);
  });

  test('twice in a row: the second finds nothing to break', () => {
    const system = called();
    const before = system.said('path').length;
    start(system).settle();
    expect(system.said('path').slice(before)).toEqual([findVma(), ...found, put(), returned]);
    expectBroken(system);
  });
});

describe('copies', () => {
  test('those of devices went with the notification', () => {
    const system = called({ copies: [{ mm: 'gpu', vpn: 3, pfn: 9 }, replica] });
    expect(system.said('path').slice(7)).toEqual([...revoke, ...lookAgain(), setWritable(), ...over, 'ptl_p: unlock', unlock, ...end]);
    expectBroken(system);
  });

  test('one that is not mapped any more needs nothing', () => {
    const system = called({ ptes: { p1: { kind: 'none' } } });
    expect(system.said('path').slice(7)).toEqual([...look, ...gone, ...lookAgain(), setWritable(), ...over, 'ptl_p: unlock', unlock, ...end]);
    expect(ptes(system)).toEqual([written(4), { kind: 'none' }]);
    expectAtRest(system);
  });
});

describe('the pte stays as it is, for the access to find out', () => {
  const stays = [...lookAgain(), ...over, 'ptl_p: unlock', unlock, ...end];

  test.each<[string, Setup]>([
    ['it maps another page', { ptes: { p: readOnly(5) }, copies: [], held: true }],
    ['it maps nothing', { ptes: { p: { kind: 'none' } }, copies: [], held: true }],
    ['the page is shared since', { exclusive: false, copies: [] }],
    ['the VMA may not be stored to', { mayWrite: false, copies: [] }],
  ])('%s', (_, setup) => {
    const system = called(setup);
    expect(system.said('path').slice(-stays.length)).toEqual(stays);
    expect([ptes(system)[0], system.context('page4').protection]).toEqual([setup.ptes?.p ?? readOnly(4), null]);
    expectAtRest(system);
  });

  test('where areas are not modelled it may be stored to', () => {
    expect(ptes(called({ mayWrite: null }))[0]).toEqual(written(4));
  });
});

describe('somebody was faster', () => {
  test('the page is free', () => {
    const system = called({ ptes: { p: { kind: 'none' } } });
    expect([system.said('path'), system.at('page4')]).toEqual([[findVma(), 'page4: folio.try_get', returned], 'free']);
    expectAtRest(system);
  });

  test('it is not protected any more', () => {
    const system = called({ protection: null });
    expect(system.said('path')).toEqual([findVma(), ...found, put(), returned]);
    expectAtRest(system);
  });

  test('the copy is left, the page is not', () => {
    const system = called({ mm: 'p1', ptes: { p: { kind: 'none' } } }, 7);
    expect(system.said('path')).toEqual([findVma('p1'), 'page7: folio.try_get', 'page7: folio.mapping', 'page4: folio.try_get', put(7), returned]);
    expect(counts(system, 'page7')).toEqual([1, 1, record]);
    expectAtRest(system);
  });

  test.each<[string, object]>([
    ['not protected', { type: 'folio.unprotect' }],
    ["KSM's", { type: 'folio.protect', record: 'record4', stable: true }],
  ])('while it waited for the folio lock: %s', (_, message) => {
    const system = rig();
    system.say('other', 'lock4', 'lock');
    start(system).settle();
    expect([system.at('path'), system.can('path', 'step')]).toEqual(['wait_for_folio_lock', false]);
    system.say('other', 'page4', message as { type: string });
    system.say('other', 'lock4', 'unlock');
    system.settle();
    expect(system.said('path').slice(3)).toEqual([notify('p', 'start'), lock, 'page4: page.read', unlock, ...end]);
    expect(ptes(system)).toEqual([readOnly(4), readOnly(7)]);
    expectAtRest(system);
  });
});

test('page-table locks are waited for, of the other table and of its own', () => {
  const system = rig();
  system.say('other', 'ptl_p', 'lock');
  system.say('other', 'ptl_p1', 'lock');
  start(system).settle();
  expect([system.at('path'), system.can('path', 'step')]).toEqual(['spin_on_ptl', false]);
  system.say('other', 'ptl_p1', 'unlock');
  system.settle();
  expect([system.at('path'), system.can('path', 'step')]).toEqual(['spin_to_store', false]);
  system.say('other', 'ptl_p', 'unlock');
  expectBroken(system.settle());
});

describe('without a safeguard', () => {
  const without = (guards: Partial<Record<'revokesBeforeWritable' | 'notifies' | 'notifiesBeforeLock', () => boolean>>) => breakProtection.provide({ guards });

  test('row W10: the pte is writable while the copy can be read', () => {
    const system = start(rig({ machine: without({ revokesBeforeWritable: () => false }) })).stepTo('path', 'ptep_clear');
    expect([ptes(system), system.context('page4').protection]).toEqual([[written(4), readOnly(7)], record]);
    system.settle();
    const course = [...lookAgain(), setWritable(), 'ptl_p: unlock', ...revoke, ...over, unlock, ...end];
    expect([system.said('path').slice(7), ptes(system)]).toEqual([course, [written(4), readOnly(4)]]);
    expectBroken(system);
  });

  test('row W10, a fault on the copy: its pte stays read-only, and the access is tried again', () => {
    const system = called({ machine: without({ revokesBeforeWritable: () => false }), mm: 'p1' }, 7);
    expect(system.said('path').slice(9)).toEqual([...lookAgain('p1'), 'ptl_p1: unlock', ...revoke, ...over, unlock, ...end]);
    expect(ptes(system)).toEqual([readOnly(4), readOnly(4)]);
    expectBroken(system);
  });

  test('row W12: devices are not told', () => {
    const system = called({ machine: without({ notifies: () => false }) });
    expect(system.said('path').filter((text) => text.startsWith('notifier'))).toEqual([]);
    expectBroken(system);
  });

  test('row W13: they are told with the folio locked', () => {
    const system = called({ machine: without({ notifiesBeforeLock: () => false }), copies: [] });
    expect(system.said('path').slice(3)).toEqual([
      lock,
      notify('p', 'start'),
      ...contents,
      ...lookAgain(),
      setWritable(),
      ...over,
      'ptl_p: unlock',
      unlock,
      ...end,
    ]);
  });
});

describe('a store that faults', () => {
  const fault = (system: Rig): Rig => {
    system.say('cpu', 'fault', { type: 'call', vpn: 3, write: true });
    return system.settle();
  };

  test.each(['p', 'p1'] as const)('in table %s: breaks the protection, whichever page it finds', (mm) => {
    const system = fault(rig({ mm }));
    expect(ptes(system)).toEqual(mm === 'p' ? [written(4), readOnly(4)] : [readOnly(4), written(4)]);
    expectBroken(system);
    expect(system.heard('alloc')).toEqual([]);
  });
});

test('every transition was taken', () => {
  expect(untaken(breakProtection)).toEqual([]);
});
