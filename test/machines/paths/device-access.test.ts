import { deviceAccess } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const done = { type: 'mmu.done', vpn: 9, value: null };
const fault = { type: 'mmu.fault', vpn: 9 };
const busy = { type: 'mmu.busy' };
const rig = (accesses: { type: string }[], faults: boolean[] = []): Rig =>
  new Rig({
    gpu: answers({ 'mmu.access': accesses }),
    fault: returns(...faults.map((ok) => ({ ok }))),
    atomicFault: returns(...faults.map((ok) => ({ ok }))),
    access: actor(deviceAccess, { input: { mmu: 'gpu', fault: 'fault', atomicFault: 'atomicFault' } }),
    p: probe(),
  });
const idle = { caller: '', vpn: -1, kind: 'read', ok: false };
const call = (system: Rig, kind: string): string[] => {
  const before = system.said('access').length;
  expect([system.at('access'), system.context('access')]).toEqual(['idle', expect.objectContaining(idle)]);
  system.say('p', 'access', { type: 'call', vpn: 9, kind });
  system.settle('access');
  expect([system.at('access'), system.context('access')]).toEqual(['idle', expect.objectContaining(idle)]);
  return system.said('access').slice(before);
};
const access = (kind: string): string => `gpu: mmu.access {"vpn":9,"kind":"${kind}"}`;
const plainFault = (write: boolean): string => `fault: call {"vpn":9,"write":${write}}`;
const atomicFault = 'atomicFault: call {"vpn":9}';
const served = 'p: return {"ok":true}';
const cancelled = 'p: return {"ok":false}';

describe.each(['read', 'write'])('%s', (kind) => {
  test('one step where the device may, twice in a row', () => {
    const system = rig([done]);
    expect(call(system, kind)).toEqual([access(kind), served]);
    expect(call(system, kind)).toEqual([access(kind), served]);
  });

  test('replayed after each fault that the driver has served', () => {
    const write = kind === 'write';
    expect(call(rig([fault, fault, done], [true]), kind)).toEqual([access(kind), plainFault(write), access(kind), plainFault(write), access(kind), served]);
  });

  test('given up when the driver cancels the fault', () => {
    const system = rig([fault, done], [false]);
    expect(call(system, kind)).toEqual([access(kind), plainFault(kind === 'write'), cancelled]);
    expect(call(system, kind)).toEqual([access(kind), served]);
  });

  test('tried again while an atomic of the device is in flight there', () => {
    const system = rig([busy, done]);
    system.say('p', 'access', { type: 'call', vpn: 9, kind });
    system.take('access', 'step');
    expect([system.at('access'), system.heard('p')]).toEqual(['access', []]);
    system.take('access', 'step');
    expect([system.at('access'), system.heard('p')]).toEqual(['idle', [{ type: 'return', ok: true }]]);
  });
});

describe('an atomic', () => {
  test('is three steps', () => {
    const system = rig([done]);
    system.say('p', 'access', { type: 'call', vpn: 9, kind: 'atomic' });
    const places = [system.at('access')];
    for (let steps = 0; steps < 3; steps++) places.push(system.take('access', 'step').at('access'));
    expect(places).toEqual(['load', 'compute', 'store', 'idle']);
    expect(system.said('access')).toEqual([access('load'), access('store'), served]);
  });

  test('begins again after a fault, for which the driver has a handler of its own', () => {
    const system = rig([fault, fault, done], [true]);
    expect(call(system, 'atomic')).toEqual([access('load'), atomicFault, access('load'), atomicFault, access('load'), access('store'), served]);
    expect(call(system, 'atomic')).toEqual([access('load'), access('store'), served]);
  });

  test('is given up when the driver cancels the fault', () => {
    expect(call(rig([fault], [false]), 'atomic')).toEqual([access('load'), atomicFault, cancelled]);
  });

  test('waits for another of the device', () => {
    const system = rig([busy, done]);
    system.say('p', 'access', { type: 'call', vpn: 9, kind: 'atomic' });
    expect(system.take('access', 'step').at('access')).toBe('load');
    expect(system.take('access', 'step').at('access')).toBe('compute');
  });
});

test('every transition was taken', () => {
  expect(untaken(deviceAccess)).toEqual([]);
});
