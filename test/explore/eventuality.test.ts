import { begins, Components, outside } from '../../src/explore/components.js';
import { Cures } from '../../src/explore/cures.js';
import { Explorer } from '../../src/explore/explorer.js';
import { type Searched, StateGraph } from '../../src/explore/graph.js';
import { actor, alwaysEventually, defineSystem, leadsTo, type System } from '../../src/index.js';
import { all, comes, judged, recurs, type Told, withProperty } from '../eventualities.js';
import { arrows, graph } from '../systems/graphs.js';
import { machine, single, twoLocks, wheel } from '../systems/small.js';

type Wheel = { a: { context: { at: number } } };
type Row = [what: string, system: System, found: 'holds' | Told];

describe('an eventuality is not lost', () => {
  test.each<Row>([
    [
      'where a way on which it came joins one on which it did not',
      graph({ s: { a: 'came', b: 'other' }, came: { on: 'joined' }, other: { on: 'joined' }, joined: {} }, [comes(['s'], ['came'])]),
      { stem: 'b, on', loop: '', cures: [] },
    ],
    [
      'where the way on which it came is the shorter one to where they join',
      graph({ s: { a: 'came', b: 'other' }, came: { on: 'joined' }, other: { on: 'late' }, late: { on: 'joined' }, joined: {} }, [comes(['s'], ['came'])]),
      { stem: 'b, on, on', loop: '', cures: [] },
    ],
    [
      'in a cycle',
      graph({ s: { go: 't' }, t: { back: 's', out: 'came' }, came: {} }, [comes(['s'], ['came'])]),
      { stem: '', loop: 'go, back', cures: ['strong out'] },
    ],
    [
      'in a cycle that the premise is not in',
      graph({ ask: { go: 's' }, s: { go: 't' }, t: { back: 's', out: 'came' }, came: {} }, [comes(['ask'], ['came'])]),
      { stem: 'go', loop: 'go, back', cures: ['strong out'] },
    ],
    ['in a cycle through the premise, each time it is met', graph({ s: { go: 't' }, t: { go: 's' } }, [comes(['s'], ['t'])]), 'holds'],
    ['where it came before the premise only', graph({ s: { go: 'ask' }, ask: {} }, [comes(['ask'], ['s'])]), { stem: 'go', loop: '', cures: [] }],
    ['where premise and what should come hold at once', graph({ s: { go: 't' }, t: {} }, [comes(['s'], ['s'])]), 'holds'],
    ['where nothing asks for it', graph({ s: { go: 't' }, t: { go: 's' } }, [comes(['u'], ['v'])]), 'holds'],
    [
      'where a longer way meets the premise and a shorter one ends the same way without',
      graph({ s: { a: 'end', b: 'ask' }, ask: { on: 'u' }, u: { on: 'end' }, end: {} }, [comes(['ask'], ['nowhere'])]),
      { stem: 'b, on, on', loop: '', cures: [] },
    ],
  ])('%s', (_, system, found) => {
    expect(judged(system)).toEqual(found);
  });
});

describe('the stem is a shortest one', () => {
  const line = (name: string, length: number): Record<string, Record<string, string>> => ({
    ...Object.fromEntries([...Array(length - 1).keys()].map((at) => [`${name}${at}`, { on: `${name}${at + 1}` }])),
    [`${name}${length - 1}`]: {},
  });
  /** Two ways, of so many states each, that end; the premise is met at the start, and at the end of the first; it comes on the way there. */
  const ways = (first: number, second: number): System => {
    const coming = [...Array(first - 1).keys()].map((at) => `x${at}`);
    return graph({ s: { a: 'x0', b: 'y0' }, ...line('x', first), ...line('y', second) }, [comes(['s', `x${first - 1}`], coming)]);
  };

  test.each([
    [7, 4, 'b, on, on, on'],
    [4, 7, 'a, on, on, on'],
    [7, 6, 'b, on, on, on, on, on'],
    [6, 7, 'a, on, on, on, on, on'],
  ])('to the end of ways of %d and %d states', (first, second, stem) => {
    expect(judged(ways(first, second))).toEqual({ stem, loop: '', cures: [] });
  });

  test('and of two the one that was found first', () => {
    expect(judged(graph({ s: { a: 'x', b: 'y' }, x: {}, y: {} }, [comes(['x', 'y'], ['s'])]))).toEqual({ stem: 'a', loop: '', cures: [] });
    expect(judged(graph({ s: { b: 'y', a: 'x' }, x: {}, y: {} }, [comes(['x', 'y'], ['s'])]))).toEqual({ stem: 'b', loop: '', cures: [] });
  });
});

