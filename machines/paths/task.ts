import { assign, setup } from 'xstate';
import { type Address, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';

/** One call of a task's program: which path, with which arguments. */
export interface ProgramCall {
  path: Address;
  arguments?: Record<string, unknown>;
}

interface Context {
  program: ProgramCall[];
}

type Event = Return;

const { tell } = speaker<Context, Event>();

/** A thread of execution: calls the paths of its program one after the other, each when the last has returned. */
export const task = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { program: ProgramCall[] } },
  guards: { finished: ({ context }) => context.program.length === 0 },
  actions: {
    callNext: tell(
      ({ context }) => context.program[0]?.path as Address,
      ({ context }) => ({ type: 'call', ...context.program[0]?.arguments }),
    ),
    next: assign({ program: ({ context }) => context.program.slice(1) }),
  },
}).createMachine({
  id: 'task',
  context: ({ input }) => input,
  initial: 'next_call',
  states: {
    next_call: { description: 'Between two calls', always: [{ guard: 'finished', target: 'exited' }, { target: 'in_call' }] },
    in_call: { description: 'Inside the path that it called', entry: 'callNext', on: { return: { target: 'next_call', actions: 'next' } } },
    exited: { tags: ['rest'], description: 'Its program is over' },
  },
});
