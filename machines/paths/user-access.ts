import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Input {
  cpu: Address;
  fault: Address;
  /** Who is told when a fault returns to user code; default: nobody. A kernel thread never returns there. */
  debug?: Address | null;
  task?: Address;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  write: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write: boolean }>
  | Return<{ ok: boolean }>
  | Signed<{ type: 'access.done'; vpn: number } | { type: 'access.fault'; vpn: number }>;

const { tell, inform } = speaker<Context, Event>();

/** A load or store of user code: through the TLB, or a walk, or a page fault and then again. Domain table 1.b. */
export const userAccess = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: { ok: ({ event }) => received(event, 'return').ok },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, write } = received(event, 'call');
      return { caller: from, vpn, write };
    }),
    access: tell(
      ({ context }) => context.cpu,
      ({ context }) => ({ type: 'access', vpn: context.vpn, write: context.write }),
    ),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: context.vpn, ...(context.write ? { write: true } : {}) }),
    ),
    observeReturn: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.return_to_user', task: context.task }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', vpn: -1, write: false }),
  },
}).createMachine({
  id: 'user_access',
  context: ({ input }) => ({ debug: null, task: '', ...input, caller: '', vpn: -1, write: false }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'access', actions: 'remember' } } },
    access: {
      description: 'The instruction: a TLB entry is used without another look at the pte',
      on: { step: { actions: 'access' }, 'access.done': { target: 'idle', actions: ['return', 'forget'] }, 'access.fault': { target: 'handle_mm_fault' } },
    },
    handle_mm_fault: {
      description: 'The page fault; then the instruction again, or SIGBUS',
      entry: 'callFault',
      on: {
        return: [
          { guard: 'ok', target: 'access', actions: 'observeReturn' },
          { target: 'idle', actions: ['observeReturn', 'return', 'forget'] },
        ],
      },
    },
  },
});
