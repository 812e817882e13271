import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  kvm: Address;
  mmuLock: Address;
  /** The guest's page table. */
  mmu: Address;
  /** get_user_pages of the host's address space. */
  gup: Address;
  putPage: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  /** The page that it holds a reference of; null: none. */
  pfn: number | null;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write?: boolean }>
  | Return<{ pages?: number[] }>
  | Signed<{ type: 'kvm.seq' } | { type: 'locked' } | { type: 'kvm.checked'; retry: boolean }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: null, ok: false };

/**
 * A fault of a guest (direct_page_fault, arch/x86/kvm/mmu/mmu.c, 6.12): reads the sequence number, looks the page up in the host's address
 * space, and maps it under mmu_lock if no invalidation has ended since and none is under way; else again (RET_PF_RETRY: the
 * guest runs and faults). The early checks without the lock are left out: they only save work. Domain table, part 2, row N5.
 */
export const kvmPageFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    hasPage: ({ event }) => (received(event, 'return').pages ?? []).length > 0,
    mustRetry: ({ event }) => received(event, 'kvm.checked').retry,
    isDone: ({ context }) => context.ok,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    readSeq: tell(({ context }) => context.kvm, { type: 'kvm.read_seq' }),
    callGup: tell(
      ({ context }) => context.gup,
      ({ context }) => ({ type: 'call', vpns: [context.vpn], write: true }),
    ),
    notePage: assign({ pfn: ({ event }) => received(event, 'return').pages?.[0] ?? null }),
    lock: tell(({ context }) => context.mmuLock, { type: 'lock' }),
    unlock: tell(({ context }) => context.mmuLock, { type: 'unlock' }),
    check: tell(({ context }) => context.kvm, { type: 'kvm.retry' }),
    map: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.map', vpn: context.vpn, pfn: context.pfn, write: true, atomic: false }),
    ),
    noteDone: assign({ ok: true }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    forgetPage: assign({ pfn: null }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'direct_page_fault',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'kvm_faultin_pfn', actions: 'remember' } } },
    kvm_faultin_pfn: {
      description: 'Reads mmu_invalidate_seq before it looks the page up',
      on: { step: { actions: 'readSeq' }, 'kvm.seq': { target: 'hva_to_pfn' } },
    },
    hva_to_pfn: {
      description: "Looks the page up in the host's address space, and takes a reference",
      entry: 'callGup',
      on: { return: [{ guard: 'hasPage', target: 'write_lock', actions: 'notePage' }, { target: 'kvm_handle_error_pfn' }] },
    },
    write_lock: { description: 'Takes mmu_lock', on: { step: { target: 'spin_on_mmu_lock', actions: 'lock' } } },
    spin_on_mmu_lock: { description: 'Spins while another has mmu_lock', on: { locked: { target: 'is_page_fault_stale' } } },
    is_page_fault_stale: {
      description: 'Is an invalidation under way, or has one ended since?',
      on: { step: { actions: 'check' }, 'kvm.checked': [{ guard: 'mustRetry', target: 'write_unlock_again' }, { target: 'direct_map' }] },
    },
    write_unlock_again: { description: 'RET_PF_RETRY: drops mmu_lock', on: { step: { target: 'kvm_release_pfn', actions: 'unlock' } } },
    direct_map: { description: 'Maps the page, writable', on: { step: { target: 'write_unlock', actions: ['map', 'noteDone'] } } },
    write_unlock: { tags: ['served'], description: 'The guest has the page: drops mmu_lock', on: { step: { target: 'kvm_release_pfn', actions: 'unlock' } } },
    kvm_release_pfn: {
      description: 'Drops the reference: KVM keeps none',
      entry: 'callPut',
      on: {
        return: [
          { guard: 'isDone', target: 'idle', actions: ['return', 'forget'] },
          { target: 'kvm_faultin_pfn', actions: 'forgetPage', description: 'the guest runs, and faults again' },
        ],
      },
    },
    kvm_handle_error_pfn: {
      tags: ['served'],
      description: 'There is no page: the virtual machine monitor is told -EFAULT',
      on: { step: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
