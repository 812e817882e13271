import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { Area } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  /** The handler for what is mapped there (handle_mm_fault). */
  handler: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  write: boolean;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write?: boolean }>
  | Return<{ ok: boolean }>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, write: false, ok: false };

/**
 * The page fault of a user thread (exc_page_fault, lock_mm_and_find_vma; arch/x86/mm/fault.c, mm/memory.c, 6.12):
 * mmap_lock for reading around the handler. Returns `{ ok }`; not ok is a signal. Domain table 0.1, SLOW.
 */
export const userFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ context, event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && (area === undefined || (context.write ? area.write : area.read));
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, write } = received(event, 'call');
      return { caller: from, vpn, write: write ?? false };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    callHandler: tell(
      ({ context }) => context.handler,
      ({ context }) => ({ type: 'call', vpn: context.vpn, ...(context.write ? { write: true } : {}) }),
    ),
    noteResult: assign({ ok: ({ event }) => received(event, 'return').ok }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'exc_page_fault',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_vma' } } },
    find_vma: {
      description: 'No VMA, or one without the right (access_error): SIGSEGV',
      on: { step: { actions: 'findVma' }, vma: [{ guard: 'found', target: 'handle_mm_fault' }, { target: 'mmap_read_unlock' }] },
    },
    handle_mm_fault: {
      description: 'Maps a page, or says why not',
      entry: 'callHandler',
      on: { return: { target: 'mmap_read_unlock', actions: 'noteResult' } },
    },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
