import { assign, setup } from 'xstate';
import { type Address, received, speaker } from '../system/message.js';
import type { Operation } from '../trace/protocol.js';

/** What a task does next: an operation of a line, or waiting until it runs. */
export type Planned =
  | { line: number; operation: Exclude<Operation, { kind: 'outcome' }> }
  | { waitsFor: 'return' }
  | { runsOn: Address }
  | { hands: Address; to: Address };

interface Context {
  plan: Planned[];
  /** CPUs that it was given and has not run on yet. */
  given: Address[];
}

type Event = { type: 'step' } | { type: 'return' | 'locked' } | { type: 'run'; on: Address };

const { tell } = speaker<Context, Event>();
const next = ({ plan: [first] }: Context): Planned | undefined => first;
const sends = (context: Context): Extract<Operation, { kind: 'sends' }> | null => {
  const first = next(context);
  return first && 'operation' in first && first.operation.kind === 'sends' ? first.operation : null;
};

/** The CPU that it waits for. */
const cpuIn = (context: Context): Address => (next(context) as { runsOn: Address }).runsOn;

/** A task that does what a log shows it to do, as soon as it runs and what it did before is over. */
export const loggedTask = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { plan: Planned[] } },
  guards: {
    finished: ({ context }) => context.plan.length === 0,
    isInCall: ({ context }) => 'waitsFor' in (next(context) as Planned),
    isOffCpu: ({ context }) => 'runsOn' in (next(context) as Planned),
    isGiven: ({ context }) => context.given.includes(cpuIn(context)),
    handsOver: ({ context }) => 'hands' in (next(context) as Planned),
    isCall: ({ context }) => sends(context)?.awaits === 'return',
    isLock: ({ context }) => sends(context)?.awaits === 'locked',
    sends: ({ context }) => sends(context) !== null,
  },
  actions: {
    send: tell(
      ({ context }) => sends(context)?.to as Address,
      ({ context }) => sends(context)?.event as { type: string },
    ),
    handOver: tell(
      ({ context }) => (next(context) as { to: Address }).to,
      ({ context }) => ({ type: 'run', on: (next(context) as { hands: Address }).hands }),
    ),
    goOn: assign({ plan: ({ context }) => context.plan.slice(1) }),
    noteGiven: assign({ given: ({ context, event }) => [...context.given, received(event, 'run').on].sort() }),
    useGiven: assign({ given: ({ context }) => context.given.filter((_, at) => at !== context.given.indexOf(cpuIn(context))) }),
  },
}).createMachine({
  id: 'logged_task',
  context: ({ input }) => ({ plan: input.plan, given: [] }),
  initial: 'between',
  on: { run: { actions: 'noteGiven' } },
  states: {
    between: {
      description: 'What comes next?',
      always: [
        { guard: 'finished', target: 'exited' },
        { guard: 'isInCall', target: 'in_call' },
        { guard: 'isOffCpu', target: 'off_cpu' },
        { guard: 'handsOver', target: 'between', reenter: true, actions: ['handOver', 'goOn'] },
        { target: 'at_line' },
      ],
    },
    at_line: {
      description: 'Before what its next line shows',
      on: {
        step: [
          { guard: 'isCall', target: 'in_call', actions: 'send' },
          { guard: 'isLock', target: 'asleep', actions: 'send' },
          { guard: 'sends', target: 'between', actions: ['send', 'goOn'] },
          { target: 'between', actions: 'goOn' },
        ],
      },
    },
    in_call: { description: 'Inside what it has called', on: { return: { target: 'between', actions: 'goOn' } } },
    asleep: {
      tags: ['rest'],
      description: 'Until it has the lock. In an order in which that is never, the lines that follow cannot come: no deadlock, the log went otherwise',
      on: { locked: { target: 'between', actions: 'goOn' } },
    },
    off_cpu: {
      tags: ['rest'],
      description: 'Another task has the CPU',
      always: { guard: 'isGiven', target: 'between', actions: ['useGiven', 'goOn'] },
    },
    exited: { tags: ['rest'], description: 'The log shows no more of it' },
  },
});
