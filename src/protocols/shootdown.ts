import { fromTransition, type SnapshotFrom } from 'xstate';
import { interconnect } from '../../actors/interconnect.js';
import { asidKey, cpu, isAsid } from '../../machines/hardware/cpu.js';
import { addressSpace } from '../../machines/memory/address-space.js';
import { contextSwitch } from '../../machines/paths/context-switch.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { post } from '../system/message.js';
import { pointer, type TraceEvent } from '../trace/event.js';
import type { Demand, Protocol, Rule, Scene } from '../trace/protocol.js';
import type { Hidden, World } from '../trace/worlds.js';
import { joinTask, listener, nameOf, taskOf } from './task.js';

type CpuContext = SnapshotFrom<typeof cpu>['context'];
type MmContext = SnapshotFrom<typeof addressSpace>['context'];
type FlushContext = SnapshotFrom<typeof flushTlb>['context'];

/** As up to 6.13: a CPU that leaves an address space leaves its mm_cpumask at once. Where it does not, the next flush shows it. */
const cpu612 = cpu.provide({ guards: { leavesMask: () => true } });
const contextSwitch612 = contextSwitch.provide({ guards: { clearsPrevBit: () => true } });

const group = 'shootdown';
const net = 'interconnect';
/** Padded, so that they sort as the kernel walks them. */
const cpuAt = (number: number | string): string => `cpu${String(number).padStart(4, '0')}`;
const mmAt = (text: string | undefined): string => `mm:${pointer(text)}`;
const flushOf = ({ pid, cpu: on }: TraceEvent): string => `flush:${pid}@${on}`;
const switchOf = (number: number): string => `context_switch:${cpuAt(number)}`;
/** What is loaded on a CPU before the log shows it. It is no address space. */
const UNKNOWN = 'unknown';
const isKernel = (text: string | undefined): boolean => pointer(text).startsWith('ffffffff') || pointer(text) === '0';

const step = { type: 'step' };
const stepOf = (actor: string): Hidden => ({ group, actor, event: step });
const interrupt = { type: 'interrupt' };
const interruptOf = (on: string): Hidden => ({ group, actor: on, event: interrupt });
/** The steps of a flush; the log shows who is queued, and from when to when the local flush runs. */
const flushSteps = (scene: Scene, flush: string, on: string): Hidden => ({
  ...stepOf(flush),
  where: (world) => {
    const at = scene.cast.at(world, flush);
    return at !== 'csd_queue_cpu' && (at !== 'flush_tlb_func' || scene.notes.get(`${on} flushing`)?.endsWith(` ${flush}`) === true);
  },
});

const cpuIn = (scene: Scene, world: World, address: string): CpuContext => scene.cast.context(world, address);
const mmIn = (scene: Scene, world: World, address: string): MmContext => scene.cast.context(world, address);
const flushIn = (scene: Scene, world: World, address: string): FlushContext => scene.cast.context(world, address);

/** A log's generations are the model's plus a constant that its first flush of the address space shows. */
const generation = (scene: Scene, mm: string, logged: string | undefined): number => Number(logged) - Number(scene.notes.get(`${mm} offset`) ?? 0);

export function joinCpu(scene: Scene, number: number): string {
  const address = cpuAt(number);
  scene.join(UNKNOWN, listener);
  scene.join(net, interconnect, { cpus: [] });
  scene.join(address, cpu612, { mm: UNKNOWN, interconnect: net });
  scene.join(switchOf(number), contextSwitch612, { cpu: address });
  return address;
}

function joinMm(scene: Scene, address: string): string {
  scene.join(UNKNOWN, listener);
  scene.join(address, addressSpace, { ptes: {}, vmas: [], cpumask: [] });
  return address;
}

/** Where it is not known what a CPU has loaded, it is this address space, lazily or not, or another one. */
const guess = (scene: Scene, on: string, mm: string): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { loadedMm } = cpuIn(scene, world, on);
    if (loadedMm !== UNKNOWN) return [world];
    return [
      scene.cast.learn(world, on, { loadedMm: mm, cr3: mm, lazy: false }),
      scene.cast.learn(world, on, { loadedMm: mm, cr3: mm, lazy: true }),
      scene.cast.learn(world, on, { lazy: false }),
    ];
  },
});

