/** Where texts go: to a viewer, or to an app. */
type Outlet = (text: string) => void;

/** An app's connection, from the app's side. */
export interface Connection {
  /** A frame that the app sent. What is too large or no JSON is dropped, and counted. */
  frame(text: string): void;
  /** A frame that could not be read at all. */
  drop(): void;
  close(): void;
}

/** A page that watches. */
export interface Viewer {
  /** What the page wants an app to be sent: `{ connection, data }`. Anything else is ignored. */
  command(text: string): void;
  close(): void;
}

/** What a viewer is told, as JSON. */
export interface Envelope {
  /** Numbers are never used again, and ids of two apps never mix. */
  connection: number;
  kind: 'open' | 'frame' | 'close' | 'dropped';
  /** Of a frame: what the app sent. Of `open`: `{ name }` if the app runs in the inspector's own process. */
  data?: unknown;
  /** Of `dropped`: how many frames of this connection by now. */
  count?: number;
}

/** The largest frame that is passed on. */
export const mostBytes = 2 ** 20;
/** What is kept of a connection for viewers that come later. */
const most = { frames: 200, earlier: 500, characters: 8 * 2 ** 20 };

/** Frames that say all there is to say of an actor up to the next such frame of that actor. */
const whole = ['@xstate.actor', '@xstate.snapshot', 'service.register', 'service.state', 'service.stop'];

/** What a frame is the latest of: a kind of frame and an actor; null if it is one of many. */
function subjectOf(frame: unknown): string | null {
  if (typeof frame !== 'object' || frame === null) return null;
  const { type, sessionId } = frame as { type?: unknown; sessionId?: unknown };
  return typeof type === 'string' && typeof sessionId === 'string' && whole.includes(type) ? `${type} ${sessionId}` : null;
}

interface Kept {
  text: string;
  subject: string | null;
}

/** The last frames of a connection, and of those before them the latest of each actor: without, nobody could tell what the last ones are about. */
class Backlog {
  private readonly recent: Kept[] = [];
  private readonly earlier = new Map<string, string>();
  private characters = 0;

  push(kept: Kept): void {
    this.recent.push(kept);
    this.characters += kept.text.length;
    if (this.recent.length > most.frames) this.retire();
    while (this.characters > most.characters) if (!this.forget()) this.retire();
  }

  texts(): string[] {
    return [...this.earlier.values(), ...this.recent.map(({ text }) => text)];
  }

  private retire(): void {
    const oldest = this.recent.shift();
    if (!oldest) return;
    const { text, subject } = oldest;
    this.characters -= text.length;
    if (subject === null) return;
    this.characters += text.length - (this.earlier.get(subject)?.length ?? 0);
    this.earlier.delete(subject);
    this.earlier.set(subject, text);
    if (this.earlier.size > most.earlier) this.forget();
  }

  /** Forgets the oldest of what comes before the last frames. */
  private forget(): boolean {
    const [oldest] = this.earlier;
    if (!oldest) return false;
    this.earlier.delete(oldest[0]);
    this.characters -= oldest[1].length;
    return true;
  }
}

interface Open {
  app: Outlet;
  data?: unknown;
  backlog: Backlog;
  dropped: number;
}

const textOf = (envelope: Envelope): string => JSON.stringify(envelope);
// Put together as text: what was read once need not be written again, and cannot fail in it.
const frameText = (connection: number, text: string): string => `{"connection":${connection},"kind":"frame","data":${text}}`;

/** Passes on what apps send to all viewers, and what viewers command to the app meant. Knows nothing of sockets, and trusts nobody's text. */
export class Relay {
  private readonly viewers = new Set<Outlet>();
  private readonly open = new Map<number, Open>();
  private last = 0;

  /** @param app Takes the commands for it, as JSON. @param name For an app of this process. */
  connect(app: Outlet, name?: string): Connection {
    const connection = ++this.last;
    const state: Open = { app, backlog: new Backlog(), dropped: 0, ...(name === undefined ? {} : { data: { name } }) };
    this.open.set(connection, state);
    this.tell(textOf(this.opening(connection, state)));
    const isOpen = (): boolean => this.open.has(connection);
    const drop = (): void => {
      if (isOpen()) this.tell(textOf({ connection, kind: 'dropped', count: ++state.dropped }));
    };
    return {
      drop,
      frame: (text) => {
        if (!isOpen()) return;
        if (Buffer.byteLength(text) > mostBytes) return drop();
        let frame: unknown;
        try {
          frame = JSON.parse(text);
        } catch {
          return drop();
        }
        state.backlog.push({ text, subject: subjectOf(frame) });
        this.tell(frameText(connection, text));
      },
      close: () => {
        if (this.open.delete(connection)) this.tell(textOf({ connection, kind: 'close' }));
      },
    };
  }

  /** @param viewer Takes envelopes, as JSON: first what is known of each open connection. */
  watch(viewer: Outlet): Viewer {
    for (const [connection, state] of this.open) {
      viewer(textOf(this.opening(connection, state)));
      if (state.dropped > 0) viewer(textOf({ connection, kind: 'dropped', count: state.dropped }));
      for (const text of state.backlog.texts()) viewer(frameText(connection, text));
    }
    this.viewers.add(viewer);
    return { command: (text) => this.command(text), close: () => void this.viewers.delete(viewer) };
  }

  private opening(connection: number, { data }: Open): Envelope {
    return { connection, kind: 'open', ...(data === undefined ? {} : { data }) };
  }

  private tell(text: string): void {
    for (const viewer of this.viewers) viewer(text);
  }

  private command(text: string): void {
    if (Buffer.byteLength(text) > mostBytes) return;
    let connection: unknown;
    let data: string | undefined;
    try {
      const command: { connection: unknown; data: unknown } = JSON.parse(text);
      connection = command.connection;
      data = JSON.stringify(command.data);
    } catch {
      return;
    }
    if (data !== undefined) this.open.get(connection as number)?.app(data);
  }
}
