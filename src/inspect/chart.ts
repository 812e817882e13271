import type { AnyStateMachine } from 'xstate';

export interface ChartTransition {
  source: string;
  event: string;
  guard: string | null;
  actions: string[];
  /** Ids; empty when it stays in its state. */
  targets: string[];
  /** Its number among those of this source and event. */
  index: number;
}

export interface ChartNode {
  id: string;
  key: string;
  type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  description: string;
  tags: string[];
  /** Id of the initial child. */
  initial: string | null;
  entry: string[];
  exit: string[];
  transitions: ChartTransition[];
  children: ChartNode[];
}

type Json = Record<string, unknown>;

/** A state with what is still needed to find the states that its transitions name. */
interface Draft {
  node: ChartNode;
  config: Json;
  parent: Draft | null;
  children: Map<string, Draft>;
}

interface Reading {
  byId: Map<string, Draft>;
}

/** No chart that a person can read comes near these; they bound what a hostile sender costs. */
const deepest = 20;
const mostStates = 2000;
const mostPerState = 500;
const longestName = 200;
const longestDescription = 2000;

/** What serialisers put in the place of what was too deep for them. */
const cutOff = new Set(['[Object]', '[Array]', '[...]', '[Circular]', '...']);
const inline = '(inline)';

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const recordAt = (config: Json, key: string): Json => (isRecord(config[key]) ? config[key] : {});
const textAt = (config: Json, key: string): string => (typeof config[key] === 'string' ? config[key] : '');
const listOf = (value: unknown): unknown[] => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]).slice(0, mostPerState);
const brief = (text: string): string => (text.length > longestName ? `${text.slice(0, longestName - 1)}…` : text);
/** What a function without a name of its own is called, after the place where it is written. */
const placeNames = new Set(['', 'entry', 'exit', 'actions', 'guard', 'cond']);
/** XState's own actions go by their creator's name: `assign`, `sendTo`. */
const plain = (name: string): string => (placeNames.has(name) ? inline : brief(name.replace(/^xstate\./, '')));

/**
 * XState's name for a transition's event as the chart shows it: `always`, `after 100 ms`, `onDone`, `onError(actor)`.
 * @param source Id of the state whose transition it is, which XState makes part of some names.
 */
export function eventName(type: string, source = ''): string {
  if (type === '') return 'always';
  const own = source !== '' && type.endsWith(`.${source}`) ? type.slice(0, -source.length - 1) : type;
  const delay = /^xstate\.after\((.+)\)#/.exec(type) ?? /^xstate\.after\.(.+)$/.exec(own === type ? type.replace(/^(xstate\.after\.\d+)\..*$/, '$1') : own);
  if (delay) return afterName(delay[1] as string);
  if (/^(xstate\.)?done\.state\./.test(type)) return 'onDone';
  const settled = /^(?:xstate\.)?(done|error|snapshot)\.(?:actor|invoke|platform)\.(.+)$/.exec(own) ?? /^xstate\.(snapshot)\.(.+)$/.exec(own);
  if (settled) return settledName(`on${(settled[1] as string).charAt(0).toUpperCase()}${(settled[1] as string).slice(1)}`, settled[2] as string);
  return brief(type);
}

const afterName = (delay: string): string => brief(/^\d+$/.test(delay) ? `after ${delay} ms` : `after ${delay}`);
const settledName = (what: string, actor: string): string => brief(`${what}(${actor})`);

function actionName(action: unknown): string {
  if (typeof action === 'string') return plain(action);
  if (typeof action === 'function') return plain('type' in action && typeof action.type === 'string' ? action.type : action.name);
  return isRecord(action) ? plain(textAt(action, 'type')) : inline;
}

function guardName(guard: unknown, depth = 0): string | null {
  if (guard === undefined || guard === null) return null;
  if (typeof guard === 'string') return plain(guard);
  if (depth > deepest) return '…';
  if (typeof guard === 'function') {
    if (!('guards' in guard)) return plain(guard.name);
    const parts = listOf(guard.guards).map((part) => guardName(part, depth + 1) ?? inline);
    return guard.name === 'not' ? `not ${parts.join()}` : `(${parts.join(` ${guard.name} `)})`;
  }
  if (!isRecord(guard)) return inline;
  // XState 4 wraps a named guard.
  return plain(textAt(guard, 'type') === 'xstate.guard' ? textAt(guard, 'name') : textAt(guard, 'type'));
}

