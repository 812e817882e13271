import type { AnyActorLogic } from 'xstate';
import type { Address } from '../system/message.js';
import type { TraceEvent } from './event.js';
import type { Cast, Hidden, Message, Taken, World } from './worlds.js';

interface Said {
  /** The actor that it is about. */
  actor: Address;
  /** Hidden choices of this group may come first; default: none. */
  group?: string;
  /** What the line says, as the end of 'the model does not allow that ...'. */
  says: string;
  property: string;
}

/**
 * What a task does at a line of its own accord: what else could have happened around there is explored with it. Plain
 * data, since it becomes part of a system.
 */
export type Operation =
  /** It sends this, and goes on when it is answered so. */
  | { kind: 'sends'; to: Address; event: Message; awaits: 'return' | 'locked' | null }
  /** No TLB may lead to this page here, whose pte was cleared at line `since`. */
  | { kind: 'requires'; mm: Address; vpn: number; since: number; property: string }
  /** What came of an operation before: which of the outcomes that it could have. */
  | { kind: 'outcome'; of: Address; value: string };

/** What a line demands of the model. A line may demand several things, one after the other. */
export type Demand =
  /** The actor takes this choice or message. `where` looks at the world before, `outcome` at what came of it. */
  | (Said & { kind: 'take'; does?: Operation; event: Message; where?: (world: World) => boolean; outcome?: (taken: Taken, before: World) => World | null })
  /** The world is like this. `reads`: the actors that `where` looks at; default: the one that it is about. */
  | (Said & { kind: 'is'; does?: Operation; where: (world: World) => boolean; reads?: readonly Address[] })
  /** From here on this choice may be taken at any time, unseen; or no more. */
  | { kind: 'hide' | 'show'; hidden: Hidden }
  /** Something about the log itself, whatever the model's state, that later rules want to know; null: no more. */
  | { kind: 'note'; name: string; value: string | null }
  /** What was unknown is now known, or one of a few. */
  | { kind: 'learn'; does?: Operation; worlds: (world: World) => World[] };

/** What a rule may do besides demanding. */
export interface Scene {
  readonly cast: Cast;
  /** The states that are possible before this line. */
  readonly worlds: readonly World[];
  /** Makes an actor when it is first seen. */
  join(address: Address, logic: AnyActorLogic, input?: unknown): void;
  /** What the rules know of the log itself, whatever the model's state: offsets, open calls. */
  readonly notes: ReadonlyMap<string, string>;
  /** Notes at once, before what the rule demands. */
  note(name: string, value: string | null): void;
}

/** What an event of a log demands of the actors. */
export type Rule = (event: TraceEvent, fields: Record<string, string>, scene: Scene) => Demand[];

/** How the events of a log move the actors of a protocol. */
export interface Protocol {
  id: string;
  title: string;
  /** Scenarios whose question it asks of a log, besides one of its own name. */
  scenarios?: readonly string[];
  /** Tracepoints and probes, as `trace-cmd record -e` takes them; without any of them nothing is checked. */
  events: readonly string[];
  /** Events that fire only on other architectures than its machines are of. */
  foreign?: { events: readonly string[]; says: string };
  /** Properties that its rules check, with what each says. */
  properties: Readonly<Record<string, string>>;
  rules: Readonly<Record<string, Rule>>;
  /** Rules for every line, before its own. */
  always?: Rule;
  /**
   * Whether an actor that no line has spoken of for long can leave, so that a log without end is read in constant memory:
   * what a world is without it, or null. It can join again, and nothing is known of it then; notes whose names begin with its
   * address go too.
   */
  retires?: (address: Address, scene: Scene) => ((world: World) => World) | null;
}
