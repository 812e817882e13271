import { setup } from 'xstate';
import type { Address, Signed } from '../../src/system/message.js';
import { speaker } from '../../src/system/message.js';

interface Context {
  pfn: number;
}

/** What may be done to a struct page (see folio). */
type Event = Signed<{ type: `page.${string}` | `folio.${string}` | 'memory.access'; [field: string]: unknown }>;

/** The actor that translates addresses of struct pages. */
const vmemmap: Address = 'vmemmap';

const { forward } = speaker<Context, Event>();

/**
 * The virtual address of a struct page (pfn_to_page: vmemmap + pfn), where the vmemmap is modelled: whoever reads or writes
 * the struct page of `pfn` does it through a translation, which may be missing or lead to a frame that others share. What is in the frame is a
 * page machine of its own (see folio), which answers.
 */
export const structPage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Context },
  actions: {
    access: forward(vmemmap, ({ context, event: { from, ...event } }) => ({ type: 'vmemmap.access', pfn: context.pfn, event, from })),
  },
}).createMachine({
  id: 'struct_page',
  description: 'An address: it holds nothing itself',
  context: ({ input }) => input,
  on: {
    'page.head': { actions: 'access', description: 'G8a: the word compound_head' },
    'page.read': { actions: 'access' },
    'page.init': { actions: 'access', description: '__init_single_page' },
    'page.poison': { actions: 'access' },
    'page.prep_tail': { actions: 'access', description: 'prep_compound_tail' },
    'page.prep_head': { actions: 'access', description: 'prep_compound_head' },
    'page.clear_head': { actions: 'access' },
    'folio.nr_pages': { actions: 'access' },
    'folio.split': { actions: 'access' },
    'folio.try_get': { actions: 'access', description: 'G8b' },
    'folio.get': { actions: 'access' },
    'folio.put': { actions: 'access' },
    'folio.ref_inc': { actions: 'access' },
    'folio.ref_dec': { actions: 'access' },
    'folio.pin': { actions: 'access' },
    'folio.unpin': { actions: 'access' },
    'folio.add_rmap': { actions: 'access' },
    'folio.remove_rmap': { actions: 'access' },
    'folio.mark_dirty': { actions: 'access' },
    'folio.wait_idle': { actions: 'access' },
    'memory.access': { description: 'To the memory of the page itself, which is elsewhere' },
  },
});
