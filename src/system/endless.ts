import { ModelError } from './errors.js';
import type { SystemLimits } from './system.js';

/** A message on its way within a step: from whom, to whom, of which type. */
export type Hop = { from: string; to: string; type: string };

/** A step whose messages go on for ever: names the actors and the last ten messages. */
export function endlessStep(hops: readonly Hop[], { cascade }: SystemLimits): ModelError {
  const last = hops.slice(-10);
  const actors = [...new Set(last.map(({ to }) => `'${to}'`))];
  const messages = last.map(({ from, to, type }) => `${from} -> ${to}: ${type}`);
  return new ModelError(
    `a step does not end: after ${cascade} messages ${actors.join(' and ')} still answer each other (the last ten: ${messages.join('; ')}); wait for a choice somewhere in between`,
  );
}

/** An actor that never comes to rest on one event: `always` transitions or raised events go round in a circle. */
export const endlessActor = (where: string, { cascade }: SystemLimits): ModelError =>
  new ModelError(`${where}: one event leads to more than ${cascade} microsteps; 'always' transitions or raised events go round in a circle`);
