import fc from 'fast-check';
import { type StoreOrdering, storeBuffer } from '../../../machines/index.js';
import { explored, type Instruction, locationsOf, type Outcomes, outcome, parse, registersOf } from './litmus.js';

/**
 * Of a litmus test: its threads, the end that it asks for, whether that is possible on x86 and with stores that pass each other,
 * and how many ends there are in all with 'sc', 'tso' and 'weak'.
 */
type Litmus = [name: string, threads: string[], asks: string, tso: Verdict, weak: Verdict, ends: [sc: number, tso: number, weak: number]];
type Verdict = 'allowed' | 'forbidden';

/**
 * x86-TSO, CACM 53(7), 2010, by the names it has there, which for `8-n` are those of the Intel SDM, volume 3, 8.2.3: example 8-n.
 * amd5 is from the manual of AMD.
 */
const x86Tso: Litmus[] = [
  ['SB (8-3)', ['x=1; r0=y', 'y=1; r1=x'], 'r0=0 r1=0', 'allowed', 'allowed', [3, 4, 4]],
  ['amd5: SB, mfences', ['x=1; mfence; r0=y', 'y=1; mfence; r1=x'], 'r0=0 r1=0', 'forbidden', 'forbidden', [3, 3, 3]],
  ['8-1', ['x=1; y=1', 'r0=y; r1=x'], 'r0=1 r1=0', 'forbidden', 'allowed', [3, 3, 4]],
  ['8-2', ['r0=x; y=1', 'r1=y; x=1'], 'r0=1 r1=1', 'forbidden', 'forbidden', [3, 3, 3]],
  ['8-4', ['x=1; r0=x'], 'r0=0', 'forbidden', 'forbidden', [1, 1, 1]],
  ['8-5', ['x=1; r0=x; r1=y', 'y=1; r2=y; r3=x'], 'r0=1 r1=0 r2=1 r3=0', 'allowed', 'allowed', [3, 4, 4]],
  ['8-6', ['x=1', 'r0=x; y=1', 'r1=y; r2=x'], 'r0=1 r1=1 r2=0', 'forbidden', 'forbidden', [7, 7, 7]],
  ['IRIW (8-7)', ['x=1', 'y=1', 'r0=x; r1=y', 'r2=y; r3=x'], 'r0=1 r1=0 r2=1 r3=0', 'forbidden', 'forbidden', [15, 15, 15]],
  ['8-8', ['r4=xchg(x,1)', 'r5=xchg(y,1)', 'r0=x; r1=y', 'r2=y; r3=x'], 'r0=1 r1=0 r2=1 r3=0', 'forbidden', 'forbidden', [15, 15, 15]],
  ['8-9', ['r0=xchg(x,1); r1=y', 'r2=xchg(y,1); r3=x'], 'r1=0 r3=0', 'forbidden', 'forbidden', [3, 3, 3]],
  ['8-10', ['r0=xchg(x,1); y=1', 'r1=y; r2=x'], 'r1=1 r2=0', 'forbidden', 'forbidden', [3, 3, 3]],
  ['n4b', ['r0=x; x=1', 'r1=x; x=2'], 'r0=2 r1=1', 'forbidden', 'forbidden', [4, 4, 4]],
  ['n5', ['x=1; r0=x', 'x=2; r1=x'], 'r0=2 r1=1', 'forbidden', 'forbidden', [4, 4, 4]],
  ['n6', ['x=1; r0=x; r1=y', 'y=2; x=2'], 'r0=1 r1=0 x=1', 'allowed', 'allowed', [4, 5, 6]],
];

