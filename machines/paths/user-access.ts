import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';

interface Context {
  cpu: Address;
  fault: Address;
  caller: Address;
  vpn: number;
  write: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write: boolean }>
  | Return<{ ok: boolean }>
  | Signed<{ type: 'access.done'; vpn: number } | { type: 'access.fault'; vpn: number }>;

const { tell } = speaker<Context, Event>();

/** A load or store of user code: through the TLB, or a walk, or a page fault and then again. Domain table 1.b. */
export const userAccess = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { cpu: Address; fault: Address } },
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
      ({ context }) => ({ type: 'call', vpn: context.vpn }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', vpn: -1, write: false }),
  },
}).createMachine({
  id: 'user_access',
  context: ({ input }) => ({ ...input, caller: '', vpn: -1, write: false }),
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
          { guard: 'ok', target: 'access' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
  },
});
