import { lufBatch, lufFlush } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Debt {
  cpu: string;
  ugen: number;
}
interface Setup {
  debts?: Debt[];
  ugen?: number;
  batch?: typeof lufBatch;
  archFlush?: ActorSpec;
}

const owed = (cpu: string, ugen: number): Debt => ({ cpu, ugen });
const three = [owed('cpu0', 1), owed('cpu1', 2), owed('cpu2', 3)];
const rig = ({ debts = three, ugen = 3, batch = lufBatch, archFlush = returns() }: Setup = {}): Rig =>
  new Rig({
    luf_batch: actor(batch, { input: { ugen, debts } }),
    arch: archFlush,
    arch1: answers(),
    luf: actor(lufFlush, { input: { lufBatch: 'luf_batch', archFlush: 'arch' } }),
    luf1: actor(lufFlush, { input: { lufBatch: 'luf_batch', archFlush: 'arch1' } }),
    p: probe(),
    q: probe(),
  });
const call = (system: Rig, upTo?: number): Rig => {
  system.say('p', 'luf', { type: 'call', ...(upTo === undefined ? {} : { upTo }) });
  return system;
};
const debts = (system: Rig): unknown => system.context('luf_batch').debts;
const returned = [{ type: 'return' }];
function expectAtRest(system: Rig): void {
  expect(system.at('luf')).toBe('idle');
  expect(system.context('luf')).toEqual({ lufBatch: 'luf_batch', archFlush: 'arch', caller: '', upTo: null, cpus: [], ugen: 0 });
}

test('nothing is owed: no IPI, nothing to mark', () => {
  const system = call(rig({ debts: [] })).settle();
  expect([system.said('luf'), system.heard('arch'), system.heard('p')]).toEqual([['luf_batch: luf_batch.owed {"upTo":null}', 'p: return'], [], returned]);
  expectAtRest(system);
});

test('everything: flushes who owes something, then marks it as paid', () => {
  const system = call(rig()).settle();
  expect(system.said('luf')).toEqual([
    'luf_batch: luf_batch.owed {"upTo":null}',
    'arch: call {"cpus":["cpu0","cpu1","cpu2"]}',
    'luf_batch: luf_batch.paid {"cpus":["cpu0","cpu1","cpu2"],"ugen":3}',
    'p: return',
  ]);
  expect([debts(system), system.heard('p')]).toEqual([[], returned]);
  expectAtRest(system);
});

test('a CPU that owes several generations is flushed once', () => {
  const system = call(rig({ debts: [owed('cpu1', 1), owed('cpu1', 2)], ugen: 2 })).settle();
  expect([system.heard('arch'), debts(system)]).toEqual([[{ type: 'call', cpus: ['cpu1'] }], []]);
});

test('up to a generation: who owes only later ones is left alone', () => {
  const system = call(rig(), 2).settle();
  expect(system.said('luf')).toEqual([
    'luf_batch: luf_batch.owed {"upTo":2}',
    'arch: call {"cpus":["cpu0","cpu1"]}',
    'luf_batch: luf_batch.paid {"cpus":["cpu0","cpu1"],"ugen":3}',
    'p: return',
  ]);
  expect(debts(system)).toEqual([owed('cpu2', 3)]);
  expectAtRest(system);
});

test('up to a generation: who is flushed for it has paid what it owes since, too', () => {
  expect(debts(call(rig({ debts: [owed('cpu0', 1), owed('cpu0', 3), owed('cpu1', 3)] }), 1).settle())).toEqual([owed('cpu1', 3)]);
});

test('up to a generation that nobody owes: no IPI', () => {
  const system = call(rig({ debts: [owed('cpu2', 3)] }), 2).settle();
  expect([system.heard('arch'), debts(system), system.heard('p')]).toEqual([[], [owed('cpu2', 3)], returned]);
  expectAtRest(system);
});

test('what another task has paid before it looks needs no IPI', () => {
  const system = call(rig(), 3);
  expect([system.at('luf'), system.said('luf')]).toEqual(['ugen_before', []]);
  system.say('q', 'luf_batch', { type: 'luf_batch.paid', cpus: ['cpu0', 'cpu1', 'cpu2'], ugen: 3 });
  system.settle();
  expect([system.heard('arch'), system.heard('p')]).toEqual([[], returned]);
  expectAtRest(system);
});

test('while the flush is under way it waits, and others see the debt', () => {
  const system = call(rig({ archFlush: answers() })).settle();
  expect([system.at('luf'), system.can('luf', 'step'), system.heard('p')]).toEqual(['try_to_unmap_flush', false, []]);
  expect(system.say('q', 'luf_batch', { type: 'luf_batch.owed', upTo: null })).toEqual([{ type: 'owed', cpus: ['cpu0', 'cpu1', 'cpu2'], ugen: 3 }]);
  system.say('q', 'luf', 'return');
  expect([system.at('luf'), debts(system)]).toEqual(['ugen_done', three]);
  system.settle();
  expect([debts(system), system.heard('p')]).toEqual([[], returned]);
  expectAtRest(system);
});

describe('row L13: what is recorded while the flush is on its way', () => {
  const recordedMeanwhile = (batch: typeof lufBatch): Rig => {
    const system = call(rig({ batch, archFlush: answers() })).settle();
    system.say('q', 'luf_batch', { type: 'luf_batch.record', cpus: ['cpu1'] });
    system.say('q', 'luf', 'return');
    return system.settle();
  };

  test('is owed still: paid is the generation at the start', () => {
    const system = recordedMeanwhile(lufBatch);
    expect([system.said('luf').at(-2), debts(system)]).toEqual(['luf_batch: luf_batch.paid {"cpus":["cpu0","cpu1","cpu2"],"ugen":3}', [owed('cpu1', 4)]]);
    call(system).settle();
    expect(system.heard('arch').at(-1)).toEqual({ type: 'call', cpus: ['cpu1'] });
  });

  test('is lost where everything by now is taken for paid', () => {
    expect(debts(recordedMeanwhile(lufBatch.provide({ guards: { paysUpToStart: () => false } })))).toEqual([]);
  });
});

test('two tasks at once: both flush, and neither returns before its own flush', () => {
  const system = call(rig({ archFlush: answers() })).settle();
  system.say('q', 'luf1', 'call');
  system.settle();
  system.say('q', 'luf1', 'return');
  system.settle();
  expect([system.heard('q').at(-1), system.heard('p'), debts(system)]).toEqual([{ type: 'return' }, [], []]);
  system.say('q', 'luf', 'return');
  system.settle();
  expect([system.heard('p'), debts(system)]).toEqual([returned, []]);
  expectAtRest(system);
});

test('one flush remembers nothing of the one before', () => {
  const system = call(rig(), 2).settle();
  expectAtRest(system);
  call(system).settle();
  expect(system.said('luf').slice(-4)).toEqual([
    'luf_batch: luf_batch.owed {"upTo":null}',
    'arch: call {"cpus":["cpu2"]}',
    'luf_batch: luf_batch.paid {"cpus":["cpu2"],"ugen":3}',
    'p: return',
  ]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(lufFlush)).toEqual([]);
});
