import {
  addressSpace,
  type Candidate,
  folio,
  folioLock,
  lufBatch,
  type Pte,
  pageAllocator,
  pageCache,
  presentPte,
  putPage,
  shrinkFolioList,
  spinlock,
  tryToUnmap,
} from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  /** What maps page 4 and page 5, at the virtual page of the same number; null: nothing. */
  ptes?: Record<4 | 5, Pte | null>;
  /** References of page 4 that somebody else holds. */
  pinned?: number;
  /** What the slot of page 4 holds. */
  slot?: number | null;
  swap?: Record<string, number>;
  luf?: boolean;
  machine?: typeof shrinkFolioList;
  arch?: ActorSpec;
  unmap?: ActorSpec;
}

const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const dirty = (pfn: number): Pte => presentPte(pfn, { dirty: true });
const noAccess = (pfn: number): Pte => ({ kind: 'protnone', pfn, dirty: false });
const mapped = (pte: Pte | null): number => (pte?.kind === 'present' || pte?.kind === 'protnone' ? 1 : 0);

/** Page 4 of a file in slot 0, page 5 in slot 1, or private; both mapped by `mm`, which cpu1 may have cached. */
function rig({
  ptes = { 4: readOnly(4), 5: null },
  pinned = 0,
  slot = 4,
  swap = {},
  luf = false,
  machine = shrinkFolioList,
  arch = returns(),
  unmap,
}: Setup = {}) {
  const isCached = (pfn: number): boolean => (pfn === 4 ? slot === 4 : false) || Object.values(swap).includes(pfn);
  const page = (pfn: 4 | 5, more: number) => {
    const mapcount = mapped(ptes[pfn]);
    return actor(folio, {
      input: { pfn, refcount: mapcount + (isCached(pfn) ? 1 : 0) + more, mapcount, idle: 0, zone: 'normal', content: `content of ${pfn}` },
    });
  };
  const lazy = luf ? { lufBatch: 'luf_batch' } : {};
  return new Rig({
    mm: actor(addressSpace, {
      input: { ptes: Object.fromEntries(Object.entries(ptes).flatMap(([vpn, pte]) => (pte ? [[vpn, pte]] : []))), vmas: [4, 5], cpumask: ['cpu1'] },
    }),
    ptl: actor(spinlock),
    page4: page(4, pinned),
    page5: page(5, 0),
    lock4: actor(folioLock),
    lock5: actor(folioLock),
    file: actor(pageCache, { input: { folios: { 0: slot }, stored: { 0: 'old' } } }),
    swap: actor(pageCache, { input: { folios: swap } }),
    luf_batch: actor(lufBatch, { input: {} }),
    allocator: actor(pageAllocator, { input: { free: [] }, choices: [] }),
    arch,
    put: actor(putPage, { input: { allocator: 'allocator', ...lazy } }),
    unmap: unmap ?? actor(tryToUnmap, { input: { lufBatch: luf ? 'luf_batch' : null, debug: null } }),
    debug: answers(),
    shrink: actor(machine, {
      input: {
        folioLocks: { 4: 'lock4', 5: 'lock5' },
        tryToUnmap: 'unmap',
        archFlush: 'arch',
        putPage: 'put',
        lufBatch: luf ? 'luf_batch' : null,
        allocator: 'allocator',
        debug: 'debug',
      },
    }),
    p: probe(),
    q: probe(),
  });
}
const of = (pfn: number, more: Partial<Candidate>): Candidate => ({
  pfn,
  mapping: 'file',
  index: 0,
  anonymous: false,
  items: [{ mm: 'mm', vpn: pfn, ptl: 'ptl' }],
  ...more,
});
const ofFile = of(4, {});
/** Private memory: the swap cache knows its slot, whatever the caller says. */
const anonymous = (pfn: number): Candidate => of(pfn, { mapping: 'swap', index: 8, anonymous: true });
const call = (system: Rig, ...candidates: Candidate[]): Rig => {
  system.say('p', 'shrink', { type: 'call', candidates });
  return system;
};
const shrunk = (setup: Setup = {}, ...candidates: Candidate[]): Rig => call(rig(setup), ...(candidates.length > 0 ? candidates : [ofFile])).settle();
/** What it said to these. */
const told = (system: Rig, ...to: string[]): string[] => system.said('shrink').filter((said) => to.some((name) => said.startsWith(`${name}: `)));
/** The frames freed so far, in this order. */
const free = (system: Rig): unknown => system.heard('allocator').map(({ pfn, lufKey }) => ({ pfn, lufKey }));
const freed = (pfn: number, lufKey: number | null = null): unknown => ({ pfn, lufKey });
const slots = (system: Rig, mapping = 'file'): unknown => system.context(mapping).folios;
const flush: Message = { type: 'call', cpus: ['cpu1'] };
const callUnmap = 'unmap: call {"pfn":4,"mapping":"file","index":0,"leaves":"none","items":[{"mm":"mm","vpn":4,"ptl":"ptl"}]}';
function expectAtRest(system: Rig): void {
  expect(system.context('shrink')).toMatchObject({ caller: '', candidates: [], cpus: [], writable: false, lazy: false, frames: [] });
  for (const lock of ['lock4', 'lock5', 'ptl']) expect(system.context(lock)).toEqual({ owner: null, waiters: [] });
  expect([system.at('shrink'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}
/** It is in its slot, with this many references, and not free. */
function expectKept(system: Rig, refcount: number): void {
  expect([slots(system), free(system), system.context('page4').refcount]).toEqual([{ 0: 4 }, [], refcount]);
  expectAtRest(system);
}

describe('R1 to R9: a clean page of a file', () => {
  test('step by step: isolated, locked, unmapped, out of its slot, unlocked; the flush; freed', () => {
    const system = shrunk();
    expect(system.said('shrink')).toEqual([
      'page4: folio.try_get',
      'lock4: trylock',
      'file: slot.read {"index":0}',
      callUnmap,
      'page4: page.read',
      'page4: folio.freeze {"expected":2,"clean":true}',
      'file: slot.delete {"index":0}',
      'lock4: unlock',
      'arch: call {"cpus":["cpu1"]}',
      'page4: folio.free',
      'allocator: free_page {"pfn":4,"lufKey":null}',
      'p: return',
    ]);
    expect([system.context('mm').ptes[4], slots(system), system.at('page4'), free(system)]).toEqual([{ kind: 'none' }, { 0: null }, 'free', [freed(4)]]);
    expect(system.context('file').stored).toEqual({ 0: 'old' });
    expectAtRest(system);
  });

  test('R6, R7 come before R8, R9 after: while the flush is under way it is out of its slot and unlocked, and not free', () => {
    const system = shrunk({ arch: answers() });
    expect([system.at('shrink'), system.can('shrink', 'step'), system.heard('p')]).toEqual(['try_to_unmap_flush', false, []]);
    expect([slots(system), system.context('lock4').owner, free(system), system.at('page4')]).toEqual([{ 0: null }, null, [], 'present']);
    system.say('q', 'shrink', 'return');
    expect(free(system.settle())).toEqual([freed(4)]);
    expectAtRest(system);
  });

  test('it holds the folio lock from the look at the slot to its removal', () => {
    const system = call(rig(), ofFile).stepTo('shrink', 'folio_trylock');
    expect(system.context('lock4').owner).toBe(null);
    system.take('shrink', 'step').settle('unmap');
    expect([system.at('shrink'), system.context('lock4').owner]).toEqual(['remove_mapping', 'shrink']);
    system.take('shrink', 'step');
    expect([system.at('shrink'), system.context('lock4').owner, slots(system)]).toEqual(['folio_unlock', 'shrink', { 0: null }]);
    system.take('shrink', 'step');
    expect(system.context('lock4').owner).toBe(null);
    expectAtRest(system.settle());
  });

  test('that nobody maps needs no flush', () => {
    const system = shrunk({ ptes: { 4: null, 5: null } });
    expect([system.heard('arch'), free(system)]).toEqual([[], [freed(4)]]);
    expectAtRest(system);
  });

  test('R6: between the slot and the free list nobody gets a reference', () => {
    const system = shrunk({ arch: answers() });
    expect(system.say('q', 'page4', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
  });

  test('without folios it returns at once', () => {
    const system = call(rig());
    expect(system.said('shrink')).toEqual(['p: return']);
    expectAtRest(system);
  });
});

describe('R5: a dirty page of a file', () => {
  const io = [
    'page4: memory.read {"sample":true}',
    'file: stored.write {"index":0,"value":"content of 4"}',
    'page4: folio.clean',
    'page4: folio.freeze {"expected":2,"clean":true}',
    'file: slot.delete {"index":0}',
  ];

  test('whose pte was dirty: an IPI, then the I/O; the batch is empty then', () => {
    const system = shrunk({ ptes: { 4: dirty(4), 5: null } });
    expect(told(system, 'arch', 'page4', 'file').slice(3)).toEqual(['arch: call {"cpus":["cpu1"]}', ...io, 'page4: folio.free']);
    expect([system.context('file').stored, system.context('page4').dirty, free(system)]).toEqual([{ 0: 'content of 4' }, false, [freed(4)]]);
    expectAtRest(system);
  });

  test('I2: nothing is written out while that flush is under way; the folio is locked and in its slot', () => {
    const system = shrunk({ ptes: { 4: dirty(4), 5: null }, arch: answers() });
    expect([system.at('shrink'), system.can('shrink', 'step'), system.context('file').stored]).toEqual(['flush_dirty', false, { 0: 'old' }]);
    expect([system.context('lock4').owner, slots(system), system.context('page4').sampled]).toEqual(['shrink', { 0: 4 }, false]);
    system.say('q', 'shrink', 'return');
    expect(system.settle().context('file').stored).toEqual({ 0: 'content of 4' });
    expectAtRest(system);
  });

  test('whose ptes were clean: written out at once, flushed at the end', () => {
    const system = rig();
    system.say('q', 'page4', 'folio.mark_dirty');
    call(system, ofFile).settle();
    expect(told(system, 'arch', 'page4', 'file').slice(3)).toEqual([...io, 'arch: call {"cpus":["cpu1"]}', 'page4: folio.free']);
    expectAtRest(system);
  });

  test('without the safeguard it is written out before the flush', () => {
    const machine = shrinkFolioList.provide({ guards: { mustFlushDirty: () => false } });
    const system = shrunk({ ptes: { 4: dirty(4), 5: null }, machine });
    expect(told(system, 'arch', 'page4', 'file').slice(3)).toEqual([...io, 'arch: call {"cpus":["cpu1"]}', 'page4: folio.free']);
    expectAtRest(system);
  });

  test('the batch begins anew after it: page 5 is dirty by R3 alone, and is written out without another flush', () => {
    const system = shrunk({ ptes: { 4: dirty(4), 5: readOnly(5) }, pinned: 1 }, ofFile, anonymous(5));
    expect(told(system, 'arch', 'file', 'swap').slice(1)).toEqual([
      'arch: call {"cpus":["cpu1"]}',
      'file: stored.write {"index":0,"value":"content of 4"}',
      'swap: swap.find {"pfn":5}',
      'swap: swap.add {"pfn":5}',
      'swap: stored.write {"index":0,"value":"content of 5"}',
      'swap: slot.delete {"index":0}',
      'arch: call {"cpus":["cpu1"]}',
    ]);
    expectAtRest(system);
  });

  test('a dirty pte of a folio that was kept counts: the flush for the next one is for both', () => {
    const results = [
      { cpus: ['cpu2'], writable: true, lazyCpus: [] },
      { cpus: ['cpu1'], writable: false, lazyCpus: [] },
    ];
    const system = rig({ ptes: { 4: readOnly(4), 5: null }, swap: { 5: 5 }, unmap: returns(...results) });
    system.say('q', 'page5', 'folio.mark_dirty');
    call(system, ofFile, anonymous(5)).settle();
    expect(told(system, 'arch', 'swap')).toEqual([
      'swap: swap.find {"pfn":5}',
      'arch: call {"cpus":["cpu1","cpu2"]}',
      'swap: stored.write {"index":5,"value":"content of 5"}',
      'swap: slot.delete {"index":5}',
    ]);
    expectAtRest(system);
  });
});

describe('R3: private memory', () => {
  const ptes = { 4: null, 5: readOnly(5) };

  test('goes to the swap cache, dirty, so that it is written out; swap entries are left', () => {
    const system = shrunk({ ptes }, anonymous(5));
    expect(system.said('shrink')).toEqual([
      'page5: folio.try_get',
      'lock5: trylock',
      'swap: swap.find {"pfn":5}',
      'page5: page.read',
      'swap: swap.add {"pfn":5}',
      'page5: folio.ref_inc',
      'page5: folio.mark_dirty',
      'unmap: call {"pfn":5,"mapping":"swap","index":0,"leaves":"swap","items":[{"mm":"mm","vpn":5,"ptl":"ptl"}]}',
      'page5: page.read',
      'page5: memory.read {"sample":true}',
      'swap: stored.write {"index":0,"value":"content of 5"}',
      'page5: folio.clean',
      'page5: folio.freeze {"expected":2,"clean":true}',
      'swap: slot.delete {"index":0}',
      'lock5: unlock',
      'arch: call {"cpus":["cpu1"]}',
      'page5: folio.free',
      'allocator: free_page {"pfn":5,"lufKey":null}',
      'p: return',
    ]);
    expect([system.context('mm').ptes[5], system.context('swap').stored, free(system)]).toEqual([{ kind: 'swap', slot: 0 }, { 0: 'content of 5' }, [freed(5)]]);
    expectAtRest(system);
  });

  test('that is in the swap cache already gets no second reference, and is written out only if it is dirty', () => {
    const system = shrunk({ ptes, swap: { 3: 5 } }, anonymous(5));
    expect(told(system, 'page5', 'swap', 'unmap')).toEqual([
      'page5: folio.try_get',
      'swap: swap.find {"pfn":5}',
      'unmap: call {"pfn":5,"mapping":"swap","index":3,"leaves":"swap","items":[{"mm":"mm","vpn":5,"ptl":"ptl"}]}',
      'page5: page.read',
      'page5: folio.freeze {"expected":2,"clean":true}',
      'swap: slot.delete {"index":3}',
      'page5: folio.free',
    ]);
    expect([slots(system, 'swap'), system.context('mm').ptes[5], free(system)]).toEqual([{ 3: null }, { kind: 'swap', slot: 3 }, [freed(5)]]);
    expectAtRest(system);
  });

  test('that is in the swap cache, and that nobody maps any more, goes', () => {
    const system = shrunk({ ptes: { 4: null, 5: null }, swap: { 3: 5 } }, anonymous(5));
    expect([slots(system, 'swap'), free(system), system.heard('arch')]).toEqual([{ 3: null }, [freed(5)], []]);
    expectAtRest(system);
  });

  test('gets a slot of its own, where another page has one already', () => {
    const system = shrunk({ ptes, swap: { 0: 9 } }, anonymous(5));
    expect([slots(system, 'swap'), system.context('swap').stored]).toEqual([{ 0: 9, 1: null }, { 1: 'content of 5' }]);
    expect([system.context('mm').ptes[5], free(system)]).toEqual([{ kind: 'swap', slot: 1 }, [freed(5)]]);
    expectAtRest(system);
  });

  test('the second time gets another slot: entries with the first may stand somewhere', () => {
    const system = shrunk({ ptes }, anonymous(5));
    for (const message of ['folio.prep_new', 'folio.add_rmap']) system.say('q', 'page5', message);
    system.say('q', 'mm', { type: 'pte.set', vpn: 5, pte: readOnly(5) });
    call(system, anonymous(5)).settle();
    expect([slots(system, 'swap'), system.context('mm').ptes[5], free(system)]).toEqual([
      { 0: null, 1: null },
      { kind: 'swap', slot: 1 },
      [freed(5), freed(5)],
    ]);
    expectAtRest(system);
  });

  test('that no CPU may access (PROT_NONE) is mapped, and goes as well', () => {
    const system = shrunk({ ptes: { 4: null, 5: noAccess(5) } }, anonymous(5));
    expect([system.context('mm').ptes[5], system.context('swap').stored, free(system)]).toEqual([{ kind: 'swap', slot: 0 }, { 0: 'content of 5' }, [freed(5)]]);
    expectAtRest(system);
  });

  test.each<[string, Record<string, number>]>([
    ['', {}],
    [', although another page is in its old slot', { 8: 9 }],
  ])('that nobody maps is not swapped out%s: unlocked, and kept', (_, swap) => {
    const system = rig({ ptes: { 4: null, 5: null }, swap });
    // Page 5 is somebody else's by now.
    system.say('q', 'page5', 'folio.prep_new');
    call(system, anonymous(5)).settle();
    expect(system.said('shrink')).toEqual([
      'page5: folio.try_get',
      'lock5: trylock',
      'swap: swap.find {"pfn":5}',
      'page5: page.read',
      'lock5: unlock',
      'put: call {"pfn":5,"pinned":false}',
      'p: return',
    ]);
    expect([slots(system, 'swap'), system.at('page5'), system.context('page5').refcount, free(system)]).toEqual([swap, 'present', 1, []]);
    expectAtRest(system);
  });
});

describe('a folio is kept', () => {
  test('that somebody has locked: its reference is given back, nothing else is looked at', () => {
    const system = rig();
    system.say('q', 'lock4', 'trylock');
    call(system, ofFile).settle();
    expect(system.said('shrink')).toEqual(['page4: folio.try_get', 'lock4: trylock', 'put: call {"pfn":4,"pinned":false}', 'p: return']);
    expect([system.context('lock4').owner, system.context('mm').ptes[4]]).toEqual(['q', readOnly(4)]);
    system.say('q', 'lock4', 'unlock');
    expectKept(system, 2);
  });

  test('that is free by now: there is no reference to add to', () => {
    const system = shrunk({ ptes: { 4: null, 5: null } }, anonymous(5));
    expect([system.said('shrink'), system.at('page5')]).toEqual([['page5: folio.try_get', 'p: return'], 'free']);
    expectAtRest(system);
  });

  test.each([null, 9])('that is not in its slot any more (%j): unlocked, and left mapped', (slot) => {
    const system = shrunk({ slot });
    expect(system.said('shrink').slice(2)).toEqual(['file: slot.read {"index":0}', 'lock4: unlock', 'put: call {"pfn":4,"pinned":false}', 'p: return']);
    expect([slots(system), system.context('mm').ptes[4], free(system), system.context('page4')]).toEqual([
      { 0: slot },
      readOnly(4),
      [],
      expect.objectContaining({ refcount: 1, mapcount: 1 }),
    ]);
    expectAtRest(system);
  });

  test('that is not in its slot, and that nobody else refers to, is free with that reference', () => {
    const system = rig({ slot: null, ptes: { 4: null, 5: null }, pinned: 1 });
    call(system, ofFile).stepTo('shrink', 'folio_trylock');
    system.say('q', 'page4', 'folio.put');
    expect(free(system.settle())).toEqual([freed(4)]);
    expectAtRest(system);
  });

  test('R5: that is mapped still: it is not written out', () => {
    const system = shrunk({}, of(4, { items: [] }));
    expect(told(system, 'page4', 'lock4', 'file', 'put')).toEqual([
      'page4: folio.try_get',
      'lock4: trylock',
      'file: slot.read {"index":0}',
      'page4: page.read',
      'lock4: unlock',
      'put: call {"pfn":4,"pinned":false}',
    ]);
    expectKept(system, 2);
  });

  test('R6: that somebody else refers to; what was unmapped is flushed all the same', () => {
    const system = shrunk({ pinned: 1 });
    expect(system.said('shrink').slice(5)).toEqual([
      'page4: folio.freeze {"expected":2,"clean":true}',
      'lock4: unlock',
      'put: call {"pfn":4,"pinned":false}',
      'arch: call {"cpus":["cpu1"]}',
      'p: return',
    ]);
    expectKept(system, 2);
  });

  test('R6: for a reference that comes after the walk, not for one that goes before the freeze', () => {
    const late = call(rig(), ofFile).stepTo('shrink', 'folio_trylock').take('shrink', 'step').settle('unmap');
    expect(late.at('shrink')).toBe('remove_mapping');
    late.say('q', 'page4', 'folio.try_get');
    expectKept(late.settle(), 2);
    const early = call(rig({ pinned: 1 }), ofFile)
      .stepTo('shrink', 'folio_trylock')
      .take('shrink', 'step')
      .settle('unmap');
    early.say('q', 'page4', 'folio.put');
    expect(free(early.settle())).toEqual([freed(4)]);
    expectAtRest(early);
  });

  // R6 looks at D again when the count is frozen: who had a reference may have stored to it.
  test('R6: that was made dirty since R5; the next pass writes it out', () => {
    const system = call(rig({ pinned: 1 }), ofFile)
      .stepTo('shrink', 'folio_trylock')
      .take('shrink', 'step')
      .settle('unmap');
    expect(system.at('shrink')).toBe('remove_mapping');
    for (const message of ['folio.mark_dirty', 'folio.put']) system.say('q', 'page4', message);
    expectKept(system.settle(), 1);
    expect([system.context('page4').dirty, system.context('file').stored]).toEqual([true, { 0: 'old' }]);
    call(system, ofFile).settle();
    expect([system.context('file').stored, free(system)]).toEqual([{ 0: 'content of 4' }, [freed(4)]]);
    expectAtRest(system);
  });

  test('and the next folio of the list is taken', () => {
    const system = rig({ ptes: { 4: readOnly(4), 5: readOnly(5) } });
    system.say('q', 'lock4', 'trylock');
    call(system, ofFile, anonymous(5)).settle();
    expect([free(system), slots(system)]).toEqual([[freed(5)], { 0: 4 }]);
    system.say('q', 'lock4', 'unlock');
    expectAtRest(system);
  });
});

describe('a list of folios', () => {
  const ptes = { 4: readOnly(4), 5: readOnly(5) };

  test('is flushed once, and then freed in order', () => {
    const system = shrunk({ ptes }, ofFile, anonymous(5));
    expect(told(system, 'lock4', 'lock5', 'arch', 'allocator')).toEqual([
      'lock4: trylock',
      'lock4: unlock',
      'lock5: trylock',
      'lock5: unlock',
      'arch: call {"cpus":["cpu1"]}',
      'allocator: free_page {"pfn":4,"lufKey":null}',
      'allocator: free_page {"pfn":5,"lufKey":null}',
    ]);
    expectAtRest(system);
  });

  test('is flushed for the CPUs of all, each once', () => {
    const results = [
      { cpus: ['cpu2', 'cpu3'], writable: false, lazyCpus: [] },
      { cpus: ['cpu1', 'cpu2'], writable: false, lazyCpus: [] },
    ];
    const system = shrunk({ ptes: { 4: null, 5: null }, swap: { 5: 5 }, unmap: returns(...results) }, ofFile, anonymous(5));
    expect(system.heard('arch')).toEqual([{ type: 'call', cpus: ['cpu1', 'cpu2', 'cpu3'] }]);
    expectAtRest(system);
  });
});

describe('LUF', () => {
  const ptes = { 4: readOnly(4), 5: dirty(5) };

  test('read-only ptes: no IPI; the frame is freed with the generation that it owes', () => {
    const system = shrunk({ luf: true });
    expect(system.said('shrink').slice(5)).toEqual([
      'page4: folio.freeze {"expected":2,"clean":true}',
      'file: slot.delete {"index":0}',
      'luf_batch: luf_batch.ugen',
      'lock4: unlock',
      'page4: folio.free',
      'allocator: free_page {"pfn":4,"lufKey":1}',
      'p: return',
    ]);
    expect([system.heard('arch'), system.context('luf_batch').debts]).toEqual([[], [{ cpu: 'cpu1', ugen: 1 }]]);
    expectAtRest(system);
  });

  test('a writable pte: flushed, nothing recorded; its frame needs what was put off before', () => {
    const system = shrunk({ luf: true, ptes: { 4: presentPte(4), 5: null } });
    expect([system.heard('arch'), free(system), system.heard('luf_batch')]).toEqual([[flush], [freed(4, 0)], [{ type: 'luf_batch.ugen' }]]);
    expectAtRest(system);
  });

  test('a list of both: each frame with the generation at its removal', () => {
    const system = shrunk({ luf: true, ptes }, ofFile, anonymous(5));
    expect([system.heard('arch'), free(system)]).toEqual([[flush], [freed(4, 1), freed(5, 1)]]);
    expectAtRest(system);
    const reversed = shrunk({ luf: true, ptes }, anonymous(5), ofFile);
    expect([reversed.heard('arch'), free(reversed)]).toEqual([[flush], [freed(5, 0), freed(4, 1)]]);
    expectAtRest(reversed);
  });

  test('a dirty folio whose ptes were read-only is written out without a flush', () => {
    const system = shrunk({ luf: true, ptes: { 4: null, 5: readOnly(5) } }, anonymous(5));
    expect([system.heard('arch'), system.context('swap').stored, free(system)]).toEqual([[], { 0: 'content of 5' }, [freed(5, 1)]]);
    expectAtRest(system);
  });

  test('a folio that nobody maps records nothing', () => {
    const system = shrunk({ luf: true, ptes: { 4: null, 5: null } });
    expect([system.context('luf_batch').debts, free(system)]).toEqual([[], [freed(4, 0)]]);
  });

  test('a folio that is kept leaves its debt in the table', () => {
    const system = shrunk({ luf: true, pinned: 1 });
    expect([system.heard('arch'), system.context('luf_batch').debts]).toEqual([[], [{ cpu: 'cpu1', ugen: 1 }]]);
    expectKept(system, 2);
  });

  test('I1: a folio that was unmapped by an earlier pass, and kept, owes what that pass has put off', () => {
    const system = shrunk({ luf: true, pinned: 1 });
    system.say('q', 'page4', 'folio.put');
    call(system, ofFile).settle();
    expect(system.context('luf_batch').debts).toEqual([{ cpu: 'cpu1', ugen: 1 }]);
    expect(free(system)).toEqual([freed(4, 1)]);
    expectAtRest(system);
  });

  describe('with the safeguard out only a folio whose flush this pass has put off takes a generation', () => {
    const machine = shrinkFolioList.provide({
      guards: { takesKey: ({ context, event }) => context.lazy && 'result' in event && event.result === 'frozen' },
    });

    test('a list of both', () => {
      const system = shrunk({ luf: true, machine, ptes }, ofFile, anonymous(5));
      expect([system.heard('arch'), free(system)]).toEqual([[flush], [freed(4, 1), freed(5, null)]]);
      expectAtRest(system);
    });

    test('I1: a folio that an earlier pass has unmapped is freed as if it owed nothing', () => {
      const system = shrunk({ luf: true, machine, pinned: 1 });
      system.say('q', 'page4', 'folio.put');
      call(system, ofFile).settle();
      expect([system.context('luf_batch').debts, free(system)]).toEqual([[{ cpu: 'cpu1', ugen: 1 }], [freed(4, null)]]);
      expectAtRest(system);
    });
  });
});

describe('where else it may flush', () => {
  const flushing = (guard: 'mustFlushBeforeRemoval' | 'mustFlushBeforeUnlock'): typeof shrinkFolioList =>
    shrinkFolioList.provide({ guards: { [guard]: ({ context }: { context: { cpus: string[] } }) => context.cpus.length > 0 } });

  test('row L0a: before the slot changes; nothing is left for the end', () => {
    const system = shrunk({ machine: flushing('mustFlushBeforeRemoval') });
    expect(told(system, 'arch', 'file', 'lock4').slice(2)).toEqual(['arch: call {"cpus":["cpu1"]}', 'file: slot.delete {"index":0}', 'lock4: unlock']);
    expect(free(system)).toEqual([freed(4)]);
    expectAtRest(system);
  });

  test('row L0a: the slot holds the page while the flush is under way', () => {
    const system = shrunk({ machine: flushing('mustFlushBeforeRemoval'), arch: answers() });
    expect([system.at('shrink'), system.can('shrink', 'step'), slots(system)]).toEqual(['flush_before_removal', false, { 0: 4 }]);
  });

  test('row L0b: after the slot has changed, with the folio locked', () => {
    const system = shrunk({ machine: flushing('mustFlushBeforeUnlock'), arch: answers() });
    expect([system.at('shrink'), system.can('shrink', 'step'), slots(system), system.context('lock4').owner]).toEqual([
      'flush_before_unlock',
      false,
      { 0: null },
      'shrink',
    ]);
    system.say('q', 'shrink', 'return');
    system.settle();
    expect(told(system, 'arch', 'file', 'lock4').slice(2)).toEqual(['file: slot.delete {"index":0}', 'arch: call {"cpus":["cpu1"]}', 'lock4: unlock']);
    expectAtRest(system);
  });
});

describe('row L5: init_on_free', () => {
  const machine = shrinkFolioList.provide({ guards: { mustInit: ({ context }) => context.frames.length > 0 } });

  test('the frame is cleared before it is freed, while its flush is owed', () => {
    const system = shrunk({ luf: true, machine });
    expect(system.said('shrink').slice(-6)).toEqual([
      'lock4: unlock',
      'page4: memory.write {"value":"zero"}',
      'debug: luf.cleared {"pfn":4}',
      'page4: folio.free',
      'allocator: free_page {"pfn":4,"lufKey":1}',
      'p: return',
    ]);
    expect(system.context('page4').content).toBe('zero');
    expectAtRest(system);
  });

  test('each frame of a list', () => {
    const system = shrunk({ machine, ptes: { 4: readOnly(4), 5: readOnly(5) } }, ofFile, anonymous(5));
    expect(system.heard('debug')).toEqual([
      { type: 'luf.cleared', pfn: 4 },
      { type: 'luf.cleared', pfn: 5 },
    ]);
    expectAtRest(system);
  });

  test('without it the frame keeps its bytes', () => {
    const system = shrunk();
    expect([system.context('page4').content, system.heard('debug')]).toEqual(['content of 4', []]);
  });
});

test.each<[string, Setup]>([
  ['batched', { ptes: { 4: dirty(4), 5: readOnly(5) } }],
  ['put off', { luf: true, ptes: { 4: readOnly(4), 5: dirty(5) } }],
])('one call remembers nothing of the one before (%s)', (_, setup) => {
  const system = shrunk(setup);
  expectAtRest(system);
  const before = system.heard('arch').length;
  call(system, anonymous(5)).settle();
  expect(system.heard('arch').slice(before)).toEqual([flush]);
  const key = setup.luf ? 1 : null;
  expect(free(system)).toEqual([freed(4, key), freed(5, key)]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(shrinkFolioList)).toEqual([]);
});
