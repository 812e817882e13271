import { assign, setup } from 'xstate';
import { type Address, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';

/** One call of a task's program: which path, with which arguments. */
export interface ProgramCall {
  path: Address;
  arguments?: Record<string, unknown>;
}

interface Input {
  program: ProgramCall[];
  /** Who is told when a system call returns to user code; default: nobody. A kernel thread never returns there. */
  debug?: Address | null;
  /** It never ends: after the last call comes the first. */
  repeats?: boolean;
}

type Context = Required<Input>;

type Event = Return;

const { tell, inform } = speaker<Context, Event>();

/** A thread of execution: calls the paths of its program one after the other, each when the last has returned. */
export const task = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: { finished: ({ context }) => context.program.length === 0 },
  actions: {
    callNext: tell(
      ({ context }) => context.program[0]?.path as Address,
      ({ context }) => ({ type: 'call', ...context.program[0]?.arguments }),
    ),
    observeReturn: inform(({ context }) => context.debug, { type: 'luf.return_to_user' }),
    next: assign({
      program: ({ context: { program, repeats } }) => (repeats ? [...program.slice(1), ...program.slice(0, 1)] : program.slice(1)),
    }),
  },
}).createMachine({
  id: 'task',
  context: ({ input }) => ({ debug: null, repeats: false, ...input }),
  initial: 'next_call',
  states: {
    next_call: { description: 'Between two calls', always: [{ guard: 'finished', target: 'exited' }, { target: 'in_call' }] },
    in_call: { description: 'Inside the path that it called', entry: 'callNext', on: { return: { target: 'next_call', actions: ['observeReturn', 'next'] } } },
    exited: { tags: ['rest'], description: 'Its program is over' },
  },
});
