import { type AnyActorLogic, type AnyStateMachine, assign } from 'xstate';
import type { ExploreLimits, Explorer } from '../explore/explorer.js';
import { isMachine } from '../system/logic.js';
import type { System } from '../system/system.js';
import { withLogic } from '../system/with-logic.js';
import { type CheckResult, check, type PropertyVerdict, type Subject } from './check.js';

/** By machine and the name of a guard or an action: what this safeguard sees to. */
export type SafeguardTexts = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A guard or an action of the machines of a system, which can be taken out. */
export interface Safeguard {
  machine: string;
  name: string;
  kind: 'guard' | 'action';
  /** What it sees to; null where nobody says so. */
  text: string | null;
}

export type TrialOutcome = 'holds' | 'broken' | 'deadlock' | 'undecided' | 'does not run';

/** What became of the properties without a safeguard. */
export interface Trial {
  safeguard: Safeguard;
  /** What the guard answers in the reference; empty for an action. */
  answers: readonly boolean[];
  /** What the guard always answers instead, each of which gave these verdicts; empty for an action, which does nothing instead. */
  as: readonly boolean[];
  /** `deadlock`: of the properties that held before, deadlock freedom alone is broken. */
  outcome: TrialOutcome;
  /** In the order of the system's; empty if it does not run. */
  properties: readonly PropertyVerdict[];
  states: number;
  limit: string | null;
  /** Why it does not run. */
  error: string | null;
}

export interface SafeguardTrials {
  /** The system as it is. */
  reference: CheckResult;
  trials: readonly Trial[];
  /** Guards that no reachable state of the reference asks: without them everything is as it is. */
  unasked: readonly Safeguard[];
  /** Not tried, since the search was interrupted. */
  untried: readonly Safeguard[];
}

export interface SafeguardOptions extends ExploreLimits {
  /** What safeguards there are; others are not tried, unless `all`. */
  texts: SafeguardTexts;
  /** Also every other named guard. */
  all?: boolean;
  /** Which of these are tried; default: each. */
  wanted?: (safeguard: Safeguard) => boolean;
  signal?: AbortSignal;
  /** Told what is taken out, null for nothing, and how far that search is. */
  progress?: (safeguard: Safeguard | null, explorer: Explorer) => void;
}

type Guard = (args: unknown, params: unknown) => boolean;
/** A guard made of others (`and`, `or`, `not`, `stateIn`) is asked by `check`. */
type Composed = Guard & { check: (snapshot: unknown, args: unknown, resolved: unknown) => boolean };
type Named = Readonly<Record<string, unknown>>;

const implementationsOf = ({ implementations }: AnyStateMachine): { guards: Named; actions: Named } =>
  implementations as unknown as { guards: Named; actions: Named };
const provided = (machine: AnyStateMachine, kind: 'guards' | 'actions', replaced: Named): AnyActorLogic => machine.provide({ [kind]: replaced } as never);
const keyOf = (machine: string, guard: string): string => JSON.stringify([machine, guard]);

/** The guard, telling `note` what it answers. One that only names another is left as it is: that one tells. */
function noted(guard: unknown, note: (answer: boolean) => void): unknown {
  if (typeof guard !== 'function') return guard;
  const told = (answer: boolean): boolean => {
    note(Boolean(answer));
    return answer;
  };
  if (!('check' in guard)) return (args: unknown, params: unknown) => told((guard as Guard)(args, params));
  const composed = guard as Composed;
  return Object.assign(() => false, { check: (snapshot: unknown, args: unknown) => told(composed.check(snapshot, args, composed)) });
}

/** The system, whose guards put down in `answers` what they answer. */
function listening(system: System, answers: Map<string, Set<boolean>>): System {
  return withLogic(system, ({ logic }) => {
    if (!isMachine(logic)) return logic;
    const replaced = Object.entries(implementationsOf(logic).guards).map(([name, guard]) => {
      const key = keyOf(logic.id, name);
      return [name, noted(guard, (answer) => answers.set(key, (answers.get(key) ?? new Set()).add(answer)))];
    });
    return provided(logic, 'guards', Object.fromEntries(replaced));
  });
}

/** The safeguards of a system, by machine in the order of its actors. */
export function safeguardsOf(system: System, texts: SafeguardTexts, all = false): Safeguard[] {
  const found = new Map<string, Safeguard>();
  for (const { logic } of system.actors) {
    if (!isMachine(logic)) continue;
    const own = Object.hasOwn(texts, logic.id) ? (texts[logic.id] as Readonly<Record<string, string>>) : {};
    const { guards, actions } = implementationsOf(logic);
    for (const name of new Set([...Object.keys(own), ...(all ? Object.keys(guards) : [])])) {
      const kind = Object.hasOwn(guards, name) ? 'guard' : Object.hasOwn(actions, name) ? 'action' : null;
      if (kind) found.set(keyOf(logic.id, name), { machine: logic.id, name, kind, text: Object.hasOwn(own, name) ? (own[name] as string) : null });
    }
  }
  return [...found.values()];
}

