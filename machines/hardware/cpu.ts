import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { type FlushRequest, type Pte, type PteReply, pageAt } from '../memory/address-space.js';

/** A cached translation. `dirty`: the D bit was set when it was filled, so a store needs no look at the pte. */
export interface TlbEntry {
  pfn: number;
  write: boolean;
  dirty: boolean;
}

/** A queued function call: a TLB flush that `initiator` waits for. */
export interface PendingIpi {
  request: FlushRequest;
  initiator: Address;
}

interface Walk {
  vpn: number;
  write: boolean;
  /** Who waits for the access; null for a speculative walk. */
  user: Address | null;
}

interface Context {
  /** The address space whose tables are loaded; null: kernel tables only. */
  loadedMm: Address | null;
  /** Lazy TLB mode: tables still loaded, no user code runs, flush IPIs may be skipped. */
  lazy: boolean;
  /** Keyed by virtual page number. */
  tlb: Record<string, TlbEntry>;
  pending: PendingIpi[];
  walk: Walk | null;
  /** Nesting of local_irq_save. */
  irqDepth: number;
  rcu: Address | null;
  interconnect: Address;
}

type Event =
  | { type: 'interrupt' }
  | { type: 'fill'; vpn: number }
  | { type: 'evict'; vpn: number }
  | Signed<{ type: 'irq.save' } | { type: 'irq.restore' }>
  | Signed<{ type: 'ipi'; request: FlushRequest; initiator: Address }>
  | Signed<{ type: 'tlb.invalidate'; request: FlushRequest }>
  | Signed<{ type: 'lazy.read' }>
  | Signed<{ type: 'switch_mm'; mm: Address | null }>
  | Signed<{ type: 'lazy.enter' } | { type: 'lazy.leave' }>
  | Signed<{ type: 'access'; vpn: number; write: boolean }>
  | Signed<PteReply>;

const { tell, reply } = speaker<Context, Event>();

const covers = (request: FlushRequest, vpn: string): boolean => request.vpns === 'all' || request.vpns.includes(Number(vpn));
const without = (tlb: Record<string, TlbEntry>, request: FlushRequest): Record<string, TlbEntry> =>
  Object.fromEntries(Object.entries(tlb).filter(([vpn]) => !covers(request, vpn)));
const entryOf = (pte: Extract<Pte, { kind: 'present' }>): TlbEntry => ({ pfn: pte.pfn, write: pte.write, dirty: pte.dirty });

/**
 * One CPU: interrupt flag, pending flush IPIs, TLB and page walker. What it does by itself is a choice: `interrupt` takes
 * the first pending IPI, only while interrupts are on; `fill` is a speculative walk, `evict` drops an entry (both of
 * the environment). Domain table: rules of the waiting mechanisms, hardware walk and TLB fill; x86.
 */
