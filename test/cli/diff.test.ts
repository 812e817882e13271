import { scenarios } from '../../src/scenarios/index.js';
import { call } from './call.js';

test('two variants of the lock: what differs, by actor, state and message', async () => {
  const { code, out, err } = await call(['diff', 'lock/safe', 'lock/broken']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatchSnapshot();
});

test('the other way round every row is turned', async () => {
  const turn = (line: string): string =>
    line.replace(/(->) (.*) \| (.*?)( \(\d|$)/, '$1 $3 | $2$4').replace(/only in (A|B)/g, (_, side) => `only in ${side === 'A' ? 'B' : 'A'}`);
  const rowsOf = async (...words: string[]) => (await call(['diff', ...words])).out.split('\n').filter((line) => /^[* ] (a|b|lock) .*->/.test(line));
  const rows = await rowsOf('lock/safe', 'lock/broken');
  expect(rows).toHaveLength(19);
  expect(await rowsOf('lock/broken', 'lock/safe')).toEqual(rows.map(turn));
});

test('a variant is no other than itself', async () => {
  expect(await call(['diff', 'lock/safe', 'lock/safe'])).toEqual({
    code: 0,
    err: '',
    out: `A  lock/safe: the lock is taken by one exchange (8 states)
B  lock/safe: the lock is taken by one exchange (8 states)

0 of 17 rows differ
`,
  });
});

test('--all prints every row with its state and its message', async () => {
  const { out } = await call(['diff', 'lock/safe', 'lock/broken', '--all']);
  expect(out).toMatchSnapshot();
  const rows = out.split('\n').filter((line) => line.includes(' -> ') && !line.startsWith('actor'));
  expect(out).toContain(`\n${rows.length} of 35 rows differ, in 3 actors: `);
});

test('--json prints one document with every row', async () => {
  const { code, out } = await call(['diff', 'lock/safe', 'lock/broken', '--json']);
  const document = JSON.parse(out);
  expect(code).toBe(0);
  expect(document).toMatchObject({
    format: 'shootdown.diff/1',
    a: { id: 'lock/safe', parameters: { how: 'exchange', rounds: 1 }, states: 8, exhausted: true, limit: null },
    b: { id: 'lock/broken', parameters: { how: 'write', rounds: 1 }, exhausted: true, limit: null },
    rows: 35,
    actors: { onlyA: [], onlyB: [] },
    machines: [
      { actor: 'a', a: 'careful', b: 'careless' },
      { actor: 'b', a: 'careful', b: 'careless' },
    ],
  });
  const { out: text } = await call(['diff', 'lock/safe', 'lock/broken']);
  expect(text).toContain(`\n${document.differences.length} of 35 rows differ, in 3 actors: `);
  expect(document.differences[0]).toEqual({
    actor: 'a',
    place: '',
    context: null,
    message: null,
    a: { place: 'xchg_lock', context: {}, sends: [], bugs: [] },
    b: { place: 'read_lock', context: {}, sends: [], bugs: [] },
  });
});

test('variants of a scenario: the guard that differs, and the rows of one actor', async () => {
  const { out } = await call(['diff', 'gup-unbind/A3.broadcast', 'gup-unbind/A4.broadcast'], {}, scenarios);
  expect(out).toMatchSnapshot();
});

test('a limit that is hit is told of, and is exit code 3', async () => {
  const { code, out } = await call(['diff', 'lock/safe', 'lock/broken', '--max-states', '5']);
  expect(code).toBe(3);
  expect(out).toMatch(/^A {2}lock\/safe: .* \(\d states, limit reached: 5 states\)\nB {2}lock\/broken: /);
});

test('parameters are set for both', async () => {
  const { out } = await call(['diff', 'tlb-shootdown/B0', 'tlb-shootdown/B1', '--param', 'flush=broadcast', '--json'], {}, scenarios);
  expect([JSON.parse(out).a.parameters.flush, JSON.parse(out).b.parameters.flush]).toEqual(['broadcast', 'broadcast']);
});
