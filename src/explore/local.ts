import type { AnyActorScope, AnyMachineSnapshot, AnyStateNode } from 'xstate';
import { canonical, deepFreeze, NotPlainData } from '../system/canonical.js';
import { endlessActor } from '../system/endless.js';
import { ModelError, messageOf } from '../system/errors.js';
import { isMachine } from '../system/logic.js';
import type { Address } from '../system/message.js';
import type { System, SystemActor } from '../system/system.js';
import { type AnySnapshot, bugNodes, identityKey, initialBugNodes, isMachineSnapshot, rests, whereIs } from '../system/view.js';
import { withoutChance } from './chance.js';
import type { Coverage } from './coverage.js';

/** One local state of one actor. */
export interface LocalState {
  snapshot: AnySnapshot;
  /** Delayed events whose timer runs. */
  waiting: readonly string[];
  /** Where a path may rest: tag `rest`, or not active any more. */
  rests: boolean;
  /** BUG states it is in: the property each violates is found by name among `tags`. */
  bugs: readonly BugReport[];
}

export interface BugReport {
  actor: Address;
  state: string;
  message: string;
  tags: readonly string[];
}

/** A row of an actor's local transition table: what one message does in one local state. */
export interface LocalTransition {
  next: number;
  /** Receivers and messages, in the order of sending. */
  sends: readonly { to: number; message: number }[];
  /** BUG states entered, those left again within the same macrostep included. */
  bugs: readonly BugReport[];
}

interface Outcome {
  snapshot: AnySnapshot;
  waiting: string[];
  sends: { to: number; message: number }[];
  bugs: BugReport[];
}

type Inspection = { type: string; snapshot?: AnySnapshot; _transitions?: readonly unknown[] };
type Executable = { type: string; params: unknown };

const reportsOf = (nodes: readonly AnyStateNode[], actor: Address): BugReport[] =>
  nodes.map((node) => ({ actor, state: node.id, message: node.description ?? node.key, tags: node.tags }));
const bugsIn = (snapshot: AnySnapshot, actor: Address): BugReport[] => reportsOf(bugNodes(snapshot), actor);

/**
 * The local transition tables of a system: every local state and message is a small number, and each entry is computed by
 * XState's own `transition` the first time somebody asks (twice, in fact: an answer that differs shows an impure machine).
 */
export class LocalTables {
  readonly states: LocalState[][] = [];
  readonly messages: { type: string }[] = [];
  /** How often XState computed a transition. */
  calls = 0;
  private readonly stateIds: Map<string, number>[] = [];
  private readonly messageIds = new Map<string, number>();
  private readonly rows: Map<number, LocalTransition>[][] = [];
  /** Per actor, local state and message: whether it is enabled as a choice. A message that nobody handles may still be sent. */
  private readonly choices: Map<number, boolean>[][] = [];
  private readonly addresses = new Map<string, number>();

  constructor(
    readonly system: System,
    private readonly coverage: Coverage,
  ) {
    for (const actor of system.actors) this.admit(actor);
  }

  /** An actor more, the next in the system's list. */
  admit(actor: SystemActor): void {
    this.states.push([]);
    this.stateIds.push(new Map());
    this.rows.push([]);
    this.choices.push([]);
    this.addresses.set(actor.address, actor.index);
  }

  /** The number of a message; equal messages (as JSON values) have one number. `where` says who sends it. @throws {ModelError} unless it is plain data. */
  message(event: { type: string }, where: () => string = () => 'the scheduler'): number {
    let key: string;
    try {
      key = canonical(event, 'message');
    } catch (error) {
      if (!(error instanceof NotPlainData)) throw error;
      throw new ModelError(`${where()}: sends '${event.type}', in which ${error.message}; messages are plain JSON data`);
    }
    const known = this.messageIds.get(key);
    if (known !== undefined) return known;
    this.messages.push(deepFreeze(event));
    this.messageIds.set(key, this.messages.length - 1);
    return this.messages.length - 1;
  }

