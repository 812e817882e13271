import { fromTransition, type SnapshotFrom } from 'xstate';
import { isAsid } from '../../machines/hardware/cpu.js';
import { flushTlb } from '../../machines/paths/flush-tlb.js';
import { post } from '../system/message.js';
import { pointer, type TraceEvent } from '../trace/event.js';
import type { Demand, Protocol, Rule, Scene } from '../trace/protocol.js';
import type { Hidden, World } from '../trace/worlds.js';
import { pageProperties, pageRules } from './pages.js';
import { joinCaller, nameOf, taskOf } from './task.js';
import {
  cpuAt,
  cpuIn,
  gatheredBy,
  group,
  guess,
  guessGen,
  isKernel,
  joinCpu,
  joinMm,
  learnMask,
  mayCache,
  mmAt,
  mmIn,
  net,
  owedBy,
  switchOf,
  UNKNOWN,
  withoutMm,
} from './tlb.js';

type FlushContext = SnapshotFrom<typeof flushTlb>['context'];

const FLUSH = 'flush:';
const callerOf = ({ pid, cpu: on }: TraceEvent): string => `${pid}@${on}`;
/** The flush that a task is in the middle of; empty: none that the log has shown to begin. */
const flushOf = (scene: Scene, event: TraceEvent): string => scene.notes.get(`${callerOf(event)} flush`) ?? '';

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

const flushIn = (scene: Scene, world: World, address: string): FlushContext => scene.cast.context(world, address);

/** A log's generations are the model's plus a constant that its first flush of the address space shows. */
const generation = (scene: Scene, mm: string, logged: string | undefined): number => Number(logged) - Number(scene.notes.get(`${mm} offset`) ?? 0);

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

/** An mm_struct begins with generation 1: where more was seen before, another one has its address now. */
function beginsAnew(scene: Scene, mm: string, before: number): Demand[] {
  if (before !== 1 || !scene.notes.has(`${mm} offset`) || scene.worlds.some((world) => mmIn(scene, world, mm).tlbGen <= generation(scene, mm, '1'))) return [];
  scene.note(`${mm} offset`, null);
  scene.note(`${mm} flushes`, null);
  return [{ kind: 'learn', worlds: (world) => [scene.cast.anew(withoutMm(scene, world, mm), mm)] }];
}

const flushCalled: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const on = joinCpu(scene, event.cpu);
  const from = joinCaller(scene);
  const flush = `${FLUSH}${callerOf(event)}/${pointer(fields.mm)}`;
  scene.note(`${callerOf(event)} flush`, flush);
  scene.note(`${on} flushed`, 'yes');
  scene.join(flush, flushTlb, { cpu: on, mm, interconnect: net, kind: 'ipi' });
  const before = Number(fields.gen_before);
  const all = pointer(fields.end) === 'ffffffffffffffff' || (Number(fields.end) - Number(fields.start)) / 2 ** Number(fields.stride) > 33;
  const fresh = beginsAnew(scene, mm, before);
  const known = scene.notes.has(`${mm} offset`);
  // Nobody else is in the middle of a flush of it, or it would be known: its generation is the same in all worlds.
  if (!known) scene.note(`${mm} offset`, String(before - (fresh.length > 0 ? 1 : mmIn(scene, scene.worlds[0] as World, mm).tlbGen)));
  const says = `${nameOf(event)} on CPU ${event.cpu} reads generation ${before}`;
  const anew = known ? countAnew(scene, mm) : fresh;
  scene.note(`${mm} flushes`, String(flushesOf(scene, mm) + 1));
  scene.note(`${flush} frees`, fields.freed_tables === '1' ? 'tables' : null);
  scene.note(`${flush} queued`, null);
  const call = { vpns: all ? ('all' as const) : [gatheredBy(event.pid)], freedTables: fields.freed_tables === '1' };
  return [
    ...anew,
    { kind: 'is', actor: mm, group, where: (world) => mmIn(scene, world, mm).tlbGen === generation(scene, mm, fields.gen_before), says, property: 'P07' },
    guess(scene, on, mm),
    learnMask(scene, mm),
    {
      kind: 'take',
      actor: flush,
      event: { type: 'call', from, ...call },
      does: { kind: 'sends', to: flush, event: { type: 'call', ...call }, awaits: 'return' },
      where: (world) => scene.cast.rests(world, flush),
      says: `${nameOf(event)} flushes while a flush of its own is under way`,
      property: 'P01',
    },
    { kind: 'hide', hidden: flushSteps(scene, flush, on) },
  ];
};

