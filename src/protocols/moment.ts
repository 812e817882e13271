import { type AnyActorLogic, assign, type SnapshotFrom } from 'xstate';
import { type addressSpace, presentPte } from '../../machines/memory/address-space.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import type { rwsem } from '../../machines/sync/rwsem.js';
import { invariant, type Property } from '../property/property.js';
import type { Address } from '../system/message.js';
import { startingAt } from '../system/starting-at.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { type AnySnapshot, isMachineSnapshot, rests } from '../system/view.js';
import type { TraceEvent } from '../trace/event.js';
import type { Moment, MomentState } from '../trace/moment.js';
import type { Operation } from '../trace/protocol.js';
import { loggedTask, type Planned } from './logged-task.js';
import { nameOf } from './task.js';
import { type CpuContext, cpuAt, gatheredBy, isFlushedIn, UNKNOWN } from './tlb.js';

type MmContext = SnapshotFrom<typeof addressSpace>['context'];
type LockContext = SnapshotFrom<typeof rwsem>['context'];
type FlushContext = SnapshotFrom<typeof flushTlb>['context'];

/** A flush that remembers whom it was sent to, call by call. */
type Watched = FlushContext & { calls?: number; sentTo?: Address[] };
const watchedFlush = flushTlb.provide({
  actions: {
    remember: assign(({ context, event }) => {
      const { from, vpns, freedTables = false } = event as unknown as { from: Address; vpns: number[] | 'all'; freedTables?: boolean };
      const calls = ((context as Watched).calls ?? 0) + 1;
      return { caller: from, request: { mm: context.mm, vpns, freedTables, gen: 0 }, calls, sentTo: [] };
    }),
    noteQueued: assign(({ context }) => {
      const [to, ...mask] = context.mask;
      return { queued: true, mask, sentTo: [...((context as Watched).sentTo ?? []), to as Address] };
    }),
  },
});

const isCpu = (address: Address): boolean => address.startsWith('cpu');
const isSwitch = (address: Address): boolean => address.startsWith('context_switch:');
const isFlush = (address: Address): boolean => address.startsWith('flush:');
const isMm = (address: Address): boolean => address.startsWith('mm:');
const isLock = (address: Address): boolean => address.startsWith('mmap_lock:');
const isOwing = (address: Address): boolean => address.startsWith('arch_tlbbatch_add_pending:');
const cpuOf = (address: Address): Address => /cpu\d+$/.exec(address)?.[0] as Address;
const cpuOfFlush = (address: Address): Address => cpuAt(/@(\d+)/.exec(address)?.[1] ?? '');
/** The task that is in a flush. */
const callerOf = (address: Address): Address => `task:${/\d+/.exec(address)?.[0]}`;
const laneOf = (on: Address): string => `CPU ${Number(on.slice(3))}`;
/** Each CPU has an idle task of its own, all with pid 0. */
const taskOf = (event: TraceEvent): Address => (event.pid === 0 ? `task:0@${event.cpu}` : `task:${event.pid}`);
const contextOf = (state: MomentState, address: Address): unknown => state.get(address)?.snapshot.context;

type Sends = Extract<Operation, { kind: 'sends' }>;
type Requires = Extract<Operation, { kind: 'requires' }>;
type Step = { event: TraceEvent; operation: Exclude<Operation, { kind: 'outcome' }> };

/**
 * One virtual page stands for all that a task clears until it flushes them; what it clears next is another page, or who may
 * have cached that would be taken for stale.
 */
function distinctPages(steps: readonly Step[]): Step[] {
  const apart = 2 ** 24;
  const pages = new Map<number, { cleared: { since: number; page: number }[]; owed: number[]; open: boolean }>();
  const pageOf = (vpn: number) => {
    const known = pages.get(vpn) ?? { cleared: [{ since: 0, page: vpn }], owed: [vpn], open: false };
    pages.set(vpn, known);
    return known;
  };
  return steps.map(({ event, operation }): Step => {
    if (operation.kind === 'requires') {
      const { page } = pageOf(operation.vpn).cleared.findLast(({ since }) => since <= operation.since) as { page: number };
      return { event, operation: { ...operation, vpn: page } };
    }
    const { type, vpn, vpns } = operation.event as { type: string; vpn: number; vpns?: number[] | 'all' };
    if (type === 'pte.clear') {
      const known = pageOf(vpn);
      if (!known.open) {
        known.cleared.push({ since: event.line, page: vpn + apart * known.cleared.length });
        known.owed.push(vpn + apart * (known.cleared.length - 1));
        known.open = true;
      }
      return { event, operation: { ...operation, event: { ...operation.event, vpn: known.cleared.at(-1)?.page } } };
    }
    if (!isFlush(operation.to) || type !== 'call') return { event, operation };
    const own = gatheredBy(event.pid);
    const known = pageOf(own);
    const flushed = known.owed;
    known.owed = [];
    known.open = false;
    return { event, operation: { ...operation, event: { ...operation.event, vpns: vpns === 'all' ? 'all' : flushed } } };
  });
}

