import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { UnlinkVma } from './zap.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  zap: Address;
  /** What goes with the VMA; default: an anonymous one, whose page tables are used by others too. */
  unlink?: UnlinkVma;
  /** Who is told when it returns; default: nobody. */
  coherence?: Address | null;
  debug?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpns: number[];
}

type Event = { type: 'step' } | Call<{ vpns: number[] }> | Return | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none' }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[] };

/** munmap (mm/mmap.c, mm/vma.c; 6.12): mmap_lock for writing, the VMA out of the tree, then zap, which unlinks it from the file. */
export const munmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: { found: ({ event }) => received(event, 'vma').result === 'found' },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, vpns };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpns[0] }),
    ),
    unlinkVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.unlink', vpns: context.vpns }),
    ),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns, unlink: context.unlink, event: 'UNMAP' }),
    ),
    withdraw: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.unmap', mm: context.mm, vpns: context.vpns }),
    ),
    observeWithdrawal: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.withdrawn', mm: context.mm, vpns: context.vpns }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'munmap',
  context: ({ input }) => ({ unlink: { mapping: null }, coherence: null, debug: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Z1: takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'vms_gather_munmap_vmas' } } },
    vms_gather_munmap_vmas: {
      description: 'Takes the VMA out of the tree; no VMA: nothing to do',
      on: { step: { actions: 'findVma' }, vma: [{ guard: 'found', target: 'unmap_region', actions: 'unlinkVma' }, { target: 'mmap_write_unlock' }] },
    },
    unmap_region: { description: 'Clears, unlinks, flushes, drops references', entry: 'callZap', on: { return: { target: 'mmap_write_unlock' } } },
    mmap_write_unlock: {
      description: 'Drops mmap_lock and returns',
      on: { step: { target: 'idle', actions: ['unlockMm', 'withdraw', 'observeWithdrawal', 'return', 'forget'] } },
    },
  },
});
