import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { readFrame } from '../../src/inspect/wire.js';
import { close, launch, open, root } from './page.js';
import { inspector, started, stopAll } from './programs.js';

const workspace = join(root, 'packages', 'inspect-v4');
// Within the workspace, whose XState is 4.
const folder = mkdtempSync(join(workspace, '.app-'));
afterEach(stopAll);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await close();
});

/** An app of XState 4 as anybody writes one, for a browser. */
const app = (url: string): string => `
import { inspect } from '@xstate/inspect';
import { createMachine, interpret } from 'xstate';
inspect({ url: ${JSON.stringify(url)}, iframe: false });
const light = createMachine({ id: 'light4', initial: 'green', states: { green: { on: { next: 'red' } }, red: { on: { next: 'green' } } } });
const service = interpret(light, { devTools: true }).start();
setInterval(() => service.send({ type: 'next' }), 50);
`;

test('an app of XState 4 through @xstate/inspect, in a window of its own', async () => {
  writeFileSync(join(folder, 'app.js'), app((await inspector('inspect')).split('#')[0] as string));
  await started([join(__dirname, 'bundle.mjs'), folder], null);
  const script = readFileSync(join(folder, 'bundle.js'), 'utf8');
  const server = createServer((_, response) =>
    response.setHeader('content-type', 'text/html').end(`<!doctype html><title>app</title><body><script>${script}</script>`),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const context = await (await launch()).newContext();
  try {
    const page = await context.newPage();
    const opened = context.waitForEvent('page', (each) => each !== page);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const inspected = await opened;
    await inspected.getByRole('tab', { name: 'Live apps' }).click();
    const actor = inspected.getByRole('option').filter({ hasText: 'light4' }).first();
    await actor.waitFor();
    await actor.click();
    await inspected.locator('svg').getByText('green').first().waitFor();
  } finally {
    await context.close();
    server.close();
  }
});

/** A live system of ours, for viewers of the older protocol. */
const bridged = `
import { inspect } from '@xstate/inspect/lib/server.js';
import { LiveSystem } from '../../../dist/esm/src/index.js';
import { build, scenarios } from '../../../dist/esm/src/scenarios/index.js';
import { WebSocketServer } from 'ws';
import { bridge } from '../bridge.js';
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => {
  inspect({ server });
  const [scenario] = scenarios;
  const live = new LiveSystem(build(scenario, scenario.variants[0]).system);
  bridge(live);
  console.log('viewers at ws://127.0.0.1:' + server.address().port);
  setInterval(() => {
    const [choice] = live.enabled();
    if (choice) live.take(choice);
  }, 50);
});
`;

test('a live system of ours through the real @xstate/inspect, as viewers of the older protocol get it', async () => {
  writeFileSync(join(folder, 'run.mjs'), bridged);
  const socket = new WebSocket(await started([join(folder, 'run.mjs')], /viewers at (\S+)/));
  const seen = { actor: new Map<string, unknown>(), sent: 0, snapshot: 0, stopped: 0 };
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'xstate.inspecting' })));
    socket.on('message', (data) => {
      for (const event of readFrame(JSON.parse(String(data)), 'c') ?? []) {
        if (event.kind === 'actor') seen.actor.set(event.actor, event.definition);
        else seen[event.kind]++;
      }
      if (seen.actor.size > 5 && seen.sent > 5 && seen.snapshot > 5) resolve();
    });
  });
  socket.close();
  expect(JSON.stringify([...seen.actor].find(([id]) => id.includes('cpu0'))?.[1])).toContain('interrupts');
});

test('an app that serves its inspection is connected to from the page', async () => {
  writeFileSync(join(folder, 'run.mjs'), bridged);
  const address = await started([join(folder, 'run.mjs')], /viewers at (\S+)/);
  const { page, context, wrongs } = await open(await inspector('inspect'));
  try {
    await page.getByRole('tab', { name: 'Live apps' }).click();
    await page.getByLabel('An app on Node').fill('http://example.org');
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByText('an address on this machine').waitFor();
    await page.getByLabel('An app on Node').fill(address);
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByRole('option').filter({ hasText: 'cpu0' }).first().waitFor();
    expect(wrongs).toEqual([]);
  } finally {
    await context.close();
  }
});
