import { assign, setup } from 'xstate';
import { drains, type StoreOrdering, storeBuffer } from '../../../machines/index.js';
import { type ActorSpec, type Address, actor, defineSystem, explore, invariant, received, type Signed, speaker } from '../../../src/index.js';

/** One instruction of a litmus test. `xchg` is locked, `wmb` is smp_wmb, which is no instruction of x86. */
export type Instruction =
  | { op: 'store'; location: string; value: number }
  | { op: 'load'; location: string; register: string }
  | { op: 'xchg'; location: string; value: number; register: string }
  | { op: 'mfence' }
  | { op: 'wmb' };

const forms: [RegExp, (groups: Record<string, string>) => Instruction][] = [
  [/^(?<location>[a-z])=(?<value>\d)$/, ({ location = '', value }) => ({ op: 'store', location, value: Number(value) })],
  [/^(?<register>r\d)=(?<location>[a-z])$/, ({ location = '', register = '' }) => ({ op: 'load', location, register })],
  [
    /^(?<register>r\d)=xchg\((?<location>[a-z]),(?<value>\d)\)$/,
    ({ location = '', register = '', value }) => ({ op: 'xchg', location, register, value: Number(value) }),
  ],
  [/^mfence$/, () => ({ op: 'mfence' })],
  [/^wmb$/, () => ({ op: 'wmb' })],
];

/** The program of one thread: `x=1; r0=y; r1=xchg(x,2); mfence; wmb`. Registers are named by the whole test, not by the thread. */
export const parse = (text: string): Instruction[] =>
  text.split('; ').map((word) => {
    for (const [form, build] of forms) {
      const match = form.exec(word);
      if (match) return build(match.groups ?? {});
    }
    throw new Error(`'${word}' is no instruction`);
  });

export const registersOf = (program: readonly Instruction[]): string[] =>
  program.flatMap((instruction) => ('register' in instruction ? instruction.register : []));
export const locationsOf = (programs: readonly Instruction[][]): string[] =>
  [...new Set(programs.flat().flatMap((instruction) => ('location' in instruction ? instruction.location : [])))].sort();

