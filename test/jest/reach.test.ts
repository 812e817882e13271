import { actor, defineSystem, parseToken } from '../../src/index.js';
import '../../src/jest/index.js';
import { fromTransition } from 'xstate';
import { atomicWriter, lamps, lostUpdate, machine, single, twoLocks } from '../systems/small.js';
import { failure } from './failure.js';

const race = lostUpdate();

describe('toReach', () => {
  test('passes when a schedule reaches the state, or what the predicate says', async () => {
    await expect(race).toReach('w0', 'reading');
    await expect(race).toReach('w1', 'finished');
    await expect(race).toReach('cell', (snapshot) => snapshot.context.value === 2);
    await expect(race).not.toReach('cell', (snapshot) => snapshot.context.value === 3);
    await expect(race).toReach(['w0', 'w1'], ({ w0, w1 }) => w0.matches('writing') && w1.matches('writing'));
    await expect(race).not.toReach(['w0', 'cell'], ({ w0, cell }) => w0.matches('finished') && cell.context.value === 0);
  });

  test('knows compound and parallel states by their paths', async () => {
    const light = machine({ id: 'light', initial: 'red', states: { red: {}, green: {} } }).config;
    const crossing = single(
      machine({
        id: 'crossing',
        type: 'parallel',
        states: { cars: { ...light, on: { go: '.green' } }, people: { ...light, on: { walk: { target: '.green', guard: () => false } } } },
      }),
      { choices: ['go', 'walk'] },
    );
    await expect(crossing).toReach('a', 'cars.green');
    await expect(crossing).toReach('a', 'people');
    await expect(crossing).not.toReach('a', 'people.green');
  });

  test('with .not, fails with the shortest schedule that reaches it, of the system as it is', async () => {
    const message = await failure(expect(race).not.toReach('w1', 'finished'));
    expect(message).toMatchInlineSnapshot(`
"expect(system).not.toReach('w1', 'finished')

lost-update: w1 in 'finished', reached in 2 steps

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
                                       reading: value 0
                                       writing
=> reached: w1 in 'finished'

The last step (2, of w1) changed:
  cell.value: 0 -> 1
  w1: writing -> finished

Token: sd1:lost-update~5a3a9ecd~AQE~fd37
replay(system, parseToken('sd1:lost-update~5a3a9ecd~AQE~fd37').schedule)"
`);
    const { name, digest, schedule } = parseToken(/^Token: (.*)$/m.exec(message)?.[1] as string);
    expect({ name, digest, schedule }).toEqual({ name: race.id, digest: race.digest.slice(0, 8), schedule: [1, 1] });
    await expect(race).toReplay(schedule);
  });

  test('reached at the start, without a step', async () => {
    expect(await failure(expect(race).not.toReach('w0', 'reading'))).toMatchInlineSnapshot(`
"expect(system).not.toReach('w0', 'reading')

lost-update: w0 in 'reading', reached at the start

CPU 0                                  CPU 1
-----------------------------------    -----------------------------------
=> reached: w0 in 'reading'

Token: sd1:lost-update~5a3a9ecd~~798e
replay(system, parseToken('sd1:lost-update~5a3a9ecd~~798e').schedule)"
`);
  });

  test('fails when nothing reaches it, and when a limit leaves that open', async () => {
    const full = (snapshot: { context: { value: number } }): boolean => snapshot.context.value > 2;
    expect(await failure(expect(race).toReach('cell', full))).toMatchInlineSnapshot(`
"expect(system).toReach('cell', full)

lost-update: cell as full asks for: not reached in 13 states, which are all"
`);
    expect(await failure(expect(race).toReach('w1', 'finished', { maxStates: 2 }))).toMatchInlineSnapshot(`
"expect(system).toReach('w1', 'finished', { maxStates: 2 })

lost-update: w1 in 'finished': inconclusive: the limit of 2 states (maxStates) was reached before everything was decided"
`);
    expect(await failure(expect(race).not.toReach('w1', 'finished', { maxStates: 2 }))).toContain('inconclusive: the limit of 2 states');
  });

  test('a property of the same name is no obstacle', async () => {
    const named = { ...race, properties: race.properties.map((property) => (property.name === 'sum' ? { ...property, name: 'toReach' } : property)) };
    await expect(named).toReach('w1', 'finished');
    await expect(named).not.toReach('w1', () => false);
  });

  test.each([
    ['an actor that is not there', ['w2', 'reading'], "lost-update has no actor 'w2'; did you mean 'w0'? (it has cell, w0, w1)"],
    ['a state that is not there', ['w0', 'finish'], "'w0' (machine 'writer') has no state 'finish'; did you mean 'finished'?"],
    ['a state of several', [['w0', 'w1'], 'reading'], 'toReach takes the name of a state for one actor only; give a predicate on the snapshots of several'],
    ['no actor', [[], () => true], 'toReach takes an actor, or a list of at least one'],
    ['a number for an actor', [0, 'reading'], 'an actor is asked for by its name (lost-update has cell, w0, w1), not by a number'],
    ['neither state nor predicate', ['w0', 7], 'toReach takes the name of a state, or a predicate on the snapshot, as its second argument'],
  ])('refuses %s', async (_, given, text) => {
    const { toReach } = expect(race) as unknown as { toReach: (...given: unknown[]) => Promise<void> };
    await expect(toReach(...given)).rejects.toThrow(text);
  });

  test('refuses a state of logic that has none, and a predicate that throws', async () => {
    const counting = defineSystem({ id: 'counting', actors: { a: actor(fromTransition((count: number) => count, 0)) } });
    await expect(expect(counting).toReach('a', 'on')).rejects.toThrow("'a' is no state machine, so it has no state 'on'; give a predicate on its snapshot");
    const throwing = (): boolean => {
      throw new Error('oh');
    };
    await expect(expect(race).not.toReach('w0', throwing)).rejects.toThrow("system 'lost-update': invariant 'toReach' threw: oh");
  });
});

