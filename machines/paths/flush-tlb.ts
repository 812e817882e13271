import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { LOADED_MM_SWITCHING } from '../hardware/cpu.js';
import type { FlushRequest } from '../memory/address-space.js';

interface Input {
  /** The CPU it runs on. */
  cpu: Address;
  mm: Address;
  interconnect: Address;
  /** How remote TLBs are flushed. */
  kind: 'ipi' | 'broadcast';
}

interface Context extends Input {
  request: FlushRequest;
  /** CPUs of mm_cpumask not looked at yet. */
  mask: Address[];
  /** The function was queued on some CPU. */
  queued: boolean;
  /** Its own CPU is to be flushed. */
  local: boolean;
  /** It has switched interrupts off (row B9). */
  irqsOff: boolean;
  caller: Address;
}

type Event =
  | { type: 'step' }
  | Call<{ vpns: number[] | 'all'; freedTables?: boolean }>
  | Signed<{ type: 'tlb_gen'; gen: number } | { type: 'cpumask'; cpus: Address[] }>
  | Signed<{ type: 'loaded_mm'; mm: Address | null } | { type: 'is_lazy'; mode: 'lazy' | 'running' } | { type: 'ipi.done' }>;

const { tell } = speaker<Context, Event>();
const none: FlushRequest = { mm: '', vpns: [], freedTables: false, gen: 0 };
const idle = { request: none, mask: [], queued: false, local: false, irqsOff: false, caller: '' };

/**
 * flush_tlb_mm_range (arch/x86/mm/tlb.c, 7.3), F1 to F4: with IPIs, CPU by CPU of mm_cpumask, those left out that need
 * none, and a wait until every target ran the function; or one broadcast invalidation. Called with the pages to flush,
 * and whether page tables go too.
 */
