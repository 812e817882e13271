import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket as NetSocket } from 'node:net';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { type InspectorServer, startInspector } from '../../src/inspect/server.js';
import { UsageError } from '../../src/system/errors.js';

const html = '<!doctype html><title>the page</title>é';
let server: InspectorServer;
let sockets: Socket[] = [];
beforeEach(async () => {
  server = await startInspector({ html });
});
afterEach(async () => {
  for (const { socket } of sockets) socket.terminate();
  sockets = [];
  await server.close();
});

const portOf = ({ url }: InspectorServer): string => new URL(url).port;
const viewerEndpoint = (): string => server.appEndpoint.replace('/app', '/viewer');
const ownOrigin = (): string => new URL(server.url).origin;

/** A WebSocket with what came in so far, in the order it came. */
class Socket {
  readonly socket: WebSocket;
  private readonly received: unknown[] = [];
  private waiting: (() => void) | null = null;

  constructor(url: string, options: { origin?: string; headers?: Record<string, string> } = {}) {
    this.socket = new WebSocket(url, options);
    this.socket.on('message', (data) => {
      this.received.push(JSON.parse(String(data)));
      this.waiting?.();
    });
    // Refusals are looked at in `status`, and ends in `closed`.
    this.socket.on('error', () => {});
    sockets.push(this);
  }

  /** The next frames. */
  async next(count: number): Promise<unknown[]> {
    while (this.received.length < count)
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    return this.received.splice(0, count);
  }

  send(...frames: (string | object)[]): void {
    for (const frame of frames) this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  async closed(): Promise<number> {
    const [code] = await once(this.socket, 'close');
    return code;
  }
}

async function opened(url: string, options = {}): Promise<Socket> {
  const socket = new Socket(url, options);
  await once(socket.socket, 'open');
  return socket;
}
const viewer = (): Promise<Socket> => opened(viewerEndpoint(), { origin: ownOrigin() });
const app = (): Promise<Socket> => opened(server.appEndpoint);

/** A viewer with an app whose connection it has been told of. */
async function watched(): Promise<{ page: Socket; one: Socket }> {
  const page = await viewer();
  const one = await app();
  expect(await page.next(1)).toEqual([{ connection: 1, kind: 'open' }]);
  return { page, one };
}

/** A WebSocket of an app that speaks no more of the protocol than to begin it. */
async function handshaken(): Promise<NetSocket> {
  const { pathname, search, host, port } = new URL(server.appEndpoint);
  const raw = connect(Number(port), '127.0.0.1');
  raw.on('error', () => {});
  const asked = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];
  raw.write([`GET ${pathname}${search} HTTP/1.1`, `Host: ${host}`, ...asked, '', ''].join('\r\n'));
  await once(raw, 'data');
  raw.pause();
  return raw;
}

