/**
 * Exhaustive checking, live running and replay of systems of XState actors.
 *
 * A race, found: two threads add one to a counter, each by a load and a store of its own.
 *
 * ```js
 * import { assign, setup } from 'xstate';
 * import { actor, check, counterexampleOf, defineSystem, diagram, invariant, speaker } from 'shootdown';
 *
 * const shared = speaker();
 * const counter = setup({
 *   actions: {
 *     value: shared.reply(({ context }) => ({ type: 'value', value: context.value })),
 *     set: assign({ value: ({ event }) => event.value }),
 *   },
 * }).createMachine({ id: 'counter', context: { value: 0 }, on: { read: { actions: 'value' }, write: { actions: 'set' } } });
 *
 * const talk = speaker();
 * const thread = setup({
 *   actions: {
 *     read: talk.tell('counter', { type: 'read' }),
 *     note: assign({ seen: ({ event }) => event.value }),
 *     write: talk.tell('counter', ({ context }) => ({ type: 'write', value: context.seen + 1 })),
 *   },
 * }).createMachine({
 *   id: 'thread',
 *   context: { seen: 0 },
 *   initial: 'load',
 *   states: {
 *     load: { on: { step: { actions: 'read' }, value: { target: 'store', actions: 'note' } } },
 *     store: { on: { step: { target: 'done', actions: 'write' } } },
 *     done: { tags: ['rest'] },
 *   },
 * });
 *
 * const race = defineSystem({
 *   id: 'lost-update',
 *   actors: {
 *     counter: actor(counter),
 *     a: actor(thread, { lane: 'CPU 0 (add)' }),
 *     b: actor(thread, { lane: 'CPU 1 (add)' }),
 *   },
 *   properties: [
 *     invariant('sum', 'both additions count', {
 *       actors: ['counter', 'a', 'b'],
 *       when: ({ a, b }) => a.value === 'done' && b.value === 'done',
 *       holds: ({ counter }) => counter.context.value === 2,
 *     }),
 *   ],
 * });
 *
 * const result = await check(race);
 * console.log(result.verdict);
 * console.log(diagram(counterexampleOf(result)));
 * ```
 *
 * prints
 *
 * ```
 * violated
 * CPU 0 (add)                            CPU 1 (add)
 * -----------------------------------    -----------------------------------
 * load: value 0
 *                                        load: value 0
 * store
 *                                        store
 * => sum violated: both additions count
 * ```
 *
 * @packageDocumentation
 */
export { type CheckOptions, type CheckResult, check, counterexampleOf, type PropertyVerdict, type Subject, type Verdict } from './check/check.js';
export {
  type Assumption,
  type Exploration,
  type ExploreLimits,
  type ExploreOptions,
  explore,
  exploreAsync,
  type Lasso,
  type PropertyResult,
  type Violation,
} from './explore/explorer.js';
export { exploreNaively, type NaiveResult } from './explore/naive.js';
export { longestResponse, type Response } from './explore/response.js';
export { type ColumnsOptions, columns } from './format/columns.js';
export { type ItfHead, type ItfValue, itf } from './format/itf.js';
export { fairnessReport } from './format/lasso.js';
export { mermaid } from './format/mermaid.js';
export { perfetto } from './format/perfetto.js';
export { plantuml } from './format/plantuml.js';
export { shiviz } from './format/shiviz.js';
export { steps } from './format/steps.js';
export { times } from './format/times.js';
export { diagram, violationText } from './format/violation.js';
export { type LiveMessage, type LiveOptions, type LiveStep, LiveSystem } from './live/live.js';
export { randomChoices, recorded, roundRobin } from './live/strategies.js';
export { type CallGraph, type CallSite, callGraphFrom, type GraphFunction, type MappingParameter, type Slot } from './passdown/call-graph.js';
export type {
  ChangedSlot,
  Clash,
  Diagnostic,
  NewParameter,
  Passdown,
  RewrittenBody,
  RewrittenSite,
  Root,
  SitePlace,
} from './passdown/passdown.js';
export { passdownMapping } from './passdown/passdown-mapping.js';
export { CallGraphError, type Problem } from './passdown/problems.js';
export { readCallGraph } from './passdown/read.js';
export {
  alwaysEventually,
  type Bug,
  bug,
  type DeadlockFreedom,
  deadlockFree,
  type Eventuality,
  type Invariant,
  invariant,
  leadsTo,
  type Possibility,
  type Property,
  type PropertyKind,
  possibility,
} from './property/property.js';
export { type JudgedLasso, judgeLasso, type Obligation } from './schedule/lasso.js';
export { confirm, type Replay, replay } from './schedule/replay.js';
export { formatToken, isToken, parseToken, type Token } from './schedule/token.js';
export * from './system/errors.js';
export { type Address, actorAt, post, received, type Signed, speaker } from './system/message.js';
export {
  type ActorOptions,
  type ActorSpec,
  actor,
  type Choice,
  defineSystem,
  labelOf,
  type System,
  type SystemActor,
  type SystemConfig,
} from './system/system.js';
export { fieldsOf, pointer, type TraceEvent } from './trace/event.js';
export { type Moment, type MomentState, momentAround } from './trace/moment.js';
export { type NoEvent, parseLine, type TraceLine } from './trace/parse.js';
export type { Demand, Operation, Protocol, Rule, Scene } from './trace/protocol.js';
export { traceEvents, traceLines } from './trace/read.js';
export { validate } from './trace/validate.js';
export { type Rejection, type ValidateOptions, type Validation, Validator } from './trace/validator.js';
export type { Hidden, Message, Taken, World } from './trace/worlds.js';
export type { Agreement, AgreementCase } from './vmemmap/agreement.js';
export { type Architecture, architectures } from './vmemmap/architectures.js';
export type { Dedup, Frames, Memmap, Saving } from './vmemmap/memmap.js';
export { type VmemmapAnswer, type VmemmapCondition, type VmemmapQuestion, vmemmap } from './vmemmap/vmemmap.js';
