import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  mapping: Address;
  zap: Address;
}

interface Context extends Input {
  caller: Address;
  vpns: number[];
}

type Event = { type: 'step' } | Call<{ vpns: number[] }> | Return | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[] };

/** munmap (mm/mmap.c, mm/vma.c; 6.12): mmap_lock for writing, zap, unlink the VMA from the file. */
export const munmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, vpns };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    unlinkVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.unlink', vpns: context.vpns }),
    ),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    unlinkFile: tell(({ context }) => context.mapping, { type: 'mapping.unlink' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'munmap',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Z1: takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'vms_gather_munmap_vmas' } } },
    vms_gather_munmap_vmas: { description: 'Takes the VMA out of the tree', on: { step: { target: 'unmap_vmas', actions: 'unlinkVma' } } },
    unmap_vmas: { description: 'Clears, flushes, drops references', entry: 'callZap', on: { return: { target: 'unlink_file_vma' } } },
    unlink_file_vma: { description: 'Z10: the file no longer knows the mapping', on: { step: { target: 'mmap_write_unlock', actions: 'unlinkFile' } } },
    mmap_write_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
