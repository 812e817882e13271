import { oomReap, rwsem } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (zap: ActorSpec = returns({ ok: true }), attempts?: number): Rig =>
  new Rig({
    mmap_lock: actor(rwsem),
    zap,
    reap: actor(oomReap, { input: { mmapLock: 'mmap_lock', zap: 'zap', ...(attempts === undefined ? {} : { attempts }) } }),
    p: probe(),
    q: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'reap', { type: 'call', vpns: [2, 3] });
  return system;
};
const attempt = ['mmap_lock: down_read', 'zap: call {"vpns":[2,3],"event":"UNMAP","blockable":false}', 'mmap_lock: up_read'];
const no = returns({ ok: false });

function expectAtRest(system: Rig): void {
  expect([system.at('reap'), system.context('mmap_lock').readers, system.bugs()]).toEqual(['idle', [], []]);
  expect(system.context('reap')).toMatchObject({ caller: '', vpns: [], failed: 0, ok: false });
}

test('it zaps under mmap_lock for reading, and lets nobody sleep for it', () => {
  const system = call(rig()).settle();
  expect([system.said('reap'), system.heard('p')]).toEqual([[...attempt, 'p: return {"ok":true}'], [{ type: 'return', ok: true }]]);
  expectAtRest(system);
});

test('while it zaps, mmap_lock is held', () => {
  const system = call(rig(answers())).settle();
  expect([system.at('reap'), system.can('reap', 'step'), system.context('mmap_lock').readers]).toEqual(['oom_reap_task_mm', false, ['reap']]);
});

test('where somebody would have to sleep it sleeps itself, without mmap_lock, and tries again', () => {
  const system = call(rig(returns({ ok: false }, { ok: true }))).stepTo('reap', 'schedule_timeout_idle');
  expect([system.context('mmap_lock').readers, system.heard('p'), system.said('reap')]).toEqual([[], [], attempt]);
  system.settle();
  expect([system.said('reap').slice(3), system.heard('p')]).toEqual([[...attempt, 'p: return {"ok":true}'], [{ type: 'return', ok: true }]]);
  expectAtRest(system);
});

test('it gives up in the end: after ten attempts', () => {
  const system = call(rig(no)).settle();
  expect([system.heard('zap').length, system.heard('p')]).toEqual([10, [{ type: 'return', ok: false }]]);
  expectAtRest(system);
});

test('or after as many as it was told', () => {
  const system = call(rig(no, 2)).settle();
  expect([system.heard('zap').length, system.heard('p')]).toEqual([2, [{ type: 'return', ok: false }]]);
});

test('it waits while somebody writes', () => {
  const system = rig();
  system.say('q', 'mmap_lock', 'down_write');
  call(system).settle();
  expect([system.at('reap'), system.can('reap', 'step'), system.heard('zap')]).toEqual(['wait_for_mmap_lock', false, []]);
  system.say('q', 'mmap_lock', 'up_write');
  expect(system.settle().heard('p')).toEqual([{ type: 'return', ok: true }]);
});

test('it can be called again, and has as many attempts then', () => {
  const system = call(rig(no, 2)).settle();
  call(system).settle();
  expect([system.heard('zap').length, system.heard('p').length]).toEqual([4, 2]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(oomReap)).toEqual([]);
});
