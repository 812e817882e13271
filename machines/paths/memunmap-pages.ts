import { assign, setup } from 'xstate';
import { type Address, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { SectionRange } from './memremap-pages.js';

/** How memory goes where its vmemmap is modelled: section by section, under mem_hotplug_lock, by a path. */
interface MemoryRemoval {
  path: Address;
  hotplugLock: Address;
  sections: SectionRange[];
}

interface Input {
  pgmap: Address;
  ref: Address;
  kill: Address;
  putPage: Address;
  rcu: Address;
  /** Pages of the device: base references to drop. */
  pfns: number[];
  /** Of memunmap_pages since 5.18. Default: the pagemap is told that its pages go. */
  removeMemory?: MemoryRemoval;
}

interface Context extends Input {
  caller: Address;
  left: number[];
  /** Sections that are still to go. */
  sections: SectionRange[];
}

type Event =
  | { type: 'step' }
  | Call
  | Return
  | Signed<{ type: 'ref.count'; value: number } | { type: 'ref.released' } | { type: 'rcu.callback' } | { type: 'locked' }>;

const { tell } = speaker<Context, Event>();

const removalOf = ({ removeMemory }: Context): MemoryRemoval => removeMemory as MemoryRemoval;

const shape = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    morePages: ({ context }) => context.left.length > 0,
    /** Safeguard: memory goes only after the last reference is gone. */
    waitsBeforeRemove: () => true,
    removesSections: ({ context }) => context.removeMemory !== undefined,
    moreSections: ({ context }) => context.sections.length > 0,
  },
  actions: {
    remember: assign({
      caller: ({ event }) => (event as Call).from,
      left: ({ context }) => context.pfns,
      sections: ({ context }) => context.removeMemory?.sections ?? [],
    }),
    callKill: tell(({ context }) => context.kill, { type: 'call' }),
    putMany: tell(
      ({ context }) => context.ref,
      ({ context }) => ({ type: 'ref.sub_and_test', n: context.pfns.length }),
    ),
    callPutPage: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.left[0], pinned: false }),
    ),
    nextPage: assign({ left: ({ context }) => context.left.slice(1) }),
    wait: tell(({ context }) => context.ref, { type: 'ref.wait' }),
    removePages: tell(({ context }) => context.pgmap, { type: 'remove_pages' }),
    lock: tell(({ context }) => removalOf(context).hotplugLock, { type: 'down_write' }),
    unlock: tell(({ context }) => removalOf(context).hotplugLock, { type: 'up_write' }),
    callRemove: tell(
      ({ context }) => removalOf(context).path,
      ({ context }) => ({ type: 'call', ...context.sections[0] }),
    ),
    nextSection: assign({ sections: ({ context }) => context.sections.slice(1) }),
    erase: tell(({ context }) => context.pgmap, { type: 'xa_erase' }),
    synchronize: tell(({ context }) => context.rcu, { type: 'synchronize_rcu' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', left: [], sections: [] }),
  },
});

/**
 * memunmap_pages (mm/memremap.c, 5.18 to 7.3): kill the pagemap's own reference, put the base references at once, wait,
 * remove the pages (pageunmap_range). Pins of pages do not hold the reference.
 */
