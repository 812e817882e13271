import { assign, setup } from 'xstate';
import { type Address, actor, defineSystem, invariant, received, type Signed, type System, speaker } from '../src/index.js';

/**
 * The benchmark protocol: TLB shootdown against lockless page walks, defined so precisely that its state graph does not
 * depend on the tool (SPIN, TLC and a hand-written search agree on the counts). N CPUs, P pages, K walks and T touches
 * for each CPU but CPU 0.
 */
export interface Sizes {
  N: number;
  P: number;
  K: number;
  T: number;
  /** 0 the protocol; 1: CPU 0 does not wait for the acknowledgements; 2: walks leave interrupts on. */
  bug?: 0 | 1 | 2;
}

type PteEvent = Signed<{ type: 'read' }> | Signed<{ type: 'clear' }>;
const pteTalk = speaker<Record<string, never>, PteEvent>();
const pte = setup({
  types: { events: {} as PteEvent, context: {} as Record<string, never> },
  actions: { mapped: pteTalk.reply({ type: 'pte', mapped: true }), none: pteTalk.reply({ type: 'pte', mapped: false }) },
}).createMachine({
  id: 'pte',
  initial: 'mapped',
  context: {},
  states: { mapped: { on: { read: { actions: 'mapped' }, clear: 'none' } }, none: { on: { read: { actions: 'none' } } } },
});

type FrameContext = { rc: number };
const frame = setup({
  types: { events: {} as Signed<{ type: 'get' }> | Signed<{ type: 'put' }>, context: {} as FrameContext },
  actions: { get: assign({ rc: ({ context }) => context.rc + 1 }), put: assign({ rc: ({ context }) => context.rc - 1 }) },
}).createMachine({ id: 'frame', context: { rc: 1 }, on: { get: { actions: 'get' }, put: { actions: 'put' } } });

type CpuEvent =
  | { type: 'ipi' }
  | Signed<{ type: 'send_ipi' }>
  | Signed<{ type: 'irq'; on: boolean }>
  | Signed<{ type: 'touch'; page: number }>
  | Signed<{ type: 'pte'; mapped: boolean }>;
type CpuContext = { ipi: boolean; irq: boolean; tlb: boolean[]; filling: number };
const cpuTalk = speaker<CpuContext, CpuEvent>();
const cpu = setup({
  types: { events: {} as CpuEvent, context: {} as CpuContext, input: {} as { pages: number } },
  guards: { takes: ({ context }) => context.irq && context.ipi, misses: ({ context, event }) => !context.tlb[received(event, 'touch').page] },
  actions: {
    latch: assign({ ipi: true }),
    setIrq: assign({ irq: ({ event }) => received(event, 'irq').on }),
    flush: assign({ ipi: false, tlb: ({ context }) => context.tlb.map(() => false) }),
    acknowledge: cpuTalk.tell('unmapper', { type: 'ack' }),
    walk: cpuTalk.tell(({ event }) => `pte${received(event, 'touch').page}`, { type: 'read' }),
    note: assign({ filling: ({ event }) => received(event, 'touch').page }),
    fill: assign(({ context, event }) => ({
      filling: -1,
      tlb: context.tlb.map((held, page) => held || (page === context.filling && received(event, 'pte').mapped)),
    })),
  },
}).createMachine({
  id: 'cpu',
  context: ({ input }) => ({ ipi: false, irq: true, tlb: Array(input.pages).fill(false), filling: -1 }),
  on: {
    ipi: { guard: 'takes', actions: ['flush', 'acknowledge'] },
    send_ipi: { actions: 'latch' },
    irq: { actions: 'setIrq' },
    touch: { guard: 'misses', actions: ['note', 'walk'] },
    pte: { actions: 'fill' },
  },
});

