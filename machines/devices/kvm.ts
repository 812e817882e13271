import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** mmu_invalidate_in_progress. */
  inProgress: number;
  /** Who has read mmu_invalidate_seq since it last changed, sorted. */
  readers: Address[];
}

type Event = Signed<{ type: 'kvm.begin' } | { type: 'kvm.end' } | { type: 'kvm.read_seq' } | { type: 'kvm.retry' }>;

const { reply } = speaker<Context, Event>();
const without = (addresses: Address[], address: Address): Address[] => addresses.filter((other) => other !== address);

/**
 * What a virtual machine keeps of invalidations of its memory (struct kvm, virt/kvm/kvm_main.c, 6.12): how many are under way,
 * and how often one has ended, of which only equality is kept. Written under mmu_lock; the fault path reads the sequence
 * number without it. Any invalidation of the guest's memory counts, whatever its range (mmu_invalidate_retry). Domain table, part 2, 2B, row N5.
 */
export const kvm = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: { isUnderWay: ({ context }) => context.inProgress > 0 },
  actions: {
    begin: assign({ inProgress: ({ context }) => context.inProgress + 1 }),
    end: assign({ inProgress: ({ context }) => context.inProgress - 1, readers: [] }),
    noteReader: assign({ readers: ({ context, event }) => [...without(context.readers, event.from), event.from].sort() }),
    replySeq: reply({ type: 'kvm.seq' }),
    replyChecked: reply(({ context, event }) => ({ type: 'kvm.checked', retry: context.inProgress > 0 || !context.readers.includes(event.from) })),
    forgetReader: assign({ readers: ({ context, event }) => without(context.readers, event.from) }),
  },
}).createMachine({
  id: 'kvm',
  context: { inProgress: 0, readers: [] },
  initial: 'running',
  states: {
    running: {
      description: 'The guest runs',
      on: {
        'kvm.begin': { actions: 'begin', description: 'kvm_mmu_invalidate_begin' },
        'kvm.end': [{ guard: 'isUnderWay', actions: 'end', description: 'kvm_mmu_invalidate_end' }, { target: 'unbalanced' }],
        'kvm.read_seq': { actions: ['noteReader', 'replySeq'], description: 'kvm_faultin_pfn' },
        'kvm.retry': { actions: ['replyChecked', 'forgetReader'], description: 'is_page_fault_stale' },
      },
    },
    unbalanced: { tags: ['BUG'], description: 'BUG: mmu_invalidate_in_progress goes below zero' },
  },
});