export const memunmapPages = shape.createMachine({
  id: 'memunmap_pages',
  context: ({ input }) => ({ ...input, caller: '', left: [], sections: [] }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'percpu_ref_kill', actions: 'remember' } } },
    percpu_ref_kill: { description: 'U3: pgmap->ref is dying: no new get_dev_pagemap', entry: 'callKill', on: { return: { target: 'percpu_ref_put_many' } } },
    percpu_ref_put_many: {
      description: 'Puts the base references, one per (compound) page',
      on: { step: { actions: 'putMany' }, 'ref.count': { target: 'wait_for_completion' } },
    },
    wait_for_completion: { description: 'U5: waits for pgmap->done', on: { step: { target: 'wait_for_done', actions: 'wait' } } },
    wait_for_done: {
      description: 'Asleep until the last reference of the pagemap is gone',
      on: { 'ref.released': [{ guard: 'removesSections', target: 'mem_hotplug_begin' }, { target: 'arch_remove_memory' }] },
    },
    mem_hotplug_begin: { description: 'U6: takes mem_hotplug_lock', on: { step: { target: 'wait_for_mem_hotplug_lock', actions: 'lock' } } },
    wait_for_mem_hotplug_lock: { description: 'Sleeps while others hold it', on: { locked: { target: '__remove_pages' } } },
    __remove_pages: {
      description: 'U6: arch_remove_memory, section by section',
      always: [{ guard: 'moreSections', target: 'sparse_remove_section' }, { target: 'mem_hotplug_done' }],
    },
    sparse_remove_section: {
      description: 'U6: the section is present no more, and its struct pages go',
      entry: 'callRemove',
      on: { return: { target: '__remove_pages', actions: 'nextSection' } },
    },
    mem_hotplug_done: { description: 'Lets mem_hotplug_lock go', on: { step: { target: 'pgmap_array_delete', actions: 'unlock' } } },
    arch_remove_memory: {
      description: 'U6: remove_pages: struct pages and linear map go',
      on: { step: { target: 'pgmap_array_delete', actions: 'removePages' } },
    },
    pgmap_array_delete: { description: 'U7: no pfn finds the pagemap any more', on: { step: { target: 'synchronize_rcu', actions: 'erase' } } },
    synchronize_rcu: { description: 'U7: lookups that found it are over', on: { step: { target: 'wait_rcu_gp', actions: 'synchronize' } } },
    wait_rcu_gp: { description: 'Asleep until the grace period is over', on: { 'rcu.callback': { target: 'idle', actions: ['return', 'forget'] } } },
  },
});

/**
 * memunmap_pages as it was up to 5.17 (mm/memremap.c, 5.10): pgmap.ref is the request queue's q_usage_counter, every page
 * holds a reference of it, and the last put of a page drops that: page pins hold the pagemap.
 */
export const memunmapPages510 = shape.createMachine({
  id: 'memunmap_pages_5_10',
  context: ({ input }) => ({ ...input, caller: '', left: [], sections: [] }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'blk_freeze_queue_start', actions: 'remember' } } },
    blk_freeze_queue_start: {
      description: 'U3: kills q_usage_counter: no new bio, no new get_dev_pagemap',
      entry: 'callKill',
      on: { return: { target: 'next_page' } },
    },
    next_page: {
      description: 'U4: page by page',
      always: [{ guard: 'morePages', target: 'put_page' }, { guard: 'waitsBeforeRemove', target: 'blk_cleanup_queue' }, { target: 'arch_remove_memory' }],
    },
    put_page: {
      description: 'U4: drops the base reference of a page; a pinned page keeps its reference of the pagemap',
      entry: 'callPutPage',
      on: { return: { target: 'next_page', actions: 'nextPage' } },
    },
    blk_cleanup_queue: { description: 'U5: waits for q_usage_counter to become zero', on: { step: { target: 'wait_for_zero', actions: 'wait' } } },
    wait_for_zero: {
      description: 'U5: asleep until the last bio and the last page are done',
      on: { 'ref.released': [{ guard: 'waitsBeforeRemove', target: 'arch_remove_memory' }, { target: 'pgmap_array_delete' }] },
    },
    arch_remove_memory: {
      description: 'U6: remove_pages: struct pages and linear map go',
      on: {
        step: [
          { guard: 'waitsBeforeRemove', target: 'pgmap_array_delete', actions: 'removePages' },
          { target: 'blk_cleanup_queue', actions: 'removePages' },
        ],
      },
    },
    pgmap_array_delete: { description: 'U7: no pfn finds the pagemap any more', on: { step: { target: 'synchronize_rcu', actions: 'erase' } } },
    synchronize_rcu: { description: 'U7: lookups that found it are over', on: { step: { target: 'wait_rcu_gp', actions: 'synchronize' } } },
    wait_rcu_gp: { description: 'Asleep until the grace period is over', on: { 'rcu.callback': { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
