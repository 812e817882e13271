import type { AnyActorLogic, EventFromLogic, InputFrom } from 'xstate';
import { bug, deadlockFree, type Property, type PropertyKind } from '../property/property.js';
import { fingerprint } from './canonical.js';
import { ModelError, ScheduleError } from './errors.js';
import { delayedEvents, isMachine, outline, refuseUnsupported } from './logic.js';
import type { Address } from './message.js';

/** An event that only the scheduler sends, or its type when it has no other field. */
type ChoiceOf<L extends AnyActorLogic> = EventFromLogic<L> | EventFromLogic<L>['type'];

/** What a system says of an actor beyond its logic: its input, its choices, where it is drawn. */
export interface ActorOptions<L extends AnyActorLogic> {
  input?: InputFrom<L>;
  /** What the scheduler may send to it. Default: `step`, if the machine takes one. These are fair: enabled for ever, they are taken. */
  choices?: readonly ChoiceOf<L>[];
  /** Choices that may be taken and never have to be: speculation, evictions, what the world outside does. */
  environment?: readonly ChoiceOf<L>[];
  /** A path must be where it may rest when nothing more can happen. Default: actors with the choice `step`. */
  path?: boolean;
  /** The column in diagrams (`CPU 0 (gup_fast)`). Actors that share one are shown in one; actors without are not shown. */
  lane?: string;
}

/** An actor of a system that is being defined. */
export interface ActorSpec<L extends AnyActorLogic = AnyActorLogic> extends ActorOptions<L> {
  logic: L;
}

/** An actor of a system: its logic, and what is said about it. */
export const actor = <L extends AnyActorLogic>(logic: L, options: ActorOptions<L> = {}): ActorSpec<L> => ({ logic, ...options });

/** What a system is defined by: see {@link defineSystem}. */
export interface SystemConfig {
  /** Such as `gup-unbind/A1`. */
  id: string;
  // biome-ignore lint/suspicious/noExplicitAny: a record of actors of any logic; each was checked against its own logic by `actor`
  actors: Record<Address, ActorSpec<any>>;
  properties?: readonly Property[];
  limits?: Partial<SystemLimits>;
}

export interface SystemLimits {
  /** Messages that may follow from one choice. */
  cascade: number;
  /** Local states that one actor may have. */
  localStates: number;
}

/** An actor of a system, with what was said of it or taken for granted. */
export interface SystemActor {
  index: number;
  address: Address;
  logic: AnyActorLogic;
  input: unknown;
  path: boolean;
  lane: string | null;
}

/** The column that an actor's steps are drawn in. */
export const laneOf = ({ lane, address }: Pick<SystemActor, 'lane' | 'address'>): string => lane ?? address;

/** An event that the scheduler may send to an actor. */
export interface Choice {
  /** Its number in the system: what a schedule is made of. */
  index: number;
  actor: SystemActor;
  event: { type: string };
  /** False for a choice of the environment. */
  fair: boolean;
  /** True for an `after` of the machine: enabled while its timer runs. */
  delayed: boolean;
}

/** A fixed set of named actors, with their inputs, and the properties that must hold of them. */
export interface System {
  id: string;
  actors: readonly SystemActor[];
  choices: readonly Choice[];
  /** At least `BUG` and one of kind `deadlock`; names are unique. */
  properties: readonly Property[];
  limits: SystemLimits;
  /** Changes when actors, inputs, choices or the machines' configs do. */
  digest: string;
}

/** The address of a live system's scheduler; no actor may have it. */
export const schedulerAddress = 'scheduler';

const asEvent = (choice: string | { type: string }): { type: string } => (typeof choice === 'string' ? { type: choice } : choice);

const kinds: readonly PropertyKind[] = ['bug', 'invariant', 'possibility', 'eventuality', 'deadlock'];

/** A property that nobody would judge must not look as if it held. */
function refuseUnknown(config: SystemConfig, property: Property): void {
  if (!kinds.includes(property.kind))
    throw new ModelError(`system '${config.id}': property '${property.name}' is of kind '${String(property.kind)}'; there are ${kinds.join(', ')}`);
  if (property.kind !== 'eventuality') return;
  if (typeof property.reach !== 'function') throw new ModelError(`system '${config.id}': eventuality '${property.name}' has no function 'reach'`);
  if (property.when !== undefined && typeof property.when !== 'function')
    throw new ModelError(`system '${config.id}': eventuality '${property.name}' has a premise 'when' that is no function`);
}