const yes = (): boolean => true;

describe('toLeadTo', () => {
  const both = { actors: ['p0'] as const, when: 'one', reach: 'both' };
  test('passes when what should come comes on every fair run', async () => {
    await expect(twoLocks(false)).toLeadTo({ actors: ['p0'], when: ({ p0 }) => p0.matches(both.when), reach: ({ p0 }) => p0.matches(both.reach) });
    await expect(lostUpdate(atomicWriter)).toLeadTo(
      () => true,
      ({ w0, w1 }) => w0.matches('finished') && w1.matches('finished'),
      { actors: ['w0', 'w1'], maxStates: 100 },
    );
    await expect(race).toLeadTo(
      ({ cell }) => cell?.context.value === 0,
      ({ cell }) => cell?.context.value > 0,
    );
    await expect(twoLocks(true)).not.toLeadTo({ actors: ['p0'], when: ({ p0 }) => p0.matches(both.when), reach: ({ p0 }) => p0.matches(both.reach) });
  });

  test('fails with a fair run on which it does not come', async () => {
    const assertion = expect(twoLocks(true)).toLeadTo({
      actors: ['p0'],
      when: ({ p0 }) => p0.matches('one'),
      reach: ({ p0 }) => p0.matches('both'),
      description: 'p0 has both locks',
    });
    expect(await failure(assertion)).toMatchInlineSnapshot(`
"expect(system).toLeadTo({ actors: ['p0'], when, reach, description: 'p0 has both locks' })

abba: p0 has both locks need not come, shown in 2 steps (after which nothing more happens)

p0                                     p1
-----------------------------------    -----------------------------------
none: granted
                                       none: granted
=> toLeadTo violated: p0 has both locks (nothing more happens)

After step 2 nothing that is bound to happen is left, and 'p0 has both
locks' has not come. Of everything that can be bound to happen,
  p0 and p1: step  would change nothing after step 2 (they are in 'one')
so nothing is owed, and the run may stay as it is.
No single assumption of this kind helps: that a choice is not put off for
ever, or that one of the environment happens only so often.

The last step (2, of p1) changed:
  lb.owner: null -> p1
  p1: none -> one

Token: sd1:abba~1b3045a2~AAE~ebd9
replay(system, parseToken('sd1:abba~1b3045a2~AAE~ebd9').schedule)"
`);
  });

  test('with .not, fails when it always comes', async () => {
    const assertion = expect(race).not.toLeadTo({ actors: ['w0'], when: () => true, reach: ({ w0 }) => w0.matches('finished') });
    expect(await failure(assertion)).toMatchInlineSnapshot(`
"expect(system).not.toLeadTo({ actors: ['w0'], when, reach })

lost-update: what reach asks for always comes, in 13 states, which are all"
`);
  });

  test('fails either way when the premise is never met, and when a limit comes first', async () => {
    const never = { actors: ['w0'], when: () => false, reach: () => false } as const;
    expect(await failure(expect(race).toLeadTo(never))).toMatchInlineSnapshot(`
"expect(system).toLeadTo({ actors: ['w0'], when, reach })

lost-update: nothing was put to the test: 'when' is not true in any state (13 seen, which are all)"
`);
    expect(await failure(expect(race).not.toLeadTo(never))).toContain('nothing was put to the test');
    const lit = { actors: ['lamp0'], when: () => true, reach: ({ lamp0 }: { lamp0: { value: string } }) => lamp0.value === 'on' } as const;
    expect(await failure(expect(lamps(13)).toLeadTo(lit, { maxStates: 100 }))).toMatchInlineSnapshot(`
"expect(system).toLeadTo({ actors: ['lamp0'], when, reach }, { maxStates: 100 })

lamps(13): what reach asks for: inconclusive: the limit of 100 states (maxStates) was reached before everything was decided"
`);
  });

  test.each([
    ['no second predicate', [yes], 'toLeadTo takes two predicates on snapshots, when and reach; reach is none'],
    ['an object without when', [{ actors: ['w0'], reach: yes }], 'toLeadTo takes two predicates on snapshots, when and reach; when is none'],
    ['an actor that is not there', [{ actors: ['w'], when: yes, reach: yes }], "lost-update has no actor 'w'; did you mean 'w0'?"],
    ['actors that are no list', [{ actors: 'w0', when: yes, reach: yes }], "toLeadTo: option 'actors' takes a list of names of actors, not 'w0'"],
    ['a word too many', [{ actors: ['w0'], when: yes, reach: yes, within: 3 }], "toLeadTo has no option 'within'"],
  ])('refuses %s', async (_, given, text) => {
    const { toLeadTo } = expect(race) as unknown as { toLeadTo: (...given: unknown[]) => Promise<void> };
    await expect(toLeadTo(...given)).rejects.toThrow(text);
  });
});
