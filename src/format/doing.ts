import type { LiveMessage, LiveStep } from '../live/live.js';
import { type Choice, laneOf, type SystemActor } from '../system/system.js';
import { type AnySnapshot, placeOf } from '../system/view.js';
import { brief, choiceText } from './text.js';

/** Names what a step does, where the state before it does not say it. */
export type StepName = (step: LiveStep, before: AnySnapshot) => string | null;

/** What a choice does: for a `step` the actor's state before it (in kernel machines, the function), else the event. */
export const deedOf = (choice: Choice, before: AnySnapshot): string => (choice.event.type === 'step' ? placeOf(before) : choiceText(choice));

/** What the acting actor is answered by the one it spoke to first; what others say may be the next call already. Null if it asks nobody. */
export function answerTo({ choice, messages }: LiveStep): LiveMessage | null {
  const { address } = choice.actor;
  const asked = messages.find(({ from, to }) => from === address && to !== address)?.to;
  return messages.find(({ from, to }) => from !== null && from === asked && to === address) ?? null;
}

/** {@link deedOf}, and the answer: `ptep_get_lockless: present, pfn 0`. */
export function doing(step: LiveStep, before: AnySnapshot, name?: StepName): string {
  const reply = answerTo(step);
  const deed = name?.(step, before) ?? deedOf(step.choice, before);
  return reply ? `${deed}: ${brief(reply.event) || reply.event.type}` : deed;
}

/** A message of an actor. */
export type Spoken = LiveMessage & { from: string };

/** What actors say in a step, in the order of sending: without the choice itself, which comes first. */
export const spokenIn = ({ messages }: LiveStep): Spoken[] => messages.slice(1).filter((message): message is Spoken => message.from !== null);

const involved = ({ choice, messages, changed }: LiveStep): string[] => [
  choice.actor.address,
  ...messages.flatMap(({ from, to }) => (from === null ? [to] : [from, to])),
  ...changed.map(({ actor }) => actor.address),
];

/** Whether each step involves only actors that no other lane's steps involve. In a schedule of one lane nothing is uneventful. */
export function uneventful(steps: readonly LiveStep[]): boolean[] {
  const users = new Map<string, Set<string>>();
  for (const step of steps) for (const address of involved(step)) users.set(address, (users.get(address) ?? new Set()).add(laneOf(step.choice.actor)));
  const lanes = new Set(steps.map(({ choice }) => laneOf(choice.actor)));
  return steps.map((step) => lanes.size > 1 && involved(step).every((address) => users.get(address)?.size === 1));
}

/** The actors that take part in a schedule, in the system's order; all of them if none does. */
export function takingPart(actors: readonly SystemActor[], steps: readonly LiveStep[]): readonly SystemActor[] {
  const spoken = new Set(
    steps.flatMap(({ choice, messages }) => [choice.actor.address, ...messages.flatMap(({ from, to }) => (from === null ? [to] : [from, to]))]),
  );
  return spoken.size > 0 ? actors.filter(({ address }) => spoken.has(address)) : actors;
}
