import { type AnyStateMachine, assign } from 'xstate';
import { check } from '../../src/check/check.js';
import { actor, defineSystem, explore, invariant, type System, speaker } from '../../src/index.js';
import { machine, single } from '../systems/small.js';

type Config = { [key: string]: unknown; states?: Record<string, Config>; on?: Record<string, unknown>; always?: unknown; after?: Record<string, unknown> };

const { tell, reply } = speaker<{ tries: number }, { type: string; from: string }>();

/** A path that takes a lock, with something of everything: two ways out of a state, always, after, nesting, a targetless transition. */
const path: Config = {
  id: 'path',
  context: { tries: 0 },
  initial: 'ask',
  states: {
    ask: {
      on: {
        step: { actions: tell('lock', { type: 'take' }) },
        granted: 'inside',
        busy: { target: 'sleep', actions: assign({ tries: ({ context }) => Math.min(context.tries + 1, 2) }) },
      },
    },
    sleep: { after: { 10: 'check' } },
    check: { always: [{ guard: ({ context }: { context: { tries: number } }) => context.tries < 2, target: 'ask' }, { target: 'gaveUp' }] },
    inside: {
      initial: 'reading',
      states: { reading: { on: { step: 'writing' } }, writing: { on: { step: { target: '#end', actions: tell('lock', { type: 'give' }) } } } },
    },
    gaveUp: { tags: ['rest'], on: { wake: {} } },
    end: { id: 'end', tags: ['rest'] },
  },
};
const lock: Config = {
  id: 'lock',
  initial: 'free',
  states: {
    free: { on: { take: { target: 'held', actions: reply({ type: 'granted' }) } } },
    held: { on: { take: { actions: reply({ type: 'busy' }) }, give: 'free' } },
  },
};

const system = (pathConfig: Config, lockConfig: Config): System => {
  const logic: AnyStateMachine = machine(pathConfig);
  return defineSystem({
    id: 's',
    actors: { lock: actor(machine(lockConfig)), p0: actor(logic, { choices: ['step'] }), p1: actor(logic, { choices: ['step'] }) },
  });
};

/** Every copy of a machine's configuration with one transition deleted, by the transition's name. */
function mutants(config: Config): [string, Config][] {
  const found: [string, Config][] = [];
  const visit = (make: (inner: Config) => Config, at: Config, name: string): void => {
    for (const event of Object.keys(at.on ?? {}))
      found.push([`${name} on ${event}`, make({ ...at, on: Object.fromEntries(Object.entries(at.on ?? {}).filter(([other]) => other !== event)) })]);
    const { after: _after, ...untimed } = at;
    if (at.after) found.push([`${name} after`, make(untimed)]);
    if (Array.isArray(at.always))
      for (const gone of at.always)
        found.push([`${name} always to ${(gone as { target: string }).target}`, make({ ...at, always: at.always.filter((other) => other !== gone) })]);
    for (const [key, inner] of Object.entries(at.states ?? {})) visit((changed) => make({ ...at, states: { ...at.states, [key]: changed } }), inner, key);
  };
  visit((changed) => changed, config, 'machine');
  return found;
}

describe('what no schedule reached is listed', () => {
  test('everything is reached in the unchanged system, but for what nobody sends', () => {
    const found = explore(system(path, lock), { stop: () => false });
    expect(found.unreached).toEqual(['path: gaveUp --wake-->']);
    expect(found.ignoredMessages).toEqual([]);
  });

  /** How a deletion shows: something is not reached, a message is ignored, or (where others lead to the same places) there are fewer states. */
  const noticed = (config: System): string => {
    const [before, found] = [explore(system(path, lock), { stop: () => false }), explore(config, { stop: () => false })];
    const gone = found.unreached.filter((name) => !before.unreached.includes(name));
    if (gone.length > 0) return `not reached: ${gone.join(', ')}`;
    if (found.unreached.length < before.unreached.length) return 'not listed any more';
    return found.ignoredMessages.length > 0 ? `ignored: ${found.ignoredMessages.join(', ')}` : `${found.states - before.states} states`;
  };

  test('deleting a transition shows, whichever it is', () => {
    const all = [
      ...mutants(path).map(([name, config]) => [`path: ${name}`, system(config, lock)] as const),
      ...mutants(lock).map(([name, config]) => [`lock: ${name}`, system(path, config)] as const),
    ];
    expect(Object.fromEntries(all.map(([name, mutant]) => [name, noticed(mutant)]))).toEqual({
      'path: ask on step':
        'not reached: lock: free --take-->, lock: held, path: ask --granted-->, path: ask --busy-->, path: sleep, path: check, path: inside, path: inside.reading, path: inside.writing, path: gaveUp, path: end',
      'path: ask on granted': 'not reached: lock: held --give-->, path: inside, path: inside.reading, path: inside.writing, path: end',
      'path: ask on busy': 'not reached: path: sleep, path: check, path: gaveUp',
      'path: sleep after': 'not reached: path: check, path: gaveUp',
      'path: check always to ask': '-18 states',
      'path: check always to gaveUp': 'not reached: path: gaveUp',
      'path: reading on step': 'not reached: lock: held --give-->, path: inside.writing, path: end',
      'path: writing on step': 'not reached: lock: held --give-->, path: end',
      'path: gaveUp on wake': 'not listed any more',
      'lock: free on take':
        'not reached: lock: held, path: ask --granted-->, path: ask --busy-->, path: sleep, path: check, path: inside, path: inside.reading, path: inside.writing, path: gaveUp, path: end',
      'lock: held on take': 'not reached: path: ask --busy-->, path: sleep, path: check, path: gaveUp',
      'lock: held on give': 'ignored: lock: give in held',
    });
  });
});

