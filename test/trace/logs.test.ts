import { linesOf, logs, validate } from './logs.js';

test.each(logs)('%s: the model allows all that the kernel did', (log) => {
  const { verdict, broken, lost, cpus, properties, rejection } = validate(linesOf(log));
  expect({ verdict, rejection, broken: broken.count, lost, cpus }).toEqual({ verdict: 'accepted', rejection: null, broken: 0, lost: 0, cpus: [0, 1, 2, 3] });
  expect(properties.filter((property) => property.verdict === 'violated')).toEqual([]);
});

test('each property was put to the test by some log', () => {
  const asked = new Map<string, number>();
  for (const log of logs)
    for (const { protocol, name, asked: times } of validate(linesOf(log)).properties)
      asked.set(`${protocol}/${name}`, (asked.get(`${protocol}/${name}`) ?? 0) + times);
  expect([...asked].filter(([, times]) => times === 0)).toEqual([]);
});

// In the report the page of mm_page_free is not valid.
test('both layouts of a run put the same properties to the test, but for the pages', () => {
  const [report, trace] = ['01-shootdown.trace-cmd.report.txt.gz', '01-shootdown.trace.txt.gz'].map((log) => validate(linesOf(log)).properties);
  const asked = (properties: typeof report): unknown =>
    properties?.filter(({ name }) => !['P10', 'P14'].includes(name)).map(({ name, verdict }) => [name, verdict]);
  expect(asked(report)).toEqual(asked(trace));
});

// A log begins in the middle of life: of calls, of locks held, of lazy mode.
test.each(logs)('%s: it may begin anywhere', (log) => {
  const lines = linesOf(log);
  for (const part of [0.11, 0.23, 0.37, 0.52, 0.68, 0.83]) {
    const from = Math.floor(lines.length * part);
    const { verdict, rejection } = validate(lines, undefined, { from, to: from + 1500 });
    expect({ from, rejection, rejected: verdict === 'rejected' }).toEqual({ from, rejection: null, rejected: false });
  }
});