/** herdtools7, catalogue/x86_64/tests: the tests and the verdicts (kinds.txt), those that stand above left out. */
const herd: Litmus[] = [
  ['2+2W', ['x=2; y=1', 'y=2; x=1'], 'x=2 y=2', 'forbidden', 'allowed', [3, 3, 4]],
  ['MP+po+po-rfi-po', ['x=1; y=1', 'r0=y; z=1; r1=z; r2=x'], 'r0=1 r1=1 r2=0', 'forbidden', 'allowed', [3, 3, 4]],
  ['R', ['x=1; y=1', 'y=2; r0=x'], 'y=2 r0=0', 'allowed', 'allowed', [3, 4, 4]],
  ['R+po+mfence', ['x=1; y=1', 'y=2; mfence; r0=x'], 'y=2 r0=0', 'forbidden', 'allowed', [3, 3, 4]],
  ['R+po+po-rfi-po', ['x=1; y=1', 'y=2; z=1; r0=z; r1=x'], 'y=2 r0=1 r1=0', 'allowed', 'allowed', [3, 4, 4]],
  ['R+po+rfi-po', ['x=1; y=1', 'y=2; r0=y; r1=x'], 'y=2 r0=2 r1=0', 'allowed', 'allowed', [4, 5, 6]],
  ['RWC', ['x=1', 'r0=x; r1=y', 'y=1; r2=x'], 'r0=1 r1=0 r2=0', 'allowed', 'allowed', [7, 8, 8]],
  ['RWC+po+mfence', ['x=1', 'r0=x; r1=y', 'y=1; mfence; r2=x'], 'r0=1 r1=0 r2=0', 'forbidden', 'forbidden', [7, 7, 7]],
  ['RWC+po+rfi-po', ['x=1', 'r0=x; r1=y', 'y=1; r2=y; r3=x'], 'r0=1 r1=0 r2=1 r3=0', 'allowed', 'allowed', [7, 8, 8]],
  ['S', ['x=2; y=1', 'r0=y; x=1'], 'x=2 r0=1', 'forbidden', 'allowed', [3, 3, 4]],
  ['SB+mfence+po', ['x=1; mfence; r0=y', 'y=1; r1=x'], 'r0=0 r1=0', 'allowed', 'allowed', [3, 4, 4]],
  ['SB+mfence+po-rfi-po', ['x=1; mfence; r0=y', 'y=1; z=1; r1=z; r2=x'], 'r0=0 r1=1 r2=0', 'allowed', 'allowed', [3, 4, 4]],
  ['SB+mfence+rfi-po', ['x=1; mfence; r0=y', 'y=1; r1=y; r2=x'], 'r0=0 r1=1 r2=0', 'allowed', 'allowed', [3, 4, 4]],
  ['SB+po+po-rfi-po', ['x=1; r0=y', 'y=1; z=1; r1=z; r2=x'], 'r0=0 r1=1 r2=0', 'allowed', 'allowed', [3, 4, 4]],
  ['SB+po+rfi-po', ['x=1; r0=y', 'y=1; r1=y; r2=x'], 'r0=0 r1=1 r2=0', 'allowed', 'allowed', [3, 4, 4]],
  ['SB+rfi-po+po-rfi-po', ['x=1; r0=x; r1=y', 'y=1; z=1; r2=z; r3=x'], 'r0=1 r1=0 r2=1 r3=0', 'allowed', 'allowed', [3, 4, 4]],
  ['WRR+2W', ['x=2', 'r0=x; r1=y', 'y=1; x=1'], 'x=2 r0=2 r1=0', 'forbidden', 'allowed', [9, 9, 12]],
  ['WRW+2W', ['x=2', 'r0=x; y=1', 'y=2; x=1'], 'x=2 y=2 r0=2', 'forbidden', 'allowed', [9, 9, 12]],
  ['WRW+WR', ['x=1', 'r0=x; y=1', 'y=2; r1=x'], 'y=2 r0=1 r1=0', 'allowed', 'allowed', [7, 8, 8]],
  ['WRW+WR+po+mfence', ['x=1', 'r0=x; y=1', 'y=2; mfence; r1=x'], 'y=2 r0=1 r1=0', 'forbidden', 'forbidden', [7, 7, 7]],
  ['WRW+WR+po+rfi-po', ['x=1', 'r0=x; y=1', 'y=2; r1=y; r2=x'], 'y=2 r0=1 r1=2 r2=0', 'allowed', 'allowed', [10, 11, 11]],
  ['WWC', ['x=2', 'r0=x; y=1', 'r1=y; x=1'], 'x=2 r0=2 r1=1', 'forbidden', 'forbidden', [9, 9, 9]],
];

