import { devPagemap, percpuRef, percpuRefOwner, rcu, spinlock } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  hashed?: boolean;
  base?: number;
  exits?: boolean;
  logic?: typeof percpuRefOwner;
  others?: Actors;
}
/** An owner whose kill releases the reference, if there are no users. */
const rig = ({ hashed = false, base, exits, logic = percpuRefOwner, others = {} }: Setup = {}): Rig =>
  new Rig({
    lock: actor(spinlock),
    ref: answers({ 'ref.wait': [{ type: 'ref.released' }], 'ref.sub_and_test': [{ type: 'ref.count', value: 0 }] }),
    hash: actor(devPagemap, { input: { pages: [] } }),
    rcu: actor(rcu, { choices: ['grace_period'] }),
    kill: returns(),
    is_zero: returns({ zero: false }, { zero: false }, { zero: true }),
    ...others,
    owner: actor(logic, {
      input: {
        ref: 'ref',
        kill: 'kill',
        isZero: 'is_zero',
        switchLock: 'lock',
        rcu: 'rcu',
        ...(hashed ? { hash: 'hash' } : {}),
        ...(base ? { base } : {}),
        ...(exits ? { exits } : {}),
      },
    }),
    p: probe(),
  });
const run = (setup: Setup): string[] => {
  const system = rig(setup).settle();
  expect(system.at('owner')).toBe('kfree');
  expect(system.context('lock').owner).toBeNull();
  return system.said('owner');
};
const [kill, wait] = ['kill: call', 'ref: ref.wait'];
const exit = ['lock: lock', 'ref: ref.exit', 'lock: unlock'];

test('kill, wait for release, free', () => {
  expect(run({})).toEqual([kill, wait]);
});

test('with everything: unhash, wait for RCU, kill, put the base references, wait, exit under the switch lock, free', () => {
  expect(run({ hashed: true, base: 3, exits: true })).toEqual(['hash: xa_erase', 'rcu: synchronize_rcu', kill, 'ref: ref.sub_and_test {"n":3}', wait, ...exit]);
});

test('one base reference is put as well as many', () => {
  expect(run({ base: 1 })).toEqual([kill, 'ref: ref.sub_and_test {"n":1}', wait]);
});

test('nothing is freed before release', () => {
  const system = rig({ exits: true, others: { ref: actor(percpuRef, { input: { cpus: [], base: 1, atomic: true } }) } }).settle();
  expect([system.at('owner'), system.can('owner', 'step')]).toEqual(['sleeping', false]);
  system.say('p', 'ref', { type: 'ref.sub_and_test', n: 2 });
  expect(system.settle().at('owner')).toBe('kfree');
  expect((system.live.snapshot('owner') as unknown as { tags: Set<string> }).tags).toEqual(new Set(['freed', 'rest']));
});

test('it waits for lookups that are under way', () => {
  const system = rig({ hashed: true });
  system.say('p', 'rcu', 'rcu.read_lock');
  expect([system.settle().at('owner'), system.heard('kill')]).toEqual(['wait_rcu_gp', []]);
  system.say('p', 'rcu', 'rcu.read_unlock');
  expect(system.settle().at('owner')).toBe('kfree');
});

test('it spins while another has the switch lock', () => {
  const system = rig({ exits: true });
  system.say('p', 'lock', 'lock');
  system.settle();
  expect([system.at('owner'), system.heard('ref').at(-1)]).toEqual(['spin_on_switch_lock', { type: 'ref.wait' }]);
  system.say('p', 'lock', 'unlock');
  expect([system.at('owner'), system.context('lock').owner]).toEqual(['kfree', null]);
});

describe('without one of its safeguards', () => {
  const owner = percpuRefOwner.provide.bind(percpuRefOwner);

  test('C3: it may ask is_zero again and again', () => {
    expect(run({ logic: owner({ guards: { polls: () => true } }) })).toEqual([kill, 'is_zero: call', 'is_zero: call', 'is_zero: call']);
  });

  test('C5: it may kill twice', () => {
    expect(run({ logic: owner({ guards: { killsAgain: ({ context }) => context.kills < 2 } }) })).toEqual([kill, kill, wait]);
  });

  test('C6: it may exit without waiting', () => {
    expect(run({ logic: owner({ guards: { waitsForRelease: () => false } }) })).toEqual([kill, ...exit]);
  });

  test('C7: it may unhash last', () => {
    const logic = owner({ guards: { unhashesFirst: () => false, unhashesLast: () => true } });
    expect(run({ logic, hashed: true, exits: true })).toEqual([kill, wait, ...exit, 'hash: xa_erase']);
  });

  test('C10: it may be inside a read section', () => {
    const system = rig({ logic: owner({ guards: { isInsideRcu: () => true } }) }).settle();
    expect([system.said('owner'), system.context('rcu').readers]).toEqual([['rcu: rcu.read_lock', kill, wait], { owner: 1 }]);
  });
});

test('every transition was taken', () => {
  expect(untaken(percpuRefOwner)).toEqual([]);
});
