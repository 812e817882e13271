import fc from 'fast-check';
import { assign } from 'xstate';
import { Explorer } from '../../src/explore/explorer.js';
import { changes, LeafTable } from '../../src/explore/leaves.js';
import { Packing } from '../../src/explore/packing.js';
import { Batch, batchSize, StateStore } from '../../src/explore/store.js';
import { DecisionTrees } from '../../src/explore/trees.js';
import { type ActorSpec, actor, defineSystem, explore, type System, speaker } from '../../src/index.js';
import { naiveEqualsExplorer } from '../laws.js';
import { lamps, machine, single, wheel } from '../systems/small.js';

const { tell } = speaker<Record<string, never>, { type: string; from: string }>();
const widths = fc.array(fc.integer({ min: 1, max: 32 }), { minLength: 1, maxLength: 40 });

describe('packing', () => {
  test('gives each actor its bits within one word, and no bit to two of them', () => {
    fc.assert(
      fc.property(widths, (bits) => {
        const { fields, words } = new Packing(bits);
        const taken = Array.from({ length: words }, () => 0n);
        for (const [index, { word, shift, bits: width }] of fields.entries()) {
          expect([width, shift + width <= 32, word < words]).toEqual([bits[index], true, true]);
          const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift);
          expect((taken[word] as bigint) & mask).toBe(0n);
          taken[word] = (taken[word] as bigint) | mask;
        }
      }),
      { seed: 20266, numRuns: 500 },
    );
  });

  test('reads what was written, whatever is written next to it', () => {
    fc.assert(
      fc.property(widths, fc.array(fc.tuple(fc.nat(39), fc.nat({ max: 0x7fffffff })), { maxLength: 60 }), (bits, writes) => {
        const packing = new Packing(bits);
        const state = new Int32Array(packing.words);
        const expected = bits.map(() => 0);
        for (const [at, value] of writes) {
          const actor = at % bits.length;
          const id = value % 2 ** (bits[actor] as number);
          packing.write(state, 0, actor, id);
          expected[actor] = id;
          expect(bits.map((_, index) => packing.read(state, 0, index) >>> 0)).toEqual(expected);
        }
      }),
      { seed: 20267, numRuns: 500 },
    );
  });

  test('holds the local states that there are, with room for some more where bits are left over', () => {
    const packing = Packing.for([1, 5, 300]);
    expect(packing.fields.map(({ bits }) => bits)).toEqual([3, 5, 11]);
    expect([
      packing.holds([[1, 31]]),
      packing.holds([[1, 32]]),
      packing.holds([
        [2, 2047],
        [0, 8],
      ]),
    ]).toEqual([true, false, false]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4096 }), { minLength: 1, maxLength: 40 }), (counts) => {
        const roomy = Packing.for(counts);
        expect(roomy.holds(counts.map((count, actor) => [actor, count - 1]))).toBe(true);
        // Room to grow costs no word.
        expect(roomy.words).toBe(new Packing(counts.map((count) => Math.max(1, Math.ceil(Math.log2(count))))).words);
        for (const [word, bits] of Array.from({ length: roomy.words }, (_, at) => roomy.fields.filter((field) => field.word === at)).entries()) {
          const taken = bits.reduce((sum, field) => sum + field.bits, 0);
          expect([word, taken <= 32]).toEqual([word, true]);
        }
      }),
      { seed: 20269, numRuns: 300 },
    );
  });
});

/** Adds states, as lists of local state numbers, in one batch; returns which were new. */
function addBatch(store: StateStore, states: readonly (readonly number[])[], parent = 0): number[] {
  const batch = new Batch(store.width);
  for (const [index, ids] of states.entries()) {
    for (const [actor, id] of ids.entries()) store.packing.write(batch.words, index * store.width, actor, id);
    batch.hashes[index] = store.hash(batch.words, index * store.width);
    batch.parents[index] = parent;
    batch.choices[index] = index;
  }
  batch.count = states.length;
  const added = store.addAll(batch);
  expect(batch.count).toBe(0);
  return [...batch.fresh.subarray(0, added)];
}