export const flushTlb = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    broadcasts: ({ context }) => context.kind === 'broadcast',
    allDecided: ({ context }) => context.mask.length === 0,
    asksOwnCpu: ({ context }) => context.local && !context.request.freedTables,
    isLocal: ({ context }) => context.local,
    hasIrqsOff: ({ context }) => context.irqsOff,
    hasQueued: ({ context }) => context.queued,
    othersInMask: ({ context, event }) => received(event, 'cpumask').cpus.some((cpu) => cpu !== context.cpu),
    /** Safeguard: freed page tables must leave the paging-structure cache of lazy CPUs too. */
    reachesEveryCpu: ({ context }) => context.request.freedTables,
    isLoaded: ({ context, event }) => received(event, 'loaded_mm').mm === context.mm,
    /** Safeguard: while it switches, a CPU may be on its way to this address space. */
    isSwitching: ({ event }) => received(event, 'loaded_mm').mm === LOADED_MM_SWITCHING,
    isLazy: ({ event }) => received(event, 'is_lazy').mode === 'lazy',
    /** Safeguard (smp_call_function_many_cond asserts it): who waits for others must answer to them meanwhile. */
    sendsWithIrqsOn: () => true,
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, vpns, freedTables } = received(event, 'call');
      return { caller: from, request: { mm: context.mm, vpns, freedTables: freedTables ?? false, gen: 0 } };
    }),
    incGen: tell(({ context }) => context.mm, { type: 'tlb_gen.inc' }),
    noteGen: assign({ request: ({ context, event }) => ({ ...context.request, gen: received(event, 'tlb_gen').gen }) }),
    readMask: tell(({ context }) => context.mm, { type: 'cpumask.read' }),
    noteMask: assign(({ context, event }) => {
      const { cpus } = received(event, 'cpumask');
      return { mask: cpus.filter((cpu) => cpu !== context.cpu), local: cpus.includes(context.cpu) };
    }),
    notLocal: assign({ local: false }),
    readOwnLazy: tell(({ context }) => context.cpu, { type: 'is_lazy.read' }),
    readOwnLoadedMm: tell(({ context }) => context.cpu, { type: 'loaded_mm.read' }),
    readLoadedMm: tell(({ context }) => context.mask[0] as Address, { type: 'loaded_mm.read' }),
    readLazy: tell(({ context }) => context.mask[0] as Address, { type: 'is_lazy.read' }),
    skip: assign({ mask: ({ context }) => context.mask.slice(1) }),
    irqsOff: tell(({ context }) => context.cpu, { type: 'irq.save' }),
    noteIrqsOff: assign({ irqsOff: true }),
    irqsOn: tell(({ context }) => context.cpu, { type: 'irq.restore' }),
    queue: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'ipi.send', to: context.mask.slice(0, 1), request: { function: 'flush_tlb_func', ...context.request } }),
    ),
    noteQueued: assign({ queued: true, mask: ({ context }) => context.mask.slice(1) }),
    wait: tell(({ context }) => context.interconnect, { type: 'ipi.wait' }),
    broadcast: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'tlbi', request: context.request }),
    ),
    flushOwn: tell(
      ({ context }) => context.cpu,
      ({ context }) => ({ type: 'flush_tlb_func', request: context.request }),
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
      on: {
        step: { actions: 'incGen' },
        tlb_gen: [
          { guard: 'broadcasts', target: 'broadcast_tlb_flush', actions: 'noteGen' },
          { target: 'mm_cpumask', actions: 'noteGen' },
        ],
      },
    },
    broadcast_tlb_flush: {
      description: 'Invalidates on every CPU and waits for the hardware only (INVLPGB and TLBSYNC; TLBI and DSB)',
      on: { step: { actions: 'broadcast' }, 'ipi.done': { target: 'idle', actions: ['return', 'forget'] } },
    },
    mm_cpumask: {
      description: 'F2: who may hold translations? Nobody else: only the local flush',
      on: {
        step: { actions: 'readMask' },
        cpumask: [{ guard: 'othersInMask', target: 'lockdep_assert_irqs_enabled', actions: 'noteMask' }, { target: 'nobody_else' }],
      },
    },
    nobody_else: {
      description: 'F2: a local flush is due if this CPU has it loaded; who flushes for another process may have nothing to do',
      entry: 'readOwnLoadedMm',
      on: { loaded_mm: [{ guard: 'isLoaded', target: 'flush_tlb_func' }, { target: 'flushed' }] },
    },
    lockdep_assert_irqs_enabled: {
      description: 'F4: smp_call_function_many_cond, with interrupts on',
      always: [{ guard: 'sendsWithIrqsOn', target: 'cond_func_local' }, { target: 'local_irq_save' }],
    },
    local_irq_save: {
      description: 'Row B9: sends and waits with interrupts off',
      on: { step: { target: 'cond_func_local', actions: ['irqsOff', 'noteIrqsOff'] } },
    },
    cond_func_local: {
      description: 'F3 for its own CPU, if that is in the mask: who flushes for another process may be lazy here',
      always: [{ guard: 'asksOwnCpu', target: 'own_loaded_mm' }, { target: 'should_flush_tlb' }],
    },
    own_loaded_mm: {
      description: 'F3: is it loaded?',
      entry: 'readOwnLoadedMm',
      on: {
        loaded_mm: [
          { guard: 'isLoaded', target: 'own_is_lazy' },
          { target: 'should_flush_tlb', actions: 'notLocal' },
        ],
      },
    },
    own_is_lazy: {
      description: 'F3: a kernel thread that flushes on a lazy CPU leaves its own TLB to the next switch',
      entry: 'readOwnLazy',
      on: { is_lazy: [{ guard: 'isLazy', target: 'should_flush_tlb', actions: 'notLocal' }, { target: 'should_flush_tlb' }] },
    },
    should_flush_tlb: {
      description: 'F3: CPU by CPU; where page tables were freed every one, else those that may have this address space loaded',
      always: [
        { guard: 'allDecided', target: 'local_flush' },
        { guard: 'reachesEveryCpu', target: 'csd_queue_cpu' },
      ],
      on: {
        step: { actions: 'readLoadedMm' },
        loaded_mm: [{ guard: 'isLoaded', target: 'tlb_is_not_lazy' }, { guard: 'isSwitching', target: 'tlb_is_not_lazy' }, { actions: 'skip' }],
      },
    },
    tlb_is_not_lazy: {
      description: 'F3: a lazy CPU runs no user code, and looks at tlb_gen when it stops being lazy',
      on: {
        step: { actions: 'readLazy' },
        is_lazy: [{ guard: 'isLazy', target: 'should_flush_tlb', actions: 'skip' }, { target: 'csd_queue_cpu' }],
      },
    },
    csd_queue_cpu: {
      description: 'F4: queues the function on that CPU; its IPI may come at once, since another one may be on its way there',
      on: { step: { target: 'should_flush_tlb', actions: ['queue', 'noteQueued'] } },
    },
    local_flush: {
      description: 'F4: its own CPU last, if that is to be flushed',
      always: [{ guard: 'isLocal', target: 'flush_tlb_func' }, { guard: 'hasQueued', target: 'csd_lock_wait' }, { target: 'flushed' }],
    },
    flush_tlb_func: {
      description: 'The local flush, while the IPIs are on their way',
      on: {
        step: [
          { guard: 'hasQueued', target: 'csd_lock_wait', actions: 'flushOwn' },
          { target: 'flushed', actions: 'flushOwn' },
        ],
      },
    },
    csd_lock_wait: {
      description: 'F4: spins until every target ran it; a target with interrupts off does not',
      entry: 'wait',
      on: { 'ipi.done': { target: 'flushed' } },
    },
    flushed: {
      description: 'Every TLB is flushed, or will be before it is used',
      always: [
        { guard: 'hasIrqsOff', target: 'local_irq_restore' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    local_irq_restore: { description: 'Row B9: interrupts on again', on: { step: { target: 'idle', actions: ['irqsOn', 'return', 'forget'] } } },
  },
});
