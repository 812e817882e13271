import { mutex, type NotifierCall, secondaryMmu, svmmInvalidate } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const mapped = { 3: { pfn: 4, write: true, atomic: false }, 5: { pfn: 6, write: true, atomic: false } };
const rig = (machine = svmmInvalidate, gpu: ActorSpec = actor(secondaryMmu, { input: { mm: 'mm', ptes: mapped } })): Rig =>
  new Rig({
    mutex: actor(mutex),
    gpu,
    svmm: actor(machine, { input: { cookie: 'nouveau', mutex: 'mutex', mmu: 'gpu' } }),
    p: probe(),
    fault: probe(),
  });
const call = (system: Rig, more: Partial<NotifierCall> = {}): Rig => {
  system.say('p', 'svmm', { type: 'call', phase: 'start', sub: null, event: 'CLEAR', owner: null, vpns: [3], blockable: true, ...more });
  return system;
};
/** A fault of the device is being served. */
const faulting = (machine = svmmInvalidate): Rig => {
  const system = rig(machine);
  system.say('fault', 'mutex', 'lock');
  return system;
};
const ptes = (system: Rig): string[] => Object.keys(system.context('gpu').ptes);
const unmap = 'gpu: mmu.unmap {"vpns":[3]}';
const yes = [{ type: 'return', ok: true }];
const no = [{ type: 'return', ok: false }];

function expectAtRest(system: Rig): void {
  expect([system.at('svmm'), system.context('mutex'), system.bugs()]).toEqual(['idle', { owner: null, waiters: [] }, []]);
  expect(system.context('svmm')).toMatchObject({ caller: '', vpns: [], ok: true });
}

test('under the mutex it drops the mappings of the range', () => {
  const system = call(rig()).settle();
  expect([system.said('svmm'), system.heard('p'), ptes(system)]).toEqual([['mutex: lock', unmap, 'mutex: unlock', 'p: return {"ok":true}'], yes, ['5']]);
  expectAtRest(system);
});

test('it sleeps while a fault has the mutex, and drops what that has mapped', () => {
  const system = call(faulting()).settle();
  expect([system.at('svmm'), system.can('svmm', 'step'), ptes(system)]).toEqual(['wait_for_mutex', false, ['3', '5']]);
  system.say('fault', 'gpu', { type: 'mmu.map', vpn: 3, pfn: 7, write: true, atomic: false });
  system.say('fault', 'mutex', 'unlock');
  expect([ptes(system.settle()), system.heard('p')]).toEqual([['5'], yes]);
  expectAtRest(system);
});

test('it waits until the device does not use the mapping any more', () => {
  const system = call(rig(svmmInvalidate, answers())).settle();
  expect([system.at('svmm'), system.can('svmm', 'step'), system.heard('p'), system.context('mutex').owner]).toEqual(['wait_for_device', false, [], 'svmm']);
  system.say('fault', 'svmm', 'mmu.unmapped');
  expect(system.settle().heard('p')).toEqual(yes);
  expectAtRest(system);
});

test.each([
  ['MIGRATE', 'nouveau', true],
  ['EXCLUSIVE', 'nouveau', false],
  ['EXCLUSIVE', null, false],
  ['MIGRATE', 'another', false],
  ['CLEAR', 'nouveau', false],
] as const)('%s of %s: its own migration: %s', (event, owner, own) => {
  const system = call(rig(), { event, owner }).settle();
  expect([system.heard('p'), ptes(system), system.heard('mutex').length]).toEqual([yes, own ? ['3', '5'] : ['5'], own ? 0 : 2]);
  expectAtRest(system);
});

test('it may filter nothing', () => {
  const system = call(rig(svmmInvalidate.provide({ guards: { isOwn: () => false } })), { event: 'MIGRATE', owner: 'nouveau' }).settle();
  expect([system.said('svmm'), ptes(system)]).toEqual([['mutex: lock', unmap, 'mutex: unlock', 'p: return {"ok":true}'], ['5']]);
});

test('rows D14, D15: what it ignores changes nothing', () => {
  const system = call(rig(svmmInvalidate.provide({ guards: { ignores: () => true } })));
  expect([system.heard('p'), ptes(system), system.heard('mutex')]).toEqual([yes, ['3', '5'], []]);
});

test('row D8: it drops the mappings while a fault has the mutex', () => {
  const system = call(faulting(svmmInvalidate.provide({ guards: { takesMutex: () => false } }))).settle();
  expect([system.said('svmm'), ptes(system), system.at('svmm')]).toEqual([[unmap, 'p: return {"ok":true}'], ['5'], 'idle']);
});

describe('called by who may not sleep', () => {
  const mayNotSleep = { blockable: false };

  test('the mutex is free: as ever', () => {
    const system = call(rig(), mayNotSleep).settle();
    expect(system.said('svmm')).toEqual(['mutex: trylock', unmap, 'mutex: unlock', 'p: return {"ok":true}']);
    expectAtRest(system);
  });

  test('a fault has the mutex: it says no', () => {
    const system = call(faulting(), mayNotSleep).settle();
    expect([system.heard('p'), ptes(system)]).toEqual([no, ['3', '5']]);
    system.say('fault', 'mutex', 'unlock');
    expectAtRest(system);
  });

  test('row D10: it says yes', () => {
    const system = call(faulting(svmmInvalidate.provide({ guards: { admitsFailure: () => false } })), mayNotSleep).settle();
    expect([system.heard('p'), ptes(system)]).toEqual([yes, ['3', '5']]);
  });

  test('nouveau says no whatever the mutex', () => {
    const machine = svmmInvalidate.provide({ guards: { refusesNonblocking: ({ event }) => event.type === 'call' && !event.blockable } });
    const system = call(rig(machine), mayNotSleep);
    expect([system.heard('p'), system.heard('mutex')]).toEqual([no, []]);
    expect([call(system).settle().heard('p'), ptes(system)]).toEqual([[...no, ...yes], ['5']]);
    expectAtRest(system);
  });
});

test('it can be called again', () => {
  const system = call(rig()).settle();
  call(system, { vpns: [5] }).settle();
  expect([system.heard('p'), ptes(system)]).toEqual([[...yes, ...yes], []]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(svmmInvalidate)).toEqual([]);
});
