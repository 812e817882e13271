import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  /** The pages were pinned (FOLL_PIN); false: only referenced (FOLL_GET). */
  pin: boolean;
  /** make_dirty. Default: false. */
  dirty?: boolean;
}

interface Context extends Required<Input> {
  caller: Address;
  /** Pages not given back yet, in the order of their frames. */
  pages: number[];
  /** The head of the first of them. */
  head: number;
  /** How many of them belong to the same folio. */
  group: number;
  /** References to drop for these. */
  refs: number;
}

type Event =
  | { type: 'step' }
  | Call<{ pages: number[] }>
  | Signed<{ type: 'page.head'; head: number } | { type: 'folio.nr_pages'; nr: number } | { type: 'folio.put'; refcount: number }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', pages: [] as number[], head: -1, group: 0, refs: 0 };
const firstOf = ({ pages }: Context): number => pages[0] as number;
const nrOf = (event: Event): number => received(event, 'folio.nr_pages').nr;

/**
 * unpin_user_page_range_dirty_lock (mm/gup.c, 5.13 to 7.3): gives a range of consecutive page frames back, folio by folio, all references
 * of a folio at once (gup_folio_range_next, gup_put_folio). The lock of the folio around folio_mark_dirty is not modelled, nor the page
 * allocator that a folio goes to with its last reference. Called with the page frame numbers. Domain table, 1g; rows D0, D2, D3.
 */
export const unpinUserPageRange = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard: what was taken per folio goes back per folio. Taken out: page by page, one reference each, as up to 5.12. */
    groupsByHead: () => true,
    /** Safeguard (row D3): the range may begin within a folio. */
    subtractsIndex: () => true,
    /** Safeguard (row D2): as many references as pages, not one for the folio. */
    putsAll: () => true,
    pins: ({ context }) => context.pin,
    makesDirty: ({ context }) => context.dirty,
    morePages: ({ context }) => context.pages.length > context.group,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pages } = received(event, 'call');
      return { caller: from, pages };
    }),
    readHead: tell(({ context }) => pageAt(firstOf(context)), { type: 'page.head' }),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    noteSingle: assign({ group: 1 }),
    readNr: tell(({ context }) => pageAt(context.head), { type: 'folio.nr_pages' }),
    noteRest: assign({ group: ({ context, event }) => Math.min(context.pages.length, nrOf(event) - (firstOf(context) - context.head)) }),
    noteWhole: assign({ group: ({ context, event }) => Math.min(context.pages.length, nrOf(event)) }),
    markDirty: tell(({ context }) => pageAt(context.head), { type: 'folio.mark_dirty' }),
    noteRefs: assign({ refs: ({ context }) => context.group }),
    noteOneRef: assign({ refs: 1 }),
    unpin: tell(
      ({ context }) => pageAt(context.head),
      ({ context }) => ({ type: 'folio.unpin', refs: context.refs }),
    ),
    put: tell(
      ({ context }) => pageAt(context.head),
      ({ context }) => ({ type: 'folio.put', refs: context.refs }),
    ),
    nextGroup: assign({ pages: ({ context }) => context.pages.slice(context.group), head: -1, group: 0, refs: 0 }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'unpin_user_page_range_dirty_lock',
  context: ({ input }) => ({ dirty: false, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'page_folio', actions: 'remember' } } },
    page_folio: {
      description: 'Reads compound_head of the next page',
      on: {
        step: { actions: 'readHead' },
        'page.head': [
          { guard: 'groupsByHead', target: 'folio_nr_pages', actions: 'noteHead' },
          { target: 'refs', actions: ['noteHead', 'noteSingle'] },
        ],
      },
    },
    folio_nr_pages: {
      description: 'gup_folio_range_next: how many of the pages are of this folio: its size less the place of the page in it',
      on: {
        step: { actions: 'readNr' },
        'folio.nr_pages': [
          { guard: 'subtractsIndex', target: 'refs', actions: 'noteRest' },
          { target: 'refs', actions: 'noteWhole' },
        ],
      },
    },
    refs: {
      description: 'One reference a page; row D2: one for all of them',
      always: [
        { guard: 'putsAll', target: 'folio_test_dirty', actions: 'noteRefs' },
        { target: 'folio_test_dirty', actions: 'noteOneRef' },
      ],
    },
    folio_test_dirty: {
      description: 'Has the device written to it?',
      always: [{ guard: 'makesDirty', target: 'folio_mark_dirty' }, { target: 'gup_put_folio' }],
    },
    folio_mark_dirty: { description: 'Once a folio, while it is held still', on: { step: { target: 'gup_put_folio', actions: 'markDirty' } } },
    gup_put_folio: {
      description: 'Drops the pins and the references of the group at once; then the next folio',
      on: {
        step: [{ guard: 'pins', actions: ['unpin', 'put'] }, { actions: 'put' }],
        'folio.put': [
          { guard: 'morePages', target: 'page_folio', actions: 'nextGroup' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
  },
});
