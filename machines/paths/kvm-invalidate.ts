import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { NotifierCall } from './mmu-notifier-invalidate.js';

interface Input {
  kvm: Address;
  mmuLock: Address;
  /** The guest's page table. */
  mmu: Address;
  /** What of the address space is memory of the guest; default: all. */
  memslots?: number[] | null;
}

interface Context extends Required<Input> {
  caller: Address;
  phase: 'start' | 'end';
  vpns: number[];
}

type Event = { type: 'step' } | Call<NotifierCall> | Return | Signed<{ type: 'locked' } | { type: 'mmu.unmapped' }>;

const { tell, reply } = speaker<Context, Event>();
const idle = { caller: '', phase: 'start' as const, vpns: [] as number[] };

/**
 * KVM's list notifier, start and end (__kvm_handle_hva_range as called by kvm_mmu_notifier_invalidate_range_start and _end,
 * virt/kvm/kvm_main.c, 6.12). mmu_lock spins, so it never fails; it looks at no owner. Domain table, part 2, 1d, row N5.
 */
export const kvmInvalidate = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isElsewhere: ({ context: { memslots }, event }) => memslots !== null && !received(event, 'call').vpns.some((vpn) => memslots.includes(vpn)),
    isStart: ({ context }) => context.phase === 'start',
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, phase, vpns } = received(event, 'call');
      return { caller: from, phase, vpns };
    }),
    passOver: reply({ type: 'return', ok: true }),
    lock: tell(({ context }) => context.mmuLock, { type: 'lock' }),
    unlock: tell(({ context }) => context.mmuLock, { type: 'unlock' }),
    begin: tell(({ context }) => context.kvm, { type: 'kvm.begin' }),
    end: tell(({ context }) => context.kvm, { type: 'kvm.end' }),
    unmap: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.unmap', vpns: context.vpns }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'kvm_handle_hva_range',
  context: ({ input }) => ({ memslots: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isElsewhere', actions: 'passOver', description: 'no memslot: nothing is locked' },
          { target: 'kvm_mmu_lock', actions: 'remember' },
        ],
      },
    },
    kvm_mmu_lock: { description: 'Takes mmu_lock', on: { step: { target: 'spin_on_mmu_lock', actions: 'lock' } } },
    spin_on_mmu_lock: { description: 'Spins while another has mmu_lock', on: { locked: [{ guard: 'isStart', target: 'begin' }, { target: 'end' }] } },
    begin: { description: 'kvm_mmu_invalidate_begin: one more under way', on: { step: { target: 'kvm_unmap_gfn_range', actions: 'begin' } } },
    kvm_unmap_gfn_range: { description: "Drops the guest's mappings", on: { step: { target: 'kvm_flush_remote_tlbs', actions: 'unmap' } } },
    kvm_flush_remote_tlbs: { description: 'Until the guest uses none of them any more', on: { 'mmu.unmapped': { target: 'kvm_mmu_unlock' } } },
    end: {
      description: 'kvm_mmu_invalidate_end: the sequence number grows, and one less is under way',
      on: { step: { target: 'kvm_mmu_unlock', actions: 'end' } },
    },
    kvm_mmu_unlock: { description: 'Drops mmu_lock and returns', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
