import { isDeepStrictEqual } from 'node:util';
import { Cascade, type StepResult } from '../src/explore/cascade.js';
import { Coverage } from '../src/explore/coverage.js';
import type { Exploration } from '../src/explore/explorer.js';
import { LocalTables } from '../src/explore/local.js';
import { exploreNaively } from '../src/explore/naive.js';
import { type Eventuality, explore, ModelError, type System, type Violation } from '../src/index.js';
import { LiveSystem } from '../src/live/live.js';
import { randomNumbers } from '../src/live/strategies.js';
import { canonical } from '../src/system/canonical.js';
import { type Choice, labelOf } from '../src/system/system.js';
import { identityKey } from '../src/system/view.js';

type Received = { to: string; event: { type: string } };

/** What each actor received, in its order. The order between actors is not told: XState shows messages when sent, the cascade when processed. */
const received = (messages: readonly Received[]): string[] =>
  messages
    .map(({ to, event }, index) => ({ to, index, text: `${to}: ${canonical(event)}` }))
    .sort((a, b) => (a.to === b.to ? a.index - b.index : a.to < b.to ? -1 : 1))
    .map(({ text }) => text);

/** The explorer's side of a system, one step after the other: local state numbers, tables and cascade, without search. */
export class Stepper {
  readonly tables: LocalTables;
  /** Each actor's local state number. */
  ids: number[];
  last: StepResult;
  private readonly first: StepResult;
  private readonly cascade: Cascade;
  private readonly messages: number[];
  private readonly identities: string[][];

  /** @throws {ModelError} */
  constructor(readonly system: System) {
    this.tables = new LocalTables(system, new Coverage(system));
    this.cascade = new Cascade(system, this.tables);
    this.messages = system.choices.map((choice) => this.tables.message(choice.event));
    this.identities = system.actors.map(() => []);
    this.first = this.cascade.start();
    this.last = this.first;
    this.ids = system.actors.map(({ index }) => this.first.writes.get(index) as number);
  }

  restart(): void {
    this.last = this.first;
    this.ids = this.system.actors.map(({ index }) => this.first.writes.get(index) as number);
  }

  enabled(): Choice[] {
    return this.system.choices.filter(
      (choice) => this.tables.choice(choice.actor, this.ids[choice.actor.index] as number, this.messages[choice.index] as number, choice.delayed) !== null,
    );
  }

  /** @throws {ModelError} */
  take(choice: Choice): StepResult {
    const result = this.cascade.step(choice, this.messages[choice.index] as number, (actor) => this.ids[actor] as number);
    if (!result) throw new Error(`'${labelOf(choice)}' is not enabled`);
    for (const [actor, id] of result.writes) this.ids[actor] = id;
    this.last = result;
    return result;
  }

  /** The same words as {@link LiveSystem.identity}. */
  identity(): string[] {
    return this.system.actors.map((actor) => {
      const id = this.ids[actor.index] as number;
      const names = this.identities[actor.index] as string[];
      const { snapshot, waiting } = this.tables.local(actor, id);
      names[id] ??= identityKey(snapshot, waiting, actor.address);
      return names[id];
    });
  }

  /** Messages of the last step, in the order in which they were processed. */
  deliveries(): Received[] {
    return this.last.deliveries.map(({ to, message }) => ({
      to: this.system.actors[to]?.address as string,
      event: this.tables.messages[message] as { type: string },
    }));
  }

  /** BUG states that actors are in or were in at some moment of the last step. */
  bugs(): string[] {
    const resting = this.system.actors.flatMap((actor) => this.tables.local(actor, this.ids[actor.index] as number).bugs);
    return [...new Set([...this.last.bugs, ...resting].map(({ state }) => state))].sort();
  }
}

/** What an attempt came to: its value, or the model's error. Any other error is thrown. */
function attempt<T>(run: () => T): { value: T } | { error: string } {
  try {
    return { value: run() };
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return { error: error.message };
  }
}

function demand(what: string, schedule: readonly Choice[], live: unknown, explored: unknown): void {
  if (isDeepStrictEqual(live, explored)) return;
  throw new Error(`${what} differ after [${schedule.map(labelOf).join('; ')}]\n  live:     ${JSON.stringify(live)}\n  explored: ${JSON.stringify(explored)}`);
}

const runLength = 200;

/**
 * The first law: a system run by XState and the same system stepped by the explorer's tables are in the same state after
 * every step, offer the same choices, deliver the same messages to each actor in the same order, and enter the same BUG
 * states. Takes `steps` random steps, in runs of 200 that begin anew where nothing is enabled, and returns how many there
 * were: fewer only when the system cannot move, fails again and again on both sides, or `mostRuns` were made.
 * @throws {Error} at the first difference, with the schedule that leads to it.
 */
export function liveEqualsExplored(system: System, seed: number, steps: number, mostRuns = Number.POSITIVE_INFINITY): number {
  const next = randomNumbers(seed);
  const begin = attempt(() => new Stepper(system));
  const first = attempt(() => new LiveSystem(system));
  demand('failures on starting', [], 'error' in first, 'error' in begin);
  if ('error' in begin || 'error' in first) return 0;
  const stepper = begin.value;
  let live = first.value;
  let taken = 0;
  let failed = 0;
  for (let run = 0; run < mostRuns && taken < steps && failed < 20; run++) {
    const before = taken;
    failed += compare(stepper, live, Math.min(runLength, steps - taken), next, () => taken++);
    live.stop();
    if (taken === before && failed === 0) break;
    stepper.restart();
    live = new LiveSystem(system);
  }
  live.stop();
  return taken;
}

