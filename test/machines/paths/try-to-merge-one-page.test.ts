import { addressSpace, folio, folioLock, type Pte, presentPte, rwsem, tryToMergeOnePage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** What write_protect_page and replace_page say. */
  protects?: { ok: boolean; ptes: (Pte | null)[] };
  replaces?: boolean;
  /** What is in the page, and in the stable one. */
  contents?: [string, string];
  vmas?: number[];
  machine?: typeof tryToMergeOnePage;
  others?: Actors;
}

const readOnly = presentPte(4, { write: false });
const item = { mm: 'mm', vpn: 3, ptl: 'ptl' };

const rig = ({
  protects = { ok: true, ptes: [readOnly] },
  replaces = true,
  contents = ['v0', 'v0'],
  vmas = [3],
  machine = tryToMergeOnePage,
  others = {},
}: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: readOnly }, vmas, cpumask: [] } }),
    mmap_lock: actor(rwsem),
    lock4: actor(folioLock),
    page4: actor(folio, { input: { pfn: 4, refcount: 2, mapcount: 1, idle: 0, zone: 'normal', content: contents[0] } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 2, mapcount: 1, idle: 0, zone: 'normal', content: contents[1] } }),
    protect: returns(protects),
    replace: returns({ ok: replaces }),
    merge: actor(machine, { input: { mmapLocks: { mm: 'mmap_lock' }, folioLocks: { 4: 'lock4' }, writeProtect: 'protect', replacePage: 'replace' } }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig, kpfn: number | null = 5): Rig => {
  system.say('p', 'merge', { type: 'call', item, pfn: 4, kpfn });
  return system;
};
const done = (setup: Setup, kpfn?: number | null): Rig => call(rig(setup), kpfn).settle();
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('merge')).toMatchObject({ caller: '', item: { mm: '', vpn: -1, ptl: '' }, pfn: -1, kpfn: null, pte: null, content: null, ok: false });
  expect([system.context('mmap_lock'), system.context('lock4').owner]).toEqual([{ writer: null, readers: [], waiters: [] }, null]);
  expect([system.at('merge'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

const find = ['mmap_lock: down_read', 'mm: vma.find {"vpn":3}'];
const trylock = 'lock4: trylock';
const protect = `protect: call ${JSON.stringify({ pfn: 4, items: [item], shares: true })}`;
const compare = ['page4: memory.read {"sample":false}', 'page5: memory.read {"sample":false}'];
const replace = `replace: call ${JSON.stringify({ item, pfn: 4, kpfn: 5, pte: readOnly })}`;
const unlock = 'lock4: unlock';
const close = (ok: boolean): string[] => ['mmap_lock: up_read', `p: return {"ok":${ok}}`];

test('steps 2 to 6 in order: protected, compared again, replaced, under mmap_lock and the folio lock', () => {
  const system = done({});
  expect(system.said('merge')).toEqual([...find, trylock, protect, ...compare, replace, unlock, ...close(true)]);
  expectAtRest(system, true);
});

test('with no stable page it becomes one itself: protected, and dirty', () => {
  const system = done({}, null);
  expect(system.said('merge')).toEqual([
    ...[...find, trylock, protect],
    ...['page4: folio.protect {"record":"record4","stable":true}', 'page4: folio.mark_dirty', unlock],
    ...close(true),
  ]);
  expect(system.context('page4')).toMatchObject({ protection: { record: 'record4', stable: true }, dirty: true });
  expectAtRest(system, true);
});

describe('nothing is merged', () => {
  test('without a VMA', () => {
    const system = done({ vmas: [] });
    expect(system.said('merge')).toEqual([...find, ...close(false)]);
    expectAtRest(system, false);
  });

  test('while another has the folio locked: it is not waited for', () => {
    const system = rig({});
    system.say('q', 'lock4', 'lock');
    call(system).settle();
    expect(system.said('merge')).toEqual([...find, trylock, ...close(false)]);
    expect(system.context('lock4')).toEqual({ owner: 'q', waiters: [] });
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system, false);
  });

  test.each<[string, { ok: boolean; ptes: (Pte | null)[] }]>([
    ['is used by somebody', { ok: false, ptes: [] }],
    ['is not mapped there any more', { ok: true, ptes: [null] }],
  ])('where the page %s', (_, protects) => {
    for (const kpfn of [5, null]) {
      const system = done({ protects }, kpfn);
      expect(system.said('merge')).toEqual([...find, trylock, protect, unlock, ...close(false)]);
      expect(system.context('page4').protection).toBeNull();
      expectAtRest(system, false);
    }
  });

  test('where the bytes are others by now', () => {
    const system = done({ contents: ['v1', 'v0'] });
    expect(system.said('merge')).toEqual([...find, trylock, protect, ...compare, unlock, ...close(false)]);
    expectAtRest(system, false);
  });

  test('where the pte has changed', () => {
    const system = done({ replaces: false });
    expect(system.said('merge')).toEqual([...find, trylock, protect, ...compare, replace, unlock, ...close(false)]);
    expectAtRest(system, false);
  });
});

describe('it waits', () => {
  const waits = (system: Rig): unknown => [system.at('merge'), system.can('merge', 'step'), system.context('mmap_lock').readers, system.context('lock4').owner];

  test('while somebody writes mmap_lock', () => {
    const system = rig({});
    system.say('q', 'mmap_lock', 'down_write');
    call(system).settle();
    expect(waits(system)).toEqual(['wait_for_mmap_lock', false, [], null]);
    system.say('q', 'mmap_lock', 'up_write');
    expectAtRest(system.settle(), true);
  });

  test('for the protection and the replacement, with both locks', () => {
    const system = done({ others: { protect: answers(), replace: answers() } });
    expect(waits(system)).toEqual(['write_protect_page', false, ['merge'], 'merge']);
    system.say('q', 'merge', { type: 'return', ok: true, ptes: [readOnly] });
    system.settle();
    expect(waits(system)).toEqual(['replace_page', false, ['merge'], 'merge']);
    system.say('q', 'merge', { type: 'return', ok: true });
    expectAtRest(system.settle(), true);
  });
});

test('row W4: the bytes are not compared again', () => {
  const machine = tryToMergeOnePage.provide({ guards: { comparesAgain: () => false } });
  const system = done({ machine, contents: ['v1', 'v0'] });
  expect(system.said('merge')).toEqual([...find, trylock, protect, replace, unlock, ...close(true)]);
  expectAtRest(system, true);
});

test('it can be called again', () => {
  const system = done({}, null);
  call(system).settle();
  expect(system.said('merge').slice(-8)).toEqual([trylock, protect, ...compare, replace, unlock, ...close(true)]);
  expectAtRest(system, true);
});

test('every transition was taken', () => {
  expect(untaken(tryToMergeOnePage)).toEqual([]);
});
