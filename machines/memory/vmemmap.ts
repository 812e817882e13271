import { assign, type EventObject, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** Sizes in units: of a struct page, and of a page of the vmemmap. */
export interface VmemmapLayout {
  structPage: number;
  page: number;
}

/** What decides whether tail struct pages share frames (vmemmap_can_optimize, include/linux/mm.h). */
export interface VmemmapConfig extends VmemmapLayout {
  /** ARCH_WANT_OPTIMIZE_DAX_VMEMMAP. */
  wanted: boolean;
  /** The architecture's own condition: radix_enabled() on powerpc, true elsewhere. */
  override: boolean;
  /** ARCH_WANT_HUGETLB_PAGE_OPTIMIZE_VMEMMAP, which one of the proposals leans on. */
  hugetlb: boolean;
  /** Pages of a compound (1 << vmemmap_shift). */
  nr: number;
  altmap: boolean;
  /** There is a dev_pagemap: hot-added memory has none. */
  pgmap: boolean;
}

/** Pages of the vmemmap that each compound keeps for itself (VMEMMAP_RESERVE_NR). */
const RESERVED = 2;
const isPowerOfTwo = (value: number): boolean => Number.isInteger(Math.log2(value));

/** vmemmap_can_optimize of 7.3. */
export const vmemmapCanOptimize = ({ wanted, override, structPage, page, nr, altmap, pgmap }: VmemmapConfig): boolean =>
  wanted && override && isPowerOfTwo(structPage) && pgmap && !altmap && Math.floor((nr * structPage) / page) > RESERVED;

/** The pages of the vmemmap that the struct pages of `nr` page frames from `firstPfn` on touch. */
export function vmemmapPagesOf({ structPage, page }: VmemmapLayout, firstPfn: number, nr: number): number[] {
  const first = Math.floor((firstPfn * structPage) / page);
  const end = Math.ceil(((firstPfn + nr) * structPage) / page);
  return nr === 0 ? [] : Array.from({ length: end - first }, (_, index) => first + index);
}

/** The address of the page machine that is the struct page at this offset, in units, of a frame. */
export const structPageAt = (frame: Address, offset: number): Address => `${frame}+${offset}`;

/** A translation of a page of the vmemmap. */
interface Entry {
  frame: Address;
  write: boolean;
}
type Entries = Record<string, Entry>;

/** A touch that found no translation, or one that does not allow it. */
interface Fault {
  /** Whose struct page; of a memset over pages, the first that begins in the page. */
  pfn: number;
  vpage: number;
  by: Address;
  /** The type of the message to the struct page. */
  event: string;
  /** In the struct page (as 0x38 in the oops of row E1). */
  offset: number;
}

interface Context extends VmemmapLayout {
  /** What the MMU walks: the tables of init_mm; the hash table alone; or those of the mm that runs, whose top level is its own. */
  translation: 'init_mm' | 'hash' | 'top-level';
  /** By page of the vmemmap: ptes of init_mm. Where top-level entries count, the lower tables are shared by all mms. */
  ptes: Entries;
  /** By page of the vmemmap: bolted entries of the hash table. */
  bolted: Entries;
  /** The first frame of memory, which an entry of zeros names; whoever comes to it by such an entry is wrong there. null: not modelled. */
  firstFrame: Address | null;
  /** In tables that generic code makes, entries are zeros: on s390 these are valid. */
  zeroIsValid: boolean;
  /** Pages of the vmemmap that one top-level entry spans. */
  slot: number;
  /** The top-level entries that each mm has. */
  slots: Record<Address, number[]>;
  threads: Record<string, Thread>;
  /** What TLBs hold, by CPU and page: `cpu0/3`. */
  tlb: Entries;
  /** The page of the vmemmap for which a frame was mapped first: struct pages lie in it as in that page. */
  origins: Record<Address, number>;
  fault: Fault | null;
}

interface Thread {
  cpu: Address;
  mm: Address;
}

interface Input extends VmemmapLayout {
  translation: Context['translation'];
  ptes?: Entries;
  bolted?: Entries;
  firstFrame?: Address;
  zeroIsValid?: boolean;
  slot?: number;
  slots?: Context['slots'];
  /** Who runs where, by the first part of an address, up to the first dot. Others run on cpu0, in init_mm. */
  threads?: Context['threads'];
}

/** What somebody does to a struct page: a message to it, without its signature. */
type ToStructPage = { type: string; offset?: number; [field: string]: unknown };

type Event =
  | Signed<{ type: 'vmemmap.access'; pfn: number; event: ToStructPage } | { type: 'vmemmap.poison'; vpages: number[] }>
  | Signed<{ type: 'vmemmap.set_pte'; vpage: number; frame: Address; fresh?: boolean; write?: boolean }>
  | Signed<{ type: 'vmemmap.bolt'; vpage: number; frame: Address; fresh?: boolean }>
  | Signed<{ type: 'vmemmap.read_pte'; vpage: number; makesTables?: boolean } | { type: 'vmemmap.clear_pte'; vpage: number }>
  | Signed<{ type: 'vmemmap.flush'; vpages: number[] } | { type: 'vmemmap.sync_pgds' }>
  | { type: 'fill'; cpu: Address; vpage: number }
  | { type: 'evict'; cpu: Address; vpage: number };
type Touch = Extract<Event, { type: 'vmemmap.access' | 'vmemmap.poison' }>;

const { tell, reply, forward } = speaker<Context, Event>();
/** Tells the same to several. */
const tellEach = (to: (context: Context, event: Event) => Address[], message: (event: Event) => EventObject) =>
  enqueueActions<Context, Event, undefined, Event, never, never, never, never, EventObject>(({ context, event, enqueue }) => {
    for (const address of to(context, event)) enqueue(tell(address, message(event)));
  });

const nobody: Thread = { cpu: 'cpu0', mm: 'init_mm' };
/** What reads a struct page; all else stores. */
const loads = ['page.head', 'page.read', 'folio.nr_pages'];

const threadOf = ({ threads }: Context, sender: Address): Thread => threads[sender.split('.')[0] as string] ?? nobody;
/** The mms that may run on a CPU. */
function mmsOn({ threads }: Context, cpu: Address): Address[] {
  const mms = Object.values(threads).flatMap((thread) => (thread.cpu === cpu ? [thread.mm] : []));
  return mms.length > 0 ? mms : [nobody.mm];
}
const tlbKey = (cpu: Address, vpage: number): string => `${cpu}/${vpage}`;

/** What the MMU finds when it runs in `mm`; undefined: nothing. */
function walk({ translation, ptes, bolted, slot, slots }: Context, mm: Address, vpage: number): Entry | undefined {
  if (translation === 'hash') return bolted[vpage];
  const reaches = translation === 'init_mm' || slots[mm]?.includes(Math.floor(vpage / slot));
  return reaches ? ptes[vpage] : undefined;
}

/** What a CPU may come to cache. */
const walkOn = (context: Context, cpu: Address, vpage: number): Entry | undefined =>
  mmsOn(context, cpu)
    .map((mm) => walk(context, mm, vpage))
    .find((entry) => entry !== undefined);

/** What software finds that asks whether a page is populated. */
const mappedAt = ({ translation, ptes, bolted }: Context, vpage: number): Address | null =>
  (ptes[vpage] ?? (translation === 'hash' ? bolted[vpage] : undefined))?.frame ?? null;

function translate(context: Context, sender: Address, vpage: number): Entry | undefined {
  const { cpu, mm } = threadOf(context, sender);
  return context.tlb[tlbKey(cpu, vpage)] ?? walk(context, mm, vpage);
}

/** Where struct page `pfn` begins: in which page of the vmemmap, and at which offset in units. */
function beginOf({ structPage, page }: VmemmapLayout, pfn: number): { vpage: number; offset: number } {
  const vpage = Math.floor((pfn * structPage) / page);
  return { vpage, offset: pfn * structPage - vpage * page };
}
/** The first struct page that begins in a page of the vmemmap. */
const firstIn = ({ structPage, page }: VmemmapLayout, vpage: number): number => Math.ceil((vpage * page) / structPage);
/** Whether struct pages lie in both pages alike: always, where their size divides that of a page. */
const areAlike = ({ structPage, page }: VmemmapLayout, vpage: number, other: number): boolean => ((vpage - other) * page) % structPage === 0;

/** The struct pages that begin in a frame which is laid out for a page of the vmemmap. */
function structPagesIn(layout: VmemmapLayout, frame: Address, vpage: number): Address[] {
  const first = firstIn(layout, vpage) * layout.structPage - vpage * layout.page;
  const nr = Math.max(0, Math.ceil((layout.page - first) / layout.structPage));
  return Array.from({ length: nr }, (_, index) => structPageAt(frame, first + index * layout.structPage));
}

const toTouch = (event: Event): Touch => received(event, 'vmemmap.access', 'vmemmap.poison');
const isStore = (touch: Touch): boolean => touch.type === 'vmemmap.poison' || !loads.includes(touch.event.type);
/** The pages of the vmemmap that somebody touches: two, where a struct page straddles them. */
const touched = (context: Context, touch: Touch): number[] => (touch.type === 'vmemmap.poison' ? touch.vpages : vmemmapPagesOf(context, touch.pfn, 1));
const unmapped = (context: Context, touch: Touch): number | undefined => touched(context, touch).find((vpage) => !translate(context, touch.from, vpage));
const readOnly = (context: Context, touch: Touch): number | undefined =>
  isStore(touch) ? touched(context, touch).find((vpage) => translate(context, touch.from, vpage)?.write === false) : undefined;

/** A page whose translation leads to a frame where struct pages lie otherwise: row E7. */
function mixed(context: Context, touch: Touch): number | undefined {
  return touched(context, touch).find((vpage) => {
    const frame = translate(context, touch.from, vpage)?.frame;
    return frame !== undefined && !areAlike(context, vpage, context.origins[frame] ?? vpage);
  });
}

/** A page that is translated as by an entry of zeros. */
const foreign = (context: Context, touch: Touch): number | undefined =>
  touched(context, touch).find((vpage) => context.firstFrame !== null && translate(context, touch.from, vpage)?.frame === context.firstFrame);

function faultAt(touch: Touch, vpage: number, context: Context): Fault {
  const { from: by } = touch;
  if (touch.type === 'vmemmap.poison') return { pfn: firstIn(context, vpage), vpage, by, event: 'page.poison', offset: 0 };
  return { pfn: touch.pfn, vpage, by, event: touch.event.type, offset: touch.event.offset ?? 0 };
}

/** The frames that are touched, each once, with the first page that leads to it. */
function framesOf(context: Context, touch: Touch): Map<Address, number> {
  const frames = new Map<Address, number>();
  for (const vpage of touched(context, touch)) {
    const { frame } = translate(context, touch.from, vpage) as Entry;
    frames.set(frame, frames.get(frame) ?? vpage);
  }
  return frames;
}

const without = <T>(record: Record<string, T>, ...keys: (string | number)[]): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.map(String).includes(key)));