describe('stuttering', () => {
  test('one actor whose choices are the environment’s need not move', () => {
    expect(judged(graph({ s: { go: 't' }, t: {} }, [comes(['s'], ['t'])], ['go']))).toEqual({ stem: '', loop: '', cures: ['weak go'] });
  });

  test('a fair one has to', () => {
    expect(judged(graph({ s: { go: 't' }, t: {} }, [comes(['s'], ['t'])]))).toBe('holds');
  });

  const moving = arrows({ s: { step: 't' }, t: {} });
  const besides = (other: ReturnType<typeof arrows>): System =>
    defineSystem({ id: 'besides', actors: { a: actor(moving), b: actor(other) }, properties: [comes(['s'], ['t'])] });
  test.each([
    ['has nothing to do', arrows({ idle: {} })],
    ['comes to an end', arrows({ s: { step: 't' }, t: { step: 'u' }, u: {} })],
    ['runs for ever', arrows({ s: { step: 't' }, t: { step: 's' } })],
  ])('it has to, too, when another one %s', (_, other) => {
    expect(judged(besides(other))).toBe('holds');
  });

  test('what always comes again does not in a run that ends without it', () => {
    expect(judged(graph({ s: { go: 't' }, t: { go: 'u' }, u: {} }, [recurs(['s', 't'])]))).toEqual({ stem: 'go, go', loop: '', cures: [] });
    expect(judged(graph({ s: { go: 't' }, t: { go: 'u' }, u: {} }, [recurs(['u'])]))).toBe('holds');
  });

  test('what always comes again on a wheel, and never on another part of it', () => {
    const turning = (at: number): System =>
      single(wheel(5), { choices: ['turn'] }, { properties: [alwaysEventually<Wheel>('E', '', { actors: ['a'], reach: ({ a }) => a.context.at === at })] });
    expect(judged(turning(3))).toBe('holds');
    expect(judged(turning(7))).toEqual({ stem: '', loop: 'turn, turn, turn, turn, turn', cures: [] });
  });
});

describe('a component is judged by its steps, not by its states', () => {
  test.each<Row>([
    [
      'of two choices between the same two states both are taken',
      graph({ s: { a: 't', b: 't' }, t: { a: 's', b: 's' } }, [recurs([])]),
      { stem: '', loop: 'a, b', cures: [] },
    ],
    [
      'in longer loops where one does not hold both',
      graph({ s: { a: 't', b: 't', c: 't' }, t: { a: 's', b: 's', c: 's' } }, [recurs([])]),
      { stem: '', loop: 'a, a, b, c', cures: [] },
    ],
    ['a choice is owed in both states and leads out of both', graph({ s: { a: 't', b: 'q' }, t: { a: 's', b: 'q' }, q: {} }, [comes(['s'], ['q'])]), 'holds'],
    ['it leads out of one only', graph({ s: { a: 't', b: 'q' }, t: { a: 's', b: 's' }, q: {} }, [comes(['s'], ['q'])]), { stem: '', loop: 'a, b', cures: [] }],
    ['it is owed in one only', graph({ s: { a: 't', b: 'q' }, t: { a: 's' }, q: {} }, [comes(['s'], ['q'])]), { stem: '', loop: 'a, a', cures: ['strong b'] }],
    [
      'the same step of the environment does not serve it',
      graph({ s: { a: 't', b: 't', env: 't' }, t: { a: 's', b: 'q', env: 's' }, q: {} }, [comes(['s'], ['q'])], ['env']),
      { stem: '', loop: 'b, a', cures: [] },
    ],
    [
      'between the same two states the environment is one way and what is fair leads out',
      graph({ s: { env: 't', a: 'q' }, t: { env: 's', a: 'q' }, q: {} }, [comes(['s'], ['q'])], ['env']),
      'holds',
    ],
  ])('%s', (_, system, found) => {
    expect(judged(system)).toEqual(found);
  });
});

