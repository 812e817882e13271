import { deviceCopies, deviceCopyInvalidate, folio, folioLock, mutex, type NotifierCall, putPage, secondaryMmu } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const frame = (pfn: number): ActorSpec => actor(folio, { input: { pfn, idle: 0, zone: 'normal', refcount: 1, device: 'gpu' } });
const read = (pfn: number) => ({ pfn, write: false, atomic: false });
/** The device has copies of pages 4 and 6, mapped at pages 3 and 5, and stores to page 2 itself, at page 9. */
const rig = (machine = deviceCopyInvalidate, gpu?: ActorSpec): Rig => {
  const ptes = { 3: read(7), 5: read(8), 9: { pfn: 2, write: true, atomic: true } };
  const system = new Rig({
    mutex: actor(mutex),
    gpu: gpu ?? actor(secondaryMmu, { input: { mm: 'mm', ptes } }),
    copies: actor(deviceCopies),
    page7: frame(7),
    page8: frame(8),
    put: actor(putPage, { input: {} }),
    lock4: actor(folioLock),
    lock6: actor(folioLock),
    path: actor(machine, { input: { mutex: 'mutex', mmu: 'gpu', copies: 'copies', putDevicePage: 'put', folioLocks: { 4: 'lock4', 6: 'lock6' } } }),
    p: probe(),
    other: probe(),
  });
  system.say('p', 'copies', { type: 'copies.add', vpn: 3, pfn: 4, copy: 7 });
  system.say('p', 'copies', { type: 'copies.add', vpn: 5, pfn: 6, copy: 8 });
  return system;
};
const call = (system: Rig, vpns: number[], more: Partial<NotifierCall> = {}): Rig => {
  system.say('p', 'path', { type: 'call', phase: 'start', sub: null, event: 'CLEAR', owner: null, vpns, blockable: true, ...more });
  return system;
};
const faulting = (system: Rig): Rig => {
  system.say('other', 'mutex', 'lock');
  return system;
};
const left = (system: Rig): unknown => [
  Object.keys(system.context('gpu').ptes),
  system.context('copies').copies.length,
  system.at('page7'),
  system.at('page8'),
];
const nothingDropped = [['3', '5', '9'], 2, 'present', 'present'];
const idle = { caller: '', vpns: [], blockable: true, toLock: [], folios: [], dropped: [], ok: true };
function expectAtRest(system: Rig, ...answers: boolean[]): void {
  expect([system.at('path'), system.bugs(), system.heard('p')]).toEqual(['idle', [], answers.map((ok) => ({ type: 'return', ok }))]);
  expect(system.context('path')).toMatchObject(idle);
  expect(['mutex', 'lock4', 'lock6'].map((lock) => system.context(lock).owner)).not.toContain('path');
}

const [lock, unlock, trylock] = ['mutex: lock', 'mutex: unlock', 'mutex: trylock'] as const;
const drop = (vpns: number[]): string[] => [`gpu: mmu.unmap {"vpns":${JSON.stringify(vpns)}}`, `copies: copies.take {"vpns":${JSON.stringify(vpns)}}`];
const put = (pfn: number): string => `put: call {"pfn":${pfn},"pinned":false}`;
const returned = (ok: boolean): string => `p: return {"ok":${ok}}`;

describe('under the mutex', () => {
  test('the mapping goes, and then the copy', () => {
    const system = call(rig(), [3]).settle();
    expect([system.said('path'), left(system)]).toEqual([
      [lock, ...drop([3]), unlock, put(7), returned(true)],
      [['5', '9'], 1, 'free', 'present'],
    ]);
    expectAtRest(system, true);
  });

  test('all copies of the range go', () => {
    const system = call(rig(), [3, 4, 5]).settle();
    expect([system.said('path'), left(system)]).toEqual([
      [lock, ...drop([3, 4, 5]), unlock, put(7), put(8), returned(true)],
      [['9'], 0, 'free', 'free'],
    ]);
    expectAtRest(system, true);
  });

  test('where the device stores to the page itself only the mapping goes', () => {
    const system = call(rig(), [9]).settle();
    expect([system.said('path'), left(system)]).toEqual([
      [lock, ...drop([9]), unlock, returned(true)],
      [['3', '5'], 2, 'present', 'present'],
    ]);
    expectAtRest(system, true);
  });

  test('called again, it finds nothing', () => {
    const system = call(rig(), [3]).settle();
    call(system, [3]).settle();
    expect(system.said('path').slice(6)).toEqual([lock, ...drop([3]), unlock, returned(true)]);
    expectAtRest(system, true, true);
  });

  test('it sleeps while a fault is being served, and drops what that has mapped', () => {
    const system = call(faulting(rig()), [3]).settle();
    expect([system.at('path'), system.can('path', 'step'), left(system)]).toEqual(['wait_for_mutex', false, nothingDropped]);
    system.say('other', 'mutex', 'unlock');
    expect(left(system.settle())).toEqual([['5', '9'], 1, 'free', 'present']);
    expectAtRest(system, true);
  });

  test('the copy is not free before the device has stopped to use it', () => {
    const system = call(rig(deviceCopyInvalidate, answers()), [3]).settle();
    expect([system.at('path'), system.can('path', 'step'), system.at('page7'), system.context('mutex').owner]).toEqual([
      'wait_for_device',
      false,
      'present',
      'path',
    ]);
    system.say('p', 'path', 'mmu.unmapped');
    expect(system.settle().at('page7')).toBe('free');
    expectAtRest(system, true);
  });
});

