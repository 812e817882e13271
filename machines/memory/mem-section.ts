import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** Page frames of a subsection. */
  subsection: number;
  /** Numbers of the subsections that are added (usage->subsection_map): floor(pfn / subsection). Ascending. */
  active: number[];
  /** SECTION_IS_EARLY: there since boot; its memmap covers all of it, holes included. */
  early: boolean;
  /** SECTION_HAS_MEM_MAP. */
  present: boolean;
  /** SECTION_IS_ONLINE: its pages have been handed to the page allocator. */
  online: boolean;
}

type Event =
  | Signed<{ type: 'section.fill'; subsections: number[] } | { type: 'section.clear'; subsections: number[] }>
  | Signed<{ type: 'section.read' } | { type: 'section.pfn_valid'; pfn: number } | { type: 'section.pfn_to_online_page'; pfn: number }>
  | Signed<{ type: 'section.set_present' } | { type: 'section.clear_present' } | { type: 'section.free_usage' }>
  | Signed<{ type: 'section.set_online' } | { type: 'section.set_offline' }>;

/** The address of the actor that is memory section `number`. */
export const sectionAt = (number: number): Address => `section${number}`;

const { reply } = speaker<Context, Event>();
const named = (event: Event): number[] => received(event, 'section.fill', 'section.clear').subsections;
const union = (some: number[], others: number[]): number[] => [...new Set([...some, ...others])].sort((a, b) => a - b);
const without = (some: number[], others: number[]): number[] => some.filter((one) => !others.includes(one));
/** pfn_section_valid. */
const isActive = ({ active, subsection }: Context, pfn: number): boolean => active.includes(Math.floor(pfn / subsection));

/**
 * A section of physical memory (struct mem_section, mm/sparse.c): which of its subsections are added, and what may be asked of a
 * pfn in it. Each message is one access. Domain table, part 1: 1.g (build order), 1.h, rows E3, E12, E13.
 */
export const memSection = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Context },
  guards: {
    exists: ({ context, event }) => named(event).some((subsection) => context.active.includes(subsection)),
    isInactive: ({ context, event }) => named(event).some((subsection) => !context.active.includes(subsection)),
  },
  actions: {
    fill: assign({ active: ({ context, event }) => union(context.active, named(event)) }),
    replyFilled: reply({ type: 'section.filled', result: 'ok' }),
    replyExists: reply({ type: 'section.filled', result: 'exists' }),
    clear: assign({ active: ({ context, event }) => without(context.active, named(event)) }),
    replyCleared: reply(({ context: { active, early } }) => ({ type: 'section.cleared', empty: active.length === 0, early })),
    replySection: reply(({ context: { early, present, online, active } }) => ({ type: 'section', early, present, online, active })),
    setPresent: assign({ present: true }),
    // section_mem_map becomes NULL, and with it SECTION_IS_EARLY goes.
    clearPresent: assign({ present: false, early: false }),
    freeUsage: assign({ active: [] }),
    setOnline: assign({ online: true }),
    setOffline: assign({ online: false }),
    replyValid: reply(({ context, event }) => ({
      type: 'pfn.valid',
      valid: context.present && (context.early || isActive(context, received(event, 'section.pfn_valid').pfn)),
    })),
    replyOnline: reply(({ context, event }) => ({
      type: 'pfn.online',
      online: context.online && context.present && isActive(context, received(event, 'section.pfn_to_online_page').pfn),
    })),
  },
}).createMachine({
  id: 'mem_section',
  context: ({ input }) => ({ ...input, active: union(input.active, []) }),
  initial: 'known',
  states: {
    known: {
      description: 'It has an entry in mem_section, be there memory or not',
      on: {
        'section.fill': [
          { guard: 'exists', actions: 'replyExists', description: 'fill_subsection_map: EEXIST' },
          { actions: ['fill', 'replyFilled'], description: 'fill_subsection_map; what is early stays early' },
        ],
        'section.clear': [
          { guard: 'isInactive', target: 'section_already_deactivated' },
          { actions: ['clear', 'replyCleared'], description: 'clear_subsection_map' },
        ],
        'section.read': { actions: 'replySection' },
        'section.set_present': { actions: 'setPresent', description: 'sparse_init_one_section' },
        'section.clear_present': { actions: 'clearPresent', description: 'section_deactivate: SECTION_HAS_MEM_MAP goes, so that pfn_valid says no' },
        'section.free_usage': { actions: 'freeUsage', description: 'kfree_rcu(ms->usage), gone at once here' },
        'section.set_online': { actions: 'setOnline', description: 'online_mem_sections' },
        'section.set_offline': { actions: 'setOffline', description: 'offline_mem_sections' },
        'section.pfn_valid': { actions: 'replyValid', description: 'pfn_valid: of an early section all pages are' },
        'section.pfn_to_online_page': { actions: 'replyOnline', description: 'pfn_to_online_page' },
      },
    },
    section_already_deactivated: { tags: ['BUG'], description: 'WARN_ON: section already deactivated (clear_subsection_map)' },
  },
});
