import {
  addressSpace,
  folio,
  folioLock,
  mergeFilePages,
  type Pte,
  pageCache,
  presentPte,
  protectionRecord,
  putPage,
  spinlock,
} from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** The page that stays, of file f, and the one that goes, of file g; null: none is there. */
  pfns?: [number | null, number | null];
  contents?: [string, string];
  /** Files that share the page that stays already. */
  owners?: string[];
  /** What the ptes that map f and g hold: f by 0, g by 1 and 2; each pte of a page counts. */
  ptes?: Record<number, Pte>;
  /** What write_protect_page returns, call by call; default: what is mapped is left read-only. */
  protects?: object[];
  /** What replace_page returns, call by call. */
  replaces?: object[];
  notified?: boolean;
  machine?: typeof mergeFilePages;
  others?: Actors;
}
const item = (vpn: number): { mm: string; vpn: number; ptl: string } => ({ mm: 'mm', vpn, ptl: 'ptl' });
const mappers = { f: { 0: [item(0)] }, g: { 2: [item(1), item(2)] } };
const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const mapping = (pte: Pte | undefined, pfn: number): boolean => pte !== undefined && 'pfn' in pte && pte.pfn === pfn;
const left = (pte: Pte | undefined, pfn: number): Pte | null => (mapping(pte, pfn) ? readOnly(pfn) : null);

