import {
  type Area,
  addressSpace,
  folio,
  folioLock,
  handlePteFault,
  makeDeviceExclusive,
  makeDeviceExclusiveRange,
  type Pte,
  presentPte,
  putPage,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

type Guards = NonNullable<Parameters<typeof makeDeviceExclusive.provide>[0]['guards']>;
const without = (guards: Guards): typeof makeDeviceExclusive => makeDeviceExclusive.provide({ guards });
const range = without(makeDeviceExclusiveRange);
const area: Area = { mapping: 'swap', index: 3, anonymous: true, read: true, write: true };
const entry: Pte = { kind: 'devexcl', pfn: 4, write: true };
const dirty = presentPte(4, { dirty: true });
const readOnly = presentPte(4, { write: false });

interface Setup {
  pte?: Pte;
  of?: Area | null;
  huge?: boolean;
  machine?: typeof makeDeviceExclusive;
  owner?: string | null;
  page4?: object;
  /** What each fault says. */
  faults?: boolean[];
  others?: Actors;
}

const rig = ({
  pte = dirty,
  of = area,
  huge = false,
  machine = makeDeviceExclusive,
  owner = 'gpu',
  page4 = {},
  faults = [true],
  others = {},
}: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, {
      input: { ptes: { 3: pte }, vmas: of ? [3] : [], cpumask: [], ...(of ? { areas: { 3: of } } : {}), ...(huge ? { huge: [0] } : {}) },
    }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 1, mapcount: 1, idle: 0, zone: 'normal', anonExclusive: true, ...page4 } }),
    lock4: actor(folioLock),
    fault: returns(...faults.map((ok) => ({ ok }))),
    flush: returns(),
    notifier: returns({ ok: true }),
    put: actor(putPage, { input: {} }),
    make: actor(machine, {
      input: { mm: 'mm', ptl: 'ptl', folioLocks: { 4: 'lock4', 5: 'lock5' }, fault: 'fault', flush: 'flush', notifier: 'notifier', putPage: 'put', owner },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'make', { type: 'call', vpn: 3 });
  return system;
};
const made = (setup: Setup = {}): Rig => call(rig(setup)).settle();
/** To where it begins again. */
function againFrom(system: Rig): Rig {
  system.stepTo('make', 'folio_put').settle('put');
  expect(system.at('make')).toBe('find_vma');
  return system;
}
const pteIn = (system: Rig): Pte => system.context('mm').ptes[3];
const setPte = (system: Rig, pte: Pte): unknown => system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte });
const page = (system: Rig): unknown => {
  const { refcount, mapcount, dirty } = system.context('page4');
  return { refcount, mapcount, dirty };
};
const answered = (system: Rig): Message | undefined => system.heard('p').at(-1);
const got: Message = { type: 'return', ok: true, pfn: 4 };
const nothing: Message = { type: 'return', ok: false };

/** It holds no lock and remembers nothing; the folio is locked for whoever called it, or by nobody. */
function expectAtRest(system: Rig, answer: Message): void {
  expect(system.context('make')).toMatchObject({ caller: '', vpn: -1, pfn: -1, pte: { kind: 'none' } });
  expect([system.at('make'), answered(system), system.bugs()]).toEqual(['idle', answer, []]);
  expect([system.context('ptl'), system.context('lock4')]).toEqual([
    { owner: null, waiters: [] },
    { owner: answer.ok === true ? 'make' : null, waiters: [] },
  ]);
}

const [findVma, readPmd, readPte, clearPte] = ['vma.find', 'pmd.read', 'pte.read', 'pte.get_and_clear'].map((type) => `mm: ${type} {"vpn":3}`) as [
  string,
  string,
  string,
  string,
];
const [lockPtl, unlockPtl, lock, trylock, unlock] = ['ptl: lock', 'ptl: unlock', 'lock4: lock', 'lock4: trylock', 'lock4: unlock'] as const;
const [tryGet, markDirty] = ['page4: folio.try_get', 'page4: folio.mark_dirty'] as const;
const put = 'put: call {"pfn":4,"pinned":false}';
const fault = 'fault: call {"vpn":3,"write":true}';
const flush = 'flush: call {"vpns":[3]}';
const notify = (phase: 'start' | 'end', event = 'EXCLUSIVE', owner: string | null = 'gpu'): string =>
  `notifier: call ${JSON.stringify({ phase, event, owner, vpns: [3] })}`;
