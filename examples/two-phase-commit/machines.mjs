import { speaker } from 'shootdown';
import { assign, setup } from 'xstate';

// The choices are named after the actions of the specification (TwoPhase.tla), and each does in one step what the action does.

const { tell, reply } = speaker();
const send = (message) => tell('network', ({ context }) => ({ type: 'send', message: message === 'Prepared' ? `Prepared ${context.name}` : message }));
const receive = (message) => tell('network', ({ event }) => ({ type: 'receive', message: message === 'Prepared' ? `Prepared ${event.rm}` : message }));

/** `msgs`: the set of all messages that were ever sent. Nothing is lost or taken out; a message may be received again and again. */
export const network = setup({
  guards: { isSent: ({ context, event }) => context.sent[event.message] === true },
  actions: {
    add: assign({ sent: ({ context, event }) => ({ ...context.sent, [event.message]: true }) }),
    hand: reply(({ event }) => {
      const [type, rm] = event.message.split(' ');
      return rm ? { type, rm } : { type };
    }),
  },
}).createMachine({
  id: 'network',
  context: { sent: {} },
  on: { send: { actions: 'add' }, receive: { guard: 'isSent', actions: 'hand' } },
});

/** The transaction manager. `prepared` is `tmPrepared`, the resource managers it has heard of. */
export const transactionManager = setup({
  guards: {
    /** Safeguard: it commits only what all are prepared to commit. */
    allPrepared: ({ context }) => context.rms.every((rm) => context.prepared[rm]),
  },
  actions: {
    ask: receive('Prepared'),
    note: assign({ prepared: ({ context, event }) => ({ ...context.prepared, [event.rm]: true }) }),
    commit: send('Commit'),
    abort: send('Abort'),
  },
}).createMachine({
  id: 'tm',
  context: ({ input }) => ({ rms: input.rms, prepared: {} }),
  initial: 'init',
  states: {
    init: {
      on: {
        TMRcvPrepared: { actions: 'ask' },
        Prepared: { actions: 'note' },
        TMCommit: { guard: 'allPrepared', target: 'committed', actions: 'commit' },
        TMAbort: { target: 'aborted', actions: 'abort' },
      },
    },
    committed: { tags: 'rest' },
    aborted: { tags: 'rest' },
  },
});

/** A resource manager. What it is told it does, whatever it has done before: that this never does harm is the protocol's claim. */
export const resourceManager = setup({
  guards: {
    /** Safeguard: who is prepared has promised to wait. */
    keepsPromise: () => true,
  },
  actions: { prepared: send('Prepared'), askCommit: receive('Commit'), askAbort: receive('Abort') },
}).createMachine({
  id: 'rm',
  context: ({ input }) => ({ name: input.name }),
  initial: 'working',
  on: {
    RMRcvCommitMsg: { actions: 'askCommit' },
    RMRcvAbortMsg: { actions: 'askAbort' },
    Commit: '.committed',
    Abort: '.aborted',
  },
  states: {
    working: { on: { RMPrepare: { target: 'prepared', actions: 'prepared' }, RMChooseToAbort: 'aborted' } },
    prepared: { on: { RMChooseToAbort: [{ guard: 'keepsPromise' }, { target: 'aborted' }] } },
    committed: { tags: 'rest' },
    aborted: { tags: 'rest' },
  },
});
