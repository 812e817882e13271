import { ModelError, messageOf } from '../system/errors.js';
import type { Address } from '../system/message.js';
import { fieldsOf, type TraceEvent } from './event.js';
import type { TraceLine } from './parse.js';
import type { Demand, Operation, Protocol, Scene } from './protocol.js';
import { Cast, type Hidden, type Taken, type World } from './worlds.js';

/** What a line says that the model does not allow. */
export interface Rejection {
  protocol: string;
  property: string;
  line: number;
  /** Such as 'CPU 2 is sent a flush'. */
  says: string;
  /** The nearest that the model could do instead: where the actor was, and what decided. */
  nearest: string[];
  event: TraceEvent;
  /** The last events that a protocol has a rule for, this one included. */
  before: TraceEvent[];
}

export interface PropertyVerdict {
  protocol: string;
  name: string;
  description: string;
  verdict: 'held' | 'violated' | 'not asked';
  /** How many lines put it to the test. */
  asked: number;
}

/** What a log says when it is read against the model. */
export interface Validation {
  verdict: 'accepted' | 'rejected' | 'inconclusive';
  /** Why it is inconclusive. */
  reason: string | null;
  lines: number;
  /** Lines that are events. */
  read: number;
  /** Events that some protocol has a rule for, and how many there were of each other name. */
  events: number;
  unmapped: Record<string, number>;
  broken: { count: number; first: { line: number; text: string }[] };
  lost: number;
  cpus: number[];
  first: number | null;
  last: number | null;
  actors: number;
  /** Possible states carried at most. */
  possible: number;
  imprecise: string[];
  properties: PropertyVerdict[];
  rejection: Rejection | null;
  /** Transitions of the machines that some run takes which the lines allow; and states and transitions that none does. */
  coverage: { transitions: number; reached: string[]; unreached: string[] };
}

/** Which lines of a log are checked, and how far. */
export interface ValidateOptions {
  /** First and last line that count. */
  from?: number;
  to?: number;
  /** CPUs whose lines are checked; the other CPUs' lines move the model only. Default: all. */
  cpus?: readonly number[];
  /** Told what tasks do. */
  watch?: (event: TraceEvent, operation: Operation) => void;
  /** More possible states than this are too many to go on with (default 20,000). */
  maxWorlds?: number;
}

const nearestShown = 6;
const recentKept = 16;
const impreciseShown = 10;

interface Footprint {
  reads: Set<number>;
  writes: Set<number>;
}
const meet = (one: Set<number>, other: Set<number>): boolean => {
  for (const index of one) if (other.has(index)) return true;
  return false;
};
/** One changes what the other depends on. */
const conflict = (one: Footprint, other: Footprint): boolean => meet(one.writes, other.reads) || meet(other.writes, one.reads);
const touch = ({ reads, writes }: Footprint, taken: Taken | null): void => {
  for (const index of taken?.reads ?? []) reads.add(index);
  for (const index of taken?.writes ?? []) writes.add(index);
};

type Checked = Extract<Demand, { says: string }>;
const keyOf = ({ actor, event }: Hidden): string => `${actor} ${event.type}`;

/**
 * Reads a log line by line against protocols. It keeps all states of the model's actors that the lines so far allow: a
 * line is rejected when none of them, with any number of hidden steps before, allows what the line shows.
 */
export class Validator {
  private readonly cast = new Cast();
  private worlds: World[] = [this.cast.start()];
  private readonly hidden = new Map<string, Hidden>();
  private readonly notes = new Map<string, string>();
  private readonly asked = new Map<string, number>();
  private readonly unmapped = new Map<string, number>();
  private readonly rules = new Map<string, { protocol: Protocol; rule: Protocol['rules'][string] }[]>();
  private readonly imprecise: string[] = [];
  private readonly seenCpus = new Set<number>();
  private readonly broken: { line: number; text: string }[] = [];
  private brokenCount = 0;
  private lost = 0;
  private lines = 0;
  private read = 0;
  private readonly recent: TraceEvent[] = [];
  private events = 0;
  private first: number | null = null;
  private last: number | null = null;
  private possible = 1;
  private overflow = false;
  private readonly maxWorlds: number;
  private readonly scene: Scene = this.makeScene();
  /** Set when a line is rejected; further lines are not looked at. */
  rejection: Rejection | null = null;

