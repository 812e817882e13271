import { check } from '../../src/check/check.js';
import { Explorer } from '../../src/explore/explorer.js';
import { type Exploration, type ExploreLimits, explore, exploreAsync } from '../../src/index.js';
import { lamps, lostUpdate } from '../systems/small.js';

const verdicts = ({ properties }: Exploration): (string | null)[] => properties.map(({ violation }) => violation?.property ?? null);

/** A limit, and how the exploration of 2^10 states names it. */
const limits: [string, ExploreLimits, string][] = [
  ['states', { maxStates: 100 }, '100 states'],
  ['a single state', { maxStates: 1 }, '1 states'],
  ['seconds', { maxSeconds: 0 }, '0 seconds'],
  ['memory', { maxMemory: 1 }, '1 bytes of memory'],
];

describe('a bound is never a pass', () => {
  test.each(limits)('%s: not exhausted, and the limit is named', (_, limit, text) => {
    const found = explore(lamps(10), limit);
    expect([found.exhausted, found.limit]).toEqual([false, text]);
    expect(found.states).toBeLessThan(1024);
    expect(verdicts(found)).toEqual([null, null]);
  });

  test.each(limits)('%s: the verdict is inconclusive, of the system and of each property', async (_, limit, text) => {
    const result = await check(lamps(10), limit);
    expect([result.verdict, result.asExpected, result.unexpected, result.exploration.limit]).toEqual(['inconclusive', true, false, text]);
    expect(result.properties.map(({ verdict }) => verdict)).toEqual(['inconclusive', 'inconclusive']);
  });

  test('a limit that is not reached changes nothing', async () => {
    const result = await check(lamps(10), { maxStates: 1025, maxSeconds: 1e6, maxMemory: 1e12 });
    expect([result.verdict, result.exploration.states, result.exploration.limit]).toEqual(['holds', 1024, null]);
  });

  test('a violation that was found within the limit is one', async () => {
    const result = await check(lostUpdate(), { maxStates: 12, all: true });
    expect(result.exploration.exhausted).toBe(false);
    expect([result.verdict, ...result.properties.map(({ name, verdict }) => `${name}: ${verdict}`)]).toEqual([
      'violated',
      'BUG: inconclusive',
      'sum: violated',
      'deadlock: inconclusive',
    ]);
  });

  test('an interruption', async () => {
    const interrupted = new AbortController();
    interrupted.abort();
    const found = await exploreAsync(lamps(10), { signal: interrupted.signal });
    expect([found.exhausted, found.limit]).toEqual([false, 'interrupted']);
    const result = await check(lamps(10), { signal: interrupted.signal });
    expect(result.verdict).toBe('inconclusive');
  });

  test('an interruption when all is done', () => {
    const explorer = new Explorer(lamps(1));
    while (!explorer.finished) explorer.slice();
    explorer.interrupt('too late');
    expect([explorer.result().exhausted, explorer.result().limit]).toEqual([true, null]);
  });

  test('a search that stopped at a violation has not seen all', async () => {
    const found = explore(lostUpdate());
    expect([found.exhausted, found.limit]).toEqual([false, null]);
    const result = await check(lostUpdate());
    expect(result.properties.map(({ name, verdict }) => `${name}: ${verdict}`)).toEqual(['BUG: inconclusive', 'sum: violated', 'deadlock: inconclusive']);
  });
});
