import { addressSpace, folio, type Pte, presentPte, putPage, replacePage, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  /** What is there, and what write_protect_page has left. */
  pte?: Pte;
  left?: Pte;
  notified?: boolean;
  machine?: typeof replacePage;
  others?: Actors;
}

const readOnly = (pfn: number): Pte => presentPte(pfn, { write: false });
const none: Pte = { kind: 'none' };
const blind = replacePage.provide({ guards: { testsUnchanged: () => false } });

/** Page 4 goes, page 5 stays; the caller has a reference of both. */
const rig = ({ pte = readOnly(4), notified = false, machine = replacePage, others = {} }: Setup): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: pte }, vmas: [3], cpumask: [] } }),
    ptl: actor(spinlock),
    page4: actor(folio, { input: { pfn: 4, refcount: 2, mapcount: 1, idle: 0, zone: 'normal' } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 2, mapcount: 1, idle: 0, zone: 'normal', protection: { record: 'record5', stable: true } } }),
    page6: actor(folio, { input: { pfn: 6, refcount: 1, mapcount: 1, idle: 0, zone: 'normal' } }),
    flush: returns(),
    notifier: returns({ ok: true }),
    put: actor(putPage, { input: {} }),
    replace: actor(machine, { input: { flush: { mm: 'flush' }, putPage: 'put', ...(notified ? { notifiers: { mm: 'notifier' } } : {}) } }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig, pte = readOnly(4)): Rig => {
  system.say('p', 'replace', { type: 'call', item: { mm: 'mm', vpn: 3, ptl: 'ptl' }, pfn: 4, kpfn: 5, pte });
  return system;
};
const done = (setup: Setup): Rig => call(rig(setup), setup.left).settle();
const pteOf = (system: Rig): Pte => system.context('mm').ptes[3];
/** References and mappings of the page that goes, of the one that stays, and of a copy. */
const counts = (system: Rig): number[][] => [4, 5, 6].map((pfn) => [system.context(`page${pfn}`).refcount, system.context(`page${pfn}`).mapcount]);
const untouched = [
  [2, 1],
  [2, 1],
  [1, 1],
];
const replaced = [
  [1, 0],
  [3, 2],
  [1, 1],
];
const returned = (ok: boolean): Message => ({ type: 'return', ok });
function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('replace')).toMatchObject({ caller: '', item: { mm: '', vpn: -1, ptl: '' }, pfn: -1, kpfn: -1, pte: none, replaced: null, ok: false });
  expect([system.context('ptl'), system.at('replace'), system.heard('p').at(-1), system.bugs()]).toEqual([
    { owner: null, waiters: [] },
    'idle',
    returned(ok),
    [],
  ]);
}

const look = ['ptl: lock', 'mm: pte.read {"vpn":3}'];
const clear = 'mm: pte.get_and_clear {"vpn":3}';
const flush = 'flush: call {"vpns":[3]}';
const set = `mm: pte.set ${JSON.stringify({ vpn: 3, pte: readOnly(5) })}`;
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const notify = (phase: 'start' | 'end'): string => `notifier: call ${JSON.stringify({ phase, event: 'CLEAR', owner: null, vpns: [3] })}`;
const map = ['page5: folio.ref_inc', 'page5: folio.add_rmap'];
const whole = [...look, ...map, clear, flush, set, 'page4: folio.remove_rmap', 'ptl: unlock', put(4), 'p: return {"ok":true}'];

test('step 5 in order: the page that stays is mapped, the pte taken and flushed, the other mapping dropped', () => {
  const system = done({});
  expect(system.said('replace')).toEqual(whole);
  expect([pteOf(system), counts(system)]).toEqual([readOnly(5), replaced]);
  expectAtRest(system, true);
});

test('step by step: in between the pte is gone, under the page-table lock', () => {
  const system = call(rig({}));
  const seen: unknown[] = [];
  while (system.at('replace') !== 'idle') {
    seen.push([system.at('replace'), system.context('ptl').owner, pteOf(system).kind, ...counts(system).slice(0, 2)]);
    system.take(system.at('replace') === 'folio_put' ? 'put' : 'replace', 'step');
  }
  expect(seen).toEqual([
    ['pte_offset_map_lock', null, 'present', [2, 1], [2, 1]],
    ['ptep_clear_flush', 'replace', 'present', [2, 1], [2, 1]],
    ['set_pte_at', 'replace', 'none', [2, 1], [3, 2]],
    ['folio_remove_rmap_pte', 'replace', 'present', [2, 1], [3, 2]],
    ['folio_put', null, 'present', [2, 0], [3, 2]],
  ]);
});

