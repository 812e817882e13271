import { daxDevice, folio, rcu, unbind, unbindDevdax, unbindWithoutUnmap } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (logic: typeof unbind = unbind, refcount = 0): Rig =>
  new Rig({
    dax: actor(daxDevice),
    page4: actor(folio, { input: { pfn: 4, refcount, idle: 0 } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 0, idle: 0 } }),
    zap: returns(),
    memunmap: returns(),
    srcu: actor(rcu, { choices: ['grace_period'] }),
    unbind: actor(logic, { input: { dax: 'dax', srcu: 'srcu', zap: 'zap', memunmap: 'memunmap', pfns: [4, 5], vpns: [0, 1] } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'unbind', 'call');
  return system;
};
const run = (logic: typeof unbind): string[] => call(rig(logic)).settle().said('unbind');

const kill = 'dax: dax.kill';
const srcu = 'srcu: synchronize_rcu';
const zapAll = 'zap: call {"vpns":[0,1]}';
const idle = ['page4: folio.wait_idle', 'page5: folio.wait_idle'];
const end = ['memunmap: call', 'p: return'];

test('A8: no new faults, SRCU, unmap, every page idle, then the memory goes', () => {
  expect(run(unbind)).toEqual([kill, srcu, zapAll, ...idle, ...end]);
});

test('it waits for faults that are under way, and for each page', () => {
  const system = rig(unbind, 1);
  system.say('p', 'srcu', 'rcu.read_lock');
  call(system).settle();
  expect([system.at('unbind'), system.can('unbind', 'step'), system.heard('zap')]).toEqual(['wait_srcu_gp', false, []]);
  system.say('p', 'srcu', 'rcu.read_unlock');
  system.settle();
  expect([system.at('unbind'), system.can('unbind', 'step'), system.heard('memunmap')]).toEqual(['wait_var_event', false, []]);
  system.say('p', 'page4', 'folio.put');
  expect(system.settle().said('unbind').slice(-2)).toEqual(end);
});

test('it can be called again', () => {
  const system = call(call(rig()).settle()).settle();
  expect(system.heard('p')).toEqual([{ type: 'return' }, { type: 'return' }]);
  expect(system.context('unbind')).toMatchObject({ caller: '', busy: [] });
});

test.each<[string, typeof unbind, string[]]>([
  ['devdax leaves pins to the pagemap', unbindDevdax, [kill, srcu, zapAll, ...end]],
  ['nd_pmem unmaps nothing and looks for nothing', unbindWithoutUnmap, [kill, srcu, ...end]],
  ['without unmapping pages can still be waited for', unbind.provide({ guards: { unmapsMappings: () => false } }), [kill, srcu, ...idle, ...end]],
  ['A8c: SRCU is not waited for', unbind.provide({ guards: { waitsForSrcu: () => false } }), [kill, zapAll, ...idle, ...end]],
  ['A8d: pages are looked at before they are unmapped', unbind.provide({ guards: { looksBeforeUnmap: () => true } }), [kill, srcu, ...idle, zapAll, ...end]],
])('%s', (_, logic, expected) => {
  expect(run(logic)).toEqual(expected);
});

test('every transition was taken', () => {
  expect(untaken(unbind)).toEqual([]);
});
