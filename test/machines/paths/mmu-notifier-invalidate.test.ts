import { mmuNotifier, mmuNotifierInvalidate } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const ok = { ok: true };
const no = { ok: false };

interface Setup {
  machine?: typeof mmuNotifierInvalidate;
  /** Subscriptions, with the page that they watch and the driver. */
  subs?: [sub: string, vpn: number, driver: string][];
  gpu?: ActorSpec;
  nic?: ActorSpec;
  /** First in the list: no end callback, like nouveau's. */
  svmm?: ActorSpec;
  /** Second: with an end callback, like KVM's. */
  kvm?: ActorSpec;
  listeners?: boolean;
}

function rig({ machine = mmuNotifierInvalidate, subs = [], gpu, nic, svmm, kvm, listeners = true }: Setup = {}): Rig {
  const system = new Rig({
    mn: actor(mmuNotifier),
    gpu: gpu ?? returns(ok),
    nic: nic ?? returns(ok),
    svmm: svmm ?? returns(ok),
    kvm: kvm ?? returns(ok),
    inv: actor(machine, {
      input: {
        notifier: 'mn',
        intervals: { gpu: 'gpu', nic: 'nic' },
        listeners: listeners
          ? [
              { start: 'svmm', end: null },
              { start: 'kvm', end: 'kvm' },
            ]
          : [],
      },
    }),
    p: probe(),
    q: probe(),
  });
  for (const [sub, vpn, driver] of subs) system.say('q', 'mn', { type: 'mn.insert', sub, driver, vpns: [vpn] });
  return system;
}
const range = { event: 'CLEAR', owner: null, vpns: [3] };
const call = (system: Rig, phase: 'start' | 'end', more: object = {}): Rig => {
  system.say('p', 'inv', { type: 'call', phase, ...range, ...more });
  return system;
};
const start = (system: Rig, more: object = {}): Rig => call(system, 'start', more).settle();
const end = (system: Rig): Rig => call(system, 'end').settle();
/** Whom it spoke to, in order. */
const said = (system: Rig): string[] => system.said('inv').map((text) => text.replace(/ \{.*"phase":"(\w+)".*/, ' $1').replace(/ \{.*/, ''));
const returned = (system: Rig): unknown[] => system.heard('p').map(({ ok }) => ok);
const active = (system: Rig): unknown => system.context('mn').active;
const notSleeping = { blockable: false };

function expectAtRest(system: Rig): void {
  expect([system.at('inv'), system.bugs(), system.context('mn').spinning]).toEqual(['idle', [], []]);
  expect(system.context('inv')).toMatchObject({ caller: '', range: { vpns: [], owner: null }, subs: [], listener: 0, failed: false, entered: false });
}

test('start: the tree, the callback of each subscription that overlaps, then the list', () => {
  const system = start(
    rig({
      subs: [
        ['b', 3, 'nic'],
        ['c', 9, 'nic'],
        ['a', 3, 'gpu'],
      ],
    }),
  );
  expect(said(system)).toEqual(['mn: mn.invalidate_start', 'nic: call start', 'gpu: call start', 'svmm: call start', 'kvm: call start', 'p: return']);
  expect([returned(system), active(system)]).toEqual([[true], 1]);
  const common = { type: 'call', phase: 'start', ...range, blockable: true };
  expect([system.heard('nic'), system.heard('gpu'), system.heard('kvm')]).toEqual([
    [{ ...common, sub: 'b' }],
    [{ ...common, sub: 'a' }],
    [{ ...common, sub: null }],
  ]);
  expectAtRest(system);
});

test('end: the tree, then the end callbacks of the list; one without an end is passed over', () => {
  const system = start(rig({ subs: [['a', 3, 'gpu']] }));
  end(system);
  expect(said(system).slice(4)).toEqual(['p: return', 'mn: mn.invalidate_end', 'mn: mn.inv_end_unlock', 'kvm: call end', 'p: return']);
  expect([returned(system), system.context('mn').odd, active(system)]).toEqual([[true, true], false, 0]);
  expectAtRest(system);
});

test('while another invalidation is under way the end unlocks nothing', () => {
  const system = start(rig({ subs: [['a', 3, 'gpu']] }));
  system.say('q', 'mn', { type: 'mn.invalidate_start', vpns: [9] });
  expect(said(end(system)).slice(5)).toEqual(['mn: mn.invalidate_end', 'kvm: call end', 'p: return']);
  expect([system.context('mn').odd, active(system)]).toEqual([true, 1]);
});

test('the lock of the subscriptions is dropped in a step of its own', () => {
  const system = call(start(rig({ subs: [['a', 3, 'gpu']] })), 'end');
  system.take('inv', 'step');
  expect([system.at('inv'), system.at('mn')]).toEqual(['spin_unlock', 'mn_itree_inv_end']);
  system.take('inv', 'step');
  expect([system.at('inv'), system.at('mn')]).toEqual(['idle', 'unlocked']);
});

test('nobody listens: one look at the tree', () => {
  const system = start(rig({ listeners: false }));
  end(system);
  expect(said(system)).toEqual(['mn: mn.invalidate_start', 'p: return', 'mn: mn.invalidate_end', 'p: return']);
  expectAtRest(system);
});

test('it waits for each callback before it goes on', () => {
  const system = start(rig({ subs: [['a', 3, 'gpu']], gpu: answers(), svmm: answers() }));
  expect([system.at('inv'), system.can('inv', 'step'), system.heard('svmm')]).toEqual(['invalidate', false, []]);
  system.say('q', 'inv', { type: 'return', ok: true });
  expect([system.at('inv'), system.can('inv', 'step'), system.heard('kvm')]).toEqual(['invalidate_range_start', false, []]);
  system.say('q', 'inv', { type: 'return', ok: true });
  expect(returned(system)).toEqual([true]);
});

test('row D9: the list before the tree', () => {
  const system = start(rig({ machine: mmuNotifierInvalidate.provide({ guards: { intervalsFirst: () => false } }), subs: [['a', 3, 'gpu']] }));
  expect(said(system)).toEqual(['svmm: call start', 'kvm: call start', 'mn: mn.invalidate_start', 'gpu: call start', 'p: return']);
  expectAtRest(system);
});

describe('a callback that may not sleep, and would have to', () => {
  test('is told so', () => {
    expect(start(rig({ subs: [['a', 3, 'gpu']] }), notSleeping).heard('gpu')[0]).toMatchObject({ blockable: false });
  });

  test('of a subscription: the others are not called, and the core ends the invalidation itself', () => {
    const system = rig({
      subs: [
        ['a', 3, 'gpu'],
        ['b', 3, 'nic'],
      ],
      gpu: returns(no),
    });
    expect(said(start(system, notSleeping))).toEqual([
      'mn: mn.invalidate_start',
      'gpu: call start',
      'mn: mn.invalidate_end',
      'mn: mn.inv_end_unlock',
      'p: return',
    ]);
    expect([returned(system), active(system), system.context('mn').odd]).toEqual([[false], 0, false]);
    expectAtRest(system);
  });

  test('of the list: the others are called all the same, those that began get their end, then the tree', () => {
    const system = start(rig({ subs: [['a', 3, 'gpu']], svmm: returns(no) }), notSleeping);
    expect(said(system)).toEqual([
      'mn: mn.invalidate_start',
      'gpu: call start',
      'svmm: call start',
      'kvm: call start',
      'kvm: call end',
      'mn: mn.invalidate_end',
      'mn: mn.inv_end_unlock',
      'p: return',
    ]);
    expect([returned(system), active(system)]).toEqual([[false], 0]);
    expectAtRest(system);
  });

  test('row N5: those that began do not get their end', () => {
    const system = start(rig({ machine: mmuNotifierInvalidate.provide({ guards: { endsListeners: () => false } }), svmm: returns(no) }), notSleeping);
    expect([system.heard('kvm').map(({ phase }) => phase), returned(system), active(system)]).toEqual([['start'], [false], 0]);
    expectAtRest(system);
  });

  test('6.12 leaves the tree as it is: the invalidation never ends', () => {
    const system = start(
      rig({ machine: mmuNotifierInvalidate.provide({ guards: { endsIntervals: () => false } }), subs: [['a', 3, 'gpu']], svmm: returns(no) }),
      notSleeping,
    );
    expect([said(system).slice(-2), returned(system), active(system), system.context('mn').odd]).toEqual([['kvm: call end', 'p: return'], [false], 1, true]);
    expectAtRest(system);
  });

  test('row D9: of the list, before the tree was asked: there is nothing to end', () => {
    const machine = mmuNotifierInvalidate.provide({ guards: { intervalsFirst: () => false } });
    const system = start(rig({ machine, svmm: returns(no) }), notSleeping);
    expect([said(system), active(system)]).toEqual([['svmm: call start', 'kvm: call start', 'kvm: call end', 'p: return'], 0]);
    expectAtRest(system);
  });

  test('succeeds the next time', () => {
    const system = start(rig({ subs: [['a', 3, 'gpu']], gpu: returns(no, ok), svmm: returns(no, ok) }), notSleeping);
    start(system, notSleeping);
    start(system, notSleeping);
    expect([returned(system), active(system)]).toEqual([[false, false, true], 1]);
    expectAtRest(system);
  });
});

test.each(['gpu', 'svmm'])('a callback (%s) that may sleep must not fail', (who) => {
  const system = start(rig({ subs: [['a', 3, 'gpu']], [who]: returns(no) }));
  expect(system.bugs()).toEqual(['WARN_ON: a callback fails although it may sleep']);
});

test('every transition was taken', () => {
  expect(untaken(mmuNotifierInvalidate)).toEqual([]);
});
