import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Context {
  caller: Address;
  pfn: number;
  /** What the last call has shown. */
  reported: 'file' | 'protected' | 'private' | null;
}

type Event = { type: 'step' } | Call<{ pfn: number }> | Signed<{ type: 'page.counts'; file?: boolean; protection?: 'stable' | 'record' }>;

const { tell } = speaker<Context, Event>();

/**
 * /proc/kpageflags: stable_page_flags (fs/proc/page.c, 6.12) looks at a page of any kind, and of any state, with neither a lock nor a
 * reference. Called with the page frame; what it shows stays in `reported`. Domain table, part 2, 1f (U4).
 */
export const stablePageFlags = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: {
    isProtected: ({ event }) => received(event, 'page.counts').protection !== undefined,
    /** Safeguard (U4): what page->mapping leads to need not be a mapping. */
    knowsRecord: () => true,
    isOfFile: ({ event }) => received(event, 'page.counts').file === true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn } = received(event, 'call');
      return { caller: from, pfn, reported: null };
    }),
    readPage: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    reportProtected: assign({ reported: 'protected' }),
    reportFile: assign({ reported: 'file' }),
    reportPrivate: assign({ reported: 'private' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', pfn: -1 }),
  },
}).createMachine({
  id: 'stable_page_flags',
  context: { caller: '', pfn: -1, reported: null },
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'read_page', actions: 'remember' } } },
    read_page: {
      description: 'Looks at the page once; it may be another one the moment after',
      on: {
        step: { actions: 'readPage' },
        'page.counts': [
          { guard: 'isProtected', target: 'protected_page' },
          { guard: 'isOfFile', target: 'idle', actions: ['reportFile', 'return', 'forget'] },
          { target: 'idle', actions: ['reportPrivate', 'return', 'forget'] },
        ],
      },
    },
    protected_page: {
      description: 'page->mapping leads to a record',
      always: [{ guard: 'knowsRecord', target: 'idle', actions: ['reportProtected', 'return', 'forget'] }, { target: 'record_taken_for_mapping' }],
    },
    record_taken_for_mapping: { tags: ['BUG'], description: 'BUG: a protection record is read as if it were a struct address_space' },
  },
});