type WalkerEvent = { type: 'touch' | 'begin'; page: number } | { type: 'step' } | { type: 'drop' } | Signed<{ type: 'pte'; mapped: boolean }>;
type WalkerContext = { cpu: Address; kt: number; kw: number; pg: number };
const walkerTalk = speaker<WalkerContext, WalkerEvent>();
const framed = ({ context }: { context: WalkerContext }): Address => `frame${context.pg - 1}`;
const walker = setup({
  types: { events: {} as WalkerEvent, context: {} as WalkerContext, input: {} as { cpu: Address; K: number; T: number } },
  guards: {
    touchesLeft: ({ context }) => context.kt > 0,
    walksLeft: ({ context }) => context.kw > 0 && context.pg === 0,
    holds: ({ context }) => context.pg > 0,
    mapped: ({ event }) => received(event, 'pte').mapped,
  },
  actions: {
    touchPage: walkerTalk.tell(
      ({ context }) => context.cpu,
      ({ event }) => ({ type: 'touch', page: received(event, 'touch', 'begin').page }),
    ),
    lessTouches: assign({ kt: ({ context }) => context.kt - 1 }),
    begin: assign({ kw: ({ context }) => context.kw - 1, pg: ({ event }) => received(event, 'touch', 'begin').page + 1 }),
    irqOff: walkerTalk.tell(({ context }) => context.cpu, { type: 'irq', on: false }),
    irqOn: walkerTalk.tell(({ context }) => context.cpu, { type: 'irq', on: true }),
    readPte: walkerTalk.tell(({ context }) => `pte${context.pg - 1}`, { type: 'read' }),
    get: walkerTalk.tell(framed, { type: 'get' }),
    put: walkerTalk.tell(framed, { type: 'put' }),
    forget: assign({ pg: 0 }),
  },
}).createMachine({
  id: 'walker',
  context: ({ input }) => ({ cpu: input.cpu, kt: input.T, kw: input.K, pg: 0 }),
  initial: 'IDLE',
  states: {
    IDLE: {
      tags: ['rest'],
      on: {
        touch: { guard: 'touchesLeft', actions: ['lessTouches', 'touchPage'] },
        begin: { guard: 'walksLeft', target: 'OFF', actions: ['begin', 'irqOff'] },
        drop: { guard: 'holds', actions: ['put', 'forget'] },
      },
    },
    OFF: {
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'mapped', target: 'SNAP' },
          { target: 'END', actions: 'forget' },
        ],
      },
    },
    SNAP: { on: { step: { target: 'REF', actions: 'get' } } },
    REF: {
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'mapped', target: 'END' },
          { target: 'END', actions: ['put', 'forget'] },
        ],
      },
    },
    END: { on: { step: { target: 'IDLE', actions: 'irqOn' } } },
  },
});

type UnmapperEvent = { type: 'step' } | Signed<{ type: 'ack' }>;
type UnmapperContext = { cpus: number; pages: number; page: number; pending: number; tlb: boolean[] };
const unmapperTalk = speaker<UnmapperContext, UnmapperEvent>();
const unmapperSetup = setup({
  types: { events: {} as UnmapperEvent, context: {} as UnmapperContext, input: {} as { cpus: number; pages: number } },
  guards: { pagesLeft: ({ context }) => context.page < context.pages, acknowledged: ({ context }) => context.pending === 0 },
  actions: {
    clear: unmapperTalk.tell(({ context }) => `pte${context.page}`, { type: 'clear' }),
    expect: assign({ pending: ({ context }) => context.cpus - 1 }),
    acked: assign({ pending: ({ context }) => context.pending - 1 }),
    flushOwn: assign({ tlb: ({ context }) => context.tlb.map((held, page) => held && page !== context.page) }),
    free: unmapperTalk.tell(({ context }) => `frame${context.page}`, { type: 'put' }),
    nextPage: assign({ page: ({ context }) => context.page + 1 }),
    send1: unmapperTalk.tell('cpu1', { type: 'send_ipi' }),
    send2: unmapperTalk.tell('cpu2', { type: 'send_ipi' }),
    send3: unmapperTalk.tell('cpu3', { type: 'send_ipi' }),
    send4: unmapperTalk.tell('cpu4', { type: 'send_ipi' }),
    send5: unmapperTalk.tell('cpu5', { type: 'send_ipi' }),
  },
});
const sends = ['send1', 'send2', 'send3', 'send4', 'send5'] as const;
const unmapper = (cpus: number) =>
  unmapperSetup.createMachine({
    id: 'unmapper',
    context: ({ input }) => ({ ...input, page: 0, pending: 0, tlb: Array(input.pages).fill(true) }),
    initial: 'CLEAR',
    on: { ack: { actions: 'acked' } },
    states: {
      CLEAR: { tags: ['rest'], on: { step: { guard: 'pagesLeft', target: 'SEND', actions: 'clear' } } },
      SEND: { on: { step: { target: 'FLUSH', actions: ['expect', ...sends.slice(0, cpus - 1)] } } },
      FLUSH: { on: { step: { target: 'WAIT', actions: 'flushOwn' } } },
      WAIT: { on: { step: { guard: 'acknowledged', target: 'FREE' } } },
      FREE: { on: { step: { target: 'CLEAR', actions: ['free', 'nextPage'] } } },
    },
  });

