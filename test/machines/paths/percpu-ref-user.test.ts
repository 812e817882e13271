import { devPagemap, percpuRefUser, rcu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  ok?: boolean;
  hashed?: boolean;
  logic?: typeof percpuRefUser;
}
const rig = ({ ok = true, hashed = false, logic = percpuRefUser }: Setup = {}): Rig =>
  new Rig({
    hash: actor(devPagemap, { input: { pages: [] } }),
    rcu: actor(rcu),
    tryget: returns({ ok }),
    put: returns(),
    user: actor(logic, { input: { tryget: 'tryget', put: 'put', rcu: 'rcu', ...(hashed ? { hash: 'hash' } : {}) } }),
    p: probe(),
  });

test('it takes a reference, uses what it protects, and puts it', () => {
  const system = rig();
  expect(system.at('user')).toBe('using');
  expect(system.settle().said('user')).toEqual(['tryget: call', 'put: call']);
  expect(system.at('user')).toBe('done');
});

test('refused, it uses nothing', () => {
  const system = rig({ ok: false });
  expect([system.at('user'), system.said('user')]).toEqual(['done', ['tryget: call']]);
});

describe('an object that has to be found first', () => {
  test('is looked up and referenced in one read section', () => {
    const system = rig({ hashed: true }).settle();
    expect(system.said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'tryget: call', 'rcu: rcu.read_unlock', 'put: call']);
    expect([system.at('user'), system.context('rcu').readers]).toEqual(['done', {}]);
  });

  test('is not used when it is refused', () => {
    const system = rig({ hashed: true, ok: false }).settle();
    expect(system.said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'tryget: call', 'rcu: rcu.read_unlock']);
    expect([system.at('user'), system.context('user').got]).toEqual(['done', false]);
  });

  test('is not referenced when it is not found', () => {
    const system = rig({ hashed: true });
    system.say('p', 'hash', 'xa_erase');
    expect(system.settle().said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'rcu: rcu.read_unlock']);
    expect(system.at('user')).toBe('done');
  });
});

test('C11: an error path may forget the put', () => {
  const system = rig({ logic: percpuRefUser.provide({ guards: { putsReference: () => false } }) }).settle();
  expect([system.at('user'), system.said('user')]).toEqual(['done', ['tryget: call']]);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefUser)).toEqual([]);
});
