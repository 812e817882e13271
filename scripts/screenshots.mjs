// Screenshots of the inspector for the README and docs, from the built page: `npm run build && node scripts/screenshots.mjs`.
import { chromium } from 'playwright-core';

const root = new URL('..', import.meta.url);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: 'light' });
await page.goto(new URL('dist/inspector.html#tlb-shootdown/B5', root).href);
await page.waitForSelector('.choice');
await page.keyboard.press('f');
await page.locator('.found button').first().click();
await page.locator('.properties .violated').first().waitFor();
await page.screenshot({ path: new URL('docs/images/lanes.png', root).pathname });
await page.goto('about:blank');
await page.goto(new URL('dist/inspector.html#gup-unbind/A1', root).href);
await page.waitForSelector('.choice');
for (let step = 0; step < 3; step++) await page.locator('.choice', { hasText: 'gup' }).first().click();
await page.getByRole('tab', { name: 'Statechart' }).click();
await page.getByLabel('Actor').selectOption('io0.gup_fast');
await page.getByRole('treeitem').first().waitFor();
await page.screenshot({ path: new URL('docs/images/statechart.png', root).pathname });
await browser.close();
