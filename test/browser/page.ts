import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

export const root = join(__dirname, '..', '..');
const file = join(root, 'dist', 'inspector.html');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

let browser: Browser | null = null;

export async function launch(): Promise<Browser> {
  if (!existsSync(file)) throw new Error(`there is no ${file}; run npm run build`);
  if (!existsSync(executablePath)) throw new Error(`there is no ${executablePath}; install chromium, or say where it is with CHROMIUM`);
  browser ??= await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  return browser;
}

export async function close(): Promise<void> {
  await browser?.close();
  browser = null;
}

export interface Opened {
  page: Page;
  context: BrowserContext;
  /** What the page did that it must not: errors, warnings of the console, requests to any network. */
  wrongs: string[];
}

/** Opens the page; `url` behind the file, or the address of a server. Everything else is off the network. */
export async function open(url = '', options: { colorScheme?: 'light' | 'dark' } = {}): Promise<Opened> {
  const context = await (await launch()).newContext({ viewport: { width: 1440, height: 900 }, colorScheme: options.colorScheme ?? 'light' });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']).catch(() => {});
  const address = url.startsWith('http') ? url : `file://${file}${url}`;
  const wrongs: string[] = [];
  const page = await context.newPage();
  page.on('pageerror', ({ message }) => wrongs.push(`error: ${message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrongs.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (!/^(file|data|blob):/.test(request.url()) && new URL(request.url()).origin !== new URL(address).origin) wrongs.push(`request: ${request.url()}`);
  });
  if (!url.startsWith('http')) await context.setOffline(true);
  await page.goto(address);
  await page.waitForSelector('.choice');
  return { page, context, wrongs };
}

const axeSource = readFileSync(createRequire(join(root, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page as it is. */
export async function axe(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  type Result = { violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] };
  const { violations } = await page.evaluate<Result>('axe.run()');
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 150)} ${failureSummary ?? ''}`).join(' | ')}`);
}
