import { Explorer } from '../../src/explore/explorer.js';
import {
  alwaysEventually,
  type Eventuality,
  explore,
  exploreAsync,
  invariant,
  leadsTo,
  ModelError,
  possibility,
  type System,
  type Violation,
} from '../../src/index.js';
import { all, comes, judged, neverComes, propertyOf, recurs, told, type Views, withProperty } from '../eventualities.js';
import { lassoStands, naiveEqualsExplorer } from '../laws.js';
import { arrows, graph } from '../systems/graphs.js';
import { lamps, machine, single } from '../systems/small.js';

describe('several properties of one system', () => {
  const system = graph({ s: { go: 't', stay: 'u' }, t: { go: 's' }, u: { spin: 'v' }, v: { spin: 'u' } }, [
    comes(['t'], ['s'], 'back'),
    comes(['s'], ['t'], 'there'),
    recurs(['s', 'v'], 'again'),
    possibility<Views>('can', '', { actors: ['a'], when: ({ a }) => a.value === 's', reach: ({ a }) => a.value === 'v' }),
    possibility<Views>('cannot', '', { actors: ['a'], when: ({ a }) => a.value === 'u', reach: ({ a }) => a.value === 's' }),
    invariant<Views>('not v', '', { actors: ['a'], holds: ({ a }) => a.value !== 'v' }),
    comes(['u'], ['s'], 'home'),
  ]);

  test('are judged each for themselves', () => {
    naiveEqualsExplorer(system);
    const { exhausted, properties } = explore(system, all);
    expect(exhausted).toBe(true);
    expect(
      properties.flatMap(({ name, violation }) =>
        violation ? [{ name, length: violation.schedule.length, stem: violation.lasso?.stem ?? null, message: violation.message }] : [],
      ),
    ).toEqual([
      { name: 'there', length: 3, stem: 1, message: 'what waits goes on' },
      { name: 'cannot', length: 1, stem: null, message: ' (no continuation reaches it)' },
      { name: 'not v', length: 2, stem: null, message: '' },
      { name: 'home', length: 3, stem: 1, message: 'what waits goes on' },
    ]);
    for (const { name, violation } of properties) if (violation && ['there', 'home'].includes(name)) lassoStands(system, violation);
    expect(properties.filter(({ kind }) => kind === 'eventuality').map(({ name, evaluations }) => [name, evaluations])).toEqual([
      ['back', 1],
      ['there', 1],
      ['again', 4],
      ['home', 1],
    ]);
  });

  test('a BUG state that names an eventuality violates it: what is shorter counts', () => {
    const named = (tagged: string): System => {
      const states: Record<string, object> = { s: { on: { go: 't' } }, t: { on: { go: 'u' } }, u: {} };
      states[tagged] = { ...states[tagged], tags: ['BUG', 'E'] };
      return single(machine({ id: 'm', initial: 's', states }), { choices: ['go'] }, { properties: [comes(['s'], ['nowhere'])] });
    };
    for (const [tagged, schedule, lasso] of [
      ['t', [0], null],
      ['u', [0, 0], null],
    ] as const) {
      naiveEqualsExplorer(named(tagged));
      expect(propertyOf(explore(named(tagged), all)).violation).toMatchObject({ schedule, lasso });
    }
    const early = graph({ s: { go: 't' }, t: {} }, [comes(['s'], ['t'])], ['go']);
    const tagged = machine({ id: 'm', initial: 's', states: { s: { on: { go: 't' } }, t: { tags: ['BUG', 'E'] } } });
    const both = single(tagged, { choices: [], environment: ['go'] }, { properties: early.properties.filter(({ name }) => name === 'E') });
    naiveEqualsExplorer(both);
    expect(propertyOf(explore(both, all)).violation).toMatchObject({ schedule: [], lasso: { stem: 0 } });
  });
});