/** Virtual pages whose ptes are cleared. */
const clearedIn = (steps: readonly Step[]): number[] =>
  steps.flatMap(({ operation }) => (operation.kind === 'sends' && operation.event.type === 'pte.clear' ? [operation.event.vpn as number] : []));

/** What each task does, and who has each CPU before it. */
class Plans {
  readonly plans = new Map<Address, Planned[]>();
  readonly cpus = new Map<Address, Address>();
  private readonly onCpu = new Map<Address, Address>();
  /** Who holds a lock for writing. */
  private readonly writers = new Map<Address, Address | null>();

  constructor(
    private readonly state: MomentState,
    steps: readonly Step[],
  ) {
    for (const address of state.keys()) if (isLock(address)) this.writers.set(address, (contextOf(state, address) as LockContext).writer);
    this.calls();
    for (const { event, operation } of steps) this.add(event, operation);
    this.interruptsOn(steps);
  }

  private of(task: Address, on: Address): Planned[] {
    const plan = this.plans.get(task) ?? [];
    this.plans.set(task, plan);
    if (!this.cpus.has(task)) this.cpus.set(task, on);
    return plan;
  }

  /** Whoever is in the middle of a call goes on when it returns. */
  private calls(): void {
    for (const [address, { snapshot }] of this.state) {
      if (rests(snapshot)) continue;
      if (isFlush(address)) this.of(callerOf(address), cpuOfFlush(address)).push({ waitsFor: 'return' });
      if (isSwitch(address)) {
        const schedule = `schedule:${cpuOf(address)}`;
        this.of(schedule, cpuOf(address)).push({ waitsFor: 'return' });
        this.onCpu.set(cpuOf(address), schedule);
      }
    }
  }

  private add(event: TraceEvent, operation: Step['operation']): void {
    const [task, on] = [taskOf(event), cpuAt(event.cpu)];
    const before = this.onCpu.get(on);
    if (before !== undefined && before !== task) {
      this.of(before, on).push({ hands: on, to: task });
      this.of(task, on).push({ runsOn: on });
    }
    this.onCpu.set(on, task);
    const plan = this.of(task, on);
    const last = plan.at(-1);
    // Cleared page by page, one page stands for all.
    if (last && 'operation' in last && JSON.stringify(last.operation) === JSON.stringify(operation)) return;
    if (operation.kind === 'sends' && isLock(operation.to))
      plan.push(...this.downgrade(task, operation).map((first) => ({ line: event.line, operation: first })));
    plan.push({ line: event.line, operation });
  }

  /** A writer that releases as a reader has become one in between. */
  private downgrade(task: Address, { to, event }: Sends): Sends[] {
    const isWriter = this.writers.get(to) === task;
    if (event.type === 'down_write') this.writers.set(to, task);
    else if (isWriter && event.type !== 'down_read') this.writers.set(to, null);
    return isWriter && event.type === 'up_read' ? [{ kind: 'sends', to, event: { type: 'downgrade_write' }, awaits: null }] : [];
  }

  /** What goes on with interrupts off behind the last line ends some time. */
  private interruptsOn(steps: readonly Step[]): void {
    for (const [address, { snapshot }] of this.state) {
      if (!isCpu(address)) continue;
      const switching = this.state.get(`context_switch:${address}`)?.snapshot;
      const own = switching && !rests(switching) ? 0 : (snapshot.context as CpuContext).irqDepth;
      const types = steps.flatMap(({ operation }) => (operation.kind === 'sends' && operation.to === address ? [operation.event.type] : []));
      const left = own + types.filter((type) => type === 'irq.save').length - types.filter((type) => type === 'irq.restore').length;
      const task = this.onCpu.get(address) ?? `schedule:${address}`;
      for (let n = 0; n < left; n++)
        this.of(task, address).push({ line: 0, operation: { kind: 'sends', to: address, event: { type: 'irq.restore' }, awaits: null } });
    }
  }
}

