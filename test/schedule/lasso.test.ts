import fc from 'fast-check';
import { explore, InternalError, type System, type Violation } from '../../src/index.js';
import { Walk } from '../../src/inspect/walk.js';
import type { Eventuality } from '../../src/property/property.js';
import { LiveCourse } from '../../src/schedule/course.js';
import { isOpen, type JudgedLasso, judge, judgeLasso } from '../../src/schedule/lasso.js';
import { confirm, replay, violatesNow } from '../../src/schedule/replay.js';
import { formatToken, parseToken } from '../../src/schedule/token.js';
import { actor, type Choice, defineSystem } from '../../src/system/system.js';
import { along, type Edges, graph, marked } from '../systems/marks.js';
import { machine } from '../systems/small.js';
import { bystanders, scheduleOf, turns, unbinds, waiting } from '../systems/waiting.js';

const propertyOf = ({ properties }: System, name = 'P'): Eventuality => properties.find((property) => property.name === name) as Eventuality;

/** What live XState makes of the eventuality `P` after a schedule. */
function judged(system: System, schedule: readonly number[], stem?: number): ReturnType<typeof judge> {
  const run = replay(system, schedule);
  run.live.stop();
  return judge(new LiveCourse(run), propertyOf(system), stem);
}

/** `event: why`, with the steps, or the step and the place. */
const inShort = (lasso: JudgedLasso | { refused: string }): string[] =>
  'refused' in lasso
    ? [lasso.refused]
    : lasso.obligations.map((obligation) => {
        const what = obligation.choice.event.type;
        if (obligation.why === 'taken') return `${what}: taken ${obligation.steps.join(' ')}`;
        return obligation.why === 'owed' ? `${what}: owed` : `${what}: ${obligation.why} after ${obligation.after} in ${obligation.place}`;
      });
const shape = (lasso: JudgedLasso | { refused: string }): unknown => ('refused' in lasso ? null : [lasso.stem, lasso.length]);