/** Where it is not known to which generation a CPU's entries of an address space are flushed, it is one of these. */
const guessGen = (scene: Scene, on: string, mm: string, gens: (world: World) => number[]): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { ctxs } = cpuIn(scene, world, on);
    if (ctxs[mm] !== undefined) return [world];
    return gens(world).map((known) => scene.cast.learn(world, on, { ctxs: { ...ctxs, [mm]: known } }));
  },
});

/** Virtual pages that stand for all in a task's gather, which its next flush is taken to cover, and for all whose flush it owes. */
const gatheredBy = (pid: number): number => 2 * pid;
const owedBy = (pid: number): number => 2 * pid + 1;

/** Flushes of an address space that are under way. */
const flushesOf = (scene: Scene, mm: string): number => Number(scene.notes.get(`${mm} flushes`) ?? 0);

/**
 * Generations counted anew while nobody flushes the address space: two flushes behind is as far behind as any. So the
 * actors come back to states that they have been in, whose transitions are known.
 */
function countAnew(scene: Scene, mm: string): Demand[] {
  const gen = mmIn(scene, scene.worlds[0] as World, mm).tlbGen;
  const busy = flushesOf(scene, mm) > 0 || scene.cast.addresses('context_switch:').some((path) => scene.notes.has(`${path} called`));
  if (
    busy ||
    gen <= 3 ||
    scene.worlds.some(({ marks }) => Object.keys(marks).length > 0) ||
    scene.worlds.some((world) => mmIn(scene, world, mm).tlbGen !== gen)
  )
    return [];
  const anew = 3;
  scene.note(`${mm} offset`, String(Number(scene.notes.get(`${mm} offset`)) + gen - anew));
  const cpus = scene.cast.addresses('cpu');
  return [
    {
      kind: 'learn',
      worlds: (world) => {
        let next = scene.cast.learn(world, mm, { tlbGen: anew });
        for (const on of cpus) {
          const { ctxs } = cpuIn(scene, world, on);
          if (ctxs[mm] !== undefined) next = scene.cast.learn(next, on, { ctxs: { ...ctxs, [mm]: Math.max(ctxs[mm] - gen + anew, 1) } });
        }
        return [next];
      },
    },
  ];
}

const flushCalled: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const on = joinCpu(scene, event.cpu);
  const task = joinTask(scene, event);
  const flush = flushOf(event);
  scene.note(`${on} flushed`, 'yes');
  if (!scene.cast.has(flush)) scene.join(flush, flushTlb, { cpu: on, mm: '', interconnect: net, kind: 'ipi' });
  const before = Number(fields.gen_before);
  const all = pointer(fields.end) === 'ffffffffffffffff' || (Number(fields.end) - Number(fields.start)) / 2 ** Number(fields.stride) > 33;
  const known = scene.notes.has(`${mm} offset`);
  // Nobody else is in the middle of a flush of it, or it would be known: its generation is the same in all worlds.
  if (!known) scene.note(`${mm} offset`, String(before - mmIn(scene, scene.worlds[0] as World, mm).tlbGen));
  const says = `${nameOf(event)} on CPU ${event.cpu} reads generation ${before}`;
  const anew = known ? countAnew(scene, mm) : [];
  scene.note(`${mm} flushes`, String(flushesOf(scene, mm) + 1));
  return [
    ...anew,
    { kind: 'is', actor: mm, group, where: (world) => mmIn(scene, world, mm).tlbGen === generation(scene, mm, fields.gen_before), says, property: 'P07' },
    guess(scene, on, mm),
    { kind: 'learn', worlds: (world) => [scene.cast.learn(world, flush, { mm })] },
    {
      kind: 'take',
      actor: flush,
      event: { type: 'call', from: task, vpns: all ? 'all' : [gatheredBy(event.pid)], freedTables: fields.freed_tables === '1' },
      where: (world) => scene.cast.rests(world, flush),
      says: `${nameOf(event)} flushes while a flush of its own is under way`,
      property: 'P01',
    },
    { kind: 'hide', hidden: flushSteps(scene, flush, on) },
  ];
};

/** arch_tlbbatch_add_pending: an unmap whose flush is put off takes a generation too, in a step that the log does not show. */
const addPending = fromTransition((mm: string | null, event: { type: 'call'; mm: string; from: string } | { type: 'step' }, scope): string | null => {
  if (event.type === 'call') return event.mm;
  if (mm !== null) post(scope, mm, { type: 'tlb_gen.inc' });
  return null;
}, null);
const owingOf = (pid: number): string => `arch_tlbbatch_add_pending:${pid}`;

