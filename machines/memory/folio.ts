import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { pageAt } from './address-space.js';

interface Context {
  pfn: number;
  refcount: number;
  pincount: number;
  mapcount: number;
  /** The reference count of an idle page: 1 up to 6.14, 0 since 6.15 for dax; 0 for a page of ZONE_NORMAL. */
  idle: number;
  /** A page of ZONE_NORMAL is free when its last reference goes; one of ZONE_DEVICE belongs to its device, unless it is private. */
  zone: 'normal' | 'device';
  /** PG_dirty. */
  dirty: boolean;
  /** Its memory was stored to (in ZONE_NORMAL), so that it must be dirty, or a pte that maps it, or the store is lost. */
  written: boolean;
  /** Who sleeps until the page is idle (wait_var_event). */
  waiters: Address[];
  /** PageAnonExclusive: nobody else may map it, so that a write fault need not copy. */
  anonExclusive: boolean;
  /** What is in its memory; null: not modelled. */
  content: string | null;
  /** The kernel has read the memory to copy it or to write it out: a store that comes now is lost. Until it is mapped anew. */
  sampled: boolean;
  /**
   * Who judges accesses through translations (see coherence): freed memory may then be read until it is handed out again. null:
   * nobody, and freed memory is not handed out again, so that each access to it is seen.
   */
  coherence: Address | null;
  /** Device-private memory: the secondary MMU of the only device that reaches it, else null. A driver hands such pages out. */
  device: Address | null;
  /** The secondary MMU whose device is between the load and the store of an atomic; null: none. */
  atomic: Address | null;
  /** page->mapping of a page of a file, where somebody asks; null: private, or not modelled. */
  mapping: Address | null;
  /**
   * The record that page->mapping of a write-protected page leads to (a stable node of KSM, or its generalisation). `stable`: several
   * share the bytes, so that they never change.
   */
  protection: { record: Address; stable: boolean } | null;
  /** Nobody had written its struct page at first. */
  uninitialised: boolean;
  /** PG_writeback, and who waits until it ends; null: not under writeback. */
  writeback: { waiters: Address[] } | null;
  /** Pages of the folio whose head it is (folio_nr_pages). */
  nr: number;
  /** The struct page of a tail: counters are in the head's. null: no tail. */
  tail: Tail | null;
}

/** What the word compound_head of a tail holds: its head, or since 7.3 how many pages the folio has, whose head follows from the tail's own address. */
export type Tail = { head: number } | { mask: number };

/**
 * An access to memory through a translation, of a CPU or of a secondary MMU: from which address space and virtual page, for
 * whom; a device without an MMU gives neither. `atomic`: it is one of the two ends of an atomic of a device.
 */
export interface MemoryAccess {
  write: boolean;
  mm?: Address;
  vpn?: number;
  user?: Address | null;
  atomic?: 'load' | 'store';
}
/** The answer to a CPU: the access has retired; what it loaded or stored, null where contents are not modelled. */
export type MemoryValue = { type: 'memory.value'; user: Address; vpn: number; pfn: number; write: boolean; value: string | null };

type Event =
  | Signed<{ type: 'page.head'; pfn?: number } | { type: 'page.read' } | { type: 'page.remove' } | { type: 'page.poison' }>
  | Signed<{ type: 'page.init'; refcount: number } | ({ type: 'page.prep_tail' } & Tail) | { type: 'page.prep_head'; nr: number }>
  | Signed<{ type: 'folio.try_get' | 'folio.get' | 'folio.put' | 'folio.pin' | 'folio.unpin'; refs?: number }>
  | Signed<
      | { type: 'folio.nr_pages' }
      | { type: 'folio.split'; refcount: number }
      | { type: 'page.clear_head'; refcount: number; exclusive?: boolean }
      | { type: 'page.free_tail' }
    >
  | Signed<{ type: 'folio.ref_inc' } | { type: 'folio.ref_dec' }>
  | Signed<{ type: 'folio.add_rmap' } | { type: 'folio.remove_rmap' }>
  | Signed<{ type: 'folio.mark_dirty' } | { type: 'folio.prep_new' }>
  | Signed<{ type: 'folio.wait_idle' }>
  | Signed<{ type: 'folio.freeze'; expected: number; clean?: boolean } | { type: 'folio.unfreeze'; refcount: number } | { type: 'folio.free' }>
  | Signed<{ type: 'folio.clean' } | { type: 'folio.set_exclusive'; exclusive: boolean }>
  | Signed<{ type: 'memory.access' } & MemoryAccess>
  | Signed<{ type: 'memory.read'; sample: boolean; device?: Address } | { type: 'memory.write'; value: string; device?: Address }>
  | Signed<{ type: 'memory.judged'; value: string; access: MemoryAccess; cpu: Address }>
  | Signed<{ type: 'folio.mapping' } | { type: 'folio.set_mapping'; mapping: Address | null }>
  | Signed<{ type: 'folio.protect'; record: Address; stable: boolean } | { type: 'folio.unprotect' }>
  | Signed<{ type: 'folio.start_writeback' } | { type: 'folio.end_writeback' } | { type: 'folio.wait_writeback' }>;

