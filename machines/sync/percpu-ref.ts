import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** PERCPU_COUNT_BIAS: keeps the atomic counter away from zero until the per-CPU counters have been added. 2^63 in the kernel. */
export const BIAS = 1000;

interface Context {
  /** Per-CPU counters; null once the area is freed. */
  pcpu: Record<Address, number> | null;
  /** The atomic counter; carries BIAS until the switch to atomic mode is complete. */
  count: number;
  dead: boolean;
  /** How often `release` ran. */
  released: number;
  /** The data block is freed (percpu_ref_exit). */
  exited: boolean;
  /** Who waits for `release` (a completion). */
  waiters: Address[];
}

interface Input {
  cpus: Address[];
  /** References taken before the story begins, on the first CPU. */
  base?: number;
  /** PERCPU_COUNT_BIAS, or 0 to leave it out (row C2). */
  bias?: number;
  /** Killed, and switched to atomic mode, before the story begins. */
  dead?: boolean;
  /** Starts in atomic mode, as a request queue does before it is registered. */
  atomic?: boolean;
}

type Event =
  | Signed<{ type: 'ref.load' } | { type: 'ref.this_cpu_add'; cpu: Address; n: number } | { type: 'ref.read_cpu'; cpu: Address }>
  | Signed<
      { type: 'ref.inc_not_zero' } | { type: 'ref.add'; n: number } | { type: 'ref.sub_and_test'; n: number } | { type: 'ref.read' } | { type: 'ref.data' }
    >
  | Signed<{ type: 'ref.set_dead' } | { type: 'ref.set_atomic' } | { type: 'ref.confirm' } | { type: 'ref.free_percpu' } | { type: 'ref.exit' }>
  | Signed<{ type: 'ref.wait' }>;

const { tell, reply } = speaker<Context, Event>();

/**
 * struct percpu_ref (lib/percpu-refcount.c, 6.12): the word with its ATOMIC and DEAD bits, per-CPU counters, the atomic
 * counter with its bias, `release`. Each message is one access to one of them; the order of accesses is the paths'.
 * Domain table 1.d and rows C; invariants I6, I7, I8.
 */