function rig({ pfns = [4, 5], contents = ['same', 'same'], owners = [], ptes = {}, notified = false, machine = mergeFilePages, ...setup }: Setup): Rig {
  const [kpfn, pfn] = [pfns[0] ?? 4, pfns[1] ?? 5];
  const page = (at: number, slots: number, content: string, of: string): Actors => {
    const mapcount = Object.values(ptes).filter((pte) => mapping(pte, at)).length;
    return { [`page${at}`]: actor(folio, { input: { pfn: at, refcount: slots + mapcount, mapcount, idle: 0, zone: 'normal', content, mapping: of } }) };
  };
  const ofOther = { ok: true, ptes: [left(ptes[1], pfn), left(ptes[2], pfn)] };
  const ofInto = { ok: true, ptes: [left(ptes[0], kpfn)] };
  const system = new Rig({
    ...page(kpfn, Math.max(1, owners.length), contents[0], 'f'),
    ...page(pfn, 1, contents[1], 'g'),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    record4: actor(protectionRecord),
    record5: actor(protectionRecord),
    f: actor(pageCache, { input: { folios: { 0: pfns[0] } } }),
    g: actor(pageCache, { input: { folios: { 2: pfns[1] } } }),
    mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2], cpumask: [] } }),
    ptl: actor(spinlock),
    write_protect: returns(...(setup.protects ?? [ofOther, ofInto])),
    replace: returns(...(setup.replaces ?? [{ ok: true }])),
    put: actor(putPage, { input: {} }),
    flush: returns(),
    notifier: returns({ ok: true }),
    merge: actor(machine, {
      input: {
        ...{ folioLocks: { 4: 'lock4', 5: 'lock5' }, mappers, writeProtect: 'write_protect', replacePage: 'replace', putPage: 'put', flush: { mm: 'flush' } },
        ...(notified ? { notifiers: { mm: 'notifier' } } : {}),
      },
    }),
    p: probe(),
    ...setup.others,
  });
  for (const owner of owners) system.say('p', `record${kpfn}`, { type: 'record.add_slot', slot: { mapping: owner, index: owner === 'f' ? 0 : 2 } });
  if (owners.length > 0) system.say('p', `page${kpfn}`, { type: 'folio.protect', record: `record${kpfn}`, stable: true });
  return system;
}
const into = { mapping: 'f', index: 0 };
const other = { mapping: 'g', index: 2 };
const call = (system: Rig): Rig => {
  system.say('p', 'merge', { type: 'call', into, other });
  return system;
};
const merged = (setup: Setup = {}): Rig => call(rig(setup)).settle();
const slots = (system: Rig): unknown => [system.context('f').folios[0], system.context('g').folios[2]];
const pageOf = (system: Rig, pfn: number): unknown => {
  const { refcount, mapping: of, protection } = system.context(`page${pfn}`);
  return { refcount, mapping: of, protection };
};
const own = (of: string): object => ({ refcount: 1, mapping: of, protection: null });
/** Where it waits, and who has the two folio locks. */
const waits = (system: Rig): unknown => [system.at('merge'), system.can('merge', 'step'), system.context('lock4').owner, system.context('lock5').owner];
function expectAtRest(system: Rig, ok: boolean): void {
  const nowhere = { mapping: '', index: -1 };
  expect(system.context('merge')).toMatchObject({ caller: '', into: nowhere, other: nowhere, kpfn: -1, pfn: -1, content: null });
  expect(system.context('merge')).toMatchObject({ joins: false, kptes: 0, ptes: [], ok: false });
  for (const lock of ['ptl', 'lock4', 'lock5']) expect([lock, system.context(lock)]).toEqual([lock, { owner: null, waiters: [] }]);
  expect([system.at('merge'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}
/** Given up: both pages are as before. */
function expectUnmerged(system: Rig): void {
  expect([slots(system), pageOf(system, 4), pageOf(system, 5)]).toEqual([[4, 5], own('f'), own('g')]);
  expect(system.context('record4').slots).toEqual([]);
  expectAtRest(system, false);
}

const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const slotF = 'f: slot.read {"index":0}';
const slotG = 'g: slot.read {"index":2}';
const find = (kpfn = 4, pfn = 5): string[] => [slotF, `page${kpfn}: folio.try_get`, slotG, `page${pfn}: folio.try_get`];
const compare = (kpfn = 4, pfn = 5): string[] => [kpfn, pfn].map((at) => `page${at}: memory.read {"sample":false}`);
const lock = ['lock4: lock', 'lock5: lock'];
const check = (kpfn = 4, pfn = 5): string[] => [kpfn, pfn].map((at) => `page${at}: folio.mapping`);
const write = (pfn = 5): string[] => [`page${pfn}: page.read`, `page${pfn}: folio.wait_writeback`];
const protect = (pfn: number, items: object[]): string => `write_protect: call ${JSON.stringify({ pfn, items, shares: true })}`;
const guard = (kpfn = 4, pfn = 5): string[] => [
  ...[protect(pfn, mappers.g[2]), `page${pfn}: page.read`],
  ...[protect(kpfn, mappers.f[0]), `page${kpfn}: page.read`],
];
const record = (kpfn = 4): string[] => [
  `page${kpfn}: folio.protect ${JSON.stringify({ record: `record${kpfn}`, stable: true })}`,
  `record${kpfn}: record.add_slot ${JSON.stringify({ slot: into })}`,
  `record${kpfn}: record.add_slot ${JSON.stringify({ slot: other })}`,
];
const replace = (vpn: number, pte: Pte = readOnly(5)): string => `replace: call ${JSON.stringify({ item: item(vpn), pfn: 5, kpfn: 4, pte })}`;
const move = (kpfn = 4, pfn = 5): string[] => [
  ...[`page${kpfn}: folio.ref_inc`, `g: slot.replace ${JSON.stringify({ index: 2, pfn: kpfn })}`],
  ...[`page${pfn}: folio.set_mapping {"mapping":null}`, `page${pfn}: folio.ref_dec`],
];
const end = (ok: boolean, kpfn = 4, pfn = 5): string[] => [`lock${pfn}: unlock`, `lock${kpfn}: unlock`, put(pfn), put(kpfn), `p: return {"ok":${ok}}`];
const begin = [...find(), ...compare(), ...lock, ...check()];

describe('two pages with the same bytes', () => {
  test('both protected, compared again, then one page stands in both places', () => {
    const system = merged();
    expect(system.said('merge')).toEqual([...begin, ...write(), ...guard(), ...compare(), ...record(), ...move(), ...end(true)]);
    expect([slots(system), pageOf(system, 4), system.at('page5')]).toEqual([
      [4, 4],
      { refcount: 2, mapping: 'f', protection: { record: 'record4', stable: true } },
      'free',
    ]);
    expect([system.context('record4').slots, system.context('page5').mapping]).toEqual([[into, other], null]);
    expectAtRest(system, true);
  });

  test('locked in the order of their frame numbers, whichever stays', () => {
    const system = merged({ pfns: [5, 4] });
    expect(system.said('merge')).toEqual([
      ...[...find(5, 4), ...compare(5, 4), ...lock, ...check(5, 4), ...write(4), ...guard(5, 4), ...compare(5, 4)],
      ...[...record(5), ...move(5, 4), ...end(true, 5, 4)],
    ]);
    expect([slots(system), system.at('page4')]).toEqual([[5, 5], 'free']);
    expectAtRest(system, true);
  });

  test('each pte of the page that goes is replaced, as it was left', () => {
    const others = { replace: answers() };
    const system = merged({ ptes: { 0: presentPte(4), 1: presentPte(5), 2: presentPte(5) }, others });
    expect([system.said('merge').slice(-4), slots(system)]).toEqual([
      [...record(), replace(1)],
      [4, 5],
    ]);
    for (const vpn of [1, 2]) {
      system.say('p', 'mm', { type: 'pte.set', vpn, pte: readOnly(4) });
      system.say('p', 'page5', 'folio.ref_dec');
      system.say('p', 'page4', 'folio.ref_inc');
      system.say('p', 'merge', { type: 'return', ok: true });
    }
    expect(system.settle().said('merge').slice(-11)).toEqual([replace(1), replace(2), ...move(), ...end(true)]);
    expect([pageOf(system, 4), system.at('page5')]).toMatchObject([{ refcount: 5 }, 'free']);
    expectAtRest(system, true);
  });

  test('the page that stays may be dirty, and under writeback', () => {
    const system = rig({});
    system.say('p', 'page4', 'folio.mark_dirty');
    system.say('p', 'page4', 'folio.start_writeback');
    expect(slots(call(system).settle())).toEqual([4, 4]);
    expect(system.context('page4')).toMatchObject({ dirty: true, writeback: { waiters: [] } });
    expectAtRest(system, true);
  });

  test('merged already: nothing to do', () => {
    const system = rig({});
    call(system).settle();
    expect(call(system).settle().said('merge').slice(-5)).toEqual([slotF, 'page4: folio.try_get', slotG, put(4), 'p: return {"ok":false}']);
    expect([slots(system), pageOf(system, 4)]).toMatchObject([[4, 4], { refcount: 2 }]);
    expectAtRest(system, false);
  });
});

describe('a page that is shared already', () => {
  test('gets one more owner; it cannot change, and is not protected again', () => {
    const system = merged({ owners: ['f', 'h'], ptes: { 0: readOnly(4) } });
    expect(system.said('merge')).toEqual([
      ...[...find(), ...compare(), ...lock, 'page4: folio.mapping', 'record4: record.read', 'page5: folio.mapping', ...write()],
      ...[protect(5, mappers.g[2]), 'page5: page.read', ...compare(), ...record().slice(2), ...move(), ...end(true)],
    ]);
    expect([slots(system), pageOf(system, 4)]).toMatchObject([[4, 4], { refcount: 4 }]);
    expect(system.context('record4').slots.map(({ mapping: of }: { mapping: string }) => of)).toEqual(['f', 'h', 'g']);
    expectAtRest(system, true);
  });

  test.each([
    ['that place has another page by now', ['h', 'i']],
    ['the other file has a part in it: who has looked up one of its places could take the other for it', ['f', 'g']],
  ])('gets none when %s', (_, owners) => {
    const system = merged({ owners });
    expect(system.said('merge')).toEqual([...find(), ...compare(), ...lock, 'page4: folio.mapping', 'record4: record.read', ...end(false)]);
    expect([slots(system), pageOf(system, 5), system.context('record4').slots.length]).toEqual([[4, 5], own('g'), 2]);
    expectAtRest(system, false);
  });

  test('does not go', () => {
    const system = rig({});
    system.say('p', 'page5', { type: 'folio.protect', record: 'record5', stable: true });
    expect(call(system).settle().said('merge')).toEqual([...begin, ...end(false)]);
    expect(slots(system)).toEqual([4, 5]);
    expectAtRest(system, false);
  });
});

describe('given up', () => {
  test('two pages of one file: who has looked one up asks for the mapping only', () => {
    const system = rig({});
    system.say('p', 'merge', { type: 'call', into, other: { mapping: 'f', index: 1 } });
    expect(system.said('merge')).toEqual(['p: return {"ok":false}']);
    expectUnmerged(system);
  });

  test.each<[string, Setup, string[]]>([
    ['no page to stay', { pfns: [null, 5] }, [slotF]],
    ['no page to go', { pfns: [4, null] }, [slotF, 'page4: folio.try_get', slotG, put(4)]],
  ])('%s', (_, setup, said) => {
    const system = merged(setup);
    expect(system.said('merge')).toEqual([...said, 'p: return {"ok":false}']);
    expect([pageOf(system, 4), pageOf(system, 5)]).toEqual([own('f'), own('g')]);
    expectAtRest(system, false);
  });

  test.each([
    [4, [slotF, 'page4: folio.try_get']],
    [5, [...find(), put(4)]],
  ])('page %i is being taken away', (pfn, said) => {
    const system = rig({});
    system.say('p', `page${pfn}`, { type: 'folio.freeze', expected: 1 });
    expect(call(system).settle().said('merge')).toEqual([...said, 'p: return {"ok":false}']);
    expectAtRest(system, false);
  });

  test('other bytes, before anything is locked', () => {
    const system = merged({ contents: ['one', 'another'] });
    expect(system.said('merge')).toEqual([...find(), ...compare(), put(5), put(4), 'p: return {"ok":false}']);
    expectUnmerged(system);
  });

  test.each([
    [4, [...find(), ...compare(), ...lock, 'page4: folio.mapping']],
    [5, begin],
  ])('page %i was truncated before both were locked', (pfn, said) => {
    const system = rig({});
    system.say('p', 'lock5', 'lock');
    expect(waits(call(system).settle())).toEqual(['wait_for_second', false, 'merge', 'p']);
    system.say('p', `page${pfn}`, { type: 'folio.set_mapping', mapping: null });
    system.say('p', 'lock5', 'unlock');
    expect(system.settle().said('merge')).toEqual([...said, ...end(false)]);
    expectAtRest(system, false);
  });

  test('the page that goes is dirty: its writeback comes first', () => {
    const system = rig({});
    system.say('p', 'page5', 'folio.mark_dirty');
    expect(call(system).settle().said('merge')).toEqual([...begin, 'page5: page.read', ...end(false)]);
    expectUnmerged(system);
  });

  test('a pte shows only when it is protected that the page is dirty', () => {
    const system = call(rig({})).stepTo('merge', 'count_other');
    system.say('p', 'page5', 'folio.mark_dirty');
    expect(system.settle().said('merge')).toEqual([...begin, ...write(), ...guard().slice(0, 2), ...end(false)]);
    expectUnmerged(system);
  });

  test.each([
    ['goes', [{ ok: false, ptes: [] }], guard().slice(0, 1)],
    [
      'stays',
      [
        { ok: true, ptes: [null, null] },
        { ok: false, ptes: [] },
      ],
      guard().slice(0, 3),
    ],
  ])('the page that %s cannot be protected', (_, protects, said) => {
    const system = merged({ protects });
    expect(system.said('merge')).toEqual([...begin, ...write(), ...said, ...end(false)]);
    expectUnmerged(system);
  });

  test('other bytes when both are protected', () => {
    const system = call(rig({})).stepTo('merge', 'memcmp_pages');
    system.say('p', 'page5', { type: 'memory.write', value: 'changed' });
    expect(system.settle().said('merge')).toEqual([...begin, ...write(), ...guard(), ...compare(), ...end(false)]);
    expectUnmerged(system);
  });
});

describe('safeguards', () => {
  test('row W4: without the second comparison it merges what has changed since the hint', () => {
    const system = call(rig({ machine: mergeFilePages.provide({ guards: { comparesAgain: () => false } }) })).stepTo('merge', 'folio_lock_first');
    system.say('p', 'page5', { type: 'memory.write', value: 'changed' });
    expect(system.settle().said('merge')).toEqual([...begin, ...write(), ...guard(), ...record(), ...move(), ...end(true)]);
    expect(slots(system)).toEqual([4, 4]);
  });

  test.each([
    [5, 'isUnreferenced', guard().slice(0, 2)],
    [4, 'isKpageUnreferenced', guard()],
  ])('U5: a pin of page %i that has outlived its ptes keeps it from being merged; without %s it does not', (pfn, name, said) => {
    const pinned = (machine: typeof mergeFilePages): Rig => {
      const system = rig({ machine });
      system.say('p', `page${pfn}`, 'folio.ref_inc');
      system.say('p', `page${pfn}`, 'folio.pin');
      return call(system).settle();
    };
    const system = pinned(mergeFilePages);
    expect(system.said('merge')).toEqual([...begin, ...write(), ...said, ...end(false)]);
    expect(slots(system)).toEqual([4, 5]);
    expectAtRest(system, false);
    const out = pinned(mergeFilePages.provide({ guards: { [name]: () => true } }));
    expect([slots(out), out.context(`page${pfn}`).pincount]).toEqual([[4, 4], 1]);
    expectAtRest(out, true);
  });

  test('a pte that write_protect_page has not found keeps the page from being merged', () => {
    const system = merged({ ptes: { 0: presentPte(4), 1: presentPte(5) }, protects: [{ ok: true, ptes: [null, null] }] });
    expect([slots(system), system.said('merge').slice(-7, -5)]).toEqual([[4, 5], guard().slice(0, 2)]);
    expectAtRest(system, false);
  });
});

describe('a pte that has changed since it was protected', () => {
  const hint: Pte = { kind: 'protnone', pfn: 5, dirty: false };
  const setup: Setup = { ptes: { 1: presentPte(5), 2: presentPte(5) }, replaces: [{ ok: false }] };
  const look = (vpn: number): string[] => ['ptl: lock', `mm: pte.read {"vpn":${vpn}}`];
  const unmap = [...[...look(1), 'mm: pte.get_and_clear {"vpn":1}', 'flush: call {"vpns":[1]}'], ...['page5: folio.remove_rmap', 'ptl: unlock', put(5)]];
  /** munmap has taken the second pte away. */
  const changed = (system: Rig): Rig => {
    call(system).stepTo('merge', 'set_page_record');
    system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte: hint });
    system.say('p', 'mm', { type: 'pte.clear', vpn: 2 });
    system.say('p', 'page5', 'folio.remove_rmap');
    system.say('p', 'page5', 'folio.ref_dec');
    return system.settle();
  };

  test('is taken away if it maps the page still: nobody may read the old page for ever', () => {
    const system = changed(rig(setup));
    const replaced = [replace(1), ...unmap, replace(2), ...look(2), 'ptl: unlock'];
    expect(system.said('merge')).toEqual([...begin, ...write(), ...guard(), ...compare(), ...record(), ...replaced, ...move(), ...end(true)]);
    expect([system.context('mm').ptes[1], system.at('page5'), slots(system)]).toEqual([{ kind: 'none' }, 'free', [4, 4]]);
    expectAtRest(system, true);
  });

  test('secondary MMUs are told, before the page-table lock is taken and after it is dropped', () => {
    const system = changed(rig({ ...setup, notified: true }));
    const told = (vpn: number, phase: string): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [vpn] })}`;
    expect(system.said('merge').slice(-25, -9)).toEqual([
      ...[replace(1), told(1, 'start'), ...unmap, told(1, 'end')],
      ...[replace(2), told(2, 'start'), ...look(2), 'ptl: unlock', told(2, 'end')],
    ]);
    expectAtRest(system, true);
  });

  test('it waits for secondary MMUs, for the page-table lock and for the flush', () => {
    const system = changed(rig({ ...setup, notified: true, others: { notifier: answers(), flush: answers() } }));
    const at = (): unknown => [system.at('merge'), system.can('merge', 'step'), system.context('ptl').owner];
    expect(at()).toEqual(['mmu_notifier_invalidate_range_start', false, null]);
    system.say('p', 'ptl', 'lock');
    system.say('p', 'merge', { type: 'return', ok: true });
    system.settle();
    expect(at()).toEqual(['spin_on_ptl', false, 'p']);
    system.say('p', 'ptl', 'unlock');
    system.settle();
    expect(at()).toEqual(['flush_tlb_page', false, 'merge']);
    system.say('p', 'merge', 'return');
    system.settle();
    expect(at()).toEqual(['mmu_notifier_invalidate_range_end', false, null]);
  });
});

describe('it waits', () => {
  test('for the lock of either page', () => {
    const system = rig({});
    system.say('p', 'lock4', 'lock');
    expect(waits(call(system).settle())).toEqual(['wait_for_first', false, 'p', null]);
    system.say('p', 'lock5', 'lock');
    system.say('p', 'lock4', 'unlock');
    expect(waits(system.settle())).toEqual(['wait_for_second', false, 'merge', 'p']);
    system.say('p', 'lock5', 'unlock');
    expectAtRest(system.settle(), true);
  });

  test('for the end of writeback of the page that goes, with both locked', () => {
    const system = rig({});
    system.say('p', 'page5', 'folio.start_writeback');
    expect(waits(call(system).settle())).toEqual(['wait_on_writeback', false, 'merge', 'merge']);
    system.say('p', 'page5', 'folio.end_writeback');
    expect(slots(system.settle())).toEqual([4, 4]);
    expectAtRest(system, true);
  });

  test('for write_protect_page and for replace_page', () => {
    const system = merged({ ptes: { 1: presentPte(5) }, others: { write_protect: answers(), replace: answers() } });
    expect(waits(system)).toEqual(['write_protect_other', false, 'merge', 'merge']);
    system.say('p', 'merge', { type: 'return', ok: true, ptes: [readOnly(5), null] });
    expect(waits(system.settle())).toEqual(['write_protect_into', false, 'merge', 'merge']);
    system.say('p', 'merge', { type: 'return', ok: true, ptes: [null] });
    expect(waits(system.settle())).toEqual(['replace_page', false, 'merge', 'merge']);
    system.say('p', 'merge', { type: 'return', ok: true });
    expectAtRest(system.settle(), true);
  });
});

test('every transition was taken', () => {
  expect(untaken(mergeFilePages)).toEqual([]);
});
