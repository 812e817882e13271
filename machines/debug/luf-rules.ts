import { assign, setup } from 'xstate';
import { received } from '../../src/system/message.js';
import { type LufHook, type LufRecord, linked, recordsOf } from './luf-hooks.js';

interface Context {
  /** Ptes and slots that were unmapped without a flush, and the CPUs that were not flushed. */
  records: LufRecord[];
  /** The rule that was broken first; null: none was. */
  warned: string | null;
}

/**
 * The two rules that Dave Hansen asked for ("Re: [PATCH v11 09/12] mm: implement LUF", June 2024), read literally: H1, a LUF'd
 * PTE cannot be rewritten until after a luf_flush; H2, a LUF'd page's position in the page cache cannot be replaced until
 * after a luf_flush. It listens only. Domain table, part 2, 1b; row L19.
 */
export const lufRules = setup({
  types: { context: {} as Context, events: {} as LufHook },
  guards: {
    rewritesPte: ({ context, event }) => {
      const { vpn, pte, from } = received(event, 'luf.pte_set');
      return pte.kind === 'present' && context.records.some((record) => record.mm === from && record.vpn === vpn);
    },
    replacesSlot: ({ context, event }) => {
      const { index, from } = received(event, 'luf.slot_set');
      return context.records.some((record) => record.mapping === from && record.index === index);
    },
    /** Change: a read-only pte to the same frame, or to one with the same bytes, may be set. */
    exemptsPte: () => false,
    /** Change: a slot may get a page with the same bytes. */
    exemptsSlot: () => false,
  },
  actions: {
    record: assign({ records: ({ context, event }) => linked(context.records, recordsOf(received(event, 'luf.skip'))) }),
    forget: assign({ records: ({ context, event }) => context.records.filter(({ cpu }) => !received(event, 'luf.flushed').cpus.includes(cpu)) }),
    warn: assign({ warned: ({ context, event }) => context.warned ?? (event.type === 'luf.pte_set' ? 'H1' : 'H2') }),
  },
}).createMachine({
  id: 'luf_rules',
  description: 'H1 and H2',
  context: { records: [], warned: null },
  on: {
    '*': { description: 'A hook that says nothing now' },
    'luf.skip': { actions: 'record' },
    'luf.flushed': { actions: 'forget' },
    'luf.pte_set': [{ guard: 'exemptsPte' }, { guard: 'rewritesPte', actions: 'warn', description: 'H1' }],
    'luf.slot_set': [{ guard: 'exemptsSlot' }, { guard: 'replacesSlot', actions: 'warn', description: 'H2' }],
  },
});

/** H1 and H2 relaxed: what is read-only and has the same bytes may take the place of what was unmapped. */
export const lufRulesExempting = lufRules.provide({
  guards: {
    exemptsPte: ({ event }) => {
      const { pte } = received(event, 'luf.pte_set');
      return pte.kind === 'present' && !pte.write;
    },
    exemptsSlot: () => true,
  },
});
