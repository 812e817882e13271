import { interconnect } from '../../actors/interconnect.js';
import { actor, ScheduleError } from '../../src/index.js';
import { answers, probe } from '../machines/probe.js';
import { Rig } from '../machines/rig.js';

const cpus = ['cpu0', 'cpu1', 'cpu2'];
const rig = (): Rig =>
  new Rig({ ...Object.fromEntries(cpus.map((cpu) => [cpu, probe()])), net: actor(interconnect, { input: { cpus } }), p: probe(), q: probe() });
const flush = { mm: 'mm', vpns: [4], freedTables: false, gen: 2 };
const request = { function: 'flush_tlb_func', ...flush };
const tableSync = { function: 'tlb_remove_table_smp_sync' };
const done = [{ type: 'ipi.done' }];
const atRest = { cpus, inFlight: [], unacknowledged: {}, waiting: [] };
const deliver = (system: Rig, to: string): Rig => system.take('net', { type: 'deliver', to });
const acknowledge = (system: Rig, cpu: string, initiator: string): unknown => system.say(cpu, 'net', { type: 'ipi.ack', initiator });
const wait = (system: Rig, initiator: string): unknown => system.say(initiator, 'net', 'ipi.wait');

test('an IPI is in flight until it is delivered, target by target', () => {
  const system = rig();
  expect(system.say('p', 'net', { type: 'ipi.send', to: ['cpu1', 'cpu2'], request })).toEqual([]);
  expect(system.heard('cpu1')).toEqual([]);
  deliver(system, 'cpu2');
  expect(system.heard('cpu2')).toEqual([{ type: 'ipi', request, initiator: 'p' }]);
  expect(system.heard('cpu1')).toEqual([]);
  deliver(system, 'cpu1');
  expect(system.heard('cpu1')).toEqual([{ type: 'ipi', request, initiator: 'p' }]);
});

test('what is not in flight cannot be delivered', () => {
  const system = rig();
  expect(() => deliver(system, 'cpu1')).toThrow(ScheduleError);
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu1'], request });
  expect(() => deliver(system, 'cpu0')).toThrow(ScheduleError);
  deliver(system, 'cpu1');
  expect(() => deliver(system, 'cpu1')).toThrow(ScheduleError);
});

test('IPIs to one CPU arrive in the order in which they were sent', () => {
  const system = rig();
  system.say('q', 'net', { type: 'ipi.send', to: ['cpu1'], request: tableSync });
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu1'], request });
  deliver(deliver(system, 'cpu1'), 'cpu1');
  expect(system.heard('cpu1')).toEqual([
    { type: 'ipi', request: tableSync, initiator: 'q' },
    { type: 'ipi', request, initiator: 'p' },
  ]);
});

describe('between targets the order of sending says nothing', () => {
  const send = (system: Rig, from: string, to: string[], what: object = request): Rig => {
    system.say(from, 'net', { type: 'ipi.send', to, request: what });
    return system;
  };

  test('whoever is first, and in whatever order the targets are named', () => {
    const one = send(send(rig(), 'p', ['cpu2', 'cpu0']), 'q', ['cpu1']);
    const other = send(send(rig(), 'q', ['cpu1']), 'p', ['cpu0', 'cpu2']);
    expect(one.context('net')).toEqual(other.context('net'));
    expect(one.context('net').inFlight).toEqual([
      { to: 'cpu0', request, initiator: 'p' },
      { to: 'cpu1', request, initiator: 'q' },
      { to: 'cpu2', request, initiator: 'p' },
    ]);
  });

  test('to one target it does', () => {
    const system = send(send(send(rig(), 'q', ['cpu1'], tableSync), 'p', ['cpu0', 'cpu1']), 'q', ['cpu1']);
    const to = (cpu: string): object[] => system.context('net').inFlight.filter((ipi: { to: string }) => ipi.to === cpu);
    expect(to('cpu1')).toEqual([
      { to: 'cpu1', request: tableSync, initiator: 'q' },
      { to: 'cpu1', request, initiator: 'p' },
      { to: 'cpu1', request, initiator: 'q' },
    ]);
  });

  test('nor does it matter who was first to wait', () => {
    const waiting = [
      ['p', 'q'],
      ['q', 'p'],
    ].map((order) => {
      const system = send(send(rig(), 'p', ['cpu0']), 'q', ['cpu1']);
      for (const initiator of order) wait(system, initiator);
      return system.context('net').waiting;
    });
    expect(waiting).toEqual([
      ['p', 'q'],
      ['p', 'q'],
    ]);
  });
});