/** How a test has ended: all registers, and what is in memory: `r0=0 r1=0 x=1 y=1`. */
export const outcome = (values: Record<string, number>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ');

type CellEvent = Signed<{ type: 'cell.write'; value: number } | { type: 'cell.read' } | { type: 'cell.exchange'; value: number }>;
const cellTalk = speaker<{ value: number }, CellEvent>();

/** A location of memory. */
const memoryCell = setup({
  types: { context: {} as { value: number }, events: {} as CellEvent },
  actions: {
    replyValue: cellTalk.reply(({ context }) => ({ type: 'cell.value', value: context.value })),
    set: assign({ value: ({ event }) => received(event, 'cell.write', 'cell.exchange').value }),
  },
}).createMachine({
  id: 'memory_cell',
  context: { value: 0 },
  on: { 'cell.read': { actions: 'replyValue' }, 'cell.write': { actions: 'set' }, 'cell.exchange': { actions: ['replyValue', 'set'] } },
});

interface ThreadContext {
  /** What is left of it; the first instruction is the one under way. */
  program: Instruction[];
  registers: Record<string, number>;
  buffer: Address;
}
type ThreadEvent =
  | { type: 'step' }
  | Signed<{ type: 'load.forwarded'; message: { value: number } } | { type: 'load.memory' } | { type: 'fenced' } | { type: 'cell.value'; value: number }>;
const talk = speaker<ThreadContext, ThreadEvent>();
const first = ({ program }: ThreadContext): Instruction => program[0] as Instruction;
const access = (context: ThreadContext): { location: string; value: number; register: string } => first(context) as never;

/** A hardware thread: each step is one instruction, the memory access of a load or of a locked instruction included. */
const litmusThread = setup({
  types: { context: {} as ThreadContext, events: {} as ThreadEvent, input: {} as { program: Instruction[]; buffer: Address } },
  guards: {
    isOver: ({ context }) => context.program.length === 0,
    isStore: ({ context }) => first(context).op === 'store',
    isLoad: ({ context }) => first(context).op === 'load',
    isBarrier: ({ context }) => first(context).op === 'wmb',
    isLocked: ({ context }) => first(context).op === 'xchg',
  },
  actions: {
    store: talk.tell(
      ({ context }) => context.buffer,
      ({ context }) => {
        const { location, value } = access(context);
        return { type: 'store', location, to: location, message: { type: 'cell.write', value } };
      },
    ),
    askBuffer: talk.tell(
      ({ context }) => context.buffer,
      ({ context }) => ({ type: 'load', location: access(context).location }),
    ),
    barrier: talk.tell(({ context }) => context.buffer, { type: 'store.barrier' }),
    fence: talk.tell(({ context }) => context.buffer, { type: 'fence' }),
    read: talk.tell(({ context }) => access(context).location, { type: 'cell.read' }),
    exchange: talk.tell(
      ({ context }) => access(context).location,
      ({ context }) => ({ type: 'cell.exchange', value: access(context).value }),
    ),
    note: assign({
      registers: ({ context, event }) => ({
        ...context.registers,
        [access(context).register]: event.type === 'load.forwarded' ? event.message.value : received(event, 'cell.value').value,
      }),
    }),
    next: assign({ program: ({ context }) => context.program.slice(1) }),
  },
}).createMachine({
  id: 'litmus_thread',
  context: ({ input }) => ({ ...input, registers: Object.fromEntries(registersOf(input.program).map((register) => [register, 0])) }),
  initial: 'fetch',
  states: {
    fetch: { always: [{ guard: 'isOver', target: 'over' }, { target: 'execute' }] },
    execute: {
      on: {
        step: [
          { guard: 'isStore', target: 'fetch', actions: ['store', 'next'] },
          { guard: 'isLoad', target: 'load', actions: 'askBuffer' },
          { guard: 'isBarrier', target: 'fetch', actions: ['barrier', 'next'] },
          { target: 'fence', actions: 'fence' },
        ],
      },
    },
    load: { on: { 'load.forwarded': { target: 'fetch', actions: ['note', 'next'] }, 'load.memory': { target: 'memory', actions: 'read' } } },
    fence: {
      on: {
        fenced: [
          { guard: 'isLocked', target: 'memory', actions: 'exchange' },
          { target: 'fetch', actions: 'next' },
        ],
      },
    },
    memory: { on: { 'cell.value': { target: 'fetch', actions: ['note', 'next'] } } },
    over: { tags: ['rest'] },
  },
});

/** What is read of each actor at the end. */
type Ends = Record<string, { value: unknown; context: { registers?: Record<string, number>; entries?: unknown[]; value?: number } }>;

export interface Outcomes {
  outcomes: string[];
  states: number;
  /** What should not be: a limit, a thread that is stuck, an answer that nobody heard. */
  trouble: string[];
}

const storesIn = (program: readonly Instruction[]): number => program.filter(({ op }) => op === 'store').length;

/**
 * Explores a test to the end and collects how it ends: each state in which all threads are over and all buffers empty.
 * @param options.size of each buffer; default: room for all stores
 */
export function explored(programs: readonly Instruction[][], ordering: StoreOrdering, options: { size?: number; machine?: typeof storeBuffer } = {}): Outcomes {
  const { size = Math.max(1, ...programs.map(storesIn)), machine = storeBuffer } = options;
  const locations = locationsOf(programs);
  const threads = programs.map((program, index): [string, ActorSpec] => [
    `t${index}`,
    actor(litmusThread, { input: { program, buffer: `buffer${index}` } }) as ActorSpec,
  ]);
  const buffers = programs.map((_, index): [string, ActorSpec] => [
    `buffer${index}`,
    actor(machine, { input: { ordering, size }, choices: drains(size) }) as ActorSpec,
  ]);
  const cells = locations.map((location): [string, ActorSpec] => [location, actor(memoryCell) as ActorSpec]);
  const found = new Set<string>();
  const isEnd = (ends: Ends): boolean =>
    threads.every(([address]) => ends[address]?.value === 'over') && buffers.every(([address]) => ends[address]?.context.entries?.length === 0);
  const endOf = (ends: Ends): string => {
    const registers = threads.flatMap(([address]) => Object.entries(ends[address]?.context.registers ?? {}));
    return outcome(Object.fromEntries([...registers, ...locations.map((location): [string, number] => [location, ends[location]?.context.value ?? -1])]));
  };
  const system = defineSystem({
    id: 'litmus',
    actors: Object.fromEntries([...cells, ...buffers, ...threads]),
    properties: [
      // It is put to the test once for each distinct end.
      invariant<Ends>('collected', 'each end is noted', {
        actors: [...cells, ...buffers, ...threads].map(([address]) => address),
        when: isEnd,
        holds: (ends) => found.add(endOf(ends)) !== undefined,
      }),
    ],
  });
  const { exhausted, limit, properties, ignoredMessages, states } = explore(system);
  const trouble = [
    ...(exhausted ? [] : [`not all was explored: ${limit}`]),
    ...properties.flatMap(({ violation }) => (violation ? [violation.message] : [])),
    ...ignoredMessages,
  ];
  return { outcomes: [...found].sort(), states, trouble };
}
