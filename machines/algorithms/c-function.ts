import { assign, setup } from 'xstate';
import { received, type Signed, speaker } from '../../src/system/message.js';

/** A call in the body of a function. */
interface Call {
  /** In the words of the function: the mapping of the page that it passes here. */
  page: string;
  /** What the call passes for it; null: the call is as it was. */
  passes: string | null;
  /** How often it was given an argument; 2 stands for more than once. */
  rewritten: 0 | 1 | 2;
}

interface Input {
  /** As it is written in the tree. */
  name: string;
  /** Its body reads `page->mapping`. */
  uses: boolean;
  /** The mappings that its parameters give it as it is: `mapping`, `file->f_mapping`. */
  own: string[];
  /** Per call site in its body the mapping of the page that is passed there. */
  calls: Record<string, string>;
}

interface Context extends Omit<Input, 'calls'> {
  calls: Record<string, Call>;
}

/** The new parameter, as the functions that get it write it. */
export const MAPPING = 'mapping';

/** What is asked of a function, and what is done to it. A {@link slot} is asked and done the same as far as it has a type only. */
export type Edit = Signed<{ type: 'parameters_contain' } | { type: 'add_parameter' }>;

type Event =
  | Edit
  | Signed<{ type: 'body_contains' } | { type: 'mappings_in_scope' }>
  | Signed<{ type: 'which_mapping'; site: string } | { type: 'calling_add_parameter'; site: string; argument: string }>;

/** How it answers. */
export type Answer = Signed<
  | { type: 'yes' | 'no' | 'no_mapping' }
  | { type: 'added'; to: string }
  | { type: 'mappings'; mappings: string[] }
  | { type: 'mapping'; name: string }
  | { type: 'passes'; argument: string }
>;

const { reply } = speaker<Context, Event>();

/**
 * A function as it stands in the source tree: which mapping it has, and what the calls in its body pass. It answers what a tool
 * can read there; which mapping belongs to a page (`which_mapping`) is known only to who understands the code.
 */
export const cFunction = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    hasOwn: ({ context }) => context.own.length > 0,
    uses: ({ context }) => context.uses,
  },
  actions: {
    yes: reply({ type: 'yes' }),
    no: reply({ type: 'no' }),
    noneInScope: reply({ type: 'no_mapping' }),
    own: reply(({ context }) => ({ type: 'mappings', mappings: context.own })),
    parameter: reply({ type: 'mappings', mappings: [MAPPING] }),
    added: reply(({ context }) => ({ type: 'added', to: context.name })),
    pageMapping: reply(({ context, event }) => ({ type: 'mapping', name: (context.calls[received(event, 'which_mapping').site] as Call).page })),
    rewrite: assign({
      calls: ({ context: { calls }, event }) => {
        const { site, argument } = received(event, 'calling_add_parameter');
        const { page, rewritten } = calls[site] as Call;
        return { ...calls, [site]: { page, passes: argument, rewritten: rewritten === 0 ? 1 : 2 } };
      },
    }),
    passes: reply(({ event }) => ({ type: 'passes', argument: received(event, 'calling_add_parameter').argument })),
  },
}).createMachine({
  id: 'c_function',
  context: ({ input }) => ({
    ...input,
    calls: Object.fromEntries(Object.entries(input.calls).map(([site, page]) => [site, { page, passes: null, rewritten: 0 }])),
  }),
  initial: 'declared',
  on: {
    body_contains: [{ guard: 'uses', actions: 'yes' }, { actions: 'no' }],
    which_mapping: { actions: 'pageMapping' },
    calling_add_parameter: { actions: ['rewrite', 'passes'], description: 'A call in its body gets one more argument' },
  },
  states: {
    declared: { description: 'As it was at the start', always: [{ guard: 'hasOwn', target: 'own_mapping' }, { target: 'without_mapping' }] },
    without_mapping: {
      description: 'No parameter gives it a mapping',
      on: {
        parameters_contain: { actions: 'no' },
        mappings_in_scope: { actions: 'noneInScope' },
        add_parameter: { target: 'mapping_parameter', actions: 'added' },
      },
    },
    own_mapping: {
      description: 'A parameter gives it a mapping as it is: a mapping, or a file',
      on: { parameters_contain: { actions: 'yes' }, mappings_in_scope: { actions: 'own' }, add_parameter: { target: 'second_mapping' } },
    },
    mapping_parameter: {
      description: 'It has got the parameter',
      on: { parameters_contain: { actions: 'yes' }, mappings_in_scope: { actions: 'parameter' }, add_parameter: { target: 'second_mapping' } },
    },
    second_mapping: { tags: ['BUG'], description: 'BUG: a parameter for the mapping is added to a function that has one' },
  },
});
