import { assign, setup } from 'xstate';
import { type Address, received, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { type Answer, MAPPING } from './c-function.js';

/** What there is around a function, or a slot, in the source tree. */
interface Surroundings {
  /** Call sites: of the function by its name, or through the slot. */
  sites: string[];
  /** Of a function: the slots that it stands in. */
  slots: Address[];
  /** Of a slot: the functions in it. */
  functions: Address[];
}

interface Input {
  /** Per function and slot. */
  around: Record<Address, Surroundings>;
  /** Per call site the function in whose body it is. */
  callers: Record<string, Address>;
}

/** An activation of the recursive function. */
interface Activation {
  func: Address;
  /** Call sites, slots, and functions that it has not come to. */
  left: string[];
}

interface Context extends Input {
  caller: Address;
  /** The innermost activation comes last. */
  stack: Activation[];
  /** The function, or slot, that is looked at. */
  func: Address;
  /** The call site that is rewritten, and what it is going to pass. */
  site: string;
  argument: string;
  /** Functions without a source that were reported. */
  reported: Address[];
}

/** Which call site, slot or function comes next. */
type Next = { type: 'caller' | 'slot' | 'func'; name: string };

type Event = { type: 'step' } | Next | Call<{ func: Address }> | Answer;

const { tell } = speaker<Context, Event>();

const top = ({ stack }: Context): Activation => stack.at(-1) as Activation;
const next = (event: Event): string => received(event, 'caller', 'slot', 'func').name;
const around = ({ around }: Context, func: Address): Surroundings => around[func] as Surroundings;

/**
 * add_mapping_parameter() of "Generic page write protection" (January 2020), with its recursion as a stack: gives a function the
 * parameter, and whoever calls it an argument, for which the caller may need the parameter too. Which caller comes next is left
 * open. Domain table, part 2, 1f and 2D (PA to PE); what the text of 2020 lacks is a guard each.
 *
 * A function whose activation is under way is activated anew only if it is not marked. Then nothing on the stack is, so the new
 * activation comes to itself again by the same callers, and none below it is ever returned to: the stack is cut back to it.
 */
export const addMappingParameter = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard (PB): a function has the parameter before its callers are looked at; one that calls itself is not begun again. */
    marksFirst: () => true,
    /** Safeguard (PC): a slot is treated as a function is: all in it get the parameter, and so does who calls through it. */
    slotIsNode: () => true,
    /** Safeguard (PD): a function that nobody calls has nobody to get a mapping from, and is not passed over in silence. */
    reportsRoots: () => true,
    /** Safeguard (PE): having a mapping is not having that of the page. */
    asksWhichMapping: () => true,
    isUnderWay: ({ context }) => context.stack.some(({ func }) => func === context.func),
    isOutermost: ({ context }) => context.stack.length === 1,
    noneLeft: ({ context }) => top(context).left.length === 0,
    isLeft: ({ context, event }) => top(context).left.includes(next(event)),
    /** Somebody calls it, or calls through a slot that it stands in. Of a slot it is not asked: its functions are. */
    hasSource: ({ context }) => {
      const { sites, slots, functions } = around(context, top(context).func);
      return functions.length > 0 || sites.length > 0 || slots.some((slot) => around(context, slot).sites.length > 0);
    },
    isOnlyOne: ({ event }) => received(event, 'mappings').mappings.length === 1,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, func } = received(event, 'call');
      return { caller: from, func };
    }),
    cutBack: assign({
      stack: ({ context: { stack, func } }) =>
        stack.slice(
          0,
          stack.findIndex((activation) => activation.func === func),
        ),
    }),
    activate: assign(({ context }) => {
      const { sites, slots, functions } = around(context, context.func);
      return { stack: [...context.stack, { func: context.func, left: [...sites, ...slots, ...functions] }], func: '' };
    }),
    addParameter: tell(({ context }) => top(context).func, { type: 'add_parameter' }),
    take: assign({
      stack: ({ context, event }) => [
        ...context.stack.slice(0, -1),
        { func: top(context).func, left: top(context).left.filter((name) => name !== next(event)) },
      ],
    }),
    lookAt: assign({ func: ({ event }) => next(event) }),
    lookAtCaller: assign(({ context, event }) => ({ site: next(event), func: context.callers[next(event)] as Address })),
    forget: assign({ func: '' }),
    askScope: tell(({ context }) => context.func, { type: 'mappings_in_scope' }),
    askMapping: tell(
      ({ context }) => context.func,
      ({ context }) => ({ type: 'which_mapping', site: context.site }),
    ),
    chooseParameter: assign({ argument: MAPPING }),
    chooseFirst: assign({ argument: ({ event }) => received(event, 'mappings').mappings[0] as string }),
    choose: assign({ argument: ({ event }) => received(event, 'mapping').name }),
    rewrite: tell(
      ({ context }) => context.func,
      ({ context }) => ({ type: 'calling_add_parameter', site: context.site, argument: context.argument }),
    ),
    forgetSite: assign({ site: '', argument: '' }),
    askParameters: tell(({ context }) => context.func, { type: 'parameters_contain' }),
    report: assign({ reported: ({ context }) => [...context.reported, top(context).func].sort() }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    pop: assign({ stack: ({ context }) => context.stack.slice(0, -1) }),
    forgetCaller: assign({ caller: '' }),
  },
}).createMachine({
  id: 'add_mapping_parameter',
  context: ({ input }) => ({ ...input, caller: '', stack: [], func: '', site: '', argument: '', reported: [] }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'add_mapping_parameter', actions: 'remember' } } },
    add_mapping_parameter: {
      description: 'Called for a function or a slot that has no mapping',
      always: [{ guard: 'isUnderWay', target: 'activation', actions: 'cutBack' }, { target: 'activation' }],
    },
    activation: {
      description: 'A new activation, on top of those under way',
      always: [
        { guard: 'marksFirst', target: 'function_add_parameter', actions: 'activate' },
        { target: 'for_each_function_calling', actions: 'activate' },
      ],
    },
    function_add_parameter: {
      description: 'The function gets the parameter; of a slot the type does',
      on: { step: { actions: 'addParameter' }, added: [{ guard: 'marksFirst', target: 'for_each_function_calling' }, { target: 'end_of_function' }] },
    },
    for_each_function_calling: {
      description: 'Takes any call site that is left, or a slot that the function stands in; for a slot, a function in it',
      always: { guard: 'noneLeft', target: 'callers_done' },
      on: {
        caller: { guard: 'isLeft', target: 'mappings_in_scope', actions: ['take', 'lookAtCaller'] },
        slot: { guard: 'isLeft', target: 'slot_is_node', actions: ['take', 'lookAt'] },
        func: { guard: 'isLeft', target: 'function_parameters_contains', actions: ['take', 'lookAt'] },
      },
    },
    mappings_in_scope: {
      description: 'Which mappings has the caller? If none, it is going to have the parameter',
      entry: 'askScope',
      on: {
        no_mapping: { target: 'calling_add_parameter', actions: 'chooseParameter' },
        mappings: [
          { guard: 'isOnlyOne', target: 'calling_add_parameter', actions: 'chooseFirst' },
          { guard: 'asksWhichMapping', target: 'which_mapping' },
          { target: 'calling_add_parameter', actions: 'chooseFirst' },
        ],
      },
    },
    which_mapping: {
      description: 'Asks who understands the caller which of its mappings is that of the page',
      on: { step: { actions: 'askMapping' }, mapping: { target: 'calling_add_parameter', actions: 'choose' } },
    },
    calling_add_parameter: {
      description: 'The call gets one more argument',
      on: { step: { actions: 'rewrite' }, passes: { target: 'function_parameters_contains', actions: 'forgetSite' } },
    },
    slot_is_node: {
      description: 'All functions of a slot have its type, so the slot gets the parameter too',
      always: [
        { guard: 'slotIsNode', target: 'function_parameters_contains' },
        { target: 'for_each_function_calling', actions: 'forget' },
      ],
    },
    function_parameters_contains: {
      description: 'Do the parameters of the caller (of the slot, of the function in it) contain a mapping, or a file?',
      on: {
        step: { actions: 'askParameters' },
        yes: { target: 'for_each_function_calling', actions: 'forget' },
        no: { target: 'add_mapping_parameter' },
      },
    },
    callers_done: {
      description: 'Is there anybody to pass the mapping to the function?',
      always: [{ guard: 'hasSource', target: 'sources_known' }, { guard: 'reportsRoots', target: 'report_root' }, { target: 'sources_known' }],
    },
    report_root: {
      description: 'Reports that nobody calls the function: where its mapping comes from is to be settled by hand',
      on: { step: { target: 'sources_known', actions: 'report' } },
    },
    sources_known: {
      description: 'It is through with the callers',
      always: [{ guard: 'marksFirst', target: 'end_of_function' }, { target: 'function_add_parameter' }],
    },
    end_of_function: {
      description: 'Back to the activation below, or to who called',
      always: [
        { guard: 'isOutermost', target: 'idle', actions: ['pop', 'return', 'forgetCaller'] },
        { target: 'for_each_function_calling', actions: 'pop' },
      ],
    },
  },
});
