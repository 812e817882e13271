import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { messageOf, UsageError } from '../system/errors.js';
import { Relay } from './relay.js';

/** A live system of this process, connected as an app is. */
export interface LocalDoor {
  /** Sends a frame: plain JSON data, or it is dropped and counted as anybody's. */
  send(frame: unknown): void;
  /** Is told what the page commands. Anything may come. */
  onCommand(listener: (data: unknown) => void): void;
  close(): void;
}

export interface InspectorServer {
  /** The page: `http://127.0.0.1:PORT/?key=TOKEN#HASH`. */
  url: string;
  /** What an app's own inspector is pointed at: `ws://127.0.0.1:PORT/app?key=TOKEN`. */
  appEndpoint: string;
  local(name: string): LocalDoor;
  close(): Promise<void>;
}

export interface InspectorOptions {
  /** The whole page, as one document. */
  html: string;
  /** Default: any that is free. */
  port?: number;
  /** What the page is to show first, already percent-encoded. */
  hash?: string;
}

const host = '127.0.0.1';
/** A larger frame ends its connection: it would be read into memory before anybody could drop it. */
const hardLimit_bytes = 16 * 2 ** 20;
/** A reader that is so far behind is let go; a page that comes back starts from what is kept. */
const mostWaiting_bytes = 256 * 2 ** 20;

/** The page's own policy (inspector/index.html), and who may frame it: apps on this machine, as their inspectors do. */
const policy = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob: data:",
  'worker-src blob: data:',
  "style-src 'unsafe-inline'",
  'img-src data: blob:',
  'connect-src ws://127.0.0.1:* ws://localhost:*',
  "base-uri 'none'",
  "form-action 'none'",
  'frame-ancestors http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*',
].join('; ');

const headers = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
};

/** The path and the key that a request is for. Never fails, whatever was asked for. */
function asked({ url = '' }: IncomingMessage): { path: string; key: string } {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  return { path, key: at < 0 ? '' : (new URLSearchParams(url.slice(at + 1)).get('key') ?? '') };
}

/** Whether this is the origin of a page on this machine. */
function isLocal(origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname, origin: canonical } = new URL(origin);
  return canonical === origin && /^https?:$/.test(protocol) && ['localhost', host, '[::1]'].includes(hostname);
}

/** Who may have what. Programs on this machine can reach the port, and so can any page in its browsers: hence the key, and the checks of Host and Origin. */
class Gate {
  private readonly digest: Buffer;
  private readonly hosts: readonly string[];

  constructor(key: string, port: number) {
    this.digest = this.digestOf(key);
    // Browsers leave out a port that goes without saying.
    this.hosts = [host, 'localhost'].flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`]));
  }

  /** Whether the request means this server by a name of its own, not by one that somebody has pointed here. */
  knowsHost({ headers }: IncomingMessage): boolean {
    return this.hosts.includes(headers.host ?? '');
  }

  /** Takes the same time whatever the key. */
  fits(key: string): boolean {
    return timingSafeEqual(this.digestOf(key), this.digest);
  }

  /** Whether a WebSocket may be opened: by the page itself as a viewer, by an app of this machine as an app. */
  admits(role: Role, { headers: { origin } }: IncomingMessage): boolean {
    if (role === 'app') return origin === undefined || isLocal(origin);
    return origin !== undefined && this.hosts.some((name) => origin === `http://${name}`);
  }

  private digestOf(key: string): Buffer {
    return createHash('sha256').update(key).digest();
  }
}

/** The status of the answer to a request for the page. */
function statusFor(gate: Gate, request: IncomingMessage): 200 | 403 | 404 | 405 {
  if (!gate.knowsHost(request)) return 403;
  if (request.method !== 'GET' && request.method !== 'HEAD') return 405;
  const { path, key } = asked(request);
  if (path !== '/') return 404;
  return gate.fits(key) ? 200 : 403;
}

const reasons = { 403: 'forbidden: open the address that the inspector printed', 404: 'there is nothing here', 405: 'only GET and HEAD' };

function answer(gate: Gate, html: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const status = statusFor(gate, request);
  const body = status === 200 ? html : Buffer.from(`${reasons[status]}\n`);
  response.writeHead(status, {
    ...headers,
    'Content-Type': `text/${status === 200 ? 'html' : 'plain'}; charset=utf-8`,
    'Content-Length': body.length,
    ...(status === 405 ? { Allow: 'GET, HEAD' } : {}),
  });
  response.end(body);
}

