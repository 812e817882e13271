import { assign, setup } from 'xstate';
import { type Replay, replay } from '../../src/schedule/replay.js';
import { received, type Signed, speaker } from '../../src/system/message.js';
import { actor, defineSystem, type System } from '../../src/system/system.js';

/** Memory that answers with a nested message, and hardware that acts by itself. */
type MemoryEvent = Signed<{ type: 'read' } | { type: 'write'; pfn: number }>;
type MemoryContext = { pte: { kind: string; pfn: number; devmap: boolean; write: boolean }; log: number[] };
const memory = setup({
  types: { events: {} as MemoryEvent, context: {} as MemoryContext },
  actions: {
    answer: speaker<MemoryContext, MemoryEvent>().reply(({ context }) => ({ type: 'pte', pte: context.pte })),
    write: assign(({ context, event }) => ({
      pte: { ...context.pte, pfn: received(event, 'write').pfn, write: true },
      log: [...context.log, received(event, 'write').pfn],
    })),
    done: speaker<MemoryContext, MemoryEvent>().reply({ type: 'written', late: false }),
  },
}).createMachine({
  id: 'memory',
  context: { pte: { kind: 'present', pfn: 0, devmap: true, write: false }, log: [] },
  on: { read: { actions: 'answer' }, write: { actions: ['write', 'done'] } },
});

type PathEvent = { type: 'step' } | Signed<{ type: 'pte'; pte: object }> | Signed<{ type: 'written'; late: boolean }>;
const path = setup({
  types: { events: {} as PathEvent, context: {} as { length: number; at: number }, input: {} as { length: number } },
  guards: { more: ({ context }) => context.at < context.length },
  actions: {
    read: speaker<{ length: number; at: number }, PathEvent>().tell('memory', { type: 'read' }),
    write: speaker<{ length: number; at: number }, PathEvent>().tell('memory', { type: 'write', pfn: 7 }),
    next: assign({ at: ({ context }) => context.at + 1 }),
  },
}).createMachine({
  id: 'path',
  context: ({ input }) => ({ ...input, at: 0 }),
  initial: 'local_work',
  states: {
    local_work: { on: { step: [{ guard: 'more', actions: 'next' }, { target: 'ptep_get_lockless_of_a_pmd' }] } },
    ptep_get_lockless_of_a_pmd: { on: { step: { actions: 'read' }, pte: 'set_pte_at' } },
    set_pte_at: { on: { step: { actions: 'write' }, written: 'nested.end' } },
    nested: { initial: 'end', states: { end: { tags: ['rest'] } } },
  },
});

type CpuEvent = { type: 'interrupt' } | { type: 'fill'; vpn: number; write: boolean } | Signed<{ type: 'pte'; pte: object }>;
const cpu = setup({
  types: { events: {} as CpuEvent, context: {} as Record<string, never> },
  actions: { walk: speaker<Record<string, never>, CpuEvent>().tell('memory', { type: 'read' }) },
}).createMachine({
  id: 'cpu',
  context: {},
  initial: 'on',
  states: { on: { on: { interrupt: 'off', fill: { actions: 'walk' } }, after: { 1000: 'off' } }, off: {} },
});

export interface Shape {
  /** Steps of each path before it reads: uneventful ones. */
  work?: number;
  paths?: Record<string, string | undefined>;
  /** The lane of the hardware actor. */
  cpuLane?: string | null;
}

/** Some paths, a CPU and memory. */
export const machineRoom = ({ work = 0, paths = { a: 'CPU 0 (a)', b: 'CPU 1 (b)' }, cpuLane = 'CPU 0 (a)' }: Shape = {}): System =>
  defineSystem({
    id: 'machine-room',
    actors: {
      memory: actor(memory),
      ...Object.fromEntries(
        Object.entries(paths).map(([name, lane]) => [name, actor(path, { input: { length: work }, ...(lane === undefined ? {} : { lane }) })]),
      ),
      cpu0: actor(cpu, { choices: ['interrupt'], environment: [{ type: 'fill', vpn: 0, write: false }], ...(cpuLane === null ? {} : { lane: cpuLane }) }),
    },
  });

/** Replays choices named by actor and event type: `a`, `cpu0 interrupt`. */
export function play(system: System, ...choices: string[]): Replay {
  const schedule = choices.map((choice) => {
    const [address, type = 'step'] = choice.split(' ');
    const found = system.choices.find(
      ({ actor: { address: at }, event }) => at === address && (event.type === type || event.type.startsWith(`xstate.${type}.`)),
    );
    if (!found) throw new Error(`no choice '${choice}'`);
    return found.index;
  });
  return replay(system, schedule);
}