const setEntry = (write = true): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte: { kind: 'devexcl', pfn: 4, write } })}`;
const [returned, refused] = ['p: return {"ok":true,"pfn":4}', 'p: return {"ok":false}'] as const;

const look = [readPmd, lockPtl, readPte];
const grab = [tryGet, unlockPtl];
const convert = [clearPte, flush, markDirty, setEntry()];
const whole = [findVma, ...look, ...grab, lock, notify('start'), lockPtl, readPte, ...convert, unlockPtl, notify('end'), returned];

describe('a page that is mapped writable', () => {
  test('E4 to E7 in order: the page comes back referenced and locked, and its pte is an entry', () => {
    const system = made();
    expect(system.said('make')).toEqual(whole);
    expect([pteIn(system), page(system)]).toEqual([entry, { refcount: 2, mapcount: 1, dirty: true }]);
    expectAtRest(system, got);
  });

  test('step by step, and which locks it holds where', () => {
    const system = call(rig());
    const places: unknown[] = [];
    while (system.at('make') !== 'idle') {
      const held = [system.context('ptl').owner, system.context('lock4').owner].map((owner, which) => (owner === 'make' ? ['ptl', 'folio'][which] : ''));
      places.push([system.at('make'), held.filter(Boolean).join(' '), pteIn(system).kind]);
      system.take('make', 'step');
    }
    expect(places).toEqual([
      ['find_vma', '', 'present'],
      ['follow_pmd_mask', '', 'present'],
      ['follow_page_pte', '', 'present'],
      ['pte_unmap_unlock', 'ptl', 'present'],
      ['folio_lock', '', 'present'],
      ['folio_walk_start', 'folio', 'present'],
      ['ptep_get_and_clear', 'ptl folio', 'present'],
      ['set_pte_at', 'ptl folio', 'none'],
      ['folio_walk_end', 'ptl folio', 'devexcl'],
    ]);
  });

  test('one that is clean: GUP for a write makes the folio dirty (FOLL_TOUCH), and E7 finds no D', () => {
    const system = made({ pte: presentPte(4) });
    expect(system.said('make').filter((said) => said.startsWith('page4'))).toEqual([tryGet, markDirty]);
    expect(system.said('make').indexOf(markDirty)).toBe(system.said('make').indexOf(tryGet) + 1);
    expect(page(system)).toEqual({ refcount: 2, mapcount: 1, dirty: true });
    expectAtRest(system, got);
  });

  test('a D that the walker sets until the pte is taken is not lost', () => {
    const system = call(rig({ pte: presentPte(4) })).stepTo('make', 'ptep_get_and_clear');
    system.say('q', 'page4', 'folio.clean');
    system.say('q', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(page(system.settle())).toEqual({ refcount: 2, mapcount: 1, dirty: true });
    expectAtRest(system, got);
  });

  test('while the flush is under way the pte is gone, and the page-table lock and the folio lock are held', () => {
    const system = made({ others: { flush: answers() } });
    expect([system.at('make'), system.can('make', 'step'), pteIn(system).kind, system.context('ptl').owner, system.context('lock4').owner]).toEqual([
      'flush_tlb_page',
      false,
      'none',
      'make',
      'make',
    ]);
    system.say('q', 'make', 'return');
    expectAtRest(system.settle(), got);
  });

  test('row D6a: a driver that names nobody', () => {
    const system = made({ owner: null });
    expect(system.heard('notifier').map(({ owner }) => owner)).toEqual([null, null]);
    expectAtRest(system, got);
  });

  test('it can be called again: GUP restores the entry by a fault', () => {
    const system = made();
    system.say('p', 'lock4', { type: 'unlock', owner: 'make' });
    call(system).stepTo('make', 'follow_page_pte').take('make', 'step');
    expect(system.said('make').slice(whole.length)).toEqual([findVma, ...look, unlockPtl, fault]);
    setPte(system, dirty);
    system.settle();
    expect(system.said('make').slice(whole.length + 6)).toEqual(whole.slice(1));
    expect(page(system)).toEqual({ refcount: 3, mapcount: 1, dirty: true });
    expectAtRest(system, got);
  });
});

describe('what is waited for', () => {
  test('the page-table lock, by GUP', () => {
    const system = rig();
    system.say('q', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('make'), system.can('make', 'step'), system.said('make').slice(-1)]).toEqual(['spin_on_gup_ptl', false, [lockPtl]]);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle(), got);
  });

  test('the folio lock, with a reference and without the page-table lock', () => {
    const system = rig();
    system.say('q', 'lock4', 'lock');
    call(system).settle();
    expect([system.at('make'), system.can('make', 'step'), page(system), system.context('ptl').owner]).toEqual([
      'wait_for_folio_lock',
      false,
      { refcount: 2, mapcount: 1, dirty: false },
      null,
    ]);
    expect(system.heard('notifier')).toEqual([]);
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system.settle(), got);
  });

  test('the secondary MMUs, before the page-table lock is taken, and at the end before it returns', () => {
    const system = made({ others: { notifier: answers() } });
    const held = (): unknown => [system.at('make'), system.can('make', 'step'), pteIn(system).kind, system.context('ptl').owner, system.context('lock4').owner];
    expect(held()).toEqual(['mmu_notifier_invalidate_range_start', false, 'present', null, 'make']);
    system.say('q', 'make', { type: 'return', ok: true });
    system.settle();
    expect([held(), answered(system)]).toEqual([['mmu_notifier_invalidate_range_end', false, 'devexcl', null, 'make'], undefined]);
    system.say('q', 'make', { type: 'return', ok: true });
    expectAtRest(system.settle(), got);
  });

  test('the page-table lock, again, by E7', () => {
    const system = call(rig()).stepTo('make', 'folio_walk_start');
    system.say('q', 'ptl', 'lock');
    system.settle();
    expect([system.at('make'), system.can('make', 'step'), system.context('lock4').owner]).toEqual(['spin_on_ptl', false, 'make']);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle(), got);
  });
});

describe('no page to be had', () => {
  test.each<[string, Area | null]>([
    ['no VMA', null],
    ['a VMA that may not be written: -EFAULT', { ...area, write: false }],
  ])('%s', (_, of) => {
    const system = made({ of });
    expect([system.said('make'), page(system)]).toEqual([[findVma, refused], { refcount: 1, mapcount: 1, dirty: false }]);
    expectAtRest(system, nothing);
  });

  test('a fault that fails', () => {
    const system = made({ pte: { kind: 'none' }, faults: [false] });
    expect(system.said('make')).toEqual([findVma, ...look, unlockPtl, fault, refused]);
    expectAtRest(system, nothing);
    expect(call(system).settle().heard('p')).toEqual([nothing, nothing]);
  });

  test('a reference that is refused: -ENOMEM', () => {
    const system = made({ others: { page4: answers({ 'folio.try_get': [{ type: 'folio.frozen' }] }) } });
    expect(system.said('make')).toEqual([findVma, ...look, tryGet, unlockPtl, refused]);
    expectAtRest(system, nothing);
  });
});

describe('a page that has to be faulted in for a write', () => {
  test.each<[string, Pte]>([
    ['no pte', { kind: 'none' }],
    ['a swap entry', { kind: 'swap', slot: 5 }],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
    ['a read-only pte', readOnly],
    ['a pte without access', { kind: 'protnone', pfn: 4, dirty: false }],
    ['an entry: it is restored, whoever made it', entry],
  ])('%s: the fault is taken without the page-table lock, and then GUP looks again', (_, before) => {
    const system = made({ pte: before, others: { fault: answers() } });
    expect([system.at('make'), system.can('make', 'step'), system.context('ptl').owner]).toEqual(['faultin_page', false, null]);
    setPte(system, dirty);
    system.say('q', 'make', { type: 'return', ok: true });
    system.settle();
    expect(system.said('make')).toEqual([findVma, ...look, unlockPtl, fault, ...whole.slice(1)]);
    expectAtRest(system, got);
  });

  test('the fault has not helped: again', () => {
    const system = made({ pte: readOnly, faults: [true, false] });
    expect(system.said('make')).toEqual([findVma, ...look, unlockPtl, fault, ...look, unlockPtl, fault, refused]);
    expectAtRest(system, nothing);
  });

  const shared = (exclusive: boolean): Rig =>
    made({
      pte: readOnly,
      page4: { anonExclusive: exclusive, ...(exclusive ? {} : { refcount: 2, mapcount: 2 }) },
      others: {
        page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal' } }),
        lock5: actor(folioLock),
        alloc: returns({ pfns: [5] }),
        anon: returns(),
        fault: actor(handlePteFault, {
          input: {
            ...{ mm: 'mm', ptl: 'ptl', folioLocks: { 4: 'lock4', 5: 'lock5' }, allocPages: 'alloc', putPage: 'put', anonFault: 'anon', flush: 'flush' },
            ...{ lufFlush: null, debug: null, task: 'p' },
          },
        }),
      },
    });

  test('a read-only pte of a page that is private to it: no copy, the page gets the right to write and then its entry', () => {
    const system = shared(true);
    expect([pteIn(system), answered(system), system.context('lock4').owner]).toEqual([entry, got, 'make']);
    expect([page(system), system.heard('alloc')]).toEqual([{ refcount: 2, mapcount: 1, dirty: true }, []]);
    expect(system.bugs()).toEqual([]);
  });

  test('a read-only pte of a page that is shared: a copy becomes exclusive', () => {
    const system = shared(false);
    expect([pteIn(system), answered(system), system.context('lock5').owner, system.context('lock4').owner]).toEqual([
      { ...entry, pfn: 5 },
      { ...got, pfn: 5 },
      'make',
      null,
    ]);
    expect([system.context('page5').refcount, system.context('page4').refcount, system.bugs()]).toEqual([2, 1, []]);
  });
});

describe('a huge PMD', () => {
  const split = [notify('start', 'CLEAR', null), lockPtl, 'mm: pmd.split {"vpn":3}', unlockPtl, notify('end', 'CLEAR', null)];

  test('is split first, and everybody drops the range for it, whoever the owner is', () => {
    const system = made({ huge: true });
    expect(system.said('make')).toEqual([findVma, readPmd, ...split, lockPtl, readPte, ...whole.slice(4)]);
    expect(system.context('mm').huge).toEqual([]);
    expectAtRest(system, got);
  });

  test('the notification comes before the lock, its end after', () => {
    const system = made({ huge: true, others: { notifier: answers() } });
    const held = (): unknown => [system.at('make'), system.can('make', 'step'), system.context('ptl').owner, system.context('mm').huge];
    expect(held()).toEqual(['split_huge_pmd', false, null, [0]]);
    system.say('q', 'make', { type: 'return', ok: true });
    system.settle();
    expect(held()).toEqual(['split_huge_pmd_end', false, null, []]);
  });

  test('it spins while another has the lock', () => {
    const system = rig({ huge: true });
    system.say('q', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('make'), system.can('make', 'step'), system.context('mm').huge]).toEqual(['spin_on_pmd_lock', false, [0]]);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle(), got);
  });

  test('row D4: what is none is split all the same, and all are told', () => {
    const system = made({ machine: without({ splitsOnlyHuge: () => false }) });
    expect(system.said('make')).toEqual([findVma, readPmd, ...split, lockPtl, readPte, ...whole.slice(4)]);
    expectAtRest(system, got);
  });
});

describe('the page is another one by the time that it is locked', () => {
  const changes: [string, Pte][] = [
    ['gone', { kind: 'none' }],
    ['another page', presentPte(5)],
    ['read-only', readOnly],
    ['without access', { kind: 'protnone', pfn: 4, dirty: false }],
    ['an entry, which another device has made', entry],
    ['being migrated', { kind: 'migration', pfn: 4, write: true }],
  ];
  const changed = (pte: Pte, setup: Setup = {}): Rig => {
    const system = call(rig(setup)).stepTo('make', 'folio_walk_start');
    setPte(system, pte);
    return system;
  };

  test.each(changes)('(%s) the page-table lock, the end, the folio lock, the reference; then all again', (_, pte) => {
    const system = againFrom(changed(pte));
    expect(system.said('make').slice(whole.indexOf(lock))).toEqual([lock, notify('start'), lockPtl, readPte, unlockPtl, notify('end'), unlock, put]);
    expect([page(system), system.context('lock4').owner, system.context('make')]).toEqual([
      { refcount: 1, mapcount: 1, dirty: false },
      null,
      expect.objectContaining({ caller: 'p', vpn: 3, pfn: -1, pte: { kind: 'none' } }),
    ]);
    setPte(system, dirty);
    expectAtRest(system.settle(), got);
  });

  test.each(changes.filter(([, { kind }]) => kind !== 'protnone').filter(([name]) => name !== 'read-only'))(
    'up to 6.14, %s: the same, and no page',
    (_, pte) => {
      const system = changed(pte, { machine: range }).settle();
      expect(system.said('make').slice(whole.indexOf(lock))).toEqual([
        ...[trylock, notify('start'), lockPtl, readPte, readPte, unlockPtl],
        ...[notify('end'), unlock, put, refused],
      ]);
      expect([pteIn(system), page(system)]).toEqual([pte, { refcount: 1, mapcount: 1, dirty: false }]);
      expectAtRest(system, nothing);
    },
  );

  test.each<[string, Pte, boolean]>([
    ['read-only', readOnly, false],
    ['read-only and dirty', presentPte(4, { write: false, dirty: true }), true],
    ['without access', { kind: 'protnone', pfn: 4, dirty: true }, true],
  ])('up to 6.14, %s: it is unmapped before its right is looked at, an entry of the readable type stays, and there is no page', (_, pte, marks) => {
    const system = changed(pte, { machine: range }).settle();
    expect(system.said('make').slice(whole.indexOf(lock))).toEqual([
      ...[trylock, notify('start'), lockPtl, readPte, readPte, clearPte, flush],
      ...(marks ? [markDirty] : []),
      ...[setEntry(false), 'page4: folio.remove_rmap', unlockPtl, notify('end'), unlock, put, refused],
    ]);
    expect([pteIn(system), page(system)]).toEqual([
      { ...entry, write: false },
      { refcount: 1, mapcount: 0, dirty: marks },
    ]);
    expectAtRest(system, nothing);
  });
});

describe('make_device_exclusive_range, 5.14 to 6.14', () => {
  test('the entry is no mapping', () => {
    const system = made({ machine: range });
    const old = whole.flatMap((said) => (said === lock ? [trylock] : said === setEntry() ? [said, 'page4: folio.remove_rmap'] : [said]));
    expect(system.said('make')).toEqual(old);
    expect([pteIn(system), page(system)]).toEqual([entry, { refcount: 2, mapcount: 0, dirty: true }]);
    expectAtRest(system, got);
  });

  test('a locked folio is skipped: nobody is told, and the reference goes back', () => {
    const system = rig({ machine: range });
    system.say('q', 'lock4', 'lock');
    call(system).settle();
    expect(system.said('make')).toEqual([findVma, ...look, ...grab, trylock, put, refused]);
    expect([pteIn(system), page(system), system.context('lock4').owner]).toEqual([dirty, { refcount: 1, mapcount: 1, dirty: false }, 'q']);
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system, nothing);
    expectAtRest(call(system).settle(), got);
  });
});

describe('without a safeguard', () => {
  test('row D17: nobody is told', () => {
    const system = made({ machine: without({ notifiesExclusive: () => false }) });
    expect([system.heard('notifier'), system.said('make')]).toEqual([[], whole.filter((said) => !said.startsWith('notifier'))]);
    expectAtRest(system, got);
  });

  test('row D17: nobody is told either when the page has changed', () => {
    const system = call(rig({ machine: without({ notifiesExclusive: () => false }) })).stepTo('make', 'folio_walk_start');
    setPte(system, readOnly);
    againFrom(system);
    expect([system.heard('notifier'), system.said('make').slice(-4)]).toEqual([[], [readPte, unlockPtl, unlock, put]]);
  });

  test('row D20: no flush', () => {
    const system = made({ machine: without({ flushes: () => false }) });
    expect(system.said('make')).toEqual(whole.filter((said) => said !== flush));
    expectAtRest(system, got);
  });
});

describe('a fix: an entry is taken over as it is', () => {
  const machine = without({ takesOverEntry: () => true });

  test('no fault, no flush: others are told, and the entry stays', () => {
    const system = made({ machine, pte: entry });
    expect(system.said('make')).toEqual([
      ...[findVma, ...look, readPte, ...grab, lock, notify('start'), lockPtl, readPte, readPte],
      ...[unlockPtl, notify('end'), returned],
    ]);
    expect([pteIn(system), page(system), system.heard('fault')]).toEqual([entry, { refcount: 2, mapcount: 1, dirty: false }, []]);
    expectAtRest(system, got);
  });

  test('what is no entry is faulted in', () => {
    const system = made({ machine, pte: { kind: 'none' }, faults: [false] });
    expect(system.said('make')).toEqual([findVma, ...look, readPte, unlockPtl, fault, refused]);
    expectAtRest(system, nothing);
  });

  test('one that is present is made exclusive as ever', () => {
    expect(made({ machine }).said('make')).toEqual(whole);
  });

  test('one that is restored meanwhile, read-only, or is that of another page: all again', () => {
    for (const pte of [readOnly, { ...entry, pfn: 5 }]) {
      const system = call(rig({ machine, pte: entry })).stepTo('make', 'folio_walk_start');
      setPte(system, pte);
      againFrom(system);
      expect([system.said('make').slice(-6), page(system)]).toEqual([
        [readPte, readPte, unlockPtl, notify('end'), unlock, put],
        { refcount: 1, mapcount: 1, dirty: false },
      ]);
    }
  });
});

test('every transition was taken', () => {
  expect(untaken(makeDeviceExclusive)).toEqual([]);
});
