import { assign, enqueueActions, raise, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { type FlushRequest, type Pte, type PteReply, pageAt, pmdIndex } from '../memory/address-space.js';
import type { MemoryAccess, MemoryValue } from '../memory/folio.js';

/** A cached translation. `dirty`: the D bit was set when it was filled, so a store needs no look at the pte. */
export interface TlbEntry {
  pfn: number;
  write: boolean;
  dirty: boolean;
}

/** What to flush; with `mm` null: of whatever address space is loaded (arch_tlbbatch_flush), and `gen` says nothing. */
export type AnyFlushRequest = Omit<FlushRequest, 'mm'> & { mm: Address | null };

/** A function that another CPU wants to be run here: a TLB flush, or an empty one (tlb_remove_table_smp_sync). */
export type IpiRequest = ({ function: 'flush_tlb_func' } & AnyFlushRequest) | { function: 'tlb_remove_table_smp_sync' };

/** A queued function call that `initiator` waits for. */
export interface PendingIpi {
  request: IpiRequest;
  initiator: Address;
}

/** Value of loaded_mm while switch_mm_irqs_off is under way. */
export const LOADED_MM_SWITCHING = 'LOADED_MM_SWITCHING';

/** Key of a cached translation: address space (its ASID) and virtual page, or page-table number. */
export const asidKey = (mm: Address, index: number): string => `${mm}/${index}`;

interface Walk {
  vpn: number;
  write: boolean;
  /** Who waits for the access; null for a speculative walk. */
  user: Address | null;
}

/** An access that has found its page. */
interface Translated {
  vpn: number;
  pfn: number;
  write: boolean;
  user: Address;
}

interface Input {
  /** The address space that is loaded at first. */
  mm: Address | null;
  interconnect: Address;
  rcu?: Address;
  /** Who is told when all entries of an address space are dropped; default: nobody. */
  observer?: Address;
  /** The store buffer that its stores go through; default: none, a store is in memory when it retires. */
  storeBuffer?: Address;
  /** Another address space whose entries are in the TLB, up to generation 1 (left there when it was last switched from). */
  cached?: { mm: Address; tlb: Record<string, TlbEntry> };
}

interface Context {
  /** The address space whose tables the walker walks (CR3); null: kernel tables only. */
  cr3: Address | null;
  /** cpu_tlbstate.loaded_mm: what software says is loaded; null: init_mm. */
  loadedMm: Address | null;
  /** cpu_tlbstate_shared.is_lazy: tables still loaded, no user code runs, flush IPIs may be skipped. */
  lazy: boolean;
  /** cpu_tlbstate.ctxs: per address space that has an ASID here, the tlb_gen up to which it is flushed. */
  ctxs: Record<Address, number>;
  /** Keyed by address space and virtual page number ({@link asidKey}). */
  tlb: Record<string, TlbEntry>;
  /** Paging-structure cache: page-table pages, keyed by address space and number ({@link asidKey}). */
  tables: Record<string, Address>;
  pending: PendingIpi[];
  /** The flush being carried out; `remote`: the first pending IPI asked for it. */
  flush: { request: AnyFlushRequest; remote: boolean } | null;
  walk: Walk | null;
  /** Within a step only. */
  translated: Translated | null;
  /** Nesting of local_irq_save. */
  irqDepth: number;
  rcu: Address | null;
  observer: Address | null;
  interconnect: Address;
  storeBuffer: Address | null;
}

type Event =
  | { type: 'interrupt' }
  | { type: 'fill'; vpn: number }
  | { type: 'evict'; vpn: number }
  | { type: 'evict_table'; vpn: number }
  | { type: 'flush_tlb_func'; request: AnyFlushRequest; from?: Address }
  | Signed<{ type: 'irq.save' } | { type: 'irq.restore' }>
  | Signed<{ type: 'ipi'; request: IpiRequest; initiator: Address }>
  | Signed<{ type: 'tlb.invalidate'; request: FlushRequest }>
  | Signed<{ type: 'loaded_mm.read' } | { type: 'is_lazy.read' } | { type: 'is_lazy.set' } | { type: 'is_lazy.clear' }>
  | Signed<{ type: 'loaded_mm.write'; mm: Address | null } | { type: 'cr3.write'; mm: Address | null; gen: number }>
  | Signed<{ type: 'access'; vpn: number; write: boolean }>
  | Signed<PteReply | MemoryValue>
  | Signed<{ type: 'load.forwarded' } | { type: 'load.memory' } | { type: 'fenced' }>
  | Signed<{ type: 'tlb_gen'; gen: number }>;

const { tell, reply, inform } = speaker<Context, Event>();

/** Whether it is the key of something cached of this address space. */
export const isAsid = (key: string, mm: Address): boolean => key.startsWith(`${mm}/`);
const covers = ({ mm, vpns }: FlushRequest, key: string): boolean => isAsid(key, mm) && (vpns === 'all' || vpns.some((vpn) => asidKey(mm, vpn) === key));
const without = <T>(cached: Record<string, T>, drops: (key: string) => boolean): Record<string, T> =>
  Object.fromEntries(Object.entries(cached).filter(([key]) => !drops(key)));
const entryOf = (pte: Extract<Pte, { kind: 'present' }>): TlbEntry => ({ pfn: pte.pfn, write: pte.write, dirty: pte.dirty });

type Translation = Pick<Context, 'cr3' | 'tlb' | 'tables'>;
const entryFor = ({ cr3, tlb }: Translation, vpn: number): TlbEntry | undefined => (cr3 === null ? undefined : tlb[asidKey(cr3, vpn)]);
const tableFor = ({ cr3, tables }: Translation, vpn: number): Address | undefined => (cr3 === null ? undefined : tables[asidKey(cr3, pmdIndex(vpn))]);
const hits = (context: Context, { vpn, write }: { vpn: number; write: boolean }): boolean => {
  const entry = entryFor(context, vpn);
  return entry !== undefined && (!write || (entry.write && entry.dirty));
};
const requestOf = ({ flush, loadedMm }: Context): FlushRequest => {
  const { request } = flush as { request: AnyFlushRequest };
  return { ...request, mm: request.mm ?? (loadedMm as Address) };
};
const namesMm = ({ flush }: Context): boolean => flush?.request.mm !== null;
const accessOf = ({ cr3, translated }: Context): { type: string } & MemoryAccess => {
  const { vpn, write, user } = translated as Translated;
  return { type: 'memory.access', mm: cr3 as Address, vpn, write, user };
};
const localGen = (context: Context): number => context.ctxs[requestOf(context).mm] ?? 0;

/**
 * One CPU: interrupt flag, pending IPIs, TLB, paging-structure cache and page walker, with the per-CPU variables of
 * arch/x86/mm/tlb.c. What it does by itself is a choice: `interrupt` runs the first pending IPI's function, only while
 * interrupts are on; `fill` is a speculative walk, `evict` and `evict_table` drop what is cached (all of the environment).
 * With a store buffer, a store is translated before it enters, and flushes leave it alone. It is emptied by interrupts and faults, and
 * by what serializes (Intel SDM, volume 3: Store Buffer; Serializing Instructions): a write to CR3, a flush of this CPU by itself. Also
 * by local_irq_save, which stands for the entry to the kernel and its locked operations; and by a broadcast, which waits for stores
 * that use what it takes away (arm64: TLBI and DSB).
 * Domain table: rules of the waiting mechanisms, 1.b, 1.c; x86, 7.3.
 */
export const cpu = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isTableSync: ({ context }) => context.pending[0]?.request.function === 'tlb_remove_table_smp_sync',
    ipiPending: ({ context }) => context.pending.length > 0,
    nested: ({ context }) => context.irqDepth > 1,
    /** Another address space by now (only a remote flush can find that): F4. */
    isOtherMm: ({ context }) => context.flush?.remote === true && requestOf(context).mm !== context.loadedMm,
    noMmLoaded: ({ context }) => context.loadedMm === null || requestOf(context).mm !== context.loadedMm,
    isLazy: ({ context }) => context.lazy,
    /** A later flush has done it already. */
    isUpToDate: ({ context }) => namesMm(context) && requestOf(context).gen <= localGen(context),
    isCurrent: ({ context, event }) => received(event, 'tlb_gen').gen === localGen(context),
    /** Safeguard: the range alone is flushed only if nothing else is owed; else the next request would be taken for done. */
    mayFlushRange: ({ context, event }) => {
      const { vpns, gen } = requestOf(context);
      return vpns !== 'all' && gen === localGen(context) + 1 && gen === received(event, 'tlb_gen').gen;
    },
    isRemote: ({ context }) => context.flush?.remote === true,
    canFill: ({ context, event }) => context.cr3 !== null && entryFor(context, received(event, 'fill').vpn) === undefined,
    cached: ({ context, event }) => entryFor(context, received(event, 'evict').vpn) !== undefined,
    tableCached: ({ context, event }) => tableFor(context, received(event, 'evict_table').vpn) !== undefined,
    hit: ({ context, event }) => hits(context, received(event, 'access')),
    hitWithBuffer: ({ context, event }) => context.storeBuffer !== null && hits(context, received(event, 'access')),
    tablesLoaded: ({ context }) => context.cr3 !== null,
    speculative: ({ context }) => context.walk?.user === null,
    allows: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && (context.walk?.write !== true || pte.write);
    },
    hasNoBuffer: ({ context }) => context.storeBuffer === null,
    isStore: ({ context }) => context.translated?.write === true,
    /** Safeguard: x86 empties the store buffer before the handler of an interrupt runs, so that no store through what an IPI flushes comes after its acknowledgement. */
    drainsOnInterrupt: ({ context }) => context.storeBuffer !== null && context.pending.length > 0,
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
    callFlush: raise(({ context }) => ({ type: 'flush_tlb_func', request: context.pending[0]?.request as AnyFlushRequest })),
    noteFlush: assign({
      flush: ({ event }) => {
        const { request, from } = received(event, 'flush_tlb_func');
        return { request, remote: from === undefined };
      },
    }),
    clearOwnBit: tell(({ context }) => requestOf(context).mm, { type: 'cpumask.clear' }),
    leaveMm: assign({ cr3: null, loadedMm: null, lazy: false }),
    readMmGen: tell(({ context }) => requestOf(context).mm, { type: 'tlb_gen.read' }),
    flushRange: assign({
      tlb: ({ context }) => without(context.tlb, (key) => covers(requestOf(context), key)),
      tables: ({ context }) => without(context.tables, (key) => isAsid(key, requestOf(context).mm)),
    }),
    flushAll: assign({
      tlb: ({ context }) => without(context.tlb, (key) => isAsid(key, requestOf(context).mm)),
      tables: ({ context }) => without(context.tables, (key) => isAsid(key, requestOf(context).mm)),
    }),
    observeFlush: inform(
      ({ context }) => context.observer,
      ({ context }) => ({ type: 'luf.tlb_flushed', mm: requestOf(context).mm }),
    ),
    observeLoad: inform(
      ({ context, event }) => {
        const { mm, gen } = received(event, 'cr3.write');
        return mm !== null && (context.ctxs[mm] ?? 0) < gen ? context.observer : null;
      },
      ({ event }) => ({ type: 'luf.tlb_flushed', mm: received(event, 'cr3.write').mm }),
    ),
    noteGen: assign({ ctxs: ({ context, event }) => ({ ...context.ctxs, [requestOf(context).mm]: received(event, 'tlb_gen').gen }) }),
    endFlush: assign({ flush: null }),
    acknowledge: tell(
      ({ context }) => context.interconnect,
      ({ context }) => ({ type: 'ipi.ack', initiator: (context.pending[0] as PendingIpi).initiator }),
    ),
    takeFirst: assign({ pending: ({ context }) => context.pending.slice(1) }),
    invalidate: assign({
      tlb: ({ context, event }) => without(context.tlb, (key) => covers(received(event, 'tlb.invalidate').request, key)),
      tables: ({ context, event }) => {
        const { mm, vpns, freedTables } = received(event, 'tlb.invalidate').request;
        return freedTables || vpns === 'all' ? without(context.tables, (key) => isAsid(key, mm)) : context.tables;
      },
    }),
    evict: assign({ tlb: ({ context, event }) => without(context.tlb, (key) => key === asidKey(context.cr3 ?? '', received(event, 'evict').vpn)) }),
    evictTable: assign({
      tables: ({ context, event }) => without(context.tables, (key) => key === asidKey(context.cr3 ?? '', pmdIndex(received(event, 'evict_table').vpn))),
    }),
    replyLoadedMm: reply(({ context }) => ({ type: 'loaded_mm', mm: context.loadedMm })),
    replyLazy: reply(({ context }) => ({ type: 'is_lazy', mode: context.lazy ? 'lazy' : 'running' })),
    beLazy: assign({ lazy: true }),
    beLazyNoMore: assign({ lazy: false }),
    noteLoadedMm: assign({ loadedMm: ({ event }) => received(event, 'loaded_mm.write').mm }),
    loadCr3: assign(({ context, event }) => {
      const { mm, gen } = received(event, 'cr3.write');
      if (mm === null) return { cr3: null };
      if ((context.ctxs[mm] ?? 0) >= gen) return { cr3: mm };
      const stale = (key: string): boolean => isAsid(key, mm);
      return { cr3: mm, ctxs: { ...context.ctxs, [mm]: gen }, tlb: without(context.tlb, stale), tables: without(context.tables, stale) };
    }),
    speculate: assign({ walk: ({ event }) => ({ vpn: received(event, 'fill').vpn, write: false, user: null }) }),
    walkFor: assign({
      walk: ({ event }) => {
        const { vpn, write, from } = received(event, 'access');
        return { vpn, write, user: from };
      },
    }),
    readPte: enqueueActions(({ enqueue, context }) => {
      const { vpn, write } = context.walk as Walk;
      const table = tableFor(context, vpn);
      if (table) enqueue(tell(table, { type: 'table.read' }));
      enqueue(tell(context.cr3 as Address, { type: 'pte.walk', vpn, write, table: table ?? null }));
    }),
    cacheTable: assign({
      tables: ({ context, event }) => {
        const { table } = received(event, 'pte');
        return table && context.walk ? { ...context.tables, [asidKey(context.cr3 as Address, pmdIndex(context.walk.vpn))]: table } : context.tables;
      },
    }),
    insert: assign({
      tlb: ({ context, event }) => {
        const { pte } = received(event, 'pte');
        return pte.kind === 'present' && context.walk ? { ...context.tlb, [asidKey(context.cr3 as Address, context.walk.vpn)]: entryOf(pte) } : context.tlb;
      },
    }),
    translateHit: assign({
      translated: ({ context, event }) => {
        const { vpn, write, from } = received(event, 'access');
        return { vpn, write, user: from, pfn: (entryFor(context, vpn) as TlbEntry).pfn };
      },
    }),
    translateFilled: assign({
      translated: ({ context, event }) => ({
        ...(context.walk as Walk & { user: Address }),
        pfn: (received(event, 'pte').pte as Extract<Pte, { kind: 'present' }>).pfn,
      }),
    }),
    touch: tell(
      ({ context }) => pageAt((context.translated as Translated).pfn),
      ({ context }) => accessOf(context),
    ),
    bufferStore: tell(
      ({ context }) => context.storeBuffer as Address,
      ({ context }) => {
        const page = pageAt((context.translated as Translated).pfn);
        // The user hears of it now, and nobody when it is in memory.
        return { type: 'store', location: page, to: page, message: { ...accessOf(context), user: null } };
      },
    ),
    askBuffer: tell(
      ({ context }) => context.storeBuffer as Address,
      ({ context }) => ({ type: 'load', location: pageAt((context.translated as Translated).pfn) }),
    ),
    replyRetired: tell(
      ({ context }) => (context.translated as Translated).user,
      ({ context }) => {
        const { vpn, pfn, write } = context.translated as Translated;
        return { type: 'access.done', vpn, pfn, write };
      },
    ),
    endAccess: assign({ translated: null }),
    replyDone: tell(
      ({ event }) => received(event, 'memory.value').user,
      ({ event }) => {
        const { vpn, pfn, write, value } = received(event, 'memory.value');
        return { type: 'access.done', vpn, pfn, write, ...(value === null ? {} : { value }) };
      },
    ),
    drain: inform(({ context }) => context.storeBuffer, { type: 'fence' }),
    drainIfOwn: inform(({ context, event }) => (received(event, 'flush_tlb_func').from === undefined ? null : context.storeBuffer), { type: 'fence' }),
    replyFault: tell(
      ({ context }) => context.walk?.user as Address,
      ({ context }) => ({ type: 'access.fault', result: 'fault', vpn: context.walk?.vpn }),
    ),
    faultAtOnce: reply(({ event }) => ({ type: 'access.fault', result: 'fault', vpn: received(event, 'access').vpn })),
    endWalk: assign({ walk: null }),
  },
}).createMachine({
  id: 'cpu',
  type: 'parallel',
  context: ({ input: { mm, interconnect, rcu, observer, storeBuffer, cached } }) => ({
    cr3: mm,
    loadedMm: mm,
    lazy: false,
    ctxs: { ...(mm === null ? {} : { [mm]: 1 }), ...(cached ? { [cached.mm]: 1 } : {}) },
    tlb: Object.fromEntries(Object.entries(cached?.tlb ?? {}).map(([vpn, entry]) => [asidKey(cached?.mm as Address, Number(vpn)), entry])),
    tables: {},
    pending: [],
    flush: null,
    walk: null,
    translated: null,
    irqDepth: 0,
    rcu: rcu ?? null,
    observer: observer ?? null,
    interconnect,
    storeBuffer: storeBuffer ?? null,
  }),
  on: { fenced: { description: 'The store buffer is empty: within the step that asked for it' } },
  states: {
    interrupts: {
      initial: 'enabled',
      description: 'The interrupt flag. An IPI is latched in either state and taken only while enabled.',
      on: { ipi: { actions: 'latch' } },
      states: {
        enabled: {
          description: 'Interrupts on: the function of the first pending IPI runs, and is acknowledged',
          on: {
            interrupt: [
              { guard: 'drainsOnInterrupt', target: 'draining', actions: 'drain' },
              { guard: 'isTableSync', actions: ['acknowledge', 'takeFirst'], description: 'tlb_remove_table_smp_sync does nothing: that it ran is the point' },
              { guard: 'ipiPending', actions: 'callFlush' },
            ],
            'irq.save': [
              { guard: 'tracksRcu', target: 'disabled', actions: ['drain', 'deeper', 'rcuEnter'] },
              { target: 'disabled', actions: ['drain', 'deeper'] },
            ],
          },
        },
        draining: {
          description: 'The store buffer is emptied first, within the same step; then the function runs',
          on: {
            fenced: [
              { guard: 'isTableSync', target: 'enabled', actions: ['acknowledge', 'takeFirst'] },
              { target: 'enabled', actions: 'callFlush' },
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
    tlbstate: {
      initial: 'ready',
      description: 'cpu_tlbstate, and what flushes by it. A flush is one step: after its read of tlb_gen it touches this CPU only.',
      on: {
        'loaded_mm.read': { actions: 'replyLoadedMm', description: 'F3' },
        'is_lazy.read': { actions: 'replyLazy', description: 'F3' },
        'is_lazy.set': { actions: 'beLazy', description: 'enter_lazy_tlb' },
        'is_lazy.clear': { actions: 'beLazyNoMore' },
        'loaded_mm.write': { actions: 'noteLoadedMm' },
        'cr3.write': {
          actions: ['drain', 'observeLoad', 'loadCr3'],
          description: 'load_new_mm_cr3: what the ASID has cached is dropped if its generation is behind',
        },
        'tlb.invalidate': {
          actions: ['drain', 'invalidate'],
          description: 'a broadcast, which is complete when the stores that it concerns are; upper levels stay cached unless tables are freed',
        },
      },
      states: {
        ready: { description: 'No flush under way', on: { flush_tlb_func: { target: 'flush_tlb_func', actions: ['drainIfOwn', 'noteFlush'] } } },
        flush_tlb_func: {
          description: 'Is there anything to do? (arch/x86/mm/tlb.c)',
          always: [
            { guard: 'isOtherMm', target: 'flushed', actions: 'clearOwnBit' },
            { guard: 'noMmLoaded', target: 'flushed' },
            { guard: 'isLazy', target: 'leave_mm', actions: 'leaveMm' },
            { guard: 'isUpToDate', target: 'flushed' },
            { target: 'read_mm_tlb_gen' },
          ],
        },
        leave_mm: {
          description: 'A lazy CPU has no use for this address space: init_mm is loaded instead',
          always: 'flushed',
        },
        read_mm_tlb_gen: {
          description: 'How much is owed by now? One generation: its range; more: everything. The ASID is then at the generation read.',
          entry: 'readMmGen',
          on: {
            tlb_gen: [
              { guard: 'isCurrent', target: 'flushed' },
              { guard: 'mayFlushRange', target: 'flushed', actions: ['flushRange', 'noteGen'] },
              { target: 'flushed', actions: ['flushAll', 'noteGen', 'observeFlush'] },
            ],
          },
        },
        flushed: {
          description: 'Done: who sent an IPI is told',
          always: [
            { guard: 'isRemote', target: 'ready', actions: ['acknowledge', 'takeFirst', 'endFlush'] },
            { target: 'ready', actions: 'endFlush' },
          ],
        },
      },
    },
    mmu: {
      initial: 'ready',
      description: 'TLB and page walker. The walker takes no reference and asks nobody.',
      on: { 'memory.value': { actions: 'replyDone', description: 'the access has retired' } },
      states: {
        ready: {
          description: 'No walk under way',
          on: {
            fill: { guard: 'canFill', target: 'walking', actions: ['speculate', 'readPte'] },
            evict: { guard: 'cached', actions: 'evict' },
            evict_table: { guard: 'tableCached', actions: 'evictTable' },
            access: [
              { guard: 'hitWithBuffer', target: 'translated', actions: 'translateHit' },
              { guard: 'hit', actions: ['translateHit', 'touch', 'endAccess'] },
              { guard: 'tablesLoaded', target: 'walking', actions: ['walkFor', 'readPte'] },
              { actions: ['drain', 'faultAtOnce'] },
            ],
          },
        },
        walking: {
          description: 'Reads the levels that it has not cached, then the pte (one step with the fill); a store sets D by a locked update',
          on: {
            pte: [
              { guard: 'speculative', target: 'ready', actions: ['cacheTable', 'insert', 'endWalk'] },
              { guard: 'allows', target: 'translated', actions: ['cacheTable', 'insert', 'translateFilled', 'endWalk'] },
              { target: 'ready', actions: ['cacheTable', 'drain', 'replyFault', 'endWalk'] },
            ],
          },
        },
        translated: {
          description: 'Goes to memory; or, with a store buffer, a store has retired when it is there, and a load looks there first',
          always: [
            { guard: 'hasNoBuffer', target: 'ready', actions: ['touch', 'endAccess'] },
            { guard: 'isStore', target: 'ready', actions: ['bufferStore', 'replyRetired', 'endAccess'] },
            { target: 'load', actions: 'askBuffer' },
          ],
        },
        load: {
          description: 'Store forwarding: a load of what is on its way does not touch the memory',
          on: {
            'load.forwarded': { target: 'ready', actions: ['replyRetired', 'endAccess'] },
            'load.memory': { target: 'ready', actions: ['touch', 'endAccess'] },
          },
        },
      },
    },
  },
});