export const cpu = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { mm: Address | null; interconnect: Address; rcu?: Address } },
  guards: {
    ipiPending: ({ context }) => context.pending.length > 0,
    nested: ({ context }) => context.irqDepth > 1,
    canFill: ({ context, event }) => context.loadedMm !== null && context.tlb[received(event, 'fill').vpn] === undefined,
    cached: ({ context, event }) => context.tlb[received(event, 'evict').vpn] !== undefined,
    hit: ({ context, event }) => {
      const { vpn, write } = received(event, 'access');
      const entry = context.tlb[vpn];
      return entry !== undefined && (!write || (entry.write && entry.dirty));
    },
    tablesLoaded: ({ context }) => context.loadedMm !== null,
    speculative: ({ context }) => context.walk?.user === null,
    allows: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && (context.walk?.write !== true || pte.write);
    },
    tracksRcu: ({ context }) => context.rcu !== null,
  },
  actions: {
    deeper: assign({ irqDepth: ({ context }) => context.irqDepth + 1 }),
    shallower: assign({ irqDepth: ({ context }) => context.irqDepth - 1 }),
    rcuEnter: tell(({ context }) => context.rcu as Address, { type: 'rcu.read_lock' }),
    rcuLeave: tell(({ context }) => context.rcu as Address, { type: 'rcu.read_unlock' }),
    latch: assign({
      pending: ({ context, event }) => {
        const { request, initiator } = received(event, 'ipi');
        return [...context.pending, { request, initiator }];
      },
    }),
    flushPending: assign({ tlb: ({ context }) => without(context.tlb, (context.pending[0] as PendingIpi).request) }),
    acknowledge: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'ipi.ack', initiator: (context.pending[0] as PendingIpi).initiator }),
    ),
    takeFirst: assign({ pending: ({ context }) => context.pending.slice(1) }),
    invalidate: assign({ tlb: ({ context, event }) => without(context.tlb, received(event, 'tlb.invalidate').request) }),
    evict: assign({ tlb: ({ context, event }) => without(context.tlb, { vpns: [received(event, 'evict').vpn] }) }),
    replyLazy: reply(({ context }) => ({ type: 'tlb_state', mode: context.lazy ? 'lazy' : 'running' })),
    load: assign({ loadedMm: ({ event }) => received(event, 'switch_mm').mm, lazy: false, tlb: {} }),
    enterLazy: assign({ lazy: true }),
    leaveLazy: assign({ lazy: false }),
    speculate: assign({ walk: ({ event }) => ({ vpn: received(event, 'fill').vpn, write: false, user: null }) }),
    walkFor: assign({
      walk: ({ event }) => {
        const { vpn, write, from } = received(event, 'access');
        return { vpn, write, user: from };
      },
    }),
    readPte: tell(
      ({ context }) => context.loadedMm as Address,
      ({ context }) => ({ type: 'pte.walk', vpn: context.walk?.vpn, write: context.walk?.write }),
    ),
    insert: assign({
      tlb: ({ context, event }) => {
        const { pte } = received(event, 'pte');
        return pte.kind === 'present' && context.walk ? { ...context.tlb, [context.walk.vpn]: entryOf(pte) } : context.tlb;
      },
    }),
    touchHit: tell(
      ({ context, event }) => pageAt((context.tlb[received(event, 'access').vpn] as TlbEntry).pfn),
      ({ event }) => ({ type: 'memory.access', write: received(event, 'access').write }),
    ),
    touchFilled: tell(
      ({ event }) => pageAt((received(event, 'pte').pte as Extract<Pte, { kind: 'present' }>).pfn),
      ({ context }) => ({ type: 'memory.access', write: context.walk?.write }),
    ),
    replyDone: reply({ type: 'access.done' }),
    replyFilled: tell(({ context }) => context.walk?.user as Address, { type: 'access.done' }),
    replyFault: tell(({ context }) => context.walk?.user as Address, { type: 'access.fault' }),
    faultAtOnce: reply({ type: 'access.fault' }),
    endWalk: assign({ walk: null }),
  },
}).createMachine({
  id: 'cpu',
  type: 'parallel',
  context: ({ input }) => ({
    loadedMm: input.mm,
    lazy: false,
    tlb: {},
    pending: [],
    walk: null,
    irqDepth: 0,
    rcu: input.rcu ?? null,
    interconnect: input.interconnect,
  }),
  states: {
    interrupts: {
      initial: 'enabled',
      description: 'The interrupt flag. An IPI is latched in either state and taken only while enabled.',
      on: { ipi: { actions: 'latch' } },
      states: {
        enabled: {
          description: 'Interrupts on: flush_tlb_func runs for the first pending IPI and acknowledges it (arch/x86/mm/tlb.c)',
          on: {
            interrupt: { guard: 'ipiPending', actions: ['flushPending', 'acknowledge', 'takeFirst'] },
            'irq.save': [
              { guard: 'tracksRcu', target: 'disabled', actions: ['deeper', 'rcuEnter'] },
              { target: 'disabled', actions: 'deeper' },
            ],
          },
        },
        disabled: {
          description: 'Interrupts off: IPIs wait, and an RCU grace period that begins now cannot end',
          on: {
            'irq.save': { actions: 'deeper' },
            'irq.restore': [
              { guard: 'nested', actions: 'shallower' },
              { guard: 'tracksRcu', target: 'enabled', actions: ['shallower', 'rcuLeave'] },
              { target: 'enabled', actions: 'shallower' },
            ],
          },
        },
      },
    },
    mmu: {
      initial: 'ready',
      description: 'TLB and page walker. The walker takes no reference and asks nobody.',
      on: {
        'tlb.invalidate': { actions: 'invalidate' },
        'lazy.read': { actions: 'replyLazy' },
        'lazy.enter': { actions: 'enterLazy' },
        'lazy.leave': { actions: 'leaveLazy' },
        switch_mm: { actions: 'load' },
      },
      states: {
        ready: {
          description: 'No walk under way',
          on: {
            fill: { guard: 'canFill', target: 'walking', actions: ['speculate', 'readPte'] },
            evict: { guard: 'cached', actions: 'evict' },
            access: [
              { guard: 'hit', actions: ['touchHit', 'replyDone'] },
              { guard: 'tablesLoaded', target: 'walking', actions: ['walkFor', 'readPte'] },
              { actions: 'faultAtOnce' },
            ],
          },
        },
        walking: {
          description: 'Reads the pte (the read and the fill are one step); a store sets D by a locked update',
          on: {
            pte: [
              { guard: 'speculative', target: 'ready', actions: ['insert', 'endWalk'] },
              { guard: 'allows', target: 'ready', actions: ['insert', 'touchFilled', 'replyFilled', 'endWalk'] },
              { target: 'ready', actions: ['replyFault', 'endWalk'] },
            ],
          },
        },
      },
    },
  },
});