/** TLB fills have no events: whoever has the address space loaded may have the page cached. */
const mayCache = (scene: Scene, mm: string, vpn: number): Demand => ({
  kind: 'learn',
  worlds: (world) => [
    scene.cast.addresses('cpu').reduce((next, on) => {
      const { loadedMm, tlb } = cpuIn(scene, next, on);
      return loadedMm === mm ? scene.cast.learn(next, on, { tlb: { ...tlb, [asidKey(mm, vpn)]: { pfn: vpn, write: true, dirty: true } } }) : next;
    }, world),
  ],
});

const flushOwed: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const owing = owingOf(event.pid);
  scene.join(owing, addPending);
  scene.note(`${owing} called`, 'yes');
  const says = `${nameOf(event)} owes a flush of ${mm}`;
  const page = scene.notes.get(`${taskOf(event)} unmaps`);
  if (page !== undefined) scene.note(`page:${page}`, `batch ${mm} ${owedBy(event.pid)}`);
  return [
    ...(page === undefined ? [] : [mayCache(scene, mm, owedBy(event.pid))]),
    { kind: 'take', actor: owing, event: { type: 'call', mm, from: owing }, says, property: 'P06' },
    { kind: 'hide', hidden: stepOf(owing) },
  ];
};

/** CPU numbers of a mask: `0xf`. */
const cpusIn = (mask: string | undefined): number[] => {
  const bits = BigInt(`0x${pointer(mask)}`);
  return Array.from({ length: 64 }, (_, n) => n).filter((n) => (bits >> BigInt(n)) & 1n);
};

const multiCalled: Rule = (event, fields, scene) => {
  const flush = flushOf(event);
  // Without an address space it is a batch: reclaim's, for many.
  if (pointer(fields.mm) === '0' || !scene.cast.has(flush)) {
    scene.note(`${flush} batch`, 'yes');
    return [];
  }
  const mm = joinMm(scene, mmAt(fields.mm));
  const mask = cpusIn(fields.cpumask).map((number) => joinCpu(scene, number));
  const gen = generation(scene, mm, fields.new_tlb_gen);
  const cpus = scene.cast.addresses('cpu');
  return [
    {
      kind: 'is',
      actor: mm,
      group,
      reads: [mm, ...cpus],
      where: (world) => cpus.every((on) => cpuIn(scene, world, on).loadedMm !== mm || mask.includes(on)),
      says: `mm_cpumask is ${fields.cpumask}`,
      property: 'P02',
    },
    // When a CPU that has left the address space leaves the mask depends on the kernel: the log says it.
    { kind: 'learn', worlds: (world) => [scene.cast.learn(world, mm, { cpumask: mask })] },
    ...mask.filter((on) => on !== cpuAt(event.cpu)).map((on) => guess(scene, on, mm)),
    {
      kind: 'is',
      actor: flush,
      group,
      where: (world) => flushIn(scene, world, flush).request.gen === gen && !['inc_mm_tlb_gen', 'mm_cpumask'].includes(scene.cast.at(world, flush)),
      says: `the flush of ${nameOf(event)} has generation ${fields.new_tlb_gen}`,
      property: 'P06',
    },
  ];
};

const queued: Rule = (event, fields, scene) => {
  const flush = flushOf(event);
  if (!event.text.includes('func=flush_tlb_func') || !scene.cast.has(flush) || scene.notes.get(`${flush} batch`)) return [];
  const target = joinCpu(scene, Number(fields.cpu));
  return [
    {
      kind: 'take',
      actor: flush,
      group,
      event: step,
      where: (world) => scene.cast.at(world, flush) === 'csd_queue_cpu' && flushIn(scene, world, flush).mask[0] === target,
      says: `${nameOf(event)} queues its flush on CPU ${fields.cpu}`,
      property: 'P05',
    },
  ];
};

/** A flush for many address spaces takes whatever is loaded up to date: by how much is not seen. */
const batchFlush = (scene: Scene, on: string): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { ctxs, loadedMm, tlb } = cpuIn(scene, world, on);
    const { [loadedMm ?? '']: _, ...others } = ctxs;
    const kept = Object.fromEntries(Object.entries(tlb).filter(([key]) => !isAsid(key, loadedMm ?? '')));
    return [scene.cast.learn(world, on, { ctxs: others, tlb: kept })];
  },
});