  constructor(
    private readonly protocols: readonly Protocol[],
    private readonly options: ValidateOptions = {},
  ) {
    this.maxWorlds = options.maxWorlds ?? 20_000;
    for (const protocol of protocols)
      for (const [name, rule] of Object.entries(protocol.rules)) this.rules.set(name, [...(this.rules.get(name) ?? []), { protocol, rule }]);
  }

  get done(): boolean {
    return this.rejection !== null || this.overflow;
  }

  /** Takes the next line. @throws {ModelError} when a machine cannot do what a rule asks of it. */
  line(line: TraceLine): void {
    if (this.done) return;
    this.lines = line.line;
    if ('kind' in line) {
      if (line.kind === 'broken') this.noteBroken(line);
      if (line.kind === 'lost') {
        this.lost++;
        this.forget(`line ${line.line}: events were lost; what was known before is forgotten`);
      }
      return;
    }
    const { from = 1, to = Number.POSITIVE_INFINITY } = this.options;
    if (line.line < from || line.line > to) return;
    this.event(line);
  }

  private event(event: TraceEvent): void {
    this.read++;
    this.seenCpus.add(event.cpu);
    const before = this.last;
    this.first ??= event.time;
    this.last = event.time;
    const rules = this.rules.get(event.name);
    if (rules) {
      this.events++;
      this.recent.push(event);
      if (this.recent.length > recentKept) this.recent.shift();
    } else this.unmapped.set(event.name, (this.unmapped.get(event.name) ?? 0) + 1);
    try {
      if (before !== null && event.time < before) {
        this.reject('log', 'P00', event, `time goes back from ${before} to ${event.time}`, []);
        return;
      }
      const fields = rules ? fieldsOf(event) : {};
      for (const protocol of this.protocols) if (protocol.always) this.demand(protocol, event, protocol.always(event, fields, this.scene));
      for (const { protocol, rule } of rules ?? []) if (!this.done) this.demand(protocol, event, rule(event, fields, this.scene));
      if (this.cast.isFull && !this.done) this.retire();
    } catch (error) {
      if (error instanceof ModelError) throw error;
      throw new ModelError(`line ${event.line} (${event.name}): ${messageOf(error)}`);
    }
  }

  private demand(protocol: Protocol, event: TraceEvent, demands: readonly Demand[]): void {
    for (const demand of demands) {
      if (this.done) return;
      if ('does' in demand && demand.does) this.options.watch?.(event, demand.does);
      if (demand.kind === 'note') {
        this.note(demand.name, demand.value);
        continue;
      }
      if ('hidden' in demand) {
        if (demand.kind === 'hide') this.hidden.set(keyOf(demand.hidden), demand.hidden);
        else this.hidden.delete(keyOf(demand.hidden));
        continue;
      }
      if (demand.kind === 'learn') {
        const learnt = this.cast.distinct(this.worlds.flatMap((world) => demand.worlds(world)));
        if (learnt.length > 0) this.worlds = this.cast.agree(learnt);
        continue;
      }
      const after = this.cast.distinct(this.explained(demand));
      if (!this.isChecked(event)) {
        if (after.length > 0) this.worlds = this.cast.agree(after);
        else
          this.forget(
            `line ${event.line}: the model does not allow what this line of CPU ${event.cpu} says, which is not checked; what was known before is forgotten`,
          );
        if (after.length === 0) return;
        continue;
      }
      this.asked.set(`${protocol.id}/${demand.property}`, (this.asked.get(`${protocol.id}/${demand.property}`) ?? 0) + 1);
      if (after.length === 0) this.reject(protocol.id, demand.property, event, demand.says, this.nearest(demand));
      else this.worlds = this.cast.agree(after);
      this.possible = Math.max(this.possible, after.length);
      if (after.length > this.maxWorlds) this.overflow = true;
    }
  }

  private isChecked({ cpu }: TraceEvent): boolean {
    return this.options.cpus?.includes(cpu) ?? true;
  }