/** Coherence, which no machine breaks: Alglave, Maranget, Tautschnig: Herding Cats, TOPLAS 36(2), 2014, the patterns of SC PER LOCATION. */
const coherence: Litmus[] = [
  ['coWW', ['x=1; x=2'], 'x=1', 'forbidden', 'forbidden', [1, 1, 1]],
  ['coRW1', ['r0=x; x=1'], 'r0=1', 'forbidden', 'forbidden', [1, 1, 1]],
  ['coRW2', ['r0=x; x=1', 'x=2'], 'r0=2 x=2', 'forbidden', 'forbidden', [3, 3, 3]],
  ['coWR', ['x=1; r0=x', 'x=2'], 'r0=2 x=1', 'forbidden', 'forbidden', [3, 3, 3]],
  ['coRR', ['x=1', 'r0=x; r1=x'], 'r0=1 r1=0', 'forbidden', 'forbidden', [3, 3, 3]],
];

/**
 * Store barriers, which only 'weak' needs: Documentation/memory-barriers.txt; the verdicts of MP and S are also those of herdtools7,
 * catalogue/linux/tests. A barrier on one side of 2+2W is not enough; two are, since a store is visible to all others at once.
 */
const barriers: Litmus[] = [
  ['MP+wmb', ['x=1; wmb; y=1', 'r0=y; r1=x'], 'r0=1 r1=0', 'forbidden', 'forbidden', [3, 3, 3]],
  ['S+wmb', ['x=2; wmb; y=1', 'r0=y; x=1'], 'x=2 r0=1', 'forbidden', 'forbidden', [3, 3, 3]],
  ['2+2W+wmb+po', ['x=2; wmb; y=1', 'y=2; x=1'], 'x=2 y=2', 'forbidden', 'allowed', [3, 3, 4]],
  ['2+2W+wmbs', ['x=2; wmb; y=1', 'y=2; wmb; x=1'], 'x=2 y=2', 'forbidden', 'forbidden', [3, 3, 3]],
  ['SB+wmbs', ['x=1; wmb; r0=y', 'y=1; wmb; r1=x'], 'r0=0 r1=0', 'allowed', 'allowed', [3, 4, 4]],
];

const all = [...x86Tso, ...herd, ...coherence, ...barriers];
const orderings: StoreOrdering[] = ['sc', 'tso', 'weak'];
const contained = (few: readonly string[], many: readonly string[]): boolean => few.every((end) => many.includes(end));

/** Whether some end is as asked for. */
const verdict = (ends: readonly string[], asks: string): Verdict =>
  ends.some((end) => asks.split(' ').every((term) => end.split(' ').includes(term))) ? 'allowed' : 'forbidden';

interface NaiveStore {
  location: string;
  value: number;
  /** Barriers that came before it. */
  epoch: number;
}
interface NaiveState {
  rest: Instruction[][];
  registers: Record<string, number>;
  memory: Record<string, number>;
  buffers: NaiveStore[][];
  epochs: number[];
}

/** The n-th of some things, changed. */
const changed = <T>(things: readonly T[], at: number, thing: T): T[] => things.map((old, index) => (index === at ? thing : old));

/** What can happen next to a thread's instruction. A fence waits until the buffer is empty. */
function executed(state: NaiveState, thread: number, ordering: StoreOrdering): NaiveState[] {
  const [instruction, ...rest] = state.rest[thread] as Instruction[];
  if (!instruction) return [];
  const after = { ...state, rest: changed(state.rest, thread, rest) };
  const buffer = state.buffers[thread] as NaiveStore[];
  switch (instruction.op) {
    case 'store': {
      const { location, value } = instruction;
      if (ordering === 'sc') return [{ ...after, memory: { ...state.memory, [location]: value } }];
      return [{ ...after, buffers: changed(state.buffers, thread, [...buffer, { location, value, epoch: state.epochs[thread] as number }]) }];
    }
    case 'load': {
      const { location, register } = instruction;
      const own = buffer.filter((store) => store.location === location).map(({ value }) => value);
      return [{ ...after, registers: { ...state.registers, [register]: own.at(-1) ?? (state.memory[location] as number) } }];
    }
    case 'xchg': {
      const { location, register, value } = instruction;
      if (buffer.length > 0) return [];
      const registers = { ...state.registers, [register]: state.memory[location] as number };
      return [{ ...after, registers, memory: { ...state.memory, [location]: value } }];
    }
    case 'mfence':
      return buffer.length > 0 ? [] : [after];
    case 'wmb':
      return [{ ...after, epochs: changed(state.epochs, thread, (state.epochs[thread] as number) + 1) }];
  }
}