type Mapped = Pick<Context, 'ptes' | 'bolted' | 'origins'>;
/** Notes for which page each frame was mapped first, and forgets frames to which no entry leads. */
function noteOrigins({ ptes, bolted, origins }: Mapped): Mapped {
  const mapped = [...Object.entries(bolted), ...Object.entries(ptes)].sort(([a], [b]) => Number(b) - Number(a));
  const lowest = Object.fromEntries(mapped.map(([vpage, { frame }]) => [frame, Number(vpage)]));
  return { ptes, bolted, origins: Object.fromEntries(Object.entries(lowest).map(([frame, vpage]) => [frame, origins[frame] ?? vpage])) };
}

/** Together with a new entry. */
function mapping(context: Context, where: 'ptes' | 'bolted', vpage: number, entry: Entry, fresh: boolean | undefined): Mapped {
  const origins = fresh ? { ...context.origins, [entry.frame]: vpage } : context.origins;
  return noteOrigins({ ...context, origins, [where]: { ...context[where], [vpage]: entry } });
}

function withSlots({ slots }: Context, mms: Address[], added: number[]): Context['slots'] {
  const extended = mms.map((mm) => [mm, [...new Set([...(slots[mm] ?? []), ...added])].sort((a, b) => a - b)]);
  return { ...slots, ...Object.fromEntries(extended) };
}

