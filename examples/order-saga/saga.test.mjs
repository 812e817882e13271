import { counterexample } from 'shootdown/jest';
import { hasty, safe, stuck } from './saga.mjs';

test('an order that gives its goods up at once may be paid for after all', async () => {
  await expect(hasty).toViolate('settled');
  expect(await counterexample(hasty, 'settled')).toContain('settled violated');
});

test('an order that waits and does not refund may wait for ever', async () => {
  await expect(stuck).toHold('settled');
  await expect(stuck).not.toBeDeadlockFree();
});

test('an order that waits, and refunds, comes to an end in every interleaving', async () => {
  await expect(safe).toHold();
  await expect(safe).toReach('order', 'confirmed');
  await expect(safe).toReach('payment', 'refunded');
  const ended = ({ order }) => order.hasTag('rest');
  await expect(safe).toLeadTo(() => true, ended, { actors: ['order'] });
});
