import { setup } from 'xstate';
import { speaker } from '../../src/system/message.js';
import type { Edit } from './c-function.js';

interface Context {
  /** As it is written in the tree: `address_space_operations.writepage`. */
  name: string;
}

const { reply } = speaker<Context, Edit>();

/** A member of a table of functions: the type that all functions in it have, and that calls through it are checked against. */
export const slot = setup({
  types: { context: {} as Context, events: {} as Edit, input: {} as Context },
  actions: {
    yes: reply({ type: 'yes' }),
    no: reply({ type: 'no' }),
    added: reply(({ context }) => ({ type: 'added', to: context.name })),
  },
}).createMachine({
  id: 'slot',
  context: ({ input }) => input,
  initial: 'without_mapping',
  states: {
    without_mapping: {
      description: 'Its type is as it was at the start',
      on: { parameters_contain: { actions: 'no' }, add_parameter: { target: 'mapping_parameter', actions: 'added' } },
    },
    mapping_parameter: {
      description: 'Its type has the parameter',
      on: { parameters_contain: { actions: 'yes' }, add_parameter: { target: 'second_mapping' } },
    },
    second_mapping: { tags: ['BUG'], description: 'BUG: a parameter for the mapping is added to a type that has one' },
  },
});
