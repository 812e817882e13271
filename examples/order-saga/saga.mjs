import { actor, defineSystem, invariant } from 'shootdown';
import { order, payment, queue, stock } from './services.mjs';

const queueTo = (to, choices) => actor(queue, { input: { to }, choices, lane: to });

const settled = invariant('settled', 'in the end the shop keeps the money exactly where the customer gets the goods', {
  actors: ['order', 'payment', 'stock', 'to_order', 'to_payment', 'to_stock'],
  when: ({ order, to_order, to_payment, to_stock }) =>
    order.hasTag('rest') && [to_order, to_payment, to_stock].every(({ context }) => context.messages.length === 0),
  holds: ({ payment, stock }) => payment.matches('captured') === stock.matches('held'),
});

/** An order that the customer may cancel while the bank decides. */
const saga = (id, guards) =>
  defineSystem({
    id,
    actors: {
      order: actor(order.provide({ guards }), { environment: ['cancel'], lane: 'order' }),
      to_order: queueTo('order', ['reserved', 'paid', 'voided']),
      payment: actor(payment, { choices: ['approve'], lane: 'payment' }),
      to_payment: queueTo('payment', ['charge', 'cancel', 'refund']),
      stock: actor(stock, { lane: 'stock' }),
      to_stock: queueTo('stock', ['reserve', 'release']),
    },
    properties: [settled],
  });

/** Gives the goods up at once. */
export const hasty = saga('hasty', { waits: () => false });
/** Waits for a `voided` that does not come once the money was taken. */
export const stuck = saga('stuck', { refunds: () => false });
export const safe = saga('safe', {});