describe('a step that changes nothing', () => {
  test.each<Row>([
    [
      'is not taken: a poll in one state, of what only the environment can bring, stays there',
      graph({ s: { poll: 's', bring: 'q' }, q: {} }, [comes(['s'], ['q'])], ['bring']),
      { stem: '', loop: '', cures: ['weak bring'] },
    ],
    [
      'is none: a poll that goes through several states is a loop',
      graph({ s: { poll: 't', bring: 'q' }, t: { poll: 's', bring: 'q' }, q: {} }, [comes(['s'], ['q'])], ['bring']),
      { stem: '', loop: 'poll, poll', cures: ['weak bring'] },
    ],
    ['is not owed: what is fair comes despite the poll', graph({ s: { poll: 's', bring: 'q' }, q: {} }, [comes(['s'], ['q'])]), 'holds'],
    [
      'does not serve a choice that would change something elsewhere in the loop',
      graph({ s: { a: 't', b: 's' }, t: { a: 's', b: 'q' }, q: {} }, [comes(['s'], ['q'])]),
      { stem: '', loop: 'a, a', cures: ['strong b'] },
    ],
    [
      'does serve none that would change something in each state of it',
      graph({ s: { a: 't', b: 'q' }, t: { a: 's', b: 'q', c: 't' }, q: {} }, [comes(['s'], ['q'])]),
      'holds',
    ],
  ])('%s', (_, system, found) => {
    expect(judged(system)).toEqual(found);
  });

  test('of two paths that wait for each other’s locks', () => {
    const finished = leadsTo<{ p0: { value: string } }>('E', '', { actors: ['p0'], when: () => true, reach: ({ p0 }) => p0.value === 'finished' });
    expect(judged(withProperty(twoLocks(true), finished))).toMatchObject({ stem: 'p0: step, p1: step', loop: '' });
    expect(judged(withProperty(twoLocks(false), finished))).toBe('holds');
  });
});

describe('fairness is to each choice, not to each actor', () => {
  const cpu = (off: Record<string, string>): System =>
    graph({ user: { step: 'off', interrupt: 'handler' }, off: { step: 'user', ...off }, handler: {} }, [comes(['user', 'off'], ['handler'])]);

  test('a CPU that steps for ever takes an interrupt that is always possible', () => {
    expect(judged(cpu({ interrupt: 'handler' }))).toBe('holds');
  });

  test('and need not if it is possible now and then', () => {
    expect(judged(cpu({}))).toEqual({ stem: '', loop: 'step, step', cures: ['strong interrupt'] });
  });

  test('two CPUs that wait for each other take turns', () => {
    const both = defineSystem({
      id: 'two',
      actors: { a: actor(arrows({ s: { step: 't' }, t: { step: 's' } })), b: actor(arrows({ s: { step: 't' }, t: { step: 's' } })) },
      properties: [recurs(['t'])],
    });
    expect(judged(both)).toBe('holds');
  });

  test('a path that is done owes nothing', () => {
    const path = machine({ id: 'path', initial: 's', states: { s: { on: { step: 'end' } }, end: { type: 'final' } } });
    const done = (status: string): System =>
      single(
        path,
        {},
        { properties: [leadsTo<{ a: { status: string } }>('E', '', { actors: ['a'], when: () => true, reach: ({ a }) => a.status === status })] },
      );
    expect(judged(done('done'))).toBe('holds');
    expect(judged(done('error'))).toEqual({ stem: 'step', loop: '', cures: [] });
  });
});