/** A flush that its initiator began before the log: of that CPU no flush was seen to begin or end yet, and none of its is queued here. */
const isFromBefore = (scene: Scene, initiator: number, on: string): boolean =>
  !scene.notes.has(`${cpuAt(initiator)} flushed`) &&
  !scene.worlds.some((world) =>
    (scene.cast.context(world, net) as { inFlight: { to: string; initiator: string }[] }).inFlight.some(
      (ipi) => ipi.to === on && ipi.initiator.endsWith(`@${initiator}`),
    ),
  );

const forgetGen = (scene: Scene, on: string, mm: string): Demand => ({
  kind: 'learn',
  worlds: (world) => {
    const { [mm]: _, ...others } = cpuIn(scene, world, on).ctxs;
    return [scene.cast.learn(world, on, { ctxs: others })];
  },
});

const funcCalled: Rule = (event, fields, scene) => {
  const on = cpuAt(event.cpu);
  const mm = mmAt(fields.mm);
  if (isKernel(fields.mm) && scene.cast.has(on)) return [batchFlush(scene, on)];
  if (!scene.cast.has(mm) || !scene.cast.has(on)) return [];
  const local = Number(fields.initiating_cpu) === event.cpu;
  const flush = flushOf(event);
  // A request from before the log: nothing is known of who sent it.
  if (local && !scene.cast.has(flush)) return [];
  const gen = generation(scene, mm, fields.new_tlb_gen);
  if (!local && isFromBefore(scene, Number(fields.initiating_cpu), on)) return [forgetGen(scene, on, mm)];
  const says = `CPU ${event.cpu} runs the flush of generation ${fields.new_tlb_gen}, sent by CPU ${fields.initiating_cpu}`;
  const flushing = `${on} flushing`;
  scene.note(flushing, `${mm} ${gen} ${local ? flush : on}`);
  forgetEffects(scene, on);
  const begin: Demand[] = [
    // Up to now, one flush behind, or more.
    guessGen(scene, on, mm, () => [gen, gen - 1, gen - 2]),
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, flushing, `${cpuIn(scene, world, on).ctxs[mm]} ${cpuIn(scene, world, on).loadedMm}`)] },
  ];
  if (local)
    return [
      guess(scene, on, mm),
      ...begin,
      {
        kind: 'is',
        actor: flush,
        group,
        where: (world) => scene.cast.at(world, flush) === 'flush_tlb_func' && flushIn(scene, world, flush).request.gen === gen,
        says,
        property: 'P01b',
      },
    ];
  return [
    ...begin,
    {
      kind: 'take',
      actor: net,
      group,
      event: { type: 'deliver', to: on },
      outcome: ({ world }) => {
        const { request } = cpuIn(scene, world, on).pending[0] ?? {};
        return request?.function === 'flush_tlb_func' && request.mm === mm && request.gen === gen ? world : null;
      },
      says,
      property: 'P01',
    },
    { kind: 'hide', hidden: interruptOf(on) },
  ];
};

/** What a CPU was seen to do to its TLB. */
const effects = ['left', 'all', 'range'] as const;
type Effect = (typeof effects)[number];
const hasDone = (scene: Scene, on: string, effect: Effect): boolean => scene.notes.has(`${on} did ${effect}`);
const noteEffect = (scene: Scene, on: string, effect: Effect): void => scene.note(`${on} did ${effect}`, 'yes');
const forgetEffects = (scene: Scene, on: string): void => {
  for (const effect of effects) scene.note(`${on} did ${effect}`, null);
};

const did =
  (effect: Effect): Rule =>
  (event, _, scene) => {
    noteEffect(scene, cpuAt(event.cpu), effect);
    return [];
  };