describe('what an eventuality may be', () => {
  const logic = arrows({ s: { step: 't' }, t: {} });
  const refused =
    (property: unknown): (() => unknown) =>
    () =>
      single(logic, {}, { properties: [property as Eventuality] });

  test('its actors are actors of the system', () => {
    expect(refused(leadsTo('E', '', { actors: ['b' as never], when: () => true, reach: () => true }))).toThrow(
      new ModelError("system 'single': eventuality 'E' reads 'b', which is no actor of the system"),
    );
  });

  test('a property of a kind that nobody knows is refused, not dropped', () => {
    expect(refused({ ...recurs(['s']), kind: 'eventually always' })).toThrow(
      new ModelError("system 'single': property 'E' is of kind 'eventually always'; there are bug, invariant, possibility, eventuality, deadlock"),
    );
  });

  test.each([
    ['without what should come', { reach: undefined }, "has no function 'reach'"],
    ['with something else for it', { reach: 't' }, "has no function 'reach'"],
    ['with a premise that is no function', { when: 's' }, "has a premise 'when' that is no function"],
  ])('one %s is refused', (_, change, text) => {
    expect(refused({ ...recurs(['s']), ...change })).toThrow(new ModelError(`system 'single': eventuality 'E' ${text}`));
  });

  test.each([
    [true, 'holds'],
    [false, { stem: 'step', loop: '', cures: [] }],
  ])('without actors it is the same in every state: %s', (truth, found) => {
    expect(judged(single(logic, {}, { properties: [alwaysEventually('E', '', { actors: [], reach: () => truth })] }))).toEqual(found);
  });

  test('an error in it is told with its name', () => {
    const failing = (): boolean => {
      throw new Error('no such page');
    };
    const spec = { actors: ['a' as const], reach: failing };
    expect(() => explore(single(logic, {}, { properties: [alwaysEventually<Views>('E', '', spec)] }))).toThrow(
      new ModelError("system 'single': eventuality 'E' threw: no such page"),
    );
  });

  test('it is evaluated once per tuple of what it reads', () => {
    const calls = { when: 0, reach: 0 };
    const count = (what: 'when' | 'reach', truth: boolean): boolean => {
      calls[what]++;
      return truth;
    };
    const spec = leadsTo('E', '', { actors: ['lamp0', 'lamp1'] as never[], when: () => count('when', true), reach: () => count('reach', false) });
    const found = explore(withProperty(lamps(4), spec));
    expect([calls, propertyOf(found).evaluations, found.states]).toEqual([{ when: 4, reach: 4 }, 4, 16]);
  });
});

describe('a loop serves all choices', () => {
  test('on a shortest way where that can be found', () => {
    const { violation } = propertyOf(explore(withProperty(lamps(4), neverComes)));
    expect([violation?.schedule.length, violation?.lasso]).toEqual([8, { stem: 0, cures: [], untried: 0 }]);
    expect(lassoStands(withProperty(lamps(4), neverComes), violation as Violation)).toBe(8);
  });

  test('and on some way where there are too many combinations to find it', () => {
    const { violation } = propertyOf(explore(withProperty(lamps(12), neverComes)));
    expect(lassoStands(withProperty(lamps(12), neverComes), violation as Violation)).toBe(24);
  }, 60_000);
});