/** What can happen next to a thread's store buffer. */
function drained(state: NaiveState, thread: number, ordering: StoreOrdering): NaiveState[] {
  const buffer = state.buffers[thread] as NaiveStore[];
  const leaving = buffer.filter(({ location, epoch }, index) => {
    if (ordering === 'tso') return index === 0;
    const oldest = buffer.findIndex((store) => store.location === location);
    return index === oldest && epoch === Math.min(...buffer.map((store) => store.epoch));
  });
  return leaving.map((store) => ({
    ...state,
    memory: { ...state.memory, [store.location]: store.value },
    buffers: changed(
      state.buffers,
      thread,
      buffer.filter((other) => other !== store),
    ),
  }));
}

/** The abstract machine of the x86-TSO paper, with buffers without end, written once more: how a test ends, by depth-first search. */
function naively(programs: readonly Instruction[][], ordering: StoreOrdering): string[] {
  const zeros = (names: readonly string[]): Record<string, number> => Object.fromEntries(names.map((name) => [name, 0]));
  const start: NaiveState = {
    rest: [...programs],
    registers: zeros(programs.flatMap(registersOf)),
    memory: zeros(locationsOf(programs)),
    buffers: programs.map(() => []),
    epochs: programs.map(() => 0),
  };
  const seen = new Set<string>();
  const ends = new Set<string>();
  const stack = [start];
  for (let state = stack.pop(); state; state = stack.pop()) {
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const here = state;
    const next = programs.flatMap((_, thread) => [...executed(here, thread, ordering), ...drained(here, thread, ordering)]);
    if (next.length === 0) ends.add(outcome({ ...here.registers, ...here.memory }));
    stack.push(...next);
  }
  return [...ends].sort();
}

describe.each(all)('%s', (_, threads, asks, tso, weak, ends) => {
  const programs = threads.map(parse);
  let found: Outcomes[] = [];
  beforeAll(() => {
    found = orderings.map((ordering) => explored(programs, ordering));
  });

  test(`${threads.join(' | ')}: ${asks} is ${tso}`, () => {
    expect(found.map(({ outcomes }) => verdict(outcomes, asks))).toEqual(['forbidden', tso, weak]);
    expect(found.flatMap(({ trouble }) => trouble)).toEqual([]);
  });

  test('it ends as it does on the abstract machine, and in no other way', () => {
    expect(found.map(({ outcomes }) => outcomes)).toEqual(orderings.map((ordering) => naively(programs, ordering)));
    expect(found.map(({ outcomes }) => outcomes.length)).toEqual(ends);
  });

  test('a smaller buffer adds nothing', () => {
    for (const [index, ordering] of orderings.entries())
      expect(contained(explored(programs, ordering, { size: 1 }).outcomes, found[index]?.outcomes ?? [])).toBe(true);
  });
});

