import { type AnyStateMachine, assign } from 'xstate';
import { type CheckResult, check, subjectOf } from '../../src/check/check.js';
import { violationNow } from '../../src/check/play.js';
import { leftOpen } from '../../src/cli/violations.js';
import { Explorer } from '../../src/explore/explorer.js';
import { violationText } from '../../src/format/violation.js';
import {
  actor,
  defineSystem,
  type Exploration,
  explore,
  exploreAsync,
  invariant,
  ModelError,
  type Possibility,
  possibility,
  type System,
  type Violation,
} from '../../src/index.js';
import { Walk } from '../../src/inspect/walk.js';
import { build as buildCase, type Expected, type Variant } from '../../src/scenarios/scenario.js';
import { confirm, replay, violatesNow } from '../../src/schedule/replay.js';
import { naiveEqualsExplorer } from '../laws.js';
import { lamps, machine, single, wheel } from '../systems/small.js';

type Views = { a: { value: string } };
type Wheel = { a: { context: { at: number } } };

/** From each of `when`, actor `a` can get to one of `reach`. */
const canReach = (name: string, when: readonly string[], reach: readonly string[]): Possibility =>
  possibility<Views>(name, 'a warned one can break', { actors: ['a'], when: ({ a }) => when.includes(a.value), reach: ({ a }) => reach.includes(a.value) });

/** A machine from its arrows: per state, event and target. All rest. */
const arrows = (states: Record<string, Record<string, string>>): AnyStateMachine =>
  machine({ id: 'm', initial: Object.keys(states)[0], states: Object.fromEntries(Object.entries(states).map(([name, on]) => [name, { on, tags: ['rest'] }])) });

/** A system of one actor that has all events as choices, in the order of their first arrow. */
function graph(states: Record<string, Record<string, string>>, properties: Possibility[], environment: readonly string[] = []): System {
  const events = [...new Set(Object.values(states).flatMap((on) => Object.keys(on)))];
  return single(arrows(states), { choices: events.filter((event) => !environment.includes(event)), environment }, { properties });
}

/** What was found of a property, once explorer and naive twin agree and the counterexample ran live. */
function judged(system: System, name = 'P'): { schedule: string[] | null; evaluations: number; exhausted: boolean } {
  naiveEqualsExplorer(system);
  const { properties, exhausted } = explore(system);
  const property = properties.find((each) => each.name === name) as Exploration['properties'][number];
  if (property.violation) confirm(system, property.violation).live.stop();
  const schedule = property.violation?.schedule.map((index) => system.choices[index]?.event.type as string) ?? null;
  return { schedule, evaluations: property.evaluations, exhausted };
}

const violationOf = (exploration: Exploration, name = 'P'): Violation | null => exploration.properties.find((each) => each.name === name)?.violation ?? null;

describe('a possibility holds', () => {
  test.each<[string, System, number]>([
    [
      'where some continuation gets there',
      graph({ s: { go: 'warned' }, warned: { mend: 's', fail: 'broken' }, broken: {} }, [canReach('P', ['warned'], ['broken'])]),
      1,
    ],
    ['where it is there already', graph({ s: { go: 'warned' }, warned: {} }, [canReach('P', ['s', 'warned'], ['warned'])]), 2],
    ['where only the environment gets there', graph({ s: { go: 't' }, t: { fill: 'u' }, u: {} }, [canReach('P', ['t'], ['u'])], ['fill']), 1],
    ['though states that do not ask have no way on', graph({ s: { go: 't' }, t: {} }, [canReach('P', ['s'], ['t'])]), 1],
  ])('%s', (_, system, evaluations) => {
    expect(judged(system)).toEqual({ schedule: null, evaluations, exhausted: true });
  });

  test('when the way leads back through a cycle, against the order in which states were found', () => {
    const spec = possibility<Wheel>('P', '', { actors: ['a'], when: () => true, reach: ({ a }) => a.context.at === 3 });
    expect(judged(single(wheel(12), { choices: ['turn'] }, { properties: [spec] }))).toEqual({ schedule: null, evaluations: 12, exhausted: true });
  });

  test('when each step back takes another pass', () => {
    const states = Object.fromEntries(
      [0, 1, 2, 3, 4, 5, 6].map((at) => [`s${at}`, { ...(at < 6 ? { up: `s${at + 1}` } : {}), ...(at > 0 ? { down: `s${at - 1}` } : {}) }]),
    );
    expect(judged(graph(states, [canReach('P', ['s6'], ['s0'])]))).toEqual({ schedule: null, evaluations: 1, exhausted: true });
  });
});

