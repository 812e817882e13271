import { pageTable, rcu, tlbRemoveTableRcu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (others: Actors = {}): Rig =>
  new Rig({
    table0: actor(pageTable),
    table1: actor(pageTable),
    table2: actor(pageTable),
    rcu: answers(),
    free: actor(tlbRemoveTableRcu),
    p: probe(),
    ...others,
  });
const hand = (system: Rig, ...tables: string[]): Rig => {
  system.say('p', 'free', { type: 'tables', tables });
  return system;
};
const over = (system: Rig): Rig => {
  system.say('p', 'free', 'rcu.callback');
  return system;
};
function expectAtRest(system: Rig): void {
  expect([system.at('free'), system.context('free'), system.bugs()]).toEqual(['waiting', { batches: [], tables: [] }, []]);
}

test('Z13: no page-table page is freed before the grace period is over', () => {
  const system = hand(rig(), 'table0', 'table1').settle();
  expect([system.at('free'), system.can('free', 'step'), system.said('free')]).toEqual(['waiting', false, []]);
});

test('Z13: then those of the batch are freed one by one, in order', () => {
  const system = over(hand(rig(), 'table1', 'table0'));
  expect([system.at('free'), system.said('free')]).toEqual(['tlb_remove_table_free', []]);
  system.take('free', 'step');
  expect([system.at('table1'), system.at('table0')]).toEqual(['freed', 'in_use']);
  system.take('free', 'step');
  expect(system.said('free')).toEqual(['table1: table.free', 'table0: table.free']);
  expectAtRest(system);
});

test('each batch waits for a grace period of its own, the first batch for the first', () => {
  const system = over(hand(hand(rig(), 'table0'), 'table1', 'table2')).settle();
  expect([system.said('free'), system.context('free').batches]).toEqual([['table0: table.free'], [['table1', 'table2']]]);
  over(system).settle();
  expect(system.said('free')).toEqual(['table0: table.free', 'table1: table.free', 'table2: table.free']);
  expectAtRest(system);
});

test('a grace period that ends while it frees adds the next batch', () => {
  const system = over(over(hand(hand(rig(), 'table0'), 'table1')));
  expect(system.context('free')).toEqual({ batches: [], tables: ['table0', 'table1'] });
  system.settle();
  expect(system.said('free')).toEqual(['table0: table.free', 'table1: table.free']);
  expectAtRest(system);
});

test('a batch that is handed over while it frees has to wait', () => {
  const system = hand(over(hand(rig(), 'table0')), 'table1').settle();
  expect([system.at('free'), system.at('table0'), system.at('table1')]).toEqual(['waiting', 'freed', 'in_use']);
  expect(over(system).settle().at('table1')).toBe('freed');
  expectAtRest(system);
});

test('an end of a grace period without a batch frees nothing', () => {
  const system = over(rig());
  expect(system.said('free')).toEqual([]);
  expectAtRest(system);
});

test('with RCU: a reader that was there keeps the tables, one that came later does not', () => {
  const system = rig({ rcu: actor(rcu, { choices: ['grace_period'] }), q: probe() });
  system.say('p', 'rcu', 'rcu.read_lock');
  hand(system, 'table0').say('p', 'rcu', { type: 'call_rcu', callback: 'free' });
  system.say('q', 'rcu', 'rcu.read_lock');
  expect(system.settle().at('table0')).toBe('in_use');
  system.say('p', 'rcu', 'rcu.read_unlock');
  expect(system.settle().at('table0')).toBe('freed');
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(tlbRemoveTableRcu)).toEqual([]);
});