const funcReturned: Rule = (event, _, scene) => {
  const on = cpuAt(event.cpu);
  const mark = `${on} flushing`;
  const open = scene.notes.get(mark);
  if (!open) return [];
  const [mm = '', gen = '', subject = ''] = open.split(' ');
  const local = subject !== on;
  const observed = effects.find((effect) => hasDone(scene, on, effect)) ?? 'none';
  const effectOf = (world: World): string => {
    const { ctxs, loadedMm } = cpuIn(scene, world, on);
    const [before = '', loadedBefore] = (world.marks[mark] ?? '').split(' ');
    const after = ctxs[mm] ?? 0;
    if (String(loadedMm) !== loadedBefore) return 'left';
    if (after === Number(before)) return 'none';
    return after === Number(before) + 1 ? 'one' : 'all';
  };
  const agrees = (world: World): boolean => {
    const effect = effectOf(world);
    if (effect === 'one') return observed === 'range' || observed === 'all';
    return observed === effect;
  };
  const done = (world: World): boolean =>
    local
      ? scene.cast.at(world, subject) !== 'flush_tlb_func'
      : !cpuIn(scene, world, on).pending.some(({ request }) => 'gen' in request && request.gen === Number(gen));
  return [
    {
      kind: 'is',
      actor: local ? subject : on,
      group,
      reads: [on, ...(local ? [subject] : [])],
      where: (world) => done(world) && agrees(world),
      says: `CPU ${event.cpu} ${{ none: 'invalidates nothing', range: 'invalidates the range', all: 'invalidates everything', left: 'leaves the address space' }[observed]}`,
      property: 'P08',
    },
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, mark, null)] },
    { kind: 'show', hidden: interruptOf(on) },
    { kind: 'note', name: mark, value: null },
  ];
};

const flushReturned: Rule = (event, fields, scene) => {
  const flush = flushOf(event);
  const mm = mmAt(fields.mm);
  scene.note(`${cpuAt(event.cpu)} flushed`, 'yes');
  if (!scene.cast.has(flush)) return [];
  return [
    {
      kind: 'is',
      actor: flush,
      group,
      where: (world) => scene.cast.rests(world, flush),
      says: `the flush of ${nameOf(event)} (${mm}) returns`,
      property: 'P01',
    },
    { kind: 'show', hidden: stepOf(flush) },
    { kind: 'note', name: `${mm} flushes`, value: String(Number(scene.notes.get(`${mm} flushes`) ?? 1) - 1) },
  ];
};

const multiReturned: Rule = (event, _, scene) => {
  scene.note(`${flushOf(event)} batch`, null);
  return [];
};

const lazyEntered: Rule = (event, fields, scene) => {
  const on = joinCpu(scene, event.cpu);
  const path = switchOf(event.cpu);
  const mm = isKernel(fields.mm) ? null : joinMm(scene, mmAt(fields.mm));
  const task = joinTask(scene, event);
  scene.note(`${path} called`, 'yes');
  return [
    ...(mm === null
      ? []
      : [
          {
            kind: 'learn' as const,
            worlds: (world: World) =>
              // What the thread before has run on; a CPU that has left it has init_mm loaded.
              cpuIn(scene, world, on).loadedMm === UNKNOWN
                ? [scene.cast.learn(world, on, { loadedMm: mm, cr3: mm }), scene.cast.learn(world, on, { loadedMm: null, cr3: null })]
                : [world],
          },
        ]),
    {
      kind: 'is',
      actor: on,
      group,
      where: (world) => cpuIn(scene, world, on).loadedMm === mm || cpuIn(scene, world, on).loadedMm === null,
      says: `CPU ${event.cpu} has ${mm ?? 'init_mm'} loaded`,
      property: 'P05',
    },
    {
      kind: 'take',
      actor: path,
      group,
      event: { type: 'call', from: task, next: 'kthread' },
      says: `CPU ${event.cpu} enters lazy mode`,
      property: 'P05',
    },
    { kind: 'hide', hidden: stepOf(path) },
  ];
};

const switched: Rule = (event, fields, scene) => {
  const on = joinCpu(scene, event.cpu);
  // Within flush_tlb_func: a lazy CPU leaves the address space that is flushed.
  if (scene.notes.has(`${on} flushing`)) {
    noteEffect(scene, on, 'left');
    return [];
  }
  const path = switchOf(event.cpu);
  const next = isKernel(fields.next) ? null : joinMm(scene, mmAt(fields.next));
  const task = joinTask(scene, event);
  forgetEffects(scene, on);
  scene.note(`${on} switching`, next ?? '');
  scene.note(`${path} called`, 'yes');
  return [
    ...(next === null
      ? []
      : [guess(scene, on, next), guessGen(scene, on, next, (world) => [mmIn(scene, world, next).tlbGen, mmIn(scene, world, next).tlbGen - 1])]),
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, `${on} switching`, next === null ? null : String(cpuIn(scene, world, on).ctxs[next] ?? 0))] },
    {
      kind: 'take',
      actor: path,
      group,
      event: { type: 'call', from: task, next },
      where: (world) => scene.cast.rests(world, path),
      says: `CPU ${event.cpu} switches to ${next ?? 'init_mm'}`,
      property: 'P09',
    },
    { kind: 'hide', hidden: stepOf(path) },
  ];
};

