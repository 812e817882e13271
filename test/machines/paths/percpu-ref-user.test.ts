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
    user: actor(logic, { input: { tryget: 'tryget', put: 'put', rcu: 'rcu', ...(hashed ? { hash: 'hash' } : {}) }, environment: ['again'] }),
    p: probe(),
  });

test('it takes a reference, uses what it protects, and puts it', () => {
  const system = rig();
  expect(system.at('user')).toBe('using');
  expect(system.stepTo('user', 'done').said('user')).toEqual(['tryget: call', 'put: call']);
  expect(system.at('user')).toBe('done');
});

test('refused, it uses nothing', () => {
  const system = rig({ ok: false });
  expect([system.at('user'), system.said('user')]).toEqual(['done', ['tryget: call']]);
});

describe('an object that has to be found first', () => {
  test('is looked up and referenced in one read section', () => {
    const system = rig({ hashed: true }).stepTo('user', 'done');
    expect(system.said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'tryget: call', 'rcu: rcu.read_unlock', 'put: call']);
    expect([system.at('user'), system.context('rcu').readers]).toEqual(['done', {}]);
  });

  test('is not used when it is refused', () => {
    const system = rig({ hashed: true, ok: false }).stepTo('user', 'done');
    expect(system.said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'tryget: call', 'rcu: rcu.read_unlock']);
    expect([system.at('user'), system.context('user').got]).toEqual(['done', false]);
  });

  test('is not referenced when it is not found', () => {
    const system = rig({ hashed: true });
    system.say('p', 'hash', 'xa_erase');
    expect(system.stepTo('user', 'done').said('user')).toEqual(['rcu: rcu.read_lock', 'hash: xa_load', 'rcu: rcu.read_unlock']);
    expect(system.at('user')).toBe('done');
  });
});

describe('once more', () => {
  test('it takes a reference anew, and puts it', () => {
    const system = rig().stepTo('user', 'done');
    expect(system.take('user', 'again').at('user')).toBe('using');
    expect(system.stepTo('user', 'done').said('user')).toEqual(['tryget: call', 'put: call', 'tryget: call', 'put: call']);
  });

  test('not while it uses what the reference protects', () => {
    expect(rig().can('user', 'again')).toBe(false);
  });

  test('refused then, it does not take the reference of before for one of now', () => {
    const system = new Rig({
      ...{ hash: actor(devPagemap, { input: { pages: [] } }), rcu: actor(rcu), tryget: returns({ ok: true }, { ok: false }), put: returns() },
      user: actor(percpuRefUser, { input: { tryget: 'tryget', put: 'put', rcu: 'rcu', hash: 'hash' }, environment: ['again'] }),
    });
    system.stepTo('user', 'done');
    expect([system.context('user').got, system.take('user', 'again').context('user').got]).toEqual([true, false]);
    const round = ['rcu: rcu.read_lock', 'hash: xa_load', 'tryget: call', 'rcu: rcu.read_unlock'];
    expect(system.stepTo('user', 'done').said('user')).toEqual([...round, 'put: call', ...round]);
    expect(system.context('rcu').readers).toEqual({});
  });
});

test('C11: an error path may forget the put', () => {
  const system = rig({ logic: percpuRefUser.provide({ guards: { putsReference: () => false } }) }).stepTo('user', 'done');
  expect([system.at('user'), system.said('user')]).toEqual(['done', ['tryget: call']]);
});

test('every transition was taken', () => {
  expect(untaken(percpuRefUser)).toEqual([]);
});