function typeOf(config: Json, children: number): ChartNode['type'] {
  const { type } = config;
  if (type === 'parallel' || type === 'final' || type === 'history') return type;
  return children > 0 ? 'compound' : config.history ? 'history' : 'atomic';
}

/** Two states of one id would be one box: the second gets another. */
function freeId({ byId }: Reading, wanted: string, path: string): string {
  if (!byId.has(wanted)) return wanted;
  let id = path;
  for (let number = 2; byId.has(id); number++) id = `${path}~${number}`;
  return id;
}

function draft(reading: Reading, config: Json, key: string, parent: Draft | null, path: string, depth: number): Draft {
  const id = freeId(reading, textAt(config, 'id') || path, path);
  const node: ChartNode = {
    id,
    key,
    type: 'atomic',
    description: textAt(config, 'description').slice(0, longestDescription),
    tags: listOf(config.tags).flatMap((tag) => (typeof tag === 'string' ? [brief(tag)] : [])),
    initial: null,
    entry: [],
    exit: [],
    transitions: [],
    children: [],
  };
  const drafted: Draft = { node, config, parent, children: new Map() };
  reading.byId.set(id, drafted);
  if (depth < deepest)
    for (const [name, child] of Object.entries(recordAt(config, 'states'))) {
      if (reading.byId.size >= mostStates) break;
      const below = draft(reading, isRecord(child) ? child : {}, name, drafted, `${path}.${name}`, depth + 1);
      if (typeof child === 'string') below.node.description = 'The sender cut off what is in here';
      drafted.children.set(name, below);
      node.children.push(below.node);
    }
  node.type = typeOf(config, node.children.length);
  return drafted;
}

function descend(from: Draft | undefined, path: readonly string[]): Draft | undefined {
  return path.reduce<Draft | undefined>((at, key) => at?.children.get(key), from);
}

const pathOf = (target: string): string[] => target.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'));

/** The state that a target names, as XState finds it: `#id.child`, `.child` of its own, or a sibling. */
function find({ byId }: Reading, from: Draft, target: string): Draft | undefined {
  if (target.startsWith('.')) return descend(from, pathOf(target.slice(1)));
  if (!target.startsWith('#')) return descend(from.parent ?? from, pathOf(target));
  const exact = byId.get(target.slice(1));
  if (exact) return exact;
  const path = pathOf(target.slice(1));
  for (let length = path.length - 1; length > 0; length--) {
    const start = byId.get(path.slice(0, length).join('.'));
    if (start) return descend(start, path.slice(length));
  }
  return undefined;
}

const findAll = (reading: Reading, from: Draft, targets: unknown): string[] =>
  listOf(targets).flatMap((target) => (typeof target === 'string' ? (find(reading, from, target)?.node.id ?? []) : []));

/** What is invoked, by the name that its transitions go by. */
const invocations = (config: Json): { name: string; invocation: Json }[] =>
  listOf(config.invoke).flatMap((invocation) => {
    if (typeof invocation === 'string') return [{ name: brief(invocation), invocation: {} }];
    if (!isRecord(invocation)) return [];
    const src = isRecord(invocation.src) ? textAt(invocation.src, 'type') : textAt(invocation, 'src');
    return [{ name: brief(textAt(invocation, 'id') || src || inline), invocation }];
  });

