import { addressSpace, flushTlbBatchedPending } from '../../../machines/index.js';
import { type ActorSpec, actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  /** Batches that reclaim has begun. */
  begun?: number;
  machine?: typeof flushTlbBatchedPending;
  flush?: ActorSpec;
}

const begin = (system: Rig, batches = 1): Rig => {
  for (let n = 0; n < batches; n++) system.say('q', 'mm', 'tlb_flush_batched.inc');
  return system;
};
const rig = ({ begun = 0, machine = flushTlbBatchedPending, flush = returns() }: Setup = {}): Rig =>
  begin(
    new Rig({
      mm: actor(addressSpace, { input: { ptes: {}, vmas: [], cpumask: [] } }),
      flush,
      batched: actor(machine, { input: { mm: 'mm', flush: 'flush' } }),
      // Under another page-table lock of the same address space.
      other: actor(machine, { input: { mm: 'mm', flush: 'flush' } }),
      p: probe(),
      q: probe(),
    }),
    begun,
  );
const call = (system: Rig): Rig => {
  system.say('p', 'batched', 'call');
  return system;
};
const batched = (system: Rig): unknown => system.context('mm').tlbFlushBatched;
const returned = [{ type: 'return' }];
function expectAtRest(system: Rig): void {
  expect([system.at('batched'), system.context('batched')]).toEqual(['idle', { mm: 'mm', flush: 'flush', caller: '', pending: 0, flushed: 0 }]);
}

test('nothing was put into a batch: it looks, and returns at once', () => {
  const system = call(rig());
  expect([system.said('batched'), system.heard('p'), batched(system)]).toEqual([
    ['mm: tlb_flush_batched.read', 'p: return'],
    returned,
    { pending: 0, flushed: 0 },
  ]);
  expectAtRest(system);
});

test('a batch has begun: the whole address space is flushed, then what was read is noted as flushed', () => {
  const system = call(rig({ begun: 2 })).settle();
  expect(system.said('batched')).toEqual([
    'mm: tlb_flush_batched.read',
    'flush: call {"vpns":"all"}',
    'mm: tlb_flush_batched.cmpxchg {"pending":2,"flushed":0}',
    'p: return',
  ]);
  expect([batched(system), system.heard('p')]).toEqual([{ pending: 2, flushed: 2 }, returned]);
  expectAtRest(system);
});

test('it waits for the flush, and notes nothing before', () => {
  const system = call(rig({ begun: 1, flush: answers() }));
  expect([system.at('batched'), system.can('batched', 'step'), batched(system), system.heard('p')]).toEqual([
    'flush_tlb_mm',
    false,
    { pending: 1, flushed: 0 },
    [],
  ]);
  system.say('q', 'batched', 'return');
  expect([system.at('batched'), batched(system), system.heard('p')]).toEqual(['atomic_cmpxchg', { pending: 1, flushed: 0 }, []]);
  system.settle();
  expect([batched(system), system.heard('p')]).toEqual([{ pending: 1, flushed: 1 }, returned]);
  expectAtRest(system);
});

test('R8 does not note it: the next caller pays one flush, the one after it none', () => {
  const system = call(rig({ begun: 1 })).settle();
  call(system).settle();
  expect([system.heard('flush'), system.heard('p')]).toEqual([[{ type: 'call', vpns: 'all' }], [...returned, ...returned]]);
  call(begin(system)).settle();
  expect([system.heard('flush').length, batched(system)]).toEqual([2, { pending: 2, flushed: 2 }]);
  expectAtRest(system);
});

test.each(['flush_tlb_mm', 'atomic_cmpxchg'])('a batch that begins at %s is not taken for flushed, so that the next caller flushes again', (state) => {
  const system = call(rig({ begun: 1, flush: answers() }));
  if (state === 'atomic_cmpxchg') system.say('q', 'batched', 'return');
  expect(begin(system).at('batched')).toBe(state);
  if (state === 'flush_tlb_mm') system.say('q', 'batched', 'return');
  system.settle();
  expect([batched(system), system.heard('p')]).toEqual([{ pending: 2, flushed: 0 }, returned]);
  expectAtRest(system);
  expect([call(system).at('batched'), system.heard('flush').length]).toEqual(['flush_tlb_mm', 2]);
});

test('two at once, under different page-table locks: both flush, the first exchange counts', () => {
  const system = call(rig({ begun: 1, flush: answers() }));
  system.say('q', 'other', 'call');
  begin(system);
  for (const path of ['other', 'batched']) system.say('q', path, 'return');
  system.settle('other').settle();
  expect(system.heard('flush')).toHaveLength(2);
  // The batch that began after both looks is flushed by the next.
  expect(batched(system)).toEqual({ pending: 2, flushed: 0 });
  expectAtRest(system);
});

test('an exchange after somebody else has noted more does not take it back', () => {
  const system = call(rig({ begun: 1, flush: answers() }));
  begin(system);
  system.say('q', 'other', 'call');
  for (const path of ['other', 'batched']) system.say('q', path, 'return');
  system.settle('other');
  expect(batched(system)).toEqual({ pending: 2, flushed: 2 });
  expect(batched(system.settle())).toEqual({ pending: 2, flushed: 2 });
  expectAtRest(system);
});

test('it returns to who called it', () => {
  const system = rig({ begun: 1 });
  system.say('q', 'batched', 'call');
  system.settle();
  expect([system.heard('q').at(-1), system.heard('p')]).toEqual([{ type: 'return' }, []]);
});

test('rows L10, L11: who does not look returns without a flush although ptes may be cached', () => {
  const system = call(rig({ begun: 1, machine: flushTlbBatchedPending.provide({ guards: { isPending: () => false } }) }));
  expect([system.heard('flush'), system.heard('p'), batched(system)]).toEqual([[], returned, { pending: 1, flushed: 0 }]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(flushTlbBatchedPending)).toEqual([]);
});
