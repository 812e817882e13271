import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { sectionAt } from '../memory/mem-section.js';

/** The part of a section that is added or removed. */
export interface SectionRange {
  section: Address;
  /** Numbers of its subsections, from pfn 0 on. */
  subsections: number[];
  /** Pfns. */
  start: number;
  nr: number;
  /** It is all of the section. */
  whole: boolean;
}

/** Where memory is, and what sections are like: all in pfns. */
interface SectionSizes {
  start: number;
  nr: number;
  sectionSize: number;
  /** Pfns of a subsection. */
  subsection: number;
}

const count = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, index) => first + index);

/** Numbers of the sections that memory lies in, ascending. */
const sectionsOf = ({ start, nr, sectionSize }: SectionSizes): number[] => count(Math.floor(start / sectionSize), Math.ceil((start + nr) / sectionSize));

/** What of a range of pfns is in section `number`. */
export function sectionRange(number: number, { start, nr, sectionSize, subsection }: SectionSizes): SectionRange {
  const first = Math.max(start, number * sectionSize);
  const end = Math.min(start + nr, (number + 1) * sectionSize);
  return {
    section: sectionAt(number),
    subsections: count(Math.floor(first / subsection), Math.ceil(end / subsection)),
    start: first,
    nr: end - first,
    whole: end - first === sectionSize,
  };
}

interface Input extends SectionSizes {
  pgmap: Address;
  /** The order in which sections are added (row E15). Default: ascending. */
  sections?: number[];
  hotplugLock: Address;
  addSection: Address;
  /** Removes what was added before a section failed; null: that stays, as in 6.12. */
  removeSection: Address | null;
  initZone: Address;
  /** The pagemap's reference; null: not modelled. */
  ref: Address | null;
  /** Pages of a compound, each of which holds one base reference (1 << vmemmap_shift). Default: 1. */
  compound?: number;
  /** Runs when the driver's probe goes on; null: no dax device. */
  dax: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  left: number[];
  added: number[];
}

type Event = { type: 'step' } | Call | Return<{ ok?: boolean }> | Signed<{ type: 'locked' } | { type: 'ref.count'; value: number }>;

const { tell } = speaker<Context, Event>();

const idle = { caller: '', left: [] as number[], added: [] as number[] };
const rangeOf = (context: Context, numbers: number[]): SectionRange => sectionRange(numbers[0] as number, context);

/**
 * memremap_pages (pagemap_range; mm/memremap.c, 6.12): a device's memory gets its struct pages: the pagemap is entered first, memory is
 * added section by section under mem_hotplug_lock, and the struct pages are written after that, without the lock: until then sections are
 * present, and what is in the struct pages is not theirs (rows D8, E12). Then base references, and a driver that lets others in (run_dax).
 * Returns `{ ok }`. Domain table 1.h.
 */
export const memremapPages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    moreSections: ({ context }) => context.left.length > 0,
    undoesMore: ({ context }) => context.removeSection !== null && context.added.length > 0,
    ok: ({ event }) => received(event, 'return').ok === true,
    hasRef: ({ context }) => context.ref !== null,
    hasDax: ({ context }) => context.dax !== null,
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from, left: ({ context }) => context.sections, added: [] }),
    store: tell(({ context }) => context.pgmap, { type: 'xa_store' }),
    lock: tell(({ context }) => context.hotplugLock, { type: 'down_write' }),
    unlock: tell(({ context }) => context.hotplugLock, { type: 'up_write' }),
    callAdd: tell(
      ({ context }) => context.addSection,
      ({ context }) => ({ type: 'call', ...rangeOf(context, context.left), first: context.start }),
    ),
    noteAdded: assign({ added: ({ context }) => [...context.added, context.left[0] as number], left: ({ context }) => context.left.slice(1) }),
    callRemove: tell(
      ({ context }) => context.removeSection as Address,
      ({ context }) => ({ type: 'call', ...rangeOf(context, context.added) }),
    ),
    noteRemoved: assign({ added: ({ context }) => context.added.slice(1) }),
    erase: tell(({ context }) => context.pgmap, { type: 'xa_erase' }),
    callInit: tell(
      ({ context }) => context.initZone,
      ({ context }) => ({ type: 'call', start: context.start, nr: context.nr }),
    ),
    getMany: tell(
      ({ context }) => context.ref as Address,
      ({ context }) => ({ type: 'ref.add', n: Math.floor(context.nr / context.compound) }),
    ),
    run: tell(({ context }) => context.dax as Address, { type: 'dax.run' }),
    returnOk: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnFailed: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'memremap_pages',
  context: ({ input }) => ({ sections: sectionsOf(input), compound: 1, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'xa_store_range', actions: 'remember' } } },
    xa_store_range: {
      description: 'From here a pfn finds the pagemap, though there is no struct page yet',
      on: { step: { target: 'mem_hotplug_begin', actions: 'store' } },
    },
    mem_hotplug_begin: { description: 'Takes mem_hotplug_lock', on: { step: { target: 'wait_for_mem_hotplug_lock', actions: 'lock' } } },
    wait_for_mem_hotplug_lock: { description: 'Sleeps while others hold it', on: { locked: { target: '__add_pages' } } },
    __add_pages: {
      description: 'Section by section (arch_add_memory)',
      always: [{ guard: 'moreSections', target: 'sparse_add_section' }, { target: 'mem_hotplug_done' }],
    },
    sparse_add_section: {
      description: 'Populates the vmemmap of a section, or of a part of it, and says that it is present',
      entry: 'callAdd',
      on: { return: [{ guard: 'ok', target: '__add_pages', actions: 'noteAdded' }, { target: 'arch_remove_memory' }] },
    },
    arch_remove_memory: {
      description: 'A section failed: those before it go again, where anybody sees to that (6.12 does not)',
      always: [{ guard: 'undoesMore', target: 'sparse_remove_section' }, { target: 'err_add_memory' }],
    },
    sparse_remove_section: {
      description: 'Takes back a section that was added',
      entry: 'callRemove',
      on: { return: { target: 'arch_remove_memory', actions: 'noteRemoved' } },
    },
    err_add_memory: { description: 'mem_hotplug_done, without the memory', on: { step: { target: 'pgmap_array_delete', actions: 'unlock' } } },
    pgmap_array_delete: {
      description: 'No pfn finds the pagemap any more',
      on: { step: { target: 'idle', actions: ['erase', 'returnFailed', 'forget'] } },
    },
    mem_hotplug_done: { description: 'Lets mem_hotplug_lock go', on: { step: { target: 'memmap_init_zone_device', actions: 'unlock' } } },
    memmap_init_zone_device: {
      description: 'Writes the struct pages: put off until here, since it takes long',
      entry: 'callInit',
      on: {
        return: [
          { guard: 'hasRef', target: 'percpu_ref_get_many' },
          { guard: 'hasDax', target: 'run_dax' },
          { target: 'idle', actions: ['returnOk', 'forget'] },
        ],
      },
    },
    percpu_ref_get_many: {
      description: 'Base references, one for each (compound) page; which counter they go to does not matter, it is the sum that counts',
      on: {
        step: { actions: 'getMany' },
        'ref.count': [
          { guard: 'hasDax', target: 'run_dax' },
          { target: 'idle', actions: ['returnOk', 'forget'] },
        ],
      },
    },
    run_dax: {
      description: 'The driver goes on: DAXDEV_ALIVE is set, and faults may map the memory',
      on: { step: { target: 'idle', actions: ['run', 'returnOk', 'forget'] } },
    },
  },
});
