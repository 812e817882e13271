import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';
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
  /** After each call it is in user code, until the choice `again` makes the next one. */
  pauses?: boolean;
  /** It runs only once its parent has forked it. */
  isNew?: boolean;
}

type Context = Required<Input>;

type Event = Return | { type: 'again' } | Signed<{ type: 'wake_up_new_task' }>;

const { tell, inform } = speaker<Context, Event>();

/** A thread of execution: calls the paths of its program one after the other, each when the last has returned. */
export const task = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    finished: ({ context }) => context.program.length === 0,
    pauses: ({ context }) => context.pauses,
    isNew: ({ context }) => context.isNew,
  },
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
  context: ({ input }) => ({ debug: null, repeats: false, pauses: false, isNew: false, ...input }),
  initial: 'start',
  states: {
    start: { description: 'Is there such a thread yet?', always: [{ guard: 'isNew', target: 'not_forked' }, { target: 'next_call' }] },
    not_forked: { tags: ['rest'], description: 'Its parent has not forked it', on: { wake_up_new_task: { target: 'next_call' } } },
    next_call: { description: 'Between two calls', always: [{ guard: 'finished', target: 'exited' }, { target: 'in_call' }] },
    in_call: {
      description: 'Inside the path that it called',
      entry: 'callNext',
      on: {
        return: [
          { guard: 'pauses', target: 'in_user', actions: ['observeReturn', 'next'] },
          { target: 'next_call', actions: ['observeReturn', 'next'] },
        ],
      },
    },
    in_user: { tags: ['rest'], description: 'In user code, for as long as it likes', on: { again: { target: 'next_call' } } },
    exited: { tags: ['rest'], description: 'Its program is over' },
  },
});
