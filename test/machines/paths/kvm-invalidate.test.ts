import { kvm, kvmInvalidate, type NotifierCall, secondaryMmu, spinlock } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const mapped = { 3: { pfn: 4, write: true, atomic: false }, 5: { pfn: 6, write: true, atomic: false } };
const rig = (memslots: number[] | null = null, guest: ActorSpec = actor(secondaryMmu, { input: { mm: 'mm', ptes: mapped } })): Rig =>
  new Rig({
    kvm: actor(kvm),
    lock: actor(spinlock),
    guest,
    inv: actor(kvmInvalidate, { input: { kvm: 'kvm', mmuLock: 'lock', mmu: 'guest', memslots } }),
    p: probe(),
    q: probe(),
  });
const call = (system: Rig, phase: 'start' | 'end', more: Partial<NotifierCall> = {}): Rig => {
  system.say('p', 'inv', { type: 'call', phase, sub: null, event: 'CLEAR', owner: null, vpns: [3], blockable: true, ...more });
  return system;
};
const ptes = (system: Rig): string[] => Object.keys(system.context('guest').ptes);
const inProgress = (system: Rig): unknown => system.context('kvm').inProgress;
const yes = { type: 'return', ok: true };
const startSaid = ['lock: lock', 'kvm: kvm.begin', 'guest: mmu.unmap {"vpns":[3]}', 'lock: unlock', 'p: return {"ok":true}'];
const endSaid = ['lock: lock', 'kvm: kvm.end', 'lock: unlock', 'p: return {"ok":true}'];

function expectAtRest(system: Rig): void {
  expect([system.at('inv'), system.context('lock'), system.bugs()]).toEqual(['idle', { owner: null, waiters: [] }, []]);
  expect(system.context('inv')).toMatchObject({ caller: '', phase: 'start', vpns: [] });
}

test('start counts, and drops the mappings of the range, under mmu_lock', () => {
  const system = call(rig(), 'start').settle();
  expect([system.said('inv'), ptes(system), inProgress(system)]).toEqual([startSaid, ['5'], 1]);
  expectAtRest(system);
});

test('end counts back', () => {
  const system = call(rig(), 'start').settle();
  call(system, 'end').settle();
  expect([system.said('inv'), inProgress(system), system.heard('p')]).toEqual([[...startSaid, ...endSaid], 0, [yes, yes]]);
  expectAtRest(system);
});

test.each(['start', 'end'] as const)('%s spins while a fault has mmu_lock', (phase) => {
  const system = phase === 'end' ? call(rig(), 'start').settle() : rig();
  system.say('q', 'lock', 'lock');
  call(system, phase).settle();
  expect([system.at('inv'), system.can('inv', 'step'), inProgress(system)]).toEqual(['spin_on_mmu_lock', false, phase === 'end' ? 1 : 0]);
  system.say('q', 'lock', 'unlock');
  expect(system.settle().heard('p').at(-1)).toEqual(yes);
  expectAtRest(system);
});

test('it waits until the guest does not use the mapping any more', () => {
  const system = call(rig(null, answers()), 'start').settle();
  expect([system.at('inv'), system.can('inv', 'step'), system.heard('p')]).toEqual(['kvm_flush_remote_tlbs', false, []]);
  system.say('q', 'inv', 'mmu.unmapped');
  expect(system.settle().heard('p')).toEqual([yes]);
  expectAtRest(system);
});

test('who may not sleep is served like others: it spins', () => {
  expect(call(rig(), 'start', { blockable: false }).settle().said('inv')).toEqual(startSaid);
});

test.each(['EXCLUSIVE', 'MIGRATE', 'PROTECTION_VMA'] as const)('%s is like any other, whoever the owner', (event) => {
  expect(call(rig(), 'start', { event, owner: 'nouveau' }).settle().said('inv')).toEqual(startSaid);
});

test('what is no memory of the guest does not concern it, at start or end', () => {
  const system = rig([5, 6]);
  for (const phase of ['start', 'end'] as const) call(system, phase);
  expect([system.said('inv'), inProgress(system)]).toEqual([['p: return {"ok":true}', 'p: return {"ok":true}'], 0]);
  call(system, 'start', { vpns: [4, 5] }).settle();
  expect([inProgress(system), ptes(system)]).toEqual([1, ['3']]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(kvmInvalidate)).toEqual([]);
});
