import { assign, setup } from 'xstate';
import { type Address, received, speaker } from '../../src/system/message.js';
import type { Return } from '../call.js';
import type { Answer } from './c-function.js';

interface Input {
  /** The functions of the filesystems. */
  functions: Address[];
  addMappingParameter: Address;
}

interface Context extends Omit<Input, 'functions'> {
  /** Functions of the filesystems that it has not looked at. */
  left: Address[];
  /** The one that it looks at. */
  func: Address;
}

type Event = { type: 'step' } | { type: 'func'; name: Address } | Answer | Return;

const { tell } = speaker<Context, Event>();

/**
 * passdown_mapping() of "Generic page write protection" (January 2020): gives each function of the filesystems that reads
 * `page->mapping` and has none a parameter for it. Which function comes next is left open (`func`). Domain table, part 2, 1f.
 */
export const passdownMapping = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    noneLeft: ({ context }) => context.left.length === 0,
    isLeft: ({ context, event }) => context.left.includes(received(event, 'func').name),
  },
  actions: {
    take: assign(({ context, event }) => {
      const { name } = received(event, 'func');
      return { func: name, left: context.left.filter((other) => other !== name) };
    }),
    askBody: tell(({ context }) => context.func, { type: 'body_contains' }),
    askParameters: tell(({ context }) => context.func, { type: 'parameters_contain' }),
    callAddMappingParameter: tell(
      ({ context }) => context.addMappingParameter,
      ({ context }) => ({ type: 'call', func: context.func }),
    ),
    forget: assign({ func: '' }),
  },
}).createMachine({
  id: 'passdown_mapping',
  context: ({ input: { functions, addMappingParameter } }) => ({ addMappingParameter, left: functions, func: '' }),
  initial: 'for_each_function_in_fs',
  states: {
    for_each_function_in_fs: {
      description: 'Takes any function of the filesystems that it has not looked at',
      always: { guard: 'noneLeft', target: 'passed_down' },
      on: { func: { guard: 'isLeft', target: 'function_body_contains', actions: 'take' } },
    },
    function_body_contains: {
      description: 'Does its body read page->mapping?',
      on: {
        step: { actions: 'askBody' },
        yes: { target: 'function_parameters_contains' },
        no: { target: 'for_each_function_in_fs', actions: 'forget' },
      },
    },
    function_parameters_contains: {
      description: 'Do its parameters give it a mapping, or a file?',
      on: {
        step: { actions: 'askParameters' },
        yes: { target: 'for_each_function_in_fs', actions: 'forget' },
        no: { target: 'add_mapping_parameter' },
      },
    },
    add_mapping_parameter: {
      description: 'The function gets the parameter, and so does who has to pass it',
      entry: 'callAddMappingParameter',
      on: { return: { target: 'for_each_function_in_fs', actions: 'forget' } },
    },
    passed_down: { tags: ['rest'], description: 'It has looked at every function of the filesystems' },
  },
});
