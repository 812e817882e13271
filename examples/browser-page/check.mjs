// Opens the built page in Chromium, without a network, and asks both questions. Where there is no Chromium (CHROMIUM says where it is), the
// same script runs in a context that has little more than the four elements of the page.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const patience = { timeout: 20_000 };

async function inChromium() {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const page = await browser.newPage();
  const wrongs = [];
  page.on('pageerror', ({ message }) => wrongs.push(message));
  await page.context().setOffline(true);
  await page.goto(`file://${fileURLToPath(new URL('index.html', import.meta.url))}`);
  const verdict = (text) => page.locator('#verdict', { hasText: text }).waitFor(patience);
  const shown = async () => ({ diagram: await page.locator('#diagram').textContent(), states: await page.locator('#states').textContent() });
  await verdict('violated');
  const unlocked = await shown();
  await page.locator('#locked').check();
  await verdict('holds');
  const locked = await shown();
  await browser.close();
  assert.deepEqual(wrongs, []);
  return { unlocked, locked };
}

async function inNode() {
  let written = () => {};
  const element = () => ({ textContent: '', checked: false, addEventListener: (_, listener) => listeners.push(listener) });
  const listeners = [];
  const elements = { verdict: element(), states: element(), diagram: element(), locked: element() };
  const verdict = {
    set textContent(text) {
      written(text);
    },
  };
  const document = { getElementById: (id) => (id === 'verdict' ? verdict : elements[id]) };
  const said = (act) =>
    new Promise((resolve) => {
      written = resolve;
      act();
    });
  const shown = () => ({ diagram: elements.diagram.textContent, states: elements.states.textContent });
  const globals = {
    document,
    setTimeout,
    clearTimeout,
    setImmediate,
    queueMicrotask,
    performance,
    console,
    TextEncoder,
    TextDecoder,
    AbortController,
    btoa,
    atob,
    MessageChannel,
  };
  const script = readFileSync(new URL('dist/page.js', import.meta.url), 'utf8');
  assert.equal(await said(() => runInContext(script, createContext(globals))), 'violated');
  const unlocked = shown();
  elements.locked.checked = true;
  assert.equal(await said(() => listeners[0]()), 'holds');
  return { unlocked, locked: shown() };
}

const { unlocked, locked } = await (existsSync(executablePath) ? inChromium() : inNode());
assert.match(unlocked.diagram, /^=> sum violated: both additions count$/m);
assert.equal(locked.diagram, '');
console.log(`without a lock: violated after ${unlocked.states} states\n${unlocked.diagram}`);
console.log(`with a lock: holds in ${locked.states} states`);