describe('a possibility is violated', () => {
  const ways = { s: { slow: 't', go: 'warned' }, t: { go: 'warned', slow: 'mended' }, warned: { mend: 'mended', fail: 'broken' }, mended: {}, broken: {} };

  test.each<[string, System, string[]]>([
    ['by a shortest schedule, the first in the order of choices', graph(ways, [canReach('P', ['warned', 'mended'], ['broken'])]), ['slow', 'slow']],
    ['at the start', graph({ s: { go: 't' }, t: {} }, [canReach('P', ['s'], ['u'])]), []],
    ['where the way was left open one step before', graph(ways, [canReach('P', ['t', 'broken'], ['mended'])]), ['go', 'fail']],
    [
      'by a cycle that never gets there',
      graph({ s: { go: 't', end: 'w' }, t: { go: 'u' }, u: { go: 'v' }, v: { go: 't' }, w: {} }, [canReach('P', ['s', 'v'], ['w'])]),
      ['go', 'go', 'go'],
    ],
    ['where a way leads there only from before', graph({ s: { go: 't', end: 'u' }, t: {}, u: {} }, [canReach('P', ['t'], ['s', 'u'])]), ['go']],
  ])('%s', (_, system, schedule) => {
    expect(judged(system)).toMatchObject({ schedule, exhausted: true });
  });

  test('of several actors: only the states of those that it reads count', () => {
    const logic = arrows({ s: { step: 't' }, t: {} });
    const both = possibility<{ a: Views['a']; b: Views['a'] }>('P', '', {
      actors: ['b', 'a'],
      when: ({ a, b }) => a.value === 't' && b.value === 's',
      reach: ({ a, b }) => a.value === 's' && b.value === 't',
    });
    const system = defineSystem({ id: 's', actors: { a: actor(logic), b: actor(logic), c: actor(logic) }, properties: [both] });
    expect(judged(system)).toEqual({ schedule: ['step'], evaluations: 1, exhausted: true });
    expect(violationOf(explore(system))?.schedule).toEqual([0]);
  });

  test('says so, in diagrams too', () => {
    const system = graph({ s: { go: 't' }, t: {} }, [canReach('P', ['t'], ['u'])]);
    const violation = violationOf(explore(system)) as Violation;
    expect(violation).toEqual({ property: 'P', schedule: [0], message: 'a warned one can break (no continuation reaches it)', lasso: null });
    expect(violationText(system, violation)).toBe('P violated: a warned one can break (no continuation reaches it)');
  });

  test.each<[string, string, string[], string]>([
    ['later than it is', 'u', ['go'], 'a warned one can break (no continuation reaches it)'],
    ['sooner than it is', 's', [], 'a: s'],
  ])('also by a BUG state that names it, %s: the shorter schedule counts', (_, tagged, schedule, message) => {
    const states = { s: { on: { go: 't' } }, t: { on: { go: 'u' } }, u: {} } as Record<string, object>;
    states[tagged] = { ...states[tagged], tags: ['BUG', 'P'] };
    const system = single(machine({ id: 'm', initial: 's', states }), { choices: ['go'] }, { properties: [canReach('P', ['t'], ['nowhere'])] });
    naiveEqualsExplorer(system);
    const violation = violationOf(explore(system, { stop: () => false }));
    expect([violation?.schedule.length, violation?.message]).toEqual([schedule.length, message]);
  });
});

describe('many possibilities', () => {
  const size = 40;
  const line = machine({
    id: 'line',
    context: { at: 0 },
    on: { turn: { guard: ({ context }: Wheel['a']) => context.at < size, actions: assign({ at: ({ context }) => context.at + 1 }) } },
  });
  const ofLine = (count: number): System =>
    single(
      line,
      { choices: ['turn'] },
      {
        properties: Array.from({ length: count }, (_, index) =>
          possibility<Wheel>(`P${index}`, '', { actors: ['a'], when: ({ a }) => a.context.at === index, reach: ({ a }) => a.context.at === 20 }),
        ),
      },
    );

  test.each([8, 9, 32])('%d are each judged for themselves', (count) => {
    naiveEqualsExplorer(ofLine(count));
    const lengths = explore(ofLine(count)).properties.flatMap(({ kind, violation }) => (kind === 'possibility' ? [violation?.schedule.length ?? null] : []));
    expect(lengths).toEqual(Array.from({ length: count }, (_, index) => (index <= 20 ? null : index)));
  });

  test('more than 32 are refused', () => {
    expect(() => explore(ofLine(33))).toThrow(new ModelError("system 'single' has 33 possibilities; at most 32 can be told apart"));
  });
});

