import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Walk } from '../../src/inspect/walk.js';
import { build, scenarios } from '../../src/scenarios/index.js';
import { formatToken } from '../../src/schedule/token.js';
import { axe, close, type Opened, open } from './page.js';

let opened: Opened[] = [];
async function at(url: string, options: { colorScheme?: 'light' | 'dark' } = {}): Promise<Opened> {
  const found = await open(url, options);
  opened.push(found);
  return found;
}
afterEach(async () => {
  const wrongs = opened.flatMap((each) => each.wrongs);
  for (const { context } of opened) await context.close();
  opened = [];
  expect(wrongs).toEqual([]);
});
afterAll(close);

const steps = (page: Opened['page']): Promise<string | null> => page.locator('.lanes-bar .muted').textContent();
const spoken = (page: Opened['page']): Promise<string | null> => page.getByTestId('spoken').textContent();

test('choose a scenario and a variant: its question, what was changed, what is expected', async () => {
  const { page } = await at('');
  await page.getByLabel('Scenario').selectOption('percpu-ref');
  await page.getByLabel('Variant').selectOption('C1');
  await expect(page.locator('.question').textContent()).resolves.toMatch(/C1.*expected to be violated/);
  expect(page.url()).toContain('#sd1:percpu-ref/C1');
});

test('be the scheduler: step, undo, redo, jump, and leave the way', async () => {
  const { page } = await at('#gup-unbind/A1');
  await page.locator('.choice').first().click();
  await page.keyboard.press('1');
  await page.keyboard.press('2');
  expect(await steps(page)).toBe('3 of 3 steps');
  await page.keyboard.press('u');
  await page.keyboard.press('ArrowLeft');
  expect(await steps(page)).toBe('1 of 3 steps');
  await page.keyboard.press('r');
  expect(await steps(page)).toBe('2 of 3 steps');
  await page.keyboard.press('Home');
  expect(await steps(page)).toBe('0 of 3 steps');
  await page.keyboard.press('End');
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.keyboard.press('1');
  expect(await steps(page)).toBe('3 of 3 steps');
  expect(await spoken(page)).toMatch(/^Step 3: CPU \d/);
});

test('find the shortest counterexample, see what it violates, share it by link, and open the link', async () => {
  const { page } = await at('#gup-unbind/A3.broadcast');
  await page.keyboard.press('f');
  await page.locator('.found button').first().click();
  await page.locator('.properties .violated').first().waitFor();
  const found = await steps(page);
  expect(found).toMatch(/^(\d+) of \1 steps$/);
  const url = page.url();
  const again = await at(url.slice(url.indexOf('#')));
  expect(await steps(again.page)).toBe(found);
  expect(await again.page.locator('.properties .violated').count()).toBeGreaterThan(0);
});

test('step through a counterexample from its start; the distance falls by one a step', async () => {
  const { page } = await at('#tlb-shootdown/B5');
  await page.keyboard.press('f');
  await page.locator('.found button[aria-label]').first().click();
  const length = Number((await steps(page))?.split(' of ')[1]?.split(' ')[0]);
  await page.keyboard.press('d');
  await page.locator('.distance.near').first().waitFor();
  expect(await page.locator('.distance.near').first().textContent()).toMatch(new RegExp(`^${length} to I3`));
  for (let n = 0; n < length; n++) await page.keyboard.press('ArrowRight');
  expect(await page.locator('.properties .violated strong').textContent()).toBe('I3');
});

test('copy as CPU columns, as a token, as Mermaid; save and load a file', async () => {
  const { page } = await at('#gup-unbind/A1');
  await page.keyboard.press('f');
  await page.locator('.found button').first().click();
  const copied = async (name: string): Promise<string> => {
    await page.getByRole('button', { name: `Copy ${name}`, exact: true }).click();
    await page.locator('section[aria-label=Share] [role=status]', { hasText: `${name} copied` }).waitFor();
    return page.evaluate('navigator.clipboard.readText()');
  };
  expect(await copied('CPU columns')).toMatch(/CPU 0 .*CPU 1[\s\S]*=> I2/);
  expect(await copied('token')).toMatch(/^sd1:gup-unbind\/A1/);
  expect(await copied('Mermaid')).toMatch(/^sequenceDiagram/);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save file' }).click();
  const path = await (await download).path();
  const before = await steps(page);
  await page.getByLabel('Variant').selectOption('A0');
  expect(await steps(page)).toBe('0 of 0 steps');
  await page.getByLabel('A saved schedule').setInputFiles(path);
  await page.locator('.properties .violated').first().waitFor();
  expect(await steps(page)).toBe(before);
  await page.getByLabel('A saved schedule').setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from('{"format":"other"}') });
  expect(await page.getByRole('alert').textContent()).toContain("not a document of the format 'shootdown.schedule/1'");
});

test.each(['#sd1:gup-unbind/A1~00000000~AA~0000', '#no-such/thing', '#gup-unbind/A1?gups=99', '#%E0%A4%A'])(
  'what is no link of ours is said in words: %s',
  async (hash) => {
    const { page } = await at(hash);
    expect(((await page.getByRole('alert').textContent()) ?? '').length).toBeGreaterThan(20);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    expect(await page.getByRole('alert').count()).toBe(0);
  },
);