/** A CPU that has a lock's holder or an address space known only by later lines has it from the beginning. */
function startingContext(state: MomentState, address: Address, steps: readonly Step[], plans: Plans): object | null {
  const context = contextOf(state, address) as object | null;
  if (isCpu(address)) {
    const { loadedMm, cr3 } = context as CpuContext;
    return {
      ...context,
      loadedMm: loadedMm === UNKNOWN ? null : loadedMm,
      cr3: cr3 === UNKNOWN ? null : cr3,
      lazy: loadedMm === UNKNOWN ? false : (context as CpuContext).lazy,
    };
  }
  if (isMm(address)) {
    const { ptes, cpumask } = context as MmContext;
    const cleared = clearedIn(steps.filter(({ operation }) => operation.kind === 'sends' && operation.to === address));
    const loaded = [...state.keys()].filter((on) => isCpu(on) && (contextOf(state, on) as CpuContext).loadedMm === address);
    return {
      ...context,
      ptes: { ...ptes, ...Object.fromEntries(cleared.map((vpn) => [vpn, presentPte(vpn, { dirty: true })])) },
      cpumask: [...new Set([...cpumask, ...loaded])].sort(),
    };
  }
  if (isLock(address)) return holders(context as LockContext, address, plans);
  const caller = isFlush(address) ? callerOf(address) : isSwitch(address) ? `schedule:${cpuOf(address)}` : null;
  return caller === null || rests((state.get(address) as { snapshot: AnySnapshot }).snapshot) ? context : { ...context, caller };
}

/** Who gives a lock back that it was not seen to take has it. */
function holders(context: LockContext, lock: Address, { plans }: Plans): LockContext {
  let { writer, readers } = context;
  for (const [task, plan] of plans) {
    const types = plan.flatMap((planned) =>
      'operation' in planned && planned.operation.kind === 'sends' && planned.operation.to === lock ? [planned.operation.event.type] : [],
    );
    if (types[0] === 'up_write') writer = task;
    if (types[0] === 'up_read' && !readers.includes(task)) readers = [...readers, task].sort();
  }
  return { ...context, writer, readers };
}

/** Something that did not happen, as an invariant: its counterexample is how it happens. */
export interface Possibility {
  property: string;
  says: string;
}

export interface MomentSystem {
  system: System;
  possibilities: Possibility[];
}

/** Who flushes and what: `change-1-169's flush at line 312`. */
function outcomes(moment: Moment, cpus: readonly Address[]): { properties: Property[]; possibilities: Possibility[] } {
  const properties: Property[] = [];
  const possibilities: Possibility[] = [];
  const flushes = new Map<Address, { event: TraceEvent; call: number; sentTo: Address[] }[]>();
  for (const { event, operation } of moment.operations) {
    if (operation.kind === 'sends' && isFlush(operation.to)) {
      const known = flushes.get(operation.to) ?? [];
      flushes.set(operation.to, [...known, { event, call: known.length + 1, sentTo: [] }]);
    }
    if (operation.kind === 'outcome') flushes.get(operation.of)?.at(-1)?.sentTo.push(operation.value);
  }
  for (const [path, calls] of flushes) {
    const own = cpuOfFlush(path);
    for (const { event, call, sentTo } of calls)
      for (const on of cpus.filter((address) => address !== own)) {
        const wasSent = sentTo.includes(on);
        const says = `the flush of ${nameOf(event)} at line ${event.line} ${wasSent ? 'leaves' : 'is sent to'} ${laneOf(on)}${wasSent ? ' out' : ''}`;
        const property = `line ${event.line} ${wasSent ? 'without' : 'with'} ${laneOf(on)}`;
        possibilities.push({ property, says });
        properties.push(
          invariant<Record<string, AnySnapshot>>(property, says, {
            actors: [path],
            holds: (snapshots) => {
              const snapshot = snapshots[path] as AnySnapshot;
              const context = snapshot.context as Watched;
              if (context.calls !== call) return true;
              return wasSent ? !rests(snapshot) || context.sentTo?.includes(on) === true : context.sentTo?.includes(on) !== true;
            },
          }),
        );
      }
  }
  return { properties, possibilities };
}

