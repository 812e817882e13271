import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { SectionRange } from './memremap-pages.js';

interface Input {
  hotplugLock: Address;
  removeSection: Address;
}

interface Context extends Input {
  caller: Address;
  /** What it removes; null between calls. */
  range: SectionRange | null;
}

type Event = { type: 'step' } | Call<SectionRange> | Return | Signed<{ type: 'locked' }>;

const { tell } = speaker<Context, Event>();

const idle = { caller: '', range: null as SectionRange | null };
const rangeOf = ({ range }: Context): SectionRange => range as SectionRange;

/**
 * offline_pages and remove_memory (mm/memory_hotplug.c, 6.12), as one: memory of the system is no longer used, and goes. A walker that
 * has seen it online before may still be about to read its struct pages (row E10).
 */
export const offlinePages = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    remember: assign(({ event }) => {
      const { type: _, from, ...range } = received(event, 'call');
      return { caller: from, range };
    }),
    lock: tell(({ context }) => context.hotplugLock, { type: 'down_write' }),
    unlock: tell(({ context }) => context.hotplugLock, { type: 'up_write' }),
    setOffline: tell(({ context }) => rangeOf(context).section, { type: 'section.set_offline' }),
    callRemove: tell(
      ({ context }) => context.removeSection,
      ({ context }) => ({ type: 'call', ...rangeOf(context) }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'offline_pages',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mem_hotplug_begin', actions: 'remember' } } },
    mem_hotplug_begin: { description: 'Takes mem_hotplug_lock', on: { step: { target: 'wait_for_mem_hotplug_lock', actions: 'lock' } } },
    wait_for_mem_hotplug_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'offline_mem_sections' } } },
    offline_mem_sections: {
      description: 'From here pfn_to_online_page no longer finds its pages',
      on: { step: { target: 'memory_offline', actions: 'setOffline' } },
    },
    memory_offline: { description: 'Lets mem_hotplug_lock go between the two', on: { step: { target: 'try_remove_memory', actions: 'unlock' } } },
    try_remove_memory: { description: 'Takes it again', on: { step: { target: 'wait_to_remove', actions: 'lock' } } },
    wait_to_remove: { description: 'Sleeps while others hold it', on: { locked: { target: 'sparse_remove_section' } } },
    sparse_remove_section: {
      description: 'arch_remove_memory: the section is present no more, and its struct pages go',
      entry: 'callRemove',
      on: { return: { target: 'mem_hotplug_done' } },
    },
    mem_hotplug_done: { description: 'Lets mem_hotplug_lock go', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