/** All transitions of a state by their event, in XState's order of priority; those of a definition are under `on` already. */
function transitionConfigs({ node, config }: Draft): [event: string, configs: unknown[]][] {
  const named = (event: string, value: unknown): [string, unknown[]] => [event, listOf(value)];
  return [
    named('always', config.always),
    // An event with nothing to do is a transition still: it hides those further out.
    ...Object.entries(recordAt(config, 'on')).map(([event, value]) => named(eventName(event, node.id), value === undefined ? {} : value)),
    named('onDone', config.onDone),
    ...invocations(config).flatMap(({ name, invocation }) =>
      ['onDone', 'onError', 'onSnapshot'].map((event) => named(settledName(event, name), invocation[event])),
    ),
    ...Object.entries(recordAt(config, 'after')).map(([delay, value]) => named(afterName(delay), value)),
    ...(node.type === 'history' ? [named('default', config.target)] : []),
  ];
}

function transitionsOf(reading: Reading, from: Draft): ChartTransition[] {
  const numbers = new Map<string, number>();
  return transitionConfigs(from)
    .flatMap(([event, configs]) => configs.map((config) => ({ event, config: typeof config === 'string' ? { target: config } : config })))
    .slice(0, mostPerState)
    .flatMap(({ event, config }) => {
      if (!isRecord(config) || cutOff.has(textAt(config, 'target'))) return [];
      const index = numbers.get(event) ?? 0;
      numbers.set(event, index + 1);
      return {
        source: from.node.id,
        event,
        guard: guardName(config.guard ?? config.cond),
        actions: listOf(config.actions).map(actionName),
        targets: findAll(reading, from, config.target),
        index,
      };
    });
}

/** A definition shows the starting and stopping of timers as actions of its own, after all others. */
function withoutTimers({ config }: Draft, key: 'entry' | 'exit'): unknown[] {
  const actions = listOf(config[key]);
  const timers = Object.keys(recordAt(config, 'on')).filter((event) => event.startsWith('xstate.after')).length;
  const isTimer = (action: unknown): boolean => isRecord(action) && /^xstate\.(raise|send|cancel)$/.test(textAt(action, 'type'));
  return actions.filter((action, at) => at < actions.length - timers || !isTimer(action));
}

function initialOf(reading: Reading, from: Draft): string | null {
  if (from.node.type !== 'compound') return null;
  const { initial } = from.config;
  const target = listOf(isRecord(initial) ? initial.target : initial)[0];
  if (typeof target !== 'string') return null;
  return (from.children.get(target) ?? find(reading, from, target.startsWith('#') ? target : `.${target}`))?.node.id ?? null;
}

function chartFrom(config: Json, id: string): ChartNode {
  const reading: Reading = { byId: new Map() };
  const root = draft(reading, config, id, null, id, 0);
  for (const drafted of reading.byId.values()) {
    const { node } = drafted;
    node.initial = initialOf(reading, drafted);
    node.entry = [...withoutTimers(drafted, 'entry').map(actionName), ...invocations(drafted.config).map(({ name }) => `invoke ${name}`)];
    node.exit = withoutTimers(drafted, 'exit').map(actionName);
    node.transitions = transitionsOf(reading, drafted);
  }
  return root.node;
}

/** The chart of a machine: read from its config, where `always` and names are still what the author wrote. */
export const chartOf = (machine: AnyStateMachine): ChartNode => chartFrom(machine.config as Json, machine.id);

/**
 * The chart of a machine that another program sent: an XState 5 config (what `@statelyai/inspect` calls its definition), or the
 * definition of an XState 4 or 5 machine. Whatever is missing, cut off or of a wrong type is left out; null when it is no machine.
 */
export function chartOfDefinition(json: unknown): ChartNode | null {
  if (!isRecord(json) || !(isRecord(json.states) || isRecord(json.on))) return null;
  return chartFrom(json, textAt(json, 'id') || textAt(json, 'key') || '(machine)');
}

/** Ids of the states that are active in a state value, with those around them. What the chart does not know is left out. */
export function activeIds(value: unknown, root: ChartNode): Set<string> {
  const active = new Set<string>();
  const mark = (node: ChartNode, within: unknown): void => {
    active.add(node.id);
    const keys = typeof within === 'string' ? [[within, null] as const] : isRecord(within) ? Object.entries(within) : [];
    if (keys.length === 0) return;
    const inside = new Map(keys);
    for (const child of node.children) if (inside.has(child.key)) mark(child, inside.get(child.key));
  };
  mark(root, value);
  return active;
}
