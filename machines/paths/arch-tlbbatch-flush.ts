import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

interface Input {
  /** The CPU it runs on. */
  cpu: Address;
  interconnect: Address;
  /** The task that runs it, for who watches. */
  task: Address;
  /** The debug mode that is told; null: none. */
  debug: Address | null;
}

interface Context extends Input {
  caller: Address;
  cpus: Address[];
  /** Not looked at yet. */
  mask: Address[];
  queued: boolean;
  /** Its own CPU is in the batch. */
  local: boolean;
}

type Event = { type: 'step' } | Call<{ cpus: Address[] }> | Signed<{ type: 'is_lazy'; mode: 'lazy' | 'running' } | { type: 'ipi.done' }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', cpus: [] as Address[], mask: [] as Address[], queued: false, local: false };
/** Whatever is loaded: the request names no address space (TLB_GENERATION_INVALID). */
const whatIsLoaded = { mm: null, vpns: 'all', freedTables: false, gen: 0 };

/**
 * arch_tlbbatch_flush (arch/x86/mm/tlb.c, 6.12): flushes what is loaded on the CPUs of a batch, by IPI, and waits. What they
 * keep of other address spaces is left to the generation taken at the unmap and the comparison at the next switch.
 * Called with the CPUs. Domain table, part 2, R8.
 */
export const archTlbbatchFlush = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    allDecided: ({ context }) => context.mask.length === 0,
    isAlone: ({ context }) => context.local && context.cpus.length === 1,
    isLocal: ({ context }) => context.local,
    hasQueued: ({ context }) => context.queued,
    isLazy: ({ event }) => received(event, 'is_lazy').mode === 'lazy',
  },
  actions: {
    remember: assign(({ context, event }) => {
      const { from, cpus } = received(event, 'call');
      return { caller: from, cpus, mask: cpus.filter((cpu) => cpu !== context.cpu), local: cpus.includes(context.cpu) };
    }),
    readOwnLazy: tell(({ context }) => context.cpu, { type: 'is_lazy.read' }),
    readLazy: tell(({ context }) => context.mask[0] as Address, { type: 'is_lazy.read' }),
    skip: assign({ mask: ({ context }) => context.mask.slice(1) }),
    queue: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'ipi.send', to: context.mask.slice(0, 1), request: { function: 'flush_tlb_func', ...whatIsLoaded } }),
    ),
    noteQueued: assign({ queued: true, mask: ({ context }) => context.mask.slice(1) }),
    flushOwn: tell(({ context }) => context.cpu, { type: 'flush_tlb_func', request: whatIsLoaded }),
    wait: tell(({ context }) => context.interconnect, { type: 'ipi.wait' }),
    observeBegin: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.flush_begin', cpus: context.cpus, task: context.task }),
    ),
    observe: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.flushed', cpus: context.cpus, task: context.task }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'arch_tlbbatch_flush',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'on_each_cpu', actions: ['remember', 'observeBegin'] } } },
    on_each_cpu: {
      description: 'CPU by CPU of the batch, its own one last',
      always: [{ guard: 'isAlone', target: 'flush_tlb_func' }, { guard: 'allDecided', target: 'local_flush' }, { target: 'tlb_is_not_lazy' }],
    },
    tlb_is_not_lazy: {
      description: 'F3: a lazy CPU looks at tlb_gen when it stops being lazy',
      on: { step: { actions: 'readLazy' }, is_lazy: [{ guard: 'isLazy', target: 'on_each_cpu', actions: 'skip' }, { target: 'csd_queue_cpu' }] },
    },
    csd_queue_cpu: { description: 'F4: queues the function there', on: { step: { target: 'on_each_cpu', actions: ['queue', 'noteQueued'] } } },
    local_flush: { description: 'F4: its own CPU, if that is in the batch', always: [{ guard: 'isLocal', target: 'own_is_lazy' }, { target: 'sent' }] },
    own_is_lazy: {
      description: 'F3: and is not lazy',
      entry: 'readOwnLazy',
      on: { is_lazy: [{ guard: 'isLazy', target: 'sent' }, { target: 'flush_tlb_func' }] },
    },
    flush_tlb_func: { description: 'The local flush, while IPIs are on their way', on: { step: { target: 'sent', actions: 'flushOwn' } } },
    sent: { description: 'All are told', always: [{ guard: 'hasQueued', target: 'csd_lock_wait' }, { target: 'flushed' }] },
    csd_lock_wait: { description: 'F4: spins until every target ran it', entry: 'wait', on: { 'ipi.done': { target: 'flushed' } } },
    flushed: { description: 'No TLB has anything of the batch', always: { target: 'idle', actions: ['observe', 'return', 'forget'] } },
  },
});