describe('a loop', () => {
  const ring: Edges = { s: { go: 's1' }, s1: { on: 's2', out: 'end' }, s2: { on: 's1' }, end: {} };

  test('is found without its stem, and says of each fair choice why it is not owed', () => {
    const system = graph(ring);
    const lasso = judged(system, along(system, 'go', 'on', 'on'));
    expect(shape(lasso)).toEqual([1, 2]);
    expect(inShort(lasso)).toEqual(['go: disabled after 1 in s1', 'on: taken 2 3', 'out: disabled after 2 in s2']);
    expect(lasso).toMatchObject({ cures: null, untried: 0 });
  });

  test('that never takes a choice which is possible all along is not fair', () => {
    const system = graph({ s: { on: 's2', out: 'end' }, s2: { on: 's', out: 'end' }, end: {} });
    const schedule = along(system, 'on', 'on');
    expect(judged(system, schedule, 0)).toEqual({ refused: "is not fair: its loop owes 'a: out'" });
    expect(judgeLasso(replay(system, schedule), propertyOf(system))).toBeNull();
    const unfair = graph({ s: { on: 's2', out: 'end' }, s2: { on: 's', out: 'end' }, end: {} }, { environment: ['out'] });
    expect(shape(judged(unfair, along(unfair, 'on', 'on')))).toEqual([0, 2]);
  });

  test('owes a choice that would change something in each of its states, though elsewhere it would not', () => {
    const edges: Edges = { s: { go: 's1', poll: 's' }, s1: { on: 's2', poll: 'end' }, s2: { on: 's1', poll: 'end' }, end: {} };
    const system = graph(edges);
    expect(judged(system, along(system, 'go', 'on', 'on'), 1)).toEqual({ refused: "is not fair: its loop owes 'a: poll'" });
  });

  test('does not owe a choice that would change nothing in one of its states', () => {
    const system = graph({ s: { on: 's2', poll: 'end' }, s2: { on: 's', poll: 's2' }, end: {} });
    expect(inShort(judged(system, along(system, 'on', 'on')))).toEqual(['on: taken 1 2', 'poll: idle after 1 in s2']);
    // Taken where it changes nothing, it is not taken.
    expect(inShort(judged(system, along(system, 'on', 'poll', 'on')))).toEqual(['on: taken 1 3', 'poll: idle after 1 in s2']);
  });

  test('in which nothing changes is none: the run stays', () => {
    const system = graph({ s: { poll: 's', go: 't' }, t: { poll: 't' } });
    const lasso = judged(system, along(system, 'go', 'poll', 'poll'));
    expect(shape(lasso)).toEqual([3, 0]);
    expect(inShort(lasso)).toEqual(['poll: idle after 3 in t', 'go: disabled after 3 in t']);
    expect(shape(judged(system, along(system, 'poll', 'poll')))).toBeNull();
  });

  test('that does not close is none', () => {
    const system = graph(ring);
    expect(judged(system, along(system, 'go', 'on'), 1)).toEqual({ refused: 'does not close: after its last step it is not as after step 1' });
    expect(judged(system, along(system, 'go', 'on'), 3)).toEqual({ refused: 'has 2 steps, and its loop cannot begin after 3' });
    expect(judged(system, along(system, 'go', 'on'))).toEqual({ refused: "does not end there: 'a: on' is owed" });
  });

  test('that brings what should come is no violation, wherever in it that is', () => {
    for (const reach of ['s1', 's2']) {
      const system = graph(ring, { reach: [reach] });
      expect(shape(judged(system, along(system, 'go', 'on', 'on')))).toBeNull();
      expect(shape(judged(system, along(system, 'go', 'on', 'on', 'on')))).toBeNull();
    }
    const system = graph({ s: { on: 't' }, t: { on: 'u' }, u: { on: 's' } }, { reach: ['t'] });
    expect(judged(system, along(system, 'on', 'on', 'on'), 0)).toEqual({ refused: 'loops through the state after step 1, in which what should come has come' });
  });

  test('that comes after the premise was answered is no violation', () => {
    const edges: Edges = { p: { go: 'q' }, q: { go: 's' }, s: { on: 's2' }, s2: { on: 's' } };
    const answered = graph(edges, { when: ['p'], reach: ['q'] });
    expect(judged(answered, along(answered, 'go', 'go', 'on', 'on'))).toEqual({
      refused: 'leaves nothing open: what should come has come, or its premise was not met',
    });
    const open = graph(edges, { when: ['p'] });
    expect(shape(judged(open, along(open, 'go', 'go', 'on', 'on')))).toEqual([2, 2]);
    const again = graph(edges, { when: ['p', 's2'], reach: ['q'] });
    expect(shape(judged(again, along(again, 'go', 'go', 'on', 'on')))).toEqual([2, 2]);
    const never = graph(edges, { when: [] });
    expect(shape(judged(never, along(never, 'go', 'go', 'on', 'on')))).toBeNull();
  });

  test('is the shortest that is fair: earlier occurrences of the last state are tried', () => {
    // From the hub, `l` and `r` lead away and back; both are owed until they are taken.
    const system = graph({ hub: { l: 'left', r: 'right' }, left: { l: 'hub', r: 'odd' }, right: { r: 'hub', l: 'odd' }, odd: {} });
    expect(shape(judged(system, along(system, 'l', 'l')))).toBeNull();
    expect(shape(judged(system, along(system, 'l', 'l', 'r', 'r')))).toEqual([0, 4]);
    expect(shape(judged(system, along(system, 'l', 'l', 'l', 'l', 'r', 'r')))).toEqual([2, 4]);
    const longer = judged(system, along(system, 'l', 'l', 'r', 'r', 'l', 'l'));
    expect([shape(longer), inShort(longer)]).toEqual([
      [2, 4],
      ['l: taken 5 6', 'r: taken 3 4'],
    ]);
    expect(shape(judged(system, along(system, 'l', 'l', 'r', 'r', 'l', 'l'), 0))).toEqual([0, 6]);
  });

  test('is judged by its steps, not by its states: of two choices between the same two states one is owed', () => {
    const system = graph({ s: { a: 't', b: 't' }, t: { a: 's', b: 's' } });
    expect(judged(system, along(system, 'a', 'a'), 0)).toEqual({ refused: "is not fair: its loop owes 'a: b'" });
    expect(inShort(judged(system, along(system, 'a', 'b')))).toEqual(['a: taken 1', 'b: taken 2']);
  });
});