test('secondary MMUs are told before the lock is taken, and when all is over', () => {
  const system = done({ notified: true });
  expect(system.said('replace')).toEqual([notify('start'), ...whole.slice(0, -1), notify('end'), whole.at(-1)]);
  expectAtRest(system, true);
});

test('a hint of NUMA balancing that was left is replaced, too', () => {
  const hint: Pte = { kind: 'protnone', pfn: 4, dirty: false };
  const system = done({ pte: hint, left: hint });
  expect([pteOf(system), counts(system)]).toEqual([readOnly(5), replaced]);
  expectAtRest(system, true);
});

describe('the pte has changed', () => {
  const changes: [string, Pte][] = [
    ['a copy is there', presentPte(6, { dirty: true })],
    ['the same page may be written again', presentPte(4)],
    ['the same page was stored to', presentPte(4, { write: false, dirty: true })],
    ['nothing is there', none],
    ['it was swapped out', { kind: 'swap', slot: 1 }],
  ];

  test.each(changes)('%s: nothing is replaced', (_, pte) => {
    const system = done({ pte });
    expect(system.said('replace')).toEqual([...look, 'ptl: unlock', 'p: return {"ok":false}']);
    expect([pteOf(system), counts(system)]).toEqual([pte, untouched]);
    expectAtRest(system, false);
  });

  test('secondary MMUs are told of the end all the same', () => {
    const system = done({ pte: none, notified: true });
    expect(system.said('replace')).toEqual([notify('start'), ...look, 'ptl: unlock', notify('end'), 'p: return {"ok":false}']);
    expectAtRest(system, false);
  });

  test('row W5: nobody looks, and what a copy holds is lost', () => {
    const system = done({ pte: presentPte(6, { dirty: true }), machine: blind });
    expect([pteOf(system), counts(system)]).toEqual([
      readOnly(5),
      [
        [2, 1],
        [3, 2],
        [0, 0],
      ],
    ]);
    expectAtRest(system, true);
  });

  test('row W5: nor is anything dropped where nothing was mapped', () => {
    const system = done({ pte: none, machine: blind });
    expect(system.said('replace')).toEqual([...look, ...map, clear, flush, set, 'ptl: unlock', 'p: return {"ok":true}']);
    expectAtRest(system, true);
  });
});

describe('it waits', () => {
  test('while another has the page-table lock; what is there by then counts', () => {
    const system = rig({});
    system.say('q', 'ptl', 'lock');
    call(system).settle();
    expect([system.at('replace'), system.can('replace', 'step')]).toEqual(['spin_on_ptl', false]);
    system.say('q', 'mm', { type: 'pte.set', vpn: 3, pte: presentPte(6) });
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle(), false);
  });

  test('for the flush, under the lock', () => {
    const system = done({ others: { flush: answers() } });
    expect([system.at('replace'), system.can('replace', 'step'), pteOf(system), system.context('ptl').owner]).toEqual([
      'flush_tlb_page',
      false,
      none,
      'replace',
    ]);
    system.say('q', 'replace', 'return');
    expectAtRest(system.settle(), true);
  });

  test('for secondary MMUs, without the lock', () => {
    const system = done({ notified: true, others: { notifier: answers() } });
    const held = (): unknown => [system.at('replace'), system.can('replace', 'step'), pteOf(system), system.context('ptl').owner];
    expect(held()).toEqual(['mmu_notifier_invalidate_range_start', false, readOnly(4), null]);
    system.say('q', 'replace', { type: 'return', ok: true });
    system.settle();
    expect(held()).toEqual(['mmu_notifier_invalidate_range_end', false, readOnly(5), null]);
    system.say('q', 'replace', { type: 'return', ok: true });
    expectAtRest(system, true);
  });
});

test('it can be called again', () => {
  const system = done({});
  call(system).settle();
  expect(system.heard('p')).toEqual([returned(true), returned(false)]);
  expectAtRest(system, false);
});

test('every transition was taken', () => {
  expect(untaken(replacePage)).toEqual([]);
});
