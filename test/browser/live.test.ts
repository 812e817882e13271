import { axe, close, type Opened, open } from './page.js';
import { inspector, started, stopAll } from './programs.js';

let opened: Opened | null = null;
afterEach(async () => {
  stopAll();
  await opened?.context.close();
  expect(opened?.wrongs).toEqual([]);
  opened = null;
});
afterAll(close);

/** An app of XState 5 as anybody writes one. */
const app = (endpoint: string): string => `
import { createActor, createMachine } from 'xstate';
import { createWebSocketInspector } from '@statelyai/inspect';
const { inspect } = createWebSocketInspector({ url: '${endpoint}' });
const light = createMachine({ id: 'light', initial: 'green', states: { green: { on: { next: 'red' } }, red: { on: { next: 'green' } } } });
const actor = createActor(light, { inspect, id: 'light' });
actor.start();
setInterval(() => actor.send({ type: 'next', by: '<img src=x onerror=alert(1)>' }), 50);
console.log('app runs');
`;

test('an app of XState 5 through @statelyai/inspect: its actors, statecharts and events appear, as text', async () => {
  const url = await inspector('inspect', 'gup-unbind/A1');
  opened = await open(url);
  const { page } = opened;
  await page.getByRole('tab', { name: 'Live apps' }).click();
  const endpoint = url.replace('http:', 'ws:').replace('/?key=', '/app?key=').split('#')[0] as string;
  expect(await page.locator('main').textContent()).toContain(endpoint);
  await started(['--input-type=module', '-e', app(endpoint)], /app runs/);
  const actor = page.getByRole('option').filter({ hasText: 'light' }).first();
  await actor.waitFor();
  await actor.click();
  await page.locator('svg').getByText('green').first().waitFor();
  await page.getByText('onerror=alert(1)').first().waitFor();
  expect(await page.locator('img').count()).toBe(0);
  expect(await axe(page)).toEqual([]);
});

test('a live system of ours is steered from the page', async () => {
  const url = await inspector('run', 'gup-unbind/A1', '--steps', '1', '--inspect');
  opened = await open(url);
  const { page } = opened;
  await page.getByRole('tab', { name: 'Live apps' }).click();
  const choices = page.getByLabel('Scheduler of the live system').getByRole('button');
  await choices.first().waitFor();
  const before = await page.getByLabel('Scheduler of the live system').textContent();
  await choices.first().click();
  const scheduler = page.getByLabel('Scheduler of the live system');
  for (let asked = 0; (await scheduler.textContent()) === before; asked++) {
    if (asked > 200) throw new Error('the choices are as before');
    await page.evaluate('new Promise(requestAnimationFrame)');
  }
});

/** A live system of ours, in Stately's own tools. */
const ours = (endpoint: string): string => `
import { createWebSocketInspector } from '@statelyai/inspect';
import { LiveSystem } from 'shootdown';
import { build, scenarios } from 'shootdown/scenarios';
const { inspect } = createWebSocketInspector({ url: '${endpoint}' });
const [scenario] = scenarios;
const { system } = build(scenario, scenario.variants[0]);
const live = new LiveSystem(system, { inspect });
setInterval(() => {
  const [choice] = live.enabled();
  if (choice) live.take(choice);
}, 50);
console.log('system runs');
`;

test("a live system of ours through the real @statelyai/inspect, as Stately's own tools get it", async () => {
  const url = await inspector('inspect');
  opened = await open(url);
  const { page } = opened;
  await page.getByRole('tab', { name: 'Live apps' }).click();
  await started(['--input-type=module', '-e', ours(url.replace('http:', 'ws:').replace('/?key=', '/app?key=').split('#')[0] as string)], /system runs/);
  await page.getByRole('option').filter({ hasText: 'cpu0' }).first().click();
  await page.locator('svg').getByText('interrupts').first().waitFor();
});
