import { speaker } from 'shootdown';
import { assign, setup } from 'xstate';

const { tell } = speaker();

/**
 * The queue of messages to a service: they arrive in the order of sending, each when the scheduler chooses its name. So two services can
 * each have sent something that the other has not read.
 */
export const queue = setup({
  guards: { isFirst: ({ context, event }) => context.messages[0] === event.type },
  actions: {
    keep: assign({ messages: ({ context, event }) => [...context.messages, event.message] }),
    pass: tell(
      ({ context }) => context.to,
      ({ event }) => ({ type: event.type }),
    ),
    drop: assign({ messages: ({ context }) => context.messages.slice(1) }),
  },
}).createMachine({
  id: 'queue',
  context: ({ input }) => ({ to: input.to, messages: [] }),
  on: { send: { actions: 'keep' }, '*': { guard: 'isFirst', actions: ['pass', 'drop'] } },
});

/** An action that sends a message to a service. */
const send = (service, message) => tell(`to_${service}`, { type: 'send', message });

export const stock = setup({ actions: { reserved: send('order', 'reserved') } }).createMachine({
  id: 'stock',
  initial: 'free',
  states: {
    free: { on: { reserve: { target: 'held', actions: 'reserved' } } },
    held: { on: { release: 'released' } },
    released: {},
  },
});

/** `approve` is the bank's answer, which comes when it comes. A cancel that comes after it is too late: only a refund helps then. */
export const payment = setup({
  actions: { paid: send('order', 'paid'), voided: send('order', 'voided') },
}).createMachine({
  id: 'payment',
  initial: 'idle',
  states: {
    idle: { on: { charge: 'charging' } },
    charging: { on: { approve: { target: 'captured', actions: 'paid' }, cancel: { target: 'void', actions: 'voided' } } },
    captured: { on: { refund: 'refunded' } },
    void: {},
    refunded: {},
  },
});

/** The saga. Its two guards are its safeguards; a variant takes one out. */
export const order = setup({
  guards: {
    /** A cancelled order gives up the goods only when it knows what became of the money. */
    waits: () => true,
    /** Money that was taken after all is paid back. */
    refunds: () => true,
  },
  actions: {
    reserve: send('stock', 'reserve'),
    release: send('stock', 'release'),
    charge: send('payment', 'charge'),
    cancel: send('payment', 'cancel'),
    refund: send('payment', 'refund'),
  },
}).createMachine({
  id: 'order',
  initial: 'placed',
  states: {
    placed: { on: { step: { target: 'reserving', actions: 'reserve' } } },
    reserving: { on: { reserved: { target: 'paying', actions: 'charge' } } },
    paying: {
      on: {
        paid: 'confirmed',
        cancel: [
          { guard: 'waits', target: 'cancelling', actions: 'cancel' },
          { target: 'cancelled', actions: ['cancel', 'release'] },
        ],
      },
    },
    cancelling: {
      on: {
        voided: { target: 'cancelled', actions: 'release' },
        paid: { guard: 'refunds', target: 'cancelled', actions: ['refund', 'release'] },
      },
    },
    confirmed: { tags: 'rest' },
    cancelled: { tags: 'rest' },
  },
});
