import { useEffect, useMemo, useRef, useState } from 'react';
import { LiveLog } from '../src/inspect/live-log.js';
import type { Envelope } from '../src/inspect/relay.js';
import { commandFor, greetings, partsOf } from '../src/inspect/wire.js';
import { listenToWindows } from './receive.js';

/** A live system that waits for its next choice, to be taken here. */
export interface Steered {
  connection: string;
  choices: readonly { index: number; label: string }[];
}

export interface Relay {
  log: LiveLog;
  /** Where apps connect to; null when the page is a file. */
  endpoint: string | null;
  send: (actor: string, event: { type: string }) => void;
  steered: readonly Steered[];
  steer: (connection: string, choice: number) => void;
  /** Connects to an app that serves its inspection; what is wrong with the address, or null. */
  connect: (url: string) => string | null;
}

const nameOf = (connection: number): string => `app${connection}`;

/** What a live Shootdown system says of what it can do next. */
function choicesIn(data: unknown): Steered['choices'] | null {
  const { type, choices } = (data ?? {}) as { type?: unknown; choices?: unknown };
  if (type !== 'shootdown.enabled' || !Array.isArray(choices)) return null;
  return choices.flatMap((choice: unknown) => {
    const { index, label } = (choice ?? {}) as { index?: unknown; label?: unknown };
    return typeof index === 'number' && typeof label === 'string' ? [{ index, label }] : [];
  });
}

/** What live apps send: through the inspector's server, and from the windows around the page. */
export function useRelay(): Relay {
  const log = useMemo(() => new LiveLog(), []);
  const [steered, setSteered] = useState<readonly Steered[]>([]);
  const [socket, setSocket] = useState<WebSocket | null>(null);
  const [windows, setWindows] = useState<ReturnType<typeof listenToWindows> | null>(null);
  const key = new URLSearchParams(location.search).get('key');
  const isServed = location.protocol.startsWith('http') && key !== null;

  useEffect(() => {
    const listening = listenToWindows(log, window);
    setWindows(listening);
    return () => listening.stop();
  }, [log]);

  useEffect(() => {
    if (!isServed) return;
    const opened = new WebSocket(`ws://${location.host}/viewer?key=${encodeURIComponent(key)}`);
    const dropped = new Map<number, number>();
    opened.addEventListener('message', ({ data: text }: MessageEvent<string>) => {
      const { connection, kind, data, count = 0 } = JSON.parse(text) as Envelope;
      const name = nameOf(connection);
      const choices = kind === 'frame' ? choicesIn(data) : null;
      if (choices) setSteered((before) => [...before.filter((each) => each.connection !== name), { connection: name, choices }]);
      else if (kind === 'frame') log.receive(name, data);
      if (kind === 'close') {
        log.closed(name);
        setSteered((before) => before.filter((each) => each.connection !== name));
      }
      if (kind === 'dropped') {
        log.refuse('malformed', Math.max(count - (dropped.get(connection) ?? 0), 0));
        dropped.set(connection, count);
      }
    });
    setSocket(opened);
    return () => opened.close();
  }, [log, isServed, key]);

  const served = useRef(new Map<string, WebSocket>());
  useEffect(
    () => () => {
      for (const each of served.current.values()) each.close();
    },
    [],
  );
  const connect = (url: string): string | null => {
    if (!/^ws:\/\/(127\.0\.0\.1|localhost):\d+(\/|$)/.test(url)) return 'an address on this machine, such as ws://127.0.0.1:8888';
    const name = `ws${served.current.size + 1}`;
    const socket = new WebSocket(url);
    served.current.set(name, socket);
    socket.addEventListener('open', () => {
      for (const greeting of greetings) socket.send(JSON.stringify(greeting));
    });
    socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => log.receive(name, data));
    socket.addEventListener('close', () => log.closed(name));
    return null;
  };
  const command = (connection: string, data: unknown): void => socket?.send(JSON.stringify({ connection: Number(connection.slice('app'.length)), data }));
  return {
    log,
    endpoint: isServed ? `ws://${location.host}/app?key=${encodeURIComponent(key)}` : null,
    send: (actor, event) => {
      const { connection } = partsOf(actor);
      const own = served.current.get(connection);
      if (own) own.send(JSON.stringify(commandFor(actor, event)));
      else if (!windows?.send(actor, event)) command(connection, commandFor(actor, event));
    },
    steered,
    connect,
    steer: (connection, choice) => command(connection, { type: 'shootdown.take', choice }),
  };
}