describe('of cures', () => {
  test.each<Row>([
    [
      'one of the environment’s is that it does not go on for ever',
      graph({ s: { touch: 't', step: 'q' }, t: { step: 's' }, q: {} }, [comes(['s'], ['q'])], ['touch']),
      { stem: '', loop: 'touch, step', cures: ['finite touch'] },
    ],
    [
      'one of two loops that each could go on is none',
      graph({ s: { ea: 't', eb: 'u', out: 'q' }, t: { step: 's' }, u: { step: 's' }, q: {} }, [comes(['s'], ['q'])], ['ea', 'eb']),
      { stem: '', loop: 'ea, step', cures: ['strong out'] },
    ],
    [
      'there is none where the run can end as well as go on',
      graph({ s: { ea: 't', out: 'q' }, t: { eb: 's' }, q: {} }, [comes(['s'], ['q'])], ['ea', 'eb']),
      { stem: '', loop: 'ea, eb', cures: [] },
    ],
    [
      'all that would help are told, in the order of the choices',
      graph({ s: { ea: 't', out: 'q' }, t: { back: 's' }, q: {} }, [comes(['s'], ['q'])], ['ea']),
      { stem: '', loop: 'ea, back', cures: ['strong out', 'finite ea'] },
    ],
  ])('%s', (_, system, found) => {
    expect(judged(system)).toEqual(found);
  });

  /** The cures and how many were not tried, when at most so many states may be searched again. What should come comes by `out`. */
  function curesWithin(system: System, most: number): { cures: string[]; untried: number } {
    const explorer = new Explorer(system, all);
    while (!explorer.finished) explorer.slice();
    const { searched } = (explorer as unknown as { eventualities: { searched: Searched } }).eventualities;
    const stateGraph = new StateGraph(searched, explorer.states);
    const fair = Uint8Array.from(system.choices, (choice) => (choice.fair ? 1 : 0));
    const fairChoices = Int32Array.from(system.choices.filter((choice) => choice.fair).map(({ index }) => index));
    const last = (state: number): string => system.choices[explorer.scheduleTo(state).at(-1) ?? 0]?.event.type as string;
    const marks = Int32Array.from({ length: explorer.states }, (_, state) => (state > 0 && last(state) === 'out' ? outside : begins));
    const components = new Components(stateGraph, marks, fairChoices);
    components.advance(1000);
    const states = components.fair.items.slice(0, components.fair.length);
    const cures = new Cures(stateGraph, marks, states, fair, fairChoices, { left: 1000 }, most);
    expect([...cures.run()]).toEqual([]);
    const named = cures.found.map(({ kind, choice }) => `${kind} ${system.choices[choice]?.event.type}`);
    return { cures: named, untried: cures.untried };
  }

  test('those that would take too long to try are counted', () => {
    const system = graph({ s: { ea: 't', out: 'q', outout: 'q' }, t: { back: 's' }, q: {} }, [comes(['s'], ['q'])], ['ea']);
    // Without the states in which a choice is owed there is one left to search, without the environment's step there are both.
    expect(curesWithin(system, 100)).toEqual({ cures: ['strong out', 'strong outout', 'finite ea'], untried: 0 });
    expect(curesWithin(system, 3)).toEqual({ cures: ['strong out', 'strong outout'], untried: 1 });
    expect(curesWithin(system, 2)).toEqual({ cures: ['strong out'], untried: 2 });
    expect(curesWithin(system, 1)).toEqual({ cures: [], untried: 3 });
  });

  test('nothing has to be searched again for those that leave some component as it is', () => {
    const both = { s: { ea: 't', out: 'q', leave: 'end' }, t: { back: 's' }, q: {}, end: {} };
    expect(curesWithin(graph(both, [comes(['s'], ['q'])], ['ea', 'leave']), 0)).toEqual({ cures: [], untried: 0 });
    expect(judged(graph(both, [comes(['s'], ['q'])], ['ea', 'leave']))).toMatchObject({ cures: [] });
  });
});
