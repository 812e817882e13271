// Takes the same choices twice: on the actors, rendered by react-dom/server, and by pressing the buttons of the page in Chromium if there is
// one (CHROMIUM says where). Both must show the same.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { createActor } from 'xstate';
import { Machine } from './dist/server/App.js';
import { kernel } from './kernel.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Who is pressed what, and what CPU 1's TLB, the page table and the thread show then. */
const story = [
  ['cpu1', 'store', { type: 'access', vpn: 0, write: true, from: 'thread' }, ['TLB: mm/0 to page 0', '0: page 0, dirty', 'Last store: stored']],
  ['unmapper', 'unmap', { type: 'unmap' }, ['TLB: mm/0 to page 0, stale', '0: none', 'Last store: stored']],
  ['unmapper', 'flush', { type: 'flush' }, ['TLB: mm/0 to page 0, stale', '0: none', 'Last store: stored']],
  ['cpu1', 'deliver IPI', { type: 'deliver', to: 'cpu1' }, ['TLB: mm/0 to page 0, stale', '0: none', 'Last store: stored']],
  ['cpu1', 'interrupt', { type: 'interrupt' }, ['TLB: empty', '0: none', 'Last store: stored']],
  ['cpu1', 'store', { type: 'access', vpn: 0, write: true, from: 'thread' }, ['TLB: empty', '0: none', 'Last store: faulted']],
];

/** The texts of a rendering. */
function texts(markup) {
  const cpu1 = /<section id="cpu1">.*?<\/section>/s.exec(markup)[0];
  const inside = (pattern, where) => pattern.exec(where)[1].replaceAll('<!-- -->', '');
  return [inside(/class="tlb">(.*?)<\/p>/s, cpu1), inside(/class="pte">(.*?)<\/p>/s, markup), inside(/id="thread">(.*?)<\/p>/s, markup)];
}

const actor = createActor(kernel).start();
const rendered = () => texts(renderToStaticMarkup(createElement(Machine, { actor })));
assert.deepEqual(rendered(), ['TLB: empty', '0: page 0', 'Last store: running']);
for (const [who, label, event, shown] of story) {
  actor.system.get(event.type === 'deliver' ? 'interconnect' : who).send(event);
  assert.deepEqual(rendered(), shown);
  console.log(`${who}: ${label}`.padEnd(20), shown.join(' | '));
}

if (existsSync(executablePath)) {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const page = await browser.newPage();
  const wrongs = [];
  page.on('pageerror', ({ message }) => wrongs.push(message));
  await page.context().setOffline(true);
  await page.goto(`file://${fileURLToPath(new URL('index.html', import.meta.url))}`);
  for (const [who, label, , shown] of story) {
    const buttons = who === 'unmapper' ? page.locator('main > button') : page.locator(`#${who} button`);
    await buttons.filter({ hasText: label }).click({ timeout: 20_000 });
    assert.deepEqual(texts(await page.locator('#app').innerHTML()), shown);
  }
  await browser.close();
  assert.deepEqual(wrongs, []);
}