describe('a transition is told from its neighbours', () => {
  const one = (on: object, choices: string[] = ['go']): string[] =>
    explore(single(machine({ id: 'm', initial: 's', states: { s: { on }, t: {} } }), { choices })).unreached;
  const no = (): boolean => false;

  test('by its position among those of one event', () => {
    expect(one({ go: [{ guard: no, target: 't' }, { target: 't' }] })).toEqual(['m: s --go[0]-->']);
    expect(one({ go: [{ target: 't' }, { target: 't' }] })).toEqual(['m: s --go[1]-->']);
  });

  test('also when both have no target and the same guard', () => {
    const logic = machine({
      id: 'm',
      initial: 's',
      states: {
        s: {
          on: {
            go: [
              { guard: 'same', actions: assign({}) },
              { guard: 'same', actions: assign({}) },
            ],
          },
        },
      },
    }).provide({ guards: { same: () => true } });
    expect(explore(single(logic, { choices: ['go'] })).unreached).toEqual(['m: s --go[1]-->']);
  });

  test('by its event, wildcards included', () => {
    expect(one({ other: 't', '*': 't' })).toEqual(['m: s --other-->']);
  });
});

describe('reached, or left out on purpose', () => {
  test('a state that an always transition leaves at once', () => {
    const logic = machine({ id: 'm', initial: 'a', states: { a: { on: { step: 'b' } }, b: { always: 'c' }, c: { tags: ['rest'] } } });
    expect(explore(single(logic)).unreached).toEqual([]);
  });

  test('BUG states and what leads to them, and history nodes', () => {
    const logic = machine({
      id: 'm',
      initial: 'a',
      states: { a: { tags: ['rest'], initial: 'x', states: { x: {}, h: { type: 'history' } }, on: { hit: 'bad' } }, bad: { tags: ['BUG'] } },
    });
    expect(explore(single(logic)).unreached).toEqual([]);
  });

  test('a machine of several actors, if one of them gets there', () => {
    const logic = machine({ id: 'm', initial: 'a', states: { a: { on: { hit: 'b' } }, b: {} } });
    expect(explore(defineSystem({ id: 's', actors: { one: actor(logic), two: actor(logic, { choices: ['hit'] }) } })).unreached).toEqual([]);
  });
});

test('messages that an actor ignores are listed with the state in which it was', () => {
  const caller = machine({
    id: 'caller',
    initial: 's',
    states: { s: { on: { step: { target: 't', actions: tell('b', { type: 'hello' }) } } }, t: { tags: ['rest'] } },
  });
  const deaf = machine({ id: 'deaf', initial: 'x', states: { x: { initial: 'y', states: { y: {} } } } });
  expect(explore(defineSystem({ id: 's', actors: { b: actor(deaf), a: actor(caller) } })).ignoredMessages).toEqual(['b: hello in x.y']);
});

describe('a property that was never put to the test', () => {
  type Views = { a: { value: string } };
  const logic = machine({ id: 'm', initial: 's', states: { s: { on: { step: 't' } }, t: { tags: ['rest'] } } });
  const premise = (value: string): System =>
    single(logic, {}, { properties: [invariant<Views>('I', '', { actors: ['a'], when: ({ a }) => a.value === value, holds: () => true })] });

  test('is reported by its name', async () => {
    const result = await check(premise('u'));
    expect([result.verdict, result.vacuous]).toEqual(['holds', ['I: no state meets its premise']]);
    expect(result.properties.find(({ name }) => name === 'I')?.evaluations).toBe(0);
  });

  test('is not one whose premise some state meets', async () => {
    const result = await check(premise('t'));
    expect([result.verdict, result.vacuous]).toEqual(['holds', []]);
    expect(result.properties.find(({ name }) => name === 'I')?.evaluations).toBe(1);
  });

  test('is not known to be one before all states were seen', async () => {
    expect((await check(premise('u'), { maxStates: 1 })).vacuous).toEqual([]);
  });

  test('an invariant is evaluated once per tuple of what it reads', () => {
    const both = invariant<{ a: unknown; b: unknown }>('I', '', { actors: ['a', 'b'], holds: () => true });
    const actors = { a: actor(logic), b: actor(logic), c: actor(logic) };
    expect(explore(defineSystem({ id: 's', actors, properties: [both] })).properties.find(({ name }) => name === 'I')?.evaluations).toBe(4);
  });
});
