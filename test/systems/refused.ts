import type { AnyStateMachine } from 'xstate';
import { machine } from './small.js';

/** What a call throws: the name of the error and its message, which must be one line. */
export function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    expect(error.message).not.toContain('\n');
    return `${error.name}: ${error.message}`;
  }
  throw new Error('nothing was refused');
}

/** A machine `m` that meets `construct`, a list of actions, on `step` in its state `s`. */
export const acting = (construct: unknown, rest: object = {}): AnyStateMachine =>
  machine({ id: 'm', context: { n: 0 }, initial: 's', states: { s: { on: { step: { target: 't', actions: construct } } }, t: { tags: ['rest'] } }, ...rest });