  /** The worlds in which a demand is met: now, or after hidden choices. */
  private explained(demand: Checked): World[] {
    const all = this.hiddenOf(demand.group);
    const met: World[] = [];
    // What may come after a line that changes nothing may as well come later.
    const visit = (world: World): boolean => {
      const found = this.meets(world, demand);
      if (found) met.push(found);
      return found === null || demand.kind === 'take';
    };
    for (const world of this.worlds) {
      if (demand.kind === 'is' && demand.where(world)) met.push(world);
      else this.closure([world], this.dependent(world, demand, all), visit);
    }
    // What was left out as independent may not be, of a world further on.
    if (met.length === 0 && all.length > 0) this.closure(this.worlds, all, visit);
    return met;
  }

  /** The hidden choices on which a demand depends, or one of them on another: any other can as well come later. */
  private dependent(world: World, demand: Checked, all: readonly Hidden[]): Hidden[] {
    if (all.length === 0) return [];
    const own: Footprint = { reads: new Set(), writes: new Set() };
    if (demand.kind === 'is') for (const address of demand.reads ?? [demand.actor]) own.reads.add(this.cast.indexOf(address));
    const touchOwn = (at: World): void => touch(own, demand.kind === 'take' ? this.cast.take(at, demand.actor, demand.event) : null);
    touchOwn(world);
    const footprints = all.map((hidden): [Hidden, Footprint] => {
      const touched: Footprint = { reads: new Set(), writes: new Set() };
      let at = world;
      for (let steps = 0; steps < 32; steps++) {
        const taken = this.unseen(at, hidden);
        if (!taken || taken.world === at) break;
        touch(touched, taken);
        at = taken.world;
        if (hidden.actor === demand.actor) touchOwn(at);
      }
      return [hidden, touched];
    });
    const found = new Set<Hidden>();
    const reached: Footprint[] = [own];
    for (let next = reached.pop(); next; next = reached.pop())
      for (const [hidden, touched] of footprints)
        if (!found.has(hidden) && (hidden.actor === demand.actor || conflict(next, touched))) {
          found.add(hidden);
          reached.push(touched);
        }
    return [...found];
  }

  /** What a hidden choice leads to, where it may be taken. */
  private unseen(world: World, { actor, event, where }: Hidden): Taken | null {
    if (where && !where(world)) return null;
    const taken = this.cast.take(world, actor, event);
    return taken && taken.bugs.length === 0 ? taken : null;
  }

  private meets(world: World, demand: Checked): World | null {
    if (demand.kind === 'is') return demand.where(world) ? world : null;
    if (demand.where && !demand.where(world)) return null;
    const taken = this.cast.take(world, demand.actor, demand.event);
    if (!taken || taken.bugs.length > 0) return null;
    return demand.outcome ? demand.outcome(taken, world) : taken.world;
  }

  /** Visits the worlds, and all that hidden choices lead to from those where `visit` says to go on. */
  private closure(worlds: readonly World[], hidden: readonly Hidden[], visit: (world: World) => boolean): void {
    const seen = new Set<string>();
    const visited = (found: readonly World[]): World[] =>
      found.filter((world) => {
        if (hidden.length === 0) return visit(world);
        const key = this.cast.keyOf(world);
        if (seen.has(key)) return false;
        seen.add(key);
        return visit(world);
      });
    let frontier = visited(worlds);
    while (hidden.length > 0 && frontier.length > 0 && seen.size < this.maxWorlds)
      frontier = visited(frontier.flatMap((world) => hidden.flatMap((choice) => this.unseen(world, choice)?.world ?? [])));
  }

  private hiddenOf(group: string | undefined): Hidden[] {
    return group === undefined ? [] : [...this.hidden.values()].filter((hidden) => hidden.group === group);
  }

  /** Where the actor could be instead, and which guards decided so (`!`: said no). */
  private nearest(demand: Checked): string[] {
    const found = new Set<string>();
    const { actor, group } = demand;
    this.closure(this.worlds, this.hiddenOf(group), (world) => {
      found.add(`${actor} is in '${this.cast.at(world, actor)}'`);
      return found.size < nearestShown;
    });
    const decisions = new Set<string>();
    const note = (all: readonly string[]): void => {
      for (const decision of all) if (decision.startsWith(`${actor}:`) && decisions.size < nearestShown) decisions.add(decision);
    };
    for (const world of this.worlds) {
      for (const hidden of this.hiddenOf(group)) if (hidden.actor === actor) note(this.cast.take(world, actor, hidden.event)?.decisions() ?? []);
      const taken = demand.kind === 'take' ? this.cast.take(world, actor, demand.event) : null;
      note(taken?.decisions() ?? []);
      for (const { message } of taken?.bugs ?? []) found.add(`${actor}: ${message}`);
    }
    return [...found, ...decisions];
  }