describe('called by who may not sleep', () => {
  const mayNotSleep = { blockable: false };

  test('the mutex is free: as ever', () => {
    const system = call(rig(), [3], mayNotSleep).settle();
    expect(system.said('path')).toEqual([trylock, ...drop([3]), unlock, put(7), returned(true)]);
    expectAtRest(system, true);
  });

  test('a fault has the mutex: it says no, and all stays', () => {
    const system = call(faulting(rig()), [3], mayNotSleep).settle();
    expect([system.said('path'), left(system)]).toEqual([[trylock, returned(false)], nothingDropped]);
    expectAtRest(system, false);
  });
});

describe('row W13: a driver that needs the folio lock', () => {
  const machine = deviceCopyInvalidate.provide({ guards: { needsFolioLock: () => true } });
  const look = (vpns: number[]): string => `copies: copies.read {"vpns":${JSON.stringify(vpns)}}`;

  test('locks the folios of what it has copies of, one by one, around all the rest', () => {
    const system = call(rig(machine), [3, 5, 9]).settle();
    const inside = [lock, ...drop([3, 5, 9]), unlock, put(7), put(8)];
    expect(system.said('path')).toEqual([look([3, 5, 9]), 'lock4: lock', 'lock6: lock', ...inside, 'lock4: unlock', 'lock6: unlock', returned(true)]);
    expectAtRest(system, true);
  });

  test('sleeps on a folio lock without the mutex', () => {
    const system = rig(machine);
    system.say('other', 'lock4', 'lock');
    call(system, [3]).settle();
    expect([system.at('path'), system.can('path', 'step'), left(system), system.context('mutex').owner]).toEqual([
      'wait_for_folio_lock',
      false,
      nothingDropped,
      null,
    ]);
    system.say('other', 'lock4', 'unlock');
    expect(system.settle().said('path').slice(2)).toEqual([lock, ...drop([3]), unlock, put(7), 'lock4: unlock', returned(true)]);
    expectAtRest(system, true);
  });

  test('needs none for what it has no copy of', () => {
    const system = call(rig(machine), [9]).settle();
    expect(system.said('path')).toEqual([look([9]), lock, ...drop([9]), unlock, returned(true)]);
    expectAtRest(system, true);
  });

  test.each([
    ['lock6', ['lock4: trylock', 'lock6: trylock', 'lock4: unlock']],
    ['mutex', ['lock4: trylock', 'lock6: trylock', trylock, 'lock4: unlock', 'lock6: unlock']],
  ])('may not sleep, and another has %s: it says no, and keeps no lock', (busy, course) => {
    const system = rig(machine);
    system.say('other', busy, 'lock');
    call(system, [3, 5], { blockable: false }).settle();
    expect([system.said('path'), left(system)]).toEqual([[look([3, 5]), ...course, returned(false)], nothingDropped]);
    expectAtRest(system, false);
  });

  test('two copies of one page need one lock', () => {
    const system = rig(machine);
    system.say('p', 'copies', { type: 'copies.add', vpn: 10, pfn: 4, copy: 8 });
    call(system, [3, 10]).settle();
    expect(system.said('path').filter((text) => text.startsWith('lock'))).toEqual(['lock4: lock', 'lock4: unlock']);
  });
});

test('every transition was taken', () => {
  expect(untaken(deviceCopyInvalidate)).toEqual([]);
});