describe('what a possibility may be', () => {
  const logic = arrows({ s: { step: 't' }, t: {} });

  test('its actors are actors of the system', () => {
    const spec = possibility('P', '', { actors: ['b' as never], when: () => true, reach: () => true });
    expect(() => single(logic, {}, { properties: [spec] })).toThrow(
      new ModelError("system 'single': possibility 'P' reads 'b', which is no actor of the system"),
    );
  });

  test.each([
    [true, null],
    [false, []],
  ])('without actors it is the same in every state: %s', (truth, schedule) => {
    const spec = possibility('P', '', { actors: [], when: () => true, reach: () => truth });
    expect(judged(single(logic, {}, { properties: [spec] }))).toEqual({ schedule, evaluations: 1, exhausted: true });
  });

  test('an error in it is told with its name', () => {
    const failing = (): boolean => {
      throw new Error('no such page');
    };
    const spec = possibility('P', '', { actors: ['a'], when: () => true, reach: failing });
    expect(() => explore(single(logic, {}, { properties: [spec] }))).toThrow(new ModelError("system 'single': possibility 'P' threw: no such page"));
  });

  test('it is evaluated once per tuple of what it reads', () => {
    const calls = { when: 0, reach: 0 };
    const count = (what: 'when' | 'reach', truth: boolean): boolean => {
      calls[what]++;
      return truth;
    };
    const spec = possibility('P', '', { actors: ['lamp0', 'lamp1'], when: () => count('when', true), reach: () => count('reach', false) });
    const found = explore({ ...lamps(4), properties: [spec, ...lamps(4).properties] });
    expect([calls, found.properties[0]?.evaluations, found.states]).toEqual([{ when: 4, reach: 4 }, 4, 16]);
  });
});

describe('a possibility is not judged', () => {
  const system = graph({ s: { go: 't' }, t: { go: 'u' }, u: {} }, [canReach('P', ['t'], ['s'])]);

  test('before all states were seen', async () => {
    const result = await check(system, { maxStates: 2 });
    expect(result.properties.map(({ name, verdict, evaluations }) => [name, verdict, evaluations])).toContainEqual(['P', 'inconclusive', 0]);
    expect([result.exploration.exhausted, result.vacuous]).toEqual([false, []]);
    expect((await check(system, { maxStates: 4 })).verdict).toBe('violated');
  });

  test('when the search stopped at a violation of another property; a possibility itself ends no search', () => {
    const broken = invariant<Views>('I', '', { actors: ['a'], holds: ({ a }) => a.value !== 'u' });
    const both = { ...system, properties: [...system.properties, broken] };
    const stopped = explore(both);
    expect([stopped.exhausted, violationOf(stopped), violationOf(stopped, 'I')?.schedule]).toEqual([false, null, [0, 0]]);
    const all = explore(both, { stop: () => false });
    expect([all.exhausted, violationOf(all)?.schedule, violationOf(all, 'I')?.schedule]).toEqual([true, [0], [0, 0]]);
    expect(explore(system).exhausted).toBe(true);
  });

  const wide = (when = ({ lamp0 }: Record<string, { value: string }>): boolean => lamp0?.value === 'on'): System => {
    const spec = possibility<Record<string, { value: string }>>('P', '', {
      actors: ['lamp0', 'lamp12'],
      when,
      reach: ({ lamp0, lamp12 }) => lamp0?.value === 'off' && lamp12?.value === 'on',
    });
    return { ...lamps(13), properties: [...lamps(13).properties, spec] };
  };
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

  test('when it was interrupted on the way: then not all is known', () => {
    const explorer = judging();
    explorer.interrupt('enough');
    expect([explorer.finished, outcome(explorer)]).toEqual([true, { exhausted: false, limit: 'enough', violations: 0 }]);
  });

  test('beyond a limit of memory, to which the marks count', () => {
    const { bytes } = { bytes: explore(lamps(13)).bytesPerState * 2 ** 13 };
    const found = explore(wide());
    expect(found.bytesPerState * 2 ** 13 - bytes).toBeGreaterThanOrEqual(2 ** 13);
    const limited = explore(wide(), { maxMemory: bytes + 2 ** 12 });
    expect([limited.states, limited.exhausted, limited.limit]).toEqual([2 ** 13, false, `${bytes + 2 ** 12} bytes of memory`]);
  });

  test('in one go: a search gives way to the event loop, and can be ended, while it judges', async () => {
    const slices = (explorer: Explorer): number => {
      let count = 0;
      for (; !explorer.finished; count++) explorer.slice();
      expect(outcome(explorer)).toEqual({ exhausted: true, limit: null, violations: 0 });
      return count;
    };
    // Two slices go over all states: the first was taken with the last step of the search, then two passes back, then a look at what is left.
    expect(slices(judging())).toBe(1 + 2 * 2 + 2);
    expect(slices(judging(wide(() => false)))).toBe(1);
    const receipt = ({ seconds: _seconds, system: _system, ...rest }: Exploration): unknown => rest;
    expect(receipt(await exploreAsync(wide()))).toEqual(receipt(explore(wide())));
    const ended = new AbortController();
    const endingIt = (): boolean => {
      ended.abort();
      return true;
    };
    expect(await exploreAsync(wide(endingIt), { signal: ended.signal })).toMatchObject({
      states: 2 ** 13,
      transitions: 13 * 2 ** 13,
      exhausted: false,
      limit: 'interrupted',
    });
  });
});