function refuse(socket: Duplex, status: '403 Forbidden' | '404 Not Found'): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function sendTo(socket: WebSocket, text: string): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > mostWaiting_bytes) socket.terminate();
  else socket.send(text);
}

/** Null for a binary frame: nobody's protocol has any. */
const textIn = (data: RawData, isBinary: boolean): string | null => (isBinary ? null : (data as Buffer).toString('utf8'));

function joinApp(relay: Relay, socket: WebSocket): void {
  const connection = relay.connect((text) => sendTo(socket, text));
  socket.on('message', (data, isBinary) => {
    const text = textIn(data, isBinary);
    if (text === null) connection.drop();
    else connection.frame(text);
  });
  // Past the hard limit, or no WebSocket frame. Nothing comes after it, though the socket may take its time to close.
  socket.on('error', () => {
    connection.drop();
    connection.close();
  });
  socket.on('close', connection.close);
}

function joinViewer(relay: Relay, socket: WebSocket): void {
  const viewer = relay.watch((text) => sendTo(socket, text));
  socket.on('message', (data, isBinary) => viewer.command(textIn(data, isBinary) ?? ''));
  socket.on('error', viewer.close);
  socket.on('close', viewer.close);
}

type Role = 'viewer' | 'app';
const roles: Readonly<Record<string, Role>> = { '/viewer': 'viewer', '/app': 'app' };

function refusal(gate: Gate, request: IncomingMessage, role: Role | undefined): '403 Forbidden' | '404 Not Found' | null {
  if (!gate.knowsHost(request)) return '403 Forbidden';
  if (!role) return '404 Not Found';
  return gate.fits(asked(request).key) && gate.admits(role, request) ? null : '403 Forbidden';
}

function upgrade(gate: Gate, relay: Relay, sockets: WebSocketServer, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  // Somebody who goes away in the middle is no error.
  socket.on('error', () => socket.destroy());
  const { path } = asked(request);
  const role = Object.hasOwn(roles, path) ? roles[path] : undefined;
  const refused = refusal(gate, request, role);
  if (refused) refuse(socket, refused);
  else sockets.handleUpgrade(request, socket, head, (opened) => (role === 'app' ? joinApp : joinViewer)(relay, opened));
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    // For good: later errors, such as too many open files, are nothing to end for.
    server.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        new UsageError(
          error.code === 'EADDRINUSE'
            ? `port ${port} is in use; choose another with --port, or leave it out`
            : `cannot listen on port ${port}: ${messageOf(error)}`,
        ),
      ),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function openDoor(relay: Relay, name: string): LocalDoor {
  const listeners = new Set<(data: unknown) => void>();
  const connection = relay.connect((text) => {
    for (const listener of listeners) listener(JSON.parse(text));
  }, name);
  return {
    send: (frame) => {
      let text: string | undefined;
      try {
        text = JSON.stringify(frame);
      } catch {
        text = undefined;
      }
      if (text === undefined) connection.drop();
      else connection.frame(text);
    },
    onCommand: (listener) => void listeners.add(listener),
    close: connection.close,
  };
}

/**
 * Serves the inspector's page on this machine only, and relays between the apps that connect and the pages that watch.
 * @throws {UsageError} when the port cannot be had.
 */
export async function startInspector({ html, port: wanted = 0, hash }: InspectorOptions): Promise<InspectorServer> {
  const key = randomBytes(16).toString('hex');
  const relay = new Relay();
  const sockets = new WebSocketServer({ noServer: true, maxPayload: hardLimit_bytes });
  const server = createServer();
  const port = await listen(server, wanted);
  const gate = new Gate(key, port);
  const page = Buffer.from(html);
  server.on('request', (request, response) => answer(gate, page, request, response));
  server.on('upgrade', (request, socket, head) => upgrade(gate, relay, sockets, request, socket, head));
  let closed: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets.clients) {
      socket.close(1001, 'the inspector has ended');
      // Nobody is waited for.
      socket.terminate();
    }
    sockets.close();
    server.closeAllConnections();
    await ended;
  };
  return {
    url: `http://${host}:${port}/?key=${key}${hash === undefined ? '' : `#${hash}`}`,
    appEndpoint: `ws://${host}:${port}/app?key=${key}`,
    local: (name) => openDoor(relay, name),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}
