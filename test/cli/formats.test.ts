import { formatNames } from '../../src/cli/options.js';
import type { Scenario, Variant } from '../../src/scenarios/scenario.js';
import { formatToken } from '../../src/schedule/token.js';
import { actor, defineSystem, type System } from '../../src/system/system.js';
import { graph } from '../systems/marks.js';
import { machine } from '../systems/small.js';
import { waiting } from '../systems/waiting.js';
import { call } from './call.js';
import { lockSystem } from './lock.js';

const named = (system: System, id: string): System => ({ ...system, id: `kinds/${id}` });
const path = (id: string, states: object, initial: string): System =>
  defineSystem({ id, actors: { a: actor(machine({ id: 'path', initial, states }), { lane: 'CPU 0 (path)', choices: ['step'], path: true }) } });

const systems: Record<string, () => System> = {
  invariant: () => lockSystem('kinds/invariant', false),
  lasso: () => waiting(2, {}, 'kinds/lasso'),
  stays: () => named(graph({ s: { go: 't' }, t: {} }, { reach: ['s'] }), 'stays'),
  deadlock: () => path('kinds/deadlock', { wait: { on: { step: 'stuck' } }, stuck: {} }, 'wait'),
  bug: () => path('kinds/bug', { free: { on: { step: 'bad' } }, bad: { tags: ['BUG', 'rest'], description: 'freed twice' } }, 'free'),
  'bug-at-once': () => path('kinds/bug-at-once', { bad: { tags: ['BUG', 'rest'], description: 'freed twice' } }, 'bad'),
};

const variant = ([id, system]: [string, () => System]): Variant => ({ id, row: 'K', summary: id, source: 'any textbook', expected: {}, system });
const kinds: Scenario = { id: 'kinds', title: 'kinds', question: 'Of what kind?', parameters: {}, variants: Object.entries(systems).map(variant) };

/** How many steps each tells of, and what it says in the end. */
const readers: Record<string, (text: string) => { steps: number; said: string; loop: boolean }> = {
  times: (text) => ({
    steps: [...text.matchAll(/^\[Time (\d+)(?: to (\d+))?\]/gm)].reduce((sum, [, from, to = from]) => sum + Number(to) - Number(from) + 1, 0),
    said: (/^=> ((?:.+\n)+)/m.exec(text)?.[1] ?? '').replace(/\s+/g, ' ').trim(),
    loop: text.includes('\n---- from here on, for ever'),
  }),
  plantuml: (text) => ({
    steps: [...text.matchAll(/^ *note over /gm)].length,
    said: (/^note across: (.*)$/m.exec(text)?.[1] ?? '').replace(/<U\+(....)>/g, (_, number: string) => String.fromCharCode(Number.parseInt(number, 16))),
    loop: /^loop for ever$/m.test(text),
  }),
  shiviz: (text) => ({
    steps: new Set([...text.matchAll(/^step (\d+), /gm)].map(([, number]) => number)).size,
    said: /^=> after step \d+: (.*)$/m.exec(text)?.[1] ?? '',
    loop: text.includes('(from here on, for ever)'),
  }),
  perfetto: (text) => {
    const events = JSON.parse(text).traceEvents as { cat?: string; name: string }[];
    return {
      steps: events.filter(({ cat }) => cat === 'step').length,
      said: events.find(({ cat }) => cat === 'ending')?.name ?? '',
      loop: events.some(({ cat }) => cat === 'loop'),
    };
  },
  itf: (text) => {
    const { states, loop, ...document } = JSON.parse(text) as { '#meta': { description?: string }; states: unknown[]; loop?: number };
    return { steps: states.length - 1, said: document['#meta'].description ?? '', loop: loop !== undefined && loop < states.length - 1 };
  },
};
const names = Object.keys(readers);

test.each([
  ['invariant', 4, 'mutex violated: one path at a time is in the critical section', false],
  ['lasso', 6, 'unbinds violated: an unbind that waits goes on (the last 4 steps repeat for ever)', true],
  ['stays', 1, 'P violated: it comes (nothing more happens)', false],
  ['deadlock', 1, /^deadlock: /, false],
  ['bug', 1, 'BUG: freed twice', false],
  ['bug-at-once', 0, 'BUG: freed twice', false],
])('show tells of %s in each format', async (id, steps, said, loop) => {
  for (const format of names) {
    const { out, err } = await call(['show', `kinds/${id}`, '--format', format], {}, [kinds]);
    const told = readers[format]?.(out);
    expect([format, told, err]).toEqual([format, { steps, said: typeof said === 'string' ? said : expect.stringMatching(said), loop }, '']);
    expect(out.endsWith('\n') && !out.endsWith('\n\n')).toBe(true);
  }
});

test('replay tells of a schedule that violates nothing, and of none, in each format', async () => {
  const { digest } = lockSystem('kinds/invariant', false);
  for (const schedule of [[0, 1], []])
    for (const format of names) {
      const token = formatToken({ name: 'kinds/invariant', parameters: {}, digest, schedule });
      const { code, out } = await call(['replay', token, '--format', format], {}, [kinds]);
      expect([format, code, readers[format]?.(out)]).toEqual([format, expect.any(Number), { steps: schedule.length, said: 'nothing violated', loop: false }]);
    }
});

test('replay of a schedule that does not fit tells of the steps that did', async () => {
  const token = formatToken({ name: 'kinds/bug', parameters: {}, digest: '00000000', schedule: [0, 0] });
  for (const format of names) {
    const { code, out } = await call(['replay', token, '--format', format], {}, [kinds]);
    expect([format, code, readers[format]?.(out)]).toEqual([format, 2, { steps: 1, said: '', loop: false }]);
  }
});

test('why a lasso never has to end stands below the times, as below the columns', async () => {
  const { out } = await call(['show', 'kinds/lasso', '--format', 'times,columns'], {}, [kinds]);
  expect(out.match(/^The last 4 steps repeat for ever: /gm)).toHaveLength(2);
});

test('a name that is none is refused, with one like it and all there are', async () => {
  const formats = 'the formats are columns, steps, times, mermaid, plantuml, shiviz, perfetto, itf, json';
  expect(formatNames.join(', ')).toBe(formats.slice('the formats are '.length));
  for (const [format, like] of Object.entries({ shivis: 'shiviz', platuml: 'plantuml', time: 'times', perfeto: 'perfetto', ITF: 'itf', 'itf,,json': null }))
    expect(await call(['show', 'kinds/bug', '--format', format], {}, [kinds])).toEqual({
      code: 2,
      out: '',
      err: `shootdown: there is no format '${format.includes(',') ? '' : format}'${like === null ? '' : `; did you mean '${like}'?`} (${formats})\n`,
    });
});
