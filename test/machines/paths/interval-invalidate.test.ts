import { intervalInvalidate, mmuNotifier, mutex, type NotifierCall, secondaryMmu } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  machine?: typeof intervalInvalidate;
  /** It drops the device's mappings itself. */
  unmaps?: boolean;
  gpu?: ActorSpec;
}

const mapped = { 3: { pfn: 4, write: true, atomic: false }, 5: { pfn: 6, write: true, atomic: false } };

/** A device that has page 3 mapped, and a fault of it under way: it has read its sequence number. */
function rig({ machine = intervalInvalidate, unmaps = true, gpu = actor(secondaryMmu, { input: { mm: 'mm', ptes: mapped } }) }: Setup = {}): Rig {
  const system = new Rig({
    mn: actor(mmuNotifier),
    mutex: actor(mutex),
    gpu,
    inv: actor(machine, { input: { cookie: 'nouveau', mutex: 'mutex', notifier: 'mn', mmu: unmaps ? 'gpu' : null } }),
    p: probe(),
    fault: probe(),
  });
  system.say('fault', 'mn', { type: 'mn.insert', sub: 'a', driver: 'gpu', vpns: [3] });
  system.say('fault', 'mn', { type: 'mn.read_begin', sub: 'a' });
  system.say('p', 'mn', { type: 'mn.invalidate_start', vpns: [3] });
  return system;
}
const call = (system: Rig, more: Partial<NotifierCall> = {}): Rig => {
  system.say('p', 'inv', { type: 'call', phase: 'start', sub: 'a', event: 'CLEAR', owner: null, vpns: [3], blockable: true, ...more });
  return system;
};
const returned = (system: Rig): Message[] => system.heard('p').slice(1);
const mustRetry = (system: Rig): unknown => system.say('fault', 'mn', { type: 'mn.read_retry', sub: 'a' })[0]?.retry;
const isMapped = (system: Rig): boolean => 3 in system.context('gpu').ptes;
const setSeq = 'mn: mn.set_seq {"sub":"a"}';
const unmap = 'gpu: mmu.unmap {"vpns":[3]}';
const yes = [{ type: 'return', ok: true }];
const no = [{ type: 'return', ok: false }];

function expectAtRest(system: Rig): void {
  expect([system.at('inv'), system.context('mutex'), system.bugs()]).toEqual(['idle', { owner: null, waiters: [] }, []]);
  expect(system.context('inv')).toMatchObject({ caller: '', sub: '', range: { event: 'UNMAP', owner: null, vpns: [] }, ok: true });
}

test('under the mutex: the sequence number, then the mappings of the range', () => {
  const system = call(rig()).settle();
  expect(system.said('inv')).toEqual(['mutex: lock', setSeq, unmap, 'mutex: unlock', 'p: return {"ok":true}']);
  expect([returned(system), mustRetry(system), Object.keys(system.context('gpu').ptes)]).toEqual([yes, true, ['5']]);
  expectAtRest(system);
});

test('nouveau: the sequence number only; the list notifier drops the mappings', () => {
  const system = call(rig({ unmaps: false })).settle();
  expect(system.said('inv')).toEqual(['mutex: lock', setSeq, 'mutex: unlock', 'p: return {"ok":true}']);
  expect([mustRetry(system), isMapped(system)]).toEqual([true, true]);
  expectAtRest(system);
});

test('it sleeps while a fault has the mutex: until then nothing has changed', () => {
  const system = rig();
  system.say('fault', 'mutex', 'lock');
  call(system).settle();
  expect([system.at('inv'), system.can('inv', 'step'), mustRetry(system), isMapped(system)]).toEqual(['wait_for_mutex', false, false, true]);
  system.say('fault', 'mutex', 'unlock');
  expect(returned(system.settle())).toEqual(yes);
  expectAtRest(system);
});

test('it waits until the device does not use the mapping any more', () => {
  const system = call(rig({ gpu: answers() })).settle();
  expect([system.at('inv'), system.can('inv', 'step'), returned(system), system.context('mutex').owner]).toEqual(['wait_for_device', false, [], 'inv']);
  system.say('fault', 'inv', 'mmu.unmapped');
  expect(returned(system.settle())).toEqual(yes);
  expectAtRest(system);
});