/** Events that a context switch writes itself; any other line of its CPU shows that it is over. */
const withinSwitch = new Set(['tlb_flush', 'native_flush_tlb_local', 'native_flush_tlb_one_user', 'native_flush_tlb_global']);

const settle: Rule = (...line) => [...settleOwed(...line), ...settleSwitch(...line)];

const settleOwed: Rule = (event, _, scene) => {
  const owing = owingOf(event.pid);
  if (event.context !== 'task' || !scene.notes.has(`${owing} called`)) return [];
  scene.note(`${owing} called`, null);
  const says = `${nameOf(event)} goes on`;
  return [
    { kind: 'is', actor: owing, group, where: (world) => scene.cast.context(world, owing) === null, says, property: 'P06' },
    { kind: 'show', hidden: stepOf(owing) },
  ];
};

const settleSwitch: Rule = (event, _, scene) => {
  const path = switchOf(event.cpu);
  const on = cpuAt(event.cpu);
  if (!scene.notes.has(`${path} called`) || withinSwitch.has(event.name)) return [];
  scene.note(`${path} called`, null);
  const mark = `${on} switching`;
  const switching = scene.notes.get(mark);
  scene.note(mark, null);
  const flushed = hasDone(scene, on, 'all') || hasDone(scene, on, 'range');
  return [
    {
      kind: 'is',
      actor: path,
      group,
      reads: [path, on],
      where: (world) =>
        scene.cast.rests(world, path) &&
        (switching === undefined || switching === '' || flushed || (cpuIn(scene, world, on).ctxs[switching] ?? 0) === Number(world.marks[mark])),
      says: switching ? `CPU ${event.cpu} has switched to ${switching} ${flushed ? 'and flushed' : 'and flushed nothing'}` : `CPU ${event.cpu} goes on`,
      property: 'P09',
    },
    ...(switching === undefined ? [] : [{ kind: 'learn' as const, worlds: (world: World) => [scene.cast.mark(world, mark, null)] }]),
    { kind: 'show', hidden: stepOf(path) },
  ];
};

/** `tlb_flush` with reason 0: the switch has flushed. */
const switchFlushed: Rule = (event, _, scene) => {
  if (event.text.includes('task switch')) noteEffect(scene, cpuAt(event.cpu), 'all');
  return [];
};

const gatherOf = (fields: Record<string, string>): string => `gather:${pointer(fields.tlb)}`;

const gathers: Rule = (_event, fields, scene) => {
  scene.note(gatherOf(fields), mmAt(fields.mm));
  return [];
};

const structPage = 64n;

/** A page goes into a gather. */
const removed: Rule = (event, fields, scene) => {
  const gather = gatherOf(fields);
  const mm = scene.notes.get(gather);
  if (mm === undefined || !scene.cast.has(mm)) return [];
  const first = BigInt(`0x${pointer(fields.page)}`);
  for (let n = 0; n < Number(fields.nr ?? 1); n++)
    scene.note(`page:${(first + BigInt(n) * structPage).toString(16)}`, `${gather} ${mm} ${gatheredBy(event.pid)}`);
  return [mayCache(scene, mm, gatheredBy(event.pid))];
};

/** The page gets another use: no TLB may lead to it any more. */
const leaves =
  (what: string): Rule =>
  (event, fields, scene) => {
    const page = `page:${pointer(fields.page)}`;
    const [how, mm, vpn] = scene.notes.get(page)?.split(' ') ?? [];
    if (mm === undefined) return [];
    const key = asidKey(mm, Number(vpn));
    const cpus = scene.cast.addresses('cpu');
    return [
      {
        kind: 'is',
        actor: mm,
        group,
        reads: [mm, ...cpus],
        where: (world) =>
          cpus.every((on) => {
            const { loadedMm, lazy, tlb } = cpuIn(scene, world, on);
            return loadedMm !== mm || lazy || tlb[key] === undefined;
          }),
        says: `${nameOf(event)} ${what} a page of ${mm} that a TLB may still lead to`,
        property: how === 'batch' ? 'P17' : 'P10',
      },
      ...(what === 'frees' ? [{ kind: 'note' as const, name: page, value: null }] : []),
    ];
  };