type Owing = { mm: string; caller: string } | null;
/** arch_tlbbatch_add_pending: an unmap whose flush is put off takes a generation too, in a step that the log does not show. */
const addPending = fromTransition((owing: Owing, event: { type: 'call'; mm: string; from: string } | { type: 'step' } | { type: 'tlb_gen' }, scope): Owing => {
  if (event.type === 'call') return { mm: event.mm, caller: event.from };
  if (event.type === 'tlb_gen' || owing === null) return owing;
  post(scope, owing.mm, { type: 'tlb_gen.inc' });
  post(scope, owing.caller, { type: 'return' });
  return null;
}, null);
const owingOf = (pid: number | ''): string => `arch_tlbbatch_add_pending:${pid}`;

const flushOwed: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const owing = owingOf(event.pid);
  scene.join(owing, addPending);
  scene.note(`${owing} called`, 'yes');
  const says = `${nameOf(event)} owes a flush of ${mm}`;
  const page = scene.notes.get(`${taskOf(event)} unmaps`);
  if (page !== undefined) scene.note(`page:${page}`, `batch ${mm} ${owedBy(event.pid)} ${event.line}`);
  return [
    ...(page === undefined ? [] : [mayCache(scene, mm, owedBy(event.pid))]),
    {
      kind: 'take',
      actor: owing,
      event: { type: 'call', mm, from: joinCaller(scene) },
      does: { kind: 'sends', to: owing, event: { type: 'call', mm }, awaits: 'return' },
      says,
      property: 'P06',
    },
    { kind: 'hide', hidden: stepOf(owing) },
  ];
};

/** CPU numbers of a mask: `0xf`, `00000000,0000000d`, or a list: `0,2-3`. */
function cpusIn(mask = ''): number[] {
  if (!/^(0x)?[\da-f]+$/i.test(mask) && !/^[\da-f]{8}(,[\da-f]{8})+$/i.test(mask))
    return mask.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, n) => first + n);
    });
  const bits = BigInt(`0x${pointer(mask).replaceAll(',', '')}`);
  return Array.from({ length: 4 * mask.length }, (_, n) => n).filter((n) => (bits >> BigInt(n)) & 1n);
}

const multiCalled: Rule = (event, fields, scene) => {
  const flush = flushOf(scene, event);
  // Without an address space it is a batch: reclaim's, for many.
  if (pointer(fields.mm) === '0' || !scene.cast.has(flush)) {
    scene.note(`${callerOf(event)} batch`, 'yes');
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
  const flush = flushOf(scene, event);
  if (!event.text.includes('func=flush_tlb_func') || !scene.cast.has(flush) || scene.notes.get(`${callerOf(event)} batch`)) return [];
  const target = joinCpu(scene, Number(fields.cpu));
  scene.note(`${flush} queued`, `${scene.notes.get(`${flush} queued`) ?? ''}${fields.cpu} `);
  return [
    {
      kind: 'take',
      actor: flush,
      group,
      event: step,
      does: { kind: 'outcome', of: flush, value: target },
      where: (world) => scene.cast.at(world, flush) === 'csd_queue_cpu' && flushIn(scene, world, flush).mask[0] === target,
      says: `${nameOf(event)} queues its flush on CPU ${fields.cpu}`,
      property: decidedBy(scene, flush),
    },
  ];
};

/** Which property says that a CPU may be left out. */
const decidedBy = (scene: Scene, flush: string): string => (scene.notes.has(`${flush} frees`) ? 'P04' : 'P05');

const ipiSent: Rule = (event, fields, scene) => {
  const flush = flushOf(scene, event);
  // Interrupts that come in between send others.
  if (event.context !== 'task' || !event.text.includes('callback=generic_smp_call_function_single_interrupt')) return [];
  if (!scene.cast.has(flush) || scene.notes.get(`${callerOf(event)} batch`)) return [];
  const to = fields.cpu === undefined ? cpusIn(fields.cpumask) : [Number(fields.cpu)];
  const queuedCpus = (scene.notes.get(`${flush} queued`) ?? '').split(' ');
  return [
    {
      kind: 'is',
      actor: flush,
      where: (world) => scene.cast.rests(world, flush) || to.every((number) => queuedCpus.includes(String(number))),
      says: `${nameOf(event)} sends IPIs to CPUs ${to.join(', ')}, having queued its flush on ${queuedCpus.join(' ').trim() || 'none'}`,
      property: 'P03',
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
      (ipi) => ipi.to === on && ipi.initiator.includes(`@${initiator}/`),
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
  const flush = flushOf(scene, event);
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
        where: (world) => scene.cast.at(world, flush) === 'flush_tlb_func',
        says: `${nameOf(event)} has decided which CPUs to send its flush to`,
        property: decidedBy(scene, flush),
      },
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
  const flush = flushOf(scene, event);
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
    { kind: 'note', name: `${callerOf(event)} flush`, value: null },
    { kind: 'note', name: `${mm} flushes`, value: String(Number(scene.notes.get(`${mm} flushes`) ?? 1) - 1) },
  ];
};

const multiReturned: Rule = (event, _, scene) => {
  scene.note(`${callerOf(event)} batch`, null);
  return [];
};

const lazyEntered: Rule = (event, fields, scene) => {
  const on = joinCpu(scene, event.cpu);
  const path = switchOf(event.cpu);
  const mm = isKernel(fields.mm) ? null : joinMm(scene, mmAt(fields.mm));
  const from = joinCaller(scene);
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
      event: { type: 'call', from, next: 'kthread' },
      does: { kind: 'sends', to: path, event: { type: 'call', next: 'kthread' }, awaits: 'return' },
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
  const from = joinCaller(scene);
  forgetEffects(scene, on);
  scene.note(`${on} switching`, next ?? '');
  scene.note(`${path} called`, 'yes');
  return [
    ...(next === null
      ? []
      : [guess(scene, on, next), guessGen(scene, on, next, (world) => [mmIn(scene, world, next).tlbGen, mmIn(scene, world, next).tlbGen - 1])]),
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, `${on} switching`, next === null ? null : String(cpuIn(scene, world, on).ctxs[next] ?? 0))] },
    ...scene.cast
      .addresses('mm:')
      .filter((mm) => mm !== next && flushesOf(scene, mm) > 0)
      .map((mm) => learnMask(scene, mm, on)),
    {
      kind: 'take',
      actor: path,
      group,
      event: { type: 'call', from, next },
      does: { kind: 'sends', to: path, event: { type: 'call', next }, awaits: 'return' },
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
    ...(switching && flushesOf(scene, switching) > 0 ? [learnMask(scene, switching)] : []),
    { kind: 'show', hidden: stepOf(path) },
  ];
};

