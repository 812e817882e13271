import { fromTransition } from 'xstate';
import type { TraceEvent } from '../trace/event.js';
import type { Scene } from '../trace/protocol.js';

/** Somebody as others see it: it hears, and says nothing. */
export const listener = fromTransition((context: null) => context, null);

/** The address of the task that an event belongs to. */
export const taskOf = ({ pid }: TraceEvent): string => `task:${pid}`;

/** Lets somebody join who calls: which task it is matters to nobody, and one name for all keeps the states of the called few. */
export function joinCaller(scene: Scene): string {
  scene.join('task', listener);
  return 'task';
}

/** `change-1-169`, as the log names it. */
export const nameOf = ({ task, pid }: TraceEvent): string => `${task}-${pid}`;