/** That no TLB leads to a page any more where the log frees it or takes it for gone. */
function requirements(plans: Plans, cpus: readonly Address[], descriptions: Readonly<Record<string, string>>): Property[] {
  const at = (snapshot: AnySnapshot) => {
    if (!isMachineSnapshot(snapshot) || snapshot.value !== 'at_line') return null;
    const [first] = (snapshot.context as { plan: Planned[] }).plan;
    return first && 'operation' in first && first.operation.kind === 'requires' ? first.operation : null;
  };
  const names = new Map<string, Address[]>();
  for (const [task, plan] of plans.plans)
    for (const planned of plan)
      if ('operation' in planned && planned.operation.kind === 'requires')
        names.set(planned.operation.property, [...new Set([...(names.get(planned.operation.property) ?? []), task])]);
  return [...names].map(([name, tasks]) =>
    invariant<Record<string, AnySnapshot>>(name, descriptions[name] ?? name, {
      actors: [...tasks, ...cpus, ...cpus.map((on) => `context_switch:${on}`)],
      when: (snapshots) => tasks.some((task) => at(snapshots[task] as AnySnapshot)?.property === name),
      holds: (snapshots) =>
        tasks.every((task) => {
          const required = at(snapshots[task] as AnySnapshot);
          // In the middle of a switch no user code runs, and what is owed is made up for before it does.
          const uses = (on: Address): boolean => rests(snapshots[`context_switch:${on}`] as AnySnapshot);
          const isFlushedOn = (on: Address, { mm, vpn }: Requires): boolean => isFlushedIn((snapshots[on] as AnySnapshot).context as CpuContext, mm, vpn);
          return required?.property !== name || cpus.every((on) => !uses(on) || isFlushedOn(on, required));
        }),
    }),
  );
}

/**
 * A moment as a system: its actors begin as the log has them there, each task does what the log shows it to do, in its
 * order and as soon as it has the CPU, and everything else may come in any order.
 */
export function momentSystem(moment: Moment, state: MomentState, descriptions: Readonly<Record<string, string>>): MomentSystem {
  const steps = distinctPages(moment.operations.filter((step): step is Step => step.operation.kind !== 'outcome'));
  const plans = new Plans(state, steps);
  const cpus = [...state.keys()].filter(isCpu).sort();
  const vpns = [...new Set(clearedIn(steps))];
  const mentioned = new Set(steps.flatMap(({ operation }) => (operation.kind === 'sends' ? [operation.to, operation.event.next, operation.event.mm] : [])));
  const used = (address: Address, snapshot: AnySnapshot): boolean => {
    if (isCpu(address) || isSwitch(address) || isMm(address) || address === 'interconnect' || address === 'task') return true;
    if (isLock(address)) return mentioned.has(address);
    return (isFlush(address) || isOwing(address)) && (mentioned.has(address) || (isMachineSnapshot(snapshot) ? !rests(snapshot) : snapshot.context !== null));
  };
  const specs: Record<Address, ActorSpec> = {};
  const begin = (address: Address, logic: AnyActorLogic, snapshot: AnySnapshot, options: Omit<ActorSpec, 'logic' | 'input'>): void => {
    const context = startingContext(state, address, steps, plans);
    specs[address] = actor(startingAt(logic, snapshot, context), {
      ...options,
      input: { at: isMachineSnapshot(snapshot) ? snapshot.value : null, context } as never,
    });
  };
  for (const [address, { logic, snapshot }] of [...state].sort(([one], [other]) => (one < other ? -1 : 1))) {
    if (!used(address, snapshot)) continue;
    if (isCpu(address))
      begin(address, logic, snapshot, {
        lane: laneOf(address),
        choices: ['interrupt'],
        environment: vpns.flatMap((vpn) => [
          { type: 'fill', vpn },
          { type: 'evict', vpn },
        ]),
      });
    else if (address === 'interconnect') begin(address, logic, snapshot, { choices: cpus.map((to) => ({ type: 'deliver', to })) });
    else if (isSwitch(address)) begin(address, contextSwitch, snapshot, { lane: laneOf(cpuOf(address)) });
    else if (isFlush(address)) begin(address, watchedFlush, snapshot, { lane: laneOf(cpuOfFlush(address)) });
    else if (isOwing(address)) begin(address, logic, snapshot, { choices: ['step'], path: false });
    else begin(address, logic, snapshot, {});
  }
  for (const [task, plan] of plans.plans) specs[task] = actor(loggedTask, { input: { plan }, lane: laneOf(plans.cpus.get(task) as Address) });
  const { properties, possibilities } = outcomes(moment, cpus);
  const system = defineSystem({
    id: `lines ${moment.from} to ${moment.to}`,
    actors: specs,
    properties: [...requirements(plans, cpus, descriptions), ...properties],
  });
  return { system, possibilities };
}
