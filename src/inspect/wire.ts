/** What any protocol of inspection tells, in one form. Ids of actors are those of `actorId`. */
export type WireEvent =
  | {
      kind: 'actor';
      actor: string;
      name: string;
      parent: string | null;
      /** The machine's definition; null for actors that have none, as promises and callbacks. */
      definition: unknown;
      /** The sender cut the definition where it is nested deeply: transitions may be missing. */
      truncated: boolean;
      /** Takes events from a viewer (see `commandFor`). */
      accepts: boolean;
      snapshot: WireSnapshot | null;
    }
  | { kind: 'sent'; from: string | null; to: string; event: WireMessage }
  | { kind: 'snapshot'; actor: string; snapshot: WireSnapshot; event: { type: string } | null }
  | { kind: 'stopped'; actor: string };

export type WireMessage = { type: string } & Record<string, unknown>;

export interface WireSnapshot {
  /** XState's word, or `unknown`. */
  status: string;
  value: unknown;
  context: unknown;
  output?: unknown;
  error?: unknown;
}

type Frame = Record<string, unknown>;

/** What a viewer says so that apps begin to send: to those of XState 5, and to those of XState 4. */
export const greetings: readonly { type: string }[] = [{ type: '@statelyai.connected' }, { type: 'xstate.inspecting' }];

/** Far deeper than the states of any machine, and shallow enough that nobody who walks through a frame runs out of stack. */
export const deepest = 200;

/** Ids count from 0 in every app: the connection tells them apart. */
export const actorId = (connection: string, session: string): string => `${connection.replace(/[%:]/g, escapeCharacter)}:${session}`;
const escapeCharacter = (character: string): string => (character === '%' ? '%25' : '%3A');

/** Undoes `actorId`. */
export function partsOf(actor: string): { connection: string; session: string } {
  const at = actor.indexOf(':');
  const connection = actor.slice(0, Math.max(at, 0));
  return { connection: connection.replace(/%25|%3A/g, (text) => (text === '%25' ? '%' : ':')), session: actor.slice(at + 1) };
}

/** The frame that makes an app send an event to one of its actors. Only those of XState 4 listen; they take the receiver from `origin`. */
export function commandFor(actor: string, event: { type: string }): { type: 'xstate.event'; event: string; service: string } {
  const { session } = partsOf(actor);
  const scxml = { name: event.type, data: event, $$type: 'scxml', type: 'external', origin: session };
  return { type: 'xstate.event', event: JSON.stringify(scxml), service: session };
}

/** Whether an app takes its leave. */
export const isGoodbye = (frame: unknown): boolean => isRecord(frame) && (frame.type === '@statelyai.disconnected' || frame.type === 'xstate.disconnect');

/** When the app made the frame, in milliseconds; null where frames do not say so. */
export function stampOf(frame: unknown): number | null {
  if (!isRecord(frame) || typeof frame.createdAt !== 'string') return null;
  const stamp = Number(frame.createdAt);
  return Number.isFinite(stamp) ? stamp : null;
}

/**
 * Reads a frame of `@statelyai/inspect` (XState 5), of `@xstate/inspect` (XState 4), or of XState 6's inspection as it is planned.
 * @param connection Who sent it.
 * @returns Nothing, one event or two, in order; null for what is no frame of these.
 */
export function readFrame(frame: unknown, connection: string): WireEvent[] | null {
  if (!isRecord(frame) || typeof frame.type !== 'string' || nestedDeeper(frame)) return null;
  if (isGoodbye(frame)) return [];
  const id = (session: string): string => actorId(connection, session);
  if (frame.type.startsWith('service.')) return readService(frame, id);
  if (!frame.type.startsWith('@xstate.')) return null;
  return typeof frame._version === 'string' && typeof frame.sessionId === 'string' ? readStately(frame, frame.sessionId, id) : readPlanned(frame, id);
}

type Id = (session: string) => string;

/** XState 5, through `@statelyai/inspect`. */
function readStately(frame: Frame, session: string, id: Id): WireEvent[] | null {
  const actor = id(session);
  switch (frame.type) {
    case '@xstate.actor': {
      const definition = parsed(frame.definition);
      return [
        {
          kind: 'actor',
          actor,
          name: textOr(frame.name, session),
          parent: typeof frame.parentId === 'string' ? id(frame.parentId) : null,
          definition: saysNothing(definition) ? null : definition,
          truncated: isCut(definition),
          accepts: false,
          snapshot: snapshotOf(frame.snapshot),
        },
      ];
    }
    case '@xstate.event':
      return isMessage(frame.event)
        ? [{ kind: 'sent', from: typeof frame.sourceId === 'string' ? id(frame.sourceId) : null, to: actor, event: frame.event }]
        : null;
    case '@xstate.snapshot':
      return changed(actor, frame);
    default:
      // Microsteps and actions, which the package keeps to itself today.
      return [];
  }
}

