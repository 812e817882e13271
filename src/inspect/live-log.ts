import { Replayed } from './replayed.js';
import { deepest, isGoodbye, partsOf, readFrame, stampOf, type WireEvent, type WireSnapshot } from './wire.js';

export interface LiveActor {
  readonly id: string;
  readonly connection: string;
  /** Until it is announced, the id that its app gave it. */
  readonly name: string;
  readonly parent: string | null;
  readonly definition: unknown;
  readonly truncated: boolean;
  readonly accepts: boolean;
  /** XState's word; `unknown` until a snapshot has come. */
  readonly status: string;
  readonly snapshot: WireSnapshot | null;
  /** False for one that was only mentioned so far. */
  readonly announced: boolean;
}

export interface LiveEntry {
  /** Counts all entries from 1, those forgotten too. */
  readonly number: number;
  readonly connection: string;
  readonly event: WireEvent;
}

export interface LiveConnection {
  readonly name: string;
  readonly open: boolean;
}

/** Why something that arrived is not in the log: not understood, too large, or from a window that has no business here. */
export type Refusal = 'malformed' | 'oversized' | 'foreign';

export interface LiveLogOptions {
  /** Entries kept. */
  capacity?: number;
  /** Characters of a frame. */
  largest?: number;
}

/** Characters of frames whose entries are kept: large ones are forgotten before `capacity` is reached. */
const mostCharacters = 64 * 2 ** 20;
/** Actors kept. An app that starts one for every request would fill the memory otherwise. */
const mostActors = 5_000;

const hasEnded = ({ status }: LiveActor): boolean => status === 'stopped' || status === 'done' || status === 'error';

/** Whether an event is about an actor. */
export const concerns = (event: WireEvent, actor: string): boolean =>
  event.kind === 'sent' ? event.from === actor || event.to === actor : event.actor === actor;

/** What other apps told about their actors, of all connections in the order of arrival: nothing else is known about order. */
export class LiveLog {
  readonly capacity: number;
  private readonly largest: number;
  private readonly kept: LiveEntry[] = [];
  /** Of each entry kept. */
  private readonly sizes: number[] = [];
  private characters = 0;
  private last = 0;
  private readonly known = new Map<string, LiveActor>();
  private readonly links = new Map<string, { open: boolean; replayed: Replayed }>();
  private readonly listeners = new Set<() => void>();
  private readonly refusals: Record<Refusal, number> = { malformed: 0, oversized: 0, foreign: 0 };
  private repeated = 0;
  private changes = 0;