/** `tlb_flush` with reason 0: the switch has flushed. */
const switchFlushed: Rule = (event, _, scene) => {
  if (event.text.includes('task switch')) noteEffect(scene, cpuAt(event.cpu), 'all');
  return [];
};

/** Flushes that are over, and address spaces that no CPU has loaded. */
const retires: Protocol['retires'] = (address, scene) => {
  const { cast, worlds } = scene;
  if (address.startsWith(FLUSH)) return worlds.every((world) => cast.rests(world, address)) ? (world) => world : null;
  if (address.startsWith(owingOf(''))) return worlds.every((world) => cast.context(world, address) === null) ? (world) => world : null;
  if (!address.startsWith(mmAt(''))) return null;
  const isLoaded = (world: World): boolean => cast.addresses('cpu').some((on) => cpuIn(scene, world, on).loadedMm === address);
  return flushesOf(scene, address) > 0 || worlds.some(isLoaded) ? null : (world) => withoutMm(scene, world, address);
};

/** flush_tlb_mm_range, its IPIs, lazy mode and context switches, as the machines of x86's TLB code have them. */
export const shootdown: Protocol = {
  id: 'tlb-shootdown',
  title: 'TLB shootdown',
  scenarios: ['gup-unbind'],
  events: ['csd', 'tlb', 'ipi', 'kmem:mm_page_free', 'kmem:mm_page_free_batched'],
  foreign: { events: ['ipi_raise', 'ipi_entry', 'ipi_exit'], says: 'does not fire on x86, whose TLB code the machines are' },
  properties: {
    P01: 'a queued flush runs on its CPU after the queueing, and before its initiator goes on',
    P01b: 'that run is one call with the same generation',
    P02: 'the CPUs given are at least those that have the address space loaded',
    P03: 'IPIs go only to CPUs that were queued in this call',
    P04: 'where page tables are freed every CPU of the mask is queued',
    P05: 'CPUs of the mask that are not queued are lazy, or have another address space loaded',
    P06: 'each flush of an address space has its own generation',
    P07: 'the generation given out is above the one read before',
    P08: 'a CPU invalidates nothing only where it can be up to date',
    P09: 'a CPU that was left out as lazy flushes when it comes back',
    ...pageProperties,
  },
  always: settle,
  retires,
  rules: {
    flush_tlb_mm_range: flushCalled,
    set_tlb_ubc_flush_pending: flushOwed,
    native_flush_tlb_multi: multiCalled,
    native_flush_tlb_multi_ret: multiReturned,
    csd_queue_cpu: queued,
    ipi_send_cpu: ipiSent,
    ipi_send_cpumask: ipiSent,
    flush_tlb_func: funcCalled,
    native_flush_tlb_one_user: did('range'),
    native_flush_tlb_local: did('all'),
    native_flush_tlb_global: did('all'),
    flush_tlb_func_ret: funcReturned,
    flush_tlb_mm_range_ret: flushReturned,
    ...pageRules,
    enter_lazy_tlb: lazyEntered,
    switch_mm: switched,
    tlb_flush: switchFlushed,
  },
};
