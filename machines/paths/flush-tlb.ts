import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import type { FlushRequest } from '../memory/address-space.js';

interface Context {
  /** The CPU it runs on. */
  cpu: Address;
  mm: Address;
  interconnect: Address;
  /** How remote TLBs are flushed. */
  kind: 'ipi' | 'broadcast';
  request: FlushRequest;
  /** CPUs of mm_cpumask not looked at yet. */
  mask: Address[];
  targets: Address[];
  caller: Address;
}

type Event =
  | { type: 'step' }
  | Call<FlushRequest>
  | Signed<{ type: 'tlb_gen'; gen: number } | { type: 'cpumask'; cpus: Address[] } | { type: 'tlb_state'; mode: 'lazy' | 'running' } | { type: 'ipi.done' }>;

const { tell } = speaker<Context, Event>();
const idle = { request: { vpns: [] as number[] }, mask: [], targets: [], caller: '' };

/**
 * flush_tlb_mm_range (arch/x86/mm/tlb.c, 6.12), F1 to F4: with IPIs, CPU by CPU of mm_cpumask, lazy ones left out, and a
 * wait until every target ran the function; or one broadcast invalidation. Called with the pages to flush.
 */
export const flushTlb = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { cpu: Address; mm: Address; interconnect: Address; kind: 'ipi' | 'broadcast' } },
  guards: {
    broadcasts: ({ context }) => context.kind === 'broadcast',
    allDecided: ({ context }) => context.mask.length === 0,
    hasTargets: ({ context }) => context.targets.length > 0,
    othersInMask: ({ context, event }) => received(event, 'cpumask').cpus.some((cpu) => cpu !== context.cpu),
    isLazy: ({ event }) => received(event, 'tlb_state').mode === 'lazy',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, request: { vpns } };
    }),
    incGen: tell(({ context }) => context.mm, { type: 'tlb_gen.inc' }),
    readMask: tell(({ context }) => context.mm, { type: 'cpumask.read' }),
    noteMask: assign({ mask: ({ context, event }) => received(event, 'cpumask').cpus.filter((cpu) => cpu !== context.cpu) }),
    readLazy: tell(({ context }) => context.mask[0] as Address, { type: 'lazy.read' }),
    skip: assign({ mask: ({ context }) => context.mask.slice(1) }),
    target: assign({ targets: ({ context }) => [...context.targets, context.mask[0] as Address], mask: ({ context }) => context.mask.slice(1) }),
    sendIpis: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'ipi.send', to: context.targets, request: context.request }),
    ),
    broadcast: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'tlbi', request: context.request }),
    ),
    noneLeft: assign({ targets: [] }),
    flushOwn: tell(
      ({ context }) => context.cpu,
      ({ context }) => ({ type: 'tlb.invalidate', request: context.request }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'flush_tlb_mm_range',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'inc_mm_tlb_gen', actions: 'remember' } } },
    inc_mm_tlb_gen: {
      description: 'F1: tlb_gen += 1, a full barrier',
      on: { step: { actions: 'incGen' }, tlb_gen: [{ guard: 'broadcasts', target: 'broadcast_tlb_flush' }, { target: 'mm_cpumask' }] },
    },
    broadcast_tlb_flush: {
      description: 'Invalidates on every CPU and waits for the hardware only (INVLPGB and TLBSYNC; TLBI and DSB)',
      on: { step: { actions: 'broadcast' }, 'ipi.done': { target: 'idle', actions: ['return', 'forget'] } },
    },
    mm_cpumask: {
      description: 'F2: who may hold translations? Nobody else: only the local flush',
      on: {
        step: { actions: 'readMask' },
        cpumask: [{ guard: 'othersInMask', target: 'should_flush_tlb', actions: 'noteMask' }, { target: 'flush_tlb_func' }],
      },
    },
    should_flush_tlb: {
      description: 'F3: CPU by CPU, lazy ones are left out',
      always: { guard: 'allDecided', target: 'smp_call_function_many_cond' },
      on: { step: { actions: 'readLazy' }, tlb_state: [{ guard: 'isLazy', actions: 'skip' }, { actions: 'target' }] },
    },
    smp_call_function_many_cond: {
      description: 'F4: queues the function on every target and kicks it',
      on: { step: [{ guard: 'hasTargets', target: 'flush_tlb_func', actions: 'sendIpis' }, { target: 'flush_tlb_func' }] },
    },
    flush_tlb_func: {
      description: 'The local flush, while the IPIs are on their way',
      on: {
        step: [
          { guard: 'hasTargets', target: 'csd_lock_wait', actions: 'flushOwn' },
          { target: 'idle', actions: ['flushOwn', 'return', 'forget'] },
        ],
        'ipi.done': { actions: 'noneLeft', description: 'the last target was faster than the local flush' },
      },
    },
    csd_lock_wait: {
      description: 'F4: spins until every target ran it; a target with interrupts off does not',
      on: { 'ipi.done': { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