  constructor({ capacity = 10_000, largest = 2 ** 20 }: LiveLogOptions = {}) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`a log keeps at least one entry, not ${capacity}`);
    this.capacity = capacity;
    this.largest = largest;
  }

  /** Another number after every change. */
  get version(): number {
    return this.changes;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get actors(): readonly LiveActor[] {
    return [...this.known.values()];
  }

  actor(id: string): LiveActor | null {
    return this.known.get(id) ?? null;
  }

  get connections(): readonly LiveConnection[] {
    return [...this.links].map(([name, { open }]) => ({ name, open }));
  }

  /** Entries that are kept, oldest first; those about one actor, if one is given. */
  entries(actor: string | null = null): readonly LiveEntry[] {
    return actor === null ? [...this.kept] : this.kept.filter(({ event }) => concerns(event, actor));
  }

  /** Entries that had to go for later ones. */
  get forgotten(): number {
    return this.last - this.kept.length;
  }

  get refused(): Readonly<Record<Refusal, number>> {
    return { ...this.refusals };
  }

  /** Frames that a connection had sent before. */
  get duplicates(): number {
    return this.repeated;
  }

  /** Takes what a connection sent: JSON text, or what it was parsed to. Never throws: what cannot be read is counted. */
  receive(connection: string, data: unknown): void {
    const read = this.read(data);
    const events = 'refusal' in read ? null : readFrame(read.frame, connection);
    if ('refusal' in read) this.refuse(read.refusal);
    else if (!events) this.refuse('malformed');
    else this.takeAll(connection, read, events);
  }

  /** Takes an event that needs no reading. */
  add(connection: string, event: WireEvent): void {
    this.link(connection).open = true;
    this.take(connection, event, 0);
    this.changed();
  }

  /** Counts what never came to be read. */
  refuse(reason: Refusal, frames = 1): void {
    this.refusals[reason] += frames;
    this.changed();
  }

  /** The viewer greeted a connection: it may send once more what it has sent. */
  greeted(connection: string): void {
    this.links.get(connection)?.replayed.greeted();
  }

  /** The connection is gone; what it told stays. */
  closed(connection: string): void {
    const link = this.links.get(connection);
    if (!link) return;
    link.open = false;
    this.changed();
  }

  private read(data: unknown): { text: string; frame: unknown } | { refusal: Refusal } {
    try {
      const refusal = typeof data === 'string' ? (data.length > this.largest ? 'oversized' : null) : faultOf(data, this.largest);
      if (refusal) return { refusal };
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      return text.length > this.largest ? { refusal: 'oversized' } : { text, frame: JSON.parse(text) };
    } catch {
      return { refusal: 'malformed' };
    }
  }

  private link(connection: string): { open: boolean; replayed: Replayed } {
    const found = this.links.get(connection) ?? { open: true, replayed: new Replayed() };
    this.links.set(connection, found);
    return found;
  }

  private takeAll(connection: string, { text, frame }: { text: string; frame: unknown }, events: readonly WireEvent[]): void {
    const link = this.link(connection);
    const stamp = stampOf(frame);
    if (stamp !== null && link.replayed.has(text, stamp, events[0]?.kind === 'actor')) this.repeated++;
    else for (const [at, event] of events.entries()) this.take(connection, event, at === 0 ? text.length : 0);
    link.open = !isGoodbye(frame);
    this.changed();
  }

  private take(connection: string, event: WireEvent, size: number): void {
    if (this.update(event)) this.append({ number: ++this.last, connection, event }, size);
  }

  private append(entry: LiveEntry, size: number): void {
    this.kept.push(entry);
    this.sizes.push(size);
    this.characters += size;
    while (this.kept.length > this.capacity || (this.characters > mostCharacters && this.kept.length > 1)) {
      this.kept.shift();
      this.characters -= this.sizes.shift() ?? 0;
    }
  }

  /** Whether there is news in it. */
  private update(event: WireEvent): boolean {
    switch (event.kind) {
      case 'actor':
        return this.announce(event);
      case 'sent':
        if (event.from !== null) this.mentioned(event.from);
        this.mentioned(event.to);
        return true;
      case 'snapshot':
        this.set({ ...this.mentioned(event.actor), snapshot: event.snapshot, status: event.snapshot.status });
        return true;
      case 'stopped': {
        const actor = this.mentioned(event.actor);
        if (!hasEnded(actor)) this.set({ ...actor, status: 'stopped' });
        return true;
      }
    }
  }

  /** Apps of XState 4 announce all their actors again to a viewer that greets them, and leave out what they said the first time. */
  private announce(event: WireEvent & { kind: 'actor' }): boolean {
    if (event.parent !== null) this.mentioned(event.parent);
    const before = this.mentioned(event.actor);
    const again = before.announced && !hasEnded(before);
    const snapshot = event.snapshot ?? before.snapshot;
    const { definition, truncated, accepts } = event;
    this.set({
      ...before,
      name: again ? before.name : event.name,
      parent: event.parent ?? before.parent,
      definition: definition ?? before.definition,
      truncated: definition === null ? before.truncated : truncated,
      accepts,
      snapshot,
      status: hasEnded(before) && !before.announced ? before.status : (snapshot?.status ?? before.status),
      announced: true,
    });
    return !again;
  }

  /** The actor, or a place for it until it is announced. */
  private mentioned(id: string): LiveActor {
    const found = this.known.get(id);
    if (found) return found;
    const { connection, session } = partsOf(id);
    const actor: LiveActor = {
      id,
      connection,
      name: session,
      parent: null,
      definition: null,
      truncated: false,
      accepts: false,
      status: 'unknown',
      snapshot: null,
      announced: false,
    };
    if (this.known.size >= mostActors) this.forgetOne();
    this.set(actor);
    return actor;
  }

  private forgetOne(): void {
    for (const actor of this.known.values()) if (hasEnded(actor)) return void this.known.delete(actor.id);
    for (const id of this.known.keys()) return void this.known.delete(id);
  }

  private set(actor: LiveActor): void {
    this.known.set(actor.id, actor);
  }

  private changed(): void {
    this.changes++;
    for (const listener of this.listeners) listener();
  }
}

/**
 * What is wrong with data from another window, found before it is written as JSON: references may make little data much text
 * without end.
 */
function faultOf(data: unknown, most: number): Refusal | null {
  const open: { value: unknown; depth: number }[] = [{ value: data, depth: 0 }];
  let size = 0;
  for (let next = open.pop(); next; next = open.pop()) {
    const { value, depth } = next;
    size += typeof value === 'string' ? value.length : Array.isArray(value) ? value.length : 1;
    if (size > most) return 'oversized';
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= deepest || ArrayBuffer.isView(value)) return 'malformed';
    for (const [key, inner] of Object.entries(value)) {
      size += key.length;
      open.push({ value: inner, depth: depth + 1 });
    }
  }
  return null;
}