  /** An actor's first local state, and what it sends on starting. */
  initial(actor: SystemActor): LocalTransition {
    const taken = (transitions: readonly unknown[], snapshot: AnySnapshot): void => this.coverage.taken(actor, transitions, snapshot);
    const compute = (): Outcome =>
      this.guarded(this.whereStarting(actor), () => this.run(actor, null, (scope) => actor.logic.getInitialSnapshot(scope, actor.input), taken));
    const outcome = this.twice(actor, this.whereStarting(actor), compute);
    this.coverage.entered(actor, outcome.snapshot);
    return {
      next: this.intern(actor, outcome),
      sends: outcome.sends,
      bugs: dedupe([...reportsOf(initialBugNodes(actor.logic), actor.address), ...outcome.bugs]),
    };
  }

  /** What `message` does to `actor` in `state`. @throws {ModelError} if the actor has finished: there is nobody to speak to. */
  transition(actor: SystemActor, state: number, message: number): LocalTransition {
    const rows = this.rowsOf(actor, state);
    const known = rows.get(message);
    if (known) return known;
    const local = this.local(actor, state);
    const event = this.messages[message] as { type: string };
    if (local.snapshot.status !== 'active') {
      const { from: sender } = event as { from?: string };
      const from = sender === undefined ? 'somebody' : `'${sender}'`;
      throw new ModelError(
        `${whereIs(local.snapshot, actor.address)}: has finished (${local.snapshot.status}), and ${from} sends it '${event.type}'; end in a state that is not final while others may still speak to it`,
      );
    }
    const row = this.compute(actor, local, event);
    rows.set(message, row);
    return row;
  }

  /** What a choice does, or null where it is not enabled. */
  choice(actor: SystemActor, state: number, message: number, delayed: boolean): LocalTransition | null {
    const choices = (this.choices[actor.index] as Map<number, boolean>[])[state] as Map<number, boolean>;
    let enabled = choices.get(message);
    if (enabled === undefined) {
      enabled = this.enabled(actor, this.local(actor, state), this.messages[message] as { type: string }, delayed);
      choices.set(message, enabled);
    }
    return enabled ? this.transition(actor, state, message) : null;
  }

  /** The rows of an actor that were asked for so far, in the order of its states. */
  *rowsSoFar({ index }: SystemActor): Generator<{ state: number; message: number; row: LocalTransition }> {
    for (const [state, rows] of (this.rows[index] as Map<number, LocalTransition>[]).entries())
      for (const [message, row] of rows) yield { state, message, row };
  }

  local(actor: SystemActor, state: number): LocalState {
    return (this.states[actor.index] as LocalState[])[state] as LocalState;
  }

  /** The number of a local state that no transition has led to. */
  internSnapshot(actor: SystemActor, snapshot: AnySnapshot): number {
    return this.intern(actor, { snapshot, waiting: [], sends: [], bugs: [] });
  }

  private rowsOf(actor: SystemActor, state: number): Map<number, LocalTransition> {
    return (this.rows[actor.index] as Map<number, LocalTransition>[])[state] as Map<number, LocalTransition>;
  }

  private enabled(actor: SystemActor, local: LocalState, event: { type: string }, delayed: boolean): boolean {
    if (local.snapshot.status !== 'active') return false;
    if (delayed) return local.waiting.includes(event.type);
    const where = this.whereOn(actor, local, event);
    if (isMachineSnapshot(local.snapshot)) return this.guarded(where, () => withoutChance(() => (local.snapshot as AnyMachineSnapshot).can(event)));
    // Logic without states cannot say what it takes: a choice is enabled where it does something.
    const outcome = this.guarded(where, () => this.run(actor, local, (scope) => actor.logic.transition(local.snapshot, event, scope)));
    return outcome.sends.length > 0 || identityKey(outcome.snapshot, [], actor.address) !== identityKey(local.snapshot, [], actor.address);
  }

  private compute(actor: SystemActor, local: LocalState, event: { type: string }): LocalTransition {
    const from = { snapshot: local.snapshot, waiting: local.waiting.filter((type) => type !== event.type) };
    const where = this.whereOn(actor, local, event);
    const compute = (): Outcome =>
      this.guarded(where, () =>
        this.run(
          actor,
          from,
          (scope) => actor.logic.transition(local.snapshot, event, scope),
          (transitions, snapshot) => this.coverage.taken(actor, transitions, snapshot),
        ),
      );
    const outcome = this.twice(actor, where, compute);
    if (isMachineSnapshot(local.snapshot) && local.snapshot.machine.getTransitionData(local.snapshot, event).length === 0)
      this.coverage.ignored(actor, local.snapshot, event.type);
    return { next: this.intern(actor, outcome), sends: outcome.sends, bugs: outcome.bugs };
  }