/** What the invariants look at, of any actor. */
type View = { value: unknown; context: { kt: number; pg: number; rc: number; tlb: boolean[] } };
const view = (snapshots: Record<string, View>, address: string): View => snapshots[address] as View;

/** The benchmark system of the sizes given; invariants NoStaleUse and NoDeadRef. @throws {RangeError} for sizes outside 2..6 CPUs, 1..2 pages, 1..2 walks and touches. */
export function tlbShootdown({ N, P, K, T, bug = 0 }: Sizes): System {
  const within = (value: number, low: number, high: number): boolean => Number.isInteger(value) && value >= low && value <= high;
  if (!within(N, 2, 6) || !within(P, 1, 2) || !within(K, 1, 2) || !within(T, 1, 2))
    throw new RangeError(`no benchmark of size (${N},${P},${K},${T}): 2 to 6 CPUs, 1 to 2 pages, walks and touches`);
  const pages = [...Array(P).keys()];
  const others = [...Array(N - 1).keys()].map((c) => c + 1);
  const unmapping = unmapper(N);
  const walking = bug === 2 ? walker.provide({ actions: { irqOff: assign({}) } }) : walker;
  return defineSystem({
    id: `bench/tlb-shootdown(${N},${P},${K},${T})`,
    actors: {
      ...Object.fromEntries(
        pages.flatMap((p) => [
          [`pte${p}`, actor(pte)],
          [`frame${p}`, actor(frame)],
        ]),
      ),
      unmapper: actor(bug === 1 ? unmapping.provide({ guards: { acknowledged: () => true } }) : unmapping, { input: { cpus: N, pages: P }, choices: ['step'] }),
      ...Object.fromEntries(
        others.flatMap((c) => [
          [`cpu${c}`, actor(cpu, { input: { pages: P }, choices: ['ipi'] })],
          [
            `walker${c}`,
            actor(walking, {
              input: { cpu: `cpu${c}`, K, T },
              choices: [
                ...pages.flatMap((page) => [
                  { type: 'touch' as const, page },
                  { type: 'begin' as const, page },
                ]),
                'step',
                'drop',
              ],
            }),
          ],
        ]),
      ),
    },
    properties: others.flatMap((c) => [
      ...pages.map((p) =>
        invariant<Record<string, View>>(`NoStaleUse(${c},${p})`, 'a page that can be used is not free', {
          actors: [`walker${c}`, `cpu${c}`, `pte${p}`, `frame${p}`],
          when: (s) =>
            view(s, `walker${c}`).value === 'IDLE' &&
            view(s, `walker${c}`).context.kt > 0 &&
            (view(s, `cpu${c}`).context.tlb[p] === true || view(s, `pte${p}`).value === 'mapped'),
          holds: (s) => view(s, `frame${p}`).context.rc > 0,
        }),
      ),
      invariant<Record<string, View>>(`NoDeadRef(${c})`, 'a reference is about to be taken only on a frame that is not free', {
        actors: [`walker${c}`, ...pages.map((p) => `frame${p}`)],
        when: (s) => view(s, `walker${c}`).value === 'SNAP',
        holds: (s) => view(s, `frame${view(s, `walker${c}`).context.pg - 1}`).context.rc > 0,
      }),
    ]),
  });
}
