import type { LiveLog } from '../src/inspect/live-log.js';
import { commandFor, greetings, partsOf } from '../src/inspect/wire.js';

export interface Windows {
  /** Asks the apps to send what they keep: their actors first. */
  greet(): void;
  /** Sends an event to an actor of an app of XState 4. False when its window is not one of these, or gone. */
  send(actor: string, event: { type: string }): boolean;
  stop(): void;
}

interface Peer {
  name: string;
  window: Window;
  /** Known once it has spoken. */
  origin: string | null;
}

/**
 * Receives from the window that opened the page and from the one that frames it, which is where apps run the inspector
 * packages. Nobody else is listened to.
 */
export function listenToWindows(log: LiveLog, page: Window): Windows {
  const peers: Peer[] = [
    { name: 'opener', window: page.opener as Window | null },
    { name: 'parent', window: page.parent },
  ].flatMap(({ name, window }) => (window && window !== page ? [{ name, window, origin: null }] : []));

  const receive = ({ source, origin, data }: MessageEvent<unknown>): void => {
    // Extensions and libraries talk to the page itself.
    if (source === page) return;
    const peer = peers.find(({ window }) => window === source);
    if (peer) {
      peer.origin = origin;
      log.receive(peer.name, data);
    } else log.refuse('foreign');
  };

  const post = ({ window, origin }: Peer, message: unknown): void => {
    // Pages opened as files have no origin to name. A greeting says nothing that others may not hear.
    window.postMessage(message, origin === null || origin === 'null' ? '*' : origin);
  };

  const greet = (): void => {
    for (const peer of peers) {
      log.greeted(peer.name);
      for (const greeting of greetings) post({ ...peer, origin: null }, greeting);
    }
  };

  page.addEventListener('message', receive);
  greet();
  return {
    greet,
    send: (actor, event) => {
      const peer = peers.find(({ name }) => name === partsOf(actor).connection);
      if (!peer || peer.window.closed) return false;
      post(peer, commandFor(actor, event));
      return true;
    },
    stop: () => page.removeEventListener('message', receive),
  };
}
