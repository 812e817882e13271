import type { JudgedLasso, Obligation } from '../schedule/lasso.js';
import type { Replay } from '../schedule/replay.js';
import type { Choice } from '../system/system.js';
import { changesOf } from './changes.js';
import { fieldsOf } from './text.js';
import { type Found, lassoAt } from './violation.js';

/** A choice: its number in the system, and the event that its actor is given. */
interface ChoiceDocument {
  actor: string;
  choice: number;
  event: { type: string };
}

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
  /** Steps before those that repeat for ever, of a violated eventuality; as many as there are: nothing more happens. */
  loop: number | null;
  /** Why each fair choice is not owed: it is `taken` in those steps, `disabled` or `idle` (would change nothing) after that one. */
  fairness: (ChoiceDocument & ({ why: 'taken'; steps: readonly number[] } | { why: 'disabled' | 'idle'; after: number; place: string }))[] | null;
  /** Assumptions each of which would make the property hold; null: nobody has searched for them. `untried`: how many were not tried. */
  cures: (ChoiceDocument & { kind: 'strong' | 'weak' | 'finite' })[] | null;
  untried: number | null;
  steps: (ChoiceDocument & {
    /** Counted from 1. */
    number: number;
    /** In order of delivery, without the choice itself. `from` stands beside the event, not in it. */
    messages: { from: string; to: string; event: { type: string } }[];
    /** `path` leads to a field of the actor's context; null is the state it is in. A missing `before` or `after`: there is no such field. */
    changes: { actor: string; path: string | null; before?: unknown; after?: unknown }[];
  })[];
}

export interface ScheduleHead {
  id: string;
  parameters: Readonly<Record<string, string | number>>;
  token: string;
  found: Found | null;
}

const choiceDocument = ({ actor, index, event }: Choice): ChoiceDocument => ({ actor: actor.address, choice: index, event });

function obligationDocument(obligation: Obligation): NonNullable<ScheduleDocument['fairness']> {
  const choice = choiceDocument(obligation.choice);
  if (obligation.why === 'owed') return [];
  if (obligation.why === 'taken') return [{ ...choice, why: obligation.why, steps: obligation.steps }];
  return [{ ...choice, why: obligation.why, after: obligation.after, place: obligation.place }];
}

const lassoDocument = ({ system }: Replay, lasso: JudgedLasso | null): Pick<ScheduleDocument, 'loop' | 'fairness' | 'cures' | 'untried'> => ({
  loop: lasso?.stem ?? null,
  fairness: lasso?.obligations.flatMap(obligationDocument) ?? null,
  cures: lasso?.cures?.map(({ kind, choice }) => ({ kind, ...choiceDocument(system.choices[choice] as Choice) })) ?? null,
  untried: lasso?.cures ? lasso.untried : null,
});

/** The document of a replay. */
export function scheduleDocument(replay: Replay, { id, parameters, token, found }: ScheduleHead): ScheduleDocument {
  return {
    format: 'shootdown.schedule/1',
    id,
    parameters,
    token,
    property: found?.property ?? null,
    message: found?.message ?? null,
    ...lassoDocument(replay, lassoAt(replay, found)),
    steps: replay.steps.map((step) => ({
      number: step.number,
      ...choiceDocument(step.choice),
      messages: step.messages.flatMap(({ from, to, event }) => (from === null ? [] : [{ from, to, event: { type: event.type, ...fieldsOf(event) } }])),
      changes: changesOf(step),
    })),
  };
}