function initial({ ptes = {}, bolted = {}, firstFrame, zeroIsValid = false, slot = 1, slots = {}, threads = {}, ...input }: Input): Context {
  const mms = [nobody, ...Object.values(threads)].map(({ mm }) => [mm, []]);
  const base = {
    ...input,
    firstFrame: firstFrame ?? null,
    zeroIsValid: zeroIsValid && firstFrame !== undefined,
    slot,
    slots: { ...Object.fromEntries(mms), ...slots },
    threads,
    tlb: {},
    fault: null,
  };
  return { ...base, ...noteOrigins({ ptes, bolted, origins: {} }) };
}

/**
 * The vmemmap: struct pages as memory, at virtual addresses that somebody must map. Which frame an address leads to depends on what
 * the MMU of the machine walks, on the mm that runs, and on what a TLB still holds. A frame may be mapped several times: tails of a compound that are
 * alike share it. Domain table, part 1: 1.g, 1.h, table 2.E; invariants I9, I10.
 */
export const vmemmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isUnmapped: ({ context, event }) => unmapped(context, toTouch(event)) !== undefined,
    isReadOnly: ({ context, event }) => readOnly(context, toTouch(event)) !== undefined,
    isMixed: ({ context, event }) => mixed(context, toTouch(event)) !== undefined,
    isForeign: ({ context, event }) => foreign(context, toTouch(event)) !== undefined,
    isZeroEntry: ({ context, event }) => {
      const { vpage, makesTables = false } = received(event, 'vmemmap.read_pte');
      return makesTables && context.zeroIsValid && mappedAt(context, vpage) === null;
    },
    hasTopLevel: ({ context }) => context.translation === 'top-level',
    canFill: ({ context, event }) => {
      const { cpu, vpage } = received(event, 'fill');
      return !context.tlb[tlbKey(cpu, vpage)] && walkOn(context, cpu, vpage) !== undefined;
    },
    isCached: ({ context, event }) => {
      const { cpu, vpage } = received(event, 'evict');
      return context.tlb[tlbKey(cpu, vpage)] !== undefined;
    },
  },
  actions: {
    replyPte: reply(({ context, event }) => {
      const frame = mappedAt(context, received(event, 'vmemmap.read_pte').vpage);
      return { type: 'vmemmap.pte', frame, ...(frame === null ? { entry: 'none' } : {}) };
    }),
    noteFault: assign({
      fault: ({ context, event }) => {
        const touch = toTouch(event);
        const vpage = unmapped(context, touch) ?? foreign(context, touch) ?? readOnly(context, touch) ?? mixed(context, touch);
        return faultAt(touch, vpage as number, context);
      },
    }),
    touchFrames: tellEach(
      (context, event) => [...framesOf(context, toTouch(event)).keys()],
      (event) => ({ type: 'memory.access', write: isStore(toTouch(event)) }),
    ),
    passOn: forward(
      ({ context, event }) => {
        const { pfn, from } = received(event, 'vmemmap.access');
        const { vpage, offset } = beginOf(context, pfn);
        return structPageAt((translate(context, from, vpage) as Entry).frame, offset);
      },
      ({ event }) => {
        const { pfn, event: passed, from } = received(event, 'vmemmap.access');
        return { ...passed, ...(passed.type === 'page.head' ? { pfn } : {}), from };
      },
    ),
    poison: tellEach(
      (context, event) => [...framesOf(context, toTouch(event))].flatMap(([frame, vpage]) => structPagesIn(context, frame, context.origins[frame] ?? vpage)),
      () => ({ type: 'page.poison' }),
    ),
    poisonFresh: tellEach(
      (context, event) => {
        const { vpage, frame, fresh } = received(event, 'vmemmap.set_pte', 'vmemmap.bolt');
        return fresh ? structPagesIn(context, frame, vpage) : [];
      },
      () => ({ type: 'page.poison' }),
    ),
    mapZero: assign({
      ptes: ({ context, event }) => ({
        ...context.ptes,
        [received(event, 'vmemmap.read_pte').vpage]: { frame: context.firstFrame as Address, write: true },
      }),
    }),
    setPte: assign(({ context, event }) => {
      const { vpage, frame, fresh, write = true } = received(event, 'vmemmap.set_pte');
      return mapping(context, 'ptes', vpage, { frame, write }, fresh);
    }),
    bolt: assign(({ context, event }) => {
      const { vpage, frame, fresh } = received(event, 'vmemmap.bolt');
      return mapping(context, 'bolted', vpage, { frame, write: true }, fresh);
    }),
    makeSlot: assign({
      slots: ({ context, event }) => withSlots(context, ['init_mm'], [Math.floor(received(event, 'vmemmap.set_pte').vpage / context.slot)]),
    }),
    clearPte: assign(({ context, event }) => {
      const { vpage } = received(event, 'vmemmap.clear_pte');
      return noteOrigins({ ptes: without(context.ptes, vpage), bolted: without(context.bolted, vpage), origins: context.origins });
    }),
    syncPgds: assign({ slots: ({ context }) => withSlots(context, Object.keys(context.slots), context.slots.init_mm ?? []) }),
    flush: assign({
      tlb: ({ context, event }) => {
        const { vpages } = received(event, 'vmemmap.flush');
        return Object.fromEntries(Object.entries(context.tlb).filter(([key]) => !vpages.includes(Number(key.split('/')[1]))));
      },
    }),
    fill: assign({
      tlb: ({ context, event }) => {
        const { cpu, vpage } = received(event, 'fill');
        return { ...context.tlb, [tlbKey(cpu, vpage)]: walkOn(context, cpu, vpage) as Entry };
      },
    }),
    evict: assign({ tlb: ({ context, event }) => without(context.tlb, tlbKey(received(event, 'evict').cpu, received(event, 'evict').vpage)) }),
  },
}).createMachine({
  id: 'vmemmap',
  context: ({ input }) => initial(input),
  initial: 'translating',
  states: {
    translating: {
      description: 'Each touch of a struct page goes through a TLB entry, or a walk',
      on: {
        'vmemmap.access': [
          { guard: 'isUnmapped', target: 'page_fault', actions: 'noteFault' },
          { guard: 'isForeign', target: 'foreign_memory', actions: 'noteFault' },
          { guard: 'isReadOnly', target: 'write_fault', actions: 'noteFault' },
          { guard: 'isMixed', target: 'fields_mixed', actions: 'noteFault' },
          { actions: ['touchFrames', 'passOn'], description: 'The frame must not be free; what lies there answers' },
        ],
        'vmemmap.poison': [
          { guard: 'isUnmapped', target: 'page_fault', actions: 'noteFault' },
          { guard: 'isForeign', target: 'foreign_memory', actions: 'noteFault' },
          { guard: 'isReadOnly', target: 'write_fault', actions: 'noteFault' },
          { actions: ['touchFrames', 'poison'], description: 'page_init_poison: a memset, which knows no fields' },
        ],
        'vmemmap.set_pte': [
          {
            guard: 'hasTopLevel',
            actions: ['setPte', 'makeSlot', 'poisonFresh'],
            description: 'vmemmap_pte_populate; vmemmap_pgd_populate fills the top level of init_mm, and no other',
          },
          { actions: ['setPte', 'poisonFresh'], description: 'vmemmap_pte_populate' },
        ],
        'vmemmap.bolt': { actions: ['bolt', 'poisonFresh'], description: 'hash__vmemmap_create_mapping' },
        'vmemmap.read_pte': [
          { guard: 'isZeroEntry', actions: ['mapZero', 'replyPte'], description: 'Generic code has made a table of zeros, in which every entry is valid here' },
          { actions: 'replyPte', description: 'By software: no translation is needed' },
        ],
        'vmemmap.clear_pte': { actions: 'clearPte', description: 'pte_clear, or hash__vmemmap_remove_mapping; TLBs keep what they have' },
        'vmemmap.flush': { actions: 'flush', description: 'flush_tlb_kernel_range: on all CPUs, over when it returns' },
        'vmemmap.sync_pgds': { actions: 'syncPgds', description: 'sync_global_pgds: to the top level of every mm' },
        fill: { guard: 'canFill', actions: 'fill', description: 'A speculative walk of a CPU' },
        evict: { guard: 'isCached', actions: 'evict', description: 'A TLB makes room' },
      },
    },
    page_fault: { tags: ['BUG', 'I9'], description: 'BUG: a struct page is touched where nothing is mapped' },
    foreign_memory: { tags: ['BUG', 'I9'], description: 'BUG: a struct page is touched where an entry of zeros leads: to memory of somebody else' },
    write_fault: { tags: ['BUG', 'I9.write'], description: 'BUG: a struct page is written through a read-only mapping' },
    fields_mixed: { tags: ['BUG', 'I9'], description: 'BUG: a struct page lies across fields of others, in a frame that was laid out for another place' },
  },
});
