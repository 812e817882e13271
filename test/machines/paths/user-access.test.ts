import { userAccess } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (accesses: string[], faults: boolean[], debug?: string): Rig =>
  new Rig({
    cpu: answers({ access: accesses.map((type): Message => ({ type, vpn: 3 })) }),
    fault: returns(...faults.map((ok) => ({ ok }))),
    debug: answers(),
    access: actor(userAccess, { input: { cpu: 'cpu', fault: 'fault', ...(debug ? { debug, task: 'thread' } : {}) } }),
    p: probe(),
  });
const call = (system: Rig, write: boolean): string[] => {
  const idle = { caller: '', vpn: -1, write: false };
  expect(system.context('access')).toMatchObject(idle);
  system.say('p', 'access', { type: 'call', vpn: 3, write });
  system.settle();
  expect(system.context('access')).toMatchObject(idle);
  return system.said('access');
};
const store = 'cpu: access {"vpn":3,"write":true}';
const fault = 'fault: call {"vpn":3,"write":true}';

test.each([true, false])('an access that needs no fault (store: %s)', (write) => {
  const system = rig(['access.done'], []);
  expect(call(system, write)).toEqual([`cpu: access {"vpn":3,"write":${write}}`, 'p: return']);
});

test('after a fault the instruction runs again, as often as it takes', () => {
  const system = rig(['access.fault', 'access.fault', 'access.done'], [true]);
  expect(call(system, true)).toEqual([store, fault, store, fault, store, 'p: return']);
});

test('SIGBUS ends it', () => {
  expect(call(rig(['access.fault'], [false]), true)).toEqual([store, fault, 'p: return']);
});

test('a load says nothing of a store to the fault', () => {
  const load = 'cpu: access {"vpn":3,"write":false}';
  expect(call(rig(['access.fault', 'access.done'], [true]), false)).toEqual([load, 'fault: call {"vpn":3}', load, 'p: return']);
});

describe('a debug mode', () => {
  const returned = 'debug: luf.return_to_user {"task":"thread"}';

  test('is told when a fault returns to user code, before the instruction runs again', () => {
    const system = rig(['access.fault', 'access.fault', 'access.done'], [true], 'debug');
    expect(call(system, true)).toEqual([store, fault, returned, store, fault, returned, store, 'p: return']);
  });

  test('is told of a signal, too', () => {
    expect(call(rig(['access.fault'], [false], 'debug'), true)).toEqual([store, fault, returned, 'p: return']);
  });

  test('is not told of an access that needs no fault: nothing returns', () => {
    expect(call(rig(['access.done'], [], 'debug'), true)).toEqual([store, 'p: return']);
  });
});

test('every transition was taken', () => {
  expect(untaken(userAccess)).toEqual([]);
});
