import type { SnapshotFrom } from 'xstate';
import { addMappingParameter } from '../../machines/algorithms/add-mapping-parameter.js';
import { cFunction, MAPPING } from '../../machines/algorithms/c-function.js';
import { passdownMapping } from '../../machines/algorithms/passdown-mapping.js';
import { slot } from '../../machines/algorithms/slot.js';
import type { CallGraph, CallSite, GraphFunction, MappingParameter, Slot } from '../passdown/call-graph.js';
import { passdownMapping as passdown } from '../passdown/passdown-mapping.js';
import { invariant, leadsTo, type Property } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { I11 } from './kernel-properties.js';

/** Which functions there are, and which algorithm goes through them. */
export interface PassdownSetup {
  /**
   * Functions and slots have different names, call sites of one function different lines. There are no accessors, it is said which of
   * several mappings is the page's, and of the functions in a slot all have a mapping or none.
   */
  graph: CallGraph;
  addMappingParameter?: typeof addMappingParameter;
}

type Watch = Record<string, SnapshotFrom<typeof cFunction>> & {
  passdown_mapping: SnapshotFrom<typeof passdownMapping>;
  add_mapping_parameter: SnapshotFrom<typeof addMappingParameter>;
};

/** The name of a call site: `ext4_readpage:12`. */
export const siteName = ({ caller, line }: CallSite): string => `${caller}:${line}`;

const argumentFrom = ({ name, type }: MappingParameter): string => (type === 'file' ? `${name}->f_mapping` : name);
const slotsOf = ({ slots = [] }: CallGraph, id: string): Slot[] => slots.filter(({ functions }) => functions.includes(id));
const sitesOf = ({ calls }: CallGraph, id: string): CallSite[] => calls.filter((site) => ('slot' in site ? site.slot : site.callee) === id);

/** What the function says is the mapping of the page that it passes there. */
function pageMapping(func: GraphFunction, site: CallSite): string {
  const own = func.has ?? [];
  const [only] = own;
  if (!only) return MAPPING;
  const named = own.length === 1 ? only : own.find(({ name }) => name === site.mapping);
  if (!named) throw new Error(`${siteName(site)}: which mapping of ${func.id} is that of the page?`);
  return argumentFrom(named);
}

const treeOf = (graph: CallGraph, lane: string): Record<string, ActorSpec> => ({
  ...Object.fromEntries((graph.slots ?? []).map(({ id }) => [id, actor(slot, { lane, input: { name: id } })])),
  ...Object.fromEntries(
    graph.functions.map((func) => {
      const calls = graph.calls.filter(({ caller }) => caller === func.id).map((site) => [siteName(site), pageMapping(func, site)]);
      const input = { name: func.id, uses: func.uses === true, own: (func.has ?? []).map(argumentFrom), calls: Object.fromEntries(calls) };
      return [func.id, actor(cFunction, { lane, input })];
    }),
  ),
});

/** What the algorithm reads of the tree besides parameters and bodies: who calls whom. */
function callsOf(graph: CallGraph) {
  const sites = (id: string) => sitesOf(graph, id).map(siteName);
  return {
    around: Object.fromEntries([
      ...graph.functions.map(({ id }) => [id, { sites: sites(id), slots: slotsOf(graph, id).map((slot) => slot.id), functions: [] }]),
      ...(graph.slots ?? []).map(({ id, functions }) => [id, { sites: sites(id), slots: [], functions: [...functions] }]),
    ]),
    callers: Object.fromEntries(graph.calls.map((site) => [siteName(site), site.caller])),
  };
}

const converted = (snapshots: Watch, id: string): boolean => snapshots[id]?.value === 'mapping_parameter';
const ended = ({ passdown_mapping }: Watch): boolean => passdown_mapping.value === 'passed_down';
const callOf = (snapshots: Watch, site: CallSite) => snapshots[site.caller]?.context.calls[siteName(site)];