test.each<[string, string[], Record<StoreOrdering, string[]>]>([
  [
    'SB: both loads may miss the store of the other thread',
    ['x=1; r0=y', 'y=1; r1=x'],
    {
      sc: ['r0=0 r1=1 x=1 y=1', 'r0=1 r1=0 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
      tso: ['r0=0 r1=0 x=1 y=1', 'r0=0 r1=1 x=1 y=1', 'r0=1 r1=0 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
      weak: ['r0=0 r1=0 x=1 y=1', 'r0=0 r1=1 x=1 y=1', 'r0=1 r1=0 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
    },
  ],
  [
    'MP: the second store may be seen without the first where stores pass each other',
    ['x=1; y=1', 'r0=y; r1=x'],
    {
      sc: ['r0=0 r1=0 x=1 y=1', 'r0=0 r1=1 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
      tso: ['r0=0 r1=0 x=1 y=1', 'r0=0 r1=1 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
      weak: ['r0=0 r1=0 x=1 y=1', 'r0=0 r1=1 x=1 y=1', 'r0=1 r1=0 x=1 y=1', 'r0=1 r1=1 x=1 y=1'],
    },
  ],
  [
    'n5: each thread sees its own store or the later one',
    ['x=1; r0=x', 'x=2; r1=x'],
    {
      sc: ['r0=1 r1=1 x=1', 'r0=1 r1=2 x=1', 'r0=1 r1=2 x=2', 'r0=2 r1=2 x=2'],
      tso: ['r0=1 r1=1 x=1', 'r0=1 r1=2 x=1', 'r0=1 r1=2 x=2', 'r0=2 r1=2 x=2'],
      weak: ['r0=1 r1=1 x=1', 'r0=1 r1=2 x=1', 'r0=1 r1=2 x=2', 'r0=2 r1=2 x=2'],
    },
  ],
])('%s', (_, threads, ends) => {
  expect(Object.fromEntries(orderings.map((ordering) => [ordering, explored(threads.map(parse), ordering).outcomes]))).toEqual(ends);
});

const plain = { weight: 8, arbitrary: fc.constantFrom('store' as const, 'load' as const) };
const ordered = { weight: 1, arbitrary: fc.constantFrom('xchg' as const, 'mfence' as const, 'wmb' as const) };
const access = fc.record({ op: fc.oneof(plain, ordered), location: fc.constantFrom('x', 'y') });
const thread = fc.oneof({ weight: 1, arbitrary: fc.array(access, { minLength: 1, maxLength: 2 }) }, { weight: 2, arbitrary: fc.tuple(access, access, access) });

/** Programs of two threads and two locations. Each store has a value and each load a register of its own. */
const programs: fc.Arbitrary<Instruction[][]> = fc.tuple(thread, thread).map((threads) =>
  threads.map((accesses, at) =>
    accesses.map(({ op, location }, index): Instruction => {
      const number = at * 3 + index;
      switch (op) {
        case 'store':
          return { op, location, value: number + 1 };
        case 'load':
          return { op, location, register: `r${number}` };
        case 'xchg':
          return { op, location, value: number + 1, register: `r${number}` };
        default:
          return { op };
      }
    }),
  ),
);

describe('whatever two threads do', () => {
  test('they end as on the abstract machine; each ordering allows what a stronger one does', () => {
    const more = { tso: 0, weak: 0 };
    fc.assert(
      fc.property(programs, (program) => {
        const [sc, tso, weak] = orderings.map((ordering) => explored(program, ordering));
        if (!sc || !tso || !weak) throw new Error('three orderings');
        expect([sc, tso, weak].map(({ outcomes }) => outcomes)).toEqual(orderings.map((ordering) => naively(program, ordering)));
        expect([contained(sc.outcomes, tso.outcomes), contained(tso.outcomes, weak.outcomes)]).toEqual([true, true]);
        expect([sc, tso, weak].flatMap(({ trouble }) => trouble)).toEqual([]);
        if (tso.outcomes.length > sc.outcomes.length) more.tso++;
        if (weak.outcomes.length > tso.outcomes.length) more.weak++;
      }),
      { seed: 20101, numRuns: 300 },
    );
    // The law was put to the test: the orderings differ.
    expect([more.tso, more.weak].map((count) => count >= 5)).toEqual([true, true]);
  }, 120_000);

  test.each<[string, typeof storeBuffer]>([
    ['forwards nothing', storeBuffer.provide({ guards: { holdsLocation: () => false } })],
    [
      'lets a younger store pass',
      storeBuffer.provide({ guards: { mayLeave: ({ context, event }) => event.type === 'drain' && event.entry < context.entries.length } }),
    ],
    ['has stores in memory at once', storeBuffer.provide({ guards: { isUnbuffered: () => true } })],
  ])('a buffer that %s would be noticed', (_, machine) => {
    const differs = fc.sample(programs, { numRuns: 60, seed: 1 }).some((program) => {
      const { outcomes } = explored(program, 'tso', { machine });
      return outcomes.join() !== naively(program, 'tso').join();
    });
    expect(differs).toBe(true);
  });
});
