import type { LiveStep } from '../live/live.js';
import { type AnySnapshot, placeOf } from '../system/view.js';
import { plain } from './text.js';

/** One thing that a step changed. `before` or `after` is undefined where there is nothing. */
export interface Change {
  actor: string;
  /** The way to it within the actor's context, such as `ptes.0.kind`; null for the state that the actor is in. */
  path: string | null;
  before: unknown;
  after: unknown;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function* differences(before: unknown, after: unknown, path: readonly string[]): Generator<{ path: string; before: unknown; after: unknown }> {
  if (Object.is(before, after)) return;
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) yield* differences(before[key], after[key], [...path, key]);
  } else yield { path: path.join('.'), before, after };
}

/** What an actor says on finishing, and that it has, stand beside its context. */
const extras = (snapshot: AnySnapshot): Record<string, unknown> => ({
  status: snapshot.status,
  ...(snapshot.output === undefined ? {} : { output: snapshot.output }),
});

/** What a step changed: per actor, the state it is in, then what differs in its context. */
export function changesOf(step: { readonly changed: Readonly<LiveStep['changed']> }): Change[] {
  return step.changed.flatMap(({ actor: { address }, before, after }) => {
    const places = [placeOf(before), placeOf(after)] as const;
    const moved: Change[] = places[0] === places[1] ? [] : [{ actor: address, path: null, before: places[0], after: places[1] }];
    const fields = [
      ...differences(before.context, after.context, []),
      ...(before.status === after.status ? [] : differences(extras(before), extras(after), [])),
    ];
    return [...moved, ...fields.map((field): Change => ({ actor: address, ...field }))];
  });
}

/** What has changed: `mm.ptes.0.kind`; of the state that it is in, the actor. */
export const whereOf = ({ actor, path }: Change): string => (path === null || path === '' ? actor : `${actor}.${path}`);

/** How: `none -> present`. */
export const becameText = ({ path, before, after }: Change): string => (path === null ? `${before} -> ${after}` : `${plain(before)} -> ${plain(after)}`);