test('the statechart of an actor: where it is, and what it has just done', async () => {
  const { page } = await at('#gup-unbind/A1');
  await page.keyboard.press('1');
  await page.getByRole('tab', { name: 'Statechart' }).click();
  await page.getByLabel('Actor').selectOption('cpu0');
  await page.locator('svg').getByText('interrupts', { exact: false }).first().waitFor();
});

test('a schedule of 5,000 steps: only what is seen is drawn, and any step is there at once', async () => {
  const scenario = scenarios.find(({ id }) => id === 'tlb-shootdown');
  const variant = scenario?.variants.find(({ id }) => id === 'B0');
  if (!scenario || !variant) throw new Error('B0');
  const { system } = build(scenario, variant);
  const walk = new Walk(system);
  // Fills and evictions go on for ever.
  for (let n = 0; n < 5000; n++) {
    const enabled = walk.enabled().filter(({ event }) => ['fill', 'evict'].includes(event.type));
    const choice = enabled[n % enabled.length];
    if (!choice) throw new Error(`nothing at step ${n}`);
    walk.take(choice);
  }
  const token = formatToken({ name: 'tlb-shootdown/B0', parameters: {}, digest: system.digest, schedule: walk.schedule });
  const { page } = await at(`#${token}`);
  expect(await steps(page)).toBe('5000 of 5000 steps');
  expect(await page.locator('.lanes-row').count()).toBeLessThan(80);
  await page.getByRole('slider', { name: 'Step', exact: true }).fill('2500');
  expect(await spoken(page)).toMatch(/^Step 2500: /);
  await page.getByRole('tab', { name: 'Table' }).click();
  await page.locator('tr.current').waitFor();
  expect(await page.locator('tbody tr').count()).toBeLessThan(80);
});

test('by keyboard alone', async () => {
  const { page } = await at('#percpu-ref/C1');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.className')).toContain('choice');
  await page.keyboard.press('Enter');
  await page.keyboard.press('?');
  await page.getByRole('region', { name: 'Keys' }).waitFor();
  await page.keyboard.press('Escape');
  expect(await page.getByRole('region', { name: 'Keys' }).count()).toBe(0);
  expect(await steps(page)).toBe('1 of 1 steps');
});

test.each(['light', 'dark'] as const)('axe finds nothing (%s)', async (colorScheme) => {
  const { page } = await at('#gup-unbind/A1', { colorScheme });
  expect(await axe(page)).toEqual([]);
  await page.keyboard.press('f');
  await page.locator('.found button').first().click();
  await page.keyboard.press('d');
  await page.locator('.distance').first().waitFor();
  expect(await axe(page)).toEqual([]);
  for (const view of ['Table', 'Statechart', 'Kernel log', 'Live apps']) {
    await page.getByRole('tab', { name: view }).click();
    // It is laid out in a worker.
    if (view === 'Statechart') await page.getByRole('treeitem').first().waitFor();
    expect([view, await axe(page)]).toEqual([view, []]);
  }
});

describe('a log of a running kernel', () => {
  const log = join(__dirname, '../logs/02-dontneed.trace.txt.gz');

  test('it is read and checked; each line shows where the model is before it', async () => {
    const { page } = await at('');
    await page.getByRole('tab', { name: 'Kernel log' }).click();
    await page.getByLabel('A log of ftrace').setInputFiles(log);
    await page.getByRole('heading', { name: '02-dontneed.trace.txt.gz: accepted' }).waitFor();
    expect(await page.locator('.log-row').count()).toBeLessThan(90);
    await page.getByRole('slider', { name: 'Line of the log' }).fill('3000');
    await page.getByRole('region', { name: 'Line', exact: true }).getByText('CPU 0 has mm:').waitFor();
    await page.getByRole('region', { name: 'Log, a row a line' }).focus();
    await page.keyboard.press('ArrowDown');
    expect(await page.getByRole('slider', { name: 'Line of the log' }).inputValue()).toBe('3001');
    await page.getByRole('button', { name: 'What else could have happened around here?' }).click();
    await page.locator('.log-around', { hasText: 'every other order of these' }).waitFor();
    expect(await axe(page)).toEqual([]);
  });

  test('where it is rejected, it leads to the nearest miss', async () => {
    const lines = gunzipSync(readFileSync(log)).toString('latin1').split('\n');
    const released = lines.findIndex((line) => line.includes('mmap_lock_released') && line.includes('write=false'));
    const edited = [...lines.slice(0, released + 1), (lines[released] as string).replace('write=false', 'write=true'), ...lines.slice(released + 1)].join('\n');
    const { page } = await at('');
    await page.getByRole('tab', { name: 'Kernel log' }).click();
    await page.getByLabel('A log of ftrace').setInputFiles({ name: 'edited.txt', mimeType: 'text/plain', buffer: Buffer.from(edited) });
    await page.getByRole('button', { name: 'To the nearest miss' }).click();
    expect(await page.locator('.log-row.rejected.current').textContent()).toContain('mmap_lock_released');
    await page.getByRole('region', { name: 'Verdict' }).getByText('BUG: semaphore released').waitFor();
  });

  test('what is no log is said in words', async () => {
    const { page } = await at('');
    await page.getByRole('tab', { name: 'Kernel log' }).click();
    await page.getByLabel('A log of ftrace').setInputFiles({ name: 'a.bin', mimeType: 'text/plain', buffer: Buffer.from([0, 1, 2]) });
    await page.getByText('a.bin: the file has no line of an ftrace log').waitFor();
  });
});