  private whereOn(actor: SystemActor, { snapshot }: { snapshot: AnySnapshot }, event: { type: string }): string {
    return `${whereIs(snapshot, actor.address)}, on '${event.type}'`;
  }

  private whereStarting({ logic, address }: SystemActor): string {
    return isMachine(logic) ? `machine '${logic.id}' (actor '${address}'), on starting` : `actor '${address}', on starting`;
  }

  private guarded<T>(where: string, run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (error instanceof ModelError) throw error;
      throw new ModelError(`${where}: ${messageOf(error)}`);
    }
  }

  /** Runs a computation twice. @throws {ModelError} when the answers differ: time, randomness or a variable outside decides. */
  private twice(actor: SystemActor, where: string, compute: () => Outcome): Outcome {
    this.calls++;
    const [first, second] = [compute(), compute()];
    const { status, error } = first.snapshot;
    if (status === 'error' && error instanceof ModelError) throw error;
    if (status === 'error') throw new ModelError(`${where}: ${messageOf(error)}`);
    const form = (outcome: Outcome): string => identityKey(outcome.snapshot, outcome.waiting, actor.address) + JSON.stringify(outcome.sends);
    if (form(first) !== form(second))
      throw new ModelError(`${where}: two runs on the same state differ; time, randomness and variables outside the context must come as events or choices`);
    return first;
  }

  private intern(actor: SystemActor, { snapshot, waiting }: Outcome): number {
    const ids = this.stateIds[actor.index] as Map<string, number>;
    const key = identityKey(snapshot, waiting, actor.address);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const states = this.states[actor.index] as LocalState[];
    if (states.length >= this.system.limits.localStates) throw new ModelError(this.growth(actor, states));
    deepFreeze(snapshot.context);
    states.push({
      snapshot,
      waiting,
      rests: rests(snapshot),
      bugs: bugsIn(snapshot, actor.address),
    });
    (this.rows[actor.index] as unknown[]).push(new Map());
    (this.choices[actor.index] as unknown[]).push(new Map());
    ids.set(key, states.length - 1);
    return states.length - 1;
  }

  /** Names the context field with the most values: the one that grows. */
  private growth(actor: SystemActor, states: readonly LocalState[]): string {
    const values = new Map<string, Set<string>>();
    for (const { snapshot } of states)
      for (const [field, value] of Object.entries((snapshot.context ?? {}) as Record<string, unknown>)) {
        const seen = values.get(field) ?? new Set();
        values.set(field, seen.add(JSON.stringify(value)));
      }
    const [field, seen] = [...values].sort((a, b) => b[1].size - a[1].size)[0] ?? ['(none)', new Set()];
    return `actor '${actor.address}' has more than ${states.length} local states; its context field '${field}' took ${seen.size} values: bound it, or raise limits.localStates of the system`;
  }

  /** One macrostep of XState; `from` is null where the actor starts. */
  private run(
    actor: SystemActor,
    from: { snapshot: AnySnapshot; waiting: readonly string[] } | null,
    step: (scope: AnyActorScope) => AnySnapshot,
    taken?: (transitions: readonly unknown[], snapshot: AnySnapshot) => void,
  ): Outcome {
    const outcome: Outcome = { snapshot: undefined as never, waiting: [...(from?.waiting ?? [])], sends: [], bugs: [] };
    let microsteps = 0;
    let current = from?.snapshot;
    const where = (): string => (current ? whereIs(current, actor.address) : this.whereStarting(actor));
    const refuse = (construct: string): never => {
      throw new ModelError(`${where()}: ${construct} cannot be explored; use assign, sendTo, raise or enqueueActions`);
    };
    const send = (to: number, event: { type: string }): void => {
      outcome.sends.push({ to, message: this.message(event, where) });
    };
    const scope = {
      self: {
        id: actor.address,
        sessionId: actor.address,
        send: (event: { type: string }) => send(actor.index, event),
        getSnapshot: () => noPeeking(actor.address, actor.address),
        // Only `spawn` within an `assign` asks an actor for its system.
        get system() {
          return refuse('spawn');
        },
      },
      id: actor.address,
      sessionId: actor.address,
      logger: () => {},
      emit: () => {},
      defer: () => {},
      stopChild: () => refuse('stopping an actor'),
      system: {
        get: (address: string) => this.reference(actor, address, from === null, send),
        getAll: () => refuse('system.getAll()'),
        inspect: () => refuse('system.inspect()'),
        scheduler: { schedule: () => {}, cancel: () => {} },
        _relay: () => {},
        _sendInspectionEvent: (inspection: Inspection) => {
          if (inspection.type !== '@xstate.microstep' || !inspection.snapshot) return;
          current = inspection.snapshot;
          if (++microsteps > this.system.limits.cascade) throw endlessActor(where(), this.system.limits);
          if (bugNodes(current).length > 0) outcome.bugs.push(...bugsIn(current, actor.address));
          taken?.(inspection._transitions ?? [], current);
        },
      },
      actionExecutor: (action: Executable) => this.execute(actor, action, outcome, send, refuse),
    };
    outcome.snapshot = withoutChance(() => step(scope as unknown as AnyActorScope));
    outcome.bugs = dedupe([...outcome.bugs, ...bugsIn(outcome.snapshot, actor.address)]);
    return outcome;
  }

  private execute(
    actor: SystemActor,
    { type, params }: Executable,
    outcome: Outcome,
    send: (to: number, event: { type: string }) => void,
    refuse: (construct: string) => never,
  ): void {
    switch (type) {
      case 'xstate.emit':
      case 'xstate.log':
        return;
      case 'xstate.cancel': {
        const { sendId } = params as { sendId: string };
        outcome.waiting = outcome.waiting.filter((waiting) => waiting !== sendId);
        return;
      }
      case 'xstate.raise': {
        const { delay, event, id } = params as { delay?: number; event: { type: string }; id?: string };
        if (delay === undefined) return;
        if (id !== event.type || !event.type.startsWith('xstate.after.'))
          refuse(`raise of '${event.type}' with a delay (write it as 'after', which is a choice when exploring)`);
        outcome.waiting = [...outcome.waiting.filter((waiting) => waiting !== id), event.type];
        return;
      }
      case 'xstate.sendTo': {
        const { to, event, delay } = params as { to: { id: string; index?: number }; event: { type: string }; delay?: number };
        if (delay !== undefined) refuse(`sendTo of '${event.type}' with a delay (write it as 'after' and a sendTo without delay)`);
        const target = typeof to === 'object' && to !== null ? this.addresses.get(to.id) : undefined;
        if (target === undefined) refuse(`sendTo of '${event.type}' to an actor that is not in the system`);
        send(target as number, event);
        return;
      }
      default:
        refuse(isMachine(actor.logic) ? `action '${type}'` : type);
    }
  }

  private reference(actor: SystemActor, address: string, starting: boolean, send: (to: number, event: { type: string }) => void): unknown {
    const index = this.addresses.get(address);
    // XState would have `system.get` return undefined, and sendTo(undefined, ...) deliver to the sender.
    if (index === undefined) throw new Error(`'${actor.address}' speaks to '${address}', which is no actor of this system`);
    if (starting && index > actor.index)
      throw new Error(
        `'${actor.address}' speaks to '${address}' on starting, which starts after it; put '${address}' first in the system, or speak on a choice`,
      );
    return { id: address, send: (event: { type: string }) => send(index, event), getSnapshot: () => noPeeking(actor.address, address) };
  }
}

function noPeeking(actor: Address, at: Address): never {
  throw new Error(`'${actor}' reads the snapshot of '${at}' directly; actors know of each other by messages only`);
}

function dedupe(bugs: BugReport[]): BugReport[] {
  const seen = new Set<string>();
  return bugs.filter((bug) => !seen.has(bug.state) && seen.add(bug.state));
}