/** One run; returns 1 if it ended in a failure of both sides. */
function compare(stepper: Stepper, live: LiveSystem, steps: number, next: () => number, count: () => void): number {
  const schedule: Choice[] = [];
  let messages: Received[] | null = null;
  for (;;) {
    demand('states', schedule, live.identity(), stepper.identity());
    demand('BUG states', schedule, [...new Set(live.bugs().map(({ id }) => id))].sort(), stepper.bugs());
    if (messages) demand('messages', schedule, received(messages), received(stepper.deliveries()));
    const enabled = attempt(() => stepper.enabled());
    if ('error' in enabled) return 1;
    demand('choices', schedule, live.enabled().map(labelOf), enabled.value.map(labelOf));
    const choice = enabled.value[Math.floor(next() * enabled.value.length)];
    if (!choice || schedule.length === steps) return 0;
    schedule.push(choice);
    const [there, here] = [attempt(() => live.take(choice)), attempt(() => stepper.take(choice))];
    demand('failures', schedule, 'error' in there, 'error' in here);
    if ('error' in there) return 1;
    messages = there.value.messages;
    count();
  }
}

/** What a search found of a system, in a form in which two searches can be compared. */
export interface Findings {
  states: number;
  transitions: number;
  depth: number;
  /** Per violated property, the length of a shortest schedule; of an eventuality, that of its stem. */
  violated: Record<string, number>;
}

export const findingsOf = ({ states, transitions, depth, properties }: Exploration): Findings => ({
  states,
  transitions,
  depth,
  violated: Object.fromEntries(
    properties.flatMap(({ name, violation }) => (violation ? [[name, violation.lasso?.stem ?? violation.schedule.length] as const] : [])).sort(),
  ),
});

/** Whether the naive search can be asked to do it. A model that fails is not. */
export function isSmall(system: System): boolean {
  const found = attempt(() => explore({ ...system, properties: [] }, { stop: () => false, maxStates: 120 }).exhausted);
  return 'value' in found && found.value;
}

/**
 * The second law: the explorer finds what its naive twin finds. For small systems.
 * @throws {Error} when they differ.
 */
export function naiveEqualsExplorer(system: System): Findings {
  const explored = findingsOf(explore(system, { stop: () => false }));
  const { violated, ...numbers } = exploreNaively(system);
  const naive = { ...numbers, violated: Object.fromEntries([...violated].sort()) };
  if (!isDeepStrictEqual(naive, explored))
    throw new Error(`${system.id}: the searches differ\n  naive:    ${JSON.stringify(naive)}\n  explorer: ${JSON.stringify(explored)}`);
  return explored;
}

/**
 * The third law: the counterexample of an eventuality is one, on live XState. The premise was met somewhere and from there on nothing
 * reaches what should come; after the loop the system is where it was before it; and each fair choice either changes something in the
 * loop, or is impossible or without effect in some state of it. Returns the length of the loop.
 * @throws {Error} when it is none.
 */
export function lassoStands(system: System, { property: name, schedule, lasso }: Violation): number {
  const property = system.properties.find((candidate) => candidate.name === name) as Eventuality;
  const refuse = (what: string): never => {
    throw new Error(`${system.id}: the lasso of ${name} (${schedule.join(' ')}, stem ${lasso?.stem}) ${what}`);
  };
  if (property.kind !== 'eventuality' || !lasso) return refuse('is none');
  const live = new LiveSystem(system);
  const states = [0, ...schedule.map((_, at) => at + 1)].map((at) => {
    if (at > 0) live.take(system.choices[schedule[at - 1] as number] as Choice);
    const snapshots = Object.fromEntries(property.actors.map((address) => [address, live.snapshot(address)]));
    return {
      identity: live.identity().join('\n'),
      asks: property.when?.(snapshots) ?? true,
      reaches: property.reach(snapshots),
      owed: new Set(live.enabled().flatMap(({ index }) => (changesAfter(system, schedule.slice(0, at), index) ? [index] : []))),
    };
  });
  live.stop();
  const loop = states.slice(lasso.stem);
  if (loop[0] === undefined || loop[0].identity !== loop.at(-1)?.identity) refuse('does not close');
  const since = states.findLastIndex(({ reaches }) => reaches) + 1;
  if (!states.slice(since).some(({ asks }) => asks)) refuse('leaves nothing open');
  if (lasso.stem < since) refuse('reaches it in its loop');
  for (const { index, fair } of system.choices) {
    const taken = schedule.some((choice, at) => at >= lasso.stem && choice === index && states[at]?.identity !== states[at + 1]?.identity);
    if (fair && !taken && loop.every(({ owed }) => owed.has(index))) refuse(`owes choice ${index}`);
  }
  return schedule.length - lasso.stem;
}

/** Whether a choice changes the state that a schedule leads to. */
function changesAfter(system: System, schedule: readonly number[], choice: number): boolean {
  const live = new LiveSystem(system);
  for (const index of schedule) live.take(system.choices[index] as Choice);
  const before = live.identity().join('\n');
  live.take(system.choices[choice] as Choice);
  const after = live.identity().join('\n');
  live.stop();
  return before !== after;
}
