import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { BIAS } from '../sync/percpu-ref.js';

interface Context {
  ref: Address;
  /** CPUs whose counters are still to be read. */
  cpus: Address[];
  all: Address[];
  sum: number;
  /** What the counter carries too much while the switch is under way. */
  bias: number;
}

type Event = { type: 'step' } | Signed<{ type: 'rcu.callback' } | { type: 'ref.cpu'; value: number } | { type: 'ref.count'; value: number }>;

const { tell } = speaker<Context, Event>();

const shape = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { ref: Address; cpus: Address[]; bias?: number } },
  guards: {
    moreCpus: ({ context }) => context.cpus.length > 1,
    notPositive: ({ event }) => received(event, 'ref.count').value <= 0,
  },
  actions: {
    readCpu: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.read_cpu', cpu: context.cpus[0] }),
    ),
    addUp: assign({ sum: ({ context, event }) => context.sum + received(event, 'ref.cpu').value, cpus: ({ context }) => context.cpus.slice(1) }),
    addSumLessBias: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.add', n: context.sum - context.bias }),
    ),
    subtractBias: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.add', n: -context.bias }),
    ),
    addCpu: tell(
      ({ context }) => context.ref,
      ({ event }) => ({ type: 'ref.add', n: received(event, 'ref.cpu').value }),
    ),
    nextCpu: assign({ cpus: ({ context }) => context.cpus.slice(1) }),
    confirm: tell(({ context }) => context.ref, { type: 'ref.confirm' }),
    freeArea: tell(({ context }) => context.ref, { type: 'ref.free_percpu' }),
    putHold: tell(({ context }) => context.ref, { type: 'ref.sub_and_test', n: 1 }),
    again: assign({ cpus: ({ context }) => context.all, sum: 0 }),
  },
});

/**
 * percpu_ref_switch_to_atomic_rcu (lib/percpu-refcount.c, 6.12), the callback after the grace period: K4 to K7.
 */
export const percpuRefSwitch = shape.createMachine({
  id: 'percpu_ref_switch_to_atomic_rcu',
  context: ({ input }) => ({ ref: input.ref, cpus: input.cpus, all: input.cpus, sum: 0, bias: input.bias ?? BIAS }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'No switch under way, or the grace period not over', on: { 'rcu.callback': { target: 'per_cpu_ptr' } } },
    per_cpu_ptr: {
      description: 'K4: sums the per-CPU counters, one load each',
      on: {
        step: { actions: 'readCpu' },
        'ref.cpu': [
          { guard: 'moreCpus', actions: 'addUp' },
          { target: 'atomic_long_add', actions: 'addUp' },
        ],
      },
    },
    atomic_long_add: {
      description: 'K4: adds the sum less the bias, at once',
      on: {
        step: { actions: 'addSumLessBias' },
        'ref.count': [{ guard: 'notPositive', target: 'count_not_positive' }, { target: 'percpu_ref_call_confirm_rcu' }],
      },
    },
    percpu_ref_call_confirm_rcu: { description: 'K5: the switch is confirmed', on: { step: { target: 'free_percpu', actions: 'confirm' } } },
    free_percpu: {
      description: 'K6: a reference that cannot be re-initialised loses its per-CPU area here',
      on: { step: { target: 'percpu_ref_put', actions: 'freeArea' } },
    },
    percpu_ref_put: {
      description: 'K7: puts the reference of the switch, perhaps the last',
      on: { step: { actions: 'putHold' }, 'ref.count': { target: 'idle', actions: 'again' } },
    },
    count_not_positive: { tags: ['BUG', 'I6'], description: 'WARN_ON: percpu ref <= 0 after switching to atomic' },
  },
});

/** Row C3: the bias is taken away first, and the counters are added one by one. */
export const percpuRefSwitchBiasFirst = shape.createMachine({
  id: 'percpu_ref_switch_bias_first',
  context: ({ input }) => ({ ref: input.ref, cpus: input.cpus, all: input.cpus, sum: 0, bias: input.bias ?? BIAS }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'No switch under way, or the grace period not over', on: { 'rcu.callback': { target: 'atomic_long_sub' } } },
    atomic_long_sub: { description: 'The bias goes first', on: { step: { actions: 'subtractBias' }, 'ref.count': { target: 'per_cpu_ptr' } } },
    per_cpu_ptr: {
      description: 'Adds the counters one by one; in between the count says nothing',
      on: {
        step: { actions: 'readCpu' },
        'ref.cpu': [
          { guard: 'moreCpus', actions: ['addCpu', 'nextCpu'] },
          { target: 'percpu_ref_call_confirm_rcu', actions: ['addCpu', 'nextCpu'] },
        ],
        'ref.count': { description: 'the sum so far' },
      },
    },
    percpu_ref_call_confirm_rcu: {
      description: 'K5',
      on: { step: { target: 'free_percpu', actions: 'confirm' }, 'ref.count': { description: 'the sum, complete' } },
    },
    free_percpu: { description: 'K6', on: { step: { target: 'percpu_ref_put', actions: 'freeArea' } } },
    percpu_ref_put: { description: 'K7', on: { step: { actions: 'putHold' }, 'ref.count': { target: 'idle', actions: 'again' } } },
  },
});
