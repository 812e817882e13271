import fc from 'fast-check';
import { assign, fromTransition, setup } from 'xstate';
import { shiviz } from '../../src/format/shiviz.js';
import { type Replay, replay } from '../../src/schedule/replay.js';
import { post, type Signed, speaker } from '../../src/system/message.js';
import { type ActorSpec, actor, defineSystem, type System } from '../../src/system/system.js';
import { machine } from '../systems/small.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';
import { wander, wanderings } from './wander.js';

interface LogEvent {
  event: string;
  host: string;
  clock: Record<string, number>;
}

/** Reads a log as ShiViz does: again and again its default parser, with the flags `g` and `m`. */
const read = (log: string): LogEvent[] =>
  [...log.matchAll(/(?<event>.*)\n(?<host>\S*) (?<clock>{.*})/gm)].map(({ groups }) => ({
    event: groups?.event ?? '',
    host: groups?.host ?? '',
    clock: JSON.parse(groups?.clock ?? 'null'),
  }));

const keys = (one: LogEvent['clock'], other: LogEvent['clock']): string[] => [...new Set([...Object.keys(one), ...Object.keys(other)])];
const joined = (one: LogEvent['clock'], other: LogEvent['clock'] = {}): LogEvent['clock'] =>
  Object.fromEntries(keys(one, other).map((key) => [key, Math.max(one[key] ?? 0, other[key] ?? 0)]));

/** Whether these are vector clocks, at every length of the log: each is what its own host and the events it names had, and one more. */
function lawful(events: readonly LogEvent[]): void {
  const known = new Map<string, LogEvent['clock'][]>();
  for (const { host, clock } of events) {
    const own = known.get(host) ?? [];
    known.set(host, own);
    const told = Object.entries(clock)
      .filter(([other]) => other !== host)
      .map(([other, time]) => {
        const cause = known.get(other)?.[time - 1];
        if (!cause) throw new Error(`an event of ${host} names event ${time} of ${other}, which is none yet`);
        return cause;
      });
    expect(clock).toEqual({ ...told.reduce(joined, own.at(-1) ?? {}), [host]: own.length + 1 });
    own.push(clock);
  }
}

test('each step is an event of its lane, and each message where it arrives', () => {
  expect(shiviz(play(machineRoom({ paths: { a: 'CPU 0 (a)', b: undefined } }), 'a', 'a', 'b', 'b', 'cpu0 fill'), 'BUG: {too}\nlate')).toBe(
    drawn(`
      step 1, a: local_work
      CPU_0_(a) {"CPU_0_(a)":1}
      step 2, a: ptep_get_lockless_of_a_pmd
      CPU_0_(a) {"CPU_0_(a)":2}
      step 2, memory: read, from a
      memory {"CPU_0_(a)":2,"memory":1}
      step 2, a: pte present, pfn 0, devmap, from memory
      CPU_0_(a) {"CPU_0_(a)":3,"memory":1}
      step 3, b: local_work
      b {"b":1}
      step 4, b: ptep_get_lockless_of_a_pmd
      b {"b":2}
      step 4, memory: read, from b
      memory {"CPU_0_(a)":2,"memory":2,"b":2}
      step 4, b: pte present, pfn 0, devmap, from memory
      b {"b":3,"CPU_0_(a)":2,"memory":2}
      step 5, cpu0: fill vpn 0
      CPU_0_(a) {"CPU_0_(a)":4,"memory":1}
      step 5, memory: read, from cpu0
      memory {"CPU_0_(a)":4,"memory":3,"b":2}
      step 5, cpu0: pte present, pfn 0, devmap, from memory
      CPU_0_(a) {"CPU_0_(a)":5,"memory":3,"b":2}
      => after step 5: BUG: {too} late
      CPU_0_(a) {"CPU_0_(a)":6,"memory":3,"b":2}`),
  );
});

test('a lasso says where it begins; an empty schedule has an ending only', () => {
  const system = waiting(2);
  const log = read(shiviz(replay(system, scheduleOf(system, ...turns)), 'unbinds violated', 2));
  expect(log.filter(({ event }) => event.includes('for ever')).map(({ event }) => event)).toEqual(['step 3, gup1: again (from here on, for ever)']);
  expect(shiviz(replay(system, []), 'bad')).toBe('=> after step 0: bad\nrefs {"refs":1}');
  expect(shiviz(replay(system, []), null)).toBe('');
});

test('hosts are words of their own, whatever lanes and actors are called', () => {
  const lamp = machine({ id: 'lamp', initial: 'off', states: { off: { on: { step: 'on' } }, on: { on: { step: 'off' } } } });
  const lanes = { one: 'CPU {0}', two: 'CPU_0_', three: 'constructor', '{four} x': '__proto__', five: ' ', six: 'CPU {0}' };
  const system = defineSystem({ id: 'names', actors: Object.fromEntries(Object.entries(lanes).map(([name, lane]) => [name, actor(lamp, { lane })])) });
  const log = read(
    shiviz(
      replay(
        system,
        system.choices.map(({ index }) => index),
      ),
      null,
    ),
  );
  expect(log.map(({ event }) => event)).toEqual(Object.keys(lanes).map((name, at) => `step ${at + 1}, ${name}: off`));
  expect(log.map(({ host }) => host)).toEqual(['CPU_0_', 'CPU_0__2', 'constructor_', '__proto___', '_', 'CPU_0_']);
  lawful(log);
});

