import { expect as imported } from '@jest/globals';
import fc from 'fast-check';
import { explore, ModelError, type System } from '../../src/index.js';
import { type MatcherContext, type MatcherResult, matchers, register } from '../../src/jest/index.js';
import { build, systemPlans } from '../systems/random.js';
import { lostUpdate } from '../systems/small.js';

const race = lostUpdate();
const names = ['toHold', 'toViolate', 'toReplay', 'toReach', 'toBeDeadlockFree', 'toLeadTo'];

/** What the entry does to an `expect` that stands in the global scope, or to none. */
function loadedWith(expectThere: unknown): void {
  const { expect: own } = globalThis as { expect?: unknown };
  Object.assign(globalThis, { expect: expectThere });
  try {
    jest.isolateModules(() => require('../../src/jest/index.js'));
  } finally {
    Object.assign(globalThis, { expect: own });
  }
}

describe('registering', () => {
  test('on import, with the global expect', () => {
    const extend = jest.fn();
    loadedWith({ extend });
    expect(extend.mock.calls.map(([added]) => Object.keys(added))).toEqual([names]);
  });

  test.each([
    ['none', undefined],
    ['another library’s', { fail: () => null }],
  ])('not where there is no expect that can be extended: %s', (_, expectThere) => {
    expect(() => loadedWith(expectThere)).not.toThrow();
  });

  test('by hand, with an expect that is imported', async () => {
    const extend = jest.fn();
    register({ extend });
    expect(extend.mock.calls).toEqual([[matchers]]);
    imported.extend(matchers);
    await imported(race).toViolate('sum', { within: 4 });
  });
});

/** As little as a matcher is given by any test runner. */
const call = (context: MatcherContext, result: (this: MatcherContext) => Promise<MatcherResult>): Promise<MatcherResult> => result.call(context);

test.each([false, true])('a matcher asks its context for nothing but isNot: %s', async (isNot) => {
  const held = await call({ isNot }, function () {
    return matchers.toHold.call(this, race, 'deadlock');
  });
  expect(held.pass).toBe(true);
  expect(held.message().startsWith("expect(system).not.toHold('deadlock')\n\n")).toBe(isNot);
  const undecided = await matchers.toHold.call({ isNot }, race, { maxStates: 2 });
  expect(undecided.pass).toBe(isNot);
  expect((await matchers.toHold.call({}, race)).pass).toBe(false);
});

describe('what a matcher cannot work with is one clear line', () => {
  const asked = (received: unknown, ...given: unknown[]): Promise<void> =>
    (expect(received) as unknown as { not: { toHold: (...given: unknown[]) => Promise<void> } }).not.toHold(...given);
  test.each([
    ['a number', 5, 'a number'],
    ['nothing', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a promise', Promise.resolve(race), 'a promise (await it first)'],
    ['an array', [race], 'an array'],
    ['another object', { id: 'x', system: {} }, 'another object'],
  ])('%s', async (_, received, what) => {
    await expect(asked(received)).rejects.toThrow(
      `toHold takes a system (from defineSystem), a variant of a scenario (from build) or a subject of check, not ${what}`,
    );
  });

  test.each([
    [['summ'], "lost-update has no property 'summ'; did you mean 'sum'? (it has BUG, sum, deadlock)"],
    [[['sum', 3]], 'a property is asked for by its name (lost-update has BUG, sum, deadlock), not by a number'],
    [[[]], 'toHold takes the name of a property, or a list of at least one'],
    [[5], 'toHold takes options as an object, not 5'],
    [['sum', 'deadlock'], "toHold takes options as an object, not 'deadlock'"],
    [[{ maxstates: 3 }], "toHold has no option 'maxstates'; did you mean 'maxStates'? (it has maxStates, maxSeconds, maxMemory, signal)"],
    [['sum', { maxStates: 0 }], "toHold: option 'maxStates' takes a whole number from 1 up, not 0"],
    [[{ maxSeconds: Number.NaN }], "toHold: option 'maxSeconds' takes a number of seconds above 0, not NaN"],
    [[{ maxMemory: '1 GB' }], "toHold: option 'maxMemory' takes a number of bytes from 1 up, not '1 GB'"],
    [[{ signal: {} }], "toHold: option 'signal' takes an AbortSignal, not an object"],
  ])('toHold(...%j)', async (given, text) => {
    await expect(asked(race, ...given)).rejects.toThrow(text);
  });

  test('toViolate: several names, steps that cannot be', async () => {
    const { toViolate } = expect(race) as unknown as { toViolate: (...given: unknown[]) => Promise<void> };
    await expect(toViolate(['sum'])).rejects.toThrow('toViolate takes the name of one property; without a name, any will do');
    await expect(toViolate('sum', { within: -1 })).rejects.toThrow("toViolate: option 'within' takes a whole number of steps from 0 up, not -1");
  });
});

/** Compares what the matchers say of a system with what the explorer finds; returns how many violations there were. */
async function agrees(system: System): Promise<number> {
  const { properties, exhausted } = explore(system, { stop: () => false, maxStates: 300 });
  if (!exhausted) return 0;
  const lengths = properties.flatMap(({ violation }) => (violation ? [violation.schedule.length] : []));
  expect((await matchers.toHold.call({}, system)).pass).toBe(lengths.length === 0);
  const within = async (name: string | undefined, steps: number): Promise<boolean> =>
    (await matchers.toViolate.call({}, system, ...(name === undefined ? [] : [name]), { within: steps })).pass;
  for (const { name, violation } of properties) {
    expect((await matchers.toHold.call({}, system, name)).pass).toBe(violation === null);
    const length = violation?.schedule.length ?? 5;
    expect(await within(name, length)).toBe(violation !== null);
    expect(length === 0 || (await within(name, length - 1))).toBe(length === 0);
    if (violation) expect((await matchers.toReplay.call({}, system, violation.schedule, { violating: name })).pass).toBe(true);
  }
  if (lengths.length > 0) {
    const least = Math.min(...lengths);
    expect(await within(undefined, least)).toBe(true);
    expect(least === 0 || (await within(undefined, least - 1))).toBe(least === 0);
  }
  return lengths.length;
}

test('of random systems the matchers say what the explorer finds', async () => {
  let violations = 0;
  await fc.assert(
    fc.asyncProperty(systemPlans(), async (plan) => {
      try {
        violations += await agrees(build(plan));
      } catch (error) {
        // A model that fails is refused by both.
        if (!(error instanceof ModelError)) throw error;
      }
    }),
    { seed: 20264, numRuns: 60 },
  );
  expect(violations).toBeGreaterThan(20);
}, 60_000);
