import { tokenOf } from '../src/check/check.js';
import { Walk } from '../src/inspect/walk.js';
import { build, type Case, type Parameters, type Scenario, scenarios, type Variant } from '../src/scenarios/index.js';
import { isToken, parseToken } from '../src/schedule/token.js';
import { messageOf } from '../src/system/errors.js';
import type { Choice } from '../src/system/system.js';

/** What is being looked at: a variant, a schedule of it, and how far along. */
export class Store {
  case!: Case;
  walk!: Walk;
  /** How many steps have been taken; the schedule may go on behind them. */
  at = 0;
  /** What went wrong last, in words. */
  problem: string | null = null;
  version = 0;
  private readonly listeners = new Set<() => void>();

  constructor(hash: string) {
    const [scenario] = scenarios;
    const [variant] = scenario?.variants ?? [];
    this.choose(scenario as Scenario, variant as Variant);
    if (hash.length > 1) this.open(hash.slice(1));
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): number => this.version;

  /** Builds a variant; what was looked at stays when that fails. */
  choose(scenario: Scenario, variant: Variant, given: Readonly<Record<string, string | number>> = {}): void {
    this.attempt(() => this.look(build(scenario, variant, given)));
  }

  /** Opens what a link's hash says: a token, with `@STEP` or without, or a variant with parameters. */
  open(text: string): void {
    this.attempt(() => {
      if (!isToken(text)) {
        const [name = '', query = ''] = text.split('?');
        this.look(found(decoded(name), Object.fromEntries(new URLSearchParams(query))));
        return;
      }
      const [token = '', step] = text.split('@');
      const { name, parameters, digest, schedule } = parseToken(token);
      const next = found(name, parameters);
      this.look(next);
      this.walk.load(schedule);
      this.at = Math.min(step === undefined ? schedule.length : Number(step), schedule.length);
      if (!next.system.digest.startsWith(digest)) this.problem = `${name} has changed since this schedule was recorded; it is shown as it runs now`;
    });
  }

  take(choice: Choice): void {
    this.attempt(() => {
      this.walk.take(choice, this.at);
      this.at++;
    });
  }

  jump(to: number): void {
    this.at = Math.max(0, Math.min(to, this.walk.length));
    this.changed();
  }

  /** Shows a schedule, to its end or to a step. */
  load(schedule: readonly number[], at = schedule.length): void {
    this.attempt(() => {
      this.walk.load(schedule);
      this.at = Math.min(at, this.walk.length);
    });
  }

  say(problem: string | null): void {
    this.problem = problem;
    this.changed();
  }

  /** The schedule as far as it is shown, or all of it. */
  token(all = false): string {
    const schedule = this.walk.schedule;
    return tokenOf({ id: this.case.id, system: this.case.system, case: this.case }, all ? schedule : schedule.slice(0, this.at));
  }

  /** What stands in the link behind `#`. */
  hash(): string {
    return `${this.token(true)}${this.at < this.walk.length ? `@${this.at}` : ''}`;
  }

  private look(next: Case): void {
    const walk = new Walk(next.system);
    this.case = next;
    this.walk = walk;
    this.at = 0;
  }

  private attempt(run: () => void): void {
    this.problem = null;
    try {
      run();
    } catch (error) {
      this.problem = messageOf(error);
      if (this.walk) this.at = Math.min(this.at, this.walk.length);
    }
    this.changed();
  }

  private changed(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The variant of a name. @throws {Error} when there is none. */
export function found(name: string, parameters: Parameters): Case {
  const [id, variantId] = name.split('/');
  const scenario = scenarios.find((candidate) => candidate.id === id);
  const variant = variantId === undefined ? scenario?.variants[0] : scenario?.variants.find((candidate) => candidate.id === variantId);
  if (!scenario || !variant) throw new Error(`there is no '${name}' in this page (it has the scenarios ${scenarios.map((each) => each.id).join(', ')})`);
  return build(scenario, variant, parameters);
}