test('the visited table numbers states in the order of discovery, and keeps the numbers through growth and repacking', () => {
  // Levels of states of three actors; the table is repacked before one of them.
  const levels = fc.array(fc.array(fc.tuple(fc.nat(15), fc.nat(7), fc.nat(63)), { maxLength: 120 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(levels, fc.nat(7), (states, when) => {
      const store = new StateStore(new Packing([4, 3, 6]), 1000, 4);
      const numbers = new Map<string, number>();
      const found: [number, number][] = [];
      for (const [index, level] of states.entries()) {
        if (index === when) store.repack(new Packing([20, 18, 31]));
        const fresh: number[] = [];
        for (const [at, ids] of level.entries()) {
          if (numbers.has(ids.join())) continue;
          numbers.set(ids.join(), numbers.size);
          fresh.push(at);
          found.push([index, at]);
        }
        expect(addBatch(store, level, index)).toEqual(fresh);
        expect(store.count).toBe(numbers.size);
      }
      for (const [text, number] of numbers) expect([0, 1, 2].map((actor) => store.packing.read(store.words, number * store.width, actor)).join()).toBe(text);
      expect(found.map((_, number) => [store.parents[number], store.choices[number]])).toEqual(found);
    }),
    { seed: 20268, numRuns: 200 },
  );
});

test('the visited table tells many states apart, and knows them again', () => {
  const store = new StateStore(new Packing([20, 20]), 1);
  const add = (from: number): number =>
    addBatch(
      store,
      [...Array(batchSize).keys()].map((i) => [from + i, (from + i) % 7]),
    ).length;
  const batches = [...Array(200).keys()].map((index) => index * batchSize);
  expect(batches.map(add)).toEqual(batches.map(() => batchSize));
  expect(batches.map(add)).toEqual(batches.map(() => 0));
  // Half of it known, half of it new.
  expect(add(199.5 * batchSize)).toBe(batchSize / 2);
});

test('leaves write what their step writes and leave the rest, before and after repacking', () => {
  const writes = fc.array(fc.dictionary(fc.constantFrom('0', '1', '2'), fc.nat(7)), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(writes, fc.tuple(fc.nat(15), fc.nat(7), fc.nat(63)), fc.nat(59), (leaves, before, when) => {
      let packing = new Packing([4, 3, 6]);
      const table = new LeafTable(packing);
      for (const [index, written] of leaves.entries()) {
        if (index === when) {
          packing = new Packing([20, 18, 31]);
          table.repack(packing);
        }
        expect(table.add({ writes: new Map(Object.entries(written).map(([actor, id]) => [Number(actor), id])), bugs: [], checks: [] })).toBe(index);
      }
      const state = new Int32Array(packing.words);
      for (const [actor, id] of before.entries()) packing.write(state, 0, actor, id);
      for (const [leaf, written] of leaves.entries()) {
        const to = new Int32Array(packing.words * 2);
        table.apply(leaf, state, 0, to, packing.words);
        expect(before.map((_, actor) => packing.read(to, packing.words, actor))).toEqual(before.map((id, actor) => written[actor] ?? id));
        expect(table.kind[leaf]).toBe(Object.keys(written).length > 0 ? changes : 0);
      }
    }),
    { seed: 20273, numRuns: 200 },
  );
});

test('decision trees find what was inserted and nothing else, before and after repacking', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(15), fc.nat(15), fc.nat(15)), { minLength: 1, maxLength: 60 }), fc.nat(59), (paths, when) => {
      // Which actors a path reads depends on what was read so far: actor 0, then 1 or 2, then perhaps the other one.
      const readsOf = (ids: readonly number[]): { actor: number; id: number }[] => {
        const order = (ids[0] as number) % 2 === 0 ? [0, 1, 2] : [0, 2];
        return order.map((actor) => ({ actor, id: ids[actor] as number }));
      };
      let packing = new Packing([4, 4, 4]);
      const trees = new DecisionTrees(packing);
      const root = trees.node(0);
      const leaves = new Map<string, number>();
      const find = (ids: readonly number[]): number => {
        const state = new Int32Array(packing.words);
        for (const [actor, id] of ids.entries()) packing.write(state, 0, actor, id);
        return trees.find(root, state, 0);
      };
      for (const [index, ids] of paths.entries()) {
        if (index === when) {
          packing = new Packing([7, 12, 9]);
          trees.repack(packing);
        }
        const key = JSON.stringify(readsOf(ids));
        if (!leaves.has(key)) {
          expect(find(ids)).toBe(0);
          leaves.set(key, index);
          trees.insert(root, readsOf(ids), index);
        }
      }
      for (const ids of paths) expect(find(ids)).toBe(~(leaves.get(JSON.stringify(readsOf(ids))) as number));
    }),
    { seed: 20269, numRuns: 300 },
  );
});

