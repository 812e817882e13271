import { type AnyStateMachine, sendTo } from 'xstate';
import { formatToken, ModelError, possibility, type System, UsageError } from '../../src/index.js';
import '../../src/jest/index.js';
import { comes } from '../eventualities.js';
import { lostUpdate, machine, single, twoLocks } from '../systems/small.js';
import { failure } from './failure.js';

const race = lostUpdate();
const tokenFor = (system: System, schedule: number[], digest = system.digest): string => formatToken({ name: system.id, parameters: {}, digest, schedule });

test('passes for a schedule or a token that fits to the end, and violates what it should', async () => {
  await expect(race).toReplay([]);
  await expect(race).toReplay([0, 0, 1]);
  await expect(race).toReplay(tokenFor(race, [0, 1, 0, 1]));
  await expect(race).toReplay(tokenFor(race, [0, 1, 0, 1]), { violating: 'sum' });
  await expect(race).not.toReplay([0, 0, 1, 1], { violating: 'sum' });
  await expect(race).not.toReplay([0, 0, 0]);
  await expect(race).not.toReplay([7]);
});

test('fails with the step that does not fit, after those that do', async () => {
  expect(await failure(expect(race).toReplay([0, 1, 0, 0]))).toMatchInlineSnapshot(`
"expect(system).toReplay([0, 1, 0, 0])

lost-update: the schedule does not fit: step 4: 'w0: step' is not possible, w0 is in 'finished'

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
                                       reading: value 0
writing
=> does not go on: step 4 does not fit

The last step (3, of w0) changed:
  cell.value: 0 -> 1
  w0: writing -> finished

Token: sd1:lost-update~5a3a9ecd~AAEA~d401
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AAEA~d401').schedule)"
`);
  expect(await failure(expect(race).toReplay([2]))).toMatchInlineSnapshot(`
"expect(system).toReplay([2])

lost-update: the schedule does not fit: step 1: choice 2 is not one of this system's 2

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
=> does not go on: step 1 does not fit

Token: sd1:lost-update~5a3a9ecd~~798e
replay(system, parseToken('sd1:lost-update~5a3a9ecd~~798e').schedule)"
`);
});

test('says that the model has changed since', async () => {
  const old = tokenFor(race, [0, 0, 0], '0123456789abcdef');
  expect(await failure(expect(race).toReplay(old))).toMatch(
    /does not fit: step 3: .*\nlost-update has changed since this schedule was recorded \(model 01234567, now [0-9a-f]{8}\)\.\n\n/,
  );
  await expect(race).toReplay(tokenFor(race, [0, 0], '0123456789abcdef'));
});

test('fails with the run when it violates nothing, and with .not when it fits or violates', async () => {
  expect(await failure(expect(race).toReplay([0, 0, 1, 1], { violating: 'sum' }))).toMatchInlineSnapshot(`
"expect(system).toReplay([0, 0, 1, 1], { violating: 'sum' })

lost-update: the schedule fits, but does not violate sum

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
writing
                                       reading: value 1
                                       writing
=> end of the schedule, after 4 steps

The last step (4, of w1) changed:
  cell.value: 1 -> 2
  w1: writing -> finished

Token: sd1:lost-update~5a3a9ecd~AAABAQ~2f48
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AAABAQ~2f48').schedule)"
`);
  expect(await failure(expect(race).not.toReplay([0]))).toMatchInlineSnapshot(`
"expect(system).not.toReplay([0])

lost-update: the schedule fits

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
reading: value 0
=> end of the schedule, after 1 step

The last step (1, of w0) changed:
  w0: reading -> writing

Token: sd1:lost-update~5a3a9ecd~AA~24ce
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AA~24ce').schedule)"
`);
  expect(await failure(expect(race).not.toReplay([0, 1, 0, 1], { violating: 'sum' }))).toContain('the schedule fits, and sum is violated\n\nCPU 0 ');
});

describe('violating', () => {
  const toggling = (tag: string): AnyStateMachine =>
    machine({
      id: 'toggling',
      initial: 'off',
      states: { off: { on: { toggle: 'on' } }, on: { tags: ['BUG', tag], description: 'it is on', on: { toggle: 'off' } } },
    });
  const bugged = single(
    toggling('E'),
    { choices: ['toggle'] },
    { properties: [comes(['off'], ['never'], 'E'), { kind: 'bug', name: 'other', description: 'other BUGs' }] },
  );

  test('a BUG, and what its tags name, at any step', async () => {
    await expect(bugged).toReplay([0, 0, 0, 0], { violating: 'E' });
    await expect(bugged).not.toReplay([0, 0], { violating: 'BUG' });
    await expect(single(toggling('nothing'), { choices: ['toggle'] })).toReplay([0, 0], { violating: 'BUG' });
    await expect(bugged).not.toReplay([0], { violating: 'other' });
  });

  test('a deadlock, or a loop that goes on without what should come, at the end', async () => {
    await expect(twoLocks(true)).toReplay([0, 1], { violating: 'deadlock' });
    await expect(twoLocks(true)).not.toReplay([0], { violating: 'deadlock' });
    const wheel = machine({ id: 'wheel', initial: 'a', states: { a: { on: { turn: 'b' } }, b: { on: { turn: 'a' } }, c: {} } });
    const endless = single(wheel, { choices: ['turn'] }, { properties: [comes(['a'], ['c'])] });
    await expect(endless).toReplay([0, 0], { violating: 'E' });
    await expect(endless).not.toReplay([0], { violating: 'E' });
    expect(await failure(expect(endless).not.toReplay([0, 0], { violating: 'E' }))).toContain('(the last 2 steps repeat for ever)');
  });

  test('not a possibility, which no single run can violate', async () => {
    const either = possibility('either', 'it can still be off', { actors: ['a'], when: () => true, reach: () => true });
    await expect(expect(single(toggling('nothing'), {}, { properties: [either] })).toReplay([], { violating: 'either' })).rejects.toThrow(
      "single: 'either' is a possibility, and no single run shows that it is violated; ask toViolate, which looks at all",
    );
  });

  test('not another property of the same end', async () => {
    const stuck = machine({ id: 'stuck', initial: 'a', states: { a: { on: { step: 'b' } }, b: {} } });
    const both = single(stuck, {}, { properties: [comes(['a'], ['c'])] });
    await expect(both).toReplay([0], { violating: 'deadlock' });
    await expect(both).toReplay([0], { violating: 'E' });
  });
});

test('what is no schedule, and a model that fails, are errors with .not, too', async () => {
  const damaged = tokenFor(race, [0, 1]).replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  await expect(expect(race).not.toReplay(damaged)).rejects.toThrow('the token is damaged: its check digits do not fit; copy it again');
  await expect(expect(race).not.toReplay('lost')).rejects.toThrow(
    new UsageError("toReplay takes a token (it begins with 'sd1:') or a schedule (a list of choice numbers), not 'lost'"),
  );
  await expect(expect(race).toReplay([0.5])).rejects.toThrow('not a list with something else in it');
  await expect(expect(race).toReplay([0], { violating: 'summ' })).rejects.toThrow(
    "lost-update has no property 'summ'; did you mean 'sum'? (it has BUG, sum, deadlock)",
  );
  const lost = machine({ id: 'lost', initial: 'a', states: { a: { on: { step: 'b' } }, b: { entry: sendTo('nobody', { type: 'hello' }) } } });
  const failing = single(lost);
  await expect(expect(failing).not.toReplay([0])).rejects.toThrow(ModelError);
});