describe('a limit', () => {
  // A line of fair steps; from its third state the environment can leave it for good.
  const line = (length: number, leave: string): System =>
    graph(
      {
        ...Object.fromEntries([...Array(length).keys()].map((at) => [`s${at}`, { go: `s${at + 1}`, ...(`s${at}` === leave ? { leave: 'lost' } : {}) }])),
        [`s${length}`]: {},
        lost: {},
      },
      [comes(['s0'], [`s${length}`])],
      ['leave'],
    );

  test('of states: what is violated in what was seen is violated', () => {
    const whole = propertyOf(explore(line(20, 's2'), all)).violation;
    const found = explore(line(20, 's2'), { maxStates: 8 });
    expect([found.exhausted, found.limit, found.states]).toEqual([false, '8 states', 8]);
    expect(propertyOf(found).violation).toEqual(whole);
    expect(told(line(20, 's2'), whole as Violation)).toEqual({ stem: 'go, go, leave', loop: '', cures: [] });
  });

  test('of states: what is cut off is not taken for an end', () => {
    for (const leave of ['s12', 'none']) {
      const found = explore(line(20, leave), { maxStates: 8 });
      expect([found.exhausted, found.limit, propertyOf(found).violation, propertyOf(found).evaluations]).toEqual([false, '8 states', null, 1]);
    }
    expect(propertyOf(explore(line(20, 's12'))).violation).not.toBeNull();
    expect(propertyOf(explore(line(20, 'none'))).violation).toBeNull();
    const one = explore(line(20, 's2'), { maxStates: 1 });
    expect([one.exhausted, one.limit, propertyOf(one).violation, propertyOf(one).evaluations]).toEqual([false, '1 states', null, 0]);
  });

  test('a loop that is seen is one, though what leads out of it is not', () => {
    const loop = { s: { go: 't' }, t: { back: 's', out: 'u0' } };
    const tail = Object.fromEntries([...Array(20).keys()].map((at) => [`u${at}`, { on: `u${at + 1}` }]));
    const system = graph({ ...loop, ...tail, u20: {} }, [comes(['s'], ['u20'])]);
    expect(told(system, propertyOf(explore(system, { maxStates: 6 })).violation as Violation)).toEqual({ stem: '', loop: 'go, back', cures: ['strong out'] });
  });

  test('the stem does not lead through what was not expanded', () => {
    const states = {
      s: { a: 'x', b: 'y0' },
      x: { on: 'f' },
      y0: { on: 'y1' },
      y1: { on: 'y2' },
      y2: { on: 'y3' },
      y3: { on: 'z', fall: 'f' },
      z: { on: 'end' },
    };
    const system = graph({ ...states, f: {}, end: {} }, [comes(['s'], ['x', 'end'])]);
    const found = explore(system, { maxStates: 8 });
    expect([found.exhausted, found.states]).toEqual([false, 8]);
    expect(told(system, propertyOf(found).violation as Violation)).toEqual({ stem: 'b, on, on, on, fall', loop: '', cures: [] });
  });

  test('a search that stops at a violation leaves eventualities open; an eventuality itself ends no search', () => {
    const system = graph({ s: { go: 't' }, t: { go: 'u' }, u: {} }, [
      comes(['s'], ['nowhere']),
      invariant<Views>('I', '', { actors: ['a'], holds: ({ a }) => a.value !== 'u' }),
      comes(['s'], ['nowhere'], 'F'),
    ]);
    const stopped = explore(system);
    expect([stopped.exhausted, propertyOf(stopped).violation, propertyOf(stopped, 'I').violation?.schedule]).toEqual([false, null, [0, 0]]);
    const whole = explore(system, all);
    expect([whole.exhausted, ...['E', 'I', 'F'].map((name) => propertyOf(whole, name).violation?.schedule)]).toEqual([true, [0, 0], [0, 0], [0, 0]]);
    expect(explore({ ...system, properties: system.properties.filter(({ kind }) => kind !== 'invariant') }).exhausted).toBe(true);
  });

  const wide = (reach = (): boolean => false): System => withProperty(lamps(13), alwaysEventually('E', '', { actors: ['lamp0'] as never[], reach }));
  /** An explorer that has seen all 2^13 states, and has judged some of them. */
  const judging = (system = wide()): Explorer => {
    const explorer = new Explorer(system);
    while (explorer.transitionCount < 13 * 2 ** 13) explorer.slice();
    expect(explorer.finished).toBe(false);
    return explorer;
  };
  const outcome = (explorer: Explorer): unknown => {
    const { exhausted, limit, properties } = explorer.result();
    return { exhausted, limit, violations: properties.filter(({ violation }) => violation).length };
  };

  test.each([0, 1, 2, 3, 20])('interrupts the judging after %d slices more', (slices) => {
    const explorer = judging();
    for (let slice = 0; slice < slices; slice++) explorer.slice();
    explorer.interrupt('enough');
    expect([explorer.finished, outcome(explorer)]).toEqual([true, { exhausted: false, limit: 'enough', violations: 0 }]);
  });

  test('that is not reached while it is judged changes nothing', () => {
    const explorer = judging();
    let slices = 0;
    for (; !explorer.finished; slices++) explorer.slice();
    expect(outcome(explorer)).toEqual({ exhausted: true, limit: null, violations: 1 });
    // It gave way to others on the way, and often so.
    expect(slices).toBeGreaterThan(20);
  });

  test('by a signal, while it is judged', async () => {
    const ended = new AbortController();
    const endingIt = (): boolean => {
      ended.abort();
      return false;
    };
    const found = await exploreAsync(wide(endingIt), { signal: ended.signal });
    expect(found).toMatchObject({ states: 2 ** 13, transitions: 13 * 2 ** 13, exhausted: false, limit: 'interrupted' });
    expect(propertyOf(found).violation).toBeNull();
    const whole = await exploreAsync(wide());
    expect([whole.exhausted, propertyOf(whole).violation]).toEqual([true, propertyOf(explore(wide())).violation]);
  });

  test('of memory, to which the marks and stacks count', () => {
    const bytes = explore(lamps(13)).bytesPerState * 2 ** 13;
    const most = explore(wide()).bytesPerState * 2 ** 13;
    expect(most - bytes).toBeGreaterThanOrEqual(8 * 2 ** 13);
    const limited = explore(wide(), { maxMemory: bytes + 5 * 2 ** 13 });
    expect([limited.states, limited.exhausted, limited.limit, propertyOf(limited).violation]).toEqual([
      2 ** 13,
      false,
      `${bytes + 5 * 2 ** 13} bytes of memory`,
      null,
    ]);
    expect(explore(wide(), { maxMemory: most + 1 }).exhausted).toBe(true);
  });

  test('of time, to which the judging counts', () => {
    let now = 0;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => (now += 500));
    try {
      // Half a second a slice, of which those that search take a level each at least.
      const limited = explore(wide(), { maxSeconds: 9 });
      expect([limited.states, limited.transitions, limited.limit, limited.exhausted]).toEqual([2 ** 13, 13 * 2 ** 13, '9 seconds', false]);
      expect(explore(wide(), { maxSeconds: 1000 }).exhausted).toBe(true);
    } finally {
      clock.mockRestore();
    }
  });
});
