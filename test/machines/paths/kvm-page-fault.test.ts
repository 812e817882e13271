import type { AnyMachineSnapshot } from 'xstate';
import { kvm, kvmPageFault, secondaryMmu, spinlock } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (gup: ActorSpec = returns({ pages: [4] }), putPage: ActorSpec = returns()): Rig =>
  new Rig({
    kvm: actor(kvm),
    lock: actor(spinlock),
    guest: actor(secondaryMmu, { input: { mm: 'mm' } }),
    gup,
    put: putPage,
    fault: actor(kvmPageFault, { input: { kvm: 'kvm', mmuLock: 'lock', mmu: 'guest', gup: 'gup', putPage: 'put' } }),
    p: probe(),
    q: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'fault', { type: 'call', vpn: 3, write: false });
  return system;
};
const looked = ['kvm: kvm.read_seq', 'gup: call {"vpns":[3],"write":true}', 'lock: lock', 'kvm: kvm.retry'];
const mapped = 'guest: mmu.map {"vpn":3,"pfn":4,"write":true,"atomic":false}';
const released = ['lock: unlock', 'put: call {"pfn":4,"pinned":false}'];
const ptes = (system: Rig): unknown => system.context('guest').ptes;
const tags = (system: Rig): boolean => (system.live.snapshot('fault') as AnyMachineSnapshot).hasTag('served');

function expectAtRest(system: Rig): void {
  expect([system.at('fault'), system.context('lock').owner, system.context('kvm').readers, system.bugs()]).toEqual(['idle', null, [], []]);
  expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, pfn: null, ok: false });
}

test('the number, the page, then under mmu_lock the check and the mapping; the reference goes', () => {
  const system = call(rig()).settle();
  expect(system.said('fault')).toEqual([...looked, mapped, ...released, 'p: return {"ok":true}']);
  expect(ptes(system)).toEqual({ 3: { pfn: 4, write: true, atomic: false } });
  expectAtRest(system);
});

test('it has served the guest when the page is mapped, still under mmu_lock', () => {
  const system = call(rig()).stepTo('fault', 'direct_map');
  expect([tags(system), ptes(system)]).toEqual([false, {}]);
  system.take('fault', 'step');
  expect([tags(system), system.context('lock').owner, Object.keys(system.context('guest').ptes)]).toEqual([true, 'fault', ['3']]);
});

test('an invalidation is under way: unmapped it lets go of the page, and tries again until that is over', () => {
  const system = rig();
  system.say('q', 'kvm', 'kvm.begin');
  call(system).stepTo('fault', 'write_unlock_again').take('fault', 'step');
  expect([system.at('fault'), system.said('fault'), ptes(system), system.context('lock').owner]).toEqual([
    'kvm_faultin_pfn',
    [...looked, ...released],
    {},
    null,
  ]);
  expect(system.context('fault').pfn).toBe(null);
  system.say('q', 'kvm', 'kvm.end');
  system.settle();
  expect([system.said('fault').slice(6), system.heard('p')]).toEqual([
    [...looked, mapped, ...released, 'p: return {"ok":true}'],
    [{ type: 'return', ok: true }],
  ]);
  expectAtRest(system);
});

test('an invalidation begins and ends while it looks the page up', () => {
  const system = call(rig(answers())).settle('fault');
  expect([system.at('fault'), system.can('fault', 'step')]).toEqual(['hva_to_pfn', false]);
  for (const what of ['kvm.begin', 'kvm.end']) system.say('q', 'kvm', what);
  system.say('q', 'fault', { type: 'return', pages: [4] });
  system.stepTo('fault', 'write_unlock_again').take('fault', 'step');
  expect([system.at('fault'), ptes(system)]).toEqual(['kvm_faultin_pfn', {}]);
});

test('it spins while an invalidation has mmu_lock', () => {
  const system = rig();
  system.say('q', 'lock', 'lock');
  call(system).settle();
  expect([system.at('fault'), system.can('fault', 'step'), ptes(system)]).toEqual(['spin_on_mmu_lock', false, {}]);
  system.say('q', 'lock', 'unlock');
  expect(system.settle().heard('p')).toEqual([{ type: 'return', ok: true }]);
});

test('there is no page: the guest is told', () => {
  const system = call(rig(returns({ pages: [] }))).stepTo('fault', 'kvm_handle_error_pfn');
  expect(tags(system)).toBe(true);
  system.settle();
  expect([system.heard('p'), ptes(system), system.heard('lock'), system.heard('put')]).toEqual([[{ type: 'return', ok: false }], {}, [], []]);
  expect([system.at('fault'), system.bugs()]).toEqual(['idle', []]);
});

test('it waits for the reference to be dropped before it returns', () => {
  const system = call(rig(returns({ pages: [4] }), answers())).settle();
  expect([system.at('fault'), system.can('fault', 'step'), system.heard('p')]).toEqual(['kvm_release_pfn', false, []]);
  system.say('q', 'fault', 'return');
  expect(system.heard('p')).toEqual([{ type: 'return', ok: true }]);
});

test('it can be called again', () => {
  const system = call(rig(returns({ pages: [] }, { pages: [4] }))).settle();
  call(system).settle();
  expect(system.heard('p')).toEqual([
    { type: 'return', ok: false },
    { type: 'return', ok: true },
  ]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(kvmPageFault)).toEqual([]);
});
