import type { Replay } from '../schedule/replay.js';
import { changesOf } from './changes.js';
import { fieldsOf } from './text.js';
import type { Found } from './violation.js';

/** A schedule with all that follows from it, as one JSON document. */
export interface ScheduleDocument {
  format: 'shootdown.schedule/1';
  /** What it is a schedule of: a variant's id, or a module's path. */
  id: string;
  parameters: Readonly<Record<string, string | number>>;
  /** The schedule in short: `shootdown replay TOKEN` runs it again. */
  token: string;
  /** The property that it violates; null if none. */
  property: string | null;
  message: string | null;
  steps: {
    /** Counted from 1. */
    number: number;
    actor: string;
    /** The choice: its number in the system, and the event that the actor is given. */
    choice: number;
    event: { type: string };
    /** In order of delivery, without the choice itself. `from` stands beside the event, not in it. */
    messages: { from: string; to: string; event: { type: string } }[];
    /** `path` leads to a field of the actor's context; null is the state it is in. A missing `before` or `after`: there is no such field. */
    changes: { actor: string; path: string | null; before?: unknown; after?: unknown }[];
  }[];
}

export interface ScheduleHead {
  id: string;
  parameters: Readonly<Record<string, string | number>>;
  token: string;
  found: Found | null;
}

/** The document of a replay. */
export function scheduleDocument(replay: Replay, { id, parameters, token, found }: ScheduleHead): ScheduleDocument {
  return {
    format: 'shootdown.schedule/1',
    id,
    parameters,
    token,
    property: found?.property ?? null,
    message: found?.message ?? null,
    steps: replay.steps.map((step) => ({
      number: step.number,
      actor: step.choice.actor.address,
      choice: step.choice.index,
      event: step.choice.event,
      messages: step.messages.flatMap(({ from, to, event }) => (from === null ? [] : [{ from, to, event: { type: event.type, ...fieldsOf(event) } }])),
      changes: changesOf(step),
    })),
  };
}
