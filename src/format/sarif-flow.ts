import type { CodeFlow, Location, ThreadFlow, ThreadFlowLocation } from 'sarif';
import type { AnyStateNode } from 'xstate';
import type { PropertyVerdict } from '../check/check.js';
import type { LiveStep } from '../live/live.js';
import { violatedBy } from '../property/property.js';
import { nameOf } from '../system/logic.js';
import { laneOf } from '../system/system.js';
import { type AnySnapshot, isMachineSnapshot, rests } from '../system/view.js';
import { actingBefore } from './before.js';
import { changesOf, whereOf } from './changes.js';
import { deedOf } from './doing.js';
import { goesOn } from './lasso.js';
import { plainText } from './sarif-text.js';
import { brief, plain } from './text.js';

type Counterexample = NonNullable<PropertyVerdict['counterexample']>;

/** Where a state of a machine is written; null stands for no state in particular. */
export type Locate = (node: AnyStateNode | null) => Location;

const leaves = (snapshot: AnySnapshot): AnyStateNode[] =>
  isMachineSnapshot(snapshot) ? snapshot._nodes.filter((node) => Object.keys(node.states).length === 0) : [];

/** The state in which an actor takes an event: of parallel ones, that which has a transition for it. */
function takes(snapshot: AnySnapshot, type: string): AnyStateNode | null {
  const nodes = leaves(snapshot);
  return nodes.find((node) => node.ownEvents.includes(type)) ?? nodes[0] ?? null;
}

/** `a: read_lock; a -> lock: read; lock -> a: lock word 0` */
function textOf({ choice, messages }: LiveStep, before: AnySnapshot): string {
  // A message from nobody is the choice itself.
  const said = messages.flatMap(({ from, to, event }) => (from === null ? [] : [`${from} -> ${to}: ${`${event.type} ${brief(event)}`.trim()}`]));
  return [`${choice.actor.address}: ${deedOf(choice, before)}`, ...said].join('; ');
}

/** What the step changed, by actor and path. */
const stateAfter = (step: LiveStep): NonNullable<ThreadFlowLocation['state']> =>
  Object.fromEntries(
    changesOf(step).map((change) => [whereOf(change), { text: plainText(change.path === null ? String(change.after) : plain(change.after)) || '(nothing)' }]),
  );

function locationOf(step: LiveStep, before: AnySnapshot, locate: Locate): ThreadFlowLocation {
  const { choice, number } = step;
  const state = stateAfter(step);
  return {
    executionOrder: number,
    location: { ...locate(takes(before, choice.event.type)), message: { text: plainText(`${number}. ${textOf(step, before)}`) } },
    ...(Object.keys(state).length > 0 ? { state } : {}),
  };
}

/** A counterexample as a thread of its own for each lane; null if it has no steps. */
export function codeFlow({ replay, length, lasso }: Counterexample, locate: Locate): CodeFlow | null {
  if (replay.steps.length === 0) return null;
  const before = actingBefore(replay);
  const threads = new Map<string, ThreadFlow>();
  for (const [at, step] of replay.steps.entries()) {
    const lane = laneOf(step.choice.actor);
    const thread = threads.get(lane) ?? { id: lane, message: { text: plainText(lane) }, locations: [] };
    threads.set(lane, thread);
    thread.locations.push(locationOf(step, before[at] as AnySnapshot, locate));
  }
  const how = lasso ? { message: { text: plainText(goesOn(length - lasso.stem).replace(/^\(|\)$/g, '')) } } : {};
  return { ...how, threadFlows: [...threads.values()] };
}

/** The state that a violation is about: a BUG state that was entered, where a path is stuck, else where the last step was taken. */
export function stateOf({ name, kind }: PropertyVerdict, { replay }: Counterexample): AnyStateNode | null {
  const { system, live, steps } = replay;
  const bug = live.bugs().find(({ tags }) => violatedBy(system.properties, tags).includes(name));
  if (bug) return bug;
  const stuck = kind === 'deadlock' ? system.actors.find(({ path, address }) => path && !rests(live.snapshot(address))) : undefined;
  if (stuck) return leaves(live.snapshot(stuck.address))[0] ?? null;
  const last = steps.at(-1);
  return last ? takes(actingBefore(replay).at(-1) as AnySnapshot, last.choice.event.type) : null;
}

/** A state by its name: `path.inside`. */
export const logicalName = (node: AnyStateNode): string => (node.path.length > 0 ? `${node.machine.id}.${nameOf(node)}` : node.machine.id);
