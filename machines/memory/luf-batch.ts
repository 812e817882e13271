import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';

/** A CPU that still owes the flush of generation `ugen`. */
interface Debt {
  cpu: Address;
  ugen: number;
}

interface Context {
  /** The generation of the last record. */
  ugen: number;
  debts: Debt[];
}

type Event =
  | Signed<{ type: 'luf_batch.record'; cpus: Address[] } | { type: 'luf_batch.ugen' }>
  | Signed<{ type: 'luf_batch.owed'; upTo: number | null } | { type: 'luf_batch.paid'; cpus: Address[]; ugen: number }>;

const { reply } = speaker<Context, Event>();
const byCpu = (a: Debt, b: Debt): number => (a.cpu < b.cpu ? -1 : Number(a.cpu > b.cpu)) || a.ugen - b.ugen;

/**
 * The table of flushes that were put off (luf_batch[] and the CPUs' ugen_done; RFC version 12): which CPUs owe a flush,
 * and of which generation. A free page carries the generation up to which it needs them paid. The table's 16-bit keys are
 * left out: a key that is merged only makes a flush larger. Domain table, part 2, 1b.
 */
export const lufBatch = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Partial<Context> },
  guards: {
    /** Safeguard (row L13): what was recorded while the flush was on its way is not paid by it. */
    paysUpToStart: () => true,
  },
  actions: {
    record: assign(({ context, event }) => {
      const ugen = context.ugen + 1;
      const { cpus } = received(event, 'luf_batch.record');
      return { ugen, debts: [...context.debts, ...cpus.map((cpu) => ({ cpu, ugen }))].sort(byCpu) };
    }),
    replyUgen: reply(({ context }) => ({ type: 'ugen', ugen: context.ugen })),
    replyOwed: reply(({ context, event }) => {
      const { upTo } = received(event, 'luf_batch.owed');
      const owed = context.debts.filter(({ ugen }) => upTo === null || ugen <= upTo);
      return { type: 'owed', cpus: [...new Set(owed.map(({ cpu }) => cpu))], ugen: context.ugen };
    }),
    payUpToStart: assign({
      debts: ({ context, event }) => {
        const { cpus, ugen: paid } = received(event, 'luf_batch.paid');
        return context.debts.filter(({ cpu, ugen }) => ugen > paid || !cpus.includes(cpu));
      },
    }),
    payAll: assign({ debts: ({ context, event }) => context.debts.filter(({ cpu }) => !received(event, 'luf_batch.paid').cpus.includes(cpu)) }),
  },
}).createMachine({
  id: 'luf_batch',
  description: 'Flushes that were put off: which CPU owes which',
  context: ({ input }) => ({ ugen: 0, debts: [], ...input }),
  on: {
    'luf_batch.record': { actions: 'record', description: 'R4d: under the page-table lock' },
    'luf_batch.ugen': { actions: 'replyUgen', description: 'fold_unmap_luf: the key of the pages that are freed now' },
    'luf_batch.owed': { actions: 'replyOwed', description: 'Who must be flushed before anything of this generation or earlier may change' },
    'luf_batch.paid': [
      { guard: 'paysUpToStart', actions: 'payUpToStart', description: 'ugen_done: the generation at the start of the flush' },
      { actions: 'payAll', description: 'Row L13: all that these CPUs owe by now' },
    ],
  },
});