function properties(config: SystemConfig): Property[] {
  const all = [...(config.properties ?? [])];
  if (!all.some((property) => property.name === 'BUG')) all.unshift(bug('BUG', 'no state tagged BUG is entered'));
  if (!all.some((property) => property.kind === 'deadlock')) all.push(deadlockFree('deadlock'));
  const deadlocks = all.filter((property) => property.kind === 'deadlock');
  if (deadlocks.length > 1)
    throw new ModelError(
      `system '${config.id}' has ${deadlocks.length} properties of kind deadlock (${deadlocks.map(({ name }) => `'${name}'`).join(', ')}); one says it all`,
    );
  const names = new Set<string>();
  for (const property of all) {
    if (names.has(property.name)) throw new ModelError(`system '${config.id}' has two properties named '${property.name}'`);
    names.add(property.name);
    refuseUnknown(config, property);
    if (property.kind === 'bug' || property.kind === 'deadlock') continue;
    const unknown = property.actors.find((address) => !Object.hasOwn(config.actors, address));
    if (unknown !== undefined)
      throw new ModelError(`system '${config.id}': ${property.kind} '${property.name}' reads '${unknown}', which is no actor of the system`);
  }
  return all;
}

function choicesOf(actor: SystemActor, spec: ActorSpec): Omit<Choice, 'index'>[] {
  const takesStep = isMachine(actor.logic) && actor.logic.events.includes('step');
  const fair = (spec.choices ?? (takesStep ? ['step'] : [])).map((choice) => ({ actor, event: asEvent(choice), fair: true, delayed: false }));
  const environment = (spec.environment ?? []).map((choice) => ({ actor, event: asEvent(choice), fair: false, delayed: false }));
  const delayed = delayedEvents(actor.logic).map((type) => ({ actor, event: { type }, fair: true, delayed: true }));
  return [...fair, ...environment, ...delayed];
}

/**
 * Builds a system.
 * @throws {ModelError} when a machine contains what cannot be explored (named: machine, state, construct), a property
 *   reads an unknown actor or is of an unknown kind, or two properties share a name.
 */
export function defineSystem(config: SystemConfig): System {
  const actors: SystemActor[] = [];
  const choices: Choice[] = [];
  for (const [address, spec] of Object.entries(config.actors)) {
    if (address === schedulerAddress)
      throw new ModelError(`system '${config.id}': no actor can be named '${schedulerAddress}', the name of what takes the choices`);
    refuseUnsupported(spec.logic, address);
    const actor: SystemActor = { index: actors.length, address, logic: spec.logic, input: spec.input, path: false, lane: spec.lane ?? null };
    const own = choicesOf(actor, spec);
    actor.path = spec.path ?? own.some((choice) => choice.event.type === 'step');
    actors.push(actor);
    for (const choice of own) choices.push({ ...choice, index: choices.length });
  }
  return {
    id: config.id,
    actors,
    choices,
    properties: properties(config),
    limits: { cascade: 1000, localStates: 4096, ...config.limits },
    digest: fingerprint(
      JSON.stringify([
        actors.map((actor) => [actor.address, actor.input ?? null, outline(actor.logic)]),
        choices.map((choice) => [choice.actor.index, choice.event]),
      ]),
    ),
  };
}

/** The choice that a schedule's number stands for. @throws {ScheduleError} when the system has no such choice. */
export function choiceAt(system: System, index: number, step: number): Choice {
  const choice = system.choices[index];
  if (!choice) throw new ScheduleError(`step ${step}: choice ${index} is not one of this system's ${system.choices.length}`, step);
  return choice;
}

/** A choice in words: `cpu0: interrupt`, `cpu0: fill {"vpn":0}`. */
export function labelOf(choice: Choice): string {
  const { type, ...fields } = choice.event;
  return Object.keys(fields).length > 0 ? `${choice.actor.address}: ${type} ${JSON.stringify(fields)}` : `${choice.actor.address}: ${type}`;
}

/** A system, whichever copy of this package made it. */
export function isSystem(value: unknown): value is System {
  if (typeof value !== 'object' || value === null) return false;
  const { id, actors, choices, properties, digest } = value as Partial<Record<keyof System, unknown>>;
  return typeof id === 'string' && typeof digest === 'string' && [actors, choices, properties].every(Array.isArray);
}
