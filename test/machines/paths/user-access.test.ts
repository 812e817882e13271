import { userAccess } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (accesses: string[], faults: boolean[]): Rig =>
  new Rig({
    cpu: answers({ access: accesses.map((type): Message => ({ type, vpn: 3 })) }),
    fault: returns(...faults.map((ok) => ({ ok }))),
    access: actor(userAccess, { input: { cpu: 'cpu', fault: 'fault' } }),
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

test.each([true, false])('an access that needs no fault (store: %s)', (write) => {
  const system = rig(['access.done'], []);
  expect(call(system, write)).toEqual([`cpu: access {"vpn":3,"write":${write}}`, 'p: return']);
});

test('after a fault the instruction runs again, as often as it takes', () => {
  const system = rig(['access.fault', 'access.fault', 'access.done'], [true]);
  expect(call(system, true)).toEqual([store, 'fault: call {"vpn":3}', store, 'fault: call {"vpn":3}', store, 'p: return']);
});

test('SIGBUS ends it', () => {
  expect(call(rig(['access.fault'], [false]), true)).toEqual([store, 'fault: call {"vpn":3}', 'p: return']);
});

test('every transition was taken', () => {
  expect(untaken(userAccess)).toEqual([]);
});