/** The status of an upgrade: 101, or that of the refusal. */
async function status(url: string, options: { origin?: string; headers?: Record<string, string> } = {}): Promise<number> {
  const { socket } = new Socket(url, options);
  return new Promise((resolve) => {
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
  });
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

function get(url: string, { method = 'GET', host }: { method?: string; host?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: host === undefined ? {} : { host } }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (data) => parts.push(data));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts).toString('utf8') }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the page', () => {
  test('is served under the address that is told, and may load nothing', async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?key=[0-9a-f]{32}$/);
    expect(server.appEndpoint).toBe(server.url.replace('http:', 'ws:').replace('/?', '/app?'));
    const { status, headers, body } = await get(server.url);
    expect({ status, body }).toEqual({ status: 200, body: html });
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    });
    expect(headers['content-security-policy']).toContain("default-src 'none'");
  });

  test("the server's policy is the page's own", async () => {
    const own = readFileSync(join(__dirname, '..', '..', 'inspector', 'index.html'), 'utf8');
    const { headers } = await get(server.url);
    const directives = String(headers['content-security-policy']).split('; ');
    expect(directives.filter((directive) => !own.includes(directive))).toEqual([
      'frame-ancestors http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*',
    ]);
  });

  test('what it shows first stands behind the address', async () => {
    const other = await startInspector({ html, hash: 'lock/safe?rounds=2' });
    expect(other.url).toMatch(/\?key=[0-9a-f]{32}#lock\/safe\?rounds=2$/);
    await other.close();
  });

  test('HEAD has no body', async () => {
    const { status, headers, body } = await get(server.url, { method: 'HEAD' });
    expect({ status, body, length: headers['content-length'] }).toEqual({ status: 200, body: '', length: String(Buffer.byteLength(html)) });
  });

  test.each(['', '?key=', '?key=0', `?key=${'0'.repeat(32)}`, '?kei=x', '?key=%', '?key=%00'])('without the key (%j): 403', async (query) => {
    expect(await get(`${ownOrigin()}/${query}`)).toMatchObject({ status: 403, headers: { 'cache-control': 'no-store' } });
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s: 405', async (method) => {
    expect(await get(server.url, { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });

  test.each(['/favicon.ico', '/app', '/viewer', '/index.html', '//'])('%s: 404', async (path) => {
    expect((await get(server.url.replace('/?', `${path}?`))).status).toBe(404);
  });

  test('only for who means this machine', async () => {
    const port = portOf(server);
    expect((await get(server.url, { host: `localhost:${port}` })).status).toBe(200);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1', 'localhost', `127.0.0.1.evil.example:${port}`, `0.0.0.0:${port}`])
      expect((await get(server.url, { host })).status).toBe(403);
  });

  test('every server has a key of its own', async () => {
    const other = await startInspector({ html });
    expect((await get(`${new URL(other.url).origin}/${new URL(server.url).search}`)).status).toBe(403);
    await other.close();
  });
});

describe('who may connect', () => {
  test('apps: Node, and pages of this machine', async () => {
    expect(await status(server.appEndpoint)).toBe(101);
    for (const origin of ['http://localhost:5173', 'https://localhost', 'http://127.0.0.1:8080', 'http://[::1]:3000', ownOrigin()])
      expect(await status(server.appEndpoint, { origin })).toBe(101);
  });

  test.each([
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example:5173',
    'http://localhost:5173@evil.example',
    'http://localhost:5173/path',
    'ftp://localhost',
    'file://',
    'null',
    'localhost',
  ])('no app from %s', async (origin) => {
    expect(await status(server.appEndpoint, { origin })).toBe(403);
  });

  test('viewers: the page itself, by either name', async () => {
    expect(await status(viewerEndpoint(), { origin: ownOrigin() })).toBe(101);
    const localhost = `localhost:${portOf(server)}`;
    expect(await status(viewerEndpoint(), { origin: `http://${localhost}`, headers: { host: localhost } })).toBe(101);
    for (const origin of ['http://localhost:5173', 'https://evil.example', 'null', ownOrigin().replace('http', 'https')])
      expect(await status(viewerEndpoint(), { origin })).toBe(403);
    expect(await status(viewerEndpoint())).toBe(403);
  });

  test('nobody without the key, from another host, or to another path', async () => {
    for (const endpoint of [server.appEndpoint, viewerEndpoint()]) {
      const origin = ownOrigin();
      expect(await status(endpoint.replace(/\?.*/, ''), { origin })).toBe(403);
      expect(await status(`${endpoint}0`, { origin })).toBe(403);
      expect(await status(endpoint, { origin, headers: { host: `evil.example:${portOf(server)}` } })).toBe(403);
    }
    for (const path of ['/', '/other', '/toString']) expect(await status(server.appEndpoint.replace('/app', path))).toBe(404);
  });
});

describe('the relay', () => {
  test('tells viewers of an app, its frames and its end, in order', async () => {
    const { page, one } = await watched();
    one.send({ type: '@xstate.event', n: 1 }, '"text"', ' [1, {"__proto__": 2}] ');
    expect(JSON.stringify(await page.next(3))).toBe(
      JSON.stringify([
        { connection: 1, kind: 'frame', data: { type: '@xstate.event', n: 1 } },
        { connection: 1, kind: 'frame', data: 'text' },
        { connection: 1, kind: 'frame', data: JSON.parse('[1, {"__proto__": 2}]') },
      ]),
    );
    one.socket.close();
    expect(await page.next(1)).toEqual([{ connection: 1, kind: 'close' }]);
  });

  test('keeps two apps apart, also in what they are commanded', async () => {
    const { page, one } = await watched();
    const two = await app();
    expect(await page.next(1)).toEqual([{ connection: 2, kind: 'open' }]);
    one.send({ sessionId: 'x:0', of: 'one' });
    expect(await page.next(1)).toEqual([{ connection: 1, kind: 'frame', data: { sessionId: 'x:0', of: 'one' } }]);
    two.send({ sessionId: 'x:0', of: 'two' });
    expect(await page.next(1)).toEqual([{ connection: 2, kind: 'frame', data: { sessionId: 'x:0', of: 'two' } }]);
    page.send({ connection: 2, data: { type: 'go', n: 2 } }, { connection: 1, data: { type: 'go', n: 1 } }, { connection: 2, data: 'last' });
    expect(await two.next(2)).toEqual([{ type: 'go', n: 2 }, 'last']);
    expect(await one.next(1)).toEqual([{ type: 'go', n: 1 }]);
  });

  test('ignores commands that make no sense', async () => {
    const { page, one } = await watched();
    page.send('no JSON', 'null', '[]', '{}', { connection: 9, data: 1 }, { connection: '1', data: 1 }, { connection: 1 });
    page.send(`{"connection":1,"data":${'['.repeat(400_000)}${']'.repeat(400_000)}}`, JSON.stringify({ connection: 1, data: 'x'.repeat(2 ** 20) }));
    page.socket.send(Buffer.from('{"connection":1,"data":1}'));
    page.send({ connection: 1, data: 'sense' });
    expect(await one.next(1)).toEqual(['sense']);
  });

  test('drops and counts what is no JSON, no text, or too large', async () => {
    const { page, one } = await watched();
    const large = (bytes: number): string => JSON.stringify('é'.repeat((bytes - 2) / 2));
    one.send('{"type":', '');
    one.socket.send(Buffer.from('{}'));
    one.send(large(2 ** 20 + 2), 'undefined', { type: 'fine' });
    expect(await page.next(6)).toEqual([
      ...[1, 2, 3, 4, 5].map((count) => ({ connection: 1, kind: 'dropped', count })),
      { connection: 1, kind: 'frame', data: { type: 'fine' } },
    ]);
    one.send(large(2 ** 20));
    expect(await page.next(1)).toMatchObject([{ kind: 'frame' }]);
    const late = await viewer();
    expect((await late.next(2))[1]).toEqual({ connection: 1, kind: 'dropped', count: 5 });
  });

  test('deep nesting is passed on as it is', async () => {
    const { page, one } = await watched();
    const [received] = await Promise.all([once(page.socket, 'message'), one.send(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)]);
    expect(String(received[0])).toHaveLength(200_000 + '{"connection":1,"kind":"frame","data":}'.length);
  });

  test('a frame past the hard limit ends its connection, and no other', async () => {
    const { page, one } = await watched();
    const two = await app();
    await page.next(1);
    one.send('x'.repeat(2 ** 24 + 1));
    expect(await one.closed()).toBe(1009);
    expect(await page.next(2)).toEqual([
      { connection: 1, kind: 'dropped', count: 1 },
      { connection: 1, kind: 'close' },
    ]);
    two.send('1');
    expect(await page.next(1)).toEqual([{ connection: 2, kind: 'frame', data: 1 }]);
  });

  test('bytes that are no WebSocket frame end their connection only', async () => {
    const { page } = await watched();
    const raw = await handshaken();
    expect(await page.next(1)).toEqual([{ connection: 2, kind: 'open' }]);
    raw.write(Buffer.alloc(100, 0xff));
    expect(await page.next(2)).toEqual([
      { connection: 2, kind: 'dropped', count: 1 },
      { connection: 2, kind: 'close' },
    ]);
    raw.destroy();
  });

  test('a viewer that comes later is told of the open connections and their last 200 frames', async () => {
    const { page, one } = await watched();
    const two = await app();
    one.send(...Array.from({ length: 250 }, (_, n) => ({ n })));
    two.send('"only"');
    await page.next(252);
    const gone = await app();
    gone.socket.close();
    await page.next(2);
    const late = await viewer();
    expect(await late.next(203)).toEqual([
      { connection: 1, kind: 'open' },
      ...Array.from({ length: 200 }, (_, n) => ({ connection: 1, kind: 'frame', data: { n: n + 50 } })),
      { connection: 2, kind: 'open' },
      { connection: 2, kind: 'frame', data: 'only' },
    ]);
    two.send('"more"');
    expect(await late.next(1)).toEqual([{ connection: 2, kind: 'frame', data: 'more' }]);
  });

  test('and of each actor what was the last before those', async () => {
    const { page, one } = await watched();
    const of = (type: string, sessionId: string, n: number): object => ({ type, sessionId, n });
    one.send(
      of('@xstate.actor', 'a', 1),
      of('@xstate.actor', 'b', 2),
      of('@xstate.snapshot', 'a', 3),
      of('@xstate.snapshot', 'a', 4),
      of('@xstate.event', 'a', 5),
    );
    one.send(...Array.from({ length: 200 }, (_, n) => ({ n: n + 6 })));
    await page.next(205);
    const late = await viewer();
    const frames = (await late.next(204)).slice(1).map((envelope) => (envelope as { data: { n: number } }).data.n);
    expect(frames).toEqual([1, 2, 4, ...Array.from({ length: 200 }, (_, n) => n + 6)]);
  });

  test('keeps fewer frames when they are large', async () => {
    const { page, one } = await watched();
    const wide = 'x'.repeat(2 ** 20 - 100);
    one.send({ type: '@xstate.snapshot', sessionId: 'a', wide }, ...Array.from({ length: 9 }, (_, n) => ({ n, wide })));
    await page.next(10);
    const late = await viewer();
    one.send('"end"');
    const seen = (await late.next(10)).map((envelope) => (envelope as { data?: { n?: number } }).data?.n ?? null);
    expect(seen).toEqual([null, 1, 2, 3, 4, 5, 6, 7, 8, null]);
  });
});

describe('a system of the same process', () => {
  test('is connected as an app is', async () => {
    const page = await viewer();
    const door = server.local('lock/safe');
    const commands: unknown[] = [];
    door.onCommand((data) => commands.push(data));
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const frame of [{ type: '@xstate.actor', left: undefined }, cycle, 1n, undefined, 'x'.repeat(2 ** 20)]) door.send(frame);
    expect(await page.next(6)).toEqual([
      { connection: 1, kind: 'open', data: { name: 'lock/safe' } },
      { connection: 1, kind: 'frame', data: { type: '@xstate.actor' } },
      ...[1, 2, 3, 4].map((count) => ({ connection: 1, kind: 'dropped', count })),
    ]);
    const commanded = new Promise<void>((resolve) => door.onCommand(() => resolve()));
    page.send({ connection: 1, data: { type: 'shootdown.take', choice: 0 } });
    await commanded;
    expect(commands).toEqual([{ type: 'shootdown.take', choice: 0 }]);
    door.close();
    door.close();
    door.send('too late');
    server.local('next');
    expect(await page.next(2)).toEqual([
      { connection: 1, kind: 'close' },
      { connection: 2, kind: 'open', data: { name: 'next' } },
    ]);
  });
});

describe('the port', () => {
  test('in use: says so, and what to do', async () => {
    const port = Number(portOf(server));
    const second = startInspector({ html, port });
    await expect(second).rejects.toThrow(UsageError);
    await expect(second).rejects.toThrow(`port ${port} is in use; choose another with --port, or leave it out`);
  });

  test('is free again after close, which ends every connection and can be called twice', async () => {
    const { page, one } = await watched();
    const ends = [page.closed(), one.closed()];
    const { url } = server;
    await Promise.all([server.close(), server.close()]);
    await Promise.all(ends);
    await expect(get(url)).rejects.toThrow('ECONNREFUSED');
    server = await startInspector({ html, port: Number(portOf(server)) });
    expect((await get(server.url)).status).toBe(200);
  });

  test('is not kept by an app that does not answer', async () => {
    const raw = await handshaken();
    const ended = once(raw, 'close');
    await server.close();
    raw.resume();
    await ended;
  });

  test('is not kept by somebody who never finishes a request', async () => {
    const raw = connect(Number(portOf(server)), '127.0.0.1');
    raw.on('error', () => {});
    await once(raw, 'connect');
    raw.write('GET / HTTP/1.1\r\n');
    const ended = once(raw, 'close');
    raw.resume();
    // Answered by now, so the unfinished one has arrived too.
    await get(server.url);
    await server.close();
    await ended;
  });
});