const freed = leaves('frees');

/** The gather is over: what is freed from here on was flushed. */
const gathered: Rule = (_event, fields, scene) => {
  const gather = gatherOf(fields);
  for (const [name, value] of scene.notes) if (name.startsWith('page:') && value.startsWith(`${gather} `)) scene.note(name, null);
  scene.note(gather, null);
  return [];
};

const clears: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const mark = `${taskOf(event)} ptep_clear_flush`;
  return [
    { kind: 'note', name: mark, value: mm },
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, mark, String(mmIn(scene, world, mm).tlbGen))] },
  ];
};

const cleared: Rule = (event, fields, scene) => {
  const mark = `${taskOf(event)} ptep_clear_flush`;
  const mm = scene.notes.get(mark);
  if (mm === undefined) return [];
  const present = (BigInt(fields.oldpte ?? 0) & 1n) === 1n;
  return [
    ...(present
      ? [
          {
            kind: 'is' as const,
            actor: mm,
            group,
            where: (world: World) => mmIn(scene, world, mm).tlbGen > Number(world.marks[mark]),
            says: `${nameOf(event)} has cleared a pte of ${mm} that was present, and flushed nothing`,
            property: 'P14',
          },
        ]
      : []),
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, mark, null)] },
    { kind: 'note', name: mark, value: null },
  ];
};

/** Which page a task unmaps; the flush for it may be put off. */
const unmaps: Rule = (event, fields, scene) => {
  scene.note(`${taskOf(event)} unmaps`, pointer(fields.folio));
  return [];
};

/** flush_tlb_mm_range, its IPIs, lazy mode and context switches, as the machines of x86's TLB code have them. */
export const shootdown: Protocol = {
  id: 'tlb-shootdown',
  title: 'TLB shootdown',
  events: ['csd', 'tlb', 'ipi', 'kmem:mm_page_free', 'kmem:mm_page_free_batched'],
  properties: {
    P01: 'a queued flush runs on its CPU after the queueing, and before its initiator goes on',
    P01b: 'that run is one call with the same generation',
    P02: 'the CPUs given are at least those that have the address space loaded',
    P05: 'CPUs of the mask that are not queued are lazy, or have another address space loaded',
    P06: 'each flush of an address space has its own generation',
    P07: 'the generation given out is above the one read before',
    P08: 'a CPU invalidates nothing only where it can be up to date',
    P09: 'a CPU that was left out as lazy flushes when it comes back',
    P10: 'a page in a gather is freed only when no TLB leads to it any more',
    P14: 'ptep_clear_flush of a pte that was present has its flush inside',
    P17: 'a page whose flush was put off is freed or written out only when no TLB leads to it any more',
  },
  always: settle,
  rules: {
    flush_tlb_mm_range: flushCalled,
    set_tlb_ubc_flush_pending: flushOwed,
    native_flush_tlb_multi: multiCalled,
    native_flush_tlb_multi_ret: multiReturned,
    csd_queue_cpu: queued,
    flush_tlb_func: funcCalled,
    native_flush_tlb_one_user: did('range'),
    native_flush_tlb_local: did('all'),
    native_flush_tlb_global: did('all'),
    flush_tlb_func_ret: funcReturned,
    flush_tlb_mm_range_ret: flushReturned,
    tlb_gather_mmu: gathers,
    tlb_gather_mmu_vma: gathers,
    tlb_gather_mmu_fullmm: gathers,
    tlb_remove_folio_pages: removed,
    tlb_remove_page: removed,
    mm_page_free: freed,
    mm_page_free_batched: freed,
    tlb_finish_mmu_ret: gathered,
    try_to_unmap_one: unmaps,
    mm_vmscan_write_folio: leaves('writes out'),
    ptep_clear_flush: clears,
    ptep_clear_flush_ret: cleared,
    enter_lazy_tlb: lazyEntered,
    switch_mm: switched,
    tlb_flush: switchFlushed,
  },
};
