import { assign, enqueueActions, setup } from 'xstate';
import { type ActorSpec, type Address, actor, received, type Signed, speaker } from '../../src/index.js';

export type Message = { type: string; [field: string]: unknown };

/** A message of a probe's script; with `until`, nothing more is said before that type of message has come. */
export interface Line {
  to: Address;
  message: Message;
  until?: string;
}

interface ProbeContext {
  script: Line[];
  /** What is waited for. */
  until: string | null;
}
type ProbeEvent = { type: 'step' } | { type: 'say'; to: Address; message: Message } | Signed<{ type: 'heard' }>;
const probeTalk = speaker<ProbeContext, ProbeEvent>();

/**
 * Stands in for the paths around an object: says what the choice `say` tells it to, or with each `step` the next line of
 * its script. A script is a path: it may rest only at its end.
 */
const probeMachine = setup({
  types: { context: {} as ProbeContext, events: {} as ProbeEvent, input: {} as { script: Line[] } },
  guards: {
    finished: ({ context }) => context.script.length === 0,
    waits: ({ context }) => context.script[0]?.until !== undefined,
    awaited: ({ context, event }) => event.type === context.until,
  },
  actions: {
    say: probeTalk.tell<Message>(
      ({ event }) => received(event, 'say').to,
      ({ event }) => received(event, 'say').message,
    ),
    sayLine: probeTalk.tell<Message>(
      ({ context }) => (context.script[0] as Line).to,
      ({ context }) => (context.script[0] as Line).message,
    ),
    nextLine: assign({ until: ({ context }) => context.script[0]?.until ?? null, script: ({ context }) => context.script.slice(1) }),
  },
}).createMachine({
  id: 'probe',
  context: ({ input }) => ({ script: input.script, until: null }),
  initial: 'next',
  on: { say: { actions: 'say' } },
  states: {
    next: { always: [{ guard: 'finished', target: 'silent' }, { target: 'speaking' }] },
    speaking: {
      on: {
        step: [
          { guard: 'waits', target: 'waiting', actions: ['sayLine', 'nextLine'] },
          { target: 'next', actions: ['sayLine', 'nextLine'] },
        ],
      },
    },
    waiting: { on: { step: {}, say: { actions: 'say' }, '*': { guard: 'awaited', target: 'next' } } },
    silent: { tags: ['rest'] },
  },
});
export type Probe = typeof probeMachine;

export const probe = (script: Line[] = []): ActorSpec<Probe> => actor(probeMachine, { input: { script } });

/** Per type of message, the answers to it, one after the other; the last one again and again. None: it is only heard. */
export type Answers = Record<string, Message[]>;

interface StandInContext {
  answers: Answers;
}
type StandInEvent = Signed<{ type: 'heard' }>;
const standInTalk = speaker<StandInContext, StandInEvent>();

const standInMachine = setup({
  types: { context: {} as StandInContext, events: {} as StandInEvent, input: {} as { answers: Answers } },
  actions: {
    answer: enqueueActions(({ enqueue, context, event }) => {
      const [first, ...rest] = context.answers[event.type] ?? [];
      if (!first) return;
      enqueue(standInTalk.reply<Message>(first));
      if (rest.length > 0) enqueue.assign({ answers: { ...context.answers, [event.type]: rest } });
    }),
  },
}).createMachine({ id: 'stand_in', context: ({ input }) => input, on: { '*': { actions: 'answer' } } });

/** Stands in for an object or a called path: answers as it was told to. */
export const answers = (script: Answers = {}): ActorSpec<typeof standInMachine> => actor(standInMachine, { input: { answers: script }, choices: [] });

/** Stands in for a path that returns this, one after the other. */
export const returns = (...results: object[]): ActorSpec<typeof standInMachine> =>
  answers({ call: (results.length > 0 ? results : [{}]).map((result) => ({ type: 'return', ...result })) });