/** The system without a safeguard, in every actor that has its machine: the guard always answers `as`, the action does nothing. */
export function withoutSafeguard(system: System, { machine, name, kind }: Safeguard, as: boolean): System {
  return withLogic(system, ({ logic }) => {
    if (!isMachine(logic) || logic.id !== machine) return logic;
    return kind === 'guard' ? provided(logic, 'guards', { [name]: () => as }) : provided(logic, 'actions', { [name]: assign({}) });
  });
}

const isModelError = (error: unknown): error is Error => (error as Error | null)?.name === 'ModelError';

/** Takes each safeguard of a system out, alone, and checks what is left. */
class Trials {
  private readonly answers = new Map<string, Set<boolean>>();
  private reference: CheckResult | null = null;

  constructor(
    private readonly subject: Subject,
    private readonly options: SafeguardOptions,
  ) {}

  async run(): Promise<SafeguardTrials> {
    const { subject, options, answers } = this;
    const reference = await this.checked(listening(subject.system, answers), null);
    this.reference = reference;
    const trials: Trial[] = [];
    const unasked: Safeguard[] = [];
    const untried: Safeguard[] = [];
    for (const safeguard of safeguardsOf(subject.system, options.texts, options.all ?? false).filter(options.wanted ?? (() => true))) {
      const values = this.valuesFor(safeguard);
      if (values.length === 0) unasked.push(safeguard);
      else if (options.signal?.aborted) untried.push(safeguard);
      else trials.push(...(await this.tried(safeguard, values)));
    }
    return { reference, trials, unasked, untried };
  }

  private checked(system: System, safeguard: Safeguard | null): Promise<CheckResult> {
    const { texts: _texts, all: _all, wanted: _wanted, progress, ...search } = this.options;
    const told = progress && { progress: (explorer: Explorer) => progress(safeguard, explorer) };
    return check({ ...this.subject, system }, { ...search, ...told, all: true });
  }

  /** What the guard can answer always and did not in the reference: to answer as it did changes nothing. Both, unless all states were seen. */
  private valuesFor({ machine, name, kind }: Safeguard): boolean[] {
    if (kind === 'action' || !this.reference?.exploration.exhausted) return [false, true];
    const seen = this.answers.get(keyOf(machine, name));
    return seen ? [false, true].filter((value) => seen.size > 1 || !seen.has(value)) : [];
  }

  /** With `false`; with `true` too, unless something unsafe has come of it. Those that make a difference, or, if none does, one. */
  private async tried(safeguard: Safeguard, values: readonly boolean[]): Promise<Trial[]> {
    if (safeguard.kind === 'action') return [{ ...(await this.trial(safeguard, false)), as: [] }];
    const trials: Trial[] = [];
    for (const value of values) {
      trials.push(await this.trial(safeguard, value));
      if (this.isUnsafe(trials.at(-1) as Trial)) break;
    }
    const different = trials.filter(({ outcome }) => outcome !== 'holds');
    return different.length > 0 ? different : [{ ...(trials[0] as Trial), as: values }];
  }

  private async trial(safeguard: Safeguard, as: boolean): Promise<Trial> {
    const answers = [...(this.answers.get(keyOf(safeguard.machine, safeguard.name)) ?? [])].sort();
    const tried = { safeguard, answers, as: [as] };
    try {
      const { properties, exploration } = await this.checked(withoutSafeguard(this.subject.system, safeguard, as), safeguard);
      const { states, limit } = exploration;
      return { ...tried, outcome: this.outcomeOf(properties), properties, states, limit, error: null };
    } catch (error) {
      if (!isModelError(error)) throw error;
      return { ...tried, outcome: 'does not run', properties: [], states: 0, limit: null, error: error.message };
    }
  }

  /** Properties that are violated now, and were not. */
  private broken(properties: readonly PropertyVerdict[]): PropertyVerdict[] {
    return properties.filter(({ verdict }, index) => verdict === 'violated' && this.reference?.properties[index]?.verdict !== 'violated');
  }

  private isUnsafe({ properties }: Trial): boolean {
    return this.broken(properties).some(({ kind }) => kind === 'bug' || kind === 'invariant');
  }

  private outcomeOf(properties: readonly PropertyVerdict[]): TrialOutcome {
    const broken = this.broken(properties);
    if (broken.length > 0) return broken.every(({ kind }) => kind === 'deadlock') ? 'deadlock' : 'broken';
    return properties.some(({ verdict }) => verdict === 'inconclusive') ? 'undecided' : 'holds';
  }
}

/**
 * Takes each safeguard of a subject's machines out, alone, and says which properties that breaks. A guard is replaced by one that always
 * answers no or, where that breaks nothing, yes; an action by one that does nothing.
 * @throws {ModelError} for a system that cannot be explored as it is.
 */
export const trySafeguards = (subject: Subject, options: SafeguardOptions): Promise<SafeguardTrials> => new Trials(subject, options).run();