export const percpuRef = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    startsAtomic: ({ context }) => context.pcpu === null,
    areaFreed: ({ context }) => context.pcpu === null,
    dataFreed: ({ context }) => context.exited,
    isZero: ({ context }) => context.count === 0,
    goesNegative: ({ context, event }) => context.count - received(event, 'ref.sub_and_test').n < 0,
    isLast: ({ context, event }) => context.count - received(event, 'ref.sub_and_test').n === 0,
    isSecondRelease: ({ context, event }) => context.released > 0 && context.count - received(event, 'ref.sub_and_test').n === 0,
    alreadyReleased: ({ context }) => context.released > 0,
  },
  actions: {
    replyPercpu: reply(({ context }) => ({ type: 'ref.word', mode: 'percpu', dead: context.dead })),
    replyAtomic: reply(({ context }) => ({ type: 'ref.word', mode: 'atomic', dead: context.dead })),
    addToCpu: assign({
      pcpu: ({ context, event }) => {
        const { cpu, n } = received(event, 'ref.this_cpu_add');
        return { ...context.pcpu, [cpu]: (context.pcpu?.[cpu] ?? 0) + n };
      },
    }),
    replyCpu: reply(({ context, event }) => ({ type: 'ref.cpu', value: context.pcpu?.[received(event, 'ref.read_cpu').cpu] ?? 0 })),
    inc: assign({ count: ({ context }) => context.count + 1 }),
    replyGot: reply({ type: 'ref.got' }),
    replyZero: reply({ type: 'ref.zero' }),
    add: assign({ count: ({ context, event }) => context.count + received(event, 'ref.add').n }),
    sub: assign({ count: ({ context, event }) => context.count - received(event, 'ref.sub_and_test').n }),
    replyCount: reply(({ context }) => ({ type: 'ref.count', value: context.count })),
    /** percpu_ref_exit keeps the final count in the word. */
    replyData: reply(({ context }) => (context.exited ? { type: 'ref.data', present: false, count: context.count } : { type: 'ref.data', present: true })),
    setDead: assign({ dead: true }),
    release: enqueueActions(({ enqueue, context }) => {
      for (const waiter of context.waiters) enqueue(tell(waiter, { type: 'ref.released' }));
      enqueue.assign({ released: context.released + 1, waiters: [] });
    }),
    await: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    replyReleased: reply({ type: 'ref.released' }),
    freeArea: assign({ pcpu: null }),
    exit: assign({ pcpu: null, exited: true }),
  },
}).createMachine({
  id: 'percpu_ref',
  context: ({ input: { cpus, base = 0, atomic = false, dead = false, bias = BIAS } }) => ({
    pcpu: atomic || dead ? null : Object.fromEntries(cpus.map((cpu, index) => [cpu, index === 0 ? base : 0])),
    // A kill has put the initial reference, perhaps the last (K3).
    count: dead ? base : atomic ? base + 1 : bias + 1,
    dead,
    released: dead && base === 0 ? 1 : 0,
    exited: false,
    waiters: [],
  }),
  initial: 'percpu_ref_init',
  on: {
    'ref.this_cpu_add': [{ guard: 'areaFreed', target: '.used_after_free' }, { actions: 'addToCpu' }],
    'ref.read_cpu': [{ guard: 'areaFreed', target: '.used_after_free' }, { actions: 'replyCpu' }],
    'ref.inc_not_zero': [{ guard: 'dataFreed', target: '.used_after_free' }, { guard: 'isZero', actions: 'replyZero' }, { actions: ['inc', 'replyGot'] }],
    'ref.add': [{ guard: 'dataFreed', target: '.used_after_free' }, { actions: ['add', 'replyCount'] }],
    'ref.sub_and_test': [
      { guard: 'dataFreed', target: '.used_after_free' },
      { guard: 'isSecondRelease', target: '.released_twice' },
      { guard: 'goesNegative', target: '.underflow' },
      { guard: 'isLast', actions: ['sub', 'release', 'replyCount'], description: 'the last reference: release' },
      { actions: ['sub', 'replyCount'] },
    ],
    'ref.read': [{ guard: 'dataFreed', target: '.used_after_free' }, { actions: 'replyCount' }],
    'ref.data': { actions: 'replyData', description: 'loads the pointer to the data block' },
    'ref.set_dead': { actions: 'setDead', description: 'K1' },
    'ref.exit': { actions: 'exit', description: 'percpu_ref_exit: per-CPU area and data block are freed' },
    'ref.wait': [{ guard: 'alreadyReleased', actions: 'replyReleased' }, { actions: 'await' }],
  },
  states: {
    percpu_ref_init: {
      description: 'Chooses the mode it starts in',
      always: [{ guard: 'startsAtomic', target: 'atomic' }, { target: 'percpu' }],
    },
    percpu: {
      description: 'Gets and puts go to per-CPU counters; zero is never noticed',
      on: {
        'ref.load': { actions: 'replyPercpu' },
        'ref.set_atomic': { target: 'switching', actions: 'inc', description: 'K2: ATOMIC is set, and the switch holds a reference' },
      },
    },
    switching: {
      description: 'ATOMIC is set and confirm_switch pending: per-CPU counters are not added yet, the bias keeps the count above zero',
      on: { 'ref.load': { actions: 'replyAtomic' }, 'ref.confirm': { target: 'atomic', description: 'K5' } },
    },
    atomic: {
      description: 'All gets and puts go to the atomic counter',
      on: { 'ref.load': { actions: 'replyAtomic' }, 'ref.free_percpu': { actions: 'freeArea', description: 'K6' } },
    },
    released_twice: { tags: ['BUG', 'I7'], description: 'BUG: percpu_ref released twice' },
    underflow: { tags: ['BUG', 'I6'], description: 'BUG: percpu_ref count goes below zero' },
    used_after_free: { tags: ['BUG', 'UAF'], description: 'BUG: percpu_ref counters used after percpu_ref_exit freed them' },
  },
});