/** States, transitions and depth of the whole graph. */
const counts = (system: System): [number, number, number] => {
  const { states, transitions, depth, exhausted } = explore(system, { stop: () => false });
  expect(exhausted).toBe(true);
  return [states, transitions, depth];
};

describe('counts are right', () => {
  const lamp = (): ActorSpec =>
    actor(machine({ id: 'lamp', initial: 'off', states: { off: { on: { toggle: 'on' } }, on: { on: { toggle: 'off' } } } }), { choices: ['toggle'] });

  test('of one actor alone', () => {
    expect(counts(single(wheel(1), { choices: ['turn'] }))).toEqual([1, 1, 0]);
    expect(counts(single(wheel(1000), { choices: ['turn'] }))).toEqual([1000, 1000, 999]);
  });

  test('of a system without any choice', () => {
    expect(counts(single(machine({ id: 'm' })))).toEqual([1, 0, 0]);
  });

  test('of an actor that outgrows its field next to others: 301 x 8 states, 4 choices each', () => {
    const system = defineSystem({ id: 's', actors: { l0: lamp(), l1: lamp(), wheel: actor(wheel(301), { choices: ['turn'] }), l2: lamp() } });
    expect(counts(system)).toEqual([301 * 8, 301 * 8 * 4, 303]);
  });

  test('of two that do so in turn', () => {
    const system = defineSystem({
      id: 's',
      actors: { big: actor(wheel(70), { choices: ['turn'] }), l0: lamp(), bigger: actor(wheel(130), { choices: ['turn'] }) },
    });
    expect(counts(system)).toEqual([70 * 130 * 2, 70 * 130 * 2 * 3, 69 + 129 + 1]);
  });

  test('of states that do not fit into 32 bits, each of five wheels with 9 bits turned by one choice', () => {
    const driver = machine({ id: 'driver', on: { turn: { actions: [0, 1, 2, 3, 4].map((i) => ({ type: `turn${i}` })) } } });
    const provided = driver.provide({ actions: Object.fromEntries([0, 1, 2, 3, 4].map((i) => [`turn${i}`, tell(`w${i}`, { type: 'turn' })])) });
    const wheels = Object.fromEntries([0, 1, 2, 3, 4].map((i) => [`w${i}`, actor(wheel(300 + i))]));
    const system = defineSystem({ id: 's', actors: { ...wheels, driver: actor(provided, { choices: ['turn'] }), l: lamp() } });
    const explorer = new Explorer(system, { maxStates: 20_000 });
    while (!explorer.finished) explorer.slice();
    // 300 to 304 turn together and do not come back for billions of turns: every state but the lamp's is new.
    expect(explorer.result().localStates.map(({ states }) => states)).toEqual([300, 301, 302, 303, 304, 1, 2]);
    // Every level but the first holds two states, one for each position of the lamp.
    expect([explorer.states, explorer.depth]).toEqual([20_001, 9_999]);
    const schedule = explorer.scheduleTo(19_999).map((index) => system.choices[index]?.event.type);
    expect(schedule).toHaveLength(10_000);
    expect(schedule.filter((type) => type === 'turn').length).toBeGreaterThanOrEqual(9_999);
  });

  test('of 40 actors that wake each other in turn', () => {
    const link = (next: string | null): ActorSpec =>
      actor(
        machine({
          id: `link-${next}`,
          initial: 'waits',
          states: {
            waits: { on: { go: 'awake' } },
            awake: { on: { step: { target: 'rests', actions: next === null ? [] : [tell(next, { type: 'go' })] } } },
            rests: { tags: ['rest'] },
          },
        }),
        { choices: ['step'] },
      );
    const first = actor(
      machine({
        id: 'first',
        initial: 'awake',
        states: { awake: { on: { step: { target: 'rests', actions: [tell('a1', { type: 'go' })] } } }, rests: { tags: ['rest'] } },
      }),
      { choices: ['step'] },
    );
    const system = defineSystem({
      id: 'chain',
      actors: { a0: first, ...Object.fromEntries([...Array(39).keys()].map((i) => [`a${i + 1}`, link(i === 38 ? null : `a${i + 2}`)])) },
    });
    expect(system.actors).toHaveLength(40);
    expect(counts(system)).toEqual([41, 40, 40]);
    expect(explore(system).properties.filter(({ violation }) => violation)).toEqual([]);
  });

  test('of 40 actors of which 12 are free to move', () => {
    const idle = Object.fromEntries([...Array(28).keys()].map((i) => [`idle${i}`, actor(machine({ id: 'idle' }))]));
    const free = Object.fromEntries([...Array(12).keys()].map((i) => [`lamp${i}`, lamp()]));
    expect(counts(defineSystem({ id: 's', actors: { ...idle, ...free } }))).toEqual([4096, 4096 * 12, 12]);
  });

  test('of an actor with more choices than a batch holds, or a byte can number', () => {
    const set = assign({ at: ({ event }: { event: { at: number } }) => event.at });
    const once = machine({
      id: 'm',
      context: { at: -1 },
      initial: 'unset',
      states: { unset: { on: { set: { target: 'set', actions: set } } }, set: { type: 'final' } },
    });
    const choices = [...Array(batchSize + 100).keys()].map((at) => ({ type: 'set', at }));
    const system = single(once, { choices: choices as never });
    expect(counts(system)).toEqual([batchSize + 101, batchSize + 100, 1]);
    const explorer = new Explorer(system);
    while (!explorer.finished) explorer.slice();
    // The initial state is number 0, so that state i + 1 was reached by choice i.
    for (const state of [1, 255, 256, 257, batchSize - 1, batchSize, batchSize + 99]) expect(explorer.scheduleTo(state + 1)).toEqual([state]);
  });

  test('as the naive search counts them, where an actor outgrows its field', () => {
    const system = defineSystem({ id: 's', actors: { l0: lamp(), wheel: actor(wheel(20), { choices: ['turn'] }) } });
    expect(naiveEqualsExplorer(system)).toEqual({ states: 40, transitions: 80, depth: 20, violated: {} });
  });
});

test('an invariant is judged on the states as they are after repacking', () => {
  const small = machine({ id: 'm', context: { at: 0 }, on: { up: { actions: assign({ at: ({ context }) => Math.min(context.at + 1, 500) }) } } });
  type Views = { a: { context: { at: number } }; b: { context: { at: number } } };
  const system = defineSystem({
    id: 's',
    actors: { a: actor(small, { choices: ['up'] }), b: actor(wheel(3), { choices: ['turn'] }) },
    properties: [
      {
        kind: 'invariant',
        name: 'I',
        description: 'not 450 and 2',
        actors: ['a', 'b'],
        holds: ({ a, b }: Views) => !(a.context.at === 450 && b.context.at === 2),
      },
    ],
  });
  const found = explore(system, { stop: () => false });
  expect([found.states, found.exhausted]).toEqual([1503, true]);
  const { violation, evaluations } = found.properties.find(({ name }) => name === 'I') ?? {};
  expect(violation?.schedule).toHaveLength(452);
  expect(evaluations).toBeLessThanOrEqual(1503);
});

test('lamps have 2^n states, however many words they take', () => {
  for (const n of [1, 2, 5, 8, 11]) expect(counts(lamps(n))).toEqual([2 ** n, n * 2 ** n, n]);
});
