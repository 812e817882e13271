import { type Area, addressSpace, rwsem, userFault } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

/** The handler returns when the test says so. */
const rig = (area?: Area): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [3], cpumask: [], ...(area ? { areas: { 3: area } } : {}) } }),
    mmap_lock: actor(rwsem),
    handler: answers(),
    fault: actor(userFault, { input: { mm: 'mm', mmapLock: 'mmap_lock', handler: 'handler' } }),
    p: probe(),
  });
const call = (system: Rig, vpn = 3, write?: boolean): Rig => {
  system.say('p', 'fault', { type: 'call', vpn, ...(write === undefined ? {} : { write }) });
  return system;
};
const returned = (system: Rig): unknown => system.heard('p').flatMap(({ type, ok }) => (type === 'return' ? [ok] : []));

test.each([true, false])('mmap_lock is held for reading while the handler runs; what that returns is returned (%s)', (ok) => {
  const system = call(rig()).settle();
  expect([system.at('fault'), system.can('fault', 'step'), system.context('mmap_lock').readers]).toEqual(['handle_mm_fault', false, ['fault']]);
  system.say('p', 'fault', { type: 'return', ok });
  system.settle();
  expect(system.said('fault')).toEqual([
    'mmap_lock: down_read',
    'mm: vma.find {"vpn":3}',
    'handler: call {"vpn":3}',
    'mmap_lock: up_read',
    `p: return {"ok":${ok}}`,
  ]);
  expect([system.context('mmap_lock').readers, system.context('fault')]).toMatchObject([[], { caller: '', vpn: -1, ok: false }]);
});

test('no VMA: SIGSEGV, and the handler is not called', () => {
  const system = call(rig(), 4).settle();
  expect([system.heard('handler'), returned(system), system.context('mmap_lock').readers]).toEqual([[], [false], []]);
});

describe('what the VMA allows', () => {
  const area = (read: boolean, write: boolean): Area => ({ mapping: 'file', index: 0, anonymous: false, read, write });
  const load = { type: 'call', vpn: 3 };
  const store = { ...load, write: true };

  test.each<[string, Area | undefined, boolean, object]>([
    ['a load of what may be read', area(true, false), false, load],
    ['a store to what may be written', area(true, true), true, store],
    ['a load where the VMA does not say', undefined, false, load],
    ['a store where the VMA does not say', undefined, true, store],
  ])('%s goes to the handler, with what it is', (_, own, write, told) => {
    const system = call(rig(own), 3, write).settle();
    expect([system.at('fault'), system.heard('handler')]).toEqual(['handle_mm_fault', [told]]);
  });

  test.each<[string, Area, boolean]>([
    ['a store to what may only be read', area(true, false), true],
    ['a load of what nobody may access', area(false, false), false],
    ['a store to what nobody may access', area(false, false), true],
  ])('access_error: %s is a SIGSEGV', (_, own, write) => {
    const system = call(rig(own), 3, write).settle();
    expect([system.heard('handler'), returned(system), system.context('mmap_lock').readers]).toEqual([[], [false], []]);
    expect(system.context('fault')).toMatchObject({ caller: '', vpn: -1, write: false, ok: false });
  });

  test('a load after a store is a load', () => {
    const system = call(rig(area(true, true)), 3, true).settle();
    system.say('p', 'fault', { type: 'return', ok: true });
    call(system.settle(), 3).settle();
    expect(system.heard('handler').filter(({ type }) => type === 'call')).toEqual([store, load]);
  });
});

test('it runs beside others that read mmap_lock', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_read');
  expect(call(system).settle().at('fault')).toBe('handle_mm_fault');
});

test('it sleeps while somebody writes, and finds what the writer has left', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_write');
  call(system).settle();
  expect([system.at('fault'), system.can('fault', 'step'), system.said('fault')]).toEqual(['wait_for_mmap_lock', false, ['mmap_lock: down_read']]);
  system.say('p', 'mm', { type: 'vma.unlink', vpns: [3] });
  system.say('p', 'mmap_lock', 'up_write');
  expect(returned(system.settle())).toEqual([false]);
});

test('every transition was taken', () => {
  expect(untaken(userFault)).toEqual([]);
});