function propertiesOf(graph: CallGraph): Property[] {
  const { functions, slots = [], calls } = graph;
  const { parameters, roots } = passdown(graph);
  const needs = new Set(parameters.map(({ id }) => id));
  const readers = ['passdown_mapping', ...functions.map(({ id }) => id)];
  const due = (snapshots: Watch, site: CallSite): boolean =>
    'slot' in site ? (slots.find(({ id }) => id === site.slot)?.functions ?? []).some((id) => converted(snapshots, id)) : converted(snapshots, site.callee);
  return [
    leadsTo<Watch>('terminates', 'passdown_mapping comes to its end', { actors: ['passdown_mapping'], when: () => true, reach: ended }),
    invariant<Watch>('a', 'each call of a function that gets the parameter is rewritten once, also through a slot, and no other call is', {
      actors: readers,
      holds: (snapshots) =>
        calls.every((site) => {
          const rewritten = callOf(snapshots, site)?.rewritten ?? 0;
          return rewritten <= 1 && (!ended(snapshots) || rewritten === (due(snapshots, site) ? 1 : 0));
        }),
    }),
    invariant<Watch>('b', 'what a call passes is the mapping of the page at hand, and the caller has it', {
      actors: readers,
      holds: (snapshots) =>
        calls.every((site) => {
          const call = callOf(snapshots, site);
          if (!call || call.passes === null) return true;
          return call.passes === call.page && (!ended(snapshots) || snapshots[site.caller]?.value !== 'without_mapping');
        }),
    }),
    invariant<Watch>('N', 'the functions that get the parameter are those that need it: the least fixed point', {
      actors: readers,
      holds: (snapshots) =>
        functions.every(({ id }) => (ended(snapshots) ? converted(snapshots, id) === needs.has(id) : !converted(snapshots, id) || needs.has(id))),
    }),
    // The last two are asked where a tree can give the wrong answer.
    ...(slots.length > 0
      ? [
          invariant<Watch>('types', 'in the end all functions of a slot have its type', {
            actors: [...readers, ...slots.map(({ id }) => id)],
            when: ended,
            holds: (snapshots) => slots.every(({ id, functions }) => functions.every((member) => converted(snapshots, member) === converted(snapshots, id))),
          }),
        ]
      : []),
    ...(roots.length > 0
      ? [
          invariant<Watch>('c', 'in the end each function that got the parameter, and that nobody can give a mapping, was reported', {
            actors: [...readers, 'add_mapping_parameter'],
            when: ended,
            holds: (snapshots) => roots.every(({ id }) => !converted(snapshots, id) || snapshots.add_mapping_parameter.context.reported.includes(id)),
          }),
        ]
      : []),
    I11,
  ];
}

/** The algorithm against a source tree, each function and slot of which is an actor. */
export function passdownSystem(id: string, setup: PassdownSetup): System {
  const { graph } = setup;
  const inFs = graph.functions.filter(({ fs }) => fs !== false).map((func) => func.id);
  const names = (type: 'caller' | 'slot' | 'func', all: readonly string[]) => all.map((name) => ({ type, name }) as const);
  return defineSystem({
    id,
    actors: {
      passdown_mapping: actor(passdownMapping, {
        lane: 'passdown_mapping',
        input: { functions: inFs, addMappingParameter: 'add_mapping_parameter' },
        choices: ['step', ...inFs.map((name) => ({ type: 'func', name }) as const)],
      }),
      add_mapping_parameter: actor(setup.addMappingParameter ?? addMappingParameter, {
        lane: 'add_mapping_parameter',
        input: callsOf(graph),
        choices: [
          'step',
          ...names('caller', graph.calls.map(siteName)),
          ...names(
            'slot',
            (graph.slots ?? []).map((slot) => slot.id),
          ),
          ...names('func', [...new Set((graph.slots ?? []).flatMap(({ functions }) => functions))]),
        ],
      }),
      ...treeOf(graph, 'source tree'),
    },
    properties: propertiesOf(graph),
  });
}
