import { addressSpace, clearRefs, mwriteprotectRange, type Pte, presentPte, rwsem, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  pte?: Pte;
  vmas?: number[];
  notified?: boolean;
  defers?: boolean;
  others?: Actors;
}
type Machine = typeof mwriteprotectRange | typeof clearRefs;
const up510 = clearRefs.provide({ guards: { holdsMmapLockForWriting: () => false } });

const rig = (machine: Machine, { pte = presentPte(4), vmas = [3], notified = false, defers = false, others = {} }: Setup = {}): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: { 3: pte }, vmas, cpumask: [] } }),
    mmap_lock: actor(rwsem),
    ptl: actor(spinlock),
    flush: returns(),
    batched: returns(),
    notifier: returns({ ok: true }),
    it: actor(machine as typeof mwriteprotectRange, {
      input: {
        ...{ mm: 'mm', mmapLock: 'mmap_lock', ptl: 'ptl', flush: 'flush' },
        ...(notified ? { notifier: 'notifier' } : {}),
        ...(defers ? { batchedPending: 'batched' } : {}),
      },
    }),
    p: probe(),
    q: probe(),
    ...others,
  });
const call = (system: Rig): Rig => {
  system.say('p', 'it', { type: 'call', vpn: 3 });
  return system;
};
const done = (machine: Machine, setup?: Setup): Rig => call(rig(machine, setup)).settle();
const pteOf = (system: Rig): Pte => system.context('mm').ptes[3];
function expectAtRest(system: Rig): void {
  expect(system.context('it')).toMatchObject({ caller: '', vpn: -1, pte: null });
  expect([system.context('mmap_lock'), system.context('ptl'), system.context('mm').tlbFlushPending]).toEqual([
    { writer: null, readers: [], waiters: [] },
    { owner: null, waiters: [] },
    0,
  ]);
  expect([system.at('it'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
}

const readOnly = presentPte(4, { write: false });
const find = (how: 'read' | 'write'): string[] => [`mmap_lock: down_${how}`, 'mm: vma.find {"vpn":3}'];
const begin = 'mm: gather.begin';
const look = ['ptl: lock', 'mm: pte.read {"vpn":3}'];
const take = 'mm: pte.get_and_clear {"vpn":3}';
const set = (pte: Pte): string => `mm: pte.set ${JSON.stringify({ vpn: 3, pte })}`;
const unlock = 'ptl: unlock';
const ask = 'mm: gather.read';
const flush = 'flush: call {"vpns":[3]}';
const flushAll = 'flush: call {"vpns":"all"}';
const end = 'mm: gather.end';
const close = (how: 'read' | 'write'): string[] => [`mmap_lock: up_${how}`, 'p: return'];
const notify = (phase: 'start' | 'end', event: string): string => `notifier: call ${JSON.stringify({ phase, event, owner: null, vpns: [3] })}`;

const machines: [string, Machine, 'read' | 'write', string[], string, string][] = [
  ['userfaultfd', mwriteprotectRange, 'read', [ask, flush], 'PROTECTION_VMA', 'tlb_finish_mmu'],
  ['soft-dirty', clearRefs, 'write', [flushAll], 'SOFT_DIRTY', 'dec_tlb_flush_pending'],
  ['soft-dirty, up to 5.10', up510, 'read', [flushAll], 'SOFT_DIRTY', 'dec_tlb_flush_pending'],
];

describe.each(machines)('%s', (_, machine, how, flushes, event) => {
  test('the pte becomes read-only under the page-table lock, within a gather, and is flushed at its end', () => {
    const system = done(machine);
    expect(system.said('it')).toEqual([...find(how), begin, ...look, take, set(readOnly), unlock, ...flushes, end, ...close(how)]);
    expect(pteOf(system)).toEqual(readOnly);
    expectAtRest(system);
  });

  test('D stays, also if the walker sets it until the pte is taken', () => {
    const dirty = presentPte(4, { write: false, dirty: true });
    expect(pteOf(done(machine, { pte: presentPte(4, { dirty: true }) }))).toEqual(dirty);
    const system = call(rig(machine)).stepTo('it', 'ptep_modify_prot_start');
    system.say('q', 'mm', { type: 'pte.walk', vpn: 3, write: true, table: null });
    expect(pteOf(system.settle())).toEqual(dirty);
  });

  test('until the flush has returned the pte looks protected, the gather is under way, and the page-table lock is free', () => {
    const system = done(machine, { others: { flush: answers() } });
    const { readers, writer } = system.context('mmap_lock');
    expect([pteOf(system), system.context('mm').tlbFlushPending, system.context('ptl').owner, system.can('it', 'step')]).toEqual([readOnly, 1, null, false]);
    expect([readers, writer]).toEqual(how === 'read' ? [['it'], null] : [[], 'it']);
    system.say('q', 'it', 'return');
    expectAtRest(system.settle());
  });

  test('secondary MMUs are told before the page-table lock is taken, and before the flush', () => {
    const system = done(machine, { notified: true });
    expect(system.said('it')).toEqual([
      ...[...find(how), begin, notify('start', event), ...look, take, set(readOnly), unlock, notify('end', event), ...flushes, end, ...close(how)],
    ]);
    expectAtRest(system);
  });

  test('secondary MMUs hold it up, without the page-table lock', () => {
    const system = done(machine, { notified: true, others: { notifier: answers() } });
    expect([system.at('it'), system.can('it', 'step'), system.context('ptl').owner]).toEqual(['mmu_notifier_invalidate_range_start', false, null]);
    system.say('q', 'it', { type: 'return', ok: true });
    expect([system.settle().at('it'), system.can('it', 'step'), system.context('ptl').owner]).toEqual(['mmu_notifier_invalidate_range_end', false, null]);
    system.say('q', 'it', { type: 'return', ok: true });
    expectAtRest(system.settle());
  });

  test.each<[string, Pte]>([
    ['nothing', { kind: 'none' }],
    ['a swap entry', { kind: 'swap', slot: 1 }],
  ])('%s is there: it stays', (_, pte) => {
    const system = done(machine, { pte });
    expect(system.said('it')).toEqual([...find(how), begin, ...look, unlock, ...flushes.filter((said) => said !== flush), end, ...close(how)]);
    expect(pteOf(system)).toEqual(pte);
    expectAtRest(system);
  });

  test('no VMA: no gather', () => {
    const system = done(machine, { vmas: [] });
    expect(system.said('it')).toEqual([...find(how), ...close(how)]);
    expectAtRest(system);
  });

  test('it waits for mmap_lock, and for the page-table lock', () => {
    const system = rig(machine);
    system.say('q', 'mmap_lock', 'down_write');
    system.say('q', 'ptl', 'lock');
    expect([call(system).settle().at('it'), system.can('it', 'step')]).toEqual(['wait_for_mmap_lock', false]);
    system.say('q', 'mmap_lock', 'up_write');
    expect([system.settle().at('it'), system.can('it', 'step')]).toEqual(['spin_on_ptl', false]);
    system.say('q', 'ptl', 'unlock');
    expectAtRest(system.settle());
  });

  test('others that read mmap_lock run beside it, or not', () => {
    const system = rig(machine);
    system.say('q', 'mmap_lock', 'down_read');
    expect(call(system).settle().at('it')).toBe(how === 'read' ? 'idle' : 'wait_for_mmap_lock');
  });

  test('it can be called again', () => {
    const system = done(machine);
    call(system).settle();
    expect(system.heard('p')).toHaveLength(2);
    expectAtRest(system);
  });
});

describe('userfaultfd', () => {
  test('a pte that is read-only already needs no flush', () => {
    const system = done(mwriteprotectRange, { pte: readOnly });
    expect(system.said('it')).toEqual([...find('read'), begin, ...look, take, set(readOnly), unlock, ask, end, ...close('read')]);
    expectAtRest(system);
  });

  test.each([presentPte(4), readOnly])('another gather is under way: everything is flushed (%j)', (pte) => {
    const system = rig(mwriteprotectRange, { pte });
    system.say('q', 'mm', 'gather.begin');
    expect(call(system).settle().said('it').slice(-5)).toEqual([ask, flushAll, end, ...close('read')]);
    system.say('q', 'mm', 'gather.end');
    expectAtRest(system);
  });

  test('a flush that reclaim has put off is done first, under the page-table lock', () => {
    const system = done(mwriteprotectRange, { defers: true, others: { batched: answers() } });
    expect([system.at('it'), system.can('it', 'step'), system.context('ptl').owner, pteOf(system)]).toEqual([
      ...['flush_tlb_batched_pending', false, 'it', presentPte(4)],
    ]);
    system.say('q', 'it', 'return');
    expectAtRest(system.settle());
  });
});

test('every transition was taken', () => {
  expect([untaken(mwriteprotectRange), untaken(clearRefs)]).toEqual([[], []]);
});