/** XState 6 has two kinds: the second is an event with what came of it. */
function readPlanned(frame: Frame, id: Id): WireEvent[] | null {
  if (frame.type === '@xstate.actor' && typeof frame.id === 'string') {
    const parent = referred(frame.parentRef);
    return [
      {
        kind: 'actor',
        actor: id(frame.id),
        name: frame.id,
        parent: parent === null ? null : id(parent),
        definition: null,
        truncated: false,
        accepts: false,
        snapshot: snapshotOf(frame.snapshot),
      },
    ];
  }
  const target = referred(frame.targetRef);
  if (frame.type !== '@xstate.transition' || target === null || !isMessage(frame.event)) return null;
  const source = referred(frame.sourceRef);
  const after = changed(id(target), frame);
  return after && [{ kind: 'sent', from: source === null ? null : id(source), to: id(target), event: frame.event }, ...after];
}

/** XState 4, through `@xstate/inspect`: machines, states and events come as JSON in strings. */
function readService(frame: Frame, id: Id): WireEvent[] | null {
  if (typeof frame.sessionId !== 'string') return null;
  const session = frame.sessionId;
  const actor = id(session);
  switch (frame.type) {
    case 'service.register': {
      const definition = parsed(frame.machine);
      // Services that are older than the viewer are registered without their own id.
      const name = textOr(frame.id, isRecord(definition) ? textOr(definition.id, session) : session);
      const parent = typeof frame.parent === 'string' ? id(frame.parent) : null;
      return [{ kind: 'actor', actor, name, parent, definition, truncated: false, accepts: true, snapshot: stateOf(parsed(frame.state)) }];
    }
    case 'service.event': {
      const scxml = parsed(frame.event);
      if (!isRecord(scxml) || typeof scxml.name !== 'string') return null;
      // An actor that sends to itself does not say so: one that does got the event from a viewer.
      const from = typeof scxml.origin === 'string' && scxml.origin !== session ? id(scxml.origin) : null;
      return [{ kind: 'sent', from, to: actor, event: isMessage(scxml.data) ? scxml.data : { type: scxml.name } }];
    }
    case 'service.state': {
      const state = parsed(frame.state);
      const snapshot = stateOf(state);
      return snapshot && isRecord(state) ? [{ kind: 'snapshot', actor, snapshot, event: isMessage(state.event) ? state.event : null }] : null;
    }
    case 'service.stop':
      return [{ kind: 'stopped', actor }];
    default:
      return null;
  }
}

/** There is no frame for an actor's end: its last snapshot tells. */
function changed(actor: string, { snapshot: raw, event }: Frame): WireEvent[] | null {
  const snapshot = snapshotOf(raw);
  if (!snapshot) return null;
  const ended: WireEvent[] = snapshot.status === 'stopped' ? [{ kind: 'stopped', actor }] : [];
  return [{ kind: 'snapshot', actor, snapshot, event: isMessage(event) && event.type !== '' ? event : null }, ...ended];
}

function snapshotOf(raw: unknown): WireSnapshot | null {
  if (!isRecord(raw)) return null;
  return {
    status: textOr(raw.status, 'unknown'),
    value: raw.value ?? null,
    context: raw.context ?? null,
    ...(raw.output === undefined ? {} : { output: raw.output }),
    ...(raw.error === undefined ? {} : { error: raw.error }),
  };
}

const stateOf = (state: unknown): WireSnapshot | null =>
  isRecord(state) ? { status: state.done === true ? 'done' : 'active', value: state.value ?? null, context: state.context ?? null } : null;

/** The sender writes a definition with nothing but a name for actors that are no machines. */
const saysNothing = (definition: unknown): boolean => !isRecord(definition) || Object.keys(definition).every((key) => key === 'id');

const marks = new Set<unknown>(['[Object]', '[Array]', '[...]']);

/** Whether there is a mark where something was. */
function isCut(definition: unknown): boolean {
  for (let level = [definition]; level.length > 0; level = level.flatMap(inside)) if (level.some((value) => marks.has(value))) return true;
  return false;
}

function nestedDeeper(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true;
    level = level.flatMap(inside);
  }
  return false;
}

const inside = (value: unknown): unknown[] => (typeof value === 'object' && value !== null ? Object.values(value) : []);

/** JSON in a string; null for anything else. */
function parsed(text: unknown): unknown {
  if (typeof text !== 'string') return null;
  try {
    const value: unknown = JSON.parse(text);
    return nestedDeeper(value) ? null : value;
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Frame => typeof value === 'object' && value !== null && !Array.isArray(value);
const isMessage = (value: unknown): value is WireMessage => isRecord(value) && typeof value.type === 'string';
const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' && value !== '' ? value : otherwise);

/** A reference to an actor, as JSON has it. */
function referred(ref: unknown): string | null {
  if (typeof ref === 'string') return ref;
  if (!isRecord(ref)) return null;
  return typeof ref.id === 'string' ? ref.id : null;
}
