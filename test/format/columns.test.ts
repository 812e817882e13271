import { columns } from '../../src/format/columns.js';
import { replay } from '../../src/schedule/replay.js';
import { lockSystem } from '../cli/lock.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';

test('the counterexample of the broken lock: a column per CPU, states and replies, the violation at the end', () => {
  const diagram = columns(play(lockSystem('lock/broken', false), 'a', 'b', 'a', 'b'), 'mutex violated: one path at a time is in the critical section');
  expect(diagram).toBe(
    drawn(`
      CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      read_lock: word 0
                                             read_lock: word 0
      write_lock
                                             write_lock
      => mutex violated: one path at a time is in the critical section`),
  );
});

test('hardware in a path’s lane is named; nested replies are flattened; cells and the last line wrap', () => {
  const ending = 'BUG: a long message that goes on and on until the line is full, and then goes on in the next one';
  expect(columns(play(machineRoom(), 'a', 'a', 'cpu0 fill', 'cpu0 interrupt', 'a', 'b', 'b'), ending)).toBe(
    drawn(`
      CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      local_work
      ptep_get_lockless_of_a_pmd:
        present, pfn 0, devmap
      cpu0: fill vpn 0: present, pfn 0,
        devmap
      cpu0: interrupt
      set_pte_at: written
                                             local_work
                                             ptep_get_lockless_of_a_pmd:
                                               present, pfn 7, devmap, write
      => BUG: a long message that goes on and on until the line is full, and then
         goes on in the next one`),
  );
});

describe('actors without a lane', () => {
  test('have a column of their own while there are at most three', () => {
    expect(columns(play(machineRoom({ cpuLane: null, paths: { a: 'CPU 0 (a)' } }), 'a', 'cpu0 fill', 'cpu0 after'), null)).toBe(
      drawn(`
        CPU 0 (a)                              cpu0
        -----------------------------------    -----------------------------------
        local_work
                                               fill vpn 0: present, pfn 0, devmap
                                               after 1000`),
    );
  });

  test('stand in the first column beyond that', () => {
    expect(columns(play(machineRoom({ cpuLane: null, paths: { a: 'CPU 0 (a)', b: 'CPU 1 (b)', c: 'CPU 2 (c)' } }), 'b', 'cpu0 fill', 'c', 'a'), null)).toBe(
      drawn(`
        CPU 0 (a)                CPU 1 (b)                CPU 2 (c)
        -----------------------  -----------------------  -----------------------
                                 local_work
        cpu0: fill vpn 0:
          present, pfn 0,
          devmap
                                                          local_work
        local_work`),
    );
  });

  test('share one column when nobody has a lane and they are many', () => {
    expect(columns(play(machineRoom({ cpuLane: null, paths: { a: undefined, b: undefined, c: undefined, d: undefined } }), 'a', 'b', 'c', 'd'), null)).toBe(
      drawn(`
        all actors
        ---------------------------------------------------------------------------
        a: local_work
        b: local_work
        c: local_work
        d: local_work`),
    );
  });
});

test('a lane in which nothing happens is left out when there are more than two', () => {
  const paths: Record<string, string> = { a: 'CPU 0 (a)', b: 'CPU 1 (b)', c: 'CPU 2 (c)', d: 'CPU 3 (d)' };
  const title = (...choices: string[]): string | undefined => columns(play(machineRoom({ paths }), ...choices), null).split('\n')[0];
  expect(title('a', 'c')).toBe('CPU 0 (a)                              CPU 2 (c)');
  expect(title('d')).toBe('CPU 3 (d)');
  expect(title('a', 'b', 'c', 'd')).toBe('CPU 0 (a)          CPU 1 (b)          CPU 2 (c)          CPU 3 (d)');
});

describe('uneventful stretches', () => {
  const alone = Array.from({ length: 7 }, () => 'a');
  const run = play(machineRoom({ work: 6 }), ...alone, 'b', 'a', 'b');

  test('are folded', () => {
    expect(columns(run, null)).toBe(
      drawn(`
        CPU 0 (a)                              CPU 1 (b)
        -----------------------------------    -----------------------------------
        local_work
        ... (5 steps)
        local_work
                                               local_work
        ptep_get_lockless_of_a_pmd:
          present, pfn 0, devmap
                                               local_work`),
    );
  });

  test('are not when they are not to be', () => {
    expect(columns(run, null, { fold: false }).split('\n')).toHaveLength(2 + 7 + 1 + 2 + 1);
  });

  test('are shorter than four steps, or touch what another lane touches: shown', () => {
    expect(columns(play(machineRoom({ work: 2 }), 'a', 'a', 'a', 'b'), null)).not.toContain('...');
    const shared = play(machineRoom({ work: 1, cpuLane: 'CPU 1 (b)' }), 'cpu0 fill', 'cpu0 fill', 'cpu0 fill', 'cpu0 fill', 'a', 'a', 'a');
    expect(columns(shared, null)).not.toContain('...');
  });

  test('do not exist in a schedule of one lane', () => {
    expect(columns(play(machineRoom({ work: 6 }), ...alone), null)).not.toContain('...');
  });
});

test('no line is wider than 75 characters, whatever the names', () => {
  const paths = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => [name, `CPU with a name that is quite long (${name})`]));
  for (const number of [1, 2, 3, 4, 5, 6, 8]) {
    const few = Object.fromEntries(Object.entries(paths).slice(0, number));
    const diagram = columns(
      play(machineRoom({ paths: few, cpuLane: null }), ...Object.keys(few).flatMap((name) => [name, name, name]), 'cpu0 fill'),
      `BUG: ${'x'.repeat(200)}`,
    );
    expect(Math.max(...diagram.split('\n').map((line) => line.length))).toBeLessThanOrEqual(75);
    expect(diagram).not.toMatch(/ $/m);
  }
});

test('a violation of the initial state has nothing but the header above it', () => {
  expect(columns(replay(machineRoom(), []), 'deadlock: a, b cannot go on')).toBe(
    drawn(`
      CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      => deadlock: a, b cannot go on`),
  );
});