test('an initiator that waits is told when the last target has acknowledged', () => {
  const system = rig();
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu0', 'cpu2'], request });
  expect(wait(system, 'p')).toEqual([]);
  deliver(deliver(system, 'cpu0'), 'cpu2');
  acknowledge(system, 'cpu2', 'p');
  expect(system.heard('p')).toEqual([]);
  acknowledge(system, 'cpu0', 'p');
  expect(system.heard('p')).toEqual(done);
  expect(system.context('net')).toEqual(atRest);
});

test('two initiators wait for their own targets', () => {
  const system = rig();
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu0', 'cpu1'], request });
  system.say('q', 'net', { type: 'ipi.send', to: ['cpu1'], request });
  for (const initiator of ['p', 'q']) wait(system, initiator);
  for (const cpu of ['cpu0', 'cpu1', 'cpu1']) deliver(system, cpu);
  acknowledge(system, 'cpu1', 'q');
  expect([system.heard('p'), system.heard('q')]).toEqual([[], done]);
  acknowledge(system, 'cpu0', 'p');
  acknowledge(system, 'cpu1', 'p');
  expect([system.heard('p'), system.heard('q')]).toEqual([done, done]);
});

test('who waits with nothing outstanding is answered at once', () => {
  const system = rig();
  expect(wait(system, 'p')).toEqual(done);
  expect(system.context('net')).toEqual(atRest);
});

test("another initiator's targets are not waited for", () => {
  const system = rig();
  system.say('q', 'net', { type: 'ipi.send', to: ['cpu1'], request });
  expect(wait(system, 'p')).toEqual(done);
});

test('who sends to nobody waits for nobody', () => {
  const system = rig();
  expect(system.say('p', 'net', { type: 'ipi.send', to: [], request })).toEqual([]);
  expect(wait(system, 'p')).toEqual(done);
});

test('who does not wait is told nothing until it asks', () => {
  const system = rig();
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu1'], request });
  acknowledge(deliver(system, 'cpu1'), 'cpu1', 'p');
  expect([system.heard('p'), system.context('net')]).toEqual([[], atRest]);
  expect(wait(system, 'p')).toEqual(done);
});

test('a second send of one initiator adds to what it waits for', () => {
  const system = rig();
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu0', 'cpu1'], request });
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu2'], request });
  expect(system.context('net').unacknowledged).toEqual({ p: 3 });
  wait(system, 'p');
  for (const cpu of cpus) {
    expect(system.heard('p')).toEqual([]);
    acknowledge(deliver(system, cpu), cpu, 'p');
  }
  expect([system.heard('p'), system.context('net')]).toEqual([done, atRest]);
});

test('a target that acknowledges before the next send is not counted again', () => {
  const system = rig();
  for (const cpu of ['cpu0', 'cpu1']) {
    system.say('p', 'net', { type: 'ipi.send', to: [cpu], request });
    acknowledge(deliver(system, cpu), cpu, 'p');
  }
  system.say('p', 'net', { type: 'ipi.send', to: ['cpu2'], request });
  expect(wait(system, 'p')).toEqual([]);
  acknowledge(deliver(system, 'cpu2'), 'cpu2', 'p');
  expect(system.heard('p')).toEqual(done);
});

test('the same initiator can go on to the next flush', () => {
  const system = rig();
  for (let round = 1; round <= 2; round++) {
    system.say('p', 'net', { type: 'ipi.send', to: ['cpu1'], request });
    wait(system, 'p');
    deliver(system, 'cpu1');
    acknowledge(system, 'cpu1', 'p');
    expect(system.heard('p')).toHaveLength(round);
  }
});

test('a broadcast reaches every CPU at once, and waits for no software', () => {
  const system = rig();
  expect(system.say('p', 'net', { type: 'tlbi', request: flush })).toEqual(done);
  for (const cpu of cpus) expect(system.heard(cpu)).toEqual([{ type: 'tlb.invalidate', request: flush }]);
  expect(system.context('net')).toEqual(atRest);
  expect(system.said('net').at(-1)).toBe('p: ipi.done');
});

test('messages are signed', () => {
  const system = new Rig({ cpu0: answers(), net: actor(interconnect, { input: { cpus: ['cpu0'] } }), p: probe() });
  const from: unknown[] = [];
  system.live.messages.subscribe((message) => from.push([message.from, message.to]));
  system.say('p', 'net', { type: 'tlbi', request: flush });
  expect(from).toEqual([
    [null, 'p'],
    ['p', 'net'],
    ['net', 'cpu0'],
    ['net', 'p'],
  ]);
});
