import fc from 'fast-check';
import { times } from '../../src/format/times.js';
import { replay } from '../../src/schedule/replay.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';
import { wanderings } from './wander.js';

test('a block for each moment: who acts, what it does and is answered, what it says', () => {
  expect(times(play(machineRoom(), 'a', 'a', 'b', 'cpu0 fill', 'a', 'b'), 'BUG: too late')).toBe(
    drawn(`
      [Time 1] ------------------------------------------------------------------
      CPU 0 (a), a: local_work
      [Time 2] ------------------------------------------------------------------
      CPU 0 (a), a: ptep_get_lockless_of_a_pmd: present, pfn 0, devmap
          a -> memory: read
      [Time 3] ------------------------------------------------------------------
      CPU 1 (b), b: local_work
      [Time 4] ------------------------------------------------------------------
      CPU 0 (a), cpu0: fill vpn 0: present, pfn 0, devmap
          cpu0 -> memory: read
      [Time 5] ------------------------------------------------------------------
      CPU 0 (a), a: set_pte_at: written
          a -> memory: write pfn 7
      [Time 6] ------------------------------------------------------------------
      CPU 1 (b), b: ptep_get_lockless_of_a_pmd: present, pfn 7, devmap, write
          b -> memory: read
      => BUG: too late`),
  );
});

test('uneventful steps of one lane share a block, of many of which the first and the last are told', () => {
  const room = machineRoom({ work: 4, paths: { a: 'CPU 0 (a)', b: undefined } });
  const choices = ['a', 'a', 'b', 'b', 'b', 'b', 'b', 'a'];
  expect(times(play(room, ...choices), null)).toBe(
    drawn(`
      [Time 1 to 2] -------------------------------------------------------------
      CPU 0 (a), a: local_work
      CPU 0 (a), a: local_work
      [Time 3 to 7] -------------------------------------------------------------
      b: local_work
      ... (3 steps)
      b: local_work
      [Time 8] ------------------------------------------------------------------
      CPU 0 (a), a: local_work`),
  );
  expect(times(play(room, ...choices), null, { fold: false }).match(/\[Time \d\] /g)).toHaveLength(8);
});

test('where the steps that repeat begin is marked, and none of them is folded', () => {
  const system = waiting(2);
  expect(times(replay(system, scheduleOf(system, ...turns)), 'unbinds violated', { loop: 2 })).toBe(
    drawn(`
      [Time 1] ------------------------------------------------------------------
      CPU 1 (gup), gup0: again
          gup0 -> refs: get
      [Time 2] ------------------------------------------------------------------
      CPU 0 (unbind), unbind: kill
          unbind -> refs: wait
      ---- from here on, for ever (steps 3 to 6) --------------------------------
      [Time 3] ------------------------------------------------------------------
      CPU 2 (gup), gup1: again
          gup1 -> refs: get
      [Time 4] ------------------------------------------------------------------
      CPU 1 (gup), gup0: put_page
          gup0 -> refs: put
      [Time 5] ------------------------------------------------------------------
      CPU 1 (gup), gup0: again
          gup0 -> refs: get
      [Time 6] ------------------------------------------------------------------
      CPU 2 (gup), gup1: put_page
          gup1 -> refs: put
      => unbinds violated`),
  );
});

test('an empty schedule has an ending only', () => {
  expect(times(replay(machineRoom(), []), 'bad')).toBe('=> bad');
  expect(times(replay(machineRoom(), []), null)).toBe('');
});

test('blocks cover every step once, in order, and no line is too wide', () => {
  let shared = 0;
  fc.assert(
    fc.property(wanderings, fc.nat(12), (run, loop) => {
      const lines = times(run, 'a property with a name is violated: '.repeat(4), { loop }).split('\n');
      expect(lines.filter((line) => line.length > 75)).toEqual([]);
      const numbers = lines.flatMap((line) => {
        const [, from, to = from] = /^\[Time (\d+)(?: to (\d+))?\] -+$/.exec(line) ?? [];
        return from === undefined ? [] : Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => Number(from) + at);
      });
      if (lines.some((line) => / to \d+\]/.test(line))) shared++;
      expect(numbers).toEqual(run.steps.map(({ number }) => number));
    }),
    { seed: 1, numRuns: 150 },
  );
  expect(shared).toBeGreaterThan(10);
});
