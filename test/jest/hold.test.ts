import { check } from '../../src/index.js';
import { counterexample } from '../../src/jest/index.js';
import { build, scenarios } from '../../src/scenarios/index.js';
import type { Case, Scenario, Variant } from '../../src/scenarios/scenario.js';
import { lockScenario } from '../cli/lock.js';
import { comes } from '../eventualities.js';
import { atomicWriter, lamps, lostUpdate, machine, single, twoLocks } from '../systems/small.js';
import { failure } from './failure.js';

const race = lostUpdate();
const fixed = lostUpdate(atomicWriter);
const built = (scenario: Scenario, variant: string): Case => build(scenario, scenario.variants.find(({ id }) => id === variant) as Variant);
const gup = scenarios.find(({ id }) => id === 'gup-unbind') as Scenario;

describe('toHold', () => {
  test('passes when everything holds in every state, and what is named does', async () => {
    await expect(fixed).toHold();
    await expect(fixed).toHold({ maxStates: 100 });
    await expect(race).toHold('deadlock');
    await expect(race).toHold(['BUG', 'deadlock'], { maxSeconds: 60 });
    await expect(race).not.toHold();
    await expect(race).not.toHold(['BUG', 'sum']);
  });

  test('takes a variant with its parameters, and a subject, whatever is expected of them', async () => {
    await expect(built(gup, 'A0')).toHold(['I1', 'I6', 'I11']);
    await expect(built(gup, 'A0')).not.toHold('I2');
    const { subject } = await check(built(lockScenario, 'broken').system);
    await expect(subject).not.toHold();
  });

  test('fails with the diagram, what the last step changed, and how to run it again', async () => {
    expect(await failure(expect(race).toHold())).toMatchInlineSnapshot(`
"expect(system).toHold()

lost-update: sum is violated in 4 steps

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
                                       reading: value 0
writing
                                       writing
=> sum violated: two writers that have finished left 2 in the cell

The last step (4, of w1) changed:
  w1: writing -> finished

Token: sd1:lost-update~5a3a9ecd~AAEAAQ~eb02
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AAEAAQ~eb02').schedule)"
`);
  });

  test('fails with the commands for what is shipped, without them for a scenario that is not', async () => {
    const message = await failure(expect(built(gup, 'A1')).toHold('I1'));
    expect(message).toMatch(/\n=> BUG: struct page accessed after remove_pages\n\nThe last step .*:\n {2}page0: removed -> struct_page_accessed\n\nToken: /);
    expect(message).toMatch(/\nToken: (sd1:gup-unbind\/A1,\S+)\nnpx shootdown replay '\1'\nnpx shootdown inspect '\1'$/);
    expect(await failure(expect(built(lockScenario, 'broken')).toHold())).toContain("\nreplay(system, parseToken('sd1:lock/broken,rounds=1~");
  });

  test('with .not, fails when it holds', async () => {
    expect(await failure(expect(race).not.toHold(['BUG', 'deadlock']))).toMatchInlineSnapshot(`
"expect(system).not.toHold(['BUG', 'deadlock'])

lost-update: BUG, deadlock: no counterexample in 13 states, which are all"
`);
    expect(await failure(expect(fixed).not.toHold())).toMatchInlineSnapshot(`
"expect(system).not.toHold()

lost-update: no counterexample in 4 states, which are all"
`);
  });

  test('fails either way when a limit leaves it undecided, and says which', async () => {
    expect(await failure(expect(lamps(13)).toHold({ maxStates: 100 }))).toMatchInlineSnapshot(`
"expect(system).toHold({ maxStates: 100 })

lamps(13): inconclusive: the limit of 100 states (maxStates) was reached before everything was decided"
`);
    expect(await failure(expect(lamps(13)).not.toHold('BUG', { maxMemory: 1000 }))).toMatchInlineSnapshot(`
"expect(system).not.toHold('BUG', { maxMemory: 1000 })

lamps(13): BUG: inconclusive: the limit of 1000 bytes of memory (maxMemory) was reached before everything was decided"
`);
    expect(await failure(expect(lamps(13)).toHold({ maxSeconds: 1e-9 }))).toContain('the limit of 1e-9 seconds (maxSeconds) was reached');
    expect(await failure(expect(lamps(13)).toHold({ signal: AbortSignal.abort() }))).toMatchInlineSnapshot(`
"expect(system).toHold({ signal: signal })

lamps(13): inconclusive: the search was interrupted before every state was seen"
`);
  });

  test('searches thousands of states while the timers are fake', async () => {
    jest.useFakeTimers();
    try {
      await expect(lamps(13)).toHold();
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('toViolate', () => {
  test('passes for a counterexample of at most so many steps', async () => {
    await expect(race).toViolate();
    await expect(race).toViolate('sum');
    await expect(race).toViolate('sum', { within: 4 });
    await expect(race).toViolate({ within: 4 });
    await expect(race).not.toViolate('sum', { within: 3 });
    await expect(race).not.toViolate('BUG');
    await expect(fixed).not.toViolate();
  });

  test('looks no further than the steps that are allowed', async () => {
    await expect(lamps(40)).not.toViolate({ within: 2 });
    expect(await failure(expect(lamps(40)).toViolate('BUG', { within: 1 }))).toMatchInlineSnapshot(`
"expect(system).toViolate('BUG', { within: 1 })

lamps(40): BUG: no counterexample of at most 1 step"
`);
  });

  test('fails with what is violated instead, and with what holds', async () => {
    expect(await failure(expect(race).toViolate('sum', { within: 3 }))).toMatchInlineSnapshot(`
"expect(system).toViolate('sum', { within: 3 })

lost-update: sum is violated in 4 steps, not within 3 steps

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
                                       reading: value 0
writing
                                       writing
=> sum violated: two writers that have finished left 2 in the cell

The last step (4, of w1) changed:
  w1: writing -> finished

Token: sd1:lost-update~5a3a9ecd~AAEAAQ~eb02
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AAEAAQ~eb02').schedule)"
`);
    expect(await failure(expect(race).not.toViolate({ within: 4 }))).toContain('lost-update: sum is violated in 4 steps\n\nCPU 0 ');
    expect(await failure(expect(fixed).toViolate('sum'))).toMatchInlineSnapshot(`
"expect(system).toViolate('sum')

lost-update: sum: no counterexample in 4 states, which are all"
`);
  });

  test('counts the steps that repeat for ever', async () => {
    const wheel = machine({ id: 'wheel', initial: 'a', states: { a: { on: { turn: 'b' } }, b: { on: { turn: 'a' } }, c: {} } });
    const endless = single(wheel, { choices: ['turn'] }, { properties: [comes(['a'], ['c'])] });
    await expect(endless).toViolate('E', { within: 2 });
    await expect(endless).not.toViolate('E', { within: 1 });
    expect(await failure(expect(endless).toViolate('E', { within: 1 }))).toMatchInlineSnapshot(`
"expect(system).toViolate('E', { within: 1 })

single: E is violated in 2 steps (0, then 2 for ever), not within 1 step

a
---------------------------------------------------------------------------
---- from here on, for ever (steps 1 to 2) --------------------------------
turn
turn
=> E violated: what waits goes on (the last 2 steps repeat for ever)

The last 2 steps repeat for ever: after step 2 every actor is as it was at
the start, and 'what waits goes on' has not come. No one is held up by an
unfair scheduler meanwhile. Of everything that can be bound to happen,
  a: turn  happens in steps 1 and 2
so nothing is owed, and the loop never has to end.
No single assumption of this kind helps: that a choice is not put off for
ever, or that one of the environment happens only so often.

The last step (2, of a) changed:
  a: b -> a

Token: sd1:single~d1c3ba3c~AAA~3d0a
replay(system, parseToken('sd1:single~d1c3ba3c~AAA~3d0a').schedule)"
`);
  });

  test('fails when a limit comes first', async () => {
    expect(await failure(expect(race).toViolate('sum', { maxStates: 3 }))).toMatchInlineSnapshot(`
"expect(system).toViolate('sum', { maxStates: 3 })

lost-update: sum: inconclusive: the limit of 3 states (maxStates) was reached before everything was decided"
`);
  });
});

describe('toBeDeadlockFree', () => {
  test('passes, and fails with the deadlock', async () => {
    await expect(twoLocks(false)).toBeDeadlockFree();
    await expect(twoLocks(true)).not.toBeDeadlockFree();
    expect(await failure(expect(twoLocks(true)).toBeDeadlockFree())).toMatchInlineSnapshot(`
"expect(system).toBeDeadlockFree()

abba: deadlock is violated in 2 steps

p0                                     p1
-----------------------------------    -----------------------------------
none: granted
                                       none: granted
=> deadlock: p0, p1 cannot go on

The last step (2, of p1) changed:
  lb.owner: null -> p1
  p1: none -> one

Token: sd1:abba~1b3045a2~AAE~ebd9
replay(system, parseToken('sd1:abba~1b3045a2~AAE~ebd9').schedule)"
`);
    expect(await failure(expect(twoLocks(false)).not.toBeDeadlockFree())).toMatchInlineSnapshot(`
"expect(system).not.toBeDeadlockFree()

abab: deadlock: no counterexample in 12 states, which are all"
`);
    expect(await failure(expect(lamps(13)).toBeDeadlockFree({ maxStates: 10 }))).toContain('deadlock: inconclusive: the limit of 10 states');
  });
});

describe('counterexample', () => {
  test('is the diagram, or null', async () => {
    expect(await counterexample(race, 'sum')).toMatchInlineSnapshot(`
"CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
                                       reading: value 0
writing
                                       writing
=> sum violated: two writers that have finished left 2 in the cell"
`);
    expect(await counterexample(race)).toBe(await counterexample(race, 'sum'));
    expect(await counterexample(race, 'deadlock')).toBeNull();
    expect(await counterexample(fixed)).toBeNull();
  });

  test('is neither when a limit comes first', async () => {
    await expect(counterexample(race, 'sum', { maxStates: 3 })).rejects.toThrow(
      'lost-update: inconclusive: the limit of 3 states (maxStates) was reached before everything was decided',
    );
  });
});

test('a message is the same each time, so that it can be a snapshot', async () => {
  const twice = [await failure(expect(race).toHold()), await failure(expect(race).toHold())];
  expect(twice[0]).toBe(twice[1]);
  await expect(expect(race).toHold('sum')).rejects.toThrowErrorMatchingSnapshot();
});
