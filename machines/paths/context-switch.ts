import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { LOADED_MM_SWITCHING } from '../hardware/cpu.js';

interface Input {
  cpu: Address;
}

interface Context extends Input {
  caller: Address;
  /** Whose address space to load; null: init_mm. */
  next: Address | null;
  /** tlb_gen of `next`, as read; null: not read yet. */
  gen: number | null;
}

type Event =
  | { type: 'step' }
  | Call<{ next: Address | null | 'kthread' }>
  | Signed<{ type: 'loaded_mm'; mm: Address | null } | { type: 'is_lazy'; mode: 'lazy' | 'running' } | { type: 'tlb_gen'; gen: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', next: null, gen: null };

/**
 * context_switch (kernel/sched/core.c) with enter_lazy_tlb and switch_mm_irqs_off (arch/x86/mm/tlb.c, 7.3). Called with
 * whom to switch to: an address space, init_mm (null), or a kernel thread, which borrows what is loaded. The bit of the
 * address space left stays in its mm_cpumask until an IPI finds it out of date. Domain
 * table 1.c, rows B3, B5.
 */
export const contextSwitch = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    toKernelThread: ({ event }) => received(event, 'call').next === 'kthread',
    isSameMm: ({ context, event }) => received(event, 'loaded_mm').mm === context.next,
    wasLazy: ({ event }) => received(event, 'is_lazy').mode === 'lazy',
    /** Safeguard: flushes that left a lazy CPU out are made up for when it stops being lazy. */
    comparesGen: () => true,
    isInitMm: ({ event }) => received(event, 'loaded_mm').mm === null,
    toInitMm: ({ context }) => context.next === null,
    /** Safeguard: first in the mask, so that IPIs arrive, and only then the generation that they would bring. */
    setsMaskFirst: () => true,
    hasReadGen: ({ context }) => context.gen !== null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, next } = received(event, 'call');
      return { caller: from, next: next === 'kthread' ? null : next };
    }),
    irqsOff: tell(({ context }) => context.cpu, { type: 'irq.save' }),
    irqsOn: tell(({ context }) => context.cpu, { type: 'irq.restore' }),
    setLazy: tell(({ context }) => context.cpu, { type: 'is_lazy.set' }),
    readLazy: tell(({ context }) => context.cpu, { type: 'is_lazy.read' }),
    clearLazy: tell(({ context }) => context.cpu, { type: 'is_lazy.clear' }),
    readLoadedMm: tell(({ context }) => context.cpu, { type: 'loaded_mm.read' }),
    writeSwitching: tell(({ context }) => context.cpu, { type: 'loaded_mm.write', mm: LOADED_MM_SWITCHING }),
    writeNext: tell(
      ({ context }) => context.cpu,
      ({ context }) => ({ type: 'loaded_mm.write', mm: context.next }),
    ),
    setMask: tell(
      ({ context }) => context.next as Address,
      ({ context }) => ({ type: 'cpumask.set', cpu: context.cpu }),
    ),
    readGen: tell(({ context }) => context.next as Address, { type: 'tlb_gen.read' }),
    noteGen: assign({ gen: ({ event }) => received(event, 'tlb_gen').gen }),
    writeCr3: tell(
      ({ context }) => context.cpu,
      ({ context }) => ({ type: 'cr3.write', mm: context.next, gen: context.gen }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'context_switch',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'toKernelThread', target: 'enter_lazy_tlb', actions: 'remember' },
          { target: 'local_irq_disable', actions: 'remember' },
        ],
      },
    },
    enter_lazy_tlb: {
      description: 'A kernel thread runs on what is loaded, and touches no user address; with init_mm loaded there is nothing to be lazy about',
      on: {
        step: { actions: 'readLoadedMm' },
        loaded_mm: [
          { guard: 'isInitMm', target: 'idle', actions: ['return', 'forget'] },
          { target: 'idle', actions: ['setLazy', 'return', 'forget'] },
        ],
      },
    },
    local_irq_disable: { description: 'schedule() runs with interrupts off: IPIs wait', on: { step: { target: 'switch_mm_irqs_off', actions: 'irqsOff' } } },
    switch_mm_irqs_off: {
      description: 'The address space that is loaded already, or another one?',
      entry: 'readLoadedMm',
      on: {
        loaded_mm: [{ guard: 'isSameMm', target: 'was_lazy' }, { target: 'leave_prev' }],
      },
    },
    was_lazy: {
      description: 'From thread to thread of one process nothing is to do, unless the CPU was lazy',
      entry: 'readLazy',
      on: { is_lazy: [{ guard: 'wasLazy', target: 'leave_lazy' }, { target: 'local_irq_enable' }] },
    },
    leave_lazy: {
      description: 'is_lazy = false: from here flush IPIs come; a barrier',
      on: {
        step: [
          { guard: 'comparesGen', target: 'read_tlb_gen', actions: 'clearLazy' },
          { target: 'local_irq_enable', actions: 'clearLazy' },
        ],
      },
    },
    leave_prev: {
      description: 'is_lazy = false, before loaded_mm changes',
      entry: 'readLazy',
      on: { is_lazy: [{ guard: 'wasLazy', target: 'leave_prev_lazy' }, { target: 'write_switching' }] },
    },
    leave_prev_lazy: { description: 'is_lazy = false', on: { step: { target: 'write_switching', actions: 'clearLazy' } } },
    write_switching: {
      description: 'loaded_mm = LOADED_MM_SWITCHING: who flushes cannot know what is loaded',
      on: { step: { target: 'start_next', actions: 'writeSwitching' } },
    },
    start_next: {
      description: 'init_mm needs neither mask nor generation',
      always: [{ guard: 'toInitMm', target: 'load_new_mm_cr3' }, { guard: 'setsMaskFirst', target: 'cpumask_set_cpu' }, { target: 'read_tlb_gen' }],
    },
    cpumask_set_cpu: {
      description: 'Into mm_cpumask, a full barrier: from here flush IPIs come',
      on: {
        step: [
          { guard: 'hasReadGen', target: 'load_new_mm_cr3', actions: 'setMask' },
          { target: 'read_tlb_gen', actions: 'setMask' },
        ],
      },
    },
    read_tlb_gen: {
      description: 'How far has this address space been flushed?',
      on: {
        step: { actions: 'readGen' },
        tlb_gen: [
          { guard: 'setsMaskFirst', target: 'load_new_mm_cr3', actions: 'noteGen' },
          { target: 'cpumask_set_cpu', actions: 'noteGen' },
        ],
      },
    },
    load_new_mm_cr3: {
      description: 'choose_new_asid: loads the tables, and flushes the ASID if it is behind',
      on: { step: { target: 'write_loaded_mm', actions: 'writeCr3' } },
    },
    write_loaded_mm: { description: 'loaded_mm = next', on: { step: { target: 'local_irq_enable', actions: 'writeNext' } } },
    local_irq_enable: { description: 'Pending IPIs run from here on', on: { step: { target: 'idle', actions: ['irqsOn', 'return', 'forget'] } } },
  },
});
