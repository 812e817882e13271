import { lufBatch } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Debts = { cpu: string; ugen: number }[];

const rig = (input: { ugen?: number; debts?: Debts } = {}, machine = lufBatch): Rig =>
  new Rig({ luf_batch: actor(machine, { input }), p: probe(), q: probe() });
const say = (system: Rig, message: Message): Message[] => system.say('p', 'luf_batch', message);
const record = (system: Rig, ...cpus: string[]): Message[] => say(system, { type: 'luf_batch.record', cpus });
const owed = (system: Rig, upTo: number | null = null): Message[] => say(system, { type: 'luf_batch.owed', upTo });
const pay = (system: Rig, ugen: number, ...cpus: string[]): Message[] => say(system, { type: 'luf_batch.paid', cpus, ugen });
const debts = (system: Rig): Debts => system.context('luf_batch').debts;
const owes = (ugen: number, ...cpus: string[]): Message[] => [{ type: 'owed', cpus, ugen }];

test('at first nothing is owed', () => {
  const system = rig();
  expect(system.context('luf_batch')).toEqual({ ugen: 0, debts: [] });
  expect(owed(system)).toEqual(owes(0));
  expect(say(system, { type: 'luf_batch.ugen' })).toEqual([{ type: 'ugen', ugen: 0 }]);
});

test('it may begin with debts', () => {
  const system = rig({ ugen: 3, debts: [{ cpu: 'cpu1', ugen: 2 }] });
  expect([owed(system), owed(system, 1)]).toEqual([owes(3, 'cpu1'), owes(3)]);
});

describe('R4d: a record', () => {
  test('is a generation of its own: each CPU owes it from there', () => {
    const system = rig();
    expect([record(system, 'cpu0', 'cpu1'), record(system, 'cpu1')]).toEqual([[], []]);
    expect(system.context('luf_batch')).toEqual({
      ugen: 2,
      debts: [
        { cpu: 'cpu0', ugen: 1 },
        { cpu: 'cpu1', ugen: 1 },
        { cpu: 'cpu1', ugen: 2 },
      ],
    });
  });

  test('leaves the same table whatever the order of its CPUs', () => {
    const [one, other] = [rig(), rig()];
    record(one, 'cpu0', 'cpu1');
    record(other, 'cpu1', 'cpu0');
    expect(other.context('luf_batch')).toEqual(one.context('luf_batch'));
  });

  test('for nobody is a generation that nobody owes', () => {
    const system = rig();
    record(system);
    expect([say(system, { type: 'luf_batch.ugen' }), owed(system)]).toEqual([[{ type: 'ugen', ugen: 1 }], owes(1)]);
  });
});

test('the key of a page that is freed is the generation of the last record, paid or not', () => {
  const system = rig();
  record(system, 'cpu0');
  record(system, 'cpu0');
  expect(say(system, { type: 'luf_batch.ugen' })).toEqual([{ type: 'ugen', ugen: 2 }]);
  pay(system, 2, 'cpu0');
  expect(say(system, { type: 'luf_batch.ugen' })).toEqual([{ type: 'ugen', ugen: 2 }]);
});

test('what is owed is asked up to a generation, or in all; each CPU is named once, with the generation of now', () => {
  const system = rig();
  record(system, 'cpu2');
  record(system, 'cpu0');
  record(system, 'cpu0', 'cpu1');
  expect([0, 1, 2, 3, null].map((upTo) => owed(system, upTo))).toEqual([
    owes(3),
    owes(3, 'cpu2'),
    owes(3, 'cpu0', 'cpu2'),
    owes(3, 'cpu0', 'cpu1', 'cpu2'),
    owes(3, 'cpu0', 'cpu1', 'cpu2'),
  ]);
});

test('who asks gets the answer, and nobody else', () => {
  const system = rig();
  record(system, 'cpu0');
  owed(system);
  expect([system.said('luf_batch'), system.heard('q')]).toEqual([['p: owed {"cpus":["cpu0"],"ugen":1}'], []]);
});

describe('ugen_done: a payment', () => {
  test('is for the CPUs that were flushed only', () => {
    const system = rig();
    record(system, 'cpu0', 'cpu1');
    expect(pay(system, 1, 'cpu1')).toEqual([]);
    expect([debts(system), owed(system)]).toEqual([[{ cpu: 'cpu0', ugen: 1 }], owes(1, 'cpu0')]);
  });

  test('is for that generation and all before', () => {
    const system = rig();
    for (const cpu of ['cpu0', 'cpu1', 'cpu0']) record(system, cpu);
    pay(system, 2, 'cpu0', 'cpu1');
    expect([debts(system), system.context('luf_batch').ugen]).toEqual([[{ cpu: 'cpu0', ugen: 3 }], 3]);
  });

  test('of what nobody owes changes nothing', () => {
    const system = rig();
    record(system, 'cpu0');
    pay(system, 1, 'cpu1');
    pay(system, 0, 'cpu0');
    expect(debts(system)).toEqual([{ cpu: 'cpu0', ugen: 1 }]);
  });
});

/** A flush begins with one debt; while it is under way CPU 1 owes one more. */
function recordedMeanwhile(machine = lufBatch): Rig {
  const system = rig({}, machine);
  record(system, 'cpu1');
  const begun = owed(system)[0] as Message & { cpus: string[]; ugen: number };
  record(system, 'cpu1', 'cpu2');
  pay(system, begun.ugen, ...begun.cpus);
  return system;
}

test('row L13: what was recorded while the flush was on its way is owed still', () => {
  const system = recordedMeanwhile();
  expect(debts(system)).toEqual([
    { cpu: 'cpu1', ugen: 2 },
    { cpu: 'cpu2', ugen: 2 },
  ]);
  expect([owed(system, 1), owed(system, 2)]).toEqual([owes(2), owes(2, 'cpu1', 'cpu2')]);
});

test('row L13: paid up to "now" it is lost for the CPUs of the flush', () => {
  const system = recordedMeanwhile(lufBatch.provide({ guards: { paysUpToStart: () => false } }));
  expect([debts(system), owed(system)]).toEqual([[{ cpu: 'cpu2', ugen: 2 }], owes(2, 'cpu2')]);
});

test('every transition was taken', () => {
  expect(untaken(lufBatch)).toEqual([]);
});