test('every log is read whole, and its clocks are vector clocks at every length', () => {
  let messages = 0;
  fc.assert(
    fc.property(wanderings, fc.constantFrom(null, 'x {y} violated:\n{"z":1}'), (run, ending) => {
      const log = read(shiviz(run, ending, 1));
      expect(log.length).toBe(run.steps.reduce((sum, step) => sum + step.messages.length, ending === null ? 0 : 1));
      lawful(log);
      messages += log.length - run.steps.length;
    }),
    { seed: 4, numRuns: 200 },
  );
  expect(messages).toBeGreaterThan(300);
});

/** Actors that keep vector clocks themselves, as the algorithm has it: what they have in the end is what the log must say. */
type TickEvent = { type: 'go' } | Signed<{ type: 'hear'; clock: number[]; left: number }>;
interface TickContext {
  clocks: number[][];
}
const ticked = ({ clocks }: TickContext, self: number, event: TickEvent, size: number): TickContext => {
  const last = clocks.at(-1) ?? Array<number>(size).fill(0);
  const told = event.type === 'hear' ? event.clock : last;
  return { clocks: [...clocks, last.map((time, at) => (at === self ? time + 1 : Math.max(time, told[at] as number)))] };
};
const leftOf = (event: TickEvent): number => (event.type === 'hear' ? event.left : 3);
const hear = (context: TickContext, event: TickEvent): Omit<Extract<TickEvent, { type: 'hear' }>, 'from'> => ({
  type: 'hear',
  clock: context.clocks.at(-1) as number[],
  left: leftOf(event) - 1,
});

const clockMachine = (self: number, to: readonly string[], size: number): ActorSpec => {
  const { tell } = speaker<TickContext, TickEvent>();
  const logic = setup({
    types: { events: {} as TickEvent, context: {} as TickContext },
    guards: { more: ({ event }) => leftOf(event) > 0 },
    actions: {
      tick: assign(({ context, event }) => ticked(context, self, event, size)),
      ...Object.fromEntries(to.map((address, at) => [`tell${at}`, tell(address, ({ context, event }) => hear(context, event))])),
    },
  }).createMachine({
    id: `clock${self}`,
    context: { clocks: [] },
    on: Object.fromEntries(
      ['go', 'hear'].map((type) => [type, [{ guard: 'more', actions: ['tick', ...to.map((_, at) => `tell${at}`)] }, { actions: 'tick' }]]),
    ) as never,
  });
  return actor(logic, { choices: ['go'] }) as unknown as ActorSpec;
};

const clockReducer = (self: number, to: readonly string[], size: number): ActorSpec => {
  const logic = fromTransition(
    (context: TickContext, event: TickEvent, scope) => {
      const next = ticked(context, self, event, size);
      if (leftOf(event) > 0) for (const address of to) post(scope as never, address, hear(next, event));
      return next;
    },
    { clocks: [] as number[][] },
  );
  return actor(logic, { choices: ['go'] }) as unknown as ActorSpec;
};

const clockSystems: fc.Arbitrary<System> = fc
  .array(fc.record({ reduces: fc.boolean(), to: fc.array(fc.nat(3), { maxLength: 2 }) }), { minLength: 2, maxLength: 4 })
  .map((plans) =>
    defineSystem({
      id: 'clocks',
      actors: Object.fromEntries(
        plans.map(({ reduces, to }, self) => {
          const others = to.map((other) => `a${other % plans.length}`);
          return [`a${self}`, (reduces ? clockReducer : clockMachine)(self, others, plans.length)];
        }),
      ),
    }),
  );

const clocksOf = ({ system, live }: Replay): Record<string, number[][]> =>
  Object.fromEntries(system.actors.map(({ address }) => [address, (live.snapshot(address).context as TickContext).clocks]));

test('one event happens before another exactly if the messages of the actors have it so', () => {
  let heard = 0;
  fc.assert(
    fc.property(clockSystems, fc.array(fc.nat(3), { minLength: 1, maxLength: 5 }), (system, numbers) => {
      const run = wander(system, numbers);
      const log = read(shiviz(run, null));
      const told = Object.fromEntries(
        system.actors.map(({ address }) => [
          address,
          log.filter(({ host }) => host === address).map(({ clock }) => system.actors.map(({ address: other }) => clock[other] ?? 0)),
        ]),
      );
      expect(told).toEqual(clocksOf(run));
      heard += log.length - run.steps.length;
    }),
    { seed: 5, numRuns: 200 },
  );
  expect(heard).toBeGreaterThan(1000);
});
