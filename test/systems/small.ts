import { type AnyStateMachine, assign, createMachine, setup } from 'xstate';
import { type ActorOptions, actor, defineSystem, invariant, received, type Signed, type System, type SystemConfig, speaker } from '../../src/index.js';

/** A machine from a literal, in tests that do not care for its types. */
export const machine = (config: object): AnyStateMachine => createMachine(config as never);

/** A system of one actor, `a`. */
export const single = (logic: AnyStateMachine, options: ActorOptions<AnyStateMachine> = {}, rest: Partial<SystemConfig> = {}): System =>
  defineSystem({ id: 'single', actors: { a: actor(logic, options) }, ...rest });

const lamp = machine({ id: 'lamp', initial: 'off', states: { off: { on: { toggle: 'on' } }, on: { on: { toggle: 'off' } } } });

/** Lamps that can be switched on and off for ever: 2^n states, n of them away at most, n * 2^n transitions. */
export const lamps = (n: number): System =>
  defineSystem({ id: `lamps(${n})`, actors: Object.fromEntries([...Array(n).keys()].map((i) => [`lamp${i}`, actor(lamp, { choices: ['toggle'] })])) });

/** A counter modulo `size` that can be stepped for ever. */
export const wheel = (size: number): AnyStateMachine =>
  machine({ id: 'wheel', context: { at: 0 }, on: { turn: { actions: assign({ at: ({ context }) => (context.at + 1) % size }) } } });

type CellEvent = Signed<{ type: 'read' }> | Signed<{ type: 'write'; value: number }> | Signed<{ type: 'add' }>;
type CellContext = { value: number };
const cellTalk = speaker<CellContext, CellEvent>();
export const cell = setup({
  types: { events: {} as CellEvent, context: {} as CellContext },
  actions: {
    tellValue: cellTalk.reply(({ context }) => ({ type: 'value', value: context.value })),
    store: assign({ value: ({ event }) => received(event, 'write').value }),
    addOne: assign({ value: ({ context }) => context.value + 1 }),
  },
}).createMachine({ id: 'cell', context: { value: 0 }, on: { read: { actions: 'tellValue' }, write: { actions: 'store' }, add: { actions: 'addOne' } } });

type WriterEvent = { type: 'step' } | Signed<{ type: 'value'; value: number }>;
type WriterContext = { seen: number };
const writerTalk = speaker<WriterContext, WriterEvent>();
export const writer = setup({
  types: { events: {} as WriterEvent, context: {} as WriterContext },
  actions: {
    read: writerTalk.tell('cell', { type: 'read' }),
    note: assign({ seen: ({ event }) => received(event, 'value').value }),
    write: writerTalk.tell('cell', ({ context }) => ({ type: 'write', value: context.seen + 1 })),
    add: writerTalk.tell('cell', { type: 'add' }),
  },
}).createMachine({
  id: 'writer',
  context: { seen: 0 },
  initial: 'reading',
  states: {
    reading: { on: { step: { actions: 'read' }, value: { target: 'writing', actions: 'note' } } },
    writing: { on: { step: { target: 'finished', actions: 'write' } } },
    finished: { tags: ['rest'] },
  },
});

/** The writer with one atomic step in place of two. */
export const atomicWriter = setup({
  types: { events: {} as WriterEvent, context: {} as WriterContext },
  actions: { add: writerTalk.tell('cell', { type: 'add' }) },
}).createMachine({
  id: 'writer',
  context: { seen: 0 },
  initial: 'adding',
  states: { adding: { on: { step: { target: 'finished', actions: 'add' } } }, finished: { tags: ['rest'] } },
});

type Views = { cell: { context: CellContext }; w0: { value: unknown }; w1: { value: unknown } };

/** Two writers that read, then write what they read plus one. Violated after 4 steps: both read before one writes, and both have written. */
export const lostUpdate = (logic: typeof writer | typeof atomicWriter = writer): System =>
  defineSystem({
    id: 'lost-update',
    actors: { cell: actor(cell), w0: actor(logic, { lane: 'CPU 0' }), w1: actor(logic, { lane: 'CPU 1' }) },
    properties: [
      invariant<Views>('sum', 'two writers that have finished left 2 in the cell', {
        actors: ['cell', 'w0', 'w1'],
        when: ({ w0, w1 }) => w0.value === 'finished' && w1.value === 'finished',
        holds: (views) => views.cell.context.value === 2,
      }),
    ],
  });

type LockEvent = Signed<{ type: 'take' | 'give' }>;
type LockContext = { owner: string | null };
const lockTalk = speaker<LockContext, LockEvent>();
export const lock = setup({
  types: { events: {} as LockEvent, context: {} as LockContext },
  guards: { free: ({ context }) => context.owner === null },
  actions: {
    own: assign({ owner: ({ event }) => event.from }),
    free: assign({ owner: null }),
    granted: lockTalk.reply({ type: 'granted' }),
    busy: lockTalk.reply({ type: 'busy' }),
  },
}).createMachine({
  id: 'lock',
  context: { owner: null },
  on: { take: [{ guard: 'free', actions: ['own', 'granted'] }, { actions: 'busy' }], give: { actions: 'free' } },
});

type TakerEvent = { type: 'step' } | Signed<{ type: 'granted' | 'busy' }>;
const takerTalk = speaker<Record<string, never>, TakerEvent>();
/** Takes two locks, polling each: a poll that finds the lock busy changes nothing. Then gives both back and finishes. */
const taker = (first: string, second: string): AnyStateMachine =>
  setup({
    types: { events: {} as TakerEvent, context: {} as Record<string, never> },
    actions: {
      takeFirst: takerTalk.tell(first, { type: 'take' }),
      takeSecond: takerTalk.tell(second, { type: 'take' }),
      giveFirst: takerTalk.tell(first, { type: 'give' }),
      giveSecond: takerTalk.tell(second, { type: 'give' }),
    },
  }).createMachine({
    id: `taker-${first}-${second}`,
    context: {},
    initial: 'none',
    states: {
      none: { on: { step: { actions: 'takeFirst' }, granted: 'one' } },
      one: { on: { step: { actions: 'takeSecond' }, granted: 'both' } },
      both: { on: { step: { target: 'finished', actions: ['giveSecond', 'giveFirst'] } } },
      finished: { tags: ['rest'] },
    },
  }) as never;

/** Two paths that take two locks: in the same order, or crosswise, which deadlocks after 2 steps. */
export const twoLocks = (crosswise: boolean): System =>
  defineSystem({
    id: crosswise ? 'abba' : 'abab',
    actors: { la: actor(lock), lb: actor(lock), p0: actor(taker('la', 'lb')), p1: actor(crosswise ? taker('lb', 'la') : taker('la', 'lb')) },
  });

const answering = (other: string): AnyStateMachine =>
  machine({
    id: `answers-${other}`,
    on: {
      step: { actions: speaker<never, { type: string }>().tell(other, { type: 'ping' }) },
      ping: { actions: speaker<never, { type: string }>().tell(other, { type: 'ping' }) },
    },
  });

/** Two actors that answer each other for ever. */
export const pingPong = (cascade = 1000): System =>
  defineSystem({ id: 'ping-pong', actors: { left: actor(answering('right')), right: actor(answering('left')) }, limits: { cascade } });