const { tell, reply, inform, forward } = speaker<Context, Event>();

/** Nobody but mappings (where each holds a reference) refers to it. */
const isIdle = ({ refcount, mapcount, idle }: Context): boolean => refcount - mapcount === idle;
/** An allocator has it when it is not in use, be it of the kernel or of a driver. A tail goes with its head. */
const isAllocated = ({ zone, device, tail }: Context): boolean => (zone === 'normal' || device !== null) && tail === null;
/** References or pins that a message is about. */
const refsOf = (event: Event): number => received(event, 'folio.try_get', 'folio.get', 'folio.put', 'folio.pin', 'folio.unpin').refs ?? 1;
/** The head of the page that the struct page is taken for. */
const compoundHead = (tail: Tail | null, pfn: number): number => (tail === null ? pfn : 'head' in tail ? tail.head : pfn - (pfn % tail.mask));
const headOf = ({ context: { tail, pfn } }: { context: Context }): Address => pageAt(compoundHead(tail, pfn));
const tailsOf = ({ pfn, nr }: Context): Address[] => Array.from({ length: nr - 1 }, (_, index) => pageAt(pfn + index + 1));

interface Input {
  pfn: number;
  refcount: number;
  mapcount?: number;
  idle: number;
  zone?: Context['zone'];
  content?: string;
  anonExclusive?: boolean;
  coherence?: Address;
  device?: Address;
  mapping?: Address;
  protection?: Context['protection'];
  nr?: number;
  tail?: Tail;
  /** Nobody has written its struct page yet. */
  uninitialised?: boolean;
}

/**
 * A page of memory and its struct page: reference count, pin count, map count; those of a folio of several pages are in the head's,
 * and each tail says which that is. The struct page of a tail that shares its frame with others' is reached by several addresses (see vmemmap). After remove_pages the
 * struct page is absent, and so is the memory: any touch is a bug. A free page keeps its struct page; its memory is not
 * handed out again, as in a quarantine, so that every stale access is seen, unless contents are modelled. FOLL_PIN's bias
 * of 1024 references is counted apart, as `pincount`. Domain table: G8, Z5, Z14, U4, U6; invariants I1, I2, I3, I6; part
 * 2, 0.1 (frame).
 */
