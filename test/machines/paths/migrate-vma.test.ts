import { migrateVma, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const pte = (pte: object): Message => ({ type: 'pte', pte, table: null });
const writable = pte(presentPte(3, { dirty: true }));
const readOnly = pte(presentPte(3, { write: false }));
const devpriv = pte({ kind: 'devpriv', pfn: 7, write: true });
const migration = (pfn: number, write: boolean, exclusive = false): Message => pte({ kind: 'migration', pfn, write, ...(exclusive ? { exclusive } : {}) });
const counts = (refcount: number, more: object = {}): Message => ({ type: 'page.counts', refcount, mapcount: 0, ...more });
const mapped = counts(2, { mapcount: 1 });
const locked: Message = { type: 'locked' };

interface Surroundings {
  /** What reads of the pte find, one after the other, and what the exchange finds. */
  ptes?: Message[];
  cleared?: Message;
  /** Counts of the source: before it is unmapped, then, and when the target is to take its place. */
  counts?: Message[];
  busy?: boolean;
  notifier?: boolean;
  /** CPUs that may use what the child has mapped; without it nobody else can have the page. */
  child?: string[];
  childPtes?: Message[];
}

/** Page 3 is one of the kernel, page 7 of the device; `p` is the driver. */
const rig = (around: Surroundings = {}): Rig => {
  const page = answers({ 'page.read': around.counts ?? [mapped, counts(1), counts(1)] });
  const lock = answers({ trylock: [{ type: 'trylock.result', result: around.busy ? 'busy' : 'locked' }] });
  return new Rig({
    mm: answers({ 'pte.read': around.ptes ?? [writable, migration(3, true)], 'pte.get_and_clear': [around.cleared ?? writable] }),
    ptl: answers({ lock: [locked] }),
    lock3: lock,
    lock7: lock,
    page3: page,
    page7: page,
    flush: returns(),
    notifier: returns({ ok: true }),
    put: returns(),
    put_device: returns(),
    child: answers({ 'pte.read': around.childPtes ?? [migration(3, false)] }),
    ptl_child: answers({ lock: [locked] }),
    unmap: returns({ cpus: around.child ?? [] }),
    arch_flush: returns(),
    path: actor(migrateVma, {
      input: {
        mm: 'mm',
        ptl: 'ptl',
        folioLocks: { 3: 'lock3', 7: 'lock7' },
        flush: 'flush',
        notifier: around.notifier ? 'notifier' : null,
        owner: 'gpu',
        putPage: 'put',
        putDevicePage: 'put_device',
        ...(around.child ? { others: { 9: [{ mm: 'child', vpn: 9, ptl: 'ptl_child' }] }, tryToUnmap: 'unmap', archFlush: 'arch_flush' } : {}),
      },
    }),
    p: probe(),
  });
};
const said = (system: Rig, message: Message): string[] => {
  const before = system.said('path').length;
  system.say('p', 'path', message);
  system.settle('path');
  return system.said('path').slice(before);
};
const setup = (system: Rig, select = 'system', faultPage?: number): string[] =>
  said(system, { type: 'call', phase: 'setup', vpn: 9, select, ...(faultPage === undefined ? {} : { faultPage }) });
const pages = (system: Rig, target: number): string[] => said(system, { type: 'call', phase: 'pages', target });
const finalize = (system: Rig, target: number | null): string[] => said(system, { type: 'call', phase: 'finalize', target });
const idle = {
  caller: '',
  vpn: -1,
  select: 'system',
  faultPage: -1,
  source: -1,
  pte: { kind: 'none' },
  exclusive: false,
  target: null,
  migrated: false,
  cpus: [],
  places: [],
};
const isOver = (system: Rig): void => expect([system.at('path'), system.context('path')]).toEqual(['idle', expect.objectContaining(idle)]);

const [lockPtl, unlockPtl, readPte, clear] = ['ptl: lock', 'ptl: unlock', 'mm: pte.read {"vpn":9}', 'mm: pte.get_and_clear {"vpn":9}'] as const;
const take = (pfn: number): string[] => [`page${pfn}: folio.ref_inc`, `lock${pfn}: trylock`, `page${pfn}: page.read`];
const set = (pte: object): string => `mm: pte.set ${JSON.stringify({ vpn: 9, pte })}`;
const entry = (pfn: number, write: boolean, exclusive = false): string => set({ kind: 'migration', pfn, write, ...(exclusive ? { exclusive } : {}) });
const unmapped = (pfn: number): string[] => [`page${pfn}: folio.remove_rmap`, `page${pfn}: folio.ref_dec`];
const flush = 'flush: call {"vpns":[9]}';
const check = (pfn: number): string => `page${pfn}: page.read`;
const found = (pfn: number, write: boolean): string => `p: return {"pfn":${pfn},"write":${write}}`;
const nothing = 'p: return {"pfn":null}';
const map = (pfn: number, pte: object): string[] => [lockPtl, readPte, `page${pfn}: folio.ref_inc`, `page${pfn}: folio.add_rmap`, set(pte), unlockPtl];
const put = (pfn: number): string => `${pfn === 3 ? 'put' : 'put_device'}: call {"pfn":${pfn},"pinned":false}`;
const unlockTarget = (pfn: number): string => `lock${pfn}: unlock {"owner":"p"}`;

describe('setup', () => {
  test('to the device: a migration entry in place of the pte, flushed under the page-table lock, and nobody else refers to the page', () => {
    const system = rig();
    expect(setup(system)).toEqual([
      lockPtl,
      readPte,
      ...take(3),
      clear,
      'page3: folio.mark_dirty',
      entry(3, true),
      ...unmapped(3),
      flush,
      unlockPtl,
      check(3),
      found(3, true),
    ]);
    expect(system.at('path')).toBe('unmapped');
  });

  test('an exclusive page is flushed before it is shared with the migration', () => {
    const system = rig({ ptes: [readOnly], cleared: readOnly, counts: [counts(2, { mapcount: 1, exclusive: true }), counts(1)] });
    expect(setup(system)).toEqual([
      lockPtl,
      readPte,
      ...take(3),
      clear,
      flush,
      'page3: folio.set_exclusive {"exclusive":false}',
      entry(3, false, true),
      ...unmapped(3),
      unlockPtl,
      check(3),
      found(3, false),
    ]);
  });

  test('the entry has the rights that the exchange finds: the walker may have set D meanwhile', () => {
    const said = setup(rig({ ptes: [pte(presentPte(3))], cleared: writable }));
    expect(said).toContain('page3: folio.mark_dirty');
    expect(setup(rig({ cleared: pte(presentPte(3)) }))).not.toContain('page3: folio.mark_dirty');
  });

  test('back from the device: there is nothing to flush', () => {
    const system = rig({ ptes: [devpriv], cleared: devpriv, counts: [counts(2, { mapcount: 1, exclusive: true }), counts(2)] });
    expect(setup(system, 'device_private', 7)).toEqual([
      lockPtl,
      readPte,
      ...take(7),
      clear,
      'page7: folio.set_exclusive {"exclusive":false}',
      entry(7, true, true),
      ...unmapped(7),
      unlockPtl,
      check(7),
      found(7, true),
    ]);
  });

  test('secondary MMUs are told around it, in the name of the driver', () => {
    const said = setup(rig({ notifier: true }));
    const range = '"event":"MIGRATE","owner":"gpu","vpns":[9]';
    expect([said[0], said[1]]).toEqual([`notifier: call {"phase":"start",${range}}`, lockPtl]);
    expect(said.slice(-4)).toEqual([unlockPtl, `notifier: call {"phase":"end",${range}}`, check(3), found(3, true)]);
  });

  test.each<[string, string, Message]>([
    ['system', 'none', pte({ kind: 'none' })],
    ['system', 'a page of the device', devpriv],
    ['system', 'another migration', migration(3, true)],
    ['system', 'a page that a device has for itself', pte({ kind: 'devexcl', pfn: 3 })],
    ['device_private', 'a page of the kernel', writable],
  ])('%s: %s is not taken, and the notification ends all the same', (select, _, pte) => {
    const system = rig({ ptes: [pte], notifier: true });
    expect(setup(system, select).slice(1, -2)).toEqual([lockPtl, readPte, unlockPtl]);
    expect(system.said('path').at(-1)).toBe(nothing);
    isOver(system);
    expect(setup(system, select).at(-1)).toBe(nothing);
  });

  test('a page that somebody has locked is not waited for', () => {
    const system = rig({ busy: true });
    expect(setup(system)).toEqual([lockPtl, readPte, 'page3: folio.ref_inc', 'lock3: trylock', 'page3: folio.ref_dec', unlockPtl, nothing]);
    isOver(system);
  });

  test.each<[string, string, Message, number | undefined]>([
    ['system', 'others map', counts(2, { mapcount: 1 }), undefined],
    ['system', 'others use', counts(2), undefined],
    ['device_private', 'two others use', counts(4), 7],
    ['device_private', 'two others use, none of them the fault', counts(3), 8],
  ])('%s: a page that %s goes back to its place', (select, _, after, faultPage) => {
    const ofDevice = select === 'device_private';
    const pfn = ofDevice ? 7 : 3;
    const before = ofDevice ? devpriv : writable;
    const system = rig({ ptes: [before, migration(pfn, true, true)], cleared: before, counts: [mapped, after] });
    const back = [lockPtl, readPte, `page${pfn}: folio.ref_inc`, `page${pfn}: folio.add_rmap`, `page${pfn}: folio.set_exclusive {"exclusive":true}`];
    const home = set(ofDevice ? { kind: 'devpriv', pfn, write: true } : presentPte(pfn));
    expect(setup(system, select, faultPage).slice(-10)).toEqual([...back, home, unlockPtl, `lock${pfn}: unlock`, put(pfn), nothing]);
    isOver(system);
  });
});

describe('pages and finalize', () => {
  test('to the device: the pte is an entry of its page, whose mapping has a reference of its own', () => {
    const system = rig({ counts: [mapped, counts(1), counts(1, { dirty: true })] });
    setup(system);
    expect(pages(system, 7)).toEqual(['page3: page.read', 'page7: folio.mark_dirty', 'p: return {"ok":true}']);
    expect(finalize(system, 7)).toEqual([...map(7, { kind: 'devpriv', pfn: 7, write: true }), 'lock3: unlock', unlockTarget(7), put(3), put(7), nothing]);
    isOver(system);
  });

  test('back from the device: the pte is present; what was exclusive is so again', () => {
    const system = rig({ ptes: [devpriv, migration(7, false, true)], cleared: devpriv, counts: [mapped, counts(2), counts(2)] });
    setup(system, 'device_private', 7);
    expect(pages(system, 3)).toEqual(['page7: page.read', 'p: return {"ok":true}']);
    expect(finalize(system, 3)).toEqual([
      lockPtl,
      readPte,
      'page3: folio.ref_inc',
      'page3: folio.add_rmap',
      'page3: folio.set_exclusive {"exclusive":true}',
      set(presentPte(3, { write: false })),
      unlockPtl,
      'lock7: unlock',
      unlockTarget(3),
      put(7),
      put(3),
      nothing,
    ]);
    isOver(system);
  });

  test('somebody refers to it by now: refused, the target dropped, the page back in its place', () => {
    const system = rig({ counts: [mapped, counts(1), counts(2)] });
    setup(system);
    expect(pages(system, 7)).toEqual(['page3: page.read', 'p: return {"ok":false}']);
    expect(finalize(system, 7)).toEqual([unlockTarget(7), put(7), ...map(3, presentPte(3)), 'lock3: unlock', put(3), nothing]);
    isOver(system);
  });

  test.each([2, 1])('with a fault, %i references are expected: the one of the fault is', (refcount) => {
    const system = rig({ ptes: [devpriv, migration(7, true)], cleared: devpriv, counts: [mapped, counts(refcount), counts(refcount)] });
    setup(system, 'device_private', refcount === 2 ? 7 : 8);
    expect(pages(system, 3).at(-1)).toBe('p: return {"ok":true}');
  });

  test('a page of a device with one reference too many gets as far as here', () => {
    const system = rig({ ptes: [devpriv, migration(7, true)], cleared: devpriv, counts: [mapped, counts(3), counts(3)] });
    expect(setup(system, 'device_private', 7).at(-1)).toBe(found(7, true));
    expect(pages(system, 3).at(-1)).toBe('p: return {"ok":false}');
    expect(finalize(system, 3)).toEqual([unlockTarget(3), put(3), ...map(7, { kind: 'devpriv', pfn: 7, write: true }), 'lock7: unlock', put(7), nothing]);
  });

  test('a caller without a target gives up', () => {
    const system = rig();
    setup(system);
    expect(finalize(system, null)).toEqual([...map(3, presentPte(3)), 'lock3: unlock', put(3), nothing]);
    isOver(system);
  });

  test.each<[string, Message]>([
    ['gone', pte({ kind: 'none' })],
    ['that of another page', migration(4, true)],
  ])('an entry that is %s by now is left alone: both pages are dropped', (_, by) => {
    const system = rig({ ptes: [writable, by] });
    setup(system);
    pages(system, 7);
    expect(finalize(system, 7)).toEqual([lockPtl, readPte, unlockPtl, 'lock3: unlock', unlockTarget(7), put(3), put(7), nothing]);
    isOver(system);
  });
});

describe('a page that a child has too', () => {
  const unmap = (pfn: number): string =>
    `unmap: call ${JSON.stringify({ pfn, mapping: null, index: 9, leaves: 'migration', items: [{ mm: 'child', vpn: 9, ptl: 'ptl_child' }] })}`;
  const childSet = (pte: object): string => `child: pte.set ${JSON.stringify({ vpn: 9, pte })}`;
  const mapChild = (pfn: number, pte: object): string[] => [
    ...['ptl_child: lock', 'child: pte.read {"vpn":9}', `page${pfn}: folio.ref_inc`, `page${pfn}: folio.add_rmap`, childSet(pte)],
    'ptl_child: unlock',
  ];

  test('to the device: migration entries there too, and who may have it cached is flushed before the check', () => {
    const system = rig({ ptes: [readOnly, migration(3, false)], cleared: readOnly, counts: [mapped, mapped, counts(1), counts(1)], child: ['cpu1'] });
    expect(setup(system).slice(-6)).toEqual([unlockPtl, check(3), unmap(3), 'arch_flush: call {"cpus":["cpu1"]}', check(3), found(3, false)]);
    pages(system, 7);
    const entry = { kind: 'devpriv', pfn: 7, write: false };
    expect(finalize(system, 7)).toEqual([...map(7, entry), ...mapChild(7, entry), 'lock3: unlock', unlockTarget(7), put(3), put(7), nothing]);
    isOver(system);
  });

  test('back from the device: nobody has it cached; both map the page of the kernel', () => {
    const ptes = [pte({ kind: 'devpriv', pfn: 7, write: false }), migration(7, false)];
    const system = rig({ ptes, cleared: ptes[0] as Message, counts: [mapped, mapped, counts(2), counts(2)], child: [], childPtes: [migration(7, false)] });
    expect(setup(system, 'device_private', 7).slice(-5)).toEqual([unlockPtl, check(7), unmap(7), check(7), found(7, false)]);
    pages(system, 3);
    const home = presentPte(3, { write: false });
    expect(finalize(system, 3).slice(0, 12)).toEqual([...map(3, home), ...mapChild(3, home)]);
    isOver(system);
  });

  test('one that it has no more is not looked for; one that it drops meanwhile is not mapped again', () => {
    const system = rig({ counts: [mapped, counts(1), counts(1), counts(1)], child: ['cpu1'], childPtes: [pte({ kind: 'none' })] });
    expect(setup(system).slice(-3)).toEqual([check(3), check(3), found(3, true)]);
    expect(system.heard('unmap')).toEqual([]);
    expect(finalize(system, null)).toEqual([
      ...map(3, presentPte(3)),
      ...['ptl_child: lock', 'child: pte.read {"vpn":9}', 'ptl_child: unlock', 'lock3: unlock', put(3), nothing],
    ]);
    isOver(system);
  });

  test('that others use is mapped again in both', () => {
    const system = rig({ ptes: [readOnly, migration(3, false)], cleared: readOnly, counts: [mapped, mapped, counts(2)], child: [] });
    const home = presentPte(3, { write: false });
    expect(setup(system).slice(-15)).toEqual([...map(3, home), ...mapChild(3, home), 'lock3: unlock', put(3), nothing]);
    isOver(system);
  });
});

test('every transition was taken', () => {
  expect(untaken(migrateVma)).toEqual([]);
});