describe('an expectation of a possibility', () => {
  const states = { s: { go: 't', fail: 'bad' }, t: { go: 'u' }, u: {}, bad: {} };
  const never = invariant<Views>('I', '', { actors: ['a'], holds: ({ a }) => a.value !== 'bad' });
  const variant = (expected: Record<string, Expected>, reach: string): Variant => ({
    id: 'v',
    row: 'v',
    summary: '',
    source: '',
    expected,
    system: () => {
      const system = graph(states, [canReach('P', ['t'], [reach])]);
      return { ...system, properties: [...system.properties, never] };
    },
  });
  const checked = (tested: Variant): Promise<CheckResult> =>
    check(subjectOf(buildCase({ id: 's', title: '', question: '', parameters: {}, variants: [tested] }, tested)));

  test.each<[string, Record<string, Expected>, string, string, boolean]>([
    ['violated, next to another violation', { I: 'violated', P: 'violated' }, 's', 'violated', true],
    ['holds, next to another violation', { I: 'violated', P: 'holds' }, 'u', 'holds', true],
    ['holds, though another property is violated that should not be', { P: 'holds' }, 'u', 'holds', false],
  ])('%s: the search goes on to the end', async (_, expected, reach, verdict, asExpected) => {
    const result = await checked(variant(expected, reach));
    expect(result.exploration.exhausted).toBe(true);
    expect(result.properties.find(({ name }) => name === 'P')?.verdict).toBe(verdict);
    expect(result.asExpected).toBe(asExpected);
  });

  test('that is none lets the search end early', async () => {
    const result = await checked(variant({ I: 'violated', P: null }, 's'));
    expect([result.exploration.exhausted, result.properties.find(({ name }) => name === 'P')?.verdict]).toEqual([false, 'inconclusive']);
  });

  test('that nothing put to the test is vacuous', async () => {
    const unmet = graph({ s: { go: 't' }, t: {} }, [canReach('P', ['u'], ['t'])]);
    const result = await check(unmet);
    expect([result.verdict, result.vacuous]).toEqual(['holds', ['P: no state meets its premise']]);
    expect((await check(graph({ s: { go: 't' }, t: {} }, [canReach('P', ['s'], ['t'])]))).vacuous).toEqual([]);
  });
});

describe('along one run', () => {
  // Lost from `t` on; `spin` always goes on, `end` does not.
  const system = graph({ s: { go: 't', win: 'won' }, t: { go: 'spin', end: 'end' }, spin: { go: 'spin' }, end: {}, won: {} }, [
    canReach('P', ['t', 'spin', 'end', 'won'], ['won']),
  ]);
  const [go, win, end] = ['go', 'win', 'end'].map((type) => system.choices.findIndex(({ event }) => event.type === type)) as [number, number, number];

  test.each([
    ['not asked', [], 'untested', false, null, ''],
    ['open', [go], 'open', true, null, '; not reached here: P'],
    ['open, and for ever so', [go, go], 'open', true, null, '; not reached here: P'],
    ['lost, where nothing more can happen', [go, end], 'open', true, 'P', '; not reached here: P'],
    ['reached', [win], 'holds', false, null, ''],
  ])('it is %s', (_, schedule, truth, confirmed, violated, left) => {
    const run = replay(system, schedule);
    const walk = new Walk(system);
    walk.load(schedule);
    expect(walk.truths().find(({ property }) => property.name === 'P')?.truth).toBe(truth);
    expect(violatesNow(run, 'P')).toBe(confirmed);
    expect(violationNow(run, { deadlock: false })?.property ?? null).toBe(violated);
    expect(leftOpen(run)).toBe(left);
    run.live.stop();
  });
});
