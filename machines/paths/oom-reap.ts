import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  mmapLock: Address;
  zap: Address;
  /** How often it tries (MAX_OOM_REAP_RETRIES); default: 10. */
  attempts?: number;
}

interface Context extends Required<Input> {
  caller: Address;
  vpns: number[];
  /** Attempts that failed. */
  failed: number;
  ok: boolean;
}

type Event = { type: 'step' } | Call<{ vpns: number[] }> | Return<{ ok?: boolean }> | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[], failed: 0, ok: false };

/**
 * The OOM reaper (oom_reap_task, oom_reap_task_mm; mm/oom_kill.c, 6.12): zaps the private memory of a task that is to die, the one caller of
 * mmu_notifier_invalidate_range_start_nonblock. Where a callback would have to sleep it sleeps itself, and tries again, up to a
 * bound. Here it waits for mmap_lock, where the kernel only tries to get it and counts that as an attempt. Domain table, part 2, 1d.
 */
export const oomReap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    ok: ({ event }) => received(event, 'return').ok !== false,
    hasReaped: ({ context }) => context.ok,
    triesAgain: ({ context }) => context.failed < context.attempts,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns } = received(event, 'call');
      return { caller: from, vpns };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns, event: 'UNMAP', blockable: false }),
    ),
    noteReaped: assign({ ok: true }),
    countFailure: assign({ failed: ({ context }) => context.failed + 1 }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'oom_reap_task',
  context: ({ input }) => ({ attempts: 10, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'oom_reap_task_mm' } } },
    oom_reap_task_mm: {
      description: 'Zaps what it may; it may not sleep in a callback',
      entry: 'callZap',
      on: {
        return: [
          { guard: 'ok', target: 'mmap_read_unlock', actions: 'noteReaped' },
          { target: 'mmap_read_unlock', actions: 'countFailure' },
        ],
      },
    },
    mmap_read_unlock: {
      description: 'Drops mmap_lock; reaped, or tried often enough: returns',
      on: {
        step: [
          { guard: 'hasReaped', target: 'idle', actions: ['unlockMm', 'return', 'forget'] },
          { guard: 'triesAgain', target: 'schedule_timeout_idle', actions: 'unlockMm' },
          { target: 'idle', actions: ['unlockMm', 'return', 'forget'] },
        ],
      },
    },
    schedule_timeout_idle: { description: 'Sleeps before it tries again', on: { step: { target: 'mmap_read_lock' } } },
  },
});