describe('what the driver itself makes exclusive', () => {
  test('(EXCLUSIVE) it passes over, at once and without the mutex', () => {
    const system = rig();
    system.say('fault', 'mutex', 'lock');
    call(system, { event: 'EXCLUSIVE', owner: 'nouveau' });
    expect([returned(system), mustRetry(system), isMapped(system), system.at('inv')]).toEqual([yes, false, true, 'idle']);
  });

  test.each([
    ['MIGRATE', 'nouveau'],
    ['MIGRATE', null],
    ['EXCLUSIVE', null],
    ['EXCLUSIVE', 'another'],
    ['CLEAR', 'nouveau'],
    ['UNMAP', 'nouveau'],
  ] as const)('%s of %s is a reason to read again', (event, owner) => {
    const system = call(rig(), { event, owner }).settle();
    expect([returned(system), mustRetry(system), isMapped(system)]).toEqual([yes, true, false]);
  });

  test('row D3: it does not filter', () => {
    const system = call(rig({ machine: intervalInvalidate.provide({ guards: { isOwn: () => false } }) }), { event: 'EXCLUSIVE', owner: 'nouveau' }).settle();
    expect([mustRetry(system), isMapped(system)]).toEqual([true, false]);
  });
});

test('rows D14, D15: what it ignores changes nothing', () => {
  const system = call(rig({ machine: intervalInvalidate.provide({ guards: { ignores: () => true } }) }), { event: 'PROTECTION_VMA' });
  expect([returned(system), mustRetry(system), isMapped(system)]).toEqual([yes, false, true]);
  expectAtRest(system);
});

test('row N2: the mappings go, the sequence number stays', () => {
  const machine = intervalInvalidate.provide({ guards: { storesSeq: () => false } });
  const system = call(rig({ machine })).settle();
  expect([system.said('inv'), mustRetry(system), isMapped(system)]).toEqual([['mutex: lock', unmap, 'mutex: unlock', 'p: return {"ok":true}'], false, false]);
  expectAtRest(system);
  const nouveau = call(rig({ machine, unmaps: false })).settle();
  expect([nouveau.said('inv'), mustRetry(nouveau)]).toEqual([['mutex: lock', 'mutex: unlock', 'p: return {"ok":true}'], false]);
});

describe('row D8: without the mutex', () => {
  const machine = intervalInvalidate.provide({ guards: { takesMutex: () => false } });

  test('the sequence number changes while a fault holds it', () => {
    const system = rig({ machine });
    system.say('fault', 'mutex', 'lock');
    expect([mustRetry(system), call(system).settle().said('inv')]).toEqual([false, [setSeq, unmap, 'p: return {"ok":true}']]);
    expect([isMapped(system), system.at('inv')]).toEqual([false, 'idle']);
  });

  test('the same in the form of nouveau', () => {
    expect(
      call(rig({ machine, unmaps: false }))
        .settle()
        .said('inv'),
    ).toEqual([setSeq, 'p: return {"ok":true}']);
  });
});

describe('called by who may not sleep', () => {
  const busy = (machine = intervalInvalidate): Rig => {
    const system = rig({ machine });
    system.say('fault', 'mutex', 'lock');
    return call(system, { blockable: false }).settle();
  };

  test('the mutex is free: as ever', () => {
    const system = call(rig(), { blockable: false }).settle();
    expect(system.said('inv')).toEqual(['mutex: trylock', setSeq, unmap, 'mutex: unlock', 'p: return {"ok":true}']);
    expectAtRest(system);
  });

  test('a fault has the mutex: it says no, and has changed nothing', () => {
    const system = busy();
    expect([returned(system), mustRetry(system), isMapped(system), system.at('inv')]).toEqual([no, false, true, 'idle']);
    system.say('fault', 'mutex', 'unlock');
    expectAtRest(system);
  });

  test('row D10: it says yes, and has changed nothing', () => {
    const system = busy(intervalInvalidate.provide({ guards: { admitsFailure: () => false } }));
    expect([returned(system), mustRetry(system), isMapped(system)]).toEqual([yes, false, true]);
  });
});

test('it can be called again', () => {
  const system = call(rig(), { blockable: false }).settle();
  call(system).settle();
  expect(returned(system)).toEqual([...yes, ...yes]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(intervalInvalidate)).toEqual([]);
});