export const folio = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    frozen: ({ context }) => context.refcount === 0,
    unreferenced: ({ context, event }) => context.refcount < (event.type === 'folio.put' ? refsOf(event) : 1),
    unpinned: ({ context, event }) => context.pincount < refsOf(event),
    isIdle: ({ context }) => isIdle(context),
    isTail: ({ context }) => context.tail !== null,
    isUninitialised: ({ context }) => context.uninitialised,
    isLast: ({ context, event }) => isAllocated(context) && context.refcount === refsOf(event),
    isFree: ({ context }) => isAllocated(context) && context.refcount === 0,
    isNormalStore: ({ context, event }) => context.zone === 'normal' && received(event, 'memory.access').write,
    /** I5: until it has stored, the device alone uses the memory. */
    breaksAtomic: ({ context, event }) => context.atomic !== null && context.atomic !== event.from,
    /** Nobody but its device reaches device-private memory; the kernel copies it by an engine of the device. */
    isOutOfReach: ({ context, event }) =>
      context.device !== null && context.device !== (event.type === 'memory.access' ? event.from : received(event, 'memory.read', 'memory.write').device),
    isJudged: ({ context, event }) => context.coherence !== null && received(event, 'memory.access').mm !== undefined,
    canFreeze: ({ context, event }) => {
      const { expected, clean } = received(event, 'folio.freeze');
      return context.refcount === expected && !(clean && context.dirty);
    },
    isUnderWriteback: ({ context }) => context.writeback !== null,
    /** I7: who shares its bytes has not asked for others. */
    isStable: ({ context }) => context.protection?.stable === true,
    changesStable: ({ context, event }) => context.protection?.stable === true && received(event, 'memory.access').write,
    becomesIdle: ({ context, event }) => isIdle({ ...context, refcount: context.refcount - refsOf(event) }) && context.waiters.length > 0,
  },
  actions: {
    replyHead: reply(({ context, event }) => ({ type: 'page.head', head: compoundHead(context.tail, received(event, 'page.head').pfn ?? context.pfn) })),
    replyNr: reply(({ context }) => ({ type: 'folio.nr_pages', nr: context.nr })),
    initialise: assign({
      refcount: ({ event }) => received(event, 'page.init').refcount,
      pincount: 0,
      mapcount: 0,
      nr: 1,
      tail: null,
      dirty: false,
      anonExclusive: false,
      mapping: null,
      protection: null,
      writeback: null,
    }),
    setTail: assign({
      refcount: 0,
      tail: ({ event }) => {
        const { type: _, from: __, ...tail } = received(event, 'page.prep_tail');
        return tail;
      },
    }),
    setNr: assign({ nr: ({ event }) => received(event, 'page.prep_head').nr }),
    clearTails: enqueueActions(({ enqueue, context, event }) => {
      for (const tail of tailsOf(context))
        enqueue(
          tell(tail, {
            type: 'page.clear_head',
            refcount: received(event, 'folio.split').refcount,
            ...(context.anonExclusive ? { exclusive: true } : {}),
          }),
        );
      enqueue.assign({ nr: 1 });
    }),
    clearTail: assign(({ event }) => {
      const { refcount, exclusive = false } = received(event, 'page.clear_head');
      return { tail: null, refcount, anonExclusive: exclusive };
    }),
    freeTails: enqueueActions(({ enqueue, context }) => {
      for (const tail of tailsOf(context)) enqueue(tell(tail, { type: 'page.free_tail' }));
      enqueue.assign({ nr: 1 });
    }),
    freeTail: assign({ tail: null }),
    replyCounts: reply(({ context }) => ({
      type: 'page.counts',
      refcount: context.refcount,
      mapcount: context.mapcount,
      idle: isIdle(context),
      ...(context.dirty ? { dirty: true } : {}),
      ...(context.anonExclusive ? { exclusive: true } : {}),
      ...(context.pincount > 0 ? { pinned: true } : {}),
      ...(context.mapping !== null ? { file: true } : {}),
      ...(context.protection ? { protection: context.protection.stable ? 'stable' : 'record' } : {}),
    })),
    get: assign({ refcount: ({ context, event }) => context.refcount + refsOf(event) }),
    put: assign({ refcount: ({ context, event }) => context.refcount - refsOf(event) }),
    refInc: assign({ refcount: ({ context }) => context.refcount + 1 }),
    refDec: assign({ refcount: ({ context }) => context.refcount - 1 }),
    replyGot: reply(({ context }) => ({ type: 'folio.got', refcount: context.refcount })),
    replyFrozen: reply({ type: 'folio.frozen' }),
    replyPut: reply(({ context }) => ({ type: 'folio.put', refcount: context.refcount })),
    pin: assign({ pincount: ({ context, event }) => context.pincount + refsOf(event) }),
    unpin: assign({ pincount: ({ context, event }) => context.pincount - refsOf(event) }),
    addRmap: assign({ mapcount: ({ context }) => context.mapcount + 1, sampled: false }),
    // Its caller has looked up the head, which cannot change while the page is mapped.
    askHead: forward(headOf, ({ event }) => received(event, 'page.read')),
    addRmapOfHead: tell(headOf, { type: 'folio.add_rmap' }),
    removeRmapOfHead: tell(headOf, { type: 'folio.remove_rmap' }),
    removeRmap: assign({ mapcount: ({ context }) => context.mapcount - 1 }),
    markDirty: assign({ dirty: true }),
    noteWritten: assign({ written: true }),
    noteAtomic: assign({
      atomic: ({ context, event }) => {
        const { atomic, from } = received(event, 'memory.access');
        return atomic === undefined ? context.atomic : atomic === 'load' ? from : null;
      },
    }),
    prepNew: assign({
      refcount: 1,
      mapcount: 0,
      dirty: false,
      written: false,
      anonExclusive: false,
      sampled: false,
      mapping: null,
      protection: null,
      writeback: null,
      nr: 1,
      tail: null,
    }),
    freeze: assign({ refcount: 0 }),
    replyRefFrozen: reply({ type: 'folio.ref_freeze', result: 'frozen' }),
    replyBusy: reply({ type: 'folio.ref_freeze', result: 'busy' }),
    unfreeze: assign({ refcount: ({ event }) => received(event, 'folio.unfreeze').refcount }),
    markClean: assign({ dirty: false }),
    setExclusive: assign({ anonExclusive: ({ event }) => received(event, 'folio.set_exclusive').exclusive }),
    askJudge: tell(
      ({ context }) => context.coherence as Address,
      ({ context, event }) => {
        const { type: _type, from: cpu, ...access } = received(event, 'memory.access');
        const { pfn, content, sampled, refcount } = context;
        return { type: 'memory.accessed', access, cpu, pfn, content, sampled, free: refcount === 0 };
      },
    ),
    store: assign({ content: ({ event }) => received(event, 'memory.judged').value }),
    replyJudged: tell(
      ({ event }) => received(event, 'memory.judged').cpu,
      ({ context, event }) => {
        const { access, value } = received(event, 'memory.judged');
        return { type: 'memory.value', user: access.user, vpn: access.vpn, pfn: context.pfn, write: access.write, value };
      },
    ),
    replyValue: inform(
      ({ event }) => (received(event, 'memory.access').user ? received(event, 'memory.access').from : null),
      ({ context, event }) => {
        const { user, vpn, write } = received(event, 'memory.access');
        return { type: 'memory.value', user, vpn, pfn: context.pfn, write, value: null };
      },
    ),
    replyContent: reply(({ context }) => ({ type: 'memory.content', value: context.content })),
    noteSampled: assign({ sampled: ({ context, event }) => context.sampled || received(event, 'memory.read').sample }),
    setContent: assign({ content: ({ event }) => received(event, 'memory.write').value }),
    // The record stands in page->mapping.
    replyMapping: reply(({ context }) => ({
      type: 'folio.mapping',
      mapping: context.protection === null ? context.mapping : null,
      record: context.protection?.record ?? null,
    })),
    setMapping: assign({ mapping: ({ event }) => received(event, 'folio.set_mapping').mapping }),
    protect: assign({
      protection: ({ event }) => {
        const { record, stable } = received(event, 'folio.protect');
        return { record, stable };
      },
    }),
    unprotect: assign({ protection: null }),
    startWriteback: assign({ writeback: { waiters: [] } }),
    awaitWriteback: assign({ writeback: ({ context, event }) => ({ waiters: [...(context.writeback?.waiters ?? []), event.from] }) }),
    endWriteback: enqueueActions(({ enqueue, context }) => {
      for (const waiter of context.writeback?.waiters ?? []) enqueue(tell(waiter, { type: 'writeback.ended' }));
      enqueue.assign({ writeback: null });
    }),
    replyWritebackEnded: reply({ type: 'writeback.ended' }),
    await: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    wakeAll: enqueueActions(({ enqueue, context }) => {
      for (const waiter of context.waiters) enqueue(tell(waiter, { type: 'page.idle' }));
      enqueue.assign({ waiters: [] });
    }),
    replyIdle: reply({ type: 'page.idle' }),
  },
}).createMachine({
  id: 'page',
  context: ({ input }) => ({
    pincount: 0,
    mapcount: 0,
    waiters: [],
    zone: 'device',
    dirty: false,
    written: false,
    anonExclusive: false,
    content: null,
    sampled: false,
    coherence: null,
    device: null,
    atomic: null,
    mapping: null,
    protection: null,
    writeback: null,
    nr: 1,
    tail: null,
    uninitialised: false,
    ...input,
  }),
  initial: 'initial',
  states: {
    initial: {
      description: 'A page of ZONE_NORMAL, or of device-private memory, is free from the start if nobody refers to it',
      always: [{ guard: 'isUninitialised', target: 'uninitialised' }, { guard: 'isFree', target: 'free' }, { target: 'present' }],
    },
    uninitialised: {
      description: 'The struct page is mapped, but holds poison, or whatever was in its frame before',
      on: {
        'page.init': { target: 'present', actions: 'initialise' },
        'page.poison': { description: 'again' },
        'page.head': { target: 'uninitialised_struct_page' },
        'page.read': { target: 'uninitialised_struct_page' },
        'page.prep_tail': { target: 'uninitialised_struct_page' },
        'page.prep_head': { target: 'uninitialised_struct_page' },
        'page.clear_head': { target: 'uninitialised_struct_page' },
        'folio.nr_pages': { target: 'uninitialised_struct_page' },
        'folio.split': { target: 'uninitialised_struct_page' },
        'folio.try_get': { target: 'uninitialised_struct_page' },
        'folio.get': { target: 'uninitialised_struct_page' },
        'folio.put': { target: 'uninitialised_struct_page' },
        'folio.pin': { target: 'uninitialised_struct_page' },
        'folio.unpin': { target: 'uninitialised_struct_page' },
        'folio.ref_inc': { target: 'uninitialised_struct_page' },
        'folio.ref_dec': { target: 'uninitialised_struct_page' },
        'folio.add_rmap': { target: 'uninitialised_struct_page' },
        'folio.remove_rmap': { target: 'uninitialised_struct_page' },
        'folio.wait_idle': { target: 'uninitialised_struct_page' },
        'folio.mark_dirty': { target: 'uninitialised_struct_page' },
        'folio.freeze': { target: 'uninitialised_struct_page' },
        'folio.unfreeze': { target: 'uninitialised_struct_page' },
        'folio.set_exclusive': { target: 'uninitialised_struct_page' },
        'folio.clean': { target: 'uninitialised_struct_page' },
        'folio.mapping': { target: 'uninitialised_struct_page' },
        'folio.set_mapping': { target: 'uninitialised_struct_page' },
        'folio.protect': { target: 'uninitialised_struct_page' },
        'folio.unprotect': { target: 'uninitialised_struct_page' },
        'folio.start_writeback': { target: 'uninitialised_struct_page' },
        'folio.end_writeback': { target: 'uninitialised_struct_page' },
        'folio.wait_writeback': { target: 'uninitialised_struct_page' },
        'folio.free': { target: 'uninitialised_struct_page' },
        'page.free_tail': { target: 'uninitialised_struct_page' },
        'page.remove': { target: 'removed', description: 'U6' },
        'memory.access': { actions: 'replyValue', description: 'The memory is there, whatever its struct page says' },
      },
    },
    present: {
      description: 'The struct page is mapped and initialised, and the memory is there',
      on: {
        'page.head': { actions: 'replyHead', description: 'G8a: compound_head' },
        'page.read': [{ guard: 'isTail', actions: 'askHead' }, { actions: 'replyCounts' }],
        'page.init': { actions: 'initialise', description: '__init_single_page' },
        'page.poison': { target: 'uninitialised', description: 'page_init_poison' },
        'page.prep_tail': { actions: 'setTail', description: "prep_compound_tail: from here its counters are the head's" },
        'page.prep_head': { actions: 'setNr', description: 'prep_compound_head' },
        'page.clear_head': { actions: 'clearTail', description: 'clear_compound_head: a folio of its own' },
        'page.free_tail': { target: 'free', actions: 'freeTail', description: 'free_tail_page_prepare: it goes with its head' },
        'folio.nr_pages': { actions: 'replyNr' },
        'folio.split': { actions: 'clearTails', description: '__split_huge_page, dax_folio_reset_order: every page becomes a folio of its own' },
        'folio.try_get': [{ guard: 'frozen', actions: 'replyFrozen' }, { actions: ['get', 'replyGot'] }],
        'folio.get': { actions: ['get', 'replyGot'] },
        'folio.put': [
          { guard: 'unreferenced', target: 'refcount_underflow' },
          { guard: 'isLast', target: 'free', actions: ['put', 'replyPut', 'freeTails'] },
          { guard: 'becomesIdle', actions: ['put', 'wakeAll', 'replyPut'] },
          { actions: ['put', 'replyPut'] },
        ],
        'folio.ref_inc': { actions: 'refInc', description: 'The reference of a mapping, or of a cache; no answer' },
        'folio.ref_dec': [
          { guard: 'unreferenced', target: 'refcount_underflow' },
          { actions: 'refDec', description: 'Not the last one: the caller has another' },
        ],
        'folio.pin': { actions: 'pin', description: 'G8d' },
        'folio.unpin': [{ guard: 'unpinned', target: 'refcount_underflow' }, { actions: 'unpin' }],
        'folio.add_rmap': [{ guard: 'isTail', actions: 'addRmapOfHead' }, { actions: 'addRmap' }],
        'folio.remove_rmap': [
          { guard: 'isTail', actions: 'removeRmapOfHead' },
          { actions: 'removeRmap', description: 'Z5' },
        ],
        'folio.wait_idle': [{ guard: 'isIdle', actions: 'replyIdle' }, { actions: 'await' }],
        'page.remove': { target: 'removed', description: 'U6: remove_pages takes struct page and memory away' },
        'folio.mark_dirty': { actions: 'markDirty', description: 'Z5: the dirty bit of a pte goes to the folio' },
        'folio.clean': { actions: 'markClean', description: 'folio_clear_dirty_for_io' },
        'folio.set_exclusive': { actions: 'setExclusive' },
        'folio.freeze': [
          { guard: 'canFreeze', actions: ['freeze', 'replyRefFrozen'], description: 'R6: folio_ref_freeze: nobody else refers to it, nor has it become dirty' },
          { actions: 'replyBusy' },
        ],
        'folio.unfreeze': { actions: 'unfreeze' },
        'folio.mapping': { actions: 'replyMapping', description: 'page->mapping, or the record that stands there' },
        'folio.set_mapping': { actions: 'setMapping', description: 'It joins a page cache, or leaves it (null)' },
        'folio.protect': { actions: 'protect', description: 'set_page_stable_node: nobody may store to it without breaking the protection first' },
        'folio.unprotect': { actions: 'unprotect' },
        'folio.start_writeback': { actions: 'startWriteback' },
        'folio.end_writeback': { actions: 'endWriteback' },
        'folio.wait_writeback': [{ guard: 'isUnderWriteback', actions: 'awaitWriteback' }, { actions: 'replyWritebackEnded' }],
        'folio.free': { target: 'free', actions: 'freeTails', description: 'R9: free_unref_folios' },
        'memory.read': [
          { guard: 'isOutOfReach', target: 'private_memory_accessed', actions: 'replyContent' },
          { guard: 'breaksAtomic', target: 'accessed_in_atomic', actions: 'replyContent' },
          { actions: ['replyContent', 'noteSampled'], description: 'The kernel reads it, to copy it or to write it out' },
        ],
        'memory.write': [
          { guard: 'isOutOfReach', target: 'private_memory_accessed' },
          { guard: 'breaksAtomic', target: 'accessed_in_atomic' },
          { guard: 'isStable', target: 'stable_page_written' },
          { actions: 'setContent', description: 'The kernel fills it: zeroes, a copy, what a device has read' },
        ],
        'memory.judged': { actions: ['store', 'replyJudged'] },
        'memory.access': [
          { guard: 'isOutOfReach', target: 'private_memory_accessed', actions: 'replyValue' },
          { guard: 'breaksAtomic', target: 'accessed_in_atomic', actions: 'replyValue' },
          { guard: 'changesStable', target: 'stable_page_written', actions: 'replyValue' },
          { guard: 'isJudged', actions: ['askJudge', 'noteAtomic'] },
          { guard: 'isNormalStore', actions: ['noteWritten', 'noteAtomic', 'replyValue'], description: 'A store or DMA' },
          { actions: ['noteAtomic', 'replyValue'], description: 'A load, or any access to a device' },
        ],
      },
    },
    free: {
      description: 'On the free list of the page allocator; try-get finds no reference to add to',
      on: {
        'page.head': { actions: 'replyHead' },
        'page.read': { actions: 'replyCounts' },
        'folio.try_get': { actions: 'replyFrozen' },
        'folio.prep_new': { target: 'present', actions: 'prepNew', description: 'prep_new_page: handed out' },
        'folio.nr_pages': { actions: 'replyNr' },
        'folio.put': { target: 'refcount_underflow' },
        'folio.get': { target: 'used_after_free' },
        'folio.ref_inc': { target: 'used_after_free' },
        'folio.ref_dec': { target: 'refcount_underflow' },
        'folio.free': { target: 'used_after_free' },
        'folio.clean': { target: 'used_after_free' },
        'folio.set_exclusive': { target: 'used_after_free' },
        'folio.set_mapping': { target: 'used_after_free' },
        'folio.protect': { target: 'used_after_free' },
        'folio.start_writeback': { target: 'used_after_free' },
        'folio.freeze': { actions: 'replyBusy' },
        'memory.read': { target: 'used_after_free' },
        'folio.pin': { target: 'used_after_free' },
        'folio.unpin': { target: 'used_after_free' },
        'folio.add_rmap': { target: 'used_after_free' },
        'folio.remove_rmap': { target: 'used_after_free' },
        'folio.mark_dirty': { target: 'used_after_free' },
        'memory.write': { actions: 'setContent', description: 'init_on_free' },
        'memory.judged': { actions: ['store', 'replyJudged'] },
        'memory.access': [
          { guard: 'isJudged', actions: ['askJudge', 'noteAtomic'], description: 'Its bytes stay as they were until it is handed out' },
          { target: 'accessed_after_free', actions: 'replyValue' },
        ],
      },
    },
    removed: {
      description: 'After remove_pages: neither struct page nor memory exist',
      on: {
        'page.head': { target: 'struct_page_accessed' },
        'page.read': { target: 'struct_page_accessed' },
        'page.init': { target: 'struct_page_accessed' },
        'page.poison': { target: 'struct_page_accessed' },
        'page.free_tail': { target: 'struct_page_accessed' },
        'page.prep_tail': { target: 'struct_page_accessed' },
        'page.prep_head': { target: 'struct_page_accessed' },
        'page.clear_head': { target: 'struct_page_accessed' },
        'folio.nr_pages': { target: 'struct_page_accessed' },
        'folio.split': { target: 'struct_page_accessed' },
        'folio.try_get': { target: 'struct_page_accessed' },
        'folio.get': { target: 'struct_page_accessed' },
        'folio.put': { target: 'struct_page_accessed' },
        'folio.pin': { target: 'struct_page_accessed' },
        'folio.unpin': { target: 'struct_page_accessed' },
        'folio.add_rmap': { target: 'struct_page_accessed' },
        'folio.remove_rmap': { target: 'struct_page_accessed' },
        'folio.mark_dirty': { target: 'struct_page_accessed' },
        'folio.wait_idle': { target: 'struct_page_accessed' },
        'folio.ref_inc': { target: 'struct_page_accessed' },
        'folio.ref_dec': { target: 'struct_page_accessed' },
        'folio.free': { target: 'struct_page_accessed' },
        'folio.clean': { target: 'struct_page_accessed' },
        'folio.set_exclusive': { target: 'struct_page_accessed' },
        'folio.freeze': { target: 'struct_page_accessed' },
        'memory.read': { target: 'memory_accessed' },
        'memory.write': { target: 'memory_accessed' },
        'memory.access': { target: 'memory_accessed', actions: 'replyValue' },
      },
    },
    uninitialised_struct_page: { tags: ['BUG', 'I9'], description: 'BUG: struct page used that nobody has initialised' },
    struct_page_accessed: { tags: ['BUG', 'I1'], description: 'BUG: struct page accessed after remove_pages' },
    memory_accessed: { tags: ['BUG', 'I2'], description: 'BUG: device memory accessed after remove_pages' },
    private_memory_accessed: { tags: ['BUG'], description: 'BUG: memory of a device accessed, which nobody else can reach' },
    accessed_in_atomic: { tags: ['BUG', 'I5'], description: 'BUG: memory accessed between load and store of a device atomic' },
    stable_page_written: { tags: ['BUG', 'I7'], description: 'BUG: a page whose bytes others share (KSM, deduplication) is stored to' },
    accessed_after_free: { tags: ['BUG', 'I3'], description: 'BUG: a stale translation leads to a page that was freed' },
    used_after_free: { tags: ['BUG', 'UAF'], description: 'BUG: struct page of a free page used as if a reference were held' },
    refcount_underflow: { tags: ['BUG', 'I6'], description: 'BUG: page reference count goes below zero' },
  },
});