describe('no loop', () => {
  test('a run that has nothing left to do stays where it is, and violates what should come always', () => {
    const system = graph({ s: { go: 't', wait: 's' }, t: { wait: 't' } }, { reach: ['s'] });
    const lasso = judged(system, along(system, 'go'));
    expect([shape(lasso), inShort(lasso)]).toEqual([
      [1, 0],
      ['go: disabled after 1 in t', 'wait: idle after 1 in t'],
    ]);
    expect(judged(system, [])).toEqual({ refused: 'leaves nothing open: what should come has come, or its premise was not met' });
  });

  test('nor steps: of the initial state', () => {
    const system = graph({ s: { go: 't' }, t: {} }, { environment: ['go'] });
    expect(judged(system, [])).toMatchObject({ stem: 0, length: 0, obligations: [] });
    expect(judged(graph({ s: { go: 't' }, t: {} }), [])).toEqual({ refused: "does not end there: 'a: go' is owed" });
  });
});

describe('of several actors', () => {
  test('users take turns, and whoever waits for both waits for ever', () => {
    const system = waiting(2, bystanders);
    const lasso = judgeLasso(replay(system, scheduleOf(system, ...turns)), unbinds) as JudgedLasso;
    // The CPU's step is possible all along and never taken.
    expect(lasso).toBeNull();
    const fair = judgeLasso(replay(system, scheduleOf(system, 'gup0 again', 'unbind', 'cpu0', 'gup1 again', 'gup0', 'gup0 again', 'cpu0', 'gup1')), unbinds);
    expect([fair?.stem, fair?.length]).toEqual([2, 6]);
    expect(fair?.obligations.map((obligation) => `${obligation.choice.actor.address} ${obligation.choice.event.type}: ${obligation.why}`)).toEqual([
      'unbind step: disabled',
      'gup0 step: taken',
      'gup1 step: taken',
      'poller step: idle',
      'cpu0 step: taken',
      'cpu0 interrupt: disabled',
      ...[0, 1, 2, 3, 4].map((n) => `done${n} step: disabled`),
    ]);
    expect(fair?.obligations.filter((obligation) => 'rests' in obligation && obligation.rests).map(({ choice }) => choice.actor.address)).toEqual(
      [0, 1, 2, 3, 4].map((n) => `done${n}`),
    );
  });

  test('one user gives back what it takes', () => {
    const system = waiting(1);
    expect(judgeLasso(replay(system, scheduleOf(system, 'gup0 again', 'unbind', 'gup0')), unbinds)).toBeNull();
    expect(judgeLasso(replay(system, scheduleOf(system, 'gup0 again', 'unbind')), unbinds)).toBeNull();
    expect(judgeLasso(replay(system, scheduleOf(system, 'gup0 again', 'gup0')), unbinds)).toBeNull();
  });

  test('a delay is a fair choice while its timer runs', () => {
    const inner = { initial: 's', states: { s: { on: { go: 't' } }, t: { on: { go: 's' } } } };
    const timed = machine({ id: 'timed', initial: 'all', states: { all: { ...inner, after: { 100: 'end' } }, end: {} } });
    const system = defineSystem({ id: 'timed', actors: { a: actor(timed, { choices: ['go'], path: false }) }, properties: [marked({ reach: ['end'] })] });
    expect(judged(system, along(system, 'go', 'go'), 0)).toEqual({ refused: expect.stringMatching(/^is not fair: its loop owes 'a: xstate\.after\.100/) });
    const once = machine({ id: 'once', initial: 's', states: { s: { on: { go: 't' } }, t: { on: { go: 's' }, after: { 100: 'end' } }, end: {} } });
    const other = defineSystem({ id: 'once', actors: { a: actor(once, { choices: ['go'], path: false }) }, properties: [marked({ reach: ['end'] })] });
    const lasso = judged(other, along(other, 'go', 'go'));
    expect([shape(lasso), inShort(lasso)[1]]).toEqual([[0, 2], expect.stringMatching(/^xstate\.after\.100\.once\.t: disabled after 0 in s$/)]);
  });

  test('of parallel regions those that could take the choice are told', () => {
    const parallel = machine({
      id: 'cpu',
      type: 'parallel',
      states: {
        irqs: { initial: 'on', states: { on: { on: { step: 'off', interrupt: 'handler' } }, off: { on: { step: 'on' } }, handler: {} } },
        tlb: { initial: 'empty', states: { empty: {} } },
      },
    });
    const system = defineSystem({ id: 'cpu', actors: { a: actor(parallel, { choices: ['step', 'interrupt'], path: false }) }, properties: [marked({})] });
    expect(inShort(judged(system, along(system, 'step', 'step')))).toEqual(['step: taken 1 2', 'interrupt: disabled after 1 in irqs.off']);
  });
});

describe('a counterexample', () => {
  const system = waiting(2);
  const violation: Violation = {
    property: 'unbinds',
    schedule: scheduleOf(system, ...turns),
    message: unbinds.description,
    lasso: { stem: 2, cures: [{ kind: 'finite', choice: scheduleOf(system, 'gup0 again')[0] as number }], untried: 1 },
  };
  const confirmed = (changes: Partial<Violation>): unknown => confirm(system, { ...violation, ...changes });
  const broken = (why: string): InternalError => new InternalError(`waiting(2): the counterexample of 'unbinds' does not violate it live: it ${why}`);

  test('is confirmed, with what the search says of it', () => {
    const { lasso, steps } = confirm(system, violation);
    expect(steps).toHaveLength(6);
    expect(lasso).toMatchObject({ stem: 2, length: 4, cures: violation.lasso?.cures, untried: 1 });
    expect(lasso?.obligations.map(({ why }) => why)).toEqual(['disabled', 'taken', 'taken']);
  });

  test('whose loop is none is an error that says why', () => {
    const lasso = { stem: 3, cures: [], untried: 0 };
    expect(() => confirmed({ lasso })).toThrow(broken('does not close: after its last step it is not as after step 3'));
    expect(() => confirmed({ schedule: violation.schedule.slice(0, 2), lasso: { ...lasso, stem: 2 } })).toThrow(
      broken("does not end there: 'gup0: step' is owed"),
    );
    expect(() => confirmed({ schedule: [], lasso: { ...lasso, stem: 0 } })).toThrow(
      broken('leaves nothing open: what should come has come, or its premise was not met'),
    );
    expect(() => confirmed({ lasso: null })).toThrow(new InternalError("waiting(2): the counterexample of 'unbinds' does not violate it live"));
  });

  test('of an eventuality that a BUG state names has no loop', () => {
    const bad = machine({ id: 'bad', initial: 's', states: { s: { on: { go: 'b' } }, b: { tags: ['BUG', 'P'], description: 'it is lost' } } });
    const named = defineSystem({ id: 'bad', actors: { a: actor(bad, { choices: ['go'] }) }, properties: [marked({ when: [] })] });
    expect(confirm(named, { property: 'P', schedule: [0], message: 'a: it is lost', lasso: null }).lasso).toBeNull();
    expect(violatesNow(replay(named, [0]), 'P')).toBe(true);
    expect(violatesNow(replay(named, []), 'P')).toBe(false);
  });

  test('goes through a token and back, its loop found again', () => {
    const token = formatToken({ name: 'waiting', parameters: {}, digest: system.digest, schedule: violation.schedule });
    const run = replay(system, parseToken(token).schedule);
    expect(violatesNow(run, 'unbinds')).toBe(true);
    const found = judgeLasso(run, unbinds);
    expect(found).toEqual({ ...confirm(system, violation).lasso, cures: null, untried: 0 });
    expect(violatesNow(replay(system, violation.schedule.slice(0, -1)), 'unbinds')).toBe(false);
  });
});

test('what is open, and what is not', () => {
  const system = graph({ p: { go: 's' }, s: { go: 'q' }, q: { go: 's' } }, { when: ['p'], reach: ['q'] });
  const open = [[], ['go'], ['go', 'go'], ['go', 'go', 'go']].map((events) =>
    isOpen(new LiveCourse(replay(system, along(system, ...events))), propertyOf(system)),
  );
  expect(open).toEqual([true, true, false, false]);
});

/** A graph as numbers: per state and event the next state, or -1. Events from `fair` on are of the environment. */
interface Plan {
  next: number[][];
  fair: number;
  when: number[];
  reach: number[];
  picks: number[];
}
const events = ['a', 'b', 'c', 'd'];
const plans: fc.Arbitrary<Plan> = fc.integer({ min: 1, max: 5 }).chain((states) =>
  fc.record({
    next: fc.array(fc.array(fc.integer({ min: -1, max: states - 1 }), { minLength: events.length, maxLength: events.length }), {
      minLength: states,
      maxLength: states,
    }),
    fair: fc.integer({ min: 1, max: events.length }),
    when: fc.uniqueArray(fc.nat(states - 1)),
    reach: fc.uniqueArray(fc.nat(states - 1), { maxLength: 1 }),
    picks: fc.array(fc.nat(20), { maxLength: 14 }),
  }),
);

/** The definition, spelled out on the numbers: the stems with which a schedule violates the eventuality. */
function violatingStems({ next, fair, when, reach }: Plan, taken: readonly number[]): number[] {
  const path = [0];
  for (const event of taken) path.push(next[path.at(-1) as number]?.[event] as number);
  const end = taken.length;
  const promised = path.some((state, at) => when.includes(state) && path.slice(at).every((later) => !reach.includes(later)));
  return path.flatMap((state, stem) => {
    const inside = path.slice(stem);
    if (state !== path[end] || !promised || inside.some((each) => reach.includes(each))) return [];
    const isFair = events.slice(0, fair).every((_, event) => {
      const isTaken = taken.some((each, at) => at >= stem && each === event && path[at] !== path[at + 1]);
      return isTaken || inside.some((each) => [-1, each].includes(next[each]?.[event] as number));
    });
    return isFair ? [stem] : [];
  });
}

const name = (state: number): string => `s${state}`;

function built({ next, fair, when, reach }: Plan): System {
  const edges = Object.fromEntries(
    next.map((row, state) => [name(state), Object.fromEntries(row.flatMap((to, event) => (to < 0 ? [] : [[events[event] as string, name(to)]])))]),
  );
  const used = events.filter((event) => Object.values(edges).some((on) => event in on));
  return graph(edges, { when: when.map(name), reach: reach.map(name), environment: events.slice(fair).filter((event) => used.includes(event)) });
}

test('random schedules of random graphs: judged as the definition says, and by the explorer’s tables as by live XState', () => {
  const seen = { loops: 0, stays: 0, none: 0, later: 0 };
  fc.assert(
    fc.property(plans, (plan) => {
      const system = built(plan);
      const walk = new Walk(system);
      for (const pick of plan.picks) {
        const enabled = walk.enabled();
        if (enabled.length === 0) break;
        walk.take(enabled[pick % enabled.length] as Choice);
      }
      const taken = walk.schedule.map((index) => events.indexOf(system.choices[index]?.event.type as string));
      const allowed = violatingStems(plan, taken);
      const found = judged(system, walk.schedule);
      const stem = 'refused' in found ? null : found.stem;
      expect([stem === null, stem === null || allowed.includes(stem)]).toEqual([allowed.length === 0, true]);
      for (let given = 0; given <= taken.length; given++) expect('refused' in judged(system, walk.schedule, given)).toBe(!allowed.includes(given));
      const { lasso } = walk.truths().find(({ property }) => property.name === 'P') ?? {};
      expect(lasso && { ...lasso, obligations: inShort(lasso) }).toEqual('refused' in found ? null : { ...found, obligations: inShort(found) });
      if ('refused' in found) seen.none++;
      else if (found.length === 0) seen.stays++;
      else seen.loops++;
      if (stem !== null && stem > 0 && stem < taken.length) seen.later++;
    }),
    { seed: 20270, numRuns: 500 },
  );
  expect(Math.min(seen.loops, seen.stays, seen.none, seen.later)).toBeGreaterThan(20);
});

test('what the explorer finds in random graphs is confirmed live, and found again from its token; where it finds nothing, no schedule closes a loop', () => {
  const seen = { loops: 0, stays: 0, holds: 0 };
  fc.assert(
    fc.property(plans, (plan) => {
      const system = built(plan);
      const { violation = null } = explore(system, { stop: () => false }).properties.find((property) => property.name === 'P') ?? {};
      if (violation) {
        const { lasso } = confirm(system, violation);
        const again = judged(system, parseToken(formatToken({ name: 'g', parameters: {}, digest: system.digest, schedule: violation.schedule })).schedule);
        expect(again).not.toHaveProperty('refused');
        seen[lasso?.length === 0 ? 'stays' : 'loops']++;
        return;
      }
      seen.holds++;
      const walk = new Walk(system);
      for (const pick of plan.picks) {
        const enabled = walk.enabled();
        if (enabled.length > 0) walk.take(enabled[pick % enabled.length] as Choice);
        expect(walk.loop()).toBeNull();
      }
    }),
    { seed: 20271, numRuns: 400 },
  );
  expect(Math.min(seen.loops, seen.stays, seen.holds)).toBeGreaterThan(30);
});