  private reject(protocol: string, property: string, event: TraceEvent, says: string, nearest: string[]): void {
    this.rejection = { protocol, property, line: event.line, says, nearest, event, before: [...this.recent] };
  }

  private noteBroken({ line, text }: { line: number; text: string }): void {
    this.brokenCount++;
    if (this.broken.length < 5) this.broken.push({ line, text: text.slice(0, 100) });
  }

  /** Nothing that was known can be relied on. */
  private forget(why: string): void {
    if (this.imprecise.length < impreciseShown) this.imprecise.push(why);
    this.worlds = [this.cast.start()];
    this.last = null;
    this.hidden.clear();
    this.notes.clear();
  }

  /** Lets actors leave that no line has spoken of since the last time. */
  private retire(): void {
    const bound = new Set([...this.hidden.values()].map(({ actor }) => actor));
    const mayLeave: Address[] = [];
    for (const address of this.cast.unheard()) {
      if (bound.has(address)) continue;
      const without = this.protocols.map(({ retires }) => retires?.(address, this.scene)).find((found) => found);
      if (!without) continue;
      mayLeave.push(address);
      this.worlds = this.cast.agree(this.cast.distinct(this.worlds.map(without)));
    }
    const { worlds, left } = this.cast.renew(this.worlds, mayLeave);
    this.worlds = worlds;
    const gone = new Set(left);
    for (const name of this.notes.keys()) if (gone.has(name.slice(0, name.indexOf(' ')))) this.notes.delete(name);
  }

  private note(name: string, value: string | null): void {
    if (value === null) this.notes.delete(name);
    else this.notes.set(name, value);
  }

  private makeScene(): Scene {
    const validator = this;
    return {
      cast: this.cast,
      notes: this.notes,
      get worlds() {
        return validator.worlds;
      },
      join: (address, logic, input) => this.cast.join(address, logic, input),
      note: (name, value) => this.note(name, value),
    };
  }

  /** All actors in each of the states that are possible now. */
  states(): ReturnType<Cast['actorsIn']>[] {
    return this.worlds.map((world) => this.cast.actorsIn(world));
  }

  /** All actors that there are, as they were when they joined. */
  actors(): ReturnType<Cast['actorsIn']> {
    return this.cast.actorsIn(null);
  }

  /** Protocols whose machines are of another architecture than the log. */
  private foreign(): string[] {
    return this.protocols.flatMap(({ id, foreign }) => {
      const found = foreign?.events.find((name) => this.unmapped.has(name));
      return found && foreign ? [`'${found}' ${foreign.says}; nothing can be said of ${id}`] : [];
    });
  }

  result(): Validation {
    const properties = this.protocols.flatMap(({ id, properties: all }) =>
      Object.entries(all).map(([name, description]): PropertyVerdict => {
        const asked = this.asked.get(`${id}/${name}`) ?? 0;
        const violated = this.rejection?.protocol === id && this.rejection.property === name;
        return { protocol: id, name, description, verdict: violated ? 'violated' : asked > 0 ? 'held' : 'not asked', asked };
      }),
    );
    const reason = this.overflow
      ? `more than ${this.maxWorlds} states of the model are possible at line ${this.lines}`
      : this.events === 0
        ? 'the log has no event that a protocol could be checked with'
        : null;
    return {
      verdict: this.rejection ? 'rejected' : reason === null ? 'accepted' : 'inconclusive',
      reason,
      lines: this.lines,
      read: this.read,
      events: this.events,
      unmapped: Object.fromEntries([...this.unmapped].sort((a, b) => b[1] - a[1])),
      broken: { count: this.brokenCount, first: this.broken },
      lost: this.lost,
      cpus: [...this.seenCpus].sort((a, b) => a - b),
      first: this.first,
      last: this.last,
      actors: this.cast.size,
      possible: this.possible,
      imprecise: [...this.imprecise, ...this.foreign()],
      properties,
      rejection: this.rejection,
      coverage: this.cast.coverageOf(),
    };
  }
}
